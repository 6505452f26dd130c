/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that goes round for ever, for the programs of the lab that bring the machine
 * down meanwhile. What fails ends the program, by name.
 */
#ifndef LAB_SPINNER_H
#define LAB_SPINNER_H

#include <err.h>
#include <sched.h>
#include <string.h>
#include <vee.h>

static void check(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s", what, strerror(-ret));
}

static void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %d", cpu);
}

static struct vee_vcpu *make_spinner(void)
{
	static const char code[] = "\xeb\xfe";		/* 1: jmp 1b */
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;

	check(vee_vm_create(&vm), "/dev/vee");
	check(vee_vm_alloc(vm, 0, 0x10000, NULL), "memory");
	check(vee_vm_write(vm, 0x1000, code, sizeof(code)), "the guest");
	check(vee_vcpu_create(vm, 0, &vcpu), "a vCPU");
	vee_vcpu_set_real_mode(vcpu, 0x100, 0);
	return vcpu;
}

#endif
