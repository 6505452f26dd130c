// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests, and callers, that do what they should not: all of it is contained.
 * Every run ends, within its deadline; none of what a guest does by itself makes
 * a VM entry fail; and another guest runs as if nothing had happened.
 */
#include <stddef.h>

#include "vee_util.h"

/* For guests of which anything may come: whatever it is, it ends soon. */
#define LIMIT_NS	(2 * MS_NS)
#define DR7_WATCH_0	0x000d0401ULL	/* writes, 4 bytes */

GUEST_CODE(halt, 64, "hlt");

FIXTURE(hostile) {
	struct guest g;
	struct guest bystander;
};

FIXTURE_SETUP(hostile)
{
	guest_open(_metadata, &self->g);
	guest_open(_metadata, &self->bystander);
	GUEST_LONG(&self->bystander, halt);
	ASSERT_HLT(&self->bystander, GPA_CODE);
}

/* No ASSERT here: it would lead back into the teardown. */
FIXTURE_TEARDOWN(hostile)
{
	EXPECT_EQ(0, guest_run(&self->bystander));
	EXPECT_EQ(VEE_EXIT_HLT, self->bystander.page->exit.reason);
	guest_close(&self->bystander);
	guest_close(&self->g);
}

/* The same numbers each time (Marsaglia's xorshift). */
static __u64 next_random(__u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fill_random(void *where, size_t bytes, __u64 *state)
{
	unsigned char *p = where;
	size_t i;

	for (i = 0; i < bytes; i++)
		p[i] = next_random(state) >> 24;
}

/* All that a caller can set, in a state that the guest runs from. */
static void make_sane(struct guest *g)
{
	memset(g->page, 0, sizeof(*g->page));
	g->page->prefetch = VEE_STATE_ALL;
	g->page->deadline_ns = DEADLINE_NS;
	g->page->debug.dr6 = 0xffff0ff0;
	g->page->debug.dr7 = 0x400;
	g->page->msrs.pat = 0x0007040600070406;
	GUEST_LONG(g, halt);
	g->page->dirty = VEE_STATE_ALL;
}

/* --- instructions ---------------------------------------------------------- */

struct instruction {
	const char *name;
	const char *bytes;
	size_t length;
	int vector;	/* that it raises; -1: none */
};

#define INSN(name, bytes, vector) \
	{ name, bytes, sizeof(bytes) - 1, vector }

/* With memory operands at (%rbx). */
static const struct instruction instructions[] = {
	INSN("VMLAUNCH", "\x0f\x01\xc2", VECTOR_UD),
	INSN("VMRESUME", "\x0f\x01\xc3", VECTOR_UD),
	INSN("VMXOFF", "\x0f\x01\xc4", VECTOR_UD),
	INSN("VMFUNC", "\x0f\x01\xd4", VECTOR_UD),
	INSN("VMPTRLD", "\x0f\xc7\x33", VECTOR_UD),
	INSN("VMPTRST", "\x0f\xc7\x3b", VECTOR_UD),
	INSN("VMCLEAR", "\x66\x0f\xc7\x33", VECTOR_UD),
	INSN("VMXON", "\xf3\x0f\xc7\x33", VECTOR_UD),
	INSN("VMREAD", "\x0f\x78\xc8", VECTOR_UD),
	INSN("VMREAD memory", "\x0f\x78\x0b", VECTOR_UD),
	INSN("VMWRITE", "\x0f\x79\xc8", VECTOR_UD),
	INSN("INVEPT", "\x66\x0f\x38\x80\x0b", VECTOR_UD),
	INSN("INVVPID", "\x66\x0f\x38\x81\x0b", VECTOR_UD),
	INSN("GETSEC", "\x0f\x37", VECTOR_UD),
	INSN("MONITOR", "\x0f\x01\xc8", VECTOR_UD),
	INSN("MWAIT", "\x0f\x01\xc9", VECTOR_UD),
	INSN("XSAVES", "\x0f\xc7\x2b", VECTOR_UD),
	INSN("XRSTORS", "\x0f\xc7\x1b", VECTOR_UD),
	INSN("ENCLS", "\x0f\x01\xcf", VECTOR_UD),
	INSN("VMRUN", "\x0f\x01\xd8", VECTOR_UD),
	INSN("SKINIT", "\x0f\x01\xde", VECTOR_UD),
	INSN("RSM", "\x0f\xaa", VECTOR_UD),
	INSN("UD0", "\x0f\xff\xc0", VECTOR_UD),
	INSN("UD1", "\x0f\xb9\xc0", VECTOR_UD),
	INSN("RDPMC", "\x0f\x33", VECTOR_GP),
	INSN("WBINVD", "\x0f\x09", -1),
	INSN("INVD", "\x0f\x08", -1),
	INSN("PAUSE", "\xf3\x90", -1),
	INSN("SGDT", "\x0f\x01\x03", -1),
};

static void start_instruction(struct guest *g, const struct instruction *insn)
{
	GUEST_LONG(g, halt);
	memcpy(g->mem + GPA_CODE, insn->bytes, insn->length);
	g->mem[GPA_CODE + insn->length] = 0xf4;	/* HLT */
	g->page->regs.rbx = GPA_DATA;
}

TEST_F(hostile, instructions)
{
	const struct instruction *insn = instructions;
	struct guest *g = &self->g;

	for (; insn < instructions + ARRAY_SIZE(instructions); insn++) {
		start_instruction(g, insn);
		ASSERT_EQ(0, guest_run(g));
		if (insn->vector < 0) {
			EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason)
				TH_LOG("%s: %s", insn->name, guest_describe(g));
			continue;
		}
		EXPECT_EQ(STUB(insn->vector), g->page->regs.rip)
			TH_LOG("%s: %s", insn->name, guest_describe(g));
		/* At the instruction, not behind it. */
		EXPECT_EQ(GPA_CODE,
			  guest_read64(g, g->page->regs.rsp +
				       8 * (insn->vector == VECTOR_GP)))
			TH_LOG("%s", insn->name);
	}
}

