// SPDX-License-Identifier: GPL-2.0-only
/* Writes that end no run, under KVM: coalesced PIO and MMIO, ioeventfds. */
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench_kvm.h"
#include "bench_watch.h"

/* In memory without a length, which is what KVM has a fast path for. */
static void set_bell(struct guest *g, const struct watch *watch, bool remove)
{
	struct kvm_ioeventfd bell = {
		.addr = watch->address,
		.fd = watch->eventfd,
		.flags = (watch->memory ? 0 : KVM_IOEVENTFD_FLAG_PIO) |
			 (remove ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0),
	};

	kvm_check(ioctl(g->vm, KVM_IOEVENTFD, &bell), "an ioeventfd");
}

static void set(struct guest *g, const struct watch *watch, bool remove)
{
	struct kvm_coalesced_mmio_zone zone = {
		.addr = watch->address, .size = 4, .pio = !watch->memory,
	};

	if (watch->bell)
		set_bell(g, watch, remove);
	else
		kvm_check(ioctl(g->vm, remove ? KVM_UNREGISTER_COALESCED_MMIO :
				KVM_REGISTER_COALESCED_MMIO, &zone), "a zone");
}

static unsigned int take(struct guest *g)
{
	long page = sysconf(_SC_PAGESIZE);
	struct kvm_coalesced_mmio_ring *ring =
		(void *)((uint8_t *)g->run + KVM_COALESCED_MMIO_PAGE_OFFSET * page);
	unsigned int room = (page - sizeof(*ring)) / sizeof(*ring->coalesced_mmio);
	unsigned int count = (ring->last + room - ring->first) % room;

	ring->first = ring->last;
	return count;
}

const struct watcher watcher_kvm = { set, take };
