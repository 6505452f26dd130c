// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 10: a loader of Linux kernels. README.md says what is to be done. This is "vee", but
 * for what you write here: the library's own vee_load_linux() is left out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <vee.h>

#include "boot.h"

#define PAGE		4096UL
#define MIB		0x100000UL

/* Where things go below the hole. What they have there is up to you, but not page 0. */
#define GDT		0x8000UL
#define ZERO_PAGE	0x9000UL
#define CMDLINE		0x20000UL

/* A field of the file's: so many bytes, little endian. */
static uint64_t get(const uint8_t *image, unsigned int at, unsigned int bytes)
{
	uint64_t value = 0;

	memcpy(&value, image + at, bytes);
	return value;
}

static void put(uint8_t *page, unsigned int at, uint64_t value, unsigned int bytes)
{
	memcpy(page + at, &value, bytes);
}

/* The guest's memory: from 0 to what this gives, which is a multiple of 1 MiB. */
static uint64_t memory_end(const struct vee_vm *vm)
{
	uint64_t end = 0;

	while (vee_vm_at(vm, end, MIB))
		end += MIB;
	return end;
}

/* Task "entry": the part of the file that isn't set-up code, to where it wants to be. */
static int load_kernel(struct vee_vcpu *vcpu, const uint8_t *image, size_t bytes)
{
	size_t setup = (get(image, HEADER_SETUP_SECTS, 1) + 1) * SECTOR;
	uint64_t gpa = get(image, HEADER_PREFERRED, 8);

	if (setup >= bytes)
		return -EINVAL;
	if (vee_vm_write(vcpu->vm, gpa, image + setup, bytes - setup))
		return -E2BIG;
	vee_vcpu_set_protected_mode(vcpu, gpa);
	vcpu->page->regs.rsi = ZERO_PAGE;
	return 0;
}

/* Task "header": what the kernel says of itself goes to the zero page, and what we say. */
static int fill_header(const uint8_t *image, size_t bytes, uint8_t *page)
{
	size_t end = HEADER_MAGIC + image[HEADER_JUMP];

	if (end > bytes || end > E820_TABLE)
		return -EINVAL;
	memcpy(page + HEADER_BEGIN, image + HEADER_BEGIN, end - HEADER_BEGIN);
	put(page, HEADER_LOADER, LOADER, 1);
	return 0;
}

/* Task "command-line". */
static int put_cmdline(struct vee_vm *vm, uint8_t *page, const char *cmdline)
{
	size_t bytes = strlen(cmdline) + 1;

	if (bytes > get(page, HEADER_CMDLINE_MAX, 4) + 1)
		return -E2BIG;
	put(page, HEADER_CMDLINE, CMDLINE, 4);
	return vee_vm_write(vm, CMDLINE, cmdline, bytes) ? -E2BIG : 0;
}

/* Task "memory": the map, of what is there and what is not. */
static void add_range(uint8_t *page, uint64_t begin, uint64_t end, unsigned int type)
{
	unsigned int at = E820_TABLE + page[E820_COUNT]++ * E820_BYTES;

	put(page, at, begin, 8);
	put(page, at + 8, end - begin, 8);
	put(page, at + 16, type, 4);
}

static void fill_map(const struct vee_vm *vm, uint8_t *page)
{
	add_range(page, 0, HOLE, E820_RAM);
	add_range(page, HOLE, HOLE_END, E820_RESERVED);
	add_range(page, HOLE_END, memory_end(vm), E820_RAM);
}

/* Task "initrd": behind all that the kernel may need, at a page, and as high as it may. */
static int put_initrd(struct vee_vm *vm, uint8_t *page, const void *initrd, size_t bytes)
{
	uint64_t end = memory_end(vm), last = get(page, HEADER_RAMDISK_MAX, 4), gpa;

	if (end > last + 1)
		end = last + 1;
	if (bytes > end)
		return -E2BIG;
	gpa = (end - bytes) & ~(PAGE - 1);
	if (gpa < get(page, HEADER_PREFERRED, 8) + get(page, HEADER_INIT_BYTES, 4))
		return -E2BIG;
	put(page, HEADER_RAMDISK, gpa, 4);
	put(page, HEADER_RAMDISK_BYTES, bytes, 4);
	return vee_vm_write(vm, gpa, initrd, bytes) ? -E2BIG : 0;
}

/* Task "selectors": a GDT, and registers as if they had been loaded from it. */
static int set_segments(struct vee_vcpu *vcpu)
{
	/* Flat, present, of privilege level 0: code to be read, data to be written. */
	static const uint64_t gdt[] = { 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	struct vee_segments *segments = &vcpu->page->segments;

	segments->cs.selector = BOOT_CS;
	segments->ds.selector = BOOT_DS;
	segments->es.selector = BOOT_DS;
	segments->ss.selector = BOOT_DS;
	segments->gdtr.base = GDT;
	segments->gdtr.limit = sizeof(gdt) - 1;
	return vee_vm_write(vcpu->vm, GDT, gdt, sizeof(gdt)) ? -E2BIG : 0;
}

int vee_load_linux(struct vee_vcpu *vcpu, const void *image, size_t bytes,
		   const struct vee_linux_boot *boot)
{
	uint8_t page[ZERO_PAGE_BYTES] = { 0 };
	int err;

	if (bytes < HEADER_INIT_BYTES + 4 || get(image, HEADER_BOOT_FLAG, 2) != BOOT_FLAG ||
	    get(image, HEADER_MAGIC, 4) != MAGIC)
		return -ENOEXEC;
	err = load_kernel(vcpu, image, bytes);
	if (!err)
		err = fill_header(image, bytes, page);
	if (!err && boot && boot->cmdline)
		err = put_cmdline(vcpu->vm, page, boot->cmdline);
	if (!err && boot && boot->initrd_bytes)
		err = put_initrd(vcpu->vm, page, boot->initrd, boot->initrd_bytes);
	if (err)
		return err;
	fill_map(vcpu->vm, page);
	err = vee_vm_write(vcpu->vm, ZERO_PAGE, page, sizeof(page));
	return err ? err : set_segments(vcpu);
}
