// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee run": a program on a PC with a serial port, until it is done. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define VECTOR_UD	6
#define VECTOR_GP	13
#define RFLAGS_TF	0x100ULL
#define REASON_TASK_SWITCH	9	/* SDM 3C, appendix "VMX Basic Exit Reasons" */

/* --- interrupts --- */

/* Right now, by what the last exit said and what this one's handler asked for. */
static bool can_take_interrupt(const struct vee_vcpu_page *page)
{
	return page->exit.flags & VEE_EXIT_INTERRUPT_READY &&
	       !(page->exit.flags & VEE_EXIT_EVENT_PENDING) &&
	       !(page->inject.flags & VEE_EVENT_VALID);
}

/*
 * Which interrupt it is the controllers tell when it is taken, not before: until
 * then the guest may mask it, or a more urgent one may come.
 */
static void offer_interrupt(struct machine *machine)
{
	struct vee_vcpu_page *page = machine->vcpu->page;

	page->intercept &= ~VEE_INTERCEPT_INTERRUPT_WINDOW;
	if (!pc_interrupt_pending(&machine->pc) || gdb_is_stepping(machine))
		return;
	if (can_take_interrupt(page))
		vee_inject_interrupt(machine->vcpu, pc_acknowledge(&machine->pc));
	else
		page->intercept |= VEE_INTERCEPT_INTERRUPT_WINDOW;
}

/* --- before a run --- */

/* When the run has to end for the devices' sake; CLOCK_NEVER: it needn't. */
static uint64_t advance_devices(struct machine *machine)
{
	uint64_t next;

	console_make_room(machine);
	pthread_mutex_lock(&machine->lock);
	pc_advance(&machine->pc);
	offer_interrupt(machine);
	next = pc_next_ns(&machine->pc);
	pthread_mutex_unlock(&machine->lock);
	return next;
}

/* False: the guest's time is up. */
static bool prepare(struct machine *machine)
{
	struct vee_vcpu_page *page = machine->vcpu->page;
	uint64_t next = advance_devices(machine), now = clock_now(&host_clock);
	uint64_t end = machine->end_ns;

	if (end && now >= end)
		return false;
	if (end && end < next)
		next = end;
	if (next == CLOCK_NEVER)
		page->deadline_ns = 0;
	else
		page->deadline_ns = next > now ? next - now : 1;
	return true;
}

/* --- exits --- */

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
static int do_access(struct machine *machine)
{
	const struct vee_bus bus = {
		.memory = access_memory, .port = access_port, .arg = machine,
	};

	return vee_assist(machine->vcpu, &bus);
}

/* After a line, if any, of what the command itself could not do. */
static void show_exits(struct machine *machine)
{
	if (machine->vcpu->page->exit.reason == VEE_EXIT_NONE)
		return;
	fputs("  the last exits, the latest first:\n", stderr);
	vee_dump_exits(machine->vcpu, stderr);
}

static int explain(struct machine *machine)
{
	vee_explain(machine->vcpu, stderr);
	show_exits(machine);
	return STATUS_FAILED;
}

/* The explanation's first line is about this guest, too. */
static int give_up(struct machine *machine)
{
	machine_flush(machine);
	fprintf(stderr, "%s: ", machine->name);
	return explain(machine);
}

static int on_entry_failure(struct machine *machine)
{
	give_up(machine);
	if (machine->options->dump)
		dump_save(machine->vcpu, machine->options->dump);
	return STATUS_FAILED;
}

static int on_request(struct machine *machine)
{
	machine_flush(machine);
	if (machine->pc.request == PC_EXIT)
		return machine->pc.exit_status;
	fprintf(stderr, "%s: the guest has %s\n", machine->name,
		machine->pc.request == PC_RESET ? "reset the machine" :
						  "switched itself off");
	return STATUS_OK;
}

static int on_pio(struct machine *machine)
{
	int err = do_access(machine);

	if (err) {
		fail_of(machine, "can't do the guest's access to port %#x: %s",
			machine->vcpu->page->exit.pio.port, strerror(-err));
		return explain(machine);
	}
	return machine->pc.request == PC_NONE ? GO_ON : on_request(machine);
}

