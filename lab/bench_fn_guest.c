// SPDX-License-Identifier: GPL-2.0-only
/* A function for the benchmark: each byte that it is called with, and 1. */
#include <fn.h>

FN_BUFFERS(4096, 4096);

long fn_call(const void *in, size_t in_bytes, void *out, size_t out_room)
{
	const unsigned char *from = in;
	unsigned char *to = out;

	for (size_t i = 0; i < in_bytes && i < out_room; i++)
		to[i] = from[i] + 1;
	return in_bytes;
}
