/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What waits for the return to user space of the thread that runs a vCPU.
 */
#ifndef _VEE_WORK_H
#define _VEE_WORK_H

#include <linux/thread_info.h>
#include <linux/types.h>

#include "vcpu/runner.h"

/* The thread at hand is about to run. */
void work_begin(struct runner *runner);
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
