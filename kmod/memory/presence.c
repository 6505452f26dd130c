// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the CPUs are made to forget memory that their guest no longer has.
 */
#include <linux/gfp.h>
#include <linux/preempt.h>

#include "memory/presence.h"

int presences_init(struct presences *presences)
{
	INIT_LIST_HEAD(&presences->list);
	return zalloc_cpumask_var(&presences->cpus, GFP_KERNEL_ACCOUNT) ? 0 : -ENOMEM;
}

void presences_destroy(struct presences *presences)
{
	free_cpumask_var(presences->cpus);
}

static void forget(void *unused)
{
	/* The interrupt is the message: it made the guest exit. */
}

void presence_flush(struct presences *presences)
{
	struct presence *presence;

	/*
	 * Pairs with presence_begin(): either that CPU is seen here, or it sees
	 * the new generation of the EPT.
	 */
	smp_mb();
	/* The lock alone does not on PREEMPT_RT. */
	preempt_disable();
	cpumask_clear(presences->cpus);
	list_for_each_entry(presence, &presences->list, link) {
		int cpu = READ_ONCE(presence->cpu);

		if (cpu >= 0)
			cpumask_set_cpu(cpu, presences->cpus);
	}
	/* All but this CPU, which is here and so not in the guest. */
	smp_call_function_many(presences->cpus, forget, NULL, true);
	preempt_enable();
}
