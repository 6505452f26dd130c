/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vee_explain(): why a guest stopped, in words. Each file calls those to the right of
 * it alone:
 *
 *	explain.c -> exit.c, exits.c, refusal.c, registers.c -> entry.c, fault.c -> cause.c,
 *	  delivery.c -> insn.c, tables.c -> scratch.c
 */
#ifndef VEE_EXPLAIN_H
#define VEE_EXPLAIN_H

#include <stdio.h>

#include "../mmio/mmio.h"

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
 * @guest: what is tried; if it is GUEST_FAULTED, page.inject is the fault
 * @cr2: the guest's own
 */
struct scratch {
	struct vee_vcpu vcpu;
	struct vee_vcpu_page page;
	struct guest_path path;
	struct guest guest;
	uint64_t cr2;
};

/* All groups of the vCPU page, in a copy. 0 or an error of vee_vcpu_sync(). */
int scratch_begin(struct scratch *scratch, struct vee_vcpu *vcpu);
/* No fault has been met. */
void scratch_forget(struct scratch *scratch);
/* Bytes of a default address in the code segment. */
unsigned int scratch_mode(const struct vee_vcpu_page *page);
/* Paging, or none; 64-bit mode or compatibility mode... */
const char *scratch_mode_name(const struct vee_vcpu_page *page);

/* --- entry.c: a VM entry that failed --- */

void entry_say(struct text *text, struct scratch *scratch);

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
/* Why it was a page fault with this error code. */
void tables_reason(const struct scratch *scratch, uint32_t error, char *words);

/* --- cause.c: the first exception --- */

/*
 * @event: what it was, if that could be found out
 * @words: how it came about
 * @walked: it is a page fault; @path of the scratch has its walk
 */
struct cause {
	struct vee_event event;
	char words[CLAUSE_BYTES];
	bool walked;
};

/* False: the instruction at RIP raises none that could be found. */
bool cause_find(struct scratch *scratch, struct cause *cause);

/* --- delivery.c: why an event's delivery failed --- */

/* Its name: #PF(0x2), interrupt 0x20. */
void event_name(const struct vee_event *event, char *words);
/* As event_try(), which it is; GUEST_FAULTED with the reason in @words. */
int delivery_try(struct scratch *scratch, const struct vee_event *event, char *words);

/* --- fault.c --- */

/* The story of a triple fault. */
void fault_say(struct text *text, struct scratch *scratch);

/* --- registers.c --- */

#define REGISTERS_LINES	8

/* The most important ones, in so many lines. */
void registers_say(struct text *text, const struct vee_vcpu_page *page);

/* --- refusal.c: runs that failed --- */

/* A member of the vCPU page, or of struct vee_vcpu_state; NULL: nothing is known of it. */
const char *refusal_name(unsigned int refused);
void refusal_say(struct text *text, const struct vee_vcpu *vcpu);

/* --- exits.c: the last ones --- */

/* Columns that those before the last have. */
#define BEFORE_COLUMNS	100

void exits_say(struct text *text, const struct vee_vcpu *vcpu);

/* --- exit.c --- */

void exit_say(struct text *text, struct scratch *scratch);

#endif /* VEE_EXPLAIN_H */
