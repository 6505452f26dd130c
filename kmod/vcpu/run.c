// SPDX-License-Identifier: GPL-2.0-only
/*
 * The run loop.
 *
 * A run is three loops, one in the other, each giving up less of the host:
 *
 *	run		may sleep: page faults, signals, the scheduler
 *	stretch		preemption off, the guest's FPU loaded
 *	bracket		interrupts off, the VMCS current, the guest's MSRs loaded:
 *			enter, exit, handle
 *
 * An exit that the engine answers itself goes round the innermost loop: nothing
 * of the host's needs looking at there, since whatever wants this CPU (a tick, a
 * signal's IPI, a kick, a flush of the EPT) comes as an interrupt, and a pending
 * interrupt ends the next entry before the guest's first instruction.
 */
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include <asm/trapnr.h>

#include "compat.h"
#include "compat_cpu.h"
#include "trace.h"
#include "memory/vm.h"
#include "vcpu/cr.h"
#include "vcpu/exit.h"
#include "vcpu/exit_user.h"
#include "vcpu/fetch.h"
#include "vcpu/halt.h"
#include "vcpu/intercept.h"
#include "vcpu/local.h"
#include "vcpu/local_exit.h"
#include "vcpu/lock.h"
#include "vcpu/mmio.h"
#include "vcpu/msr_bitmap.h"
#include "vcpu/perf.h"
#include "vcpu/pml.h"
#include "vcpu/run.h"
#include "vcpu/state.h"
#include "vcpu/times.h"
#include "vcpu/traced.h"
#include "vcpu/vcpu.h"
#include "vcpu/work.h"
#include "vmx/entry.h"
#include "vmx/exits.h"

/* --- the bracket --------------------------------------------------------------- */

/*
 * Translations that another CPU's guest changed, or that the EPT no longer has.
 * Once per bracket is enough: presence_flush() waits for an interrupt here, which ends
 * the bracket, before anything that it took away is used again.
 */
static __always_inline void flush_stale(struct vee_vcpu *vcpu)
{
	if (ept_flush_this_cpu(&vcpu->vm->memory.ept))
		vcpu->stats.flushes++;
	if (vcpu->vpid.cpu != smp_processor_id())
		vpid_flush(&vcpu->vpid);
}

static noinline void set_up_vmcs(struct vee_vcpu *vcpu)
{
	const struct vmcs_links links = {
		.eptp = vcpu->vm->memory.ept.eptp,
		.msr_bitmap = msr_bitmap_hpa(false),
		.vpid = vcpu->vpid.id,
	};

	vmcs_setup(&vcpu->controls, &links);
	local_reload(vcpu);
	cpuid_apply(vcpu);
}

static __always_inline int bracket_enter(struct vee_vcpu *vcpu)
{
	int err;

	local_irq_disable();
	err = vmx_root_enter(&vcpu->vmcs);
	if (err) {
		local_irq_enable();
		return err;
	}
	if (unlikely(!vcpu->controls.set_up))
		set_up_vmcs(vcpu);
	vmcs_load_host(&vcpu->vmcs_host, vcpu->host.fs_base);
	/* With interrupts off: perf changes it in an IPI. */
	vcpu->host.debugctl = __rdmsr(MSR_IA32_DEBUGCTLMSR);
	debug_enter(&vcpu->debug);
	guest_msrs_enter(&vcpu->msrs);
	state_load(vcpu, &vcpu->staged, &vcpu->exit, &vcpu->step);
	return 0;
}

static __always_inline void bracket_leave(struct vee_vcpu *vcpu)
{
	if (unlikely(vcpu->debug.loaded)) {
		vcpu->debug.dr7 = vmcs_read(VMCS_GUEST_DR7);
		debug_put_away(&vcpu->debug);
	}
	/* An exit clears it. */
	if (unlikely(vcpu->host.debugctl))
		wrmsrq(MSR_IA32_DEBUGCTLMSR, vcpu->host.debugctl);
	if (unlikely(vcpu->cr.cr0 & X86_CR0_PG && !vmcs_long_mode(&vcpu->controls)))
		cr_note(vcpu);
	if (pml_is_on(&vcpu->pml))
		pml_empty(vcpu);
	guest_msrs_leave(&vcpu->msrs);
	vmx_root_leave(&vcpu->vmcs);
	local_irq_enable();
	if (unlikely(READ_ONCE(vmcs_failed)))
		vmcs_complain();
}

/* --- one entry ------------------------------------------------------------------- */

