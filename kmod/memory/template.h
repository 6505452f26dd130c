/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a slot has whose memory is a template: who writes a page gets a copy of it.
 */
#ifndef _VEE_TEMPLATE_H
#define _VEE_TEMPLATE_H

#include <linux/jump_label.h>
#include <linux/mm_types.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "memory/watch.h"

struct ept;
struct presences;
struct vee_map;

/* Some slot has, or had, a template. */
DECLARE_STATIC_KEY_FALSE(templates_used);

/**
 * struct template_note - one page of the pool
 * @page: which of the slot's it is
 * @next: of those with the same head; 1 more than its number, 0: none
 */
struct template_note {
	u32 page;
	u32 next;
};

/**
 * struct template - what a slot with a template has
 * @watch: over the pool
 * @gpa: where the slot begins
 * @pool: where the pool is in the caller's address space
 * @lock: memory.lock
 * @ept: what it guards
 * @presences: likewise
 * @room: how many pages the pool has
 * @count: how many are in use: the first so many
 * @mask: how many heads there are, less 1
 * @notes: one for each page of the pool; those in use stay as they are
 * @heads: of the notes of pages with the same number under @mask
 *
 * Notes are added under memory.lock, with memory.slots_lock held for reading, so who holds
 * either finds them. They are taken away under both, the latter for writing.
 */
struct template {
	struct watch watch;
	u64 gpa;
	unsigned long pool;
	spinlock_t *lock;
	struct ept *ept;
	struct presences *presences;
	u32 room;
	u32 count;
	u32 mask;
	struct template_note *notes;
	u32 heads[];
};

/* Before the first slot has one. May sleep. */
void template_use(void);
/* -EINVAL: it asks for no such pool as it may. */
int template_check(const struct vee_map *map);
/* -ENOMEM, -EINTR */
struct template *template_make(const struct vee_map *map, struct mm_struct *mm, spinlock_t *lock,
			       struct ept *ept, struct presences *presences);
/* With nothing of the slot mapped any more. */
void template_free(struct template *template);

/* The note of the page at @gpa: its number is its page's of the pool. False: it has none. */
bool template_find(const struct template *template, u64 gpa, u32 *number);
/* The guest's page of that number. */
u64 template_gpa_of(const struct template *template, u32 number);

/* Where the page of the pool is. */
static inline unsigned long template_copy_at(const struct template *template, u32 number)
{
	return template->pool + (unsigned long)number * PAGE_SIZE;
}

/* Under memory.lock: */
/* has a page of these a note? */
bool template_has_copies(const struct template *template, u64 gpa, u64 bytes);
/* The next page of the pool is the copy of that at @gpa. */
void template_note(struct template *template, u64 gpa);

/* Under memory.slots_lock, for writing: no notes, and no copy is mapped any more. */
void template_reset(struct template *template);

#endif /* _VEE_TEMPLATE_H */
