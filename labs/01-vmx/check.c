// SPDX-License-Identifier: GPL-2.0-only
/* Lab 1: is there VMX? README.md says what each function is for. */
#include <cpuid.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IA32_FEATURE_CONTROL	0x3a
#define IA32_VMX_BASIC		0x480
#define IA32_VMX_PROCBASED_CTLS	0x482
#define SECONDARY_CONTROLS	31		/* bit of the processor-based controls */
#define IA32_VMX_PROCBASED_CTLS2 0x48b
#define ENABLE_EPT		1		/* bits of the secondary ones */
#define UNRESTRICTED_GUEST	7
#define NOTIFY_VM_EXIT		31

/* Task "vendor": the CPU's vendor, twelve letters and a zero. */
static void read_vendor(char vendor[13])
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	strcpy(vendor, "not yet");
}

/* Task "vmx". */
static bool has_vmx(void)
{
	return false;
}

/* Task "basic": a register of the first CPU. False: it can't be read. */
static bool read_msr(uint32_t index, uint64_t *value)
{
	return false;
}

/* Likewise: the two numbers are in the register. */
static void print_basic(void)
{
	uint64_t basic;

	if (!read_msr(IA32_VMX_BASIC, &basic)) {
		printf("VMCS: unknown\n");
		return;
	}
	printf("VMCS: revision %#x, %u bytes\n", 0, 0);
}

/* Task "firmware": what an IA32_FEATURE_CONTROL of this value means. */
static const char *meaning(uint64_t control)
{
	/*
	 * One of these:
	 * "VMX can be had: the register is not locked"
	 * "VMX is on"
	 * "the firmware has VMX off"
	 */
	return "not yet";
}

/* Task "controls": may bit @bit of the controls that MSR @index is about be 1? */
static bool may_be_1(uint32_t index, int bit)
{
	return false;
}

static bool secondary(int bit)
{
	return may_be_1(IA32_VMX_PROCBASED_CTLS, SECONDARY_CONTROLS) &&
	       may_be_1(IA32_VMX_PROCBASED_CTLS2, bit);
}

static const char *yes(bool is_so)
{
	return is_so ? "yes" : "no";
}

static void print_this_machine(void)
{
	uint64_t control;
	char vendor[13];

	read_vendor(vendor);
	printf("vendor: %s\n", vendor);
	printf("VMX: %s\n", yes(has_vmx()));
	if (read_msr(IA32_FEATURE_CONTROL, &control))
		printf("IA32_FEATURE_CONTROL: %s\n", meaning(control));
	print_basic();
	printf("EPT: %s\n", yes(secondary(ENABLE_EPT)));
	printf("unrestricted guest: %s\n", yes(secondary(UNRESTRICTED_GUEST)));
	printf("notify VM exit: %s\n", yes(secondary(NOTIFY_VM_EXIT)));
}

/* With numbers: what IA32_FEATURE_CONTROL would mean if it was these. */
int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		printf("%s: %s\n", argv[i], meaning(strtoull(argv[i], NULL, 0)));
	if (argc == 1)
		print_this_machine();
	return 0;
}
