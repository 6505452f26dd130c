// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the local APICs of a VM reach each other, and others reach them: messages, each
 * with a destination, a delivery mode and a vector (SDM 3A, "Determining IPI
 * Destination" and "Message Signalled Interrupts").
 *
 * The receivers' registers are looked at as they are at that moment, without a lock, as
 * the bits of a real bus would be.
 */
#include <linux/bits.h>
#include <linux/bitops.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "apic/apic.h"
#include "apic/bus.h"

struct apic_bus *bus_create(void (*nudge)(struct apic *apic))
{
	struct apic_bus *bus = kzalloc(sizeof(*bus), GFP_KERNEL_ACCOUNT);

	if (!bus)
		return NULL;
	bus->nudge = nudge;
	mutex_init(&bus->change);
	INIT_LIST_HEAD(&bus->binds);
	return bus;
}

void bus_join(struct apic_bus *bus, struct apic *apic)
{
	mutex_lock(&bus->change);
	if (apic->id >= bus->seats_end)
		WRITE_ONCE(bus->seats_end, apic->id + 1);
	rcu_assign_pointer(bus->seats[apic->id], apic);
	mutex_unlock(&bus->change);
}

void bus_leave(struct apic_bus *bus, struct apic *apic)
{
	RCU_INIT_POINTER(bus->seats[apic->id], NULL);
	synchronize_rcu_expedited();
}

/* --- destinations ------------------------------------------------------------------ */

#define BROADCAST		0xffU
#define BROADCAST_WIDE		0xffffffffU
#define CLUSTER_SHIFT_WIDE	16
#define CLUSTER_MEMBERS_WIDE	0xffffU
#define CLUSTER_MEMBERS		0x0fU

static bool is_broadcast(const struct apic_message *message)
{
	return message->destination == (message->wide ? BROADCAST_WIDE : BROADCAST);
}

/* SDM 3A, "Logical Destination Mode in x2APIC Mode" */
static bool is_member_wide(u32 ldr, u32 destination)
{
	return ldr >> CLUSTER_SHIFT_WIDE == destination >> CLUSTER_SHIFT_WIDE &&
	       ldr & destination & CLUSTER_MEMBERS_WIDE;
}

/* SDM 3A, "Logical Destination Mode" */
static bool is_member(u32 ldr, u32 dfr, u32 destination)
{
	u32 id = GET_APIC_LOGICAL_ID(ldr);

	if (dfr == APIC_DFR_FLAT)
		return id & destination;
	return !((id ^ destination) & ~CLUSTER_MEMBERS & BROADCAST) &&
	       id & destination & CLUSTER_MEMBERS;
}

static bool is_for(const struct apic_message *message, const struct apic *apic)
{
	if (!apic_is_enabled(apic) || apic->id == message->but)
		return false;
	if (is_broadcast(message))
		return true;
	if (!message->logical)
		return apic->id == message->destination;
	if (apic_is_x2apic(apic))
		return is_member_wide(apic_get(apic, APIC_LDR), message->destination);
	return is_member(apic_get(apic, APIC_LDR), apic_get(apic, APIC_DFR),
			 message->destination);
}

/* --- delivery ------------------------------------------------------------------------ */

static bool deliver_vector(struct apic *apic, u8 vector, bool level)
{
	if (!apic_is_switched_on(apic))
		return false;
	if (unlikely(vector < APIC_FIRST_VECTOR))
		return apic_call(apic, CALL_ILLEGAL);
	return apic_post(apic, vector, level);
}

/* One that comes before the first was taken is another: it waits while that is handled. */
static bool deliver_nmi(struct apic *apic)
{
	return apic_call(apic, CALL_NMI) || apic_call(apic, CALL_NMI_AGAIN);
}

/* A SIPI that came before means nothing any more. */
static bool deliver_init(struct apic *apic)
{
	clear_bit(CALL_SIPI, &apic->mail.calls);
	return apic_call(apic, CALL_INIT);
}

/* The first one starts it: then it no longer waits for another. */
static bool deliver_sipi(struct apic *apic, u8 vector)
{
	if (!test_bit(CALL_SIPI, &apic->mail.calls))
		WRITE_ONCE(apic->mail.sipi_vector, vector);
	return apic_call(apic, CALL_SIPI);
}

static bool deliver(struct apic *apic, const struct apic_message *message)
{
	switch (message->mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		return deliver_vector(apic, message->vector, message->level);
	case APIC_DM_NMI:
		return deliver_nmi(apic);
	case APIC_DM_INIT:
		return deliver_init(apic);
	case APIC_DM_STARTUP:
		return deliver_sipi(apic, message->vector);
	default:
		/* SMI: there is no system-management mode. */
		return false;
	}
}

static void give(struct apic *apic, const struct apic_message *message, struct apic *from)
{
	if (deliver(apic, message) && apic != from)
		apic->bus->nudge(apic);
}

/*
 * SDM 3A, "Lowest Priority Delivery Mode": to whom is the model's affair, if only a lower
 * task priority comes first. Among equals the vector chooses, so that different devices
 * have different CPUs, each its own.
 */
static bool is_better(const struct apic *apic, const struct apic *best, unsigned int first)
{
	u32 class, best_class;

	if (!apic_is_switched_on(apic))
		return false;
	if (!best)
		return true;
	class = apic_get(apic, APIC_TASKPRI) >> 4;
	best_class = apic_get(best, APIC_TASKPRI) >> 4;
	if (class != best_class)
		return class < best_class;
	return (apic->id - first) % VEE_MAX_VCPUS < (best->id - first) % VEE_MAX_VCPUS;
}

static void send_to_one(struct apic_bus *bus, const struct apic_message *message,
			struct apic *from)
{
	struct apic *best = NULL;

	for (unsigned int i = 0; i < READ_ONCE(bus->seats_end); i++) {
		struct apic *apic = rcu_dereference(bus->seats[i]);

		if (apic && is_for(message, apic) && is_better(apic, best, message->vector))
			best = apic;
	}
	if (best)
		give(best, message, from);
}

static void send_to_all(struct apic_bus *bus, const struct apic_message *message,
			struct apic *from)
{
	for (unsigned int i = 0; i < READ_ONCE(bus->seats_end); i++) {
		struct apic *apic = rcu_dereference(bus->seats[i]);

		if (apic && is_for(message, apic))
			give(apic, message, from);
	}
}

/* The guest says which: nor is what is beyond looked at by speculation. Under RCU. */
static struct apic *seated(const struct apic_bus *bus, u32 number)
{
	return rcu_dereference(bus->seats[array_index_nospec(number, VEE_MAX_VCPUS)]);
}

static void send_to_number(struct apic_bus *bus, const struct apic_message *message,
			   struct apic *from)
{
	u32 number = message->destination;
	struct apic *apic;

	if (number >= VEE_MAX_VCPUS)
		return;
	apic = seated(bus, number);
	if (apic && is_for(message, apic))
		give(apic, message, from);
}

void bus_send(struct apic_bus *bus, const struct apic_message *message, struct apic *from)
{
	rcu_read_lock();
	if (!message->logical && !is_broadcast(message))
		send_to_number(bus, message, from);
	else if (message->mode == APIC_DM_LOWEST)
		send_to_one(bus, message, from);
	else
		send_to_all(bus, message, from);
	rcu_read_unlock();
}

void bus_send_fixed(struct apic_bus *bus, u32 number, u8 vector, struct apic *from)
{
	struct apic *apic;

	rcu_read_lock();
	apic = seated(bus, number);
	if (apic && apic_is_switched_on(apic) && apic_post(apic, vector, false) && apic != from)
		bus->nudge(apic);
	rcu_read_unlock();
}

/* --- from outside ---------------------------------------------------------------------- */

/* SDM 3A, "Message Address Register Format" and "Message Data Register Format" */
#define MSI_ADDRESS		0xfee00000ULL
#define MSI_ADDRESS_MASK	GENMASK_ULL(63, 20)
#define MSI_DESTINATION(a)	((a) >> 12 & 0xff)
#define MSI_LOGICAL		BIT_ULL(2)

static bool mode_fits(u32 mode)
{
	return mode == APIC_DM_FIXED || mode == APIC_DM_LOWEST || mode == APIC_DM_NMI ||
	       mode == APIC_DM_INIT || mode == APIC_DM_SMI;
}

int bus_message(struct apic_message *message, u64 address, u32 data, u32 flags)
{
	*message = (struct apic_message) {
		.destination = MSI_DESTINATION(address),
		.vector = data & APIC_VECTOR_MASK,
		.mode = data & APIC_MODE_MASK,
		.logical = address & MSI_LOGICAL,
		.level = flags & VEE_SIGNAL_LEVEL,
		.but = -1,
	};
	return (address & MSI_ADDRESS_MASK) == MSI_ADDRESS && mode_fits(message->mode) ?
	       0 : -EINVAL;
}

int bus_signal(struct apic_bus *bus, const struct vee_signal *signal)
{
	struct apic_message message;
	int err = signal->reserved ? -EINVAL :
		  bus_message(&message, signal->address, signal->data, signal->flags);

	if (!err)
		bus_send(bus, &message, NULL);
	return err;
}
