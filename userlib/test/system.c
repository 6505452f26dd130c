// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Instructions that do more than move data, when they touch a device: the stack, jumps,
 * segments and tables, MMX and the state of x87 and SSE. The right values are the SDM's.
 */
#include "board.h"

#define PENDING_BS	0x4000

/* --- the stack --- */

static void push_and_pop(void)
{
	begin(8);
	page->regs.rcx = 0x1122334455667788;
	CHECK_EQUAL(RUN(0x51), 0);			/* push %rcx */
	check_done();
	CHECK_EQUAL(page->regs.rsp, STACK - 8);
	CHECK_EQUAL(at(0x7f8, 8), 0x1122334455667788);
	CHECK_EQUAL(RUN(0x6a, 0xf9), 0);		/* push $-7 */
	CHECK_EQUAL(at(0x7f0, 8), -7ULL);
	CHECK_EQUAL(RUN(0x66, 0x6a, 0xf9), 0);		/* pushw $-7 */
	CHECK_EQUAL(page->regs.rsp, STACK - 18);
	CHECK_EQUAL(at(0x7ee, 2), 0xfff9);
	CHECK_EQUAL(RUN(0x66, 0x5a), 0);		/* pop %dx */
	CHECK_EQUAL(page->regs.rdx, 0xfff9);
	CHECK_EQUAL(RUN(0x41, 0x5f), 0);		/* pop %r15 */
	CHECK_EQUAL(page->regs.r15, -7ULL);
	CHECK_EQUAL(RUN(0x5c), 0);			/* pop %rsp */
	CHECK_EQUAL(page->regs.rsp, 0x1122334455667788);
	page->regs.rsp = STACK;
	CHECK_EQUAL(RUN(0x54), 0);			/* push %rsp: the old one */
	CHECK_EQUAL(at(0x7f8, 8), STACK);
	rig_end(&rig);
}

static void push_and_pop_all(void)
{
	begin(4);
	for (int i = 0; i < 8; i++)
		if (i != RSP)
			page->regs.gpr[i] = 0x1000 + i;
	CHECK_EQUAL(RUN(0x60), 0);			/* pusha */
	check_done();
	CHECK_EQUAL(page->regs.rsp, STACK - 32);
	CHECK_EQUAL(at(0x800 - 4, 4), 0x1000);
	CHECK_EQUAL(at(0x800 - 20, 4), STACK);
	CHECK_EQUAL(at(0x800 - 32, 4), 0x1000 + RDI);
	memset(page->regs.gpr, 0, 4 * 8);
	CHECK_EQUAL(RUN(0x61), 0);			/* popa */
	CHECK_EQUAL(page->regs.rbx, 0x1000 + RBX);
	CHECK_EQUAL(page->regs.rsp, STACK);
	rig_end(&rig);
}

static void frames(void)
{
	begin(8);
	page->regs.rbp = 0x55;
	CHECK_EQUAL(RUN(0xc8, 0x20, 0, 0), 0);		/* enter $32, $0 */
	check_done();
	CHECK_EQUAL(page->regs.rbp, STACK - 8);
	CHECK_EQUAL(page->regs.rsp, STACK - 8 - 0x20);
	CHECK_EQUAL(at(0x7f8, 8), 0x55);
	CHECK_EQUAL(RUN(0xc9), 0);			/* leave */
	CHECK_EQUAL(page->regs.rbp, 0x55);
	CHECK_EQUAL(page->regs.rsp, STACK);
	/* With the frame of one that it is within. */
	page->regs.rbp = DEVICE_GPA + 0x100;
	put(0xf8, 0xabc, 8);
	CHECK_EQUAL(RUN(0xc8, 0, 0, 2), 0);
	CHECK_EQUAL(at(0x7f8, 8), DEVICE_GPA + 0x100);
	CHECK_EQUAL(at(0x7f0, 8), 0xabc);
	CHECK_EQUAL(at(0x7e8, 8), STACK - 8);
	CHECK_EQUAL(page->regs.rsp, STACK - 24);
	/* SDM 2, "ENTER": with a stack of 64 bits RBP is all of RSP, whatever is pushed. */
	page->regs.rbp = 0x1122334455667788;
	page->regs.rsp = STACK;
	CHECK_EQUAL(RUN(0x66, 0xc8, 0x20, 0, 0), 0);
	CHECK_EQUAL(at(0x7fe, 2), 0x7788);
	CHECK_EQUAL(page->regs.rbp, STACK - 2);
	CHECK_EQUAL(page->regs.rsp, STACK - 2 - 0x20);
	rig_end(&rig);
}

