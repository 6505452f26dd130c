// SPDX-License-Identifier: GPL-2.0-only
/* It can't be taken out, since it has no function for that. */
#include <linux/init.h>
#include <linux/module.h>

static int __init remains(void)
{
	return 0;
}

module_init(remains);
MODULE_LICENSE("GPL");
