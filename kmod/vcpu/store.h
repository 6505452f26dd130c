/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one instruction that the kernel decodes.
 */
#ifndef _VEE_STORE_H
#define _VEE_STORE_H

#include <linux/types.h>

struct vee_regs;

/**
 * struct store - a MOV to memory
 * @gva: linear address
 * @data: the value, zero-extended
 * @width: bytes: 1, 2, 4 or 8
 * @length: of the instruction in bytes
 */
struct store {
	u64 gva;
	u64 data;
	u8 width;
	u8 length;
};

/* False: these bytes, read as 64-bit code, are something else. */
bool store_decode(const u8 *code, unsigned int bytes, const struct vee_regs *regs,
		  struct store *store);

#endif /* _VEE_STORE_H */
