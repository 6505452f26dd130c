// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's x87, SSE, AVX and AVX-512 state, and XCR0.
 *
 * kernel_fpu_begin() puts the caller's state away and keeps the kernel off the
 * registers until kernel_fpu_end(); in between they are the guest's, over any
 * number of entries and exits. Components of the host's XCR0 that a guest can't
 * have (PKRU, AMX) are left alone: the guest's XCR0 and CR4 never enable them.
 *
 * While the guest's CR4.OSXSAVE is 0 nothing there depends on XCR0 (SDM 1, "Enabling
 * the XSAVE Feature Set and XSAVE-Enabled Features"): then the host's stays.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/fpu/types.h>

#include "vcpu/fpu.h"
#include "vmx/caps.h"

/* SDM 1, "Initial Configuration and Enabling of the XSAVE Feature Set". */
static void area_init(struct xregs_state *area)
{
	memset(area, 0, vee_caps.xsave_bytes);
	area->i387.mxcsr = MXCSR_DEFAULT;
}

/* SDM 3A, "Processor State After Reset": the x87 FPU is not as FNINIT leaves it. */
#define FCW_AFTER_RESET	0x40
#define FTW_ALL_VALID	0xff

/* @area is zeroed. */
static void area_reset(struct xregs_state *area)
{
	area->i387.mxcsr = MXCSR_DEFAULT;
	area->i387.cwd = FCW_AFTER_RESET;
	area->i387.twd = FTW_ALL_VALID;
	area->header.xfeatures = XFEATURE_MASK_FP;
}

/* The CPU refuses the area: seldom, since fpu_set() has checked it. */
__cold noinline void fpu_load_initial(struct guest_fpu *fpu)
{
	area_init(fpu->area);
	fpu_area_load(fpu->area);
}

/* XCR0 is @before. A caller who sets all of the state seldom changes it. */
static void xcr0_change(const struct guest_fpu *fpu, u64 before)
{
	if (fpu_guest_xcr0(fpu) != before)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, fpu_guest_xcr0(fpu));
}

/* With the guest's state loaded: XSETBV by the guest. */
void fpu_set_xcr0(struct guest_fpu *fpu, u64 xcr0)
{
	u64 before = fpu_guest_xcr0(fpu);

	fpu->xcr0 = xcr0;
	xcr0_change(fpu, before);
}

/* Likewise: CR4.OSXSAVE. */
void fpu_set_osxsave(struct guest_fpu *fpu, bool osxsave)
{
	u64 before = fpu_guest_xcr0(fpu);

	fpu->osxsave = osxsave;
	xcr0_change(fpu, before);
}

#define XCR0_AVX512	(XFEATURE_MASK_OPMASK | XFEATURE_MASK_ZMM_Hi256 | \
			 XFEATURE_MASK_Hi16_ZMM)

