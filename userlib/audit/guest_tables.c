// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_guest_tables
#define AUDIT_SECTION	"Checks on Guest Descriptor-Table Registers"

#define LIMIT_MAX	0xffff

#define BASE(S) \
	RULE(GUEST_##S##_BASE, "it must be canonical", \
	     audit_canonical(a, V(GUEST_##S##_BASE)), VMCS_GUEST_##S##_BASE)
#define LIMIT(S) \
	RULE(GUEST_##S##_LIMIT, "bits 31:16 must be 0", \
	     V(GUEST_##S##_LIMIT) <= LIMIT_MAX, VMCS_GUEST_##S##_LIMIT)

#define RULES { \
	BASE(GDTR) \
	LIMIT(GDTR) \
	BASE(IDTR) \
	LIMIT(IDTR) \
}

#include "audit/table.h"
