// SPDX-License-Identifier: LGPL-2.1-or-later
/* The life of a function in a machine of its own. */
#include "fn.h"

__attribute__((weak)) void fn_init(void)
{
}

void *fn_alloc(size_t bytes)
{
	void *memory = guest_alloc(bytes);

	if (!memory)
		guest_call(FN_NO_MEMORY, bytes, 0, 0, 0);
	return memory;
}

int main(void)
{
	size_t bytes;

	guest_heap(guest_argument);
	fn_init();
	bytes = guest_call(FN_READY, (uintptr_t)fn_in, fn_in_room, (uintptr_t)fn_out,
			   fn_out_room);
	guest_call(FN_DONE, fn_call(fn_in, bytes, fn_out, fn_out_room), 0, 0, 0);
	guest_halt();
}
