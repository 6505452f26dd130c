/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI as far as its configuration space: mechanism #1 at CF8H and CFCH, one bus,
 * empty unless something is put there; and CF9H, where chip sets have a reset.
 */
#ifndef VEE_PCI_H
#define VEE_PCI_H

#include "bus.h"
#include "saved.h"

#define PCI_CONFIG_BYTES	256

/* Of each function's configuration space. */
#define PCI_COMMAND	0x04
#define PCI_COMMAND_PORTS	0x0001
#define PCI_COMMAND_MEMORY	0x0002
#define PCI_COMMAND_MASTER	0x0004	/* it may write to memory */
#define PCI_COMMAND_NO_INTX	0x0400
#define PCI_STATUS	0x06
#define PCI_STATUS_INTERRUPT	0x08
#define PCI_STATUS_CAPABILITIES	0x10

/**
 * struct pci_function - a function of a device
 * @slot: device number << 3 | function number
 * @config: configuration space, little endian
 * @writable: the bits of it that the guest can change
 * @changed: the guest has written to it; NULL: no matter
 * @next: the bus's own
 */
struct pci_function {
	uint8_t slot;
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES];
	void (*changed)(struct pci_function *function);
	struct pci_function *next;
};

/**
 * struct pci - the bus
 * @address_bus: ports CF8H to CFBH
 * @data_bus: ports CFCH to CFFH
 * @reset: the guest asks for a reset
 * @arg: for @reset
 * @address: CONFIG_ADDRESS
 * @reset_control: CF9H
 * @functions: pci_add()'s
 */
struct pci {
	struct bus_device address_bus;
	struct bus_device data_bus;
	void (*reset)(void *arg);
	void *arg;
	uint32_t address;
	uint8_t reset_control;
	struct pci_function *functions;
};

void pci_init(struct pci *pci, struct bus *ports, void (*reset)(void *arg),
	      void *arg);
/* All zeros, nothing writable, but for these numbers. */
void pci_init_function(struct pci_function *function, uint8_t slot, uint16_t vendor,
		       uint16_t device);
uint16_t pci_get_word(const struct pci_function *function, unsigned int at);
void pci_put_word(struct pci_function *function, unsigned int at, uint16_t value);
/* The function has interrupt @pin: 1, INTA#, to 4. Who sets systems up tells it the line. */
void pci_set_interrupt_pin(struct pci_function *function, unsigned int pin);
/* Capability @id is at @at: first in the list of these. */
void pci_add_capability(struct pci_function *function, unsigned int at, uint8_t id);
/* The function must outlive the bus. -EEXIST: the slot is taken. */
int pci_add(struct pci *pci, struct pci_function *function);
/*
 * Makes @bridge the host bridge of an Intel 440FX in slot 0, with the subsystem
 * numbers that QEMU's has. SeaBIOS as Debian builds it looks for that: it then
 * writes its messages to port 402H, takes the sizes of memory from the CMOS, and
 * unlocks the memory that it is in. It needs no fw_cfg.
 */
void pci_init_host_bridge(struct pci_function *bridge);

extern const struct saved_device pci_saved;

#endif /* VEE_PCI_H */
