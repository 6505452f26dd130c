// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that do their worst with their local APIC: every register with every kind of
 * value, floods of IPIs, timers that are over or never. What the SDM says comes of it;
 * runs end as ever, and others don't notice.
 */
#include "apic_util.h"

#define GPA_VALUES	(GPA_DATA + 0x1000)
#define NAP_NS		(2 * MS_NS)

FIXTURE(hostile) {
	struct guest g;
	struct guest other;
	struct runner r;
};

FIXTURE_VARIANT(hostile) {
	APIC_VARIANT;
};

FIXTURE_VARIANT_ADD(hostile, all) {
	APIC_ALL,
};

FIXTURE_VARIANT_ADD(hostile, registers) {
	APIC_REGISTERS,
};

FIXTURE_VARIANT_ADD(hostile, shadow) {
	APIC_SHADOW,
};

FIXTURE_VARIANT_ADD(hostile, nothing) {
	APIC_NOTHING,
};

GUEST_CODE(spin, 64, SPIN);

/* Another VM runs all the time. */
FIXTURE_SETUP(hostile)
{
	apic_want(_metadata, variant->parameters, variant->needs);
	open_guest(_metadata, &self->g);
	open_guest(_metadata, &self->other);
	SET_LONG(&self->other, spin);
	self->other.page->deadline_ns = 0;
	ASSERT_EQ(0, runner_insist(&self->r, &self->other));
}

FIXTURE_TEARDOWN(hostile)
{
	if (!self->r.g)
		return;
	EXPECT_TRUE(guest_counts(&self->other));
	EXPECT_FALSE(runner_done(&self->r));
	EXPECT_TRUE(WAIT_FOR((vcpu_kick(self->other.vcpu, generation(&self->other)),
			      runner_done(&self->r))));
	EXPECT_EQ(0, runner_join(&self->r));
	EXPECT_EQ(VEE_EXIT_KICKED, self->other.page->exit.reason);
	guest_close(&self->other);
	guest_close(&self->g);
	guest_unblock_nmis(_metadata);
}

static void set_gate(struct guest *g, unsigned int vector, __u64 handler)
{
	guest_write64(g, GPA_IDT + 16 * vector,
		      handler | SEL_CODE64 << 16 | 0x8eULL << 40);
}

static void set_gates(struct guest *g, __u64 handler)
{
	unsigned int vector;

	for (vector = 16; vector < 256; vector++)
		set_gate(g, vector, handler);
}

/* --- x2APIC mode ------------------------------------------------------------------ */

GUEST_LABEL(each_value_gp);
GUEST_LABEL(each_value_nmi);
GUEST_LABEL(each_value_irq);
/*
 * Writes R8 values from RSI to MSR ECX, and reads it each time: how many #GP, in R14 and R15.
 * NMIs, which it may send itself, are ignored. Interrupts are off, but see came_in_its_handler()
 * in apic.c.
 */
GUEST_CODE(each_value, 64,
	   "xor %r14d, %r14d; xor %r15d, %r15d;"
	   "1: mov (%rsi), %eax; mov 4(%rsi), %edx; mov $1, %edi; wrmsr; xor %edi, %edi; rdmsr;"
	   "add $8, %rsi; dec %r8; jnz 1b; hlt;"
	   "each_value_gp: add $8, %rsp; addq $2, (%rsp); test %edi, %edi; jz 2f;"
	   "inc %r14; iretq; 2: inc %r15; each_value_nmi: iretq;"
	   "each_value_irq: push %rcx; push %rdx; push %rax; mov $0x80b, %ecx; xor %eax, %eax;"
	   "xor %edx, %edx; wrmsr; pop %rax; pop %rdx; pop %rcx; iretq");

