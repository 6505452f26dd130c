// SPDX-License-Identifier: GPL-2.0-only
/* A command of io_uring's has its SQE; drivers have a header of their own. */
#include <linux/io_uring/cmd.h>

const void *probe(const struct io_uring_cmd *ioucmd);

const void *probe(const struct io_uring_cmd *ioucmd)
{
	return io_uring_sqe_cmd(ioucmd->sqe);
}
