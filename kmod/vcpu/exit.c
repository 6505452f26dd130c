// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM exits: one handler for each basic exit reason, and what the caller is told.
 *
 * Handlers run with interrupts off and the VMCS current, right after the exit.
 * One that has to sleep (an EPT violation: the page may be on disk) leaves a
 * function in vm_exit.sleeper. An exit that no handler knows is the caller's,
 * as VEE_EXIT_OTHER: never a crash, never silently retried.
 */
#include <linux/kernel.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "memory/vm.h"
#include "vcpu/cpuid.h"
#include "vcpu/cr.h"
#include "vcpu/descriptor.h"
#include "vcpu/event.h"
#include "vcpu/exit.h"
#include "vcpu/exit_user.h"
#include "vcpu/halt.h"
#include "vcpu/intercept.h"
#include "vcpu/local.h"
#include "vcpu/local_exit.h"
#include "vcpu/lock.h"
#include "vcpu/mmio.h"
#include "vcpu/msr.h"
#include "vcpu/pio.h"
#include "vcpu/spin.h"
#include "vcpu/step.h"
#include "vcpu/times.h"
#include "vcpu/traced.h"
#include "vcpu/vcpu.h"
#include "vmx/exits.h"
#include "vmx/vmcs.h"

typedef enum next (*exit_fn)(struct vee_vcpu *vcpu);

/* --- no exit at all -------------------------------------------------------------- */

enum next exit_entry_failed(struct vee_vcpu *vcpu, u32 instruction_error)
{
	event_entry_failed(&vcpu->events);
	vcpu->page->exit.entry = (struct vee_exit_entry) {
		.instruction_error = instruction_error,
	};
	return exit_user_event(vcpu, VEE_EXIT_ENTRY_FAILED);
}

/* --- exceptions and interrupts -------------------------------------------------- */

/* INT1 and INT3 are instructions, with a length; a fault or trap is not. */
static bool is_software(u32 info)
{
	return INFO_TYPE(info) >= VEE_EVENT_SOFT_INTERRUPT;
}

/* The exit's exception becomes an event to deliver: it was only looked at. */
static enum next pass_on(struct vee_vcpu *vcpu, u32 info)
{
	struct vee_event *event = &vcpu->events.delivering;

	*event = (struct vee_event) {
		.vector = INFO_VECTOR(info),
		.type = INFO_TYPE(info),
		.flags = VEE_EVENT_VALID,
	};
	if (info & INFO_ERROR_CODE)
		event_set_error(vcpu, event, vmcs_read(VMCS_EXIT_INTERRUPTION_ERROR_CODE));
	if (is_software(info))
		event->instruction_length = vcpu->exit.insn_length;
	if (event->vector == X86_TRAP_PF)
		vcpu->cr.cr2 = vcpu->exit.qualification;
	return NEXT_HOST;
}

static enum next debug_user(struct vee_vcpu *vcpu, u8 vector, bool insn, bool step)
{
	vcpu->page->exit.debug = (struct vee_exit_debug) {
		.vector = vector,
		.step = step,
		.dr6 = step ? 0 : vcpu->exit.qualification,
	};
	return insn ? exit_user(vcpu, VEE_EXIT_DEBUG) : exit_user_event(vcpu, VEE_EXIT_DEBUG);
}

static enum next exit_step(struct vee_vcpu *vcpu)
{
	return debug_user(vcpu, X86_TRAP_DB, false, true);
}

/*
 * The exit for a #DB leaves no debug exception pending. But in the shadow of STI or
 * MOV SS, with TF on, an entry fails without a single step that is ("Checks on Guest
 * Non-Register State"). MOV SS has put it off (the #DB is INT1's); after STI this is it.
 */
static void keep_trap_pending(void)
{
	u32 state = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	if (!event_each_insn_traps(vmcs_read(VMCS_GUEST_RFLAGS)))
		return;
	if (state & VEE_BLOCKING_BY_MOV_SS)
		event_trap_pending();
	else if (state & VEE_BLOCKING_BY_STI)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~VEE_BLOCKING_BY_STI);
}

#define DR6_SETTABLE	(DR_TRAP_BITS | DR_STEP | DR6_ACCESS)

/*
 * The exit left DR6, DR7 and IA32_DEBUGCTL alone (SDM 3C, "Architectural State Before a
 * VM Exit"); delivery to the guest finds them as the exception would have.
 */
static enum next exit_debug_exception(struct vee_vcpu *vcpu, u32 info)
{
	u64 dr7 = vmcs_read(VMCS_GUEST_DR7);

