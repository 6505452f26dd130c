/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's x87, SSE, AVX and AVX-512 state, and XCR0.
 */
#ifndef _VEE_FPU_H
#define _VEE_FPU_H

#include <linux/compiler.h>
#include <linux/types.h>

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

int fpu_alloc(struct guest_fpu *fpu);
void fpu_free(struct guest_fpu *fpu);
void fpu_load_guest(struct guest_fpu *fpu);
void fpu_load_host(struct guest_fpu *fpu);
/* A checked copy, fpu_use() or kfree() frees it; or ERR_PTR(). */
void *fpu_fetch(const void __user *from);
void fpu_use(struct guest_fpu *fpu, void *area);
int fpu_set(struct guest_fpu *fpu, const void __user *area);
int fpu_get(struct guest_fpu *fpu, void __user *area);
/* With the guest's state loaded: XSETBV by the guest; CR4.OSXSAVE. */
void fpu_set_xcr0(struct guest_fpu *fpu, u64 xcr0);
void fpu_set_osxsave(struct guest_fpu *fpu, bool osxsave);
bool xcr0_valid(const struct guest_fpu *fpu, u64 xcr0);

#endif /* _VEE_FPU_H */
