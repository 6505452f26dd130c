// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee run --gdb": gdb, around the runs of the guest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define A_WHILE_MS	100	/* between two looks at what else could end the guest */

int gdb_open(struct machine *machine)
{
	const struct options *options = machine->options;
	int err;

	if (!options->gdb)
		return STATUS_OK;
	err = vee_gdb_open(machine->cpus[0].vcpu, options->gdb, &machine->gdb);
	if (err == -EINVAL)
		return fail("--gdb %s: not a port, 1 to 65535", options->gdb);
	if (err == -EADDRINUSE)
		return fail("--gdb %s: in use already: name another port, or remove the file",
			    options->gdb);
	if (err)
		return fail("--gdb %s: %s", options->gdb, strerror(-err));
	for (unsigned int i = 1; i < machine->cpu_count && !err; i++)
		err = vee_gdb_add(machine->gdb, machine->cpus[i].vcpu);
	if (err)
		return fail("--gdb: can't have the CPUs: %s", strerror(-err));
	if (options->gdb_stop) {
		vee_gdb_stop(machine->gdb);
		fprintf(stderr, "%s: the guest waits for gdb: target remote %s%s\n",
			machine->name, strchr(options->gdb, '/') ? "" : ":", options->gdb);
	}
	return STATUS_OK;
}

/* -EAGAIN: gdb has said nothing until the guest's end. */
static int serve(const struct cpu *cpu)
{
	struct machine *machine = cpu->machine;
	int ret = vee_gdb_serve_vcpu(machine->gdb, cpu->vcpu, A_WHILE_MS);

	while ((ret == -EAGAIN || ret == -EINTR) && !machine_is_over(machine)) {
		machine_flush(machine);
		ret = vee_gdb_serve_vcpu(machine->gdb, cpu->vcpu, A_WHILE_MS);
	}
	return ret == -EINTR ? -EAGAIN : ret;
}

int gdb_serve(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;
	int ret;

	if (!machine->gdb)
		return GDB_NOT;
	ret = serve(cpu);
	if (ret >= 0)
		return ret ? GDB_OVER : GDB_NOT;
	if (ret == -EAGAIN)
		return GDB_OVER;	/* who runs the guest says why */
	if (ret == -ECANCELED) {
		machine_flush(machine);
		if (cpu_ends_machine(cpu))
			fprintf(stderr, "%s: gdb has ended the guest\n", machine->name);
		return STATUS_OK;
	}
	return fail_of(machine, "can't go on with gdb: %s", strerror(-ret));
}

bool gdb_is_stepping(const struct machine *machine)
{
	return machine->gdb && vee_gdb_is_stepping(machine->gdb);
}

void gdb_close(struct machine *machine)
{
	vee_gdb_close(machine->gdb, machine->status);
	machine->gdb = NULL;
}
