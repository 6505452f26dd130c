// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local APICs (VEE_VM_LOCAL_APIC): registers in both modes, priorities, messages, INIT and
 * SIPI, the timer, saving and loading; with all that the CPU sees to itself, with some of
 * it, and with nothing.
 */
#include <stddef.h>

#include "apic_util.h"

GUEST_CODE(raise_ud, 64, "ud2");
GUEST_CODE(wait_for_one, 64, "1: sti; hlt; cli; jmp 1b");
GUEST_CODE(cr8_hlt, 64, "sti; mov %rax, %cr8; nop; cli; hlt");
GUEST_CODE(count_on, 64, "1: sti; nop; incl 0x20000; cli; jmp 1b");
GUEST_CODE(many_eoi, 64, "1: wrmsr; dec %ebx; jnz 1b; hlt");
GUEST_CODE(write_open, 64, "wrmsr; sti; nop; cli; hlt");
GUEST_CODE(write_two_open, 64, "wrmsr; mov %ebx, %eax; wrmsr; sti; nop; cli; hlt");
GUEST_CODE(count_go_on, 64, "wrmsr; 1: sti; nop; cli; jmp 1b");
GUEST_CODE(deadline_go_on, 64,
	   "rdtsc; add %ebx, %eax; adc $0, %edx; wrmsr; 1: sti; nop; cli; jmp 1b");
GUEST_CODE(ap_start, 16, "mov $0x1234, %ax; hlt");
GUEST_CODE(ap_call, 16, "mov $0x1234, %ax; vmcall");
GUEST_CODE(off_line, 64, "cli; hlt; sti; nop; cli; hlt");
GUEST_CODE(write_read, 64, "wrmsr; mov %esi, %ecx; rdmsr; hlt");
GUEST_CODE(cr8_read, 64, "mov %rax, %cr8; rdmsr; hlt");
GUEST_CODE(write_cr8, 64, "wrmsr; mov %cr8, %rax; hlt");
GUEST_CODE(store_load, 64, "mov %eax, (%rbx); mov (%rsi), %eax; hlt");
GUEST_CODE(cr8_load, 64, "mov %rax, %cr8; mov (%rsi), %eax; hlt");
GUEST_CODE(cpuid_hlt, 64, "cpuid; hlt");
GUEST_LABEL(in_turn_handler);
/* EBX times: it sets something off by WRMSR, with EDI to add to a TSC, and waits for it. */
GUEST_CODE(in_turn, 64,
	   "1: xor %edx, %edx; mov %r8d, %eax; test %edi, %edi; jz 2f;"
	   "rdtsc; add %edi, %eax; adc $0, %edx;"
	   "2: mov %esi, %ecx; wrmsr; sti; hlt; cli; dec %ebx; jnz 1b; hlt;"
	   "in_turn_handler: incl 0x20000; mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx;"
	   "wrmsr; iretq");

FIXTURE(apic) {
	struct guest g;
};

FIXTURE_VARIANT(apic) {
	APIC_VARIANT;
};

FIXTURE_VARIANT_ADD(apic, all) {
	APIC_ALL,
};

FIXTURE_VARIANT_ADD(apic, registers) {
	APIC_REGISTERS,
};

FIXTURE_VARIANT_ADD(apic, shadow) {
	APIC_SHADOW,
};

FIXTURE_VARIANT_ADD(apic, nothing) {
	APIC_NOTHING,
};

FIXTURE_SETUP(apic)
{
	apic_want(_metadata, variant->parameters, variant->needs);
	open_guest(_metadata, &self->g);
}

FIXTURE_TEARDOWN(apic)
{
	guest_close(&self->g);
	guest_unblock_nmis(_metadata);
}

/* What no CPU is known to have, but the CPU's manual allows: one without the other. */
FIXTURE(apic_odd) {
	struct guest g;
};

FIXTURE_VARIANT(apic_odd) {
	APIC_VARIANT;
};

FIXTURE_VARIANT_ADD(apic_odd, delivery_without_registers) {
	.parameters = "apic_registers=N",
	.needs = VEE_FEATURE_INTERRUPT_DELIVERY,
	.delivers = true,
};

FIXTURE_VARIANT_ADD(apic_odd, x2apic_alone) {
	.parameters = "apic_accesses=N",
	.needs = VEE_FEATURE_INTERRUPT_DELIVERY | VEE_FEATURE_X2APIC_MODE |
		 VEE_FEATURE_APIC_REGISTERS,
	.delivers = true,
};

FIXTURE_VARIANT_ADD(apic_odd, accesses_alone) {
	.parameters = "interrupt_delivery=N x2apic_mode=N",
	.needs = VEE_FEATURE_APIC_REGISTERS | VEE_FEATURE_APIC_ACCESSES,
};

FIXTURE_SETUP(apic_odd)
{
	apic_want(_metadata, variant->parameters, variant->needs);
	open_guest(_metadata, &self->g);
}

FIXTURE_TEARDOWN(apic_odd)
{
	guest_close(&self->g);
	guest_unblock_nmis(_metadata);
}

/* --- registers -------------------------------------------------------------------- */

TEST_F(apic, x2apic_registers)
{
	struct guest *g = &self->g;
	__u64 value;

	set_x2apic(_metadata, g);
	EXPECT_EQ(0, RDMSR(ID));
	EXPECT_EQ(0x50014, RDMSR(VERSION));
	EXPECT_EQ(1, RDMSR(LDR));
	EXPECT_EQ(APIC_SVR_ON, RDMSR(SVR));
	/* Of the low half CR8 knows nothing, by which each run here begins. */
	WRMSR(TPR, 0x50);
	EXPECT_EQ(0x50, RDMSR(TPR));
	EXPECT_EQ(0x50, RDMSR(PPR));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_OF(TPR), 0x100));
	EXPECT_EQ(LVT_MASKED, RDMSR(LVT_LINT0));
	WRMSR(LVT_LINT0, 0x700);
	EXPECT_EQ(0x700, RDMSR(LVT_LINT0));
	WRMSR(DIVIDE, 0xb);
	EXPECT_EQ(0xb, RDMSR(DIVIDE));
	/* What isn't there, or not for that. */
	EXPECT_FALSE(try_rdmsr(_metadata, g, MSR_OF(DFR), &value));
	EXPECT_FALSE(try_rdmsr(_metadata, g, MSR_OF(ICR_HIGH), &value));
	EXPECT_FALSE(try_rdmsr(_metadata, g, MSR_OF(EOI), &value));
	EXPECT_FALSE(try_rdmsr(_metadata, g, MSR_OF(SELF_IPI), &value));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_OF(ID), 0));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_OF(IRR), 0));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_OF(EOI), 1));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_OF(ESR), 1));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_OF(DIVIDE), 4));
	EXPECT_FALSE(try_rdmsr(_metadata, g, 0x8ff, &value));
	/* Switched off by software, all of the LVT is masked. */
	WRMSR(SVR, 0xff);
	EXPECT_EQ(0x700 | LVT_MASKED, RDMSR(LVT_LINT0));
	WRMSR(LVT_LINT0, 0x700);
	EXPECT_EQ(0x700 | LVT_MASKED, RDMSR(LVT_LINT0));
}

TEST_F(apic, xapic_registers)
{
	EXPECT_EQ(0, LOAD(ID));
	EXPECT_EQ(0x50014, LOAD(VERSION));
	EXPECT_EQ(0xff, LOAD(SVR));
	STORE(SVR, APIC_SVR_ON);
	EXPECT_EQ(APIC_SVR_ON, LOAD(SVR));
	EXPECT_EQ(0xffffffff, LOAD(DFR));
	STORE(DFR, 0);
	EXPECT_EQ(0x0fffffff, LOAD(DFR));
	STORE(LDR, 0x12345678);
	EXPECT_EQ(0x12000000, LOAD(LDR));
	STORE(TPR, 0x50);
	EXPECT_EQ(0x50, LOAD(TPR));
	STORE(ID, 0x77000000);
	EXPECT_EQ(0, LOAD(ID));
	STORE(LVT_LINT0, 0xffffffff);
	EXPECT_EQ(0x1a7ff, LOAD(LVT_LINT0));
	EXPECT_EQ(0, LOAD(ESR));
	STORE(0x3d0, 1);
	STORE(ESR, 0);
	EXPECT_EQ(ESR_REGISTER, LOAD(ESR));
	STORE(ESR, 0);
	EXPECT_EQ(0, LOAD(ESR));
	/* Registers that are there, but not for that. */
	STORE(VERSION, 0);
	STORE(PPR, 0);
	STORE(IRR, -1);
	STORE(CURRENT_COUNT, 5);
	EXPECT_EQ(0, LOAD(EOI));
	STORE(ESR, 0);
	EXPECT_EQ(0, LOAD(ESR));
	EXPECT_EQ(0, LOAD(IRR));
	EXPECT_EQ(0, LOAD(CURRENT_COUNT));
	/* Its MSRs are for the other mode. */
	EXPECT_FALSE(try_wrmsr(_metadata, &self->g, MSR_OF(TPR), 0));
}

#define ARBITRATION	0x090
#define REMOTE_READ	0x0c0

