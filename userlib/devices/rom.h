/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ROM. The guest reads and runs it as memory that it may not write; this is what
 * answers its writes, which go nowhere, and what such an instruction reads.
 */
#ifndef VEE_ROM_H
#define VEE_ROM_H

#include "bus.h"

struct rom {
	struct bus_device bus;
	const uint8_t *image;
};

void rom_init(struct rom *rom, struct bus *memory, uint64_t gpa,
	      const uint8_t *image, uint64_t bytes);

#endif /* VEE_ROM_H */
