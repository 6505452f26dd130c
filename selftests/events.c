// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts, NMIs and exceptions: their injection, what they wait for, the
 * windows, and that none is lost or doubled when its delivery is cut short.
 */
#include <stddef.h>

#include "vee_util.h"

#define VECTOR		0x40
#define OTHER_VECTOR	0x50

GUEST_CODE(halt, 64, "nop; hlt; nop; hlt");

FIXTURE(events) {
	struct guest g;
};

FIXTURE_SETUP(events)
{
	guest_open(_metadata, &self->g);
	self->g.page->prefetch = VEE_STATE_ALL;
	GUEST_LONG(&self->g, halt);
}

FIXTURE_TEARDOWN(events)
{
	guest_close(&self->g);
	guest_unblock_nmis(_metadata);
}

static void enable_interrupts(struct guest *g)
{
	g->page->regs.rflags |= X86_EFLAGS_IF;
	g->page->dirty |= VEE_STATE_REGS;
}

static void inject_software(struct guest *g, __u8 type, __u8 vector,
			    __u8 length)
{
	guest_inject(g, type, vector);
	g->page->inject.instruction_length = length;
}

/* Where the handler that has just begun will return to. */
static __u64 return_address(struct guest *g)
{
	return guest_read64(g, g->page->regs.rsp);
}

static bool nothing_waits(const struct vee_events *events)
{
	return !((events->delivering.flags | events->interrupt.flags |
		  events->nmi.flags) & VEE_EVENT_VALID);
}

/*
 * Takes all of the guest's memory out of its EPT, contents unharmed: every
 * access after that is a first touch, those of an event's delivery too.
 */
static void drop_mappings(struct guest *g)
{
	mprotect(g->mem, GUEST_BYTES, PROT_NONE);
	mprotect(g->mem, GUEST_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* --- external interrupts --------------------------------------------------- */

TEST_F(events, interrupt)
{
	struct guest *g = &self->g;

	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(0, g->page->inject.flags);
	EXPECT_EQ(GPA_CODE, return_address(g));
	EXPECT_EQ(0, g->page->regs.rflags & X86_EFLAGS_IF);
	EXPECT_TRUE(nothing_waits(&g->page->events));
	EXPECT_EQ(0, g->page->exit.flags & VEE_EXIT_EVENT_PENDING);
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
	guest_resume_next(g);
	/* Once, not twice. */
	ASSERT_HLT(g, GPA_CODE + 3);
}

TEST_F(events, interrupt_every_vector)
{
	struct guest *g = &self->g;
	unsigned int vector;

	for (vector = 0; vector < 256; vector++) {
		guest_set_regs(g);
		enable_interrupts(g);
		guest_inject(g, VEE_EVENT_INTERRUPT, vector);
		ASSERT_VECTOR(g, vector);
		ASSERT_EQ(GPA_CODE, return_address(g));
	}
}

TEST_F(events, interrupt_protected_mode)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, halt);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(GPA_STACK - 12, g->page->regs.rsp);
	EXPECT_EQ(GPA_CODE, guest_read32(g, GPA_STACK - 12));
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

TEST_F(events, interrupt_real_mode)
{
	struct guest *g = &self->g;

	GUEST_REAL(g, halt);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(GPA_STACK - 6, g->page->regs.rsp);
	EXPECT_EQ(GPA_CODE, guest_read32(g, GPA_STACK - 6) & 0xffff);
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

GUEST_CODE(pause_loop, 64, "1: pause; jmp 1b");

TEST_F(events, interrupt_user)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, pause_loop);
	guest_set_user(g);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(GPA_STACK0 - 40, g->page->regs.rsp);
	EXPECT_EQ(SEL_USER_CODE64 | 3, guest_read64(g, GPA_STACK0 - 32));
}

/* Held back by RFLAGS.IF, and then by the instruction behind STI. */
GUEST_LABEL(sti_shadow_end);
GUEST_CODE(sti_code, 64, "hlt; sti; nop; sti_shadow_end: nop; hlt");

TEST_F(events, interrupt_waits)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, sti_code);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_HLT(g, GPA_CODE);
	EXPECT_EQ(0, g->page->inject.flags);
	EXPECT_EQ(VEE_EXIT_EVENT_PENDING,
		  g->page->exit.flags & VEE_EXIT_EVENT_PENDING);
	EXPECT_EQ(VEE_EVENT_VALID, g->page->events.interrupt.flags);
	EXPECT_EQ(VECTOR, g->page->events.interrupt.vector);
	EXPECT_EQ(VEE_EVENT_INTERRUPT, g->page->events.interrupt.type);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(AT(sti_code, sti_shadow_end), return_address(g));
	EXPECT_TRUE(nothing_waits(&g->page->events));
}

/* The caller takes back what still waits. */
TEST_F(events, interrupt_withdrawn)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, sti_code);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_HLT(g, GPA_CODE);
	g->page->events.interrupt.flags = 0;
	g->page->dirty = VEE_STATE_EVENTS;
	guest_resume_next(g);
	ASSERT_HLT(g, AT(sti_code, sti_shadow_end) + 1);
}

/* STI and HLT in a row: the interrupt that waits ends the HLT. */
GUEST_LABEL(after_hlt);
GUEST_CODE(sti_hlt, 64, "sti; hlt; after_hlt: nop; hlt");

