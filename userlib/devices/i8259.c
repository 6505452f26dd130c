// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Register by register after the data sheet of the 8259A. Not there are the modes
 * for the MCS-80/85, and level-triggering for all inputs at once (ICW1's LTIM):
 * chip sets have ELCR in its place.
 */
#include <string.h>

#include "i8259.h"

#define MASTER_PORT	0x20
#define SLAVE_PORT	0xa0
#define ELCR_PORT	0x4d0
#define INPUTS		8
#define CASCADE		2	/* the master's input that the slave is on */
#define SPURIOUS	7
/* The timer, the keyboard, the cascade; the clock, the coprocessor: edges only. */
#define MASTER_LEVELS	0xf8
#define SLAVE_LEVELS	0xde

/* Port 0, by bits 4 and 3. */
#define ICW1		0x10
#define OCW3		0x08

#define ICW1_IC4	0x01
#define ICW1_SNGL	0x02
#define ICW2_VECTOR	0xf8
#define ICW4_AEOI	0x02
#define ICW4_SFNM	0x10

#define OCW2_LEVEL	0x07
#define OCW2_EOI	0x20
#define OCW2_SL		0x40
#define OCW2_R		0x80

#define OCW3_RIS	0x01
#define OCW3_RR		0x02
#define OCW3_P		0x04
#define OCW3_SMM	0x20
#define OCW3_ESMM	0x40

#define POLL_INTERRUPT	0x80

static uint8_t irr(const struct i8259 *chip)
{
	return chip->lines & (chip->edges | chip->elcr);
}

/*
 * The input that is first in priority among @inputs, or -1. Ones that are in
 * service hold back themselves and those below.
 */
static int first(const struct i8259 *chip, uint8_t inputs, uint8_t holding)
{
	for (int i = 1; i <= INPUTS; i++) {
		int level = (chip->lowest + i) % INPUTS;

		if (inputs >> level & 1)
			return level;
		if (holding >> level & 1)
			return -1;
	}
	return -1;
}

/* In special mask mode the mask takes away an input's hold on the others. */
static uint8_t holding(const struct i8259 *chip)
{
	return chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
}

/*
 * The input that requests an interrupt, or -1. In special fully nested mode the
 * slave may have another one while one of its is in service.
 */
static int requested(const struct i8259 *chip)
{
	uint8_t inputs = irr(chip) & ~chip->imr;
	uint8_t hold = holding(chip);

	if (!chip->ready)
		return -1;
	if (chip->slave || !(chip->icw4 & ICW4_SFNM))
		inputs &= ~hold;
	else
		inputs &= ~hold | 1 << CASCADE;
	return first(chip, inputs, hold);
}

static void set_line(struct i8259 *chip, unsigned int input, bool level)
{
	uint8_t bit = 1 << input;

	if (!level) {
		chip->lines &= ~bit;
		chip->edges &= ~bit;
	} else if (!(chip->lines & bit)) {
		chip->lines |= bit;
		chip->edges |= bit;
	}
}

/* The slave's INT is the master's input 2. */
static void cascade(struct pic *pic)
{
	set_line(&pic->master, CASCADE, requested(&pic->slave) >= 0);
}

static struct i8259 *chip_of(struct pic *pic, unsigned int irq)
{
	return irq < INPUTS ? &pic->master : &pic->slave;
}

static void pic_set(void *arg, unsigned int irq, bool level)
{
	struct pic *pic = arg;

	set_line(chip_of(pic, irq), irq % INPUTS, level);
	cascade(pic);
}

static bool pic_waits(void *arg, unsigned int irq)
{
	return irr(chip_of(arg, irq)) >> irq % INPUTS & 1;
}

void pic_set_level_triggered(struct pic *pic, unsigned int irq)
{
	chip_of(pic, irq)->elcr |= 1 << irq % INPUTS;
}

struct irq_line pic_line(struct pic *pic, unsigned int irq)
{
	return (struct irq_line) {
		.set = pic_set, .waits = pic_waits, .arg = pic, .irq = irq,
	};
}

bool pic_pending(const struct pic *pic)
{
	return requested(&pic->master) >= 0;
}

static void tell(struct pic *pic, void (*hook)(void *arg, unsigned int irq),
		 const struct i8259 *chip, unsigned int input)
{
	if (hook)
		hook(pic->hooks.arg, input + (chip->slave ? INPUTS : 0));
}

/* What an INTA pulse or a poll does in one chip. -1: spurious. */
static int acknowledge(struct i8259 *chip)
{
	int input = requested(chip);

	if (input < 0)
		return -1;
	chip->edges &= ~(1 << input);
	if (!(chip->icw4 & ICW4_AEOI))
		chip->isr |= 1 << input;
	else if (chip->rotates)
		chip->lowest = input;
	/* INT goes low, so that one more request is one more edge. */
	if (chip->slave)
		set_line(&chip->pic->master, CASCADE, false);
	cascade(chip->pic);
	tell(chip->pic, chip->pic->hooks.acknowledged, chip, input);
	return input;
}

static uint8_t vector(const struct i8259 *chip, int input)
{
	return chip->icw2 | (input < 0 ? SPURIOUS : input);
}

uint8_t pic_acknowledge(struct pic *pic)
{
	int input = acknowledge(&pic->master);

	if (input != CASCADE)
		return vector(&pic->master, input);
	return vector(&pic->slave, acknowledge(&pic->slave));
}

/* --- what the guest writes --- */

/* The inputs are told of while they are still masked. */
static void write_ocw1(struct i8259 *chip, uint8_t value)
{
	uint8_t unmasked = chip->imr & ~value;

	for (unsigned int i = 0; i < INPUTS; i++)
		if (unmasked >> i & 1)
			tell(chip->pic, chip->pic->hooks.unmasked, chip, i);
	chip->imr = value;
}

static void write_icw1(struct i8259 *chip, uint8_t value)
{
	write_ocw1(chip, 0);
	chip->edges = 0;
	chip->isr = 0;
	chip->icw4 = 0;
	chip->lowest = INPUTS - 1;
	chip->rotates = false;
	chip->special_mask = false;
	chip->reads_isr = false;
	chip->poll = false;
	chip->ready = false;
	chip->single = value & ICW1_SNGL;
	chip->has_icw4 = value & ICW1_IC4;
	chip->expected = 2;
}

static void end_icws(struct i8259 *chip)
{
	chip->expected = 0;
	chip->ready = true;
}

/* ICW3 tells of the cascade, which is wired. */
static void write_icw(struct i8259 *chip, uint8_t value)
{
	switch (chip->expected) {
	case 2:
		chip->icw2 = value & ICW2_VECTOR;
		chip->expected = chip->single ? 4 : 3;
		break;
	case 3:
		chip->expected = 4;
		break;
	case 4:
		chip->icw4 = value;
		end_icws(chip);
		return;
	}
	if (chip->expected == 4 && !chip->has_icw4)
		end_icws(chip);
}

/* The input that an EOI is about, or -1. */
static int ended(const struct i8259 *chip, uint8_t value)
{
	if (value & OCW2_SL)
		return value & OCW2_LEVEL;
	return first(chip, holding(chip), 0);
}

static void end_interrupt(struct i8259 *chip, uint8_t value)
{
	int input = ended(chip, value);

	if (input < 0)
		return;
	chip->isr &= ~(1 << input);
	if (value & OCW2_R)
		chip->lowest = input;
}

static void write_ocw2(struct i8259 *chip, uint8_t value)
{
	if (value & OCW2_EOI)
		end_interrupt(chip, value);
	else if (!(value & OCW2_SL))
		chip->rotates = value & OCW2_R;
	else if (value & OCW2_R)
		chip->lowest = value & OCW2_LEVEL;
}

static void write_ocw3(struct i8259 *chip, uint8_t value)
{
	if (value & OCW3_ESMM)
		chip->special_mask = value & OCW3_SMM;
	if (value & OCW3_P)
		chip->poll = true;
	else if (value & OCW3_RR)
		chip->reads_isr = value & OCW3_RIS;
}

static void write_command(struct i8259 *chip, uint8_t value)
{
	if (value & ICW1)
		write_icw1(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
}

static void write_port(struct i8259 *chip, uint64_t offset, uint8_t value)
{
	if (offset == 0)
		write_command(chip, value);
	else if (chip->expected)
		write_icw(chip, value);
	else
		write_ocw1(chip, value);
	cascade(chip->pic);
}

/* --- what it reads --- */

static uint8_t read_poll(struct i8259 *chip)
{
	int input = acknowledge(chip);

	chip->poll = false;
	return input < 0 ? 0 : POLL_INTERRUPT | input;
}

static uint8_t read_port(struct i8259 *chip, uint64_t offset)
{
	if (chip->poll)
		return read_poll(chip);
	if (offset == 1)
		return chip->imr;
	return chip->reads_isr ? chip->isr : irr(chip);
}

static void access_chip(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct i8259 *chip = bus_owner(device, struct i8259, bus);
	uint8_t *value = data;

	(void)bytes;
	if (write)
		write_port(chip, offset, *value);
	else
		*value = read_port(chip, offset);
}

static void access_elcr(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct i8259 *chip = bus_owner(device, struct i8259, elcr_bus);
	uint8_t *value = data;

	(void)offset;
	(void)bytes;
	if (!write) {
		*value = chip->elcr;
		return;
	}
	chip->elcr = *value & (chip->slave ? SLAVE_LEVELS : MASTER_LEVELS);
	cascade(chip->pic);
}

static void init_chip(struct pic *pic, struct i8259 *chip, struct bus *ports)
{
	chip->pic = pic;
	chip->slave = chip == &pic->slave;
	chip->lowest = INPUTS - 1;
	chip->bus = (struct bus_device) {
		.name = chip->slave ? "8259A (slave)" : "8259A (master)",
		.first = chip->slave ? SLAVE_PORT : MASTER_PORT,
		.count = 2, .width = 1, .access = access_chip,
	};
	chip->elcr_bus = (struct bus_device) {
		.name = "ELCR", .first = ELCR_PORT + chip->slave,
		.count = 1, .width = 1, .access = access_elcr,
	};
	bus_add(ports, &chip->bus);
	bus_add(ports, &chip->elcr_bus);
}

void pic_init(struct pic *pic, struct bus *ports)
{
	memset(pic, 0, sizeof(*pic));
	init_chip(pic, &pic->master, ports);
	init_chip(pic, &pic->slave, ports);
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED(struct i8259, lines),
	SAVED(struct i8259, edges),
	SAVED(struct i8259, isr),
	SAVED(struct i8259, imr),
	SAVED(struct i8259, elcr),
	SAVED(struct i8259, icw2),
	SAVED(struct i8259, icw4),
	SAVED_UP_TO(struct i8259, expected, 4),
	SAVED_BOOL(struct i8259, ready),
	SAVED_BOOL(struct i8259, single),
	SAVED_BOOL(struct i8259, has_icw4),
	SAVED_UP_TO(struct i8259, lowest, 7),
	SAVED_BOOL(struct i8259, rotates),
	SAVED_BOOL(struct i8259, special_mask),
	SAVED_BOOL(struct i8259, reads_isr),
	SAVED_BOOL(struct i8259, poll),
};

const struct saved_device i8259_saved = SAVED_DEVICE("8259", 1, members, NULL);
