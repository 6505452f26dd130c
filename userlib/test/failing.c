// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Instructions whose device fails, or of which the kernel can't say what the guest's
 * registers are: each request and each access in turn. The assist's error is theirs, the
 * guest gets no fault for it, and stays where it is.
 */
#include "board.h"

#define DR7_WRITES	0x10001U	/* the first breakpoint: a byte that is written */
#define TASK_GPA	0x9000ULL
#define NEW_GPA		0xa000ULL
#define TABLE		0xc00		/* where the GDT is in the device */
#define NEW		0x30
#define GATE		0x40

/**
 * struct scene - an instruction
 * @name: what it is
 * @mode: 2, 4 or 8
 * @reason: of its exit
 * @code: its bytes, and zeros behind it
 * @set_up: what it needs besides a device in RBX, RSI, RDI and RSP; or NULL
 */
struct scene {
	const char *name;
	unsigned int mode;
	unsigned int reason;
	uint8_t code[8];
	void (*set_up)(void);
};

static void set_pointer(void)
{
	put(0, 0x5000, 4);
	put(4, CODE_32, 2);
}

static void set_selector(void)
{
	put(0, DATA_32, 2);
}

static void set_stack_frame(void)
{
	put(0x800, 0x5000, 4);
	put(0x804, CODE_32, 4);
	put(0x808, RFLAGS_1, 4);
}

static void set_long_frame(void)
{
	put(0x800, 0x5000, 8);
	put(0x808, CODE_64, 8);
	put(0x810, RFLAGS_1, 8);
	put(0x818, STACK, 8);
}

static void set_step(void)
{
	page->regs.rflags |= RFLAGS_TF;
	page->regs.rcx = 1;
}

static void set_two_steps(void)
{
	set_step();
	page->regs.rcx = 2;
}

static void set_breakpoint(void)
{
	exit_flags = VEE_EXIT_BREAKPOINTS;
	page->debug.dr[0] = DEVICE_GPA;
	page->debug.dr7 = DR7_WRITES;
}

static void set_pending(void)
{
	exit_flags = VEE_EXIT_EVENT_PENDING;
}

static void set_keys(void)
{
	page->control.cr4 |= CR4_PKE;
}

static void put_word(uint64_t gpa, uint32_t value)
{
	memcpy(ram + gpa, &value, sizeof(value));
}

/* A task, a task gate and a call gate, in a table of the device's. */
static void set_tasks(void)
{
	uint64_t new = 0x0000890000000067 | NEW_GPA << 16, gate = 0x8500ULL << 32 | NEW << 16;

	put_descriptor(NEW, new);
	put_descriptor(GATE, gate);
	memcpy(device + TABLE, ram + GDT_GPA, sizeof(gdt));
	device[TABLE + TSS + 5] |= 2;		/* busy */
	page->segments.gdtr.base = DEVICE_GPA + TABLE;
	page->segments.tr = (struct vee_segment) {
		.selector = TSS, .base = TASK_GPA, .limit = 0x67, .access_rights = 0x8b,
	};
	put_word(NEW_GPA + 0x20, 0x5000);
	put_word(NEW_GPA + 0x24, RFLAGS_1);
	put_word(NEW_GPA + 0x4c, CODE_32);
	put_word(NEW_GPA + 0x50, DATA_32);
	put(0, 0, 4);
	put(4, NEW, 2);
}

static void set_task_gate(void)
{
	set_tasks();
	put(4, GATE, 2);
}

static void set_call_gate(void)
{
	uint64_t gate = 0x8c00ULL << 32 | CODE_32 << 16 | 0x5000;

	set_tasks();
	memcpy(device + TABLE + GATE, &gate, sizeof(gate));
	put(4, GATE, 2);
}

