// SPDX-License-Identifier: GPL-2.0-only
/*
 * VEE_INTERCEPT_DESCRIPTOR: LGDT, SGDT and their like for a caller that asks to see
 * them, and a guest's UMIP on a CPU without.
 */
#include <cpuid.h>

#include "vee_util.h"

#define GPA_OPERAND	GPA_DATA
#define CPUID_UMIP	4	/* of ECX in leaf 7 */
#define CR4_UMIP	0x800ULL	/* X86_CR4_UMIP */

GUEST_CODE(sgdt, 64, "sgdt (%rbx); hlt");
GUEST_CODE(sidt, 64, "sidt (%rbx); hlt");
GUEST_CODE(lgdt, 64, "lgdt (%rbx); hlt");
GUEST_CODE(lidt, 64, "lidt (%rbx); hlt");
GUEST_CODE(sldt, 64, "sldt (%rbx); hlt");
GUEST_CODE(str, 64, "str (%rbx); hlt");
GUEST_CODE(lldt, 64, "lldt (%rbx); hlt");
GUEST_CODE(ltr, 64, "ltr (%rbx); hlt");
GUEST_CODE(sldt_register, 64, "sldt %eax; hlt");
GUEST_CODE(str_register, 64, "str %rax; hlt");
GUEST_CODE(sgdt_32, 32, "sgdt (%ebx); hlt");
GUEST_CODE(sgdt_16, 16, "sgdt (%bx); hlt");
GUEST_CODE(smsw, 64, "smsw %rax; vmcall");

static const struct {
	const unsigned char *code, *end;
	bool store;
} insns[] = {
	{ sgdt, sgdt_end, true }, { sidt, sidt_end, true }, { sldt, sldt_end, true },
	{ str, str_end, true }, { sldt_register, sldt_register_end, true },
	{ str_register, str_register_end, true }, { lgdt, lgdt_end, false },
	{ lidt, lidt_end, false }, { lldt, lldt_end, false }, { ltr, ltr_end, false },
};

FIXTURE(descriptor) {
	struct guest g;
};

FIXTURE_SETUP(descriptor)
{
	guest_open(_metadata, &self->g);
	if (!(vee_info(self->g.dev).features & VEE_FEATURE_DESCRIPTOR_EXITING)) {
		self->g.page->intercept = VEE_INTERCEPT_DESCRIPTOR;
		EXPECT_EQ(-EINVAL, guest_run(&self->g));
		VEE_SKIP("this CPU has no descriptor-table exiting");
	}
}

FIXTURE_TEARDOWN(descriptor)
{
	guest_close(&self->g);
}

static void start(struct guest *g, unsigned int i)
{
	guest_start(g, guest_set_long, insns[i].code, insns[i].end);
	g->page->regs.rbx = GPA_OPERAND;
	g->page->intercept = VEE_INTERCEPT_DESCRIPTOR;
}

static void expect_exit(struct __test_metadata *_metadata, struct guest *g, unsigned int i)
{
	const struct vee_exit_memory *exit = &g->page->exit.memory;
	size_t bytes = insns[i].end - insns[i].code - 1;

	ASSERT_RUN_AT(g, VEE_EXIT_DESCRIPTOR, GPA_CODE);
	EXPECT_EQ(bytes, g->page->exit.instruction_length);
	EXPECT_LE(bytes, exit->insn_bytes);
	EXPECT_EQ(0, memcmp(exit->insn, insns[i].code, bytes));
	EXPECT_EQ(8, exit->code_width);
	EXPECT_EQ(0, exit->access);
	EXPECT_EQ(0, exit->gva_valid);
}

/* Each, before it has done anything; and none that nobody asked for. */
TEST_F(descriptor, exits)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		start(g, i);
		guest_write64(g, GPA_OPERAND, 0x5a5a5a5a5a5a5a5a);
		expect_exit(_metadata, g, i);
		EXPECT_EQ(0x5a5a5a5a5a5a5a5a, guest_read64(g, GPA_OPERAND));
		/* The caller says that it is done. */
		guest_resume_next(g);
		ASSERT_RUN(g, VEE_EXIT_HLT);
	}
}

