// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest of the fuzzer of local APICs from its seed: values that make sense, most of them, for
 * the register that they are for, and now and then a bit of them turned over.
 */
#include <stddef.h>

#include "fuzz_apic.h"

/* In which mode it should be by then. */
static uint64_t mode;

static uint8_t some_vector(void)
{
	switch (pick(16)) {
	case 0:
		return pick(FIRST_VECTOR);
	case 1:
	case 2:
		return FIRST_VECTOR + pick(16);
	case 3:
	case 4:
		return pick(VECTORS);
	default:
		/* Few classes: some are above others. */
		return 0x20 + 0x30 * pick(5) + pick(4);
	}
}

static uint32_t some_mode(void)
{
	switch (pick(8)) {
	case 0:
		return MODE_NMI;
	case 1:
		return MODE_LOWEST;
	case 2:
		/* Now and then whatever, INIT is among it. */
		return pick(4) ? 0 : pick(8) << 8;
	default:
		return 0;
	}
}

static uint32_t some_id(void)
{
	switch (pick(6)) {
	case 0:
		return 0xff;
	case 1:
		return pick(256);
	case 2:
		return 1;
	default:
		return 0;
	}
}

static uint64_t some_icr(void)
{
	static const uint32_t shorthands[] = { 0, ICR_SELF, ICR_SELF, 0x80000, 0xc0000 };
	uint32_t low = some_vector() | some_mode() | shorthands[pick(5)];

	if (!pick(4))
		low |= 0x800;
	if (pick(2))
		low |= LEVEL_ASSERT;
	if (!pick(16))
		low |= LEVEL_TRIGGERED;
	return low | (uint64_t)(pick(8) ? some_id() : UINT32_MAX) << 32;
}

static uint32_t some_lvt(int reg)
{
	uint32_t value = some_vector();

	if (pick(2))
		value |= LVT_MASKED;
	if (reg == LVT_TIMER)
		return value | pick(3) << 17;
	if (reg != LVT_ERROR)
		value |= some_mode();
	if (reg == LVT_LINT0 || reg == LVT_LINT1)
		value |= pick(2) << 13 | pick(2) << 15;
	return value;
}

/* So that it does not end while the guest runs. */
static uint32_t some_count(void)
{
	return pick(4) ? 0x80000000 | random64() : 0;
}

static uint64_t sensible(int reg)
{
	switch (reg) {
	case TPR:
		return pick(2) ? pick(16) << 4 : pick(256);
	case EOI:
	case ESR:
		return 0;
	case LDR:
		return (uint32_t)pick(256) << 24;
	case DFR:
		return pick(2) ? UINT32_MAX : 0x0fffffff;
	case SVR:
		return some_vector() | (pick(4) ? SVR_ON : 0);
	case ICR:
		return some_icr();
	case ICR_HIGH:
		return some_id() << 24;
	case INITIAL_COUNT:
		return some_count();
	case DIVIDE:
		return pick(4) + 8 * pick(2);
	case SELF_IPI:
		return some_vector();
	default:
		return reg >= LVT_TIMER && reg <= LVT_ERROR ? some_lvt(reg) : random64();
	}
}

static uint64_t some_write(int reg, bool wide)
{
	uint64_t value = sensible(reg);

	if (!pick(12))
		value ^= 1ULL << pick(wide && !pick(4) ? 64 : 32);
	return reg == INITIAL_COUNT && (uint32_t)value ? value | 0x80000000 : value;
}

static int some_register(bool write)
{
	static const uint16_t both[] = { TPR, TPR, LDR, DFR, SVR, ESR, ICR, ICR, ICR_HIGH,
		LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR,
		INITIAL_COUNT, DIVIDE };
	static const uint16_t to_write[] = { EOI, EOI, SELF_IPI, ICR, ICR };
	static const uint16_t to_read[] = { ID, VERSION, PPR, PPR, CURRENT_COUNT };

	if (!pick(20))
		return pick(0x40) << 4;
	if (pick(3))
		return both[pick(sizeof(both) / sizeof(*both))];
	if (write)
		return to_write[pick(5)];
	return pick(2) ? to_read[pick(5)] : (int)(ISR + 0x10 * pick(24));
}

