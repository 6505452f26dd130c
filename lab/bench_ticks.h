/* SPDX-License-Identifier: GPL-2.0-only */
/* Samples of the TSC, for every benchmark. */
#ifndef LAB_BENCH_TICKS_H
#define LAB_BENCH_TICKS_H

#include <stdint.h>
#include <stdlib.h>
#include <x86intrin.h>

static inline int ticks_ascending(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

/* The median is then in the middle. */
static inline void ticks_sort(uint32_t *ticks, unsigned int count)
{
	qsort(ticks, count, sizeof(*ticks), ticks_ascending);
}

#endif /* LAB_BENCH_TICKS_H */
