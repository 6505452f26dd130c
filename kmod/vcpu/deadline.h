/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * "Run for at most so long": a deadline, and the budget of a run that is made inline.
 */
#ifndef _VEE_DEADLINE_H
#define _VEE_DEADLINE_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/types.h>

#include "vcpu/runner.h"
#include "vcpu/vmexit.h"
#include "vmx/caps.h"
#include "vmx/controls.h"
#include "vmx/tsc.h"
#include "vmx/vmcs.h"

/* limits.under_way */
#define LIMIT_DEADLINE	BIT(0)
#define LIMIT_BUDGET	BIT(1)
#define LIMIT_WHOLE	BIT(2)	/* the budget, up to the run's first entry */
#define LIMIT_TIMER	BIT(3)	/* the local APIC's */

/**
 * struct limit - a moment after which a vCPU is not to run on
 * @tsc: host_time() at it, U64_MAX: unknown or never
 * @timer: without the VMX-preemption timer: sets @tsc to 0
 * @runner: whom it is for
 */
struct limit {
	u64 tsc;
	struct hrtimer timer;
	struct runner *runner;
};

/**
 * struct limits - how long a run may last
 * @under_way: LIMIT_ bits
 * @deadline: when the run ends
 * @budget: when an inline run is to be paused
 * @timer_at: when the timer of the local APIC is due, by host_time(); U64_MAX: never
 * @timer: without the VMX-preemption timer: has the thread look then
 * @timer_is_set: the preemption timer is set for it, for the next entry
 * @slice_end: when the host's interrupts are to be looked for (slice_us), by
 *	host_time(); 0: with the next entry a slice begins
 * @budget_us: a budget in microseconds, 0: none yet
 * @budget_ticks: ... of the TSC
 * @budget_timer: ... as preemption-timer value
 */
struct limits {
	u32 under_way;
	struct limit deadline;
	struct limit budget;
	u64 timer_at;
	struct hrtimer timer;
	bool timer_is_set;
	u64 slice_end;
	u32 budget_us;
	u64 budget_ticks;
	u32 budget_timer;
};

int deadline_setup(void);
void deadline_init(struct limits *limits, struct runner *runner);
void deadline_set(struct limits *limits, u64 ns);
void deadline_clear(struct limits *limits);
extern unsigned int slice_us;
/* By the CPU's timer, not by an hrtimer. */
extern bool limits_in_hardware;
/* ... and there is no slice_us. */
extern bool limits_unsliced;

/* What the timer is set to: it is a timer of 32 bits. */
static inline u32 timer_value(u64 ticks)
{
	return min_t(u64, ticks >> vee_caps.timer_shift, U32_MAX);
}

/* @ns: 0: there is none */
static inline void deadline_start(struct limits *limits, u64 ns)
{
	if (unlikely(ns))
		deadline_set(limits, ns);
}

static inline void deadline_stop(struct limits *limits)
{
	if (unlikely(limits->under_way & LIMIT_DEADLINE))
		deadline_clear(limits);
}

/* Is there a timer to set, or to turn off? */
static inline bool deadline_armed(const struct limits *limits,
				  const struct vmcs_controls *controls)
{
	return limits->under_way | slice_us | (controls->pin & PIN_PREEMPTION_TIMER);
}

/*
 * The host is to have its interrupts before the next entry. Exits that are answered at once do
 * not end a slice, for interrupts stay off. When they were on for another reason is not noted:
 * a slice ends too early then, which costs a look at them.
 */
static inline bool slice_ends(struct limits *limits)
{
	if (likely(!limits->slice_end) || host_time() < limits->slice_end)
		return false;
	limits->slice_end = 0;
	return true;
}

/* Inside the bracket. */
void deadline_prepare(struct limits *limits, struct vmcs_controls *controls);

static inline bool deadline_passed(const struct limits *limits)
{
	return unlikely(limits->under_way & LIMIT_DEADLINE) &&
	       host_time() >= READ_ONCE(limits->deadline.tsc);
}

/* Before the first of the other two, of a vCPU that has such a timer. */
void timer_init(struct limits *limits);
void timer_set(struct limits *limits, u64 at);
void timer_end(struct limits *limits);

/* The timer of the local APIC is due at @at. */
static inline void timer_limit(struct limits *limits, u64 at)
{
	limits->timer_is_set = false;
	if (at != limits->timer_at)
		timer_set(limits, at);
}

/*
 * ... and right after this the guest is entered: the preemption timer is set at once, if
 * that is the only limit. False: no; nor for a timer that is due, or doesn't run.
 */
static inline bool timer_set_for_entry(struct limits *limits, struct vmcs_controls *controls,
				       u64 at)
{
	s64 left = at - host_time();

	if (!limits_unsliced || limits->under_way & ~LIMIT_TIMER || left <= 0)
		return false;
	limits->timer_at = at;
	limits->under_way = LIMIT_TIMER;
	limits->timer_is_set = true;
	vmcs_set_timer(controls, timer_value(left));
	return true;
}

static inline bool timer_was_set(struct limits *limits)
{
	bool set = limits->timer_is_set;

	limits->timer_is_set = false;
	return set;
}

static inline bool timer_passed(const struct limits *limits)
{
	return unlikely(limits->under_way & LIMIT_TIMER) && host_time() >= limits->timer_at;
}

/* How long a sleep may last that nothing else ends. */
ktime_t deadline_timeout(const struct limits *limits);

void budget_set_timer(struct limits *limits, u32 budget_us);
void limit_stop(struct limit *limit);
void budget_convert(struct limits *limits, u32 budget_us);

/* For how long a run may be inline. */
static inline void budget_start(struct limits *limits, u32 budget_us)
{
	if (unlikely(!limits_in_hardware)) {
		budget_set_timer(limits, budget_us);
		return;
	}
	if (unlikely(limits->budget_us != budget_us))
		budget_convert(limits, budget_us);
	limits->budget.tsc = host_time() + limits->budget_ticks;
	limits->under_way |= LIMIT_WHOLE;
}

static inline void budget_stop(struct limits *limits)
{
	if (likely(limits_in_hardware))
		limits->budget.tsc = U64_MAX;
	else
		limit_stop(&limits->budget);
	limits->under_way &= ~(LIMIT_BUDGET | LIMIT_WHOLE);
}

static inline bool budget_passed(const struct limits *limits)
{
	return unlikely(limits->under_way & LIMIT_BUDGET) &&
	       host_time() >= READ_ONCE(limits->budget.tsc);
}

/*
 * For vm_exit.sleeper of an inline run: what it has to do may sleep. The guest does
 * its part again, in a thread that may.
 */
static inline enum next budget_end(struct limits *limits)
{
	limits->budget.tsc = 0;
	return NEXT_HOST;
}

/* At the first entry: from then on less is left, and has to be looked after. */
static inline void budget_begin(struct limits *limits)
{
	limits->under_way ^= LIMIT_WHOLE | LIMIT_BUDGET;
}

/* The first entry finds all that deadline_prepare() would do for it done. */
static inline bool budget_is_set(const struct limits *limits,
				 const struct vmcs_controls *controls)
{
	return limits->under_way == LIMIT_WHOLE && !slice_us &&
	       controls->pin & PIN_PREEMPTION_TIMER &&
	       controls->timer == limits->budget_timer;
}

#endif /* _VEE_DEADLINE_H */
