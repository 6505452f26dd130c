/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pages of a guest's memory were written, where somebody wants to know: VEE_VM_DIRTY.
 *
 * A page is a bit, and 64 of them that are not all 0 a bit in an index, so who takes the
 * few that were written of many passes over the rest.
 */
#ifndef _VEE_RECORD_H
#define _VEE_RECORD_H

#include <linux/compiler.h>
#include <linux/jump_label.h>
#include <linux/types.h>

/* Some VM has, or had, a record. */
DECLARE_STATIC_KEY_FALSE(writes_recorded);

/**
 * struct record - of a range of guest-physical memory
 * @first: its first page, by number
 * @end: the first after it
 * @base: the page of bit 0
 * @index: a bit for each of @words that has, or had, one
 * @words: a bit for each page
 *
 * Constant but for what @index and @words point to.
 */
struct record {
	u64 first;
	u64 end;
	u64 base;
	unsigned long *index;
	unsigned long words[];
};

struct record_table;

/* Whether a module's parameter lets the CPU's features be used: see record.c. */
bool record_can_log(void);
bool record_can_flag(void);

/* How a write to a page that is recorded is found out. */
enum record_way {
	RECORD_BY_PROTECTION,	/* it can't be written: an EPT violation */
	RECORD_BY_FLAGS,	/* its dirty flag is clear: the CPU sets it */
	RECORD_BY_LOG,		/* ... and logs that it does */
};

/**
 * struct records - a VM's
 * @table: they; NULL: none. What comes new is published by one store, and what it replaces
 *	is free once presence_flush() has been there: nobody has to wait for RCU
 * @spare: room for as many, so that one can always be removed
 * @way: how writes are found out
 * @no_flags: not by the EPT's accessed and dirty flags, whatever the CPU has
 * @counted: the VM is one of writes_recorded
 *
 * They change under memory.slots_lock and memory.lock both, the rest under the latter.
 */
struct records {
	struct record_table *table;
	struct record_table *spare;
	enum record_way way;
	bool no_flags;
	bool counted;
};

/* -ENOMEM; @record is then the caller's. Neither is anybody's yet. */
int record_make(u64 gpa, u64 bytes, struct record **record);
void record_free(struct record *record);

/**
 * struct record_room - two tables with one record more
 * @table: to be the VM's
 * @spare: ... its spare
 */
struct record_room {
	struct record_table *table;
	struct record_table *spare;
};

/* Under memory.slots_lock. -ENOMEM; -ENOSPC */
int records_make_room(const struct records *records, struct record_room *room);
/* Under both locks. @room has what is free afterwards: after presence_flush(). */
void records_add(struct records *records, struct record *record, struct record_room *room);
void record_room_free(struct record_room *room);
/* Likewise, and so is @record. */
void records_remove(struct records *records, struct record *record,
		    struct record_room *room);

/* One that has any of these @bytes, the first; NULL: none. Under either lock. */
struct record *records_in(const struct records *records, u64 gpa, u64 bytes);
/*
 * The page at @gpa was written, if that is recorded. Under either lock, or where the guest
 * has just been left: between presence_begin() and presence_end().
 */
void records_mark(const struct records *records, u64 gpa);
/*
 * Takes pages that were written, from *@gpa on and below @end: their addresses, at most
 * @room, and of a part of the range, maybe none. *@gpa is where to go on then; @end: that was
 * all. Under memory.lock.
 */
unsigned int record_take(struct record *record, u64 *gpa, u64 end, u64 *pages,
			 unsigned int room);

static inline bool records_any(const struct records *records)
{
	return READ_ONCE(records->table);
}

#endif /* _VEE_RECORD_H */
