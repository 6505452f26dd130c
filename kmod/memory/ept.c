// SPDX-License-Identifier: GPL-2.0-only
/*
 * The extended page tables: which guest-physical address is which page of the
 * host (SDM 3C, "The Extended Page Table Mechanism (EPT)").
 *
 * Levels are counted from the leaves: level 1 is an EPT page table, whose
 * entries map 4 KiB, level EPT_LEVELS the PML4 table; leaves of level 2 and 3 map
 * 2 MiB and 1 GiB. Every entry is written whole with one store, since the CPU walks
 * the tables while they change.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pfn.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "linux/vee.h"
#include "memory/ceiling.h"
#include "memory/ept.h"
#include "memory/record.h"
#include "vmx/caps.h"
#include "vmx/insn.h"

/* SDM 3C, "EPT Translation Mechanism", tables "Format of an EPT ..." */
#define EPT_READ		BIT_ULL(0)
#define EPT_EXECUTE		BIT_ULL(2)
#define   EPT_ACCESS		(EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_TYPE(type)		((u64)(type) << 3)
#define EPT_WRITE_BACK		EPT_TYPE(6)
#define EPT_IGNORE_PAT		BIT_ULL(6)
#define EPT_LARGE		BIT_ULL(7)	/* above level 1: a leaf */
#define EPT_ACCESSED		BIT_ULL(8)
#define EPT_SPLIT		BIT_ULL(52)	/* ours: the table was a leaf, ept_split() */
#define EPT_GATHER		BIT_ULL(53)	/* ours: ept_gather() is to look there */
#define EPT_ADDRESS		GENMASK_ULL(51, 12)

/* SDM 3C, "Extended-Page-Table Pointer (EPTP)" */
#define EPTP_WRITE_BACK		6ULL
#define EPTP_WALK_LENGTH	((EPT_LEVELS - 1ULL) << 3)

/* SDM 3D, appendix "VPID and EPT Capabilities" */
#define CAP_INVEPT_SINGLE	BIT_ULL(25)

#define EPT_LEAF_LEVEL		1
#define EPT_ENTRIES		BIT(EPT_INDEX_BITS)
#define EPT_GPA_BITS		(PAGE_SHIFT + EPT_LEVELS * EPT_INDEX_BITS)

static unsigned int max_tables;
module_param(max_tables, uint, 0644);
MODULE_PARM_DESC(max_tables,
		 "Pages that a VM's extended page tables may take, and three more for each vCPU (default: 0, no ceiling)");

static u64 *ept_entry(u64 *table, u64 gpa, int level)
{
	return &table[(gpa >> ept_shift(level)) % EPT_ENTRIES];
}

static u64 *ept_child(u64 entry)
{
	return __va(entry & EPT_ADDRESS);
}

static bool ept_is_leaf(u64 entry, int level)
{
	return level == EPT_LEAF_LEVEL || (entry & EPT_LARGE);
}

/*
 * The tables change before the generation does: who sees the new generation and
 * then flushes caches nothing of the old tables.
 */
void ept_new_generation(struct ept *ept)
{
	/* Pairs with ept_flush_this_cpu(). */
	smp_store_release(&ept->generation, ept->generation + 1);
}

/* How many entries of a table are present, so that an empty one is noticed. */
static unsigned long ept_count(u64 *table, int change)
{
	struct page *page = virt_to_page(table);

	set_page_private(page, page_private(page) + change);
	return page_private(page);
}

/* --- table pages ----------------------------------------------------------- */

static void ept_free_table(void *table)
{
	set_page_private(virt_to_page(table), 0);
	free_page((unsigned long)table);
}

/*
 * Not before every CPU that could be walking the tables has been made to flush:
 * the CPU caches where tables are (SDM 3C, "Information That May Be Cached").
 */
void ept_free_tables(struct list_head *freed)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, freed, lru) {
		list_del(&page->lru);
		ept_free_table(page_address(page));
	}
}

bool ept_is_full(const struct ept *ept)
{
	return ceiling_is_reached(READ_ONCE(max_tables), READ_ONCE(ept->tables));
}

