// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The devices' state as bytes: a PC that it was loaded into is from then on the same as the
 * one that it is of, whatever a guest does with both.
 */
#include <stdlib.h>

#include "../devices/pc.h"
#include "test.h"

#define STEPS		3000
#define SECOND		1000000000ULL
/* A serial port's state is a little more. */
#define QUEUE_EVERY	65700

static uint64_t now_ns;

static uint64_t tell_now(struct clock *clock)
{
	(void)clock;
	return now_ns;
}

static struct clock pc_clock = { .now_ns = tell_now, .date_ns = tell_now };

struct machine {
	struct pc pc;
	struct bus ports;
	struct bus memory;
	uint64_t sent;		/* of all output, in its order */
};

static void send_serial(void *arg, const uint8_t *bytes, size_t count)
{
	struct machine *machine = arg;

	while (count--)
		machine->sent = machine->sent * 31 + *bytes++;
}

static void send_message(void *arg, uint64_t address, uint32_t data, bool level)
{
	struct machine *machine = arg;

	machine->sent = machine->sent * 31 + address + data * 7 + level;
}

static struct machine *make_with(uart_send_fn pci_serial)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	struct pc_config config = {
		.low_memory = 64 << 20, .clock = &pc_clock, .serial_send = send_serial,
		.message_send = send_message, .cpus = 2, .arg = machine, .host_bridge = true,
		.pci_serial_send = pci_serial,
	};

	pc_init(&machine->pc, &machine->ports, &machine->memory, &config);
	return machine;
}

static struct machine *make(void)
{
	return make_with(send_serial);
}

static uint8_t *save_of(const struct machine *machine)
{
	uint8_t *bytes = malloc(pc_saved_bytes(&machine->pc));

	pc_save(&machine->pc, bytes);
	return bytes;
}

static bool same(const struct machine *a, const struct machine *b)
{
	uint8_t *x = save_of(a), *y = save_of(b);
	bool equal = !memcmp(x, y, pc_saved_bytes(&a->pc)) && a->sent == b->sent &&
		     pc_next_ns(&a->pc) == pc_next_ns(&b->pc) &&
		     pc_interrupt_pending(&a->pc) == pc_interrupt_pending(&b->pc);

	free(x);
	free(y);
	return equal;
}

/* --- what a guest does --- */

static const uint16_t ports[] = {
	0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71,
	0x92, 0x3d4, 0x3d5, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0xcf8, 0xcfc,
	0x600, 0x604, 0x608, 0xc000, 0xc001, 0xc002, 0xc003, 0xc004, 0xc005, 0xc006, 0xc007,
	0xc801, 0xc803, 0xc805,
};

/* Registers of the serial port on PCI. */
static const uint8_t pci_registers[] = { 0x04, 0x10, 0x3c, 0x50, 0x54, 0x58, 0x5c, 0x60 };

struct step {
	unsigned int what;
	uint64_t address;
	uint64_t value;
	unsigned int bytes;
	bool write;
};

static struct step random_step(void)
{
	uint64_t random = test_random();
	struct step step = {
		.what = random % 16, .value = test_random(), .write = random >> 8 & 1,
		.bytes = random >> 9 & 1 ? 1 : random >> 10 & 1 ? 2 : 4,
	};

	if (step.what < 10)
		step.address = ports[(random >> 16) % (sizeof(ports) / sizeof(*ports))];
	else if (step.what == 10)
		step.address = pci_registers[(random >> 16) % sizeof(pci_registers)];
	else if (step.what < 12)
		step.address = HPET_BASE + (random >> 16) % 0x160 / 4 * 4;
	else
		step.address = IOAPIC_BASE + (random >> 16 & 1) * 16;
	return step;
}

/* BAR 0 has one of two places, and mostly answers there. */
static uint64_t access_pci(struct machine *machine, const struct step *step)
{
	uint32_t address = 0x80000000U | PC_PCI_SERIAL << 11 | step->address;
	uint64_t value = step->value;

	if (step->address == 0x10)
		value = value & 1 ? 0xc801 : 0xc001;
	else if (step->address == 0x04)
		value |= value >> 1 | value >> 2;
	bus_access(&machine->ports, 0xcf8, &address, sizeof(address), true);
	bus_access(&machine->ports, 0xcfc, &value, 4, step->write);
	return step->write ? 0 : value;
}

