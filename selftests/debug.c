// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debugging: of a guest by the caller (single steps, breakpoints), of a guest
 * by itself, and that neither gets in the way of the host's own.
 */

#include "breakpoint_util.h"
#include "vee_util.h"

#define DR6_NONE	0xffff0ff0ULL
#define DR6_BD		0x2000ULL
#define DR6_BS		0x4000ULL
#define DR7_NONE	0x400ULL
#define DR7_EXEC_0	(DR7_NONE | 0x1)
#define DR7_WRITE_2	(DR7_NONE | 0x10 | 0x0d000000)	/* 4 bytes */
#define DR7_GD		0x2000ULL

FIXTURE(debug) {
	struct guest g;
};

FIXTURE_SETUP(debug)
{
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(debug)
{
	guest_close(&self->g);
}

static void set_debug(struct guest *g, unsigned int dr, __u64 gva, __u64 dr7)
{
	struct vee_debug *debug = &g->page->debug;

	memset(debug, 0, sizeof(*debug));
	debug->dr[dr] = gva;
	debug->dr6 = DR6_NONE;
	debug->dr7 = dr7;
	g->page->dirty |= VEE_STATE_DEBUG;
}

static bool has_monitor_trap_flag(const struct guest *g)
{
	return vee_info(g->dev).features & VEE_FEATURE_MONITOR_TRAP_FLAG;
}

/* --- VEE_INTERCEPT_STEP ---------------------------------------------------- */

#define ASSERT_STEP(g, gpa)						\
	do {								\
		struct guest *step_g = (g);				\
									\
		ASSERT_RUN_AT(step_g, VEE_EXIT_DEBUG, gpa);		\
		ASSERT_EQ(1, step_g->page->exit.debug.vector);		\
		ASSERT_EQ(1, step_g->page->exit.debug.step);		\
	} while (0)

GUEST_LABEL(walk_call);
GUEST_CODE(walk, 64,
	   "nop; mov $5, %eax; push %rax; pop %rbx; jmp walk_call; ud2;"
	   "walk_call: call 1f; hlt; 1: ret");

TEST_F(debug, step)
{
	struct guest *g = &self->g;
	__u64 call = AT(walk, walk_call);

	GUEST_LONG(g, walk);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 1);
	ASSERT_STEP(g, GPA_CODE + 6);
	EXPECT_EQ(5, g->page->regs.rax);
	ASSERT_STEP(g, GPA_CODE + 7);
	ASSERT_STEP(g, GPA_CODE + 8);
	EXPECT_EQ(5, g->page->regs.rbx);
	ASSERT_STEP(g, call);
	ASSERT_STEP(g, call + 6);
	ASSERT_STEP(g, call + 5);
	ASSERT_HLT(g, call + 5);
}

/* TF, if that is what the CPU needs for it, does not show in the page. */
TEST_F(debug, step_leaves_flags)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, walk);
	set_debug(g, 0, 0, DR7_NONE);
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	guest_set_rip(g, GPA_CODE);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 1);
	EXPECT_EQ(X86_EFLAGS_FIXED, g->page->regs.rflags);
	EXPECT_EQ(DR6_NONE, g->page->debug.dr6);
	EXPECT_EQ(0, g->page->events.pending_debug);
}

TEST_F(debug, step_then_go)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, walk);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 1);
	g->page->intercept = 0;
	ASSERT_HLT(g, AT(walk, walk_call) + 5);
}

/* The guest cannot see that it is stepped. */
GUEST_CODE(see_flags, 64, "pushf; pop %rax; hlt");

TEST_F(debug, step_is_invisible)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, see_flags);
	set_debug(g, 0, 0, DR7_NONE);
	g->page->intercept = VEE_INTERCEPT_STEP;
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_STEP(g, GPA_CODE + 1);
	EXPECT_EQ(X86_EFLAGS_FIXED, g->page->regs.rflags);
	EXPECT_EQ(X86_EFLAGS_FIXED, guest_read64(g, g->page->regs.rsp));
	EXPECT_EQ(DR6_NONE, g->page->debug.dr6);
	ASSERT_STEP(g, GPA_CODE + 2);
	EXPECT_EQ(X86_EFLAGS_FIXED, g->page->regs.rax);
}

/* One instruction is one step, also where vee does it for the guest. */
GUEST_CODE(emulated, 64, "xor %eax, %eax; cpuid; nop; cpuid; hlt");

TEST_F(debug, step_over_cpuid)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, emulated);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 2);
	ASSERT_STEP(g, GPA_CODE + 4);
	ASSERT_STEP(g, GPA_CODE + 5);
	ASSERT_STEP(g, GPA_CODE + 7);
	ASSERT_HLT(g, GPA_CODE + 7);
}

/* MOV SS holds back debug traps, but not steps by the monitor trap flag. */
GUEST_CODE(load_ss, 64, "mov %ss, %eax; mov %eax, %ss; nop; hlt");

