// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 9: a VMCALL that the kernel answers. README.md says what is to be done.
 */
#include <linux/nospec.h>

#include "hypercall.h"
#include "vcpu/event.h"
#include "vcpu/vcpu.h"
#include "vmx/vmcs.h"

/*
 * RAX is HYPERCALL_EXITS: the answer, and past the VMCALL; for a program of the guest's,
 * CPL 1 to 3, #UD. All others are the caller's.
 */
enum next hypercall(struct vee_vcpu *vcpu)
{
	/* guest_regs(), vcpu->stats.exits[], vmcs_cpl(), event_ud(), event_skip() */
	return hypercall_to_caller(vcpu);
}
