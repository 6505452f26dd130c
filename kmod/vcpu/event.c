// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events on their way into the guest, and the instruction that is done for it.
 *
 * Three places hold an event until the CPU has delivered it: events.delivering
 * (an exception, or whatever an exit cut short), .nmi and .interrupt. One goes
 * with each VM entry, in this order; for the others a window is asked for. It stays
 * in its place until the entry has succeeded, and an exit that interrupts the
 * delivery brings it back through the IDT-vectoring information (SDM 3C,
 * "Information for VM Exits That Occur During Event Delivery"). Each such round
 * is an exit, with the host's signals and deadline looked at, so none can loop
 * for ever.
 */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "trace.h"
#include "vcpu/event.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/exits.h"
#include "vmx/vmcs.h"

static bool valid(const struct vee_event *event)
{
	return event->flags & VEE_EVENT_VALID;
}

/* --- checks ------------------------------------------------------------------ */

static bool is_software(u8 type)
{
	return type >= VEE_EVENT_SOFT_INTERRUPT;
}

/* SDM 3A, "Error Code": which exceptions push one. */
static bool has_error_code(u8 vector)
{
	return BIT(vector) & (BIT(X86_TRAP_DF) | BIT(X86_TRAP_TS) |
			      BIT(X86_TRAP_NP) | BIT(X86_TRAP_SS) |
			      BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) |
			      BIT(X86_TRAP_AC));
}

/* SDM 3A, "Exception and Interrupt Reference": #DB is as its condition has it. */
static bool is_fault(const struct vee_event *event)
{
	return event->type == VEE_EVENT_EXCEPTION &&
	       !(BIT(event->vector) & (BIT(X86_TRAP_DB) | BIT(X86_TRAP_BP) |
				       BIT(X86_TRAP_OF) | BIT(X86_TRAP_DF) |
				       BIT(X86_TRAP_MC)));
}

#define EXCEPTION_VECTORS	32
#define ERROR_CODE_MAX		0xffff
#define INSN_LENGTH_MAX		15

static bool vector_fits(const struct vee_event *event)
{
	switch (event->type) {
	case VEE_EVENT_INTERRUPT:
	case VEE_EVENT_SOFT_INTERRUPT:
		return true;
	case VEE_EVENT_NMI:
		return event->vector == X86_TRAP_NMI;
	case VEE_EVENT_EXCEPTION:
		return event->vector < EXCEPTION_VECTORS &&
		       event->vector != X86_TRAP_NMI;
	case VEE_EVENT_PRIV_SOFT_EXCEPTION:
		return event->vector == X86_TRAP_DB;
	case VEE_EVENT_SOFT_EXCEPTION:
		return event->vector == X86_TRAP_BP || event->vector == X86_TRAP_OF;
	default:
		return false;
	}
}

/* SDM 3D, appendix "Basic VMX Information": CPUs with CET can push a code with any. */
#define BASIC_ANY_ERROR_CODE	BIT_ULL(56)

/* To a CPU without CET vector 21 is reserved, and has no code. */
static bool may_have_error_code(u8 vector)
{
	return vector == X86_TRAP_CP && vee_caps.basic & BASIC_ANY_ERROR_CODE;
}

static bool error_code_fits(const struct vee_event *event, u64 cr0)
{
	bool given = event->flags & VEE_EVENT_ERROR_CODE;
	bool possible = event->type == VEE_EVENT_EXCEPTION && cr0 & X86_CR0_PE;
	bool wanted = possible && has_error_code(event->vector);

	if (given != wanted && !(possible && may_have_error_code(event->vector)))
		return false;
	return given ? event->error_code <= ERROR_CODE_MAX : !event->error_code;
}

static bool length_fits(const struct vee_event *event)
{
	if (!is_software(event->type))
		return !event->instruction_length;
	return event->instruction_length >= 1 &&
	       event->instruction_length <= INSN_LENGTH_MAX;
}

/* A VM entry would fail with it (SDM 3C, "VM-Entry Control Fields"): -EINVAL. */
int event_check(const struct vee_event *event, u64 cr0)
{
	if (event->flags & ~(VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE) ||
	    !vector_fits(event) || !error_code_fits(event, cr0) ||
	    !length_fits(event))
		return -EINVAL;
	return 0;
}

/* --- from other threads --------------------------------------------------------- */

