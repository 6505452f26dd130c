// SPDX-License-Identifier: GPL-2.0-only
/*
 * In an emergency the kernel resets the machine (sysrq-b, panic=) or boots another one
 * (kdump) and tells nobody. INIT does not reach a CPU in VMX operation then, and
 * clearing CR4.VMXE there, as the way into a crash kernel does, is #GP.
 *
 * There is one function that the kernel calls first, on each CPU. It may be KVM's, from
 * when kvm_intel is loaded or later, as that likes, and the kernel complains of a second
 * one: so ours goes as kvm_intel comes, and comes back once that has gone.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "compat.h"
#include "vmx/emergency.h"

static const char kvm[] = "kvm_intel";
static void (*turn_off)(void);
static bool registered;

static void give(void)
{
	if (registered)
		return;
	vee_emergency_register(turn_off);
	registered = true;
}

static void take_back(void)
{
	if (registered)
		vee_emergency_unregister(turn_off);
	registered = false;
}

static void leave_to_kvm(void)
{
	take_back();
	pr_notice("%s is loaded: in an emergency (sysrq-b, panic=, kdump) VMX is its to turn off, which it may not do while it has no VM\n",
		  kvm);
}

static int module_notify(struct notifier_block *block, unsigned long state, void *data)
{
	const struct module *module = data;

	if (strcmp(module->name, kvm))
		return NOTIFY_DONE;
	if (state == MODULE_STATE_COMING)
		leave_to_kvm();
	else if (state == MODULE_STATE_GOING)
		give();
	return NOTIFY_DONE;
}

static struct notifier_block module_block = {
	.notifier_call = module_notify,
};

/* Of what is built in, too, there is a folder in /sys/module. */
static bool kvm_is_there(void)
{
	struct kobject *found = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, kvm);

	kobject_put(found);
	return found;
}

void emergency_watch(void (*fn)(void))
{
	turn_off = fn;
	register_module_notifier(&module_block);
	if (kvm_is_there())
		leave_to_kvm();
	else
		give();
}

void emergency_unwatch(void)
{
	unregister_module_notifier(&module_block);
	take_back();
}
