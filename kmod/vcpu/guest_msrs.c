// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MSRs of SYSCALL, SWAPGS and RDTSCP, which the guest and the host have in turn.
 *
 * The guest writes these through msr.c, but for IA32_KERNEL_GS_BASE, which SWAPGS
 * changes without an exit. Those of SYSCALL mean nothing while the guest's
 * IA32_EFER.SCE is clear, and stay the host's: the guest's RDMSR exits. IA32_CSTAR stays so
 * always: nothing uses it, as compatibility mode has no SYSCALL (SDM 4, "Architectural
 * MSRs").
 *
 * KVM leaves its guest's values in the CPU until that returns to user mode, and
 * remembers what it left. So while it may be there they are no constants: what is there
 * is put back. And it has an interrupt that takes what it finds for the host's: so none
 * may come while they are swapped.
 */
#include "vcpu/guest_msrs.h"

DEFINE_PER_CPU(struct vee_msrs, host_msrs);

static void read_syscall_msrs(struct vee_msrs *host)
{
	host->star = __rdmsr(MSR_STAR);
	host->lstar = __rdmsr(MSR_LSTAR);
	host->sfmask = __rdmsr(MSR_SYSCALL_MASK);
}

void guest_msrs_init_cpu(void)
{
	struct vee_msrs *host = this_cpu_ptr(&host_msrs);

	read_syscall_msrs(host);
	if (caps_has(VEE_FEATURE_RDTSCP))
		host->tsc_aux = __rdmsr(MSR_TSC_AUX);
}

static __always_inline void change_syscall_msrs(const struct vee_msrs *from,
						const struct vee_msrs *to)
{
	msr_change(MSR_STAR, from->star, to->star);
	msr_change(MSR_LSTAR, from->lstar, to->lstar);
	msr_change(MSR_SYSCALL_MASK, from->sfmask, to->sfmask);
}

void guest_msrs_load_syscall(struct guest_msrs *msrs)
{
	if (unlikely(!this_cpu_read(vmx_resident)))
		read_syscall_msrs(this_cpu_ptr(&host_msrs));
	change_syscall_msrs(this_cpu_ptr(&host_msrs), &msrs->values);
	msrs->syscall_loaded = true;
}

void guest_msrs_unload_syscall(struct guest_msrs *msrs)
{
	change_syscall_msrs(&msrs->values, this_cpu_ptr(&host_msrs));
	msrs->syscall_loaded = false;
}

void guest_msrs_load_tsc_aux(struct guest_msrs *msrs)
{
	msr_put(MSR_TSC_AUX, msrs->values.tsc_aux);
	msrs->tsc_aux_loaded = true;
}

void guest_msrs_put_away(struct guest_msrs *msrs)
{
	if (msrs->tsc_aux_loaded)
		msr_change(MSR_TSC_AUX, msrs->values.tsc_aux, this_cpu_read(host_msrs.tsc_aux));
	msrs->tsc_aux_loaded = false;
	if (msrs->syscall_loaded)
		guest_msrs_unload_syscall(msrs);
}

void guest_msrs_set(struct guest_msrs *msrs, const struct vee_msrs *from)
{
	if (msrs->syscall_loaded)
		guest_msrs_unload_syscall(msrs);
	msrs->values = *from;
	if (msrs->syscall_enabled)
		guest_msrs_load_syscall(msrs);
	msr_put(MSR_KERNEL_GS_BASE, from->kernel_gs_base);
	if (caps_has(VEE_FEATURE_RDTSCP))
		guest_msrs_load_tsc_aux(msrs);
}

void guest_msrs_get(struct guest_msrs *msrs, struct vee_msrs *to)
{
	msrs->values.kernel_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	to->star = msrs->values.star;
	to->lstar = msrs->values.lstar;
	to->cstar = msrs->values.cstar;
	to->sfmask = msrs->values.sfmask;
	to->kernel_gs_base = msrs->values.kernel_gs_base;
	to->tsc_aux = msrs->values.tsc_aux;
}
