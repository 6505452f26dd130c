// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests about a slot that has a template: back to that, what was written, and where it is.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "memory/absent.h"
#include "memory/ept.h"
#include "memory/fault.h"
#include "memory/renew.h"
#include "memory/slots.h"
#include "memory/template.h"

/* --- back to the template ------------------------------------------------------------- */

static struct template *template_at(struct memory *memory, u64 gpa)
{
	struct slot *slot = slot_at(memory, gpa);

	return slot ? slot->template : NULL;
}

static long reset(struct memory *memory, u64 gpa)
{
	struct template *template;
	long error = -ENOENT;

	if (down_write_killable(&memory->slots_lock))
		return -EINTR;
	template = template_at(memory, gpa);
	if (template) {
		template_reset(template);
		error = 0;
	}
	up_write(&memory->slots_lock);
	return error;
}

/* --- telling ------------------------------------------------------------------------ */

#define TELL_PAGES	32

/* From number @at on: how many, of @count that there are. */
static int take_some(struct memory *memory, u64 gpa, u64 at, u64 *pages, u32 *count)
{
	const struct template *template;
	int taken = -ENOENT;

	if (down_read_killable(&memory->slots_lock))
		return -EINTR;
	template = template_at(memory, gpa);
	if (template) {
		/* Pairs with template_note(). */
		*count = smp_load_acquire(&template->count);
		for (taken = 0; taken < TELL_PAGES && at + taken < *count; taken++)
			pages[taken] = template_gpa_of(template, at + taken);
	}
	up_read(&memory->slots_lock);
	return taken;
}

static long fetch(struct memory *memory, const struct vee_template *arg)
{
	u64 __user *to = u64_to_user_ptr(arg->pages);
	u64 pages[TELL_PAGES];
	u64 told = 0;
	u32 count;
	int taken;

	do {
		taken = take_some(memory, arg->gpa, arg->first + told, pages, &count);
		if (taken < 0)
			return taken;
		taken = min_t(u64, taken, arg->room - told);
		if (taken && copy_to_user(to + told, pages, taken * sizeof(*to)))
			return -EFAULT;
		told += taken;
		cond_resched();
	} while (taken);
	return count;
}

/* --- for who writes on the guest's behalf --------------------------------------------- */

/* 0: @hva is where it is; -EBUSY: it has to be copied first; else as below. */
static int look_up(struct memory *memory, u64 gpa, bool write, u64 *hva)
{
	const struct template *template;
	int error = -ENOENT;
	u32 number;

	if (down_read_killable(&memory->slots_lock))
		return -EINTR;
	template = template_at(memory, gpa);
	if (template) {
		error = write && !template_find(template, gpa, &number) ? -EBUSY : 0;
		*hva = (unsigned long)mem_lent_at(memory, gpa);
	}
	up_read(&memory->slots_lock);
	return error;
}

/* As if the guest wrote there. */
static int copy_for(struct memory *memory, struct ept_cache *cache, u64 gpa)
{
	struct absent absent = { };
	int error = mem_fault(memory, cache, gpa, VEE_WRITE, true, &absent);

	if (error == -EBUSY)
		error = mem_fetch(memory->mm, &absent);
	if (error == -EINTR && !fatal_signal_pending(current))
		error = 0;
	cond_resched();
	return error;
}

static long locate(struct memory *memory, struct vee_template *arg)
{
	bool write = arg->flags & VEE_TEMPLATE_WRITE;
	struct ept_cache cache = { };
	int error;

	do {
		error = look_up(memory, arg->gpa, write, &arg->hva);
	} while (error == -EBUSY && !(error = copy_for(memory, &cache, arg->gpa)));
	ept_cache_drop(&cache);
	return error;
}

/* --- the request -------------------------------------------------------------------- */

static bool is_valid(const struct vee_template *arg)
{
	if (arg->hva || (arg->flags && arg->operation != VEE_TEMPLATE_LOCATE))
		return false;
	return arg->operation == VEE_TEMPLATE_FETCH || !(arg->first || arg->pages || arg->room);
}

long template_request(struct memory *memory, struct vee_template *arg)
{
	if (!is_valid(arg))
		return -EINVAL;
	switch (arg->operation) {
	case VEE_TEMPLATE_RESET:
		return reset(memory, arg->gpa);
	case VEE_TEMPLATE_FETCH:
		return fetch(memory, arg);
	case VEE_TEMPLATE_LOCATE:
		return locate(memory, arg);
	default:
		return -EINVAL;
	}
}
