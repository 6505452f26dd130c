// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which way to hold VMX is to be, and who is told which it is.
 *
 * KVM wants VMX for itself, from when it is loaded or from its first VM on, and fails if
 * it finds it on. So no CPU stays in VMX operation while kvm_intel is loaded, and they
 * go back once that has gone. Nothing else of KVM's is looked at; window.c finds out
 * from the CPU whether it has VMX on, and so would get along with others, too.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <asm/special_insns.h>

#include "compat.h"
#include "compat_cpu.h"
#include "vmx/held.h"
#include "vmx/mode.h"

static const char *const names[] = {
	[VMX_AUTO] = "auto",
	[VMX_RESIDENT] = "resident",
	[VMX_WINDOWED] = "windowed",
	[VMX_SHARED] = "shared",
};

/* --- the wish -------------------------------------------------------------- */

int vmx_wish;

static int set_wish(const char *text, const struct kernel_param *param)
{
	int mode = sysfs_match_string(names, text);

	if (mode < 0) {
		pr_err("vmx=%s is none of auto, resident, windowed, shared\n", text);
		return mode;
	}
	vmx_wish = mode;
	return 0;
}

static int get_wish(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%s\n", names[vmx_wish]);
}

static const struct kernel_param_ops wish_ops = {
	.set = set_wish,
	.get = get_wish,
};

module_param_cb(vmx, &wish_ops, NULL, 0444);
MODULE_PARM_DESC(vmx,
		 "How to hold VMX: resident, windowed, shared, or auto: the first of these that can be, on each CPU, from moment to moment; the others are for tests (default: auto)");

/* --- KVM ------------------------------------------------------------------- */

static const char kvm[] = "kvm_intel";
bool vmx_kvm_is_there;
static void (*kvm_comes)(void);
static void (*kvm_gone)(void);

static int module_notify(struct notifier_block *block, unsigned long state, void *data)
{
	const struct module *module = data;

	if (strcmp(module->name, kvm))
		return NOTIFY_DONE;
	if (state == MODULE_STATE_COMING) {
		WRITE_ONCE(vmx_kvm_is_there, true);
		kvm_comes();
	} else if (state == MODULE_STATE_GOING) {
		WRITE_ONCE(vmx_kvm_is_there, false);
		kvm_gone();
	}
	return NOTIFY_DONE;
}

static struct notifier_block module_block = {
	.notifier_call = module_notify,
};

/* Of what is built in, too, there is a folder in /sys/module. */
static bool look_for_kvm(void)
{
	struct kobject *found = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, kvm);

	kobject_put(found);
	return found;
}

void mode_watch(void (*comes)(void), void (*gone)(void))
{
	kvm_comes = comes;
	kvm_gone = gone;
	register_module_notifier(&module_block);
	if (look_for_kvm()) {
		WRITE_ONCE(vmx_kvm_is_there, true);
		comes();
	} else {
		gone();
	}
}

void mode_unwatch(void)
{
	unregister_module_notifier(&module_block);
}

/* --- what may be ----------------------------------------------------------- */

bool mode_stays(void)
{
	return VEE_CAN_STAY && (vmx_wish == VMX_RESIDENT ||
				(vmx_wish == VMX_AUTO && !mode_kvm_is_there()));
}

#define KVM_CURE	"end KVM's virtual machines and \"modprobe -r kvm_intel\", or load vee with vmx=auto"

int mode_refuse(enum vmx_mode mode)
{
	if (mode == VMX_WINDOWED)
		pr_err_ratelimited("vmx=%s, but nobody else has VMX on: load vee with vmx=auto, or start a virtual machine of KVM's\n",
				   names[vmx_wish]);
	else
		pr_err_ratelimited("vmx=%s, but VMX is in use, most likely by KVM: " KVM_CURE "\n",
				   names[vmx_wish]);
	return -ENODEV;
}

static enum vmx_mode mode_here(void)
{
	if (this_cpu_read(vmx_resident))
		return VMX_RESIDENT;
	return native_read_cr4() & X86_CR4_VMXE ? VMX_SHARED : VMX_WINDOWED;
}

int mode_check_this_cpu(void)
{
	bool taken = native_read_cr4() & X86_CR4_VMXE;

	switch (vmx_wish) {
	case VMX_RESIDENT:
		if (!VEE_CAN_STAY) {
			pr_err("vmx=resident, but this kernel lets none but KVM keep VMX on: load vee with vmx=auto\n");
			return -EOPNOTSUPP;
		}
		if (!taken && !mode_kvm_is_there())
			return 0;
		pr_err("vmx=resident, but KVM is loaded or VMX is on: " KVM_CURE "\n");
		return -EBUSY;
	case VMX_WINDOWED:
		return taken && mode_refuse(VMX_SHARED) ? -EBUSY : 0;
	case VMX_SHARED:
		return !taken && mode_refuse(VMX_WINDOWED) ? -EBUSY : 0;
	default:
		return 0;
	}
}

/* --- what is --------------------------------------------------------------- */

static DEFINE_MUTEX(show_lock);
static DEFINE_PER_CPU(enum vmx_mode, shown);

static void note_mode(void *unused)
{
	this_cpu_write(shown, mode_here());
}

static const char *why(enum vmx_mode mode)
{
	if (vmx_wish != VMX_AUTO)
		return "as the parameter vmx says";
	switch (mode) {
	case VMX_RESIDENT:
		return "nobody else wants VMX";
	case VMX_WINDOWED:
		return mode_kvm_is_there() ? "kvm_intel is loaded and has VMX off" :
			"VMX can't be kept on";
	default:
		return mode_kvm_is_there() ? "kvm_intel has VMX on" :
			"somebody has VMX on";
	}
}

/* "shared on CPU 0-1: kvm_intel has VMX on", a line for each mode that there is. */
static int describe(char *text, struct cpumask *cpus)
{
	enum vmx_mode mode;
	unsigned int cpu;
	int used = 0;

	for (mode = VMX_RESIDENT; mode <= VMX_SHARED; mode++) {
		cpumask_clear(cpus);
		for_each_online_cpu(cpu)
			if (per_cpu(shown, cpu) == mode)
				cpumask_set_cpu(cpu, cpus);
		if (!cpumask_empty(cpus))
			used += sysfs_emit_at(text, used, "%s on CPU %*pbl: %s\n",
					      names[mode], cpumask_pr_args(cpus),
					      why(mode));
	}
	return used;
}

/* @text: a page */
static int show(char *text)
{
	cpumask_var_t cpus;
	int bytes;

	if (!alloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	mutex_lock(&show_lock);
	cpus_read_lock();
	on_each_cpu(note_mode, NULL, true);
	bytes = describe(text, cpus);
	cpus_read_unlock();
	mutex_unlock(&show_lock);
	free_cpumask_var(cpus);
	return bytes;
}

static ssize_t show_file(VEE_CONST_ATTRIBUTE struct module_attribute *attribute,
			 struct module_kobject *module, char *text)
{
	return show(text);
}

static struct module_attribute file =
	__ATTR(vmx_mode, 0444, show_file, NULL);

static void show_in_log(void)
{
	char *text = (char *)get_zeroed_page(GFP_KERNEL), *rest = text, *line;

	if (text && show(text) > 0)
		while ((line = strsep(&rest, "\n")) && *line)
			pr_info("%s\n", line);
	free_page((unsigned long)text);
}

int mode_show_init(void)
{
	show_in_log();
	return sysfs_create_file(&THIS_MODULE->mkobj.kobj, &file.attr);
}

void mode_show_exit(void)
{
	sysfs_remove_file(&THIS_MODULE->mkobj.kobj, &file.attr);
}