/* What a guest sees of it. */
static uint64_t take(struct machine *machine, const struct step *step)
{
	uint64_t value = step->value;
	uint8_t input = value;

	pc_advance(&machine->pc);
	if (step->what == 15)
		return pc_receive(&machine->pc, &input, 1);
	if (step->what == 14)
		return pc_interrupt_pending(&machine->pc) ? pc_acknowledge(&machine->pc) : 0;
	if (step->what == 10)
		return access_pci(machine, step);
	bus_access(step->what < 10 ? &machine->ports : &machine->memory, step->address, &value,
		   step->what < 10 ? step->bytes : 4, step->write);
	return step->write ? 0 : value;
}

static void run(struct machine *a, struct machine *b)
{
	for (unsigned int i = 0; i < STEPS; i++) {
		struct step step = random_step();
		uint64_t seen = take(a, &step);

		test_case("step %u: %#llx", i, (unsigned long long)step.address);
		if (b)
			CHECK_EQUAL(take(b, &step), seen);
		now_ns += test_random() % (SECOND / 1000);
	}
}

static void test_goes_on(void)
{
	for (unsigned int round = 0; round < 20; round++) {
		struct machine *a = make(), *b;
		const char *name;
		uint8_t *bytes;

		run(a, NULL);
		bytes = save_of(a);
		now_ns += SECOND;
		b = make();
		now_ns -= SECOND;
		CHECK(pc_load(&b->pc, bytes, pc_saved_bytes(&a->pc), &name));
		b->sent = a->sent;
		CHECK(same(a, b));
		run(a, b);
		CHECK(same(a, b));
		free(bytes);
		free(a);
		free(b);
	}
}

#define MSI_AT		0x50
#define MSI_ENABLE	(1U << 16)
#define STATUS_INTERRUPT	((uint32_t)PCI_STATUS_INTERRUPT << 16)

static void write_pci(struct machine *machine, unsigned int at, uint32_t value)
{
	const struct step step = { .address = at, .value = value, .write = true };

	access_pci(machine, &step);
}

static uint32_t read_status(struct machine *machine)
{
	const struct step step = { .address = PCI_COMMAND };

	return access_pci(machine, &step);
}

/* The transmitter is empty. */
static void ask_for_interrupt(struct machine *machine)
{
	uint8_t ier = 0x02, mcr = 0x08;

	bus_access(&machine->ports, PC_PCI_PORTS + 1, &ier, 1, true);
	bus_access(&machine->ports, PC_PCI_PORTS + 4, &mcr, 1, true);
}

static struct machine *loaded_from(const struct machine *machine)
{
	uint8_t *bytes = save_of(machine);
	struct machine *other = make();
	const char *name;

	CHECK(pc_load(&other->pc, bytes, pc_saved_bytes(&machine->pc), &name));
	free(bytes);
	return other;
}

static bool any_pci_line(const struct machine *machine)
{
	uint32_t any = 0;

	for (unsigned int i = 0; i < PC_PCI_WIRES; i++)
		any |= machine->pc.pci_lines[i];
	return any;
}

/* An interrupt that the port on PCI asks for it still asks for, let out or not. */
static void test_pci_interrupt(void)
{
	struct machine *a = make(), *b;

	ask_for_interrupt(a);
	CHECK(any_pci_line(a));
	b = loaded_from(a);
	CHECK(any_pci_line(b));
	write_pci(b, PCI_COMMAND, PCI_COMMAND_PORTS | PCI_COMMAND_NO_INTX);
	CHECK(!any_pci_line(b));
	CHECK(read_status(b) & STATUS_INTERRUPT);
	write_pci(b, PCI_COMMAND, PCI_COMMAND_PORTS);
	CHECK(any_pci_line(b));
	free(a);
	free(b);
}

/* ... and a message that was sent is not sent again. */
static void test_pci_message(void)
{
	struct machine *a = make(), *b;

	write_pci(a, PCI_COMMAND, PCI_COMMAND_PORTS | PCI_COMMAND_MASTER);
	write_pci(a, MSI_AT + 4, 0xfee00000);
	write_pci(a, MSI_AT, MSI_ENABLE);
	ask_for_interrupt(a);
	CHECK(a->sent && !any_pci_line(a));
	b = loaded_from(a);
	write_pci(b, PCI_COMMAND, PCI_COMMAND_PORTS | PCI_COMMAND_MASTER);
	CHECK(!b->sent && !any_pci_line(b));
	free(a);
	free(b);
}

