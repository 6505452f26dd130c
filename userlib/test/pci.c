// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/pci.h"
#include "bench.h"

static struct pci pci;
static struct pci_function bridge;

static void begin(void)
{
	bench_begin();
	pci_init(&pci, &bench.ports, bench_call, &bench);
}

static void empty(void)
{
	begin();
	out(0xcf8, 0x80000000, 4);
	CHECK_EQUAL(in(0xcf8, 4), 0x80000000);
	CHECK_EQUAL(in(0xcfc, 4), 0xffffffff);
	CHECK_EQUAL(in(0xcfe, 2), 0xffff);
	out(0xcfc, 0, 4);
}

static void the_address(void)
{
	begin();
	out(0xcf8, 0xffffffff, 4);
	CHECK_EQUAL(in(0xcf8, 4), 0x80fffffc);
	out(0xcf8, 0, 2);			/* not its registers */
	outb(0xcfb, 1);
	CHECK_EQUAL(in(0xcf8, 4), 0x80fffffc);
	CHECK_EQUAL(in(0xcf8, 2), 0xffff);
}

static void the_host_bridge(void)
{
	begin();
	pci_init_host_bridge(&bridge);
	CHECK_EQUAL(pci_add(&pci, &bridge), 0);
	CHECK_EQUAL(pci_add(&pci, &bridge), -EEXIST);
	out(0xcf8, 0x80000000, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0x12378086);
	CHECK_EQUAL(in(0xcfe, 2), 0x1237);
	out(0xcfc, 0, 4);
	CHECK_EQUAL(in(0xcfc, 2), 0x8086);
	out(0xcf8, 0x80000008, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0x06000002);
	out(0xcf8, 0x8000002c, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0x11001af4);
	out(0xcf8, 0x00000000, 4);		/* not enabled */
	CHECK_EQUAL(in(0xcfc, 4), 0xffffffff);
	out(0xcf8, 0x80000100, 4);		/* another function */
	CHECK_EQUAL(in(0xcfc, 4), 0xffffffff);
	out(0xcf8, 0x80010000, 4);		/* another bus */
	CHECK_EQUAL(in(0xcfc, 4), 0xffffffff);
}

/* SeaBIOS writes these; that of F0000H must read as RAM, or it runs elsewhere. */
static void memory_attributes(void)
{
	begin();
	pci_init_host_bridge(&bridge);
	pci_add(&pci, &bridge);
	out(0xcf8, 0x80000058, 4);
	CHECK_EQUAL(in(0xcfd, 1), 0x30);
	out(0xcfc, 0x11111011, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0x11111000);
	out(0xcf8, 0x800000fc, 4);
	out(0xcfc, 0x12345678, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0);
}

/* The pin is wired; the line is a note of the system's to itself. */
static void an_interrupt(void)
{
	struct pci_function function = { .slot = 3 << 3 };

	begin();
	pci_set_interrupt_pin(&function, 2);
	pci_add(&pci, &function);
	out(0xcf8, 0x8000183c, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0x000002ff);
	out(0xcfc, 0xffffff11, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0x00000211);
}

static void reset(void)
{
	begin();
	outb(0xcf9, 0x02);
	CHECK_EQUAL(bench.calls, 0);
	CHECK_EQUAL(inb(0xcf9), 0x02);
	outb(0xcf9, 0x06);
	CHECK_EQUAL(bench.calls, 1);
	outb(0xcf9, 0x06);			/* an edge */
	CHECK_EQUAL(bench.calls, 1);
	outb(0xcf9, 0x00);
	outb(0xcf9, 0x04);
	CHECK_EQUAL(bench.calls, 2);
}

const struct test tests[] = {
	{ "an empty bus", empty },
	{ "the address register", the_address },
	{ "the host bridge", the_host_bridge },
	{ "memory attributes", memory_attributes },
	{ "an interrupt", an_interrupt },
	{ "reset", reset },
	{ 0 }
};