TEST_F(events, interrupt_ends_hlt)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, sti_hlt);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(AT(sti_hlt, after_hlt), return_address(g));
	guest_resume_next(g);
	ASSERT_HLT(g, AT(sti_hlt, after_hlt) + 1);
}

/* The usual way: HLT comes out, and the caller has an interrupt for it. */
TEST_F(events, interrupt_after_hlt_exit)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, sti_hlt);
	ASSERT_HLT(g, GPA_CODE + 1);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(AT(sti_hlt, after_hlt), return_address(g));
}

TEST_F(events, interrupt_busy)
{
	struct guest *g = &self->g;
	__u64 generation;

	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_HLT(g, GPA_CODE + 1);
	generation = g->page->generation;
	guest_inject(g, VEE_EVENT_INTERRUPT, OTHER_VECTOR);
	g->page->regs.rbx = 5;
	g->page->dirty = VEE_STATE_REGS;
	EXPECT_EQ(-EBUSY, guest_run(g));
	EXPECT_EQ(OTHER_VECTOR, g->page->inject.vector);
	EXPECT_EQ(VEE_EVENT_VALID, g->page->inject.flags);
	EXPECT_EQ(VEE_STATE_REGS, g->page->dirty);
	EXPECT_EQ(generation, g->page->generation);
	/* The first is still the one that waits. */
	g->page->inject.flags = 0;
	enable_interrupts(g);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(5, g->page->regs.rbx);
}

/* MOV SS holds back interrupts and NMIs for one instruction. */
GUEST_LABEL(behind_out);
GUEST_CODE(load_ss, 64,
	   "mov %ss, %eax; mov %eax, %ss; out %al, $0x42; behind_out: hlt");

TEST_F(events, mov_ss_blocks)
{
	static const __u8 types[] = { VEE_EVENT_INTERRUPT, VEE_EVENT_NMI };
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		__u8 vector = types[i] == VEE_EVENT_NMI ? VECTOR_NMI : VECTOR;

		GUEST_LONG(g, load_ss);
		enable_interrupts(g);
		ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE + 4);
		EXPECT_EQ(VEE_BLOCKING_BY_MOV_SS,
			  g->page->events.interruptibility);
		EXPECT_EQ(0, g->page->exit.flags & (VEE_EXIT_INTERRUPT_READY |
						    VEE_EXIT_NMI_READY));
		guest_inject(g, types[i], vector);
		ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE + 4);
		guest_resume_next(g);
		ASSERT_VECTOR(g, vector);
		EXPECT_EQ(AT(load_ss, behind_out), return_address(g));
		memset(&g->page->events, 0, sizeof(g->page->events));
		g->page->dirty |= VEE_STATE_EVENTS;
	}
}

/* --- the interrupt window -------------------------------------------------- */

TEST_F(events, interrupt_window)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, sti_code);
	ASSERT_HLT(g, GPA_CODE);
	g->page->intercept = VEE_INTERCEPT_INTERRUPT_WINDOW;
	guest_resume_next(g);
	ASSERT_RUN_AT(g, VEE_EXIT_INTERRUPT_WINDOW,
		      AT(sti_code, sti_shadow_end));
	EXPECT_EQ(7, g->page->exit.hardware_reason);
	EXPECT_EQ(VEE_EXIT_INTERRUPT_READY,
		  g->page->exit.flags & VEE_EXIT_INTERRUPT_READY);
	g->page->intercept = 0;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(AT(sti_code, sti_shadow_end), return_address(g));
}

/* Open already: the run ends before the first instruction. */
TEST_F(events, interrupt_window_open)
{
	struct guest *g = &self->g;

	enable_interrupts(g);
	g->page->intercept = VEE_INTERCEPT_INTERRUPT_WINDOW;
	ASSERT_RUN_AT(g, VEE_EXIT_INTERRUPT_WINDOW, GPA_CODE);
	ASSERT_RUN_AT(g, VEE_EXIT_INTERRUPT_WINDOW, GPA_CODE);
	g->page->intercept = 0;
	ASSERT_HLT(g, GPA_CODE + 1);
}

/* --- NMIs ------------------------------------------------------------------ */

TEST_F(events, nmi)
{
	struct guest *g = &self->g;

	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	ASSERT_VECTOR(g, VECTOR_NMI);
	EXPECT_EQ(GPA_CODE, return_address(g));
	EXPECT_EQ(VEE_BLOCKING_BY_NMI, g->page->events.interruptibility);
	EXPECT_EQ(0, g->page->exit.flags & VEE_EXIT_NMI_READY);
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
	EXPECT_EQ(0, g->page->events.interruptibility);
	EXPECT_EQ(VEE_EXIT_NMI_READY, g->page->exit.flags & VEE_EXIT_NMI_READY);
}

/* A second one waits for the handler's IRET; for a third there is no room. */
TEST_F(events, nmi_blocked)
{
	struct guest *g = &self->g;

	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	ASSERT_VECTOR(g, VECTOR_NMI);
	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	ASSERT_VECTOR(g, VECTOR_NMI);	/* the same VMCALL again */
	EXPECT_EQ(GPA_STACK - 40, g->page->regs.rsp);
	EXPECT_EQ(VEE_EVENT_VALID, g->page->events.nmi.flags);
	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	EXPECT_EQ(-EBUSY, guest_run(g));
	g->page->inject.flags = 0;
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR_NMI);
	EXPECT_EQ(GPA_CODE, return_address(g));
	EXPECT_EQ(GPA_STACK - 40, g->page->regs.rsp);
	EXPECT_TRUE(nothing_waits(&g->page->events));
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

