// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that end no run: posted to a ring that the caller maps, or a doorbell.
 *
 * Which writes these are is in a table that is replaced as a whole, since it is
 * looked at with interrupts off, and sorted, since it may be long. A guest goes on
 * only once its write can be seen in the ring, so a caller that looks there after
 * each exit finds all in order; with the ring full the write is an ordinary exit.
 */
#include <linux/eventfd.h>
#include <linux/gfp.h>
#include <linux/limits.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

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
 * @reach: the farthest @end of what is posted among it and those before it in the table
 */
struct watch {
	u64 first;
	u64 end;
	struct eventfd_ctx *bell;
	u8 width;
	bool match;
	u64 data;
	u64 reach;
};

/**
 * struct watches - all of a VM's in one space
 * @rcu: to be freed by, when another has taken its place
 * @count: how many, at least one
 * @room: how many there are keys for: 1, 8 or 64
 * @watch: by @first; of the same, doorbells last, and the latest of them the very last
 * @key: @first of each, U64_MAX for want of one; @room behind it: @reach, or 0 if the watch
 *	is a doorbell, which comes before what is posted
 */
struct watches {
	struct rcu_head rcu;
	unsigned int count;
	unsigned int room;
	struct watch *watch;
	u64 key[];
};

#define ROOM_FEW	8
#define ROOM_MANY	64
static_assert(VEE_MAX_WATCHES <= ROOM_MANY);

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

static __always_inline const u64 *past(const u64 *key, unsigned int keys, u64 address)
{
	return key[keys] <= address ? key + keys : key;
}

/* The last key that is not above @address; the first if all are. */
static __always_inline const u64 *find(const struct watches *watches, u64 address)
{
	const u64 *key = watches->key;

	if (likely(watches->room == 1))
		return key;
	if (watches->room > ROOM_FEW) {
		key = past(key, 32, address);
		key = past(key, 16, address);
		key = past(key, 8, address);
	}
	key = past(key, 4, address);
	key = past(key, 2, address);
	return past(key, 1, address);
}

static const struct watch *watch_of(const struct watches *watches, const u64 *key)
{
	return &watches->watch[key - watches->key];
}

static bool rings(const struct watch *watch, u64 data, unsigned int width)
{
	return (!watch->width || watch->width == width) &&
	       (!watch->match || watch->data == data);
}

/* Of doorbells at the same address one: the latest. @key: as found for @address */
static struct eventfd_ctx *find_bell(const struct watches *watches, const u64 *key,
				     u64 address, u64 data, unsigned int width)
{
	const struct watch *watch = watch_of(watches, key);

	for (; *key == address && watch->bell; watch--, key--) {
		if (rings(watch, data, width))
			return watch->bell;
		if (key == watches->key)
			break;
	}
	return NULL;
}

bool post_is_watched(struct post_office *office, u32 space, u64 address)
{
	const struct watches *watches = look(office, space);
	const struct watch *watch;
	const u64 *key;

	if (!watches)
		return false;
	key = find(watches, address);
	watch = watch_of(watches, key);
	return *key <= address &&
	       (address < watch->reach || (watch->bell && *key == address));
}

/* A doorbell may be rung, or else it is posted if that much of it is in a range. */
static noinline enum post post_if_no_bell(struct post_office *office,
					  const struct watches *watches, const u64 *key,
					  struct vee_post post)
{
	struct eventfd_ctx *bell = find_bell(watches, key, post.address, post.data, post.width);

	if (bell) {
		if (VEE_LOCKS_SLEEP)
			return POST_BELL;
		vee_eventfd_signal(bell);
		return POST_DONE;
	}
	if (post.address + post.width > watch_of(watches, key)->reach)
		return POST_NONE;
	return post_to_ring(office, post);
}

enum post post_write(struct post_office *office, unsigned int vcpu, u32 space, u64 address,
		     u64 data, unsigned int width)
{
	const struct watches *watches = look(office, space);
	const struct vee_post post = {
		.address = address,
		.data = data,
		.space = space,
		.width = width,
		.vcpu = vcpu,
	};
	const u64 *key;

	if (!watches)
		return POST_NONE;
	key = find(watches, address);
	if (*key > address)
		return POST_NONE;
	if (unlikely(address + width > key[watches->room]))
		return post_if_no_bell(office, watches, key, post);
	return post_to_ring(office, post);
}

