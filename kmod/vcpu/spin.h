/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that spins: PAUSE-loop exiting, of VMs with local APICs and several vCPUs.
 */
#ifndef _VEE_SPIN_H
#define _VEE_SPIN_H

#include <linux/types.h>

#include "vcpu/vmexit.h"

struct vee_vcpu;

/* The secondary control for it, if the CPU has it, and a parameter doesn't forbid it. */
u32 spin_control(void);
/* Inside the bracket: with that control on, for how long is too long. */
void spin_prepare(void);
enum next exit_pause(struct vee_vcpu *vcpu);

#endif /* _VEE_SPIN_H */
