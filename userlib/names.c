// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names for what the hardware and the interface have numbers for. */
#include "internal.h"
#include "vmx/fields.h"
#include "vmx/exits.h"

struct name {
	uint32_t number;
	const char *words;
};

static const struct name exits[] = {
	{ VEE_EXIT_NONE, "none" },
	{ VEE_EXIT_INTERRUPTED, "interrupted" },
	{ VEE_EXIT_KICKED, "kicked" },
	{ VEE_EXIT_DEADLINE, "deadline" },
	{ VEE_EXIT_PIO, "PIO" },
	{ VEE_EXIT_MMIO, "MMIO" },
	{ VEE_EXIT_MEMORY, "memory" },
	{ VEE_EXIT_HLT, "HLT" },
	{ VEE_EXIT_HYPERCALL, "hypercall" },
	{ VEE_EXIT_RDMSR, "RDMSR" },
	{ VEE_EXIT_WRMSR, "WRMSR" },
	{ VEE_EXIT_CPUID, "CPUID" },
	{ VEE_EXIT_DEBUG, "debug" },
	{ VEE_EXIT_INTERRUPT_WINDOW, "interrupt window" },
	{ VEE_EXIT_NMI_WINDOW, "NMI window" },
	{ VEE_EXIT_SHUTDOWN, "shutdown" },
	{ VEE_EXIT_ENTRY_FAILED, "VM entry failed" },
	{ VEE_EXIT_OTHER, "other" },
	{ VEE_EXIT_TPR, "TPR below threshold" },
	{ VEE_EXIT_DESCRIPTOR, "descriptor-table register" },
	{ VEE_EXIT_EOI, "end of a level-triggered interrupt" },
};

#define VMX_REASON(name, number, words) { number, words }
static const struct name hardware_reasons[] = VMX_REASONS(VMX_BRACES);
#undef VMX_REASON

#define VMCS_FIELD(name, encoding, width, group, description) \
	{ encoding, description },
static const struct name vmcs_fields[] = VMCS_FIELDS;
#undef VMCS_FIELD

/* SDM 3C, "VM Instruction Error Numbers". */
static const struct name instruction_errors[] = {
	{ 1, "VMCALL executed in VMX root operation" },
	{ 2, "VMCLEAR with invalid physical address" },
	{ 3, "VMCLEAR with VMXON pointer" },
	{ 4, "VMLAUNCH with non-clear VMCS" },
	{ 5, "VMRESUME with non-launched VMCS" },
	{ 6, "VMRESUME after VMXOFF" },
	{ 7, "VM entry with invalid control fields" },
	{ 8, "VM entry with invalid host-state fields" },
	{ 9, "VMPTRLD with invalid physical address" },
	{ 10, "VMPTRLD with VMXON pointer" },
	{ 11, "VMPTRLD with incorrect VMCS revision identifier" },
	{ 12, "VMREAD or VMWRITE of an unsupported VMCS component" },
	{ 13, "VMWRITE to a read-only VMCS component" },
	{ 15, "VMXON executed in VMX root operation" },
	{ 16, "VM entry with invalid executive-VMCS pointer" },
	{ 17, "VM entry with non-launched executive VMCS" },
	{ 18, "VM entry with executive-VMCS pointer not VMXON pointer" },
	{ 19, "VMCALL with non-clear VMCS" },
	{ 20, "VMCALL with invalid VM-exit control fields" },
	{ 22, "VMCALL with incorrect MSEG revision identifier" },
	{ 23, "VMXOFF under dual-monitor treatment of SMIs and SMM" },
	{ 24, "VMCALL with invalid SMM-monitor features" },
	{ 25, "VM entry with invalid VM-execution control fields in executive VMCS" },
	{ 26, "VM entry with events blocked by MOV SS" },
	{ 28, "invalid operand to INVEPT or INVVPID" },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char *find(const struct name *table, size_t count, uint32_t number)
{
	for (size_t i = 0; i < count; i++)
		if (table[i].number == number)
			return table[i].words;
	return "unknown";
}

const char *vee_exit_name(uint32_t reason)
{
	return find(exits, COUNT(exits), reason);
}

/* The upper half of an exit reason tells of failed VM entries and the like. */
const char *vee_hardware_reason_name(uint32_t reason)
{
	return find(hardware_reasons, COUNT(hardware_reasons), reason & 0xffff);
}

const char *vee_vmcs_name(uint32_t encoding)
{
	return find(vmcs_fields, COUNT(vmcs_fields), encoding);
}

const char *vee_instruction_error_name(uint32_t error)
{
	return find(instruction_errors, COUNT(instruction_errors), error);
}
