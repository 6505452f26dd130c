// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_host_registers
#define AUDIT_SECTION	"Checks on Host Control Registers, MSRs, and SSP"

static bool efer_suits(struct audit *a, uint64_t bit)
{
	return !!(V(HOST_EFER) & bit) == !!EXIT(HOST_64BIT);
}

#define FRED_RSP(n) \
	RULE(HOST_FRED_RSP##n, "it must be canonical, and a multiple of 64", \
	     WHEN(EXIT2(LOAD_FRED), audit_is_fred_rsp(a, V(HOST_FRED_RSP##n))), \
	     VMCS_HOST_FRED_RSP##n)
#define FRED_SSP(n) \
	RULE(HOST_FRED_SSP##n, "it must be canonical, and a multiple of 8", \
	     WHEN(EXIT2(LOAD_FRED), audit_is_fred_ssp(a, V(HOST_FRED_SSP##n))), \
	     VMCS_HOST_FRED_SSP##n)

#define RULES { \
	RULE(HOST_CR0_FIXED0, "bits that are 1 in IA32_VMX_CR0_FIXED0 must be 1", \
	     audit_has(a, V(HOST_CR0), a->info->vmx_cr0_fixed0), VMCS_HOST_CR0) \
	RULE(HOST_CR0_FIXED1, "bits that are 0 in IA32_VMX_CR0_FIXED1 must be 0", \
	     audit_lacks(a, V(HOST_CR0), ~a->info->vmx_cr0_fixed1), VMCS_HOST_CR0) \
	RULE(HOST_CR4_FIXED0, "bits that are 1 in IA32_VMX_CR4_FIXED0 must be 1", \
	     audit_has(a, V(HOST_CR4), a->info->vmx_cr4_fixed0), VMCS_HOST_CR4) \
	RULE(HOST_CR4_FIXED1, "bits that are 0 in IA32_VMX_CR4_FIXED1 must be 0", \
	     audit_lacks(a, V(HOST_CR4), ~a->info->vmx_cr4_fixed1), VMCS_HOST_CR4) \
	RULE(HOST_CR4_CET, "CET (bit 23) takes CR0.WP (bit 16)", \
	     WHEN(V(HOST_CR4) & CR4_CET, V(HOST_CR0) & CR0_WP), VMCS_HOST_CR4, VMCS_HOST_CR0) \
	RULE(HOST_CR3_WIDTH, "it must be within the physical-address width", \
	     audit_cr3_fits(a, V(HOST_CR3)), VMCS_HOST_CR3) \
	RULE(HOST_SYSENTER_ESP, "it must be canonical", \
	     audit_canonical(a, V(HOST_SYSENTER_ESP)), VMCS_HOST_SYSENTER_ESP) \
	RULE(HOST_SYSENTER_EIP, "it must be canonical", \
	     audit_canonical(a, V(HOST_SYSENTER_EIP)), VMCS_HOST_SYSENTER_EIP) \
	RULE(HOST_PERF_GLOBAL_CTRL, "only bits of counters that the CPU has may be 1", \
	     WHEN(EXIT(LOAD_PERF_GLOBAL_CTRL), \
		  audit_lacks(a, V(HOST_PERF_GLOBAL_CTRL), ~a->info->perf_global_ctrl)), \
	     VMCS_HOST_PERF_GLOBAL_CTRL) \
	RULE(HOST_PAT, "each of its bytes must be 0, 1, 4, 5, 6 or 7", \
	     WHEN(EXIT(LOAD_PAT), audit_is_pat(V(HOST_PAT))), VMCS_HOST_PAT) \
	RULE(HOST_EFER_RESERVED, "bits other than SCE, LME, LMA and NXE must be 0", \
	     WHEN(EXIT(LOAD_EFER), audit_lacks(a, V(HOST_EFER), ~EFER_BITS)), VMCS_HOST_EFER) \
	RULE(HOST_EFER_LMA, "LMA must be as \"host address-space size\" is", \
	     WHEN(EXIT(LOAD_EFER), efer_suits(a, EFER_LMA)), VMCS_HOST_EFER, VMCS_EXIT_CONTROLS) \
	RULE(HOST_EFER_LME, "LME must be as \"host address-space size\" is", \
	     WHEN(EXIT(LOAD_EFER), efer_suits(a, EFER_LME)), VMCS_HOST_EFER, VMCS_EXIT_CONTROLS) \
	RULE(HOST_S_CET, "bits 9:6 must be 0, bits 11 and 10 not both 1", \
	     WHEN(EXIT(LOAD_CET), audit_is_cet(V(HOST_S_CET))), VMCS_HOST_S_CET) \
	RULE(HOST_S_CET_CANONICAL, "it must be canonical", \
	     WHEN(EXIT(LOAD_CET), audit_canonical(a, V(HOST_S_CET))), VMCS_HOST_S_CET) \
	RULE(HOST_SSP_ALIGNED, "bits 1:0 must be 0", \
	     WHEN(EXIT(LOAD_CET), !(V(HOST_SSP) & BITS(1, 0))), VMCS_HOST_SSP) \
	RULE(HOST_SSP_CANONICAL, "it must be canonical", \
	     WHEN(EXIT(LOAD_CET), audit_canonical(a, V(HOST_SSP))), VMCS_HOST_SSP) \
	RULE(HOST_SSP_TABLE, "it must be canonical", \
	     WHEN(EXIT(LOAD_CET), audit_canonical(a, V(HOST_SSP_TABLE))), VMCS_HOST_SSP_TABLE) \
	RULE(HOST_PKRS, "bits 63:32 must be 0", \
	     WHEN(EXIT(LOAD_PKRS), !(V(HOST_PKRS) & HIGH_HALF)), VMCS_HOST_PKRS) \
	RULE(HOST_SPEC_CTRL, "bits that no CPU has must be 0", \
	     WHEN(EXIT2(LOAD_SPEC_CTRL), audit_is_spec_ctrl(a, V(HOST_SPEC_CTRL))), \
	     VMCS_HOST_SPEC_CTRL) \
	RULE(HOST_FRED_CONFIG, "bits 11, 5:4 and 2 must be 0, and the address canonical", \
	     WHEN(EXIT2(LOAD_FRED), audit_is_fred_config(a, V(HOST_FRED_CONFIG))), \
	     VMCS_HOST_FRED_CONFIG) \
	FRED_RSP(1) FRED_RSP(2) FRED_RSP(3) \
	FRED_SSP(1) FRED_SSP(2) FRED_SSP(3) \
}

#include "audit/table.h"
