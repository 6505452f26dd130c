// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-modification logging (SDM 3C, section of that title).
 *
 * Whether the CPU is to log is the VM's to say, by its EPTP; each vCPU follows suit before
 * its next entry. What it has logged goes to the VM's records before interrupts come on, so
 * whoever has made it leave the guest, by one, finds it there.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "memory/dirty.h"
#include "memory/vm.h"
#include "vcpu/pml.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

#define LOG_ENTRIES	(SZ_4K / sizeof(u64))
#define LOG_EMPTY	(LOG_ENTRIES - 1)	/* the index: the next entry to be written */

static void turn(struct pml *pml, bool on)
{
	u32 proc2 = vmcs_read(VMCS_PROC2_CONTROLS);

	if (on) {
		vmcs_write(VMCS_PML_ADDRESS, virt_to_phys(pml->log));
		vmcs_write(VMCS_PML_INDEX, LOG_EMPTY);
	}
	vmcs_write(VMCS_PROC2_CONTROLS, on ? proc2 | PROC2_PML : proc2 & ~PROC2_PML);
	pml->on = on;
}

bool pml_load(struct vee_vcpu *vcpu)
{
	const struct ept *ept = &vcpu->vm->memory.ept;
	struct pml *pml = &vcpu->pml;
	u64 eptp = READ_ONCE(ept->eptp);
	bool on = eptp & EPTP_FLAGS && record_can_log();

	if (on && !pml->log)
		return false;
	vmcs_write(VMCS_EPTP, eptp);
	if (on != pml->on)
		turn(pml, on);
	pml->eptp = eptp;
	return true;
}

enum next pml_sleep(struct vee_vcpu *vcpu)
{
	vcpu->pml.log = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!vcpu->pml.log)
		dirty_give_up_flags(&vcpu->vm->memory);
	return NEXT_HOST;
}

/* When it is full the index wraps to FFFFH. */
void pml_empty(struct vee_vcpu *vcpu)
{
	u16 index = vmcs_read(VMCS_PML_INDEX);

	if (likely(index == LOG_EMPTY))
		return;
	for (index++; index < LOG_ENTRIES; index++)
		records_mark(&vcpu->vm->memory.written, vcpu->pml.log[index]);
	vmcs_write(VMCS_PML_INDEX, LOG_EMPTY);
}

void pml_free(struct pml *pml)
{
	free_page((unsigned long)pml->log);
}
