// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Register by register after the data sheet of the 82093AA. A message is out as soon
 * as it is sent, so the delivery status is always idle.
 */
#include <string.h>

#include "ioapic.h"

/* In memory. */
#define IOREGSEL	0x00
#define IOWIN		0x10
#define EOI		0x40	/* later chip sets' */

/* By IOREGSEL. */
#define ID		0x00
#define VERSION		0x01
#define ARBITRATION	0x02
#define TABLE		0x10	/* two registers for each pin */
#define TABLE_END	(TABLE + 2 * IOAPIC_PINS)

#define ID_SHIFT	24
#define ID_BITS		0x0f000000U
#define LAST_ENTRY_SHIFT	16

#define ENTRY_VECTOR	0x000000ffULL
#define ENTRY_MODE	0x00000700ULL
#define ENTRY_LOGICAL	0x00000800ULL
#define ENTRY_LOW	0x00002000ULL	/* the pin is active low */
#define ENTRY_REMOTE_IRR	0x00004000ULL
#define ENTRY_LEVEL	0x00008000ULL
#define ENTRY_MASKED	0x00010000ULL
#define ENTRY_DESTINATION_SHIFT	56
#define ENTRY_WRITABLE	(0xff00000000000000ULL | ENTRY_MASKED | ENTRY_LEVEL | \
			 ENTRY_LOW | ENTRY_LOGICAL | ENTRY_MODE | ENTRY_VECTOR)

#define MODE_FIXED	0x000
#define MODE_LOWEST	0x100
#define MODE_NMI	0x400
#define MODE_INIT	0x500

/* SDM 3A, "Message Signalled Interrupts". */
#define MSI_ADDRESS	0xfee00000U
#define MSI_DESTINATION_SHIFT	12
#define MSI_REDIRECTION_HINT	0x08U
#define MSI_LOGICAL	0x04U
#define MSI_ASSERT	0x4000U
#define MSI_LEVEL	0x8000U

/* --- a pin and its entry --- */

static unsigned int mode_of(uint64_t entry)
{
	return entry & ENTRY_MODE;
}

/* NMI and INIT are edges, whatever the entry says. */
static bool is_level(uint64_t entry)
{
	return entry & ENTRY_LEVEL &&
	       (mode_of(entry) == MODE_FIXED || mode_of(entry) == MODE_LOWEST);
}

static bool is_active(const struct ioapic *ioapic, unsigned int pin)
{
	bool low = ioapic->entries[pin] & ENTRY_LOW;

	return (ioapic->lines >> pin & 1) != low;
}

bool ioapic_is_masked(const struct ioapic *ioapic, unsigned int pin)
{
	return ioapic->entries[pin] & ENTRY_MASKED;
}

/* --- messages --- */

static uint64_t message_address(uint64_t entry)
{
	uint64_t destination = entry >> ENTRY_DESTINATION_SHIFT;
	uint64_t address = MSI_ADDRESS | destination << MSI_DESTINATION_SHIFT;

	if (entry & ENTRY_LOGICAL)
		address |= MSI_LOGICAL;
	if (mode_of(entry) == MODE_LOWEST)
		address |= MSI_REDIRECTION_HINT;
	return address;
}

static uint32_t message_data(uint64_t entry)
{
	uint32_t data = entry & (ENTRY_VECTOR | ENTRY_MODE);

	return is_level(entry) ? data | MSI_LEVEL | MSI_ASSERT : data;
}

static void send(struct ioapic *ioapic, unsigned int pin, bool level)
{
	uint64_t entry = ioapic->entries[pin];

	ioapic->send(ioapic->arg, message_address(entry), message_data(entry), level);
}

static void send_edge(struct ioapic *ioapic, unsigned int pin)
{
	uint32_t bit = 1U << pin;

	switch (mode_of(ioapic->entries[pin])) {
	case MODE_FIXED:
	case MODE_LOWEST:
		ioapic->waiting |= ioapic->counted & bit;
		send(ioapic, pin, ioapic->counted & bit);
		break;
	case MODE_NMI:
	case MODE_INIT:
		send(ioapic, pin, false);
		break;
	}
}

/* Once, until the CPU that took it says that it's done. */
static void send_level(struct ioapic *ioapic, unsigned int pin)
{
	uint64_t *entry = &ioapic->entries[pin];

	if (!is_level(*entry) || *entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR) ||
	    !is_active(ioapic, pin))
		return;
	*entry |= ENTRY_REMOTE_IRR;
	send(ioapic, pin, true);
}

/* An edge at a masked pin is not held. */
static void set_pin(void *arg, unsigned int pin, bool level)
{
	struct ioapic *ioapic = arg;
	bool was_active = is_active(ioapic, pin);

	ioapic->lines &= ~(1U << pin);
	ioapic->lines |= (uint32_t)level << pin;
	if (is_level(ioapic->entries[pin]))
		send_level(ioapic, pin);
	else if (!was_active && is_active(ioapic, pin) &&
		 !ioapic_is_masked(ioapic, pin))
		send_edge(ioapic, pin);
}

static bool pin_waits(void *arg, unsigned int pin)
{
	const struct ioapic *ioapic = arg;

	return ioapic->waiting >> pin & 1 ||
	       ioapic->entries[pin] & ENTRY_REMOTE_IRR;
}