/* SDM 3A, "Local APIC State After Power-Up or Reset"; and after INIT it is the same. */
static const struct {
	__u32 reg, value;
} after_reset[] = {
	{ VERSION, 0x50014 }, { TPR, 0 }, { PPR, 0 }, { SVR, 0xff }, { ISR, 0 },
	{ ISR + 0x70, 0 }, { TMR, 0 }, { TMR + 0x70, 0 }, { IRR, 0 }, { IRR + 0x70, 0 },
	{ ESR, 0 }, { ICR, 0 }, { LVT_TIMER, LVT_MASKED }, { LVT_THERMAL, LVT_MASKED },
	{ LVT_PERFORMANCE, LVT_MASKED }, { LVT_LINT0, LVT_MASKED }, { LVT_LINT1, LVT_MASKED },
	{ LVT_ERROR, LVT_MASKED }, { INITIAL_COUNT, 0 }, { CURRENT_COUNT, 0 }, { DIVIDE, 0 },
};

static const struct {
	__u32 reg, value;
} written_before[] = {
	{ SVR, 0x1f0 }, { TPR, 0x70 }, { ICR, ICR_SELF | LOW }, { LVT_TIMER, HIGH | LVT_PERIODIC },
	{ LVT_THERMAL, 0x31 }, { LVT_PERFORMANCE, 0x400 }, { LVT_LINT0, 0x700 },
	{ LVT_LINT1, 0x400 }, { LVT_ERROR, HIGH }, { DIVIDE, 0xb },
	{ INITIAL_COUNT, 0xffffffff },
};

/* To itself, which is a bootstrap processor's reset. */
static void expect_init(struct __test_metadata *_metadata, struct guest *g)
{
	EXPECT_EQ(0, signal_vector(g, 0, ICR_INIT, 0));
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(0xfffffff0, g->page->exit.memory.gpa);
}

TEST_F(apic, reset)
{
	struct guest *g = &self->g;
	unsigned int i, round;

	for (round = 0; round < 2; round++) {
		EXPECT_EQ(0, LOAD(ID));
		EXPECT_EQ(0, LOAD(ARBITRATION));
		EXPECT_EQ(0, LOAD(REMOTE_READ));
		EXPECT_EQ(0, LOAD(LDR));
		EXPECT_EQ(0xffffffff, LOAD(DFR));
		EXPECT_EQ(0, LOAD(ICR_HIGH));
		for (i = 0; i < ARRAY_SIZE(after_reset); i++)
			EXPECT_EQ(after_reset[i].value, LOAD(after_reset[i].reg))
				TH_LOG("%03x", after_reset[i].reg);
		for (i = 0; i < ARRAY_SIZE(written_before); i++)
			STORE(written_before[i].reg, written_before[i].value);
		STORE(LDR, -1);
		STORE(DFR, 0);
		STORE(ICR_HIGH, -1);
		expect_init(_metadata, g);
	}
}

TEST_F(apic, x2apic_init)
{
	struct guest *g = &self->g;
	unsigned int i;
	__u64 value;

	set_x2apic(_metadata, g);
	for (i = 0; i < ARRAY_SIZE(written_before); i++)
		WRMSR(written_before[i].reg, written_before[i].value);
	expect_init(_metadata, g);
	/* The mode stays. */
	EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_APIC_BASE, &value));
	EXPECT_EQ(APIC_PAGE | BASE_BSP | BASE_ENABLED | APIC_X2APIC, value);
	EXPECT_EQ(0, RDMSR(ID));
	EXPECT_EQ(1, RDMSR(LDR));
	for (i = 0; i < ARRAY_SIZE(after_reset); i++)
		EXPECT_EQ(after_reset[i].value, RDMSR(after_reset[i].reg))
			TH_LOG("%03x", after_reset[i].reg);
}

#define CPUID_X2APIC	21	/* of ECX */
#define CPUID_DEADLINE	24
#define CPUID_APIC	9	/* of EDX */
#define CPUID_ARAT	4U	/* of leaf 6's EAX: the timer never stops */

static void change_cpuid(struct __test_metadata *_metadata, struct guest *g, __u32 clear)
{
	struct vee_cpuid_entry table[VEE_MAX_CPUID];
	__u32 i, count = VEE_MAX_CPUID;

	ASSERT_EQ(0, vcpu_get_cpuid(g->vcpu, table, &count));
	for (i = 0; i < count; i++)
		if (table[i].leaf == 1)
			table[i].ecx &= ~clear;
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, table, count));
}

static __u32 cpuid_1(struct __test_metadata *_metadata, struct guest *g, bool edx)
{
	SET_LONG(g, cpuid_hlt);
	g->page->regs.rax = 1;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	return edx ? g->page->regs.rdx : g->page->regs.rcx;
}

TEST_F(apic, cpuid)
{
	struct guest *g = &self->g;

	EXPECT_TRUE(cpuid_1(_metadata, g, true) >> CPUID_APIC & 1);
	EXPECT_TRUE(cpuid_1(_metadata, g, false) >> CPUID_X2APIC & 1);
	SET_LONG(g, cpuid_hlt);
	g->page->regs.rax = 6;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(CPUID_ARAT, g->page->regs.rax);
	set_base(_metadata, g, 0);
	EXPECT_FALSE(cpuid_1(_metadata, g, true) >> CPUID_APIC & 1);
	set_base(_metadata, g, BASE_ENABLED);
	EXPECT_TRUE(cpuid_1(_metadata, g, true) >> CPUID_APIC & 1);
	/* What the table hasn't got the APIC hasn't got. */
	change_cpuid(_metadata, g, 1U << CPUID_DEADLINE);
	SET_LONG(g, wrmsr_hlt);
	g->page->regs.rcx = MSR_TSC_DEADLINE;
	ASSERT_RUN(g, VEE_EXIT_WRMSR);
	STORE(SVR, APIC_SVR_ON);
	STORE(LVT_TIMER, HIGH | LVT_DEADLINE);
	EXPECT_EQ(HIGH, LOAD(LVT_TIMER));
	set_base(_metadata, g, BASE_ENABLED | APIC_X2APIC);
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_OF(LVT_TIMER), HIGH | LVT_DEADLINE));
	set_base(_metadata, g, 0);
	set_base(_metadata, g, BASE_ENABLED);
	change_cpuid(_metadata, g, 1U << CPUID_X2APIC);
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_APIC_BASE,
			       APIC_PAGE | BASE_ENABLED | APIC_X2APIC));
}

TEST_F(apic, base)
{
	struct guest *g = &self->g;
	__u64 value;

	EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_APIC_BASE, &value));
	EXPECT_EQ(APIC_PAGE | BASE_BSP | BASE_ENABLED, value);
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_APIC_BASE, APIC_PAGE | APIC_X2APIC));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_APIC_BASE, APIC_PAGE | BASE_ENABLED | 1));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_APIC_BASE, BASE_ENABLED | 1ULL << 60));
	set_x2apic(_metadata, g);
	WRMSR(TPR, 0x40);
	/* Back only by way of off, where all of it is forgotten. */
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_APIC_BASE, APIC_PAGE | BASE_ENABLED));
	set_base(_metadata, g, 0);
	EXPECT_FALSE(try_rdmsr(_metadata, g, MSR_OF(TPR), &value));
	EXPECT_FALSE(try_wrmsr(_metadata, g, MSR_APIC_BASE,
			       APIC_PAGE | BASE_ENABLED | APIC_X2APIC));
	set_base(_metadata, g, BASE_ENABLED);
	EXPECT_EQ(0, LOAD(TPR));
	EXPECT_EQ(0xff, LOAD(SVR));
}

/* In the same page of the guest's tables. */
#define OTHER_PAGE	(APIC_PAGE + 0x10000)

TEST_F(apic, moved)
{
	struct guest *g = &self->g;
	__u32 value = 0;

	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_APIC_BASE, OTHER_PAGE | BASE_ENABLED));
	EXPECT_EQ(0x50014, LOAD(OTHER_PAGE - APIC_PAGE + VERSION));
	STORE(OTHER_PAGE - APIC_PAGE + TPR, 0x50);
	EXPECT_EQ(0, apic_access(g, 0, TPR, &value));
	EXPECT_EQ(0x50, value);
	/* Where it is no more, or not to be had like that, is nobody. */
	SET_LONG(g, load_hlt);
	g->page->regs.rbx = OTHER_PAGE + 0x1000;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(0, g->page->exit.memory.apic);
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_APIC_BASE,
			      OTHER_PAGE | BASE_ENABLED | APIC_X2APIC));
	SET_LONG(g, load_hlt);
	g->page->regs.rbx = OTHER_PAGE + TPR;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(0, g->page->exit.memory.apic);
}

/* Where nobody is: not in its page either, whether that was touched before or not. */
static void expect_nobody(struct __test_metadata *_metadata, struct guest *g)
{
	SET_LONG(g, load_hlt);
	g->page->regs.rbx = APIC_PAGE + VERSION;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(APIC_PAGE + VERSION, g->page->exit.memory.gpa);
	EXPECT_EQ(0, g->page->exit.memory.apic);
	SET_LONG(g, store_hlt);
	g->page->regs.rbx = APIC_PAGE + TPR;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(0, g->page->exit.memory.apic);
}

