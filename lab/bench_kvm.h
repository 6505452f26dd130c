/* SPDX-License-Identifier: GPL-2.0-only */
/* What the benchmarks' guests under KVM share. */
#ifndef LAB_BENCH_KVM_H
#define LAB_BENCH_KVM_H

#include <stdbool.h>
#include <stdint.h>

struct guest;

/* Of a system call: -1 ends the program. */
int kvm_check(int ret, const char *what);
/* A VM with @g's memory. */
void kvm_create_vm(struct guest *g);
/* ... a vCPU of it, in long mode, with code and stack as @id says. */
void kvm_create_vcpu(struct guest *g, unsigned int id);
/* From here on it is noted which pages of @g's memory are written; a bit for each. */
void kvm_log_memory(struct guest *g);
void kvm_get_log(struct guest *g, uint64_t *bitmap);
void kvm_destroy_vcpu(struct guest *g);

/* Has each vCPU a table for CPUID? */
extern bool kvm_has_cpuid;

#endif /* LAB_BENCH_KVM_H */
