// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/i8254.h"
#include "bench.h"

#define SECOND	1000000000ULL

static struct pit pit;
static uint64_t begin_ns;

static void begin(void)
{
	bench_begin();
	begin_ns = bench.now_ns;
	pit_init(&pit, &bench.ports, &bench.clock, bench_line(0));
}

/* 105/88 MHz: the moment of the tick after so many. */
static void at_tick(uint64_t tick)
{
	bench.now_ns = begin_ns + (tick * 88000 + 104) / 105;
	pit_advance(&pit);
}

static void set_up(unsigned int channel, unsigned int mode, uint16_t count)
{
	outb(0x43, channel << 6 | 0x30 | mode << 1);
	outb(0x40 + channel, count);
	outb(0x40 + channel, count >> 8);
}

static uint16_t two_bytes(uint16_t port)
{
	uint16_t count = inb(port);

	return count | inb(port) << 8;
}

static uint16_t latched(unsigned int channel)
{
	outb(0x43, channel << 6);
	return two_bytes(0x40 + channel);
}

static uint8_t status(unsigned int channel)
{
	outb(0x43, 0xe0 | 2 << channel);
	return inb(0x40 + channel);
}

static bool output(unsigned int channel)
{
	return status(channel) & 0x80;
}

/* Acknowledges IRQ0 if it was requested. */
static bool taken(void)
{
	bool waits = bench.waits[0];

	bench.waits[0] = false;
	if (waits)
		pit_acknowledged(&pit);
	return waits;
}

static void mode_0(void)
{
	begin();
	set_up(0, 0, 10);
	CHECK_EQUAL(status(0), 0x70);		/* not yet loaded */
	at_tick(1);
	CHECK_EQUAL(status(0), 0x30);
	CHECK_EQUAL(latched(0), 10);
	at_tick(10);
	CHECK_EQUAL(latched(0), 1);
	CHECK(!output(0) && !bench.lines[0]);
	CHECK_EQUAL(pit_next_ns(&pit), begin_ns + (11 * 88000 + 104) / 105);
	at_tick(11);				/* count + 1 after it was written */
	CHECK(output(0) && bench.lines[0]);
	CHECK(taken());
	at_tick(12);
	CHECK_EQUAL(latched(0), 0xffff);	/* it counts on */
	CHECK_EQUAL(pit_next_ns(&pit), CLOCK_NEVER);
	at_tick(1000000);
	CHECK(!taken());
	outb(0x40, 5);				/* the first byte: low, and stops */
	CHECK(!output(0) && !bench.lines[0]);
	at_tick(1000100);
	CHECK(!output(0));
	outb(0x40, 0);
	at_tick(1000106);
	CHECK(taken());
}

static void gate_2(bool gate)
{
	outb(0x61, gate);
}

static bool out2(void)
{
	return inb(0x61) & 0x20;
}

static void mode_0_gate(void)
{
	begin();
	set_up(2, 0, 100);
	at_tick(50);
	CHECK_EQUAL(latched(2), 100);
	gate_2(true);
	at_tick(80);
	CHECK_EQUAL(latched(2), 70);
	gate_2(false);
	at_tick(500);
	CHECK_EQUAL(latched(2), 70);
	gate_2(true);
	at_tick(569);
	CHECK(!out2());
	at_tick(570);
	CHECK(out2());
}

static void mode_1(void)
{
	begin();
	set_up(2, 1, 10);
	CHECK(out2());
	at_tick(5);
	CHECK_EQUAL(status(2), 0xf2);		/* loaded by a trigger alone */
	gate_2(true);
	CHECK(out2());
	at_tick(6);
	CHECK(!out2());
	CHECK_EQUAL(status(2), 0x32);
	at_tick(10);
	gate_2(false);				/* no effect */
	gate_2(true);				/* starts over at 11 */
	at_tick(20);
	CHECK(!out2());
	outb(0x42, 3);				/* for the next trigger */
	outb(0x42, 0);
	at_tick(21);
	CHECK(out2());
	gate_2(false);
	gate_2(true);
	at_tick(24);
	CHECK(!out2());
	at_tick(25);
	CHECK(out2());
}

