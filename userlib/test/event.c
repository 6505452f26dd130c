// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Events that libvee delivers, in all modes: the handler, its stack, and every fault on
 * the way. The right values are the SDM's.
 */
#include "board.h"

#define TSS_GPA		0x8000ULL
#define VECTOR		0x21

/* An exit in delivering: nothing is done of the instruction. */
static int deliver_flagged(struct vee_event event, unsigned int flags)
{
	int err;

	page->events.delivering = event;
	page->exit.reason = VEE_EXIT_MEMORY;
	page->exit.flags = VEE_EXIT_EVENT_PENDING | flags;
	page->exit.memory = (struct vee_exit_memory) {
		.access = VEE_WRITE, .error = -EACCES, .code_width = test_code_width(page),
	};
	page->resume = VEE_RESUME_HERE;
	page->inject = (struct vee_event) { 0 };
	page->dirty = 0;
	err = vee_mmio_assist(rig.vcpu, touch, NULL);
	page->exit.flags = 0;
	return err;
}

static int deliver(struct vee_event event)
{
	return deliver_flagged(event, 0);
}

static const struct vee_event interrupt = {
	.vector = VECTOR, .type = VEE_EVENT_INTERRUPT, .flags = VEE_EVENT_VALID,
};

static void put_gate(unsigned int vector, uint16_t selector, uint8_t rights, bool wide)
{
	uint64_t gate[2] = { 0x5000 | selector << 16 | (uint64_t)rights << 40, 0 };
	unsigned int bytes = wide ? 16 : 8;

	memcpy(ram + IDT_GPA + vector * bytes, gate, bytes);
	page->segments.idtr = (struct vee_table) { .base = IDT_GPA, .limit = 0xfff };
}

static void check_entered(uint16_t cs)
{
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->regs.rip, 0x5000);
	CHECK_EQUAL(page->segments.cs.selector, cs);
	CHECK_EQUAL(page->segments.cs.access_rights & 1, 1);
	CHECK_EQUAL(page->events.delivering.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(page->dirty & (VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_EVENTS),
		    VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_EVENTS);
}

/* A GDT in a ROM, and a stack in the device. */
static void events_in_64bit_mode(void)
{
	begin(8);
	memcpy(rom, gdt, sizeof(gdt));
	CHECK_EQUAL(vee_vm_map(rig.vm, ROM_GPA, rom, PAGE_BYTES, VEE_READ), 0);
	page->segments.gdtr.base = ROM_GPA;
	put_gate(VECTOR, CODE_64, 0x8e, true);
	page->regs.rsp = STACK + 4;
	page->regs.rflags = RFLAGS_1 | RFLAGS_IF | RFLAGS_TF;
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_64);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1);
	CHECK_EQUAL(page->regs.rsp, STACK - 40);
	CHECK_EQUAL(at(0x7f8, 8), page->segments.ss.selector);
	CHECK_EQUAL(at(0x7f0, 8), STACK + 4);
	CHECK_EQUAL(at(0x7e8, 8), RFLAGS_1 | RFLAGS_IF | RFLAGS_TF);
	CHECK_EQUAL(at(0x7d8, 8), 0x1000);
	CHECK(!memcmp(rom, gdt, sizeof(gdt)));
	/* A fault with an error code, from CPL 3. */
	put_gate(13, CODE_64, 0x8f, true);
	page->segments.tr.base = TSS_GPA;
	memcpy(ram + TSS_GPA + 4, &(uint64_t) { STACK }, 8);
	page->segments.cs.selector = 0x4b;
	page->segments.ss.selector = DATA_USER;
	page->segments.ss.access_rights |= VEE_AR_DPL;
	page->regs.rip = 0x1234;
	CHECK_EQUAL(deliver((struct vee_event) {
		.vector = 13, .type = VEE_EVENT_EXCEPTION, .error_code = 0x18,
		.flags = VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE }), 0);
	check_entered(CODE_64);
	CHECK_EQUAL(page->segments.ss.selector, 0);
	CHECK_EQUAL(page->segments.ss.access_rights & VEE_AR_DPL, 0);
	CHECK_EQUAL(page->regs.rsp, STACK - 48);
	CHECK_EQUAL(at(0x7f8, 8), DATA_USER);
	CHECK_EQUAL(at(0x7e8, 8), RFLAGS_1 | RFLAGS_RF);
	CHECK_EQUAL(at(0x7e0, 8), 0x4b);
	CHECK_EQUAL(at(0x7d8, 8), 0x1234);
	CHECK_EQUAL(at(0x7d0, 8), 0x18);
	rig_end(&rig);
}

