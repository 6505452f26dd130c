// SPDX-License-Identifier: LGPL-2.1-or-later
/* Arithmetic with the CPU's flags (SDM 1, "EFLAGS Register"). */
#include "mmio.h"

#define ARITHMETIC_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | \
			  RFLAGS_SF | RFLAGS_OF)

static uint64_t sign_bit(unsigned int bytes)
{
	return 1ULL << (bytes * 8 - 1);
}

/* SF, ZF and PF, which all depend on the result in the same way. */
static uint64_t result_flags(uint64_t result, unsigned int bytes)
{
	uint64_t flags = 0;

	if (!result)
		flags |= RFLAGS_ZF;
	if (result & sign_bit(bytes))
		flags |= RFLAGS_SF;
	if (!__builtin_parity(result & 0xff))
		flags |= RFLAGS_PF;
	return flags;
}

static void set_flags(uint64_t *rflags, uint64_t mask, uint64_t flags)
{
	*rflags = (*rflags & ~mask) | (flags & mask);
}

static uint64_t add(unsigned int bytes, uint64_t a, uint64_t b, bool carry,
		    uint64_t *flags)
{
	uint64_t r = (a + b + carry) & low_bits(bytes);

	*flags = result_flags(r, bytes);
	if (r < a || (carry && r == a))
		*flags |= RFLAGS_CF;
	if ((a ^ r) & (b ^ r) & sign_bit(bytes))
		*flags |= RFLAGS_OF;
	*flags |= (a ^ b ^ r) & RFLAGS_AF;
	return r;
}

static uint64_t sub(unsigned int bytes, uint64_t a, uint64_t b, bool borrow,
		    uint64_t *flags)
{
	uint64_t r = (a - b - borrow) & low_bits(bytes);

	*flags = result_flags(r, bytes);
	if (a < b || (borrow && a == b))
		*flags |= RFLAGS_CF;
	if ((a ^ b) & (a ^ r) & sign_bit(bytes))
		*flags |= RFLAGS_OF;
	*flags |= (a ^ b ^ r) & RFLAGS_AF;
	return r;
}

static uint64_t logic(enum alu_op op, uint64_t a, uint64_t b)
{
	switch (op) {
	case ALU_OR:
		return a | b;
	case ALU_XOR:
		return a ^ b;
	default:
		return a & b;
	}
}

static uint64_t bit_test(enum alu_op op, unsigned int bytes, uint64_t a,
			 uint64_t b, uint64_t *rflags)
{
	uint64_t bit = 1ULL << (b & (bytes * 8 - 1));

	set_flags(rflags, RFLAGS_CF, a & bit ? RFLAGS_CF : 0);
	switch (op) {
	case ALU_BTS:
		return a | bit;
	case ALU_BTR:
		return a & ~bit;
	case ALU_BTC:
		return a ^ bit;
	default:
		return a;
	}
}

static bool is_left(enum alu_op op)
{
	return op == ALU_ROL || op == ALU_RCL || op == ALU_SHL;
}

/* The bit that comes in where one goes @out. */
static bool shift_in(enum alu_op op, bool out, bool carry, bool sign)
{
	switch (op) {
	case ALU_ROL:
	case ALU_ROR:
		return out;
	case ALU_RCL:
	case ALU_RCR:
		return carry;
	case ALU_SAR:
		return sign;
	default:
		return false;
	}
}

static uint64_t shift_once(enum alu_op op, unsigned int bytes, uint64_t a, bool *carry)
{
	uint64_t top = sign_bit(bytes);
	bool out = a & (is_left(op) ? top : 1);
	bool in = shift_in(op, out, *carry, a & top);

	*carry = out;
	if (is_left(op))
		return (a << 1 | in) & low_bits(bytes);
	return a >> 1 | (in ? top : 0);
}

static unsigned int shift_count(unsigned int bytes, uint64_t count)
{
	return count & (bytes == 8 ? 63 : 31);
}

static void shift_flags(enum alu_op op, unsigned int bytes, uint64_t r, bool carry,
			uint64_t *rflags)
{
	uint64_t flags = 0;

	if (carry)
		flags |= RFLAGS_CF;
	if (is_left(op) ? !(r & sign_bit(bytes)) == carry : (r ^ r << 1) & sign_bit(bytes))
		flags |= RFLAGS_OF;
	set_flags(rflags, RFLAGS_CF | RFLAGS_OF, flags);
	if (op == ALU_SHL || op == ALU_SHR || op == ALU_SAR)
		set_flags(rflags, ARITHMETIC_FLAGS & ~(RFLAGS_CF | RFLAGS_OF),
			  result_flags(r, bytes));
}

/* SDM 2, "SAL/SAR/SHL/SHR" and "RCL/RCR/ROL/ROR": by 0 they leave all flags alone. */
static uint64_t shift(enum alu_op op, unsigned int bytes, uint64_t a, uint64_t b,
		      uint64_t *rflags)
{
	unsigned int count = shift_count(bytes, b);
	bool carry = *rflags & RFLAGS_CF;

	if (!count)
		return a;
	for (unsigned int i = 0; i < count; i++)
		a = shift_once(op, bytes, a, &carry);
	shift_flags(op, bytes, a, carry, rflags);
	return a;
}

