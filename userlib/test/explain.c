// SPDX-License-Identifier: LGPL-2.1-or-later
/* What vee_explain() says: of each exit, and of what beginners do wrong. */
#include "said.h"

static void exits_in_words(void)
{
	begin(4);
	set_exit(VEE_EXIT_PIO, "\xe6\xe9", 2);
	page->exit.pio = (struct vee_exit_pio) {
		.port = 0xe9, .width = 1, .data = 'H', .count = 1,
	};
	explain();
	check_says("the guest writes 0x48, 1 byte, to port 0xe9; then vee_done()\n");
	check_says("  instruction: out 0xE9, al (bytes e6 e9)\n");
	check_says("  at 0008:1000, gva 0x1000, in protected mode, 32-bit code\n");
	page->exit.pio.direction = VEE_PIO_IN;
	explain();
	check_says("the guest reads 1 byte from port 0xe9; the answer is vee_done_in()\n");
	page->exit.pio = (struct vee_exit_pio) {
		.port = 0x1f0, .width = 2, .count = 256, .string = 1, .rep = 1,
	};
	explain();
	check_says("the guest writes to port 0x1f0, 256 times 2 bytes: vee_pio_assist() does it\n");
	set_exit(VEE_EXIT_HLT, "\xf4", 1);
	explain();
	check_says("the guest waits (HLT), with interrupts off, so that none can wake it:");
	set_exit(VEE_EXIT_RDMSR, "\x0f\x32", 2);
	page->exit.msr.index = 0x12345678;
	explain();
	check_says("the guest reads MSR 0x12345678");
	set_exit(VEE_EXIT_WRMSR, "\x0f\x30", 2);
	page->exit.msr = (struct vee_exit_msr) { .index = 0x10, .value = 5 };
	explain();
	check_says("the guest writes 0x5 to MSR 0x10");
	set_exit(VEE_EXIT_ENTRY_FAILED, "\xf4", 1);
	page->exit.entry.instruction_error = 7;
	explain();
	check_says("VM entry with invalid control fields (VM-instruction error 7)\n");
	check_says("  HOST_CS_NULL: host CS selector 0: it must not be 0. SDM 3C, \"");
	check_says(" more broken rules: see vee_audit(3)\n");
	rig_end(&rig);
}

/* Each has a sentence of its own, and none that is new is met without a word. */
static void every_exit(void)
{
	begin(8);
	for (uint32_t reason = 0; reason < 64; reason++) {
		set_exit(reason, "\x90", 1);
		explain();
		test_case("exit %u", reason);
		CHECK(*said);
		if (strcmp(vee_exit_name(reason), "unknown"))
			CHECK(!strstr(said, "this library doesn't know"));
		else
			check_says("which this library doesn't know\n");
	}
	fake.error = -EIO;
	page->valid = 0;
	CHECK_EQUAL(vee_explain(rig.vcpu, stdout), -EIO);
	CHECK_EQUAL(vee_dump_registers(rig.vcpu, stdout), -EIO);
	fake.error = 0;
	rig_end(&rig);
}

static void all_registers(void)
{
	static const char *const names[] = {
		"RIP", "RFLAGS", "RAX", "R15", "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR",
		"GDTR", "IDTR", "CR0", "CR2", "CR3", "CR4", "CR8", "EFER", "XCR0", "DR0", "DR7",
	};
	FILE *out = fmemopen(said, sizeof(said), "w");

	begin(8);
	page->regs.r15 = 0x123456789abcdef0;
	CHECK_EQUAL(vee_dump_registers(rig.vcpu, out), 0);
	fclose(out);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++)
		check_says(names[i]);
	check_says("R15 123456789abcdef0\n");
	rig_end(&rig);
}

