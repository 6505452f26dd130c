/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the CPU's checks of a VM entry go by, for a program that repeats them.
 */
#ifndef _VEE_VMX_LIMITS_H
#define _VEE_VMX_LIMITS_H

struct vee_info;

/* After caps_init(). */
int limits_init(void);
/* Fills in @info from vmx_cr0_fixed0 on. */
void limits_tell(struct vee_info *info);

#endif /* _VEE_VMX_LIMITS_H */
