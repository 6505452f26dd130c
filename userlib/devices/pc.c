// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <string.h>

#include "pc.h"

#define UART_PORT	0x3f8

#define IRQ_TIMER	0
#define IRQ_KEYBOARD	1
#define IRQ_UART	4
#define IRQ_RTC		8

/* A tick that no CPU has ended for so long was sent to none. */
#define TICK_LOST_NS	CLOCK_NS
#define ALL_HPET_PINS	(0xfU << PC_PIN_HPET)

static void on_acknowledged(void *arg, unsigned int irq)
{
	struct pc *pc = arg;

	if (irq == IRQ_TIMER)
		pit_acknowledged(&pc->pit);
}

static void on_unmasked(void *arg, unsigned int irq)
{
	struct pc *pc = arg;

	if (irq == IRQ_TIMER)
		pit_unmasked(&pc->pit);
}

static void on_reset(void *arg)
{
	struct pc *pc = arg;

	pc->request = PC_RESET;
}

static void on_power_off(void *arg)
{
	struct pc *pc = arg;

	pc->request = PC_POWER_OFF;
}

static void on_exit_port(void *arg, uint8_t status)
{
	struct pc *pc = arg;

	pc->exit_status = status;
	pc->request = PC_EXIT;
}

/* --- ISA's wires: each is at both controllers --- */

static unsigned int pin_of(unsigned int irq)
{
	return irq == IRQ_TIMER ? PC_PIN_TIMER : irq;
}

static void set_isa(void *arg, unsigned int irq, bool level)
{
	struct pc *pc = arg;
	struct irq_line pic = pic_line(&pc->pic, irq);
	struct irq_line ioapic = ioapic_line(&pc->ioapic, pin_of(irq));

	irq_set(&pic, level);
	if (!pc->has_ioapic)
		return;
	if (irq == IRQ_TIMER && level)
		pc->tick_ns = clock_now(pc->clock);
	irq_set(&ioapic, level);
}

/* The 8259As keep what nobody will ever take: they count as long as the pin is masked. */
static bool isa_waits(void *arg, unsigned int irq)
{
	struct pc *pc = arg;
	struct irq_line line = pic_line(&pc->pic, irq);

	if (pc->has_ioapic && !ioapic_is_masked(&pc->ioapic, pin_of(irq)))
		line = ioapic_line(&pc->ioapic, pin_of(irq));
	return irq_waits(&line);
}

static struct irq_line isa_line(struct pc *pc, unsigned int irq)
{
	return (struct irq_line) {
		.set = set_isa, .waits = isa_waits, .arg = pc, .irq = irq,
	};
}

/* --- PCI's: four wires at the I/O APIC; at the 8259As one input for all --- */

#define PCI_LINE(device, pin)	((device) << 2 | (pin))
#define PCI_LINE_DEVICE(irq)	((irq) >> 2)
#define PCI_LINE_PIN(irq)	((irq) & 3)

static struct irq_line pci_wire(struct pc *pc, unsigned int irq, unsigned int *wire)
{
	*wire = pc_pci_wire(PCI_LINE_DEVICE(irq), PCI_LINE_PIN(irq));
	return ioapic_line(&pc->ioapic, PC_PIN_PCI + *wire);
}

static bool any_pci(const struct pc *pc)
{
	for (unsigned int wire = 0; wire < PC_PCI_WIRES; wire++)
		if (pc->pci_lines[wire])
			return true;
	return false;
}

/* Low as long as anyone pulls it down. */
static void set_pci(void *arg, unsigned int irq, bool level)
{
	struct pc *pc = arg;
	unsigned int wire;
	struct irq_line pic = pic_line(&pc->pic, PC_PCI_IRQ);
	struct irq_line line = pci_wire(pc, irq, &wire);
	uint32_t bit = 1U << PCI_LINE_DEVICE(irq);

	pc->pci_lines[wire] &= ~bit;
	if (level)
		pc->pci_lines[wire] |= bit;
	irq_set(&pic, any_pci(pc));
	if (pc->has_ioapic)
		irq_set(&line, !pc->pci_lines[wire]);
}

