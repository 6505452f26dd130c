/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events on their way into the guest, and the instruction that is done for it.
 *
 * Inside the bracket, but for event_check(), event_send() and event_was_sent().
 */
#ifndef _VEE_EVENT_H
#define _VEE_EVENT_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/types.h>
#include <asm/processor-flags.h>

#include "linux/vee.h"
#include "vcpu/vmexit.h"
#include "vmx/controls.h"
#include "vmx/vmcs.h"

/**
 * struct events - where events wait
 * @delivering: see struct vee_events
 * @interrupt: see struct vee_events
 * @nmi: see struct vee_events
 * @nmi_again: with @nmi: there is one more
 * @injecting: which of these the entry under way delivers, or NULL
 * @resume_flag_changed: RFLAGS.RF is not the guest's, but as its frame is to have it
 * @apic_waits: the local APIC has one, which is accepted when it is injected
 * @apic_vector: ... it, if no entry was prepared since; -1: that is to be looked up
 * @apic_asked: ... the guest is not ready for it, and the CPU is asked to say when it is
 * @sent_interrupt: a struct vee_event from another thread, 0: none
 * @sent_nmi: likewise
 */
struct events {
	struct vee_event delivering;
	struct vee_event interrupt;
	struct vee_event nmi;
	bool nmi_again;
	struct vee_event *injecting;
	bool resume_flag_changed;
	bool apic_waits;
	s16 apic_vector;
	bool apic_asked;
	u64 sent_interrupt;
	u64 sent_nmi;
};

/* An event that another thread may change, to be read or written whole. */
union event_word {
	u64 whole;
	struct vee_event event;
};

static_assert(sizeof(union event_word) == sizeof(u64));

/* A VM entry would fail with it in this mode: -EINVAL. */
int event_check(const struct vee_event *event, u64 cr0);

/* The usual one, which event_check() finds nothing wrong with in any mode. */
static inline bool event_is_interrupt(union event_word word)
{
	const union event_word usual = {
		.event = { .type = VEE_EVENT_INTERRUPT, .flags = VEE_EVENT_VALID },
	};

	word.event.vector = 0;
	return word.whole == usual.whole;
}

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

/* Of the local APIC. */
void event_take_nmis(struct events *events, unsigned int count);

void event_collect(struct vee_vcpu *vcpu);
void event_prepare(struct vee_vcpu *vcpu);

/* Both hold interrupts off for one instruction. */
#define INTERRUPT_SHADOW	(VEE_BLOCKING_BY_STI | VEE_BLOCKING_BY_MOV_SS)

#define PROC_WINDOWS	(PROC_NMI_WINDOW_EXITING | PROC_INTERRUPT_WINDOW_EXITING)
#define INTERCEPT_WINDOWS	(VEE_INTERCEPT_NMI_WINDOW |	\
				 VEE_INTERCEPT_INTERRUPT_WINDOW)

/* One more NMI, which waits until the place of the one before is free. */
static inline bool event_has_next_nmi(const struct events *events)
{
	return events->nmi_again || READ_ONCE(events->sent_nmi);
}

/* These two, and step_armed(), are not 0 if so. Something is on its way into the guest. */
static inline u32 event_pending(const struct events *events)
{
	return (events->delivering.flags | events->nmi.flags | events->interrupt.flags) &
	       VEE_EVENT_VALID;
}

/* @intercept: as the caller wishes; @proc: the controls as they are */
static inline u32 event_windows(u32 intercept, u32 proc)
{
	return (intercept & INTERCEPT_WINDOWS) | (proc & PROC_WINDOWS);
}

/* The window that an interrupt of the local APIC waits for is all there is, and asked for. */
static inline bool event_only_asked(const struct events *events, u32 intercept)
{
	return events->apic_asked && !event_pending(events) && !(intercept & INTERCEPT_WINDOWS);
}

void event_next_nmi(struct events *events);

/* The entry succeeded: delivered, unless event_collect() finds otherwise. */
static inline void event_entered(struct events *events)
{
	if (unlikely(events->injecting)) {
		events->injecting->flags = 0;
		if (unlikely(events->nmi_again))
			event_next_nmi(events);
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
/* NEXT_ENTER, likewise. */
enum next event_skip(struct vee_vcpu *vcpu);
/* TF's trap comes at the next entry, after the instruction that is done. */
void event_trap_pending(void);
/* @rflags: the guest's */
bool event_each_insn_traps(u64 rflags);

/* --- is the guest ready? ---------------------------------------------------------- */

static inline u32 interruptibility(void)
{
	return vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
}

/* For an external interrupt; @state: interruptibility(). */
static inline bool interrupt_ready(u32 state, u64 rflags)
{
	return !(state & INTERRUPT_SHADOW) && rflags & X86_EFLAGS_IF;
}

/* Blocking by STI need not hold an NMI off, but may: some CPUs check it. */
static inline bool nmi_ready(u32 state)
{
	return !(state & (INTERRUPT_SHADOW | VEE_BLOCKING_BY_NMI));
}

/*
 * Goes past the instruction of the last exit that the caller saw. What event_skip() would read
 * is known since then; each VMREAD is as dear as twenty other instructions. False: it isn't, or
 * there is more to do.
 */
static __always_inline bool event_pass_seen(struct vm_exit *exit)
{
	u64 rip = exit->rip, next = rip + exit->insn_length;

	if (unlikely(!exit->plain || (rip ^ next) >> 32))
		return false;
	exit->plain = false;
	vmcs_write(VMCS_GUEST_RIP, next);
	return true;
}

/* Does passing an instruction end a blocking or RF, or trap? The guest's. */
static inline bool event_insn_matters(u32 state, u64 rflags)
{
	return (state & INTERRUPT_SHADOW) | (rflags & (X86_EFLAGS_RF | X86_EFLAGS_TF));
}

/* For the caller, at an exit: VEE_EXIT_ flags. @state, @rflags: the guest's */
static inline u32 event_exit_flags(const struct events *events, u32 state, u64 rflags)
{
	return (nmi_ready(state) ? VEE_EXIT_NMI_READY : 0) |
	       (interrupt_ready(state, rflags) ? VEE_EXIT_INTERRUPT_READY : 0) |
	       (event_pending(events) ? VEE_EXIT_EVENT_PENDING : 0);
}

/* The same where nothing is pending and interruptibility() is 0. */
static inline u32 event_free_flags(u64 rflags)
{
	return VEE_EXIT_NMI_READY | (rflags & X86_EFLAGS_IF ? VEE_EXIT_INTERRUPT_READY : 0);
}

#endif /* _VEE_EVENT_H */
