// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's life, and who is in it.
 */
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include "memory/ceiling.h"
#include "memory/vm.h"

static struct ceiling vms;
module_param_named(max_vms, vms.most, uint, 0644);
MODULE_PARM_DESC(max_vms, "VMs at once, of all processes (default: 0, no ceiling)");

static int vm_init(struct vee_vm *vm)
{
	static atomic_t created;

	vm->number = atomic_inc_return(&created);
	vm->process = current->tgid;
	kref_init(&vm->ref);
	post_init(&vm->office);
	return memory_init(&vm->memory);
}

static void vm_free(struct vee_vm *vm)
{
	memory_destroy(&vm->memory);
	post_destroy(&vm->office);
	if (vm->bus)
		vm->bus_free(vm->bus);
	ceiling_free(&vms, vm);
}

struct vee_vm *vm_create(void)
{
	struct vee_vm *vm = ceiling_alloc(&vms, sizeof(*vm));
	int err;

	if (IS_ERR(vm))
		return vm;
	err = vm_init(vm);
	if (err) {
		vm_free(vm);
		return ERR_PTR(err);
	}
	return vm;
}

static void vm_destroy(struct kref *ref)
{
	vm_free(container_of(ref, struct vee_vm, ref));
}

void vm_put(struct vee_vm *vm)
{
	kref_put(&vm->ref, vm_destroy);
}

int vm_join(struct vee_vm *vm, unsigned int id, struct presence *presence)
{
	int err = -EEXIST;

	spin_lock(&vm->memory.lock);
	if (!test_bit(id, vm->ids)) {
		__set_bit(id, vm->ids);
		list_add(&presence->link, &vm->memory.presences.list);
		err = 0;
	}
	spin_unlock(&vm->memory.lock);
	if (!err)
		kref_get(&vm->ref);
	return err;
}

void vm_part(struct vee_vm *vm, unsigned int id, struct presence *presence)
{
	spin_lock(&vm->memory.lock);
	__clear_bit(id, vm->ids);
	list_del(&presence->link);
	spin_unlock(&vm->memory.lock);
}
