/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stores that were posted, to be posted again.
 */
#ifndef _VEE_REPEAT_H
#define _VEE_REPEAT_H

#include <linux/types.h>

#include "memory/walk.h"
#include "vcpu/store.h"

struct vee_vcpu;

/**
 * struct repeat - a store that was posted
 * @rip: where the instruction is
 * @gfn: number of the page that it wrote to, where no slot is
 * @store: what it is
 * @trail: how it was found
 */
struct repeat {
	u64 rip;
	u64 gfn;
	struct store store;
	struct trail trail;
};

/* A driver has its writes in few places. */
#define REPEAT_BITS	3

/* Outside the bracket: what vcpu.code has was posted, and is @store. */
void repeat_note(struct vee_vcpu *vcpu, const struct store *store);
/* Inside: if the CPU is at one of them, which; NULL: not known. */
const struct store *repeat_find(struct vee_vcpu *vcpu);

#endif /* _VEE_REPEAT_H */