/* -ENOMEM or 0. */
int ept_cache_fill(struct ept_cache *cache)
{
	while (!ept_cache_is_full(cache)) {
		void *table = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!table)
			return -ENOMEM;
		cache->table[cache->count++] = table;
	}
	cache->enough = true;
	return 0;
}

void ept_cache_drop(struct ept_cache *cache)
{
	while (cache->count)
		ept_free_table(cache->table[--cache->count]);
}

static void *ept_take_table(struct ept_cache *cache)
{
	if (likely(cache->count))
		return cache->table[--cache->count];
	cache->enough = false;
	return NULL;
}

/* --- map ------------------------------------------------------------------- */

/*
 * Tables allow everything; a leaf alone decides. A new table is zeroed, and x86
 * stores are seen in order, so the CPU never sees it otherwise. A larger leaf
 * that was there is gone with it, and the pages around come back by faults.
 */
static void ept_link(struct ept *ept, u64 *table, u64 *entry, void *child, int level)
{
	u64 old = *entry;

	WRITE_ONCE(*entry, __pa(child) | EPT_ACCESS | EPT_ACCESSED);
	ept->tables++;
	ept->mapped -= old ? ept_span(level) : 0;
	if (old)
		ept_new_generation(ept);
	else
		ept_count(table, 1);
}

/*
 * The table of @level that translates @gpa, made if need be; NULL if @cache is
 * empty.
 */
static u64 *ept_walk(struct ept *ept, struct ept_cache *cache, u64 gpa,
		     int level)
{
	u64 *table = ept->root;

	for (int at = EPT_LEVELS; at > level; at--) {
		u64 *entry = ept_entry(table, gpa, at);

		if (!*entry || ept_is_leaf(*entry, at)) {
			void *child = ept_take_table(cache);

			if (!child)
				return NULL;
			ept_link(ept, table, entry, child, at);
		}
		table = ept_child(*entry);
	}
	return table;
}

/*
 * "Ignore PAT": the host's mapping of a page is write-back, and of a frame of @type,
 * and a guest that chose another memory type for it would make its own view of it incoherent
 * with the host's. A write-only leaf would be a misconfiguration (SDM 3C, "EPT
 * Misconfigurations"), so a leaf can always be read.
 *
 * Accessed and dirty flags are set beforehand, so that the CPU has nothing to note; with
 * EPT_CLEAN it is to note the first write.
 */
static __always_inline u64 ept_leaf(u64 hpa, unsigned int access, int level, u64 type)
{
	u64 leaf = hpa & ~(ept_span(level) - 1);

	BUILD_BUG_ON(EPT_WRITE != VEE_WRITE || EPT_EXECUTE != VEE_EXECUTE);
	leaf |= EPT_READ | type | EPT_IGNORE_PAT | EPT_ACCESSED;
	leaf |= EPT_DIRTY & ~(u64)access;
	leaf |= access & (VEE_WRITE | VEE_EXECUTE);
	if (level > EPT_LEAF_LEVEL)
		leaf |= EPT_LARGE;
	return leaf;
}

/* The CPU may have set its dirty flag just now. */
static noinline void ept_exchange(struct ept *ept, u64 *entry, u64 gpa, u64 value)
{
	u64 old = xchg(entry, value);

	if (ept_uses_flags(ept) && old & ~value & EPT_DIRTY)
		records_mark(ept->written, gpa);
}

/* What the dirty flag of a leaf at @gpa has said is not lost. */
static __always_inline void ept_write(struct ept *ept, u64 *entry, u64 gpa, u64 value)
{
	if (static_branch_unlikely(&writes_recorded))
		ept_exchange(ept, entry, gpa, value);
	else
		WRITE_ONCE(*entry, value);
}

/*
 * A leaf for the same page only gains permissions: had it lost one, it would
 * have been zapped. A CPU that still has the lesser one cached takes an EPT
 * violation, which drops what it has cached for that address (SDM 3C,
 * "Operations that Invalidate Cached Mappings"), so none need be told. A leaf
 * for another page begins a new generation, and the caller must presence_flush().
 */
