// SPDX-License-Identifier: GPL-2.0-only
/* A ring that polls takes commands of files that can't be polled, and marks what it polls. */
#include <linux/io_uring_types.h>

unsigned long long probe(void);

unsigned long long probe(void)
{
	return REQ_F_IOPOLL;
}
