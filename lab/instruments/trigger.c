// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's life in short: memory lent and taken back, a run, the end. What the bugs in this folder
 * that are the debug kernel's to find are all come by. Runs in the lab.
 */
#include <err.h>
#include <string.h>
#include <vee.h>

#define BYTES	0x10000

static void check(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s", what, strerror(-ret));
}

static void one_life(void)
{
	static const char code[] = "\xf4";	/* hlt */
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;

	check(vee_vm_create(&vm), "/dev/vee");
	check(vee_vm_alloc(vm, 0, BYTES, NULL), "memory");
	check(vee_vm_alloc(vm, BYTES, BYTES, NULL), "more memory");
	check(vee_vm_write(vm, 0x1000, code, sizeof(code)), "the guest");
	check(vee_vcpu_create(vm, 0, &vcpu), "a vCPU");
	vee_vcpu_set_real_mode(vcpu, 0x100, 0);
	check(vee_vcpu_run(vcpu), "a run");
	if (vcpu->page->exit.reason != VEE_EXIT_HLT)
		errx(1, "exit %u", vcpu->page->exit.reason);
	check(vee_vm_unmap(vm, BYTES, BYTES), "taking memory back");
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
}

/* The last pointer to what leaks may be on a stack for a while. */
int main(void)
{
	for (int i = 0; i < 4; i++)
		one_life();
	return 0;
}
