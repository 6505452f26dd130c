/* SPDX-License-Identifier: GPL-2.0-only */
/* The benchmark of dirty pages: what it takes of an engine, besides bench.h. */
#ifndef LAB_BENCH_DIRTY_H
#define LAB_BENCH_DIRTY_H

#include <stdint.h>

#include "bench.h"

/* A slot of which the guest has written little: nothing else of it is there. */
#define GPA_SPARSE	(1024 * MIB)
#define SPARSE_BYTES	(1024 * MIB)
#define SPARSE_PAGES	(SPARSE_BYTES / 4096)
#define WRITTEN		262	/* pages: 0.1% */
#define WRITTEN_STEP	1000	/* one of so many */

/**
 * struct dirty_way - how an engine tells which pages were written
 * @begin: @g is made, its sparse memory at @hva, and noted is what it writes; false: it
 *	has no such way
 * @fetch: how many pages of it were written; they count as not written from then on
 */
struct dirty_way {
	bool (*begin)(struct guest *g, void *hva);
	unsigned int (*fetch)(struct guest *g);
};

#define DIRTY_WAYS	3

/* Those that it has, up to one without @begin. */
extern const struct dirty_way dirty_vee[DIRTY_WAYS + 1], dirty_kvm[DIRTY_WAYS + 1];

/*
 * A guest of which is noted what it writes, and that writes to WRITTEN pages; false: not in
 * this way. One at a time, and to be ended in each case.
 */
bool dirty_begin(struct guest *g, const struct dirty_way *way);
void dirty_write(struct guest *g);
void dirty_fetch(struct guest *g, const struct dirty_way *way);
void dirty_end(struct guest *g);
/* The figure of the best of them. */
void measure_dirty(void);

#endif /* LAB_BENCH_DIRTY_H */
