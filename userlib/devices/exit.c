// SPDX-License-Identifier: LGPL-2.1-or-later
#include "exit.h"

#define PORT	0xf4

static void access_port(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct exit_port *port = bus_owner(device, struct exit_port, bus);
	uint8_t *status = data;

	(void)offset;
	(void)bytes;
	if (write)
		port->end(port->arg, *status);
}

void exit_port_init(struct exit_port *port, struct bus *ports,
		    void (*end)(void *arg, uint8_t status), void *arg)
{
	port->end = end;
	port->arg = arg;
	port->bus = (struct bus_device) {
		.name = "exit port", .first = PORT, .count = 1, .width = 1,
		.access = access_port,
	};
	bus_add(ports, &port->bus);
}
