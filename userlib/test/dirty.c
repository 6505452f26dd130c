// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the library asks of the module about dirty pages, and what of its own it marks. */
#include "test.h"

#define RAM_BYTES	0x10000ULL

static struct rig rig;

static void begin(void)
{
	rig_begin(&rig);
	if (vee_vm_alloc(rig.vm, 0x100000, RAM_BYTES, NULL))
		abort();
	fake.marks = 0;
}

static void what_is_asked_for(void)
{
	uint64_t pages[8];

	begin();
	CHECK_EQUAL(vee_vm_dirty_start(rig.vm, 0x100000, RAM_BYTES), 0);
	CHECK(!memcmp(&fake.dirty, &(struct vee_dirty) {
		.size = sizeof(fake.dirty), .operation = VEE_DIRTY_START, .gpa = 0x100000,
		.bytes = RAM_BYTES,
	}, sizeof(fake.dirty)));
	CHECK_EQUAL(vee_vm_dirty_fetch(rig.vm, 0x101000, 0x3000, pages, 8), 3);
	CHECK(!memcmp(&fake.dirty, &(struct vee_dirty) {
		.size = sizeof(fake.dirty), .operation = VEE_DIRTY_FETCH, .gpa = 0x101000,
		.bytes = 0x3000, .pages = (uintptr_t)pages, .room = 8,
	}, sizeof(fake.dirty)));
	CHECK_EQUAL(vee_vm_dirty_bitmap(rig.vm, 0x100000, RAM_BYTES, pages), 3);
	CHECK(!memcmp(&fake.dirty, &(struct vee_dirty) {
		.size = sizeof(fake.dirty), .flags = VEE_DIRTY_BITMAP,
		.operation = VEE_DIRTY_FETCH, .gpa = 0x100000, .bytes = RAM_BYTES,
		.pages = (uintptr_t)pages, .room = RAM_BYTES / PAGE_BYTES,
	}, sizeof(fake.dirty)));
	CHECK_EQUAL(vee_vm_dirty_stop(rig.vm, 0x100000, RAM_BYTES), 0);
	CHECK_EQUAL(fake.dirty.operation, VEE_DIRTY_STOP);
	fake.error = -ENOENT;
	CHECK_EQUAL(vee_vm_dirty_fetch(rig.vm, 0x101000, 0x3000, pages, 8), -ENOENT);
	fake.error = 0;
	rig_end(&rig);
}

/* Whole pages that have any of it. */
static void marks_pages(void)
{
	begin();
	CHECK_EQUAL(vee_vm_dirty_mark(rig.vm, 0x100fff, 2), 0);
	CHECK_EQUAL(fake.dirty.operation, VEE_DIRTY_MARK);
	CHECK_EQUAL(fake.dirty.gpa, 0x100000);
	CHECK_EQUAL(fake.dirty.bytes, 0x2000);
	CHECK_EQUAL(vee_vm_dirty_mark(rig.vm, 0x101000, 0x1000), 0);
	CHECK_EQUAL(fake.dirty.gpa, 0x101000);
	CHECK_EQUAL(fake.dirty.bytes, 0x1000);
	CHECK_EQUAL(vee_vm_dirty_mark(rig.vm, 0x101000, 0), -EINVAL);
	CHECK_EQUAL(vee_vm_dirty_mark(rig.vm, ~0ULL, 2), -EINVAL);
	rig_end(&rig);
}

static void marks_its_writes(void)
{
	uint8_t buf[0x20] = { 0 };

	begin();
	CHECK_EQUAL(vee_vm_write(rig.vm, 0x100ff0, buf, sizeof(buf)), 0);
	CHECK_EQUAL(fake.marks, 0);
	fake.error = -EEXIST;
	CHECK_EQUAL(vee_vm_dirty_start(rig.vm, 0x100000, RAM_BYTES), -EEXIST);
	fake.error = 0;
	CHECK_EQUAL(vee_vm_write(rig.vm, 0x100ff0, buf, sizeof(buf)), 0);
	CHECK_EQUAL(fake.marks, 0);
	CHECK_EQUAL(vee_vm_dirty_start(rig.vm, 0x100000, RAM_BYTES), 0);
	CHECK_EQUAL(vee_vm_write(rig.vm, 0x100ff0, buf, sizeof(buf)), 0);
	CHECK_EQUAL(fake.marks, 1);
	CHECK_EQUAL(fake.dirty.gpa, 0x100000);
	CHECK_EQUAL(fake.dirty.bytes, 0x2000);
	CHECK_EQUAL(vee_vm_read(rig.vm, 0x100ff0, buf, sizeof(buf)), 0);
	CHECK_EQUAL(vee_vm_write(rig.vm, 0, buf, sizeof(buf)), -EFAULT);
	CHECK_EQUAL(fake.marks, 1);
	CHECK_EQUAL(vee_vm_dirty_stop(rig.vm, 0x100000, RAM_BYTES), 0);
	CHECK_EQUAL(vee_vm_write(rig.vm, 0x100ff0, buf, sizeof(buf)), 0);
	CHECK_EQUAL(fake.marks, 1);
	rig_end(&rig);
}

/* MOVSD from a device's memory to two pages. */
static void marks_an_instruction(void)
{
	static const uint8_t movs[] = { 0xa5 };
	struct vee_vcpu_page *page;

	begin();
	page = rig.vcpu->page;
	vee_vcpu_set_protected_mode(rig.vcpu, 0x1000);
	CHECK_EQUAL(vee_vm_dirty_start(rig.vm, 0x100000, RAM_BYTES), 0);
	page->regs.rsi = 0xd0000000;
	page->regs.rdi = 0x102ffe;
	page->exit = (struct vee_exit) {
		.reason = VEE_EXIT_MMIO,
		.memory = {
			.gpa = 0xd0000000, .gva = 0xd0000000, .gva_valid = 1,
			.access = VEE_READ, .insn_bytes = sizeof(movs), .code_width = 4,
		},
	};
	memcpy(page->exit.memory.insn, movs, sizeof(movs));
	page->valid = VEE_STATE_ALL;
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, any_device, NULL), 0);
	CHECK_EQUAL(fake.marks, 2);
	CHECK_EQUAL(fake.dirty.gpa, 0x103000);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "what is asked for", what_is_asked_for },
	{ "whole pages are marked", marks_pages },
	{ "what the library writes is marked", marks_its_writes },
	{ "what an instruction writes is marked", marks_an_instruction },
	{ 0 }
};
