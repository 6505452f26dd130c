/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What passes from the lab to the host over Bochs' debug port (E9h).
 *
 * Bochs mixes the port's bytes with its debugger's own chatter, which is
 * ASCII, so the lab sends no ASCII at all: a data byte travels as two bytes,
 * high half then low half, and bytes of A0h and above are commands. What the
 * debugger prints can then never be taken for data, nor the other way about.
 */
#ifndef VEE_LAB_FRAME_H
#define VEE_LAB_FRAME_H

#define E9_PORT		0xe9

#define FRAME_HIGH	0x80	/* | bits 7..4 of a data byte */
#define FRAME_LOW	0x90	/* | bits 3..0 of it: the byte is complete */

/* Which stream the data bytes that follow belong to. */
#define FRAME_OUTPUT	0xa0	/* the command's output */
#define FRAME_REPORT	0xa1	/* what the kernel complained about */
#define FRAME_STATUS	0xa2	/* the command's exit status, in decimal */
#define FRAME_ERROR	0xa3	/* why the command could not be started */

#define FRAME_BOOT	0xa8	/* the boot sector runs (boot.S) */
#define FRAME_INIT	0xa9	/* init runs */
#define FRAME_START	0xaa	/* the command is about to run */
#define FRAME_END	0xab	/* nothing follows: the machine may go */

#endif