static int on_mmio(struct machine *machine)
{
	const struct vee_exit_memory *memory =
		&machine->vcpu->page->exit.memory;
	int err = do_access(machine);

	if (!err)
		return GO_ON;
	if (err == -EOPNOTSUPP && memory->access & VEE_EXECUTE)
		fail_of(machine, "the guest ran to %#llx, where it has no memory",
			(unsigned long long)memory->gpa);
	else if (err == -EOPNOTSUPP)
		fail_of(machine, "an access to %#llx by what vee can't do there",
			(unsigned long long)memory->gpa);
	else
		fail_of(machine, "can't do the guest's access to %#llx: %s",
			(unsigned long long)memory->gpa, strerror(-err));
	return explain(machine);
}

static int on_memory(struct machine *machine)
{
	const struct vee_exit_memory *memory = &machine->vcpu->page->exit.memory;

	if (memory->error == -EACCES && memory->access & VEE_WRITE)
		return on_mmio(machine);	/* the ROM */
	return give_up(machine);
}

/* With interrupts on it sleeps in the kernel, and none of it is seen here. */
static int on_hlt(struct machine *machine)
{
	int err = vee_vcpu_sync(machine->vcpu, VEE_STATE_REGS);

	if (err)
		return fail_of(machine, "can't read the guest's registers: %s", strerror(-err));
	if (!(machine->vcpu->page->regs.rflags & RFLAGS_TF))
		return STATUS_OK;
	/* The single step's trap ends it (SDM 2A, "HLT-Halt"). */
	vee_done(machine->vcpu);
	return GO_ON;
}

static int on_rdmsr(struct machine *machine)
{
	uint64_t value;

	if (msr_read(machine, machine->vcpu->page->exit.msr.index, &value))
		vee_done_rdmsr(machine->vcpu, value);
	else
		vee_inject_exception_error(machine->vcpu, VECTOR_GP, 0);
	return GO_ON;
}

static int on_wrmsr(struct machine *machine)
{
	const struct vee_exit_msr *msr = &machine->vcpu->page->exit.msr;

	if (msr_write(machine, msr->index, msr->value))
		vee_done(machine->vcpu);
	else
		vee_inject_exception_error(machine->vcpu, VECTOR_GP, 0);
	return GO_ON;
}

/* As on a CPU with nobody to call. */
static int on_hypercall(struct machine *machine)
{
	vee_inject_exception(machine->vcpu, VECTOR_UD);
	return GO_ON;
}

static int on_nothing(struct machine *machine)
{
	(void)machine;
	return GO_ON;
}

static int on_task_switch(struct machine *machine)
{
	int err = vee_task_switch_assist(machine->vcpu);

	if (!err)
		return GO_ON;
	if (err == -ENOTRECOVERABLE)
		fail_of(machine, "the guest has shut down (triple fault) in a task switch");
	else
		fail_of(machine, "can't switch the guest to the task %#llx: %s",
			(unsigned long long)machine->vcpu->page->exit.qualification & UINT16_MAX,
			strerror(-err));
	return explain(machine);
}

static int on_other(struct machine *machine)
{
	const struct vee_exit *exit = &machine->vcpu->page->exit;

	if (exit->reason == VEE_EXIT_OTHER && exit->hardware_reason == REASON_TASK_SWITCH)
		return on_task_switch(machine);
	return give_up(machine);
}

static int (*const handlers[])(struct machine *machine) = {
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
	[VEE_EXIT_SHUTDOWN] = give_up,
	[VEE_EXIT_ENTRY_FAILED] = on_entry_failure,
};

static int handle(struct machine *machine)
{
	uint32_t reason = machine->vcpu->page->exit.reason;

	if (reason < sizeof(handlers) / sizeof(*handlers) && handlers[reason])
		return handlers[reason](machine);
	return on_other(machine);
}

/* --- the loop --- */

static int run_once(struct machine *machine)
{
	int err = vee_vcpu_run(machine->vcpu);
	int status;

	if (err && err != -EINTR)
		return give_up(machine);
	if (!err && machine->trace)
		trace_exit(machine);
	status = gdb_serve(machine);
	if (status != GDB_NOT)
		return status;
	return err ? GO_ON : handle(machine);
}