/* The same at CPL 3: #UD or #GP, but never more than at CPL 0. */
TEST_F(hostile, instructions_user)
{
	const struct instruction *insn = instructions;
	struct guest *g = &self->g;

	for (; insn < instructions + ARRAY_SIZE(instructions); insn++) {
		if (insn->vector < 0)
			continue;
		start_instruction(g, insn);
		guest_set_user(g);
		ASSERT_EQ(0, guest_run(g));
		EXPECT_TRUE(g->page->regs.rip == STUB(VECTOR_UD) ||
			    g->page->regs.rip == STUB(VECTOR_GP))
			TH_LOG("%s: %s", insn->name, guest_describe(g));
	}
}

/* A locked access across a cache line: the host may forbid it by #AC. */
GUEST_CODE(split_lock, 64, "lock incl 0x2003e; hlt");

TEST_F(hostile, split_lock)
{
	GUEST_LONG(&self->g, split_lock);
	ASSERT_EQ(0, guest_run(&self->g));
	EXPECT_TRUE(self->g.page->exit.reason == VEE_EXIT_HLT ||
		    self->g.page->regs.rip == STUB(VECTOR_AC))
		TH_LOG("%s", guest_describe(&self->g));
}

/* --- every MSR, every port ------------------------------------------------- */

GUEST_CODE(read_msrs, 64,
	   "1: mov %ebx, %ecx; rdmsr; 2: inc %ebx; cmp %esi, %ebx; jne 1b; hlt");
GUEST_CODE(write_msrs, 64,
	   "1: mov %ebx, %ecx; mov %edi, %eax; mov %edi, %edx; wrmsr;"
	   "inc %ebx; cmp %esi, %ebx; jne 1b; hlt");

/*
 * Answers each access and steps over each that is #GP, until the guest has been
 * through all of @from to @to. The number of accesses that came here, or -1.
 */
static int sweep_msrs(struct guest *g, __u32 from, __u32 to)
{
	int seen = 0;

	g->page->deadline_ns = 0;
	g->page->regs.rbx = from;
	g->page->regs.rsi = to;
	for (;;) {
		__u64 rsp = g->page->regs.rsp;

		if (guest_run(g))
			return -1;
		rsp = g->page->regs.rsp;
		switch (g->page->exit.reason) {
		case VEE_EXIT_HLT:
			return seen;
		case VEE_EXIT_RDMSR:
		case VEE_EXIT_WRMSR:
			seen++;
			break;
		case VEE_EXIT_HYPERCALL:
			if (g->page->regs.rip != STUB(VECTOR_GP))
				return -1;
			/* Drop the error code, and return behind the access. */
			guest_write64(g, rsp + 8, guest_read64(g, rsp + 8) + 2);
			g->page->regs.rsp += 8;
			g->page->dirty = VEE_STATE_REGS;
			break;
		default:
			return -1;
		}
		g->page->resume = VEE_RESUME_NEXT;
	}
}