static noinline enum next entry_refused(struct vee_vcpu *vcpu)
{
	vcpu->exit.reason = 0;
	vcpu->exit.qualification = 0;
	return exit_entry_failed(vcpu, vmcs_read(VMCS_VM_INSTRUCTION_ERROR));
}

static noinline enum next entry_failed(struct vee_vcpu *vcpu)
{
	vcpu->exit.qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	return exit_entry_failed(vcpu, 0);
}

/* CR2 is in neither the VMCS nor any save area. */
static __always_inline bool enter(struct vee_vcpu *vcpu)
{
	if (native_read_cr2() != vcpu->cr.cr2)
		native_write_cr2(vcpu->cr.cr2);
	vcpu->stats.entries++;
	if (unlikely(!vmx_enter_guest(guest_regs(vcpu), &vcpu->vmcs.frame)))
		return false;
	vcpu->cr.cr2 = native_read_cr2();
	return true;
}

static_assert(VMX_EXIT_EXCEPTION_NMI == 0);

/* @plain: the entry delivers no event, and ends after no step. */
static __always_inline enum next enter_and_handle(struct vee_vcpu *vcpu, bool plain)
{
	bool entered = enter(vcpu);
	u32 reason;

	if (!plain)
		step_after_exit(vcpu, &vcpu->step);
	if (unlikely(!entered))
		return entry_refused(vcpu);
	reason = vmcs_read(VMCS_EXIT_REASON);
	vcpu->exit.reason = reason;
	/* One comparison for those that are not just any exit. */
	if (unlikely(reason - 1 >= VMX_EXIT_BASIC)) {
		reason = lock_note(&vcpu->runner, reason);
		vcpu->exit.reason = reason;
		if (host_take_event(reason))
			work_after_machine_check(&vcpu->runner);
		/* An entry that fails on the guest's state launches nothing. */
		if (reason & VMX_EXIT_ENTRY_FAILURE)
			return entry_failed(vcpu);
	}
	vcpu->vmcs.frame.launched = true;
	if (!plain)
		event_entered(&vcpu->events);
	return exit_handle(vcpu, reason);
}

/* --- reasons not to enter ---------------------------------------------------------- */

static noinline enum next stop(struct vee_vcpu *vcpu, u32 reason)
{
	vcpu->exit.reason = 0;
	vcpu->exit.qualification = 0;
	vcpu->exit.insn_length = 0;
	return exit_user(vcpu, reason);
}

static noinline enum next stepped(struct vee_vcpu *vcpu)
{
	vcpu->step.done = false;
	vcpu->page->exit.debug = (struct vee_exit_debug) {
		.vector = X86_TRAP_DB,
		.step = 1,
	};
	return stop(vcpu, VEE_EXIT_DEBUG);
}

static noinline enum next interrupted(struct vee_vcpu *vcpu)
{
	vcpu->runner.interrupted = true;
	return stop(vcpu, VEE_EXIT_INTERRUPTED);
}

static noinline enum next sleep_on(struct vee_vcpu *vcpu)
{
	if (vcpu->runner.is_inline)
		return interrupted(vcpu);
	vcpu->exit.sleeper = halt_sleep;
	return NEXT_SLEEP;
}

static noinline enum next load_pml(struct vee_vcpu *vcpu)
{
	if (pml_load(vcpu))
		return NEXT_ENTER;
	if (vcpu->runner.is_inline)
		return interrupted(vcpu);
	vcpu->exit.sleeper = pml_sleep;
	return NEXT_SLEEP;
}

/* With interrupts off, so that none of these can come unseen before the entry. */
static __always_inline enum next may_enter(struct vee_vcpu *vcpu)
{
	enum next next;

	if (runner_is_kicked(&vcpu->runner))
		return stop(vcpu, VEE_EXIT_KICKED);
	if (deadline_passed(&vcpu->limits))
		return stop(vcpu, VEE_EXIT_DEADLINE);
	if (step_is_over(&vcpu->step, vcpu->wishes.intercept, &vcpu->events))
		return stepped(vcpu);
	if (tpr_is_below(&vcpu->tpr))
		return stop(vcpu, VEE_EXIT_TPR);
	if (unlikely(work_waits(&vcpu->runner)))
		return work_ends_run(&vcpu->runner) ? interrupted(vcpu) : NEXT_HOST;
	if (budget_passed(&vcpu->limits))
		return interrupted(vcpu);
	event_take_sent(&vcpu->events);
	if (local_is_there(&vcpu->apic)) {
		next = local_attend(vcpu);
		if (next != NEXT_ENTER)
			return next;
		if (unlikely(local_waits(&vcpu->apic)))
			return sleep_on(vcpu);
	}
	if (halt_holds(vcpu, vcpu->wishes.options))
		return sleep_on(vcpu);
	/* Before a look at the EPT's generation. */
	if (!pml_fits(&vcpu->pml, &vcpu->vm->memory.ept))
		return load_pml(vcpu);
	return NEXT_ENTER;
}