static bool wants_end(const struct machine *machine)
{
	return console_quits() || machine->console.serial.error;
}

bool machine_is_over(const struct machine *machine)
{
	return wants_end(machine) ||
	       (machine->end_ns && clock_now(&host_clock) >= machine->end_ns);
}

static int loop(struct machine *machine)
{
	double timeout = machine->options->timeout;
	int status = GO_ON;

	machine->vcpu->page->options = VEE_OPTION_HLT_SLEEPS;
	if (timeout > 0)
		machine->end_ns = clock_now(&host_clock) +
				  (uint64_t)(timeout * CLOCK_NS);
	if (machine->options->gdb_stop)
		status = gdb_serve(machine);
	while (status == GO_ON && !wants_end(machine)) {
		if (!prepare(machine)) {
			fail_of(machine, "the guest was not done after %g s",
				timeout);
			show_exits(machine);
			return STATUS_TIMEOUT;
		}
		status = run_once(machine);
	}
	if (status == GO_ON)
		return STATUS_OK;
	return status;
}

static void report(struct machine *machine)
{
	const struct options *options = machine->options;

	if (options->stats)
		report_stats(machine->vcpu);
	if (options->trace_io) {
		report_misses(&machine->ports, "port");
		report_misses(&machine->memory, "memory");
	}
}

static void *run_guest(void *arg)
{
	struct machine *machine = arg;

	machine->status = loop(machine);
	machine_flush(machine);
	gdb_close(machine);
	console_end(machine);
	machine->status = console_status(machine, machine->status);
	return NULL;
}

/* --- several guests --- */

static int create(struct machine *machine, const struct options *options,
		  const char *name)
{
	int status = machine_create(machine, options, name);

	if (!status)
		status = machine_load(machine);
	if (!status)
		status = trace_open(machine);
	if (!status)
		status = console_open(machine);
	if (!status)
		status = gdb_open(machine);
	return status;
}

static int create_all(struct machine *machines, const struct options *options,
		      unsigned int count)
{
	static const char *const names[MAX_GUESTS] = {
		"vee: guest 1", "vee: guest 2", "vee: guest 3", "vee: guest 4",
		"vee: guest 5", "vee: guest 6", "vee: guest 7", "vee: guest 8",
	};
	int status = STATUS_OK;

	for (unsigned int i = 0; i < count && !status; i++)
		status = machine_read(&machines[i], &options[i]);
	for (unsigned int i = 0; i < count && !status; i++)
		status = create(&machines[i], &options[i],
				count > 1 ? names[i] : "vee");
	return status;
}

/* The first guest has this thread, which is also the one that takes signals. */
static int start_others(struct machine *machines, unsigned int count)
{
	for (unsigned int i = 1; i < count; i++) {
		int err = start_thread(&machines[i].thread, run_guest,
				       &machines[i]);

		if (err)
			return fail("can't start a thread: %s", strerror(-err));
	}
	return STATUS_OK;
}

/* They all end with the first. */
static int run_all(struct machine *machines, unsigned int count)
{
	int status = STATUS_OK;

	catch_signals();
	for (unsigned int i = 0; i < count && !status; i++)
		status = console_begin(&machines[i]);
	if (!status)
		status = start_others(machines, count);
	if (status)
		return status;
	run_guest(&machines[0]);
	console_quit();
	for (unsigned int i = 1; i < count; i++)
		pthread_join(machines[i].thread, NULL);
	for (unsigned int i = 0; i < count; i++)
		report(&machines[i]);
	return machines[0].status;
}

int run(const struct options *options, unsigned int count)
{
	/* Not freed: input may still come in while the process ends. */
	struct machine *machines = calloc(count, sizeof(*machines));
	int status;

	if (!machines)
		return fail("no memory");
	status = create_all(machines, options, count);
	if (!status)
		status = run_all(machines, count);
	/* Whoever waits for this process learns of the signal. */
	if (console_signal()) {
		signal(console_signal(), SIG_DFL);
		raise(console_signal());
	}
	return status;
}
