/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that is not at hand.
 */
#ifndef _VEE_FETCH_H
#define _VEE_FETCH_H

struct absent;
struct vee_vcpu;

/* May sleep, until a kick, the deadline or a signal: -EINTR; else as mem_fetch(). */
int fetch_wait(struct vee_vcpu *vcpu, const struct absent *what);
void fetch_free(struct vee_vcpu *vcpu);

#endif /* _VEE_FETCH_H */
