// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Moves of MMX, SSE and AVX, as compilers make of copies, and of the state of x87 and SSE.
 * The registers are fetched and put back as an XSAVE area; 16 bytes are two accesses, 32 are four.
 */
#include <stdlib.h>

#include "mmio.h"

/* SDM 1, "Legacy Region of an XSAVE Area", and the header's XSTATE_BV with its bits. */
#define FCW_OFFSET	0
#define FSW_OFFSET	2
#define FTW_OFFSET	4
#define FIP_OFFSET	8
#define FDP_OFFSET	16
#define MXCSR_OFFSET	24
#define MXCSR_MASK_OFFSET	28
#define ST_OFFSET	32
#define ST_BYTES	16
#define ST_COUNT	8
#define XMM_OFFSET	160
#define XMM_BYTES	16
#define XMM_COUNT	16
#define BV_OFFSET	512
#define BV_X87		1U
#define BV_SSE		2U
#define BV_AVX		4U
#define BV_ZMM		0x40U

/* SDM 1, "XSAVE-Managed Features": the upper halves of YMM and of ZMM registers. */
#define AVX_COMPONENT	2
#define ZMM_COMPONENT	6
#define YMM_UPPER	16
#define ZMM_UPPER	32

#define FCW_RESET	0x37f
#define FSW_TOP_SHIFT	11
#define FSW_TOP		0x3800U
#define TAGS_VALID	0xff
#define MMX_EXPONENT	0xffff

/* What a CPU has whose MXCSR_MASK is 0. */
#define MXCSR_MASK_DEFAULT	0xffbfU

/* A register's upper half; NULL: the CPU has none. */
static uint8_t *find_upper(const struct guest *guest, uint8_t *area, unsigned int component,
			   unsigned int bytes)
{
	unsigned int at = xsave_offset(component) + guest->insn->reg * bytes;

	return xsave_offset(component) && within(at, bytes, vm_xsave_bytes(guest->vcpu->vm)) ?
	       area + at : NULL;
}

/* The parts of it that are as after RESET need not be in the area. */
static void fill_area(uint8_t *area)
{
	static const uint16_t fcw = FCW_RESET;

	if (!(area[BV_OFFSET] & BV_SSE))
		memset(area + XMM_OFFSET, 0, XMM_COUNT * XMM_BYTES);
	if (!(area[BV_OFFSET] & BV_X87)) {
		memset(area, 0, MXCSR_OFFSET);
		memset(area + ST_OFFSET, 0, ST_COUNT * ST_BYTES);
		memcpy(area + FCW_OFFSET, &fcw, sizeof(fcw));
	}
}

/* Likewise of AVX. */
static void fill_upper(const struct guest *guest, uint8_t *area)
{
	unsigned int at = xsave_offset(AVX_COMPONENT);

	if (at && !(area[BV_OFFSET] & BV_AVX) &&
	    within(at, XMM_COUNT * YMM_UPPER, vm_xsave_bytes(guest->vcpu->vm)))
		memset(area + at, 0, XMM_COUNT * YMM_UPPER);
}

/* For free(). NULL: @err says why. */
static uint8_t *get_area(const struct guest *guest, int *err)
{
	size_t bytes = vm_xsave_bytes(guest->vcpu->vm);
	uint8_t *area = calloc(1, bytes);

	*err = area ? vee_vcpu_get_xsave(guest->vcpu, area, bytes) : -ENOMEM;
	if (*err) {
		free(area);
		return NULL;
	}
	fill_area(area);
	if (guest->insn->clears_upper)
		fill_upper(guest, area);
	return area;
}

static int put_area(const struct guest *guest, uint8_t *area, unsigned int parts)
{
	area[BV_OFFSET] |= parts;
	if (guest->path)
		return 0;
	return vee_vcpu_set_xsave(guest->vcpu, area, vm_xsave_bytes(guest->vcpu->vm));
}

/* --- MMX --- */

