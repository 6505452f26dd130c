// SPDX-License-Identifier: GPL-2.0-only
/* The fuzzer's guests under KVM, by its ioctls: what it can't do, no program does for it. */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_guest.h"
#include "fuzz_kvm.h"

#define TICK_US		4000	/* two of them are a guest's end */
#define VCPUS_MAX	256	/* of one VM, one after the other */
#define MSR_DEBUGCTL	0x1d9
#define MSR_FMASK	0xc0000084

static int kvm, vm, vcpu, page_bytes;
static struct kvm_run *page;
static uint8_t *ram;
static bool is_stale;	/* the next guest needs a new vCPU */
static unsigned long vcpus;	/* that the VM has had, and keeps */

/* What KVM keeps for the guest, as vee does; the order of struct vee_msrs. */
static const uint32_t msrs[] = {
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0x174, 0x175, 0x176,
	0xc0000103, 0x277, MSR_DEBUGCTL,
};

#define MSRS	(sizeof(msrs) / sizeof(*msrs))

/* Those that no engine has are the program's to answer; writes to IA32_FMASK: set_fmask(). */
static void filter_msrs(void)
{
	const uint32_t read = KVM_MSR_FILTER_READ, both = read | KVM_MSR_FILTER_WRITE;
	static uint8_t ones[1];
	const struct {
		uint32_t first, count, flags;
	} own[] = {
		{ 0x174, 3, both }, { 0x277, 1, both }, { MSR_DEBUGCTL, 1, both },
		{ 0xc0000080, 4, both }, { MSR_FMASK, 1, read }, { 0xc0000100, 4, both },
	};
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };

	ones[0] = 0xff;
	for (unsigned int i = 0; i < sizeof(own) / sizeof(*own); i++)
		filter.ranges[i] = (struct kvm_msr_filter_range) {
			.flags = own[i].flags, .base = own[i].first,
			.nmsrs = own[i].count, .bitmap = ones,
		};
	kvm_enable(vm, KVM_CAP_X86_USER_SPACE_MSR,
		   KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN);
	kvm_call(vm, KVM_X86_SET_MSR_FILTER, &filter, "MSR filter");
}

static void run_to_hlt(void)
{
	do {
		if (ioctl(vcpu, KVM_RUN, 0) && errno != EINTR)
			err(1, "KVM: a page's first touch");
	} while (page->exit_reason == KVM_EXIT_MMIO || page->exit_reason == KVM_EXIT_INTR);
}

static void touch_all(void)
{
	struct kvm_segment code = {
		.limit = UINT32_MAX, .type = 11, .s = 1, .present = 1, .db = 1, .g = 1,
	};
	struct kvm_segment data = code;
	struct kvm_regs regs = { .rflags = 2, .rcx = 1 };
	struct kvm_sregs sregs;

	data.type = 3;
	kvm_call(vcpu, KVM_GET_SREGS, &sregs, "registers");
	sregs.cs = code;
	sregs.ss = data;
	sregs.ds = data;
	sregs.es = data;
	sregs.cr0 = 0x31;
	kvm_call(vcpu, KVM_SET_SREGS, &sregs, "registers");
	for (uint32_t at = 0; at < RAM_BYTES; at += PAGE_BYTES) {
		make_touch(ram + at);
		regs.rip = at;
		regs.rsi = at;
		kvm_call(vcpu, KVM_SET_REGS, &regs, "registers");
		run_to_hlt();
	}
	/* What is no memory is in the EPT, too, from the first time on. */
	for (uint32_t at = 0; at < MMIO_BYTES; at += PAGE_BYTES) {
		regs.rip = 0;
		regs.rsi = GPA_MMIO + at;
		kvm_call(vcpu, KVM_SET_REGS, &regs, "registers");
		run_to_hlt();
	}
}