TEST_F(debug, step_over_mov_ss)
{
	struct guest *g = &self->g;

	if (!has_monitor_trap_flag(g))
		VEE_SKIP("this CPU has no monitor trap flag");
	GUEST_LONG(g, load_ss);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 2);
	ASSERT_STEP(g, GPA_CODE + 4);
	ASSERT_STEP(g, GPA_CODE + 5);
	ASSERT_HLT(g, GPA_CODE + 5);
}

GUEST_CODE(copy, 64, "rep movsb; hlt");

TEST_F(debug, step_over_rep)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, copy);
	g->page->regs.rcx = 3;
	g->page->regs.rsi = GPA_DATA;
	g->page->regs.rdi = GPA_DATA + 0x100;
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE);
	EXPECT_EQ(2, g->page->regs.rcx);
	ASSERT_STEP(g, GPA_CODE);
	ASSERT_STEP(g, GPA_CODE + 2);
	EXPECT_EQ(0, g->page->regs.rcx);
}

/* A step that faults ends before the handler's first instruction. */
GUEST_CODE(undefined, 64, "ud2; hlt");

TEST_F(debug, step_into_exception)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, undefined);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, STUB(VECTOR_UD));
	EXPECT_EQ(GPA_CODE, guest_read64(g, g->page->regs.rsp));
	ASSERT_VECTOR(g, VECTOR_UD);
}

TEST_F(debug, step_into_interrupt)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, walk);
	g->page->regs.rflags |= X86_EFLAGS_IF;
	g->page->intercept = VEE_INTERCEPT_STEP;
	guest_inject(g, VEE_EVENT_INTERRUPT, 0x60);
	ASSERT_STEP(g, STUB(0x60));
	EXPECT_EQ(GPA_CODE, guest_read64(g, g->page->regs.rsp));
}

/* A step touches memory that is not mapped yet: still one step, done once. */
GUEST_CODE(touch, 64, "incl (%rbx); nop; hlt");

TEST_F(debug, step_over_first_touch)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, touch);
	g->page->regs.rbx = 0x100000;
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 2);
	EXPECT_EQ(1, guest_read32(g, 0x100000));
	ASSERT_STEP(g, GPA_CODE + 3);
}

/* An instruction that the caller does is a step, too. */
GUEST_CODE(out_code, 64, "out %al, $0x42; nop; hlt");

TEST_F(debug, step_over_callers_work)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, out_code);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE);
	guest_resume_next(g);
	ASSERT_STEP(g, GPA_CODE + 2);
	ASSERT_STEP(g, GPA_CODE + 3);
	ASSERT_HLT(g, GPA_CODE + 3);
}

/* Likewise what leads elsewhere: the caller has set RIP. */
TEST_F(debug, step_over_callers_jump)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, out_code);
	g->page->intercept = VEE_INTERCEPT_STEP;
	for (i = 0; i < 2; i++) {
		ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE);
		g->page->resume = VEE_RESUME_DONE;
		ASSERT_STEP(g, GPA_CODE);
	}
	EXPECT_EQ(VEE_RESUME_HERE, g->page->resume);
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE);
	g->page->resume = VEE_RESUME_DONE;
	guest_set_rip(g, GPA_CODE + 2);
	ASSERT_STEP(g, GPA_CODE + 2);
	ASSERT_STEP(g, GPA_CODE + 3);
	/* Without a step it is VEE_RESUME_HERE. */
	g->page->intercept = 0;
	g->page->resume = VEE_RESUME_DONE;
	ASSERT_HLT(g, GPA_CODE + 3);
	g->page->resume = VEE_RESUME_DONE + 1;
	EXPECT_EQ(-EINVAL, guest_run(g));
}

/* Steps show each CPUID that the caller wants to see, as well. */
TEST_F(debug, step_and_other_intercepts)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, emulated);
	g->page->intercept = VEE_INTERCEPT_STEP | VEE_INTERCEPT_CPUID;
	ASSERT_STEP(g, GPA_CODE + 2);
	ASSERT_RUN_AT(g, VEE_EXIT_CPUID, GPA_CODE + 2);
	guest_resume_next(g);
	ASSERT_STEP(g, GPA_CODE + 4);
	ASSERT_STEP(g, GPA_CODE + 5);
}

/* --- VEE_INTERCEPT_DEBUG --------------------------------------------------- */

GUEST_LABEL(break_here);
GUEST_CODE(breaks, 64, "nop; break_here: nop; hlt");

TEST_F(debug, hardware_breakpoint)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, breaks);
	set_debug(g, 0, AT(breaks, break_here), DR7_EXEC_0);
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, AT(breaks, break_here));
	EXPECT_EQ(1, g->page->exit.debug.vector);
	EXPECT_EQ(0, g->page->exit.debug.step);
	EXPECT_EQ(1, g->page->exit.debug.dr6 & 0xf);
	/* The guest's own DR6 does not know of it. */
	EXPECT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_DEBUG));
	EXPECT_EQ(DR6_NONE, g->page->debug.dr6);
	g->page->regs.rflags |= X86_EFLAGS_RF;
	g->page->dirty |= VEE_STATE_REGS;
	ASSERT_HLT(g, AT(breaks, break_here) + 1);
}