TEST_F(events, nmi_window)
{
	struct guest *g = &self->g;

	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	ASSERT_VECTOR(g, VECTOR_NMI);
	g->page->intercept = VEE_INTERCEPT_NMI_WINDOW;
	guest_resume_next(g);
	ASSERT_RUN_AT(g, VEE_EXIT_NMI_WINDOW, GPA_CODE);
	EXPECT_EQ(VEE_EXIT_NMI_READY, g->page->exit.flags & VEE_EXIT_NMI_READY);
	g->page->intercept = 0;
	ASSERT_HLT(g, GPA_CODE + 1);
}

/* --- more than one --------------------------------------------------------- */

TEST_F(events, nmi_before_interrupt)
{
	struct guest *g = &self->g;

	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_HLT(g, GPA_CODE + 1);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	ASSERT_VECTOR(g, VECTOR_NMI);
	EXPECT_EQ(VEE_EVENT_VALID, g->page->events.interrupt.flags);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(GPA_CODE + 1, return_address(g));
}

TEST_F(events, exception_before_interrupt)
{
	struct guest *g = &self->g;

	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_HLT(g, GPA_CODE + 1);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_EXCEPTION, VECTOR_UD);
	ASSERT_VECTOR(g, VECTOR_UD);
	EXPECT_EQ(GPA_CODE + 1, return_address(g));
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(GPA_CODE + 1, return_address(g));
}

/* --- exceptions ------------------------------------------------------------ */

TEST_F(events, exceptions)
{
	static const __u8 plain[] = { 0, 1, 5, 6, 7, 16, 18, 19 };
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		guest_set_regs(g);
		guest_inject(g, VEE_EVENT_EXCEPTION, plain[i]);
		ASSERT_VECTOR(g, plain[i]);
		EXPECT_EQ(GPA_CODE, return_address(g));
		EXPECT_EQ(GPA_STACK - 40, g->page->regs.rsp);
	}
}

TEST_F(events, exceptions_with_error_code)
{
	static const struct {
		__u8 vector;
		__u32 error;
	} cases[] = {
		{ 8, 0 }, { 10, 0x38 }, { 11, 0x28 }, { 12, 0x10 },
		{ 13, 0x1234 }, { 13, 0 }, { 14, 7 }, { 17, 0 },
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		guest_set_regs(g);
		g->page->control.cr2 = 0x123456789;
		g->page->dirty |= VEE_STATE_CONTROL;
		guest_inject_error(g, cases[i].vector, cases[i].error);
		ASSERT_VECTOR(g, cases[i].vector);
		EXPECT_EQ(GPA_STACK - 48, g->page->regs.rsp);
		EXPECT_EQ(cases[i].error, guest_read64(g, GPA_STACK - 48));
		EXPECT_EQ(GPA_CODE, guest_read64(g, GPA_STACK - 40));
		EXPECT_EQ(0x123456789, g->page->control.cr2);
	}
}

/* Real mode pushes no error code for any. */
TEST_F(events, exception_real_mode)
{
	struct guest *g = &self->g;

	GUEST_REAL(g, halt);
	guest_inject_error(g, VECTOR_GP, 0);
	EXPECT_EQ(-EINVAL, guest_run(g));
	guest_inject(g, VEE_EVENT_EXCEPTION, VECTOR_GP);
	g->page->inject.error_code = 0;
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(GPA_STACK - 6, g->page->regs.rsp);
}

/* --- software events ------------------------------------------------------- */

TEST_F(events, software)
{
	static const struct {
		__u8 type, vector, length;
	} cases[] = {
		{ VEE_EVENT_SOFT_INTERRUPT, 0x80, 2 },
		{ VEE_EVENT_SOFT_INTERRUPT, 0x21, 15 },
		{ VEE_EVENT_SOFT_EXCEPTION, 3, 1 },
		{ VEE_EVENT_SOFT_EXCEPTION, 4, 1 },
		{ VEE_EVENT_PRIV_SOFT_EXCEPTION, 1, 1 },
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		guest_set_regs(g);
		inject_software(g, cases[i].type, cases[i].vector,
				cases[i].length);
		ASSERT_VECTOR(g, cases[i].vector);
		EXPECT_EQ(GPA_CODE + cases[i].length, return_address(g));
	}
}

/* INT n from CPL 3 goes by the gate's DPL, and so does its injection. */
TEST_F(events, software_privilege)
{
	struct guest *g = &self->g;

	guest_set_user(g);
	guest_write64(g, GPA_IDT + 16 * 0x81,
		      STUB(0x81) | SEL_CODE64 << 16 | 0x8eULL << 40);
	inject_software(g, VEE_EVENT_SOFT_INTERRUPT, 0x81, 2);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(0x81 * 8 + 2, guest_read64(g, g->page->regs.rsp));
	EXPECT_EQ(GPA_CODE, guest_read64(g, g->page->regs.rsp + 8));
}

/* --- RF in the frame ---------------------------------------------------------- */

/* RFLAGS in the frame of the handler that has just begun. */
static __u64 frame_flags(struct guest *g, bool error_code)
{
	return guest_read64(g, g->page->regs.rsp + 16 + 8 * error_code);
}

/*
 * A fault's frame has RF set, so that an instruction breakpoint is not met twice; a
 * software interrupt's has it clear; others have what was there (SDM 3B,
 * "Instruction-Breakpoint Exception Condition").
 */
