/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * LGDT, SGDT and their like, for a caller that asks to see them.
 */
#ifndef _VEE_DESCRIPTOR_H
#define _VEE_DESCRIPTOR_H

#include "vcpu/vmexit.h"

enum next exit_descriptor(struct vee_vcpu *vcpu);

#endif /* _VEE_DESCRIPTOR_H */
