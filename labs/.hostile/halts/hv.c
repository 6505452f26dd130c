// SPDX-License-Identifier: GPL-2.0-only
/* It waits for an interrupt that can't come. */
#include <linux/init.h>
#include <linux/module.h>

static int __init halts(void)
{
	for (;;)
		asm volatile("cli; hlt");
	return 0;
}

module_init(halts);
MODULE_LICENSE("GPL");
