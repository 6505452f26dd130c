// SPDX-License-Identifier: GPL-2.0-only
/* What is mapped without a struct page is found by follow_pfnmap_start(). */
#include <linux/mm.h>

int probe(struct follow_pfnmap_args *args);

int probe(struct follow_pfnmap_args *args)
{
	return follow_pfnmap_start(args);
}
