// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT violations on guest memory: the page that the guest touches is found in the
 * caller's address space and mapped, and so are those around it that are there.
 *
 * The order is the MMU notifier's: its sequence is noted, pages are looked up with
 * references, and under memory.lock, where the notifier can't come in, they are
 * mapped if the sequence is still the same.
 *
 * Nothing here waits for a disk, a network or a program: what is not at hand is for
 * mem_fetch(), in a thread that can be told to give up, with no lock held.
 */
#include <linux/cpu.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/pfn.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <asm/cpufeature.h>

#include "compat.h"
#include "memory/absent.h"
#include "memory/ept.h"
#include "memory/fault.h"
#include "memory/frame.h"
#include "memory/slots.h"
#include "vmx/caps.h"

/* An aligned piece of guest memory: of it those are mapped that are there. */
#define AROUND_PAGES	16

/**
 * struct fault - an EPT violation to resolve
 * @slot: where
 * @gpa: the page
 * @hva: the memory behind it
 * @write: the guest means to write
 * @execute: ... or to fetch instructions
 * @may_sleep: the thread may be put to sleep for it
 * @fetched: it was not at hand, and mem_fetch() has been there since
 * @page: that memory's page, with a reference
 * @frame: without a page, what the memory is
 * @writable: it may be written
 * @around: those of the pages around it that are mapped with it, by their number
 *	in the piece, with references; the rest NULL; NULL: none
 */
struct fault {
	struct slot *slot;
	u64 gpa;
	unsigned long hva;
	bool write;
	bool execute;
	bool may_sleep;
	bool fetched;
	struct page *page;
	struct frame frame;
	bool writable;
	struct page **around;
};

/*
 * A page that is writable as it is will be mapped so even if the guest only
 * reads: that saves a second fault. It must not be made writable for that, or
 * reading would break copy-on-write and fill holes in files.
 */
static int fault_get_page(struct fault *fault)
{
	unsigned int flags = FOLL_HWPOISON | (fault->write ? FOLL_WRITE : 0);
	long got;

	fault->writable = true;
	if (fault->slot->access & VEE_WRITE &&
	    get_user_page_fast_only(fault->hva, FOLL_WRITE, &fault->page))
		return 0;

	fault->writable = fault->write;
	if (!fault->write && get_user_page_fast_only(fault->hva, 0, &fault->page))
		return 0;

	if (!fault->may_sleep ||
	    !(fault->fetched || mem_is_at_hand(fault->slot->memory->mm, fault->hva)))
		return -EBUSY;
	/* 0: it would take a wait. */
	got = get_user_pages_unlocked(fault->hva, 1, &fault->page, flags | FOLL_NOWAIT);
	if (!got)
		return -EBUSY;
	return got == 1 ? 0 : mem_gup_error(got);
}

/*
 * False: the page is a file's that is written back. No filesystem cleans the others.
 * Without the page's lock its mapping may be truncated and freed while it is in use
 * here, but for RCU, which inodes are freed by.
 */
static bool dirty_without_lock(struct page *page)
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

/*
 * The guest's writes leave no trace in the host's page tables, and swap and
 * writeback go by the page's dirty flag. It is set before the guest can write.
 * Whoever clears it takes the page from the guest first, or makes it read-only,
 * by way of the notifier: if before the check of the sequence in fault_map(),
 * that notices it, and if after, it zaps what was mapped. So no write is ever to
 * a page that is taken for clean.
 *
 * Nor must a page become dirty that its filesystem has cleaned since it was got,
 * and may have made unfit for writing: it wants to be asked again. It cleans
 * with the page locked, so what the check finds here stays true until unlock.
 */
