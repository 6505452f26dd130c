// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the guest's CPU says of itself, beyond vee's default: how fast its TSC
 * counts, so that a system need not measure it against a timer that this process
 * keeps; that it has IA32_TSC_ADJUST (msr.c), by which Linux knows that nobody
 * meddles with the TSC, and trusts it; and, with a local APIC, that it is one of so
 * many cores of one package (SDM 3A, "Programming Considerations for
 * Hardware Multi-Threading Capable Processors").
 */
#include <errno.h>
#include <string.h>

#include "cmd.h"

struct table {
	struct vee_cpuid_entry entries[VEE_MAX_CPUID];
	unsigned int count;
};

/* NULL: there is none. */
static struct vee_cpuid_entry *find(struct table *table, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned int i = 0; i < table->count; i++)
		if (table->entries[i].leaf == leaf && table->entries[i].subleaf == subleaf)
			return &table->entries[i];
	return NULL;
}

/* In place of the one that there is. NULL: there is no room. */
static struct vee_cpuid_entry *put(struct table *table, const struct vee_cpuid_entry *entry)
{
	struct vee_cpuid_entry *at = find(table, entry->leaf, entry->subleaf);

	if (!at && table->count < VEE_MAX_CPUID)
		at = &table->entries[table->count++];
	if (at)
		*at = *entry;
	return at;
}

/* --- the TSC --- */

/* SDM 2A, "CPUID", leaf 15H: TSC frequency = ECX * EBX / EAX. */
#define LEAF_TSC	0x15
#define LEAF_FEATURES	0x7
#define TSC_ADJUST	0x02U	/* in EBX */
#define CRYSTAL_KHZ	1000000	/* of the local APICs' timers */

/* The crystal's frequency has 32 bits: half of what a faster TSC has. */
static struct vee_cpuid_entry describe_tsc(uint64_t tsc_hz)
{
	uint32_t ratio = 1;

	while (tsc_hz / ratio > UINT32_MAX)
		ratio *= 2;
	return (struct vee_cpuid_entry) {
		.leaf = LEAF_TSC, .eax = 1, .ebx = ratio, .ecx = tsc_hz / ratio,
	};
}

/* How far a ratio is from @tsc_khz / CRYSTAL_KHZ, times both denominators. */
static uint64_t error_of(const struct vee_cpuid_entry *ratio, uint32_t tsc_khz)
{
	int64_t error = (int64_t)ratio->ebx * CRYSTAL_KHZ - (int64_t)ratio->eax * tsc_khz;

	return error < 0 ? -error : error;
}

/*
 * The crystal is the clock of the local APICs' timers, too, and these count nanoseconds.
 * Linux multiplies its kHz by EBX in 32 bits: the best of the ratios that it can use is
 * seldom off by more than a millionth.
 */
static struct vee_cpuid_entry describe_crystal(uint32_t tsc_khz)
{
	struct vee_cpuid_entry best = { .eax = 0 }, ratio = {
		.leaf = LEAF_TSC, .eax = 1, .ecx = CRYSTAL_KHZ * 1000,
	};

	while (!best.eax || error_of(&best, tsc_khz)) {
		ratio.ebx = ((uint64_t)ratio.eax * tsc_khz + CRYSTAL_KHZ / 2) / CRYSTAL_KHZ;
		if (ratio.ebx > UINT32_MAX / CRYSTAL_KHZ)
			break;
		if (!best.eax || error_of(&ratio, tsc_khz) * best.eax <
				 error_of(&best, tsc_khz) * ratio.eax)
			best = ratio;
		ratio.eax++;
	}
	return best;
}

static int put_tsc(struct table *table, uint32_t tsc_khz, bool apic)
{
	const struct vee_cpuid_entry tsc = apic ? describe_crystal(tsc_khz) :
						  describe_tsc(tsc_khz * 1000ULL);
	struct vee_cpuid_entry *features = find(table, LEAF_FEATURES, 0);

	if (!features || !put(table, &tsc))
		return -E2BIG;
	features->ebx |= TSC_ADJUST;
	return 0;
}

/* --- which of how many: SDM 2A, "CPUID", leaves 1, 4 and 0BH --- */

