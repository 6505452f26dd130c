// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/i8042.h"
#include "bench.h"

#define DATA	0x60
#define COMMAND	0x64

static struct i8042 i8042;

static void begin(void)
{
	bench_begin();
	i8042_init(&i8042, &bench.ports, bench_line(1), bench_call, &bench);
}

/* The answer to a command, which is there at once. */
static uint8_t ask(uint8_t command)
{
	outb(COMMAND, command);
	CHECK(inb(COMMAND) & 0x01);
	return inb(DATA);
}

static void status(void)
{
	begin();
	CHECK_EQUAL(inb(COMMAND), 0x14);
	outb(COMMAND, 0xad);
	CHECK_EQUAL(inb(COMMAND), 0x1c);
	outb(COMMAND, 0xaa);
	CHECK_EQUAL(inb(COMMAND), 0x1d);
	CHECK_EQUAL(inb(DATA), 0x55);
	CHECK_EQUAL(inb(COMMAND), 0x1c);
	CHECK_EQUAL(inb(DATA), 0x55);		/* the buffer keeps it */
}

static void command_byte(void)
{
	begin();
	CHECK_EQUAL(ask(0x20), 0x54);
	outb(COMMAND, 0x60);
	outb(DATA, 0x47);
	CHECK_EQUAL(ask(0x20), 0x47);
	outb(COMMAND, 0xad);
	CHECK_EQUAL(ask(0x20), 0x57);
	outb(COMMAND, 0xae);
	CHECK_EQUAL(ask(0x20), 0x47);
	outb(COMMAND, 0x60);
	outb(DATA, 0x43);
	CHECK_EQUAL(inb(COMMAND) & 0x04, 0);
	outb(COMMAND, 0x7f);
	outb(DATA, 0x99);
	CHECK_EQUAL(ask(0x3f), 0x99);
	CHECK_EQUAL(ask(0x20), 0x43);
}

static void tests_of_its_own(void)
{
	begin();
	CHECK_EQUAL(ask(0xaa), 0x55);
	CHECK_EQUAL(ask(0xab), 0x00);
	CHECK_EQUAL(ask(0xa9), 0x01);		/* no port for a mouse */
	CHECK_EQUAL(ask(0xc0), 0x80);
}

static void nobody_takes_a_byte(void)
{
	begin();
	outb(DATA, 0xff);			/* reset, to a keyboard */
	CHECK_EQUAL(inb(COMMAND), 0x55);
	CHECK_EQUAL(inb(DATA), 0xfe);
	CHECK_EQUAL(inb(COMMAND), 0x14);
	outb(COMMAND, 0xd4);
	CHECK_EQUAL(inb(COMMAND) & 0x01, 0);
	outb(DATA, 0xff);			/* and to a mouse */
	CHECK_EQUAL(inb(COMMAND), 0x55);
	CHECK_EQUAL(inb(DATA), 0xfe);
	outb(COMMAND, 0xd3);
	outb(DATA, 0x5a);
	CHECK_EQUAL(inb(COMMAND) & 0x21, 0x01);	/* not from a mouse's port */
	CHECK_EQUAL(inb(DATA), 0x5a);
}

static void interrupts(void)
{
	begin();
	outb(COMMAND, 0xd2);
	outb(DATA, 0x1c);
	CHECK(!bench.lines[1]);
	outb(COMMAND, 0x60);
	outb(DATA, 0x45);
	CHECK(bench.lines[1]);
	CHECK_EQUAL(inb(DATA), 0x1c);
	CHECK(!bench.lines[1]);
	outb(COMMAND, 0xd2);
	outb(DATA, 0x1c);
	outb(COMMAND, 0xd2);
	outb(DATA, 0x9c);
	CHECK_EQUAL(bench.rises[1], 3);
}

static void output_port(void)
{
	begin();
	CHECK_EQUAL(ask(0xd0), 0xc3);
	CHECK_EQUAL(inb(0x92), 0x02);
	outb(COMMAND, 0xd1);
	outb(DATA, 0xdd);
	CHECK_EQUAL(ask(0xd0), 0xc1);
	CHECK_EQUAL(inb(0x92), 0x00);
	outb(0x92, 0x02);
	CHECK_EQUAL(ask(0xd0), 0xc3);
	CHECK_EQUAL(bench.calls, 0);
}

static void resets(void)
{
	begin();
	outb(COMMAND, 0xff);
	outb(COMMAND, 0xfd);
	CHECK_EQUAL(bench.calls, 0);
	outb(COMMAND, 0xfe);
	CHECK_EQUAL(bench.calls, 1);
	outb(COMMAND, 0xf0);
	CHECK_EQUAL(bench.calls, 2);
	outb(COMMAND, 0xd1);
	outb(DATA, 0xfe);
	CHECK_EQUAL(bench.calls, 3);
	outb(0x92, 0x03);
	CHECK_EQUAL(bench.calls, 4);
}

const struct test tests[] = {
	{ "status", status },
	{ "the command byte, its memory", command_byte },
	{ "its tests", tests_of_its_own },
	{ "no keyboard, no mouse", nobody_takes_a_byte },
	{ "IRQ1", interrupts },
	{ "address line 20", output_port },
	{ "ways to reset", resets },
	{ 0 }
};
