/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's debug registers. Preemption off.
 */
#ifndef _VEE_DEBUG_H
#define _VEE_DEBUG_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <asm/debugreg.h>

#include "compat_cpu.h"
#include "vmx/vmcs.h"

/* SDM 3B, "Debug Registers": bits that asm/debugreg.h has no name for. */
#define DR6_ACCESS	BIT(13)	/* BD: a debug register was accessed */
#define DR7_DETECT	BIT(13)	/* GD: and that is to be detected */
#define DR7_ALWAYS_ONE	BIT(10)

/**
 * struct debug_regs - debug registers
 * @dr: DR0 to DR3
 * @dr6: DR6
 * @dr7: DR7 when last seen
 * @loaded: the guest's DR0 to DR3 and DR6 are in the CPU within the bracket
 * @host: the host's meanwhile, if it has any
 */
struct debug_regs {
	u64 dr[4];
	u64 dr6;
	u64 dr7;
	bool loaded;
	struct vee_breakpoints host;
};

/*
 * Inside the bracket: would the CPU look at what the guest accesses? Who does an access
 * for it must, then. With one that is armed all are in the CPU, since debug_begin() or
 * debug_reload() or the guest's own MOV, and DR7 in the VMCS.
 */
static inline bool breakpoints_armed(const struct debug_regs *debug)
{
	return unlikely(debug->loaded) &&
	       vmcs_read(VMCS_GUEST_DR7) & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK);
}

/* Inside the bracket: into the CPU. */
void debug_load(struct debug_regs *debug);
/* Likewise, if they are not there. */
void debug_need(struct debug_regs *debug);
/* From the CPU, if they are there. */
void debug_read(struct debug_regs *debug);
/* Likewise, at the bracket's end. */
void debug_put_away(struct debug_regs *debug);

static inline bool debug_armed(const struct debug_regs *debug)
{
	return debug->dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK);
}

/* Inside the bracket: armed breakpoints are needed at once; others on first use. */
static inline void debug_reload(struct debug_regs *debug)
{
	if (debug->loaded || debug_armed(debug))
		debug_load(debug);
}

/* At the stretch's beginning, for its first bracket. */
static inline void debug_begin(struct debug_regs *debug)
{
	debug->loaded = debug_armed(debug);
}

/* At the bracket's beginning. */
static inline void debug_enter(struct debug_regs *debug)
{
	if (unlikely(debug->loaded))
		debug_load(debug);
}

/* The host's again. */
static inline void debug_unload(struct debug_regs *debug)
{
	debug->loaded = false;
	/* The exit turned every breakpoint of the host off. */
	if (unlikely(hw_breakpoint_active()))
		vee_breakpoints_enable();
}

#endif /* _VEE_DEBUG_H */
