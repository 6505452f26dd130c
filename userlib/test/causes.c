// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What vee_explain() says of rarer things: each exception that an instruction raises by
 * itself, each way in which its delivery or an entry fails.
 */
#include "../explain/explain.h"
#include "said.h"

#define CR0_EM		0x4ULL
#define EM_TS_MP	(CR0_EM | CR0_TS | CR0_MP)

/* --- by itself --- */

static void no_change(void)
{
}

static void set_em(void)
{
	page->control.cr0 |= CR0_EM;
}

static void set_ts_and_mp(void)
{
	page->control.cr0 |= CR0_TS | CR0_MP;
}

static void set_de(void)
{
	page->control.cr4 |= CR4_DE;
}

static void set_user(void)
{
	page->segments.cs.selector |= 3;
	page->segments.ss.access_rights |= VEE_AR_DPL;
}

static void set_overflow(void)
{
	page->regs.rflags |= RFLAGS_OF;
}

static void set_sce(void)
{
	page->control.efer |= EFER_SCE;
}

static void set_high_bits(void)
{
	page->regs.rax = 1ULL << 32;
}

static void set_nw(void)
{
	page->regs.rax = CR0_NW | CR0_PE;
}

static void set_pe_alone(void)
{
	page->regs.rax = CR0_PE;
}

static void set_lme(void)
{
	page->control.efer = EFER_LME;
	page->control.cr4 |= CR4_PAE;
	page->segments.cs.access_rights |= VEE_AR_L;
	page->regs.rax = CR0_PG | CR0_PE;
}

static void set_large_dividend(void)
{
	page->regs.rdx = 0x80000000;
	page->regs.rbx = 1;
}

static const struct {
	unsigned int mode;
	char code[17];		/* and zeros behind it */
	void (*set_up)(void);
	const char *words;
} cases[] = {
	{ 8, "\x0f\x22\xc0", set_high_bits, "#GP(0)" TRIED "bits 63:32 of CR0 must be 0\n" },
	{ 4, "\x0f\x22\xc0", set_nw, "#GP(0)" TRIED "CR0.NW is set without CR0.CD\n" },
	{ 4, "\x0f\x22\xc0", set_lme, "#GP(0)" TRIED "CR0.PG is set with EFER.LME, from a CS" },
	{ 8, "\x0f\x22\xc0", set_pe_alone, "CR0.PG is cleared in 64-bit mode\n" },
	{ 8, "\x0f\x23\xe0", set_de, "#UD" TRIED "CR4.DE is 1: no DR4, no DR5\n" },
	{ 4, "\x0f\x28\xc1", set_em, "#UD" TRIED "CR0.EM is 1: no SSE\n" },
	{ 4, "\x0f\x6f\xc1", set_em, "#UD" TRIED "CR0.EM is 1: no MMX\n" },
	{ 4, "\xd9\xe8", set_em, "#NM" TRIED "CR0.EM is 1: no x87\n" },
	{ 4, "\x9b", set_ts_and_mp, "#NM" TRIED "CR0.TS and CR0.MP are 1\n" },
	{ 4, "\x9b", set_em, "the instruction raises none\n" },
	{ 4, "\xfa", set_user, "#GP(0)" TRIED "CPL is above RFLAGS.IOPL\n" },
	{ 4, "\xce", set_overflow, "#OF" TRIED "INTO, with RFLAGS.OF 1\n" },
	{ 4, "\xce", no_change, "the instruction raises none\n" },
	{ 8, "\xf1", no_change, "#DB" TRIED "INT1\n" },
	{ 8, "\x48\x0f\x07", no_change, "#UD" TRIED "EFER.SCE is 0\n" },
	{ 8, "\x0f\x05", set_sce, "the instruction raises none\n" },
	{ 2, "\x0f\x00\xd8", no_change, "#UD" TRIED "protected mode alone has it\n" },
	{ 4, "\xf7\xfb", set_large_dividend, "#DE" TRIED "the quotient is too large\n" },
	{ 4, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", no_change,
	  "#GP(0)" TRIED "the instruction is longer than 15 bytes\n" },
};

