// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_msr_areas
#define AUDIT_SECTION	"Loading MSRs"

/* SDM 3C, "VM-Entry Failures During or After Loading Guest State" */
#define FAILED_MSR_LOADING	0x80000022U

/* The entries are in memory, which no snapshot has: what the CPU says about them. */
#define RULES { \
	RULE(MSR_LOAD_ENTRY, \
	     "each entry must be one that WRMSR could load, not FS base, GS base, an x2APIC " \
	     "register, one for SMM; the exit qualification is the number of the bad one", \
	     V(EXIT_REASON) != FAILED_MSR_LOADING, \
	     VMCS_EXIT_QUALIFICATION, VMCS_EXIT_REASON, VMCS_ENTRY_MSR_LOAD_COUNT, \
	     VMCS_ENTRY_MSR_LOAD_ADDRESS) \
}

#include "audit/table.h"
