// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty pages under KVM: its log, which a read clears; its log, cleared by itself, where
 * it is dirty; and its ring.
 */
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench_dirty.h"
#include "bench_kvm.h"

#define SLOT		2
#define RING_ENTRIES	4096
#define RING_BYTES	(RING_ENTRIES * sizeof(struct kvm_dirty_gfn))

static uint64_t bitmap[SPARSE_PAGES / 64];
static struct kvm_dirty_gfn *ring;
static unsigned int ring_next;

static bool enable(struct guest *g, unsigned int what, uint64_t value)
{
	struct kvm_enable_cap cap = { .cap = what, .args = { value } };

	return !ioctl(g->vm, KVM_ENABLE_CAP, &cap);
}

static void add_memory(struct guest *g, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = SLOT,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.guest_phys_addr = GPA_SPARSE,
		.memory_size = SPARSE_BYTES,
		.userspace_addr = (uintptr_t)hva,
	};

	kvm_check(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region), "memory");
}

static bool begin_log(struct guest *g, void *hva)
{
	engine->create(g);
	add_memory(g, hva);
	return true;
}

static bool begin_manual_log(struct guest *g, void *hva)
{
	engine->create(g);
	if (!enable(g, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE))
		return false;
	add_memory(g, hva);
	return true;
}

static void get_log(struct guest *g)
{
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };

	kvm_check(ioctl(g->vm, KVM_GET_DIRTY_LOG, &log), "dirty log");
}

static unsigned int count_bits(void)
{
	unsigned int count = 0;

	for (size_t i = 0; i < SPARSE_PAGES / 64; i++)
		if (bitmap[i])
			count += __builtin_popcountll(bitmap[i]);
	return count;
}

static unsigned int fetch_log(struct guest *g)
{
	get_log(g);
	return count_bits();
}

/* 64 pages at once, as far as it takes them. */
static unsigned int fetch_manual_log(struct guest *g)
{
	struct kvm_clear_dirty_log clear = {
		.slot = SLOT, .num_pages = SPARSE_PAGES, .dirty_bitmap = bitmap,
	};

	get_log(g);
	kvm_check(ioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear), "dirty log");
	return count_bits();
}

static bool begin_ring(struct guest *g, void *hva)
{
	long page = sysconf(_SC_PAGESIZE);

	kvm_create_vm(g);
	if (!enable(g, KVM_CAP_DIRTY_LOG_RING, RING_BYTES)) {
		kvm_create_vcpu(g, 0);
		return false;
	}
	kvm_create_vcpu(g, 0);
	ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu,
		    KVM_DIRTY_LOG_PAGE_OFFSET * page);
	kvm_check(ring == MAP_FAILED ? -1 : 0, "dirty ring");
	ring_next = 0;
	add_memory(g, hva);
	return true;
}

static unsigned int fetch_ring(struct guest *g)
{
	unsigned int count = 0;

	for (;; ring_next++, count++) {
		struct kvm_dirty_gfn *entry = &ring[ring_next % RING_ENTRIES];

		if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
			break;
		__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
	kvm_check(ioctl(g->vm, KVM_RESET_DIRTY_RINGS, 0), "dirty ring");
	return count;
}

const struct dirty_way dirty_kvm[DIRTY_WAYS + 1] = {
	{ begin_log, fetch_log },
	{ begin_manual_log, fetch_manual_log },
	{ begin_ring, fetch_ring },
};
