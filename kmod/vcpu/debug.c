// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's debug registers, which from their first use in a stretch to its end are
 * in the CPU, with interrupts off alone: perf changes them in an IPI, and what it left
 * there would be the guest's to read. DR7 is in the VMCS.
 */
#include "vcpu/debug.h"

void debug_load(struct debug_regs *debug)
{
	/* Of the host's breakpoints none may be armed with the guest's addresses. */
	if (unlikely(hw_breakpoint_active())) {
		vee_breakpoints_take(&debug->host);
		set_debugreg(0, 7);
	}
	vee_write_breakpoints(debug->dr);
	set_debugreg(debug->dr6, 6);
	debug->loaded = true;
}

void debug_read(struct debug_regs *debug)
{
	if (!debug->loaded)
		return;
	vee_read_breakpoints(debug->dr);
	get_debugreg(debug->dr6, 6);
}

void debug_need(struct debug_regs *debug)
{
	if (!debug->loaded)
		debug_load(debug);
}

void debug_put_away(struct debug_regs *debug)
{
	debug_read(debug);
	set_debugreg(DR6_RESERVED, 6);
	vee_breakpoints_put_back(&debug->host);
}
