// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that waits in HLT, and costs the host nothing meanwhile.
 *
 * The instruction is done for the guest and the VMCS says that it is in HLT, so
 * the wait is state like any other: a run that ends in the middle of it leaves
 * VEE_ACTIVITY_HLT behind, and the next one waits on. The CPU is spared: entering
 * the guest would stop it until the host's next interrupt.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/time64.h>
#include <asm/processor-flags.h>
#include <asm/tsc.h>

#include "vcpu/deadline.h"
#include "vcpu/event.h"
#include "vcpu/halt.h"
#include "vcpu/local.h"
#include "vcpu/vcpu.h"
#include "vcpu/work.h"
#include "vmx/vmcs.h"

static unsigned int halt_stay_us = 200;
module_param(halt_stay_us, uint, 0444);
MODULE_PARM_DESC(halt_stay_us,
		 "For so many microseconds a vCPU with a local APIC that is in HLT looks whether it goes on, before its thread sleeps, if the last HLT was no longer and nothing else is to run (default: 200; 0: it sleeps at once)");

/* The option for HLT as the guest's interrupts are. */
static u32 option_for(u64 rflags)
{
	return rflags & X86_EFLAGS_IF ? VEE_OPTION_HLT_SLEEPS : VEE_OPTION_HLT_MASKED_SLEEPS;
}

/*
 * At an HLT that nothing ends at once. A single-step trap after it does: then the
 * guest is entered. False: the caller is to see the HLT.
 */
bool halt_begin(struct vee_vcpu *vcpu)
{
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	if (!(vcpu->wishes.options & option_for(rflags)))
		return false;
	event_skip(vcpu);
	if (!event_each_insn_traps(rflags))
		vmcs_write(VMCS_GUEST_ACTIVITY, VEE_ACTIVITY_HLT);
	return true;
}

/* One for interrupts can't be open, nor will be. */
static u32 windows_to_look_at(void)
{
	if (vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF)
		return INTERCEPT_WINDOWS;
	return VEE_INTERCEPT_NMI_WINDOW;
}

/*
 * One that the CPU is to deliver ends it, too. Bochs (2.7) with more than one CPU enters
 * HLT all the same, and doesn't look at it before the host's next interrupt.
 */
static bool apic_wakes(struct vee_vcpu *vcpu)
{
	if (!local_wakes(vcpu, &vcpu->apic))
		return false;
	vmcs_write(VMCS_GUEST_ACTIVITY, VEE_ACTIVITY_ACTIVE);
	return true;
}

/* With a window asked for, the CPU is to say whether it is open. */
bool halt_lasts(struct vee_vcpu *vcpu)
{
	return vmcs_read(VMCS_GUEST_ACTIVITY) == VEE_ACTIVITY_HLT &&
	       !vmcs_read(VMCS_GUEST_PENDING_DEBUG) &&
	       !(vcpu->events.delivering.flags & VEE_EVENT_VALID) && !event_wakes(&vcpu->events) &&
	       !apic_wakes(vcpu) && !(vcpu->wishes.intercept & windows_to_look_at());
}

/* Whoever makes one of these true calls runner_interrupt() after it. */
static bool wakes(struct vee_vcpu *vcpu)
{
	return event_was_sent(&vcpu->events) || deadline_passed(&vcpu->limits) ||
	       timer_passed(&vcpu->limits) || local_has_mail(&vcpu->apic) ||
	       runner_is_kicked(&vcpu->runner);
}

/* False: nothing is to be waited for any more. */
static bool sleep_once(struct vee_vcpu *vcpu)
{
	ktime_t timeout = deadline_timeout(&vcpu->limits);

	/* With the barrier of who wakes it: either sees what the other has done. */
	set_current_state(TASK_INTERRUPTIBLE);
	if (wakes(vcpu) || signal_pending(current))
		return false;
	if (timeout == KTIME_MAX)
		schedule();
	else
		schedule_hrtimeout(&timeout, HRTIMER_MODE_REL);
	return true;
}

static u64 stay_ticks(void)
{
	return div_u64((u64)halt_stay_us * tsc_khz, USEC_PER_MSEC);
}

/*
 * Where vCPUs wake each other most waits are short, and most of what they cost is the
 * scheduler's: to put the thread to sleep, and to have it run again. So it looks on, and
 * who wakes it need do nothing. That is done here, not by an entry in the activity state
 * HLT: there the wake-up would be an IPI, an exit and all of the way back in. And here
 * interrupts and preemption are on: ticks, softirqs and RCU have what they need, and
 * whatever else wants this CPU ends it.
 *
 * Who has waited for longer than this lasts does not look on the next time: so a guest
 * that is idle costs nothing, and one that begins to be as much as one stay.
 *
 * True: something has come.
 */
static bool stay(struct vee_vcpu *vcpu, u64 since)
{
	struct runner *runner = &vcpu->runner;
	u64 ticks = stay_ticks();
	bool woken;

	WRITE_ONCE(runner->looks, true);
	while (!(woken = wakes(vcpu)) && host_time() - since < ticks && single_task_running() &&
	       !work_waits(runner))
		cpu_relax();
	/* From here on it is to be told, before another look. */
	smp_store_mb(runner->looks, false);
	return woken;
}

static void sleep_till_woken(struct vee_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->runner.sleeps, true);
	while (sleep_once(vcpu))
		;
	__set_current_state(TASK_RUNNING);
	/* From here on an IPI is needed, before the look that follows. */
	smp_store_mb(vcpu->runner.sleeps, false);
}

/* Why it came back, may_enter() finds out. */
enum next halt_sleep(struct vee_vcpu *vcpu)
{
	u64 since;

	if (!halt_stay_us || !local_is_there(&vcpu->apic)) {
		sleep_till_woken(vcpu);
		return NEXT_HOST;
	}
	since = host_time();
	if (!vcpu->runner.waits_briefly || !stay(vcpu, since))
		sleep_till_woken(vcpu);
	vcpu->runner.waits_briefly = host_time() - since < stay_ticks();
	return NEXT_HOST;
}
