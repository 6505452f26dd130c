// SPDX-License-Identifier: GPL-2.0-only
/* The guests of the fuzzer of local APICs under KVM, whose APIC in the kernel is told of. */
#include <err.h>
#include <errno.h>
#include <sys/ioctl.h>

#include "fuzz_apic.h"
#include "fuzz_kvm.h"

#define TICK_US		20000	/* two of them are a guest's end */

static int vm, vcpu;
static struct kvm_run *page;
static uint8_t *ram;
static struct kvm_sregs first;

static void make_sregs(void)
{
	const struct kvm_segment cs = {
		.limit = UINT32_MAX, .selector = CODE0, .type = 11, .present = 1, .s = 1, .l = 1,
		.g = 1,
	};
	struct kvm_segment data = cs;

	data.selector = DATA0;
	data.type = 3;
	data.l = 0;
	data.db = 1;
	kvm_call(vcpu, KVM_GET_SREGS, &first, "registers");
	first.cs = cs;
	first.ss = data;
	first.ds = data;
	first.es = data;
	first.fs = data;
	first.gs = data;
	first.gdt = (struct kvm_dtable) { .base = GPA_GDT, .limit = GDT_END - 1 };
	first.idt = (struct kvm_dtable) { .base = GPA_IDT, .limit = PAGE_BYTES - 1 };
	first.cr0 = 0x80010033;
	first.cr3 = GPA_PML4;
	first.cr4 = CR4_PAE | CR4_OSFXSR;
	first.efer = EFER_LME | EFER_LMA;
}

/* With an I/O APIC of KVM's, too: without, it offers a directed EOI. */
static void open_kvm(uint8_t *memory)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = RAM_BYTES, .userspace_addr = (uintptr_t)memory,
	};
	int kvm = kvm_open("modprobe kvm-intel first");

	ram = memory;
	vm = kvm_call(kvm, KVM_CREATE_VM, NULL, "VM");
	kvm_disable_quirks(vm);
	kvm_call(vm, KVM_CREATE_IRQCHIP, NULL, "local APICs");
	kvm_call(vm, KVM_SET_USER_MEMORY_REGION, &region, "memory");
	vcpu = kvm_call(vm, KVM_CREATE_VCPU, NULL, "vCPU");
	page = kvm_map(vcpu, kvm_call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "its page"));
	kvm_ask_vee();
	kvm_set_cpuid(vcpu);
	make_sregs();
	kvm_start_ticks(TICK_US);
}

/* One that nobody hears is an error of its own. */
static void signal_kvm(uint32_t address, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = address, .data = data };

	if (ioctl(vm, KVM_SIGNAL_MSI, &msi) < 0 && errno != EPERM)
		err(1, "KVM: MSI");
}

/* --- state ------------------------------------------------------------------------------- */

static uint32_t reg_of(const struct kvm_lapic_state *regs, uint32_t offset)
{
	uint32_t value;

	memcpy(&value, regs->regs + offset, sizeof(value));
	return value;
}

static void set_reg(struct kvm_lapic_state *regs, uint32_t offset, uint32_t value)
{
	memcpy(regs->regs + offset, &value, sizeof(value));
}

/* SDM 3A, "Local APIC State After Power-Up or Reset", but for @svr. */
static void load_apic(uint32_t svr)
{
	struct kvm_lapic_state regs = { 0 };

	set_reg(&regs, DFR, UINT32_MAX);
	set_reg(&regs, SVR, svr);
	for (unsigned int i = 0; i < LVTS; i++)
		set_reg(&regs, LVT_TIMER + 0x10 * i, LVT_MASKED);
	kvm_call(vcpu, KVM_SET_LAPIC, &regs, "local APIC");
}

static uint64_t get_deadline(void)
{
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = { .list.nmsrs = 1 };

	one.list.entries[0].index = MSR_DEADLINE;
	kvm_call(vcpu, KVM_GET_MSRS, &one, "IA32_TSC_DEADLINE");
	return one.list.entries[0].data;
}