	keep_trap_pending();
	if (step_is_debug(vcpu, is_software(info)))
		return exit_step(vcpu);
	if (vcpu->wishes.intercept & VEE_INTERCEPT_DEBUG)
		return debug_user(vcpu, X86_TRAP_DB, is_software(info), false);
	debug_need(&vcpu->debug);
	debug_read(&vcpu->debug);
	vcpu->debug.dr6 = (vcpu->debug.dr6 & ~DR_TRAP_BITS) |
		    (vcpu->exit.qualification & DR6_SETTABLE) | DR6_RESERVED;
	debug_load(&vcpu->debug);
	vmcs_write(VMCS_GUEST_DR7, dr7 & ~(u64)DR7_DETECT);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	return pass_on(vcpu, info);
}

/* The host's business, perhaps while an event was delivered: it is not lost. */
static enum next exit_between(struct vee_vcpu *vcpu)
{
	if (vmcs_read(VMCS_IDT_VECTORING_INFO) & INFO_VALID)
		event_collect(vcpu);
	return NEXT_HOST;
}

/* The end of the bracket empties it. */
static enum next exit_log_full(struct vee_vcpu *vcpu)
{
	event_collect(vcpu);
	return NEXT_HOST;
}

/* The CPU need not set the flag for it. */
static enum next exit_bus_lock(struct vee_vcpu *vcpu)
{
	lock_note(&vcpu->runner, VMX_EXIT_AFTER_BUS_LOCK);
	return exit_between(vcpu);
}

/*
 * #AC and #DB are seen so that a guest whose handler raises them again for ever
 * meets the host's signals and deadline at each round.
 */
static enum next exit_exception(struct vee_vcpu *vcpu)
{
	u32 info = vmcs_read(VMCS_EXIT_INTERRUPTION_INFO);

	/* host_take_event() has run: it had to, before interrupts came on. */
	if (INFO_TYPE(info) == VEE_EVENT_NMI || INFO_VECTOR(info) == X86_TRAP_MC)
		return exit_between(vcpu);
	event_collect(vcpu);
	if (!event_make_way(&vcpu->events))
		return NEXT_HOST;
	switch (INFO_VECTOR(info)) {
	case X86_TRAP_DB:
		return exit_debug_exception(vcpu, info);
	case X86_TRAP_BP:
		if (vcpu->wishes.intercept & VEE_INTERCEPT_BREAKPOINT)
			return debug_user(vcpu, X86_TRAP_BP, true, false);
		return pass_on(vcpu, info);
	case X86_TRAP_AC:
		return lock_is_split() ? exit_split_lock(vcpu) : pass_on(vcpu, info);
	default:
		return pass_on(vcpu, info);
	}
}

static enum next exit_host(struct vee_vcpu *vcpu)
{
	times_interrupted();
	return NEXT_HOST;
}

/*
 * For an event that waits: no instruction was done, so the host comes first. It may
 * have been asked for in place of an NMI window, too.
 */
static enum next exit_interrupt_window(struct vee_vcpu *vcpu)
{
	if (vcpu->events.interrupt.flags & VEE_EVENT_VALID ||
	    !(vcpu->wishes.intercept & VEE_INTERCEPT_INTERRUPT_WINDOW))
		return NEXT_HOST;
	return exit_user_event(vcpu, VEE_EXIT_INTERRUPT_WINDOW);
}

static enum next exit_nmi_window(struct vee_vcpu *vcpu)
{
	if (vcpu->events.nmi.flags & VEE_EVENT_VALID || event_has_next_nmi(&vcpu->events))
		return NEXT_HOST;
	return exit_user_event(vcpu, VEE_EXIT_NMI_WINDOW);
}

static enum next exit_shutdown(struct vee_vcpu *vcpu)
{
	return exit_user_event(vcpu, VEE_EXIT_SHUTDOWN);
}

static enum next exit_timer(struct vee_vcpu *vcpu)
{
	if (step_is_timer(&vcpu->step))
		return exit_step(vcpu);
	if (!deadline_passed(&vcpu->limits))
		return NEXT_HOST;
	return exit_user_event(vcpu, VEE_EXIT_DEADLINE);
}

/* --- instructions ------------------------------------------------------------------ */

/* INVD would drop the host's dirty cache lines, WBINVD keeps a whole socket busy. */
static enum next exit_nothing(struct vee_vcpu *vcpu)
{
	return event_skip(vcpu);
}

