// SPDX-License-Identifier: GPL-2.0-only
/*
 * L1TF: the L1 data cache is emptied before a guest could read it.
 *
 * An affected CPU may speculatively read whatever is in its L1 data cache
 * through a not-present guest page table entry, so the cache is emptied before
 * each entry that follows host code which may have handled secrets: the caller's,
 * an interrupt's, another task's. What the engine itself does for the guest
 * between two entries handles none; with l1tf=full the cache is emptied all the
 * same. CPUs without the flush command get it filled with a block of ours instead
 * (Documentation/admin-guide/hw-vuln/l1tf.rst).
 *
 * Stale data from devices: on affected CPUs whoever reads a device's memory may get at
 * what is left in the buffers of the CPU, so a guest that has some finds them empty
 * (.../processor_mmio_stale_data.rst). Others may be left alone.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/hardirq.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/smt.h>
#include <asm/barrier.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/segment.h>

#include "compat_cpu.h"
#include "vcpu/l1d.h"

#define L1D_FLUSH_ORDER	4	/* 64 KiB: twice the largest affected cache */
#define L1D_LINE	64

static u8 *pages;
static bool l1d_flushes __ro_after_init;
bool l1d_flushes_always __ro_after_init;
static bool devices_leak __ro_after_init;
DEFINE_STATIC_KEY_FALSE(entries_clean);
DEFINE_STATIC_KEY_FALSE(entries_clean_again);

static void read_all(unsigned int step)
{
	for (unsigned int i = 0; i < PAGE_SIZE << L1D_FLUSH_ORDER; i += step)
		READ_ONCE(pages[i]);
}

static void flush_now(void)
{
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		wrmsrq(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	/* The TLB first, so that the second pass misses no line to a walk. */
	read_all(PAGE_SIZE);
	rmb(); /* LFENCE: no load of a pass is under way in the next, or in the guest. */
	read_all(L1D_LINE);
	rmb(); /* Likewise. */
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

static void l1d_clean(struct l1d *l1d)
{
	unsigned long switches = current->nvcsw + current->nivcsw;
	bool unclean = interrupt_was_here() || l1d->clean_at != switches;

	if (!unclean && !l1d_flushes_always)
		return;
	l1d->clean_at = switches;
	flush_now();
}

/* VERW, as in entry.S for who needs it at every entry. */
static void buffers_clean(void)
{
	static const u16 selector = __KERNEL_DS;

	asm volatile("verw %[selector]" : : [selector] "m" (selector) : "cc");
}

void entry_clean(struct l1d *l1d, const struct memory *memory, bool first)
{
	if (first ? l1d_flushes : l1d_flushes_always)
		l1d_clean(l1d);
	if (devices_leak && READ_ONCE(memory->has_frames))
		buffers_clean();
}

static bool needs_flush(void)
{
	u64 arch_caps = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || vee_l1tf_off())
		return false;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrq(MSR_IA32_ARCH_CAPABILITIES, arch_caps);
	return !(arch_caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

static void warn_of_smt(void)
{
	const char *bug = boot_cpu_has_bug(X86_BUG_L1TF) ? "L1TF" :
			  boot_cpu_has_bug(X86_BUG_MDS) ? "MDS" : NULL;

	if (bug && sched_smt_active() && !cpu_mitigations_off())
		pr_warn("this CPU has the bug %s and SMT is on: a guest may read what the other thread of its core is at; against that: \"echo off >/sys/devices/system/cpu/smt/control\", or boot with nosmt\n",
			bug);
}

int l1d_init(void)
{
	warn_of_smt();
	devices_leak = boot_cpu_has_bug(X86_BUG_MMIO_STALE_DATA) && !cpu_mitigations_off();
	l1d_flushes = needs_flush();
	l1d_flushes_always = l1d_flushes && vee_l1tf_full();
	if (l1d_flushes && !boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		pages = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, L1D_FLUSH_ORDER);
		if (!pages)
			return -ENOMEM;
	}
	if (devices_leak || l1d_flushes)
		static_branch_inc(&entries_clean);
	if (devices_leak || l1d_flushes_always)
		static_branch_inc(&entries_clean_again);
	return 0;
}

void l1d_exit(void)
{
	free_pages((unsigned long)pages, L1D_FLUSH_ORDER);
}
