/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CR8, and the caller that waits until the guest lowers it.
 */
#ifndef _VEE_TPR_H
#define _VEE_TPR_H

#include <linux/types.h>

#include "vmx/vmcs.h"

/* SDM 3A, "Task and Processor Priorities for Interrupts": CR8 is the TPR's class. */
#define TPR_CLASS_SHIFT	4
#define TPR_CLASS_MAX	15
/* SDM 3C, "Virtualized APIC Registers": where in the virtual-APIC page. */
#define VIRTUAL_TPR	0x80

/**
 * struct tpr - the task-priority register
 * @cr8: CR8, while @apic is NULL
 * @threshold: vee_vcpu_page.tpr_threshold
 * @apic: the virtual-APIC page, where CR8 is then; NULL: accesses to CR8 exit
 * @local: it is that of a local APIC, which sees to the controls itself
 * @chosen_for: how these change the controls, for intercept_set_controls()
 */
struct tpr {
	u64 cr8;
	u32 threshold;
	u8 *apic;
	bool local;
	u32 chosen_for;
};

/* @apic: a page for it, from here on tpr_free()'s */
void tpr_use(struct tpr *tpr, u8 *apic);

/* For the first threshold. May sleep; -ENOMEM; -EAGAIN: it would have had to. */
int tpr_begin(struct tpr *tpr, bool may_sleep);
void tpr_set_threshold(struct tpr *tpr, u32 threshold);
void tpr_apply(const struct tpr *tpr, struct vmcs_controls *controls);
void tpr_free(struct tpr *tpr);

static inline u64 tpr_read_cr8(const struct tpr *tpr)
{
	return tpr->apic ? tpr->apic[VIRTUAL_TPR] >> TPR_CLASS_SHIFT : tpr->cr8;
}

static inline void tpr_write_cr8(struct tpr *tpr, u64 cr8)
{
	if (tpr->apic)
		tpr->apic[VIRTUAL_TPR] = cr8 << TPR_CLASS_SHIFT;
	else
		tpr->cr8 = cr8;
}

static inline bool tpr_is_below(const struct tpr *tpr)
{
	return unlikely(tpr->threshold) && tpr_read_cr8(tpr) < tpr->threshold;
}

#endif /* _VEE_TPR_H */
