// SPDX-License-Identifier: LGPL-2.1-or-later
#include <time.h>

#include "clock.h"

static uint64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * CLOCK_NS + now.tv_nsec;
}

static uint64_t host_now_ns(struct clock *clock)
{
	(void)clock;
	return read_clock(CLOCK_MONOTONIC);
}

static uint64_t host_date_ns(struct clock *clock)
{
	(void)clock;
	return read_clock(CLOCK_REALTIME);
}

struct clock host_clock = { .now_ns = host_now_ns, .date_ns = host_date_ns };

static uint64_t moved_ns(struct clock *clock)
{
	struct moved_clock *moved = (struct moved_clock *)clock;

	return host_now_ns(clock) + moved->ns;
}

void moved_clock_init(struct moved_clock *moved)
{
	*moved = (struct moved_clock) {
		.clock = { .now_ns = moved_ns, .date_ns = host_date_ns },
	};
}
