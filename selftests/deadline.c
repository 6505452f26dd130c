// SPDX-License-Identifier: GPL-2.0-only
/* Runs that are to end after so long. */
#include "vee_util.h"

#define NAP_US		10000

GUEST_CODE(spin, 64, SPIN);
GUEST_CODE(halt, 64, "hlt; hlt");
GUEST_CODE(cpuid_loop, 64, "1: xor %eax, %eax; cpuid; jmp 1b");

FIXTURE(deadline) {
	struct guest g;
};

FIXTURE_SETUP(deadline)
{
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(deadline)
{
	guest_close(&self->g);
}

TEST_F(deadline, passes)
{
	static const __u64 deadlines[] = {
		1, 1000, 100000, 1000000, 7654321,
	};
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, spin);
	for (i = 0; i < ARRAY_SIZE(deadlines); i++) {
		__u64 before, spent;

		g->page->deadline_ns = deadlines[i];
		before = now_ns();
		ASSERT_RUN(g, VEE_EXIT_DEADLINE);
		spent = now_ns() - before;
		/* Two clocks: a part in a hundred between them is no fault. */
		EXPECT_LE(deadlines[i] - deadlines[i] / 100, spent);
		EXPECT_GE(deadlines[i] + 500 * MS_NS, spent)
			TH_LOG("%llu ns became %llu", deadlines[i], spent);
		EXPECT_EQ(0, g->page->exit.instruction_length);
	}
	EXPECT_LT(0, guest_read32(g, GPA_DATA));
}

/* It stays in force until it is changed. */
TEST_F(deadline, stays)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, spin);
	g->page->deadline_ns = MS_NS;
	for (i = 0; i < 3; i++) {
		ASSERT_RUN(g, VEE_EXIT_DEADLINE);
		EXPECT_EQ(MS_NS, g->page->deadline_ns);
	}
}

TEST_F(deadline, not_reached)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halt);
	ASSERT_HLT(g, GPA_CODE);
	guest_resume_next(g);
	g->page->deadline_ns = -1ULL;
	ASSERT_HLT(g, GPA_CODE + 1);
}

/* A deadline beyond all counting is none, and so is 0. */
TEST_F(deadline, none)
{
	static const __u64 none[] = { 0, -1ULL, BIT_ULL(63), BIT_ULL(62) };
	struct guest *g = &self->g;
	struct runner r;
	unsigned int i;

	GUEST_LONG(g, spin);
	g->page->deadline_ns = MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		g->page->deadline_ns = none[i];
		ASSERT_EQ(0, runner_start(&r, g));
		ASSERT_TRUE(guest_counts(g));
		usleep(5000);
		EXPECT_FALSE(runner_done(&r)) TH_LOG("%#llx", none[i]);
		EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
		EXPECT_EQ(0, runner_join(&r));
		EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	}
}

/* The deadline is the run's, not that of one stay in the guest. */
TEST_F(deadline, over_exits)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, cpuid_loop);
	g->page->deadline_ns = 3 * MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
}

/* What the guest did before the deadline is done; it goes on from there. */
TEST_F(deadline, goes_on)
{
	struct guest *g = &self->g;
	__u32 count;

	GUEST_LONG(g, spin);
	g->page->deadline_ns = 50 * MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	count = guest_read32(g, GPA_DATA);
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	EXPECT_LT(count, guest_read32(g, GPA_DATA));
}

/* More ticks than 64 bits can count, with the TSC of most machines: lab/check has one. */
TEST_F(deadline, centuries)
{
	static const __u64 deadlines[] = {
		1ULL << 62, 1ULL << 63, ~0ULL - 1, ~0ULL,
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(deadlines); i++) {
		GUEST_LONG(g, halt);
		g->page->deadline_ns = deadlines[i];
		ASSERT_HLT(g, GPA_CODE);
	}
}

/* ... and one that is to end a sleep. */
TEST_F(deadline, sleeps_for_centuries)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, halt);
	g->page->regs.rflags |= X86_EFLAGS_IF;
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	g->page->deadline_ns = ~0ULL;
	ASSERT_EQ(0, runner_start(&r, g));
	usleep(NAP_US);
	EXPECT_FALSE(runner_done(&r));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
}

TEST_HARNESS_MAIN
