// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/mc146818.h"
#include "bench.h"

#define SECOND	1000000000ULL
#define DATE	1770000000ULL		/* 2026-02-02 02:40:00 UTC, a Monday */

static struct rtc rtc;

static void begin_with(uint64_t low, uint64_t high, unsigned int cpus)
{
	struct rtc_machine machine = { .low = low, .high = high, .cpus = cpus };

	bench_begin();
	bench.date_ns = DATE * SECOND + 600 * MS;
	rtc_init(&rtc, &bench.ports, &bench.clock, bench_line(8), &machine);
}

static void begin(void)
{
	begin_with(64 << 20, 0, 0);
}

static uint8_t get(uint8_t index)
{
	outb(0x70, index);
	return inb(0x71);
}

static void put(uint8_t index, uint8_t value)
{
	outb(0x70, index);
	outb(0x71, value);
}

static void wait_ms(uint64_t ms)
{
	bench.now_ns += ms * MS;
	rtc_advance(&rtc);
}

/* From one moment that the clock names to the next, up to @ns. */
static unsigned int count_wakes(uint64_t ns)
{
	uint64_t end = bench.now_ns + ns;
	unsigned int count = 0;

	for (;;) {
		uint64_t next = rtc_next_ns(&rtc);

		if (next > end)
			break;
		CHECK(next > bench.now_ns);
		bench.now_ns = next;
		rtc_advance(&rtc);
		CHECK(bench.lines[8]);
		count++;
		get(0x0c);
		CHECK(!bench.lines[8]);
	}
	bench.now_ns = end;
	rtc_advance(&rtc);
	return count;
}

static void the_date(void)
{
	begin();
	CHECK_EQUAL(get(0x00), 0x00);
	CHECK_EQUAL(get(0x02), 0x40);
	CHECK_EQUAL(get(0x04), 0x02);
	CHECK_EQUAL(get(0x06), 2);
	CHECK_EQUAL(get(0x07), 0x02);
	CHECK_EQUAL(get(0x08), 0x02);
	CHECK_EQUAL(get(0x09), 0x26);
	CHECK_EQUAL(get(0x32), 0x20);
	CHECK_EQUAL(get(0x8d), 0x80);
	wait_ms(399);
	CHECK_EQUAL(get(0x00), 0x00);
	wait_ms(1);
	CHECK_EQUAL(get(0x00), 0x01);
	wait_ms(58999);
	CHECK_EQUAL(get(0x00), 0x59);
	wait_ms(1);
	CHECK_EQUAL(get(0x00), 0x00);
	CHECK_EQUAL(get(0x02), 0x41);
	wait_ms(86400 * 1000);
	CHECK_EQUAL(get(0x07), 0x03);
	CHECK_EQUAL(get(0x06), 3);
}

static void formats(void)
{
	begin();
	wait_ms(13 * 3600 * 1000);		/* 15:40 */
	CHECK_EQUAL(get(0x04), 0x15);
	put(0x0b, 0x06);
	CHECK_EQUAL(get(0x04), 15);
	CHECK_EQUAL(get(0x09), 26);
	put(0x0b, 0x04);
	CHECK_EQUAL(get(0x04), 0x83);
	put(0x0b, 0x00);
	CHECK_EQUAL(get(0x04), 0x83);
	wait_ms(9 * 3600 * 1000);		/* 00:40 */
	CHECK_EQUAL(get(0x04), 0x12);
	wait_ms(12 * 3600 * 1000);		/* 12:40 */
	CHECK_EQUAL(get(0x04), 0x92);
}

