// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's life, and its run loop.
 *
 * A run is three loops, one in the other, each giving up less of the host:
 *
 *	run		may sleep: page faults, signals, the scheduler
 *	stretch		preemption off, the guest's FPU and MSRs loaded
 *	bracket		interrupts off, the VMCS current: enter, exit, handle
 *
 * An exit that the engine answers itself goes round the innermost loop: nothing
 * of the host's needs looking at there, since whatever wants this CPU (a tick, a
 * signal's IPI, a kick, a flush of the EPT) comes as an interrupt, and a pending
 * interrupt ends the next entry before the guest's first instruction.
 */
#include <linux/hrtimer.h>
#include <linux/idr.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "compat.h"
#include "vcpu/vcpu.h"

/* --- the bracket --------------------------------------------------------------- */

#define EXCEPTIONS	(BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC))

void vcpu_set_controls(struct vee_vcpu *vcpu)
{
	bool breakpoint = vcpu->intercept & VEE_INTERCEPT_BREAKPOINT;
	u32 asked = breakpoint << 1 | vcpu->dr_loaded;

	if (likely(asked == vcpu->controls_asked))
		return;
	vcpu->controls_asked = asked;
	vmcs_set_exceptions(vcpu, breakpoint ? EXCEPTIONS | BIT(X86_TRAP_BP) : EXCEPTIONS);
	vmcs_set_proc(vcpu, PROC_MOV_DR_EXITING, !vcpu->dr_loaded);
}

/* On any other CPU flush_stale() does it, once the vCPU is there. */
noinline void vcpu_flush_tlb(struct vee_vcpu *vcpu)
{
	vcpu->vpid_cpu = smp_processor_id();
	if (vcpu->vpid)
		invvpid(INVALIDATE_SINGLE_CONTEXT, vcpu->vpid);
}

/*
 * Translations that another CPU's guest changed, or that the EPT no longer has.
 * Once per bracket is enough: vm_flush() waits for an interrupt here, which ends
 * the bracket, before anything that it took away is used again.
 */
static void flush_stale(struct vee_vcpu *vcpu)
{
	if (ept_flush_this_cpu(&vcpu->vm->ept))
		vcpu->stats.flushes++;
	if (vcpu->vpid_cpu != smp_processor_id())
		vcpu_flush_tlb(vcpu);
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
	if (unlikely(!vcpu->set_up)) {
		vmcs_setup(vcpu);
		vcpu->controls_asked = U32_MAX;
		vcpu->set_up = true;
	}
	vmcs_load_host(vcpu);
	/* With interrupts off: perf changes it in an IPI. */
	vcpu->host.debugctl = __rdmsr(MSR_IA32_DEBUGCTLMSR);
	state_load(vcpu);
	return 0;
}

static __always_inline void bracket_leave(struct vee_vcpu *vcpu)
{
	if (vcpu->dr_loaded)
		vcpu->dr7 = vmcs_read(VMCS_GUEST_DR7);
	/* An exit clears it. */
	if (unlikely(vcpu->host.debugctl))
		wrmsrl(MSR_IA32_DEBUGCTLMSR, vcpu->host.debugctl);
	vmx_root_leave(&vcpu->vmcs);
	local_irq_enable();
	if (unlikely(READ_ONCE(vmcs_failed)))
		vmcs_complain();
}

/* --- one entry ------------------------------------------------------------------- */

static noinline enum next entry_refused(struct vee_vcpu *vcpu)
{
	vcpu->exit_reason = 0;
	vcpu->qualification = 0;
	return exit_entry_failed(vcpu, vmcs_read(VMCS_VM_INSTRUCTION_ERROR));
}

static noinline enum next entry_failed(struct vee_vcpu *vcpu)
{
	vcpu->qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	return exit_entry_failed(vcpu, 0);
}

/* CR2 is in neither the VMCS nor any save area. */
static __always_inline bool enter(struct vee_vcpu *vcpu)
{
	if (native_read_cr2() != vcpu->cr2)
		native_write_cr2(vcpu->cr2);
	vcpu->stats.entries++;
	if (unlikely(!vmx_enter_guest(guest_regs(vcpu), &vcpu->vmcs.frame)))
		return false;
	vcpu->cr2 = native_read_cr2();
	return true;
}

/* What entry.S has numbers for. */
static_assert(VMCS_HOST_RSP == 0x6c14);
static_assert(offsetof(struct vee_regs, rdi) == 0x38 &&
	      offsetof(struct vee_regs, r15) == 0x78);
static_assert(offsetof(struct vmx_frame, host_rsp) == 0x00 &&
	      offsetof(struct vmx_frame, spec_ctrl) == 0x08 &&
	      offsetof(struct vmx_frame, launched) == 0x10);

