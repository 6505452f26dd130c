// SPDX-License-Identifier: GPL-2.0-only
/* More than anybody reads, by the port that all goes by which the lab prints. */
#include <linux/init.h>
#include <linux/io.h>
#include <linux/module.h>

static int __init flood(void)
{
	outb(0xa0, 0xe9);
	for (;;) {
		outb(0x83, 0xe9);
		outb(0x9d, 0xe9);
	}
	return 0;
}

module_init(flood);
MODULE_LICENSE("GPL");
