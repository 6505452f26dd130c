/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that is not at hand.
 */
#ifndef _VEE_FETCH_H
#define _VEE_FETCH_H

#include <linux/types.h>

struct absent;
struct vee_vcpu;

/*
 * Sleeps, until a signal, and with @in_run a kick or the deadline: -EINTR; else as
 * mem_fetch().
 */
int fetch_wait(struct vee_vcpu *vcpu, const struct absent *what, bool in_run);
/*
 * For what reads guest memory and met vcpu->absent: 0: it is to read again, from the
 * beginning; -EINTR, likewise; else it can't be read.
 */
int fetch_missing(struct vee_vcpu *vcpu, bool in_run);
void fetch_free(struct vee_vcpu *vcpu);

#endif /* _VEE_FETCH_H */
