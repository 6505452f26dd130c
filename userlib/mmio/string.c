// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * String instructions with a device at one end or at both. Of a REP it does what
 * lies in one page at each end, then resumes at the instruction.
 */
#include "mmio.h"

/* One end: RSI's or RDI's. */
struct end {
	bool used;
	unsigned int reg;
	unsigned int segment;
	uint64_t offset;	/* of the first element, and its linear address */
	uint64_t gva;
	struct guest_span span;	/* of all elements of the batch */
};

struct string {
	const struct mmio *mmio;
	struct end source;
	struct end destination;
	unsigned int width;
	uint64_t count;		/* elements in this batch */
	bool down;
};

static void set_end(const struct string *string, struct end *end,
		    unsigned int reg, unsigned int segment)
{
	const struct insn *insn = string->mmio->insn;

	end->used = true;
	end->reg = reg;
	end->segment = segment;
	end->offset = string->mmio->vcpu->page->regs.gpr[reg] &
		      low_bits(insn->address_width);
	end->gva = end->offset + segment_base(string->mmio, segment);
	if (insn->mode != 8)
		end->gva = (uint32_t)end->gva;
}

static void set_ends(struct string *string)
{
	const struct insn *insn = string->mmio->insn;

	if (insn->kind == INSN_MOVS || insn->kind == INSN_LODS ||
	    insn->kind == INSN_CMPS)
		set_end(string, &string->source, RSI, insn->segment);
	if (insn->kind != INSN_LODS)
		set_end(string, &string->destination, RDI, SEG_ES);
}

static uint64_t limit_to_page(const struct string *string, const struct end *end)
{
	if (!end->used)
		return UINT64_MAX;
	return string_batch(end->gva,
			    string->mmio->vcpu->page->regs.gpr[end->reg],
			    string->mmio->insn->address_width, string->width,
			    string->down);
}

/* How far below the first element the batch begins. */
static uint64_t below(const struct string *string, uint64_t count)
{
	return string->down ? (count - 1) * string->width : 0;
}

/* Are the first @count elements in the segment, and at canonical addresses? */
static bool reaches(const struct string *string, const struct end *end, uint64_t count)
{
	return !end->used ||
	       segment_reaches(string->mmio, end->segment,
			       end->offset - below(string, count), count * string->width);
}

static uint64_t batch(const struct string *string)
{
	const struct insn *insn = string->mmio->insn;
	uint64_t rcx = string->mmio->vcpu->page->regs.rcx;
	uint64_t count = 1;

	if (insn->rep)
		count = rcx & low_bits(insn->address_width);
	count = min_u64(count, limit_to_page(string, &string->source));
	count = min_u64(count, limit_to_page(string, &string->destination));
	/* Near a limit one by one, so that those below it are done. */
	if (count > 1 && !(reaches(string, &string->source, count) &&
			   reaches(string, &string->destination, count)))
		return 1;
	return count;
}

/* The end that the exit was about needs no walk: the CPU has done it. */
static bool is_at_exit(const struct string *string, const struct end *end)
{
	const struct vee_exit_memory *exit = string->mmio->exit;

	return exit->gva_valid && exit->gva == end->gva &&
	       (exit->gpa & PAGE_OFFSET) + string->width <= PAGE_BYTES;
}

/* A prefix for SS counts outside 64-bit mode alone. */
static unsigned int fault_vector(const struct string *string, const struct end *end)
{
	return end->segment == SEG_SS && string->mmio->insn->mode != 8 ? VECTOR_SS : VECTOR_GP;
}

static int find_end(const struct string *string, struct end *end,
		    unsigned int access)
{
	uint64_t first = below(string, string->count);
	int err;

	if (!end->used)
		return 0;
	if (is_at_exit(string, end)) {
		end->span = (struct guest_span) {
			.count = 1,
			.part[0].gpa = string->mmio->exit->gpa - first,
		};
		return 0;
	}
	if (!reaches(string, end, 1))
		return guest_fault(string->mmio->vcpu, fault_vector(string, end));
	err = guest_find(string->mmio->vcpu, end->gva - first,
			 string->count * string->width, access, &end->span);
	if (err == -EFAULT)
		return -EOPNOTSUPP;
	if (!err && end->span.count > 1 && !guest_is_memory(&end->span))
		return -EOPNOTSUPP;
	return err;
}

static int find_ends(struct string *string)
{
	bool compares = string->mmio->insn->kind == INSN_CMPS ||
			string->mmio->insn->kind == INSN_SCAS;
	int err = find_end(string, &string->source, VEE_READ);

	if (!err)
		err = find_end(string, &string->destination,
			       compares ? VEE_READ : VEE_WRITE);
	return err;
}