TEST_F(apic, nobody_in_its_page)
{
	struct guest *g = &self->g, other;
	struct vee_apic saved;

	guest_open_sibling(_metadata, g, &other, 1);
	SET_LONG(&other, load_hlt);
	ASSERT_EQ(0, guest_set_apic_on(&other));
	other.page->apic.base = APIC_PAGE | BASE_ENABLED;
	EXPECT_EQ(0x50014, LOAD(VERSION));
	EXPECT_EQ(0x50014, load(_metadata, &other, VERSION));
	set_x2apic(_metadata, g);
	expect_nobody(_metadata, g);
	/* The other one has its registers as before, and tells of none. */
	store(_metadata, &other, TPR, 0x50);
	EXPECT_EQ(0x50, load(_metadata, &other, TPR));
	expect_nobody(_metadata, g);
	set_base(_metadata, g, 0);
	expect_nobody(_metadata, g);
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_APIC_BASE, OTHER_PAGE | BASE_ENABLED));
	expect_nobody(_metadata, g);
	/* By its state, too, from that mode to this and back. */
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC));
	saved = g->page->apic;
	g->page->apic.base = APIC_PAGE | BASE_ENABLED;
	g->page->dirty |= VEE_STATE_APIC;
	EXPECT_EQ(0x50014, LOAD(VERSION));
	g->page->apic = saved;
	g->page->dirty |= VEE_STATE_APIC;
	expect_nobody(_metadata, g);
	guest_close(&other);
	set_base(_metadata, g, BASE_ENABLED);
	EXPECT_EQ(0x50014, LOAD(VERSION));
	/* As long as all are there the CPU sees to it again. */
	SET_LONG(g, load_hlt);
	g->page->regs.rbx = APIC_PAGE + VERSION;
	ASSERT_RUN(g, variant->needs & VEE_FEATURE_APIC_REGISTERS ? VEE_EXIT_HLT : VEE_EXIT_MMIO);
}

/* What the page says is what the request has made of it. */
TEST_F(apic, request_and_page)
{
	struct guest *g = &self->g;

	SET_LONG(g, rdmsr_hlt);
	g->page->regs.rcx = MSR_APIC_BASE;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC | VEE_STATE_CONTROL));
	ASSERT_EQ(0, apic_store(g, TPR, 0x70));
	EXPECT_EQ(7, g->page->control.cr8);
	EXPECT_EQ(0, g->page->valid & VEE_STATE_APIC);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC));
	EXPECT_EQ(0x70, g->page->apic.tpr);
}

/* --- interrupts ------------------------------------------------------------------- */

TEST_F(apic, self)
{
	set_x2apic(_metadata, &self->g);
	WRMSR(SELF_IPI, LOW);
	EXPECT_EQ(1U << LOW % 32, RDMSR(IRR + 16 * (LOW / 32)));
	EXPECT_EQ(LOW, TAKEN());
	EXPECT_EQ(0, RDMSR(IRR + 16 * (LOW / 32)));
	EXPECT_EQ(1U << LOW % 32, RDMSR(ISR + 16 * (LOW / 32)));
	EXPECT_EQ(LOW & 0xf0, RDMSR(PPR));
	/* In service it holds its like off, not what is above. */
	WRMSR(ICR, ICR_SELF | LOW);
	EXPECT_EQ(-1, TAKEN());
	WRMSR(ICR, ICR_SELF | HIGH);
	EXPECT_EQ(HIGH, TAKEN());
	WRMSR(EOI, 0);
	EXPECT_EQ(-1, TAKEN());
	WRMSR(EOI, 0);
	EXPECT_EQ(LOW, TAKEN());
	WRMSR(EOI, 0);
	EXPECT_EQ(-1, TAKEN());
	EXPECT_EQ(0, RDMSR(PPR));
}

TEST_F(apic, priority)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	EXPECT_EQ(0, signal_vector(g, 0, LOW, 0));
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	WRMSR(TPR, 0x30);
	EXPECT_EQ(HIGH, TAKEN());
	WRMSR(EOI, 0);
	EXPECT_EQ(-1, TAKEN());
	WRMSR(TPR, 0x2f);
	EXPECT_EQ(LOW, TAKEN());
	WRMSR(EOI, 0);
	/* By CR8: it comes at the instruction behind. */
	WRMSR(TPR, 0xf0);
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	SET_LONG(g, cr8_hlt);
	g->page->regs.rax = 4;
	ASSERT_VECTOR(g, HIGH);
	EXPECT_EQ(0x50, RDMSR(PPR));
}

/* Begins at a WRMSR, with interrupts closed. */
#define SET_WRITING(g, code, msr, value)				\
	do {								\
		SET_LONG(g, code);					\
		(g)->page->regs.rcx = (msr);				\
		(g)->page->regs.rax = (__u32)(value);			\
		(g)->page->regs.rdx = (__u64)(value) >> 32;		\
	} while (0)

/* What a write leads to comes in the same stay: no HLT has everything looked at anew. */
TEST_F(apic, self_in_one_stay)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	SET_WRITING(g, write_open, MSR_OF(SELF_IPI), LOW);
	ASSERT_VECTOR(g, LOW);
	WRMSR(EOI, 0);
	/* Of two that wait the higher one, which was the later. */
	SET_WRITING(g, write_two_open, MSR_OF(SELF_IPI), LOW);
	g->page->regs.rbx = HIGH;
	ASSERT_VECTOR(g, HIGH);
	EXPECT_EQ(1U << LOW % 32, RDMSR(IRR + 16 * (LOW / 32)));
	SET_WRITING(g, write_open, MSR_OF(EOI), 0);
	ASSERT_VECTOR(g, LOW);
	EXPECT_EQ(0, RDMSR(ISR + 16 * (HIGH / 32)));
	WRMSR(EOI, 0);
	EXPECT_EQ(-1, TAKEN());
}

/* In single steps, too, these are the guest's APIC's: the host's goes on without. */
TEST_F(apic, self_stepped)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	SET_WRITING(g, write_cr8, MSR_OF(SELF_IPI), HIGH);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + 2);
	g->page->intercept = 0;
	EXPECT_EQ(1U << HIGH % 32, RDMSR(IRR + 16 * (HIGH / 32)));
	EXPECT_EQ(HIGH, TAKEN());
	SET_WRITING(g, write_cr8, MSR_OF(EOI), 0);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + 2);
	g->page->intercept = 0;
	EXPECT_EQ(0, RDMSR(ISR + 16 * (HIGH / 32)));
}

/* The processor priority, read right behind a write, before anything else is looked at. */
static __u32 ppr_after_wrmsr(struct __test_metadata *_metadata, struct guest *g, __u32 reg,
			     __u32 value)
{
	SET_WRITING(g, write_read, MSR_OF(reg), value);
	g->page->regs.rsi = MSR_OF(PPR);
	EXPECT_EQ(0, guest_run(g));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	return g->page->regs.rax;
}

static __u32 ppr_loaded(struct __test_metadata *_metadata, struct guest *g)
{
	g->page->regs.rsi = APIC_PAGE + PPR;
	do {
		EXPECT_EQ(0, guest_run(g));
	} while (assist(_metadata, g));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	return g->page->regs.rax;
}

static __u32 ppr_after_store(struct __test_metadata *_metadata, struct guest *g, __u32 reg,
			     __u32 value)
{
	SET_LONG(g, store_load);
	g->page->regs.rbx = APIC_PAGE + reg;
	g->page->regs.rax = value;
	return ppr_loaded(_metadata, g);
}

static __u32 ppr_after_cr8(struct __test_metadata *_metadata, struct guest *g, __u32 class)
{
	SET_LONG(g, cr8_load);
	g->page->regs.rax = class;
	return ppr_loaded(_metadata, g);
}

/*
 * SDM 3A, "Interrupt, Task, and Processor Priority", with HIGH in service: TPR and PPR. In
 * xAPIC mode the PPR is none of what the CPU reads in the page (SDM 3C, "Virtualizing Reads
 * from the APIC-Access Page"), which is as old as the last look at it.
 */
static const __u8 priorities[][2] = {
	{ 0x00, 0x50 }, { 0x0f, 0x50 }, { 0x4f, 0x50 }, { 0x50, 0x50 }, { 0x5a, 0x5a },
	{ 0x60, 0x60 }, { 0x63, 0x63 }, { 0xff, 0xff },
};

static void check_x2apic_priorities(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned int i;

	set_x2apic(_metadata, g);
	wrmsr(_metadata, g, SELF_IPI, HIGH);
	EXPECT_EQ(HIGH, taken(_metadata, g));
	for (i = 0; i < ARRAY_SIZE(priorities); i++)
		EXPECT_EQ(priorities[i][1], ppr_after_wrmsr(_metadata, g, TPR, priorities[i][0]))
			TH_LOG("TPR %02x", priorities[i][0]);
	EXPECT_EQ(0x50, ppr_after_wrmsr(_metadata, g, TPR, 0x20));
	EXPECT_EQ(0x20, ppr_after_wrmsr(_metadata, g, EOI, 0));
}

