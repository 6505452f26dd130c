// SPDX-License-Identifier: GPL-2.0-only
/*
 * What waits for a thread's return to user space: signals, the scheduler, and work
 * that others have left for it (task_work_add()). A guest that only computes keeps
 * its thread from there for as long as it likes, so a run does for them what the
 * return would.
 *
 * Work is done between two stretches, and the run goes on: the kernel has some for a
 * thread that was preempted (rseq), and every 100 ms (mm_cid), which is nobody's
 * signal. After a machine check it is what takes the broken page away and sends
 * SIGBUS: the guest may not be entered before it.
 *
 * An inline run must not sleep, as work may: it is put off, for as long as such a run
 * may last (VEE_MAX_BUDGET_US). Nothing else can be done about it there: with rseq each
 * preemption brings some, so to give the run to another thread then would be to give
 * away most of those that have a budget. A machine check's ends the inline part.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/thread_info.h>
#ifdef VEE_HAVE_XFER_VIRT
#include <linux/entry-virt.h>
#elif defined(VEE_HAVE_XFER_KVM)
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>
#endif

#include "vcpu/lock.h"
#include "vcpu/work.h"

#ifdef VEE_HAVE_XFER_VIRT
static void do_work(void)
{
	xfer_to_guest_mode_handle_work();
}
#elif defined(VEE_HAVE_XFER_KVM)
/* It wants to note in one of KVM's vCPUs that a signal came. */
static struct kvm_run nowhere;
static struct kvm_vcpu nobody = { .run = &nowhere };

static void do_work(void)
{
	xfer_to_guest_mode_handle_work(&nobody);
}
#else
/* A kernel without KVM: work waits for the run's end, but for a machine check's. */
static void do_work(void)
{
	if (read_thread_flags() & WORK_RESCHED)
		schedule();
}
#endif

static bool machine_check_waits(void)
{
#ifdef CONFIG_X86_MCE
	return current->mce_count;
#else
	return false;
#endif
}

void work_begin_without(struct runner *runner)
{
	runner->heeds = WORK_URGENT;
	if (machine_check_waits())
		runner->heeds |= _TIF_NOTIFY_RESUME;
}

void work_after_machine_check(struct runner *runner)
{
	runner->heeds |= _TIF_NOTIFY_RESUME;
}

bool work_ends_run(struct runner *runner)
{
	if (signal_pending(current) || (runner->bus_locked && runner->is_inline))
		return true;
	return read_thread_flags() & runner->heeds & _TIF_NOTIFY_RESUME &&
	       (runner->is_inline || !WORK_CAN_BE_DONE);
}

void work_do(struct runner *runner)
{
	if (runner->bus_locked && !runner->is_inline)
		lock_pause(runner);
	if (!runner->is_inline)
		do_work();
	else if (read_thread_flags() & WORK_RESCHED)
		schedule();
}
