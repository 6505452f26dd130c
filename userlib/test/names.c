// SPDX-License-Identifier: LGPL-2.1-or-later
#include "test.h"

static void every_exit_has_a_name(void)
{
	for (uint32_t i = 0; i <= VEE_EXIT_EOI; i++)
		CHECK(strcmp(vee_exit_name(i), "unknown"));
	CHECK(!strcmp(vee_exit_name(VEE_EXIT_PIO), "PIO"));
	CHECK(!strcmp(vee_exit_name(VEE_EXIT_EOI + 1), "unknown"));
	CHECK(!strcmp(vee_exit_name(UINT32_MAX), "unknown"));
}

static void hardware_reasons(void)
{
	CHECK(!strcmp(vee_hardware_reason_name(0), "exception or NMI"));
	CHECK(!strcmp(vee_hardware_reason_name(48), "EPT violation"));
	CHECK(!strcmp(vee_hardware_reason_name(0x80000021),
		      vee_hardware_reason_name(33)));
	CHECK(strcmp(vee_hardware_reason_name(33), "unknown"));
	CHECK(!strcmp(vee_hardware_reason_name(35), "unknown"));
	CHECK(!strcmp(vee_hardware_reason_name(0xffff), "unknown"));
}

static void vmcs_fields(void)
{
	CHECK(!strcmp(vee_vmcs_name(0x6800), "guest CR0"));
	CHECK(!strcmp(vee_vmcs_name(0x681e), "guest RIP"));
	CHECK(!strcmp(vee_vmcs_name(0x0000), "virtual-processor identifier"));
	CHECK(!strcmp(vee_vmcs_name(0x6801), "unknown"));
	CHECK(!strcmp(vee_vmcs_name(UINT32_MAX), "unknown"));
}

static void instruction_errors(void)
{
	CHECK(!strcmp(vee_instruction_error_name(7),
		      "VM entry with invalid control fields"));
	CHECK(!strcmp(vee_instruction_error_name(0), "unknown"));
	CHECK(!strcmp(vee_instruction_error_name(14), "unknown"));
	CHECK(!strcmp(vee_instruction_error_name(29), "unknown"));
	CHECK(!strcmp(vee_instruction_error_name(UINT32_MAX), "unknown"));
}

const struct test tests[] = {
	{ "every exit has a name", every_exit_has_a_name },
	{ "hardware exit reasons", hardware_reasons },
	{ "VMCS fields", vmcs_fields },
	{ "VM-instruction errors", instruction_errors },
	{ 0 }
};
