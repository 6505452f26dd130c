/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which exceptions exit, and whether MOV to and from debug registers and CR8 do.
 */
#ifndef _VEE_INTERCEPT_H
#define _VEE_INTERCEPT_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "vcpu/tpr.h"
#include "vmx/vmcs.h"

/* What it is chosen for: these bits, and above them struct tpr's @chosen_for. */
#define CHOSEN_DR_LOADED	0x1
#define CHOSEN_BREAKPOINT	0x2
#define CHOSEN_TPR_SHIFT	2

void intercept_choose(struct vmcs_controls *controls, u32 chosen_for, const struct tpr *tpr);

/*
 * Inside the bracket. @intercept: as the caller wishes; @dr_loaded: the debug
 * registers are the guest's
 */
static inline void intercept_set_controls(struct vmcs_controls *controls, u32 intercept,
					  bool dr_loaded, const struct tpr *tpr)
{
	u32 asked = (intercept & VEE_INTERCEPT_BREAKPOINT ? CHOSEN_BREAKPOINT : 0) |
		    (dr_loaded ? CHOSEN_DR_LOADED : 0) | tpr->chosen_for << CHOSEN_TPR_SHIFT;

	if (likely(asked == controls->chosen_for))
		return;
	controls->chosen_for = asked;
	intercept_choose(controls, asked, tpr);
}

#endif /* _VEE_INTERCEPT_H */
