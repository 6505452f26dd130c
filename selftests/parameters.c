// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module with parameters that change how runs are made: deadlines by an hrtimer
 * (preemption_timer=0), and no end to a stay in the guest (slice_us=0), which the lab's
 * CPU needs and others don't. A guest here runs with interrupts on, or not for long.
 */
#include "module_util.h"
#include "uring_util.h"

GUEST_CODE(spin, 64, SPIN);
GUEST_CODE(halt, 64, "hlt");
GUEST_CODE(idle, 64, "sti; hlt; hlt");
GUEST_CODE(cpuid_loop, 64, "1: xor %eax, %eax; cpuid; jmp 1b");

#define AFTER_HLT	(GPA_CODE + 2)	/* in idle */
#define VECTOR		0x40
#define NAP_NS		(50 * MS_NS)
#define AGAIN		20

static void set_interrupts(struct guest *g)
{
	g->page->regs.rflags |= X86_EFLAGS_IF;
	g->page->dirty |= VEE_STATE_REGS;
}

/* Runs @g and insists that its deadline takes as long as it says. */
static void run_deadline(struct __test_metadata *_metadata, struct guest *g, __u64 ns)
{
	__u64 before, spent;

	g->page->deadline_ns = ns;
	before = now_ns();
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	spent = now_ns() - before;
	EXPECT_LE(ns - ns / 100, spent);
	EXPECT_GE(ns + 500 * MS_NS, spent) TH_LOG("%llu ns became %llu", ns, spent);
	EXPECT_EQ(0, g->page->exit.instruction_length);
}

/* --- deadlines by an hrtimer --------------------------------------------------- */

FIXTURE(hrtimer) {
	struct guest g;
};

FIXTURE_SETUP(hrtimer)
{
	module_want(_metadata, "preemption_timer=N");
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(hrtimer)
{
	guest_close(&self->g);
}

TEST_F(hrtimer, deadline)
{
	static const __u64 deadlines[] = { 1, 1000, 100000, 1000000, 7654321 };
	unsigned int i;

	GUEST_LONG(&self->g, spin);
	for (i = 0; i < ARRAY_SIZE(deadlines); i++)
		run_deadline(_metadata, &self->g, deadlines[i]);
	EXPECT_LT(0, guest_read32(&self->g, GPA_DATA));
}

TEST_F(hrtimer, deadline_in_hlt)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, idle);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	for (i = 0; i < 3; i++) {
		run_deadline(_metadata, g, NAP_NS);
		EXPECT_EQ(AFTER_HLT, g->page->regs.rip);
	}
	run_deadline(_metadata, g, 1);
}

TEST_F(hrtimer, deadline_over_exits)
{
	GUEST_LONG(&self->g, cpuid_loop);
	set_interrupts(&self->g);
	run_deadline(_metadata, &self->g, 3 * MS_NS);
}

/* The timer of a run that has ended is no later run's. */
TEST_F(hrtimer, deadline_ends_with_the_run)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, halt);
	g->page->deadline_ns = 2 * NAP_NS;
	ASSERT_HLT(g, GPA_CODE);
	GUEST_LONG(g, spin);
	g->page->deadline_ns = 0;
	ASSERT_EQ(0, runner_start(&r, g));
	usleep(3 * NAP_NS / 1000);
	EXPECT_FALSE(runner_done(&r));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
}

/* Powers of two up to half a second: on any kernel some are sooner than the kick, some later. */
TEST_F(hrtimer, deadline_meets_kick)
{
	struct guest *g = &self->g;
	unsigned int i, kicked = 0;

	GUEST_LONG(g, spin);
	for (i = 0; i < 300; i++) {
		__u64 number = g->page->generation;
		struct runner r;
		int ret;

		g->page->deadline_ns = 1ULL << i % 30;
		ASSERT_EQ(0, runner_start(&r, g));
		usleep(i * 37 % 50 * 20);
		ret = vcpu_kick(g->vcpu, number);
		ASSERT_TRUE(!ret || ret == -ESTALE);
		/* The kernel may have work for the thread: nobody's fault. */
		if (runner_join(&r) == -EINTR)
			continue;
		ASSERT_EQ(0, r.ret);
		if (g->page->exit.reason == VEE_EXIT_KICKED)
			kicked++;
		else
			EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
		EXPECT_TRUE(!ret || g->page->exit.reason == VEE_EXIT_DEADLINE);
		EXPECT_EQ(number + 1, g->page->generation);
	}
	EXPECT_LT(0, kicked);
	EXPECT_GT(i, kicked);
}