/* What has to be prepared for an entry, or undone from the one before. */
enum { NEEDS_EVENT = 1, NEEDS_LIMIT = 2, NEEDS_STEP = 4 };

static noinline enum next enter_prepared(struct vee_vcpu *vcpu, unsigned int needs)
{
	enum next next = NEXT_ENTER;

	if (slice_ends(&vcpu->limits))
		return NEXT_HOST;
	if (needs & NEEDS_EVENT)
		event_prepare(vcpu);
	if (needs & NEEDS_LIMIT) {
		local_hold_off(vcpu, &vcpu->apic);
		deadline_prepare(&vcpu->limits, &vcpu->controls);
	}
	if (needs & NEEDS_STEP)
		next = step_prepare(vcpu);
	return next == NEXT_ENTER ? enter_and_handle(vcpu, false) : next;
}

static noinline void clean_before_entry(struct vee_vcpu *vcpu, bool first)
{
	entry_clean(&vcpu->l1d, &vcpu->vm->memory, first);
	if (trace_vee_entry_enabled())
		trace_vee_entry(vcpu, vmcs_read(VMCS_GUEST_RIP));
}

/* For another entry of the same bracket. */
static __always_inline void enter_again(struct vee_vcpu *vcpu)
{
	perf_leave_again(&vcpu->switched);
	if (static_branch_unlikely(&entries_clean_again) &&
	    (entry_is_unclean(&vcpu->vm->memory) || trace_vee_entry_enabled()))
		clean_before_entry(vcpu, false);
}

/* Needs nothing, which only an event that an exit's handler raises can change. */
static __always_inline enum next enter_plainly(struct vee_vcpu *vcpu)
{
	enum next next;

	for (;;) {
		next = enter_and_handle(vcpu, true);
		if (next != NEXT_ENTER)
			return next;
		enter_again(vcpu);
	}
}

/* Of an inline run: an entry after this one has less of the budget left. */
static __always_inline enum next enter_within_budget(struct vee_vcpu *vcpu)
{
	budget_begin(&vcpu->limits);
	return enter_and_handle(vcpu, true);
}

/* The CPU says when the guest is ready for what the local APIC has. */
static noinline enum next enter_while_asked(struct vee_vcpu *vcpu)
{
	return enter_plainly(vcpu);
}

static noinline enum next enter_otherwise(struct vee_vcpu *vcpu)
{
	u32 intercept = vcpu->wishes.intercept, proc = vcpu->controls.proc;
	bool event = event_pending(&vcpu->events) || event_windows(intercept, proc);
	bool limit = deadline_armed(&vcpu->limits, &vcpu->controls);
	bool step = step_armed(intercept, proc);

	if (local_is_there(&vcpu->apic) && event && !(limit | step) &&
	    event_only_asked(&vcpu->events, intercept))
		return enter_while_asked(vcpu);
	return enter_prepared(vcpu, (event ? NEEDS_EVENT : 0) | (limit ? NEEDS_LIMIT : 0) |
				    (step ? NEEDS_STEP : 0));
}

/* Which of them it is only matters if there is one: so one test for events and steps. */
static __always_inline enum next enter_as_needed(struct vee_vcpu *vcpu)
{
	u32 intercept = vcpu->wishes.intercept, proc = vcpu->controls.proc;

	vcpu->step.by = STEP_NONE;
	if (likely(!(event_pending(&vcpu->events) | event_windows(intercept, proc) |
		     step_armed(intercept, proc)))) {
		if (!deadline_armed(&vcpu->limits, &vcpu->controls))
			return enter_plainly(vcpu);
		if (vcpu->limits.under_way == LIMIT_TIMER) {
			if (timer_was_set(&vcpu->limits))
				return enter_and_handle(vcpu, true);
		} else if (budget_is_set(&vcpu->limits, &vcpu->controls)) {
			return enter_within_budget(vcpu);
		}
	}
	return enter_otherwise(vcpu);
}

