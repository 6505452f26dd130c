// SPDX-License-Identifier: GPL-2.0-only
/* The mark between which instructions are written down, and more of it than are heeded. */
#include <linux/init.h>
#include <linux/module.h>

static int __init marks(void)
{
	int i;

	for (i = 0; i < 10000; i++)
		asm volatile("xchg %bx, %bx");
	return 0;
}

module_init(marks);
MODULE_LICENSE("GPL");
