/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSRs that the guest has to itself.
 */
#ifndef _VEE_MSR_BITMAP_H
#define _VEE_MSR_BITMAP_H

#include <linux/types.h>

int msr_bitmap_init(void);
void msr_bitmap_exit(void);
/* @x2apic: of a vCPU whose local APIC the CPU sees to in x2APIC mode */
u64 msr_bitmap_hpa(bool x2apic);

#endif /* _VEE_MSR_BITMAP_H */
