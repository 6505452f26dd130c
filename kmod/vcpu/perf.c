// SPDX-License-Identifier: GPL-2.0-only
/*
 * Precise events (PEBS): the CPU writes a record to a linear address, IA32_DS_AREA, and
 * would do so through the guest's tables while a guest runs (SDM 3B, "Processor Event
 * Based Sampling (PEBS)"). So no counter of the host's that is to make records counts
 * there, nor one that perf wants not to (perf_event_attr.exclude_guest).
 *
 * It is the entry itself that takes them away, and the exit that brings them back. With
 * interrupts off perf changes nothing but in an NMI, its own: the handler ends with the
 * MSRs as they were before it, and takes an event away at most, one that came too often;
 * then what the exit loads lets a counter make records that counts no more. An NMI
 * between the look at the MSRs and the entry therefore does no harm, as it would if they
 * were written ahead of the entry: its handler would turn all on again.
 *
 * On CPUs that need more than a counter's end, to be told that there are no records to
 * make, the one under way must have been written by the time of the entry: they are
 * told ahead of it besides. That is before each entry, for each exit undoes it.
 */
#include <linux/perf_event.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/perf_event.h>

#include "compat_cpu.h"
#include "vcpu/perf.h"

DEFINE_STATIC_KEY_FALSE(perf_has_pebs);

#ifdef VEE_EXPORTED_PERF_GUEST_GET_MSRS
/* How many are different for a guest. What is in memory says so: RDMSR would cost more. */
static u32 find_different(struct msr_switch *msrs)
{
	int count = 0;
	const struct perf_guest_switch_msr *all = perf_guest_get_msrs(&count, NULL);
	u32 found = 0;

	for (int i = 0; all && i < count && found < MSR_SWITCH_MAX; i++)
		if (all[i].guest != all[i].host)
			msr_switch_put(msrs, found++, all[i].msr, all[i].guest, all[i].host);
	return found;
}

/* A CPU may say that it has PEBS and have no counters, as an emulated one does. */
static bool perf_counts(void)
{
	int count = 0;

	return perf_guest_get_msrs(&count, NULL);
}
#else
/*
 * The kernel tells KVM alone. Each bit of IA32_PEBS_ENABLE is a counter, that has the
 * same one in IA32_PERF_GLOBAL_CTRL.
 */
static u32 find_different(struct msr_switch *msrs)
{
	u64 pebs = __rdmsr(MSR_IA32_PEBS_ENABLE), control;

	if (!pebs)
		return 0;
	control = __rdmsr(MSR_CORE_PERF_GLOBAL_CTRL);
	msr_switch_put(msrs, 0, MSR_CORE_PERF_GLOBAL_CTRL, control & ~pebs, control);
	msr_switch_put(msrs, 1, MSR_IA32_PEBS_ENABLE, 0, pebs);
	return 2;
}

/* SDM 3B, "Architectural Performance Monitoring": no version, no counters. */
static bool perf_counts(void)
{
	return boot_cpu_has(X86_FEATURE_ARCH_PERFMON);
}
#endif

void perf_switch(struct msr_switch *msrs)
{
	u32 count = find_different(msrs);

	for (u32 i = 0; i < count; i++)
		if (msrs->areas->entry[i].index == MSR_IA32_PEBS_ENABLE)
			wrmsrq(MSR_IA32_PEBS_ENABLE, 0);
	msr_switch_use(msrs, count);
}

int perf_init(void)
{
	if (boot_cpu_has(X86_FEATURE_PEBS) && perf_counts())
		static_branch_enable(&perf_has_pebs);
	return 0;
}

int perf_alloc(struct msr_switch *msrs)
{
	return static_key_enabled(&perf_has_pebs) ? msr_switch_alloc(msrs) : 0;
}
