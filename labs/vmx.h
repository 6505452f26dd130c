/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What labs 7 and 8 have of VMX without vee: the numbers of VMCS fields, the VMX instructions
 * as functions, and registers of the host.
 */
#ifndef LAB_VMX_H
#define LAB_VMX_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/printk.h>
#include <linux/types.h>
#include <asm/asm.h>
#include <asm/desc.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

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

#endif /* LAB_VMX_H */