static bool pci_waits(void *arg, unsigned int irq)
{
	unsigned int wire;
	struct irq_line line = pci_wire(arg, irq, &wire);

	return irq_waits(&line);
}

struct irq_line pc_pci_line(struct pc *pc, unsigned int device, unsigned int pin)
{
	return (struct irq_line) {
		.set = set_pci, .waits = pci_waits, .arg = pc,
		.irq = PCI_LINE(device, pin),
	};
}

/* --- IRQ0 and IRQ8: the HPET's, when it replaces those who have them else --- */

static void set_legacy(void *arg, unsigned int irq, bool level)
{
	struct pc *pc = arg;

	if (!hpet_replaces_legacy(&pc->hpet))
		set_isa(pc, irq, level);
}

/* What goes nowhere is never acknowledged. */
static bool legacy_waits(void *arg, unsigned int irq)
{
	struct pc *pc = arg;

	return hpet_replaces_legacy(&pc->hpet) || isa_waits(pc, irq);
}

static struct irq_line legacy_line(struct pc *pc, unsigned int irq)
{
	return (struct irq_line) {
		.set = set_legacy, .waits = legacy_waits, .arg = pc, .irq = irq,
	};
}

/* As PCI's wires, which in other machines go to these pins: active low. */
static void set_low_pin(void *arg, unsigned int pin, bool level)
{
	struct pc *pc = arg;
	struct irq_line line = ioapic_line(&pc->ioapic, pin);

	irq_set(&line, !level);
}

static bool pin_waits(void *arg, unsigned int pin)
{
	struct pc *pc = arg;
	struct irq_line line = ioapic_line(&pc->ioapic, pin);

	return irq_waits(&line);
}

static void init_hpet(struct pc *pc, struct bus *memory)
{
	struct hpet_config config = {
		.clock = pc->clock,
		.irqs = { isa_line(pc, IRQ_TIMER), isa_line(pc, IRQ_RTC) },
		.pins = {
			.set = set_low_pin, .waits = pin_waits, .arg = pc,
		},
		.routes = pc->has_ioapic ? ALL_HPET_PINS : 0,
	};

	hpet_init(&pc->hpet, memory, &config);
}

static void init_timers(struct pc *pc, struct bus *ports, struct bus *memory,
			const struct pc_config *config)
{
	struct rtc_machine machine = {
		.low = config->low_memory, .high = config->high_memory, .cpus = config->cpus,
	};

	init_hpet(pc, memory);
	pit_init(&pc->pit, ports, pc->clock, legacy_line(pc, IRQ_TIMER));
	rtc_init(&pc->rtc, ports, pc->clock, legacy_line(pc, IRQ_RTC), &machine);
}

/* --- the I/O APIC --- */

static void send_message(void *arg, uint64_t address, uint32_t data, bool level)
{
	struct pc *pc = arg;

	pc->message_send(pc->arg, address, data, level);
}

static void on_pin_unmasked(void *arg, unsigned int pin)
{
	if (pin == PC_PIN_TIMER)
		on_unmasked(arg, IRQ_TIMER);
}

/* PCI's wires, and the HPET's, are up at rest. */
static void init_ioapic(struct pc *pc, struct bus *memory,
			const struct pc_config *config)
{
	ioapic_init(&pc->ioapic, ioapic_id(config->cpus), send_message, pc);
	if (!config->message_send)
		return;
	pc->has_ioapic = true;
	pc->message_send = config->message_send;
	pc->arg = config->arg;
	pc->ioapic.unmasked = on_pin_unmasked;
	ioapic_count(&pc->ioapic, PC_PIN_TIMER);
	for (unsigned int pin = PC_PIN_PCI; pin < IOAPIC_PINS; pin++)
		set_low_pin(pc, pin, false);
	bus_add(memory, &pc->ioapic.bus);
}

/* IRQ0 by message: not yet ended by a CPU. */
static bool tick_waits(const struct pc *pc)
{
	return pc->ioapic.waiting >> PC_PIN_TIMER & 1;
}

static void forget_lost_tick(struct pc *pc)
{
	if (tick_waits(pc) && clock_now(pc->clock) - pc->tick_ns >= TICK_LOST_NS)
		ioapic_forget(&pc->ioapic, PC_PIN_TIMER);
}

