/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dirty pages: which of a guest's memory was written since somebody last asked.
 */
#ifndef _VEE_DIRTY_H
#define _VEE_DIRTY_H

#include <linux/types.h>

struct memory;
struct vee_dirty;

/* VEE_VM_DIRTY. May sleep. */
long dirty_request(struct memory *memory, const struct vee_dirty *arg);
/*
 * From here on writes are found out by protection, since the guest's page tables are where
 * it may not write, or a vCPU has no log. May sleep.
 */
void dirty_give_up_flags(struct memory *memory);

#endif /* _VEE_DIRTY_H */
