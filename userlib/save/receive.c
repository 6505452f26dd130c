// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A VM that comes from another process: into a file without a name, as one that was saved.
 * Nothing that comes is trusted before it was checked.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stream.h"

/**
 * struct received_table - what the file would begin with
 * @header: likewise
 * @entries: likewise; of which header.sections are there
 */
struct received_table {
	struct save_header header;
	struct save_entry entries[SECTIONS_MAX];
};

static int damaged(const struct why *why)
{
	return why_say(why, -EBADMSG, "damaged on its way");
}

/* --- the file --- */

static int set_length(struct vee_saved *saved, uint64_t bytes, const struct why *why)
{
	void *file = (void *)saved->file;

	if (ftruncate(saved->fd, bytes))
		file = MAP_FAILED;
	else if (file)
		file = mremap(file, saved->bytes, bytes, MREMAP_MAYMOVE);
	else
		file = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			    saved->fd, 0);
	if (file == MAP_FAILED)
		return why_say(why, -ENOMEM, "no room for its %llu bytes",
			       (unsigned long long)bytes);
	saved->file = file;
	saved->bytes = bytes;
	return 0;
}

static uint8_t *file_at(const struct vee_saved *saved, uint64_t offset)
{
	return (uint8_t *)saved->file + offset;
}

/* --- the beginning --- */

static int check_hello(const struct stream_hello *hello, uint64_t bytes, const struct why *why)
{
	if (bytes < sizeof(*hello) || memcmp(hello->magic, STREAM_MAGIC, sizeof(hello->magic)))
		return why_say(why, -ENOEXEC, "what comes is no machine");
	if (hello->version != STREAM_VERSION)
		return why_say(why, -EPROTONOSUPPORT,
			       "of version %u, and this vee knows version %u alone",
			       hello->version, STREAM_VERSION);
	if (!hello->slots || hello->slots > VEE_MAX_SLOTS ||
	    bytes != sizeof(*hello) + hello->slots * sizeof(struct save_entry))
		return damaged(why);
	return 0;
}

/* Its place in the file is up to who receives it. */
static int add_slot(struct vee_saved *saved, const struct save_entry *from, uint64_t *end)
{
	struct received_table *table = saved->table;
	struct save_entry *entry = &table->entries[table->header.sections++];

	*entry = *from;
	entry->offset = *end;
	if (entry->kind != SECTION_MEMORY || !entry->bytes || entry->bytes % PAGE_BYTES ||
	    entry->gpa % PAGE_BYTES || !within(entry->gpa, entry->bytes, INT64_MAX) ||
	    !within(*end, entry->bytes, INT64_MAX))
		return -EBADMSG;
	*end += entry->bytes;
	return 0;
}

static int check_machine(const struct vee_saved *saved, const struct stream_hello *hello,
			 const struct why *why)
{
	uint32_t here[FEATURE_WORDS];
	int err = saved_check_tsc(saved, why);

	if (err)
		return err;
	err = features_of_host(hello->flags, here);
	if (err)
		return why_say(why, err, "can't make a VM like it: %s", strerror(-err));
	return features_check(hello->features, here, why);
}

static int get_hello(struct vee_saved *saved, const struct why *why)
{
	struct save_entry entries[VEE_MAX_SLOTS];
	struct stream_record record;
	struct stream_hello hello;
	uint64_t end = 0;
	int err = stream_get(saved->stream, &record, why);

	if (err == -EBADMSG || (!err && record.kind != STREAM_HELLO))
		return why_say(why, -ENOEXEC, "what comes is no machine");
	if (!err)
		err = check_hello((const void *)saved->stream->data, record.bytes, why);
	if (err)
		return err;
	memcpy(&hello, saved->stream->data, sizeof(hello));
	memcpy(entries, saved->stream->data + sizeof(hello), record.bytes - sizeof(hello));
	saved->table->header.flags = hello.flags;
	saved->table->header.tsc_khz = hello.tsc_khz;
	saved->table->header.xsave_bytes = hello.xsave_bytes;
	for (unsigned int i = 0; i < hello.slots; i++)
		if (add_slot(saved, &entries[i], &end))
			return damaged(why);
	err = check_machine(saved, &hello, why);
	return err ? err : set_length(saved, end, why);
}

/* --- pages --- */

/* Where it is; NULL: it is in no slot. */
static uint8_t *page_at(const struct vee_saved *saved, uint64_t gpa)
{
	for (unsigned int i = 0; i < saved->header->sections; i++) {
		const struct save_entry *entry = &saved->entries[i];

		if (entry->kind == SECTION_MEMORY && gpa >= entry->gpa &&
		    gpa - entry->gpa < entry->bytes)
			return file_at(saved, entry->offset + (gpa - entry->gpa));
	}
	return NULL;
}

