// SPDX-License-Identifier: GPL-2.0-only
/* Machines that begin as a template, under vee. */
#include <sys/mman.h>

#include <vee.h>

#include "bench_calls.h"
#include "bench_template.h"

#define POOL_BYTES	(WRITTEN_MOST * 4096)

static const void *template;
static void *pool;

static void open_template(int fd)
{
	template = mmap(NULL, GUEST_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (template == MAP_FAILED)
		die("no memory for the template");
	pool = map(POOL_BYTES, MADV_NOHUGEPAGE);
}

static struct vee_vm *vm_of(const struct guest *g)
{
	return ((struct vee_guest *)g->private)->vm;
}

static void create(struct guest *g)
{
	calls_vee.create_empty(g);
	need(vee_vm_map_template(vm_of(g), 0, template, GUEST_BYTES, pool, POOL_BYTES,
				 VEE_READ | VEE_WRITE | VEE_EXECUTE), "memory");
	guest_add_vcpu(g, 0);
}

static void destroy(struct guest *g)
{
	engine->destroy(g);
}

static void put_back(struct guest *g)
{
	need(vee_vm_template_reset(vm_of(g), 0, true), "reset");
}

const struct template_engine template_vee = {
	.open = open_template,
	.create = create,
	.destroy = destroy,
	.create_kept = create,
	.put_back = put_back,
	.destroy_kept = destroy,
};
