// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Returns to outer levels, stacks of inner ones, and descriptors that few guests have. The
 * right values are the SDM's.
 */
#include "board.h"

#define CONFORMING	0x30		/* free in the board's GDT */
#define OTHER		0x58
#define CODE_USER	(OTHER | 3)

static void put_stack(const uint32_t *items, unsigned int count)
{
	memcpy(device + 0x800, items, count * sizeof(*items));
}

/* --- returns to outer levels --- */

static void begin_return(void)
{
	struct vee_segments *segments;

	begin(4);
	segments = &page->segments;
	put_descriptor(OTHER, 0x00cffa000000ffff);
	segments->es.access_rights = 0xc09e;		/* conforming code */
	segments->es.selector = CONFORMING;
	segments->fs.access_rights = VEE_AR_UNUSABLE;
	segments->gs.access_rights = 0xc0f3;		/* data of level 3 */
	segments->gs.selector = DATA_USER;
}

/* SDM 2, "RET": what the outer level may not have is gone, the rest stays. */
static void check_outer(uint64_t rsp)
{
	const struct vee_segments *segments = &page->segments;

	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->regs.rip, 0x5000);
	CHECK_EQUAL(segments->cs.selector, CODE_USER);
	CHECK_EQUAL(segments->ss.selector, DATA_USER);
	CHECK_EQUAL(segments->ss.access_rights & VEE_AR_DPL, VEE_AR_DPL);
	CHECK_EQUAL(page->regs.rsp, rsp);
	CHECK_EQUAL(segments->ds.selector, 0);
	CHECK_EQUAL(segments->ds.access_rights & VEE_AR_UNUSABLE, VEE_AR_UNUSABLE);
	CHECK_EQUAL(segments->es.selector, CONFORMING);
	CHECK_EQUAL(segments->es.access_rights, 0xc09e);
	CHECK_EQUAL(segments->gs.selector, DATA_USER);
	CHECK_EQUAL(segments->gs.access_rights, 0xc0f3);
}

static void far_returns(void)
{
	static const uint32_t frame[] = { 0x5000, CODE_USER, 0x7000, DATA_USER };
	static const uint32_t with_one[] = { 0x5000, CODE_USER, 0xbad, 0x7000, DATA_USER };
	static const uint32_t no_stack[] = { 0x5000, CODE_USER, 0x7000, 0 };

	begin_return();
	put_stack(frame, 4);
	CHECK_EQUAL(RUN(0xcb), 0);			/* lret */
	check_outer(0x7000);
	rig_end(&rig);
	begin_return();
	put_stack(with_one, 5);
	CHECK_EQUAL(RUN(0xca, 0x04, 0x00), 0);		/* lret $4: off both stacks */
	check_outer(0x7004);
	rig_end(&rig);
	begin_return();
	put_stack(no_stack, 4);
	CHECK_EQUAL(RUN(0xcb), 0);
	check_fault(13, 0);
	CHECK_EQUAL(page->segments.cs.selector, CODE_32);
	CHECK_EQUAL(page->segments.ds.access_rights & VEE_AR_UNUSABLE, 0);
	rig_end(&rig);
}

/* Of a stack of 16 bits SP alone is loaded. */
static void interrupt_returns(void)
{
	static const uint32_t frame[] = { 0x5000, CODE_USER, RFLAGS_1, 0x12347000, DATA_USER };

	begin_return();
	put_stack(frame, 5);
	CHECK_EQUAL(RUN(0xcf), 0);			/* iret */
	check_outer(0x12347000);
	rig_end(&rig);
	begin_return();
	put_descriptor(DATA_USER, 0x000ff2000000ffff);
	put_stack(frame, 5);
	CHECK_EQUAL(RUN(0xcf), 0);
	check_outer((STACK & ~0xffffULL) | 0x7000);
	rig_end(&rig);
}

/* --- stacks of inner levels --- */

static void deliver(struct vee_event event)
{
	page->events.delivering = event;
	exit_flags = VEE_EXIT_EVENT_PENDING;
	CHECK_EQUAL(RUN(0x90), 0);
	exit_flags = 0;
}

static const struct vee_event interrupt = {
	.vector = 0x21, .type = VEE_EVENT_INTERRUPT, .flags = VEE_EVENT_VALID,
};