static void next_instruction(void)
{
	char text[96];

	begin(8);
	set_exit(VEE_EXIT_HLT, "\x8b\x44\x8b\x04", 4);
	CHECK_EQUAL(vee_disassemble(rig.vcpu, text, sizeof(text)), 0);
	CHECK(!strcmp(text, "mov eax, [rbx+rcx*4+0x04]"));
	CHECK_EQUAL(vee_disassemble(rig.vcpu, text, 4), 0);
	CHECK(!strcmp(text, "mov"));
	set_exit(VEE_EXIT_HLT, "\x06", 1);	/* PUSH ES */
	CHECK_EQUAL(vee_disassemble(rig.vcpu, text, sizeof(text)), -ENOEXEC);
	CHECK(!*text);
	page->regs.rip = 1ULL << 40;
	CHECK_EQUAL(vee_disassemble(rig.vcpu, text, sizeof(text)), -EFAULT);
	page->valid = 0;
	fake.error = -EBUSY;
	CHECK_EQUAL(vee_disassemble(rig.vcpu, text, 0), -EBUSY);
	fake.error = 0;
	rig_end(&rig);
}

/* --- what beginners do wrong --- */

static void set_memory_exit(uint64_t gpa, unsigned int access, int error)
{
	page->exit = (struct vee_exit) {
		.reason = error ? VEE_EXIT_MEMORY : VEE_EXIT_MMIO,
		.memory = { .gpa = gpa, .gva = gpa, .gva_valid = 1, .access = access,
			    .error = error },
	};
}

static void segment_16_times_too_large(void)
{
	begin(2);
	vee_vcpu_set_real_mode(rig.vcpu, 0x2000, 0);
	CHECK_EQUAL(vee_vm_unmap(rig.vm, 0, DEVICE_GPA), 0);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 0x10000, NULL), 0);
	set_memory_exit(0x20000, VEE_EXECUTE, 0);
	explain();
	check_says("the guest fetches an instruction at gpa 0x20000 (gva 0x20000), where");
	check_says("  it has memory to read and write at gpa 0 to 0xffff\n");
	check_says("begins at 16 times that, 0x20000; for code at 0x2000 it is 0x200\n");
	check_says("  instruction: it can't be fetched\n");
	rig_end(&rig);
}

static void stack_beyond_memory(void)
{
	begin(4);
	memcpy(ram + 0x1000, "\x50", 1);
	page->regs.rsp = DEVICE_GPA + 0x1000;
	set_memory_exit(DEVICE_GPA + 0xffc, VEE_WRITE, 0);
	explain();
	check_says("the guest writes at gpa 0x200ffc (gva 0x200ffc), where the VM has no memory\n");
	check_says("  it has memory to read and write at gpa 0 to 0x1fffff\n");
	check_says("  it is the stack: SS:RSP is gva 0x201000\n");
	check_says("  instruction: push eax (bytes 50)\n");
	rig_end(&rig);
}

static void memory_mapped_after_the_access(void)
{
	begin(8);
	memcpy(ram + 0x1000, "\x48\x89\x03", 3);
	set_memory_exit(DEVICE_GPA, VEE_WRITE, 0);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, DEVICE_GPA, PAGE_BYTES, NULL), 0);
	explain();
	check_says("where the VM had no memory\n");
	check_says("  now it has: mapped after the access. Run again, without vee_done()\n");
	check_says("  walk of gva 0x200000, CR3 0xf000000000:\n");
	check_says("    PML4E   0 at gpa 0xf000000000: 0xf000001007, writable, user, a table\n");
	check_says("    PDE     1 at gpa 0xf000002008: 0x200087, writable, user, a page\n");
	rig_end(&rig);
}

static void slot_that_may_not_execute(void)
{
	begin(4);
	CHECK_EQUAL(vee_vm_map(rig.vm, ROM_GPA, rom, PAGE_BYTES, VEE_READ), 0);
	page->regs.rip = ROM_GPA;
	set_memory_exit(ROM_GPA, VEE_EXECUTE, -EACCES);
	explain();
	check_says("the guest fetches an instruction at gpa 0x400000");
	check_says("which its slot forbids: map it with VEE_EXECUTE\n");
	rig_end(&rig);
}

