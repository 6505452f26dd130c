/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What waits for the return to user space of the thread that runs a vCPU.
 */
#ifndef _VEE_WORK_H
#define _VEE_WORK_H

#include <linux/compiler.h>
#include <linux/thread_info.h>
#include <linux/types.h>

#include "vcpu/runner.h"

#ifndef _TIF_NEED_RESCHED_LAZY
#define _TIF_NEED_RESCHED_LAZY	0
#endif

#define WORK_RESCHED	(_TIF_NEED_RESCHED | _TIF_NEED_RESCHED_LAZY)
#define WORK_URGENT	(_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL | WORK_RESCHED)

/* Has the kernel, for KVM or for anybody, a function for all of it? */
#if defined(VEE_HAVE_XFER_VIRT) || defined(VEE_HAVE_XFER_KVM)
#define WORK_CAN_BE_DONE	true
#else
#define WORK_CAN_BE_DONE	false
#endif

/* Of a run in which most of it can't be done. */
void work_begin_without(struct runner *runner);

/* The thread at hand is about to run. */
static inline void work_begin(struct runner *runner)
{
	if (likely(WORK_CAN_BE_DONE && !runner->is_inline))
		runner->heeds = WORK_URGENT | _TIF_NOTIFY_RESUME;
	else
		work_begin_without(runner);
}

void work_after_machine_check(struct runner *runner);
/* There is some, which nobody can do within this run. */
bool work_ends_run(struct runner *runner);
/* May sleep, but for an inline run. */
void work_do(struct runner *runner);

static inline bool work_waits(const struct runner *runner)
{
	return read_thread_flags() & runner->heeds || runner->bus_locked;
}

#endif /* _VEE_WORK_H */
