/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lab 8: what a hypervisor of one's own needs and is no part of the lab: the numbers of
 * bits, and the guest; fields and VMX instructions are in vmx.h.
 */
#ifndef LAB_HV_H
#define LAB_HV_H

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/printk.h>
#include <linux/types.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

#include "vmx.h"

/* What a function of yours returns until it is written. */
#define MISSING() ({ pr_err("%s() is missing\n", __func__); -EOPNOTSUPP; })

/* Controls: SDM 3C, "VM-Execution Control Fields", "VM-Exit Control Fields" and so on. */
#define PROC_UNCONDITIONAL_IO	BIT(24)	/* each IN and OUT is a VM exit */
#define EXIT_HOST_64		BIT(9)	/* "host address-space size" */
#define ENTRY_GUEST_64		BIT(9)	/* "IA-32e mode guest" */

/* Access rights: SDM 3C, "Guest Register State". */
#define RIGHTS_CODE64	0xa09b		/* as __KERNEL_CS has them in the GDT */
#define RIGHTS_DATA	0xc093		/* as __KERNEL_DS */
#define RIGHTS_TSS	0x8b		/* a TSS of 64 bits, busy */
#define RIGHTS_UNUSABLE	BIT(16)		/* no segment at all */

/* Exit reasons: SDM 3D, appendix "VMX Basic Exit Reasons". */
#define REASON_IO	30
#define REASON_FAILED	BIT(31)		/* the VM entry failed: no guest ran */

/* --- the guest --------------------------------------------------------------- */

/*
 * It has a number N in EDX, and an OUT to port 2N + 2 tells what it made of it. Where that
 * is no VM exit it goes on to one that can't be switched off. It needs no stack.
 */
static notrace __used void hv_guest(void)
{
	asm volatile("lea 2(%%rdx, %%rdx), %%edx\n\t"
		     "out %%al, %%dx\n\t"
		     "vmcall" : : : "edx");
}

/* --- before and afterwards -------------------------------------------------------------- */

/*
 * From the first to the second of these the emulated CPU writes down each instruction: the
 * grader reads that. Elsewhere they do nothing.
 */
static inline void hv_record(void)
{
	asm volatile("xchg %bx, %bx");
}

/* Is the CPU as it was found? What is left of VMX goes. */
static inline int hv_look_back(void)
{
	u64 cr4 = native_read_cr4();

	if (!(cr4 & X86_CR4_VMXE))
		return 0;
	pr_err("left behind: CR4.VMXE is set\n");
	if (!vmxoff())
		pr_err("left behind: the CPU is in VMX operation\n");
	set_cr4(cr4 & ~X86_CR4_VMXE);
	return -EIO;
}

#endif