static noinline void ept_change_leaf(struct ept *ept, u64 *entry, u64 gpa, u64 leaf)
{
	u64 old = *entry;

	if (!((old ^ leaf) & EPT_ADDRESS))
		leaf |= old & (EPT_ACCESS | EPT_DIRTY);

	ept_write(ept, entry, gpa, leaf);
	if ((old ^ leaf) & EPT_ADDRESS)
		ept_new_generation(ept);
}

/* True: there was none, which the caller counts. The CPU sets no flags in what isn't there. */
static __always_inline bool ept_set_leaf(struct ept *ept, u64 *entry, u64 gpa, u64 leaf)
{
	if (*entry) {
		ept_change_leaf(ept, entry, gpa, leaf);
		return false;
	}
	WRITE_ONCE(*entry, leaf);
	return true;
}

/* @table has so many leaves of @level more. */
static void ept_count_leaves(struct ept *ept, u64 *table, int level, unsigned int more)
{
	ept_count(table, more);
	ept->mapped += more * ept_span(level);
}

/*
 * Where smaller pages are mapped already, one more of them is: whoever put them
 * there had a reason (see fault_level()).
 */
void ept_map(struct ept *ept, struct ept_cache *cache, u64 gpa, u64 hpa,
	     unsigned int access, int level)
{
	u64 *table = ept_walk(ept, cache, gpa, level);
	u64 *entry = table ? ept_entry(table, gpa, level) : NULL;

	if (entry && *entry && !ept_is_leaf(*entry, level)) {
		level = EPT_LEAF_LEVEL;
		table = ept_walk(ept, cache, gpa, level);
		entry = table ? ept_entry(table, gpa, level) : NULL;
	}
	/* Without an entry nothing is mapped: the guest faults again, with a full cache. */
	if (entry && ept_set_leaf(ept, entry, gpa, ept_leaf(hpa, access, level, EPT_WRITE_BACK)))
		ept_count_leaves(ept, table, level, 1);
}

void ept_map_frame(struct ept *ept, struct ept_cache *cache, u64 gpa, u64 hpa,
		   unsigned int access, u8 type)
{
	u64 *table = ept_walk(ept, cache, gpa, EPT_LEAF_LEVEL);
	u64 *entry = table ? ept_entry(table, gpa, EPT_LEAF_LEVEL) : NULL;

	if (entry && ept_set_leaf(ept, entry, gpa,
				  ept_leaf(hpa, access, EPT_LEAF_LEVEL, EPT_TYPE(type))))
		ept_count_leaves(ept, table, EPT_LEAF_LEVEL, 1);
}

/* Pages of one table, where it is there: @pages of them from @gpa on, some NULL. */
void ept_map_pages(struct ept *ept, u64 gpa, struct page *const *pages,
		   unsigned int count, unsigned int access)
{
	struct ept_cache none = { };
	u64 *table = ept_walk(ept, &none, gpa, EPT_LEAF_LEVEL);
	u64 *entry = table ? ept_entry(table, gpa, EPT_LEAF_LEVEL) : NULL;
	unsigned int more = 0;

	for (unsigned int i = 0; entry && i < count; i++)
		if (pages[i])
			more += ept_set_leaf(ept, &entry[i], gpa + i * PAGE_SIZE,
					     ept_leaf(PFN_PHYS(page_to_pfn(pages[i])), access,
						      EPT_LEAF_LEVEL, EPT_WRITE_BACK));
	if (more)
		ept_count_leaves(ept, table, EPT_LEAF_LEVEL, more);
}

/* The table of @level that has @gpa; NULL: there is none, or a larger leaf. */
static u64 *ept_find(struct ept *ept, u64 gpa, int level)
{
	u64 *table = ept->root;

	for (int at = EPT_LEVELS; at > level; at--) {
		u64 entry = *ept_entry(table, gpa, at);

		if (!entry || ept_is_leaf(entry, at))
			return NULL;
		table = ept_child(entry);
	}
	return table;
}

bool ept_has_pages(struct ept *ept, u64 gpa, unsigned int count)
{
	u64 *table = ept_find(ept, gpa, EPT_LEAF_LEVEL);
	u64 *first = table ? ept_entry(table, gpa, EPT_LEAF_LEVEL) : NULL, *end = first + count;

	if (!first)
		return false;
	/* Beyond a table's end is not worth another walk. */
	if (first > table)
		first--;
	if (end < table + EPT_ENTRIES)
		end++;
	while (first < end && !*first)
		first++;
	return first < end;
}

