// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After the ACPI Specification 5.0, "ACPI Software Programming Model", and the HPET's
 * table after the IA-PC HPET Specification 1.0a. A machine with neither local nor I/O
 * APIC has no MADT, which would have nothing to say.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "acpi.h"
#include "acpi_aml.h"
#include "acpi_ports.h"
#include "hpet.h"
#include "ioapic.h"
#include "pc.h"
#include "sum.h"

#define PACKED		__attribute__((packed))
#define ALIGNMENT	64	/* the FACS' */

#define OEM_ID		"VEE   "
#define OEM_TABLE_ID	"VEE     "
#define OEM_REVISION	1
#define CREATOR_ID	"VEE "

#define RSDP_REVISION	2
#define RSDP_V1_BYTES	20	/* what its first sum is over */
#define RSDT_REVISION	1
#define FADT_REVISION	4
#define FACS_VERSION	1
#define DSDT_REVISION	2	/* 64-bit integers */
#define HPET_REVISION	1
#define MADT_REVISION	3

/* FADT, IAPC_BOOT_ARCH. That of the 8042 is off: there is no keyboard. */
#define LEGACY_DEVICES	0x0001	/* such as serial ports */
#define VGA_NOT_PRESENT	0x0004
#define MSI_NOT_SUPPORTED	0x0008
#define PCIE_ASPM_CONTROLS	0x0010

/* FADT, Flags. Buttons that aren't fixed hardware: there are none. */
#define WBINVD		0x0001
#define PROC_C1		0x0004
#define PWR_BUTTON	0x0010
#define SLP_BUTTON	0x0020
#define FIX_RTC		0x0040
#define TMR_VAL_EXT	0x0100	/* the timer has 32 bits */
#define RESET_REG_SUP	0x0400

#define NO_C2_LATENCY	101	/* in microseconds: more than the most */
#define NO_C3_LATENCY	1001
#define CMOS_CENTURY	0x32
#define RESET_PORT	0xcf9
#define RESET_VALUE	0x06

/* MADT. */
#define LOCAL_APIC_GPA	0xfee00000
#define PCAT_COMPAT	1	/* there are 8259As, too */
#define MADT_CPU	0
#define MADT_IOAPIC	1
#define MADT_OVERRIDE	2
#define MADT_NMI	4
#define CPU_ENABLED	1
#define BUS_ISA		0
#define AS_ISA		0x0	/* edges, active high */
#define LEVEL_HIGH	0xd
#define ALL_CPUS	0xff
#define LINT1		1

/* Generic addresses. */
#define SYSTEM_MEMORY	0
#define SYSTEM_IO	1
#define BYTE_ACCESS	1
#define WORD_ACCESS	2
#define DWORD_ACCESS	3

struct generic_address {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} PACKED;

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;

/* Of root tables' entries: FADT, HPET, MADT. */
#define ROOT_TABLES	3

struct rsdt {
	struct header header;
	uint32_t tables[];
} PACKED;

struct xsdt {
	struct header header;
	uint64_t tables[];
} PACKED;

struct fadt {
	struct header header;
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t reserved;
	uint8_t preferred_pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable;
	uint8_t acpi_disable;
	uint8_t s4bios_req;
	uint8_t pstate_cnt;
	uint32_t pm1a_evt_blk;
	uint32_t pm1b_evt_blk;
	uint32_t pm1a_cnt_blk;
	uint32_t pm1b_cnt_blk;
	uint32_t pm2_cnt_blk;
	uint32_t pm_tmr_blk;
	uint32_t gpe0_blk;
	uint32_t gpe1_blk;
	uint8_t pm1_evt_len;
	uint8_t pm1_cnt_len;
	uint8_t pm2_cnt_len;
	uint8_t pm_tmr_len;
	uint8_t gpe0_blk_len;
	uint8_t gpe1_blk_len;
	uint8_t gpe1_base;
	uint8_t cst_cnt;
	uint16_t p_lvl2_lat;
	uint16_t p_lvl3_lat;
	uint16_t flush_size;
	uint16_t flush_stride;
	uint8_t duty_offset;
	uint8_t duty_width;
	uint8_t day_alrm;
	uint8_t mon_alrm;
	uint8_t century;
	uint16_t iapc_boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct generic_address reset_reg;
	uint8_t reset_value;
	uint8_t reserved3[3];
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	struct generic_address x_pm1a_evt_blk;
	struct generic_address x_pm1b_evt_blk;
	struct generic_address x_pm1a_cnt_blk;
	struct generic_address x_pm1b_cnt_blk;
	struct generic_address x_pm2_cnt_blk;
	struct generic_address x_pm_tmr_blk;
	struct generic_address x_gpe0_blk;
	struct generic_address x_gpe1_blk;
} PACKED;

