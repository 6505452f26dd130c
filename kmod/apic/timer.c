// SPDX-License-Identifier: GPL-2.0-only
/*
 * The timer (SDM 3A, "APIC Timer").
 *
 * It has no timer of the host's: nobody sees an interrupt of an APIC whose vCPU doesn't
 * run. So there is a moment to wait for, which is one more limit to how long the guest may
 * stay, or sleep; who is about to enter it looks whether the moment has come.
 */
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include <linux/types.h>
#include <asm/tsc.h>

#include "apic/apic.h"
#include "vmx/tsc.h"

#define MODE_MASK	(APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)

/* It counts nanoseconds, divided. */
static u64 to_ticks(const struct apic_timer *timer, u32 count)
{
	u64 ns = (u64)count << timer->shift;

	return max_t(u64, mul_u64_u32_div(ns, tsc_khz, USEC_PER_SEC), 1);
}

/* So that the guest gets on between two of them. */
#define SHORTEST_PERIOD_US	20

static u64 shortest_period(void)
{
	return div_u64((u64)tsc_khz * SHORTEST_PERIOD_US, USEC_PER_MSEC);
}

static u64 to_period(const struct apic *apic)
{
	return max(to_ticks(&apic->timer, apic_get(apic, APIC_TMICT)), shortest_period());
}

static void stop(struct apic *apic)
{
	apic->timer.at = U64_MAX;
	apic->timer.period = 0;
	apic->timer.fired = false;
}

void apic_timer_set_left(struct apic *apic, u32 left)
{
	struct apic_timer *timer = &apic->timer;

	timer->due = host_time() + to_ticks(timer, left);
	timer->at = timer->due;
	timer->fired = false;
	if (timer->mode == APIC_LVT_TIMER_PERIODIC)
		timer->period = to_period(apic);
}

void apic_timer_set_count(struct apic *apic, u32 count)
{
	struct apic_timer *timer = &apic->timer;

	/* Ignored; where the CPU has written it to the page it is 0 again. */
	if (timer->mode == APIC_LVT_TIMER_TSCDEADLINE) {
		apic_set(apic, APIC_TMICT, 0);
		return;
	}
	apic_set(apic, APIC_TMICT, count);
	stop(apic);
	if (count && tsc_khz)
		apic_timer_set_left(apic, count);
}

/* A periodic one counts no more than it began with, though its next interrupt may be farther. */
u32 apic_timer_count(const struct apic *apic)
{
	const struct apic_timer *timer = &apic->timer;
	u64 now = host_time(), left;

	if (timer->mode == APIC_LVT_TIMER_TSCDEADLINE || timer->at == U64_MAX ||
	    timer->at <= now)
		return 0;
	left = mul_u64_u32_div(timer->at - now, USEC_PER_SEC, tsc_khz) >> timer->shift;
	return timer->period ? min_t(u64, left, apic_get(apic, APIC_TMICT)) : left;
}

/* The guest compares its TSC with the deadline, both as unsigned numbers. */
void apic_timer_set_deadline(struct apic *apic, u64 deadline, u64 guest_ahead)
{
	struct apic_timer *timer = &apic->timer;
	u64 now = host_time(), guest_now = now + guest_ahead;
	u64 left = deadline > guest_now ? deadline - guest_now : 0;

	if (timer->mode != APIC_LVT_TIMER_TSCDEADLINE)
		return;
	timer->deadline = deadline;
	timer->at = deadline && left < U64_MAX - now ? now + left : U64_MAX;
}

/* SDM 3A, "TSC-Deadline Mode": changing between it and the others disarms the timer. */
void apic_timer_set_mode(struct apic *apic)
{
	struct apic_timer *timer = &apic->timer;
	u32 mode = apic_get(apic, APIC_LVTT) & MODE_MASK, changed = mode ^ timer->mode;

	timer->mode = mode;
	if (changed & APIC_LVT_TIMER_TSCDEADLINE) {
		stop(apic);
		timer->deadline = 0;
		apic_set(apic, APIC_TMICT, 0);
	} else if (changed && timer->at != U64_MAX) {
		timer->period = mode == APIC_LVT_TIMER_PERIODIC ? to_period(apic) : 0;
	}
}

/* Bits 3, 1 and 0 are log2 - 1, modulo 8. */
static u8 divide_shift(u32 divide)
{
	return ((divide & 3) + (divide >> 1 & 4) + 1) & 7;
}

/* What is left of the count is counted at the new rate. */
void apic_timer_set_divide(struct apic *apic)
{
	struct apic_timer *timer = &apic->timer;
	u32 left = apic_timer_count(apic);

	timer->shift = divide_shift(apic_get(apic, APIC_TDCR));
	if (left)
		apic_timer_set_left(apic, left);
}

/*
 * Periods that nobody was there for are over: the guest gets one interrupt for all, and the
 * next one when it would have been due anyway.
 */
void apic_timer_fire(struct apic *apic, u64 now)
{
	struct apic_timer *timer = &apic->timer;

	if (timer->period) {
		timer->due += (div64_u64(now - timer->due, timer->period) + 1) * timer->period;
		timer->at = timer->due;
		timer->fired = true;
	} else {
		timer->at = U64_MAX;
	}
	timer->deadline = 0;
	apic_raise(apic, APIC_LVTT);
}

/*
 * From here to the guest's first instruction it is as long as the host likes: a flush of
 * caches, a kernel that checks itself. If that is longer than a period, each stay in the guest
 * would be over before it began. So the time that is between two interrupts at least counts
 * from the entry; @due still goes by the period, and nothing adds up.
 */
void apic_timer_hold_off(struct apic *apic)
{
	struct apic_timer *timer = &apic->timer;

	timer->fired = false;
	timer->at = max(timer->due, host_time() + shortest_period());
}