static void save_apic(uint64_t base, struct vee_apic *to)
{
	struct kvm_lapic_state regs;

	kvm_call(vcpu, KVM_GET_LAPIC, &regs, "local APIC");
	*to = (struct vee_apic) {
		.base = base, .tsc_deadline = get_deadline(),
		.icr = reg_of(&regs, ICR) | (uint64_t)reg_of(&regs, ICR_HIGH) << 32,
		.tpr = reg_of(&regs, TPR), .ldr = reg_of(&regs, LDR), .dfr = reg_of(&regs, DFR),
		.svr = reg_of(&regs, SVR), .esr = reg_of(&regs, ESR),
		.initial_count = reg_of(&regs, INITIAL_COUNT), .divide = reg_of(&regs, DIVIDE),
	};
	for (unsigned int i = 0; i < LVTS; i++)
		to->lvt[i] = reg_of(&regs, LVT_TIMER + 0x10 * i);
	for (unsigned int i = 0; i < 8; i++) {
		to->irr[i] = reg_of(&regs, IRR + 0x10 * i);
		to->isr[i] = reg_of(&regs, ISR + 0x10 * i);
		to->tmr[i] = reg_of(&regs, TMR + 0x10 * i);
	}
}

static void load(const struct guest *g)
{
	struct kvm_vcpu_events none = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
		KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM };
	struct kvm_mp_state runs = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = {
		.rip = GPA_CODE, .rsp = GPA_STACK, .rsi = GPA_OPS, .rdi = GPA_RESULTS,
		.r10 = GPA_TAKEN, .rflags = 2,
	};

	kvm_call(vcpu, KVM_SET_VCPU_EVENTS, &none, "events");
	first.apic_base = g->base;
	kvm_call(vcpu, KVM_SET_SREGS, &first, "registers");
	kvm_call(vcpu, KVM_SET_REGS, &regs, "registers");
	load_apic(g->svr);
	kvm_call(vcpu, KVM_SET_MP_STATE, &runs, "state");
	page->cr8 = 0;
}

static void save(const struct guest *g, struct outcome *outcome)
{
	struct kvm_sregs sregs;
	struct kvm_regs r;

	kvm_call(vcpu, KVM_GET_REGS, &r, "registers");
	kvm_call(vcpu, KVM_GET_SREGS, &sregs, "registers");
	outcome->regs = kvm_regs_from(&r);
	outcome->cr8 = sregs.cr8;
	save_apic(sregs.apic_base, &outcome->apic);
	get_results(ram, g, outcome);
}

/* --- exits ------------------------------------------------------------------------------- */

/* An INIT has it at its first instruction, and there is no memory. */
static bool is_reset(void)
{
	struct kvm_sregs sregs;

	kvm_call(vcpu, KVM_GET_SREGS, &sregs, "registers");
	return sregs.cs.selector == RESET_CS;
}

static void do_exit(struct outcome *outcome)
{
	uint32_t value = 0;

	switch (page->exit_reason) {
	case KVM_EXIT_IO:
		memcpy(&value, (uint8_t *)page + page->io.data_offset, page->io.size);
		outcome->end = do_port(&engine_kvm, ram, page->io.port, value);
		break;
	case KVM_EXIT_MMIO:
		if (is_reset())
			outcome->end = IS_RESET;
		else if (!page->mmio.is_write)
			memset(page->mmio.data, NOBODY, page->mmio.len);
		break;
	case KVM_EXIT_SHUTDOWN:
		outcome->end = IS_SHUTDOWN;
		break;
	case KVM_EXIT_SET_TPR:
		break;
	default:
		if (is_reset())
			outcome->end = IS_RESET;
		else
			stick(outcome, page->exit_reason);
	}
}

/* To the next exit; false: there is none. */
static bool run_once(struct outcome *outcome)
{
	int error = kvm_run_once(vcpu);

	if (error == EINTR)
		outcome->end = IS_ENDLESS;
	else if (error)
		stick(outcome, error);
	return !error;
}

/* Of the last exit nothing is to be done when the next guest begins. */
static void finish(void)
{
	page->immediate_exit = 1;
	while (!ioctl(vcpu, KVM_RUN, 0))
		;
	page->immediate_exit = 0;
}

static void run(const struct guest *g, struct outcome *outcome)
{
	memcpy(ram, pristine, RAM_BYTES);
	load(g);
	*outcome = (struct outcome) { 0 };
	while (!outcome->end)
		if (run_once(outcome))
			do_exit(outcome);
	save(g, outcome);
	finish();
}

const struct engine engine_kvm = {
	.name = "KVM",
	.open = open_kvm,
	.run = run,
	.signal = signal_kvm,
};