/* Other threads leave it here, whole; the vCPU's own takes it from here. */
int event_send(struct vee_vcpu *vcpu, const struct vee_event *event)
{
	union event_word word = { .event = *event };
	u64 *place = &vcpu->events.sent_interrupt;

	if (!valid(event) || event_check(event, 0))
		return -EINVAL;
	if (event->type == VEE_EVENT_NMI)
		place = &vcpu->events.sent_nmi;
	else if (event->type != VEE_EVENT_INTERRUPT)
		return -EINVAL;
	/* A full barrier too: sent before the look at who runs. */
	if (cmpxchg(place, 0, word.whole))
		return -EBUSY;
	runner_interrupt(&vcpu->runner);
	return 0;
}

static bool can_take(const u64 *sent, const struct vee_event *place)
{
	return unlikely(READ_ONCE(*sent)) && !valid(place);
}

/* Is there one that the vCPU can take over now? */
bool event_was_sent(const struct events *events)
{
	return can_take(&events->sent_interrupt, &events->interrupt) ||
	       can_take(&events->sent_nmi, &events->nmi);
}

static void take_sent(u64 *sent, struct vee_event *place)
{
	union event_word word;

	if (!can_take(sent, place))
		return;
	word.whole = xchg(sent, 0);
	*place = word.event;
}

void event_take(struct events *events)
{
	take_sent(&events->sent_interrupt, &events->interrupt);
	take_sent(&events->sent_nmi, &events->nmi);
}

/* --- from the local APIC --------------------------------------------------------- */

static void nmi_waits(struct events *events)
{
	events->nmi = (struct vee_event) {
		.vector = X86_TRAP_NMI,
		.type = VEE_EVENT_NMI,
		.flags = VEE_EVENT_VALID,
	};
}

static bool handles_nmi(const struct events *events)
{
	return interruptibility() & VEE_BLOCKING_BY_NMI ||
	       (valid(&events->delivering) && events->delivering.type == VEE_EVENT_NMI);
}

/*
 * While one is handled another waits, and more are one with that (SDM 3A, "Handling Multiple
 * NMIs"). So if none is, there are two: the first is handled at once.
 */
void event_take_nmis(struct events *events, unsigned int count)
{
	if (valid(&events->nmi))
		count++;
	nmi_waits(events);
	events->nmi_again = events->nmi_again || (count > 1 && !handles_nmi(events));
}

/* After an entry, of whatever has been delivered: it is this one's turn if that was the first. */
void event_next_nmi(struct events *events)
{
	if (valid(&events->nmi))
		return;
	events->nmi_again = false;
	nmi_waits(events);
}

/* --- into the guest ------------------------------------------------------------ */

/*
 * The entry pushes RFLAGS as they are. In a fault's frame RF is 1, so that a
 * breakpoint at the instruction isn't met again; a software interrupt has cleared
 * it (SDM 3B, "Instruction-Breakpoint Exception Condition"). Of an event that is
 * delivered once more RF has been so since the first time.
 */
static void set_resume_flag(struct events *events, const struct vee_event *event)
{
	u64 rflags, wanted;

	if (!is_fault(event) && !is_software(event->type))
		return;
	rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	wanted = rflags & ~(u64)X86_EFLAGS_RF;
	if (is_fault(event))
		wanted |= X86_EFLAGS_RF;
	events->resume_flag_changed = wanted != rflags;
	if (events->resume_flag_changed)
		vmcs_write(VMCS_GUEST_RFLAGS, wanted);
}

static void reset_resume_flag(struct events *events)
{
	if (events->resume_flag_changed)
		vmcs_write(VMCS_GUEST_RFLAGS,
			   vmcs_read(VMCS_GUEST_RFLAGS) ^ X86_EFLAGS_RF);
}

static void inject(struct events *events, struct vee_event *event)
{
	u32 info = event->vector | event->type << INFO_TYPE_SHIFT | INFO_VALID;

	if (event->flags & VEE_EVENT_ERROR_CODE) {
		info |= INFO_ERROR_CODE;
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	}
	if (is_software(event->type))
		vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, event->instruction_length);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, info);
	/* An event that arrives ends HLT; the CPU wants it so for exceptions. */
	vmcs_write(VMCS_GUEST_ACTIVITY, VEE_ACTIVITY_ACTIVE);
	set_resume_flag(events, event);
	events->injecting = event;
}

/*
 * While an NMI is injected again, "blocking by NMI" must be 0: its delivery sets
 * it (SDM 3C, "Checks on Guest Non-Register State").
 */
static void unblock_nmi(void)
{
	u32 state = interruptibility();

	if (state & VEE_BLOCKING_BY_NMI)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~VEE_BLOCKING_BY_NMI);
}

static bool waits(const struct events *events, const struct vee_event *event)
{
	return valid(event) && events->injecting != event;
}

