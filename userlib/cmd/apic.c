// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * "vee run --cpus": what is around the local APICs. They themselves are the module's.
 */
#include "cmd.h"

/* SDM 3A, "Local Vector Table" and "Spurious Interrupt". */
#define LVT_MODE	0x700U
#define LVT_EXTINT	0x700U
#define LVT_NMI		0x400U
#define LVT_MASKED	0x10000U
#define SVR_ENABLED	0x100U

/* SDM 3A, "Local APIC Status and Location". */
#define BASE_ENABLED	0x800ULL

/*
 * The virtual wire of the MultiProcessor Specification ("Virtual Wire Mode"): interrupts
 * come as if there were no APIC. A BIOS finds what there is after RESET, and does that itself.
 */
int apic_prepare(struct machine *machine)
{
	struct vee_vcpu *first = machine->cpus[0].vcpu;
	struct vee_vcpu_page *page = first->page;
	int err;

	if (!machine->options->cpus || machine->options->bios)
		return 0;
	err = vee_vcpu_sync(first, VEE_STATE_APIC);
	if (err)
		return err;
	page->apic.svr |= SVR_ENABLED;
	page->apic.lvt[VEE_APIC_LVT_LINT0] = LVT_EXTINT;
	page->apic.lvt[VEE_APIC_LVT_LINT1] = LVT_NMI;
	page->dirty |= VEE_STATE_APIC;
	return 0;
}

/* With the machine's lock held. What is sent to nobody is lost, as on a bus. */
void apic_send(void *arg, uint64_t address, uint32_t data, bool level)
{
	struct machine *machine = arg;

	vee_vm_signal(machine->vm, address, data, level ? VEE_SIGNAL_LEVEL : 0);
}

/* While the APIC is off its pin LINT0 is the CPU's INTR. */
bool apic_passes_intr(struct cpu *cpu)
{
	const struct vee_apic *apic = &cpu->vcpu->page->apic;
	uint32_t lint0;

	if (!cpu->machine->options->cpus)
		return true;
	if (vee_vcpu_sync(cpu->vcpu, VEE_STATE_APIC))
		return false;
	lint0 = apic->lvt[VEE_APIC_LVT_LINT0];
	return !(apic->base & BASE_ENABLED) ||
	       (lint0 & (LVT_MASKED | LVT_MODE)) == LVT_EXTINT;
}
