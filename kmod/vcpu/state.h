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

/* Takes over and checks what the caller changed. Sleeps, or -EAGAIN in an inline run. */
int state_take(struct vee_vcpu *vcpu);
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

/* @staged: @vcpu's. Most callers want to go on, past the instruction. */
static inline void state_load(struct vee_vcpu *vcpu, struct staged_state *staged)
{
	if (unlikely(staged->groups || staged->fault)) {
		state_load_staged(vcpu);
	} else if (staged->next) {
		staged->next = false;
		event_pass_seen(vcpu);
	}
}

#endif /* _VEE_STATE_H */
