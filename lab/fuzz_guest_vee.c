// SPDX-License-Identifier: GPL-2.0-only
/* The fuzzer's guests under vee, with libvee for what exits. */
#include <stdlib.h>

#include "fuzz_guest.h"
#include "fuzz_kvm.h"
#include "live.h"

#define GP_VECTOR	13
#define TASK_SWITCH	9

static struct vee_vm *vm;
static struct vee_vcpu *vcpu, *first, *plain;
static uint8_t *ram;
/* All that a new vCPU has; what a guest begins with is put into it. */
static struct vee_vcpu_state state;
static uint8_t area[XSAVE_BYTES] __attribute__((aligned(64)));

struct vee_vcpu *vee_scratch(void)
{
	return vcpu;
}

static void touch_all(uint8_t *memory, uint32_t gpa, uint32_t bytes)
{
	for (uint32_t at = 0; at < bytes; at += PAGE_BYTES) {
		make_touch(memory + at);
		vee_vcpu_set_protected_mode(vcpu, gpa + at);
		vcpu->page->regs.rcx = 1;
		vcpu->page->regs.rsi = gpa + at;
		check(run_vcpu(vcpu), "a page's first touch");
	}
}

/*
 * For a basic leaf above the highest KVM has what the highest has; a leaf that vee's table
 * has not is zeros (struct vee_cpuid). So the highest is zeros, too.
 */
static void set_cpuid(void)
{
	struct vee_cpuid_entry entries[VEE_MAX_CPUID];
	unsigned int count = VEE_MAX_CPUID - 1, highest = 0;

	check(vee_vcpu_get_cpuid(vcpu, entries, &count), "CPUID");
	for (unsigned int i = 0; i < count; i++)
		if (!entries[i].leaf)
			highest = ++entries[i].eax;
	entries[count] = (struct vee_cpuid_entry) { .leaf = highest };
	check(vee_vcpu_set_cpuid(vcpu, entries, count + 1), "CPUID");
}

static struct vee_vcpu *make_vm(uint8_t *memory)
{
	const unsigned int all = VEE_READ | VEE_WRITE | VEE_EXECUTE;

	check(vee_vm_create(&vm), "VM");
	check(vee_vm_map(vm, 0, memory, RAM_BYTES, all), "memory");
	check(vee_vcpu_create(vm, 0, &vcpu), "vCPU");
	set_cpuid();
	touch_all(memory, 0, RAM_BYTES);
	return vcpu;
}

static void open_vee(uint8_t *memory)
{
	struct vee_info info;

	ram = memory;
	check(vee_get_info(&info), "vee");
	check(info.xsave_bytes <= XSAVE_BYTES ? 0 : -E2BIG, "the XSAVE area");
	first = make_vm(memory);
	state.size = sizeof(state);
	state.skip = VEE_STATE_CPUID;
	state.xsave = (uintptr_t)area;
	state.xsave_bytes = info.xsave_bytes;
	check(vee_vcpu_save(vcpu, &state), "the state of a new vCPU");
	state.prefetch = VEE_STATE_ALL | VEE_PREFETCH_INSN;
	state.deadline_ns = PATIENCE_NS;
}

static void open_plain(uint8_t *memory)
{
	plain = make_vm(memory);
	check(vee_vm_map(vm, GPA_MMIO, device, MMIO_BYTES,
			 VEE_READ | VEE_WRITE | VEE_EXECUTE), "memory");
	touch_all(device, GPA_MMIO, MMIO_BYTES);
	vcpu = first;
}

int vee_answers(struct vee_cpuid_entry *entries, unsigned int *count)
{
	return vee_vcpu_get_cpuid(vcpu, entries, count);
}

/* As MOV to CR3 loads them: SDM 3A, "PDPTE Registers". */
static void load_pdptes(void)
{
	uint64_t gpa = state.control.cr3 & ~0x1fULL & UINT32_MAX;

	memset(state.pdpte, 0, sizeof(state.pdpte));
	if (state.control.cr0 & CR0_PG && state.control.cr4 & CR4_PAE &&
	    !(state.control.efer & EFER_LMA))
		vee_vm_read(vm, gpa, state.pdpte, sizeof(state.pdpte));
}

int vee_load_start(const struct start *start)
{
	int ret;

	memcpy(ram, start->memory, RAM_BYTES);
	state.regs = start->state.regs;
	state.segments = start->state.segments;
	state.control = start->state.control;
	state.debug = start->state.debug;
	state.msrs = start->state.msrs;
	state.debugctl = start->state.debugctl;
	state.events = (struct vee_events) { .interruptibility = start->state.blocking };
	memcpy(area, start->state.xsave, sizeof(area));
	load_pdptes();
	ret = vee_vcpu_load(vcpu, &state);
	vcpu->page->inject = start->inject;
	return ret;
}

void vee_write_field(uint32_t encoding, uint64_t value)
{
	vee_vcpu_vmcs_write(vcpu, encoding, value);
}

/* --- exits ------------------------------------------------------------------------------ */

static bool note(struct trail *trail, enum stop stop, uint64_t what, uint64_t value)
{
	const struct vee_vcpu_page *page = vcpu->page;
	struct step *step = next_step(trail, stop, what, value);

	if (!step)
		return false;
	step->regs = page->regs;
	step->segments = page->segments;
	step->control = page->control;
	step->blocking = page->events.interruptibility &
			 (VEE_BLOCKING_BY_STI | VEE_BLOCKING_BY_MOV_SS);
	return stop < END_HLT;
}

