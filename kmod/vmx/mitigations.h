/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The names that kernels have for what a guest calls for on an affected CPU. The
 * kernel decides at boot whether a CPU is affected; what it calls that must not change
 * unseen. So a name that is not there stops the build: either the kernel has another,
 * which belongs in here, or it is too old to know of the attack.
 *
 * Who knows better: VEE_WITHOUT="BHB VMSCAPE" in make's environment leaves out those
 * named, where the kernel has no name for them. It has no effect on the others.
 */
#ifndef _VEE_VMX_MITIGATIONS_H
#define _VEE_VMX_MITIGATIONS_H

#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#ifdef __ASSEMBLER__
#include <asm/alternative.h>
#include <asm/nospec-branch.h>
#endif

/* Branch history injection: the guest's branch history steers none of the kernel's. */
#if defined(X86_FEATURE_CLEAR_BHB_VMEXIT)
#define VEE_CLEARS_BHB	X86_FEATURE_CLEAR_BHB_VMEXIT
#elif defined(X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT)
#define VEE_CLEARS_BHB	X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#elif !defined(VEE_WITHOUT_BHB)
#error "vee: BHB: no X86_FEATURE_CLEAR_BHB_VMEXIT (against BHI); or VEE_WITHOUT=BHB"
#endif

/* MDS, TAA, RFDS: nothing of the host's stays in the CPU's buffers. */
#ifdef X86_FEATURE_CLEAR_CPU_BUF
#define VEE_CLEARS_BUFFERS
#elif !defined(VEE_WITHOUT_VERW)
#error "vee: VERW: no X86_FEATURE_CLEAR_CPU_BUF (against MDS, TAA and RFDS); or VEE_WITHOUT=VERW"
#endif

/* Spectre v2: no RET goes where the guest's CALLs were. */
#if defined(X86_FEATURE_RSB_VMEXIT) && defined(X86_FEATURE_RSB_VMEXIT_LITE)
#define VEE_FILLS_RSB
#elif !defined(VEE_WITHOUT_RSB)
#error "vee: RSB: no X86_FEATURE_RSB_VMEXIT and _LITE (against Spectre v2); or VEE_WITHOUT=RSB"
#endif

/* Retbleed: after a VM exit legacy IBRS wants its bit written anew. */
#ifdef X86_FEATURE_KERNEL_IBRS
#define VEE_WRITES_IBRS
#elif !defined(VEE_WITHOUT_IBRS)
#error "vee: IBRS: no X86_FEATURE_KERNEL_IBRS (against Retbleed); or VEE_WITHOUT=IBRS"
#endif

/* VMSCAPE: no branch that the guest has trained steers the caller's program. */
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
#define VEE_SHIELDS_USER
#elif !defined(VEE_WITHOUT_VMSCAPE)
#error "vee: VMSCAPE: no X86_FEATURE_IBPB_EXIT_TO_USER (against VMSCAPE); or VEE_WITHOUT=VMSCAPE"
#endif

/* What all kernels that vee builds for have, and can't do without. */
#if !defined(X86_BUG_L1TF) || !defined(X86_FEATURE_FLUSH_L1D) || \
	!defined(MSR_IA32_FLUSH_CMD)
#error "vee: L1TF: no X86_BUG_L1TF, X86_FEATURE_FLUSH_L1D or MSR_IA32_FLUSH_CMD"
#endif
#ifndef X86_BUG_MMIO_STALE_DATA
#error "vee: MMIO: no X86_BUG_MMIO_STALE_DATA"
#endif
#ifndef X86_BUG_ITLB_MULTIHIT
#error "vee: MULTIHIT: no X86_BUG_ITLB_MULTIHIT"
#endif

#ifdef __ASSEMBLER__
/* What the kernel's own macros refer to, if that is KVM's alone, is in mitigations.S. */
#if !defined(VEE_EXPORTED_X86_VERW_SEL) && !defined(VEE_EXPORTED_MDS_VERW_SEL)
#undef CLEAR_CPU_BUFFERS
#undef VM_CLEAR_CPU_BUFFERS
#define VERW_IF(feature)	ALTERNATIVE "", "verw vmx_verw_selector(%rip)", feature
#define CLEAR_CPU_BUFFERS	VERW_IF(X86_FEATURE_CLEAR_CPU_BUF)
#define VM_CLEAR_CPU_BUFFERS	VERW_IF(X86_FEATURE_CLEAR_CPU_BUF_VM)
#endif

#ifdef VEE_EXPORTED_CLEAR_BHB_LOOP
#define CLEAR_HISTORY		CLEAR_BRANCH_HISTORY_VMEXIT
#elif defined(VEE_CLEARS_BHB)
#define CLEAR_HISTORY		ALTERNATIVE "", "call vmx_clear_history", VEE_CLEARS_BHB
#endif
#endif /* __ASSEMBLER__ */

#endif /* _VEE_VMX_MITIGATIONS_H */
