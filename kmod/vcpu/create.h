/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's birth and death.
 */
#ifndef _VEE_CREATE_H
#define _VEE_CREATE_H

struct vee_vcpu;
struct vee_vm;

struct vee_vcpu *vcpu_create(struct vee_vm *vm, unsigned int id);
void vcpu_destroy(struct vee_vcpu *vcpu);

#endif /* _VEE_CREATE_H */
