/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Breakpoints of the host's, by perf_event_open(2).
 */
#ifndef SELFTESTS_VEE_BREAKPOINT_UTIL_H
#define SELFTESTS_VEE_BREAKPOINT_UTIL_H

#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * On writes of four bytes, by thread @pid on CPU @cpu as perf_event_open(2) has them, and by the
 * kernel, too, or not. A descriptor, or -1.
 */
static inline int watch_writes_of(pid_t pid, int cpu, bool kernel_too, const void *where)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (unsigned long)where,
		.bp_len = HW_BREAKPOINT_LEN_4,
		.exclude_kernel = !kernel_too,
	};

	return syscall(SYS_perf_event_open, &attr, pid, cpu, -1, 0);
}

/* By this thread's program. */
static inline int watch_writes(const void *where)
{
	return watch_writes_of(0, -1, false, where);
}

/* How often it was come to; -1: it can't be told. */
static inline __u64 count_of(int fd)
{
	__u64 count = -1;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return -1;
	return count;
}

#endif
