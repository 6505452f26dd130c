// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer of guests: random and mutated code, descriptors, page tables and registers, in each
 * mode of the processor, with events injected. The same guest runs under vee (with libvee for
 * what exits) and under KVM, and both are compared exit by exit and register by register.
 * Others, "wild" ones, begin with fields of the VMCS that no vCPU would have by itself, or are
 * kicked; under vee alone: their runs end, and that is all there is to ask. Runs in the lab.
 *
 * A guest is its seed: the n-th of a run has seed SEED + n, and --one makes it again.
 */
#include <cpuid.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fuzz_guest.h"
#include "live.h"

#define CODE_BYTES	64
#define EACH_WILD	8
#define EACH_KICKED	64

static uint8_t *memory_vee, *memory_kvm;
static bool alone, explaining;
static uint64_t first = 1;
static unsigned long most = 1000;
static double seconds;

/**
 * struct guest - what is made of a seed
 * @bytes: of @code
 * @is_wild: under vee alone
 */
struct guest {
	uint64_t number;
	enum mode mode;
	struct kind kind;
	struct start start;
	uint8_t code[CODE_BYTES];
	unsigned int bytes;
	bool is_wild;
};

/* --- what both guests are told ---------------------------------------------------------- */

struct step *next_step(struct trail *trail, enum stop stop, uint64_t what, uint64_t value)
{
	bool enough = trail->step_count == STEPS_MAX - 1 && stop < END_HLT;
	struct step *step = &trail->steps[trail->step_count++];

	*step = (struct step) {
		.stop = enough ? END_ENOUGH : stop, .what = what, .value = value,
		.bus = trail->bus_count,
	};
	return enough ? NULL : step;
}

static uint8_t byte_at(uint64_t address)
{
	return (address * 0x9e3779b97f4a7c15 >> 56) & 0x7f;
}

uint8_t device[MMIO_BYTES] __attribute__((aligned(PAGE_BYTES)));
static bool is_written;		/* is the device? */

static void reset_device(void)
{
	for (unsigned int i = 0; is_written && i < MMIO_BYTES; i++)
		device[i] = byte_at(GPA_MMIO + i);
	is_written = false;
}

static void write_device(unsigned int at, uint8_t byte)
{
	device[at] = byte;
	is_written = true;
}

/* The device keeps what is written, as memory does: see is_right(). */
static void beat(struct trail *trail, uint64_t address, uint8_t *byte, bool is_port, bool write)
{
	bool is_kept = !is_port && address - GPA_MMIO < MMIO_BYTES;

	if (!write)
		*byte = is_kept ? device[address - GPA_MMIO] : byte_at(address);
	else if (is_kept)
		write_device(address - GPA_MMIO, *byte);
	if (trail->bus_count < BUS_MAX)
		trail->bus[trail->bus_count++] =
			(struct beat) { address, *byte, is_port, write };
}

int touch_memory(void *trail, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	for (unsigned int i = 0; i < bytes; i++)
		beat(trail, gpa + i, (uint8_t *)data + i, false, write);
	return 0;
}

int touch_port(void *trail, uint16_t port, void *data, unsigned int bytes, bool write)
{
	for (unsigned int i = 0; i < bytes; i++)
		beat(trail, port + i, (uint8_t *)data + i, true, write);
	return 0;
}

/* Which KVM keeps to itself, and has no use for: #GP. */
static bool is_x2apic(uint32_t index)
{
	return index - 0x800 < 0x100;
}

bool msr_answer(uint32_t index, uint64_t *value)
{
	*value = index * 0x9e3779b97f4a7c15;
	return !(index & 1) && !is_x2apic(index);
}

/*
 * Of a first touch that exits with RFLAGS.TF set the emulator makes a trap, where SDM 3C,
 * "Saving Non-Register State", has none: all pages are there from the start. RCX is 1.
 */
void make_touch(uint8_t *page)
{
	static const uint8_t code[] = { 0xfc, 0xf3, 0xac, HLT };	/* cld; rep lodsb; hlt */

	memcpy(page, code, sizeof(code));
}

/* --- code ------------------------------------------------------------------------------- */

static void add(struct guest *g, uint8_t byte)
{
	if (g->bytes < CODE_BYTES)
		g->code[g->bytes++] = byte;
}

static void add_number(struct guest *g, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		add(g, value >> (8 * i));
}

static uint64_t some_bits(void)
{
	return pick(3) ? 1ULL << pick(32) : random64() & random64();
}

/* MOV of 32 bits to a register by its number. */
static void add_mov(struct guest *g, unsigned int reg, uint32_t value)
{
	if (g->kind.width == 2)
		add(g, 0x66);
	add(g, 0xb8 | reg);
	add_number(g, value, 4);
}

/* [RBX], [RSI], [RDI] or with a displacement; a register; seldom another. */
static void add_modrm(struct guest *g, bool memory)
{
	static const uint8_t of_16[] = { 7, 4, 5 }, of_32[] = { 3, 6, 7 };
	uint8_t reg = pick(8) << 3;

	if (!memory && pick(2)) {
		add(g, 0xc0 | reg | pick(8));
	} else if (!pick(12)) {
		add(g, random64() >> 40);
	} else {
		bool has_byte = pick(2);

		add(g, has_byte << 6 | reg | (g->kind.width == 2 ? of_16 : of_32)[pick(3)]);
		if (has_byte)
			add(g, pick(32) - 16);
	}
}

static void add_prefixes(struct guest *g)
{
	static const uint8_t prefixes[] = {
		0x66, 0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0, 0xf2, 0xf3, 0xf3,
	};

	while (!pick(3))
		add(g, prefixes[pick(sizeof(prefixes))]);
	if (g->kind.width == 8 && !pick(3))
		add(g, 0x40 | pick(16));
}

/* MOV to and from control and debug registers. */
static void add_control(struct guest *g)
{
	static const uint8_t numbers[] = { 0, 0, 2, 3, 4, 4, 8 };
	static const uint64_t sound[] = {
		0x80000011, 0x11, 0x80050033, 0x60000010, 0, GPA_PML4, GPA_PDPT_PAE, GPA_PD_32,
		0x20, 0x220, 0x30, 0xb0, 0x10, 0x8, 0x201000, 0xffff0ff0, 0x400, 0x700,
	};
	uint8_t kind = 0x20 + pick(4), number = pick(4) ? numbers[pick(7)] : pick(8);
	uint32_t value = sound[pick(sizeof(sound) / sizeof(*sound))];

	if (kind & 2)
		add_mov(g, 0, value ^ (pick(3) ? 0 : some_bits()));
	if (g->kind.width == 8 && number == 8)
		add(g, 0x44);
	add(g, 0x0f);
	add(g, kind);
	add(g, 0xc0 | (number & 7) << 3 | (pick(4) ? 0 : pick(8)));
}

static void add_msr(struct guest *g)
{
	static const uint32_t indexes[] = {
		0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101,
		0xc0000102, 0xc0000103, 0x174, 0x175, 0x176, 0x277, 0x1d9, 0x1a0, 0xfe, 0xc0010015,
		0x8b, 0x3a, 0x480, 0x1b,
	};
	uint32_t index = indexes[pick(sizeof(indexes) / sizeof(*indexes))];

	add_mov(g, 1, pick(16) ? index : (uint32_t)random64() | 0x10000);
	if (pick(2)) {
		add_mov(g, 0, pick(2) ? some_bits() : random64());
		add_mov(g, 2, pick(2) ? 0 : random64());
		add(g, 0x0f);
		add(g, 0x30);
	} else {
		add(g, 0x0f);
		add(g, 0x32);
	}
}

/* JMP and CALL: to an address in the instruction, or in memory. */
static void add_far(struct guest *g)
{
	uint16_t selector = some_selector();

	if (g->kind.width == 8 || pick(2)) {
		add(g, 0xff);
		add(g, (pick(2) ? 3 : 5) << 3 | (g->kind.width == 2 ? 7 : 3));
		return;
	}
	add(g, pick(2) ? 0x9a : 0xea);
	add_number(g, GPA_CODE + pick(CODE_BYTES), g->kind.width == 2 ? 2 : 4);
	add_number(g, selector, 2);
}

/* Loads of segment and table registers, by selectors that there are. */
static void add_segment(struct guest *g)
{
	add_mov(g, 0, some_selector());
	switch (pick(4)) {
	case 0:
		add(g, 0x8e);
		add(g, 0xc0 | pick(6) << 3);
		break;
	case 1:
		add(g, 0x0f);
		add(g, pick(3) ? 0x00 : 0x02 + pick(2));
		add(g, 0xc0 | pick(8) << 3);
		break;
	case 2:
		add(g, 0x0f);
		add(g, pick(2));
		add_modrm(g, true);
		break;
	case 3:
		add(g, 0x50);
		add(g, pick(2) ? 0x1f : 0x07);
		break;
	}
}

/* Others that concern the system: opcodes, 0FH in the upper half if it is before them. */
static void add_system(struct guest *g)
{
	static const uint16_t all[] = {
		0x0f05, 0x0f07, 0x0f34, 0x0f35, 0x0f06, 0x0f08, 0x0f09, 0x0f0b, 0x0fa2, 0x0fae,
		0x0fa0, 0x0fa1, 0x0fa8, 0x0fa9, 0x0f33, 0x0faa, 0x0f77, 0x0f01, 0x0f01, 0x0fc7,
		0xcc, 0xf1, 0xce, 0xcf, 0xcf, 0xcb, 0xc3, 0x9c, 0x9d, 0xfa, 0xfb, 0xf4, 0x17, 0x1f,
		0x07, 0x6c, 0x6d, 0x6e, 0x6f, 0xec, 0xed, 0xee, 0xef, 0xe4, 0xe5, 0xe6, 0xe7, 0xcd,
		0x8e, 0x8c, 0xc4, 0xc5, 0xd7, 0x9b, 0xdb, 0x60, 0x61, 0xc8, 0xc9, 0x63, 0x62,
	};
	uint16_t opcode = all[pick(sizeof(all) / sizeof(*all))];

	if (opcode >> 8)
		add(g, opcode >> 8);
	add(g, opcode);
	add_modrm(g, false);
}

static void add_any(struct guest *g)
{
	uint8_t opcode = random64() >> 40;

	add_prefixes(g);
	if (!pick(3))
		add(g, 0x0f);
	else if (!pick(16))
		add(g, 0xc4 + pick(2));
	add(g, opcode);
	add_modrm(g, false);
	if (pick(2))
		add_number(g, random64(), pick(5));
}

/*
 * The TSC and random numbers are others each time, and VMCALL is KVM's own. Anywhere, since
 * jumps lead into the middle of instructions.
 */
static void take_out(uint8_t *code, unsigned int bytes)
{
	for (unsigned int i = 0; i + 2 < bytes; i++) {
		if (code[i] != 0x0f)
			continue;
		if (code[i + 1] == 0x31 || (code[i + 1] == 0x01 && code[i + 2] == 0xf9) ||
		    (code[i + 1] == 0x01 && (code[i + 2] == 0xc1 || code[i + 2] == 0xd9)) ||
		    (code[i + 1] == 0xc7 && code[i + 2] >= 0xf0))
			code[i + 1] = 0x0b;
	}
}

