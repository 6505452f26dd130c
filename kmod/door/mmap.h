/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of the kernel's that the caller maps.
 */
#ifndef _VEE_MMAP_H
#define _VEE_MMAP_H

#include <linux/mm.h>

/* For mmap(2) of @bytes of it. */
int map_all_of(struct vm_area_struct *vma, unsigned long bytes,
	       const struct vm_operations_struct *ops);
/* For vm_operations_struct.fault. */
vm_fault_t map_page_of(struct vm_fault *vmf, void *memory, unsigned long bytes);

#endif /* _VEE_MMAP_H */
