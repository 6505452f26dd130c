// SPDX-License-Identifier: GPL-2.0-only
/*
 * Single steps for the caller (VEE_INTERCEPT_STEP).
 *
 * The monitor trap flag does it all, unseen by the guest (SDM 3C, "Monitor Trap
 * Flag"). A CPU without it has two other means, used in turn: RFLAGS.TF, whose
 * #DB comes here first, for an instruction; and a preemption timer of 0, which
 * ends the guest right after the entry, for an event that the entry delivers.
 * Then the guest can see TF in what PUSHF, SYSCALL or a fault store, and blocking
 * by STI or MOV SS ends early, since TF under it would trap before the
 * instruction.
 */
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>

#include "vcpu/step.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

static bool in_hardware(void)
{
	return caps_has(VEE_FEATURE_MONITOR_TRAP_FLAG);
}

static void set_trap_flag(struct step *step)
{
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	u32 state = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	step->by = rflags & X86_EFLAGS_TF ? STEP_GUESTS_TRAP : STEP_TRAP;
	vmcs_write(VMCS_GUEST_RFLAGS, rflags | X86_EFLAGS_TF);
	if (state & INTERRUPT_SHADOW)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~INTERRUPT_SHADOW);
}

void step_prepare(struct step *step, struct vmcs_controls *controls, bool wanted,
		  bool injecting)
{
	step->done = false;
	if (in_hardware()) {
		vmcs_set_proc(controls, PROC_MONITOR_TRAP_FLAG, wanted);
		return;
	}
	if (!wanted)
		return;
	if (!injecting) {
		set_trap_flag(step);
	} else if (caps_has(VEE_FEATURE_PREEMPTION_TIMER)) {
		vmcs_set_timer(controls, 0);
		step->by = STEP_TIMER;
	}
}

/*
 * Nobody but the instruction itself is to see our TF. BS is left pending by a CPU
 * that exits within the instruction, an EPT violation say: then it would trap
 * before that instruction is tried again.
 */
void step_untrap(void)
{
	u64 pending;

	vmcs_write(VMCS_GUEST_RFLAGS,
		   vmcs_read(VMCS_GUEST_RFLAGS) & ~(u64)X86_EFLAGS_TF);
	pending = vmcs_read(VMCS_GUEST_PENDING_DEBUG);
	if (pending & PENDING_DEBUG_BS)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, pending & ~PENDING_DEBUG_BS);
}

/*
 * A #DB with BS in its qualification: is it the step's? One that the guest's own
 * TF made is the guest's too: it finds it at the next entry.
 */
bool step_is_debug(const struct step *step, u64 qualification)
{
	if (step->by == STEP_NONE || !(qualification & DR_STEP))
		return false;
	if (step->by == STEP_GUESTS_TRAP)
		event_trap_pending();
	return true;
}

bool step_is_timer(const struct step *step)
{
	return step->by == STEP_TIMER;
}
