// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty pages: which of a guest's memory was written since somebody last asked.
 *
 * A CPU with page-modification logging notes in a log, for each vCPU, where it sets a dirty
 * flag in the EPT; it is emptied into the records when the vCPU leaves the guest (SDM 3C,
 * "Page-Modification Logging"). One that has the flags alone is asked for them: in those
 * tables of which the accessed flag says that somebody was there. Other CPUs are not let
 * write a page that counts as clean: the EPT violation is the note. In each way a page that
 * is told is made clean again first, and no CPU still has it as dirty in a cache when the
 * caller is told.
 *
 * So a page that is written while it is told is told now, or the next time, or both, and
 * one that is written before or after just once.
 */
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "memory/dirty.h"
#include "memory/slots.h"
#include "vmx/caps.h"

/* How many are told at once under memory.lock. */
#define PIECE_PAGES	(SZ_4K / sizeof(u64))

/* --- beginning and ending ----------------------------------------------------------- */

static enum record_way choose_way(const struct records *records)
{
	if (records->no_flags || !record_can_flag())
		return RECORD_BY_PROTECTION;
	return record_can_log() ? RECORD_BY_LOG : RECORD_BY_FLAGS;
}

static u64 flag_of(const struct records *records)
{
	return records->way == RECORD_BY_PROTECTION ? EPT_WRITE : EPT_DIRTY;
}

/* With every CPU out of the guest, and nothing of the EPT in its caches when it enters. */
static void flush(struct memory *memory)
{
	ept_new_generation(&memory->ept);
	presence_flush(&memory->presences);
}

/*
 * Once, so that vCPUs that still have a log come by when nobody wants it any more: up to
 * the VM's end.
 */
static void count_vm(struct memory *memory)
{
	bool counted;

	static_branch_inc(&writes_recorded);
	spin_lock(&memory->lock);
	counted = memory->written.counted;
	memory->written.counted = true;
	spin_unlock(&memory->lock);
	if (counted)
		static_branch_dec(&writes_recorded);
}

/*
 * Once every CPU has left the guest none has the old table, and each has the new EPTP when
 * it enters again: what it caches from there on is as begin_in() needs it.
 */
static void publish(struct memory *memory, struct record *record, struct record_room *room)
{
	struct records *records = &memory->written;

	spin_lock(&memory->lock);
	if (!records_any(records)) {
		records->way = choose_way(records);
		ept_use_flags(&memory->ept, records->way != RECORD_BY_PROTECTION);
	}
	records_add(records, record, room);
	flush(memory);
	spin_unlock(&memory->lock);
	record_room_free(room);
}

/* @fn for all of a range, under memory.lock, which others get in between. */
static void in_pieces(struct memory *memory, u64 gpa, u64 bytes,
		      void (*fn)(struct memory *memory, u64 gpa, u64 bytes))
{
	while (bytes) {
		u64 piece;

		spin_lock(&memory->lock);
		piece = ept_piece(&memory->ept, gpa, bytes);
		fn(memory, gpa, piece);
		spin_unlock(&memory->lock);
		gpa += piece;
		bytes -= piece;
		cond_resched();
	}
}

/* What is there already counts as clean. */
static void begin_in(struct memory *memory, u64 gpa, u64 bytes)
{
	ept_clear(&memory->ept, gpa, bytes, flag_of(&memory->written));
	flush(memory);
}

/* Under memory.slots_lock, for writing. */
static int start_locked(struct memory *memory, u64 gpa, u64 bytes)
{
	struct slot *slot = slot_at(memory, gpa);
	struct record_room room;
	struct record *record;
	int err;

	if (!slot || gpa + bytes - 1 > slot->node.last)
		return -ENOENT;
	/* Its notes say so. */
	if (slot->template)
		return -EOPNOTSUPP;
	if (records_in(&memory->written, gpa, bytes))
		return -EEXIST;
	err = record_make(gpa, bytes, &record);
	if (err)
		return err;
	err = records_make_room(&memory->written, &room);
	if (err) {
		record_free(record);
		return err;
	}
	publish(memory, record, &room);
	in_pieces(memory, gpa, bytes, begin_in);
	return 0;
}

static int start(struct memory *memory, u64 gpa, u64 bytes)
{
	int err;

	if (!READ_ONCE(memory->written.counted))
		count_vm(memory);
	if (down_write_killable(&memory->slots_lock))
		return -EINTR;
	err = start_locked(memory, gpa, bytes);
	up_write(&memory->slots_lock);
	return err;
}

/* Faults bring large pages back. */
static void join(struct memory *memory, u64 gpa, u64 bytes)
{
	while (bytes) {
		LIST_HEAD(freed);
		u64 piece;

		spin_lock(&memory->lock);
		piece = ept_piece(&memory->ept, gpa, bytes);
		if (ept_join(&memory->ept, gpa, piece, &freed))
			presence_flush(&memory->presences);
		spin_unlock(&memory->lock);
		ept_free_tables(&freed);
		gpa += piece;
		bytes -= piece;
		cond_resched();
	}
}