static void setting(void)
{
	begin();
	put(0x0b, 0x92);			/* SET, and UIE */
	CHECK_EQUAL(get(0x0b), 0x82);		/* SET clears UIE */
	wait_ms(5000);
	CHECK_EQUAL(get(0x00), 0x00);
	put(0x00, 0x58);
	put(0x02, 0x59);
	put(0x04, 0x23);
	put(0x07, 0x28);
	put(0x08, 0x02);
	put(0x09, 0x28);
	CHECK_EQUAL(get(0x07), 0x28);
	put(0x0b, 0x02);
	CHECK_EQUAL(get(0x00), 0x58);
	wait_ms(2000);
	CHECK_EQUAL(get(0x00), 0x00);
	CHECK_EQUAL(get(0x04), 0x00);
	CHECK_EQUAL(get(0x07), 0x29);		/* 2028 is a leap year */
	CHECK_EQUAL(get(0x06), 3);
	put(0x09, 0x27);			/* at once, without SET */
	CHECK_EQUAL(get(0x08), 0x03);
	CHECK_EQUAL(get(0x07), 0x01);
	put(0x32, 0x19);
	CHECK_EQUAL(get(0x32), 0x19);
	CHECK_EQUAL(get(0x09), 0x27);
}

/* What programs do that set it to the second. */
static void the_divider(void)
{
	begin();
	put(0x0a, 0x76);
	put(0x00, 0x30);
	wait_ms(700);
	CHECK_EQUAL(get(0x0a), 0x76);
	put(0x0a, 0x26);
	CHECK_EQUAL(get(0x00), 0x30);
	wait_ms(499);
	CHECK_EQUAL(get(0x00), 0x30);
	wait_ms(1);
	CHECK_EQUAL(get(0x00), 0x31);
	wait_ms(1000);
	CHECK_EQUAL(get(0x00), 0x32);
}

static void update_in_progress(void)
{
	begin();
	CHECK_EQUAL(get(0x0a), 0x26);
	bench.now_ns += 400 * MS - 245000;
	CHECK_EQUAL(get(0x0a), 0x26);
	bench.now_ns += 1000;
	CHECK_EQUAL(get(0x0a), 0xa6);
	CHECK_EQUAL(get(0x00), 0x00);
	bench.now_ns += 243999;
	CHECK_EQUAL(get(0x0a), 0xa6);
	bench.now_ns += 1;
	CHECK_EQUAL(get(0x0a), 0x26);
	CHECK_EQUAL(get(0x00), 0x01);
	bench.now_ns += SECOND - 1;
	CHECK_EQUAL(get(0x0a), 0xa6);
	put(0x0b, 0x82);
	CHECK_EQUAL(get(0x0a), 0x26);
}

static void update_ended(void)
{
	begin();
	CHECK_EQUAL(rtc_next_ns(&rtc), CLOCK_NEVER);
	get(0x0c);
	put(0x0b, 0x12);
	CHECK_EQUAL(rtc_next_ns(&rtc), bench.now_ns + 400 * MS);
	CHECK_EQUAL(count_wakes(10 * SECOND), 10);
	put(0x0b, 0x02);
	wait_ms(5000);
	CHECK(!bench.lines[8]);
	CHECK_EQUAL(get(0x0c) & 0x90, 0x10);	/* flagged all the same */
	CHECK_EQUAL(get(0x0c), 0);
}

static void periodic(void)
{
	begin();
	put(0x0b, 0x42);
	get(0x0c);
	CHECK_EQUAL(count_wakes(10 * SECOND), 10240);
	put(0x0a, 0x2f);
	CHECK_EQUAL(count_wakes(10 * SECOND), 20);
	put(0x0a, 0x23);
	CHECK_EQUAL(count_wakes(SECOND), 8192);
	put(0x0a, 0x21);
	CHECK_EQUAL(count_wakes(SECOND), 256);
	put(0x0a, 0x20);
	get(0x0c);
	CHECK_EQUAL(rtc_next_ns(&rtc), CLOCK_NEVER);
	CHECK_EQUAL(count_wakes(SECOND), 0);
}

/* An interrupt that nobody looks at is one, and costs nothing. */
static void unread(void)
{
	begin();
	put(0x0b, 0x42);
	get(0x0c);
	wait_ms(1000000);
	CHECK_EQUAL(bench.rises[8], 1);
	CHECK_EQUAL(rtc_next_ns(&rtc), CLOCK_NEVER);
	CHECK_EQUAL(get(0x0c) & 0xc0, 0xc0);
	CHECK(rtc_next_ns(&rtc) - bench.now_ns <= SECOND / 1024 + 1);
}

