// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The system call that is on the way of every exit, without what libc's ioctl() does for
 * arguments of any number: two dozen instructions, a third of all that the library and its
 * caller take.
 *
 * In a file of its own, so that the tests can stand in for the kernel here too.
 */
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "internal.h"

/* SYSCALL puts RIP into RCX and RFLAGS into R11 (SDM 2B, "SYSCALL"). */
int run_request(int fd)
{
	long ret = SYS_ioctl;

	asm volatile("syscall"
		     : "+a" (ret)
		     : "D" (fd), "S" (VEE_VCPU_RUN), "d" (0UL)
		     : "rcx", "r11", "memory");
	return ret;
}
