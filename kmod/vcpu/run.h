/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The run loop. All but vcpu_busy() under vee_vcpu.lock.
 */
#ifndef _VEE_RUN_H
#define _VEE_RUN_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/types.h>

struct vee_vcpu;

/* Begins a run and sees it to its end. */
int vcpu_run(struct vee_vcpu *vcpu);
/*
 * Begins one in a thread that must not be kept for longer than @budget_us or put
 * to sleep. -EINPROGRESS: it is paused, vcpu_run_on() has to go on with it; -EAGAIN: it
 * has not begun, vcpu_run() has to do all of it.
 */
int vcpu_run_inline(struct vee_vcpu *vcpu, u32 budget_us);
/* -ESTALE: run @generation is not paused (any more); -EINVAL: it is yet to come. */
int vcpu_run_on(struct vee_vcpu *vcpu, u64 generation);

/* Of a paused run something was taken already, so its failure is no -EBUSY. */
static inline int vcpu_busy(bool paused)
{
	return paused ? -EINTR : -EBUSY;
}

/* VEE_VCPU_RUN, in a thread that may be kept. */
static inline int vcpu_run_or_go_on(struct vee_vcpu *vcpu, u64 generation)
{
	return unlikely(generation) ? vcpu_run_on(vcpu, generation) : vcpu_run(vcpu);
}

/* Takes over what the page asks for, as a run does when it begins. Sleeps; -EINTR. */
int vcpu_take(struct vee_vcpu *vcpu);
/* Runs @fn inside the bracket, from a context that may sleep. */
int vcpu_with_vmcs(struct vee_vcpu *vcpu,
		   void (*fn)(struct vee_vcpu *vcpu, void *arg), void *arg);

#endif /* _VEE_RUN_H */
