/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's birth and death.
 */
#ifndef _VEE_CREATE_H
#define _VEE_CREATE_H

#include <linux/types.h>

struct vee_vcpu;
struct vee_vm;

/* @page_hva: see vcpu/page.h */
struct vee_vcpu *vcpu_create(struct vee_vm *vm, unsigned int id, u64 page_hva);
void vcpu_destroy(struct vee_vcpu *vcpu);

#endif /* _VEE_CREATE_H */
