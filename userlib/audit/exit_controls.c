// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_exit_controls
#define AUDIT_SECTION	"Checks on VMX Controls"

#define RULES { \
	RULE(EXIT_ALLOWED, "bits must be as IA32_VMX_(TRUE_)EXIT_CTLS allows", \
	     audit_allowed(a, a->info->vmx_exit, V(EXIT_CONTROLS)), VMCS_EXIT_CONTROLS) \
	RULE(EXIT2_ALLOWED, "only bits that IA32_VMX_EXIT_CTLS2 has may be 1", \
	     WHEN(EXIT(SECONDARY_CONTROLS), \
		  audit_lacks(a, V(EXIT2_CONTROLS), ~a->info->vmx_exit2)), \
	     VMCS_EXIT2_CONTROLS) \
	RULE(EXIT_SAVE_TIMER, \
	     "\"save VMX-preemption timer value\" takes \"activate VMX-preemption timer\"", \
	     WHEN(EXIT(SAVE_PREEMPTION_TIMER), PIN(PREEMPTION_TIMER)), \
	     VMCS_EXIT_CONTROLS, VMCS_PIN_CONTROLS) \
	RULE(EXIT_MSR_STORE_ALIGNED, "unless the count is 0 the area is at a multiple of 16", \
	     WHEN(V(EXIT_MSR_STORE_COUNT), !(V(EXIT_MSR_STORE_ADDRESS) & BITS(3, 0))), \
	     VMCS_EXIT_MSR_STORE_ADDRESS, VMCS_EXIT_MSR_STORE_COUNT) \
	RULE(EXIT_MSR_STORE_WIDTH, \
	     "unless the count is 0 all of the area is within the physical-address width", \
	     WHEN(V(EXIT_MSR_STORE_COUNT), \
		  audit_area_fits(a, V(EXIT_MSR_STORE_ADDRESS), V(EXIT_MSR_STORE_COUNT))), \
	     VMCS_EXIT_MSR_STORE_ADDRESS, VMCS_EXIT_MSR_STORE_COUNT) \
	RULE(EXIT_MSR_LOAD_ALIGNED, "unless the count is 0 the area is at a multiple of 16", \
	     WHEN(V(EXIT_MSR_LOAD_COUNT), !(V(EXIT_MSR_LOAD_ADDRESS) & BITS(3, 0))), \
	     VMCS_EXIT_MSR_LOAD_ADDRESS, VMCS_EXIT_MSR_LOAD_COUNT) \
	RULE(EXIT_MSR_LOAD_WIDTH, \
	     "unless the count is 0 all of the area is within the physical-address width", \
	     WHEN(V(EXIT_MSR_LOAD_COUNT), \
		  audit_area_fits(a, V(EXIT_MSR_LOAD_ADDRESS), V(EXIT_MSR_LOAD_COUNT))), \
	     VMCS_EXIT_MSR_LOAD_ADDRESS, VMCS_EXIT_MSR_LOAD_COUNT) \
}

#include "audit/table.h"
