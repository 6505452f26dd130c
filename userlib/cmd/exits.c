// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee run": what an exit of the guest asks for. */
#include <errno.h>
#include <string.h>

#include "cmd.h"

#define VECTOR_UD	6
#define VECTOR_GP	13
#define RFLAGS_TF	0x100ULL
#define REASON_TASK_SWITCH	9	/* SDM 3C, appendix "VMX Basic Exit Reasons" */

static int access_port(void *arg, uint16_t port, void *data, unsigned int bytes,
		       bool write)
{
	struct machine *machine = arg;

	machine_access(machine, &machine->ports, port, data, bytes, write);
	return 0;
}

static int access_memory(void *arg, uint64_t gpa, void *data,
			 unsigned int bytes, bool write)
{
	struct machine *machine = arg;

	machine_access(machine, &machine->memory, gpa, data, bytes, write);
	return 0;
}

/* Whatever the exit was: INS and OUTS may be between a port and a device's memory. */
static int do_access(struct cpu *cpu)
{
	const struct vee_bus bus = {
		.memory = access_memory, .port = access_port, .arg = cpu->machine,
	};

	return vee_assist(cpu->vcpu, &bus);
}

void exit_show_last(struct cpu *cpu)
{
	const struct machine *machine = cpu->machine;

	if (cpu->vcpu->page->exit.reason == VEE_EXIT_NONE)
		return;
	if (machine->cpu_count > 1)
		fprintf(stderr, "  CPU %u's last exits, the latest first:\n",
			(unsigned int)(cpu - machine->cpus));
	else
		fputs("  the last exits, the latest first:\n", stderr);
	vee_dump_exits(cpu->vcpu, stderr);
}

/* After fail_cpu(), which is silent, as this is, if another one ends the guest. */
static int explain(struct cpu *cpu)
{
	if (!cpu_ends_machine(cpu))
		return STATUS_FAILED;
	vee_explain(cpu->vcpu, stderr);
	exit_show_last(cpu);
	return STATUS_FAILED;
}

/* The explanation's first line is about this guest, too. */
int exit_give_up(struct cpu *cpu)
{
	if (cpu_ends_machine(cpu)) {
		machine_flush(cpu->machine);
		fprintf(stderr, "%s: ", cpu->name);
	}
	return explain(cpu);
}

static int on_entry_failure(struct cpu *cpu)
{
	const char *dump = cpu->machine->options->dump;

	exit_give_up(cpu);
	if (dump && cpu_ends_machine(cpu))
		dump_save(cpu->vcpu, dump);
	return STATUS_FAILED;
}

static int on_request(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;

	if (!cpu_ends_machine(cpu))
		return STATUS_OK;
	machine_flush(machine);
	if (machine->pc.request == PC_EXIT)
		return machine->pc.exit_status;
	fprintf(stderr, "%s: the guest has %s\n", machine->name,
		machine->pc.request == PC_RESET ? "reset the machine" :
						  "switched itself off");
	return STATUS_OK;
}

static int on_pio(struct cpu *cpu)
{
	int err = do_access(cpu);

	if (err) {
		fail_cpu(cpu, "can't do the guest's access to port %#x: %s",
			 cpu->vcpu->page->exit.pio.port, strerror(-err));
		return explain(cpu);
	}
	return cpu->machine->pc.request == PC_NONE ? GO_ON : on_request(cpu);
}

static int on_mmio(struct cpu *cpu)
{
	const struct vee_exit_memory *memory =
		&cpu->vcpu->page->exit.memory;
	int err = do_access(cpu);

	if (!err)
		return GO_ON;
	if (err == -EOPNOTSUPP && memory->access & VEE_EXECUTE)
		fail_cpu(cpu, "the guest ran to %#llx, where it has no memory",
			 (unsigned long long)memory->gpa);
	else if (err == -EOPNOTSUPP)
		fail_cpu(cpu, "an access to %#llx by what vee can't do there",
			 (unsigned long long)memory->gpa);
	else
		fail_cpu(cpu, "can't do the guest's access to %#llx: %s",
			 (unsigned long long)memory->gpa, strerror(-err));
	return explain(cpu);
}

static int on_memory(struct cpu *cpu)
{
	const struct vee_exit_memory *memory = &cpu->vcpu->page->exit.memory;

	if (memory->error == -EACCES && memory->access & VEE_WRITE)
		return on_mmio(cpu);	/* the ROM */
	return exit_give_up(cpu);
}

