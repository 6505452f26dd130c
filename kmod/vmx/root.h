/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMX root operation on each CPU, and which VMCS is current where.
 */
#ifndef _VEE_VMX_ROOT_H
#define _VEE_VMX_ROOT_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/types.h>

#include "vmx/entry.h"
#include "vmx/tsc.h"

/**
 * struct vmcs - a VMCS and where it is
 * @region: the page that the CPU keeps it in
 * @hpa: its host-physical address
 * @cpu: the CPU on which it is active, -1: on none (its data is in @region)
 * @frame: what an entry with it needs
 * @tsc: what its TSC offset makes up for
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
	struct list_head link;
	const void *owner;
};

/* @each_cpu: called on every CPU that goes into VMX operation, before it is used there */
int vmx_root_init(void (*each_cpu)(void));
void vmx_root_exit(void);

int vmx_root_alloc(struct vmcs *vmcs, const void *owner);
void vmx_root_free(struct vmcs *vmcs);

/* The VMCS that VMREAD and VMLAUNCH work on; NULL also out of VMX operation. */
DECLARE_PER_CPU(struct vmcs *, vmx_current);
int vmx_root_load(struct vmcs *vmcs);

/*
 * The bracket around every use of VMX: interrupts stay off from enter to leave,
 * and in between @vmcs is the current VMCS. Enter gives -EAGAIN if the VMCS is
 * active on another CPU (call vmx_root_pull() with interrupts on, then try
 * again), and -ESHUTDOWN if this CPU is not in VMX operation.
 */
static inline int vmx_root_enter(struct vmcs *vmcs)
{
	lockdep_assert_irqs_disabled();
	return likely(this_cpu_read(vmx_current) == vmcs) ? 0 : vmx_root_load(vmcs);
}

/* Resident: nothing to put back. The VMCS stays current for the next enter. */
static inline void vmx_root_leave(struct vmcs *vmcs)
{
	lockdep_assert_irqs_disabled();
}

void vmx_root_clear(struct vmcs *vmcs);

/* VMCLEARs @vmcs where it is active, unless that is here. Preemption off. */
static inline void vmx_root_pull(struct vmcs *vmcs)
{
	if (unlikely(READ_ONCE(vmcs->cpu) != smp_processor_id()))
		vmx_root_clear(vmcs);
}

#endif /* _VEE_VMX_ROOT_H */
