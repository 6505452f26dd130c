/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Firmware's tables have a byte that makes the sum of all their bytes 0. */
#ifndef VEE_SUM_H
#define VEE_SUM_H

#include <stddef.h>
#include <stdint.h>

static inline void put_sum(uint8_t *sum, const void *table, size_t bytes)
{
	const uint8_t *at = table;

	*sum = 0;
	for (size_t i = 0; i < bytes; i++)
		*sum -= &at[i] == sum ? 0 : at[i];
}

#endif /* VEE_SUM_H */
