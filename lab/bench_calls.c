// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM as a function call: what it takes from the call to the result, with the VM there
 * or made for it, alone or one of many.
 */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench_calls.h"
#include "bench_dirty.h"
#include "bench_template.h"
#include "bench_ticks.h"

#define ROUNDS		2000
#define LIVES		100
#define MANY		1000	/* VMs */
#define TURNS		5

GUEST_CODE(function, "lea 1(%rdi), %rax\n out %al, $" VALUE(PORT));

static const struct call_engine *calls;

static void check(uint64_t result, uint64_t argument)
{
	if (result != RESULT_OF(argument))
		die("%s: a call gave %#llx", engine->name, (unsigned long long)result);
}

/* --- a VM that is there ------------------------------------------------------------ */

static void measure_call(const char *what,
			 uint64_t (*call)(struct guest *g, uint64_t argument))
{
	struct guest g = { .memory = memory };
	uint32_t ticks[ROUNDS];

	calls->create(&g);
	engine->run(&g);
	calls->note(&g);
	check(call(&g, 0), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t before = __rdtsc(), result = call(&g, i);

		ticks[i] = __rdtsc() - before;
		check(result, i);
	}
	engine->destroy(&g);
	tell(what, ticks, ROUNDS);
}

/* --- a VM for one call ---------------------------------------------------------------- */

static void live(uint8_t *guest_memory)
{
	struct guest g = { .memory = guest_memory };

	calls->create(&g);
	engine->run(&g);
	engine->destroy(&g);
}

static void measure_life(void)
{
	uint32_t ticks[LIVES];

	for (int i = 0; i < LIVES; i++) {
		uint64_t before = __rdtsc();

		live(memory);
		ticks[i] = __rdtsc() - before;
	}
	tell("from nothing to the result and all gone, memory kept", ticks, LIVES);
}

/* --- many VMs --------------------------------------------------------------------------- */

static void allow_files(void)
{
	const struct rlimit files = { 4 * MANY, 4 * MANY };

	if (setrlimit(RLIMIT_NOFILE, &files))
		die("no room for the descriptors of %d VMs", MANY);
}

/* Of each VM in turn; a figure is a turn's mean. */
static void call_in_turn(struct guest *guests, int count, uint32_t *ticks)
{
	for (int turn = -1; turn < TURNS; turn++) {
		uint64_t before = __rdtsc();

		for (int i = 0; i < MANY; i++)
			check(calls->call(&guests[i % count], i), i);
		if (turn >= 0)
			ticks[turn] = (__rdtsc() - before) / MANY;
	}
}

static void measure_many(void)
{
	static struct guest guests[MANY];
	uint32_t ticks[TURNS];

	allow_files();
	for (int i = 0; i < MANY; i++) {
		guests[i] = (struct guest) { .memory = memory };
		calls->create(&guests[i]);
		engine->run(&guests[i]);
		if (!i) {
			call_in_turn(guests, 1, ticks);
			tell("1 VM alive, call after call", ticks, TURNS);
		}
	}
	call_in_turn(guests, MANY, ticks);
	for (int i = 0; i < MANY; i++)
		engine->destroy(&guests[i]);
	tell("1,000 VMs alive, calls round robin", ticks, TURNS);
}

void measure(void)
{
	calls = engine == &engine_kvm ? &calls_kvm : &calls_vee;
	calls->open();
	memcpy(memory + GPA_CODE, function, function_end - function);
	measure_call("a call into a VM that is there (one exit, registers kept)", calls->call);
	measure_call("the same, all registers set anew", calls->call_anew);
	measure_life();
	measure_many();
	/* These have other code. */
	measure_template();
	measure_dirty();
}
