// SPDX-License-Identifier: GPL-2.0-only
/*
 * What libvee does for a guest beside what the CPU does: random instructions, each run
 * twice, the second time with its operands or the descriptor tables in a device, or with
 * exits for those. All that can be seen afterwards must be the same: registers, flags, memory,
 * the frame of a fault, accessed and dirty flags. Runs in the lab.
 *
 * usage: assist [CASES [SEED]]
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vee.h>

#include "live.h"
#include "machine.h"

uint8_t pristine[RAM_BYTES];
uint64_t seed = 1;

/* --- the machine ------------------------------------------------------------------- */

/**
 * struct machine - one of the two that are compared
 * @memory: RAM_BYTES, the device's too
 * @descriptors: with exits for what loads and stores descriptor tables
 */
struct machine {
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
	uint8_t *memory;
	bool descriptors;
};

static const struct vee_info *offer(void)
{
	static struct vee_info info;

	if (!info.size)
		check(vee_get_info(&info), "vee");
	return &info;
}

static bool has_avx(void)
{
	return (offer()->xcr0 & XCR0_AVX) == XCR0_AVX;
}

#define XSAVE_BYTES	16384

static unsigned int xsave_bytes(void)
{
	return offer()->xsave_bytes;
}

/* Its pages are there from the start: lodsb; loop; hlt, but in the device. */
static void touch_all(struct machine *m)
{
	static const uint8_t code[] = { 0xfc, 0xf3, 0xac, 0xf4 };

	for (uint32_t at = 0; at < RAM_BYTES; at += PAGE_BYTES) {
		if (at >= GPA_DEVICE && at < GPA_DEVICE + DEVICE_BYTES && !vee_vm_at(m->vm, at, 1))
			continue;
		memcpy(m->memory + at, code, sizeof(code));
		vee_vcpu_set_protected_mode(m->vcpu, at);
		m->vcpu->page->regs.rcx = 1;
		check(run_vcpu(m->vcpu), "run");
	}
}

static void open_machine(struct machine *m, bool has_device)
{
	const unsigned int all = VEE_READ | VEE_WRITE | VEE_EXECUTE;
	uint32_t above = GPA_DEVICE + DEVICE_BYTES;

	m->memory = aligned_alloc(PAGE_BYTES, RAM_BYTES);
	check(m->memory ? 0 : -ENOMEM, "memory");
	memset(m->memory, 0, RAM_BYTES);
	check(vee_vm_create(&m->vm), "VM");
	if (has_device) {
		check(vee_vm_map(m->vm, 0, m->memory, GPA_DEVICE, all), "memory");
		check(vee_vm_map(m->vm, above, m->memory + above, RAM_BYTES - above, all),
		      "memory");
	} else {
		check(vee_vm_map(m->vm, 0, m->memory, RAM_BYTES, all), "memory");
	}
	check(vee_vcpu_create(m->vm, 0, &m->vcpu), "vCPU");
	touch_all(m);
}

/* --- instructions ------------------------------------------------------------------ */

/**
 * struct test - an instruction, and the state that it finds
 * @descriptors: with exits for descriptor tables
 * @tables: those are in the device
 */
struct test {
	enum mode mode;
	struct kind kind;
	bool descriptors;
	bool tables;
	uint8_t code[15];
	unsigned int bytes;
	ZydisDecodedInstruction insn;
	struct vee_regs regs;
	struct vee_segments segments;
	struct vee_control control;
	struct vee_debug debug;
};

/* Those without an operand in memory that reach it, and those that have one, by map. */
static const uint8_t plain[] = {
	0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x50, 0x53, 0x54, 0x58, 0x5c, 0x5d, 0x60, 0x61,
	0x68, 0x6a, 0x6c, 0x6d, 0x6e, 0x6f, 0x9a, 0x9c, 0x9d, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5,
	0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xc2, 0xc3, 0xc8, 0xc9, 0xca, 0xcb, 0xcc,
	0xcd, 0xce, 0xcf, 0xd7, 0xe8, 0xea,
};

static bool has_modrm(uint8_t opcode)
{
	if (opcode < 0x40)
		return (opcode & 7) < 4;
	return opcode == 0x62 || opcode == 0x63 || opcode == 0x69 || opcode == 0x6b ||
	       (opcode >= 0x80 && opcode < 0x90) || opcode == 0xc0 || opcode == 0xc1 ||
	       (opcode >= 0xc4 && opcode < 0xc8) || (opcode >= 0xd0 && opcode < 0xd4) ||
	       (opcode >= 0xd8 && opcode < 0xe0) || (opcode >= 0xf6 && opcode != 0xf8 &&
	       opcode != 0xf9 && opcode != 0xfa && opcode != 0xfb && opcode != 0xfc &&
	       opcode != 0xfd);
}

