/* SPDX-License-Identifier: GPL-2.0-only */
/* The benchmark of local APICs: what it takes of an engine, besides bench.h. */
#ifndef LAB_BENCH_APIC_H
#define LAB_BENCH_APIC_H

#include <stdint.h>

#include "bench.h"

#define MAX_CPUS	2

/* An MSI for vCPU 0. */
#define MSI_ADDRESS	0xfee00000ULL

/**
 * struct apic_engine - VMs with local APICs
 * @create: one with @count vCPUs, each a struct guest, that all run; HLT sleeps
 * @destroy: the end of it
 * @signal: the interrupt @vector for vCPU 0, by message; from any thread
 * @bind: an eventfd that stands for that
 */
struct apic_engine {
	void (*create)(struct guest *cpus, unsigned int count);
	void (*destroy)(struct guest *cpus, unsigned int count);
	void (*signal)(struct guest *cpus, uint8_t vector);
	int (*bind)(struct guest *cpus, uint8_t vector);
};

extern const struct apic_engine apic_vee, apic_kvm;

#endif /* LAB_BENCH_APIC_H */
