/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events on their way into the guest, and the instruction that is done for it.
 *
 * Inside the bracket, but for event_check(), event_send() and event_was_sent().
 */
#ifndef _VEE_EVENT_H
#define _VEE_EVENT_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "vcpu/vmexit.h"
#include "vmx/controls.h"

/**
 * struct events - where events wait
 * @delivering: see struct vee_events
 * @interrupt: see struct vee_events
 * @nmi: see struct vee_events
 * @injecting: which of these the entry under way delivers, or NULL
 * @resume_flag_changed: RFLAGS.RF is not the guest's, but as its frame is to have it
 * @sent_interrupt: a struct vee_event from another thread, 0: none
 * @sent_nmi: likewise
 */
struct events {
	struct vee_event delivering;
	struct vee_event interrupt;
	struct vee_event nmi;
	struct vee_event *injecting;
	bool resume_flag_changed;
	u64 sent_interrupt;
	u64 sent_nmi;
};

int event_check(const struct vee_event *event, u64 cr0);
/* From any thread. */
int event_send(struct vee_vcpu *vcpu, const struct vee_event *event);
/* Is there one that can be taken over now? */
bool event_was_sent(const struct events *events);
void event_take(struct events *events);

static inline void event_take_sent(struct events *events)
{
	if (unlikely(READ_ONCE(events->sent_interrupt) | READ_ONCE(events->sent_nmi)))
		event_take(events);
}

void event_collect(struct vee_vcpu *vcpu);
void event_prepare(struct vee_vcpu *vcpu);

/* Both hold interrupts off for one instruction. */
#define INTERRUPT_SHADOW	(VEE_BLOCKING_BY_STI | VEE_BLOCKING_BY_MOV_SS)

#define PROC_WINDOWS	(PROC_NMI_WINDOW_EXITING | PROC_INTERRUPT_WINDOW_EXITING)
#define INTERCEPT_WINDOWS	(VEE_INTERCEPT_NMI_WINDOW |	\
				 VEE_INTERCEPT_INTERRUPT_WINDOW)

/* Something is on its way into the guest. */
static inline bool event_pending(const struct events *events)
{
	return (events->delivering.flags | events->nmi.flags | events->interrupt.flags) &
	       VEE_EVENT_VALID;
}

/* @intercept: as the caller wishes; @proc: the controls as they are */
static inline bool event_windows(u32 intercept, u32 proc)
{
	return intercept & INTERCEPT_WINDOWS || proc & PROC_WINDOWS;
}

/* The entry succeeded: delivered, unless event_collect() finds otherwise. */
static inline void event_entered(struct events *events)
{
	if (unlikely(events->injecting)) {
		events->injecting->flags = 0;
		events->injecting = NULL;
	}
}

void event_entry_failed(struct events *events);
bool event_make_way(struct events *events);
bool event_wakes(const struct events *events);
void event_set_error(struct vee_vcpu *vcpu, struct vee_event *event, u32 error_code);
/* The guest gets #UD, #GP(0). NEXT_PREPARE, so that a handler can end with them, or be. */
enum next event_ud(struct vee_vcpu *vcpu);
enum next event_gp(struct vee_vcpu *vcpu);
/* @rflags: the guest's */
u32 event_exit_flags(const struct events *events, u64 rflags);
/* NEXT_ENTER, likewise. */
enum next event_skip(struct vee_vcpu *vcpu);
/* TF's trap comes at the next entry, after the instruction that is done. */
void event_trap_pending(void);
/* @rflags: the guest's */
bool event_each_insn_traps(u64 rflags);

#endif /* _VEE_EVENT_H */
