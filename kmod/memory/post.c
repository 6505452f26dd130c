// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that end no run: posted to a ring that the caller maps, or a doorbell.
 *
 * Which writes these are is in a table that is replaced as a whole, since it is
 * looked at with interrupts off. A guest goes on only once its write can be seen in
 * the ring, so a caller that looks there after each exit finds all in order; with
 * the ring full the write is an ordinary exit.
 */
#include <linux/eventfd.h>
#include <linux/gfp.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "compat.h"
#include "memory/post.h"
#include "vmx/caps.h"

/**
 * struct watch - writes that end no run
 * @first: the first port or address
 * @end: the first after them
 * @bell: to be signalled instead of posting
 * @width: with @bell: the write's width in bytes, 0: any
 * @match: with @bell: @data alone
 * @data: see @match
 */
struct watch {
	u64 first;
	u64 end;
	struct eventfd_ctx *bell;
	u8 width;
	bool match;
	u64 data;
};

/**
 * struct watches - all of a VM's in one space
 * @end: the first after them
 * @watch: at least one; doorbells first: one may be in a range that is posted
 */
struct watches {
	const struct watch *end;
	struct watch watch[];
};

static_assert(sizeof(struct vee_post_ring) <= VEE_POST_RING_BYTES);

/* --- when the guest writes: interrupts are off ---------------------------------- */

/* Of two that post at the same time one is first: nothing is posted before it. */
static void wait_for_turn(const struct post_office *office, u32 number)
{
	/* With the other's release: its tail in the ring comes before ours. */
	while (unlikely(smp_load_acquire(&office->posted) != number))
		cpu_relax();
}

/*
 * Takes the next number, if there is room for it. Only the head is believed: a caller
 * that writes nonsense there loses posts.
 */
static __always_inline bool take_number(struct post_office *office, u32 *number)
{
	const u32 *head = &office->ring->head;

	for (;;) {
		*number = READ_ONCE(office->taken);
		/* With the caller's release: what it has taken may be overwritten. */
		if (likely(*number - smp_load_acquire(head) < VEE_POSTS)) {
			if (likely(try_cmpxchg_relaxed(&office->taken, number, *number + 1)))
				return true;
		} else if (*number == READ_ONCE(office->taken)) {
			/* Or others were posted meanwhile, and taken as well. */
			return false;
		}
	}
}

/* Without a lock: posts are completed in the order of their numbers. */
static __always_inline enum post post_to_ring(struct post_office *office,
					      struct vee_post post)
{
	struct vee_post_ring *ring = office->ring;
	u32 number;

	if (!take_number(office, &number))
		return POST_NONE;
	ring->posts[number % VEE_POSTS] = post;
	wait_for_turn(office, number);
	/* With the caller's acquire: it sees the post whole. */
	smp_store_release(&ring->tail, number + 1);
	/* With the acquire of who waits for its turn. */
	smp_store_release(&office->posted, number + 1);
	return POST_DONE;
}

/* Here RCU waits for us as it is. */
static const struct watches *look(struct post_office *office, u32 space)
{
	return rcu_dereference_sched(office->watches[space]);
}

static bool covers(const struct watch *watch, u64 address, unsigned int width)
{
	return address >= watch->first && address + width <= watch->end;
}

static bool rings(const struct watch *watch, u64 address, u64 data, unsigned int width)
{
	return address == watch->first && (!watch->width || watch->width == width) &&
	       (!watch->match || watch->data == data);
}

bool post_is_watched(struct post_office *office, u32 space, u64 address)
{
	const struct watches *watches = look(office, space);

	if (!watches)
		return false;
	for (const struct watch *watch = watches->watch; watch < watches->end; watch++)
		if (covers(watch, address, 1))
			return true;
	return false;
}

