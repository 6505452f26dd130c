// SPDX-License-Identifier: LGPL-2.1-or-later
/* The vCPUs that gdb has as threads: which there are, and that they stop together. */
#include <stdlib.h>

#include "gdb.h"

int cpus_add(struct vee_gdb *gdb, struct vee_vcpu *vcpu)
{
	struct gdb_cpu *new;

	if (cpus_of(gdb, vcpu))
		return -EEXIST;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->area = calloc(1, vm_xsave_bytes(vcpu->vm));
	if (!new->area) {
		free(new);
		return -ENOMEM;
	}
	new->vcpu = vcpu;
	new->runs = true;
	new->signal = SIGNAL_TRAP;
	new->exit_is_ours = true;
	gdb->cpus[gdb->cpu_count] = new;
	/* The watcher goes through them without the lock. */
	__atomic_store_n(&gdb->cpu_count, gdb->cpu_count + 1, __ATOMIC_RELEASE);
	return 0;
}

void cpus_free(struct vee_gdb *gdb)
{
	for (unsigned int i = 0; i < gdb->cpu_count; i++) {
		free(gdb->cpus[i]->area);
		free(gdb->cpus[i]);
	}
}

struct gdb_cpu *cpus_of(const struct vee_gdb *gdb, const struct vee_vcpu *vcpu)
{
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		if (gdb->cpus[i]->vcpu->id == vcpu->id)
			return gdb->cpus[i];
	return NULL;
}

uint64_t cpus_thread(const struct gdb_cpu *cpu)
{
	return cpu->vcpu->id + 1;	/* 0 would be any */
}

struct gdb_cpu *cpus_find(const struct vee_gdb *gdb, uint64_t thread)
{
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		if (cpus_thread(gdb->cpus[i]) == thread)
			return gdb->cpus[i];
	return NULL;
}

bool cpus_run(const struct vee_gdb *gdb)
{
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		if (gdb->cpus[i]->runs)
			return true;
	return false;
}

bool cpus_step(const struct vee_gdb *gdb)
{
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		if (gdb->cpus[i]->stepping)
			return true;
	return false;
}

struct gdb_cpu *cpus_untold(const struct vee_gdb *gdb, bool lasting)
{
	for (unsigned int i = 0; i < gdb->cpu_count; i++) {
		struct gdb_cpu *cpu = gdb->cpus[i];

		if (cpu->untold && cpu->lasting >= lasting && cpu->wish != GDB_WAIT)
			return cpu;
	}
	return NULL;
}

static void kick(struct vee_vcpu *vcpu)
{
	const struct vee_vcpu_page *page = vcpu->page;
	int err;

	do {
		err = vee_vcpu_kick(vcpu, __atomic_load_n(&page->generation, __ATOMIC_RELAXED));
	} while (err == -ESTALE);
}

/* One that waits is not in a run, and its next one may end before it has begun. */
void cpus_kick(const struct vee_gdb *gdb)
{
	unsigned int count = __atomic_load_n(&gdb->cpu_count, __ATOMIC_ACQUIRE);

	for (unsigned int i = 0; i < count; i++)
		if (__atomic_load_n(&gdb->cpus[i]->runs, __ATOMIC_RELAXED))
			kick(gdb->cpus[i]->vcpu);
}

void cpus_halt(struct gdb_cpu *cpu)
{
	cpu->waits = true;
	__atomic_store_n(&cpu->runs, false, __ATOMIC_RELAXED);
}

void cpus_release(struct gdb_cpu *cpu)
{
	__atomic_store_n(&cpu->runs, true, __ATOMIC_RELAXED);
}

void cpus_stop(struct vee_gdb *gdb)
{
	if (gdb->stopping)
		return;
	gdb->stopping = true;
	link_hold(&gdb->link);
	cpus_wish(gdb, GDB_CONTINUE);
	cpus_kick(gdb);
}

void cpus_wish(struct vee_gdb *gdb, enum gdb_action wish)
{
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		gdb->cpus[i]->wish = wish;
}
