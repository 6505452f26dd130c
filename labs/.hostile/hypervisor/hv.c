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

/* Bits 30:0 of IA32_VMX_BASIC: SDM 3D, appendix "Basic VMX Information". */
static u32 revision_id(void)
{
	return read_msr(MSR_IA32_VMX_BASIC) & GENMASK(30, 0);
}

/* --- task "vmxon" --- */

/* Into VMX operation. */
static int vmx_on(void)
{
	int error;

	vmxon_region[0] = revision_id();
	set_cr4(native_read_cr4() | X86_CR4_VMXE);
	error = vmx_said("VMXON", vmxon(__pa(vmxon_region)));
	if (error)
		set_cr4(native_read_cr4() & ~X86_CR4_VMXE);
	return error;
}

/* And out of it: as if nothing had been. */
static void vmx_off(void)
{
	vmx_said("VMXOFF", vmxoff());
	set_cr4(native_read_cr4() & ~X86_CR4_VMXE);
}

/* --- task "vmcs" --- */

/* A VMCS that has never been launched, and is the current one. */
static int vmcs_begin(void)
{
	vmcs[0] = revision_id();
	return vmx_said("VMCLEAR", vmclear(__pa(vmcs))) ?:
	       vmx_said("VMPTRLD", vmptrld(__pa(vmcs)));
}

/* The CPU keeps nothing of it back. */
static void vmcs_end(void)
{
	vmx_said("VMCLEAR", vmclear(__pa(vmcs)));
}

/* --- task "launch" --- */

/* What of @wanted may be: the MSR's low half has what must be 1, its high half what may. */
static u32 adjust(u32 wanted, u32 msr)
{
	u64 allowed = read_msr(msr);

	return (wanted | (u32)allowed) & (allowed >> 32);
}

