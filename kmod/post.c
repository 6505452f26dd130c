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
#include "vcpu.h"

/**
 * struct watch - writes that end no run
 * @space: VEE_SPACE_
 * @first: the first port or address
 * @span: how far it is from there to the last
 * @bell: to be signalled instead of posting
 * @width: with @bell: the write's width in bytes, 0: any
 * @match: with @bell: @data alone
 * @data: see @match
 */
struct watch {
	u32 space;
	u64 first;
	u64 span;
	struct eventfd_ctx *bell;
	u8 width;
	bool match;
	u64 data;
};

/**
 * struct watches - all of a VM
 * @count: how many
 * @watch: doorbells first: one may be in a range that is posted
 */
struct watches {
	unsigned int count;
	struct watch watch[];
};

static_assert(sizeof(struct vee_post_ring) <= VEE_POST_RING_BYTES);

/* --- when the guest writes: interrupts are off ---------------------------------- */

static bool covers(const struct watch *watch, u64 address, unsigned int width)
{
	u64 offset = address - watch->first;

	return offset <= watch->span && width - 1 <= watch->span - offset;
}

static bool rings(const struct watch *watch, const struct vee_post *post)
{
	return post->address == watch->first &&
	       (!watch->width || watch->width == post->width) &&
	       (!watch->match || watch->data == post->data);
}

/* Only the head is believed: a caller that writes nonsense there loses posts. */
static noinline bool post_to_ring(struct post_office *office, const struct vee_post *post)
{
	struct vee_post_ring *ring = office->ring;
	bool room;
	u32 tail;

	spin_lock(&office->lock);
	tail = office->tail;
	/* With the caller's release: what it has taken may be overwritten. */
	room = tail - smp_load_acquire(&ring->head) < VEE_POSTS;
	if (room) {
		ring->posts[tail % VEE_POSTS] = *post;
		office->tail = ++tail;
		/* With the caller's acquire: it sees the post whole. */
		smp_store_release(&ring->tail, tail);
	}
	spin_unlock(&office->lock);
	return room;
}

/* Here RCU waits for us as it is. */
static const struct watches *look(struct vee_vcpu *vcpu)
{
	return rcu_dereference_sched(vcpu->vm->office.watches);
}

bool post_is_watched(struct vee_vcpu *vcpu, u32 space, u64 address)
{
	const struct watches *watches = look(vcpu);

	for (unsigned int i = 0; watches && i < watches->count; i++)
		if (watches->watch[i].space == space && covers(&watches->watch[i], address, 1))
			return true;
	return false;
}

bool post_write(struct vee_vcpu *vcpu)
{
	const struct vee_post *post = &vcpu->post;
	const struct watches *watches = look(vcpu);

	for (unsigned int i = 0; watches && i < watches->count; i++) {
		const struct watch *watch = &watches->watch[i];

		if (watch->space != post->space)
			continue;
		if (!watch->bell && covers(watch, post->address, post->width))
			return post_to_ring(&vcpu->vm->office, post);
		if (watch->bell && rings(watch, post)) {
			vee_eventfd_signal(watch->bell);
			return true;
		}
	}
	return false;
}

/* --- which writes ----------------------------------------------------------------- */

static struct watches *current_watches(struct post_office *office)
{
	return rcu_dereference_protected(office->watches,
					 lockdep_is_held(&office->change));
}

static bool same(const struct watch *a, const struct watch *b)
{
	return a->space == b->space && a->first == b->first && a->span == b->span &&
	       a->bell == b->bell && a->width == b->width && a->match == b->match &&
	       a->data == b->data;
}

/* Where in the table; the count if nowhere. */
static unsigned int find_same(const struct watches *watches, const struct watch *watch)
{
	unsigned int i = 0;

	while (i < watches->count && !same(&watches->watch[i], watch))
		i++;
	return i;
}

/* After it nobody looks at the old table, nor signals a bell of it. */
static void replace(struct post_office *office, struct watches *new)
{
	struct watches *old = current_watches(office);

	rcu_assign_pointer(office->watches, new);
	synchronize_rcu();
	kfree(old);
}

