/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Breakpoints of the host's, by perf_event_open(2).
 */
#ifndef SELFTESTS_VEE_BREAKPOINT_UTIL_H
#define SELFTESTS_VEE_BREAKPOINT_UTIL_H

#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of this thread, on writes of four bytes. A descriptor, or -1. */
static inline int watch_writes(const void *where)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (unsigned long)where,
		.bp_len = HW_BREAKPOINT_LEN_4,
		.exclude_kernel = 1,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
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
