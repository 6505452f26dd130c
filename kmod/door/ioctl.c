// SPDX-License-Identifier: GPL-2.0-only
/*
 * The front door of the device and of VMs: descriptors, and their requests by ioctl(2).
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <asm/tsc.h>

#include "trace.h"
#include "apic/bind.h"
#include "apic/bus.h"
#include "door/each.h"
#include "door/fdinfo.h"
#include "door/ioctl.h"
#include "door/mmap.h"
#include "door/request.h"
#include "door/uring.h"
#include "door/vcpu_fd.h"
#include "memory/dirty.h"
#include "memory/post.h"
#include "memory/renew.h"
#include "memory/slots.h"
#include "memory/vm.h"
#include "vcpu/create.h"
#include "vcpu/local.h"
#include "vmx/caps.h"
#include "vmx/limits.h"

/* --- a VM --------------------------------------------------------------------------- */

static long do_map(void *object, union argument *arg)
{
	struct vee_vm *vm = object;

	return mem_add(&vm->memory, &arg->map);
}

static long do_unmap(void *object, union argument *arg)
{
	struct vee_vm *vm = object;

	return mem_remove(&vm->memory, &arg->unmap);
}

static long do_dirty(void *object, union argument *arg)
{
	struct vee_vm *vm = object;

	return dirty_request(&vm->memory, &arg->dirty);
}

static long do_template(void *object, union argument *arg)
{
	struct vee_vm *vm = object;

	return template_request(&vm->memory, &arg->template);
}

static bool locates_nothing(const union argument *arg)
{
	return arg->template.operation != VEE_TEMPLATE_LOCATE;
}

static long do_vcpu_create(void *object, union argument *arg)
{
	u32 id = arg->vcpu_create.id;
	struct vee_vcpu *vcpu;
	int fd;

	if (id >= VEE_MAX_VCPUS || arg->vcpu_create.reserved)
		return -EINVAL;
	vcpu = vcpu_create(object, array_index_nospec(id, VEE_MAX_VCPUS), arg->vcpu_create.page);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	fd = vcpu_fd(vcpu);
	if (fd < 0)
		vcpu_destroy(vcpu);
	return fd;
}

static long do_coalesce(void *object, union argument *arg)
{
	struct vee_vm *vm = object;

	return post_coalesce(&vm->office, &arg->coalesce);
}

static long do_doorbell(void *object, union argument *arg)
{
	struct vee_vm *vm = object;

	if (memchr_inv(arg->doorbell.reserved, 0, sizeof(arg->doorbell.reserved)))
		return -EINVAL;
	return post_doorbell(&vm->office, &arg->doorbell);
}

static long do_signal(void *object, union argument *arg)
{
	struct vee_vm *vm = object;

	return vm->bus ? bus_signal(vm->bus, &arg->signal) : -ENODEV;
}

static long do_bind(void *object, union argument *arg)
{
	struct vee_vm *vm = object;

	return vm->bus ? bind_change(vm->bus, &arg->bind) : -ENODEV;
}

static const struct vee_request vm_requests[] = {
	REQUEST_GROWN(VEE_VM_MAP, vee_map, reserved, do_map),
	REQUEST(VEE_VM_UNMAP, vee_unmap, do_unmap),
	REQUEST(VEE_VM_DIRTY, vee_dirty, do_dirty, .flags = VEE_DIRTY_BITMAP),
	REQUEST(VEE_VM_TEMPLATE, vee_template, do_template, .out = true,
		.silent = locates_nothing, .flags = VEE_TEMPLATE_WRITE),
	REQUEST_GROWN(VEE_VM_CREATE_VCPU, vee_vcpu_create, reserved, do_vcpu_create),
	REQUEST(VEE_VM_COALESCE, vee_coalesce, do_coalesce),
	REQUEST(VEE_VM_DOORBELL, vee_doorbell, do_doorbell),
	REQUEST(VEE_VM_SIGNAL, vee_signal, do_signal, .flags = VEE_SIGNAL_LEVEL),
	REQUEST(VEE_VM_BIND, vee_bind, do_bind, .flags = VEE_SIGNAL_LEVEL | VEE_BIND_EOI),
};