struct facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature;
	uint32_t waking_vector;
	uint32_t global_lock;
	uint32_t flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[31];
} PACKED;

struct hpet_table {
	struct header header;
	uint32_t id;
	struct generic_address base;
	uint8_t number;
	uint16_t min_tick;
	uint8_t page_protection;
} PACKED;

struct madt_cpu {
	uint8_t type;
	uint8_t length;
	uint8_t uid;
	uint8_t apic_id;
	uint32_t flags;
} PACKED;

struct madt_ioapic {
	uint8_t type;
	uint8_t length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t first_gsi;
} PACKED;

struct madt_override {
	uint8_t type;
	uint8_t length;
	uint8_t bus;
	uint8_t irq;
	uint32_t gsi;
	uint16_t flags;
} PACKED;

struct madt_nmi {
	uint8_t type;
	uint8_t length;
	uint8_t uid;
	uint16_t flags;
	uint8_t lint;
} PACKED;

/* Then struct madt_cpu for each. */
struct madt {
	struct header header;
	uint32_t local_apic;
	uint32_t flags;
	struct madt_ioapic ioapic;
	struct madt_override timer;
	struct madt_override sci;
	struct madt_nmi nmi;
	struct madt_cpu cpus[];
} PACKED;

/* --- the tables --- */

/* Where each begins, from the first on; those of no bytes are not there. */
struct places {
	const struct acpi_machine *machine;
	uint32_t facs;
	uint32_t rsdt;
	uint32_t xsdt;
	uint32_t fadt;
	uint32_t hpet;
	uint32_t madt;
	uint32_t dsdt;
};

static unsigned int root_tables(const struct acpi_machine *machine)
{
	return 1 + machine->hpet + !!machine->cpus;
}

static size_t madt_bytes(unsigned int cpus)
{
	return cpus ? sizeof(struct madt) + cpus * sizeof(struct madt_cpu) : 0;
}

static struct places find_places(const struct acpi_machine *machine)
{
	struct places at = { .machine = machine, .facs = ALIGNMENT };
	unsigned int count = root_tables(machine);

	at.rsdt = at.facs + sizeof(struct facs);
	at.xsdt = at.rsdt + sizeof(struct rsdt) + count * sizeof(uint32_t);
	at.fadt = at.xsdt + sizeof(struct xsdt) + count * sizeof(uint64_t);
	at.hpet = at.fadt + sizeof(struct fadt);
	at.madt = at.hpet + (machine->hpet ? sizeof(struct hpet_table) : 0);
	at.dsdt = at.madt + madt_bytes(machine->cpus);
	return at;
}

static void put_header(struct header *header, const char *signature,
		       size_t bytes, uint8_t revision)
{
	memcpy(header->signature, signature, sizeof(header->signature));
	header->length = bytes;
	header->revision = revision;
	memcpy(header->oem_id, OEM_ID, sizeof(header->oem_id));
	memcpy(header->oem_table_id, OEM_TABLE_ID, sizeof(header->oem_table_id));
	header->oem_revision = OEM_REVISION;
	memcpy(header->creator_id, CREATOR_ID, sizeof(header->creator_id));
	header->creator_revision = OEM_REVISION;
	put_sum(&header->checksum, header, bytes);
}

