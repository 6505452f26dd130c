// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paths to be traced, one instruction after the other: a guest that does something
 * WARM times and then SECTIONS times more, each between two instructions at which
 * lab/run --trace begins and ends a section of its trace. Says what the sections
 * are, in their order: a line "section|engine|what" for each. Some are of the program's
 * own doing: the birth of a VM, a call, its death.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <vee.h>

#include "bench.h"

/* Enough for all caches of the kernel's, and one without an interrupt in it. */
#define WARM		200
#define SECTIONS	5
/* There are 32 huge pages to touch. */
#define WARM_HUGE	20

#define PATH(name, text)	PATH_AFTER(name, WARM, text)
#define PATH_AFTER(name, warm, text)					\
	GUEST_CODE(name, "mov $" VALUE(GPA_TOUCH) ", %r13d\n"		\
		   "mov $" VALUE(warm) ", %r12d\n"			\
		   "1:\n" text "\n"					\
		   "dec %r12d\n"					\
		   "jnz 1b\n"						\
		   "mov $" VALUE(SECTIONS) ", %r12d\n"			\
		   "2: xchg %bx, %bx\n" text "\n"			\
		   "xchg %bx, %bx\n"					\
		   "dec %r12d\n"					\
		   "jnz 2b\n"						\
		   "out %al, $" VALUE(PORT_DONE))

PATH(out, "out %al, $" VALUE(PORT));
PATH(cpuid, "xor %eax, %eax; cpuid");
/* IA32_LSTAR, which both engines answer in the kernel. */
PATH(wrmsr, "mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr");
PATH(cr0, "mov %cr0, %rax; xor $0x20, %eax; mov %rax, %cr0");
PATH(mmio, "mov %eax, 0x20000000");
PATH(hlt, "hlt");
PATH_AFTER(huge, WARM_HUGE, "mov %eax, (%r13); add $0x200000, %r13");

static uint8_t *touch;

static void post_outs(const struct guest *g)
{
	const struct vee_coalesce outs = {
		.size = sizeof(outs), .first = PORT, .bytes = 1, .space = VEE_SPACE_PORT,
	};

	need(vee_vm_coalesce(((struct vee_guest *)g->private)->vm, &outs), "posting");
}

static void trace(const char *what, const uint8_t *code, const uint8_t *end,
		  void (*prepare)(const struct guest *g))
{
	struct guest g = { .memory = memory, .touch = touch };

	memcpy(memory + GPA_CODE, code, end - code);
	engine->create(&g);
	if (prepare)
		prepare(&g);
	while (engine->run(&g) != STOP_DONE)
		;
	engine->destroy(&g);
	for (int i = 0; i < SECTIONS; i++)
		printf("section|%s|%s\n", engine->name, what);
}

/* --- what the program does ------------------------------------------------------- */

GUEST_CODE(calls, "1: out %al, $" VALUE(PORT) "; jmp 1b");

static void section_edge(void)
{
	asm volatile("xchg %%bx, %%bx" : : : "memory");
}

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
			section_edge();
		life[i](&g);
		if (traced && life[i] == part)
			section_edge();
	}
}

static void trace_life(const char *what, void (*part)(struct guest *g))
{
	memcpy(memory + GPA_CODE, calls, calls_end - calls);
	for (int i = 0; i < WARM; i++)
		live(part, false);
	for (int i = 0; i < SECTIONS; i++) {
		live(part, true);
		printf("section|%s|%s\n", engine->name, what);
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
	trace("PIO OUT to user space and back", out, out_end, NULL);
	trace("CPUID, answered in the kernel", cpuid, cpuid_end, NULL);
	trace("WRMSR, answered in the kernel", wrmsr, wrmsr_end, NULL);
	trace("MOV to CR0, answered in the kernel", cr0, cr0_end, NULL);
	trace("MMIO write to user space and back", mmio, mmio_end, NULL);
	trace("HLT exit to user space and back", hlt, hlt_end, NULL);
	touch = map(TOUCH_BYTES, MADV_HUGEPAGE);
	memset(touch, 1, TOUCH_BYTES);
	trace("first touch of a 2 MiB page, host page present", huge, huge_end, NULL);
	munmap(touch, TOUCH_BYTES);
	touch = NULL;
	if (engine == &engine_vee) {
		trace("OUT that is posted (vee alone)", out, out_end, post_outs);
		trace_lives();
	}
}
