// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 8: a hypervisor of one's own. README.md says what is to be done.
 *
 *	insmod hv.ko
 *	echo vmxon >/sys/module/hv/parameters/run	VMX operation, and out of it
 *	echo vmcs >/sys/module/hv/parameters/run	with a VMCS
 *	echo 20 >/sys/module/hv/parameters/run		with a guest, which is given 20
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>

#include "hv.h"

/* A page each, that the CPU keeps its own things in. */
static u32 *vmxon_region, *vmcs;

/* --- task "vmxon" --- */

/* Into VMX operation. */
static int vmx_on(void)
{
	/* vmxon_region, its first four bytes; set_cr4(); vmxon(), of a physical address */
	return MISSING();
}

/* And out of it: as if nothing had been. */
static void vmx_off(void)
{
}

/* --- task "vmcs" --- */

/* A VMCS that has never been launched, and is the current one. */
static int vmcs_begin(void)
{
	/* vmcs, its first four bytes; vmclear(), vmptrld() */
	return MISSING();
}

/* The CPU keeps nothing of it back. */
static void vmcs_end(void)
{
}

/* --- task "launch" --- */

/* What the guest may, and what entries and exits do besides. */
static void write_controls(void)
{
	/* vmwrite(PIN_CONTROLS, ...) and so on; MSR_IA32_VMX_PINBASED_CTLS and so on */
}

/* The kernel's own address space, and its CPU as it is, but at hv_guest(). */
static void write_guest(void)
{
}

/* What a VM exit is to load: what is there now. RSP and RIP come with the entry. */
static void write_host(void)
{
}

/* The entry, with @number in RDX, and back. */
static noinline int launch(u32 number)
{
	return MISSING();
}

/* --- task "exit" --- */

/* Why it came back. Of an OUT the qualification has the port in its upper half. */
static int handle_exit(u32 number)
{
	/* On success: */
	if (false)
		pr_info("VM exit %u: the guest made %llu of %u\n", 0, 0ULL, number);
	return MISSING();
}

/* --- the order of things: the lab's ------------------------------------------ */

enum step { STEP_VMXON, STEP_VMCS, STEP_GUEST };

static int run_guest(u32 number)
{
	const struct desc_ptr gdt = gdtr(), idt = idtr();
	int error;

	write_controls();
	write_guest();
	write_host();
	error = launch(number);
	put_back_limits(gdt, idt);
	if (error)
		return error;
	return handle_exit(number);
}

static int run_vmcs(enum step last, u32 number)
{
	int error = vmcs_begin();

	if (error)
		return error;
	pr_info("VMCS: current\n");
	if (last == STEP_GUEST)
		error = run_guest(number);
	vmcs_end();
	return error;
}

/* With interrupts off, so that nobody else has this CPU meanwhile. */
static int run_here(enum step last, u32 number)
{
	int error = vmx_on();

	if (error)
		return error;
	pr_info("VMXON: in VMX operation\n");
	if (last != STEP_VMXON)
		error = run_vmcs(last, number);
	vmx_off();
	return error;
}

/* May VMX be used, and does nobody else? */
static int check_cpu(void)
{
	const u64 usable = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;

	if (!boot_cpu_has(X86_FEATURE_VMX)) {
		pr_err("this CPU has no VMX\n");
		return -ENODEV;
	}
	if ((read_msr(MSR_IA32_FEAT_CTL) & usable) != usable) {
		pr_err("the firmware has VMX off\n");
		return -EPERM;
	}
	if (native_read_cr4() & X86_CR4_VMXE) {
		pr_err("somebody else uses VMX: rmmod vee\n");
		return -EBUSY;
	}
	return 0;
}

static int run_on(enum step last, u32 number)
{
	unsigned long flags;
	int error;

	local_irq_save(flags);
	error = check_cpu();
	if (!error) {
		hv_record();
		error = run_here(last, number);
		hv_record();
		error = hv_look_back() ?: error;
	}
	local_irq_restore(flags);
	return error;
}

static int set_run(const char *text, const struct kernel_param *param)
{
	u32 number = 0;

	if (sysfs_streq(text, "vmxon"))
		return run_on(STEP_VMXON, 0);
	if (sysfs_streq(text, "vmcs"))
		return run_on(STEP_VMCS, 0);
	return kstrtou32(text, 0, &number) ?: run_on(STEP_GUEST, number);
}

static const struct kernel_param_ops run_ops = { .set = set_run };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "How far to go: vmxon, vmcs, or a number for the guest");

static int __init hv_init(void)
{
	vmxon_region = (u32 *)get_zeroed_page(GFP_KERNEL);
	vmcs = (u32 *)get_zeroed_page(GFP_KERNEL);
	if (vmxon_region && vmcs)
		return 0;
	free_page((unsigned long)vmxon_region);
	free_page((unsigned long)vmcs);
	return -ENOMEM;
}

static void __exit hv_exit(void)
{
	free_page((unsigned long)vmxon_region);
	free_page((unsigned long)vmcs);
}

module_init(hv_init);
module_exit(hv_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A hypervisor of one's own");
