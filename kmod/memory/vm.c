// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's life, and how its CPUs are made to forget what it no longer has.
 */
#include <linux/preempt.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "vcpu/vcpu.h"

static int vm_init(struct vee_vm *vm)
{
	kref_init(&vm->ref);
	init_rwsem(&vm->slots_lock);
	spin_lock_init(&vm->lock);
	INIT_LIST_HEAD(&vm->vcpus);
	vm->slots = RB_ROOT_CACHED;
	post_init(&vm->office);
	if (!zalloc_cpumask_var(&vm->flush, GFP_KERNEL_ACCOUNT))
		return -ENOMEM;
	return ept_init(&vm->ept);
}

static void vm_free(struct vee_vm *vm)
{
	post_destroy(&vm->office);
	ept_destroy(&vm->ept);
	free_cpumask_var(vm->flush);
	kfree(vm);
}

struct vee_vm *vm_create(void)
{
	struct vee_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int err;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	err = vm_init(vm);
	if (err) {
		vm_free(vm);
		return ERR_PTR(err);
	}
	/* Only to be compared with: it keeps no page and no process alive. */
	vm->mm = current->mm;
	mmgrab(vm->mm);
	return vm;
}

static void vm_destroy(struct kref *ref)
{
	struct vee_vm *vm = container_of(ref, struct vee_vm, ref);

	mem_destroy(vm);
	mmdrop(vm->mm);
	vm_free(vm);
}

void vm_get(struct vee_vm *vm)
{
	kref_get(&vm->ref);
}

void vm_put(struct vee_vm *vm)
{
	kref_put(&vm->ref, vm_destroy);
}

static void forget(void *unused)
{
	/* The interrupt is the message: it made the guest exit. */
}

void vm_flush(struct vee_vm *vm)
{
	struct vee_vcpu *vcpu;

	lockdep_assert_held(&vm->lock);
	/*
	 * Pairs with stretch_begin(): either that vCPU is seen here, or it sees
	 * the new generation of the EPT.
	 */
	smp_mb();
	/* The lock alone does not on PREEMPT_RT. */
	preempt_disable();
	cpumask_clear(vm->flush);
	list_for_each_entry(vcpu, &vm->vcpus, link) {
		int cpu = READ_ONCE(vcpu->loaded_cpu);

		if (cpu >= 0)
			cpumask_set_cpu(cpu, vm->flush);
	}
	/* All but this CPU, which is here and so not in the guest. */
	smp_call_function_many(vm->flush, forget, NULL, true);
	preempt_enable();
}
