// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Each rule of a VM entry, broken alone in a snapshot that keeps all others: the audit
 * names it, and no other.
 */
#include "../audit/audit.h"
#include "segments.h"
#include "test.h"

/* --- a VMCS that breaks no rule ----------------------------------------------------- */

/* A CPU that has every control, of 40 and 48 address bits. */
static const struct vee_info cpu = {
	.size = sizeof(cpu),
	.vmx_misc = 4ULL << 16 | 7 << 6,	/* CR3 targets; activity states */
	.vmx_pin = ~0ULL << 32,
	.vmx_proc = ~0ULL << 32,
	.vmx_proc2 = ~0ULL << 32,
	.vmx_exit = ~0ULL << 32,
	.vmx_entry = ~0ULL << 32,
	.vmx_ept_vpid = 1 << 6 | 1 << 14,	/* four levels, write-back */
	.vmx_cr0_fixed0 = CR0_PG | CR0_NE | CR0_PE,
	.vmx_cr0_fixed1 = 0xffffffff,
	.vmx_cr4_fixed0 = 0x2000,
	.vmx_cr4_fixed1 = 0x100ffffff,
	.vmx_vmfunc = 1,
	.vmx_proc3 = 0x111f,
	.vmx_exit2 = EXIT2_LOAD_FRED | EXIT2_LOAD_SPEC_CTRL,
	.perf_global_ctrl = 0x70000000fULL,
	.phys_bits = 40,
	.linear_bits = 48,
};

struct change {
	uint32_t encoding;
	uint64_t value;
};

#define F(name, value)	{ VMCS_##name, value }

#define PIN_GOOD	(PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS)
#define PROC_GOOD	(PROC_SECONDARY_CONTROLS | PROC_USE_MSR_BITMAPS)
#define PROC2_GOOD	(PROC2_EPT | PROC2_UNRESTRICTED_GUEST)
#define EXIT_GOOD	(EXIT_HOST_64BIT | EXIT_LOAD_EFER | EXIT_LOAD_PAT)
#define ENTRY_32	(ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_LOAD_EFER | ENTRY_LOAD_PAT)
#define ENTRY_GOOD	(ENTRY_32 | ENTRY_IA32E_GUEST)

#define NONCANONICAL	0x0000800000000000ULL
#define TOO_WIDE	0x0001000000000000ULL	/* to be in RIP */
#define TOO_HIGH	(1ULL << 40)
#define KERNEL		0xffff888000000000ULL

#define CODE		0xa09b
#define DATA		0xc093
#define TSS		0x8b
#define LDT		0x82
#define FLAT		0xffffffff

#define SELECTOR(S, value)	F(GUEST_##S##_SELECTOR, value)
#define BASE_OF(S, value)	F(GUEST_##S##_BASE, value)
#define LIMIT(S, value)		F(GUEST_##S##_LIMIT, value)
#define RIGHTS(S, value)	F(GUEST_##S##_ACCESS_RIGHTS, value)

/* The host's side, and a guest in 64-bit mode. */
static const struct change in_64bit[] = {
	F(PIN_CONTROLS, PIN_GOOD), F(PROC_CONTROLS, PROC_GOOD), F(PROC2_CONTROLS, PROC2_GOOD),
	F(EXIT_CONTROLS, EXIT_GOOD), F(ENTRY_CONTROLS, ENTRY_GOOD),
	F(EPTP, 0x101e), F(MSR_BITMAP, 0x2000), F(VMCS_LINK_POINTER, ~0ULL),
	F(HOST_CR0, 0x80050033), F(HOST_CR3, 0x3000), F(HOST_CR4, 0x20a0), F(HOST_EFER, 0xd01),
	F(HOST_PAT, 0x0007040600070406ULL), F(HOST_CS_SELECTOR, 0x10), F(HOST_SS_SELECTOR, 0x18),
	F(HOST_TR_SELECTOR, 0x40), F(HOST_GS_BASE, KERNEL), F(HOST_TR_BASE, KERNEL),
	F(HOST_GDTR_BASE, KERNEL), F(HOST_IDTR_BASE, KERNEL), F(HOST_SYSENTER_ESP, KERNEL),
	F(HOST_SYSENTER_EIP, KERNEL), F(HOST_RSP, KERNEL), F(HOST_RIP, 0xffffffff81000000ULL),
	F(GUEST_CR0, 0x80050033), F(GUEST_CR3, 0x4000), F(GUEST_CR4, 0x2020),
	F(GUEST_EFER, 0x500), F(GUEST_PAT, 0x0007040600070406ULL), F(GUEST_DR7, 0x400),
	F(GUEST_RFLAGS, 2), F(GUEST_RIP, 0x1000),
	SELECTOR(CS, 8), LIMIT(CS, FLAT), RIGHTS(CS, CODE),
	SELECTOR(SS, 16), LIMIT(SS, FLAT), RIGHTS(SS, DATA),
	SELECTOR(DS, 16), LIMIT(DS, FLAT), RIGHTS(DS, DATA),
	SELECTOR(ES, 16), LIMIT(ES, FLAT), RIGHTS(ES, DATA),
	SELECTOR(FS, 16), LIMIT(FS, FLAT), RIGHTS(FS, DATA),
	SELECTOR(GS, 16), LIMIT(GS, FLAT), RIGHTS(GS, DATA),
	F(GUEST_TR_SELECTOR, 24), F(GUEST_TR_LIMIT, 0x67), F(GUEST_TR_ACCESS_RIGHTS, TSS),
	F(GUEST_LDTR_LIMIT, 0xfff), F(GUEST_LDTR_ACCESS_RIGHTS, VEE_AR_UNUSABLE),
};

static const struct change in_pae[] = {
	F(ENTRY_CONTROLS, ENTRY_32), F(GUEST_EFER, 0), F(GUEST_CS_ACCESS_RIGHTS, 0xc09b),
	F(GUEST_PDPTE0, 0x5001), F(GUEST_PDPTE3, 0x6001),
};

static const struct change in_v86[] = {
	F(ENTRY_CONTROLS, ENTRY_32), F(GUEST_EFER, 0), F(GUEST_CR4, 0x2000),
	F(GUEST_RFLAGS, 0x20002),
	SELECTOR(CS, 0x100), BASE_OF(CS, 0x1000), LIMIT(CS, 0xffff), RIGHTS(CS, 0xf3),
	SELECTOR(SS, 0x100), BASE_OF(SS, 0x1000), LIMIT(SS, 0xffff), RIGHTS(SS, 0xf3),
	SELECTOR(DS, 0x100), BASE_OF(DS, 0x1000), LIMIT(DS, 0xffff), RIGHTS(DS, 0xf3),
	SELECTOR(ES, 0x100), BASE_OF(ES, 0x1000), LIMIT(ES, 0xffff), RIGHTS(ES, 0xf3),
	SELECTOR(FS, 0x100), BASE_OF(FS, 0x1000), LIMIT(FS, 0xffff), RIGHTS(FS, 0xf3),
	SELECTOR(GS, 0x100), BASE_OF(GS, 0x1000), LIMIT(GS, 0xffff), RIGHTS(GS, 0xf3),
};

static const struct change in_real[] = {
	F(ENTRY_CONTROLS, ENTRY_32), F(GUEST_EFER, 0), F(GUEST_CR4, 0x2000),
	F(GUEST_CR0, 0x30), F(GUEST_CS_ACCESS_RIGHTS, 0xc09b),
};

/* Without "unrestricted guest", which some rules take. */
static const struct change in_restricted[] = { F(PROC2_CONTROLS, PROC2_EPT) };

static const struct change with_tpr_shadow[] = {
	F(PROC_CONTROLS, PROC_GOOD | PROC_TPR_SHADOW), F(VIRTUAL_APIC_ADDRESS, 0x7000),
};

static const struct change with_posted[] = {
	F(PROC_CONTROLS, PROC_GOOD | PROC_TPR_SHADOW), F(VIRTUAL_APIC_ADDRESS, 0x7000),
	F(PROC2_CONTROLS, PROC2_GOOD | PROC2_VIRTUAL_INTERRUPT_DELIVERY),
	F(PIN_CONTROLS, PIN_GOOD | PIN_POSTED_INTERRUPTS),
	F(EXIT_CONTROLS, EXIT_GOOD | EXIT_ACK_INTERRUPT),
};

static const struct change with_tertiary[] = {
	F(PROC_CONTROLS, PROC_GOOD | PROC_TERTIARY_CONTROLS | PROC_TPR_SHADOW),
	F(VIRTUAL_APIC_ADDRESS, 0x7000),
};

