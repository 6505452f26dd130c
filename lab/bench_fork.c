// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machines that begin as a snapshot of another: put back to it after each call; a thousand
 * of them, called in turn; and what memory one takes besides the pages that it has written.
 */
#include <string.h>
#include <sys/resource.h>

#include "bench_calls.h"
#include "bench_fork.h"
#include "bench_ticks.h"

#define ROUNDS		500
#define MANY		1000	/* VMs */
#define TURNS		5
#define WEIGHED		200	/* VMs */

/* Writes to RDI pages, in which there was 0: RAX is how many. */
GUEST_CODE(count_clean,
	   "xor %eax, %eax; mov %edi, %ecx; mov $" VALUE(GPA_WRITTEN) ", %ebx; jmp 2f\n"
	   "1: incl (%rbx); add (%rbx), %eax; add $4096, %ebx\n"
	   "2: dec %ecx; jns 1b\n"
	   "out %al, $" VALUE(PORT));

static const struct call_engine *calls;
static const struct fork_engine *forks;
static struct guest guests[MANY];

static void check(uint64_t result, uint64_t pages)
{
	if (result != pages)
		die("%s: of %llu pages %llu were not as they should be", engine->name,
		    (unsigned long long)pages, (unsigned long long)(result - pages));
}

/* --- put back after each call ----------------------------------------------------------- */

static void measure_back(const char *what, uint64_t pages)
{
	struct guest g = { 0 };
	uint32_t ticks[ROUNDS];

	forks->create(&g);
	for (int i = -2; i < ROUNDS; i++) {
		uint64_t before = __rdtsc(), result = forks->call_back(&g, pages);

		if (i >= 0)
			ticks[i] = __rdtsc() - before;
		check(result, pages);
	}
	forks->destroy(&g);
	tell(what, ticks, ROUNDS);
}

/* --- many VMs --------------------------------------------------------------------------- */

static void allow_files(void)
{
	const struct rlimit files = { 4 * MANY, 4 * MANY };

	if (setrlimit(RLIMIT_NOFILE, &files))
		die("no room for the descriptors of %d VMs", MANY);
}

/* Of each VM in turn; a figure is a turn's mean. */
static void call_in_turn(int count, uint32_t *ticks)
{
	for (int turn = -1; turn < TURNS; turn++) {
		uint64_t before = __rdtsc();

		for (int i = 0; i < MANY; i++)
			check(calls->call(&guests[i % count], 0), 0);
		if (turn >= 0)
			ticks[turn] = (__rdtsc() - before) / MANY;
	}
}

static void create(struct guest *g, uint64_t pages)
{
	*g = (struct guest) { 0 };
	forks->create(g);
	check(calls->call(g, pages), pages);
}

static void measure_many(void)
{
	uint32_t ticks[TURNS];

	for (int i = 0; i < MANY; i++) {
		create(&guests[i], 0);
		if (!i) {
			call_in_turn(1, ticks);
			tell("1 forked VM alive, call after call", ticks, TURNS);
		}
	}
	call_in_turn(MANY, ticks);
	for (int i = 0; i < MANY; i++)
		forks->destroy(&guests[i]);
	tell("1,000 forked VMs alive, calls round robin", ticks, TURNS);
}

/* --- memory ------------------------------------------------------------------------------ */

/* Those that a CPU keeps for its next request are free as well. */
static uint64_t free_bytes(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	uint64_t pages = 0, some;
	char line[200];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %lu", &some) == 1 ||
		    sscanf(line, " count: %lu", &some) == 1)
			pages += some;
	if (!pages)
		die("no /proc/zoneinfo");
	fclose(file);
	return pages * 4096;
}

/* Kernel's and program's. The first half takes what was free in pages that are in use. */
static void measure_bytes(void)
{
	uint64_t before = 0;
	uint32_t bytes;

	for (int i = 0; i < 2 * WEIGHED; i++) {
		if (i == WEIGHED)
			before = free_bytes();
		create(&guests[i], WRITTEN_MOST);
	}
	bytes = (before - free_bytes()) / WEIGHED - WRITTEN_MOST * 4096;
	for (int i = 0; i < 2 * WEIGHED; i++)
		forks->destroy(&guests[i]);
	tell("bytes of a forked VM that wrote 16 pages, beyond these", &bytes, 1);
}

void measure_fork(void)
{
	calls = engine == &engine_kvm ? &calls_kvm : &calls_vee;
	forks = engine == &engine_kvm ? &fork_kvm : &fork_vee;
	memcpy(memory + GPA_CODE, count_clean, count_clean_end - count_clean);
	memset(memory + GPA_WRITTEN, 0, WRITTEN_MOST * 4096);
	allow_files();
	forks->open();
	measure_bytes();
	measure_back("a forked VM called, and put back to its snapshot: 4 pages written", 4);
	measure_back("the same, 16 pages written", 16);
	measure_many();
}