/* What this process has not is not looked at. */
static void memory_that_is_gone(void)
{
	begin(4);
	set_memory_exit(0x1000, VEE_EXECUTE, -EFAULT);
	explain();
	check_says("where this process has nothing mapped");
	CHECK(!strstr(said, "instruction:"));
	rig_end(&rig);
}

/* --- triple faults: beginners' again, and each step of a delivery --- */

static void no_idt(void)
{
	begin(8);
	page->segments.idtr = (struct vee_table) { 0 };
	SHUTDOWN(UD2);
	explain();
	check_says("the guest has shut down: a triple fault\n");
	check_says("  instruction: ud2 (bytes 0f 0b)\n");
	check_says("  first #UD" TRIED "the instruction is there to raise it\n");
	check_says("  #UD" MISSED "IDT entry 6 is beyond the IDT's limit 0 (base 0)\n");
	check_says("  #GP(0x33)" MISSED "IDT entry 13 is beyond the IDT's limit 0");
	check_says("  #DF" MISSED "IDT entry 8 is beyond the IDT's limit 0");
	/* As after RESET, at memory that nothing was put into; in real mode, a short one. */
	page->segments.idtr.limit = UINT16_MAX;
	explain();
	check_says("  #UD" MISSED "IDT entry 6 at gva 0x60, 0, is empty\n");
	rig_end(&rig);
	begin(2);
	page->segments.idtr = (struct vee_table) { 0 };
	SHUTDOWN(UD2);
	explain();
	check_says("  #UD" MISSED "IDT entry 6 is beyond the IDT's limit 0");
	check_says("  #DF" MISSED "IDT entry 8 is beyond the IDT's limit 0");
	rig_end(&rig);
}

static void tables_missing(void)
{
	begin(8);
	page->control.cr3 = 0x20000;
	page->control.cr2 = 0x80;
	page->segments.idtr = (struct vee_table) { .limit = UINT16_MAX };
	SHUTDOWN("");
	explain();
	check_says("  instruction: it can't be fetched\n");
	check_says("  first #PF(0)" TRIED "the fetch of the instruction at gva");
	check_says("  walk of gva 0x1000, CR3 0x20000:\n");
	check_says("    PML4E   0 at gpa 0x20000: 0, not present\n");
	check_says("  #PF(0)" MISSED "its IDT entry is at gva 0xe0: PML4E 0 at gpa 0x20000");
	check_says("  #DF" MISSED "its IDT entry is at gva 0x80: PML4E 0 at gpa 0x20000");
	CHECK(!strstr(said, "but CR2"));
	page->control.cr2 = 0x1000;
	explain();
	check_says("  but CR2 is 0x1000: the last page fault was another one\n");
	CHECK_EQUAL(page->control.cr2, 0x1000);
	rig_end(&rig);
}

static void cr3_unaligned(void)
{
	begin(8);
	page->control.cr3 = 0x20800;
	page->segments.idtr.limit = UINT16_MAX;
	SHUTDOWN("");
	explain();
	check_says("  walk of gva 0x1000, CR3 0x20800, not aligned: bits 0x800 are ignored\n");
	rig_end(&rig);
}

static void control_registers(void)
{
	begin(4);
	page->segments.idtr = (struct vee_table) { 0 };
	page->control.cr0 = 0x10;
	page->regs.rax = CR0_PG;
	SHUTDOWN("\x0f\x22\xc0");
	explain();
	check_says("  first #GP" TRIED "CR0.PG is set without CR0.PE\n");
	page->control.cr0 = 0x11;
	page->control.efer = EFER_LME;
	page->regs.rax = CR0_PG | CR0_PE;
	explain();
	check_says("  first #GP(0)" TRIED "CR0.PG is set with EFER.LME, and CR4.PAE");
	page->control.cr4 = CR4_PAE;
	page->control.efer = 0;
	explain();
	CHECK(!strstr(said, "  first #"));
	rig_end(&rig);
	begin(8);
	page->segments.idtr = (struct vee_table) { 0 };
	SHUTDOWN("\x0f\x22\xe0");
	explain();
	check_says("CR4.PAE is cleared in long mode\n");
	rig_end(&rig);
}

