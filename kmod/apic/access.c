// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's reads and writes of registers, in xAPIC and in x2APIC mode (SDM 3A, "Local
 * APIC Register Address Map" and "Extended XAPIC (x2APIC)").
 */
#include <linux/types.h>

#include "apic/apic.h"
#include "apic/bus.h"
#include "vmx/controls.h"

/* --- which there are ------------------------------------------------------------------ */

#define MAY_READ	BIT(0)
#define MAY_WRITE	BIT(1)
#define MAY_READ_WIDE	BIT(2)	/* in x2APIC mode */
#define MAY_WRITE_WIDE	BIT(3)
#define MAY_READ_BOTH	(MAY_READ | MAY_READ_WIDE)
#define MAY_WRITE_BOTH	(MAY_WRITE | MAY_WRITE_WIDE)
#define MAY_ALL		(MAY_READ_BOTH | MAY_WRITE_BOTH)

#define LVT_BITS	(APIC_VECTOR_MASK | APIC_LVT_MASKED)
#define LVT_LINT_BITS	(LVT_BITS | APIC_MODE_MASK | APIC_INPUT_POLARITY |	\
			 APIC_LVT_LEVEL_TRIGGER)
#define SPIV_BITS	(APIC_VECTOR_MASK | APIC_SPIV_APIC_ENABLED)
#define ICR_BITS	0xccfffU	/* but for the delivery status */
#define TDCR_BITS	0xbU
#define SHORTHAND	(APIC_DEST_SELF | APIC_DEST_ALLINC)
#define ANY		0xffffffffU

/**
 * struct reg - a register
 * @access: MAY_ bits
 * @bits: that may be written
 */
struct reg {
	u8 access;
	u32 bits;
};

#define AT(offset)	((offset) >> 4)
#define WORDS_AT(offset) \
	[AT(offset) ... AT(offset) + APIC_WORDS - 1] = { MAY_READ_BOTH, 0 }

static const struct reg regs[AT(PAGE_SIZE / 4)] = {
	[AT(APIC_ID)]		= { MAY_READ_BOTH, 0 },
	[AT(APIC_LVR)]		= { MAY_READ_BOTH, 0 },
	[AT(APIC_TASKPRI)]	= { MAY_ALL, APIC_TPRI_MASK },
	[AT(APIC_ARBPRI)]	= { MAY_READ, 0 },
	[AT(APIC_PROCPRI)]	= { MAY_READ_BOTH, 0 },
	[AT(APIC_EOI)]		= { MAY_WRITE_BOTH, 0 },
	[AT(APIC_RRR)]		= { MAY_READ, 0 },
	[AT(APIC_LDR)]		= { MAY_READ_BOTH | MAY_WRITE, APIC_LDR_MASK },
	[AT(APIC_DFR)]		= { MAY_READ | MAY_WRITE, 0xf0000000U },
	[AT(APIC_SPIV)]		= { MAY_ALL, SPIV_BITS },
	WORDS_AT(APIC_ISR),
	WORDS_AT(APIC_TMR),
	WORDS_AT(APIC_IRR),
	[AT(APIC_ESR)]		= { MAY_ALL, 0 },
	[AT(APIC_ICR)]		= { MAY_ALL, ICR_BITS },
	[AT(APIC_ICR2)]		= { MAY_READ | MAY_WRITE, 0xff000000U },
	[AT(APIC_LVTT)]		= { MAY_ALL, LVT_BITS | APIC_LVT_TIMER_PERIODIC |
					 APIC_LVT_TIMER_TSCDEADLINE },
	[AT(APIC_LVTTHMR)]	= { MAY_ALL, LVT_BITS | APIC_MODE_MASK },
	[AT(APIC_LVTPC)]	= { MAY_ALL, LVT_BITS | APIC_MODE_MASK },
	[AT(APIC_LVT0)]		= { MAY_ALL, LVT_LINT_BITS },
	[AT(APIC_LVT1)]		= { MAY_ALL, LVT_LINT_BITS },
	[AT(APIC_LVTERR)]	= { MAY_ALL, LVT_BITS },
	[AT(APIC_TMICT)]	= { MAY_ALL, ANY },
	[AT(APIC_TMCCT)]	= { MAY_READ_BOTH, 0 },
	[AT(APIC_TDCR)]		= { MAY_ALL, TDCR_BITS },
	[AT(APIC_SELF_IPI)]	= { MAY_WRITE_WIDE, APIC_VECTOR_MASK },
};

static const struct reg *find(u32 offset)
{
	static const struct reg none;

	return AT(offset) < ARRAY_SIZE(regs) ? &regs[AT(offset)] : &none;
}

/* --- writes with effects ----------------------------------------------------------------- */

