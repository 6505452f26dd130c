// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_guest_rip
#define AUDIT_SECTION	"Checks on Guest RIP, RFLAGS, and SSP"

#define RFLAGS_RESERVED	(BITS(63, 22) | BIT(15) | BIT(5) | BIT(3))

#define RULES { \
	RULE(GUEST_RIP_32, "outside 64-bit mode bits 63:32 must be 0", \
	     WHEN(!audit_64bit(a), !(V(GUEST_RIP) & HIGH_HALF)), \
	     VMCS_GUEST_RIP, VMCS_ENTRY_CONTROLS, VMCS_GUEST_CS_ACCESS_RIGHTS) \
	RULE(GUEST_RIP_CANONICAL, \
	     "in 64-bit mode bits above the linear-address width must be alike", \
	     WHEN(audit_64bit(a), audit_extends(a, V(GUEST_RIP))), VMCS_GUEST_RIP) \
	RULE(GUEST_RFLAGS_RESERVED, "bits 63:22, 15, 5 and 3 must be 0", \
	     audit_lacks(a, V(GUEST_RFLAGS), RFLAGS_RESERVED), VMCS_GUEST_RFLAGS) \
	RULE(GUEST_RFLAGS_1, "bit 1 must be 1", V(GUEST_RFLAGS) & RFLAGS_1, VMCS_GUEST_RFLAGS) \
	RULE(GUEST_RFLAGS_VM_64, "VM (bit 17) must be 0 with \"IA-32e mode guest\"", \
	     WHEN(ENTRY(IA32E_GUEST), !(V(GUEST_RFLAGS) & RFLAGS_VM)), \
	     VMCS_GUEST_RFLAGS, VMCS_ENTRY_CONTROLS) \
	RULE(GUEST_RFLAGS_VM_REAL, "VM (bit 17) must be 0 in real mode", \
	     WHEN(!audit_protected(a), !(V(GUEST_RFLAGS) & RFLAGS_VM)), \
	     VMCS_GUEST_RFLAGS, VMCS_GUEST_CR0) \
	RULE(GUEST_RFLAGS_IF, "IF (bit 9) must be 1 where an external interrupt is injected", \
	     WHEN(audit_event(a) == EVENT_EXTERNAL, V(GUEST_RFLAGS) & RFLAGS_IF), \
	     VMCS_GUEST_RFLAGS, VMCS_ENTRY_INTERRUPTION_INFO) \
	RULE(GUEST_SSP_ALIGNED, "bits 1:0 must be 0", \
	     WHEN(ENTRY(LOAD_CET), !(V(GUEST_SSP) & BITS(1, 0))), VMCS_GUEST_SSP) \
	RULE(GUEST_SSP_32, "outside 64-bit mode bits 63:32 must be 0", \
	     WHEN(ENTRY(LOAD_CET) && !audit_64bit(a), !(V(GUEST_SSP) & HIGH_HALF)), \
	     VMCS_GUEST_SSP, VMCS_GUEST_CS_ACCESS_RIGHTS) \
	RULE(GUEST_SSP_CANONICAL, \
	     "in 64-bit mode bits above the linear-address width must be alike", \
	     WHEN(ENTRY(LOAD_CET) && audit_64bit(a), audit_extends(a, V(GUEST_SSP))), \
	     VMCS_GUEST_SSP) \
}

#include "audit/table.h"
