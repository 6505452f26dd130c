// SPDX-License-Identifier: GPL-2.0-only
/* The benchmark's guest under KVM, by its ioctls. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "bench_kvm.h"

#define CR0_LONG	0x80000021	/* PG, NE, PE */
#define CR4_LONG	0x20		/* PAE */
#define EFER_LONG	0x500		/* LMA, LME */
#define SELECTOR_CODE	8
#define SELECTOR_DATA	16

static int kvm = -1;
static int run_bytes;

static int open_kvm(void)
{
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return -errno;
	run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	return run_bytes < 0 ? -errno : 0;
}

int kvm_check(int ret, const char *what)
{
	need(ret < 0 ? -errno : 0, what);
	return ret;
}

static void set_slot(struct guest *g, uint32_t slot, uint64_t gpa, void *hva,
		     uint64_t bytes, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	kvm_check(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region), "memory");
}

static void add_slot(struct guest *g, uint32_t slot, uint64_t gpa, void *hva,
		     uint64_t bytes)
{
	set_slot(g, slot, gpa, hva, bytes, 0);
}

void kvm_log_memory(struct guest *g)
{
	set_slot(g, 0, 0, g->memory, GUEST_BYTES, KVM_MEM_LOG_DIRTY_PAGES);
}

void kvm_get_log(struct guest *g, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };

	kvm_check(ioctl(g->vm, KVM_GET_DIRTY_LOG, &log), "dirty log");
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code)
{
	return (struct kvm_segment) {
		.limit = 0xffffffff, .selector = selector, .type = type,
		.present = 1, .db = !code, .s = 1, .l = code, .g = 1,
	};
}

/*
 * Linux 6.12 has no long mode for a vCPU without a CPUID that has it. 6.1 does without,
 * and is quicker so.
 */
bool kvm_has_cpuid;

/* KVM leaves it to the program to say that its local APIC has TSC deadlines. */
static void offer_deadline(struct kvm_cpuid2 *table)
{
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == 1)
			table->entries[i].ecx |= 1 << 24;
}

static void set_cpuid(struct guest *g)
{
	static union {
		struct kvm_cpuid2 table;
		uint8_t room[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
	} all;

	/* Once: it is no part of a VM's life. */
	if (!all.table.nent) {
		all.table.nent = 256;
		kvm_check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &all), "CPUID");
		offer_deadline(&all.table);
	}
	kvm_check(ioctl(g->vcpu, KVM_SET_CPUID2, &all), "CPUID");
}

static void set_sregs(struct guest *g, struct kvm_sregs *sregs)
{
	int ret = ioctl(g->vcpu, KVM_SET_SREGS, sregs);

	if (ret && errno == EINVAL && !kvm_has_cpuid) {
		kvm_has_cpuid = true;
		set_cpuid(g);
		ret = ioctl(g->vcpu, KVM_SET_SREGS, sregs);
	}
	kvm_check(ret, "registers");
}

static void set_long_mode(struct guest *g, unsigned int id)
{
	struct kvm_regs regs = { .rip = GPA_CODE_OF(id), .rsp = GPA_STACK_OF(id), .rflags = 2 };
	struct kvm_sregs sregs;

	kvm_check(ioctl(g->vcpu, KVM_GET_SREGS, &sregs), "registers");
	sregs.cs = segment(SELECTOR_CODE, 0xb, true);
	sregs.ss = segment(SELECTOR_DATA, 0x3, false);
	sregs.ds = sregs.ss;
	sregs.es = sregs.ss;
	sregs.idt.base = GPA_IDT;
	sregs.idt.limit = 0xfff;
	sregs.gdt.base = GPA_GDT;
	sregs.gdt.limit = 0x17;
	sregs.cr0 = CR0_LONG;
	sregs.cr3 = GPA_PML4;
	sregs.cr4 = CR4_LONG;
	sregs.efer = EFER_LONG;
	set_sregs(g, &sregs);
	kvm_check(ioctl(g->vcpu, KVM_SET_REGS, &regs), "registers");
}

/* So that the guest's TSC is the host's. */
static void set_tsc_offset(struct guest *g)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	kvm_check(ioctl(g->vcpu, KVM_SET_DEVICE_ATTR, &attr), "TSC offset");
}

void kvm_create_vm(struct guest *g)
{
	g->vm = kvm_check(ioctl(kvm, KVM_CREATE_VM, 0), "VM");
	add_slot(g, 0, 0, g->memory, GUEST_BYTES);
	if (g->touch)
		add_slot(g, 1, GPA_TOUCH, g->touch, TOUCH_BYTES);
}

void kvm_create_vcpu(struct guest *g, unsigned int id)
{
	g->vcpu = kvm_check(ioctl(g->vm, KVM_CREATE_VCPU, id), "vCPU");
	g->run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	kvm_check(g->run == MAP_FAILED ? -1 : 0, "mmap");
	if (kvm_has_cpuid)
		set_cpuid(g);
	set_long_mode(g, id);
	set_tsc_offset(g);
}

void kvm_destroy_vcpu(struct guest *g)
{
	munmap(g->run, run_bytes);
	close(g->vcpu);
}

static void create(struct guest *g)
{
	kvm_create_vm(g);
	kvm_create_vcpu(g, 0);
}

static void destroy(struct guest *g)
{
	kvm_destroy_vcpu(g);
	close(g->vm);
}

static enum stop run(struct guest *g)
{
	struct kvm_run *page = g->run;

	kvm_check(ioctl(g->vcpu, KVM_RUN, 0), "run");
	switch (page->exit_reason) {
	case KVM_EXIT_IO:
		return page->io.port == PORT_DONE ? STOP_DONE : STOP_PIO;
	case KVM_EXIT_HLT:
		return STOP_HLT;
	case KVM_EXIT_MMIO:
		if (!page->mmio.is_write)
			memset(page->mmio.data, 0, sizeof(page->mmio.data));
		return STOP_MMIO;
	default:
		die("KVM: exit %u", page->exit_reason);
	}
}

/* By the shared page, as below: KVM_INTERRUPT takes 900 ticks more. */
static void inject(struct guest *g)
{
	struct kvm_run *page = g->run;

	page->s.regs.events = (struct kvm_vcpu_events) {
		.interrupt = { .injected = 1, .nr = VECTOR },
	};
	page->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
}

/*
 * By the shared page (KVM_CAP_SYNC_REGS), which is quicker than two ioctls: they
 * take 3,000 ticks. Once asked for, each run fills it in.
 */
static void change_regs(struct guest *g, bool rip)
{
	struct kvm_run *page = g->run;

	if (!page->kvm_valid_regs) {
		kvm_check(ioctl(g->vcpu, KVM_GET_REGS, &page->s.regs.regs), "registers");
		page->kvm_valid_regs = KVM_SYNC_X86_REGS;
	}
	page->s.regs.regs.rax = page->s.regs.regs.rip;
	if (rip)
		page->s.regs.regs.rip += OUT_BYTES;
	page->kvm_dirty_regs = KVM_SYNC_X86_REGS;
}

const struct engine engine_kvm = {
	.name = "KVM",
	.open = open_kvm,
	.create = create,
	.destroy = destroy,
	.run = run,
	.inject = inject,
	.change_regs = change_regs,
};
