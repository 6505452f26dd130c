// SPDX-License-Identifier: LGPL-2.1-or-later
#include "mc6845.h"

#define PORT	0x3d4	/* the number; the register is behind it */

static void access_crtc(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct mc6845 *crtc = bus_owner(device, struct mc6845, bus);
	uint8_t *byte = data, *at = &crtc->index;

	(void)bytes;
	if (offset) {
		if (crtc->index >= MC6845_REGISTERS)
			return;
		at = &crtc->registers[crtc->index];
	}
	if (write)
		*at = *byte;
	else
		*byte = *at;
}

void mc6845_init(struct mc6845 *crtc, struct bus *ports)
{
	crtc->bus = (struct bus_device) {
		.name = "CRT controller", .first = PORT, .count = 2, .width = 1,
		.access = access_crtc,
	};
	bus_add(ports, &crtc->bus);
}

static const struct saved_member members[] = {
	SAVED(struct mc6845, index),
	SAVED(struct mc6845, registers),
};

const struct saved_device mc6845_saved = SAVED_DEVICE("MC6845", 1, members, NULL);
