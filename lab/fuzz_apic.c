// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer of local APICs: random accesses to it, in both modes, interrupts that it sends itself
 * and that the host sends, now and then taken. The same guest runs under vee and under KVM, and
 * what it has read, what it has taken, and the APIC's state at the end are compared. Runs in the
 * lab.
 *
 * A guest is its seed, as of the fuzzer of guests. Of one that differs deeds are taken out as
 * long as it does: what is left is the reason.
 */
#include <err.h>
#include <stdio.h>

#include "fuzz.h"
#include "fuzz_apic.h"

uint8_t pristine[RAM_BYTES];
uint64_t seed;

static uint8_t *memory_vee, *memory_kvm;
static struct outcome vee, kvm;	/* of the guest that ran last */
static bool explaining;
static struct range range = { .first = 1, .most = 1000 };
static unsigned long guests, ended, taken, left, off, differ;

/* --- comparison -------------------------------------------------------------------------- */

static const char *apics_differ(const struct vee_apic *a, const struct vee_apic *b)
{
	if (memcmp(a->irr, b->irr, sizeof(a->irr)))
		return "IRR";
	if (memcmp(a->isr, b->isr, sizeof(a->isr)))
		return "ISR";
	if (memcmp(a->tmr, b->tmr, sizeof(a->tmr)))
		return "TMR";
	if (memcmp(a->lvt, b->lvt, sizeof(a->lvt)))
		return "LVT";
	if (a->base != b->base)
		return "IA32_APIC_BASE";
	if (a->icr != b->icr)
		return "ICR";
	if (a->tpr != b->tpr)
		return "TPR";
	if (a->ldr != b->ldr || a->dfr != b->dfr)
		return "LDR, DFR";
	if (a->svr != b->svr)
		return "SVR";
	if (a->esr != b->esr)
		return "ESR";
	if (a->initial_count != b->initial_count || a->divide != b->divide)
		return "timer";
	return a->tsc_deadline != b->tsc_deadline ? "IA32_TSC_DEADLINE" : NULL;
}

/* NULL: nothing. Both are at an OUT at the end, which one of them has done. */
static const char *outcomes_differ(const struct outcome *a, const struct outcome *b)
{
	if (a->end != b->end)
		return "end";
	if (memcmp(a->results, b->results, sizeof(a->results)))
		return "result";
	if (memcmp(a->taken, b->taken, sizeof(a->taken)))
		return "interrupts taken";
	if (a->end == HAS_ENDED && memcmp(&a->regs, &b->regs, offsetof(struct vee_regs, rip)))
		return "registers";
	if (a->cr8 != b->cr8)
		return "CR8";
	return apics_differ(&a->apic, &b->apic);
}

/*
 * Has the CPU delivered an interrupt with interrupts off? Bochs does, now and then: then the guest
 * runs once more.
 */
static bool is_off(const struct guest *g, const struct outcome *outcome)
{
	for (unsigned int i = 0; i < TAKEN_MAX && outcome->taken[i].at; i++) {
		unsigned int after = (outcome->taken[i].at - GPA_OPS) / sizeof(struct op) - 1;

		if (outcome->taken[i].vector != NMI && after < g->count &&
		    g->ops[after].deed != OPEN)
			return true;
	}
	return false;
}

#define TRIES	8

static const char *run_both(const struct guest *g)
{
	const char *what;

	put_guest(g);
	engine_vee.run(g, &vee);
	for (int i = 1; is_off(g, &vee) && i < TRIES; i++) {
		off++;
		engine_vee.run(g, &vee);
	}
	engine_kvm.run(g, &kvm);
	what = outcomes_differ(&vee, &kvm);
	if (!what && vee.end == HAS_ENDED && memcmp(memory_vee, memory_kvm, RAM_BYTES))
		return "memory";
	return what;
}

/* --- what a difference comes from --------------------------------------------------------- */

/* Without each deed that it takes none of. */
static void shrink(struct guest *g)
{
	for (unsigned int i = g->count; i-- > 0;) {
		struct op op = g->ops[i];

		g->ops[i].deed = NOTHING;
		if (op.deed != NOTHING && !run_both(g))
			g->ops[i] = op;
	}
}

