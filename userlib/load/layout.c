// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where a loader puts things in guest memory. */
#include <stdlib.h>

#include "load.h"

/*
 * Memory as a PC shows it: the VM may well have some between 640 KiB and 1 MiB,
 * as the video memory that programs expect there, but none to give away.
 */
static int cut_hole(struct range *ram, int count)
{
	int kept = 0;

	for (int i = 0; i < count; i++) {
		struct range low = ram[i], high = ram[i];

		low.end = min_u64(low.end, LEGACY_HOLE);
		if (high.gpa < LEGACY_HOLE_END)
			high.gpa = LEGACY_HOLE_END;
		if (low.gpa < low.end && high.gpa < high.end) {
			memmove(&ram[i + 1], &ram[i], (count - i) * sizeof(*ram));
			count++;
			i++;
		}
		if (low.gpa < low.end)
			ram[kept++] = low;
		if (high.gpa < high.end)
			ram[kept++] = high;
	}
	return kept;
}

int layout_begin(struct layout *layout, struct vee_vm *vm)
{
	int count;

	memset(layout, 0, sizeof(*layout));
	layout->vm = vm;
	count = vm_ram(vm, &layout->ram);
	if (count < 0)
		return count;
	layout->ram_count = cut_hole(layout->ram, count);
	/* Interrupt vectors and firmware data of a PC. */
	layout->taken[0] = (struct range) { 0, 0x1000 };
	layout->taken_count = 1;
	return 0;
}

void layout_end(struct layout *layout)
{
	free(layout->ram);
}

/*
 * What the guest may not write the caller may have no right to write either, and
 * there is no asking: writing there could be the end of this process.
 */
int layout_check(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes)
{
	if (!vm_has(vm, gpa, bytes, 0))
		return -E2BIG;
	return vm_has(vm, gpa, bytes, VEE_WRITE) ? 0 : -EACCES;
}

int layout_take(struct layout *layout, uint64_t gpa, uint64_t bytes)
{
	int err;

	if (!bytes)
		return 0;
	err = layout_check(layout->vm, gpa, bytes);
	if (err)
		return err;
	if (layout->taken_count == LAYOUT_MAX)
		return -E2BIG;
	layout->taken[layout->taken_count++] =
		(struct range) { gpa, gpa + bytes };
	return 0;
}

/* What is taken of gpa..gpa + bytes: the lowest begin, or UINT64_MAX. */
static uint64_t lowest_taken(const struct layout *layout, uint64_t gpa,
			     uint64_t bytes)
{
	uint64_t lowest = UINT64_MAX;

	for (int i = 0; i < layout->taken_count; i++) {
		const struct range *taken = &layout->taken[i];

		if (taken->gpa < gpa + bytes && gpa < taken->end)
			lowest = min_u64(lowest, taken->gpa);
	}
	return lowest;
}

/*
 * Goes down from the end, below whatever is in the way. @align is no more than a page, which
 * @ram begins with.
 */
static bool place_in(const struct layout *layout, const struct range *ram,
		     uint64_t bytes, uint64_t align, uint64_t limit,
		     uint64_t *gpa)
{
	uint64_t end = min_u64(ram->end, limit);

	while (end >= ram->gpa && end - ram->gpa >= bytes) {
		uint64_t at = (end - bytes) / align * align;
		uint64_t taken = lowest_taken(layout, at, bytes);

		if (taken == UINT64_MAX) {
			*gpa = at;
			return true;
		}
		end = taken;
	}
	return false;
}

int layout_place(struct layout *layout, uint64_t bytes, uint64_t align,
		 uint64_t limit, uint64_t *gpa)
{
	for (int i = layout->ram_count - 1; i >= 0; i--)
		if (place_in(layout, &layout->ram[i], bytes, align, limit, gpa))
			return layout_take(layout, *gpa, bytes);
	return -E2BIG;
}

uint64_t layout_top(const struct layout *layout)
{
	return layout->ram_count ? layout->ram[layout->ram_count - 1].end : 0;
}
