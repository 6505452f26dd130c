// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Segment registers as instructions load them (SDM 3A, chapter "Protection"; SDM 2,
 * "MOV", "JMP", "CALL"). The tables are memory as any other: a flag that can't be
 * written there goes nowhere.
 */
#include "mmio.h"

#define ENTRY_BYTES	8

#define RIGHTS_BYTE	5	/* of a descriptor */
#define LIMIT_LOW	0xffffULL
#define LIMIT_HIGH	(0xfULL << 48)
#define BASE_MASK	0xffffffULL
#define PAGE_UNITS	0xfffU

/* As in the VMCS, less what a descriptor has elsewhere: bits 11 to 8 are of the limit. */
#define RIGHTS_MASK	(VEE_AR_TYPE | VEE_AR_S | VEE_AR_DPL | VEE_AR_PRESENT | \
			 VEE_AR_AVL | VEE_AR_L | VEE_AR_DB | VEE_AR_G)

bool in_long_mode(const struct guest *guest)
{
	return guest->vcpu->page->control.efer & EFER_LMA;
}

uint32_t descriptor_rights(const struct descriptor *descriptor)
{
	return descriptor->low >> 40 & RIGHTS_MASK;
}

uint32_t descriptor_limit(const struct descriptor *descriptor)
{
	uint32_t limit = (descriptor->low & LIMIT_LOW) |
			 (descriptor->low & LIMIT_HIGH) >> 32;

	return descriptor_rights(descriptor) & VEE_AR_G ? limit << 12 | PAGE_UNITS : limit;
}

struct vee_segment descriptor_segment(const struct descriptor *descriptor,
				      uint16_t selector, bool wide)
{
	uint64_t base = (descriptor->low >> 16 & BASE_MASK) | descriptor->low >> 56 << 24;

	if (wide)
		base |= descriptor->high << 32;
	return (struct vee_segment) {
		.base = base,
		.limit = descriptor_limit(descriptor),
		.access_rights = descriptor_rights(descriptor),
		.selector = selector,
	};
}

/* In IA-32e mode system descriptors have 16 bytes. */
static bool is_wide(const struct guest *guest, const struct descriptor *descriptor)
{
	return in_long_mode(guest) && !(descriptor_rights(descriptor) & VEE_AR_S);
}

/* @left: bytes of the table from there on. */
static int read_wide(const struct guest *guest, struct descriptor *descriptor, uint64_t left,
		     bool *found)
{
	if (!is_wide(guest, descriptor))
		return 0;
	*found = left >= 2 * ENTRY_BYTES;
	if (!*found)
		return 0;
	return guest_read_at(guest, descriptor->gva + ENTRY_BYTES, &descriptor->high,
			     ENTRY_BYTES);
}

int descriptor_look(const struct guest *guest, uint16_t selector,
		    struct descriptor *descriptor, bool *found)
{
	const struct vee_segments *segments = &guest->vcpu->page->segments;
	bool local = selector & SELECTOR_TI;
	uint64_t limit = local ? segments->ldtr.limit : segments->gdtr.limit;
	uint64_t base = local ? segments->ldtr.base : segments->gdtr.base;
	unsigned int index = selector & SELECTOR_INDEX;
	int err;

	*descriptor = (struct descriptor) { 0 };
	*found = index + ENTRY_BYTES - 1 <= limit &&
		 !(local && segments->ldtr.access_rights & VEE_AR_UNUSABLE);
	if (!*found)
		return 0;
	descriptor->gva = base + index;
	if (!in_long_mode(guest))
		descriptor->gva = (uint32_t)descriptor->gva;
	err = guest_read_at(guest, descriptor->gva, &descriptor->low, ENTRY_BYTES);
	if (!err)
		err = read_wide(guest, descriptor, limit - index + 1, found);
	return err;
}

int selector_fault(const struct guest *guest, unsigned int vector, uint16_t selector)
{
	return guest_fault(guest, vector, selector & ~SELECTOR_RPL);
}

int descriptor_read(const struct guest *guest, uint16_t selector, unsigned int vector,
		    struct descriptor *descriptor)
{
	bool found;
	int err = descriptor_look(guest, selector, descriptor, &found);

