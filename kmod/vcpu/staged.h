/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a run takes over from the vCPU page, which is the caller's to scribble on: it is
 * copied once, checked, and used from here.
 */
#ifndef _VEE_STAGED_H
#define _VEE_STAGED_H

#include <linux/stddef.h>
#include <linux/types.h>

#include "linux/vee.h"

/* A member by its place in the vCPU page. At 0 is the page's size, which nobody is asked for. */
#define MEMBER(name)	offsetof(struct vee_vcpu_page, name)

/**
 * struct wishes - what the caller wants of a run
 * @prefetch: what is to be filled at the exit
 * @intercept: VEE_INTERCEPT_ bits: exits that it wants besides
 * @options: VEE_OPTION_ bits
 * @tpr_threshold: CR8 below it is an exit; 0: never
 */
struct wishes {
	u32 prefetch;
	u32 intercept;
	u32 options;
	u32 tpr_threshold;
};

/**
 * struct staged_state - state to be loaded at the next entry
 * @groups: which VEE_STATE_ groups below
 * @next: go past the instruction that exited
 * @fault: #GP(0) instead
 * @regs: VEE_STATE_REGS; RSP, RIP and RFLAGS alone matter
 * @segments: VEE_STATE_SEGMENTS
 * @control: VEE_STATE_CONTROL
 * @loads_pdptes: @pdpte go with @control
 * @pdpte: PDPTEs
 * @debug: VEE_STATE_DEBUG
 * @loads_debugctl: @debugctl goes with @debug
 * @debugctl: IA32_DEBUGCTL
 * @msrs: VEE_STATE_MSRS
 * @events: VEE_STATE_EVENTS
 * @apic: VEE_STATE_APIC
 */
struct staged_state {
	u32 groups;
	bool next;
	bool fault;
	struct vee_regs regs;
	struct vee_segments segments;
	struct vee_control control;
	bool loads_pdptes;
	u64 pdpte[4];
	struct vee_debug debug;
	bool loads_debugctl;
	u64 debugctl;
	struct vee_msrs msrs;
	struct vee_events events;
	struct vee_apic apic;
};

#endif /* _VEE_STAGED_H */