TEST_F_TIMEOUT(hostile, read_every_msr, 120)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, read_msrs);
	EXPECT_LT(8000, sweep_msrs(g, 0, 0x2000)) TH_LOG("%s", guest_describe(g));
	GUEST_LONG(g, read_msrs);
	EXPECT_LT(8000, sweep_msrs(g, 0xc0000000, 0xc0002000))
		TH_LOG("%s", guest_describe(g));
	GUEST_LONG(g, read_msrs);
	EXPECT_EQ(256, sweep_msrs(g, 0x40000000, 0x40000100));
}

static void write_all_msrs(struct __test_metadata *_metadata, struct guest *g,
			   __u32 value)
{
	static const __u32 ranges[][2] = {
		{ 0, 0x400 }, { 0x480, 0x4a0 }, { 0x800, 0x840 },
		{ 0xd90, 0xdb0 }, { 0xc0000080, 0xc0000110 },
		{ 0xc0010000, 0xc0010040 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		make_sane(g);
		GUEST_LONG(g, write_msrs);
		g->page->regs.rdi = value;
		EXPECT_LE(0, sweep_msrs(g, ranges[i][0], ranges[i][1]))
			TH_LOG("%#x to %#x: %s", ranges[i][0], ranges[i][1],
			       guest_describe(g));
	}
}

TEST_F_TIMEOUT(hostile, write_every_msr, 120)
{
	static const __u32 values[] = { 0, 1, 0x00007fff, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++)
		write_all_msrs(_metadata, &self->g, values[i]);
	make_sane(&self->g);
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* Each port that a device of a PC has, those below LOW_PORTS, and beyond each PORT_STEP-th. */
#define LOW_PORTS	0x1000	/* as in the guest's code */
#define PORT_STEP	61

GUEST_CODE(ports, 64,
	   "xor %edx, %edx; 1: in %dx, %al; inc %edx; cmp $0x1000, %edx; jb 1b;"
	   "2: in %dx, %al; add $61, %dx; jnc 2b; xor %edx, %edx;"
	   "3: add $0xfff, %dx; out %eax, %dx; cmp $0xf000, %dx; jb 3b; hlt");

TEST_F(hostile, ports)
{
	struct guest *g = &self->g;
	unsigned int port = 0, in = 0, out = 0;

	GUEST_LONG(g, ports);
	g->page->deadline_ns = 0;
	g->page->prefetch = 0;
	for (;;) {
		const struct vee_exit *exit = &g->page->exit;

		ASSERT_EQ(0, guest_run(g));
		if (exit->reason != VEE_EXIT_PIO)
			break;
		if (exit->pio.direction == VEE_PIO_IN) {
			in += exit->pio.port == port;
			port += port < LOW_PORTS ? 1 : PORT_STEP;
		} else {
			out++;
		}
		g->page->resume = VEE_RESUME_NEXT;
	}
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	EXPECT_EQ(LOW_PORTS + (0x10000 - LOW_PORTS) / PORT_STEP + 1, in);
	EXPECT_LT(10, out);
}

/* --- jumps to nowhere ------------------------------------------------------ */

GUEST_CODE(jump, 64, "jmp *%rbx");

TEST_F(hostile, jump_to_nowhere)
{
	static const __u64 targets[] = {
		GPA_MMIO, 0x3ffffff0, 0x40000000, 0x7fffffffffff,
		0x800000000000, 0xffff800000000000, -1ULL, GPA_PML4,
		GPA_STACK, 0, GUEST_BYTES - 1,
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		GUEST_LONG(g, jump);
		g->page->deadline_ns = 20 * MS_NS;
		g->page->regs.rbx = targets[i];
		ASSERT_EQ(0, guest_run(g)) TH_LOG("%#llx", targets[i]);
		EXPECT_NE(VEE_EXIT_ENTRY_FAILED, g->page->exit.reason)
			TH_LOG("%#llx", targets[i]);
	}
	g->page->deadline_ns = DEADLINE_NS;
	GUEST_LONG(g, jump);
	g->page->regs.rbx = 0x800000000000;
	ASSERT_VECTOR(g, VECTOR_GP);
	GUEST_LONG(g, jump);
	g->page->regs.rbx = 0x7fffffffffff;
	ASSERT_VECTOR(g, VECTOR_PF);
}

/*
 * The last instruction below the canonical hole: what VEE_RESUME_NEXT goes on to
 * does not exist.
 */
TEST_F(hostile, resume_into_the_hole)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halt);
	guest_write64(g, GPA_PML4 + 8 * 255, GPA_PDPT | PTE_ALL);
	guest_write64(g, GPA_PDPT + 8 * 511, GPA_PT | PTE_ALL);
	guest_write64(g, GPA_PT + 8 * 511, PTE_ALL | PTE_PS);
	g->mem[GUEST_BYTES - 2] = 0xe6;	/* OUT 42H, AL */
	g->mem[GUEST_BYTES - 1] = 0x42;
	guest_set_rip(g, 0x7ffffffffffe);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(0x800000000000, guest_read64(g, g->page->regs.rsp + 8));
}