	if (err || found)
		return err;
	return selector_fault(guest, vector, selector);
}

int descriptor_set_type(const struct guest *guest, struct descriptor *descriptor,
			unsigned int type)
{
	uint8_t byte;

	if ((descriptor_rights(descriptor) & type) == type)
		return 0;
	descriptor->low |= (uint64_t)type << 40;
	byte = descriptor->low >> (RIGHTS_BYTE * 8);
	return guest_write_at(guest, descriptor->gva + RIGHTS_BYTE, &byte, sizeof(byte));
}

int descriptor_loaded(const struct guest *guest, struct vee_segment *segment)
{
	struct descriptor descriptor;
	bool found;
	int err;

	if (segment->access_rights & (TYPE_ACCESSED | VEE_AR_UNUSABLE))
		return 0;
	err = descriptor_look(guest, segment->selector, &descriptor, &found);
	if (!err && found)
		err = descriptor_set_type(guest, &descriptor, TYPE_ACCESSED);
	segment->access_rights |= TYPE_ACCESSED;
	return err;
}

/* --- data segments --- */

/* SDM 3A, "Segment Registers" in real-address mode; virtual-8086 mode sets all of it. */
#define AR_VIRTUAL_8086	0xf3U

void set_real_segment(const struct guest *guest, struct vee_segment *segment,
		      uint16_t selector)
{
	segment->selector = selector;
	segment->base = (uint64_t)selector << 4;
	if (guest->vcpu->page->regs.rflags & RFLAGS_VM) {
		segment->limit = UINT16_MAX;
		segment->access_rights = AR_VIRTUAL_8086;
	}
	guest->vcpu->page->dirty |= VEE_STATE_SEGMENTS;
}

struct vee_segment null_segment(uint16_t selector, unsigned int level)
{
	return (struct vee_segment) {
		.selector = selector,
		.access_rights = VEE_AR_UNUSABLE | level << DPL_SHIFT,
	};
}

static bool is_stack(uint32_t rights)
{
	return rights & VEE_AR_S && !is_code(rights) && rights & TYPE_WRITE;
}

int check_stack_descriptor(const struct guest *guest, uint16_t selector, unsigned int level,
			   const struct blame *blame, struct vee_segment *ss)
{
	uint32_t error = (selector & ~SELECTOR_RPL) | blame->ext;
	struct descriptor descriptor;
	uint32_t rights;
	bool found;
	int err = descriptor_look(guest, selector, &descriptor, &found);

	if (err)
		return err;
	rights = descriptor_rights(&descriptor);
	if (!found || (selector & SELECTOR_RPL) != level || !is_stack(rights) ||
	    rights_dpl(rights) != level)
		return guest_fault(guest, blame->vector, error);
	if (!(rights & VEE_AR_PRESENT))
		return guest_fault(guest, VECTOR_SS, error);
	*ss = descriptor_segment(&descriptor, selector, false);
	return 0;
}

/* SS for the privilege level @level. */
int check_stack_segment(const struct guest *guest, uint16_t selector, unsigned int level,
			bool to_64bit, struct vee_segment *ss)
{
	static const struct blame blame = { .vector = VECTOR_GP };

	if (!selector_is_null(selector))
		return check_stack_descriptor(guest, selector, level, &blame, ss);
	*ss = null_segment(selector, level);
	if (to_64bit && level < 3 && (selector & SELECTOR_RPL) == level)
		return 0;
	return guest_fault(guest, VECTOR_GP, 0);
}

static bool may_load(const struct guest *guest, uint16_t selector, uint32_t rights)
{
	if (!(rights & VEE_AR_S) || (is_code(rights) && !(rights & TYPE_WRITE)))
		return false;
	if (is_code(rights) && rights & TYPE_CONFORMING)
		return true;
	return rights_dpl(rights) >= guest_cpl(guest) &&
	       rights_dpl(rights) >= (selector & SELECTOR_RPL);
}

