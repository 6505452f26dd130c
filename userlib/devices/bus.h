/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bus: addresses, and the devices that answer at them. */
#ifndef VEE_BUS_H
#define VEE_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct bus_device;

/* @offset is from the device's first address; data is little endian. */
typedef void (*bus_access_fn)(struct bus_device *device, uint64_t offset,
			      void *data, unsigned int bytes, bool write);

/**
 * struct bus_device - a device on a bus; part of the device's own struct
 * @name: for traces
 * @first: first address
 * @count: how many addresses
 * @width: widest access that @access takes, in bytes; the bus splits wider ones
 * @access: reads or writes; @data is all ones when a read begins
 * @next: the bus's own
 */
struct bus_device {
	const char *name;
	uint64_t first;
	uint64_t count;
	unsigned int width;
	bus_access_fn access;
	struct bus_device *next;
};

struct bus {
	struct bus_device *devices;
};

/* The device must outlive the bus. -EEXIST: overlaps another one. */
int bus_add(struct bus *bus, struct bus_device *device);
struct bus_device *bus_find(const struct bus *bus, uint64_t address);

/* Where nobody answers, reads give all ones and writes go nowhere. */
void bus_access(struct bus *bus, uint64_t address, void *data,
		unsigned int bytes, bool write);

#endif /* VEE_BUS_H */
