// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's local APIC, as far as the VMCS and the run loop have to do with it; what an
 * APIC is and does is in apic/.
 *
 * How much of it the CPU does itself depends on the CPU, and on the APIC's mode (SDM 3C,
 * "APIC Virtualization and Virtual Interrupts"):
 *
 * - With virtual-interrupt delivery it takes interrupts from the IRR, and ends them,
 *   alone: before an entry it is only told of new ones (RVI).
 * - Without, an interrupt that may be delivered is injected like any event, and a window
 *   asked for until the guest is ready; the TPR threshold says when a guest that holds
 *   it off by its task priority no longer does.
 *
 * While a caller has the guest stepped by RFLAGS.TF, events must pass by step.c: then
 * there is no virtual-interrupt delivery. Nor is there for an APIC that is switched off by
 * software: with it the CPU takes IPIs that the guest sends itself all the same (SDM 3C,
 * "Self-IPI Virtualization").
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/processor-flags.h>

#include "apic/bind.h"
#include "apic/bus.h"
#include "apic/virtual.h"
#include "memory/own.h"
#include "memory/vm.h"
#include "vcpu/deadline.h"
#include "vcpu/event.h"
#include "vcpu/local.h"
#include "vcpu/msr_bitmap.h"
#include "vcpu/runner.h"
#include "vcpu/spin.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

/* local.controls: of the secondary controls these, and the TPR shadow without which none is */
#define LOCAL_CONTROLS	(PROC2_VIRTUALIZE_APIC_ACCESSES | PROC2_VIRTUALIZE_X2APIC_MODE | \
			 PROC2_APIC_REGISTER_VIRTUALIZATION |				 \
			 PROC2_VIRTUAL_INTERRUPT_DELIVERY | PROC2_PAUSE_LOOP_EXITING)
#define LOCAL_SHADOW	PROC_TPR_SHADOW

static_assert(!(LOCAL_CONTROLS & LOCAL_SHADOW));

/* --- life ------------------------------------------------------------------------- */

static struct vee_vcpu *vcpu_of_apic(struct apic *apic)
{
	return container_of(apic, struct vee_vcpu, apic);
}

static void nudge(struct apic *apic)
{
	runner_nudge(&vcpu_of_apic(apic)->runner);
}

static void bus_free(struct apic_bus *bus)
{
	bind_end_all(bus);
	kfree(bus);
}

int local_begin(struct vee_vm *vm)
{
	struct apic_bus *bus = bus_create(nudge);
	int err;

	if (!bus)
		return -ENOMEM;
	err = apic_may_virtualize_accesses() ? own_set(&vm->memory.own, APIC_BASE_DEFAULT) : 0;
	if (err) {
		kfree(bus);
		return err;
	}
	vm->bus = bus;
	vm->bus_free = bus_free;
	return 0;
}

int local_init(struct vee_vcpu *vcpu)
{
	u8 *regs;

	if (!vcpu->vm->bus)
		return 0;
	regs = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!regs)
		return -ENOMEM;
	tpr_use(&vcpu->tpr, regs);
	apic_init(&vcpu->apic, vcpu->vm->bus, regs, vcpu->id);
	vcpu->local.controls = LOCAL_UNKNOWN;
	vcpu->local.settled = vcpu->apic.base;
	timer_init(&vcpu->limits);
	return 0;
}

/* Its page is struct tpr's. */
void local_end(struct vee_vcpu *vcpu)
{
	if (vcpu->apic.regs)
		timer_end(&vcpu->limits);
}

static void set_hides(struct vee_vcpu *vcpu, bool hides)
{
	struct memory *memory = &vcpu->vm->memory;

	if (vcpu->local.hides == hides || !memory->own.page)
		return;
	vcpu->local.hides = hides;
	if (hides)
		own_hide(&memory->own, &memory->ept, &memory->lock);
	else
		own_show(&memory->own, &memory->lock);
}

/* With locks that may sleep on PREEMPT_RT. */
enum next local_settle(struct vee_vcpu *vcpu)
{
	vcpu->local.settled = vcpu->apic.base;
	set_hides(vcpu, apic_hides_page(&vcpu->apic));
	return NEXT_HOST;
}