/* Which bits of its MSR can be written, as SDM 3A, "x2APIC Register Address Space" has it. */
static bool writable_bits(__u32 reg, __u64 *bits)
{
	static const struct {
		__u32 reg;
		__u64 bits;
	} writable[] = {
		{ TPR, 0xff }, { EOI, 0 }, { SVR, 0x1ff }, { ESR, 0 },
		{ ICR, 0xffffffff000ccfff }, { LVT_TIMER, 0x700ff }, { LVT_THERMAL, 0x107ff },
		{ LVT_PERFORMANCE, 0x107ff }, { LVT_LINT0, 0x1a7ff }, { LVT_LINT1, 0x1a7ff },
		{ LVT_ERROR, 0x100ff }, { INITIAL_COUNT, 0xffffffff }, { DIVIDE, 0xb },
		{ SELF_IPI, 0xff },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(writable); i++) {
		*bits = writable[i].bits;
		if (writable[i].reg == reg)
			return true;
	}
	return false;
}

static bool is_readable(__u32 reg)
{
	static const __u32 readable[] = {
		ID, VERSION, TPR, PPR, LDR, SVR, ESR, ICR, LVT_TIMER, LVT_THERMAL,
		LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, INITIAL_COUNT, CURRENT_COUNT,
		DIVIDE,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(readable); i++)
		if (readable[i] == reg)
			return true;
	return reg >= ISR && reg < IRR + 8 * 16;
}

static const __u64 some_values[] = {
	0, -1ULL, 0xff, 0xffffffff, -1ULL << 32, 15, 16, 0x7fffffff, 0x101ff, 0x60031,
};

/* Some that mean something, all bits among them, and behind these each bit. */
static unsigned int fill_values(__u64 *values)
{
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(some_values); i++)
		values[n++] = some_values[i];
	for (i = 0; i < 64; i++)
		values[n++] = BIT_ULL(i);
	return n;
}

static unsigned int refused_of(__u32 reg, const __u64 *values, unsigned int count)
{
	unsigned int i, refused = 0;
	__u64 bits;

	if (!writable_bits(reg, &bits))
		return count;
	for (i = 0; i < count; i++)
		refused += !!(values[i] & ~bits);
	return refused;
}

TEST_F_TIMEOUT(hostile, every_msr, 300)
{
	struct guest *g = &self->g;
	__u64 *values = (__u64 *)(g->mem + GPA_VALUES);
	unsigned int msr, all = fill_values(values);

	set_x2apic(_metadata, g);
	for (msr = 0x800; msr < 0x900; msr++) {
		__u32 reg = (msr - 0x800) << 4;
		unsigned int count = all;
		__u64 bits;

		/* Where nothing can be written there are no bits. */
		if (!writable_bits(reg, &bits))
			count = ARRAY_SIZE(some_values);
		SET_LONG(g, each_value);
		set_gates(g, AT(each_value, each_value_irq));
		set_gate(g, VECTOR_GP, AT(each_value, each_value_gp));
		set_gate(g, VECTOR_NMI, AT(each_value, each_value_nmi));
		g->page->regs.rcx = msr;
		g->page->regs.rsi = GPA_VALUES;
		g->page->regs.r8 = count;
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(refused_of(reg, values, count), g->page->regs.r14)
			TH_LOG("WRMSR %03x", msr);
		EXPECT_EQ(is_readable(reg) ? 0 : count, g->page->regs.r15)
			TH_LOG("RDMSR %03x", msr);
	}
	EXPECT_EQ(0, RDMSR(ID));
	EXPECT_EQ(0x50014, RDMSR(VERSION));
	EXPECT_EQ(1, RDMSR(LDR));
}

/* --- xAPIC mode ------------------------------------------------------------------- */

/* From RBX on, R8 times, RDX further each time. */
#define SWEEP(name, insn) \
	GUEST_CODE(name, 64, "1: " insn "; add %rdx, %rbx; dec %r8; jnz 1b; hlt")

SWEEP(load1, "mov (%rbx), %al");
SWEEP(load2, "mov (%rbx), %ax");
SWEEP(load4, "mov (%rbx), %eax");
SWEEP(load8, "mov (%rbx), %rax");
SWEEP(store1, "mov %al, (%rbx)");
SWEEP(store2, "mov %ax, (%rbx)");
SWEEP(store4, "mov %eax, (%rbx)");
SWEEP(store8, "mov %rax, (%rbx)");