static bool is_lvt(u32 offset)
{
	return offset >= APIC_LVTT && offset <= APIC_LVTERR;
}

/* Switched off by software all are masked, and stay so. */
static void write_svr(struct apic *apic, u32 value)
{
	apic_set(apic, APIC_SPIV, value);
	if (value & APIC_SPIV_APIC_ENABLED)
		return;
	apic_mask_lvts(apic);
}

static void write_lvt(struct apic *apic, u32 offset, u32 value)
{
	if (!(apic_get(apic, APIC_SPIV) & APIC_SPIV_APIC_ENABLED))
		value |= APIC_LVT_MASKED;
	if (offset == APIC_LVTT && !(apic->offers & APIC_OFFERS_DEADLINE))
		value &= ~APIC_LVT_TIMER_TSCDEADLINE;
	apic_set(apic, offset, value);
	if (offset == APIC_LVTT)
		apic_timer_set_mode(apic);
}

static void self(struct apic *apic, u8 vector)
{
	if (vector < APIC_FIRST_VECTOR)
		apic_note_error(apic, APIC_ESR_SENDILL);
	else if (apic_is_switched_on(apic))
		apic_post(apic, vector, false);
}

/* SDM 3A, "Interrupt Command Register (ICR)", table "Valid Combinations". */
static bool mode_fits(u32 icr)
{
	switch (icr & APIC_MODE_MASK) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
	case APIC_DM_NMI:
	case APIC_DM_STARTUP:
		return true;
	case APIC_DM_INIT:
		/* A level de-assert is for APICs of another time. */
		return icr & APIC_INT_ASSERT || !(icr & APIC_INT_LEVELTRIG);
	default:
		return false;
	}
}

static bool vector_fits(u32 icr)
{
	u32 mode = icr & APIC_MODE_MASK;

	return (mode != APIC_DM_FIXED && mode != APIC_DM_LOWEST) ||
	       (icr & APIC_VECTOR_MASK) >= APIC_FIRST_VECTOR;
}

/* Fixed, and to one by its number, as most are. */
static bool is_plain(u32 icr, u32 destination)
{
	return !(icr & (APIC_MODE_MASK | APIC_DEST_LOGICAL | SHORTHAND)) &&
	       destination < VEE_MAX_VCPUS &&
	       (icr & APIC_VECTOR_MASK) >= APIC_FIRST_VECTOR;
}

static noinline void send_message(struct apic *apic, u32 icr, u32 destination)
{
	struct apic_message message = {
		.destination = destination,
		.vector = icr & APIC_VECTOR_MASK,
		.mode = icr & APIC_MODE_MASK,
		.logical = icr & APIC_DEST_LOGICAL,
		.wide = apic_is_x2apic(apic),
		.but = -1,
	};

	if (!mode_fits(icr))
		return;
	if (!vector_fits(icr)) {
		apic_note_error(apic, APIC_ESR_SENDILL);
		return;
	}
	switch (icr & SHORTHAND) {
	case APIC_DEST_SELF:
		/* Of the modes only fixed is valid with it. */
		if (message.mode == APIC_DM_FIXED)
			self(apic, message.vector);
		return;
	case APIC_DEST_ALLBUT:
		message.but = apic->id;
		fallthrough;
	case APIC_DEST_ALLINC:
		message.logical = false;
		message.destination = message.wide ? U32_MAX : U8_MAX;
	}
	bus_send(apic->bus, &message, apic);
}

static void send(struct apic *apic, u32 icr, u32 destination)
{
	if (likely(is_plain(icr, destination)))
		bus_send_fixed(apic->bus, destination, icr & APIC_VECTOR_MASK, apic);
	else
		send_message(apic, icr, destination);
}

static void write_icr(struct apic *apic, u32 value, u32 destination)
{
	apic_set(apic, APIC_ICR, value);
	send(apic, value, destination);
}

/* @value has been checked, or cut to what may be written. */
static void write_reg(struct apic *apic, u32 offset, u32 value)
{
	switch (offset) {
	case APIC_EOI:
		apic_end(apic);
		break;
	case APIC_SPIV:
		write_svr(apic, value);
		break;
	case APIC_DFR:
		apic_set(apic, APIC_DFR, value | ~find(APIC_DFR)->bits);
		break;
	case APIC_ESR:
		apic_set(apic, APIC_ESR, apic->errors);
		apic->errors = 0;
		break;
	case APIC_ICR:
		write_icr(apic, value, GET_XAPIC_DEST_FIELD(apic_get(apic, APIC_ICR2)));
		break;
	case APIC_TMICT:
		apic_timer_set_count(apic, value);
		break;
	case APIC_TDCR:
		apic_set(apic, APIC_TDCR, value);
		apic_timer_set_divide(apic);
		break;
	case APIC_SELF_IPI:
		self(apic, value);
		break;
	default:
		if (is_lvt(offset))
			write_lvt(apic, offset, value);
		else
			apic_set(apic, offset, value);
	}
}

