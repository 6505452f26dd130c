// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Instructions whose memory operand is a device: fetched decoded from a cache,
 * checked against the exit, and done.
 */
#include <stdlib.h>

#include "insn.h"

/* Guests touch devices from few places. A power of two. */
#define CACHE_ENTRIES	64

struct cache {
	struct insn insns[CACHE_ENTRIES];
};

/* SDM 3A, "Code- and Data-Segment Descriptor Types". */
#define AR_DOWN		0x4U
#define AR_CODE_OR_DOWN	0xcU

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

/* --- its operands --- */

/* In 64-bit mode the bases of CS, DS, ES and SS count as 0. */
static bool needs_base(const struct insn *insn, unsigned int segment)
{
	return insn->mode != 8 || segment == SEG_FS || segment == SEG_GS;
}

static const struct vee_segment *find_segment(const struct mmio *mmio,
					      unsigned int segment)
{
	const struct vee_segments *segments = &mmio->vcpu->page->segments;
	const struct vee_segment *by_number[] = {
		[SEG_ES] = &segments->es, [SEG_CS] = &segments->cs,
		[SEG_SS] = &segments->ss, [SEG_DS] = &segments->ds,
		[SEG_FS] = &segments->fs, [SEG_GS] = &segments->gs,
	};

	return by_number[segment];
}

uint64_t segment_base(const struct mmio *mmio, unsigned int segment)
{
	if (!needs_base(mmio->insn, segment))
		return 0;
	return find_segment(mmio, segment)->base;
}

/* SDM 3A, "Limit Checking": an expand-down segment has what is above its limit. */
static bool is_in_limit(const struct vee_segment *segment, uint64_t offset, uint64_t bytes)
{
	uint64_t last = offset + bytes - 1;

	if (segment->access_rights & VEE_AR_UNUSABLE)
		return false;
	if ((segment->access_rights & AR_CODE_OR_DOWN) != AR_DOWN)
		return last <= segment->limit;
	return offset > segment->limit &&
	       last <= (segment->access_rights & VEE_AR_DB ? UINT32_MAX : UINT16_MAX);
}

bool segment_reaches(const struct mmio *mmio, unsigned int segment, uint64_t offset,
		     uint64_t bytes)
{
	if (mmio->insn->mode == 8)
		return guest_is_canonical(offset + segment_base(mmio, segment), bytes);
	return is_in_limit(find_segment(mmio, segment), offset, bytes);
}

static uint64_t get_register(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t value = mmio->vcpu->page->regs.gpr[insn->reg];

	if (insn->high_byte)
		value >>= 8;
	return value & low_bits(insn->reg_width);
}

static void set_register(const struct mmio *mmio, uint64_t value)
{
	const struct insn *insn = mmio->insn;
	__u64 *gpr = &mmio->vcpu->page->regs.gpr[insn->reg];

	if (insn->high_byte)
		*gpr = (*gpr & ~0xff00ULL) | (value & 0xff) << 8;
	else
		set_gpr(mmio->vcpu, insn->reg, insn->reg_width, value);
}

/* The operand that isn't in memory. */
static uint64_t get_other(const struct mmio *mmio)
{
	if (mmio->insn->reg == NO_REGISTER)
		return mmio->insn->imm;
	return get_register(mmio);
}

static uint64_t address_part(const struct mmio *mmio, unsigned int reg)
{
	const struct vee_regs *regs = &mmio->vcpu->page->regs;

	if (reg == NO_REGISTER)
		return 0;
	if (reg == REGISTER_RIP)
		return regs->rip + mmio->insn->length;
	/* POP computes its address after it has moved the stack pointer. */
	if (reg == RSP && mmio->insn->kind == INSN_POP)
		return regs->rsp + mmio->insn->width;
	return regs->gpr[reg];
}

static int64_t sign_extend(uint64_t value, unsigned int bytes)
{
	unsigned int shift = 64 - bytes * 8;

	return (int64_t)(value << shift) >> shift;
}

/* BT with a register can reach bits to either side: by whole operands. */
static int64_t bit_displacement(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	int64_t bit, bits = insn->width * 8;

	if (!insn->bit_offset)
		return 0;
	bit = sign_extend(get_register(mmio), insn->reg_width);
	return (bit - (bit & (bits - 1))) / 8;
}

static uint64_t linear_address(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t offset = insn->disp + bit_displacement(mmio);

	offset += address_part(mmio, insn->base);
	offset += address_part(mmio, insn->index) * insn->scale;
	offset &= low_bits(insn->address_width);
	offset += segment_base(mmio, insn->segment);
	return insn->mode == 8 ? offset : (uint32_t)offset;
}

/*
 * The exit tells where the access was; it is the memory operand, all of it, only
 * if that begins at the very address and ends in the same page.
 */