static void flags(void)
{
	begin(8);
	page->regs.rflags = RFLAGS_1 | RFLAGS_CF | RFLAGS_RF;
	CHECK_EQUAL(RUN(0x9c), 0);			/* pushf */
	CHECK_EQUAL(at(0x7f8, 8), RFLAGS_1 | RFLAGS_CF);
	put(0x7f8, RFLAGS_1 | RFLAGS_ZF | RFLAGS_TF | RFLAGS_IOPL | RFLAGS_IF, 8);
	CHECK_EQUAL(RUN(0x9d), 0);			/* popf */
	check_at(0x1001);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_ZF | RFLAGS_TF | RFLAGS_IOPL | RFLAGS_IF);
	CHECK_EQUAL(page->events.pending_debug, 0);	/* TF traps after the next one */
	/* At CPL 3 IOPL stays, and IF with an IOPL of less. */
	page->segments.ss.access_rights |= VEE_AR_DPL;
	page->regs.rsp = STACK;
	page->regs.rflags = RFLAGS_1 | RFLAGS_IF;
	put(0x800, RFLAGS_IOPL, 8);
	CHECK_EQUAL(RUN(0x9d), 0);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_IF);
	rig_end(&rig);
}

/* --- jumps --- */

static void near_jumps(void)
{
	begin(8);
	put(0, 0x5000, 8);
	CHECK_EQUAL(RUN(0xff, 0x23), 0);		/* jmp *(%rbx) */
	check_at(0x5000);
	page->regs.rip = 0x1000;
	CHECK_EQUAL(RUN(0xff, 0x13), 0);		/* call *(%rbx) */
	check_at(0x5000);
	CHECK_EQUAL(at(0x7f8, 8), 0x1002);
	CHECK_EQUAL(RUN(0xc2, 0x10, 0), 0);		/* ret $16 */
	check_at(0x1002);
	CHECK_EQUAL(page->regs.rsp, STACK + 16);
	page->regs.rsp = STACK;
	page->regs.rflags |= RFLAGS_TF;
	page->events.interruptibility = VEE_BLOCKING_BY_STI;
	CHECK_EQUAL(RUN(0xe8, 0xfb, 0xff, 0xff, 0xff), 0);	/* call to itself */
	check_at(0x1002);
	CHECK_EQUAL(at(0x7f8, 8), 0x1007);
	CHECK_EQUAL(page->events.pending_debug, PENDING_BS);
	CHECK_EQUAL(page->events.interruptibility, 0);
	page->regs.rip = 0x1000;
	put(0, 0x8000000000000000, 8);
	CHECK_EQUAL(RUN(0xff, 0x23), 0);
	check_fault(13, 0);
	rig_end(&rig);
	begin(4);
	page->segments.cs.limit = 0x4fff;
	put(0, 0x5000, 4);
	CHECK_EQUAL(RUN(0xff, 0x23), 0);
	check_fault(13, 0);
	rig_end(&rig);
}