void pc_eoi(struct pc *pc, uint8_t vector)
{
	bool waited = tick_waits(pc);

	ioapic_eoi(&pc->ioapic, vector);
	if (waited && !tick_waits(pc))
		on_acknowledged(pc, IRQ_TIMER);
}

/* --- all of them --- */

/* As firmware leaves it: the SCI is level-triggered. */
static void init_pic(struct pc *pc, struct bus *ports)
{
	pic_init(&pc->pic, ports);
	pic_set_level_triggered(&pc->pic, ACPI_IRQ);
	pc->pic.hooks = (struct pic_hooks) {
		.acknowledged = on_acknowledged, .unmasked = on_unmasked,
		.arg = pc,
	};
}

static void init_uart(struct pc *pc, struct bus *ports,
		      const struct pc_config *config)
{
	struct uart_config uart = {
		.port = UART_PORT, .clock = pc->clock,
		.irq = isa_line(pc, IRQ_UART),
		.send = config->serial_send, .arg = config->arg,
	};

	uart_init(&pc->uart, ports, &uart);
}

static void init_acpi(struct pc *pc, struct bus *ports)
{
	struct acpi_config acpi = {
		.clock = pc->clock, .irq = isa_line(pc, ACPI_IRQ),
		.power_off = on_power_off, .arg = pc,
	};

	acpi_init(&pc->acpi, ports, &acpi);
}

/* As firmware leaves it: its place, and its input of the 8259As, which is level-triggered. */
static void init_pci_uart(struct pc *pc, struct bus *ports,
			  const struct pc_config *config)
{
	struct pci_uart_config uart = {
		.slot = PC_PCI_SERIAL << 3, .port = PC_PCI_PORTS, .line = PC_PCI_IRQ,
		.wire = pc_pci_line(pc, PC_PCI_SERIAL, 0), .clock = pc->clock,
		.send = config->pci_serial_send, .message_send = config->message_send,
		.arg = config->arg,
	};

	pic_set_level_triggered(&pc->pic, PC_PCI_IRQ);
	pc->has_pci_uart = true;
	pci_uart_init(&pc->pci_uart, ports, &uart);
	pci_add(&pc->pci, &pc->pci_uart.function);
}

static void init_pci(struct pc *pc, struct bus *ports,
		     const struct pc_config *config)
{
	pci_init(&pc->pci, ports, on_reset, pc);
	if (!config->host_bridge && !config->pci_serial_send)
		return;
	pci_init_host_bridge(&pc->host_bridge);
	pci_add(&pc->pci, &pc->host_bridge);
	if (config->pci_serial_send)
		init_pci_uart(pc, ports, config);
}

void pc_init(struct pc *pc, struct bus *ports, struct bus *memory,
	     const struct pc_config *config)
{
	memset(pc, 0, sizeof(*pc));
	pc->clock = config->clock ? config->clock : &host_clock;
	init_pic(pc, ports);
	init_ioapic(pc, memory, config);
	init_timers(pc, ports, memory, config);
	init_uart(pc, ports, config);
	i8042_init(&pc->i8042, ports, isa_line(pc, IRQ_KEYBOARD), on_reset, pc);
	init_pci(pc, ports, config);
	init_acpi(pc, ports);
	mc6845_init(&pc->crtc, ports);
	debugcon_init(&pc->debugcon, ports, config->debug_send, config->arg);
	exit_port_init(&pc->exit_port, ports, on_exit_port, pc);
}

void pc_advance(struct pc *pc)
{
	forget_lost_tick(pc);
	pit_advance(&pc->pit);
	rtc_advance(&pc->rtc);
	hpet_advance(&pc->hpet);
	uart_advance(&pc->uart);
	if (pc->has_pci_uart)
		uart_advance(&pc->pci_uart.uart);
	acpi_advance(&pc->acpi);
}