static const struct change with_fred[] = {
	F(GUEST_CR4, 0x100002020), F(ENTRY_CONTROLS, ENTRY_GOOD | ENTRY_LOAD_FRED),
	F(EXIT_CONTROLS, EXIT_GOOD | EXIT_SECONDARY_CONTROLS), F(EXIT2_CONTROLS, EXIT2_LOAD_FRED),
	F(GUEST_FRED_CONFIG, KERNEL | 0x1), F(HOST_FRED_CONFIG, KERNEL | 0x600),
	F(GUEST_FRED_RSP1, KERNEL), F(HOST_FRED_SSP3, KERNEL | 8),
};

struct base {
	const char *name;
	const struct change *changes;
	size_t count;
};

#define BASE(name) { #name, name, sizeof(name) / sizeof(*(name)) }

static const struct base bases[] = {
	BASE(in_64bit), BASE(in_pae), BASE(in_v86), BASE(in_real), BASE(in_restricted),
	BASE(with_tpr_shadow), BASE(with_posted), BASE(with_tertiary), BASE(with_fred),
};

enum { LONG, PAE, V86, REAL, RESTRICTED, TPR, POSTED, TERTIARY, FRED, BASES };

#define VMCS_FIELD(name, encoding, width, group, description) { encoding, 0, 0 },
static const struct vee_vmcs_value empty[] = VMCS_FIELDS;
#undef VMCS_FIELD

static struct vee_vmcs_value vmcs[VMCS_FIELD_COUNT];

static struct vee_vmcs_value *field(uint32_t encoding)
{
	for (size_t i = 0; i < VMCS_FIELD_COUNT; i++)
		if (vmcs[i].encoding == encoding)
			return &vmcs[i];
	abort();
}

static void apply(const struct change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		field(changes[i].encoding)->value = changes[i].value;
}

static void begin(unsigned int base)
{
	memcpy(vmcs, empty, sizeof(vmcs));
	apply(bases[LONG].changes, bases[LONG].count);
	if (base != LONG)
		apply(bases[base].changes, bases[base].count);
}

#define ROOM	8

/* As docs/audit.md says. */
#define RULE_COUNT	309

static struct vee_broken_rule broken[ROOM];
static unsigned int unjudged;

static int audit(void)
{
	memset(broken, 0, sizeof(broken));
	return vee_audit(&cpu, vmcs, VMCS_FIELD_COUNT, broken, ROOM, &unjudged);
}

/* --- the breakages ------------------------------------------------------------------- */

#define CHANGES	8

struct breakage {
	const char *rule;
	unsigned int base;
	struct change changes[CHANGES];	/* ended by one of encoding 0 after the first */
};

#define IN(base, rule, ...)	{ #rule, base, { __VA_ARGS__ } }
#define BREAK(rule, ...)	IN(LONG, rule, __VA_ARGS__)

#define WITH_PROC(bit)	F(PROC_CONTROLS, PROC_GOOD | PROC_##bit)
#define WITH_PROC2(bit)	F(PROC2_CONTROLS, PROC2_GOOD | PROC2_##bit)
#define ONLY_PROC3(bit)	F(PROC3_CONTROLS, PROC3_##bit)
#define WITH_PIN(bit)	F(PIN_CONTROLS, PIN_GOOD | PIN_##bit)
#define WITH_EXIT(bit)	F(EXIT_CONTROLS, EXIT_GOOD | EXIT_##bit)
#define WITH_ENTRY(bit)	F(ENTRY_CONTROLS, ENTRY_GOOD | ENTRY_##bit)
#define ONLY_PROC2(bit)	F(PROC2_CONTROLS, PROC2_##bit)
#define INJECT(info)	F(ENTRY_INTERRUPTION_INFO, 0x80000000U | (info))

#define HOST_SELECTOR(S)	BREAK(HOST_##S##_SELECTOR, F(HOST_##S##_SELECTOR, 0x44))
#define HOST_BASE(S)		BREAK(HOST_##S##_BASE, F(HOST_##S##_BASE, NONCANONICAL))

