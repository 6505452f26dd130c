// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT violations where a slot has a template: the guest reads it where it is, and before it
 * writes a page that is copied to the next of a pool.
 *
 * A copy is made and noted in one step, under memory.lock, if neither template nor pool has
 * changed since the pages were looked up, the page has no copy yet, and nobody else has taken
 * that page of the pool. Who comes too late faults again, and finds the note.
 *
 * The copy is another page than the guest has read until then. The violation drops what this
 * CPU has cached for the address that caused it, but not for another linear address that
 * leads there, nor on other CPUs (SDM 3C, "Operations that Invalidate Cached Mappings").
 * Where the template's page was mapped it is taken away first, a new generation begins, and
 * the others are made to leave the guest; only then is the copy mapped. The other way round
 * one vCPU could write the copy while another one, which sees what was written after it, reads
 * the template. Where nothing was mapped nothing is cached.
 *
 * The template's pages are mapped without the right to write: of 2 MiB or 1 GiB, too, as long
 * as none of them has a copy. Those around a page that is written are not mapped with it:
 * they may be written next, and then took a flush.
 *
 * All copies of a VM are made one at a time: 4 KiB, under a lock that is taken with
 * preemption off.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pfn.h>

#include "memory/copy.h"
#include "memory/ept.h"
#include "memory/resolve.h"
#include "memory/slots.h"
#include "memory/template.h"

void copy_begin(struct fault *fault)
{
	struct template *template = fault->slot->template;
	u32 number;

	if (template_find(template, fault->gpa, &number)) {
		fault->source = FAULT_FROM_POOL;
		fault->hva = template_copy_at(template, number);
		fault->watch = &template->watch;
		return;
	}
	fault->source = fault->write ? FAULT_TO_COPY : FAULT_FROM_TEMPLATE;
	/* Of the template. */
	fault->access &= ~VEE_WRITE;
	fault->write = false;
}

/* Is there a copy of a page in the piece that a leaf of @level would map? */
static bool has_copies(const struct fault *fault, int level)
{
	u64 span = ept_span(level);

	return template_has_copies(fault->slot->template, fault->gpa & ~(span - 1), span);
}

static bool has_copy(const struct fault *fault, u64 gpa)
{
	u32 number;

	return template_find(fault->slot->template, gpa, &number);
}

static void map_around(struct fault *fault)
{
	struct page *around[AROUND_PAGES];
	u64 gpa = fault_piece(fault);

	for (unsigned int i = 0; i < AROUND_PAGES; i++) {
		around[i] = fault->around[i];
		if (around[i] && has_copy(fault, gpa + i * PAGE_SIZE))
			around[i] = NULL;
	}
	ept_map_pages(&fault->slot->memory->ept, gpa, around, AROUND_PAGES, fault->access);
}

int copy_map(struct fault *fault, struct ept_cache *cache)
{
	struct ept *ept = &fault->slot->memory->ept;
	u64 hpa = PFN_PHYS(page_to_pfn(fault->page));
	int level = 1;

	if (fault->around) {
		map_around(fault);
		return 0;
	}
	if (fault->source == FAULT_FROM_TEMPLATE) {
		if (has_copy(fault, fault->gpa))
			return -EAGAIN;
		level = fault_level(fault);
		while (level > 1 && has_copies(fault, level))
			level--;
	}
	ept_map(ept, cache, fault->gpa, hpa, fault_access(fault, level), level);
	return 0;
}

/* What maps the template's page, and all that is cached of it. */
static void drop_template(struct memory *memory, struct ept_cache *cache, u64 gpa)
{
	ept_split(&memory->ept, cache, gpa, VEE_READ);
	if (!ept_drop_page(&memory->ept, gpa))
		return;
	ept_new_generation(&memory->ept);
	presence_flush(&memory->presences);
}

/* Both pages are there. */
static int copy_locked(struct fault *from, unsigned long from_seq, struct fault *to,
		       unsigned long to_seq, struct ept_cache *cache)
{
	struct template *template = from->slot->template;
	struct memory *memory = from->slot->memory;

	if (watch_is_over(from->watch, from_seq) || watch_is_over(to->watch, to_seq) ||
	    template_copy_at(template, template->count) != to->hva ||
	    has_copy(from, from->gpa))
		return -EAGAIN;
	copy_highpage(to->page, from->page);
	template_note(template, from->gpa);
	WRITE_ONCE(memory->copies, memory->copies + 1);
	drop_template(memory, cache, from->gpa);
	ept_map(&memory->ept, cache, from->gpa, PFN_PHYS(page_to_pfn(to->page)),
		fault_access(to, 1), 1);
	return 0;
}

static int copy_and_map(struct fault *from, unsigned long from_seq, struct fault *to,
			unsigned long to_seq, struct ept_cache *cache)
{
	struct memory *memory = from->slot->memory;
	int error;

	spin_lock(&memory->lock);
	error = copy_locked(from, from_seq, to, to_seq, cache);
	spin_unlock(&memory->lock);
	return error;
}

/* The page of the pool. */
static int copy_to(struct fault *from, unsigned long from_seq, struct fault *to,
		   struct ept_cache *cache)
{
	unsigned long seq;
	int error;

	if (!to->now)
		seq = watch_begin(to->watch);
	else if (!watch_go_on(to->watch, &seq))
		return -EAGAIN;
	error = fault_get_page(to);
	if (error)
		return error;
	error = fault_dirty(to, seq);
	if (!error)
		error = copy_and_map(from, from_seq, to, seq, cache);
	put_page(to->page);
	return error;
}

int copy_make(struct fault *fault, unsigned long seq, struct ept_cache *cache)
{
	struct template *template = fault->slot->template;
	/* Pairs with template_note(). */
	u32 count = smp_load_acquire(&template->count);
	struct fault to = *fault;
	int error;

	if (count == template->room)
		return has_copy(fault, fault->gpa) ? -EAGAIN : -ENOSPC;
	error = fault_get_page(fault);
	if (error)
		return error;
	to.hva = template_copy_at(template, count);
	to.watch = &template->watch;
	to.access = fault->slot->access;
	to.write = true;
	error = copy_to(fault, seq, &to, cache);
	put_page(fault->page);
	/* It is that page that isn't at hand. */
	fault->hva = to.hva;
	fault->write = true;
	return error;
}
