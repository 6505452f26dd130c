// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is not at hand: on a disk or another machine, or a program's to supply
 * (userfaultfd, FUSE). Nobody waits for it with a lock held: what has it fetched is
 * done again once it is there.
 */
#include <linux/backing-dev.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <asm/mmu_context.h>

#include "compat.h"
#include "memory/absent.h"
#include "memory/frame.h"

/* What struct vee_exit_memory, @error knows of. */
int mem_gup_error(long got)
{
	switch (got) {
	case -EINTR:
	case -ERESTARTSYS:
		return -EINTR;
	case -ENOMEM:
	case -EHWPOISON:
		return got;
	default:
		return -EFAULT;
	}
}

bool mem_is_at_hand(struct mm_struct *mm, unsigned long hva)
{
	struct vm_area_struct *vma;
	bool at_hand;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, hva);
	at_hand = !vma || !vma->vm_file ||
		  inode_to_bdi(vma->vm_file->f_mapping->host) == &noop_backing_dev_info;
	mmap_read_unlock(mm);
	return at_hand;
}

/* Who reads by way of the page tables is held to protection keys, too. */
static bool may_read(struct mm_struct *mm, unsigned long hva)
{
	struct vm_area_struct *vma = vma_lookup(mm, hva);

	return vma && arch_vma_access_permitted(vma, false, false, false);
}

int mem_bring(struct mm_struct *mm, const struct absent *what)
{
	unsigned int flags = FOLL_HWPOISON | FOLL_NOWAIT | VEE_FOLL_NUMA;
	struct frame frame;
	struct page *page;
	bool permitted;
	long got;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	permitted = may_read(mm, what->hva);
	mmap_read_unlock(mm);
	if (!permitted)
		return -EFAULT;
	if (!mem_is_at_hand(mm, what->hva))
		return -EBUSY;
	got = get_user_pages_unlocked(what->hva, 1, &page, flags);
	if (got == -EFAULT)
		return frame_find(mm, what->hva, false, &frame);
	if (got == 1)
		put_page(page);
	else if (!got)
		return -EBUSY;
	return got == 1 ? 0 : mem_gup_error(got);
}

/* As fault_dirty() will want it. */
static int wait_for_page(struct page *page, bool write)
{
	if (!write || folio_test_swapbacked(page_folio(page)))
		return 0;
	if (folio_lock_killable(page_folio(page)))
		return -EINTR;
	unlock_page(page);
	return 0;
}

int mem_fetch(struct mm_struct *mm, const struct absent *what)
{
	unsigned int flags = FOLL_HWPOISON | VEE_FOLL_NUMA | (what->write ? FOLL_WRITE : 0);
	struct page *page;
	int locked = 1, error;
	long got;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	got = vee_get_user_page_remote(mm, what->hva, flags, &page, &locked);
	if (locked)
		mmap_read_unlock(mm);
	if (got == -EFAULT)
		return frame_fetch(mm, what->hva, what->write);
	if (got != 1)
		return mem_gup_error(got);
	error = wait_for_page(page, what->write);
	put_page(page);
	return error;
}