static void instructions(void)
{
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(cases[i].mode);
		page->segments.idtr = (struct vee_table) { 0 };
		cases[i].set_up();
		set_exit(VEE_EXIT_SHUTDOWN, cases[i].code, sizeof(cases[i].code));
		explain();
		check_says(cases[i].words);
		rig_end(&rig);
	}
}

/* An instruction whose second byte is in a page that is not there. */
static void the_end_of_an_instruction(void)
{
	begin(8);
	fake.identity = false;
	fake_map(0x1000, 0x1000, VEE_READ | VEE_WRITE, false);
	fake_paging(&rig);
	page->segments.idtr = (struct vee_table) { 0 };
	page->regs.rip = 0x1fff;
	page->control.cr2 = 0x2000;
	SHUTDOWN("");
	ram[0x1fff] = 0x48;
	explain();
	check_says("#PF(0)" TRIED "the fetch of the instruction's end at gva 0x2000");
	rig_end(&rig);
}

/* --- its delivery --- */

static void handlers_code(void)
{
	static const struct {
		uint64_t descriptor;
		const char *words;
	} codes[] = {
		{ 0x00ef9a000000ffff, "(descriptor 0xef9a000000ffff), has both L and D/B set\n" },
		{ 0x00af1a000000ffff, "(descriptor 0xaf1a000000ffff), is not present\n" },
		{ 0x00affa000000ffff, "has a DPL that the interrupted code can't go to\n" },
	};

	begin_idt(8);
	put_gate(6, 0x00008e0000485000);
	SHUTDOWN(UD2);
	for (unsigned int i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		put_descriptor(CODE_64, codes[i].descriptor);
		explain();
		check_says(codes[i].words);
	}
	rig_end(&rig);
}

/* INT n of a user's, through a gate that is the kernel's. */
static void gates_of_the_kernel(void)
{
	static const uint64_t gates[] = {
		0x00008e0000085000, 0x00008f0000085000, 0x0000860000085000, 0x0000850000280000,
	};

	for (unsigned int i = 0; i < sizeof(gates) / sizeof(*gates); i++) {
		begin_idt(4);
		set_user();
		put_gate(0x30, gates[i]);
		SHUTDOWN("\xcd\x30");
		explain();
		check_says("INT 0x30" MISSED "IDT entry 48 at gva 0x11180");
		check_says(", has a DPL below the CPL of the instruction\n");
		rig_end(&rig);
	}
}

/* Whose page it is that is not there, read-only, or another's. */
static void pages_on_the_way(void)
{
	begin_idt(8);
	put_gate(6, 0x00008e0000485000);
	SHUTDOWN(UD2);
	page->segments.gdtr.base = 0x500000000000;
	explain();
	check_says("#UD" MISSED "its GDT entry is at gva 0x500000000048: PML4E 160");
	page->segments.gdtr.base = GDT_GPA;
	put_gate(6, 0x00008e00004c5000);
	page->segments.ldtr = (struct vee_segment) {
		.base = 0x510000000000, .limit = 0xfff, .access_rights = 0x82,
	};
	explain();
	check_says("#UD" MISSED "its LDT entry is at gva 0x510000000048: PML4E 162");
	put_gate(6, 0x00008e0000485000);
	page->control.cr0 |= CR0_WP;
	page->regs.rsp = 0x600000;
	*fake_entry(0x400000, 1) &= ~2ULL;
	explain();
	check_says("#UD" MISSED "its stack is at gva 0x5ffff8: PDE 2 at gpa");
	check_says(", is read-only\n");
	/* The identity's pages are the user's. */
	page->control.cr4 |= CR4_SMAP;
	explain();
	check_says("a user's page is not for the supervisor (CR4.SMAP)\n");
	page->control.cr4 = (page->control.cr4 & ~CR4_SMAP) | CR4_PKE;
	fake.xsave[XSAVE_BV + 1] = 2;
	fake.xsave[XSAVE_PKRU] = 1;		/* key 0: no access */
	explain();
	check_says("its protection key forbids it\n");
	rig_end(&rig);
}

