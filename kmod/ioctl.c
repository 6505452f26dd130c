// SPDX-License-Identifier: GPL-2.0-only
/*
 * The front door: descriptors and their requests.
 *
 * Each descriptor has a table of requests. What all requests share (the struct's
 * size and flags, who may call, the vCPU's lock) is done once, here; a handler
 * gets a checked copy of its struct and nothing else.
 */
#include <linux/anon_inodes.h>
#include <linux/build_bug.h>
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>

#include "vcpu.h"

/* --- requests in general -------------------------------------------------------- */

/* Every struct of a request begins like this. */
struct header {
	u32 size;
	u32 flags;
};

union argument {
	struct header header;
	struct vee_info info;
	struct vee_vm_create vm_create;
	struct vee_map map;
	struct vee_unmap unmap;
	struct vee_vcpu_create vcpu_create;
	struct vee_kick kick;
	struct vee_inject inject;
	struct vee_sync sync;
	struct vee_translate translate;
	struct vee_cpuid cpuid;
	struct vee_xsave xsave;
	struct vee_vmcs_field field;
	struct vee_vmcs_snapshot snapshot;
	struct vee_stats stats;
};

/**
 * struct request - one request of a descriptor
 * @nr: its number
 * @first_size: size of its struct when it was first published
 * @size: size of its struct now
 * @out: the struct goes back to the caller
 * @unlocked: a vCPU's: may come while it runs
 * @handle: does it; @object is the VM or vCPU
 */
struct request {
	unsigned int nr;
	u16 first_size;
	u16 size;
	bool out;
	bool unlocked;
	long (*handle)(void *object, union argument *arg);
};

