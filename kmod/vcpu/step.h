/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Single steps for the caller (VEE_INTERCEPT_STEP). Inside the bracket.
 */
#ifndef _VEE_STEP_H
#define _VEE_STEP_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "vcpu/event.h"
#include "vcpu/vmexit.h"
#include "vmx/controls.h"
#include "vmx/vmcs.h"

/* How the entry under way ends after one instruction. */
enum step_by {
	STEP_NONE,		/* not, or by the monitor trap flag */
	STEP_TIMER,		/* by the preemption timer, after an event */
	STEP_TRAP,		/* by RFLAGS.TF */
	STEP_LOADED_TRAP,	/* likewise; the instruction loads TF for the guest */
	STEP_GUESTS_TRAP,	/* likewise, which the guest has set anyway */
	STEP_BREAKPOINT,	/* by a breakpoint at the next instruction */
};

/**
 * struct step - a step
 * @by: how the entry under way ends after one instruction
 * @done: an instruction was completed for the guest since the last entry
 * @known: vee_vcpu.code is the next instruction
 * @loaded_flag: STEP_LOADED_TRAP: RFLAGS.TF as it was at the exit
 * @breakpoint: STEP_BREAKPOINT: which of DR0 to DR3 is not the guest's
 * @dr7: likewise: the guest's
 * @exceptions: the exception bitmap as it is otherwise
 */
struct step {
	enum step_by by;
	bool done;
	bool known;
	u64 loaded_flag;
	unsigned int breakpoint;
	u64 dr7;
	u32 exceptions;
};

/* When a run begins. */
static inline void step_begin(struct step *step)
{
	step->done = false;
	step->known = false;
}

/* Before an entry, after event_prepare(). NEXT_ENTER, or NEXT_SLEEP. */
enum next step_prepare(struct vee_vcpu *vcpu);
void step_undo(struct vee_vcpu *vcpu);
bool step_is_debug(struct vee_vcpu *vcpu, bool is_int1);
bool step_is_timer(const struct step *step);

/* @intercept: as the caller wishes; @proc: the controls as they are */
static inline u32 step_armed(u32 intercept, u32 proc)
{
	return (intercept & VEE_INTERCEPT_STEP) | (proc & PROC_MONITOR_TRAP_FLAG);
}

/* Right after an exit: all is the guest's again. */
static inline void step_after_exit(struct vee_vcpu *vcpu, const struct step *step)
{
	if (unlikely(step->by >= STEP_TRAP))
		step_undo(vcpu);
}

/*
 * The step is over, too, when the engine or the caller (VEE_RESUME_NEXT) has done
 * the instruction: hardware only counts what the CPU does.
 */
static inline bool step_is_over(const struct step *step, u32 intercept,
				const struct events *events)
{
	return unlikely(intercept & VEE_INTERCEPT_STEP) && step->done &&
	       !event_pending(events);
}

#endif /* _VEE_STEP_H */
