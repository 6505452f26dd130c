// SPDX-License-Identifier: LGPL-2.1-or-later
/* The operands of an instruction: registers, segments, addresses, the device. */
#include "mmio.h"

/* SDM 3A, "Code- and Data-Segment Descriptor Types". */
#define AR_DOWN		0x4U
#define AR_CODE_OR_DOWN	0xcU

/* In 64-bit mode the bases of CS, DS, ES and SS count as 0. */
static bool needs_base(const struct insn *insn, unsigned int segment)
{
	return insn->mode != 8 || segment == SEG_FS || segment == SEG_GS;
}

const struct vee_segment *find_segment(const struct mmio *mmio, unsigned int segment)
{
	const struct vee_segments *segments = &mmio->vcpu->page->segments;
	const struct vee_segment *by_number[] = {
		[SEG_ES] = &segments->es, [SEG_CS] = &segments->cs,
		[SEG_SS] = &segments->ss, [SEG_DS] = &segments->ds,
		[SEG_FS] = &segments->fs, [SEG_GS] = &segments->gs,
	};

	return by_number[segment];
}

uint64_t segment_base(const struct mmio *mmio, unsigned int segment)
{
	if (!needs_base(mmio->insn, segment))
		return 0;
	return find_segment(mmio, segment)->base;
}

/* SDM 3A, "Limit Checking": an expand-down segment has what is above its limit. */
static bool is_in_limit(const struct vee_segment *segment, uint64_t offset, uint64_t bytes)
{
	uint64_t last = offset + bytes - 1;

	if (segment->access_rights & VEE_AR_UNUSABLE)
		return false;
	if ((segment->access_rights & AR_CODE_OR_DOWN) != AR_DOWN)
		return last <= segment->limit;
	return offset > segment->limit &&
	       last <= (segment->access_rights & VEE_AR_DB ? UINT32_MAX : UINT16_MAX);
}

bool segment_reaches(const struct mmio *mmio, unsigned int segment, uint64_t offset,
		     uint64_t bytes)
{
	if (mmio->insn->mode == 8)
		return guest_is_canonical(offset + segment_base(mmio, segment), bytes);
	return is_in_limit(find_segment(mmio, segment), offset, bytes);
}

uint64_t get_register(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t value = mmio->vcpu->page->regs.gpr[insn->reg];

	if (insn->high_byte)
		value >>= 8;
	return value & low_bits(insn->reg_width);
}

void set_register(const struct mmio *mmio, uint64_t value)
{
	const struct insn *insn = mmio->insn;
	__u64 *gpr = &mmio->vcpu->page->regs.gpr[insn->reg];

	if (insn->high_byte)
		*gpr = (*gpr & ~0xff00ULL) | (value & 0xff) << 8;
	else
		set_gpr(mmio->vcpu, insn->reg, insn->reg_width, value);
}

/* The operand that isn't in memory. */
uint64_t get_other(const struct mmio *mmio)
{
	if (mmio->insn->reg == NO_REGISTER)
		return mmio->insn->imm;
	return get_register(mmio);
}

static uint64_t address_part(const struct mmio *mmio, unsigned int reg)
{
	const struct vee_regs *regs = &mmio->vcpu->page->regs;

	if (reg == NO_REGISTER)
		return 0;
	if (reg == REGISTER_RIP)
		return regs->rip + mmio->insn->length;
	/* POP computes its address after it has moved the stack pointer. */
	if (reg == RSP && mmio->insn->kind == INSN_POP)
		return regs->rsp + mmio->insn->width;
	return regs->gpr[reg];
}

int64_t sign_extend(uint64_t value, unsigned int bytes)
{
	unsigned int shift = 64 - bytes * 8;

	return (int64_t)(value << shift) >> shift;
}

/* BT with a register can reach bits to either side: by whole operands. */
static int64_t bit_displacement(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	int64_t bit, bits = insn->width * 8;

	if (!insn->bit_offset)
		return 0;
	bit = sign_extend(get_register(mmio), insn->reg_width);
	return (bit - (bit & (bits - 1))) / 8;
}

static uint64_t linear_address(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t offset = insn->disp + bit_displacement(mmio);

	offset += address_part(mmio, insn->base);
	offset += address_part(mmio, insn->index) * insn->scale;
	offset &= low_bits(insn->address_width);
	offset += segment_base(mmio, insn->segment);
	return insn->mode == 8 ? offset : (uint32_t)offset;
}

/*
 * The exit tells where the access was; it is the memory operand, all of it, only
 * if that begins at the very address and ends in the same page.
 */
int mmio_check_place(const struct mmio *mmio)
{
	const struct vee_exit_memory *exit = mmio->exit;
	int err = 0;

	if ((exit->gpa & PAGE_OFFSET) + mmio->insn->width > PAGE_BYTES)
		return -EOPNOTSUPP;
	if (needs_base(mmio->insn, mmio->insn->segment))
		err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);
	if (err)
		return err;
	if (exit->gva_valid && linear_address(mmio) != exit->gva)
		return -EOPNOTSUPP;
	return 0;
}

int mmio_access(const struct mmio *mmio, void *data, bool write)
{
	unsigned int piece = min_u64(mmio->insn->width, 8);
	int err = 0;

	for (unsigned int at = 0; !err && at < mmio->insn->width; at += piece)
		err = mmio->fn(mmio->arg, mmio->exit->gpa + at, (uint8_t *)data + at,
			       piece, write);
	return err;
}

int read_memory(const struct mmio *mmio, uint64_t *value)
{
	*value = 0;
	return mmio_access(mmio, value, false);
}

int write_memory(const struct mmio *mmio, uint64_t value)
{
	value &= low_bits(mmio->insn->width);
	return mmio_access(mmio, &value, true);
}

void mmio_set_rflags(const struct mmio *mmio, uint64_t rflags)
{
	struct vee_vcpu_page *page = mmio->vcpu->page;

	if (page->regs.rflags == rflags)
		return;
	page->regs.rflags = rflags;
	page->dirty |= VEE_STATE_REGS;
}

/* The CPU doesn't tell how long an instruction is that touched memory. */
void mmio_complete(const struct mmio *mmio)
{
	mmio->vcpu->page->exit.instruction_length = mmio->insn->length;
	vee_done(mmio->vcpu);
}
