// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that locks the bus: a locked access across two cache lines, or to memory that
 * is not cached, keeps all CPUs of the machine from theirs meanwhile. The kernel holds
 * programs back from that as split_lock_detect= says, and this holds their guests back.
 *
 * Where the CPU faults on split locks (#AC) the kernel itself deals with a guest's. Where
 * it traps bus locks (#DB) the CPU may have an exit for a guest's: it comes after the
 * instruction, alone or as a flag in another exit's reason, and then the thread pauses
 * for as long as for a split lock that is but warned of. What the kernel was told,
 * ratelimit and how many in a second or fatal, no module learns.
 */
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <asm/cpu.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>

#include "vcpu/cr.h"
#include "vcpu/event.h"
#include "vcpu/exit_user.h"
#include "vcpu/lock.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/exits.h"
#include "vmx/vmcs.h"

/* A bus lock in so many ms: as arch/x86/kernel/cpu has it for one that it warns of. */
#define PAUSE_MS	10

#define CPL_USER	3

/*
 * With the host's detection of split locks on a guest gets #AC that no CPU gives by
 * its own rules (SDM 3A, "Alignment Checking"): then it is the host's to deal with.
 */
bool lock_is_split(void)
{
	return boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) &&
	       !(vmcs_cpl() == CPL_USER && cr0_read() & X86_CR0_AM &&
		 vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_AC);
}

#ifdef VEE_EXPORTED_HANDLE_GUEST_SPLIT_LOCK
/* The kernel slows the thread down and lets it go on, or kills it, as it was told. */
static enum next split_lock(struct vee_vcpu *vcpu)
{
	if (vcpu->runner.is_inline)
		return budget_end(&vcpu->limits);
	handle_guest_split_lock(vcpu->exit.rip);
	return NEXT_HOST;
}

enum next exit_split_lock(struct vee_vcpu *vcpu)
{
	vcpu->exit.rip = vmcs_read(VMCS_GUEST_RIP);
	vcpu->exit.sleeper = split_lock;
	return NEXT_SLEEP;
}
#else
/* The kernel lets nobody but KVM ask: the guest gets no further, and the caller is told. */
enum next exit_split_lock(struct vee_vcpu *vcpu)
{
	return exit_user_event(vcpu, VEE_EXIT_OTHER);
}
#endif

u32 lock_note(struct runner *runner, u32 reason)
{
	if (reason & VMX_EXIT_AFTER_BUS_LOCK)
		runner->bus_locked = true;
	return reason & ~VMX_EXIT_AFTER_BUS_LOCK;
}

/*
 * Nothing could interrupt the guest for too long ("notify VM exit"): what waits for this
 * CPU comes first, and it goes on. But if the CPU could not save its state.
 */
enum next exit_timeout(struct vee_vcpu *vcpu)
{
	event_collect(vcpu);
	return vcpu->exit.qualification & TIMEOUT_CONTEXT_INVALID ?
	       exit_user(vcpu, VEE_EXIT_OTHER) : NEXT_HOST;
}

void lock_pause(struct runner *runner)
{
	runner->bus_locked = false;
	schedule_timeout_killable(msecs_to_jiffies(PAUSE_MS));
}

/* For programs the kernel has it on in all CPUs, or in none. */
static bool host_detects(void)
{
	return boot_cpu_has(X86_FEATURE_BUS_LOCK_DETECT) &&
	       __rdmsr(MSR_IA32_DEBUGCTLMSR) & DEBUGCTLMSR_BUS_LOCK_DETECT;
}

/* After caps_init(), before there is a VMCS. */
int lock_init(void)
{
	if (host_detects())
		vee_caps.control[VMX_PROC2] |= PROC2_BUS_LOCK_DETECTION &
					       upper_32_bits(vee_caps.allowed[VMX_PROC2]);
	return 0;
}
