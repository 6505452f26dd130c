// SPDX-License-Identifier: GPL-2.0-only
/*
 * The smallest virtual machine that says something: ten instructions of real
 * mode, which write a greeting to an I/O port, character by character.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <vee.h>

/* The guest: machine code that this program carries but never runs itself. */
extern const char guest[], guest_end[];
asm(".pushsection .rodata\n"
"	.code16\n"
"guest:	mov	%cs, %ax\n"
"	mov	%ax, %ds\n"		/* its data is where its code is */
"	mov	$message - guest, %si\n"
"	cld\n"
"next:	lodsb\n"		/* AL = the next character */
"	test	%al, %al\n"
"	jz	over\n"
"	out	%al, $0xe9\n"		/* a VM exit each time */
"	jmp	next\n"
"over:	hlt\n"
"message: .asciz \"Hello from a virtual machine!\\n\"\n"
"guest_end:\n"
"	.code64\n"
"	.popsection\n"
);

#define GPA	0x1000		/* where in the guest's memory to put it */
#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

/* libvee's functions return 0 or more, or -errno. */
static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

int main(void)
{
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	const struct vee_exit *exit;
	int ret;

	check(vee_vm_create(&vm), NO_VEE);
	check(vee_vm_alloc(vm, 0, 0x10000, NULL), "giving the VM 64 KiB of memory");
	check(vee_vm_write(vm, GPA, guest, guest_end - guest), "copying the guest");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_real_mode(vcpu, GPA >> 4, 0);	/* CS = GPA / 16, IP = 0 */

	exit = &vcpu->page->exit;
	for (;;) {
		ret = vee_vcpu_run(vcpu);
		if (ret == -EINTR)	/* a signal, and no exit to answer */
			continue;
		if (!ret && exit->reason == VEE_EXIT_HLT)
			break;
		if (ret || exit->reason != VEE_EXIT_PIO || exit->pio.port != 0xe9) {
			vee_explain(vcpu, stderr);	/* why, in words */
			errx(1, "not what the guest should do");
		}
		putchar(exit->pio.data);
		vee_done(vcpu);		/* go on after the OUT */
	}
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return 0;
}
