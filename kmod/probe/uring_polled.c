// SPDX-License-Identifier: GPL-2.0-only
/* A ring that polls takes commands of files that can't be polled, and marks what it polls. */
#include <linux/io_uring_types.h>

u64 probe(void *ioucmd);

u64 probe(void *ioucmd)
{
	struct io_kiocb *req = cmd_to_io_kiocb(ioucmd);

	return req->ctx->flags & IORING_SETUP_IOPOLL ? req->flags & REQ_F_IOPOLL : 0;
}