/* Both operands can't be accessed: SDM 2, "PUSH" reads first, "POP" from the stack. */
static void faults_that_come_first(void)
{
	begin(4);
	page->segments.ds.limit = 0xfffff;
	page->segments.ss.limit = 0xfffff;
	CHECK_EQUAL(RUN(0xff, 0x33), 0);		/* push (%ebx) */
	check_fault(13, 0);
	CHECK_EQUAL(RUN(0x8f, 0x03), 0);		/* pop (%ebx) */
	check_fault(12, 0);
	/* Where one alone can't the other has not been accessed. */
	page->segments.ds.limit = UINT32_MAX;
	CHECK_EQUAL(RUN(0xff, 0x33), 0);
	check_fault(12, 0);
	CHECK_EQUAL(accesses, 0);
	page->segments.ds.limit = 0xfffff;
	page->segments.ss.limit = UINT32_MAX;
	CHECK_EQUAL(RUN(0x8f, 0x03), 0);
	check_fault(13, 0);
	CHECK_EQUAL(accesses, 0);
	CHECK_EQUAL(page->regs.rsp, STACK);
	rig_end(&rig);
}

/* With a pointer of 64 bits to 32-bit code: of RIP the lower half counts. */
static void far_jumps_to_compatibility_mode(void)
{
	begin(8);
	put(0, 0x1234567800005000, 8);
	put(8, CODE_32, 2);
	CHECK_EQUAL(RUN(0x48, 0xff, 0x2b), 0);		/* rex.w ljmp *(%rbx) */
	check_at(0x5000);
	CHECK_EQUAL(page->segments.cs.selector, CODE_32);
	rig_end(&rig);
	begin(8);
	put(0, 0x1234567800005000, 8);
	put(8, CODE_64, 2);
	CHECK_EQUAL(RUN(0x48, 0xff, 0x2b), 0);
	check_fault(13, 0);
	rig_end(&rig);
}

static void far_jumps(void)
{
	begin(4);
	put(0, 0x5000, 4);
	put(4, CODE_32, 2);
	page->segments.cs.selector = 0x77 & ~3;
	CHECK_EQUAL(RUN(0xff, 0x1b), 0);		/* lcall *(%ebx) */
	check_at(0x5000);
	CHECK_EQUAL(page->segments.cs.selector, CODE_32);
	CHECK_EQUAL(page->segments.cs.access_rights, 0xc09b);
	CHECK_EQUAL(ram[GDT_GPA + CODE_32 + 5], 0x9b);	/* accessed */
	CHECK_EQUAL(at(0x7fc, 4), 0x74);
	CHECK_EQUAL(at(0x7f8, 4), 0x1002);
	put(0x7fc, CODE_32, 4);
	CHECK_EQUAL(RUN(0xcb), 0);			/* lret */
	check_at(0x1002);
	CHECK_EQUAL(page->regs.rsp, STACK);
	page->regs.rip = 0x1000;
	put(4, DATA_32, 2);
	CHECK_EQUAL(RUN(0xff, 0x2b), 0);		/* ljmp *(%ebx) */
	check_fault(13, DATA_32);
	put(4, 0x100, 2);
	CHECK_EQUAL(RUN(0xff, 0x2b), 0);
	check_fault(13, 0x100);
	/* Accessed is what was loaded: not a segment that the target is beyond. */
	put_descriptor(CODE_32, 0x00409a0000004fff);
	put(4, CODE_32, 2);
	CHECK_EQUAL(RUN(0xff, 0x2b), 0);
	check_fault(13, 0);
	CHECK_EQUAL(ram[GDT_GPA + CODE_32 + 5], 0x9a);
	rig_end(&rig);
	begin(2);
	page->regs.rbx = 0x10;
	page->segments.ds.base = DEVICE_GPA;
	put(0x10, 0x12345678, 4);
	CHECK_EQUAL(RUN(0xff, 0x2f), 0);		/* ljmp *(%bx) */
	check_at(0x5678);
	CHECK_EQUAL(page->segments.cs.base, 0x12340);
	rig_end(&rig);
}