/* --- endless deliveries ---------------------------------------------------- */

GUEST_CODE(misaligned, 32, "mov 0x20001, %eax; hlt");

/* #AC whose handler's stack is misaligned at CPL 3, where that is #AC again. */
TEST_F(hostile, alignment_check_loop)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, misaligned);
	guest_set_user(g);
	guest_write64(g, GPA_IDT + 8 * VECTOR_AC,
		      STUB(VECTOR_AC) | (SEL_USER_CODE32 | 3) << 16 |
		      0xeeULL << 40);
	g->page->control.cr0 |= X86_CR0_AM;
	g->page->regs.rflags |= X86_EFLAGS_AC;
	g->page->regs.rsp = GPA_STACK - 1;
	g->page->deadline_ns = 20 * MS_NS;
	ASSERT_EQ(0, guest_run(g));
	EXPECT_TRUE(g->page->exit.reason == VEE_EXIT_DEADLINE ||
		    g->page->exit.reason == VEE_EXIT_HYPERCALL)
		TH_LOG("%s", guest_describe(g));
}

/* #DB whose frame is pushed onto a watched address. */
GUEST_CODE(watched, 64, "movl $1, -8(%rsp); nop; hlt");

TEST_F(hostile, debug_exception_loop)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, watched);
	g->page->debug.dr[0] = GPA_STACK - 8;
	g->page->debug.dr6 = 0xffff0ff0;
	g->page->debug.dr7 = DR7_WATCH_0;
	g->page->dirty |= VEE_STATE_DEBUG;
	g->page->deadline_ns = 20 * MS_NS;
	ASSERT_EQ(0, guest_run(g));
	EXPECT_TRUE(g->page->exit.reason == VEE_EXIT_DEADLINE ||
		    g->page->exit.reason == VEE_EXIT_HYPERCALL)
		TH_LOG("%s", guest_describe(g));
}

/* A debug trap held back by MOV SS, and then an instruction that exits. */
GUEST_CODE(pop_ss_cpuid, 64, "mov 0x20000, %ss; cpuid; nop; hlt");
GUEST_CODE(pop_ss_out, 64, "mov 0x20000, %ss; out %al, $0x42; nop; hlt");
GUEST_CODE(pop_ss_vmcall, 64, "mov 0x20000, %ss; vmcall; nop; hlt");
GUEST_CODE(pop_ss_int3, 64, "mov 0x20000, %ss; int3; nop; hlt");
GUEST_CODE(pop_ss_hlt, 64, "mov 0x20000, %ss; hlt; nop; hlt");
GUEST_CODE(pop_ss_ud2, 64, "mov 0x20000, %ss; ud2");

