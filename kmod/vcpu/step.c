// SPDX-License-Identifier: GPL-2.0-only
/*
 * Single steps for the caller (VEE_INTERCEPT_STEP).
 *
 * The monitor trap flag does it all, unseen by the guest (SDM 3C, "Monitor Trap
 * Flag"). A CPU without it has other means, of which the next instruction says which:
 *
 * - RFLAGS.TF, whose #DB comes here first. Every exception comes here too, so that
 *   no frame has TF in it, and goes on as an event. An instruction that loads TF
 *   (POPF, IRET, SYSRET) has the last word on it.
 * - An instruction that stores RFLAGS (PUSHF, SYSCALL) runs without TF, up to a
 *   breakpoint at the one behind, in one of DR0 to DR3 that the guest doesn't need.
 * - INT n is delivered as an event.
 * - After an event that the entry delivers a preemption timer of 0 ends the guest.
 *
 * Then blocking by STI or MOV SS ends early, since TF under it would trap before the
 * instruction; and MOV SS and the instruction behind it are one step.
 */
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>

#include "vcpu/code.h"
#include "vcpu/step.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

static bool in_hardware(void)
{
	return caps_has(VEE_FEATURE_MONITOR_TRAP_FLAG);
}

/* --- the next instruction ------------------------------------------------------ */

enum step_insn {
	INSN_OTHER,
	INSN_LOADS_FLAGS,
	INSN_PUSHF,
	INSN_SYSCALL,
	INSN_INT,
};

/* SDM 2A, "Instruction Prefixes"; with LOCK all that matters here are #UD. */
static bool is_prefix(u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
	case 0x66: case 0x67: case 0xf2: case 0xf3:
		return true;
	default:
		return false;
	}
}

static bool is_rex(const struct code *code, u8 byte)
{
	return code->width == 8 && (byte & 0xf0) == 0x40;
}

/* SDM 2D, "Opcode Map". @opcode_bytes: how long, with prefixes */
static enum step_insn decode(const struct code *code, unsigned int *opcode_bytes)
{
	unsigned int i = 0;
	u16 opcode;

	while (i + 1 < code->bytes &&
	       (is_prefix(code->insn[i]) || is_rex(code, code->insn[i])))
		i++;
	if (i + 1 > code->bytes)
		return INSN_OTHER;
	opcode = code->insn[i++];
	if (opcode == 0x0f && i < code->bytes)
		opcode = 0x0f00 | code->insn[i++];
	*opcode_bytes = i;
	switch (opcode) {
	case 0x9c:
		return INSN_PUSHF;
	case 0x9d:	/* POPF */
	case 0xcf:	/* IRET */
	case 0x0f07:	/* SYSRET */
		return INSN_LOADS_FLAGS;
	case 0xcd:
		return i < code->bytes ? INSN_INT : INSN_OTHER;
	case 0x0f05:
		return INSN_SYSCALL;
	default:
		return INSN_OTHER;
	}
}

/* For vm_exit.sleeper. */
static enum next read_code(struct vee_vcpu *vcpu)
{
	switch (code_read(vcpu)) {
	case -EBUSY:
		return budget_end(&vcpu->limits);
	case -EINTR:
		return NEXT_HOST;
	}
	vcpu->step.known = true;
	return NEXT_ENTER;
}

static enum next look(struct vee_vcpu *vcpu)
{
	code_note(vcpu);
	vcpu->exit.sleeper = read_code;
	return NEXT_SLEEP;
}

/* --- before the entry ------------------------------------------------------------ */

#define ALL_EXCEPTIONS	(~0U)

static void take_exceptions(struct vee_vcpu *vcpu)
{
	vcpu->step.exceptions = vcpu->controls.exceptions;
	vmcs_set_exceptions(&vcpu->controls, ALL_EXCEPTIONS);
}