static int read_element(const struct string *string, const struct end *end,
			uint64_t at, uint64_t *value)
{
	const struct guest_part *part = &end->span.part[0];
	const struct mmio *mmio = string->mmio;

	*value = 0;
	if (end->span.count == 2)
		guest_copy_out(&end->span, value);
	else if (part->hva)
		memcpy(value, (uint8_t *)part->hva + at, string->width);
	else
		return mmio->fn(mmio->arg, part->gpa + at, value, string->width,
				false);
	return 0;
}

static int write_element(const struct string *string, const struct end *end,
			 uint64_t at, uint64_t value)
{
	const struct guest_part *part = &end->span.part[0];
	const struct mmio *mmio = string->mmio;

	if (end->span.count == 2)
		guest_copy_in(&end->span, &value);
	else if (part->hva)
		memcpy((uint8_t *)part->hva + at, &value, string->width);
	else
		return mmio->fn(mmio->arg, part->gpa + at, &value, string->width,
				true);
	return 0;
}

static int move_element(const struct string *string, uint64_t at)
{
	uint64_t value;
	int err = read_element(string, &string->source, at, &value);

	if (err)
		return err;
	return write_element(string, &string->destination, at, value);
}

static int load_element(const struct string *string, uint64_t at)
{
	uint64_t value;
	int err = read_element(string, &string->source, at, &value);

	if (!err)
		set_gpr(string->mmio->vcpu, RAX, string->width, value);
	return err;
}

static int store_element(const struct string *string, uint64_t at)
{
	uint64_t rax = string->mmio->vcpu->page->regs.rax;

	return write_element(string, &string->destination, at,
			     rax & low_bits(string->width));
}

/* CMPS compares [RSI] with [RDI], SCAS the accumulator with [RDI]. */
static int compare_element(const struct string *string, uint64_t at)
{
	uint64_t rflags = string->mmio->vcpu->page->regs.rflags;
	uint64_t a = string->mmio->vcpu->page->regs.rax, b;
	int err = read_element(string, &string->destination, at, &b);

	if (!err && string->source.used)
		err = read_element(string, &string->source, at, &a);
	if (err)
		return err;
	alu(ALU_CMP, string->width, a, b, &rflags);
	mmio_set_rflags(string->mmio, rflags);
	return 0;
}

static int do_element(const struct string *string, uint64_t at)
{
	switch (string->mmio->insn->kind) {
	case INSN_MOVS:
		return move_element(string, at);
	case INSN_STOS:
		return store_element(string, at);
	case INSN_LODS:
		return load_element(string, at);
	default:
		return compare_element(string, at);
	}
}

/* Does the last comparison end a REPE or REPNE? */
static bool decided(const struct string *string)
{
	const struct insn *insn = string->mmio->insn;
	bool equal = string->mmio->vcpu->page->regs.rflags & RFLAGS_ZF;

	if (insn->kind != INSN_CMPS && insn->kind != INSN_SCAS)
		return false;
	return insn->rep == REP_WHILE_EQUAL ? !equal : equal;
}

/* Returns how many elements were done before *@err or the end of a search. */
static uint64_t do_elements(const struct string *string, int *err)
{
	for (uint64_t i = 0; i < string->count; i++) {
		uint64_t at = string->down ? string->count - 1 - i : i;

		*err = do_element(string, at * string->width);
		if (*err)
			return i;
		if (decided(string))
			return i + 1;
	}
	return string->count;
}

static void advance_end(const struct string *string, const struct end *end,
			uint64_t done)
{
	if (end->used)
		string_advance(string->mmio->vcpu, end->reg,
			       string->mmio->insn->address_width, string->width,
			       done);
}

/* Registers as after @done elements; past the instruction if that was all. */
static void advance(const struct string *string, uint64_t done, bool failed)
{
	const struct insn *insn = string->mmio->insn;
	struct vee_vcpu *vcpu = string->mmio->vcpu;

	advance_end(string, &string->source, done);
	advance_end(string, &string->destination, done);
	if (insn->rep)
		string_count_down(vcpu, insn->address_width, done);
	if (failed)
		return;
	if (!insn->rep || !(vcpu->page->regs.rcx & low_bits(insn->address_width)) ||
	    decided(string))
		mmio_complete(string->mmio);
}

int mmio_string(const struct mmio *mmio)
{
	struct string string = { .mmio = mmio, .width = mmio->insn->width };
	uint64_t done;
	int err = 0;

	if (mmio->insn->mode != 8 || mmio->insn->segment >= SEG_FS)
		err = vee_vcpu_sync(mmio->vcpu, VEE_STATE_SEGMENTS);
	if (err)
		return err;
	string.down = mmio->vcpu->page->regs.rflags & RFLAGS_DF;
	set_ends(&string);
	string.count = batch(&string);
	if (!string.count) {
		mmio_complete(mmio);
		return 0;
	}
	err = find_ends(&string);
	if (err)
		return err;
	done = do_elements(&string, &err);
	if (done)
		advance(&string, done, err);
	return err;
}