/* What the caller was told, it may hand on to the guest. */
TEST_F(debug, hardware_breakpoint_handed_on)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, breaks);
	set_debug(g, 0, AT(breaks, break_here), DR7_EXEC_0);
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN(g, VEE_EXIT_DEBUG);
	guest_inject(g, VEE_EVENT_EXCEPTION, VECTOR_DB);
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(AT(breaks, break_here), guest_read64(g, g->page->regs.rsp));
}

GUEST_LABEL(written);
GUEST_CODE(writes, 64, "movl $1, 0x20008; written: nop; hlt");

TEST_F(debug, data_breakpoint)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, writes);
	set_debug(g, 2, GPA_DATA + 8, DR7_WRITE_2);
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, AT(writes, written));
	EXPECT_EQ(4, g->page->exit.debug.dr6 & 0xf);
	EXPECT_EQ(1, guest_read32(g, GPA_DATA + 8));
	ASSERT_HLT(g, AT(writes, written) + 1);
}

GUEST_LABEL(trapped);
GUEST_CODE(traps, 64,
	   "pushf; orq $0x100, (%rsp); popf; nop; trapped: nop; hlt");

TEST_F(debug, trap_flag_intercepted)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, traps);
	set_debug(g, 0, 0, DR7_NONE);
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, AT(traps, trapped));
	EXPECT_EQ(0, g->page->exit.debug.step);
	EXPECT_EQ(DR6_BS, g->page->exit.debug.dr6 & DR6_BS);
}

GUEST_CODE(int1, 64, ".byte 0xf1; hlt");

TEST_F(debug, int1_intercepted)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, int1);
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE);
	EXPECT_EQ(1, g->page->exit.debug.vector);
	EXPECT_EQ(1, g->page->exit.instruction_length);
	guest_inject(g, VEE_EVENT_PRIV_SOFT_EXCEPTION, VECTOR_DB);
	g->page->inject.instruction_length = 1;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(GPA_CODE + 1, guest_read64(g, g->page->regs.rsp));
}

/* --- VEE_INTERCEPT_BREAKPOINT ---------------------------------------------- */

GUEST_CODE(int3, 64, "int3; hlt");

TEST_F(debug, int3_intercepted)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, int3);
	g->page->intercept = VEE_INTERCEPT_BREAKPOINT;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE);
	EXPECT_EQ(3, g->page->exit.debug.vector);
	EXPECT_EQ(0, g->page->exit.debug.step);
	EXPECT_EQ(1, g->page->exit.instruction_length);
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

TEST_F(debug, int3_handed_on)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, int3);
	g->page->intercept = VEE_INTERCEPT_BREAKPOINT;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE);
	guest_inject(g, VEE_EVENT_SOFT_EXCEPTION, VECTOR_BP);
	g->page->inject.instruction_length = 1;
	ASSERT_VECTOR(g, VECTOR_BP);
	EXPECT_EQ(GPA_CODE + 1, guest_read64(g, g->page->regs.rsp));
}

/* The caller takes the breakpoint out and has the guest go on in its place. */
TEST_F(debug, int3_replaced)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, int3);
	g->page->intercept = VEE_INTERCEPT_BREAKPOINT;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE);
	g->mem[GPA_CODE] = 0x90;	/* NOP */
	ASSERT_HLT(g, GPA_CODE + 1);
}

/* --- a guest that debugs itself -------------------------------------------- */

TEST_F(debug, own_int3)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, int3);
	ASSERT_VECTOR(g, VECTOR_BP);
	EXPECT_EQ(GPA_CODE + 1, guest_read64(g, g->page->regs.rsp));
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

TEST_F(debug, own_int1)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, int1);
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(GPA_CODE + 1, guest_read64(g, g->page->regs.rsp));
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

TEST_F(debug, own_breakpoint)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, breaks);
	set_debug(g, 0, AT(breaks, break_here), DR7_EXEC_0);
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(1, g->page->debug.dr6 & 0xf);
	EXPECT_EQ(AT(breaks, break_here), guest_read64(g, g->page->regs.rsp));
	/* The handler's IRET goes past it with RF. */
	guest_write64(g, g->page->regs.rsp + 16,
		      X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	guest_resume_next(g);
	ASSERT_HLT(g, AT(breaks, break_here) + 1);
}

TEST_F(debug, own_watchpoint)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, writes);
	set_debug(g, 2, GPA_DATA + 8, DR7_WRITE_2);
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(4, g->page->debug.dr6 & 0xf);
	EXPECT_EQ(AT(writes, written), guest_read64(g, g->page->regs.rsp));
	guest_resume_next(g);
	ASSERT_HLT(g, AT(writes, written) + 1);
}

