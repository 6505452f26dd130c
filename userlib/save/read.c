// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading a saved VM. Nothing in the file is trusted before it was checked; memory is mapped,
 * and comes from the file page by page as the guest touches it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream.h"
#include "../explain/explain.h"

/* --- is it whole? --- */

static int damaged(const struct why *why)
{
	return why_say(why, -EBADMSG, "the file is damaged: get it anew");
}

static int check_header(const struct vee_saved *saved, const struct why *why)
{
	const struct save_header *header = saved->header;

	if (saved->bytes < sizeof(*header) ||
	    memcmp(header->magic, SAVE_MAGIC, sizeof(header->magic)))
		return why_say(why, -ENOEXEC, "no saved machine, or its saving was cut short");
	if (header->version != SAVE_VERSION)
		return why_say(why, -EPROTONOSUPPORT,
			       "of version %u, and this vee knows version %u alone",
			       header->version, SAVE_VERSION);
	if (header->sections > SECTIONS_MAX ||
	    sizeof(*header) + header->sections * sizeof(*saved->entries) > saved->bytes)
		return damaged(why);
	return 0;
}

static int check_table(const struct vee_saved *saved, const struct why *why)
{
	struct save_header header = *saved->header;
	uint32_t crc;

	header.crc = 0;
	crc = crc32c(0, &header, sizeof(header));
	crc = crc32c(crc, saved->entries, header.sections * sizeof(*saved->entries));
	if (crc != saved->header->crc)
		return damaged(why);
	if (header.bytes > saved->bytes)
		return why_say(why, -ENODATA, "cut short: %llu bytes of %llu are there",
			       (unsigned long long)saved->bytes, (unsigned long long)header.bytes);
	return 0;
}

bool save_entry_fits(const struct vee_saved *saved, const struct save_entry *entry)
{
	if (entry->offset % PAGE_BYTES || !within(entry->offset, entry->bytes, saved->bytes))
		return false;
	switch (entry->kind) {
	case SECTION_VCPU:
		return entry->bytes >= sizeof(struct vee_vcpu_state);
	case SECTION_MEMORY:
		return entry->bytes && !(entry->bytes % PAGE_BYTES);
	case SECTION_PROGRAM:
		return memchr(entry->name, 0, SECTION_NAME);
	default:
		return false;
	}
}

static uint32_t crc_of(const struct vee_saved *saved, const struct save_entry *entry)
{
	const uint8_t *data = saved->file + entry->offset;

	if (entry->kind == SECTION_MEMORY)
		return crc_of_pages(0, data, entry->bytes);
	return crc32c(0, data, entry->bytes);
}

static int check_sections(const struct vee_saved *saved, unsigned int flags,
			  const struct why *why)
{
	for (unsigned int i = 0; i < saved->header->sections; i++) {
		const struct save_entry *entry = &saved->entries[i];

		if (!save_entry_fits(saved, entry))
			return damaged(why);
		if (flags & VEE_SAVED_LAZY && entry->kind == SECTION_MEMORY)
			continue;
		if (crc_of(saved, entry) != entry->crc)
			return damaged(why);
	}
	return 0;
}

/* --- its life --- */

static int open_file(struct vee_saved *saved, const char *path, const struct why *why)
{
	struct stat stat;
	void *file;

	saved->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (saved->fd < 0 || fstat(saved->fd, &stat))
		return why_say(why, -errno, "%s", strerror(errno));
	if (!S_ISREG(stat.st_mode) || !stat.st_size)
		return why_say(why, -ENOEXEC, "no saved machine, or its saving was cut short");
	file = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, saved->fd, 0);
	if (file == MAP_FAILED)
		return why_say(why, -ENOMEM, "no room for its %llu bytes",
			       (unsigned long long)stat.st_size);
	saved->bytes = stat.st_size;
	saved->file = file;
	saved->header = file;
	saved->entries = (const void *)(saved->header + 1);
	return 0;
}

int vee_saved_open(const char *path, unsigned int flags, struct vee_saved **saved, char *why,
		   size_t size)
{
	struct vee_saved *new = calloc(1, sizeof(*new));
	const struct why told = { why, size };
	int err;

	if (!new)
		return why_say(&told, -ENOMEM, "no memory");
	new->fd = -1;
	err = flags & ~VEE_SAVED_LAZY ? why_say(&told, -EINVAL, "unknown flags") :
					open_file(new, path, &told);
	if (!err)
		err = check_header(new, &told);
	if (!err)
		err = check_table(new, &told);
	if (!err)
		err = check_sections(new, flags, &told);
	if (err)
		vee_saved_close(new);
	else
		*saved = new;
	return err;
}

void vee_saved_close(struct vee_saved *saved)
{
	if (!saved)
		return;
	if (saved->file)
		munmap((void *)saved->file, saved->bytes);
	if (saved->fd >= 0)
		close(saved->fd);
	stream_free(saved->stream);
	free(saved->table);
	free(saved);
}

