// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "bus.h"

int bus_add(struct bus *bus, struct bus_device *device)
{
	uint64_t last = device->first + (device->count - 1);

	for (const struct bus_device *other = bus->devices; other;
	     other = other->next)
		if (device->first <= other->first + (other->count - 1) &&
		    other->first <= last)
			return -EEXIST;
	device->next = bus->devices;
	bus->devices = device;
	return 0;
}

struct bus_device *bus_find(const struct bus *bus, uint64_t address)
{
	struct bus_device *device = bus->devices;

	while (device && address - device->first >= device->count)
		device = device->next;
	return device;
}

/* How much of an access goes to @device in one piece. */
static unsigned int piece(const struct bus_device *device, uint64_t address,
			  unsigned int bytes)
{
	uint64_t left;

	if (!device)
		return 1;
	left = device->count - (address - device->first);
	if (bytes > device->width)
		bytes = device->width;
	return bytes > left ? left : bytes;
}

void bus_access(struct bus *bus, uint64_t address, void *data,
		unsigned int bytes, bool write)
{
	uint8_t *at = data;

	if (!write)
		memset(data, 0xff, bytes);
	while (bytes) {
		struct bus_device *device = bus_find(bus, address);
		unsigned int n = piece(device, address, bytes);

		if (device)
			device->access(device, address - device->first, at, n,
				       write);
		address += n;
		at += n;
		bytes -= n;
	}
}
