/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libFuzzer calls. */
#ifndef VEE_LIBFUZZER_H
#define VEE_LIBFUZZER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One input. It returns 0; what is wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The linker's names for what kernel.c and gdb.c stand in for. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_run_request(int fd);
ssize_t __wrap_send(int fd, const void *bytes, size_t count, int flags);

#endif /* VEE_LIBFUZZER_H */