TEST_F(debug, own_trap_flag)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, traps);
	set_debug(g, 0, 0, DR7_NONE);
	g->page->prefetch = VEE_STATE_ALL;
	for (i = 0; i < 2; i++) {
		ASSERT_VECTOR(g, VECTOR_DB);
		EXPECT_EQ(DR6_BS, g->page->debug.dr6 & DR6_BS);
		EXPECT_EQ(AT(traps, trapped) + i,
			  guest_read64(g, g->page->regs.rsp));
		EXPECT_EQ(0, g->page->regs.rflags & X86_EFLAGS_TF);
		guest_resume_next(g);
	}
	ASSERT_HLT(g, AT(traps, trapped) + 1);
}

/* The trap after STI comes once, also if the caller goes on as if there were none. */
GUEST_CODE(sti_halt, 64, "nop; sti; hlt");

TEST_F(debug, trap_after_sti_intercepted)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, sti_halt);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 1);
	g->page->regs.rflags |= X86_EFLAGS_TF;
	g->page->dirty |= VEE_STATE_REGS;
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + 2);
	ASSERT_HLT(g, GPA_CODE + 2);
}

/* The caller's last step is over: a trap of the guest's own is the guest's. */
TEST_F(debug, own_trap_flag_after_step)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, traps);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_RUN(g, VEE_EXIT_DEBUG);
	ASSERT_EQ(1, g->page->exit.debug.step);
	g->page->intercept = 0;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(AT(traps, trapped), guest_read64(g, g->page->regs.rsp));
}

/* TF and an instruction that vee does: the trap comes right after it. */
GUEST_LABEL(after_cpuid);
GUEST_CODE(trap_cpuid, 64,
	   "xor %eax, %eax; pushf; orq $0x100, (%rsp); popf; cpuid;"
	   "after_cpuid: nop; hlt");

TEST_F(debug, own_trap_over_cpuid)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, trap_cpuid);
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(AT(trap_cpuid, after_cpuid),
		  guest_read64(g, g->page->regs.rsp));
}

TEST_F(debug, trap_over_cpuid_intercepted)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, trap_cpuid);
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, AT(trap_cpuid, after_cpuid));
	EXPECT_EQ(DR6_BS, g->page->exit.debug.dr6 & DR6_BS);
}

GUEST_CODE(move_debug, 64,
	   "mov $0x1111, %eax; mov %rax, %db0; mov $0x2222, %eax;"
	   "mov %rax, %db3; mov $0x400, %eax; mov %rax, %db7;"
	   "mov %db0, %rbx; mov %db3, %rcx; mov %db6, %rdx; mov %db7, %rsi;"
	   "hlt");

TEST_F(debug, registers)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, move_debug);
	set_debug(g, 1, 0x5555, DR7_NONE);
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0x1111, g->page->regs.rbx);
	EXPECT_EQ(0x2222, g->page->regs.rcx);
	EXPECT_EQ(DR6_NONE, g->page->regs.rdx);
	EXPECT_EQ(0x400, g->page->regs.rsi);
	EXPECT_EQ(0x1111, g->page->debug.dr[0]);
	EXPECT_EQ(0x5555, g->page->debug.dr[1]);
	EXPECT_EQ(0x2222, g->page->debug.dr[3]);
}

/* DR4 and DR5 stand for DR6 and DR7, unless CR4.DE ends that. */
GUEST_CODE(read_db4, 64, "mov %db4, %rax; mov %db5, %rbx; hlt");

TEST_F(debug, registers_4_and_5)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, read_db4);
	set_debug(g, 0, 0, DR7_NONE);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(DR6_NONE, g->page->regs.rax);
	EXPECT_EQ(DR7_NONE, g->page->regs.rbx);
	GUEST_LONG(g, read_db4);
	g->page->control.cr4 |= X86_CR4_DE;
	ASSERT_VECTOR(g, VECTOR_UD);
}

/* The high halves of DR6 and DR7 must be 0. */
GUEST_CODE(write_db6, 64, "mov %rax, %db6; hlt");
GUEST_CODE(write_db7, 64, "mov %rax, %db7; hlt");

TEST_F(debug, registers_high_half)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, write_db6);
	g->page->regs.rax = BIT_ULL(32);
	ASSERT_VECTOR(g, VECTOR_GP);
	GUEST_LONG(g, write_db7);
	g->page->regs.rax = BIT_ULL(63) | DR7_NONE;
	ASSERT_VECTOR(g, VECTOR_GP);
}

TEST_F(debug, registers_user)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, write_db7);
	guest_set_user(g);
	ASSERT_VECTOR(g, VECTOR_GP);
}

GUEST_CODE(read_debug, 64, "mov %db0, %rax; hlt");

