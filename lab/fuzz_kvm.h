/* SPDX-License-Identifier: GPL-2.0-only */
/* KVM's ioctls, as the fuzzers use them that hold vee against it. */
#ifndef LAB_FUZZ_KVM_H
#define LAB_FUZZ_KVM_H

#include <stdint.h>

#include <linux/kvm.h>

#include <vee.h>

/* ioctl(2), whose failure is the program's end; @what: of what. */
int kvm_call(int fd, unsigned long request, void *arg, const char *what);
/* /dev/kvm. @cure: if it is not there */
int kvm_open(const char *cure);
void kvm_enable(int fd, uint32_t cap, uint64_t arg);
/* Of @vm, all that KVM can do without. */
void kvm_disable_quirks(int vm);
/* The page of @vcpu, of @bytes. */
struct kvm_run *kvm_map(int vcpu, int bytes);

/* The answers to CPUID that vee's guests get: whoever runs them has it. */
int vee_answers(struct vee_cpuid_entry *entries, unsigned int *count);
/* They are KVM's guests', too: asked for once, and set for each vCPU. */
void kvm_ask_vee(void);
void kvm_set_cpuid(int vcpu);

struct vee_regs kvm_regs_from(const struct kvm_regs *r);

/*
 * Ends a run that has no end, after one to two times @us from each on; vee has deadlines for
 * that.
 */
void kvm_start_ticks(long us);
/* To the next exit: 0. EINTR: there is none; or another error. */
int kvm_run_once(int vcpu);

#endif /* LAB_FUZZ_KVM_H */