/* Of the second map: those whose operand can be in memory, and that answer alike twice. */
static bool has_modrm_0f(uint8_t opcode)
{
	return opcode < 0x04 || (opcode >= 0x0d && opcode < 0x20 && opcode != 0x0e) ||
	       (opcode >= 0x28 && opcode < 0x30) || (opcode >= 0x40 && opcode < 0x77) ||
	       (opcode >= 0x7e && opcode < 0x80) || (opcode >= 0x90 && opcode < 0xa0) ||
	       (opcode >= 0xa3 && opcode < 0xa6) || (opcode >= 0xab && opcode < 0xc8 &&
	       opcode != 0xb9) || opcode >= 0xd0;
}

static void add(struct test *t, uint8_t byte)
{
	t->code[t->bytes++] = byte;
}

static void add_prefixes(struct test *t)
{
	static const uint8_t prefixes[] = {
		0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0, 0xf2, 0xf3, 0xf3, 0x66, 0x66,
	};

	while (!pick(2) && t->bytes < 3)
		add(t, prefixes[pick(sizeof(prefixes))]);
	if (t->kind.width == 8 && !pick(2))
		add(t, 0x40 | pick(16));
}

/* [RBX], [RBX + disp8], or with 16-bit addresses the same; seldom another. */
static void add_modrm(struct test *t)
{
	bool is_16bit = t->kind.width == 2;
	uint8_t reg = pick(8) << 3, form = pick(10);

	if (t->descriptors && pick(2))
		add(t, 0xc0 | reg | pick(8));
	else if (!form)
		add(t, pick(2) << 6 | reg | (is_16bit ? 4 : 6));	/* [SI], [RSI] */
	else
		add(t, (form & 1) << 6 | reg | (is_16bit ? 7 : 3));
}

/* JMP and CALL: to an address in the instruction, or in memory. */
static void add_far(struct test *t)
{
	unsigned int bytes = t->kind.width == 2 ? 2 : 4;
	uint64_t target = GPA_CODE + pick(PAGE_BYTES);
	uint16_t selector = some_selector();

	if (t->kind.width == 8 || pick(2)) {
		add(t, 0xff);
		add(t, (pick(2) ? 3 : 5) << 3 | (t->kind.width == 2 ? 7 : 3));
		return;
	}
	add(t, pick(2) ? 0x9a : 0xea);
	for (unsigned int i = 0; i < bytes; i++)
		add(t, target >> (8 * i));
	add(t, selector);
	add(t, selector >> 8);
}

/* Moves of AVX, most of them. */
static void add_avx(struct test *t)
{
	static const uint8_t moves[] = {
		0x10, 0x11, 0x12, 0x13, 0x17, 0x28, 0x29, 0x2b, 0x6e, 0x6f, 0x7e, 0x7f, 0xae,
		0xd6, 0xe7, 0xf0,
	};

	add(t, 0xc5);
	add(t, 0xf8 | pick(8));
	add(t, moves[pick(sizeof(moves))]);
	add_modrm(t);
}

static void add_opcode(struct test *t)
{
	uint8_t opcode = random64() >> 40;

	if (t->descriptors) {
		add(t, 0x0f);
		add(t, pick(2));
		add_modrm(t);
	} else if (!pick(8)) {
		add_far(t);
	} else if (t->control.cr4 & CR4_OSXSAVE) {
		add_avx(t);
	} else if (!pick(4)) {
		add(t, plain[pick(sizeof(plain))]);
	} else if (pick(2)) {
		while (!has_modrm(opcode))
			opcode = random64() >> 40;
		add(t, opcode);
		add_modrm(t);
	} else {
		while (!has_modrm_0f(opcode))
			opcode = random64() >> 40;
		add(t, 0x0f);
		add(t, opcode);
		add_modrm(t);
	}
}

/* Not those of which the SDM leaves the result open, or that the emulator does otherwise. */
static bool is_comparable(const struct test *t, const ZydisDecodedInstruction *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_RDTSCP:
		return false;
	case ZYDIS_MNEMONIC_SHLD:	/* by more bits than there are */
	case ZYDIS_MNEMONIC_SHRD:
		return insn->operand_width != 16;
	case ZYDIS_MNEMONIC_ENTER:	/* for which 66H counts */
	case ZYDIS_MNEMONIC_LEAVE:
		return t->kind.width != 8 || insn->operand_width != 16;
	default:
		return true;
	}
}

/* Is it one, whose operands its bytes tell? Not one that answers differently each time. */
static bool decode(struct test *t, ZydisDecodedInstruction *insn)
{
	ZydisDecoder decoder;

	make_decoder(&decoder, t->kind.width);
	return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, t->code, t->bytes,
							  insn)) &&
	       (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
		insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) &&
	       is_comparable(t, insn);
}

