/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX instructions (SDM 3C, chapter "VMX Instruction Reference").
 *
 * Each has an exception-table entry: a fault (a CPU that left VMX operation
 * behind our back, say) is an error like VMfail, not an oops. All return 0 or
 * -EIO; after VMfailValid the VMCS field VM_INSTRUCTION_ERROR has the reason.
 *
 * VMfailInvalid sets CF and VMfailValid ZF (SDM 3C, "Conventions"): JNA takes
 * both.
 */
#ifndef _VEE_VMX_INSN_H
#define _VEE_VMX_INSN_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/types.h>
#include <asm/asm.h>

static inline int vmxon(const u64 *hpa)
{
	asm goto("1: vmxon %[hpa]\n\t"
		 "jna %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : [hpa] "m" (*hpa) : "cc", "memory" : fail);
	return 0;
fail:
	return -EIO;
}

/* It can only fault: at its end CF and ZF are clear. */
static inline int vmxoff(void)
{
	asm goto("1: vmxoff\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : : "cc", "memory" : fail);
	return 0;
fail:
	return -EIO;
}

static inline int vmclear(const u64 *hpa)
{
	asm goto("1: vmclear %[hpa]\n\t"
		 "jna %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : [hpa] "m" (*hpa) : "cc", "memory" : fail);
	return 0;
fail:
	return -EIO;
}

static inline int vmptrld(const u64 *hpa)
{
	asm goto("1: vmptrld %[hpa]\n\t"
		 "jna %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : [hpa] "m" (*hpa) : "cc", "memory" : fail);
	return 0;
fail:
	return -EIO;
}

/* Of no VMCS that is current. SDM 3C, "VMPTRST". */
#define NO_VMCS			(~0ULL)

/* Gives the current VMCS. It can only fault. */
static inline int vmptrst(u64 *hpa)
{
	asm goto("1: vmptrst (%[hpa])\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : [hpa] "r" (hpa) : "memory" : fail);
	return 0;
fail:
	return -EIO;
}

static inline int vmwrite_raw(u32 field, u64 value)
{
	asm goto("1: vmwrite %[value], %[field]\n\t"
		 "jna %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : [value] "rm" (value), [field] "r" ((u64)field) : "cc" : fail);
	return 0;
fail:
	return -EIO;
}

static inline int vmread_raw(u32 field, u64 *value)
{
	u64 read;

	/* GCC before 14 takes one with an output for free of side effects otherwise. */
	asm_goto_output("1: vmread %[field], %[read]\n\t"
			"jna %l[fail]\n\t"
			_ASM_EXTABLE(1b, %l[fail])
			: [read] "=r" (read)
			: [field] "r" ((u64)field)
			: "cc" : fail);
	*value = read;
	return 0;
fail:
	*value = 0;
	return -EIO;
}

/* INVEPT and INVVPID descriptors (SDM 3C, the instructions' own pages). */
struct invept_descriptor {
	u64 eptp;
	u64 reserved;
};

struct invvpid_descriptor {
	u64 vpid;
	u64 gva;
};

#define INVALIDATE_SINGLE_CONTEXT	1ULL
#define INVALIDATE_ALL_CONTEXTS		2ULL

static inline int invept(u64 type, u64 eptp)
{
	struct invept_descriptor descriptor = { .eptp = eptp };

	asm goto("1: invept %[descriptor], %[type]\n\t"
		 "jna %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : [descriptor] "m" (descriptor), [type] "r" (type)
		 : "cc", "memory" : fail);
	return 0;
fail:
	return -EIO;
}

static inline int invvpid(u64 type, u16 vpid)
{
	struct invvpid_descriptor descriptor = { .vpid = vpid };

	asm goto("1: invvpid %[descriptor], %[type]\n\t"
		 "jna %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : [descriptor] "m" (descriptor), [type] "r" (type)
		 : "cc", "memory" : fail);
	return 0;
fail:
	return -EIO;
}

#endif /* _VEE_VMX_INSN_H */
