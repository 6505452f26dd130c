// SPDX-License-Identifier: GPL-2.0-only
/* A guest that grows, under vee. */
#include <errno.h>

#include <vee.h>

#include "bench_growth.h"

static struct vee_guest *of(const struct guest *g)
{
	return g->private;
}

static void add_memory(struct guest *g, unsigned int number, uint64_t gpa, void *hva,
		       uint64_t bytes)
{
	(void)number;
	need(vee_vm_map(of(g)->vm, gpa, hva, bytes, VEE_READ | VEE_WRITE | VEE_EXECUTE),
	     "memory");
}

static void remove_memory(struct guest *g, unsigned int number, uint64_t gpa, uint64_t bytes)
{
	(void)number;
	need(vee_vm_unmap(of(g)->vm, gpa, bytes), "memory");
}

static void create_vcpus(struct guest *g, unsigned int count)
{
	engine->create(g);
	for (unsigned int i = 1; i < count; i++) {
		struct vee_guest *v = calloc(1, sizeof(*v));

		need(v ? 0 : -ENOMEM, "vCPU");
		v->vm = of(g)->vm;
		g[i] = (struct guest) { .memory = g->memory, .private = v };
		guest_add_vcpu(&g[i], i);
	}
}

static void destroy_vcpus(struct guest *g, unsigned int count)
{
	for (unsigned int i = 1; i < count; i++) {
		vee_vcpu_destroy(of(&g[i])->vcpu);
		free(g[i].private);
	}
	engine->destroy(g);
}

const struct growth_engine growth_vee = {
	.add_memory = add_memory,
	.remove_memory = remove_memory,
	.create_vcpus = create_vcpus,
	.destroy_vcpus = destroy_vcpus,
};