static void cs_not_64bit(void)
{
	begin_idt(8);
	put_gate(6, 0x00008e0000085000);
	put_gate(13, 0x00008e0000085000);
	put_gate(8, 0x00008e0000085000);
	SHUTDOWN(UD2);
	explain();
	check_says("  #UD" MISSED "the gate's CS, 0x8 (descriptor 0xcf9a000000ffff), is no 64-bit");
	page->segments.cs.access_rights = 0xc09b;
	explain();
	check_says("  at 0008:1000, gva 0x1000, in compatibility mode, 32-bit code (L of CS");
	rig_end(&rig);
}

static void jump_to_data(void)
{
	begin(8);
	page->control.efer |= EFER_NXE;
	page->segments.idtr = (struct vee_table) { 0 };
	*fake_entry(0x1000, 1) |= 1ULL << 63;
	page->control.cr2 = 0x1000;
	SHUTDOWN("\x90");
	explain();
	check_says("  first #PF(0x11)" TRIED "the fetch of the instruction at gva");
	check_says("    PDE     0 at gpa 0xf000002000: 0x8000000000000087,");
	check_says(", writable, user, a page, not executable\n");
	rig_end(&rig);
}

static void program_of_a_c_library(void)
{
	begin(8);
	page->segments.idtr = (struct vee_table) { 0 };
	SHUTDOWN("\x0f\x05");
	explain();
	check_says("  first #UD" TRIED "SYSCALL asks a kernel, and this guest has set up none");
	rig_end(&rig);
	begin(4);
	page->segments.idtr = (struct vee_table) { 0 };
	SHUTDOWN("\xcd\x80");
	explain();
	check_says("  first INT 0x80" TRIED "the instruction asks for it\n");
	check_says("  INT 0x80" MISSED "IDT entry 128 is beyond the IDT's limit 0");
	rig_end(&rig);
}

/* What the instruction does decides, and CR2 confirms. */
static void first_exceptions(void)
{
	begin(8);
	page->segments.idtr = (struct vee_table) { 0 };
	page->regs.rbx = 0x123456789000;
	page->control.cr2 = 0x123456789000;
	SHUTDOWN("\x48\x89\x03");
	explain();
	check_says("  first #PF(0x2)" TRIED "the instruction writes gva 0x123456789000\n");
	check_says("    PML4E  36 at gpa 0xf000000120: 0, not present\n");
	page->regs.rbx = 0x8000000000000000;
	explain();
	check_says("  first #GP(0)" TRIED "what the instruction does is forbidden\n");
	SHUTDOWN("\x06");
	explain();
	check_says("  first #UD" TRIED "these bytes are no instruction\n");
	SHUTDOWN("\x0f\x28\xc1");
	page->control.cr4 &= ~CR4_OSFXSR;
	explain();
	check_says("  first #UD" TRIED "CR4.OSFXSR is 0: no SSE\n");
	SHUTDOWN("\xc5\xf8\x28\xc1");
	explain();
	check_says("CR4.OSXSAVE is 0: no AVX\n");
	SHUTDOWN("\xd9\xe8");
	page->control.cr0 |= CR0_TS;
	explain();
	check_says("  first #NM" TRIED "CR0.TS is 1\n");
	SHUTDOWN("\x48\xf7\xf1");
	explain();
	check_says("  first #DE" TRIED "the divisor is 0\n");
	SHUTDOWN("\x0f\x01\xf8");
	page->segments.cs.selector |= 3;
	page->segments.ss.access_rights |= VEE_AR_DPL;
	explain();
	check_says("the instruction is for CPL 0 alone\n");
	SHUTDOWN("\xcc");
	explain();
	check_says("  first #BP" TRIED "INT3\n");
	rig_end(&rig);
	begin(4);
	page->segments.idtr = (struct vee_table) { 0 };
	SHUTDOWN("\xea\x00\x00\x00\x00\x88\x00");
	explain();
	check_says("  first #GP(0x88)" TRIED "what the instruction does is forbidden, sel");
	SHUTDOWN("\xcf");
	page->regs.rsp = 0x8000;
	explain();
	check_says("  first #GP(0)");
	rig_end(&rig);
}