/*
 * Only some CPUs hold the exit for an NMI window off while STI blocks interrupts (SDM
 * 3C, "Other Causes of VM Exits"). On the others it would come before the instruction
 * that ends the blocking, again and again; the other window opens right behind it. If
 * that instruction is a CLI it doesn't, and the NMI comes after the next exit.
 */
static u32 nmi_window(void)
{
	return interruptibility() & VEE_BLOCKING_BY_STI ?
	       PROC_INTERRUPT_WINDOW_EXITING : PROC_NMI_WINDOW_EXITING;
}

static void ask_for_windows(struct vee_vcpu *vcpu)
{
	const struct events *events = &vcpu->events;
	u32 windows = 0;

	if (waits(events, &events->nmi) || event_has_next_nmi(events) ||
	    vcpu->wishes.intercept & VEE_INTERCEPT_NMI_WINDOW)
		windows |= nmi_window();
	if (waits(events, &events->interrupt) || events->apic_waits ||
	    vcpu->wishes.intercept & VEE_INTERCEPT_INTERRUPT_WINDOW)
		windows |= PROC_INTERRUPT_WINDOW_EXITING;
	vmcs_set_control(VMCS_PROC_CONTROLS, &vcpu->controls.proc,
			 (vcpu->controls.proc & ~PROC_WINDOWS) | windows);
}

/*
 * INTA: between the look whether the guest is ready and the entry. If it isn't, the window
 * is asked for.
 */
static noinline void accept(struct vee_vcpu *vcpu)
{
	struct events *events = &vcpu->events;
	int vector;

	events->apic_asked = !interrupt_ready(interruptibility(), vmcs_read(VMCS_GUEST_RFLAGS));
	if (events->apic_asked)
		return;
	vector = events->apic_vector;
	if (vector < 0)
		vector = apic_deliverable(&vcpu->apic);
	/* The guest has raised its TPR since: the exit for the window finds that out. */
	if (vector < 0)
		return;
	events->apic_waits = false;
	apic_accept(&vcpu->apic, vector);
	events->interrupt = (struct vee_event) {
		.vector = vector,
		.type = VEE_EVENT_INTERRUPT,
		.flags = VEE_EVENT_VALID,
	};
	inject(events, &events->interrupt);
}

void event_prepare(struct vee_vcpu *vcpu)
{
	struct events *events = &vcpu->events;

	events->injecting = NULL;
	events->resume_flag_changed = false;
	if (valid(&events->delivering)) {
		if (events->delivering.type == VEE_EVENT_NMI)
			unblock_nmi();
		inject(events, &events->delivering);
	} else if (valid(&events->nmi) && nmi_ready(interruptibility())) {
		inject(events, &events->nmi);
	} else if (valid(&events->interrupt) &&
		   interrupt_ready(interruptibility(), vmcs_read(VMCS_GUEST_RFLAGS))) {
		inject(events, &events->interrupt);
	} else if (events->apic_waits && !valid(&events->interrupt)) {
		accept(vcpu);
	}
	events->apic_vector = -1;
	if (trace_vee_inject_enabled() && events->injecting)
		trace_vee_inject(vcpu, events->injecting);
	ask_for_windows(vcpu);
}

/* --- back from the guest -------------------------------------------------------- */

/* The entry failed: nothing was delivered. */
void event_entry_failed(struct events *events)
{
	if (events->injecting) {
		vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, 0);
		reset_resume_flag(events);
	}
	events->injecting = NULL;
}

/*
 * IRET ended the blocking of NMIs and then the instruction faulted: the next
 * IRET must do it again, so the blocking is put back.
 */
static void reblock_nmi(struct vee_vcpu *vcpu)
{
	bool unblocked;

	if (vcpu->exit.reason == VMX_EXIT_EXCEPTION_NMI) {
		u32 info = vmcs_read(VMCS_EXIT_INTERRUPTION_INFO);

		unblocked = info & INFO_NMI_UNBLOCKING &&
			    INFO_VECTOR(info) != X86_TRAP_DF;
	} else {
		/* A task switch's qualification has no such bit. */
		unblocked = (vcpu->exit.reason == VMX_EXIT_EPT_VIOLATION ||
			     vcpu->exit.reason == VMX_EXIT_INSTRUCTION_TIMEOUT) &&
			    vcpu->exit.qualification & INFO_NMI_UNBLOCKING;
	}
	if (unblocked)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
			   interruptibility() | VEE_BLOCKING_BY_NMI);
}