/* What the CPU can't see to: of 32 bits it is done, of others nothing comes. */
static bool pass(struct __test_metadata *_metadata, struct guest *g, unsigned int width)
{
	struct vee_exit_memory *memory = &g->page->exit.memory;

	if (g->page->exit.reason != VEE_EXIT_MMIO)
		return false;
	EXPECT_EQ(1, memory->apic);
	EXPECT_EQ(APIC_PAGE, memory->gpa & ~0xfffULL);
	if (width == 4 && !(memory->gpa & 15))
		return assist(_metadata, g);
	g->page->exit.instruction_length = width == 1 ? 2 : 3;
	if (width == 4)
		g->page->exit.instruction_length = 2;
	guest_resume_next(g);
	return true;
}

static void sweep(struct __test_metadata *_metadata, struct guest *g, unsigned int op,
		  unsigned int offset, unsigned int step, __u64 value)
{
	static const struct {
		const unsigned char *code, *end;
	} ops[] = {
		{ load1, load1_end }, { store1, store1_end }, { load2, load2_end },
		{ store2, store2_end }, { load4, load4_end }, { store4, store4_end },
		{ load8, load8_end }, { store8, store8_end },
	};

	set_long(g, ops[op].code, ops[op].end);
	g->page->regs.rax = value;
	g->page->regs.rbx = APIC_PAGE + offset;
	g->page->regs.rdx = step;
	g->page->regs.r8 = (0xff8 - offset) / step;
	do {
		ASSERT_EQ(0, guest_run(g));
	} while (pass(_metadata, g, 1U << op / 2));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason)
		TH_LOG("op %u, step %u: %s", op, step, guest_describe(g));
}

/* Registers have no bits that they don't have. */
static void expect_registers(struct __test_metadata *_metadata, struct guest *g)
{
	static const struct {
		__u32 reg, bits;
	} bits[] = {
		{ TPR, 0xff }, { LDR, 0xff000000 }, { DFR, 0xffffffff }, { SVR, 0x1ff },
		{ ICR, 0xccfff }, { ICR_HIGH, 0xff000000 }, { LVT_TIMER, 0x700ff },
		{ LVT_THERMAL, 0x107ff }, { LVT_PERFORMANCE, 0x107ff }, { LVT_LINT0, 0x1a7ff },
		{ LVT_LINT1, 0x1a7ff }, { LVT_ERROR, 0x100ff }, { DIVIDE, 0xb }, { ID, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bits); i++)
		EXPECT_EQ(0, load(_metadata, g, bits[i].reg) & ~bits[i].bits)
			TH_LOG("%03x", bits[i].reg);
	EXPECT_EQ(0x50014, load(_metadata, g, VERSION));
}

TEST_F_TIMEOUT(hostile, every_offset, 300)
{
	static const __u64 values[] = { 0, -1ULL, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa };
	struct guest *g = &self->g;
	unsigned int op, i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		sweep(_metadata, g, 5, 0, 16, values[i]);
		sweep(_metadata, g, 4, 0, 16, 0);
		expect_registers(_metadata, g);
	}
	/* Other widths, and across registers. */
	for (op = 0; op < 8; op++) {
		sweep(_metadata, g, op, 0, 20, values[op % 4]);
		sweep(_metadata, g, op, op / 2 + 1, 61, values[op % 4]);
		expect_registers(_metadata, g);
	}
}

/* --- where, and which mode -------------------------------------------------------- */

#define BASE_MODES	(BASE_ENABLED | APIC_X2APIC)

/* SDM 3A, "x2APIC State Transitions" */
static bool may_change(__u64 from, __u64 to)
{
	from &= BASE_MODES;
	to &= BASE_MODES;
	if (to == APIC_X2APIC)
		return false;
	if (from == BASE_MODES)
		return to != BASE_ENABLED;
	return from || to != BASE_MODES;
}