/* The page directory is the device's, too: its entry maps the first 4 MiB to themselves. */
static void set_paged_tasks(void)
{
	set_tasks();
	page->regs.rbx += 0x400;
	put(0x400, 0, 4);
	put(0x404, NEW, 2);
	put(0, 0x87, 4);
	page->control.cr0 |= CR0_PG;
	page->control.cr3 = DEVICE_GPA;
	page->control.cr4 = CR4_PSE;
	put_word(NEW_GPA + 0x1c, DEVICE_GPA);
}

static void set_system_selector(void)
{
	set_tasks();
	put(0, NEW, 2);
}

/* EIP, CS, EFLAGS with VM, ESP, SS, ES, DS, FS and GS. */
static void set_8086_frame(void)
{
	static const uint32_t frame[] = {
		0x100, 0x1234, RFLAGS_1 | RFLAGS_VM, 0x200, 0x1111, 0x2222, 0x3333, 0x4444, 0x5555,
	};

	memcpy(device + 0x800, frame, sizeof(frame));
}

/* Out of virtual-8086 mode's extensions: the TSS and its bitmap are the device's. */
static void set_redirected(void)
{
	uint32_t rights = 0xf3;

	page->regs.rflags = RFLAGS_1 | RFLAGS_VM;
	page->control.cr4 |= CR4_VME;
	page->segments.cs = (struct vee_segment) { .limit = 0xffff, .access_rights = rights };
	page->segments.ss = page->segments.cs;
	page->segments.tr = (struct vee_segment) {
		.base = DEVICE_GPA + 0x400, .limit = 0xff, .access_rights = 0x8b,
	};
	put(0x400 + 0x66, 0x88, 2);
	memcpy(ram + 4 * 0x21, &(uint32_t) { 0x5000 }, 4);
	page->regs.rsp = 0x800;
	page->events.delivering = (struct vee_event) {
		.vector = 0x21, .type = VEE_EVENT_SOFT_INTERRUPT, .flags = VEE_EVENT_VALID,
	};
	exit_flags = VEE_EXIT_EVENT_PENDING;
}

static void set_gate(void)
{
	uint64_t gate = 0x8e00ULL << 32 | CODE_32 << 16 | 0x5000;

	memcpy(ram + IDT_GPA + 8 * 0x21, &gate, sizeof(gate));
	page->segments.idtr = (struct vee_table) { .base = IDT_GPA, .limit = 0xfff };
}

/* To a stack of level 0, which the device's TSS has. */
static void set_inner_event(void)
{
	set_tasks();
	set_gate();
	page->segments.tr.base = DEVICE_GPA + 0x400;
	put(0x404, STACK, 4);
	put(0x408, DATA_32, 2);
	page->segments.ss.access_rights |= VEE_AR_DPL;
	page->events.delivering = (struct vee_event) {
		.vector = 0x21, .type = VEE_EVENT_INTERRUPT, .flags = VEE_EVENT_VALID,
	};
	exit_flags = VEE_EXIT_EVENT_PENDING;
}

/* An interrupt whose delivery has exited: of the instruction nothing is done. */
static void set_event(void)
{
	set_gate();
	page->events.delivering = (struct vee_event) {
		.vector = 0x21, .type = VEE_EVENT_INTERRUPT, .flags = VEE_EVENT_VALID,
	};
	exit_flags = VEE_EXIT_EVENT_PENDING;
}

#define MMIO		VEE_EXIT_MMIO
#define TABLES		VEE_EXIT_DESCRIPTOR

