// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's birth and death.
 */
#include <linux/err.h>
#include <linux/moduleparam.h>

#include "memory/ceiling.h"
#include "memory/vm.h"
#include "vcpu/create.h"
#include "vcpu/fetch.h"
#include "vcpu/local.h"
#include "vcpu/page.h"
#include "vcpu/perf.h"
#include "vcpu/pml.h"
#include "vcpu/state.h"
#include "vcpu/vcpu.h"

static struct ceiling vcpus;
module_param_named(max_vcpus, vcpus.most, uint, 0644);
MODULE_PARM_DESC(max_vcpus, "vCPUs at once, of all VMs (default: 0, no ceiling)");

/* -EDQUOT, -ENOMEM */
static struct vee_vcpu *vcpu_alloc(struct vee_vm *vm, unsigned int id)
{
	struct vee_vcpu *vcpu = ceiling_alloc(&vcpus, sizeof(*vcpu));

	if (IS_ERR(vcpu))
		return vcpu;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->presence.cpu = -1;
	vcpu->vmcs_host.cpu = -1;
	runner_init(&vcpu->runner);
	deadline_init(&vcpu->limits, &vcpu->runner);
	vpid_alloc(&vcpu->vpid);
	return vcpu;
}

static void vcpu_free(struct vee_vcpu *vcpu)
{
	/* A run that is paused to the end of its days has a deadline, too. */
	deadline_stop(&vcpu->limits);
	local_end(vcpu);
	vpid_free(&vcpu->vpid);
	vmx_root_free(&vcpu->vmcs);
	msr_switch_free(&vcpu->switched);
	ept_cache_drop(&vcpu->ept_cache);
	pml_free(&vcpu->pml);
	cpuid_free(&vcpu->cpuid);
	fetch_free(vcpu);
	fpu_free(&vcpu->fpu);
	tpr_free(&vcpu->tpr);
	kfree(vcpu->repeats);
	vcpu_page_free(vcpu);
	ceiling_free(&vcpus, vcpu);
}

static int vcpu_init(struct vee_vcpu *vcpu, u64 page_hva)
{
	int err = vcpu_page_make(vcpu, page_hva);

	if (!err)
		err = local_init(vcpu);
	if (!err)
		err = fpu_alloc(&vcpu->fpu);
	if (!err)
		err = perf_alloc(&vcpu->switched);
	if (!err)
		err = cpuid_reset(vcpu);
	if (!err)
		err = vmx_root_alloc(&vcpu->vmcs, vcpu->vm);
	if (err)
		return err;
	vcpu->page->size = sizeof(*vcpu->page);
	vcpu->page->generation = vcpu->runner.generation;
	vcpu_page_tell_copies(vcpu);
	state_reset(vcpu);
	return 0;
}

struct vee_vcpu *vcpu_create(struct vee_vm *vm, unsigned int id, u64 page_hva)
{
	struct vee_vcpu *vcpu = vcpu_alloc(vm, id);
	int err;

	if (IS_ERR(vcpu))
		return vcpu;
	err = vcpu_init(vcpu, page_hva);
	if (!err)
		err = vm_join(vm, id, &vcpu->presence);
	if (err) {
		vcpu_free(vcpu);
		return ERR_PTR(err);
	}
	local_join(vcpu);
	return vcpu;
}

void vcpu_destroy(struct vee_vcpu *vcpu)
{
	struct vee_vm *vm = vcpu->vm;

	local_leave(vcpu);
	vm_part(vm, vcpu->id, &vcpu->presence);
	vcpu_free(vcpu);
	vm_put(vm);
}
