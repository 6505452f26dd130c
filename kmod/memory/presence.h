/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which CPUs may be in a guest that has the memory, and how they are made to leave it.
 */
#ifndef _VEE_PRESENCE_H
#define _VEE_PRESENCE_H

#include <linux/compiler.h>
#include <linux/cpumask.h>
#include <linux/list.h>
#include <linux/smp.h>
#include <asm/barrier.h>

/**
 * struct presence - of one virtual processor with the memory
 * @link: on presences.list
 * @cpu: the CPU that may be in its guest, -1: none
 */
struct presence {
	struct list_head link;
	int cpu;
};

/**
 * struct presences - of all of them; guarded by memory.lock
 * @list: they
 * @cpus: room for presence_flush() to gather CPUs in
 */
struct presences {
	struct list_head list;
	cpumask_var_t cpus;
};

/* Around the stretch in which this CPU enters the guest. Preemption off. */
static inline void presence_begin(struct presence *presence)
{
	WRITE_ONCE(presence->cpu, smp_processor_id());
	/* Before any look at the EPT's generation: presence_flush() does the reverse. */
	smp_mb();
}

static inline void presence_end(struct presence *presence)
{
	/* After it: presence_flush() need not wait for this CPU any more. */
	smp_store_release(&presence->cpu, -1);
}

int presences_init(struct presences *presences);
void presences_destroy(struct presences *presences);
/*
 * Under memory.lock, after a change that takes memory from the guest: has every
 * CPU that may be in it leave it, and waits until each has. It looks at the EPT's
 * generation before it enters again.
 */
void presence_flush(struct presences *presences);

#endif /* _VEE_PRESENCE_H */
