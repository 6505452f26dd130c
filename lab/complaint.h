/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a line of the kernel's log has that a sound kernel never writes. Each report
 * of lockdep, KASAN, DEBUG_VM and so on has a line of these; most have several.
 */
#ifndef VEE_LAB_COMPLAINT_H
#define VEE_LAB_COMPLAINT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool is_complaint(const char *line)
{
	static const char * const signs[] = {
		"WARNING:", "BUG:", "BUG ", "kernel BUG at", "Oops",
		"Call Trace:", "UBSAN:", "KASAN:", "KFENCE:", "INFO: rcu",
		"INFO: task", "INFO: suspicious", "INFO: trying",
		"general protection fault, ", "unable to handle",
		"lockdep", "possible recursive locking",
		"inconsistent lock state", "soft lockup", "hard LOCKUP",
		"scheduling while atomic", "sleeping function called",
		"new suspected memory leaks", "memory leak detector disabled",
		"Bad page", "bad page",
		"Bad rss-counter", "ODEBUG:", "refcount_t:", "list_add corruption",
		"list_del corruption", "leaked", "Machine check",
		"Kernel panic",
	};
	size_t i;

	for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (strstr(line, signs[i]))
			return true;
	return false;
}

#endif
