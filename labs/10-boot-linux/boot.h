/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lab 10: the boot protocol's fields, by their offsets in the kernel's file and in the zero
 * page, where they are the same. This file is the lab's: the grader has its own.
 */
#ifndef LAB_BOOT_H
#define LAB_BOOT_H

/* Of the zero page alone: the memory map. */
#define E820_COUNT		0x1e8	/* 1 byte */
#define E820_TABLE		0x2d0	/* entries of E820_BYTES */
#define E820_BYTES		20	/* address and length, 8 bytes each, and type, 4 */
#define E820_RAM		1
#define E820_RESERVED		2

/* The header, from HEADER_BEGIN to where the jump at 200H leads to. */
#define HEADER_BEGIN		0x1f1
#define HEADER_SETUP_SECTS	0x1f1	/* 1 byte: sectors of set-up code, less one */
#define HEADER_BOOT_FLAG	0x1fe	/* 2: BOOT_FLAG */
#define HEADER_JUMP		0x201	/* 1: how far the jump leads, from 202H on */
#define HEADER_MAGIC		0x202	/* 4: MAGIC */
#define HEADER_VERSION		0x206	/* 2 */
#define HEADER_LOADER		0x210	/* 1: who loads it; LOADER for one without a number */
#define HEADER_RAMDISK		0x218	/* 4: where the initial RAM disk is */
#define HEADER_RAMDISK_BYTES	0x21c	/* 4 */
#define HEADER_CMDLINE		0x228	/* 4: where the command line is */
#define HEADER_RAMDISK_MAX	0x22c	/* 4: the last address that the RAM disk may have */
#define HEADER_CMDLINE_MAX	0x238	/* 4: how long the command line may be, without its NUL */
#define HEADER_PREFERRED	0x258	/* 8: where the kernel wants to be */
#define HEADER_INIT_BYTES	0x260	/* 4: how much memory it needs there before it looks */

#define BOOT_FLAG		0xaa55
#define MAGIC			0x53726448	/* HdrS */
#define LOADER			0xff
#define SECTOR			512
#define ZERO_PAGE_BYTES		4096

/* Selectors that the 32-bit entry prescribes. */
#define BOOT_CS			0x10
#define BOOT_DS			0x18

/* Where a PC has no memory for programs: video, and the firmware. */
#define HOLE			0xa0000UL
#define HOLE_END		0x100000UL

#endif
