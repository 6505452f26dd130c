// SPDX-License-Identifier: LGPL-2.1-or-later
/* After the MultiProcessor Specification 1.4, "MP Configuration Table". */
#include <errno.h>
#include <string.h>

#include "acpi.h"
#include "ioapic.h"
#include "mp_table.h"
#include "pc.h"
#include "sum.h"

#define PACKED		__attribute__((packed))
#define ALIGNMENT	16
#define REVISION	4	/* 1.4 */

#define OEM_ID		"VEE     "
#define PRODUCT_ID	"PC          "

#define LOCAL_APIC_GPA	0xfee00000
#define LOCAL_APIC_VERSION	0x14
#define ALL_APICS	0xff

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_PIN, ENTRY_LINT };

#define CPU_ENABLED	0x01
#define CPU_BOOTS	0x02
#define IOAPIC_ENABLED	0x01

enum { BUS_PCI, BUS_ISA };	/* numbers: PCI's first */

/* What an interrupt is delivered as. */
enum { AS_INT, AS_NMI, AS_SMI, AS_EXTINT };

/* Polarity and trigger mode. */
#define AS_THE_BUS	0x0000
#define HIGH_LEVEL	0x000d
#define LOW_LEVEL	0x000f

#define PCI_DEVICES	32
#define PCI_PINS	4
#define ISA_IRQS	16
#define ISA_CASCADE	2	/* of the 8259As: nobody's IRQ */

struct pointer {
	char signature[4];
	uint32_t table;
	uint8_t length;		/* in 16 bytes */
	uint8_t revision;
	uint8_t checksum;
	uint8_t features[5];	/* 0: there is a table; virtual wire, no IMCR */
} PACKED;

struct table {
	char signature[4];
	uint16_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[8];
	char product_id[12];
	uint32_t oem_table;
	uint16_t oem_bytes;
	uint16_t entries;
	uint32_t local_apic;
	uint16_t extended_bytes;
	uint8_t extended_checksum;
	uint8_t reserved;
} PACKED;

struct cpu_entry {
	uint8_t type;
	uint8_t apic_id;
	uint8_t apic_version;
	uint8_t flags;
	uint32_t signature;
	uint32_t features;
	uint32_t reserved[2];
} PACKED;

struct bus_entry {
	uint8_t type;
	uint8_t id;
	char name[6];
} PACKED;

struct ioapic_entry {
	uint8_t type;
	uint8_t id;
	uint8_t version;
	uint8_t flags;
	uint32_t address;
} PACKED;

/* Of a pin of the I/O APIC, or of all local APICs. */
struct interrupt_entry {
	uint8_t type;
	uint8_t as;
	uint16_t flags;
	uint8_t bus;
	uint8_t irq;
	uint8_t apic;
	uint8_t pin;
} PACKED;

/* The table as it grows. */
struct builder {
	uint8_t *bytes;
	size_t used;
	unsigned int entries;
};

static void put(struct builder *to, const void *entry, size_t bytes)
{
	memcpy(to->bytes + to->used, entry, bytes);
	to->used += bytes;
	to->entries++;
}

static void put_cpus(struct builder *to, const struct mp_cpus *cpus)
{
	for (unsigned int n = 0; n < cpus->count; n++) {
		const struct cpu_entry cpu = {
			.type = ENTRY_CPU, .apic_id = n, .apic_version = LOCAL_APIC_VERSION,
			.flags = n ? CPU_ENABLED : CPU_ENABLED | CPU_BOOTS,
			.signature = cpus->signature, .features = cpus->features,
		};

		put(to, &cpu, sizeof(cpu));
	}
}

static void put_buses(struct builder *to)
{
	static const struct bus_entry buses[] = {
		{ ENTRY_BUS, BUS_PCI, { 'P', 'C', 'I', ' ', ' ', ' ' } },
		{ ENTRY_BUS, BUS_ISA, { 'I', 'S', 'A', ' ', ' ', ' ' } },
	};

	put(to, &buses[0], sizeof(*buses));
	put(to, &buses[1], sizeof(*buses));
}

