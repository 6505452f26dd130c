// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that spins: it waits for a lock in a loop with PAUSE, and whoever has the lock may
 * be a vCPU of the same VM that has no CPU. The CPU notices such a loop (PAUSE-loop exiting;
 * SDM 3C, "Instructions That Cause VM Exits Conditionally"), and the thread gives its turn to
 * one that can use it.
 *
 * That is one that is runnable and does not run: the scheduler has taken its CPU away. Whose
 * guest is in HLT, or waits for memory or for user space, is asleep or in no run. Which of
 * several has the lock nobody knows, so each has its turn. While all have a CPU the exit costs
 * no more than the look around, of a guest that had nothing to do.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

#include "apic/bus.h"
#include "memory/vm.h"
#include "vcpu/event.h"
#include "vcpu/spin.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/controls.h"
#include "vmx/vmcs.h"

static unsigned int pause_window = 4096;
module_param(pause_window, uint, 0444);
MODULE_PARM_DESC(pause_window,
		 "After so many ticks of the TSC in a loop with PAUSE a vCPU of several gives its turn to another that waits for a CPU, where the CPU can tell (default: 4096; 0: never)");

/*
 * Ticks from one PAUSE to the next of the same loop, at most. The instruction alone is 140 on
 * some CPUs, and 40 and less on others; what is in the loop besides is a load and a branch.
 */
#define PAUSE_GAP	256

u32 spin_control(void)
{
	return pause_window && caps_has(VEE_FEATURE_PAUSE_LOOP) ? PROC2_PAUSE_LOOP_EXITING : 0;
}

void spin_prepare(void)
{
	vmcs_write(VMCS_PLE_GAP, PAUSE_GAP);
	vmcs_write(VMCS_PLE_WINDOW, pause_window);
}

static bool lacks_cpu(struct task_struct *task)
{
#ifdef CONFIG_SMP
	return task_is_running(task) && !READ_ONCE(task->on_cpu);
#else
	return false;
#endif
}

/* The task of the vCPU with the number @id, if it waits for a CPU. Under RCU. */
static struct task_struct *waiting_task(const struct apic_bus *bus, unsigned int id)
{
	struct apic *apic = rcu_dereference(bus->seats[id]);
	struct task_struct *task;

	if (!apic)
		return NULL;
	task = rcu_dereference(container_of(apic, struct vee_vcpu, apic)->runner.task);
	return task && task != current && lacks_cpu(task) ? task : NULL;
}

/* The next one after number @after, with a reference; NULL: none. @id: its number */
static struct task_struct *find_waiting(const struct apic_bus *bus, unsigned int after,
					unsigned int *id)
{
	unsigned int end = READ_ONCE(bus->seats_end);
	struct task_struct *task = NULL;

	rcu_read_lock();
	for (unsigned int i = 1; i <= end && !task; i++) {
		*id = (after + i) % end;
		task = waiting_task(bus, *id);
	}
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	return task;
}

/*
 * For vm_exit.sleeper. The scheduler may refuse, of one that has got a CPU meanwhile for
 * example; then the guest goes on, and is back soon if it has to wait.
 */
static enum next yield_turn(struct vee_vcpu *vcpu)
{
	unsigned int id;
	struct task_struct *task = find_waiting(vcpu->vm->bus, vcpu->yielded_to, &id);

	if (!task)
		return NEXT_HOST;
	vcpu->yielded_to = id;
	yield_to(task, true);
	put_task_struct(task);
	return NEXT_HOST;
}

static bool any_waits(const struct apic_bus *bus)
{
	bool waits = false;

	rcu_read_lock();
	for (unsigned int i = 0; i < READ_ONCE(bus->seats_end) && !waits; i++)
		waits = waiting_task(bus, i);
	rcu_read_unlock();
	return waits;
}

/*
 * A PAUSE less is all the same to a guest. By way of the host: a guest that does nothing but
 * spin must not stay in the innermost loop, where interrupts are off, for as long as it does.
 */
enum next exit_pause(struct vee_vcpu *vcpu)
{
	event_skip(vcpu);
	if (!vcpu->vm->bus || vcpu->runner.is_inline || !any_waits(vcpu->vm->bus))
		return NEXT_HOST;
	vcpu->exit.sleeper = yield_turn;
	return NEXT_SLEEP;
}
