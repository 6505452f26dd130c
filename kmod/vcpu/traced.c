// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tracing tells of exits and entries (trace.h).
 *
 * All of it is here, behind keys that the paths have anyhow: a tracepoint of its own in each
 * handler would cost each exit a NOP and, for the arguments, registers.
 */
#include <linux/build_bug.h>
#include <linux/compiler.h>

#include "trace.h"
#include "vcpu/l1d.h"
#include "vcpu/traced.h"
#include "vcpu/vcpu.h"
#include "vmx/exits.h"
#include "vmx/vmcs.h"

DEFINE_STATIC_KEY_FALSE(exits_traced);

/* As trace.h has them. */
static_assert(NEXT_ENTER == 0 && NEXT_PREPARE == 1 && NEXT_USER == 5);

/* For the tracepoints: one more, or one less, is looked at. */
int trace_exits_begin(void)
{
	static_branch_inc(&exits_traced);
	return 0;
}

void trace_exits_end(void)
{
	static_branch_dec(&exits_traced);
}

int trace_entries_begin(void)
{
	static_branch_inc(&entries_clean);
	static_branch_inc(&entries_clean_again);
	return 0;
}

void trace_entries_end(void)
{
	static_branch_dec(&entries_clean_again);
	static_branch_dec(&entries_clean);
}

static u64 two_halves(u64 high, u64 low)
{
	return high << 32 | (u32)low;
}

/* @before: the guest's registers at the exit; they are now as the handler left them. */
static void tell_more(struct vee_vcpu *vcpu, const struct vee_regs *before, enum next next)
{
	const struct vee_regs *after = guest_regs(vcpu);

	switch (vcpu->exit.reason & VMX_EXIT_BASIC) {
	case VMX_EXIT_CPUID:
		trace_vee_cpuid(vcpu, before, after, next);
		break;
	case VMX_EXIT_RDMSR:
		trace_vee_msr(vcpu, false, before->rcx, two_halves(after->rdx, after->rax), next);
		break;
	case VMX_EXIT_WRMSR:
		trace_vee_msr(vcpu, true, before->rcx, two_halves(before->rdx, before->rax),
			      next);
		break;
	case VMX_EXIT_IO:
		trace_vee_pio(vcpu, vcpu->exit.qualification, before->rax);
		break;
	}
}

enum next exit_traced(struct vee_vcpu *vcpu, enum next (*handle)(struct vee_vcpu *vcpu))
{
	const struct vee_regs before = *guest_regs(vcpu);
	enum next next;

	trace_vee_exit(vcpu, vcpu->exit.reason, vmcs_read(VMCS_GUEST_RIP),
		       vcpu->exit.qualification);
	next = handle(vcpu);
	tell_more(vcpu, &before, next);
	return next;
}

void run_traced(const struct vee_vcpu *vcpu, int result)
{
	trace_vee_run(vcpu, result);
}
