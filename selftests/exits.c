// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each kind of exit: what user space is told of it, and that the guest goes on
 * as the caller's answer says.
 */
#include <sys/time.h>

#include "vee_util.h"

#define PORT		0x1234
#define REASON_PIO	30
#define REASON_TASK	9

#define CODE_PAGE	(GPA_CODE / PAGE_BYTES)

FIXTURE(exits) {
	struct guest g;
};

FIXTURE_SETUP(exits)
{
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(exits)
{
	guest_close(&self->g);
}

/* --- ports ----------------------------------------------------------------- */

GUEST_LABEL(out_1);
GUEST_LABEL(out_2);
GUEST_LABEL(out_4);
GUEST_LABEL(out_end);
GUEST_CODE(out_code, 64,
	   "mov $0xf1f2f3f4, %eax; mov $0x1234, %edx;"
	   "out_1: out %al, $0x42;"
	   "out_2: out %ax, %dx;"
	   "out_4: out %eax, %dx;"
	   "out_end: hlt");

TEST_F(exits, pio_out)
{
	const struct {
		__u64 rip, data, qualification;
		__u16 port;
		__u8 width, length;
	} outs[] = {
		{ AT(out_code, out_1), 0xf4, 0x00420040, 0x42, 1, 2 },
		{ AT(out_code, out_2), 0xf3f4, 0x12340001, PORT, 2, 2 },
		{ AT(out_code, out_4), 0xf1f2f3f4, 0x12340003, PORT, 4, 1 },
	};
	struct vee_exit *exit = &self->g.page->exit;
	unsigned int i;

	GUEST_LONG(&self->g, out_code);
	for (i = 0; i < ARRAY_SIZE(outs); i++) {
		ASSERT_RUN_AT(&self->g, VEE_EXIT_PIO, outs[i].rip);
		EXPECT_EQ(REASON_PIO, exit->hardware_reason);
		EXPECT_EQ(outs[i].qualification, exit->qualification);
		EXPECT_EQ(outs[i].length, exit->instruction_length);
		EXPECT_EQ(outs[i].port, exit->pio.port);
		EXPECT_EQ(outs[i].width, exit->pio.width);
		EXPECT_EQ(VEE_PIO_OUT, exit->pio.direction);
		EXPECT_EQ(0, exit->pio.string);
		EXPECT_EQ(0, exit->pio.rep);
		EXPECT_EQ(1, exit->pio.count);
		EXPECT_EQ(outs[i].data, exit->pio.data);
		EXPECT_EQ(0, exit->pio.reserved);
		guest_resume_next(&self->g);
	}
	ASSERT_HLT(&self->g, AT(out_code, out_end));
}

GUEST_CODE(in_code, 64,
	   "mov $0x1234, %edx;"
	   "mov $-1, %rax; in $0x42, %al; mov %rax, 0x20000;"
	   "mov $-1, %rax; in %dx, %ax; mov %rax, 0x20008;"
	   "mov $-1, %rax; in %dx, %eax; mov %rax, 0x20010;"
	   "hlt");

TEST_F(exits, pio_in)
{
	static const struct {
		__u64 rax;
		__u16 port;
		__u8 width;
	} ins[] = {
		{ 0xffffffffffffff55, 0x42, 1 },
		{ 0xffffffffffff5566, PORT, 2 },
		{ 0x55667788, PORT, 4 },
	};
	struct vee_exit *exit = &self->g.page->exit;
	unsigned int i;

	GUEST_LONG(&self->g, in_code);
	for (i = 0; i < ARRAY_SIZE(ins); i++) {
		ASSERT_RUN(&self->g, VEE_EXIT_PIO);
		EXPECT_EQ(ins[i].port, exit->pio.port);
		EXPECT_EQ(ins[i].width, exit->pio.width);
		EXPECT_EQ(VEE_PIO_IN, exit->pio.direction);
		EXPECT_EQ(0, exit->pio.string);
		EXPECT_EQ(1, exit->pio.count);
		EXPECT_EQ(0, exit->pio.data);
		EXPECT_EQ(-1ULL, self->g.page->regs.rax);
		self->g.page->regs.rax = ins[i].rax;
		guest_resume_next(&self->g);
	}
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	for (i = 0; i < ARRAY_SIZE(ins); i++) {
		EXPECT_EQ(ins[i].rax, guest_read64(&self->g, GPA_DATA + 8 * i))
			TH_LOG("width %u", ins[i].width);
	}
}

/* The lowest and the highest port; nothing is special about any. */
GUEST_CODE(out_ends, 64,
	   "xor %eax, %eax; xor %edx, %edx; out %al, %dx;"
	   "dec %dx; out %al, %dx; hlt");

TEST_F(exits, pio_port_range)
{
	GUEST_LONG(&self->g, out_ends);
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(0, self->g.page->exit.pio.port);
	guest_resume_next(&self->g);
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(0xffff, self->g.page->exit.pio.port);
	guest_resume_next(&self->g);
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
}

/* At CPL 3 the guest's IOPL decides first. */
TEST_F(exits, pio_user)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, out_ends);
	guest_set_user(g);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(0, guest_read64(g, g->page->regs.rsp));
	GUEST_LONG(g, out_ends);
	guest_set_user(g);
	g->page->regs.rflags |= X86_EFLAGS_IOPL;
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(0, g->page->exit.pio.port);
}