static const struct breakage breakages[] = {
	/* VM-execution controls */
	IN(TERTIARY, PROC3_ALLOWED, F(PROC3_CONTROLS, 0x20)),
	BREAK(CR3_TARGET_COUNT, F(CR3_TARGET_COUNT, 5)),
	BREAK(IO_BITMAP_A, WITH_PROC(USE_IO_BITMAPS), F(IO_BITMAP_A, 0x800)),
	BREAK(IO_BITMAP_B, WITH_PROC(USE_IO_BITMAPS), F(IO_BITMAP_B, TOO_HIGH)),
	BREAK(MSR_BITMAP, F(MSR_BITMAP, 0x2008)),
	BREAK(VIRTUAL_APIC, WITH_PROC(TPR_SHADOW), F(VIRTUAL_APIC_ADDRESS, TOO_HIGH)),
	IN(TPR, TPR_THRESHOLD, F(TPR_THRESHOLD, 16)),
	BREAK(VIRTUAL_NMIS, F(PIN_CONTROLS, PIN_GOOD & ~PIN_NMI_EXITING)),
	BREAK(NMI_WINDOW, F(PIN_CONTROLS, PIN_GOOD & ~PIN_VIRTUAL_NMIS),
	      WITH_PROC(NMI_WINDOW_EXITING)),
	BREAK(APIC_ACCESS, WITH_PROC2(VIRTUALIZE_APIC_ACCESSES), F(APIC_ACCESS_ADDRESS, 1)),
	BREAK(X2APIC_TPR_SHADOW, WITH_PROC2(VIRTUALIZE_X2APIC_MODE)),
	BREAK(APIC_REGISTERS_TPR_SHADOW, WITH_PROC2(APIC_REGISTER_VIRTUALIZATION)),
	BREAK(INTERRUPT_DELIVERY_TPR_SHADOW, WITH_PROC2(VIRTUAL_INTERRUPT_DELIVERY)),
	IN(TERTIARY, IPI_TPR_SHADOW, WITH_PROC(TERTIARY_CONTROLS), ONLY_PROC3(IPI_VIRTUALIZATION)),
	IN(TPR, X2APIC_APIC_ACCESSES, F(PROC2_CONTROLS, PROC2_GOOD |
	   PROC2_VIRTUALIZE_X2APIC_MODE | PROC2_VIRTUALIZE_APIC_ACCESSES)),
	IN(TPR, INTERRUPT_DELIVERY_EXITING, WITH_PROC2(VIRTUAL_INTERRUPT_DELIVERY),
	   F(PIN_CONTROLS, PIN_GOOD & ~PIN_EXTERNAL_INTERRUPT_EXITING)),
	BREAK(POSTED_INTERRUPT_DELIVERY, WITH_PIN(POSTED_INTERRUPTS), WITH_EXIT(ACK_INTERRUPT)),
	IN(POSTED, POSTED_INTERRUPT_ACK, F(EXIT_CONTROLS, EXIT_GOOD)),
	IN(POSTED, POSTED_INTERRUPT_VECTOR, F(POSTED_INTERRUPT_VECTOR, 256)),
	IN(POSTED, POSTED_INTERRUPT_ALIGNED, F(POSTED_INTERRUPT_DESCRIPTOR, 32)),
	IN(POSTED, POSTED_INTERRUPT_WIDTH, F(POSTED_INTERRUPT_DESCRIPTOR, TOO_HIGH)),
	BREAK(VPID, WITH_PROC2(VPID)),
	BREAK(EPTP_TYPE, F(EPTP, 0x101c)),
	BREAK(EPTP_TYPE, F(EPTP, 0x1018)),
	BREAK(EPTP_WALK, F(EPTP, 0x1026)),
	BREAK(EPTP_WALK, F(EPTP, 0x1016)),
	BREAK(EPTP_AD, F(EPTP, 0x105e)),
	BREAK(EPTP_SHADOW_STACK, F(EPTP, 0x109e)),
	BREAK(EPTP_RESERVED, F(EPTP, 0x181e)),
	BREAK(EPTP_WIDTH, F(EPTP, 0x101e | TOO_HIGH)),
	BREAK(PML_EPT, ONLY_PROC2(PML)),
	BREAK(PML_ADDRESS, WITH_PROC2(PML), F(PML_ADDRESS, 0x123)),
	BREAK(UNRESTRICTED_GUEST_EPT, ONLY_PROC2(UNRESTRICTED_GUEST)),
	BREAK(MODE_BASED_EXECUTE_EPT, ONLY_PROC2(MODE_BASED_EXECUTE)),
	BREAK(SUB_PAGE_EPT, ONLY_PROC2(SUB_PAGE_PERMISSIONS)),
	BREAK(SUB_PAGE_TABLE, WITH_PROC2(SUB_PAGE_PERMISSIONS), F(SPP_TABLE_POINTER, TOO_HIGH)),
	BREAK(VE_INFORMATION, WITH_PROC2(EPT_VIOLATION_VE), F(VE_INFORMATION_ADDRESS, 8)),
	BREAK(PT_EPT, ONLY_PROC2(PT_GUEST_PHYSICAL), WITH_ENTRY(LOAD_RTIT_CTL),
	      WITH_EXIT(CLEAR_RTIT_CTL)),
	BREAK(PT_LOAD, WITH_PROC2(PT_GUEST_PHYSICAL), WITH_EXIT(CLEAR_RTIT_CTL)),
	BREAK(PT_CLEAR, WITH_PROC2(PT_GUEST_PHYSICAL), WITH_ENTRY(LOAD_RTIT_CTL)),
	BREAK(VM_FUNCTIONS, WITH_PROC2(VM_FUNCTIONS), F(VM_FUNCTION_CONTROLS, 2)),
	BREAK(EPTP_SWITCHING_EPT, ONLY_PROC2(VM_FUNCTIONS), F(VM_FUNCTION_CONTROLS, 1)),
	BREAK(EPTP_LIST, WITH_PROC2(VM_FUNCTIONS), F(VM_FUNCTION_CONTROLS, 1),
	      F(EPTP_LIST_ADDRESS, 0x800)),
	BREAK(VMREAD_BITMAP, WITH_PROC2(VMCS_SHADOWING), F(VMREAD_BITMAP, 1)),
	BREAK(VMWRITE_BITMAP, WITH_PROC2(VMCS_SHADOWING), F(VMWRITE_BITMAP, TOO_HIGH)),
	BREAK(LOW_PASID, WITH_PROC2(PASID_TRANSLATION), F(LOW_PASID_DIRECTORY, 1)),
	BREAK(HIGH_PASID, WITH_PROC2(PASID_TRANSLATION), F(HIGH_PASID_DIRECTORY, TOO_HIGH)),
	BREAK(TSC_MULTIPLIER, WITH_PROC2(TSC_SCALING)),
	IN(TERTIARY, HLAT_EPT, ONLY_PROC2(RDTSCP), ONLY_PROC3(HLAT)),
	IN(TERTIARY, HLATP_WIDTH, ONLY_PROC3(HLAT), F(HLATP, TOO_HIGH)),
	IN(TERTIARY, HLATP_RESERVED, ONLY_PROC3(HLAT), F(HLATP, 0x20)),
	IN(TERTIARY, PAGING_WRITE_EPT, ONLY_PROC2(RDTSCP), ONLY_PROC3(PAGING_WRITE)),
	IN(TERTIARY, PAGING_VERIFY_EPT, ONLY_PROC2(RDTSCP), ONLY_PROC3(PAGING_VERIFY)),
	IN(TERTIARY, PEBS_EPT, ONLY_PROC2(RDTSCP), ONLY_PROC3(PEBS_GUEST_PHYSICAL)),
	IN(TERTIARY, TIMER_DELIVERY, ONLY_PROC3(APIC_TIMER)),
	IN(TERTIARY, TIMER_RDTSC, WITH_PROC2(VIRTUAL_INTERRUPT_DELIVERY), ONLY_PROC3(APIC_TIMER),
	   F(PROC_CONTROLS, PROC_GOOD | PROC_TERTIARY_CONTROLS | PROC_TPR_SHADOW |
	     PROC_RDTSC_EXITING)),
	IN(TERTIARY, TIMER_VECTOR, WITH_PROC2(VIRTUAL_INTERRUPT_DELIVERY), ONLY_PROC3(APIC_TIMER),
	   F(VIRTUAL_TIMER_VECTOR, 256)),
	IN(TERTIARY, PID_TABLE_ALIGNED, ONLY_PROC3(IPI_VIRTUALIZATION), F(PID_POINTER_TABLE, 4)),
	IN(TERTIARY, PID_TABLE_WIDTH, ONLY_PROC3(IPI_VIRTUALIZATION),
	   F(PID_POINTER_TABLE, TOO_HIGH - 8), F(LAST_PID_POINTER_INDEX, 1)),
	/* VM-exit controls */
	BREAK(EXIT2_ALLOWED, WITH_EXIT(SECONDARY_CONTROLS), F(EXIT2_CONTROLS, 1)),
	BREAK(EXIT_SAVE_TIMER, WITH_EXIT(SAVE_PREEMPTION_TIMER)),
	BREAK(EXIT_MSR_STORE_ALIGNED, F(EXIT_MSR_STORE_COUNT, 1), F(EXIT_MSR_STORE_ADDRESS, 8)),
	BREAK(EXIT_MSR_STORE_WIDTH, F(EXIT_MSR_STORE_COUNT, 2),
	      F(EXIT_MSR_STORE_ADDRESS, TOO_HIGH - 16)),
	BREAK(EXIT_MSR_LOAD_ALIGNED, F(EXIT_MSR_LOAD_COUNT, 1), F(EXIT_MSR_LOAD_ADDRESS, 1)),
	BREAK(EXIT_MSR_LOAD_WIDTH, F(EXIT_MSR_LOAD_COUNT, 1), F(EXIT_MSR_LOAD_ADDRESS, TOO_HIGH)),
	/* VM-entry controls */
	BREAK(EVENT_TYPE, INJECT(0x120)),
	BREAK(EVENT_VECTOR, INJECT(0x203)),
	BREAK(EVENT_VECTOR, INJECT(0x320)),
	BREAK(EVENT_VECTOR, INJECT(0x701)),
	BREAK(EVENT_ERROR_CODE, INJECT(0x30d)),
	BREAK(EVENT_ERROR_CODE, INJECT(0xb06)),
	BREAK(EVENT_ERROR_CODE, INJECT(0xc20), F(ENTRY_INSTRUCTION_LENGTH, 2)),
	IN(REAL, EVENT_ERROR_CODE, INJECT(0xb0d)),
	BREAK(EVENT_RESERVED, INJECT(0x1302)),
	BREAK(EVENT_CODE_WIDTH, INJECT(0xb0d), F(ENTRY_EXCEPTION_ERROR_CODE, 0x10000)),
	BREAK(EVENT_LENGTH, INJECT(0x420), F(ENTRY_INSTRUCTION_LENGTH, 16)),
	BREAK(EVENT_LENGTH, INJECT(0x603)),
	IN(FRED, EVENT_LENGTH, INJECT(0x701)),
	IN(FRED, EVENT_VECTOR, INJECT(0x703)),
	BREAK(ENTRY_MSR_LOAD_ALIGNED, F(ENTRY_MSR_LOAD_COUNT, 1), F(ENTRY_MSR_LOAD_ADDRESS, 4)),
	BREAK(ENTRY_MSR_LOAD_WIDTH, F(ENTRY_MSR_LOAD_COUNT, 1),
	      F(ENTRY_MSR_LOAD_ADDRESS, TOO_HIGH)),
	BREAK(ENTRY_TO_SMM, WITH_ENTRY(TO_SMM), F(GUEST_INTERRUPTIBILITY, 4)),
	BREAK(ENTRY_DUAL_MONITOR, WITH_ENTRY(DEACTIVATE_DUAL_MONITOR)),
	/* The host */
	BREAK(HOST_CR0_FIXED0, F(HOST_CR0, 0x80050013)),
	BREAK(HOST_CR0_FIXED1, F(HOST_CR0, 0x180050033)),
	BREAK(HOST_CR4_FIXED0, F(HOST_CR4, 0xa0)),
	BREAK(HOST_CR4_FIXED1, F(HOST_CR4, 0x010020a0)),
	BREAK(HOST_CR4_CET, F(HOST_CR4, 0x8020a0), F(HOST_CR0, 0x80040033)),
	BREAK(HOST_CR3_WIDTH, F(HOST_CR3, TOO_HIGH)),
	BREAK(HOST_SYSENTER_ESP, F(HOST_SYSENTER_ESP, NONCANONICAL)),
	BREAK(HOST_SYSENTER_EIP, F(HOST_SYSENTER_EIP, NONCANONICAL)),
	BREAK(HOST_PERF_GLOBAL_CTRL, WITH_EXIT(LOAD_PERF_GLOBAL_CTRL),
	      F(HOST_PERF_GLOBAL_CTRL, 0x10)),
	BREAK(HOST_PAT, F(HOST_PAT, 0x0207040600070406ULL)),
	BREAK(HOST_EFER_RESERVED, F(HOST_EFER, 0xd03)),
	BREAK(HOST_EFER_LMA, F(HOST_EFER, 0x901)),
	BREAK(HOST_EFER_LME, F(HOST_EFER, 0xc01)),
	BREAK(HOST_S_CET, WITH_EXIT(LOAD_CET), F(HOST_S_CET, 0x40)),
	BREAK(HOST_S_CET, WITH_EXIT(LOAD_CET), F(HOST_S_CET, 0xc00)),
	BREAK(HOST_S_CET_CANONICAL, WITH_EXIT(LOAD_CET), F(HOST_S_CET, NONCANONICAL)),
	BREAK(HOST_SSP_ALIGNED, WITH_EXIT(LOAD_CET), F(HOST_SSP, 2)),
	BREAK(HOST_SSP_CANONICAL, WITH_EXIT(LOAD_CET), F(HOST_SSP, NONCANONICAL)),
	BREAK(HOST_SSP_TABLE, WITH_EXIT(LOAD_CET), F(HOST_SSP_TABLE, NONCANONICAL)),
	BREAK(HOST_SPEC_CTRL, WITH_EXIT(SECONDARY_CONTROLS),
	      F(EXIT2_CONTROLS, EXIT2_LOAD_SPEC_CTRL), F(HOST_SPEC_CTRL, 0x800)),
	BREAK(HOST_PKRS, WITH_EXIT(LOAD_PKRS), F(HOST_PKRS, 1ULL << 32)),
	HOST_SELECTOR(ES),
	HOST_SELECTOR(CS),
	HOST_SELECTOR(SS),
	HOST_SELECTOR(DS),
	HOST_SELECTOR(FS),
	HOST_SELECTOR(GS),
	HOST_SELECTOR(TR),
	BREAK(HOST_CS_NULL, F(HOST_CS_SELECTOR, 0)),
	BREAK(HOST_TR_NULL, F(HOST_TR_SELECTOR, 0)),
	HOST_BASE(FS),
	HOST_BASE(GS),
	HOST_BASE(GDTR),
	HOST_BASE(IDTR),
	HOST_BASE(TR),
	BREAK(HOST_64BIT_PAE, F(HOST_CR4, 0x2080)),
	BREAK(HOST_64BIT_RIP, F(HOST_RIP, NONCANONICAL)),
	/* The guest's registers */
	BREAK(GUEST_CR0_FIXED0, F(GUEST_CR0, 0x80050013)),
	BREAK(GUEST_CR0_FIXED1, F(GUEST_CR0, 0x180050033)),
	IN(REAL, GUEST_CR0_PG, F(GUEST_CR0, 0x80000030)),
	BREAK(GUEST_CR4_FIXED0, F(GUEST_CR4, 0x20)),
	BREAK(GUEST_CR4_FIXED1, F(GUEST_CR4, 0x01002020)),
	BREAK(GUEST_CR4_CET, F(GUEST_CR4, 0x802020), F(GUEST_CR0, 0x80040033)),
	BREAK(GUEST_DEBUGCTL, F(GUEST_DEBUGCTL, 8)),
	BREAK(GUEST_DEBUGCTL, F(GUEST_DEBUGCTL, 4)),
	BREAK(GUEST_64BIT_PG, F(GUEST_CR0, 0x50033)),
	BREAK(GUEST_64BIT_PAE, F(GUEST_CR4, 0x2000)),
	IN(PAE, GUEST_32BIT_PCIDE, F(GUEST_CR4, 0x22020)),
	BREAK(GUEST_CR3_WIDTH, F(GUEST_CR3, TOO_HIGH)),
	BREAK(GUEST_DR7, F(GUEST_DR7, 1ULL << 32 | 0x400)),
	BREAK(GUEST_SYSENTER_ESP, F(GUEST_SYSENTER_ESP, NONCANONICAL)),
	BREAK(GUEST_SYSENTER_EIP, F(GUEST_SYSENTER_EIP, NONCANONICAL)),
	BREAK(GUEST_PERF_GLOBAL_CTRL, WITH_ENTRY(LOAD_PERF_GLOBAL_CTRL),
	      F(GUEST_PERF_GLOBAL_CTRL, 1ULL << 63)),
	BREAK(GUEST_PAT, F(GUEST_PAT, 0x0007040600070403ULL)),
	BREAK(GUEST_PAT, F(GUEST_PAT, 0x0007040600070409ULL)),
	BREAK(GUEST_EFER_RESERVED, F(GUEST_EFER, 0x1500)),
	BREAK(GUEST_EFER_LMA, F(GUEST_EFER, 0)),
	BREAK(GUEST_EFER_LME, F(GUEST_EFER, 0x400)),
	BREAK(GUEST_BNDCFGS_RESERVED, WITH_ENTRY(LOAD_BNDCFGS), F(GUEST_BNDCFGS, 4)),
	BREAK(GUEST_BNDCFGS_BASE, WITH_ENTRY(LOAD_BNDCFGS), F(GUEST_BNDCFGS, NONCANONICAL)),
	BREAK(GUEST_RTIT_CTL, WITH_ENTRY(LOAD_RTIT_CTL), F(GUEST_RTIT_CTL, 1 << 18)),
	BREAK(GUEST_S_CET, WITH_ENTRY(LOAD_CET), F(GUEST_S_CET, 0x200)),
	BREAK(GUEST_S_CET_CANONICAL, WITH_ENTRY(LOAD_CET), F(GUEST_S_CET, NONCANONICAL)),
	BREAK(GUEST_SSP_TABLE, WITH_ENTRY(LOAD_CET), F(GUEST_SSP_TABLE, NONCANONICAL)),
	BREAK(GUEST_LBR_CTL, WITH_ENTRY(LOAD_LBR_CTL), F(GUEST_LBR_CTL, 0x10)),
	BREAK(GUEST_PKRS, WITH_ENTRY(LOAD_PKRS), F(GUEST_PKRS, 1ULL << 32)),
	BREAK(GUEST_SPEC_CTRL, WITH_ENTRY(LOAD_SPEC_CTRL), F(GUEST_SPEC_CTRL, 0x200)),
	BREAK(GUEST_SPEC_CTRL, WITH_ENTRY(LOAD_SPEC_CTRL), F(GUEST_SPEC_CTRL, 1ULL << 63)),
	BREAK(GUEST_UINV, WITH_ENTRY(LOAD_UINV), F(GUEST_UINV, 256)),
	/* Its segments */
	BREAK(GUEST_TR_TI, F(GUEST_TR_SELECTOR, 28)),
	BREAK(GUEST_LDTR_TI, F(GUEST_LDTR_SELECTOR, 4), F(GUEST_LDTR_ACCESS_RIGHTS, LDT)),
	IN(RESTRICTED, GUEST_SS_RPL, F(GUEST_CS_SELECTOR, 11)),
	BREAK(GUEST_TR_BASE, BASE_OF(TR, NONCANONICAL)),
	BREAK(GUEST_FS_BASE, BASE_OF(FS, NONCANONICAL)),
	BREAK(GUEST_GS_BASE, BASE_OF(GS, NONCANONICAL)),
	BREAK(GUEST_LDTR_BASE, F(GUEST_LDTR_BASE, NONCANONICAL), F(GUEST_LDTR_ACCESS_RIGHTS, LDT)),
	BREAK(GUEST_CS_BASE, BASE_OF(CS, 1ULL << 32)),
	BREAK(GUEST_SS_BASE, BASE_OF(SS, 1ULL << 32)),
	BREAK(GUEST_DS_BASE, BASE_OF(DS, KERNEL)),
	BREAK(GUEST_ES_BASE, BASE_OF(ES, KERNEL)),
	BREAK(GUEST_CS_TYPE, F(GUEST_CS_ACCESS_RIGHTS, 0xa09a)),
	IN(RESTRICTED, GUEST_CS_TYPE, F(GUEST_CS_ACCESS_RIGHTS, 0xc093)),
	BREAK(GUEST_CS_DPL, F(GUEST_CS_ACCESS_RIGHTS, 0xa0fb)),
	BREAK(GUEST_CS_DPL, F(GUEST_CS_ACCESS_RIGHTS, 0xa0ff)),
	IN(PAE, GUEST_CS_DPL, F(GUEST_CS_ACCESS_RIGHTS, 0xc0f3)),
	BREAK(GUEST_CS_DB, F(GUEST_CS_ACCESS_RIGHTS, 0xe09b)),
	BREAK(GUEST_SS_TYPE, F(GUEST_SS_ACCESS_RIGHTS, 0xc091)),
	IN(RESTRICTED, GUEST_SS_DPL_RPL, F(GUEST_SS_SELECTOR, 19), F(GUEST_CS_SELECTOR, 11)),
	IN(REAL, GUEST_SS_DPL_0, F(GUEST_SS_ACCESS_RIGHTS, 0xc0f3),
	   F(GUEST_CS_ACCESS_RIGHTS, 0xc0fb)),
	IN(PAE, GUEST_SS_DPL_0, F(GUEST_SS_ACCESS_RIGHTS, 0xc0f3),
	   F(GUEST_CS_ACCESS_RIGHTS, 0xc093)),
	BREAK(GUEST_TR_TYPE, F(GUEST_TR_ACCESS_RIGHTS, 0x89)),
	BREAK(GUEST_TR_TYPE, F(GUEST_TR_ACCESS_RIGHTS, 0x83)),
	BREAK(GUEST_TR_USABLE, F(GUEST_TR_ACCESS_RIGHTS, 0x1008b)),
	BREAK(GUEST_LDTR_TYPE, F(GUEST_LDTR_ACCESS_RIGHTS, 0x83)),
	/* Descriptor tables, RIP, RFLAGS, SSP */
	BREAK(GUEST_GDTR_BASE, F(GUEST_GDTR_BASE, NONCANONICAL)),
	BREAK(GUEST_GDTR_LIMIT, F(GUEST_GDTR_LIMIT, 0x10000)),
	BREAK(GUEST_IDTR_BASE, F(GUEST_IDTR_BASE, NONCANONICAL)),
	BREAK(GUEST_IDTR_LIMIT, F(GUEST_IDTR_LIMIT, 0x80000000)),
	IN(PAE, GUEST_RIP_32, F(GUEST_RIP, 1ULL << 32)),
	BREAK(GUEST_RIP_32, F(GUEST_RIP, KERNEL), F(GUEST_CS_ACCESS_RIGHTS, 0xc09b)),
	BREAK(GUEST_RIP_CANONICAL, F(GUEST_RIP, TOO_WIDE)),
	BREAK(GUEST_RFLAGS_RESERVED, F(GUEST_RFLAGS, 0x8002)),
	BREAK(GUEST_RFLAGS_1, F(GUEST_RFLAGS, 0)),
	BREAK(GUEST_RFLAGS_VM_64, F(GUEST_RFLAGS, 0x20002)),
	IN(REAL, GUEST_RFLAGS_VM_REAL, F(GUEST_RFLAGS, 0x20002)),
	BREAK(GUEST_RFLAGS_IF, INJECT(0x20)),
	BREAK(GUEST_SSP_ALIGNED, WITH_ENTRY(LOAD_CET), F(GUEST_SSP, 1)),
	IN(PAE, GUEST_SSP_32, F(ENTRY_CONTROLS, ENTRY_32 | ENTRY_LOAD_CET),
	   F(GUEST_SSP, 1ULL << 32)),
	BREAK(GUEST_SSP_CANONICAL, WITH_ENTRY(LOAD_CET), F(GUEST_SSP, TOO_WIDE)),
	/* What is no register */
	BREAK(ACTIVITY, F(GUEST_ACTIVITY, 4)),
	BREAK(ACTIVITY_HLT_DPL, F(GUEST_ACTIVITY, 1), F(GUEST_SS_ACCESS_RIGHTS, 0xc0f3),
	      F(GUEST_CS_ACCESS_RIGHTS, 0xa0fb)),
	BREAK(ACTIVITY_BLOCKING, F(GUEST_ACTIVITY, 1), F(GUEST_INTERRUPTIBILITY, 2)),
	BREAK(ACTIVITY_EVENT, F(GUEST_ACTIVITY, 1), INJECT(0x306)),
	BREAK(ACTIVITY_EVENT, F(GUEST_ACTIVITY, 2), INJECT(0x20), F(GUEST_RFLAGS, 0x202)),
	BREAK(ACTIVITY_EVENT, F(GUEST_ACTIVITY, 3), INJECT(0x202)),
	BREAK(BLOCKING_RESERVED, F(GUEST_INTERRUPTIBILITY, 0x20)),
	BREAK(BLOCKING_BOTH, F(GUEST_INTERRUPTIBILITY, 3)),
	BREAK(BLOCKING_STI_IF, F(GUEST_INTERRUPTIBILITY, 1)),
	BREAK(BLOCKING_EXTERNAL, F(GUEST_INTERRUPTIBILITY, 2), INJECT(0x20),
	      F(GUEST_RFLAGS, 0x202)),
	BREAK(BLOCKING_NMI_MOV_SS, F(GUEST_INTERRUPTIBILITY, 2), INJECT(0x202)),
	BREAK(BLOCKING_NMI_STI, F(GUEST_INTERRUPTIBILITY, 1), INJECT(0x202),
	      F(GUEST_RFLAGS, 0x202)),
	BREAK(BLOCKING_NMI, F(GUEST_INTERRUPTIBILITY, 8), INJECT(0x202)),
	BREAK(BLOCKING_SMI, F(GUEST_INTERRUPTIBILITY, 4)),
	BREAK(BLOCKING_ENCLAVE, F(GUEST_INTERRUPTIBILITY, 0x10)),
	BREAK(PENDING_RESERVED, F(GUEST_PENDING_DEBUG, 0x10)),
	BREAK(PENDING_RESERVED, F(GUEST_PENDING_DEBUG, 0x800)),
	BREAK(PENDING_STEP, F(GUEST_INTERRUPTIBILITY, 2), F(GUEST_RFLAGS, 0x102)),
	BREAK(PENDING_NO_STEP, F(GUEST_INTERRUPTIBILITY, 2), F(GUEST_PENDING_DEBUG, 0x4000)),
	BREAK(PENDING_NO_STEP, F(GUEST_INTERRUPTIBILITY, 2), F(GUEST_PENDING_DEBUG, 0x4000),
	      F(GUEST_RFLAGS, 0x102), F(GUEST_DEBUGCTL, 2)),
	BREAK(PENDING_RTM, F(GUEST_PENDING_DEBUG, 0x11000)),
	BREAK(LINK_POINTER, F(VMCS_LINK_POINTER, 0x1800)),
	BREAK(LINK_POINTER, F(VMCS_LINK_POINTER, TOO_HIGH)),
	BREAK(LINK_POINTER_REGION, F(VMCS_LINK_POINTER, 0x1000), F(EXIT_REASON, 0x80000021),
	      F(EXIT_QUALIFICATION, 4)),
	/* FRED */
	IN(FRED, HOST_FRED_CONFIG, F(HOST_FRED_CONFIG, 0x800)),
	IN(FRED, HOST_FRED_CONFIG, F(HOST_FRED_CONFIG, NONCANONICAL)),
	IN(FRED, HOST_FRED_RSP1, F(HOST_FRED_RSP1, 32)),
	IN(FRED, HOST_FRED_RSP2, F(HOST_FRED_RSP2, NONCANONICAL)),
	IN(FRED, HOST_FRED_RSP3, F(HOST_FRED_RSP3, 1)),
	IN(FRED, HOST_FRED_SSP1, F(HOST_FRED_SSP1, 4)),
	IN(FRED, HOST_FRED_SSP2, F(HOST_FRED_SSP2, NONCANONICAL)),
	IN(FRED, HOST_FRED_SSP3, F(HOST_FRED_SSP3, 1)),
	IN(FRED, GUEST_FRED_CONFIG, F(GUEST_FRED_CONFIG, 0x800)),
	IN(FRED, GUEST_FRED_CONFIG, F(GUEST_FRED_CONFIG, NONCANONICAL)),
	IN(FRED, GUEST_FRED_RSP1, F(GUEST_FRED_RSP1, 32)),
	IN(FRED, GUEST_FRED_RSP2, F(GUEST_FRED_RSP2, NONCANONICAL)),
	IN(FRED, GUEST_FRED_RSP3, F(GUEST_FRED_RSP3, 1)),
	IN(FRED, GUEST_FRED_SSP1, F(GUEST_FRED_SSP1, 4)),
	IN(FRED, GUEST_FRED_SSP2, F(GUEST_FRED_SSP2, NONCANONICAL)),
	IN(FRED, GUEST_FRED_SSP3, F(GUEST_FRED_SSP3, 1)),
	IN(PAE, GUEST_32BIT_FRED, F(GUEST_CR4, 0x100002020)),
	IN(FRED, GUEST_SS_FRED_DPL, F(GUEST_SS_ACCESS_RIGHTS, 0xc0b3),
	   F(GUEST_CS_ACCESS_RIGHTS, 0xa0bb)),
	IN(FRED, GUEST_CS_FRED_L, F(GUEST_CS_ACCESS_RIGHTS, 0xc09b)),
	IN(FRED, GUEST_RFLAGS_FRED_IOPL, F(GUEST_SS_ACCESS_RIGHTS, 0xc0f3),
	   F(GUEST_CS_ACCESS_RIGHTS, 0xa0fb), F(GUEST_RFLAGS, 0x1002)),
	IN(FRED, BLOCKING_FRED_STI, F(GUEST_SS_ACCESS_RIGHTS, 0xc0f3),
	   F(GUEST_CS_ACCESS_RIGHTS, 0xa0fb), F(GUEST_RFLAGS, 0x202),
	   F(GUEST_INTERRUPTIBILITY, 1)),
	IN(FRED, EVENT_VECTOR, INJECT(0x703)),
	IN(FRED, EVENT_LENGTH, INJECT(0x701), F(ENTRY_INSTRUCTION_LENGTH, 16)),
	/* PDPTEs, MSRs */
	IN(PAE, GUEST_PDPTE0, F(GUEST_PDPTE0, 0x5003)),
	IN(PAE, GUEST_PDPTE1, F(GUEST_PDPTE1, 0x5021)),
	IN(PAE, GUEST_PDPTE2, F(GUEST_PDPTE2, 0x5001 | TOO_HIGH)),
	IN(PAE, GUEST_PDPTE3, F(GUEST_PDPTE3, 1ULL << 63 | 1)),
	BREAK(MSR_LOAD_ENTRY, F(EXIT_REASON, 0x80000022), F(EXIT_QUALIFICATION, 1)),
};