/* An event that waits for the guest to be ready ends HLT at once. */
static noinline enum next hlt_in_full(struct vee_vcpu *vcpu)
{
	if (event_wakes(&vcpu->events) || local_wakes(vcpu, &vcpu->apic))
		return event_skip(vcpu);
	if (halt_begin(vcpu))
		return NEXT_HOST;
	return exit_user(vcpu, VEE_EXIT_HLT);
}

/* A caller who wants to see each HLT: the other option is none without this one. */
static enum next exit_hlt(struct vee_vcpu *vcpu)
{
	if (vcpu->wishes.options & VEE_OPTION_HLT_SLEEPS || event_pending(&vcpu->events) ||
	    local_is_there(&vcpu->apic))
		return hlt_in_full(vcpu);
	return exit_user(vcpu, VEE_EXIT_HLT);
}

/* The first use since the guest was loaded: from now on it has the real ones. */
static enum next exit_dr(struct vee_vcpu *vcpu)
{
	debug_need(&vcpu->debug);
	intercept_set_controls(&vcpu->controls, vcpu->wishes.intercept,
			       vcpu->debug.loaded, &vcpu->tpr);
	return NEXT_ENTER;
}

static enum next exit_cr(struct vee_vcpu *vcpu)
{
	switch (CR_NUMBER(vcpu->exit.qualification)) {
	case 0:
		return cr_access_cr0(vcpu);
	case 4:
		return cr_access_cr4(vcpu);
	case 8:
		return cr_access_cr8(vcpu);
	default:
		return exit_user(vcpu, VEE_EXIT_OTHER);
	}
}

static enum next exit_vmcall(struct vee_vcpu *vcpu)
{
	vcpu->page->exit.hypercall = (struct vee_exit_hypercall) {
		.cpl = vmcs_cpl(),
		.long_mode = vmcs_64bit_code(&vcpu->controls),
	};
	return exit_user(vcpu, VEE_EXIT_HYPERCALL);
}

/*
 * A task gate in the guest's IDT leads here too, and vee's own mistake in the EPT: the
 * event is not lost.
 */
static enum next exit_other_between(struct vee_vcpu *vcpu)
{
	event_collect(vcpu);
	return exit_user(vcpu, VEE_EXIT_OTHER);
}

static enum next exit_other(struct vee_vcpu *vcpu)
{
	return exit_user_event(vcpu, VEE_EXIT_OTHER);
}

/* --- the table ----------------------------------------------------------------------- */

struct exit_kind {
	exit_fn handle;
	bool insn;	/* the instruction's length is known and wanted */
	bool qualified;	/* the exit qualification means something */
};

#define EVENT(fn)	{ .handle = fn }
#define QUALIFIED(fn)	{ .handle = fn, .qualified = true }
#define INSN(fn)	{ .handle = fn, .insn = true }
#define INSN_QUALIFIED(fn) { .handle = fn, .insn = true, .qualified = true }

#define UNKNOWN		QUALIFIED(exit_other)

