/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the mitigations around a guest take, where the kernel lets none but KVM have its
 * own.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

#include "vmx/mitigations.h"

	.section .rodata, "a", @progbits
	.balign	2
/* For VERW, which clears buffers only with its operand in memory. */
SYM_DATA(vmx_verw_selector, .word __KERNEL_DS)

	.text

#if defined(VEE_CLEARS_BHB) && !defined(VEE_EXPORTED_CLEAR_BHB_LOOP)
/*
 * As many taken branches as the longest branch history holds, with calls among them so
 * that no loop buffer plays them back (Intel, "Branch History Injection and Intra-mode
 * Branch Target Injection", "Software BHB-clearing sequence"). The counts are those for
 * the CPUs with the longest; older ones need less.
 */
#define CALLS	12
#define JUMPS	7

/* Leaves RAX and RCX 0. */
SYM_FUNC_START(vmx_clear_history)
	mov	$CALLS, %ecx
	ANNOTATE_INTRA_FUNCTION_CALL
	call	.Lcall
	lfence
	RET
	.balign	64, 0xcc
.Lcall:
	ANNOTATE_INTRA_FUNCTION_CALL
	call	.Lround
	RET
	.balign	64, 0xcc
.Lround:
	mov	$JUMPS, %eax
.Ljump:
	jmp	.Lnext
	nop
.Lnext:
	sub	$1, %eax
	jnz	.Ljump
	sub	$1, %ecx
	jnz	.Lcall
	RET
SYM_FUNC_END(vmx_clear_history)
STACK_FRAME_NON_STANDARD vmx_clear_history
#endif

	.section .note.GNU-stack, "", @progbits
