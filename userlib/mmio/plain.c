// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads, stores, arithmetic, PUSH and POP: all whose operand has up to 8 bytes. */
#include "mmio.h"

static uint64_t swap_bytes(uint64_t value, unsigned int bytes)
{
	return __builtin_bswap64(value) >> (64 - bytes * 8);
}

int mmio_load(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	if (insn->sign)
		value = sign_extend(value, insn->width);
	if (insn->swap)
		value = swap_bytes(value, insn->width);
	set_register(mmio, value);
	return 0;
}

/* CMOVcc reads always, and always clears the upper half of a 32-bit register. */
int mmio_load_if(const struct mmio *mmio)
{
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	if (!alu_condition(mmio->insn->condition, mmio->vcpu->page->regs.rflags))
		value = get_register(mmio);
	set_register(mmio, value);
	return 0;
}

int mmio_store(const struct mmio *mmio)
{
	uint64_t value = get_other(mmio);

	if (mmio->insn->swap)
		value = swap_bytes(value, mmio->insn->width);
	return write_memory(mmio, value);
}

int mmio_store_if(const struct mmio *mmio)
{
	return write_memory(mmio, alu_condition(mmio->insn->condition,
						mmio->vcpu->page->regs.rflags));
}

int mmio_store_segment(const struct mmio *mmio)
{
	int err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);

	if (err)
		return err;
	return write_memory(mmio, find_segment(mmio, mmio->insn->reg)->selector);
}

static bool only_flags(enum alu_op op)
{
	return op == ALU_CMP || op == ALU_TEST || op == ALU_BT;
}

int mmio_alu_to_memory(const struct mmio *mmio)
{
	uint64_t rflags = mmio->vcpu->page->regs.rflags;
	const struct insn *insn = mmio->insn;
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	value = alu(insn->alu, insn->width, value, get_other(mmio), &rflags);
	if (!only_flags(insn->alu))
		err = write_memory(mmio, value);
	if (!err)
		mmio_set_rflags(mmio, rflags);
	return err;
}

int mmio_alu_to_register(const struct mmio *mmio)
{
	uint64_t rflags = mmio->vcpu->page->regs.rflags;
	const struct insn *insn = mmio->insn;
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	value = alu(insn->alu, insn->width,
		    insn->has_imm ? insn->imm : get_register(mmio), value, &rflags);
	if (!only_flags(insn->alu))
		set_register(mmio, value);
	mmio_set_rflags(mmio, rflags);
	return 0;
}

int mmio_shift_double(const struct mmio *mmio)
{
	const struct vee_regs *regs = &mmio->vcpu->page->regs;
	const struct insn *insn = mmio->insn;
	uint64_t rflags = regs->rflags;
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	value = alu_shift_double(insn->alu, insn->width, value, get_register(mmio),
				 insn->has_imm ? insn->imm : regs->rcx, &rflags);
	err = write_memory(mmio, value);
	if (!err)
		mmio_set_rflags(mmio, rflags);
	return err;
}

int mmio_xchg(const struct mmio *mmio)
{
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (!err)
		err = write_memory(mmio, get_register(mmio));
	if (!err)
		set_register(mmio, value);
	return err;
}

int mmio_xadd(const struct mmio *mmio)
{
	uint64_t rflags = mmio->vcpu->page->regs.rflags;
	uint64_t value, sum;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	sum = alu(ALU_ADD, mmio->insn->width, value, get_register(mmio), &rflags);
	err = write_memory(mmio, sum);
	if (err)
		return err;
	set_register(mmio, value);
	mmio_set_rflags(mmio, rflags);
	return 0;
}

/* It writes in either case: the new value, or the old one again. */
int mmio_cmpxchg(const struct mmio *mmio)
{
	uint64_t rflags = mmio->vcpu->page->regs.rflags;
	unsigned int width = mmio->insn->width;
	uint64_t value;
	bool equal;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	alu(ALU_CMP, width, mmio->vcpu->page->regs.rax, value, &rflags);
	equal = rflags & RFLAGS_ZF;
	err = write_memory(mmio, equal ? get_register(mmio) : value);
	if (err)
		return err;
	if (!equal)
		set_gpr(mmio->vcpu, RAX, width, value);
	mmio_set_rflags(mmio, rflags);
	return 0;
}

/* Bytes of the stack pointer; the segments must be valid. */
static unsigned int stack_width(const struct mmio *mmio)
{
	if (mmio->insn->mode == 8)
		return 8;
	return mmio->vcpu->page->segments.ss.access_rights & VEE_AR_DB ? 4 : 2;
}

static int find_stack(const struct mmio *mmio, uint64_t rsp,
		      unsigned int access, struct guest_span *span)
{
	uint64_t offset = rsp & low_bits(stack_width(mmio));
	uint64_t gva = offset + segment_base(mmio, SEG_SS);
	int err;

	if (!segment_reaches(mmio, SEG_SS, offset, mmio->insn->width))
		return guest_fault(mmio->vcpu, VECTOR_SS);
	if (mmio->insn->mode != 8)
		gva = (uint32_t)gva;
	err = guest_find(mmio->vcpu, gva, mmio->insn->width, access, span);
	if (err == -EFAULT)
		return -EOPNOTSUPP;
	if (err)
		return err;
	return guest_is_memory(span) ? 0 : -EOPNOTSUPP;
}

int mmio_push(const struct mmio *mmio)
{
	uint64_t rsp = mmio->vcpu->page->regs.rsp - mmio->insn->width;
	struct guest_span span;
	uint64_t value;
	int err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);

	if (!err)
		err = find_stack(mmio, rsp, VEE_WRITE, &span);
	if (!err)
		err = read_memory(mmio, &value);
	if (err)
		return err;
	guest_copy_in(&span, &value);
	set_gpr(mmio->vcpu, RSP, stack_width(mmio), rsp);
	return 0;
}

int mmio_pop(const struct mmio *mmio)
{
	uint64_t rsp = mmio->vcpu->page->regs.rsp;
	struct guest_span span;
	uint64_t value = 0;
	int err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);

	if (!err)
		err = find_stack(mmio, rsp, VEE_READ, &span);
	if (err)
		return err;
	guest_copy_out(&span, &value);
	err = write_memory(mmio, value);
	if (!err)
		set_gpr(mmio->vcpu, RSP, stack_width(mmio),
			rsp + mmio->insn->width);
	return err;
}
