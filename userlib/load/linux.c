// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Linux kernels, and what boots like one: "The Linux/x86 Boot Protocol" of the
 * kernel's documentation, by its 32-bit entry.
 */
#include <asm/bootparam.h>
#include <stdlib.h>

#include "load.h"

#define SECTOR			512
#define BOOT_FLAG		0xaa55
#define HEADER_MAGIC		0x53726448	/* "HdrS" */
#define HEADER_AT		offsetof(struct boot_params, hdr)
#define HEADER_END_BASE		0x202		/* plus the jump's distance */
#define LOADER_UNDEFINED	0xff
#define HIGH_LOAD		0x100000

#define E820_RAM		1
#define E820_RESERVED		2

/* Versions of the protocol that added what is used here. */
#define HAS_INITRD_MAX		0x203
#define HAS_RELOCATABLE		0x205
#define HAS_CMDLINE_SIZE	0x206
#define HAS_PREF_ADDRESS	0x20a

#define OLD_INITRD_MAX		0x37ffffff
#define OLD_CMDLINE_SIZE	255

/* Selectors that the protocol prescribes for the 32-bit entry. */
#define BOOT_CS			0x10
#define BOOT_DS			0x18

/*
 * What a flat code and a flat data segment look like as descriptors; the first
 * two of the GDT stay null.
 */
static const uint64_t boot_gdt[] = {
	0, 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL,
};

struct kernel {
	struct setup_header header;
	size_t header_bytes;	/* what of it the image has */
	const uint8_t *payload;
	uint64_t payload_bytes;
	uint64_t load_gpa;
	uint64_t run_gpa;	/* where it unpacks to, and needs... */
	uint64_t run_bytes;	/* ...so much */
};

/* Zero page, GDT and command line, in one piece of low memory. */
struct boot_data {
	struct boot_params params;
	uint64_t gdt[4];
	char cmdline[];
};

static bool has_magic(const uint8_t *image, size_t bytes)
{
	struct setup_header header;

	if (bytes < HEADER_AT + sizeof(header))
		return false;
	memcpy(&header, image + HEADER_AT, sizeof(header));
	return header.boot_flag == BOOT_FLAG && header.header == HEADER_MAGIC;
}

/* Takes as much of the header as this kernel has; the rest stays zero. */
static int read_header(const uint8_t *image, size_t bytes, struct kernel *kernel)
{
	size_t end;

	if (!has_magic(image, bytes))
		return -ENOEXEC;
	/* It ends where the jump over it goes, of which this is the distance. */
	end = HEADER_END_BASE + image[HEADER_END_BASE - 1];
	kernel->header_bytes = min_u64(end - HEADER_AT, sizeof(kernel->header));
	memcpy(&kernel->header, image + HEADER_AT, kernel->header_bytes);
	return 0;
}

/* Gives fields that came with later versions the value that earlier ones mean. */
static int check_header(struct setup_header *header)
{
	if (header->version < HAS_INITRD_MAX || !(header->loadflags & LOADED_HIGH))
		return -EOPNOTSUPP;
	if (header->version < HAS_RELOCATABLE)
		header->relocatable_kernel = 0;
	if (header->version < HAS_CMDLINE_SIZE)
		header->cmdline_size = OLD_CMDLINE_SIZE;
	if (header->version < HAS_PREF_ADDRESS) {
		header->pref_address = HIGH_LOAD;
		header->init_size = 0;
	}
	if (header->relocatable_kernel &&
	    (!header->kernel_alignment ||
	     header->kernel_alignment & (header->kernel_alignment - 1)))
		return -EINVAL;
	return 0;
}

/*
 * A kernel that can run elsewhere still runs best where it would like to. One
 * that can't is loaded at 1 MiB and moves itself.
 */
static int find_load_address(struct kernel *kernel)
{
	const struct setup_header *header = &kernel->header;
	uint64_t align = header->kernel_alignment;

	kernel->load_gpa = HIGH_LOAD;
	kernel->run_gpa = header->pref_address;
	if (header->relocatable_kernel) {
		if (header->version >= HAS_PREF_ADDRESS)
			kernel->load_gpa = header->pref_address;
		if (kernel->load_gpa > UINT32_MAX)
			return -EINVAL;
		kernel->load_gpa = (kernel->load_gpa + align - 1) & ~(align - 1);
		kernel->run_gpa = kernel->load_gpa;
	}
	kernel->run_bytes = header->init_size;
	if (!within(kernel->load_gpa, kernel->payload_bytes, 4 * GIB) ||
	    !within(kernel->run_gpa, kernel->run_bytes, 4 * GIB))
		return -EINVAL;
	return 0;
}

static int parse(const uint8_t *image, size_t bytes, struct kernel *kernel)
{
	size_t setup;
	int err = read_header(image, bytes, kernel);

	if (!err)
		err = check_header(&kernel->header);
	if (err)
		return err;
	/* 0 has meant 4 since before there was a version to tell by. */
	setup = kernel->header.setup_sects ? kernel->header.setup_sects : 4;
	setup = (setup + 1) * SECTOR;
	if (setup >= bytes)
		return -EINVAL;
	kernel->payload = image + setup;
	kernel->payload_bytes = bytes - setup;
	/* The kernel says how much of it there is, but signatures may follow. */
	if ((uint64_t)kernel->header.syssize * 16 > kernel->payload_bytes + 15)
		return -EINVAL;
	return find_load_address(kernel);
}

