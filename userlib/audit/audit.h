/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checks of a VM entry, as tables: one file a section of the SDM's chapter "VM
 * Entries". Such a file defines RULES, AUDIT_SECTION and AUDIT_GROUP, and includes
 * audit/table.h, which makes a group of them.
 *
 *	RULE(id, expected, keeps, field...)
 *
 * @expected says in words what must hold, @keeps in C whether it does, for a struct
 * audit *a. The fields, VMCS_GUEST_RIP and so on, are those that a report shows, at
 * most VEE_RULE_FIELDS; who broke the rule comes first. RULES is the whole body,
 * braces and all, of an array's initialiser.
 *
 * A rule is about one thing: where it takes for granted what another rule asks for,
 * it is not judged until that one is kept, so that a report names causes alone.
 */
#ifndef VEE_AUDIT_H
#define VEE_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../internal.h"
#include "vmx/controls.h"
#include "vmx/fields.h"

struct rule {
	const char *id;
	const char *expected;
	unsigned int field_count;
	uint32_t fields[VEE_RULE_FIELDS];
};

/* KEPT and BROKEN as far as is known: UNJUDGED if it depends on what is not. */
enum verdict { RULE_KEPT, RULE_BROKEN, RULE_UNJUDGED };

/* @wrong: which bits of the first field, if that is not all in @expected */
struct judgement {
	enum verdict verdict;
	uint64_t wrong;
};

struct audit;

/* @judge: room for @count judgements */
struct rule_group {
	const char *section;
	const struct rule *rules;
	unsigned int count;
	void (*judge)(struct audit *a, struct judgement *judgements);
};

#define AUDIT_GROUP_MAX	128

/* All of them, in the SDM's order; ended by NULL. */
extern const struct rule_group *const audit_groups[];

/*
 * What is being judged.
 * @unknown: the rule at hand asked for what is withheld, or not there at all
 * @wrong: see struct judgement
 */
struct audit {
	const struct vee_info *info;
	const struct vee_vmcs_value *values;
	unsigned int count;
	bool unknown;
	uint64_t wrong;
};

/* Of a rule that is @kept or not; forgets what was @unknown and @wrong for it. */
struct judgement audit_judge(struct audit *a, bool kept);
/* A field; 0 and @unknown if it is not to be had. */
uint64_t audit_field(struct audit *a, uint32_t encoding);

/* --- the words of the tables ------------------------------------------------------ */

#define V(name)			audit_field(a, VMCS_##name)
#define WHEN(condition, must)	(!(condition) || (must))

#define PIN(name)	((uint32_t)V(PIN_CONTROLS) & PIN_##name)
#define PROC(name)	((uint32_t)V(PROC_CONTROLS) & PROC_##name)
#define PROC2(name)	(audit_proc2(a) & PROC2_##name)
#define PROC3(name)	(audit_proc3(a) & PROC3_##name)
#define EXIT(name)	((uint32_t)V(EXIT_CONTROLS) & EXIT_##name)
#define ENTRY(name)	((uint32_t)V(ENTRY_CONTROLS) & ENTRY_##name)

/* Secondary controls count as 0 unless they are activated; so do tertiary ones. */
uint32_t audit_proc2(struct audit *a);
uint64_t audit_proc3(struct audit *a);

#define EXIT2(name)	(audit_exit2(a) & EXIT2_##name)
uint64_t audit_exit2(struct audit *a);

#define EXIT2_LOAD_FRED		0x02U
#define EXIT2_LOAD_SPEC_CTRL	0x04U

#define PROC3_HLAT		0x02U
#define PROC3_PAGING_WRITE	0x04U
#define PROC3_PAGING_VERIFY	0x08U
#define PROC3_IPI_VIRTUALIZATION 0x10U
#define PROC3_APIC_TIMER	0x100U
#define PROC3_PEBS_GUEST_PHYSICAL 0x1000U

