// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX root operation on each CPU, and which VMCS is current where.
 *
 * A CPU enters VMX operation when the module is loaded or the CPU comes up, and stays
 * there, "resident", while nobody else wants VMX. Otherwise it is entered in each
 * bracket anew, which is all in window.c. What ends residence:
 *
 *	KVM			on every CPU, before it is loaded, until it is gone
 *	unload, CPU hotplug	the hotplug state's teardown, on that CPU
 *	suspend, hibernation	hotplug for the other CPUs, syscore for the last
 *	reboot, kexec, power-off	the reboot notifier, on every CPU (emergency.c)
 *	panic			the panic notifier, on the CPU that panics
 *	emergency		the kernel's own call, on every CPU
 *
 * A VMCS belongs to the CPU that it is active on: that CPU alone, with interrupts
 * off, makes it current, VMCLEARs it and edits the list it is on. Another one asks
 * by IPI.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <asm/special_insns.h>

#include "compat.h"
#include "compat_cpu.h"
#include "trace.h"
#include "vmx/caps.h"
#include "vmx/emergency.h"
#include "vmx/insn.h"
#include "vmx/mode.h"
#include "vmx/root.h"

/* SDM 3C, "Format of the VMCS Region" and "VMXON Region": bit 31 is clear in both. */
#define REVISION_ID		GENMASK(30, 0)

/**
 * struct root_cpu - VMX operation on one CPU
 * @region: the VMXON region; kept while the CPU is offline
 * @hpa: its host-physical address
 * @up: from cpu_up_here() to cpu_down_here(), or till the machine goes down
 * @owner: whose guest ran here last, for the branch-predictor barrier
 * @active: all VMCSs active here, which VMXOFF would otherwise lose
 *
 * Its own CPU's alone, with interrupts off.
 */
struct root_cpu {
	void *region;
	u64 hpa;
	bool up;
	const void *owner;
	struct list_head active;
};

static DEFINE_PER_CPU(struct root_cpu, root_cpu);
DEFINE_PER_CPU(bool, vmx_resident);
DEFINE_PER_CPU(struct vmcs *, vmx_current);
static enum cpuhp_state hotplug_state;
/* The machine is going down: no CPU goes back into VMX operation. */
static int going_down;
/* For whom a CPU is made ready besides. */
static void (*ready_cpu)(void);

/* --- one VMCS on this CPU -------------------------------------------------- */

/* Does the CPU say the same of which VMCS is current as vmx_current does? */
static bool is_ours(struct vmcs *found_by)
{
	const struct vmcs *current_one = this_cpu_read(vmx_current);
	u64 hpa = current_one ? current_one->hpa : NO_VMCS;

	return !vmptrst(&found_by->found) && found_by->found == hpa;
}

static noinline int taken(void)
{
	pr_err_once("somebody else has used VMX on CPU %d and not put it back (VirtualBox?): end that, then load vee again, with vmx=windowed to run beside it\n",
		    smp_processor_id());
	return -ENODEV;
}

static void deactivate(struct root_cpu *root, struct vmcs *vmcs)
{
	/*
	 * Whoever was here has perhaps left VMX operation meanwhile, by which the CPU
	 * may lose what it still has of a VMCS.
	 */
	vmcs->lost = is_ours(vmcs) ? 0 : taken();
	vmclear(&vmcs->hpa);
	vmcs->frame.launched = false;
	if (this_cpu_read(vmx_current) == vmcs)
		this_cpu_write(vmx_current, NULL);
	list_del_init(&vmcs->link);
	guest_tsc_leave(&vmcs->tsc);
	/*
	 * Off the list first, the CPU last: once @cpu is NO_CPU another CPU may
	 * take the VMCS and link it into its own list, or it may be freed.
	 * Pairs with the acquire in vmcs_cpu().
	 */
	smp_store_release(&vmcs->cpu, NO_CPU);
}

/*
 * VMCLEAR before the first VMPTRLD (SDM 3C, "Initializing a VMCS"): a new region
 * must have it, and one that comes from another CPU loses nothing by it.
 */
static int activate(struct root_cpu *root, struct vmcs *vmcs)
{
	int error = vmcs->lost ?: vmclear(&vmcs->hpa);

	if (error)
		return error;
	vmcs->frame.launched = false;
	vmcs->cleared_for = NO_CPU;
	list_add(&vmcs->link, &root->active);
	WRITE_ONCE(vmcs->cpu, smp_processor_id());
	guest_tsc_arrive(&vmcs->tsc);
	/*
	 * A VM can be at the address of one that is gone. It can't pass for it:
	 * each of its VMCSs comes by here first, and so gets its barrier.
	 */
	root->owner = NULL;
	return 0;
}

