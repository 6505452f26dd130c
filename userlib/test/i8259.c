// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/i8259.h"
#include "bench.h"

#define MASTER	0x20
#define SLAVE	0xa0
#define EOI	0x20

static struct pic pic;

static void set(unsigned int irq, bool level)
{
	struct irq_line line = pic_line(&pic, irq);

	irq_set(&line, level);
}

static void pulse(unsigned int irq)
{
	set(irq, false);
	set(irq, true);
}

static void start(uint8_t master_icw4, uint8_t slave_icw4)
{
	outb(MASTER, 0x11);
	outb(MASTER + 1, 0x20);
	outb(MASTER + 1, 0x04);
	outb(MASTER + 1, master_icw4);
	outb(SLAVE, 0x11);
	outb(SLAVE + 1, 0x28);
	outb(SLAVE + 1, 0x02);
	outb(SLAVE + 1, slave_icw4);
}

static void begin(void)
{
	bench_begin();
	pic_init(&pic, &bench.ports);
	start(0x01, 0x01);
}

static uint8_t isr(uint16_t port)
{
	outb(port, 0x0b);
	return inb(port);
}

static uint8_t irr(uint16_t port)
{
	outb(port, 0x0a);
	return inb(port);
}

/* Takes what is pending: the vector, or 0. */
static uint8_t take(void)
{
	return pic_pending(&pic) ? pic_acknowledge(&pic) : 0;
}

static void nothing_before_it_is_set_up(void)
{
	bench_begin();
	pic_init(&pic, &bench.ports);
	pulse(0);
	CHECK(!pic_pending(&pic));
	outb(MASTER + 1, 0xfb);
	CHECK_EQUAL(inb(MASTER + 1), 0xfb);
	start(0x01, 0x01);
	CHECK_EQUAL(inb(MASTER + 1), 0);
	CHECK(!pic_pending(&pic));	/* ICW1 forgot the edge */
	pulse(0);
	CHECK_EQUAL(take(), 0x20);
}

static void one_interrupt(void)
{
	begin();
	CHECK(!pic_pending(&pic));
	pulse(3);
	CHECK_EQUAL(irr(MASTER), 0x08);
	CHECK_EQUAL(isr(MASTER), 0);
	CHECK_EQUAL(take(), 0x23);
	CHECK_EQUAL(irr(MASTER), 0);
	CHECK_EQUAL(isr(MASTER), 0x08);
	CHECK(!pic_pending(&pic));	/* the line is up, but that was its edge */
	outb(MASTER, EOI);
	CHECK_EQUAL(isr(MASTER), 0);
	CHECK(!pic_pending(&pic));
	pulse(3);
	CHECK_EQUAL(take(), 0x23);
}

static void priorities(void)
{
	begin();
	pulse(5);
	pulse(3);
	pulse(7);
	CHECK_EQUAL(take(), 0x23);
	CHECK(!pic_pending(&pic));
	pulse(1);			/* higher: nests */
	CHECK_EQUAL(take(), 0x21);
	CHECK_EQUAL(isr(MASTER), 0x0a);
	outb(MASTER, EOI);		/* of the highest */
	CHECK_EQUAL(isr(MASTER), 0x08);
	outb(MASTER, 0x63);		/* specific */
	CHECK_EQUAL(take(), 0x25);
	pulse(3);
	CHECK_EQUAL(take(), 0x23);
	outb(MASTER, 0x65);		/* the lower one, specifically */
	CHECK_EQUAL(isr(MASTER), 0x08);
	outb(MASTER, EOI);
	CHECK_EQUAL(take(), 0x27);
}

static void masks(void)
{
	begin();
	outb(MASTER + 1, 0x08);
	pulse(3);
	CHECK(!pic_pending(&pic));
	CHECK_EQUAL(irr(MASTER), 0x08);
	outb(MASTER + 1, 0);
	CHECK_EQUAL(take(), 0x23);
}

