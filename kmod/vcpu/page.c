// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vCPU page: memory of the kernel's that the caller maps, or a page of the caller's.
 *
 * To map it takes, from mmap(2) to munmap(2), more than all else that a vCPU is made of. A
 * page that the caller has already is pinned for as long as the vCPU lives, in place of one
 * of the kernel's that would be there as long. Whatever the caller does to its mapping
 * meanwhile, the page stays the same: it may lose sight of it, and that is all. Only
 * anonymous memory will do: a file's page would be written behind its file system's back.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "memory/vm.h"
#include "vcpu/page.h"
#include "vcpu/vcpu.h"

static int borrow(struct vee_vcpu *vcpu, u64 hva)
{
	struct page *page;
	int count;

	if (!PAGE_ALIGNED(hva))
		return -EINVAL;
	/* Kernels differ in what they say of that. */
	if (!access_ok(u64_to_user_ptr(hva), PAGE_SIZE))
		return -EFAULT;
	count = pin_user_pages_fast(hva, 1, FOLL_WRITE | FOLL_LONGTERM, &page);
	if (count != 1)
		return count < 0 ? count : -EFAULT;
	if (!folio_test_anon(page_folio(page))) {
		unpin_user_page(page);
		return -EINVAL;
	}
	vcpu->borrowed = page;
	vcpu->page = page_address(page);
	memset(vcpu->page, 0, PAGE_SIZE);
	return 0;
}

int vcpu_page_make(struct vee_vcpu *vcpu, u64 hva)
{
	if (hva)
		return borrow(vcpu, hva);
	vcpu->page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vcpu->page ? 0 : -ENOMEM;
}

void vcpu_page_tell_copies(struct vee_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->page->copies, READ_ONCE(vcpu->vm->memory.copies) + 1);
}

/* What is written last may not be on its way to swap yet, so it is dirty. */
void vcpu_page_free(struct vee_vcpu *vcpu)
{
	if (vcpu->borrowed)
		unpin_user_pages_dirty_lock(&vcpu->borrowed, 1, true);
	else
		free_page((unsigned long)vcpu->page);
}