struct irq_line ioapic_line(struct ioapic *ioapic, unsigned int pin)
{
	return (struct irq_line) {
		.set = set_pin, .waits = pin_waits, .arg = ioapic, .irq = pin,
	};
}

void ioapic_count(struct ioapic *ioapic, unsigned int pin)
{
	ioapic->counted |= 1U << pin;
}

void ioapic_forget(struct ioapic *ioapic, unsigned int pin)
{
	ioapic->waiting &= ~(1U << pin);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		if ((ioapic->entries[pin] & ENTRY_VECTOR) != vector)
			continue;
		ioapic_forget(ioapic, pin);
		ioapic->entries[pin] &= ~ENTRY_REMOTE_IRR;
		send_level(ioapic, pin);
	}
}

/* --- registers --- */

/*
 * What was sent for an entry that has been an edge's since will have no end: that is
 * how software makes one that it lost track of forgotten.
 */
static void write_entry(struct ioapic *ioapic, unsigned int pin, uint64_t value)
{
	uint64_t *entry = &ioapic->entries[pin];

	value = (value & ENTRY_WRITABLE) | (*entry & ENTRY_REMOTE_IRR);
	if (!is_level(value))
		value &= ~ENTRY_REMOTE_IRR;
	ioapic_forget(ioapic, pin);
	if (*entry & ~value & ENTRY_MASKED && ioapic->unmasked)
		ioapic->unmasked(ioapic->arg, pin);
	*entry = value;
	send_level(ioapic, pin);
}

static bool is_table(uint8_t index)
{
	return index >= TABLE && index < TABLE_END;
}

/* Half of an entry at a time. */
static void write_table(struct ioapic *ioapic, unsigned int half, uint32_t value)
{
	uint64_t entry = ioapic->entries[half / 2];

	if (half % 2)
		entry = (uint32_t)entry | (uint64_t)value << 32;
	else
		entry = (entry & ~(uint64_t)UINT32_MAX) | value;
	write_entry(ioapic, half / 2, entry);
}

static void write_selected(struct ioapic *ioapic, uint32_t value)
{
	if (ioapic->select == ID)
		ioapic->id = value & ID_BITS;
	else if (is_table(ioapic->select))
		write_table(ioapic, ioapic->select - TABLE, value);
}

/* Its ID is loaded into the arbitration register as it is written. */
static uint32_t read_selected(const struct ioapic *ioapic)
{
	unsigned int half = ioapic->select - TABLE;

	if (is_table(ioapic->select))
		return ioapic->entries[half / 2] >> (half % 2 ? 32 : 0);
	switch (ioapic->select) {
	case ID:
	case ARBITRATION:
		return ioapic->id;
	case VERSION:
		return (IOAPIC_PINS - 1) << LAST_ENTRY_SHIFT | IOAPIC_VERSION;
	default:
		return 0;
	}
}

static uint32_t read_register(const struct ioapic *ioapic, uint64_t offset)
{
	switch (offset) {
	case IOREGSEL:
		return ioapic->select;
	case IOWIN:
		return read_selected(ioapic);
	default:
		return 0;
	}
}

static void read_part(const struct ioapic *ioapic, uint64_t offset, void *data,
		      unsigned int bytes)
{
	unsigned int at = offset % sizeof(uint32_t);
	uint32_t value = read_register(ioapic, offset - at);

	memset(data, 0, bytes);
	if (bytes > sizeof(value) - at)
		bytes = sizeof(value) - at;
	memcpy(data, (uint8_t *)&value + at, bytes);
}

void ioapic_access(struct ioapic *ioapic, uint64_t offset, void *data,
		   unsigned int bytes, bool write)
{
	uint8_t *byte = data;
	uint32_t value;

	if (!write) {
		read_part(ioapic, offset, data, bytes);
	} else if (offset == IOREGSEL) {
		ioapic->select = *byte;
	} else if (offset == EOI) {
		ioapic_eoi(ioapic, *byte);
	} else if (offset == IOWIN && bytes >= sizeof(value)) {
		memcpy(&value, data, sizeof(value));
		write_selected(ioapic, value);
	}
}

static void access_ioapic(struct bus_device *device, uint64_t offset, void *data,
			  unsigned int bytes, bool write)
{
	ioapic_access(bus_owner(device, struct ioapic, bus), offset, data, bytes, write);
}

void ioapic_init(struct ioapic *ioapic, unsigned int id, ioapic_send_fn send,
		 void *arg)
{
	memset(ioapic, 0, sizeof(*ioapic));
	ioapic->send = send;
	ioapic->arg = arg;
	ioapic->id = id << ID_SHIFT & ID_BITS;
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entries[pin] = ENTRY_MASKED;
	ioapic->bus = (struct bus_device) {
		.name = "I/O APIC", .first = IOAPIC_BASE, .count = IOAPIC_BYTES,
		.width = sizeof(uint32_t), .access = access_ioapic,
	};
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED(struct ioapic, id),
	SAVED(struct ioapic, select),
	SAVED(struct ioapic, lines),
	SAVED(struct ioapic, counted),
	SAVED(struct ioapic, waiting),
	SAVED(struct ioapic, entries),
};

const struct saved_device ioapic_saved = SAVED_DEVICE("IOAPIC", 1, members, NULL);