static void mode_2(void)
{
	begin();
	set_up(0, 2, 10);
	at_tick(1);
	CHECK_EQUAL(latched(0), 10);
	at_tick(9);
	CHECK(output(0));
	at_tick(10);
	CHECK_EQUAL(latched(0), 1);
	CHECK(!output(0));
	CHECK(!taken());
	at_tick(11);
	CHECK_EQUAL(latched(0), 10);
	CHECK(output(0) && taken());
	for (unsigned int i = 2; i < 1000; i++) {
		at_tick(1 + 10 * i);
		CHECK(taken() && !taken());
	}
}

static void mode_2_new_count(void)
{
	begin();
	set_up(0, 2, 100);
	at_tick(51);
	outb(0x40, 30);
	outb(0x40, 0);
	CHECK_EQUAL(status(0), 0xf4);
	CHECK_EQUAL(latched(0), 50);
	at_tick(100);
	CHECK(!taken());
	at_tick(101);				/* the period goes to its end */
	CHECK(taken());
	CHECK_EQUAL(status(0), 0xb4);
	at_tick(130);
	CHECK(!taken());
	at_tick(131);
	CHECK(taken());
	outb(0x40, 200);
	outb(0x40, 0);
	at_tick(1 + 160 + 2 * 200);		/* many at once: 161, 361, 561 */
	CHECK(taken() && taken() && taken() && !taken());
}

/* Two counts at once: the first one's period has not begun yet, and is whole. */
static void mode_2_two_counts(void)
{
	begin();
	set_up(0, 2, 100);
	outb(0x40, 50);
	outb(0x40, 0);
	at_tick(100);
	CHECK_EQUAL(latched(0), 1);
	taken();
	at_tick(101);
	CHECK_EQUAL(latched(0), 50);
	CHECK(taken());
	at_tick(151);
	CHECK_EQUAL(latched(0), 50);
	CHECK(taken());
}

static void mode_2_gate(void)
{
	begin();
	gate_2(true);
	set_up(2, 2, 10);
	at_tick(10);
	CHECK(!out2());
	gate_2(false);				/* high at once */
	CHECK(out2());
	at_tick(100);
	CHECK(out2());
	gate_2(true);				/* starts over */
	at_tick(101);
	CHECK_EQUAL(latched(2), 10);
	at_tick(110);
	CHECK(!out2());
	outb(0x42, 20);
	outb(0x42, 0);
	gate_2(false);
	at_tick(200);
	CHECK(status(2) & 0x40);		/* the new count waits as well */
	gate_2(true);
	at_tick(201);
	CHECK_EQUAL(latched(2), 20);
}

/* The data sheet forbids it; here it is 2. */
static void a_period_of_1(void)
{
	begin();
	set_up(0, 2, 1);
	at_tick(2);
	CHECK(!taken());
	at_tick(3);
	CHECK(taken() && !taken());
	set_up(2, 3, 1);
	gate_2(true);
	at_tick(4);
	CHECK(out2());
	at_tick(5);
	CHECK(!out2());
	at_tick(6);
	CHECK(out2());
}

static void mode_3(void)
{
	begin();
	set_up(0, 3, 10);
	at_tick(5);
	CHECK(output(0));
	CHECK_EQUAL(latched(0), 2);		/* by two */
	at_tick(6);
	CHECK(!output(0));
	CHECK_EQUAL(latched(0), 10);
	CHECK_EQUAL(bench.rises[0], 0);
	at_tick(11);
	CHECK(output(0) && taken());
	set_up(2, 3, 5);
	gate_2(true);				/* loads at 12 */
	at_tick(12);
	CHECK_EQUAL(latched(2), 4);
	at_tick(14);
	CHECK(out2());
	CHECK_EQUAL(latched(2), 0);
	at_tick(15);
	CHECK(!out2());
	CHECK_EQUAL(latched(2), 4);
	at_tick(16);
	CHECK(!out2());
	at_tick(17);
	CHECK(out2());
}

