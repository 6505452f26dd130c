/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM's writes that end no run.
 */
#ifndef _VEE_POST_H
#define _VEE_POST_H

#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "linux/vee.h"

struct watches;

#define POST_SPACES	2	/* VEE_SPACE_PORT, VEE_SPACE_MEMORY */

/**
 * struct post_office - a VM's writes that end no run
 * @change: taken to change @watches, and to make @ring
 * @watches: which they are, by VEE_SPACE_; NULL: none; under RCU
 * @ring: where they are posted, mapped by the caller
 * @taken: how many posts of it were begun
 * @posted: how many were completed: the tail in @ring is the caller's to falsify
 */
struct post_office {
	struct mutex change;
	struct watches __rcu *watches[POST_SPACES];
	struct vee_post_ring *ring;
	u32 taken;
	u32 posted;
};

void post_init(struct post_office *office);
void post_destroy(struct post_office *office);
int post_coalesce(struct post_office *office, const struct vee_coalesce *arg);
int post_doorbell(struct post_office *office, const struct vee_doorbell *arg);
/* Before the caller maps it. */
int post_make_ring(struct post_office *office);

/* What became of a write. */
enum post {
	POST_NONE,	/* nothing: nobody wants it posted, or the ring is full */
	POST_DONE,	/* that's all there was to do about it */
	POST_BELL,	/* post_ring_bell() has to do it */
};

/*
 * Both with interrupts off. The guest writes @width bytes, 1 to 8, by virtual processor
 * @vcpu. The other: a write that begins there may be such a one.
 */
enum post post_write(struct post_office *office, unsigned int vcpu, u32 space, u64 address,
		     u64 data, unsigned int width);
bool post_is_watched(struct post_office *office, u32 space, u64 address);
/* With preemption on. False: nothing. */
bool post_ring_bell(struct post_office *office, u32 space, u64 address, u64 data,
		    unsigned int width);

/* Without it there is nothing that post_write() would take. */
static inline bool post_watches(struct post_office *office, u32 space)
{
	return unlikely(rcu_access_pointer(office->watches[space]));
}

#endif /* _VEE_POST_H */
