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
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

/* What a function of yours returns until it is written. */
#define MISSING() ({ pr_err("%s() is missing\n", __func__); -EOPNOTSUPP; })

/* --- VMCS fields: SDM 3D, appendix "Field Encoding in VMCS" ------------------ */

enum field {
	VPID = 0x0,
	GUEST_ES_SELECTOR = 0x800, GUEST_CS_SELECTOR = 0x802, GUEST_SS_SELECTOR = 0x804,
	GUEST_DS_SELECTOR = 0x806, GUEST_FS_SELECTOR = 0x808, GUEST_GS_SELECTOR = 0x80a,
	GUEST_LDTR_SELECTOR = 0x80c, GUEST_TR_SELECTOR = 0x80e,
	HOST_ES_SELECTOR = 0xc00, HOST_CS_SELECTOR = 0xc02, HOST_SS_SELECTOR = 0xc04,
	HOST_DS_SELECTOR = 0xc06, HOST_FS_SELECTOR = 0xc08, HOST_GS_SELECTOR = 0xc0a,
	HOST_TR_SELECTOR = 0xc0c,

	EPT_POINTER = 0x201a, GUEST_PHYSICAL = 0x2400,
	VMCS_LINK_POINTER = 0x2800, GUEST_DEBUGCTL = 0x2802,

	PIN_CONTROLS = 0x4000, PROC_CONTROLS = 0x4002, EXCEPTION_BITMAP = 0x4004,
	CR3_TARGET_COUNT = 0x400a, EXIT_CONTROLS = 0x400c, EXIT_MSR_STORE_COUNT = 0x400e,
	EXIT_MSR_LOAD_COUNT = 0x4010, ENTRY_CONTROLS = 0x4012, ENTRY_MSR_LOAD_COUNT = 0x4014,
	ENTRY_INTERRUPTION_INFO = 0x4016,
	PROC2_CONTROLS = 0x401e,
	INSTRUCTION_ERROR = 0x4400, EXIT_REASON = 0x4402,

	GUEST_ES_LIMIT = 0x4800, GUEST_CS_LIMIT = 0x4802, GUEST_SS_LIMIT = 0x4804,
	GUEST_DS_LIMIT = 0x4806, GUEST_FS_LIMIT = 0x4808, GUEST_GS_LIMIT = 0x480a,
	GUEST_LDTR_LIMIT = 0x480c, GUEST_TR_LIMIT = 0x480e,
	GUEST_GDTR_LIMIT = 0x4810, GUEST_IDTR_LIMIT = 0x4812,
	GUEST_ES_RIGHTS = 0x4814, GUEST_CS_RIGHTS = 0x4816, GUEST_SS_RIGHTS = 0x4818,
	GUEST_DS_RIGHTS = 0x481a, GUEST_FS_RIGHTS = 0x481c, GUEST_GS_RIGHTS = 0x481e,
	GUEST_LDTR_RIGHTS = 0x4820, GUEST_TR_RIGHTS = 0x4822,
	GUEST_INTERRUPTIBILITY = 0x4824, GUEST_ACTIVITY = 0x4826, GUEST_SYSENTER_CS = 0x482a,
	HOST_SYSENTER_CS = 0x4c00,

	EXIT_QUALIFICATION = 0x6400,
	GUEST_CR0 = 0x6800, GUEST_CR3 = 0x6802, GUEST_CR4 = 0x6804,
	GUEST_ES_BASE = 0x6806, GUEST_CS_BASE = 0x6808, GUEST_SS_BASE = 0x680a,
	GUEST_DS_BASE = 0x680c, GUEST_FS_BASE = 0x680e, GUEST_GS_BASE = 0x6810,
	GUEST_LDTR_BASE = 0x6812, GUEST_TR_BASE = 0x6814,
	GUEST_GDTR_BASE = 0x6816, GUEST_IDTR_BASE = 0x6818, GUEST_DR7 = 0x681a,
	GUEST_RSP = 0x681c, GUEST_RIP = 0x681e, GUEST_RFLAGS = 0x6820,
	GUEST_PENDING_DEBUG = 0x6822, GUEST_SYSENTER_ESP = 0x6824, GUEST_SYSENTER_EIP = 0x6826,
	HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02, HOST_CR4 = 0x6c04,
	HOST_FS_BASE = 0x6c06, HOST_GS_BASE = 0x6c08, HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c, HOST_IDTR_BASE = 0x6c0e,
	HOST_SYSENTER_ESP = 0x6c10, HOST_SYSENTER_EIP = 0x6c12,
	HOST_RSP = 0x6c14, HOST_RIP = 0x6c16,
};

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

/* --- the VMX instructions: 0, or one of these -------------------------------- */

