/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Eventfds that send a VM's local APICs a message when they are signalled.
 */
#ifndef _VEE_APIC_BIND_H
#define _VEE_APIC_BIND_H

#include <linux/types.h>

struct apic_bus;
struct vee_bind;

/* VEE_VM_BIND. When one is removed it sends nothing from the return on. Sleeps. */
int bind_change(struct apic_bus *bus, const struct vee_bind *arg);
/* Is any to hear of a level-triggered interrupt's end? From any context. */
bool bind_hears_eoi(struct apic_bus *bus, u8 vector);
/* Tells it. False: none is, any more. With locks that may sleep on PREEMPT_RT. */
bool bind_tell_eoi(struct apic_bus *bus, u8 vector);
/* All of them, with nobody left who could make one. Sleeps. */
void bind_end_all(struct apic_bus *bus);

#endif /* _VEE_APIC_BIND_H */
