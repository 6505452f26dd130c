/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests of devices have around them: ports, time that they make, wires. */
#ifndef VEE_BENCH_H
#define VEE_BENCH_H

#include "../devices/bus.h"
#include "../devices/clock.h"
#include "../devices/irq.h"
#include "test.h"

#define BENCH_IRQS	16
#define MS		1000000ULL

/**
 * struct bench - all of it
 * @clock: what a device takes its time from
 * @now_ns: the time
 * @date_ns: the date
 * @ports: where devices are
 * @memory: likewise, those that are in memory
 * @lines: levels of the wires
 * @rises: how often each rose
 * @waits: a wire rose, and the test has not set this back
 * @calls: bench_call()'s
 * @sent: the last message to a local APIC, and how many there were
 */
extern struct bench {
	struct clock clock;
	uint64_t now_ns;
	uint64_t date_ns;
	struct bus ports;
	struct bus memory;
	bool lines[BENCH_IRQS];
	unsigned int rises[BENCH_IRQS];
	bool waits[BENCH_IRQS];
	unsigned int calls;
	struct {
		uint64_t address;
		uint32_t data;
		bool level;
		unsigned int count;
	} sent;
} bench;

/* Clears the bench; time begins at an odd moment. */
void bench_begin(void);
struct irq_line bench_line(unsigned int irq);
/* For whatever a device calls; @arg must be the bench. */
void bench_call(void *arg);
/* An ioapic_send_fn; @arg must be the bench. */
void bench_take_message(void *arg, uint64_t address, uint32_t data, bool level);
/* How many messages since the last call. */
unsigned int bench_messages(void);

void out(uint16_t port, uint32_t value, unsigned int bytes);
uint32_t in(uint16_t port, unsigned int bytes);
void outb(uint16_t port, uint8_t value);
uint8_t inb(uint16_t port);
void store(uint64_t address, uint64_t value, unsigned int bytes);
uint64_t fetch(uint64_t address, unsigned int bytes);
/* An I/O APIC's registers, by its index. */
uint32_t ioapic_get(uint8_t index);
void ioapic_put(uint8_t index, uint32_t value);

#endif /* VEE_BENCH_H */
