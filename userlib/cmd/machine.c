// SPDX-License-Identifier: LGPL-2.1-or-later
/* The PC that "vee run" makes, and what goes into it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "cmd.h"

/* A PC has its devices at the end of the first 4 GiB: memory goes on above. */
#define LOW_MEMORY_END	(3ULL << 30)
#define HIGH_MEMORY	(4ULL << 30)

/* Of the BIOS's data at 400H, how many KiB of memory there are from 0 up. */
#define BIOS_MEMORY	0x413
#define BASE_MEMORY_KIB	640

#define ROM_ALIGN	0x10000
#define ROM_MAX		0x1000000
#define SHADOW_BYTES	0x20000
#define SHADOW_END	0x100000

/* --- its files --- */

static int read_file(const char *path, struct file *file)
{
	void *data;
	int err = vee_read_file(path, &data, &file->bytes);

	if (err)
		return fail("%s: %s", path, err == -EINVAL ?
			    "not a regular file" : strerror(-err));
	file->data = data;
	return file->bytes ? STATUS_OK : fail("%s: the file is empty", path);
}

static bool is_compressed(const struct file *file)
{
	return file->bytes > 2 && file->data[0] == 0x1f && file->data[1] == 0x8b;
}

static int check_image(const struct options *options, const struct file *image)
{
	if (options->bios && (image->bytes % ROM_ALIGN || image->bytes > ROM_MAX))
		return fail("%s: not a ROM image: its size is no multiple of 64 KiB up to 16 MiB",
			    options->path);
	if (!options->bios && is_compressed(image))
		return fail("%s: compressed: gunzip it first", options->path);
	return STATUS_OK;
}

static int read_initrd(const char *path, struct file *initrd)
{
	int status = read_file(path, initrd);

	if (!status && !initrd_is_whole(initrd->data, initrd->bytes))
		return fail("%s: no initramfs, or damaged or cut short: get or make it anew",
			    path);
	return status;
}

int machine_read(struct machine *machine, const struct options *options)
{
	int status;

	if (options->load)
		return STATUS_OK;
	status = read_file(options->path, &machine->image);
	if (!status)
		status = check_image(options, &machine->image);
	if (!status && options->initrd)
		status = read_initrd(options->initrd, &machine->initrd);
	return status;
}

/* --- the machine --- */

static int alloc_memory(struct machine *machine, uint64_t bytes)
{
	uint64_t low = bytes < LOW_MEMORY_END ? bytes : LOW_MEMORY_END;
	int err = vee_vm_alloc(machine->vm, 0, low, NULL);

	if (!err && bytes > low)
		err = vee_vm_alloc(machine->vm, HIGH_MEMORY, bytes - low, NULL);
	return err;
}

int cannot_create(int err)
{
	switch (-err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return fail("no /dev/vee: the module isn't loaded; see \"vee check\"");
	case EACCES:
	case EPERM:
		return fail("no permission for /dev/vee: be root, or ask root for access to it");
	case EPROTONOSUPPORT:
		return fail("the module is of another version: \"make unload load\" (as root)");
	default:
		return fail("can't make a virtual machine: %s; see \"vee check\"",
			    strerror(-err));
	}
}

static int create_vm(struct machine *machine)
{
	uint64_t bytes = machine->options->memory;
	bool apics = machine->options->cpus;
	int err = vee_vm_create_with(&machine->vm, apics ? VEE_VM_LOCAL_APIC : 0);

	if (err)
		return cannot_create(err);
	/* What was saved brings its own. */
	err = machine->options->load ? 0 : alloc_memory(machine, bytes);
	if (err)
		return fail("can't give the guest %llu MiB of memory: %s; try less (--memory)",
			    (unsigned long long)(bytes >> 20), err == -EINVAL ?
			    "more than guests have addresses for" : strerror(-err));
	return STATUS_OK;
}

