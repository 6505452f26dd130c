/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests that write and read at addresses of a list.
 */
#ifndef _VEE_SCRIPT_UTIL_H
#define _VEE_SCRIPT_UTIL_H

#include "vee_util.h"

#define GPA_EXTRA	0x400000ULL
#define GPA_SCRIPT	0x40000ULL
#define LONG_NS		(30 * DEADLINE_NS)
#define MEMORY_RW	(PROT_READ | PROT_WRITE)

/* RAX to each address of the script, and one more to the next. */
GUEST_CODE(write_script, 64,
	   "1: mov (%rsi), %rbx; mov %rax, (%rbx); inc %rax; add $8, %rsi; dec %rcx; jnz 1b; hlt");
GUEST_CODE(read_script, 64,
	   "1: mov (%rsi), %rbx; mov (%rbx), %rdx; add $8, %rsi; dec %rcx; jnz 1b; hlt");

static inline __u64 *script(struct guest *g)
{
	return (__u64 *)(g->mem + GPA_SCRIPT);
}

static inline void set_script(struct guest *g, unsigned int count, __u64 value)
{
	g->page->regs.rsi = GPA_SCRIPT;
	g->page->regs.rcx = count;
	g->page->regs.rax = value;
}

/* The guest writes at @count addresses of its script, from @value on. */
#define ASSERT_WRITES(g, count, value)					\
	do {								\
		struct guest *write_g = (g);				\
									\
		GUEST_LONG(write_g, write_script);			\
		set_script(write_g, count, value);			\
		ASSERT_RUN(write_g, VEE_EXIT_HLT);			\
	} while (0)

#define ASSERT_READS(g, count)						\
	do {								\
		struct guest *read_g = (g);				\
									\
		GUEST_LONG(read_g, read_script);			\
		set_script(read_g, count, 0);				\
		ASSERT_RUN(read_g, VEE_EXIT_HLT);			\
	} while (0)

static __u64 seed;

static inline __u64 any(__u64 below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

#endif /* _VEE_SCRIPT_UTIL_H */