static void iret(void)
{
	begin(8);
	put(0x800, 0x5000, 8);
	put(0x808, CODE_64, 8);
	put(0x810, RFLAGS_1 | RFLAGS_CF, 8);
	put(0x818, 0x7000, 8);
	put(0x820, DATA_32, 8);
	page->events.interruptibility = VEE_BLOCKING_BY_NMI;
	CHECK_EQUAL(RUN(0x48, 0xcf), 0);
	check_at(0x5000);
	CHECK_EQUAL(page->segments.cs.access_rights, 0xa09b);
	CHECK_EQUAL(page->segments.ss.selector, DATA_32);
	CHECK_EQUAL(page->regs.rsp, 0x7000);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_CF);
	CHECK_EQUAL(page->events.interruptibility, 0);
	rig_end(&rig);
}

/* SDM 2, "IRET", RETURN-TO-VIRTUAL-8086-MODE. */
static void iret_to_virtual_8086_mode(void)
{
	static const uint32_t frame[] = {
		0x5000, 0x2222, RFLAGS_1 | RFLAGS_VM | RFLAGS_IF | RFLAGS_VIF | RFLAGS_IOPL,
		0xabc0100, 0x3333, 0x1111, 0x4444, 0x5555, 0x6666,
	};

	begin(4);
	memcpy(device + 0x800, frame, sizeof(frame));
	put(0x800, 0x10000, 4);
	CHECK_EQUAL(RUN(0xcf), 0);
	check_fault(13, 0);
	CHECK_EQUAL(page->segments.cs.selector, CODE_32);
	put(0x800, 0x5000, 4);
	CHECK_EQUAL(RUN(0xcf), 0);
	check_at(0x5000);
	CHECK_EQUAL(page->regs.rsp, 0xabc0100);
	CHECK_EQUAL(page->regs.rflags, frame[2]);
	CHECK_EQUAL(page->segments.cs.selector, 0x2222);
	CHECK_EQUAL(page->segments.cs.base, 0x22220);
	CHECK_EQUAL(page->segments.ss.access_rights, 0xf3);
	CHECK_EQUAL(page->segments.es.selector, 0x1111);
	CHECK_EQUAL(page->segments.ds.base, 0x44440);
	CHECK_EQUAL(page->segments.fs.selector, 0x5555);
	CHECK_EQUAL(page->segments.gs.limit, 0xffff);
	rig_end(&rig);
}

/* Code of an 8086 program, whose stack is the device. */
static void begin_8086(unsigned int iopl)
{
	begin(2);
	page->control.cr0 |= CR0_PE;
	page->regs.rflags = RFLAGS_1 | RFLAGS_VM | iopl << 12;
	page->segments.cs.access_rights = 0xf3;
	page->segments.ss.access_rights = 0xf3;
	page->segments.ss.base = DEVICE_GPA;
	page->regs.rsp = 0x800;
}

static void flags_in_virtual_8086_mode(void)
{
	begin_8086(3);
	put(0x800, 0x5000, 2);
	put(0x802, 0x2222, 2);
	put(0x804, RFLAGS_1 | RFLAGS_IF, 2);
	CHECK_EQUAL(RUN(0xcf), 0);
	check_at(0x5000);
	CHECK_EQUAL(page->segments.cs.base, 0x22220);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_VM | RFLAGS_IF | RFLAGS_IOPL);
	CHECK_EQUAL(page->regs.rsp, 0x806);
	rig_end(&rig);
	/* With CR4.VME the program has VIF for IF. */
	begin_8086(0);
	page->control.cr4 |= CR4_VME;
	page->regs.rflags |= RFLAGS_IF | RFLAGS_VIP;
	CHECK_EQUAL(RUN(0x9c), 0);			/* pushf */
	check_done();
	CHECK_EQUAL(at(0x7fe, 2), RFLAGS_1 | RFLAGS_IOPL);
	put(0x7fe, RFLAGS_1 | RFLAGS_IF, 2);
	CHECK_EQUAL(RUN(0x9d), 0);			/* popf, which VIP waits for */
	check_fault(13, 0);
	CHECK_EQUAL(page->regs.rsp, 0x7fe);
	page->regs.rflags &= ~RFLAGS_VIP;
	CHECK_EQUAL(RUN(0x9d), 0);
	check_at(0x1001);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_VM | RFLAGS_IF | RFLAGS_VIF);
	put(0x800, 0x5000, 2);
	put(0x802, 0x2222, 2);
	put(0x804, RFLAGS_1, 2);
	CHECK_EQUAL(RUN(0xcf), 0);			/* iret */
	check_at(0x5000);
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1 | RFLAGS_VM | RFLAGS_IF);
	page->regs.rip = 0x1000;
	page->regs.rsp = 0x800;
	put(0x804, RFLAGS_1 | RFLAGS_TF, 2);
	CHECK_EQUAL(RUN(0xcf), 0);
	check_fault(13, 0);
	rig_end(&rig);
}

