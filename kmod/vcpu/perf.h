/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What perf measures on this CPU, while a guest runs on it. Interrupts off.
 */
#ifndef _VEE_PERF_H
#define _VEE_PERF_H

#include <linux/compiler.h>
#include <linux/jump_label.h>

#include "vmx/msr_switch.h"

/* This CPU has PEBS. */
DECLARE_STATIC_KEY_FALSE(perf_has_pebs);

int perf_init(void);
int perf_alloc(struct msr_switch *msrs);
void perf_switch(struct msr_switch *msrs);

/* Before the first entry of a bracket: perf changes what it does in interrupts. */
static inline void perf_leave(struct msr_switch *msrs)
{
	if (static_branch_unlikely(&perf_has_pebs))
		perf_switch(msrs);
}

/* ... before the others. */
static inline void perf_leave_again(struct msr_switch *msrs)
{
	if (static_branch_unlikely(&perf_has_pebs) && unlikely(msrs->count))
		perf_switch(msrs);
}

#endif /* _VEE_PERF_H */
