/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O ports. Inside the bracket.
 */
#ifndef _VEE_PIO_H
#define _VEE_PIO_H

#include "vcpu/vmexit.h"

enum next exit_io(struct vee_vcpu *vcpu);

#endif /* _VEE_PIO_H */
