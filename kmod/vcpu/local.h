/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's local APIC, as far as the CPU and the run loop have to do with it. Inside the
 * bracket, but for its life.
 */
#ifndef _VEE_LOCAL_H
#define _VEE_LOCAL_H

#include <linux/compiler.h>
#include <linux/jump_label.h>
#include <linux/types.h>

#include "apic/apic.h"
#include "vcpu/vmexit.h"
#include "vmx/controls.h"

struct vee_vm;

#define LOCAL_UNKNOWN	U32_MAX

/**
 * struct local - how the CPU sees to the APIC
 * @controls: LOCAL_ bits: what it does; LOCAL_UNKNOWN: it is yet to be set
 * @base: IA32_APIC_BASE that this is for
 * @may_deliver: ... and whether the CPU may deliver interrupts itself: the guest has switched the
 *   APIC on, and no caller steps it by RFLAGS.TF
 * @several: ... and whether the VM has other vCPUs
 * @settled: IA32_APIC_BASE that @hides is for
 * @hides: the VM's page for APIC accesses isn't there since it must not be for this vCPU
 * @threshold: the TPR threshold in the VMCS
 * @level: the TMR that its EOI-exit bitmaps are for
 */
struct local {
	u32 controls;
	bool may_deliver;
	bool several;
	bool hides;
	u64 base;
	u64 settled;
	u32 threshold;
	u32 level[APIC_WORDS];
};

/* The VM's vCPUs are to have local APICs. -ENOMEM */
int local_begin(struct vee_vm *vm);
/* -ENOMEM */
int local_init(struct vee_vcpu *vcpu);
void local_end(struct vee_vcpu *vcpu);
/* With its number its own. */
void local_join(struct vee_vcpu *vcpu);
void local_leave(struct vee_vcpu *vcpu);

/* What has come is in the registers from here on. */
void local_take_mail(struct vee_vcpu *vcpu);
void local_prepare(struct vee_vcpu *vcpu);
/* For vm_exit.sleeper: the VM's page for APIC accesses is there, or not, as its base has it. */
enum next local_settle(struct vee_vcpu *vcpu);

static inline bool local_is_settled(const struct local *local, const struct apic *apic)
{
	return local->settled == apic->base;
}

/* The vCPU has sent itself an interrupt, which the CPU does not deliver. */
void local_request(struct vee_vcpu *vcpu, u8 vector);
/* Of one with a local APIC: would an interrupt of it end HLT? */
bool local_has_interrupt(struct vee_vcpu *vcpu);
/* The IDT-vectoring information of an exit, @info, as it should be. With a local APIC. */
u32 local_vectoring(const struct vee_vcpu *vcpu, u32 info);
/* State was loaded that it depends on. */
void local_reload(struct vee_vcpu *vcpu);
void local_load(struct vee_vcpu *vcpu);
/* The guest's TSC was set. */
void local_tsc_changed(struct vee_vcpu *vcpu);

/* Does the CPU deliver its interrupts? */
static inline bool local_delivers(const struct local *local)
{
	return local->controls != LOCAL_UNKNOWN &&
	       local->controls & PROC2_VIRTUAL_INTERRUPT_DELIVERY;
}

/* Before the registers are looked at: the CPU may have changed them. @apic, @local: a vCPU's */
static inline void local_look(struct apic *apic, const struct local *local)
{
	if (local_delivers(local))
		apic_forget_words(apic);
}

static inline bool local_is_there(const struct apic *apic)
{
	return static_branch_unlikely(&apics) && apic->regs;
}

/* @apic: @vcpu's */
static inline bool local_wakes(struct vee_vcpu *vcpu, const struct apic *apic)
{
	return local_is_there(apic) && local_has_interrupt(vcpu);
}

void local_timer_hold_off(struct vee_vcpu *vcpu);

/* Last before an entry with a limit: a periodic timer leaves the guest some time. */
static inline void local_hold_off(struct vee_vcpu *vcpu, const struct apic *apic)
{
	if (static_branch_unlikely(&apics) && apic->timer.fired)
		local_timer_hold_off(vcpu);
}

/* Until another vCPU starts it. */
static inline bool local_waits(const struct apic *apic)
{
	return apic->start & VEE_APIC_WAITS_FOR_SIPI;
}

static inline bool local_has_mail(const struct apic *apic)
{
	return static_branch_unlikely(&apics) && apic_has_mail(apic);
}

/* A guest's write has been posted. By way of a bell it may have an interrupt for itself. */
static inline enum next local_after_post(const struct apic *apic)
{
	return local_has_mail(apic) ? NEXT_HOST : NEXT_ENTER;
}

static inline bool local_has_msr(const struct apic *apic, u32 index)
{
	return local_is_there(apic) && apic_has_msr(apic, index);
}

static inline bool local_is_xapic(const struct apic *apic)
{
	return apic->regs && apic_is_enabled(apic) && !apic_is_x2apic(apic);
}

/* In xAPIC mode, and are its registers in the page of @gpa? */
static inline bool local_is_at(const struct apic *apic, u64 gpa)
{
	return local_is_xapic(apic) && !((apic->base ^ gpa) & APIC_BASE_ADDRESS);
}

#endif /* _VEE_LOCAL_H */
