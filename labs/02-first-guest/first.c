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

/* Task "sum": for now it halts at once. */
extern const char guest[], guest_end[];
asm(".pushsection .rodata\n"
"	.code16\n"
"guest:	hlt\n"
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
	struct vee_vm *vm;

	check(vee_vm_create(&vm), "making a VM");
	errx(1, "make_guest(): memory, the guest in it and a vCPU are missing");
}

/* Tasks "in" and "sum": an IN or OUT of the guest's. False: no port of ours. */
static bool port(struct vee_vcpu *vcpu, unsigned int n)
{
	const struct vee_exit_pio *pio = &vcpu->page->exit.pio;

	/* In pio is which port, which direction, and what the guest gave. Print one of these: */
	if (false) {
		printf("the guest asks for N: %u\n", n);
		printf("1 + ... + %u = %llu\n", n, pio->data);
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
		/* Tasks "halt" and "in": look at vcpu->page->exit.reason */
		/* Task "explain" */
		printf("run(): the exit %s is not handled\n",
		       vee_exit_name(vcpu->page->exit.reason));
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
