// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of a local APIC the CPU sees to itself: as much as it can, but for what a parameter
 * of the module forbids, so that the other ways can be tried on any CPU.
 */
#include <linux/module.h>

#include "apic/apic.h"
#include "apic/virtual.h"
#include "vmx/caps.h"
#include "vmx/controls.h"

static bool tpr_shadow = true;
module_param(tpr_shadow, bool, 0444);
MODULE_PARM_DESC(tpr_shadow,
		 "Use the TPR shadow for vee_vcpu_page.tpr_threshold and local APICs where the CPU has one; off: each access to CR8 exits (default: on)");

static bool apic_accesses = true;
module_param(apic_accesses, bool, 0444);
MODULE_PARM_DESC(apic_accesses,
		 "Virtualize APIC accesses of xAPIC mode where the CPU can (default: on)");

static bool x2apic_mode = true;
module_param(x2apic_mode, bool, 0444);
MODULE_PARM_DESC(x2apic_mode, "Virtualize x2APIC mode where the CPU can (default: on)");

static bool apic_registers = true;
module_param(apic_registers, bool, 0444);
MODULE_PARM_DESC(apic_registers,
		 "Use APIC-register virtualization where the CPU has it (default: on)");

static bool interrupt_delivery = true;
module_param(interrupt_delivery, bool, 0444);
MODULE_PARM_DESC(interrupt_delivery,
		 "Use virtual-interrupt delivery where the CPU has it (default: on)");

bool apic_may_shadow(void)
{
	return tpr_shadow && caps_has(VEE_FEATURE_TPR_SHADOW);
}

static bool uses(bool param, u64 feature)
{
	return param && apic_may_shadow() && caps_has(feature);
}

bool apic_may_virtualize_accesses(void)
{
	return uses(apic_accesses, VEE_FEATURE_APIC_ACCESSES);
}

static u32 in_both_modes(void)
{
	u32 controls = 0;

	if (uses(apic_registers, VEE_FEATURE_APIC_REGISTERS))
		controls |= PROC2_APIC_REGISTER_VIRTUALIZATION;
	if (uses(interrupt_delivery, VEE_FEATURE_INTERRUPT_DELIVERY))
		controls |= PROC2_VIRTUAL_INTERRUPT_DELIVERY;
	return controls;
}

u32 apic_controls_wide(void)
{
	if (!uses(x2apic_mode, VEE_FEATURE_X2APIC_MODE))
		return 0;
	return PROC2_VIRTUALIZE_X2APIC_MODE | in_both_modes();
}

u32 apic_controls(const struct apic *apic)
{
	if (!apic_is_enabled(apic))
		return 0;
	if (apic_is_x2apic(apic))
		return apic_controls_wide();
	if (!apic_may_virtualize_accesses() || !apic_is_at_default(apic))
		return 0;
	return PROC2_VIRTUALIZE_APIC_ACCESSES | in_both_modes();
}
