// SPDX-License-Identifier: GPL-2.0-only
/* get_user_pages_remote() can tell the areas that the pages are in. */
#include <linux/mm.h>

long probe(struct mm_struct *mm, struct page **page, struct vm_area_struct **vmas);

long probe(struct mm_struct *mm, struct page **page, struct vm_area_struct **vmas)
{
	return get_user_pages_remote(mm, 0, 1, 0, page, vmas, NULL);
}
