// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory without a struct page: what a driver maps into the caller, be it a device's,
 * or what firmware keeps. It can't be held, and need not be: whoever takes it away
 * takes it from the caller's tables, and the notifier says so.
 *
 * Of what type it is the caller's tables say, by way of the host's PAT. A guest is given
 * that type and no other: a device's registers are not to be cached.
 */
#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pfn.h>
#include <linux/pgtable.h>
#include <asm/msr.h>

#include "compat.h"
#include "compat_cpu.h"
#include "memory/frame.h"

/* SDM 3A, "IA32_PAT MSR": as an EPT entry has them, but for UC-, which is UC there. */
#define PAT_TYPE	GENMASK(2, 0)
#define PAT_UC_MINUS	7
#define PAT_UC		0

static u8 memory_type(pgprot_t prot)
{
	pgprotval_t bits = pgprot_val(prot);
	unsigned int index = (bits & _PAGE_PWT ? 1 : 0) | (bits & _PAGE_PCD ? 2 : 0) |
			     (bits & _PAGE_PAT ? 4 : 0);
	u64 pat;
	u8 type;

	rdmsrq(MSR_IA32_CR_PAT, pat);
	type = (pat >> (index * BITS_PER_BYTE)) & PAT_TYPE;
	return type == PAT_UC_MINUS ? PAT_UC : type;
}

static bool has_frames(const struct vm_area_struct *vma)
{
	return vma && vma->vm_flags & (VM_IO | VM_PFNMAP);
}

static int find_in(struct vm_area_struct *vma, unsigned long hva, bool write,
		   struct frame *frame)
{
	unsigned long pfn;
	pgprot_t prot;

	if (!has_frames(vma) || !(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EFAULT;
	if (vee_follow_pfn(vma, hva, &pfn, &prot, &frame->writable))
		return -EBUSY;
	frame->hpa = PFN_PHYS(pfn);
	frame->type = memory_type(prot);
	return write && !frame->writable ? -EBUSY : 0;
}

int frame_find(struct mm_struct *mm, unsigned long hva, bool write, struct frame *frame)
{
	int error;

	mmap_read_lock(mm);
	error = find_in(vma_lookup(mm, hva), hva, write, frame);
	mmap_read_unlock(mm);
	return error;
}

int frame_fetch(struct mm_struct *mm, unsigned long hva, bool write)
{
	bool unlocked = false;
	int error = -EFAULT;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	if (has_frames(vma_lookup(mm, hva)))
		error = fixup_user_fault(mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
	mmap_read_unlock(mm);
	return error;
}
