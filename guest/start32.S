/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a guest of 32 bits begins: in protected mode without paging, with a stack and
 * zeros in .bss, as vee_load_elf() leaves it. As start64.S, with half the registers.
 */
	.section .text.start, "ax"
	.globl	_start
_start:
	lgdt	gdtr
	ljmp	$8, $1f
1:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	and	$-16, %esp
	call	main
	out	%al, $0xf4		/* GUEST_PORT_EXIT */
2:	cli
	hlt
	jmp	2b

#define ERROR_CODES 0x60227d00		/* see start64.S */
	.balign	16
	.globl	guest_stubs
guest_stubs:
	vector = 0
	.rept	32
	.balign	16
	.if	!((ERROR_CODES >> vector) & 1)
	push	$0
	.endif
	push	$vector
	jmp	enter
	vector = vector + 1
	.endr
	.rept	224
	.balign	16
	push	$0
	push	$vector
	jmp	enter
	vector = vector + 1
	.endr

/* struct guest_frame, from its end to its beginning. */
enter:	push	%edi
	push	%esi
	push	%ebp
	push	%esp
	push	%ebx
	push	%edx
	push	%ecx
	push	%eax
	mov	%esp, %ebx
	and	$-16, %esp
	sub	$12, %esp
	push	%ebx
	cld
	call	*guest_handler
	mov	%ebx, %esp
	pop	%eax
	pop	%ecx
	pop	%edx
	pop	%ebx
	lea	4(%esp), %esp
	pop	%ebp
	pop	%esi
	pop	%edi
	lea	8(%esp), %esp
	iret

	.section .rodata
	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/*  8: code of 32 bits */
	.quad	0x00cf93000000ffff	/* 16: data */
gdtr:	.word	. - gdt - 1
	.long	gdt

	.section .note.GNU-stack, "", @progbits