/* Where most of 1 GiB is mapped in small pages it is done in parts, elsewhere at once. */
u64 ept_piece(struct ept *ept, u64 gpa, u64 bytes)
{
	u64 most = EPT_PIECE_TABLES * ept_span(EPT_LEAF_LEVEL + 1);
	u64 *table;

	if (bytes <= most)
		return bytes;
	table = ept_find(ept, gpa, EPT_LEAF_LEVEL + 1);
	if (!table || ept_count(table, 0) <= EPT_PIECE_TABLES)
		most = ept_span(EPT_LEAF_LEVEL + 2);
	return min(bytes, most - (gpa & (most - 1)));
}

/* --- zap ------------------------------------------------------------------- */

/*
 * Empties @table from @gpa to @last as far as it reaches; true if anything went.
 * A larger leaf goes whole, even if it reaches further: faults bring the rest
 * back. Most of a table is mostly empty: it ends with the last entry that is there.
 * Recurses at most EPT_LEVELS deep.
 */
static bool ept_zap_table(struct ept *ept, u64 *table, int level, u64 gpa, u64 last,
			  struct list_head *freed)
{
	const u64 span = ept_span(level);
	unsigned long unseen = ept_count(table, 0);
	bool zapped = false;
	u64 next;

	for (; unseen && gpa <= last; gpa = next) {
		u64 *entry = ept_entry(table, gpa, level);

		next = (gpa | (span - 1)) + 1;
		if (!*entry)
			continue;
		unseen--;
		if (!ept_is_leaf(*entry, level)) {
			u64 *child = ept_child(*entry);

			if (ept_zap_table(ept, child, level - 1, gpa,
					  min(last, next - 1), freed))
				zapped = true;
			if (ept_count(child, 0))
				continue;
			list_add(&virt_to_page(child)->lru, freed);
			ept->tables--;
		} else {
			ept->mapped -= span;
		}
		ept_write(ept, entry, gpa, 0);
		ept_count(table, -1);
		zapped = true;
	}
	return zapped;
}

bool ept_zap(struct ept *ept, u64 gpa, u64 bytes, struct list_head *freed)
{
	if (!bytes || !ept_zap_table(ept, ept->root, EPT_LEVELS, gpa,
				     gpa + bytes - 1, freed))
		return false;

	ept_new_generation(ept);
	return true;
}

/* --- single pages --------------------------------------------------------------- */

bool ept_drop_page(struct ept *ept, u64 gpa)
{
	u64 *table = ept_find(ept, gpa, EPT_LEAF_LEVEL);
	u64 *entry = table ? ept_entry(table, gpa, EPT_LEAF_LEVEL) : NULL;

	if (!entry || !*entry)
		return false;
	WRITE_ONCE(*entry, 0);
	ept_count(table, -1);
	ept->mapped -= PAGE_SIZE;
	return true;
}

/* --- pages whose writes are recorded ----------------------------------------- */

static void ept_split_leaf(struct ept *ept, u64 *entry, int level, u64 *table,
			   unsigned int access)
{
	u64 old = *entry, leaf;

	if (level - 1 > EPT_LEAF_LEVEL)
		access &= ~VEE_WRITE;
	leaf = ept_leaf(old & EPT_ADDRESS, access, level - 1, EPT_WRITE_BACK);
	leaf |= old & EPT_EXECUTE;
	for (unsigned int i = 0; i < EPT_ENTRIES; i++)
		table[i] = leaf + i * ept_span(level - 1);
	ept_count(table, EPT_ENTRIES);
	WRITE_ONCE(*entry, __pa(table) | EPT_ACCESS | EPT_ACCESSED | EPT_SPLIT);
	ept->tables++;
	ept_new_generation(ept);
}

void ept_split(struct ept *ept, struct ept_cache *cache, u64 gpa, unsigned int access)
{
	u64 *table = ept->root;

	for (int at = EPT_LEVELS; at > EPT_LEAF_LEVEL; at--) {
		u64 *entry = ept_entry(table, gpa, at);

		if (!*entry)
			return;
		if (ept_is_leaf(*entry, at)) {
			u64 *child = ept_take_table(cache);

			if (!child)
				return;
			ept_split_leaf(ept, entry, at, child, access);
		}
		table = ept_child(*entry);
	}
}

