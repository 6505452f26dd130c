// SPDX-License-Identifier: LGPL-2.1-or-later
/* What each exit is about, and what it waits for. */
#include <stdlib.h>

#include "explain.h"

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* --- memory --- */

static const char *access_name(unsigned int access)
{
	if (access & VEE_EXECUTE)
		return "fetches an instruction";
	return access & VEE_WRITE ? "writes" : "reads";
}

#define RANGES_SHOWN	3

static void say_memory_of(struct text *text, const struct vee_vm *vm)
{
	char words[CLAUSE_BYTES] = "";
	struct range *ranges;
	int count = vm_ram(vm, &ranges), at = 0;

	for (int i = 0; i < count && i < RANGES_SHOWN; i++)
		at += snprintf(words + at, sizeof(words) - at, "%s%#llx to %#llx", i ? ", " : "",
			       U(ranges[i].gpa), U(ranges[i].end - 1));
	if (count == 0)
		say(text, "  the VM has no memory: vee_vm_alloc(), vee_vm_map()");
	else if (count > 0)
		say(text, "  it has memory to read and write at gpa %s%s", words,
		    count > RANGES_SHOWN ? " and elsewhere" : "");
	free(count < 0 ? NULL : ranges);
}

static const struct vee_segment *code_segment(const struct scratch *scratch)
{
	return &scratch->page.segments.cs;
}

/* SDM 3B, "Real-Address Mode Operation": a selector is a 16th of its base. */
static bool meant_selector(const struct scratch *scratch, const struct vee_exit_memory *memory,
			   uint64_t *gpa)
{
	const struct vee_segment *cs = code_segment(scratch);

	*gpa = cs->selector + scratch->page.regs.rip;
	return !(scratch->page.control.cr0 & CR0_PE) && memory->access & VEE_EXECUTE &&
	       cs->selector && cs->base == (uint64_t)cs->selector << 4 &&
	       !(cs->selector & 0xf) && vm_at_for(scratch->vcpu.vm, *gpa, 1, VEE_EXECUTE);
}

/* How far from RSP an access is still to the stack, and not by chance. */
#define STACK_REACH	128

static bool is_stack(const struct scratch *scratch, const struct vee_exit_memory *memory)
{
	uint64_t top = guest_linear(&scratch->guest, SEG_SS, scratch->page.regs.rsp);

	return memory->gva_valid && !(memory->access & VEE_EXECUTE) &&
	       memory->gva - (top - STACK_REACH) < 2 * STACK_REACH;
}

static void say_hints(struct text *text, const struct scratch *scratch,
		      const struct vee_exit_memory *memory)
{
	const struct vee_segment *cs = code_segment(scratch);
	uint64_t meant;

	if (memory->walk)
		say(text, "  the CPU itself does, for a page table: CR3 or an entry leads there");
	if (meant_selector(scratch, memory, &meant))
		say(text, "  CS %#x begins at 16 times that, %#llx; for code at %#llx it is %#x",
		    cs->selector, U(cs->base), U(meant), cs->selector >> 4);
	if (is_stack(scratch, memory))
		say(text, "  it is the stack: SS:RSP is gva %#llx",
		    U(guest_linear(&scratch->guest, SEG_SS, scratch->page.regs.rsp)));
	if (scratch->page.events.delivering.flags & VEE_EVENT_VALID)
		say(text, "  on the way to the handler of vector %u, whose delivery waits",
		    scratch->page.events.delivering.vector);
}

static void say_walk(struct text *text, struct scratch *scratch,
		     const struct vee_exit_memory *memory)
{
	uint64_t gpa;

	if (!memory->gva_valid || !(scratch->page.control.cr0 & CR0_PG) ||
	    (memory->walk && memory->error && memory->error != -EACCES))
		return;
	guest_walk(&scratch->guest, memory->gva,
		   memory->access & (VEE_READ | VEE_WRITE | VEE_EXECUTE), &gpa);
	tables_say(text, scratch);
	scratch_forget(scratch);
}

static void say_access(struct text *text, const struct vee_exit_memory *memory,
		       const char *what)
{
	if (memory->gva_valid)
		say(text, "the guest %s at gpa %#llx (gva %#llx), %s",
		    access_name(memory->access), U(memory->gpa), U(memory->gva), what);
	else
		say(text, "the guest %s at gpa %#llx, %s", access_name(memory->access),
		    U(memory->gpa), what);
}