TEST_F(hostile, debug_trap_behind_mov_ss)
{
	static const unsigned char * const codes[][2] = {
		{ pop_ss_cpuid, pop_ss_cpuid_end },
		{ pop_ss_out, pop_ss_out_end },
		{ pop_ss_vmcall, pop_ss_vmcall_end },
		{ pop_ss_int3, pop_ss_int3_end },
		{ pop_ss_hlt, pop_ss_hlt_end },
		{ pop_ss_ud2, pop_ss_ud2_end },
	};
	struct guest *g = &self->g;
	unsigned int i, step;

	for (i = 0; i < 2 * ARRAY_SIZE(codes); i++) {
		make_sane(g);
		guest_start(g, guest_set_long, codes[i / 2][0], codes[i / 2][1]);
		guest_write32(g, GPA_DATA, SEL_DATA);
		g->page->debug.dr[0] = GPA_DATA;
		/* Reads and writes of 4 bytes; the other time also RFLAGS.TF. */
		g->page->debug.dr7 = 0x000f0401;
		if (i & 1)
			g->page->regs.rflags |= X86_EFLAGS_TF;
		for (step = 0; step < 6; step++) {
			ASSERT_EQ(0, guest_run(g));
			ASSERT_NE(VEE_EXIT_ENTRY_FAILED, g->page->exit.reason)
				TH_LOG("code %u, step %u: %s", i, step,
				       guest_describe(g));
			if (!g->page->exit.instruction_length)
				break;
			g->page->resume = VEE_RESUME_NEXT;
		}
	}
}

/*
 * A trap held back by MOV SS, or due after STI, and then an instruction that faults, exits
 * or is tried again, whatever the caller makes of it.
 */
