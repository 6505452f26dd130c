// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/ioapic.h"
#include "bench.h"

struct bench bench;

static uint64_t now_ns(struct clock *clock)
{
	(void)clock;
	return bench.now_ns;
}

static uint64_t date_ns(struct clock *clock)
{
	(void)clock;
	return bench.date_ns;
}

static void set(void *arg, unsigned int irq, bool level)
{
	CHECK(arg == &bench);
	if (level && !bench.lines[irq]) {
		bench.rises[irq]++;
		bench.waits[irq] = true;
	}
	bench.lines[irq] = level;
}

static bool waits(void *arg, unsigned int irq)
{
	CHECK(arg == &bench);
	return bench.waits[irq];
}

struct irq_line bench_line(unsigned int irq)
{
	return (struct irq_line) {
		.set = set, .waits = waits, .arg = &bench, .irq = irq,
	};
}

void bench_call(void *arg)
{
	CHECK(arg == &bench);
	bench.calls++;
}

void bench_take_message(void *arg, uint64_t address, uint32_t data, bool level)
{
	CHECK(arg == &bench);
	bench.sent.address = address;
	bench.sent.data = data;
	bench.sent.level = level;
	bench.sent.count++;
}

unsigned int bench_messages(void)
{
	unsigned int count = bench.sent.count;

	bench.sent.count = 0;
	return count;
}

void bench_begin(void)
{
	memset(&bench, 0, sizeof(bench));
	bench.clock = (struct clock) { .now_ns = now_ns, .date_ns = date_ns };
	bench.now_ns = 12345678987ULL;
}

void out(uint16_t port, uint32_t value, unsigned int bytes)
{
	bus_access(&bench.ports, port, &value, bytes, true);
}

uint32_t in(uint16_t port, unsigned int bytes)
{
	uint32_t value = 0;

	bus_access(&bench.ports, port, &value, bytes, false);
	return value;
}

void outb(uint16_t port, uint8_t value)
{
	out(port, value, 1);
}

uint8_t inb(uint16_t port)
{
	return in(port, 1);
}

void store(uint64_t address, uint64_t value, unsigned int bytes)
{
	bus_access(&bench.memory, address, &value, bytes, true);
}

uint64_t fetch(uint64_t address, unsigned int bytes)
{
	uint64_t value = 0;

	bus_access(&bench.memory, address, &value, bytes, false);
	return value;
}

uint32_t ioapic_get(uint8_t index)
{
	store(IOAPIC_BASE, index, 4);
	return fetch(IOAPIC_BASE + 0x10, 4);
}

void ioapic_put(uint8_t index, uint32_t value)
{
	store(IOAPIC_BASE, index, 4);
	store(IOAPIC_BASE + 0x10, value, 4);
}