static struct op access(int reg, bool write, bool wide)
{
	return (struct op) {
		.deed = wide ? write ? WRMSR : RDMSR : write ? STORE : LOAD,
		.where = wide ? MSR_X2APIC + (reg >> 4) : APIC_PAGE + reg,
		.value = write ? some_write(reg, wide) : 0,
	};
}

/* Most in the mode that it is in. */
static struct op some_access(void)
{
	bool wide = mode & BASE_X2APIC, write = pick(5) < 3;

	if (!pick(16))
		wide = !wide;
	return access(some_register(write), write, wide);
}

static struct op odd_access(void)
{
	uint32_t where = APIC_PAGE + some_register(true) + (pick(2) ? pick(16) : 0);

	return (struct op) { LOAD_BYTE + pick(DEEDS - LOAD_BYTE), where, random64() };
}

static struct op change_base(void)
{
	static const uint64_t modes[] = { 0, BASE_ENABLED, BASE_ENABLED | BASE_X2APIC,
		BASE_ENABLED | BASE_X2APIC, BASE_X2APIC };
	uint64_t base = APIC_PAGE | BASE_BSP | modes[pick(5)];

	if (pick(4))
		mode = base & BASE_X2APIC ? base : mode;
	else
		base ^= 1ULL << pick(pick(4) ? 40 : 64);
	return (struct op) { pick(4) ? WRMSR : RDMSR, MSR_APIC_BASE, base };
}

static struct op some_message(void)
{
	uint32_t data = some_vector() | (pick(4) ? 0 : MODE_NMI);

	if (!pick(8))
		data = (data & 0xff) | (pick(2) ? MODE_LOWEST : pick(8) ? 0 : MODE_INIT);
	if (!pick(4))
		data |= LEVEL_TRIGGERED | LEVEL_ASSERT;
	return (struct op) {
		MESSAGE, APIC_PAGE | some_id() << 12 | (pick(4) ? 0 : 4), data,
	};
}

static struct op some_deadline(void)
{
	static const uint64_t deadlines[] = { 0, INT64_MAX, 1ULL << 62 };

	return (struct op) { pick(3) ? WRMSR : RDMSR, MSR_DEADLINE, deadlines[pick(3)] };
}

static struct op some_op(void)
{
	switch (pick(32)) {
	case 0:
	case 1:
		return change_base();
	case 2:
		return some_deadline();
	case 3:
		return pick(3) ? some_access() : odd_access();
	case 4:
	case 5:
		return (struct op) { TO_CR8, 0, pick(16) ? pick(16) : random64() >> pick(60) };
	case 6:
		return (struct op) { .deed = FROM_CR8 };
	case 7:
	case 8:
	case 9:
		return (struct op) { OPEN, 0, pick(4) > 0 };
	case 10:
	case 11:
	case 12:
		return some_message();
	default:
		return some_access();
	}
}

/* What no engine tells is read at the end; in the other mode it is #GP, or nothing. */
static void put_last(struct guest *g)
{
	g->ops[g->count++] = (struct op) { LOAD, APIC_PAGE + PPR, 0 };
	g->ops[g->count++] = (struct op) { RDMSR, MSR_X2APIC + (PPR >> 4), 0 };
	g->ops[g->count++] = (struct op) { .deed = FROM_CR8 };
}

void make_guest(struct guest *g, uint64_t number)
{
	seed = (number + 1) * 0x9e3779b97f4a7c15;
	random64();
	mode = pick(2) ? BASE_ENABLED : BASE_ENABLED | BASE_X2APIC;
	*g = (struct guest) { .number = number, .base = APIC_PAGE | BASE_BSP, .svr = 0xff };
	if (pick(32)) {
		g->base |= mode;
		g->svr |= pick(8) ? SVR_ON : 0;
	}
	for (unsigned int i = 4 + pick(OPS_MAX - 8); i > 0; i--)
		g->ops[g->count++] = some_op();
	put_last(g);
}
