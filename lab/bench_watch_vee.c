// SPDX-License-Identifier: GPL-2.0-only
/* Writes that end no run, under vee. */
#include <vee.h>

#include "bench_watch.h"

static struct vee_vm *vm_of(struct guest *g)
{
	return ((struct vee_guest *)g->private)->vm;
}

static void set(struct guest *g, const struct watch *watch, bool remove)
{
	const uint32_t space = watch->memory ? VEE_SPACE_MEMORY : VEE_SPACE_PORT;
	const struct vee_doorbell bell = {
		.address = watch->address, .space = space, .eventfd = watch->eventfd,
		.remove = remove,
	};
	const struct vee_coalesce range = {
		.first = watch->address, .bytes = 4, .space = space, .remove = remove,
	};

	if (watch->bell)
		need(vee_vm_doorbell(vm_of(g), &bell), "a doorbell");
	else
		need(vee_vm_coalesce(vm_of(g), &range), "a range");
}

static unsigned int take(struct guest *g)
{
	struct vee_post post;
	unsigned int count = 0;

	while (vee_vm_take_post(vm_of(g), &post))
		count++;
	return count;
}

const struct watcher watcher_vee = { set, take };
