// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 9: guests that make VMCALLs, and what became of them. The grader reads that.
 */
#include "vee_util.h"
#include "hypercall.h"

#define REASON_HLT	12
#define REASON_CPUID	10
#define REASON_VMCALL	18
#define VECTOR		0x40

/* Of the guest's time: one that makes the same VMCALL for ever. */
#define SHORT_NS	(20 * MS_NS)

#define SAY(fmt, ...)	dprintf(STDOUT_FILENO, fmt "\n", ##__VA_ARGS__)

/* What vee_util.h's functions want of a test. */
static struct __test_metadata no_test;

static struct guest g;

/* A vCPU that has had no exit. */
static void begin(const unsigned char *code, const unsigned char *end)
{
	static const __u8 vectors[] = { VECTOR_DB, VECTOR_UD, VECTOR };
	unsigned int i;

	guest_open(&no_test, &g);
	guest_start(&g, guest_set_long, code, end);
	/* HLT: theirs begin with a VMCALL, which may be answered. */
	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		g.mem[STUB(vectors[i])] = 0xf4;
	g.page->regs.rax = HYPERCALL_EXITS;
	g.page->regs.rdi = REASON_CPUID;
	g.page->deadline_ns = SHORT_NS;
}

#define BEGIN(code)	begin(code, code##_end)

/* How a run ends, in words. */
static const char *outcome(void)
{
	int ret = guest_run(&g);

	if (ret)
		return strerror(-ret);
	switch (g.page->exit.reason) {
	case VEE_EXIT_HYPERCALL:
		return "it went to the caller";
	case VEE_EXIT_DEADLINE:
		return "the guest does not get past its VMCALL";
	case VEE_EXIT_HLT:
		if (g.page->regs.rip == STUB(VECTOR_UD))
			return "#UD";
		if (g.page->regs.rip == STUB(VECTOR_DB) || g.page->regs.rip == STUB(VECTOR))
			return "an event";
		return "done";
	case VEE_EXIT_DEBUG:
		return "a step";
	default:
		return guest_describe(&g);
	}
}

static bool is_done(const char *what)
{
	const char *text = outcome();

	if (!strcmp(text, "done"))
		return true;
	/* Another one, by what is in RAX then. */
	if (g.page->exit.reason == VEE_EXIT_HYPERCALL && g.page->regs.rax != HYPERCALL_EXITS)
		text = "answered, and RIP is still at the VMCALL";
	SAY("%s: %s", what, text);
	return false;
}

/* --- answer ------------------------------------------------------------------ */

GUEST_CODE(count, 64,
	   "mov $3, %esi; 1: xor %eax, %eax; cpuid; dec %esi; jnz 1b;"
	   "mov $0x766565, %eax; mov $10, %edi; vmcall; mov %rax, %r8;"
	   "mov $0x766565, %eax; mov $18, %edi; vmcall; mov %rax, %r9;"
	   "mov $0x766565, %eax; mov $12, %edi; vmcall; mov %rax, %r10;"
	   "hlt");

static void say_answers(void)
{
	const struct vee_regs *regs;

	BEGIN(count);
	regs = &g.page->regs;
	if (is_done("answer")) {
		SAY("answer: VM exits for CPUID: %llu", regs->r8);
		SAY("answer: VM exits for VMCALL: %llu", regs->r9);
		SAY("answer: VM exits for HLT: %llu", regs->r10);
	}
	guest_close(&g);
}

GUEST_CODE(call, 64, "vmcall; nop; nop; nop; hlt");
#define BEHIND_CALL	(GPA_CODE + 3)

static void say_registers(void)
{
	static const char *const names[] = {
		"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
		"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
	};
	struct vee_regs before;
	unsigned int i, changed = 0;

	BEGIN(call);
	for (i = 1; i < ARRAY_SIZE(names); i++)
		if (i != 4 && i != 7)
			g.page->regs.gpr[i] = 0x123456789abcdef0ULL + i;
	g.page->regs.rflags |= X86_EFLAGS_CF | X86_EFLAGS_ZF;
	before = g.page->regs;
	if (is_done("registers")) {
		for (i = 1; i < ARRAY_SIZE(names); i++)
			if (g.page->regs.gpr[i] != before.gpr[i] && ++changed)
				SAY("registers: %s is another", names[i]);
		if (g.page->regs.rflags != before.rflags && ++changed)
			SAY("registers: RFLAGS is another");
		if (!changed)
			SAY("registers: all but RAX as they were");
	}
	guest_close(&g);
}

/* --- bounds ------------------------------------------------------------------ */