static bool mend(const struct known *known, struct guest *g)
{
	bool is_mended = false;

	for (unsigned int i = 0; i < g->count; i++)
		is_mended |= known->mend(g, &g->ops[i]);
	return is_mended;
}

/* With @known and one more, or none, taken from it, does nothing differ? */
static bool is_it(const struct known *known, const struct guest *least)
{
	struct guest mended = *least;

	if (!mend(known, &mended))
		return false;
	if (!run_both(&mended))
		return true;
	for (const struct known *other = known + 1; other->name; other++) {
		struct guest both = mended;

		if (!other->end && mend(other, &both) && !run_both(&both))
			return true;
	}
	return false;
}

/* Two may be in one deed: then the other is found next. */
static struct known *find_known(const struct guest *least)
{
	enum end end;

	run_both(least);
	end = kvm.end;
	for (struct known *known = knowns; known->name; known++)
		if ((!known->end || known->end == end) && is_it(known, least))
			return known;
	return NULL;
}

static void tell(const struct guest *g, const char *what, const struct known *known)
{
	printf("differs: %s%s%s\n", what, known ? ", which is known: " : "",
	       known ? known->name : "");
	tell_guest(g);
	tell_outcomes(g, &vee, &kvm);
}

/* One reason after the other is taken from @g, until nothing differs. */
static void find_reasons(struct guest *g, const char *what)
{
	struct guest least;
	struct known *known;

	for (; what; what = run_both(g)) {
		least = *g;
		shrink(&least);
		known = find_known(&least);
		what = run_both(&least);
		if (!known || explaining)
			tell(&least, what ? what : "no more", known);
		if (!known || !mend(known, g)) {
			differ++;
			return;
		}
		known->count++;
	}
}

/* Once more: of KVM's guest something may be left from the one before. Vee does the same again. */
static const char *run_again(const struct guest *g)
{
	static struct outcome before;
	const char *what;

	before = vee;
	what = run_both(g);
	if (!outcomes_differ(&before, &vee)) {
		left += !what;
		return what;
	}
	kvm = before;
	tell(g, "vee does something else the second time, not as below as KVM", NULL);
	differ++;
	return NULL;
}

static void run_guest(uint64_t number)
{
	struct guest g;
	const char *what;

	make_guest(&g, number);
	what = run_both(&g);
	guests++;
	ended += vee.end == HAS_ENDED;
	for (unsigned int i = 0; i < TAKEN_MAX && vee.taken[i].at; i++)
		taken++;
	if (explaining) {
		tell_guest(&g);
		tell_outcomes(&g, &vee, &kvm);
	}
	if (what)
		what = run_again(&g);
	if (what)
		find_reasons(&g, what);
}

/* --- the program -------------------------------------------------------------------------- */

static void run_all(void)
{
	double began = now();

	for (unsigned long i = 0; i < range.most && differ < DIFFER_MAX; i++) {
		if (is_late(&range, began))
			break;
		run_guest(range.first + i);
	}
	printf("%lu guests from seed %llu on, in %.1f s: %lu came to their end, %lu interrupts\n",
	       guests, (unsigned long long)range.first, now() - began, ended, taken);
	for (const struct known *known = knowns; known->name; known++)
		if (known->count)
			printf("known: %s: %u\n", known->name, known->count);
	if (left)
		printf("known: what guests before had left in KVM: %lu\n", left);
	if (off)
		printf("known: the emulated CPU delivers with interrupts off: %lu times\n", off);
	printf("%lu differ\n", differ);
}

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' }, { "count", required_argument, NULL, 'c' },
	{ "seconds", required_argument, NULL, 't' }, { "one", required_argument, NULL, '1' },
	{ "explain", no_argument, NULL, 'e' }, { 0 },
};

static void take_option(int option)
{
	if (take_range(&range, option))
		return;
	switch (option) {
	case 'e':
		explaining = true;
		break;
	default:
		fputs("usage: fuzz-apic [--seed N] [--count N] [--seconds N] [--one SEED]\n"
		      "\t[--explain]\n", stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		take_option(option);
	setlinebuf(stdout);
	put_machine();
	memory_vee = make_ram();
	memory_kvm = make_ram();
	engine_vee.open(memory_vee);
	engine_kvm.open(memory_kvm);
	run_all();
	return differ != 0;
}