static int fault_dirty(struct fault *fault, unsigned long seq)
{
	int error = 0;

	if (dirty_without_lock(fault->page))
		return 0;
	if (!trylock_page(fault->page))
		return -EBUSY;
	if (mmu_interval_check_retry(&fault->slot->notifier, seq))
		error = -EAGAIN;
	else
		set_page_dirty(fault->page);
	unlock_page(fault->page);
	return error;
}

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
	unsigned int flags = fault->slot->access & VEE_WRITE ? FOLL_WRITE : 0;
	struct page **page = &fault->around[from];
	unsigned long hva = fault->hva +
			    ((long)from - number_of(fault->gpa)) * PAGE_SIZE;
	int got = from < to ? get_user_pages_fast_only(hva, to - from, flags, page) : 0;

	for (int i = 0; flags && i < got; i++) {
		if (dirty_without_lock(page[i]))
			continue;
		put_page(page[i]);
		page[i] = NULL;
	}
}

/*
 * A guest that touches one page will touch those beside it: 16 at a time cost
 * little more than one. They get no access by it that the caller hasn't got, and
 * none that is not in memory is brought there. A huge page needs none of this.
 */
static void gather_around(struct fault *fault)
{
	const struct interval_tree_node *range = &fault->slot->node;
	u64 start = ALIGN_DOWN(fault->gpa, AROUND_PAGES * PAGE_SIZE);
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

/*
 * How much one entry of the caller's page tables maps at @hva, as a level: all of
 * that is one piece of memory with one set of permissions. Tables are freed only
 * after an interrupt on each CPU that could be walking them.
 */
static int host_level(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (!pgd_present(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (!p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (!pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

static bool level_offered(int level)
{
	return level == 1 || caps_has(level == 2 ? VEE_FEATURE_EPT_2M : VEE_FEATURE_EPT_1G);
}

/* Gpa and hva agree on where such a piece begins, and the slot has all of it. */
static bool level_fits(const struct fault *fault, int level)
{
	const struct slot *slot = fault->slot;
	u64 mask = ept_span(level) - 1;

	return level == 1 ||
	       (!((fault->gpa ^ fault->hva) & mask) &&
		(fault->gpa & ~mask) >= slot->node.start &&
		(fault->gpa | mask) <= slot->node.last);
}

/*
 * On CPUs with this erratum a guest that changes the size of a page under an
 * instruction fetch hangs the machine: code is in 4 KiB pages there, and larger
 * ones hold none.
 */
static bool small_code(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

static int fault_level(const struct fault *fault)
{
	int level;

	if (fault->execute && small_code())
		return 1;
	level = host_level(fault->slot->memory->mm, fault->hva);
	while (!level_offered(level) || !level_fits(fault, level))
		level--;
	return level;
}

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
	unsigned int access = fault->slot->access;

	if (!fault->writable)
		access &= ~VEE_WRITE;
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
	if (level == 1 && fault->around)
		ept_map_pages(ept, ALIGN_DOWN(fault->gpa, AROUND_PAGES * PAGE_SIZE),
			      fault->around, AROUND_PAGES,
			      clean_access(fault, fault->slot->access));
}

/* The lock keeps the notifier out, so the host's page tables are as they were. */
static void fault_map_locked(struct fault *fault, struct ept_cache *cache)
{
	unsigned int access = fault->slot->access;
	int level = fault_level(fault);

	if (!fault->writable)
		access &= ~VEE_WRITE;
	if (level > 1 && small_code())
		access &= ~VEE_EXECUTE;
	if (is_recorded(fault, level)) {
		map_recorded(fault, cache, access, level);
		return;
	}
	ept_map(&fault->slot->memory->ept, cache, fault->gpa,
		PFN_PHYS(page_to_pfn(fault->page)), access, level);
	if (level == 1 && fault->around)
		ept_map_pages(&fault->slot->memory->ept,
			      ALIGN_DOWN(fault->gpa, AROUND_PAGES * PAGE_SIZE),
			      fault->around, AROUND_PAGES, fault->slot->access);
}

static int fault_map(struct fault *fault, unsigned long seq,
		     struct ept_cache *cache)
{
	struct memory *memory = fault->slot->memory;
	int error = -EAGAIN;
	u64 generation;

	spin_lock(&memory->lock);
	generation = memory->ept.generation;
	if (!mmu_interval_read_retry(&fault->slot->notifier, seq)) {
		if (fault->page)
			fault_map_locked(fault, cache);
		else
			map_frame(fault, cache);
		error = 0;
	}
	if (memory->ept.generation != generation)
		presence_flush(&memory->presences);
	spin_unlock(&memory->lock);
	return error;
}

static noinline int fault_map_around(struct fault *fault, unsigned long seq,
				     struct ept_cache *cache)
{
	struct page *around[AROUND_PAGES] = { NULL };
	int error;

	fault->around = around;
	gather_around(fault);
	error = fault_map(fault, seq, cache);
	put_around(fault);
	fault->around = NULL;
	return error;
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

/* Then its neighbours are mapped with it. */
static inline int is_large(struct page *page)
{
	return PageCompound(page);
}

/* -EAGAIN: the host has been at it since @seq. */
static int fault_try(struct fault *fault, unsigned long seq, struct ept_cache *cache)
{
	int error = fault_get_page(fault);

	if (error == -EFAULT && fault->may_sleep)
		return fault_frame(fault, seq, cache);
	if (error)
		return error;
	if (fault->writable)
		error = fault_dirty(fault, seq);
	if (!error)
		error = is_large(fault->page) ? fault_map(fault, seq, cache) :
						fault_map_around(fault, seq, cache);
	put_page(fault->page);
	return error;
}

static int fault_resolve(struct fault *fault, struct ept_cache *cache)
{
	int error = ept_cache_fill(cache);
	unsigned long seq;

	if (error)
		return error;
	/* Waits for the end of a change. */
	seq = mmu_interval_read_begin(&fault->slot->notifier);
	WRITE_ONCE(fault->slot->seq, seq);
	error = fault_try(fault, seq, cache);
	/* Others may keep the host busy there for as long as they like. */
	return error == -EAGAIN ? -EINTR : error;
}

/*
 * With preemption off. If nothing of the slot has changed since somebody began to read
 * it, that is as good as to begin just now, and takes no wait.
 */
static int fault_resolve_now(struct fault *fault, struct ept_cache *cache)
{
	unsigned long seq = READ_ONCE(fault->slot->seq);

	if (!ept_cache_is_full(cache))
		return -EBUSY;
	if (mmu_interval_check_retry(&fault->slot->notifier, seq))
		return -EAGAIN;
	return fault_try(fault, seq, cache);
}

static int fault_begin(struct fault *fault, struct memory *memory, unsigned int access)
{
	fault->slot = slot_at(memory, fault->gpa);
	if (!fault->slot)
		return -ENOENT;
	if (access & ~fault->slot->access)
		return -EACCES;
	fault->hva = fault->slot->hva + (fault->gpa - fault->slot->node.start);
	return 0;
}

static __always_inline int fault_by(struct memory *memory, struct ept_cache *cache, u64 gpa,
				    unsigned int access, bool may_sleep, struct absent *absent,
				    int (*fn)(struct fault *fault, struct ept_cache *cache))
{
	struct fault fault = {
		.fetched = absent && absent->fetched,
		.gpa = gpa & PAGE_MASK,
		.write = access & VEE_WRITE,
		.execute = access & VEE_EXECUTE,
		.may_sleep = may_sleep,
	};
	int error = mem_lock(memory, may_sleep);

	if (error)
		return error;
	error = fault_begin(&fault, memory, access);
	if (!error)
		error = fn(&fault, cache);
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
	return fault_by(memory, cache, gpa, access, may_sleep, absent, fault_resolve);
}

int mem_fault_now(struct memory *memory, struct ept_cache *cache, u64 gpa,
		  unsigned int access)
{
	return fault_by(memory, cache, gpa, access, false, NULL, fault_resolve_now);
}
