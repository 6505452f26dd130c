/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's state between the vCPU page and the VMCS.
 */
#ifndef _VEE_STATE_H
#define _VEE_STATE_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/types.h>

#include "vcpu/event.h"
#include "vcpu/staged.h"
#include "vcpu/step.h"
#include "vcpu/vmexit.h"

void state_reset(struct vee_vcpu *vcpu);
/* These inside the bracket. @wanted: VEE_STATE_ groups */
void state_fill(struct vee_vcpu *vcpu, u32 wanted);
void state_load_staged(struct vee_vcpu *vcpu);
/* The vCPU gets an INIT. */
void state_init(struct vee_vcpu *vcpu);
/* VEE_STATE_ groups that it has */
u32 state_groups(const struct vee_vcpu *vcpu);

/* In @to, from the vCPU page: the groups of vee_vcpu_state.parts, which are valid there. */
void state_tell(const struct vee_vcpu *vcpu, struct vee_vcpu_state *to);
/* The first of the page's wishes that can't be so, MEMBER(); 0: none. */
u32 state_bad_wish(const struct vee_vcpu *vcpu, const struct wishes *wishes);
/* Checks @groups of @from, and then has the next bracket load them; -EINVAL. */
int state_give(struct vee_vcpu *vcpu, const struct vee_vcpu_state *from, u32 groups);

void state_tell_refused(struct vee_vcpu *vcpu, u32 member);

/* A run begins with what can't be: @member of the vCPU page, which is told. -EINVAL. */
static __always_inline int state_refuse(struct vee_vcpu *vcpu, u32 member)
{
	state_tell_refused(vcpu, member);
	return -EINVAL;
}

/* The other general registers live in the page. */
static __always_inline void state_load_regs(const struct vee_regs *regs)
{
	vmcs_write(VMCS_GUEST_RSP, regs->rsp);
	vmcs_write(VMCS_GUEST_RIP, regs->rip);
	vmcs_write(VMCS_GUEST_RFLAGS, regs->rflags | X86_EFLAGS_FIXED);
}

/*
 * @staged, @exit, @step: @vcpu's. Most callers want to go on, past the instruction, and of
 * the others most have changed RIP.
 */
static __always_inline void state_load(struct vee_vcpu *vcpu, struct staged_state *staged,
				       struct vm_exit *exit, struct step *step)
{
	if (unlikely(staged->groups || staged->fault)) {
		if (staged->groups != VEE_STATE_REGS || staged->next || staged->fault) {
			state_load_staged(vcpu);
			return;
		}
		state_load_regs(&staged->regs);
		staged->groups = 0;
		exit->plain = false;
	} else if (staged->next) {
		staged->next = false;
		if (likely(event_pass_seen(exit)))
			step->done = true;
		else
			event_skip(vcpu);
	}
}

/* --- taking over, at the beginning of each run --------------------------------------- */

/* @vcpu's wishes, or the state in the page: to be copied, checked, and then taken over. */
int state_take_wishes(struct vee_vcpu *vcpu);
int state_take_groups(struct vee_vcpu *vcpu);
/* The general registers alone, RIP, RSP and RFLAGS; nothing. How to go on as @resume says. */
int state_take_regs(struct vee_vcpu *vcpu, u32 resume);
int state_take_resume(struct vee_vcpu *vcpu, u32 resume);

/* Of the last exit: whether its instruction's length is known. */
static inline bool state_knows_length(const struct vee_vcpu_page *page, struct vm_exit *exit)
{
	/*
	 * Of an instruction that touched memory the CPU doesn't tell it; who decoded it
	 * does.
	 */
	if (exit->of_memory)
		exit->insn_length = READ_ONCE(page->exit.instruction_length);
	return exit->insn_length - 1 < VEE_INSN_MAX;
}

/* What callers change most, and where there is nothing to check. */
static inline void state_stage_regs(struct staged_state *staged, struct vee_vcpu_page *page,
				    u64 rip)
{
	staged->regs.rip = rip;
	staged->regs.rsp = READ_ONCE(page->regs.rsp);
	staged->regs.rflags = READ_ONCE(page->regs.rflags);
	staged->groups |= VEE_STATE_REGS;
	WRITE_ONCE(page->dirty, 0);
}

/*
 * Takes over and checks what the caller changed: around each exit, and mostly that is to go on,
 * past the instruction. @page and so on: @vcpu's. Sleeps, or -EAGAIN in an inline run.
 */
static __always_inline int state_take(struct vee_vcpu *vcpu, struct vee_vcpu_page *page,
				      const struct wishes *wishes, struct staged_state *staged,
				      struct vm_exit *exit)
{
	u32 dirty, resume;
	union event_word inject;

	if (unlikely((READ_ONCE(page->prefetch) ^ wishes->prefetch) |
		     (READ_ONCE(page->intercept) ^ wishes->intercept) |
		     (READ_ONCE(page->options) ^ wishes->options) |
		     (READ_ONCE(page->tpr_threshold) ^ wishes->tpr_threshold)))
		return state_take_wishes(vcpu);
	dirty = READ_ONCE(page->dirty);
	resume = READ_ONCE(page->resume);
	inject.whole = READ_ONCE(*(u64 *)&page->inject);
	if (unlikely(dirty & ~VEE_STATE_REGS || inject.event.flags & VEE_EVENT_VALID))
		return state_take_groups(vcpu);
	if (dirty) {
		if (resume != VEE_RESUME_HERE)
			return state_take_regs(vcpu, resume);
		state_stage_regs(staged, page, READ_ONCE(page->regs.rip));
		return 0;
	}
	if (resume != VEE_RESUME_NEXT || staged->next || !state_knows_length(page, exit))
		return state_take_resume(vcpu, resume);
	staged->next = true;
	WRITE_ONCE(page->resume, VEE_RESUME_HERE);
	return 0;
}

#endif /* _VEE_STATE_H */
