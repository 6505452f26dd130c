/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX instructions (SDM 3C, chapter "VMX Instruction Reference").
 *
 * Each has an exception-table entry: a fault (a CPU that left VMX operation
 * behind our back, say) is an error like VMfail, not an oops. All return 0 or
 * -EIO; after VMfailValid the VMCS field VM_INSTRUCTION_ERROR has the reason.
 */
#ifndef _VEE_VMX_INSN_H
#define _VEE_VMX_INSN_H

#include <linux/errno.h>
#include <linux/types.h>
#include <asm/asm.h>

/* CF: VMfailInvalid, ZF: VMfailValid (SDM 3C, "Conventions"). */
#define VMX_INSN(insn, operands...)					\
({									\
	__label__ fail;							\
	int error = 0;							\
									\
	asm goto("1: " insn "\n\t"					\
		 "jna %l[fail]\n\t"					\
		 _ASM_EXTABLE(1b, %l[fail])				\
		 : : operands : "cc", "memory" : fail);			\
	if (0)								\
fail:		error = -EIO;						\
	error;								\
})

static inline int vmxon(u64 hpa)
{
	return VMX_INSN("vmxon %[hpa]", [hpa] "m" (hpa));
}

static inline int vmxoff(void)
{
	/* VMXOFF clears CF and ZF. */
	return VMX_INSN("vmxoff", "i" (0));
}

static inline int vmclear(u64 hpa)
{
	return VMX_INSN("vmclear %[hpa]", [hpa] "m" (hpa));
}

static inline int vmptrld(u64 hpa)
{
	return VMX_INSN("vmptrld %[hpa]", [hpa] "m" (hpa));
}

static inline int vmwrite_raw(u32 field, u64 value)
{
	return VMX_INSN("vmwrite %[value], %[field]",
			[value] "rm" (value), [field] "r" ((u64)field));
}

static inline int vmread_raw(u32 field, u64 *value)
{
	u64 read;

	asm goto("1: vmread %[field], %[read]\n\t"
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

	return VMX_INSN("invept %[descriptor], %[type]",
			[descriptor] "m" (descriptor), [type] "r" (type));
}

static inline int invvpid(u64 type, u16 vpid)
{
	struct invvpid_descriptor descriptor = { .vpid = vpid };

	return VMX_INSN("invvpid %[descriptor], %[type]",
			[descriptor] "m" (descriptor), [type] "r" (type));
}

#endif /* _VEE_VMX_INSN_H */
