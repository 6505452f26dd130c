/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lab 4's guest, in real mode: it tells its story by letters to port E9H, each part of it
 * one line. Interrupt 20H is the timer's, 21H the key's.
 */
#ifndef LAB_GUEST_H
#define LAB_GUEST_H

#define CODE		0x1000		/* where it is in its memory... */
#define MEMORY		0x10000		/* ...of so many bytes */

#define VECTOR_TIMER	0x20
#define VECTOR_KEY	0x21

#define PORT_STORY	0xe9		/* OUT: a letter */
#define PORT_BOTH	0x12		/* OUT: timer and key want an interrupt, now */
#define PORT_NOTHING	0x13		/* OUT: an exit like any other */
#define PORT_PERIOD	0x40		/* OUT, 16 bits: milliseconds from tick to tick; 0: none */
#define PORT_TICKS	0x41		/* IN, 8 bits: how many there were */

extern const char guest[], guest_end[];
asm(".pushsection .rodata\n"
"	.code16\n"
"guest:	xor	%ax, %ax\n"		/* handlers: offset and segment, from address 0 on */
"	mov	%ax, %es\n"
"	movw	$on_timer - guest, %es:4 * 0x20\n"
"	movw	%cs, %es:4 * 0x20 + 2\n"
"	movw	$on_key - guest, %es:4 * 0x21\n"
"	movw	%cs, %es:4 * 0x21 + 2\n"
"	mov	$0x8000, %sp\n"
"	xor	%bx, %bx\n"		/* counts the timer's interrupts */

	/* wake */
"	sti\n"
"	mov	$3, %cx\n"
"1:	hlt\n"
"	mov	$'w', %al\n"
"	out	%al, $0xe9\n"
"	loop	1b\n"
"	cli\n"
"	call	line\n"

	/* two */
"	out	%al, $0x12\n"
"	mov	$'s', %al\n"
"	out	%al, $0xe9\n"
"	sti\n"
"	nop\n"				/* STI takes effect after this one */
"	nop\n"
"	mov	$'d', %al\n"
"	out	%al, $0xe9\n"
"	cli\n"
"	call	line\n"

	/* spin: not one exit until there are three ticks */
"	xor	%bx, %bx\n"
"	mov	$10, %ax\n"
"	out	%ax, $0x40\n"
"	sti\n"
"1:	cmp	$3, %bx\n"
"	jb	1b\n"
"	cli\n"
"	call	line\n"
"	in	$0x41, %al\n"		/* for "count" */
"	mov	%al, %dl\n"

	/* busy: an exit after the other until there are five */
"	sti\n"
"1:	out	%al, $0x13\n"
"	cmp	$5, %bx\n"
"	jb	1b\n"
"	cli\n"
"	xor	%ax, %ax\n"
"	out	%ax, $0x40\n"
"	call	line\n"

	/* count: how many there were after "spin", and are now */
"	mov	%dl, %al\n"
"	add	$'0', %al\n"
"	out	%al, $0xe9\n"
"	in	$0x41, %al\n"
"	add	$'0', %al\n"
"	out	%al, $0xe9\n"
"	call	line\n"
"	hlt\n"				/* nothing wakes it up any more */

"on_timer: push	%ax\n"
"	mov	$'t', %al\n"
"	out	%al, $0xe9\n"
"	inc	%bx\n"
"	pop	%ax\n"
"	iret\n"
"on_key: push	%ax\n"
"	mov	$'k', %al\n"
"	out	%al, $0xe9\n"
"	pop	%ax\n"
"	iret\n"
"line:	mov	$'\\n', %al\n"
"	out	%al, $0xe9\n"
"	ret\n"
"guest_end:\n"
"	.code64\n"
"	.popsection\n");

#endif