static void make_code(struct test *t)
{
	do {
		t->bytes = 0;
		add_prefixes(t);
		add_opcode(t);
		while (t->bytes < 15)
			add(t, pick(2) ? random64() >> 40 : pick(8));
	} while (!decode(t, &t->insn));
	t->bytes = t->insn.length;
}

/* --- the state to begin with ------------------------------------------------------- */

/* Not in the tables that are there. */
static uint64_t near_border(const struct test *t)
{
	static const uint32_t borders[] = {
		GPA_DEVICE, GPA_DEVICE + PAGE_BYTES, GPA_DEVICE + DEVICE_BYTES,
	};
	unsigned int all = t->tables ? 1 : 3;

	return pick(3) ? GPA_DEVICE + pick(t->tables ? PAGE_BYTES - 16 : DEVICE_BYTES) :
			 borders[pick(all)] - 10 + pick(20);
}

static void set_bases(struct test *t)
{
	struct vee_segment *const data[] = {
		&t->segments.es, &t->segments.ds, &t->segments.fs, &t->segments.gs,
	};

	for (size_t i = 0; i < 4; i++) {
		if (t->mode >= REAL)
			data[i]->selector = GPA_DEVICE >> 4;
		data[i]->base = GPA_DEVICE;
	}
	/* See avoid_quirks(). */
	if (t->kind.level == 3 || pick(2)) {
		if (t->mode >= REAL)
			t->segments.ss.selector = GPA_DEVICE >> 4;
		t->segments.ss.base = GPA_DEVICE;
	}
}

static void set_virtual_segments(struct test *t)
{
	struct vee_segment *const all[] = {
		&t->segments.es, &t->segments.cs, &t->segments.ss, &t->segments.ds,
		&t->segments.fs, &t->segments.gs,
	};

	for (size_t i = 0; i < 6; i++) {
		all[i]->access_rights = 0xf3;
		all[i]->limit = 0xffff;
	}
}

#define EXPANDS_DOWN	0x4U	/* of a type */

/* Limits and types that forbid some of it. */
static void spoil_segments(struct test *t)
{
	struct vee_segment *const data[] = { &t->segments.es, &t->segments.ds, &t->segments.ss };
	struct vee_segment *segment = data[pick(3)];
	uint32_t limit = GPA_DEVICE - segment->base + pick(DEVICE_BYTES);

	switch (pick(6)) {
	case 0:
		segment->limit = limit;
		segment->access_rights &= ~VEE_AR_G;
		break;
	case 1:
		if (segment != &t->segments.ss)
			segment->access_rights &= ~2U;
		break;
	case 2:
		segment->limit = limit;
		segment->access_rights = (segment->access_rights | EXPANDS_DOWN) & ~VEE_AR_G;
		break;
	}
}

static void set_system(struct test *t)
{
	t->segments.gdtr = (struct vee_table) {
		.base = t->tables ? GPA_DEVICE_GDT : GPA_GDT, .limit = GDT_END - 1,
	};
	t->segments.idtr = (struct vee_table) { .base = GPA_IDT, .limit = 0xfff };
	if (t->tables)
		t->segments.idtr = (struct vee_table) {
			.base = GPA_DEVICE_IDT, .limit = FAULTS * (t->kind.is_long ? 16 : 8) - 1,
		};
	if (t->mode == REAL)
		t->segments.idtr = (struct vee_table) { .limit = 0x3ff };
	t->segments.tr.selector = TSS;
	t->segments.tr.base = t->tables ? GPA_DEVICE_TSS : GPA_TSS;
	t->segments.tr.limit = TSS_LIMIT;
	t->segments.ldtr = (struct vee_segment) {
		.selector = LDT, .base = t->tables ? GPA_DEVICE_LDT : GPA_LDT, .limit = 0x1f,
		.access_rights = 0x82,
	};
}

static void set_level_3(struct test *t)
{
	struct vee_segment *const data[] = {
		&t->segments.es, &t->segments.ss, &t->segments.ds, &t->segments.fs,
		&t->segments.gs,
	};

	t->segments.cs.access_rights |= VEE_AR_DPL;
	for (size_t i = 0; i < 5; i++) {
		data[i]->selector = DATA3;
		data[i]->access_rights |= VEE_AR_DPL;
	}
	if (!pick(4)) {
		t->control.cr0 |= CR0_AM;
		t->regs.rflags |= RFLAGS_AC;
	}
}

static void set_code(struct test *t)
{
	struct vee_segment *cs = &t->segments.cs;

	if (t->mode >= REAL)
		return;
	if (t->kind.width != 8) {
		cs->access_rights &= ~VEE_AR_L;
		cs->access_rights |= VEE_AR_DB;
	}
	if (t->kind.width == 2)
		cs->access_rights &= ~VEE_AR_DB;
	if (t->kind.width == 2 && pick(2))
		t->segments.ss.access_rights &= ~VEE_AR_DB;
	if (t->kind.width == 8)
		cs->selector = t->kind.level ? CODE64_3 : CODE64;
	else
		cs->selector = t->kind.level ? CODE3 : t->kind.width == 2 ? CODE16 : CODE0;
}

