// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paths of lab/bench-trace: exits, and of the program's own doing the birth of a VM,
 * a call, its death.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vee.h>

#include "bench.h"
#include "bench_apic.h"
#include "bench_dirty.h"
#include "bench_path.h"

/* There are 32 huge pages to touch. */
#define WARM_HUGE	20
/* The first have the pages and tables made. */
#define WARM_DIRTY	3

PATH_AFTER(huge, "", WARM_HUGE, "mov %eax, (%r13); add $0x200000, %r13");

/* --- what the program does ------------------------------------------------------- */

GUEST_CODE(calls, "1: out %al, $" VALUE(PORT) "; jmp 1b");

static void be_born(struct guest *g)
{
	engine->create(g);
	engine->run(g);
}

static void be_called(struct guest *g)
{
	engine->run(g);
}

static void sync_all(struct guest *g)
{
	need(vee_vcpu_sync(((struct vee_guest *)g->private)->vcpu, VEE_STATE_ALL), "state");
}

static void be_called_anew(struct guest *g)
{
	struct vee_vcpu_page *page = ((struct vee_guest *)g->private)->vcpu->page;

	page->dirty = VEE_STATE_ALL;
	page->resume = VEE_RESUME_HERE;
	engine->run(g);
}

static struct vee_vm_snapshot *snapshot;
static struct vee_vm *fork_of_it;

/* What is put back is a fork. */
static void be_forked(struct guest *g)
{
	need(vee_vm_snapshot(((struct vee_guest *)g->private)->vm, &snapshot), "snapshot");
	need(vee_vm_fork(snapshot, &fork_of_it), "fork");
	need(vee_vcpu_run(vee_vm_vcpu(fork_of_it, 0)), "run");
}

/* Nothing has been written. */
static void be_put_back(struct guest *g)
{
	(void)g;
	need(vee_vm_restore(fork_of_it, snapshot), "restore");
	need(vee_vcpu_run(vee_vm_vcpu(fork_of_it, 0)), "run");
}

static void die_out(struct guest *g)
{
	vee_vcpu_destroy(vee_vm_vcpu(fork_of_it, 0));
	vee_vm_destroy(fork_of_it);
	vee_vm_snapshot_free(snapshot);
	engine->destroy(g);
}

/* A life; @part of it is what is traced. */
static void (*const life[])(struct guest *g) = {
	be_born, be_called, sync_all, be_called_anew, be_forked, be_put_back, die_out,
};

static void live(void (*part)(struct guest *g), bool traced)
{
	struct guest g = { .memory = memory };

	for (size_t i = 0; i < sizeof(life) / sizeof(*life); i++) {
		if (traced && life[i] == part)
			path_edge();
		life[i](&g);
		if (traced && life[i] == part)
			path_edge();
	}
}

static void trace_life(const char *what, void (*part)(struct guest *g))
{
	memcpy(memory + GPA_CODE, calls, calls_end - calls);
	for (int i = 0; i < PATH_WARM; i++)
		live(part, false);
	for (int i = 0; i < PATH_SECTIONS; i++) {
		live(part, true);
		path_told(what);
	}
}

/* --- a guest that is asleep, and an eventfd that wakes it ---------------------------- */

#define ASLEEP_US	1013

/* What guest and program tell each other, from GPA_MAILBOX on. */
struct mailbox {
	uint32_t traced;
	uint32_t woken;
	uint32_t stop;
};

static volatile struct mailbox *mailbox;

/* x2APIC mode, and on; then HLT after HLT. */
GUEST_CODE(halts, "mov $0x1b, %ecx; rdmsr; or $0x400, %eax; wrmsr\n"
	   "mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr\n"
	   "1: sti; hlt; cli; cmpl $0, 0x11008; je 1b\n"
	   "out %al, $" VALUE(PORT_DONE));
/* The section ends at its first instruction but one. */
GUEST_CODE(wakes, "cmpl $0, 0x11000; je 1f; xchg %bx, %bx\n"
	   "1: mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr\n"
	   "incl 0x11004; iretq");

static void *run_on(void *g)
{
	guest_run_to_the_end(g);
	return NULL;
}

static void wake(int eventfd, bool traced)
{
	const uint64_t one = 1;
	uint32_t before = mailbox->woken;

	usleep(ASLEEP_US);
	mailbox->traced = traced;
	if (traced)
		path_edge();
	if (write(eventfd, &one, sizeof(one)) != sizeof(one))
		die("the eventfd can't be written");
	while (mailbox->woken == before)
		sched_yield();
}

static void trace_wakes(const char *what)
{
	const struct apic_engine *apic = engine == &engine_kvm ? &apic_kvm : &apic_vee;
	struct guest g = { .memory = memory };
	pthread_t thread;
	int eventfd;

	mailbox = (volatile struct mailbox *)(memory + GPA_MAILBOX);
	memcpy(memory + GPA_CODE, halts, halts_end - halts);
	memcpy(memory + GPA_HANDLER, wakes, wakes_end - wakes);
	apic->create(&g, 1);
	eventfd = apic->bind(&g, VECTOR);
	need(-pthread_create(&thread, NULL, run_on, &g), "thread");
	for (int i = 0; i < PATH_WARM + PATH_SECTIONS; i++)
		wake(eventfd, i >= PATH_WARM);
	mailbox->stop = 1;
	wake(eventfd, false);
	pthread_join(thread, NULL);
	close(eventfd);
	apic->destroy(&g, 1);
	for (int i = 0; i < PATH_SECTIONS; i++)
		path_told(what);
}

static void trace_lives(void)
{
	trace_life("VM, slot, vCPU, to the first exit (vee alone)", be_born);
	trace_life("a call (vee alone)", be_called);
	trace_life("a call, all registers set anew (vee alone)", be_called_anew);
	trace_life("a fork put back to its snapshot, and run (vee alone)", be_put_back);
	trace_life("all of it torn down (vee alone)", die_out);
}

/* --- dirty pages ------------------------------------------------------------------- */

static void trace_dirty(void)
{
	struct guest g;

	dirty_begin(&g, dirty_vee);
	for (int i = 0; i < WARM_DIRTY; i++) {
		dirty_write(&g);
		dirty_fetch(&g, dirty_vee);
	}
	for (int i = 0; i < PATH_SECTIONS; i++) {
		dirty_write(&g);
		path_edge();
		dirty_fetch(&g, dirty_vee);
		path_edge();
		path_told("fetch of " VALUE(WRITTEN) " dirty pages (vee alone)");
	}
	dirty_end(&g);
}

void measure(void)
{
	uint8_t *touch;

	path_trace("PIO OUT to user space and back", &path_out, NULL, NULL);
	path_trace("CPUID, answered in the kernel", &path_cpuid, NULL, NULL);
	path_trace("WRMSR, answered in the kernel", &path_wrmsr, NULL, NULL);
	path_trace("MOV to CR0, answered in the kernel", &path_cr0, NULL, NULL);
	path_trace("MMIO write to user space and back", &path_mmio, NULL, NULL);
	path_trace("HLT exit to user space and back", &path_hlt, NULL, NULL);
	touch = map(TOUCH_BYTES, MADV_HUGEPAGE);
	memset(touch, 1, TOUCH_BYTES);
	path_trace("first touch of a 2 MiB page, host page present", PATH_OF(huge), touch, NULL);
	munmap(touch, TOUCH_BYTES);
	trace_wakes("eventfd to a guest that halts, to its handler");
	if (engine == &engine_vee) {
		path_trace("OUT that is posted (vee alone)", &path_out, NULL, path_post);
		trace_lives();
		trace_dirty();
	}
}
