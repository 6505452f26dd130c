/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * EPT violations: first touches, memory that can't be had, and MMIO.
 */
#ifndef _VEE_MMIO_H
#define _VEE_MMIO_H

#include <linux/types.h>

#include "memory/walk.h"
#include "vcpu/vmexit.h"

/**
 * struct violation - the EPT violation under way
 * @gpa: guest-physical address
 * @error: why it could not be resolved with preemption off
 * @may_post: it is a write that may be posted, if an instruction's that can be decoded
 * @gva: with @may_post: linear address
 * @rsp: with @may_post: RSP
 * @fetch_gva: if the guest's tables have to be walked: linear address of the instruction
 * @paging: likewise: how
 */
struct violation {
	u64 gpa;
	int error;
	bool may_post;
	u64 gva;
	u64 rsp;
	u64 fetch_gva;
	struct paging paging;
};

/* Inside the bracket. */
enum next exit_ept_violation(struct vee_vcpu *vcpu);
/* Outside of it, for NEXT_FAULT. */
enum next exit_fault(struct vee_vcpu *vcpu);

#endif /* _VEE_MMIO_H */
