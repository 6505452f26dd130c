// SPDX-License-Identifier: GPL-2.0-only
/* The benchmark's guest under vee, by libvee. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <vee.h>

#include "bench.h"

static int device;

/* Once, as it is under KVM. */
static int open_vee(void)
{
	device = open("/dev/vee", O_RDWR | O_CLOEXEC);
	return device < 0 ? -errno : 0;
}

void guest_map_memory(struct guest *g)
{
	struct vee_vm *vm = ((struct vee_guest *)g->private)->vm;
	const unsigned int all = VEE_READ | VEE_WRITE | VEE_EXECUTE;

	need(vee_vm_map(vm, 0, g->memory, GUEST_BYTES, all), "memory");
	if (g->touch)
		need(vee_vm_map(vm, GPA_TOUCH, g->touch, TOUCH_BYTES, all), "memory");
}

void guest_add_vcpu(struct guest *g, unsigned int id)
{
	struct vee_guest *v = g->private;

	need(vee_vcpu_create(v->vm, id, &v->vcpu), "vCPU");
	vee_vcpu_set_long_mode(v->vcpu, GPA_PML4, GPA_CODE_OF(id));
	v->vcpu->page->regs.rsp = GPA_STACK_OF(id);
	v->vcpu->page->segments.idtr.base = GPA_IDT;
	v->vcpu->page->segments.idtr.limit = 0xfff;
	v->vcpu->page->segments.gdtr.base = GPA_GDT;
	v->vcpu->page->segments.gdtr.limit = 0x17;
}

static void create(struct guest *g)
{
	struct vee_guest *v = calloc(1, sizeof(*v));

	need(v ? vee_vm_create_on(&v->vm, device, 0) : -ENOMEM, "VM");
	g->private = v;
	guest_map_memory(g);
	guest_add_vcpu(g, 0);
}

static void destroy(struct guest *g)
{
	struct vee_guest *v = g->private;

	vee_vcpu_destroy(v->vcpu);
	vee_vm_destroy(v->vm);
	free(v);
}

static int access_memory(void *arg, uint64_t gpa, void *data, unsigned int bytes,
			 bool write)
{
	(void)arg;
	(void)gpa;
	if (!write)
		memset(data, 0, bytes);
	return 0;
}

static enum stop run(struct guest *g)
{
	struct vee_vcpu *vcpu = ((struct vee_guest *)g->private)->vcpu;
	struct vee_vcpu_page *page = vcpu->page;

	need(vee_vcpu_run(vcpu), "run");
	switch (page->exit.reason) {
	case VEE_EXIT_PIO:
		vee_done(vcpu);
		return page->exit.pio.port == PORT_DONE ? STOP_DONE : STOP_PIO;
	case VEE_EXIT_HLT:
	case VEE_EXIT_HYPERCALL:
		vee_done(vcpu);
		return STOP_HLT;
	case VEE_EXIT_MMIO:
		need(vee_mmio_assist(vcpu, access_memory, NULL), "MMIO");
		return STOP_MMIO;
	default:
		die("vee: exit %s at RIP %#llx", vee_exit_name(page->exit.reason),
		    (unsigned long long)page->regs.rip);
	}
}

static void inject(struct guest *g)
{
	vee_inject_interrupt(((struct vee_guest *)g->private)->vcpu, VECTOR);
}

static void change_regs(struct guest *g, bool rip)
{
	struct vee_vcpu_page *page = ((struct vee_guest *)g->private)->vcpu->page;

	page->regs.rax = page->regs.rip;
	if (!rip)
		return;
	page->regs.rip += OUT_BYTES;
	page->dirty |= VEE_STATE_REGS;
	page->resume = VEE_RESUME_HERE;
}

const struct engine engine_vee = {
	.name = "vee",
	.open = open_vee,
	.create = create,
	.destroy = destroy,
	.run = run,
	.inject = inject,
	.change_regs = change_regs,
};
