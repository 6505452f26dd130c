/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The segment registers, in the order that the VMCS has them in, and sets of them. */
#ifndef VEE_TEST_SEGMENTS_H
#define VEE_TEST_SEGMENTS_H

enum { ES, CS, SS, DS, FS, GS, LDTR, TR };

#define CODE_AND_DATA	(1 << ES | 1 << CS | 1 << SS | 1 << DS | 1 << FS | 1 << GS)
#define DATA_ONLY	(1 << ES | 1 << DS | 1 << FS | 1 << GS)
#define SYSTEM		(1 << LDTR | 1 << TR)
#define ALL		(CODE_AND_DATA | SYSTEM)

static const char *const segment_names[] = { "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR" };

#endif /* VEE_TEST_SEGMENTS_H */
