// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/acpi.h"
#include "bench.h"

#define GPA	0xe0000

static struct acpi acpi;
static uint64_t begin_ns;

static void begin(void)
{
	struct acpi_config config = {
		.clock = &bench.clock, .irq = bench_line(9),
		.power_off = bench_call, .arg = &bench,
	};

	bench_begin();
	begin_ns = bench.now_ns;
	acpi_init(&acpi, &bench.ports, &config);
}

static void power_off(void)
{
	begin();
	CHECK_EQUAL(in(0x604, 2), 0x0001);
	out(0x604, 0x0401, 2);			/* a type alone */
	CHECK_EQUAL(in(0x604, 2), 0x0401);
	out(0x604, 0x2401, 2);			/* not this type */
	CHECK_EQUAL(bench.calls, 0);
	CHECK_EQUAL(in(0x604, 2), 0x0401);
	out(0x604, 0x2001, 2);
	CHECK_EQUAL(bench.calls, 1);
}

static void events(void)
{
	begin();
	CHECK_EQUAL(in(0x600, 4), 0);
	out(0x602, 0xffff, 2);
	CHECK_EQUAL(in(0x602, 2), 0x0721);
	outb(0x603, 0);				/* one byte of two */
	CHECK_EQUAL(in(0x602, 2), 0x0021);
	CHECK(!bench.lines[9]);
}

/* 3.579545 MHz: 315/88. */
static void the_timer(void)
{
	begin();
	CHECK_EQUAL(in(0x608, 4), 0);
	bench.now_ns += 88000000;
	CHECK_EQUAL(in(0x608, 4), 315000);
	CHECK_EQUAL(in(0x609, 2), 315000 >> 8 & 0xffff);
	bench.now_ns += 88000000000000;
	CHECK_EQUAL(in(0x608, 4), (uint32_t)(315000 + 315000000000));
}

static void the_timers_interrupt(void)
{
	begin();
	CHECK_EQUAL(acpi_next_ns(&acpi), CLOCK_NEVER);
	out(0x602, 1, 2);
	CHECK_EQUAL(acpi_next_ns(&acpi),
		    begin_ns + ((1ULL << 31) * 88000 + 314) / 315);
	bench.now_ns = acpi_next_ns(&acpi) - 1;
	acpi_advance(&acpi);
	CHECK(!bench.lines[9]);
	bench.now_ns++;
	acpi_advance(&acpi);
	CHECK(bench.lines[9]);
	CHECK_EQUAL(in(0x608, 4), 1U << 31);
	CHECK_EQUAL(acpi_next_ns(&acpi), CLOCK_NEVER);
	out(0x600, 1, 2);
	CHECK(!bench.lines[9]);
	CHECK_EQUAL(in(0x600, 2), 0);
	bench.now_ns = acpi_next_ns(&acpi);
	out(0x602, 0, 2);			/* flagged all the same */
	CHECK_EQUAL(in(0x600, 2), 1);
	CHECK(!bench.lines[9]);
}

/* --- tables --- */

static uint8_t area[0x1000];

static uint32_t dword(uint32_t gpa)
{
	uint32_t value = 0;

	if (CHECK(gpa >= GPA && gpa + 4 <= GPA + sizeof(area)))
		memcpy(&value, &area[gpa - GPA], 4);
	return value;
}

static uint8_t sum(uint32_t gpa, uint32_t bytes)
{
	uint8_t total = 0;

	if (!CHECK(gpa >= GPA && bytes <= sizeof(area) - (gpa - GPA)))
		return 1;
	while (bytes--)
		total += area[gpa++ - GPA];
	return total;
}

static bool is_table(uint32_t gpa, const char *signature, uint8_t revision)
{
	return CHECK(gpa >= GPA && gpa + 36 <= GPA + sizeof(area)) &&
	       CHECK(!memcmp(&area[gpa - GPA], signature, 4)) &&
	       CHECK_EQUAL(area[gpa + 8 - GPA], revision) &&
	       CHECK_EQUAL(sum(gpa, dword(gpa + 4)), 0);
}

static int build(void)
{
	memset(area, 0xcc, sizeof(area));
	return acpi_build(area, sizeof(area), GPA);
}

static void root_pointer(void)
{
	int bytes = build();

	CHECK(bytes > 0 && bytes < 0x400);
	CHECK_EQUAL(area[bytes], 0xcc);
	CHECK(!memcmp(area, "RSD PTR ", 8));
	CHECK_EQUAL(sum(GPA, 20), 0);
	CHECK_EQUAL(sum(GPA, 36), 0);
	CHECK_EQUAL(area[15], 2);
	is_table(dword(GPA + 16), "RSDT", 1);
	is_table(dword(GPA + 24), "XSDT", 1);
	CHECK_EQUAL(dword(GPA + 28), 0);
}

