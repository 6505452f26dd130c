// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the bits of a VMCS field mean, in words. */
#include <stdarg.h>
#include <stdio.h>

#include "audit/audit.h"

/*
 * A part of a value. Of one bit its name is said if it is 1, of more the name and the
 * number unless that is 0. Without a name it is a number by itself, and not said.
 */
struct part {
	uint8_t low;
	uint8_t width;
	const char *name;
};

/* In a register whose other bits are reserved. */
struct layout {
	const struct part *parts;
	unsigned int count;
};

#define LAYOUT(parts)	{ parts, sizeof(parts) / sizeof(*(parts)) }

static const struct part cr0[] = {
	{ 0, 1, "PE" }, { 1, 1, "MP" }, { 2, 1, "EM" }, { 3, 1, "TS" }, { 4, 1, "ET" },
	{ 5, 1, "NE" }, { 16, 1, "WP" }, { 18, 1, "AM" }, { 29, 1, "NW" }, { 30, 1, "CD" },
	{ 31, 1, "PG" },
};

static const struct part cr4[] = {
	{ 0, 1, "VME" }, { 1, 1, "PVI" }, { 2, 1, "TSD" }, { 3, 1, "DE" }, { 4, 1, "PSE" },
	{ 5, 1, "PAE" }, { 6, 1, "MCE" }, { 7, 1, "PGE" }, { 8, 1, "PCE" }, { 9, 1, "OSFXSR" },
	{ 10, 1, "OSXMMEXCPT" }, { 11, 1, "UMIP" }, { 12, 1, "LA57" }, { 13, 1, "VMXE" },
	{ 14, 1, "SMXE" }, { 16, 1, "FSGSBASE" }, { 17, 1, "PCIDE" }, { 18, 1, "OSXSAVE" },
	{ 19, 1, "KL" }, { 20, 1, "SMEP" }, { 21, 1, "SMAP" }, { 22, 1, "PKE" },
	{ 23, 1, "CET" }, { 24, 1, "PKS" }, { 25, 1, "UINTR" }, { 28, 1, "LAM_SUP" },
	{ 32, 1, "FRED" },
};

static const struct part efer[] = {
	{ 0, 1, "SCE" }, { 8, 1, "LME" }, { 10, 1, "LMA" }, { 11, 1, "NXE" },
};

static const struct part rflags[] = {
	{ 0, 1, "CF" }, { 1, 1, "bit 1" }, { 2, 1, "PF" }, { 4, 1, "AF" }, { 6, 1, "ZF" },
	{ 7, 1, "SF" }, { 8, 1, "TF" }, { 9, 1, "IF" }, { 10, 1, "DF" }, { 11, 1, "OF" },
	{ 12, 2, "IOPL" }, { 14, 1, "NT" }, { 16, 1, "RF" }, { 17, 1, "VM" }, { 18, 1, "AC" },
	{ 19, 1, "VIF" }, { 20, 1, "VIP" }, { 21, 1, "ID" },
};

static const struct part rights[] = {
	{ 0, 4, "type" }, { 4, 1, "S" }, { 5, 2, "DPL" }, { 7, 1, "P" }, { 12, 1, "AVL" },
	{ 13, 1, "L" }, { 14, 1, "D/B" }, { 15, 1, "G" }, { 16, 1, "unusable" },
};

static const struct part selector[] = {
	{ 3, 13, "index" }, { 2, 1, "TI" }, { 0, 2, "RPL" },
};

static const struct part interruptibility[] = {
	{ 0, 1, "blocking by STI" }, { 1, 1, "blocking by MOV SS" }, { 2, 1, "blocking by SMI" },
	{ 3, 1, "blocking by NMI" }, { 4, 1, "enclave interruption" },
};

static const struct part pending[] = {
	{ 0, 4, "B3-B0" }, { 11, 1, "bus lock" }, { 12, 1, "enabled breakpoint" },
	{ 14, 1, "BS" }, { 16, 1, "RTM" },
};

static const struct part event[] = {
	{ 31, 1, "valid" }, { 8, 3, "type" }, { 0, 8, "vector" }, { 11, 1, "error code" },
	{ 12, 1, "NMI unblocking" }, { 13, 1, "nested" },
};

