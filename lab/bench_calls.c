// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM as a function call: what it takes from the call to the result, with the VM there
 * or made for it, and thrown away or put back.
 */
#include <string.h>

#include "bench_calls.h"
#include "bench_dirty.h"
#include "bench_fork.h"
#include "bench_template.h"
#include "bench_ticks.h"

#define ROUNDS		2000
#define LIVES		100

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

void measure(void)
{
	calls = engine == &engine_kvm ? &calls_kvm : &calls_vee;
	calls->open();
	memcpy(memory + GPA_CODE, function, function_end - function);
	measure_call("a call into a VM that is there (one exit, registers kept)", calls->call);
	measure_call("the same, all registers set anew", calls->call_anew);
	measure_life();
	/* These have other code. */
	measure_template();
	measure_dirty();
	measure_fork();
	if (engine == &engine_vee)
		measure_fn();
}
