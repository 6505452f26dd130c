// SPDX-License-Identifier: GPL-2.0-only
/*
 * CR8 and vee_vcpu_page.tpr_threshold: a caller with an interrupt controller of its own
 * learns when the guest lowers CR8 below what it waits for, with the CPU's TPR shadow and
 * without (tpr_shadow=0).
 */
#include "module_util.h"

#define CLASS		5
#define VECTOR		(CLASS << 4 | 2)
#define TPR_MAX		15
#define CR8_EXITS	28	/* SDM 3C, "VMX Basic Exit Reasons": control-register accesses */

GUEST_LABEL(lower_is_lower);
GUEST_CODE(lower, 64,
	   "mov %rax, %cr8; mov %cr8, %rbx; mov %rcx, %cr8; lower_is_lower: mov %cr8, %rdx; hlt");
GUEST_CODE(lower_from_rsp, 64, "mov %rsp, %cr8; mov %cr8, %rsp; hlt");
GUEST_CODE(often, 64, "1: mov %rax, %cr8; mov %cr8, %rbx; dec %ecx; jnz 1b; hlt");
GUEST_CODE(idle, 64, "sti; mov %rcx, %cr8; hlt; hlt");

FIXTURE(tpr) {
	struct guest g;
};

FIXTURE_VARIANT(tpr) {
	const char *parameters;
	bool shadow;
};

FIXTURE_VARIANT_ADD(tpr, shadow) {
	.parameters = "",
	.shadow = true,
};

FIXTURE_VARIANT_ADD(tpr, exits) {
	.parameters = "tpr_shadow=N",
};

FIXTURE_SETUP(tpr)
{
	module_want(_metadata, variant->parameters);
	guest_open(_metadata, &self->g);
	if (variant->shadow && !(vee_info(self->g.dev).features & VEE_FEATURE_TPR_SHADOW))
		VEE_SKIP("this CPU has no TPR shadow");
}

FIXTURE_TEARDOWN(tpr)
{
	guest_close(&self->g);
}

static __u64 cr8_of(struct guest *g)
{
	vcpu_sync(g->vcpu, VEE_STATE_CONTROL);
	return g->page->control.cr8;
}

static void set_lower(struct guest *g, __u64 high, __u64 low)
{
	GUEST_LONG(g, lower);
	g->page->control.cr8 = TPR_MAX;
	g->page->regs.rax = high;
	g->page->regs.rcx = low;
}

/* After the MOV, and once the caller has set it to 0 the guest goes on. */
TEST_F(tpr, lowered)
{
	struct guest *g = &self->g;
	__u64 low;

	for (low = 0; low <= CLASS + 1; low++) {
		set_lower(g, CLASS, low);
		g->page->tpr_threshold = CLASS;
		if (low < CLASS) {
			ASSERT_RUN_AT(g, VEE_EXIT_TPR, AT(lower, lower_is_lower));
			EXPECT_EQ(0, g->page->exit.instruction_length);
			EXPECT_EQ(low, cr8_of(g));
			g->page->tpr_threshold = 0;
		}
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(CLASS, g->page->regs.rbx);
		EXPECT_EQ(low, g->page->regs.rdx);
		EXPECT_EQ(low, cr8_of(g));
	}
}

/* Whoever leaves it as it is gets no further. */
TEST_F(tpr, below_already)
{
	struct guest *g = &self->g;
	unsigned int i;

	set_lower(g, CLASS, 0);
	g->page->control.cr8 = CLASS - 1;
	g->page->tpr_threshold = CLASS;
	for (i = 0; i < 3; i++)
		ASSERT_RUN_AT(g, VEE_EXIT_TPR, GPA_CODE);
	g->page->tpr_threshold = CLASS - 1;
	ASSERT_RUN_AT(g, VEE_EXIT_TPR, AT(lower, lower_is_lower));
	/* The caller's own writes count, too. */
	vcpu_sync(g->vcpu, VEE_STATE_CONTROL);
	g->page->control.cr8 = CLASS;
	g->page->dirty |= VEE_STATE_CONTROL;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(CLASS, g->page->regs.rdx);
}

TEST_F(tpr, interrupt)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	g->page->control.cr8 = CLASS;
	g->page->tpr_threshold = CLASS;
	g->page->regs.rcx = CLASS - 1;
	ASSERT_RUN(g, VEE_EXIT_TPR);
	g->page->tpr_threshold = 0;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
}

/* A guest in HLT does not lower it, but its caller may. */
TEST_F(tpr, asleep)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	g->page->control.cr8 = CLASS;
	g->page->regs.rcx = CLASS;
	g->page->tpr_threshold = CLASS;
	g->page->deadline_ns = 10 * MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	g->page->deadline_ns = DEADLINE_NS;
	g->page->tpr_threshold = CLASS + 1;
	ASSERT_RUN(g, VEE_EXIT_TPR);
}

/* A step ends first, and what it did is not forgotten. */
TEST_F(tpr, step)
{
	struct guest *g = &self->g;

	set_lower(g, CLASS - 1, CLASS);
	g->page->tpr_threshold = CLASS;
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_RUN(g, VEE_EXIT_DEBUG);
	EXPECT_EQ(GPA_CODE + 4, g->page->regs.rip);
	ASSERT_RUN_AT(g, VEE_EXIT_TPR, GPA_CODE + 4);
}

TEST_F(tpr, rsp)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, lower_from_rsp);
	g->page->control.cr8 = CLASS;
	g->page->regs.rsp = CLASS - 2;
	g->page->tpr_threshold = CLASS;
	ASSERT_RUN(g, VEE_EXIT_TPR);
	g->page->tpr_threshold = 0;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(CLASS - 2, g->page->regs.rsp);
}

TEST_F(tpr, too_large_for_cr8)
{
	struct guest *g = &self->g;

	set_lower(g, TPR_MAX + 1, 0);
	g->page->tpr_threshold = 1;
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(TPR_MAX, cr8_of(g));
}

static __u64 cr_exits(const struct guest *g)
{
	struct vee_stats stats = { .size = sizeof(stats) };

	vee_call(g->vcpu, VEE_VCPU_STATS, &stats);
	return stats.exits[CR8_EXITS];
}

/* With the shadow an access that nobody waits for costs nothing, from the first time on. */
TEST_F(tpr, cost)
{
	struct guest *g = &self->g;
	__u32 threshold;
	__u64 before;

	GUEST_LONG(g, often);
	g->page->regs.rax = CLASS;
	g->page->regs.rcx = 10;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(20, cr_exits(g));

	for (threshold = 2; threshold--;) {
		before = cr_exits(g);
		g->page->tpr_threshold = threshold;
		guest_set_rip(g, GPA_CODE);
		g->page->regs.rcx = 10;
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(variant->shadow ? 0 : 20, cr_exits(g) - before);
	}
}

TEST_F(tpr, bad)
{
	struct guest *g = &self->g;

	set_lower(g, CLASS, 0);
	g->page->tpr_threshold = TPR_MAX + 1;
	EXPECT_EQ(-EINVAL, guest_run(g));
	g->page->tpr_threshold = 1U << 31;
	EXPECT_EQ(-EINVAL, guest_run(g));
	/* Nor is a good one taken together with something bad. */
	g->page->tpr_threshold = CLASS;
	g->page->options = 1U << 31;
	EXPECT_EQ(-EINVAL, guest_run(g));
	g->page->options = 0;
	g->page->tpr_threshold = TPR_MAX;
	g->page->regs.rax = 0;
	ASSERT_RUN(g, VEE_EXIT_TPR);
}

TEST_HARNESS_MAIN