#define BREAKAGES	(sizeof(breakages) / sizeof(*breakages))

/* Rules that never stand alone: what breaks them breaks another, too. */
static const struct breakage together[] = {
	BREAK(HOST_SS_NULL, F(EXIT_CONTROLS, EXIT_GOOD & ~EXIT_HOST_64BIT), F(HOST_SS_SELECTOR, 0)),
	BREAK(HOST_64BIT, F(EXIT_CONTROLS, EXIT_GOOD & ~EXIT_HOST_64BIT)),
	BREAK(HOST_32BIT_GUEST, F(EXIT_CONTROLS, EXIT_GOOD & ~EXIT_HOST_64BIT)),
	BREAK(HOST_32BIT_PCIDE, F(EXIT_CONTROLS, EXIT_GOOD & ~EXIT_HOST_64BIT),
	      F(HOST_CR4, 0x220a0)),
	BREAK(HOST_32BIT_RIP, F(EXIT_CONTROLS, EXIT_GOOD & ~EXIT_HOST_64BIT)),
	BREAK(HOST_32BIT_FRED, F(EXIT_CONTROLS, EXIT_GOOD & ~EXIT_HOST_64BIT),
	      F(HOST_CR4, 0x1000020a0)),
	BREAK(HOST_32BIT_S_CET, F(EXIT_CONTROLS, (EXIT_GOOD & ~EXIT_HOST_64BIT) | EXIT_LOAD_CET),
	      F(HOST_S_CET, 1ULL << 32)),
	BREAK(HOST_32BIT_SSP, F(EXIT_CONTROLS, (EXIT_GOOD & ~EXIT_HOST_64BIT) | EXIT_LOAD_CET),
	      F(HOST_SSP, 1ULL << 32)),
	BREAK(ACTIVITY_SMM, WITH_ENTRY(TO_SMM), F(GUEST_ACTIVITY, 3), F(GUEST_INTERRUPTIBILITY, 4)),
	BREAK(BLOCKING_TO_SMM, WITH_ENTRY(TO_SMM)),
	BREAK(BLOCKING_ENCLAVE_MOV_SS, F(GUEST_INTERRUPTIBILITY, 0x12)),
};