static int stop_locked(struct memory *memory, u64 gpa, u64 bytes)
{
	struct record *record = records_in(&memory->written, gpa, bytes);

	if (!record || record->first != PHYS_PFN(gpa) || record->end != PHYS_PFN(gpa + bytes))
		return -ENOENT;
	mem_forget_record(memory, record);
	join(memory, gpa, bytes);
	return 0;
}

static int stop(struct memory *memory, u64 gpa, u64 bytes)
{
	int err;

	if (down_write_killable(&memory->slots_lock))
		return -EINTR;
	err = stop_locked(memory, gpa, bytes);
	up_write(&memory->slots_lock);
	return err;
}

/* --- without flags ------------------------------------------------------------------ */

/* The first range that ends behind @gpa. Under memory.lock. */
static bool range_behind(const struct records *records, u64 *gpa, u64 *bytes)
{
	const struct record *record;

	if (*gpa >= BIT_ULL(vee_caps.gpa_bits))
		return false;
	record = records_in(records, *gpa, BIT_ULL(vee_caps.gpa_bits) - *gpa);
	if (!record)
		return false;
	*gpa = max_t(u64, *gpa, PFN_PHYS(record->first));
	*bytes = PFN_PHYS(record->end) - *gpa;
	return true;
}

/* What may be written without a violation goes, and comes back without that right. */
static bool zap_some(struct memory *memory, u64 *gpa)
{
	LIST_HEAD(freed);
	u64 bytes;
	bool more;

	spin_lock(&memory->lock);
	more = range_behind(&memory->written, gpa, &bytes);
	if (more) {
		bytes = ept_piece(&memory->ept, *gpa, bytes);
		if (ept_zap(&memory->ept, *gpa, bytes, &freed))
			presence_flush(&memory->presences);
		*gpa += bytes;
	}
	spin_unlock(&memory->lock);
	ept_free_tables(&freed);
	cond_resched();
	return more;
}

/* Logs go on until nothing is left that was mapped to be logged. */
void dirty_give_up_flags(struct memory *memory)
{
	u64 gpa = 0;
	bool had;

	spin_lock(&memory->lock);
	had = memory->written.way != RECORD_BY_PROTECTION;
	memory->written.way = RECORD_BY_PROTECTION;
	memory->written.no_flags = true;
	spin_unlock(&memory->lock);
	/* Somebody else is at it. */
	if (!had)
		return;
	while (zap_some(memory, &gpa))
		;
	spin_lock(&memory->lock);
	ept_use_flags(&memory->ept, false);
	presence_flush(&memory->presences);
	spin_unlock(&memory->lock);
}

/* --- telling ------------------------------------------------------------------------ */

/**
 * struct telling - a VEE_DIRTY_FETCH under way
 * @gpa: where to go on
 * @end: where to end
 * @pages: PIECE_PAGES addresses
 */
struct telling {
	u64 gpa;
	u64 end;
	u64 *pages;
};

/* One that has all of it. */
static struct record *record_of(const struct memory *memory, u64 gpa, u64 end)
{
	struct record *record = records_in(&memory->written, gpa, end - gpa);

	if (!record || record->first > PHYS_PFN(gpa) || record->end < PHYS_PFN(end))
		return NULL;
	return record;
}

/* Clean again, before the caller looks at them. */
static void clean(struct memory *memory, const u64 *pages, unsigned int count)
{
	if (!count)
		return;
	ept_clear_pages(&memory->ept, pages, count, flag_of(&memory->written));
	flush(memory);
}

/*
 * A table's accessed flag is clear, and no CPU has the table in its caches, before it is
 * looked through. Who writes after that sets it again, so the next call looks there again.
 */
static void gather_flags(struct memory *memory, u64 gpa, u64 bytes)
{
	if (!ept_note_accessed(&memory->ept, gpa, bytes))
		return;
	flush(memory);
	ept_gather(&memory->ept, gpa, bytes);
	flush(memory);
}

/* All that was written by now is in the records then. */
static void gather(struct memory *memory, u64 gpa, u64 bytes)
{
	if (!ept_uses_flags(&memory->ept))
		return;
	if (!record_can_log()) {
		in_pieces(memory, gpa, bytes, gather_flags);
		return;
	}
	spin_lock(&memory->lock);
	presence_flush(&memory->presences);
	spin_unlock(&memory->lock);
}

/* At most @room: how many, or -ENOENT, -EINTR. */
static int take(struct memory *memory, struct telling *telling, unsigned int room)
{
	struct record *record;
	int count = -ENOENT;

	if (down_read_killable(&memory->slots_lock))
		return -EINTR;
	record = record_of(memory, telling->gpa, telling->end);
	if (record) {
		spin_lock(&memory->lock);
		count = record_take(record, &telling->gpa, telling->end, telling->pages, room);
		clean(memory, telling->pages, count);
		spin_unlock(&memory->lock);
	}
	up_read(&memory->slots_lock);
	cond_resched();
	return count;
}

