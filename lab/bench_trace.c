// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paths of lab/bench-trace: exits, and of the program's own doing the birth of a VM,
 * a call, its death.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <vee.h>

#include "bench.h"
#include "bench_path.h"

/* There are 32 huge pages to touch. */
#define WARM_HUGE	20

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

static void trace_lives(void)
{
	trace_life("VM, slot, vCPU, to the first exit (vee alone)", be_born);
	trace_life("a call (vee alone)", be_called);
	trace_life("a call, all registers set anew (vee alone)", be_called_anew);
	trace_life("a fork put back to its snapshot, and run (vee alone)", be_put_back);
	trace_life("all of it torn down (vee alone)", die_out);
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
	if (engine == &engine_vee) {
		path_trace("OUT that is posted (vee alone)", &path_out, NULL, path_post);
		trace_lives();
	}
}