static_assert(VMX_EXIT_EXCEPTION_NMI == 0 && VMX_EXIT_ENTRY_FAILURE == BIT(31));

/* @plain: the entry delivers no event, and ends after no step. */
static __always_inline enum next enter_and_handle(struct vee_vcpu *vcpu, bool plain)
{
	bool entered = enter(vcpu);
	u32 reason;

	if (!plain)
		step_after_exit(vcpu);
	if (unlikely(!entered))
		return entry_refused(vcpu);
	reason = vmcs_read(VMCS_EXIT_REASON);
	vcpu->exit_reason = reason;
	/* One comparison for the two that are not just any exit. */
	if (unlikely((s32)reason <= 0)) {
		host_take_event(reason);
		/* An entry that fails on the guest's state launches nothing. */
		if (reason & VMX_EXIT_ENTRY_FAILURE)
			return entry_failed(vcpu);
	}
	vcpu->vmcs.frame.launched = true;
	if (!plain)
		event_entered(vcpu);
	return exit_handle(vcpu, reason);
}

/* --- reasons not to enter ---------------------------------------------------------- */

static noinline enum next stop(struct vee_vcpu *vcpu, u32 reason)
{
	vcpu->exit_reason = 0;
	vcpu->qualification = 0;
	vcpu->insn_length = 0;
	return exit_user(vcpu, reason);
}

static noinline enum next stepped(struct vee_vcpu *vcpu)
{
	vcpu->stepped = false;
	vcpu->page->exit.debug = (struct vee_exit_debug) {
		.vector = X86_TRAP_DB,
		.step = 1,
	};
	return stop(vcpu, VEE_EXIT_DEBUG);
}

static noinline enum next interrupted(struct vee_vcpu *vcpu)
{
	vcpu->interrupted = true;
	return stop(vcpu, VEE_EXIT_INTERRUPTED);
}

/*
 * What else waits for the return to user space can wait: rseq asks for it at each
 * preemption, mm_cid every 100 ms. Urgent work (TWA_SIGNAL) makes a signal pending.
 */
#define URGENT	(_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL | _TIF_NEED_RESCHED)

/* With interrupts off, so that none of these can come unseen before the entry. */
static enum next may_enter(struct vee_vcpu *vcpu)
{
	if (atomic64_read(&vcpu->kicked) == vcpu->generation)
		return stop(vcpu, VEE_EXIT_KICKED);
	if (deadline_passed(vcpu))
		return stop(vcpu, VEE_EXIT_DEADLINE);
	if (step_is_over(vcpu))
		return stepped(vcpu);
	if (unlikely(read_thread_flags() & URGENT))
		return signal_pending(current) ? interrupted(vcpu) : NEXT_HOST;
	if (budget_passed(vcpu))
		return interrupted(vcpu);
	event_take_sent(vcpu);
	if (halt_holds(vcpu)) {
		if (vcpu->is_inline)
			return interrupted(vcpu);
		vcpu->sleeper = halt_sleep;
		return NEXT_SLEEP;
	}
	return NEXT_ENTER;
}

/* What has to be prepared for an entry, or undone from the one before. */
enum { NEEDS_EVENT = 1, NEEDS_LIMIT = 2, NEEDS_STEP = 4 };

static __always_inline unsigned int entry_needs(const struct vee_vcpu *vcpu)
{
	return (event_pending(vcpu) || event_windows(vcpu) ? NEEDS_EVENT : 0) |
	       (deadline_armed(vcpu) ? NEEDS_LIMIT : 0) |
	       (step_armed(vcpu) ? NEEDS_STEP : 0);
}

static noinline enum next enter_prepared(struct vee_vcpu *vcpu, unsigned int needs)
{
	if (needs & NEEDS_EVENT)
		event_prepare(vcpu);
	if (needs & NEEDS_LIMIT)
		deadline_prepare(vcpu);
	if (needs & NEEDS_STEP)
		step_prepare(vcpu);
	return enter_and_handle(vcpu, false);
}

/* Needs nothing, which only an event that an exit's handler raises can change. */
static __always_inline enum next enter_plainly(struct vee_vcpu *vcpu)
{
	enum next next;

	for (;;) {
		next = enter_and_handle(vcpu, true);
		if (next != NEXT_ENTER)
			return next;
		host_flush_l1d_again(vcpu);
	}
}

/* Of an inline run: an entry after this one has less of the budget left. */
static __always_inline enum next enter_within_budget(struct vee_vcpu *vcpu)
{
	budget_begin(vcpu);
	return enter_and_handle(vcpu, true);
}

static __always_inline enum next enter_as_needed(struct vee_vcpu *vcpu)
{
	unsigned int needs = entry_needs(vcpu);

	vcpu->step = STEP_NONE;
	if (!needs)
		return enter_plainly(vcpu);
	if (needs == NEEDS_LIMIT && budget_is_set(vcpu))
		return enter_within_budget(vcpu);
	return enter_prepared(vcpu, needs);
}

