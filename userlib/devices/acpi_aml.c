// SPDX-License-Identifier: LGPL-2.1-or-later
/* After the ACPI Specification 5.0, "ACPI Machine Language (AML) Specification". */
#include <string.h>

#include "acpi_aml.h"
#include "acpi_ports.h"
#include "pc.h"

#define NAME_OP		0x08
#define BYTE_PREFIX	0x0a
#define DWORD_PREFIX	0x0c
#define SCOPE_OP	0x10
#define BUFFER_OP	0x11
#define PACKAGE_OP	0x12
#define METHOD_OP	0x14
#define ARG0_OP		0x68
#define STORE_OP	0x70
#define IF_OP		0xa0
#define RETURN_OP	0xa4
#define EXT_OP_PREFIX	0x5b
#define DEVICE_OP	0x82
#define PROCESSOR_OP	0x83

/* A package's length: in its first byte up to 63, else with more that follow it. */
#define SHORT_LENGTH	0x3f
#define MORE_BYTES_SHIFT	6
#define LOW_BITS	4

/* Small resource descriptors: the tag's low three bits are the length. */
#define IRQ_TAG		0x22
#define IO_TAG		0x47
#define END_TAG		0x79
#define DECODE_16	0x01

/* Large ones: words are of an address space. */
#define WORDS_TAG	0x88
#define WORDS_BYTES	13
#define WORDS_PORTS	1
#define WORDS_BUSES	2
#define WORDS_FIXED	0x0c	/* its first and its last one */
#define WORDS_ALL_PORTS	0x03

struct aml {
	uint8_t *bytes;
	size_t used;
};

static void put_byte(struct aml *aml, uint8_t byte)
{
	aml->bytes[aml->used++] = byte;
}

static void put_text(struct aml *aml, const char *text)
{
	while (*text)
		put_byte(aml, *text++);
}

static void put_word(struct aml *aml, uint16_t word)
{
	put_byte(aml, word);
	put_byte(aml, word >> 8);
}

static void put_byte_constant(struct aml *aml, uint8_t value)
{
	put_byte(aml, BYTE_PREFIX);
	put_byte(aml, value);
}

static void put_name(struct aml *aml, const char *name)
{
	put_byte(aml, NAME_OP);
	put_text(aml, name);
}

/*
 * Puts the length before what has been written since @begin. It counts from itself on,
 * so how many bytes it takes depends on it.
 */
static void end_package(struct aml *aml, size_t begin)
{
	size_t length = aml->used - begin + 1, more = 0;

	if (length > SHORT_LENGTH) {
		length++;
		more = 1;
	}
	memmove(&aml->bytes[begin + 1 + more], &aml->bytes[begin], aml->used - begin);
	aml->used += 1 + more;
	if (!more) {
		aml->bytes[begin] = length;
		return;
	}
	aml->bytes[begin] = more << MORE_BYTES_SHIFT | (length & ((1 << LOW_BITS) - 1));
	aml->bytes[begin + 1] = length >> LOW_BITS;
}

/* Name (\_S5, Package { SLP_TYPa, SLP_TYPb, 0, 0 }) */
static void put_soft_off(struct aml *aml)
{
	size_t begin;

	put_name(aml, "\\_S5_");
	put_byte(aml, PACKAGE_OP);
	begin = aml->used;
	put_byte(aml, 4);
	put_byte_constant(aml, ACPI_SOFT_OFF);
	put_byte_constant(aml, ACPI_SOFT_OFF);
	put_word(aml, 0);
	end_package(aml, begin);
}

/* IO (Decode16, port, port, 1, count), IRQNoFlags {irq} */
static void put_resources(struct aml *aml, uint16_t port, uint8_t count,
			  unsigned int irq)
{
	put_byte(aml, IO_TAG);
	put_byte(aml, DECODE_16);
	put_word(aml, port);
	put_word(aml, port);
	put_byte(aml, 1);
	put_byte(aml, count);
	put_byte(aml, IRQ_TAG);
	put_word(aml, 1 << irq);
	put_byte(aml, END_TAG);
	put_byte(aml, 0);	/* no sum */
}

