// SPDX-License-Identifier: GPL-2.0-only
/* rcu_virt_note_context_switch() knows which CPU this is. */
#include <linux/rcupdate.h>

void probe(void);

void probe(void)
{
	rcu_virt_note_context_switch();
}
