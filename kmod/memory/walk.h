/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's own page tables.
 */
#ifndef _VEE_WALK_H
#define _VEE_WALK_H

#include <linux/types.h>

struct absent;
struct memory;
struct vee_translate;

/**
 * struct paging - the registers that say how the guest translates addresses
 * @cr0: CR0
 * @cr3: CR3
 * @cr4: CR4
 * @efer: IA32_EFER
 * @pdpte: the PDPTE registers, in PAE paging
 */
struct paging {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	u64 pdpte[4];
};

#define TRAIL_LEVELS	4
#define TRAIL_BYTES	15	/* no instruction is longer */

/**
 * struct trail - an instruction's bytes, and what has led to them, in IA-32e mode
 * @changes: memory.changes then
 * @root: address of the first table
 * @count: how many words
 * @at: where they are in the caller's address space
 * @word: what was there
 *
 * As long as none of these is another, to look for the bytes once more gives the same.
 */
struct trail {
	u64 changes;
	u64 root;
	unsigned int count;
	const u64 __user *at[TRAIL_LEVELS + 2];
	u64 word[TRAIL_LEVELS + 2];
};

/*
 * Under mem_lock(): to TRAIL_BYTES at @gva, which are what is at @insn. False: they can't be
 * followed so, or are something else by now.
 */
bool trail_make(struct memory *memory, const struct paging *paging, u64 gva, const u8 *insn,
		struct trail *trail);
/* With interrupts off: is it all as it was? Guest memory that is not at hand is not. */
bool trail_lasts(const struct memory *memory, u64 cr3, const struct trail *trail);

/*
 * 0: @walk is filled in; -ENOENT, -EFAULT: see struct vee_translate; -EINTR; -EBUSY:
 * @absent is not at hand: again once it is.
 */
int walk_translate(struct memory *memory, const struct paging *paging,
		   struct vee_translate *walk, struct absent *absent);
/*
 * Bytes at a linear address, as many as can be read, at most @bytes. @absent is what is
 * not at hand of them, its @hva 0: nothing. Without @may_sleep there may be more.
 */
unsigned int walk_read(struct memory *memory, const struct paging *paging, u64 gva,
		       u8 *buf, unsigned int bytes, bool may_sleep, struct absent *absent);

#endif /* _VEE_WALK_H */
