// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Run for at most so long": vee_vcpu_page.deadline_ns, and the budget of a run
 * that io_uring makes inline.
 *
 * With the VMX-preemption timer the CPU itself ends the guest (SDM 3C,
 * "VMX-Preemption Timer"): it is set anew at each entry to what is left. Without
 * it an hrtimer kicks the thread that runs the vCPU.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <asm/processor-flags.h>
#include <asm/tsc.h>

#include "compat.h"
#include "vcpu.h"

static bool preemption_timer = true;
module_param(preemption_timer, bool, 0444);
MODULE_PARM_DESC(preemption_timer,
		 "Use the VMX-preemption timer for deadlines where the CPU has one; off: an hrtimer (default: on)");

static unsigned int slice_us;
module_param(slice_us, uint, 0444);
MODULE_PARM_DESC(slice_us,
		 "End each stay in the guest after so many microseconds, for machines where an interrupt does not end that of a guest that was entered with interrupts off: Bochs 2.7 (default: 0, never)");

static bool in_hardware(void)
{
	return preemption_timer && caps_has(VEE_FEATURE_PREEMPTION_TIMER);
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct vee_vcpu *vcpu = container_of(timer, struct vee_vcpu, deadline_timer);

	WRITE_ONCE(vcpu->deadline_over, true);
	vcpu_interrupt(vcpu);
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart budget_timer_fired(struct hrtimer *timer)
{
	struct vee_vcpu *vcpu = container_of(timer, struct vee_vcpu, budget_timer);

	WRITE_ONCE(vcpu->budget_over, true);
	vcpu_interrupt(vcpu);
	return HRTIMER_NORESTART;
}

void deadline_init(struct vee_vcpu *vcpu)
{
	vee_hrtimer_setup(&vcpu->deadline_timer, timer_fired, CLOCK_MONOTONIC,
			  HRTIMER_MODE_REL);
	vee_hrtimer_setup(&vcpu->budget_timer, budget_timer_fired, CLOCK_MONOTONIC,
			  HRTIMER_MODE_REL);
}

/* A deadline beyond what the TSC can count from now is none. */
static u64 to_tsc(u64 ns)
{
	u64 now = rdtsc(), ticks = mul_u64_u32_div(ns, tsc_khz, USEC_PER_SEC);

	return now + ticks < now ? U64_MAX : now + ticks;
}

void deadline_start(struct vee_vcpu *vcpu)
{
	u64 ns = READ_ONCE(vcpu->page->deadline_ns);

	vcpu->deadline_tsc = 0;
	vcpu->deadline_over = false;
	if (!ns)
		return;
	if (in_hardware())
		vcpu->deadline_tsc = to_tsc(ns);
	else
		hrtimer_start(&vcpu->deadline_timer,
			      min_t(u64, ns, KTIME_MAX), HRTIMER_MODE_REL);
}

void deadline_stop(struct vee_vcpu *vcpu)
{
	if (!in_hardware())
		hrtimer_cancel(&vcpu->deadline_timer);
}

void budget_start(struct vee_vcpu *vcpu, u32 budget_us)
{
	vcpu->is_inline = true;
	vcpu->budget_over = false;
	if (in_hardware())
		vcpu->budget_tsc = rdtsc() + (u64)budget_us * tsc_khz / USEC_PER_MSEC;
	else
		hrtimer_start(&vcpu->budget_timer, ns_to_ktime((u64)budget_us * NSEC_PER_USEC),
			      HRTIMER_MODE_REL);
}

void budget_stop(struct vee_vcpu *vcpu)
{
	if (!in_hardware())
		hrtimer_cancel(&vcpu->budget_timer);
	vcpu->budget_tsc = 0;
	vcpu->is_inline = false;
}

/* What the timer is set to: it is a timer of 32 bits. */
static u32 timer_value(u64 ticks)
{
	return min_t(u64, ticks >> vee_caps.timer_shift, U32_MAX);
}

/* A guest that is entered with interrupts on is left for those of the host. */
static bool sliced(void)
{
	return unlikely(slice_us) && caps_has(VEE_FEATURE_PREEMPTION_TIMER) &&
	       !(vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF);
}

static u64 slice_ticks(void)
{
	return mul_u64_u32_div(slice_us, tsc_khz, USEC_PER_MSEC);
}

static u64 ticks_until(u64 tsc)
{
	u64 now = rdtsc();

	return now < tsc ? tsc - now : 0;
}

ktime_t deadline_timeout(struct vee_vcpu *vcpu)
{
	if (!vcpu->deadline_tsc)
		return KTIME_MAX;
	return ns_to_ktime(mul_u64_u32_div(ticks_until(vcpu->deadline_tsc),
					   USEC_PER_SEC, tsc_khz));
}

/* A later deadline than the timer can count is an exit in between. */
void deadline_before_entry(struct vee_vcpu *vcpu)
{
	u64 ticks = sliced() ? slice_ticks() : U64_MAX;

	if (vcpu->deadline_tsc)
		ticks = min(ticks, ticks_until(vcpu->deadline_tsc));
	if (vcpu->budget_tsc)
		ticks = min(ticks, ticks_until(vcpu->budget_tsc));
	if (ticks == U64_MAX)
		vmcs_set_pin(vcpu, PIN_PREEMPTION_TIMER, false);
	else
		vmcs_set_timer(vcpu, timer_value(ticks));
}
