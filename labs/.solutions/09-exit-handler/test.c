// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 9: the selftest. README.md says what is to be done; ../../selftests/ has examples.
 */
#include "vee_util.h"
#include "hypercall.h"

#define REASON_CPUID	10

FIXTURE(hypercall) {
	struct guest g;
};

FIXTURE_SETUP(hypercall)
{
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(hypercall)
{
	guest_close(&self->g);
}

GUEST_CODE(count, 64,
	   "mov $3, %esi; 1: xor %eax, %eax; cpuid; dec %esi; jnz 1b;"
	   "mov $0x766565, %eax; mov $10, %edi; vmcall; hlt");
GUEST_CODE(call, 64, "vmcall; hlt");
#define CALL_END	(GPA_CODE + 3)

/* Three CPUIDs, and 3 is the answer. */
TEST_F(hypercall, answer)
{
	GUEST_LONG(&self->g, count);
	ASSERT_HLT(&self->g, GPA_CODE + (count_end - count) - 1);
	EXPECT_EQ(3, self->g.page->regs.rax);
}

TEST_F(hypercall, registers_kept)
{
	struct vee_regs *regs = &self->g.page->regs, before;

	GUEST_LONG(&self->g, call);
	regs->rax = HYPERCALL_EXITS;
	regs->rbx = 0x1234;
	regs->rcx = 0x5678;
	regs->rdi = REASON_CPUID;
	before = *regs;
	ASSERT_HLT(&self->g, CALL_END);
	before.rax = 0;
	before.rip = CALL_END;
	EXPECT_EQ(0, memcmp(regs, &before, sizeof(before)));
}

TEST_F(hypercall, no_count)
{
	GUEST_LONG(&self->g, call);
	self->g.page->regs.rax = HYPERCALL_EXITS;
	self->g.page->regs.rdi = VEE_STATS_REASONS;
	ASSERT_HLT(&self->g, CALL_END);
	EXPECT_EQ(HYPERCALL_NONE, self->g.page->regs.rax);
}

TEST_F(hypercall, others_are_the_callers)
{
	GUEST_LONG(&self->g, call);
	self->g.page->regs.rax = HYPERCALL_EXITS + 1;
	ASSERT_RUN_AT(&self->g, VEE_EXIT_HYPERCALL, GPA_CODE);
}

/* The handler is a VMCALL, which RAX would have answered: HLT in its place. */
TEST_F(hypercall, not_for_programs)
{
	GUEST_LONG(&self->g, call);
	guest_set_user(&self->g);
	self->g.mem[STUB(VECTOR_UD)] = 0xf4;
	self->g.page->regs.rax = HYPERCALL_EXITS;
	ASSERT_HLT(&self->g, STUB(VECTOR_UD));
}

TEST_HARNESS_MAIN
