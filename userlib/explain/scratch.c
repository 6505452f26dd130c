// SPDX-License-Identifier: LGPL-2.1-or-later
/* A copy of a vCPU's state: what is tried on it leaves the guest as it is. */
#include "explain.h"

int scratch_begin(struct scratch *scratch, struct vee_vcpu *vcpu)
{
	int err = vee_vcpu_sync(vcpu, VEE_STATE_ALL);

	if (err)
		return err;
	*scratch = (struct scratch) { .vcpu = *vcpu, .page = *vcpu->page };
	scratch->vcpu.page = &scratch->page;
	scratch->vcpu.assist = NULL;
	scratch->cr2 = vcpu->page->control.cr2;
	scratch_forget(scratch);
	scratch->guest = (struct guest) {
		.vcpu = &scratch->vcpu, .path = &scratch->path,
		.mode = scratch_mode(&scratch->page),
	};
	return 0;
}

void scratch_forget(struct scratch *scratch)
{
	scratch->page.inject = (struct vee_event) { 0 };
	scratch->page.control.cr2 = scratch->cr2;
}

unsigned int scratch_mode(const struct vee_vcpu_page *page)
{
	uint32_t rights = page->segments.cs.access_rights;

	if (page->control.efer & EFER_LMA && rights & VEE_AR_L)
		return 8;
	return rights & VEE_AR_DB ? 4 : 2;
}

const char *scratch_mode_name(const struct vee_vcpu_page *page)
{
	unsigned int mode = scratch_mode(page);

	if (!(page->control.cr0 & CR0_PE))
		return "real mode";
	if (page->regs.rflags & RFLAGS_VM)
		return "virtual-8086 mode";
	if (mode == 8)
		return "64-bit mode";
	if (page->control.efer & EFER_LMA)
		return mode == 4 ? "compatibility mode, 32-bit code (L of CS is 0)" :
				   "compatibility mode, 16-bit code (L and D/B of CS are 0)";
	return mode == 4 ? "protected mode, 32-bit code" : "protected mode, 16-bit code";
}
