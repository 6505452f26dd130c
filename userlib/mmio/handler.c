// SPDX-License-Identifier: LGPL-2.1-or-later
/* The code that a gate leads to. */
#include "delivery.h"

static int code_fault(const struct delivery *delivery, unsigned int vector)
{
	return guest_fault(&delivery->guest, vector,
			   (delivery->selector & ~SELECTOR_RPL) | delivery->ext);
}

/* May the handler be in it, and is that another level? */
static bool may_handle(const struct delivery *delivery, uint32_t rights, bool *inner)
{
	unsigned int level = guest_cpl(&delivery->guest);
	unsigned int dpl = rights_dpl(rights);

	*inner = !(rights & TYPE_CONFORMING) && dpl < level;
	if (!is_code(rights) || dpl > level)
		return false;
	if (delivery->jumps && *inner)
		return false;
	if (guest_is_virtual_8086(&delivery->guest))
		return *inner && !dpl;
	return !in_long_mode(&delivery->guest) ||
	       (rights & (VEE_AR_L | VEE_AR_DB)) == VEE_AR_L;
}

int handler_find(struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	struct descriptor descriptor;
	unsigned int level;
	uint32_t rights;
	bool found;
	int err;

	if (selector_is_null(delivery->selector))
		return guest_fault(guest, VECTOR_GP, delivery->ext);
	err = descriptor_look(guest, delivery->selector, &descriptor, &found);
	if (err)
		return err;
	rights = descriptor_rights(&descriptor);
	if (!found || !may_handle(delivery, rights, &delivery->inner))
		return code_fault(delivery, VECTOR_GP);
	if (!(rights & VEE_AR_PRESENT))
		return code_fault(delivery, VECTOR_NP);
	level = delivery->inner ? rights_dpl(rights) : guest_cpl(guest);
	delivery->cs = descriptor_segment(&descriptor, delivery->selector, false);
	delivery->cs.selector = (delivery->selector & ~SELECTOR_RPL) | level;
	return 0;
}

int handler_check_entry(const struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	bool good = in_long_mode(guest) ? guest_is_canonical(guest, delivery->offset, 1) :
					  delivery->offset <= delivery->cs.limit;

	return good ? 0 : guest_fault(guest, VECTOR_GP, delivery->ext);
}
