// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who runs a vCPU, and how that thread is made to look up.
 */
#include <linux/errno.h>
#include <linux/rcupdate.h>

#include "vcpu/runner.h"

void runner_init(struct runner *runner)
{
	runner->generation = 1;
	init_waitqueue_head(&runner->waits);
}

/*
 * Makes the thread look at may_enter() again. A task outlives the RCU grace period
 * after its end; one that is not on a CPU, and not asleep in halt_sleep(), will look
 * before it enters. Between what it is to see and the look at runner.sleeps there is a full
 * barrier, as there is between the two there; the same for runner.looks.
 */
void runner_nudge(struct runner *runner)
{
	struct task_struct *task = rcu_dereference(runner->task);

	if (!task)
		return;
	if (READ_ONCE(runner->sleeps))
		wake_up_process(task);
	else if (!READ_ONCE(runner->looks))
		kick_process(task);
}

/* One that has not begun looks before it enters. */
void runner_interrupt(struct runner *runner)
{
	/* That one: not all of them have it. */
	smp_mb();
	rcu_read_lock();
	runner_nudge(runner);
	rcu_read_unlock();
	if (wq_has_sleeper(&runner->waits))
		wake_up(&runner->waits);
}

int runner_kick(struct runner *runner, u64 generation)
{
	u64 now = READ_ONCE(runner->generation);
	s64 kicked;

	if (generation > now)
		return -EINVAL;
	if (generation < now)
		return -ESTALE;
	/* Of two kicks the later run's must stand: the other's has ended. */
	kicked = atomic64_read(&runner->kicked);
	while (kicked < (s64)generation &&
	       !atomic64_try_cmpxchg(&runner->kicked, &kicked, generation))
		;
	/* The mark before the look at who runs; may_enter() the reverse. */
	smp_mb();
	runner_interrupt(runner);
	return 0;
}
