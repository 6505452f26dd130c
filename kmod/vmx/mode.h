/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Three ways to hold VMX, and which of them is to be.
 */
#ifndef _VEE_VMX_MODE_H
#define _VEE_VMX_MODE_H

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * enum vmx_mode - how VMX is held, on one CPU
 * @VMX_AUTO: as a wish: in the first of these that can be
 * @VMX_RESIDENT: VMX operation from load to unload: nobody else wants it (root.c)
 * @VMX_WINDOWED: VMX operation for each bracket: nobody else has it just now (window.c)
 * @VMX_SHARED: somebody else's VMX operation, for each bracket (window.c)
 */
enum vmx_mode { VMX_AUTO, VMX_RESIDENT, VMX_WINDOWED, VMX_SHARED };

/* Is a CPU to stay in VMX operation? */
bool mode_stays(void);
/* Logs that it may not be in this one; -ENODEV. */
int mode_refuse(enum vmx_mode mode);
/* On a CPU that comes up: 0, or -EBUSY for what was wished and can't be, which is logged. */
int mode_check_this_cpu(void);

/* The module parameter. */
extern int vmx_wish;
extern bool vmx_kvm_is_there;

/* May it be in this one? */
static inline bool mode_allows(enum vmx_mode mode)
{
	return likely(vmx_wish == VMX_AUTO || vmx_wish == mode);
}

static inline bool mode_kvm_is_there(void)
{
	return READ_ONCE(vmx_kvm_is_there);
}

/*
 * @comes: called before KVM can want VMX; @gone: when it no longer does. They may sleep.
 * The one that is true is called at once.
 */
void mode_watch(void (*comes)(void), void (*gone)(void));
void mode_unwatch(void);

/* The mode of each CPU: one line in the log, and /sys/module/vee/vmx_mode. */
int mode_show_init(void);
void mode_show_exit(void);

#endif /* _VEE_VMX_MODE_H */
