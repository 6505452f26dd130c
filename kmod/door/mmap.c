// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of the kernel's that the caller maps.
 */
#include <linux/errno.h>

#include "door/mmap.h"

/* All of it, and shared: a private mapping would show a copy, from the first write on. */
int map_all_of(struct vm_area_struct *vma, unsigned long bytes,
	       const struct vm_operations_struct *ops)
{
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != bytes ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vma->vm_ops = ops;
	return 0;
}

/* A mapping can grow beyond @bytes, by mremap(2). */
vm_fault_t map_page_of(struct vm_fault *vmf, void *memory, unsigned long bytes)
{
	if (vmf->pgoff >= bytes / PAGE_SIZE)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(memory + vmf->pgoff * PAGE_SIZE);
	get_page(vmf->page);
	return 0;
}