/* As if it had not been taken. The record may have gone meanwhile. */
static void put_back(struct memory *memory, u64 gpa)
{
	spin_lock(&memory->lock);
	records_mark(&memory->written, gpa);
	spin_unlock(&memory->lock);
}

static int tell_some(struct memory *memory, struct telling *telling, u64 __user *to,
		     unsigned int room)
{
	int count = take(memory, telling, min_t(unsigned int, room, PIECE_PAGES));

	if (count <= 0 || !copy_to_user(to, telling->pages, count * sizeof(*to)))
		return count;
	for (int i = 0; i < count; i++)
		put_back(memory, telling->pages[i]);
	return -EFAULT;
}

/* What was told already is not lost by what comes after. */
static long tell_list(struct memory *memory, struct telling *telling, u64 __user *to, u64 room)
{
	int told = 0, count = 0;

	room = min_t(u64, room, INT_MAX);
	while (told < room && telling->gpa < telling->end) {
		count = tell_some(memory, telling, to + told, room - told);
		if (count < 0)
			break;
		told += count;
	}
	return told ?: count;
}

static long gather_bits(struct memory *memory, struct telling *telling, unsigned long *bits)
{
	u64 first = telling->gpa;
	long told = 0;
	int count = 0;

	while (count >= 0 && telling->gpa < telling->end) {
		count = take(memory, telling, PIECE_PAGES);
		for (int i = 0; i < count; i++)
			__set_bit(PHYS_PFN(telling->pages[i] - first), bits);
		told += max(count, 0);
	}
	return count < 0 ? count : told;
}

static long tell_bitmap(struct memory *memory, struct telling *telling, u64 __user *to)
{
	u64 first = telling->gpa, pages = PHYS_PFN(telling->end - first);
	size_t bytes = BITS_TO_LONGS(pages) * sizeof(long);
	unsigned long *bits = kvzalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	unsigned long bit;
	long told;

	if (!bits)
		return -ENOMEM;
	told = gather_bits(memory, telling, bits);
	if (told >= 0 && copy_to_user(to, bits, bytes))
		told = -EFAULT;
	if (told < 0)
		for_each_set_bit(bit, bits, pages)
			put_back(memory, first + PFN_PHYS((u64)bit));
	kvfree(bits);
	return told;
}

static long fetch(struct memory *memory, const struct vee_dirty *arg)
{
	struct telling telling = {
		.gpa = arg->gpa,
		.end = arg->gpa + arg->bytes,
		.pages = kmalloc_array(PIECE_PAGES, sizeof(*telling.pages), GFP_KERNEL_ACCOUNT),
	};
	u64 __user *to = u64_to_user_ptr(arg->pages);
	long told;

	if (!telling.pages)
		return -ENOMEM;
	gather(memory, arg->gpa, arg->bytes);
	told = arg->flags & VEE_DIRTY_BITMAP ? tell_bitmap(memory, &telling, to) :
					       tell_list(memory, &telling, to, arg->room);
	kfree(telling.pages);
	return told;
}

/* --- what others write on the guest's behalf ------------------------------------------ */

static int mark(struct memory *memory, const struct vee_dirty *arg)
{
	u64 end = arg->gpa + arg->bytes;

	if (down_read_killable(&memory->slots_lock))
		return -EINTR;
	for (u64 gpa = arg->gpa; gpa < end; gpa += PAGE_SIZE) {
		const struct record *record = records_in(&memory->written, gpa, end - gpa);

		if (!record)
			break;
		gpa = max_t(u64, gpa, PFN_PHYS(record->first));
		records_mark(&memory->written, gpa);
		if (!(PHYS_PFN(gpa) % PIECE_PAGES))
			cond_resched();
	}
	up_read(&memory->slots_lock);
	return 0;
}

/* --- the request -------------------------------------------------------------------- */

static bool range_valid(const struct vee_dirty *arg)
{
	u64 end;

	return arg->bytes && PAGE_ALIGNED(arg->gpa | arg->bytes) &&
	       !check_add_overflow(arg->gpa, arg->bytes, &end) &&
	       end <= BIT_ULL(vee_caps.gpa_bits);
}

static bool is_valid(const struct vee_dirty *arg)
{
	if (!range_valid(arg) || arg->reserved)
		return false;
	if (arg->operation != VEE_DIRTY_FETCH)
		return !(arg->flags || arg->pages || arg->room);
	return arg->room && (!arg->flags || arg->room == PHYS_PFN(arg->bytes));
}

long dirty_request(struct memory *memory, const struct vee_dirty *arg)
{
	if (!is_valid(arg))
		return -EINVAL;
	switch (arg->operation) {
	case VEE_DIRTY_START:
		return start(memory, arg->gpa, arg->bytes);
	case VEE_DIRTY_STOP:
		return stop(memory, arg->gpa, arg->bytes);
	case VEE_DIRTY_FETCH:
		return fetch(memory, arg);
	case VEE_DIRTY_MARK:
		return mark(memory, arg);
	default:
		return -EINVAL;
	}
}