static void begin_event(unsigned int mode, unsigned int vector, uint64_t gate)
{
	begin(mode);
	memcpy(ram + IDT_GPA + vector * (mode == 8 ? 16 : 8), &gate, sizeof(gate));
	page->segments.idtr = (struct vee_table) { .base = IDT_GPA, .limit = 0xfff };
	page->segments.tr = (struct vee_segment) {
		.selector = TSS, .base = 0x8000, .limit = 0x67, .access_rights = 0x8b,
	};
}

/* SDM 3A, "Interrupt Stack Table": of entry 3, whatever the level. */
static void stack_by_table(void)
{
	begin_event(8, 0x21, 0x00008e0300485000);
	memcpy(ram + 0x8000 + 36 + 16, &(uint64_t) { DEVICE_GPA + 0x608 }, 8);
	page->regs.rsp = 0x7000;
	deliver(interrupt);
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->regs.rip, 0x5000);
	CHECK_EQUAL(page->regs.rsp, DEVICE_GPA + 0x600 - 40);
	CHECK_EQUAL(at(0x5f0, 8), 0x7000);		/* RSP, below SS */
	rig_end(&rig);
}

/* SDM 3A, "16-Bit Task-State Segment (TSS)": SP and SS of level 0. */
static void stack_of_a_16_bit_task(void)
{
	begin_event(4, 0x21, 0x00008e0000085000);
	page->segments.tr.access_rights = 0x83;
	page->segments.tr.limit = 0x2b;
	memcpy(ram + 0x8000 + 2, (const uint16_t[]) { 0x6000, DATA_32 }, 4);
	page->segments.cs.selector |= 3;
	page->segments.ss.selector = DATA_USER;
	page->segments.ss.access_rights |= VEE_AR_DPL;
	deliver(interrupt);
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->regs.rip, 0x5000);
	CHECK_EQUAL(page->segments.ss.selector, DATA_32);
	CHECK_EQUAL(page->regs.rsp, 0x6000 - 20);
	CHECK(!memcmp(ram + 0x6000 - 4, &(uint32_t) { DATA_USER }, 4));
	rig_end(&rig);
}

/* Its handler is not interrupted by another one. */
static void nmi(void)
{
	begin_event(4, 2, 0x00008e0000085000);
	page->events.interruptibility = VEE_BLOCKING_BY_STI;
	deliver((struct vee_event) {
		.vector = 2, .type = VEE_EVENT_NMI, .flags = VEE_EVENT_VALID });
	CHECK_EQUAL(page->regs.rip, 0x5000);
	CHECK_EQUAL(page->events.interruptibility, VEE_BLOCKING_BY_NMI);
	rig_end(&rig);
}

/* SDM 3B, "Virtual-8086 Mode Extensions": a TSS that ends before the bitmap's place. */
static void no_redirection_bitmap(void)
{
	begin_event(4, 0x21, 0x00008e0000085000);
	page->regs.rflags = RFLAGS_1 | RFLAGS_VM;
	page->control.cr4 |= CR4_VME;
	page->segments.ss.access_rights = 0xf3;
	page->segments.tr.limit = 0x66;
	deliver((struct vee_event) {
		.vector = 0x21, .type = VEE_EVENT_SOFT_INTERRUPT, .flags = VEE_EVENT_VALID,
		.instruction_length = 2 });
	check_fault(13, 0);
	rig_end(&rig);
}

/* --- descriptors --- */

static int jump_to(uint16_t selector)
{
	put(0, 0x5000, 4);
	put(4, selector, 2);
	return RUN(0xff, 0x2b);				/* ljmp *(%ebx) */
}

static void code_segments(void)
{
	begin(4);
	put_descriptor(OTHER, 0x00cf1a000000ffff);	/* not present */
	CHECK_EQUAL(jump_to(OTHER), 0);
	check_fault(11, OTHER);
	put_descriptor(CONFORMING, 0x00cf9e000000ffff);
	page->segments.cs.selector |= 3;		/* from level 3 */
	page->segments.ss.access_rights |= VEE_AR_DPL;
	CHECK_EQUAL(jump_to(CONFORMING), 0);
	check_at(0x5000);
	CHECK_EQUAL(page->segments.cs.selector, CONFORMING | 3);
	page->regs.rip = 0x1000;
	put_descriptor(CONFORMING, 0x00cffe000000ffff);	/* of an outer level */
	page->segments.ss.access_rights &= ~VEE_AR_DPL;
	CHECK_EQUAL(jump_to(CONFORMING), 0);
	check_fault(13, CONFORMING);
	rig_end(&rig);
}

