// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores that were posted, to be posted again without a way out of the bracket.
 *
 * What takes long with a store is not the post but its instruction: the way through the
 * guest's page tables to its bytes, which may be on a disk, and what they mean. So of some it
 * is kept where the way led and what was read on it. The next time all of that is read again,
 * at the same addresses, and if none of it has changed the way would lead to the same bytes,
 * and these mean the same: it is never guessed that code or tables are as they were, nor has
 * anybody to tell that they are not.
 */
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "memory/own.h"
#include "memory/vm.h"
#include "vcpu/repeat.h"
#include "vcpu/vcpu.h"
#include "vmx/vmcs.h"

static struct repeat *place_of(struct vee_vcpu *vcpu, u64 rip)
{
	return &vcpu->repeats[hash_64(rip, REPEAT_BITS)];
}

/* Under mem_lock(). */
static bool is_device(struct memory *memory, u64 gpa)
{
	return !slot_at(memory, gpa) && !own_is_in(&memory->own, gpa, 1);
}

static bool has_room(struct vee_vcpu *vcpu)
{
	if (!vcpu->repeats)
		vcpu->repeats = kcalloc(BIT(REPEAT_BITS), sizeof(*vcpu->repeats),
					GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN);
	return vcpu->repeats;
}

/* RSP is in the VMCS, and seldom in such a store. */
static bool uses_rsp(const struct store *store)
{
	return store->base == STORE_RSP || store->from == STORE_RSP;
}

void repeat_note(struct vee_vcpu *vcpu, const struct store *store)
{
	struct memory *memory = &vcpu->vm->memory;
	const struct code *code = &vcpu->code;
	struct repeat *repeat;

	if (uses_rsp(store) || !has_room(vcpu) ||
	    mem_lock(memory, !vcpu->runner.is_inline))
		return;
	repeat = place_of(vcpu, code->gva);
	*repeat = (struct repeat) {
		.rip = code->gva,
		.gfn = PHYS_PFN(vcpu->violation.gpa),
		.store = *store,
	};
	/* One of no words is none. */
	if (!is_device(memory, vcpu->violation.gpa) ||
	    !trail_make(memory, &code->paging, code->gva, code->insn, &repeat->trail))
		repeat->trail.count = 0;
	mem_unlock(memory);
}

const struct store *repeat_find(struct vee_vcpu *vcpu)
{
	const struct repeat *repeat;
	u64 rip;

	if (!vcpu->repeats)
		return NULL;
	rip = vmcs_read(VMCS_GUEST_RIP);
	repeat = place_of(vcpu, rip);
	if (!repeat->trail.count || repeat->rip != rip ||
	    repeat->gfn != PHYS_PFN(vcpu->violation.gpa) ||
	    !vmcs_64bit_code(&vcpu->controls) ||
	    !trail_lasts(&vcpu->vm->memory, vmcs_read(VMCS_GUEST_CR3), &repeat->trail))
		return NULL;
	return &repeat->store;
}
