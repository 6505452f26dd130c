/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSRs that exit.
 */
#ifndef _VEE_MSR_H
#define _VEE_MSR_H

#include "vcpu/vmexit.h"

enum next exit_rdmsr(struct vee_vcpu *vcpu);
enum next exit_wrmsr(struct vee_vcpu *vcpu);

#endif /* _VEE_MSR_H */
