// SPDX-License-Identifier: LGPL-2.1-or-later
/* After the PCI Local Bus Specification 3.0, "Configuration Space" and "Interrupts". */
#include <string.h>

#include "pci_uart.h"

#define REVISION_ID	0x08
#define INTERFACE	0x09
#define CLASS		0x0a
#define BAR0		0x10
#define BAR_PORTS	0x01	/* and no memory */
#define SUBSYSTEM_VENDOR	0x2c
#define SUBSYSTEM	0x2e
#define INTERRUPT_LINE	0x3c

#define VENDOR_MOSCHIP	0x9710
#define DEVICE_MCS9922	0x9922
#define REVISION	0x00
#define INTERFACE_16550	0x02
#define CLASS_SERIAL	0x0700
#define SUBSYSTEM_VENDOR_MCS	0xa000
#define SUBSYSTEM_SERIAL	0x1000

#define INTA		1
/*
 * BAR 0 is of 16 ports, and nothing is at the last 8. A BAR of 8 is what Linux would take for
 * one serial port by itself: it complains at each boot that its table has the device, too.
 */
#define PORT_MASK	0xfffffff0U
#define MSI_AT		0x50

static uint16_t command_of(const struct pci_uart *port)
{
	return pci_get_word(&port->function, PCI_COMMAND);
}

/* By message or by wire. The status tells of it, whether it is let out or not. */
static void update_interrupt(struct pci_uart *port)
{
	uint8_t *status = &port->function.config[PCI_STATUS];
	bool by_wire = !pci_msi_is_enabled(&port->msi) &&
		       !(command_of(port) & PCI_COMMAND_NO_INTX);

	*status &= ~PCI_STATUS_INTERRUPT;
	if (port->asserted)
		*status |= PCI_STATUS_INTERRUPT;
	irq_set(&port->wire, port->asserted && by_wire);
	pci_msi_set(&port->msi, port->asserted);
}

static void set_asserted(void *arg, unsigned int irq, bool level)
{
	struct pci_uart *port = arg;

	(void)irq;
	port->asserted = level;
	update_interrupt(port);
}

/* Where others are already it does not answer. */
static void place(struct pci_uart *port)
{
	struct bus_device *bus = &port->uart.bus;
	uint32_t high = pci_get_word(&port->function, BAR0 + 2);
	uint32_t bar = high << 16 | pci_get_word(&port->function, BAR0);

	if (port->decodes)
		bus_remove(port->ports, bus);
	bus->first = bar & PORT_MASK;
	port->decodes = command_of(port) & PCI_COMMAND_PORTS &&
			bar <= UINT16_MAX && !bus_add(port->ports, bus);
}

static void on_config(struct pci_function *function)
{
	struct pci_uart *port = bus_owner(function, struct pci_uart, function);

	place(port);
	update_interrupt(port);
}

static void init_config(struct pci_function *function,
			const struct pci_uart_config *config)
{
	pci_init_function(function, config->slot, VENDOR_MOSCHIP, DEVICE_MCS9922);
	pci_put_word(function, PCI_COMMAND, PCI_COMMAND_PORTS);
	function->config[REVISION_ID] = REVISION;
	function->config[INTERFACE] = INTERFACE_16550;
	pci_put_word(function, CLASS, CLASS_SERIAL);
	pci_put_word(function, BAR0, config->port | BAR_PORTS);
	pci_put_word(function, SUBSYSTEM_VENDOR, SUBSYSTEM_VENDOR_MCS);
	pci_put_word(function, SUBSYSTEM, SUBSYSTEM_SERIAL);
	pci_set_interrupt_pin(function, INTA);
	function->config[INTERRUPT_LINE] = config->line;
	function->writable[PCI_COMMAND] = PCI_COMMAND_PORTS;
	function->writable[PCI_COMMAND + 1] = PCI_COMMAND_NO_INTX >> 8;
	memset(&function->writable[BAR0], 0xff, sizeof(uint32_t));
	function->writable[BAR0] = PORT_MASK & 0xff;
	function->changed = on_config;
}

void pci_uart_init(struct pci_uart *port, struct bus *ports,
		   const struct pci_uart_config *config)
{
	struct uart_config uart = {
		.clock = config->clock, .send = config->send, .arg = config->arg,
		/* A UART never asks whether its request waits. */
		.irq = { .set = set_asserted, .arg = port },
	};

	memset(port, 0, sizeof(*port));
	port->ports = ports;
	port->wire = config->wire;
	init_config(&port->function, config);
	if (config->message_send)
		pci_msi_init(&port->msi, &port->function, MSI_AT, config->message_send,
			     config->arg);
	uart_init(&port->uart, NULL, &uart);
	place(port);
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED(struct pci_uart, function.config),
	SAVED_BOOL(struct pci_uart, asserted),
	SAVED_BOOL(struct pci_uart, msi.told),
};

const struct saved_device pci_uart_saved = SAVED_DEVICE("PCI serial", 1, members, NULL);

/* The wire is as it was: so is what it goes to. */
void pci_uart_loaded(struct pci_uart *port)
{
	place(port);
}
