// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 2: a first guest. README.md says what is to be done.
 * usage: first N [SEGMENT]
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <vee.h>

/* Task "sum". */
extern const char guest[], guest_end[];
asm(".pushsection .rodata\n"
"	.code16\n"
"guest:	in	$0x10, %ax\n"
"	mov	%ax, %cx\n"
"	xor	%ax, %ax\n"
"	jcxz	over\n"			/* LOOP would take 0 for 65536 */
"next:	add	%cx, %ax\n"
"	loop	next\n"
"over:	out	%ax, $0x11\n"
"	hlt\n"
"guest_end:\n"
"	.code64\n"
"	.popsection\n");

/* The guest asks for N at one port, and gives 1 + ... + N to the other. */
#define PORT_N		0x10
#define PORT_SUM	0x11

#define GPA		0x1000		/* where its code is in its memory... */
#define MEMORY		0x10000		/* ...of so many bytes */

/* libvee's functions return 0 or more, or -errno. */
static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

/* Task "halt": a VM with memory, the guest in it, and a vCPU about to begin there. */
static struct vee_vcpu *make_guest(uint16_t segment)
{
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;

	check(vee_vm_create(&vm), "making a VM");
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving it memory");
	check(vee_vm_write(vm, GPA, guest, guest_end - guest), "copying the guest");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_real_mode(vcpu, segment, 0);
	return vcpu;
}

/* Tasks "in" and "sum": an IN or OUT of the guest's. False: no port of ours. */
static bool port(struct vee_vcpu *vcpu, unsigned int n)
{
	const struct vee_exit_pio *pio = &vcpu->page->exit.pio;

	if (pio->port == PORT_N && pio->direction == VEE_PIO_IN) {
		printf("the guest asks for N: %u\n", n);
		vee_done_in(vcpu, n);
		return true;
	}
	if (pio->port == PORT_SUM && pio->direction == VEE_PIO_OUT) {
		printf("1 + ... + %u = %llu\n", n, pio->data);
		vee_done(vcpu);
		return true;
	}
	return false;
}

/* Until it halts. False, after words about it: it does what this program doesn't know. */
static bool run(struct vee_vcpu *vcpu, unsigned int n)
{
	for (;;) {
		int ret = vee_vcpu_run(vcpu);

		if (ret == -EINTR)	/* a signal, and no exit to answer */
			continue;
		if (!ret && vcpu->page->exit.reason == VEE_EXIT_HLT)
			return true;
		if (!ret && vcpu->page->exit.reason == VEE_EXIT_PIO && port(vcpu, n))
			continue;
		vee_explain(vcpu, stdout);
		return false;
	}
}

int main(int argc, char **argv)
{
	struct vee_vcpu *vcpu;

	setlinebuf(stdout);
	if (argc < 2)
		errx(2, "usage: first N [SEGMENT]");
	vcpu = make_guest(argc > 2 ? strtoul(argv[2], NULL, 0) : GPA >> 4);
	if (!run(vcpu, strtoul(argv[1], NULL, 0)))
		return 1;
	puts("the guest halted");
	return 0;
}