static __always_inline int make_current(struct root_cpu *root, struct vmcs *vmcs)
{
	int error = vmptrld(&vmcs->hpa);

	if (error)
		return error;
	this_cpu_write(vmx_current, vmcs);
	separate_owners(&root->owner, vmcs->owner);
	guest_tsc_catch_up(&vmcs->tsc);
	return 0;
}

/*
 * A CPU on its way down leaves VMX operation a little before the scheduler has
 * moved the last task off it. Such a task is to try again, elsewhere.
 */
static noinline int why_off(void)
{
	if (!READ_ONCE(going_down) && !cpu_active(smp_processor_id()))
		return -EAGAIN;
	return -ESHUTDOWN;
}

static noinline int load_first(struct root_cpu *root, struct vmcs *vmcs)
{
	return activate(root, vmcs) ?: make_current(root, vmcs);
}

/* Of one that has been here before: who has many VMs comes by at each call of the next. */
static __always_inline int load_to_stay(struct root_cpu *root, struct vmcs *vmcs)
{
	if (unlikely(!is_ours(vmcs)))
		return taken();
	if (unlikely(vmcs_cpu(vmcs) == NO_CPU))
		return load_first(root, vmcs);
	return make_current(root, vmcs);
}

/* From nowhere to here; from another CPU vmx_root_pull() has to fetch it first. */
int vmx_root_load(struct vmcs *vmcs)
{
	struct root_cpu *root = this_cpu_ptr(&root_cpu);
	int cpu = vmcs_cpu(vmcs);

	if (unlikely(cpu != smp_processor_id() && cpu != NO_CPU))
		return -EAGAIN;
	if (this_cpu_read(vmx_resident))
		return load_to_stay(root, vmcs);
	return likely(root->up) ? window_enter(vmcs, &root->hpa) : why_off();
}

/* --- a VMCS from afar ------------------------------------------------------ */

/* Runs where the VMCS was active; hotplug may have been there first. */
static void clear_here(void *info)
{
	struct vmcs *vmcs = info;

	if (vmcs_cpu(vmcs) == smp_processor_id())
		deactivate(this_cpu_ptr(&root_cpu), vmcs);
}

/*
 * The call fails if that CPU is offline. Then its teardown has cleared all VMCSs
 * that were active there, this one too, before it went.
 */
void vmx_root_clear(struct vmcs *vmcs)
{
	int cpu = vmcs_cpu(vmcs);

	if (cpu != NO_CPU)
		smp_call_function_single(cpu, clear_here, vmcs, true);
}

int vmx_root_alloc(struct vmcs *vmcs, const void *owner)
{
	u32 *region = (u32 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

	if (!region)
		return -ENOMEM;
	*region = vee_caps.basic & REVISION_ID;
	*vmcs = (struct vmcs){
		.region = region,
		.hpa = __pa(region),
		.cpu = NO_CPU,
		.cleared_for = NO_CPU,
		.owner = owner,
	};
	INIT_LIST_HEAD(&vmcs->link);
	guest_tsc_init(&vmcs->tsc);
	return 0;
}

/*
 * A page freed while active could be written to by its CPU at any later time. One
 * that vmx_root_alloc() has not made, or could not, is active nowhere.
 */
void vmx_root_free(struct vmcs *vmcs)
{
	if (!vmcs->region)
		return;
	vmx_root_clear(vmcs);
	free_page((unsigned long)vmcs->region);
	vmcs->region = NULL;
}

/* --- VMX operation, on and off --------------------------------------------- */

static int enter_operation(struct root_cpu *root)
{
	int error;

	vee_set_vmxe();
	error = vmxon(&root->hpa);
	if (error)
		vee_clear_vmxe();
	else
		trace_vee_root(true);
	return error;
}

/* VMXOFF faults where somebody else was first. VMXE, which the kernel notes, goes anyway. */
static void leave_operation(void)
{
	this_cpu_write(vmx_resident, false);
	this_cpu_write(vmx_current, NULL);
	vmxoff();
	vee_clear_vmxe();
	trace_vee_root(false);
}

/* To stay. Not if somebody else has it on. */
static int turn_on(struct root_cpu *root)
{
	if (!mode_stays() || native_read_cr4() & X86_CR4_VMXE)
		return 0;
	/* Few CPUs can trace in VMX operation: the tracer must know of it. */
	vee_pause_tracer();
	if (enter_operation(root)) {
		vee_resume_tracer(0);
		pr_err("VMXON failed on CPU %d: look for VT-x, and for whatever else may own VMX, in the firmware set-up\n",
		       smp_processor_id());
		return -EBUSY;
	}
	ready_cpu();
	this_cpu_write(vmx_resident, true);
	return 0;
}

static void turn_off(struct root_cpu *root)
{
	struct vmcs *vmcs, *next;

	if (!this_cpu_read(vmx_resident))
		return;
	list_for_each_entry_safe(vmcs, next, &root->active, link)
		deactivate(root, vmcs);
	leave_operation();
	vee_resume_tracer(0);
}

static void turn_off_here(void *unused)
{
	turn_off(this_cpu_ptr(&root_cpu));
	window_forget_owner();
}

static void go_down_here(void *unused)
{
	turn_off_here(NULL);
	this_cpu_write(root_cpu.up, false);
}

/* If this fails turn_on() has said so, and so will each window. */
static void turn_on_here(void *unused)
{
	struct root_cpu *root = this_cpu_ptr(&root_cpu);

	if (root->up && !READ_ONCE(going_down) && !this_cpu_read(vmx_resident))
		turn_on(root);
}

/* --- KVM ------------------------------------------------------------------- */

static void kvm_comes(void)
{
	emergency_leave_to_kvm();
	if (!mode_stays())
		on_each_cpu(turn_off_here, NULL, true);
}

static void kvm_gone(void)
{
	emergency_take_back();
	on_each_cpu(turn_on_here, NULL, true);
}

/* --- when ------------------------------------------------------------------ */

static int alloc_region(unsigned int cpu)
{
	struct root_cpu *root = per_cpu_ptr(&root_cpu, cpu);
	struct page *page;

	if (root->region)
		return 0;
	page = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);
	if (!page)
		return -ENOMEM;
	root->region = page_address(page);
	root->hpa = __pa(root->region);
	*(u32 *)root->region = vee_caps.basic & REVISION_ID;
	return 0;
}