/* Does @controls have what the capability MSR @allowed asks for? */
bool audit_allowed(struct audit *a, uint64_t allowed, uint32_t controls);
/* Within the CPU's physical-address width. */
bool audit_fits(struct audit *a, uint64_t hpa);
bool audit_is_page(struct audit *a, uint64_t hpa);
/* An area of @count MSR entries that begins at @hpa. */
bool audit_area_fits(struct audit *a, uint64_t hpa, uint64_t count);
/* By the linear-address width that the CPU has, not the one in use. */
bool audit_canonical(struct audit *a, uint64_t gva);
/* What goes into RIP and SSP, where it need not be that: the bits above the width alike. */
bool audit_extends(struct audit *a, uint64_t gva);
/* Has @value all of these bits; has it none of them? What not is wrong. */
bool audit_has(struct audit *a, uint64_t value, uint64_t bits);
bool audit_lacks(struct audit *a, uint64_t value, uint64_t bits);
/* CR3, where LAM may have two more bits. */
bool audit_cr3_fits(struct audit *a, uint64_t cr3);
bool audit_is_pat(uint64_t pat);
bool audit_is_cet(uint64_t cet);
uint64_t audit_debugctl_bits(struct audit *a);
bool audit_is_spec_ctrl(struct audit *a, uint64_t spec_ctrl);
/* Of FRED: its configuration, stack pointers, shadow-stack pointers. */
bool audit_is_fred_config(struct audit *a, uint64_t config);
bool audit_is_fred_rsp(struct audit *a, uint64_t rsp);
bool audit_is_fred_ssp(struct audit *a, uint64_t ssp);

#define MSR_ENTRY_BYTES		16ULL

/* --- bits ------------------------------------------------------------------------- */

#define BIT(n)		(1ULL << (n))
#define BITS(high, low)	((~0ULL << (low)) & (~0ULL >> (63 - (high))))
#define HIGH_HALF	BITS(63, 32)

#define CR4_CET		BIT(23)
#define CR4_LAM_SUP	BIT(28)
#define CR4_FRED	BIT(32)
#define CR3_LAM		BITS(62, 61)
#define EFER_BITS	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define DEBUGCTL_BTF	BIT(1)

#define CPUID_7_EBX_SGX		BIT(2)
#define CPUID_7_EBX_RTM		BIT(11)
#define CPUID_7_ECX_LA57	BIT(16)
#define CPUID_7_ECX_BUS_LOCK	BIT(24)

/* SDM 3C, "VM-Entry Controls for Event Injection" */
#define EVENT_VALID		BIT(31)
#define EVENT_HAS_CODE		BIT(11)
#define EVENT_TYPE_SHIFT	8
#define EVENT_NO_VECTOR		0xffffffffU

enum event_type {
	EVENT_EXTERNAL, EVENT_RESERVED, EVENT_NMI, EVENT_HARDWARE, EVENT_SOFTWARE_INTERRUPT,
	EVENT_PRIVILEGED, EVENT_SOFTWARE_EXCEPTION, EVENT_OTHER, EVENT_NONE
};

/* EVENT_NONE if nothing is injected. */
enum event_type audit_event(struct audit *a);
unsigned int audit_event_vector(struct audit *a);

/* --- the guest -------------------------------------------------------------------- */

static inline bool audit_protected(struct audit *a)
{
	return V(GUEST_CR0) & CR0_PE;
}

/* Virtual-8086 mode as far as it may be: not where RFLAGS.VM must be 0. */
static inline bool audit_v86(struct audit *a)
{
	return V(GUEST_RFLAGS) & RFLAGS_VM && audit_protected(a) && !ENTRY(IA32E_GUEST);
}

static inline bool audit_64bit(struct audit *a)
{
	return ENTRY(IA32E_GUEST) && V(GUEST_CS_ACCESS_RIGHTS) & VEE_AR_L;
}

#endif /* VEE_AUDIT_H */
