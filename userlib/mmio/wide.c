// SPDX-License-Identifier: LGPL-2.1-or-later
/* Instructions with a device at one end, and a number in RDX:RAX at the other. */
#include "mmio.h"

/* An operand of 1 byte has AX instead. */
static __uint128_t get_pair(const struct guest *guest, enum gpr high, enum gpr low)
{
	const __u64 *gpr = guest->vcpu->page->regs.gpr;
	unsigned int width = guest->insn->pair_width;

	if (width == 1)
		return gpr[low] & 0xffff;
	return (__uint128_t)(gpr[high] & low_bits(width)) << width * 8 |
	       (gpr[low] & low_bits(width));
}

static void set_accumulator(const struct guest *guest, __uint128_t value)
{
	unsigned int width = guest->insn->pair_width;

	if (width == 1) {
		set_gpr(guest->vcpu, RAX, 2, value);
		return;
	}
	set_gpr(guest->vcpu, RAX, width, value & low_bits(width));
	set_gpr(guest->vcpu, RDX, width, value >> width * 8 & low_bits(width));
}

static __int128_t sign_extend_wide(__uint128_t value, unsigned int bytes)
{
	unsigned int shift = 128 - bytes * 8;

	return (__int128_t)(value << shift) >> shift;
}

/* SDM 2, "MUL" and "IMUL": CF and OF say that the upper half has a part in it. */
int do_multiply(const struct guest *guest)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags & ~(RFLAGS_CF | RFLAGS_OF);
	unsigned int width = guest->insn->width;
	uint64_t rax = guest->vcpu->page->regs.rax & low_bits(width);
	uint64_t value = 0;
	__uint128_t product;
	bool fits;
	int err = read_operand(guest, &value);

	if (err)
		return err;
	if (guest->insn->alu == ALU_IMUL) {
		product = sign_extend_wide(rax, width) * sign_extend_wide(value, width);
		fits = (__uint128_t)sign_extend_wide(product, width) == product;
	} else {
		product = (__uint128_t)rax * value;
		fits = !(product >> width * 8);
	}
	set_accumulator(guest, product);
	set_rflags(guest, fits ? rflags : rflags | RFLAGS_CF | RFLAGS_OF);
	return 0;
}

/* False: #DE. Quotients are of @bytes. */
static bool divide(__uint128_t a, uint64_t b, unsigned int bytes, __uint128_t *quotient,
		   __uint128_t *rest)
{
	if (!b)
		return false;
	*quotient = a / b;
	*rest = a % b;
	return *quotient <= low_bits(bytes);
}

/* By magnitudes: the rest has the sign of the dividend. */
static bool divide_signed(__uint128_t a, uint64_t b, unsigned int bytes,
			  __uint128_t *quotient, __uint128_t *rest)
{
	bool a_negative = sign_extend_wide(a, 2 * bytes) < 0;
	bool b_negative = sign_extend_wide(b, bytes) < 0;
	__uint128_t a_size = sign_extend_wide(a, 2 * bytes);
	uint64_t b_size = sign_extend_wide(b, bytes);

	if (!divide(a_negative ? -a_size : a_size, b_negative ? -b_size : b_size, 8,
		    quotient, rest))
		return false;
	if (a_negative != b_negative)
		*quotient = -*quotient;
	if (a_negative)
		*rest = -*rest;
	return (__uint128_t)sign_extend_wide(*quotient, bytes) == *quotient;
}

int do_divide(const struct guest *guest)
{
	unsigned int width = guest->insn->width;
	uint64_t value = 0;
	__uint128_t a, quotient, rest;
	bool fits;
	int err = read_operand(guest, &value);

	if (err)
		return err;
	a = get_pair(guest, RDX, RAX);
	if (guest->insn->alu == ALU_IDIV)
		fits = divide_signed(a, value, width, &quotient, &rest);
	else
		fits = divide(a, value, width, &quotient, &rest);
	if (!fits) {
		vee_inject_exception(guest->vcpu, VECTOR_DE);
		return GUEST_FAULTED;
	}
	set_accumulator(guest, (rest & low_bits(width)) << width * 8 |
			      (quotient & low_bits(width)));
	return 0;
}

/* CMPXCHG8B and CMPXCHG16B: as CMPXCHG they write in either case. */
int do_exchange_pair(const struct guest *guest)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags & ~RFLAGS_ZF;
	__uint128_t old = 0, new;
	unsigned int width = guest->insn->width;
	struct guest_span span;
	bool equal;
	int err = operand_find(guest, width, VEE_READ | VEE_WRITE, &span);

	if (!err)
		err = guest_read(guest, &span, &old, width);
	if (err)
		return err;
	equal = old == get_pair(guest, RDX, RAX);
	new = equal ? get_pair(guest, RCX, RBX) : old;
	err = guest_write(guest, &span, &new, width);
	if (err)
		return err;
	if (!equal)
		set_accumulator(guest, old);
	set_rflags(guest, equal ? rflags | RFLAGS_ZF : rflags);
	return 0;
}