static const struct scene scenes[] = {
	{ "a load", 4, MMIO, { 0x8b, 0x03 }, NULL },
	{ "a load with protection keys", 8, MMIO, { 0x8b, 0x03 }, set_keys },
	{ "a store", 4, MMIO, { 0x89, 0x03 }, NULL },
	{ "ADD to memory", 4, MMIO, { 0x01, 0x03 }, NULL },
	{ "XADD", 4, MMIO, { 0x0f, 0xc1, 0x03 }, NULL },
	{ "CMPXCHG", 4, MMIO, { 0x0f, 0xb1, 0x0b }, NULL },
	{ "CMPXCHG8B", 4, MMIO, { 0x0f, 0xc7, 0x0b }, NULL },
	{ "MUL", 4, MMIO, { 0xf7, 0x23 }, NULL },
	{ "SHLD", 4, MMIO, { 0x0f, 0xa4, 0x03, 0x04 }, NULL },
	{ "BTS", 4, MMIO, { 0x0f, 0xab, 0x03 }, NULL },
	{ "XLAT", 4, MMIO, { 0xd7 }, NULL },
	{ "MOVS", 4, MMIO, { 0xa5 }, NULL },
	{ "STOS", 4, MMIO, { 0xab }, NULL },
	{ "LODS from FS", 8, MMIO, { 0x64, 0xad }, NULL },
	{ "CMPS", 4, MMIO, { 0xa7 }, NULL },
	{ "SCAS", 2, MMIO, { 0x67, 0xaf }, NULL },
	{ "MOVUPS", 8, MMIO, { 0x0f, 0x10, 0x03 }, NULL },
	{ "MOVUPS to memory", 8, MMIO, { 0x0f, 0x11, 0x03 }, NULL },
	{ "FXSAVE", 4, MMIO, { 0x0f, 0xae, 0x03 }, NULL },
	{ "FXRSTOR", 4, MMIO, { 0x0f, 0xae, 0x0b }, NULL },
	{ "PUSH", 4, MMIO, { 0xff, 0x33 }, NULL },
	{ "POP", 4, MMIO, { 0x8f, 0x03 }, NULL },
	{ "PUSHA", 4, MMIO, { 0x60 }, NULL },
	{ "POPA", 4, MMIO, { 0x61 }, NULL },
	{ "PUSHF", 4, MMIO, { 0x9c }, NULL },
	{ "POPF", 4, MMIO, { 0x9d }, NULL },
	{ "ENTER", 4, MMIO, { 0xc8, 0x10, 0x00, 0x01 }, NULL },
	{ "LEAVE", 4, MMIO, { 0xc9 }, NULL },
	{ "JMP", 4, MMIO, { 0xff, 0x23 }, NULL },
	{ "CALL", 4, MMIO, { 0xff, 0x13 }, NULL },
	{ "RET", 4, MMIO, { 0xc3 }, NULL },
	{ "a far JMP", 4, MMIO, { 0xff, 0x2b }, set_pointer },
	{ "a far CALL", 4, MMIO, { 0xff, 0x1b }, set_pointer },
	{ "a far RET", 4, MMIO, { 0xcb }, set_stack_frame },
	{ "IRET", 4, MMIO, { 0xcf }, set_stack_frame },
	{ "IRETQ", 8, MMIO, { 0x48, 0xcf }, set_long_frame },
	{ "MOV to ES", 4, MMIO, { 0x8e, 0x03 }, set_selector },
	{ "LES", 4, MMIO, { 0xc4, 0x0b }, set_pointer },
	{ "VERR", 4, MMIO, { 0x0f, 0x00, 0x23 }, set_selector },
	{ "LAR", 4, MMIO, { 0x0f, 0x02, 0x03 }, set_selector },
	{ "ARPL", 4, MMIO, { 0x63, 0x03 }, NULL },
	{ "SMSW", 4, MMIO, { 0x0f, 0x01, 0x23 }, NULL },
	{ "SGDT", 4, TABLES, { 0x0f, 0x01, 0x03 }, NULL },
	{ "LGDT", 4, TABLES, { 0x0f, 0x01, 0x13 }, NULL },
	{ "SLDT", 4, TABLES, { 0x0f, 0x00, 0x03 }, NULL },
	{ "STOS, a step", 4, MMIO, { 0xab }, set_step },
	{ "REP STOS, a step", 4, MMIO, { 0xf3, 0xab }, set_two_steps },
	{ "JMP, a step", 4, MMIO, { 0xff, 0x23 }, set_step },
	{ "a store that is watched", 4, MMIO, { 0x89, 0x03 }, set_breakpoint },
	{ "a load while an event may be pending", 4, MMIO, { 0x8b, 0x03 }, set_pending },
	{ "a call of a gate", 4, MMIO, { 0xff, 0x1b }, set_call_gate },
	{ "a jump to a task", 4, MMIO, { 0xff, 0x2b }, set_tasks },
	{ "a call of a task", 4, MMIO, { 0xff, 0x1b }, set_tasks },
	{ "a jump to a task, with paging", 4, MMIO, { 0xff, 0x2b }, set_paged_tasks },
	{ "CRC32", 4, MMIO, { 0xf2, 0x0f, 0x38, 0xf1, 0x03 }, NULL },
	{ "MOV from ES", 4, MMIO, { 0x8c, 0x03 }, NULL },
	{ "LMSW", 4, MMIO, { 0x0f, 0x01, 0x33 }, NULL },
	{ "LTR", 4, TABLES, { 0x0f, 0x00, 0x1b }, set_system_selector },
	{ "IRET to virtual-8086 mode", 4, MMIO, { 0xcf }, set_8086_frame },
	{ "an interrupt that stays in virtual-8086 mode", 4, MMIO, { 0x90 }, set_redirected },
	{ "an interrupt of an inner level", 4, MMIO, { 0x90 }, set_inner_event },
	{ "an interrupt", 4, MMIO, { 0x90 }, set_event },
	{ "a call of a task gate", 4, MMIO, { 0xff, 0x1b }, set_task_gate },
};

