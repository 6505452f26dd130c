// SPDX-License-Identifier: GPL-2.0-only
/* A function in a machine of its own: called, and the machine put back. vee alone. */
#include <string.h>

#include <vee.h>

#include "bench_fork.h"
#include "bench_ticks.h"

#define ROUNDS	1000
#define BYTES	64

/* bench_fn_guest.c gives each byte and 1. */
static void call(struct vee_fn *fn, uint8_t first)
{
	uint8_t in[BYTES] = { first }, out[BYTES];

	if (vee_fn_call(fn, in, sizeof(in), out, sizeof(out), stderr) != BYTES ||
	    out[0] != (uint8_t)(first + 1) || out[BYTES - 1] != 1)
		die("the function gave something else");
}

void measure_fn(void)
{
	uint32_t ticks[ROUNDS];
	struct vee_fn *fn;
	size_t bytes;
	void *image;

	need(vee_read_file("bench_fn_guest.elf", &image, &bytes), "function");
	need(vee_fn_load(&fn, image, bytes, NULL, stderr), "function");
	free(image);
	for (int i = -2; i < ROUNDS; i++) {
		uint64_t before = __rdtsc();

		call(fn, i);
		if (i >= 0)
			ticks[i] = __rdtsc() - before;
	}
	vee_fn_free(fn);
	tell("vee_fn_call(), 64 bytes each way", ticks, ROUNDS);
}