/* KVM is past it by then. */
static void go_past_hlt(void)
{
	struct vee_vcpu_page *page = vcpu->page;

	page->regs.rip += page->exit.instruction_length;
	if (!(page->segments.cs.access_rights & VEE_AR_L && page->control.efer & EFER_LMA))
		page->regs.rip &= UINT32_MAX;
	page->regs.rflags &= ~RFLAGS_RF;
	page->events.interruptibility = 0;
}

static bool assist(struct trail *trail)
{
	const struct vee_bus bus = { .memory = touch_memory, .port = touch_port, .arg = trail };
	int ret;

	trail->rip = vcpu->page->segments.cs.base + vcpu->page->regs.rip;
	ret = vee_assist(vcpu, &bus);

	return !ret || note(trail, END_CANNOT, vcpu->page->exit.reason, -ret);
}

static bool do_port(struct trail *trail)
{
	const struct vee_exit_pio *pio = &vcpu->page->exit.pio;

	if (!pio->string && !note(trail, GO_PORT, pio->port | pio->width << 16 |
				  pio->direction << 24, pio->data))
		return false;
	return assist(trail);
}

static bool do_msr(struct trail *trail, bool write)
{
	const struct vee_exit_msr *msr = &vcpu->page->exit.msr;
	uint64_t value = msr->value;
	bool fine = msr_answer(msr->index, &value);

	if (!note(trail, write ? GO_WRMSR : GO_RDMSR, msr->index, write ? msr->value : 0))
		return false;
	if (!fine)
		vee_inject_exception_error(vcpu, GP_VECTOR, 0);
	else if (write)
		vee_done(vcpu);
	else
		vee_done_rdmsr(vcpu, value);
	return true;
}

static bool do_other(struct trail *trail)
{
	const struct vee_exit *exit = &vcpu->page->exit;
	int ret;

	if (exit->hardware_reason != TASK_SWITCH)
		return note(trail, END_CANNOT, exit->reason, exit->hardware_reason);
	ret = vee_task_switch_assist(vcpu);
	return !ret || note(trail, END_CANNOT, exit->reason, -ret);
}

/* Does it go on? */
static bool do_exit(struct trail *trail)
{
	const struct vee_exit *exit = &vcpu->page->exit;

	switch (exit->reason) {
	case VEE_EXIT_PIO:
		return do_port(trail);
	case VEE_EXIT_MMIO:
	case VEE_EXIT_MEMORY:
		return trail->bus_count < BUS_MAX ? assist(trail) : note(trail, END_ENOUGH, 0, 0);
	case VEE_EXIT_RDMSR:
	case VEE_EXIT_WRMSR:
		return do_msr(trail, exit->reason == VEE_EXIT_WRMSR);
	case VEE_EXIT_HLT:
		go_past_hlt();
		return note(trail, END_HLT, 0, 0);
	case VEE_EXIT_SHUTDOWN:
		return note(trail, END_SHUTDOWN, 0, 0);
	case VEE_EXIT_ENTRY_FAILED:
		return note(trail, END_REFUSED_ENTRY, exit->entry.instruction_error,
			    exit->hardware_reason);
	case VEE_EXIT_DEADLINE:
		return note(trail, END_LOOP, 0, 0);
	case VEE_EXIT_OTHER:
		return do_other(trail);
	default:
		return note(trail, END_CANNOT, exit->reason, 0);
	}
}

static void keep_end(struct trail *trail)
{
	const struct vee_vcpu_page *page = vcpu->page;

	trail->end.debug = page->debug;
	trail->end.msrs = page->msrs;
	check(vee_vcpu_vmcs_read(vcpu, 0x2802, &trail->end.debugctl), "IA32_DEBUGCTL");
	check(vee_vcpu_get_xsave(vcpu, trail->end.xsave, state.xsave_bytes), "XSAVE");
}

static void go(struct trail *trail)
{
	unsigned int exits = 0;
	int ret;

	do {
		/* ENTER and SYSENTER in turn, say: without end, and with nothing on the bus. */
		if (exits++ > EXITS_MAX) {
			note(trail, END_ENOUGH, 0, 0);
			return;
		}
		ret = run_vcpu(vcpu);
		if (ret) {
			note(trail, END_REFUSED, vcpu->page->refused, -ret);
			return;
		}
		check(vee_vcpu_sync(vcpu, VEE_STATE_ALL), "sync");
	} while (do_exit(trail));
}

static void run(const struct start *start, struct trail *trail, const struct trail *guide)
{
	int ret = vee_load_start(start);

	(void)guide;
	trail->step_count = 0;
	trail->bus_count = 0;
	if (ret) {
		next_step(trail, END_REFUSED, vcpu->page->refused, -ret);
		return;
	}
	go(trail);
	keep_end(trail);
}

/* What has been loaded already. */
void vee_run_wild(struct trail *trail, bool kicked)
{
	trail->step_count = 0;
	trail->bus_count = 0;
	if (kicked)
		check(vee_vcpu_kick(vcpu, vcpu->page->generation), "kick");
	go(trail);
}

static void run_plain(const struct start *start, struct trail *trail, const struct trail *guide)
{
	vcpu = plain;
	run(start, trail, guide);
	vcpu = first;
}

const struct engine engine_vee = {
	.name = "vee",
	.open = open_vee,
	.run = run,
};

const struct engine engine_plain = {
	.name = "the CPU",
	.open = open_plain,
	.run = run_plain,
};
