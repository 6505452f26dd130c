// SPDX-License-Identifier: LGPL-2.1-or-later
#include "debugcon.h"

#define PORT_E9		0xe9
#define PORT_SEABIOS	0x402
#define READBACK	0xe9

static void access_port(struct debugcon *debugcon, uint8_t *value, bool write)
{
	if (!write)
		*value = READBACK;
	else if (debugcon->send)
		debugcon->send(debugcon->arg, *value);
}

static void access_e9(struct bus_device *device, uint64_t offset, void *data,
		      unsigned int bytes, bool write)
{
	(void)offset;
	(void)bytes;
	access_port(bus_owner(device, struct debugcon, e9), data, write);
}

static void access_seabios(struct bus_device *device, uint64_t offset,
			   void *data, unsigned int bytes, bool write)
{
	(void)offset;
	(void)bytes;
	access_port(bus_owner(device, struct debugcon, seabios), data, write);
}

void debugcon_init(struct debugcon *debugcon, struct bus *ports,
		   void (*send)(void *arg, uint8_t byte), void *arg)
{
	debugcon->send = send;
	debugcon->arg = arg;
	debugcon->e9 = (struct bus_device) {
		.name = "port E9H", .first = PORT_E9, .count = 1, .width = 1,
		.access = access_e9,
	};
	debugcon->seabios = (struct bus_device) {
		.name = "port 402H", .first = PORT_SEABIOS, .count = 1,
		.width = 1, .access = access_seabios,
	};
	bus_add(ports, &debugcon->e9);
	bus_add(ports, &debugcon->seabios);
}
