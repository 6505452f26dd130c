/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An I/O APIC, an Intel 82093AA with the EOI register that chip sets added.
 *
 * It knows neither bus nor CPU: what it has to say are messages, as an MSI is one, and
 * of the CPUs it hears the ends of interrupts that it asked to be told of.
 *
 * Its version is 20H, not the 82093AA's own 11H: that is what announces the EOI
 * register. Systems that end an interrupt without broadcasting that (Linux as it
 * clears up, GNU Mach at each level-triggered one) then need one write, where they
 * else mask the entry and switch its trigger mode to and fro. That does it here too.
 *
 * No pin has the 8259As' INTR, so the delivery mode ExtINT sends nothing: a local
 * APIC's LINT0 is where they are. There is no SMI.
 */
#ifndef VEE_IOAPIC_H
#define VEE_IOAPIC_H

#include "bus.h"
#include "irq.h"
#include "saved.h"

#define IOAPIC_BASE	0xfec00000
#define IOAPIC_BYTES	0x400	/* what a chip set compares no address bits of */
#define IOAPIC_PINS	24
#define IOAPIC_VERSION	0x20

/*
 * Takes an interrupt's message, with address and data as in an MSI. @level: whoever
 * takes it is to tell of its end by ioapic_eoi(), though not from in here.
 */
typedef void (*ioapic_send_fn)(void *arg, uint64_t address, uint32_t data,
			       bool level);

/**
 * struct ioapic - the chip
 * @bus: its registers' place in memory, for bus_add()
 * @send: where messages go
 * @unmasked: a pin is no longer masked; before that has any effect; NULL: no matter
 * @arg: for both
 * @id: its ID register
 * @select: IOREGSEL
 * @lines: levels of its pins
 * @counted: ioapic_count()'s
 * @waiting: of these, edges that were sent and not ended since
 * @entries: the redirection table
 */
struct ioapic {
	struct bus_device bus;
	ioapic_send_fn send;
	void (*unmasked)(void *arg, unsigned int pin);
	void *arg;
	uint32_t id;
	uint8_t select;
	uint32_t lines;
	uint32_t counted;
	uint32_t waiting;
	uint64_t entries[IOAPIC_PINS];
};

/*
 * A number for it that no local APIC has, of those from 0 to @cpus - 1; 0 if they have all
 * sixteen: then they are no longer on one bus with it, where numbers had to differ.
 */
static inline unsigned int ioapic_id(unsigned int cpus)
{
	return cpus < 16 ? cpus : 0;
}

/* As after power-on: all is masked. @id: below 16. */
void ioapic_init(struct ioapic *ioapic, unsigned int id, ioapic_send_fn send,
		 void *arg);
/* The wire from a device; @pin: below IOAPIC_PINS. */
struct irq_line ioapic_line(struct ioapic *ioapic, unsigned int pin);
/* Its entry lets nothing through. */
bool ioapic_is_masked(const struct ioapic *ioapic, unsigned int pin);
/*
 * Whoever is at this pin counts its edges, and wants to know whether one still waits.
 * The local APIC alone knows that: an edge's end is asked for too.
 */
void ioapic_count(struct ioapic *ioapic, unsigned int pin);
/* An edge whose end hasn't come won't end any more: none waits. */
void ioapic_forget(struct ioapic *ioapic, unsigned int pin);
/*
 * The end of an interrupt, as a local APIC broadcasts it. A level-triggered pin that
 * is still asserted sends again at once.
 */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
/*
 * An access to its registers, @offset from IOAPIC_BASE on. Parts of a register can be
 * read; of those with 32 bits only all of it can be written.
 */
void ioapic_access(struct ioapic *ioapic, uint64_t offset, void *data,
		   unsigned int bytes, bool write);

extern const struct saved_device ioapic_saved;

#endif /* VEE_IOAPIC_H */
