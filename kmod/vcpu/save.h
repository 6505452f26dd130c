/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All state of a vCPU at once (VEE_VCPU_SAVE, VEE_VCPU_LOAD).
 */
#ifndef _VEE_SAVE_H
#define _VEE_SAVE_H

struct vee_vcpu;
struct vee_vcpu_state;

int vcpu_save(struct vee_vcpu *vcpu, struct vee_vcpu_state *state);
/* All of it, or with an error nothing. */
int vcpu_load(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state);

#endif /* _VEE_SAVE_H */