TEST_F(hostile, every_base)
{
	static const __u64 modes[] = { 0, APIC_X2APIC, BASE_ENABLED, BASE_MODES };
	struct guest *g = &self->g;
	__u64 is = APIC_PAGE | BASE_BSP | BASE_ENABLED, value;
	unsigned int i, bit, state = 1;

	for (i = 0; i < 80; i++) {
		__u64 to = APIC_PAGE | BASE_BSP;

		state = state * 1103515245 + 12345;
		to |= modes[state >> 16 & 3];
		EXPECT_EQ(may_change(is, to), try_wrmsr(_metadata, g, MSR_APIC_BASE, to))
			TH_LOG("%llx to %llx", (unsigned long long)is, (unsigned long long)to);
		if (may_change(is, to))
			is = to;
		EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_APIC_BASE, &value));
		EXPECT_EQ(is, value);
		EXPECT_EQ((is & BASE_MODES) == BASE_MODES,
			  try_rdmsr(_metadata, g, MSR_OF(VERSION), &value));
	}
	for (bit = 0; bit < 64; bit++) {
		bool there = bit == 8 || bit == 10 || bit == 11 ||
			     (bit >= 12 && bit < vee_info(g->dev).gpa_bits);
		__u64 to = is ^ BIT_ULL(bit);

		EXPECT_EQ(there && may_change(is, to), try_wrmsr(_metadata, g, MSR_APIC_BASE, to))
			TH_LOG("bit %u", bit);
		if (there && may_change(is, to))
			is = to;
	}
}

/* --- floods ----------------------------------------------------------------------- */

GUEST_LABEL(flood_irq);
GUEST_LABEL(flood_nmi);
/*
 * ICRs of all kinds, as R9 counts on: AND R10, OR R11; destinations likewise. Interrupts are open.
 */
GUEST_CODE(flood, 64,
	   "1: imul $1103515245, %r9, %r9; add $12345, %r9; mov %r9, %rax; shr $16, %rax;"
	   "and %r10d, %eax; or %r11d, %eax; mov %r9, %rdx; shr $40, %rdx; and $0x3f, %edx;"
	   "mov $0x830, %ecx; sti; wrmsr; nop; cli; incl 0x20000; jmp 1b;"
	   "flood_irq: push %rax; push %rcx; push %rdx; mov $0x80b, %ecx; xor %eax, %eax;"
	   "xor %edx, %edx; wrmsr; pop %rdx; pop %rcx; pop %rax; flood_nmi: iretq");

/* What was being delivered when a run ended would be, to whatever code comes next. */
static void drop_events(struct __test_metadata *_metadata, struct guest *g)
{
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
	memset(&g->page->events, 0, sizeof(g->page->events));
	g->page->dirty |= VEE_STATE_EVENTS;
}

static void begin_flood(struct __test_metadata *_metadata, struct guest *g, __u32 and,
			__u32 or)
{
	struct vee_vcpu_page *page = g->page;

	/* An INIT may have been before, or HLT. */
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC));
	drop_events(_metadata, g);
	SET_LONG(g, flood);
	set_gates(g, AT(flood, flood_irq));
	set_gate(g, VECTOR_NMI, AT(flood, flood_nmi));
	memset(page->apic.isr, 0, sizeof(page->apic.isr));
	page->apic.start = 0;
	page->apic.base |= APIC_X2APIC;
	page->apic.svr = APIC_SVR_ON;
	page->dirty |= VEE_STATE_APIC;
	page->regs.r9 = now_ns();
	page->regs.r10 = and;
	page->regs.r11 = or;
	page->deadline_ns = NAP_NS;
}

static bool may_end(__u32 reason)
{
	switch (reason) {
	case VEE_EXIT_DEADLINE:
	case VEE_EXIT_KICKED:
	/* Started at FFFFFFF0H, where nothing is, or by SIPI at a page with anything. */
	case VEE_EXIT_MMIO:
	case VEE_EXIT_PIO:
	case VEE_EXIT_HLT:
	case VEE_EXIT_HYPERCALL:
	case VEE_EXIT_SHUTDOWN:
		return true;
	default:
		return false;
	}
}

