// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory from behind the image up, none of which comes back. */
#include "guest.h"

static uintptr_t at, heap_end;

void guest_heap(uintptr_t end)
{
	at = ((uintptr_t)guest_end + 15) & ~15UL;
	heap_end = end;
}

void *guest_alloc(size_t bytes)
{
	uintptr_t begin = at;

	if (begin > heap_end || bytes > heap_end - begin || bytes > SIZE_MAX - 15)
		return NULL;
	at = begin + ((bytes + 15) & ~15UL);
	return memset((void *)begin, 0, bytes);
}
