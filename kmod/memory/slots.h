/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory: slots, and the memory behind them.
 */
#ifndef _VEE_SLOTS_H
#define _VEE_SLOTS_H

#include <linux/compiler.h>
#include <linux/interval_tree.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "memory/ept.h"
#include "memory/own.h"
#include "memory/presence.h"
#include "memory/record.h"
#include "memory/template.h"
#include "memory/watch.h"

struct absent;

/**
 * struct memory - a guest's physical memory, all of it borrowed
 * @mm: the address space that it is borrowed from; never used otherwise
 * @slots_lock: guards @slots, @slot_count, @changes and @lent; held for reading over a fault
 * @slots: interval tree of memory slots by guest-physical address
 * @slot_count: how many
 * @changes: how often one came or went
 * @lent: how many bytes they have
 * @found: one of them, in which slot_at() found its last address; NULL
 * @lock: guards @ept and @presences; taken in MMU notifiers, so nothing under it
 *	sleeps or allocates
 * @has_frames: the guest has, or had, memory that may be a device's
 * @own: a page of the engine's, where no slot can be
 * @ept: the guest-physical memory as the CPU sees it
 * @presences: who may be at it
 * @written: which of it was written
 * @copies: how many pages of templates were copied, ever; written under @lock
 */
struct memory {
	struct mm_struct *mm;
	struct rw_semaphore slots_lock;
	struct rb_root_cached slots;
	unsigned int slot_count;
	u64 changes;
	u64 lent;
	struct slot *found;
	spinlock_t lock;
	bool has_frames;
	struct own own;
	struct ept ept;
	struct presences presences;
	struct records written;
	u32 copies;
};

/**
 * struct slot - a range of guest-physical memory
 * @node: in memory.slots: its first and last guest-physical address
 * @watch: over the memory behind it
 * @memory: what it is of
 * @hva: where that memory is in memory.mm
 * @access: VEE_READ, VEE_WRITE, VEE_EXECUTE
 * @template: that memory is a template, which is copied page by page when it is written;
 *	NULL: it is not
 *
 * But for @watch constant while it is in the tree.
 */
struct slot {
	struct interval_tree_node node;
	struct watch watch;
	struct memory *memory;
	unsigned long hva;
	unsigned int access;
	struct template *template;
};

/* The slot with @gpa, or NULL. Under memory.slots_lock. */
struct slot *slot_search(struct memory *memory, u64 gpa);

/* A guest's page tables, and what it runs, are mostly in the same. */
static inline struct slot *slot_at(struct memory *memory, u64 gpa)
{
	struct slot *slot = READ_ONCE(memory->found);

	if (likely(slot && slot->node.start <= gpa && gpa <= slot->node.last))
		return slot;
	return slot_search(memory, gpa);
}

/* Of the caller's address space; -ENOMEM leaves it to memory_destroy(), too. */
int memory_init(struct memory *memory);
/*
 * With nobody present any more. It may still be a notifier's business until then, if
 * the address space lives on.
 */
void memory_destroy(struct memory *memory);

int mem_add(struct memory *memory, const struct vee_map *map);
int mem_remove(struct memory *memory, const struct vee_unmap *unmap);
/* What is written there is of no interest any more. Under slots_lock, for writing. */
void mem_forget_record(struct memory *memory, struct record *record);
/*
 * Around what reads guest memory, in a thread of memory.mm. Between them page faults are
 * off. -EINTR: being killed; -EBUSY: it would have had to sleep.
 */
int mem_lock(struct memory *memory, bool may_sleep);
void mem_unlock(struct memory *memory);
/*
 * Copies from guest memory. -EFAULT: no slot has all of it; -EBUSY: @absent is not at
 * hand: again once it is.
 */
int mem_read(struct memory *memory, u64 gpa, void *buf, size_t bytes, struct absent *absent);

/* For who reads it there, up to the page's end: where @gpa is, NULL: in no slot. */
static inline const void __user *mem_lent_at(struct memory *memory, u64 gpa)
{
	const struct slot *slot = slot_at(memory, gpa);
	u32 number;

	if (!slot)
		return NULL;
	if (static_branch_unlikely(&templates_used) && slot->template &&
	    template_find(slot->template, gpa, &number))
		return (const void __user *)(template_copy_at(slot->template, number) +
					     (gpa & ~PAGE_MASK));
	return (const void __user *)(slot->hva + (gpa - slot->node.start));
}

#endif /* _VEE_SLOTS_H */
