/* SPDX-License-Identifier: GPL-2.0-only */
/* The benchmark of writes that end no run: what it takes of an engine, besides bench.h. */
#ifndef LAB_BENCH_WATCH_H
#define LAB_BENCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"

/**
 * struct watch - which writes
 * @address: a port, or with @memory a guest-physical address
 * @memory: see @address
 * @bell: they signal @eventfd; otherwise they are posted
 * @eventfd: see @bell
 */
struct watch {
	uint64_t address;
	bool memory;
	bool bell;
	int eventfd;
};

/**
 * struct watcher - writes that end no run, under an engine
 * @set: from now on @watch is such, or with @remove no longer
 * @take: how many were posted since it was last asked
 */
struct watcher {
	void (*set)(struct guest *g, const struct watch *watch, bool remove);
	unsigned int (*take)(struct guest *g);
};

extern const struct watcher watcher_vee, watcher_kvm;

void measure_watches(void);

#endif /* LAB_BENCH_WATCH_H */
