// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lab/bench-boot compares: how long Linux took to get here, then a program
 * that only counts and one that only goes through memory, in ticks of the TSC,
 * which in the lab are instructions. Tells both stdout and the console.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "bench_ticks.h"

#define ROUNDS		5
#define CPU_STEPS	20000000u
#define BYTES		(16u << 20)
#define LINE		64u
#define SWEEPS		24u

/* When Linux began, as boot.S or the bench's script says: the low 32 bits. */
static uint32_t start_tsc(void)
{
	char text[4096] = "", *at;
	FILE *f = fopen("/proc/cmdline", "r");

	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = 0;
		fclose(f);
	}
	at = strstr(text, "tsc0=");
	return at ? strtoull(at + 5, NULL, 16) : 0;
}

static void report(const char *what, uint64_t ticks)
{
	FILE *console = fopen("/dev/console", "w");

	printf("bench %s %llu\n", what, (unsigned long long)ticks);
	fflush(stdout);
	if (!console)
		return;
	fprintf(console, "bench %s %llu\n", what, (unsigned long long)ticks);
	fclose(console);
}

static uint64_t count(void *unused)
{
	uint64_t x = 1;

	(void)unused;
	for (uint32_t i = 0; i < CPU_STEPS; i++)
		x = x * 6364136223846793005ULL + i;
	return x;
}

static uint64_t go_through(void *memory)
{
	volatile uint64_t *words = memory;
	uint64_t sum = 0;

	for (uint32_t sweep = 0; sweep < SWEEPS; sweep++)
		for (uint32_t at = 0; at < BYTES; at += LINE) {
			sum += words[at / 8];
			words[at / 8] = sum;
		}
	return sum;
}

/* The median of a few rounds, so that the timer's ticks are in it. */
static void measure(const char *what, uint64_t (*work)(void *), void *arg)
{
	uint32_t ticks[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t before = __rdtsc();
		volatile uint64_t result = work(arg);

		(void)result;
		ticks[i] = __rdtsc() - before;
	}
	ticks_sort(ticks, ROUNDS);
	report(what, ticks[ROUNDS / 2]);
}

int main(void)
{
	uint32_t now = __rdtsc();
	void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* Before Linux, the BIOS waits: on a quick clock for longer than 32 bits count. */
	report("boot", now - start_tsc());
	if (memory == MAP_FAILED)
		return 1;
	memset(memory, 1, BYTES);
	measure("cpu", count, NULL);
	measure("memory", go_through, memory);
	return 0;
}
