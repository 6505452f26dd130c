/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lab 7: what has the CPU use your tables: VMX operation for as long as a step takes, and a
 * guest that touches one page. How that is done is lab 8.
 */
#ifndef LAB_HARNESS_H
#define LAB_HARNESS_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

#include "vmx.h"

/* What a function of yours returns until it is written. */
#define MISSING() ({ pr_err("%s() is missing\n", __func__); -EOPNOTSUPP; })

/* Controls: SDM 3C, "VM-Execution Control Fields", "VM-Exit Control Fields" and so on. */
#define PROC_SECONDARY		BIT(31)
#define PROC2_EPT		BIT(1)
#define PROC2_VPID		BIT(5)
#define PROC2_UNRESTRICTED	BIT(7)	/* real mode, without paging */
#define EXIT_HOST_64		BIT(9)	/* "host address-space size" */

/* Access rights: SDM 3C, "Guest Register State". */
#define RIGHTS_CODE	0x9b
#define RIGHTS_DATA	0x93
#define RIGHTS_TSS	0x8b
#define RIGHTS_LDT	0x82

/* Exit reasons: SDM 3D, appendix "VMX Basic Exit Reasons". */
#define REASON_VMCALL		18
#define REASON_EPT_VIOLATION	48
#define REASON_EPT_MISCONFIGURED	49
#define REASON_FAILED		BIT(31)	/* the VM entry failed: no guest ran */

/* --- pages ------------------------------------------------------------------- */

#define TABLES	64
#define PAGES	8	/* guest page n is page n % 8 of these, which begins with 1000H + n % 8 */

static u64 *vmxon_region, *vmcs, *code, *pages[PAGES], *tables[TABLES];
static unsigned int tables_used;

/* A table with nothing in it; NULL: no more. */
static inline u64 *table_alloc(void)
{
	return tables_used < TABLES ? tables[tables_used++] : NULL;
}

static inline u64 hpa_of(const void *table)
{
	return __pa(table);
}

static inline u64 *table_at(u64 hpa)
{
	return __va(hpa);
}

/* The CPU forgets what it remembers of the tables that @eptp names. */
static inline int invept(u64 eptp)
{
	const struct { u64 eptp, zero; } descriptor = { .eptp = eptp };

	return VMX_INSTRUCTION("invept %[descriptor], %[type]",
			       [descriptor] "m" (descriptor), [type] "r" (1ULL));
}

static void free_pages_of(u64 **page, unsigned int n)
{
	while (n--)
		free_page((unsigned long)page[n]);
}

static int alloc_pages_of(u64 **page, unsigned int n)
{
	unsigned int i;
	bool all = true;

	for (i = 0; i < n; i++) {
		page[i] = (u64 *)get_zeroed_page(GFP_KERNEL);
		all &= !!page[i];
	}
	return all ? 0 : -ENOMEM;
}

static void harness_free(void)
{
	free_pages_of(&vmxon_region, 1);
	free_pages_of(&vmcs, 1);
	free_pages_of(&code, 1);
	free_pages_of(pages, PAGES);
	free_pages_of(tables, TABLES);
}

/* --- the guest --------------------------------------------------------------- */

#define CODE_GFN	1

/* Real mode. CL: 0 reads the word at the beginning of DS to AX, 1 writes AX there. */
static const u8 guest[] = {
	0x84, 0xc9,		/* test %cl, %cl */
	0x75, 0x06,		/* jnz 1f */
	0xa1, 0x00, 0x00,	/* mov 0, %ax */
	0x0f, 0x01, 0xc1,	/* vmcall */
	0xa3, 0x00, 0x00,	/* 1: mov %ax, 0 */
	0x0f, 0x01, 0xc1,	/* vmcall */
};

static int harness_alloc(void)
{
	int i, error = alloc_pages_of(&vmxon_region, 1) ?: alloc_pages_of(&vmcs, 1) ?:
		       alloc_pages_of(&code, 1) ?: alloc_pages_of(pages, PAGES) ?:
		       alloc_pages_of(tables, TABLES);

	if (error)
		return error;
	memcpy(code, guest, sizeof(guest));
	for (i = 0; i < PAGES; i++)
		*(u16 *)pages[i] = 0x1000 + i;
	return 0;
}