/* SDM 2, "PUSHF", "POPF", "IRET": below IOPL 3 #GP, but with CR4.VME of 16 bits. */
static void flags_of_no_8086_program(void)
{
	static const uint8_t codes[] = { 0x9c, 0x9d, 0xcf };

	for (unsigned int i = 0; i < 2 * sizeof(codes); i++) {
		begin_8086(2);
		page->control.cr4 |= i & 1 ? CR4_VME : 0;
		test_case("%02x, CR4.VME %u", codes[i / 2], i & 1);
		CHECK_EQUAL(i & 1 ? RUN(0x66, codes[i / 2]) : RUN(codes[i / 2]), 0);
		check_fault(13, 0);
		CHECK_EQUAL(accesses, 0);
		CHECK_EQUAL(page->regs.rsp, 0x800);
		rig_end(&rig);
	}
	test_case("%s", "");
}

/* --- with BTF --- */

#define DEBUGCTL_BTF	0x2

static void begin_btf(unsigned int mode)
{
	begin(mode);
	fake.vmcs_value = DEBUGCTL_BTF;
	page->regs.rflags |= RFLAGS_TF;
}

static void check_trap(uint64_t pending)
{
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(page->events.pending_debug, pending);
	page->events.pending_debug = 0;
	page->regs.rflags |= RFLAGS_TF;
	page->regs.rip = 0x1000;
}

/* SDM 3B, "Single-Stepping on Branches" */
static void branches_alone(void)
{
	begin_btf(8);
	put(0, 0x1002, 8);
	CHECK_EQUAL(RUN(0xff, 0x23), 0);		/* jmp *(%rbx), to the next one */
	check_trap(PENDING_BS);
	CHECK_EQUAL(RUN(0xff, 0x13), 0);		/* call *(%rbx) */
	check_trap(PENDING_BS);
	CHECK_EQUAL(RUN(0xc3), 0);			/* ret */
	check_trap(PENDING_BS);
	put(0x800, RFLAGS_1 | RFLAGS_TF, 8);
	CHECK_EQUAL(RUN(0x9d), 0);			/* popf */
	check_trap(0);
	put(0, 0x5000, 4);
	put(4, CODE_64, 2);
	CHECK_EQUAL(RUN(0xff, 0x2b), 0);		/* ljmp *(%rbx) */
	check_trap(PENDING_BS);
	page->regs.rsp = STACK;
	put(0x800, 0x5000, 8);
	put(0x808, CODE_64, 8);
	put(0x810, RFLAGS_1, 8);
	put(0x818, 0x7000, 8);
	put(0x820, DATA_32, 8);
	CHECK_EQUAL(RUN(0x48, 0xcf), 0);		/* iretq */
	check_trap(PENDING_BS);
	rig_end(&rig);
	/* In the shadow of such a load a step would not be let into the guest. */
	begin_btf(4);
	put(0, DATA_32, 2);
	CHECK_EQUAL(RUN(0x8e, 0x13), 0);		/* mov (%ebx), %ss */
	check_trap(0);
	CHECK_EQUAL(page->events.interruptibility, VEE_BLOCKING_BY_MOV_SS);
	rig_end(&rig);
	fake.vmcs_value = 0;
}

/* --- segments --- */

