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

void bus_remove(struct bus *bus, struct bus_device *device)
{
	struct bus_device **at = &bus->devices;

	while (*at != device)
		at = &(*at)->next;
	*at = device->next;
}

struct bus_device *bus_find(const struct bus *bus, uint64_t address)
{
	struct bus_device *device = bus->devices;

	while (device && address - device->first >= device->count)
		device = device->next;
	return device;
}

/* How much of an access nobody claims, so that it is counted as one. */
static unsigned int gap(const struct bus *bus, uint64_t address,
			unsigned int bytes)
{
	unsigned int n = 1;

	while (n < bytes && !bus_find(bus, address + n))
		n++;
	return n;
}

/* How much of an access goes to @device in one piece. */
static unsigned int piece(const struct bus *bus, const struct bus_device *device,
			  uint64_t address, unsigned int bytes)
{
	uint64_t left;

	if (!device)
		return gap(bus, address, bytes);
	left = device->count - (address - device->first);
	if (bytes > device->width)
		bytes = device->width;
	return bytes > left ? left : bytes;
}

static struct bus_miss *find_miss(struct bus *bus, uint64_t address,
				  unsigned int bytes, bool write)
{
	for (unsigned int i = 0; i < bus->miss_count; i++) {
		struct bus_miss *miss = &bus->misses[i];

		if (miss->address == address && miss->bytes == bytes &&
		    miss->write == write)
			return miss;
	}
	return NULL;
}

static uint64_t count_miss(struct bus *bus, uint64_t address,
			   unsigned int bytes, bool write)
{
	struct bus_miss *miss = find_miss(bus, address, bytes, write);

	if (!miss && bus->miss_count == BUS_MISSES) {
		bus->other_misses++;
		return 0;
	}
	if (!miss) {
		miss = &bus->misses[bus->miss_count++];
		*miss = (struct bus_miss) {
			.address = address, .bytes = bytes, .write = write,
		};
	}
	return ++miss->count;
}

static void access_piece(struct bus *bus, struct bus_device *device,
			 uint64_t address, void *data, unsigned int bytes,
			 bool write)
{
	struct bus_event event = {
		.device = device, .address = address, .data = data,
		.bytes = bytes, .write = write,
	};

	if (device)
		device->access(device, address - device->first, data, bytes,
			       write);
	else
		event.misses = count_miss(bus, address, bytes, write);
	if (bus->trace)
		bus->trace(bus->trace_arg, &event);
}

void bus_access(struct bus *bus, uint64_t address, void *data,
		unsigned int bytes, bool write)
{
	uint8_t *at = data;

	if (!write)
		memset(data, 0xff, bytes);
	while (bytes) {
		struct bus_device *device = bus_find(bus, address);
		unsigned int n = piece(bus, device, address, bytes);

		access_piece(bus, device, address, at, n, write);
		address += n;
		at += n;
		bytes -= n;
	}
}