/*
 * An inline run's budget, and then its deadline, from the beginning. So long that a
 * slow kernel has a worker by then.
 */
TEST_F(hrtimer, inline_budget)
{
	const __u64 deadline_ns = 500 * MS_NS;
	struct guest *g = &self->g;
	struct ring ring;
	__u64 before;
	int ret = ring_open(&ring, 0);

	if (ring.fd < 0)
		VEE_SKIP("no io_uring: %s", strerror(-ret));
	GUEST_LONG(g, spin);
	run_deadline(_metadata, g, NAP_NS);
	g->page->deadline_ns = deadline_ns;
	before = now_ns();
	ring_run(&ring, g->vcpu, 20000, 1);
	ASSERT_EQ(1, ring_submit(&ring));
	EXPECT_LE(19 * MS_NS, now_ns() - before);
	EXPECT_GE(deadline_ns, now_ns() - before);
	EXPECT_EQ(VEE_EXIT_DEADLINE, ring_result(&ring));
	EXPECT_LE(deadline_ns - deadline_ns / 50, now_ns() - before);
	EXPECT_GE(deadline_ns + 500 * MS_NS, now_ns() - before);
	ring_close(&ring);
}

/* --- plain entries -------------------------------------------------------------- */

/*
 * Without a slice, a deadline, a step or a window an exit that the engine answers leads
 * straight to the next entry: what is to be prepared before it must not be forgotten.
 */
FIXTURE(plain) {
	struct guest g;
	struct vee_post_ring *ring;
};

FIXTURE_SETUP(plain)
{
	struct vee_coalesce coalesce = {
		.size = sizeof(coalesce),
		.first = 0x10,
		.bytes = 4,
	};

	module_want(_metadata, "slice_us=0");
	guest_open(_metadata, &self->g);
	self->g.page->deadline_ns = 0;
	self->ring = mmap(NULL, VEE_POST_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			  self->g.vm, 0);
	ASSERT_NE(MAP_FAILED, self->ring);
	ASSERT_EQ(0, vee_call(self->g.vm, VEE_VM_COALESCE, &coalesce));
}

FIXTURE_TEARDOWN(plain)
{
	munmap(self->ring, VEE_POST_RING_BYTES);
	guest_close(&self->g);
}

#define ROUNDS	320
#define FAULTS	(ROUNDS / 32)
#define LSTAR	"0xc0000082"

/*
 * ESI counts down; each round is a CPUID, an RDMSR, a WRMSR and an OUT that is posted,
 * and one in 32 ends with a VMLAUNCH and a bad WRMSR. EBP counts how often a handler had
 * not run by the instruction after the fault. Handlers count in EDI and step over it.
 */
GUEST_LABEL(mixed_ud);
GUEST_LABEL(mixed_gp);
GUEST_CODE(mixed, 64,
	   "mixed_round: xor %eax, %eax; cpuid;"
	   "mov $" LSTAR ", %ecx; rdmsr; wrmsr;"
	   "mov %esi, %eax; out %eax, $0x10;"
	   "test $31, %esi; jnz 2f;"
	   "mov %edi, %r8d; vmlaunch; inc %r8d; cmp %edi, %r8d; je 1f; inc %ebp;"
	   "1: mov $0x80000000, %edx; mov %edi, %r8d; wrmsr;"
	   "inc %r8d; cmp %edi, %r8d; je 2f; inc %ebp;"
	   "2: dec %esi; jnz mixed_round; hlt;"
	   "mixed_ud: inc %edi; addq $3, (%rsp); iretq;"
	   "mixed_gp: inc %edi; add $8, %rsp; addq $2, (%rsp); iretq");