/* It may be gone since post_write() found it: then the write is an exit. */
static bool ring_bell(const struct watches *watches, u64 address, u64 data,
		      unsigned int width)
{
	struct eventfd_ctx *bell = find_bell(watches, find(watches, address), address, data,
					     width);

	if (bell)
		vee_eventfd_signal(bell);
	return bell;
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

static struct watches *current_watches(const struct post_office *office, u32 space)
{
	return rcu_dereference_protected(office->watches[space],
					 lockdep_is_held(&office->change));
}

static unsigned int count_of(const struct watches *watches)
{
	return watches ? watches->count : 0;
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

static unsigned int room_for(unsigned int count)
{
	if (count <= 1)
		return 1;
	return count <= ROOM_FEW ? ROOM_FEW : ROOM_MANY;
}

static struct watches *alloc_watches(unsigned int count)
{
	unsigned int room = room_for(count);
	struct watches *new;

	new = kzalloc(struct_size(new, key, 2 * room) + count * sizeof(*new->watch),
		      GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	new->count = count;
	new->room = room;
	new->watch = (struct watch *)(new->key + 2 * room);
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

static void set_keys(struct watches *watches)
{
	u64 reach = 0;

	memset64(watches->key, U64_MAX, watches->room);
	for (unsigned int i = 0; i < watches->count; i++) {
		struct watch *watch = &watches->watch[i];

		if (!watch->bell)
			reach = max(reach, watch->end);
		watch->reach = reach;
		watches->key[i] = watch->first;
		watches->key[watches->room + i] = watch->bell ? 0 : reach;
	}
}

static bool comes_before(const struct watch *a, const struct watch *b)
{
	return a->first < b->first || (a->first == b->first && (!a->bell || b->bell));
}

/* Behind those that it comes after. */
static unsigned int place_of(const struct watches *watches, const struct watch *watch)
{
	unsigned int i = count_of(watches);

	while (i && !comes_before(&watches->watch[i - 1], watch))
		i--;
	return i;
}

/* A table with it, or why there is none. */
static struct watches *table_with(const struct post_office *office, u32 space,
				  const struct watches *old, const struct watch *watch)
{
	unsigned int count = count_of(old), at = place_of(old, watch);
	struct watches *new;

	if (find_same(old, watch) < count)
		return ERR_PTR(-EEXIST);
	if (count + count_of(current_watches(office, !space)) == VEE_MAX_WATCHES)
		return ERR_PTR(-ENOSPC);
	new = resize(old, at, 1);
	if (!new)
		return ERR_PTR(-ENOMEM);
	new->watch[at] = *watch;
	set_keys(new);
	return new;
}

/* NULL: that was the last. */
static struct watches *table_without(const struct watches *old, const struct watch *watch)
{
	unsigned int count = count_of(old), at = find_same(old, watch);
	struct watches *new;

	if (at == count)
		return ERR_PTR(-ENOENT);
	if (count == 1)
		return NULL;
	new = resize(old, at, -1);
	if (!new)
		return ERR_PTR(-ENOMEM);
	set_keys(new);
	return new;
}

/* The old table, or why it can't be. */
static struct watches *replace(struct post_office *office, u32 space,
			       const struct watch *watch, bool remove)
{
	struct watches *old = current_watches(office, space), *new;

	new = remove ? table_without(old, watch) : table_with(office, space, old, watch);
	if (IS_ERR(new))
		return new;
	rcu_assign_pointer(office->watches[space], new);
	return old;
}

/*
 * The table has a reference to the bell of its own. Who is still looking at the old table
 * as one is added has come before it. But of one that was removed nothing is posted, nor
 * its bell signalled, any more.
 */
static int change_watch(struct post_office *office, u32 space, const struct watch *watch,
			bool remove)
{
	struct watches *old;

	mutex_lock(&office->change);
	old = replace(office, space, watch, remove);
	mutex_unlock(&office->change);
	if (IS_ERR(old))
		return PTR_ERR(old);
	if (!remove) {
		kfree_rcu(old, rcu);
		return 0;
	}
	synchronize_rcu_expedited();
	kfree(old);
	if (watch->bell)
		eventfd_ctx_put(watch->bell);
	return 0;
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
