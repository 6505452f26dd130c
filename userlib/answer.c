// SPDX-License-Identifier: LGPL-2.1-or-later
/* Answers to exits, and events for the guest: all in the vCPU page. */
#include "internal.h"

void set_gpr(struct vee_vcpu *vcpu, unsigned int reg, unsigned int bytes,
	     uint64_t value)
{
	__u64 *gpr = &vcpu->page->regs.gpr[reg];

	if (bytes >= 4)
		*gpr = value & low_bits(bytes);
	else
		*gpr = (*gpr & ~low_bits(bytes)) | (value & low_bits(bytes));
	/* RSP is the one that the next run doesn't load unasked. */
	if (reg == RSP)
		vcpu->page->dirty |= VEE_STATE_REGS;
}

void vee_done(struct vee_vcpu *vcpu)
{
	vcpu->page->resume = VEE_RESUME_NEXT;
}

void vee_done_in(struct vee_vcpu *vcpu, uint32_t value)
{
	set_gpr(vcpu, RAX, vcpu->page->exit.pio.width, value);
	vee_done(vcpu);
}

void vee_done_rdmsr(struct vee_vcpu *vcpu, uint64_t value)
{
	vcpu->page->regs.rax = (uint32_t)value;
	vcpu->page->regs.rdx = value >> 32;
	vee_done(vcpu);
}

void vee_done_cpuid(struct vee_vcpu *vcpu, uint32_t eax, uint32_t ebx,
		    uint32_t ecx, uint32_t edx)
{
	vcpu->page->regs.rax = eax;
	vcpu->page->regs.rbx = ebx;
	vcpu->page->regs.rcx = ecx;
	vcpu->page->regs.rdx = edx;
	vee_done(vcpu);
}

static void inject(struct vee_vcpu *vcpu, uint8_t type, uint8_t vector)
{
	vcpu->page->inject = (struct vee_event) {
		.vector = vector,
		.type = type,
		.flags = VEE_EVENT_VALID,
	};
}

void vee_inject_interrupt(struct vee_vcpu *vcpu, uint8_t vector)
{
	inject(vcpu, VEE_EVENT_INTERRUPT, vector);
}

void vee_inject_nmi(struct vee_vcpu *vcpu)
{
	inject(vcpu, VEE_EVENT_NMI, 2);
}

void vee_inject_exception(struct vee_vcpu *vcpu, uint8_t vector)
{
	inject(vcpu, VEE_EVENT_EXCEPTION, vector);
}

/* If it can't be told, protected mode is the better guess. */
static bool in_real_mode(struct vee_vcpu *vcpu)
{
	return !vee_vcpu_sync(vcpu, VEE_STATE_CONTROL) &&
	       !(vcpu->page->control.cr0 & CR0_PE);
}

void vee_inject_exception_error(struct vee_vcpu *vcpu, uint8_t vector,
				uint32_t error_code)
{
	inject(vcpu, VEE_EVENT_EXCEPTION, vector);
	if (in_real_mode(vcpu))
		return;
	vcpu->page->inject.flags |= VEE_EVENT_ERROR_CODE;
	vcpu->page->inject.error_code = error_code;
}

void event_put_back(struct vee_events *events, const struct vee_event *event)
{
	struct vee_event *place = NULL;

	if (!(event->flags & VEE_EVENT_VALID))
		return;
	if (event->type == VEE_EVENT_INTERRUPT)
		place = &events->interrupt;
	else if (event->type == VEE_EVENT_NMI)
		place = &events->nmi;
	if (place && !(place->flags & VEE_EVENT_VALID))
		*place = *event;
}