enum vmx_result {
	VMX_FAULT = -ENXIO,	/* #UD or #GP: not in VMX operation, say */
	VMX_FAIL_INVALID = 1,	/* VMfailInvalid: there is no current VMCS to tell why */
	VMX_FAIL_VALID = 2,	/* VMfailValid: INSTRUCTION_ERROR has the number of why */
};

/* VMfailInvalid sets CF, VMfailValid ZF: SDM 3C, "Conventions". MOV leaves flags alone. */
#define VMX_INSTRUCTION(text, ...) ({					\
	int result_ = VMX_FAULT;					\
									\
	asm volatile("1: " text "\n\t"					\
		     "mov $1, %[result]\n\t"				\
		     "jc 2f\n\t"					\
		     "mov $2, %[result]\n\t"				\
		     "jz 2f\n\t"					\
		     "xor %[result], %[result]\n"			\
		     "2:\n"						\
		     _ASM_EXTABLE(1b, 2b)				\
		     : [result] "+r" (result_)				\
		     : __VA_ARGS__ : "cc", "memory");			\
	result_; })

static inline int vmxon(u64 hpa)
{
	return VMX_INSTRUCTION("vmxon %[hpa]", [hpa] "m" (hpa));
}

static inline int vmxoff(void)
{
	return VMX_INSTRUCTION("vmxoff");
}

static inline int vmclear(u64 hpa)
{
	return VMX_INSTRUCTION("vmclear %[hpa]", [hpa] "m" (hpa));
}

static inline int vmptrld(u64 hpa)
{
	return VMX_INSTRUCTION("vmptrld %[hpa]", [hpa] "m" (hpa));
}

static inline u64 vmread(enum field field)
{
	u64 value = 0;

	asm volatile("1: vmread %[field], %[value]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [value] "+r" (value) : [field] "r" ((u64)field) : "cc");
	return value;
}

/* What can't be written is said, and the VM entry will fail for it. */
static inline void vmwrite(enum field field, u64 value)
{
	if (VMX_INSTRUCTION("vmwrite %[value], %[field]",
			    [value] "r" (value), [field] "r" ((u64)field)))
		pr_err("VMWRITE of field %#x failed\n", field);
}

/* Says what came of an instruction that is called @name. */
static inline int vmx_said(const char *name, int result)
{
	if (result == VMX_FAULT)
		pr_err("%s: #UD or #GP\n", name);
	else if (result == VMX_FAIL_INVALID)
		pr_err("%s: VMfailInvalid\n", name);
	else if (result == VMX_FAIL_VALID)
		pr_err("%s: VMfailValid, VM-instruction error %llu\n", name,
		       vmread(INSTRUCTION_ERROR));
	return result > 0 ? -EIO : result;
}

/* --- registers of the host that C has no words for --------------------------- */

static inline u64 read_msr(u32 index)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (index));
	return low | (u64)high << 32;
}

/* Behind the kernel's back: set back what you set before interrupts are on again. */
static inline void set_cr4(u64 cr4)
{
	asm volatile("mov %0, %%cr4" : : "r" (cr4) : "memory");
}

static inline struct desc_ptr gdtr(void)
{
	struct desc_ptr gdt;

	native_store_gdt(&gdt);
	return gdt;
}

static inline struct desc_ptr idtr(void)
{
	struct desc_ptr idt;

	store_idt(&idt);
	return idt;
}

/* TR's segment: its descriptor in the GDT has the base in four pieces. */
#define TR_SELECTOR	(GDT_ENTRY_TSS * 8)

static inline u64 tr_base(void)
{
	struct desc_ptr gdt = gdtr();
	const struct ldttss_desc *tss = (void *)(gdt.address + TR_SELECTOR);

	return tss->base0 | (u64)tss->base1 << 16 | (u64)tss->base2 << 24 |
	       (u64)tss->base3 << 32;
}

/*
 * A VM exit loads bases from the host-state area, but not limits: GDTR's and IDTR's are
 * FFFFH after it, and TR's is 67H, which cuts off the bitmap of ports that programs may use
 * (SDM 3C, "Loading Host Segment and Descriptor-Table Registers").
 */
static inline void put_back_limits(struct desc_ptr gdt, struct desc_ptr idt)
{
	native_load_gdt(&gdt);
	native_load_idt(&idt);
	invalidate_tss_limit();
}

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
	error = launch(write, &rax);
	put_back_limits(gdt, idt);
	if (!error)
		error = say_exit(gpa, write, rax);
	vmclear(hpa_of(vmcs));
	return error;
}

/*
 * From the first to the second of these the emulated CPU writes down each instruction: the
 * grader reads that. Elsewhere they do nothing.
 */
static inline void record(void)
{
	asm volatile("xchg %bx, %bx");
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
