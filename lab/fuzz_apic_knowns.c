// SPDX-License-Identifier: GPL-2.0-only
/*
 * Differences of local APICs that have a reason which is none of vee's: docs/testing.md has who
 * is right, by which section. None is taken at its word: a deed is mended in that point alone,
 * or left out, and then nothing must differ.
 */
#include <stddef.h>

#include "fuzz_apic.h"

static bool drop(struct op *op)
{
	op->deed = NOTHING;
	return true;
}

static bool change(struct op *op, uint64_t value)
{
	bool is_other = op->value != value;

	op->value = value;
	return is_other;
}

static bool is_icr(const struct op *op)
{
	return is_write(op) && register_of(op) == ICR;
}

static bool is_lvt(const struct op *op)
{
	return is_write(op) && register_of(op) >= LVT_TIMER && register_of(op) <= LVT_ERROR;
}

/* Has it a vector, and is that one that an APIC sends? */
static bool is_illegal(const struct op *op)
{
	uint32_t mode = op->value & DELIVERY_MODE;
	bool has_vector = is_icr(op) || op->deed == MESSAGE ? !mode || mode == MODE_LOWEST :
			  is_write(op) && register_of(op) == SELF_IPI;

	return has_vector && (op->value & 0xff) < FIRST_VECTOR;
}

static bool illegal_vector(const struct guest *g, struct op *op)
{
	(void)g;
	return is_illegal(op) && change(op, op->value | FIRST_VECTOR);
}

/* One that xAPIC mode has not. */
static bool no_register(const struct guest *g, struct op *op)
{
	static const uint16_t there[] = { ID, VERSION, TPR, ARBITRATION, PPR, EOI, REMOTE, LDR,
		DFR, SVR, ESR, ICR, ICR_HIGH, LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0,
		LVT_LINT1, LVT_ERROR, INITIAL_COUNT, CURRENT_COUNT, DIVIDE };
	int reg = register_of(op);

	(void)g;
	if ((op->deed != LOAD && op->deed != STORE) || (reg >= ISR && reg < ESR))
		return false;
	for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++)
		if (reg == there[i])
			return false;
	return drop(op);
}

static bool disabling(const struct guest *g, struct op *op)
{
	(void)g;
	return op->deed == WRMSR && op->where == MSR_APIC_BASE && !(op->value & BASE_ENABLED) &&
	       drop(op);
}

static bool self_not_fixed(const struct guest *g, struct op *op)
{
	(void)g;
	return is_icr(op) && (op->value & ICR_SHORTHAND) == ICR_SELF &&
	       op->value & DELIVERY_MODE && drop(op);
}

static bool level_icr(const struct guest *g, struct op *op)
{
	(void)g;
	return is_icr(op) && (op->value & DELIVERY_MODE) != MODE_INIT &&
	       change(op, op->value & ~(uint64_t)LEVEL_TRIGGERED);
}

static bool odd_access(const struct guest *g, struct op *op)
{
	(void)g;
	return ((op->deed >= LOAD_BYTE && op->deed < DEEDS) ||
		((op->deed == LOAD || op->deed == STORE) && op->where & 15)) && drop(op);
}

static bool written_id(const struct guest *g, struct op *op)
{
	(void)g;
	return op->deed == STORE && register_of(op) == ID && drop(op);
}

static bool smi(const struct guest *g, struct op *op)
{
	(void)g;
	return (is_icr(op) || op->deed == MESSAGE) && (op->value & DELIVERY_MODE) == MODE_SMI &&
	       drop(op);
}

/* One that goes by the TPR is for whom KVM's hashing finds, and there is one alone. */
static bool lowest(const struct guest *g, struct op *op)
{
	(void)g;
	return (is_icr(op) || op->deed == MESSAGE) &&
	       (op->value & DELIVERY_MODE) == MODE_LOWEST &&
	       change(op, op->value & ~(uint64_t)DELIVERY_MODE);
}

static bool is_self_ipi(const struct op *op, uint8_t vector)
{
	bool is_self = is_write(op) && (register_of(op) == SELF_IPI ||
		       (is_icr(op) && (op->value & ICR_SHORTHAND) == ICR_SELF));

	return is_self && (uint8_t)op->value == vector;
}

/* A message is level-triggered, and an IPI of the same vector, which the CPU does, is not. */
static bool both_triggers(const struct guest *g, struct op *op)
{
	for (unsigned int i = 0; op->deed == MESSAGE && i < g->count; i++)
		if (is_self_ipi(&g->ops[i], op->value))
			return change(op, op->value & ~(uint64_t)LEVEL_TRIGGERED);
	return false;
}

