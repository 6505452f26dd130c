// SPDX-License-Identifier: LGPL-2.1-or-later
/* Segment and table registers, and what asks about descriptors. */
#include "mmio.h"

#define TYPE_BUSY		2	/* set in the type of a TSS that is in use */

#define CR0_MSW			0xfULL	/* what LMSW can change */

/* --- segment registers --- */

int do_load_segment(const struct guest *guest)
{
	uint64_t selector;
	int err = guest_sync(guest);

	if (!err)
		err = read_operand(guest, &selector);
	if (err)
		return err;
	if (guest->insn->reg == SEG_SS)
		return load_stack_segment(guest, selector);
	return load_segment(guest, guest->insn->reg, selector);
}

/* LDS and kin: the offset, then the selector. */
int do_load_pointer(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	uint8_t pointer[sizeof(uint64_t) + sizeof(uint16_t)];
	unsigned int width = insn->operand_width;
	uint64_t offset = 0;
	uint16_t selector;
	int err = guest_sync(guest);

	if (!err)
		err = operand_read(guest, pointer, width + sizeof(selector));
	if (err)
		return err;
	memcpy(&offset, pointer, width);
	memcpy(&selector, pointer + width, sizeof(selector));
	err = load_segment(guest, insn->selector, selector);
	if (!err)
		set_register(guest, offset);
	return err;
}

/* --- GDTR, IDTR --- */

#define BASE_24BIT	0xffffffULL

static struct vee_table *find_table(const struct guest *guest)
{
	struct vee_segments *segments = &guest->vcpu->page->segments;

	return guest->insn->reg == SYSTEM_IDT ? &segments->idtr : &segments->gdtr;
}

static unsigned int table_bytes(const struct guest *guest)
{
	return sizeof(uint16_t) + (guest->mode == 8 ? sizeof(uint64_t) : sizeof(uint32_t));
}

int do_load_table(const struct guest *guest)
{
	uint8_t data[sizeof(uint16_t) + sizeof(uint64_t)] = { 0 };
	struct vee_table *table = find_table(guest);
	uint16_t limit;
	uint64_t base;
	int err = guest_sync(guest);

	if (!err)
		err = operand_read(guest, data, table_bytes(guest));
	if (err)
		return err;
	memcpy(&limit, data, sizeof(limit));
	memcpy(&base, data + sizeof(limit), sizeof(base));
	if (guest->mode != 8 && guest->insn->operand_width == 2)
		base &= BASE_24BIT;
	if (!guest_is_canonical(guest, base, 1))
		return guest_fault(guest, VECTOR_GP, 0);
	table->base = base;
	table->limit = limit;
	guest->vcpu->page->dirty |= VEE_STATE_SEGMENTS;
	return 0;
}

/* SDM 3A, "Segment Descriptor Tables": limit and base are stored, and aligned, one by one. */
static int check_table(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	unsigned int bytes = table_bytes(guest) - sizeof(uint16_t);
	uint64_t offset = operand_offset(guest) + sizeof(uint16_t);
	struct guest_span span;
	int err = guest_find_in(guest, insn->segment, operand_offset(guest), sizeof(uint16_t),
				VEE_WRITE, sizeof(uint16_t), &span);

	if (err)
		return err;
	return guest_find_in(guest, insn->segment, offset & low_bits(insn->address_width), bytes,
			     VEE_WRITE, bytes, &span);
}

int do_store_table(const struct guest *guest)
{
	uint8_t data[sizeof(uint16_t) + sizeof(uint64_t)];
	uint16_t limit;
	uint64_t base;
	struct guest_span span;
	int err = guest_sync(guest);

	if (!err)
		err = check_table(guest);
	if (!err)
		err = operand_find(guest, table_bytes(guest), VEE_WRITE, &span);
	if (err)
		return err;
	limit = find_table(guest)->limit;
	base = find_table(guest)->base;
	memcpy(data, &limit, sizeof(limit));
	memcpy(data + sizeof(limit), &base, sizeof(base));
	return guest_write(guest, &span, data, table_bytes(guest));
}

/* --- LDTR, TR --- */

static int set_system(const struct guest *guest, struct vee_segment segment)
{
	struct vee_segments *segments = &guest->vcpu->page->segments;

	*(guest->insn->reg == SYSTEM_TSS ? &segments->tr : &segments->ldtr) = segment;
	guest->vcpu->page->dirty |= VEE_STATE_SEGMENTS;
	return 0;
}

/* What may be loaded: an LDT, or a TSS that isn't busy. */
static bool is_wanted(const struct guest *guest, uint32_t rights)
{
	unsigned int type = rights & VEE_AR_TYPE;

	if (rights & VEE_AR_S)
		return false;
	if (guest->insn->reg == SYSTEM_LDT)
		return type == TYPE_LDT;
	return type == TYPE_TSS || (type == TYPE_TSS_16 && !in_long_mode(guest));
}

static int load_system(const struct guest *guest, uint16_t selector)
{
	bool is_tss = guest->insn->reg == SYSTEM_TSS;
	struct descriptor descriptor;
	int err;

	if (selector & SELECTOR_TI)
		return selector_fault(guest, VECTOR_GP, selector);
	err = descriptor_read(guest, selector, VECTOR_GP, &descriptor);
	if (err)
		return err;
	if (!is_wanted(guest, descriptor_rights(&descriptor)))
		return selector_fault(guest, VECTOR_GP, selector);
	if (!(descriptor_rights(&descriptor) & VEE_AR_PRESENT))
		return selector_fault(guest, VECTOR_NP, selector);
	if (is_tss)
		err = descriptor_set_type(guest, &descriptor, TYPE_BUSY);
	if (err)
		return err;
	return set_system(guest, descriptor_segment(&descriptor, selector,
						    in_long_mode(guest)));
}