#define TOGETHER	(sizeof(together) / sizeof(*together))

/* What is good; LDTR's is another than that of the base. */
static const uint32_t good_rights[] = { DATA, CODE, DATA, DATA, DATA, DATA, LDT, TSS };

/* Those of the segment registers: a rule, GUEST_CS_PRESENT say, and what breaks it. */
static const struct segment_breakage {
	const char *rule;
	unsigned int registers;
	unsigned int base;
	uint32_t set, clear;	/* of the access rights */
	uint64_t limit;		/* 0: it stays */
	uint64_t selector;	/* likewise */
	uint64_t segment_base;	/* likewise */
} segment_breakages[] = {
	{ "PRESENT", ALL, LONG, .clear = VEE_AR_PRESENT },
	{ "RESERVED_LOW", ALL, LONG, .set = 0x400 },
	{ "RESERVED_HIGH", ALL, LONG, .set = 0x80020000 },
	{ "G_0", ALL, LONG, .set = VEE_AR_G, .limit = 0xffffff00 },
	{ "G_1", ALL, LONG, .clear = VEE_AR_G, .limit = 0x00100fff },
	{ "S", CODE_AND_DATA, LONG, .clear = VEE_AR_S },
	{ "S", SYSTEM, LONG, .set = VEE_AR_S },
	{ "ACCESSED", DATA_ONLY, LONG, .clear = 1 },
	{ "READABLE", DATA_ONLY, LONG, .set = 8, .clear = 2 },
	{ "DPL", DATA_ONLY, RESTRICTED, .selector = 19 },
	{ "V86_BASE", CODE_AND_DATA, V86, .segment_base = 0x1001 },
	{ "V86_LIMIT", CODE_AND_DATA, V86, .limit = FLAT },
	{ "V86_RIGHTS", CODE_AND_DATA, V86, .clear = VEE_AR_DPL },
};

