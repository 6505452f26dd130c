// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Far CALL and JMP through call gates, and to tasks, and IRET from a task, with stack or
 * descriptor tables in a device or in a ROM. The right values are the SDM's.
 */
#include "board.h"

#define GATE		0x30	/* in the place of what the board's GDT has not, in 32 bits */
#define GATE_64		0x38	/* 16 bytes */
#define ENTRY_GPA	0x5678U
#define TSS_GPA		0x8000ULL
#define NEW_GPA		0x9000ULL
#define NEW		0x20
#define CALL_GATE	0x8c
#define CALL_GATE_16	0x84
#define TASK_GATE	0x85
#define ANYBODY		0x60	/* DPL 3 */

static void put_gate(uint16_t at, uint16_t selector, uint8_t rights, unsigned int count)
{
	uint64_t gate = (ENTRY_GPA & 0xffff) | (uint64_t)selector << 16 |
			(uint64_t)count << 32 | (uint64_t)rights << 40;

	memcpy(ram + GDT_GPA + at, &gate, sizeof(gate));
}

static void put_target(uint16_t selector)
{
	put(0, 0x1111, 4);
	put(4, selector, 2);
}

/* Its pointer is in the device, and so is the stack. */
static int call(void)
{
	page->regs.rip = 0x1000;
	return RUN(0xff, 0x1b);			/* lcall *(%ebx) */
}

static int jump(void)
{
	page->regs.rip = 0x1000;
	return RUN(0xff, 0x2b);			/* ljmp *(%ebx) */
}

static void check_in(uint16_t selector)
{
	check_at(ENTRY_GPA);
	CHECK_EQUAL(page->segments.cs.selector, selector);
	CHECK_EQUAL(page->segments.cs.access_rights & 1, 1);
	CHECK(page->dirty & VEE_STATE_SEGMENTS);
}

static void be_user(void)
{
	page->segments.cs.selector = 0x0b;
	page->segments.ss.selector = DATA_USER;
	page->segments.ss.access_rights |= VEE_AR_DPL;
	page->segments.tr.base = TSS_GPA;
	page->segments.tr.limit = 0x67;
}

static void calls_at_the_same_level(void)
{
	begin(4);
	page->segments.cs.selector = CODE_32;
	put_gate(GATE, CODE_32, CALL_GATE, 5);
	put_target(GATE);
	CHECK_EQUAL(call(), 0);
	check_in(CODE_32);
	CHECK_EQUAL(page->regs.rsp, STACK - 8);
	CHECK_EQUAL(at(0x7fc, 4), CODE_32);
	CHECK_EQUAL(at(0x7f8, 4), 0x1002);
	/* By a gate of 16 bits. */
	page->regs.rsp = STACK;
	put_gate(GATE, CODE_32, CALL_GATE_16, 0);
	CHECK_EQUAL(call(), 0);
	check_in(CODE_32);
	CHECK_EQUAL(page->regs.rsp, STACK - 4);
	CHECK_EQUAL(at(0x7fc, 4), CODE_32 << 16 | 0x1002);
	page->regs.rsp = STACK;
	CHECK_EQUAL(jump(), 0);
	check_in(CODE_32);
	CHECK_EQUAL(page->regs.rsp, STACK);
	rig_end(&rig);
}

/* Parameters are copied; the flag of what is loaded goes nowhere in a ROM. */
static void calls_of_an_inner_level(void)
{
	begin(4);
	be_user();
	put_gate(GATE, CODE_32, CALL_GATE | ANYBODY, 2);
	memcpy(rom, ram + GDT_GPA, sizeof(gdt));
	CHECK_EQUAL(vee_vm_map(rig.vm, ROM_GPA, rom, PAGE_BYTES, VEE_READ), 0);
	page->segments.gdtr.base = ROM_GPA;
	memcpy(ram + TSS_GPA + 4, &(uint32_t) { 0x7000 }, 4);
	memcpy(ram + TSS_GPA + 8, &(uint16_t) { DATA_32 }, 2);
	put(0x800, 0x11111111, 4);
	put(0x804, 0x22222222, 4);
	put_target(GATE);
	CHECK_EQUAL(call(), 0);
	check_in(CODE_32);
	CHECK_EQUAL(page->segments.ss.selector, DATA_32);
	CHECK_EQUAL(page->segments.ss.access_rights, 0xc093);
	CHECK_EQUAL(page->regs.rsp, 0x7000 - 24);
	CHECK(!memcmp(ram + 0x7000 - 24, (const uint32_t[]) {
		0x1002, 0x0b, 0x11111111, 0x22222222, STACK, DATA_USER }, 24));
	CHECK(!memcmp(rom, ram + GDT_GPA, sizeof(gdt)));
	rig_end(&rig);
}