static void make_code(struct guest *g)
{
	static void (*const parts[])(struct guest *g) = {
		add_any, add_any, add_any, add_control, add_msr, add_far, add_segment, add_system,
		add_system,
	};
	unsigned int count = 1 + pick(6);

	for (unsigned int i = 0; i < count; i++)
		parts[pick(sizeof(parts) / sizeof(*parts))](g);
	for (unsigned int i = 0; !pick(4) && i < 3; i++)
		g->code[pick(g->bytes)] ^= 1 << pick(8);
	take_out(g->code, g->bytes);
}

/* --- state ------------------------------------------------------------------------------ */

static void set_code_segment(struct guest *g)
{
	struct vee_segment *cs = &g->start.state.segments.cs;

	if (g->mode >= REAL)
		return;
	if (g->kind.width != 8) {
		cs->access_rights &= ~VEE_AR_L;
		cs->access_rights |= VEE_AR_DB;
	}
	if (g->kind.width == 2)
		cs->access_rights &= ~VEE_AR_DB;
	if (g->kind.width == 8)
		cs->selector = g->kind.level ? CODE64_3 : CODE64;
	else
		cs->selector = g->kind.level ? CODE3 : g->kind.width == 2 ? CODE16 : CODE0;
	if (g->kind.level)
		cs->access_rights |= VEE_AR_DPL;
}

static void set_data_segments(struct guest *g)
{
	struct vee_segments *all = &g->start.state.segments;
	struct vee_segment *const data[] = { &all->es, &all->ss, &all->ds, &all->fs, &all->gs };

	for (size_t i = 0; i < 5; i++) {
		if (g->mode < REAL)
			data[i]->selector = g->kind.level ? DATA3 : DATA0;
		if (g->kind.level && g->mode < REAL)
			data[i]->access_rights |= VEE_AR_DPL;
		if (!g->kind.has_bases || data[i] == &all->ss)
			continue;
		if (g->mode >= REAL)
			data[i]->selector = GPA_DEVICE >> 4;
		data[i]->base = GPA_DEVICE;
	}
}

static void set_virtual(struct guest *g)
{
	struct state *s = &g->start.state;
	struct vee_segment *all = &s->segments.es;

	if (g->mode != VIRTUAL)
		return;
	/* ES, CS, SS, DS, FS, GS. */
	for (int i = 0; i < 6; i++) {
		all[i].access_rights = 0xf3;
		all[i].limit = 0xffff;
	}
	s->control.cr0 |= CR0_PE;
	s->regs.rflags |= RFLAGS_VM | pick(4) << IOPL_SHIFT;
	if (pick(2))
		s->control.cr4 |= CR4_VME;
}

static void set_system_segments(struct guest *g)
{
	struct vee_segments *s = &g->start.state.segments;

	s->gdtr = (struct vee_table) { .base = GPA_GDT, .limit = GDT_END - 1 };
	s->idtr = (struct vee_table) {
		.base = g->mode == REAL ? 0 : GPA_IDT, .limit = g->mode == REAL ? 0x3ff : 0xfff,
	};
	s->tr.selector = TSS;
	s->tr.base = GPA_TSS;
	s->tr.limit = TSS_LIMIT;
	s->ldtr = (struct vee_segment) {
		.selector = LDT, .base = GPA_LDT, .limit = 0x1f, .access_rights = 0x82,
	};
}

/* SDM 3A, "Paging": of 32 bits, with PAE, or of four levels. */
static void set_paging(struct guest *g)
{
	struct vee_control *c = &g->start.state.control;

	if (!g->kind.is_long && (g->mode == REAL || !pick(3)))
		return;
	c->cr0 |= CR0_PG;
	if (pick(2))
		c->cr0 |= CR0_WP;
	if (g->kind.is_long) {
		c->cr3 = GPA_PML4;
	} else if (pick(2)) {
		c->cr4 |= CR4_PAE;
		c->cr3 = GPA_PDPT_PAE;
	} else {
		c->cr3 = GPA_PD_32;
	}
	if (!pick(4))
		c->cr4 |= CR4_SMAP;
	if (pick(2))
		c->cr4 |= CR4_PSE;
	if (pick(2) && c->cr4 & CR4_PAE)
		c->efer |= EFER_NXE;
}

static uint64_t somewhere(const struct guest *g)
{
	uint64_t base = g->kind.has_bases ? GPA_DEVICE : 0;

	switch (pick(8)) {
	case 0:
		return GPA_MMIO + pick(MMIO_PAGES * PAGE_BYTES) - base;
	case 1:
		return GPA_MMIO - 8 + pick(16) - base;
	case 2:
		return GPA_CODE + pick(PAGE_BYTES);
	default:
		return GPA_DEVICE + pick(DEVICE_BYTES) - base;
	}
}

/* Each time that a string instruction goes on in a device has an exit: seldom many. */
static uint64_t some_count(void)
{
	uint64_t value = some_value();

	return value & (value >> 60 ? 0x1f : 0x7f);
}

static void set_registers(struct guest *g)
{
	struct state *s = &g->start.state;

	for (int i = 0; i < 16; i++)
		s->regs.gpr[i] = pick(2) ? some_value() : somewhere(g);
	s->regs.rbx = somewhere(g);
	s->regs.rsi = somewhere(g);
	s->regs.rdi = somewhere(g);
	s->regs.rcx = pick(2) ? pick(20) : some_count();
	s->regs.rsp = pick(4) ? GPA_STACK + (g->kind.level ? PAGE_BYTES : 0) - 8 * pick(8) :
		      somewhere(g);
	s->regs.rflags |= random64() & STATUS_FLAGS;
	s->regs.rflags |= pick(8) ? 0 : RFLAGS_TF;
	s->regs.rflags |= pick(8) ? 0 : RFLAGS_NT;
	s->regs.rflags |= pick(8) ? 0 : RFLAGS_RF;
	s->regs.rflags |= pick(8) ? 0 : RFLAGS_AC;
	s->regs.rflags |= pick(8) ? 0 : 0x400;	/* DF */
	s->regs.rflags |= pick(2) ? 0 : 0x200;	/* IF */
	if (!pick(4) && g->mode != VIRTUAL)
		s->regs.rflags |= RFLAGS_IOPL;
	s->regs.rip = GPA_CODE;
	for (int i = 0; g->kind.width != 8 && i < 16; i++)
		s->regs.gpr[i] = (uint32_t)s->regs.gpr[i];
}

