// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Instructions that were stopped by an access to memory: fetched decoded from a cache,
 * and done.
 */
#include <emmintrin.h>
#include <stddef.h>
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

/* The bytes and the mode, as both structs have them. */
#define KEY_BYTES	(VEE_INSN_MAX + 1)

_Static_assert(offsetof(struct insn, mode) == VEE_INSN_MAX, "the mode follows");
_Static_assert(offsetof(struct vee_exit_memory, code_width) ==
	       offsetof(struct vee_exit_memory, insn) + VEE_INSN_MAX, "the mode follows");
_Static_assert(sizeof(__m128i) == KEY_BYTES, "one comparison");

/*
 * The same bytes in the same mode are the same instruction. All of them at once: this is
 * on the way of every access, where memcmp(3) is dear.
 */
static bool is_cached(const struct insn *insn, const struct vee_exit_memory *exit)
{
	unsigned int counts = 1U << VEE_INSN_MAX | ((1U << insn->length) - 1);
	const void *key = (const uint8_t *)exit + offsetof(struct vee_exit_memory, insn);
	__m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)insn),
				      _mm_loadu_si128(key));

	return insn->kind && insn->length <= exit->insn_bytes &&
	       !(~_mm_movemask_epi8(same) & counts);
}

static int find_insn(struct guest *guest)
{
	struct insn *insn = cache_entry(guest->vcpu);

	if (!insn)
		return -ENOMEM;
	guest->insn = insn;
	if (is_cached(insn, guest->exit))
		return 0;
	if (insn_decode(guest->exit->insn, guest->exit->insn_bytes, guest->mode, insn))
		return 0;
	insn->kind = INSN_NONE;
	return -EOPNOTSUPP;
}

/* --- doing it --- */

static int (*const doers[INSN_KINDS])(const struct guest *guest) = {
	[INSN_LOAD] = do_load,
	[INSN_LOAD_IF] = do_load_if,
	[INSN_STORE] = do_store,
	[INSN_STORE_IF] = do_store_if,
	[INSN_ALU_TO_MEMORY] = do_alu_to_memory,
	[INSN_ALU_TO_REGISTER] = do_alu_to_register,
	[INSN_STORE_SEGMENT] = do_store_segment,
	[INSN_SHIFT_DOUBLE] = do_shift_double,
	[INSN_MULTIPLY] = do_multiply,
	[INSN_DIVIDE] = do_divide,
	[INSN_EXCHANGE_PAIR] = do_exchange_pair,
	[INSN_XCHG] = do_xchg,
	[INSN_XADD] = do_xadd,
	[INSN_CMPXCHG] = do_cmpxchg,
	[INSN_XLAT] = do_xlat,
	[INSN_CRC32] = do_crc32,
	[INSN_BOUND] = do_bound,
	[INSN_PROBE] = do_probe,
	[INSN_VECTOR_LOAD] = do_vector_load,
	[INSN_HALF_LOAD] = do_vector_load,
	[INSN_MMX_LOAD] = do_vector_load,
	[INSN_MXCSR_LOAD] = do_vector_load,
	[INSN_X87_CONTROL_LOAD] = do_vector_load,
	[INSN_VECTOR_STORE] = do_vector_store,
	[INSN_HALF_STORE] = do_vector_store,
	[INSN_MMX_STORE] = do_vector_store,
	[INSN_MXCSR_STORE] = do_vector_store,
	[INSN_X87_CONTROL_STORE] = do_vector_store,
	[INSN_X87_STATUS_STORE] = do_vector_store,
	[INSN_FXSAVE] = do_fxsave,
	[INSN_FXRSTOR] = do_fxrstor,
	[INSN_PUSH] = do_push,
	[INSN_POP] = do_pop,
	[INSN_PUSH_FLAGS] = do_push_flags,
	[INSN_POP_FLAGS] = do_pop_flags,
	[INSN_PUSH_ALL] = do_push_all,
	[INSN_POP_ALL] = do_pop_all,
	[INSN_ENTER] = do_enter,
	[INSN_LEAVE] = do_leave,
	[INSN_JUMP] = do_jump,
	[INSN_CALL] = do_call,
	[INSN_RETURN] = do_return,
	[INSN_FAR_JUMP] = do_far_jump,
	[INSN_FAR_CALL] = do_far_call,
	[INSN_FAR_RETURN] = do_far_return,
	[INSN_IRET] = do_iret,
	[INSN_LOAD_SEGMENT] = do_load_segment,
	[INSN_LOAD_POINTER] = do_load_pointer,
	[INSN_POP_SEGMENT] = do_pop_segment,
	[INSN_LOAD_TABLE] = do_load_table,
	[INSN_STORE_TABLE] = do_store_table,
	[INSN_LOAD_SYSTEM] = do_load_system,
	[INSN_STORE_SYSTEM] = do_store_system,
	[INSN_LOAD_MSW] = do_load_msw,
	[INSN_STORE_MSW] = do_store_msw,
	[INSN_VERIFY] = do_verify,
	[INSN_LAR] = do_lar,
	[INSN_LSL] = do_lsl,
	[INSN_ARPL] = do_arpl,
	[INSN_MOVS] = do_string,
	[INSN_STOS] = do_string,
	[INSN_LODS] = do_string,
	[INSN_CMPS] = do_string,
	[INSN_SCAS] = do_string,
};