/* SDM 1, "Effect of MMX Instructions": TOP is 0, all are valid. ST are by TOP there. */
static void enter_mmx(uint8_t *area)
{
	uint8_t st[ST_COUNT * ST_BYTES];
	uint16_t fsw;
	unsigned int top;

	memcpy(&fsw, area + FSW_OFFSET, sizeof(fsw));
	top = (fsw & FSW_TOP) >> FSW_TOP_SHIFT;
	memcpy(st, area + ST_OFFSET, sizeof(st));
	for (unsigned int i = 0; i < ST_COUNT; i++)
		memcpy(area + ST_OFFSET + i * ST_BYTES,
		       st + ((i - top) & (ST_COUNT - 1)) * ST_BYTES, ST_BYTES);
	fsw &= ~FSW_TOP;
	memcpy(area + FSW_OFFSET, &fsw, sizeof(fsw));
	area[FTW_OFFSET] = TAGS_VALID;
}

static void *find_mmx(const struct guest *guest, uint8_t *area)
{
	enter_mmx(area);
	return area + ST_OFFSET + (guest->insn->reg & (ST_COUNT - 1)) * ST_BYTES;
}

static void load_mmx(const struct guest *guest, uint8_t *area, const void *data)
{
	static const uint16_t exponent = MMX_EXPONENT;
	uint8_t *mmx = find_mmx(guest, area);

	memcpy(mmx, data, sizeof(uint64_t));
	memcpy(mmx + sizeof(uint64_t), &exponent, sizeof(exponent));
}

/* --- moves --- */

static uint8_t *find_xmm(const struct guest *guest, uint8_t *area)
{
	return area + XMM_OFFSET + guest->insn->reg * XMM_BYTES;
}

static uint8_t *find_half(const struct guest *guest, uint8_t *area)
{
	return find_xmm(guest, area) + (guest->insn->high_half ? XMM_BYTES / 2 : 0);
}

static uint32_t mxcsr_mask(const uint8_t *area)
{
	uint32_t mask;

	memcpy(&mask, area + MXCSR_MASK_OFFSET, sizeof(mask));
	return mask ? mask : MXCSR_MASK_DEFAULT;
}

static bool is_mxcsr(const uint8_t *area, const uint8_t *data)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, data, sizeof(mxcsr));
	return !(mxcsr & ~mxcsr_mask(area));
}

static void load_upper(const struct guest *guest, uint8_t *area, const uint8_t *data)
{
	uint8_t *ymm = find_upper(guest, area, AVX_COMPONENT, YMM_UPPER);
	uint8_t *zmm = find_upper(guest, area, ZMM_COMPONENT, ZMM_UPPER);

	if (ymm)
		memcpy(ymm, data, YMM_UPPER);
	if (zmm && area[BV_OFFSET] & BV_ZMM)
		memset(zmm, 0, ZMM_UPPER);
}

/* Puts what was read into the area; false: #GP. */
static bool load_part(const struct guest *guest, uint8_t *area, const uint8_t *data)
{
	switch (guest->insn->kind) {
	case INSN_VECTOR_LOAD:		/* all of them clear what they don't load */
		memcpy(find_xmm(guest, area), data, XMM_BYTES);
		if (guest->insn->clears_upper)
			load_upper(guest, area, data + XMM_BYTES);
		return true;
	case INSN_HALF_LOAD:
		memcpy(find_half(guest, area), data, XMM_BYTES / 2);
		return true;
	case INSN_MMX_LOAD:
		load_mmx(guest, area, data);
		return true;
	case INSN_X87_CONTROL_LOAD:
		memcpy(area + FCW_OFFSET, data, sizeof(uint16_t));
		return true;
	default:
		if (!is_mxcsr(area, data))
			return false;
		memcpy(area + MXCSR_OFFSET, data, sizeof(uint32_t));
		return true;
	}
}

static unsigned int part_of(const struct insn *insn)
{
	switch (insn->kind) {
	case INSN_VECTOR_LOAD:
		return insn->clears_upper ? BV_SSE | BV_AVX : BV_SSE;
	case INSN_MMX_LOAD:
	case INSN_MMX_STORE:
	case INSN_X87_CONTROL_LOAD:
		return BV_X87;
	default:
		return BV_SSE;
	}
}

