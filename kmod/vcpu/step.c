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
#include <asm/processor-flags.h>

#include "vcpu/vcpu.h"

static bool in_hardware(void)
{
	return caps_has(VEE_FEATURE_MONITOR_TRAP_FLAG);
}

static void set_trap_flag(struct vee_vcpu *vcpu)
{
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	u32 state = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	vcpu->step = rflags & X86_EFLAGS_TF ? STEP_GUESTS_TRAP : STEP_TRAP;
	vmcs_write(VMCS_GUEST_RFLAGS, rflags | X86_EFLAGS_TF);
	if (state & INTERRUPT_SHADOW)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~INTERRUPT_SHADOW);
}

void step_prepare(struct vee_vcpu *vcpu)
{
	bool wanted = vcpu->intercept & VEE_INTERCEPT_STEP;

	vcpu->stepped = false;
	if (in_hardware()) {
		vmcs_set_proc(vcpu, PROC_MONITOR_TRAP_FLAG, wanted);
		return;
	}
	if (!wanted)
		return;
	if (!vcpu->injecting) {
		set_trap_flag(vcpu);
	} else if (caps_has(VEE_FEATURE_PREEMPTION_TIMER)) {
		vmcs_set_timer(vcpu, 0);
		vcpu->step = STEP_TIMER;
	}
}

/*
 * Nobody but the instruction itself is to see our TF. BS is left pending by a CPU
 * that exits within the instruction, an EPT violation say: then it would trap
 * before that instruction is tried again.
 */
void step_untrap(struct vee_vcpu *vcpu)
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
bool step_is_debug(struct vee_vcpu *vcpu)
{
	if (vcpu->step == STEP_NONE || !(vcpu->qualification & DR_STEP))
		return false;
	if (vcpu->step == STEP_GUESTS_TRAP)
		event_trap_pending();
	return true;
}

bool step_is_timer(struct vee_vcpu *vcpu)
{
	return vcpu->step == STEP_TIMER;
}
