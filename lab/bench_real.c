// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paths of lab/bench-real, on one CPU: a line "engine|what|quartile|median|quartile|
 * rounds" for each, in ticks of the TSC, with a line "clock|engine|what|before|after"
 * beside it, how many ticks a thousand cycles took before and after it; and at the end, if
 * root's /dev/cpu/N/msr can be read, "perf|engine|APERF|MPERF", how far they have counted.
 */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_kvm.h"
#include "bench_op.h"
#include "bench_path.h"
#include "bench_ticks.h"

#define ROUNDS		4000
/* A VM's: no more than KVM has room for. ROUNDS is a multiple. */
#define POSTS		80

/* --- the clock -------------------------------------------------------------------- */

#define CHAIN_CYCLES	1000
#define CHAINS		101

/*
 * Each waits for the one before, and takes a cycle on every CPU: none of them finds out
 * that it needn't, as some do of MOV and ADD.
 */
static __always_inline void chain(uint64_t *x)
{
	asm volatile(".rept " VALUE(CHAIN_CYCLES) "; xor %1, %0; .endr" : "+r" (*x) : "r" (3ULL));
}

static uint32_t chain_once(bool twice)
{
	uint64_t begin, x = 1;
	unsigned int aux;

	_mm_lfence();
	begin = __rdtsc();
	_mm_lfence();
	chain(&x);
	if (twice)
		chain(&x);
	return __rdtscp(&aux) - begin;
}

static uint32_t chain_median(bool twice)
{
	uint32_t ticks[CHAINS];

	for (int i = 0; i < CHAINS; i++)
		ticks[i] = chain_once(twice);
	ticks_sort(ticks, CHAINS);
	return ticks[CHAINS / 2];
}

/* The difference has no RDTSCs in it. */
static uint32_t ticks_per_chain(void)
{
	return chain_median(true) - chain_median(false);
}

/* For as long as a CPU takes to come up to its frequency. */
static void warm_up(void)
{
	for (int i = 0; i < 100; i++)
		ticks_per_chain();
}

#define MSR_MPERF	0xe7
#define MSR_APERF	0xe8

struct perf {
	uint64_t aperf, mperf;
};

/* False: it can't be read. */
static bool read_perf(int cpu, struct perf *perf)
{
	char path[64];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = pread(fd, &perf->aperf, 8, MSR_APERF) == 8 &&
	     pread(fd, &perf->mperf, 8, MSR_MPERF) == 8;
	close(fd);
	return ok;
}

/* The one that it runs on: who starts it chooses. */
static int stay_on_this_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpu < 0 || sched_setaffinity(0, sizeof(set), &set))
		die("it can't be kept on one CPU");
	return cpu;
}

/* --- the paths -------------------------------------------------------------------- */

GUEST_CODE(nothing, "nop");
GUEST_CODE(out, DO_OUT);
GUEST_CODE(cpuid, DO_CPUID);
GUEST_CODE(hlt, DO_HLT);
GUEST_CODE(mmio, DO_MMIO);
GUEST_CODE(wrmsr, DO_WRMSR);
GUEST_CODE(cr0, DO_CR0);
GUEST_CODE(like_linux, LIKE_LINUX);

/**
 * struct measured - a path that the guest measures
 * @op: what it does
 * @prepare: what is to be done to the guest before, if anything
 * @cpuid: KVM has to be told of CPUID
 */
struct measured {
	struct op op;
	void (*prepare)(struct guest *g);
	bool cpuid;
};

#define GUEST_OP(what, how_often, text)					\
	.name = what, .rounds = how_often, .code = text, .bytes = text##_end - text

static void sample_op(const struct measured *m, uint32_t *ticks)
{
	const bool before = kvm_has_cpuid;
	unsigned int count = 0;

	kvm_has_cpuid = before || m->cpuid;
	while (count < ROUNDS) {
		struct guest g = { .memory = memory };

		op_write(&m->op);
		engine->create(&g);
		if (m->prepare)
			m->prepare(&g);
		guest_run_to_the_end(&g);
		engine->destroy(&g);
		memcpy(&ticks[count], memory + GPA_SAMPLES, m->op.rounds * sizeof(*ticks));
		count += m->op.rounds;
	}
	kvm_has_cpuid = before;
}

static void sample_interrupts(uint32_t *ticks)
{
	struct guest g = { .memory = memory };

	path_begin_interrupts(&g);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t begin = __rdtsc();

		path_interrupt(&g);
		ticks[i] = (uint32_t)__rdtsc() - begin;
	}
	engine->destroy(&g);
}

/* --- the whole -------------------------------------------------------------------- */

static void tell_quartiles(const char *what, uint32_t *ticks, uint32_t before)
{
	printf("clock|%s|%s|%u|%u\n", engine->name, what, before, ticks_per_chain());
	ticks_sort(ticks, ROUNDS);
	printf("%s|%s|%u|%u|%u|%u\n", engine->name, what, ticks[ROUNDS / 4], ticks[ROUNDS / 2],
	       ticks[ROUNDS * 3 / 4], ROUNDS);
	fflush(stdout);
}

static void measure_op(const struct measured *m)
{
	static uint32_t ticks[ROUNDS];
	uint32_t before = ticks_per_chain();

	sample_op(m, ticks);
	tell_quartiles(m->op.name, ticks, before);
}

static void measure_interrupts(void)
{
	static uint32_t ticks[ROUNDS];
	uint32_t before = ticks_per_chain();

	sample_interrupts(ticks);
	tell_quartiles(NAME_INTERRUPT, ticks, before);
}

void measure(void)
{
	const struct measured paths[] = {
		{ .op = { GUEST_OP("nothing, but for the RDTSCs", ROUNDS, nothing) } },
		{ .op = { GUEST_OP(NAME_PIO, ROUNDS, out) } },
		{ .op = { GUEST_OP(NAME_CPUID, ROUNDS, cpuid) } },
		{ .op = { GUEST_OP(NAME_HLT, ROUNDS, hlt) } },
		{ .op = { GUEST_OP(NAME_MMIO, ROUNDS, mmio) } },
		{ .op = { GUEST_OP(NAME_WRMSR, ROUNDS, wrmsr) } },
		{ .op = { GUEST_OP(NAME_CR0, ROUNDS, cr0) } },
		{ .op = { GUEST_OP(NAME_POSTED, POSTS, out) }, .prepare = path_post },
		{ .op = { GUEST_OP(NAME_BELL, ROUNDS, out) }, .prepare = path_ring },
		{ .op = { GUEST_OP(NAME_LINUX, ROUNDS, out), .before = like_linux,
			  .before_bytes = like_linux_end - like_linux }, .cpuid = true },
	};
	int cpu = stay_on_this_cpu();
	struct perf begin, end;
	bool has_perf = read_perf(cpu, &begin);

	warm_up();
	measure_interrupts();
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		measure_op(&paths[i]);
	if (has_perf && read_perf(cpu, &end))
		printf("perf|%s|%llu|%llu\n", engine->name,
		       (unsigned long long)(end.aperf - begin.aperf),
		       (unsigned long long)(end.mperf - begin.mperf));
}