TEST_F_TIMEOUT(hostile, floods, 300)
{
	static const __u32 floods[][2] = {
		{ 0x000ff, 0x40020 },	/* to itself */
		{ 0x000ff, 0x80020 },	/* to all */
		{ 0x00fff, 0xc0000 },	/* to all others, in all modes */
		{ 0x0c8ff, 0x00000 },	/* to numbers and logical destinations */
		{ 0x00000, 0x80400 },	/* NMIs */
		{ 0xccfff, 0x00000 },	/* anything */
	};
	struct guest *g = &self->g, sibling;
	struct runner r;
	unsigned int i, round;

	guest_open_sibling(_metadata, g, &sibling, 1);
	for (i = 0; i < ARRAY_SIZE(floods); i++) {
		for (round = 0; round < 3; round++) {
			__u64 since = now_ns();

			begin_flood(_metadata, &sibling, 0xff, 0x40020);
			sibling.page->regs.rsp -= 0x800;
			begin_flood(_metadata, g, floods[i][0], floods[i][1]);
			if (round == 2)
				g->page->deadline_ns = DEADLINE_NS;
			ASSERT_EQ(0, runner_start(&r, &sibling));
			/* A kick comes too late for one that has reset itself. */
			EXPECT_TRUE(round < 2 ? !guest_run(g) : guest_kicked(g, 1000) ||
				    g->page->exit.reason == VEE_EXIT_MMIO);
			runner_join(&r);
			EXPECT_TRUE(may_end(g->page->exit.reason))
				TH_LOG("flood %u: %s", i, guest_describe(g));
			EXPECT_TRUE(may_end(sibling.page->exit.reason))
				TH_LOG("flood %u, its sibling: %s", i, guest_describe(&sibling));
			EXPECT_GT(DEADLINE_NS / 2, now_ns() - since);
		}
		EXPECT_TRUE(guest_counts(&self->other));
	}
	guest_close(&sibling);
}

/* --- to itself -------------------------------------------------------------------- */

/* A slow kernel may be past a deadline before the guest's first instruction. */
static void run_until_it_waits(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned int tries = 0;

	do {
		g->page->deadline_ns = NAP_NS << tries % 8;
		ASSERT_RUN(g, VEE_EXIT_DEADLINE);
		ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC));
	} while (g->page->apic.start != VEE_APIC_WAITS_FOR_SIPI && ++tries < 8);
	EXPECT_EQ(VEE_APIC_WAITS_FOR_SIPI, g->page->apic.start);
}

TEST_F(hostile, starts_itself)
{
	struct guest *g = &self->g, ap;

	set_x2apic(_metadata, g);
	/* It runs, so that a SIPI means nothing; and by shorthand there is none. */
	WRMSR(ICR, ICR_SIPI | ICR_ASSERT | 0x10);
	WRMSR(ICR, ICR_SELF | ICR_SIPI | ICR_ASSERT | 0x10);
	WRMSR(ICR, ICR_SELF | ICR_INIT | ICR_ASSERT);
	EXPECT_EQ(0, RDMSR(ID));
	SET_LONG(g, wrmsr_hlt);
	g->page->regs.rcx = MSR_OF(ICR);
	g->page->regs.rax = ICR_INIT | ICR_ASSERT;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(0xfffffff0, g->page->exit.memory.gpa);
	/* One that is no bootstrap processor has to wait for another. */
	guest_open_sibling(_metadata, g, &ap, 1);
	SET_LONG(&ap, wrmsr_hlt);
	ASSERT_EQ(0, guest_set_apic_on(&ap));
	ap.page->regs.rcx = MSR_OF(ICR);
	ap.page->regs.rdx = 1;
	ap.page->regs.rax = ICR_INIT | ICR_ASSERT;
	run_until_it_waits(_metadata, &ap);
	ap.page->deadline_ns = DEADLINE_NS;
	EXPECT_TRUE(guest_kicked(&ap, 1000));
	guest_close(&ap);
}

/* --- timers ----------------------------------------------------------------------- */

GUEST_LABEL(timer_irq);
/* Sets the timer anew all the time, in each interrupt, too. */
GUEST_CODE(timers, 64,
	   "1: mov %esi, %ecx; mov %r8d, %eax; mov %r9d, %edx; wrmsr; sti; incl 0x20000; cli; jmp 1b;"
	   "timer_irq: push %rax; push %rcx; push %rdx; mov $0x80b, %ecx; xor %eax, %eax;"
	   "xor %edx, %edx; wrmsr; incl 0x20004; mov %esi, %ecx; mov %r8d, %eax; mov %r9d, %edx;"
	   "wrmsr; pop %rdx; pop %rcx; pop %rax; iretq");