/* What it raises before it reaches memory, or instead. */
static void first_exceptions_of_operands(void)
{
	static const struct {
		const char *code;
		const char *words;
		uint64_t rax, rbx;
	} cases[] = {
		{ "\x0f\x34", "#GP(0)" TRIED "IA32_SYSENTER_CS is 0", 0, 0 },
		{ "\xff\xe0", "#GP(0)" TRIED "the address that it goes to is not", 1ULL << 63, 0 },
		{ "\x0f\x28\x03", "#GP(0)" TRIED "its operand is not aligned to 16", 0, 0x3001 },
		{ "\xf6\xf3", "#DE" TRIED "the quotient is too large", 0x1000, 2 },
		{ "\x48\xf7\xfb", "#DE" TRIED "the quotient is too large", 1ULL << 63, -1ULL },
		{ "\x0f\x01\xd0", "#UD" TRIED "CR4.OSXSAVE is 0", 0, 0 },
		{ "\x0f\xaa", "#UD" TRIED "system-management mode alone has it", 0, 0 },
		{ "\x0f\x23\xf8", "#GP(0)" TRIED "bits 63:32 of DR6 and DR7", 1ULL << 32, 0 },
		{ "\x0f\x22\xd8", "#GP(0)" TRIED "CR3 has bits beyond the", 1ULL << 60, 0 },
	};

	begin(8);
	page->segments.idtr = (struct vee_table) { 0 };
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		set_exit(VEE_EXIT_SHUTDOWN, cases[i].code, 3);
		page->regs.rax = cases[i].rax;
		page->regs.rbx = cases[i].rbx;
		page->regs.rdx = (int64_t)cases[i].rax >> 63;
		explain();
		check_says(cases[i].words);
	}
	rig_end(&rig);
}

/* Each step on the way to a handler can be what fails. */
static void deliveries(void)
{
	static const struct {
		uint64_t gate;
		const char *words;
	} cases[] = {
		{ 0x00000e0000485000, "6 at gva 0x11060, 0xe0000485000, is not present\n" },
		{ 0x0000820000485000, "0x820000485000, is no interrupt, trap or task gate\n" },
		{ 0x0000860000485000, "is a gate of 16 bits, which long mode doesn't have\n" },
		{ 0x0000850000485000, "is a task gate, which long mode doesn't have\n" },
		{ 0x00008e0000005000, "the gate's CS is null (IDT entry 6 is 0x8e0000005000)\n" },
		{ 0x00008e0000885000, "CS, 0x88 (descriptor 0), is beyond its table's limit\n" },
		{ 0x00008e0000105000, "CS, 0x10 (descriptor 0xcf92000000ffff), is no code" },
		{ 0x00008e0000285000, "is no code segment, but a system segment or empty\n" },
	};

	begin_idt(8);
	SHUTDOWN(UD2);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put_gate(6, cases[i].gate);
		explain();
		check_says(cases[i].words);
	}
	put_gate(6, 0x00008e0000485000);
	page->regs.rsp = 0x700000000000;
	explain();
	check_says("  #UD" MISSED "its stack is at gva 0x6ffffffffff8: PML4E 223 at gpa");
	page->regs.rsp = 0x8000000000000000;
	explain();
	check_says("  #UD" MISSED "its stack is outside of SS or not canonical (RSP is 0x8000");
	page->regs.rsp = 0x8000;
	page->segments.cs.selector |= 3;
	page->segments.ss.access_rights |= VEE_AR_DPL;
	page->segments.tr = (struct vee_segment) { .selector = TSS, .base = 0x9000, .limit = 3 };
	explain();
	check_says("  #UD" MISSED "the TSS at gva 0x9000, limit 0x3, has no");
	page->segments.tr.limit = 0x67;
	page->segments.tr.base = 0x600000000000;
	explain();
	check_says("  #UD" MISSED "its TSS is at gva 0x600000000004: PML4E 192 at gpa");
	rig_end(&rig);
}