static const struct {
	__u8 type, vector, length;
	bool error_code;
	__u64 rf;
	__u64 rf_if_set;
} frame_cases[] = {
#define FAULT(vector, error_code) \
	{ VEE_EVENT_EXCEPTION, vector, 0, error_code, X86_EFLAGS_RF, X86_EFLAGS_RF }
	FAULT(0, false), FAULT(5, false), FAULT(6, false), FAULT(7, false),
	FAULT(10, true), FAULT(11, true), FAULT(12, true), FAULT(13, true),
	FAULT(14, true), FAULT(16, false), FAULT(17, true), FAULT(19, false),
	FAULT(20, false), FAULT(21, false),
#undef FAULT
#define OTHER(type, vector, error_code) \
	{ VEE_EVENT_##type, vector, 0, error_code, 0, X86_EFLAGS_RF }
	OTHER(EXCEPTION, VECTOR_DB, false), OTHER(EXCEPTION, VECTOR_BP, false),
	OTHER(EXCEPTION, 4, false), OTHER(EXCEPTION, VECTOR_DF, true),
	OTHER(EXCEPTION, 18, false), OTHER(NMI, VECTOR_NMI, false),
	OTHER(INTERRUPT, VECTOR, false),
#undef OTHER
#define SOFTWARE(type, vector, length) \
	{ VEE_EVENT_##type, vector, length, false, 0, 0 }
	SOFTWARE(SOFT_INTERRUPT, 0x80, 2), SOFTWARE(SOFT_EXCEPTION, VECTOR_BP, 1),
	SOFTWARE(SOFT_EXCEPTION, 4, 1), SOFTWARE(PRIV_SOFT_EXCEPTION, VECTOR_DB, 1),
#undef SOFTWARE
};

static void inject_frame_case(struct guest *g, unsigned int i)
{
	inject_software(g, frame_cases[i].type, frame_cases[i].vector,
			frame_cases[i].length);
	if (frame_cases[i].error_code)
		g->page->inject.flags |= VEE_EVENT_ERROR_CODE;
	memset(&g->page->events, 0, sizeof(g->page->events));
	g->page->dirty |= VEE_STATE_EVENTS;
}

TEST_F(events, resume_flag)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(frame_cases); i++) {
		unsigned int n = i / 2;
		bool set = i % 2;

		guest_set_regs(g);
		enable_interrupts(g);
		if (set)
			g->page->regs.rflags |= X86_EFLAGS_RF;
		inject_frame_case(g, n);
		ASSERT_VECTOR(g, frame_cases[n].vector);
		EXPECT_EQ(set ? frame_cases[n].rf_if_set : frame_cases[n].rf,
			  frame_flags(g, frame_cases[n].error_code) & X86_EFLAGS_RF)
			TH_LOG("type %u, vector %u, RF was %u", frame_cases[n].type,
			       frame_cases[n].vector, set);
		EXPECT_EQ(0, g->page->regs.rflags & X86_EFLAGS_RF);
	}
}

#define GUEST_RFLAGS	0x6820	/* the VMCS field */

/* Does the CPU set RF when an EPT violation cuts an interrupt's delivery short? */
static bool cut_sets_resume_flag(struct guest *g)
{
	__u64 rflags = 0;

	guest_set_regs(g);
	enable_interrupts(g);
	inject_software(g, VEE_EVENT_INTERRUPT, VECTOR, 0);
	mprotect(g->mem, GUEST_BYTES, PROT_NONE);
	vee_call(g->vcpu, VEE_VCPU_RUN, NULL);
	mprotect(g->mem, GUEST_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
	vmcs_read(g->vcpu, GUEST_RFLAGS, &rflags);
	return rflags & X86_EFLAGS_RF;
}

/* Cut short and delivered again, by the caller and of the guest's own. */
TEST_F(events, resume_flag_again)
{
	struct guest *g = &self->g;
	unsigned int i;

	if (getenv("VEE_LAB") && cut_sets_resume_flag(g))
		VEE_SKIP("the emulated CPU sets RF as an event's delivery is cut short");
	for (i = 0; i < ARRAY_SIZE(frame_cases); i++) {
		guest_set_regs(g);
		enable_interrupts(g);
		inject_frame_case(g, i);
		drop_mappings(g);
		ASSERT_VECTOR(g, frame_cases[i].vector);
		EXPECT_EQ(frame_cases[i].rf,
			  frame_flags(g, frame_cases[i].error_code) & X86_EFLAGS_RF)
			TH_LOG("type %u, vector %u", frame_cases[i].type,
			       frame_cases[i].vector);
	}
}

/* The faults that vee raises itself. */
GUEST_CODE(fault_cr4, 64, "mov $0xffffffff, %eax; mov %rax, %cr4");
GUEST_CODE(fault_cr0, 64, "mov $0x80000000, %eax; mov %rax, %cr0");
GUEST_CODE(fault_cr8, 64, "mov $16, %eax; mov %rax, %cr8");
GUEST_CODE(fault_xsetbv, 64, "xor %eax, %eax; xor %edx, %edx; xor %ecx, %ecx; xsetbv");
GUEST_CODE(fault_efer, 64, "mov $0xc0000080, %ecx; mov $2, %eax; xor %edx, %edx; wrmsr");
GUEST_CODE(fault_rdpmc, 64, "xor %ecx, %ecx; rdpmc");
GUEST_CODE(fault_vmxoff, 64, "vmxoff");
GUEST_CODE(fault_monitor, 64, "monitor");
GUEST_CODE(fault_getsec, 64, "xor %eax, %eax; getsec");

TEST_F(events, resume_flag_of_own_faults)
{
	const struct {
		const unsigned char *code, *end;
		__u8 vector;
	} cases[] = {
		{ fault_cr4, fault_cr4_end, VECTOR_GP },
		{ fault_cr0, fault_cr0_end, VECTOR_GP },
		{ fault_cr8, fault_cr8_end, VECTOR_GP },
		{ fault_xsetbv, fault_xsetbv_end, VECTOR_GP },
		{ fault_efer, fault_efer_end, VECTOR_GP },
		{ fault_rdpmc, fault_rdpmc_end, VECTOR_GP },
		{ fault_vmxoff, fault_vmxoff_end, VECTOR_UD },
		{ fault_monitor, fault_monitor_end, VECTOR_UD },
		{ fault_getsec, fault_getsec_end, VECTOR_UD },
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		guest_start(g, guest_set_long, cases[i].code, cases[i].end);
		g->page->control.cr4 |= X86_CR4_OSXSAVE;
		ASSERT_VECTOR(g, cases[i].vector);
		EXPECT_EQ(X86_EFLAGS_RF, frame_flags(g, cases[i].vector == VECTOR_GP) &
					 X86_EFLAGS_RF) TH_LOG("case %u", i);
	}
}

/* A RDMSR or OUT that the caller answers with #GP. */
GUEST_CODE(ask_msr, 64, "mov $0x1234, %ecx; rdmsr");
GUEST_CODE(ask_port, 64, "out %al, $0x42");

TEST_F(events, resume_flag_of_callers_faults)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, ask_msr);
	ASSERT_RUN(g, VEE_EXIT_RDMSR);
	guest_inject_error(g, VECTOR_GP, 0);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(X86_EFLAGS_RF, frame_flags(g, true) & X86_EFLAGS_RF);
	GUEST_LONG(g, ask_port);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	guest_inject(g, VEE_EVENT_EXCEPTION, VECTOR_UD);
	ASSERT_VECTOR(g, VECTOR_UD);
	EXPECT_EQ(X86_EFLAGS_RF, frame_flags(g, false) & X86_EFLAGS_RF);
}

