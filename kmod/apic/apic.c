// SPDX-License-Identifier: GPL-2.0-only
/*
 * A local APIC's life: reset, INIT, and its modes.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/page.h>

#include "apic/apic.h"
#include "vmx/caps.h"

DEFINE_STATIC_KEY_FALSE(apics);

#define VERSION			0x14U	/* integrated, with 6 entries in the LVT */
#define VERSION_LVT_SHIFT	16
#define SPURIOUS_AFTER_RESET	0xffU
#define ID_SHIFT		24

/* SDM 3A, "Logical Destination Mode in x2APIC Mode": given by the number. */
static u32 ldr_wide(u8 id)
{
	return (u32)(id >> 4) << 16 | BIT(id & 0xf);
}

void apic_set_identity(struct apic *apic)
{
	bool wide = apic_is_x2apic(apic);

	apic_set(apic, APIC_ID, wide ? apic->id : (u32)apic->id << ID_SHIFT);
	apic_set(apic, APIC_LVR, VERSION | (APIC_LVT_ENTRIES - 1) << VERSION_LVT_SHIFT);
	if (wide)
		apic_set(apic, APIC_LDR, ldr_wide(apic->id));
}

void apic_mask_lvts(struct apic *apic)
{
	for (int i = 0; i < APIC_LVT_ENTRIES; i++)
		apic_set(apic, APIC_LVT(i), apic_get(apic, APIC_LVT(i)) | APIC_LVT_MASKED);
}

void apic_reset(struct apic *apic)
{
	memset(apic->regs, 0, PAGE_SIZE);
	apic->errors = 0;
	apic->eoi = 0;
	apic->timer = (struct apic_timer) { .at = U64_MAX };
	apic_timer_set_divide(apic);
	apic_forget_words(apic);
	apic_set(apic, APIC_DFR, APIC_DFR_FLAT);
	apic_set(apic, APIC_SPIV, SPURIOUS_AFTER_RESET);
	apic_mask_lvts(apic);
	apic_set_identity(apic);
}

void apic_init(struct apic *apic, struct apic_bus *bus, u8 *regs, u8 id)
{
	apic->regs = regs;
	apic->bus = bus;
	apic->id = id;
	apic->base = APIC_BASE_DEFAULT | APIC_BASE_ENABLED | (id ? 0 : APIC_BASE_BSP);
	apic->start = id ? VEE_APIC_WAITS_FOR_SIPI : 0;
	apic_reset(apic);
}

static u64 base_allowed(const struct apic *apic)
{
	u64 allowed = APIC_BASE_BSP | APIC_BASE_ENABLED |
		      (APIC_BASE_ADDRESS & (BIT_ULL(vee_caps.gpa_bits) - 1));

	return apic->offers & APIC_OFFERS_X2APIC ? allowed | APIC_BASE_X2APIC : allowed;
}

/* SDM 3A, "x2APIC State Transitions": of x2APIC mode none leads to xAPIC mode. */
static bool may_change_mode(const struct apic *apic, u64 base)
{
	u64 mode = base & (APIC_BASE_ENABLED | APIC_BASE_X2APIC);

	if (mode == APIC_BASE_X2APIC)
		return false;
	if (apic_is_x2apic(apic))
		return mode != APIC_BASE_ENABLED;
	return apic_is_enabled(apic) || !(mode & APIC_BASE_X2APIC);
}

bool apic_write_base(struct apic *apic, u64 base)
{
	u64 changed = base ^ apic->base;

	if (base & ~base_allowed(apic) || !may_change_mode(apic, base))
		return false;
	apic->base = base;
	if (changed & APIC_BASE_ENABLED)
		apic_reset(apic);
	else if (changed & APIC_BASE_X2APIC)
		apic_set_identity(apic);
	/* The high half of the ICR has another place there. */
	if (changed & base & APIC_BASE_X2APIC) {
		apic_set(apic, APIC_ICR + sizeof(u32), 0);
		apic_set(apic, APIC_ICR2, 0);
	}
	return true;
}
