/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that is not at hand.
 */
#ifndef _VEE_ABSENT_H
#define _VEE_ABSENT_H

#include <linux/errno.h>
#include <linux/types.h>

struct mm_struct;

/**
 * struct absent - memory that is not at hand
 * @hva: where it is in the VM's address space
 * @write: it will be written
 * @fetched: in: mem_fetch() has been there
 */
struct absent {
	unsigned long hva;
	bool write;
	bool fetched;
};

/* It is at @where that a read faulted. */
static inline int mem_not_at_hand(struct absent *absent, const void __user *where)
{
	*absent = (struct absent){ .hva = (unsigned long)where };
	return -EBUSY;
}

/* Without a device behind it: all that can be waited for is a program. */
bool mem_is_at_hand(struct mm_struct *mm, unsigned long hva);
/*
 * For current->mm: has @what, which will be read, in the page tables if that takes no
 * wait. May sleep. 0: it is, if only for a moment; -EBUSY: mem_fetch() has to do it;
 * -EINTR: being killed; else it can't be read: -EFAULT, -ENOMEM, -EHWPOISON.
 */
int mem_bring(struct mm_struct *mm, const struct absent *what);
/*
 * For a thread without an address space of its own: waits for @what, until it is killed.
 * 0: it was there, if only for a moment; -EINTR; else as mem_fault().
 */
int mem_fetch(struct mm_struct *mm, const struct absent *what);
/* What a failure to get a page is to a run: struct vee_exit_memory, @error, or -EINTR. */
int mem_gup_error(long got);

#endif /* _VEE_ABSENT_H */