static void check_xapic_priorities(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned int i;

	store(_metadata, g, SVR, APIC_SVR_ON);
	store(_metadata, g, ICR, ICR_SELF | HIGH);
	EXPECT_EQ(HIGH, taken(_metadata, g));
	for (i = 0; i < ARRAY_SIZE(priorities); i++)
		EXPECT_EQ(priorities[i][1], ppr_after_store(_metadata, g, TPR, priorities[i][0]))
			TH_LOG("TPR %02x", priorities[i][0]);
	EXPECT_EQ(0x60, ppr_after_cr8(_metadata, g, 6));
	EXPECT_EQ(0x50, ppr_after_cr8(_metadata, g, 2));
	EXPECT_EQ(0x20, ppr_after_store(_metadata, g, EOI, 0));
	EXPECT_EQ(0x70, ppr_after_cr8(_metadata, g, 7));
	EXPECT_EQ(0x13, ppr_after_store(_metadata, g, TPR, 0x13));
}

TEST_F(apic, processor_priority)
{
	check_x2apic_priorities(_metadata, &self->g);
}

TEST_F(apic, xapic_processor_priority)
{
	check_xapic_priorities(_metadata, &self->g);
}

TEST_F(apic_odd, processor_priority)
{
	check_x2apic_priorities(_metadata, &self->g);
}

TEST_F(apic_odd, xapic_processor_priority)
{
	check_xapic_priorities(_metadata, &self->g);
}

/* SDM 3A, "Interaction of Task Priorities between CR8 and APIC" */
TEST_F(apic, cr8_and_tpr)
{
	struct guest *g = &self->g;
	unsigned int class;

	set_x2apic(_metadata, g);
	for (class = 0; class < 16; class++) {
		SET_LONG(g, cr8_read);
		g->page->regs.rax = class;
		g->page->regs.rcx = MSR_OF(TPR);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(class << 4, g->page->regs.rax);
		SET_WRITING(g, write_cr8, MSR_OF(TPR), class << 4 | 0xa);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(class, g->page->regs.rax);
	}
}

/* Of a vector one is in service and one waits: a third is one with that. */
TEST_F(apic, three_of_a_vector)
{
	set_x2apic(_metadata, &self->g);
	WRMSR(SELF_IPI, LOW);
	WRMSR(SELF_IPI, LOW);
	EXPECT_EQ(LOW, TAKEN());
	WRMSR(SELF_IPI, LOW);
	WRMSR(SELF_IPI, LOW);
	EXPECT_EQ(-1, TAKEN());
	WRMSR(EOI, 0);
	EXPECT_EQ(LOW, TAKEN());
	WRMSR(EOI, 0);
	EXPECT_EQ(-1, TAKEN());
	/* The end of nothing is nothing. */
	WRMSR(EOI, 0);
	EXPECT_EQ(0, RDMSR(PPR));
	WRMSR(SELF_IPI, LOW);
	WRMSR(EOI, 0);
	EXPECT_EQ(LOW, TAKEN());
}

#define ESR_RECEIVE	0x40	/* illegal vector */

/* SDM 3A, "Error Handling": they add up until the register is written. */
TEST_F(apic, errors_add_up)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	WRMSR(SELF_IPI, 5);
	EXPECT_EQ(0, RDMSR(ESR));
	WRMSR(LVT_TIMER, 3);
	WRMSR(DIVIDE, 0xb);
	WRMSR(INITIAL_COUNT, 1);
	EXPECT_EQ(-1, TAKEN());
	WRMSR(ESR, 0);
	EXPECT_EQ(ESR_SEND | ESR_RECEIVE, RDMSR(ESR));
	EXPECT_EQ(ESR_SEND | ESR_RECEIVE, RDMSR(ESR));
	WRMSR(ESR, 0);
	EXPECT_EQ(0, RDMSR(ESR));
}

/* ... and have one interrupt until then. */
TEST_F(apic, errors_interrupt_once)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	WRMSR(LVT_ERROR, HIGH);
	WRMSR(SELF_IPI, 5);
	EXPECT_EQ(HIGH, TAKEN());
	WRMSR(EOI, 0);
	WRMSR(SELF_IPI, 5);
	EXPECT_EQ(0, signal_vector(g, 0, 5, 0));
	EXPECT_EQ(-1, TAKEN());
	WRMSR(ESR, 0);
	EXPECT_EQ(ESR_SEND | ESR_RECEIVE, RDMSR(ESR));
	EXPECT_EQ(-1, TAKEN());
	WRMSR(SELF_IPI, 5);
	EXPECT_EQ(HIGH, TAKEN());
	WRMSR(EOI, 0);
}

TEST_F(apic, illegal_vector)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	WRMSR(LVT_ERROR, HIGH);
	WRMSR(SELF_IPI, 5);
	EXPECT_EQ(HIGH, TAKEN());
	WRMSR(EOI, 0);
	WRMSR(ESR, 0);
	EXPECT_EQ(ESR_SEND, RDMSR(ESR));
	WRMSR(ICR, ICR_SELF | 7);
	EXPECT_EQ(HIGH, TAKEN());
}

TEST_F(apic, switched_off)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	WRMSR(SVR, 0xff);
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	EXPECT_EQ(-1, TAKEN());
	WRMSR(SVR, APIC_SVR_ON);
	EXPECT_EQ(-1, TAKEN());
	/* An NMI comes all the same. */
	WRMSR(SVR, 0xff);
	EXPECT_EQ(0, signal_vector(g, 0, ICR_NMI, 0));
	EXPECT_EQ(VECTOR_NMI, TAKEN());
}

/*
 * SDM 3A, "Local APIC State After It Has Been Software Disabled": it takes none, its own among
 * them, and what it has taken before stays.
 */
TEST_F(apic, switched_off_ipi)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	WRMSR(SELF_IPI, LOW);
	WRMSR(SVR, 0xff);
	WRMSR(SELF_IPI, HIGH);
	WRMSR(ICR, ICR_SELF | HIGH);
	EXPECT_EQ(0, RDMSR(IRR + 16 * (HIGH / 32)));
	EXPECT_EQ(LOW, TAKEN());
	EXPECT_EQ(-1, TAKEN());
	WRMSR(EOI, 0);
	EXPECT_EQ(0, RDMSR(ISR + 16 * (LOW / 32)));
	WRMSR(SVR, APIC_SVR_ON);
	EXPECT_EQ(-1, TAKEN());
	WRMSR(SELF_IPI, HIGH);
	EXPECT_EQ(HIGH, TAKEN());
}

TEST_F(apic, switched_off_ipi_xapic)
{
	STORE(SVR, APIC_SVR_ON);
	STORE(ICR, ICR_SELF | LOW);
	STORE(SVR, 0xff);
	STORE(ICR, ICR_SELF | HIGH);
	EXPECT_EQ(0, LOAD(IRR + 16 * (HIGH / 32)));
	EXPECT_EQ(LOW, TAKEN());
	EXPECT_EQ(-1, TAKEN());
	STORE(EOI, 0);
	EXPECT_EQ(0, LOAD(ISR + 16 * (LOW / 32)));
	STORE(SVR, APIC_SVR_ON);
	EXPECT_EQ(-1, TAKEN());
	STORE(ICR, ICR_SELF | HIGH);
	EXPECT_EQ(HIGH, TAKEN());
}

/* SDM 3A, "TSC-Deadline Mode": writes to the initial count are ignored. */
TEST_F(apic, deadline_ignores_count)
{
	STORE(SVR, APIC_SVR_ON);
	STORE(LVT_TIMER, HIGH | LVT_DEADLINE);
	STORE(INITIAL_COUNT, 0x80000000);
	EXPECT_EQ(0, LOAD(INITIAL_COUNT));
	EXPECT_EQ(0, LOAD(CURRENT_COUNT));
	STORE(LVT_TIMER, HIGH);
	EXPECT_EQ(0, LOAD(INITIAL_COUNT));
}

GUEST_LABEL(nmis_handler);
/* Counts; in the first one's handler it sends itself R8 more. */
GUEST_CODE(nmis, 64,
	   "nop; hlt;"
	   "nmis_handler: incl 0x20000; test %r8d, %r8d; jz 2f;"
	   "1: mov $0x830, %ecx; xor %edx, %edx; mov $0x4400, %eax; wrmsr; dec %r8d; jnz 1b;"
	   "2: iretq");

static void set_nmis(struct __test_metadata *_metadata, struct guest *g, unsigned int within)
{
	SET_LONG(g, nmis);
	guest_write64(g, GPA_IDT + 16 * VECTOR_NMI,
		      AT(nmis, nmis_handler) | SEL_CODE64 << 16 | 0x8eULL << 40);
	g->page->regs.r8 = within;
}

/* How many times its handler runs. */
static __u32 nmis_come(struct __test_metadata *_metadata, struct guest *g)
{
	guest_write32(g, GPA_DATA, 0);
	ASSERT_EQ(0, guest_run(g));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
	return guest_read32(g, GPA_DATA);
}

/* ... of @before that find it ready, and @within. */
static __u32 nmis_of(struct __test_metadata *_metadata, struct guest *g, unsigned int before,
		     unsigned int within)
{
	set_nmis(_metadata, g, within);
	while (before--)
		EXPECT_EQ(0, signal_vector(g, 0, ICR_NMI, 0));
	return nmis_come(_metadata, g);
}