static bool ept_join_table(struct ept *ept, u64 *table, int level, u64 gpa, u64 last,
			   struct list_head *freed)
{
	const u64 span = ept_span(level);
	bool zapped = false;
	u64 next;

	for (; gpa <= last; gpa = next) {
		u64 entry = *ept_entry(table, gpa, level);

		next = (gpa | (span - 1)) + 1;
		if (!entry || ept_is_leaf(entry, level))
			continue;
		if (entry & EPT_SPLIT)
			zapped |= ept_zap_table(ept, table, level, next - span, next - 1, freed);
		else
			zapped |= ept_join_table(ept, ept_child(entry), level - 1, gpa,
						 min(last, next - 1), freed);
	}
	return zapped;
}

bool ept_join(struct ept *ept, u64 gpa, u64 bytes, struct list_head *freed)
{
	if (!ept_join_table(ept, ept->root, EPT_LEVELS, gpa, gpa + bytes - 1, freed))
		return false;
	ept_new_generation(ept);
	return true;
}

/* The CPU sets flags there at any time. */
static void ept_clear_flags(u64 *entry, u64 flags)
{
	atomic64_andnot(flags, (atomic64_t *)entry);
}

static void ept_clear_table(u64 *table, int level, u64 gpa, u64 last, u64 flag)
{
	const u64 span = ept_span(level);
	u64 next;

	for (; gpa <= last; gpa = next) {
		u64 *entry = ept_entry(table, gpa, level);

		next = (gpa | (span - 1)) + 1;
		if (!*entry)
			continue;
		if (!ept_is_leaf(*entry, level))
			ept_clear_table(ept_child(*entry), level - 1, gpa, min(last, next - 1),
					flag);
		else
			ept_clear_flags(entry, level > EPT_LEAF_LEVEL ? EPT_WRITE | EPT_DIRTY :
								       flag);
	}
}

void ept_clear(struct ept *ept, u64 gpa, u64 bytes, u64 flag)
{
	ept_clear_table(ept->root, EPT_LEVELS, gpa, gpa + bytes - 1, flag);
}

/* The end of those that have no higher address than @last. */
static const u64 *ept_pages_end(const u64 *pages, const u64 *end, u64 last)
{
	/* Mostly all of them are in the same GiB. */
	if (likely(end[-1] <= last))
		return end;
	while (*pages <= last)
		pages++;
	return pages;
}

/* A larger leaf can't be written. What leads to 1 GiB is looked up once. */
void ept_clear_pages(struct ept *ept, const u64 *pages, unsigned int count, u64 flag)
{
	const u64 *all = pages + count;

	while (pages < all) {
		u64 *table = ept_find(ept, *pages, EPT_LEAF_LEVEL + 1);
		const u64 *end = ept_pages_end(pages, all,
					       *pages | (ept_span(EPT_LEAF_LEVEL + 2) - 1));

		for (; table && pages < end; pages++) {
			u64 gpa = *pages, entry = *ept_entry(table, gpa, EPT_LEAF_LEVEL + 1);

			if (likely((entry & (EPT_READ | EPT_LARGE)) == EPT_READ))
				ept_clear_flags(ept_entry(ept_child(entry), gpa, EPT_LEAF_LEVEL),
						flag);
		}
		pages = end;
	}
}

/*
 * @visit is called for each entry that leads to a table of leaves, with the address where that
 * begins. True: it was so for one of them.
 */
static bool ept_visit_tables(struct ept *ept, u64 *table, int level, u64 gpa, u64 last,
			     bool (*visit)(struct ept *ept, u64 *entry, u64 gpa))
{
	const u64 span = ept_span(level);
	bool any = false;
	u64 next;

	for (; gpa <= last; gpa = next) {
		u64 *entry = ept_entry(table, gpa, level);

		next = (gpa | (span - 1)) + 1;
		if (!*entry || ept_is_leaf(*entry, level))
			continue;
		if (level - 1 > EPT_LEAF_LEVEL)
			any |= ept_visit_tables(ept, ept_child(*entry), level - 1, gpa,
						min(last, next - 1), visit);
		else
			any |= visit(ept, entry, next - span);
	}
	return any;
}