TEST_F(debug, general_detect)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, read_debug);
	set_debug(g, 0, 0, DR7_NONE | DR7_GD);
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(DR6_BD, g->page->debug.dr6 & DR6_BD);
	EXPECT_EQ(0, g->page->debug.dr7 & DR7_GD);
	EXPECT_EQ(GPA_CODE, guest_read64(g, g->page->regs.rsp));
}

/* --- two guests, and the host ---------------------------------------------- */

TEST_F(debug, kept_apart)
{
	struct guest *g = &self->g, other;
	unsigned int i;

	guest_open_sibling(_metadata, g, &other, 1);
	GUEST_LONG(&other, breaks);
	GUEST_LONG(g, breaks);
	set_debug(g, 0, AT(breaks, break_here), DR7_EXEC_0);
	set_debug(&other, 0, 0x4444, DR7_NONE);
	for (i = 0; i < 2; i++) {
		g->page->prefetch = VEE_STATE_ALL;
		other.page->prefetch = VEE_STATE_ALL;
		guest_set_rip(g, GPA_CODE);
		guest_set_rip(&other, GPA_CODE);
		ASSERT_VECTOR(g, VECTOR_DB);
		ASSERT_HLT(&other, AT(breaks, break_here) + 1);
		EXPECT_EQ(0x4444, other.page->debug.dr[0]);
		EXPECT_EQ(AT(breaks, break_here), g->page->debug.dr[0]);
	}
	guest_close(&other);
}

/*
 * A breakpoint of the host's at the linear address that the guest writes to:
 * it neither counts nor traps the guest's write, and is in force afterwards.
 */
TEST_F(debug, host_breakpoint)
{
	struct guest *g = &self->g;
	__u32 *here;
	int fd;

	here = mmap((void *)GPA_DATA, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (here != (void *)GPA_DATA)
		VEE_SKIP("no memory at %#llx: %s", GPA_DATA, strerror(errno));
	fd = watch_writes(here + 2);
	if (fd < 0)
		VEE_SKIP("no hardware breakpoints: %s", strerror(errno));
	__atomic_store_n(here + 2, 1, __ATOMIC_SEQ_CST);
	ASSERT_EQ(1, count_of(fd));
	GUEST_LONG(g, writes);
	set_debug(g, 1, 0x7777, DR7_NONE);
	ASSERT_HLT(g, AT(writes, written) + 1);
	EXPECT_EQ(1, guest_read32(g, GPA_DATA + 8));
	EXPECT_EQ(1, count_of(fd));
	/* The guest's own are in the CPU, too, at the same address. */
	GUEST_LONG(g, writes);
	set_debug(g, 2, GPA_DATA + 8, DR7_WRITE_2);
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, AT(writes, written));
	EXPECT_EQ(1, count_of(fd));
	__atomic_store_n(here + 2, 2, __ATOMIC_SEQ_CST);
	EXPECT_EQ(2, count_of(fd));
	close(fd);
}

/* Until DR0 is no longer what it was set to. */
GUEST_CODE(hold_dr0, 64,
	   "1: mov %db0, %rbx; cmp %rax, %rbx; je 1b; hlt");

/* The host's breakpoints come and go where the guest runs: it keeps its own registers. */
TEST_F(debug, host_breakpoint_meanwhile)
{
	static __u32 here;
	struct guest *g = &self->g;
	struct runner r;
	unsigned int i;
	int fd;

	if (cpus_online() < 2)
		VEE_SKIP("one CPU");
	ASSERT_EQ(0, pin_to_cpu(1));
	GUEST_LONG(g, hold_dr0);
	g->page->regs.rax = 0x123456789000;
	/* Armed, where it never comes. */
	set_debug(g, 0, 0x123456789000, DR7_EXEC_0);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_EQ(0, pin_to_cpu(0));
	for (i = 0; i < 200 && !runner_done(&r); i++) {
		fd = watch_writes_of(-1, 1, true, &here);
		if (fd < 0)
			break;
		close(fd);
	}
	EXPECT_EQ(200, i) TH_LOG("%s", strerror(errno));
	if (!runner_done(&r))
		vcpu_kick(g->vcpu, generation(g));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	EXPECT_EQ(0x123456789000, g->page->regs.rbx);
}

/* --- what stores RFLAGS does not store the step's, and what loads it has its way --- */

static __u16 stack_flags(const struct guest *g)
{
	return guest_read32(g, g->page->regs.rsp);
}

GUEST_CODE(push_flags_word, 64, "pushfw; hlt");
GUEST_CODE(push_flags_prefix, 64, ".byte 0x2e, 0xf3, 0x48, 0x9c; hlt");
GUEST_CODE(push_flags_32, 32, "pushf; hlt");
GUEST_CODE(push_flags_word_32, 32, "pushfw; hlt");
GUEST_CODE(push_flags_16, 16, "pushf; hlt");
GUEST_CODE(push_flags_long_16, 16, "pushfl; hlt");

