// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer of guests: random and mutated code, descriptors, page tables and registers, in each
 * mode of the processor, with events injected. The same guest runs under vee (with libvee for
 * what exits) and under KVM, and both are compared exit by exit and register by register.
 * Others, "wild" ones, begin with fields of the VMCS that no vCPU would have by itself, or are
 * kicked; under vee alone: their runs end, and that is all there is to ask. Runs in the lab.
 *
 * A guest is its seed: the n-th of a run has seed SEED + n, and --one makes it again.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "fuzz_guest_compare.h"

static bool alone, explaining;
static struct range range = { .first = 1, .most = 1000 };
static struct tally tally;

static void count(const struct trail *vee)
{
	tally.exits += vee->step_count;
	if (vee->step_count)
		tally.stops[last_step(vee)->stop]++;
}

/*
 * With RFLAGS.IF clear the emulator leaves a guest for an interrupt only once an instruction
 * has written IF: a loop without, under KVM, which sets no preemption timer, has no end.
 */
static bool is_endless(const struct trail *vee)
{
	return last_step(vee)->stop == END_LOOP;
}

/* Is there nothing of it that KVM's could be compared with? See trails_differ(). */
static bool is_beyond(const struct trail *vee)
{
	return vee->step_count == 1 && last_step(vee)->stop > END_REFUSED_ENTRY;
}

/* Once more, with nothing that guests before may have left; vee must do the same again. */
static const char *try_again(const struct guest *g, struct trail *vee,
			     struct trail *kvm)
{
	static uint8_t memory_before[RAM_BYTES];
	static struct trail before;
	const char *again, *what;

	before = *vee;
	memcpy(memory_before, memory_vee, RAM_BYTES);
	engine_kvm.renew();
	run_both(g, vee, kvm);
	again = find_difference(vee, kvm);
	what = trails_differ(&before, vee);
	if (what && is_dr_shutdown(&(struct difference) { g, what, vee, &before }))
		what = NULL;
	if (what || (has_end(vee) && memcmp(memory_before, memory_vee, RAM_BYTES)))
		return "vee does something else the second time";
	return again;
}

static void compare(const struct guest *g, struct trail *vee, struct trail *kvm)
{
	const char *what;
	struct known *known = NULL;

	what = find_difference(vee, kvm);
	if (what)
		known = find_known(&(struct difference) { g, what, vee, kvm });
	if (what && !known) {
		what = try_again(g, vee, kvm);
		tally.left += !what;
	}
	if (last_step(vee)->stop == END_REFUSED || last_step(kvm)->stop == END_REFUSED)
		tally.refused++;
	else if (has_end(vee) && has_end(kvm))
		tally.compared++;
	else
		tally.partly++;
	if (what && !known)
		known = find_known(&(struct difference) { g, what, vee, kvm });
	if (known)
		known->count++;
	else if (what)
		tally.differ++;
	if (explaining || (what && !known))
		tell_all(g, what, known, vee, kvm);
}

static void run_guest(uint64_t number)
{
	static struct trail vee, kvm;
	static struct guest g;

	make_guest(&g, number);
	tally.guests++;
	if (g.is_wild)
		run_wild(&g, &vee);
	else
		run_on(&engine_vee, &g, &vee, NULL);
	count(&vee);
	if (!alone && !g.is_wild && !is_endless(&vee) && !is_beyond(&vee)) {
		run_on(&engine_kvm, &g, &kvm, &vee);
		compare(&g, &vee, &kvm);
		return;
	}
	if (g.is_wild)
		tally.wild++;
	else if (last_step(&vee)->stop == END_REFUSED)
		tally.refused++;
	else
		tally.partly++;
	if (explaining) {
		tell_guest(&g);
		tell_trail("vee", &vee);
	}
}

#define EACH_TOLD	200
static void run_all(void)
{
	double began = now();

	for (unsigned long i = 0; i < range.most && tally.differ < DIFFER_MAX; i++) {
		if (is_late(&range, began))
			break;
		/* So that it can be seen where one hangs. */
		if (!(i % EACH_TOLD))
			printf("# %llu\n", (unsigned long long)range.first + i);
		run_guest(range.first + i);
	}
	tell_tally(&tally, range.first, now() - began);
}

static void usage(FILE *out)
{
	fputs("usage: fuzz-guest [--seed N] [--count N] [--seconds N] [--one SEED]\n"
	      "\t[--explain] [--alone]\n", out);
}

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' }, { "count", required_argument, NULL, 'c' },
	{ "seconds", required_argument, NULL, 't' }, { "one", required_argument, NULL, '1' },
	{ "explain", no_argument, NULL, 'e' }, { "alone", no_argument, NULL, 'a' },
	{ "help", no_argument, NULL, 'h' }, { 0 },
};

static void take_option(int option)
{
	if (take_range(&range, option))
		return;
	switch (option) {
	case 'e':
		explaining = true;
		break;
	case 'a':
		alone = true;
		break;
	case 'h':
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		take_option(option);
	setlinebuf(stdout);
	make_values();
	memory_vee = make_ram();
	engine_vee.open(memory_vee);
	engine_plain.open(memory_vee);
	if (!alone) {
		memory_kvm = make_ram();
		engine_kvm.open(memory_kvm);
	}
	run_all();
	return tally.differ != 0;
}
