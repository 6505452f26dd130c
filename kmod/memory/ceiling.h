/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many of a thing there may be at once, which whoever loads the module says.
 */
#ifndef _VEE_CEILING_H
#define _VEE_CEILING_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/slab.h>
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

static inline int ceiling_take(struct ceiling *ceiling)
{
	int count = atomic_read(&ceiling->count);

	do {
		if (ceiling_is_reached(READ_ONCE(ceiling->most), count))
			return -EDQUOT;
	} while (!atomic_try_cmpxchg(&ceiling->count, &count, count + 1));
	return 0;
}

/* One more of @bytes, all zero: or -EDQUOT, -ENOMEM. */
static inline void *ceiling_alloc(struct ceiling *ceiling, size_t bytes)
{
	int err = ceiling_take(ceiling);
	void *one;

	if (err)
		return ERR_PTR(err);
	one = kzalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (one)
		return one;
	atomic_dec(&ceiling->count);
	return ERR_PTR(-ENOMEM);
}

static inline void ceiling_free(struct ceiling *ceiling, void *one)
{
	kfree(one);
	atomic_dec(&ceiling->count);
}

#endif /* _VEE_CEILING_H */