static enum next in_bracket(struct vee_vcpu *vcpu)
{
	enum next next = may_enter(vcpu);

	if (next != NEXT_ENTER)
		return next;
	vcpu_set_controls(vcpu);
	flush_stale(vcpu);
	host_flush_l1d(vcpu);
	for (;;) {
		next = enter_as_needed(vcpu);
		if (next > NEXT_PREPARE)
			return next;
		if (step_is_over(vcpu))
			return stepped(vcpu);
		host_flush_l1d_again(vcpu);
	}
}

/* --- the stretch ---------------------------------------------------------------------- */

static void stretch_begin(struct vee_vcpu *vcpu)
{
	preempt_disable();
	vmx_root_pull(&vcpu->vmcs);
	host_save(vcpu);
	WRITE_ONCE(vcpu->loaded_cpu, smp_processor_id());
	/* Before any look at the EPT's generation: vm_flush() does the reverse. */
	smp_mb();
}

static void stretch_end(struct vee_vcpu *vcpu)
{
	/* After it: vm_flush() need not wait for this CPU any more. */
	smp_store_release(&vcpu->loaded_cpu, -1);
	host_restore(vcpu);
	vee_barrier_at_user();
	preempt_enable();
}

/* An enum next, or an error. */
static int stretch(struct vee_vcpu *vcpu)
{
	int next;

	stretch_begin(vcpu);
	do {
		next = bracket_enter(vcpu);
		if (next < 0)
			break;
		next = in_bracket(vcpu);
		bracket_leave(vcpu);
		if (next == NEXT_FAULT)
			next = exit_fault(vcpu);
	} while (next == NEXT_HOST && !need_resched());
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

static int run(struct vee_vcpu *vcpu)
{
	int next;

	for (;;) {
		do {
			next = stretch(vcpu);
		} while (try_elsewhere(next));
		if (next == NEXT_SLEEP)
			next = vcpu->sleeper(vcpu);
		if (next == NEXT_USER)
			break;
		if (next < 0)
			return next;
		cond_resched();
	}
	return vcpu->interrupted ? -EINTR : 0;
}

/* The thread at hand is the one to interrupt, from here to its last entry. */
static int run_here(struct vee_vcpu *vcpu)
{
	int err;

	vcpu->interrupted = false;
	vcpu->l1d_clean_at = L1D_NEVER_CLEAN;
	rcu_assign_pointer(vcpu->runner, current);
	err = run(vcpu);
	RCU_INIT_POINTER(vcpu->runner, NULL);
	return err;
}

static void run_end(struct vee_vcpu *vcpu)
{
	vcpu->stats.user_exits++;
	vcpu->paused = false;
	deadline_stop(vcpu);
	WRITE_ONCE(vcpu->generation, vcpu->generation + 1);
	WRITE_ONCE(vcpu->page->generation, vcpu->generation);
}

/* A run has a number as soon as somebody could want to end it. */
static int run_begin(struct vee_vcpu *vcpu)
{
	int err = state_take(vcpu);

	if (err)
		return err;
	if (vcpu->paused)
		run_end(vcpu);
	vcpu->stats.runs++;
	vcpu->stepped = false;
	deadline_start(vcpu);
	return 0;
}

static int run_to_end(struct vee_vcpu *vcpu)
{
	int err = run_here(vcpu);

	run_end(vcpu);
	return err;
}

int vcpu_run(struct vee_vcpu *vcpu)
{
	int err = run_begin(vcpu);

	return err ?: run_to_end(vcpu);
}

/*
 * What would keep the caller too long leaves the guest's state as -EINTR would.
 * But the run is not over: it keeps its number and its deadline. Should nobody
 * come back for it, since what was to do so is cancelled, the next run ends it.
 */
static int run_within(struct vee_vcpu *vcpu, u32 budget_us)
{
	int err;

	budget_start(vcpu, budget_us);
	err = run_here(vcpu);
	budget_stop(vcpu);
	if (err == -EINTR) {
		vcpu->paused = true;
		return -EINPROGRESS;
	}
	run_end(vcpu);
	return err;
}

int vcpu_run_inline(struct vee_vcpu *vcpu, u32 budget_us)
{
	int err;

	vcpu->is_inline = true;
	err = run_begin(vcpu);
	if (!err)
		err = run_within(vcpu, budget_us);
	vcpu->is_inline = false;
	return err;
}

int vcpu_run_on(struct vee_vcpu *vcpu, u64 generation)
{
	if (generation > vcpu->generation)
		return -EINVAL;
	if (generation < vcpu->generation || !vcpu->paused)
		return -ESTALE;
	vcpu->paused = false;
	return run_to_end(vcpu);
}

/* --- kick --------------------------------------------------------------------------------- */

/*
 * Makes the thread that runs the vCPU look at may_enter() again. A task outlives
 * the RCU grace period after its end; one that is not on a CPU, and not asleep in
 * halt_sleep(), will look before it enters.
 */
void vcpu_interrupt(struct vee_vcpu *vcpu)
{
	struct task_struct *runner;

	rcu_read_lock();
	runner = rcu_dereference(vcpu->runner);
	if (runner)
		kick_process(runner);
	rcu_read_unlock();
	if (wq_has_sleeper(&vcpu->halted))
		wake_up(&vcpu->halted);
}

int vcpu_kick(struct vee_vcpu *vcpu, u64 generation)
{
	u64 now = READ_ONCE(vcpu->generation);
	s64 kicked;

	if (generation > now)
		return -EINVAL;
	if (generation < now)
		return -ESTALE;
	/* Of two kicks the later run's must stand: the other's has ended. */
	kicked = atomic64_read(&vcpu->kicked);
	while (kicked < (s64)generation &&
	       !atomic64_try_cmpxchg(&vcpu->kicked, &kicked, generation))
		;
	/* The mark before the look at who runs; may_enter() the reverse. */
	smp_mb();
	vcpu_interrupt(vcpu);
	return 0;
}

/* --- birth and death ------------------------------------------------------------------------ */

static DEFINE_IDA(vpids);

/* With all taken a vCPU does without: each entry and exit empties its TLB. */
static void vpid_alloc(struct vee_vcpu *vcpu)
{
	int vpid = -1;

	vcpu->vpid_cpu = -1;
	if (caps_has(VEE_FEATURE_VPID))
		vpid = ida_alloc_range(&vpids, 1, U16_MAX, GFP_KERNEL);
	vcpu->vpid = vpid > 0 ? vpid : 0;
}

static int vm_join(struct vee_vm *vm, struct vee_vcpu *vcpu)
{
	int err = -EEXIST;

	spin_lock(&vm->lock);
	if (!test_bit(vcpu->id, vm->ids)) {
		__set_bit(vcpu->id, vm->ids);
		list_add(&vcpu->link, &vm->vcpus);
		err = 0;
	}
	spin_unlock(&vm->lock);
	return err;
}

static void vm_part(struct vee_vm *vm, struct vee_vcpu *vcpu)
{
	spin_lock(&vm->lock);
	__clear_bit(vcpu->id, vm->ids);
	list_del(&vcpu->link);
	spin_unlock(&vm->lock);
}

static struct vee_vcpu *vcpu_alloc(struct vee_vm *vm, unsigned int id)
{
	struct vee_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);

	if (!vcpu)
		return NULL;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->loaded_cpu = -1;
	vcpu->host.cpu = -1;
	vcpu->generation = 1;
	mutex_init(&vcpu->lock);
	init_waitqueue_head(&vcpu->halted);
	deadline_init(vcpu);
	vpid_alloc(vcpu);
	return vcpu;
}