static void set_trap_flag(struct vee_vcpu *vcpu, enum step_insn insn)
{
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	u32 state = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	take_exceptions(vcpu);
	if (rflags & X86_EFLAGS_TF) {
		vcpu->step.by = STEP_GUESTS_TRAP;
		return;
	}
	vcpu->step.by = insn == INSN_LOADS_FLAGS ? STEP_LOADED_TRAP : STEP_TRAP;
	vmcs_write(VMCS_GUEST_RFLAGS, rflags | X86_EFLAGS_TF);
	if (state & INTERRUPT_SHADOW)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~INTERRUPT_SHADOW);
}

#define BREAKPOINTS	4

/* If the guest has armed all of them, it has to do without the last for a moment. */
static unsigned int spare_breakpoint(u64 dr7)
{
	unsigned int i = 0;

	while (i < BREAKPOINTS - 1 && dr7 >> i * DR_ENABLE_SIZE & (DR_LOCAL_ENABLE |
								    DR_GLOBAL_ENABLE))
		i++;
	return i;
}

#define DR_CONTROL_MASK		GENMASK(DR_CONTROL_SIZE - 1, 0)

/* Execution, and one byte, are 0 in DR7 (SDM 3B, "Debug Control Register (DR7)"). */
static void set_breakpoint(struct vee_vcpu *vcpu, u64 gva)
{
	struct debug_regs *debug = &vcpu->debug;
	u64 dr7 = vmcs_read(VMCS_GUEST_DR7);
	unsigned int i = spare_breakpoint(dr7);

	debug_need(debug);
	debug_read(debug);
	vcpu->step.by = STEP_BREAKPOINT;
	vcpu->step.breakpoint = i;
	vcpu->step.dr7 = dr7;
	dr7 &= ~((u64)DR_CONTROL_MASK << (DR_CONTROL_SHIFT + i * DR_CONTROL_SIZE));
	dr7 |= DR_GLOBAL_ENABLE << i * DR_ENABLE_SIZE;
	set_debugreg(gva, i);
	vmcs_write(VMCS_GUEST_DR7, dr7);
	take_exceptions(vcpu);
}

static u64 gva_behind(const struct code *code, unsigned int length)
{
	return code->width == 8 ? code->gva + length : (u32)(code->gva + length);
}

static void set_timer(struct vee_vcpu *vcpu)
{
	if (!caps_has(VEE_FEATURE_PREEMPTION_TIMER))
		return;
	vmcs_set_timer(&vcpu->controls, 0);
	vcpu->step.by = STEP_TIMER;
}

static void deliver_int(struct vee_vcpu *vcpu, unsigned int opcode_bytes)
{
	vcpu->events.delivering = (struct vee_event) {
		.vector = vcpu->code.insn[opcode_bytes],
		.type = VEE_EVENT_SOFT_INTERRUPT,
		.flags = VEE_EVENT_VALID,
		.instruction_length = opcode_bytes + 1,
	};
	event_prepare(vcpu);
	set_timer(vcpu);
}

/* Neither TF nor a breakpoint of ours where the guest's own trap comes first. */
static bool guests_trap_is_due(void)
{
	return vmcs_read(VMCS_GUEST_PENDING_DEBUG) & PENDING_DEBUG_TRAPS &&
	       !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & VEE_BLOCKING_BY_MOV_SS);
}

static void prepare_insn(struct vee_vcpu *vcpu)
{
	const struct code *code = &vcpu->code;
	bool guests = vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_TF;
	unsigned int length = 0;
	enum step_insn insn = decode(code, &length);

	if (insn == INSN_INT)
		deliver_int(vcpu, length);
	else if (insn == INSN_PUSHF && !guests)
		set_breakpoint(vcpu, gva_behind(code, length));
	else if (insn == INSN_SYSCALL && !guests)
		set_breakpoint(vcpu, vcpu->msrs.values.lstar);
	else
		set_trap_flag(vcpu, insn);
}