static int get_pages(struct vee_saved *saved, uint64_t bytes, const struct why *why)
{
	const uint64_t *numbers = (const void *)saved->stream->data;
	uint64_t count = bytes >= sizeof(*numbers) ? numbers[0] : 0, left, at;

	if (!count || count > STREAM_BATCH || bytes < (1 + count) * sizeof(*numbers))
		return damaged(why);
	at = (1 + count) * sizeof(*numbers);
	left = bytes - at;
	for (uint64_t i = 1; i <= count; i++) {
		uint64_t zero = numbers[i] & STREAM_ZERO, gpa = numbers[i] ^ zero;
		uint8_t *page = gpa % PAGE_BYTES ? NULL : page_at(saved, gpa);

		if (!page || (!zero && left < PAGE_BYTES))
			return damaged(why);
		if (zero) {
			memset(page, 0, PAGE_BYTES);
			continue;
		}
		memcpy(page, saved->stream->data + at, PAGE_BYTES);
		at += PAGE_BYTES;
		left -= PAGE_BYTES;
	}
	return left ? damaged(why) : 0;
}

/* --- sections --- */

static int get_section(struct vee_saved *saved, uint64_t bytes, const struct why *why)
{
	struct received_table *table = saved->table;
	struct save_entry *entry = &table->entries[table->header.sections];
	const uint8_t *data = saved->stream->data;
	int err;

	if (bytes < sizeof(*entry) || table->header.sections == SECTIONS_MAX)
		return damaged(why);
	memcpy(entry, data, sizeof(*entry));
	if (entry->kind == SECTION_MEMORY || entry->bytes != bytes - sizeof(*entry))
		return damaged(why);
	entry->offset = to_page(saved->bytes);
	err = set_length(saved, to_page(entry->offset + entry->bytes), why);
	if (err)
		return err;
	if (!save_entry_fits(saved, entry))
		return damaged(why);
	memcpy(file_at(saved, entry->offset), data + sizeof(*entry), entry->bytes);
	table->header.sections++;
	return 0;
}

/* --- all of it --- */

static int get_rest(struct vee_saved *saved, const struct why *why)
{
	struct stream_record record;
	int err = 0;

	while (!err) {
		err = stream_get(saved->stream, &record, why);
		if (err)
			break;
		switch (record.kind) {
		case STREAM_PAGES:
			err = get_pages(saved, record.bytes, why);
			break;
		case STREAM_SECTION:
			err = get_section(saved, record.bytes, why);
			break;
		case STREAM_END:
			return record.bytes ? damaged(why) : 0;
		default:
			err = damaged(why);
		}
	}
	return err;
}

static int begin(struct vee_saved *saved, int fd, const struct why *why)
{
	saved->fd = memfd_create("vee", MFD_CLOEXEC);
	saved->table = calloc(1, sizeof(*saved->table));
	saved->stream = stream_new(fd);
	if (saved->fd < 0 || !saved->table || !saved->stream)
		return why_say(why, -ENOMEM, "no memory");
	saved->header = &saved->table->header;
	saved->entries = saved->table->entries;
	return 0;
}

static int receive(struct vee_saved *saved, int fd, const struct why *why)
{
	int err = begin(saved, fd, why);

	if (!err)
		err = get_hello(saved, why);
	return err ? err : get_rest(saved, why);
}

int vee_receive(int fd, struct vee_saved **saved, char *why, size_t size)
{
	struct vee_saved *new = calloc(1, sizeof(*new));
	const struct why told = { why, size };
	char text[600] = "";
	const struct why here = { text, sizeof(text) };
	int err;

	if (!new)
		return why_say(&told, -ENOMEM, "no memory");
	err = receive(new, fd, &here);
	if (!err) {
		*saved = new;
		return 0;
	}
	if (new->stream)
		stream_refuse(new->stream, text);
	vee_saved_close(new);
	return why_say(&told, err, "%s", text);
}

int vee_take_over(const struct vee_saved *saved, char *why, size_t size)
{
	const struct why told = { why, size }, nobody = { NULL, 0 };
	int err;

	if (!saved->stream)
		return why_say(&told, -EINVAL, "it comes from a file");
	err = stream_put(saved->stream, STREAM_READY, NULL, 0, &told);
	if (!err)
		err = stream_expect(saved->stream, STREAM_GO, &told);
	if (err)
		return err;
	/* Whether that arrives is the sender's concern. */
	stream_put(saved->stream, STREAM_DONE, NULL, 0, &nobody);
	return 0;
}