TEST_F(descriptor, not_asked_for)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; insns[i].store; i++) {
		start(g, i);
		g->page->intercept = 0;
		ASSERT_RUN(g, VEE_EXIT_HLT);
		/* ... any more. */
		start(g, i);
		expect_exit(_metadata, g, i);
		g->page->intercept = 0;
		ASSERT_RUN(g, VEE_EXIT_HLT);
	}
}

TEST_F(descriptor, modes)
{
	struct guest *g = &self->g;

	g->page->intercept = VEE_INTERCEPT_DESCRIPTOR;
	GUEST_PROTECTED(g, sgdt_32);
	g->page->regs.rbx = GPA_OPERAND;
	ASSERT_RUN(g, VEE_EXIT_DESCRIPTOR);
	EXPECT_EQ(4, g->page->exit.memory.code_width);
	GUEST_REAL(g, sgdt_16);
	ASSERT_RUN(g, VEE_EXIT_DESCRIPTOR);
	EXPECT_EQ(2, g->page->exit.memory.code_width);
	/* Bytes are for who wants them. */
	g->page->prefetch = VEE_STATE_REGS;
	ASSERT_RUN(g, VEE_EXIT_DESCRIPTOR);
	EXPECT_EQ(0, g->page->exit.memory.insn_bytes);
}

/* --- UMIP ---------------------------------------------------------------------------- */

static int set_umip(struct guest *g)
{
	struct vee_cpuid_entry entries[VEE_MAX_CPUID];
	__u32 i, count = VEE_MAX_CPUID;

	if (vcpu_get_cpuid(g->vcpu, entries, &count))
		return -1;
	for (i = 0; i < count; i++)
		if (entries[i].leaf == 7 && !entries[i].subleaf)
			entries[i].ecx |= CPUID_UMIP;
	return vcpu_set_cpuid(g->vcpu, entries, count);
}

TEST_F(descriptor, umip)
{
	struct guest *g = &self->g;
	unsigned int i;

	ASSERT_EQ(0, set_umip(g));
	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		/* At CPL 0 it changes nothing. */
		start(g, i);
		g->page->control.cr4 |= CR4_UMIP;
		expect_exit(_metadata, g, i);
		/* Loads are #GP at CPL 3 in any case. */
		start(g, i);
		guest_set_user(g);
		g->page->control.cr4 |= CR4_UMIP;
		ASSERT_VECTOR(g, VECTOR_GP);
		EXPECT_EQ(0, guest_read64(g, g->page->regs.rsp));
		EXPECT_EQ(GPA_CODE, guest_read64(g, g->page->regs.rsp + 8));
		/* Without CR4.UMIP a store at CPL 3 is the caller's. */
		if (!insns[i].store)
			continue;
		start(g, i);
		guest_set_user(g);
		expect_exit(_metadata, g, i);
	}
}

GUEST_CODE(set_cr4, 64, "mov %cr4, %rax; or $0x800, %eax; mov %rax, %cr4; mov %cr4, %rbx; hlt");

/* The guest sees it as it set it. */
TEST_F(descriptor, umip_in_cr4)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, set_umip(g));
	GUEST_LONG(g, set_cr4);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(CR4_UMIP, g->page->regs.rbx & CR4_UMIP);
	EXPECT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_CONTROL));
	EXPECT_EQ(CR4_UMIP, g->page->control.cr4 & CR4_UMIP);
}

/* What no control has exit goes on. */
TEST_F(descriptor, smsw)
{
	struct guest *g = &self->g;
	__u32 eax, ebx, ecx, edx;

	if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && ecx & CPUID_UMIP)
		VEE_SKIP("this CPU has UMIP");
	ASSERT_EQ(0, set_umip(g));
	GUEST_LONG(g, smsw);
	guest_set_user(g);
	g->page->intercept = VEE_INTERCEPT_DESCRIPTOR;
	g->page->control.cr4 |= CR4_UMIP;
	ASSERT_RUN(g, VEE_EXIT_HYPERCALL);
	EXPECT_EQ(X86_CR0_PE, g->page->regs.rax & X86_CR0_PE);
}

TEST_HARNESS_MAIN