/* Of a register that can be read: these two change by themselves. */
static u32 read_reg(struct apic *apic, u32 offset)
{
	switch (offset) {
	case APIC_PROCPRI:
		return apic_priority(apic);
	case APIC_TMCCT:
		return apic_timer_count(apic);
	default:
		return apic_get(apic, offset);
	}
}

/* --- xAPIC mode ---------------------------------------------------------------------------- */

static void note_access(struct apic *apic, const struct reg *reg)
{
	/* One that is there, but not for that, has no error. */
	if (!(reg->access & (MAY_READ | MAY_WRITE)))
		apic_note_error(apic, APIC_ESR_ILLREGA);
}

u32 apic_read(struct apic *apic, u32 offset)
{
	const struct reg *reg = find(offset);

	if (reg->access & MAY_READ)
		return read_reg(apic, offset);
	note_access(apic, reg);
	return 0;
}

void apic_write(struct apic *apic, u32 offset, u32 value)
{
	const struct reg *reg = find(offset);

	if (reg->access & MAY_WRITE)
		write_reg(apic, offset, value & reg->bits);
	else
		note_access(apic, reg);
}

/* Of what can't be written the old value is put back. */
void apic_was_written(struct apic *apic, u32 offset)
{
	const struct reg *reg = find(offset);

	if (reg->access & MAY_WRITE_BOTH)
		write_reg(apic, offset, apic_get(apic, offset) & reg->bits);
	apic_set_identity(apic);
}

/* --- x2APIC mode ------------------------------------------------------------------------------ */

/* Of those that there are; and by speculation in the page of registers, too. */
static u32 offset_of(u32 index)
{
	return (index - X2APIC_MSRS) << 4 & ~PAGE_MASK;
}

/* SDM 3C, "Virtualizing MSR-Based APIC Accesses" */
u8 apic_direct(u32 index, u32 controls)
{
	u32 offset = offset_of(index);
	bool delivery = controls & PROC2_VIRTUAL_INTERRUPT_DELIVERY;

	if (offset == APIC_TASKPRI)
		return APIC_DIRECT_READS | APIC_DIRECT_WRITES;
	if (offset == APIC_EOI || offset == APIC_SELF_IPI)
		return delivery ? APIC_DIRECT_WRITES : 0;
	/* That changes by itself. The CPU keeps the PPR only if it delivers. */
	if (offset == APIC_TMCCT || (offset == APIC_PROCPRI && !delivery))
		return 0;
	return controls & PROC2_APIC_REGISTER_VIRTUALIZATION &&
	       find(offset)->access & MAY_READ_WIDE ? APIC_DIRECT_READS : 0;
}

static bool read_wide(struct apic *apic, u32 offset, u64 *value)
{
	if (!apic_is_x2apic(apic) || !(find(offset)->access & MAY_READ_WIDE))
		return false;
	*value = read_reg(apic, offset);
	if (offset == APIC_ICR)
		*value |= (u64)apic_get(apic, APIC_ICR + sizeof(u32)) << 32;
	return true;
}

bool apic_rdmsr(struct apic *apic, u32 index, u64 *value)
{
	switch (index) {
	case MSR_IA32_APICBASE:
		*value = apic->base;
		return true;
	case MSR_IA32_TSC_DEADLINE:
		*value = apic->timer.deadline;
		return true;
	default:
		return read_wide(apic, offset_of(index), value);
	}
}

bool apic_write_icr(struct apic *apic, u64 value)
{
	if ((u32)value & ~ICR_BITS)
		return false;
	apic_set(apic, APIC_ICR + sizeof(u32), value >> 32);
	write_icr(apic, value, value >> 32);
	return true;
}

static bool write_wide(struct apic *apic, u32 offset, u64 value)
{
	const struct reg *reg = find(offset);
	u32 bits = reg->bits;

	if (!apic_is_x2apic(apic) || !(reg->access & MAY_WRITE_WIDE))
		return false;
	if (offset == APIC_LVTT && !(apic->offers & APIC_OFFERS_DEADLINE))
		bits &= ~APIC_LVT_TIMER_TSCDEADLINE;
	if (value & ~(u64)bits)
		return false;
	write_reg(apic, offset, value);
	return true;
}

bool apic_wrmsr(struct apic *apic, u32 index, u64 value)
{
	if (index == MSR_IA32_APICBASE)
		return apic_write_base(apic, value);
	return write_wide(apic, offset_of(index), value);
}
