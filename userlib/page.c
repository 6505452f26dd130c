// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages, by the widest moves that the CPU has. REP MOVSB has a start-up cost that a
 * page does not make up for everywhere, and the lab's emulator counts each byte of it.
 */
#include <immintrin.h>

#include "internal.h"

#define COPY(name, isa, type)						\
__attribute__((target(isa)))						\
void name(uint8_t *to, const uint8_t *from)				\
{									\
	const type *b = (const void *)from;				\
	type *a = (void *)to;						\
									\
	for (unsigned int i = 0; i < PAGE_BYTES / sizeof(type); i += 8) { \
		type v0 = b[i], v1 = b[i + 1], v2 = b[i + 2], v3 = b[i + 3]; \
		type v4 = b[i + 4], v5 = b[i + 5], v6 = b[i + 6], v7 = b[i + 7]; \
									\
		a[i] = v0, a[i + 1] = v1, a[i + 2] = v2, a[i + 3] = v3;	\
		a[i + 4] = v4, a[i + 5] = v5, a[i + 6] = v6, a[i + 7] = v7; \
	}								\
}

COPY(copy_by_16, "sse2", __m128i)
COPY(copy_by_32, "avx", __m256i)
COPY(copy_by_64, "avx512f", __m512i)

/* Who has AVX-512 has AVX. */
void copy_page(uint8_t *to, const uint8_t *from)
{
	static void (*const copies[])(uint8_t *to, const uint8_t *from) = {
		copy_by_16, copy_by_32, copy_by_64,
	};
	unsigned int widest = !!__builtin_cpu_supports("avx");

	widest += !!__builtin_cpu_supports("avx512f");
	copies[widest](to, from);
}

bool page_is_zero(const uint8_t *page)
{
	const uint64_t *words = (const uint64_t *)page;
	uint64_t any = 0;

	for (unsigned int i = 0; i < PAGE_BYTES / sizeof(*words) && !any; i += 8)
		any = words[i] | words[i + 1] | words[i + 2] | words[i + 3] |
		      words[i + 4] | words[i + 5] | words[i + 6] | words[i + 7];
	return !any;
}
