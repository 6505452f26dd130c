// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TSC of a guest is the host's and an offset. Two things set back the host's: a
 * suspend to RAM or to disk, for all CPUs; and a move, from one CPU to another whose TSC
 * is behind. No guest sees that: its offset grows by as much.
 *
 * A VMCS leaves its CPU before either, and comes to a CPU after: that is where it is
 * found out, so no other entry has to look. After a suspend all have lost the same, lest
 * the vCPUs of a guest drift apart; while the machine is down their time stands still.
 */
#include "compat.h"
#include "vmx/tsc.h"
#include "vmx/vmcs.h"

u64 host_tsc_lost;
static u64 suspended_at;

void guest_tsc_arrive(struct guest_tsc *tsc)
{
	u64 now = rdtsc_ordered() + host_tsc_lost;

	tsc->behind += host_tsc_lost - tsc->lost;
	tsc->lost = host_tsc_lost;
	if (tsc->left_at > now)
		tsc->behind += tsc->left_at - now;
}

void guest_tsc_set_right(struct guest_tsc *tsc)
{
	vmcs_write(VMCS_TSC_OFFSET, vmcs_read(VMCS_TSC_OFFSET) + tsc->behind);
	tsc->extra += tsc->behind;
	tsc->behind = 0;
}

void guest_tsc_set_offset(const struct guest_tsc *tsc, u64 offset)
{
	vmcs_write(VMCS_TSC_OFFSET, offset + tsc->extra);
}

u64 guest_tsc_offset(const struct guest_tsc *tsc)
{
	return vmcs_read(VMCS_TSC_OFFSET) - tsc->extra;
}

/* --- the host's --------------------------------------------------------------- */

/* On the last CPU to go down, and the first to come up. */
static int note_suspend(void)
{
	suspended_at = rdtsc_ordered();
	return 0;
}

static void note_resume(void)
{
	u64 now = rdtsc_ordered();

	if (now < suspended_at)
		WRITE_ONCE(host_tsc_lost, host_tsc_lost + suspended_at - now);
}

VEE_SYSCORE(tsc_syscore, note_suspend, note_resume);

int host_tsc_init(void)
{
	vee_syscore_register(&tsc_syscore);
	return 0;
}

void host_tsc_exit(void)
{
	vee_syscore_unregister(&tsc_syscore);
}
