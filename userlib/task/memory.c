// SPDX-License-Identifier: LGPL-2.1-or-later
/* Guest memory in the course of a switch: what is written can be taken back. */
#include "task.h"

/* What is written to memory that the guest may only read goes nowhere. */
static int check_parts(const struct guest_span *span)
{
	for (unsigned int i = 0; i < span->count; i++)
		if (!span->part[i].read)
			return -EFAULT;
	return 0;
}

static int find(struct task *task, uint32_t gva, unsigned int bytes,
		unsigned int access, struct guest_span *span)
{
	int err = guest_find(&task->guest, gva, bytes, access, span);

	return err ? err : check_parts(span);
}

int task_probe(struct task *task, uint32_t gva, unsigned int bytes,
	       unsigned int access)
{
	struct guest_span span;

	return find(task, gva, bytes, access | GUEST_IMPLICIT, &span);
}

int task_probe_byte(struct task *task, uint32_t gva)
{
	struct guest_span span;
	int err = guest_find(&task->guest, gva, 1, VEE_WRITE | GUEST_IMPLICIT, &span);

	return err || task->guest.fn ? err : check_parts(&span);
}

int task_read(struct task *task, uint32_t gva, void *data, unsigned int bytes)
{
	return guest_read_at(&task->guest, gva, data, bytes);
}

static void keep(struct task *task, uint64_t gpa, uint8_t *hva, unsigned int bytes)
{
	while (bytes) {
		struct undo *undo = &task->undo[task->undo_count++];

		undo->gpa = gpa;
		undo->hva = hva;
		undo->bytes = min_u64(bytes, sizeof(undo->before));
		memcpy(undo->before, hva, undo->bytes);
		gpa += undo->bytes;
		hva += undo->bytes;
		bytes -= undo->bytes;
	}
}

int task_write(struct task *task, uint32_t gva, const void *data,
	       unsigned int bytes, unsigned int by)
{
	struct guest_span span;
	const uint8_t *from = data;
	int err = find(task, gva, bytes, VEE_WRITE | by, &span);

	if (err)
		return err;
	for (unsigned int i = 0; i < span.count; i++) {
		const struct guest_part *part = &span.part[i];

		if (part->write) {
			keep(task, part->gpa, part->write, part->bytes);
			memcpy(part->write, from, part->bytes);
			vm_mark(task->guest.vcpu->vm, part->gpa, part->bytes);
		}
		from += part->bytes;
	}
	return 0;
}

/* A device's can't be taken back; what the guest may only read stays as it is. */
static int set_device_byte(struct task *task, const struct guest_span *span, uint8_t clear,
			   uint8_t set)
{
	uint8_t byte;
	int err;

	if (span->part[0].read)
		return 0;
	err = guest_read(&task->guest, span, &byte, 1);
	byte = (byte & ~clear) | set;
	return err ? err : guest_write(&task->guest, span, &byte, 1);
}

int task_set_byte(struct task *task, uint32_t gva, uint8_t clear, uint8_t set)
{
	struct guest_span span;
	int err = guest_find(&task->guest, gva, 1, VEE_WRITE | GUEST_IMPLICIT, &span);
	uint8_t *hva;

	if (err)
		return err;
	hva = span.part[0].write;
	if (!hva)
		return set_device_byte(task, &span, clear, set);
	keep(task, span.part[0].gpa, hva, 1);
	__atomic_fetch_and(hva, (uint8_t)~clear, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(hva, set, __ATOMIC_SEQ_CST);
	vm_mark(task->guest.vcpu->vm, span.part[0].gpa, 1);
	return 0;
}

void task_undo(struct task *task)
{
	while (task->undo_count) {
		const struct undo *undo = &task->undo[--task->undo_count];

		memcpy(undo->hva, undo->before, undo->bytes);
		vm_mark(task->guest.vcpu->vm, undo->gpa, undo->bytes);
	}
}
