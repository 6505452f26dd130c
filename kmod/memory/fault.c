// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT violations on guest memory: the page that the guest touches is found in the
 * caller's address space and mapped, and if it is not the first of those around it, so are
 * they, as far as they are there.
 *
 * In which order, so that the host may take any of it away meanwhile, says watch.h.
 *
 * Nothing here waits for a disk, a network or a program: what is not at hand is for
 * mem_fetch(), in a thread that can be told to give up, with no lock held.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/sizes.h>

#include "compat.h"
#include "memory/absent.h"
#include "memory/copy.h"
#include "memory/ept.h"
#include "memory/fault.h"
#include "memory/frame.h"
#include "memory/resolve.h"
#include "memory/slots.h"

/* --- the pages around --------------------------------------------------------- */

static unsigned int number_of(u64 gpa)
{
	return (gpa >> PAGE_SHIFT) % AROUND_PAGES;
}

/*
 * Pages @from to @to of the piece, up to the first that is not there. One of a file's
 * that the guest could write would be written back for a write that never comes.
 */
static void gather(struct fault *fault, unsigned int from, unsigned int to)
{
	unsigned int flags = fault->access & VEE_WRITE ? FOLL_WRITE : 0;
	struct page **page = &fault->around[from];
	unsigned long hva = fault->hva +
			    ((long)from - number_of(fault->gpa)) * PAGE_SIZE;
	int got = from < to ? get_user_pages_fast_only(hva, to - from, flags, page) : 0;

	for (int i = 0; flags && i < got; i++) {
		if (page_dirty_without_lock(page[i]))
			continue;
		put_page(page[i]);
		page[i] = NULL;
	}
}

/*
 * A guest that touches a page beside one that it has touched will touch those around it,
 * too: 15 more cost what three faults do. They get no access by it that the caller hasn't
 * got, and none that is not in memory is brought there. A huge page needs none of this.
 */
static void gather_around(struct fault *fault)
{
	const struct interval_tree_node *range = &fault->slot->node;
	u64 start = fault_piece(fault);
	u64 last = start + AROUND_PAGES * PAGE_SIZE - 1;

	gather(fault, number_of(max_t(u64, start, range->start)),
	       number_of(fault->gpa));
	gather(fault, number_of(fault->gpa) + 1,
	       number_of(min_t(u64, last, range->last)) + 1);
}

static void put_around(struct fault *fault)
{
	for (int i = 0; i < AROUND_PAGES; i++)
		if (fault->around[i])
			put_page(fault->around[i]);
}

/* --- mapping ---------------------------------------------------------------------- */

/* Is some of what is mapped with an entry of @level recorded? */
static noinline bool has_records(const struct fault *fault, int level)
{
	u64 span = level > 1 ? ept_span(level) : AROUND_PAGES * PAGE_SIZE;

	return records_in(&fault->slot->memory->written, fault->gpa & ~(span - 1), span);
}

static __always_inline bool is_recorded(const struct fault *fault, int level)
{
	return static_branch_unlikely(&writes_recorded) && has_records(fault, level);
}

/* What of a page of 4 KiB may be mapped: not what nobody would note. */
static unsigned int recorded_access(struct fault *fault, unsigned int access)
{
	struct records *records = &fault->slot->memory->written;

	if (records->way == RECORD_BY_PROTECTION) {
		if (fault->write)
			records_mark(records, fault->gpa);
		else
			access &= ~VEE_WRITE;
	}
	return access | EPT_CLEAN;
}

static void map_frame(struct fault *fault, struct ept_cache *cache)
{
	unsigned int access = fault_access(fault, 1);

	if (is_recorded(fault, 1))
		access = recorded_access(fault, access);
	WRITE_ONCE(fault->slot->memory->has_frames, true);
	ept_map_frame(&fault->slot->memory->ept, cache, fault->gpa, fault->frame.hpa, access,
		      fault->frame.type);
}

