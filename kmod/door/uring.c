// SPDX-License-Identifier: GPL-2.0-only
/*
 * The other front door: a vCPU's and the device's requests as IORING_OP_URING_CMD, and of a
 * VM's the one that devices make, which has no struct but the payload.
 *
 * io_uring issues a command first from the thread that submits it, with its ring
 * locked (IO_URING_F_NONBLOCK): whoever can't be done with it there says -EAGAIN,
 * and it comes again in a worker, a thread of the same process that may sleep.
 * Only a run ever needs that. A worker is told to give up by a signal, whether the
 * request is cancelled, or its ring closed, or its process killed, so there a run
 * ends as it does by ioctl(2), and no request of ours is ever pending without a
 * thread. Each holds its file, and the file this module.
 *
 * Between two issues a request can be cancelled without our being told. So nothing
 * is held meanwhile: a run that is paused is no more than a note in the vCPU.
 */
#include <linux/fs.h>
#include <linux/sched.h>

#include "compat.h"
#include "trace.h"
#include "apic/bus.h"
#include "door/request.h"
#include "door/uring.h"
#include "memory/vm.h"
#include "vcpu/run.h"
#include "vcpu/vcpu.h"

static_assert(sizeof(struct vee_uring_cmd) == 16);
static_assert(sizeof(struct vee_uring_signal) == sizeof(struct vee_uring_cmd));

/*
 * In io_uring_cmd.flags: this request's run is paused, io_uring_cmd.pdu says which.
 * io_uring sets the flags of each new request, from bits that don't include this.
 */
#define RUN_PAUSED	BIT(16)

struct paused_run {
	u64 generation;
};

static struct paused_run *paused_run(struct io_uring_cmd *ioucmd)
{
	return (struct paused_run *)ioucmd->pdu;
}

static_assert(sizeof(struct paused_run) <= sizeof_field(struct io_uring_cmd, pdu));

/* --- runs --------------------------------------------------------------------- */

static int run_inline(struct vee_vcpu *vcpu, struct io_uring_cmd *ioucmd, u32 budget_us)
{
	int err = vcpu_run_inline(vcpu, budget_us);

	if (likely(err != -EINPROGRESS))
		return err;
	paused_run(ioucmd)->generation = vcpu->runner.generation;
	ioucmd->flags |= RUN_PAUSED;
	return -EAGAIN;
}

/* Another one that took its place is no mistake of the caller's. */
static int run_on(struct vee_vcpu *vcpu, struct io_uring_cmd *ioucmd)
{
	int err = vcpu_run_on(vcpu, paused_run(ioucmd)->generation);

	ioucmd->flags &= ~RUN_PAUSED;
	return err == -ESTALE ? -EINTR : err;
}

static noinline int run_in_worker(struct vee_vcpu *vcpu, struct io_uring_cmd *ioucmd,
				  u64 generation)
{
	return ioucmd->flags & RUN_PAUSED ? run_on(vcpu, ioucmd) :
					    vcpu_run_or_go_on(vcpu, generation);
}

static int try_run(struct vee_vcpu *vcpu, struct io_uring_cmd *ioucmd, bool is_inline)
{
	const struct vee_uring_cmd *cmd = vee_uring_payload(ioucmd);
	u32 budget_us = READ_ONCE(cmd->budget_us);
	u64 generation = READ_ONCE(cmd->arg);
	int ret;

	if (is_inline && (ioucmd->flags & RUN_PAUSED || generation || !budget_us))
		return -EAGAIN;
	if (unlikely(!vcpu_trylock(vcpu)))
		return vcpu_busy(ioucmd->flags & RUN_PAUSED || generation);
	ret = likely(is_inline) ? run_inline(vcpu, ioucmd, budget_us) :
				  run_in_worker(vcpu, ioucmd, generation);
	if (likely(!ret))
		ret = vcpu_exit_reason(vcpu);
	vcpu_unlock(vcpu);
	return ret;
}

/* --- the door ------------------------------------------------------------------- */