static void events_in_protected_mode(void)
{
	struct vee_event event = {
		.vector = VECTOR, .type = VEE_EVENT_SOFT_INTERRUPT,
		.flags = VEE_EVENT_VALID, .instruction_length = 2,
	};

	begin(4);
	put_gate(VECTOR, CODE_32, 0x8f, false);
	CHECK_EQUAL(deliver(event), 0);
	check_entered(CODE_32);
	CHECK_EQUAL(ram[GDT_GPA + CODE_32 + 5], 0x9b);
	CHECK_EQUAL(page->regs.rsp, STACK - 12);
	CHECK_EQUAL(at(0x7f4, 4), 0x1002);
	/* INT n through a gate of DPL 0 from CPL 3; an interrupt goes, to another stack. */
	page->regs.rip = 0x1000;
	page->segments.cs.selector = 0x0b;
	page->segments.ss.access_rights |= VEE_AR_DPL;
	CHECK_EQUAL(deliver(event), 0);
	check_fault(13, VECTOR * 8 + 2);
	CHECK_EQUAL(page->events.delivering.flags, 0);
	page->segments.tr.base = TSS_GPA;
	memcpy(ram + TSS_GPA + 4, &(uint32_t) { STACK }, 4);
	memcpy(ram + TSS_GPA + 8, &(uint16_t) { DATA_32 }, 2);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_32);
	CHECK_EQUAL(page->segments.ss.selector, DATA_32);
	CHECK_EQUAL(page->regs.rsp, STACK - 20);
	CHECK_EQUAL(at(0x7ec, 4), 0x1000);
	rig_end(&rig);
}

static void events_in_real_mode(void)
{
	static const struct vee_event gp = {
		.vector = 13, .type = VEE_EVENT_EXCEPTION, .flags = VEE_EVENT_VALID,
	};
	uint64_t flags = RFLAGS_1 | RFLAGS_IF | RFLAGS_TF | RFLAGS_DF;

	begin(2);
	memcpy(ram + VECTOR * 4, "\x78\x56\x34\x12", 4);
	page->segments.idtr = (struct vee_table) { .limit = 0x3ff };
	page->segments.cs.selector = 0x100;
	page->segments.cs.base = 0x1000;
	page->segments.ss.base = DEVICE_GPA;
	page->regs.rip = 0x234;
	page->regs.rsp = 0xabcd0006;
	page->regs.rflags = flags;
	CHECK_EQUAL(deliver(interrupt), 0);
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(page->regs.rip, 0x5678);
	CHECK_EQUAL(page->regs.rsp, 0xabcd0000);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_DF);
	CHECK_EQUAL(page->segments.cs.selector, 0x1234);
	CHECK_EQUAL(page->segments.cs.base, 0x12340);
	CHECK_EQUAL(page->segments.ss.base, DEVICE_GPA);
	CHECK_EQUAL(page->events.delivering.flags, 0);
	CHECK_EQUAL(at(0, 2), 0x234);
	CHECK_EQUAL(at(2, 2), 0x100);
	CHECK_EQUAL(at(4, 2), flags);
	/* No vector: #GP, and for that again #DF, none of them with a code. */
	page->segments.idtr.limit = VECTOR * 4 + 2;
	CHECK_EQUAL(deliver(interrupt), 0);
	CHECK_EQUAL(page->inject.vector, 13);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	page->segments.idtr.limit = 13 * 4;
	CHECK_EQUAL(deliver(gp), 0);
	CHECK_EQUAL(page->inject.vector, 8);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	rig_end(&rig);
}

/* SDM 3A, "Double Fault Exception" */
static void faults_of_events(void)
{
	struct vee_event event = {
		.vector = 13, .type = VEE_EVENT_EXCEPTION, .error_code = 8,
		.flags = VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE,
	};

	begin(4);
	put_gate(VECTOR, CODE_32, 0x0f, false);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(11, VECTOR * 8 + 3);
	CHECK_EQUAL(deliver(event), 0);
	check_fault(8, 0);
	event.vector = 8;
	CHECK_EQUAL(deliver(event), -EOPNOTSUPP);
	CHECK_EQUAL(page->inject.flags, 0);
	/* The handler's code is not there. */
	put_gate(VECTOR, CODE_32, 0x8f, false);
	ram[GDT_GPA + CODE_32 + 5] &= ~0x80;
	page->events.interrupt = (struct vee_event) { 0 };
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(11, CODE_32 | 1);
	CHECK_EQUAL(page->events.interrupt.vector, VECTOR);
	rig_end(&rig);
}

