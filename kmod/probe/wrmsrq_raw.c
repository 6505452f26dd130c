// SPDX-License-Identifier: GPL-2.0-only
/* __wrmsrq() takes the place of __wrmsr(). */
#include <asm/msr.h>

void probe(void);

void probe(void)
{
	__wrmsrq(0, 0);
}
