/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a CPU that is affected by L1TF, or by stale data from devices, needs right before
 * an entry. Interrupts off.
 */
#ifndef _VEE_L1D_H
#define _VEE_L1D_H

#include <linux/compiler.h>
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

/*
 * There is something to clean on this machine before a bracket's first entry; its others.
 * Counted: a trace of entries comes by here as well (traced.c).
 */
DECLARE_STATIC_KEY_FALSE(entries_clean);
DECLARE_STATIC_KEY_FALSE(entries_clean_again);
extern bool l1d_flushes_always;

int l1d_init(void);
void l1d_exit(void);
/* @memory: the guest's. @first: of a bracket */
void entry_clean(struct l1d *l1d, const struct memory *memory, bool first);

/* Is there, for an entry that is not the first? */
static inline bool entry_is_unclean(const struct memory *memory)
{
	return l1d_flushes_always || READ_ONCE(memory->has_frames);
}

#endif /* _VEE_L1D_H */
