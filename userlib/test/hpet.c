// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/hpet.h"
#include "bench.h"

#define TICK_NS		100ULL

#define CONFIG		0x010
#define STATUS		0x020
#define COUNTER		0x0f0
#define TIMER(n)	(0x100 + 0x20 * (n))
#define COMPARATOR(n)	(TIMER(n) + 8)

#define ENABLE		1
#define LEGACY		2

#define LEVEL		0x02
#define INTERRUPTS	0x04
#define PERIODIC	0x08
#define SET_VALUE	0x40

static struct hpet hpet;

static uint64_t get(uint64_t offset)
{
	return fetch(HPET_BASE + offset, 4);
}

static void put(uint64_t offset, uint32_t value)
{
	store(HPET_BASE + offset, value, 4);
}

static void begin_with(uint32_t routes)
{
	struct hpet_config config = {
		.clock = &bench.clock, .irqs = { bench_line(0), bench_line(8) },
		.pins = bench_line(0), .routes = routes,
	};

	bench_begin();
	hpet_init(&hpet, &bench.memory, &config);
}

static void begin(void)
{
	begin_with(0);
}

static void wait(uint64_t ticks)
{
	bench.now_ns += ticks * TICK_NS;
	hpet_advance(&hpet);
}

static bool taken(unsigned int irq)
{
	bool waits = bench.waits[irq];

	bench.waits[irq] = false;
	return waits;
}

static void capabilities(void)
{
	begin();
	CHECK_EQUAL(get(0) & 0xff, 1);			/* REV_ID */
	CHECK_EQUAL(get(0) >> 8 & 0x1f, 2);		/* the last timer */
	CHECK_EQUAL(get(0) >> 13 & 1, 0);		/* 32 bits */
	CHECK_EQUAL(get(0) >> 15 & 1, 1);		/* LEG_RT_CAP */
	CHECK_EQUAL(get(4), 100000000);			/* fs: the most there may be */
	CHECK_EQUAL(fetch(HPET_BASE, 8), 100000000ULL << 32 | 0x80868201);
	CHECK_EQUAL(get(TIMER(0)), 0x10);		/* PER_INT_CAP */
	CHECK_EQUAL(get(TIMER(1)), 0);
	CHECK_EQUAL(get(TIMER(0) + 4), 0);		/* no I/O APIC */
	CHECK_EQUAL(get(COMPARATOR(2)), 0xffffffff);
	put(0, 0);
	put(4, 0);
	CHECK_EQUAL(fetch(HPET_BASE, 8), 100000000ULL << 32 | 0x80868201);
}

static void what_can_be_written(void)
{
	begin();
	put(CONFIG, 0xfffffffc);
	CHECK_EQUAL(get(CONFIG), 0);
	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		put(TIMER(n), 0xffffffff);
		CHECK_EQUAL(get(TIMER(n)), n ? 0x06 : 0x5e);
	}
	put(0x160, 1);					/* no timer 3 */
	CHECK_EQUAL(get(0x160), 0);
	CHECK_EQUAL(get(0x3fc), 0);
}

/* Bytes and words of a register can be read; only all of it can be written. */
static void widths(void)
{
	begin();
	CHECK_EQUAL(fetch(HPET_BASE + 3, 1), 0x80);
	CHECK_EQUAL(fetch(HPET_BASE + 2, 2), 0x8086);
	CHECK_EQUAL(fetch(HPET_BASE + 2, 4), 0xffff8086);	/* up to its end */
	store(HPET_BASE + CONFIG, ENABLE, 1);
	CHECK_EQUAL(get(CONFIG), 0);
	store(HPET_BASE + CONFIG, ENABLE, 8);
	CHECK_EQUAL(fetch(HPET_BASE + CONFIG, 8), ENABLE);
}

static void the_counter(void)
{
	begin();
	wait(1000);
	CHECK_EQUAL(get(COUNTER), 0);
	put(COUNTER, 0xfffffff0);
	put(CONFIG, ENABLE);
	bench.now_ns += TICK_NS - 1;
	CHECK_EQUAL(get(COUNTER), 0xfffffff0);
	bench.now_ns++;
	CHECK_EQUAL(get(COUNTER), 0xfffffff1);
	wait(0x20);
	CHECK_EQUAL(fetch(HPET_BASE + COUNTER, 8), 0x11);
	put(CONFIG, 0);
	wait(1000);
	CHECK_EQUAL(get(COUNTER), 0x11);
	put(CONFIG, ENABLE);
	wait(1);
	CHECK_EQUAL(get(COUNTER), 0x12);
	put(COUNTER, 5);
	wait(2);
	CHECK_EQUAL(get(COUNTER), 7);
}

