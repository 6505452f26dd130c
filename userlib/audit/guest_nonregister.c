// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_guest_nonregister
#define AUDIT_SECTION	"Checks on Guest Non-Register State"

enum { ACTIVE, HLT, SHUTDOWN, WAIT_FOR_SIPI };

/* SDM 3D, appendix "Miscellaneous Data": bits 8:6, HLT and up. */
#define MISC_ACTIVITY_SHIFT	6

#define BY_STI		VEE_BLOCKING_BY_STI
#define BY_MOV_SS	VEE_BLOCKING_BY_MOV_SS
#define BY_SMI		0x4U
#define BY_NMI		VEE_BLOCKING_BY_NMI
#define ENCLAVE		0x10U
#define BLOCKING_RESERVED BITS(31, 5)

#define BLOCKED(bits)	((uint32_t)V(GUEST_INTERRUPTIBILITY) & (bits))

/* SDM 3C, "Guest Non-Register State", table "Format of Pending-Debug-Exceptions" */
#define PENDING_BUS_LOCK BIT(11)
#define PENDING_ENABLED	BIT(12)
#define PENDING_BS	BIT(14)
#define PENDING_RTM	BIT(16)
#define PENDING_RESERVED (BITS(10, 4) | BIT(13) | BIT(15) | BITS(63, 17))
/* With RTM only RTM and "enabled breakpoint" may be 1. */
#define PENDING_WITH_RTM (PENDING_RTM | PENDING_ENABLED)

#define LINK_POINTER_NONE	~0ULL

/* SDM 3C, "VM-Entry Failures During or After Loading Guest State": exit qualification */
#define FAILED_GUEST_STATE	0x80000021U
#define FAILED_BY_LINK_POINTER	4

static bool activity_exists(struct audit *a)
{
	uint64_t activity = V(GUEST_ACTIVITY);

	return activity == ACTIVE ||
	       (activity <= WAIT_FOR_SIPI &&
		a->info->vmx_misc >> MISC_ACTIVITY_SHIFT & BIT(activity - HLT));
}

static bool event_suits_hlt(enum event_type type, unsigned int vector)
{
	switch (type) {
	case EVENT_EXTERNAL:
	case EVENT_NMI:
	case EVENT_NONE:
		return true;
	case EVENT_HARDWARE:
		return vector == VECTOR_DB || vector == VECTOR_MC;
	case EVENT_OTHER:
		return vector == 0;
	default:
		return false;
	}
}

static bool event_suits_shutdown(enum event_type type, unsigned int vector)
{
	return type == EVENT_NONE || type == EVENT_NMI ||
	       (type == EVENT_HARDWARE && vector == VECTOR_MC);
}

static bool event_suits(struct audit *a)
{
	enum event_type type = audit_event(a);

	switch (V(GUEST_ACTIVITY)) {
	case HLT:
		return event_suits_hlt(type, audit_event_vector(a));
	case SHUTDOWN:
		return event_suits_shutdown(type, audit_event_vector(a));
	case WAIT_FOR_SIPI:
		return type == EVENT_NONE;
	default:
		return true;
	}
}

/* Bit 11 is of CPUs that detect bus locks. */
static uint64_t pending_reserved(const struct audit *a)
{
	return PENDING_RESERVED |
	       (a->info->cpuid_7_ecx & CPUID_7_ECX_BUS_LOCK ? 0 : PENDING_BUS_LOCK);
}

static bool single_steps(struct audit *a)
{
	return V(GUEST_RFLAGS) & RFLAGS_TF && !(V(GUEST_DEBUGCTL) & DEBUGCTL_BTF);
}

static bool holds_steps(struct audit *a)
{
	return BLOCKED(BY_STI | BY_MOV_SS) || V(GUEST_ACTIVITY) == HLT;
}

/* SDM 3C, "Checks on Guest Non-Register State": RTM, and nothing else that it excludes. */
static bool rtm_suits(struct audit *a)
{
	uint64_t pending = V(GUEST_PENDING_DEBUG);

	return a->info->cpuid_7_ebx & CPUID_7_EBX_RTM && pending & PENDING_ENABLED &&
	       !(pending & ~PENDING_WITH_RTM) && !BLOCKED(BY_MOV_SS);
}

