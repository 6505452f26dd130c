/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The benchmark of machines that begin as a snapshot of another: what it takes of an engine,
 * besides bench.h and bench_calls.h.
 */
#ifndef LAB_BENCH_FORK_H
#define LAB_BENCH_FORK_H

#include <stdint.h>

#include "bench.h"

/**
 * struct fork_engine - guests that are copies of one
 * @open: what they are copies of: @memory, and a vCPU that is at GPA_CODE
 * @create: one of them
 * @call_back: like call_engine's @call_anew; then all that the guest has written, and its
 *	registers, are as they were
 * @destroy: its end
 */
struct fork_engine {
	void (*open)(void);
	void (*create)(struct guest *g);
	uint64_t (*call_back)(struct guest *g, uint64_t argument);
	void (*destroy)(struct guest *g);
};

extern const struct fork_engine fork_vee, fork_kvm;

void measure_fork(void);
/* vee alone. */
void measure_fn(void);

#endif /* LAB_BENCH_FORK_H */
