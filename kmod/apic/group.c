// SPDX-License-Identifier: GPL-2.0-only
/*
 * A local APIC as a group of the vCPU page.
 */
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <asm/tsc.h>

#include "apic/apic.h"

static_assert(APIC_LVT(VEE_APIC_LVT_LINT0) == APIC_LVT0 &&
	      APIC_LVT(VEE_APIC_LVT_ERROR) == APIC_LVTERR);
static_assert(ARRAY_SIZE(((struct vee_apic *)0)->lvt) == APIC_LVT_ENTRIES);

#define PLACE(offset, member)	{ offset, offsetof(struct vee_apic, member) }

/* That are a number, and no more. */
static const struct {
	u32 offset;
	u32 member;
} places[] = {
	PLACE(APIC_TASKPRI, tpr),
	PLACE(APIC_LDR, ldr),
	PLACE(APIC_DFR, dfr),
	PLACE(APIC_SPIV, svr),
	PLACE(APIC_ESR, esr),
	PLACE(APIC_TMICT, initial_count),
	PLACE(APIC_TDCR, divide),
};

static u32 *member_at(struct vee_apic *group, u32 member)
{
	return (void *)group + member;
}

static u32 icr_high_at(const struct apic *apic)
{
	return apic_is_x2apic(apic) ? APIC_ICR + sizeof(u32) : APIC_ICR2;
}

/* What is still in the mailbox is to be taken from there before. */
void apic_save(struct apic *apic, struct vee_apic *to)
{
	*to = (struct vee_apic) {
		.base = apic->base,
		.tsc_deadline = apic->timer.deadline,
		.icr = apic_get(apic, APIC_ICR) |
		       (u64)apic_get(apic, icr_high_at(apic)) << 32,
		.errors = apic->errors,
		.current_count = apic_timer_count(apic),
		.start = apic->start,
		.sipi_vector = apic->sipi_vector,
		.eoi = apic->eoi,
	};
	for (int i = 0; i < ARRAY_SIZE(places); i++)
		*member_at(to, places[i].member) = apic_get(apic, places[i].offset);
	for (int i = 0; i < APIC_LVT_ENTRIES; i++)
		to->lvt[i] = apic_get(apic, APIC_LVT(i));
	for (int i = 0; i < APIC_WORDS; i++) {
		to->irr[i] = apic_get(apic, APIC_WORD(APIC_IRR, i));
		to->isr[i] = apic_get(apic, APIC_WORD(APIC_ISR, i));
		to->tmr[i] = apic_get(apic, APIC_WORD(APIC_TMR, i));
	}
}

/* --- back ----------------------------------------------------------------------------------- */

#define START_BITS	(VEE_APIC_WAITS_FOR_SIPI | VEE_APIC_INIT | VEE_APIC_SIPI)
#define EOI_BITS	(VEE_APIC_EOI | 0xffU)

static bool mode_fits(const struct apic *apic, u64 base)
{
	return base & APIC_BASE_ENABLED ? !(base & APIC_BASE_X2APIC) ||
					  apic->offers & APIC_OFFERS_X2APIC :
					  !(base & APIC_BASE_X2APIC);
}

/* What else is odd harms nobody but the guest. */
unsigned int apic_bad_member(const struct apic *apic, const struct vee_apic *from)
{
	if (!mode_fits(apic, from->base) || from->base & (APIC_BASE_BSP - 1))
		return offsetof(struct vee_apic, base) + 1;
	if (from->tpr > U8_MAX)
		return offsetof(struct vee_apic, tpr) + 1;
	if (from->start & ~START_BITS)
		return offsetof(struct vee_apic, start) + 1;
	if (from->sipi_vector > U8_MAX)
		return offsetof(struct vee_apic, sipi_vector) + 1;
	return from->eoi & ~EOI_BITS ? offsetof(struct vee_apic, eoi) + 1 : 0;
}

/* One that counts once and has counted is over. */
static void load_timer(struct apic *apic, const struct vee_apic *from, u64 guest_ahead)
{
	apic_timer_set_divide(apic);
	apic_timer_set_mode(apic);
	apic_set(apic, APIC_TMICT, from->initial_count);
	apic_timer_set_deadline(apic, from->tsc_deadline, guest_ahead);
	if (from->current_count && apic->timer.mode != APIC_LVT_TIMER_TSCDEADLINE && tsc_khz)
		apic_timer_set_left(apic, from->current_count);
}

void apic_load(struct apic *apic, const struct vee_apic *from, u64 guest_ahead)
{
	apic->base = from->base;
	apic_reset(apic);
	for (int i = 0; i < APIC_LVT_ENTRIES; i++)
		apic_set(apic, APIC_LVT(i), from->lvt[i]);
	for (int i = 0; i < ARRAY_SIZE(places); i++)
		if (places[i].offset != APIC_LDR || !apic_is_x2apic(apic))
			apic_set(apic, places[i].offset,
				 *member_at((struct vee_apic *)from, places[i].member));
	for (int i = 0; i < APIC_WORDS; i++) {
		apic_set(apic, APIC_WORD(APIC_IRR, i), from->irr[i]);
		apic_set(apic, APIC_WORD(APIC_ISR, i), from->isr[i]);
		apic_set(apic, APIC_WORD(APIC_TMR, i), from->tmr[i]);
	}
	apic_set(apic, APIC_ICR, from->icr);
	apic_set(apic, icr_high_at(apic), from->icr >> 32);
	apic->errors = from->errors;
	apic->start = from->start;
	apic->sipi_vector = from->sipi_vector;
	apic->eoi = from->eoi;
	load_timer(apic, from, guest_ahead);
}