/* Nothing is claimed that the guest's memory belies; and nothing is left in it. */
static void doubts(void)
{
	uint8_t before[PAGE_BYTES];

	begin_idt(8);
	put_gate(6, 0x00008e0000485000);
	memcpy(before, ram + 0x7000, sizeof(before));
	SHUTDOWN(UD2);
	explain();
	check_says("  #UD would be delivered, as the guest's memory is now\n");
	CHECK(!memcmp(before, ram + 0x7000, sizeof(before)));
	CHECK_EQUAL(ram[GDT_GPA + CODE_64 + 5], 0x9a);
	CHECK_EQUAL(*fake_entry(0x1000, 1) & 0x20, 0);
	CHECK_EQUAL(page->inject.flags, 0);
	page->regs.rsp = STACK;
	explain();
	check_says("  #UD: its delivery goes by what the VM has no memory for\n");
	SHUTDOWN("\x90");
	page->segments.idtr.limit = 0;
	explain();
	check_says("  which exception came first isn't known: the instruction raises none\n");
	check_says("  #DF" MISSED "IDT entry 8 is beyond");
	fake.vmcs_value = 0x20;
	explain();
	check_says("  the instruction raises none; last injected was interrupt 0x20\n");
	check_says("  interrupt 0x20" MISSED "IDT entry 32 is beyond the IDT's limit 0");
	rig_end(&rig);
}

/* --- the last exits --- */

/* The guest comes back with that exit. */
static void run_to(uint32_t reason, uint64_t rip, uint16_t port)
{
	page->exit = (struct vee_exit) {
		.reason = reason, .instruction_length = 1,
	};
	if (reason == VEE_EXIT_PIO)
		page->exit.pio = (struct vee_exit_pio) { .port = port, .width = 1 };
	fake.rip = rip;
	CHECK_EQUAL(vee_vcpu_run(rig.vcpu), 0);
}

static void dump(void)
{
	FILE *out = fmemopen(said, sizeof(said), "w");

	memset(said, 0, sizeof(said));
	CHECK_EQUAL(vee_dump_exits(rig.vcpu, out), 0);
	fclose(out);
}

static void last_exits(void)
{
	begin(4);
	CHECK_EQUAL(vee_dump_exits(rig.vcpu, stdout), -ENOENT);
	CHECK_EQUAL(vee_vcpu_keep_exits(rig.vcpu), 0);
	CHECK_EQUAL(vee_vcpu_keep_exits(rig.vcpu), 0);
	dump();
	CHECK(!*said);
	for (unsigned int i = 0; i < 40; i++) {
		run_to(VEE_EXIT_PIO, 0x1000, 0x60);
		vee_done(rig.vcpu);
	}
	dump();
	CHECK(!strcmp(said, "  PIO write port 0x60 at 0x1000, 32 times\n"));
	run_to(VEE_EXIT_RDMSR, 0x1010, 0);
	vee_done(rig.vcpu);
	run_to(VEE_EXIT_HLT, 0x1020, 0);
	explain();
	check_says("  before that: RDMSR 0 at 0x1010; PIO write port 0x60 at 0x1000, 30 times\n");
	CHECK(!strstr(said, "missing"));
	fake.error = -EINTR;
	CHECK_EQUAL(vee_vcpu_run(rig.vcpu), -EINTR);
	fake.error = 0;
	explain();
	check_says("  before that: RDMSR 0 at 0x1010;");
	rig_end(&rig);
}

