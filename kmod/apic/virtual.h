/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of a local APIC the CPU sees to itself.
 */
#ifndef _VEE_APIC_VIRTUAL_H
#define _VEE_APIC_VIRTUAL_H

#include <linux/types.h>

struct apic;

/* Has the CPU a TPR shadow, and is it to be used? Without it none of the rest is. */
bool apic_may_shadow(void);
bool apic_may_virtualize_accesses(void);
/* The secondary controls for x2APIC mode; 0: it sees to none of it. */
u32 apic_controls_wide(void);
/* ... for the mode that @apic is in. */
u32 apic_controls(const struct apic *apic);

#endif /* _VEE_APIC_VIRTUAL_H */
