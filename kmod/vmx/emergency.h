/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What turns VMX off in an emergency, which nobody is told of.
 */
#ifndef _VEE_VMX_EMERGENCY_H
#define _VEE_VMX_EMERGENCY_H

/* @turn_off: called on each CPU, from wherever it is, perhaps in an NMI */
void emergency_watch(void (*turn_off)(void));
void emergency_unwatch(void);

#endif /* _VEE_VMX_EMERGENCY_H */