static void load_segments(void)
{
	begin(4);
	put(0, DATA_32, 2);
	CHECK_EQUAL(RUN(0x8e, 0x23), 0);		/* mov (%ebx), %fs */
	check_done();
	CHECK_EQUAL(page->segments.fs.access_rights, 0xc093);
	CHECK_EQUAL(page->segments.fs.limit, UINT32_MAX);
	CHECK(page->dirty & VEE_STATE_SEGMENTS);
	put(0, NOT_PRESENT, 2);
	CHECK_EQUAL(RUN(0x8e, 0x23), 0);
	check_fault(11, NOT_PRESENT);
	CHECK_EQUAL(RUN(0x8e, 0x13), 0);		/* mov (%ebx), %ss */
	check_fault(12, NOT_PRESENT);
	put(0, READ_ONLY, 2);
	CHECK_EQUAL(RUN(0x8e, 0x13), 0);
	check_fault(13, READ_ONLY);
	put(0, 0, 2);
	CHECK_EQUAL(RUN(0x8e, 0x13), 0);
	check_fault(13, 0);
	CHECK_EQUAL(RUN(0x8e, 0x23), 0);
	check_done();
	CHECK(page->segments.fs.access_rights & VEE_AR_UNUSABLE);
	put(0, DATA_32, 2);
	CHECK_EQUAL(RUN(0x8e, 0x13), 0);
	check_at(0x1002);
	CHECK_EQUAL(page->events.interruptibility, VEE_BLOCKING_BY_MOV_SS);
	put(0, 0x12345678, 4);
	put(4, READ_ONLY, 2);
	CHECK_EQUAL(RUN(0xc4, 0x0b), 0);		/* les (%ebx), %ecx */
	CHECK_EQUAL(page->regs.rcx, 0x12345678);
	CHECK_EQUAL(page->segments.es.selector, READ_ONLY);
	rig_end(&rig);
}

/* The flag goes nowhere, the load is done. */
static void tables_in_rom(void)
{
	begin(4);
	memcpy(rom, gdt, sizeof(gdt));
	CHECK_EQUAL(vee_vm_map(rig.vm, ROM_GPA, rom, PAGE_BYTES, VEE_READ), 0);
	page->segments.gdtr.base = ROM_GPA;
	page->regs.rax = DATA_32;
	rom_writes = 0;
	CHECK_EQUAL(RUN(0x8e, 0xd8), 0);		/* mov %eax, %ds */
	check_done();
	CHECK_EQUAL(page->segments.ds.access_rights, 0xc093);
	CHECK_EQUAL(RUN(0xea, 0, 0x50, 0, 0, CODE_32, 0), 0);	/* ljmp */
	check_at(0x5000);
	page->regs.rax = TSS;
	CHECK_EQUAL(RUN(0x0f, 0x00, 0xd8), 0);		/* ltr %eax */
	check_done();
	CHECK_EQUAL(page->segments.tr.access_rights, 0x8b);
	CHECK(!memcmp(rom, gdt, sizeof(gdt)));
	CHECK_EQUAL(rom_writes, 3);
	rig_end(&rig);
}

