/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMX for the length of one bracket, where it can't be kept on, or is somebody else's.
 * Interrupts off, but for window_part().
 */
#ifndef _VEE_VMX_WINDOW_H
#define _VEE_VMX_WINDOW_H

#include <linux/types.h>

struct vmcs;

/*
 * Makes @vmcs current. @region: the host-physical address of this CPU's VMXON region, as
 * VMXON wants it, in memory. -ENODEV: VMX is not to be had in a way that is allowed; the
 * kernel's log says why.
 */
int window_enter(struct vmcs *vmcs, const u64 *region);
void window_leave(struct vmcs *vmcs);
/* At the end of a stretch that had a window beside somebody else, preemption off. */
void window_part(struct vmcs *vmcs);
/* Another's guest may have run here, or may be about to. */
void window_forget_owner(void);
/* In the middle of anything; see emergency.c. */
void window_emergency(void);

#endif /* _VEE_VMX_WINDOW_H */