static void set_others(struct guest *g)
{
	struct state *s = &g->start.state;

	s->debug = (struct vee_debug) { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	if (!pick(6)) {
		for (int i = 0; i < 4; i++)
			s->debug.dr[i] = pick(4) ? somewhere(g) : GPA_CODE + pick(g->bytes + 1);
		s->debug.dr7 |= (random64() & 0xff) | (random64() & 0x33330000);
	}
	s->msrs = (struct vee_msrs) {
		.star = (uint64_t)CODE64 << 32 | (uint64_t)CODE3 << 48, .lstar = GPA_CODE,
		.cstar = GPA_CODE, .sfmask = random64() & 0x700, .kernel_gs_base = random64() >> 20,
		.sysenter_cs = pick(4) ? CODE0 : 0, .sysenter_esp = GPA_STACK,
		.sysenter_eip = GPA_CODE, .tsc_aux = pick(8), .pat = 0x0007040600070406,
	};
	memcpy(s->xsave, "\x7f\x03", 2);		/* FCW */
	memcpy(s->xsave + 24, "\x80\x1f", 2);	/* MXCSR */
	s->xsave[512] = 3;
	for (int i = 0; i < 256; i++)
		s->xsave[160 + i] = i;
	s->control.xcr0 = 1;
	if (pick(4))
		s->control.cr4 |= CR4_OSFXSR;
	if (!pick(4)) {
		s->control.cr4 |= CR4_OSXSAVE;
		s->control.xcr0 = XCR0_AVX;
	}
	if (!pick(8))
		s->control.cr0 |= pick(2) ? CR0_TS : CR0_EM;
	if (!pick(8))
		s->control.cr0 |= CR0_AM;
	if (!pick(4))
		s->control.cr4 |= CR4_DE;
	if (!pick(8) && s->regs.rflags & 0x200)
		s->blocking = VEE_BLOCKING_BY_STI;
	else if (!pick(16))
		s->blocking = VEE_BLOCKING_BY_MOV_SS;
}

/* Of what an instruction can't be, and others can, one before the first. */
static void set_event(struct guest *g)
{
	static const uint8_t faults[] = { 0, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19 };
	const uint32_t coded = 0x27d00;
	uint8_t vector = faults[pick(sizeof(faults))];
	bool has_code = coded >> vector & 1 && g->mode != REAL;

	if (pick(6))
		return;
	g->start.inject = (struct vee_event) {
		.vector = vector, .type = VEE_EVENT_EXCEPTION,
		.flags = VEE_EVENT_VALID | (has_code ? VEE_EVENT_ERROR_CODE : 0),
		.error_code = has_code && vector != 8 && vector != 17 ? pick(16) : 0,
	};
	if (!(g->start.state.regs.rflags & 0x200) || g->start.state.blocking || pick(2))
		return;
	g->start.inject = (struct vee_event) {
		.vector = 32 + pick(224), .type = VEE_EVENT_INTERRUPT, .flags = VEE_EVENT_VALID,
	};
}

static void make_state(struct guest *g)
{
	struct vee_vcpu *vcpu = vee_scratch();
	struct state *s = &g->start.state;

	if (g->kind.is_long)
		vee_vcpu_set_long_mode(vcpu, GPA_PML4, GPA_CODE);
	else if (g->mode < REAL)
		vee_vcpu_set_protected_mode(vcpu, GPA_CODE);
	else
		vee_vcpu_set_real_mode(vcpu, 0, GPA_CODE);
	s->regs = vcpu->page->regs;
	s->segments = vcpu->page->segments;
	s->control = vcpu->page->control;
	set_system_segments(g);
	set_code_segment(g);
	set_data_segments(g);
	set_virtual(g);
	set_paging(g);
	set_registers(g);
	set_others(g);
	set_event(g);
}

/* --- what is broken --------------------------------------------------------------------- */

/* Bits of tables: descriptors, gates, TSS, pages. */
static void break_tables(void)
{
	static const struct {
		uint32_t gpa, bytes;
	} all[] = {
		{ GPA_GDT, GDT_END }, { GPA_LDT, 32 }, { GPA_IDT, 32 * 16 }, { GPA_TSS, 104 },
		{ GPA_TASK, 104 }, { GPA_PML4, 8 }, { GPA_PDPT, 8 }, { GPA_PD, 8 },
		{ GPA_PT, 24 * 8 }, { GPA_PT, 24 * 8 }, { GPA_PDPT_PAE, 32 }, { GPA_PD_32, 4 },
		{ GPA_PT_32, 24 * 4 },
	};

	for (unsigned int i = 1 + pick(3); i; i--) {
		unsigned int which = pick(sizeof(all) / sizeof(*all));

		pristine[all[which].gpa + pick(all[which].bytes)] ^= 1 << pick(8);
	}
}

static void break_state(struct guest *g)
{
	struct state *s = &g->start.state;
	struct vee_segment *segment = &s->segments.es + pick(8);

	switch (pick(10)) {
	case 0:
		s->control.cr0 ^= some_bits();
		break;
	case 1:
		s->control.cr4 ^= some_bits();
		break;
	case 2:
		s->control.efer ^= 1ULL << pick(16);
		break;
	case 3:
		s->regs.rflags ^= some_bits() & 0x3f7fd5;
		break;
	case 4:
		/* But for those that KVM has no place for. */
		segment->access_rights ^= (1U << pick(17)) & ~0xf00U;
		break;
	case 5:
		segment->limit = pick(2) ? random64() : GPA_DEVICE + pick(PAGE_BYTES);
		break;
	case 6:
		segment->base = pick(2) ? random64() : pick(RAM_BYTES);
		break;
	case 7:
		segment->selector = some_selector();
		break;
	case 8:
		s->segments.idtr.limit = pick(512);
		break;
	case 9:
		s->segments.gdtr.limit = pick(GDT_END);
		break;
	}
}

/* --- guests ----------------------------------------------------------------------------- */

#define DATA_BEGIN	(GPA_DEVICE - 64)
#define DATA_VALUES	((RAM_BYTES - DATA_BEGIN) / 8)
#define VALUES		0x10000U

/* What a guest's data are a part of: so many for each would be half of all its instructions. */
static uint64_t values[VALUES];

static void make_values(void)
{
	for (unsigned int i = 0; i < VALUES; i++)
		values[i] = some_value();
}

static void make_memory(const struct guest *g)
{
	memset(pristine, 0, sizeof(pristine));
	memcpy(pristine + DATA_BEGIN, values + pick(VALUES - DATA_VALUES), 8 * DATA_VALUES);
	put_tables(g->kind.is_long, false, g->start.state.control.cr3);
	for (unsigned int i = 0; i < MMIO_PAGES; i++) {
		put(GPA_PT + 8 * (GPA_MMIO / PAGE_BYTES + i), GPA_MMIO + i * PAGE_BYTES + 7, 8);
		put(GPA_PT_32 + 4 * (GPA_MMIO / PAGE_BYTES + i), GPA_MMIO + i * PAGE_BYTES + 7, 4);
	}
	memset(pristine + GPA_CODE, HLT, PAGE_BYTES);
	memset(pristine + GPA_STUBS, HLT, VECTORS);
	memcpy(pristine + GPA_CODE, g->code, g->bytes);
	if (!pick(3))
		break_tables();
}

static void make_guest(struct guest *g, uint64_t number)
{
	memset(g, 0, sizeof(*g));
	g->number = number;
	seed = number * 0x9e3779b97f4a7c15 + 1;
	for (int i = 0; i < 4; i++)
		random64();
	g->mode = pick(MODES);
	g->kind = kinds[g->mode];
	g->start.memory = pristine;
	g->is_wild = !pick(EACH_WILD);
	g->start.state.control.cr0 = 0x11;
	make_code(g);
	make_state(g);
	make_memory(g);
	if (!pick(4))
		break_state(g);
	/* ET is 1 always; KVM has it as the program does. */
	g->start.state.control.cr0 |= CR0_ET;
}

/* SDM 3D, appendix "Field Encoding in VMCS": the guest-state area. */
static const uint32_t fields[] = {
	0x0800, 0x0802, 0x0804, 0x0806, 0x0808, 0x080a, 0x080c, 0x080e, 0x2802, 0x2804, 0x2806,
	0x280a, 0x280c, 0x280e, 0x2810, 0x4800, 0x4802, 0x4804, 0x4806, 0x4808, 0x480a, 0x480c,
	0x480e, 0x4810, 0x4812, 0x4814, 0x4816, 0x4818, 0x481a, 0x481c, 0x481e, 0x4820, 0x4822,
	0x4824, 0x4826, 0x482a, 0x6800, 0x6802, 0x6804, 0x6806, 0x6808, 0x680a, 0x680c, 0x680e,
	0x6810, 0x6812, 0x6814, 0x6816, 0x6818, 0x681a, 0x681c, 0x681e, 0x6820, 0x6822, 0x6824,
	0x6826,
};

static void run_wild(struct guest *g, struct trail *trail)
{
	trail->step_count = 0;
	if (vee_load_start(&g->start))
		return;
	for (unsigned int i = 1 + pick(6); i; i--)
		vee_write_field(fields[pick(sizeof(fields) / sizeof(*fields))],
				pick(2) ? some_bits() : some_value());
	vee_run_wild(trail, !pick(EACH_KICKED / EACH_WILD));
}

/* --- comparison ------------------------------------------------------------------------- */

#define FX_BYTES	24	/* of the legacy region: what x87 notes */
#define MXCSR_MASK	28
#define ST		32
#define XMM		160
#define XMM_END		416
#define XSTATE_BV	512
#define YMM		576
#define YMM_END		832

static bool same_segment(const struct vee_segment *a, const struct vee_segment *b)
{
	if (a->access_rights & b->access_rights & VEE_AR_UNUSABLE)
		return a->selector == b->selector;
	return a->base == b->base && a->limit == b->limit && a->selector == b->selector &&
	       a->access_rights == b->access_rights;
}

static bool same_segments(const struct vee_segments *a, const struct vee_segments *b)
{
	/* ES to TR. */
	for (int i = 0; i < 8; i++)
		if (!same_segment(&a->es + i, &b->es + i))
			return false;
	return a->gdtr.base == b->gdtr.base && a->gdtr.limit == b->gdtr.limit &&
	       a->idtr.base == b->idtr.base && a->idtr.limit == b->idtr.limit;
}

static bool same_control(const struct vee_control *a, const struct vee_control *b)
{
	return a->cr0 == b->cr0 && a->cr2 == b->cr2 && a->cr3 == b->cr3 && a->cr4 == b->cr4 &&
	       a->cr8 == b->cr8 && a->efer == b->efer;
}

/* What the area doesn't hold is as at first: SDM 1, "XSAVE-Supported Features". */
static void fill_in(uint8_t *area)
{
	if (!(area[XSTATE_BV] & 1)) {
		memset(area, 0, FX_BYTES);
		memcpy(area, "\x7f\x03", 2);
		memset(area + ST, 0, XMM - ST);
	}
	if (!(area[XSTATE_BV] & 2))
		memset(area + XMM, 0, XMM_END - XMM);
	if (!(area[XSTATE_BV] & 4))
		memset(area + YMM, 0, YMM_END - YMM);
	memset(area + MXCSR_MASK, 0, 4);
	memset(area + XMM_END, 0, YMM - XMM_END);
	area[XSTATE_BV] = 7;
}

static const char *end_differs(struct state *a, struct state *b)
{
	if (memcmp(a->debug.dr, b->debug.dr, sizeof(a->debug.dr)) ||
	    a->debug.dr6 != b->debug.dr6 || a->debug.dr7 != b->debug.dr7)
		return "debug registers";
	a->msrs.tsc_offset = b->msrs.tsc_offset;
	if (memcmp(&a->msrs, &b->msrs, sizeof(a->msrs)) || a->debugctl != b->debugctl)
		return "MSRs";
	fill_in(a->xsave);
	fill_in(b->xsave);
	return memcmp(a->xsave, b->xsave, YMM_END) ? "x87, SSE or AVX" : NULL;
}

static const char *step_differs(const struct step *a, const struct step *b)
{
	if (a->stop != b->stop)
		return "exit";
	if (a->stop == END_REFUSED_ENTRY)
		return NULL;
	if (a->what != b->what || a->value != b->value)
		return "what the exit tells";
	if (memcmp(&a->regs, &b->regs, sizeof(a->regs)))
		return "registers";
	if (!same_segments(&a->segments, &b->segments))
		return "segments";
	if (!same_control(&a->control, &b->control))
		return "control registers";
	return a->blocking == b->blocking ? NULL : "blocking by STI or MOV SS";
}

static bool same_bus(const struct trail *a, const struct trail *b, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (a->bus[i].address != b->bus[i].address || a->bus[i].byte != b->bus[i].byte ||
		    a->bus[i].is_write != b->bus[i].is_write ||
		    a->bus[i].is_port != b->bus[i].is_port)
			return false;
	return true;
}

static const struct step *last_step(const struct trail *trail)
{
	return &trail->steps[trail->step_count - 1];
}

/* Did it come to an end by itself, that all can be asked of? */
static bool has_end(const struct trail *trail)
{
	enum stop stop = last_step(trail)->stop;

	return stop == END_HLT || stop == END_SHUTDOWN;
}

/* NULL: nothing. Where one has not come to an end what it has done until then is compared. */
static const char *trails_differ(struct trail *a, struct trail *b)
{
	unsigned int both = a->step_count < b->step_count ? a->step_count : b->step_count;
	bool ended = has_end(a) && has_end(b);
	const char *what;

	for (unsigned int i = 0; i < both; i++) {
		if (a->steps[i].stop > END_REFUSED_ENTRY || b->steps[i].stop > END_REFUSED_ENTRY)
			return NULL;
		if (a->steps[i].bus != b->steps[i].bus ||
		    !same_bus(a, b, a->steps[i].bus))
			return "what went over the bus";
		what = step_differs(&a->steps[i], &b->steps[i]);
		if (what)
			return what;
	}
	if (!ended)
		return NULL;
	if (last_step(a)->control.xcr0 != last_step(b)->control.xcr0)
		return "XCR0";
	return end_differs(&a->end, &b->end);
}

/* ... and of memory. */
static const char *find_difference(struct trail *vee, struct trail *kvm)
{
	const char *what = trails_differ(vee, kvm);

	if (what || !has_end(vee) || !has_end(kvm))
		return what;
	return memcmp(memory_vee, memory_kvm, RAM_BYTES) ? "memory" : NULL;
}

/* --- what a difference comes from ------------------------------------------------------- */

/**
 * struct difference - between what came of a guest under vee and under KVM
 * @what: which is the first of it
 */
struct difference {
	const struct guest *g;
	const char *what;
	struct trail *vee, *kvm;
};

/**
 * struct known - a difference that is none of vee's
 * @name: what it is called in the counts
 * @is: is it that, and nothing beside it?
 */
struct known {
	const char *name;
	bool (*is)(const struct difference *d);
	unsigned int count;
};

static struct known *find_known(const struct difference *d);

static void run_on(const struct engine *engine, const struct guest *g, struct trail *trail,
		   const struct trail *guide)
{
	reset_device();
	engine->run(&g->start, trail, guide);
	/* There the CPU writes it, unseen. */
	is_written |= engine == &engine_plain;
}

static void run_both(const struct guest *g, struct trail *vee, struct trail *kvm)
{
	run_on(&engine_vee, g, vee, NULL);
	run_on(&engine_kvm, g, kvm, vee);
}

/**
 * struct kept - both guests' memory, while another runs in its place
 */
struct kept {
	uint8_t of_vee[RAM_BYTES], of_kvm[RAM_BYTES];
};

static void keep(struct kept *kept)
{
	memcpy(kept->of_vee, memory_vee, RAM_BYTES);
	memcpy(kept->of_kvm, memory_kvm, RAM_BYTES);
}

static void give_back(const struct kept *kept)
{
	memcpy(memory_vee, kept->of_vee, RAM_BYTES);
	memcpy(memory_kvm, kept->of_kvm, RAM_BYTES);
}

static void drop_beats(struct trail *trail, unsigned int first, unsigned int count)
{
	memmove(trail->bus + first, trail->bus + first + count,
		(trail->bus_count - first - count) * sizeof(*trail->bus));
	trail->bus_count -= count;
	for (unsigned int i = 0; i < trail->step_count; i++)
		if (trail->steps[i].bus >= first + count)
			trail->steps[i].bus -= count;
		else if (trail->steps[i].bus > first)
			trail->steps[i].bus = first;
}

/* Did it go to the device at all? Not any more. */
static bool drop_memory(struct trail *trail)
{
	unsigned int before = trail->bus_count;

	for (unsigned int i = before; i-- > 0;)
		if (!trail->bus[i].is_port)
			drop_beats(trail, i, 1);
	return trail->bus_count < before;
}

static bool same_stop(const struct trail *vee, const struct trail *plain)
{
	return last_step(vee)->stop == END_CANNOT ||
	       last_step(vee)->stop == last_step(plain)->stop;
}

/* What the CPU does where the device is memory. */
static struct trail plain;

/* Does it do there what vee has done with the device? @went: has vee gone to the device? */
static bool is_as_plain(const struct guest *g, bool *went)
{
	static uint8_t of_device[MMIO_BYTES];
	static struct kept kept, now;
	static struct trail vee;
	bool right;

	keep(&kept);
	run_on(&engine_vee, g, &vee, NULL);
	memcpy(of_device, device, MMIO_BYTES);
	keep(&now);
	run_on(&engine_plain, g, &plain, NULL);
	*went = drop_memory(&vee);
	right = same_stop(&vee, &plain) && !trails_differ(&vee, &plain);
	if (right && has_end(&plain))
		right = !memcmp(now.of_vee, memory_vee, RAM_BYTES) &&
			!memcmp(of_device, device, MMIO_BYTES);
	give_back(&kept);
	return right;
}

/* Then it's KVM that has not. */
static bool is_right(const struct guest *g)
{
	bool went;

	return is_as_plain(g, &went) && went;
}

/* Likewise where it is right not to go there. */
static bool is_right_without(const struct guest *g)
{
	bool went;

	return is_as_plain(g, &went) && !went;
}

/* A copy of what came of KVM's, to be mended in one point: then nothing differs. */
static struct trail *copy_of(const struct trail *kvm)
{
	static struct trail copy;

	copy = *kvm;
	return &copy;
}

#define DR6_BS		0x4000ULL

/* After HLT a trap is still to be taken; KVM has it in DR6 as soon as that is asked for. */
static bool is_hlt_step(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);

	if (last_step(kvm)->stop != END_HLT || !(last_step(kvm)->regs.rflags & RFLAGS_TF) ||
	    !(kvm->end.debug.dr6 & DR6_BS))
		return false;
	kvm->end.debug.dr6 &= ~DR6_BS;
	return !find_difference(d->vee, kvm);
}

