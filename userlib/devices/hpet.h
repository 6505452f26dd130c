/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A high-precision event timer: a counter of 10 MHz, which is the slowest allowed,
 * and three timers that compare with it, of 32 bits each; timer 0 also periodically.
 *
 * Systems without a local APIC have nothing else by which to sleep longer than the
 * 8254's 55 ms. There the only interrupts are those of LegacyReplacement mode: timer 0
 * has the 8254's IRQ0, timer 1 the clock's IRQ8. With an I/O APIC each timer can have
 * one of its pins, too. No timer sends messages of its own.
 */
#ifndef VEE_HPET_H
#define VEE_HPET_H

#include "bus.h"
#include "clock.h"
#include "irq.h"
#include "saved.h"

#define HPET_BASE	0xfed00000
#define HPET_BYTES	0x400
#define HPET_TIMERS	3
#define HPET_LEGACY	2	/* timers that have an interrupt of others' */

/* The low half of the capabilities, which ACPI's table has, too. */
#define HPET_ID		0x80868201	/* Intel, IRQ0 and IRQ8, three timers, rev. 1 */

/**
 * struct hpet_timer - one of the three
 * @config: configuration and capabilities
 * @comparator: it fires when the counter gets here
 * @period: periodic: how far the comparator then moves
 */
struct hpet_timer {
	uint32_t config;
	uint32_t comparator;
	uint32_t period;
};

/**
 * struct hpet - all of it
 * @bus: its registers' place in memory
 * @clock: its time
 * @irqs: IRQ0 and IRQ8
 * @pins: the I/O APIC's; which one is the timer's to say
 * @routes: those that it may say
 * @held: wires that level-triggered timers hold: a bit for each pin, then @irqs
 * @config: general configuration
 * @status: timers whose level-triggered interrupt is active
 * @begin_ns: when the counter was started
 * @begin: what it was then; while it is stopped: what it is
 * @seen: up to which count timers have been looked at; like @begin, but not cut to
 *	32 bits
 * @timers: its timers
 */
struct hpet {
	struct bus_device bus;
	struct clock *clock;
	struct irq_line irqs[HPET_LEGACY];
	struct irq_line pins;
	uint32_t routes;
	uint64_t held;
	uint32_t config;
	uint32_t status;
	uint64_t begin_ns;
	uint32_t begin;
	uint64_t seen;
	struct hpet_timer timers[HPET_TIMERS];
};

/* How it is made; @pins and @routes: zeros, if there is no I/O APIC. */
struct hpet_config {
	struct clock *clock;
	struct irq_line irqs[HPET_LEGACY];
	struct irq_line pins;
	uint32_t routes;
};

void hpet_init(struct hpet *hpet, struct bus *memory,
	       const struct hpet_config *config);
void hpet_advance(struct hpet *hpet);
uint64_t hpet_next_ns(const struct hpet *hpet);
/* Whether IRQ0 and IRQ8 are its own, and no other device's. */
bool hpet_replaces_legacy(const struct hpet *hpet);

extern const struct saved_device hpet_saved;

#endif /* VEE_HPET_H */
