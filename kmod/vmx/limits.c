// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the CPU's checks of a VM entry go by, for a program that repeats them. vee
 * itself needs none of it but the fixed bits of CR0 and CR4.
 */
#include <linux/bits.h>
#include <linux/cache.h>
#include <linux/minmax.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "compat_cpu.h"
#include "vmx/caps.h"
#include "vmx/controls.h"
#include "vmx/limits.h"

/* SDM 3D, appendix "VMX Capability Reporting Facility"; older kernels lack the last two. */
#define VMX_VMFUNC		0x491
#define VMX_PROCBASED_CTLS3	0x492
#define VMX_EXIT_CTLS2		0x493

/* SDM 2A, "CPUID" */
#define LEAF_FEATURES		0x7
#define LEAF_PERFMON		0xa
#define LEAF_ADDRESS_BITS	0x80000008

/* IA32_PERF_GLOBAL_CTRL: the fixed-function counters begin here. */
#define PERF_FIXED_SHIFT	32
#define PERF_COUNTERS_MAX	32

/* That MSR is there if @word may have @control. */
static u64 msr_behind(enum vmx_word word, u32 control, u32 msr)
{
	u64 value;

	if (!(vee_caps.allowed[word] >> 32 & control) || rdmsrq_safe(msr, &value))
		return 0;
	return value;
}

static u64 counters(u32 count)
{
	return GENMASK_ULL(PERF_COUNTERS_MAX, 0) >> 1 >>
	       (PERF_COUNTERS_MAX - min_t(u32, count, PERF_COUNTERS_MAX));
}

/* SDM 3B, "Architectural Performance Monitoring Version 2" and "Version 5" */
static u64 perf_global_ctrl(void)
{
	u32 eax, ebx, ecx, edx;

	if (cpuid_eax(0) < LEAF_PERFMON)
		return 0;
	cpuid(LEAF_PERFMON, &eax, &ebx, &ecx, &edx);
	if ((eax & 0xff) < 2)
		return 0;
	return counters(eax >> 8 & 0xff) |
	       (counters(edx & 0x1f) | ecx) << PERF_FIXED_SHIFT;
}

/* Asked once, as the module is loaded: CPUID may be a VM exit of its own. */
static struct vee_info limits __ro_after_init;

static void limits_read(struct vee_info *info)
{
	u32 width = cpuid_eax(LEAF_ADDRESS_BITS), eax, edx;

	info->vmx_cr0_fixed0 = vee_caps.cr0_fixed0;
	info->vmx_cr0_fixed1 = vee_caps.cr0_fixed1;
	info->vmx_cr4_fixed0 = vee_caps.cr4_fixed0;
	info->vmx_cr4_fixed1 = vee_caps.cr4_fixed1;
	info->vmx_vmfunc = msr_behind(VMX_PROC2, PROC2_VM_FUNCTIONS, VMX_VMFUNC);
	info->vmx_proc3 = msr_behind(VMX_PROC, PROC_TERTIARY_CONTROLS, VMX_PROCBASED_CTLS3);
	info->vmx_exit2 = msr_behind(VMX_EXIT, EXIT_SECONDARY_CONTROLS, VMX_EXIT_CTLS2);
	info->perf_global_ctrl = perf_global_ctrl();
	info->phys_bits = width & 0xff;
	info->linear_bits = width >> 8 & 0xff;
	cpuid_count(LEAF_FEATURES, 0, &eax, &info->cpuid_7_ebx, &info->cpuid_7_ecx, &edx);
}

int limits_init(void)
{
	limits_read(&limits);
	return 0;
}

#define FIRST_LIMIT	offsetof(struct vee_info, vmx_cr0_fixed0)

void limits_tell(struct vee_info *info)
{
	memcpy((u8 *)info + FIRST_LIMIT, (u8 *)&limits + FIRST_LIMIT,
	       sizeof(limits) - FIRST_LIMIT);
}