#define MOV_SS_CODE(name, text) \
	GUEST_CODE(mov_ss_##name, 64, "mov 0x20000, %ss;" text "; nop; hlt")
#define STI_CODE(name, text) \
	GUEST_CODE(sti_##name, 64, "sti;" text "; nop; hlt")

MOV_SS_CODE(rdpmc, "rdpmc");
STI_CODE(rdpmc, "rdpmc");
MOV_SS_CODE(vmxoff, "vmxoff");
STI_CODE(vmxoff, "vmxoff");
MOV_SS_CODE(xsetbv, "xor %eax, %eax; xsetbv");
STI_CODE(xsetbv, "xor %eax, %eax; xsetbv");
MOV_SS_CODE(cr4, "mov %rbx, %cr4");
STI_CODE(cr4, "mov %rbx, %cr4");
MOV_SS_CODE(rdmsr, "rdmsr");
STI_CODE(rdmsr, "rdmsr");
MOV_SS_CODE(cpuid, "cpuid");
STI_CODE(cpuid, "cpuid");
MOV_SS_CODE(out, "out %al, $0x42");
STI_CODE(out, "out %al, $0x42");
MOV_SS_CODE(touch, "incl (%rsi)");
STI_CODE(touch, "incl (%rsi)");
MOV_SS_CODE(mmio, "mov 0x30000000, %eax");
STI_CODE(mmio, "mov 0x30000000, %eax");
MOV_SS_CODE(fetch, "jmp *%rsi");
STI_CODE(fetch, "jmp *%rsi");
MOV_SS_CODE(debug, "mov %db0, %rax");
STI_CODE(debug, "mov %db0, %rax");
MOV_SS_CODE(int1, ".byte 0xf1");
STI_CODE(int1, ".byte 0xf1");
MOV_SS_CODE(int3, "int3");
STI_CODE(int3, "int3");
MOV_SS_CODE(int_n, "int $0x80");
STI_CODE(int_n, "int $0x80");
MOV_SS_CODE(divide, "div %edi");
STI_CODE(divide, "div %edi");
MOV_SS_CODE(spin, "1: jmp 1b");
STI_CODE(spin, "1: jmp 1b");
MOV_SS_CODE(halt, "hlt");
STI_CODE(halt, "hlt");
MOV_SS_CODE(popf, "popf");
STI_CODE(popf, "popf");

#define PENDING_BS	0x4000

enum answer { ANSWER_NEXT, ANSWER_HERE, ANSWER_GP, ANSWER_DB, ANSWERS };

static void answer(struct guest *g, enum answer answer)
{
	switch (answer) {
	case ANSWER_GP:
		guest_inject_error(g, VECTOR_GP, 0);
		break;
	case ANSWER_DB:
		guest_inject(g, VEE_EVENT_EXCEPTION, VECTOR_DB);
		break;
	case ANSWER_NEXT:
		if (g->page->exit.instruction_length)
			guest_resume_next(g);
		break;
	default:
		break;
	}
}

static void run_in_shadow(struct __test_metadata *_metadata, struct guest *g, enum answer how,
			  const char *name)
{
	const struct vee_events *events = &g->page->events;
	unsigned int step;

	for (step = 0; step < 5; step++) {
		ASSERT_EQ(0, guest_run(g));
		/* What an entry checks, even where the CPU at hand doesn't. */
		if (events->interruptibility & (VEE_BLOCKING_BY_STI | VEE_BLOCKING_BY_MOV_SS))
			EXPECT_EQ(!(g->page->regs.rflags & X86_EFLAGS_TF),
				  !(events->pending_debug & PENDING_BS))
				TH_LOG("%s, answer %u, step %u: %s", name, how, step,
				       guest_describe(g));
		ASSERT_NE(VEE_EXIT_ENTRY_FAILED, g->page->exit.reason)
			TH_LOG("%s, answer %u, step %u: %s", name, how, step,
			       guest_describe(g));
		answer(g, how);
	}
	/* What has not been taken over is not left to the next one. */
	g->page->resume = VEE_RESUME_HERE;
	g->page->inject.flags = 0;
}

TEST_F_TIMEOUT(hostile, trap_in_a_shadow, 120)
{
#define SHADOW_CASE(name) { \
	#name, { mov_ss_##name, sti_##name }, { mov_ss_##name##_end, sti_##name##_end } }
	static const struct {
		const char *name;
		const unsigned char *code[2];
		const unsigned char *end[2];
	} cases[] = {
		SHADOW_CASE(rdpmc), SHADOW_CASE(vmxoff), SHADOW_CASE(xsetbv), SHADOW_CASE(cr4),
		SHADOW_CASE(rdmsr), SHADOW_CASE(cpuid), SHADOW_CASE(out), SHADOW_CASE(touch),
		SHADOW_CASE(mmio), SHADOW_CASE(fetch), SHADOW_CASE(debug), SHADOW_CASE(int1),
		SHADOW_CASE(int3), SHADOW_CASE(int_n), SHADOW_CASE(divide), SHADOW_CASE(spin),
		SHADOW_CASE(halt), SHADOW_CASE(popf),
	};
	static const __u32 intercepts[] = {
		0, VEE_INTERCEPT_DEBUG | VEE_INTERCEPT_BREAKPOINT, VEE_INTERCEPT_STEP,
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(cases) * ANSWERS * ARRAY_SIZE(intercepts); i++) {
		unsigned int c = i / 2 / ARRAY_SIZE(intercepts) / ANSWERS;

		make_sane(g);
		guest_start(g, guest_set_long, cases[c].code[i % 2], cases[c].end[i % 2]);
		guest_write32(g, GPA_DATA, SEL_DATA);
		guest_write64(g, GPA_STACK - 8, X86_EFLAGS_FIXED);
		madvise(g->mem + 0x100000, PAGE_BYTES, MADV_DONTNEED);
		g->page->intercept = intercepts[i / 2 % ARRAY_SIZE(intercepts)];
		g->page->options = c & 1 ? VEE_OPTION_HLT_SLEEPS : 0;
		g->page->regs.rflags |= X86_EFLAGS_TF;
		g->page->regs.rsp -= 8;
		g->page->regs.rbx = -1ULL;
		g->page->regs.rsi = 0x100000;
		g->page->deadline_ns = 2 * MS_NS;
		run_in_shadow(_metadata, g, i / 2 / ARRAY_SIZE(intercepts) % ANSWERS,
			      cases[c].name);
	}
	g->page->options = 0;
}

/* A triple fault in each mode. */
TEST_F(hostile, triple_faults)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, jump);
	g->page->regs.rbx = -1ULL;
	g->page->segments.idtr.limit = 0;
	ASSERT_RUN(g, VEE_EXIT_SHUTDOWN);
	GUEST_PROTECTED(g, misaligned);
	g->mem[GPA_CODE] = 0x0f;	/* UD2 */
	g->mem[GPA_CODE + 1] = 0x0b;
	g->page->segments.idtr.limit = 0;
	ASSERT_RUN(g, VEE_EXIT_SHUTDOWN);
	GUEST_REAL(g, misaligned);
	g->mem[GPA_CODE] = 0x0f;
	g->mem[GPA_CODE + 1] = 0x0b;
	g->page->segments.idtr.limit = 0;
	ASSERT_RUN(g, VEE_EXIT_SHUTDOWN);
}

/* --- random code ----------------------------------------------------------- */

