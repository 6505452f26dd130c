// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX for the length of one bracket. Which of the two ways, each window asks anew, since
 * who else wants VMX comes and goes:
 *
 *	shared		This CPU is in VMX operation already: somebody else's VMCS, if
 *			one is current, is put back. KVM takes the one that it made
 *			current last for current still, and does no VMPTRLD.
 *	windowed	It is not: VMXON to VMXOFF, with CR4.VMXE as it was found. The
 *			kernel's copy of CR4 has no part in it: with interrupts off
 *			nothing of the kernel's writes CR4.
 *
 * CR4.VMXE alone doesn't tell them apart: KVM sets it before VMXON and clears it after
 * VMXOFF, and can be interrupted in between. VMPTRST tells, which is #UD out of VMX
 * operation.
 *
 * After a window no VMCS of vee's is active: anybody's VMXOFF would lose it.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/special_insns.h>

#include "compat_cpu.h"
#include "vmx/caps.h"
#include "vmx/held.h"
#include "vmx/insn.h"
#include "vmx/mode.h"
#include "vmx/window.h"

/**
 * struct window - of one CPU
 * @cr4: CR4 as it was found
 * @theirs: the VMCS that was current; NO_VMCS: none
 * @trace: how a trace was under way before
 * @owner: whose guest ran here last, for the branch-predictor barrier
 * @own: from before VMXON to after VMXOFF
 *
 * Its own CPU's alone.
 */
struct window {
	u64 cr4;
	u64 theirs;
	u64 trace;
	const void *owner;
	bool own;
};

/* SDM 3D, appendix "Miscellaneous Data": a trace goes on in VMX operation. */
#define MISC_INTEL_PT	BIT(14)

static DEFINE_PER_CPU(struct window, window);

/* Not by the kernel's helper, which would note VMXE as the kernel's own wish. */
static void write_cr4(unsigned long cr4)
{
	asm volatile("mov %0, %%cr4" : : "r" (cr4) : "memory");
}

/* --- VMX operation --------------------------------------------------------- */

static __always_inline bool trace_would_end(void)
{
	return cpu_feature_enabled(X86_FEATURE_INTEL_PT) && !(vee_caps.misc & MISC_INTEL_PT);
}

static __always_inline void pause_tracer(struct window *w)
{
	if (trace_would_end())
		w->trace = vee_pause_tracer();
}

static __always_inline void resume_tracer(struct window *w)
{
	if (trace_would_end())
		vee_resume_tracer(w->trace);
}

static __always_inline void end_own(struct window *w)
{
	if (!vmxoff())
		write_cr4(w->cr4);
	w->own = false;
	resume_tracer(w);
}

static __always_inline void end(struct window *w, struct vmcs *vmcs)
{
	if (!vmcs->shared)
		end_own(w);
	else if (w->theirs != NO_VMCS && vmptrld(&w->theirs))
		pr_err_once("CPU %d: the VMCS that was current can't be so again; please report this\n",
			    smp_processor_id());
}

/* --- the window ------------------------------------------------------------ */

/*
 * The usual way through a window calls nothing: whatever is rare ends it by a call of its
 * own, and spares it the registers that would have to be kept meanwhile.
 */

static noinline int fail(struct window *w, struct vmcs *vmcs, int error)
{
	end(w, vmcs);
	return error;
}

/* @shared: vmcs->shared, where the compiler knows it, too */
static __always_inline int load(struct window *w, struct vmcs *vmcs, bool shared)
{
	if (unlikely(vmptrld(&vmcs->hpa)))
		return fail(w, vmcs, -EIO);
	separate_owners(&w->owner, vmcs->owner);
	vmcs->frame.launched = false;
	vmcs->in_window = true;
	if (shared || mode_kvm_is_there())
		vmcs->beside = true;
	guest_tsc_catch_up(&vmcs->tsc);
	return 0;
}

/* What root.c does when it makes a VMCS active. */
static noinline int arrive(struct window *w, struct vmcs *vmcs)
{
	int error = vmcs->lost ?: vmclear(&vmcs->hpa);

	if (error)
		return fail(w, vmcs, error);
	vmcs->cleared_for = smp_processor_id();
	w->owner = NULL;
	guest_tsc_arrive(&vmcs->tsc);
	return load(w, vmcs, vmcs->shared);
}

/* Where it was in the last window it has lost nothing since. */
static __always_inline int make_current(struct window *w, struct vmcs *vmcs, bool shared)
{
	if (unlikely(vmcs->cleared_for != smp_processor_id() ||
		     guest_tsc_was_suspended(&vmcs->tsc)))
		return arrive(w, vmcs);
	return load(w, vmcs, shared);
}

static noinline int vmxon_failed(struct window *w)
{
	write_cr4(w->cr4);
	w->own = false;
	resume_tracer(w);
	pr_err_once("VMXON failed on CPU %d: look for VT-x, and for whatever else may own VMX, in the firmware set-up\n",
		    smp_processor_id());
	return -ENODEV;
}

static noinline int enter_own(struct window *w, struct vmcs *vmcs, const u64 *region)
{
	if (!mode_allows(VMX_WINDOWED))
		return mode_refuse(VMX_WINDOWED);
	pause_tracer(w);
	w->own = true;
	write_cr4(w->cr4 | X86_CR4_VMXE);
	return unlikely(vmxon(region)) ? vmxon_failed(w) : make_current(w, vmcs, false);
}

static int enter_shared(struct window *w, struct vmcs *vmcs)
{
	return mode_allows(VMX_SHARED) ? make_current(w, vmcs, true) :
					 mode_refuse(VMX_SHARED);
}

static bool is_shared(struct window *w)
{
	return w->cr4 & X86_CR4_VMXE && !vmptrst(&w->theirs);
}

int window_enter(struct vmcs *vmcs, const u64 *region)
{
	struct window *w = this_cpu_ptr(&window);

	w->cr4 = native_read_cr4();
	vmcs->shared = is_shared(w);
	return vmcs->shared ? enter_shared(w, vmcs) : enter_own(w, vmcs, region);
}

void window_leave(struct vmcs *vmcs)
{
	guest_tsc_leave(&vmcs->tsc);
	vmclear(&vmcs->hpa);
	end(this_cpu_ptr(&window), vmcs);
	vmcs->in_window = false;
}

/*
 * KVM has no barrier for a guest whose VMCS it takes for current: between two of its
 * entries no guest has run, as far as it knows.
 */
void window_part(struct vmcs *vmcs)
{
	vmcs->beside = false;
	window_forget_owner();
	if (vmcs->shared)
		vee_ibpb();
}

void window_forget_owner(void)
{
	this_cpu_write(window.owner, NULL);
}

/* The CPU won't go back: what is not ours to end the kernel ends, or its owner. */
void window_emergency(void)
{
	struct window *w = this_cpu_ptr(&window);

	if (w->own && !vmxoff())
		write_cr4(native_read_cr4() & ~X86_CR4_VMXE);
}
