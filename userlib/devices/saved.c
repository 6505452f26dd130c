// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "saved.h"

/* What comes before the members. */
struct head {
	char name[SAVED_NAME];
	uint32_t version;
	uint64_t bytes;
};

size_t saved_bytes(const struct saved_device *saved)
{
	size_t bytes = sizeof(struct head);

	for (unsigned int i = 0; i < saved->count; i++)
		bytes += saved->members[i].bytes;
	return bytes;
}

static struct head head_of(const struct saved_device *saved)
{
	struct head head = { .version = saved->version, .bytes = saved_bytes(saved) };

	memcpy(head.name, saved->name, sizeof(head.name));
	return head;
}

uint8_t *saved_put(const struct saved_device *saved, const void *device, uint8_t *to)
{
	struct head head = head_of(saved);

	memcpy(to, &head, sizeof(head));
	to += sizeof(head);
	for (unsigned int i = 0; i < saved->count; i++) {
		const struct saved_member *member = &saved->members[i];

		memcpy(to, (const uint8_t *)device + member->offset, member->bytes);
		to += member->bytes;
	}
	return to;
}

/* Looked at before it is a bool, say. */
static bool may_be(const struct saved_member *member, const uint8_t *from)
{
	uint64_t value = 0;

	if (!member->max)
		return true;
	memcpy(&value, from, member->bytes);
	return value <= member->max;
}

const uint8_t *saved_get(const struct saved_device *saved, void *device, const uint8_t *from,
			 const uint8_t *end)
{
	struct head head = head_of(saved);

	if ((size_t)(end - from) < head.bytes || memcmp(from, &head, sizeof(head)))
		return NULL;
	from += sizeof(head);
	for (unsigned int i = 0; i < saved->count; i++) {
		const struct saved_member *member = &saved->members[i];

		if (!may_be(member, from))
			return NULL;
		memcpy((uint8_t *)device + member->offset, from, member->bytes);
		from += member->bytes;
	}
	return !saved->fits || saved->fits(device) ? from : NULL;
}
