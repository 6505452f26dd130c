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

#define TABLES_BYTES	0x1000

#define ROM_ALIGN	0x10000
#define ROM_MAX		0x1000000
#define SHADOW_BYTES	0x20000
#define SHADOW_END	0x100000

static int alloc_memory(struct machine *machine, uint64_t bytes)
{
	uint64_t low = bytes < LOW_MEMORY_END ? bytes : LOW_MEMORY_END;
	int err = vee_vm_alloc(machine->vm, 0, low, NULL);

	if (!err && bytes > low)
		err = vee_vm_alloc(machine->vm, HIGH_MEMORY, bytes - low, NULL);
	return err;
}

static int cannot_create(int err)
{
	switch (-err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return fail("no /dev/vee: the module isn't loaded; see \"vee check\"");
	case EACCES:
	case EPERM:
		return fail("no permission for /dev/vee: be root, or ask for access to it");
	case EPROTONOSUPPORT:
		return fail("the module is of another version: load the one of this command");
	default:
		return fail("can't make a virtual machine: %s", strerror(-err));
	}
}

static int create_vm(struct machine *machine)
{
	uint64_t bytes = machine->options->memory;
	int err = vee_vm_create(&machine->vm);

	if (err)
		return cannot_create(err);
	err = alloc_memory(machine, bytes);
	if (err)
		return fail("can't give the guest %llu MiB of memory: %s",
			    (unsigned long long)(bytes >> 20), strerror(-err));
	err = vee_vcpu_create(machine->vm, 0, &machine->vcpu);
	if (err)
		return fail("can't make a virtual CPU: %s", strerror(-err));
	return STATUS_OK;
}

static void init_devices(struct machine *machine)
{
	const struct options *options = machine->options;
	struct pc_config config = {
		.low_memory = options->memory, .serial_send = console_send,
		.debug_send = console_debug, .arg = machine,
		.host_bridge = options->bios,
	};

	if (options->memory > LOW_MEMORY_END) {
		config.low_memory = LOW_MEMORY_END;
		config.high_memory = options->memory - LOW_MEMORY_END;
	}
	pthread_mutex_init(&machine->lock, NULL);
	pc_init(&machine->pc, &machine->ports, &machine->memory, &config);
	if (!options->trace_io)
		return;
	machine->ports.trace = trace_io;
	machine->ports.trace_arg = "port";
	machine->memory.trace = trace_io;
	machine->memory.trace_arg = "memory";
}

/* The guest's counts from its own beginning, as after a reset. */
static void start_tsc(struct machine *machine)
{
	struct vee_vcpu_page *page = machine->vcpu->page;

	machine->tsc_offset = -__rdtsc();
	page->msrs.tsc_offset = machine->tsc_offset;
	page->dirty |= VEE_STATE_MSRS;
}