/* With interrupts on it sleeps in the kernel, and none of it is seen here; see halt.c. */
static int on_hlt(struct cpu *cpu)
{
	int err = vee_vcpu_sync(cpu->vcpu, VEE_STATE_REGS);

	if (err)
		return fail_cpu(cpu, "can't read the guest's registers: %s",
				strerror(-err));
	if (!(cpu->vcpu->page->regs.rflags & RFLAGS_TF))
		return halt_is_end(cpu) ? STATUS_OK : GO_ON;
	/* The single step's trap ends it (SDM 2A, "HLT-Halt"). */
	vee_done(cpu->vcpu);
	return GO_ON;
}

static int on_rdmsr(struct cpu *cpu)
{
	uint64_t value;

	if (msr_read(cpu, cpu->vcpu->page->exit.msr.index, &value))
		vee_done_rdmsr(cpu->vcpu, value);
	else
		vee_inject_exception_error(cpu->vcpu, VECTOR_GP, 0);
	return GO_ON;
}

static int on_wrmsr(struct cpu *cpu)
{
	const struct vee_exit_msr *msr = &cpu->vcpu->page->exit.msr;

	if (msr_write(cpu, msr->index, msr->value))
		vee_done(cpu->vcpu);
	else
		vee_inject_exception_error(cpu->vcpu, VECTOR_GP, 0);
	return GO_ON;
}

/* As on a CPU with nobody to call. */
static int on_hypercall(struct cpu *cpu)
{
	vee_inject_exception(cpu->vcpu, VECTOR_UD);
	return GO_ON;
}

/* The end of an interrupt that the I/O APIC asked to be told of. */
static int on_eoi(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;

	pthread_mutex_lock(&machine->lock);
	pc_eoi(&machine->pc, cpu->vcpu->page->exit.eoi.vector);
	pthread_mutex_unlock(&machine->lock);
	return GO_ON;
}

static int on_nothing(struct cpu *cpu)
{
	(void)cpu;
	return GO_ON;
}

static int on_task_switch(struct cpu *cpu)
{
	int err = vee_task_switch_assist(cpu->vcpu);

	if (!err)
		return GO_ON;
	if (err == -ENOTRECOVERABLE)
		fail_cpu(cpu, "the guest has shut down (triple fault) in a task switch");
	else
		fail_cpu(cpu, "can't switch the guest to the task %#llx: %s",
			 (unsigned long long)cpu->vcpu->page->exit.qualification & UINT16_MAX,
			strerror(-err));
	return explain(cpu);
}

static int on_other(struct cpu *cpu)
{
	const struct vee_exit *exit = &cpu->vcpu->page->exit;

	if (exit->reason == VEE_EXIT_OTHER && exit->hardware_reason == REASON_TASK_SWITCH)
		return on_task_switch(cpu);
	return exit_give_up(cpu);
}

static int (*const handlers[])(struct cpu *cpu) = {
	[VEE_EXIT_NONE] = on_nothing,
	[VEE_EXIT_INTERRUPTED] = on_nothing,
	[VEE_EXIT_KICKED] = on_nothing,
	[VEE_EXIT_DEADLINE] = on_nothing,
	[VEE_EXIT_PIO] = on_pio,
	[VEE_EXIT_MMIO] = on_mmio,
	[VEE_EXIT_MEMORY] = on_memory,
	[VEE_EXIT_HLT] = on_hlt,
	[VEE_EXIT_HYPERCALL] = on_hypercall,
	[VEE_EXIT_RDMSR] = on_rdmsr,
	[VEE_EXIT_WRMSR] = on_wrmsr,
	[VEE_EXIT_INTERRUPT_WINDOW] = on_nothing,
	[VEE_EXIT_EOI] = on_eoi,
	[VEE_EXIT_SHUTDOWN] = exit_give_up,
	[VEE_EXIT_ENTRY_FAILED] = on_entry_failure,
};

int exit_handle(struct cpu *cpu)
{
	uint32_t reason = cpu->vcpu->page->exit.reason;

	if (reason < sizeof(handlers) / sizeof(*handlers) && handlers[reason])
		return handlers[reason](cpu);
	return on_other(cpu);
}