static int check_place(const struct mmio *mmio)
{
	const struct vee_exit_memory *exit = mmio->exit;
	int err = 0;

	if ((exit->gpa & PAGE_OFFSET) + mmio->insn->width > PAGE_BYTES)
		return -EOPNOTSUPP;
	if (needs_base(mmio->insn, mmio->insn->segment))
		err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);
	if (err)
		return err;
	if (exit->gva_valid && linear_address(mmio) != exit->gva)
		return -EOPNOTSUPP;
	return 0;
}

int mmio_access(const struct mmio *mmio, void *data, bool write)
{
	unsigned int piece = min_u64(mmio->insn->width, 8);
	int err = 0;

	for (unsigned int at = 0; !err && at < mmio->insn->width; at += piece)
		err = mmio->fn(mmio->arg, mmio->exit->gpa + at, (uint8_t *)data + at,
			       piece, write);
	return err;
}

static int read_memory(const struct mmio *mmio, uint64_t *value)
{
	*value = 0;
	return mmio_access(mmio, value, false);
}

static int write_memory(const struct mmio *mmio, uint64_t value)
{
	value &= low_bits(mmio->insn->width);
	return mmio_access(mmio, &value, true);
}

void mmio_set_rflags(const struct mmio *mmio, uint64_t rflags)
{
	struct vee_vcpu_page *page = mmio->vcpu->page;

	if (page->regs.rflags == rflags)
		return;
	page->regs.rflags = rflags;
	page->dirty |= VEE_STATE_REGS;
}

/* The CPU doesn't tell how long an instruction is that touched memory. */
void mmio_complete(const struct mmio *mmio)
{
	mmio->vcpu->page->exit.instruction_length = mmio->insn->length;
	vee_done(mmio->vcpu);
}

/* --- doing it --- */

static uint64_t swap_bytes(uint64_t value, unsigned int bytes)
{
	return __builtin_bswap64(value) >> (64 - bytes * 8);
}

static int do_load(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	if (insn->sign)
		value = sign_extend(value, insn->width);
	if (insn->swap)
		value = swap_bytes(value, insn->width);
	set_register(mmio, value);
	return 0;
}

/* CMOVcc reads always, and always clears the upper half of a 32-bit register. */
static int do_load_if(const struct mmio *mmio)
{
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	if (!alu_condition(mmio->insn->condition, mmio->vcpu->page->regs.rflags))
		value = get_register(mmio);
	set_register(mmio, value);
	return 0;
}

static int do_store(const struct mmio *mmio)
{
	uint64_t value = get_other(mmio);

	if (mmio->insn->swap)
		value = swap_bytes(value, mmio->insn->width);
	return write_memory(mmio, value);
}

static int do_store_if(const struct mmio *mmio)
{
	return write_memory(mmio, alu_condition(mmio->insn->condition,
						mmio->vcpu->page->regs.rflags));
}

static int do_store_segment(const struct mmio *mmio)
{
	int err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);

	if (err)
		return err;
	return write_memory(mmio, find_segment(mmio, mmio->insn->reg)->selector);
}

static bool only_flags(enum alu_op op)
{
	return op == ALU_CMP || op == ALU_TEST || op == ALU_BT;
}

static int do_alu_to_memory(const struct mmio *mmio)
{
	uint64_t rflags = mmio->vcpu->page->regs.rflags;
	const struct insn *insn = mmio->insn;
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	value = alu(insn->alu, insn->width, value, get_other(mmio), &rflags);
	if (!only_flags(insn->alu))
		err = write_memory(mmio, value);
	if (!err)
		mmio_set_rflags(mmio, rflags);
	return err;
}

static int do_alu_to_register(const struct mmio *mmio)
{
	uint64_t rflags = mmio->vcpu->page->regs.rflags;
	const struct insn *insn = mmio->insn;
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	value = alu(insn->alu, insn->width,
		    insn->has_imm ? insn->imm : get_register(mmio), value, &rflags);
	if (!only_flags(insn->alu))
		set_register(mmio, value);
	mmio_set_rflags(mmio, rflags);
	return 0;
}

static int do_shift_double(const struct mmio *mmio)
{
	const struct vee_regs *regs = &mmio->vcpu->page->regs;
	const struct insn *insn = mmio->insn;
	uint64_t rflags = regs->rflags;
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	value = alu_shift_double(insn->alu, insn->width, value, get_register(mmio),
				 insn->has_imm ? insn->imm : regs->rcx, &rflags);
	err = write_memory(mmio, value);
	if (!err)
		mmio_set_rflags(mmio, rflags);
	return err;
}

static int do_xchg(const struct mmio *mmio)
{
	uint64_t value;
	int err = read_memory(mmio, &value);

	if (!err)
		err = write_memory(mmio, get_register(mmio));
	if (!err)
		set_register(mmio, value);
	return err;
}

