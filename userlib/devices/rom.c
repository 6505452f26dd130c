// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "rom.h"

static void access_rom(struct bus_device *device, uint64_t offset, void *data,
		       unsigned int bytes, bool write)
{
	const struct rom *rom = bus_owner(device, struct rom, bus);

	if (!write)
		memcpy(data, rom->image + offset, bytes);
}

void rom_init(struct rom *rom, struct bus *memory, uint64_t gpa,
	      const uint8_t *image, uint64_t bytes)
{
	rom->image = image;
	rom->bus = (struct bus_device) {
		.name = "ROM", .first = gpa, .count = bytes,
		.width = sizeof(uint64_t), .access = access_rom,
	};
	bus_add(memory, &rom->bus);
}
