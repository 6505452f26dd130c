/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes the group AUDIT_GROUP, for the section AUDIT_SECTION, of the table RULES
 * (audit/audit.h). Included by each file that has a table, and once.
 */
#define RULE(id, expected, keeps, ...) \
	{ #id, expected, sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), { __VA_ARGS__ } },
static const struct rule group_rules[] = RULES;
#undef RULE

/* One initialiser is over before another begins (C11, 6.7.9, 23), in whatever order. */
#define RULE(id, expected, keeps, ...) audit_judge(a, keeps),
static void group_judge(struct audit *a, struct judgement *judgements)
{
	const struct judgement all[] = RULES;

	memcpy(judgements, all, sizeof(all));
}

#undef RULE

_Static_assert(sizeof(group_rules) / sizeof(*group_rules) <= AUDIT_GROUP_MAX,
	       "AUDIT_GROUP_MAX");

extern const struct rule_group AUDIT_GROUP;
const struct rule_group AUDIT_GROUP = {
	.section = AUDIT_SECTION,
	.rules = group_rules,
	.count = sizeof(group_rules) / sizeof(*group_rules),
	.judge = group_judge,
};
