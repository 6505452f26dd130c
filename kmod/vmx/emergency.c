// SPDX-License-Identifier: GPL-2.0-only
/*
 * Out of VMX operation when the machine goes down, in good order or not: INIT does not
 * reach a CPU in VMX operation, and clearing CR4.VMXE there, as the way into another
 * kernel does, is #GP.
 *
 * In an emergency the kernel resets the machine (sysrq-b, panic=) or boots another one
 * (kdump) and tells nobody. There is one function that it calls first, on each CPU. It
 * may be KVM's, from when kvm_intel is loaded or later, as that likes, and the kernel
 * complains of a second one: so ours goes as kvm_intel comes, and comes back once that
 * has gone.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/printk.h>
#include <linux/reboot.h>

#include "compat.h"
#include "vmx/emergency.h"

static void (*turn_off_all)(void);
static void (*turn_off)(void);
static bool registered;

/* --- the kernel's own call ------------------------------------------------- */

void emergency_take_back(void)
{
	if (registered)
		return;
	vee_emergency_register(turn_off);
	registered = true;
}

static void give_up(void)
{
	if (registered)
		vee_emergency_unregister(turn_off);
	registered = false;
}

void emergency_leave_to_kvm(void)
{
	give_up();
	pr_notice("kvm_intel is loaded: in an emergency (sysrq-b, panic=, kdump) VMX is its to turn off, which it may not do while it has no VM\n");
}

/* --- notifiers ------------------------------------------------------------- */

static int reboot_notify(struct notifier_block *block, unsigned long event,
			 void *unused)
{
	turn_off_all();
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = {
	.notifier_call = reboot_notify,
};

/* This CPU alone may go on, into a crash kernel: the others have been stopped. */
static int panic_notify(struct notifier_block *block, unsigned long event,
			void *unused)
{
	turn_off();
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = {
	.notifier_call = panic_notify,
};

void emergency_watch(void (*all)(void), void (*here)(void))
{
	turn_off_all = all;
	turn_off = here;
	register_reboot_notifier(&reboot_block);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
}

void emergency_unwatch(void)
{
	give_up();
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_block);
	unregister_reboot_notifier(&reboot_block);
}
