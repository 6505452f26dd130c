// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/stringify.h>

#include "door/ioctl.h"
#include "vcpu/cpuid.h"
#include "vcpu/deadline.h"
#include "vcpu/guest_msrs.h"
#include "vcpu/l1d.h"
#include "vcpu/lock.h"
#include "vcpu/msr_bitmap.h"
#include "vcpu/perf.h"
#include "vmx/caps.h"
#include "vmx/limits.h"
#include "vmx/mode.h"
#include "vmx/root.h"
#include "vmx/tsc.h"

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vee",
	.fops = &device_fops,
};

static int root_init(void)
{
	return vmx_root_init(guest_msrs_init_cpu);
}

static int device_init(void)
{
	return misc_register(&device);
}

static void device_exit(void)
{
	misc_deregister(&device);
}

static void nothing(void)
{
}

/* In this order, and back; each undoes only itself. */
static const struct {
	int (*init)(void);
	void (*exit)(void);
} parts[] = {
	{ .init = caps_init, .exit = nothing },
	{ .init = limits_init, .exit = nothing },
	{ .init = cpuid_init, .exit = nothing },
	{ .init = deadline_setup, .exit = nothing },
	{ .init = l1d_init, .exit = l1d_exit },
	{ .init = lock_init, .exit = nothing },
	{ .init = perf_init, .exit = nothing },
	{ .init = msr_bitmap_init, .exit = msr_bitmap_exit },
	{ .init = host_tsc_init, .exit = host_tsc_exit },
	{ .init = root_init, .exit = vmx_root_exit },
	{ .init = mode_show_init, .exit = mode_show_exit },
	{ .init = device_init, .exit = device_exit },
};

static void undo(int count)
{
	while (count--)
		parts[count].exit();
}

static int __init vee_init(void)
{
	for (int i = 0; i < ARRAY_SIZE(parts); i++) {
		int err = parts[i].init();

		if (err) {
			undo(i);
			return err;
		}
	}
	return 0;
}

static void __exit vee_exit(void)
{
	undo(ARRAY_SIZE(parts));
}

module_init(vee_init);
module_exit(vee_exit);

MODULE_DESCRIPTION("vee, a minimal virtualization engine on Intel VMX");
MODULE_AUTHOR("The vee authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(__stringify(VEE_VERSION));