enum post post_write(struct post_office *office, unsigned int vcpu, u32 space, u64 address,
		     u64 data, unsigned int width)
{
	const struct watches *watches = look(office, space);
	const struct watch *watch;
	const struct vee_post post = {
		.address = address,
		.data = data,
		.space = space,
		.width = width,
		.vcpu = vcpu,
	};

	if (!watches)
		return POST_NONE;
	watch = watches->watch;
	do {
		if (likely(!watch->bell)) {
			if (covers(watch, address, width))
				return post_to_ring(office, post);
		} else if (rings(watch, address, data, width)) {
			if (VEE_LOCKS_SLEEP)
				return POST_BELL;
			vee_eventfd_signal(watch->bell);
			return POST_DONE;
		}
	} while (++watch < watches->end);
	return POST_NONE;
}

/* It may be gone since post_write() found it: then the write is an exit. */
static bool ring_bell(const struct watches *watches, u64 address, u64 data,
		      unsigned int width)
{
	for (const struct watch *watch = watches->watch; watch < watches->end; watch++) {
		if (watch->bell && rings(watch, address, data, width)) {
			vee_eventfd_signal(watch->bell);
			return true;
		}
	}
	return false;
}

bool post_ring_bell(struct post_office *office, u32 space, u64 address, u64 data,
		    unsigned int width)
{
	const struct watches *watches;
	bool rung;

	rcu_read_lock();
	watches = rcu_dereference(office->watches[space]);
	rung = watches && ring_bell(watches, address, data, width);
	rcu_read_unlock();
	return rung;
}

/* --- which writes ----------------------------------------------------------------- */

static struct watches *current_watches(struct post_office *office, u32 space)
{
	return rcu_dereference_protected(office->watches[space],
					 lockdep_is_held(&office->change));
}

static unsigned int count_of(const struct watches *watches)
{
	return watches ? watches->end - watches->watch : 0;
}

static bool same(const struct watch *a, const struct watch *b)
{
	return a->first == b->first && a->end == b->end && a->bell == b->bell &&
	       a->width == b->width && a->match == b->match && a->data == b->data;
}

/* Where in the table; the count if nowhere. */
static unsigned int find_same(const struct watches *watches, const struct watch *watch)
{
	unsigned int i = 0;

	while (i < count_of(watches) && !same(&watches->watch[i], watch))
		i++;
	return i;
}

/* After it nobody looks at the old table, nor signals a bell of it. */
static void replace(struct post_office *office, u32 space, struct watches *new)
{
	struct watches *old = current_watches(office, space);

	rcu_assign_pointer(office->watches[space], new);
	synchronize_rcu();
	kfree(old);
}

static struct watches *alloc_watches(unsigned int count)
{
	struct watches *new = kzalloc(struct_size(new, watch, count), GFP_KERNEL_ACCOUNT);

	if (new)
		new->end = new->watch + count;
	return new;
}

/* A copy of @old with room at @at for @count more, or with so many fewer if negative. */
static struct watches *resize(const struct watches *old, unsigned int at, int count)
{
	unsigned int from = count < 0 ? at - count : at, to = count > 0 ? at + count : at;
	struct watches *new = alloc_watches(count_of(old) + count);

	if (!new || !old)
		return new;
	memcpy(new->watch, old->watch, at * sizeof(*new->watch));
	memcpy(new->watch + to, old->watch + from,
	       (count_of(old) - from) * sizeof(*new->watch));
	return new;
}

/* The table takes over the reference to the bell. */
static int add_watch(struct post_office *office, u32 space, const struct watch *watch)
{
	const struct watches *old = current_watches(office, space);
	const struct watches *other = current_watches(office, !space);
	unsigned int count = count_of(old), at = watch->bell ? 0 : count;
	struct watches *new;

	if (find_same(old, watch) < count)
		return -EEXIST;
	if (count + count_of(other) == VEE_MAX_WATCHES)
		return -ENOSPC;
	new = resize(old, at, 1);
	if (!new)
		return -ENOMEM;
	new->watch[at] = *watch;
	replace(office, space, new);
	return 0;
}