#define SEGMENT_BREAKAGES	(sizeof(segment_breakages) / sizeof(*segment_breakages))

static uint32_t of_segment(uint32_t field_of_es, unsigned int segment)
{
	return field_of_es + 2 * segment;
}

static void put_unless_0(uint32_t field_of_es, unsigned int segment, uint64_t value)
{
	if (value)
		field(of_segment(field_of_es, segment))->value = value;
}

static void break_segment(const struct segment_breakage *breakage, unsigned int segment)
{
	struct vee_vmcs_value *rights = field(of_segment(VMCS_GUEST_ES_ACCESS_RIGHTS, segment));

	if (breakage->base != V86)
		rights->value = good_rights[segment];
	rights->value = (rights->value | breakage->set) & ~(uint64_t)breakage->clear;
	put_unless_0(VMCS_GUEST_ES_LIMIT, segment, breakage->limit);
	put_unless_0(VMCS_GUEST_ES_SELECTOR, segment, breakage->selector);
	put_unless_0(VMCS_GUEST_ES_BASE, segment, breakage->segment_base);
}

static void check_segment(const struct segment_breakage *breakage, unsigned int segment)
{
	char rule[64];
	int count;

	snprintf(rule, sizeof(rule), "GUEST_%s_%s", segment_names[segment], breakage->rule);
	begin(breakage->base);
	break_segment(breakage, segment);
	test_case("%s in %s", rule, bases[breakage->base].name);
	count = audit();
	CHECK_EQUAL(count, 1);
	for (int n = 0; n < count && n < ROOM; n++)
		if (!CHECK(!strcmp(broken[n].rule, rule)))
			printf("# %s\n", broken[n].rule);
}

static void each_rule_of_segments_alone(void)
{
	for (unsigned int i = 0; i < SEGMENT_BREAKAGES; i++)
		for (unsigned int segment = ES; segment <= TR; segment++)
			if (segment_breakages[i].registers & 1 << segment)
				check_segment(&segment_breakages[i], segment);
}

static bool is_of_segments(const char *rule)
{
	char name[64];

	for (unsigned int i = 0; i < SEGMENT_BREAKAGES; i++)
		for (unsigned int segment = ES; segment <= TR; segment++) {
			snprintf(name, sizeof(name), "GUEST_%s_%s", segment_names[segment],
				 segment_breakages[i].rule);
			if (segment_breakages[i].registers & 1 << segment && !strcmp(name, rule))
				return true;
		}
	return false;
}

static int audit_breakage(const struct breakage *breakage)
{
	begin(breakage->base);
	for (unsigned int i = 0; i < CHANGES && (!i || breakage->changes[i].encoding); i++)
		apply(&breakage->changes[i], 1);
	test_case("%s in %s", breakage->rule, bases[breakage->base].name);
	return audit();
}

static void good_ones_break_nothing(void)
{
	for (unsigned int i = 0; i < BASES; i++) {
		begin(i);
		test_case("%s", bases[i].name);
		if (!CHECK_EQUAL(audit(), 0))
			printf("# %s\n", broken[0].rule);
		CHECK_EQUAL(unjudged, 0);
	}
}

static void each_rule_alone(void)
{
	for (unsigned int i = 0; i < BREAKAGES; i++) {
		int count = audit_breakage(&breakages[i]);

		CHECK_EQUAL(count, 1);
		for (int n = 0; n < count && n < ROOM; n++)
			if (!CHECK(!strcmp(broken[n].rule, breakages[i].rule)))
				printf("# %s\n", broken[n].rule);
	}
}