static int load_ds(uint16_t selector)
{
	put(0, selector, 2);
	return RUN(0x8e, 0x1b);				/* mov (%ebx), %ds */
}

static void data_segments(void)
{
	begin(4);
	CHECK_EQUAL(load_ds(LDT), 0);			/* a system segment */
	check_fault(13, LDT);
	put_descriptor(OTHER, 0x00cf98000000ffff);	/* code that can't be read */
	CHECK_EQUAL(load_ds(OTHER), 0);
	check_fault(13, OTHER);
	put_descriptor(CONFORMING, 0x00cf9e000000ffff);
	page->segments.ss.access_rights |= VEE_AR_DPL;
	CHECK_EQUAL(load_ds(DATA_32), 0);		/* of an inner level... */
	check_fault(13, DATA_32);
	CHECK_EQUAL(load_ds(CONFORMING | 3), 0);	/* ...which is all the same here */
	check_done();
	CHECK_EQUAL(page->segments.ds.selector, CONFORMING | 3);
	rig_end(&rig);
}

static void pointers(void)
{
	begin(4);
	put(0, 0x12345678, 4);
	put(4, DATA_32, 2);
	CHECK_EQUAL(RUN(0x0f, 0xb2, 0x0b), 0);		/* lss (%ebx), %ecx */
	check_done();
	CHECK_EQUAL(page->regs.rcx, 0x12345678);
	CHECK_EQUAL(page->segments.ss.selector, DATA_32);
	put(0, 0x9abc, 4);
	CHECK_EQUAL(RUN(0x0f, 0xb4, 0x13), 0);		/* lfs (%ebx), %edx */
	check_done();
	CHECK_EQUAL(page->regs.rdx, 0x9abc);
	CHECK_EQUAL(page->segments.fs.selector, DATA_32);
	rig_end(&rig);
}

static int load_task(uint16_t selector)
{
	put(0, selector, 2);
	return RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x00, 0x1b);	/* ltr (%ebx) */
}

static void task_registers(void)
{
	begin(4);
	CHECK_EQUAL(load_task(0), 0);
	check_fault(13, 0);
	page->segments.ldtr = (struct vee_segment) {	/* the same table, once more */
		.selector = LDT, .base = GDT_GPA, .limit = 0x5f, .access_rights = 0x82,
	};
	CHECK_EQUAL(load_task(TSS | 4), 0);
	check_fault(13, TSS | 4);
	CHECK_EQUAL(ram[GDT_GPA + TSS + 5], 0x89);
	CHECK_EQUAL(load_task(DATA_32), 0);
	check_fault(13, DATA_32);
	put_descriptor(OTHER, 0x0000090080000067);	/* not present */
	CHECK_EQUAL(load_task(OTHER), 0);
	check_fault(11, OTHER);
	CHECK_EQUAL(load_task(TSS), 0);
	check_done();
	CHECK_EQUAL(page->segments.tr.selector, TSS);
	CHECK_EQUAL(ram[GDT_GPA + TSS + 5], 0x8b);
	rig_end(&rig);
}

/* With operands of 16 bits a base has 24. */
static void tables_of_24_bits(void)
{
	begin(4);
	put(0, 0x27, 2);
	put(2, 0xab123456, 4);
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x66, 0x0f, 0x01, 0x13), 0);	/* lgdt (%ebx) */
	check_done();
	CHECK_EQUAL(page->segments.gdtr.base, 0x123456);
	CHECK_EQUAL(page->segments.gdtr.limit, 0x27);
	rig_end(&rig);
}

/* What a program may ask of a selector that is in a register; the table is the device's. */
static void check_asked(uint16_t selector, bool verr, uint32_t lar)
{
	test_case("%#x", selector);
	page->regs.rax = selector;
	page->regs.rcx = 0x55;
	CHECK_EQUAL(RUN(0x0f, 0x00, 0xe0), 0);		/* verr %ax */
	check_done();
	CHECK_EQUAL(!!(page->regs.rflags & RFLAGS_ZF), verr);
	CHECK_EQUAL(RUN(0x0f, 0x02, 0xc8), 0);		/* lar %eax, %ecx */
	check_done();
	CHECK_EQUAL(page->regs.rcx, lar);
	CHECK_EQUAL(!!(page->regs.rflags & RFLAGS_ZF), lar != 0x55);
}

