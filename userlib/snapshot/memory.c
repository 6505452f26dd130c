// SPDX-License-Identifier: LGPL-2.1-or-later
/* The memory of a VM, out and in again. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snapshot.h"

/* --- where in the copy each slot is --- */

static int by_hva(const void *a, const void *b, void *slots)
{
	const struct vm_slot *x = (struct vm_slot *)slots + *(const size_t *)a;
	const struct vm_slot *y = (struct vm_slot *)slots + *(const size_t *)b;

	return x->hva < y->hva ? -1 : x->hva > y->hva;
}

/* From @order[@i] on: those that share memory, one with the next. Returns how many. */
static size_t find_shared(const struct memory *memory, const size_t *order, size_t i,
			  uint64_t *bytes, bool *copied)
{
	const uint8_t *begin = memory->slots[order[i]].hva, *end = begin;
	size_t count = 0;

	*copied = false;
	for (; i + count < memory->count; count++) {
		const struct vm_slot *slot = &memory->slots[order[i + count]];

		if (count && slot->hva >= end)
			break;
		if (slot->hva + slot->bytes > end)
			end = slot->hva + slot->bytes;
		*copied |= is_written(slot);
	}
	*bytes = end - begin;
	return count;
}

static void place(struct memory *memory, const size_t *order)
{
	size_t count;

	for (size_t i = 0; i < memory->count; i += count) {
		const uint8_t *begin = memory->slots[order[i]].hva;
		uint64_t bytes;
		bool copied;

		count = find_shared(memory, order, i, &bytes, &copied);
		for (size_t n = i; n < i + count; n++) {
			memory->offsets[order[n]] = !copied ? NOT_COPIED :
				memory->bytes + (memory->slots[order[n]].hva - begin);
			memory->alone[order[n]] = count == 1;
		}
		memory->bytes += copied ? bytes : 0;
	}
}

static int place_all(struct memory *memory)
{
	size_t *order = calloc(memory->count + 1, sizeof(*order));

	memory->offsets = calloc(memory->count + 1, sizeof(*memory->offsets));
	memory->alone = calloc(memory->count + 1, sizeof(*memory->alone));
	if (!order || !memory->offsets || !memory->alone) {
		free(order);
		return -ENOMEM;
	}
	for (size_t i = 0; i < memory->count; i++)
		order[i] = i;
	qsort_r(order, memory->count, sizeof(*order), by_hva, memory->slots);
	place(memory, order);
	free(order);
	return 0;
}

/* --- taking --- */

static int make_file(struct image *image)
{
	void *copy;

	image->fd = memfd_create("vee snapshot", MFD_CLOEXEC);
	if (image->fd < 0)
		return -errno;
	if (ftruncate(image->fd, image->bytes))
		return -errno;
	copy = mmap(NULL, image->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0);
	if (copy == MAP_FAILED)
		return -ENOMEM;
	image->copy = copy;
	return 0;
}

static int make_image(struct memory *memory)
{
	if (!memory->bytes)
		return 0;
	memory->image = calloc(1, sizeof(*memory->image));
	if (!memory->image)
		return -ENOMEM;
	*memory->image = (struct image) { .owners = 1, .bytes = memory->bytes };
	return make_file(memory->image);
}

void image_put(struct image *image)
{
	if (!image || __atomic_sub_fetch(&image->owners, 1, __ATOMIC_ACQ_REL))
		return;
	if (image->copy)
		munmap(image->copy, image->bytes);
	if (image->fd >= 0)
		close(image->fd);
	free(image);
}

/* A page of zeros stays a hole of the file, which costs nothing. */
static void take_slot(uint8_t *copy, const struct vm_slot *slot)
{
	for (uint64_t at = 0; at < slot->bytes; at += PAGE_BYTES)
		if (!page_is_zero(slot->hva + at))
			copy_page(copy + at, slot->hva + at);
}

int memory_take(const struct vee_vm *vm, struct memory *memory)
{
	int err;

	*memory = (struct memory) { };
	err = vm_slots(vm, &memory->slots);
	if (err < 0)
		return err;
	memory->count = err;
	err = place_all(memory);
	if (!err)
		err = make_image(memory);
	for (size_t i = 0; !err && i < memory->count; i++)
		if (memory->offsets[i] != NOT_COPIED)
			take_slot(memory->image->copy + memory->offsets[i],
				  &memory->slots[i]);
	return err;
}

void memory_free(struct memory *memory)
{
	image_put(memory->image);
	free(memory->slots);
	free(memory->offsets);
	free(memory->alone);
}

/* --- what has been written since --- */

#define PAGES	512		/* that are asked for at a time */

static bool is_template(const struct vee_vm *vm, const struct vm_slot *slot)
{
	struct vm_template template;

	return vm_template(vm, slot->gpa, &template);
}

/* Nothing of @slot counts as written from here on. */
static int forget_written(struct vee_vm *vm, const struct vm_slot *slot)
{
	uint64_t pages[PAGES];
	int count;

	do {
		count = vee_vm_dirty_fetch(vm, slot->gpa, slot->bytes, pages, PAGES);
	} while (count == PAGES);
	return count < 0 ? count : 0;
}

int memory_watch(struct vee_vm *vm, const struct memory *memory)
{
	int err = 0;

	for (size_t i = 0; !err && i < memory->count; i++) {
		const struct vm_slot *slot = &memory->slots[i];

		if (!is_written(slot) || is_template(vm, slot))
			continue;
		err = vee_vm_dirty_start(vm, slot->gpa, slot->bytes);
		if (err == -EEXIST)	/* an earlier snapshot's */
			err = forget_written(vm, slot);
	}
	return err;
}

static int put_written(struct vee_vm *vm, const struct vm_slot *slot, const uint8_t *copy)
{
	uint8_t *hva = vee_vm_at(vm, slot->gpa, slot->bytes);
	uint64_t pages[PAGES];
	int count;

	do {
		count = vee_vm_dirty_fetch(vm, slot->gpa, slot->bytes, pages, PAGES);
		for (int i = 0; i < count; i++)
			copy_page(hva + (pages[i] - slot->gpa), copy + (pages[i] - slot->gpa));
	} while (count == PAGES);
	return count < 0 ? count : 0;
}

int memory_put_written(struct vee_vm *vm, const struct memory *memory)
{
	int err = 0;

	for (size_t i = 0; !err && i < memory->count; i++) {
		const struct vm_slot *slot = &memory->slots[i];

		if (!is_written(slot))
			continue;
		err = *vm_fork(vm) ? fork_put_back(vm, slot->gpa) : -ENOENT;
		if (err == -ENOENT)
			err = put_written(vm, slot, memory->image->copy + memory->offsets[i]);
	}
	return err;
}

/* --- putting all of it back --- */

/* What is as it was is not written: it would cost a page where it is shared. */
static void put_slot(uint8_t *hva, const uint8_t *copy, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES)
		if (memcmp(hva + at, copy + at, PAGE_BYTES))
			copy_page(hva + at, copy + at);
}

void memory_put(struct vee_vm *vm, const struct memory *memory)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct vm_slot *slot = &memory->slots[i];

		if (is_written(slot))
			put_slot(vee_vm_at(vm, slot->gpa, slot->bytes),
				 memory->image->copy + memory->offsets[i], slot->bytes);
	}
}
