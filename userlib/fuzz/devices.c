// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest that does anything at all to the devices of a PC (libFuzzer). The input
 * is a list of steps: an access to a port, to memory, some time, input, the taking
 * of an interrupt, the end of one that came by message, a PCI device's, or state as a
 * file may have it. What is checked
 * besides what the sanitizers see: that every moment the devices name comes, and that
 * nothing takes longer than it should.
 */
#include <stdlib.h>
#include <string.h>

#include "../devices/pc.h"
#include "libfuzzer.h"

#define NS_PER_MS	1000000ULL
#define INPUT_MAX	64
#define CATCH_UP_MAX	64
#define REGISTERS	(HPET_BASE + HPET_BYTES)

struct input {
	const uint8_t *data;
	size_t size;
};

static struct machine {
	struct clock clock;
	uint64_t now_ns;
	struct bus ports;
	struct bus memory;
	struct pc pc;
	uint8_t registers[16];
	struct bus_device device;
	uint64_t sent;
	bool hostile;		/* it has such state: a moment may be any */
} machine;

/* Ports that there is something at, so that most steps find a device. */
static const uint16_t interesting[] = {
	0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61,
	0x70, 0x71, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff,
	0xc000, 0xc001, 0xc002, 0xc004,
	0x60, 0x64, 0x92, 0xcf8, 0xcf9, 0xcfc, 0xcfd, 0xcfe, 0xcff, 0x600,
	0x602, 0x604, 0x608, 0xe9, 0x402,
};

static const uint16_t hpet_registers[] = {
	0x000, 0x010, 0x020, 0x0f0, 0x100, 0x108, 0x120, 0x128, 0x140, 0x148,
};

static uint64_t now_ns(struct clock *clock)
{
	(void)clock;
	return machine.now_ns;
}

/* Guests whose host believes itself in 2026, just before a second's end. */
static uint64_t date_ns(struct clock *clock)
{
	(void)clock;
	return 1770000000 * CLOCK_NS + 999 * NS_PER_MS;
}

static void send_serial(void *arg, const uint8_t *bytes, size_t count)
{
	if (arg != &machine || !count || count > UART_OUTPUT)
		abort();
	for (size_t i = 0; i < count; i++)
		machine.sent += bytes[i];
}

static void send_debug(void *arg, uint8_t byte)
{
	if (arg != &machine)
		abort();
	machine.sent += byte;
}

/*
 * Only what may be sent, and of what is level-triggered the end is asked for. But the guest
 * itself may have put anything into an MSI.
 */
static void send_message(void *arg, uint64_t address, uint32_t data, bool level)
{
	unsigned int mode = data >> 8 & 7;

	if (arg != &machine)
		abort();
	machine.sent += data;
	if (!level && pci_msi_is_enabled(&machine.pc.pci_uart.msi))
		return;
	if (address >> 20 != 0xfee || data & ~0xc7ffU ||
	    mode == 2 || mode == 3 || mode > 5 || (data & 0x8000 && !level))
		abort();
}

static uint8_t next_byte(struct input *input)
{
	if (!input->size)
		return 0;
	input->size--;
	return *input->data++;
}

static uint64_t next_number(struct input *input, unsigned int bytes)
{
	uint64_t number = 0;

	while (bytes--)
		number = number << 8 | next_byte(input);
	return number;
}

/* Memory that answers, in the way of a device of four-byte registers. */
static void access_registers(struct bus_device *device, uint64_t offset,
			     void *data, unsigned int bytes, bool write)
{
	if (device != &machine.device || bytes > device->width ||
	    offset + bytes > device->count)
		abort();
	if (write)
		memcpy(&machine.registers[offset], data, bytes);
	else
		memcpy(data, &machine.registers[offset], bytes);
}

static void begin(bool with_ioapic)
{
	struct pc_config config = {
		.low_memory = 3ULL << 30, .high_memory = 1ULL << 30,
		.clock = &machine.clock, .serial_send = send_serial,
		.debug_send = send_debug, .arg = &machine, .cpus = 2,
		.message_send = with_ioapic ? send_message : NULL,
		.host_bridge = true, .pci_serial_send = send_serial,
	};

	memset(&machine, 0, sizeof(machine));
	machine.clock = (struct clock) { .now_ns = now_ns, .date_ns = date_ns };
	machine.now_ns = 123456789;
	machine.device = (struct bus_device) {
		.name = "registers", .first = REGISTERS, .width = 4,
		.count = sizeof(machine.registers), .access = access_registers,
	};
	bus_add(&machine.memory, &machine.device);
	pc_init(&machine.pc, &machine.ports, &machine.memory, &config);
}

/* --- steps --- */

static void access_bus(struct input *input, struct bus *bus, uint64_t address,
		       uint8_t how)
{
	unsigned int bytes = 1 << (how & 3);
	uint8_t data[8] = { 0 };

	if (bus == &machine.ports && bytes > 4)
		bytes = 3;
	if (how & 4)
		for (unsigned int i = 0; i < bytes; i++)
			data[i] = next_byte(input);
	bus_access(bus, address, data, bytes, how & 4);
}

static void access_known_port(struct input *input, uint8_t how)
{
	unsigned int count = sizeof(interesting) / sizeof(*interesting);

	access_bus(input, &machine.ports, interesting[next_byte(input) % count],
		   how);
}

static void access_port(struct input *input, uint8_t how)
{
	access_bus(input, &machine.ports, next_number(input, 2), how);
}

