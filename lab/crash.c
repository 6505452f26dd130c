// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel crashes while guests run. Runs in the lab, on two CPUs, a guest on each:
 *
 *	crash kdump FILE	panics, with kernel FILE loaded to boot then
 *	crash panic		panics, and resets the machine a second later
 *	crash sysrq		resets the machine at once, as Alt-SysRq-B does
 *
 * It ends with the machine: lab/check looks at the console then.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <vee.h>

#define CPUS		2

/* It has no root file system, and says so: a panic, and a reset at once. */
#define CRASH_CMDLINE	"earlycon=uart8250,io,0x3f8 nokaslr panic=-1 vee_crash_kernel"

static const char guest[] = "\xeb\xfe";		/* 1: jmp 1b */

static void check(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s", what, strerror(-ret));
}

static void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %d", cpu);
}

static void run_guest(int cpu)
{
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;

	pin_to_cpu(cpu);
	check(vee_vm_create(&vm), "/dev/vee");
	check(vee_vm_alloc(vm, 0, 0x10000, NULL), "memory");
	check(vee_vm_write(vm, 0x1000, guest, sizeof(guest)), "the guest");
	check(vee_vcpu_create(vm, 0, &vcpu), "a vCPU");
	vee_vcpu_set_real_mode(vcpu, 0x100, 0);
	check(vee_vcpu_run(vcpu), "the guest");
	errx(1, "the guest has ended");
}

static void load_crash_kernel(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(1, "%s", path);
	if (syscall(SYS_kexec_file_load, fd, -1, sizeof(CRASH_CMDLINE), CRASH_CMDLINE,
		    KEXEC_FILE_ON_CRASH | KEXEC_FILE_NO_INITRAMFS))
		err(1, "kexec_file_load");
	close(fd);
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(fd);
}

int main(int argc, char **argv)
{
	struct timespec while_they_run = { .tv_nsec = 500000000 };
	int cpu;

	if (argc < 2)
		errx(2, "usage: crash kdump FILE | panic | sysrq");
	if (argc == 3)
		load_crash_kernel(argv[2]);
	for (cpu = 0; cpu < CPUS; cpu++)
		if (!fork())
			run_guest(cpu);
	nanosleep(&while_they_run, NULL);
	if (!strcmp(argv[1], "panic"))
		write_to("/proc/sys/kernel/panic", "1");
	write_to("/proc/sysrq-trigger", strcmp(argv[1], "sysrq") ? "c" : "b");
	errx(1, "the machine is still up");
}
