/* SPDX-License-Identifier: GPL-2.0-only */
/* The benchmark of VMs as function calls: what it takes of an engine, besides bench.h. */
#ifndef LAB_BENCH_CALLS_H
#define LAB_BENCH_CALLS_H

#include <stdint.h>

#include "bench.h"

/*
 * What is called, at GPA_CODE: RDI is the argument, RAX the result, and an OUT to PORT
 * the way back.
 */
#define RESULT_OF(argument)	((argument) + 1)

/* Pages that a call writes. */
#define GPA_WRITTEN	0x20000
#define WRITTEN_MOST	16

/**
 * struct call_engine - calls of a guest
 * @open: the device stays open from here on
 * @create: like struct engine's
 * @create_empty: without memory and vCPU; NULL: it has no such way
 * @call: of a guest that has made its first exit; all other registers are as they were
 * @call_with: of one that perhaps has not, and with RSI @pages
 * @note: what all of its registers are, for the next
 * @call_anew: all registers are set to that before
 */
struct call_engine {
	void (*open)(void);
	void (*create)(struct guest *g);
	void (*create_empty)(struct guest *g);
	uint64_t (*call)(struct guest *g, uint64_t argument);
	uint64_t (*call_with)(struct guest *g, uint64_t argument, uint64_t pages);
	void (*note)(struct guest *g);
	uint64_t (*call_anew)(struct guest *g, uint64_t argument);
};

extern const struct call_engine calls_vee, calls_kvm;

#endif /* LAB_BENCH_CALLS_H */
