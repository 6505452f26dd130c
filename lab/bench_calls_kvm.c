// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of a guest under KVM: by the page that kernel and program share
 * (KVM_CAP_SYNC_REGS), which is quicker than its requests for registers.
 */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "bench_calls.h"
#include "bench_kvm.h"

#define ALL_REGS	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

static struct kvm_sync_regs noted;

/* It is, since the program began. */
static void open_device(void)
{
}

static void run(struct guest *g)
{
	struct kvm_run *page = g->run;

	kvm_check(ioctl(g->vcpu, KVM_RUN, 0), "run");
	if (page->exit_reason != KVM_EXIT_IO)
		die("KVM: exit %u", page->exit_reason);
}

/* Once asked for, each run fills them in. */
static void share(struct guest *g)
{
	struct kvm_run *page = g->run;

	kvm_check(ioctl(g->vcpu, KVM_GET_REGS, &page->s.regs.regs), "registers");
	page->kvm_valid_regs = KVM_SYNC_X86_REGS;
}

/*
 * A new RIP tells KVM that the OUT is not to be gone past. What it sets goes for this
 * run alone.
 */
static uint64_t call(struct guest *g, uint64_t argument)
{
	struct kvm_run *page = g->run;

	if (!page->kvm_valid_regs)
		share(g);
	page->s.regs.regs.rdi = argument;
	page->s.regs.regs.rip = GPA_CODE;
	page->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run(g);
	return page->s.regs.regs.rax;
}

static uint64_t call_with(struct guest *g, uint64_t argument, uint64_t pages)
{
	struct kvm_run *page = g->run;

	if (!page->kvm_valid_regs)
		share(g);
	page->s.regs.regs.rsi = pages;
	return call(g, argument);
}

static void note(struct guest *g)
{
	kvm_check(ioctl(g->vcpu, KVM_GET_REGS, &noted.regs), "registers");
	kvm_check(ioctl(g->vcpu, KVM_GET_SREGS, &noted.sregs), "registers");
	kvm_check(ioctl(g->vcpu, KVM_GET_VCPU_EVENTS, &noted.events), "events");
}

static uint64_t call_anew(struct guest *g, uint64_t argument)
{
	struct kvm_run *page = g->run;

	page->s.regs = noted;
	page->s.regs.regs.rdi = argument;
	page->s.regs.regs.rip = GPA_CODE;
	page->kvm_valid_regs = KVM_SYNC_X86_REGS;
	page->kvm_dirty_regs = ALL_REGS;
	run(g);
	return page->s.regs.regs.rax;
}

static void create(struct guest *g)
{
	engine_kvm.create(g);
}

const struct call_engine calls_kvm = {
	.open = open_device,
	.create = create,
	.call = call,
	.call_with = call_with,
	.note = note,
	.call_anew = call_anew,
};
