// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 9: a VMCALL that the kernel answers. README.md says what is to be done.
 */
#include <linux/nospec.h>

#include "hypercall.h"
#include "vcpu/event.h"
#include "vcpu/vcpu.h"
#include "vmx/vmcs.h"

/* How often this vCPU has exited for @reason, which the guest gives. */
static u64 count_of(const struct vee_vcpu *vcpu, u64 reason)
{
	if (reason >= VEE_STATS_REASONS)
		return HYPERCALL_NONE;
	return vcpu->stats.exits[array_index_nospec(reason, VEE_STATS_REASONS)];
}

/*
 * RAX is HYPERCALL_EXITS: the answer, and past the VMCALL; for a program of the guest's,
 * CPL 1 to 3, #UD. All others are the caller's.
 */
enum next hypercall(struct vee_vcpu *vcpu)
{
	struct vee_regs *regs = guest_regs(vcpu);

	if (READ_ONCE(regs->rax) != HYPERCALL_EXITS)
		return hypercall_to_caller(vcpu);
	if (vmcs_cpl())
		return event_ud(vcpu);
	/* The page is the caller's, too, who may change it at any time: it is read once. */
	regs->rax = count_of(vcpu, READ_ONCE(regs->rdi));
	return event_skip(vcpu);
}
