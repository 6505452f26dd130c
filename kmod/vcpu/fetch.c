// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is not at hand: on a disk or another machine, or a program's to supply
 * (userfaultfd, FUSE). That may take for ever, and few such waits can be ended by
 * anything but the death of who waits. So a thread of the vCPU's own waits in its
 * stead, and the run waits for that thread, as it waits in HLT: a kick, the deadline or
 * a signal ends it at once. The thread is told to give up then, by SIGKILL, so that
 * nothing waits for memory between runs; one that can't yet is waited for the next time.
 *
 * The thread may live longer than the vCPU, so what they share is counted.
 */
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "memory/absent.h"
#include "vcpu/fetch.h"
#include "vcpu/vcpu.h"

enum fetching {
	FETCH_NOTHING,
	FETCH_ASKED,	/* the thread is at it */
	FETCH_DROPPED,	/* ... and nobody wants it any more */
	FETCH_DONE,
};

/**
 * struct fetch - what a vCPU and the thread that fetches its memory share
 * @ref: one of the vCPU, one of the thread
 * @thread: the thread
 * @lock: guards all below, but for what @state leaves to one side
 * @vcpu: NULL: it is gone
 * @state: where they are
 * @asked: where the thread waits for something to do
 * @what: FETCH_ASKED and FETCH_DROPPED: the thread's
 * @mm: likewise, with a reference
 * @error: FETCH_DONE: 0, or as mem_fetch()
 */
struct fetch {
	struct kref ref;
	struct task_struct *thread;
	spinlock_t lock;
	struct vee_vcpu *vcpu;
	enum fetching state;
	wait_queue_head_t asked;
	struct absent what;
	struct mm_struct *mm;
	int error;
};

static void fetch_release(struct kref *ref)
{
	kfree(container_of(ref, struct fetch, ref));
}

/* --- the thread ------------------------------------------------------------------- */

static bool has_work(struct fetch *fetch)
{
	return READ_ONCE(fetch->state) == FETCH_ASKED ||
	       READ_ONCE(fetch->state) == FETCH_DROPPED || !READ_ONCE(fetch->vcpu);
}

static void finish(struct fetch *fetch, int error)
{
	spin_lock(&fetch->lock);
	/* None that was sent for this is to end the next one. */
	flush_signals(current);
	fetch->error = error;
	WRITE_ONCE(fetch->state, fetch->state == FETCH_ASKED ? FETCH_DONE : FETCH_NOTHING);
	if (fetch->vcpu)
		wake_up(&fetch->vcpu->runner.waits);
	spin_unlock(&fetch->lock);
}

static void do_fetch(struct fetch *fetch)
{
	int error = mem_fetch(fetch->mm, &fetch->what);

	/* It may be the last: the process was killed meanwhile. */
	mmput(fetch->mm);
	finish(fetch, error);
}

static int fetch_main(void *arg)
{
	struct fetch *fetch = arg;

	allow_signal(SIGKILL);
	while (READ_ONCE(fetch->vcpu)) {
		if (wait_event_interruptible(fetch->asked, has_work(fetch)))
			flush_signals(current);
		else if (READ_ONCE(fetch->state) != FETCH_NOTHING &&
			 READ_ONCE(fetch->state) != FETCH_DONE)
			do_fetch(fetch);
	}
	kref_put(&fetch->ref, fetch_release);
	module_put_and_kthread_exit(0);
}

/* --- the vCPU ----------------------------------------------------------------------- */

static struct fetch *fetch_create(struct vee_vcpu *vcpu)
{
	struct fetch *fetch = kzalloc(sizeof(*fetch), GFP_KERNEL_ACCOUNT);

	if (!fetch)
		return ERR_PTR(-ENOMEM);
	kref_init(&fetch->ref);
	spin_lock_init(&fetch->lock);
	init_waitqueue_head(&fetch->asked);
	fetch->vcpu = vcpu;
	fetch->thread = kthread_create(fetch_main, fetch, "vee-memory");
	if (IS_ERR(fetch->thread)) {
		kref_put(&fetch->ref, fetch_release);
		/* -EINTR: a signal came first. */
		return ERR_CAST(fetch->thread);
	}
	/* Its own: the thread may be the last to leave. */
	__module_get(THIS_MODULE);
	get_task_struct(fetch->thread);
	kref_get(&fetch->ref);
	wake_up_process(fetch->thread);
	return fetch;
}

static void fetch_ask(struct fetch *fetch, const struct absent *what)
{
	fetch->what = *what;
	fetch->mm = current->mm;
	mmget(fetch->mm);
	spin_lock(&fetch->lock);
	WRITE_ONCE(fetch->state, FETCH_ASKED);
	spin_unlock(&fetch->lock);
	wake_up(&fetch->asked);
}

/* True: the thread had done it. */
static bool fetch_end(struct fetch *fetch)
{
	bool done;

	spin_lock(&fetch->lock);
	done = fetch->state == FETCH_DONE;
	if (done) {
		WRITE_ONCE(fetch->state, FETCH_NOTHING);
	} else if (fetch->state == FETCH_ASKED) {
		WRITE_ONCE(fetch->state, FETCH_DROPPED);
		send_sig(SIGKILL, fetch->thread, 1);
	}
	spin_unlock(&fetch->lock);
	return done;
}

/* Outside of a run, kick and deadline are the next one's, or those of one that is paused. */
static bool ends_wait(struct vee_vcpu *vcpu, bool in_run)
{
	return in_run && (deadline_passed(&vcpu->limits) || runner_is_kicked(&vcpu->runner));
}

/* False: something else than @state ended the wait. */
static bool wait_for(struct vee_vcpu *vcpu, enum fetching state, bool in_run)
{
	const struct fetch *fetch = vcpu->fetch;

	wait_event_interruptible_hrtimeout(vcpu->runner.waits,
					   READ_ONCE(fetch->state) == state ||
					   ends_wait(vcpu, in_run),
					   in_run ? deadline_timeout(&vcpu->limits) : KTIME_MAX);
	return READ_ONCE(fetch->state) == state;
}

int fetch_wait(struct vee_vcpu *vcpu, const struct absent *what, bool in_run)
{
	if (!vcpu->fetch) {
		struct fetch *fetch = fetch_create(vcpu);

		if (IS_ERR(fetch))
			return PTR_ERR(fetch);
		vcpu->fetch = fetch;
	}
	/* The thread may still be at what an earlier run wanted. */
	if (!wait_for(vcpu, FETCH_NOTHING, in_run))
		return -EINTR;
	fetch_ask(vcpu->fetch, what);
	wait_for(vcpu, FETCH_DONE, in_run);
	return fetch_end(vcpu->fetch) ? vcpu->fetch->error : -EINTR;
}

/* Who takes it away again and again can't hold the thread: what ends a wait ends this. */
int fetch_missing(struct vee_vcpu *vcpu, bool in_run)
{
	int err;

	if (fatal_signal_pending(current) || ends_wait(vcpu, in_run))
		return -EINTR;
	err = mem_bring(current->mm, &vcpu->absent);
	return err == -EBUSY ? fetch_wait(vcpu, &vcpu->absent, in_run) : err;
}

void fetch_free(struct vee_vcpu *vcpu)
{
	struct fetch *fetch = vcpu->fetch;

	if (!fetch)
		return;
	fetch_end(fetch);
	spin_lock(&fetch->lock);
	WRITE_ONCE(fetch->vcpu, NULL);
	spin_unlock(&fetch->lock);
	wake_up(&fetch->asked);
	put_task_struct(fetch->thread);
	kref_put(&fetch->ref, fetch_release);
}