static void begin_scene(const struct scene *scene)
{
	begin(scene->mode);
	page->regs.rsi = DEVICE_GPA;
	page->regs.rdi = scene->mode == 2 ? 0 : DEVICE_GPA;
	page->regs.rbp = STACK;
	if (scene->mode == 2)
		page->segments.es.base = DEVICE_GPA;
	exit_flags = 0;
	if (scene->set_up)
		scene->set_up();
	page->valid = 0;
	page->dirty = 0;
}

/* The @number-th failure of a kind. False: there is none. */
static bool check_failure(const struct scene *scene, unsigned int number, bool device_fails)
{
	unsigned int *left = device_fails ? &fail_access : &fake.fail_request;
	bool failed;
	int err;

	begin_scene(scene);
	test_case("%s, %s %u", scene->name, device_fails ? "access" : "request", number);
	*left = number;
	err = run_insn(scene->reason, scene->code, sizeof(scene->code));
	failed = !*left;
	*left = 0;
	CHECK_EQUAL(err, failed ? -EIO : 0);
	CHECK_EQUAL(page->inject.flags, 0);
	if (failed)
		CHECK_EQUAL(page->regs.rip, 0x1000);
	rig_end(&rig);
	return failed;
}

static void check_scene(const struct scene *scene)
{
	unsigned int requests = 0, device_accesses = 0;

	while (check_failure(scene, requests + 1, false))
		requests++;
	while (check_failure(scene, device_accesses + 1, true))
		device_accesses++;
	CHECK(requests && device_accesses);
}

static void each_failure(void)
{
	fake.request_error = -EIO;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		check_scene(&scenes[i]);
}

/* --- IN, OUT, INS and OUTS --- */

static unsigned int ports;

static int touch_port(void *arg, uint16_t port, void *data, unsigned int bytes, bool write)
{
	(void)arg;
	(void)port;
	if (fail_access && !--fail_access)
		return -EIO;
	ports++;
	if (write)
		put(0x100, *(uint8_t *)data, 1);
	else
		memset(data, 0x5a, bytes);
	return 0;
}

static void set_port_exit(unsigned int direction, bool is_string, uint64_t gva)
{
	memset(&page->exit, 0, sizeof(page->exit));
	page->exit.reason = VEE_EXIT_PIO;
	page->exit.pio = (struct vee_exit_pio) {
		.width = 1, .direction = direction, .string = is_string, .count = 1,
		.address_width = test_code_width(page), .gva = gva,
	};
	page->resume = VEE_RESUME_HERE;
	page->inject = (struct vee_event) { 0 };
	ports = 0;
}

