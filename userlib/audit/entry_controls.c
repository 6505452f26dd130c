// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_entry_controls
#define AUDIT_SECTION	"Checks on VMX Controls"

#define EXCEPTIONS	32
#define NMI_VECTOR	2
#define INSN_BYTES_MAX	15

/* SDM 3D, appendix "Miscellaneous Data" and "Basic VMX Information" */
#define MISC_LENGTH_0	BIT(30)
#define BASIC_ANY_ERROR	BIT(56)
#define BASIC_NESTED	BIT(58)

/* With FRED: a nested exception; SYSCALL and SYSENTER as vectors of type 7. */
#define EVENT_NESTED	BIT(13)
#define FRED_SYSENTER	2

/* Exceptions with an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC. */
#define WITH_CODE	(BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | \
			 BIT(VECTOR_GP) | BIT(VECTOR_PF) | BIT(VECTOR_AC))

static bool with_fred(struct audit *a)
{
	return V(GUEST_CR4) & CR4_FRED;
}

static bool has_trap_flag(const struct audit *a)
{
	return a->info->vmx_proc >> 32 & PROC_MONITOR_TRAP_FLAG;
}

static bool type_exists(struct audit *a, enum event_type type)
{
	if (type == EVENT_OTHER)
		return with_fred(a) || has_trap_flag(a);
	return type != EVENT_RESERVED;
}

/* Not of a type that is none, which is another rule: the trap flag, or FRED's. */
static bool other_suits(struct audit *a, unsigned int vector)
{
	if (!type_exists(a, EVENT_OTHER))
		return true;
	return vector ? with_fred(a) && vector <= FRED_SYSENTER : has_trap_flag(a);
}

static bool vector_suits(struct audit *a, enum event_type type, unsigned int vector)
{
	switch (type) {
	case EVENT_NMI:
		return vector == NMI_VECTOR;
	case EVENT_HARDWARE:
		return vector < EXCEPTIONS;
	case EVENT_OTHER:
		return other_suits(a, vector);
	default:
		return true;
	}
}

/* In real mode no exception has one. */
static bool code_suits(struct audit *a, enum event_type type, unsigned int vector)
{
	bool has = V(ENTRY_INTERRUPTION_INFO) & EVENT_HAS_CODE;
	bool real = PROC2(UNRESTRICTED_GUEST) && !audit_protected(a);

	if (type != EVENT_HARDWARE || real)
		return !has;
	if (a->info->vmx_basic & BASIC_ANY_ERROR || vector >= EXCEPTIONS)
		return true;
	return has == !!(WITH_CODE & BIT(vector));
}

/* Of software's events, and of SYSCALL and SYSENTER, which only FRED delivers. */
static bool has_length(struct audit *a, enum event_type type)
{
	unsigned int vector = audit_event_vector(a);

	if (type == EVENT_OTHER)
		return with_fred(a) && vector && vector <= FRED_SYSENTER;
	return type >= EVENT_SOFTWARE_INTERRUPT && type <= EVENT_SOFTWARE_EXCEPTION;
}

static bool length_suits(struct audit *a, enum event_type type)
{
	uint64_t length = V(ENTRY_INSTRUCTION_LENGTH);

	if (!has_length(a, type))
		return true;
	return length <= INSN_BYTES_MAX && (length || a->info->vmx_misc & MISC_LENGTH_0);
}

static uint64_t event_reserved(const struct audit *a, enum event_type type)
{
	bool nested = a->info->vmx_basic & BASIC_NESTED && type == EVENT_HARDWARE;

	return BITS(30, 12) & ~(nested ? EVENT_NESTED : 0);
}

#define RULES { \
	RULE(ENTRY_ALLOWED, "bits must be as IA32_VMX_(TRUE_)ENTRY_CTLS allows", \
	     audit_allowed(a, a->info->vmx_entry, V(ENTRY_CONTROLS)), VMCS_ENTRY_CONTROLS) \
	RULE(EVENT_TYPE, \
	     "type 1 (bits 10:8) must not be, nor 7 on a CPU without the monitor trap flag", \
	     type_exists(a, audit_event(a)), VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(EVENT_VECTOR, \
	     "2 for an NMI, at most 31 for a hardware exception; of type 7 0 with the monitor " \
	     "trap flag, 1 and 2 with FRED", \
	     vector_suits(a, audit_event(a), audit_event_vector(a)), VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(EVENT_ERROR_CODE, \
	     "an error code (bit 11) is for hardware exceptions with one, in protected mode", \
	     WHEN(audit_event(a) != EVENT_NONE, \
		  code_suits(a, audit_event(a), audit_event_vector(a))), \
	     VMCS_ENTRY_INTERRUPTION_INFO, VMCS_GUEST_CR0) \
	RULE(EVENT_RESERVED, "bits 30:12 must be 0 (with FRED not 13, nested exception)", \
	     WHEN(audit_event(a) != EVENT_NONE, \
		  !(V(ENTRY_INTERRUPTION_INFO) & event_reserved(a, audit_event(a)))), \
	     VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(EVENT_CODE_WIDTH, "bits 31:16 must be 0", \
	     WHEN(audit_event(a) != EVENT_NONE && V(ENTRY_INTERRUPTION_INFO) & EVENT_HAS_CODE, \
		  !(V(ENTRY_EXCEPTION_ERROR_CODE) & BITS(31, 16))), \
	     VMCS_ENTRY_EXCEPTION_ERROR_CODE, VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(EVENT_LENGTH, \
	     "software interrupts and exceptions take 1 to 15 (0 if IA32_VMX_MISC allows)", \
	     length_suits(a, audit_event(a)), \
	     VMCS_ENTRY_INSTRUCTION_LENGTH, VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(ENTRY_MSR_LOAD_ALIGNED, "unless the count is 0 the area is at a multiple of 16", \
	     WHEN(V(ENTRY_MSR_LOAD_COUNT), !(V(ENTRY_MSR_LOAD_ADDRESS) & BITS(3, 0))), \
	     VMCS_ENTRY_MSR_LOAD_ADDRESS, VMCS_ENTRY_MSR_LOAD_COUNT) \
	RULE(ENTRY_MSR_LOAD_WIDTH, \
	     "unless the count is 0 all of the area is within the physical-address width", \
	     WHEN(V(ENTRY_MSR_LOAD_COUNT), \
		  audit_area_fits(a, V(ENTRY_MSR_LOAD_ADDRESS), V(ENTRY_MSR_LOAD_COUNT))), \
	     VMCS_ENTRY_MSR_LOAD_ADDRESS, VMCS_ENTRY_MSR_LOAD_COUNT) \
	RULE(ENTRY_TO_SMM, "outside SMM \"entry to SMM\" must be 0", \
	     !ENTRY(TO_SMM), VMCS_ENTRY_CONTROLS) \
	RULE(ENTRY_DUAL_MONITOR, "outside SMM \"deactivate dual-monitor treatment\" must be 0", \
	     !ENTRY(DEACTIVATE_DUAL_MONITOR), VMCS_ENTRY_CONTROLS) \
}

#include "audit/table.h"