static void forgotten_vee_done(void)
{
	begin(2);
	CHECK_EQUAL(vee_vcpu_keep_exits(rig.vcpu), 0);
	run_to(VEE_EXIT_PIO, 0x1000, 0xe9);
	explain();
	CHECK(!strstr(said, "missing"));
	for (unsigned int i = 0; i < 5; i++)
		run_to(VEE_EXIT_PIO, 0x1000, 0xe9);
	explain();
	check_says("  run again 5 times without an answer: is vee_done() missing?\n");
	check_says("  before that: PIO write port 0xe9 at 0x1000, 5 times\n");
	/* An answer of the caller's own, and an event, are answers. */
	page->regs.rip = 0x1000;
	page->dirty |= VEE_STATE_REGS;
	run_to(VEE_EXIT_PIO, 0x1000, 0xe9);
	explain();
	CHECK(!strstr(said, "missing"));
	page->dirty = 0;
	vee_inject_nmi(rig.vcpu);
	run_to(VEE_EXIT_PIO, 0x1000, 0xe9);
	explain();
	CHECK(!strstr(said, "missing"));
	rig_end(&rig);
}

/* --- runs that fail --- */

#define CHECK_REFUSED(member, words) do {					\
	page->refused = offsetof(struct vee_vcpu_page, member);			\
	explain();								\
	check_says("the run failed: Invalid argument\n  " #member words);	\
} while (0)

static void refused_runs(void)
{
	begin(4);
	fake.error = -EINVAL;
	CHECK_EQUAL(vee_vcpu_run(rig.vcpu), -EINVAL);
	fake.error = 0;
	page->control.cr0 = CR0_PG;
	CHECK_REFUSED(control.cr0, " (group VEE_STATE_CONTROL) is 0x80000000: PG is set");
	check_says(": PG is set without PE\n");
	page->control.cr0 = CR0_PG | CR0_PE;
	page->control.efer = EFER_LME;
	CHECK_REFUSED(control.efer, " (group VEE_STATE_CONTROL) is 0x100: LMA must be 1");
	page->control.cr8 = 16;
	CHECK_REFUSED(control.cr8, " (group VEE_STATE_CONTROL) is 0x10: at most 15\n");
	CHECK_REFUSED(resume, " (of the vCPU page) is 0: VEE_RESUME_NEXT takes an exit");
	page->segments.idtr.limit = 65536;
	CHECK_REFUSED(segments.idtr.limit, " (group VEE_STATE_SEGMENTS) is 0x10000: a limit");
	page->refused = 4095;
	explain();
	check_says("the run failed: Invalid argument\n  at 0008:1000");
	fake.error = -ENODEV;
	CHECK_EQUAL(vee_vcpu_run(rig.vcpu), -ENODEV);
	fake.error = 0;
	explain();
	check_says("the run failed: No such device\n");
	fake.error = -EINTR;
	page->exit.reason = VEE_EXIT_INTERRUPTED;
	CHECK_EQUAL(vee_vcpu_run(rig.vcpu), -EINTR);
	fake.error = 0;
	explain();
	check_says("a signal has ended the run: run again\n");
	rig_end(&rig);
}

/* --- whatever the guest is --- */