static __always_inline enum next in_bracket(struct vee_vcpu *vcpu)
{
	enum next next = may_enter(vcpu);

	if (next != NEXT_ENTER)
		return next;
	intercept_set_controls(&vcpu->controls, vcpu->wishes.intercept,
			       vcpu->debug.loaded, &vcpu->tpr);
	flush_stale(vcpu);
	perf_leave(&vcpu->switched);
	if (static_branch_unlikely(&entries_clean))
		clean_before_entry(vcpu, true);
	for (;;) {
		next = enter_as_needed(vcpu);
		if (next > NEXT_PREPARE)
			return next;
		if (step_is_over(&vcpu->step, vcpu->wishes.intercept, &vcpu->events))
			return stepped(vcpu);
		enter_again(vcpu);
	}
}

/* --- the stretch ---------------------------------------------------------------------- */

static __always_inline void stretch_begin(struct vee_vcpu *vcpu)
{
	preempt_disable();
	vmx_root_pull(&vcpu->vmcs);
	host_save(vcpu);
	presence_begin(&vcpu->presence);
}

static __always_inline void stretch_end(struct vee_vcpu *vcpu)
{
	presence_end(&vcpu->presence);
	host_restore(vcpu);
	vmx_root_part(&vcpu->vmcs);
	vee_barrier_at_user();
	preempt_enable();
}

/*
 * From 6.15 on kernel_fpu_begin() holds bottom halves off, up to the end of the
 * stretch: an interrupt that raises one does not run it then. It has ended the entry,
 * though, so each comes by here. On other kernels it has run by now.
 */
static bool host_waits(struct vee_vcpu *vcpu)
{
	times_interrupt_done();
	return work_waits(&vcpu->runner) || local_softirq_pending();
}

/* An enum next, or an error. */
static __always_inline int stretch(struct vee_vcpu *vcpu)
{
	int next;

	stretch_begin(vcpu);
	do {
		next = bracket_enter(vcpu);
		if (next < 0)
			break;
		times_enter();
		next = in_bracket(vcpu);
		times_leave();
		bracket_leave(vcpu);
		if (likely(next == NEXT_USER))
			break;
		if (next == NEXT_FAULT)
			next = exit_fault(vcpu);
	} while (next == NEXT_HOST && !host_waits(vcpu));
	stretch_end(vcpu);
	return next;
}

/*
 * A CPU that goes down leaves VMX operation shortly before the scheduler takes
 * its last tasks away: one that sleeps wakes up on another CPU.
 */
static bool try_elsewhere(int err)
{
	if (err != -EAGAIN)
		return false;
	schedule_timeout_uninterruptible(1);
	return true;
}

int vcpu_with_vmcs(struct vee_vcpu *vcpu,
		   void (*fn)(struct vee_vcpu *vcpu, void *arg), void *arg)
{
	int err;

	do {
		stretch_begin(vcpu);
		err = bracket_enter(vcpu);
		if (!err) {
			fn(vcpu, arg);
			bracket_leave(vcpu);
		}
		stretch_end(vcpu);
	} while (try_elsewhere(err));
	return err;
}

/* --- the run ----------------------------------------------------------------------------- */

/* An enum next, or an error. */
static int sleeping_half(struct vee_vcpu *vcpu)
{
	int next = vcpu->exit.sleeper(vcpu);
	int err;

	if (likely(next != NEXT_NOTE))
		return next;
	err = vcpu_with_vmcs(vcpu, exit_fault_note, NULL);
	return err ?: vcpu->exit.sleeper(vcpu);
}

static __always_inline int run(struct vee_vcpu *vcpu)
{
	int next;

	for (;;) {
		/* What sleeps, or is done for the thread, may be anything. */
		vcpu->l1d.clean_at = L1D_NEVER_CLEAN;
		next = stretch(vcpu);
		if (likely(next == NEXT_USER))
			break;
		if (try_elsewhere(next))
			continue;
		if (next == NEXT_SLEEP)
			next = sleeping_half(vcpu);
		if (next == NEXT_USER)
			break;
		if (next < 0)
			return next;
		work_do(&vcpu->runner);
	}
	if (likely(!vcpu->runner.interrupted))
		return 0;
	vcpu->runner.interrupted = false;
	return -EINTR;
}

/* The thread at hand is the one to interrupt, from here to its last entry. */
static __always_inline int run_here(struct vee_vcpu *vcpu)
{
	int err;

	work_begin(&vcpu->runner);
	/* Before the look at what it is told of, by the barrier in presence_begin(). */
	rcu_assign_pointer(vcpu->runner.task, current);
	vcpu->runner.thread = current->pid;
	err = run(vcpu);
	RCU_INIT_POINTER(vcpu->runner.task, NULL);
	if (trace_vee_run_enabled())
		run_traced(vcpu, err);
	vee_rseq_due();
	return err;
}

