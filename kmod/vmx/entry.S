/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VM entry and VM exit.
 *
 * A VM exit comes back at HOST_RIP with RSP from HOST_RSP and every general
 * register but RSP still the guest's (SDM 3C, "Loading Host State"). So the one
 * thing that must be found from RSP alone is where the guest's registers go.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#include "vmx/mitigations.h"

/* SDM 3D, "Natural-Width Host-State Fields"; entry.h checks it. */
#define VMCS_ASM_HOST_RSP 0x6c14

/* struct vee_regs: the registers by the number that instructions give them. */
#define REGS_RAX	0x00
#define REGS_RCX	0x08
#define REGS_RDX	0x10
#define REGS_RBX	0x18
#define REGS_RBP	0x28
#define REGS_RSI	0x30
#define REGS_RDI	0x38
#define REGS_R8	0x40
#define REGS_R9	0x48
#define REGS_R10	0x50
#define REGS_R11	0x58
#define REGS_R12	0x60
#define REGS_R13	0x68
#define REGS_R14	0x70
#define REGS_R15	0x78

/* struct vmx_frame */
#define FRAME_HOST_RSP		0x00
#define FRAME_SPEC_CTRL		0x08
#define FRAME_LAUNCHED		0x10

/* SDM 3C, "VMRESUME" and RSB underflow: as many entries as any RSB has. */
#define RSB_ENTRIES		32

/*
 * VERW. It depends on the bug and on the kernel's version which of the two features
 * stands for it: for MDS and TAA it is the one for the return to user space. A guest with
 * a device's memory has buffers_flush() besides.
 */
.macro CLEAR_BUFFERS
#ifdef VEE_CLEARS_BUFFERS
	CLEAR_CPU_BUFFERS
#endif
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
	VM_CLEAR_CPU_BUFFERS
#endif
.endm

	.text

/*
 * RDI: struct vee_regs, RSI: struct vmx_frame. Interrupts off, the VMCS current. EBX
 * then: 0: a VM exit; 1: the instruction failed.
 *
 * For vmx_enter_guest(), not by C's convention: of the general registers RBP alone
 * survives. What the caller needs no longer is not put away and fetched back.
 */
SYM_FUNC_START(vmx_enter)
	push	%rbp
	push	%rsi			/* struct vmx_frame */
	push	%rdi			/* struct vee_regs; HOST_RSP points here */

	/* The kernel shifts the stack per system call: no VMWRITE within one. */
	cmp	%rsp, FRAME_HOST_RSP(%rsi)
	je	.Lhost_rsp_is_right
	mov	$VMCS_ASM_HOST_RSP, %eax
.Lvmwrite:
	vmwrite	%rsp, %rax
	jna	.Lfailed
	mov	%rsp, FRAME_HOST_RSP(%rsi)
.Lhost_rsp_is_right:

	/* MOVs below leave the flags of this comparison alone. */
	cmpb	$0, FRAME_LAUNCHED(%rsi)
	mov	%rdi, %rax
	mov	REGS_RCX(%rax), %rcx
	mov	REGS_RDX(%rax), %rdx
	mov	REGS_RBX(%rax), %rbx
	mov	REGS_RBP(%rax), %rbp
	mov	REGS_RSI(%rax), %rsi
	mov	REGS_RDI(%rax), %rdi
	mov	REGS_R8(%rax), %r8
	mov	REGS_R9(%rax), %r9
	mov	REGS_R10(%rax), %r10
	mov	REGS_R11(%rax), %r11
	mov	REGS_R12(%rax), %r12
	mov	REGS_R13(%rax), %r13
	mov	REGS_R14(%rax), %r14
	mov	REGS_R15(%rax), %r15
	mov	REGS_RAX(%rax), %rax
	UNWIND_HINT_SAVE
	je	.Llaunch

	/* MDS and its kin: nothing of the host stays in the CPU's buffers. */
	CLEAR_BUFFERS
.Lresume:
	vmresume
	jmp	.Lfailed
.Llaunch:
	CLEAR_BUFFERS
.Lvmlaunch:
	vmlaunch
	jmp	.Lfailed
	_ASM_EXTABLE(.Lvmwrite, .Lfailed)
	_ASM_EXTABLE(.Lresume, .Lfailed)
	_ASM_EXTABLE(.Lvmlaunch, .Lfailed)

SYM_INNER_LABEL(vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	push	%rax
	mov	8(%rsp), %rax		/* struct vee_regs */
	pop	REGS_RAX(%rax)
	mov	%rcx, REGS_RCX(%rax)
	mov	%rdx, REGS_RDX(%rax)
	mov	%rbx, REGS_RBX(%rax)
	mov	%rbp, REGS_RBP(%rax)
	mov	%rsi, REGS_RSI(%rax)
	mov	%rdi, REGS_RDI(%rax)
	mov	%r8, REGS_R8(%rax)
	mov	%r9, REGS_R9(%rax)
	mov	%r10, REGS_R10(%rax)
	mov	%r11, REGS_R11(%rax)
	mov	%r12, REGS_R12(%rax)
	mov	%r13, REGS_R13(%rax)
	mov	%r14, REGS_R14(%rax)
	mov	%r15, REGS_R15(%rax)
	xor	%ebx, %ebx		/* the result */
.Lhost:
	/*
	 * No value of the guest's stays where speculation could use it, and no
	 * RET may run before the return stack is the host's again.
	 */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

#ifdef VEE_FILLS_RSB
	FILL_RETURN_BUFFER %rcx, RSB_ENTRIES, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE
#endif
#ifdef VEE_CLEARS_BHB
	CLEAR_HISTORY
#endif

#ifdef VEE_WRITES_IBRS
	/* With legacy IBRS every VM exit needs the MSR written anew. */
	ALTERNATIVE "jmp .Lspec_ctrl_is_right", "", X86_FEATURE_KERNEL_IBRS
	mov	8(%rsp), %rsi		/* struct vmx_frame */
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	FRAME_SPEC_CTRL(%rsi), %eax
	mov	FRAME_SPEC_CTRL+4(%rsi), %edx
	wrmsr
.Lspec_ctrl_is_right:
#endif
	/* Not past this line with a mispredicted branch above. */
	lfence

	add	$16, %rsp
	pop	%rbp
	RET

.Lfailed:
	mov	$1, %ebx
	jmp	.Lhost
SYM_FUNC_END(vmx_enter)

	.section .note.GNU-stack, "", @progbits
