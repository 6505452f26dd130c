// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests: what all of them share, and those of a vCPU.
 *
 * Each descriptor has a table of requests. What they share (the struct's size and
 * flags, who may call, the vCPU's lock) is done once, here; a handler gets a
 * checked copy of its struct and nothing else, whichever door the request came by.
 */
#include <linux/capability.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "trace.h"
#include "door/request.h"
#include "memory/vm.h"
#include "memory/walk.h"
#include "vcpu/cpuid.h"
#include "vcpu/cr.h"
#include "vcpu/event.h"
#include "vcpu/fetch.h"
#include "vcpu/fpu.h"
#include "vcpu/local.h"
#include "vcpu/local_exit.h"
#include "vcpu/run.h"
#include "vcpu/runner.h"
#include "vcpu/save.h"
#include "vcpu/state.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/insn.h"
#include "vmx/vmcs.h"

/* --- requests in general -------------------------------------------------------- */

const struct vee_request *request_find(const struct vee_request *requests, size_t count,
				       unsigned int nr)
{
	for (size_t i = 0; i < count; i++)
		if (requests[i].nr == nr)
			return &requests[i];
	return NULL;
}

static int get_argument(const struct vee_request *request, union argument *arg,
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
	return arg->header.flags & ~request->flags ? -EINVAL : 0;
}

static int put_argument(const struct vee_request *request, const union argument *arg,
			void __user *to)
{
	size_t size = min_t(size_t, arg->header.size, request->size);

	if (request->silent && request->silent(arg))
		return 0;
	return copy_to_user(to, arg, size) ? -EFAULT : 0;
}

/*
 * get_argument() fills all of the request's own struct; nobody reads more of @arg, of which
 * the largest struct is ten times as much as most.
 */
long request_do(const struct vee_request *request, void *object, void __user *user)
{
	union argument arg __uninitialized;
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
	struct vee_vcpu *vcpu = object;

	return runner_kick(&vcpu->runner, arg->kick.generation);
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

	if (groups & ~state_groups(vcpu) || arg->sync.reserved)
		return -EINVAL;
	groups &= ~(READ_ONCE(page->valid) | READ_ONCE(page->dirty));
	err = vcpu_with_vmcs(vcpu, sync_groups, &groups);
	if (!err)
		page->valid |= groups;
	return err;
}

static void note_paging(struct vee_vcpu *vcpu, void *arg)
{
	cr_read_paging(vcpu, arg);
}

static long do_translate(void *object, union argument *arg)
{
	struct vee_vcpu *vcpu = object;
	struct paging paging;
	int err = vcpu_with_vmcs(vcpu, note_paging, &paging);

	if (err)
		return err;
	do {
		err = walk_translate(&vcpu->vm->memory, &paging, &arg->translate,
				     &vcpu->absent);
	} while (err == -EBUSY && !(err = fetch_missing(vcpu, false)));
	return err;
}

static long do_get_cpuid(void *object, union argument *arg)
{
	return arg->cpuid.reserved ? -EINVAL : cpuid_get(object, &arg->cpuid);
}

static void apply_cpuid(struct vee_vcpu *vcpu, void *unused)
{
	cpuid_apply(vcpu);
}

static long do_set_cpuid(void *object, union argument *arg)
{
	long err = arg->cpuid.reserved ? -EINVAL : cpuid_set(object, &arg->cpuid);

	/* Fails only where no guest will ever run again. */
	if (!err)
		vcpu_with_vmcs(object, apply_cpuid, NULL);
	return err;
}

static bool xsave_fits(const struct vee_xsave *xsave)
{
	return xsave->bytes == vee_caps.xsave_bytes && !xsave->reserved;
}

static long do_get_xsave(void *object, union argument *arg)
{
	struct vee_vcpu *vcpu = object;

	if (!xsave_fits(&arg->xsave))
		return -EINVAL;
	return fpu_get(&vcpu->fpu, u64_to_user_ptr(arg->xsave.area));
}

static long do_set_xsave(void *object, union argument *arg)
{
	struct vee_vcpu *vcpu = object;

	if (!xsave_fits(&arg->xsave))
		return -EINVAL;
	return fpu_set(&vcpu->fpu, u64_to_user_ptr(arg->xsave.area));
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
		vcpu->debug.dr7 = access->value;
	vcpu->exit.plain = false;
	/* A new CR3, say: as if the guest had loaded it. */
	vpid_flush(&vcpu->vpid);
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
	arg->stats.user_exits = runner_ended(&vcpu->runner);
	arg->stats.runs = arg->stats.user_exits + vcpu->runner.paused;
	return 0;
}

static bool writes_apic(const union argument *arg)
{
	return arg->apic.flags & VEE_APIC_WRITE;
}

static void access_apic(struct vee_vcpu *vcpu, void *arg)
{
	local_access(vcpu, arg);
}

static long do_apic(void *object, union argument *arg)
{
	struct vee_vcpu *vcpu = object;

	if (arg->apic.offset & 0xf || arg->apic.offset >= PAGE_SIZE)
		return -EINVAL;
	if (!local_is_xapic(&vcpu->apic))
		return -ENODEV;
	return vcpu_with_vmcs(vcpu, access_apic, &arg->apic);
}

static long do_save(void *object, union argument *arg)
{
	return vcpu_save(object, &arg->state);
}

static long do_load(void *object, union argument *arg)
{
	return vcpu_load(object, &arg->state);
}

/* First what is asked for after each call of a guest. */
static const struct vee_request vcpu_requests[] = {
	REQUEST(VEE_VCPU_LOAD, vee_vcpu_state, do_load),
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
	REQUEST(VEE_VCPU_APIC, vee_apic_access, do_apic, .out = true, .silent = writes_apic,
		.flags = VEE_APIC_WRITE),
	REQUEST(VEE_VCPU_SAVE, vee_vcpu_state, do_save, .out = true),
};

long vcpu_request(void *object, unsigned int nr, void __user *user)
{
	const struct vee_request *request;
	struct vee_vcpu *vcpu = object;
	long ret;

	request = request_find(vcpu_requests, ARRAY_SIZE(vcpu_requests), nr);
	if (!request)
		return -ENOTTY;
	if (current->mm != vcpu->vm->memory.mm)
		return -EIO;
	if (!request->unlocked && !vcpu_trylock(vcpu))
		return -EBUSY;
	ret = request_do(request, vcpu, user);
	if (!request->unlocked)
		vcpu_unlock(vcpu);
	trace_vee_request(vcpu->vm, vcpu, request->name, ret);
	return ret;
}