/* SDM 3A, "Paging": of 32 bits, with PAE, or of four levels. */
static void set_paging(struct test *t)
{
	if (!t->kind.is_long && (t->mode == REAL || !pick(3)))
		return;
	t->control.cr0 |= CR0_PG;
	if (pick(2))
		t->control.cr0 |= CR0_WP;
	if (t->kind.is_long) {
		t->control.cr3 = GPA_PML4;
	} else if (pick(2)) {
		t->control.cr4 |= CR4_PAE;
		t->control.cr3 = GPA_PDPT_PAE;
	} else {
		t->control.cr3 = GPA_PD_32;
	}
	if (!pick(3))
		t->control.cr4 |= CR4_SMAP;
	if (pick(2))
		t->control.cr4 |= CR4_PSE;
	if (pick(2) && t->control.cr4 & CR4_PAE)
		t->control.efer |= EFER_NXE;
}

/*
 * Of data, to both sides of the stack pointer, or of what RBX and others point to. All of
 * them are enabled, or none: for others DR6 is open.
 */
static void set_breakpoints(struct test *t)
{
	const uint64_t near[] = { t->regs.rbx, t->regs.rsi, t->regs.rdi, t->regs.rsp - 8 };

	t->debug = (struct vee_debug) { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	if (pick(8))
		return;
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int kind = pick(2) ? 1 : 3, length = pick(4);

		if (length == 2 && t->kind.width != 8)
			length = 0;
		t->debug.dr[i] = near[i] + (t->kind.has_bases ? GPA_DEVICE : 0) - 4 + pick(12);
		t->debug.dr7 |= (1 + pick(2)) << (2 * i);
		t->debug.dr7 |= (uint64_t)(kind | length << 2) << (16 + 4 * i);
	}
}

static void set_mode(struct test *t, struct vee_vcpu *vcpu)
{
	struct vee_vcpu_page *page = vcpu->page;

	if (t->kind.is_long)
		vee_vcpu_set_long_mode(vcpu, GPA_PML4, GPA_CODE);
	else if (t->mode < REAL)
		vee_vcpu_set_protected_mode(vcpu, GPA_CODE);
	else
		vee_vcpu_set_real_mode(vcpu, 0, GPA_CODE);
	t->regs = page->regs;
	t->segments = page->segments;
	t->control = page->control;
	if (pick(16))
		t->control.cr4 |= CR4_OSFXSR;
	if (!pick(2))
		t->control.cr4 |= CR4_DE;
	if (!pick(8) && has_avx()) {
		t->control.cr4 |= CR4_OSXSAVE;
		t->control.xcr0 = XCR0_AVX;
	}
	if (!pick(16))
		t->control.cr0 |= pick(2) ? CR0_TS : CR0_EM;
	set_system(t);
	set_code(t);
	if (t->kind.level == 3 && t->mode != VIRTUAL)
		set_level_3(t);
	if (t->kind.has_bases)
		set_bases(t);
	if (t->mode == VIRTUAL) {
		set_virtual_segments(t);
		t->control.cr0 |= CR0_PE;
		t->regs.rflags |= RFLAGS_VM | (pick(2) ? RFLAGS_IOPL : pick(4) << IOPL_SHIFT);
		if (pick(2))
			t->control.cr4 |= CR4_VME;
		t->regs.rflags |= pick(4) * RFLAGS_VIF;		/* and VIP */
	}
	if (t->kind.width != 8 && t->mode < REAL && !pick(3))
		spoil_segments(t);
	set_paging(t);
}

#define WRAP_BYTES	64

static void set_registers(struct test *t)
{
	uint64_t offset = t->kind.has_bases ? GPA_DEVICE : 0;

	for (int i = 0; i < 16; i++)
		t->regs.gpr[i] = some_value();
	t->regs.rbx = near_border(t) - offset;
	t->regs.rsi = near_border(t) - offset;
	t->regs.rdi = near_border(t) - offset;
	t->regs.rcx = pick(2) ? pick(20) : some_value() & 0xff;
	t->regs.rbp = near_border(t) - offset;
	t->regs.rsp = pick(2) ? near_border(t) - offset : GPA_STACK + PAGE_BYTES - 8 * pick(8);
	/* Where a frame wraps at 64 KiB the emulator has a limit. */
	if (t->kind.width == 2 && t->mode < REAL && t->regs.rsp < WRAP_BYTES)
		t->regs.rsp += WRAP_BYTES;
	t->regs.rflags |= random64() & STATUS_FLAGS;
	if (!pick(8))
		t->regs.rflags |= 0x400;	/* DF */
	if (!pick(8))
		t->regs.rflags |= RFLAGS_TF;
	if (!pick(8))
		t->regs.rflags |= RFLAGS_NT;
	if (!pick(8))
		t->regs.rflags |= RFLAGS_RF;
	if (!pick(8) && t->mode != VIRTUAL)
		t->regs.rflags |= RFLAGS_IOPL;
	if (t->mode == LONG0 && !pick(8))
		t->segments.fs.base = 0x7fff0000;
	t->regs.rip = GPA_CODE;
	for (int i = 0; t->kind.width != 8 && i < 16; i++)
		t->regs.gpr[i] = (uint32_t)t->regs.gpr[i];
}