static const struct part debugctl[] = {
	{ 0, 1, "LBR" }, { 1, 1, "BTF" }, { 2, 1, "BLD" }, { 6, 1, "TR" }, { 7, 1, "BTS" },
	{ 8, 1, "BTINT" }, { 9, 1, "BTS_OFF_OS" }, { 10, 1, "BTS_OFF_USR" },
	{ 11, 1, "FREEZE_LBRS_ON_PMI" }, { 12, 1, "FREEZE_PERFMON_ON_PMI" },
	{ 13, 1, "ENABLE_UNCORE_PMI" }, { 14, 1, "FREEZE_WHILE_SMM" }, { 15, 1, "RTM_DEBUG" },
};

static const struct part dr7[] = {
	{ 0, 1, "L0" }, { 1, 1, "G0" }, { 2, 1, "L1" }, { 3, 1, "G1" }, { 4, 1, "L2" },
	{ 5, 1, "G2" }, { 6, 1, "L3" }, { 7, 1, "G3" }, { 8, 1, "LE" }, { 9, 1, "GE" },
	{ 10, 1, "bit 10" }, { 11, 1, "RTM" }, { 13, 1, "GD" }, { 16, 2, "RW0" },
	{ 18, 2, "LEN0" }, { 20, 2, "RW1" }, { 22, 2, "LEN1" }, { 24, 2, "RW2" },
	{ 26, 2, "LEN2" }, { 28, 2, "RW3" }, { 30, 2, "LEN3" },
};

static const struct part eptp[] = {
	{ 0, 3, "memory type" }, { 3, 3, "page-walk length less 1:" },
	{ 6, 1, "accessed and dirty flags" },
	{ 7, 1, "supervisor shadow stack" }, { 12, 52, NULL },
};

/* Tertiary controls, and secondary VM-exit controls: 64 bits, and all may be 0. */
static const struct part proc3[] = {
	{ 0, 1, "LOADIWKEY exiting" }, { 1, 1, "enable HLAT" },
	{ 2, 1, "EPT paging-write control" }, { 3, 1, "guest-paging verification" },
	{ 4, 1, "IPI virtualization" }, { 5, 1, "SEAM guest-physical address width" },
	{ 6, 1, "enable MSR-list instructions" }, { 7, 1, "virtualize IA32_SPEC_CTRL" },
	{ 8, 1, "APIC-timer virtualization" }, { 9, 1, "enable PBNDKB" },
	{ 12, 1, "PEBS uses guest physical addresses" },
};

static const struct part exit2[] = {
	{ 0, 1, "save FRED" }, { 1, 1, "load FRED" }, { 2, 1, "load IA32_SPEC_CTRL" },
	{ 3, 1, "prematurely busy shadow stack" },
};