#define ASSERT_PUSHED(g, length)					\
	do {								\
		struct guest *pushed_g = (g);				\
									\
		pushed_g->page->intercept = VEE_INTERCEPT_STEP;		\
		ASSERT_STEP(pushed_g, GPA_CODE + (length));		\
		EXPECT_EQ(X86_EFLAGS_FIXED, stack_flags(pushed_g));	\
		EXPECT_EQ(X86_EFLAGS_FIXED, pushed_g->page->regs.rflags); \
	} while (0)

TEST_F(debug, step_over_pushf)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, push_flags_word);
	ASSERT_PUSHED(g, 2);
	GUEST_LONG(g, push_flags_prefix);
	ASSERT_PUSHED(g, 4);
	GUEST_PROTECTED(g, push_flags_32);
	ASSERT_PUSHED(g, 1);
	GUEST_PROTECTED(g, push_flags_word_32);
	ASSERT_PUSHED(g, 2);
	GUEST_REAL(g, push_flags_16);
	ASSERT_PUSHED(g, 1);
	GUEST_REAL(g, push_flags_long_16);
	ASSERT_PUSHED(g, 2);
}

/* The guest's breakpoints are armed meanwhile, and are its own afterwards. */
TEST_F(debug, step_over_pushf_with_breakpoints)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, push_flags_word);
	set_debug(g, 0, 0x10000, DR7_NONE | 0xff);
	for (i = 1; i < 4; i++)
		g->page->debug.dr[i] = 0x10000 + i;
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_PUSHED(g, 2);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0x10000 + i, g->page->debug.dr[i]);
	EXPECT_EQ(DR7_NONE | 0xff, g->page->debug.dr7);
	EXPECT_EQ(DR6_NONE, g->page->debug.dr6);
}

GUEST_CODE(load_flags, 64, "popf; nop; nop; hlt");

TEST_F(debug, step_over_popf_that_sets_tf)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, load_flags);
	g->page->regs.rsp -= 8;
	guest_write64(g, GPA_STACK - 8, X86_EFLAGS_FIXED | X86_EFLAGS_TF);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 1);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_TF, g->page->regs.rflags);
	g->page->intercept = 0;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(GPA_CODE + 2, guest_read64(g, g->page->regs.rsp));
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_TF,
		  guest_read64(g, g->page->regs.rsp + 16));
}

/* Both step: the caller sees each instruction, the guest gets each of its traps. */
TEST_F(debug, step_of_a_guest_that_steps_itself)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, load_flags);
	set_debug(g, 0, 0, DR7_NONE);
	g->page->prefetch = VEE_STATE_ALL;
	g->page->regs.rsp -= 8;
	guest_write64(g, GPA_STACK - 8, X86_EFLAGS_FIXED | X86_EFLAGS_TF);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 1);
	EXPECT_EQ(0, g->page->debug.dr6 & DR6_BS);
	ASSERT_STEP(g, GPA_CODE + 2);
	ASSERT_STEP(g, STUB(VECTOR_DB));
	EXPECT_EQ(DR6_BS, g->page->debug.dr6 & DR6_BS);
	EXPECT_EQ(GPA_CODE + 2, guest_read64(g, g->page->regs.rsp));
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_TF,
		  guest_read64(g, g->page->regs.rsp + 16));
	/* VMCALL, and IRET, which sets TF again. */
	ASSERT_RUN_AT(g, VEE_EXIT_HYPERCALL, STUB(VECTOR_DB));
	guest_resume_next(g);
	ASSERT_STEP(g, STUB(VECTOR_DB) + 3);
	ASSERT_STEP(g, GPA_CODE + 2);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_TF, g->page->regs.rflags);
	ASSERT_STEP(g, GPA_CODE + 3);
	ASSERT_STEP(g, STUB(VECTOR_DB));
	EXPECT_EQ(GPA_CODE + 3, guest_read64(g, g->page->regs.rsp));
}

/* POPF clears it: the trap after it is the guest's last. */
TEST_F(debug, step_over_popf_that_clears_tf)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, load_flags);
	g->page->regs.rflags |= X86_EFLAGS_TF;
	g->page->regs.rsp -= 8;
	guest_write64(g, GPA_STACK - 8, X86_EFLAGS_FIXED);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 1);
	EXPECT_EQ(X86_EFLAGS_FIXED, g->page->regs.rflags);
	ASSERT_STEP(g, STUB(VECTOR_DB));
	EXPECT_EQ(X86_EFLAGS_FIXED, guest_read64(g, g->page->regs.rsp + 16));
}

/* A step and the guest's watchpoint at the same instruction. */
TEST_F(debug, step_and_own_watchpoint)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, writes);
	set_debug(g, 2, GPA_DATA + 8, DR7_WRITE_2);
	g->page->prefetch = VEE_STATE_ALL;
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, AT(writes, written));
	ASSERT_STEP(g, STUB(VECTOR_DB));
	EXPECT_EQ(4, g->page->debug.dr6 & 0xf);
	EXPECT_EQ(0, g->page->debug.dr6 & DR6_BS);
	EXPECT_EQ(AT(writes, written), guest_read64(g, g->page->regs.rsp));
	EXPECT_EQ(X86_EFLAGS_FIXED, guest_read64(g, g->page->regs.rsp + 16));
}