/* SDM 3A, "Handling Multiple NMIs": while one is handled another waits, and no more. */
TEST_F(apic, nmis)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	EXPECT_EQ(1, nmis_of(_metadata, g, 1, 0));
	EXPECT_EQ(2, nmis_of(_metadata, g, 2, 0));
	EXPECT_EQ(2, nmis_of(_metadata, g, 3, 0));
	EXPECT_EQ(2, nmis_of(_metadata, g, 1, 1));
	EXPECT_EQ(2, nmis_of(_metadata, g, 1, 3));
	EXPECT_EQ(2, nmis_of(_metadata, g, 2, 2));
	EXPECT_EQ(0, nmis_of(_metadata, g, 0, 0));
}

/* Two that wait are saved, and loaded. */
TEST_F(apic, nmis_saved)
{
	struct vee_vcpu_state saved = {
		.size = sizeof(saved),
		.skip = VEE_STATE_XSAVE | VEE_STATE_CPUID,
	};
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	set_nmis(_metadata, g, 0);
	EXPECT_EQ(0, signal_vector(g, 0, ICR_NMI, 0));
	EXPECT_EQ(0, signal_vector(g, 0, ICR_NMI, 0));
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_SAVE, &saved));
	EXPECT_EQ(2, nmis_come(_metadata, g));
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_LOAD, &saved));
	EXPECT_EQ(2, nmis_come(_metadata, g));
}

TEST_F(apic, level)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	EXPECT_EQ(0, signal_vector(g, 0, LOW, VEE_SIGNAL_LEVEL));
	EXPECT_EQ(LOW, TAKEN());
	EXPECT_EQ(1U << LOW % 32, RDMSR(TMR + 16 * (LOW / 32)));
	SET_LONG(g, wrmsr_hlt);
	g->page->regs.rcx = MSR_OF(EOI);
	ASSERT_RUN_AT(g, VEE_EXIT_EOI, GPA_CODE + 2);
	EXPECT_EQ(LOW, g->page->exit.eoi.vector);
	ASSERT_HLT(g, GPA_CODE + 2);
	/* The same vector by an edge. */
	EXPECT_EQ(0, signal_vector(g, 0, LOW, 0));
	EXPECT_EQ(LOW, TAKEN());
	WRMSR(EOI, 0);
}

/* As libvee does an access of the guest's: the CPU has delivered it, the caller ends it. */
TEST_F(apic, ended_by_the_caller)
{
	struct guest *g = &self->g;
	__u32 value = 0;

	STORE(SVR, APIC_SVR_ON);
	EXPECT_EQ(0, signal_vector(g, 0, LOW, VEE_SIGNAL_LEVEL));
	EXPECT_EQ(LOW, TAKEN());
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	EXPECT_EQ(HIGH, TAKEN());
	EXPECT_EQ(0, apic_access(g, 0, PPR, &value));
	EXPECT_EQ(HIGH & 0xf0, value);
	/* First the edge, whose end nobody is told of. */
	EXPECT_EQ(0, apic_store(g, EOI, 0));
	EXPECT_EQ(0, apic_access(g, 0, PPR, &value));
	EXPECT_EQ(LOW & 0xf0, value);
	EXPECT_EQ(-1, TAKEN());
	/* It is held off by the one in service, until that is ended, too. */
	EXPECT_EQ(0, signal_vector(g, 0, LOW, VEE_SIGNAL_LEVEL));
	EXPECT_EQ(-1, TAKEN());
	EXPECT_EQ(0, apic_store(g, EOI, 0));
	EXPECT_EQ(0, apic_access(g, 0, ISR + 16 * (LOW / 32), &value));
	EXPECT_EQ(0, value);
	SET_LONG(g, open_for_one);
	ASSERT_RUN_AT(g, VEE_EXIT_EOI, GPA_CODE);
	EXPECT_EQ(LOW, g->page->exit.eoi.vector);
	EXPECT_EQ(LOW, TAKEN());
	/* In service still as an edge comes, which is what its end tells then. */
	EXPECT_EQ(0, signal_vector(g, 0, LOW, 0));
	EXPECT_EQ(-1, TAKEN());
	EXPECT_EQ(0, apic_store(g, EOI, 0));
	EXPECT_EQ(LOW, TAKEN());
	EXPECT_EQ(0, apic_store(g, EOI, 0));
	EXPECT_EQ(-1, TAKEN());
}

/* Its other registers, and a message that one of these writes sends. */
TEST_F(apic, accessed_by_the_caller)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, apic_store(g, SVR, APIC_SVR_ON));
	EXPECT_EQ(APIC_SVR_ON, LOAD(SVR));
	EXPECT_EQ(0, apic_store(g, ICR, ICR_SELF | HIGH));
	EXPECT_EQ(0, apic_store(g, TPR, 0x60));
	EXPECT_EQ(-1, TAKEN());
	EXPECT_EQ(0, apic_store(g, TPR, 0x40));
	EXPECT_EQ(HIGH, TAKEN());
	EXPECT_EQ(0, apic_store(g, EOI, 0));
	EXPECT_EQ(-1, TAKEN());
}

TEST_F(apic, xapic_interrupts)
{
	struct guest *g = &self->g;

	STORE(SVR, APIC_SVR_ON);
	STORE(ICR, ICR_SELF | LOW);
	EXPECT_EQ(LOW, TAKEN());
	STORE(EOI, 0);
	STORE(ICR_HIGH, 0);
	STORE(ICR, HIGH);
	EXPECT_EQ(HIGH, TAKEN());
	STORE(EOI, 0);
	STORE(LDR, 0x04000000);
	STORE(ICR_HIGH, 0x05000000);
	STORE(ICR, ICR_LOGICAL | LOW);
	EXPECT_EQ(LOW, TAKEN());
	STORE(EOI, 0);
	STORE(ICR_HIGH, 0x08000000);
	STORE(ICR, ICR_LOGICAL | LOW);
	EXPECT_EQ(-1, TAKEN());
	STORE(TPR, 0x60);
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	EXPECT_EQ(-1, TAKEN());
	STORE(TPR, 0x40);
	EXPECT_EQ(HIGH, TAKEN());
}

/* The EPT forgets the page, its content stays. */
static void forget_page(struct __test_metadata *_metadata, struct guest *g, __u64 gpa)
{
	ASSERT_EQ(0, mprotect(g->mem + gpa, PAGE_BYTES, PROT_NONE));
	ASSERT_EQ(0, mprotect(g->mem + gpa, PAGE_BYTES, PROT_READ | PROT_WRITE));
}

/* An event before, of @how's kind, which what is cut short may not be taken for. */
static void have_event(struct __test_metadata *_metadata, struct guest *g, unsigned int how)
{
	SET_LONG(g, how ? open_for_one : raise_ud);
	if (how)
		guest_inject(g, VEE_EVENT_INTERRUPT, LOW);
	ASSERT_VECTOR(g, how ? LOW : VECTOR_UD);
}

/*
 * Its delivery is cut short, since memory that it takes has to be brought in: the IDT, the
 * stack, or first one, then the other. It comes all the same, it alone, and once.
 */
TEST_F(apic, cut_short)
{
	struct guest *g = &self->g;
	unsigned int i;

	set_x2apic(_metadata, g);
	for (i = 0; i < 8; i++) {
		have_event(_metadata, g, i / 4);
		SET_LONG(g, open_for_one);
		if (i & 1)
			forget_page(_metadata, g, GPA_IDT);
		if (i & 2)
			forget_page(_metadata, g, GPA_STACK - PAGE_BYTES);
		EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
		ASSERT_VECTOR(g, HIGH);
		EXPECT_EQ(GPA_CODE + 2, guest_read64(g, g->page->regs.rsp));
		EXPECT_EQ(1U << HIGH % 32, RDMSR(ISR + 16 * (HIGH / 32)));
		EXPECT_EQ(0, RDMSR(IRR + 16 * (HIGH / 32)));
		WRMSR(EOI, 0);
		EXPECT_EQ(0, RDMSR(ISR + 16 * (HIGH / 32)));
		EXPECT_EQ(-1, TAKEN());
	}
}

/* The caller's goes past the APIC, when it is cut short as well. */
TEST_F(apic, callers_cut_short)
{
	struct guest *g = &self->g;
	int tries = 3;

	set_x2apic(_metadata, g);
	do {
		WRMSR(EOI, 0);
		SET_LONG(g, open_for_one);
		forget_page(_metadata, g, GPA_IDT);
		forget_page(_metadata, g, GPA_STACK - PAGE_BYTES);
		guest_inject(g, VEE_EVENT_INTERRUPT, LOW);
		EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
		ASSERT_RUN(g, VEE_EXIT_HYPERCALL);
	} while (guest_took_early(g, LOW, HIGH) && --tries);
	EXPECT_EQ(STUB(LOW), g->page->regs.rip);
	EXPECT_EQ(0, RDMSR(ISR + 16 * (LOW / 32)));
	EXPECT_EQ(HIGH, TAKEN());
}

/* --- while it runs ---------------------------------------------------------------- */

TEST_F(apic, to_a_running_guest)
{
	struct guest *g = &self->g;
	struct runner r;

	set_x2apic(_metadata, g);
	SET_LONG(g, count_on);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HYPERCALL, g->page->exit.reason);
	EXPECT_EQ(STUB(HIGH), g->page->regs.rip);
}