/* 32-bit paging without PSE: what looks like a large page is a table. */
static void tables_of_32_bits(void)
{
	begin_idt(4);
	page->control.cr0 |= CR0_PG;
	page->control.cr3 = 0x20000;
	memcpy(ram + 0x20000, &(uint32_t) { 0x21087 }, 4);
	memcpy(ram + 0x21000 + 4, &(uint32_t) { 0x1007 }, 4);
	SHUTDOWN(UD2);
	explain();
	check_says("#UD" MISSED "its IDT entry is at gva 0x11030: PTE 17 at gpa 0x21044, 0, ");
	page->regs.rip = 0x2000;
	explain();
	check_says("    PDE     0 at gpa 0x20000: 0x21087, writable, user, a table\n");
	check_says("    PTE     2 at gpa 0x21008: 0, not present\n");
	rig_end(&rig);
}

/* Of the program's own level, with alignment checks on. */
static void stack_not_aligned(void)
{
	begin_idt(4);
	put_descriptor(CODE_32, 0x00cffa000000ffff);
	set_user();
	page->control.cr0 |= CR0_AM;
	page->regs.rflags |= RFLAGS_AC;
	page->regs.rsp = 0x8001;
	put_gate(3, 0x0000ee00000b5000);
	SHUTDOWN("\xcc");
	explain();
	check_says("#BP" MISSED "its stack is not aligned\n");
	rig_end(&rig);
}

/* What was injected last, as far as that can be read. */
static void last_injected(void)
{
	begin_idt(8);
	SHUTDOWN("\x90");
	page->segments.idtr.limit = 0;
	fake.vmcs_value = 0x80000309;		/* no exception that has a name */
	explain();
	check_says("last injected was exception 9\n");
	fake.vmcs_value = 0x80000b0e;
	explain();
	check_says("last injected was #PF(0x80000b0e)\n");
	fake.request_error = -EIO;
	fake.fail_request = 2;			/* of the error code */
	explain();
	CHECK_EQUAL(fake.fail_request, 0);
	check_says("which exception came first isn't known: the instruction raises none\n");
	rig_end(&rig);
}

/* --- exits --- */

static void memory_exits(void)
{
	static const struct {
		unsigned int access;
		int error;
		const char *words;
	} errors[] = {
		{ VEE_WRITE, -EACCES, ": map it with VEE_WRITE, or see vee_mmio_assist()\n" },
		{ VEE_READ, -EACCES, "which its slot forbids: map it with VEE_READ\n" },
		{ VEE_WRITE, -ENOSPC, "its slot's pool is used up: vee_vm_template_reset()" },
		{ VEE_READ, -EHWPOISON, "where the host's memory is broken\n" },
		{ VEE_READ, -ENOMEM, "for which the host has no memory left\n" },
	};

	begin(4);
	for (unsigned int i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		set_exit(VEE_EXIT_MEMORY, "\x89\x03", 2);
		page->exit.memory = (struct vee_exit_memory) {
			.gpa = 0x5000, .access = errors[i].access, .error = errors[i].error,
		};
		explain();
		check_says(errors[i].words);
	}
	page->events.delivering.vector = 14;
	page->events.delivering.flags = VEE_EVENT_VALID;
	explain();
	check_says("  on the way to the handler of vector 14, whose delivery waits\n");
	rig_end(&rig);
}

/* Of PDPTEs that can't be had there is nothing to tell, and that is no end. */
static void pdptes_out_of_memory(void)
{
	begin(4);
	page->control.cr0 |= CR0_PG;
	page->control.cr4 |= CR4_PAE;
	page->control.cr3 = 0x7000000;
	page->dirty = VEE_STATE_CONTROL;
	set_exit(VEE_EXIT_MMIO, "\x90", 1);
	page->exit.memory = (struct vee_exit_memory) {
		.gpa = DEVICE_GPA, .gva = DEVICE_GPA, .gva_valid = 1, .access = VEE_WRITE,
	};
	explain();
	check_says("the guest writes at gpa 0x200000 (gva 0x200000), where the VM has no memory\n");
	CHECK(!strstr(said, "walk of gva"));
	rig_end(&rig);
}

