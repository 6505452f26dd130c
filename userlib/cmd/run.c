// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee run": a program on a PC with a serial port, until it is done. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static void report(struct machine *machine)
{
	const struct options *options = machine->options;

	for (unsigned int i = 0; options->stats && i < machine->cpu_count; i++)
		report_stats(&machine->cpus[i]);
	if (options->trace_io) {
		report_misses(&machine->ports, "port");
		report_misses(&machine->memory, "memory");
	}
}

static void *run_guest(void *arg)
{
	struct machine *machine = arg;

	machine->status = receive_take_over(machine);
	if (!machine->status)
		machine_go(machine);
	move_join(machine);
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

static int create_all(struct machine *machines, struct options *options,
		      unsigned int count)
{
	static const char *const names[MAX_GUESTS] = {
		"vee: guest 1", "vee: guest 2", "vee: guest 3", "vee: guest 4",
		"vee: guest 5", "vee: guest 6", "vee: guest 7", "vee: guest 8",
	};
	int status = STATUS_OK;

	for (unsigned int i = 0; i < count && !status; i++)
		if (options[i].receive)
			status = receive_open(&options[i]);
		else if (options[i].load)
			status = load_open(&options[i]);
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

int run(struct options *options, unsigned int count)
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
