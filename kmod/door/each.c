// SPDX-License-Identifier: GPL-2.0-only
/*
 * Short runs of many vCPUs, one after the other: what a request costs on its way
 * into the kernel and out, these share.
 *
 * Each is the part of a run that io_uring would do in the thread that submits it
 * (uring.c): the thread is kept for no longer than it said. What takes longer is
 * paused, and goes on where the caller has it go on.
 */
#include <linux/file.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "door/each.h"
#include "door/vcpu_fd.h"
#include "memory/vm.h"
#include "vcpu/run.h"
#include "vcpu/vcpu.h"

static int run_within(struct vee_vcpu *vcpu, u32 budget_us)
{
	int ret;

	if (current->mm != vcpu->vm->memory.mm)
		return -EIO;
	if (!budget_us)
		return -EAGAIN;
	if (unlikely(!vcpu_trylock(vcpu)))
		return -EBUSY;
	ret = vcpu_run_inline(vcpu, budget_us) ?: vcpu_exit_reason(vcpu);
	vcpu_unlock(vcpu);
	return ret;
}

static int step(int vcpu_fd, u32 budget_us)
{
	struct fd file = fdget(vcpu_fd);
	struct vee_vcpu *vcpu;
	int ret = -EBADF;

	if (!fd_file(file))
		return ret;
	vcpu = vcpu_of(fd_file(file));
	if (vcpu)
		ret = run_within(vcpu, budget_us);
	fdput(file);
	return ret;
}

/* All members with user space's memory opened once. */
static int read_step(struct vee_step *to, const struct vee_step __user *from)
{
	if (!user_read_access_begin(from, sizeof(*from)))
		return -EFAULT;
	unsafe_get_user(to->vcpu, &from->vcpu, fault);
	unsafe_get_user(to->budget_us, &from->budget_us, fault);
	unsafe_get_user(to->reserved, &from->reserved, fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

static int take_step(struct vee_step __user *user)
{
	struct vee_step arg;
	int ret;

	if (read_step(&arg, user))
		return -EFAULT;
	if (arg.reserved)
		ret = -EINVAL;
	else if (signal_pending(current))
		ret = -EINTR;
	else
		ret = step(arg.vcpu, arg.budget_us);
	return put_user(ret, &user->result);
}

long each_run(const struct vee_run_each *arg)
{
	struct vee_step __user *steps = u64_to_user_ptr(arg->steps);
	int err = 0;

	if (arg->reserved || !arg->count || arg->count > VEE_MAX_STEPS)
		return -EINVAL;
	for (u32 i = 0; i < arg->count && !err; i++) {
		err = take_step(&steps[i]);
		cond_resched();
	}
	return err;
}