#define RESOURCES_BYTES	13

/* What systems with ACPI don't look for elsewhere. */
struct isa_device {
	const char *name;
	uint16_t pnp;
	uint16_t port;
	uint8_t count;
	uint8_t irq;
};

/* Name (_HID, EisaId (...)): "PNP", compressed to two bytes, and the number. */
static void put_hid(struct aml *aml, uint16_t pnp)
{
	put_name(aml, "_HID");
	put_byte(aml, DWORD_PREFIX);
	put_text(aml, "A\xd0");
	put_byte(aml, pnp >> 8);
	put_byte(aml, pnp & 0xff);
}

/* Device (name) { Name (_HID, EisaId (hid)) Name (_CRS, Buffer { resources }) } */
static void put_device(struct aml *aml, const struct isa_device *device)
{
	size_t begin, buffer;

	put_byte(aml, EXT_OP_PREFIX);
	put_byte(aml, DEVICE_OP);
	begin = aml->used;
	put_text(aml, device->name);
	put_hid(aml, device->pnp);
	put_name(aml, "_CRS");
	put_byte(aml, BUFFER_OP);
	buffer = aml->used;
	put_byte_constant(aml, RESOURCES_BYTES);
	put_resources(aml, device->port, device->count, device->irq);
	end_package(aml, buffer);
	end_package(aml, begin);
}

/*
 * Processor (C0nn, n, 0, 0) {}: there are no processor registers. Systems that are older
 * than devices in its place know it, too; its number is the MADT's.
 */
static void put_cpu(struct aml *aml, unsigned int n)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t begin;

	put_byte(aml, EXT_OP_PREFIX);
	put_byte(aml, PROCESSOR_OP);
	begin = aml->used;
	put_text(aml, "C0");
	put_byte(aml, digits[n >> 4]);
	put_byte(aml, digits[n & 15]);
	put_byte(aml, n);
	put_word(aml, 0);
	put_word(aml, 0);
	put_byte(aml, 0);
	end_package(aml, begin);
}

/* --- the PCI bus --- */

#define PNP_PCI		0x0a03
#define PCI_PINS	4
#define CONFIG_PORTS	0xcf8
#define CONFIG_BYTES	8

/* Which interrupt controllers a system uses it says by calling \\_PIC: 1, the I/O APIC. */
static void put_pic(struct aml *aml)
{
	size_t begin;

	put_name(aml, "\\PICM");
	put_byte(aml, 0);
	put_byte(aml, METHOD_OP);
	begin = aml->used;
	put_text(aml, "\\_PIC");
	put_byte(aml, 1);	/* argument */
	put_byte(aml, STORE_OP);
	put_byte(aml, ARG0_OP);
	put_text(aml, "\\PICM");
	end_package(aml, begin);
}

static void put_words(struct aml *aml, uint8_t type, uint8_t flags, uint16_t first,
		      uint16_t count)
{
	put_byte(aml, WORDS_TAG);
	put_word(aml, WORDS_BYTES);
	put_byte(aml, type);
	put_byte(aml, WORDS_FIXED);
	put_byte(aml, flags);
	put_word(aml, 0);	/* any */
	put_word(aml, first);
	put_word(aml, first + count - 1);
	put_word(aml, 0);	/* there is no other side with other numbers */
	put_word(aml, count);
}

#define PCI_RESOURCES_BYTES	(2 * (3 + WORDS_BYTES) + 8 + 2)

