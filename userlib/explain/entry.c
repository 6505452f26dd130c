// SPDX-License-Identifier: LGPL-2.1-or-later
/* A VM entry that failed: the hardware's word, and the rules that are broken. */
#include "explain.h"

/* As many rules as leave room for what else is said. */
#define RULES_SHOWN	6
#define RULE_BYTES	600

static void hardware_say(struct text *text, const struct vee_exit *exit)
{
	uint32_t error = exit->entry.instruction_error;

	if (error)
		say(text, "VM entry failed: %s (VM-instruction error %u)",
		    vee_instruction_error_name(error), error);
	else
		say(text, "VM entry failed: %s (exit reason %#x, qualification %#llx)",
		    vee_hardware_reason_name(exit->hardware_reason), exit->hardware_reason,
		    U(exit->qualification));
}

void entry_say(struct text *text, struct scratch *scratch)
{
	struct vee_broken_rule broken[RULES_SHOWN];
	unsigned int unjudged = 0;
	char line[RULE_BYTES];
	int count;

	hardware_say(text, &scratch->page.exit);
	count = vee_vcpu_audit(&scratch->vcpu, broken, RULES_SHOWN, &unjudged);
	for (int i = 0; i < count && i < RULES_SHOWN; i++) {
		vee_audit_text(&broken[i], line, sizeof(line));
		say(text, "  %s", line);
	}
	if (count < 0)
		say(text, "  which rule is broken can't be said: %s", strerror(-count));
	else if (count > RULES_SHOWN)
		say(text, "  and %d more broken rules: see vee_audit(3)", count - RULES_SHOWN);
	else if (!count)
		say(text, "  no rule that vee_audit(3) knows is broken");
	if (count >= 0 && unjudged)
		say(text, "  %u rules about the host can't be judged without CAP_SYS_ADMIN",
		    unjudged);
}