static void change(uint32_t gpa, uint64_t clear, uint64_t set, unsigned int bytes)
{
	uint64_t value = 0;

	memcpy(&value, pristine + gpa, bytes);
	put(gpa, (value & ~clear) | set, bytes);
}

/* What pages can be, above the tables of each way of paging. */
static void spoil_page(unsigned int number)
{
	uint64_t set = 0, clear = 0;

	switch (pick(8)) {
	case 0:
		clear = 1;		/* absent */
		break;
	case 1:
	case 2:
		clear = 2;		/* read-only */
		break;
	case 3:
		clear = 4;		/* the supervisor's */
		break;
	case 4:
		set = 0x60;		/* accessed, dirty */
		break;
	case 5:
		set = 1ULL << 51;	/* reserved */
		break;
	case 6:
		set = 1ULL << 63;	/* without code, or reserved */
		break;
	}
	change(GPA_PT + 8 * number, clear, set, 8);
	change(GPA_PT_32 + 4 * number, clear, set & UINT32_MAX, 4);
}

static bool is_pointer(const struct test *t)
{
	switch (t->insn.mnemonic) {
	case ZYDIS_MNEMONIC_LDS:
	case ZYDIS_MNEMONIC_LES:
	case ZYDIS_MNEMONIC_LFS:
	case ZYDIS_MNEMONIC_LGS:
	case ZYDIS_MNEMONIC_LSS:
		return true;
	default:
		return t->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	}
}

/*
 * Of an IP for virtual-8086 mode the emulator ignores the upper half, where a CPU faults.
 * A call to a conforming segment pushes as it has it by that one's level. It lets AC allow
 * with CR4.SMAP what an instruction does implicitly, too. A pointer's two parts have a limit
 * each, and wrap. A call from compatibility mode to 64-bit code pushes there without regard
 * to SS.
 */
static void avoid_quirks(struct test *t)
{
	uint64_t gpa = t->regs.rsp + t->segments.ss.base;

	if (t->insn.mnemonic == ZYDIS_MNEMONIC_IRETD && gpa + 4 < RAM_BYTES)
		put(gpa + 2, 0, 2);
	if (is_pointer(t) && t->kind.has_bases) {
		t->regs.rbx &= GPA_DEVICE - 1;
		t->regs.rsi &= GPA_DEVICE - 1;
		t->regs.rdi &= GPA_DEVICE - 1;
	}
	if (t->insn.mnemonic == ZYDIS_MNEMONIC_CALL)
		t->regs.rflags &= ~RFLAGS_AC;
	if (t->insn.mnemonic == ZYDIS_MNEMONIC_CALL && t->mode >= COMPAT0 && t->mode <= COMPAT3) {
		t->segments.ss.limit = UINT32_MAX;
		t->segments.ss.access_rights |= VEE_AR_G;
		t->segments.ss.access_rights &= ~EXPANDS_DOWN;
	}
	if (t->regs.rflags & RFLAGS_AC)
		t->control.cr4 &= ~CR4_SMAP;
}

#define ENTRY_LARGE	0x80ULL
#define ENTRY_PAT_LARGE	0x1000ULL

/* Large pages, and what an entry above those forbids. Memory is below 2 MBytes. */
static void spoil_table(const struct test *t)
{
	bool is_legacy = !t->kind.is_long && !(t->control.cr4 & CR4_PAE);
	uint32_t gpa = is_legacy ? GPA_PD_32 : t->kind.is_long && pick(2) ? GPA_PDPT : GPA_PD;
	uint64_t entry = 7;

	switch (pick(4)) {
	case 0:
		change(gpa, 2ULL << pick(2), 0, is_legacy ? 4 : 8);
		return;
	case 1:
		change(gpa, 0, is_legacy ? ENTRY_PAT_LARGE << 1 : 1ULL << (60 + pick(4)),
		       is_legacy ? 4 : 8);
		return;
	}
	entry |= ENTRY_LARGE | (pick(2) ? 0x60 : 0) | (pick(2) ? ENTRY_PAT_LARGE : 0);
	if (!pick(4))
		entry |= ENTRY_PAT_LARGE << (is_legacy ? 9 : 1 + pick(8));	/* reserved */
	put(gpa, entry, is_legacy ? 4 : 8);
}