static int remove_watch(struct post_office *office, u32 space, const struct watch *watch)
{
	struct watches *old = current_watches(office, space), *new = NULL;
	unsigned int count = count_of(old), at = find_same(old, watch);
	struct eventfd_ctx *bell;

	if (at == count)
		return -ENOENT;
	if (count > 1) {
		new = resize(old, at, -1);
		if (!new)
			return -ENOMEM;
	}
	bell = old->watch[at].bell;
	replace(office, space, new);
	if (bell)
		eventfd_ctx_put(bell);
	return 0;
}

static int change_watch(struct post_office *office, u32 space, const struct watch *watch,
			bool remove)
{
	int err;

	mutex_lock(&office->change);
	err = remove ? remove_watch(office, space, watch) : add_watch(office, space, watch);
	mutex_unlock(&office->change);
	return err;
}

/* @bytes: at least 1 */
static bool space_has(u32 space, u64 first, u64 bytes)
{
	u64 last = first + bytes - 1;

	switch (space) {
	case VEE_SPACE_PORT:
		return first <= last && last <= U16_MAX;
	case VEE_SPACE_MEMORY:
		return first <= last && last < BIT_ULL(vee_caps.gpa_bits);
	default:
		return false;
	}
}

/* The caller's, so no message if there is no memory for it. */
#define RING_GFP	(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN)

/* Before anything can be posted there is a ring. */
int post_make_ring(struct post_office *office)
{
	int err = 0;

	mutex_lock(&office->change);
	if (!office->ring)
		office->ring = alloc_pages_exact(VEE_POST_RING_BYTES, RING_GFP);
	if (!office->ring)
		err = -ENOMEM;
	mutex_unlock(&office->change);
	return err;
}

int post_coalesce(struct post_office *office, const struct vee_coalesce *arg)
{
	const struct watch watch = {
		.first = arg->first,
		.end = arg->first + arg->bytes,
	};
	int err;

	if (!arg->bytes || arg->remove > 1 || !space_has(arg->space, arg->first, arg->bytes))
		return -EINVAL;
	err = post_make_ring(office);
	return err ?: change_watch(office, arg->space, &watch, arg->remove);
}

/* 0 is any. */
static bool width_valid(u32 space, unsigned int width)
{
	return !(width & (width - 1)) && width <= (space == VEE_SPACE_PORT ? 4 : 8);
}

int post_doorbell(struct post_office *office, const struct vee_doorbell *arg)
{
	struct watch watch = {
		.first = arg->address,
		.end = arg->address + 1,
		.width = arg->width,
		.match = arg->match,
		.data = arg->data,
	};
	int err;

	if (arg->remove > 1 || arg->match > 1 || !width_valid(arg->space, arg->width) ||
	    (arg->data && !arg->match) ||
	    !space_has(arg->space, arg->address, 1))
		return -EINVAL;
	watch.bell = eventfd_ctx_fdget(arg->eventfd);
	if (IS_ERR(watch.bell))
		return PTR_ERR(watch.bell);
	err = change_watch(office, arg->space, &watch, arg->remove);
	if (err || arg->remove)
		eventfd_ctx_put(watch.bell);
	return err;
}

/* --- all of it ------------------------------------------------------- */

void post_init(struct post_office *office)
{
	mutex_init(&office->change);
}

static void free_watches(struct watches *watches)
{
	for (unsigned int i = 0; i < count_of(watches); i++)
		if (watches->watch[i].bell)
			eventfd_ctx_put(watches->watch[i].bell);
	kfree(watches);
}

/* With no vCPU left. */
void post_destroy(struct post_office *office)
{
	for (u32 space = 0; space < POST_SPACES; space++)
		free_watches(rcu_dereference_protected(office->watches[space], true));
	if (office->ring)
		free_pages_exact(office->ring, VEE_POST_RING_BYTES);
}