static void on_mmio(struct text *text, struct scratch *scratch)
{
	const struct vee_exit_memory *memory = &scratch->page.exit.memory;
	struct vee_vm *vm = scratch->vcpu.vm;

	if (memory->apic) {
		say_access(text, memory, "in its local APIC: vee_mmio_assist() does it");
	} else if (vm_at_for(vm, memory->gpa, 1, 0)) {
		say_access(text, memory, "where the VM had no memory");
		say(text, "  now it has: mapped after the access. Run again, without vee_done()");
	} else {
		say_access(text, memory, "where the VM has no memory");
		say_memory_of(text, vm);
	}
	say_hints(text, scratch, memory);
	say_walk(text, scratch, memory);
}

static const char *memory_error(const struct vee_exit_memory *memory)
{
	switch (memory->error) {
	case -EACCES:
		if (memory->access & VEE_EXECUTE)
			return "which its slot forbids: map it with VEE_EXECUTE";
		return memory->access & VEE_WRITE ?
		       "which its slot forbids: map it with VEE_WRITE, or see vee_mmio_assist()" :
		       "which its slot forbids: map it with VEE_READ";
	case -EFAULT:
		return "where this process has nothing mapped, or may not do that itself";
	case -ENOSPC:
		return "and its slot's pool is used up: vee_vm_template_reset(), or a larger one";
	case -EHWPOISON:
		return "where the host's memory is broken";
	default:
		return "for which the host has no memory left";
	}
}

static void on_memory(struct text *text, struct scratch *scratch)
{
	const struct vee_exit_memory *memory = &scratch->page.exit.memory;

	say_access(text, memory, memory_error(memory));
	say_hints(text, scratch, memory);
	say_walk(text, scratch, memory);
}

/* --- instructions --- */

static void on_pio(struct text *text, struct scratch *scratch)
{
	const struct vee_exit_pio *pio = &scratch->page.exit.pio;

	if (pio->string || pio->rep)
		say(text, "the guest %s port %#x, %llu time%s %u byte%s: vee_pio_assist() does it",
		    pio->direction == VEE_PIO_OUT ? "writes to" : "reads", pio->port,
		    U(pio->count), plural(pio->count), pio->width, plural(pio->width));
	else if (pio->direction == VEE_PIO_OUT)
		say(text, "the guest writes %#llx, %u byte%s, to port %#x; then vee_done()",
		    U(pio->data), pio->width, plural(pio->width), pio->port);
	else
		say(text, "the guest reads %u byte%s from port %#x; the answer is vee_done_in()",
		    pio->width, plural(pio->width), pio->port);
}

static void on_hlt(struct text *text, struct scratch *scratch)
{
	say(text, "the guest waits (HLT), with interrupts %s: RFLAGS.IF is %d",
	    scratch->page.regs.rflags & RFLAGS_IF ? "on" : "off, so that none can wake it",
	    !!(scratch->page.regs.rflags & RFLAGS_IF));
}

static void on_hypercall(struct text *text, struct scratch *scratch)
{
	const struct vee_exit_hypercall *call = &scratch->page.exit.hypercall;

	say(text, "the guest calls its hypervisor (VMCALL, CPL %u, RAX %#llx); then vee_done()",
	    call->cpl, U(scratch->page.regs.rax));
}

static void on_rdmsr(struct text *text, struct scratch *scratch)
{
	say(text, "the guest reads MSR %#x; the answer is vee_done_rdmsr() or #GP",
	    scratch->page.exit.msr.index);
}

static void on_wrmsr(struct text *text, struct scratch *scratch)
{
	const struct vee_exit_msr *msr = &scratch->page.exit.msr;

	say(text, "the guest writes %#llx to MSR %#x; then vee_done() or #GP",
	    U(msr->value), msr->index);
}

static void on_cpuid(struct text *text, struct scratch *scratch)
{
	const struct vee_exit_cpuid *cpuid = &scratch->page.exit.cpuid;

	say(text, "the guest asks for CPUID leaf %#x, subleaf %#x; the answer is vee_done_cpuid()",
	    cpuid->leaf, cpuid->subleaf);
}

static void on_debug(struct text *text, struct scratch *scratch)
{
	const struct vee_exit_debug *debug = &scratch->page.exit.debug;

	if (debug->step)
		say(text, "a single step is done (VEE_INTERCEPT_STEP)");
	else if (debug->vector == VECTOR_DB)
		say(text, "#DB, which the caller intercepts; DR6 would be %#llx", U(debug->dr6));
	else
		say(text, "#BP (INT3), which the caller intercepts");
}

