/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the compiler, the linker and main.c have of gcov.c, and it of them.
 */
#ifndef LAB_GCOV_H
#define LAB_GCOV_H

#include <linux/types.h>

struct object;

/* gcov.lds: constructors, each of which hands its object to __gcov_init(). */
extern void (*const gcov_begin[])(void);
extern void (*const gcov_end[])(void);

/* Called by what the compiler makes. */
void __gcov_init(struct object *object);
void __gcov_exit(void);
void __gcov_merge_add(void *values, u32 count);

/* main.c's, by another name: coverage.mk. */
int covered_init_module(void);
void covered_cleanup_module(void);

#endif /* LAB_GCOV_H */