TEST_F(debug, step_of_a_guest_that_steps_itself_intercepted)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, walk);
	g->page->regs.rflags |= X86_EFLAGS_TF;
	g->page->intercept = VEE_INTERCEPT_STEP | VEE_INTERCEPT_DEBUG;
	ASSERT_STEP(g, GPA_CODE + 1);
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + 1);
	EXPECT_EQ(0, g->page->exit.debug.step);
	EXPECT_EQ(DR6_BS, g->page->exit.debug.dr6 & DR6_BS);
	ASSERT_STEP(g, GPA_CODE + 6);
}

GUEST_LABEL(iret_here);
GUEST_CODE(return_64, 64, "iretq; iret_here: nop; hlt");
GUEST_CODE(return_32, 32, "iret; nop; hlt");
GUEST_CODE(return_16, 16, "iretw; nop; hlt");

TEST_F(debug, step_over_iret_that_sets_tf)
{
	struct guest *g = &self->g;
	__u64 rsp = GPA_STACK - 40;

	GUEST_LONG(g, return_64);
	g->page->regs.rsp = rsp;
	guest_write64(g, rsp, AT(return_64, iret_here));
	guest_write64(g, rsp + 8, SEL_CODE64);
	guest_write64(g, rsp + 16, X86_EFLAGS_FIXED | X86_EFLAGS_TF);
	guest_write64(g, rsp + 24, GPA_STACK);
	guest_write64(g, rsp + 32, SEL_DATA);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, AT(return_64, iret_here));
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_TF, g->page->regs.rflags);

	GUEST_PROTECTED(g, return_32);
	g->page->regs.rsp = rsp;
	guest_write32(g, rsp, GPA_CODE + 1);
	guest_write32(g, rsp + 4, SEL_CODE32);
	guest_write32(g, rsp + 8, X86_EFLAGS_FIXED | X86_EFLAGS_TF);
	ASSERT_STEP(g, GPA_CODE + 1);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_TF, g->page->regs.rflags);

	GUEST_REAL(g, return_16);
	g->page->regs.rsp = rsp;
	guest_write32(g, rsp, GPA_CODE + 1);
	guest_write32(g, rsp + 4, X86_EFLAGS_FIXED | X86_EFLAGS_TF);
	ASSERT_STEP(g, GPA_CODE + 1);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_TF, g->page->regs.rflags);
}

GUEST_CODE(to_user, 64, "sysretq");

TEST_F(debug, step_over_sysret_that_sets_tf)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, to_user);
	g->page->regs.rcx = GPA_CODE + 0x100;
	g->page->regs.r11 = X86_EFLAGS_FIXED | X86_EFLAGS_TF;
	memset(&g->page->msrs, 0, sizeof(g->page->msrs));
	g->page->msrs.star = (__u64)(SEL_USER_DATA - 8) << 48;
	g->page->msrs.pat = 0x0007040600070406ULL;
	g->page->dirty |= VEE_STATE_MSRS;
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 0x100);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_TF, g->page->regs.rflags);
}

GUEST_CODE(to_kernel, 64, "syscall; hlt");

static void set_syscall(struct guest *g, __u64 sfmask)
{
	memset(&g->page->msrs, 0, sizeof(g->page->msrs));
	g->page->msrs.star = (__u64)SEL_CODE64 << 32;
	g->page->msrs.lstar = GPA_CODE + 0x200;
	g->page->msrs.sfmask = sfmask;
	g->page->msrs.pat = 0x0007040600070406ULL;
	g->page->dirty |= VEE_STATE_MSRS;
}

TEST_F(debug, step_over_syscall)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		GUEST_LONG(g, to_kernel);
		set_syscall(g, i ? X86_EFLAGS_TF : 0);
		g->page->intercept = VEE_INTERCEPT_STEP;
		ASSERT_STEP(g, GPA_CODE + 0x200);
		EXPECT_EQ(X86_EFLAGS_FIXED, g->page->regs.r11);
		EXPECT_EQ(X86_EFLAGS_FIXED, g->page->regs.rflags);
	}
}

/* No frame has the step's TF, of whatever pushes one. */
#define ASSERT_FRAME(g, vector, back, error)				\
	do {								\
		struct guest *frame_g = (g);				\
		__u64 frame_gpa;					\
									\
		frame_g->page->intercept = VEE_INTERCEPT_STEP;		\
		ASSERT_STEP(frame_g, STUB(vector));			\
		frame_gpa = frame_g->page->regs.rsp + ((error) ? 8 : 0); \
		EXPECT_EQ((back), guest_read64(frame_g, frame_gpa));	\
		EXPECT_EQ(X86_EFLAGS_FIXED,				\
			  guest_read64(frame_g, frame_gpa + 16) &	\
			  ~(__u64)X86_EFLAGS_RF);			\
	} while (0)