/* --- bytes that are not as they should be --- */

/* All or nothing; and what is taken does no harm. */
static void check_changed(uint8_t *bytes, size_t at, uint8_t mask)
{
	struct machine *machine = make();
	uint8_t *before = save_of(machine), *after;
	const char *name;

	bytes[at] ^= mask;
	if (pc_load(&machine->pc, bytes, pc_saved_bytes(&machine->pc), &name)) {
		for (unsigned int i = 0; i < 60; i++) {
			struct step step = random_step();

			take(machine, &step);
			now_ns += SECOND / 7;
		}
	} else {
		after = save_of(machine);
		CHECK(*name && !memcmp(before, after, pc_saved_bytes(&machine->pc)));
		free(after);
	}
	bytes[at] ^= mask;
	free(before);
	free(machine);
}

static void test_changed(void)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff };
	struct machine *machine = make();
	uint8_t *bytes;

	run(machine, NULL);
	bytes = save_of(machine);
	/* The serial ports' queues are 64 KiB of anything. */
	for (size_t at = 0; at < pc_saved_bytes(&machine->pc);
	     at += at % QUEUE_EVERY > 1500 && at % QUEUE_EVERY < 65000 ? 997 : 1)
		check_changed(bytes, at, masks[at % 3]);
	free(bytes);
	free(machine);
}

static void test_other_length(void)
{
	struct machine *machine = make();
	uint8_t *bytes = save_of(machine);
	const char *name;

	CHECK(!pc_load(&machine->pc, bytes, pc_saved_bytes(&machine->pc) - 1, &name));
	CHECK(!strcmp(name, "16550"));
	CHECK(!pc_load(&machine->pc, bytes, 3, &name));
	CHECK(!strcmp(name, "PC"));
	CHECK(!pc_load(&machine->pc, bytes, 0, &name));
	fake.fail_allocation = 1;
	CHECK(!pc_load(&machine->pc, bytes, pc_saved_bytes(&machine->pc), &name));
	CHECK(!strcmp(name, "PC"));
	fake.fail_allocation = 0;
	CHECK(pc_load(&machine->pc, bytes, pc_saved_bytes(&machine->pc), &name));
	bytes = realloc(bytes, pc_saved_bytes(&machine->pc) + 1);
	CHECK(!pc_load(&machine->pc, bytes, pc_saved_bytes(&machine->pc) + 1, &name));
	free(bytes);
	free(machine);
}

/* One of them has a serial port on PCI. */
static void test_other_machine(void)
{
	struct machine *with = make(), *without = make_with(NULL);
	uint8_t *bytes_with = save_of(with), *bytes_without = save_of(without);
	const char *name;

	CHECK(!pc_load(&without->pc, bytes_with, pc_saved_bytes(&with->pc), &name));
	CHECK(!strcmp(name, "unknown device"));
	CHECK(!pc_load(&with->pc, bytes_without, pc_saved_bytes(&without->pc), &name));
	CHECK(!strcmp(name, "PCI serial"));
	CHECK(pc_load(&without->pc, bytes_without, pc_saved_bytes(&without->pc), &name));
	free(bytes_with);
	free(bytes_without);
	free(with);
	free(without);
}

/* The host's, moved. */
static void test_clock(void)
{
	struct moved_clock moved;
	uint64_t host;

	moved_clock_init(&moved);
	moved.ns = -clock_now(&host_clock);
	host = clock_now(&moved.clock);
	CHECK(host < SECOND);
	CHECK(clock_now(&moved.clock) >= host);
}

const struct test tests[] = {
	{ "goes on as the other", test_goes_on },
	{ "interrupt of a serial port on PCI", test_pci_interrupt },
	{ "message of a serial port on PCI", test_pci_message },
	{ "bytes are changed", test_changed },
	{ "another length", test_other_length },
	{ "a machine with another device", test_other_machine },
	{ "a clock that was moved", test_clock },
	{ NULL, NULL },
};