static void fadt(void)
{
	uint32_t at, facs;

	build();
	at = dword(dword(GPA + 16) + 36);
	CHECK_EQUAL(at, dword(dword(GPA + 24) + 36));
	if (!is_table(at, "FACP", 4))
		return;
	CHECK_EQUAL(dword(at + 4), 244);
	facs = dword(at + 36);
	CHECK_EQUAL(facs % 64, 0);
	CHECK(!memcmp(&area[facs - GPA], "FACS", 4));
	CHECK_EQUAL(dword(facs + 4), 64);
	CHECK_EQUAL(dword(at + 46) & 0xffff, 9);
	CHECK_EQUAL(dword(at + 48), 0);		/* no SMI command port */
	CHECK_EQUAL(dword(at + 56), 0x600);
	CHECK_EQUAL(dword(at + 64), 0x604);
	CHECK_EQUAL(dword(at + 76), 0x608);
	CHECK_EQUAL(dword(at + 109) & 0xffff, 0x001d);
	CHECK_EQUAL(dword(at + 112) & 0x400, 0x400);
	CHECK_EQUAL(dword(at + 116), 0x01000801);
	CHECK_EQUAL(dword(at + 120), 0xcf9);
	CHECK_EQUAL(area[at + 128 - GPA], 6);
	CHECK_EQUAL(dword(at + 152), 0x600);	/* X_PM1a_EVT_BLK's address */
	is_table(dword(at + 40), "DSDT", 2);
	CHECK_EQUAL(dword(at + 140), dword(at + 40));
}

static void hpet(void)
{
	uint32_t at;

	build();
	at = dword(dword(GPA + 16) + 40);
	CHECK_EQUAL(at, dword(dword(GPA + 24) + 44));
	if (!is_table(at, "HPET", 1))
		return;
	CHECK_EQUAL(dword(at + 4), 56);
	CHECK_EQUAL(dword(at + 36), 0x80868201);	/* as its register says */
	CHECK_EQUAL(dword(at + 40), 0x00004000);	/* memory */
	CHECK_EQUAL(dword(at + 44), 0xfed00000);
	CHECK_EQUAL(dword(at + 48), 0);
}

/* Found as firmware-less programs find it: by its bytes. */
static void soft_off(void)
{
	static const uint8_t name[] = {
		0x08, '\\', '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 0x00,
	};
	uint32_t at;

	build();
	at = dword(dword(dword(GPA + 16) + 36) + 40);
	CHECK(!memcmp(&area[at + 36 - GPA], name, sizeof(name)));
}

/* The lengths of packages within packages fill the table to its end. */
static void aml_lengths(void)
{
	uint32_t at, scope, device, end;

	build();
	at = dword(dword(dword(GPA + 16) + 36) + 40);
	end = at + dword(at + 4);
	scope = at + 36 + 15;
	CHECK_EQUAL(area[scope - GPA], 0x10);
	scope++;
	CHECK_EQUAL(scope + (area[scope - GPA] & 15) +
		    (area[scope + 1 - GPA] << 4), end);
	device = scope + 2 + 5;
	CHECK_EQUAL(area[device - GPA] | area[device + 1 - GPA] << 8, 0x825b);
	device += 2 + area[device + 2 - GPA];
	CHECK_EQUAL(area[device - GPA] | area[device + 1 - GPA] << 8, 0x825b);
	CHECK_EQUAL(device + 2 + area[device + 2 - GPA], end);
}

static void places(void)
{
	CHECK_EQUAL(acpi_build(area, 100, GPA), -ENOSPC);
	CHECK_EQUAL(acpi_build(area, sizeof(area), 0xfffc0), -ENOSPC);
	CHECK_EQUAL(acpi_build(area, sizeof(area), GPA + 16), -EINVAL);
	CHECK_EQUAL(acpi_build(area, sizeof(area), 0xdffc0), -EINVAL);
	CHECK_EQUAL(acpi_build(area, sizeof(area), 0x100000), -EINVAL);
	CHECK(acpi_build(area, sizeof(area), 0xf0000) > 0);
}

const struct test tests[] = {
	{ "power off", power_off },
	{ "events", events },
	{ "the timer", the_timer },
	{ "the timer's interrupt", the_timers_interrupt },
	{ "the root pointer", root_pointer },
	{ "FADT and FACS", fadt },
	{ "the HPET's table", hpet },
	{ "the soft-off state", soft_off },
	{ "AML lengths", aml_lengths },
	{ "where tables can be", places },
	{ 0 }
};
