// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernels that follow the Multiboot Specification, version 0.6.96 ("1"). */
#include <stdlib.h>

#include "load.h"

#define SEARCH_BYTES	8192
#define HEADER_MAGIC	0x1badb002
#define LOADER_MAGIC	0x2badb002

/* Header flags: bits 0 to 15 are requirements. */
#define WANT_PAGE_ALIGN		0x1U
#define WANT_MEMORY_INFO	0x2U
#define REQUIREMENTS		0xffffU
#define HAS_ADDRESSES		0x10000U

/* Information flags. */
#define INFO_MEMORY		0x1U
#define INFO_CMDLINE		0x4U
#define INFO_MODULES		0x8U
#define INFO_MMAP		0x40U
#define INFO_LOADER_NAME	0x200U

struct header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
	/* With HAS_ADDRESSES: */
	uint32_t header_gpa;
	uint32_t load_gpa;
	uint32_t load_end_gpa;
	uint32_t bss_end_gpa;
	uint32_t entry_gpa;
};

#define HEADER_SHORT	12	/* without the addresses */

struct info {
	uint32_t flags;
	uint32_t mem_lower;
	uint32_t mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length;
	uint32_t mmap_addr;
	uint32_t drives_length;
	uint32_t drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint8_t video[40];
};

/* Its 64-bit members are not aligned to 8 bytes. */
struct mmap_entry {
	uint32_t bytes_after;
	uint32_t gpa[2];
	uint32_t bytes[2];
	uint32_t type;
};

#define MMAP_RAM	1

static const char loader_name[] = "vee";

/* Returns the header's offset, -ENOEXEC: there is none. */
static int find_header(const uint8_t *image, size_t bytes, struct header *header)
{
	size_t end = min_u64(bytes, SEARCH_BYTES);

	memset(header, 0, sizeof(*header));
	for (size_t at = 0; within(at, HEADER_SHORT, end); at += 4) {
		memcpy(header, image + at, HEADER_SHORT);
		if (header->magic == HEADER_MAGIC &&
		    !(uint32_t)(header->magic + header->flags + header->checksum))
			return at;
	}
	return -ENOEXEC;
}

/* "load_end_addr": 0 means to the end of the file; likewise "bss_end_addr". */
static int parse_addresses(const struct header *header, uint64_t at,
			   size_t bytes, struct elf *elf)
{
	uint64_t before = header->header_gpa - header->load_gpa;
	uint64_t end;

	if (header->header_gpa < header->load_gpa || before > at)
		return -EINVAL;
	end = header->load_end_gpa;
	if (!end)
		end = header->load_gpa + (bytes - (at - before));
	if (end <= header->load_gpa)
		return -EINVAL;
	elf->bits = 32;
	elf->entry = header->entry_gpa;
	elf->count = 1;
	elf->segments[0] = (struct elf_segment) {
		.offset = at - before,
		.file_bytes = end - header->load_gpa,
		.gpa = header->load_gpa,
		.gva = header->load_gpa,
		.bytes = end - header->load_gpa,
	};
	if (header->bss_end_gpa) {
		if (header->bss_end_gpa < end)
			return -EINVAL;
		elf->segments[0].bytes = header->bss_end_gpa - header->load_gpa;
	}
	if (elf->entry - header->load_gpa >= elf->segments[0].bytes)
		return -EINVAL;
	return within(at - before, end - header->load_gpa, bytes) ? 0 : -EINVAL;
}

static int parse(const void *image, size_t bytes, struct elf *elf)
{
	struct header header;
	int at = find_header(image, bytes, &header);
	int err;

	if (at < 0)
		return at;
	if (header.flags & REQUIREMENTS & ~(WANT_PAGE_ALIGN | WANT_MEMORY_INFO))
		return -EOPNOTSUPP;
	if (header.flags & HAS_ADDRESSES) {
		if (!within(at, sizeof(header), min_u64(bytes, SEARCH_BYTES)))
			return -EINVAL;
		memcpy(&header, (const uint8_t *)image + at, sizeof(header));
		return parse_addresses(&header, at, bytes, elf);
	}
	err = elf_parse(image, bytes, elf);
	if (!err && elf->entry > UINT32_MAX)
		err = -EINVAL;
	return err == -ENOEXEC ? -EINVAL : err;
}

/* What the kernel is told, built here and written in one piece. */
struct blob {
	uint8_t *data;
	size_t bytes;
	uint64_t gpa;
	const struct layout *layout;
	const char *cmdline;
	struct info info;
};

