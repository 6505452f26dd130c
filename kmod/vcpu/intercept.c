// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which exceptions exit, and whether MOV to and from debug registers and CR8 do, and
 * accesses to descriptor-table registers.
 */
#include <linux/bits.h>
#include <asm/trapnr.h>

#include "vcpu/intercept.h"
#include "vmx/caps.h"

#define EXCEPTIONS	(BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC))

/* Seldom changed, so nowhere copied. */
static void exit_for_descriptors(bool on)
{
	u32 proc2 = vmcs_read(VMCS_PROC2_CONTROLS);

	vmcs_write(VMCS_PROC2_CONTROLS, on ? proc2 | PROC2_DESCRIPTOR_TABLE_EXITING :
				       proc2 & ~PROC2_DESCRIPTOR_TABLE_EXITING);
}

void intercept_choose(struct vmcs_controls *controls, u32 chosen_for, const struct tpr *tpr)
{
	vmcs_set_exceptions(controls, chosen_for & VEE_INTERCEPT_BREAKPOINT ?
			    EXCEPTIONS | BIT(X86_TRAP_BP) : EXCEPTIONS);
	vmcs_set_proc(controls, PROC_MOV_DR_EXITING, !(chosen_for & CHOSEN_DR_LOADED));
	if (caps_has(VEE_FEATURE_DESCRIPTOR_EXITING))
		exit_for_descriptors(chosen_for & VEE_INTERCEPT_DESCRIPTOR);
	tpr_apply(tpr, controls);
}