GUEST_CODE(rep_outsb, 64, "rep outsb; hlt");
GUEST_CODE(rep_insw, 64, "rep insw; hlt");
GUEST_CODE(outsl, 64, "outsl; hlt");
GUEST_CODE(insb, 64, "insb; hlt");
GUEST_CODE(backwards, 64, "std; rep outsw; hlt");
GUEST_CODE(addr32_outsb, 64, ".byte 0x67, 0xf3, 0x6e; hlt");
GUEST_CODE(fs_outsb, 64, ".byte 0x64, 0xf3, 0x6e; hlt");
GUEST_CODE(rep_outsb_32, 32, "rep outsb; hlt");
GUEST_CODE(rep_outsb_16, 16, "rep outsb; hlt");
GUEST_CODE(rep_insb_16, 16, "rep insb; hlt");

/* What the string forms share: a REP count of 5, from GPA_DATA to GPA_DATA. */
static void set_string_registers(struct guest *g)
{
	g->page->regs.rdx = PORT;
	g->page->regs.rcx = 5;
	g->page->regs.rsi = GPA_DATA;
	g->page->regs.rdi = GPA_DATA + 0x100;
}

TEST_F(exits, pio_rep_outsb)
{
	struct vee_regs *regs = &self->g.page->regs;
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, rep_outsb);
	set_string_registers(&self->g);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_PIO, GPA_CODE);
	EXPECT_EQ(PORT, exit->pio.port);
	EXPECT_EQ(1, exit->pio.width);
	EXPECT_EQ(VEE_PIO_OUT, exit->pio.direction);
	EXPECT_EQ(1, exit->pio.string);
	EXPECT_EQ(1, exit->pio.rep);
	EXPECT_EQ(8, exit->pio.address_width);
	EXPECT_EQ(5, exit->pio.count);
	EXPECT_EQ(GPA_DATA, exit->pio.gva);
	/* Nothing of it is done. */
	EXPECT_EQ(5, regs->rcx);
	EXPECT_EQ(GPA_DATA, regs->rsi);
	/* A caller may do a part of it ... */
	regs->rcx -= 2;
	regs->rsi += 2;
	ASSERT_RUN_AT(&self->g, VEE_EXIT_PIO, GPA_CODE);
	EXPECT_EQ(3, exit->pio.count);
	EXPECT_EQ(GPA_DATA + 2, exit->pio.gva);
	/* ... or all of it. */
	regs->rcx = 0;
	regs->rsi += 3;
	guest_resume_next(&self->g);
	ASSERT_HLT(&self->g, GPA_CODE + 2);
	EXPECT_EQ(0, regs->rcx);
}

TEST_F(exits, pio_rep_insw)
{
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, rep_insw);
	set_string_registers(&self->g);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_PIO, GPA_CODE);
	EXPECT_EQ(2, exit->pio.width);
	EXPECT_EQ(VEE_PIO_IN, exit->pio.direction);
	EXPECT_EQ(1, exit->pio.string);
	EXPECT_EQ(1, exit->pio.rep);
	EXPECT_EQ(5, exit->pio.count);
	EXPECT_EQ(GPA_DATA + 0x100, exit->pio.gva);
}

TEST_F(exits, pio_string_without_rep)
{
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, outsl);
	set_string_registers(&self->g);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_PIO, GPA_CODE);
	EXPECT_EQ(4, exit->pio.width);
	EXPECT_EQ(1, exit->pio.string);
	EXPECT_EQ(0, exit->pio.rep);
	EXPECT_EQ(1, exit->pio.count);
	EXPECT_EQ(GPA_DATA, exit->pio.gva);
	GUEST_LONG(&self->g, insb);
	set_string_registers(&self->g);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_PIO, GPA_CODE);
	EXPECT_EQ(1, exit->pio.width);
	EXPECT_EQ(VEE_PIO_IN, exit->pio.direction);
	EXPECT_EQ(1, exit->pio.count);
	EXPECT_EQ(GPA_DATA + 0x100, exit->pio.gva);
}

TEST_F(exits, pio_backwards)
{
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, backwards);
	set_string_registers(&self->g);
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(2, exit->pio.width);
	EXPECT_EQ(5, exit->pio.count);
	EXPECT_EQ(GPA_DATA, exit->pio.gva);
}

/* The count and the address have as many bits as the instruction uses. */
TEST_F(exits, pio_address_width)
{
	struct vee_regs *regs = &self->g.page->regs;
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, addr32_outsb);
	set_string_registers(&self->g);
	regs->rcx = 0x700000003;
	regs->rsi |= 0x700000000;
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(4, exit->pio.address_width);
	EXPECT_EQ(3, exit->pio.count);
	EXPECT_EQ(GPA_DATA, exit->pio.gva);
	GUEST_PROTECTED(&self->g, rep_outsb_32);
	set_string_registers(&self->g);
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(4, exit->pio.address_width);
	EXPECT_EQ(5, exit->pio.count);
	EXPECT_EQ(GPA_DATA, exit->pio.gva);
	GUEST_REAL(&self->g, rep_outsb_16);
	set_string_registers(&self->g);
	regs->rcx = 0x70003;
	regs->rsi = 0x71000;
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(2, exit->pio.address_width);
	EXPECT_EQ(3, exit->pio.count);
	EXPECT_EQ(0x1000, exit->pio.gva);
}

/* The linear address has the base of the segment in it. */
TEST_F(exits, pio_segment_base)
{
	struct vee_segments *s = &self->g.page->segments;
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, fs_outsb);
	set_string_registers(&self->g);
	s->fs.base = 0x3000;
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(GPA_DATA + 0x3000, exit->pio.gva);
	GUEST_REAL(&self->g, rep_outsb_16);
	set_string_registers(&self->g);
	s->ds.base = 0x20000;
	s->ds.selector = 0x2000;
	self->g.page->regs.rsi = 0x34;
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(0x20034, exit->pio.gva);
	GUEST_REAL(&self->g, rep_insb_16);
	set_string_registers(&self->g);
	s->es.base = 0x10000;
	s->es.selector = 0x1000;
	self->g.page->regs.rdi = 0x56;
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	EXPECT_EQ(0x10056, exit->pio.gva);
}