static bool is_other(const struct trail *a, const struct trail *b)
{
	return a->step_count != b->step_count || a->bus_count != b->bus_count ||
	       last_step(a)->stop != last_step(b)->stop ||
	       memcmp(&last_step(a)->regs, &last_step(b)->regs, sizeof(struct vee_regs));
}

/* With HLT (at CPL 3: #GP) at @gpa: does vee come to it, and nothing differ? */
static bool is_same_until(const struct difference *d, uint32_t gpa)
{
	uint8_t *code = pristine + gpa, before = *code;
	static struct trail vee, kvm;
	struct difference until = { d->g, NULL, &vee, &kvm };
	static struct kept kept;
	bool same;

	keep(&kept);
	*code = HLT;
	engine_kvm.renew();
	run_both(d->g, &vee, &kvm);
	until.what = find_difference(&vee, &kvm);
	*code = before;
	memory_vee[gpa] = kept.of_vee[gpa];
	memory_kvm[gpa] = kept.of_vee[gpa];
	same = (is_other(d->vee, &vee) || memcmp(kept.of_vee, memory_vee, RAM_BYTES)) &&
	       (!until.what || is_hlt_step(&until));
	give_back(&kept);
	return same;
}

#define NO_MORE	-1
#define REG(n)	(0x100 | (n) << 3)	/* of ModRM */

static bool is_second(uint8_t byte, int second)
{
	if (second == NO_MORE)
		return true;
	return second & 0x100 ? (byte & 0x38) == (second & 0x38) : byte == second;
}

/* Is it an instruction of that opcode where they part? */
static bool part_at(const struct difference *d, uint8_t first, int second)
{
	const uint8_t *code = pristine + GPA_CODE;

	for (unsigned int i = 0; i < d->g->bytes; i++)
		if (code[i] == first && is_second(code[i + 1], second) &&
		    is_same_until(d, GPA_CODE + i))
			return true;
	return false;
}

/* Did it come to the handler of @vector? */
static bool is_at(const struct trail *trail, unsigned int vector)
{
	return has_end(trail) && last_step(trail)->regs.rip == GPA_STUBS + vector + 1;
}

/* Where the handler of a fault without error code would go back to. */
static uint32_t fault_at(const struct trail *trail, const uint8_t *memory)
{
	const struct vee_control *control = &last_step(trail)->control;
	uint64_t rsp = last_step(trail)->regs.rsp;
	uint16_t frame[4];

	if (rsp > RAM_BYTES - sizeof(frame))
		return UINT32_MAX;
	memcpy(frame, memory + rsp, sizeof(frame));
	if (!(control->cr0 & CR0_PE))
		return frame[0] + 16U * frame[1];
	return frame[0] | (uint32_t)frame[1] << 16;
}

/* --- differences that have a reason ----------------------------------------------------- */

/*
 * KVM's vmx_set_segment() and vmx_segment_access_rights() have a segment that isn't present
 * be unusable, and all but LDTR accessed.
 */
static bool mend(struct vee_segment *s, bool is_ldtr)
{
	uint32_t before = s->access_rights;

	if (!(before & VEE_AR_PRESENT))
		s->access_rights |= VEE_AR_UNUSABLE;
	if (!is_ldtr)
		s->access_rights |= 1;
	return s->access_rights != before;
}

#define SEGMENTS	8	/* ES, CS, SS, DS, FS, GS, LDTR, TR */
#define LDTR		6

/* What vee makes of @mended KVM has made of @g already; but for what is known of @mended. */
static bool is_as_if(const struct guest *g, const struct guest *mended)
{
	static struct trail vee, kvm, before;
	struct difference d = { mended, NULL, &vee, &kvm };
	static struct kept kept;
	bool same;

	keep(&kept);
	engine_kvm.renew();
	run_both(mended, &vee, &kvm);
	d.what = find_difference(&vee, &kvm);
	same = last_step(&vee)->stop != END_REFUSED_ENTRY && (!d.what || find_known(&d));
	engine_kvm.renew();
	run_on(&engine_kvm, g, &before, &vee);
	same = same && !trails_differ(&before, &kvm);
	give_back(&kept);
	return same;
}

/* So it enters where vee is refused, as SDM 3C, "Checks on Guest Segment Registers", has it. */
static bool is_mended_segment(const struct difference *d)
{
	static struct guest mended;
	bool any = false;

	if (last_step(d->vee)->stop != END_REFUSED_ENTRY)
		return false;
	mended = *d->g;
	for (int i = 0; i < SEGMENTS; i++)
		any |= mend(&mended.start.state.segments.es + i, i == LDTR);
	return any && is_as_if(d->g, &mended);
}

/* What vee has made of the guest it makes of @mended, too, and then KVM as well. */
static bool does_as_if(const struct difference *d, const struct guest *mended)
{
	static struct trail vee, kvm;
	static struct kept kept;
	bool same;

	keep(&kept);
	engine_kvm.renew();
	run_both(mended, &vee, &kvm);
	same = has_end(&vee) && !find_difference(&vee, &kvm) && !is_other(d->vee, &vee) &&
	       !memcmp(kept.of_vee, memory_vee, RAM_BYTES);
	give_back(&kept);
	return same;
}

/*
 * A CS whose bits say that it is unusable: an entry takes it, and the CPU runs it (SDM 3C,
 * "Checks on Guest Segment Registers"); KVM's emulator has #GP for each instruction there.
 */
static bool is_unusable_code(const struct difference *d)
{
	static struct guest mended;

	mended = *d->g;
	mended.start.state.segments.cs.access_rights &= ~VEE_AR_UNUSABLE;
	return d->g->start.state.segments.cs.access_rights & VEE_AR_UNUSABLE &&
	       does_as_if(d, &mended);
}

/*
 * An interrupt while the guest isn't ready for it: KVM's entry fails (SDM 3C, "Checks on Guest
 * RIP, RFLAGS, and SSP"); vee holds it back, by design, and the guest goes on as without.
 */
static bool is_held_back(const struct difference *d)
{
	static struct guest mended;

	mended = *d->g;
	mended.start.inject.flags = 0;
	return d->g->start.inject.flags && d->g->start.inject.type == VEE_EVENT_INTERRUPT &&
	       last_step(d->kvm)->stop == END_REFUSED_ENTRY && does_as_if(d, &mended);
}

/* Is breakpoint @i at the first instruction, of which RFLAGS.RF keeps it? */
static bool is_resumed_at(const struct state *s, int i)
{
	return s->regs.rflags & RFLAGS_RF && s->debug.dr[i] == s->segments.cs.base + s->regs.rip &&
	       s->debug.dr7 >> (2 * i) & 3 && !(s->debug.dr7 >> (16 + 4 * i) & 3);
}

/*
 * Of an instruction that exits RF is saved as 0 (SDM 3C, "Saving RIP, RSP, RFLAGS, and SSP"),
 * so that KVM's emulator finds its breakpoint again. Without that breakpoint nothing differs.
 */
static bool is_breakpoint_again(const struct difference *d)
{
	static struct guest mended;
	bool any = false;

	mended = *d->g;
	for (int i = 0; i < 4; i++)
		if (is_resumed_at(&d->g->start.state, i)) {
			mended.start.state.debug.dr[i] = 0x7ffff000;
			any = true;
		}
	return any && is_at(d->kvm, 1) && does_as_if(d, &mended);
}

static uint64_t beyond_physical(void)
{
	unsigned int eax = 36, ebx, ecx, edx;

	__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx);
	return ~0ULL << (eax & 0xff);
}

/*
 * PDPTEs that are present with a reserved bit set: KVM has no PDPTE at all then, and all
 * faults; vee is refused, as SDM 3C, "Checks on Guest Page-Directory-Pointer-Table Entries",
 * has it.
 */
