// SPDX-License-Identifier: GPL-2.0-only
/* io_uring_sqe_cmd() is told what the payload is. */
#include <linux/io_uring/cmd.h>

const u64 *probe(const struct io_uring_cmd *ioucmd);

const u64 *probe(const struct io_uring_cmd *ioucmd)
{
	return io_uring_sqe_cmd(ioucmd->sqe, u64);
}
