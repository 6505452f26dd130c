/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's x87, SSE, AVX and AVX-512 state, and XCR0.
 */
#ifndef _VEE_FPU_H
#define _VEE_FPU_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/types.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>

#include "vmx/caps.h"

/**
 * struct guest_fpu - the extended state
 * @area: the XSAVE area of x87, SSE, AVX, AVX-512
 * @xcr0: XCR0
 * @xcr0_allowed: bits of XCR0 that the guest may set
 * @osxsave: CR4.OSXSAVE: @xcr0 is in the CPU
 */
struct guest_fpu {
	void *area;
	u64 xcr0;
	u64 xcr0_allowed;
	bool osxsave;
};

/**
 * struct fpu_copy - a caller's XSAVE area: of each component what its XSTATE_BV has
 * @all: NULL, or the area, since it has more than x87 and SSE
 * @small: else the area: most guests have no more, and an allocation is half of what a
 *	vCPU's load takes
 */
struct fpu_copy {
	struct xregs_state *all;
	struct xregs_state small;
};

int fpu_alloc(struct guest_fpu *fpu);
void fpu_free(struct guest_fpu *fpu);
/* Checked; fpu_drop() frees it, however that ends. -EFAULT, -EINVAL, -ENOMEM */
int fpu_fetch(struct fpu_copy *copy, const void __user *from);
void fpu_use(struct guest_fpu *fpu, struct fpu_copy *copy);
void fpu_drop(struct fpu_copy *copy);
int fpu_set(struct guest_fpu *fpu, const void __user *area);
int fpu_get(struct guest_fpu *fpu, void __user *area);
/* With the guest's state loaded: XSETBV by the guest; CR4.OSXSAVE. */
void fpu_set_xcr0(struct guest_fpu *fpu, u64 xcr0);
void fpu_set_osxsave(struct guest_fpu *fpu, bool osxsave);
bool xcr0_valid(const struct guest_fpu *fpu, u64 xcr0);

/* --- around a stretch: in line, as each exit to the caller comes by ------------------ */

static __always_inline void fpu_area_save(struct xregs_state *area)
{
	asm volatile(ALTERNATIVE("xsave64 %[area]", "xsaveopt64 %[area]",
				 X86_FEATURE_XSAVEOPT)
		     : [area] "+m" (*area)
		     : "a" ((u32)vee_caps.xcr0), "d" ((u32)(vee_caps.xcr0 >> 32))
		     : "memory");
}

/* -EINVAL: the CPU refuses the area; then the registers are unchanged. */
static __always_inline int fpu_area_load(const struct xregs_state *area)
{
	asm goto("1: xrstor64 %[area]\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : [area] "m" (*area),
		     "a" ((u32)vee_caps.xcr0), "d" ((u32)(vee_caps.xcr0 >> 32))
		 : "memory" : fault);
	return 0;
fault:
	return -EINVAL;
}

/* What XCR0 is while the guest's state is loaded. */
static inline u64 fpu_guest_xcr0(const struct guest_fpu *fpu)
{
	return fpu->osxsave ? fpu->xcr0 : vee_caps.host_xcr0;
}

void fpu_load_initial(struct guest_fpu *fpu);

static __always_inline void fpu_load_guest(struct guest_fpu *fpu)
{
	kernel_fpu_begin_mask(0);
	/* Never enter with the caller's registers. */
	if (unlikely(fpu_area_load(fpu->area)))
		fpu_load_initial(fpu);
	if (fpu_guest_xcr0(fpu) != vee_caps.host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, fpu->xcr0);
}

static __always_inline void fpu_load_host(struct guest_fpu *fpu)
{
	/* The area covers what the guest may have, not what it has enabled. */
	if (fpu_guest_xcr0(fpu) != vee_caps.host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vee_caps.host_xcr0);
	fpu_area_save(fpu->area);
	kernel_fpu_end();
}

#endif /* _VEE_FPU_H */