static int do_insn(const struct guest *guest)
{
	int err = doers[guest->insn->kind](guest);

	if (!err)
		err = trap_done(guest);
	if (!err)
		complete(guest);
	return err == INSN_RESUMED || err == GUEST_FAULTED ? 0 : err;
}

int insn_try(struct guest *guest, const uint8_t *bytes, unsigned int count)
{
	struct insn insn;
	int err = -EOPNOTSUPP;

	guest->insn = &insn;
	if (insn_decode(bytes, count, guest->mode, &insn))
		err = do_insn(guest);
	guest->insn = NULL;
	return err;
}

/* Is the access one that delivers an event, to its stack say? */
static int find_cause(struct vee_vcpu *vcpu, bool *delivers)
{
	const struct vee_vcpu_page *page = vcpu->page;
	int err;

	*delivers = false;
	if (page->exit.memory.access & VEE_EXECUTE)
		return -EOPNOTSUPP;
	if (page->exit.flags & VEE_EXIT_EVENT_PENDING) {
		err = vee_vcpu_sync(vcpu, VEE_STATE_EVENTS);
		if (err)
			return err;
		*delivers = page->events.delivering.flags & VEE_EVENT_VALID;
	}
	return *delivers || page->exit.memory.insn_bytes ? 0 : -EOPNOTSUPP;
}

/*
 * Writes to memory that the guest may only read are a device's, too; and some
 * instructions exit by themselves, wherever their operand is.
 */
static bool is_ours(const struct vee_exit *exit)
{
	const struct vee_exit_memory *memory = &exit->memory;

	return exit->reason == VEE_EXIT_MMIO || exit->reason == VEE_EXIT_DESCRIPTOR ||
	       (exit->reason == VEE_EXIT_MEMORY && memory->error == -EACCES &&
		memory->access & VEE_WRITE);
}

int vee_mmio_assist(struct vee_vcpu *vcpu, vee_mmio_fn fn, void *arg)
{
	const struct vee_exit_memory exit = vcpu->page->exit.memory;
	struct guest guest = {
		.vcpu = vcpu, .exit = &exit, .fn = fn, .arg = arg, .mode = exit.code_width,
	};
	struct apic_front front = { .vcpu = vcpu, .fn = fn, .arg = arg };
	bool delivers;
	uint64_t hits;
	int err;

	if (!is_ours(&vcpu->page->exit))
		return -EINVAL;
	err = find_cause(vcpu, &delivers);
	if (err)
		return err;
	if (vm_has_apics(vcpu->vm)) {
		guest.fn = apic_touch;
		guest.arg = &front;
	}
	vcpu->page->resume = VEE_RESUME_HERE;
	if (!vcpu_has(vcpu, VEE_STATE_REGS))
		err = vee_vcpu_sync(vcpu, VEE_STATE_REGS);
	if (!err)
		err = trap_begin(&guest, &hits);
	if (err)
		return err;
	if (delivers)
		return deliver_event(&guest);
	err = find_insn(&guest);
	return err ? err : do_insn(&guest);
}
