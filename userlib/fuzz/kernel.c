// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kernel, for the fuzzers of what asks it: /dev/vee, VMs and vCPUs that can be made, and
 * for all else what the fuzzer has for an answer.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../internal.h"
#include "kernel.h"
#include "libfuzzer.h"

static int new_fd(void)
{
	int fd = memfd_create("vee", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, VEE_POST_RING_BYTES))
		abort();
	return fd;
}

int __wrap_open(const char *path, int flags, ...)
{
	return strcmp(path, "/dev/vee") ? __real_open(path, flags, 0) : new_fd();
}

static int get_info(struct vee_info *info)
{
	info->api_version = VEE_API_VERSION;
	info->vcpu_page_bytes = VEE_VCPU_PAGE_BYTES;
	info->gpa_bits = GPA_BITS;
	info->xsave_bytes = XSAVE_BYTES;
	info->tsc_khz = TSC_KHZ;
	return 0;
}

static int create_vcpu(const struct vee_vcpu_create *create)
{
	memset((void *)(uintptr_t)create->page, 0, VEE_VCPU_PAGE_BYTES);
	return new_fd();
}

static int do_request(unsigned long request, void *arg)
{
	switch (request) {
	case VEE_GET_INFO:
		return get_info(arg);
	case VEE_VM_CREATE:
		return new_fd();
	case VEE_VM_CREATE_VCPU:
		return create_vcpu(arg);
	default:
		return kernel_answer(request, arg);
	}
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	int ret;

	(void)fd;
	va_start(args, request);
	ret = do_request(request, va_arg(args, void *));
	va_end(args);
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

int __wrap_run_request(int fd)
{
	(void)fd;
	return kernel_answer(VEE_VCPU_RUN, NULL);
}