static int check_data(const struct guest *guest, uint16_t selector, struct vee_segment *data)
{
	struct descriptor descriptor;
	uint32_t rights;
	int err;

	*data = null_segment(selector, 0);
	if (selector_is_null(selector))
		return 0;
	err = descriptor_read(guest, selector, VECTOR_GP, &descriptor);
	if (err)
		return err;
	rights = descriptor_rights(&descriptor);
	if (!may_load(guest, selector, rights))
		return selector_fault(guest, VECTOR_GP, selector);
	if (!(rights & VEE_AR_PRESENT))
		return selector_fault(guest, VECTOR_NP, selector);
	*data = descriptor_segment(&descriptor, selector, false);
	return 0;
}

int load_segment(const struct guest *guest, unsigned int number, uint16_t selector)
{
	struct vee_segment *segment = guest_segment(guest, number);
	struct vee_segment new;
	int err;

	if (!guest_is_protected(guest)) {
		set_real_segment(guest, segment, selector);
		return 0;
	}
	if (number == SEG_SS)
		err = check_stack_segment(guest, selector, guest_cpl(guest),
					  guest->mode == 8, &new);
	else
		err = check_data(guest, selector, &new);
	if (!err)
		err = descriptor_loaded(guest, &new);
	if (err)
		return err;
	*segment = new;
	guest->vcpu->page->dirty |= VEE_STATE_SEGMENTS;
	return 0;
}

/* Nothing comes between the load of SS and the next instruction: that loads ESP. */
int load_stack_segment(const struct guest *guest, uint16_t selector)
{
	struct vee_vcpu_page *page = guest->vcpu->page;
	int err = load_segment(guest, SEG_SS, selector);

	if (!err)
		err = complete_next(guest);
	if (err == INSN_RESUMED)
		page->events.interruptibility |= VEE_BLOCKING_BY_MOV_SS;
	return err;
}

/* What a return to an outer level may not keep (SDM 2, "RET"). */
void drop_inner_segments(const struct guest *guest, unsigned int level)
{
	static const uint8_t numbers[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (unsigned int i = 0; i < sizeof(numbers); i++) {
		struct vee_segment *segment = guest_segment(guest, numbers[i]);
		uint32_t rights = segment->access_rights;

		if (rights & VEE_AR_UNUSABLE || rights_dpl(rights) >= level ||
		    (is_code(rights) && rights & TYPE_CONFORMING))
			continue;
		segment->selector = 0;
		segment->access_rights |= VEE_AR_UNUSABLE;
	}
}

/* --- code segments --- */

static bool may_enter(uint16_t selector, uint32_t rights, unsigned int level, bool returns)
{
	unsigned int rpl = selector & SELECTOR_RPL;

	if (returns)
		return rpl >= level && (rights & TYPE_CONFORMING ? rights_dpl(rights) <= rpl :
								    rights_dpl(rights) == rpl);
	if (rights & TYPE_CONFORMING)
		return rights_dpl(rights) <= level;
	return rpl <= level && rights_dpl(rights) == level;
}

int check_code(const struct guest *guest, uint16_t selector, bool returns,
	       struct vee_segment *cs)
{
	unsigned int level = guest_cpl(guest);
	struct descriptor descriptor;
	uint32_t rights;
	int err;

	if (selector_is_null(selector))
		return guest_fault(guest, VECTOR_GP, 0);
	err = descriptor_read(guest, selector, VECTOR_GP, &descriptor);
	if (err)
		return err;
	rights = descriptor_rights(&descriptor);
	if (!returns && !(rights & VEE_AR_S))
		return CODE_IS_SYSTEM;
	if (!is_code(rights) || !may_enter(selector, rights, level, returns) ||
	    (in_long_mode(guest) && rights & VEE_AR_L && rights & VEE_AR_DB))
		return selector_fault(guest, VECTOR_GP, selector);
	if (!(rights & VEE_AR_PRESENT))
		return selector_fault(guest, VECTOR_NP, selector);
	*cs = descriptor_segment(&descriptor, selector, false);
	if (!returns)
		cs->selector = (selector & ~SELECTOR_RPL) | level;
	return 0;
}
