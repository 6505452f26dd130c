/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSRs that a VM entry and a VM exit load themselves, so that nothing, not even an NMI,
 * runs in between. None are, as a rule: each costs like an RDMSR or WRMSR.
 *
 * SDM 3C, "VM-Exit Controls for MSRs" and "VM-Entry Controls for MSRs".
 */
#ifndef _VEE_MSR_SWITCH_H
#define _VEE_MSR_SWITCH_H

#include <linux/types.h>

#define MSR_SWITCH_MAX	8

/* "Format of an MSR Entry" */
struct msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};

struct msr_areas {
	struct msr_entry entry[MSR_SWITCH_MAX];
	struct msr_entry exit[MSR_SWITCH_MAX];
};

/**
 * struct msr_switch - the MSRs of one VMCS
 * @areas: their values; NULL: this CPU needs none
 * @count: how many of them there are
 */
struct msr_switch {
	struct msr_areas *areas;
	u32 count;
};

int msr_switch_alloc(struct msr_switch *msrs);
void msr_switch_free(struct msr_switch *msrs);

/* The one with number @i, below MSR_SWITCH_MAX. A value that WRMSR faults on is fatal. */
static inline void msr_switch_put(struct msr_switch *msrs, u32 i, u32 index, u64 guest,
				  u64 host)
{
	msrs->areas->entry[i] = (struct msr_entry) { .index = index, .value = guest };
	msrs->areas->exit[i] = (struct msr_entry) { .index = index, .value = host };
}

/* Inside the bracket: from now on it is the first @count. */
void msr_switch_use(struct msr_switch *msrs, u32 count);

#endif /* _VEE_MSR_SWITCH_H */
