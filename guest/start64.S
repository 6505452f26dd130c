/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a guest of 64 bits begins: in long mode, with page tables, a stack and zeros
 * in .bss, as vee_load_elf() leaves it. There is no GDT behind the selectors yet,
 * and IRET wants one.
 */
	.section .text.start, "ax"
	.globl	_start
_start:
	mov	%rdi, guest_argument(%rip)
	lgdt	gdtr(%rip)
	push	$8
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	and	$-16, %rsp
	call	main
	out	%al, $0xf4		/* GUEST_PORT_EXIT */
2:	cli
	hlt
	jmp	2b

/*
 * A stub a vector, 16 bytes each: what the CPU pushes no error code for has a 0 in its
 * place. SDM 3A, "Error Code".
 */
#define ERROR_CODES 0x60227d00		/* bits 8, 10 to 14, 17, 21, 29, 30 */
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
enter:	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%r11
	push	%r10
	push	%r9
	push	%r8
	push	%rdi
	push	%rsi
	push	%rbp
	push	%rsp
	push	%rbx
	push	%rdx
	push	%rcx
	push	%rax
	mov	%rsp, %rdi
	mov	%rsp, %rbx
	and	$-16, %rsp
	cld
	call	*guest_handler(%rip)
	mov	%rbx, %rsp
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rbx
	lea	8(%rsp), %rsp
	pop	%rbp
	pop	%rsi
	pop	%rdi
	pop	%r8
	pop	%r9
	pop	%r10
	pop	%r11
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	lea	16(%rsp), %rsp
	iretq

	.section .rodata
	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/*  8: code of 64 bits */
	.quad	0x00cf93000000ffff	/* 16: data */
gdtr:	.word	. - gdt - 1
	.quad	gdt

	.section .data
	.balign	8
	.globl	guest_argument
guest_argument:
	.quad	0

	.section .note.GNU-stack, "", @progbits