static void gates_of_64_bits(void)
{
	begin(8);
	put_gate(GATE_64, CODE_64, CALL_GATE, 0);
	memcpy(ram + GDT_GPA + GATE_64 + 8, &(uint64_t) { 0 }, 8);
	put_target(GATE_64);
	CHECK_EQUAL(call(), 0);
	check_in(CODE_64);
	CHECK_EQUAL(page->regs.rsp, STACK - 16);
	CHECK_EQUAL(at(0x7f0, 8), 0x1002);
	/* To an inner level: a null SS, and RSP as it is in the TSS. */
	page->regs.rsp = STACK;
	be_user();
	put_gate(GATE_64, CODE_64, CALL_GATE | ANYBODY, 0);
	memcpy(ram + TSS_GPA + 4, &(uint64_t) { STACK + 8 }, 8);
	CHECK_EQUAL(call(), 0);
	check_in(CODE_64);
	CHECK_EQUAL(page->segments.ss.selector, 0);
	CHECK_EQUAL(page->regs.rsp, STACK - 24);
	CHECK_EQUAL(at(0x800, 8), DATA_USER);
	CHECK_EQUAL(at(0x7f8, 8), STACK);
	CHECK_EQUAL(at(0x7f0, 8), 0x0b);
	CHECK_EQUAL(at(0x7e8, 8), 0x1002);
	rig_end(&rig);
}

static void faults_of_64_bits(void)
{
	begin(8);
	put_gate(GATE_64, CODE_64, CALL_GATE, 0);
	put_target(GATE_64);
	/* The type of the upper half, its end beyond the table, an address of no form. */
	memcpy(ram + GDT_GPA + GATE_64 + 8, &(uint64_t) { 0x100ULL << 32 }, 8);
	CHECK_EQUAL(call(), 0);
	check_fault(13, GATE_64);
	memcpy(ram + GDT_GPA + GATE_64 + 8, &(uint64_t) { 0 }, 8);
	page->segments.gdtr.limit = GATE_64 + 7;
	CHECK_EQUAL(call(), 0);
	check_fault(13, GATE_64);
	page->segments.gdtr.limit = sizeof(gdt) - 1;
	memcpy(ram + GDT_GPA + GATE_64 + 8, &(uint64_t) { 0x800000 }, 8);
	CHECK_EQUAL(call(), 0);
	check_fault(13, 0);
	/* 32-bit code, and what is a gate in 32 bits alone. */
	memcpy(ram + GDT_GPA + GATE_64 + 8, &(uint64_t) { 0 }, 8);
	put_gate(GATE_64, CODE_32, CALL_GATE, 0);
	CHECK_EQUAL(call(), 0);
	check_fault(13, CODE_32);
	put_gate(GATE_64, CODE_64, CALL_GATE_16, 0);
	CHECK_EQUAL(call(), 0);
	check_fault(13, GATE_64);
	rig_end(&rig);
}

static void faults(void)
{
	begin(4);
	be_user();
	put_target(GATE);
	put_gate(GATE, CODE_32, CALL_GATE, 0);		/* for CPL 0 */
	CHECK_EQUAL(call(), 0);
	check_fault(13, GATE);
	put_gate(GATE, CODE_32, (CALL_GATE | ANYBODY) & ~0x80, 0);
	CHECK_EQUAL(call(), 0);
	check_fault(11, GATE);
	put_gate(GATE, 0, CALL_GATE | ANYBODY, 0);
	CHECK_EQUAL(call(), 0);
	check_fault(13, 0);
	put_gate(GATE, DATA_32, CALL_GATE | ANYBODY, 0);
	CHECK_EQUAL(call(), 0);
	check_fault(13, DATA_32);
	/* JMP stays at its level; the inner stack's segment is null. */
	put_gate(GATE, CODE_32, CALL_GATE | ANYBODY, 0);
	CHECK_EQUAL(jump(), 0);
	check_fault(13, CODE_32);
	CHECK_EQUAL(call(), 0);
	check_fault(10, 0);
	page->segments.tr.limit = 5;
	CHECK_EQUAL(call(), 0);
	check_fault(10, page->segments.tr.selector & ~3);
	/* No gate at all. */
	put_target(LDT);
	CHECK_EQUAL(call(), 0);
	check_fault(13, LDT);
	CHECK_EQUAL(ram[GDT_GPA + CODE_32 + 5], 0x9a);
	rig_end(&rig);
}

/* --- tasks --- */

static void put_tss(uint64_t gpa, uint32_t offset, uint32_t value)
{
	memcpy(ram + gpa + offset, &value, sizeof(value));
}