static bool linked(struct audit *a)
{
	return V(VMCS_LINK_POINTER) != LINK_POINTER_NONE;
}

static bool failed_by_link(struct audit *a)
{
	return V(EXIT_REASON) == FAILED_GUEST_STATE &&
	       V(EXIT_QUALIFICATION) == FAILED_BY_LINK_POINTER;
}

#define RULES { \
	RULE(ACTIVITY, "it must be a state that IA32_VMX_MISC (bits 8:6) says the CPU has", \
	     activity_exists(a), VMCS_GUEST_ACTIVITY) \
	RULE(ACTIVITY_HLT_DPL, "HLT (1) takes DPL 0 of SS", \
	     WHEN(V(GUEST_ACTIVITY) == HLT, !rights_dpl(V(GUEST_SS_ACCESS_RIGHTS))), \
	     VMCS_GUEST_ACTIVITY, VMCS_GUEST_SS_ACCESS_RIGHTS) \
	RULE(ACTIVITY_BLOCKING, "it must be active (0) while STI or MOV SS blocks interrupts", \
	     WHEN(BLOCKED(BY_STI | BY_MOV_SS), V(GUEST_ACTIVITY) == ACTIVE), \
	     VMCS_GUEST_ACTIVITY, VMCS_GUEST_INTERRUPTIBILITY) \
	RULE(ACTIVITY_EVENT, \
	     "in HLT (1) an event may be an interrupt, NMI, #DB or #MC; in shutdown (2) an NMI " \
	     "or #MC; in wait-for-SIPI (3) none", \
	     event_suits(a), VMCS_GUEST_ACTIVITY, VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(ACTIVITY_SMM, "\"entry to SMM\" and wait-for-SIPI (3) exclude each other", \
	     WHEN(ENTRY(TO_SMM), V(GUEST_ACTIVITY) != WAIT_FOR_SIPI), \
	     VMCS_GUEST_ACTIVITY, VMCS_ENTRY_CONTROLS) \
	RULE(BLOCKING_RESERVED, "bits 31:5 must be 0", \
	     !BLOCKED(BLOCKING_RESERVED), VMCS_GUEST_INTERRUPTIBILITY) \
	RULE(BLOCKING_BOTH, "blocking by STI (bit 0) and by MOV SS (bit 1) exclude each other", \
	     BLOCKED(BY_STI | BY_MOV_SS) != (BY_STI | BY_MOV_SS), VMCS_GUEST_INTERRUPTIBILITY) \
	RULE(BLOCKING_STI_IF, "blocking by STI (bit 0) takes RFLAGS.IF (bit 9)", \
	     WHEN(BLOCKED(BY_STI) && !BLOCKED(BY_MOV_SS), V(GUEST_RFLAGS) & RFLAGS_IF), \
	     VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_RFLAGS) \
	RULE(BLOCKING_FRED_STI, "with CR4.FRED no blocking by STI (bit 0) at DPL 3 of SS", \
	     WHEN(V(GUEST_CR4) & CR4_FRED && rights_dpl(V(GUEST_SS_ACCESS_RIGHTS)) == 3, \
		  !BLOCKED(BY_STI)), \
	     VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_CR4, VMCS_GUEST_SS_ACCESS_RIGHTS) \
	RULE(BLOCKING_EXTERNAL, \
	     "no blocking by STI or MOV SS where an external interrupt is injected", \
	     WHEN(audit_event(a) == EVENT_EXTERNAL, !BLOCKED(BY_STI | BY_MOV_SS)), \
	     VMCS_GUEST_INTERRUPTIBILITY, VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(BLOCKING_NMI_MOV_SS, "no blocking by MOV SS (bit 1) where an NMI is injected", \
	     WHEN(audit_event(a) == EVENT_NMI, !BLOCKED(BY_MOV_SS)), \
	     VMCS_GUEST_INTERRUPTIBILITY, VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(BLOCKING_NMI_STI, \
	     "no blocking by STI (bit 0) where an NMI is injected (some processors require it)", \
	     WHEN(audit_event(a) == EVENT_NMI, !BLOCKED(BY_STI)), \
	     VMCS_GUEST_INTERRUPTIBILITY, VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(BLOCKING_NMI, \
	     "with \"virtual NMIs\" no blocking by NMI (bit 3) where an NMI is injected", \
	     WHEN(audit_event(a) == EVENT_NMI && PIN(VIRTUAL_NMIS), !BLOCKED(BY_NMI)), \
	     VMCS_GUEST_INTERRUPTIBILITY, VMCS_ENTRY_INTERRUPTION_INFO, VMCS_PIN_CONTROLS) \
	RULE(BLOCKING_SMI, "outside SMM blocking by SMI (bit 2) must be 0", \
	     WHEN(!ENTRY(TO_SMM), !BLOCKED(BY_SMI)), VMCS_GUEST_INTERRUPTIBILITY) \
	RULE(BLOCKING_TO_SMM, "\"entry to SMM\" takes blocking by SMI (bit 2)", \
	     WHEN(ENTRY(TO_SMM), BLOCKED(BY_SMI)), \
	     VMCS_GUEST_INTERRUPTIBILITY, VMCS_ENTRY_CONTROLS) \
	RULE(BLOCKING_ENCLAVE_MOV_SS, \
	     "enclave interruption (bit 4) and blocking by MOV SS (bit 1) exclude each other", \
	     WHEN(BLOCKED(ENCLAVE), !BLOCKED(BY_MOV_SS)), VMCS_GUEST_INTERRUPTIBILITY) \
	RULE(BLOCKING_ENCLAVE, "enclave interruption (bit 4) takes a CPU with SGX", \
	     WHEN(BLOCKED(ENCLAVE), a->info->cpuid_7_ebx & CPUID_7_EBX_SGX), \
	     VMCS_GUEST_INTERRUPTIBILITY) \
	RULE(PENDING_RESERVED, \
	     "bits 10:4, 13, 15 and 63:17 must be 0, and bit 11 unless the CPU detects bus locks", \
	     audit_lacks(a, V(GUEST_PENDING_DEBUG), pending_reserved(a)), \
	     VMCS_GUEST_PENDING_DEBUG) \
	RULE(PENDING_STEP, \
	     "BS (bit 14) must be 1 while STI, MOV SS or HLT holds back a step (TF is 1, BTF 0)", \
	     WHEN(holds_steps(a) && single_steps(a), V(GUEST_PENDING_DEBUG) & PENDING_BS), \
	     VMCS_GUEST_PENDING_DEBUG, VMCS_GUEST_RFLAGS, VMCS_GUEST_INTERRUPTIBILITY, \
	     VMCS_GUEST_ACTIVITY, VMCS_GUEST_DEBUGCTL) \
	RULE(PENDING_NO_STEP, \
	     "after STI, MOV SS or HLT BS (bit 14) must be 0 unless TF is 1 and BTF 0", \
	     WHEN(holds_steps(a) && !single_steps(a), !(V(GUEST_PENDING_DEBUG) & PENDING_BS)), \
	     VMCS_GUEST_PENDING_DEBUG, VMCS_GUEST_RFLAGS, VMCS_GUEST_INTERRUPTIBILITY, \
	     VMCS_GUEST_ACTIVITY, VMCS_GUEST_DEBUGCTL) \
	RULE(PENDING_RTM, \
	     "RTM (bit 16) takes a CPU with RTM, bit 12, all others 0, and no blocking by MOV SS", \
	     WHEN(V(GUEST_PENDING_DEBUG) & PENDING_RTM, rtm_suits(a)), \
	     VMCS_GUEST_PENDING_DEBUG, VMCS_GUEST_INTERRUPTIBILITY) \
	RULE(LINK_POINTER, \
	     "unless all bits are 1: a multiple of 4096 within the physical-address width", \
	     WHEN(linked(a), audit_is_page(a, V(VMCS_LINK_POINTER))), VMCS_VMCS_LINK_POINTER) \
	RULE(LINK_POINTER_REGION, \
	     "another VMCS must be there, of the CPU's revision, a shadow one if and only if " \
	     "\"VMCS shadowing\" is 1; the CPU says that it is not (exit qualification 4)", \
	     WHEN(linked(a) && audit_is_page(a, V(VMCS_LINK_POINTER)), !failed_by_link(a)), \
	     VMCS_VMCS_LINK_POINTER, VMCS_EXIT_REASON, VMCS_EXIT_QUALIFICATION, \
	     VMCS_PROC2_CONTROLS) \
}

#include "audit/table.h"