/* --- stacks that can't be --- */

#define TSS_LIMIT	0x67

/* Code of CPL 3, and in the TSS the stack of level 0. */
static void begin_user(unsigned int mode)
{
	begin(mode);
	page->segments.cs.selector |= 3;
	page->segments.ss.selector = DATA_USER;
	page->segments.ss.access_rights |= VEE_AR_DPL;
	page->segments.tr.selector = TSS;
	page->segments.tr.base = TSS_GPA;
	page->segments.tr.limit = TSS_LIMIT;
	put_gate(VECTOR, mode == 8 ? CODE_64 : CODE_32, 0xee, mode == 8);
	memcpy(ram + TSS_GPA + 4, &(uint64_t) { STACK }, 8);
	if (mode != 8)
		memcpy(ram + TSS_GPA + 8, &(uint16_t) { DATA_32 }, 2);
}

static void try_inner_stack(uint16_t selector, unsigned int vector, uint32_t error)
{
	memcpy(ram + TSS_GPA + 8, &selector, 2);
	test_case("SS %#x", selector);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(vector, error);
	CHECK_EQUAL(page->events.interrupt.vector, VECTOR);
	page->events.interrupt = (struct vee_event) { 0 };
	test_case("%s", "");
}

/* SDM 2, "INT n", INTER-PRIVILEGE-LEVEL-INTERRUPT: EXT is 1 of what is not INT n. */
static void inner_stacks(void)
{
	static const struct vee_event software = {
		.vector = VECTOR, .type = VEE_EVENT_SOFT_INTERRUPT, .flags = VEE_EVENT_VALID,
		.instruction_length = 2,
	};

	begin_user(4);
	try_inner_stack(0, 10, 1);
	try_inner_stack(3, 10, 1);
	try_inner_stack(DATA_32 | 1, 10, DATA_32 | 1);
	try_inner_stack(DATA_USER & ~3, 10, (DATA_USER & ~3) | 1);
	try_inner_stack(READ_ONLY, 10, READ_ONLY | 1);
	try_inner_stack(CODE_32, 10, CODE_32 | 1);
	try_inner_stack(LDT, 10, LDT | 1);
	try_inner_stack(0x100, 10, 0x101);
	try_inner_stack(4, 10, 5);
	try_inner_stack(NOT_PRESENT, 12, NOT_PRESENT | 1);
	memcpy(ram + TSS_GPA + 8, &(uint16_t) { 0 }, 2);
	CHECK_EQUAL(deliver(software), 0);
	check_fault(10, 0);
	/* The TSS ends before it. */
	page->segments.tr.limit = 8;
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(10, TSS | 1);
	page->segments.tr.limit = 9;
	memcpy(ram + TSS_GPA + 8, &(uint16_t) { DATA_32 }, 2);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_32);
	rig_end(&rig);
}

/* Data of level 0 from 0 up to @limit, or what is above. */
#define SMALL(limit)	(0x0040920000000000 | (limit))
#define DOWN(limit)	(0x0040960000000000 | (limit))

static void try_room(uint64_t descriptor, uint32_t esp, bool fits)
{
	put_descriptor(DATA_32, descriptor);
	memcpy(ram + TSS_GPA + 4, &esp, 4);
	test_case("ESP %#x", esp);
	page->regs.rip = 0x1000;
	CHECK_EQUAL(deliver(interrupt), 0);
	if (fits)
		CHECK_EQUAL(page->regs.rsp, (uint32_t)(esp - 20));
	else
		check_fault(12, DATA_32 | 1);
	test_case("%s", "");
	rig_end(&rig);
	begin_user(4);
}

