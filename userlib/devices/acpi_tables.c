// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After the ACPI Specification 5.0, "ACPI Software Programming Model", and the HPET's
 * table after the IA-PC HPET Specification 1.0a. There is no MADT: with neither local
 * nor I/O APIC it would have nothing to say.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "acpi.h"
#include "acpi_ports.h"
#include "hpet.h"

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

struct rsdt {
	struct header header;
	uint32_t fadt;
	uint32_t hpet;
} PACKED;

struct xsdt {
	struct header header;
	uint64_t fadt;
	uint64_t hpet;
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

/* --- AML, as far as the DSDT takes it --- */

#define NAME_OP		0x08
#define BYTE_PREFIX	0x0a
#define DWORD_PREFIX	0x0c
#define SCOPE_OP	0x10
#define BUFFER_OP	0x11
#define PACKAGE_OP	0x12
#define EXT_OP_PREFIX	0x5b
#define DEVICE_OP	0x82
#define LENGTH_2	0x40	/* of a length's first byte: there is a second */
#define NAME_BYTES	4
/* Without the NUL: there is no room for it, which newer compilers warn of. */
#define NAME(text)	{ (text)[0], (text)[1], (text)[2], (text)[3] }
#define ROOT_NAME(text)	{ '\\', (text)[0], (text)[1], (text)[2], (text)[3] }

/* Small resource descriptors: the tag's low three bits are the length. */
#define IRQ_TAG		0x22
#define IO_TAG		0x47
#define END_TAG		0x79
#define DECODE_16	0x01

/* Name (\_S5, Package { SLP_TYPa, SLP_TYPb, 0, 0 }) */
struct aml_s5 {
	uint8_t name_op;
	char name[1 + NAME_BYTES];
	uint8_t package_op;
	uint8_t length;
	uint8_t count;
	uint8_t a_prefix, slp_typ_a;
	uint8_t b_prefix, slp_typ_b;
	uint8_t reserved[2];
} PACKED;

/* IO (Decode16, port, port, 1, count), IRQNoFlags {irq} */
struct aml_resources {
	uint8_t io_tag;
	uint8_t decode;
	uint16_t min_port;
	uint16_t max_port;
	uint8_t alignment;
	uint8_t count;
	uint8_t irq_tag;
	uint16_t irqs;
	uint8_t end_tag;
	uint8_t checksum;	/* 0: none */
} PACKED;

/* Device (name) { Name (_HID, EisaId (hid)) Name (_CRS, Buffer { resources }) } */
struct aml_device {
	uint8_t ext_op;
	uint8_t device_op;
	uint8_t length;
	char name[NAME_BYTES];
	uint8_t hid_op;
	char hid_name[NAME_BYTES];
	uint8_t hid_prefix;
	uint8_t hid[4];
	uint8_t crs_op;
	char crs_name[NAME_BYTES];
	uint8_t buffer_op;
	uint8_t buffer_length;
	uint8_t size_prefix;
	uint8_t size;
	struct aml_resources resources;
} PACKED;

/* Scope (\_SB) { what systems with ACPI don't look for elsewhere } */
struct aml_scope {
	uint8_t scope_op;
	uint8_t length[2];
	char name[1 + NAME_BYTES];
	struct aml_device serial;
	struct aml_device clock;
} PACKED;

struct aml {
	struct aml_s5 s5;
	struct aml_scope scope;
} PACKED;

/* A package's length counts from itself on. */
#define LENGTH_FROM(type, member)	(sizeof(type) - offsetof(type, member))

static struct aml_s5 soft_off(void)
{
	return (struct aml_s5) {
		.name_op = NAME_OP, .name = ROOT_NAME("_S5_"),
		.package_op = PACKAGE_OP,
		.length = LENGTH_FROM(struct aml_s5, length), .count = 4,
		.a_prefix = BYTE_PREFIX, .slp_typ_a = ACPI_SOFT_OFF,
		.b_prefix = BYTE_PREFIX, .slp_typ_b = ACPI_SOFT_OFF,
	};
}

static struct aml_resources resources(uint16_t port, uint8_t count,
				      unsigned int irq)
{
	return (struct aml_resources) {
		.io_tag = IO_TAG, .decode = DECODE_16, .min_port = port,
		.max_port = port, .alignment = 1, .count = count,
		.irq_tag = IRQ_TAG, .irqs = 1 << irq, .end_tag = END_TAG,
	};
}

/* Its id is "PNP", compressed to two bytes, and the number. */
static struct aml_device device(const char *name, uint16_t pnp,
				struct aml_resources resources)
{
	struct aml_device device = {
		.ext_op = EXT_OP_PREFIX, .device_op = DEVICE_OP,
		.length = LENGTH_FROM(struct aml_device, length),
		.hid_op = NAME_OP, .hid_name = NAME("_HID"),
		.hid_prefix = DWORD_PREFIX,
		.hid = { 0x41, 0xd0, pnp >> 8, pnp & 0xff },
		.crs_op = NAME_OP, .crs_name = NAME("_CRS"), .buffer_op = BUFFER_OP,
		.buffer_length = LENGTH_FROM(struct aml_device, buffer_length),
		.size_prefix = BYTE_PREFIX, .size = sizeof(resources),
		.resources = resources,
	};

