// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 9: vee's table of VM exits, kmod/vcpu/exit.c as it stands, but that hypercall()
 * handles VMCALL. And mistakes on purpose, for tests to find.
 */
#include <linux/moduleparam.h>

#include "hypercall.h"

static enum next exit_vmcall(struct vee_vcpu *vcpu);

/*
 * That file's handler has a parenthesis behind its name, and gets this one; its table's
 * entry has none, and leads to the function below.
 */
#define exit_vmcall(vcpu) stock_vmcall(vcpu)
#include "vcpu/exit.c"
#undef exit_vmcall

enum next hypercall_to_caller(struct vee_vcpu *vcpu)
{
	return stock_vmcall(vcpu);
}

enum spoil {
	SPOIL_NOTHING,
	SPOIL_ANSWER,		/* one too many */
	SPOIL_REGISTERS,	/* RBX is another afterwards */
	SPOIL_CALLER,		/* what is the caller's never gets there */
};

static unsigned int spoil;
module_param(spoil, uint, 0600);
MODULE_PARM_DESC(spoil, "What hypercall() does is spoilt: 1 answer, 2 registers, 3 caller");

static enum next spoilt(struct vee_vcpu *vcpu, enum next next)
{
	struct vee_regs *regs = guest_regs(vcpu);

	if (next == NEXT_USER)
		return spoil == SPOIL_CALLER ? event_skip(vcpu) : next;
	regs->rax += spoil == SPOIL_ANSWER;
	regs->rbx += spoil == SPOIL_REGISTERS;
	return next;
}

static enum next exit_vmcall(struct vee_vcpu *vcpu)
{
	enum next next = hypercall(vcpu);

	return unlikely(READ_ONCE(spoil)) ? spoilt(vcpu, next) : next;
}
