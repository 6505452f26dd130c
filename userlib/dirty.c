// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which pages of a VM's memory were written. */
#include "internal.h"

static int request(const struct vee_vm *vm, struct vee_dirty *dirty)
{
	dirty->size = sizeof(*dirty);
	return vee_request(vee_vm_fd(vm), VEE_VM_DIRTY, dirty);
}

static int request_range(const struct vee_vm *vm, unsigned int operation, uint64_t gpa,
			 uint64_t bytes)
{
	struct vee_dirty dirty = { .operation = operation, .gpa = gpa, .bytes = bytes };

	return request(vm, &dirty);
}

/* What the library writes meanwhile is marked: better once too often. */
int vee_vm_dirty_start(struct vee_vm *vm, uint64_t gpa, size_t bytes)
{
	int err;

	__atomic_fetch_add(vm_dirty_ranges(vm), 1, __ATOMIC_SEQ_CST);
	err = request_range(vm, VEE_DIRTY_START, gpa, bytes);
	if (err)
		__atomic_fetch_sub(vm_dirty_ranges(vm), 1, __ATOMIC_SEQ_CST);
	return err;
}

int vee_vm_dirty_stop(struct vee_vm *vm, uint64_t gpa, size_t bytes)
{
	int err = request_range(vm, VEE_DIRTY_STOP, gpa, bytes);

	if (!err)
		__atomic_fetch_sub(vm_dirty_ranges(vm), 1, __ATOMIC_SEQ_CST);
	return err;
}

int vee_vm_dirty_fetch(struct vee_vm *vm, uint64_t gpa, size_t bytes, uint64_t *pages,
		       size_t room)
{
	struct vee_dirty dirty = {
		.operation = VEE_DIRTY_FETCH,
		.gpa = gpa,
		.bytes = bytes,
		.pages = (uintptr_t)pages,
		.room = room,
	};

	return request(vm, &dirty);
}

int vee_vm_dirty_bitmap(struct vee_vm *vm, uint64_t gpa, size_t bytes, uint64_t *bitmap)
{
	struct vee_dirty dirty = {
		.flags = VEE_DIRTY_BITMAP,
		.operation = VEE_DIRTY_FETCH,
		.gpa = gpa,
		.bytes = bytes,
		.pages = (uintptr_t)bitmap,
		.room = bytes / PAGE_BYTES,
	};

	return request(vm, &dirty);
}

int vee_vm_dirty_mark(const struct vee_vm *vm, uint64_t gpa, size_t bytes)
{
	uint64_t first = gpa & ~PAGE_OFFSET;

	if (!bytes || gpa + (bytes - 1) < gpa)
		return -EINVAL;
	return request_range(vm, VEE_DIRTY_MARK, first,
			     ((gpa + (bytes - 1)) | PAGE_OFFSET) + 1 - first);
}

void vm_mark(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes)
{
	if (bytes && __atomic_load_n(vm_dirty_ranges((struct vee_vm *)vm), __ATOMIC_SEQ_CST))
		vee_vm_dirty_mark(vm, gpa, bytes);
}