/* What is not delivered in the end has not changed the guest's RF. */
TEST_F(events, resume_flag_withdrawn)
{
	struct guest *g = &self->g;

	guest_inject(g, VEE_EVENT_EXCEPTION, VECTOR_UD);
	ASSERT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	ASSERT_RUN(g, VEE_EXIT_KICKED);
	EXPECT_EQ(0, g->page->regs.rflags & X86_EFLAGS_RF);
	/* An entry that fails: LDTR is no LDT. */
	g->page->segments.ldtr = (struct vee_segment) { .access_rights = 0x8b };
	g->page->dirty |= VEE_STATE_SEGMENTS;
	ASSERT_RUN(g, VEE_EXIT_ENTRY_FAILED);
	EXPECT_EQ(0, g->page->regs.rflags & X86_EFLAGS_RF);
	g->page->segments.ldtr.access_rights = VEE_AR_UNUSABLE;
	g->page->dirty |= VEE_STATE_SEGMENTS;
	ASSERT_VECTOR(g, VECTOR_UD);
	EXPECT_EQ(X86_EFLAGS_RF, frame_flags(g, false) & X86_EFLAGS_RF);
}

/* --- #CP, which has a code where there is CET ------------------------------------- */

TEST_F(events, control_protection)
{
	struct guest *g = &self->g;
	bool has_code = vee_info(g->dev).vmx_basic & BIT_ULL(56);

	guest_inject_error(g, 21, 3);
	if (!has_code) {
		EXPECT_EQ(-EINVAL, guest_run(g));
		return;
	}
	ASSERT_VECTOR(g, 21);
	EXPECT_EQ(3, guest_read64(g, g->page->regs.rsp));
}

/* --- what is refused ------------------------------------------------------- */

static const struct vee_event bad_events[] = {
	{ .type = 1, .vector = 64 },
	{ .type = 7, .vector = 64 },
	{ .type = 8, .vector = 64 },
	{ .type = 255, .vector = 64 },
	{ .type = VEE_EVENT_NMI, .vector = 0 },
	{ .type = VEE_EVENT_NMI, .vector = 3 },
	{ .type = VEE_EVENT_EXCEPTION, .vector = 2 },
	{ .type = VEE_EVENT_EXCEPTION, .vector = 32 },
	{ .type = VEE_EVENT_EXCEPTION, .vector = 255 },
	{ .type = VEE_EVENT_SOFT_INTERRUPT, .vector = 64 },
	{ .type = VEE_EVENT_SOFT_INTERRUPT, .vector = 64,
	  .instruction_length = 16 },
	{ .type = VEE_EVENT_SOFT_EXCEPTION, .vector = 3 },
	{ .type = VEE_EVENT_SOFT_EXCEPTION, .vector = 5,
	  .instruction_length = 1 },
	{ .type = VEE_EVENT_PRIV_SOFT_EXCEPTION, .vector = 2,
	  .instruction_length = 1 },
	{ .type = VEE_EVENT_INTERRUPT, .vector = 64, .instruction_length = 1 },
	{ .type = VEE_EVENT_NMI, .vector = 2, .instruction_length = 1 },
	{ .type = VEE_EVENT_EXCEPTION, .vector = 6, .instruction_length = 2 },
	{ .type = VEE_EVENT_INTERRUPT, .vector = 64, .flags = 4 },
	{ .type = VEE_EVENT_INTERRUPT, .vector = 64, .flags = 0x80 },
	{ .type = VEE_EVENT_INTERRUPT, .vector = 64, .error_code = 1 },
	{ .type = VEE_EVENT_INTERRUPT, .vector = 64,
	  .flags = VEE_EVENT_ERROR_CODE },
	{ .type = VEE_EVENT_EXCEPTION, .vector = 6,
	  .flags = VEE_EVENT_ERROR_CODE },
	{ .type = VEE_EVENT_EXCEPTION, .vector = 6, .error_code = 1 },
	{ .type = VEE_EVENT_SOFT_INTERRUPT, .vector = 13,
	  .instruction_length = 2, .flags = VEE_EVENT_ERROR_CODE },
};

