/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vee_explain(): why a guest stopped, in words. Each file calls those to the right of
 * it alone:
 *
 *	explain.c -> exit.c, registers.c -> insn.c, tables.c -> scratch.c
 */
#ifndef VEE_EXPLAIN_H
#define VEE_EXPLAIN_H

#include <stdio.h>

#include "internal.h"

/* What has a number, for %llx. */
#define U(x) ((unsigned long long)(x))

/* Lines, as many as are left of what there may be. */
struct text {
	FILE *out;
	unsigned int left;
};

/* One line; a macro so that the compiler sees the format. */
#define say(text, ...)							\
	((text)->left ? ((text)->left--, fprintf((text)->out, __VA_ARGS__),	\
			 fputc('\n', (text)->out)) : 0)

/* A part of a line. */
#define CLAUSE_BYTES	160

/* --- scratch.c: a copy of the vCPU to try things on, which changes nothing --- */

/*
 * @path: what the last walk came by
 * @guest: what is tried; @fault what came of it, if it is GUEST_FAULTED
 */
struct scratch {
	struct vee_vcpu vcpu;
	struct vee_vcpu_page page;
	struct guest_path path;
	struct guest guest;
};

/* All groups of the vCPU page, in a copy. 0 or an error of vee_vcpu_sync(). */
int scratch_begin(struct scratch *scratch, struct vee_vcpu *vcpu);
/* Bytes of a default address in the code segment. */
unsigned int scratch_mode(const struct vee_vcpu_page *page);
/* Paging, or none; 64-bit mode or compatibility mode... */
const char *scratch_mode_name(const struct vee_vcpu_page *page);

/* --- insn.c: the instruction at RIP --- */

struct code {
	uint64_t gva;
	unsigned int count;	/* bytes that could be fetched */
	uint8_t bytes[VEE_INSN_MAX];
};

/*
 * What can be fetched of it. 0 if it is at least a byte; GUEST_FAULTED: the fetch
 * faults, and the fault is in the scratch page; -EFAULT: there is no memory.
 */
int insn_fetch(struct scratch *scratch, struct code *code);
void insn_say(struct text *text, struct scratch *scratch);

/* --- tables.c --- */

/* The last walk, level by level. */
void tables_say(struct text *text, const struct scratch *scratch);

/* --- registers.c --- */

#define REGISTERS_LINES	8

/* The most important ones, in so many lines. */
void registers_say(struct text *text, const struct vee_vcpu_page *page);

/* --- exit.c --- */

void exit_say(struct text *text, struct scratch *scratch);

#endif /* VEE_EXPLAIN_H */