/* Real mode has no error codes, though some CPUs report one. */
void event_set_error(struct vee_vcpu *vcpu, struct vee_event *event, u32 error_code)
{
	if (!(vcpu->cr.cr0 & X86_CR0_PE))
		return;
	event->flags |= VEE_EVENT_ERROR_CODE;
	event->error_code = error_code;
}

/*
 * After an exit that can happen while an event is delivered (exceptions, EPT
 * violations and misconfigurations, task switches): the event is not lost.
 */
void event_collect(struct vee_vcpu *vcpu)
{
	u32 info = vmcs_read(VMCS_IDT_VECTORING_INFO);
	struct vee_event *event = &vcpu->events.delivering;

	if (!(info & INFO_VALID)) {
		reblock_nmi(vcpu);
		return;
	}
	if (local_is_there(&vcpu->apic))
		info = local_vectoring(vcpu, info);
	*event = (struct vee_event) {
		.vector = INFO_VECTOR(info),
		.type = INFO_TYPE(info),
		.flags = VEE_EVENT_VALID,
	};
	if (info & INFO_ERROR_CODE)
		event_set_error(vcpu, event, vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE));
	if (is_software(event->type))
		event->instruction_length = vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
}

/*
 * An exception came up while .delivering was delivered, and is to go first. An
 * exception or software interrupt needs no keeping, its instruction will raise
 * it again; an interrupt or NMI goes back to where it waited. False: it can't,
 * so it stays first, and the new exception will come up again.
 */
bool event_make_way(struct events *events)
{
	struct vee_event *event = &events->delivering, *place = NULL;

	if (!valid(event))
		return true;
	if (event->type == VEE_EVENT_INTERRUPT)
		place = &events->interrupt;
	else if (event->type == VEE_EVENT_NMI)
		place = &events->nmi;
	if (place && valid(place))
		return false;
	if (place)
		*place = *event;
	if (event->type == VEE_EVENT_NMI)
		unblock_nmi();
	event->flags = 0;
	return true;
}

/* Would an event that waits end HLT, were the instruction done? */
bool event_wakes(const struct events *events)
{
	if (valid(&events->nmi) && !(interruptibility() & VEE_BLOCKING_BY_NMI))
		return true;
	return valid(&events->interrupt) &&
	       vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF;
}

/* --- faults that vee raises ------------------------------------------------------ */

static void fault(struct vee_vcpu *vcpu, u8 vector)
{
	vcpu->events.delivering = (struct vee_event) {
		.vector = vector,
		.type = VEE_EVENT_EXCEPTION,
		.flags = VEE_EVENT_VALID,
	};
}

enum next event_ud(struct vee_vcpu *vcpu)
{
	fault(vcpu, X86_TRAP_UD);
	return NEXT_PREPARE;
}

enum next event_gp(struct vee_vcpu *vcpu)
{
	fault(vcpu, X86_TRAP_GP);
	event_set_error(vcpu, &vcpu->events.delivering, 0);
	return NEXT_PREPARE;
}

/* --- an instruction that is done for the guest ------------------------------------ */

/* With BTF only a branch does (SDM 3B, "Single-Stepping on Branches"). */
bool event_each_insn_traps(u64 rflags)
{
	return rflags & X86_EFLAGS_TF &&
	       !(vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTLMSR_BTF);
}

void event_trap_pending(void)
{
	vmcs_write(VMCS_GUEST_PENDING_DEBUG,
		   vmcs_read(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

static noinline void end_insn(void)
{
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	u32 state = interruptibility();

	if (state & INTERRUPT_SHADOW)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~INTERRUPT_SHADOW);
	if (rflags & X86_EFLAGS_RF)
		vmcs_write(VMCS_GUEST_RFLAGS, rflags & ~X86_EFLAGS_RF);
	if (event_each_insn_traps(rflags))
		event_trap_pending();
}

/*
 * Goes past it as the CPU does: IP wraps at 32 bits outside 64-bit code, RF and
 * the blocking by STI and MOV SS end, and TF traps (SDM 3B, "Single-Step
 * Exception Condition").
 */
enum next event_skip(struct vee_vcpu *vcpu)
{
	u64 rip = vmcs_read(VMCS_GUEST_RIP), next = rip + vcpu->exit.insn_length;
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	u32 state = interruptibility();

	/* Only a carry out of the low half can matter: seldom worth a VMREAD. */
	if (unlikely((rip ^ next) >> 32) && !vmcs_64bit_code(&vcpu->controls))
		next = (u32)next;
	vmcs_write(VMCS_GUEST_RIP, next);
	vcpu->step.done = true;
	if (unlikely(event_insn_matters(state, rflags)))
		end_insn();
	return NEXT_ENTER;
}
