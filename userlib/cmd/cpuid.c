// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the guest's CPU says of itself, beyond vee's default: how fast its TSC
 * counts, so that a system need not measure it against a timer that this process
 * keeps; and that it has IA32_TSC_ADJUST (msr.c), by which Linux knows that nobody
 * meddles with the TSC, and trusts it.
 */
#include <errno.h>
#include <string.h>

#include "cmd.h"

/* SDM 2A, "CPUID", leaf 15H: TSC frequency = ECX * EBX / EAX. */
#define LEAF_TSC	0x15
#define LEAF_FEATURES	0x7
#define TSC_ADJUST	0x02U	/* in EBX */

static struct vee_cpuid_entry *find_leaf(struct vee_cpuid_entry *entries,
					 unsigned int *count, uint32_t leaf)
{
	for (unsigned int i = 0; i < *count; i++)
		if (entries[i].leaf == leaf)
			return &entries[i];
	if (*count == VEE_MAX_CPUID)
		return NULL;
	memset(&entries[*count], 0, sizeof(*entries));
	entries[*count].leaf = leaf;
	return &entries[(*count)++];
}

/* The crystal's frequency has 32 bits: half of what a faster TSC has. */
static void describe_tsc(struct vee_cpuid_entry *entry, uint64_t tsc_hz)
{
	uint32_t ratio = 1;

	while (tsc_hz / ratio > UINT32_MAX)
		ratio *= 2;
	entry->eax = 1;
	entry->ebx = ratio;
	entry->ecx = tsc_hz / ratio;
	entry->edx = 0;
}

int cpuid_prepare(struct machine *machine, uint32_t tsc_khz)
{
	struct vee_cpuid_entry entries[VEE_MAX_CPUID];
	unsigned int count = VEE_MAX_CPUID;
	struct vee_cpuid_entry *entry, *features;
	int err = vee_vcpu_get_cpuid(machine->vcpu, entries, &count);

	if (err || !tsc_khz)
		return err;
	entry = find_leaf(entries, &count, LEAF_TSC);
	features = find_leaf(entries, &count, LEAF_FEATURES);
	if (!entry || !features)
		return -E2BIG;
	describe_tsc(entry, tsc_khz * 1000ULL);
	features->ebx |= TSC_ADJUST;
	return vee_vcpu_set_cpuid(machine->vcpu, entries, count);
}
