// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After the IBM Personal System/2 Technical Reference, "Keyboard/Auxiliary Device
 * Controller", as far as it can be seen without a device.
 */
#include <string.h>

#include "i8042.h"

#define PORT_DATA	0x60
#define PORT_COMMAND	0x64
#define PORT92		0x92

#define STATUS_OBF	0x01	/* output buffer full */
#define STATUS_SYS	0x04	/* the self-test went well */
#define STATUS_COMMAND	0x08	/* the last write was to port 64H */
#define STATUS_UNLOCKED	0x10
#define STATUS_AUX	0x20	/* the output buffer is the mouse's */
#define STATUS_TIMEOUT	0x40

#define BYTE_INTERRUPT	0x01	/* the command byte's bits */
#define BYTE_SYS	0x04
#define BYTE_DISABLE	0x10
#define BYTE_TRANSLATE	0x40

#define READ_RAM	0x20	/* to 3FH */
#define WRITE_RAM	0x60	/* to 7FH */
#define RAM_COMMANDS	0xe0	/* which bits tell the two */
#define TEST_AUX	0xa9
#define SELF_TEST	0xaa
#define TEST_KEYBOARD	0xab
#define DISABLE		0xad
#define ENABLE		0xae
#define READ_INPUT	0xc0
#define READ_OUTPUT	0xd0
#define WRITE_OUTPUT	0xd1
#define WRITE_BUFFER	0xd2
#define WRITE_AUX_BUFFER	0xd3
#define WRITE_AUX	0xd4
#define PULSE		0xf0	/* to FFH: bits 0 to 3 that are 0 are pulsed */

#define SELF_TEST_GOOD	0x55
#define TEST_GOOD	0x00
#define TEST_CLOCK_LOW	0x01	/* of an interface with nothing behind it */
#define NOBODY		0xfe	/* resend: nobody took the byte */
#define INPUT_UNLOCKED	0x80

#define OUTPUT_RUNS	0x01	/* 0: the CPU is reset */
#define OUTPUT_A20	0x02
#define OUTPUT_OBF	0x10
#define OUTPUT_IDLE	0xc0	/* clock and data of the keyboard */

#define PORT92_RESET	0x01
#define PORT92_A20	0x02

static void update_irq(struct i8042 *i8042)
{
	bool full = i8042->status & STATUS_OBF;

	irq_set(&i8042->irq, full && i8042->ram[0] & BYTE_INTERRUPT);
}

/* Fills the output buffer; @flags are the status bits that tell of it. */
static void answer(struct i8042 *i8042, uint8_t value, uint8_t flags)
{
	i8042->output = value;
	i8042->status &= ~(STATUS_AUX | STATUS_TIMEOUT);
	i8042->status |= STATUS_OBF | flags;
	/* One more answer is one more edge. */
	irq_set(&i8042->irq, false);
}

static uint8_t output_port(const struct i8042 *i8042)
{
	uint8_t value = OUTPUT_RUNS | OUTPUT_IDLE;

	if (i8042->a20)
		value |= OUTPUT_A20;
	if (i8042->status & STATUS_OBF)
		value |= OUTPUT_OBF;
	return value;
}

static void write_output_port(struct i8042 *i8042, uint8_t value)
{
	i8042->a20 = value & OUTPUT_A20;
	if (!(value & OUTPUT_RUNS))
		i8042->reset(i8042->arg);
}

static void write_ram(struct i8042 *i8042, uint8_t index, uint8_t value)
{
	i8042->ram[index] = value;
	if (index)
		return;
	i8042->status &= ~STATUS_SYS;
	if (value & BYTE_SYS)
		i8042->status |= STATUS_SYS;
}

/* --- commands --- */

static void self_test(struct i8042 *i8042)
{
	write_ram(i8042, 0, BYTE_TRANSLATE | BYTE_DISABLE | BYTE_SYS);
	answer(i8042, SELF_TEST_GOOD, 0);
}

/* Those that have no answer here are those about a mouse's port. */
static void do_command(struct i8042 *i8042, uint8_t command)
{
	switch (command) {
	case TEST_AUX:
		answer(i8042, TEST_CLOCK_LOW, 0);
		break;
	case SELF_TEST:
		self_test(i8042);
		break;
	case TEST_KEYBOARD:
		answer(i8042, TEST_GOOD, 0);
		break;
	case DISABLE:
		i8042->ram[0] |= BYTE_DISABLE;
		break;
	case ENABLE:
		i8042->ram[0] &= ~BYTE_DISABLE;
		break;
	case READ_INPUT:
		answer(i8042, INPUT_UNLOCKED, 0);
		break;
	case READ_OUTPUT:
		answer(i8042, output_port(i8042), 0);
		break;
	}
}

