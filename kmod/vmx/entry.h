/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VM entry and VM exit (entry.S).
 */
#ifndef _VEE_VMX_ENTRY_H
#define _VEE_VMX_ENTRY_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>
#include <asm/asm.h>

#include "linux/vee.h"
#include "vmx/fields.h"

/**
 * struct vmx_frame - what entry.S needs to know
 * @host_rsp: what the VMCS field HOST_RSP holds
 * @spec_ctrl: IA32_SPEC_CTRL of the host, if it is to be written after a VM exit
 * @launched: VMLAUNCH has succeeded since the last VMCLEAR: VMRESUME it is
 */
struct vmx_frame {
	u64 host_rsp;
	u64 spec_ctrl;
	u8 launched;
};

/* What entry.S has numbers for. */
static_assert(VMCS_HOST_RSP == 0x6c14);
static_assert(offsetof(struct vee_regs, rdi) == 0x38 &&
	      offsetof(struct vee_regs, r15) == 0x78);
static_assert(offsetof(struct vmx_frame, host_rsp) == 0x00 &&
	      offsetof(struct vmx_frame, spec_ctrl) == 0x08 &&
	      offsetof(struct vmx_frame, launched) == 0x10);

/* Not for a call from C: see vmx_enter_guest(). */
void vmx_enter(void);
void vmx_exit_point(void);

/* VM entry to VM exit. False: VMLAUNCH or VMRESUME failed. */
static __always_inline bool vmx_enter_guest(struct vee_regs *regs, struct vmx_frame *frame)
{
	int failed;

	asm volatile("call vmx_enter"
		     : "=b" (failed), "+D" (regs), "+S" (frame), ASM_CALL_CONSTRAINT
		     :
		     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
		       "r14", "r15", "cc", "memory");
	return !failed;
}

#endif /* _VEE_VMX_ENTRY_H */