static void run_end(struct vee_vcpu *vcpu)
{
	vcpu->runner.paused = false;
	deadline_stop(&vcpu->limits);
	WRITE_ONCE(vcpu->runner.generation, vcpu->runner.generation + 1);
	WRITE_ONCE(vcpu->page->generation, vcpu->runner.generation);
}

/* A run has a number as soon as somebody could want to end it. */
static void run_count(struct vee_vcpu *vcpu)
{
	if (vcpu->runner.paused)
		run_end(vcpu);
	deadline_start(&vcpu->limits, READ_ONCE(vcpu->page->deadline_ns));
}

static __always_inline int take(struct vee_vcpu *vcpu)
{
	return state_take(vcpu, vcpu->page, &vcpu->wishes, &vcpu->staged, &vcpu->exit);
}

/* -EAGAIN: what it takes over refers to memory that is not at hand. */
static __always_inline int run_begin(struct vee_vcpu *vcpu)
{
	int err;

	step_begin(&vcpu->step);
	err = take(vcpu);
	if (!err)
		run_count(vcpu);
	return err;
}

/* For all but the usual run, which has it in line. */
static noinline int run_apart(struct vee_vcpu *vcpu)
{
	return run_here(vcpu);
}

static int run_to_end(struct vee_vcpu *vcpu)
{
	int err = run_apart(vcpu);

	run_end(vcpu);
	return err;
}

/* Nothing was taken over, nor anything told but this: the next run finds it all. */
static int end_before_entry(struct vee_vcpu *vcpu)
{
	u32 reason = VEE_EXIT_INTERRUPTED;

	if (runner_is_kicked(&vcpu->runner))
		reason = VEE_EXIT_KICKED;
	else if (deadline_passed(&vcpu->limits))
		reason = VEE_EXIT_DEADLINE;
	vcpu->page->exit.reason = reason;
	return reason == VEE_EXIT_INTERRUPTED ? -EINTR : 0;
}

static int take_once_there(struct vee_vcpu *vcpu, bool in_run)
{
	int err;

	do {
		err = fetch_missing(vcpu, in_run);
		if (!err)
			err = take(vcpu);
		else if (err != -EINTR)
			err = state_refuse(vcpu, MEMBER(control.cr3));
	} while (err == -EAGAIN);
	return err;
}

int vcpu_take(struct vee_vcpu *vcpu)
{
	int err = take(vcpu);

	return err == -EAGAIN ? take_once_there(vcpu, false) : err;
}

static noinline int run_once_there(struct vee_vcpu *vcpu)
{
	int err;

	run_count(vcpu);
	err = take_once_there(vcpu, true);
	if (!err)
		return run_to_end(vcpu);
	if (err == -EINTR)
		err = end_before_entry(vcpu);
	run_end(vcpu);
	return err;
}

int vcpu_run(struct vee_vcpu *vcpu)
{
	int err = run_begin(vcpu);

	if (unlikely(err))
		return err == -EAGAIN ? run_once_there(vcpu) : err;
	err = run_here(vcpu);
	run_end(vcpu);
	return err;
}

/*
 * What would keep the caller too long leaves the guest's state as -EINTR would.
 * But the run is not over: it keeps its number and its deadline. Should nobody
 * come back for it, since what was to do so is cancelled, the next run ends it.
 */
static int run_within(struct vee_vcpu *vcpu, u32 budget_us)
{
	int err;

	budget_start(&vcpu->limits, min_t(u32, budget_us, VEE_MAX_BUDGET_US));
	err = run_apart(vcpu);
	budget_stop(&vcpu->limits);
	if (err == -EINTR) {
		vcpu->runner.paused = true;
		return -EINPROGRESS;
	}
	run_end(vcpu);
	return err;
}

int vcpu_run_inline(struct vee_vcpu *vcpu, u32 budget_us)
{
	int err;

	vcpu->runner.is_inline = true;
	err = run_begin(vcpu);
	if (!err)
		err = run_within(vcpu, budget_us);
	vcpu->runner.is_inline = false;
	return err;
}

int vcpu_run_on(struct vee_vcpu *vcpu, u64 generation)
{
	if (generation > vcpu->runner.generation)
		return -EINVAL;
	if (generation < vcpu->runner.generation || !vcpu->runner.paused)
		return -ESTALE;
	vcpu->runner.paused = false;
	return run_to_end(vcpu);
}
