// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages of a guest's memory were written.
 *
 * Whoever marks one does it without a lock, with interrupts off, say: so the tables that
 * lead to a record are replaced as a whole, and freed when no CPU can be in the guest that
 * has seen the old one. Who takes holds memory.lock, and there is one at a time.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "linux/vee.h"
#include "memory/record.h"
#include "vmx/caps.h"

DEFINE_STATIC_KEY_FALSE(writes_recorded);

static bool pml = true;
module_param(pml, bool, 0444);
MODULE_PARM_DESC(pml,
		 "Use page-modification logging to find dirty pages where the CPU has it (default: on)");

static bool ept_ad = true;
module_param(ept_ad, bool, 0444);
MODULE_PARM_DESC(ept_ad,
		 "Use the EPT's accessed and dirty flags for that, page-modification logging included, where the CPU has them (default: on)");

bool record_can_flag(void)
{
	return ept_ad && caps_has(VEE_FEATURE_EPT_AD);
}

bool record_can_log(void)
{
	return pml && record_can_flag() && caps_has(VEE_FEATURE_PML);
}

/* The caller's, so no message if there is no memory for it. */
#define RECORD_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/**
 * struct record_table - a VM's records
 * @count: how many, never 0
 * @records: they, ascending
 */
struct record_table {
	unsigned int count;
	struct record *records[];
};

/* --- one record ------------------------------------------------------------------- */

int record_make(u64 gpa, u64 bytes, struct record **record)
{
	u64 first = PHYS_PFN(gpa), end = PHYS_PFN(gpa + bytes);
	u64 base = round_down(first, BITS_PER_LONG);
	size_t words = DIV_ROUND_UP(end - base, BITS_PER_LONG);
	size_t index = BITS_TO_LONGS(words);
	struct record *new = kvzalloc(struct_size(new, words, size_add(words, index)),
				      RECORD_GFP);

	if (!new)
		return -ENOMEM;
	new->first = first;
	new->end = end;
	new->base = base;
	new->index = new->words + words;
	*record = new;
	return 0;
}

void record_free(struct record *record)
{
	kvfree(record);
}

/*
 * The page's bit before the index's: record_take() clears them in the other order. A bit
 * that is set already may be another's, who is yet to set the index's.
 */
static void mark(struct record *record, u64 page)
{
	unsigned long bit = page - record->base;

	set_bit(bit, record->words);
	/* Pairs with those of take_words() and take_word(). */
	smp_mb__after_atomic();
	if (!test_bit(bit / BITS_PER_LONG, record->index))
		set_bit(bit / BITS_PER_LONG, record->index);
}

/* Bits of a word that are not before @from, and before @end. */
static unsigned long bits_of_word(u64 from, u64 end, unsigned long word)
{
	u64 first = (u64)word * BITS_PER_LONG;
	unsigned long bits = ~0UL;

	if (from > first)
		bits &= ~0UL << (from - first);
	if (end - first < BITS_PER_LONG)
		bits &= ~(~0UL << (end - first));
	return bits;
}

static void put_back(struct record *record, unsigned long word, unsigned long bits)
{
	unsigned int bit;

	for_each_set_bit(bit, &bits, BITS_PER_LONG)
		mark(record, record->base + (u64)word * BITS_PER_LONG + bit);
}

/**
 * struct taker - who takes what was written
 * @record: of that
 * @from: the first bit
 * @end: the first bit after the last
 * @pages: where the next address goes
 * @room: the end of the room for them
 */
struct taker {
	struct record *record;
	u64 from;
	u64 end;
	u64 *pages;
	u64 *room;
};

/* False: there is no more room. */
static bool take_word(struct taker *taker, unsigned long word)
{
	struct record *record = taker->record;
	u64 page = record->base + (u64)word * BITS_PER_LONG;
	unsigned long all = xchg(&record->words[word], 0), bits;

	bits = all & bits_of_word(taker->from, taker->end, word);
	all ^= bits;
	for (; bits && taker->pages < taker->room; bits &= bits - 1)
		*taker->pages++ = PFN_PHYS(page + __ffs(bits));
	put_back(record, word, all | bits);
	if (!bits)
		return true;
	taker->from = (u64)word * BITS_PER_LONG + __ffs(bits);
	return false;
}

/* How many pages an entry of the index stands for. */
#define INDEX_PAGES	((u64)BITS_PER_LONG * BITS_PER_LONG)

/*
 * The words that an entry of the index stands for: its bits are cleared first, all at once,
 * and those that it doesn't come to are set again. False: there is no more room.
 */
static bool take_words(struct taker *taker, unsigned long at)
{
	unsigned long *index = &taker->record->index[at];
	unsigned long all = READ_ONCE(*index) ? xchg(index, 0) : 0, words;
	bool more = true;

	words = all & bits_of_word(taker->from / BITS_PER_LONG,
				   DIV_ROUND_UP_ULL(taker->end, BITS_PER_LONG), at);
	all ^= words;
	for (; words && more; words &= words - 1)
		more = take_word(taker, at * BITS_PER_LONG + __ffs(words));
	if (all | words)
		atomic_long_or(all | words, (atomic_long_t *)index);
	return more;
}