static void write_controls(void)
{
	vmwrite(PIN_CONTROLS, adjust(0, MSR_IA32_VMX_PINBASED_CTLS));
	vmwrite(PROC_CONTROLS, adjust(PROC_UNCONDITIONAL_IO, MSR_IA32_VMX_PROCBASED_CTLS));
	vmwrite(EXIT_CONTROLS, adjust(EXIT_HOST_64, MSR_IA32_VMX_EXIT_CTLS));
	vmwrite(ENTRY_CONTROLS, adjust(ENTRY_GUEST_64, MSR_IA32_VMX_ENTRY_CTLS));
	vmwrite(EXCEPTION_BITMAP, 0);
	vmwrite(CR3_TARGET_COUNT, 0);
	vmwrite(EXIT_MSR_STORE_COUNT, 0);
	vmwrite(EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(ENTRY_INTERRUPTION_INFO, 0);
}

/* A segment register of the guest's, by how far its fields are behind those of ES. */
static void write_segment(u32 after_es, u16 selector, u64 base, u32 limit, u32 rights)
{
	vmwrite(GUEST_ES_SELECTOR + after_es, selector);
	vmwrite(GUEST_ES_BASE + after_es, base);
	vmwrite(GUEST_ES_LIMIT + after_es, limit);
	vmwrite(GUEST_ES_RIGHTS + after_es, rights);
}

static void write_guest_segments(void)
{
	u32 of;

	for (of = 0; of <= GUEST_LDTR_SELECTOR - GUEST_ES_SELECTOR; of += 2)
		write_segment(of, 0, 0, 0, RIGHTS_UNUSABLE);
	write_segment(GUEST_CS_SELECTOR - GUEST_ES_SELECTOR, __KERNEL_CS, 0, ~0U, RIGHTS_CODE64);
	write_segment(GUEST_SS_SELECTOR - GUEST_ES_SELECTOR, __KERNEL_DS, 0, ~0U, RIGHTS_DATA);
	write_segment(GUEST_TR_SELECTOR - GUEST_ES_SELECTOR, TR_SELECTOR, tr_base(), 0x67,
		      RIGHTS_TSS);
}

/* The kernel's own address space, and its CPU as it is, but at hv_guest(). */
static void write_guest(void)
{
	write_guest_segments();
	vmwrite(GUEST_CR0, read_cr0());
	vmwrite(GUEST_CR3, __read_cr3());
	vmwrite(GUEST_CR4, native_read_cr4());
	vmwrite(GUEST_GDTR_BASE, gdtr().address);
	vmwrite(GUEST_GDTR_LIMIT, gdtr().size);
	vmwrite(GUEST_IDTR_BASE, idtr().address);
	vmwrite(GUEST_IDTR_LIMIT, idtr().size);
	vmwrite(GUEST_RIP, (u64)hv_guest);
	vmwrite(GUEST_RSP, 0);
	vmwrite(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	vmwrite(GUEST_DR7, 0x400);
	vmwrite(GUEST_DEBUGCTL, 0);
	vmwrite(GUEST_SYSENTER_CS, 0);
	vmwrite(GUEST_SYSENTER_ESP, 0);
	vmwrite(GUEST_SYSENTER_EIP, 0);
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmwrite(GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_LINK_POINTER, ~0ULL);
}

/* What a VM exit is to load: what is there now. RSP and RIP come with the entry. */
static void write_host(void)
{
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, __read_cr3());
	vmwrite(HOST_CR4, native_read_cr4());
	vmwrite(HOST_CS_SELECTOR, __KERNEL_CS);
	vmwrite(HOST_SS_SELECTOR, __KERNEL_DS);
	vmwrite(HOST_DS_SELECTOR, 0);
	vmwrite(HOST_ES_SELECTOR, 0);
	vmwrite(HOST_FS_SELECTOR, 0);
	vmwrite(HOST_GS_SELECTOR, 0);
	vmwrite(HOST_TR_SELECTOR, TR_SELECTOR);
	vmwrite(HOST_FS_BASE, read_msr(MSR_FS_BASE));
	vmwrite(HOST_TR_BASE, tr_base());
	vmwrite(HOST_GDTR_BASE, gdtr().address);
	vmwrite(HOST_IDTR_BASE, idtr().address);
	vmwrite(HOST_SYSENTER_CS, read_msr(MSR_IA32_SYSENTER_CS));
	vmwrite(HOST_SYSENTER_ESP, read_msr(MSR_IA32_SYSENTER_ESP));
	vmwrite(HOST_SYSENTER_EIP, read_msr(MSR_IA32_SYSENTER_EIP));
}

/*
 * The entry, and back. A VM exit goes on at HOST_RIP with CF and ZF clear; VMLAUNCH that
 * fails goes on behind itself with one of them set. So it is the same place. What the
 * guest leaves in the general registers is there, all but RSP.
 */
static noinline int launch(u32 number)
{
	u64 rdx = number;
	u8 failed;

	asm volatile("push %%rbp\n\t"
		     "mov %[host_rsp], %%eax\n\t"
		     "vmwrite %%rsp, %%rax\n\t"
		     "mov %[host_rip], %%eax\n\t"
		     "lea 1f(%%rip), %%rcx\n\t"
		     "vmwrite %%rcx, %%rax\n\t"
		     "vmlaunch\n"
		     "1:\tsetbe %%al\n\t"
		     "pop %%rbp"
		     : "=&a" (failed), "+d" (rdx)
		     : [host_rsp] "i" (HOST_RSP), [host_rip] "i" (HOST_RIP)
		     : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
		       "r14", "r15", "cc", "memory");
	if (!failed)
		return 0;
	return vmx_said("VMLAUNCH", vmread(INSTRUCTION_ERROR) ? VMX_FAIL_VALID :
								 VMX_FAIL_INVALID);
}

/* --- task "exit" --- */

/* Why it came back. Of an OUT the qualification has the port in its upper half. */
static int handle_exit(u32 number)
{
	u32 reason = vmread(EXIT_REASON);
	u64 qualification = vmread(EXIT_QUALIFICATION);

	if (reason & REASON_FAILED) {
		pr_err("VM entry failed: exit reason %#x\n", reason);
		return -EIO;
	}
	if (reason != REASON_IO) {
		pr_err("VM exit %u: not the guest's OUT\n", reason);
		return -EIO;
	}
	pr_info("VM exit %u: the guest made %llu of %u\n", reason, qualification >> 16, number);
	return 0;
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
