/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An EPT violation while it is resolved.
 */
#ifndef _VEE_RESOLVE_H
#define _VEE_RESOLVE_H

#include <linux/align.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <asm/page.h>

#include "memory/frame.h"

struct slot;
struct watch;

/* An aligned piece of guest memory: of it those are mapped that are there. */
#define AROUND_PAGES	16

/* Where what the guest is given comes from. */
enum fault_source {
	FAULT_FROM_SLOT,	/* the memory behind it, and nothing else matters */
	FAULT_FROM_TEMPLATE,	/* ... which is a template, and only to be read */
	FAULT_FROM_POOL,	/* the copy that was made of it */
	FAULT_TO_COPY,		/* a copy of it that is yet to be made */
};

/**
 * struct fault - an EPT violation to resolve
 * @slot: where
 * @gpa: the page
 * @source: what it gets
 * @hva: the memory that is
 * @watch: over that memory
 * @access: what the slot allows there
 * @write: the guest means to write
 * @execute: ... or to fetch instructions
 * @may_sleep: the thread may be put to sleep for it
 * @now: preemption is off
 * @fetched: what of memory was not at hand, and mem_fetch() has been there since; 0: none
 * @page: that memory's page, with a reference
 * @frame: without a page, what the memory is
 * @writable: it may be written
 * @beside: of the pages around it one had been mapped before
 * @around: once it is mapped: those of the pages around it that are to be, by their number
 *	in the piece, with references; the rest NULL
 */
struct fault {
	struct slot *slot;
	u64 gpa;
	enum fault_source source;
	unsigned long hva;
	struct watch *watch;
	unsigned int access;
	bool write;
	bool execute;
	bool may_sleep;
	bool now;
	unsigned long fetched;
	struct page *page;
	struct frame frame;
	bool writable;
	bool beside;
	struct page **around;
};

/*
 * False: the page is a file's that is written back. No filesystem cleans the others; it is
 * dirty then.
 *
 * Without the page's lock its mapping may be truncated and freed while it is in use
 * here, but for RCU, which inodes are freed by.
 */
static inline bool page_dirty_without_lock(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!folio_test_swapbacked(folio))
		return false;
	if (!folio_test_dirty(folio)) {
		rcu_read_lock();
		set_page_dirty(page);
		rcu_read_unlock();
	}
	return true;
}

/* Sets @page and @writable. 0, or as mem_fault(). */
int fault_get_page(struct fault *fault);
/* It will be written; @seq: from before it was got. 0; -EBUSY, -EAGAIN: not now. */
int fault_dirty(struct fault *fault, unsigned long seq);
/* Under memory.lock: at which level the page may be mapped, and with what access. */
int fault_level(const struct fault *fault);
unsigned int fault_access(const struct fault *fault, int level);

/* The aligned piece of guest memory that @around has. */
static inline u64 fault_piece(const struct fault *fault)
{
	return ALIGN_DOWN(fault->gpa, AROUND_PAGES * PAGE_SIZE);
}

#endif /* _VEE_RESOLVE_H */
