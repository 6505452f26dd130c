/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The benchmark of machines that begin as a template: what it takes of an engine, besides
 * bench.h and bench_calls.h.
 */
#ifndef LAB_BENCH_TEMPLATE_H
#define LAB_BENCH_TEMPLATE_H

#include <stdint.h>

#include "bench.h"

/**
 * struct template_engine - guests whose memory is a copy of a file's
 * @open: the file has GUEST_BYTES; nobody writes it
 * @create: a guest with a copy of it, which is made as it is written
 * @destroy: it, and its copy
 * @create_kept: another; what it writes is found out
 * @put_back: all that it has written since it was made, or put back, is as in the file
 * @destroy_kept: its end
 */
struct template_engine {
	void (*open)(int fd);
	void (*create)(struct guest *g);
	void (*destroy)(struct guest *g);
	void (*create_kept)(struct guest *g);
	void (*put_back)(struct guest *g);
	void (*destroy_kept)(struct guest *g);
};

extern const struct template_engine template_vee, template_kvm;

/* ... with a file that has what a guest's memory is at first, which is @memory. */
void template_open(const struct template_engine *engine);

void measure_template(void);

#endif /* LAB_BENCH_TEMPLATE_H */
