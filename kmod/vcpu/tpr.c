// SPDX-License-Identifier: GPL-2.0-only
/*
 * CR8, and the caller that waits until the guest lowers it.
 *
 * Only a caller with an interrupt controller of its own does. Up to the first time, CR8 is
 * a number that accesses exit for, and nothing is looked at. From then on, where the CPU
 * has a TPR shadow (SDM 3C, "TPR Virtualization"), CR8 is in a virtual-APIC page and its
 * accesses don't exit, but for one that the caller waits for.
 */
#include <linux/gfp.h>
#include <linux/io.h>

#include "linux/vee.h"
#include "apic/virtual.h"
#include "vcpu/tpr.h"

static int begin_shadow(struct tpr *tpr, bool may_sleep)
{
	u8 *apic;

	if (!may_sleep)
		return -EAGAIN;
	apic = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!apic)
		return -ENOMEM;
	apic[VIRTUAL_TPR] = tpr->cr8 << TPR_CLASS_SHIFT;
	tpr->apic = apic;
	return 0;
}

void tpr_use(struct tpr *tpr, u8 *apic)
{
	tpr->apic = apic;
	tpr->local = true;
}

int tpr_begin(struct tpr *tpr, bool may_sleep)
{
	if (tpr->apic || !apic_may_shadow())
		return 0;
	return begin_shadow(tpr, may_sleep);
}

void tpr_set_threshold(struct tpr *tpr, u32 threshold)
{
	tpr->threshold = threshold;
	if (tpr->apic)
		tpr->chosen_for = threshold + 1;
}

/*
 * An entry with CR8 below the threshold would fail (SDM 3C, "VM-Execution Control
 * Fields" of the checks): tpr_is_below() is asked before each.
 */
void tpr_apply(const struct tpr *tpr, struct vmcs_controls *controls)
{
	if (!tpr->apic || tpr->local)
		return;
	vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, virt_to_phys(tpr->apic));
	vmcs_write(VMCS_TPR_THRESHOLD, tpr->threshold);
	vmcs_set_proc(controls, PROC_TPR_SHADOW, true);
	vmcs_set_proc(controls, PROC_CR8_LOAD_EXITING | PROC_CR8_STORE_EXITING, false);
}

void tpr_free(struct tpr *tpr)
{
	free_page((unsigned long)tpr->apic);
}