static void vcpu_free(struct vee_vcpu *vcpu)
{
	/* A run that is paused to the end of its days has a deadline, too. */
	deadline_stop(vcpu);
	if (vcpu->vpid)
		ida_free(&vpids, vcpu->vpid);
	vmx_root_free(&vcpu->vmcs);
	ept_cache_drop(&vcpu->ept_cache);
	kfree(vcpu->cpuid);
	fpu_free(vcpu);
	free_page((unsigned long)vcpu->page);
	kfree(vcpu);
}

static int vcpu_init(struct vee_vcpu *vcpu)
{
	int err;

	vcpu->page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->page)
		return -ENOMEM;
	err = fpu_alloc(vcpu);
	if (!err)
		err = cpuid_reset(vcpu);
	if (!err)
		err = vmx_root_alloc(&vcpu->vmcs, vcpu->vm);
	if (err)
		return err;
	vcpu->page->size = sizeof(*vcpu->page);
	vcpu->page->generation = vcpu->generation;
	return state_reset(vcpu);
}

struct vee_vcpu *vcpu_create(struct vee_vm *vm, unsigned int id)
{
	struct vee_vcpu *vcpu = vcpu_alloc(vm, id);
	int err;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	err = vcpu_init(vcpu);
	if (!err)
		err = vm_join(vm, vcpu);
	if (err) {
		vcpu_free(vcpu);
		return ERR_PTR(err);
	}
	vm_get(vm);
	return vcpu;
}

void vcpu_destroy(struct vee_vcpu *vcpu)
{
	struct vee_vm *vm = vcpu->vm;

	vm_part(vm, vcpu);
	vcpu_free(vcpu);
	vm_put(vm);
}