static bool is_pdpte(const struct difference *d)
{
	const struct vee_control *c = &d->g->start.state.control;
	const uint64_t reserved = 0x1e6 | beyond_physical();
	uint64_t gpa = c->cr3 & ~0x1fULL & UINT32_MAX, entries[4];
	bool any = false;

	if (last_step(d->vee)->stop != END_REFUSED_ENTRY || d->vee->step_count > 1 ||
	    last_step(d->kvm)->stop != END_SHUTDOWN || d->kvm->step_count > 1 ||
	    !(c->cr0 & CR0_PG) || !(c->cr4 & CR4_PAE) || c->efer & EFER_LMA ||
	    gpa > RAM_BYTES - sizeof(entries))
		return false;
	memcpy(entries, pristine + gpa, sizeof(entries));
	for (int i = 0; i < 4; i++)
		any |= entries[i] & 1 && entries[i] & reserved;
	return any;
}

/* Not where is_right() has memory: then nobody but vee has done it. */
static bool is_elsewhere(const struct beat *beat)
{
	return beat->address - GPA_MMIO >= MMIO_BYTES;
}

/* Is all that differs that KVM has read a port, or memory, once more, and for nothing? */
static bool reads_more(const struct difference *d, bool is_port)
{
	struct trail *kvm = copy_of(d->kvm);
	unsigned int first = 0, count = kvm->bus_count - d->vee->bus_count;

	if (kvm->bus_count <= d->vee->bus_count)
		return false;
	while (first < d->vee->bus_count && same_bus(d->vee, kvm, first + 1))
		first++;
	for (unsigned int i = first; i < first + count; i++)
		if (kvm->bus[i].is_port != is_port || kvm->bus[i].is_write)
			return false;
	drop_beats(kvm, first, count);
	return !find_difference(d->vee, kvm);
}

/* KVM reads the port before it finds that memory can't be written: SDM 2A, "INS". */
static bool is_ins(const struct difference *d)
{
	return reads_more(d, true) && (part_at(d, 0x6c, NO_MORE) || part_at(d, 0x6d, NO_MORE));
}

/* Beats to ports, or those to memory. */
static unsigned int beats_of(const struct trail *trail, bool is_port, struct beat *beats)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < trail->bus_count; i++)
		if (trail->bus[i].is_port == is_port)
			beats[count++] = trail->bus[i];
	return count;
}

/* KVM does the INs of a REP INS in advance: then all is as it was, but for the order. */
static bool is_rep_ins(const struct difference *d)
{
	static struct beat vee[BUS_MAX], kvm[BUS_MAX];
	struct trail *mended = copy_of(d->kvm);

	for (int is_port = 0; is_port < 2; is_port++) {
		unsigned int count = beats_of(d->vee, is_port, vee);

		memset(vee + count, 0, sizeof(vee) - count * sizeof(*vee));
		memset(kvm, 0, sizeof(kvm));
		if (beats_of(d->kvm, is_port, kvm) != count || memcmp(vee, kvm, sizeof(vee)))
			return false;
	}
	memcpy(mended->bus, d->vee->bus, sizeof(mended->bus));
	return !find_difference(d->vee, mended) &&
	       (part_at(d, 0x6c, NO_MORE) || part_at(d, 0x6d, NO_MORE));
}

/*
 * LGDT and LIDT with a 16-bit operand leave the sixth byte out. Whether it is read is nowhere
 * said: SDM 2A, "LGDT/LIDT". KVM does not.
 */
static bool is_sixth_byte(const struct difference *d)
{
	static struct trail vee;
	unsigned int first = 0;

	vee = *d->vee;
	if (vee.bus_count != d->kvm->bus_count + 1)
		return false;
	while (first < d->kvm->bus_count && same_bus(&vee, d->kvm, first + 1))
		first++;
	if (vee.bus[first].is_port || vee.bus[first].is_write)
		return false;
	drop_beats(&vee, first, 1);
	return !find_difference(&vee, d->kvm) && part_at(d, 0x0f, 0x01);
}

/* KVM's emulator reads what SLDT and STR then write over. */
static bool is_sldt(const struct difference *d)
{
	const struct trail *vee = d->vee;

	return vee->bus_count && reads_more(d, false) && part_at(d, 0x0f, 0x00) &&
	       (is_elsewhere(&vee->bus[vee->bus_count - 1]) || is_right(d->g));
}

/* ... and what CLFLUSH flushes: SDM 2A, "CLFLUSH", does not read. */
static bool is_clflush(const struct difference *d)
{
	bool went;

	return reads_more(d, false) && part_at(d, 0x0f, 0xae) && is_as_plain(d->g, &went);
}

/*
 * ... and one operand of CMPS where the other faults: of the order the SDM has nothing. HLT in
 * its place has the same fault at CPL 3.
 */
static bool is_cmps(const struct difference *d)
{
	return reads_more(d, false) &&
	       (memchr(pristine + GPA_CODE, 0xa6, d->g->bytes) ||
		memchr(pristine + GPA_CODE, 0xa7, d->g->bytes)) &&
	       (is_at(d->vee, 12) || is_at(d->vee, 13) || is_at(d->vee, 14));
}

/* ... and what MOVS moves, before its destination faults: of that there is nothing, too. */
static bool is_movs(const struct difference *d)
{
	return reads_more(d, false) &&
	       (is_at(d->vee, 12) || is_at(d->vee, 13) || is_at(d->vee, 14)) &&
	       (part_at(d, 0xa4, NO_MORE) || part_at(d, 0xa5, NO_MORE));
}

/* Of what KVM emulates it checks no alignment: SDM 3A, "Alignment Check Exception (#AC)". */
static bool is_alignment(const struct difference *d)
{
	return is_at(d->vee, 17) && is_right_without(d->g);
}

/*
 * An operand that goes beyond 4 GiB: whether it faults is the CPU's to choose (SDM 3A, "Limit
 * Checking"). KVM's emulator has it go on at 0.
 */
static bool is_wrap(const struct difference *d)
{
	const struct trail *kvm = d->kvm;
	unsigned int next = d->vee->bus_count;

	while (next < kvm->bus_count && kvm->bus[next].address != UINT32_MAX)
		next++;
	return next < kvm->bus_count && same_bus(d->vee, kvm, d->vee->bus_count) &&
	       (is_at(d->vee, 13) || is_at(d->vee, 12) || is_right_without(d->g));
}

/* CPUID does not offer it: by design. KVM takes it all the same. */
static bool is_mce(const struct difference *d)
{
	return is_at(d->vee, 13) && !(last_step(d->vee)->control.cr4 & CR4_MCE) &&
	       last_step(d->kvm)->control.cr4 & CR4_MCE && part_at(d, 0x0f, 0x22);
}

/* KVM's handle_cr() looks at the lower byte: SDM 2B, "MOV-Move to/from Control Registers". */
static bool is_cr8(const struct difference *d)
{
	const uint8_t *code = pristine + GPA_CODE;

	if (!is_at(d->vee, 13))
		return false;
	for (unsigned int i = 1; i + 2 < d->g->bytes; i++) {
		unsigned int reg = (code[i - 1] & 1) << 3 | (code[i + 2] & 7);
		uint64_t value = last_step(d->vee)->regs.gpr[reg];

		if ((code[i - 1] & 0xf4) == 0x44 && code[i] == 0x0f && code[i + 1] == 0x22 &&
		    !(code[i + 2] & 0x38) && value > 0xff && !(value & 0xf0) &&
		    is_same_until(d, GPA_CODE + i))
			return true;
	}
	return false;
}

/*
 * At CPL 3 a selector with RPL 0 of a segment with DPL 0: KVM's emulator refuses it if both
 * CPL and RPL are above DPL, not if either is (SDM 3A, "Privilege Level Checking when Accessing
 * Data Segments").
 */
static bool is_privilege(const struct difference *d)
{
	static const struct {
		uint8_t first;
		int second;
	} loads[] = {
		{ 0x07, NO_MORE }, { 0x1f, NO_MORE }, { 0x8e, NO_MORE }, { 0xc4, NO_MORE },
		{ 0xc5, NO_MORE }, { 0x0f, 0xa1 }, { 0x0f, 0xa9 }, { 0x0f, 0xb4 }, { 0x0f, 0xb5 },
	};

	if (!is_at(d->vee, 13) || !d->g->kind.level)
		return false;
	for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++)
		if (part_at(d, loads[i].first, loads[i].second))
			return is_right(d->g);
	return false;
}

/*
 * The emulator has a MOV to DR8 exit before it finds that there is no such register: SDM 3C,
 * "Relative Priority of Faults and VM Exits". KVM then finds the privilege level wanting; vee
 * lets the guest do it again, with no exit, and the CPU finds the register wanting.
 */
static bool is_dr8(const struct difference *d)
{
	const uint8_t *code = pristine + GPA_CODE;

	/* Or the IDT ends before #GP. */
	if (!is_at(d->vee, 6) || (!is_at(d->kvm, 13) && last_step(d->kvm)->stop != END_SHUTDOWN))
		return false;
	for (unsigned int i = 1; i + 1 < d->g->bytes; i++)
		if ((code[i - 1] & 0xf4) == 0x44 && code[i] == 0x0f &&
		    (code[i + 1] == 0x21 || code[i + 1] == 0x23) &&
		    is_same_until(d, GPA_CODE + i))
			return true;
	return false;
}

/*
 * Of an exit in the middle of an instruction the emulator notes a single-step trap as pending,
 * where SDM 3C, "Saving Non-Register State", has none. vee lets the guest do the MOV to or
 * from a debug register again, and KVM goes past it, or raises a fault. But where another
 * guest's breakpoints were before, the registers are loaded, and vee has no such exit.
 */
static bool is_dr_step(const struct difference *d)
{
	return (is_at(d->vee, 1) || is_at(d->kvm, 1)) &&
	       d->g->start.state.regs.rflags & RFLAGS_TF &&
	       (part_at(d, 0x0f, 0x21) || part_at(d, 0x0f, 0x23));
}

/*
 * Of an EPT violation likewise: the trap comes before the instruction again, under KVM, which
 * enters the guest once more, and not under vee, which has done it.
 */
static bool is_early_step(const struct difference *d)
{
	return d->g->start.state.regs.rflags & RFLAGS_TF && is_at(d->vee, 1) && is_at(d->kvm, 1) &&
	       d->vee->bus_count > d->kvm->bus_count &&
	       same_bus(d->vee, d->kvm, d->kvm->bus_count) &&
	       fault_at(d->kvm, memory_kvm) != fault_at(d->vee, memory_vee) && is_right(d->g);
}

/*
 * ... and in DR6 it is where the fault of such an instruction can't be delivered: of vee's,
 * when the registers are not loaded, so that it exits, and not when they are.
 */
static bool is_dr_shutdown(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	uint64_t rip = last_step(d->vee)->regs.rip;
	const uint8_t *code = pristine + rip;

	if (last_step(kvm)->stop != END_SHUTDOWN || rip - GPA_CODE >= d->g->bytes ||
	    !(d->g->start.state.regs.rflags & RFLAGS_TF))
		return false;
	if ((*code & 0xf0) == 0x40)
		code++;
	kvm->end.debug.dr6 ^= (kvm->end.debug.dr6 ^ d->vee->end.debug.dr6) & DR6_BS;
	return code[0] == 0x0f && (code[1] == 0x21 || code[1] == 0x23) &&
	       !find_difference(d->vee, kvm);
}