/* --- memory that is not there ---------------------------------------------- */

#define MMIO_GPA	(GPA_MMIO + 0x123)
#define NOPS		"; .fill 16, 1, 0x90"

GUEST_CODE(load_1, 64, "mov (%rbx), %al" NOPS);
GUEST_CODE(load_8, 64, "mov (%rbx), %rax" NOPS);
GUEST_CODE(load_extend, 64, "movzbl (%rbx), %eax" NOPS);
GUEST_CODE(load_sse, 64, "movups (%rbx), %xmm0" NOPS);
GUEST_CODE(load_test, 64, "testl $1, (%rbx)" NOPS);
GUEST_CODE(load_string, 64, "mov $0x20000, %edi; xchg %rbx, %rsi; movsb" NOPS);
GUEST_CODE(store_1, 64, "mov %al, (%rbx)" NOPS);
GUEST_CODE(store_4, 64, "movl $0x12345678, (%rbx)" NOPS);
GUEST_CODE(store_string, 64, "mov %rbx, %rdi; stosl" NOPS);
GUEST_CODE(store_push, 64, "lea 8(%rbx), %rsp; push %rax" NOPS);
GUEST_CODE(modify_inc, 64, "incl (%rbx)" NOPS);
GUEST_CODE(modify_lock, 64, "lock orl $1, (%rbx)" NOPS);
GUEST_CODE(modify_xchg, 64, "xchg %eax, (%rbx)" NOPS);

struct access {
	const char *what;
	const unsigned char *code, *end;
	__u32 must;
	__u32 may;
};

/*
 * Of a read-modify-write the CPU reports the write; whether the read too, is its
 * own choice (SDM 3C, "Exit Qualification").
 */
#define ACCESS(code, must, may) \
	{ #code, code, code##_end, must, may }

static const struct access accesses[] = {
	ACCESS(load_1, VEE_READ, 0),
	ACCESS(load_8, VEE_READ, 0),
	ACCESS(load_extend, VEE_READ, 0),
	ACCESS(load_sse, VEE_READ, 0),
	ACCESS(load_test, VEE_READ, 0),
	ACCESS(load_string, VEE_READ, 0),
	ACCESS(store_1, VEE_WRITE, 0),
	ACCESS(store_4, VEE_WRITE, 0),
	ACCESS(store_string, VEE_WRITE, 0),
	ACCESS(store_push, VEE_WRITE, 0),
	ACCESS(modify_inc, VEE_WRITE, VEE_READ),
	ACCESS(modify_lock, VEE_WRITE, VEE_READ),
	ACCESS(modify_xchg, VEE_WRITE, VEE_READ),
};

TEST_F(exits, mmio)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;
	const struct access *a;

	for (a = accesses; a < accesses + ARRAY_SIZE(accesses); a++) {
		guest_start(&self->g, guest_set_long, a->code, a->end);
		self->g.page->regs.rbx = MMIO_GPA;
		ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
		EXPECT_EQ(MMIO_GPA, memory->gpa) TH_LOG("%s", a->what);
		EXPECT_EQ(1, memory->gva_valid) TH_LOG("%s", a->what);
		EXPECT_EQ(MMIO_GPA, memory->gva) TH_LOG("%s", a->what);
		EXPECT_EQ(a->must, memory->access & ~a->may)
			TH_LOG("%s", a->what);
		EXPECT_EQ(0, memory->error) TH_LOG("%s", a->what);
		EXPECT_EQ(0, memory->walk) TH_LOG("%s", a->what);
		EXPECT_EQ(VEE_INSN_MAX, memory->insn_bytes)
			TH_LOG("%s", a->what);
		EXPECT_EQ(0, memcmp(self->g.mem + self->g.page->regs.rip,
				    memory->insn, VEE_INSN_MAX))
			TH_LOG("%s", a->what);
	}
}

/* The answer: the caller decodes, loads the register, and moves RIP on. */
GUEST_CODE(mmio_loads, 64,
	   "mov (%rbx), %rax; mov %rax, 0x20000; hlt");

TEST_F(exits, mmio_answered)
{
	GUEST_LONG(&self->g, mmio_loads);
	self->g.page->regs.rbx = MMIO_GPA;
	ASSERT_RUN_AT(&self->g, VEE_EXIT_MMIO, GPA_CODE);
	/* At the same place it exits again. */
	ASSERT_RUN_AT(&self->g, VEE_EXIT_MMIO, GPA_CODE);
	self->g.page->regs.rax = 0x1122334455667788;
	guest_set_rip(&self->g, GPA_CODE + 3);
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(0x1122334455667788, guest_read64(&self->g, GPA_DATA));
}

/* Or the caller says how long the instruction is that it did. */
TEST_F(exits, mmio_resume_next)
{
	struct vee_vcpu_page *page = self->g.page;
	static const __u8 lengths[] = { 0, 16, 255 };
	unsigned int i;

	GUEST_LONG(&self->g, mmio_loads);
	page->regs.rbx = MMIO_GPA;
	ASSERT_RUN_AT(&self->g, VEE_EXIT_MMIO, GPA_CODE);
	EXPECT_EQ(0, page->exit.instruction_length);
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		page->exit.instruction_length = lengths[i];
		page->resume = VEE_RESUME_NEXT;
		EXPECT_EQ(-EINVAL, guest_run(&self->g));
	}
	page->exit.instruction_length = 3;
	page->regs.rax = 0x99;
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(0x99, guest_read64(&self->g, GPA_DATA));
}

