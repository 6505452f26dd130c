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
	struct guest_span span;	/* of that; the others are in the same page */
};

struct string {
	const struct guest *guest;
	struct end source;
	struct end destination;
	unsigned int width;
	uint64_t count;		/* elements in this batch */
	bool down;
};

static void set_end(const struct string *string, struct end *end,
		    unsigned int reg, unsigned int segment)
{
	const struct guest *guest = string->guest;

	end->used = true;
	end->reg = reg;
	end->segment = segment;
	end->offset = guest->vcpu->page->regs.gpr[reg] & low_bits(guest->insn->address_width);
	end->gva = guest_linear(guest, segment, end->offset);
}

static void set_ends(struct string *string)
{
	const struct insn *insn = string->guest->insn;

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
			    string->guest->vcpu->page->regs.gpr[end->reg],
			    string->guest->insn->address_width, string->width,
			    string->down);
}

/* Are the first @count elements in the segment, and at canonical addresses? */
static bool reaches(const struct string *string, const struct end *end, uint64_t count)
{
	uint64_t below = string->down ? (count - 1) * string->width : 0;

	return !end->used || guest_reaches(string->guest, end->segment, end->offset - below,
					   count * string->width);
}

/*
 * Of a REP as many elements as lie in one page at each end. Where each is a trap, or
 * near a limit, one by one: those before it are done then.
 */
static uint64_t batch(const struct string *string)
{
	const struct insn *insn = string->guest->insn;
	uint64_t rcx = string->guest->vcpu->page->regs.rcx;
	uint64_t count = 1;

	if (insn->rep)
		count = rcx & low_bits(insn->address_width);
	count = min_u64(count, limit_to_page(string, &string->source));
	count = min_u64(count, limit_to_page(string, &string->destination));
	if (count > 1 && (trap_watches(string->guest) ||
			  !reaches(string, &string->source, count) ||
			  !reaches(string, &string->destination, count)))
		return 1;
	return count;
}

static int find_end(const struct string *string, struct end *end, unsigned int access)
{
	if (!end->used)
		return 0;
	return guest_find_in(string->guest, end->segment, end->offset, string->width, access,
			     string->width, &end->span);
}

static int find_ends(struct string *string)
{
	bool compares = string->guest->insn->kind == INSN_CMPS ||
			string->guest->insn->kind == INSN_SCAS;
	int err = find_end(string, &string->source, VEE_READ);

	if (!err)
		err = find_end(string, &string->destination,
			       compares ? VEE_READ : VEE_WRITE);
	return err;
}

/* Element @i of the batch: beside the first one. */
static struct guest_span span_of(const struct string *string, const struct end *end, uint64_t i)
{
	int64_t bytes = i * string->width;
	struct guest_span span = end->span;

	span_move(&span, string->down ? -bytes : bytes);
	return span;
}

static int read_element(const struct string *string, const struct end *end,
			uint64_t i, uint64_t *value)
{
	struct guest_span span = span_of(string, end, i);

	*value = 0;
	return guest_read(string->guest, &span, value, string->width);
}

static int write_element(const struct string *string, const struct end *end,
			 uint64_t i, uint64_t value)
{
	struct guest_span span = span_of(string, end, i);

	return guest_write(string->guest, &span, &value, string->width);
}

static int move_element(const struct string *string, uint64_t i)
{
	uint64_t value;
	int err = read_element(string, &string->source, i, &value);

	if (err)
		return err;
	return write_element(string, &string->destination, i, value);
}

static int load_element(const struct string *string, uint64_t i)
{
	uint64_t value;
	int err = read_element(string, &string->source, i, &value);

	if (!err)
		set_gpr(string->guest->vcpu, RAX, string->width, value);
	return err;
}

static int store_element(const struct string *string, uint64_t i)
{
	uint64_t rax = string->guest->vcpu->page->regs.rax;

	return write_element(string, &string->destination, i,
			     rax & low_bits(string->width));
}

/* CMPS compares [RSI] with [RDI], SCAS the accumulator with [RDI]. */
static int compare_element(const struct string *string, uint64_t i)
{
	uint64_t rflags = string->guest->vcpu->page->regs.rflags;
	uint64_t a = string->guest->vcpu->page->regs.rax, b;
	int err = 0;

	if (string->source.used)
		err = read_element(string, &string->source, i, &a);
	if (!err)
		err = read_element(string, &string->destination, i, &b);
	if (err)
		return err;
	alu(ALU_CMP, string->width, a, b, &rflags);
	set_rflags(string->guest, rflags);
	return 0;
}

static int do_element(const struct string *string, uint64_t i)
{
	switch (string->guest->insn->kind) {
	case INSN_MOVS:
		return move_element(string, i);
	case INSN_STOS:
		return store_element(string, i);
	case INSN_LODS:
		return load_element(string, i);
	default:
		return compare_element(string, i);
	}
}

/* Does the last comparison end a REPE or REPNE? */
static bool decided(const struct string *string)
{
	const struct insn *insn = string->guest->insn;
	bool equal = string->guest->vcpu->page->regs.rflags & RFLAGS_ZF;

	if (insn->kind != INSN_CMPS && insn->kind != INSN_SCAS)
		return false;
	return insn->rep == REP_WHILE_EQUAL ? !equal : equal;
}

/* Returns how many elements were done before *@err or the end of a search. */
static uint64_t do_elements(const struct string *string, int *err)
{
	for (uint64_t i = 0; i < string->count; i++) {
		*err = do_element(string, i);
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
		string_advance(string->guest->vcpu, end->reg,
			       string->guest->insn->address_width, string->width,
			       done);
}

/* Registers as after @done elements; true: that was all. */
static bool advance(const struct string *string, uint64_t done)
{
	const struct insn *insn = string->guest->insn;
	struct vee_vcpu *vcpu = string->guest->vcpu;

	advance_end(string, &string->source, done);
	advance_end(string, &string->destination, done);
	if (insn->rep)
		string_count_down(vcpu, insn->address_width, done);
	return !insn->rep || !(vcpu->page->regs.rcx & low_bits(insn->address_width)) ||
	       decided(string);
}

/* 0: all of it is done; else as the assist itself. */
static int do_batch(struct string *string)
{
	uint64_t done;
	int err = find_ends(string);
	bool all = false;

	if (err)
		return err;
	done = do_elements(string, &err);
	if (done)
		all = advance(string, done);
	if (err || all)
		return err;
	err = trap_between(string->guest);
	return err ? err : INSN_RESUMED;
}

int do_string(const struct guest *guest)
{
	struct string string = { .guest = guest, .width = guest->insn->width };
	int err = 0;

	if (guest->mode != 8 || guest->insn->segment >= SEG_FS)
		err = vee_vcpu_sync(guest->vcpu, VEE_STATE_SEGMENTS);
	if (err)
		return err;
	string.down = guest->vcpu->page->regs.rflags & RFLAGS_DF;
	set_ends(&string);
	string.count = batch(&string);
	return string.count ? do_batch(&string) : 0;
}
