// SPDX-License-Identifier: LGPL-2.1-or-later
/* After the ACPI Specification 5.0, "ACPI Machine Language (AML) Specification". */
#include <string.h>

#include "acpi_aml.h"
#include "acpi_ports.h"

#define NAME_OP		0x08
#define BYTE_PREFIX	0x0a
#define DWORD_PREFIX	0x0c
#define SCOPE_OP	0x10
#define BUFFER_OP	0x11
#define PACKAGE_OP	0x12
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

/*
 * Device (name) { Name (_HID, EisaId (hid)) Name (_CRS, Buffer { resources }) }
 *
 * Its id is "PNP", compressed to two bytes, and the number.
 */
static void put_device(struct aml *aml, const struct isa_device *device)
{
	size_t begin, buffer;

	put_byte(aml, EXT_OP_PREFIX);
	put_byte(aml, DEVICE_OP);
	begin = aml->used;
	put_text(aml, device->name);
	put_name(aml, "_HID");
	put_byte(aml, DWORD_PREFIX);
	put_text(aml, "A\xd0");
	put_byte(aml, device->pnp >> 8);
	put_byte(aml, device->pnp & 0xff);
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

size_t aml_build(uint8_t *bytes, unsigned int cpus)
{
	/* PNP0501: a 16550A; PNP0B00: an AT's clock. */
	static const struct isa_device serial = { "COM1", 0x0501, 0x3f8, 8, 4 };
	static const struct isa_device clock = { "RTC0", 0x0b00, 0x70, 2, 8 };
	struct aml aml = { .bytes = bytes };
	size_t begin;

	put_soft_off(&aml);
	put_byte(&aml, SCOPE_OP);
	begin = aml.used;
	put_text(&aml, "\\_SB_");
	put_device(&aml, &serial);
	put_device(&aml, &clock);
	for (unsigned int n = 0; n < cpus; n++)
		put_cpu(&aml, n);
	end_package(&aml, begin);
	return aml.used;
}
