// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A saved machine's file with anything at all in it (libFuzzer). By the first byte of the
 * input the rest is all of the file; or it is sections, and the header, the table and all
 * checksums are made for them, so that what is left are the checks of what they say. What can
 * be opened is asked for all that is in it, and loaded; the kernel takes any state. What is
 * checked besides what the sanitizers see: that each error has its line.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../save/save.h"
#include "kernel.h"
#include "libfuzzer.h"

#define INPUT_MAX	4096
#define FILE_BYTES	(1U << 20)
#define SECTIONS	4
#define CPUS		4
#define WHY_BYTES	600

enum form { SECTIONS_OF_IT, FILE_ITSELF, FORMS };

static uint8_t file[FILE_BYTES];

/* --- the kernel --- */

/* All of what is loaded is read. */
static int load_state(const struct vee_vcpu_state *state)
{
	const struct vee_cpuid_entry *cpuid = (const void *)(uintptr_t)state->cpuid;
	uint8_t area[XSAVE_BYTES];
	uint32_t any = 0;

	if (state->xsave_bytes != XSAVE_BYTES || state->cpuid_count > VEE_MAX_CPUID)
		abort();
	memcpy(area, (const void *)(uintptr_t)state->xsave, XSAVE_BYTES);
	for (unsigned int i = 0; i < state->cpuid_count; i++)
		any |= cpuid[i].leaf | cpuid[i].edx;
	return any & 1U << 31 ? -EINVAL : 0;
}

int kernel_answer(unsigned long request, void *arg)
{
	switch (request) {
	case VEE_VM_MAP:
		return ((struct vee_map *)arg)->gpa >> GPA_BITS ? -EINVAL : 0;
	case VEE_VCPU_GET_CPUID:
		((struct vee_cpuid *)arg)->count = 0;
		return 0;
	case VEE_VCPU_SAVE:
		((struct vee_vcpu_state *)arg)->tsc = 1;
		return 0;
	case VEE_VCPU_LOAD:
		return load_state(arg);
	default:
		return 0;
	}
}

/* --- the file --- */

/* A section of the input: what it is, how long; then what is in it. */
#define HEAD		4

/* Of a vCPU's state: mostly as long as it says. */
static uint64_t put_lengths(struct vee_vcpu_state *state, const uint8_t *data)
{
	if (data[1] & 0x80)
		return sizeof(*state) + data[1];
	state->cpuid_count = data[1];
	state->xsave_bytes = data[2] * 8;
	return sizeof(*state) + state->cpuid_count * sizeof(struct vee_cpuid_entry) +
	       state->xsave_bytes;
}

static uint64_t put_section(struct save_entry *entry, uint64_t offset, const uint8_t *data,
			    size_t size)
{
	uint64_t bytes = data[1] | (uint64_t)data[2] << 8;

	*entry = (struct save_entry) {
		.kind = data[0] % 4, .offset = offset, .bytes = bytes, .id = data[3] % CPUS,
		.gpa = (uint64_t)data[3] << 12, .access = data[3] & 7, .name = "devices",
	};
	if (entry->kind == SECTION_MEMORY)
		entry->bytes = bytes % 4 * PAGE_BYTES;
	memcpy(file + offset, data + HEAD, size - HEAD);
	if (entry->kind == SECTION_VCPU)
		entry->bytes = put_lengths((void *)(file + offset), data);
	entry->crc = entry->kind == SECTION_MEMORY ?
		     crc_of_pages(0, file + offset, entry->bytes) :
		     crc32c(0, file + offset, entry->bytes);
	offset = to_page(offset + entry->bytes);
	/* It says that it is somewhere else, or of another length. */
	if (data[0] & 0x40)
		entry->offset ^= PAGE_BYTES << data[2] % 52;
	if (data[0] & 0x80)
		entry->bytes ^= 1ULL << data[2] % 64;
	return offset;
}

/* A fourth of the input for each. */
static size_t put_sections(const uint8_t *data, size_t size)
{
	struct save_header *header = (void *)file;
	struct save_entry *entries = (void *)(header + 1);
	size_t each = size / SECTIONS;
	uint64_t end = PAGE_BYTES;

	*header = (struct save_header) {
		.magic = SAVE_MAGIC, .version = SAVE_VERSION, .tsc_khz = TSC_KHZ,
		.xsave_bytes = XSAVE_BYTES, .sections = each > HEAD ? SECTIONS : 0,
	};
	for (unsigned int i = 0; i < header->sections; i++)
		end = put_section(&entries[i], end, data + i * each, each);
	header->bytes = end;
	header->crc = crc32c(crc32c(0, header, sizeof(*header)), entries,
			     header->sections * sizeof(*entries));
	return end;
}

static size_t put_file(enum form form, const uint8_t *data, size_t size)
{
	memset(file, 0, sizeof(file));
	if (form == SECTIONS_OF_IT)
		return put_sections(data, size);
	memcpy(file, data, size);
	return size;
}

/* --- reading it --- */

static void check_line(int err, const char *why)
{
	if (err ? !*why || strchr(why, '\n') : *why)
		abort();
}

static void load(const struct vee_saved *saved)
{
	unsigned int count = vee_saved_vcpus(saved), made = 0;
	struct vee_vcpu *vcpus[CPUS];
	char why[WHY_BYTES] = "";
	struct vee_vm *vm;

	if (vee_vm_create_with(&vm, vee_saved_flags(saved)))
		abort();
	for (; made < count && made < CPUS; made++)
		if (vee_vcpu_create(vm, made, &vcpus[made]))
			abort();
	check_line(vee_saved_restore(saved, vcpus, made, why, sizeof(why)), why);
	while (made)
		vee_vcpu_destroy(vcpus[--made]);
	vee_vm_destroy(vm);
}

static void read_all(const struct vee_saved *saved)
{
	size_t bytes;
	const uint8_t *section = vee_saved_section(saved, "devices", &bytes);

	if (section)
		crc32c(0, section, bytes);
	vee_saved_memory(saved);
	load(saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vee_saved *saved;
	char why[WHY_BYTES] = "", path[40];
	size_t bytes;
	int fd, err;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	bytes = put_file(*data % FORMS, data + 1, size - 1);
	fd = memfd_create("saved", MFD_CLOEXEC);
	if (fd < 0 || write(fd, file, bytes) != (ssize_t)bytes)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = vee_saved_open(path, *data & 0x80 ? VEE_SAVED_LAZY : 0, &saved, why, sizeof(why));
	check_line(err, why);
	if (!err) {
		read_all(saved);
		vee_saved_close(saved);
	}
	close(fd);
	return 0;
}