static int do_port(void)
{
	const struct vee_bus bus = { .memory = touch, .port = touch_port };

	return vee_assist(rig.vcpu, &bus);
}

/* An OUTS that ends elsewhere than DS has it is read for its prefix. */
static bool check_port_failure(bool out, bool is_string, unsigned int number, bool device_fails)
{
	unsigned int *left = device_fails ? &fail_access : &fake.fail_request;
	bool failed;
	int err;

	begin(4);
	test_case("%s%s, %s %u", out ? "OUT" : "IN", is_string ? "S" : "",
		  device_fails ? "access" : "request", number);
	memcpy(ram + 0x1000, "\x64\x6e", 2);
	page->segments.fs.base = DEVICE_GPA;
	page->regs.rdi = DEVICE_GPA;
	set_port_exit(out ? VEE_PIO_OUT : VEE_PIO_IN, is_string, DEVICE_GPA);
	page->exit.instruction_length = 2;
	page->exit.flags = VEE_EXIT_BREAKPOINTS;
	page->debug.dr7 = 0;
	page->valid = 0;
	page->dirty = 0;
	*left = number;
	err = do_port();
	failed = !*left;
	*left = 0;
	CHECK_EQUAL(err, failed ? -EIO : 0);
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->resume, failed ? VEE_RESUME_HERE : VEE_RESUME_NEXT);
	rig_end(&rig);
	return failed;
}

static void each_failure_of_a_port(void)
{
	fake.request_error = -EIO;
	for (unsigned int kind = 0; kind < 8; kind++) {
		unsigned int number = 1;

		while (check_port_failure(kind & 1, kind & 2, number, kind & 4))
			number++;
		CHECK(number > 1);
	}
}

/* Which segment is OUTS's: by the last prefix, and in 64-bit mode FS and GS alone count. */
static void check_prefix(unsigned int mode, uint8_t first, uint8_t last, uint8_t expected)
{
	static const struct {
		size_t segment;
		uint32_t base;
	} bases[] = {
		{ offsetof(struct vee_segments, es), 0x2000 },
		{ offsetof(struct vee_segments, cs), 0x3000 },
		{ offsetof(struct vee_segments, ss), 0x4000 },
		{ offsetof(struct vee_segments, ds), 0x5000 },
		{ offsetof(struct vee_segments, fs), 0x6000 },
		{ offsetof(struct vee_segments, gs), 0x7000 },
	};

	test_case("mode %u, prefixes %#x %#x", mode, first, last);
	begin(mode);
	for (unsigned int i = 0; i < 6; i++) {
		struct vee_segment *segment = (void *)((uint8_t *)&page->segments +
						       bases[i].segment);

		segment->base = bases[i].base;
		ram[bases[i].base + 0x10] = i + 1;
	}
	ram[0x10] = 0xd5;		/* of the base 0 of 64-bit mode */
	page->regs.rsi = 0x10;
	page->regs.rip = 0x100;
	memcpy(ram + (mode == 8 ? 0 : 0x3000) + 0x100, (const uint8_t[]) { first, last, 0x6e }, 3);
	set_port_exit(VEE_PIO_OUT, true, 1);	/* not what DS would have */
	page->exit.instruction_length = 3;
	CHECK_EQUAL(do_port(), 0);
	check_done();
	CHECK_EQUAL(ports, 1);
	CHECK_EQUAL(at(0x100, 1), expected);
	rig_end(&rig);
}

static void prefixes(void)
{
	static const uint8_t bytes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

	for (unsigned int i = 0; i < 6; i++) {
		check_prefix(4, 0x66, bytes[i], i + 1);
		check_prefix(4, 0x64, bytes[i], i + 1);
		check_prefix(8, 0x66, bytes[i], i < 4 ? 0xd5 : i + 1);
	}
	check_prefix(8, 0x64, 0x36, 5);
	check_prefix(4, 0xf3, 0x66, 4);
}

