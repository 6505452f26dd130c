/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's descriptor.
 */
#ifndef _VEE_VCPU_FD_H
#define _VEE_VCPU_FD_H

struct file;
struct vee_vcpu;

/* A new one, which destroys @vcpu when it is closed; or an error. */
int vcpu_fd(struct vee_vcpu *vcpu);
/* NULL: it is none. */
struct vee_vcpu *vcpu_of(const struct file *file);

#endif /* _VEE_VCPU_FD_H */
