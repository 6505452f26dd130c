// SPDX-License-Identifier: LGPL-2.1-or-later
/* The state of a vCPU, out and in again. */
#include <stdlib.h>

#include "snapshot.h"

/* The default answers to CPUID a fork's vCPU has as it is. */
static int make_buffers(const struct vee_vcpu *vcpu, struct cpu_state *state)
{
	state->xsave = malloc(vm_xsave_bytes(vcpu->vm));
	if (vcpu->has_cpuid)
		state->cpuid = calloc(VEE_MAX_CPUID, sizeof(*state->cpuid));
	return state->xsave && (state->cpuid || !vcpu->has_cpuid) ? 0 : -ENOMEM;
}

int cpu_take(struct vee_vcpu *vcpu, struct cpu_state *state)
{
	int err;

	*state = (struct cpu_state) { .id = vcpu->id };
	err = make_buffers(vcpu, state);
	if (err)
		return err;
	state->all = (struct vee_vcpu_state) {
		.skip = state->cpuid ? 0 : VEE_STATE_CPUID,
		.xsave = (uintptr_t)state->xsave,
		.xsave_bytes = vm_xsave_bytes(vcpu->vm),
		.cpuid = (uintptr_t)state->cpuid,
		.cpuid_count = VEE_MAX_CPUID,
	};
	err = vee_vcpu_save(vcpu, &state->all);
	/* What the vCPU is set to, by its caller, stays as it is when it is put back. */
	state->all.skip = VEE_STATE_CPUID | VEE_STATE_WISHES;
	return err;
}

void cpu_free(struct cpu_state *state)
{
	free(state->xsave);
	free(state->cpuid);
}

int cpu_put(struct vee_vcpu *vcpu, const struct cpu_state *state)
{
	return vcpu_load(vcpu, &state->all);
}

int cpu_begin(struct vee_vcpu *vcpu, const struct cpu_state *state)
{
	struct vee_vcpu_state all = state->all;

	all.skip = state->cpuid ? 0 : VEE_STATE_CPUID;
	return vee_vcpu_load(vcpu, &all);
}