static void begin_outs(unsigned int length)
{
	begin(4);
	memcpy(ram + 0x1000, "\x64\x6e", 2);		/* outsb %fs:(%esi) */
	ram[0x2000] = 0x77;
	page->regs.rsi = 0x2000;
	set_port_exit(VEE_PIO_OUT, true, 0x2000);
	page->exit.instruction_length = length;
}

/* Segments that lead to the same place: the prefix tells whose limit and rights count. */
static void segments_alike(void)
{
	begin_outs(2);
	page->segments.ds.access_rights |= VEE_AR_UNUSABLE;
	CHECK_EQUAL(do_port(), 0);
	check_done();
	CHECK_EQUAL(ports, 1);
	CHECK_EQUAL(at(0x100, 1), 0x77);
	rig_end(&rig);
	begin_outs(2);
	page->segments.fs.limit = 0x1fff;
	CHECK_EQUAL(do_port(), 0);
	check_fault(13, 0);
	CHECK_EQUAL(ports, 0);
	rig_end(&rig);
}

/* Of as many bytes as the exit tells of otherwise none is a segment's: RIP is in a device. */
static void instruction_is_spared(void)
{
	begin_outs(4);
	page->regs.rip = DEVICE_GPA;
	page->exit.pio.rep = 1;
	page->exit.pio.width = 2;
	page->exit.pio.address_width = 2;
	page->regs.rcx = 1;
	accesses = 0;
	CHECK_EQUAL(do_port(), 0);
	check_done();
	CHECK_EQUAL(accesses, 0);
	set_port_exit(VEE_PIO_OUT, true, 0x2000);
	page->regs.rsi = 0x2000;
	page->exit.instruction_length = 2;
	CHECK_EQUAL(do_port(), 0);
	CHECK(accesses > 0);
	rig_end(&rig);
}

/* --- page tables in the device --- */

/* The flags go nowhere, and the access goes on; where the device fails so does it. */
static void tables_in_a_device(void)
{
	begin(8);
	page->control.cr3 = DEVICE_GPA;		/* the first entry of a table as long as it is */
	put(0, 0x3007, 8);
	memcpy(ram + 0x3000, &(uint64_t) { 0x4007 }, 8);
	memcpy(ram + 0x4000, (const uint64_t[]) { 0x87, 0x200087 }, 16);
	page->regs.rsi = DEVICE_GPA;
	page->regs.rdi = 0x1000;
	put(0x10, 0x77, 1);
	page->regs.rsi += 0x10;
	CHECK_EQUAL(RUN(0xa4), 0);		/* movsb */
	check_done();
	CHECK_EQUAL(ram[0x1000], 0x77);
	CHECK_EQUAL(at(0, 8), 0x3007);
	CHECK_EQUAL(ram[0x3000], 0x27);
	CHECK_EQUAL(accesses, 3);
	fail_access = 1;
	CHECK_EQUAL(RUN(0xa4), -EIO);
	CHECK_EQUAL(page->inject.flags, 0);
	rig_end(&rig);
}

/* A PDPTE register whose reserved bits are not zeros, as no CPU has loaded it. */
static void reserved_bits_of_a_pdpte(void)
{
	begin(4);
	page->control.cr0 |= CR0_PG;
	page->control.cr4 |= CR4_PAE;
	page->valid = VEE_STATE_ALL;
	fake.vmcs_value = 0x3000 | 0x20 | 1;
	CHECK_EQUAL(RUN(0x8b, 0x03), 0);
	check_fault(VECTOR_PF, 9);
	CHECK_EQUAL(page->control.cr2, DEVICE_GPA);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "each request, each access of a device's", each_failure },
	{ "each of a port's", each_failure_of_a_port },
	{ "prefixes of OUTS", prefixes },
	{ "segments of OUTS that are alike", segments_alike },
	{ "OUTS that need not be read", instruction_is_spared },
	{ "page tables in a device", tables_in_a_device },
	{ "reserved bits of a PDPTE", reserved_bits_of_a_pdpte },
	{ 0 }
};
