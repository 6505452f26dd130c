// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the caller is told of every exit; what belongs to its kind alone is in the page
 * before.
 */
#include "vcpu/event.h"
#include "vcpu/exit_user.h"
#include "vcpu/state.h"
#include "vcpu/vcpu.h"
#include "vmx/vmcs.h"

static noinline enum next fill_more(struct vee_vcpu *vcpu, u32 groups)
{
	state_fill(vcpu, groups);
	return NEXT_USER;
}

static __always_inline enum next tell(struct vee_vcpu *vcpu, u32 reason, u64 rip, u64 rflags,
				      u32 flags)
{
	struct vee_vcpu_page *page = vcpu->page;
	u32 groups = vcpu->wishes.prefetch & (VEE_STATE_ALL | VEE_STATE_APIC);

	vcpu->exit.rip = rip;
	vcpu->exit.of_memory = false;
	page->exit.reason = reason;
	page->exit.hardware_reason = vcpu->exit.reason;
	page->exit.qualification = vcpu->exit.qualification;
	page->exit.flags = flags;
	page->exit.instruction_length = vcpu->exit.insn_length;
	page->valid = groups;
	/* What is at hand anyhow spares the usual caller the rest. */
	if (likely(groups & VEE_STATE_REGS)) {
		page->regs.rip = rip;
		page->regs.rflags = rflags;
		page->regs.rsp = vmcs_read(VMCS_GUEST_RSP);
	}
	if (unlikely(groups & ~VEE_STATE_REGS))
		return fill_more(vcpu, groups & ~VEE_STATE_REGS);
	return NEXT_USER;
}

/* Something holds events off, one waits, or there are breakpoints. @state: interruptibility() */
static noinline enum next tell_in_full(struct vee_vcpu *vcpu, u32 reason, u64 rip, u64 rflags,
				       u32 state)
{
	u32 flags = event_exit_flags(&vcpu->events, state, rflags) |
		    (breakpoints_armed(&vcpu->debug) ? VEE_EXIT_BREAKPOINTS : 0);

	vcpu->exit.plain = !event_insn_matters(state, rflags);
	return tell(vcpu, reason, rip, rflags, flags);
}

/* Calls nothing on the way to the usual caller, which would cost it saved registers. */
enum next exit_user(struct vee_vcpu *vcpu, u32 reason)
{
	u64 rip = vmcs_read(VMCS_GUEST_RIP), rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	u32 state = interruptibility();

	/* One test for all that is seldom. */
	if (unlikely(state | event_pending(&vcpu->events) | vcpu->debug.loaded))
		return tell_in_full(vcpu, reason, rip, rflags, state);
	vcpu->exit.plain = !event_insn_matters(0, rflags);
	return tell(vcpu, reason, rip, rflags, event_free_flags(rflags));
}

enum next exit_user_event(struct vee_vcpu *vcpu, u32 reason)
{
	vcpu->exit.insn_length = 0;
	return exit_user(vcpu, reason);
}
