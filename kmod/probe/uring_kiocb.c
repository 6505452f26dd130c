// SPDX-License-Identifier: GPL-2.0-only
/* What a driver sees of a request: enough to say that it wants a worker. */
#include <linux/io_uring_types.h>

void probe(void *ioucmd);

void probe(void *ioucmd)
{
	cmd_to_io_kiocb(ioucmd)->flags |= REQ_F_FORCE_ASYNC;
}
