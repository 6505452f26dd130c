// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that spin: PAUSE-loop exiting, and the turn that a vCPU's thread gives to one of the
 * same VM that waits for a CPU.
 */
#include "module_util.h"

#define EXIT_PAUSE	40

#define WORD		GPA_DATA	/* whose turn it is */
#define TURNS		(GPA_DATA + 0x10)

#define SPIN_NS		20000000
#define TURNS_NS	200000000

GUEST_CODE(spin, 64, "sti; 1: pause; jmp 1b");
GUEST_CODE(sleep_on, 64, "1: sti; hlt; jmp 1b");
GUEST_CODE(compute, 64, "sti; 1: incl 0x20020; jmp 1b");
/* In a register each has its number, and in another the other's. */
GUEST_CODE(take_turns, 64,
	   "sti; jmp 2f; 1: pause; 2: cmp %ebx, 0x20000; jne 1b;"
	   "incl 0x20010; mov %ecx, 0x20000; jmp 2b");

FIXTURE(spin) {
	struct guest g;
	struct guest other;
};

FIXTURE_SETUP(spin)
{
	/* Two on one CPU are what this is for. */
	ASSERT_EQ(0, pin_to_cpu(0));
	module_want(_metadata, "");
	guest_open_apic(_metadata, &self->g);
	if (!(vee_info(self->g.dev).features & VEE_FEATURE_PAUSE_LOOP))
		VEE_SKIP("this CPU notices no loops with PAUSE");
}

FIXTURE_TEARDOWN(spin)
{
	guest_close(&self->g);
}

static __u64 pauses(const struct guest *g)
{
	struct vee_stats stats = { .size = sizeof(stats) };

	vee_call(g->vcpu, VEE_VCPU_STATS, &stats);
	return stats.exits[EXIT_PAUSE];
}

static void add_other(struct __test_metadata *_metadata, struct guest *g, struct guest *other)
{
	guest_open_sibling(_metadata, g, other, 1);
	guest_turn_apic_on(_metadata, other);
}

static void spin_for_a_while(struct __test_metadata *_metadata, struct guest *g)
{
	g->page->deadline_ns = SPIN_NS;
	GUEST_LONG(g, spin);
	ASSERT_EQ(0, guest_insist(g));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
}

TEST_F(spin, is_noticed)
{
	add_other(_metadata, &self->g, &self->other);
	spin_for_a_while(_metadata, &self->g);
	EXPECT_LT(0, pauses(&self->g));
	guest_close(&self->other);
}

/* A vCPU that comes later counts. */
TEST_F(spin, not_alone)
{
	spin_for_a_while(_metadata, &self->g);
	EXPECT_EQ(0, pauses(&self->g));
	add_other(_metadata, &self->g, &self->other);
	spin_for_a_while(_metadata, &self->g);
	EXPECT_LT(0, pauses(&self->g));
	guest_close(&self->other);
}

TEST_F(spin, not_without_pause)
{
	struct guest *g = &self->g;

	add_other(_metadata, g, &self->other);
	g->page->deadline_ns = SPIN_NS;
	GUEST_LONG(g, compute);
	ASSERT_EQ(0, guest_insist(g));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	EXPECT_EQ(0, pauses(g));
	guest_close(&self->other);
}

/* Nor in a VM without local APICs. */
TEST_F(spin, not_without_apic)
{
	struct guest plain, sibling;

	guest_open(_metadata, &plain);
	guest_open_sibling(_metadata, &plain, &sibling, 1);
	spin_for_a_while(_metadata, &plain);
	EXPECT_EQ(0, pauses(&plain));
	guest_close(&sibling);
	guest_close(&plain);
}

/* Two on one CPU that hand something to and fro: how often. */
static __u32 turns_taken(struct __test_metadata *_metadata, struct guest *g,
			 struct guest *other)
{
	struct runner runners[2];
	unsigned int i;

	guest_write64(g, WORD, 0);
	guest_write64(g, TURNS, 0);
	g->page->deadline_ns = TURNS_NS;
	other->page->deadline_ns = TURNS_NS;
	GUEST_LONG(g, take_turns);
	GUEST_LONG(other, take_turns);
	g->page->regs.rbx = 0;
	g->page->regs.rcx = 1;
	other->page->regs.rbx = 1;
	other->page->regs.rcx = 0;
	ASSERT_EQ(0, runner_insist(&runners[0], g));
	ASSERT_EQ(0, runner_insist(&runners[1], other));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, runner_join(&runners[i]));
		EXPECT_EQ(VEE_EXIT_DEADLINE, runners[i].g->page->exit.reason);
	}
	return guest_read32(g, TURNS);
}

TEST_F(spin, gives_its_turn)
{
	__u32 by_scheduler, turns;

	add_other(_metadata, &self->g, &self->other);
	turns = turns_taken(_metadata, &self->g, &self->other);
	guest_close(&self->other);
	guest_close(&self->g);

	module_want(_metadata, "pause_window=0");
	guest_open_apic(_metadata, &self->g);
	add_other(_metadata, &self->g, &self->other);
	by_scheduler = turns_taken(_metadata, &self->g, &self->other);
	guest_close(&self->other);
	EXPECT_LT(2 * by_scheduler, turns);
	TH_LOG("%u turns, %u by the scheduler alone", turns, by_scheduler);
}

/* One that sleeps in HLT, or has no run, has no use for a turn. */
TEST_F(spin, to_nobody)
{
	struct guest *g = &self->g, *other = &self->other;
	struct runner r;

	add_other(_metadata, g, other);
	spin_for_a_while(_metadata, g);
	GUEST_LONG(other, sleep_on);
	other->page->deadline_ns = 10 * SPIN_NS;
	ASSERT_EQ(0, runner_insist(&r, other));
	spin_for_a_while(_metadata, g);
	EXPECT_LT(0, pauses(g));
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_DEADLINE, other->page->exit.reason);
	guest_close(other);
}

TEST_F(spin, turned_off)
{
	guest_close(&self->g);
	module_want(_metadata, "pause_window=0");
	guest_open_apic(_metadata, &self->g);
	add_other(_metadata, &self->g, &self->other);
	spin_for_a_while(_metadata, &self->g);
	EXPECT_EQ(0, pauses(&self->g));
	guest_close(&self->other);
}

TEST_HARNESS_MAIN