static void make_test(struct test *t, struct vee_vcpu *vcpu, bool descriptors)
{
	enum mode mode = pick(MODES);

	*t = (struct test) {
		.mode = mode, .kind = kinds[mode], .descriptors = descriptors,
		.tables = mode != REAL && !pick(4),
	};
	for (uint32_t at = GPA_DEVICE - 64; at < GPA_DEVICE + DEVICE_BYTES + 64; at += 8)
		put(at, some_value(), 8);
	set_mode(t, vcpu);
	put_tables(t->kind.is_long, t->tables, t->control.cr3);
	if (t->control.cr0 & CR0_PG && !pick(5))
		spoil_table(t);
	if (!pick(3))
		spoil_page(GPA_DEVICE / PAGE_BYTES - 1 + pick(t->tables ? 2 : 4));
	set_registers(t);
	set_breakpoints(t);
	make_code(t);
	avoid_quirks(t);
	memset(pristine + GPA_CODE, HLT, PAGE_BYTES);
	memset(pristine + GPA_STUBS, HLT, VECTORS);
	memcpy(pristine + GPA_CODE, t->code, t->bytes);
}

/* --- runs -------------------------------------------------------------------------- */

static int touch_memory(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	struct machine *m = arg;

	if (gpa >= RAM_BYTES || bytes > RAM_BYTES - gpa) {
		if (!write)
			memset(data, 0xff, bytes);
	} else if (write) {
		memcpy(m->memory + gpa, data, bytes);
	} else {
		memcpy(data, m->memory + gpa, bytes);
	}
	return 0;
}

static int touch_port(void *arg, uint16_t port, void *data, unsigned int bytes, bool write)
{
	(void)arg;
	if (!write)
		memset(data, port, bytes);
	return 0;
}

#define X87_POINTERS	6	/* last opcode and addresses: in the legacy region */
#define X87_POINTERS_END	24
#define MXCSR_MASK	28
#define XMM_END		416
#define XSTATE_BV	512
#define YMM		576
#define YMM_END		832

static void load(struct machine *m, const struct test *t)
{
	static uint8_t xsave[XSAVE_BYTES] __attribute__((aligned(64)));
	struct vee_vcpu_page *page = m->vcpu->page;

	memcpy(m->memory, pristine, RAM_BYTES);
	page->regs = t->regs;
	page->segments = t->segments;
	page->control = t->control;
	page->debug = t->debug;
	page->events = (struct vee_events) { 0 };
	page->inject = (struct vee_event) { 0 };
	page->dirty |= VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_CONTROL |
		       VEE_STATE_DEBUG | VEE_STATE_EVENTS;
	page->resume = VEE_RESUME_HERE;
	page->intercept = m->descriptors ? VEE_INTERCEPT_DESCRIPTOR : 0;
	page->deadline_ns = 2000000;
	memset(xsave, 0, sizeof(xsave));
	memcpy(xsave, "\x7f\x03", 2);		/* FCW */
	memcpy(xsave + 24, "\x80\x1f", 2);	/* MXCSR */
	xsave[XSTATE_BV] = has_avx() ? XCR0_AVX : 3;
	for (int i = 0; i < 256; i++) {
		xsave[160 + i] = i;
		xsave[YMM + i] = has_avx() ? ~i : 0;
	}
	check(vee_vcpu_set_xsave(m->vcpu, xsave, xsave_bytes()), "XSAVE");
}

#define EXITS_MAX	600

/* Until HLT, or what can't be gone on from; false: not to be done, or without an end. */
static bool go(struct machine *m)
{
	const struct vee_bus bus = { .memory = touch_memory, .port = touch_port, .arg = m };
	const struct vee_exit *exit = &m->vcpu->page->exit;

	for (int i = 0; i < EXITS_MAX; i++) {
		int ret = vee_vcpu_run(m->vcpu);

		if (ret == -EINTR)
			continue;
		check(ret, "run");
		switch (exit->reason) {
		case VEE_EXIT_PIO:
		case VEE_EXIT_MMIO:
		case VEE_EXIT_MEMORY:
		case VEE_EXIT_DESCRIPTOR:
			ret = vee_assist(m->vcpu, &bus);
			break;
		case VEE_EXIT_OTHER:
			ret = vee_task_switch_assist(m->vcpu);
			break;
		case VEE_EXIT_DEADLINE:
			return false;
		default:
			return true;
		}
		if (ret)
			return false;
	}
	return false;
}

/* --- comparison -------------------------------------------------------------------- */

