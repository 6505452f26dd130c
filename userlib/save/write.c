// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writing a VM to a file. The header comes last: a file whose writer was ended, or met a full
 * disk, is none.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "save.h"

/**
 * struct writer - a file being written
 * @fd: the file
 * @why: what went wrong
 * @header: how it begins
 * @entries: the table
 * @end: what is written ends before here
 */
struct writer {
	int fd;
	struct why why;
	struct save_header header;
	struct save_entry entries[SECTIONS_MAX];
	uint64_t end;
};

int why_say(const struct why *why, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (why->size)
		vsnprintf(why->text, why->size, format, args);
	va_end(args);
	return err;
}

static int cannot_write(const struct writer *writer, int err)
{
	return why_say(&writer->why, err, "can't write it: %s", strerror(-err));
}

static int put(const struct writer *writer, const void *data, uint64_t bytes, uint64_t offset)
{
	while (bytes) {
		ssize_t n = pwrite(writer->fd, data, bytes, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cannot_write(writer, n ? -errno : -EIO);
		data = (const uint8_t *)data + n;
		bytes -= n;
		offset += n;
	}
	return 0;
}

/* NULL: there are too many. */
static struct save_entry *new_section(struct writer *writer, enum section_kind kind,
				      uint64_t bytes)
{
	struct save_entry *entry = &writer->entries[writer->header.sections];

	if (writer->header.sections == SECTIONS_MAX)
		return NULL;
	*entry = (struct save_entry) {
		.kind = kind, .offset = writer->end, .bytes = bytes,
	};
	writer->header.sections++;
	writer->end = to_page(writer->end + bytes);
	return entry;
}

static int too_many(const struct writer *writer)
{
	return why_say(&writer->why, -E2BIG, "more than %u sections", SECTIONS_MAX);
}

/* --- vCPUs --- */

struct vcpu_blob {
	struct vee_vcpu_state state;
	struct vee_cpuid_entry cpuid[VEE_MAX_CPUID];
	uint8_t area[];
};

struct vcpu_blob *vcpu_blob_read(struct vee_vcpu *vcpu, uint32_t xsave_bytes,
				 const struct why *why, int *err)
{
	struct vcpu_blob *blob = calloc(1, sizeof(*blob) + xsave_bytes);

	if (!blob) {
		*err = why_say(why, -ENOMEM, "no memory");
		return NULL;
	}
	blob->state.xsave = (uintptr_t)blob->area;
	blob->state.xsave_bytes = xsave_bytes;
	blob->state.cpuid = (uintptr_t)blob->cpuid;
	blob->state.cpuid_count = VEE_MAX_CPUID;
	*err = vee_vcpu_save(vcpu, &blob->state);
	if (*err) {
		why_say(why, *err, "can't read the state of CPU %u: %s", vcpu->id,
			strerror(-*err));
		free(blob);
		return NULL;
	}
	/* Addresses here say nothing there. */
	blob->state.xsave = 0;
	blob->state.cpuid = 0;
	return blob;
}

uint64_t vcpu_blob_parts(const struct vcpu_blob *blob, struct part parts[VCPU_PARTS])
{
	uint64_t table = blob->state.cpuid_count * sizeof(*blob->cpuid);

	parts[0] = (struct part) { &blob->state, sizeof(blob->state) };
	parts[1] = (struct part) { blob->cpuid, table };
	parts[2] = (struct part) { blob->area, blob->state.xsave_bytes };
	return sizeof(blob->state) + table + blob->state.xsave_bytes;
}

static int put_blob(struct writer *writer, unsigned int id, const struct vcpu_blob *blob)
{
	struct part parts[VCPU_PARTS];
	struct save_entry *entry = new_section(writer, SECTION_VCPU, vcpu_blob_parts(blob, parts));
	uint64_t offset;
	int err = 0;

	if (!entry)
		return too_many(writer);
	entry->id = id;
	offset = entry->offset;
	for (unsigned int i = 0; i < VCPU_PARTS && !err; i++) {
		entry->crc = crc32c(entry->crc, parts[i].data, parts[i].bytes);
		err = put(writer, parts[i].data, parts[i].bytes, offset);
		offset += parts[i].bytes;
	}
	return err;
}

static int put_vcpu(struct writer *writer, struct vee_vcpu *vcpu)
{
	struct vcpu_blob *blob;
	int err;

	blob = vcpu_blob_read(vcpu, writer->header.xsave_bytes, &writer->why, &err);
	if (!blob)
		return err;
	err = put_blob(writer, vcpu->id, blob);
	free(blob);
	return err;
}

/* --- memory --- */

/* How many bytes from @at on are pages with something in them; or, if not @full, without. */
static uint64_t stretch(const uint8_t *data, uint64_t at, uint64_t end, bool full)
{
	uint64_t from = at;

	while (at < end && page_is_zero(data + at) != full)
		at += PAGE_BYTES;
	return at - from;
}

static int put_pages(struct writer *writer, const uint8_t *data, uint64_t bytes, uint64_t offset)
{
	int err = 0;

	for (uint64_t at = 0, n; at < bytes && !err; at += n) {
		at += stretch(data, at, bytes, false);
		n = stretch(data, at, bytes, true);
		err = put(writer, data + at, n, offset + at);
	}
	return err;
}

static int put_slot(struct writer *writer, const struct vm_slot *slot)
{
	struct save_entry *entry = new_section(writer, SECTION_MEMORY, slot->bytes);

	if (!entry)
		return too_many(writer);
	entry->gpa = slot->gpa;
	entry->access = slot->access;
	entry->crc = crc_of_pages(0, slot->hva, slot->bytes);
	return put_pages(writer, slot->hva, slot->bytes, entry->offset);
}

static int put_memory(struct writer *writer, struct vee_vm *vm)
{
	struct vm_slot *slots;
	int err = fork_settle(vm), count;

	if (err)
		return cannot_write(writer, err);
	count = vm_slots(vm, &slots);
	if (count < 0)
		return cannot_write(writer, count);
	for (int i = 0; i < count && !err; i++)
		err = put_slot(writer, &slots[i]);
	free(slots);
	return err;
}

/* --- the program's --- */

static int put_section(struct writer *writer, const struct vee_section *section)
{
	struct save_entry *entry;

	if (!*section->name || strlen(section->name) >= SECTION_NAME)
		return why_say(&writer->why, -EINVAL, "a section's name has 1 to %u bytes",
			       SECTION_NAME - 1);
	entry = new_section(writer, SECTION_PROGRAM, section->bytes);
	if (!entry)
		return too_many(writer);
	memcpy(entry->name, section->name, strlen(section->name));
	entry->crc = crc32c(0, section->data, section->bytes);
	return put(writer, section->data, section->bytes, entry->offset);
}

/* --- all of it --- */

static int put_header(struct writer *writer)
{
	struct save_header *header = &writer->header;
	uint64_t table = header->sections * sizeof(*writer->entries);
	int err;

	header->bytes = writer->end;
	header->crc = crc32c(crc32c(0, header, sizeof(*header)), writer->entries, table);
	err = put(writer, writer->entries, table, sizeof(*header));
	/* What it says is there before it. */
	if (!err && fdatasync(writer->fd) && errno != EINVAL && errno != EROFS)
		err = cannot_write(writer, -errno);
	return err ? err : put(writer, header, sizeof(*header), 0);
}

/* All that was there is gone, and the length is that of the whole: holes are zeros. */
static int make_length(struct writer *writer, uint64_t bytes)
{
	return ftruncate(writer->fd, bytes) ? cannot_write(writer, -errno) : 0;
}

static int begin(struct writer *writer, const struct vee_vm *vm)
{
	struct vee_info info;
	struct stat stat;
	int err = vee_get_info(&info);

	if (err)
		return cannot_write(writer, err);
	if (fstat(writer->fd, &stat) || !S_ISREG(stat.st_mode))
		return why_say(&writer->why, -ESPIPE, "only a regular file can hold it");
	memcpy(writer->header.magic, SAVE_MAGIC, sizeof(writer->header.magic));
	writer->header.version = SAVE_VERSION;
	writer->header.flags = vm_has_apics(vm) ? VEE_VM_LOCAL_APIC : 0;
	writer->header.tsc_khz = info.tsc_khz;
	writer->header.xsave_bytes = info.xsave_bytes;
	writer->end = to_page(sizeof(writer->header) + sizeof(writer->entries));
	return make_length(writer, 0);
}

static int save(struct writer *writer, struct vee_vcpu *const *vcpus, unsigned int count,
		const struct vee_section *sections, unsigned int section_count)
{
	int err = begin(writer, vcpus[0]->vm);

	for (unsigned int i = 0; i < count && !err; i++)
		err = put_vcpu(writer, vcpus[i]);
	if (!err)
		err = put_memory(writer, vcpus[0]->vm);
	for (unsigned int i = 0; i < section_count && !err; i++)
		err = put_section(writer, &sections[i]);
	if (!err)
		err = make_length(writer, writer->end);
	return err ? err : put_header(writer);
}

int vee_save(struct vee_vcpu *const *vcpus, unsigned int count,
	     const struct vee_section *sections, unsigned int section_count, int fd,
	     char *why, size_t size)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	const struct why told = { why, size };
	int err;

	if (!writer)
		return why_say(&told, -ENOMEM, "no memory");
	writer->fd = fd;
	writer->why = told;
	if (count)
		err = save(writer, vcpus, count, sections, section_count);
	else
		err = why_say(&told, -EINVAL, "a VM without CPUs");
	free(writer);
	return err;
}

