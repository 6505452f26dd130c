// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A gdb that sends anything at all (libFuzzer). The input is the bytes of a connection;
 * with a first byte below 80H they are the contents of packets, a NUL between two, so
 * that most have a checksum that is right. The guest has memory, and the kernel answers
 * what the stub asks of it. When gdb has it go on it meets #DB or #BP, as the input has it.
 * What is checked besides what the sanitizers see: that it never waits,
 * and that it leaves breakpoints nowhere else.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gdb/gdb.h"
#include "libfuzzer.h"

#define RAM_BYTES	0x10000
#define XSAVE_BYTES	832
#define RAW		0x80
#define INPUT_MAX	2048
#define FRAME_MIN	4	/* of one without contents */
#define CODE_BYTE	0x90
#define INSN_BYTES	5	/* the input's last are the guest's code */
#define TURNS		64

static struct vee_vm *vm;
static struct vee_vcpu *vcpu;
static uint8_t *ram;
static uint8_t xsave[XSAVE_BYTES];

/* --- the kernel --- */

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
	info->gpa_bits = 40;
	info->xsave_bytes = XSAVE_BYTES;
	return 0;
}

/* Memory is what it is; above there is nothing. */
static int translate(struct vee_translate *at)
{
	at->gpa = at->gva;
	at->access = VEE_READ | VEE_WRITE;
	return at->gva < 2 * RAM_BYTES ? 0 : -ENOENT;
}

static int answer(unsigned long request, void *arg)
{
	switch (request) {
	case VEE_GET_INFO:
		return get_info(arg);
	case VEE_VM_CREATE:
	case VEE_VM_CREATE_VCPU:
		return new_fd();
	case VEE_VCPU_SYNC:
		vcpu->page->valid |= ((struct vee_sync *)arg)->groups;
		return 0;
	case VEE_VCPU_TRANSLATE:
		return translate(arg);
	case VEE_VCPU_GET_XSAVE:
		memcpy((void *)(uintptr_t)((struct vee_xsave *)arg)->area, xsave, XSAVE_BYTES);
		return 0;
	case VEE_VCPU_VMCS_SNAPSHOT:
		return -ESHUTDOWN;
	default:
		return 0;
	}
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	int ret;

	(void)fd;
	va_start(args, request);
	ret = answer(request, va_arg(args, void *));
	va_end(args);
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/* --- gdb --- */

/* It takes all replies. */
ssize_t __wrap_send(int fd, const void *bytes, size_t count, int flags)
{
	(void)fd;
	(void)bytes;
	(void)flags;
	return count;
}

static void put(int wire, const void *bytes, size_t count)
{
	if (write(wire, bytes, count) != (ssize_t)count)
		abort();
}

/* All at once: many small ones would fill the socket. */
static void put_packets(int wire, const uint8_t *data, size_t size)
{
	static char frames[INPUT_MAX * FRAME_MIN];
	size_t filled = 0;

	while (size) {
		const uint8_t *end = memchr(data, 0, size);
		size_t count = end ? (size_t)(end - data) : size;
		char frame[FRAME_BYTES];
		size_t bytes = packet_frame(frame, (const char *)data, count);

		memcpy(frames + filled, frame, bytes);
		filled += bytes;
		data += count + !!end;
		size -= count + !!end;
	}
	put(wire, frames, filled);
}

static void prepare(void)
{
	if (vee_vm_create(&vm) || vee_vcpu_create(vm, 0, &vcpu) ||
	    vee_vm_alloc(vm, 0, RAM_BYTES, (void **)&ram))
		abort();
}

static void reset(void)
{
	struct vee_vcpu_page *page = vcpu->page;

	memset(&page->regs, 0, sizeof(page->regs));
	memset(&page->segments, 0, sizeof(page->segments));
	memset(&page->debug, 0, sizeof(page->debug));
	page->control.cr0 = CR0_PE;
	page->control.efer = EFER_LMA;
	memset(xsave, 0, sizeof(xsave));
	memset(ram, CODE_BYTE, RAM_BYTES);
}

/* The input's bytes, one after the other and again, are what the guest does. */
static void run(const uint8_t *data, size_t size, unsigned int turn)
{
	uint8_t way = data[turn % size];
	struct vee_vcpu_page *page = vcpu->page;

	page->regs.rip %= RAM_BYTES / 2;
	if (size >= INSN_BYTES)
		memcpy(ram + page->regs.rip, data + size - INSN_BYTES, INSN_BYTES);
	page->exit = (struct vee_exit) {
		.reason = VEE_EXIT_DEBUG,
		.instruction_length = way >> 7,
		.debug = {
			.vector = way & 0x40 ? 3 : 1,
			.step = way >> 5 & 1,
			.dr6 = way & 0x10 ? DR6_BD : way & 0xf,
		},
	};
	page->segments.cs.access_rights ^= way & 1 ? VEE_AR_L : 0;
}

/* Whatever it wants; an exit that is gdb's or not, and a stop, in turn. */
static void serve(struct vee_gdb *gdb, const uint8_t *data, size_t size)
{
	int ret = 0;

	for (unsigned int turn = 0; turn < TURNS && gdb->link.peer >= 0; turn++) {
		ret = vee_gdb_serve(gdb, 0);
		if (ret < 0)
			break;
		if (turn % 2)
			vee_gdb_stop(gdb);
		else
			run(data, size, turn);
	}
	if (ret < 0 && ret != -EAGAIN && ret != -ECANCELED)
		abort();
}

static void check_breakpoints(const struct vee_gdb *gdb)
{
	for (unsigned int i = 0; i < SOFTWARE_BREAKS; i++)
		if (gdb->software[i].length && gdb->software[i].gpa >= RAM_BYTES)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vee_gdb *gdb;
	int ends[2];

	if (!vm)
		prepare();
	if (!size || size > INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) ||
	    vee_gdb_open_fd(vcpu, ends[1], &gdb))
		return 0;
	reset();
	vee_gdb_stop(gdb);
	if (*data & RAW)
		put(ends[0], data + 1, size - 1);
	else
		put_packets(ends[0], data + 1, size - 1);
	shutdown(ends[0], SHUT_WR);
	serve(gdb, data, size);
	check_breakpoints(gdb);
	vee_gdb_close(gdb, 0);
	close(ends[0]);
	close(ends[1]);
	if (vcpu->page->intercept)
		abort();
	return 0;
}