int do_load_system(const struct guest *guest)
{
	uint64_t selector;
	int err = guest_sync(guest);

	if (!err)
		err = read_operand(guest, &selector);
	if (err)
		return err;
	if (!selector_is_null(selector))
		return load_system(guest, selector);
	if (guest->insn->reg == SYSTEM_TSS)
		return guest_fault(guest, VECTOR_GP, 0);
	return set_system(guest, (struct vee_segment) {
		.selector = selector, .access_rights = VEE_AR_UNUSABLE,
	});
}

int do_store_system(const struct guest *guest)
{
	const struct vee_segments *segments = &guest->vcpu->page->segments;
	int err = guest_sync(guest);

	if (err)
		return err;
	return write_operand(guest, guest->insn->reg == SYSTEM_TSS ? segments->tr.selector :
								    segments->ldtr.selector);
}

/* --- the machine status word --- */

/* It can set CR0.PE, not clear it. */
int do_load_msw(const struct guest *guest)
{
	struct vee_vcpu_page *page = guest->vcpu->page;
	uint64_t msw;
	int err = guest_sync(guest);

	if (!err)
		err = read_operand(guest, &msw);
	if (err)
		return err;
	msw |= page->control.cr0 & CR0_PE;
	page->control.cr0 = (page->control.cr0 & ~CR0_MSW) | (msw & CR0_MSW);
	page->dirty |= VEE_STATE_CONTROL;
	return 0;
}

int do_store_msw(const struct guest *guest)
{
	int err = guest_sync(guest);

	return err ? err : write_operand(guest, guest->vcpu->page->control.cr0);
}

/* --- questions about descriptors --- */

#define TYPES(a, b, c, d)	(1U << (a) | 1U << (b) | 1U << (c) | 1U << (d))

/* SDM 2, "LAR" and "LSL", tables: system types that have rights, or a limit. */
#define LSL_LONG_TYPES		TYPES(2, 9, 11, 11)
#define LSL_TYPES		(LSL_LONG_TYPES | TYPES(1, 3, 3, 3))
#define LAR_LONG_TYPES		(LSL_LONG_TYPES | TYPES(12, 12, 12, 12))
#define LAR_TYPES		(LSL_TYPES | TYPES(4, 5, 12, 12))

#define LAR_MASK		0x00ffff00U

static bool is_answered(const struct guest *guest, uint32_t rights)
{
	uint32_t types = in_long_mode(guest) ? LAR_LONG_TYPES : LAR_TYPES;
	bool code = rights & TYPE_CODE;

	if (guest->insn->kind == INSN_LSL)
		types = in_long_mode(guest) ? LSL_LONG_TYPES : LSL_TYPES;
	if (guest->insn->kind == INSN_VERIFY) {
		if (!(rights & VEE_AR_S))
			return false;
		if (guest->insn->write)
			return !code && rights & TYPE_WRITE;
		return !code || rights & TYPE_WRITE;
	}
	return rights & VEE_AR_S || types >> (rights & VEE_AR_TYPE) & 1;
}

static bool is_visible(const struct guest *guest, uint16_t selector, uint32_t rights)
{
	unsigned int level = rights_dpl(rights);

	if (rights & VEE_AR_S && rights & TYPE_CODE && rights & TYPE_CONFORMING)
		return true;
	return level >= guest_cpl(guest) && level >= (selector & SELECTOR_RPL);
}

/* ZF says whether @descriptor was found and answers. */
static int ask(const struct guest *guest, struct descriptor *descriptor, bool *answered)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags;
	uint64_t selector;
	int err = guest_sync(guest);

	*answered = false;
	if (!err)
		err = read_operand(guest, &selector);
	if (!err && !selector_is_null(selector))
		err = descriptor_look(guest, selector, descriptor, answered);
	if (err)
		return err;
	*answered = *answered && is_answered(guest, descriptor_rights(descriptor)) &&
		    is_visible(guest, selector, descriptor_rights(descriptor));
	set_rflags(guest, *answered ? rflags | RFLAGS_ZF : rflags & ~RFLAGS_ZF);
	return 0;
}

int do_verify(const struct guest *guest)
{
	struct descriptor descriptor;
	bool answered;

	return ask(guest, &descriptor, &answered);
}

int do_lar(const struct guest *guest)
{
	struct descriptor descriptor;
	bool answered;
	int err = ask(guest, &descriptor, &answered);

	if (!err && answered)
		set_register(guest, descriptor.low >> 32 & LAR_MASK);
	return err;
}

int do_lsl(const struct guest *guest)
{
	struct descriptor descriptor;
	bool answered;
	int err = ask(guest, &descriptor, &answered);

	if (!err && answered)
		set_register(guest, descriptor_limit(&descriptor));
	return err;
}

/* The RPL of what is in memory becomes that of the register, if it is lower. */
int do_arpl(const struct guest *guest)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags & ~RFLAGS_ZF;
	uint64_t rpl = get_register(guest) & SELECTOR_RPL;
	struct guest_span span;
	uint16_t selector;
	int err = operand_find(guest, sizeof(selector), VEE_READ | VEE_WRITE, &span);

	if (!err)
		err = guest_read(guest, &span, &selector, sizeof(selector));
	if (!err && (selector & SELECTOR_RPL) < rpl) {
		selector = (selector & ~SELECTOR_RPL) | rpl;
		rflags |= RFLAGS_ZF;
		err = guest_write(guest, &span, &selector, sizeof(selector));
	}
	if (!err)
		set_rflags(guest, rflags);
	return err;
}