static void set_handler(struct guest *g, unsigned int vector, __u64 gpa)
{
	guest_write64(g, GPA_IDT + 16 * vector,
		      gpa | SEL_CODE64 << 16 | 0xeeULL << 40);
}

static void set_mixed(struct guest *g)
{
	GUEST_LONG(g, mixed);
	set_handler(g, VECTOR_UD, AT(mixed, mixed_ud));
	set_handler(g, VECTOR_GP, AT(mixed, mixed_gp));
	g->page->regs.rsi = ROUNDS;
	set_interrupts(g);
}

static struct vee_stats stats_of(const struct guest *g)
{
	struct vee_stats stats = { .size = sizeof(stats) };

	vee_call(g->vcpu, VEE_VCPU_STATS, &stats);
	return stats;
}

/* All of them in one run, with faults that the engine raises in between. */
TEST_F(plain, faults_among_exits)
{
	struct guest *g = &self->g;
	struct vee_stats before, after;
	unsigned int i;

	set_mixed(g);
	before = stats_of(g);
	do {
		int ret = guest_run_once(g);

		ASSERT_TRUE(!ret || ret == -EINTR);
	} while (g->page->exit.reason == VEE_EXIT_INTERRUPTED);
	ASSERT_EQ(VEE_EXIT_HLT, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
	after = stats_of(g);
	EXPECT_LE(4 * ROUNDS + 2 * FAULTS, after.entries - before.entries);
	/* A fault goes with the very next entry; besides there are the host's interrupts. */
	EXPECT_GE(4 * ROUNDS + 2 * FAULTS + 200, after.entries - before.entries)
		TH_LOG("%llu entries", after.entries - before.entries);
	/* The kernel may have had work for the thread, now and then. */
	EXPECT_GE(3, after.runs - before.runs);
	EXPECT_EQ(0, g->page->regs.rbp);
	EXPECT_EQ(2 * FAULTS, g->page->regs.rdi);
	ASSERT_EQ(ROUNDS, self->ring->tail);
	for (i = 0; i < ROUNDS; i++)
		EXPECT_EQ(ROUNDS - i, self->ring->posts[i].data);
}

/* From another thread, into a guest that does nothing but exit. */
TEST_F(plain, interrupt_arrives)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, cpuid_loop);
	set_interrupts(g);
	for (i = 0; i < AGAIN; i++) {
		struct runner r;

		ASSERT_EQ(0, runner_insist(&r, g));
		usleep(i * 100);
		EXPECT_EQ(0, vcpu_inject(g->vcpu, VEE_EVENT_INTERRUPT, VECTOR + i));
		EXPECT_EQ(0, runner_join(&r));
		ASSERT_EQ(VEE_EXIT_HYPERCALL, g->page->exit.reason)
			TH_LOG("%s", guest_describe(g));
		ASSERT_EQ(STUB(VECTOR + i), g->page->regs.rip);
		guest_resume_next(g);
	}
}

TEST_F(plain, kick_arrives)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, cpuid_loop);
	set_interrupts(g);
	for (i = 0; i < AGAIN; i++)
		ASSERT_TRUE(guest_kicked(g, i * 100)) TH_LOG("round %u", i);
}

/* What one run is to prepare, and the next is not. */
TEST_F(plain, deadlines_come_and_go)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		g->page->deadline_ns = 0;
		set_mixed(g);
		ASSERT_EQ(0, guest_insist(g));
		ASSERT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
		self->ring->head = self->ring->tail;
		GUEST_LONG(g, cpuid_loop);
		set_interrupts(g);
		run_deadline(_metadata, g, (1 + i) * MS_NS);
	}
}

#define BUDGET_US	3000
#define BUDGET_NS	(BUDGET_US * 1000ULL)

/* Stays until the TSC is at RDI: with interrupts off, so only the timer ends that. */
GUEST_CODE(stay, 64, "1: rdtsc; shl $32, %rdx; or %rdx, %rax; cmp %rdi, %rax; jb 1b; hlt");

/* How long the thread that submits it is kept by a run. */
static __u64 time_inline(struct __test_metadata *_metadata, struct ring *ring, struct guest *g)
{
	__u64 before = now_ns();

	ring_run(ring, g->vcpu, BUDGET_US, 0);
	ASSERT_EQ(1, ring_submit(ring));
	return now_ns() - before;
}