/* Room for five items of 4 bytes. */
static void room_on_inner_stacks(void)
{
	begin_user(4);
	try_room(SMALL(0x5fff), 0x6000, true);
	try_room(SMALL(0x5ffe), 0x6000, false);
	try_room(SMALL(0x5fff), 20, true);
	try_room(SMALL(0x5fff), 16, false);
	try_room(DOWN(0x5fff), 0x6014, true);
	try_room(DOWN(0x5fff), 0x6010, false);
	memset(ram + 0x5fe0, 0xcc, 0x20);
	memcpy(ram + TSS_GPA + 4, &(uint32_t) { 0x6000 }, 4);
	put_descriptor(DATA_32, DOWN(0x5fef));
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(12, DATA_32 | 1);
	CHECK_EQUAL(ram[0x5ffc], 0xcc);		/* nothing was pushed... */
	CHECK_EQUAL(descriptor_of(CODE_32)[5], 0x9a);	/* ... and nothing loaded */
	CHECK_EQUAL(descriptor_of(DATA_32)[5], 0x96);
	rig_end(&rig);
}

static void room_on_the_same_stack(void)
{
	begin(4);
	put_gate(VECTOR, CODE_32, 0x8e, false);
	page->segments.ss.limit = 0x5fff;
	page->regs.rsp = 0x6001;
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(12, 1);
	page->regs.rsp = 8;
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(12, 1);
	/* By a gate of 16 bits there is enough. */
	put_gate(VECTOR, CODE_32, 0x86, false);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_32);
	CHECK_EQUAL(page->regs.rsp, 2);
	rig_end(&rig);
	/* Real mode: SP of 1 has 1 byte at the top. */
	begin(2);
	page->segments.idtr = (struct vee_table) { .limit = 0x3ff };
	page->segments.ss.base = DEVICE_GPA;
	page->regs.rsp = 1;
	CHECK_EQUAL(deliver(interrupt), 0);
	CHECK_EQUAL(page->inject.vector, 12);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	rig_end(&rig);
}

static void stacks_in_64bit_mode(void)
{
	begin(8);
	put_gate(VECTOR, CODE_64, 0x8e, true);
	page->regs.rsp = 0x800000000000 + 32;
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(12, 1);
	rig_end(&rig);
	begin_user(8);
	memcpy(ram + TSS_GPA + 4, &(uint64_t) { 1ULL << 63 }, 8);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(12, 1);
	page->segments.tr.limit = 10;
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(10, TSS | 1);
	rig_end(&rig);
}

/* Of the same level the stack is the program's, to which the level counts. */
static void stacks_of_programs(void)
{
	begin_user(8);
	*fake_entry(DEVICE_GPA, 1) &= ~ENTRY_USER;
	put_descriptor(CODE_64, 0x00affa000000ffff);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(14, 7);
	CHECK_EQUAL(page->control.cr2, STACK - 8);
	/* An inner one is the system's. */
	put_descriptor(CODE_64, 0x00af9a000000ffff);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_64);
	rig_end(&rig);
	begin_user(4);
	put_descriptor(CODE_32, 0x00cffa000000ffff);
	page->control.cr0 |= CR0_AM;
	page->regs.rflags |= RFLAGS_AC;
	page->regs.rsp = STACK + 2;
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(17, 1);
	rig_end(&rig);
}

static void handlers_out_of_reach(void)
{
	begin(4);
	put_gate(VECTOR, CODE_32, 0x8e, false);
	put_descriptor(CODE_32, 0x00409a0000004fff);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(13, 1);
	put_descriptor(CODE_32, 0x00409a0000005000);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_32);
	rig_end(&rig);
	begin(8);
	put_gate(VECTOR, CODE_64, 0x8e, true);
	memcpy(ram + IDT_GPA + VECTOR * 16 + 8, &(uint32_t) { 0x8000 }, 4);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(13, 1);
	rig_end(&rig);
}

/* --- task gates --- */

#define NEW_TSS		0x30
#define NEW_TSS_GPA	0x9000
#define TASK_STACK	0x7000
#define TASK_GATE	0x85

static void put_field(unsigned int at, uint32_t value)
{
	memcpy(ram + NEW_TSS_GPA + at, &value, sizeof(value));
}

static uint32_t get_field(uint64_t tss, unsigned int at)
{
	uint32_t value;

	memcpy(&value, ram + tss + at, sizeof(value));
	return value;
}

static void put_tasks(void)
{
	put_descriptor(TSS, 0x00008b0080000067);
	put_descriptor(NEW_TSS, 0x0000890090000067);
	page->segments.tr.selector = TSS;
	page->segments.tr.base = TSS_GPA;
	put_field(0x20, 0x5000);	/* EIP */
	put_field(0x24, RFLAGS_1);
	put_field(0x38, TASK_STACK);
	put_field(0x4c, CODE_32);
	put_field(0x50, DATA_32);
	put_gate(VECTOR, NEW_TSS, TASK_GATE, false);
}

