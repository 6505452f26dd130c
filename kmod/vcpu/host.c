// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's state while a guest's is loaded: what a VM exit destroys, what the
 * guest changes, and what must not be seen of it from inside.
 *
 * host_save() and host_restore() stand around the stretch with preemption off
 * in which a guest runs, not around each entry: between two entries interrupts
 * are taken with the guest's values loaded, and interrupt handlers need none of
 * what is swapped here. What a VM exit sets (SDM 3C, "Loading Host Segment and
 * Descriptor-Table Registers"): GDTR and IDTR limits FFFFH, the TR limit 67H,
 * null LDTR, null DS, ES, FS and GS here; DR7 400H and IA32_DEBUGCTL 0 ("Loading
 * Host Control Registers, Debug Registers, MSRs").
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/gfp.h>
#include <linux/hardirq.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fsgsbase.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/segment.h>

#include "compat.h"
#include "vcpu/vcpu.h"

/* --- MSRs of SYSCALL, SWAPGS and RDTSCP ------------------------------------ */

/*
 * The guest writes these through msr.c, but for IA32_KERNEL_GS_BASE, which SWAPGS
 * changes without an exit. Those of SYSCALL mean nothing while the guest's
 * IA32_EFER.SCE is clear, and stay the host's: the guest's RDMSR exits.
 *
 * Around each exit to the caller: so without the kernel's detour for tracing, and
 * without a loop over a table.
 */
static __always_inline void write_msr(u32 index, u64 value)
{
	__wrmsr(index, (u32)value, value >> 32);
}

static __always_inline void change_msr(u32 index, u64 from, u64 to)
{
	if (from != to)
		write_msr(index, to);
}

/* The kernel sets these once, when it brings a CPU up; of the others none is here. */
static DEFINE_PER_CPU(struct vee_msrs, host_msrs);

void host_cpu_init(void)
{
	struct vee_msrs *host = this_cpu_ptr(&host_msrs);

	rdmsrl(MSR_STAR, host->star);
	rdmsrl(MSR_LSTAR, host->lstar);
	rdmsrl(MSR_CSTAR, host->cstar);
	rdmsrl(MSR_SYSCALL_MASK, host->sfmask);
	if (caps_has(VEE_FEATURE_RDTSCP))
		rdmsrl(MSR_TSC_AUX, host->tsc_aux);
}

static void change_syscall_msrs(const struct vee_msrs *from, const struct vee_msrs *to)
{
	change_msr(MSR_STAR, from->star, to->star);
	change_msr(MSR_LSTAR, from->lstar, to->lstar);
	change_msr(MSR_CSTAR, from->cstar, to->cstar);
	change_msr(MSR_SYSCALL_MASK, from->sfmask, to->sfmask);
}

void host_load_syscall_msrs(struct vee_vcpu *vcpu)
{
	change_syscall_msrs(this_cpu_ptr(&host_msrs), &vcpu->msrs);
	vcpu->syscall_loaded = true;
}

static void unload_syscall_msrs(struct vee_vcpu *vcpu)
{
	change_syscall_msrs(&vcpu->msrs, this_cpu_ptr(&host_msrs));
	vcpu->syscall_loaded = false;
}

static void load_guest_msrs(struct vee_vcpu *vcpu)
{
	struct host_state *host = &vcpu->host;

	host->kernel_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	change_msr(MSR_KERNEL_GS_BASE, host->kernel_gs_base, vcpu->msrs.kernel_gs_base);
	if (caps_has(VEE_FEATURE_RDTSCP))
		change_msr(MSR_TSC_AUX, this_cpu_read(host_msrs.tsc_aux),
			   vcpu->msrs.tsc_aux);
	if (vcpu->syscall_enabled)
		host_load_syscall_msrs(vcpu);
}

static void load_host_msrs(struct vee_vcpu *vcpu)
{
	vcpu->msrs.kernel_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	change_msr(MSR_KERNEL_GS_BASE, vcpu->msrs.kernel_gs_base,
		   vcpu->host.kernel_gs_base);
	if (caps_has(VEE_FEATURE_RDTSCP))
		change_msr(MSR_TSC_AUX, vcpu->msrs.tsc_aux,
			   this_cpu_read(host_msrs.tsc_aux));
	if (vcpu->syscall_loaded)
		unload_syscall_msrs(vcpu);
}

void host_set_guest_msrs(struct vee_vcpu *vcpu, const struct vee_msrs *msrs)
{
	if (vcpu->syscall_loaded)
		unload_syscall_msrs(vcpu);
	vcpu->msrs = *msrs;
	if (vcpu->syscall_enabled)
		host_load_syscall_msrs(vcpu);
	write_msr(MSR_KERNEL_GS_BASE, msrs->kernel_gs_base);
	if (caps_has(VEE_FEATURE_RDTSCP))
		write_msr(MSR_TSC_AUX, msrs->tsc_aux);
}

void host_get_guest_msrs(struct vee_vcpu *vcpu, struct vee_msrs *msrs)
{
	vcpu->msrs.kernel_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	msrs->star = vcpu->msrs.star;
	msrs->lstar = vcpu->msrs.lstar;
	msrs->cstar = vcpu->msrs.cstar;
	msrs->sfmask = vcpu->msrs.sfmask;
	msrs->kernel_gs_base = vcpu->msrs.kernel_gs_base;
	msrs->tsc_aux = vcpu->msrs.tsc_aux;
}

/* --- segments and tables --------------------------------------------------- */

static void save_segments(struct host_state *host)
{
	savesegment(fs, host->fs);
	savesegment(gs, host->gs);
	savesegment(ds, host->ds);
	savesegment(es, host->es);
	store_ldt(host->ldt);
	store_idt(&host->idt);
	native_store_gdt(&host->gdt);
	host->fs_base = x86_fsbase_read_cpu();
}

/* The kernel's helper, but for its array in the unlikely half: that guards the stack. */
static noinline void reload_task_register(void)
{
	invalidate_tss_limit();
}

static void restore_segments(struct host_state *host)
{
	if (unlikely(host->ds | host->es)) {
		loadsegment(ds, host->ds);
		loadsegment(es, host->es);
	}
	/* Loading a selector loads a base too: the base goes last. */
	if (unlikely(host->fs)) {
		loadsegment(fs, host->fs);
		wrmsrl(MSR_FS_BASE, host->fs_base);
	}
	if (unlikely(host->gs)) {
		load_gs_index(host->gs);
		wrmsrl(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	}
	if (unlikely(host->ldt))
		asm volatile("lldt %w0" : : "r" (host->ldt));
	native_load_idt(&host->idt);
	native_load_gdt(&host->gdt);
	/* For a caller with an I/O bitmap; the rest is done when one runs. */
	if (unlikely(test_thread_flag(TIF_IO_BITMAP)))
		reload_task_register();
	else
		this_cpu_write(__tss_limit_invalid, true);
}

/* --- debug registers -------------------------------------------------------- */

static bool armed(u64 dr7)
{
	return dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK);
}

void host_load_guest_dr(struct vee_vcpu *vcpu)
{
	set_debugreg(vcpu->dr[0], 0);
	set_debugreg(vcpu->dr[1], 1);
	set_debugreg(vcpu->dr[2], 2);
	set_debugreg(vcpu->dr[3], 3);
	set_debugreg(vcpu->dr6, 6);
	vcpu->dr_loaded = true;
}

void host_read_guest_dr(struct vee_vcpu *vcpu)
{
	if (!vcpu->dr_loaded)
		return;
	get_debugreg(vcpu->dr[0], 0);
	get_debugreg(vcpu->dr[1], 1);
	get_debugreg(vcpu->dr[2], 2);
	get_debugreg(vcpu->dr[3], 3);
	get_debugreg(vcpu->dr6, 6);
}

void host_need_guest_dr(struct vee_vcpu *vcpu)
{
	if (!vcpu->dr_loaded)
		host_load_guest_dr(vcpu);
}

void host_reload_guest_dr(struct vee_vcpu *vcpu)
{
	if (vcpu->dr_loaded || armed(vcpu->dr7))
		host_load_guest_dr(vcpu);
}

static void load_host_dr(struct vee_vcpu *vcpu)
{
	if (vcpu->dr_loaded) {
		host_read_guest_dr(vcpu);
		vcpu->dr_loaded = false;
		set_debugreg(DR6_RESERVED, 6);
	}
	/* The exit turned every breakpoint of the host off. */
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
}

/* --- the whole -------------------------------------------------------------- */

void host_save(struct vee_vcpu *vcpu)
{
	save_segments(&vcpu->host);
	if (cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS))
		vcpu->vmcs.frame.spec_ctrl = __rdmsr(MSR_IA32_SPEC_CTRL);
	load_guest_msrs(vcpu);
	/* Armed breakpoints need them now; others on first use (exit_dr()). */
	host_reload_guest_dr(vcpu);
	fpu_load_guest(vcpu);
}

void host_restore(struct vee_vcpu *vcpu)
{
	fpu_load_host(vcpu);
	load_host_dr(vcpu);
	load_host_msrs(vcpu);
	restore_segments(&vcpu->host);
}

/* --- NMIs and machine checks ------------------------------------------------ */

/*
 * An NMI exit leaves NMIs blocked until the next IRET (SDM 3C, "Updating
 * Non-Register State"), so the host's handler must be the one to do it: nothing
 * that could fault, and so IRET, may run before. INT through the IDT enters the
 * handler just as the NMI would have.
 */
void host_take_event(u32 reason)
{
	u64 info;

	if ((reason & VMX_EXIT_BASIC) == VMX_EXIT_ENTRY_MACHINE_CHECK) {
		asm volatile("int %0" : : "i" (X86_TRAP_MC));
		return;
	}
	vmread_raw(VMCS_EXIT_INTERRUPTION_INFO, &info);
	switch (info & INFO_TYPE_VECTOR) {
	case VEE_EVENT_NMI << INFO_TYPE_SHIFT | X86_TRAP_NMI:
		asm volatile("int %0" : : "i" (X86_TRAP_NMI));
		break;
	case VEE_EVENT_EXCEPTION << INFO_TYPE_SHIFT | X86_TRAP_MC:
		asm volatile("int %0" : : "i" (X86_TRAP_MC));
		break;
	}
}

/* --- L1TF ------------------------------------------------------------------- */

/*
 * An affected CPU may speculatively read whatever is in its L1 data cache
 * through a not-present guest page table entry, so the cache is emptied before
 * each entry that follows host code which may have handled secrets: the caller's,
 * an interrupt's, another task's. What the engine itself does for the guest
 * between two entries handles none; with l1tf=full the cache is emptied all the
 * same. CPUs without the flush command get it filled with a block of ours instead
 * (Documentation/admin-guide/hw-vuln/l1tf.rst).
 */
#define L1D_FLUSH_ORDER	4	/* 64 KiB: twice the largest affected cache */
#define L1D_LINE	64

static u8 *l1d_pages;
DEFINE_STATIC_KEY_FALSE(host_flushes_l1d);
DEFINE_STATIC_KEY_FALSE(host_flushes_l1d_always);

static void read_l1d_pages(unsigned int step)
{
	for (unsigned int i = 0; i < PAGE_SIZE << L1D_FLUSH_ORDER; i += step)
		READ_ONCE(l1d_pages[i]);
}

static void flush_l1d(void)
{
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	/* The TLB first, so that the second pass misses no line to a walk. */
	read_l1d_pages(PAGE_SIZE);
	read_l1d_pages(L1D_LINE);
}

/* The kernel's interrupt entries note it for KVM's sake. */
static bool interrupt_was_here(void)
{
#if IS_ENABLED(CONFIG_KVM_INTEL)
	bool was_here = kvm_get_cpu_l1tf_flush_l1d();

	kvm_clear_cpu_l1tf_flush_l1d();
	return was_here;
#else
	return true;
#endif
}

void host_clean_l1d(struct vee_vcpu *vcpu)
{
	unsigned long switches = current->nvcsw + current->nivcsw;
	bool unclean = interrupt_was_here() || vcpu->l1d_clean_at != switches;

	if (!unclean && !static_key_enabled(&host_flushes_l1d_always))
		return;
	vcpu->l1d_clean_at = switches;
	flush_l1d();
}

static bool l1d_needs_flush(void)
{
	u64 arch_caps = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || l1tf_mitigation == L1TF_MITIGATION_OFF)
		return false;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, arch_caps);
	return !(arch_caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

int host_init(void)
{
	if (!l1d_needs_flush())
		return 0;
	static_branch_enable(&host_flushes_l1d);
	if (l1tf_mitigation >= L1TF_MITIGATION_FULL)
		static_branch_enable(&host_flushes_l1d_always);
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	l1d_pages = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, L1D_FLUSH_ORDER);
	return l1d_pages ? 0 : -ENOMEM;
}

void host_exit(void)
{
	free_pages((unsigned long)l1d_pages, L1D_FLUSH_ORDER);
}