void local_join(struct vee_vcpu *vcpu)
{
	if (!vcpu->vm->bus)
		return;
	static_branch_inc(&apics);
	bus_join(vcpu->vm->bus, &vcpu->apic);
}

void local_leave(struct vee_vcpu *vcpu)
{
	if (!vcpu->vm->bus)
		return;
	bus_leave(vcpu->vm->bus, &vcpu->apic);
	set_hides(vcpu, false);
	static_branch_dec(&apics);
}

/* --- controls --------------------------------------------------------------------- */

static bool steps_by_trap(const struct vee_vcpu *vcpu)
{
	return vcpu->wishes.intercept & VEE_INTERCEPT_STEP &&
	       !caps_has(VEE_FEATURE_MONITOR_TRAP_FLAG);
}

static bool may_deliver(const struct vee_vcpu *vcpu)
{
	return apic_is_switched_on(&vcpu->apic) && !steps_by_trap(vcpu);
}

static bool controls_fit(const struct vee_vcpu *vcpu)
{
	const struct local *local = &vcpu->local;

	return local->controls != LOCAL_UNKNOWN && local->base == vcpu->apic.base &&
	       local->several == bus_has_several(vcpu->apic.bus) &&
	       local->may_deliver == may_deliver(vcpu);
}

static u32 wanted_controls(const struct vee_vcpu *vcpu)
{
	u32 wanted = apic_controls(&vcpu->apic);

	/* In x2APIC mode the bitmap would let EOI and self IPI through, to the host's APIC. */
	if (!vcpu->local.may_deliver)
		wanted &= ~(PROC2_VIRTUAL_INTERRUPT_DELIVERY | PROC2_VIRTUALIZE_X2APIC_MODE);
	if (vcpu->local.several)
		wanted |= spin_control();
	return apic_may_shadow() ? wanted | LOCAL_SHADOW : wanted;
}

static void write_eoi_bitmaps(struct vee_vcpu *vcpu)
{
	static const u32 bitmaps[] = {
		VMCS_EOI_EXIT_BITMAP_0, VMCS_EOI_EXIT_BITMAP_1,
		VMCS_EOI_EXIT_BITMAP_2, VMCS_EOI_EXIT_BITMAP_3,
	};
	const u32 *level = vcpu->local.level;

	for (int i = 0; i < ARRAY_SIZE(bitmaps); i++)
		vmcs_write(bitmaps[i], level[2 * i] | (u64)level[2 * i + 1] << 32);
}

/* SDM 3C, "Guest Interrupt Status": RVI, and above it SVI. */
#define STATUS_RVI(status)	((status) & 0xff)
#define STATUS_SVI_SHIFT	8

static void write_status(struct apic *apic)
{
	int requested, in_service;

	apic_forget_words(apic);
	requested = apic_requested(apic);
	in_service = apic_in_service(apic);
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS,
		   max(requested, 0) | max(in_service, 0) << STATUS_SVI_SHIFT);
}

static void set_level(struct vee_vcpu *vcpu)
{
	bool changed = false;

	for (int i = 0; i < APIC_WORDS; i++) {
		u32 level = apic_get(&vcpu->apic, APIC_WORD(APIC_TMR, i));

		changed |= level != vcpu->local.level[i];
		vcpu->local.level[i] = level;
	}
	vcpu->apic.triggers_changed = false;
	if (changed)
		write_eoi_bitmaps(vcpu);
}

/* Those that were cached before are used as they were (SDM 3C, "Use of Cached Information"). */
static void flush_translations(struct vee_vcpu *vcpu)
{
	struct ept *ept = &vcpu->vm->memory.ept;

	ept_flush_to(ept, ept->cpu_generation[smp_processor_id()]);
	vpid_flush(&vcpu->vpid);
}

