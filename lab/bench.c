// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an exit costs, and the life of a VM, under one engine.
 *
 * What the guest sees is measured in the guest, between two RDTSCs around the
 * operation; what the program does, around the call.
 */
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"
#include "bench_op.h"
#include "bench_ticks.h"
#include "bench_watch.h"

#define ROUNDS		2000
#define LIVES		200	/* KVM's take some 4 million ticks each */
#define LARGE_PAGES	(TOUCH_BYTES / (2 * MIB))

static uint8_t *touch;

/* --- exits ---------------------------------------------------------------------- */

static const struct op ops[] = {
	OP("nothing at all", ROUNDS, 0x90),
	OP("PIO OUT to user space and back", ROUNDS, 0xe6, PORT),
	OP("PIO IN to user space and back", ROUNDS, 0xe4, PORT),
	OP("HLT exit to user space and back", ROUNDS, 0xf4),
	OP("MMIO write to user space and back", ROUNDS,
	   0x89, 0x04, 0x25, 0x00, 0x00, 0x00, 0x20),
	OP("MMIO read from user space and back", ROUNDS,
	   0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x20),
	OP("CPUID, answered in the kernel", ROUNDS, 0x31, 0xc0, 0x0f, 0xa2),
	/* mov $0xffff, %eax, which is no call of KVM's: -ENOSYS */
	OP("VMCALL (KVM: in the kernel; vee: to user space)", ROUNDS,
	   0xb8, 0xff, 0xff, 0x00, 0x00, 0x0f, 0x01, 0xc1),
	/* IA32_LSTAR: mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx */
	OP("WRMSR, answered in the kernel", ROUNDS, 0xb9, 0x82, 0x00, 0x00, 0xc0,
	   0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30),
	OP("RDMSR, answered in the kernel", ROUNDS,
	   0xb9, 0x82, 0x00, 0x00, 0xc0, 0x0f, 0x32),
	/* CD on and off in turn: mov %cr0, %rax; btc $30, %eax; mov %rax, %cr0 */
	OP("MOV to CR0, answered in the kernel", ROUNDS,
	   0x0f, 0x20, 0xc0, 0x0f, 0xba, 0xf8, 0x1e, 0x0f, 0x22, 0xc0),
};

/* Far from each other: one that brings its neighbours along has them in no other. */
static const struct op touch_apart =
	OP("first touch of a 4 KiB page, 64 KiB apart", TOUCH_BYTES / (64 * KIB),
	   0x41, 0x89, 0x45, 0x00, 0x49, 0x81, 0xc5, 0x00, 0x00, 0x01, 0x00);
static const struct op touch_far_apart =
	OP("first touch of a 4 KiB page, 2 MiB apart", LARGE_PAGES,
	   0x41, 0x89, 0x45, 0x00, 0x49, 0x81, 0xc5, 0x00, 0x00, 0x20, 0x00);
/* mov $16, %ecx; 1: mov %eax, (%r13); add $4096, %r13; dec %ecx; jnz 1b */
static const struct op touch_sixteen =
	OP("first touch of 16 pages of 4 KiB, in a row", TOUCH_BYTES / (64 * KIB),
	   0xb9, 0x10, 0x00, 0x00, 0x00, 0x41, 0x89, 0x45, 0x00,
	   0x49, 0x81, 0xc5, 0x00, 0x10, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xf1);
static const struct op touch_large =
	OP("first touch of a 2 MiB page, host page present", LARGE_PAGES,
	   0x41, 0x89, 0x45, 0x00, 0x49, 0x81, 0xc5, 0x00, 0x00, 0x20, 0x00);

/* As many VMs as it takes: a page can be touched first but once in each. */
static void measure_op(const struct op *op)
{
	uint32_t ticks[2 * ROUNDS];
	unsigned int count = 0;

	while (count < ROUNDS) {
		memcpy(&ticks[count], op_run(op, touch), op->rounds * sizeof(*ticks));
		count += op->rounds;
	}
	tell(op->name, ticks, count);
}

static void measure_touches(const struct op *op, int advice)
{
	touch = map(TOUCH_BYTES, advice);
	memset(touch, 1, TOUCH_BYTES);
	measure_op(op);
	munmap(touch, TOUCH_BYTES);
	touch = NULL;
}

/* --- what the program does ------------------------------------------------------- */

/* rdtsc; mov %eax, GPA_MAILBOX; iretq */
static const uint8_t handler[] = {
	0x0f, 0x31, 0x89, 0x04, 0x25,
	GPA_MAILBOX & 0xff, GPA_MAILBOX >> 8 & 0xff, GPA_MAILBOX >> 16, 0,
	0x48, 0xcf,
};

static void measure_interrupts(void)
{
	const struct op op = OP("interrupt", ROUNDS + 1, 0xfb, 0xe6, PORT);
	struct guest g = { .memory = memory };
	uint32_t ticks[ROUNDS];

	op_write(&op);
	engine->create(&g);
	engine->run(&g);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t before = __rdtsc();

		engine->inject(&g);
		engine->run(&g);
		ticks[i] = *(volatile uint32_t *)(memory + GPA_MAILBOX) - before;
	}
	engine->destroy(&g);
	tell("interrupt injection to the guest's handler", ticks, ROUNDS);
}

