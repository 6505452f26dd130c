// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_pdptes
#define AUDIT_SECTION	"Checks on Guest Page-Directory-Pointer-Table Entries"

/* SDM 3A, "PDPTE Registers" */
#define PDPTE_PRESENT	BIT(0)
#define PDPTE_RESERVED	(BITS(2, 1) | BITS(8, 5))

/* Without EPT they are in memory, which is not judged: vee has no VM without it. */
static bool has_pdptes(struct audit *a)
{
	return !ENTRY(IA32E_GUEST) && V(GUEST_CR0) & CR0_PG && V(GUEST_CR4) & CR4_PAE && PROC2(EPT);
}

static bool is_pdpte(struct audit *a, uint64_t pdpte)
{
	return !(pdpte & PDPTE_PRESENT) || (!(pdpte & PDPTE_RESERVED) && audit_fits(a, pdpte));
}

#define PDPTE(n) \
	RULE(GUEST_PDPTE##n, \
	     "if present, in PAE paging: bits 2:1, 8:5, beyond the address width are 0", \
	     WHEN(has_pdptes(a), is_pdpte(a, V(GUEST_PDPTE##n))), \
	     VMCS_GUEST_PDPTE##n, VMCS_GUEST_CR0, VMCS_GUEST_CR4)

#define RULES { \
	PDPTE(0) \
	PDPTE(1) \
	PDPTE(2) \
	PDPTE(3) \
}

#include "audit/table.h"
