/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the local APICs of a VM reach each other, and others reach them.
 */
#ifndef _VEE_APIC_BUS_H
#define _VEE_APIC_BUS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "linux/vee.h"

struct apic;

#define BUS_END_LISTS	32	/* for 256 vectors */

/**
 * struct apic_bus - a VM's
 * @seats: its APICs, by number; under RCU
 * @seats_end: none of them has this number, or a higher one
 * @nudge: has the thread that runs an APIC's vCPU look into its mailbox; from any context
 * @change: taken to change @binds
 * @binds: eventfds that send messages: bind.c
 * @bind_count: how many
 * @ends: those of them that an EOI is told to, by vector; under RCU
 */
struct apic_bus {
	struct apic __rcu *seats[VEE_MAX_VCPUS];
	unsigned int seats_end;
	void (*nudge)(struct apic *apic);
	struct mutex change;
	struct list_head binds;
	unsigned int bind_count;
	struct hlist_head ends[BUS_END_LISTS];
};

/**
 * struct apic_message - an interrupt on its way
 * @destination: number, or logical destination, 8 bits or, with @wide, 32
 * @vector: vector
 * @mode: delivery mode, APIC_DM_FIXED and so on
 * @logical: @destination is logical
 * @wide: from x2APIC mode
 * @level: level-triggered
 * @but: a number that it isn't for; -1: none
 */
struct apic_message {
	u32 destination;
	u8 vector;
	u32 mode;
	bool logical;
	bool wide;
	bool level;
	int but;
};

/* For kfree(), once it has no binds; NULL: no memory. */
struct apic_bus *bus_create(void (*nudge)(struct apic *apic));
void bus_join(struct apic_bus *bus, struct apic *apic);
/* When this returns nobody is at @apic by the bus. Sleeps. */
void bus_leave(struct apic_bus *bus, struct apic *apic);
/* From any context. @from: the sender, which is not nudged; NULL: none */
void bus_send(struct apic_bus *bus, const struct apic_message *message, struct apic *from);
/* The same for a fixed, edge-triggered interrupt of the APIC @number, below VEE_MAX_VCPUS. */
void bus_send_fixed(struct apic_bus *bus, u32 number, u8 vector, struct apic *from);
/* The message of an MSI; @flags: VEE_SIGNAL_. -EINVAL */
int bus_message(struct apic_message *message, u64 address, u32 data, u32 flags);
/* -EINVAL */
int bus_signal(struct apic_bus *bus, const struct vee_signal *signal);

/* Or one with a number as if. */
static inline bool bus_has_several(const struct apic_bus *bus)
{
	return READ_ONCE(bus->seats_end) > 1;
}

#endif /* _VEE_APIC_BUS_H */
