// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which exceptions exit, and whether MOV to and from debug registers do.
 */
#include <linux/bits.h>
#include <asm/trapnr.h>

#include "vcpu/intercept.h"

#define EXCEPTIONS	(BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC))

void intercept_choose(struct vmcs_controls *controls, bool breakpoint, bool dr_loaded)
{
	vmcs_set_exceptions(controls, breakpoint ? EXCEPTIONS | BIT(X86_TRAP_BP) : EXCEPTIONS);
	vmcs_set_proc(controls, PROC_MOV_DR_EXITING, !dr_loaded);
}
