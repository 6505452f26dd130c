// SPDX-License-Identifier: GPL-2.0-only
/* Calls of a guest under vee. */
#include <errno.h>
#include <fcntl.h>

#include <vee.h>

#include "bench_calls.h"

static struct vee_vcpu_page noted;
static int device;

/* As KVM's stays open, too. */
static void open_device(void)
{
	device = open("/dev/vee", O_RDWR | O_CLOEXEC);
	need(device < 0 ? -errno : 0, "/dev/vee");
}

/* Where the call begins, not past the OUT that was the exit before. */
static uint64_t run(struct vee_vcpu *vcpu)
{
	struct vee_vcpu_page *page = vcpu->page;

	page->resume = VEE_RESUME_HERE;
	need(vee_vcpu_run(vcpu), "run");
	if (page->exit.reason != VEE_EXIT_PIO)
		die("vee: exit %s", vee_exit_name(page->exit.reason));
	return page->regs.rax;
}

static struct vee_vcpu *vcpu_of(const struct guest *g)
{
	return ((struct vee_guest *)g->private)->vcpu;
}

static uint64_t call(struct guest *g, uint64_t argument)
{
	struct vee_vcpu *vcpu = vcpu_of(g);

	vcpu->page->regs.rdi = argument;
	vcpu->page->regs.rip = GPA_CODE;
	vcpu->page->dirty |= VEE_STATE_REGS;
	return run(vcpu);
}

static uint64_t call_with(struct guest *g, uint64_t argument, uint64_t pages)
{
	vcpu_of(g)->page->regs.rsi = pages;
	return call(g, argument);
}

static void note(struct guest *g)
{
	need(vee_vcpu_sync(vcpu_of(g), VEE_STATE_ALL), "registers");
	noted = *vcpu_of(g)->page;
}

static uint64_t call_anew(struct guest *g, uint64_t argument)
{
	struct vee_vcpu *vcpu = vcpu_of(g);
	struct vee_vcpu_page *page = vcpu->page;

	page->regs = noted.regs;
	page->segments = noted.segments;
	page->control = noted.control;
	page->debug = noted.debug;
	page->msrs = noted.msrs;
	page->events = noted.events;
	page->regs.rdi = argument;
	page->regs.rip = GPA_CODE;
	page->dirty = VEE_STATE_ALL;
	return run(vcpu);
}

static void create_empty(struct guest *g)
{
	struct vee_guest *v = calloc(1, sizeof(*v));

	need(v ? vee_vm_create_on(&v->vm, device, 0) : -ENOMEM, "VM");
	g->private = v;
}

static void create(struct guest *g)
{
	create_empty(g);
	guest_map_memory(g);
	guest_add_vcpu(g, 0);
}

const struct call_engine calls_vee = {
	.open = open_device,
	.create = create,
	.create_empty = create_empty,
	.call = call,
	.call_with = call_with,
	.note = note,
	.call_anew = call_anew,
};
