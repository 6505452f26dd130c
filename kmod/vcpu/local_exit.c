// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's local APIC: INIT and SIPI, what is to be done for it before an entry, and its
 * exits. Inside the bracket.
 */
#include <linux/compiler.h>

#include "apic/bind.h"
#include "vcpu/deadline.h"
#include "vcpu/event.h"
#include "vcpu/exit_user.h"
#include "vcpu/local.h"
#include "vcpu/local_exit.h"
#include "vcpu/state.h"
#include "vcpu/vcpu.h"
#include "vmx/vmcs.h"

/* --- INIT and SIPI ---------------------------------------------------------------- */

#define SIPI_SELECTOR_SHIFT	8
#define SIPI_BASE_SHIFT		12

/* SDM 3B, "INIT and STARTUP Interprocessor Interrupts" */
static void begin_at(u8 vector)
{
	vmcs_write(VMCS_GUEST_CS_SELECTOR, (u32)vector << SIPI_SELECTOR_SHIFT);
	vmcs_write(VMCS_GUEST_CS_BASE, (u32)vector << SIPI_BASE_SHIFT);
	vmcs_write(VMCS_GUEST_RIP, 0);
}

/* Of both at once the INIT came first: a SIPI means nothing to who doesn't wait. */
static noinline void start(struct vee_vcpu *vcpu)
{
	struct apic *apic = &vcpu->apic;

	if (apic->start & VEE_APIC_INIT) {
		state_init(vcpu);
		apic_reset(apic);
		local_reload(vcpu);
		apic->start &= VEE_APIC_SIPI;
		if (!apic_is_bsp(apic))
			apic->start |= VEE_APIC_WAITS_FOR_SIPI;
	}
	if (apic->start & VEE_APIC_SIPI) {
		if (apic->start & VEE_APIC_WAITS_FOR_SIPI)
			begin_at(apic->sipi_vector);
		apic->start = 0;
	}
}

/* --- before an entry -------------------------------------------------------------- */

/* For vm_exit.sleeper. If nobody is there to hear it any more, the caller is, next time. */
static enum next signal_eoi(struct vee_vcpu *vcpu)
{
	struct apic *apic = &vcpu->apic;

	if (bind_tell_eoi(apic->bus, apic->eoi & APIC_VECTOR_MASK))
		apic->eoi = 0;
	return NEXT_HOST;
}

static noinline enum next tell_eoi(struct vee_vcpu *vcpu)
{
	if (bind_hears_eoi(vcpu->apic.bus, vcpu->apic.eoi & APIC_VECTOR_MASK)) {
		vcpu->exit.sleeper = signal_eoi;
		return NEXT_SLEEP;
	}
	vcpu->page->exit.eoi = (struct vee_exit_eoi) { .vector = vcpu->apic.eoi };
	vcpu->apic.eoi = 0;
	vcpu->exit.qualification = 0;
	return exit_user_event(vcpu, VEE_EXIT_EOI);
}

enum next local_attend(struct vee_vcpu *vcpu)
{
	struct apic *apic = &vcpu->apic;

	local_take_mail(vcpu);
	if (unlikely(apic->start & ~VEE_APIC_WAITS_FOR_SIPI))
		start(vcpu);
	if (unlikely(apic->eoi))
		return tell_eoi(vcpu);
	if (unlikely(!local_is_settled(&vcpu->local, apic))) {
		vcpu->exit.sleeper = local_settle;
		return NEXT_SLEEP;
	}
	if (unlikely(local_waits(apic)))
		timer_limit(&vcpu->limits, apic->timer.at);
	else
		local_prepare(vcpu);
	return NEXT_ENTER;
}

/* After what may have changed it, with the instruction done. */
static enum next changed(struct vee_vcpu *vcpu)
{
	struct apic *apic = &vcpu->apic;

	local_take_mail(vcpu);
	if (unlikely(apic->start & ~VEE_APIC_WAITS_FOR_SIPI || apic->eoi))
		return NEXT_HOST;
	local_prepare(vcpu);
	return NEXT_PREPARE;
}

/* --- exits ------------------------------------------------------------------------ */

enum next local_rdmsr(struct vee_vcpu *vcpu, u32 index)
{
	struct vee_regs *regs = guest_regs(vcpu);
	u64 value;

	local_look(&vcpu->apic, &vcpu->local);
	if (!apic_rdmsr(&vcpu->apic, index, &value))
		return event_gp(vcpu);
	regs->rax = (u32)value;
	regs->rdx = value >> 32;
	return event_skip(vcpu);
}