static void begin_task(void)
{
	begin(4);
	put_tasks();
}

static void check_switched(void)
{
	check_entered(CODE_32);
	CHECK_EQUAL(page->segments.tr.selector, NEW_TSS);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_NT);
	CHECK_EQUAL(get_field(NEW_TSS_GPA, 0), TSS);
}

static void task_gates(void)
{
	struct vee_event fault = {
		.vector = VECTOR, .type = VEE_EVENT_EXCEPTION, .error_code = 0x1234,
		.flags = VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE,
	};

	begin_task();
	CHECK_EQUAL(deliver(fault), 0);
	check_switched();
	CHECK_EQUAL(page->regs.rsp, TASK_STACK - 4);
	CHECK_EQUAL(ram[TASK_STACK - 4] | ram[TASK_STACK - 3] << 8, 0x1234);
	CHECK_EQUAL(get_field(TSS_GPA, 0x20), 0x1000);
	CHECK_EQUAL(descriptor_of(NEW_TSS)[5], 0x8b);
	rig_end(&rig);
	/* IDT and GDT in a device; INT n goes on behind. */
	begin_task();
	memcpy(device, ram + IDT_GPA, 0x200);
	memcpy(device + 0x400, ram + GDT_GPA, sizeof(gdt));
	page->segments.idtr.base = DEVICE_GPA;
	page->segments.gdtr.base = DEVICE_GPA + 0x400;
	CHECK_EQUAL(deliver((struct vee_event) {
		.vector = VECTOR, .type = VEE_EVENT_SOFT_INTERRUPT, .flags = VEE_EVENT_VALID,
		.instruction_length = 2 }), 0);
	check_switched();
	CHECK_EQUAL(get_field(TSS_GPA, 0x20), 0x1002);
	CHECK_EQUAL(device[0x400 + NEW_TSS + 5], 0x8b);
	rig_end(&rig);
}

static void faults_of_task_gates(void)
{
	begin_task();
	/* Not a TSS, then a busy one: SDM 3A, "Task Switching". */
	put_gate(VECTOR, DATA_32, TASK_GATE, false);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(13, DATA_32 | 1);
	CHECK_EQUAL(page->events.delivering.flags, 0);
	CHECK_EQUAL(page->events.interrupt.vector, VECTOR);
	put_gate(VECTOR, TSS, TASK_GATE, false);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(13, TSS | 1);
	put_gate(VECTOR, NEW_TSS, TASK_GATE & ~0x80, false);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(11, VECTOR * 8 | 3);
	/* The gate is for CPL 0. */
	put_gate(VECTOR, NEW_TSS, TASK_GATE, false);
	page->segments.ss.access_rights |= VEE_AR_DPL;
	CHECK_EQUAL(deliver((struct vee_event) {
		.vector = VECTOR, .type = VEE_EVENT_SOFT_INTERRUPT, .flags = VEE_EVENT_VALID,
		.instruction_length = 2 }), 0);
	check_fault(13, VECTOR * 8 | 2);
	rig_end(&rig);
	/* A task in a device can't be. */
	begin_task();
	put_descriptor(NEW_TSS, 0x0000892000000067);
	CHECK_EQUAL(deliver(interrupt), -EOPNOTSUPP);
	CHECK_EQUAL(page->segments.tr.selector, TSS);
	CHECK_EQUAL(page->events.delivering.vector, VECTOR);
	rig_end(&rig);
}

/* --- virtual-8086 mode --- */

static void set_8086_segment(struct vee_segment *segment, uint16_t selector)
{
	*segment = (struct vee_segment) {
		.selector = selector, .base = selector << 4, .limit = 0xffff,
		.access_rights = 0xf3,
	};
}

/* The stack of the 8086 program, and at STACK that of level 0, are in the device. */
static void begin_8086(unsigned int iopl)
{
	begin_user(4);
	set_8086_segment(&page->segments.es, 0x1111);
	set_8086_segment(&page->segments.cs, 0x2222);
	set_8086_segment(&page->segments.ss, 0x3333);
	set_8086_segment(&page->segments.ds, 0x4444);
	set_8086_segment(&page->segments.fs, 0x5555);
	set_8086_segment(&page->segments.gs, 0x6666);
	page->segments.ss.base = DEVICE_GPA;
	page->segments.tr.limit = 0x100;
	page->regs.rsp = 0xabc0100;
	page->regs.rflags = RFLAGS_1 | RFLAGS_VM | RFLAGS_IF | RFLAGS_TF | RFLAGS_NT | iopl << 12;
}

