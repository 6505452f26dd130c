// SPDX-License-Identifier: LGPL-2.1-or-later
/* The devices together, as guests use them. */
#include "../devices/pc.h"
#include <time.h>

#include "bench.h"

#define SECOND	1000000000ULL

static struct pc pc;
static char serial[100], debug[100];
static unsigned int serial_count, debug_count;

static void send_serial(void *arg, const uint8_t *data, size_t count)
{
	CHECK(arg == &bench);
	for (size_t i = 0; i < count; i++)
		serial[serial_count++ % sizeof(serial)] = data[i];
}

static void send_debug(void *arg, uint8_t byte)
{
	CHECK(arg == &bench);
	debug[debug_count++ % sizeof(debug)] = byte;
}

static void begin(bool host_bridge)
{
	struct pc_config config = {
		.low_memory = 64 << 20, .clock = &bench.clock,
		.serial_send = send_serial, .debug_send = send_debug,
		.arg = &bench, .host_bridge = host_bridge,
	};

	bench_begin();
	serial_count = 0;
	debug_count = 0;
	pc_init(&pc, &bench.ports, &bench.memory, &config);
}

/* Vectors 20H and 28H; all masked but what @mask's zeros say. */
static void set_up_pic(uint16_t mask)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 0x04);
	outb(0xa1, 0x02);
	outb(0x21, 0x01);
	outb(0xa1, 0x01);
	outb(0x21, mask);
	outb(0xa1, mask >> 8);
}

static void set_up_timer(uint16_t count)
{
	outb(0x43, 0x34);
	outb(0x40, count);
	outb(0x40, count >> 8);
}

static void end_of_interrupt(uint8_t vector)
{
	if (vector >= 0x28)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

static void set_up_hpet(uint32_t ticks)
{
	store(HPET_BASE + 0x100, 0x04, 4);
	store(HPET_BASE + 0x108, ticks, 4);
	store(HPET_BASE + 0x010, 0x03, 4);
}

static void quiet_after_power_on(void)
{
	begin(false);
	CHECK_EQUAL(pc_next_ns(&pc), CLOCK_NEVER);
	bench.now_ns += 1000 * SECOND;
	pc_advance(&pc);
	CHECK(!pc_interrupt_pending(&pc));
	CHECK_EQUAL(pc.request, PC_NONE);
	CHECK_EQUAL(in(0x4d0, 2), 0x0200);	/* the SCI's level */
}

/* How long a guest sleeps that counts ticks, on a host that is late at random. */
static void ticks_keep_time(void)
{
	uint64_t end, ticks = 0;

	begin(false);
	set_up_pic(0xfffa);
	set_up_timer(4773);			/* 250 Hz */
	end = bench.now_ns + 10 * SECOND;
	while (bench.now_ns < end) {
		uint64_t next = pc_next_ns(&pc);

		if (next < bench.now_ns)
			next = bench.now_ns;
		bench.now_ns = next + test_random() % (20 * MS);
		pc_advance(&pc);
		while (pc_interrupt_pending(&pc)) {
			uint8_t vector = pc_acknowledge(&pc);

			CHECK_EQUAL(vector, 0x20);
			end_of_interrupt(vector);
			ticks++;
		}
	}
	CHECK(ticks >= 2499 && ticks <= 2506);
}

static void unmasking_forgets(void)
{
	begin(false);
	set_up_pic(0xffff);
	set_up_timer(1193);
	bench.now_ns += SECOND / 2;
	pc_advance(&pc);
	CHECK(!pc_interrupt_pending(&pc));
	CHECK_EQUAL(pc_next_ns(&pc), CLOCK_NEVER);
	outb(0x21, 0xfa);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x20);
	end_of_interrupt(0x20);
	CHECK(!pc_interrupt_pending(&pc));
	CHECK(pc_next_ns(&pc) < bench.now_ns + 2 * MS);
}

/* A PIC that is set up again while the timer's request waits hears of it anew. */
static void setting_up_twice(void)
{
	begin(false);
	set_up_pic(0xffff);
	set_up_timer(1193);
	bench.now_ns += SECOND / 2;
	pc_advance(&pc);
	set_up_pic(0xfffa);
	CHECK(!pc_interrupt_pending(&pc));
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK(pc_interrupt_pending(&pc));
}

/* The 8254 keeps counting, but IRQ0 is no longer its own; nor IRQ8 the clock's. */
static void hpet_instead(void)
{
	begin(false);
	set_up_pic(0x0000);
	set_up_timer(1193);
	outb(0x70, 0x0b);
	outb(0x71, 0x42);
	set_up_hpet(50000000);
	bench.now_ns += 2 * MS;
	pc_advance(&pc);
	CHECK(!pc_interrupt_pending(&pc));
	CHECK_EQUAL(pc_next_ns(&pc), bench.now_ns + 5 * SECOND - 2 * MS);
	bench.now_ns = pc_next_ns(&pc) - 1;
	pc_advance(&pc);
	CHECK(!pc_interrupt_pending(&pc));
	bench.now_ns++;
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x20);
	end_of_interrupt(0x20);
	CHECK(!pc_interrupt_pending(&pc));
	store(HPET_BASE + 0x010, 0, 4);
	CHECK(pc_next_ns(&pc) <= bench.now_ns + 2 * MS);
	bench.now_ns += 2 * MS;
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x20);
}