static void alarms(void)
{
	begin();
	put(0x01, 0x30);
	put(0x03, 0x41);
	put(0x05, 0x02);
	get(0x0c);
	put(0x0b, 0x22);
	CHECK_EQUAL(rtc_next_ns(&rtc), bench.now_ns + 89 * SECOND + 400 * MS);
	CHECK_EQUAL(count_wakes(3 * 86400 * SECOND), 3);
	put(0x05, 0xff);
	CHECK_EQUAL(count_wakes(86400 * SECOND), 24);
	put(0x03, 0xc0);
	CHECK_EQUAL(count_wakes(3600 * SECOND), 60);
	put(0x01, 0xff);
	CHECK_EQUAL(count_wakes(60 * SECOND), 60);
	put(0x01, 0x99);
	CHECK_EQUAL(rtc_next_ns(&rtc), CLOCK_NEVER);
	put(0x0b, 0x20);
	put(0x05, 0x92);			/* noon */
	put(0x03, 0x00);
	put(0x01, 0x00);
	CHECK_EQUAL(count_wakes(86400 * SECOND), 1);
}

/* Seen late, an alarm has rung nevertheless. */
static void late_alarm(void)
{
	begin();
	put(0x01, 0x10);
	put(0x03, 0xff);
	put(0x05, 0xff);
	get(0x0c);
	wait_ms(9000);
	CHECK_EQUAL(get(0x0c) & 0x20, 0);
	wait_ms(1000 * 1000);
	CHECK_EQUAL(get(0x0c) & 0x20, 0x20);
}

static unsigned int word(uint8_t index)
{
	return get(index) | get(index + 1) << 8;
}

static void sizes_of_machine(void)
{
	begin_with(64ULL << 20, 0, 0);
	CHECK_EQUAL(word(0x15), 640);
	CHECK_EQUAL(word(0x17), 63 << 10);
	CHECK_EQUAL(word(0x30), 63 << 10);
	CHECK_EQUAL(word(0x34), 48 << 4);
	begin_with(3ULL << 30, 5ULL << 30, 4);
	CHECK_EQUAL(word(0x30), 0xffff);
	CHECK_EQUAL(word(0x34), (3072 - 16) << 4);
	CHECK_EQUAL(word(0x5b), (5120 << 4) & 0xffff);
	CHECK_EQUAL(get(0x5d), 5120 >> 12);
	CHECK_EQUAL(get(0x5f), 3);
	begin_with(1ULL << 20, 0, 1);
	CHECK_EQUAL(word(0x17) | word(0x34), 0);
	CHECK_EQUAL(get(0x5f), 0);
}

static void bios_memory(void)
{
	uint16_t sum = 0;

	begin();
	CHECK_EQUAL(get(0x3d), 0x32);
	for (uint8_t i = 0x10; i <= 0x2d; i++)
		sum += get(i);
	CHECK(sum == (get(0x2e) << 8 | get(0x2f)));
	put(0x50, 0xa5);
	CHECK_EQUAL(get(0x50), 0xa5);
	CHECK_EQUAL(get(0xd0), 0xa5);
	CHECK(rtc.nmi_masked);
	CHECK_EQUAL(get(0x51), 0);
	CHECK(!rtc.nmi_masked);
	put(0x0d, 0);
	CHECK_EQUAL(get(0x0d), 0x80);
}

const struct test tests[] = {
	{ "the date", the_date },
	{ "BCD and binary, 12 and 24 hours", formats },
	{ "setting it", setting },
	{ "the divider", the_divider },
	{ "update in progress", update_in_progress },
	{ "update-ended interrupt", update_ended },
	{ "periodic interrupt", periodic },
	{ "an interrupt that nobody reads", unread },
	{ "alarms", alarms },
	{ "an alarm seen late", late_alarm },
	{ "sizes of memory", sizes_of_machine },
	{ "what else a BIOS looks at", bios_memory },
	{ 0 }
};
