// SPDX-License-Identifier: GPL-2.0-only
/* Guests with local APICs under KVM, which is to have these in the kernel. */
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench_apic.h"
#include "bench_kvm.h"

/* Routes of an I/O APIC, the least that it takes. */
#define ROUTES	24

static void create(struct guest *cpus, unsigned int count)
{
	struct kvm_enable_cap apics = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { ROUTES } };
	struct kvm_mp_state runs = { .mp_state = KVM_MP_STATE_RUNNABLE };

	kvm_has_cpuid = true;
	kvm_create_vm(&cpus[0]);
	kvm_check(ioctl(cpus[0].vm, KVM_ENABLE_CAP, &apics), "local APICs");
	for (unsigned int i = 0; i < count; i++) {
		cpus[i].vm = cpus[0].vm;
		kvm_create_vcpu(&cpus[i], i);
		kvm_check(ioctl(cpus[i].vcpu, KVM_SET_MP_STATE, &runs), "state");
	}
}

static void destroy(struct guest *cpus, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		kvm_destroy_vcpu(&cpus[i]);
	close(cpus[0].vm);
}

static void signal_vcpu(struct guest *cpus, uint8_t vector)
{
	struct kvm_msi msi = { .address_lo = MSI_ADDRESS, .data = vector };

	kvm_check(ioctl(cpus[0].vm, KVM_SIGNAL_MSI, &msi), "MSI");
}

static int bind_eventfd(struct guest *cpus, uint8_t vector)
{
	struct kvm_irq_routing_entry msi = {
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = MSI_ADDRESS, .data = vector },
	};
	struct kvm_irq_routing *routes = calloc(1, sizeof(*routes) + sizeof(msi));
	struct kvm_irqfd bound = { .fd = kvm_check(eventfd(0, EFD_CLOEXEC), "eventfd") };

	kvm_check(routes ? 0 : -1, "routes");
	routes->nr = 1;
	routes->entries[0] = msi;
	kvm_check(ioctl(cpus[0].vm, KVM_SET_GSI_ROUTING, routes), "routes");
	free(routes);
	kvm_check(ioctl(cpus[0].vm, KVM_IRQFD, &bound), "irqfd");
	return bound.fd;
}

const struct apic_engine apic_kvm = {
	.create = create,
	.destroy = destroy,
	.signal = signal_vcpu,
	.bind = bind_eventfd,
};
