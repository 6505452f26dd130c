// SPDX-License-Identifier: LGPL-2.1-or-later
/* The state of a vCPU, out and in again. */
#include <stdlib.h>

#include "snapshot.h"
#include "vmx/fields.h"

/* SDM 3C, "Guest Non-Register State": a single step's. */
#define PENDING_DEBUG_BS	0x4000ULL
#define DEBUGCTL_BTF		0x2ULL

static unsigned int all_groups(const struct vee_vcpu *vcpu)
{
	return VEE_STATE_ALL | (vm_has_apics(vcpu->vm) ? VEE_STATE_APIC : 0);
}

static bool in_64bit_code(const struct vee_vcpu_page *page)
{
	return page->control.efer & EFER_LMA && page->segments.cs.access_rights & VEE_AR_L;
}

/*
 * VEE_RESUME_NEXT is about an exit that a later run no longer knows: it is done here, as
 * the kernel does it.
 */
static int settle(struct vee_vcpu_page *page, uint64_t debugctl)
{
	unsigned int length = page->exit.instruction_length;

	if (page->resume != VEE_RESUME_NEXT)
		return 0;
	if (!length || length > VEE_INSN_MAX)
		return -EINVAL;
	page->regs.rip += length;
	if (!in_64bit_code(page))
		page->regs.rip = (uint32_t)page->regs.rip;
	if (page->regs.rflags & RFLAGS_TF && !(debugctl & DEBUGCTL_BTF))
		page->events.pending_debug |= PENDING_DEBUG_BS;
	page->regs.rflags &= ~RFLAGS_RF;
	page->events.interruptibility &= ~(VEE_BLOCKING_BY_STI | VEE_BLOCKING_BY_MOV_SS);
	page->resume = VEE_RESUME_DONE;
	return 0;
}

static int take_cpuid(struct vee_vcpu *vcpu, struct cpu_state *state)
{
	if (!vcpu->has_cpuid)
		return 0;
	state->cpuid = calloc(VEE_MAX_CPUID, sizeof(*state->cpuid));
	state->cpuid_count = VEE_MAX_CPUID;
	if (!state->cpuid)
		return -ENOMEM;
	return vee_vcpu_get_cpuid(vcpu, state->cpuid, &state->cpuid_count);
}

int cpu_take(struct vee_vcpu *vcpu, struct cpu_state *state)
{
	unsigned int xsave_bytes = vm_xsave_bytes(vcpu->vm);
	int err = vee_vcpu_sync(vcpu, all_groups(vcpu));

	memset(state, 0, sizeof(*state));
	state->id = vcpu->id;
	if (err)
		return err;
	state->xsave = malloc(xsave_bytes);
	if (!state->xsave)
		return -ENOMEM;
	state->page = *vcpu->page;
	err = vee_vcpu_vmcs_read(vcpu, VMCS_GUEST_DEBUGCTL, &state->debugctl);
	if (!err)
		err = settle(&state->page, state->debugctl);
	if (!err)
		err = vee_vcpu_get_xsave(vcpu, state->xsave, xsave_bytes);
	return err ? err : take_cpuid(vcpu, state);
}

void cpu_free(struct cpu_state *state)
{
	free(state->xsave);
	free(state->cpuid);
}

/* First of all: it makes the page's groups not valid. */
static int put_debugctl(struct vee_vcpu *vcpu, uint64_t debugctl)
{
	uint64_t now;
	int err = vee_vcpu_vmcs_read(vcpu, VMCS_GUEST_DEBUGCTL, &now);

	if (err || now == debugctl)
		return err;
	return vee_vcpu_vmcs_write(vcpu, VMCS_GUEST_DEBUGCTL, debugctl);
}

static void put_page(struct vee_vcpu *vcpu, const struct vee_vcpu_page *from)
{
	struct vee_vcpu_page *page = vcpu->page;

	page->inject = from->inject;
	page->resume = from->resume;
	page->regs = from->regs;
	page->segments = from->segments;
	page->control = from->control;
	page->debug = from->debug;
	page->msrs = from->msrs;
	page->events = from->events;
	if (vm_has_apics(vcpu->vm))
		page->apic = from->apic;
	page->dirty |= all_groups(vcpu);
	/* Nothing has been run yet. */
	page->exit.reason = VEE_EXIT_NONE;
}

int cpu_put(struct vee_vcpu *vcpu, const struct cpu_state *state)
{
	int err = put_debugctl(vcpu, state->debugctl);

	if (!err)
		err = vee_vcpu_set_xsave(vcpu, state->xsave, vm_xsave_bytes(vcpu->vm));
	if (!err)
		put_page(vcpu, &state->page);
	return err;
}

int cpu_begin(struct vee_vcpu *vcpu, const struct cpu_state *state)
{
	int err = 0;

	if (state->cpuid)
		err = vee_vcpu_set_cpuid(vcpu, state->cpuid, state->cpuid_count);
	vcpu->page->prefetch = state->page.prefetch;
	vcpu->page->intercept = state->page.intercept;
	vcpu->page->options = state->page.options;
	vcpu->page->deadline_ns = state->page.deadline_ns;
	vcpu->page->tpr_threshold = state->page.tpr_threshold;
	return err ? err : cpu_put(vcpu, state);
}
