/* SPDX-License-Identifier: GPL-2.0-only */
/* The benchmark of how costs grow: what it takes of an engine, besides bench.h. */
#ifndef LAB_BENCH_GROWTH_H
#define LAB_BENCH_GROWTH_H

#include <stdint.h>

#include "bench.h"

#define MOST_VCPUS	64

/**
 * struct growth_engine - a guest that grows
 * @add_memory: to @g's VM; @number, from 1 on, is not in use
 * @remove_memory: it is there
 * @create_vcpus: @count guests with a vCPU each, of one VM: the ids from 0 up
 * @destroy_vcpus: them, and the VM
 */
struct growth_engine {
	void (*add_memory)(struct guest *g, unsigned int number, uint64_t gpa, void *hva,
			   uint64_t bytes);
	void (*remove_memory)(struct guest *g, unsigned int number, uint64_t gpa,
			      uint64_t bytes);
	void (*create_vcpus)(struct guest *g, unsigned int count);
	void (*destroy_vcpus)(struct guest *g, unsigned int count);
};

extern const struct growth_engine growth_vee, growth_kvm;

#endif /* LAB_BENCH_GROWTH_H */
