/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lab 5's guest, in 64-bit code, and how its story is told. This file is the lab's: the
 * grader has its own.
 */
#ifndef LAB_H
#define LAB_H

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <vee.h>

#define CODE		0x1000		/* where it is in its memory... */
#define TABLES		0x10000		/* ...its page tables... */
#define WORDS		0x18000		/* ...numbers to be added... */
#define JOBS		0x20000		/* ...and jobs for the device... */
#define MEMORY		0x100000	/* ...of so many bytes */

/* The device, an adder, is where there is no memory. Its registers: */
#define DEVICE		0x40000000UL
#define DEVICE_BYTES	0x1000
#define REG_ID		0x00		/* read, 4 bytes: ID */
#define REG_VALUE	0x08		/* 4 or 8 bytes: reads as it was written */
#define REG_BELL	0x18		/* written, 4 bytes: there is one more job */
#define REG_SUM		0x40		/* written, 4 bytes, up to 7FH: added; read: the sum */
#define REG_SUM_END	0x80
#define ID		0x4d5553

/* A job: of @count numbers of 4 bytes at @gpa the device is to make the sum. */
struct job {
	uint64_t gpa;
	uint32_t count;
	uint32_t status;		/* 0 until the device has seen to it, and last of all */
	uint64_t sum;
	uint64_t unused;
};

#define STATUS_DONE	1
#define STATUS_BAD	2		/* not all of it is memory */

#define PORT_TELL	0x10		/* OUT, 32 bits: a number of the story */
#define PORT_LINE	0x11		/* OUT: the end of its part */
#define PORT_LOOK	0x12		/* OUT: now look at the bell */
#define PORT_RING	0x13		/* OUT: from here on by io_uring */

#define TELL		"out %eax, $0x10\n"
#define TELL_HIGH	"shr $32, %rax; out %eax, $0x10\n"
#define LINE		"out %al, $0x11\n"

extern const char guest[], guest_end[];
asm(".pushsection .rodata\n"
"guest:	mov	$0x40000000, %ebx\n"

	/* registers */
"	mov	(%rbx), %eax\n" TELL
"	movl	$0x12345678, 8(%rbx)\n"
"	mov	8(%rbx), %eax\n" TELL
"	movl	$1, 0x40(%rbx)\n"
"	movl	$2, 0x40(%rbx)\n"
"	movl	$39, 0x40(%rbx)\n"
"	mov	0x40(%rbx), %eax\n" TELL
"	mov	0x20(%rbx), %eax\n" TELL	/* nothing is there */
	LINE

	/* library: reads and writes at once, and a string of writes */
"	movl	$0x100, 8(%rbx)\n"
"	addl	$0x23, 8(%rbx)\n"
"	mov	8(%rbx), %eax\n" TELL
"	mov	$0x18000, %esi\n"
"	lea	0x40(%rbx), %rdi\n"
"	mov	$4, %ecx\n"
"	rep movsl\n"
"	mov	0x40(%rbx), %eax\n" TELL
	LINE

	/* decode: one instruction, in seven ways */
"	mov	$0x11111111, %eax\n"
"	mov	%eax, 8(%rbx)\n"		/* 89 43 08 */
"	mov	$-1, %rdx\n"
"	mov	8(%rbx), %edx\n"		/* 8b 53 08 */
"	mov	%rdx, %rax\n" TELL TELL_HIGH
"	movabs	$0x2222222233333333, %r9\n"
"	mov	%r9, 8(%rbx)\n"			/* 4c 89 4b 08 */
"	mov	8(%rbx), %r10\n"		/* 4c 8b 53 08 */
"	mov	%r10, %rax\n" TELL TELL_HIGH
"	mov	$2, %ecx\n"
"	mov	(%rbx,%rcx,4), %esi\n"		/* 8b 34 8b */
"	{disp32} mov 8(%rbx), %edi\n"		/* 8b bb 08 00 00 00 */
"	mov	0x40000008, %ebp\n"		/* 8b 2c 25 08 00 00 40 */
"	lea	(%rsi,%rdi), %eax\n"
"	add	%ebp, %eax\n" TELL
	LINE

	/* doorbell: four jobs, and then it says that it has rung */
"	mov	$4, %ecx\n"
"1:	movl	$1, 0x18(%rbx)\n"
"	loop	1b\n"
"	out	%al, $0x12\n"
"	mov	$0x20000, %esi\n"
"	mov	$4, %ecx\n"
"1:	mov	12(%rsi), %eax\n" TELL
"	mov	16(%rsi), %eax\n" TELL
"	add	$32, %rsi\n"
"	loop	1b\n"
	LINE

	/* uring: it rings, and waits in its memory for the answer, without any exit */
"	out	%al, $0x13\n"
"	mov	$2, %ecx\n"
"1:	movl	$1, 0x18(%rbx)\n"
"2:	mov	12(%rsi), %eax\n"
"	test	%eax, %eax\n"
"	jz	2b\n"
	TELL
"	mov	16(%rsi), %eax\n" TELL
"	add	$32, %rsi\n"
"	loop	1b\n"
	LINE
"	hlt\n"
"guest_end:\n"
"	.popsection\n");

/* What it adds, and in which order: two good jobs, two bad ones; then the ring's. */
static const uint32_t words[] = { 10, 20, 30, 40, 1, 2, 3, 4 };
static const struct job jobs[] = {
	{ .gpa = WORDS, .count = 4 },
	{ .gpa = WORDS + 16, .count = 4 },
	{ .gpa = DEVICE + REG_SUM, .count = 4 },
	{ .gpa = WORDS, .count = 0x40000001 },
	{ .gpa = WORDS + 8, .count = 4 },
	{ .gpa = WORDS, .count = 8 },
};

/* How exits by MMIO came to their end in this part: not any at the bell. */
static unsigned int by_decode, by_library, bell_exits;

/* libvee's functions return 0 or more, or -errno. */
static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

/* What the guest tells, each part on a line of its name. */
static void tell(unsigned int port, uint32_t value)
{
	static const char *const parts[] = {
		"registers", "library", "decode", "doorbell", "uring",
	};
	static unsigned int part;
	static bool begun;

	if (!begun && part < 5)
		printf("%s:", parts[part++]);
	begun = port != PORT_LINE;
	if (begun) {
		printf(" 0x%x", value);
		return;
	}
	if (part == 3)
		printf(" (%u by decode(), %u by the library)", by_decode, by_library);
	else if (part > 3)
		printf(" (%u runs ended for the bell)", bell_exits);
	putchar('\n');
	by_decode = 0;
	by_library = 0;
}

/* A VM with the guest, whose device is not there yet, and a vCPU that is to begin. */
static struct vee_vcpu *make_guest(void)
{
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;

	check(vee_vm_create(&vm), "making a VM");
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving it memory");
	check(vee_vm_identity_map(vm, TABLES, DEVICE + 0x200000), "its page tables");
	check(vee_vm_write(vm, CODE, guest, guest_end - guest), "copying the guest");
	check(vee_vm_write(vm, WORDS, words, sizeof(words)), "copying its numbers");
	check(vee_vm_write(vm, JOBS, jobs, sizeof(jobs)), "copying its jobs");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_long_mode(vcpu, TABLES, CODE);
	return vcpu;
}

#endif