/* --- what is in it --- */

static const struct save_entry *next_of(const struct vee_saved *saved, enum section_kind kind,
					unsigned int *at)
{
	while (*at < saved->header->sections) {
		const struct save_entry *entry = &saved->entries[(*at)++];

		if (entry->kind == kind)
			return entry;
	}
	return NULL;
}

unsigned int vee_saved_flags(const struct vee_saved *saved)
{
	return saved->header->flags;
}

unsigned int vee_saved_vcpus(const struct vee_saved *saved)
{
	unsigned int at = 0, count = 0;

	while (next_of(saved, SECTION_VCPU, &at))
		count++;
	return count;
}

uint64_t vee_saved_memory(const struct vee_saved *saved)
{
	const struct save_entry *entry;
	unsigned int at = 0;
	uint64_t bytes = 0;

	while ((entry = next_of(saved, SECTION_MEMORY, &at)))
		bytes += entry->bytes;
	return bytes;
}

const void *vee_saved_section(const struct vee_saved *saved, const char *name, size_t *bytes)
{
	const struct save_entry *entry;
	unsigned int at = 0;

	while ((entry = next_of(saved, SECTION_PROGRAM, &at))) {
		if (strcmp(entry->name, name))
			continue;
		*bytes = entry->bytes;
		return saved->file + entry->offset;
	}
	return NULL;
}

/* --- memory --- */

static int map_slot(const struct vee_saved *saved, struct vee_vm *vm,
		    const struct save_entry *entry, const struct why *why)
{
	/* What was received nobody else has. */
	int flags = MAP_NORESERVE | (saved->stream ? MAP_SHARED : MAP_PRIVATE);
	void *hva = mmap(NULL, entry->bytes, PROT_READ | PROT_WRITE, flags, saved->fd,
			 entry->offset);
	int err;

	if (hva == MAP_FAILED)
		return why_say(why, -ENOMEM, "no room for %llu MiB of memory",
			       (unsigned long long)(entry->bytes >> 20));
	err = vm_map_owned(vm, entry->gpa, hva, entry->bytes, entry->access);
	if (!err)
		return 0;
	munmap(hva, entry->bytes);
	return why_say(why, err, err == -EINVAL ?
		       "its memory is beyond what guests have addresses for here" :
		       "can't give it its memory: %s", strerror(-err));
}

static int map_memory(const struct vee_saved *saved, struct vee_vm *vm, const struct why *why)
{
	const struct save_entry *entry;
	unsigned int at = 0;
	int err = 0;

	while (!err && (entry = next_of(saved, SECTION_MEMORY, &at)))
		err = map_slot(saved, vm, entry, why);
	return err;
}

/* --- vCPUs --- */

/**
 * struct blob - a vCPU's state, in memory of our own
 * @state: refers to the others
 * @cpuid: in the file
 * @area: of the size that it has here
 */
struct blob {
	struct vee_vcpu_state state;
	const struct vee_cpuid_entry *cpuid;
	uint8_t *area;
};

static const struct save_entry *entry_of(const struct vee_saved *saved, unsigned int id)
{
	const struct save_entry *entry;
	unsigned int at = 0;

	while ((entry = next_of(saved, SECTION_VCPU, &at)))
		if (entry->id == id)
			return entry;
	return NULL;
}

/* The area's standard format: what is longer here is what this CPU has besides. */
static int read_blob(const struct vee_saved *saved, const struct vee_vcpu *vcpu,
		     struct blob *blob, const struct why *why)
{
	const struct save_entry *entry = entry_of(saved, vcpu->id);
	uint32_t room = vm_xsave_bytes(vcpu->vm);
	const uint8_t *from;
	uint64_t table;

	if (!entry)
		return why_say(why, -ENOENT, "CPU %u is not in it", vcpu->id);
	from = saved->file + entry->offset;
	memcpy(&blob->state, from, sizeof(blob->state));
	table = (uint64_t)blob->state.cpuid_count * sizeof(*blob->cpuid);
	if (blob->state.cpuid_count > VEE_MAX_CPUID ||
	    sizeof(blob->state) + table + blob->state.xsave_bytes != entry->bytes)
		return damaged(why);
	blob->cpuid = (const void *)(from + sizeof(blob->state));
	blob->area = calloc(1, room);
	if (!blob->area)
		return why_say(why, -ENOMEM, "no memory");
	memcpy(blob->area, (const uint8_t *)blob->cpuid + table,
	       min_u64(room, blob->state.xsave_bytes));
	blob->state.cpuid = (uintptr_t)blob->cpuid;
	blob->state.xsave = (uintptr_t)blob->area;
	blob->state.xsave_bytes = room;
	return 0;
}

