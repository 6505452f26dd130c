// SPDX-License-Identifier: GPL-2.0-only
/* The guests of the fuzzer of local APICs under vee. */
#include <err.h>
#include <errno.h>

#include "fuzz_apic.h"
#include "fuzz_kvm.h"
#include "live.h"

#define PATIENCE_NS	50000000

static struct vee_vm *vm;
static struct vee_vcpu *vcpu;
static uint8_t *ram;
/* All that a vCPU has that is about to begin with a guest's code. */
static struct vee_vcpu_state first;
static uint8_t area[PAGE_BYTES] __attribute__((aligned(64)));

int vee_answers(struct vee_cpuid_entry *entries, unsigned int *count)
{
	return vee_vcpu_get_cpuid(vcpu, entries, count);
}

static void set_regs(struct vee_regs *regs)
{
	regs->rip = GPA_CODE;
	regs->rsp = GPA_STACK;
	regs->rsi = GPA_OPS;
	regs->rdi = GPA_RESULTS;
	regs->r10 = GPA_TAKEN;
}

static void save_first(void)
{
	struct vee_info info;

	check(vee_get_info(&info), "vee");
	check(info.xsave_bytes <= sizeof(area) ? 0 : -E2BIG, "the XSAVE area");
	first = (struct vee_vcpu_state) {
		.size = sizeof(first), .skip = VEE_STATE_CPUID,
		.xsave = (uintptr_t)area, .xsave_bytes = info.xsave_bytes,
	};
	check(vee_vcpu_save(vcpu, &first), "the state of a vCPU");
	first.segments.gdtr = (struct vee_table) { .base = GPA_GDT, .limit = GDT_END - 1 };
	first.segments.idtr = (struct vee_table) { .base = GPA_IDT, .limit = PAGE_BYTES - 1 };
	set_regs(&first.regs);
	first.deadline_ns = PATIENCE_NS;
}

static void open_vee(uint8_t *memory)
{
	ram = memory;
	check(vee_vm_create_with(&vm, VEE_VM_LOCAL_APIC), "VM");
	check(vee_vm_map(vm, 0, memory, RAM_BYTES, VEE_READ | VEE_WRITE | VEE_EXECUTE), "memory");
	check(vee_vcpu_create(vm, 0, &vcpu), "vCPU");
	vee_vcpu_set_long_mode(vcpu, GPA_PML4, GPA_CODE);
	save_first();
}

static void signal_vee(uint32_t address, uint32_t data)
{
	check(vee_vm_signal(vm, address, data, data & LEVEL_TRIGGERED ? VEE_SIGNAL_LEVEL : 0),
	      "message");
}

/* --- exits ------------------------------------------------------------------------------- */

static int touch_memory(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	(void)arg;
	(void)gpa;
	if (!write)
		memset(data, NOBODY, bytes);
	return 0;
}

static int touch_port(void *arg, uint16_t port, void *data, unsigned int bytes, bool write)
{
	struct outcome *outcome = arg;
	uint32_t value = 0;

	(void)write;
	memcpy(&value, data, bytes);
	outcome->end = do_port(&engine_vee, ram, port, value);
	return 0;
}

/* An INIT has it at its first instruction, and there is no memory. */
static bool is_reset(void)
{
	return vcpu->page->segments.cs.selector == RESET_CS;
}

static void do_exit(struct outcome *outcome)
{
	const struct vee_bus bus = { .memory = touch_memory, .port = touch_port, .arg = outcome };

	check(vee_vcpu_sync(vcpu, VEE_STATE_SEGMENTS), "sync");
	switch (vcpu->page->exit.reason) {
	case VEE_EXIT_PIO:
	case VEE_EXIT_MMIO:
		if (is_reset())
			outcome->end = IS_RESET;
		else if (vee_assist(vcpu, &bus))
			stick(outcome, vcpu->page->exit.reason);
		break;
	case VEE_EXIT_EOI:
		break;
	case VEE_EXIT_DEADLINE:
		outcome->end = IS_ENDLESS;
		break;
	case VEE_EXIT_SHUTDOWN:
		outcome->end = IS_SHUTDOWN;
		break;
	default:
		stick(outcome, vcpu->page->exit.reason);
	}
}

static void run(const struct guest *g, struct outcome *outcome)
{
	struct vee_vcpu_state state = first;

	memcpy(ram, pristine, RAM_BYTES);
	state.apic.base = g->base;
	state.apic.svr = g->svr;
	check(vee_vcpu_load(vcpu, &state), "the beginning");
	*outcome = (struct outcome) { 0 };
	while (!outcome->end) {
		check(run_vcpu(vcpu), "run");
		do_exit(outcome);
	}
	check(vee_vcpu_sync(vcpu, VEE_STATE_ALL | VEE_STATE_APIC), "sync");
	outcome->regs = vcpu->page->regs;
	outcome->cr8 = vcpu->page->control.cr8;
	outcome->apic = vcpu->page->apic;
	get_results(ram, g, outcome);
}

const struct engine engine_vee = {
	.name = "vee",
	.open = open_vee,
	.run = run,
	.signal = signal_vee,
};
