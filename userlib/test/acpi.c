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

/* Of what would go on in the next register the device has what is in its own. */
static void odd_bytes(void)
{
	begin();
	out(0x602, 0x121, 2);
	CHECK_EQUAL(in(0x603, 1), 1);
	CHECK_EQUAL(in(0x603, 2), 0xff01);
	out(0x603, 0xff00, 2);
	CHECK_EQUAL(in(0x602, 2), 0x21);
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

static int build_at(size_t size, uint64_t gpa, unsigned int cpus, bool pci)
{
	const struct acpi_machine machine = { .cpus = cpus, .hpet = true, .pci = pci };

	return acpi_build(area, size, gpa, &machine);
}

static int build_with(unsigned int cpus)
{
	memset(area, 0xcc, sizeof(area));
	return build_at(sizeof(area), GPA, cpus, false);
}

static int build(void)
{
	return build_with(0);
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

static uint32_t find_bytes(uint32_t at, uint32_t end, const void *bytes, size_t count)
{
	while (at + count <= end && memcmp(&area[at - GPA], bytes, count))
		at++;
	return at + count <= end ? at : 0;
}

/* Devices 1 to 4, each with four pins; one further on with each device, or all at IRQ11. */
static void check_routes(uint32_t at, bool ioapic)
{
	CHECK_EQUAL(area[at - GPA], 0x12);
	CHECK_EQUAL(area[at + 3 - GPA], 16);
	at += 4;
	for (unsigned int n = 0; n < 16; n++) {
		const uint8_t route[] = {
			0x12, 0x0c, 0x04, 0x0c, 0xff, 0xff, 1 + n / 4, 0,
			0x0a, n % 4, 0x00, 0x0a,
			ioapic ? 16 + (1 + n / 4 + n % 4) % 4 : 11,
		};

		CHECK(!memcmp(&area[at - GPA], route, sizeof(route)));
		at += sizeof(route);
	}
}

/* Devices are in the scope to its end, the last one the bus, and its method to that. */
static void pci_bus(void)
{
	static const uint8_t method[] = {
		0x14, 0x17, '_', 'P', 'R', 'T', 0x00,
		0xa0, 0x0b, '\\', 'P', 'I', 'C', 'M', 0xa4, 'A', 'P', 'R', 'T',
		0xa4, 'P', 'P', 'R', 'T',
	};
	static const uint8_t mode[] = {
		0x08, '\\', 'P', 'I', 'C', 'M', 0x00,
		0x14, 0x0e, '\\', '_', 'P', 'I', 'C', 0x01, 0x70, 0x68, '\\', 'P', 'I', 'C', 'M',
	};
	uint32_t at, end, bus;

	memset(area, 0xcc, sizeof(area));
	CHECK(build_at(sizeof(area), GPA, 2, true) > 0);
	at = dword(dword(dword(GPA + 16) + 36) + 40);
	end = at + dword(at + 4);
	CHECK_EQUAL(sum(at, dword(at + 4)), 0);
	CHECK_EQUAL(find_bytes(at, end, mode, sizeof(mode)), at + 36 + 15);
	bus = find_bytes(at, end, "PCI0\x08_HID\x0c\x41\xd0\x0a\x03", 14);
	CHECK(bus);
	CHECK_EQUAL(bus - 2 + (area[bus - 2 - GPA] & 15) + (area[bus - 1 - GPA] << 4), end);
	CHECK_EQUAL(find_bytes(at, end, method, sizeof(method)), end - sizeof(method));
	check_routes(find_bytes(at, end, "APRT", 4) + 4, true);
	check_routes(find_bytes(at, end, "PPRT", 4) + 4, false);
}

static void places(void)
{
	CHECK_EQUAL(build_at(100, GPA, 0, false), -ENOSPC);
	CHECK_EQUAL(build_at(sizeof(area), 0xfffc0, 0, false), -ENOSPC);
	CHECK_EQUAL(build_at(sizeof(area), GPA + 16, 0, false), -EINVAL);
	CHECK_EQUAL(build_at(sizeof(area), 0xdffc0, 0, false), -EINVAL);
	CHECK_EQUAL(build_at(sizeof(area), 0x100000, 0, false), -EINVAL);
	CHECK(build_at(sizeof(area), 0xf0000, 0, false) > 0);
	CHECK_EQUAL(build_at(sizeof(area), GPA, 65, false), -EINVAL);
	CHECK_EQUAL(build_at(0x400, GPA, 64, false), -ENOSPC);
	CHECK_EQUAL(build_at(sizeof(area), 0xffc00, 64, false), -ENOSPC);
	CHECK(build_at(ACPI_TABLES_BYTES, GPA, ACPI_CPUS, true) > 0);
}

/* What a machine without APICs has had from the first version on, to the byte. */
static void without_apics(void)
{
	uint64_t hash = 0xcbf29ce484222325;	/* FNV-1a */
	int bytes = build();

	for (int i = 0; i < bytes; i++)
		hash = (hash ^ area[i]) * 0x100000001b3;
	CHECK_EQUAL(bytes, 704);
	CHECK_EQUAL(hash, 0x56d2f3e41a7dd905);
}

/* --- with APICs --- */

static const unsigned int cpu_counts[] = { 1, 2, 3, 4, 15, 16, 63, 64 };

static unsigned int byte(uint32_t gpa)
{
	return dword(gpa) & 0xff;
}

static void check_cpus(uint32_t at, unsigned int cpus)
{
	for (unsigned int n = 0; n < cpus; n++, at += 8) {
		CHECK_EQUAL(dword(at), n << 24 | n << 16 | 0x0800);
		CHECK_EQUAL(dword(at + 4), 1);
	}
}

static void madt(void)
{
	for (unsigned int i = 0; i < sizeof(cpu_counts) / sizeof(*cpu_counts); i++) {
		unsigned int cpus = cpu_counts[i];
		uint32_t at, fadt;
		int bytes = build_with(cpus);

		test_case("%u CPUs", cpus);
		CHECK(bytes > 0 && area[bytes] == 0xcc);
		is_table(dword(GPA + 16), "RSDT", 1);
		is_table(dword(GPA + 24), "XSDT", 1);
		fadt = dword(dword(GPA + 16) + 36);
		is_table(fadt, "FACP", 4);
		CHECK_EQUAL(dword(fadt + 109) & 0xffff, 0x0015);	/* MSIs */
		at = dword(dword(GPA + 16) + 44);
		CHECK_EQUAL(at, dword(dword(GPA + 24) + 52));
		CHECK_EQUAL(dword(dword(GPA + 16) + 4), 48);
		CHECK_EQUAL(dword(dword(GPA + 24) + 4), 60);
		if (!is_table(at, "APIC", 3))
			continue;
		CHECK_EQUAL(dword(at + 4), 82 + 8 * cpus);
		CHECK_EQUAL(dword(at + 36), 0xfee00000);
		CHECK_EQUAL(dword(at + 40), 1);
		CHECK_EQUAL(dword(at + 44), 0x0c01 | (cpus < 16 ? cpus : 0) << 16);
		CHECK_EQUAL(dword(at + 48), 0xfec00000);
		CHECK_EQUAL(dword(at + 52), 0);
		CHECK_EQUAL(dword(at + 56), 0x00000a02);	/* IRQ0 */
		CHECK_EQUAL(dword(at + 60), 2);
		CHECK_EQUAL(dword(at + 64), 0x0a020000);	/* no flags; IRQ9 */
		CHECK_EQUAL(dword(at + 68), 0x00090900);
		CHECK_EQUAL(dword(at + 72), 0x000d0000);
		CHECK_EQUAL(dword(at + 76), 0x00ff0604);	/* LINT1 of all */
		CHECK_EQUAL(dword(at + 80) & 0xffff, 0x0100);
		check_cpus(at + 82, cpus);
	}
	test_case("%s", "");
}

/* The MADT is then the next after the FADT, and the DSDT behind it. */
static void no_hpet(void)
{
	const struct acpi_machine machine = { .cpus = 2 };
	uint32_t at;
	int bytes;

	memset(area, 0xcc, sizeof(area));
	bytes = acpi_build(area, sizeof(area), GPA, &machine);
	CHECK(bytes > 0 && area[bytes] == 0xcc);
	CHECK(!find_bytes(GPA, GPA + bytes, "HPET", 4));
	is_table(dword(GPA + 16), "RSDT", 1);
	is_table(dword(GPA + 24), "XSDT", 1);
	CHECK_EQUAL(dword(dword(GPA + 16) + 4), 44);
	CHECK_EQUAL(dword(dword(GPA + 24) + 4), 52);
	at = dword(dword(GPA + 16) + 36);
	is_table(at, "FACP", 4);
	is_table(dword(at + 40), "DSDT", 2);
	at = dword(dword(GPA + 16) + 40);
	CHECK_EQUAL(at, dword(dword(GPA + 24) + 44));
	is_table(at, "APIC", 3);
	check_cpus(at + 82, 2);
}

/* From the scope's first byte: how many the length takes, and what it is. */
static unsigned int package_length(uint32_t gpa, uint32_t *length)
{
	unsigned int more = byte(gpa) >> 6;

	*length = more ? byte(gpa) & 15 : byte(gpa);
	for (unsigned int i = 1; i <= more; i++)
		*length |= byte(gpa + i) << (8 * i - 4);
	return more + 1;
}

static void processors(void)
{
	for (unsigned int i = 0; i < sizeof(cpu_counts) / sizeof(*cpu_counts); i++) {
		unsigned int cpus = cpu_counts[i];
		uint32_t at, end, length;

		test_case("%u CPUs", cpus);
		build_with(cpus);
		at = dword(dword(dword(GPA + 16) + 36) + 40);
		is_table(at, "DSDT", 2);
		end = at + dword(at + 4);
		at += 36 + 15 + 1;
		CHECK_EQUAL(package_length(at, &length), 2);
		CHECK_EQUAL(at + length, end);
		at = end - 13 * cpus;
		for (unsigned int n = 0; n < cpus; n++, at += 13) {
			char name[12];

			CHECK_EQUAL(dword(at) & 0xffffff, 0x0b835b);
			snprintf(name, sizeof(name), "C0%02X", n);
			CHECK(!memcmp(&area[at + 3 - GPA], name, 4));
			CHECK_EQUAL(dword(at + 7), n);
			CHECK_EQUAL(dword(at + 11) & 0xffff, 0);
		}
	}
	test_case("%s", "");
}

const struct test tests[] = {
	{ "power off", power_off },
	{ "events", events },
	{ "odd bytes of registers", odd_bytes },
	{ "the timer", the_timer },
	{ "the timer's interrupt", the_timers_interrupt },
	{ "the root pointer", root_pointer },
	{ "FADT and FACS", fadt },
	{ "the HPET's table", hpet },
	{ "the soft-off state", soft_off },
	{ "AML lengths", aml_lengths },
	{ "PCI bus", pci_bus },
	{ "where tables can be", places },
	{ "without APICs all is as ever", without_apics },
	{ "MADT", madt },
	{ "no HPET", no_hpet },
	{ "processors", processors },
	{ 0 }
};