static void free_regions(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct root_cpu *root = per_cpu_ptr(&root_cpu, cpu);

		free_page((unsigned long)root->region);
		root->region = NULL;
	}
}

/*
 * On the CPU that comes up. It comes up whole or not at all: on an error it goes
 * down again. The last shutdown's IPI can come at any time before interrupts are
 * off, and then is seen here, or after, and then turns off what this turned on.
 */
static int cpu_up_here(unsigned int cpu)
{
	int error = caps_check_this_cpu() ?: alloc_region(cpu);
	unsigned long flags;

	if (error)
		return error;
	local_irq_save(flags);
	caps_lock_feature_control();
	error = mode_check_this_cpu();
	if (!error && !READ_ONCE(going_down))
		error = turn_on(this_cpu_ptr(&root_cpu));
	this_cpu_write(root_cpu.up, !error && !READ_ONCE(going_down));
	local_irq_restore(flags);
	return error;
}

/* On the CPU that goes down, which is online still: IPIs come until interrupts end. */
static int cpu_down_here(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	go_down_here(NULL);
	local_irq_restore(flags);
	return 0;
}

/* The last CPU, interrupts off: the others went down by hotplug. */
static int suspend_last_cpu(void)
{
	turn_off_here(NULL);
	return 0;
}

static void resume_first_cpu(void)
{
	caps_lock_feature_control();
	turn_on_here(NULL);
}

VEE_SYSCORE(root_syscore, suspend_last_cpu, resume_first_cpu);

static void turn_off_all(void)
{
	WRITE_ONCE(going_down, 1);
	on_each_cpu(go_down_here, NULL, true);
}

/*
 * On this CPU, from wherever it is, perhaps in an NMI, and it won't go back there. That
 * may be in the middle of anything, so no list is walked; the VMCSs' data is lost, and
 * no one is left to miss it.
 */
static void emergency(void)
{
	WRITE_ONCE(going_down, 1);
	if (this_cpu_read(vmx_resident))
		leave_operation();
	else
		window_emergency();
}

/* If one CPU fails, the hotplug core takes down again those that did not. */
int vmx_root_init(void (*each_cpu)(void))
{
	unsigned int cpu;
	int state;

	ready_cpu = each_cpu;
	for_each_possible_cpu(cpu)
		INIT_LIST_HEAD(&per_cpu_ptr(&root_cpu, cpu)->active);
	emergency_watch(turn_off_all, emergency);
	mode_watch(kvm_comes, kvm_gone);
	state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/vee:online",
				  cpu_up_here, cpu_down_here);
	if (state < 0) {
		mode_unwatch();
		emergency_unwatch();
		free_regions();
		return state;
	}
	hotplug_state = state;
	vee_syscore_register(&root_syscore);
	return 0;
}

void vmx_root_exit(void)
{
	vee_syscore_unregister(&root_syscore);
	cpuhp_remove_state(hotplug_state);
	mode_unwatch();
	emergency_unwatch();
	free_regions();
}
