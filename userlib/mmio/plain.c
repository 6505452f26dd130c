// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads, stores, arithmetic: all whose operand has up to 8 bytes. */
#include "mmio.h"

static uint64_t swap_bytes(uint64_t value, unsigned int bytes)
{
	return __builtin_bswap64(value) >> (64 - bytes * 8);
}

int do_load(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	uint64_t value;
	int err = read_operand(guest, &value);

	if (err)
		return err;
	if (insn->sign)
		value = sign_extend(value, insn->width);
	if (insn->swap)
		value = swap_bytes(value, insn->width);
	set_register(guest, value);
	return 0;
}

/* CMOVcc reads always, and always clears the upper half of a 32-bit register. */
int do_load_if(const struct guest *guest)
{
	uint64_t value;
	int err = read_operand(guest, &value);

	if (err)
		return err;
	if (!alu_condition(guest->insn->condition, guest->vcpu->page->regs.rflags))
		value = get_register(guest);
	set_register(guest, value);
	return 0;
}

int do_store(const struct guest *guest)
{
	uint64_t value = get_other(guest);

	if (guest->insn->swap)
		value = swap_bytes(value, guest->insn->width);
	return write_operand(guest, value);
}

int do_store_if(const struct guest *guest)
{
	return write_operand(guest, alu_condition(guest->insn->condition,
						guest->vcpu->page->regs.rflags));
}

int do_store_segment(const struct guest *guest)
{
	int err = vee_vcpu_sync(guest->vcpu, VEE_STATE_SEGMENTS);

	if (err)
		return err;
	return write_operand(guest, guest_segment(guest, guest->insn->reg)->selector);
}

/* What is to be written must be writable before it is read. */
static int begin_update(const struct guest *guest, struct guest_span *span, uint64_t *value)
{
	unsigned int width = guest->insn->width;
	int err = operand_find(guest, width, VEE_READ | VEE_WRITE, span);

	*value = 0;
	return err ? err : guest_read(guest, span, value, width);
}

static int end_update(const struct guest *guest, const struct guest_span *span,
		      uint64_t value)
{
	return guest_write(guest, span, &value, guest->insn->width);
}

static bool only_flags(enum alu_op op)
{
	return op == ALU_CMP || op == ALU_TEST || op == ALU_BT;
}

static int do_compare(const struct guest *guest)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags;
	const struct insn *insn = guest->insn;
	uint64_t value;
	int err = read_operand(guest, &value);

	if (err)
		return err;
	alu(insn->alu, insn->width, value, get_other(guest), &rflags);
	set_rflags(guest, rflags);
	return 0;
}

int do_alu_to_memory(const struct guest *guest)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags;
	const struct insn *insn = guest->insn;
	struct guest_span span;
	uint64_t value;
	int err;

	if (only_flags(insn->alu))
		return do_compare(guest);
	err = begin_update(guest, &span, &value);
	if (err)
		return err;
	value = alu(insn->alu, insn->width, value, get_other(guest), &rflags);
	err = end_update(guest, &span, value);
	if (!err)
		set_rflags(guest, rflags);
	return err;
}

/* SDM 2, "BSF" and "BSR": of 0 the register is as before, as on all of Intel's CPUs. */
static bool finds_nothing(enum alu_op op, uint64_t rflags)
{
	return (op == ALU_BSF || op == ALU_BSR) && rflags & RFLAGS_ZF;
}

int do_alu_to_register(const struct guest *guest)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags;
	const struct insn *insn = guest->insn;
	uint64_t value;
	int err = read_operand(guest, &value);

	if (err)
		return err;
	value = alu(insn->alu, insn->width,
		    insn->has_imm ? insn->imm : get_register(guest), value, &rflags);
	if (!only_flags(insn->alu) && !finds_nothing(insn->alu, rflags))
		set_register(guest, value);
	set_rflags(guest, rflags);
	return 0;
}

