/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MSRs of SYSCALL, SWAPGS and RDTSCP, which no VMCS keeps.
 */
#ifndef _VEE_GUEST_MSRS_H
#define _VEE_GUEST_MSRS_H

#include <linux/compiler.h>
#include <linux/percpu.h>
#include <linux/types.h>
#include <asm/msr.h>

#include "compat_cpu.h"
#include "linux/vee.h"
#include "vmx/caps.h"
#include "vmx/held.h"

/**
 * struct guest_msrs - the guest's
 * @values: of which those that no VMCS keeps count
 * @syscall_enabled: IA32_EFER.SCE
 * @syscall_loaded: those of @values that SYSCALL uses are in the CPU
 * @tsc_aux_loaded: ... and IA32_TSC_AUX, which differs from the host's
 * @has_tsc_aux: the guest has IA32_TSC_AUX
 */
struct guest_msrs {
	struct vee_msrs values;
	bool syscall_enabled;
	bool syscall_loaded;
	bool tsc_aux_loaded;
	bool has_tsc_aux;
};

/*
 * Around each exit to the caller: so without the kernel's detour for tracing, and
 * without a loop over a table.
 */
static __always_inline void msr_put(u32 index, u64 value)
{
	vee_wrmsr(index, value);
}

static __always_inline void msr_change(u32 index, u64 from, u64 to)
{
	if (from != to)
		msr_put(index, to);
}

/*
 * The kernel sets these once, when it brings a CPU up; of the others none is here. What
 * they are where VMX is resident, and elsewhere what they were before the guest's.
 */
DECLARE_PER_CPU(struct vee_msrs, host_msrs);

/* On a CPU where VMX becomes resident. */
void guest_msrs_init_cpu(void);
void guest_msrs_load_syscall(struct guest_msrs *msrs);
void guest_msrs_unload_syscall(struct guest_msrs *msrs);
/* Inside the bracket: the guest's from there on. */
void guest_msrs_load_tsc_aux(struct guest_msrs *msrs);
/* At its end, if one is loaded. */
void guest_msrs_put_away(struct guest_msrs *msrs);
/* With the guest's state loaded: from and to the vCPU page. */
void guest_msrs_set(struct guest_msrs *msrs, const struct vee_msrs *from);
void guest_msrs_get(struct guest_msrs *msrs, struct vee_msrs *to);

/* Around a stretch. @host_gs_base: where the caller's GS base is kept meanwhile */
static inline void guest_msrs_load(struct guest_msrs *msrs, u64 *host_gs_base)
{
	*host_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	msr_change(MSR_KERNEL_GS_BASE, *host_gs_base, msrs->values.kernel_gs_base);
}

static inline void guest_msrs_unload(struct guest_msrs *msrs, u64 host_gs_base)
{
	msrs->values.kernel_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	msr_change(MSR_KERNEL_GS_BASE, msrs->values.kernel_gs_base, host_gs_base);
}

/* The others, inside the bracket. */
static __always_inline void guest_msrs_enter(struct guest_msrs *msrs)
{
	if (caps_has(VEE_FEATURE_RDTSCP)) {
		if (unlikely(!this_cpu_read(vmx_resident)))
			this_cpu_write(host_msrs.tsc_aux, __rdmsr(MSR_TSC_AUX));
		if (this_cpu_read(host_msrs.tsc_aux) != msrs->values.tsc_aux)
			guest_msrs_load_tsc_aux(msrs);
	}
	if (msrs->syscall_enabled)
		guest_msrs_load_syscall(msrs);
}

static __always_inline void guest_msrs_leave(struct guest_msrs *msrs)
{
	if (msrs->syscall_loaded | msrs->tsc_aux_loaded)
		guest_msrs_put_away(msrs);
}

#endif /* _VEE_GUEST_MSRS_H */