TEST_F(events, refused)
{
	struct guest *g = &self->g;
	__u64 generation = g->page->generation;
	__u32 dirty = g->page->dirty;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_events); i++) {
		struct vee_event event = bad_events[i];

		event.flags |= VEE_EVENT_VALID;
		g->page->inject = event;
		EXPECT_EQ(-EINVAL, guest_run(g)) TH_LOG("event %u", i);
		EXPECT_EQ(offsetof(struct vee_vcpu_page, inject), g->page->refused);
		EXPECT_EQ(0, memcmp(&event, &g->page->inject, sizeof(event)));
	}
	EXPECT_EQ(generation, g->page->generation);
	EXPECT_EQ(dirty, g->page->dirty);
	g->page->inject.flags = 0;
	ASSERT_HLT(g, GPA_CODE + 1);
}

/* Without VEE_EVENT_VALID it does not matter what the rest says. */
TEST_F(events, not_valid)
{
	memset(&self->g.page->inject, 0xfe, sizeof(self->g.page->inject));
	ASSERT_HLT(&self->g, GPA_CODE + 1);
}

/* --- taken over, not delivered --------------------------------------------- */

/* A kick that came first: the run takes the event and ends. */
TEST_F(events, taken_over)
{
	struct guest *g = &self->g;

	guest_inject_error(g, VECTOR_PF, 5);
	ASSERT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	ASSERT_RUN_AT(g, VEE_EXIT_KICKED, GPA_CODE);
	EXPECT_EQ(0, g->page->inject.flags);
	EXPECT_EQ(VECTOR_PF, g->page->events.delivering.vector);
	EXPECT_EQ(VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE,
		  g->page->events.delivering.flags);
	EXPECT_EQ(5, g->page->events.delivering.error_code);
	guest_inject(g, VEE_EVENT_EXCEPTION, VECTOR_UD);
	EXPECT_EQ(-EBUSY, guest_run(g));
	g->page->inject.flags = 0;
	ASSERT_VECTOR(g, VECTOR_PF);
	EXPECT_EQ(5, guest_read64(g, g->page->regs.rsp));
}

/* --- delivery cut short ---------------------------------------------------- */