/* Which flags are for anybody to define: the SDM's "undefined". */
static uint64_t undefined_flags(const struct test *t)
{
	/* Who knows what instructions come there. */
	if (t->insn.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return STATUS_FLAGS;
	return t->insn.cpu_flags ? t->insn.cpu_flags->undefined : 0;
}

#define FRAME_BYTES	48	/* what to show of a handler's stack */

static void tell_end(const char *who, const struct machine *m)
{
	const struct vee_vcpu_page *page = m->vcpu->page;
	const struct vee_regs *regs = &page->regs;

	printf("\t%s: exit %u RIP %llx flags %llx RSP %llx RAX %llx RCX %llx\n", who,
	       page->exit.reason, regs->rip, regs->rflags, regs->rsp, regs->rax, regs->rcx);
	printf("\t\tRSI %llx RDI %llx CR2 %llx CS %x SS %x DR6 %llx\n", regs->rsi, regs->rdi,
	       page->control.cr2, page->segments.cs.selector, page->segments.ss.selector,
	       page->debug.dr6);
	if (regs->rsp > RAM_BYTES - FRAME_BYTES)
		return;
	printf("\t\tthere:");
	for (unsigned int i = 0; i < FRAME_BYTES; i += 4)
		printf(" %x", *(uint32_t *)(m->memory + regs->rsp + i));
	putchar('\n');
}

static void tell(const struct test *t, const char *what, const struct machine *cpu,
		 const struct machine *libvee)
{
	printf("%s:", t->kind.name);
	for (unsigned int i = 0; i < t->bytes; i++)
		printf(" %02x", t->code[i]);
	printf(" (%s): %s\n", ZydisMnemonicGetString(t->insn.mnemonic), what);
	printf("\tCR0 %llx CR4 %llx SS %x%s DR7 %llx\n", t->control.cr0, t->control.cr4,
	       t->segments.ss.access_rights, t->tables ? ", tables there" : "", t->debug.dr7);
	printf("\tRBX %llx RSI %llx RDI %llx RCX %llx RSP %llx flags %llx\n", t->regs.rbx,
	       t->regs.rsi, t->regs.rdi, t->regs.rcx, t->regs.rsp, t->regs.rflags);
	tell_end("CPU", cpu);
	tell_end("libvee", libvee);
}

/*
 * In a frame: what an instruction leaves undefined; RF, which the emulator doesn't set
 * between iterations.
 */
static bool is_flags(const struct test *t, uint32_t bits)
{
	uint32_t flags = undefined_flags(t);

	if (t->regs.rflags & RFLAGS_TF || t->debug.dr7 & DR7_ENABLED)
		flags |= RFLAGS_RF;
	return !(bits & ~flags) || !(bits & ~(flags << 16)) || !(bits & ~(flags << 8)) ||
	       !(bits & ~(flags << 24)) || !(bits & ~(flags >> 8)) || !(bits & ~(flags >> 16));
}

static bool same_memory(const struct test *t, const struct machine *a, const struct machine *b)
{
	bool first = true;

	for (uint32_t i = 0; i < RAM_BYTES; i += 4) {
		uint32_t of_a, of_b;

		memcpy(&of_a, a->memory + i, 4);
		memcpy(&of_b, b->memory + i, 4);
		if (of_a == of_b)
			continue;
		if (is_flags(t, of_a ^ of_b))
			continue;
		if (first)
			tell(t, "memory differs", a, b);
		printf("\t%x: CPU %08x libvee %08x\n", i, of_a, of_b);
		if (!first)
			return false;
		first = false;
	}
	return first;
}

static bool same_segment(const struct vee_segment *a, const struct vee_segment *b)
{
	if (a->access_rights & b->access_rights & VEE_AR_UNUSABLE)
		return a->selector == b->selector;
	return !memcmp(a, b, sizeof(*a));
}

static bool same_segments(const struct vee_segments *a, const struct vee_segments *b)
{
	return same_segment(&a->es, &b->es) && same_segment(&a->cs, &b->cs) &&
	       same_segment(&a->ss, &b->ss) && same_segment(&a->ds, &b->ds) &&
	       same_segment(&a->fs, &b->fs) && same_segment(&a->gs, &b->gs) &&
	       same_segment(&a->ldtr, &b->ldtr) && same_segment(&a->tr, &b->tr) &&
	       !memcmp(&a->gdtr, &b->gdtr, sizeof(a->gdtr)) &&
	       !memcmp(&a->idtr, &b->idtr, sizeof(a->idtr));
}

static bool is_table(const struct test *t)
{
	switch (t->insn.mnemonic) {
	case ZYDIS_MNEMONIC_LGDT:
	case ZYDIS_MNEMONIC_LIDT:
	case ZYDIS_MNEMONIC_SGDT:
	case ZYDIS_MNEMONIC_SIDT:
		return true;
	default:
		return false;
	}
}

/* The emulator accesses memory, in an order of its own, before it finds the fault. */
static bool leaves_memory_open(const struct test *t, const struct vee_vcpu_page *page)
{
	bool faulted = page->regs.rip != GPA_STUBS + 1 && page->regs.rip >= GPA_STUBS &&
		       page->regs.rip < GPA_STUBS + 32;

	return faulted && (is_table(t) || t->insn.mnemonic == ZYDIS_MNEMONIC_CALL);
}

static bool same_registers(const struct test *t, struct vee_regs a, struct vee_regs b)
{
	a.rflags &= ~undefined_flags(t);
	b.rflags &= ~undefined_flags(t);
	return !memcmp(&a, &b, sizeof(a));
}

static bool same_control(const struct test *t, struct vee_control a, struct vee_control b)
{
	/* Which half of a table's operand was accessed first; of a return, ESP or SS. */
	if (is_table(t) || t->insn.mnemonic == ZYDIS_MNEMONIC_RET)
		a.cr2 = b.cr2;
	return !memcmp(&a, &b, sizeof(a));
}

/* But for memory; NULL: nothing. */
static const char *find_difference(const struct test *t, const struct vee_vcpu_page *a,
				   const struct vee_vcpu_page *b)
{
	if (a->exit.reason != b->exit.reason)
		return "exits differ";
	if (!same_registers(t, a->regs, b->regs))
		return "registers differ";
	if (!same_segments(&a->segments, &b->segments))
		return "segments differ";
	if (!same_control(t, a->control, b->control))
		return "control registers differ";
	return a->debug.dr6 == b->debug.dr6 ? NULL : "DR6 differs";
}

/* x87, MMX, SSE and AVX, but for what the x87 notes of its last instruction. */
static void read_vectors(struct machine *m, uint8_t *area)
{
	check(vee_vcpu_get_xsave(m->vcpu, area, xsave_bytes()), "XSAVE");
	if (!(area[XSTATE_BV] & 1))
		memset(area, 0, MXCSR_MASK - 4);
	memset(area + X87_POINTERS, 0, X87_POINTERS_END - X87_POINTERS);
	memset(area + MXCSR_MASK, 0, 4);
	memset(area + XMM_END, 0, YMM - XMM_END);
	if (!(area[XSTATE_BV] & 4))
		memset(area + YMM, 0, YMM_END - YMM);
}

static bool same_vectors(const struct test *t, struct machine *a, struct machine *b)
{
	static uint8_t of_a[XSAVE_BYTES], of_b[XSAVE_BYTES];

	read_vectors(a, of_a);
	read_vectors(b, of_b);
	for (unsigned int i = 0; i < YMM_END; i++)
		if (of_a[i] != of_b[i]) {
			tell(t, "x87, MMX, SSE or AVX differ", a, b);
			printf("\t%u: CPU %02x libvee %02x\n", i, of_a[i], of_b[i]);
			return false;
		}
	return true;
}

static bool same(const struct test *t, struct machine *a, struct machine *b)
{
	const char *what;

	check(vee_vcpu_sync(a->vcpu, VEE_STATE_ALL), "sync");
	check(vee_vcpu_sync(b->vcpu, VEE_STATE_ALL), "sync");
	what = find_difference(t, a->vcpu->page, b->vcpu->page);
	if (what)
		tell(t, what, a, b);
	if (what || !same_vectors(t, a, b))
		return false;
	return leaves_memory_open(t, a->vcpu->page) || same_memory(t, a, b);
}

/* Handlers that fault have come with their stack to the page tables. */
static bool has_broken_tables(const struct machine *m, const struct test *t)
{
	const struct vee_vcpu_page *page = m->vcpu->page;

	check(vee_vcpu_sync(m->vcpu, VEE_STATE_SEGMENTS), "sync");
	return t->control.cr0 & CR0_PG && page->segments.ss.base + page->regs.rsp < GPA_CODE;
}

/* False: they differ. */
static bool compare(struct machine *cpu, struct machine *libvee, unsigned long *done)
{
	struct test t;

	make_test(&t, cpu->vcpu, libvee->descriptors);
	load(cpu, &t);
	if (!go(cpu))
		return true;
	if (has_broken_tables(cpu, &t))
		return true;
	load(libvee, &t);
	if (!go(libvee))
		return true;
	++*done;
	return same(&t, cpu, libvee);
}

#define CASES		1000
#define BAD_MAX		40	/* who has that many need not see more */
#define TABLES_EACH	8	/* how often it is about descriptor tables */

int main(int argc, char **argv)
{
	unsigned long cases = CASES, done = 0, bad = 0;
	struct machine cpu = { 0 }, device = { 0 }, tables = { .descriptors = true };

	if (argc > 1)
		cases = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 0) * 2 + 1;
	setlinebuf(stdout);
	open_machine(&cpu, false);
	open_machine(&device, true);
	open_machine(&tables, false);
	for (unsigned long i = 0; i < cases && bad < BAD_MAX; i++)
		bad += !compare(&cpu, i % TABLES_EACH ? &device : &tables, &done);
	printf("%lu compared, %lu differ\n", done, bad);
	return !!bad;
}
