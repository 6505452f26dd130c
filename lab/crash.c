// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel crashes while guests run. Runs in the lab, on two CPUs, a guest on each:
 *
 *	crash MODE kdump FILE	panics, with kernel FILE loaded to boot then
 *	crash MODE panic	panics, and resets the machine a second later
 *	crash MODE sysrq	resets the machine at once, as Alt-SysRq-B does
 *
 * MODE is how VMX is held, and has to be the case: resident, windowed, or shared, for
 * which this has a VM of KVM's. It ends with the machine: lab/check looks at the console
 * then.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "spinner.h"

#define CPUS		2

/* It has no root file system, and says so: a panic, and a reset at once. */
#define CRASH_CMDLINE	"earlycon=uart8250,io,0x3f8 nokaslr panic=-1 vee_crash_kernel"

static void run_guest(int cpu)
{
	pin_to_cpu(cpu);
	check(vee_vcpu_run(make_spinner()), "the guest");
	errx(1, "the guest has ended");
}

/* KVM has VMX on for as long as there is a VM of its. */
static void hold_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR);

	if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0)
		err(1, "/dev/kvm");
}

static void check_mode(const char *mode)
{
	char now[64] = "";
	int fd = open("/sys/module/vee/vmx_mode", O_RDONLY);

	if (fd < 0 || read(fd, now, sizeof(now) - 1) < 0)
		err(1, "vmx_mode");
	close(fd);
	if (strncmp(now, mode, strlen(mode)))
		errx(1, "VMX is not %s, but %s", mode, now);
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

	if (argc < 3)
		errx(2, "usage: crash MODE kdump FILE | MODE panic | MODE sysrq");
	if (!strcmp(argv[1], "shared"))
		hold_kvm();
	check_mode(argv[1]);
	if (argc == 4)
		load_crash_kernel(argv[3]);
	for (cpu = 0; cpu < CPUS; cpu++)
		if (!fork())
			run_guest(cpu);
	nanosleep(&while_they_run, NULL);
	if (!strcmp(argv[2], "panic"))
		write_to("/proc/sys/kernel/panic", "1");
	write_to("/proc/sysrq-trigger", strcmp(argv[2], "sysrq") ? "c" : "b");
	errx(1, "the machine is still up");
}