static bool note_accessed(struct ept *ept, u64 *entry, u64 gpa)
{
	if (!(*entry & EPT_ACCESSED))
		return false;
	atomic64_or(EPT_GATHER, (atomic64_t *)entry);
	ept_clear_flags(entry, EPT_ACCESSED);
	return true;
}

bool ept_note_accessed(struct ept *ept, u64 gpa, u64 bytes)
{
	return ept_visit_tables(ept, ept->root, EPT_LEVELS, gpa, gpa + bytes - 1, note_accessed);
}

/* All of a table's, whatever range was asked for: its accessed flag is clear. */
static bool gather_leaves(struct ept *ept, u64 *entry, u64 gpa)
{
	u64 *leaf = ept_child(*entry);

	if (!(*entry & EPT_GATHER))
		return false;
	ept_clear_flags(entry, EPT_GATHER);
	for (unsigned int i = 0; i < EPT_ENTRIES; i++, gpa += PAGE_SIZE) {
		if (!(READ_ONCE(leaf[i]) & EPT_DIRTY) || !records_in(ept->written, gpa, 1))
			continue;
		ept_clear_flags(&leaf[i], EPT_DIRTY);
		records_mark(ept->written, gpa);
	}
	return true;
}

void ept_gather(struct ept *ept, u64 gpa, u64 bytes)
{
	ept_visit_tables(ept, ept->root, EPT_LEVELS, gpa, gpa + bytes - 1, gather_leaves);
}

void ept_use_flags(struct ept *ept, bool on)
{
	WRITE_ONCE(ept->eptp, on ? ept->eptp | EPTP_FLAGS : ept->eptp & ~EPTP_FLAGS);
	ept_new_generation(ept);
}

/* --- flush ----------------------------------------------------------------- */

/*
 * INVEPT fails where the VM entry that follows fails too: out of VMX operation,
 * or for an EPTP that is not valid. Not recorded, so it is tried again.
 */
bool ept_flush_to(struct ept *ept, u64 generation)
{
	u64 type = INVALIDATE_ALL_CONTEXTS;

	if (vee_caps.ept_vpid & CAP_INVEPT_SINGLE)
		type = INVALIDATE_SINGLE_CONTEXT;
	if (invept(type, ept->eptp))
		return false;
	ept->cpu_generation[smp_processor_id()] = generation;
	return true;
}

/* --- lifetime -------------------------------------------------------------- */

/*
 * No CPU has seen generation 1, so the first entry on each flushes what a former
 * owner of the root page has left there.
 *
 * Accessed and dirty flags stay off until somebody wants to know what is written: what is
 * dirty is told to the host page by page when it is made writable, and with the flags on
 * the CPU takes its reads of the guest's page tables for writes (SDM 3C, "Accessed and
 * Dirty Flags for EPT"), which a read-only slot would refuse: dirty_give_up_flags().
 */
int ept_init(struct ept *ept, struct records *written)
{
	ept->written = written;
	ept->generation = 1;
	ept->cpu_generation = kcalloc(nr_cpu_ids, sizeof(*ept->cpu_generation),
				      GFP_KERNEL_ACCOUNT);
	if (!ept->cpu_generation)
		return -ENOMEM;

	ept->root = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!ept->root) {
		kfree(ept->cpu_generation);
		ept->cpu_generation = NULL;
		return -ENOMEM;
	}
	ept->eptp = __pa(ept->root) | EPTP_WALK_LENGTH | EPTP_WRITE_BACK;
	return 0;
}

/* After memory_destroy(), and with no vCPU left. Also of one never made. */
void ept_destroy(struct ept *ept)
{
	LIST_HEAD(freed);

	if (!ept->root)
		return;
	ept_zap(ept, 0, BIT_ULL(EPT_GPA_BITS), &freed);
	ept_free_tables(&freed);
	ept_free_table(ept->root);
	kfree(ept->cpu_generation);
	ept->root = NULL;
	ept->cpu_generation = NULL;
}