/* The TPR is written while the APIC is off, as it was at first. */
static bool off_cr8(const struct guest *g, struct op *op)
{
	return !(g->base & BASE_ENABLED) && op->deed == TO_CR8 && drop(op);
}

/* What is there to be written alone reads as whatever was where KVM should have put it. */
static bool write_only(const struct guest *g, struct op *op)
{
	(void)g;
	return op->deed == LOAD && register_of(op) == EOI && drop(op);
}

/* KVM's map has an APIC by the lowest bit of its logical number alone; here in the flat model. */
static bool several_bits(const struct guest *g, struct op *op)
{
	uint32_t bits = op->value & LOGICAL_NUMBER;

	(void)g;
	return op->deed == STORE && register_of(op) == LDR &&
	       change(op, (op->value & ~(uint64_t)LOGICAL_NUMBER) | (bits & -bits));
}

/*
 * KVM has not looked at its TPR threshold since the TPR was written: KVM_EXIT_FAIL_ENTRY, or
 * where accesses to the APIC's page are virtualized a VM exit at once, again and again.
 */
static bool entry_fails(const struct guest *g, struct op *op)
{
	(void)g;
	return op->deed == TO_CR8 && drop(op);
}

/* That may be written, in either mode; as SDM 3A has them. */
static uint64_t bits_of(int reg)
{
	switch (reg) {
	case TPR:
	case SELF_IPI:
		return 0xff;
	case EOI:
	case ESR:
		return 0;
	case SVR:
		return 0x1ff;
	case ICR:
		return 0xffffffff000ccfff;
	case LVT_TIMER:
		return 0x700ff;
	case LVT_THERMAL:
	case LVT_PERFORMANCE:
		return 0x107ff;
	case LVT_LINT0:
	case LVT_LINT1:
		return 0x1a7ff;
	case LVT_ERROR:
		return 0x100ff;
	case INITIAL_COUNT:
		return UINT32_MAX;
	case DIVIDE:
		return 0xb;
	default:
		return UINT64_MAX;
	}
}

static bool reserved_wide(const struct guest *g, struct op *op)
{
	(void)g;
	return op->deed == WRMSR && register_of(op) >= 0 &&
	       change(op, op->value & bits_of(register_of(op)));
}

static bool read_only_lvt(const struct guest *g, struct op *op)
{
	(void)g;
	return op->deed == STORE && is_lvt(op) && change(op, op->value & ~0x5000ULL);
}

static bool reserved_icr(const struct guest *g, struct op *op)
{
	(void)g;
	return op->deed == STORE && is_icr(op) && change(op, op->value & bits_of(ICR));
}

static bool focus(const struct guest *g, struct op *op)
{
	(void)g;
	return op->deed == STORE && register_of(op) == SVR && change(op, op->value & ~0x200ULL);
}

struct known knowns[] = {
	{ "KVM has no errors, and takes illegal vectors", illegal_vector, 0, 0 },
	{ "KVM has no errors, and none of registers that there are not", no_register, 0, 0 },
	{ "KVM keeps registers when the APIC is switched off", disabling, 0, 0 },
	{ "KVM keeps the TPR that was written with the APIC off", off_cr8, 0, 0 },
	{ "KVM sends itself what the shorthand is not for", self_not_fixed, 0, 0 },
	{ "KVM has IPIs that are level-triggered", level_icr, 0, 0 },
	{ "KVM gives an IPI by lowest priority to nobody", lowest, 0, 0 },
	{ "the CPU's self-IPI leaves the TMR as it is", both_triggers, 0, 0 },
	{ "an access that is not of 32 bits at a multiple of 16", odd_access, 0, 0 },
	{ "EOI, which can only be written, is read", write_only, 0, 0 },
	{ "the APIC's number can be written under KVM", written_id, 0, 0 },
	{ "KVM goes by the lowest bit of a logical number", several_bits, 0, 0 },
	{ "KVM has SMIs", smi, 0, 0 },
	{ "KVM does not look at reserved bits in x2APIC mode", reserved_wide, 0, 0 },
	{ "bits of LVT entries that can only be read are written under KVM", read_only_lvt, 0, 0 },
	{ "reserved bits of the ICR are kept by KVM", reserved_icr, 0, 0 },
	{ "the bit for focus processor checking is kept by KVM", focus, 0, 0 },
	{ "KVM's entry fails by its TPR threshold", entry_fails, IS_STUCK, 0 },
	{ "KVM's entry has no end by its TPR threshold", entry_fails, IS_ENDLESS, 0 },
	{ .name = NULL },
};
