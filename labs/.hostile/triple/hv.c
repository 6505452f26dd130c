// SPDX-License-Identifier: GPL-2.0-only
/* The CPU shuts down: there is no handler for an exception, nor for that. */
#include <linux/init.h>
#include <linux/module.h>
#include <asm/desc.h>

static int __init triple(void)
{
	struct desc_ptr none = { 0, 0 };

	asm volatile("lidt %0; ud2" : : "m" (none));
	return 0;
}

module_init(triple);
MODULE_LICENSE("GPL");
