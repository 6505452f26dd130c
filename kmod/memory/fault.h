/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * EPT violations on guest memory.
 */
#ifndef _VEE_FAULT_H
#define _VEE_FAULT_H

#include <linux/types.h>

struct absent;
struct ept_cache;
struct memory;

/**
 * struct mem_range - of guest-physical memory
 * @gpa: where
 * @bytes: how much
 */
struct mem_range {
	u64 gpa;
	u64 bytes;
};

static inline bool mem_range_has(const struct mem_range *range, u64 gpa)
{
	return gpa - range->gpa < range->bytes;
}

/*
 * Makes @gpa accessible in the EPT. May sleep, with @may_sleep, but not for long. 0: the
 * guest can go on; -ENOENT: no slot, it is MMIO; -EINTR: try again, after a look at what
 * may end the run; -EBUSY: it would have had to sleep, or for long: @absent is what
 * mem_fetch() has to fetch; else what struct vee_exit_memory, @error says.
 */
int mem_fault(struct memory *memory, struct ept_cache *cache, u64 gpa, unsigned int access,
	      bool may_sleep, struct absent *absent);
/*
 * With preemption off; also -EBUSY or -EAGAIN: mem_fault() has to do it. If it could be done
 * @slot is where.
 */
int mem_fault_now(struct memory *memory, struct ept_cache *cache, u64 gpa,
		  unsigned int access, struct mem_range *slot);

#endif /* _VEE_FAULT_H */