static void once(void)
{
	begin();
	put(CONFIG, ENABLE | LEGACY);
	put(TIMER(0), INTERRUPTS);
	put(COMPARATOR(0), 50);
	CHECK_EQUAL(hpet_next_ns(&hpet), bench.now_ns + 50 * TICK_NS);
	wait(49);
	CHECK(!taken(0));
	wait(1);
	CHECK(bench.waits[0] && bench.lines[0]);
	CHECK_EQUAL(hpet_next_ns(&hpet), CLOCK_NEVER);
	CHECK(taken(0));
	CHECK_EQUAL(get(STATUS), 0);
	/* The counter comes by again when it has wrapped. */
	CHECK_EQUAL(hpet_next_ns(&hpet), bench.now_ns + (TICK_NS << 32));
	wait(0xffffffff);
	CHECK(!taken(0));
	wait(1);
	CHECK(taken(0));
	CHECK_EQUAL(bench.rises[0], 2);
}

/* As Linux does: what is over when it is written comes no more. */
static void too_late(void)
{
	begin();
	put(CONFIG, ENABLE | LEGACY);
	put(TIMER(0), INTERRUPTS);
	wait(100);
	put(COMPARATOR(0), 100);
	wait(1000);
	CHECK(!taken(0));
	put(COMPARATOR(0), 1101);
	wait(1);
	CHECK(taken(0));
}

static void periodically(void)
{
	begin();
	put(CONFIG, ENABLE | LEGACY);
	put(TIMER(0), INTERRUPTS | PERIODIC | SET_VALUE);
	put(COMPARATOR(0), 30);
	CHECK_EQUAL(get(TIMER(0)), INTERRUPTS | PERIODIC | 0x10);
	put(COMPARATOR(0), 10);
	CHECK_EQUAL(get(COMPARATOR(0)), 30);
	wait(30);
	CHECK(taken(0));
	CHECK_EQUAL(get(COMPARATOR(0)), 40);
	CHECK_EQUAL(hpet_next_ns(&hpet), bench.now_ns + 10 * TICK_NS);
	wait(9);
	CHECK(!taken(0));
	wait(1);
	CHECK(taken(0));
	/* Late: one interrupt, and the next one when it is due. */
	wait(35);
	CHECK(taken(0));
	CHECK_EQUAL(bench.rises[0], 3);
	CHECK_EQUAL(get(COMPARATOR(0)), 80);
	wait(5);
	CHECK(taken(0));
	/* Far beyond where the counter wraps. */
	wait(10 * (1ULL << 32) + 3);
	CHECK(taken(0));
	CHECK_EQUAL(get(COMPARATOR(0)) - get(COUNTER) - 1,
		    (get(COMPARATOR(0)) - get(COUNTER) - 1) % 10);
	/* A period of nothing ends nowhere. */
	put(COMPARATOR(0), 0);
	wait(1ULL << 33);
	CHECK(hpet_next_ns(&hpet) == CLOCK_NEVER || hpet_next_ns(&hpet) > bench.now_ns);
}

static void level_triggered(void)
{
	begin();
	put(CONFIG, ENABLE | LEGACY);
	put(TIMER(1), INTERRUPTS | LEVEL);
	put(COMPARATOR(1), 10);
	wait(10);
	CHECK(bench.lines[8]);
	CHECK_EQUAL(get(STATUS), 2);
	CHECK_EQUAL(hpet_next_ns(&hpet), CLOCK_NEVER);
	put(STATUS, 1);
	CHECK(bench.lines[8]);
	put(STATUS, 2);
	CHECK(!bench.lines[8]);
	CHECK_EQUAL(get(STATUS), 0);
	CHECK_EQUAL(bench.rises[0], 0);
}

/* Without the replacement of the old ones there is nowhere for an interrupt to go. */
static void where_interrupts_go(void)
{
	begin();
	put(CONFIG, ENABLE);
	CHECK(!hpet_replaces_legacy(&hpet));
	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		put(TIMER(n), INTERRUPTS);
		put(COMPARATOR(n), 10);
	}
	CHECK_EQUAL(hpet_next_ns(&hpet), CLOCK_NEVER);
	wait(10);
	CHECK(!taken(0) && !taken(8));
	put(CONFIG, ENABLE | LEGACY);
	CHECK(hpet_replaces_legacy(&hpet));
	for (unsigned int n = 0; n < HPET_TIMERS; n++)
		put(COMPARATOR(n), 20);
	wait(10);
	CHECK(taken(0) && taken(8));
	put(TIMER(0), 0);
	put(COMPARATOR(0), 30);
	put(COMPARATOR(1), 30);
	wait(10);
	CHECK(!taken(0) && taken(8));
	/* Nor while the counter stands. */
	put(CONFIG, LEGACY);
	put(COMPARATOR(1), 40);
	CHECK_EQUAL(hpet_next_ns(&hpet), CLOCK_NEVER);
	wait(100);
	CHECK(!taken(8));
}

/* --- pins of an I/O APIC --- */

#define ROUTES		0x3c00
#define ROUTE(pin)	((pin) << 9)