/* As it is for the pages beside it. */
static unsigned int clean_access(const struct fault *fault, unsigned int access)
{
	if (fault->slot->memory->written.way == RECORD_BY_PROTECTION)
		access &= ~VEE_WRITE;
	return access | EPT_CLEAN;
}

/*
 * As fault_map_locked(). What is written is told in pages of 4 KiB: a larger one can't be
 * written, and the first write makes a table of it.
 */
static noinline void map_recorded(struct fault *fault, struct ept_cache *cache,
				  unsigned int access, int level)
{
	struct ept *ept = &fault->slot->memory->ept;
	u64 hpa = PFN_PHYS(page_to_pfn(fault->page));

	if (level > 1) {
		ept_map(ept, cache, fault->gpa, hpa, (access & ~VEE_WRITE) | EPT_CLEAN, level);
		if (!fault->write)
			return;
		ept_split(ept, cache, fault->gpa, clean_access(fault, access));
	}
	ept_map(ept, cache, fault->gpa, hpa, recorded_access(fault, access), 1);
}

/* The lock keeps the notifier out, so the host's page tables are as they were. */
static void fault_map_locked(struct fault *fault, struct ept_cache *cache)
{
	int level = fault_level(fault);
	unsigned int access = fault_access(fault, level);

	if (is_recorded(fault, level)) {
		map_recorded(fault, cache, access, level);
		return;
	}
	ept_map(&fault->slot->memory->ept, cache, fault->gpa,
		PFN_PHYS(page_to_pfn(fault->page)), access, level);
}

static void map_around_locked(struct fault *fault)
{
	unsigned int access = fault->access;

	if (is_recorded(fault, 1))
		access = clean_access(fault, access);
	ept_map_pages(&fault->slot->memory->ept, fault_piece(fault), fault->around,
		      AROUND_PAGES, access);
}

static int fault_map_source(struct fault *fault, struct ept_cache *cache)
{
	if (static_branch_unlikely(&templates_used) && fault->source != FAULT_FROM_SLOT)
		return copy_map(fault, cache);
	if (fault->around)
		map_around_locked(fault);
	else if (fault->page)
		fault_map_locked(fault, cache);
	else
		map_frame(fault, cache);
	return 0;
}

/* Has it neighbours, and is it not the first of them? A huge page has them in it. */
static inline bool is_beside(const struct fault *fault)
{
	return !fault->around && fault->page && !PageCompound(fault->page) &&
	       fault->source != FAULT_FROM_POOL &&
	       ept_has_pages(&fault->slot->memory->ept, fault_piece(fault), AROUND_PAGES);
}

static int fault_map(struct fault *fault, unsigned long seq,
		     struct ept_cache *cache)
{
	struct memory *memory = fault->slot->memory;
	int error = -EAGAIN;
	u64 generation;

	spin_lock(&memory->lock);
	generation = memory->ept.generation;
	if (!watch_is_over(fault->watch, seq)) {
		fault->beside = is_beside(fault);
		error = fault_map_source(fault, cache);
	}
	if (memory->ept.generation != generation)
		presence_flush(&memory->presences);
	spin_unlock(&memory->lock);
	return error;
}

/* It has what it asked for, whatever becomes of these. */
static noinline void fault_map_around(struct fault *fault, unsigned long seq,
				      struct ept_cache *cache)
{
	struct page *around[AROUND_PAGES] = { NULL };

	fault->around = around;
	gather_around(fault);
	fault_map(fault, seq, cache);
	put_around(fault);
	fault->around = NULL;
}

static int fault_frame(struct fault *fault, unsigned long seq, struct ept_cache *cache)
{
	int error = frame_find(fault->slot->memory->mm, fault->hva, fault->write,
			       &fault->frame);

	if (error)
		return error;
	fault->page = NULL;
	fault->writable = fault->frame.writable;
	return fault_map(fault, seq, cache);
}

