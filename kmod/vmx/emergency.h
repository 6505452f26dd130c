/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What turns VMX off when the machine goes down.
 */
#ifndef _VEE_VMX_EMERGENCY_H
#define _VEE_VMX_EMERGENCY_H

/*
 * @all: called once, for all CPUs, as the machine is rebooted in good order
 * @here: called on each CPU, from wherever it is, perhaps in an NMI
 */
void emergency_watch(void (*all)(void), void (*here)(void));
void emergency_unwatch(void);
/* The kernel's call in an emergency is KVM's; it is ours, as it is not at first. */
void emergency_leave_to_kvm(void);
void emergency_take_back(void);

#endif /* _VEE_VMX_EMERGENCY_H */
