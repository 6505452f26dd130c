/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that locks the bus, or keeps its CPU from interrupts.
 */
#ifndef _VEE_LOCK_H
#define _VEE_LOCK_H

#include <linux/types.h>

#include "vcpu/runner.h"
#include "vcpu/vmexit.h"

int lock_init(void);
/* Whether #AC is the host's, and what comes of it. */
bool lock_is_split(void);
enum next exit_split_lock(struct vee_vcpu *vcpu);
enum next exit_timeout(struct vee_vcpu *vcpu);
/* Notes a bus lock, and takes the flag for it out of an exit's reason. */
u32 lock_note(struct runner *runner, u32 reason);
/* Of a run that is not inline: for the lock that it owes for. */
void lock_pause(struct runner *runner);

#endif /* _VEE_LOCK_H */
