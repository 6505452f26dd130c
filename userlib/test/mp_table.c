// SPDX-License-Identifier: LGPL-2.1-or-later
/* The tables as a system reads them that knows nothing else of the machine. */
#include <errno.h>

#include "../devices/mp_table.h"
#include "test.h"

#define GPA	0xf0000

static uint8_t area[0x10000];
static struct mp_cpus cpus = { .signature = 0x50654, .features = 0x1f8bfbff };

static uint32_t get(uint32_t at, unsigned int bytes)
{
	uint32_t value = 0;

	memcpy(&value, &area[at - GPA], bytes);
	return value;
}

static uint8_t sum(uint32_t at, unsigned int bytes)
{
	uint8_t sum = 0;

	while (bytes--)
		sum += area[at++ - GPA];
	return sum;
}

/* Where the first entry is, and how many bytes there are in all. */
static uint32_t build(unsigned int count, int *bytes)
{
	memset(area, 0xa5, sizeof(area));
	cpus.count = count;
	*bytes = mp_build(area, sizeof(area), GPA, &cpus);
	return GPA + 16 + 44;
}

static unsigned int bytes_of(uint32_t entry)
{
	return get(entry, 1) ? 8 : 20;
}

static void heads(void)
{
	for (unsigned int count = 1; count <= 64; count++) {
		int bytes;

		test_case("%u", count);
		build(count, &bytes);
		CHECK(bytes > 0 && bytes <= MP_TABLE_BYTES);
		CHECK(!memcmp(area, "_MP_", 4));
		CHECK_EQUAL(get(GPA + 4, 4), GPA + 16);
		CHECK_EQUAL(get(GPA + 8, 2), 0x0401);
		CHECK_EQUAL(get(GPA + 11, 4) | get(GPA + 15, 1), 0);
		CHECK_EQUAL(sum(GPA, 16), 0);
		CHECK(!memcmp(area + 16, "PCMP", 4));
		CHECK_EQUAL(get(GPA + 20, 2) + 16, (uint32_t)bytes);
		CHECK_EQUAL(get(GPA + 22, 1), 4);
		CHECK_EQUAL(sum(GPA + 16, bytes - 16), 0);
		CHECK_EQUAL(get(GPA + 16 + 36, 4), 0xfee00000);
		CHECK_EQUAL(area[bytes], 0xa5);
	}
	test_case("%s", "");
}

/* Of each type, in the order of types, as many as there should be. */
static void entries(void)
{
	for (unsigned int count = 1; count <= 64; count += 9) {
		unsigned int of[5] = { 0 }, last = 0;
		int bytes;
		uint32_t at = build(count, &bytes);

		while (at < GPA + (uint32_t)bytes) {
			unsigned int type = get(at, 1);

			CHECK(type >= last && type < 5);
			last = type;
			of[type]++;
			at += bytes_of(at);
		}
		CHECK_EQUAL(at, GPA + (uint32_t)bytes);
		CHECK_EQUAL(get(GPA + 16 + 34, 2), of[0] + of[1] + of[2] + of[3] + of[4]);
		CHECK_EQUAL(of[0], count);
		CHECK_EQUAL(of[1], 2);
		CHECK_EQUAL(of[2], 1);
		CHECK_EQUAL(of[3], 15 + 128);
		CHECK_EQUAL(of[4], 2);
	}
}

static void processors(void)
{
	int bytes;
	uint32_t at = build(3, &bytes);

	for (unsigned int n = 0; n < 3; n++, at += 20) {
		CHECK_EQUAL(get(at, 4), (n ? 1U : 3U) << 24 | 0x14 << 16 | n << 8);
		CHECK_EQUAL(get(at + 4, 4), cpus.signature);
		CHECK_EQUAL(get(at + 8, 4), cpus.features);
	}
	/* Then PCI and ISA, and the I/O APIC with the number that no CPU has. */
	CHECK(!memcmp(&area[at + 2 - GPA], "PCI   ", 6));
	CHECK(!memcmp(&area[at + 8 + 2 - GPA], "ISA   ", 6));
	CHECK_EQUAL(get(at + 16, 4), 0x01200302);
	CHECK_EQUAL(get(at + 20, 4), 0xfec00000);
}

/* The entry for @irq of @bus; 0: none. */
static uint32_t find(uint32_t at, int bytes, unsigned int bus, unsigned int irq)
{
	for (; at < GPA + (uint32_t)bytes; at += bytes_of(at))
		if (get(at, 1) == 3 && get(at + 4, 1) == bus && get(at + 5, 1) == irq)
			return at;
	return 0;
}

static void wires(void)
{
	int bytes;
	uint32_t first = build(2, &bytes), at;

	for (unsigned int irq = 0; irq < 16; irq++) {
		at = find(first, bytes, 1, irq);
		CHECK_EQUAL(!at, irq == 2);
		if (!at)
			continue;
		CHECK_EQUAL(get(at + 1, 1), 0);
		CHECK_EQUAL(get(at + 2, 2), irq == 9 ? 0xd : 0);
		CHECK_EQUAL(get(at + 6, 1), 2);
		CHECK_EQUAL(get(at + 7, 1), irq ? irq : 2);
	}
	/* INTB# of device 3, INTD# of 31: as devices/pc.h has them. */
	at = find(first, bytes, 0, 3 << 2 | 1);
	CHECK_EQUAL(get(at + 2, 2), 0xf);
	CHECK_EQUAL(get(at + 7, 1), 16);
	at = find(first, bytes, 0, 31 << 2 | 3);
	CHECK_EQUAL(get(at + 7, 1), 18);
	/* ExtINT at LINT0 of the first CPU, NMI at LINT1 of all. */
	at = GPA + bytes - 16;
	CHECK_EQUAL(get(at, 2), 0x0304);
	CHECK_EQUAL(get(at + 6, 2), 0);
	CHECK_EQUAL(get(at + 8, 2), 0x0104);
	CHECK_EQUAL(get(at + 14, 2), 0x01ff);
}

static void places(void)
{
	int bytes;

	build(64, &bytes);
	CHECK_EQUAL(mp_build(area, bytes - 1, GPA, &cpus), -ENOSPC);
	CHECK_EQUAL(mp_build(area, bytes, 0x100000 - 16, &cpus), -ENOSPC);
	CHECK_EQUAL(mp_build(area, bytes, GPA + 8, &cpus), -EINVAL);
	CHECK_EQUAL(mp_build(area, bytes, GPA - 16, &cpus), -EINVAL);
	CHECK_EQUAL(mp_build(area, bytes, 0x100000, &cpus), -EINVAL);
	cpus.count = 65;
	CHECK_EQUAL(mp_build(area, sizeof(area), GPA, &cpus), -EINVAL);
	cpus.count = 0;
	CHECK_EQUAL(mp_build(area, sizeof(area), GPA, &cpus), -EINVAL);
}

const struct test tests[] = {
	{ "two heads, and their sums", heads },
	{ "entries of all types", entries },
	{ "processors, buses, the I/O APIC", processors },
	{ "wires of ISA and PCI", wires },
	{ "where tables can be", places },
	{ 0 }
};
