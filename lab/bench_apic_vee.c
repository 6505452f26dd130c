// SPDX-License-Identifier: GPL-2.0-only
/* Guests with local APICs under vee. */
#include <errno.h>
#include <sys/eventfd.h>

#include <vee.h>

#include "bench_apic.h"

static struct vee_guest *vee_of(const struct guest *g)
{
	return g->private;
}

/* The others wait for a SIPI at first. */
static void start(struct vee_vcpu *vcpu)
{
	need(vee_vcpu_sync(vcpu, VEE_STATE_APIC), "local APIC");
	vcpu->page->apic.start = 0;
	vcpu->page->dirty |= VEE_STATE_APIC;
}

static void create(struct guest *cpus, unsigned int count)
{
	struct vee_vm *vm;

	need(vee_vm_create_with(&vm, VEE_VM_LOCAL_APIC), "VM");
	for (unsigned int i = 0; i < count; i++) {
		struct vee_guest *v = calloc(1, sizeof(*v));

		need(v ? 0 : -ENOMEM, "vCPU");
		v->vm = vm;
		cpus[i].private = v;
		if (!i)
			guest_map_memory(&cpus[0]);
		guest_add_vcpu(&cpus[i], i);
		start(v->vcpu);
		v->vcpu->page->options = VEE_OPTION_HLT_SLEEPS;
	}
}

static void destroy(struct guest *cpus, unsigned int count)
{
	struct vee_vm *vm = vee_of(&cpus[0])->vm;

	for (unsigned int i = 0; i < count; i++) {
		vee_vcpu_destroy(vee_of(&cpus[i])->vcpu);
		free(cpus[i].private);
	}
	vee_vm_destroy(vm);
}

static void signal_vcpu(struct guest *cpus, uint8_t vector)
{
	need(vee_vm_signal(vee_of(&cpus[0])->vm, MSI_ADDRESS, vector, 0), "message");
}

static int bind_eventfd(struct guest *cpus, uint8_t vector)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	need(fd < 0 ? -errno : 0, "eventfd");
	need(vee_vm_bind(vee_of(&cpus[0])->vm, fd, MSI_ADDRESS, vector, 0), "binding");
	return fd;
}

const struct apic_engine apic_vee = {
	.create = create,
	.destroy = destroy,
	.signal = signal_vcpu,
	.bind = bind_eventfd,
};
