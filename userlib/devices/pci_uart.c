// SPDX-License-Identifier: LGPL-2.1-or-later
/* After the PCI Local Bus Specification 3.0, "Configuration Space" and "Interrupts". */
#include <string.h>

#include "pci_uart.h"

#define COMMAND		0x04
#define COMMAND_PORTS	0x0001
#define COMMAND_NO_INTX	0x0400
#define STATUS		0x06
#define STATUS_INTERRUPT	0x08
#define REVISION_ID	0x08
#define INTERFACE	0x09
#define CLASS		0x0a
#define BAR0		0x10
#define BAR_PORTS	0x01	/* and no memory */
#define SUBSYSTEM_VENDOR	0x2c
#define SUBSYSTEM	0x2e
#define INTERRUPT_LINE	0x3c

#define VENDOR_REDHAT	0x1b36
#define DEVICE_SERIAL	0x0002
#define REVISION	0x01
#define INTERFACE_16550	0x02
#define CLASS_SERIAL	0x0700
#define SUBSYSTEM_QEMU_VENDOR	0x1af4
#define SUBSYSTEM_QEMU	0x1100

#define INTA		1
#define PORT_MASK	0xfffffff8U

static uint16_t command_of(const struct pci_uart *port)
{
	return pci_get_word(&port->function, COMMAND);
}

/* The status tells of the interrupt, whether the command register lets it out or not. */
static void update_wire(struct pci_uart *port)
{
	uint8_t *status = &port->function.config[STATUS];

	*status &= ~STATUS_INTERRUPT;
	if (port->asserted)
		*status |= STATUS_INTERRUPT;
	irq_set(&port->wire, port->asserted && !(command_of(port) & COMMAND_NO_INTX));
}

static void set_asserted(void *arg, unsigned int irq, bool level)
{
	struct pci_uart *port = arg;

	(void)irq;
	port->asserted = level;
	update_wire(port);
}

static bool wire_waits(void *arg, unsigned int irq)
{
	struct pci_uart *port = arg;

	(void)irq;
	return irq_waits(&port->wire);
}

/* Where others are already it does not answer. */
static void place(struct pci_uart *port)
{
	struct bus_device *bus = &port->uart.bus;
	uint32_t bar = pci_get_word(&port->function, BAR0 + 2) << 16 |
		       pci_get_word(&port->function, BAR0);

	if (port->decodes)
		bus_remove(port->ports, bus);
	bus->first = bar & PORT_MASK;
	port->decodes = command_of(port) & COMMAND_PORTS &&
			bar <= UINT16_MAX && !bus_add(port->ports, bus);
}

static void on_config(struct pci_function *function)
{
	struct pci_uart *port = bus_owner(function, struct pci_uart, function);

	place(port);
	update_wire(port);
}

static void init_config(struct pci_function *function,
			const struct pci_uart_config *config)
{
	pci_init_function(function, config->slot, VENDOR_REDHAT, DEVICE_SERIAL);
	pci_put_word(function, COMMAND, COMMAND_PORTS);
	function->config[REVISION_ID] = REVISION;
	function->config[INTERFACE] = INTERFACE_16550;
	pci_put_word(function, CLASS, CLASS_SERIAL);
	pci_put_word(function, BAR0, config->port | BAR_PORTS);
	pci_put_word(function, SUBSYSTEM_VENDOR, SUBSYSTEM_QEMU_VENDOR);
	pci_put_word(function, SUBSYSTEM, SUBSYSTEM_QEMU);
	pci_set_interrupt_pin(function, INTA);
	function->config[INTERRUPT_LINE] = config->line;
	function->writable[COMMAND] = COMMAND_PORTS;
	function->writable[COMMAND + 1] = COMMAND_NO_INTX >> 8;
	memset(&function->writable[BAR0], 0xff, sizeof(uint32_t));
	function->writable[BAR0] = PORT_MASK & 0xff;
	function->changed = on_config;
}

void pci_uart_init(struct pci_uart *port, struct bus *ports,
		   const struct pci_uart_config *config)
{
	struct uart_config uart = {
		.clock = config->clock, .send = config->send, .arg = config->arg,
		.irq = { .set = set_asserted, .waits = wire_waits, .arg = port },
	};

	memset(port, 0, sizeof(*port));
	port->ports = ports;
	port->wire = config->wire;
	init_config(&port->function, config);
	uart_init(&port->uart, NULL, &uart);
	place(port);
}
