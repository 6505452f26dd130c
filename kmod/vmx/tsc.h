/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TSC of a guest, which goes on where the host's does not.
 */
#ifndef _VEE_VMX_TSC_H
#define _VEE_VMX_TSC_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <asm/msr.h>
#include <asm/tsc.h>

/* How far the host's TSC has been set back by suspends. */
extern u64 host_tsc_lost;

/* The host's TSC, had there been none. */
static inline u64 host_time(void)
{
	return rdtsc() + READ_ONCE(host_tsc_lost);
}

/**
 * struct guest_tsc - what a VMCS' TSC offset makes up for
 * @left_at: host_time() when the VMCS last left a CPU; 0: never
 * @lost: that much of host_tsc_lost is in @extra, or was before it was made
 * @behind: what is yet to go into the TSC offset and @extra
 * @extra: what is in the TSC offset besides vee_msrs.tsc_offset
 */
struct guest_tsc {
	u64 left_at;
	u64 lost;
	u64 behind;
	u64 extra;
};

static inline void guest_tsc_init(struct guest_tsc *tsc)
{
	tsc->lost = READ_ONCE(host_tsc_lost);
}

/* The VMCS leaves this CPU; interrupts off. */
static inline void guest_tsc_leave(struct guest_tsc *tsc)
{
	tsc->left_at = rdtsc_ordered() + READ_ONCE(host_tsc_lost);
}

/* ... comes to this CPU. */
void guest_tsc_arrive(struct guest_tsc *tsc);

/* Has there been a suspend since the last guest_tsc_arrive()? */
static inline bool guest_tsc_was_suspended(const struct guest_tsc *tsc)
{
	return tsc->lost != READ_ONCE(host_tsc_lost);
}

/* Inside the bracket, as are those below. */
void guest_tsc_set_right(struct guest_tsc *tsc);

static inline void guest_tsc_catch_up(struct guest_tsc *tsc)
{
	if (unlikely(tsc->behind))
		guest_tsc_set_right(tsc);
}

/* vee_msrs.tsc_offset */
void guest_tsc_set_offset(const struct guest_tsc *tsc, u64 offset);
u64 guest_tsc_offset(const struct guest_tsc *tsc);

int host_tsc_init(void);
void host_tsc_exit(void);

#endif /* _VEE_VMX_TSC_H */