/* ENTER, ARPL, BOUND, LAR, LSL: where the device is elsewhere than is_right() has memory. */
static bool part_at_missing(const struct difference *d)
{
	return part_at(d, 0xc8, NO_MORE) || part_at(d, 0x63, NO_MORE) ||
	       part_at(d, 0x62, NO_MORE) || part_at(d, 0x0f, 0x02) || part_at(d, 0x0f, 0x03);
}

/*
 * Likewise in what a guest has jumped to; or any instruction that has gone to memory beyond
 * the device: there is no #UD of that.
 */
static bool is_missing_there(const struct difference *d)
{
	static const uint8_t prefixes[] = {
		0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0, 0xf2, 0xf3,
	};
	bool ended = last_step(d->kvm)->stop == END_SHUTDOWN;
	uint32_t gpa = ended ? last_step(d->kvm)->regs.rip : fault_at(d->kvm, memory_kvm), at = gpa;
	const uint8_t *m = pristine;

	if (gpa > RAM_BYTES - 16 || memcmp(m + gpa, memory_kvm + gpa, 4))
		return false;
	while (at < gpa + 14 && memchr(prefixes, m[at], sizeof(prefixes)))
		at++;
	return (m[at] == 0xc8 || m[at] == 0x63 || m[at] == 0x62 ||
		(m[at] == 0x0f && (m[at + 1] == 0x02 || m[at + 1] == 0x03)) ||
		is_elsewhere(&d->vee->bus[d->kvm->bus_count])) &&
	       is_same_until(d, gpa);
}

/* KVM's emulator has not got the instruction, and makes #UD of it, or worse; libvee has. */
static bool is_beyond_kvm(const struct difference *d)
{
	return (is_at(d->kvm, 6) || last_step(d->kvm)->stop == END_SHUTDOWN) &&
	       d->vee->bus_count > d->kvm->bus_count &&
	       same_bus(d->vee, d->kvm, d->kvm->bus_count) &&
	       (is_right(d->g) || part_at_missing(d) || is_missing_there(d));
}

/* Real mode's interrupt table has both, and who has jumped to what is before it gets there. */
static bool part_in_table(const struct difference *d)
{
	for (unsigned int opcode = 0x60; opcode <= 0x61; opcode++)
		if (pristine[4 * opcode] == opcode && is_same_until(d, 4 * opcode))
			return true;
	return false;
}

/*
 * KVM begins POPA again after each access to a device, with (E)SP where it was by then; of
 * PUSHA the last write alone gets there.
 */
static bool is_popa(const struct difference *d)
{
	const struct trail *vee = d->vee, *kvm = d->kvm;
	unsigned int first = 0;

	while (first < vee->bus_count && first < kvm->bus_count && same_bus(vee, kvm, first + 1))
		first++;
	return kvm->bus_count &&
	       (part_at(d, 0x60, NO_MORE) || part_at(d, 0x61, NO_MORE) || part_in_table(d)) &&
	       ((first < vee->bus_count && is_elsewhere(&vee->bus[first])) ||
		(first < kvm->bus_count && is_elsewhere(&kvm->bus[first])) || is_right(d->g));
}

/* Of what a far CALL pushes the last write alone gets to a device, too. */
static bool is_far_call(const struct difference *d)
{
	return d->vee->bus_count > d->kvm->bus_count &&
	       (part_at(d, 0x9a, NO_MORE) || part_at(d, 0xff, REG(3))) && is_right(d->g);
}

/*
 * A null selector that LSS or POP SS has loaded from a device, in 64-bit mode: SS is unusable
 * then (SDM 3C, "Guest Register State"), and KVM makes one of 4 KiB of it.
 */
static bool is_null_stack(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);

	for (unsigned int i = 0; i < kvm->step_count && i < d->vee->step_count; i++) {
		const struct vee_segment *right = &d->vee->steps[i].segments.ss;
		struct vee_segment *ss = &kvm->steps[i].segments.ss;

		if (right->access_rights & VEE_AR_UNUSABLE && right->selector < 4 &&
		    ss->selector == right->selector)
			*ss = *right;
	}
	return !find_difference(d->vee, kvm) && is_right(d->g);
}

/*
 * KVM's emulator has ENTER save (E)BP by the width of the stack: SDM 2A, "ENTER", by that of
 * the operand; with a nesting level it is #UD. It is emulated as the new (E)SP, which ENTER
 * looks at, is in a device.
 */
static bool is_enter(const struct difference *d)
{
	const struct vee_regs *vee = &last_step(d->vee)->regs, *kvm = &last_step(d->kvm)->regs;
	uint64_t more = (vee->rbp - kvm->rbp) & 0xff;

	return (more == 2 || more == 6 || more == 0xfe || is_at(d->kvm, 6)) &&
	       part_at(d, 0xc8, NO_MORE) && is_right_without(d->g);
}

/* SDM 2A, "LTR": #GP(selector) if that points to the LDT; KVM's emulator has 0 for it. */
static bool is_ltr(const struct difference *d)
{
	const unsigned int is_local = 4;
	uint16_t of_vee, of_kvm;
	uint32_t at = 0;

	if (strcmp(d->what, "memory") || !is_at(d->vee, 13) || !is_at(d->kvm, 13))
		return false;
	while (memory_vee[at] == memory_kvm[at])
		at++;
	memcpy(&of_vee, memory_vee + at, 2);
	memcpy(&of_kvm, memory_kvm + at, 2);
	at += 2;
	return of_vee & is_local && !of_kvm &&
	       !memcmp(memory_vee + at, memory_kvm + at, RAM_BYTES - at) &&
	       part_at(d, 0x0f, 0x00) &&
	       ((d->vee->bus_count && is_elsewhere(&d->vee->bus[d->vee->bus_count - 1])) ||
		is_right(d->g));
}

#define FRAME_BYTES	48U	/* of 64-bit mode, with an error code */

/* KVM's emulator does the instruction at RIP in place of a frame for a device's memory. */
static bool is_frame(const struct difference *d)
{
	const struct trail *vee = d->vee;
	const struct beat *last;

	if (!vee->bus_count || !has_end(vee) ||
	    last_step(vee)->regs.rip == last_step(d->kvm)->regs.rip)
		return false;
	last = &vee->bus[vee->bus_count - 1];
	return last->is_write && !last->is_port &&
	       (last->address - last_step(vee)->regs.rsp) % PAGE_BYTES < FRAME_BYTES &&
	       (is_elsewhere(last) || is_right(d->g));
}

/* Nor does it go on in a page table that is in a device: the event before it is lost, too. */
static bool is_walk(const struct difference *d)
{
	const struct trail *vee = d->vee;
	unsigned int at = d->kvm->bus_count;

	return vee->bus_count > at && same_bus(vee, d->kvm, at) && !vee->bus[at].is_port &&
	       !vee->bus[at].is_write && !(vee->bus[at].address % 4) &&
	       d->g->start.state.control.cr0 & CR0_PG && last_step(d->kvm)->stop == END_SHUTDOWN &&
	       (is_elsewhere(&vee->bus[at]) || is_right(d->g));
}

/*
 * INT1 whose delivery ends in a shutdown: RIP is at it (SDM 3C, "Information for VM Exits That
 * Occur During Event Delivery"). KVM has gone past it before.
 */
static bool is_int1(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	uint64_t rip = last_step(d->vee)->regs.rip, next = last_step(kvm)->regs.rip;

	if (last_step(d->vee)->stop != END_SHUTDOWN || last_step(d->kvm)->stop != END_SHUTDOWN ||
	    rip - GPA_CODE >= d->g->bytes || next - rip > 15 || pristine[next - 1] != 0xf1)
		return false;
	kvm->steps[kvm->step_count - 1].regs.rip = rip;
	return !find_difference(d->vee, kvm);
}

#define CR0_RESERVED	0x1ffaffc0ULL

/* KVM's switch of tasks clears bits of CR0 that there are not; a VM entry leaves them out. */
static bool is_reserved_cr0(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	uint64_t begin = d->g->start.state.control.cr0;

	if (!(begin & CR0_RESERVED))
		return false;
	for (unsigned int i = 0; i < kvm->step_count && i < d->vee->step_count; i++)
		kvm->steps[i].control.cr0 |= d->vee->steps[i].control.cr0 & CR0_RESERVED;
	return !find_difference(d->vee, kvm);
}

/*
 * A switch to a task whose SS can't be loaded: it is done, and #TS is the new task's (SDM 3A,
 * "Task Switching"). KVM goes on in the old one, with the new one's selectors.
 */
static bool is_half_switch(const struct difference *d)
{
	const struct vee_segments *vee = &last_step(d->vee)->segments;
	const struct vee_segments *kvm = &last_step(d->kvm)->segments;

	return vee->tr.selector != d->g->start.state.segments.tr.selector &&
	       kvm->tr.selector == d->g->start.state.segments.tr.selector &&
	       vee->ss.access_rights & VEE_AR_UNUSABLE && vee->ss.selector == kvm->ss.selector;
}

/*
 * B0 to B3 of breakpoints that are not enabled "may or may not be set": SDM 3B, "Debug Status
 * Register (DR6)". The CPU sets them when it delivers a trap that was pending at the entry.
 */
static bool is_disabled_breakpoint(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	uint64_t disabled = 0;

	for (int i = 0; i < 4; i++)
		disabled |= !(d->vee->end.debug.dr7 >> (2 * i) & 3) << i;
	kvm->end.debug.dr6 ^= (kvm->end.debug.dr6 ^ d->vee->end.debug.dr6) & disabled;
	return !find_difference(d->vee, kvm);
}

#define TSS_SELECTORS	0x48	/* ES to GS, and LDTR: words in double words */
#define TSS_LDTR	0x60

/* What is beside the selectors in a TSS is reserved; KVM's switch writes zeros there. */
static bool is_beside_selectors(const struct difference *d)
{
	uint64_t tss = d->g->start.state.segments.tr.base;
	static struct kept kept;
	bool same;

	if (strcmp(d->what, "memory") || tss > RAM_BYTES - TSS_LDTR - 4)
		return false;
	keep(&kept);
	for (uint64_t at = tss + TSS_SELECTORS; at <= tss + TSS_LDTR; at += 4)
		memcpy(memory_kvm + at + 2, memory_vee + at + 2, 2);
	same = !find_difference(d->vee, d->kvm);
	give_back(&kept);
	return same;
}

#define MSR_TSC	0x10

/* The first one of @trail, or as many as it has: none. */
static unsigned int find_step(const struct trail *trail, enum stop stop, uint64_t what)
{
	unsigned int i = 0;

	while (i < trail->step_count &&
	       (trail->steps[i].stop != stop || trail->steps[i].what != what))
		i++;
	return i;
}

/* The engine's own under vee; KVM is told to ask for what isn't compared. */
static bool is_tsc(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	unsigned int i = find_step(kvm, GO_WRMSR, MSR_TSC);

	if (i == kvm->step_count)
		return false;
	kvm->step_count--;
	memmove(kvm->steps + i, kvm->steps + i + 1,
		(kvm->step_count - i) * sizeof(*kvm->steps));
	return !find_difference(d->vee, kvm);
}