uint64_t pc_next_ns(const struct pc *pc)
{
	uint64_t next = pit_next_ns(&pc->pit);

	if (tick_waits(pc))
		next = clock_earlier(next, pc->tick_ns + TICK_LOST_NS);
	next = clock_earlier(next, rtc_next_ns(&pc->rtc));
	next = clock_earlier(next, hpet_next_ns(&pc->hpet));
	next = clock_earlier(next, uart_next_ns(&pc->uart));
	if (pc->has_pci_uart)
		next = clock_earlier(next, uart_next_ns(&pc->pci_uart.uart));
	return clock_earlier(next, acpi_next_ns(&pc->acpi));
}

bool pc_interrupt_pending(const struct pc *pc)
{
	return pic_pending(&pc->pic);
}

uint8_t pc_acknowledge(struct pc *pc)
{
	return pic_acknowledge(&pc->pic);
}

unsigned int pc_receive(struct pc *pc, const uint8_t *bytes, size_t count)
{
	return uart_receive(&pc->uart, bytes, count);
}

void pc_flush(struct pc *pc)
{
	uart_flush(&pc->uart);
	if (pc->has_pci_uart)
		uart_flush(&pc->pci_uart.uart);
}

/* --- as bytes --- */

static const struct saved_member wires[] = {
	SAVED(struct pc, tick_ns),
	SAVED(struct pc, pci_lines),
	SAVED(struct pc, host_bridge.config),
};

static const struct saved_device wires_saved = SAVED_DEVICE("PC", 1, wires, NULL);

static const struct {
	size_t offset;
	const struct saved_device *saved;
} parts[] = {
	{ 0, &wires_saved },
	{ offsetof(struct pc, pic.master), &i8259_saved },
	{ offsetof(struct pc, pic.slave), &i8259_saved },
	{ offsetof(struct pc, ioapic), &ioapic_saved },
	{ offsetof(struct pc, pit), &pit_saved },
	{ offsetof(struct pc, pit.channels[0]), &pit_channel_saved },
	{ offsetof(struct pc, pit.channels[1]), &pit_channel_saved },
	{ offsetof(struct pc, pit.channels[2]), &pit_channel_saved },
	{ offsetof(struct pc, rtc), &rtc_saved },
	{ offsetof(struct pc, hpet), &hpet_saved },
	{ offsetof(struct pc, uart), &uart_saved },
	{ offsetof(struct pc, i8042), &i8042_saved },
	{ offsetof(struct pc, pci), &pci_saved },
	{ offsetof(struct pc, acpi), &acpi_saved },
	{ offsetof(struct pc, crtc), &mc6845_saved },
	/* Where it is. */
	{ offsetof(struct pc, pci_uart), &pci_uart_saved },
	{ offsetof(struct pc, pci_uart.uart), &uart_saved },
};

#define PCI_UART_PARTS	2

static size_t part_count(const struct pc *pc)
{
	return sizeof(parts) / sizeof(*parts) - (pc->has_pci_uart ? 0 : PCI_UART_PARTS);
}

size_t pc_saved_bytes(const struct pc *pc)
{
	size_t bytes = 0;

	for (size_t i = 0; i < part_count(pc); i++)
		bytes += saved_bytes(parts[i].saved);
	return bytes;
}

void pc_save(const struct pc *pc, uint8_t *to)
{
	for (size_t i = 0; i < part_count(pc); i++)
		to = saved_put(parts[i].saved, (const uint8_t *)pc + parts[i].offset, to);
}

/* The device that can't be loaded; NULL: all could. */
static const char *load_parts(struct pc *pc, const uint8_t *from, const uint8_t *end)
{
	for (size_t i = 0; i < part_count(pc); i++) {
		from = saved_get(parts[i].saved, (uint8_t *)pc + parts[i].offset, from, end);
		if (!from)
			return parts[i].saved->name;
	}
	return from == end ? NULL : "unknown device";
}

/* Tried in a copy first. */
bool pc_load(struct pc *pc, const uint8_t *from, size_t bytes, const char **name)
{
	struct pc *copy = malloc(sizeof(*copy));

	*name = "PC";
	if (!copy)
		return false;
	memcpy(copy, pc, sizeof(*copy));
	*name = load_parts(copy, from, from + bytes);
	if (!*name)
		memcpy(pc, copy, sizeof(*pc));
	free(copy);
	if (!*name && pc->has_pci_uart)
		pci_uart_loaded(&pc->pci_uart);
	return !*name;
}