static void routes(void)
{
	begin_with(ROUTES);
	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		uint32_t fixed = n ? 0 : 0x10;

		CHECK_EQUAL(get(TIMER(n) + 4), ROUTES);
		put(TIMER(n) + 4, 0);
		CHECK_EQUAL(get(TIMER(n) + 4), ROUTES);
		put(TIMER(n), ROUTE(13));
		CHECK_EQUAL(get(TIMER(n)), fixed | ROUTE(13));
		put(TIMER(n), ROUTE(14) | INTERRUPTS);	/* there is none */
		CHECK_EQUAL(get(TIMER(n)), fixed | ROUTE(13) | INTERRUPTS);
		put(TIMER(n), ROUTE(31));
		CHECK_EQUAL(get(TIMER(n)), fixed | ROUTE(13));
	}
}

/* To and fro, so that either edge will do; and the wire is free for others. */
static void edges_at_pins(void)
{
	begin_with(ROUTES);
	put(CONFIG, ENABLE);
	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		put(TIMER(n), ROUTE(10 + n) | INTERRUPTS);
		put(COMPARATOR(n), 10);
	}
	CHECK_EQUAL(hpet_next_ns(&hpet), bench.now_ns + 10 * TICK_NS);
	wait(10);
	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		CHECK(taken(10 + n));
		CHECK(!bench.lines[10 + n]);
		CHECK_EQUAL(bench.rises[10 + n], 1);
	}
	CHECK(!taken(0) && !taken(8));
	CHECK_EQUAL(get(STATUS), 0);
	/* An edge that nobody has seen yet is one that another adds nothing to. */
	put(COMPARATOR(0), 20);
	bench.waits[10] = true;
	CHECK(hpet_next_ns(&hpet) > bench.now_ns + 10 * TICK_NS);
}

static void levels_at_pins(void)
{
	begin_with(ROUTES);
	put(CONFIG, ENABLE);
	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		put(TIMER(n), ROUTE(11) | LEVEL | INTERRUPTS);
		put(COMPARATOR(n), 10 + 10 * n);
	}
	wait(10);
	CHECK(bench.lines[11]);
	wait(20);
	CHECK_EQUAL(get(STATUS), 7);
	CHECK_EQUAL(bench.rises[11], 1);
	CHECK_EQUAL(hpet_next_ns(&hpet), CLOCK_NEVER);
	put(STATUS, 1);
	CHECK(bench.lines[11]);			/* shared */
	put(TIMER(1), ROUTE(12) | LEVEL | INTERRUPTS);
	CHECK(bench.lines[11] && bench.lines[12]);
	put(TIMER(2), ROUTE(11) | LEVEL);
	CHECK(!bench.lines[11] && bench.lines[12]);
	put(TIMER(1), ROUTE(12) | INTERRUPTS);
	CHECK(!bench.lines[12]);
	/* An edge at a wire that is held can't be seen, and doesn't let go of it. */
	put(TIMER(2), ROUTE(11) | LEVEL | INTERRUPTS);
	put(TIMER(1), ROUTE(11) | INTERRUPTS);
	put(COMPARATOR(1), 100);
	wait(100);
	CHECK(bench.lines[11]);
}

/* Timer 2 has no interrupt of others', and keeps its own. */
static void pins_and_the_old_interrupts(void)
{
	begin_with(ROUTES);
	put(CONFIG, ENABLE | LEGACY);
	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		put(TIMER(n), ROUTE(11) | INTERRUPTS);
		put(COMPARATOR(n), 10 + 10 * n);
	}
	wait(20);
	CHECK(taken(0) && taken(8) && !taken(11));
	CHECK_EQUAL(hpet_next_ns(&hpet), bench.now_ns + 10 * TICK_NS);
	wait(10);
	CHECK(taken(11));
	/* A level goes along with where the timer goes. */
	put(TIMER(0), ROUTE(11) | LEVEL | INTERRUPTS);
	CHECK(!bench.lines[0]);
	put(COMPARATOR(0), 40);
	wait(10);
	CHECK(bench.lines[0] && !bench.lines[11]);
	put(CONFIG, ENABLE);
	CHECK(!bench.lines[0] && bench.lines[11]);
	put(CONFIG, ENABLE | LEGACY);
	CHECK(bench.lines[0] && !bench.lines[11]);
}

const struct test tests[] = {
	{ "capabilities", capabilities },
	{ "what can be written", what_can_be_written },
	{ "widths", widths },
	{ "the counter", the_counter },
	{ "one-shot", once },
	{ "too late", too_late },
	{ "periodic", periodically },
	{ "level-triggered", level_triggered },
	{ "where interrupts go", where_interrupts_go },
	{ "routes", routes },
	{ "edges at pins", edges_at_pins },
	{ "levels at pins", levels_at_pins },
	{ "pins and the old interrupts", pins_and_the_old_interrupts },
	{ 0 }
};