/* Likewise its RDMSR, which is another each time: until then they must be the same. */
static bool is_rdtsc(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	unsigned int i = find_step(kvm, GO_RDMSR, MSR_TSC);

	if (i == kvm->step_count)
		return false;
	kvm->steps[i].stop = END_CANNOT;
	kvm->step_count = i + 1;
	return !find_difference(d->vee, kvm);
}

/* KVM asks nobody for registers of the local APIC, which neither guest has. */
static bool is_apic_register(const struct difference *d)
{
	static struct trail vee;
	unsigned int kept = 0;

	vee = *d->vee;
	for (unsigned int i = 0; i < d->vee->step_count; i++) {
		const struct step *step = &d->vee->steps[i];

		if ((step->stop != GO_RDMSR && step->stop != GO_WRMSR) || !is_x2apic(step->what))
			vee.steps[kept++] = *step;
	}
	vee.step_count = kept;
	return kept < d->vee->step_count && !find_difference(&vee, d->kvm);
}

#define OF_IMUL	0x0d4ULL	/* SF, ZF, AF, PF: SDM 2A, "IMUL" */
#define OF_BSF	0x895ULL	/* all but ZF: SDM 2A, "BSF", "BSR" */
#define OF_DIV	0x8d5ULL	/* all: SDM 2A, "DIV", "IDIV" */

static const struct {
	uint8_t first;
	int second;
	uint64_t flags;
} undefined[] = {
	{ 0x69, NO_MORE, OF_IMUL }, { 0x6b, NO_MORE, OF_IMUL }, { 0x0f, 0xaf, OF_IMUL },
	{ 0x0f, 0xbc, OF_BSF }, { 0x0f, 0xbd, OF_BSF },
	{ 0xf6, REG(4), OF_IMUL }, { 0xf6, REG(5), OF_IMUL }, { 0xf7, REG(4), OF_IMUL },
	{ 0xf7, REG(5), OF_IMUL }, { 0xf6, REG(6), OF_DIV }, { 0xf6, REG(7), OF_DIV },
	{ 0xf7, REG(6), OF_DIV }, { 0xf7, REG(7), OF_DIV },
};

/* Where @flags have got to KVM's memory, in the frame of a fault, there are vee's. */
static void mend_memory(uint16_t flags)
{
	for (uint32_t at = 0; at < RAM_BYTES - 1; at++) {
		uint16_t of_vee, of_kvm;

		memcpy(&of_vee, memory_vee + at, 2);
		memcpy(&of_kvm, memory_kvm + at, 2);
		if (!((of_vee ^ of_kvm) & ~flags))
			memcpy(memory_kvm + at, &of_vee, 2);
	}
}

/* With vee's @flags in it, does @kvm differ no more? */
static bool is_same_but(const struct difference *d, struct trail *kvm, uint64_t flags)
{
	static struct kept kept;
	bool same;

	for (unsigned int i = 0; i < kvm->step_count && i < d->vee->step_count; i++) {
		kvm->steps[i].regs.rflags &= ~flags;
		kvm->steps[i].regs.rflags |= d->vee->steps[i].regs.rflags & flags;
	}
	keep(&kept);
	mend_memory(flags);
	same = !find_difference(d->vee, kvm);
	give_back(&kept);
	return same;
}

static bool differ_in(const struct difference *d, uint64_t flags)
{
	return is_same_but(d, copy_of(d->kvm), flags);
}

/* How long is the instruction there? */
static unsigned int length_at(const struct guest *g, uint32_t gpa)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction insn;

	make_decoder(&decoder, g->kind.width);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, pristine + gpa, 15, &insn)))
		return 0;
	return insn.length;
}

/* Do they differ in @flags alone with HLT behind the instruction? Then a jump went by them. */
static bool differ_behind(const struct difference *d, uint8_t first, int second, uint64_t flags)
{
	static struct trail vee, kvm;
	static struct kept kept;
	struct difference behind = { d->g, NULL, &vee, &kvm };
	bool same = false;

	for (unsigned int i = 0; !same && i < d->g->bytes; i++) {
		uint8_t *code = pristine + GPA_CODE + i, before;

		if (*code != first || !is_second(code[1], second))
			continue;
		code += length_at(d->g, GPA_CODE + i);
		before = *code;
		keep(&kept);
		*code = HLT;
		engine_kvm.renew();
		run_both(d->g, &vee, &kvm);
		behind.what = find_difference(&vee, &kvm);
		same = behind.what && vee.bus_count && differ_in(&behind, flags);
		*code = before;
		give_back(&kept);
	}
	return same;
}

/* Flags of a product and of a bit that is looked for, of an operand in a device. */
static bool is_undefined_flag(const struct difference *d)
{
	if (!d->vee->bus_count)
		return false;
	for (size_t i = 0; i < sizeof(undefined) / sizeof(*undefined); i++)
		if ((differ_in(d, undefined[i].flags) &&
		     part_at(d, undefined[i].first, undefined[i].second)) ||
		    differ_behind(d, undefined[i].first, undefined[i].second,
				  undefined[i].flags))
			return true;
	return false;
}

/*
 * SHLD and SHRD of 16 bits by more than 16: what comes of it, and the flags, are undefined
 * (SDM 2B, "SHLD", "SHRD").
 */
static bool is_undefined_shift(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	static const uint8_t opcodes[] = { 0xa4, 0xa5, 0xac, 0xad };

	for (unsigned int i = 0; i < kvm->bus_count && i < d->vee->bus_count; i++)
		if (kvm->bus[i].is_write && !kvm->bus[i].is_port)
			kvm->bus[i].byte = d->vee->bus[i].byte;
	if (!is_same_but(d, kvm, STATUS_FLAGS))
		return false;
	for (unsigned int i = 0; i < sizeof(opcodes); i++)
		if (part_at(d, 0x0f, opcodes[i]))
			return true;
	return false;
}

/*
 * Its emulator again: the CPU, with memory in place of the device, has done what vee has. It
 * does not tell what it reads, so not where all that differs is what went over the bus.
 */
static bool is_otherwise(const struct difference *d)
{
	bool bus = !strcmp(d->what, "what went over the bus");
	const struct step *vee = last_step(d->vee), *kvm = last_step(d->kvm);

	return (!bus || vee->stop != kvm->stop ||
		memcmp(&vee->regs, &kvm->regs, sizeof(vee->regs))) && is_right(d->g);
}

static struct known knowns[] = {
	{ "KVM mends a segment that an entry refuses", is_mended_segment, 0 },
	{ "an interrupt that vee holds back, by design", is_held_back, 0 },
	{ "KVM runs no code where CS is unusable", is_unusable_code, 0 },
	{ "KVM's emulator meets a breakpoint that RF keeps off", is_breakpoint_again, 0 },
	{ "KVM has no PDPTE where one has a reserved bit set", is_pdpte, 0 },
	{ "KVM does the IN of an INS whose memory faults", is_ins, 0 },
	{ "KVM does the INs of a REP INS in advance", is_rep_ins, 0 },
	{ "the sixth byte of a 16-bit LGDT or LIDT", is_sixth_byte, 0 },
	{ "KVM's #GP for an LTR of the LDT has no error code", is_ltr, 0 },
	{ "KVM's PUSHA and POPA go wrong in a device", is_popa, 0 },
	{ "KVM's far CALL goes wrong in a device", is_far_call, 0 },
	{ "KVM's SS is usable with a null selector", is_null_stack, 0 },
	{ "KVM reads what SLDT or STR then writes", is_sldt, 0 },
	{ "KVM reads what CLFLUSH flushes", is_clflush, 0 },
	{ "KVM reads one operand of CMPS, and the other faults", is_cmps, 0 },
	{ "KVM reads what MOVS moves, and its destination faults", is_movs, 0 },
	{ "KVM checks no alignment where it emulates", is_alignment, 0 },
	{ "an operand beyond 4 GiB, which may fault or not", is_wrap, 0 },
	{ "KVM's ENTER saves by the width of the stack, or is #UD", is_enter, 0 },
	{ "KVM reads no page table in a device", is_walk, 0 },
	{ "KVM goes past INT1 before a shutdown in its delivery", is_int1, 0 },
	{ "bits of CR0 that there are not", is_reserved_cr0, 0 },
	{ "reserved words of a TSS", is_beside_selectors, 0 },
	{ "bits in DR6 of breakpoints that are not enabled", is_disabled_breakpoint, 0 },
	{ "KVM switches tasks by half, where SS can't be loaded", is_half_switch, 0 },
	{ "WRMSR of the TSC, which vee answers itself", is_tsc, 0 },
	{ "RDMSR of the TSC, likewise", is_rdtsc, 0 },
	{ "registers of an APIC, which KVM does not ask for", is_apic_register, 0 },
	{ "KVM can't emulate what reaches a device: #UD", is_beyond_kvm, 0 },
	{ "KVM has a step's trap after HLT in DR6 already", is_hlt_step, 0 },
	{ "KVM does not deliver an event whose frame goes to a device", is_frame, 0 },
	{ "KVM takes a segment of a lower DPL", is_privilege, 0 },
	{ "KVM takes CR4.MCE, which CPUID does not offer", is_mce, 0 },
	{ "KVM takes a CR8 whose upper bits are set", is_cr8, 0 },
	{ "flags that an instruction leaves undefined", is_undefined_flag, 0 },
	{ "SHLD or SHRD of 16 bits by more", is_undefined_shift, 0 },
	{ "the emulator: MOV to DR8 exits before #UD", is_dr8, 0 },
	{ "the emulator: a single-step trap pending at the exit of MOV DR", is_dr_step, 0 },
	{ "the emulator: likewise at an EPT violation", is_early_step, 0 },
	{ "the emulator: likewise, and its fault ends in a shutdown", is_dr_shutdown, 0 },
	{ "KVM does otherwise, and the CPU as vee", is_otherwise, 0 },
	{ 0 },
};

static struct known *find_known(const struct difference *d)
{
	for (struct known *known = knowns; known->name; known++)
		if (known->is(d))
			return known;
	return NULL;
}

/* --- what is told ----------------------------------------------------------------------- */

static const char *const stop_names[] = {
	[GO_PORT] = "port", [GO_RDMSR] = "RDMSR", [GO_WRMSR] = "WRMSR", [END_HLT] = "HLT",
	[END_SHUTDOWN] = "shutdown", [END_REFUSED_ENTRY] = "entry failed", [END_LOOP] = "loop",
	[END_ENOUGH] = "exits without end", [END_CANNOT] = "can't do it",
	[END_REFUSED] = "state refused",
};

static void tell_code(const struct guest *g)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	ZydisDecoder decoder;
	char text[96];

	make_decoder(&decoder, g->kind.width);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	for (unsigned int at = 0; at < g->bytes;) {
		unsigned int length = 1;

		snprintf(text, sizeof(text), "?");
		if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, pristine + GPA_CODE + at, 15,
							&insn, operands))) {
			ZydisFormatterFormatInstruction(&formatter, &insn, operands,
							insn.operand_count_visible, text,
							sizeof(text), GPA_CODE + at, NULL);
			length = insn.length;
		}
		printf("\t%x: ", GPA_CODE + at);
		for (unsigned int i = 0; i < length; i++)
			printf("%02x ", pristine[GPA_CODE + at + i]);
		printf(" %s\n", text);
		at += length;
	}
}

