/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's state while a guest's is loaded. Preemption off.
 */
#ifndef _VEE_HOST_H
#define _VEE_HOST_H

#include <linux/types.h>
#include <asm/desc_defs.h>

struct vee_vcpu;

/**
 * struct host_state - what a VM exit or the guest destroys, to be put back
 * @fs_base: the FS base of the caller
 * @kernel_gs_base: IA32_KERNEL_GS_BASE, the GS base of the caller
 * @debugctl: IA32_DEBUGCTL
 * @gdt: GDTR
 * @fs: FS selector
 * @gs: GS selector
 * @ds: DS selector
 * @es: ES selector
 * @ldt: LDTR selector
 * @any_selector: one of these five is not null; else only @ldt has been noted
 *
 * @debugctl is kept for each bracket, the rest for a stretch.
 */
struct host_state {
	u64 fs_base;
	u64 kernel_gs_base;
	u64 debugctl;
	struct desc_ptr gdt;
	u16 fs, gs, ds, es, ldt;
	u16 any_selector;
};

/* Around a stretch: the guest's state that is in no VMCS is loaded; the host's is again. */
void host_save(struct vee_vcpu *vcpu);
void host_restore(struct vee_vcpu *vcpu);
/* Interrupts off, right after an exit: an NMI or, then true, a machine check of the host's. */
bool host_take_event(u32 reason);

#endif /* _VEE_HOST_H */
