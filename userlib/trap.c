// SPDX-License-Identifier: LGPL-2.1-or-later
/* Traps that an instruction would have met on the CPU. */
#include "internal.h"

/* SDM 3C, "Guest Non-Register State", pending debug exceptions: a single step. */
#define PENDING_BS	0x4000ULL

int trap_step(const struct guest *guest)
{
	struct vee_vcpu_page *page = guest->vcpu->page;
	int err;

	if (!guest->traps)
		return 0;
	err = vee_vcpu_sync(guest->vcpu, VEE_STATE_EVENTS);
	if (err)
		return err;
	page->events.pending_debug |= PENDING_BS;
	page->dirty |= VEE_STATE_EVENTS;
	return 0;
}
