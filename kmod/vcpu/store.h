/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one instruction that the kernel decodes.
 */
#ifndef _VEE_STORE_H
#define _VEE_STORE_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "linux/vee.h"

/**
 * struct store - a MOV to memory, whatever the registers have
 * @offset: of the address, what is no register's; with RIP if it is relative to that
 * @data: with @from STORE_NONE: the value
 * @base: number of a register to be added, or STORE_NONE
 * @index: likewise, shifted left by @scale
 * @scale: see @index
 * @from: number of the register with the value, or STORE_NONE
 * @from_high: the value is in its bits 15:8
 * @width: bytes: 1, 2, 4 or 8
 * @length: of the instruction in bytes
 */
struct store {
	u64 offset;
	u64 data;
	u8 base;
	u8 index;
	u8 scale;
	u8 from;
	bool from_high;
	u8 width;
	u8 length;
};

#define STORE_NONE	0xff
#define STORE_RSP	4	/* its number */

/* At @rip. False: these bytes, read as 64-bit code, are something else. */
bool store_decode(const u8 *code, unsigned int bytes, u64 rip, struct store *store);

/* The caller may write to @regs. */
static inline u64 store_gva(const struct store *store, const struct vee_regs *regs)
{
	u64 gva = store->offset;

	if (store->base != STORE_NONE)
		gva += READ_ONCE(regs->gpr[store->base]);
	if (store->index != STORE_NONE)
		gva += READ_ONCE(regs->gpr[store->index]) << store->scale;
	return gva;
}

/* Zero-extended. */
static inline u64 store_data(const struct store *store, const struct vee_regs *regs)
{
	u64 data = store->data;

	if (store->from != STORE_NONE)
		data = READ_ONCE(regs->gpr[store->from]) >> (store->from_high ? 8 : 0);
	return data & (~0ULL >> (64 - 8 * store->width));
}

#endif /* _VEE_STORE_H */