/* -EAGAIN: the host has been at it since @seq. */
static int fault_try(struct fault *fault, unsigned long seq, struct ept_cache *cache)
{
	int error;

	if (static_branch_unlikely(&templates_used) && fault->source == FAULT_TO_COPY)
		return copy_make(fault, seq, cache);
	error = fault_get_page(fault);
	if (error == -EFAULT && fault->may_sleep && fault->source == FAULT_FROM_SLOT)
		return fault_frame(fault, seq, cache);
	if (error)
		return error;
	if (fault->writable)
		error = fault_dirty(fault, seq);
	if (!error)
		error = fault_map(fault, seq, cache);
	if (!error && fault->beside)
		fault_map_around(fault, seq, cache);
	put_page(fault->page);
	return error;
}

/* A copy is noted before it is mapped, so that can't fail. */
static bool has_tables(const struct fault *fault, const struct ept_cache *cache)
{
	return fault->source == FAULT_TO_COPY ? ept_cache_is_full(cache) : cache->enough;
}

static int take_tables(const struct fault *fault, struct ept_cache *cache)
{
	return ept_is_full(&fault->slot->memory->ept) ? -EDQUOT : ept_cache_fill(cache);
}

static int fault_resolve(struct fault *fault, struct ept_cache *cache)
{
	unsigned long seq;
	int error;

	error = has_tables(fault, cache) ? 0 : take_tables(fault, cache);
	if (error)
		return error;
	seq = watch_begin(fault->watch);
	error = fault_try(fault, seq, cache);
	/* Others may keep the host busy there for as long as they like. */
	if (error == -EAGAIN || (!error && !cache->enough))
		return -EINTR;
	return error;
}

/* With preemption off. */
static int fault_resolve_now(struct fault *fault, struct ept_cache *cache)
{
	unsigned long seq;
	int error;

	if (!has_tables(fault, cache))
		return -EBUSY;
	if (!watch_go_on(fault->watch, &seq))
		return -EAGAIN;
	error = fault_try(fault, seq, cache);
	return error || cache->enough ? error : -EBUSY;
}

static int fault_begin(struct fault *fault, struct memory *memory, unsigned int access)
{
	fault->slot = slot_at(memory, fault->gpa);
	if (!fault->slot)
		return -ENOENT;
	if (access & ~fault->slot->access)
		return -EACCES;
	fault->hva = fault->slot->hva + (fault->gpa - fault->slot->node.start);
	fault->watch = &fault->slot->watch;
	fault->access = fault->slot->access;
	if (static_branch_unlikely(&templates_used) && fault->slot->template)
		copy_begin(fault);
	return 0;
}

static struct mem_range slot_range(const struct slot *slot)
{
	return (struct mem_range) {
		.gpa = slot->node.start,
		.bytes = slot->node.last - slot->node.start + 1,
	};
}

/* @slot: not NULL: with preemption off */
static __always_inline int fault_by(struct memory *memory, struct ept_cache *cache, u64 gpa,
				    unsigned int access, bool may_sleep,
				    struct mem_range *slot, struct absent *absent)
{
	const bool now = slot;
	struct fault fault = {
		.fetched = absent && absent->fetched ? absent->hva : 0,
		.gpa = gpa & PAGE_MASK,
		.write = access & VEE_WRITE,
		.execute = access & VEE_EXECUTE,
		.may_sleep = may_sleep,
		.now = now,
	};
	int error = mem_lock(memory, may_sleep);

	if (error)
		return error;
	error = fault_begin(&fault, memory, access);
	if (!error)
		error = now ? fault_resolve_now(&fault, cache) : fault_resolve(&fault, cache);
	if (now && !error)
		*slot = slot_range(fault.slot);
	mem_unlock(memory);
	if (absent) {
		absent->hva = fault.hva;
		absent->write = fault.write;
	}
	return error;
}

int mem_fault(struct memory *memory, struct ept_cache *cache, u64 gpa, unsigned int access,
	      bool may_sleep, struct absent *absent)
{
	return fault_by(memory, cache, gpa, access, may_sleep, NULL, absent);
}

int mem_fault_now(struct memory *memory, struct ept_cache *cache, u64 gpa,
		  unsigned int access, struct mem_range *slot)
{
	return fault_by(memory, cache, gpa, access, false, slot, NULL);
}