static bool is_named(const char *rule, int count)
{
	for (int n = 0; n < count && n < ROOM; n++)
		if (!strcmp(broken[n].rule, rule))
			return true;
	return false;
}

static void rules_that_break_with_another(void)
{
	for (unsigned int i = 0; i < TOGETHER; i++)
		CHECK(is_named(together[i].rule, audit_breakage(&together[i])));
}

/* The words of controls: the CPU's MSR, not the VMCS, is what differs. */
static void controls_as_the_cpu_allows(void)
{
	static const struct {
		const char *rule;
		size_t member;
	} words[] = {
		{ "PIN_ALLOWED", offsetof(struct vee_info, vmx_pin) },
		{ "PROC_ALLOWED", offsetof(struct vee_info, vmx_proc) },
		{ "PROC2_ALLOWED", offsetof(struct vee_info, vmx_proc2) },
		{ "EXIT_ALLOWED", offsetof(struct vee_info, vmx_exit) },
		{ "ENTRY_ALLOWED", offsetof(struct vee_info, vmx_entry) },
	};
	static const uint64_t allowed[] = { 0, ~0ULL << 32 | 1U << 8 };

	begin(LONG);
	for (unsigned int i = 0; i < 2 * sizeof(words) / sizeof(*words); i++) {
		struct vee_info other = cpu;

		memcpy((char *)&other + words[i / 2].member, &allowed[i % 2], sizeof(allowed[0]));
		test_case("%s %u", words[i / 2].rule, i % 2);
		CHECK_EQUAL(vee_audit(&other, vmcs, VMCS_FIELD_COUNT, broken, ROOM, NULL), 1);
		CHECK(!strcmp(broken[0].rule, words[i / 2].rule));
		CHECK_EQUAL(broken[0].wrong, i % 2 ? 1U << 8 : broken[0].fields[0].value);
	}
}

static bool is_tested(const char *rule)
{
	for (unsigned int i = 0; i < BREAKAGES; i++)
		if (!strcmp(breakages[i].rule, rule))
			return true;
	for (unsigned int i = 0; i < TOGETHER; i++)
		if (!strcmp(together[i].rule, rule))
			return true;
	return strstr(rule, "_ALLOWED") || is_of_segments(rule);
}

/* No rule is without a test of its own, and no two have one name. */
static void every_rule_is_tested(void)
{
	const char *names[512];
	unsigned int count = 0;

	for (const struct rule_group *const *group = audit_groups; *group; group++)
		for (unsigned int i = 0; i < (*group)->count; i++) {
			const struct rule *rule = &(*group)->rules[i];

			test_case("%s", rule->id);
			CHECK(is_tested(rule->id));
			CHECK(rule->field_count >= 1);
			for (unsigned int n = 0; n < count; n++)
				CHECK(strcmp(names[n], rule->id));
			names[count++] = rule->id;
		}
	CHECK_EQUAL(count, RULE_COUNT);
}

/* The lowest address that is not canonical is no reason for an entry to fail. */
static void addresses_a_bit_too_wide(void)
{
	begin(LONG);
	field(VMCS_ENTRY_CONTROLS)->value |= ENTRY_LOAD_CET;
	field(VMCS_GUEST_RIP)->value = NONCANONICAL;
	field(VMCS_GUEST_SSP)->value = NONCANONICAL;
	CHECK_EQUAL(audit(), 0);
	field(VMCS_GUEST_RIP)->value = ~NONCANONICAL;
	CHECK_EQUAL(audit(), 0);
}

/* What every CPU that has the register allows in it. */
static void speculation_controls(void)
{
	begin(LONG);
	apply((const struct change[]) {
		WITH_ENTRY(LOAD_SPEC_CTRL), WITH_EXIT(SECONDARY_CONTROLS),
		F(EXIT2_CONTROLS, EXIT2_LOAD_SPEC_CTRL),
		F(GUEST_SPEC_CTRL, 0x5ff), F(HOST_SPEC_CTRL, 0x401),
	}, 5);
	CHECK_EQUAL(audit(), 0);
	field(VMCS_GUEST_SPEC_CTRL)->value = ~0ULL;
	field(VMCS_HOST_SPEC_CTRL)->value = ~0ULL;
	CHECK_EQUAL(audit(), 2);
	field(VMCS_EXIT_CONTROLS)->value = EXIT_GOOD;
	field(VMCS_ENTRY_CONTROLS)->value = ENTRY_GOOD;
	CHECK_EQUAL(audit(), 0);
}

/* SYSCALL, and an exception within another. */
static void events_of_fred(void)
{
	struct vee_info other = cpu;

	other.vmx_basic = 1ULL << 58;
	begin(FRED);
	field(VMCS_ENTRY_INTERRUPTION_INFO)->value = 0x80000701;
	field(VMCS_ENTRY_INSTRUCTION_LENGTH)->value = 2;
	CHECK_EQUAL(audit(), 0);
	/* A monitor trap flag takes a CPU that has it. */
	other.vmx_proc &= ~((uint64_t)PROC_MONITOR_TRAP_FLAG << 32);
	field(VMCS_ENTRY_INTERRUPTION_INFO)->value = 0x80000700;
	CHECK_EQUAL(audit(), 0);
	CHECK_EQUAL(vee_audit(&other, vmcs, VMCS_FIELD_COUNT, broken, ROOM, NULL), 1);
	CHECK(!strcmp(broken[0].rule, "EVENT_VECTOR"));
	field(VMCS_ENTRY_INTERRUPTION_INFO)->value = 0x80002b0d;
	CHECK_EQUAL(vee_audit(&other, vmcs, VMCS_FIELD_COUNT, NULL, 0, NULL), 0);
	CHECK_EQUAL(audit(), 1);
	CHECK(!strcmp(broken[0].rule, "EVENT_RESERVED"));
}

/* A type that is none on this CPU is one rule's matter. */
static void events_of_no_type(void)
{
	struct vee_info other = cpu;

	other.vmx_proc &= ~((uint64_t)PROC_MONITOR_TRAP_FLAG << 32);
	begin(LONG);
	field(VMCS_ENTRY_INTERRUPTION_INFO)->value = 0x80000700;
	CHECK_EQUAL(audit(), 0);
	CHECK_EQUAL(vee_audit(&other, vmcs, VMCS_FIELD_COUNT, broken, ROOM, NULL), 1);
	CHECK(!strcmp(broken[0].rule, "EVENT_TYPE"));
}

/* SDM 3C, "Checks on Guest Non-Register State": what may come in which activity state. */
static void events_while_inactive(void)
{
	static const struct {
		uint64_t activity;
		uint32_t info;
		bool good;
	} cases[] = {
		{ 1, 0x80000700, true },	/* HLT: a monitor trap flag */
		{ 1, 0x80000202, true },	/* NMI */
		{ 1, 0x80000301, true },	/* #DB */
		{ 1, 0x80000312, true },	/* #MC */
		{ 1, 0x80000306, false },
		{ 1, 0x80000480, false },	/* INT n */
		{ 2, 0x80000202, true },	/* shutdown */
		{ 2, 0x80000312, true },
		{ 2, 0x80000301, false },
		{ 2, 0x80000700, false },
		{ 3, 0x80000202, false },	/* wait-for-SIPI */
		{ 3, 0, true },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(LONG);
		field(VMCS_GUEST_ACTIVITY)->value = cases[i].activity;
		field(VMCS_ENTRY_INTERRUPTION_INFO)->value = cases[i].info;
		field(VMCS_ENTRY_INSTRUCTION_LENGTH)->value = 2;
		test_case("activity %u, event %#x", (unsigned int)cases[i].activity, cases[i].info);
		CHECK_EQUAL(!is_named("ACTIVITY_EVENT", audit()), cases[i].good);
	}
}

/* CPUs that have more: what was broken is no longer so. */
static void a_cpu_that_has_it(void)
{
	static const char *const rules[] = {
		"EPTP_AD", "EPTP_SHADOW_STACK", "BLOCKING_ENCLAVE", "PENDING_RTM",
	};
	struct vee_info other = cpu;

	other.vmx_ept_vpid |= 1 << 21 | 1 << 23;
	other.cpuid_7_ebx = CPUID_7_EBX_SGX | CPUID_7_EBX_RTM;
	other.cpuid_7_ecx = CPUID_7_ECX_BUS_LOCK;
	for (unsigned int i = 0; i < BREAKAGES; i++)
		for (unsigned int n = 0; n < sizeof(rules) / sizeof(*rules); n++) {
			if (strcmp(breakages[i].rule, rules[n]))
				continue;
			CHECK_EQUAL(audit_breakage(&breakages[i]), 1);
			CHECK_EQUAL(vee_audit(&other, vmcs, VMCS_FIELD_COUNT, NULL, 0, NULL), 0);
		}
}