/*
 * The same of entries that are asked for whole, as long as there is room for all that a word
 * may have: most are, and a page takes half the instructions. The first that is not done.
 */
static unsigned long take_whole_words(struct taker *taker, unsigned long at)
{
	struct record *record = taker->record;
	u64 *pages = taker->pages, *most = taker->room - BITS_PER_LONG;

	if (at * INDEX_PAGES < taker->from)
		return at;
	for (; (at + 1) * INDEX_PAGES <= taker->end; at++) {
		unsigned long *word = &record->words[at * BITS_PER_LONG], words;
		u64 gpa = PFN_PHYS(record->base + at * INDEX_PAGES);

		if (!READ_ONCE(record->index[at]))
			continue;
		words = xchg(&record->index[at], 0);
		for (; words && pages <= most; words &= words - 1) {
			u64 i = __ffs(words);
			unsigned long bits = xchg(&word[i], 0);

			for (; bits; bits &= bits - 1)
				*pages++ = gpa + PFN_PHYS(i * BITS_PER_LONG + __ffs(bits));
		}
		if (words) {
			atomic_long_or(words, (atomic_long_t *)&record->index[at]);
			break;
		}
	}
	taker->pages = pages;
	return at;
}

/* The lock keeps the CPU from all else: some 4096 entries of the index, at most. */
#define TAKE_PIECE	(64ULL * SZ_1G)

unsigned int record_take(struct record *record, u64 *gpa, u64 end, u64 *pages,
			 unsigned int room)
{
	struct taker taker = {
		.record = record,
		.from = PHYS_PFN(*gpa) - record->base,
		.pages = pages,
		.room = pages + room,
	};
	unsigned long at = taker.from / INDEX_PAGES;

	end = min(end, *gpa + TAKE_PIECE);
	taker.end = PHYS_PFN(end) - record->base;
	for (;; at++) {
		at = take_whole_words(&taker, at);
		if (at * INDEX_PAGES >= taker.end)
			break;
		if (!take_words(&taker, at)) {
			end = PFN_PHYS(record->base + taker.from);
			break;
		}
	}
	*gpa = end;
	return taker.pages - pages;
}

/* --- all of them ------------------------------------------------------------------ */

/* Which is the first that ends behind @page. */
static unsigned int find(const struct record_table *table, u64 page)
{
	unsigned int low = 0, high = table->count;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (table->records[middle]->end <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct record *records_in(const struct records *records, u64 gpa, u64 bytes)
{
	/* With the store that published it. */
	const struct record_table *table = READ_ONCE(records->table);
	unsigned int at;

	if (!table)
		return NULL;
	at = find(table, PHYS_PFN(gpa));
	if (at == table->count || table->records[at]->first > PHYS_PFN(gpa + bytes - 1))
		return NULL;
	return table->records[at];
}

void records_mark(const struct records *records, u64 gpa)
{
	struct record *record = records_in(records, gpa, 1);

	if (record)
		mark(record, PHYS_PFN(gpa));
}

static unsigned int count_of(const struct records *records)
{
	return records->table ? records->table->count : 0;
}

static struct record_table *alloc_table(unsigned int count)
{
	struct record_table *table = kvzalloc(struct_size(table, records, count), RECORD_GFP);

	if (table)
		table->count = count;
	return table;
}

int records_make_room(const struct records *records, struct record_room *room)
{
	unsigned int count = count_of(records) + 1;

	*room = (struct record_room) { };
	if (count > VEE_MAX_SLOTS)
		return -ENOSPC;
	room->table = alloc_table(count);
	room->spare = alloc_table(count);
	if (room->table && room->spare)
		return 0;
	record_room_free(room);
	return -ENOMEM;
}

void record_room_free(struct record_room *room)
{
	kvfree(room->table);
	kvfree(room->spare);
}

void records_add(struct records *records, struct record *record, struct record_room *room)
{
	struct record_table *old = records->table, *new = room->table;
	unsigned int at = old ? find(old, record->first) : 0;
	size_t each = sizeof(*new->records);

	if (old) {
		memcpy(new->records, old->records, at * each);
		memcpy(new->records + at + 1, old->records + at, (old->count - at) * each);
	}
	new->records[at] = record;
	/* With all that is in it: records_in() depends on it. */
	smp_store_release(&records->table, new);
	swap(records->spare, room->spare);
	room->table = old;
}

void records_remove(struct records *records, struct record *record,
		    struct record_room *room)
{
	struct record_table *old = records->table, *new = records->spare;
	unsigned int at = find(old, record->first);
	size_t each = sizeof(*new->records);

	memcpy(new->records, old->records, at * each);
	memcpy(new->records + at, old->records + at + 1, (old->count - at - 1) * each);
	new->count = old->count - 1;
	*room = (struct record_room) { };
	if (new->count) {
		/* As in records_add(). */
		smp_store_release(&records->table, new);
		records->spare = old;
		return;
	}
	WRITE_ONCE(records->table, NULL);
	records->spare = NULL;
	room->table = old;
	room->spare = new;
}
