// SPDX-License-Identifier: LGPL-2.1-or-later
/* Why a guest stopped: what the exit is about, the instruction, the registers. */
#include <stdlib.h>

#include "explain.h"

/* Is what is at RIP not to be read, since this process has it not either? */
static bool code_is_gone(const struct vee_exit *exit)
{
	const struct vee_exit_memory *memory = &exit->memory;

	return exit->reason == VEE_EXIT_MEMORY && memory->error != -EACCES &&
	       (memory->walk || memory->access & VEE_EXECUTE);
}

/* With -EINTR and -ECANCELED the vCPU page is as between two runs. */
static bool has_failed(const struct vee_vcpu *vcpu)
{
	return vcpu->error && vcpu->error_generation == vcpu->page->generation &&
	       vcpu->error != -EINTR && vcpu->error != -ECANCELED;
}

static void explain(const struct vee_vcpu *vcpu, struct scratch *scratch, FILE *out)
{
	struct text text = { .out = out, .left = VEE_EXPLAIN_LINES - REGISTERS_LINES };

	if (has_failed(vcpu))
		refusal_say(&text, vcpu);
	else
		exit_say(&text, scratch);
	if (!code_is_gone(&scratch->page.exit))
		insn_say(&text, scratch);
	if (!has_failed(vcpu) && scratch->page.exit.reason == VEE_EXIT_SHUTDOWN)
		fault_say(&text, scratch);
	exits_say(&text, vcpu);
	text.left = REGISTERS_LINES;
	registers_say(&text, vcpu->page);
}

int vee_explain(struct vee_vcpu *vcpu, FILE *out)
{
	struct scratch *scratch = malloc(sizeof(*scratch));
	int err = scratch ? scratch_begin(scratch, vcpu) : -ENOMEM;

	if (!err)
		explain(vcpu, scratch, out);
	free(scratch);
	return err;
}