#define VMX_CONTROL(word, bit, need, name, description) \
	{ VMCS_##word##_CONTROLS, bit, description },
static const struct {
	uint32_t field;
	uint8_t bit;
	const char *name;
} controls[] = VMX_CONTROLS;
#undef VMX_CONTROL

#define FIELD(name, layout)	{ VMCS_##name, LAYOUT(layout) }

static const struct {
	uint32_t field;
	struct layout layout;
} fields[] = {
	FIELD(GUEST_CR0, cr0), FIELD(HOST_CR0, cr0), FIELD(CR0_READ_SHADOW, cr0),
	FIELD(GUEST_CR4, cr4), FIELD(HOST_CR4, cr4), FIELD(CR4_READ_SHADOW, cr4),
	FIELD(GUEST_EFER, efer),
	FIELD(HOST_EFER, efer), FIELD(GUEST_RFLAGS, rflags), FIELD(GUEST_DR7, dr7),
	FIELD(GUEST_DEBUGCTL, debugctl), FIELD(GUEST_INTERRUPTIBILITY, interruptibility),
	FIELD(GUEST_PENDING_DEBUG, pending), FIELD(ENTRY_INTERRUPTION_INFO, event),
	FIELD(PROC3_CONTROLS, proc3), FIELD(EXIT2_CONTROLS, exit2),
	FIELD(EXIT_INTERRUPTION_INFO, event), FIELD(IDT_VECTORING_INFO, event), FIELD(EPTP, eptp),
	FIELD(GUEST_ES_ACCESS_RIGHTS, rights), FIELD(GUEST_CS_ACCESS_RIGHTS, rights),
	FIELD(GUEST_SS_ACCESS_RIGHTS, rights), FIELD(GUEST_DS_ACCESS_RIGHTS, rights),
	FIELD(GUEST_FS_ACCESS_RIGHTS, rights), FIELD(GUEST_GS_ACCESS_RIGHTS, rights),
	FIELD(GUEST_LDTR_ACCESS_RIGHTS, rights), FIELD(GUEST_TR_ACCESS_RIGHTS, rights),
	FIELD(GUEST_ES_SELECTOR, selector), FIELD(GUEST_CS_SELECTOR, selector),
	FIELD(GUEST_SS_SELECTOR, selector), FIELD(GUEST_DS_SELECTOR, selector),
	FIELD(GUEST_FS_SELECTOR, selector), FIELD(GUEST_GS_SELECTOR, selector),
	FIELD(GUEST_LDTR_SELECTOR, selector), FIELD(GUEST_TR_SELECTOR, selector),
	FIELD(HOST_ES_SELECTOR, selector), FIELD(HOST_CS_SELECTOR, selector),
	FIELD(HOST_SS_SELECTOR, selector), FIELD(HOST_DS_SELECTOR, selector),
	FIELD(HOST_FS_SELECTOR, selector), FIELD(HOST_GS_SELECTOR, selector),
	FIELD(HOST_TR_SELECTOR, selector),
};

#define COUNT(table)	(sizeof(table) / sizeof((table)[0]))

/* Words, with commas between them, as snprintf(3) has it. */
struct words {
	char *text;
	size_t bytes;
	size_t used;
};

__attribute__((format(printf, 2, 3)))
static void put(struct words *words, const char *format, ...)
{
	size_t left = words->used < words->bytes ? words->bytes - words->used : 0;
	va_list args;

	va_start(args, format);
	words->used += vsnprintf(left ? words->text + words->used : NULL, left, format, args);
	va_end(args);
}

static void add(struct words *words, const char *name)
{
	put(words, "%s%s", words->used ? ", " : "", name);
}

static void add_parts(struct words *words, const struct layout *layout, uint64_t value)
{
	for (unsigned int i = 0; i < layout->count; i++) {
		const struct part *part = &layout->parts[i];
		uint64_t mask = (1ULL << part->width) - 1, number = value >> part->low & mask;

		value &= ~(mask << part->low);
		if (!number || !part->name)
			continue;
		add(words, part->name);
		if (part->width > 1)
			put(words, " %llu", (unsigned long long)number);
	}
	if (value) {
		add(words, "reserved bits");
		put(words, " %#llx", (unsigned long long)value);
	}
}

/* Of controls without a name some must be 1: that is not worth a word. */
static void add_controls(struct words *words, uint32_t field, uint64_t value)
{
	for (size_t i = 0; i < COUNT(controls); i++)
		if (controls[i].field == field && value >> controls[i].bit & 1)
			add(words, controls[i].name);
}

static void add_special(struct words *words, uint32_t field, uint64_t value)
{
	static const char *const activities[] = { "active", "HLT", "shutdown", "wait-for-SIPI" };

	if (field == VMCS_GUEST_ACTIVITY && value < COUNT(activities))
		add(words, activities[value]);
	if (field == VMCS_EXIT_REASON)
		add(words, vee_hardware_reason_name(value));
	if (field == VMCS_VM_INSTRUCTION_ERROR && value)
		add(words, vee_instruction_error_name(value));
}

size_t vee_vmcs_bits(uint32_t encoding, uint64_t value, char *text, size_t bytes)
{
	struct words words = { .text = text, .bytes = bytes };

	if (bytes)
		*text = 0;
	for (size_t i = 0; i < COUNT(fields); i++)
		if (fields[i].field == encoding)
			add_parts(&words, &fields[i].layout, value);
	add_controls(&words, encoding, value);
	add_special(&words, encoding, value);
	return words.used;
}
