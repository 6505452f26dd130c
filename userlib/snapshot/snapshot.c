// SPDX-License-Identifier: LGPL-2.1-or-later
/* Snapshots of VMs: taken, gone back to, and begun from. */
#include <stdlib.h>

#include "snapshot.h"

struct vee_vm_snapshot {
	uint64_t number;		/* no two of a process have the same */
	unsigned int vm_flags;
	struct memory memory;
	unsigned int cpu_count;
	struct cpu_state *cpus;		/* ascending by id */
};

static uint64_t next_number(void)
{
	static uint64_t last;

	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

static int take_cpus(struct vee_vm *vm, struct vee_vm_snapshot *snapshot)
{
	int err = 0;

	snapshot->cpus = calloc(vm_vcpu_count(vm) + 1, sizeof(*snapshot->cpus));
	if (!snapshot->cpus)
		return -ENOMEM;
	for (unsigned int id = 0; !err && id < VEE_MAX_VCPUS; id++) {
		struct vee_vcpu *vcpu = vee_vm_vcpu(vm, id);

		if (vcpu)
			err = cpu_take(vcpu, &snapshot->cpus[snapshot->cpu_count++]);
	}
	return err;
}

/*
 * The VM is as @snapshot is. If the kernel can't note what is written from here on, a module
 * that is too old for it, say, all memory is compared.
 */
static void watch(struct vee_vm *vm, const struct vee_vm_snapshot *snapshot)
{
	*vm_since(vm) = memory_watch(vm, &snapshot->memory) ? 0 : snapshot->number;
}

int vee_vm_snapshot(struct vee_vm *vm, struct vee_vm_snapshot **snapshot)
{
	struct vee_vm_snapshot *new = calloc(1, sizeof(*new));
	int err;

	if (!new)
		return -ENOMEM;
	new->number = next_number();
	new->vm_flags = vm_flags(vm);
	err = fork_settle(vm);
	if (!err)
		err = memory_take(vm, &new->memory);
	if (!err)
		err = take_cpus(vm, new);
	if (err) {
		vee_vm_snapshot_free(new);
		return err;
	}
	watch(vm, new);
	*snapshot = new;
	return 0;
}

void vee_vm_snapshot_free(struct vee_vm_snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (unsigned int i = 0; i < snapshot->cpu_count; i++)
		cpu_free(&snapshot->cpus[i]);
	free(snapshot->cpus);
	memory_free(&snapshot->memory);
	free(snapshot);
}

/* Has it the slots and the vCPUs that it had? */
static bool is_alike(const struct vee_vm *vm, const struct vee_vm_snapshot *snapshot)
{
	for (unsigned int i = 0; i < snapshot->cpu_count; i++)
		if (!vee_vm_vcpu(vm, snapshot->cpus[i].id))
			return false;
	return vm_vcpu_count(vm) == snapshot->cpu_count &&
	       vm_flags(vm) == snapshot->vm_flags &&
	       vm_slots_are(vm, snapshot->memory.slots, snapshot->memory.count);
}

/* On the way it is like none. */
static int put_memory(struct vee_vm *vm, const struct vee_vm_snapshot *snapshot)
{
	bool is_known = *vm_since(vm) == snapshot->number;
	int err;

	*vm_since(vm) = 0;
	if (is_known && !memory_put_written(vm, &snapshot->memory)) {
		*vm_since(vm) = snapshot->number;
		return 0;
	}
	/* Its templates are another's. */
	err = fork_settle(vm);
	if (err)
		return err;
	memory_put(vm, &snapshot->memory);
	watch(vm, snapshot);
	return 0;
}

int vee_vm_restore(struct vee_vm *vm, const struct vee_vm_snapshot *snapshot)
{
	int err;

	if (!is_alike(vm, snapshot))
		return -ESTALE;
	err = put_memory(vm, snapshot);
	for (unsigned int i = 0; !err && i < snapshot->cpu_count; i++)
		err = cpu_put(vee_vm_vcpu(vm, snapshot->cpus[i].id), &snapshot->cpus[i]);
	return err;
}

static int begin_cpus(struct vee_vm *vm, const struct vee_vm_snapshot *snapshot)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < snapshot->cpu_count; i++) {
		struct vee_vcpu *vcpu;

		err = vee_vcpu_create(vm, snapshot->cpus[i].id, &vcpu);
		if (!err)
			err = cpu_begin(vcpu, &snapshot->cpus[i]);
	}
	return err;
}

static void destroy_all(struct vee_vm *vm)
{
	for (unsigned int id = 0; id < VEE_MAX_VCPUS; id++)
		vee_vcpu_destroy(vee_vm_vcpu(vm, id));
	vee_vm_destroy(vm);
}

int vee_vm_fork(const struct vee_vm_snapshot *snapshot, struct vee_vm **vm)
{
	struct vee_vm *new;
	int err = vee_vm_create_with(&new, snapshot->vm_flags);

	if (err)
		return err;
	err = memory_fork(new, &snapshot->memory);
	if (!err)
		err = begin_cpus(new, snapshot);
	if (err) {
		destroy_all(new);
		return err;
	}
	watch(new, snapshot);
	*vm = new;
	return 0;
}