/* The guest's TSCs count from its own beginning, as after a reset. */
static int create_cpu(struct machine *machine, unsigned int id)
{
	struct cpu *cpu = &machine->cpus[id];
	int err = vee_vcpu_create(machine->vm, id, &cpu->vcpu);

	if (err)
		return err;
	cpu->machine = machine;
	snprintf(cpu->name, sizeof(cpu->name),
		 machine->options->cpus > 1 ? "%s: CPU %u" : "%s", machine->name, id);
	cpu->vcpu->page->msrs.tsc_offset = machine->tsc_offset;
	cpu->vcpu->page->dirty |= VEE_STATE_MSRS;
	machine->cpu_count++;
	err = vee_vcpu_keep_exits(cpu->vcpu);
	return err ? err : cpuid_prepare(cpu);
}

static int create_cpus(struct machine *machine)
{
	unsigned int count = machine->options->cpus ? machine->options->cpus : 1;
	struct vee_info info;
	int err = vee_get_info(&info);

	machine->tsc_khz = info.tsc_khz;
	machine->tsc_offset = -__rdtsc();
	machine->microcode = machine->options->cpus ? msr_host_microcode() : 0;
	for (unsigned int id = 0; id < count && !err; id++)
		err = create_cpu(machine, id);
	if (!err)
		err = apic_prepare(machine);
	return err ? fail("can't make a virtual CPU: %s", strerror(-err)) : STATUS_OK;
}

static void init_devices(struct machine *machine)
{
	const struct options *options = machine->options;
	struct pc_config config = {
		.clock = &machine->clock.clock,
		.low_memory = options->memory, .serial_send = console_send,
		.debug_send = console_debug, .arg = machine,
		.message_send = options->cpus ? apic_send : NULL,
		.pci_serial_send = options->pci_serial ? console_send_pci : NULL,
		.cpus = options->cpus, .host_bridge = options->bios,
	};

	if (options->memory > LOW_MEMORY_END) {
		config.low_memory = LOW_MEMORY_END;
		config.high_memory = options->memory - LOW_MEMORY_END;
	}
	moved_clock_init(&machine->clock);
	pthread_mutex_init(&machine->lock, NULL);
	pthread_cond_init(&machine->answers, NULL);
	pc_init(&machine->pc, &machine->ports, &machine->memory, &config);
	if (!options->trace_io)
		return;
	machine->ports.trace = trace_io;
	machine->ports.trace_arg = "port";
	machine->memory.trace = trace_io;
	machine->memory.trace_arg = "memory";
}

int machine_create(struct machine *machine, const struct options *options,
		   const char *name)
{
	int status;

	machine->options = options;
	machine->name = name;
	machine->move_fd = -1;
	status = create_vm(machine);
	if (!status)
		status = create_cpus(machine);
	if (!status)
		init_devices(machine);
	return status;
}

void machine_access(struct machine *machine, struct bus *bus, uint64_t address,
		    void *data, unsigned int bytes, bool write)
{
	console_make_room(machine);
	pthread_mutex_lock(&machine->lock);
	bus_access(bus, address, data, bytes, write);
	console_look_for_room(machine);
	pthread_mutex_unlock(&machine->lock);
}

void machine_flush(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	pc_flush(&machine->pc);
	pthread_mutex_unlock(&machine->lock);
	console_drain(machine);
}

/* --- what goes into it --- */

static int cannot_load(const char *path, int err)
{
	switch (-err) {
	case ENOEXEC:
		return fail("%s: nothing that can be run", path);
	case EINVAL:
		return fail("%s: the file is damaged or cut short: get it anew", path);
	case EOPNOTSUPP:
		return fail("%s: needs what vee lacks (if a program: link it with -static -no-pie)",
			    path);
	case E2BIG:
		return fail("%s: too big: give the guest more --memory, or a shorter command line",
			    path);
	default:
		return fail("%s: %s", path, strerror(-err));
	}
}

static int load_linux(struct machine *machine)
{
	const struct options *options = machine->options;
	const struct vee_linux_boot boot = {
		.cmdline = options->cmdline,
		.initrd = machine->initrd.data,
		.initrd_bytes = machine->initrd.bytes,
	};
	int err = vee_load_linux(machine->cpus[0].vcpu, machine->image.data,
				 machine->image.bytes, &boot);

	if (err == -ENOEXEC)
		return fail("%s: not a Linux kernel: --initrd is for those alone",
			    options->path);
	return err ? cannot_load(options->path, err) : STATUS_OK;
}

