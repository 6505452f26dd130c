// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page of the engine's own in a guest's memory: that of the local APICs. No slot is
 * there, so nobody ever takes it away.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>

#include "linux/vee.h"
#include "memory/ept.h"
#include "memory/own.h"

int own_set(struct own *own, u64 gpa)
{
	own->page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	own->gpa = gpa;
	return own->page ? 0 : -ENOMEM;
}

void own_free(struct own *own)
{
	free_page((unsigned long)own->page);
}

bool own_is_in(const struct own *own, u64 gpa, u64 bytes)
{
	return own->page && own->gpa - gpa < bytes;
}

#define MEMORY_TYPE_WB	6	/* SDM 3C, "EPT Paging-Structure Entries" */

bool own_fault(const struct own *own, struct ept *ept, spinlock_t *lock,
	       struct ept_cache *cache, u64 gpa)
{
	bool shown;

	gpa &= PAGE_MASK;
	if (!own->page || gpa != own->gpa || ept_cache_fill(cache))
		return false;
	spin_lock(lock);
	shown = !own->hidden;
	if (shown)
		ept_map_frame(ept, cache, gpa, virt_to_phys(own->page), VEE_READ | VEE_WRITE,
			      MEMORY_TYPE_WB);
	spin_unlock(lock);
	return shown;
}

void own_hide(struct own *own, struct ept *ept, spinlock_t *lock)
{
	spin_lock(lock);
	own->hidden++;
	if (ept_drop_page(ept, own->gpa))
		ept_new_generation(ept);
	spin_unlock(lock);
}

void own_show(struct own *own, spinlock_t *lock)
{
	spin_lock(lock);
	own->hidden--;
	spin_unlock(lock);
}