static void make_vcpu(void)
{
	vcpu = kvm_call(vm, KVM_CREATE_VCPU, (void *)vcpus++, "vCPU");
	page = kvm_map(vcpu, page_bytes);
	page->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	kvm_set_cpuid(vcpu);
}

static void leave_vcpu(void)
{
	munmap(page, page_bytes);
	close(vcpu);
}

/*
 * With a vCPU's registers KVM drops its EPT, but for one that another vCPU has as well: the
 * first, which has touched all pages, and runs no guest.
 */
static void make_vm(void)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = RAM_BYTES, .userspace_addr = (uintptr_t)ram,
	};

	do {
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
	} while (vm < 0 && errno == EINTR);
	if (vm < 0)
		err(1, "KVM: VM");
	vcpus = 0;
	kvm_call(vm, KVM_SET_USER_MEMORY_REGION, &region, "memory");
	kvm_disable_quirks(vm);
	kvm_enable(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1);
	filter_msrs();
	make_vcpu();
	touch_all();
	leave_vcpu();
	make_vcpu();
}

static void open_kvm(uint8_t *memory)
{
	kvm = kvm_open("modprobe kvm-intel first; or --alone");
	page_bytes = kvm_call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "its page");
	ram = memory;
	kvm_ask_vee();
	make_vm();
	kvm_start_ticks(TICK_US);
}

/*
 * After a VM entry that failed the event that it was to deliver is delivered at the next one,
 * and what an emulation that was cut short leaves has no request to take it away. All that is
 * the vCPU's, so it takes another; a VM, which is forty times as dear, once that has had many.
 */
static void renew_kvm(void)
{
	leave_vcpu();
	if (vcpus < VCPUS_MAX) {
		make_vcpu();
		return;
	}
	close(vm);
	make_vm();
}

/* --- state ------------------------------------------------------------------------------ */

static struct kvm_segment segment_of(const struct vee_segment *s)
{
	return (struct kvm_segment) {
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.type = s->access_rights & VEE_AR_TYPE, .s = s->access_rights >> 4 & 1,
		.dpl = s->access_rights >> 5 & 3, .present = s->access_rights >> 7 & 1,
		.avl = s->access_rights >> 12 & 1, .l = s->access_rights >> 13 & 1,
		.db = s->access_rights >> 14 & 1, .g = s->access_rights >> 15 & 1,
		.unusable = s->access_rights >> 16 & 1,
	};
}

static struct vee_segment segment_from(const struct kvm_segment *s)
{
	return (struct vee_segment) {
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.access_rights = s->type | s->s << 4 | s->dpl << 5 | s->present << 7 |
				 s->avl << 12 | s->l << 13 | s->db << 14 | s->g << 15 |
				 s->unusable << 16,
	};
}

static struct kvm_dtable table_of(const struct vee_table *t)
{
	return (struct kvm_dtable) { .base = t->base, .limit = t->limit };
}

static struct vee_table table_from(const struct kvm_dtable *t)
{
	return (struct vee_table) { .base = t->base, .limit = t->limit };
}

static struct kvm_sregs sregs_of(const struct state *s)
{
	return (struct kvm_sregs) {
		.es = segment_of(&s->segments.es), .cs = segment_of(&s->segments.cs),
		.ss = segment_of(&s->segments.ss), .ds = segment_of(&s->segments.ds),
		.fs = segment_of(&s->segments.fs), .gs = segment_of(&s->segments.gs),
		.ldt = segment_of(&s->segments.ldtr), .tr = segment_of(&s->segments.tr),
		.gdt = table_of(&s->segments.gdtr), .idt = table_of(&s->segments.idtr),
		.cr0 = s->control.cr0, .cr2 = s->control.cr2, .cr3 = s->control.cr3,
		.cr4 = s->control.cr4, .cr8 = s->control.cr8, .efer = s->control.efer,
		.apic_base = 0xfee00100,	/* none: CPUID would show it */
	};
}

