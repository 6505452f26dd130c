/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSRs: which the guest has to itself, and which vee answers.
 */
#ifndef _VEE_MSR_H
#define _VEE_MSR_H

#include <linux/types.h>

#include "vcpu/vmexit.h"

int msr_init(void);
void msr_exit(void);
u64 msr_bitmap_hpa(void);
enum next exit_rdmsr(struct vee_vcpu *vcpu);
enum next exit_wrmsr(struct vee_vcpu *vcpu);

#endif /* _VEE_MSR_H */