/* Or it puts memory there, and has the guest try again. */
TEST_F(exits, mmio_backed)
{
	__u64 *page = anon_memory(PAGE_BYTES);

	ASSERT_NE(MAP_FAILED, page);
	page[0] = 0x99aabbccddeeff00;
	GUEST_LONG(&self->g, mmio_loads);
	self->g.page->regs.rbx = GPA_MMIO;
	ASSERT_RUN_AT(&self->g, VEE_EXIT_MMIO, GPA_CODE);
	ASSERT_EQ(0, vm_map(self->g.vm, GPA_MMIO, page, PAGE_BYTES, VEE_READ));
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(page[0], guest_read64(&self->g, GPA_DATA));
	EXPECT_EQ(0, vm_unmap(self->g.vm, GPA_MMIO, PAGE_BYTES));
	munmap(page, PAGE_BYTES);
}

/* Linear and physical addresses differ: the second GiB maps the first again. */
TEST_F(exits, mmio_linear_address)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;

	GUEST_LONG(&self->g, load_8);
	guest_write64(&self->g, GPA_PDPT + 8, GPA_PD | PTE_ALL);
	self->g.page->regs.rbx = PAGES_1G + MMIO_GPA;
	ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
	EXPECT_EQ(MMIO_GPA, memory->gpa);
	EXPECT_EQ(1, memory->gva_valid);
	EXPECT_EQ(PAGES_1G + MMIO_GPA, memory->gva);
}

TEST_F(exits, mmio_fetch)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;

	GUEST_LONG(&self->g, load_1);
	guest_set_rip(&self->g, GPA_MMIO);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_MMIO, GPA_MMIO);
	EXPECT_EQ(GPA_MMIO, memory->gpa);
	EXPECT_EQ(GPA_MMIO, memory->gva);
	EXPECT_EQ(VEE_EXECUTE, memory->access);
	EXPECT_EQ(0, memory->insn_bytes);
}

/* The guest's page tables are where there is no memory. */
TEST_F(exits, mmio_page_table)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;

	GUEST_LONG(&self->g, load_1);
	self->g.page->control.cr3 = GPA_MMIO;
	ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
	EXPECT_EQ(GPA_MMIO, memory->gpa);
	EXPECT_EQ(1, memory->walk);
	EXPECT_EQ(GPA_CODE, memory->gva);
	EXPECT_EQ(VEE_READ, memory->access & VEE_READ);
	EXPECT_EQ(0, memory->access & VEE_EXECUTE);
	EXPECT_EQ(0, memory->insn_bytes);
}

/* An access that begins in memory and ends where there is none. */
TEST_F(exits, mmio_across_the_end)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;

	GUEST_LONG(&self->g, load_8);
	self->g.page->regs.rbx = GUEST_BYTES - 3;
	ASSERT_RUN_AT(&self->g, VEE_EXIT_MMIO, GPA_CODE);
	EXPECT_EQ(GUEST_BYTES, memory->gpa & ~(PAGE_BYTES - 1));
}

TEST_F(exits, mmio_without_instruction_bytes)
{
	self->g.page->prefetch = VEE_STATE_REGS;
	GUEST_LONG(&self->g, load_8);
	self->g.page->regs.rbx = MMIO_GPA;
	ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
	EXPECT_EQ(MMIO_GPA, self->g.page->exit.memory.gpa);
	EXPECT_EQ(0, self->g.page->exit.memory.insn_bytes);
	EXPECT_EQ(0, self->g.page->exit.memory.code_width);
}

/* The instruction ends where the memory does. */
TEST_F(exits, mmio_instruction_at_the_end)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;
	const unsigned char *code = self->g.mem + GUEST_BYTES - 3;

	GUEST_LONG(&self->g, load_8);
	memcpy(self->g.mem + GUEST_BYTES - 3, load_8, 3);
	self->g.page->regs.rbx = MMIO_GPA;
	guest_set_rip(&self->g, GUEST_BYTES - 3);
	ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
	EXPECT_EQ(3, memory->insn_bytes);
	EXPECT_EQ(0, memcmp(code, memory->insn, 3));
}

/* The instruction lies in two pages that are not neighbours in memory. */
TEST_F(exits, mmio_instruction_in_two_pages)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;
	__u64 rip = GPA_CODE + PAGE_BYTES - 2, other = 0x15000;
	__u64 *pt;

	GUEST_LONG(&self->g, load_1);
	pt = guest_split_page(&self->g);
	pt[CODE_PAGE + 1] = other | PTE_ALL;
	memset(self->g.mem + GPA_CODE + PAGE_BYTES, 0xcc, 16);
	memcpy(self->g.mem + rip, load_8, 2);
	memcpy(self->g.mem + other, load_8 + 2, 14);
	self->g.page->regs.rbx = MMIO_GPA;
	guest_set_rip(&self->g, rip);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_MMIO, rip);
	EXPECT_EQ(MMIO_GPA, memory->gpa);
	EXPECT_EQ(VEE_INSN_MAX, memory->insn_bytes);
	EXPECT_EQ(0, memcmp(load_8, memory->insn, VEE_INSN_MAX));
}

/* Real mode: the instruction's bytes are found by CS's base. */
GUEST_CODE(load_4, 64, "mov (%rbx), %eax" NOPS);
GUEST_CODE(real_load, 16, "mov 0x10, %al" NOPS);

