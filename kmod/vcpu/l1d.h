/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a CPU that is affected by L1TF, or by stale data from devices, needs right before
 * an entry. Interrupts off.
 */
#ifndef _VEE_L1D_H
#define _VEE_L1D_H

#include <linux/jump_label.h>
#include <linux/limits.h>
#include <linux/types.h>

#include "memory/slots.h"

/* The caller's secrets are in it. */
#define L1D_NEVER_CLEAN	ULONG_MAX

/**
 * struct l1d - the L1 data cache
 * @clean_at: how often the task had been switched out when the cache was last flushed
 *	for it; L1D_NEVER_CLEAN
 */
struct l1d {
	unsigned long clean_at;
};

DECLARE_STATIC_KEY_FALSE(l1d_flushes);
DECLARE_STATIC_KEY_FALSE(l1d_flushes_always);
DECLARE_STATIC_KEY_FALSE(devices_leak);

int l1d_init(void);
void l1d_exit(void);
void l1d_clean(struct l1d *l1d);

void buffers_clean(void);

static inline void buffers_flush(const struct memory *memory)
{
	if (static_branch_unlikely(&devices_leak) && READ_ONCE(memory->has_frames))
		buffers_clean();
}

static inline void l1d_flush(struct l1d *l1d, const struct memory *memory)
{
	if (static_branch_unlikely(&l1d_flushes))
		l1d_clean(l1d);
	buffers_flush(memory);
}

/* ... once more in the same bracket. */
static inline void l1d_flush_again(struct l1d *l1d, const struct memory *memory)
{
	if (static_branch_unlikely(&l1d_flushes_always))
		l1d_clean(l1d);
	buffers_flush(memory);
}

#endif /* _VEE_L1D_H */
