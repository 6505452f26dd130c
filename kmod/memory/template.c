// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a slot has whose memory is a template: which of its pages were copied to which of the
 * pool, and how it is made the template again.
 *
 * Template and pool are both the caller's memory, and nothing of either is pinned: each has
 * a watch. A note is there exactly if the copy is. What the host takes away of the pool comes
 * back as any slot's memory does, by way of the note.
 *
 * The guest can make the notes' lists no longer than the slot has pages for each of the pool,
 * and the caller chooses both.
 */
#include <linux/err.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "linux/vee.h"
#include "memory/ept.h"
#include "memory/presence.h"
#include "memory/template.h"

DEFINE_STATIC_KEY_FALSE(templates_used);

/* What is done at once under the lock. */
#define PIECE_NOTES	4096U

/* --- notes -------------------------------------------------------------------------- */

static u32 page_of(const struct template *template, u64 gpa)
{
	return PHYS_PFN(gpa - template->gpa);
}

u64 template_gpa_of(const struct template *template, u32 number)
{
	return template->gpa + PFN_PHYS((u64)template->notes[number].page);
}

bool template_find(const struct template *template, u64 gpa, u32 *number)
{
	u32 page = page_of(template, gpa);
	/* Pairs with template_note(). */
	u32 at = smp_load_acquire(&template->heads[page & template->mask]);

	for (; at; at = template->notes[at - 1].next) {
		*number = at - 1;
		if (template->notes[at - 1].page == page)
			return true;
	}
	return false;
}

/* By the pages or by the notes, whichever are fewer. */
bool template_has_copies(const struct template *template, u64 gpa, u64 bytes)
{
	u32 pages = PHYS_PFN(bytes), number;

	for (u32 i = 0; i < min(pages, template->count); i++) {
		if (pages < template->count ?
		    template_find(template, gpa + PFN_PHYS((u64)i), &number) :
		    template_gpa_of(template, i) - gpa < bytes)
			return true;
	}
	return false;
}

void template_note(struct template *template, u64 gpa)
{
	u32 page = page_of(template, gpa), at = template->count;
	u32 *head = &template->heads[page & template->mask];

	template->notes[at] = (struct template_note) {
		.page = page,
		.next = *head,
	};
	/* With all that is in it: who finds it may have no lock. */
	smp_store_release(head, at + 1);
	/* After it: who sees that the pool is used up finds what is in it. */
	smp_store_release(&template->count, at + 1);
}

/* --- what the host does ------------------------------------------------------------- */

/* Notes @at to @end, as far as there are any. Where to go on; under memory.lock. */
static u32 drop_some(struct template *template, u32 at, u32 end)
{
	bool dropped = false;

	end = min3(end, template->count, at + PIECE_NOTES);
	for (; at < end; at++)
		dropped |= ept_drop_page(template->ept, template_gpa_of(template, at));
	if (dropped) {
		ept_new_generation(template->ept);
		presence_flush(template->presences);
	}
	return at;
}

/* As slot_invalidate(): none of the pool is mapped until the change is over. */
static bool pool_invalidate(struct mmu_interval_notifier *notifier,
			    const struct mmu_notifier_range *range, unsigned long seq)
{
	struct template *template = container_of(notifier, struct template, watch.notifier);
	unsigned long from = max(range->start, template->pool) - template->pool;
	u32 at = from >> PAGE_SHIFT;
	/* At the end of the address space's life the range is all there is. */
	u32 end = PFN_UP(min_t(u64, range->end - template->pool, PFN_PHYS((u64)template->room)));
	bool more;

	spin_lock(template->lock);
	mmu_interval_set_seq(notifier, seq);
	spin_unlock(template->lock);

	do {
		spin_lock(template->lock);
		at = drop_some(template, at, end);
		more = at < min(end, template->count);
		spin_unlock(template->lock);
		if (mmu_notifier_range_blockable(range))
			cond_resched();
	} while (more);
	return true;
}

static const struct mmu_interval_notifier_ops pool_notifier_ops = {
	.invalidate = pool_invalidate,
};

/* --- beginning and ending ----------------------------------------------------------- */

/* Once for all: to turn it on and off costs more than a VM. */
void template_use(void)
{
	if (!static_key_enabled(&templates_used.key))
		static_branch_enable(&templates_used);
}

int template_check(const struct vee_map *map)
{
	u64 end;

	if (!map->pool_bytes)
		return map->pool ? -EINVAL : 0;
	if (!PAGE_ALIGNED(map->pool | map->pool_bytes) || map->pool_bytes > map->bytes ||
	    !(map->access & VEE_WRITE) || PHYS_PFN(map->bytes) > U32_MAX)
		return -EINVAL;
	if (check_add_overflow(map->pool, map->pool_bytes, &end))
		return -EINVAL;
	/* What is written there would be the template's. */
	return end > map->hva && map->pool < map->hva + map->bytes ? -EINVAL : 0;
}

/* The notes are written before they are read; the heads are 0. */
static struct template *alloc(u32 room)
{
	size_t heads = roundup_pow_of_two(room);
	struct template *template;
	size_t bytes = struct_size(template, heads, heads);

	template = kvmalloc(size_add(bytes, size_mul(room, sizeof(*template->notes))),
			    GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!template)
		return NULL;
	memset(template, 0, bytes);
	template->room = room;
	template->mask = heads - 1;
	template->notes = (void *)template + bytes;
	return template;
}

struct template *template_make(const struct vee_map *map, struct mm_struct *mm, spinlock_t *lock,
			       struct ept *ept, struct presences *presences)
{
	struct template *template = alloc(PHYS_PFN(map->pool_bytes));
	int error;

	if (!template)
		return ERR_PTR(-ENOMEM);
	template->gpa = map->gpa;
	template->pool = map->pool;
	template->lock = lock;
	template->ept = ept;
	template->presences = presences;
	error = mmu_interval_notifier_insert(&template->watch.notifier, mm, map->pool,
					     map->pool_bytes, &pool_notifier_ops);
	if (error) {
		kvfree(template);
		return ERR_PTR(error);
	}
	return template;
}

void template_free(struct template *template)
{
	mmu_interval_notifier_remove(&template->watch.notifier);
	kvfree(template);
}

/* --- back to the template ------------------------------------------------------------- */

/*
 * What is not mapped takes one violation when it is written, and no flush; what is mapped
 * to be read alone would take both. True: there is more.
 */
static bool reset_some(struct template *template)
{
	u32 first = template->count - min(template->count, PIECE_NOTES);

	spin_lock(template->lock);
	drop_some(template, first, template->count);
	for (u32 i = first; i < template->count; i++)
		template->heads[template->notes[i].page & template->mask] = 0;
	template->count = first;
	spin_unlock(template->lock);
	cond_resched();
	return first;
}

void template_reset(struct template *template)
{
	while (reset_some(template))
		;
}