static void say_bounds(void)
{
	static const __u64 reasons[] = {
		VEE_STATS_REASONS - 1, VEE_STATS_REASONS, 0x100000000ULL + REASON_VMCALL,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		BEGIN(call);
		g.page->regs.rdi = reasons[i];
		if (is_done("bounds"))
			SAY("RDI=%#llx: %#llx", reasons[i], g.page->regs.rax);
		guest_close(&g);
	}
}

/* --- caller, program --------------------------------------------------------- */

static void say_call(__u64 rax, bool user)
{
	const char *text;

	BEGIN(call);
	g.page->regs.rax = rax;
	if (user)
		guest_set_user(&g);
	text = outcome();
	if (g.page->exit.reason == VEE_EXIT_HYPERCALL &&
	    (g.page->regs.rip != GPA_CODE || g.page->regs.rax != rax))
		text = "it went to the caller, but RIP or RAX is another";
	SAY("RAX=%#llx,CPL=%d: %s", rax, user ? 3 : 0, text);
	guest_close(&g);
}

/* --- skip -------------------------------------------------------------------- */

static void say_place(const char *what, __u64 rip, __u64 behind)
{
	if (rip == behind)
		SAY("%s: right behind the VMCALL", what);
	else
		SAY("%s: at %#llx, and behind the VMCALL is %#llx", what, rip, behind);
}

GUEST_LABEL(trap_behind);
GUEST_LABEL(shadow_behind);
GUEST_CODE(trap, 64,
	   "pushf; orl $0x100, (%rsp); popf; vmcall;"
	   "trap_behind: nop; nop; nop; hlt");
GUEST_CODE(shadow, 64,
	   "sti; vmcall;"
	   "shadow_behind: nop; nop; nop; hlt");

/* The frame of an event has RIP on top. */
static void say_event(const char *what, __u64 behind)
{
	const char *text = outcome();

	if (!strcmp(text, "an event"))
		say_place(what, guest_read64(&g, g.page->regs.rsp), behind);
	else
		SAY("%s: %s", what, text);
	guest_close(&g);
}

static void say_skips(void)
{
	const char *text;

	BEGIN(trap);
	say_event("trap", AT(trap, trap_behind));

	BEGIN(shadow);
	guest_inject(&g, VEE_EVENT_INTERRUPT, VECTOR);
	say_event("interrupt", AT(shadow, shadow_behind));

	BEGIN(call);
	g.page->intercept = VEE_INTERCEPT_STEP;
	text = outcome();
	if (g.page->exit.reason == VEE_EXIT_DEBUG)
		say_place("step", g.page->regs.rip, BEHIND_CALL);
	else
		SAY("step: %s", text);
	guest_close(&g);
}

/* --- cost -------------------------------------------------------------------- */

#define CALLS	20
#define ROUNDS	8

GUEST_CODE(calls, 64,
	   "mov $20, %ecx;"
	   "1: mov %ebx, %eax; vmcall; dec %ecx; jnz 1b; hlt");

/* For one of them; 0: it did not come to its end. */
static __u64 round_ticks(void)
{
	const char *text = "";
	__u64 begun, ended;
	int i;

	guest_set_rip(&g, GPA_CODE);
	begun = host_tsc();
	for (i = 0; i <= CALLS; i++) {
		text = outcome();
		if (g.page->exit.reason != VEE_EXIT_HYPERCALL)
			break;
		guest_resume_next(&g);
	}
	ended = host_tsc();
	return strcmp(text, "done") ? 0 : (ended - begun) / CALLS;
}

/* The least of several rounds: some have an interrupt of the host's, the first one more. */
static __u64 ticks(__u64 rax)
{
	__u64 best = ~0ULL, now;
	int i;

	BEGIN(calls);
	g.page->regs.rbx = rax;
	/* That costs something, too. Who gets here gets past a VMCALL. */
	g.page->deadline_ns = 0;
	for (i = 0; i < ROUNDS; i++) {
		now = round_ticks();
		best = now < best ? now : best;
	}
	guest_close(&g);
	return best;
}

static void say_cost(void)
{
	__u64 here, there;
	bool done;

	BEGIN(call);
	done = is_done("cost");
	guest_close(&g);
	if (!done)
		return;
	here = ticks(HYPERCALL_EXITS);
	there = ticks(1);
	SAY("cost: ticks: %llu, to the caller and back %llu", here, there);
	SAY("cost: %s than a seventh", here < there / 7 ? "less" : "more");
}

int main(void)
{
	say_answers();
	say_registers();
	say_bounds();
	say_call(1, false);
	say_call(0x100000000ULL | HYPERCALL_EXITS, false);
	say_call(HYPERCALL_EXITS, true);
	say_call(1, true);
	say_skips();
	say_cost();
	return 0;
}
