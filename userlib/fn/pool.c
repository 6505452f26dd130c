// SPDX-License-Identifier: LGPL-2.1-or-later
/* The machines of a function: made when they are needed, each one caller's at a time. */
#include "fn.h"

void fn_destroy_machine(struct machine *machine)
{
	vee_vcpu_destroy(machine->vcpu);
	vee_vm_destroy(machine->vm);
}

int fn_make_machine(const struct vee_fn *fn, struct machine *machine)
{
	int err = vee_vm_fork(fn->snapshot, &machine->vm);

	if (err)
		return err;
	machine->vcpu = vee_vm_vcpu(machine->vm, 0);
	return 0;
}

static void give_up(struct vee_fn *fn)
{
	pthread_mutex_lock(&fn->lock);
	fn->made--;
	pthread_cond_signal(&fn->given_back);
	pthread_mutex_unlock(&fn->lock);
}

int fn_take(struct vee_fn *fn, struct machine *machine)
{
	bool is_made = true;
	int err;

	pthread_mutex_lock(&fn->lock);
	while (!fn->idle_count && fn->made == fn->options.machines)
		pthread_cond_wait(&fn->given_back, &fn->lock);
	if (fn->idle_count) {
		*machine = fn->idle[--fn->idle_count];
	} else {
		fn->made++;
		is_made = false;
	}
	pthread_mutex_unlock(&fn->lock);
	if (is_made)
		return 0;
	err = fn_make_machine(fn, machine);
	if (err)
		give_up(fn);
	return err;
}

void fn_give_back(struct vee_fn *fn, struct machine *machine)
{
	if (vee_vm_restore(machine->vm, fn->snapshot)) {
		fn_destroy_machine(machine);
		give_up(fn);
		return;
	}
	pthread_mutex_lock(&fn->lock);
	fn->idle[fn->idle_count++] = *machine;
	pthread_cond_signal(&fn->given_back);
	pthread_mutex_unlock(&fn->lock);
}
