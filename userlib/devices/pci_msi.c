// SPDX-License-Identifier: LGPL-2.1-or-later
/* After the PCI Local Bus Specification 3.0, "MSI Capability Structure". */
#include <string.h>

#include "pci_msi.h"

#define CAPABILITY_MSI	0x05

/* From its beginning on. */
#define CONTROL		2
#define CONTROL_ENABLE	0x0001
#define CONTROL_64_BIT	0x0080
#define CONTROL_MASKS	0x0100
#define ADDRESS		4
#define ADDRESS_LOW	0xfc	/* of its first byte: it is a multiple of 4 */
#define ADDRESS_BYTES	8
#define DATA		12
#define DATA_BYTES	2
#define MASK		16
#define PENDING		20
#define VECTOR_0	0x01

static uint8_t *field(const struct pci_msi *msi, unsigned int offset)
{
	return &msi->function->config[msi->at + offset];
}

bool pci_msi_is_enabled(const struct pci_msi *msi)
{
	return msi->function && *field(msi, CONTROL) & CONTROL_ENABLE;
}

/* Who may not write to memory can send no message, either: it is a write. */
static bool may_send(const struct pci_msi *msi)
{
	return pci_get_word(msi->function, PCI_COMMAND) & PCI_COMMAND_MASTER &&
	       !(*field(msi, MASK) & VECTOR_0);
}

/* Anything may be at the address that the guest has put there: it is who takes it that looks. */
static void send(struct pci_msi *msi)
{
	uint64_t address;

	memcpy(&address, field(msi, ADDRESS), sizeof(address));
	msi->told = true;
	msi->send(msi->arg, address, pci_get_word(msi->function, msi->at + DATA), false);
}

/* What is no longer asked for is no longer pending. */
void pci_msi_set(struct pci_msi *msi, bool asserted)
{
	if (!msi->function)
		return;
	if (!asserted || !pci_msi_is_enabled(msi))
		msi->told = false;
	else if (!msi->told && may_send(msi))
		send(msi);
	*field(msi, PENDING) = pci_msi_is_enabled(msi) && asserted && !msi->told ? VECTOR_0 : 0;
}

void pci_msi_init(struct pci_msi *msi, struct pci_function *function, unsigned int at,
		  ioapic_send_fn send, void *arg)
{
	uint8_t *writable = &function->writable[at];

	*msi = (struct pci_msi) {
		.function = function, .at = at, .send = send, .arg = arg,
	};
	pci_add_capability(function, at, CAPABILITY_MSI);
	pci_put_word(function, at + CONTROL, CONTROL_64_BIT | CONTROL_MASKS);
	writable[CONTROL] = CONTROL_ENABLE;
	memset(&writable[ADDRESS], 0xff, ADDRESS_BYTES);
	writable[ADDRESS] = ADDRESS_LOW;
	memset(&writable[DATA], 0xff, DATA_BYTES);
	writable[MASK] = VECTOR_0;
	function->writable[PCI_COMMAND] |= PCI_COMMAND_MASTER;
}
