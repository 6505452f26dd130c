/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUID: a table of answers.
 */
#ifndef _VEE_CPUID_H
#define _VEE_CPUID_H

#include <linux/build_bug.h>
#include <linux/limits.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "vcpu/vmexit.h"

/* A power of two; a slot holds an entry's number, or how many there are. */
#define CPUID_SLOTS	128
static_assert(VEE_MAX_CPUID <= U8_MAX);

/**
 * struct guest_cpuid - answers to CPUID
 * @entries: sorted by leaf and subleaf; behind them one of zeros, for FFFFFFFFH
 * @count: how many
 * @proc2: what follows from them: secondary controls of instructions that are there
 * @has_tsc: ... RDTSC is
 * @first: which of them is the first in each slot of an index by leaf
 */
struct guest_cpuid {
	const struct vee_cpuid_entry *entries;
	unsigned int count;
	u32 proc2;
	bool has_tsc;
	u8 first[CPUID_SLOTS];
};

/* With the capabilities known. */
int cpuid_init(void);
int cpuid_reset(struct vee_vcpu *vcpu);
/* Family, model and stepping, as the host's CPUID has them. */
u32 cpuid_signature(void);
void cpuid_free(struct guest_cpuid *cpuid);
/* Inside the bracket: to the controls and masks. */
void cpuid_apply(struct vee_vcpu *vcpu);
/* cpuid_apply() has to follow. */
int cpuid_set(struct vee_vcpu *vcpu, const struct vee_cpuid *arg);
int cpuid_get(struct vee_vcpu *vcpu, struct vee_cpuid *arg);
/* A checked copy, for cpuid_free(); -EINVAL, -ENOMEM, -EFAULT. */
int cpuid_fetch(struct guest_cpuid *cpuid, const void __user *from, unsigned int count);
/* The vCPU has @cpuid's answers, and @cpuid its own. cpuid_apply() has to follow. */
void cpuid_exchange(struct vee_vcpu *vcpu, struct guest_cpuid *cpuid);
/* @count: room there, and then how many there are; -E2BIG: there was too little */
int cpuid_put(const struct vee_vcpu *vcpu, void __user *to, u32 *count);
enum next exit_cpuid(struct vee_vcpu *vcpu);

#endif /* _VEE_CPUID_H */