/*
 * A result above 0 can't just be returned: io_uring of 6.1 takes it for a failure,
 * which breaks links, or in a worker for nothing at all.
 */
static int complete_cmd(struct io_uring_cmd *ioucmd, int ret, unsigned int issue_flags)
{
	if (ret <= 0)
		return ret;
	vee_uring_done(ioucmd, ret, issue_flags);
	return -EIOCBQUEUED;
}

static int run(struct io_uring_cmd *ioucmd, unsigned int issue_flags)
{
	struct vee_vcpu *vcpu = ioucmd->file->private_data;
	int ret;

	if (vee_uring_polled(ioucmd))
		return -EOPNOTSUPP;
	if (current->mm != vcpu->vm->memory.mm)
		return -EIO;
	ret = try_run(vcpu, ioucmd, issue_flags & IO_URING_F_NONBLOCK);
	if (unlikely(ret == -EAGAIN))
		vee_uring_wants_worker(ioucmd);
	return complete_cmd(ioucmd, ret, issue_flags);
}

int uring_request(struct io_uring_cmd *ioucmd, unsigned int issue_flags,
		  long (*do_request)(void *object, unsigned int nr, void __user *user))
{
	const struct vee_uring_cmd *cmd = vee_uring_payload(ioucmd);
	long ret;

	if (vee_uring_polled(ioucmd))
		return -EOPNOTSUPP;
	if (READ_ONCE(cmd->flags) || READ_ONCE(cmd->budget_us))
		return -EINVAL;
	ret = do_request(ioucmd->file->private_data, ioucmd->cmd_op,
			 u64_to_user_ptr(READ_ONCE(cmd->arg)));
	return complete_cmd(ioucmd, ret, issue_flags);
}

/* One that may wait for guest memory does so where nobody waits for the ring. */
static int request_on_vcpu(struct io_uring_cmd *ioucmd, unsigned int issue_flags)
{
	if (ioucmd->cmd_op != VEE_VCPU_TRANSLATE || !(issue_flags & IO_URING_F_NONBLOCK))
		return uring_request(ioucmd, issue_flags, vcpu_request);
	vee_uring_wants_worker(ioucmd);
	return -EAGAIN;
}

/*
 * The payload is the caller's memory still, at the first issue: each member is read
 * once. Rings that poll (IORING_SETUP_IOPOLL) are refused: there is no .uring_cmd_iopoll.
 */
int vcpu_uring_cmd(struct io_uring_cmd *ioucmd, unsigned int issue_flags)
{
	const struct vee_uring_cmd *cmd = vee_uring_payload(ioucmd);

	if (unlikely(ioucmd->cmd_op != VEE_VCPU_RUN))
		return request_on_vcpu(ioucmd, issue_flags);
	return READ_ONCE(cmd->flags) ? -EINVAL : run(ioucmd, issue_flags);
}

/* --- a VM's ------------------------------------------------------------------------ */

static int send(struct vee_vm *vm, const struct vee_uring_signal *cmd)
{
	const struct vee_signal signal = {
		.flags = READ_ONCE(cmd->flags),
		.address = READ_ONCE(cmd->address),
		.data = READ_ONCE(cmd->data),
	};

	if (signal.flags & ~VEE_SIGNAL_LEVEL)
		return -EINVAL;
	return vm->bus ? bus_signal(vm->bus, &signal) : -ENODEV;
}

/* Waits for nobody, so it is done in the thread that submits it. */
int vm_uring_cmd(struct io_uring_cmd *ioucmd, unsigned int issue_flags)
{
	struct vee_vm *vm = ioucmd->file->private_data;
	int ret;

	if (vee_uring_polled(ioucmd))
		return -EOPNOTSUPP;
	if (ioucmd->cmd_op != VEE_VM_SIGNAL)
		return -ENOTTY;
	if (current->mm != vm->memory.mm)
		return -EIO;
	ret = send(vm, vee_uring_payload(ioucmd));
	trace_vee_request(vm, NULL, "VEE_VM_SIGNAL", ret);
	return ret;
}
