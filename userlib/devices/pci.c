// SPDX-License-Identifier: LGPL-2.1-or-later
/* After the PCI Local Bus Specification, "Configuration Space". */
#include <errno.h>
#include <string.h>

#include "pci.h"

#define PORT_ADDRESS	0xcf8
#define PORT_DATA	0xcfc
#define REGISTER_BYTES	4

#define ADDRESS_ENABLE	0x80000000U
#define ADDRESS_BITS	0x80fffffcU	/* the rest is reserved: zero */
#define ADDRESS_REGISTER	0xfc
#define ADDRESS_BUS(address)	((address) >> 16 & 0xff)
#define ADDRESS_SLOT(address)	((address) >> 8 & 0xff)

#define RESET_CONTROL	1	/* CF9H, from CF8H on */
#define RESET_SRST	0x02	/* a hard reset */
#define RESET_CPU	0x04	/* as this goes from 0 to 1 */

/* --- configuration space --- */

static struct pci_function *find(const struct pci *pci)
{
	struct pci_function *function = pci->functions;

	if (!(pci->address & ADDRESS_ENABLE) || ADDRESS_BUS(pci->address))
		return NULL;
	while (function && function->slot != ADDRESS_SLOT(pci->address))
		function = function->next;
	return function;
}

static void write_config(struct pci_function *function, unsigned int at,
			 const uint8_t *data, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++) {
		uint8_t writable = function->writable[at + i];

		function->config[at + i] &= ~writable;
		function->config[at + i] |= data[i] & writable;
	}
	if (function->changed)
		function->changed(function);
}

/* An access is within one register of four bytes, as are these ports. */
static void access_data(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct pci *pci = bus_owner(device, struct pci, data_bus);
	struct pci_function *function = find(pci);
	unsigned int at = (pci->address & ADDRESS_REGISTER) + offset;

	if (function && write)
		write_config(function, at, data, bytes);
	else if (function)
		memcpy(data, &function->config[at], bytes);
}

/* --- CF8H and CF9H --- */

static void write_reset(struct pci *pci, uint8_t value)
{
	bool rises = value & RESET_CPU && !(pci->reset_control & RESET_CPU);

	pci->reset_control = value & (RESET_SRST | RESET_CPU);
	if (rises)
		pci->reset(pci->arg);
}

/* CONFIG_ADDRESS answers to accesses of all its four bytes alone. */
static void access_address(struct bus_device *device, uint64_t offset,
			   void *data, unsigned int bytes, bool write)
{
	struct pci *pci = bus_owner(device, struct pci, address_bus);
	uint8_t *value = data;

	if (bytes == sizeof(pci->address)) {
		if (!write)
			memcpy(data, &pci->address, bytes);
		else
			memcpy(&pci->address, data, bytes);
		pci->address &= ADDRESS_BITS;
	} else if (offset == RESET_CONTROL && bytes == 1) {
		if (write)
			write_reset(pci, *value);
		else
			*value = pci->reset_control;
	}
}

#define VENDOR_ID	0x00
#define DEVICE_ID	0x02
#define CAPABILITIES	0x34
#define INTERRUPT_LINE	0x3c
#define INTERRUPT_PIN	0x3d
#define NO_LINE		0xff	/* or not known */

uint16_t pci_get_word(const struct pci_function *function, unsigned int at)
{
	return function->config[at] | function->config[at + 1] << 8;
}

void pci_put_word(struct pci_function *function, unsigned int at, uint16_t value)
{
	function->config[at] = value;
	function->config[at + 1] = value >> 8;
}

void pci_init_function(struct pci_function *function, uint8_t slot, uint16_t vendor,
		       uint16_t device)
{
	memset(function, 0, sizeof(*function));
	function->slot = slot;
	pci_put_word(function, VENDOR_ID, vendor);
	pci_put_word(function, DEVICE_ID, device);
}

void pci_set_interrupt_pin(struct pci_function *function, unsigned int pin)
{
	function->config[INTERRUPT_PIN] = pin;
	function->config[INTERRUPT_LINE] = NO_LINE;
	function->writable[INTERRUPT_LINE] = 0xff;
}

void pci_add_capability(struct pci_function *function, unsigned int at, uint8_t id)
{
	function->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	function->config[at] = id;
	function->config[at + 1] = function->config[CAPABILITIES];
	function->config[CAPABILITIES] = at;
}

int pci_add(struct pci *pci, struct pci_function *function)
{
	for (const struct pci_function *other = pci->functions; other;
	     other = other->next)
		if (other->slot == function->slot)
			return -EEXIST;
	function->next = pci->functions;
	pci->functions = function;
	return 0;
}

void pci_init(struct pci *pci, struct bus *ports, void (*reset)(void *arg),
	      void *arg)
{
	memset(pci, 0, sizeof(*pci));
	pci->reset = reset;
	pci->arg = arg;
	pci->address_bus = (struct bus_device) {
		.name = "PCI address", .first = PORT_ADDRESS,
		.count = REGISTER_BYTES, .width = REGISTER_BYTES,
		.access = access_address,
	};
	pci->data_bus = (struct bus_device) {
		.name = "PCI data", .first = PORT_DATA,
		.count = REGISTER_BYTES, .width = REGISTER_BYTES,
		.access = access_data,
	};
	bus_add(ports, &pci->address_bus);
	bus_add(ports, &pci->data_bus);
}

/* --- the host bridge: 82441FX --- */

#define REVISION_ID	0x08
#define CLASS		0x0a
#define SUBSYSTEM_VENDOR	0x2c
#define SUBSYSTEM	0x2e
#define PAM0		0x59
#define PAM_COUNT	7

#define VENDOR_INTEL	0x8086
#define DEVICE_82441FX	0x1237
#define REVISION_82441FX	0x02
#define CLASS_HOST_BRIDGE	0x0600
#define SUBSYSTEM_QEMU_VENDOR	0x1af4
#define SUBSYSTEM_QEMU	0x1100

#define PAM0_RAM	0x30	/* F0000H to FFFFFH: reads and writes go to RAM */
#define PAM_RAM		0x33	/* two halves likewise */

/* The memory from C0000H to FFFFFH is RAM whatever its registers say. */
void pci_init_host_bridge(struct pci_function *bridge)
{
	pci_init_function(bridge, 0, VENDOR_INTEL, DEVICE_82441FX);
	pci_put_word(bridge, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	bridge->config[REVISION_ID] = REVISION_82441FX;
	pci_put_word(bridge, CLASS, CLASS_HOST_BRIDGE);
	pci_put_word(bridge, SUBSYSTEM_VENDOR, SUBSYSTEM_QEMU_VENDOR);
	pci_put_word(bridge, SUBSYSTEM, SUBSYSTEM_QEMU);
	memset(&bridge->config[PAM0], PAM_RAM, PAM_COUNT);
	bridge->config[PAM0] = PAM0_RAM;
	memset(&bridge->writable[PAM0], 0xff, PAM_COUNT);
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED(struct pci, address),
	SAVED(struct pci, reset_control),
};

const struct saved_device pci_saved = SAVED_DEVICE("PCI", 1, members, NULL);
