// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which rules of a VM entry a VMCS breaks: goes through the tables. */
#include <stdio.h>

#include "audit/audit.h"

#define GROUP(name) extern const struct rule_group name
GROUP(audit_execution_controls);
GROUP(audit_exit_controls);
GROUP(audit_entry_controls);
GROUP(audit_host_registers);
GROUP(audit_host_segments);
GROUP(audit_address_space);
GROUP(audit_guest_registers);
GROUP(audit_guest_segments);
GROUP(audit_guest_tables);
GROUP(audit_guest_rip);
GROUP(audit_guest_nonregister);
GROUP(audit_pdptes);
GROUP(audit_msr_areas);

const struct rule_group *const audit_groups[] = {
	&audit_execution_controls, &audit_exit_controls, &audit_entry_controls,
	&audit_host_registers, &audit_host_segments, &audit_address_space,
	&audit_guest_registers, &audit_guest_segments, &audit_guest_tables,
	&audit_guest_rip, &audit_guest_nonregister, &audit_pdptes, &audit_msr_areas,
	NULL
};

/* --- the words of the tables ------------------------------------------------------ */

static const struct vee_vmcs_value *find(const struct audit *a, uint32_t encoding)
{
	for (unsigned int i = 0; i < a->count; i++)
		if (a->values[i].encoding == encoding)
			return &a->values[i];
	return NULL;
}

struct judgement audit_judge(struct audit *a, bool kept)
{
	struct judgement judgement = { .verdict = RULE_KEPT };

	if (a->unknown)
		judgement.verdict = RULE_UNJUDGED;
	else if (!kept)
		judgement = (struct judgement) { RULE_BROKEN, a->wrong };
	a->unknown = false;
	a->wrong = 0;
	return judgement;
}

uint64_t audit_field(struct audit *a, uint32_t encoding)
{
	const struct vee_vmcs_value *value = find(a, encoding);

	if (value && !(value->flags & VEE_VMCS_WITHHELD))
		return value->value;
	a->unknown = true;
	return 0;
}

uint32_t audit_proc2(struct audit *a)
{
	return PROC(SECONDARY_CONTROLS) ? V(PROC2_CONTROLS) : 0;
}

uint64_t audit_proc3(struct audit *a)
{
	return PROC(TERTIARY_CONTROLS) ? V(PROC3_CONTROLS) : 0;
}

uint64_t audit_exit2(struct audit *a)
{
	return EXIT(SECONDARY_CONTROLS) ? V(EXIT2_CONTROLS) : 0;
}

bool audit_has(struct audit *a, uint64_t value, uint64_t bits)
{
	a->wrong = bits & ~value;
	return !a->wrong;
}

bool audit_lacks(struct audit *a, uint64_t value, uint64_t bits)
{
	a->wrong = value & bits;
	return !a->wrong;
}

bool audit_allowed(struct audit *a, uint64_t allowed, uint32_t controls)
{
	uint32_t must_be_1 = allowed, may_be_1 = allowed >> 32;

	a->wrong = (must_be_1 & ~controls) | (controls & ~may_be_1);
	return !a->wrong;
}

bool audit_fits(struct audit *a, uint64_t hpa)
{
	return !(hpa >> a->info->phys_bits);
}

bool audit_is_page(struct audit *a, uint64_t hpa)
{
	return !(hpa & PAGE_OFFSET) && audit_fits(a, hpa);
}

bool audit_area_fits(struct audit *a, uint64_t hpa, uint64_t count)
{
	return audit_fits(a, hpa) && audit_fits(a, hpa + count * MSR_ENTRY_BYTES - 1);
}

/* Bits 63 to @width less 1 of @gva are alike. */
static bool extends(uint64_t gva, unsigned int width)
{
	unsigned int unused = 64 - width;

	return (uint64_t)((int64_t)(gva << unused) >> unused) == gva;
}

bool audit_canonical(struct audit *a, uint64_t gva)
{
	return extends(gva, a->info->linear_bits);
}

bool audit_extends(struct audit *a, uint64_t gva)
{
	return extends(gva, a->info->linear_bits + 1);
}

bool audit_cr3_fits(struct audit *a, uint64_t cr3)
{
	return audit_fits(a, a->info->vmx_cr4_fixed1 & CR4_LAM_SUP ? cr3 & ~CR3_LAM : cr3);
}

/* SDM 3A, "IA32_PAT MSR": UC, WC, WT, WP, WB, UC-. */
bool audit_is_pat(uint64_t pat)
{
	const unsigned int types = BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7);

	for (; pat; pat >>= 8)
		if ((pat & 0xff) > 7 || !(types >> (pat & 0xff) & 1))
			return false;
	return true;
}

/* SDM 1, "Control-flow Enforcement Technology (CET)": IA32_S_CET. */
bool audit_is_cet(uint64_t cet)
{
	return !(cet & BITS(9, 6)) && (cet & BITS(11, 10)) != BITS(11, 10);
}

/* SDM 4, "IA32_DEBUGCTL". Bit 2 and bit 15 are not on every CPU. */
uint64_t audit_debugctl_bits(struct audit *a)
{
	uint64_t bits = BITS(14, 6) | BITS(1, 0);

	if (a->info->cpuid_7_ecx & CPUID_7_ECX_BUS_LOCK)
		bits |= BIT(2);
	if (a->info->cpuid_7_ebx & CPUID_7_EBX_RTM)
		bits |= BIT(15);
	return bits;
}

