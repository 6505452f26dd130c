/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of local APICs share: registers, guests that access them in both modes,
 * and the ways that a CPU can see to them, each a variant.
 */
#ifndef SELFTESTS_APIC_UTIL_H
#define SELFTESTS_APIC_UTIL_H

#include "module_util.h"

/* SDM 3A, "Local APIC Register Address Map" */
#define ID		0x020
#define VERSION		0x030
#define TPR		0x080
#define PPR		0x0a0
#define EOI		0x0b0
#define LDR		0x0d0
#define DFR		0x0e0
#define SVR		0x0f0
#define ISR		0x100
#define TMR		0x180
#define IRR		0x200
#define ESR		0x280
#define ICR		0x300
#define ICR_HIGH	0x310
#define LVT_TIMER	0x320
#define LVT_THERMAL	0x330
#define LVT_PERFORMANCE	0x340
#define LVT_LINT0	0x350
#define LVT_LINT1	0x360
#define LVT_ERROR	0x370
#define INITIAL_COUNT	0x380
#define CURRENT_COUNT	0x390
#define DIVIDE		0x3e0
#define SELF_IPI	0x3f0

#define LVT_MASKED	0x10000
#define LVT_PERIODIC	0x20000
#define LVT_DEADLINE	0x40000
#define ESR_SEND	0x20	/* illegal vector */
#define ESR_REGISTER	0x80	/* illegal register address */

#define ICR_NMI		0x00400
#define ICR_INIT	0x00500
#define ICR_SIPI	0x00600
#define ICR_LOGICAL	0x00800
#define ICR_ASSERT	0x04000
#define ICR_SELF	0x40000
#define ICR_ALL		0x80000
#define ICR_OTHERS	0xc0000

#define MSR_APIC_BASE		0x1b
#define MSR_TSC			0x10
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_OF(reg)		(0x800 + ((reg) >> 4))

#define BASE_BSP	0x100ULL
#define BASE_ENABLED	0x800ULL
#define APIC_PAGE	0xfee00000ULL
#define PAGE_IN_2M(gpa)	((gpa) >> 21 & 511)

#define LOW		0x31
#define HIGH		0x52

/* The basic exit reasons of what is done in the kernel. */
#define EXIT_WRMSR	32
#define EXIT_TIMER	52

GUEST_CODE(rdmsr_hlt, 64, "rdmsr; hlt");
GUEST_CODE(wrmsr_hlt, 64, "wrmsr; hlt");
GUEST_CODE(load_hlt, 64, "mov (%rbx), %eax; hlt");
GUEST_CODE(store_hlt, 64, "mov %eax, (%rbx); hlt");
GUEST_CODE(open_for_one, 64, "sti; nop; cli; hlt");

/* Variants: with all that the CPU sees to itself, with some of it, and with nothing. */
#define APIC_VARIANT							\
	const char *parameters;						\
	__u64 needs;							\
	bool delivers

#define APIC_ALL							\
	.parameters = "",						\
	.needs = VEE_FEATURE_INTERRUPT_DELIVERY | VEE_FEATURE_X2APIC_MODE | \
		 VEE_FEATURE_APIC_REGISTERS | VEE_FEATURE_APIC_ACCESSES, \
	.delivers = true

#define APIC_REGISTERS							\
	.parameters = "interrupt_delivery=N",				\
	.needs = VEE_FEATURE_APIC_REGISTERS

#define APIC_SHADOW							\
	.parameters = "interrupt_delivery=N apic_registers=N",		\
	.needs = VEE_FEATURE_TPR_SHADOW

#define APIC_NOTHING	.parameters = "tpr_shadow=N"

/* The module has a variant's parameters; this CPU has all that it needs. */
static inline void apic_want(struct __test_metadata *_metadata, const char *parameters,
			     __u64 needs)
{
	int dev;

	module_want(_metadata, parameters);
	dev = vee_open(_metadata);
	if (needs & ~vee_info(dev).features)
		VEE_SKIP("this CPU has not got all that");
	close(dev);
}

/* With local APICs, whose page the page tables map. */
static inline void open_guest(struct __test_metadata *_metadata, struct guest *g)
{
	guest_open_with(_metadata, g, VEE_VM_LOCAL_APIC);
	guest_write64(g, GPA_PT + 8 * PAGE_IN_2M(APIC_PAGE), APIC_PAGE | PTE_ALL | PTE_PS);
}

/* But for CR8, which is the TPR. */
static inline void set_long(struct guest *g, const unsigned char *code,
			    const unsigned char *end)
{
	__u64 cr8;

	vcpu_sync(g->vcpu, VEE_STATE_CONTROL);
	cr8 = g->page->control.cr8;
	guest_start(g, guest_set_long, code, end);
	g->page->control.cr8 = cr8;
	guest_write64(g, GPA_PDPT + 8 * (APIC_PAGE >> 30), GPA_PT | PTE_ALL);
}

#define SET_LONG(g, code)	set_long(g, code, code##_end)

/* --- what guests do --------------------------------------------------------------- */

