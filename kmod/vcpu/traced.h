/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tracing tells of exits. While it is off an exit passes by one NOP.
 */
#ifndef _VEE_TRACED_H
#define _VEE_TRACED_H

#include <linux/jump_label.h>

#include "vcpu/vmexit.h"

/* Somebody looks at one of the tracepoints that exit_traced() has. */
DECLARE_STATIC_KEY_FALSE(exits_traced);

/* @handle: the exit's handler, which is called in between. Inside the bracket. */
enum next exit_traced(struct vee_vcpu *vcpu, enum next (*handle)(struct vee_vcpu *vcpu));

/* The run gave @result. */
void run_traced(const struct vee_vcpu *vcpu, int result);

#endif /* _VEE_TRACED_H */