static long vm_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	struct vee_vm *vm = file->private_data;
	const struct vee_request *request;
	long ret;

	request = request_find(vm_requests, ARRAY_SIZE(vm_requests), nr);
	if (!request)
		return -ENOTTY;
	if (current->mm != vm->memory.mm)
		return -EIO;
	ret = request_do(request, vm, (void __user *)arg);
	trace_vee_request(vm, NULL, request->name, ret);
	return ret;
}

static vm_fault_t post_ring_fault(struct vm_fault *vmf)
{
	struct vee_vm *vm = vmf->vma->vm_file->private_data;

	return map_page_of(vmf, vm->office.ring, VEE_POST_RING_BYTES);
}

static const struct vm_operations_struct post_ring_ops = {
	.fault = post_ring_fault,
};

static int vm_mmap_ring(struct file *file, struct vm_area_struct *vma)
{
	struct vee_vm *vm = file->private_data;

	return map_all_of(vma, VEE_POST_RING_BYTES, &post_ring_ops) ?:
	       post_make_ring(&vm->office);
}

static int vm_release(struct inode *inode, struct file *file)
{
	vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = vm_uring_cmd,
	.mmap = vm_mmap_ring,
	.release = vm_release,
	.show_fdinfo = fdinfo_show_vm,
	.llseek = noop_llseek,
};

/* --- /dev/vee ------------------------------------------------------------------------- */

static long do_info(void *object, union argument *arg)
{
	u32 size = arg->header.size;

	arg->info = (struct vee_info) {
		.size = size,
		.api_version = VEE_API_VERSION,
		.max_vcpus = VEE_MAX_VCPUS,
		.max_slots = VEE_MAX_SLOTS,
		.vcpu_page_bytes = VEE_VCPU_PAGE_BYTES,
		.features = vee_caps.features,
		.gpa_bits = vee_caps.gpa_bits,
		.tsc_khz = tsc_khz,
		.xcr0 = vee_caps.xcr0,
		.xsave_bytes = vee_caps.xsave_bytes,
		.vmx_basic = vee_caps.basic,
		.vmx_misc = vee_caps.misc,
		.vmx_pin = vee_caps.allowed[VMX_PIN],
		.vmx_proc = vee_caps.allowed[VMX_PROC],
		.vmx_proc2 = vee_caps.allowed[VMX_PROC2],
		.vmx_exit = vee_caps.allowed[VMX_EXIT],
		.vmx_entry = vee_caps.allowed[VMX_ENTRY],
		.vmx_ept_vpid = vee_caps.ept_vpid,
	};
	limits_tell(&arg->info);
	return 0;
}

static long do_vm_create(void *object, union argument *arg)
{
	struct vee_vm *vm = vm_create();
	int fd;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	if (arg->vm_create.flags & VEE_VM_LOCAL_APIC && local_begin(vm)) {
		vm_put(vm);
		return -ENOMEM;
	}
	fd = anon_inode_getfd("vee-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		vm_put(vm);
	return fd;
}

static long do_run_each(void *object, union argument *arg)
{
	return each_run(&arg->run_each);
}

static const struct vee_request device_requests[] = {
	REQUEST_GROWN(VEE_GET_INFO, vee_info, vmx_ept_vpid, do_info, .out = true),
	REQUEST(VEE_VM_CREATE, vee_vm_create, do_vm_create, .flags = VEE_VM_LOCAL_APIC),
	REQUEST(VEE_RUN_EACH, vee_run_each, do_run_each),
};

static long device_request(void *unused, unsigned int nr, void __user *user)
{
	const struct vee_request *request;
	long ret;

	request = request_find(device_requests, ARRAY_SIZE(device_requests), nr);
	if (!request)
		return -ENOTTY;
	ret = request_do(request, NULL, user);
	trace_vee_request(NULL, NULL, request->name, ret);
	return ret;
}

static long device_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	return device_request(NULL, nr, (void __user *)arg);
}

static int device_uring_cmd(struct io_uring_cmd *ioucmd, unsigned int issue_flags)
{
	return uring_request(ioucmd, issue_flags, device_request);
}

const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = device_uring_cmd,
	.llseek = noop_llseek,
};
