/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VM exit under way: what is known of it, and what comes after it.
 */
#ifndef _VEE_VMEXIT_H
#define _VEE_VMEXIT_H

#include <linux/types.h>

#include "memory/fault.h"

struct vee_vcpu;

/* What to do after a VM exit. */
enum next {
	NEXT_ENTER,	/* handled: enter the guest again, interrupts stay off */
	NEXT_PREPARE,	/* likewise, but there is an event for it */
	NEXT_FAULT,	/* exit_fault() must go on, with interrupts on */
	NEXT_HOST,	/* let the host have its interrupts and signals first */
	NEXT_SLEEP,	/* vm_exit.sleeper must do the rest, it may sleep */
	NEXT_USER,	/* the caller's: vee_vcpu_page.exit is filled */
	NEXT_NOTE,	/* a sleeper's: exit_fault_note() first, then the sleeper that it set */
};

/**
 * struct vm_exit - the last VM exit
 * @reason: as the VMCS has it
 * @qualification: exit qualification, 0 if there is none
 * @insn_length: of the instruction that made it, 0: none
 * @rip: RIP of the last exit that the caller saw
 * @plain: of @rip's instruction nothing is pending in the VMCS that going past it would
 *	end or set off, nor has anybody written there since
 * @of_memory: the caller saw VEE_EXIT_MMIO or _MEMORY: it knows the instruction's
 *	length, the CPU didn't say
 * @sleeper: completes an exit with NEXT_SLEEP
 */
struct vm_exit {
	u32 reason;
	u32 insn_length;
	u64 qualification;
	u64 rip;
	bool plain;
	bool of_memory;
	enum next (*sleeper)(struct vee_vcpu *vcpu);
};

/**
 * struct violation - the EPT violation under way
 * @gpa: guest-physical address
 * @error: why it could not be resolved with preemption off
 * @may_post: it is a write that may be posted, if an instruction's that can be decoded
 * @noted: what the caller is told of it is in the vCPU page
 * @gva: linear address; 0: the CPU gives none
 * @rsp: with @may_post: RSP
 * @memory: the slot in which one was last resolved at once; it may be gone
 */
struct violation {
	u64 gpa;
	int error;
	bool may_post;
	bool noted;
	u64 gva;
	u64 rsp;
	struct mem_range memory;
};

#endif /* _VEE_VMEXIT_H */