/* What is tried must leave no trace, in memory or in the registers of SSE. */
static void nothing_changes(void)
{
	uint8_t xsave[XSAVE_BYTES];

	begin(8);
	page->segments.idtr = (struct vee_table) { 0 };
	memset(fake.xsave, 0x5a, sizeof(fake.xsave));
	memset(fake.xsave + XSAVE_BV, 0, 16);
	memcpy(xsave, fake.xsave, sizeof(xsave));
	page->regs.rbx = 0x3000;
	memset(ram + 0x3000, 0x77, 16);
	SHUTDOWN("\x0f\x28\x03");
	explain();
	SHUTDOWN("\xf0\x48\x0f\xc1\x03");
	explain();
	CHECK(!memcmp(xsave, fake.xsave, sizeof(xsave)));
	CHECK_EQUAL(ram[0x3000], 0x77);
	rig_end(&rig);
}

static void fill_random(void *place, size_t bytes)
{
	for (uint8_t *at = place, *end = at + bytes; at < end; at++)
		*at = test_random();
}

/* Of a word each bit is as likely set; so the likely ones are made likelier. */
static void random_state(void)
{
	uint64_t choice = test_random();
	struct vee_control *control = &page->control;

	if (choice & 1)
		fill_random(&page->segments, sizeof(page->segments));
	if (choice & 2)
		fill_random(control, sizeof(*control));
	if (choice & 4)
		control->cr0 |= CR0_PE | CR0_PG;
	if (choice & 8)
		control->cr3 = test_random() % DEVICE_GPA;
	if (choice & 16)
		fill_random(&page->regs, sizeof(page->regs));
	if (choice & 32)
		page->regs.rip = 0x1000;
	if (choice & 64)
		page->regs.rsp = test_random() % DEVICE_GPA;
	if (choice & 128)
		page->segments.cs.access_rights = choice >> 8 & 0xf0ff;
	if (choice >> 24 & 1)
		page->segments.idtr = (struct vee_table) { .base = IDT_GPA, .limit = 0xfff };
}

#define CASES	5000

static void any_guest(void)
{
	uint8_t *before = malloc(DEVICE_GPA);

	begin(8);
	for (unsigned int i = 0; i < CASES; i++) {
		unsigned int mode = test_random() % 3;

		rig_end(&rig);
		begin(mode == 2 ? 2 : 4 + 4 * mode);
		fill_random(ram + 0x1000, 64);
		fill_random(ram + IDT_GPA, 0x200);
		random_state();
		fill_random(&page->exit, sizeof(page->exit));
		page->exit.reason = i & 1 ? VEE_EXIT_SHUTDOWN : test_random() % 24;
		page->refused = test_random() % sizeof(*page);
		if (!(i % 64))
			memcpy(before, ram, DEVICE_GPA);
		test_case("case %u", i);
		explain();
		CHECK(i % 64 || !memcmp(before, ram, DEVICE_GPA));
	}
	rig_end(&rig);
	free(before);
}

const struct test tests[] = {
	{ "exits in words", exits_in_words },
	{ "every exit", every_exit },
	{ "all registers", all_registers },
	{ "the next instruction", next_instruction },
	{ "a segment 16 times too large", segment_16_times_too_large },
	{ "a stack beyond memory", stack_beyond_memory },
	{ "memory mapped after the access", memory_mapped_after_the_access },
	{ "a jump to a slot that may not execute", slot_that_may_not_execute },
	{ "memory that is gone", memory_that_is_gone },
	{ "no IDT", no_idt },
	{ "tables missing", tables_missing },
	{ "CR3 unaligned", cr3_unaligned },
	{ "CR0.PG without PE, long mode without PAE", control_registers },
	{ "CS not 64-bit", cs_not_64bit },
	{ "a jump to data that may not execute", jump_to_data },
	{ "a program of a C library", program_of_a_c_library },
	{ "first exceptions", first_exceptions },
	{ "first exceptions of operands", first_exceptions_of_operands },
	{ "deliveries", deliveries },
	{ "doubts", doubts },
	{ "runs that fail", refused_runs },
	{ "last exits", last_exits },
	{ "a forgotten vee_done()", forgotten_vee_done },
	{ "nothing changes", nothing_changes },
	{ "any guest", any_guest },
	{ NULL, NULL }
};