TEST_F(exits, mmio_real_mode)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;
	struct vee_segments *s = &self->g.page->segments;

	GUEST_REAL(&self->g, real_load);
	s->cs.base = GPA_CODE;
	s->cs.selector = GPA_CODE / 16;
	s->ds.base = GPA_MMIO;
	guest_set_rip(&self->g, 0);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_MMIO, 0);
	EXPECT_EQ(GPA_MMIO + 0x10, memory->gpa);
	EXPECT_EQ(GPA_MMIO + 0x10, memory->gva);
	EXPECT_EQ(VEE_INSN_MAX, memory->insn_bytes);
	EXPECT_EQ(0, memcmp(real_load, memory->insn, VEE_INSN_MAX));
	EXPECT_EQ(2, memory->code_width);
}

/* The same bytes are other instructions in other code segments. */
TEST_F(exits, mmio_code_width)
{
	struct vee_exit_memory *memory = &self->g.page->exit.memory;
	struct vee_segments *s = &self->g.page->segments;

	GUEST_LONG(&self->g, load_4);
	self->g.page->regs.rbx = MMIO_GPA;
	ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
	EXPECT_EQ(8, memory->code_width);
	/* Compatibility mode. */
	GUEST_LONG(&self->g, load_4);
	self->g.page->regs.rbx = MMIO_GPA;
	s->cs = segment(SEL_CODE32, AR_CODE32);
	ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
	EXPECT_EQ(4, memory->code_width);
	GUEST_PROTECTED(&self->g, load_4);
	self->g.page->regs.rbx = MMIO_GPA;
	ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
	EXPECT_EQ(4, memory->code_width);
}

/* --- HLT ------------------------------------------------------------------- */

GUEST_CODE(halts, 64, "hlt; hlt; sti; nop; hlt; cli; hlt");

TEST_F(exits, hlt)
{
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, halts);
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(1, exit->instruction_length);
	EXPECT_EQ(12, exit->hardware_reason);
	EXPECT_EQ(0, exit->flags & VEE_EXIT_INTERRUPT_READY);
	ASSERT_HLT(&self->g, GPA_CODE);
	guest_resume_next(&self->g);
	ASSERT_HLT(&self->g, GPA_CODE + 1);
	guest_resume_next(&self->g);
	ASSERT_HLT(&self->g, GPA_CODE + 4);
	EXPECT_EQ(VEE_EXIT_INTERRUPT_READY,
		  exit->flags & VEE_EXIT_INTERRUPT_READY);
	EXPECT_EQ(VEE_EXIT_NMI_READY, exit->flags & VEE_EXIT_NMI_READY);
	EXPECT_EQ(0, exit->flags & VEE_EXIT_EVENT_PENDING);
	guest_resume_next(&self->g);
	ASSERT_HLT(&self->g, GPA_CODE + 6);
	EXPECT_EQ(0, exit->flags & VEE_EXIT_INTERRUPT_READY);
}

/* --- VMCALL ---------------------------------------------------------------- */

GUEST_CODE(vmcalls, 64, "vmcall; vmcall; hlt");
GUEST_CODE(vmcalls_32, 32, "vmcall; hlt");
GUEST_CODE(vmcalls_16, 16, "vmcall; hlt");

TEST_F(exits, hypercall)
{
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, vmcalls);
	self->g.page->regs.rax = 0x1234;
	ASSERT_RUN_AT(&self->g, VEE_EXIT_HYPERCALL, GPA_CODE);
	EXPECT_EQ(0, exit->hypercall.cpl);
	EXPECT_EQ(1, exit->hypercall.long_mode);
	EXPECT_EQ(3, exit->instruction_length);
	EXPECT_EQ(18, exit->hardware_reason);
	EXPECT_EQ(0x1234, self->g.page->regs.rax);
	guest_resume_next(&self->g);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_HYPERCALL, GPA_CODE + 3);
	guest_resume_next(&self->g);
	ASSERT_HLT(&self->g, GPA_CODE + 6);
}

TEST_F(exits, hypercall_user)
{
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_LONG(&self->g, vmcalls);
	guest_set_user(&self->g);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_HYPERCALL, GPA_CODE);
	EXPECT_EQ(3, exit->hypercall.cpl);
	EXPECT_EQ(1, exit->hypercall.long_mode);
	guest_resume_next(&self->g);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_HYPERCALL, GPA_CODE + 3);
	guest_resume_next(&self->g);
	/* HLT at CPL 3. */
	ASSERT_VECTOR(&self->g, VECTOR_GP);
	EXPECT_EQ(0, exit->hypercall.cpl);
}

TEST_F(exits, hypercall_other_modes)
{
	struct vee_exit *exit = &self->g.page->exit;

	GUEST_PROTECTED(&self->g, vmcalls_32);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_HYPERCALL, GPA_CODE);
	EXPECT_EQ(0, exit->hypercall.cpl);
	EXPECT_EQ(0, exit->hypercall.long_mode);
	GUEST_PROTECTED(&self->g, vmcalls_32);
	guest_set_user(&self->g);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_HYPERCALL, GPA_CODE);
	EXPECT_EQ(3, exit->hypercall.cpl);
	EXPECT_EQ(0, exit->hypercall.long_mode);
	GUEST_REAL(&self->g, vmcalls_16);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_HYPERCALL, GPA_CODE);
	EXPECT_EQ(0, exit->hypercall.cpl);
	EXPECT_EQ(0, exit->hypercall.long_mode);
	guest_resume_next(&self->g);
	ASSERT_HLT(&self->g, GPA_CODE + 3);
}

/* --- model-specific registers ---------------------------------------------- */

GUEST_CODE(rdmsr_code, 64, "rdmsr; mov %rax, 0x20000; mov %rdx, 0x20008; hlt");
GUEST_CODE(wrmsr_code, 64, "wrmsr; hlt");

