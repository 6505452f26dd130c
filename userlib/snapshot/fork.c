// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The memory of a VM that begins as a snapshot: slots whose template is the snapshot's copy,
 * each with a pool as long as itself, so that all of it may be written.
 *
 * What a slot has for a template the kernel has for all of its pages, whether they are
 * written or not, 12 bytes for each: large ones, in which a fork mostly writes little, are
 * private mappings of the copy's file; so are those that share memory with another, of which
 * a write is to be seen in both, and all with a module that knows no templates.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "snapshot.h"

#define TEMPLATE_MOST	(16 * MIB)

/*
 * Pages that were written are copied anew and stay in the pool, so that to write them again
 * takes no exit. So do those that are written no more: up to so many, and up to so many times.
 */
#define KEEP_MOST	64
#define KEEP_TIMES	256

/**
 * struct fork - a fork's memory
 * @image: what it is a copy of
 * @own: of the same layout: pools and private mappings
 * @puts: how often a slot of it was put back
 */
struct fork {
	struct image *image;
	uint8_t *own;
	unsigned int puts;
};

void fork_free(struct fork *fork)
{
	if (!fork)
		return;
	munmap(fork->own, fork->image->bytes);
	image_put(fork->image);
	free(fork);
}

bool fork_owns(const struct fork *fork, const uint8_t *pool)
{
	return fork && (uintptr_t)pool - (uintptr_t)fork->own < fork->image->bytes;
}

/* --- begun --- */

/* A huge page would be as much as many pools. */
static int make_own(struct vee_vm *vm, struct image *image)
{
	struct fork *fork = malloc(sizeof(*fork));
	uint8_t *own;

	if (!fork)
		return -ENOMEM;
	own = mmap(NULL, image->bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (own == MAP_FAILED) {
		free(fork);
		return -ENOMEM;
	}
	madvise(own, image->bytes, MADV_NOHUGEPAGE);
	__atomic_add_fetch(&image->owners, 1, __ATOMIC_RELAXED);
	*fork = (struct fork) { .image = image, .own = own };
	*vm_fork(vm) = fork;
	return 0;
}

static int map_private(struct vee_vm *vm, const struct vm_slot *slot, uint64_t offset)
{
	struct fork *fork = *vm_fork(vm);
	void *own = mmap(fork->own + offset, slot->bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fork->image->fd, offset);

	if (own == MAP_FAILED)
		return -ENOMEM;
	return vee_vm_map(vm, slot->gpa, own, slot->bytes, slot->access);
}

static int map_slot(struct vee_vm *vm, const struct memory *memory, size_t i)
{
	const struct vm_slot *slot = &memory->slots[i];
	const struct fork *fork = *vm_fork(vm);
	uint64_t offset = memory->offsets[i];
	int err = -E2BIG;

	if (offset == NOT_COPIED)
		return vee_vm_map(vm, slot->gpa, slot->hva, slot->bytes, slot->access);
	if (memory->alone[i] && slot->bytes <= TEMPLATE_MOST)
		err = vee_vm_map_template(vm, slot->gpa, fork->image->copy + offset, slot->bytes,
					  fork->own + offset, slot->bytes, slot->access);
	/* It is no template, or the module knows none. */
	return err == -E2BIG ? map_private(vm, slot, offset) : err;
}

int memory_fork(struct vee_vm *vm, const struct memory *memory)
{
	int err = memory->image ? make_own(vm, memory->image) : 0;

	for (size_t i = 0; !err && i < memory->count; i++)
		err = map_slot(vm, memory, i);
	return err;
}

/* --- put back --- */

int fork_put_back(struct vee_vm *vm, uint64_t gpa)
{
	struct fork *fork = *vm_fork(vm);
	unsigned int most = ++fork->puts % KEEP_TIMES ? KEEP_MOST : 0;
	int count = template_put_back(vm, gpa, most);

	return count < 0 ? count : 0;
}

/* --- like any other --- */

/* Its memory, as it is now, from the copy's file and the pool. */
static int copy_slot(const struct vee_vm *vm, const struct fork *fork,
		     const struct vm_slot *slot, uint8_t **memory)
{
	void *copy = mmap(NULL, slot->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
			  fork->image->fd, slot->hva - fork->image->copy);
	int count;

	if (copy == MAP_FAILED)
		return -ENOMEM;
	count = template_copy_out(vm, slot->gpa, copy);
	if (count < 0) {
		munmap(copy, slot->bytes);
		return count;
	}
	*memory = copy;
	return 0;
}

static int settle(struct vee_vm *vm, const struct vm_slot *slot)
{
	uint8_t *memory;
	int err = copy_slot(vm, *vm_fork(vm), slot, &memory);

	if (err)
		return err;
	err = vee_vm_unmap(vm, slot->gpa, slot->bytes);
	if (!err)
		err = vm_map_owned(vm, slot->gpa, memory, slot->bytes, slot->access);
	if (err)
		munmap(memory, slot->bytes);
	else
		madvise(slot->pool, slot->bytes, MADV_DONTNEED);
	return err;
}

int fork_settle(struct vee_vm *vm)
{
	struct fork *fork = *vm_fork(vm);
	struct vm_slot *slots;
	int count, err = 0;

	if (!fork)
		return 0;
	count = vm_all_slots(vm, &slots);
	if (count < 0)
		return count;
	for (int i = 0; i < count && !err; i++)
		if (fork_owns(fork, slots[i].pool))
			err = settle(vm, &slots[i]);
	free(slots);
	return err;
}
