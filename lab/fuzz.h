/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzzers share: from which seed on, for how long, and the lab's time. */
#ifndef LAB_FUZZ_H
#define LAB_FUZZ_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define DIFFER_MAX	20	/* who has that many need not see more */

/**
 * struct range - what of it is run
 * @first: the first one's seed; the next ones' are @first + 1 and so on
 * @most: how many
 * @seconds: or until these have gone; 0: all
 */
struct range {
	uint64_t first;
	unsigned long most;
	double seconds;
};

/*
 * Of getopt_long(3): --seed is 's', --seconds 't', --one '1', and 'c' how many, for which each
 * has its own word. False: it is none of them.
 */
static inline bool take_range(struct range *range, int option)
{
	switch (option) {
	case '1':
		range->most = 1;
		range->first = strtoull(optarg, NULL, 0);
		return true;
	case 's':
		range->first = strtoull(optarg, NULL, 0);
		return true;
	case 'c':
		range->most = strtoul(optarg, NULL, 0);
		return true;
	case 't':
		range->seconds = strtod(optarg, NULL);
		return true;
	default:
		return false;
	}
}

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* @began: what now() was at first */
static inline bool is_late(const struct range *range, double began)
{
	return range->seconds && now() - began >= range->seconds;
}

#endif /* LAB_FUZZ_H */