static void add_e820(struct boot_params *params, uint64_t gpa, uint64_t end,
		     uint32_t type)
{
	if (params->e820_entries == E820_MAX_ENTRIES_ZEROPAGE)
		return;
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry) {
		.addr = gpa, .size = end - gpa, .type = type,
	};
}

/* Where a PC has video memory and firmware: nothing goes there, and tables may be. */
static void fill_e820(struct boot_params *params, const struct layout *layout)
{
	bool hole_told = false;

	for (int i = 0; i < layout->ram_count; i++) {
		const struct range *ram = &layout->ram[i];

		if (!hole_told && ram->gpa >= LEGACY_HOLE_END) {
			add_e820(params, LEGACY_HOLE, LEGACY_HOLE_END,
				 E820_RESERVED);
			hole_told = true;
		}
		add_e820(params, ram->gpa, ram->end, E820_RAM);
	}
}

static void fill_header(struct boot_params *params, const struct kernel *kernel,
			uint64_t gpa, uint64_t initrd_gpa,
			const struct vee_linux_boot *boot)
{
	memcpy(&params->hdr, &kernel->header, kernel->header_bytes);
	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.code32_start = kernel->load_gpa;
	params->hdr.cmd_line_ptr = gpa + offsetof(struct boot_data, cmdline);
	if (boot->initrd_bytes) {
		params->hdr.ramdisk_image = initrd_gpa;
		params->hdr.ramdisk_size = boot->initrd_bytes;
	}
}

static int plan(const struct kernel *kernel, struct layout *layout,
		const struct vee_linux_boot *boot, size_t data_bytes,
		uint64_t *data_gpa, uint64_t *initrd_gpa)
{
	uint64_t max = OLD_INITRD_MAX;
	int err = layout_take(layout, kernel->load_gpa, kernel->payload_bytes);

	if (kernel->header.initrd_addr_max)
		max = kernel->header.initrd_addr_max;
	if (!err)
		err = layout_take(layout, kernel->run_gpa, kernel->run_bytes);
	if (!err)
		err = layout_place(layout, data_bytes, PAGE_BYTES, LEGACY_HOLE,
				   data_gpa);
	if (!err && boot->initrd_bytes)
		err = layout_place(layout, boot->initrd_bytes, PAGE_BYTES,
				   max + 1, initrd_gpa);
	return err;
}

/* All checks are done: writes what was planned. */
static int load(struct vee_vcpu *vcpu, const struct kernel *kernel,
		const struct boot_data *data, size_t data_bytes,
		uint64_t data_gpa)
{
	struct vee_table *gdtr = &vcpu->page->segments.gdtr;

	if (vee_vm_write(vcpu->vm, kernel->load_gpa, kernel->payload,
			 kernel->payload_bytes) ||
	    vee_vm_write(vcpu->vm, data_gpa, data, data_bytes))
		return -E2BIG;
	vee_vcpu_set_protected_mode(vcpu, kernel->load_gpa);
	set_flat_segments(vcpu, BOOT_CS, BOOT_DS, 32);
	gdtr->base = data_gpa + offsetof(struct boot_data, gdt);
	gdtr->limit = sizeof(data->gdt) - 1;
	vcpu->page->regs.rsi = data_gpa;
	return 0;
}

static int plan_and_load(struct vee_vcpu *vcpu, const struct kernel *kernel,
			 struct layout *layout,
			 const struct vee_linux_boot *boot)
{
	const char *cmdline = boot->cmdline ? boot->cmdline : "";
	size_t bytes = sizeof(struct boot_data) + strlen(cmdline) + 1;
	uint64_t gpa, initrd_gpa = 0;
	struct boot_data *data;
	int err = plan(kernel, layout, boot, bytes, &gpa, &initrd_gpa);

	if (err)
		return err;
	data = calloc(1, bytes);
	if (!data)
		return -ENOMEM;
	fill_header(&data->params, kernel, gpa, initrd_gpa, boot);
	fill_e820(&data->params, layout);
	memcpy(data->gdt, boot_gdt, sizeof(boot_gdt));
	memcpy(data->cmdline, cmdline, strlen(cmdline) + 1);
	if (boot->initrd_bytes &&
	    vee_vm_write(vcpu->vm, initrd_gpa, boot->initrd, boot->initrd_bytes))
		err = -E2BIG;
	if (!err)
		err = load(vcpu, kernel, data, bytes, gpa);
	free(data);
	return err;
}

int vee_load_linux(struct vee_vcpu *vcpu, const void *image, size_t bytes,
		   const struct vee_linux_boot *boot)
{
	static const struct vee_linux_boot none;
	struct kernel kernel = { 0 };
	struct layout layout;
	int err = parse(image, bytes, &kernel);

	if (err)
		return err;
	if (!boot)
		boot = &none;
	if (boot->cmdline && strlen(boot->cmdline) > kernel.header.cmdline_size)
		return -E2BIG;
	err = layout_begin(&layout, vcpu->vm);
	if (err)
		return err;
	err = plan_and_load(vcpu, &kernel, &layout, boot);
	layout_end(&layout);
	return err;
}
