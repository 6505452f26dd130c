// SPDX-License-Identifier: GPL-2.0-only
/*
 * The front door of a vCPU: its descriptor, its requests by ioctl(2), and its run by
 * fsync(2).
 */
#include <linux/anon_inodes.h>
#include <linux/build_bug.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "door/fdinfo.h"
#include "door/mmap.h"
#include "door/request.h"
#include "door/uring.h"
#include "door/vcpu_fd.h"
#include "memory/vm.h"
#include "vcpu/create.h"
#include "vcpu/run.h"
#include "vcpu/vcpu.h"

static long run(struct vee_vcpu *vcpu, u64 generation)
{
	long err;

	if (unlikely(current->mm != vcpu->vm->memory.mm))
		return -EIO;
	if (!vcpu_trylock(vcpu))
		return vcpu_busy(generation);
	err = vcpu_run_or_go_on(vcpu, generation);
	vcpu_unlock(vcpu);
	return err;
}

static long vcpu_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	struct vee_vcpu *vcpu = file->private_data;

	if (likely(nr == VEE_VCPU_RUN))
		return run(vcpu, arg);
	return vcpu_request(vcpu, nr, (void __user *)arg);
}

/*
 * VEE_VCPU_RUN by fsync(2), which has the shortest way through the kernel to a function of
 * a file's own: no numbers that any file may be asked for come first, nor what security
 * modules have to say of those. They are asked about the descriptor's making and passing on.
 */
static int vcpu_fsync(struct file *file, loff_t first, loff_t last, int datasync)
{
	return datasync ? -EINVAL : run(file->private_data, 0);
}

static vm_fault_t vcpu_page_fault(struct vm_fault *vmf)
{
	struct vee_vcpu *vcpu = vmf->vma->vm_file->private_data;

	return map_page_of(vmf, vcpu->page, VEE_VCPU_PAGE_BYTES);
}

static const struct vm_operations_struct vcpu_page_ops = {
	.fault = vcpu_page_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	const struct vee_vcpu *vcpu = file->private_data;

	if (vcpu->borrowed)
		return -EINVAL;
	return map_all_of(vma, VEE_VCPU_PAGE_BYTES, &vcpu_page_ops);
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	vcpu_destroy(file->private_data);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.fsync = vcpu_fsync,
	.uring_cmd = vcpu_uring_cmd,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.show_fdinfo = fdinfo_show_vcpu,
	.llseek = noop_llseek,
};

struct vee_vcpu *vcpu_of(const struct file *file)
{
	return file->f_op == &vcpu_fops ? file->private_data : NULL;
}

int vcpu_fd(struct vee_vcpu *vcpu)
{
	return anon_inode_getfd("vee-vcpu", &vcpu_fops, vcpu, O_RDWR | O_CLOEXEC);
}

/* The page is part of the interface: it may grow only within its 4096 bytes. */
static_assert(sizeof(struct vee_vcpu_page) <= VEE_VCPU_PAGE_BYTES);
static_assert(VEE_VCPU_PAGE_BYTES == PAGE_SIZE);
