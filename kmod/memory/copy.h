/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * EPT violations where a slot has a template.
 */
#ifndef _VEE_COPY_H
#define _VEE_COPY_H

struct ept_cache;
struct fault;

/* What the guest gets. */
void copy_begin(struct fault *fault);
/* In place of getting its page and mapping it: FAULT_TO_COPY. As mem_fault(), or -EAGAIN. */
int copy_make(struct fault *fault, unsigned long seq, struct ept_cache *cache);
/* Under memory.lock, with its page. 0; -EAGAIN: somebody has made a copy meanwhile. */
int copy_map(struct fault *fault, struct ept_cache *cache);

#endif /* _VEE_COPY_H */