/* SDM 2B, "XSETBV": which combinations are #GP. */
bool xcr0_valid(const struct guest_fpu *fpu, u64 xcr0)
{
	u64 avx512 = xcr0 & XCR0_AVX512;

	if (xcr0 & ~fpu->xcr0_allowed || !(xcr0 & XFEATURE_MASK_FP))
		return false;
	if (xcr0 & XFEATURE_MASK_YMM && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	return !avx512 || (avx512 == XCR0_AVX512 && xcr0 & XFEATURE_MASK_YMM);
}

/* SDM 1, "Operation of XRSTOR": what would be #GP in the standard format. */
static bool area_valid(const struct xregs_state *area)
{
	const struct xstate_header *header = &area->header;

	return !(header->xfeatures & ~vee_caps.xcr0) && !header->xcomp_bv &&
	       !memchr_inv(header->reserved, 0, sizeof(header->reserved)) &&
	       !(area->i387.mxcsr & ~vee_caps.mxcsr_mask);
}

/* --- an area, copied: no more of it than what its XSTATE_BV has ------------------ */

/*
 * SDM 1, "Legacy Region of an XSAVE Area": x87 state up to the XMM registers, with MXCSR
 * and its mask in the middle.
 */
#define X87_BYTES	offsetof(struct fxregs_state, xmm_space)
#define XMM_BYTES	sizeof(((struct fxregs_state *)NULL)->xmm_space)
#define HEADERED_BYTES	(offsetof(struct xregs_state, header) + sizeof(struct xstate_header))
#define X87_AND_SSE	(XFEATURE_MASK_FP | XFEATURE_MASK_SSE)

/* @area: with a header, what the caller has said there. */
static int copy_from_caller(struct xregs_state *area, const struct xregs_state __user *from)
{
	u64 has = area->header.xfeatures;

	if (get_user(area->i387.mxcsr, &from->i387.mxcsr))
		return -EFAULT;
	if (has & XFEATURE_MASK_FP && copy_from_user(&area->i387, &from->i387, X87_BYTES))
		return -EFAULT;
	if (has & XFEATURE_MASK_SSE &&
	    copy_from_user(area->i387.xmm_space, from->i387.xmm_space, XMM_BYTES))
		return -EFAULT;
	if (has & ~(u64)X87_AND_SSE &&
	    copy_from_user((u8 *)area + HEADERED_BYTES, (const u8 __user *)from + HEADERED_BYTES,
			   vee_caps.xsave_bytes - HEADERED_BYTES))
		return -EFAULT;
	return 0;
}

static struct xregs_state *area_of(struct fpu_copy *copy)
{
	return copy->all ?: &copy->small;
}

/* Room for as much as it has: none of the rest is looked at. */
static int make_room(struct fpu_copy *copy, const struct xstate_header *header)
{
	if (header->xfeatures & ~(u64)X87_AND_SSE) {
		copy->all = kmalloc(vee_caps.xsave_bytes, GFP_KERNEL_ACCOUNT);
		if (!copy->all)
			return -ENOMEM;
	}
	area_of(copy)->header = *header;
	return 0;
}

int fpu_fetch(struct fpu_copy *copy, const void __user *from)
{
	const struct xregs_state __user *theirs = from;
	struct xstate_header header;
	int err;

	copy->all = NULL;
	if (copy_from_user(&header, &theirs->header, sizeof(header)))
		return -EFAULT;
	err = make_room(copy, &header);
	if (!err)
		err = copy_from_caller(area_of(copy), theirs);
	/* Checked in a copy: the caller's could change after the check. */
	if (!err && !area_valid(area_of(copy)))
		err = -EINVAL;
	return err;
}

void fpu_drop(struct fpu_copy *copy)
{
	kfree(copy->all);
}

void fpu_use(struct guest_fpu *fpu, struct fpu_copy *copy)
{
	const struct xregs_state *from = area_of(copy);
	struct xregs_state *to = fpu->area;
	u64 has = from->header.xfeatures;

	if (has & XFEATURE_MASK_FP)
		memcpy(&to->i387, &from->i387, X87_BYTES);
	if (has & XFEATURE_MASK_SSE)
		memcpy(to->i387.xmm_space, from->i387.xmm_space, XMM_BYTES);
	if (has & ~(u64)X87_AND_SSE)
		memcpy((u8 *)to + HEADERED_BYTES, (const u8 *)from + HEADERED_BYTES,
		       vee_caps.xsave_bytes - HEADERED_BYTES);
	to->i387.mxcsr = from->i387.mxcsr;
	to->header = from->header;
}

int fpu_set(struct guest_fpu *fpu, const void __user *from)
{
	struct fpu_copy copy __uninitialized;
	int err = fpu_fetch(&copy, from);

	if (!err)
		fpu_use(fpu, &copy);
	fpu_drop(&copy);
	return err;
}

/* SDM 1, "Initial Configuration and Enabling of the XSAVE Feature Set". */
#define FCW_INITIAL	0x37f

/* What XSTATE_BV has not is old: XSAVEOPT leaves it, and fpu_use(). */
static void clear_unused(struct xregs_state *area)
{
	u64 has = area->header.xfeatures;
	u32 mxcsr = area->i387.mxcsr, mask = area->i387.mxcsr_mask;

	/* MXCSR and its mask, in the midst of it, are SSE's. */
	if (!(has & XFEATURE_MASK_FP)) {
		memset(&area->i387, 0, X87_BYTES);
		area->i387.cwd = FCW_INITIAL;
		area->i387.mxcsr = mxcsr;
		area->i387.mxcsr_mask = mask;
	}
	if (!(has & XFEATURE_MASK_SSE))
		memset(area->i387.xmm_space, 0, XMM_BYTES);
	for (unsigned int i = XFEATURE_YMM; i < XSAVE_COMPONENTS; i++)
		if (!(has & BIT_ULL(i)))
			memset((u8 *)area + vee_caps.xsave[i].offset, 0, vee_caps.xsave[i].bytes);
}

int fpu_get(struct guest_fpu *fpu, void __user *to)
{
	clear_unused(fpu->area);
	if (copy_to_user(to, fpu->area, vee_caps.xsave_bytes))
		return -EFAULT;
	return 0;
}

/* XSAVE wants 64-byte alignment, which kmalloc gives a power of two of it. */
int fpu_alloc(struct guest_fpu *fpu)
{
	size_t bytes = roundup_pow_of_two(vee_caps.xsave_bytes);

	fpu->area = kzalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!fpu->area)
		return -ENOMEM;
	area_reset(fpu->area);
	fpu->xcr0 = XFEATURE_MASK_FP;
	return 0;
}

void fpu_free(struct guest_fpu *fpu)
{
	kfree(fpu->area);
}
