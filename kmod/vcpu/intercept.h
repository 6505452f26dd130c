/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which exceptions exit, and whether MOV to and from debug registers and CR8 do, and
 * accesses to descriptor-table registers.
 */
#ifndef _VEE_INTERCEPT_H
#define _VEE_INTERCEPT_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "vcpu/tpr.h"
#include "vmx/vmcs.h"

/* What it is chosen for: these bits, and above them struct tpr's @chosen_for. */
#define CHOSEN_DR_LOADED	0x1U
#define CHOSEN_INTERCEPTS	(VEE_INTERCEPT_BREAKPOINT | VEE_INTERCEPT_DESCRIPTOR)
#define CHOSEN_TPR_SHIFT	8

static_assert(!(CHOSEN_INTERCEPTS & (CHOSEN_DR_LOADED | -1U << CHOSEN_TPR_SHIFT)));

void intercept_choose(struct vmcs_controls *controls, u32 chosen_for, const struct tpr *tpr);

/*
 * Inside the bracket. @intercept: as the caller wishes; @dr_loaded: the debug
 * registers are the guest's
 */
static inline void intercept_set_controls(struct vmcs_controls *controls, u32 intercept,
					  bool dr_loaded, const struct tpr *tpr)
{
	u32 asked = (intercept & CHOSEN_INTERCEPTS) | (dr_loaded ? CHOSEN_DR_LOADED : 0) |
		    tpr->chosen_for << CHOSEN_TPR_SHIFT;

	if (likely(asked == controls->chosen_for))
		return;
	controls->chosen_for = asked;
	intercept_choose(controls, asked, tpr);
}

#endif /* _VEE_INTERCEPT_H */
