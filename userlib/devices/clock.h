/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time, as devices see it. All of it is in nanoseconds that count on evenly from
 * some moment in the past; "never" is CLOCK_NEVER.
 *
 * What devices that keep time have in common: X_next_ns() tells the next moment
 * at which something will happen that the guest must be told of (an interrupt);
 * X_advance() brings the device to the present, and moves its interrupt lines.
 * An access of the guest's brings it to the present too, so registers read right
 * however seldom it is advanced. Time may stand still between two calls, and
 * may jump; an advance takes bounded time whatever the jump.
 *
 * No device has a lock: whoever has threads holds one mutex around every call.
 */
#ifndef VEE_CLOCK_H
#define VEE_CLOCK_H

#include <stdint.h>

#define CLOCK_NS	1000000000ULL	/* of a second */
#define CLOCK_NEVER	UINT64_MAX

/**
 * struct clock - where the time comes from; tests have one of their own
 * @now_ns: monotonic
 * @date_ns: nanoseconds since 1970-01-01 00:00 UTC
 */
struct clock {
	uint64_t (*now_ns)(struct clock *clock);
	uint64_t (*date_ns)(struct clock *clock);
};

/* CLOCK_MONOTONIC and CLOCK_REALTIME. */
extern struct clock host_clock;

/* The host's, moved by some time: that of a machine which was saved stood still meanwhile. */
struct moved_clock {
	struct clock clock;
	uint64_t ns;
};

void moved_clock_init(struct moved_clock *moved);

static inline uint64_t clock_now(struct clock *clock)
{
	return clock->now_ns(clock);
}

static inline uint64_t clock_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif /* VEE_CLOCK_H */