static void the_slave(void)
{
	begin();
	pulse(10);
	CHECK_EQUAL(irr(MASTER), 0x04);
	CHECK_EQUAL(take(), 0x2a);
	CHECK_EQUAL(isr(MASTER), 0x04);
	CHECK_EQUAL(isr(SLAVE), 0x04);
	pulse(12);
	pulse(3);
	CHECK(!pic_pending(&pic));
	pulse(1);
	CHECK_EQUAL(take(), 0x21);
	outb(MASTER, EOI);
	outb(SLAVE, EOI);
	CHECK(!pic_pending(&pic));	/* the master still has its input 2 */
	outb(MASTER, EOI);
	CHECK_EQUAL(take(), 0x2c);	/* before IRQ3 */
	outb(SLAVE, EOI);
	outb(MASTER, EOI);
	CHECK_EQUAL(take(), 0x23);
}

/* In AEOI mode the slave's INT stays wanted: it must come as an edge. */
static void automatic_eoi(void)
{
	begin();
	start(0x03, 0x03);
	pulse(3);
	CHECK_EQUAL(take(), 0x23);
	CHECK_EQUAL(isr(MASTER), 0);
	pulse(9);
	pulse(15);
	CHECK_EQUAL(take(), 0x29);
	CHECK_EQUAL(take(), 0x2f);
	CHECK(!pic_pending(&pic));
}

static void spurious(void)
{
	begin();
	pulse(3);
	set(3, false);
	CHECK(!pic_pending(&pic));
	CHECK_EQUAL(pic_acknowledge(&pic), 0x27);
	CHECK_EQUAL(isr(MASTER), 0);
	/* The slave's request is gone, but the master has taken it. */
	pulse(10);
	pic.slave.lines = 0;
	CHECK_EQUAL(pic_acknowledge(&pic), 0x2f);
	CHECK_EQUAL(isr(MASTER), 0x04);
	CHECK_EQUAL(isr(SLAVE), 0);
}

static void levels(void)
{
	begin();
	outb(0x4d0, 0xff);
	outb(0x4d1, 0xff);
	CHECK_EQUAL(in(0x4d0, 2), 0xdef8);
	set(11, true);
	CHECK_EQUAL(take(), 0x2b);
	outb(SLAVE, EOI);
	outb(MASTER, EOI);
	CHECK_EQUAL(take(), 0x2b);	/* still up */
	set(11, false);
	outb(SLAVE, EOI);
	outb(MASTER, EOI);
	CHECK(!pic_pending(&pic));
	pulse(0);
	CHECK_EQUAL(take(), 0x20);
	outb(MASTER, EOI);
	CHECK(!pic_pending(&pic));
}

static void rotation(void)
{
	begin();
	outb(MASTER, 0xc4);		/* input 4 is the lowest: 5 is the first */
	pulse(0);
	pulse(5);
	CHECK_EQUAL(take(), 0x25);
	outb(MASTER, 0xa0);		/* rotate on non-specific EOI */
	pulse(5);
	pulse(6);
	CHECK_EQUAL(take(), 0x26);
	outb(MASTER, 0xe6);		/* rotate on specific EOI */
	CHECK_EQUAL(take(), 0x20);
	CHECK_EQUAL(pic.master.lowest, 6);
	outb(MASTER, EOI);
	CHECK_EQUAL(take(), 0x25);
}

static void rotation_in_aeoi(void)
{
	begin();
	start(0x03, 0x01);
	outb(MASTER, 0x80);
	pulse(3);
	CHECK_EQUAL(take(), 0x23);
	pulse(3);
	pulse(4);
	CHECK_EQUAL(take(), 0x24);
	CHECK_EQUAL(take(), 0x23);
	outb(MASTER, 0x00);
	pulse(6);
	CHECK_EQUAL(take(), 0x26);
	CHECK_EQUAL(pic.master.lowest, 3);
}

static void special_mask(void)
{
	begin();
	pulse(1);
	CHECK_EQUAL(take(), 0x21);
	outb(MASTER + 1, 0x02);
	pulse(4);
	CHECK(!pic_pending(&pic));
	outb(MASTER, 0x68);
	CHECK_EQUAL(take(), 0x24);
	outb(MASTER, EOI);		/* not of the masked one */
	CHECK_EQUAL(isr(MASTER), 0x02);
	outb(MASTER, 0x48);
	pulse(5);
	CHECK(!pic_pending(&pic));
	outb(MASTER, 0x61);
	CHECK_EQUAL(take(), 0x25);
}

