/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As compat.h, of the CPU: what the kernel has for MSRs, CPUID, CR4, breakpoints, and
 * what it lets none but KVM have.
 *
 * VEE_EXPORTED_NAME is set by Kbuild when any module may have that symbol. Where vee may
 * not, it does the same itself.
 */
#ifndef _VEE_COMPAT_CPU_H
#define _VEE_COMPAT_CPU_H

#include <linux/cpu.h>
#include <linux/percpu.h>
#include <linux/types.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>

/* --- CPUID and MSRs -------------------------------------------------------- */

#ifdef VEE_HAVE_CPUID_API
#include <asm/cpuid/api.h>
#endif

#ifndef VEE_HAVE_RDMSRQ
#define rdmsrq		rdmsrl
#define rdmsrq_safe	rdmsrl_safe
#define wrmsrq		wrmsrl
#define wrmsrq_safe	wrmsrl_safe
#endif

/* Without the kernel's detour for tracing. */
static __always_inline void vee_wrmsr(u32 index, u64 value)
{
#ifdef VEE_HAVE_WRMSRQ_RAW
	__wrmsrq(index, value);
#else
	__wrmsr(index, (u32)value, value >> 32);
#endif
}

/* --- VMX operation --------------------------------------------------------- */

/* Few CPUs can trace in VMX operation; others' tracer must know of it. */
#if defined(VEE_EXPORTED_INTEL_PT_HANDLE_VMX) || !IS_ENABLED(CONFIG_PERF_EVENTS)
#define VEE_TELLS_TRACER	true

static inline u64 vee_pause_tracer(void)
{
	intel_pt_handle_vmx(1);
	return 0;
}

static inline void vee_resume_tracer(u64 control)
{
	intel_pt_handle_vmx(0);
}
#else
#define VEE_TELLS_TRACER	false

/* VMXON ends a trace (SDM 3C, "Tracing of VMX Operation"). For as long as no one misses it. */
static inline u64 vee_pause_tracer(void)
{
	return __rdmsr(MSR_IA32_RTIT_CTL);
}

static inline void vee_resume_tracer(u64 control)
{
	if (control & RTIT_CTL_TRACEEN && !(__rdmsr(MSR_IA32_RTIT_CTL) & RTIT_CTL_TRACEEN))
		vee_wrmsr(MSR_IA32_RTIT_CTL, control);
}
#endif

/*
 * Linux writes CR4 from a copy of its own, and one without VMXE would be #GP in VMX
 * operation: so VMX stays on only where that copy can be told.
 */
#ifdef VEE_EXPORTED_CR4_UPDATE_IRQSOFF
#define VEE_CAN_STAY	VEE_TELLS_TRACER

static inline void vee_set_vmxe(void)
{
	cr4_set_bits_irqsoff(X86_CR4_VMXE);
}

static inline void vee_clear_vmxe(void)
{
	cr4_clear_bits_irqsoff(X86_CR4_VMXE);
}
#else
#define VEE_CAN_STAY	false

static inline void vee_set_vmxe(void)
{
}

static inline void vee_clear_vmxe(void)
{
}
#endif

/* --- mitigations ------------------------------------------------------------ */

/* Indirect branch prediction barrier. */
#if defined(VEE_EXPORTED_X86_PRED_CMD) || defined(VEE_EXPORTED_WRITE_IBPB)
static inline void vee_ibpb(void)
{
	indirect_branch_prediction_barrier();
}
#else
static inline void vee_ibpb(void)
{
	if (boot_cpu_has(X86_FEATURE_IBPB) && !cpu_mitigations_off())
		vee_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}
#endif

/*
 * L1TF. If nobody but KVM learns what l1tf= says, it may have said "full": whoever trusts
 * in that must not be let down.
 */
#ifdef VEE_EXPORTED_L1TF_MITIGATION
static inline bool vee_l1tf_off(void)
{
	return l1tf_mitigation == L1TF_MITIGATION_OFF;
}

static inline bool vee_l1tf_full(void)
{
	return l1tf_mitigation >= L1TF_MITIGATION_FULL;
}
#else
static inline bool vee_l1tf_off(void)
{
	return cpu_mitigations_off();
}

static inline bool vee_l1tf_full(void)
{
	return true;
}
#endif

/* --- the host's breakpoints -------------------------------------------------- */

/* DR0 to DR3. */
static inline void vee_read_breakpoints(u64 dr[4])
{
	get_debugreg(dr[0], 0);
	get_debugreg(dr[1], 1);
	get_debugreg(dr[2], 2);
	get_debugreg(dr[3], 3);
}

static inline void vee_write_breakpoints(const u64 dr[4])
{
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

/**
 * struct vee_breakpoints - of the host's, while the guest's are in the CPU
 * @dr: DR0 to DR3
 * @taken: from vee_breakpoints_take() to vee_breakpoints_put_back()
 */
struct vee_breakpoints {
	u64 dr[4];
	bool taken;
};

#ifdef VEE_EXPORTED_HW_BREAKPOINT_RESTORE
static inline void vee_breakpoints_take(struct vee_breakpoints *host)
{
}

static inline void vee_breakpoints_put_back(struct vee_breakpoints *host)
{
}

static inline void vee_breakpoints_enable(void)
{
	hw_breakpoint_restore();
}
#else
/*
 * Within one bracket: with interrupts on perf changes DR0 to DR3. The guest's may be
 * loaded twice in one.
 */
static inline void vee_breakpoints_take(struct vee_breakpoints *host)
{
	if (host->taken)
		return;
	vee_read_breakpoints(host->dr);
	host->taken = true;
}

static inline void vee_breakpoints_put_back(struct vee_breakpoints *host)
{
	if (!host->taken)
		return;
	vee_write_breakpoints(host->dr);
	host->taken = false;
}

static inline void vee_breakpoints_enable(void)
{
	set_debugreg(DR6_RESERVED, 6);
	set_debugreg(__this_cpu_read(cpu_dr7), 7);
}
#endif

#endif /* _VEE_COMPAT_CPU_H */
