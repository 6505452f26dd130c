// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the guest: ends it, with a status for "vee run" by its port F4H, or on
 * another machine by switching that off. usage: leave [STATUS]
 *
 * Debian's cloud kernels have no /dev/port, and a C library would be most of the
 * guest's initramfs.
 */
#include <linux/reboot.h>
#include <sys/syscall.h>

#define EXIT_PORT	0xf4

static long call(long number, long a, long b, long c)
{
	long result;

	asm volatile("syscall" : "=a"(result)
		     : "a"(number), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return result;
}

static unsigned char parse(const char *text)
{
	unsigned char number = 0;

	while (*text >= '0' && *text <= '9')
		number = number * 10 + *text++ - '0';
	return number;
}

/* @stack: argc, argv[0], argv[1] and so on. */
__attribute__((used))
static void start(const long *stack)
{
	unsigned char status = stack[0] > 1 ? parse((const char *)stack[2]) : 0;

	call(SYS_sync, 0, 0, 0);
	if (!call(SYS_iopl, 3, 0, 0))
		asm volatile("outb %0, %1" : : "a"(status), "Nd"(EXIT_PORT));
	call(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
	     LINUX_REBOOT_CMD_POWER_OFF);
	call(SYS_exit, 1, 0, 0);
}

asm(".globl _start; _start: mov %rsp, %rdi; call start");
