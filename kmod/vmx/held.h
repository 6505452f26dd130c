/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VMCS and where it is, for those that make one current: root.c, which keeps VMX, and
 * window.c, which doesn't.
 */
#ifndef _VEE_VMX_HELD_H
#define _VEE_VMX_HELD_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/types.h>

#include "compat_cpu.h"
#include "vmx/entry.h"
#include "vmx/tsc.h"

#define NO_CPU			(-1)

/**
 * struct vmcs - a VMCS and where it is
 * @region: the page that the CPU keeps it in
 * @hpa: its host-physical address
 * @cpu: the CPU on which it is active, NO_CPU: on none (its data is in @region)
 * @frame: what an entry with it needs
 * @tsc: what its TSC offset makes up for
 * @found: the VMCS that the CPU said is current
 * @lost: 0, or -ENODEV: somebody else may have made the CPU forget its data
 * @in_window: current in a window (window.c), and not to stay so
 * @beside: in this stretch it was in a window, and somebody else may want VMX
 * @shared: the last one was in somebody else's VMX operation
 * @cleared_for: the CPU that it was in a window of last; NO_CPU
 * @link: on @cpu's list of active VMCSs
 * @owner: tells VMs apart for the branch-predictor barrier
 *
 * SDM 3C, "Software Use of Virtual-Machine Control Structures".
 */
struct vmcs {
	void *region;
	u64 hpa;
	int cpu;
	struct vmx_frame frame;
	struct guest_tsc tsc;
	u64 found;
	int lost;
	bool in_window;
	bool beside;
	bool shared;
	int cleared_for;
	struct list_head link;
	const void *owner;
};

static inline int vmcs_cpu(const struct vmcs *vmcs)
{
	/* With NO_CPU comes all that was done before it was so. */
	return smp_load_acquire(&vmcs->cpu);
}

/* Is this CPU in VMX operation to stay? */
DECLARE_PER_CPU(bool, vmx_resident);

/* No guest may steer the branches of the next one: see "IBPB" in SDM 3A. */
static inline void separate_owners(const void **last, const void *owner)
{
	if (*last == owner)
		return;
	vee_ibpb();
	*last = owner;
}

#endif /* _VEE_VMX_HELD_H */