/* In the bitmap's two ranges, at their ends, and outside. */
static const __u32 foreign_msrs[] = {
	0x0, 0x1b, 0x3b, 0x1a0, 0x1fff, 0x2000, 0x4b564d00, 0xbfffffff,
	0xc0000104, 0xc0001fff, 0xc0002000, 0xffffffff,
};

TEST_F(exits, rdmsr)
{
	struct vee_exit *exit = &self->g.page->exit;
	struct vee_regs *regs = &self->g.page->regs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(foreign_msrs); i++) {
		GUEST_LONG(&self->g, rdmsr_code);
		/* The upper half of RCX does not count. */
		regs->rcx = foreign_msrs[i] | 0x500000000ULL;
		ASSERT_RUN_AT(&self->g, VEE_EXIT_RDMSR, GPA_CODE);
		EXPECT_EQ(foreign_msrs[i], exit->msr.index);
		EXPECT_EQ(0, exit->msr.value);
		EXPECT_EQ(31, exit->hardware_reason);
		EXPECT_EQ(2, exit->instruction_length);
		regs->rax = 0x11112222;
		regs->rdx = 0x33334444;
		guest_resume_next(&self->g);
		ASSERT_RUN(&self->g, VEE_EXIT_HLT);
		EXPECT_EQ(0x11112222, guest_read64(&self->g, GPA_DATA));
		EXPECT_EQ(0x33334444, guest_read64(&self->g, GPA_DATA + 8));
	}
}

TEST_F(exits, wrmsr)
{
	struct vee_exit *exit = &self->g.page->exit;
	struct vee_regs *regs = &self->g.page->regs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(foreign_msrs); i++) {
		GUEST_LONG(&self->g, wrmsr_code);
		regs->rcx = foreign_msrs[i];
		regs->rax = 0x7777777711112222;
		regs->rdx = 0x7777777733334444;
		ASSERT_RUN_AT(&self->g, VEE_EXIT_WRMSR, GPA_CODE);
		EXPECT_EQ(foreign_msrs[i], exit->msr.index);
		EXPECT_EQ(0x3333444411112222, exit->msr.value);
		EXPECT_EQ(32, exit->hardware_reason);
		guest_resume_next(&self->g);
		ASSERT_HLT(&self->g, GPA_CODE + 2);
	}
}

/* The caller may answer with a fault instead. */
TEST_F(exits, msr_refused)
{
	GUEST_LONG(&self->g, rdmsr_code);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_RDMSR, GPA_CODE);
	guest_inject_error(&self->g, VECTOR_GP, 0);
	ASSERT_VECTOR(&self->g, VECTOR_GP);
	EXPECT_EQ(0, guest_read64(&self->g, self->g.page->regs.rsp));
	EXPECT_EQ(GPA_CODE, guest_read64(&self->g, self->g.page->regs.rsp + 8));
}

/* At CPL 3 the CPU answers before vee is asked. */
TEST_F(exits, msr_user)
{
	GUEST_LONG(&self->g, rdmsr_code);
	guest_set_user(&self->g);
	ASSERT_VECTOR(&self->g, VECTOR_GP);
	GUEST_LONG(&self->g, wrmsr_code);
	guest_set_user(&self->g);
	ASSERT_VECTOR(&self->g, VECTOR_GP);
}

/* --- CPUID ----------------------------------------------------------------- */

GUEST_CODE(cpuid_code, 64,
	   "cpuid; mov %rax, 0x20000; mov %rbx, 0x20008;"
	   "mov %rcx, 0x20010; mov %rdx, 0x20018; hlt");

TEST_F(exits, cpuid_in_kernel)
{
	struct guest *g = &self->g;
	__u32 host[4];

	host_cpuid(0, 0, host);
	GUEST_LONG(g, cpuid_code);
	g->page->regs.rax = 0xffffffff00000000;
	g->page->regs.rbx = -1ULL;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(host[1], guest_read64(g, GPA_DATA + 8));
	EXPECT_EQ(host[2], guest_read64(g, GPA_DATA + 16));
	EXPECT_EQ(host[3], guest_read64(g, GPA_DATA + 24));
	EXPECT_EQ(0, guest_read64(g, GPA_DATA) >> 32);
}