static void put_ioapic(struct builder *to, unsigned int id)
{
	const struct ioapic_entry ioapic = {
		.type = ENTRY_IOAPIC, .id = id, .version = IOAPIC_VERSION,
		.flags = IOAPIC_ENABLED, .address = IOAPIC_BASE,
	};

	put(to, &ioapic, sizeof(ioapic));
}

static void put_isa(struct builder *to, unsigned int ioapic)
{
	for (unsigned int irq = 0; irq < ISA_IRQS; irq++) {
		const struct interrupt_entry pin = {
			.type = ENTRY_PIN, .as = AS_INT, .bus = BUS_ISA, .irq = irq,
			.flags = irq == ACPI_IRQ ? HIGH_LEVEL : AS_THE_BUS,
			.apic = ioapic, .pin = irq ? irq : PC_PIN_TIMER,
		};

		if (irq != ISA_CASCADE)
			put(to, &pin, sizeof(pin));
	}
}

/* Whichever devices there are: the wires are the board's. */
static void put_pci(struct builder *to, unsigned int ioapic)
{
	for (unsigned int n = 0; n < PCI_DEVICES * PCI_PINS; n++) {
		const struct interrupt_entry pin = {
			.type = ENTRY_PIN, .as = AS_INT, .bus = BUS_PCI, .irq = n,
			.flags = LOW_LEVEL, .apic = ioapic,
			.pin = PC_PIN_PCI + pc_pci_wire(n / PCI_PINS, n % PCI_PINS),
		};

		put(to, &pin, sizeof(pin));
	}
}

static void put_lints(struct builder *to)
{
	static const struct interrupt_entry lints[] = {
		{ ENTRY_LINT, AS_EXTINT, AS_THE_BUS, BUS_ISA, 0, 0, 0 },
		{ ENTRY_LINT, AS_NMI, AS_THE_BUS, BUS_ISA, 0, ALL_APICS, 1 },
	};

	put(to, &lints[0], sizeof(*lints));
	put(to, &lints[1], sizeof(*lints));
}

static void put_head(struct table *table, const struct builder *built)
{
	memcpy(table->signature, "PCMP", sizeof(table->signature));
	table->length = built->used;
	table->revision = REVISION;
	memcpy(table->oem_id, OEM_ID, sizeof(table->oem_id));
	memcpy(table->product_id, PRODUCT_ID, sizeof(table->product_id));
	table->entries = built->entries;
	table->local_apic = LOCAL_APIC_GPA;
	put_sum(&table->checksum, table, built->used);
}

static void put_pointer(struct pointer *pointer, uint64_t gpa)
{
	memcpy(pointer->signature, "_MP_", sizeof(pointer->signature));
	pointer->table = gpa + sizeof(*pointer);
	pointer->length = sizeof(*pointer) / ALIGNMENT;
	pointer->revision = REVISION;
	put_sum(&pointer->checksum, pointer, sizeof(*pointer));
}

int mp_build(void *buf, size_t size, uint64_t gpa, const struct mp_cpus *cpus)
{
	uint8_t bytes[MP_TABLE_BYTES] = { 0 };
	struct table *table = (void *)(bytes + sizeof(struct pointer));
	struct builder built = { .bytes = (uint8_t *)table, .used = sizeof(*table) };
	unsigned int ioapic = ioapic_id(cpus->count);
	size_t all;

	if (gpa % ALIGNMENT || gpa < MP_AREA || gpa >= MP_AREA_END || !cpus->count ||
	    cpus->count > MP_CPUS)
		return -EINVAL;
	put_cpus(&built, cpus);
	put_buses(&built);
	put_ioapic(&built, ioapic);
	put_isa(&built, ioapic);
	put_pci(&built, ioapic);
	put_lints(&built);
	put_head(table, &built);
	put_pointer((void *)bytes, gpa);
	all = sizeof(struct pointer) + built.used;
	if (size < all || MP_AREA_END - gpa < all)
		return -ENOSPC;
	memcpy(buf, bytes, all);
	return all;
}
