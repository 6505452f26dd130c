// SPDX-License-Identifier: GPL-2.0-only
/*
 * What /proc/PID/fdinfo tells of a VM and of a vCPU: VEE_STATS_VERSION in linux/vee.h.
 *
 * /proc says who may read it, and holds the file meanwhile. No lock is taken: each number is
 * one load, as it is at that moment, so no run, fault or request waits for a reader.
 */
#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>

#include "door/fdinfo.h"
#include "memory/vm.h"
#include "vcpu/vcpu.h"
#include "vmx/exits.h"

static void show(struct seq_file *seq, const char *key, u64 value)
{
	seq_printf(seq, "vee-%s:\t%llu\n", key, value);
}

static void show_kib(struct seq_file *seq, const char *key, u64 bytes)
{
	show(seq, key, bytes / SZ_1K);
}

/* As the reader numbers it; 0: there it is not, or no longer, or the number is another's. */
static void show_task(struct seq_file *seq, const char *key, const struct vee_vm *vm,
		      pid_t number)
{
	struct pid_namespace *ns = proc_pid_ns(file_inode(seq->file)->i_sb);
	struct task_struct *task;
	pid_t seen = 0;

	rcu_read_lock();
	task = pid_task(find_pid_ns(number, &init_pid_ns), PIDTYPE_PID);
	if (task && READ_ONCE(task->mm) == vm->memory.mm)
		seen = task_pid_nr_ns(task, ns);
	rcu_read_unlock();
	show(seq, key, seen);
}

static void show_vm(struct seq_file *seq, const struct vee_vm *vm)
{
	const struct memory *memory = &vm->memory;

	show(seq, "stats-version", VEE_STATS_VERSION);
	show(seq, "vm", vm->number);
	show_task(seq, "process", vm, vm->process);
	show(seq, "vcpus", bitmap_weight(vm->ids, VEE_MAX_VCPUS));
	show(seq, "slots", READ_ONCE(memory->slot_count));
	show_kib(seq, "lent-kib", READ_ONCE(memory->lent));
	show_kib(seq, "mapped-kib", READ_ONCE(memory->ept.mapped));
	show_kib(seq, "tables-kib", (READ_ONCE(memory->ept.tables) + 1) * PAGE_SIZE);
}

#define VMX_REASON(name, number, words) \
	[number] = words

static void show_exits(struct seq_file *seq, const struct vee_stats *stats)
{
	static const char *const reasons[VEE_STATS_REASONS] = VMX_REASONS(VMX_BRACES);

	for (unsigned int i = 0; i < VEE_STATS_REASONS; i++) {
		u64 count = READ_ONCE(stats->exits[i]);

		if (count)
			seq_printf(seq, "vee-exit-%u:\t%llu %s\n", i, count,
				   reasons[i] ?: "unknown");
	}
}

#undef VMX_REASON

static void show_vcpu(struct seq_file *seq, const struct vee_vcpu *vcpu)
{
	const struct vee_stats *stats = &vcpu->stats;

	show(seq, "vcpu", vcpu->id);
	show_task(seq, "thread", vcpu->vm, READ_ONCE(vcpu->runner.thread));
	show_exits(seq, stats);
	show(seq, "runs", runner_ended(&vcpu->runner));
	show(seq, "entries", READ_ONCE(stats->entries));
	show(seq, "faults", READ_ONCE(stats->faults));
	show(seq, "flushes", READ_ONCE(stats->flushes));
}

void fdinfo_show_vm(struct seq_file *seq, struct file *file)
{
	show_vm(seq, file->private_data);
}

void fdinfo_show_vcpu(struct seq_file *seq, struct file *file)
{
	const struct vee_vcpu *vcpu = file->private_data;

	show_vm(seq, vcpu->vm);
	show_vcpu(seq, vcpu);
}
