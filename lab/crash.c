// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel crashes while guests run. Runs in the lab, on two CPUs, a guest on each:
 *
 *	crash MODE kdump FILE	panics, with kernel FILE loaded to boot then
 *	crash MODE late FILE	likewise, but those who want to know of a panic are told before
 *				(crash_kexec_post_notifiers)
 *	crash MODE kexec FILE	boots FILE, in good order
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
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "spinner.h"

#define CPUS		2
#define LATE		"/sys/module/kernel/parameters/crash_kexec_post_notifiers"

/*
 * Which this kernel has, and the crash kernel has not: it brings up both CPUs by INIT, that
 * is blocked in VMX operation. All before that is about the emulator and for both.
 */
#define ONE_CPU		"maxcpus="
/* It has no root file system, and says so: a panic, and a reset at once. */
#define CRASH_CMDLINE	"loglevel=7 nokaslr"
/* An INIT takes the one that the machine was started on to the firmware. */
#define CRASH_CPU	0

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

/* The file's beginning; @text has been all 0. */
static void read_from(const char *path, char *text, size_t bytes)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, text, bytes - 1) < 0)
		err(1, "%s", path);
	close(fd);
}

static void check_mode(const char *mode)
{
	char now[64] = "";

	read_from("/sys/module/vee/vmx_mode", now, sizeof(now));
	if (strncmp(now, mode, strlen(mode)))
		errx(1, "VMX is not %s, but %s", mode, now);
}

static void load_kernel(const char *path, unsigned long flags)
{
	char cmdline[1024] = "", *end;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(1, "%s", path);
	read_from("/proc/cmdline", cmdline, sizeof(cmdline) - sizeof(CRASH_CMDLINE));
	end = strstr(cmdline, ONE_CPU);
	if (!end)
		errx(1, "the kernel's command line has no " ONE_CPU);
	strcpy(end, CRASH_CMDLINE);
	if (syscall(SYS_kexec_file_load, fd, -1, strlen(cmdline) + 1, cmdline,
		    flags | KEXEC_FILE_NO_INITRAMFS))
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

static void go(const char *how)
{
	if (!strcmp(how, "panic"))
		write_to("/proc/sys/kernel/panic", "1");
	if (!strcmp(how, "late"))
		write_to(LATE, "1");
	if (!strcmp(how, "kexec"))
		reboot(RB_KEXEC);
	write_to("/proc/sysrq-trigger", strcmp(how, "sysrq") ? "c" : "b");
}

int main(int argc, char **argv)
{
	struct timespec while_they_run = { .tv_nsec = 500000000 };
	int cpu;

	if (argc < 3)
		errx(2, "usage: crash MODE kdump|late|kexec FILE | MODE panic|sysrq");
	if (!strcmp(argv[1], "shared"))
		hold_kvm();
	check_mode(argv[1]);
	if (argc == 4)
		load_kernel(argv[3], strcmp(argv[2], "kexec") ? KEXEC_FILE_ON_CRASH : 0);
	for (cpu = 0; cpu < CPUS; cpu++)
		if (!fork())
			run_guest(cpu);
	nanosleep(&while_they_run, NULL);
	pin_to_cpu(CRASH_CPU);
	go(argv[2]);
	errx(1, "the machine is still up");
}
