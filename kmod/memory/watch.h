/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host does to memory that was borrowed.
 *
 * The order is the MMU notifier's: a look at memory begins, pages are looked up with
 * references, and under memory.lock, where the notifier can't come in, they are mapped if
 * the look is still good.
 */
#ifndef _VEE_WATCH_H
#define _VEE_WATCH_H

#include <linux/compiler.h>
#include <linux/mmu_notifier.h>
#include <linux/types.h>

/**
 * struct watch - over a range of the caller's address space
 * @notifier: tells of each change, before it and after it
 * @seq: of @notifier when a look last began; 0: none has
 */
struct watch {
	struct mmu_interval_notifier notifier;
	unsigned long seq;
};

/* Waits for the end of a change. */
static inline unsigned long watch_begin(struct watch *watch)
{
	unsigned long seq = mmu_interval_read_begin(&watch->notifier);

	WRITE_ONCE(watch->seq, seq);
	return seq;
}

/*
 * If nothing has changed since somebody began to look, that is as good as to begin just
 * now, and takes no wait. False: it has.
 */
static inline bool watch_go_on(struct watch *watch, unsigned long *seq)
{
	*seq = READ_ONCE(watch->seq);
	return !mmu_interval_check_retry(&watch->notifier, *seq);
}

/* Perhaps it is no longer good. */
static inline bool watch_may_be_over(struct watch *watch, unsigned long seq)
{
	return mmu_interval_check_retry(&watch->notifier, seq);
}

/* Under memory.lock. */
static inline bool watch_is_over(struct watch *watch, unsigned long seq)
{
	return mmu_interval_read_retry(&watch->notifier, seq);
}

#endif /* _VEE_WATCH_H */
