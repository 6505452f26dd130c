// SPDX-License-Identifier: GPL-2.0-only
/* Dirty pages under vee. */
#include <vee.h>

#include "bench_dirty.h"

static struct vee_vm *vm_of(struct guest *g)
{
	return ((struct vee_guest *)g->private)->vm;
}

static bool begin(struct guest *g, void *hva)
{
	engine->create(g);
	need(vee_vm_map(vm_of(g), GPA_SPARSE, hva, SPARSE_BYTES, VEE_READ | VEE_WRITE), "memory");
	need(vee_vm_dirty_start(vm_of(g), GPA_SPARSE, SPARSE_BYTES), "dirty pages");
	return true;
}

static unsigned int fetch(struct guest *g)
{
	static uint64_t pages[2 * WRITTEN];
	int count = vee_vm_dirty_fetch(vm_of(g), GPA_SPARSE, SPARSE_BYTES, pages, 2 * WRITTEN);

	need(count, "dirty pages");
	return count;
}

const struct dirty_way dirty_vee[DIRTY_WAYS + 1] = {
	{ begin, fetch },
};
