// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Instructions whose memory operand is a device: fetched decoded from a cache,
 * checked against the exit, and done.
 */
#include <stdlib.h>

#include "mmio.h"

/* Guests touch devices from few places. A power of two. */
#define CACHE_ENTRIES	64

struct cache {
	struct insn insns[CACHE_ENTRIES];
};

/* --- finding the instruction --- */

static struct insn *cache_entry(struct vee_vcpu *vcpu)
{
	uint64_t rip = vcpu->page->regs.rip;
	struct cache *cache;

	if (!vcpu->assist)
		vcpu->assist = calloc(1, sizeof(*cache));
	cache = vcpu->assist;
	if (!cache)
		return NULL;
	return &cache->insns[(rip ^ rip >> 6) % CACHE_ENTRIES];
}

/* The same bytes in the same mode are the same instruction. */
static bool is_cached(const struct insn *insn, unsigned int mode,
		      const struct vee_exit_memory *exit)
{
	return insn->kind && insn->mode == mode &&
	       insn->length <= exit->insn_bytes &&
	       !memcmp(insn->bytes, exit->insn, insn->length);
}

static int find_insn(struct mmio *mmio)
{
	struct insn *insn = cache_entry(mmio->vcpu);
	unsigned int mode = mmio->exit->code_width;

	if (!insn)
		return -ENOMEM;
	mmio->insn = insn;
	if (is_cached(insn, mode, mmio->exit))
		return 0;
	if (insn_decode(mmio->exit->insn, mmio->exit->insn_bytes, mode, insn))
		return 0;
	insn->kind = INSN_NONE;
	return -EOPNOTSUPP;
}

/* --- doing it --- */

static int (*const doers[INSN_KINDS])(const struct mmio *mmio) = {
	[INSN_LOAD] = mmio_load,
	[INSN_LOAD_IF] = mmio_load_if,
	[INSN_STORE] = mmio_store,
	[INSN_STORE_IF] = mmio_store_if,
	[INSN_ALU_TO_MEMORY] = mmio_alu_to_memory,
	[INSN_ALU_TO_REGISTER] = mmio_alu_to_register,
	[INSN_STORE_SEGMENT] = mmio_store_segment,
	[INSN_SHIFT_DOUBLE] = mmio_shift_double,
	[INSN_MULTIPLY] = mmio_multiply,
	[INSN_DIVIDE] = mmio_divide,
	[INSN_EXCHANGE_PAIR] = mmio_exchange_pair,
	[INSN_XCHG] = mmio_xchg,
	[INSN_XADD] = mmio_xadd,
	[INSN_CMPXCHG] = mmio_cmpxchg,
	[INSN_VECTOR_LOAD] = mmio_vector_load,
	[INSN_VECTOR_STORE] = mmio_vector_store,
	[INSN_PUSH] = mmio_push,
	[INSN_POP] = mmio_pop,
};

static int do_insn(const struct mmio *mmio)
{
	int err;

	if (mmio->insn->kind >= INSN_MOVS)
		return mmio_string(mmio);
	err = mmio_check_place(mmio);
	if (!err)
		err = doers[mmio->insn->kind](mmio);
	if (!err)
		mmio_complete(mmio);
	return err;
}

/* An access that delivers an event, to its stack say, isn't the instruction's. */
static int check_cause(struct vee_vcpu *vcpu, const struct vee_exit_memory *exit)
{
	const struct vee_vcpu_page *page = vcpu->page;
	int err;

	if (exit->walk || exit->access & VEE_EXECUTE || !exit->insn_bytes)
		return -EOPNOTSUPP;
	if (!(page->exit.flags & VEE_EXIT_EVENT_PENDING))
		return 0;
	err = vee_vcpu_sync(vcpu, VEE_STATE_EVENTS);
	if (err)
		return err;
	return page->events.delivering.flags & VEE_EVENT_VALID ? -EOPNOTSUPP : 0;
}

/* Writes to memory that the guest may only read are a device's, too. */
static bool is_device(const struct vee_exit *exit)
{
	const struct vee_exit_memory *memory = &exit->memory;

	return exit->reason == VEE_EXIT_MMIO ||
	       (exit->reason == VEE_EXIT_MEMORY && memory->error == -EACCES &&
		memory->access & VEE_WRITE);
}

int vee_mmio_assist(struct vee_vcpu *vcpu, vee_mmio_fn fn, void *arg)
{
	const struct vee_exit_memory exit = vcpu->page->exit.memory;
	struct mmio mmio = {
		.vcpu = vcpu, .exit = &exit, .fn = fn, .arg = arg,
	};
	int err;

	if (!is_device(&vcpu->page->exit))
		return -EINVAL;
	err = check_cause(vcpu, &exit);
	if (err)
		return err;
	vcpu->page->resume = VEE_RESUME_HERE;
	err = vee_vcpu_sync(vcpu, VEE_STATE_REGS);
	if (!err)
		err = find_insn(&mmio);
	if (!err)
		err = do_insn(&mmio);
	return err == GUEST_FAULTED ? 0 : err;
}