enum next step_prepare(struct vee_vcpu *vcpu)
{
	bool wanted = vcpu->wishes.intercept & VEE_INTERCEPT_STEP;

	vcpu->step.done = false;
	if (in_hardware()) {
		vmcs_set_proc(&vcpu->controls, PROC_MONITOR_TRAP_FLAG, wanted);
		return NEXT_ENTER;
	}
	if (!wanted)
		return NEXT_ENTER;
	if (vcpu->events.injecting) {
		set_timer(vcpu);
	} else if (!guests_trap_is_due()) {
		if (!vcpu->step.known)
			return look(vcpu);
		prepare_insn(vcpu);
	}
	vcpu->step.known = false;
	return NEXT_ENTER;
}

/* --- after the exit ---------------------------------------------------------------- */

/* Nobody but the instruction itself is to see our TF. */
static void clear_trap_flag(struct step *step)
{
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	step->loaded_flag = rflags & X86_EFLAGS_TF;
	vmcs_write(VMCS_GUEST_RFLAGS, rflags & ~(u64)X86_EFLAGS_TF);
}

/*
 * BS is left pending by a CPU that exits within the instruction, an EPT violation say:
 * then it would trap before that instruction is tried again.
 */
static void clear_pending_trap(const struct step *step)
{
	u64 pending = vmcs_read(VMCS_GUEST_PENDING_DEBUG);

	/* MOV SS has put off one that is the guest's. */
	if (step->by == STEP_GUESTS_TRAP &&
	    vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & VEE_BLOCKING_BY_MOV_SS)
		return;
	if (pending & PENDING_DEBUG_BS)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, pending & ~PENDING_DEBUG_BS);
}

void step_undo(struct vee_vcpu *vcpu)
{
	struct step *step = &vcpu->step;

	vmcs_set_exceptions(&vcpu->controls, step->exceptions);
	if (step->by == STEP_BREAKPOINT) {
		set_debugreg(vcpu->debug.dr[step->breakpoint], step->breakpoint);
		vmcs_write(VMCS_GUEST_DR7, step->dr7);
		return;
	}
	if (step->by != STEP_GUESTS_TRAP)
		clear_trap_flag(step);
	clear_pending_trap(step);
}

/* Of what the instruction has met the guest hears at the next entry. */
static void leave_to_guest(u64 traps)
{
	u64 pending = vmcs_read(VMCS_GUEST_PENDING_DEBUG);

	if (traps & DR_TRAP_BITS)
		traps |= PENDING_DEBUG_BREAKPOINT;
	if (traps)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, pending | traps);
}

static bool is_trap(struct vee_vcpu *vcpu)
{
	bool guests = vcpu->step.by == STEP_GUESTS_TRAP;
	u64 q = vcpu->exit.qualification;

	if (!guests)
		vcpu->exit.qualification &= ~(u64)DR_STEP;
	if (!(q & DR_STEP))
		return false;
	if (vcpu->step.by == STEP_LOADED_TRAP)
		vmcs_write(VMCS_GUEST_RFLAGS,
			   vmcs_read(VMCS_GUEST_RFLAGS) | vcpu->step.loaded_flag);
	leave_to_guest(q & (guests ? DR_TRAP_BITS | DR_STEP : DR_TRAP_BITS));
	return true;
}

/* A #DB; INT1 makes one that never is the step's, though a CPU may name TF with it. */
bool step_is_debug(struct vee_vcpu *vcpu, bool is_int1)
{
	const struct step *step = &vcpu->step;

	/* Another breakpoint of the guest's there is met again. */
	if (step->by == STEP_BREAKPOINT)
		return vcpu->exit.qualification & BIT(step->breakpoint);
	if (step->by < STEP_TRAP)
		return false;
	if (is_int1) {
		vcpu->exit.qualification &= ~(u64)DR_STEP;
		return false;
	}
	return is_trap(vcpu);
}

bool step_is_timer(const struct step *step)
{
	return step->by == STEP_TIMER;
}