/* RDMSR and WRMSR of the guest's; false: #GP. */
static inline bool try_rdmsr(struct __test_metadata *_metadata, struct guest *g, __u32 msr,
			     __u64 *value)
{
	SET_LONG(g, rdmsr_hlt);
	g->page->regs.rcx = msr;
	ASSERT_EQ(0, guest_run(g));
	*value = (__u32)g->page->regs.rax | g->page->regs.rdx << 32;
	return g->page->exit.reason == VEE_EXIT_HLT;
}

static inline bool try_wrmsr(struct __test_metadata *_metadata, struct guest *g, __u32 msr,
			     __u64 value)
{
	SET_LONG(g, wrmsr_hlt);
	g->page->regs.rcx = msr;
	g->page->regs.rax = (__u32)value;
	g->page->regs.rdx = value >> 32;
	ASSERT_EQ(0, guest_run(g));
	return g->page->exit.reason == VEE_EXIT_HLT;
}

static inline __u64 rdmsr(struct __test_metadata *_metadata, struct guest *g, __u32 reg)
{
	__u64 value;

	EXPECT_TRUE(try_rdmsr(_metadata, g, MSR_OF(reg), &value))
		TH_LOG("%03x: %s", reg, guest_describe(g));
	return value;
}

static inline void wrmsr(struct __test_metadata *_metadata, struct guest *g, __u32 reg,
			 __u64 value)
{
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_OF(reg), value))
		TH_LOG("%03x: %s", reg, guest_describe(g));
}

#define RDMSR(reg)		rdmsr(_metadata, &self->g, reg)
#define WRMSR(reg, value)	wrmsr(_metadata, &self->g, reg, value)

static inline void set_base(struct __test_metadata *_metadata, struct guest *g, __u64 flags)
{
	EXPECT_TRUE(try_wrmsr(_metadata, g, MSR_APIC_BASE, APIC_PAGE | flags));
}

static inline void set_x2apic(struct __test_metadata *_metadata, struct guest *g)
{
	set_base(_metadata, g, BASE_BSP | BASE_ENABLED | APIC_X2APIC);
	wrmsr(_metadata, g, SVR, APIC_SVR_ON);
}

static inline int apic_access(struct guest *g, __u32 flags, __u32 offset, __u32 *value)
{
	struct vee_apic_access access = {
		.size = sizeof(access),
		.flags = flags,
		.offset = offset,
		.value = *value,
	};
	int ret = vee_call(g->vcpu, VEE_VCPU_APIC, &access);

	*value = access.value;
	return ret;
}

static inline int apic_store(struct guest *g, __u32 offset, __u32 value)
{
	return apic_access(g, VEE_APIC_WRITE, offset, &value);
}

/* As libvee would: MMIO at the APIC's page. */
static inline bool assist(struct __test_metadata *_metadata, struct guest *g)
{
	struct vee_exit_memory *memory = &g->page->exit.memory;
	bool write = memory->access & VEE_WRITE;
	__u32 value = g->page->regs.rax;

	if (g->page->exit.reason != VEE_EXIT_MMIO)
		return false;
	EXPECT_EQ(1, memory->apic);
	EXPECT_EQ(0, apic_access(g, write ? VEE_APIC_WRITE : 0, memory->gpa & 0xfff, &value));
	if (!write)
		g->page->regs.rax = value;
	g->page->exit.instruction_length = 2;
	guest_resume_next(g);
	return true;
}

static inline __u32 load(struct __test_metadata *_metadata, struct guest *g, __u32 reg)
{
	SET_LONG(g, load_hlt);
	g->page->regs.rbx = APIC_PAGE + reg;
	do {
		ASSERT_EQ(0, guest_run(g));
	} while (assist(_metadata, g));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
	return g->page->regs.rax;
}

static inline void store(struct __test_metadata *_metadata, struct guest *g, __u32 reg,
			 __u32 value)
{
	SET_LONG(g, store_hlt);
	g->page->regs.rbx = APIC_PAGE + reg;
	g->page->regs.rax = value;
	do {
		ASSERT_EQ(0, guest_run(g));
	} while (assist(_metadata, g));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
}

#define LOAD(reg)		load(_metadata, &self->g, reg)
#define STORE(reg, value)	store(_metadata, &self->g, reg, value)

static inline int signal_vector(struct guest *g, __u32 id, __u32 data, __u32 flags)
{
	struct vee_signal signal = {
		.size = sizeof(signal),
		.flags = flags,
		.address = APIC_PAGE | id << 12,
		.data = data,
	};

	return vee_call(g->vm, VEE_VM_SIGNAL, &signal);
}

/* Opens interrupts for one instruction: which vector comes, -1: none. */
static inline int taken(struct __test_metadata *_metadata, struct guest *g)
{
	SET_LONG(g, open_for_one);
	ASSERT_EQ(0, guest_run(g));
	if (g->page->exit.reason == VEE_EXIT_HLT)
		return -1;
	EXPECT_EQ(VEE_EXIT_HYPERCALL, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
	return (g->page->regs.rip - GPA_STUBS) / 16;
}

#define TAKEN()	taken(_metadata, &self->g)

static inline __u64 stat_of(struct guest *g, unsigned int reason)
{
	struct vee_stats stats = { .size = sizeof(stats) };

	vee_call(g->vcpu, VEE_VCPU_STATS, &stats);
	return stats.exits[reason];
}
#endif /* SELFTESTS_APIC_UTIL_H */