/* The timer may have another moment, and nothing else has changed. */
static enum next timer_changed(struct vee_vcpu *vcpu)
{
	if (timer_set_for_entry(&vcpu->limits, &vcpu->controls, vcpu->apic.timer.at))
		return NEXT_PREPARE;
	return changed(vcpu);
}

/* The vCPU's own may be among the receivers. */
static enum next sent(struct vee_vcpu *vcpu)
{
	return apic_has_mail(&vcpu->apic) ? changed(vcpu) : NEXT_ENTER;
}

static noinline enum next wrmsr_seldom(struct vee_vcpu *vcpu, u32 index)
{
	if (!apic_wrmsr(&vcpu->apic, index, guest_edx_eax(vcpu)))
		return event_gp(vcpu);
	event_skip(vcpu);
	return index == MSR_IA32_APICBASE ? NEXT_HOST : changed(vcpu);
}

static enum next write_eoi(struct vee_vcpu *vcpu)
{
	if (guest_edx_eax(vcpu) || !apic_end_alone(&vcpu->apic))
		return wrmsr_seldom(vcpu, X2APIC_MSR(APIC_EOI));
	return event_skip(vcpu);
}

static noinline enum next write_icr(struct vee_vcpu *vcpu)
{
	if (!apic_write_icr(&vcpu->apic, guest_edx_eax(vcpu)))
		return event_gp(vcpu);
	event_skip(vcpu);
	return sent(vcpu);
}

static noinline enum next write_self_ipi(struct vee_vcpu *vcpu)
{
	u64 vector = guest_edx_eax(vcpu);
	bool asked = vcpu->events.apic_asked;

	if (vector < APIC_FIRST_VECTOR || vector >= APIC_VECTORS ||
	    !apic_is_switched_on(&vcpu->apic) || local_delivers(&vcpu->local))
		return wrmsr_seldom(vcpu, X2APIC_MSR(APIC_SELF_IPI));
	local_request(vcpu, vector);
	event_skip(vcpu);
	return asked ? NEXT_ENTER : NEXT_PREPARE;
}

static noinline enum next write_count(struct vee_vcpu *vcpu)
{
	u64 value = guest_edx_eax(vcpu);

	if (value >> 32)
		return event_gp(vcpu);
	apic_timer_set_count(&vcpu->apic, value);
	event_skip(vcpu);
	return timer_changed(vcpu);
}

static noinline enum next write_deadline(struct vee_vcpu *vcpu)
{
	apic_timer_set_deadline(&vcpu->apic, guest_edx_eax(vcpu),
				guest_tsc_offset(&vcpu->vmcs.tsc));
	event_skip(vcpu);
	return timer_changed(vcpu);
}

/* What comes with each interrupt, IPI and tick does no more than that takes. */
enum next local_wrmsr(struct vee_vcpu *vcpu, u32 index)
{
	if (index == MSR_IA32_TSC_DEADLINE)
		return write_deadline(vcpu);
	if (!apic_is_x2apic(&vcpu->apic))
		return wrmsr_seldom(vcpu, index);
	switch (index) {
	case X2APIC_MSR(APIC_EOI):
		return write_eoi(vcpu);
	case X2APIC_MSR(APIC_ICR):
		return write_icr(vcpu);
	case X2APIC_MSR(APIC_SELF_IPI):
		return write_self_ipi(vcpu);
	case X2APIC_MSR(APIC_TMICT):
		return write_count(vcpu);
	default:
		return wrmsr_seldom(vcpu, index);
	}
}

void local_access(struct vee_vcpu *vcpu, struct vee_apic_access *access)
{
	local_take_mail(vcpu);
	local_look(&vcpu->apic, &vcpu->local);
	if (access->flags & VEE_APIC_WRITE)
		apic_write(&vcpu->apic, access->offset, access->value);
	else
		access->value = apic_read(&vcpu->apic, access->offset);
	/* In the registers it has all changed under the CPU's hands, and the caller's. */
	local_reload(vcpu);
	vcpu->page->valid &= ~VEE_STATE_APIC;
	vcpu->page->control.cr8 = tpr_read_cr8(&vcpu->tpr);
}

#define PAGE_OFFSET_OF(q)	((q) & 0xff0)

/* After the instruction, with the value in the page. */
enum next exit_apic_write(struct vee_vcpu *vcpu)
{
	vcpu->step.done = true;
	apic_was_written(&vcpu->apic, PAGE_OFFSET_OF(vcpu->exit.qualification));
	return changed(vcpu);
}

/* Likewise, of a vector that the bitmaps have. */
enum next exit_eoi(struct vee_vcpu *vcpu)
{
	vcpu->step.done = true;
	apic_ended(&vcpu->apic, vcpu->exit.qualification);
	return NEXT_HOST;
}