/* SDM 2, "CRC32": the polynomial 11EDC6F41H, with its bits reversed. */
#define CRC32_POLYNOMIAL	0x82f63b78U

int do_crc32(const struct guest *guest)
{
	uint32_t crc = get_register(guest);
	uint64_t value;
	int err = read_operand(guest, &value);

	if (err)
		return err;
	for (unsigned int i = 0; i < guest->insn->width * 8U; i++) {
		bool one = (crc ^ value >> i) & 1;

		crc = crc >> 1 ^ (one ? CRC32_POLYNOMIAL : 0);
	}
	set_register(guest, crc);
	return 0;
}

int do_shift_double(const struct guest *guest)
{
	const struct vee_regs *regs = &guest->vcpu->page->regs;
	const struct insn *insn = guest->insn;
	uint64_t rflags = regs->rflags;
	uint64_t value;
	struct guest_span span;
	int err = begin_update(guest, &span, &value);

	if (err)
		return err;
	value = alu_shift_double(insn->alu, insn->width, value, get_register(guest),
				 insn->has_imm ? insn->imm : regs->rcx, &rflags);
	err = end_update(guest, &span, value);
	if (!err)
		set_rflags(guest, rflags);
	return err;
}

int do_xchg(const struct guest *guest)
{
	uint64_t value;
	struct guest_span span;
	int err = begin_update(guest, &span, &value);

	if (!err)
		err = end_update(guest, &span, get_register(guest));
	if (!err)
		set_register(guest, value);
	return err;
}

int do_xadd(const struct guest *guest)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags;
	uint64_t value, sum;
	struct guest_span span;
	int err = begin_update(guest, &span, &value);

	if (err)
		return err;
	sum = alu(ALU_ADD, guest->insn->width, value, get_register(guest), &rflags);
	err = end_update(guest, &span, sum);
	if (err)
		return err;
	set_register(guest, value);
	set_rflags(guest, rflags);
	return 0;
}

/* It writes in either case: the new value, or the old one again. */
int do_cmpxchg(const struct guest *guest)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags;
	unsigned int width = guest->insn->width;
	uint64_t value;
	bool equal;
	struct guest_span span;
	int err = begin_update(guest, &span, &value);

	if (err)
		return err;
	alu(ALU_CMP, width, guest->vcpu->page->regs.rax, value, &rflags);
	equal = rflags & RFLAGS_ZF;
	err = end_update(guest, &span, equal ? get_register(guest) : value);
	if (err)
		return err;
	if (!equal)
		set_gpr(guest->vcpu, RAX, width, value);
	set_rflags(guest, rflags);
	return 0;
}

/* AL <- [RBX + AL] */
int do_xlat(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	const struct vee_regs *regs = &guest->vcpu->page->regs;
	uint64_t offset = regs->rbx + (regs->rax & low_bits(1));
	struct guest_span span;
	uint64_t value = 0;
	int err = guest_find_in(guest, insn->segment, offset & low_bits(insn->address_width),
				1, VEE_READ, 0, &span);

	if (!err)
		err = guest_read(guest, &span, &value, 1);
	if (!err)
		set_gpr(guest->vcpu, RAX, 1, value);
	return err;
}

/* Two bounds of @reg_width each. */
int do_bound(const struct guest *guest)
{
	unsigned int width = guest->insn->reg_width;
	int64_t index = sign_extend(get_register(guest), width);
	uint64_t bounds = 0;
	int err = operand_read(guest, &bounds, 2 * width);

	if (err)
		return err;
	if (index >= sign_extend(bounds & low_bits(width), width) &&
	    index <= sign_extend(bounds >> width * 8, width))
		return 0;
	vee_inject_exception(guest->vcpu, VECTOR_BR);
	return GUEST_FAULTED;
}

int do_probe(const struct guest *guest)
{
	struct guest_span span;

	return operand_find(guest, 1, VEE_READ, &span);
}