static int do_xadd(const struct mmio *mmio)
{
	uint64_t rflags = mmio->vcpu->page->regs.rflags;
	uint64_t value, sum;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	sum = alu(ALU_ADD, mmio->insn->width, value, get_register(mmio), &rflags);
	err = write_memory(mmio, sum);
	if (err)
		return err;
	set_register(mmio, value);
	mmio_set_rflags(mmio, rflags);
	return 0;
}

/* It writes in either case: the new value, or the old one again. */
static int do_cmpxchg(const struct mmio *mmio)
{
	uint64_t rflags = mmio->vcpu->page->regs.rflags;
	unsigned int width = mmio->insn->width;
	uint64_t value;
	bool equal;
	int err = read_memory(mmio, &value);

	if (err)
		return err;
	alu(ALU_CMP, width, mmio->vcpu->page->regs.rax, value, &rflags);
	equal = rflags & RFLAGS_ZF;
	err = write_memory(mmio, equal ? get_register(mmio) : value);
	if (err)
		return err;
	if (!equal)
		set_gpr(mmio->vcpu, RAX, width, value);
	mmio_set_rflags(mmio, rflags);
	return 0;
}

/* Bytes of the stack pointer; the segments must be valid. */
static unsigned int stack_width(const struct mmio *mmio)
{
	if (mmio->insn->mode == 8)
		return 8;
	return mmio->vcpu->page->segments.ss.access_rights & VEE_AR_DB ? 4 : 2;
}

static int find_stack(const struct mmio *mmio, uint64_t rsp,
		      unsigned int access, struct guest_span *span)
{
	uint64_t offset = rsp & low_bits(stack_width(mmio));
	uint64_t gva = offset + segment_base(mmio, SEG_SS);
	int err;

	if (!segment_reaches(mmio, SEG_SS, offset, mmio->insn->width))
		return guest_fault(mmio->vcpu, VECTOR_SS);
	if (mmio->insn->mode != 8)
		gva = (uint32_t)gva;
	err = guest_find(mmio->vcpu, gva, mmio->insn->width, access, span);
	if (err == -EFAULT)
		return -EOPNOTSUPP;
	if (err)
		return err;
	return guest_is_memory(span) ? 0 : -EOPNOTSUPP;
}

static int do_push(const struct mmio *mmio)
{
	uint64_t rsp = mmio->vcpu->page->regs.rsp - mmio->insn->width;
	struct guest_span span;
	uint64_t value;
	int err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);

	if (!err)
		err = find_stack(mmio, rsp, VEE_WRITE, &span);
	if (!err)
		err = read_memory(mmio, &value);
	if (err)
		return err;
	guest_copy_in(&span, &value);
	set_gpr(mmio->vcpu, RSP, stack_width(mmio), rsp);
	return 0;
}

static int do_pop(const struct mmio *mmio)
{
	uint64_t rsp = mmio->vcpu->page->regs.rsp;
	struct guest_span span;
	uint64_t value = 0;
	int err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);

	if (!err)
		err = find_stack(mmio, rsp, VEE_READ, &span);
	if (err)
		return err;
	guest_copy_out(&span, &value);
	err = write_memory(mmio, value);
	if (!err)
		set_gpr(mmio->vcpu, RSP, stack_width(mmio),
			rsp + mmio->insn->width);
	return err;
}

static int (*const doers[INSN_KINDS])(const struct mmio *mmio) = {
	[INSN_LOAD] = do_load,
	[INSN_LOAD_IF] = do_load_if,
	[INSN_STORE] = do_store,
	[INSN_STORE_IF] = do_store_if,
	[INSN_ALU_TO_MEMORY] = do_alu_to_memory,
	[INSN_ALU_TO_REGISTER] = do_alu_to_register,
	[INSN_STORE_SEGMENT] = do_store_segment,
	[INSN_SHIFT_DOUBLE] = do_shift_double,
	[INSN_MULTIPLY] = mmio_multiply,
	[INSN_DIVIDE] = mmio_divide,
	[INSN_EXCHANGE_PAIR] = mmio_exchange_pair,
	[INSN_XCHG] = do_xchg,
	[INSN_XADD] = do_xadd,
	[INSN_CMPXCHG] = do_cmpxchg,
	[INSN_VECTOR_LOAD] = mmio_vector_load,
	[INSN_VECTOR_STORE] = mmio_vector_store,
	[INSN_PUSH] = do_push,
	[INSN_POP] = do_pop,
};

static int do_insn(const struct mmio *mmio)
{
	int err;

	if (mmio->insn->kind >= INSN_MOVS)
		return mmio_string(mmio);
	err = check_place(mmio);
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