/* Some of what follows the code: a few exits, each answered without care. */
static int run_some(struct guest *g)
{
	unsigned int i;
	int ret;

	for (i = 0; i < 6; i++) {
		ret = guest_run(g);
		if (ret)
			return ret;
		if (g->page->exit.reason == VEE_EXIT_ENTRY_FAILED)
			return -ENOEXEC;
		if (g->page->exit.reason == VEE_EXIT_DEADLINE)
			return 0;
		if (g->page->exit.instruction_length)
			g->page->resume = VEE_RESUME_NEXT;
	}
	g->page->resume = VEE_RESUME_HERE;
	return 0;
}

static void random_code(struct __test_metadata *_metadata, struct guest *g,
			void (*set_mode)(struct guest *g), __u64 seed)
{
	__u64 state = seed;
	unsigned int i;
	int ret;

	for (i = 0; i < 300; i++) {
		make_sane(g);
		set_mode(g);
		g->page->deadline_ns = LIMIT_NS / 8;
		fill_random(g->mem + GPA_CODE, 256, &state);
		fill_random(g->page->regs.gpr, sizeof(g->page->regs.gpr), &state);
		g->page->regs.rsp = GPA_STACK;
		ret = run_some(g);
		EXPECT_EQ(0, ret)
			TH_LOG("turn %u: %d, %s", i, ret, guest_describe(g));
	}
}

TEST_F_TIMEOUT(hostile, random_code_long, 120)
{
	random_code(_metadata, &self->g, guest_set_long, 0x0123456789abcdefULL);
}

TEST_F_TIMEOUT(hostile, random_code_protected, 120)
{
	random_code(_metadata, &self->g, guest_set_protected,
		    0x13579bdf02468aceULL);
}

TEST_F_TIMEOUT(hostile, random_code_real, 120)
{
	random_code(_metadata, &self->g, guest_set_real, 0xfedcba9876543210ULL);
}

/* Values for CR0, CR3, CR4, EFER and XCR0 that nobody chose. */
GUEST_CODE(random_control, 64,
	   "mov %rax, %cr4; mov %rbx, %cr0; mov %rsi, %cr3;"
	   "mov $0xc0000080, %ecx; mov %edi, %eax; xor %edx, %edx; wrmsr;"
	   "xor %ecx, %ecx; mov %r8d, %eax; xsetbv; nop; hlt");

TEST_F_TIMEOUT(hostile, random_control_registers, 120)
{
	__u64 state = 0x2545f4914f6cdd1dULL;
	struct guest *g = &self->g;
	unsigned int i;
	int ret;

	for (i = 0; i < 300; i++) {
		make_sane(g);
		GUEST_LONG(g, random_control);
		g->page->deadline_ns = LIMIT_NS;
		/* Few bits, near what is legal: the rest is #GP at once. */
		g->page->regs.rax = 0x620 ^ BIT_ULL(next_random(&state) % 24);
		g->page->regs.rbx = 0x80000011 ^
				    BIT_ULL(next_random(&state) % 32);
		g->page->regs.rsi = GPA_PML4 ^
				    BIT_ULL(next_random(&state) % 64);
		g->page->regs.rdi = 0xd01 ^ BIT_ULL(next_random(&state) % 16);
		g->page->regs.r8 = next_random(&state) & 0xff;
		ret = run_some(g);
		EXPECT_EQ(0, ret)
			TH_LOG("turn %u: %d, %s", i, ret, guest_describe(g));
	}
}

/* Page tables of random bits, in memory and out of it. */
GUEST_CODE(walk_around, 64,
	   "1: mov (%rbx), %al; mov %al, (%rbx); add %rcx, %rbx; dec %esi;"
	   "jnz 1b; hlt");

TEST_F_TIMEOUT(hostile, random_page_tables, 120)
{
	__u64 state = 0x5deece66d1234567ULL;
	struct guest *g = &self->g;
	unsigned int i;
	int ret;

	for (i = 0; i < 100; i++) {
		make_sane(g);
		GUEST_LONG(g, walk_around);
		g->page->deadline_ns = LIMIT_NS;
		/* The second GiB is random, the first the code's. */
		guest_write64(g, GPA_PDPT + 8, 0x20000 | PTE_ALL);
		fill_random(g->mem + 0x20000, PAGE_BYTES, &state);
		guest_write64(g, 0x20000, 0x21000 | PTE_ALL);
		fill_random(g->mem + 0x21000, PAGE_BYTES, &state);
		g->page->regs.rbx = PAGES_1G;
		g->page->regs.rcx = next_random(&state) & 0xfffff;
		g->page->regs.rsi = 100;
		ret = run_some(g);
		EXPECT_EQ(0, ret)
			TH_LOG("turn %u: %d, %s", i, ret, guest_describe(g));
	}
}