/* Here it is the half that goes to its end. */
static void mode_3_new_count(void)
{
	begin();
	set_up(0, 3, 100);
	at_tick(21);
	taken();
	outb(0x40, 20);
	outb(0x40, 0);
	/* The half's end is what there is to wait for, though nothing rises then. */
	CHECK_EQUAL(pit_next_ns(&pit), begin_ns + (51 * 88000 + 104) / 105);
	at_tick(50);
	CHECK(output(0));
	at_tick(51);
	CHECK(!output(0));
	at_tick(60);
	CHECK(!output(0) && !taken());
	at_tick(61);
	CHECK(output(0) && taken());
	at_tick(75);				/* the low half: 71 to 81 */
	outb(0x40, 40);
	outb(0x40, 0);
	at_tick(81);
	CHECK(output(0) && taken());
	at_tick(100);
	CHECK(output(0));
	at_tick(101);
	CHECK(!output(0));
	at_tick(121);
	CHECK(taken());
}

static void mode_4(void)
{
	begin();
	set_up(0, 4, 10);
	at_tick(10);
	CHECK(output(0));
	at_tick(11);
	CHECK(!output(0) && !bench.rises[0]);
	at_tick(12);
	CHECK(output(0) && taken());
	CHECK_EQUAL(pit_next_ns(&pit), CLOCK_NEVER);
	at_tick(100);
	outb(0x40, 20);
	outb(0x40, 0);
	at_tick(110);
	outb(0x40, 20);				/* starts over */
	outb(0x40, 0);
	at_tick(131);
	CHECK(!taken());
	at_tick(132);
	CHECK(taken());
	at_tick(132 + 100000);			/* once */
	CHECK(!taken());
}

static void mode_5(void)
{
	begin();
	set_up(2, 5, 10);
	at_tick(100);
	CHECK(out2());
	gate_2(true);
	at_tick(110);
	CHECK(out2());
	at_tick(111);
	CHECK(!out2());
	at_tick(112);
	CHECK(out2());
}

static void bcd(void)
{
	begin();
	outb(0x43, 0x35);			/* mode 2 */
	outb(0x40, 0x00);
	outb(0x40, 0x10);			/* 1000 */
	at_tick(1 + 1);
	CHECK_EQUAL(latched(0), 0x0999);
	at_tick(1 + 999);
	CHECK_EQUAL(latched(0), 0x0001);
	at_tick(1 + 1000);
	CHECK(taken());
	outb(0x43, 0x31);			/* mode 0, 10^4 */
	outb(0x40, 0);
	outb(0x40, 0);
	at_tick(1001 + 2);
	CHECK_EQUAL(latched(0), 0x9999);
	at_tick(1001 + 1 + 10000);
	CHECK(taken());
	at_tick(1001 + 1 + 10001);
	CHECK_EQUAL(latched(0), 0x9999);
}

static void zero_is_65536(void)
{
	begin();
	set_up(0, 2, 0);
	at_tick(1);
	CHECK_EQUAL(latched(0), 0);
	at_tick(65536);
	CHECK(!taken());
	at_tick(65537);
	CHECK(taken());
}

static void bytes(void)
{
	begin();
	outb(0x43, 0x14);			/* mode 2, low byte */
	outb(0x40, 0x80);
	at_tick(1);
	CHECK_EQUAL(inb(0x40), 0x80);
	CHECK_EQUAL(inb(0x40), 0x80);
	outb(0x43, 0x24);			/* high byte */
	outb(0x40, 0x80);
	at_tick(2);
	CHECK_EQUAL(inb(0x40), 0x80);
	CHECK_EQUAL(latched(0), 0x8080);
	set_up(0, 2, 0x1234);
	at_tick(3);
	CHECK_EQUAL(inb(0x40), 0x34);		/* both in turn, as it counts */
	at_tick(3 + 0x100);
	CHECK_EQUAL(inb(0x40), 0x11);
	CHECK_EQUAL(inb(0x40), 0x34);
}

static void latches(void)
{
	begin();
	set_up(0, 2, 1000);
	at_tick(1);
	outb(0x43, 0x00);
	at_tick(100);
	outb(0x43, 0x00);			/* the first one stays */
	CHECK_EQUAL(two_bytes(0x40), 1000);
	CHECK_EQUAL(two_bytes(0x40), 901);
	gate_2(true);
	set_up(2, 2, 500);
	outb(0x43, 0xca);			/* both, of channels 0 and 2 */
	at_tick(200);
	outb(0x43, 0xee);
	CHECK_EQUAL(inb(0x40), 0xb4);		/* status comes first */
	CHECK_EQUAL(two_bytes(0x40), 901);
	CHECK_EQUAL(inb(0x42), 0xf4);
	CHECK_EQUAL(two_bytes(0x42), 500);
}

