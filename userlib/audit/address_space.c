// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_address_space
#define AUDIT_SECTION	"Checks Related to Address-Space Size"

/* SDM 3A, "Linear-Address Translation with 5-Level Paging" */
#define CR4_LA57	BIT(12)
#define LA57_BITS	57
#define LA48_BITS	48

#define HOST_32BIT(must) WHEN(!EXIT(HOST_64BIT), must)

/* By the width that the host's CR4 has in use. */
static bool rip_is_canonical(struct audit *a)
{
	unsigned int bits = V(HOST_CR4) & CR4_LA57 ? LA57_BITS : LA48_BITS;
	int64_t rip = V(HOST_RIP) << (64 - bits);

	return (uint64_t)(rip >> (64 - bits)) == V(HOST_RIP);
}

/* vee's host is in IA-32e mode: of what holds outside that mode there is nothing to judge. */
#define RULES { \
	RULE(HOST_64BIT, "in IA-32e mode \"host address-space size\" must be 1", \
	     EXIT(HOST_64BIT), VMCS_EXIT_CONTROLS) \
	RULE(HOST_32BIT_GUEST, "\"IA-32e mode guest\" takes \"host address-space size\"", \
	     WHEN(ENTRY(IA32E_GUEST), EXIT(HOST_64BIT)), VMCS_ENTRY_CONTROLS, VMCS_EXIT_CONTROLS) \
	RULE(HOST_32BIT_PCIDE, "CR4.PCIDE (bit 17) takes \"host address-space size\"", \
	     HOST_32BIT(!(V(HOST_CR4) & CR4_PCIDE)), VMCS_HOST_CR4, VMCS_EXIT_CONTROLS) \
	RULE(HOST_32BIT_FRED, "CR4.FRED (bit 32) takes \"host address-space size\"", \
	     HOST_32BIT(!(V(HOST_CR4) & CR4_FRED)), VMCS_HOST_CR4, VMCS_EXIT_CONTROLS) \
	RULE(HOST_32BIT_RIP, "bits 63:32 must be 0 unless \"host address-space size\" is 1", \
	     HOST_32BIT(!(V(HOST_RIP) & HIGH_HALF)), VMCS_HOST_RIP, VMCS_EXIT_CONTROLS) \
	RULE(HOST_32BIT_S_CET, \
	     "bits 63:32 must be 0 unless \"host address-space size\" is 1", \
	     HOST_32BIT(WHEN(EXIT(LOAD_CET), !(V(HOST_S_CET) & HIGH_HALF))), \
	     VMCS_HOST_S_CET, VMCS_EXIT_CONTROLS) \
	RULE(HOST_32BIT_SSP, "bits 63:32 must be 0 unless \"host address-space size\" is 1", \
	     HOST_32BIT(WHEN(EXIT(LOAD_CET), !(V(HOST_SSP) & HIGH_HALF))), \
	     VMCS_HOST_SSP, VMCS_EXIT_CONTROLS) \
	RULE(HOST_64BIT_PAE, "\"host address-space size\" takes CR4.PAE (bit 5)", \
	     WHEN(EXIT(HOST_64BIT), V(HOST_CR4) & CR4_PAE), VMCS_HOST_CR4, VMCS_EXIT_CONTROLS) \
	RULE(HOST_64BIT_RIP, "it must be canonical", \
	     WHEN(EXIT(HOST_64BIT), rip_is_canonical(a)), VMCS_HOST_RIP, VMCS_HOST_CR4) \
}

#include "audit/table.h"