static void sregs_from(const struct kvm_sregs *s, struct step *step)
{
	step->segments = (struct vee_segments) {
		.es = segment_from(&s->es), .cs = segment_from(&s->cs),
		.ss = segment_from(&s->ss), .ds = segment_from(&s->ds),
		.fs = segment_from(&s->fs), .gs = segment_from(&s->gs),
		.ldtr = segment_from(&s->ldt), .tr = segment_from(&s->tr),
		.gdtr = table_from(&s->gdt), .idtr = table_from(&s->idt),
	};
	step->control.cr0 = s->cr0;
	step->control.cr2 = s->cr2;
	step->control.cr3 = s->cr3;
	step->control.cr4 = s->cr4;
	step->control.cr8 = s->cr8;
	step->control.efer = s->efer;
}

static struct kvm_regs regs_of(const struct vee_regs *r)
{
	return (struct kvm_regs) {
		r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rsp, r->rbp,
		r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
		r->rip, r->rflags,
	};
}

static union {
	struct kvm_msrs list;
	uint8_t room[sizeof(struct kvm_msrs) + MSRS * sizeof(struct kvm_msr_entry)];
} msr_list;

static int set_msrs(const struct state *s)
{
	const uint64_t *const values = (const uint64_t *)&s->msrs;

	msr_list.list.nmsrs = MSRS;
	for (unsigned int i = 0; i < MSRS; i++)
		msr_list.list.entries[i] = (struct kvm_msr_entry) {
			.index = msrs[i], .data = msrs[i] == MSR_DEBUGCTL ? s->debugctl : values[i],
		};
	return ioctl(vcpu, KVM_SET_MSRS, &msr_list) == MSRS ? 0 : -EINVAL;
}

static void get_msrs(struct state *s)
{
	uint64_t *const values = (uint64_t *)&s->msrs;

	msr_list.list.nmsrs = MSRS;
	for (unsigned int i = 0; i < MSRS; i++)
		msr_list.list.entries[i].index = msrs[i];
	kvm_call(vcpu, KVM_GET_MSRS, &msr_list, "MSRs");
	for (unsigned int i = 0; i < MSRS; i++)
		if (msrs[i] == MSR_DEBUGCTL)
			s->debugctl = msr_list.list.entries[i].data;
		else
			values[i] = msr_list.list.entries[i].data;
}

static struct kvm_vcpu_events events_of(const struct start *start)
{
	struct kvm_vcpu_events events = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
			 KVM_VCPUEVENT_VALID_PAYLOAD,
		.interrupt.shadow = start->state.blocking & VEE_BLOCKING_BY_STI ?
				    KVM_X86_SHADOW_INT_STI :
				    start->state.blocking ? KVM_X86_SHADOW_INT_MOV_SS : 0,
	};
	const struct vee_event *event = &start->inject;

	if (!(event->flags & VEE_EVENT_VALID))
		return events;
	if (event->type == VEE_EVENT_EXCEPTION) {
		events.exception.pending = 1;
		events.exception.nr = event->vector;
		events.exception.has_error_code = !!(event->flags & VEE_EVENT_ERROR_CODE);
		events.exception.error_code = event->error_code;
	} else {
		events.interrupt.injected = 1;
		events.interrupt.nr = event->vector;
	}
	return events;
}

