/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VM exits: one handler for each basic exit reason. Inside the bracket.
 */
#ifndef _VEE_EXIT_H
#define _VEE_EXIT_H

#include <linux/types.h>

#include "vcpu/vmexit.h"

enum next exit_handle(struct vee_vcpu *vcpu, u32 reason);
enum next exit_entry_failed(struct vee_vcpu *vcpu, u32 instruction_error);

#endif /* _VEE_EXIT_H */
