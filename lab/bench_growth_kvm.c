// SPDX-License-Identifier: GPL-2.0-only
/* A guest that grows, under KVM. */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "bench_growth.h"
#include "bench_kvm.h"

/* Slot 0 and 1 are bench.h's. */
#define FIRST_SLOT	1

static void set_memory(struct guest *g, unsigned int number, uint64_t gpa, void *hva,
		       uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = FIRST_SLOT + number,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	kvm_check(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region), "memory");
}

static void remove_memory(struct guest *g, unsigned int number, uint64_t gpa, uint64_t bytes)
{
	(void)bytes;
	set_memory(g, number, gpa, NULL, 0);
}

static void create_vcpus(struct guest *g, unsigned int count)
{
	engine->create(g);
	for (unsigned int i = 1; i < count; i++) {
		g[i] = (struct guest) { .memory = g->memory, .vm = g->vm };
		kvm_create_vcpu(&g[i], i);
	}
}

static void destroy_vcpus(struct guest *g, unsigned int count)
{
	for (unsigned int i = 1; i < count; i++)
		kvm_destroy_vcpu(&g[i]);
	engine->destroy(g);
}

const struct growth_engine growth_kvm = {
	.add_memory = set_memory,
	.remove_memory = remove_memory,
	.create_vcpus = create_vcpus,
	.destroy_vcpus = destroy_vcpus,
};