/* The table is the device's, beyond what the stack and the pointer take. */
static void begin_tasks(void)
{
	uint64_t new = 0x0000890000000067 | NEW_GPA << 16;

	begin(4);
	put_descriptor(NEW, new);
	put_gate(GATE, NEW, TASK_GATE, 0);
	memcpy(device + 0xc00, ram + GDT_GPA, sizeof(gdt));
	device[0xc00 + TSS + 5] |= 2;			/* busy */
	page->segments.gdtr.base = DEVICE_GPA + 0xc00;
	page->segments.tr.selector = TSS;
	page->segments.tr.base = TSS_GPA;
	page->segments.tr.limit = 0x67;
	page->segments.tr.access_rights = 0x8b;
	put_tss(NEW_GPA, 0x20, ENTRY_GPA);
	put_tss(NEW_GPA, 0x24, RFLAGS_1);
	put_tss(NEW_GPA, 0x38, 0x7000);
	put_tss(NEW_GPA, 0x4c, CODE_32);
	put_tss(NEW_GPA, 0x50, DATA_32);
}

static void check_task(uint64_t rflags)
{
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(page->regs.rip, ENTRY_GPA);
	CHECK_EQUAL(page->regs.rflags, rflags);
	CHECK_EQUAL(page->segments.tr.selector, NEW);
	CHECK_EQUAL(device[0xc00 + NEW + 5], 0x8b);
	CHECK(!memcmp(ram + TSS_GPA + 0x20, &(uint32_t) { 0x1002 }, 4));
}

static void tasks(void)
{
	begin_tasks();
	put_target(NEW);
	CHECK_EQUAL(jump(), 0);
	check_task(RFLAGS_1);
	CHECK_EQUAL(device[0xc00 + TSS + 5], 0x89);
	rig_end(&rig);
	begin_tasks();
	put_target(GATE);
	CHECK_EQUAL(call(), 0);
	check_task(RFLAGS_1 | RFLAGS_NT);
	CHECK_EQUAL(device[0xc00 + TSS + 5], 0x8b);
	CHECK(!memcmp(ram + NEW_GPA, &(uint16_t) { TSS }, 2));
	rig_end(&rig);
}

static void returns_to_a_task(void)
{
	begin_tasks();
	device[0xc00 + NEW + 5] |= 2;
	put_tss(TSS_GPA, 0, NEW);
	page->regs.rip = 0x1001;
	page->regs.rflags = RFLAGS_1 | RFLAGS_NT;
	CHECK_EQUAL(RUN(0xcf), 0);			/* iret */
	check_task(RFLAGS_1);
	CHECK_EQUAL(device[0xc00 + TSS + 5], 0x89);
	rig_end(&rig);
	/* No task that is busy; and in IA-32e mode there is none at all. */
	begin_tasks();
	put_tss(TSS_GPA, 0, NEW);
	page->regs.rflags = RFLAGS_1 | RFLAGS_NT;
	CHECK_EQUAL(RUN(0xcf), 0);
	check_fault(10, NEW);
	rig_end(&rig);
	begin(8);
	page->regs.rflags = RFLAGS_1 | RFLAGS_NT;
	CHECK_EQUAL(RUN(0x48, 0xcf), 0);
	check_fault(13, 0);
	rig_end(&rig);
}

static void faults_of_tasks(void)
{
	begin_tasks();
	put_target(NEW);
	be_user();
	CHECK_EQUAL(jump(), 0);				/* for CPL 0 */
	check_fault(13, NEW);
	put_target(GATE);
	CHECK_EQUAL(jump(), 0);
	check_fault(13, GATE);
	rig_end(&rig);
	begin_tasks();
	put_target(TSS);
	CHECK_EQUAL(jump(), 0);				/* busy */
	check_fault(13, TSS);
	rig_end(&rig);
	/* A task in the device can't be. */
	begin_tasks();
	memcpy(device + 0xc00 + NEW, &(uint64_t) { 0x0000892000000067 }, 8);
	put_target(NEW);
	CHECK_EQUAL(jump(), -EOPNOTSUPP);
	CHECK_EQUAL(page->segments.tr.selector, TSS);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "calls through a gate at the same level", calls_at_the_same_level },
	{ "calls of an inner level", calls_of_an_inner_level },
	{ "gates of 64 bits", gates_of_64_bits },
	{ "faults of 64 bits", faults_of_64_bits },
	{ "faults of call gates", faults },
	{ "tasks", tasks },
	{ "returns to a task", returns_to_a_task },
	{ "faults of tasks", faults_of_tasks },
	{ 0 }
};
