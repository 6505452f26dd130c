// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A gdb that sends anything at all (libFuzzer). The input is the bytes of a connection;
 * with a first byte below 80H they are the contents of packets, a NUL between two, so
 * that most have a checksum that is right. The guest has memory, and the kernel answers
 * what the stub asks of it. When gdb has it go on it meets #DB or #BP, as the input has it,
 * on either of two vCPUs.
 * What is checked besides what the sanitizers see: that it never waits,
 * and that it leaves breakpoints nowhere else.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gdb/gdb.h"
#include "kernel.h"
#include "libfuzzer.h"

#define RAM_BYTES	0x10000
#define RAW		0x80
#define INPUT_MAX	2048
#define FRAME_MIN	4	/* of one without contents */
#define CODE_BYTE	0x90
#define INSN_BYTES	5	/* the input's last are the guest's code */
#define TURNS		64
#define CPUS		2

static struct vee_vm *vm;
static struct vee_vcpu *vcpus[CPUS];
static uint8_t *ram;
static uint8_t xsave[XSAVE_BYTES];

/* --- the kernel --- */

/* Memory is what it is; above there is nothing. */
static int translate(struct vee_translate *at)
{
	at->gpa = at->gva;
	at->access = VEE_READ | VEE_WRITE;
	return at->gva < 2 * RAM_BYTES ? 0 : -ENOENT;
}

int kernel_answer(unsigned long request, void *arg)
{
	switch (request) {
	case VEE_VCPU_SYNC:
		for (unsigned int i = 0; i < CPUS; i++)
			vcpus[i]->page->valid |= ((struct vee_sync *)arg)->groups;
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
	if (vee_vm_create(&vm) || vee_vm_alloc(vm, 0, RAM_BYTES, (void **)&ram))
		abort();
	for (unsigned int i = 0; i < CPUS; i++)
		if (vee_vcpu_create(vm, i, &vcpus[i]))
			abort();
}

static void reset_page(struct vee_vcpu_page *page)
{
	page->exit = (struct vee_exit) { 0 };
	memset(&page->regs, 0, sizeof(page->regs));
	memset(&page->segments, 0, sizeof(page->segments));
	memset(&page->debug, 0, sizeof(page->debug));
	page->control.cr0 = CR0_PE;
	page->control.efer = EFER_LMA;
}

static void reset(void)
{
	for (unsigned int i = 0; i < CPUS; i++)
		reset_page(vcpus[i]->page);
	memset(xsave, 0, sizeof(xsave));
	memset(ram, CODE_BYTE, RAM_BYTES);
}

/* The input's bytes, one after the other and again, are what the guest does. */
static void run(struct vee_vcpu *vcpu, const uint8_t *data, size_t size, unsigned int turn)
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

static void kicked(struct vee_vcpu *vcpu)
{
	vcpu->page->exit = (struct vee_exit) { .reason = VEE_EXIT_KICKED };
}

/*
 * Whatever it wants; on either vCPU an exit that is gdb's or not, and a stop, in turn. Who
 * waits for the other one does so no longer than the other takes.
 */
static void serve(struct vee_gdb *gdb, const uint8_t *data, size_t size)
{
	int ret = 0;

	for (unsigned int turn = 0; turn < TURNS && gdb->link.peer >= 0; turn++) {
		struct vee_vcpu *vcpu = vcpus[turn / 2 % CPUS];

		ret = vee_gdb_serve_vcpu(gdb, vcpu, 0);
		if (ret == -EAGAIN)
			continue;
		if (ret < 0)
			break;
		if (turn % 2)
			kicked(vcpu);
		else
			run(vcpu, data, size, turn);
		if (turn % 8 == 7)
			vee_gdb_stop(gdb);
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
	    vee_gdb_open_fd(vcpus[0], ends[1], &gdb) || vee_gdb_add(gdb, vcpus[1]))
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
	if (vcpus[0]->page->intercept || vcpus[1]->page->intercept)
		abort();
	return 0;
}