static void port_61(void)
{
	unsigned int toggles = 0;

	begin();
	outb(0x61, 0xfe);
	CHECK_EQUAL(inb(0x61) & ~0x30, 0x0e);
	for (unsigned int i = 0; i < 180; i++) {
		uint8_t before = inb(0x61);

		at_tick(i + 1);
		toggles += !!((before ^ inb(0x61)) & 0x10);
	}
	CHECK_EQUAL(toggles, 10);		/* each 15 us */
}

/* An hour of 1000 Hz and a bit, each taken: no period is lost, none drifts. */
static void no_drift(void)
{
	uint64_t count = 0;

	begin();
	set_up(0, 2, 1193);
	while (bench.now_ns < begin_ns + 3600 * SECOND) {
		uint64_t next = pit_next_ns(&pit);

		if (!CHECK(next > bench.now_ns && next != CLOCK_NEVER))
			return;
		bench.now_ns = next;
		pit_advance(&pit);
		count += taken();
	}
	/* The last one was after the hour. */
	CHECK_EQUAL(count - 1, (3600 * SECOND / 88000 * 105 - 1) / 1193);
}

/* Late by a second at most: every rise is told of, one at a time. */
static void missed_ones_are_kept(void)
{
	unsigned int count = 0;

	begin();
	set_up(0, 2, 1193);
	at_tick(1 + 1193 * 500);
	CHECK_EQUAL(bench.rises[0], 1);
	CHECK_EQUAL(pit_next_ns(&pit), CLOCK_NEVER);	/* until it is taken */
	while (taken())
		count++;
	CHECK_EQUAL(count, 500);
	CHECK_EQUAL(pit_next_ns(&pit),
		    begin_ns + ((1 + 1193 * 501) * 88000ULL + 104) / 105);
}

static void missed_ones_are_bounded(void)
{
	unsigned int count = 0;

	begin();
	set_up(0, 3, 2);
	bench.now_ns += 100000 * SECOND;
	pit_advance(&pit);
	CHECK(pit.missed < 600000);
	set_up(0, 2, 11932);
	bench.waits[0] = false;
	bench.now_ns += 100000 * SECOND;
	pit_advance(&pit);
	while (taken())
		count++;
	CHECK(count >= 100 && count <= 102);
}

static void missed_ones_are_forgotten(void)
{
	begin();
	set_up(0, 2, 1000);
	at_tick(10001);
	CHECK(pit.missed);
	pit_unmasked(&pit);
	CHECK(taken() && !taken());
	at_tick(20001);
	CHECK(pit.missed);
	outb(0x43, 0x30);
	CHECK_EQUAL(pit.missed, 0);
	bench.waits[0] = false;
	set_up(0, 2, 1000);
	CHECK(taken());		/* the output rose from mode 0's low */
	at_tick(21002);
	CHECK(taken() && !taken());
}

static void nothing_before_it_is_set_up(void)
{
	begin();
	bench.now_ns += 1000 * SECOND;
	pit_advance(&pit);
	CHECK_EQUAL(bench.rises[0], 0);
	CHECK_EQUAL(pit_next_ns(&pit), CLOCK_NEVER);
}

const struct test tests[] = {
	{ "mode 0", mode_0 },
	{ "mode 0's gate", mode_0_gate },
	{ "mode 1", mode_1 },
	{ "mode 2", mode_2 },
	{ "mode 2: a new count", mode_2_new_count },
	{ "mode 2: two counts at once", mode_2_two_counts },
	{ "mode 2's gate", mode_2_gate },
	{ "a period of 1", a_period_of_1 },
	{ "mode 3", mode_3 },
	{ "mode 3: a new count", mode_3_new_count },
	{ "mode 4", mode_4 },
	{ "mode 5", mode_5 },
	{ "BCD", bcd },
	{ "a count of 0", zero_is_65536 },
	{ "low byte, high byte, both", bytes },
	{ "latches", latches },
	{ "port 61H", port_61 },
	{ "an hour without drift", no_drift },
	{ "periods that were missed", missed_ones_are_kept },
	{ "those are bounded", missed_ones_are_bounded },
	{ "those are forgotten", missed_ones_are_forgotten },
	{ "nothing before it is set up", nothing_before_it_is_set_up },
	{ 0 }
};
