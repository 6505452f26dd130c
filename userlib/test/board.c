// SPDX-License-Identifier: LGPL-2.1-or-later
#include "board.h"

const uint64_t gdt[GDT_ENTRIES] = {
	0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00cf90000000ffff, 0x00cf12000000ffff,
	0x0000890080000067, 0, 0x000082009000001f, 0, 0x00af9a000000ffff, 0x00cff2000000ffff,
};

struct rig rig;
struct vee_vcpu_page *page;
uint8_t *ram;
uint8_t device[PAGE_BYTES];
unsigned int accesses, rom_writes, fail_access;
_Alignas(PAGE_BYTES) uint64_t rom[PAGE_BYTES / 8];

int touch(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	uint64_t at = gpa - DEVICE_GPA;

	(void)arg;
	if (fail_access && !--fail_access)
		return -EIO;
	if (gpa >= ROM_GPA) {
		rom_writes += write;
		return 0;
	}
	accesses++;
	if (!CHECK(within(at, bytes, sizeof(device))))
		return -EIO;
	move_bytes(device + at, data, bytes, write);
	return 0;
}

void begin(unsigned int mode)
{
	ram = rig_begin_mode(&rig, mode, DEVICE_GPA);
	page = rig.vcpu->page;
	memcpy(ram + GDT_GPA, gdt, sizeof(gdt));
	page->segments.gdtr = (struct vee_table) { .base = GDT_GPA, .limit = sizeof(gdt) - 1 };
	page->events = (struct vee_events) { 0 };
	memset(device, 0, sizeof(device));
	page->regs.rbx = DEVICE_GPA;
	page->regs.rsp = STACK;
}

unsigned int exit_flags;

int run_insn(unsigned int reason, const uint8_t *code, size_t bytes)
{
	accesses = 0;
	memset(&page->exit, 0, sizeof(page->exit));
	page->exit.reason = reason;
	page->exit.flags = exit_flags;
	page->exit.memory = (struct vee_exit_memory) {
		.insn_bytes = bytes, .code_width = test_code_width(page),
	};
	memcpy(page->exit.memory.insn, code, bytes);
	page->resume = VEE_RESUME_HERE;
	page->inject = (struct vee_event) { 0 };
	page->dirty = 0;
	return vee_mmio_assist(rig.vcpu, touch, NULL);
}

uint64_t at(unsigned int offset, unsigned int bytes)
{
	uint64_t value = 0;

	memcpy(&value, device + offset, bytes);
	return value;
}

void put(unsigned int offset, uint64_t value, unsigned int bytes)
{
	memcpy(device + offset, &value, bytes);
}

uint8_t *descriptor_of(uint16_t selector)
{
	return ram + GDT_GPA + (selector & ~7);
}

void put_descriptor(uint16_t selector, uint64_t descriptor)
{
	memcpy(descriptor_of(selector), &descriptor, sizeof(descriptor));
}

void check_done(void)
{
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_NEXT);
}

void check_at(uint64_t rip)
{
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(page->regs.rip, rip);
	CHECK(page->dirty & VEE_STATE_REGS);
}

void check_fault(unsigned int vector, uint32_t error)
{
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE);
	CHECK_EQUAL(page->inject.vector, vector);
	CHECK_EQUAL(page->inject.error_code, error);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	CHECK_EQUAL(page->regs.rip, 0x1000);
}
