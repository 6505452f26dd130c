// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's state while a guest's is loaded: what a VM exit destroys, and what the
 * guest changes; and the host's events, which an exit brings.
 *
 * host_save() and host_restore() stand around the stretch with preemption off
 * in which a guest runs, not around each entry: between two entries interrupts
 * are taken with the guest's values loaded, and interrupt handlers need none of
 * what is swapped here. What a VM exit sets (SDM 3C, "Loading Host Segment and
 * Descriptor-Table Registers"): GDTR and IDTR limits FFFFH, the TR limit 67H,
 * null LDTR, null DS, ES, FS and GS here; DR7 400H and IA32_DEBUGCTL 0 ("Loading
 * Host Control Registers, Debug Registers, MSRs").
 *
 * The IDTR's stays: there are 256 vectors, so that no limit above theirs lets the CPU look
 * at more (SDM 3A, "Interrupt Descriptor Table (IDT)"). A selector has room for more than
 * the GDT has: its limit is put back before anybody can load one.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/ptrace.h>
#include <asm/segment.h>
#include <asm/trapnr.h>

#include "compat_cpu.h"
#include "linux/vee.h"
#include "vcpu/host.h"
#include "vcpu/vcpu.h"
#include "vmx/exits.h"
#include "vmx/mitigations.h"
#include "vmx/vmcs.h"

/* --- segments and tables --------------------------------------------------- */

static void save_segments(struct host_state *host)
{
	u16 fs, gs, ds, es;

	savesegment(fs, fs);
	savesegment(gs, gs);
	savesegment(ds, ds);
	savesegment(es, es);
	store_ldt(host->ldt);
	host->any_selector = fs | gs | ds | es | host->ldt;
	if (unlikely(host->any_selector)) {
		host->fs = fs;
		host->gs = gs;
		host->ds = ds;
		host->es = es;
	}
	native_store_gdt(&host->gdt);
	host->fs_base = x86_fsbase_read_cpu();
}

/* The kernel's helper, but for its array in the unlikely half: that guards the stack. */
static noinline void reload_task_register(void)
{
	invalidate_tss_limit();
}

/* A 64-bit program seldom has any: those that are null the exit has left so. */
static noinline void restore_selectors(struct host_state *host)
{
	/* First: the others may be selectors of its own. */
	if (host->ldt)
		asm volatile("lldt %w0" : : "r" (host->ldt));
	loadsegment(ds, host->ds);
	loadsegment(es, host->es);
	/* Loading a selector loads a base too: the base goes last. */
	if (host->fs) {
		loadsegment(fs, host->fs);
		wrmsrq(MSR_FS_BASE, host->fs_base);
	}
	if (host->gs) {
		load_gs_index(host->gs);
		wrmsrq(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	}
}

static void restore_segments(struct host_state *host)
{
	if (unlikely(host->any_selector))
		restore_selectors(host);
	native_load_gdt(&host->gdt);
	/* For a caller with an I/O bitmap; the rest is done when one runs. */
	if (unlikely(test_thread_flag(TIF_IO_BITMAP)))
		reload_task_register();
	else
		this_cpu_write(__tss_limit_invalid, true);
}

/* --- the whole -------------------------------------------------------------- */

void host_save(struct vee_vcpu *vcpu)
{
	save_segments(&vcpu->host);
#ifdef VEE_WRITES_IBRS
	if (cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS))
		vcpu->vmcs.frame.spec_ctrl = __rdmsr(MSR_IA32_SPEC_CTRL);
#endif
	guest_msrs_load(&vcpu->msrs, &vcpu->host.kernel_gs_base);
	debug_begin(&vcpu->debug);
	fpu_load_guest(&vcpu->fpu);
}

void host_restore(struct vee_vcpu *vcpu)
{
	fpu_load_host(&vcpu->fpu);
	debug_unload(&vcpu->debug);
	guest_msrs_unload(&vcpu->msrs, vcpu->host.kernel_gs_base);
	restore_segments(&vcpu->host);
}

/* --- NMIs and machine checks ------------------------------------------------ */

/*
 * An NMI exit leaves NMIs blocked until the next IRET (SDM 3C, "Updating
 * Non-Register State"), so the host's handler must be the one to do it: nothing
 * that could fault, and so IRET, may run before. INT through the IDT enters the
 * handler just as the NMI would have.
 */
static void take_nmi(void)
{
	asm volatile("int %0" : : "i" (X86_TRAP_NMI));
}

/*
 * As if it had come in user mode, whatever the guest was at: an error in memory that
 * a process has lent is that process's to die of, and the kernel panics at its own.
 * INT would push the kernel's CS. The exit left the banks' MSRs as they were.
 */
static void take_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	struct pt_regs regs = {
		.cs = USER_RPL,
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#else
	/* On such a kernel it would have been a shutdown without a guest. */
	pr_emerg("machine check in a guest, and this kernel knows of none\n");
	force_sig(SIGBUS);
#endif
}

bool host_take_event(u32 reason)
{
	u64 info;

	if ((reason & VMX_EXIT_BASIC) == VMX_EXIT_ENTRY_MACHINE_CHECK) {
		take_machine_check();
		return true;
	}
	vmread_raw(VMCS_EXIT_INTERRUPTION_INFO, &info);
	switch (info & INFO_TYPE_VECTOR) {
	case VEE_EVENT_NMI << INFO_TYPE_SHIFT | X86_TRAP_NMI:
		take_nmi();
		return false;
	case VEE_EVENT_EXCEPTION << INFO_TYPE_SHIFT | X86_TRAP_MC:
		take_machine_check();
		return true;
	default:
		return false;
	}
}