TEST_F(apic, to_a_halted_guest)
{
	struct guest *g = &self->g;
	struct runner r;

	set_x2apic(_metadata, g);
	SET_LONG(g, wait_for_one);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	ASSERT_EQ(0, runner_start(&r, g));
	usleep(2000);
	EXPECT_FALSE(runner_done(&r));
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HYPERCALL, g->page->exit.reason);
	EXPECT_EQ(STUB(HIGH), g->page->regs.rip);
}

#define TURNS		100

/* How long the guest takes for TURNS. */
static __u64 in_turn_ns(struct __test_metadata *_metadata, struct guest *g, __u32 msr,
			__u32 value, __u32 ticks)
{
	__u64 since;

	SET_LONG(g, in_turn);
	guest_write64(g, GPA_IDT + 16 * HIGH,
		      AT(in_turn, in_turn_handler) | SEL_CODE64 << 16 | 0x8eULL << 40);
	guest_write32(g, GPA_DATA, 0);
	g->page->regs.rbx = TURNS;
	g->page->regs.rdi = ticks;
	g->page->regs.rsi = msr;
	g->page->regs.r8 = value;
	since = now_ns();
	ASSERT_RUN(g, VEE_EXIT_HLT);
	since = now_ns() - since;
	EXPECT_EQ(TURNS, guest_read32(g, GPA_DATA));
	return since;
}

/*
 * Its own ends HLT at once, not with the host's next tick: on average within a millisecond.
 * Waiting for ticks would be as slow each time; a host that had other work for the CPU is not.
 * (What tests read in sysfs is freed by kfree_rcu(), each 5 s: 0.1 s of the debug kernel's.)
 */
static void expect_in_turn(struct __test_metadata *_metadata, struct guest *g, __u32 msr,
			   __u32 value, __u32 ticks)
{
	__u64 ns = TURNS * MS_NS;

	for (int tries = 5; tries && ns >= TURNS * MS_NS; tries--)
		ns = in_turn_ns(_metadata, g, msr, value, ticks);
	EXPECT_GT(TURNS * MS_NS, ns);
}

#define SOON_US		50

TEST_F(apic, ends_hlt_at_once)
{
	struct guest *g = &self->g;
	__u32 ticks = vee_info(g->dev).tsc_khz * SOON_US / 1000;

	set_x2apic(_metadata, g);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	expect_in_turn(_metadata, g, MSR_OF(SELF_IPI), HIGH, 0);
	WRMSR(LVT_TIMER, HIGH);
	WRMSR(DIVIDE, 0xb);
	expect_in_turn(_metadata, g, MSR_OF(INITIAL_COUNT), SOON_US * 1000, 0);
	WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE);
	expect_in_turn(_metadata, g, MSR_TSC_DEADLINE, 0, ticks);
	/* It is over before HLT. */
	expect_in_turn(_metadata, g, MSR_TSC_DEADLINE, 0, 1);
}

#define MASKED		(VEE_OPTION_HLT_SLEEPS | VEE_OPTION_HLT_MASKED_SLEEPS)
#define AFTER_MASKED	(GPA_CODE + 2)	/* in off_line */
#define NAP_NS		(50 * MS_NS)	/* enough for any kernel to get to HLT */

/* Interrupts off, HLT: no message ends that but an NMI; nor if its state is loaded. */
TEST_F(apic, to_one_off_line)
{
	struct guest *g = &self->g;

	set_x2apic(_metadata, g);
	SET_LONG(g, off_line);
	g->page->options = MASKED;
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_MASKED);
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_MASKED);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_ALL | VEE_STATE_APIC));
	EXPECT_EQ(VEE_ACTIVITY_HLT, g->page->events.activity);
	g->page->dirty = VEE_STATE_ALL | VEE_STATE_APIC;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_MASKED);
	EXPECT_EQ(0, signal_vector(g, 0, ICR_NMI, 0));
	g->page->deadline_ns = DEADLINE_NS;
	ASSERT_VECTORS(g, VECTOR_NMI, AFTER_MASKED, HIGH);
}

/* What the CPU does itself is no exit. */
TEST_F(apic, no_exits)
{
	struct guest *g = &self->g;
	__u64 before;

	set_x2apic(_metadata, g);
	before = stat_of(g, EXIT_WRMSR);
	SET_LONG(g, many_eoi);
	g->page->regs.rbx = 100;
	g->page->regs.rcx = MSR_OF(EOI);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(variant->delivers ? 0 : 100, stat_of(g, EXIT_WRMSR) - before);
}

/* --- the timer -------------------------------------------------------------------- */

/* It comes, and not before @least_ns after @since, by another clock. */
static void expect_timer(struct __test_metadata *_metadata, struct guest *g, __u64 since,
			 __u64 least_ns)
{
	SET_LONG(g, wait_for_one);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	ASSERT_VECTOR(g, HIGH);
	EXPECT_LE(least_ns, now_ns() - since + MS_NS);
	g->page->options = 0;
	wrmsr(_metadata, g, EOI, 0);
}

#define COUNT_NS	100000000ULL

TEST_F(apic, timer_once)
{
	struct guest *g = &self->g;
	__u64 since = now_ns();

	set_x2apic(_metadata, g);
	WRMSR(LVT_TIMER, HIGH);
	WRMSR(DIVIDE, 0);	/* by 2 */
	WRMSR(INITIAL_COUNT, COUNT_NS / 2);
	EXPECT_GE(COUNT_NS / 2, RDMSR(CURRENT_COUNT));
	EXPECT_LT(0, RDMSR(CURRENT_COUNT));
	EXPECT_EQ(COUNT_NS / 2, RDMSR(INITIAL_COUNT));
	expect_timer(_metadata, g, since, COUNT_NS);
	EXPECT_EQ(0, RDMSR(CURRENT_COUNT));
	EXPECT_EQ(-1, TAKEN());
}

TEST_F(apic, timer_periodic)
{
	struct guest *g = &self->g;
	__u64 since = now_ns();

	set_x2apic(_metadata, g);
	WRMSR(LVT_TIMER, HIGH | LVT_PERIODIC);
	WRMSR(DIVIDE, 0xb);
	WRMSR(INITIAL_COUNT, COUNT_NS);
	expect_timer(_metadata, g, since, COUNT_NS);
	expect_timer(_metadata, g, since, 2 * COUNT_NS);
	expect_timer(_metadata, g, since, 3 * COUNT_NS);
	WRMSR(INITIAL_COUNT, 0);
	EXPECT_EQ(0, RDMSR(CURRENT_COUNT));
	/* One may have come before. */
	TAKEN();
	WRMSR(EOI, 0);
	usleep(2 * COUNT_NS / 1000);
	EXPECT_EQ(-1, TAKEN());
}

TEST_F(apic, timer_deadline)
{
	struct guest *g = &self->g;
	__u64 khz = vee_info(g->dev).tsc_khz, since = now_ns(), value;

	set_x2apic(_metadata, g);
	WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE);
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE,
			      host_tsc() + COUNT_NS / MS_NS * khz));
	EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_TSC_DEADLINE, &value));
	EXPECT_NE(0, value);
	expect_timer(_metadata, g, since, COUNT_NS);
	EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_TSC_DEADLINE, &value));
	EXPECT_EQ(0, value);
	/* One that is over comes at once. */
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, 1));
	EXPECT_EQ(HIGH, TAKEN());
	WRMSR(EOI, 0);
	/* In a guest that doesn't halt, too. */
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, host_tsc() + khz));
	SET_LONG(g, count_on);
	ASSERT_VECTOR(g, HIGH);
}

/* The deadline is the guest's TSC's, which it may set: SDM 3A, "TSC-Deadline Mode". */
TEST_F(apic, timer_deadline_by_another_tsc)
{
	struct guest *g = &self->g;
	__u64 khz = vee_info(g->dev).tsc_khz, deadline = host_tsc() + 1000000 * khz, since;

	set_x2apic(_metadata, g);
	WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE);
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, deadline));
	EXPECT_EQ(-1, TAKEN());
	since = now_ns();
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC, deadline - COUNT_NS / MS_NS * khz));
	expect_timer(_metadata, g, since, COUNT_NS);
	EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_TSC_DEADLINE, &deadline));
	EXPECT_EQ(0, deadline);
}

#define LONG_COUNT	0xf0000000U

static __u64 count_ns(struct __test_metadata *_metadata, struct guest *g, unsigned int shift)
{
	return rdmsr(_metadata, g, CURRENT_COUNT) << shift;
}

/* How fast it counts: no less than between the two looks, no more than around them. */
TEST_F(apic, timer_divide)
{
	static const __u8 shifts[] = { 1, 2, 3, 4, 5, 6, 7, 0 };
	struct guest *g = &self->g;
	unsigned int i;

	set_x2apic(_metadata, g);
	for (i = 0; i < 8; i++) {
		__u64 begun, looked, again, ended, first, counted, slack;

		WRMSR(DIVIDE, (i & 3) | (i & 4) << 1);
		WRMSR(INITIAL_COUNT, LONG_COUNT);
		begun = now_ns();
		first = count_ns(_metadata, g, shifts[i]);
		looked = now_ns();
		usleep(2000);
		again = now_ns();
		counted = first - count_ns(_metadata, g, shifts[i]);
		ended = now_ns();
		/* One tick, and a clock that differs by a hundredth. */
		slack = (1U << shifts[i]) + (ended - begun) / 100;
		EXPECT_LE(again - looked, counted + slack) TH_LOG("by %u", 1U << shifts[i]);
		EXPECT_GE(ended - begun + slack, counted) TH_LOG("by %u", 1U << shifts[i]);
	}
}