#define REQUEST(nr, type, fn, ...) \
	{ nr, sizeof(struct type), sizeof(struct type), .handle = fn, ##__VA_ARGS__ }

static const struct request *find_request(const struct request *requests,
					  size_t count, unsigned int nr)
{
	for (size_t i = 0; i < count; i++)
		if (requests[i].nr == nr)
			return &requests[i];
	return NULL;
}

static int get_argument(const struct request *request, union argument *arg,
			void __user *from)
{
	u32 size;
	int err;

	if (get_user(size, (u32 __user *)from))
		return -EFAULT;
	if (size < request->first_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(arg, request->size, from, size);
	if (err)
		return err;
	/* As checked: the caller may have changed it since. */
	arg->header.size = size;
	return arg->header.flags ? -EINVAL : 0;
}

static int put_argument(const struct request *request, const union argument *arg,
			void __user *to)
{
	size_t size = min_t(size_t, arg->header.size, request->size);

	return copy_to_user(to, arg, size) ? -EFAULT : 0;
}

static long do_request(const struct request *request, void *object,
		       void __user *user)
{
	union argument arg;
	long ret = get_argument(request, &arg, user);

	if (ret)
		return ret;
	ret = request->handle(object, &arg);
	/* -E2BIG says how much room is wanted. */
	if (request->out && (ret >= 0 || ret == -E2BIG) &&
	    put_argument(request, &arg, user))
		return -EFAULT;
	return ret;
}

/* --- a vCPU ----------------------------------------------------------------------- */

static long do_kick(void *object, union argument *arg)
{
	return vcpu_kick(object, arg->kick.generation);
}

static long do_inject(void *object, union argument *arg)
{
	return event_send(object, &arg->inject.event);
}

static void sync_groups(struct vee_vcpu *vcpu, void *arg)
{
	u32 groups = *(u32 *)arg;

	state_fill(vcpu, groups);
}

static long do_sync(void *object, union argument *arg)
{
	struct vee_vcpu *vcpu = object;
	struct vee_vcpu_page *page = vcpu->page;
	u32 groups = arg->sync.groups;
	int err;

	if (groups & ~VEE_STATE_ALL || arg->sync.reserved)
		return -EINVAL;
	groups &= ~(READ_ONCE(page->valid) | READ_ONCE(page->dirty));
	err = vcpu_with_vmcs(vcpu, sync_groups, &groups);
	if (!err)
		page->valid |= groups;
	return err;
}

static void note_paging(struct vee_vcpu *vcpu, void *arg)
{
	struct vee_control control;

	state_read_control(vcpu, &control);
	*(struct paging *)arg = (struct paging) {
		.cr0 = control.cr0,
		.cr3 = control.cr3,
		.cr4 = control.cr4,
		.efer = control.efer,
	};
}

static long do_translate(void *object, union argument *arg)
{
	struct vee_vcpu *vcpu = object;
	struct paging paging;
	int err = vcpu_with_vmcs(vcpu, note_paging, &paging);

	return err ?: walk_translate(vcpu->vm, &paging, &arg->translate);
}

static long do_get_cpuid(void *object, union argument *arg)
{
	return arg->cpuid.reserved ? -EINVAL : cpuid_get(object, &arg->cpuid);
}

static long do_set_cpuid(void *object, union argument *arg)
{
	return arg->cpuid.reserved ? -EINVAL : cpuid_set(object, &arg->cpuid);
}

static bool xsave_fits(const struct vee_xsave *xsave)
{
	return xsave->bytes == vee_caps.xsave_bytes && !xsave->reserved;
}

static long do_get_xsave(void *object, union argument *arg)
{
	if (!xsave_fits(&arg->xsave))
		return -EINVAL;
	return fpu_get(object, u64_to_user_ptr(arg->xsave.area));
}

static long do_set_xsave(void *object, union argument *arg)
{
	if (!xsave_fits(&arg->xsave))
		return -EINVAL;
	return fpu_set(object, u64_to_user_ptr(arg->xsave.area));
}

static bool sees_host(void)
{
	return capable(CAP_SYS_ADMIN);
}

struct field_access {
	u32 encoding;
	u64 value;
	int err;
};

static void read_field(struct vee_vcpu *vcpu, void *arg)
{
	struct field_access *access = arg;

	access->err = vmread_raw(access->encoding, &access->value) ? -ENOENT : 0;
}

static long do_vmcs_read(void *object, union argument *arg)
{
	struct field_access access = { .encoding = arg->field.encoding };
	int err;

	if (arg->field.reserved)
		return -EINVAL;
	err = vmcs_field_check(access.encoding);
	if (!err && vmcs_field_withheld(access.encoding) && !sees_host())
		err = -EPERM;
	if (!err)
		err = vcpu_with_vmcs(object, read_field, &access);
	arg->field.value = access.value;
	return err ?: access.err;
}

static void write_field(struct vee_vcpu *vcpu, void *arg)
{
	struct field_access *access = arg;

	if (vmwrite_raw(access->encoding, access->value)) {
		access->err = -ENOENT;
		return;
	}
	if (access->encoding == VMCS_GUEST_DR7)
		vcpu->dr7 = access->value;
	vcpu->page->valid = 0;
}

static long do_vmcs_write(void *object, union argument *arg)
{
	struct field_access access = {
		.encoding = arg->field.encoding,
		.value = arg->field.value,
	};
	int err;

	if (arg->field.reserved)
		return -EINVAL;
	err = vmcs_field_check(access.encoding);
	if (!err)
		err = vmcs_field_writable(access.encoding, access.value);
	if (!err)
		err = vcpu_with_vmcs(object, write_field, &access);
	return err ?: access.err;
}

struct snapshot {
	struct vee_vmcs_value *values;
	unsigned int count;
};

static void take_snapshot(struct vee_vcpu *vcpu, void *arg)
{
	struct snapshot *snapshot = arg;

	snapshot->count = vmcs_snapshot(snapshot->values);
}

static void withhold(struct snapshot *snapshot)
{
	for (unsigned int i = 0; i < snapshot->count; i++) {
		struct vee_vmcs_value *value = &snapshot->values[i];

		if (!vmcs_field_withheld(value->encoding))
			continue;
		value->value = 0;
		value->flags = VEE_VMCS_WITHHELD;
	}
}

static long put_snapshot(const struct snapshot *snapshot, struct vee_vmcs_snapshot *arg)
{
	unsigned int room = arg->count;

	arg->count = snapshot->count;
	if (room < snapshot->count)
		return -E2BIG;
	if (copy_to_user(u64_to_user_ptr(arg->values), snapshot->values,
			 snapshot->count * sizeof(*snapshot->values)))
		return -EFAULT;
	return 0;
}

static long do_vmcs_snapshot(void *object, union argument *arg)
{
	struct snapshot snapshot = { };
	long err;

	if (arg->snapshot.reserved)
		return -EINVAL;
	snapshot.values = kvcalloc(vmcs_field_count, sizeof(*snapshot.values),
				   GFP_KERNEL_ACCOUNT);
	if (!snapshot.values)
		return -ENOMEM;
	err = vcpu_with_vmcs(object, take_snapshot, &snapshot);
	if (!err && !sees_host())
		withhold(&snapshot);
	if (!err)
		err = put_snapshot(&snapshot, &arg->snapshot);
	kvfree(snapshot.values);
	return err;
}

static long do_stats(void *object, union argument *arg)
{
	struct vee_vcpu *vcpu = object;
	u32 size = arg->header.size;

	arg->stats = vcpu->stats;
	arg->header.size = size;
	return 0;
}

static const struct request vcpu_requests[] = {
	REQUEST(VEE_VCPU_KICK, vee_kick, do_kick, .unlocked = true),
	REQUEST(VEE_VCPU_INJECT, vee_inject, do_inject, .unlocked = true),
	REQUEST(VEE_VCPU_SYNC, vee_sync, do_sync),
	REQUEST(VEE_VCPU_TRANSLATE, vee_translate, do_translate, .out = true),
	REQUEST(VEE_VCPU_GET_CPUID, vee_cpuid, do_get_cpuid, .out = true),
	REQUEST(VEE_VCPU_SET_CPUID, vee_cpuid, do_set_cpuid),
	REQUEST(VEE_VCPU_GET_XSAVE, vee_xsave, do_get_xsave),
	REQUEST(VEE_VCPU_SET_XSAVE, vee_xsave, do_set_xsave),
	REQUEST(VEE_VCPU_VMCS_READ, vee_vmcs_field, do_vmcs_read, .out = true),
	REQUEST(VEE_VCPU_VMCS_WRITE, vee_vmcs_field, do_vmcs_write),
	REQUEST(VEE_VCPU_VMCS_SNAPSHOT, vee_vmcs_snapshot, do_vmcs_snapshot,
		.out = true),
	REQUEST(VEE_VCPU_STATS, vee_stats, do_stats, .out = true),
};

static long run(struct vee_vcpu *vcpu, unsigned long arg)
{
	long err;

	if (arg)
		return -EINVAL;
	if (!mutex_trylock(&vcpu->lock))
		return -EBUSY;
	err = vcpu_run(vcpu);
	mutex_unlock(&vcpu->lock);
	return err;
}

static long vcpu_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	struct vee_vcpu *vcpu = file->private_data;
	const struct request *request;
	long ret;

	if (likely(nr == VEE_VCPU_RUN))
		return current->mm == vcpu->vm->mm ? run(vcpu, arg) : -EIO;
	request = find_request(vcpu_requests, ARRAY_SIZE(vcpu_requests), nr);
	if (!request)
		return -ENOTTY;
	if (current->mm != vcpu->vm->mm)
		return -EIO;
	if (request->unlocked)
		return do_request(request, vcpu, (void __user *)arg);
	if (!mutex_trylock(&vcpu->lock))
		return -EBUSY;
	ret = do_request(request, vcpu, (void __user *)arg);
	mutex_unlock(&vcpu->lock);
	return ret;
}

static vm_fault_t vcpu_page_fault(struct vm_fault *vmf)
{
	struct vee_vcpu *vcpu = vmf->vma->vm_file->private_data;

	if (vmf->pgoff)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(vcpu->page);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_page_ops = {
	.fault = vcpu_page_fault,
};

/* A private mapping would show a copy, from the first write on. */
static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != VEE_VCPU_PAGE_BYTES ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vma->vm_ops = &vcpu_page_ops;
	return 0;
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
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

/* --- a VM --------------------------------------------------------------------------- */

static long do_map(void *object, union argument *arg)
{
	return mem_add(object, &arg->map);
}

static long do_unmap(void *object, union argument *arg)
{
	return mem_remove(object, &arg->unmap);
}

static long do_vcpu_create(void *object, union argument *arg)
{
	struct vee_vcpu *vcpu;
	int fd;

	if (arg->vcpu_create.id >= VEE_MAX_VCPUS || arg->vcpu_create.reserved)
		return -EINVAL;
	vcpu = vcpu_create(object, arg->vcpu_create.id);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	fd = anon_inode_getfd("vee-vcpu", &vcpu_fops, vcpu, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		vcpu_destroy(vcpu);
	return fd;
}

static const struct request vm_requests[] = {
	REQUEST(VEE_VM_MAP, vee_map, do_map),
	REQUEST(VEE_VM_UNMAP, vee_unmap, do_unmap),
	REQUEST(VEE_VM_CREATE_VCPU, vee_vcpu_create, do_vcpu_create),
};

static long vm_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	struct vee_vm *vm = file->private_data;
	const struct request *request;

	request = find_request(vm_requests, ARRAY_SIZE(vm_requests), nr);
	if (!request)
		return -ENOTTY;
	if (current->mm != vm->mm)
		return -EIO;
	return do_request(request, vm, (void __user *)arg);
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
	.release = vm_release,
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
	return 0;
}

static long do_vm_create(void *object, union argument *arg)
{
	struct vee_vm *vm = vm_create();
	int fd;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("vee-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		vm_put(vm);
	return fd;
}

static const struct request device_requests[] = {
	REQUEST(VEE_GET_INFO, vee_info, do_info, .out = true),
	REQUEST(VEE_VM_CREATE, vee_vm_create, do_vm_create),
};

static long device_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	const struct request *request;

	request = find_request(device_requests, ARRAY_SIZE(device_requests), nr);
	if (!request)
		return -ENOTTY;
	return do_request(request, NULL, (void __user *)arg);
}

const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* The page is part of the interface: it may grow only within its 4096 bytes. */
static_assert(sizeof(struct vee_vcpu_page) <= VEE_VCPU_PAGE_BYTES);
static_assert(VEE_VCPU_PAGE_BYTES == PAGE_SIZE);