static u32 adjust(u32 wanted, u32 msr)
{
	u64 allowed = read_msr(msr);

	return (wanted | (u32)allowed) & (allowed >> 32);
}

static void write_controls(u64 eptp)
{
	vmwrite(PIN_CONTROLS, adjust(0, MSR_IA32_VMX_PINBASED_CTLS));
	vmwrite(PROC_CONTROLS, adjust(PROC_SECONDARY, MSR_IA32_VMX_TRUE_PROCBASED_CTLS));
	vmwrite(PROC2_CONTROLS, PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED);
	vmwrite(EXIT_CONTROLS, adjust(EXIT_HOST_64, MSR_IA32_VMX_EXIT_CTLS));
	vmwrite(ENTRY_CONTROLS, adjust(0, MSR_IA32_VMX_ENTRY_CTLS));
	vmwrite(VPID, 1);
	vmwrite(EPT_POINTER, eptp);
	vmwrite(VMCS_LINK_POINTER, ~0ULL);
}

static void write_segment(u32 after_es, u64 base, u32 limit, u32 rights)
{
	vmwrite(GUEST_ES_SELECTOR + after_es, 0);
	vmwrite(GUEST_ES_BASE + after_es, base);
	vmwrite(GUEST_ES_LIMIT + after_es, limit);
	vmwrite(GUEST_ES_RIGHTS + after_es, rights);
}

/* Fields that are not here are 0, as the whole page was. */
static void write_guest(u64 gpa)
{
	u32 of;

	for (of = 0; of <= GUEST_GS_SELECTOR - GUEST_ES_SELECTOR; of += 2)
		write_segment(of, 0, 0xffff, RIGHTS_DATA);
	write_segment(GUEST_CS_SELECTOR - GUEST_ES_SELECTOR, CODE_GFN << 12, 0xffff, RIGHTS_CODE);
	write_segment(GUEST_DS_SELECTOR - GUEST_ES_SELECTOR, gpa, 0xffff, RIGHTS_DATA);
	write_segment(GUEST_LDTR_SELECTOR - GUEST_ES_SELECTOR, 0, 0, RIGHTS_LDT);
	write_segment(GUEST_TR_SELECTOR - GUEST_ES_SELECTOR, 0, 0xffff, RIGHTS_TSS);
	vmwrite(GUEST_CR0, read_msr(MSR_IA32_VMX_CR0_FIXED0) & ~(X86_CR0_PE | X86_CR0_PG));
	vmwrite(GUEST_CR4, read_msr(MSR_IA32_VMX_CR4_FIXED0));
	vmwrite(GUEST_RIP, 0);
	vmwrite(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	vmwrite(GUEST_DR7, 0x400);
}

static void write_host(void)
{
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, __read_cr3());
	vmwrite(HOST_CR4, native_read_cr4());
	vmwrite(HOST_CS_SELECTOR, __KERNEL_CS);
	vmwrite(HOST_SS_SELECTOR, __KERNEL_DS);
	vmwrite(HOST_TR_SELECTOR, TR_SELECTOR);
	vmwrite(HOST_FS_BASE, read_msr(MSR_FS_BASE));
	vmwrite(HOST_GS_BASE, read_msr(MSR_GS_BASE));
	vmwrite(HOST_TR_BASE, tr_base());
	vmwrite(HOST_GDTR_BASE, gdtr().address);
	vmwrite(HOST_IDTR_BASE, idtr().address);
	vmwrite(HOST_SYSENTER_CS, read_msr(MSR_IA32_SYSENTER_CS));
	vmwrite(HOST_SYSENTER_ESP, read_msr(MSR_IA32_SYSENTER_ESP));
	vmwrite(HOST_SYSENTER_EIP, read_msr(MSR_IA32_SYSENTER_EIP));
}

