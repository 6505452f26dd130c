/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's local APIC: what is to be done for it before an entry, and its exits.
 */
#ifndef _VEE_LOCAL_EXIT_H
#define _VEE_LOCAL_EXIT_H

#include "linux/vee.h"
#include "vcpu/vmexit.h"

/* Before an entry. NEXT_ENTER, unless something is to be done first. */
enum next local_attend(struct vee_vcpu *vcpu);

enum next local_rdmsr(struct vee_vcpu *vcpu, u32 index);
enum next local_wrmsr(struct vee_vcpu *vcpu, u32 index);
enum next exit_apic_write(struct vee_vcpu *vcpu);
enum next exit_eoi(struct vee_vcpu *vcpu);
/* For VEE_VCPU_APIC. */
void local_access(struct vee_vcpu *vcpu, struct vee_apic_access *access);

#endif /* _VEE_LOCAL_EXIT_H */