#define LEAF_BASIC	0x1
#define BASIC_COUNT_SHIFT	16	/* in EBX: how many numbers a package has */
#define BASIC_COUNT	0xff0000U
#define BASIC_MANY	0x10000000U	/* in EDX: HTT */

#define LEAF_CACHE	0x4	/* EAX */
#define CACHE_TYPE	0x1fU
#define CACHE_LEVEL(eax)	((eax) >> 5 & 7)
#define CACHE_SHARED_SHIFT	14
#define CACHE_CORES_SHIFT	26
#define LEVEL_OF_ALL	3	/* cores share it */

#define LEAF_TOPOLOGY	0xb	/* ECX */
#define LEVEL_THREAD	0x100U
#define LEVEL_CORE	0x200U
#define LEVELS		3	/* the last one ends the list */

/* How many bits number @cpus cores. */
static unsigned int bits_for(unsigned int cpus)
{
	unsigned int bits = 0;

	while (1U << bits < cpus)
		bits++;
	return bits;
}

static void put_basic(struct table *table, unsigned int cpus)
{
	struct vee_cpuid_entry *basic = find(table, LEAF_BASIC, 0);

	if (!basic || cpus == 1)
		return;
	basic->edx |= BASIC_MANY;
	basic->ebx &= ~BASIC_COUNT;
	basic->ebx |= (1U << bits_for(cpus)) << BASIC_COUNT_SHIFT;
}

static void put_caches(struct table *table, unsigned int cpus)
{
	uint32_t others = (1U << bits_for(cpus)) - 1;

	for (unsigned int i = 0; i < table->count; i++) {
		struct vee_cpuid_entry *cache = &table->entries[i];

		if (cache->leaf != LEAF_CACHE || !(cache->eax & CACHE_TYPE))
			continue;
		cache->eax |= others << CACHE_CORES_SHIFT;
		if (CACHE_LEVEL(cache->eax) >= LEVEL_OF_ALL)
			cache->eax |= others << CACHE_SHARED_SHIFT;
	}
}

/* EAX: by how many bits of the number to get at the next level's; EBX: how many there are. */
static int put_topology(struct table *table, uint32_t id, unsigned int cpus)
{
	const struct vee_cpuid_entry levels[LEVELS] = {
		{ .ebx = 1, .ecx = LEVEL_THREAD },
		{ .eax = bits_for(cpus), .ebx = cpus, .ecx = LEVEL_CORE },
	};

	for (uint32_t i = 0; i < LEVELS; i++) {
		struct vee_cpuid_entry level = levels[i];

		level.leaf = LEAF_TOPOLOGY;
		level.subleaf = i;
		level.flags = VEE_CPUID_SUBLEAF;
		level.ecx |= i;
		level.edx = id;
		if (!put(table, &level))
			return -E2BIG;
	}
	return 0;
}

int cpuid_identity(struct cpu *cpu, uint32_t *signature, uint32_t *features)
{
	struct table table = { .count = VEE_MAX_CPUID };
	int err = vee_vcpu_get_cpuid(cpu->vcpu, table.entries, &table.count);
	struct vee_cpuid_entry *basic = err ? NULL : find(&table, LEAF_BASIC, 0);

	if (!basic)
		return err ? err : -ENOENT;
	*signature = basic->eax;
	*features = basic->edx;
	return 0;
}

/* --- all of it --- */

int cpuid_prepare(struct cpu *cpu)
{
	uint32_t tsc_khz = cpu->machine->tsc_khz;
	unsigned int cpus = cpu->machine->options->cpus;
	struct table table = { .count = VEE_MAX_CPUID };
	int err = vee_vcpu_get_cpuid(cpu->vcpu, table.entries, &table.count);

	if (err || (!tsc_khz && !cpus))
		return err;
	if (tsc_khz)
		err = put_tsc(&table, tsc_khz, cpus);
	if (!err && cpus) {
		put_basic(&table, cpus);
		put_caches(&table, cpus);
		err = put_topology(&table, cpu - cpu->machine->cpus, cpus);
	}
	return err ? err : vee_vcpu_set_cpuid(cpu->vcpu, table.entries, table.count);
}
