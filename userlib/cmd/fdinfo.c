// SPDX-License-Identifier: LGPL-2.1-or-later
/* The text of VEE_STATS_VERSION (linux/vee.h): what /proc/PID/fdinfo/N has of the module's. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "watch.h"

#define EXIT_KEY	"vee-exit-"

struct key {
	const char *name;
	size_t offset;		/* in struct fdinfo */
	uint64_t most;		/* UINT32_MAX: it has 32 bits there */
	bool vcpu;		/* a VM's text has it not */
};

#define MEMBER(name, member, most, vcpu) { name, offsetof(struct fdinfo, member), most, vcpu }

/* Every text has each of them, once. */
static const struct key keys[] = {
	MEMBER("vee-vm", vm, UINT32_MAX, false),
	MEMBER("vee-process", process, UINT32_MAX, false),
	MEMBER("vee-vcpus", vcpus, UINT32_MAX, false),
	MEMBER("vee-slots", slots, UINT32_MAX, false),
	MEMBER("vee-lent-kib", lent_kib, UINT64_MAX, false),
	MEMBER("vee-mapped-kib", mapped_kib, UINT64_MAX, false),
	MEMBER("vee-tables-kib", tables_kib, UINT64_MAX, false),
	MEMBER("vee-vcpu", vcpu.id, UINT32_MAX, true),
	MEMBER("vee-thread", vcpu.thread, UINT32_MAX, true),
	MEMBER("vee-runs", vcpu.runs, UINT64_MAX, true),
	MEMBER("vee-entries", vcpu.entries, UINT64_MAX, true),
	MEMBER("vee-faults", vcpu.faults, UINT64_MAX, true),
	MEMBER("vee-flushes", vcpu.flushes, UINT64_MAX, true),
};

#define KEYS	(sizeof(keys) / sizeof(*keys))

/* Digits, and @end behind them. */
static bool get_number(const char *text, char end, uint64_t *number)
{
	char *behind;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &behind, 10);
	return !errno && *behind == end;
}

static bool store(struct fdinfo *info, const struct key *key, uint64_t number)
{
	char *member = (char *)info + key->offset;

	if (number > key->most)
		return false;
	if (key->most == UINT32_MAX)
		*(uint32_t *)(void *)member = number;
	else
		*(uint64_t *)(void *)member = number;
	return true;
}

/* A reason that this command doesn't know is none of its business. */
static bool store_exit(struct fdinfo *info, const char *line, const char *value)
{
	uint64_t reason, number;

	if (!get_number(line + strlen(EXIT_KEY), ':', &reason) ||
	    !get_number(value, ' ', &number))
		return false;
	if (reason < VEE_STATS_REASONS)
		info->vcpu.exits[reason] = number;
	return true;
}

/* @seen: a bit for each of keys. */
static bool parse_line(const char *line, bool vcpu, struct fdinfo *info, unsigned int *seen)
{
	const char *colon = strstr(line, ":\t"), *value = colon + 2;
	uint64_t number;

	if (!colon)
		return false;
	if (!strncmp(line, EXIT_KEY, strlen(EXIT_KEY)))
		return vcpu && store_exit(info, line, value);
	for (unsigned int i = 0; i < KEYS; i++) {
		if (strlen(keys[i].name) != (size_t)(colon - line) ||
		    strncmp(line, keys[i].name, colon - line))
			continue;
		if (*seen & 1U << i || (keys[i].vcpu && !vcpu))
			return false;
		*seen |= 1U << i;
		return get_number(value, '\n', &number) && store(info, &keys[i], number);
	}
	return true;
}

static bool is_whole(const struct fdinfo *info, bool vcpu, unsigned int seen)
{
	for (unsigned int i = 0; i < KEYS; i++)
		if (!(seen & 1U << i) && (vcpu || !keys[i].vcpu))
			return false;
	return info->vcpu.id < VEE_MAX_VCPUS;
}

/* The first of the module's lines; NULL: there are none. */
static const char *find_version(const char *text)
{
	static const char key[] = "vee-stats-version:\t";
	const char *at = text;

	while ((at = strstr(at, key)) && at != text && at[-1] != '\n')
		at++;
	return at ? at + strlen(key) : NULL;
}

int fdinfo_parse(const char *text, bool vcpu, struct fdinfo *info)
{
	const char *line = find_version(text);
	unsigned int seen = 0;
	uint64_t version;

	memset(info, 0, sizeof(*info));
	if (!line)
		return -ENODATA;
	if (!get_number(line, '\n', &version))
		return -EBADMSG;
	if (version != VEE_STATS_VERSION)
		return -EPROTONOSUPPORT;
	while ((line = strchr(line, '\n')) && *++line)
		if (!strchr(line, '\n') || !parse_line(line, vcpu, info, &seen))
			return -EBADMSG;
	return is_whole(info, vcpu, seen) ? 0 : -EBADMSG;
}
