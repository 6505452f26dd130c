// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which exceptions exit, and whether MOV to and from debug registers and CR8 do.
 */
#include <linux/bits.h>
#include <asm/trapnr.h>

#include "vcpu/intercept.h"

#define EXCEPTIONS	(BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC))

void intercept_choose(struct vmcs_controls *controls, u32 chosen_for, const struct tpr *tpr)
{
	vmcs_set_exceptions(controls, chosen_for & CHOSEN_BREAKPOINT ?
			    EXCEPTIONS | BIT(X86_TRAP_BP) : EXCEPTIONS);
	vmcs_set_proc(controls, PROC_MOV_DR_EXITING, !(chosen_for & CHOSEN_DR_LOADED));
	tpr_apply(tpr, controls);
}