TEST_F(exits, cpuid_intercepted)
{
	struct guest *g = &self->g;
	struct vee_exit_cpuid *cpuid = &g->page->exit.cpuid;
	__u32 host[4];

	host_cpuid(0, 0, host);
	g->page->intercept = VEE_INTERCEPT_CPUID;
	GUEST_LONG(g, cpuid_code);
	g->page->regs.rcx = 7;
	ASSERT_RUN_AT(g, VEE_EXIT_CPUID, GPA_CODE);
	EXPECT_EQ(0, cpuid->leaf);
	EXPECT_EQ(7, cpuid->subleaf);
	EXPECT_EQ(host[1], cpuid->ebx);
	EXPECT_EQ(host[2], cpuid->ecx);
	EXPECT_EQ(host[3], cpuid->edx);
	EXPECT_EQ(10, g->page->exit.hardware_reason);
	/* The caller's answer, not vee's. */
	g->page->regs.rax = 1;
	g->page->regs.rbx = 2;
	g->page->regs.rcx = 3;
	g->page->regs.rdx = 4;
	guest_resume_next(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(1, guest_read64(g, GPA_DATA));
	EXPECT_EQ(2, guest_read64(g, GPA_DATA + 8));
	EXPECT_EQ(3, guest_read64(g, GPA_DATA + 16));
	EXPECT_EQ(4, guest_read64(g, GPA_DATA + 24));
}

/* Told to go on at the same place, with the intercept gone, vee answers. */
TEST_F(exits, cpuid_intercept_dropped)
{
	struct guest *g = &self->g;
	__u32 host[4];

	host_cpuid(0, 0, host);
	g->page->intercept = VEE_INTERCEPT_CPUID;
	GUEST_LONG(g, cpuid_code);
	ASSERT_RUN_AT(g, VEE_EXIT_CPUID, GPA_CODE);
	g->page->intercept = 0;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(host[1], guest_read64(g, GPA_DATA + 8));
}

/* --- the end --------------------------------------------------------------- */

GUEST_CODE(undefined, 64, "ud2");

TEST_F(exits, shutdown)
{
	GUEST_LONG(&self->g, undefined);
	self->g.page->segments.idtr.limit = 0;
	ASSERT_RUN(&self->g, VEE_EXIT_SHUTDOWN);
	EXPECT_EQ(2, self->g.page->exit.hardware_reason);
	EXPECT_EQ(0, self->g.page->exit.instruction_length);
	/* What the exit had no instruction for cannot be skipped. */
	guest_resume_next(&self->g);
	EXPECT_EQ(-EINVAL, guest_run(&self->g));
	self->g.page->resume = VEE_RESUME_HERE;
	/* It can be started again. */
	GUEST_LONG(&self->g, halts);
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* A task switch, by a far call to a TSS: not done for the guest, but named. */
GUEST_CODE(task_switch, 32, ".byte 0x9a; .long 0; .word 0x38; hlt");

TEST_F(exits, task_switch)
{
	GUEST_PROTECTED(&self->g, task_switch);
	ASSERT_RUN_AT(&self->g, VEE_EXIT_OTHER, GPA_CODE);
	EXPECT_EQ(REASON_TASK, self->g.page->exit.hardware_reason);
	EXPECT_EQ(SEL_TSS, self->g.page->exit.qualification & 0xffff);
}

/* --- VEE_RESUME_NEXT ------------------------------------------------------- */

/* Not after an exit that is no instruction's, nor if the caller moved RIP. */
TEST_F(exits, resume_next_refused)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halts);
	ASSERT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	ASSERT_RUN_AT(g, VEE_EXIT_KICKED, GPA_CODE);
	guest_resume_next(g);
	EXPECT_EQ(-EINVAL, guest_run(g));
	g->page->resume = VEE_RESUME_HERE;
	ASSERT_HLT(g, GPA_CODE);
	guest_resume_next(g);
	guest_set_rip(g, GPA_CODE + 4);
	EXPECT_EQ(-EINVAL, guest_run(g));
	/* Dirty is no matter, if RIP is what it was. */
	g->page->regs.rip = GPA_CODE;
	ASSERT_HLT(g, GPA_CODE + 1);
}

/* Taken over by a run that a kick ends at once: it is done, and done once. */
TEST_F(exits, resume_next_taken_over)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halts);
	ASSERT_HLT(g, GPA_CODE);
	ASSERT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	guest_resume_next(g);
	ASSERT_RUN_AT(g, VEE_EXIT_KICKED, GPA_CODE + 1);
	EXPECT_EQ(VEE_RESUME_HERE, g->page->resume);
	ASSERT_HLT(g, GPA_CODE + 1);
}

/* RFLAGS that the caller changes at an exit are kept by the skip. */
TEST_F(exits, resume_next_with_flags)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halts);
	ASSERT_HLT(g, GPA_CODE);
	g->page->regs.rflags |= X86_EFLAGS_CF | X86_EFLAGS_IF;
	g->page->dirty = VEE_STATE_REGS;
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_CF | X86_EFLAGS_IF,
		  g->page->regs.rflags);
}

/* Blocking by STI lasts as long as the instruction after it is not done. */
GUEST_LABEL(sti_out_next);
GUEST_CODE(sti_out, 64, "sti; out %al, $0x42; sti_out_next: nop; hlt");

TEST_F(exits, resume_next_ends_sti_blocking)
{
	struct guest *g = &self->g;

	g->page->prefetch = VEE_STATE_ALL;
	GUEST_LONG(g, sti_out);
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE + 1);
	EXPECT_EQ(VEE_BLOCKING_BY_STI, g->page->events.interruptibility);
	EXPECT_EQ(0, g->page->exit.flags & VEE_EXIT_INTERRUPT_READY);
	guest_inject(g, VEE_EVENT_INTERRUPT, 0x50);
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE + 1);
	EXPECT_EQ(VEE_EVENT_VALID, g->page->events.interrupt.flags);
	guest_resume_next(g);
	ASSERT_VECTOR(g, 0x50);
	EXPECT_EQ(AT(sti_out, sti_out_next),
		  guest_read64(g, g->page->regs.rsp));
}

/* RFLAGS.RF would hide a breakpoint on the next instruction. */
TEST_F(exits, resume_next_clears_rf)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halts);
	g->page->debug.dr[1] = GPA_CODE + 1;
	g->page->debug.dr6 = 0xffff0ff0;
	g->page->debug.dr7 = 0x404;
	g->page->dirty |= VEE_STATE_DEBUG;
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_HLT(g, GPA_CODE);
	g->page->regs.rflags |= X86_EFLAGS_RF;
	g->page->dirty = VEE_STATE_REGS;
	guest_resume_next(g);
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + 1);
	EXPECT_EQ(2, g->page->exit.debug.dr6 & 0xf);
}

/* RFLAGS.TF traps after an instruction that vee or its user does, too. */
GUEST_CODE(trap_out, 64,
	   "pushf; orq $0x100, (%rsp); popf; out %al, $0x42; nop; hlt");

TEST_F(exits, resume_next_traps)
{
	struct guest *g = &self->g;
	__u64 after;

	GUEST_LONG(g, trap_out);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	after = g->page->regs.rip + 2;
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(after, guest_read64(g, g->page->regs.rsp));
	EXPECT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_DEBUG));
	EXPECT_EQ(1 << 14, g->page->debug.dr6 & 1 << 14);
}

