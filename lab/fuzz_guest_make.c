// SPDX-License-Identifier: GPL-2.0-only
/* A guest from its seed: its code, its state, its tables, and what is broken of them. */
#include "fuzz_guest.h"

#define EACH_WILD	8
#define EACH_KICKED	64

uint8_t pristine[RAM_BYTES];
uint64_t seed = 1;

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

/* The TSC and random numbers are others each time, and VMCALL is KVM's own. */
static bool is_taken_out(uint8_t first, uint8_t second)
{
	return first == 0x31 || (first == 0x01 && second == 0xf9) ||
	       (first == 0x01 && (second == 0xc1 || second == 0xd9)) ||
	       (first == 0xc7 && second >= 0xf0);
}

/* Anywhere, since jumps lead into the middle of instructions. Behind them is HLT. */
static void take_out(uint8_t *code, unsigned int bytes)
{
	for (unsigned int i = 0; i + 1 < bytes; i++)
		if (code[i] == 0x0f && is_taken_out(code[i + 1], i + 2 < bytes ? code[i + 2] : HLT))
			code[i + 1] = 0x0b;
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

void make_values(void)
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

void make_guest(struct guest *g, uint64_t number)
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

void run_wild(struct guest *g, struct trail *trail)
{
	trail->step_count = 0;
	if (vee_load_start(&g->start))
		return;
	for (unsigned int i = 1 + pick(6); i; i--)
		vee_write_field(fields[pick(sizeof(fields) / sizeof(*fields))],
				pick(2) ? some_bits() : some_value());
	vee_run_wild(trail, !pick(EACH_KICKED / EACH_WILD));
}
