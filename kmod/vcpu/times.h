/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose time it is, for the kernel's account of the thread: guest_time in
 * /proc/PID/task/TID/stat. Preemption off.
 *
 * Where ticks account, a tick counts for what it has struck. One that struck the guest has
 * ended the entry by an external interrupt, and is handled as soon as interrupts are on: from
 * that exit to there the thread passes for a guest's (PF_VCPU). Other exits have nothing to do
 * for it. One that struck vee between two entries of a bracket waits for the second, and ends
 * it: what vee answers there is the guest's time, too.
 *
 * From 6.15 on the guest's FPU, once loaded, keeps bottom halves off to the end of the stretch,
 * and the kernel takes what a tick strikes then for its own time.
 *
 * On CPUs without ticks (nohz_full) the kernel reads a clock where a guest begins and ends:
 * around each bracket, to the same effect.
 */
#ifndef _VEE_TIMES_H
#define _VEE_TIMES_H

#include <linux/sched.h>
#include <linux/vtime.h>

#include "compat.h"

/*
 * Interrupts off. Nothing under RCU is held from one exit to the next, so what waits for a
 * grace period need not wait for a guest that computes, no more than for a program.
 */
static inline void times_interrupted(void)
{
	vee_rcu_note_guest();
	current->flags |= PF_VCPU;
}

static inline void times_interrupt_done(void)
{
	current->flags &= ~PF_VCPU;
}

/* Interrupts off, for these two. */
static __always_inline void times_enter(void)
{
	if (vtime_accounting_enabled_this_cpu())
		vtime_guest_enter(current);
}

static __always_inline void times_leave(void)
{
	if (vtime_accounting_enabled_this_cpu())
		vtime_guest_exit(current);
}

#endif /* _VEE_TIMES_H */
