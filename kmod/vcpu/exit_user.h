/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the caller is told of an exit. Inside the bracket.
 */
#ifndef _VEE_EXIT_USER_H
#define _VEE_EXIT_USER_H

#include <linux/types.h>

#include "vcpu/vmexit.h"

/* @reason: VEE_EXIT_; what belongs to it is in the page */
enum next exit_user(struct vee_vcpu *vcpu, u32 reason);
/* Of one that is no instruction's: VEE_RESUME_NEXT would make no sense. */
enum next exit_user_event(struct vee_vcpu *vcpu, u32 reason);

#endif /* _VEE_EXIT_USER_H */