/* --- by a path --- */

/* Beside it, so that one can take the other's place. */
static int open_beside(const char *path, char **beside)
{
	static const char unique[] = ".XXXXXX";
	size_t bytes = strlen(path) + sizeof(unique);
	int fd;

	*beside = malloc(bytes);
	if (!*beside)
		return -ENOMEM;
	snprintf(*beside, bytes, "%s%s", path, unique);
	fd = mkostemp(*beside, O_CLOEXEC);
	if (fd >= 0)
		return fd;
	fd = -errno;
	free(*beside);
	return fd;
}

static int take_place(int fd, const char *beside, const char *path)
{
	return fsync(fd) || rename(beside, path) ? -errno : 0;
}

int vee_save_file(struct vee_vcpu *const *vcpus, unsigned int count,
		  const struct vee_section *sections, unsigned int section_count,
		  const char *path, char *why, size_t size)
{
	const struct why told = { why, size };
	char *beside;
	int fd = open_beside(path, &beside), err;

	if (fd < 0)
		return why_say(&told, fd, "can't write it: %s", strerror(-fd));
	err = vee_save(vcpus, count, sections, section_count, fd, why, size);
	if (!err) {
		err = take_place(fd, beside, path);
		if (err)
			why_say(&told, err, "can't write it: %s", strerror(-err));
	}
	close(fd);
	if (err)
		unlink(beside);
	free(beside);
	return err;
}
