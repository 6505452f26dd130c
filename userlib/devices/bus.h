/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bus: addresses, and the devices that answer at them. */
#ifndef VEE_BUS_H
#define VEE_BUS_H

#include <stdbool.h>
#include <stddef.h>
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

/* The struct that has a struct bus_device as its member. */
#define bus_owner(device, type, member) \
	((type *)((char *)(device) - offsetof(type, member)))

/**
 * struct bus_miss - accesses that no device claimed
 * @address: first address
 * @count: how many there were
 * @bytes: width
 * @write: direction
 */
struct bus_miss {
	uint64_t address;
	uint64_t count;
	unsigned int bytes;
	bool write;
};

#define BUS_MISSES	64

/**
 * struct bus_event - an access, or the piece of one that one device answers
 * @device: who answered; NULL: nobody
 * @address: first address
 * @data: what was written, or what the read gives
 * @bytes: width
 * @write: direction
 * @misses: how often nobody answered at this address, width and direction, this
 *	time included; 0 with a device, or if the table of misses is full
 */
struct bus_event {
	const struct bus_device *device;
	uint64_t address;
	const void *data;
	unsigned int bytes;
	bool write;
	uint64_t misses;
};

/**
 * struct bus - all zeros is an empty one
 * @devices: bus_add()'s
 * @trace: if not NULL, called after each access; wide ones come in pieces
 * @trace_arg: for @trace
 * @misses: accesses that no device claimed, in the order they first came
 * @miss_count: how many of @misses are in use
 * @other_misses: how many accesses found @misses full
 */
struct bus {
	struct bus_device *devices;
	void (*trace)(void *arg, const struct bus_event *event);
	void *trace_arg;
	struct bus_miss misses[BUS_MISSES];
	unsigned int miss_count;
	uint64_t other_misses;
};

/* The device must outlive the bus. -EEXIST: overlaps another one. */
int bus_add(struct bus *bus, struct bus_device *device);
/* One that is on it. */
void bus_remove(struct bus *bus, struct bus_device *device);
struct bus_device *bus_find(const struct bus *bus, uint64_t address);

/* What nobody answers is counted; reads give all ones, writes go nowhere. */
void bus_access(struct bus *bus, uint64_t address, void *data,
		unsigned int bytes, bool write);

#endif /* VEE_BUS_H */
