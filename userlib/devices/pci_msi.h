/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PCI function's interrupt by message: an MSI capability for one vector, with an address of
 * 64 bits and a mask. Where messages go to nobody, without local APICs, there is none.
 */
#ifndef VEE_PCI_MSI_H
#define VEE_PCI_MSI_H

#include "ioapic.h"
#include "pci.h"

#define PCI_MSI_BYTES	24

/**
 * struct pci_msi - the capability
 * @function: whose it is; NULL: there is none
 * @at: where in its configuration space
 * @send: where messages go
 * @arg: for @send
 * @told: the interrupt that the function asks for has been sent
 */
struct pci_msi {
	struct pci_function *function;
	unsigned int at;
	ioapic_send_fn send;
	void *arg;
	bool told;
};

/* At @at, which is divisible by 4, of @function's configuration space are PCI_MSI_BYTES free. */
void pci_msi_init(struct pci_msi *msi, struct pci_function *function, unsigned int at,
		  ioapic_send_fn send, void *arg);
/* The function is to use it, and none of its wires. */
bool pci_msi_is_enabled(const struct pci_msi *msi);
/*
 * Whether the function asks for an interrupt. To be called when that has changed, or the
 * configuration space. An interrupt is one message, at the moment from which on it may be sent.
 */
void pci_msi_set(struct pci_msi *msi, bool asserted);

#endif /* VEE_PCI_MSI_H */
