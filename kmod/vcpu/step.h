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
#include "vmx/controls.h"
#include "vmx/vmcs.h"

/* How the entry under way ends after one instruction. */
enum step_by {
	STEP_NONE,		/* not, or by the monitor trap flag */
	STEP_TRAP,		/* by RFLAGS.TF */
	STEP_GUESTS_TRAP,	/* by RFLAGS.TF, which the guest has set anyway */
	STEP_TIMER,		/* by the preemption timer, after an event */
};

/**
 * struct step - a step
 * @by: how the entry under way ends after one instruction
 * @done: an instruction was completed for the guest since the last entry
 */
struct step {
	enum step_by by;
	bool done;
};

/* @wanted: by the caller; @injecting: the entry delivers an event */
void step_prepare(struct step *step, struct vmcs_controls *controls, bool wanted,
		  bool injecting);
void step_untrap(void);
bool step_is_debug(const struct step *step, u64 qualification);
bool step_is_timer(const struct step *step);

/* @intercept: as the caller wishes; @proc: the controls as they are */
static inline bool step_armed(u32 intercept, u32 proc)
{
	return intercept & VEE_INTERCEPT_STEP || proc & PROC_MONITOR_TRAP_FLAG;
}

static inline void step_after_exit(const struct step *step)
{
	if (unlikely(step->by == STEP_TRAP))
		step_untrap();
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
