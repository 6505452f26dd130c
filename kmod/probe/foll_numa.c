// SPDX-License-Identifier: GPL-2.0-only
/* A page that is there but not accessible, so that NUMA balancing learns of accesses. */
#include <linux/mm.h>

int probe(void);

int probe(void)
{
	return FOLL_HONOR_NUMA_FAULT;
}
