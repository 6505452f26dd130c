// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Run for at most so long": vee_vcpu_page.deadline_ns, and the budget of a run
 * that is made inline.
 *
 * With the VMX-preemption timer the CPU itself ends the guest (SDM 3C,
 * "VMX-Preemption Timer"): it is set anew at each entry to what is left. Without
 * it an hrtimer kicks the thread that runs the vCPU.
 *
 * An inline run enters its guest with the whole budget left, and most enter it only
 * once, with the same budget as the run before: then the timer is set already.
 */
#include <linux/cache.h>
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <asm/processor-flags.h>
#include <asm/tsc.h>

#include "compat.h"
#include "vcpu/deadline.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

static bool preemption_timer = true;
module_param(preemption_timer, bool, 0444);
MODULE_PARM_DESC(preemption_timer,
		 "Use the VMX-preemption timer for deadlines where the CPU has one; off: an hrtimer (default: on)");

unsigned int slice_us;
module_param(slice_us, uint, 0444);
MODULE_PARM_DESC(slice_us,
		 "Look for the host's interrupts after so many microseconds, for machines where an interrupt does not end that of a guest that was entered with interrupts off: Bochs 2.7 (default: 0, never)");

bool limits_in_hardware __ro_after_init;
bool limits_unsliced __ro_after_init;

int deadline_setup(void)
{
	limits_in_hardware = preemption_timer && tsc_khz &&
			     caps_has(VEE_FEATURE_PREEMPTION_TIMER);
	limits_unsliced = limits_in_hardware && !slice_us;
	return 0;
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct limit *limit = container_of(timer, struct limit, timer);

	/* The mark before the look at who runs; may_enter() the reverse. */
	smp_store_mb(limit->tsc, 0);
	runner_interrupt(limit->runner);
	return HRTIMER_NORESTART;
}

static void limit_init(struct limit *limit, struct runner *runner)
{
	limit->runner = runner;
	limit->tsc = U64_MAX;
	vee_hrtimer_setup(&limit->timer, timer_fired, CLOCK_MONOTONIC,
			  HRTIMER_MODE_REL);
}

/*
 * 36 years, longer than which is for ever: in them a TSC of up to 15 GHz makes fewer
 * ticks than 64 bits can count. mul_u64_u32_div() raises #DE on a result with more.
 */
#define FOREVER_NS	(KTIME_MAX / 8)

static u64 to_tsc(u64 ns)
{
	u64 ticks = mul_u64_u32_div(min_t(u64, ns, FOREVER_NS), tsc_khz, USEC_PER_SEC);
	u64 now = host_time();

	return now + ticks < now ? U64_MAX : now + ticks;
}

static void limit_start(struct limit *limit, u64 ns)
{
	if (likely(limits_in_hardware))
		limit->tsc = to_tsc(ns);
	else
		hrtimer_start(&limit->timer, min_t(u64, ns, KTIME_MAX),
			      HRTIMER_MODE_REL);
}

void limit_stop(struct limit *limit)
{
	if (unlikely(!limits_in_hardware))
		hrtimer_cancel(&limit->timer);
	limit->tsc = U64_MAX;
}

static u64 ticks_until(u64 tsc)
{
	u64 now;

	if (tsc == U64_MAX)
		return U64_MAX;
	now = host_time();
	return now < tsc ? tsc - now : 0;
}

void deadline_init(struct limits *limits, struct runner *runner)
{
	limit_init(&limits->deadline, runner);
	limit_init(&limits->budget, runner);
	limits->timer_at = U64_MAX;
}

void deadline_set(struct limits *limits, u64 ns)
{
	limit_start(&limits->deadline, ns);
	limits->under_way |= LIMIT_DEADLINE;
}

void deadline_clear(struct limits *limits)
{
	limit_stop(&limits->deadline);
	limits->under_way &= ~LIMIT_DEADLINE;
}

