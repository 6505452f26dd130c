// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody else who uses VMX, for selftests/taken.c: once, on one CPU, as it is loaded,
 * where it finds a CPU in VMX operation already; and doesn't put back what it found, in
 * one of the ways that there are.
 *
 *	insmod owner.ko cpu=1 leaves=off
 */
#define pr_fmt(fmt) "owner: " fmt

#include <linux/bits.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>

#include "vmx/insn.h"

enum leaves {
	LEAVES_ALL,	/* the VMCS that it found, current again */
	LEAVES_NONE,	/* its own VMCS was current, and none is now */
	LEAVES_VMCS,	/* its own VMCS, current */
	LEAVES_OFF,	/* VMX operation left, CR4.VMXE set */
	LEAVES_CLEAR,	/* VMX operation left, CR4.VMXE clear */
	LEAVES_ANEW,	/* VMX operation left, entered again, its own VMCS current */
};

static const char *const names[] = {
	[LEAVES_ALL] = "all",
	[LEAVES_NONE] = "none",
	[LEAVES_VMCS] = "vmcs",
	[LEAVES_OFF] = "off",
	[LEAVES_CLEAR] = "clear",
	[LEAVES_ANEW] = "anew",
};

static int cpu;
module_param(cpu, int, 0444);
MODULE_PARM_DESC(cpu, "Where");

static char *leaves = "all";
module_param(leaves, charp, 0444);
MODULE_PARM_DESC(leaves, "What it leaves behind: all, none, vmcs, off, clear, anew");

/* Its VMXON region and VMCS. */
static u32 *region[2];
static u64 hpa[2];

struct job {
	enum leaves leaves;
	int error;
};

static int use(enum leaves what)
{
	u64 theirs;
	int error = vmptrst(&theirs);

	if (!error && what >= LEAVES_OFF)
		error = vmxoff();
	if (!error && what == LEAVES_ANEW)
		error = vmxon(&hpa[0]);
	if (what == LEAVES_CLEAR)
		asm volatile("mov %0, %%cr4" : :
			     "r" (native_read_cr4() & ~X86_CR4_VMXE) : "memory");
	if (error || what == LEAVES_OFF || what == LEAVES_CLEAR)
		return error;
	error = vmclear(&hpa[1]) ?: vmptrld(&hpa[1]);
	if (!error && what == LEAVES_NONE)
		error = vmclear(&hpa[1]);
	if (!error && what == LEAVES_ALL)
		error = vmclear(&hpa[1]) ?: vmptrld(&theirs);
	return error;
}

static void use_here(void *info)
{
	struct job *job = info;

	job->error = use(job->leaves);
}

static void read_vmxe(void *info)
{
	*(bool *)info = native_read_cr4() & X86_CR4_VMXE;
}

/* Reads as CR4.VMXE of that CPU, 0 or 1. */
static int get_vmxe(char *text, const struct kernel_param *param)
{
	bool vmxe = false;
	int error = smp_call_function_single(cpu, read_vmxe, &vmxe, true);

	return error ?: sysfs_emit(text, "%d\n", vmxe);
}

static const struct kernel_param_ops vmxe_ops = { .get = get_vmxe };
module_param_cb(vmxe, &vmxe_ops, NULL, 0444);
MODULE_PARM_DESC(vmxe, "CR4.VMXE of that CPU");

static void free_regions(void)
{
	free_page((unsigned long)region[0]);
	free_page((unsigned long)region[1]);
}

/* SDM 3D, appendix "Basic VMX Information": the VMCS revision identifier. */
static u32 revision_id(void)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (MSR_IA32_VMX_BASIC));
	return low & GENMASK(30, 0);
}

static int alloc_regions(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		region[i] = (u32 *)get_zeroed_page(GFP_KERNEL);
		if (!region[i])
			return -ENOMEM;
		*region[i] = revision_id();
		hpa[i] = __pa(region[i]);
	}
	return 0;
}

static int __init owner_init(void)
{
	struct job job = { .leaves = match_string(names, ARRAY_SIZE(names), leaves) };
	int error = (int)job.leaves < 0 ? -EINVAL : alloc_regions();

	error = error ?: smp_call_function_single(cpu, use_here, &job, true);
	error = error ?: job.error;
	if (error)
		free_regions();
	return error;
}

/* Nothing of its is active any more, so that its pages can go. */
static void clear_here(void *unused)
{
	vmclear(&hpa[1]);
}

static void __exit owner_exit(void)
{
	smp_call_function_single(cpu, clear_here, NULL, true);
	free_regions();
}

module_init(owner_init);
module_exit(owner_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Somebody else who uses VMX, for tests of vee");