GUEST_CODE(int_80, 64, "int $0x80; hlt");
GUEST_CODE(int_80_prefix, 64, ".byte 0x66, 0x40; int $0x80; hlt");
GUEST_CODE(divide, 64, "xor %ecx, %ecx; div %ecx; hlt");
GUEST_CODE(load_missing, 64, "mov 0x40000000, %eax; hlt");
GUEST_CODE(load_odd, 64, "mov (%rbx), %eax; hlt");

TEST_F(debug, step_into_frames)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, int_80);
	ASSERT_FRAME(g, 0x80, GPA_CODE + 2, false);
	GUEST_LONG(g, int_80_prefix);
	ASSERT_FRAME(g, 0x80, GPA_CODE + 4, false);
	GUEST_LONG(g, int3);
	ASSERT_FRAME(g, VECTOR_BP, GPA_CODE + 1, false);
	GUEST_LONG(g, int1);
	ASSERT_FRAME(g, VECTOR_DB, GPA_CODE + 1, false);
	GUEST_LONG(g, undefined);
	ASSERT_FRAME(g, VECTOR_UD, GPA_CODE, false);
	GUEST_LONG(g, divide);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_STEP(g, GPA_CODE + 2);
	g->page->regs.rflags = X86_EFLAGS_FIXED;
	g->page->dirty |= VEE_STATE_REGS;
	ASSERT_FRAME(g, VECTOR_DE, GPA_CODE + 2, false);
	GUEST_LONG(g, load_odd);
	g->page->regs.rbx = BIT_ULL(62);
	ASSERT_FRAME(g, VECTOR_GP, GPA_CODE, true);
	GUEST_LONG(g, load_missing);
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_FRAME(g, VECTOR_PF, GPA_CODE, true);
	EXPECT_EQ(0x40000000, g->page->control.cr2);
	/* POPF that comes to nothing. */
	GUEST_LONG(g, load_flags);
	g->page->regs.rsp = BIT_ULL(62);
	ASSERT_RUN(g, VEE_EXIT_SHUTDOWN);
}

GUEST_CODE(int_80_32, 32, "int $0x80; hlt");
GUEST_CODE(into_32, 32, "into; hlt");
GUEST_CODE(int_80_16, 16, "int $0x80; hlt");

TEST_F(debug, step_into_frames_32_16)
{
	struct guest *g = &self->g;

	g->page->intercept = VEE_INTERCEPT_STEP;
	GUEST_PROTECTED(g, int_80_32);
	ASSERT_STEP(g, STUB(0x80));
	EXPECT_EQ(GPA_CODE + 2, guest_read32(g, g->page->regs.rsp));
	EXPECT_EQ(X86_EFLAGS_FIXED, guest_read32(g, g->page->regs.rsp + 8));
	GUEST_PROTECTED(g, into_32);
	ASSERT_STEP(g, GPA_CODE + 1);
	GUEST_PROTECTED(g, into_32);
	g->page->regs.rflags |= X86_EFLAGS_OF;
	ASSERT_STEP(g, STUB(4));
	EXPECT_EQ(GPA_CODE + 1, guest_read32(g, g->page->regs.rsp));
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_OF, guest_read32(g, g->page->regs.rsp + 8));
	GUEST_REAL(g, int_80_16);
	ASSERT_STEP(g, STUB(0x80));
	EXPECT_EQ(GPA_CODE + 2, (__u16)guest_read32(g, g->page->regs.rsp));
	EXPECT_EQ(X86_EFLAGS_FIXED, (__u16)guest_read32(g, g->page->regs.rsp + 4));
}

/* INT n at CPL 3, by a gate for CPL 0, is #GP with the gate in its error code. */
TEST_F(debug, step_over_int_that_faults)
{
	struct guest *g = &self->g;
	__u64 gate;

	GUEST_LONG(g, int_80);
	gate = guest_read64(g, GPA_IDT + 16 * 0x80);
	guest_write64(g, GPA_IDT + 16 * 0x80, gate & ~(3ULL << 45));
	guest_set_user(g);
	ASSERT_FRAME(g, VECTOR_GP, GPA_CODE, true);
	EXPECT_EQ(0x80 * 8 + 2, guest_read64(g, g->page->regs.rsp));
}

TEST_F(debug, step_over_int3_with_both)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, int3);
	g->page->intercept = VEE_INTERCEPT_STEP | VEE_INTERCEPT_BREAKPOINT;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE);
	EXPECT_EQ(3, g->page->exit.debug.vector);
	guest_resume_next(g);
	ASSERT_STEP(g, GPA_CODE + 1);
}

TEST_HARNESS_MAIN
