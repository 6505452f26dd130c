/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who runs a vCPU, in which run, and how that thread is made to look up.
 */
#ifndef _VEE_RUNNER_H
#define _VEE_RUNNER_H

#include <linux/atomic.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/wait.h>

/**
 * struct runner - the run under way
 * @task: the task that runs the vCPU, under RCU
 * @thread: the one that ran it last, as the first PID namespace numbers it; 0: none
 * @generation: number of the run under way, or of the next one
 * @kicked: the last generation that VEE_VCPU_KICK named
 * @heeds: the thread flags that it looks at before each entry
 * @bus_locked: its guest has locked the bus, for which it is to pause
 * @interrupted: the run ends with -EINTR
 * @is_inline: it is in a thread that must not be kept for long or put to sleep
 * @paused: an inline run was interrupted, and is to go on in another thread
 * @sleeps: the task is in halt_sleep(), or about to be: it is to be woken
 * @looks: ... about to be, and looks itself whether it is to go on
 * @waits_briefly: its guest's last HLT was short
 * @waits: where a thread is asleep that is about to begin the run: fetch.c
 */
struct runner {
	struct task_struct __rcu *task;
	pid_t thread;
	u64 generation;
	atomic64_t kicked;
	unsigned long heeds;
	bool bus_locked;
	bool interrupted;
	bool is_inline;
	bool paused;
	bool sleeps;
	bool looks;
	bool waits_briefly;
	wait_queue_head_t waits;
};

void runner_init(struct runner *runner);
/* Has the thread look up. From any thread. */
void runner_interrupt(struct runner *runner);
/*
 * The same, with interrupts off on PREEMPT_RT too, but of one that has begun its run. Under
 * RCU.
 */
void runner_nudge(struct runner *runner);
/* Ends run @generation. -ESTALE: it has ended; -EINVAL: it is yet to come. */
int runner_kick(struct runner *runner, u64 generation);

static inline bool runner_is_kicked(const struct runner *runner)
{
	return atomic64_read(&runner->kicked) == runner->generation;
}

/* How many runs are over: each end is a generation. */
static inline u64 runner_ended(const struct runner *runner)
{
	return READ_ONCE(runner->generation) - 1;
}

#endif /* _VEE_RUNNER_H */
