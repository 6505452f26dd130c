/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A page of the engine's own in a guest's memory.
 */
#ifndef _VEE_OWN_H
#define _VEE_OWN_H

#include <linux/spinlock.h>
#include <linux/types.h>

struct ept;
struct ept_cache;

/**
 * struct own - that page
 * @page: it; NULL: there is none
 * @gpa: where it is
 * @hidden: for how many vCPUs it must not be there: then it is for none. Under memory.lock
 */
struct own {
	void *page;
	u64 gpa;
	unsigned int hidden;
};

/* Before the first slot. A page of zeros, which the guest can read and write. -ENOMEM */
int own_set(struct own *own, u64 gpa);
void own_free(struct own *own);
/* Is it in that range? */
bool own_is_in(const struct own *own, u64 gpa, u64 bytes);
/*
 * Makes it accessible. False: @gpa isn't there, it is hidden, or there is no memory. @lock:
 * @ept's
 */
bool own_fault(const struct own *own, struct ept *ept, spinlock_t *lock,
	       struct ept_cache *cache, u64 gpa);

/*
 * For one vCPU more, and one less. Who has it in a TLB already may see it until his CPU begins a
 * new generation: with his next entry. Likewise.
 */
void own_hide(struct own *own, struct ept *ept, spinlock_t *lock);
void own_show(struct own *own, spinlock_t *lock);

#endif /* _VEE_OWN_H */
