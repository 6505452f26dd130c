/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which exceptions exit, and whether MOV to and from debug registers do.
 */
#ifndef _VEE_INTERCEPT_H
#define _VEE_INTERCEPT_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "vmx/vmcs.h"

void intercept_choose(struct vmcs_controls *controls, bool breakpoint, bool dr_loaded);

/*
 * Inside the bracket. @intercept: as the caller wishes; @dr_loaded: the debug
 * registers are the guest's
 */
static inline void intercept_set_controls(struct vmcs_controls *controls, u32 intercept,
					  bool dr_loaded)
{
	bool breakpoint = intercept & VEE_INTERCEPT_BREAKPOINT;
	u32 asked = breakpoint << 1 | dr_loaded;

	if (likely(asked == controls->chosen_for))
		return;
	controls->chosen_for = asked;
	intercept_choose(controls, breakpoint, dr_loaded);
}

#endif /* _VEE_INTERCEPT_H */