/* SDM 4, "IA32_SPEC_CTRL": IBRS to DDPD_U, and BHI_DIS_S. Not each is on every CPU. */
bool audit_is_spec_ctrl(struct audit *a, uint64_t spec_ctrl)
{
	return audit_lacks(a, spec_ctrl, ~(BITS(8, 0) | BIT(10)));
}

/* SDM 3A, "FRED MSRs" */
#define FRED_CONFIG_RESERVED	(BIT(11) | BITS(5, 4) | BIT(2))
#define FRED_CONFIG_HANDLER	BITS(63, 12)
#define FRED_RSP_LOW		BITS(5, 0)
#define FRED_SSP_LOW		BITS(2, 0)

bool audit_is_fred_config(struct audit *a, uint64_t config)
{
	return !(config & FRED_CONFIG_RESERVED) && audit_canonical(a, config & FRED_CONFIG_HANDLER);
}

bool audit_is_fred_rsp(struct audit *a, uint64_t rsp)
{
	return !(rsp & FRED_RSP_LOW) && audit_canonical(a, rsp);
}

bool audit_is_fred_ssp(struct audit *a, uint64_t ssp)
{
	return !(ssp & FRED_SSP_LOW) && audit_canonical(a, ssp);
}

enum event_type audit_event(struct audit *a)
{
	uint64_t info = V(ENTRY_INTERRUPTION_INFO);

	return info & EVENT_VALID ? info >> EVENT_TYPE_SHIFT & 7 : EVENT_NONE;
}

unsigned int audit_event_vector(struct audit *a)
{
	return V(ENTRY_INTERRUPTION_INFO) & 0xff;
}

/* --- what the library offers ------------------------------------------------------ */

static void note(struct audit *a, const struct rule_group *group, const struct rule *rule,
		 uint64_t wrong, struct vee_broken_rule *broken)
{
	*broken = (struct vee_broken_rule) {
		.rule = rule->id,
		.expected = rule->expected,
		.section = group->section,
		.wrong = wrong,
	};
	/* Without those that this CPU has not got. */
	for (unsigned int i = 0; i < rule->field_count; i++) {
		const struct vee_vmcs_value *value = find(a, rule->fields[i]);

		if (value)
			broken->fields[broken->field_count++] = *value;
	}
}

/* What became of a group: broken rules are put at @broken, room for @room, if they fit. */
struct outcome {
	struct vee_broken_rule *broken;
	unsigned int room;
	unsigned int found;
	unsigned int unjudged;
};

static void judge_group(struct audit *a, const struct rule_group *group, struct outcome *outcome)
{
	struct judgement judgements[AUDIT_GROUP_MAX];

	group->judge(a, judgements);
	for (unsigned int i = 0; i < group->count; i++) {
		outcome->unjudged += judgements[i].verdict == RULE_UNJUDGED;
		if (judgements[i].verdict != RULE_BROKEN)
			continue;
		if (outcome->found < outcome->room)
			note(a, group, &group->rules[i], judgements[i].wrong,
			     &outcome->broken[outcome->found]);
		outcome->found++;
	}
}

static bool is_width(uint32_t bits)
{
	return bits > 0 && bits < 64;
}

int vee_audit(const struct vee_info *info, const struct vee_vmcs_value *values,
	      unsigned int count, struct vee_broken_rule *broken, unsigned int room,
	      unsigned int *unjudged)
{
	struct audit a = { .info = info, .values = values, .count = count };
	struct outcome outcome = { .broken = broken, .room = room };

	if (!is_width(info->phys_bits) || !is_width(info->linear_bits))
		return -EOPNOTSUPP;
	for (const struct rule_group *const *group = audit_groups; *group; group++)
		judge_group(&a, *group, &outcome);
	if (unjudged)
		*unjudged = outcome.unjudged;
	return outcome.found;
}

#define BITS_BYTES	200

/* Not of controls, which have more names than one can read. */
static bool has_bits(const struct vee_vmcs_value *field, char *bits)
{
	return VMCS_GROUP(field->encoding) != VMCS_GROUP_CONTROL &&
	       !(field->flags & VEE_VMCS_WITHHELD) &&
	       vee_vmcs_bits(field->encoding, field->value, bits, BITS_BYTES) != 0;
}

/* That reserved ones are reserved goes without saying. */
static bool names_wrong_bits(const struct vee_broken_rule *broken, char *bits)
{
	return vee_vmcs_bits(broken->fields[0].encoding, broken->wrong, bits, BITS_BYTES) &&
	       strncmp(bits, "reserved", strlen("reserved")) != 0;
}

/* Appends like snprintf(3): @used goes on past @bytes. */
#define append(...) \
	(used += snprintf(used < bytes ? text + used : NULL, used < bytes ? bytes - used : 0, \
			  __VA_ARGS__))

size_t vee_audit_text(const struct vee_broken_rule *broken, char *text, size_t bytes)
{
	char bits[BITS_BYTES];
	size_t used = 0;

	append("%s: ", broken->rule);
	for (unsigned int i = 0; i < broken->field_count; i++) {
		const struct vee_vmcs_value *field = &broken->fields[i];

		append("%s%s ", i ? ", " : "", vee_vmcs_name(field->encoding));
		if (field->flags & VEE_VMCS_WITHHELD)
			append("withheld");
		else
			append("%#llx", (unsigned long long)field->value);
		if (has_bits(field, bits))
			append(" (%s)", bits);
		if (i || !broken->wrong)
			continue;
		append(", wrong bits %#llx", (unsigned long long)broken->wrong);
		if (names_wrong_bits(broken, bits))
			append(" (%s)", bits);
	}
	append(": %s. SDM 3C, \"%s\"", broken->expected, broken->section);
	return used;
}