#define REASON_TIMER	52	/* SDM 3D, "VMX Basic Exit Reasons" */

static __u64 timer_exits(const struct guest *g)
{
	return stats_of(g).exits[REASON_TIMER];
}

/*
 * Inline runs with one budget: for each it is whole again, however often the one before
 * entered its guest, and whether or not it used all of it.
 */
TEST_F(plain, budgets_come_and_go)
{
	struct guest *g = &self->g;
	struct vee_info info = vee_info(g->dev);
	__u64 ticks = info.tsc_khz * 3ULL * BUDGET_US / 1000;
	__u64 spent, expired;
	struct ring ring;
	unsigned int i;
	int ret = ring_open(&ring, 0);

	if (ring.fd < 0)
		VEE_SKIP("no io_uring: %s", strerror(-ret));
	for (i = 0; i < 4; i++) {
		GUEST_LONG(g, halt);
		time_inline(_metadata, &ring, g);
		ASSERT_EQ(VEE_EXIT_HLT, ring_result(&ring));

		GUEST_LONG(g, stay);
		g->page->regs.rdi = host_tsc() + ticks;
		expired = timer_exits(g);
		spent = time_inline(_metadata, &ring, g);
		EXPECT_LE(BUDGET_NS - BUDGET_NS / 100, spent);
		EXPECT_EQ(VEE_EXIT_HLT, ring_result(&ring));
		if (info.features & VEE_FEATURE_PREEMPTION_TIMER)
			EXPECT_LT(expired, timer_exits(g));

		GUEST_LONG(g, cpuid_loop);
		set_interrupts(g);
		spent = time_inline(_metadata, &ring, g);
		EXPECT_LE(BUDGET_NS - BUDGET_NS / 100, spent);
		EXPECT_GE(BUDGET_NS + 500 * MS_NS, spent) TH_LOG("%llu ns", spent);
		/* In a worker it goes on with no budget. */
		usleep(2000);
		EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
		EXPECT_EQ(VEE_EXIT_KICKED, ring_result(&ring));
	}
	ring_close(&ring);
}

GUEST_LABEL(few_open);
GUEST_LABEL(few_hlt);
GUEST_CODE(few, 64,
	   "xor %eax, %eax; cpuid; xor %eax, %eax; cpuid; sti; nop;"
	   "few_open: xor %eax, %eax; cpuid; few_hlt: hlt");

TEST_F(plain, steps_come_and_go)
{
	static const unsigned int steps[] = { 2, 4, 6, 8, 9 };
	struct guest *g = &self->g;
	unsigned int i, round;

	for (round = 0; round < 3; round++) {
		GUEST_LONG(g, few);
		ASSERT_HLT(g, AT(few, few_hlt));
		GUEST_LONG(g, few);
		g->page->intercept = VEE_INTERCEPT_STEP;
		for (i = 0; i < ARRAY_SIZE(steps); i++)
			ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + steps[i]);
		g->page->intercept = 0;
		ASSERT_HLT(g, AT(few, few_hlt));
	}
}

TEST_F(plain, windows_come_and_go)
{
	struct guest *g = &self->g;
	unsigned int round;

	for (round = 0; round < 3; round++) {
		GUEST_LONG(g, few);
		ASSERT_HLT(g, AT(few, few_hlt));
		GUEST_LONG(g, few);
		g->page->intercept = VEE_INTERCEPT_INTERRUPT_WINDOW;
		ASSERT_RUN_AT(g, VEE_EXIT_INTERRUPT_WINDOW, AT(few, few_open));
		g->page->intercept = 0;
		ASSERT_HLT(g, AT(few, few_hlt));
		/* Closed again: an event of the caller's has to wait for it. */
		GUEST_LONG(g, few);
		guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
		ASSERT_VECTOR(g, VECTOR);
		EXPECT_EQ(AT(few, few_open), guest_read64(g, g->page->regs.rsp));
		guest_resume_next(g);
		ASSERT_HLT(g, AT(few, few_hlt));
	}
}

TEST_HARNESS_MAIN