/* Without what is the host's, nothing of the host is judged, and all of the guest. */
static void withheld(void)
{
	begin(LONG);
	for (unsigned int i = 0; i < VMCS_FIELD_COUNT; i++)
		if (VMCS_GROUP(vmcs[i].encoding) == VMCS_GROUP_HOST) {
			vmcs[i].flags = VEE_VMCS_WITHHELD;
			vmcs[i].value = 0;
		}
	CHECK_EQUAL(audit(), 0);
	CHECK(unjudged > 20 && unjudged < 45);
	field(VMCS_GUEST_RFLAGS)->value = 0;
	CHECK_EQUAL(audit(), 1);
	CHECK(!strcmp(broken[0].rule, "GUEST_RFLAGS_1"));
}

/* Of what is not there nothing is said. */
static void cut_short(void)
{
	begin(LONG);
	for (unsigned int count = 0; count < VMCS_FIELD_COUNT; count++) {
		test_case("%u fields", count);
		CHECK_EQUAL(vee_audit(&cpu, vmcs, count, NULL, 0, &unjudged), 0);
		CHECK(count > VMCS_FIELD_COUNT / 2 || unjudged);
	}
}

static void old_module(void)
{
	struct vee_info old = cpu;

	begin(LONG);
	memset((char *)&old + offsetof(struct vee_info, vmx_cr0_fixed0), 0,
	       sizeof(old) - offsetof(struct vee_info, vmx_cr0_fixed0));
	CHECK_EQUAL(vee_audit(&old, vmcs, VMCS_FIELD_COUNT, broken, ROOM, NULL), -EOPNOTSUPP);
	old = cpu;
	old.linear_bits = 64;
	CHECK_EQUAL(vee_audit(&old, vmcs, VMCS_FIELD_COUNT, broken, ROOM, NULL), -EOPNOTSUPP);
	old = cpu;
	old.phys_bits = UINT32_MAX;
	CHECK_EQUAL(vee_audit(&old, vmcs, VMCS_FIELD_COUNT, broken, ROOM, NULL), -EOPNOTSUPP);
}

static void room(void)
{
	begin(LONG);
	field(VMCS_GUEST_RFLAGS)->value = 0;
	field(VMCS_GUEST_CR3)->value = TOO_HIGH;
	broken[1].rule = NULL;
	CHECK_EQUAL(vee_audit(&cpu, vmcs, VMCS_FIELD_COUNT, broken, 1, NULL), 2);
	CHECK(!strcmp(broken[0].rule, "GUEST_CR3_WIDTH"));
	CHECK(!broken[1].rule);
}

#define TEXT \
	"GUEST_CS_DB: guest CS access rights 0xe09b (type 11, S, P, L, D/B, G), " \
	"VM-entry controls 0xc204: " \
	"in 64-bit mode (L=1) D/B (bit 14) must be 0. " \
	"SDM 3C, \"Checks on Guest Segment Registers\""

static void text(void)
{
	static const char expected[] = TEXT;
	char line[sizeof(expected)];

	begin(LONG);
	field(VMCS_GUEST_CS_ACCESS_RIGHTS)->value = 0xe09b;
	CHECK_EQUAL(audit(), 1);
	CHECK_EQUAL(vee_audit_text(broken, line, sizeof(line)), sizeof(expected) - 1);
	if (!CHECK(!strcmp(line, expected)))
		printf("# %s\n", line);
	for (size_t bytes = 0; bytes < sizeof(line); bytes++) {
		memset(line, 'x', sizeof(line));
		CHECK_EQUAL(vee_audit_text(broken, line, bytes), sizeof(expected) - 1);
		CHECK_EQUAL(line[bytes], 'x');
		if (bytes)
			CHECK_EQUAL(strlen(line), bytes - 1);
	}
}

/* Where a sentence leaves open which bits are wrong, the line says it. */
static void wrong_bits(void)
{
	static const struct {
		struct change change;
		const char *words;
	} cases[] = {
		{ F(GUEST_CR4, 0x20), "CR4 0x20 (PAE), wrong bits 0x2000 (VMXE): bits" },
		{ F(GUEST_CR4, 0x2002020), ", wrong bits 0x2000000 (UINTR): bits" },
		{ F(GUEST_RFLAGS, 0x8002), "reserved bits 0x8000), wrong bits 0x8000: bits" },
		{ F(HOST_EFER, 0x1d01), ", wrong bits 0x1000: bits" },
		{ F(GUEST_RFLAGS, 0), "guest RFLAGS 0: bit 1" },
	};
	char line[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(LONG);
		apply(&cases[i].change, 1);
		CHECK_EQUAL(audit(), 1);
		vee_audit_text(broken, line, sizeof(line));
		if (!CHECK(strstr(line, cases[i].words)))
			printf("# %s\n", line);
	}
}

/* A rule's field that its caller has taken out. */
static void text_of_what_is_withheld(void)
{
	char line[400];

	begin(LONG);
	field(VMCS_GUEST_RFLAGS)->value = 0;
	CHECK_EQUAL(audit(), 1);
	broken[0].fields[0].flags = VEE_VMCS_WITHHELD;
	broken[0].fields[0].value = 0x1234;
	vee_audit_text(broken, line, sizeof(line));
	CHECK(strstr(line, "guest RFLAGS withheld"));
	CHECK(!strstr(line, "1234"));
}

static void of_a_vcpu(void)
{
	struct rig rig;

	rig_begin(&rig);
	fake.error = -EBUSY;
	CHECK_EQUAL(vee_vcpu_audit(rig.vcpu, broken, ROOM, NULL), -EBUSY);
	fake.error = 0;
	CHECK(vee_vcpu_audit(rig.vcpu, broken, ROOM, &unjudged) > ROOM);
	CHECK(!strcmp(broken[0].rule, "HOST_CS_NULL"));
	CHECK_EQUAL(unjudged, 0);
	rig_end(&rig);
}

static void put_values(struct vee_vmcs_value *values)
{
	memcpy(values, vmcs, sizeof(vmcs));
}

/* What vee_explain() says where the hardware finds what the audit doesn't. */
static void without_a_rule(void)
{
	static char said[8192];
	struct rig rig;
	FILE *out;

	rig_begin(&rig);
	fake.snapshot = put_values;
	for (unsigned int host = 0; host < 2; host++) {
		begin(LONG);
		for (unsigned int i = 0; !host && i < VMCS_FIELD_COUNT; i++)
			if (VMCS_GROUP(vmcs[i].encoding) == VMCS_GROUP_HOST)
				vmcs[i].flags = VEE_VMCS_WITHHELD;
		CHECK_EQUAL(vee_vcpu_audit(rig.vcpu, broken, ROOM, &unjudged), 0);
		rig.vcpu->page->exit.reason = VEE_EXIT_ENTRY_FAILED;
		rig.vcpu->page->exit.hardware_reason = 0x80000021;
		out = fmemopen(said, sizeof(said), "w");
		CHECK_EQUAL(vee_explain(rig.vcpu, out), 0);
		fclose(out);
		CHECK(strstr(said, "  no rule that vee_audit(3) knows is broken\n"));
		CHECK_EQUAL(!strstr(said, " rules about the host can't be judged"), host);
	}
	rig_end(&rig);
}

const struct test tests[] = {
	{ "what is good breaks no rule", good_ones_break_nothing },
	{ "each rule, broken alone, is named alone", each_rule_alone },
	{ "each rule of segment registers alone", each_rule_of_segments_alone },
	{ "rules that break with another", rules_that_break_with_another },
	{ "controls as the CPU allows them", controls_as_the_cpu_allows },
	{ "every rule is tested", every_rule_is_tested },
	{ "a CPU that has what another has not", a_cpu_that_has_it },
	{ "events of FRED", events_of_fred },
	{ "events of no type", events_of_no_type },
	{ "events while inactive", events_while_inactive },
	{ "addresses that are a bit too wide", addresses_a_bit_too_wide },
	{ "IA32_SPEC_CTRL", speculation_controls },
	{ "fields withheld", withheld },
	{ "a snapshot that is cut", cut_short },
	{ "a module that is too old", old_module },
	{ "room for some", room },
	{ "the text", text },
	{ "wrong bits", wrong_bits },
	{ "the text of what is withheld", text_of_what_is_withheld },
	{ "of a vCPU", of_a_vcpu },
	{ "an entry that fails by no rule", without_a_rule },
	{ 0 }
};
