/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMX root operation on each CPU, and which VMCS is current where.
 */
#ifndef _VEE_VMX_ROOT_H
#define _VEE_VMX_ROOT_H

#include <linux/compiler.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/types.h>

#include "vmx/held.h"
#include "vmx/insn.h"
#include "vmx/window.h"

/* @each_cpu: called on every CPU that goes into VMX operation, before it is used there */
int vmx_root_init(void (*each_cpu)(void));
void vmx_root_exit(void);

int vmx_root_alloc(struct vmcs *vmcs, const void *owner);
void vmx_root_free(struct vmcs *vmcs);

/* Where VMX is resident, the VMCS that VMREAD and VMLAUNCH work on; NULL: none. */
DECLARE_PER_CPU(struct vmcs *, vmx_current);
int vmx_root_load(struct vmcs *vmcs);

/*
 * The bracket around every use of VMX: interrupts stay off from enter to leave,
 * and in between @vmcs is the current VMCS. Enter gives -EAGAIN if the VMCS is
 * active on another CPU (call vmx_root_pull() with interrupts on, then try
 * again), -ESHUTDOWN if the machine is going down, and -ENODEV if VMX is not to be had,
 * which is logged.
 *
 * The CPU is asked, too: whoever makes another VMCS current here and doesn't put vee's
 * back would have that one's guest entered.
 */
static inline int vmx_root_enter(struct vmcs *vmcs)
{
	lockdep_assert_irqs_disabled();
	if (likely(this_cpu_read(vmx_current) == vmcs && !vmptrst(&vmcs->found) &&
		   vmcs->found == vmcs->hpa))
		return 0;
	return vmx_root_load(vmcs);
}

/* Resident: nothing to put back. The VMCS stays current for the next enter. */
static inline void vmx_root_leave(struct vmcs *vmcs)
{
	lockdep_assert_irqs_disabled();
	if (unlikely(vmcs->in_window))
		window_leave(vmcs);
}

void vmx_root_clear(struct vmcs *vmcs);

/*
 * Around a stretch, preemption off. The first VMCLEARs @vmcs where it is active, unless
 * that is here; the second leaves the CPU to other guests.
 */
static inline void vmx_root_pull(struct vmcs *vmcs)
{
	int cpu = vmcs_cpu(vmcs);

	if (unlikely(cpu != smp_processor_id() && cpu != NO_CPU))
		vmx_root_clear(vmcs);
}

static inline void vmx_root_part(struct vmcs *vmcs)
{
	if (unlikely(vmcs->beside))
		window_part(vmcs);
}

#endif /* _VEE_VMX_ROOT_H */