int machine_create(struct machine *machine, const struct options *options,
		   const char *name)
{
	struct vee_info info;
	int status, err;

	machine->options = options;
	machine->name = name;
	status = create_vm(machine);
	if (status)
		return status;
	err = vee_get_info(&info);
	if (!err)
		err = cpuid_prepare(machine, info.tsc_khz);
	if (err)
		return fail("can't set up the guest's CPU: %s", strerror(-err));
	start_tsc(machine);
	init_devices(machine);
	return STATUS_OK;
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

static int cannot_load(const char *path, int err)
{
	switch (-err) {
	case ENOEXEC:
		return fail("%s: nothing that can be run", path);
	case EINVAL:
		return fail("%s: the file is damaged or cut short", path);
	case EOPNOTSUPP:
		return fail("%s: not for a bare x86 machine, or it needs what vee lacks",
			    path);
	case E2BIG:
		return fail("%s: too big for the guest (--memory), or its command line is",
			    path);
	default:
		return fail("%s: %s", path, strerror(-err));
	}
}

static int read_file(const char *path, void **data, size_t *bytes)
{
	int err = vee_read_file(path, data, bytes);

	if (err)
		return fail("%s: %s", path, err == -EINVAL ?
			    "not a regular file" : strerror(-err));
	if (*bytes)
		return STATUS_OK;
	free(*data);
	return fail("%s: the file is empty", path);
}

static int load_with_initrd(struct machine *machine,
			    const struct options *options, const void *image,
			    size_t bytes)
{
	struct vee_linux_boot boot = { .cmdline = options->cmdline };
	void *initrd;
	int err, status = read_file(options->initrd, &initrd, &boot.initrd_bytes);

	if (status)
		return status;
	if (!initrd_is_whole(initrd, boot.initrd_bytes)) {
		free(initrd);
		return fail("%s: no initramfs, or it is damaged or cut short",
			    options->initrd);
	}
	boot.initrd = initrd;
	err = vee_load_linux(machine->vcpu, image, bytes, &boot);
	free(initrd);
	if (err == -ENOEXEC)
		return fail("%s: not a Linux kernel, so --initrd has no meaning",
			    options->path);
	return err ? cannot_load(options->path, err) : STATUS_OK;
}

static int load_image(struct machine *machine, const struct options *options,
		      const void *image, size_t bytes)
{
	int err;

	if (options->initrd)
		return load_with_initrd(machine, options, image, bytes);
	err = vee_load(machine->vcpu, image, bytes, options->cmdline);
	return err ? cannot_load(options->path, err) : STATUS_OK;
}

/* Before the image, which may well want the memory that they are in. */
static int put_tables(struct machine *machine)
{
	uint8_t tables[TABLES_BYTES];
	int bytes = acpi_build(tables, sizeof(tables), ACPI_AREA);
	int err = vee_vm_write(machine->vm, ACPI_AREA, tables, bytes);

	return err ? fail("can't write tables for the guest: %s",
			  strerror(-err)) : STATUS_OK;
}

/* --- a BIOS --- */

/* Memory that the guest may only read; its writes come to the bus. */
static int map_rom(struct machine *machine, const void *image, size_t bytes)
{
	uint64_t gpa = HIGH_MEMORY - bytes;
	void *rom = aligned_alloc(ROM_ALIGN, bytes);

	if (!rom)
		return -ENOMEM;
	memcpy(rom, image, bytes);
	rom_init(&machine->rom, &machine->memory, gpa, rom, bytes);
	return vee_vm_map(machine->vm, gpa, rom, bytes, VEE_READ | VEE_EXECUTE);
}

/*
 * At the end of the first 4 GiB, and its end once more at the end of the first MiB,
 * where it begins in real mode and is copied to or unlocked as a BIOS likes: the
 * vCPU is as after RESET, so nothing else is to be done. The copy is memory: a BIOS
 * that is unlocked writes there.
 */
static int load_bios(struct machine *machine, const void *image, size_t bytes)
{
	const char *path = machine->options->path;
	size_t shadow = bytes < SHADOW_BYTES ? bytes : SHADOW_BYTES;
	int err;

	if (!bytes || bytes % ROM_ALIGN || bytes > ROM_MAX)
		return fail("%s: not a ROM image: its size is no multiple of 64 KiB up to 16 MiB",
			    path);
	err = map_rom(machine, image, bytes);
	if (!err)
		err = vee_vm_write(machine->vm, SHADOW_END - shadow,
				   (const uint8_t *)image + bytes - shadow,
				   shadow);
	return err ? fail("%s: %s", path, strerror(-err)) : STATUS_OK;
}

static bool is_compressed(const uint8_t *image, size_t bytes)
{
	return bytes > 2 && image[0] == 0x1f && image[1] == 0x8b;
}

int machine_load(struct machine *machine)
{
	const struct options *options = machine->options;
	size_t bytes;
	void *image;
	int status = read_file(options->path, &image, &bytes);

	if (status)
		return status;
	if (options->bios)
		status = load_bios(machine, image, bytes);
	else if (is_compressed(image, bytes))
		status = fail("%s: compressed: gunzip it first", options->path);
	else
		status = put_tables(machine);
	if (!status && !options->bios)
		status = load_image(machine, options, image, bytes);
	free(image);
	return status;
}
