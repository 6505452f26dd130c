// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that a VM entry and a VM exit load themselves.
 */
#include <linux/build_bug.h>
#include <linux/io.h>
#include <linux/slab.h>

#include "vmx/msr_switch.h"
#include "vmx/vmcs.h"

/* What has a power of two for its size is aligned to that; 16 it must be. */
static_assert(!(sizeof(struct msr_areas) & (sizeof(struct msr_areas) - 1)) &&
	      sizeof(struct msr_entry) == 16);

int msr_switch_alloc(struct msr_switch *msrs)
{
	msrs->areas = kzalloc(sizeof(*msrs->areas), GFP_KERNEL_ACCOUNT);
	return msrs->areas ? 0 : -ENOMEM;
}

void msr_switch_free(struct msr_switch *msrs)
{
	kfree(msrs->areas);
}

void msr_switch_use(struct msr_switch *msrs, u32 count)
{
	if (count == msrs->count)
		return;
	msrs->count = count;
	vmcs_write(VMCS_ENTRY_MSR_LOAD_ADDRESS, virt_to_phys(msrs->areas->entry));
	vmcs_write(VMCS_EXIT_MSR_LOAD_ADDRESS, virt_to_phys(msrs->areas->exit));
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, count);
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, count);
}
