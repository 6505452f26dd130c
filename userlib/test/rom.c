// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/rom.h"
#include "bench.h"

#define GPA	0xffff0000

static void reads_alone(void)
{
	static const uint8_t image[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
	struct rom rom;

	bench_begin();
	rom_init(&rom, &bench.memory, GPA, image, sizeof(image));
	CHECK_EQUAL(fetch(GPA, 8), 0x0807060504030201);
	CHECK_EQUAL(fetch(GPA + 9, 1), 10);
	CHECK_EQUAL(fetch(GPA + 8, 4), 0xffff0a09);	/* beyond its end */
	store(GPA, 0x55, 1);
	store(GPA + 2, ~0ULL, 8);
	CHECK_EQUAL(fetch(GPA, 8), 0x0807060504030201);
}

const struct test tests[] = {
	{ "reads alone", reads_alone },
	{ 0 }
};
