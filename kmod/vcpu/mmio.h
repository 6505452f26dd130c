/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * EPT violations: first touches, memory that can't be had, and MMIO.
 */
#ifndef _VEE_MMIO_H
#define _VEE_MMIO_H

#include <linux/types.h>

#include "vcpu/vmexit.h"

/* Inside the bracket. */
enum next exit_ept_violation(struct vee_vcpu *vcpu);
enum next exit_apic_access(struct vee_vcpu *vcpu);
/* Outside of it, for NEXT_FAULT. */
enum next exit_fault(struct vee_vcpu *vcpu);
/* In another bracket, for NEXT_NOTE. */
void exit_fault_note(struct vee_vcpu *vcpu, void *unused);

#endif /* _VEE_MMIO_H */