/* By rotating through CF what @b gives, which is so rotated out of it. */
uint64_t alu_shift_double(enum alu_op op, unsigned int bytes, uint64_t a, uint64_t b,
			  uint64_t count, uint64_t *rflags)
{
	enum alu_op rotate = op == ALU_SHL ? ALU_RCL : ALU_RCR;
	bool carry = false;

	count = shift_count(bytes, count);
	a &= low_bits(bytes);
	b &= low_bits(bytes);
	if (!count)
		return a;
	for (unsigned int i = 0; i < count; i++) {
		b = shift_once(op, bytes, b, &carry);
		a = shift_once(rotate, bytes, a, &carry);
	}
	shift_flags(op, bytes, a, carry, rflags);
	return a;
}

/* Of AF, PF, SF and ZF nothing is defined: they stay. */
static uint64_t multiply(unsigned int bytes, uint64_t a, uint64_t b, uint64_t *rflags)
{
	unsigned int shift = 64 - bytes * 8;
	__int128_t product = (__int128_t)((int64_t)(a << shift) >> shift) *
			   ((int64_t)(b << shift) >> shift);
	uint64_t r = product & low_bits(bytes);
	bool fits = (int64_t)(r << shift) >> shift == product;

	set_flags(rflags, RFLAGS_CF | RFLAGS_OF, fits ? 0 : RFLAGS_CF | RFLAGS_OF);
	return r;
}

static uint64_t scan(enum alu_op op, uint64_t b)
{
	return op == ALU_BSF ? __builtin_ctzll(b) : 63 - __builtin_clzll(b);
}

static uint64_t count_zeros(enum alu_op op, unsigned int bytes, uint64_t b, uint64_t *rflags)
{
	uint64_t r = bytes * 8;

	if (b)
		r = op == ALU_TZCNT ? scan(ALU_BSF, b) : bytes * 8 - 1 - scan(ALU_BSR, b);
	set_flags(rflags, RFLAGS_CF | RFLAGS_ZF, (b ? 0 : RFLAGS_CF) | (r ? 0 : RFLAGS_ZF));
	return r;
}

/* ADCX and ADOX: a carry in a flag of their own. */
static uint64_t add_with(uint64_t flag, unsigned int bytes, uint64_t a, uint64_t b,
			 uint64_t *rflags)
{
	uint64_t flags;
	uint64_t r = add(bytes, a, b, *rflags & flag, &flags);

	set_flags(rflags, flag, flags & RFLAGS_CF ? flag : 0);
	return r;
}

uint64_t alu(enum alu_op op, unsigned int bytes, uint64_t a, uint64_t b,
	     uint64_t *rflags)
{
	bool carry = *rflags & RFLAGS_CF;
	uint64_t mask = ARITHMETIC_FLAGS;
	uint64_t flags, r;

	a &= low_bits(bytes);
	b &= low_bits(bytes);
	switch (op) {
	case ALU_ADD:
	case ALU_ADC:
		r = add(bytes, a, b, op == ALU_ADC && carry, &flags);
		break;
	case ALU_SUB:
	case ALU_CMP:
	case ALU_SBB:
		r = sub(bytes, a, b, op == ALU_SBB && carry, &flags);
		break;
	case ALU_INC:
		r = add(bytes, a, 1, false, &flags);
		mask &= ~RFLAGS_CF;
		break;
	case ALU_DEC:
		r = sub(bytes, a, 1, false, &flags);
		mask &= ~RFLAGS_CF;
		break;
	case ALU_NEG:
		r = sub(bytes, 0, a, false, &flags);
		break;
	case ALU_IMUL:
		return multiply(bytes, a, b, rflags);
	case ALU_POPCNT:
		r = __builtin_popcountll(b);
		flags = b ? 0 : RFLAGS_ZF;
		break;
	case ALU_LZCNT:
	case ALU_TZCNT:
		return count_zeros(op, bytes, b, rflags);
	case ALU_BSF:
	case ALU_BSR:
		set_flags(rflags, RFLAGS_ZF, b ? 0 : RFLAGS_ZF);
		return b ? scan(op, b) : 0;
	case ALU_ADCX:
	case ALU_ADOX:
		return add_with(op == ALU_ADCX ? RFLAGS_CF : RFLAGS_OF, bytes, a, b, rflags);
	case ALU_NOT:
		return ~a & low_bits(bytes);
	case ALU_BT:
	case ALU_BTS:
	case ALU_BTR:
	case ALU_BTC:
		return bit_test(op, bytes, a, b, rflags);
	case ALU_ROL:
	case ALU_ROR:
	case ALU_RCL:
	case ALU_RCR:
	case ALU_SHL:
	case ALU_SHR:
	case ALU_SAR:
		return shift(op, bytes, a, b, rflags);
	default:
		r = logic(op, a, b);
		flags = result_flags(r, bytes);
		break;
	}
	set_flags(rflags, mask, flags);
	return r;
}

/* SDM 2, appendix "EFLAGS Condition Codes": bit 0 negates. */
bool alu_condition(unsigned int condition, uint64_t rflags)
{
	bool less = !(rflags & RFLAGS_SF) != !(rflags & RFLAGS_OF);
	bool met;

	switch (condition >> 1) {
	case 0:
		met = rflags & RFLAGS_OF;
		break;
	case 1:
		met = rflags & RFLAGS_CF;
		break;
	case 2:
		met = rflags & RFLAGS_ZF;
		break;
	case 3:
		met = rflags & (RFLAGS_CF | RFLAGS_ZF);
		break;
	case 4:
		met = rflags & RFLAGS_SF;
		break;
	case 5:
		met = rflags & RFLAGS_PF;
		break;
	case 6:
		met = less;
		break;
	default:
		met = less || rflags & RFLAGS_ZF;
		break;
	}
	return met != (condition & 1);
}
