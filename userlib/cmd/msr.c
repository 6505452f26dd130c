// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Model-specific registers of the guest that the module leaves to its caller.
 * What is not here faults, as a register does that a CPU has not got.
 */
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "cmd.h"

#define APIC_BASE_BOOT_CPU	0x100ULL
#define MTRR_ENABLE		0x800ULL
#define MTRR_WRITE_BACK		6
#define FAST_STRINGS		1

static const struct {
	uint32_t index;
	uint64_t value;
} registers[] = {
	{ 0x00000017, 0 },			/* IA32_PLATFORM_ID */
	{ 0x0000001b, 0xfee00000 | APIC_BASE_BOOT_CPU }, /* IA32_APIC_BASE: none */
	{ 0x0000002a, 0 },			/* EBL_CR_POWERON */
	{ 0x00000034, 0 },			/* SMI counter */
	{ 0x0000003a, 1 },			/* IA32_FEATURE_CONTROL: locked */
	{ 0x00000048, 0 },			/* IA32_SPEC_CTRL */
	{ 0x00000049, 0 },			/* IA32_PRED_CMD */
	{ 0x00000079, 0 },			/* IA32_BIOS_UPDT_TRIG */
	{ 0x0000008b, 0 },			/* IA32_BIOS_SIGN_ID: see below */
	{ 0x000000ce, 0 },			/* platform information */
	{ 0x000000fe, 0 },			/* IA32_MTRRCAP: none variable or fixed */
	{ 0x0000010a, 0 },			/* IA32_ARCH_CAPABILITIES */
	{ 0x00000140, 0 },			/* MISC_FEATURES_ENABLES */
	{ 0x00000179, 0 },			/* IA32_MCG_CAP: no banks */
	{ 0x0000017a, 0 },			/* IA32_MCG_STATUS */
	{ 0x00000198, 0 },			/* IA32_PERF_STATUS */
	{ 0x00000199, 0 },			/* IA32_PERF_CTL */
	{ 0x0000019a, 0 },			/* IA32_CLOCK_MODULATION */
	{ 0x0000019b, 0 },			/* IA32_THERM_INTERRUPT */
	{ 0x0000019c, 0 },			/* IA32_THERM_STATUS */
	{ 0x000001a0, FAST_STRINGS },		/* IA32_MISC_ENABLE */
	{ 0x000001a2, 0 },			/* temperature target */
	{ 0x000001b1, 0 },			/* IA32_PACKAGE_THERM_STATUS */
	{ 0x000002ff, MTRR_ENABLE | MTRR_WRITE_BACK },	/* IA32_MTRR_DEF_TYPE */
	{ 0x00000606, 0 },			/* RAPL power unit */
	{ 0x00000639, 0 },			/* energy status */
	{ 0xc0010015, 0 },			/* AMD's; read by all kinds of kernels */
	{ 0xc001001f, 0 },
};

#define COUNT (sizeof(registers) / sizeof(*registers))

static int find(uint32_t index)
{
	for (size_t i = 0; i < COUNT; i++)
		if (registers[i].index == index)
			return i;
	return -1;
}

/* --- the time-stamp counter: what is written moves the guest's from the host's --- */

#define IA32_TSC	0x10
#define IA32_TSC_ADJUST	0x3b

static bool is_tsc(uint32_t index)
{
	return index == IA32_TSC || index == IA32_TSC_ADJUST;
}

/* The offset that the register is read with, and moves when written. */
static bool read_tsc(struct cpu *cpu, uint32_t index, uint64_t *value)
{
	if (vee_vcpu_sync(cpu->vcpu, VEE_STATE_MSRS))
		return false;
	*value = cpu->vcpu->page->msrs.tsc_offset;
	if (index == IA32_TSC)
		*value += __rdtsc();
	else
		*value -= cpu->machine->tsc_offset;
	return true;
}

static bool write_tsc(struct cpu *cpu, uint32_t index, uint64_t value)
{
	struct vee_vcpu_page *page = cpu->vcpu->page;
	uint64_t now;

	if (!read_tsc(cpu, index, &now))
		return false;
	page->msrs.tsc_offset += value - now;
	page->dirty |= VEE_STATE_MSRS;
	return true;
}

/* --- the microcode's revision: by it Linux knows where IA32_TSC_DEADLINE works --- */

#define IA32_BIOS_SIGN_ID	0x8b
#define REVISION_SHIFT		32
#define TEXT_BYTES		256

uint32_t msr_host_microcode(void)
{
	char text[TEXT_BYTES], *colon;

	if (!host_line("/proc/cpuinfo", "microcode", text, sizeof(text)))
		return 0;
	colon = strchr(text, ':');
	return colon ? strtoul(colon + 1, NULL, 0) : 0;
}

/* --- all of them --- */

bool msr_read(struct cpu *cpu, uint32_t index, uint64_t *value)
{
	int at = find(index);

	if (is_tsc(index))
		return read_tsc(cpu, index, value);
	if (index == IA32_BIOS_SIGN_ID)
		*value = (uint64_t)cpu->machine->microcode << REVISION_SHIFT;
	else if (at >= 0)
		*value = registers[at].value;
	return at >= 0;
}

/* Known ones take a write and keep their value. */
bool msr_write(struct cpu *cpu, uint32_t index, uint64_t value)
{
	if (is_tsc(index))
		return write_tsc(cpu, index, value);
	return find(index) >= 0;
}