static const char *load(const struct start *start)
{
	const struct state *s = &start->state;
	struct kvm_vcpu_events none = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
		KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_PAYLOAD };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { 0, 0, s->control.xcr0 } };
	struct kvm_debugregs debug = { .dr6 = s->debug.dr6, .dr7 = s->debug.dr7 };
	struct kvm_vcpu_events events = events_of(start);
	struct kvm_sregs sregs = sregs_of(s);
	struct kvm_regs regs = regs_of(&s->regs);

	memcpy(debug.db, s->debug.dr, sizeof(debug.db));
	kvm_call(vcpu, KVM_SET_VCPU_EVENTS, &none, "events");
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs))
		return "KVM_SET_SREGS";
	if (ioctl(vcpu, KVM_SET_REGS, &regs))
		return "KVM_SET_REGS";
	if (ioctl(vcpu, KVM_SET_XCRS, &xcrs))
		return "KVM_SET_XCRS";
	if (ioctl(vcpu, KVM_SET_DEBUGREGS, &debug))
		return "KVM_SET_DEBUGREGS";
	if (ioctl(vcpu, KVM_SET_XSAVE, s->xsave))
		return "KVM_SET_XSAVE";
	if (set_msrs(s))
		return "KVM_SET_MSRS";
	if (ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events))
		return "KVM_SET_VCPU_EVENTS";
	page->cr8 = s->control.cr8;
	return NULL;
}

/* --- exits ------------------------------------------------------------------------------ */

static bool note(struct trail *trail, enum stop stop, uint64_t what, uint64_t value)
{
	struct step *step = next_step(trail, stop, what, value);
	uint8_t shadow = page->s.regs.events.interrupt.shadow;

	if (!step)
		return false;
	step->regs = kvm_regs_from(&page->s.regs.regs);
	sregs_from(&page->s.regs.sregs, step);
	step->blocking = (shadow & KVM_X86_SHADOW_INT_STI ? VEE_BLOCKING_BY_STI : 0) |
			 (shadow & KVM_X86_SHADOW_INT_MOV_SS ? VEE_BLOCKING_BY_MOV_SS : 0);
	return stop < END_HLT;
}

static unsigned int ports_of(const struct trail *trail, unsigned int count)
{
	unsigned int ports = 0;

	for (unsigned int i = 0; i < count; i++)
		ports += trail->bus[i].is_port;
	return ports;
}

/* IN and OUT have a step of their own, INS and OUTS have not, and KVM doesn't say which. */
static bool is_step(const struct trail *trail, const struct trail *guide)
{
	const struct step *step = &guide->steps[trail->step_count];

	return trail->step_count < guide->step_count && step->stop == GO_PORT &&
	       ports_of(guide, step->bus) == ports_of(trail, trail->bus_count);
}

static bool do_port(struct trail *trail, const struct trail *guide)
{
	uint8_t *data = (uint8_t *)page + page->io.data_offset;
	bool out = page->io.direction == KVM_EXIT_IO_OUT;
	uint64_t value = 0;

	if (out)
		memcpy(&value, data, page->io.size);
	if (is_step(trail, guide) &&
	    !note(trail, GO_PORT, page->io.port | page->io.size << 16 |
		  (out ? VEE_PIO_OUT : VEE_PIO_IN) << 24, value))
		return false;
	for (unsigned int i = 0; i < page->io.count; i++)
		touch_port(trail, page->io.port, data + i * page->io.size, page->io.size, out);
	return true;
}

/* KVM keeps the upper half, too, which is reserved: SDM 4, table "IA-32 Architectural MSRs". */
static void set_fmask(uint64_t value)
{
	page->msr.error = value > UINT32_MAX;
	if (page->msr.error)
		return;
	msr_list.list.nmsrs = 1;
	msr_list.list.entries[0] =
		(struct kvm_msr_entry) { .index = MSR_FMASK, .data = value };
	if (ioctl(vcpu, KVM_SET_MSRS, &msr_list) != 1)
		err(1, "KVM: IA32_FMASK");
}

static bool do_msr(struct trail *trail, bool write)
{
	uint64_t value = page->msr.data;

	if (write && page->msr.index == MSR_FMASK) {
		set_fmask(value);
		return true;
	}
	if (!note(trail, write ? GO_WRMSR : GO_RDMSR, page->msr.index, write ? value : 0))
		return false;
	page->msr.error = !msr_answer(page->msr.index, &value);
	if (!write)
		page->msr.data = value;
	return true;
}

