/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page frames that are no pages of the kernel's: devices, reserved memory.
 */
#ifndef _VEE_FRAME_H
#define _VEE_FRAME_H

#include <linux/types.h>

struct mm_struct;

/**
 * struct frame - a page frame, for as long as the notifier says nothing
 * @hpa: its host-physical address
 * @type: its memory type (SDM 3A, "Memory Types")
 * @writable: it may be written
 */
struct frame {
	u64 hpa;
	u8 type;
	bool writable;
};

/* What the caller's tables have at @hva. -EBUSY: nothing yet; -EFAULT: not such a thing. */
int frame_find(struct mm_struct *mm, unsigned long hva, bool write, struct frame *frame);
/* Has it put there, however long that takes; as mem_fetch(). */
int frame_fetch(struct mm_struct *mm, unsigned long hva, bool write);

#endif /* _VEE_FRAME_H */
