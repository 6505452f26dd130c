// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_host_segments
#define AUDIT_SECTION	"Checks on Host Segment and Descriptor-Table Registers"

#define SELECTOR_LOW	BITS(2, 0)	/* TI and RPL */

#define SELECTOR(S) \
	RULE(HOST_##S##_SELECTOR, "its RPL (bits 1:0) and TI (bit 2) must be 0", \
	     !(V(HOST_##S##_SELECTOR) & SELECTOR_LOW), VMCS_HOST_##S##_SELECTOR)
#define NOT_NULL(S) \
	RULE(HOST_##S##_NULL, "it must not be 0", V(HOST_##S##_SELECTOR), VMCS_HOST_##S##_SELECTOR)
#define BASE(S) \
	RULE(HOST_##S##_BASE, "it must be canonical", \
	     audit_canonical(a, V(HOST_##S##_BASE)), VMCS_HOST_##S##_BASE)

#define RULES { \
	SELECTOR(ES) \
	SELECTOR(CS) \
	SELECTOR(SS) \
	SELECTOR(DS) \
	SELECTOR(FS) \
	SELECTOR(GS) \
	SELECTOR(TR) \
	NOT_NULL(CS) \
	NOT_NULL(TR) \
	RULE(HOST_SS_NULL, "it must not be 0 unless \"host address-space size\" is 1", \
	     WHEN(!EXIT(HOST_64BIT), V(HOST_SS_SELECTOR)), \
	     VMCS_HOST_SS_SELECTOR, VMCS_EXIT_CONTROLS) \
	BASE(FS) \
	BASE(GS) \
	BASE(GDTR) \
	BASE(IDTR) \
	BASE(TR) \
}

#include "audit/table.h"