/* SDM 3A, "APIC Timer" and "TSC-Deadline Mode" */
TEST_F(apic, timer_modes)
{
	struct guest *g = &self->g;
	__u64 value;

	set_x2apic(_metadata, g);
	/* Masked it counts all the same. */
	WRMSR(DIVIDE, 0xb);
	WRMSR(LVT_TIMER, HIGH | LVT_MASKED);
	WRMSR(INITIAL_COUNT, 1000);
	usleep(1000);
	EXPECT_EQ(0, RDMSR(CURRENT_COUNT));
	EXPECT_EQ(0, RDMSR(IRR + 16 * (HIGH / 32)));
	WRMSR(LVT_TIMER, HIGH);
	EXPECT_EQ(-1, TAKEN());
	/* Between these two it goes on counting. */
	WRMSR(INITIAL_COUNT, LONG_COUNT);
	WRMSR(LVT_TIMER, HIGH | LVT_PERIODIC);
	EXPECT_LT(LONG_COUNT / 2, RDMSR(CURRENT_COUNT));
	WRMSR(LVT_TIMER, HIGH);
	EXPECT_LT(LONG_COUNT / 2, RDMSR(CURRENT_COUNT));
	/* In them the deadline is 0, and not to be set. */
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, 1));
	EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_TSC_DEADLINE, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(-1, TAKEN());
	/* From and to that mode the timer is disarmed. */
	WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE);
	EXPECT_EQ(0, RDMSR(CURRENT_COUNT));
	WRMSR(INITIAL_COUNT, 1);
	EXPECT_EQ(0, RDMSR(CURRENT_COUNT));
	EXPECT_EQ(-1, TAKEN());
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, host_tsc() + 1000000000));
	WRMSR(LVT_TIMER, HIGH);
	WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE);
	EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_TSC_DEADLINE, &value));
	EXPECT_EQ(0, value);
	/* So does 0; and another deadline takes the place of the one before. */
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, host_tsc() + 1000000));
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, 0));
	usleep(20000);
	EXPECT_EQ(-1, TAKEN());
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, host_tsc() + 1000000000));
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, host_tsc()));
	EXPECT_EQ(HIGH, TAKEN());
}

/* --- several ---------------------------------------------------------------------- */

TEST_F(apic, init_sipi)
{
	struct guest *g = &self->g, ap;
	struct runner r;

	guest_open_sibling(_metadata, g, &ap, 1);
	set_x2apic(_metadata, g);
	memcpy(g->mem + 0x10000, ap_start, ap_start_end - ap_start);
	ASSERT_EQ(0, runner_start(&r, &ap));
	usleep(2000);
	EXPECT_FALSE(runner_done(&r));
	WRMSR(ICR, 1ULL << 32 | ICR_INIT | ICR_ASSERT);
	usleep(1000);
	EXPECT_FALSE(runner_done(&r));
	WRMSR(ICR, 1ULL << 32 | ICR_SIPI | 0x10);
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, ap.page->exit.reason) TH_LOG("%s", guest_describe(&ap));
	EXPECT_EQ(0x1234, ap.page->regs.rax & 0xffff);
	ASSERT_EQ(0, vcpu_sync(ap.vcpu, VEE_STATE_SEGMENTS | VEE_STATE_APIC));
	EXPECT_EQ(0x1000, ap.page->segments.cs.selector);
	EXPECT_EQ(0x10000, ap.page->segments.cs.base);
	EXPECT_EQ(3, ap.page->regs.rip);
	EXPECT_EQ(APIC_PAGE | BASE_ENABLED, ap.page->apic.base);
	EXPECT_EQ(0, ap.page->apic.start);
	guest_close(&ap);
}

/* As Linux takes a processor on line that has been off. */
TEST_F(apic, init_sipi_to_one_off_line)
{
	struct guest *g = &self->g, ap;
	struct runner r;

	guest_open_sibling(_metadata, g, &ap, 1);
	set_x2apic(_metadata, g);
	memcpy(g->mem + 0x10000, ap_call, ap_call_end - ap_call);
	SET_LONG(&ap, off_line);
	ASSERT_EQ(0, vcpu_sync(ap.vcpu, VEE_STATE_APIC));
	ap.page->apic.start = 0;
	ap.page->apic.svr = APIC_SVR_ON;
	ap.page->dirty |= VEE_STATE_APIC;
	ap.page->options = MASKED;
	ap.page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(&ap, VEE_EXIT_DEADLINE, AFTER_MASKED);
	ap.page->deadline_ns = DEADLINE_NS;
	ASSERT_EQ(0, runner_start(&r, &ap));
	usleep(1000);
	EXPECT_EQ(0, signal_vector(g, 1, HIGH, 0));
	usleep(1000);
	EXPECT_FALSE(runner_done(&r));
	WRMSR(ICR, 1ULL << 32 | ICR_INIT | ICR_ASSERT);
	usleep(1000);
	EXPECT_FALSE(runner_done(&r));
	WRMSR(ICR, 1ULL << 32 | ICR_SIPI | 0x10);
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HYPERCALL, ap.page->exit.reason) TH_LOG("%s", guest_describe(&ap));
	EXPECT_EQ(0x1234, ap.page->regs.rax & 0xffff);
	EXPECT_EQ(3, ap.page->regs.rip);
	guest_close(&ap);
}

#define SIPI_WAIT_NS	(40 * MS_NS)

/* A timer that ran as INIT came is over: who waits for a SIPI sleeps, and takes no CPU. */
TEST_F(apic, init_ends_timer)
{
	struct guest *g = &self->g, ap;
	struct runner r;
	__u64 before;

	guest_open_sibling(_metadata, g, &ap, 1);
	SET_LONG(&ap, count_on);
	ASSERT_EQ(0, guest_set_apic_on(&ap));
	ap.page->apic.lvt[VEE_APIC_LVT_TIMER] = LVT_MASKED | LVT_PERIODIC | HIGH;
	ap.page->apic.divide = 0xb;
	ap.page->apic.initial_count = MS_NS;
	ap.page->apic.current_count = MS_NS;
	ASSERT_EQ(0, runner_start(&r, &ap));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_EQ(0, signal_vector(g, 1, ICR_INIT, 0));
	usleep(2000);
	before = thread_cpu_ns(r.thread);
	usleep(SIPI_WAIT_NS / 1000);
	EXPECT_GT(SIPI_WAIT_NS / 4, thread_cpu_ns(r.thread) - before);
	EXPECT_FALSE(runner_done(&r));
	EXPECT_EQ(0, vcpu_kick(ap.vcpu, generation(&ap)));
	ASSERT_EQ(0, runner_join(&r));
	ASSERT_EQ(0, vcpu_sync(ap.vcpu, VEE_STATE_APIC));
	EXPECT_EQ(VEE_APIC_WAITS_FOR_SIPI, ap.page->apic.start);
	EXPECT_EQ(0, ap.page->apic.current_count);
	guest_close(&ap);
}

#define TO_AP		(1ULL << 32)
#define SIPI_AT(gpa)	(ICR_SIPI | ICR_ASSERT | (gpa) >> 12)

/* Of those that find it away the last INIT counts, and the first SIPI after that. */
TEST_F(apic, init_sipi_in_order)
{
	struct guest *g = &self->g, ap;

	guest_open_sibling(_metadata, g, &ap, 1);
	set_x2apic(_metadata, g);
	memcpy(g->mem + 0x10000, ap_start, ap_start_end - ap_start);
	memcpy(g->mem + 0x11000, ap_call, ap_call_end - ap_call);
	WRMSR(ICR, TO_AP | ICR_INIT | ICR_ASSERT);
	WRMSR(ICR, TO_AP | SIPI_AT(0x10000));
	WRMSR(ICR, TO_AP | ICR_INIT | ICR_ASSERT);
	ap.page->deadline_ns = NAP_NS;
	ASSERT_RUN(&ap, VEE_EXIT_DEADLINE);
	ASSERT_EQ(0, vcpu_sync(ap.vcpu, VEE_STATE_APIC));
	EXPECT_EQ(VEE_APIC_WAITS_FOR_SIPI, ap.page->apic.start);
	ap.page->deadline_ns = DEADLINE_NS;
	WRMSR(ICR, TO_AP | SIPI_AT(0x11000));
	WRMSR(ICR, TO_AP | SIPI_AT(0x10000));
	ASSERT_RUN(&ap, VEE_EXIT_HYPERCALL);
	ASSERT_EQ(0, vcpu_sync(ap.vcpu, VEE_STATE_SEGMENTS));
	EXPECT_EQ(0x11000, ap.page->segments.cs.base);
	/* It runs: a SIPI means nothing to it. */
	WRMSR(ICR, TO_AP | SIPI_AT(0x10000));
	ASSERT_RUN(&ap, VEE_EXIT_HYPERCALL);
	ASSERT_EQ(0, vcpu_sync(ap.vcpu, VEE_STATE_SEGMENTS));
	EXPECT_EQ(0x11000, ap.page->segments.cs.base);
	guest_close(&ap);
}

