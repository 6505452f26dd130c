// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The CPUs of a machine: each has a thread, which runs it, does what its exits ask for,
 * and brings the devices to the present before the next run.
 */
#include <errno.h>
#include <string.h>

#include "cmd.h"

/* Between two looks at whether INTR gets through to the first CPU, where it doesn't. */
#define LOOK_AGAIN_NS	1000000

/* --- the end --- */

/* So nothing is lost however the two race. */
void cpu_kick(const struct cpu *cpu)
{
	struct vee_vcpu *vcpu = cpu->vcpu;

	vee_vcpu_kick(vcpu, __atomic_load_n(&vcpu->page->generation, __ATOMIC_RELAXED));
}

void machine_kick(const struct machine *machine)
{
	for (unsigned int i = 0; i < machine->cpu_count; i++)
		cpu_kick(&machine->cpus[i]);
}

bool cpu_ends_machine(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;
	struct cpu *ender = NULL;

	if (!atomic_compare_exchange_strong(&machine->ender, &ender, cpu))
		return ender == cpu;
	machine_kick(machine);
	return true;
}

static bool wants_end(const struct machine *machine)
{
	return console_quits() || machine->console.serial.error || machine->ender;
}

bool machine_is_over(struct machine *machine)
{
	return wants_end(machine) ||
	       (machine->end_ns && clock_now(&machine->clock.clock) >= machine->end_ns);
}

/* --- interrupts of the 8259As --- */

static bool is_first(const struct cpu *cpu)
{
	return cpu == cpu->machine->cpus;
}

/* Right now, by what the last exit said and what this one's handler asked for. */
static bool can_take_interrupt(const struct vee_vcpu_page *page)
{
	return page->exit.flags & VEE_EXIT_INTERRUPT_READY &&
	       !(page->exit.flags & VEE_EXIT_EVENT_PENDING) &&
	       !(page->inject.flags & VEE_EVENT_VALID);
}

/*
 * To the first CPU, whose INTR is. Which interrupt it is the controllers tell when it is
 * taken, not before: until then the guest may mask it, or a more urgent one may come.
 * Returns when to look again, though nothing else happens.
 */
static uint64_t offer_interrupt(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;
	struct vee_vcpu_page *page = cpu->vcpu->page;

	page->intercept &= ~VEE_INTERCEPT_INTERRUPT_WINDOW;
	machine->told = pc_interrupt_pending(&machine->pc);
	if (!machine->told || gdb_is_stepping(machine))
		return CLOCK_NEVER;
	if (!apic_passes_intr(cpu))
		return clock_now(&machine->clock.clock) + LOOK_AGAIN_NS;
	if (can_take_interrupt(page))
		vee_inject_interrupt(cpu->vcpu, pc_acknowledge(&machine->pc));
	else
		page->intercept |= VEE_INTERCEPT_INTERRUPT_WINDOW;
	return CLOCK_NEVER;
}

/* By another one, if it has come of what that did. */
static void tell_first(struct machine *machine)
{
	if (machine->told || !pc_interrupt_pending(&machine->pc))
		return;
	machine->told = true;
	cpu_kick(&machine->cpus[0]);
}

/* --- before a run --- */

/*
 * One CPU's run ends when the devices have to advance: of whoever saw the earliest such
 * moment come up, until it comes back. The others' need not end.
 */
static uint64_t keep(struct cpu *cpu, uint64_t next)
{
	struct machine *machine = cpu->machine;

	if (machine->keeper != cpu && next >= machine->kept_ns)
		return CLOCK_NEVER;
	machine->keeper = cpu;
	machine->kept_ns = next;
	return next;
}

/* When the run has to end for the machine's sake; CLOCK_NEVER: it needn't. */
static uint64_t advance_devices(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;
	uint64_t look_again = CLOCK_NEVER, next;

	console_make_room(machine);
	pthread_mutex_lock(&machine->lock);
	pc_advance(&machine->pc);
	if (is_first(cpu))
		look_again = offer_interrupt(cpu);
	else
		tell_first(machine);
	next = pc_next_ns(&machine->pc);
	if (machine->end_ns)
		next = clock_earlier(next, machine->end_ns);
	next = keep(cpu, next);
	pthread_mutex_unlock(&machine->lock);
	return clock_earlier(next, look_again);
}

/* False: the guest's time is up. */
static bool prepare(struct cpu *cpu)
{
	struct vee_vcpu_page *page = cpu->vcpu->page;
	struct machine *machine = cpu->machine;
	uint64_t next = advance_devices(cpu), now = clock_now(&machine->clock.clock);
	uint64_t end = machine->end_ns;

	if (end && now >= end)
		return false;
	if (next == CLOCK_NEVER)
		page->deadline_ns = 0;
	else
		page->deadline_ns = next > now ? next - now : 1;
	return true;
}

/* --- the loop --- */

static int time_is_up(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;

	if (cpu_ends_machine(cpu)) {
		machine->timed_out = true;
		fail_of(machine, "the guest was not done after %g s",
			machine->options->timeout);
	}
	return STATUS_TIMEOUT;
}

static int run_once(struct cpu *cpu)
{
	int err = vee_vcpu_run(cpu->vcpu);
	int status;

	if (err && err != -EINTR)
		return exit_give_up(cpu);
	halt_look(cpu);
	if (!err && cpu->machine->trace)
		trace_exit(cpu);
	status = gdb_serve(cpu);
	if (status != GDB_NOT)
		return status;
	return err ? GO_ON : exit_handle(cpu);
}

static int loop(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;
	int status = GO_ON;

	if (machine->options->gdb_stop)
		status = gdb_serve(cpu);
	while (status == GO_ON && !wants_end(machine)) {
		if (machine->save_asked)
			save_serve(cpu);
		if (machine->move) {
			move_serve(cpu);
			/* Moved: not once more. */
			if (wants_end(machine))
				break;
		}
		status = prepare(cpu) ? run_once(cpu) : time_is_up(cpu);
	}
	return status;
}

static void run_cpu(struct cpu *cpu)
{
	int status = loop(cpu);

	halt_leave(cpu);
	if (status != GO_ON && cpu_ends_machine(cpu))
		cpu->machine->status = status;
}

/* --- all of them --- */

static void *run_thread(void *cpu)
{
	run_cpu(cpu);
	return NULL;
}

/* Returns how many CPUs have a thread. */
static unsigned int start(struct machine *machine)
{
	unsigned int count = 1;
	int err = 0;

	while (!err && count < machine->cpu_count) {
		struct cpu *cpu = &machine->cpus[count];

		err = start_thread(&cpu->thread, run_thread, cpu);
		count += !err;
	}
	if (err && cpu_ends_machine(&machine->cpus[0]))
		machine->status = fail_of(machine, "can't start a thread: %s", strerror(-err));
	return count;
}

void machine_go(struct machine *machine)
{
	double timeout = machine->options->timeout;
	unsigned int count;

	if (timeout > 0)
		machine->end_ns = clock_now(&machine->clock.clock) + (uint64_t)(timeout * CLOCK_NS);
	machine->keeper = &machine->cpus[0];
	for (unsigned int i = 0; i < machine->cpu_count && !machine->options->load; i++)
		halt_begin(&machine->cpus[i]);
	count = start(machine);
	run_cpu(&machine->cpus[0]);
	for (unsigned int i = 1; i < count; i++)
		pthread_join(machine->cpus[i].thread, NULL);
	for (unsigned int i = 0; machine->timed_out && i < machine->cpu_count; i++)
		exit_show_last(&machine->cpus[i]);
}
