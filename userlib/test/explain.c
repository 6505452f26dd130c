// SPDX-License-Identifier: LGPL-2.1-or-later
/* What vee_explain() says: of each exit, and of what beginners do wrong. */
#include "board.h"

static char said[16384];

static unsigned int count_lines(void)
{
	unsigned int lines = 0;

	for (const char *at = said; *at; at++)
		lines += *at == '\n';
	return lines;
}

static void explain(void)
{
	FILE *out = fmemopen(said, sizeof(said), "w");

	memset(said, 0, sizeof(said));
	CHECK_EQUAL(vee_explain(rig.vcpu, out), 0);
	fclose(out);
	CHECK(count_lines() <= VEE_EXPLAIN_LINES);
	if (getenv("VEE_SHOW"))
		fputs(said, stdout);
}

static void check_says(const char *words)
{
	test_case("%.190s", words);
	if (!CHECK(strstr(said, words)))
		printf("# said:\n%s", said);
}

/* An exit of the mode at hand, with @code at RIP. */
static void set_exit(uint32_t reason, const char *code, size_t bytes)
{
	memcpy(ram + 0x1000, code, bytes);
	page->exit = (struct vee_exit) { .reason = reason };
}

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

const struct test tests[] = {
	{ "exits in words", exits_in_words },
	{ "every exit", every_exit },
	{ "all registers", all_registers },
	{ "a segment 16 times too large", segment_16_times_too_large },
	{ "a stack beyond memory", stack_beyond_memory },
	{ "memory mapped after the access", memory_mapped_after_the_access },
	{ "a jump to a slot that may not execute", slot_that_may_not_execute },
	{ "memory that is gone", memory_that_is_gone },
	{ NULL, NULL }
};
