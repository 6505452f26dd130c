/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's state while a guest's is loaded. Preemption off.
 */
#ifndef _VEE_HOST_H
#define _VEE_HOST_H

#include <linux/types.h>
#include <asm/desc_defs.h>

/**
 * struct host_state - what a VM exit or the guest destroys, to be put back
 * @fs_base: the FS base of the caller
 * @kernel_gs_base: IA32_KERNEL_GS_BASE, the GS base of the caller
 * @debugctl: IA32_DEBUGCTL
 * @idt: IDTR
 * @gdt: GDTR
 * @fs: FS selector
 * @gs: GS selector
 * @ds: DS selector
 * @es: ES selector
 * @ldt: LDTR selector
 *
 * But for @kernel_gs_base and @debugctl, which others keep here, host_save() sets it.
 */
struct host_state {
	u64 fs_base;
	u64 kernel_gs_base;
	u64 debugctl;
	struct desc_ptr idt;
	struct desc_ptr gdt;
	u16 fs, gs, ds, es, ldt;
};

void host_save(struct host_state *host);
/* With the host's MSRs back. */
void host_restore(struct host_state *host);
/* Interrupts off, right after an exit: an NMI or machine check of the host's. */
void host_take_event(u32 reason);

#endif /* _VEE_HOST_H */