static size_t fill_mmap(const struct layout *layout, struct mmap_entry *entries)
{
	for (int i = 0; i < layout->ram_count; i++) {
		const struct range *ram = &layout->ram[i];
		uint64_t bytes = ram->end - ram->gpa;

		entries[i] = (struct mmap_entry) {
			.bytes_after = sizeof(*entries) - 4,
			.gpa = { ram->gpa, ram->gpa >> 32 },
			.bytes = { bytes, bytes >> 32 },
			.type = MMAP_RAM,
		};
	}
	return layout->ram_count;
}

/* KiB of memory from @gpa on, without a break; as far as @limit. */
static uint32_t contiguous(const struct layout *layout, uint64_t gpa,
			   uint64_t limit)
{
	for (int i = 0; i < layout->ram_count; i++) {
		const struct range *ram = &layout->ram[i];

		if (ram->gpa <= gpa && gpa < ram->end)
			return (min_u64(ram->end, limit) - gpa) / 1024;
	}
	return 0;
}

static uint32_t append(struct blob *blob, const void *data, size_t bytes)
{
	size_t at = blob->bytes;

	memcpy(blob->data + at, data, bytes);
	blob->bytes += bytes;
	return blob->gpa + at;
}

static void fill_info(struct blob *blob)
{
	struct info *info = &blob->info;

	info->flags = INFO_MEMORY | INFO_MODULES | INFO_MMAP | INFO_LOADER_NAME;
	info->mem_lower = contiguous(blob->layout, 0, LEGACY_HOLE);
	info->mem_upper = contiguous(blob->layout, LEGACY_HOLE_END, 4 * GIB);
	info->boot_loader_name = append(blob, loader_name, sizeof(loader_name));
	if (blob->cmdline) {
		info->flags |= INFO_CMDLINE;
		info->cmdline = append(blob, blob->cmdline,
				       strlen(blob->cmdline) + 1);
	}
}

static size_t blob_room(const struct layout *layout, const char *cmdline)
{
	return sizeof(struct info) + sizeof(loader_name) +
	       layout->ram_count * sizeof(struct mmap_entry) +
	       (cmdline ? strlen(cmdline) + 1 : 0);
}

/* Low memory is where a PC's boot loader has it; some kernels count on that. */
static int place_blob(struct layout *layout, size_t bytes, uint64_t *gpa)
{
	int err = layout_place(layout, bytes, 16, LEGACY_HOLE, gpa);

	return err ? layout_place(layout, bytes, 16, 4 * GIB, gpa) : 0;
}

static void fill_blob(struct blob *blob)
{
	struct mmap_entry *entries = (void *)(blob->data + sizeof(blob->info));
	size_t mmap_bytes = fill_mmap(blob->layout, entries) * sizeof(*entries);

	blob->info.mmap_addr = blob->gpa + sizeof(blob->info);
	blob->info.mmap_length = mmap_bytes;
	blob->bytes = sizeof(blob->info) + mmap_bytes;
	fill_info(blob);
	memcpy(blob->data, &blob->info, sizeof(blob->info));
}

/* The last steps: nothing before this has written to the guest. */
static int load(struct vee_vcpu *vcpu, const void *image, const struct elf *elf,
		struct blob *blob)
{
	int err = elf_write(elf, image, vcpu->vm);

	if (!err && vee_vm_write(vcpu->vm, blob->gpa, blob->data, blob->bytes))
		err = -E2BIG;
	if (err)
		return err;
	vee_vcpu_set_protected_mode(vcpu, elf->entry);
	vcpu->page->regs.rax = LOADER_MAGIC;
	vcpu->page->regs.rbx = blob->gpa;
	return 0;
}

static int plan_and_load(struct vee_vcpu *vcpu, const void *image,
			 const struct elf *elf, struct layout *layout,
			 const char *cmdline)
{
	struct blob blob = { .layout = layout, .cmdline = cmdline };
	size_t room = blob_room(layout, cmdline);
	int err = elf_plan(elf, layout);

	if (!err)
		err = place_blob(layout, room, &blob.gpa);
	if (err)
		return err;
	blob.data = calloc(1, room);
	if (!blob.data)
		return -ENOMEM;
	fill_blob(&blob);
	err = load(vcpu, image, elf, &blob);
	free(blob.data);
	return err;
}

int vee_load_multiboot(struct vee_vcpu *vcpu, const void *image, size_t bytes,
		       const char *cmdline)
{
	struct layout layout;
	struct elf elf;
	int err = parse(image, bytes, &elf);

	if (err)
		return err;
	err = layout_begin(&layout, vcpu->vm);
	if (err)
		return err;
	err = plan_and_load(vcpu, image, &elf, &layout, cmdline);
	layout_end(&layout);
	return err;
}
