/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that waits in HLT. Inside the bracket, but for halt_sleep().
 */
#ifndef _VEE_HALT_H
#define _VEE_HALT_H

#include <linux/types.h>

#include "linux/vee.h"
#include "vcpu/vmexit.h"

bool halt_begin(struct vee_vcpu *vcpu);
bool halt_lasts(struct vee_vcpu *vcpu);

/* The guest is in HLT, and nothing ends it. @options: as the caller wishes */
static inline bool halt_holds(struct vee_vcpu *vcpu, u32 options)
{
	return options & VEE_OPTION_HLT_SLEEPS && halt_lasts(vcpu);
}

/* For vm_exit.sleeper. */
enum next halt_sleep(struct vee_vcpu *vcpu);

#endif /* _VEE_HALT_H */
