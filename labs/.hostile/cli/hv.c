// SPDX-License-Identifier: GPL-2.0-only
/* It loops with interrupts off: nothing within the machine ends that. */
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <asm/processor.h>

static int __init loop(void)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
	return 0;
}

module_init(loop);
MODULE_LICENSE("GPL");