static struct generic_address io_port(uint16_t port, unsigned int bytes,
				      uint8_t access_size)
{
	return (struct generic_address) {
		.space = SYSTEM_IO, .bit_width = 8 * bytes,
		.access_size = access_size, .address = port,
	};
}

static void put_pm_blocks(struct fadt *fadt)
{
	fadt->sci_int = ACPI_IRQ;
	fadt->pm1a_evt_blk = ACPI_PM1_EVENTS;
	fadt->pm1a_cnt_blk = ACPI_PM1_CONTROL;
	fadt->pm_tmr_blk = ACPI_TIMER;
	fadt->pm1_evt_len = ACPI_PM1_EVENT_BYTES;
	fadt->pm1_cnt_len = ACPI_PM1_CONTROL_BYTES;
	fadt->pm_tmr_len = ACPI_TIMER_BYTES;
	fadt->x_pm1a_evt_blk = io_port(ACPI_PM1_EVENTS, ACPI_PM1_EVENT_BYTES,
				       WORD_ACCESS);
	fadt->x_pm1a_cnt_blk = io_port(ACPI_PM1_CONTROL,
				       ACPI_PM1_CONTROL_BYTES, WORD_ACCESS);
	fadt->x_pm_tmr_blk = io_port(ACPI_TIMER, ACPI_TIMER_BYTES, DWORD_ACCESS);
}

/* Messages are supported as soon as there is someone who takes them. */
static void put_fadt(struct fadt *fadt, uint32_t gpa, const struct places *at)
{
	fadt->firmware_ctrl = gpa + at->facs;
	fadt->dsdt = gpa + at->dsdt;
	fadt->x_dsdt = fadt->dsdt;
	put_pm_blocks(fadt);
	fadt->p_lvl2_lat = NO_C2_LATENCY;
	fadt->p_lvl3_lat = NO_C3_LATENCY;
	fadt->century = CMOS_CENTURY;
	fadt->iapc_boot_arch = LEGACY_DEVICES | VGA_NOT_PRESENT |
			       PCIE_ASPM_CONTROLS;
	if (!at->machine->cpus)
		fadt->iapc_boot_arch |= MSI_NOT_SUPPORTED;
	fadt->flags = WBINVD | PROC_C1 | PWR_BUTTON | SLP_BUTTON | FIX_RTC |
		      TMR_VAL_EXT | RESET_REG_SUP;
	fadt->reset_reg = io_port(RESET_PORT, 1, BYTE_ACCESS);
	fadt->reset_value = RESET_VALUE;
	put_header(&fadt->header, "FACP", sizeof(*fadt), FADT_REVISION);
}

static void put_hpet(struct hpet_table *hpet)
{
	hpet->id = HPET_ID;
	hpet->base = (struct generic_address) {
		.space = SYSTEM_MEMORY, .bit_width = 64, .address = HPET_BASE,
	};
	hpet->min_tick = 1;	/* whatever is missed merges */
	put_header(&hpet->header, "HPET", sizeof(*hpet), HPET_REVISION);
}

static void put_madt(struct madt *madt, unsigned int cpus)
{
	madt->local_apic = LOCAL_APIC_GPA;
	madt->flags = PCAT_COMPAT;
	madt->ioapic = (struct madt_ioapic) {
		.type = MADT_IOAPIC, .length = sizeof(madt->ioapic),
		.id = ioapic_id(cpus), .address = IOAPIC_BASE,
	};
	madt->timer = (struct madt_override) {
		.type = MADT_OVERRIDE, .length = sizeof(madt->timer),
		.bus = BUS_ISA, .irq = 0, .gsi = PC_PIN_TIMER, .flags = AS_ISA,
	};
	madt->sci = (struct madt_override) {
		.type = MADT_OVERRIDE, .length = sizeof(madt->sci),
		.bus = BUS_ISA, .irq = ACPI_IRQ, .gsi = ACPI_IRQ, .flags = LEVEL_HIGH,
	};
	madt->nmi = (struct madt_nmi) {
		.type = MADT_NMI, .length = sizeof(madt->nmi), .uid = ALL_CPUS,
		.flags = AS_ISA, .lint = LINT1,
	};
	for (unsigned int n = 0; n < cpus; n++)
		madt->cpus[n] = (struct madt_cpu) {
			.type = MADT_CPU, .length = sizeof(*madt->cpus),
			.uid = n, .apic_id = n, .flags = CPU_ENABLED,
		};
	put_header(&madt->header, "APIC", madt_bytes(cpus), MADT_REVISION);
}