TEST_F(events, again_interrupt)
{
	struct guest *g = &self->g;

	ASSERT_HLT(g, GPA_CODE + 1);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	drop_mappings(g);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(GPA_STACK - 40, g->page->regs.rsp);
	EXPECT_EQ(GPA_CODE + 1, return_address(g));
	EXPECT_TRUE(nothing_waits(&g->page->events));
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

TEST_F(events, again_nmi)
{
	struct guest *g = &self->g;

	ASSERT_HLT(g, GPA_CODE + 1);
	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	drop_mappings(g);
	ASSERT_VECTOR(g, VECTOR_NMI);
	EXPECT_EQ(GPA_STACK - 40, g->page->regs.rsp);
	EXPECT_EQ(VEE_BLOCKING_BY_NMI, g->page->events.interruptibility);
	EXPECT_TRUE(nothing_waits(&g->page->events));
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

TEST_F(events, again_exception)
{
	struct guest *g = &self->g;

	ASSERT_HLT(g, GPA_CODE + 1);
	guest_inject_error(g, VECTOR_GP, 0x18);
	drop_mappings(g);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(GPA_STACK - 48, g->page->regs.rsp);
	EXPECT_EQ(0x18, return_address(g));
	EXPECT_EQ(GPA_CODE + 1, guest_read64(g, GPA_STACK - 40));
}

TEST_F(events, again_software)
{
	struct guest *g = &self->g;

	ASSERT_HLT(g, GPA_CODE + 1);
	inject_software(g, VEE_EVENT_SOFT_INTERRUPT, 0x80, 2);
	drop_mappings(g);
	ASSERT_VECTOR(g, 0x80);
	EXPECT_EQ(GPA_STACK - 40, g->page->regs.rsp);
	EXPECT_EQ(GPA_CODE + 3, return_address(g));
}

/* What the guest does itself: INT n, INT3, UD2, and a page fault. */
GUEST_CODE(own_int, 64, "hlt; int $0x80");
GUEST_CODE(own_int3, 64, "hlt; int3");
GUEST_CODE(own_ud2, 64, "hlt; ud2");
GUEST_CODE(own_fault, 64, "hlt; mov 0x50000000, %al");

TEST_F(events, again_guests_own)
{
	const struct {
		const unsigned char *code, *end;
		__u8 vector, length;
		bool error;
	} cases[] = {
		{ own_int, own_int_end, 0x80, 2, false },
		{ own_int3, own_int3_end, VECTOR_BP, 1, false },
		{ own_ud2, own_ud2_end, VECTOR_UD, 0, false },
		{ own_fault, own_fault_end, VECTOR_PF, 0, true },
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		__u64 rsp = GPA_STACK - 40 - 8 * cases[i].error;

		guest_start(g, guest_set_long, cases[i].code, cases[i].end);
		ASSERT_HLT(g, GPA_CODE);
		drop_mappings(g);
		guest_resume_next(g);
		ASSERT_VECTOR(g, cases[i].vector);
		EXPECT_EQ(rsp, g->page->regs.rsp);
		EXPECT_EQ(GPA_CODE + 1 + cases[i].length,
			  guest_read64(g, GPA_STACK - 40));
	}
	EXPECT_EQ(0x50000000, g->page->control.cr2);
}

/* The same in real mode, where delivery reads a vector and pushes six bytes. */
GUEST_CODE(own_real, 16, "hlt; int $0x21; hlt");

TEST_F(events, again_real_mode)
{
	struct guest *g = &self->g;

	GUEST_REAL(g, own_real);
	ASSERT_HLT(g, GPA_CODE);
	drop_mappings(g);
	guest_resume_next(g);
	ASSERT_VECTOR(g, 0x21);
	EXPECT_EQ(GPA_STACK - 6, g->page->regs.rsp);
	EXPECT_EQ(GPA_CODE + 3, guest_read32(g, GPA_STACK - 6) & 0xffff);
	drop_mappings(g);
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 3);
}

/* The IDT is where there is no memory: out to the caller, with the event. */
TEST_F(events, delivery_meets_mmio)
{
	struct guest *g = &self->g;
	struct vee_event *delivering = &g->page->events.delivering;

	g->page->segments.idtr.base = GPA_MMIO;
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE);
	EXPECT_EQ(GPA_MMIO + 16 * VECTOR,
		  g->page->exit.memory.gpa & ~0xfULL);
	EXPECT_EQ(VEE_READ, g->page->exit.memory.access);
	EXPECT_EQ(VEE_EXIT_EVENT_PENDING,
		  g->page->exit.flags & VEE_EXIT_EVENT_PENDING);
	EXPECT_EQ(VEE_EVENT_VALID, delivering->flags);
	EXPECT_EQ(VECTOR, delivering->vector);
	EXPECT_EQ(VEE_EVENT_INTERRUPT, delivering->type);
	/* Again, as nothing has changed. */
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE);
	g->page->segments.idtr.base = GPA_IDT;
	g->page->dirty = VEE_STATE_SEGMENTS;
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(GPA_CODE, return_address(g));
	EXPECT_TRUE(nothing_waits(&g->page->events));
}

TEST_F(events, software_delivery_meets_mmio)
{
	struct guest *g = &self->g;
	struct vee_event *delivering = &g->page->events.delivering;

	GUEST_LONG(g, own_int);
	ASSERT_HLT(g, GPA_CODE);
	g->page->regs.rsp = GPA_MMIO + 0x1000;
	g->page->dirty = VEE_STATE_REGS;
	guest_resume_next(g);
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE + 1);
	EXPECT_EQ(VEE_WRITE, g->page->exit.memory.access & VEE_WRITE);
	EXPECT_EQ(GPA_MMIO, g->page->exit.memory.gpa & ~0xfffULL);
	EXPECT_EQ(0x80, delivering->vector);
	EXPECT_EQ(VEE_EVENT_SOFT_INTERRUPT, delivering->type);
	EXPECT_EQ(2, delivering->instruction_length);
	g->page->regs.rsp = GPA_STACK;
	g->page->dirty = VEE_STATE_REGS;
	ASSERT_VECTOR(g, 0x80);
	EXPECT_EQ(GPA_CODE + 3, return_address(g));
}

/* A task gate: the task switch comes out, and the event with it. */
TEST_F(events, delivery_by_task_gate)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, halt);
	guest_write64(g, GPA_IDT + 8 * VECTOR,
		      SEL_TSS << 16 | 0x85ULL << 40);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_RUN_AT(g, VEE_EXIT_OTHER, GPA_CODE);
	EXPECT_EQ(9, g->page->exit.hardware_reason);
	EXPECT_EQ(VEE_EXIT_EVENT_PENDING,
		  g->page->exit.flags & VEE_EXIT_EVENT_PENDING);
	EXPECT_EQ(VECTOR, g->page->events.delivering.vector);
	EXPECT_EQ(VEE_EVENT_VALID, g->page->events.delivering.flags);
}

/* The caller drops an event whose delivery failed. */
TEST_F(events, delivery_abandoned)
{
	struct guest *g = &self->g;

	g->page->segments.idtr.base = GPA_MMIO;
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	g->page->events.delivering.flags = 0;
	g->page->dirty = VEE_STATE_EVENTS;
	ASSERT_HLT(g, GPA_CODE + 1);
}

/*
 * IRET ends the blocking of NMIs, but not if it has to be done again because it
 * met memory for the first time: the NMI that waits comes after it, not before.
 */
TEST_F(events, iret_meets_first_touch)
{
	struct guest *g = &self->g;

	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	ASSERT_VECTOR(g, VECTOR_NMI);
	guest_inject(g, VEE_EVENT_NMI, VECTOR_NMI);
	ASSERT_VECTOR(g, VECTOR_NMI);
	drop_mappings(g);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR_NMI);
	EXPECT_EQ(GPA_CODE, return_address(g));
	EXPECT_EQ(GPA_STACK - 40, g->page->regs.rsp);
	drop_mappings(g);
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
	EXPECT_EQ(0, g->page->events.interruptibility);
}