/* Name (_CRS, Buffer { the bus of number 0, its own ports, those for devices }) */
static void put_pci_resources(struct aml *aml)
{
	size_t begin;

	put_name(aml, "_CRS");
	put_byte(aml, BUFFER_OP);
	begin = aml->used;
	put_byte_constant(aml, PCI_RESOURCES_BYTES);
	put_words(aml, WORDS_BUSES, 0, 0, 1);
	put_byte(aml, IO_TAG);
	put_byte(aml, DECODE_16);
	put_word(aml, CONFIG_PORTS);
	put_word(aml, CONFIG_PORTS);
	put_byte(aml, 1);
	put_byte(aml, CONFIG_BYTES);
	put_words(aml, WORDS_PORTS, WORDS_ALL_PORTS, PC_PCI_PORTS, PC_PCI_PORTS_BYTES);
	put_byte(aml, END_TAG);
	put_byte(aml, 0);
	end_package(aml, begin);
}

/* Package { device << 16 | all its functions, pin, 0, input of the controller } */
static void put_route(struct aml *aml, unsigned int device, unsigned int pin,
		      unsigned int input)
{
	size_t begin;

	put_byte(aml, PACKAGE_OP);
	begin = aml->used;
	put_byte(aml, 4);
	put_byte(aml, DWORD_PREFIX);
	put_word(aml, 0xffff);
	put_word(aml, device);
	put_byte_constant(aml, pin);
	put_byte(aml, 0);
	put_byte_constant(aml, input);
	end_package(aml, begin);
}

/* Name (name, Package { the routes of all devices' pins }) */
static void put_routes(struct aml *aml, const char *name, bool ioapic)
{
	size_t begin;

	put_name(aml, name);
	put_byte(aml, PACKAGE_OP);
	begin = aml->used;
	put_byte(aml, PC_PCI_SLOTS * PCI_PINS);
	for (unsigned int n = 0; n < PC_PCI_SLOTS * PCI_PINS; n++) {
		unsigned int device = 1 + n / PCI_PINS, pin = n % PCI_PINS;

		put_route(aml, device, pin,
			  ioapic ? PC_PIN_PCI + pc_pci_wire(device, pin) : PC_PCI_IRQ);
	}
	end_package(aml, begin);
}

/* Method (_PRT) { If (\\PICM) { Return (APRT) } Return (PPRT) } */
static void put_routing(struct aml *aml)
{
	size_t begin, yes;

	put_routes(aml, "APRT", true);
	put_routes(aml, "PPRT", false);
	put_byte(aml, METHOD_OP);
	begin = aml->used;
	put_text(aml, "_PRT");
	put_byte(aml, 0);	/* arguments */
	put_byte(aml, IF_OP);
	yes = aml->used;
	put_text(aml, "\\PICM");
	put_byte(aml, RETURN_OP);
	put_text(aml, "APRT");
	end_package(aml, yes);
	put_byte(aml, RETURN_OP);
	put_text(aml, "PPRT");
	end_package(aml, begin);
}

static void put_pci(struct aml *aml)
{
	size_t begin;

	put_byte(aml, EXT_OP_PREFIX);
	put_byte(aml, DEVICE_OP);
	begin = aml->used;
	put_text(aml, "PCI0");
	put_hid(aml, PNP_PCI);
	put_pci_resources(aml);
	put_routing(aml);
	end_package(aml, begin);
}

/* --- all of it --- */

size_t aml_build(uint8_t *bytes, unsigned int cpus, bool pci)
{
	/* PNP0501: a 16550A; PNP0B00: an AT's clock. */
	static const struct isa_device serial = { "COM1", 0x0501, 0x3f8, 8, 4 };
	static const struct isa_device clock = { "RTC0", 0x0b00, 0x70, 2, 8 };
	struct aml aml = { .bytes = bytes };
	size_t begin;

	put_soft_off(&aml);
	if (pci)
		put_pic(&aml);
	put_byte(&aml, SCOPE_OP);
	begin = aml.used;
	put_text(&aml, "\\_SB_");
	put_device(&aml, &serial);
	put_device(&aml, &clock);
	for (unsigned int n = 0; n < cpus; n++)
		put_cpu(&aml, n);
	if (pci)
		put_pci(&aml);
	end_package(&aml, begin);
	return aml.used;
}
