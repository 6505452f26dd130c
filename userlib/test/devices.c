// SPDX-License-Identifier: LGPL-2.1-or-later
#include <time.h>

#include "../devices/bus.h"
#include "../devices/pc.h"
#include "../devices/uart.h"
#include "test.h"

static struct bus ports;
static struct uart uart;
static struct pc pc;
static char sent[100];
static unsigned int sent_count;

static void send(void *arg, uint8_t byte)
{
	CHECK(arg == &ports);
	sent[sent_count++ % sizeof(sent)] = byte;
}

static void begin(void)
{
	ports.devices = NULL;
	sent_count = 0;
	pc_init(&pc, &ports);
	uart_init(&uart, 0x3f8, send, &ports);
	CHECK_EQUAL(bus_add(&ports, &uart.bus), 0);
}

static void out(uint16_t port, uint32_t value, unsigned int bytes)
{
	bus_access(&ports, port, &value, bytes, true);
}

static uint32_t in(uint16_t port, unsigned int bytes)
{
	uint32_t value = 0;

	bus_access(&ports, port, &value, bytes, false);
	return value;
}

static void nobody_is_all_ones(void)
{
	begin();
	CHECK_EQUAL(in(0x1234, 1), 0xff);
	CHECK_EQUAL(in(0x1234, 4), 0xffffffff);
	CHECK_EQUAL(in(0xffff, 4), 0xffffffff);
	out(0xffff, 0, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0xffffffff);
}

static void devices_do_not_overlap(void)
{
	struct bus_device other = { .first = 0x3f0, .count = 9 };

	begin();
	CHECK_EQUAL(bus_add(&ports, &other), -EEXIST);
	other.first = 0x3ff;
	CHECK_EQUAL(bus_add(&ports, &other), -EEXIST);
	other.first = UINT64_MAX;
	other.count = 1;
	CHECK_EQUAL(bus_add(&ports, &other), 0);
	CHECK(bus_find(&ports, UINT64_MAX) == &other);
	CHECK(!bus_find(&ports, 0x400));
}

static void wide_accesses_are_split(void)
{
	begin();
	out(0x3fb, 0x80, 1);
	out(0x3f8, 0x1234, 2);		/* both halves of the divisor */
	CHECK_EQUAL(uart.divisor, 0x1234);
	CHECK_EQUAL(in(0x3f8, 2), 0x1234);
	CHECK_EQUAL(in(0x3ff, 2), 0xff00);	/* scratch, and nobody */
	out(0x3fe, 0x55aa, 4);
	CHECK_EQUAL(in(0x3ff, 1), 0x55);
}

static void uart_sends(void)
{
	begin();
	CHECK_EQUAL(in(0x3fd, 1), 0x60);
	out(0x3f8, 'h', 1);
	out(0x3f8, 'i', 1);
	CHECK(sent_count == 2 && !memcmp(sent, "hi", 2));
	CHECK_EQUAL(in(0x3fa, 1), 0x01);
	out(0x3f9, 2, 1);
	CHECK_EQUAL(in(0x3fa, 1), 0x02);
	CHECK_EQUAL(in(0x3fa, 1), 0x01);
	out(0x3fa, 1, 1);
	CHECK_EQUAL(in(0x3fa, 1), 0xc1);
}

static void uart_receives(void)
{
	begin();
	CHECK_EQUAL(in(0x3f8, 1), 0);
	CHECK(uart_receive(&uart, 'a'));
	CHECK(uart_receive(&uart, 'b'));
	CHECK_EQUAL(in(0x3fd, 1), 0x61);
	out(0x3f9, 1, 1);
	CHECK_EQUAL(in(0x3fa, 1), 0x04);
	CHECK_EQUAL(in(0x3f8, 1), 'a');
	CHECK_EQUAL(in(0x3f8, 1), 'b');
	CHECK_EQUAL(in(0x3fd, 1), 0x60);
	for (int i = 0; i < UART_FIFO; i++)
		CHECK(uart_receive(&uart, i));
	CHECK(!uart_receive(&uart, 0));
	for (int i = 0; i < UART_FIFO; i++)
		CHECK_EQUAL(in(0x3f8, 1), (uint8_t)i);
	uart_receive(&uart, 'x');
	out(0x3fa, 2, 1);
	CHECK_EQUAL(in(0x3fd, 1), 0x60);
}