/* Rounds of an OUT, as the program sees them. */
static void time_exits(struct guest *g, uint32_t *ticks, bool change, bool rip)
{
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t before = __rdtsc();

		if (change)
			engine->change_regs(g, rip);
		engine->run(g);
		ticks[i] = (uint32_t)__rdtsc() - before;
	}
}

/* What it adds to an exit: some of it may be done at the next VM entry. */
static void measure_registers(const char *what, bool rip)
{
	const struct op op = OP("registers", 2 * ROUNDS + 1, 0xe6, PORT);
	struct guest g = { .memory = memory };
	uint32_t plain[ROUNDS], ticks[ROUNDS];

	op_write(&op);
	engine->create(&g);
	engine->run(&g);
	time_exits(&g, plain, false, false);
	time_exits(&g, ticks, true, rip);
	engine->destroy(&g);
	ticks_sort(plain, ROUNDS);
	for (int i = 0; i < ROUNDS; i++)
		ticks[i] -= ticks[i] < plain[ROUNDS / 2] ? ticks[i] : plain[ROUNDS / 2];
	tell(what, ticks, ROUNDS);
}

/* Who decodes may know an instruction again, if only by its bytes: each of these is new. */
static void measure_new_mmio(void)
{
	struct guest g = { .memory = memory };
	uint8_t *at = memory + GPA_CODE;
	uint32_t ticks[ROUNDS];

	for (uint32_t i = 0; i <= ROUNDS; i++, at += 7) {
		/* mov %eax, to another address each */
		memcpy(at, "\x89\x04\x25", 3);
		memcpy(at + 3, &(uint32_t) { GPA_MMIO + 4 * i }, 4);
	}
	engine->create(&g);
	engine->run(&g);
	time_exits(&g, ticks, false, false);
	engine->destroy(&g);
	tell("MMIO write, each instruction for the first time", ticks, ROUNDS);
}

static uint64_t ns_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Nanoseconds in which this thread had a CPU: in ns, to be ticks when all is over. */
static uint64_t own_ns(void)
{
	return ns_of(CLOCK_THREAD_CPUTIME_ID);
}

/* How long it takes to ask. */
static uint32_t own_ns_cost(void)
{
	uint32_t best = -1;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t before = own_ns();
		uint32_t cost = own_ns() - before;

		best = cost < best ? cost : best;
	}
	return best;
}

static void to_ticks(uint32_t *ns, uint32_t cost, double ticks_per_ns)
{
	for (int i = 0; i < LIVES; i++)
		ns[i] = (ns[i] - cost) * ticks_per_ns;
}

/* By the clock, and by what the thread itself has done: not waits, nor who ends them. */
static void measure_life(void)
{
	const struct op op = OP("life", 1, 0xe6, PORT);
	static uint32_t birth[LIVES], death[LIVES], own_birth[LIVES], own_death[LIVES];
	uint64_t ns = ns_of(CLOCK_MONOTONIC), ticks = __rdtsc();
	uint32_t cost = own_ns_cost();
	double ratio;

	op_write(&op);
	for (int i = 0; i < LIVES; i++) {
		struct guest g = { .memory = memory };
		uint64_t own = own_ns(), before = __rdtsc(), after;

		engine->create(&g);
		engine->run(&g);
		after = __rdtsc();
		birth[i] = after - before;
		own_birth[i] = own_ns() - own;
		own = own_ns();
		before = __rdtsc();
		engine->destroy(&g);
		death[i] = __rdtsc() - before;
		own_death[i] = own_ns() - own;
	}
	ratio = (double)(__rdtsc() - ticks) / (ns_of(CLOCK_MONOTONIC) - ns);
	to_ticks(own_birth, cost, ratio);
	to_ticks(own_death, cost, ratio);
	tell("create VM, slot, vCPU, to the first exit", birth, LIVES);
	tell("... of that what the thread did, no waits", own_birth, LIVES);
	tell("tear it all down", death, LIVES);
	tell("... of that what the thread did", own_death, LIVES);
}

void measure(void)
{
	memcpy(memory + GPA_HANDLER, handler, sizeof(handler));
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		measure_op(&ops[i]);
	measure_registers("reading RIP and changing RAX at an exit", false);
	measure_registers("reading RIP, changing RIP and RAX at an exit", true);
	measure_interrupts();
	measure_touches(&touch_apart, MADV_NOHUGEPAGE);
	measure_touches(&touch_far_apart, MADV_NOHUGEPAGE);
	measure_touches(&touch_sixteen, MADV_NOHUGEPAGE);
	measure_touches(&touch_large, MADV_HUGEPAGE);
	measure_new_mmio();
	measure_watches();
	measure_life();
	measure_idle_memory();
}
