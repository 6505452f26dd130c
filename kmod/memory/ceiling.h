/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many of a thing there may be at once, which whoever loads the module says.
 */
#ifndef _VEE_CEILING_H
#define _VEE_CEILING_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/types.h>

/**
 * struct ceiling - how many there may be
 * @most: a parameter of the module, which may change; 0: as many as there is memory for
 * @count: how many there are
 */
struct ceiling {
	unsigned int most;
	atomic_t count;
};

static inline bool ceiling_is_reached(unsigned int most, u64 count)
{
	return unlikely(most) && count >= most;
}

/* One more: 0 or -EDQUOT. */
static inline int ceiling_take(struct ceiling *ceiling)
{
	int count = atomic_read(&ceiling->count);

	do {
		if (ceiling_is_reached(READ_ONCE(ceiling->most), count))
			return -EDQUOT;
	} while (!atomic_try_cmpxchg(&ceiling->count, &count, count + 1));
	return 0;
}

static inline void ceiling_give_back(struct ceiling *ceiling)
{
	atomic_dec(&ceiling->count);
}

#endif /* _VEE_CEILING_H */
