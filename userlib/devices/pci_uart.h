/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A serial port as a PCI device: a 16550A at the first eight ports of BAR 0, with
 * INTA# and, where there are local APICs, an MSI. It has the numbers of a MosChip MCS9922,
 * by which systems know it. Those are few of which Linux uses the MSI: of other ports it
 * doesn't trust it (drivers/tty/serial/8250/8250_pci.c, pci_use_msi).
 */
#ifndef VEE_PCI_UART_H
#define VEE_PCI_UART_H

#include "bus.h"
#include "irq.h"
#include "pci.h"
#include "pci_msi.h"
#include "saved.h"
#include "uart.h"

/**
 * struct pci_uart - the port
 * @function: its configuration space
 * @uart: the 16550A; its place on the bus is BAR 0's
 * @ports: the bus
 * @wire: INTA#
 * @msi: what takes its place
 * @decodes: @uart is on the bus
 * @asserted: it asks for an interrupt, whether that may go out or not
 */
struct pci_uart {
	struct pci_function function;
	struct uart uart;
	struct bus *ports;
	struct irq_line wire;
	struct pci_msi msi;
	bool decodes;
	bool asserted;
};

/**
 * struct pci_uart_config - as firmware leaves it
 * @slot: device number << 3 | function number
 * @port: where it is
 * @line: the 8259As' input that INTA# is wired to
 * @wire: INTA#
 * @clock: its time
 * @send: takes its output
 * @message_send: takes its MSI; NULL: it has none
 * @arg: for both
 */
struct pci_uart_config {
	uint8_t slot;
	uint16_t port;
	uint8_t line;
	struct irq_line wire;
	struct clock *clock;
	uart_send_fn send;
	ioapic_send_fn message_send;
	void *arg;
};

/* For pci_add() then. */
void pci_uart_init(struct pci_uart *port, struct bus *ports,
		   const struct pci_uart_config *config);

/* Without @uart, which has its own; and after both were loaded: to where BAR 0 is now. */
extern const struct saved_device pci_uart_saved;
void pci_uart_loaded(struct pci_uart *port);

#endif /* VEE_PCI_UART_H */
