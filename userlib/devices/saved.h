/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's state as bytes: a table of its members, one behind the other without padding.
 *
 * What a device is wired to, and what it was made with, is no state. A member that comes to
 * be, or goes, is another version. Moments (CLOCK_MONOTONIC, in ns) are saved as they are:
 * who loads them has the clock go on from when they were.
 */
#ifndef VEE_SAVED_H
#define VEE_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct saved_member - a member, or an array
 * @offset: where it is in the device's struct
 * @bytes: how many it has
 * @max: no more than that, of one number; 0: anything
 */
struct saved_member {
	uint32_t offset;
	uint32_t bytes;
	uint64_t max;
};

#define SAVED_UP_TO(type, member, max) \
	{ offsetof(type, member), sizeof(((type *)0)->member), max }
#define SAVED(type, member)		SAVED_UP_TO(type, member, 0)
#define SAVED_BOOL(type, member)	SAVED_UP_TO(type, member, 1)

#define SAVED_NAME	12

/**
 * struct saved_device - what is saved of a device
 * @name: in the file
 * @version: of its members
 * @members: them
 * @count: how many
 * @fits: what can't be told of each alone: can they be so together? NULL: any can
 */
struct saved_device {
	char name[SAVED_NAME];
	uint32_t version;
	const struct saved_member *members;
	unsigned int count;
	bool (*fits)(const void *device);
};

#define SAVED_DEVICE(what, number, table, check) \
	{ .name = what, .version = number, .members = table, \
	  .count = sizeof(table) / sizeof(*(table)), .fits = check }

/* How many bytes saved_put() takes. */
size_t saved_bytes(const struct saved_device *saved);
/* Returns what is behind it. */
uint8_t *saved_put(const struct saved_device *saved, const void *device, uint8_t *to);
/*
 * The other way. Returns what is behind it; NULL: what is there, up to @end, is another
 * device, version, or can't be. Then @device is of no use.
 */
const uint8_t *saved_get(const struct saved_device *saved, void *device, const uint8_t *from,
			 const uint8_t *end);

#endif /* VEE_SAVED_H */
