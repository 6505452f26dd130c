/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The extended page tables.
 */
#ifndef _VEE_EPT_H
#define _VEE_EPT_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/smp.h>
#include <linux/types.h>
#include <asm/barrier.h>
#include <asm/page.h>

struct page;
struct records;

#define EPT_LEVELS	4
#define EPT_INDEX_BITS	9

/* SDM 3C, "EPT Translation Mechanism": flags of a leaf. */
#define EPT_WRITE		BIT_ULL(1)
#define EPT_DIRTY		BIT_ULL(9)	/* with accessed and dirty flags on */

/* Beside VEE_READ and so on: with the dirty flag clear. */
#define EPT_CLEAN		((unsigned int)EPT_DIRTY)

/**
 * struct ept - a VM's extended page tables
 * @root: the PML4 table
 * @eptp: what the VMCS field EPTP holds
 * @generation: counts invalidations; a CPU whose entry in @cpu_generation
 *	differs may hold stale translations
 * @cpu_generation: the generation that each CPU last ran with (nr_cpu_ids)
 * @tables: how many pages the tables are, @root apart
 * @mapped: how many bytes the leaves map
 * @written: where it is noted what the dirty flag of a leaf that goes has said
 *
 * SDM 3C, "The Extended Page Table Mechanism (EPT)". Guarded by memory.lock.
 */
struct ept {
	u64 *root;
	u64 eptp;
	u64 generation;
	u64 *cpu_generation;
	u64 tables;
	u64 mapped;
	struct records *written;
};

/**
 * struct ept_cache - table pages set aside before the lock is taken
 * @count: how many
 * @enough: it was filled, and nobody has found too few since: most walks need none
 * @table: zeroed pages
 */
struct ept_cache {
	unsigned int count;
	bool enough;
	void *table[EPT_LEVELS - 1];
};

/* For a walk from the root that finds nothing. */
static inline bool ept_cache_is_full(const struct ept_cache *cache)
{
	return cache->count == ARRAY_SIZE(cache->table);
}

/* @written: the VM's. -ENOMEM */
int ept_init(struct ept *ept, struct records *written);
void ept_destroy(struct ept *ept);
int ept_cache_fill(struct ept_cache *cache);
/* As many tables as the module's parameter max_tables allows: no cache is to be filled. */
bool ept_is_full(const struct ept *ept);
void ept_cache_drop(struct ept_cache *cache);
/* Of one entry of a table of @level: how many address bits it translates, and bytes. */
static inline unsigned int ept_shift(int level)
{
	return PAGE_SHIFT + (level - 1) * EPT_INDEX_BITS;
}

static inline u64 ept_span(int level)
{
	return BIT_ULL(ept_shift(level));
}

/*
 * All under memory.lock. Map makes a leaf of @level: 1 for 4 KiB, 2 for 2 MiB, 3
 * for 1 GiB. Zap unlinks emptied tables onto @freed.
 */
void ept_map(struct ept *ept, struct ept_cache *cache, u64 gpa, u64 hpa,
	     unsigned int access, int level);
/* Likewise 4 KiB, of a memory type as the SDM encodes it. */
void ept_map_frame(struct ept *ept, struct ept_cache *cache, u64 gpa, u64 hpa,
		   unsigned int access, u8 type);
void ept_map_pages(struct ept *ept, u64 gpa, struct page *const *pages,
		   unsigned int count, unsigned int access);
/* Is one of @count pages of one table mapped, @gpa's and so on, or one right beside them? */
bool ept_has_pages(struct ept *ept, u64 gpa, unsigned int count);
/*
 * How much of a range is to be done before the lock is given to others: no more than
 * EPT_PIECE_TABLES full tables of leaves. 2 MiB of leaves take one.
 */
#define EPT_PIECE_TABLES	16
u64 ept_piece(struct ept *ept, u64 gpa, u64 bytes);
bool ept_zap(struct ept *ept, u64 gpa, u64 bytes, struct list_head *freed);
/*
 * A larger leaf that has @gpa becomes a table of leaves for the same memory with @access, or
 * as many tables as it takes: down to 4 KiB.
 */
void ept_split(struct ept *ept, struct ept_cache *cache, u64 gpa, unsigned int access);
/* The reverse: what was split is zapped, and comes back larger. */
bool ept_join(struct ept *ept, u64 gpa, u64 bytes, struct list_head *freed);
/*
 * A leaf of 4 KiB goes, and its table stays. False: there is none. The caller begins a new
 * generation.
 */
bool ept_drop_page(struct ept *ept, u64 gpa);
/*
 * Clears @flag, EPT_WRITE or EPT_DIRTY, in each leaf of 4 KiB, and larger ones can't be
 * written then. The caller begins a new generation.
 */
void ept_clear(struct ept *ept, u64 gpa, u64 bytes, u64 flag);
/* ... of the pages at these addresses, ascending. */
void ept_clear_pages(struct ept *ept, const u64 *pages, unsigned int count, u64 flag);
/* Accessed and dirty flags; each VMCS is to be told. */
void ept_use_flags(struct ept *ept, bool on);

#define EPTP_FLAGS		BIT_ULL(6)	/* SDM 3C, "Extended-Page-Table Pointer (EPTP)" */

static inline bool ept_uses_flags(const struct ept *ept)
{
	return READ_ONCE(ept->eptp) & EPTP_FLAGS;
}

void ept_new_generation(struct ept *ept);
/*
 * Of the @bytes at @gpa: which tables of leaves have been accessed, which is as if they had
 * not been from then on. False: none. The other notes what their dirty flags say, and clears
 * these.
 */
bool ept_note_accessed(struct ept *ept, u64 gpa, u64 bytes);
void ept_gather(struct ept *ept, u64 gpa, u64 bytes);
void ept_free_tables(struct list_head *freed);
bool ept_flush_to(struct ept *ept, u64 generation);
/*
 * Inside the bracket, before an entry: INVEPT if this CPU may hold stale ones.
 *
 * What is cached is tagged with the root's address, not with a VM (SDM 3C,
 * "Cached Translation Information"), so this holds for all vCPUs on this CPU.
 *
 * The caller must have made known that this CPU is about to run the guest, with
 * a full barrier, before the generation is read here (presence_begin()): a
 * presence_flush() that misses it has then changed the generation already.
 */
static inline bool ept_flush_this_cpu(struct ept *ept)
{
	/* Before the INVEPT; pairs with ept_new_generation(). */
	u64 generation = smp_load_acquire(&ept->generation);

	if (likely(ept->cpu_generation[smp_processor_id()] == generation))
		return false;
	return ept_flush_to(ept, generation);
}

#endif /* _VEE_EPT_H */