static const struct vee_event int_n = {
	.vector = VECTOR, .type = VEE_EVENT_SOFT_INTERRUPT, .flags = VEE_EVENT_VALID,
	.instruction_length = 2,
};

static void events_out_of_virtual_8086_mode(void)
{
	static const uint32_t pushed[] = {
		0x1000, 0x2222, RFLAGS_1 | RFLAGS_VM | RFLAGS_IF | RFLAGS_TF | RFLAGS_NT,
		0xabc0100, 0x3333, 0x1111, 0x4444, 0x5555, 0x6666,
	};

	begin_8086(0);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_32);
	CHECK_EQUAL(page->segments.ss.selector, DATA_32);
	CHECK_EQUAL(page->regs.rsp, STACK - 36);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1);
	for (unsigned int i = 0; i < sizeof(pushed) / sizeof(*pushed); i++)
		CHECK_EQUAL(at(0x800 - 36 + 4 * i, 4), pushed[i]);
	CHECK_EQUAL(page->segments.ds.selector, 0);
	CHECK_EQUAL(page->segments.gs.access_rights & VEE_AR_UNUSABLE, VEE_AR_UNUSABLE);
	rig_end(&rig);
	/* By a gate of 16 bits each is one of 2 bytes. */
	begin_8086(3);
	put_gate(VECTOR, CODE_32, 0xe7, false);
	CHECK_EQUAL(deliver(int_n), 0);
	check_entered(CODE_32);
	CHECK_EQUAL(page->regs.rsp, STACK - 18);
	CHECK_EQUAL(at(0x800 - 18, 2), 0x1002);
	CHECK_EQUAL(at(0x800 - 2, 2), 0x6666);
	CHECK_EQUAL(page->regs.rflags & RFLAGS_IF, RFLAGS_IF);
	rig_end(&rig);
}

/* SDM 3B, "Debug Exceptions": what the CPU pushes is written, too. */
static void breakpoints(void)
{
	begin(4);
	put_gate(VECTOR, CODE_32, 0x8e, false);
	page->debug.dr[1] = STACK - 4;
	page->debug.dr7 = 1U << 2 | 0x1U << 20 | 0x3U << 22;	/* L1: 4 bytes that are written */
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_32);
	CHECK_EQUAL(page->events.pending_debug, 0);
	page->regs.rsp = STACK;
	CHECK_EQUAL(deliver_flagged(interrupt, VEE_EXIT_BREAKPOINTS), 0);
	check_entered(CODE_32);
	CHECK_EQUAL(page->events.pending_debug, 0x1002);
	rig_end(&rig);
}

static void faults_in_virtual_8086_mode(void)
{
	begin_8086(3);
	put_descriptor(CODE_32, 0x00cf9e000000ffff);	/* conforming */
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(13, CODE_32 | 1);
	put_descriptor(CODE_32, 0x00cfba000000ffff);	/* level 1 */
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(13, CODE_32 | 1);
	put_descriptor(CODE_32, 0x00cffa000000ffff);	/* its own level, which is 3 */
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(13, CODE_32 | 1);
	put_descriptor(CODE_32, 0x00cf9a000000ffff);
	put_gate(VECTOR, CODE_32, 0x8e, false);		/* the gate is not for INT n */
	CHECK_EQUAL(deliver(int_n), 0);
	check_fault(13, VECTOR * 8 | 2);
	memcpy(ram + TSS_GPA + 4, &(uint32_t) { 0x6000 }, 4);
	put_descriptor(DATA_32, DOWN(0x5fff - 32));
	CHECK_EQUAL(deliver(interrupt), 0);
	check_fault(12, DATA_32 | 1);			/* 36 bytes */
	page->regs.rflags &= ~RFLAGS_IOPL;
	CHECK_EQUAL(deliver(int_n), 0);
	check_fault(13, 0);
	rig_end(&rig);
}

