// SPDX-License-Identifier: GPL-2.0-only
/* Machines that begin as a snapshot of another, under vee. */
#include <errno.h>

#include <vee.h>

#include "bench_calls.h"
#include "bench_fork.h"

static struct vee_vm_snapshot *snapshot;

static struct vee_guest *guest_of(const struct guest *g)
{
	return g->private;
}

static void open_snapshot(void)
{
	struct guest first = { .memory = memory };

	calls_vee.create(&first);
	need(vee_vm_snapshot(guest_of(&first)->vm, &snapshot), "snapshot");
	engine->destroy(&first);
}

static void create(struct guest *g)
{
	struct vee_guest *v = calloc(1, sizeof(*v));

	need(v ? vee_vm_fork(snapshot, &v->vm) : -ENOMEM, "fork");
	v->vcpu = vee_vm_vcpu(v->vm, 0);
	g->private = v;
}

static uint64_t call_back(struct guest *g, uint64_t argument)
{
	uint64_t result = calls_vee.call(g, argument);

	need(vee_vm_restore(guest_of(g)->vm, snapshot), "restore");
	return result;
}

static void destroy(struct guest *g)
{
	engine->destroy(g);
}

const struct fork_engine fork_vee = {
	.open = open_snapshot,
	.create = create,
	.call_back = call_back,
	.destroy = destroy,
};
