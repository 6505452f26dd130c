// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the CPUs of "vee run" say of themselves. */
#include <stdlib.h>

#include "../cmd/cmd.h"
#include "test.h"

static struct machine machine;
static struct options options;
static struct rig rig;

static void put(uint32_t leaf, uint32_t subleaf, uint32_t eax, uint32_t ebx)
{
	fake.cpuid[fake.cpuid_count++] = (struct vee_cpuid_entry) {
		.leaf = leaf, .subleaf = subleaf, .eax = eax, .ebx = ebx,
		.flags = leaf == 4 ? VEE_CPUID_SUBLEAF : 0,
	};
}

/* As the module has it: no counts of others; L1, L2 and L3, and no more caches. */
static void prepare(unsigned int cpus, unsigned int id, uint32_t tsc_khz)
{
	fake.cpuid_count = 0;
	put(1, 0, 0x50654, id << 24 | 0x0800);
	put(4, 0, 0x121, 7);
	put(4, 1, 0x143, 7);
	put(4, 2, 0x163, 7);
	put(4, 3, 0, 0);
	put(7, 0, 0, 0);
	put(0x15, 0, 2, 3);
	options.cpus = cpus;
	machine.options = &options;
	machine.cpus[id].machine = &machine;
	machine.cpus[id].vcpu = rig.vcpu;
	machine.tsc_khz = tsc_khz;
	CHECK_EQUAL(cpuid_prepare(&machine.cpus[id]), 0);
}

static struct vee_cpuid_entry get(uint32_t leaf, uint32_t subleaf)
{
	for (unsigned int i = 0; i < fake.cpuid_count; i++)
		if (fake.cpuid[i].leaf == leaf && fake.cpuid[i].subleaf == subleaf)
			return fake.cpuid[i];
	return (struct vee_cpuid_entry) { .leaf = leaf };
}

/* The numbers that @cpus take: a power of two. */
static unsigned int numbers(unsigned int cpus)
{
	unsigned int all = 1;

	while (all < cpus)
		all *= 2;
	return all;
}

static void one_without_apic(void)
{
	prepare(0, 0, 3500000);
	CHECK_EQUAL(get(1, 0).ebx, 0x0800);
	CHECK_EQUAL(get(1, 0).edx, 0);
	CHECK_EQUAL(get(4, 1).eax, 0x143);
	CHECK_EQUAL(get(0xb, 0).ebx, 0);
	CHECK_EQUAL(get(7, 0).ebx, 2);
	CHECK_EQUAL(get(0x15, 0).ecx, 3500000000U);
	CHECK_EQUAL(get(0x15, 0).eax, 1);
	CHECK_EQUAL(get(0x15, 0).ebx, 1);
	prepare(0, 0, 0);
	CHECK_EQUAL(get(0x15, 0).ebx, 3);
	CHECK_EQUAL(get(7, 0).ebx, 0);
}

/* Cores of one package, which share the L3 cache alone. */
static void cores(void)
{
	for (unsigned int cpus = 1; cpus <= 64; cpus++) {
		unsigned int id = cpus - 1, others = numbers(cpus) - 1;

		test_case("%u", cpus);
		prepare(cpus, id, 3500000);
		CHECK_EQUAL(get(1, 0).ebx, id << 24 | 0x0800 |
			    (cpus > 1 ? numbers(cpus) << 16 : 0));
		CHECK_EQUAL(get(1, 0).edx, cpus > 1 ? 1U << 28 : 0);
		CHECK_EQUAL(get(4, 0).eax, others << 26 | 0x121);
		CHECK_EQUAL(get(4, 1).eax, others << 26 | 0x143);
		CHECK_EQUAL(get(4, 2).eax, others << 26 | others << 14 | 0x163);
		CHECK_EQUAL(get(4, 3).eax, 0);
		CHECK_EQUAL(get(0xb, 0).eax, 0);
		CHECK_EQUAL(get(0xb, 0).ebx, 1);
		CHECK_EQUAL(get(0xb, 0).ecx, 0x100);
		CHECK_EQUAL(1U << get(0xb, 1).eax, numbers(cpus));
		CHECK_EQUAL(get(0xb, 1).ebx, cpus);
		CHECK_EQUAL(get(0xb, 1).ecx, 0x201);
		CHECK_EQUAL(get(0xb, 2).ebx, 0);
		CHECK_EQUAL(get(0xb, 2).ecx, 2);
		for (uint32_t level = 0; level < 3; level++)
			CHECK_EQUAL(get(0xb, level).edx, id);
	}
	test_case("%s", "");
}

/* As Linux reckons: in kHz, with 32 bits. */
static uint32_t tsc_of(const struct vee_cpuid_entry *entry)
{
	return entry->ecx / 1000 * entry->ebx / entry->eax;
}

static void check_crystal(uint32_t tsc_khz, uint32_t off)
{
	struct vee_cpuid_entry entry;

	test_case("%u kHz", tsc_khz);
	prepare(1, 0, tsc_khz);
	entry = get(0x15, 0);
	CHECK_EQUAL(entry.ecx, 1000000000);
	CHECK((uint64_t)entry.ebx * 1000000 <= UINT32_MAX);
	CHECK((uint32_t)abs((int)(tsc_of(&entry) - tsc_khz)) <= off);
}

static void crystal(void)
{
	for (uint32_t mhz = 100; mhz <= 4200; mhz += 100)
		check_crystal(mhz * 1000, 0);
	/* Measured ones; at most a kHz of each GHz. */
	check_crystal(2593905, 1);
	check_crystal(2994374, 1);
	check_crystal(3792875, 1);
	check_crystal(1995379, 1);
	check_crystal(2112004, 2);
	check_crystal(5200001, 2);
	test_case("%s", "");
}

static void identity(void)
{
	uint32_t signature = 0, features = 0;

	prepare(2, 0, 3500000);
	CHECK_EQUAL(cpuid_identity(&machine.cpus[0], &signature, &features), 0);
	CHECK_EQUAL(signature, 0x50654);
	CHECK_EQUAL(features, 1 << 28);
}

static void begin(void)
{
	rig_begin(&rig);
	one_without_apic();
}

const struct test tests[] = {
	{ "one without APIC", begin },
	{ "cores of a package", cores },
	{ "the crystal of 1 GHz", crystal },
	{ "which CPU it is", identity },
	{ 0 }
};