static void other_exits(void)
{
	begin(4);
	set_exit(VEE_EXIT_DEBUG, "\x90", 1);
	page->exit.debug = (struct vee_exit_debug) { .vector = 1, .dr6 = 0x4000 };
	explain();
	check_says("#DB, which the caller intercepts; DR6 would be 0x4000\n");
	set_exit(VEE_EXIT_OTHER, "\x90", 1);
	page->exit.hardware_reason = 9;
	page->exit.qualification = 0x40000028;
	explain();
	check_says("the guest switches to the task 0x28: vee_task_switch_assist() does it\n");
	/* A VM without memory. */
	CHECK_EQUAL(vee_vm_unmap(rig.vm, 0, DEVICE_GPA), 0);
	page->exit = (struct vee_exit) {
		.reason = VEE_EXIT_MMIO, .memory = { .gpa = 0x1000, .access = VEE_EXECUTE },
	};
	explain();
	check_says("  the VM has no memory: vee_vm_alloc(), vee_vm_map()\n");
	rig_end(&rig);
}

static void come_back(uint32_t reason, uint64_t what)
{
	page->exit = (struct vee_exit) { .reason = reason };
	if (reason == VEE_EXIT_CPUID)
		page->exit.cpuid.leaf = what;
	else
		page->exit.memory = (struct vee_exit_memory) { .gpa = what, .access = VEE_WRITE };
	fake.rip = what;
	CHECK_EQUAL(vee_vcpu_run(rig.vcpu), 0);
}

/* What they were about; and no more of them than a line has room for. */
static void exits_kept(void)
{
	begin(4);
	CHECK_EQUAL(vee_vcpu_keep_exits(rig.vcpu), 0);
	for (unsigned int i = 0; i < 20; i++)
		come_back(VEE_EXIT_CPUID, 0x12340000 + i);
	come_back(VEE_EXIT_MMIO, 0xfee00000);
	come_back(VEE_EXIT_MMIO, 0xfee00000);
	explain();
	check_says("  before that: MMIO write gpa 0xfee00000 at 0xfee00000; CPUID leaf");
	check_says(" 0x12340013 at 0x12340013\n");
	rig_end(&rig);
}

static void refused_cr0(void)
{
	begin(4);
	page->control.cr0 = CR0_PE | CR0_NW;
	fake.run_error = -EINVAL;
	CHECK_EQUAL(vee_vcpu_run(rig.vcpu), -EINVAL);
	page->refused = offsetof(struct vee_vcpu_page, control.cr0);
	explain();
	check_says("NW is set without CD\n");
	rig_end(&rig);
}

static void an_audit_that_fails(void)
{
	begin(4);
	set_exit(VEE_EXIT_ENTRY_FAILED, "\xf4", 1);
	page->exit.hardware_reason = 33;
	page->valid = VEE_STATE_ALL;
	fake.request_error = -EIO;
	fake.fail_request = 1;
	explain();
	CHECK_EQUAL(fake.fail_request, 0);
	check_says("  which rule is broken can't be said: Input/output error\n");
	rig_end(&rig);
}

const struct test tests[] = {
	{ "instructions", instructions },
	{ "the end of an instruction", the_end_of_an_instruction },
	{ "the handler's code", handlers_code },
	{ "gates of the kernel's", gates_of_the_kernel },
	{ "pages on the way", pages_on_the_way },
	{ "tables of 32 bits", tables_of_32_bits },
	{ "a stack that is not aligned", stack_not_aligned },
	{ "what was injected last", last_injected },
	{ "exits about memory", memory_exits },
	{ "PDPTEs out of memory", pdptes_out_of_memory },
	{ "other exits", other_exits },
	{ "exits that are kept", exits_kept },
	{ "CR0 that is refused", refused_cr0 },
	{ "an audit that fails", an_audit_that_fails },
	{ 0 }
};