static void set_timer_on(struct __test_metadata *_metadata, struct guest *g, __u32 msr,
			 __u64 value)
{
	unsigned int tries = 0;

	SET_LONG(g, timers);
	set_gates(g, AT(timers, timer_irq));
	guest_write32(g, GPA_DATA, 0);
	g->page->regs.rsi = msr;
	g->page->regs.r8 = (__u32)value;
	g->page->regs.r9 = value >> 32;
	/*
	 * It gets on, if not each time: its thread has to wait for others', too. And kernels
	 * differ in what they have done of a run when its deadline is up: from 0.5 ms on.
	 */
	do {
		g->page->deadline_ns = NAP_NS / 4 << tries % 8;
		ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	} while (!guest_read32(g, GPA_DATA) && ++tries < 20);
	EXPECT_GT(20, tries) TH_LOG("MSR %x: %#llx", msr, (unsigned long long)value);
	g->page->deadline_ns = DEADLINE_NS;
	drop_events(_metadata, g);
	wrmsr(_metadata, g, EOI, 0);
}

TEST_F_TIMEOUT(hostile, timers, 300)
{
	static const __u32 counts[] = { 0, 1, 2, 100, 0xffffffff };
	static const __u64 deadlines[] = { 0, 1, BIT_ULL(32), BIT_ULL(60), BIT_ULL(63), -1ULL };
	struct guest *g = &self->g;
	unsigned int divide, i;

	set_x2apic(_metadata, g);
	for (divide = 0; divide < 8; divide++) {
		WRMSR(DIVIDE, (divide & 3) | (divide & 4) << 1);
		WRMSR(LVT_TIMER, HIGH | (divide & 1 ? LVT_PERIODIC : 0));
		for (i = 0; i < ARRAY_SIZE(counts); i++)
			set_timer_on(_metadata, g, MSR_OF(INITIAL_COUNT), counts[i]);
	}
	WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE);
	for (i = 0; i < ARRAY_SIZE(deadlines); i++)
		set_timer_on(_metadata, g, MSR_TSC_DEADLINE, deadlines[i]);
	set_timer_on(_metadata, g, MSR_TSC_DEADLINE, host_tsc());
	/* No mode at all. */
	WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE | LVT_PERIODIC);
	set_timer_on(_metadata, g, MSR_TSC_DEADLINE, 1);
	set_timer_on(_metadata, g, MSR_OF(INITIAL_COUNT), 1);
}

/* --- vectors ---------------------------------------------------------------------- */

TEST_F(hostile, no_vectors)
{
	static const __u32 lvts[] = { LVT_TIMER, LVT_ERROR };
	struct guest *g = &self->g;
	unsigned int i, vector;

	set_x2apic(_metadata, g);
	for (i = 0; i < ARRAY_SIZE(lvts); i++) {
		for (vector = 0; vector < 16; vector++) {
			WRMSR(lvts[i], vector);
			WRMSR(INITIAL_COUNT, 1);
			WRMSR(SELF_IPI, vector);
			WRMSR(ICR, ICR_ALL | vector);
			EXPECT_EQ(0, RDMSR(IRR));
			EXPECT_EQ(-1, TAKEN());
			WRMSR(ESR, 0);
			EXPECT_EQ(ESR_SEND, RDMSR(ESR) & ESR_SEND);
		}
	}
}

/* What its TPR holds off comes when it is lowered, and not before. */
TEST_F_TIMEOUT(hostile, every_priority, 300)
{
	struct guest *g = &self->g;
	unsigned int class, tpr;

	set_x2apic(_metadata, g);
	for (class = 2; class < 16; class += 5) {
		for (tpr = 0; tpr < 16; tpr++) {
			int vector = class << 4 | tpr;
			bool held = tpr >= class;

			WRMSR(TPR, tpr << 4);
			WRMSR(SELF_IPI, vector);
			EXPECT_EQ(held ? -1 : vector, TAKEN()) TH_LOG("TPR %u", tpr);
			WRMSR(TPR, 0);
			if (held)
				EXPECT_EQ(vector, TAKEN()) TH_LOG("TPR was %u", tpr);
			WRMSR(EOI, 0);
			EXPECT_EQ(-1, TAKEN());
		}
	}
}

TEST_HARNESS_MAIN