static struct watches *alloc_watches(unsigned int count)
{
	struct watches *new = kzalloc(struct_size(new, watch, count), GFP_KERNEL_ACCOUNT);

	if (new)
		new->count = count;
	return new;
}

/* The table takes over the reference to the bell. */
static int add_watch(struct post_office *office, const struct watch *watch)
{
	static const struct watches none;
	const struct watches *old = current_watches(office) ?: &none;
	unsigned int at = watch->bell ? 0 : old->count;
	struct watches *new;

	if (find_same(old, watch) < old->count)
		return -EEXIST;
	if (old->count == VEE_MAX_WATCHES)
		return -ENOSPC;
	new = alloc_watches(old->count + 1);
	if (!new)
		return -ENOMEM;
	memcpy(new->watch, old->watch, at * sizeof(*watch));
	memcpy(new->watch + at + 1, old->watch + at, (old->count - at) * sizeof(*watch));
	new->watch[at] = *watch;
	replace(office, new);
	return 0;
}

static int remove_watch(struct post_office *office, const struct watch *watch)
{
	struct watches *old = current_watches(office), *new = NULL;
	unsigned int at = old ? find_same(old, watch) : 0;
	struct eventfd_ctx *bell;

	if (!old || at == old->count)
		return -ENOENT;
	if (old->count > 1) {
		new = alloc_watches(old->count - 1);
		if (!new)
			return -ENOMEM;
		memcpy(new->watch, old->watch, at * sizeof(*watch));
		memcpy(new->watch + at, old->watch + at + 1,
		       (old->count - 1 - at) * sizeof(*watch));
	}
	bell = old->watch[at].bell;
	replace(office, new);
	if (bell)
		eventfd_ctx_put(bell);
	return 0;
}

static int change_watch(struct post_office *office, const struct watch *watch, bool remove)
{
	int err;

	mutex_lock(&office->change);
	err = remove ? remove_watch(office, watch) : add_watch(office, watch);
	mutex_unlock(&office->change);
	return err;
}

static bool space_has(u32 space, u64 first, u64 span)
{
	u64 last = first + span;

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

int post_coalesce(struct vee_vm *vm, const struct vee_coalesce *arg)
{
	const struct watch watch = {
		.space = arg->space,
		.first = arg->first,
		.span = arg->bytes - 1,
	};
	int err;

	if (!arg->bytes || arg->remove > 1 || !space_has(arg->space, watch.first, watch.span))
		return -EINVAL;
	err = post_make_ring(&vm->office);
	return err ?: change_watch(&vm->office, &watch, arg->remove);
}

/* 0 is any. */
static bool width_valid(u32 space, unsigned int width)
{
	return !(width & (width - 1)) && width <= (space == VEE_SPACE_PORT ? 4 : 8);
}

int post_doorbell(struct vee_vm *vm, const struct vee_doorbell *arg)
{
	struct watch watch = {
		.space = arg->space,
		.first = arg->address,
		.width = arg->width,
		.match = arg->match,
		.data = arg->data,
	};
	int err;

	if (arg->remove > 1 || arg->match > 1 || !width_valid(arg->space, arg->width) ||
	    (arg->data && !arg->match) ||
	    !space_has(arg->space, watch.first, watch.span))
		return -EINVAL;
	watch.bell = eventfd_ctx_fdget(arg->eventfd);
	if (IS_ERR(watch.bell))
		return PTR_ERR(watch.bell);
	err = change_watch(&vm->office, &watch, arg->remove);
	if (err || arg->remove)
		eventfd_ctx_put(watch.bell);
	return err;
}

/* --- all of it ------------------------------------------------------- */

void post_init(struct post_office *office)
{
	mutex_init(&office->change);
	spin_lock_init(&office->lock);
}

/* With no vCPU left. */
void post_destroy(struct post_office *office)
{
	struct watches *watches = rcu_dereference_protected(office->watches, true);

	for (unsigned int i = 0; watches && i < watches->count; i++)
		if (watches->watch[i].bell)
			eventfd_ctx_put(watches->watch[i].bell);
	kfree(watches);
	if (office->ring)
		free_pages_exact(office->ring, VEE_POST_RING_BYTES);
}