/* SDM 3B, "Software Interrupt Handling Methods While in Virtual-8086 Mode" */
static void begin_extended(unsigned int iopl)
{
	begin_8086(iopl);
	page->control.cr4 |= CR4_VME;
	memcpy(ram + TSS_GPA + 102, &(uint16_t) { 0x88 }, 2);	/* the map is at 68H */
	memset(ram + TSS_GPA + 0x68, 0xff, 32);
	ram[TSS_GPA + 0x68 + VECTOR / 8] &= ~(1 << VECTOR % 8);
	memcpy(ram + VECTOR * 4, "\x78\x56\x34\x12", 4);
}

static void check_redirected(uint16_t flags)
{
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(page->regs.rip, 0x5678);
	CHECK_EQUAL(page->segments.cs.selector, 0x1234);
	CHECK_EQUAL(page->segments.cs.base, 0x12340);
	CHECK_EQUAL(page->segments.ss.selector, 0x3333);
	CHECK_EQUAL(page->segments.ds.selector, 0x4444);
	CHECK_EQUAL(page->regs.rsp, 0xabc00fa);
	CHECK_EQUAL(at(0xfa, 2), 0x1002);
	CHECK_EQUAL(at(0xfc, 2), 0x2222);
	CHECK_EQUAL(at(0xfe, 2), flags);
}

static void redirected_interrupts(void)
{
	uint16_t flags = RFLAGS_1 | RFLAGS_TF | RFLAGS_NT | RFLAGS_IOPL;

	begin_extended(3);
	CHECK_EQUAL(deliver(int_n), 0);
	check_redirected(flags | RFLAGS_IF);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_VM | RFLAGS_NT | RFLAGS_IOPL);
	rig_end(&rig);
	begin_extended(0);
	page->regs.rflags |= RFLAGS_VIF;
	CHECK_EQUAL(deliver(int_n), 0);
	check_redirected(flags | RFLAGS_IF);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_VM | RFLAGS_NT | RFLAGS_IF);
	rig_end(&rig);
	begin_extended(0);
	CHECK_EQUAL(deliver(int_n), 0);
	check_redirected(flags);
	rig_end(&rig);
	begin_extended(0);
	page->regs.rsp = 1;
	CHECK_EQUAL(deliver(int_n), 0);
	check_fault(12, 0);
	page->segments.tr.limit = 0x68 + VECTOR / 8 - 1;	/* the map is cut off */
	CHECK_EQUAL(deliver(int_n), 0);
	check_fault(13, 0);
	page->segments.tr.limit = 0x100;
	memset(ram + TSS_GPA + 0x68, 0xff, 32);			/* not redirected, and IOPL is 0 */
	CHECK_EQUAL(deliver(int_n), 0);
	check_fault(13, 0);
	/* What is no INT n is not asked for. */
	memset(ram + TSS_GPA + 0x68, 0, 32);
	CHECK_EQUAL(deliver(interrupt), 0);
	check_entered(CODE_32);
	rig_end(&rig);
}

static void task_gates_in_virtual_8086_mode(void)
{
	begin_8086(3);
	put_tasks();
	CHECK_EQUAL(deliver(interrupt), 0);
	check_switched();
	CHECK_EQUAL(get_field(TSS_GPA, 0x24) & RFLAGS_VM, RFLAGS_VM);
	CHECK_EQUAL(get_field(TSS_GPA, 0x54), 0x4444);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "events in 64-bit mode", events_in_64bit_mode },
	{ "events in protected mode", events_in_protected_mode },
	{ "events in real mode", events_in_real_mode },
	{ "faults in delivering an event", faults_of_events },
	{ "stacks of inner levels", inner_stacks },
	{ "room on stacks of inner levels", room_on_inner_stacks },
	{ "room on the same stack", room_on_the_same_stack },
	{ "stacks in 64-bit mode", stacks_in_64bit_mode },
	{ "stacks of programs", stacks_of_programs },
	{ "handlers out of reach", handlers_out_of_reach },
	{ "task gates", task_gates },
	{ "faults of task gates", faults_of_task_gates },
	{ "events out of virtual-8086 mode", events_out_of_virtual_8086_mode },
	{ "faults in virtual-8086 mode", faults_in_virtual_8086_mode },
	{ "interrupts of the 8086 program's own", redirected_interrupts },
	{ "breakpoints on the stack", breakpoints },
	{ "task gates in virtual-8086 mode", task_gates_in_virtual_8086_mode },
	{ 0 }
};