static bool takes_byte(uint8_t command)
{
	return (command & RAM_COMMANDS) == WRITE_RAM ||
	       (command >= WRITE_OUTPUT && command <= WRITE_AUX);
}

static void write_command(struct i8042 *i8042, uint8_t command)
{
	i8042->status |= STATUS_COMMAND;
	i8042->pending = takes_byte(command) ? command : 0;
	if ((command & RAM_COMMANDS) == READ_RAM)
		answer(i8042, i8042->ram[command % I8042_RAM], 0);
	else if (command >= PULSE && !(command & OUTPUT_RUNS))
		i8042->reset(i8042->arg);
	else
		do_command(i8042, command);
}

static void write_data(struct i8042 *i8042, uint8_t value)
{
	uint8_t command = i8042->pending;

	i8042->status &= ~STATUS_COMMAND;
	i8042->pending = 0;
	if ((command & RAM_COMMANDS) == WRITE_RAM)
		write_ram(i8042, command % I8042_RAM, value);
	else if (command == WRITE_OUTPUT)
		write_output_port(i8042, value);
	else if (command == WRITE_BUFFER || command == WRITE_AUX_BUFFER)
		answer(i8042, value, 0);
	else
		answer(i8042, NOBODY, STATUS_TIMEOUT);
}

/* --- ports --- */

static uint8_t read_data(struct i8042 *i8042)
{
	i8042->status &= ~(STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT);
	return i8042->output;
}

static void access_data(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct i8042 *i8042 = bus_owner(device, struct i8042, data);
	uint8_t *value = data;

	(void)offset;
	(void)bytes;
	if (write)
		write_data(i8042, *value);
	else
		*value = read_data(i8042);
	update_irq(i8042);
}

static void access_command(struct bus_device *device, uint64_t offset,
			   void *data, unsigned int bytes, bool write)
{
	struct i8042 *i8042 = bus_owner(device, struct i8042, command);
	uint8_t *value = data;

	(void)offset;
	(void)bytes;
	if (write)
		write_command(i8042, *value);
	else
		*value = i8042->status;
	update_irq(i8042);
}

static void access_port92(struct bus_device *device, uint64_t offset,
			  void *data, unsigned int bytes, bool write)
{
	struct i8042 *i8042 = bus_owner(device, struct i8042, port92);
	uint8_t *value = data;

	(void)offset;
	(void)bytes;
	if (!write) {
		*value = i8042->a20 ? PORT92_A20 : 0;
		return;
	}
	i8042->a20 = *value & PORT92_A20;
	if (*value & PORT92_RESET)
		i8042->reset(i8042->arg);
}

static void add(struct bus *ports, struct bus_device *device, const char *name,
		uint16_t port, bus_access_fn access)
{
	*device = (struct bus_device) {
		.name = name, .first = port, .count = 1, .width = 1,
		.access = access,
	};
	bus_add(ports, device);
}

void i8042_init(struct i8042 *i8042, struct bus *ports, struct irq_line irq,
		void (*reset)(void *arg), void *arg)
{
	memset(i8042, 0, sizeof(*i8042));
	i8042->irq = irq;
	i8042->reset = reset;
	i8042->arg = arg;
	i8042->a20 = true;
	i8042->status = STATUS_UNLOCKED;
	write_ram(i8042, 0, BYTE_TRANSLATE | BYTE_DISABLE | BYTE_SYS);
	add(ports, &i8042->data, "8042 data", PORT_DATA, access_data);
	add(ports, &i8042->command, "8042", PORT_COMMAND, access_command);
	add(ports, &i8042->port92, "port 92H", PORT92, access_port92);
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED(struct i8042, ram),
	SAVED(struct i8042, status),
	SAVED(struct i8042, output),
	SAVED(struct i8042, pending),
	SAVED_BOOL(struct i8042, a20),
};

const struct saved_device i8042_saved = SAVED_DEVICE("8042", 1, members, NULL);