int do_vector_load(const struct guest *guest)
{
	uint8_t data[XMM_BYTES + YMM_UPPER] = { 0 };
	uint8_t *area;
	int err;

	area = get_area(guest, &err);
	if (!area)
		return err;
	err = operand_read(guest, data, guest->insn->width);
	if (!err && !load_part(guest, area, data))
		err = guest_fault(guest, VECTOR_GP, 0);
	if (!err)
		err = put_area(guest, area, part_of(guest->insn));
	free(area);
	return err;
}

/* @wide has room for a whole YMM register, which is in two places. */
static const void *stored_register(const struct guest *guest, uint8_t *area, uint8_t *wide)
{
	const uint8_t *ymm;

	if (guest->insn->width <= XMM_BYTES)
		return find_xmm(guest, area);
	ymm = find_upper(guest, area, AVX_COMPONENT, YMM_UPPER);
	memcpy(wide, find_xmm(guest, area), XMM_BYTES);
	if (ymm)
		memcpy(wide + XMM_BYTES, ymm, YMM_UPPER);
	return wide;
}

static const void *stored_part(const struct guest *guest, uint8_t *area, uint8_t *wide)
{
	switch (guest->insn->kind) {
	case INSN_VECTOR_STORE:
		return stored_register(guest, area, wide);
	case INSN_HALF_STORE:
		return find_half(guest, area);
	case INSN_MMX_STORE:
		return find_mmx(guest, area);
	case INSN_X87_CONTROL_STORE:
		return area + FCW_OFFSET;
	case INSN_X87_STATUS_STORE:
		return area + FSW_OFFSET;
	default:
		return area + MXCSR_OFFSET;
	}
}

/* To store an MMX register changes the x87's state, too. */
int do_vector_store(const struct guest *guest)
{
	uint8_t wide[XMM_BYTES + YMM_UPPER] = { 0 };
	uint8_t *area;
	int err;

	area = get_area(guest, &err);
	if (!area)
		return err;
	err = operand_write(guest, stored_part(guest, area, wide), guest->insn->width);
	if (!err && guest->insn->kind == INSN_MMX_STORE)
		err = put_area(guest, area, BV_X87);
	free(area);
	return err;
}

/* --- FXSAVE, FXRSTOR --- */

#define IMAGE_BYTES	512
#define POINTER_SELECTOR	4	/* in the 32-bit form, after the offset */

/* Outside of 64-bit mode there are 8 registers. */
static unsigned int xmm_bytes(const struct guest *guest)
{
	return (guest->mode == 8 ? XMM_COUNT : XMM_COUNT / 2) * XMM_BYTES;
}

/* Without REX.W pointers are of 32 bits, with a selector that is 0 on newer CPUs. */
static void narrow_pointers(const struct guest *guest, uint8_t *area)
{
	if (guest->insn->operand_width == 8)
		return;
	memset(area + FIP_OFFSET + POINTER_SELECTOR, 0, POINTER_SELECTOR);
	memset(area + FDP_OFFSET + POINTER_SELECTOR, 0, POINTER_SELECTOR);
}

int do_fxsave(const struct guest *guest)
{
	struct guest_span span;
	uint8_t *area;
	int err = operand_find(guest, IMAGE_BYTES, VEE_WRITE, &span);

	if (err)
		return err;
	area = get_area(guest, &err);
	if (!area)
		return err;
	narrow_pointers(guest, area);
	err = guest_write(guest, &span, area, XMM_OFFSET + xmm_bytes(guest));
	free(area);
	return err;
}

static void restore(const struct guest *guest, uint8_t *area, const uint8_t *image)
{
	memcpy(area, image, MXCSR_MASK_OFFSET);
	memcpy(area + ST_OFFSET, image + ST_OFFSET,
	       XMM_OFFSET - ST_OFFSET + xmm_bytes(guest));
	narrow_pointers(guest, area);
}

int do_fxrstor(const struct guest *guest)
{
	uint8_t image[IMAGE_BYTES], *area;
	int err = operand_read(guest, image, sizeof(image));

	if (err)
		return err;
	area = get_area(guest, &err);
	if (!area)
		return err;
	if (is_mxcsr(area, image + MXCSR_OFFSET)) {
		restore(guest, area, image);
		err = put_area(guest, area, BV_X87 | BV_SSE);
	} else {
		err = guest_fault(guest, VECTOR_GP, 0);
	}
	free(area);
	return err;
}