static void special_fully_nested(void)
{
	begin();
	pulse(12);
	CHECK_EQUAL(take(), 0x2c);
	pulse(9);
	CHECK(!pic_pending(&pic));
	begin();
	start(0x11, 0x01);
	pulse(12);
	CHECK_EQUAL(take(), 0x2c);
	pulse(9);
	pulse(13);
	CHECK_EQUAL(take(), 0x29);
	pulse(4);
	CHECK(!pic_pending(&pic));
	CHECK_EQUAL(isr(SLAVE), 0x12);
	outb(SLAVE, EOI);
	outb(SLAVE, EOI);
	CHECK_EQUAL(isr(SLAVE), 0);
	CHECK_EQUAL(take(), 0x2d);
}

static void poll(void)
{
	begin();
	outb(MASTER, 0x0c);
	CHECK_EQUAL(inb(MASTER), 0);
	pulse(6);
	outb(MASTER, 0x0c);
	CHECK_EQUAL(inb(MASTER), 0x86);
	CHECK_EQUAL(isr(MASTER), 0x40);
	CHECK_EQUAL(inb(MASTER + 1), 0);
	pulse(14);
	outb(SLAVE, 0x0c);
	CHECK_EQUAL(inb(SLAVE), 0x86);
	CHECK_EQUAL(irr(MASTER), 0);	/* the slave asks for no more */
}

static unsigned int acknowledged[PIC_IRQS], unmasked[PIC_IRQS];

static void on_acknowledged(void *arg, unsigned int irq)
{
	CHECK(arg == &pic);
	acknowledged[irq]++;
	if (irq == 0)
		pulse(0);
}

static void on_unmasked(void *arg, unsigned int irq)
{
	CHECK(arg == &pic);
	unmasked[irq]++;
}

static void hooks(void)
{
	begin();
	pic.hooks = (struct pic_hooks) {
		.acknowledged = on_acknowledged, .unmasked = on_unmasked,
		.arg = &pic,
	};
	pulse(0);
	CHECK_EQUAL(take(), 0x20);
	CHECK_EQUAL(acknowledged[0], 1);
	CHECK(!pic_pending(&pic));
	outb(MASTER, EOI);
	CHECK(pic_pending(&pic));	/* the hook's */
	pulse(13);
	outb(MASTER + 1, 0x01);
	CHECK_EQUAL(take(), 0x2d);
	CHECK_EQUAL(acknowledged[13], 1);
	CHECK_EQUAL(unmasked[0], 0);
	outb(MASTER + 1, 0x10);
	CHECK_EQUAL(unmasked[0], 1);
	outb(MASTER, 0x11);
	CHECK_EQUAL(unmasked[4], 1);
	CHECK_EQUAL(unmasked[0], 1);
}

static void short_initialisations(void)
{
	begin();
	outb(MASTER, 0x10);		/* ICW3, but no ICW4 */
	outb(MASTER + 1, 0x47);
	outb(MASTER + 1, 0x04);
	outb(MASTER + 1, 0xfe);
	CHECK_EQUAL(inb(MASTER + 1), 0xfe);
	outb(MASTER, 0x12);		/* alone, and no ICW4 */
	outb(MASTER + 1, 0x50);
	outb(MASTER + 1, 0x55);
	CHECK_EQUAL(inb(MASTER + 1), 0x55);
	pulse(1);
	CHECK_EQUAL(take(), 0x51);
}

const struct test tests[] = {
	{ "nothing is requested before it is set up", nothing_before_it_is_set_up },
	{ "an interrupt and its end", one_interrupt },
	{ "priorities, nesting, specific ends", priorities },
	{ "masks", masks },
	{ "the slave", the_slave },
	{ "automatic EOI", automatic_eoi },
	{ "spurious interrupts", spurious },
	{ "level-triggered inputs", levels },
	{ "rotation", rotation },
	{ "rotation in automatic-EOI mode", rotation_in_aeoi },
	{ "special mask mode", special_mask },
	{ "special fully nested mode", special_fully_nested },
	{ "poll", poll },
	{ "who else is told", hooks },
	{ "initialisations with fewer words", short_initialisations },
	{ 0 }
};