	memcpy(device.name, name, NAME_BYTES);
	return device;
}

static void put_aml(struct aml *aml)
{
	unsigned int length = LENGTH_FROM(struct aml_scope, length);

	aml->s5 = soft_off();
	aml->scope = (struct aml_scope) {
		.scope_op = SCOPE_OP,
		.length = { LENGTH_2 | (length & 15), length >> 4 },
		.name = ROOT_NAME("_SB_"),
		/* PNP0501: a 16550A; PNP0B00: an AT's clock. */
		.serial = device("COM1", 0x0501, resources(0x3f8, 8, 4)),
		.clock = device("RTC0", 0x0b00, resources(0x70, 2, 8)),
	};
}

/* --- the tables --- */

struct dsdt {
	struct header header;
	struct aml aml;
} PACKED;

/* All of them, as they lie in the guest's memory. */
struct tables {
	struct rsdp rsdp;
	struct facs facs __attribute__((aligned(ALIGNMENT)));
	struct rsdt rsdt;
	struct xsdt xsdt;
	struct fadt fadt;
	struct hpet_table hpet;
	struct dsdt dsdt;
};

/* What must be at @sum so that all bytes add up to 0. */
static void put_sum(uint8_t *sum, const void *table, size_t bytes)
{
	const uint8_t *at = table;

	*sum = 0;
	for (size_t i = 0; i < bytes; i++)
		*sum -= &at[i] == sum ? 0 : at[i];
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

static void put_fadt(struct tables *tables, uint32_t gpa)
{
	struct fadt *fadt = &tables->fadt;

	fadt->firmware_ctrl = gpa + offsetof(struct tables, facs);
	fadt->dsdt = gpa + offsetof(struct tables, dsdt);
	fadt->x_dsdt = fadt->dsdt;
	put_pm_blocks(fadt);
	fadt->p_lvl2_lat = NO_C2_LATENCY;
	fadt->p_lvl3_lat = NO_C3_LATENCY;
	fadt->century = CMOS_CENTURY;
	fadt->iapc_boot_arch = LEGACY_DEVICES | VGA_NOT_PRESENT |
			       MSI_NOT_SUPPORTED | PCIE_ASPM_CONTROLS;
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

static void put_rsdp(struct rsdp *rsdp, uint32_t gpa)
{
	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, OEM_ID, sizeof(rsdp->oem_id));
	rsdp->revision = RSDP_REVISION;
	rsdp->rsdt = gpa + offsetof(struct tables, rsdt);
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = gpa + offsetof(struct tables, xsdt);
	put_sum(&rsdp->checksum, rsdp, RSDP_V1_BYTES);
	put_sum(&rsdp->extended_checksum, rsdp, sizeof(*rsdp));
}

static void put_tables(struct tables *tables, uint32_t gpa)
{
	uint32_t fadt = gpa + offsetof(struct tables, fadt);
	uint32_t hpet = gpa + offsetof(struct tables, hpet);

	put_rsdp(&tables->rsdp, gpa);
	memcpy(tables->facs.signature, "FACS", sizeof(tables->facs.signature));
	tables->facs.length = sizeof(tables->facs);
	tables->facs.version = FACS_VERSION;
	tables->rsdt.fadt = fadt;
	tables->rsdt.hpet = hpet;
	put_header(&tables->rsdt.header, "RSDT", sizeof(tables->rsdt),
		   RSDT_REVISION);
	tables->xsdt.fadt = fadt;
	tables->xsdt.hpet = hpet;
	put_header(&tables->xsdt.header, "XSDT", sizeof(tables->xsdt),
		   RSDT_REVISION);
	put_fadt(tables, gpa);
	put_hpet(&tables->hpet);
	put_aml(&tables->dsdt.aml);
	put_header(&tables->dsdt.header, "DSDT", sizeof(tables->dsdt),
		   DSDT_REVISION);
}

int acpi_build(void *buf, size_t size, uint64_t gpa)
{
	struct tables tables = { 0 };

	if (gpa % ALIGNMENT || gpa < ACPI_AREA || gpa >= ACPI_AREA_END)
		return -EINVAL;
	if (size < sizeof(tables) || ACPI_AREA_END - gpa < sizeof(tables))
		return -ENOSPC;
	put_tables(&tables, gpa);
	memcpy(buf, &tables, sizeof(tables));
	return sizeof(tables);
}