/* Each has a handler: no exit has to ask whether it has. */
__diag_push();
__diag_ignore_all("-Woverride-init", "what is known takes the place of what isn't");
static const struct exit_kind exits[VEE_STATS_REASONS] = {
	[0 ... VEE_STATS_REASONS - 1]	= UNKNOWN,
	[VMX_EXIT_EXCEPTION_NMI]	= INSN_QUALIFIED(exit_exception),
	[VMX_EXIT_EXTERNAL_INTERRUPT]	= EVENT(exit_host),
	[VMX_EXIT_TRIPLE_FAULT]		= EVENT(exit_shutdown),
	[VMX_EXIT_INTERRUPT_WINDOW]	= EVENT(exit_interrupt_window),
	[VMX_EXIT_NMI_WINDOW]		= EVENT(exit_nmi_window),
	[VMX_EXIT_TASK_SWITCH]		= INSN_QUALIFIED(exit_other_between),
	[VMX_EXIT_CPUID]		= INSN(exit_cpuid),
	[VMX_EXIT_GETSEC]		= EVENT(event_ud),
	[VMX_EXIT_HLT]			= INSN(exit_hlt),
	[VMX_EXIT_INVD]			= INSN(exit_nothing),
	[VMX_EXIT_RDPMC]		= EVENT(event_gp),
	[VMX_EXIT_VMCALL]		= INSN(exit_vmcall),
	/* Only if CPUID has not got them either: cpuid_apply(). */
	[VMX_EXIT_RDTSC]		= EVENT(event_ud),
	[VMX_EXIT_RDTSCP]		= EVENT(event_ud),
	[VMX_EXIT_RDRAND]		= EVENT(event_ud),
	[VMX_EXIT_RDSEED]		= EVENT(event_ud),
	/* CPUID has no VMX and CR4.VMXE can't be set: they are not there. */
	[VMX_EXIT_VMCLEAR]		= EVENT(event_ud),
	[VMX_EXIT_VMLAUNCH]		= EVENT(event_ud),
	[VMX_EXIT_VMPTRLD]		= EVENT(event_ud),
	[VMX_EXIT_VMPTRST]		= EVENT(event_ud),
	[VMX_EXIT_VMREAD]		= EVENT(event_ud),
	[VMX_EXIT_VMRESUME]		= EVENT(event_ud),
	[VMX_EXIT_VMWRITE]		= EVENT(event_ud),
	[VMX_EXIT_VMXOFF]		= EVENT(event_ud),
	[VMX_EXIT_VMXON]		= EVENT(event_ud),
	[VMX_EXIT_INVEPT]		= EVENT(event_ud),
	[VMX_EXIT_INVVPID]		= EVENT(event_ud),
	[VMX_EXIT_VMFUNC]		= EVENT(event_ud),
	[VMX_EXIT_CR_ACCESS]		= INSN_QUALIFIED(exit_cr),
	[VMX_EXIT_MOV_DR]		= EVENT(exit_dr),
	[VMX_EXIT_IO]			= INSN_QUALIFIED(exit_io),
	[VMX_EXIT_RDMSR]		= INSN(exit_rdmsr),
	[VMX_EXIT_WRMSR]		= INSN(exit_wrmsr),
	[VMX_EXIT_MWAIT]		= EVENT(event_ud),
	[VMX_EXIT_MONITOR_TRAP_FLAG]	= EVENT(exit_step),
	[VMX_EXIT_MONITOR]		= EVENT(event_ud),
	[VMX_EXIT_PAUSE]		= INSN(exit_pause),
	[VMX_EXIT_GDTR_IDTR]		= INSN_QUALIFIED(exit_descriptor),
	[VMX_EXIT_LDTR_TR]		= INSN_QUALIFIED(exit_descriptor),
	[VMX_EXIT_EPT_VIOLATION]	= QUALIFIED(exit_ept_violation),
	[VMX_EXIT_EPT_MISCONFIG]	= EVENT(exit_other_between),
	[VMX_EXIT_PREEMPTION_TIMER]	= EVENT(exit_timer),
	[VMX_EXIT_TPR_BELOW_THRESHOLD]	= EVENT(exit_tpr),
	[VMX_EXIT_APIC_ACCESS]		= QUALIFIED(exit_apic_access),
	[VMX_EXIT_VIRTUALIZED_EOI]	= QUALIFIED(exit_eoi),
	[VMX_EXIT_APIC_WRITE]		= QUALIFIED(exit_apic_write),
	[VMX_EXIT_WBINVD]		= INSN(exit_nothing),
	[VMX_EXIT_XSETBV]		= INSN(exit_xsetbv),
	[VMX_EXIT_PML_FULL]		= QUALIFIED(exit_log_full),
	/* Nor has CPUID SGX. */
	[VMX_EXIT_ENCLS]		= EVENT(event_ud),
	[VMX_EXIT_ENCLV]		= EVENT(event_ud),
	[VMX_EXIT_BUS_LOCK]		= EVENT(exit_bus_lock),
	[VMX_EXIT_INSTRUCTION_TIMEOUT]	= QUALIFIED(exit_timeout),
};

__diag_pop();

static const struct exit_kind *find_kind(struct vee_vcpu *vcpu, u32 basic)
{
	static const struct exit_kind unknown = UNKNOWN;

	if (unlikely(basic >= ARRAY_SIZE(exits)))
		return &unknown;
	vcpu->stats.exits[basic]++;
	return &exits[basic];
}

enum next exit_handle(struct vee_vcpu *vcpu, u32 reason)
{
	const struct exit_kind *kind = find_kind(vcpu, reason & VMX_EXIT_BASIC);

	if (likely(kind->insn))
		vcpu->exit.insn_length = vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
	else
		vcpu->exit.insn_length = 0;
	if (likely(kind->qualified))
		vcpu->exit.qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	else
		vcpu->exit.qualification = 0;
	if (static_branch_unlikely(&exits_traced))
		return exit_traced(vcpu, kind->handle);
	return kind->handle(vcpu);
}