/* --- faults in delivery ---------------------------------------------------- */

/* A gate that is not present: #NP, with the vector in its error code. */
TEST_F(events, gate_not_present)
{
	struct guest *g = &self->g;

	guest_write64(g, GPA_IDT + 16 * VECTOR, 0);
	guest_write64(g, GPA_IDT + 16 * OTHER_VECTOR,
		      STUB(OTHER_VECTOR) | SEL_CODE64 << 16 | 0x6eULL << 40);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, OTHER_VECTOR);
	ASSERT_VECTOR(g, 11);
	EXPECT_EQ(OTHER_VECTOR * 8 + 3, guest_read64(g, g->page->regs.rsp));
	/* Type 0 is no gate at all: #GP. */
	guest_set_regs(g);
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(VECTOR * 8 + 3, guest_read64(g, g->page->regs.rsp));
}

TEST_F(events, double_fault)
{
	struct guest *g = &self->g;

	guest_write64(g, GPA_IDT + 16 * VECTOR_PF, 0);
	guest_inject_error(g, VECTOR_PF, 0);
	ASSERT_VECTOR(g, VECTOR_DF);
	EXPECT_EQ(0, guest_read64(g, g->page->regs.rsp));
}

TEST_F(events, triple_fault)
{
	struct guest *g = &self->g;

	guest_write64(g, GPA_IDT + 16 * VECTOR_PF, 0);
	guest_write64(g, GPA_IDT + 16 * VECTOR_DF, 0);
	guest_inject_error(g, VECTOR_PF, 0);
	ASSERT_RUN(g, VEE_EXIT_SHUTDOWN);
}

/*
 * An interrupt whose frame cannot be pushed: #AC, which vee looks at, goes first,
 * and the interrupt comes when the stack is in order.
 */
TEST_F(events, alignment_check_in_delivery)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, pause_loop);
	guest_set_user(g);
	guest_write64(g, GPA_IDT + 8 * VECTOR,
		      STUB(VECTOR) | (SEL_USER_CODE32 | 3) << 16 |
		      0xeeULL << 40);
	g->page->control.cr0 |= X86_CR0_AM;
	g->page->regs.rflags |= X86_EFLAGS_AC;
	g->page->regs.rsp = GPA_STACK - 2;
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR_AC);
	EXPECT_EQ(VEE_EXIT_EVENT_PENDING,
		  g->page->exit.flags & VEE_EXIT_EVENT_PENDING);
	EXPECT_EQ(VECTOR, g->page->events.interrupt.vector);
	/* Drop the error code; align the stack that IRET goes back to. */
	EXPECT_EQ(GPA_STACK0 - 24, g->page->regs.rsp);
	guest_write32(g, GPA_STACK0 - 8, GPA_STACK);
	g->page->regs.rsp += 4;
	g->page->dirty = VEE_STATE_REGS;
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(3, g->page->exit.hypercall.cpl);
	EXPECT_TRUE(nothing_waits(&g->page->events));
}

/* --- activity, pending debug exceptions ------------------------------------ */

/* A vCPU that is put into HLT is woken by what it can take. */
TEST_F(events, activity_hlt)
{
	struct guest *g = &self->g;

	g->page->events.activity = VEE_ACTIVITY_HLT;
	g->page->dirty |= VEE_STATE_EVENTS;
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(GPA_CODE, return_address(g));
	EXPECT_EQ(VEE_ACTIVITY_ACTIVE, g->page->events.activity);
}

/* With nothing to wake it, no instruction is executed, and the run is bounded. */
TEST_F(events, activity_hlt_forever)
{
	struct guest *g = &self->g;

	g->page->events.activity = VEE_ACTIVITY_HLT;
	g->page->dirty |= VEE_STATE_EVENTS;
	g->page->deadline_ns = 5 * MS_NS;
	ASSERT_EQ(0, guest_run(g));
	EXPECT_TRUE(g->page->exit.reason == VEE_EXIT_DEADLINE ||
		    g->page->exit.reason == VEE_EXIT_HLT)
		TH_LOG("%s", guest_describe(g));
	EXPECT_EQ(GPA_CODE, g->page->regs.rip);
}

/* BS pending, with TF: the trap of an instruction that was done elsewhere. */
TEST_F(events, pending_debug)
{
	struct guest *g = &self->g;

	g->page->regs.rflags |= X86_EFLAGS_TF;
	g->page->events.pending_debug = 0x4000;
	g->page->dirty |= VEE_STATE_EVENTS;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(GPA_CODE, return_address(g));
	EXPECT_EQ(0x4000, g->page->debug.dr6 & 0x4000);
	EXPECT_EQ(0, g->page->events.pending_debug);
}

/* An event's TF: none of the handler's own instructions traps. */
TEST_F(events, interrupt_under_trap_flag)
{
	struct guest *g = &self->g;

	g->page->regs.rflags |= X86_EFLAGS_TF;
	enable_interrupts(g);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(0, g->page->regs.rflags & X86_EFLAGS_TF);
	guest_resume_next(g);
	/* Back under TF, the NOP traps. */
	ASSERT_VECTOR(g, VECTOR_DB);
}

TEST_HARNESS_MAIN
