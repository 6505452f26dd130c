// SPDX-License-Identifier: LGPL-2.1-or-later
/* The guest's memory, as its tables have it or by guest-physical address. */
#include "gdb.h"

int memory_rip(struct vee_gdb *gdb, uint64_t *gva)
{
	const struct vee_vcpu_page *page = gdb->cpu->vcpu->page;
	int err = vee_vcpu_sync(gdb->cpu->vcpu, VEE_STATE_REGS | VEE_STATE_SEGMENTS |
				VEE_STATE_CONTROL);

	if (err)
		return err;
	*gva = page->regs.rip;
	if (!(page->control.efer & EFER_LMA && page->segments.cs.access_rights & VEE_AR_L))
		*gva = (uint32_t)(*gva + page->segments.cs.base);
	return 0;
}

int memory_find(struct vee_gdb *gdb, uint64_t gva, uint64_t *gpa)
{
	struct vee_translate at;
	int err;

	*gpa = gva;
	if (gdb->physical)
		return 0;
	do {
		err = vee_vcpu_translate(gdb->cpu->vcpu, gva, &at);
	} while (err == -EINTR);
	if (!err)
		*gpa = at.gpa;
	return err == -ENOENT ? -EFAULT : err;
}

/* What lies in the page of @gva. */
static size_t in_page(uint64_t gva, size_t count)
{
	return min_u64(count, PAGE_BYTES - (gva & PAGE_OFFSET));
}

ssize_t memory_read(struct vee_gdb *gdb, uint64_t gva, uint8_t *bytes, size_t count)
{
	size_t done = 0;

	while (done < count) {
		size_t now = in_page(gva + done, count - done);
		uint64_t gpa;
		int err = memory_find(gdb, gva + done, &gpa);

		if (!err)
			err = vee_vm_read(gdb->cpu->vcpu->vm, gpa, bytes + done, now);
		if (err)
			return done ? (ssize_t)done : err;
		break_hide(gdb, gpa, bytes + done, now);
		done += now;
	}
	return done;
}

int memory_write(struct vee_gdb *gdb, uint64_t gva, const uint8_t *bytes, size_t count)
{
	uint8_t copy[PAGE_BYTES];

	for (size_t done = 0; done < count; ) {
		size_t now = in_page(gva + done, count - done);
		uint64_t gpa;
		int err = memory_find(gdb, gva + done, &gpa);

		/* A ROM's may not be the caller's to write either. */
		if (!err && !vm_at_for(gdb->cpu->vcpu->vm, gpa, now, VEE_WRITE))
			err = -EFAULT;
		if (err)
			return err;
		memcpy(copy, bytes + done, now);
		break_keep(gdb, gpa, copy, now);
		vee_vm_write(gdb->cpu->vcpu->vm, gpa, copy, now);
		done += now;
	}
	return 0;
}
