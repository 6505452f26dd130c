/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests as IORING_OP_URING_CMD.
 */
#ifndef _VEE_URING_H
#define _VEE_URING_H

struct io_uring_cmd;

/* Any but a run. @do_request: as vcpu_request(); @object is what the file is of */
int uring_request(struct io_uring_cmd *ioucmd, unsigned int issue_flags,
		  long (*do_request)(void *object, unsigned int nr, void __user *user));
/* A VM's: VEE_VM_SIGNAL alone. */
int vm_uring_cmd(struct io_uring_cmd *ioucmd, unsigned int issue_flags);
/* A vCPU's. */
int vcpu_uring_cmd(struct io_uring_cmd *ioucmd, unsigned int issue_flags);

#endif /* _VEE_URING_H */