/* --- random state ---------------------------------------------------------- */

/* Refused, or run to whatever comes of it. */
static bool contained(struct guest *g)
{
	int ret;

	g->page->deadline_ns = LIMIT_NS;
	ret = guest_run(g);
	return !ret || ret == -EINVAL || ret == -EBUSY;
}

TEST_F_TIMEOUT(hostile, random_state, 120)
{
	__u64 state = 0xa0761d6478bd642fULL;
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < 300; i++) {
		make_sane(g);
		fill_random(&g->page->regs, sizeof(*g->page) -
			    offsetof(struct vee_vcpu_page, regs), &state);
		g->page->dirty = next_random(&state) & VEE_STATE_ALL;
		EXPECT_TRUE(contained(g)) TH_LOG("turn %u", i);
	}
	make_sane(g);
	ASSERT_HLT(g, GPA_CODE);
}

/* Good state with a few bits turned over: that gets further. */
TEST_F_TIMEOUT(hostile, random_bits, 120)
{
	static void (* const modes[])(struct guest *g) = {
		guest_set_long, guest_set_protected, guest_set_real,
	};
	__u64 state = 0xe7037ed1a0b428dbULL;
	struct guest *g = &self->g;
	unsigned int i, n;

	for (i = 0; i < 600; i++) {
		unsigned char *bytes = (unsigned char *)&g->page->regs;
		size_t size = sizeof(*g->page) -
			      offsetof(struct vee_vcpu_page, regs);

		make_sane(g);
		modes[i % 3](g);
		for (n = 0; n <= i % 4; n++) {
			__u64 bit = next_random(&state) % (8 * size);

			bytes[bit / 8] ^= 1U << bit % 8;
		}
		g->page->dirty = VEE_STATE_ALL;
		EXPECT_TRUE(contained(g)) TH_LOG("turn %u", i);
	}
	make_sane(g);
	ASSERT_HLT(g, GPA_CODE);
}

TEST_F_TIMEOUT(hostile, random_requests, 120)
{
	__u64 state = 0x8ebc6af09c88c6e3ULL;
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < 600; i++) {
		make_sane(g);
		fill_random(&g->page->inject, sizeof(g->page->inject), &state);
		g->page->inject.flags &= i & 1 ? 3 : 1;
		g->page->inject.type &= 7;
		g->page->intercept = next_random(&state) & VEE_INTERCEPT_ALL;
		g->page->prefetch = next_random(&state) &
				    (VEE_STATE_ALL | VEE_PREFETCH_INSN);
		g->page->resume = next_random(&state) & 1;
		EXPECT_TRUE(contained(g)) TH_LOG("turn %u", i);
	}
	make_sane(g);
	ASSERT_HLT(g, GPA_CODE);
}

/* --- strange memory -------------------------------------------------------- */

GUEST_CODE(fill_page, 64,
	   "mov $0x30000000, %edi; mov $512, %ecx; mov $-1, %rax;"
	   "rep stosq; hlt");

/* The guest is lent its own vCPU's page, and writes all over it. */
TEST_F(hostile, own_vcpu_page)
{
	struct guest *g = &self->g;
	int ret = vm_map(g->vm, GPA_MMIO, g->page, PAGE_BYTES,
			 VEE_READ | VEE_WRITE);

	EXPECT_TRUE(!ret || ret == -EFAULT || ret == -EINVAL);
	GUEST_LONG(g, fill_page);
	ASSERT_EQ(0, guest_run(g));
	make_sane(g);
	g->page->events = (struct vee_events) { 0 };
	ASSERT_HLT(g, GPA_CODE);
}

/* Many slots of one page of memory, and the same page twice in a guest. */
TEST_F(hostile, aliases)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO + i * PAGE_BYTES,
				    g->mem + GPA_DATA, PAGE_BYTES, VEE_RWX));
	}
	GUEST_LONG(g, fill_page);
	g->page->deadline_ns = DEADLINE_NS;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(-1ULL, guest_read64(g, GPA_DATA));
	EXPECT_EQ(-1ULL, guest_read64(g, GPA_DATA + PAGE_BYTES - 8));
}

TEST_HARNESS_MAIN
