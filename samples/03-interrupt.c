// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: this program is the device that raises them, the guest has the
 * handler. Raised while the guest halts, one wakes it up; raised while it has
 * interrupts off, one waits until they are on again.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <vee.h>

/* The guest. It tells how far it is by a letter, to port 10H. */
extern const char guest[], guest_end[];
asm(".pushsection .rodata\n"
"	.code16\n"
"guest:	xor	%ax, %ax\n"		/* the vector table is at address 0: */
"	mov	%ax, %es\n"		/* offset and segment of each handler */
"	movw	$handler - guest, %es:4 * 0x20\n"
"	movw	%cs, %es:4 * 0x20 + 2\n"
"	mov	$0x8000, %sp\n"		/* where the CPU saves what it leaves */

"	sti\n"
"	mov	$3, %cx\n"
"sleep:	hlt\n"
"	mov	$'w', %al\n"
"	out	%al, $0x10\n"
"	loop	sleep\n"

"	cli\n"
"	mov	$'o', %al\n"
"	out	%al, $0x10\n"
"	mov	$'s', %al\n"
"	out	%al, $0x10\n"
"	sti\n"
"	nop\n"				/* STI takes effect after this one */
"	mov	$'d', %al\n"
"	out	%al, $0x10\n"
"	cli\n"
"	hlt\n"				/* nothing wakes it up any more */

"handler: push	%ax\n"
"	mov	$'h', %al\n"
"	out	%al, $0x10\n"
"	pop	%ax\n"
"	iret\n"
"guest_end:\n"
"	.code64\n"
"	.popsection\n"
);

#define CODE	0x1000
#define VECTOR	0x20

#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static const char *meaning(char letter)
{
	switch (letter) {
	case 'h':
		return "    the handler runs";
	case 'w':
		return "  woken up, it goes on after HLT";
	case 'o':
		return "interrupts are off; one is raised all the same";
	case 's':
		return "  they are still off: no handler yet";
	case 'd':
		return "  they were on for a moment, and are off again";
	default:
		return "?";
	}
}

int main(void)
{
	char story[64] = "";
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	const struct vee_exit *exit;
	int ret;

	setlinebuf(stdout);
	check(vee_vm_create(&vm), NO_VEE);
	check(vee_vm_alloc(vm, 0, 0x10000, NULL), "giving the VM memory");
	check(vee_vm_write(vm, CODE, guest, guest_end - guest), "copying the guest");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_real_mode(vcpu, CODE >> 4, 0);
	exit = &vcpu->page->exit;

	for (;;) {
		ret = vee_vcpu_run(vcpu);
		if (ret == -EINTR)	/* a signal, and no exit to answer */
			continue;
		if (ret)
			vee_explain(vcpu, stderr);
		check(ret, "running the guest");
		if (exit->reason == VEE_EXIT_HLT) {
			if (!(exit->flags & VEE_EXIT_INTERRUPT_READY))
				break;		/* HLT with interrupts off */
			puts("it halts; an interrupt is raised");
			vee_inject_interrupt(vcpu, VECTOR);
		} else if (exit->reason == VEE_EXIT_PIO && strlen(story) < sizeof(story) - 1) {
			story[strlen(story)] = exit->pio.data;
			puts(meaning(exit->pio.data));
			if (exit->pio.data == 'o')
				vee_inject_interrupt(vcpu, VECTOR);
		} else {
			vee_explain(vcpu, stderr);
			errx(1, "not what the guest should do: %s", vee_exit_name(exit->reason));
		}
		vee_done(vcpu);
	}
	puts("it halts with interrupts off: the end");
	if (strcmp(story, "hwhwhwoshd"))
		errx(1, "the order was %s, and should be hwhwhwoshd", story);
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return 0;
}