static void all_interrupts(void)
{
	begin(false);
	set_up_pic(0x0000);
	outb(0x3fc, 0x08);
	outb(0x3f9, 0x01);
	CHECK_EQUAL(pc_receive(&pc, (const uint8_t *)"x", 1), 1);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x24);
	CHECK_EQUAL(inb(0x3f8), 'x');
	end_of_interrupt(0x24);
	outb(0x70, 0x0b);
	outb(0x71, 0x42);
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x28);
	end_of_interrupt(0x28);
	outb(0x64, 0x60);
	outb(0x60, 0x01);
	outb(0x60, 0xff);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x21);
	end_of_interrupt(0x21);
	out(0x602, 1, 2);
	bench.now_ns += 1000 * SECOND;
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x29);
	end_of_interrupt(0x29);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x29);	/* a level: still up */
}

/* What takes time in the UART: a FIFO's time-out, a batch of output. */
static void the_uarts_time(void)
{
	begin(false);
	set_up_pic(0xffef);
	outb(0x3fc, 0x08);
	outb(0x3fa, 0x81);
	outb(0x3f9, 0x01);
	CHECK_EQUAL(pc_receive(&pc, (const uint8_t *)"x", 1), 1);
	for (unsigned int i = 0; i < 2; i++) {	/* to arrive, to time out */
		CHECK(pc_next_ns(&pc) < bench.now_ns + SECOND);
		bench.now_ns = pc_next_ns(&pc);
		pc_advance(&pc);
	}
	CHECK(pc_interrupt_pending(&pc));
	CHECK_EQUAL(inb(0x3fa), 0xcc);
	inb(0x3f8);
	outb(0x3f8, '!');
	CHECK(pc_next_ns(&pc) < bench.now_ns + SECOND);
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(serial_count, 1);
	CHECK_EQUAL(pc_next_ns(&pc), CLOCK_NEVER);
}

static void output(void)
{
	begin(false);
	outb(0x3f8, 'o');
	outb(0x3f8, 'k');
	pc_flush(&pc);
	CHECK(serial_count == 2 && !memcmp(serial, "ok", 2));
	CHECK_EQUAL(inb(0xe9), 0xe9);
	CHECK_EQUAL(inb(0x402), 0xe9);
	outb(0xe9, 'E');
	outb(0x402, 'S');
	CHECK(debug_count == 2 && !memcmp(debug, "ES", 2));
}

static void requests(void)
{
	begin(false);
	outb(0x64, 0xfe);
	CHECK_EQUAL(pc.request, PC_RESET);
	begin(false);
	outb(0x92, 0x01);
	CHECK_EQUAL(pc.request, PC_RESET);
	begin(false);
	outb(0xcf9, 0x06);
	CHECK_EQUAL(pc.request, PC_RESET);
	begin(false);
	out(0x604, 0x2000, 2);
	CHECK_EQUAL(pc.request, PC_POWER_OFF);
}

static void with_a_host_bridge(void)
{
	begin(false);
	out(0xcf8, 0x80000000, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0xffffffff);
	begin(true);
	out(0xcf8, 0x80000000, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0x12378086);
}

static void the_hosts_clock(void)
{
	struct pc_config config = { .serial_send = send_serial };
	uint16_t first, second;

	bench_begin();
	pc_init(&pc, &bench.ports, &bench.memory, &config);
	set_up_timer(0);
	outb(0x43, 0x00);
	first = inb(0x40);
	first |= inb(0x40) << 8;
	nanosleep(&(struct timespec) { .tv_nsec = 2000000 }, NULL);
	outb(0x43, 0x00);
	second = inb(0x40);
	second |= inb(0x40) << 8;
	CHECK((uint16_t)(first - second) > 2000);
	outb(0x70, 0x32);
	CHECK(inb(0x71) >= 0x20 && inb(0x71) < 0x22);
}

static void exits(void)
{
	begin(false);
	CHECK_EQUAL(in(0xf4, 1), 0xff);
	CHECK_EQUAL(pc.request, PC_NONE);
	out(0xf3, 0x1234, 4);			/* the second of its bytes */
	CHECK_EQUAL(pc.request, PC_EXIT);
	CHECK_EQUAL(pc.exit_status, 0x12);
}

const struct test tests[] = {
	{ "quiet after power-on", quiet_after_power_on },
	{ "ticks keep time on a busy host", ticks_keep_time },
	{ "unmasking the timer forgets", unmasking_forgets },
	{ "setting up the PIC twice", setting_up_twice },
	{ "the HPET in place of others", hpet_instead },
	{ "every interrupt", all_interrupts },
	{ "the UART's time", the_uarts_time },
	{ "output", output },
	{ "requests", requests },
	{ "a status", exits },
	{ "a host bridge", with_a_host_bridge },
	{ "the host's clock", the_hosts_clock },
	{ 0 }
};
