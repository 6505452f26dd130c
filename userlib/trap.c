// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Traps that an instruction would have met on the CPU: single steps, and breakpoints on
 * data and ports (SDM 3B, "Debug Registers"). They become pending debug exceptions.
 */
#include "internal.h"

/* SDM 3C, "Guest Non-Register State": bits of the pending debug exceptions. */
#define PENDING_ENABLED	0x1000ULL	/* a breakpoint that DR7 enables was met */
#define PENDING_BS	0x4000ULL

/* SDM 3D, appendix "Field Encoding in VMCS". */
#define GUEST_DEBUGCTL	0x2802U
#define DEBUGCTL_BTF	0x2ULL

#define BREAKPOINTS	4

/* DR7: R/W of a breakpoint. */
#define ON_WRITE	1
#define ON_PORT		2
#define ON_ACCESS	3

int trap_arm(struct guest *guest, uint64_t *hits)
{
	*hits = 0;
	guest->hits = hits;
	return vee_vcpu_sync(guest->vcpu, VEE_STATE_DEBUG | VEE_STATE_CONTROL);
}

bool trap_watches(const struct guest *guest)
{
	return guest->traps || guest->hits ||
	       guest->vcpu->page->intercept & VEE_INTERCEPT_STEP;
}

static bool is_enabled(uint64_t dr7, unsigned int number)
{
	return dr7 >> (2 * number) & 3;
}

static unsigned int kind_of(uint64_t dr7, unsigned int number)
{
	return dr7 >> (16 + 4 * number) & 3;
}

static unsigned int length_of(uint64_t dr7, unsigned int number)
{
	static const unsigned int lengths[] = { 1, 2, 8, 4 };

	return lengths[dr7 >> (18 + 4 * number) & 3];
}

/* @kinds: a bit for each value of R/W that is met. */
static void note(const struct guest *guest, uint64_t first, unsigned int bytes,
		 unsigned int kinds)
{
	const struct vee_debug *debug = &guest->vcpu->page->debug;

	for (unsigned int i = 0; i < BREAKPOINTS; i++) {
		unsigned int length = length_of(debug->dr7, i);
		uint64_t start = debug->dr[i] & ~(uint64_t)(length - 1);

		if (is_enabled(debug->dr7, i) && kinds >> kind_of(debug->dr7, i) & 1 &&
		    first < start + length && start < first + bytes)
			*guest->hits |= PENDING_ENABLED | 1U << i;
	}
}

void trap_access(const struct guest *guest, uint64_t gva, unsigned int bytes,
		 unsigned int access)
{
	if (guest->hits)
		note(guest, gva, bytes,
		     1U << ON_ACCESS | (access & VEE_WRITE ? 1U << ON_WRITE : 0));
}

void trap_port(const struct guest *guest, uint16_t port, unsigned int bytes)
{
	if (guest->hits && guest->vcpu->page->control.cr4 & CR4_DE)
		note(guest, port, bytes, 1U << ON_PORT);
}

static int set_pending(const struct guest *guest, uint64_t pending)
{
	struct vee_vcpu_page *page = guest->vcpu->page;
	int err;

	if (!pending)
		return 0;
	err = vee_vcpu_sync(guest->vcpu, VEE_STATE_EVENTS);
	if (err)
		return err;
	page->events.pending_debug |= pending;
	page->dirty |= VEE_STATE_EVENTS;
	return 0;
}

int trap_note(const struct guest *guest)
{
	return set_pending(guest, *guest->hits);
}

/* SDM 3B, "Single-Stepping on Branches": with BTF the rest has no trap. */
static int find_trap(const struct guest *guest, bool branches, uint64_t *pending)
{
	uint64_t debugctl = 0;
	int err = 0;

	if (guest->traps && !branches)
		err = vee_vcpu_vmcs_read(guest->vcpu, GUEST_DEBUGCTL, &debugctl);
	if (!err && guest->traps && !(debugctl & DEBUGCTL_BTF))
		*pending |= PENDING_BS;
	return err;
}

int trap_step(const struct guest *guest, bool branches)
{
	uint64_t pending = guest->hits ? *guest->hits : 0;
	int err = find_trap(guest, branches, &pending);

	if (!err)
		err = set_pending(guest, pending);
	if (!err)
		guest->vcpu->page->resume = VEE_RESUME_DONE;
	return err;
}

int trap_unblock(const struct guest *guest)
{
	const uint32_t shadow = VEE_BLOCKING_BY_STI | VEE_BLOCKING_BY_MOV_SS;
	struct vee_vcpu_page *page = guest->vcpu->page;
	int err = vee_vcpu_sync(guest->vcpu, VEE_STATE_EVENTS);

	if (err || !(page->events.interruptibility & shadow))
		return err;
	page->events.interruptibility &= ~shadow;
	page->dirty |= VEE_STATE_EVENTS;
	return 0;
}

/*
 * SDM 3B, "Instruction-Breakpoint Exception Condition": between iterations RF is 1; SDM 2B,
 * "REP": and what waits is taken there, a trap among it.
 */
int trap_between(const struct guest *guest)
{
	struct vee_vcpu_page *page = guest->vcpu->page;
	int err = page->exit.flags & VEE_EXIT_NMI_READY ? 0 : trap_unblock(guest);

	if (err)
		return err;
	page->regs.rflags |= RFLAGS_RF;
	page->dirty |= VEE_STATE_REGS;
	return trap_step(guest, false);
}