static void tell_segments(const struct vee_segments *s)
{
	static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR" };

	printf("\t\t");
	for (int i = 0; i < 8; i++) {
		const struct vee_segment *segment = &s->es + i;

		printf("%s %x:%llx,%x,%x%s", names[i], segment->selector, segment->base,
		       segment->limit, segment->access_rights, i == 3 ? "\n\t\t" : " ");
	}
	printf("GDTR %llx,%x IDTR %llx,%x\n", s->gdtr.base, s->gdtr.limit, s->idtr.base,
	       s->idtr.limit);
}

static void tell_registers(const struct vee_regs *r)
{
	static const char *const names[] = {
		"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11",
		"R12", "R13", "R14", "R15",
	};

	printf("\t\tRIP %llx flags %llx", r->rip, r->rflags);
	for (int i = 0; i < 16; i++)
		printf("%s%s %llx", i == 6 ? "\n\t\t" : " ", names[i], r->gpr[i]);
	printf("\n");
}

static void tell_control(const struct vee_control *c, uint32_t blocking)
{
	printf("\t\tCR0 %llx CR2 %llx CR3 %llx CR4 %llx CR8 %llx ", c->cr0, c->cr2, c->cr3, c->cr4,
	       c->cr8);
	printf("EFER %llx XCR0 %llx blocking %x\n", c->efer, c->xcr0, blocking);
}

static void tell_debug(const struct vee_debug *d)
{
	printf("\t\tDR0 %llx DR1 %llx DR2 %llx DR3 %llx DR6 %llx DR7 %llx\n", d->dr[0], d->dr[1],
	       d->dr[2], d->dr[3], d->dr6, d->dr7);
}

static void tell_guest(const struct guest *g)
{
	const struct state *s = &g->start.state;

	printf("guest %llu: %s%s\n", (unsigned long long)g->number, g->kind.name,
	       g->is_wild ? ", wild" : "");
	tell_code(g);
	tell_registers(&s->regs);
	tell_segments(&s->segments);
	tell_control(&s->control, s->blocking);
	tell_debug(&s->debug);
	if (g->start.inject.flags)
		printf("\t\tinjected: type %u vector %u error code %x\n", g->start.inject.type,
		       g->start.inject.vector, g->start.inject.error_code);
}

static void tell_trail(const char *who, const struct trail *trail)
{
	for (unsigned int i = 0; i < trail->step_count; i++) {
		const struct step *step = &trail->steps[i];

		printf("\t%s: %s %llx %llx, %u bytes over the bus\n", who, stop_names[step->stop],
		       (unsigned long long)step->what, (unsigned long long)step->value, step->bus);
		tell_registers(&step->regs);
		tell_segments(&step->segments);
		tell_control(&step->control, step->blocking);
	}
	tell_debug(&trail->end.debug);
	/* The first ones, and the last. */
	for (unsigned int i = 0; i < trail->bus_count; i++)
		if (i < 16 || i + 16 >= trail->bus_count)
			printf("%s%s%s%llx=%02x", i ? " " : "\t\t",
			       trail->bus[i].is_port ? "port " : "",
			       trail->bus[i].is_write ? ">" : "<",
			       (unsigned long long)trail->bus[i].address,
			       trail->bus[i].byte);
	if (trail->bus_count)
		printf("\n");
}

#define SHOWN_MAX	8

static void tell_memory(void)
{
	unsigned int shown = 0;

	for (uint32_t i = 0; i < RAM_BYTES && shown < SHOWN_MAX; i += 4) {
		uint32_t of_vee, of_kvm, before;

		memcpy(&of_vee, memory_vee + i, 4);
		memcpy(&of_kvm, memory_kvm + i, 4);
		memcpy(&before, pristine + i, 4);
		if (of_vee == of_kvm)
			continue;
		printf("\tat %x: %08x before, vee %08x KVM %08x\n", i, before, of_vee, of_kvm);
		shown++;
	}
}

/* --- all of it -------------------------------------------------------------------------- */

/**
 * struct tally - how many
 * @compared: guests that came to an end under both
 * @partly: of which what was before could be compared
 * @left: that differed by what guests before had left in KVM, and alone no longer did
 * @differ: without a reason that is known
 */
static struct tally {
	unsigned long guests, wild, compared, partly, refused, exits, left, differ;
	unsigned long stops[END_REFUSED + 1];
} tally;

static void count(const struct trail *vee)
{
	tally.exits += vee->step_count;
	if (vee->step_count)
		tally.stops[last_step(vee)->stop]++;
}

static void tell_all(const struct guest *g, const char *what, const struct known *known,
		     const struct trail *vee, const struct trail *kvm)
{
	if (what)
		printf("differs: %s%s%s\n", what, known ? ", which is known: " : "",
		       known ? known->name : "");
	tell_guest(g);
	tell_trail("vee", vee);
	tell_trail("KVM", kvm);
	tell_memory();
	if ((vee->bus_count || kvm->bus_count) && !is_right(g))
		tell_trail("the CPU, with memory for the device", &plain);
}

/*
 * With RFLAGS.IF clear the emulator leaves a guest for an interrupt only once an instruction
 * has written IF: a loop without, under KVM, which sets no preemption timer, has no end.
 */
static bool is_endless(const struct trail *vee)
{
	return last_step(vee)->stop == END_LOOP;
}

/* Is there nothing of it that KVM's could be compared with? See trails_differ(). */
static bool is_beyond(const struct trail *vee)
{
	return vee->step_count == 1 && last_step(vee)->stop > END_REFUSED_ENTRY;
}

/* Once more, with nothing that guests before may have left; vee must do the same again. */
static const char *try_again(const struct guest *g, struct trail *vee,
			     struct trail *kvm)
{
	static uint8_t memory_before[RAM_BYTES];
	static struct trail before;
	const char *again, *what;

	before = *vee;
	memcpy(memory_before, memory_vee, RAM_BYTES);
	engine_kvm.renew();
	run_both(g, vee, kvm);
	again = find_difference(vee, kvm);
	what = trails_differ(&before, vee);
	if (what && is_dr_shutdown(&(struct difference) { g, what, vee, &before }))
		what = NULL;
	if (what || (has_end(vee) && memcmp(memory_before, memory_vee, RAM_BYTES)))
		return "vee does something else the second time";
	return again;
}

static void compare(const struct guest *g, struct trail *vee, struct trail *kvm)
{
	const char *what;
	struct known *known = NULL;

	what = find_difference(vee, kvm);
	if (what)
		known = find_known(&(struct difference) { g, what, vee, kvm });
	if (what && !known) {
		what = try_again(g, vee, kvm);
		tally.left += !what;
	}
	if (last_step(vee)->stop == END_REFUSED || last_step(kvm)->stop == END_REFUSED)
		tally.refused++;
	else if (has_end(vee) && has_end(kvm))
		tally.compared++;
	else
		tally.partly++;
	if (what && !known)
		known = find_known(&(struct difference) { g, what, vee, kvm });
	if (known)
		known->count++;
	else if (what)
		tally.differ++;
	if (explaining || (what && !known))
		tell_all(g, what, known, vee, kvm);
}

static void run_guest(uint64_t number)
{
	static struct trail vee, kvm;
	static struct guest g;

	make_guest(&g, number);
	tally.guests++;
	if (g.is_wild)
		run_wild(&g, &vee);
	else
		run_on(&engine_vee, &g, &vee, NULL);
	count(&vee);
	if (!alone && !g.is_wild && !is_endless(&vee) && !is_beyond(&vee)) {
		run_on(&engine_kvm, &g, &kvm, &vee);
		compare(&g, &vee, &kvm);
		return;
	}
	if (g.is_wild)
		tally.wild++;
	else if (last_step(&vee)->stop == END_REFUSED)
		tally.refused++;
	else
		tally.partly++;
	if (explaining) {
		tell_guest(&g);
		tell_trail("vee", &vee);
	}
}

static void tell_tally(double took)
{
	printf("%lu guests from seed %llu on, in %.1f s: %lu exits; %lu wild, %lu refused, ",
	       tally.guests, (unsigned long long)first, took, tally.exits, tally.wild,
	       tally.refused);
	printf("%lu compared to their end, %lu until one could no more\n", tally.compared,
	       tally.partly);
	printf("ends under vee:");
	for (int i = END_HLT; i <= END_REFUSED; i++)
		printf(" %s %lu%s", stop_names[i], tally.stops[i], i < END_REFUSED ? "," : "\n");
	for (const struct known *known = knowns; known->name; known++)
		if (known->count)
			printf("known: %s: %u\n", known->name, known->count);
	if (tally.left)
		printf("known: what guests before had left in KVM: %lu\n", tally.left);
	printf("%lu differ\n", tally.differ);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint8_t *ram(void)
{
	uint8_t *memory = aligned_alloc(PAGE_BYTES, RAM_BYTES);

	if (!memory)
		err(1, "memory");
	memset(memory, 0, RAM_BYTES);
	return memory;
}

#define EACH_TOLD	200
#define DIFFER_MAX	20	/* who has that many need not see more */

static void run_all(void)
{
	double began = now();

	for (unsigned long i = 0; i < most && tally.differ < DIFFER_MAX; i++) {
		if (seconds && now() - began >= seconds)
			break;
		/* So that it can be seen where one hangs. */
		if (!(i % EACH_TOLD))
			printf("# %llu\n", (unsigned long long)first + i);
		run_guest(first + i);
	}
	tell_tally(now() - began);
}

static void usage(FILE *out)
{
	fputs("usage: fuzz-guest [--seed N] [--count N] [--seconds N] [--one SEED]\n"
	      "\t[--explain] [--alone]\n", out);
}

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' }, { "count", required_argument, NULL, 'c' },
	{ "seconds", required_argument, NULL, 't' }, { "one", required_argument, NULL, '1' },
	{ "explain", no_argument, NULL, 'e' }, { "alone", no_argument, NULL, 'a' },
	{ "help", no_argument, NULL, 'h' }, { 0 },
};

static void take_option(int option)
{
	switch (option) {
	case '1':
		most = 1;
		first = strtoull(optarg, NULL, 0);
		break;
	case 's':
		first = strtoull(optarg, NULL, 0);
		break;
	case 'c':
		most = strtoul(optarg, NULL, 0);
		break;
	case 't':
		seconds = strtod(optarg, NULL);
		break;
	case 'e':
		explaining = true;
		break;
	case 'a':
		alone = true;
		break;
	case 'h':
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		take_option(option);
	setlinebuf(stdout);
	make_values();
	memory_vee = ram();
	engine_vee.open(memory_vee);
	engine_plain.open(memory_vee);
	is_written = true;
	if (!alone) {
		memory_kvm = ram();
		engine_kvm.open(memory_kvm);
	}
	run_all();
	return tally.differ != 0;
}
