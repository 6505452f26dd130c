/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small virtual machine of KVM's, for tests of vee beside it: it runs what a guest of
 * vee's is about to run, in a copy of its memory.
 */
#ifndef SELFTESTS_KVM_UTIL_H
#define SELFTESTS_KVM_UTIL_H

#include <linux/kvm.h>

#include "vee_util.h"

/**
 * struct kvm - a VM of KVM's with one vCPU
 * @kvm: /dev/kvm
 * @vm: the VM
 * @vcpu: the vCPU
 * @page: the vCPU's page
 * @page_bytes: its size
 * @mem: guest memory, GUEST_BYTES from gpa 0
 */
struct kvm {
	int kvm;
	int vm;
	int vcpu;
	struct kvm_run *page;
	int page_bytes;
	unsigned char *mem;
};

/* Its module comes and goes; true if it is there then, or gone. */
static inline bool kvm_load(void)
{
	return !system("modprobe kvm-intel 2>/dev/null") &&
	       WAIT_FOR(!access("/dev/kvm", F_OK));
}

/* Not kvm.ko, the larger part by far, which touches no VMX. */
static inline bool kvm_unload(void)
{
	return access("/sys/module/kvm_intel", F_OK) ||
	       !system("rmmod kvm_intel 2>/dev/null");
}

static inline bool kvm_is_at_hand(void)
{
	return !access("/sys/module/kvm_intel", F_OK) ||
	       !system("modprobe -D kvm-intel >/dev/null 2>&1");
}

static inline int kvm_call(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static inline struct kvm_segment kvm_segment_of(const struct vee_segment *s)
{
	return (struct kvm_segment) {
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.type = s->access_rights, .s = s->access_rights >> 4,
		.dpl = s->access_rights >> 5, .present = s->access_rights >> 7,
		.l = s->access_rights >> 13, .db = s->access_rights >> 14,
		.g = s->access_rights >> 15,
	};
}

/* Those of @g, as it is to begin. */
static inline int kvm_set_state(struct kvm *k, const struct guest *g)
{
	const struct vee_vcpu_page *page = g->page;
	struct kvm_regs regs = {
		.rip = page->regs.rip, .rsp = page->regs.rsp,
		.rflags = page->regs.rflags,
	};
	struct kvm_sregs sregs;
	int ret = kvm_call(k->vcpu, KVM_GET_SREGS, &sregs);

	sregs.cs = kvm_segment_of(&page->segments.cs);
	sregs.ss = kvm_segment_of(&page->segments.ss);
	sregs.ds = sregs.ss;
	sregs.es = sregs.ss;
	sregs.cr0 = page->control.cr0 | X86_CR0_NE;
	sregs.cr3 = page->control.cr3;
	sregs.cr4 = page->control.cr4;
	sregs.efer = page->control.efer;
	ret = ret ?: kvm_call(k->vcpu, KVM_SET_SREGS, &sregs);
	return ret ?: kvm_call(k->vcpu, KVM_SET_REGS, &regs);
}

/* All that this KVM can do: without one Linux 6.12 has no long mode. */
static inline int kvm_set_cpuid(struct kvm *k)
{
	union {
		struct kvm_cpuid2 table;
		char room[sizeof(struct kvm_cpuid2) +
			  256 * sizeof(struct kvm_cpuid_entry2)];
	} all = { .table.nent = 256 };
	int ret = kvm_call(k->kvm, KVM_GET_SUPPORTED_CPUID, &all);

	return ret ?: kvm_call(k->vcpu, KVM_SET_CPUID2, &all);
}

static inline int kvm_set_msr(struct kvm *k, __u32 index, __u64 value)
{
	union {
		struct kvm_msrs list;
		char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = { .list.nmsrs = 1 };

	one.list.entries[0] = (struct kvm_msr_entry) { .index = index, .data = value };
	return kvm_call(k->vcpu, KVM_SET_MSRS, &one) == 1 ? 0 : -EINVAL;
}

static inline int kvm_add_vcpu(struct kvm *k)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = GUEST_BYTES,
		.userspace_addr = (uintptr_t)k->mem,
	};
	int ret = kvm_call(k->vm, KVM_SET_USER_MEMORY_REGION, &slot);

	if (ret)
		return ret;
	k->vcpu = kvm_call(k->vm, KVM_CREATE_VCPU, 0);
	if (k->vcpu < 0)
		return k->vcpu;
	k->page_bytes = kvm_call(k->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	k->page = mmap(NULL, k->page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, k->vcpu, 0);
	return k->page == MAP_FAILED ? -errno : kvm_set_cpuid(k);
}

static inline void kvm_close(struct kvm *k)
{
	if (k->page != MAP_FAILED)
		munmap(k->page, k->page_bytes);
	close(k->vcpu);
	close(k->vm);
	close(k->kvm);
	munmap(k->mem, GUEST_BYTES);
}

/* As @g is, which has not run yet. An error of KVM's, closed already. */
static inline int kvm_open(struct kvm *k, const struct guest *g)
{
	int ret;

	*k = (struct kvm) { .vm = -1, .vcpu = -1, .page = MAP_FAILED };
	k->mem = anon_memory(GUEST_BYTES);
	memcpy(k->mem, g->mem, GUEST_BYTES);
	k->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	k->vm = kvm_call(k->kvm, KVM_CREATE_VM, 0);
	ret = k->vm < 0 ? k->vm : kvm_add_vcpu(k);
	ret = ret ?: kvm_set_state(k, g);
	if (ret)
		kvm_close(k);
	return ret;
}

#endif /* SELFTESTS_KVM_UTIL_H */
