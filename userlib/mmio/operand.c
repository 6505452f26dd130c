// SPDX-License-Identifier: LGPL-2.1-or-later
/* The operands of an instruction: registers, memory, and how it ends. */
#include "mmio.h"

/* --- registers --- */

uint64_t get_register(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	uint64_t value = guest->vcpu->page->regs.gpr[insn->reg];

	if (insn->high_byte)
		value >>= 8;
	return value & low_bits(insn->reg_width);
}

void set_register(const struct guest *guest, uint64_t value)
{
	const struct insn *insn = guest->insn;
	__u64 *gpr = &guest->vcpu->page->regs.gpr[insn->reg];

	if (insn->high_byte)
		*gpr = (*gpr & ~0xff00ULL) | (value & 0xff) << 8;
	else
		set_gpr(guest->vcpu, insn->reg, insn->reg_width, value);
}

/* The operand that isn't in memory. */
uint64_t get_other(const struct guest *guest)
{
	if (guest->insn->reg == NO_REGISTER)
		return guest->insn->imm;
	return get_register(guest);
}

void set_rflags(const struct guest *guest, uint64_t rflags)
{
	struct vee_vcpu_page *page = guest->vcpu->page;

	if (page->regs.rflags == rflags)
		return;
	page->regs.rflags = rflags;
	page->dirty |= VEE_STATE_REGS;
}

int64_t sign_extend(uint64_t value, unsigned int bytes)
{
	unsigned int shift = 64 - bytes * 8;

	return (int64_t)(value << shift) >> shift;
}

/* --- memory --- */

static uint64_t address_part(const struct guest *guest, unsigned int reg)
{
	const struct vee_regs *regs = &guest->vcpu->page->regs;

	if (reg == NO_REGISTER)
		return 0;
	return reg == REGISTER_RIP ? regs->rip : regs->gpr[reg];
}

/* BT with a register can reach bits to either side: by whole operands. */
static int64_t bit_displacement(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	int64_t bits = insn->width * 8;
	int64_t bit = sign_extend(get_register(guest), insn->reg_width);

	return (bit - (bit & (bits - 1))) / 8;
}

uint64_t operand_offset(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	uint64_t offset = insn->disp;

	offset += address_part(guest, insn->base);
	offset += address_part(guest, insn->index) * insn->scale;
	if (insn->bit_offset)
		offset += bit_displacement(guest);
	return offset & low_bits(insn->address_width);
}

/*
 * SDM 3A, "Alignment Check Exception", table: of a number its size, of a far pointer that
 * of the offset, of a pair that of one. All else has none that AC is about.
 */
static unsigned int alignment(const struct insn *insn, unsigned int bytes)
{
	switch (insn->kind) {
	case INSN_FAR_JUMP:
	case INSN_FAR_CALL:
	case INSN_LOAD_POINTER:
		return bytes - sizeof(uint16_t);
	case INSN_BOUND:
		return bytes / 2;
	default:
		return bytes & (bytes - 1) || bytes > sizeof(uint64_t) ? 0 : bytes;
	}
}

int operand_find(const struct guest *guest, unsigned int bytes, unsigned int access,
		 struct guest_span *span)
{
	return guest_find_in(guest, guest->insn->segment, operand_offset(guest), bytes,
			     access, alignment(guest->insn, bytes), span);
}

/*
 * Most operands are just what the exit was about: a device's register, all of it, that
 * the CPU has found and checked. The device's function can have it at once.
 */
static bool is_register(const struct guest *guest, unsigned int access)
{
	const struct vee_exit_memory *exit = guest->exit;
	const struct insn *insn = guest->insn;

	return insn->in_memory && exit && exit->gva_valid && !exit->walk && !guest->hits &&
	       !(guest->vcpu->page->regs.rflags & RFLAGS_AC) &&
	       guest->fn && guest->vcpu->page->exit.reason == VEE_EXIT_MMIO &&
	       (exit->gva & PAGE_OFFSET) + insn->width <= PAGE_BYTES &&
	       !(access & ~exit->access & VEE_WRITE) &&
	       !guest_needs_base(guest, insn->segment) &&
	       operand_offset(guest) == exit->gva;
}

int operand_read(const struct guest *guest, void *data, unsigned int bytes)
{
	struct guest_span span;
	int err = operand_find(guest, bytes, VEE_READ, &span);

	return err ? err : guest_read(guest, &span, data, bytes);
}

int operand_write(const struct guest *guest, const void *data, unsigned int bytes)
{
	struct guest_span span;
	int err = operand_find(guest, bytes, VEE_WRITE, &span);

	return err ? err : guest_write(guest, &span, data, bytes);
}

int read_operand(const struct guest *guest, uint64_t *value)
{
	const struct insn *insn = guest->insn;

	*value = 0;
	if (is_register(guest, VEE_READ))
		return guest->fn(guest->arg, guest->exit->gpa, value, insn->width, false);
	if (insn->in_memory)
		return operand_read(guest, value, insn->width);
	*value = guest->vcpu->page->regs.gpr[insn->source] & low_bits(insn->width);
	return 0;
}

int write_operand(const struct guest *guest, uint64_t value)
{
	const struct insn *insn = guest->insn;

	if (is_register(guest, VEE_WRITE))
		return guest->fn(guest->arg, guest->exit->gpa, &value, insn->width, true);
	if (insn->in_memory)
		return operand_write(guest, &value, insn->width);
	set_gpr(guest->vcpu, insn->source, insn->width, value);
	return 0;
}

/* --- how it ends --- */

/* The CPU doesn't tell how long an instruction is that touched memory. */
void complete(const struct guest *guest)
{
	guest->vcpu->page->exit.instruction_length = guest->insn->length;
	vee_done(guest->vcpu);
}

/* What VEE_RESUME_NEXT does, which takes no other RIP; TF is the one from before. */
static int resume_at(const struct guest *guest, uint64_t rip, bool branches)
{
	struct vee_vcpu_page *page = guest->vcpu->page;
	int err = trap_unblock(guest);

	if (err)
		return err;
	page->regs.rip = rip;
	page->regs.rflags &= ~RFLAGS_RF;
	page->dirty |= VEE_STATE_REGS | VEE_STATE_EVENTS;
	err = trap_step(guest, branches);
	return err ? err : INSN_RESUMED;
}

int complete_branch(const struct guest *guest, uint64_t rip)
{
	return resume_at(guest, rip, true);
}

int complete_next(const struct guest *guest)
{
	return resume_at(guest, guest->vcpu->page->regs.rip + guest->insn->length, false);
}
