/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loaders. Each file calls those to the right of it alone:
 *
 *	load.c -> linux.c, multiboot.c -> elf.c -> layout.c
 */
#ifndef VEE_LOAD_H
#define VEE_LOAD_H

#include "internal.h"

/* --- layout.c --- */

#define LAYOUT_MAX	80

/*
 * Where things go in guest memory: what is taken, and what is free. Loaders make
 * the whole plan first, and only then write.
 */
struct layout {
	struct vee_vm *vm;
	struct range *ram;	/* as a PC shows it: without 640 KiB to 1 MiB */
	int ram_count;
	struct range taken[LAYOUT_MAX];
	int taken_count;
};

int layout_begin(struct layout *layout, struct vee_vm *vm);
void layout_end(struct layout *layout);
/* May a loader write there? -E2BIG: not memory; -EACCES: the guest may not. */
int layout_check(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes);
/* The same errors, and -E2BIG: too many. Several may take the same: an image may overlap itself. */
int layout_take(struct layout *layout, uint64_t gpa, uint64_t bytes);
/* The highest free place that ends at or below @limit; -E2BIG: none. */
int layout_place(struct layout *layout, uint64_t bytes, uint64_t align,
		 uint64_t limit, uint64_t *gpa);
uint64_t layout_top(const struct layout *layout);

/* --- elf.c --- */

struct elf_segment {
	uint64_t offset;
	uint64_t file_bytes;
	uint64_t gva;
	uint64_t gpa;
	uint64_t bytes;
};

#define ELF_MAX_SEGMENTS	64

struct elf {
	unsigned int bits;
	uint64_t entry;		/* guest-physical */
	int count;
	struct elf_segment segments[ELF_MAX_SEGMENTS];
};

/* Checks everything, writes nothing. */
int elf_parse(const void *image, size_t bytes, struct elf *elf);
int elf_plan(const struct elf *elf, struct layout *layout);
int elf_write(const struct elf *elf, const void *image, struct vee_vm *vm);

#endif /* VEE_LOAD_H */