static void set_controls(struct vee_vcpu *vcpu, u32 wanted)
{
	u32 old = vmcs_read(VMCS_PROC2_CONTROLS), proc2 = old & ~LOCAL_CONTROLS;

	if ((old ^ wanted) & PROC2_VIRTUALIZE_APIC_ACCESSES)
		flush_translations(vcpu);
	vcpu->local.controls = wanted;
	vcpu->local.threshold = 0;
	vmcs_set_proc(&vcpu->controls, PROC_TPR_SHADOW, wanted & LOCAL_SHADOW);
	vmcs_set_proc(&vcpu->controls, PROC_CR8_LOAD_EXITING | PROC_CR8_STORE_EXITING,
		      !(wanted & LOCAL_SHADOW));
	vmcs_write(VMCS_PROC2_CONTROLS, proc2 | (wanted & LOCAL_CONTROLS));
	vmcs_write(VMCS_MSR_BITMAP, msr_bitmap_hpa(wanted & PROC2_VIRTUALIZE_X2APIC_MODE));
	if (wanted & LOCAL_SHADOW) {
		vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, virt_to_phys(vcpu->apic.regs));
		vmcs_write(VMCS_TPR_THRESHOLD, 0);
	}
	if (wanted & PROC2_PAUSE_LOOP_EXITING)
		spin_prepare();
	if (wanted & PROC2_VIRTUALIZE_APIC_ACCESSES)
		vmcs_write(VMCS_APIC_ACCESS_ADDRESS, virt_to_phys(vcpu->vm->memory.own.page));
	apic_forget_words(&vcpu->apic);
	if (!local_delivers(&vcpu->local))
		return;
	write_status(&vcpu->apic);
	memset(vcpu->local.level, 0xff, sizeof(vcpu->local.level));
	set_level(vcpu);
}

static noinline void choose_controls(struct vee_vcpu *vcpu)
{
	u32 wanted;

	vcpu->local.base = vcpu->apic.base;
	vcpu->local.may_deliver = may_deliver(vcpu);
	vcpu->local.several = bus_has_several(vcpu->apic.bus);
	wanted = wanted_controls(vcpu);
	if (wanted != vcpu->local.controls)
		set_controls(vcpu, wanted);
}

void local_reload(struct vee_vcpu *vcpu)
{
	vcpu->local.controls = LOCAL_UNKNOWN;
}

/* --- interrupts ------------------------------------------------------------------- */

static void set_threshold(struct vee_vcpu *vcpu, int blocked)
{
	u32 threshold = 0, class = apic_get(&vcpu->apic, APIC_TASKPRI) >> TPR_CLASS_SHIFT;

	if (blocked >= 0 && blocked >> TPR_CLASS_SHIFT <= class)
		threshold = blocked >> TPR_CLASS_SHIFT;
	if (vcpu->local.controls & LOCAL_SHADOW)
		vmcs_set_control(VMCS_TPR_THRESHOLD, &vcpu->local.threshold, threshold);
}

static void offer(struct vee_vcpu *vcpu)
{
	int vector = apic_deliverable(&vcpu->apic);
	bool waits = vector >= 0;

	vcpu->events.apic_vector = vector;
	vcpu->events.apic_waits = waits;
	vcpu->events.apic_asked = false;
	/* It also makes the entry one that events are looked at for. */
	if (waits)
		vmcs_set_proc(&vcpu->controls, PROC_INTERRUPT_WINDOW_EXITING, true);
	set_threshold(vcpu, waits ? -1 : apic_requested(&vcpu->apic));
}

/* Which of those that wait comes first is asked when the guest is ready. */
void local_request(struct vee_vcpu *vcpu, u8 vector)
{
	apic_request(&vcpu->apic, vector);
	if (!vcpu->events.apic_asked)
		offer(vcpu);
}

/* The CPU is told of it. */
static void raise(struct vee_vcpu *vcpu, int vector)
{
	u32 status = vmcs_read(VMCS_GUEST_INTERRUPT_STATUS);

	if (unlikely(vcpu->apic.triggers_changed))
		set_level(vcpu);
	if (vector > STATUS_RVI(status))
		vmcs_write(VMCS_GUEST_INTERRUPT_STATUS,
			   (status & ~0xffU) | (u32)vector);
}

