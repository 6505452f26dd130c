// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's debug registers, which are in the CPU from their first use in a stretch
 * to its end. DR7 is in the VMCS.
 */
#include "vcpu/debug.h"

void debug_load(struct debug_regs *debug)
{
	set_debugreg(debug->dr[0], 0);
	set_debugreg(debug->dr[1], 1);
	set_debugreg(debug->dr[2], 2);
	set_debugreg(debug->dr[3], 3);
	set_debugreg(debug->dr6, 6);
	debug->loaded = true;
}

void debug_read(struct debug_regs *debug)
{
	if (!debug->loaded)
		return;
	get_debugreg(debug->dr[0], 0);
	get_debugreg(debug->dr[1], 1);
	get_debugreg(debug->dr[2], 2);
	get_debugreg(debug->dr[3], 3);
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
	debug->loaded = false;
	set_debugreg(DR6_RESERVED, 6);
}