static int load_blob(struct vee_vcpu *vcpu, struct blob *blob, uint64_t later,
		     const struct why *why)
{
	const char *name;
	int err;

	blob->state.msrs.tsc_offset -= later;
	err = vee_vcpu_load(vcpu, &blob->state);
	if (!err)
		return 0;
	if (err != -EINVAL)
		return why_say(why, err, "can't load CPU %u: %s", vcpu->id, strerror(-err));
	name = refusal_name(vcpu->page->refused);
	return why_say(why, err, "CPU %u can't be so here: %s", vcpu->id,
		       name ? name : "its state is not for this machine");
}

static int check_vcpu(const struct vee_saved *saved, struct vee_vcpu *vcpu,
		      const struct why *why)
{
	uint32_t wanted[FEATURE_WORDS], here[FEATURE_WORDS];
	struct blob blob = { };
	int err = read_blob(saved, vcpu, &blob, why);

	free(blob.area);
	if (err)
		return err;
	features_of(blob.cpuid, blob.state.cpuid_count, wanted);
	err = features_of_vcpu(vcpu, here);
	if (err)
		return why_say(why, err, "can't ask for CPUID: %s", strerror(-err));
	return features_check(wanted, here, why);
}

static int load_vcpu(const struct vee_saved *saved, struct vee_vcpu *vcpu, uint64_t later,
		     const struct why *why)
{
	struct blob blob = { };
	int err = read_blob(saved, vcpu, &blob, why);

	if (!err)
		err = load_blob(vcpu, &blob, later, why);
	free(blob.area);
	return err;
}

/* --- time --- */

/* The host's TSC when the last of them was saved. */
static uint64_t saved_at(const struct vee_saved *saved)
{
	const struct save_entry *entry;
	unsigned int at = 0;
	uint64_t last = 0;

	while ((entry = next_of(saved, SECTION_VCPU, &at))) {
		struct vee_vcpu_state state;
		uint64_t host;

		memcpy(&state, saved->file + entry->offset, sizeof(state));
		host = state.tsc - state.msrs.tsc_offset;
		last = host > last ? host : last;
	}
	return last;
}

/* ... and now. */
static int host_tsc(struct vee_vcpu *vcpu, uint64_t *tsc)
{
	uint32_t all = VEE_STATE_ALL | VEE_STATE_XSAVE | VEE_STATE_CPUID | VEE_STATE_WISHES |
		       (vm_has_apics(vcpu->vm) ? VEE_STATE_APIC : 0);
	struct vee_vcpu_state state = { .skip = all & ~VEE_STATE_MSRS };
	int err = vee_vcpu_save(vcpu, &state);

	*tsc = state.tsc - state.msrs.tsc_offset;
	return err;
}

/* Clocks of a guest that it has set by the TSC would go wrong: a thousandth is too much. */
int saved_check_tsc(const struct vee_saved *saved, const struct why *why)
{
	uint32_t then = saved->header->tsc_khz;
	struct vee_info info;
	int err = vee_get_info(&info);

	if (err)
		return why_say(why, err, "%s", strerror(-err));
	if ((uint64_t)llabs((int64_t)then - info.tsc_khz) * 1000 <= then)
		return 0;
	return why_say(why, -EOPNOTSUPP, "its TSC counts %u kHz, and this machine's %u kHz", then,
		       info.tsc_khz);
}

static int check_machine(const struct vee_saved *saved, struct vee_vcpu *const *vcpus,
			 unsigned int count, const struct why *why)
{
	bool apics = saved->header->flags & VEE_VM_LOCAL_APIC;

	if (!count || count != vee_saved_vcpus(saved))
		return why_say(why, -EINVAL, "it has %u CPUs, not %u", vee_saved_vcpus(saved),
			       count);
	if (apics != vm_has_apics(vcpus[0]->vm))
		return why_say(why, -EINVAL, "it is of a VM with%s local APICs",
			       apics ? "" : "out");
	return saved_check_tsc(saved, why);
}

static int restore(const struct vee_saved *saved, struct vee_vcpu *const *vcpus,
		   unsigned int count, const struct why *why)
{
	int err = check_machine(saved, vcpus, count, why);
	uint64_t now = 0;

	for (unsigned int i = 0; i < count && !err; i++)
		err = check_vcpu(saved, vcpus[i], why);
	if (!err)
		err = map_memory(saved, vcpus[0]->vm, why);
	if (err)
		return err;
	err = host_tsc(vcpus[0], &now);
	if (err)
		return why_say(why, err, "can't tell the time: %s", strerror(-err));
	for (unsigned int i = 0; i < count && !err; i++)
		err = load_vcpu(saved, vcpus[i], now - saved_at(saved), why);
	return err;
}

int vee_saved_restore(const struct vee_saved *saved, struct vee_vcpu *const *vcpus,
		      unsigned int count, char *why, size_t size)
{
	char text[FEATURES_BYTES + 100] = "";
	const struct why told = { why, size }, here = { text, sizeof(text) };
	int err = restore(saved, vcpus, count, &here);

	if (!err)
		return 0;
	if (saved->stream)
		stream_refuse(saved->stream, text);
	return why_say(&told, err, "%s", text);
}
