// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_guest_registers
#define AUDIT_SECTION	"Checks on Guest Control Registers, Debug Registers, and MSRs"

/* SDM 3C, "IA32_RTIT_CTL MSR"; SDM 3B, "Last Branch Records" */
#define RTIT_RESERVED	(BIT(18) | BIT(23) | BITS(30, 28) | BITS(54, 48) | BITS(63, 57))
#define LBR_CTL_BITS	(BITS(22, 16) | BITS(3, 0))
#define BNDCFGS_RESERVED BITS(11, 2)
#define BNDCFGS_BASE	BITS(63, 12)

#define UINV_MAX	255

/* An unrestricted guest may be without paging and protection. */
static uint64_t cr0_fixed0(struct audit *a)
{
	return a->info->vmx_cr0_fixed0 & ~(PROC2(UNRESTRICTED_GUEST) ? CR0_PE | CR0_PG : 0);
}

static bool lma_suits(struct audit *a)
{
	return !!(V(GUEST_EFER) & EFER_LMA) == !!ENTRY(IA32E_GUEST);
}

static bool lme_suits(struct audit *a)
{
	uint64_t efer = V(GUEST_EFER);

	return !!(efer & EFER_LMA) == !!(efer & EFER_LME);
}

#define FRED_RSP(n) \
	RULE(GUEST_FRED_RSP##n, "it must be canonical, and a multiple of 64", \
	     WHEN(ENTRY(LOAD_FRED), audit_is_fred_rsp(a, V(GUEST_FRED_RSP##n))), \
	     VMCS_GUEST_FRED_RSP##n)
#define FRED_SSP(n) \
	RULE(GUEST_FRED_SSP##n, "it must be canonical, and a multiple of 8", \
	     WHEN(ENTRY(LOAD_FRED), audit_is_fred_ssp(a, V(GUEST_FRED_SSP##n))), \
	     VMCS_GUEST_FRED_SSP##n)

#define RULES { \
	RULE(GUEST_CR0_FIXED0, \
	     "bits of IA32_VMX_CR0_FIXED0 must be 1 (not PE, PG of unrestricted guests)", \
	     audit_has(a, V(GUEST_CR0), cr0_fixed0(a)), VMCS_GUEST_CR0) \
	RULE(GUEST_CR0_FIXED1, "bits that are 0 in IA32_VMX_CR0_FIXED1 must be 0", \
	     audit_lacks(a, V(GUEST_CR0), ~a->info->vmx_cr0_fixed1), VMCS_GUEST_CR0) \
	RULE(GUEST_CR0_PG, "PG (bit 31) takes PE (bit 0)", \
	     WHEN(V(GUEST_CR0) & CR0_PG, audit_protected(a)), VMCS_GUEST_CR0) \
	RULE(GUEST_CR4_FIXED0, "bits that are 1 in IA32_VMX_CR4_FIXED0 must be 1", \
	     audit_has(a, V(GUEST_CR4), a->info->vmx_cr4_fixed0), VMCS_GUEST_CR4) \
	RULE(GUEST_CR4_FIXED1, "bits that are 0 in IA32_VMX_CR4_FIXED1 must be 0", \
	     audit_lacks(a, V(GUEST_CR4), ~a->info->vmx_cr4_fixed1), VMCS_GUEST_CR4) \
	RULE(GUEST_CR4_CET, "CET (bit 23) takes CR0.WP (bit 16)", \
	     WHEN(V(GUEST_CR4) & CR4_CET, V(GUEST_CR0) & CR0_WP), VMCS_GUEST_CR4, VMCS_GUEST_CR0) \
	RULE(GUEST_DEBUGCTL, "only bits that the CPU has may be 1", \
	     WHEN(ENTRY(LOAD_DEBUG_CONTROLS), \
		  audit_lacks(a, V(GUEST_DEBUGCTL), ~audit_debugctl_bits(a))), \
	     VMCS_GUEST_DEBUGCTL) \
	RULE(GUEST_64BIT_PG, \
	     "\"IA-32e mode guest\" takes CR0.PG (bit 31)", \
	     WHEN(ENTRY(IA32E_GUEST), V(GUEST_CR0) & CR0_PG), VMCS_GUEST_CR0, VMCS_ENTRY_CONTROLS) \
	RULE(GUEST_64BIT_PAE, \
	     "\"IA-32e mode guest\" takes CR4.PAE (bit 5)", \
	     WHEN(ENTRY(IA32E_GUEST), V(GUEST_CR4) & CR4_PAE), \
	     VMCS_GUEST_CR4, VMCS_ENTRY_CONTROLS) \
	RULE(GUEST_32BIT_PCIDE, "CR4.PCIDE (bit 17) takes \"IA-32e mode guest\"", \
	     WHEN(!ENTRY(IA32E_GUEST), !(V(GUEST_CR4) & CR4_PCIDE)), \
	     VMCS_GUEST_CR4, VMCS_ENTRY_CONTROLS) \
	RULE(GUEST_32BIT_FRED, "CR4.FRED (bit 32) takes \"IA-32e mode guest\"", \
	     WHEN(!ENTRY(IA32E_GUEST), !(V(GUEST_CR4) & CR4_FRED)), \
	     VMCS_GUEST_CR4, VMCS_ENTRY_CONTROLS) \
	RULE(GUEST_CR3_WIDTH, "it must be within the physical-address width", \
	     audit_cr3_fits(a, V(GUEST_CR3)), VMCS_GUEST_CR3) \
	RULE(GUEST_DR7, "bits 63:32 must be 0", \
	     WHEN(ENTRY(LOAD_DEBUG_CONTROLS), !(V(GUEST_DR7) & HIGH_HALF)), VMCS_GUEST_DR7) \
	RULE(GUEST_SYSENTER_ESP, "it must be canonical", \
	     audit_canonical(a, V(GUEST_SYSENTER_ESP)), VMCS_GUEST_SYSENTER_ESP) \
	RULE(GUEST_SYSENTER_EIP, "it must be canonical", \
	     audit_canonical(a, V(GUEST_SYSENTER_EIP)), VMCS_GUEST_SYSENTER_EIP) \
	RULE(GUEST_PERF_GLOBAL_CTRL, "only bits of counters that the CPU has may be 1", \
	     WHEN(ENTRY(LOAD_PERF_GLOBAL_CTRL), \
		  audit_lacks(a, V(GUEST_PERF_GLOBAL_CTRL), ~a->info->perf_global_ctrl)), \
	     VMCS_GUEST_PERF_GLOBAL_CTRL) \
	RULE(GUEST_PAT, "each of its bytes must be 0, 1, 4, 5, 6 or 7", \
	     WHEN(ENTRY(LOAD_PAT), audit_is_pat(V(GUEST_PAT))), VMCS_GUEST_PAT) \
	RULE(GUEST_EFER_RESERVED, "bits other than SCE, LME, LMA and NXE must be 0", \
	     WHEN(ENTRY(LOAD_EFER), audit_lacks(a, V(GUEST_EFER), ~EFER_BITS)), VMCS_GUEST_EFER) \
	RULE(GUEST_EFER_LMA, "LMA (bit 10) must be as \"IA-32e mode guest\" is", \
	     WHEN(ENTRY(LOAD_EFER), lma_suits(a)), VMCS_GUEST_EFER, VMCS_ENTRY_CONTROLS) \
	RULE(GUEST_EFER_LME, "with CR0.PG LME (bit 8) must be as LMA (bit 10) is", \
	     WHEN(ENTRY(LOAD_EFER) && V(GUEST_CR0) & CR0_PG, lme_suits(a)), \
	     VMCS_GUEST_EFER, VMCS_GUEST_CR0) \
	RULE(GUEST_BNDCFGS_RESERVED, "bits 11:2 must be 0", \
	     WHEN(ENTRY(LOAD_BNDCFGS), !(V(GUEST_BNDCFGS) & BNDCFGS_RESERVED)), \
	     VMCS_GUEST_BNDCFGS) \
	RULE(GUEST_BNDCFGS_BASE, "the address in bits 63:12 must be canonical", \
	     WHEN(ENTRY(LOAD_BNDCFGS), audit_canonical(a, V(GUEST_BNDCFGS) & BNDCFGS_BASE)), \
	     VMCS_GUEST_BNDCFGS) \
	RULE(GUEST_RTIT_CTL, "bits that no CPU has must be 0", \
	     WHEN(ENTRY(LOAD_RTIT_CTL), audit_lacks(a, V(GUEST_RTIT_CTL), RTIT_RESERVED)), \
	     VMCS_GUEST_RTIT_CTL) \
	RULE(GUEST_S_CET, "bits 9:6 must be 0, bits 11 and 10 not both 1", \
	     WHEN(ENTRY(LOAD_CET), audit_is_cet(V(GUEST_S_CET))), VMCS_GUEST_S_CET) \
	RULE(GUEST_S_CET_CANONICAL, "it must be canonical", \
	     WHEN(ENTRY(LOAD_CET), audit_canonical(a, V(GUEST_S_CET))), VMCS_GUEST_S_CET) \
	RULE(GUEST_SSP_TABLE, "it must be canonical", \
	     WHEN(ENTRY(LOAD_CET), audit_canonical(a, V(GUEST_SSP_TABLE))), VMCS_GUEST_SSP_TABLE) \
	RULE(GUEST_LBR_CTL, "bits other than 22:16 and 3:0 must be 0", \
	     WHEN(ENTRY(LOAD_LBR_CTL), audit_lacks(a, V(GUEST_LBR_CTL), ~LBR_CTL_BITS)), \
	     VMCS_GUEST_LBR_CTL) \
	RULE(GUEST_PKRS, "bits 63:32 must be 0", \
	     WHEN(ENTRY(LOAD_PKRS), !(V(GUEST_PKRS) & HIGH_HALF)), VMCS_GUEST_PKRS) \
	RULE(GUEST_SPEC_CTRL, "bits that no CPU has must be 0", \
	     WHEN(ENTRY(LOAD_SPEC_CTRL), audit_is_spec_ctrl(a, V(GUEST_SPEC_CTRL))), \
	     VMCS_GUEST_SPEC_CTRL) \
	RULE(GUEST_UINV, "bits 15:8 must be 0", \
	     WHEN(ENTRY(LOAD_UINV), V(GUEST_UINV) <= UINV_MAX), VMCS_GUEST_UINV) \
	RULE(GUEST_FRED_CONFIG, "bits 11, 5:4 and 2 must be 0, and the address canonical", \
	     WHEN(ENTRY(LOAD_FRED), audit_is_fred_config(a, V(GUEST_FRED_CONFIG))), \
	     VMCS_GUEST_FRED_CONFIG) \
	FRED_RSP(1) FRED_RSP(2) FRED_RSP(3) \
	FRED_SSP(1) FRED_SSP(2) FRED_SSP(3) \
}

#include "audit/table.h"