static void tables(void)
{
	begin(8);
	put(0, 0x1234, 2);
	put(2, 0x9000, 8);
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x1b), 0);		/* lidt (%rbx) */
	check_done();
	CHECK_EQUAL(page->segments.idtr.base, 0x9000);
	CHECK_EQUAL(page->segments.idtr.limit, 0x1234);
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x43, 0x20), 0);	/* sgdt 32(%rbx) */
	CHECK_EQUAL(at(0x20, 2), sizeof(gdt) - 1);
	CHECK_EQUAL(at(0x22, 8), GDT_GPA);
	put(2, 0x8000000000000000, 8);
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x13), 0);		/* lgdt */
	check_fault(13, 0);
	put(0, TSS, 2);
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x1b), 0);		/* ltr (%rbx) */
	check_done();
	CHECK_EQUAL(page->segments.tr.base, 0x8000);
	CHECK_EQUAL(ram[GDT_GPA + TSS + 5], 0x8b);
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x1b), 0);		/* it is busy now */
	check_fault(13, TSS);
	put(0, LDT, 2);
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x13), 0);		/* lldt (%rbx) */
	CHECK_EQUAL(page->segments.ldtr.base, 0x9000);
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x4b, 0x20), 0);	/* str 32(%rbx) */
	CHECK_EQUAL(at(0x20, 2), TSS);
	put(0, TSS, 2);
	CHECK_EQUAL(RUN(0x0f, 0x02, 0x0b), 0);		/* lar (%rbx), %ecx */
	CHECK_EQUAL(page->regs.rcx, 0x8b00);
	CHECK(page->regs.rflags & RFLAGS_ZF);
	CHECK_EQUAL(RUN(0x0f, 0x03, 0x0b), 0);		/* lsl */
	CHECK_EQUAL(page->regs.rcx, 0x67);
	put(0, READ_ONLY, 2);
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x2b), 0);		/* verw (%rbx) */
	CHECK(!(page->regs.rflags & RFLAGS_ZF));
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x23), 0);		/* verr */
	CHECK(page->regs.rflags & RFLAGS_ZF);
	rig_end(&rig);
}

static void status_word(void)
{
	begin(8);
	memset(device, 0xff, 16);
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x23), 0);		/* smsw (%rbx) */
	CHECK_EQUAL(at(0, 4), 0xffff0000 | (page->control.cr0 & 0xffff));
	put(0, 0xfff8, 2);
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x33), 0);		/* lmsw: PE stays */
	CHECK_EQUAL(page->control.cr0 & 0xf, 9);
	CHECK(page->dirty & VEE_STATE_CONTROL);
	rig_end(&rig);
}

/* --- others --- */

static void others(void)
{
	begin(4);
	CHECK_EQUAL(RUN(0x0f, 0xae, 0x3b), 0);		/* clflush (%ebx) */
	check_done();
	CHECK_EQUAL(accesses, 0);
	CHECK_EQUAL(RUN(0x66, 0x0f, 0xae, 0x3b), 0);	/* clflushopt */
	CHECK_EQUAL(RUN(0x66, 0x0f, 0xae, 0x33), 0);	/* clwb */
	check_done();
	page->regs.rax = 5;
	device[5] = 0x77;
	CHECK_EQUAL(RUN(0xd7), 0);			/* xlat */
	CHECK_EQUAL(page->regs.rax, 0x77);
	put(0, 0x70, 4);
	put(4, 0x77, 4);
	CHECK_EQUAL(RUN(0x62, 0x03), 0);		/* bound %eax, (%ebx) */
	check_done();
	put(4, 0x76, 4);
	CHECK_EQUAL(RUN(0x62, 0x03), 0);
	CHECK_EQUAL(page->inject.vector, 5);
	put(0, 0x13, 2);
	page->regs.rax = 3;
	CHECK_EQUAL(RUN(0x63, 0x03), 0);		/* arpl %ax, (%ebx) */
	CHECK(!(page->regs.rflags & RFLAGS_ZF));
	put(0, 0x10, 2);
	CHECK_EQUAL(RUN(0x63, 0x03), 0);
	CHECK(page->regs.rflags & RFLAGS_ZF);
	CHECK_EQUAL(at(0, 2), 0x13);
	rig_end(&rig);
}