static noinline void take(struct vee_vcpu *vcpu)
{
	unsigned int nmis;
	int highest;

	nmis = apic_take_mail(&vcpu->apic, &highest);
	if (unlikely(nmis))
		event_take_nmis(&vcpu->events, nmis);
	if (highest >= 0 && local_delivers(&vcpu->local))
		raise(vcpu, highest);
}

void local_take_mail(struct vee_vcpu *vcpu)
{
	u64 now = host_time();

	if (apic_timer_is_due(&vcpu->apic, now))
		apic_timer_fire(&vcpu->apic, now);
	if (apic_has_mail(&vcpu->apic))
		take(vcpu);
}

/* SDM 3C, "Evaluation of Pending Virtual Interrupts" */
static bool cpu_has_interrupt(const struct apic *apic)
{
	u32 status = vmcs_read(VMCS_GUEST_INTERRUPT_STATUS);
	u32 priority = max(apic_get(apic, APIC_TASKPRI), status >> STATUS_SVI_SHIFT);

	return STATUS_RVI(status) >> TPR_CLASS_SHIFT > priority >> TPR_CLASS_SHIFT;
}

bool local_has_interrupt(struct vee_vcpu *vcpu)
{
	if (!(vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF))
		return false;
	if (local_delivers(&vcpu->local))
		return cpu_has_interrupt(&vcpu->apic);
	return apic_deliverable(&vcpu->apic) >= 0;
}

/* The CPU and the limits are told how the APIC is now. Before an entry. */
void local_prepare(struct vee_vcpu *vcpu)
{
	if (unlikely(!controls_fit(vcpu)))
		choose_controls(vcpu);
	if (local_delivers(&vcpu->local)) {
		vcpu->events.apic_waits = false;
		vcpu->events.apic_asked = false;
	} else {
		offer(vcpu);
	}
	timer_limit(&vcpu->limits, vcpu->apic.timer.at);
}

void local_timer_hold_off(struct vee_vcpu *vcpu)
{
	apic_timer_hold_off(&vcpu->apic);
	timer_limit(&vcpu->limits, vcpu->apic.timer.at);
}

/*
 * Each CPU with virtual-interrupt delivery has posted interrupts, too; Bochs has not. When it
 * delivers an interrupt itself, and an exit cuts that short, it leaves the IDT-vectoring
 * information as the guest's last event before was (2.7, 3.0).
 */
static bool vectoring_is_stale(const struct local *local)
{
	return local_delivers(local) &&
	       !(vee_caps.allowed[VMX_PIN] >> 32 & PIN_POSTED_INTERRUPTS);
}

/*
 * SDM 3C, "Virtual-Interrupt Delivery": what is being delivered is in service by then, it is
 * SVI; and the guest is as before, with interrupts open. An interrupt's handler that has
 * opened them, and raises an exception, looks the same: no system is known to do so before
 * its EOI. The exception comes again.
 */
u32 local_vectoring(const struct vee_vcpu *vcpu, u32 info)
{
	u32 vector;

	if (!vectoring_is_stale(&vcpu->local) ||
	    !interrupt_ready(interruptibility(), vmcs_read(VMCS_GUEST_RFLAGS)))
		return info;
	vector = vmcs_read(VMCS_GUEST_INTERRUPT_STATUS) >> STATUS_SVI_SHIFT;
	return vector ? INFO_VALID | VEE_EVENT_INTERRUPT << INFO_TYPE_SHIFT | vector : info;
}

/* --- state ------------------------------------------------------------------------ */

void local_load(struct vee_vcpu *vcpu)
{
	apic_load(&vcpu->apic, &vcpu->staged.apic, guest_tsc_offset(&vcpu->vmcs.tsc));
	local_reload(vcpu);
}

void local_tsc_changed(struct vee_vcpu *vcpu)
{
	apic_timer_set_deadline(&vcpu->apic, vcpu->apic.timer.deadline,
				guest_tsc_offset(&vcpu->vmcs.tsc));
}