/* A guest's timer may be set to any moment, ages away: the same holds for that. */
static u64 ns_of(u64 ticks)
{
	u64 forever = mul_u64_u32_div(FOREVER_NS, tsc_khz, USEC_PER_SEC);

	return ticks < forever ? mul_u64_u32_div(ticks, USEC_PER_SEC, tsc_khz) : FOREVER_NS;
}

/* Clocks differ: it may be early. */
#define TIMER_AGAIN_US	20

static enum hrtimer_restart timer_woke(struct hrtimer *timer)
{
	struct limits *limits = container_of(timer, struct limits, timer);
	u64 at = READ_ONCE(limits->timer_at);

	if (at != U64_MAX && host_time() < at) {
		hrtimer_forward_now(timer, ns_to_ktime(TIMER_AGAIN_US * NSEC_PER_USEC));
		return HRTIMER_RESTART;
	}
	runner_interrupt(limits->deadline.runner);
	return HRTIMER_NORESTART;
}

void timer_init(struct limits *limits)
{
	vee_hrtimer_setup(&limits->timer, timer_woke, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
}

/* With interrupts off. An hrtimer that is no longer wanted has the thread look in vain. */
void timer_set(struct limits *limits, u64 at)
{
	WRITE_ONCE(limits->timer_at, at);
	if (at == U64_MAX) {
		limits->under_way &= ~LIMIT_TIMER;
		return;
	}
	limits->under_way |= LIMIT_TIMER;
	if (unlikely(!limits_in_hardware))
		hrtimer_start(&limits->timer, ns_to_ktime(ns_of(ticks_until(at))),
			      HRTIMER_MODE_REL);
}

void timer_end(struct limits *limits)
{
	hrtimer_cancel(&limits->timer);
}

void budget_set_timer(struct limits *limits, u32 budget_us)
{
	limit_start(&limits->budget, (u64)budget_us * NSEC_PER_USEC);
	limits->under_way |= LIMIT_BUDGET;
}

static u64 ticks_in(u32 us)
{
	return (u64)us * tsc_khz / USEC_PER_MSEC;
}

void budget_convert(struct limits *limits, u32 budget_us)
{
	limits->budget_us = budget_us;
	limits->budget_ticks = ticks_in(budget_us);
	limits->budget_timer = timer_value(limits->budget_ticks);
}

/* A guest that is entered with interrupts on is left for those of the host. */
static bool sliced(void)
{
	return unlikely(slice_us) && tsc_khz && caps_has(VEE_FEATURE_PREEMPTION_TIMER) &&
	       !(vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF);
}

static u64 slice_left(struct limits *limits)
{
	u64 whole;

	if (!sliced())
		return U64_MAX;
	whole = ticks_in(slice_us);
	if (!limits->slice_end)
		limits->slice_end = host_time() + whole;
	/* Another CPU's TSC may be behind. */
	return min(whole, ticks_until(limits->slice_end));
}

ktime_t deadline_timeout(const struct limits *limits)
{
	u64 ticks = min(ticks_until(READ_ONCE(limits->deadline.tsc)),
			ticks_until(limits->timer_at));

	/* An hrtimer wakes the sleeper itself. */
	if (!limits_in_hardware || ticks == U64_MAX)
		return KTIME_MAX;
	return ns_to_ktime(ns_of(ticks));
}

static u64 budget_left(struct limits *limits)
{
	if (!(limits->under_way & LIMIT_WHOLE))
		return ticks_until(limits->budget.tsc);
	budget_begin(limits);
	return limits->budget_ticks;
}

/* A later moment than the timer can count is an exit in between. */
void deadline_prepare(struct limits *limits, struct vmcs_controls *controls)
{
	u64 ticks = U64_MAX;

	limits->timer_is_set = false;
	if (limits_in_hardware)
		ticks = min3(ticks_until(limits->deadline.tsc), budget_left(limits),
			     ticks_until(limits->timer_at));
	ticks = min(ticks, slice_left(limits));
	if (ticks == U64_MAX)
		vmcs_set_pin(controls, PIN_PREEMPTION_TIMER, false);
	else
		vmcs_set_timer(controls, timer_value(ticks));
}
