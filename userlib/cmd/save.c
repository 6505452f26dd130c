// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * "vee run --save" and "--load": a guest to a file, and from there.
 *
 * It is saved between runs, with all its CPUs waiting: the first one does it, as soon as the
 * others have come. Time stands still for the guest that is loaded: its TSCs, and the clock
 * that its devices have, go on from where they were.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define WHY_BYTES	600

#define MACHINE_VERSION	1

/* --- saving --- */

static void describe(struct machine *machine, struct saved_machine *saved)
{
	const struct vee_vcpu_page *page = machine->cpus[0].vcpu->page;

	*saved = (struct saved_machine) {
		.version = MACHINE_VERSION,
		.bios = machine->options->bios,
		.microcode = machine->microcode,
		.pci_serial = machine->pc.has_pci_uart,
		.now_ns = clock_now(&machine->clock.clock),
		.adjust = page->msrs.tsc_offset - machine->tsc_offset,
	};
}

int save_sections(struct machine *machine, struct saved_machine *saved, uint8_t *devices,
		  struct vee_section *sections)
{
	int err = vee_vcpu_sync(machine->cpus[0].vcpu, VEE_STATE_MSRS);

	if (err)
		return err;
	pc_flush(&machine->pc);
	describe(machine, saved);
	pc_save(&machine->pc, devices);
	sections[0] = (struct vee_section) { "machine", saved, sizeof(*saved) };
	sections[1] = (struct vee_section) { "devices", devices, pc_saved_bytes(&machine->pc) };
	return 0;
}

static int write_file(struct machine *machine, uint8_t *devices, char *why)
{
	struct vee_section sections[SAVED_SECTIONS];
	struct vee_vcpu *vcpus[VEE_MAX_VCPUS];
	struct saved_machine saved;
	int err = save_sections(machine, &saved, devices, sections);

	if (err) {
		snprintf(why, WHY_BYTES, "can't read its TSC: %s", strerror(-err));
		return err;
	}
	for (unsigned int i = 0; i < machine->cpu_count; i++)
		vcpus[i] = machine->cpus[i].vcpu;
	return vee_save_file(vcpus, machine->cpu_count, sections, SAVED_SECTIONS,
			     machine->options->save, why, WHY_BYTES);
}

/* With the machine's lock; what the guest has sent it has sent. */
static void save(struct machine *machine)
{
	uint8_t *devices = malloc(pc_saved_bytes(&machine->pc));
	char why[WHY_BYTES] = "no memory";
	int err;

	err = devices ? write_file(machine, devices, why) : -ENOMEM;
	free(devices);
	if (err)
		fprintf(stderr, "%s: --save %s: %s; the guest goes on\n", machine->name,
			machine->options->save, why);
	else
		fprintf(stderr, "%s: saved in %s\n", machine->name, machine->options->save);
}

/* --- all CPUs wait for it --- */

void save_ask(struct machine *machine)
{
	if (!machine->options->save)
		return;
	machine->save_asked = true;
	machine_kick(machine);
}

static void wait_for_first(struct machine *machine)
{
	machine->waiting++;
	pthread_cond_broadcast(&machine->answers);
	while (machine->save_asked && !machine_is_over(machine))
		wait_a_while(&machine->answers, &machine->lock);
	machine->waiting--;
}

static void wait_for_others(struct machine *machine)
{
	while (machine->waiting < machine->cpu_count - 1 && !machine_is_over(machine)) {
		machine_kick(machine);
		wait_a_while(&machine->answers, &machine->lock);
	}
}

void save_serve(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;

	pthread_mutex_lock(&machine->lock);
	if (cpu != machine->cpus) {
		wait_for_first(machine);
	} else {
		wait_for_others(machine);
		if (!machine_is_over(machine))
			save(machine);
		machine->save_asked = false;
		pthread_cond_broadcast(&machine->answers);
	}
	pthread_mutex_unlock(&machine->lock);
}

/* --- loading --- */

static int cannot_load(const struct options *options, const char *why)
{
	return fail("--%s %s: %s", options->receive ? "receive" : "load", options->load, why);
}

static const struct saved_machine *machine_of(const struct vee_saved *file)
{
	const struct saved_machine *saved;
	size_t bytes;

	saved = vee_saved_section(file, "machine", &bytes);
	return saved && bytes == sizeof(*saved) && saved->version == MACHINE_VERSION ? saved : NULL;
}

int load_open(struct options *options)
{
	char why[WHY_BYTES];

	if (vee_saved_open(options->load, 0, &options->saved, why, sizeof(why)))
		return cannot_load(options, why);
	return load_look(options);
}

/* What would be on the command line is in there. */
int load_look(struct options *options)
{
	const struct saved_machine *saved = machine_of(options->saved);

	if (!saved)
		return cannot_load(options, "not of \"vee run\", or of another version");
	if (saved->pci_serial && !options->pci_serial)
		return cannot_load(options, "it has a serial port on PCI: --pci-serial FILE, too");
	if (!saved->pci_serial && options->pci_serial)
		return cannot_load(options, "it has no serial port on PCI: without --pci-serial");
	options->bios = saved->bios;
	options->memory = vee_saved_memory(options->saved);
	if (vee_saved_flags(options->saved) & VEE_VM_LOCAL_APIC)
		options->cpus = vee_saved_vcpus(options->saved);
	return STATUS_OK;
}

static int load_devices(struct machine *machine)
{
	const struct options *options = machine->options;
	const struct saved_machine *saved = machine_of(options->saved);
	const char *name = "none";
	const uint8_t *devices;
	char why[WHY_BYTES];
	size_t bytes;

	devices = vee_saved_section(options->saved, "devices", &bytes);
	if (!devices || !pc_load(&machine->pc, devices, bytes, &name)) {
		snprintf(why, sizeof(why), "the state of device %s is of another version", name);
		return cannot_load(options, why);
	}
	machine->clock.ns = saved->now_ns - clock_now(&host_clock);
	machine->microcode = saved->microcode;
	return STATUS_OK;
}

static int load_cpus(struct machine *machine)
{
	const struct options *options = machine->options;
	const struct saved_machine *saved = machine_of(options->saved);
	struct vee_vcpu *vcpus[VEE_MAX_VCPUS];
	char why[WHY_BYTES];
	int err;

	for (unsigned int i = 0; i < machine->cpu_count; i++)
		vcpus[i] = machine->cpus[i].vcpu;
	if (vee_saved_restore(options->saved, vcpus, machine->cpu_count, why, sizeof(why)))
		return cannot_load(options, why);
	err = vee_vcpu_sync(vcpus[0], VEE_STATE_MSRS);
	if (err)
		return cannot_load(options, strerror(-err));
	machine->tsc_offset = vcpus[0]->page->msrs.tsc_offset - saved->adjust;
	for (unsigned int i = 0; i < machine->cpu_count; i++)
		halt_go_on(&machine->cpus[i]);
	return STATUS_OK;
}

int load_machine(struct machine *machine)
{
	int status = load_cpus(machine);

	if (!status)
		status = load_devices(machine);
	/* What was received is still to be taken over. */
	if (!machine->options->receive)
		vee_saved_close(machine->options->saved);
	return status;
}