/* TOP was 6: ST(2) is MM0. */
static void mmx(void)
{
	begin(8);
	memset(fake.xsave, 0, sizeof(fake.xsave));
	fake.xsave[XSAVE_BV] = 3;
	fake.xsave[3] = 6 << 3;
	memcpy(fake.xsave + 32 + 2 * 16, "abcdefgh", 8);
	CHECK_EQUAL(RUN(0x0f, 0x7f, 0x03), 0);		/* movq %mm0, (%rbx) */
	check_done();
	CHECK(!memcmp(device, "abcdefgh", 8));
	CHECK_EQUAL(fake.xsave[3], 0);
	CHECK_EQUAL(fake.xsave[4], 0xff);
	CHECK(!memcmp(fake.xsave + 32, "abcdefgh", 8));
	put(0, 0x1122334455667788, 8);
	CHECK_EQUAL(RUN(0x0f, 0x6f, 0x0b), 0);		/* movq (%rbx), %mm1 */
	CHECK(!memcmp(fake.xsave + 32 + 16, "\x88\x77\x66\x55\x44\x33\x22\x11\xff\xff", 10));
	CHECK_EQUAL(RUN(0x0f, 0x6e, 0x13), 0);		/* movd (%rbx), %mm2 */
	CHECK(!memcmp(fake.xsave + 32 + 32, "\x88\x77\x66\x55\0\0\0\0\xff\xff", 10));
	rig_end(&rig);
}

static void state(void)
{
	begin(8);
	for (size_t i = 0; i < sizeof(fake.xsave); i++)
		fake.xsave[i] = i;
	fake.xsave[XSAVE_BV] = 3;
	memcpy(fake.xsave + 24, "\x80\x1f\0\0\xff\xff\0\0", 8);
	CHECK_EQUAL(RUN(0x48, 0x0f, 0xae, 0x03), 0);	/* fxsave64 (%rbx) */
	check_done();
	CHECK(!memcmp(device, fake.xsave, 416));
	CHECK_EQUAL(device[416], 0);
	memset(device + 160, 0x33, 256);
	CHECK_EQUAL(RUN(0x48, 0x0f, 0xae, 0x0b), 0);	/* fxrstor64 */
	CHECK(!memcmp(device, fake.xsave, 416));
	put(24, 0xffffffff, 4);
	CHECK_EQUAL(RUN(0x48, 0x0f, 0xae, 0x0b), 0);
	check_fault(13, 0);
	CHECK_EQUAL(RUN(0x0f, 0xae, 0x53, 24), 0);	/* ldmxcsr 24(%rbx) */
	check_fault(13, 0);
	CHECK_EQUAL(RUN(0x0f, 0xae, 0x5b, 24), 0);	/* stmxcsr */
	CHECK_EQUAL(at(24, 4), 0x1f80);
	put(0, 0x27f, 2);
	CHECK_EQUAL(RUN(0xd9, 0x2b), 0);		/* fldcw (%rbx) */
	CHECK(!memcmp(fake.xsave, "\x7f\x02", 2));
	CHECK_EQUAL(RUN(0xd9, 0x7b, 8), 0);		/* fnstcw 8(%rbx) */
	CHECK_EQUAL(at(8, 2), 0x27f);
	CHECK_EQUAL(RUN(0xdd, 0x7b, 8), 0);		/* fnstsw */
	CHECK_EQUAL(at(8, 2), 0x0302);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "PUSH and POP", push_and_pop },
	{ "PUSHA and POPA", push_and_pop_all },
	{ "ENTER and LEAVE", frames },
	{ "PUSHF and POPF", flags },
	{ "near jumps, calls and returns", near_jumps },
	{ "faults that come first", faults_that_come_first },
	{ "far jumps to compatibility mode", far_jumps_to_compatibility_mode },
	{ "far jumps, calls and returns", far_jumps },
	{ "IRET", iret },
	{ "IRET to virtual-8086 mode", iret_to_virtual_8086_mode },
	{ "flags in virtual-8086 mode", flags_in_virtual_8086_mode },
	{ "flags of no 8086 program's", flags_of_no_8086_program },
	{ "steps on branches alone", branches_alone },
	{ "loads of segment registers", load_segments },
	{ "descriptor tables in a ROM", tables_in_rom },
	{ "descriptor tables, LTR, LLDT, LAR, LSL, VERR, VERW", tables },
	{ "SMSW and LMSW", status_word },
	{ "CLFLUSH and kin, XLAT, BOUND, ARPL", others },
	{ "MMX", mmx },
	{ "FXSAVE, FXRSTOR, MXCSR, x87 control", state },
	{ 0 }
};
