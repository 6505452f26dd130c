// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The system call that is on the way of every exit: by fsync(2), which does what
 * VEE_VCPU_RUN does and is through the kernel in half the time, and without the instructions
 * that libc has around it for threads that are cancelled.
 *
 * In a file of its own, so that the tests can stand in for the kernel here too.
 */
#include <sys/syscall.h>

#include "internal.h"

/* SYSCALL puts RIP into RCX and RFLAGS into R11 (SDM 2B, "SYSCALL"). */
int run_request(int fd)
{
	long ret = SYS_fsync;

	asm volatile("syscall"
		     : "+a" (ret)
		     : "D" (fd)
		     : "rcx", "r11", "memory");
	return ret;
}