static void uart_loops_back(void)
{
	begin();
	CHECK_EQUAL(in(0x3fe, 1), 0xb0);
	out(0x3fc, 0x1a, 1);
	CHECK_EQUAL(in(0x3fe, 1), 0x90);
	out(0x3f8, 'l', 1);
	CHECK_EQUAL(sent_count, 0);
	CHECK_EQUAL(in(0x3f8, 1), 'l');
}

/* A program that measures its TSC waits so for 10 ms. */
static void pit_channel_2_counts(void)
{
	struct timespec begin_time, end_time;
	double ms;

	begin();
	out(0x61, (in(0x61, 1) & ~2) | 1, 1);
	out(0x43, 0xb0, 1);
	out(0x42, 11932 & 0xff, 1);
	out(0x42, 11932 >> 8, 1);
	clock_gettime(CLOCK_MONOTONIC, &begin_time);
	CHECK_EQUAL(in(0x61, 1) & 0x20, 0);
	while (!(in(0x61, 1) & 0x20))
		;
	clock_gettime(CLOCK_MONOTONIC, &end_time);
	ms = (end_time.tv_sec - begin_time.tv_sec) * 1e3 +
	     (end_time.tv_nsec - begin_time.tv_nsec) / 1e6;
	CHECK(ms > 9 && ms < 1000);
}

static void pit_latches(void)
{
	uint16_t first, second;

	begin();
	out(0x43, 0x34, 1);
	out(0x40, 0, 1);
	out(0x40, 0, 1);
	out(0x43, 0x00, 1);
	first = in(0x40, 1);
	first |= in(0x40, 1) << 8;
	nanosleep(&(struct timespec) { .tv_nsec = 2000000 }, NULL);
	out(0x43, 0x00, 1);
	second = in(0x40, 1);
	second |= in(0x40, 1) << 8;
	CHECK((uint16_t)(first - second) > 2000);
}

static void resets(void)
{
	begin();
	CHECK_EQUAL(in(0x64, 1), 0);
	CHECK_EQUAL(in(0x92, 1), 2);
	out(0x92, 2, 1);
	out(0x64, 0xd1, 1);
	CHECK(!pc.reset);
	out(0x64, 0xfe, 1);
	CHECK(pc.reset);
	begin();
	out(0x92, 1, 1);
	CHECK(pc.reset);
	begin();
	out(0xcf9, 2, 1);
	CHECK(!pc.reset);
	out(0xcf9, 6, 1);
	CHECK(pc.reset);
}

static void pci_is_empty(void)
{
	begin();
	out(0xcf8, 0x80000000, 4);
	CHECK_EQUAL(in(0xcf8, 4), 0x80000000);
	CHECK_EQUAL(in(0xcfc, 4), 0xffffffff);
	CHECK_EQUAL(in(0xcfe, 2), 0xffff);
}

static void the_clock_goes(void)
{
	begin();
	out(0x70, 0x8d, 1);
	CHECK_EQUAL(in(0x71, 1), 0x80);
	out(0x70, 0x32, 1);
	CHECK(in(0x71, 1) >= 0x20 && in(0x71, 1) < 0x22);
	out(0x70, 0x08, 1);
	CHECK(in(0x71, 1) >= 0x01 && in(0x71, 1) <= 0x12);
}

const struct test tests[] = {
	{ "where nobody answers", nobody_is_all_ones },
	{ "devices do not overlap", devices_do_not_overlap },
	{ "wide accesses are split", wide_accesses_are_split },
	{ "the UART sends", uart_sends },
	{ "the UART receives", uart_receives },
	{ "the UART loops back", uart_loops_back },
	{ "the PIT's channel 2 counts", pit_channel_2_counts },
	{ "the PIT latches", pit_latches },
	{ "ways to reset", resets },
	{ "PCI is empty", pci_is_empty },
	{ "the clock goes", the_clock_goes },
	{ 0 }
};