static void on_descriptor(struct text *text, struct scratch *scratch)
{
	(void)scratch;
	say(text, "the guest loads or stores a table register: vee_mmio_assist() does it");
}

/* --- ends of runs --- */

static void on_none(struct text *text, struct scratch *scratch)
{
	(void)scratch;
	say(text, "the vCPU has not run yet, or its last run failed");
}

static void on_interrupted(struct text *text, struct scratch *scratch)
{
	(void)scratch;
	say(text, "a signal has ended the run: run again");
}

static void on_kicked(struct text *text, struct scratch *scratch)
{
	(void)scratch;
	say(text, "vee_vcpu_kick() has ended the run");
}

static void on_deadline(struct text *text, struct scratch *scratch)
{
	say(text, "the run has had its %llu ns (deadline_ns)", U(scratch->page.deadline_ns));
}

static void on_window(struct text *text, struct scratch *scratch)
{
	say(text, "the guest can take an %s now",
	    scratch->page.exit.reason == VEE_EXIT_NMI_WINDOW ? "NMI" : "interrupt");
}

static void on_tpr(struct text *text, struct scratch *scratch)
{
	say(text, "CR8 is %llu, below tpr_threshold, %u", U(scratch->page.control.cr8),
	    scratch->page.tpr_threshold);
}

static void on_eoi(struct text *text, struct scratch *scratch)
{
	say(text, "the guest has ended the level-triggered interrupt %#x",
	    scratch->page.exit.eoi.vector);
}

static void on_shutdown(struct text *text, struct scratch *scratch)
{
	(void)scratch;
	say(text, "the guest has shut down: a triple fault");
}

/* SDM 3C, appendix "VMX Basic Exit Reasons". */
#define REASON_EXCEPTION	0
#define REASON_TASK_SWITCH	9

static void on_other(struct text *text, struct scratch *scratch)
{
	const struct vee_exit *exit = &scratch->page.exit;

	if (exit->hardware_reason == REASON_TASK_SWITCH)
		say(text, "the guest switches to the task %#x: vee_task_switch_assist() does it",
		    (unsigned int)(exit->qualification & UINT16_MAX));
	else if (exit->hardware_reason == REASON_EXCEPTION)
		say(text, "a split lock: boot the host with split_lock_detect=ratelimit");
	else
		say(text, "the guest did what vee doesn't do: %s (reason %#x, qualification %#llx)",
		    vee_hardware_reason_name(exit->hardware_reason), exit->hardware_reason,
		    U(exit->qualification));
}

static void (*const sayers[])(struct text *text, struct scratch *scratch) = {
	[VEE_EXIT_NONE] = on_none,
	[VEE_EXIT_INTERRUPTED] = on_interrupted,
	[VEE_EXIT_KICKED] = on_kicked,
	[VEE_EXIT_DEADLINE] = on_deadline,
	[VEE_EXIT_PIO] = on_pio,
	[VEE_EXIT_MMIO] = on_mmio,
	[VEE_EXIT_MEMORY] = on_memory,
	[VEE_EXIT_HLT] = on_hlt,
	[VEE_EXIT_HYPERCALL] = on_hypercall,
	[VEE_EXIT_RDMSR] = on_rdmsr,
	[VEE_EXIT_WRMSR] = on_wrmsr,
	[VEE_EXIT_CPUID] = on_cpuid,
	[VEE_EXIT_DEBUG] = on_debug,
	[VEE_EXIT_INTERRUPT_WINDOW] = on_window,
	[VEE_EXIT_NMI_WINDOW] = on_window,
	[VEE_EXIT_SHUTDOWN] = on_shutdown,
	[VEE_EXIT_ENTRY_FAILED] = entry_say,
	[VEE_EXIT_OTHER] = on_other,
	[VEE_EXIT_TPR] = on_tpr,
	[VEE_EXIT_DESCRIPTOR] = on_descriptor,
	[VEE_EXIT_EOI] = on_eoi,
};

void exit_say(struct text *text, struct scratch *scratch)
{
	uint32_t reason = scratch->page.exit.reason;

	if (reason < sizeof(sayers) / sizeof(*sayers) && sayers[reason])
		sayers[reason](text, scratch);
	else
		say(text, "the exit %u, which this library doesn't know", reason);
}