/* The instruction pointer wraps at 32 bits outside 64-bit mode. */
TEST_F(exits, resume_next_wraps)
{
	struct guest *g = &self->g;
	unsigned char *top = anon_memory(PAGE_BYTES);

	ASSERT_NE(MAP_FAILED, top);
	top[PAGE_BYTES - 2] = 0xe6;	/* OUT 42H, AL */
	top[PAGE_BYTES - 1] = 0x42;
	ASSERT_EQ(0, vm_map(g->vm, 0x100000000ULL - PAGE_BYTES, top, PAGE_BYTES,
			    VEE_RWX));
	GUEST_PROTECTED(g, halts);
	g->mem[0] = 0xf4;	/* HLT */
	guest_set_rip(g, 0xfffffffe);
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, 0xfffffffe);
	guest_resume_next(g);
	ASSERT_HLT(g, 0);
	munmap(top, PAGE_BYTES);
}

/* What the caller has written to the VMCS since the exit is not passed over. */
GUEST_CODE(out_hlts, 64, "out %al, $0x42; hlt; nop; hlt");

#define FIELD_INTERRUPTIBILITY	0x4824
#define FIELD_RIP		0x681e
#define FIELD_RFLAGS		0x6820

TEST_F(exits, resume_next_after_vmcs_write)
{
	struct guest *g = &self->g;
	__u64 state = -1;

	GUEST_LONG(g, out_hlts);
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE);
	ASSERT_EQ(0, vmcs_write(g->vcpu, FIELD_RIP, GPA_CODE + 2));
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 4);

	GUEST_LONG(g, out_hlts);
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE);
	ASSERT_EQ(0, vmcs_write(g->vcpu, FIELD_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF));
	ASSERT_EQ(0, vmcs_write(g->vcpu, FIELD_INTERRUPTIBILITY, VEE_BLOCKING_BY_STI));
	ASSERT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	guest_resume_next(g);
	ASSERT_RUN_AT(g, VEE_EXIT_KICKED, GPA_CODE + 2);
	EXPECT_EQ(0, vmcs_read(g->vcpu, FIELD_INTERRUPTIBILITY, &state));
	EXPECT_EQ(0, state);

	GUEST_LONG(g, out_hlts);
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, GPA_CODE);
	ASSERT_EQ(0, vmcs_write(g->vcpu, FIELD_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_TF));
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(GPA_CODE + 2, guest_read64(g, g->page->regs.rsp));
}

/* --- the host's tables ----------------------------------------------------- */

struct table {
	__u16 limit;
	__u64 base;
} __attribute__((packed));

static struct table gdtr(void)
{
	struct table table;

	asm volatile("sgdt %0" : "=m" (table));
	return table;
}

static struct table idtr(void)
{
	struct table table;

	asm volatile("sidt %0" : "=m" (table));
	return table;
}

/* For a guest that does not stop by itself. */
static void send_alarm_soon(void)
{
	const struct itimerval timer = { .it_value.tv_usec = 20000 };
	const struct sigaction action = { .sa_handler = signal_ignored };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

GUEST_CODE(spin, 64, "1: jmp 1b");

/*
 * A VM exit leaves both limits at FFFFH. With that of the GDT a program could load what lies
 * behind it; there is no more of the IDT than the CPU looks at.
 */
#define EXPECT_TABLES()							\
	do {								\
		EXPECT_EQ(gdt.limit, gdtr().limit);			\
		EXPECT_EQ(idt.base, idtr().base);			\
	} while (0)

TEST_F(exits, host_tables)
{
	const struct table gdt = gdtr(), idt = idtr();
	struct guest *g = &self->g;
	int cpu;

	if (!gdt.limit)
		SKIP(return, "the kernel keeps programs from seeing them (UMIP)");
	EXPECT_GT(0x1000, gdt.limit);
	for (cpu = 0; cpu < cpus_online(); cpu++) {
		if (pin_to_cpu(cpu))
			continue;
		GUEST_LONG(g, halts);
		ASSERT_HLT(g, GPA_CODE);
		EXPECT_TABLES();
		GUEST_LONG(g, spin);
		g->page->deadline_ns = 1000000;
		ASSERT_RUN(g, VEE_EXIT_DEADLINE);
		EXPECT_TABLES();
		g->page->deadline_ns = 0;
		send_alarm_soon();
		EXPECT_EQ(-EINTR, guest_run_once(g));
		EXPECT_EQ(VEE_EXIT_INTERRUPTED, g->page->exit.reason);
		EXPECT_TABLES();
		GUEST_LONG(g, halts);
		g->page->segments.ldtr.access_rights = 0x8b;	/* no LDT's */
		ASSERT_RUN(g, VEE_EXIT_ENTRY_FAILED);
		EXPECT_TABLES();
		g->page->segments.ldtr.access_rights = VEE_AR_UNUSABLE;
	}
}

/* --- statistics ------------------------------------------------------------ */

TEST_F(exits, stats)
{
	struct vee_stats stats = { .size = sizeof(stats) };
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, out_ends);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, guest_run(g));
		g->page->resume = VEE_RESUME_NEXT;
	}
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_STATS, &stats));
	EXPECT_EQ(3, stats.runs);
	EXPECT_EQ(3, stats.user_exits);
	EXPECT_LE(3, stats.entries);
	EXPECT_EQ(2, stats.exits[REASON_PIO]);
	EXPECT_EQ(1, stats.exits[12]);
	EXPECT_LT(0, stats.faults);
}

TEST_HARNESS_MAIN