static void questions(void)
{
	begin(4);
	put_descriptor(CONFORMING, 0x00cf9e000000ffff);
	memcpy(device + 0x400, ram + GDT_GPA, sizeof(gdt));
	page->segments.gdtr.base = DEVICE_GPA + 0x400;
	check_asked(DATA_32, true, 0xcf9200);
	check_asked(LDT, false, 0x8200);		/* a system segment's is told */
	check_asked(0, false, 0x55);
	page->segments.ss.access_rights |= VEE_AR_DPL;
	check_asked(DATA_32, false, 0x55);		/* of an inner level */
	check_asked(CONFORMING | 3, true, 0xcf9e00);	/* which is no matter here */
	rig_end(&rig);
}

/* Of four operands, and of none. */
static void not_done(void)
{
	begin(8);
	CHECK_EQUAL(RUN(0xc4, 0xe3, 0x69, 0x4a, 0x03, 0x10), -EOPNOTSUPP);	/* vblendvps */
	CHECK_EQUAL(RUN(0x0f, 0x77), -EOPNOTSUPP);				/* emms */
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	CHECK_EQUAL(accesses, 0);
	rig_end(&rig);
}

/* --- registers of vectors --- */

#define MXCSR_AT	24
#define MXCSR_MASK_AT	28

static void mxcsr(void)
{
	begin(4);
	page->control.cr4 |= CR4_OSFXSR;
	memcpy(fake.xsave + MXCSR_MASK_AT, &(uint32_t) { 0xffff }, 4);
	put(0, 0x1fc0, 4);
	CHECK_EQUAL(RUN(0x0f, 0xae, 0x13), 0);		/* ldmxcsr (%ebx) */
	check_done();
	CHECK(!memcmp(fake.xsave + MXCSR_AT, &(uint32_t) { 0x1fc0 }, 4));
	put(0, 0x11fc0, 4);
	CHECK_EQUAL(RUN(0x0f, 0xae, 0x13), 0);
	check_fault(13, 0);
	rig_end(&rig);
}

/* A load of a YMM register clears the rest of the ZMM register, if there is any. */
static void upper_halves(void)
{
	fake.avx512 = true;
	begin(8);
	page->control.cr4 |= CR4_OSFXSR;
	memset(fake.xsave + XSAVE_ZMM_HIGH, 0x77, 64);
	fake.xsave[XSAVE_BV] = 0x47;			/* ZMM_Hi256, AVX, SSE, x87 */
	memset(device, 0x5a, 32);
	CHECK_EQUAL(RUN(0xc5, 0xfc, 0x10, 0x03), 0);	/* vmovups (%rbx), %ymm0 */
	check_done();
	CHECK_EQUAL(fake.xsave[XSAVE_XMM], 0x5a);
	CHECK_EQUAL(fake.xsave[XSAVE_YMM + 15], 0x5a);
	CHECK_EQUAL(fake.xsave[XSAVE_ZMM_HIGH], 0);
	CHECK_EQUAL(fake.xsave[XSAVE_ZMM_HIGH + 31], 0);
	CHECK_EQUAL(fake.xsave[XSAVE_ZMM_HIGH + 32], 0x77);	/* ZMM1's */
	rig_end(&rig);
}

const struct test tests[] = {
	{ "far returns to an outer level", far_returns },
	{ "IRET to an outer level", interrupt_returns },
	{ "a stack of the interrupt stack table", stack_by_table },
	{ "the stack of a 16-bit task", stack_of_a_16_bit_task },
	{ "an NMI's handler", nmi },
	{ "no room for the redirection bitmap", no_redirection_bitmap },
	{ "code segments", code_segments },
	{ "data segments", data_segments },
	{ "pointers", pointers },
	{ "task registers", task_registers },
	{ "tables of 24 bits", tables_of_24_bits },
	{ "VERR and LAR of a register", questions },
	{ "instructions that are not done", not_done },
	{ "MXCSR", mxcsr },
	{ "upper halves", upper_halves },
	{ 0 }
};