static bool do_exit(struct trail *trail, const struct trail *guide)
{
	if (trail->bus_count >= BUS_MAX || trail->bus_count > guide->bus_count + BUS_MORE)
		return note(trail, END_ENOUGH, 0, 0);
	switch (page->exit_reason) {
	case KVM_EXIT_IO:
		return do_port(trail, guide);
	case KVM_EXIT_MMIO:
		touch_memory(trail, page->mmio.phys_addr, page->mmio.data, page->mmio.len,
			     page->mmio.is_write);
		return true;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		return do_msr(trail, page->exit_reason == KVM_EXIT_X86_WRMSR);
	case KVM_EXIT_SET_TPR:
		return true;
	case KVM_EXIT_HLT:
		return note(trail, END_HLT, 0, 0);
	case KVM_EXIT_SHUTDOWN:
		return note(trail, END_SHUTDOWN, 0, 0);
	case KVM_EXIT_FAIL_ENTRY:
		return note(trail, END_REFUSED_ENTRY, 0,
			    page->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		return note(trail, END_CANNOT, page->exit_reason, page->internal.suberror);
	default:
		return note(trail, END_CANNOT, page->exit_reason, 0);
	}
}

/* To the next exit; false: there is none. */
static bool run_once(struct trail *trail)
{
	int error = kvm_run_once(vcpu);

	if (error == EINTR)
		return note(trail, END_LOOP, 0, 0);
	return !error || note(trail, END_CANNOT, KVM_EXIT_UNKNOWN, error);
}

static void keep_end(struct trail *trail)
{
	struct kvm_debugregs debug;
	struct kvm_xcrs xcrs;

	kvm_call(vcpu, KVM_GET_DEBUGREGS, &debug, "debug registers");
	memcpy(trail->end.debug.dr, debug.db, sizeof(debug.db));
	trail->end.debug.dr6 = debug.dr6;
	trail->end.debug.dr7 = debug.dr7;
	get_msrs(&trail->end);
	kvm_call(vcpu, KVM_GET_XSAVE, trail->end.xsave, "XSAVE");
	kvm_call(vcpu, KVM_GET_XCRS, &xcrs, "XCR0");
	if (trail->step_count)
		trail->steps[trail->step_count - 1].control.xcr0 = xcrs.xcrs[0].value;
}

/* Beyond where the other could go nothing is compared. */
static bool is_far_enough(const struct trail *trail, const struct trail *guide)
{
	return trail->step_count + 1 == guide->step_count &&
	       guide->steps[trail->step_count].stop > END_REFUSED_ENTRY;
}

static void go(struct trail *trail, const struct trail *guide)
{
	do {
		if (is_far_enough(trail, guide)) {
			note(trail, END_ENOUGH, 0, 0);
			return;
		}
	} while (run_once(trail) && do_exit(trail, guide));
}

/* An entry that failed, with no event and nothing before it, leaves nothing: see renew_kvm(). */
static bool leaves_something(const struct start *start, const struct trail *trail)
{
	enum stop stop = trail->steps[trail->step_count - 1].stop;

	if (stop != END_REFUSED_ENTRY)
		return stop > END_SHUTDOWN;
	return trail->step_count > 1 || trail->bus_count || start->inject.flags;
}

static void run(const struct start *start, struct trail *trail, const struct trail *guide)
{
	const char *refused;

	trail->step_count = 0;
	trail->bus_count = 0;
	trail->rip = 0;
	if (is_stale)
		renew_kvm();
	is_stale = false;
	memcpy(ram, start->memory, RAM_BYTES);
	refused = load(start);
	if (refused) {
		next_step(trail, END_REFUSED, (uintptr_t)refused, errno);
		return;
	}
	go(trail, guide);
	keep_end(trail);
	is_stale = leaves_something(start, trail);
}

const struct engine engine_kvm = {
	.name = "KVM",
	.open = open_kvm,
	.renew = renew_kvm,
	.run = run,
};