/* At a place of its own, where it counts with interrupts open now and then. */
#define GPA_OTHER	0x12000ULL

static void start_other(struct __test_metadata *_metadata, struct guest *g, struct guest *other,
			struct runner *r, __u32 id)
{
	guest_open_sibling(_metadata, g, other, id);
	SET_LONG(other, count_on);
	memcpy(g->mem + GPA_OTHER, count_on, count_on_end - count_on);
	guest_set_rip(other, GPA_OTHER);
	ASSERT_EQ(0, guest_set_apic_on(other));
	ASSERT_EQ(0, runner_start(r, other));
	ASSERT_TRUE(guest_counts(g));
}

static void expect_taken(struct __test_metadata *_metadata, struct guest *other,
			 struct runner *r, __u8 vector)
{
	ASSERT_EQ(0, runner_join(r));
	EXPECT_EQ(VEE_EXIT_HYPERCALL, other->page->exit.reason);
	EXPECT_EQ(STUB(vector), other->page->regs.rip) TH_LOG("%s", guest_describe(other));
}

TEST_F(apic, to_others)
{
	static const struct {
		__u64 icr;
		__u8 vector;
	} sent[] = {
		{ 17ULL << 32 | HIGH, HIGH },
		{ 0x10002ULL << 32 | ICR_LOGICAL | LOW, LOW },
		{ ICR_OTHERS | HIGH, HIGH },
		{ 0x10002ULL << 32 | ICR_LOGICAL | ICR_NMI, VECTOR_NMI },
	};
	struct guest *g = &self->g, other;
	struct runner r;
	unsigned int i;

	set_x2apic(_metadata, g);
	for (i = 0; i < 4; i++) {
		start_other(_metadata, g, &other, &r, 17);
		WRMSR(ICR, sent[i].icr);
		expect_taken(_metadata, &other, &r, sent[i].vector);
		guest_close(&other);
	}
	EXPECT_EQ(-1, TAKEN());
	/* All are itself, too. */
	WRMSR(ICR, ICR_ALL | HIGH);
	EXPECT_EQ(HIGH, TAKEN());
}

/* --- state ------------------------------------------------------------------------ */

TEST_F(apic, saved_and_loaded)
{
	struct guest *g = &self->g;
	struct vee_apic saved;

	set_x2apic(_metadata, g);
	WRMSR(TPR, 0x20);
	WRMSR(LVT_TIMER, LOW);
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC));
	saved = g->page->apic;
	EXPECT_EQ(APIC_PAGE | BASE_BSP | BASE_ENABLED | APIC_X2APIC, saved.base);
	EXPECT_EQ(0x20, saved.tpr);
	EXPECT_EQ(1U << HIGH % 32, saved.irr[HIGH / 32]);
	EXPECT_EQ(LOW, saved.lvt[VEE_APIC_LVT_TIMER]);
	EXPECT_EQ(HIGH, TAKEN());
	g->page->apic = saved;
	g->page->dirty |= VEE_STATE_APIC;
	EXPECT_EQ(HIGH, TAKEN());
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC));
	EXPECT_EQ(0, g->page->apic.irr[HIGH / 32]);
	EXPECT_EQ(1U << HIGH % 32, g->page->apic.isr[HIGH / 32]);
	WRMSR(EOI, 0);
	EXPECT_EQ(-1, TAKEN());
}

TEST_F(apic, bad_state)
{
	struct guest *g = &self->g;

	SET_LONG(g, rdmsr_hlt);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC));
	g->page->apic.base = APIC_PAGE | APIC_X2APIC;
	g->page->dirty |= VEE_STATE_APIC;
	EXPECT_EQ(-EINVAL, guest_run(g));
	EXPECT_EQ(offsetof(struct vee_vcpu_page, apic.base), g->page->refused);
	g->page->apic.base = APIC_PAGE | BASE_ENABLED;
	g->page->apic.start = 0x80;
	EXPECT_EQ(-EINVAL, guest_run(g));
	EXPECT_EQ(offsetof(struct vee_vcpu_page, apic.start), g->page->refused);
	g->page->apic.start = 0;
	g->page->tpr_threshold = 5;
	EXPECT_EQ(-EINVAL, guest_run(g));
	EXPECT_EQ(offsetof(struct vee_vcpu_page, tpr_threshold), g->page->refused);
}

TEST_F(apic, bad_requests)
{
	struct guest *g = &self->g, plain;
	__u32 value = 0;

	EXPECT_EQ(-EINVAL, vm_create_with(g->dev, 2));
	EXPECT_EQ(-EINVAL, signal_vector(g, 0, 0x700 | HIGH, 0));
	EXPECT_EQ(-EINVAL, signal_vector(g, 0x100, HIGH, 0));
	EXPECT_EQ(-EINVAL, signal_vector(g, 0, HIGH, 2));
	EXPECT_EQ(0, signal_vector(g, 5, HIGH, 0));
	EXPECT_EQ(-EINVAL, apic_access(g, 0, 0x24, &value));
	EXPECT_EQ(-EINVAL, apic_access(g, 0, 0x1000, &value));
	guest_open(_metadata, &plain);
	EXPECT_EQ(-ENODEV, signal_vector(&plain, 0, HIGH, 0));
	EXPECT_EQ(-ENODEV, apic_access(&plain, 0, ID, &value));
	EXPECT_EQ(-EINVAL, vcpu_sync(plain.vcpu, VEE_STATE_APIC));
	guest_close(&plain);
}

/* --- with other parameters -------------------------------------------------------- */

/*
 * These two are the last: the next variant has the module loaded anew in any case. Each time
 * takes as long as twenty tests.
 */
static void change_module(struct __test_metadata *_metadata, struct guest *g,
			  const char *parameters, const char *more)
{
	char all[120];

	guest_close(g);
	snprintf(all, sizeof(all), "%s %s", parameters, more);
	module_want(_metadata, all);
	open_guest(_metadata, g);
	set_x2apic(_metadata, g);
}

/* Neither a run nor a sleep is the worse for a moment that no clock of the host's has. */
static void expect_far_away(struct __test_metadata *_metadata, struct guest *g, __u64 deadline)
{
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_TSC_DEADLINE, deadline));
	g->page->deadline_ns = NAP_NS;
	SET_LONG(g, count_on);
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	SET_LONG(g, wait_for_one);
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	g->page->deadline_ns = DEADLINE_NS;
	/* It halts no longer. */
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
	EXPECT_EQ(VEE_ACTIVITY_HLT, g->page->events.activity);
	g->page->events.activity = VEE_ACTIVITY_ACTIVE;
	g->page->dirty |= VEE_STATE_EVENTS;
}

TEST_F(apic, timer_far_away)
{
	static const char * const timers[] = { "preemption_timer=Y", "preemption_timer=N" };
	struct guest *g = &self->g;
	unsigned int i, bit;

	/* How interrupts are delivered the host's timer doesn't know: with one way it is enough. */
	for (i = 0; i < (variant->needs ? 1 : ARRAY_SIZE(timers)); i++) {
		change_module(_metadata, g, variant->parameters, timers[i]);
		WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE);
		g->page->options = VEE_OPTION_HLT_SLEEPS;
		for (bit = 57; bit < 64; bit += 3)
			expect_far_away(_metadata, g, BIT_ULL(bit));
		expect_far_away(_metadata, g, -1ULL);
	}
}

/* Did the CPU's timer end the stay? Once in a while the host's tick comes right before. */
static bool timer_ends_stay(struct __test_metadata *_metadata, struct guest *g, __u32 msr)
{
	__u64 khz = vee_info(g->dev).tsc_khz, before = stat_of(g, EXIT_TIMER);

	for (int i = 0; i < 5; i++) {
		if (msr == MSR_TSC_DEADLINE)
			SET_WRITING(g, deadline_go_on, msr, 0);
		else
			SET_WRITING(g, count_go_on, msr, MS_NS / 4);
		g->page->regs.rbx = khz / 2;
		g->page->deadline_ns = 0;
		EXPECT_EQ(0, guest_run(g));
		EXPECT_EQ(STUB(HIGH), g->page->regs.rip);
		wrmsr(_metadata, g, EOI, 0);
		if (stat_of(g, EXIT_TIMER) > before)
			return true;
	}
	return false;
}

TEST_F(apic, timer_in_one_stay)
{
	struct guest *g = &self->g;

	if (!(vee_info(g->dev).features & VEE_FEATURE_PREEMPTION_TIMER))
		VEE_SKIP("no preemption timer");
	/* The lab has each stay end after so long. */
	change_module(_metadata, g, variant->parameters, "slice_us=0");
	WRMSR(LVT_TIMER, HIGH | LVT_DEADLINE);
	EXPECT_TRUE(timer_ends_stay(_metadata, g, MSR_TSC_DEADLINE));
	WRMSR(LVT_TIMER, HIGH);
	EXPECT_TRUE(timer_ends_stay(_metadata, g, MSR_OF(INITIAL_COUNT)));
}

TEST_HARNESS_MAIN
