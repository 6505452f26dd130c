/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a guest of 16 bits begins, in real mode: at its first byte, with CS:IP
 * anything that means 7C00H. It is a flat image, whose end flat16.ld names.
 */
	.code16
	.section .text.start, "ax"
	.globl	_start
_start:
	ljmp	$0, $1f			/* CS:IP as the linker has it */
1:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$_start, %esp		/* down from the code */
	cld
	mov	$guest_bss, %di
	mov	$guest_end, %cx
	sub	%di, %cx
	rep stosb
	calll	main
	out	%al, $0xf4		/* GUEST_PORT_EXIT */
2:	cli
	hlt
	jmp	2b

	.section .note.GNU-stack, "", @progbits
