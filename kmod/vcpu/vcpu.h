/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU: a list of what its files own.
 *
 * A file's header stands below this one. It has the struct of what the file owns, and what
 * the file offers: of a vCPU it knows that there is such a thing, so what is inline there
 * takes its own struct, or numbers. Here the structs are put together; who needs a whole
 * vCPU, a .c file, includes this and the headers of whatever it calls.
 */
#ifndef _VEE_VCPU_H
#define _VEE_VCPU_H

#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/atomic.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "apic/apic.h"
#include "memory/ept.h"
#include "memory/absent.h"
#include "memory/presence.h"
#include "vcpu/code.h"
#include "vcpu/cpuid.h"
#include "vcpu/cr.h"
#include "vcpu/deadline.h"
#include "vcpu/debug.h"
#include "vcpu/event.h"
#include "vcpu/fpu.h"
#include "vcpu/guest_msrs.h"
#include "vcpu/host.h"
#include "vcpu/l1d.h"
#include "vcpu/local.h"
#include "vcpu/pml.h"
#include "vcpu/repeat.h"
#include "vcpu/runner.h"
#include "vcpu/staged.h"
#include "vcpu/step.h"
#include "vcpu/tpr.h"
#include "vcpu/vmexit.h"
#include "vmx/msr_switch.h"
#include "vmx/root.h"
#include "vmx/vmcs.h"
#include "vmx/vpid.h"

struct fetch;
struct page;
struct vee_vm;

/**
 * struct vee_vcpu - a vCPU
 * @vm: its VM; holds a reference
 * @id: its number in the VM
 * @lock: 1: held, by a run or any request but VEE_VCPU_KICK and VEE_VCPU_INJECT
 * @page: the vCPU page, shared with the caller
 * @borrowed: ... one of the caller's own; NULL: the kernel's, which it maps
 *
 * @vmcs: its VMCS
 * @controls: copies of what is in it
 * @vmcs_host: copies of what is in it of the host
 * @switched: MSRs that its entries and exits load
 * @vpid: its virtual-processor identifier
 * @l1d: whether the L1 data cache may have secrets of the host
 * @host: the host's state while the guest's is loaded
 *
 * @presence: where it may be in the guest
 * @fetch: shared with the thread that fetches its memory; NULL: none yet
 * @absent: memory that was not at hand when last looked at
 * @ept_cache: tables for the next EPT violation
 * @pml: the log of pages that it has written
 *
 * @runner: the run under way
 * @limits: how long it may last
 * @wishes: what the caller wants of it
 * @step: a step for the caller
 * @exit: the last VM exit
 * @violation: the last EPT violation
 * @code: its instruction, or the next one
 * @repeats: stores that were posted; NULL: none yet
 *
 * @events: on their way into the guest
 * @cr: the guest's control registers
 * @tpr: ... CR8
 * @apic: ... local APIC, if it has one
 * @local: how the CPU sees to that
 * @yielded_to: number of the vCPU that this one's thread last gave its turn to
 * @debug: ... debug registers
 * @msrs: ... MSRs outside the VMCS
 * @fpu: ... x87, SSE, AVX, AVX-512
 * @stats: counters
 * @staged: state that the next entry is to load
 * @cpuid: answers to CPUID
 */
struct vee_vcpu {
	struct vee_vm *vm;
	unsigned int id;
	atomic_t lock;
	struct vee_vcpu_page *page;
	struct page *borrowed;

	struct vmcs vmcs;
	struct vmcs_controls controls;
	struct vmcs_host vmcs_host;
	struct msr_switch switched;
	struct vpid vpid;
	struct l1d l1d;
	struct host_state host;

	struct presence presence;
	struct fetch *fetch;
	struct absent absent;
	struct ept_cache ept_cache;
	struct pml pml;

	struct runner runner;
	struct limits limits;
	struct wishes wishes;
	struct step step;
	struct vm_exit exit;
	struct violation violation;
	struct code code;
	struct repeat *repeats;

	struct events events;
	struct control_regs cr;
	struct tpr tpr;
	struct apic apic;
	struct local local;
	unsigned int yielded_to;
	struct debug_regs debug;
	struct guest_msrs msrs;
	struct guest_fpu fpu;
	struct vee_stats stats;
	struct staged_state staged;
	struct guest_cpuid cpuid;
};

/*
 * Nobody waits for a vCPU, so no mutex: an exchange and a store in place of two calls, at
 * each run.
 */
static inline bool vcpu_trylock(struct vee_vcpu *vcpu)
{
	return !atomic_xchg_acquire(&vcpu->lock, 1);
}

static inline void vcpu_unlock(struct vee_vcpu *vcpu)
{
	atomic_set_release(&vcpu->lock, 0);
}

/* RAX, RDX and so on of the guest: always live in the vCPU page. */
static inline struct vee_regs *guest_regs(struct vee_vcpu *vcpu)
{
	return &vcpu->page->regs;
}

/* What WRMSR and XSETBV write. */
static inline u64 guest_edx_eax(struct vee_vcpu *vcpu)
{
	const struct vee_regs *regs = guest_regs(vcpu);

	return READ_ONCE(regs->rdx) << 32 | (u32)READ_ONCE(regs->rax);
}

/* What the page says: the caller's to falsify, and its own loss. */
static inline int vcpu_exit_reason(const struct vee_vcpu *vcpu)
{
	return READ_ONCE(vcpu->page->exit.reason) & INT_MAX;
}

#endif /* _VEE_VCPU_H */