static void access_memory(struct input *input, uint8_t how)
{
	uint64_t address = how & 0x80 ? next_number(input, 8) :
			   REGISTERS - 8 + next_byte(input) % 32;

	access_bus(input, &machine.memory, address, how);
}

static void access_hpet(struct input *input, uint8_t how)
{
	unsigned int count = sizeof(hpet_registers) / sizeof(*hpet_registers);
	uint64_t offset = how & 0x80 ? next_number(input, 2) % (2 * HPET_BYTES) :
			  hpet_registers[next_byte(input) % count];

	access_bus(input, &machine.memory, HPET_BASE + offset, how);
}

/* Of the serial port on PCI. */
static void access_config(struct input *input, uint8_t how)
{
	uint32_t address = 0x80000000 | PC_PCI_SERIAL << 11 | (next_byte(input) & 0xfc);

	bus_access(&machine.ports, 0xcf8, &address, sizeof(address), true);
	access_bus(input, &machine.ports, 0xcfc, how);
}

/* Mostly of an entry: by IOREGSEL and IOWIN at once. */
static void access_ioapic(struct input *input, uint8_t how)
{
	uint8_t index = 0x10 + next_byte(input) % 0x30;

	if (how & 0x80) {
		access_bus(input, &machine.memory,
			   IOAPIC_BASE + next_number(input, 2) % (2 * IOAPIC_BYTES), how);
		return;
	}
	bus_access(&machine.memory, IOAPIC_BASE, &index, sizeof(index), true);
	access_bus(input, &machine.memory, IOAPIC_BASE + 0x10, how);
}

static void tell_end(struct input *input, uint8_t how)
{
	(void)how;
	pc_eoi(&machine.pc, next_byte(input));
}

static void move_pci_line(struct input *input, uint8_t how)
{
	uint8_t which = next_byte(input);
	struct irq_line line = pc_pci_line(&machine.pc, which >> 2 & 31, which & 3);

	irq_set(&line, how & 1);
}

/* From nanoseconds to weeks. */
static void wait(struct input *input, uint8_t how)
{
	machine.now_ns += next_number(input, 2) << (how & 7) * 5;
	if (how & 0x80)
		pc_advance(&machine.pc);
}

/*
 * As a run loop waits: each moment that is named has been named for something, so
 * an advance at that moment leaves no moment that is over.
 */
static void catch_up(struct input *input, uint8_t how)
{
	(void)input;
	(void)how;
	pc_advance(&machine.pc);
	for (unsigned int i = 0; i < CATCH_UP_MAX; i++) {
		uint64_t next = pc_next_ns(&machine.pc);

		if (next == CLOCK_NEVER)
			return;
		if (next <= machine.now_ns && machine.hostile)
			return;
		if (next <= machine.now_ns)
			abort();
		machine.now_ns = next;
		pc_advance(&machine.pc);
	}
}

static void receive(struct input *input, uint8_t how)
{
	uint8_t bytes[INPUT_MAX];
	unsigned int count = how % INPUT_MAX, room = uart_room(&machine.pc.uart);
	unsigned int taken;

	for (unsigned int i = 0; i < count; i++)
		bytes[i] = next_byte(input);
	taken = pc_receive(&machine.pc, bytes, count);
	if (taken != (count < room ? count : room))
		abort();
}

/* @how: only if there is one, as a run loop does, or in any case. */
static void take_interrupt(struct input *input, uint8_t how)
{
	(void)input;
	if (how & 1 || pc_interrupt_pending(&machine.pc))
		pc_acknowledge(&machine.pc);
}

static void end_interrupt(struct input *input, uint8_t how)
{
	uint8_t eoi = 0x20;

	(void)input;
	bus_access(&machine.ports, how & 1 ? 0xa0 : 0x20, &eoi, 1, true);
}

static void flush(struct input *input, uint8_t how)
{
	(void)input;
	(void)how;
	pc_flush(&machine.pc);
	machine.pc.request = PC_NONE;
}

/* Saved, changed, and loaded: as it was, or refused, or its own loss. */
static void reload(struct input *input, uint8_t how)
{
	size_t size = pc_saved_bytes(&machine.pc);
	uint8_t *bytes = malloc(size);
	const char *name;

	pc_save(&machine.pc, bytes);
	for (unsigned int i = 0; i < how % 8; i++) {
		size_t at = next_number(input, 3);

		/* From the end, too: most of it is the serial ports' queues. */
		bytes[how & 8 ? at % size : size - 1 - at % size] ^= next_byte(input);
		machine.hostile = true;
	}
	if (!pc_load(&machine.pc, bytes, size, &name) && !(how % 8))
		abort();
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct input *input, uint8_t how) = {
		access_known_port, access_known_port, access_known_port,
		access_port, access_memory, access_hpet, access_hpet, wait, catch_up, receive,
		take_interrupt, end_interrupt, flush,
		access_ioapic, access_ioapic, tell_end, move_pci_line, reload, access_config,
	};
	struct input input = { .data = data, .size = size };

	begin(next_byte(&input) & 1);
	while (input.size) {
		uint8_t step = next_byte(&input);

		steps[step % (sizeof(steps) / sizeof(*steps))](&input,
							       next_byte(&input));
	}
	catch_up(&input, 0);
	if (machine.ports.miss_count > BUS_MISSES)
		abort();
	return 0;
}