static void put_facs(struct facs *facs)
{
	memcpy(facs->signature, "FACS", sizeof(facs->signature));
	facs->length = sizeof(*facs);
	facs->version = FACS_VERSION;
}

static void put_rsdp(struct rsdp *rsdp, uint32_t gpa, const struct places *at)
{
	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, OEM_ID, sizeof(rsdp->oem_id));
	rsdp->revision = RSDP_REVISION;
	rsdp->rsdt = gpa + at->rsdt;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = gpa + at->xsdt;
	put_sum(&rsdp->checksum, rsdp, RSDP_V1_BYTES);
	put_sum(&rsdp->extended_checksum, rsdp, sizeof(*rsdp));
}

static void put_roots(struct rsdt *rsdt, struct xsdt *xsdt, uint32_t gpa,
		      const struct places *at)
{
	const uint32_t tables[ROOT_TABLES] = {
		at->fadt, at->machine->hpet ? at->hpet : 0, at->machine->cpus ? at->madt : 0,
	};
	unsigned int count = 0;

	for (unsigned int i = 0; i < ROOT_TABLES; i++) {
		if (!tables[i])
			continue;
		rsdt->tables[count] = gpa + tables[i];
		xsdt->tables[count++] = gpa + tables[i];
	}
	put_header(&rsdt->header, "RSDT", sizeof(*rsdt) + count * sizeof(*rsdt->tables),
		   RSDT_REVISION);
	put_header(&xsdt->header, "XSDT", sizeof(*xsdt) + count * sizeof(*xsdt->tables),
		   RSDT_REVISION);
}

static size_t put_dsdt(struct header *dsdt, const struct acpi_machine *machine)
{
	size_t bytes = sizeof(*dsdt) + aml_build((uint8_t *)(dsdt + 1), machine->cpus,
						 machine->pci);

	put_header(dsdt, "DSDT", bytes, DSDT_REVISION);
	return bytes;
}

/* Returns how many bytes there are, up to where a next one could begin. */
static size_t put_tables(uint8_t *tables, uint32_t gpa, const struct acpi_machine *machine)
{
	struct places at = find_places(machine);
	size_t end;

	put_rsdp((void *)tables, gpa, &at);
	put_facs((void *)&tables[at.facs]);
	put_roots((void *)&tables[at.rsdt], (void *)&tables[at.xsdt], gpa, &at);
	put_fadt((void *)&tables[at.fadt], gpa, &at);
	if (machine->hpet)
		put_hpet((void *)&tables[at.hpet]);
	if (machine->cpus)
		put_madt((void *)&tables[at.madt], machine->cpus);
	end = at.dsdt + put_dsdt((void *)&tables[at.dsdt], machine);
	return (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int acpi_build(void *buf, size_t size, uint64_t gpa, const struct acpi_machine *machine)
{
	uint8_t tables[ACPI_TABLES_BYTES] = { 0 };
	size_t bytes;

	if (gpa % ALIGNMENT || gpa < ACPI_AREA || gpa >= ACPI_AREA_END ||
	    machine->cpus > ACPI_CPUS)
		return -EINVAL;
	bytes = put_tables(tables, gpa, machine);
	if (size < bytes || ACPI_AREA_END - gpa < bytes)
		return -ENOSPC;
	memcpy(buf, tables, bytes);
	return bytes;
}