/* A VM exit goes on at HOST_RIP with CF and ZF clear, a VMLAUNCH that fails with one set. */
static noinline int launch(bool write, u64 *rax)
{
	u64 rcx = write;
	u8 failed;

	asm volatile("push %%rbp\n\t"
		     "mov %[host_rsp], %%ebx\n\t"
		     "vmwrite %%rsp, %%rbx\n\t"
		     "mov %[host_rip], %%ebx\n\t"
		     "lea 1f(%%rip), %%rdi\n\t"
		     "vmwrite %%rdi, %%rbx\n\t"
		     "vmlaunch\n"
		     "1:\tsetbe %%dl\n\t"
		     "pop %%rbp"
		     : "=&d" (failed), "+a" (*rax), "+c" (rcx)
		     : [host_rsp] "i" (HOST_RSP), [host_rip] "i" (HOST_RIP)
		     : "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
		       "r14", "r15", "cc", "memory");
	return failed ? vmx_said("VMLAUNCH", VMX_FAIL_VALID) : 0;
}

/* What the guest's access came to. */
static int say_exit(u64 gpa, bool write, u16 ax)
{
	u32 reason = vmread(EXIT_REASON);
	u64 why = vmread(EXIT_QUALIFICATION);

	if (reason == REASON_EPT_VIOLATION)
		pr_info("EPT violation at gpa %#llx: %s\n", vmread(GUEST_PHYSICAL),
			why & BIT(2) ? "fetch" : why & BIT(1) ? "write" : "read");
	else if (reason == REASON_EPT_MISCONFIGURED)
		pr_info("EPT misconfiguration at gpa %#llx\n", vmread(GUEST_PHYSICAL));
	else if (reason != REASON_VMCALL)
		pr_info("VM exit %#x, which is none of this lab's\n", reason);
	else if (write)
		pr_info("the guest wrote %#x at gpa %#llx\n",
			*(u16 *)pages[(gpa >> 12) % PAGES], gpa);
	else
		pr_info("the guest read %#x at gpa %#llx\n", ax, gpa);
	return 0;
}

/*
 * From the first to the second of these the emulated CPU writes down each instruction: the
 * grader reads that. Elsewhere they do nothing.
 */
static inline void record(void)
{
	asm volatile("xchg %bx, %bx");
}

/* One entry: the guest touches the page at @gpa. In VMX operation. */
static int touch(u64 eptp, u64 gpa, bool write)
{
	const struct desc_ptr gdt = gdtr(), idt = idtr();
	u64 rax = 0x7000 + (gpa >> 12) % PAGES;
	int error;

	*(u32 *)vmcs = read_msr(MSR_IA32_VMX_BASIC) & GENMASK(30, 0);
	error = vmx_said("VMCLEAR", vmclear(hpa_of(vmcs))) ?:
		vmx_said("VMPTRLD", vmptrld(hpa_of(vmcs)));
	if (error)
		return error;
	write_controls(eptp);
	write_guest(gpa);
	write_host();
	record();
	error = launch(write, &rax);
	record();
	put_back_limits(gdt, idt);
	if (!error)
		error = say_exit(gpa, write, rax);
	vmclear(hpa_of(vmcs));
	return error;
}

/* --- a step: @step() in VMX operation, with interrupts off ------------------- */

static int in_vmx(int (*step)(const char *text), const char *text)
{
	unsigned long flags;
	u64 cr4;
	int error;

	local_irq_save(flags);
	cr4 = native_read_cr4();
	if (cr4 & X86_CR4_VMXE) {
		local_irq_restore(flags);
		pr_err("somebody else uses VMX: rmmod vee\n");
		return -EBUSY;
	}
	*(u32 *)vmxon_region = read_msr(MSR_IA32_VMX_BASIC) & GENMASK(30, 0);
	set_cr4(cr4 | X86_CR4_VMXE);
	error = vmx_said("VMXON", vmxon(hpa_of(vmxon_region)));
	if (!error) {
		error = step(text);
		vmxoff();
	}
	set_cr4(cr4);
	local_irq_restore(flags);
	return error;
}

#endif
