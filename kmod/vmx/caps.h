/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this CPU can do, and the controls chosen from it.
 */
#ifndef _VEE_VMX_CAPS_H
#define _VEE_VMX_CAPS_H

#include <linux/types.h>

#include "linux/vee.h"

enum vmx_word {
	VMX_PIN,	/* pin-based VM-execution controls */
	VMX_PROC,	/* primary processor-based */
	VMX_PROC2,	/* secondary processor-based */
	VMX_EXIT,	/* VM-exit controls */
	VMX_ENTRY,	/* VM-entry controls */
	VMX_WORDS
};

/* Up to the last that a guest may have, AVX-512's. */
#define XSAVE_COMPONENTS	8

/**
 * struct vee_caps - what this machine's CPUs offer, read once at load
 * @basic: IA32_VMX_BASIC
 * @misc: IA32_VMX_MISC
 * @ept_vpid: IA32_VMX_EPT_VPID_CAP
 * @allowed: the capability MSR of each control word, the TRUE one if there is
 * @control: each control word as a new VMCS starts with
 * @cr0_fixed0: bits of CR0 that must be 1 in VMX operation
 * @cr0_fixed1: bits of CR0 that may be 1
 * @cr4_fixed0: bits of CR4 that must be 1
 * @cr4_fixed1: bits of CR4 that may be 1
 * @features: VEE_FEATURE_ bits
 * @xcr0: components of the extended state that a guest may have
 * @host_xcr0: XCR0 of the host
 * @xsave_bytes: size of a standard-format XSAVE area for @xcr0
 * @xsave: where each component beyond SSE is in it
 * @mxcsr_mask: bits of MXCSR that may be set
 * @gpa_bits: width of a guest-physical address that the EPT can map
 * @timer_shift: the preemption timer counts down once per 2^@timer_shift ticks
 */
struct vee_caps {
	u64 basic;
	u64 misc;
	u64 ept_vpid;
	u64 allowed[VMX_WORDS];
	u32 control[VMX_WORDS];
	u64 cr0_fixed0;
	u64 cr0_fixed1;
	u64 cr4_fixed0;
	u64 cr4_fixed1;
	u64 features;
	u64 xcr0;
	u64 host_xcr0;
	u32 xsave_bytes;
	struct {
		u32 offset;
		u32 bytes;
	} xsave[XSAVE_COMPONENTS];
	u32 mxcsr_mask;
	u8 gpa_bits;
	u8 timer_shift;
};

extern struct vee_caps vee_caps;

/* Reads the capabilities and chooses controls; logs what is missing by name. */
int caps_init(void);
/* On each CPU that comes up: does it offer what the first one did? */
int caps_check_this_cpu(void);
/*
 * SDM 3C, "Enabling and Entering VMX Operation": VMXON needs the MSR locked. A
 * firmware, or a kernel without CONFIG_IA32_FEAT_CTL, may leave that to us.
 */
void caps_lock_feature_control(void);

static inline bool caps_has(u64 feature)
{
	return vee_caps.features & feature;
}

#endif /* _VEE_VMX_CAPS_H */