static int load_image(struct machine *machine)
{
	const struct options *options = machine->options;
	int err;

	if (options->initrd)
		return load_linux(machine);
	err = vee_load(machine->cpus[0].vcpu, machine->image.data,
		       machine->image.bytes, options->cmdline);
	return err ? cannot_load(options->path, err) : STATUS_OK;
}

/* Where kernels look that start without asking a BIOS: Xen has its trampoline below. */
static int put_bios_memory(struct machine *machine)
{
	static const uint8_t kib[] = { BASE_MEMORY_KIB & 0xff, BASE_MEMORY_KIB >> 8 };

	return vee_vm_write(machine->vm, BIOS_MEMORY, kib, sizeof(kib));
}

static int put_mp_table(struct machine *machine)
{
	struct mp_cpus cpus = { .count = machine->options->cpus };
	uint8_t tables[MP_TABLE_BYTES];
	int err, bytes;

	if (!cpus.count)
		return 0;
	err = cpuid_identity(&machine->cpus[0], &cpus.signature, &cpus.features);
	if (err)
		return err;
	bytes = mp_build(tables, sizeof(tables), MP_AREA, &cpus);
	return vee_vm_write(machine->vm, MP_AREA, tables, bytes);
}

/*
 * Before the image, which may well want the memory that they are in. Where there are local
 * APICs' timers, and the frequency of what they count is known, nobody needs an HPET; but whoever
 * finds one uses it, as Linux does, which looks for 19 ms whether its ticks
 * come by the I/O APIC, and reads its counter a thousand times.
 */
static int put_tables(struct machine *machine)
{
	const struct acpi_machine has = {
		.cpus = machine->options->cpus, .pci = machine->options->pci_serial,
		.hpet = !machine->options->cpus || !machine->tsc_khz,
	};
	uint8_t tables[ACPI_TABLES_BYTES];
	int bytes = acpi_build(tables, sizeof(tables), ACPI_AREA, &has);
	int err = vee_vm_write(machine->vm, ACPI_AREA, tables, bytes);

	if (!err)
		err = put_bios_memory(machine);
	if (!err)
		err = put_mp_table(machine);
	return err ? fail("can't write tables for the guest: %s",
			  strerror(-err)) : STATUS_OK;
}

/* --- a BIOS --- */

/* Memory that the guest may only read; its writes come to the bus. */
static int map_rom(struct machine *machine)
{
	size_t bytes = machine->image.bytes;
	uint64_t gpa = HIGH_MEMORY - bytes;
	void *rom = aligned_alloc(ROM_ALIGN, bytes);

	if (!rom)
		return -ENOMEM;
	memcpy(rom, machine->image.data, bytes);
	rom_init(&machine->rom, &machine->memory, gpa, rom, bytes);
	return vee_vm_map(machine->vm, gpa, rom, bytes, VEE_READ | VEE_EXECUTE);
}

/*
 * At the end of the first 4 GiB, and its end once more at the end of the first MiB,
 * where it begins in real mode and is copied to or unlocked as a BIOS likes: the
 * vCPU is as after RESET, so nothing else is to be done. The copy is memory: a BIOS
 * that is unlocked writes there.
 */
static int load_bios(struct machine *machine)
{
	const struct file *image = &machine->image;
	size_t shadow = image->bytes < SHADOW_BYTES ? image->bytes : SHADOW_BYTES;
	int err = map_rom(machine);

	if (!err)
		err = vee_vm_write(machine->vm, SHADOW_END - shadow,
				   image->data + image->bytes - shadow, shadow);
	return err ? fail("%s: %s", machine->options->path, strerror(-err)) :
		     STATUS_OK;
}

static int load(struct machine *machine)
{
	int status;

	if (machine->options->load)
		return load_machine(machine);
	if (machine->options->bios)
		return load_bios(machine);
	status = put_tables(machine);
	return status ? status : load_image(machine);
}

int machine_load(struct machine *machine)
{
	int status = load(machine);

	free(machine->image.data);
	free(machine->initrd.data);
	return status;
}
