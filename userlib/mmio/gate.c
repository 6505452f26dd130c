// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Far JMP and CALL to what is no code segment: a call gate, a task gate, a TSS; and IRET
 * from a nested task (SDM 2, "CALL", "JMP", "IRET").
 */
#include "delivery.h"

/* SDM 3A, "Call Gates": of the upper half the type must be 0. */
#define HIGH_TYPE	(0x1fULL << 40)

static unsigned int type_of(const struct guest *guest, const struct descriptor *gate)
{
	unsigned int type = descriptor_rights(gate) & VEE_AR_TYPE;

	if (!in_long_mode(guest))
		return type;
	return type == TYPE_CALL_GATE && !(gate->high & HIGH_TYPE) ? type : 0;
}

/* A gate's, or a TSS's own. */
static int check_level(const struct guest *guest, const struct descriptor *gate,
		       uint16_t selector)
{
	unsigned int dpl = rights_dpl(descriptor_rights(gate));

	if (dpl < guest_cpl(guest) || dpl < (selector & SELECTOR_RPL))
		return selector_fault(guest, VECTOR_GP, selector);
	return 0;
}

static int check_gate(const struct guest *guest, const struct descriptor *gate,
		      uint16_t selector)
{
	int err = check_level(guest, gate, selector);

	if (err || descriptor_rights(gate) & VEE_AR_PRESENT)
		return err;
	return selector_fault(guest, VECTOR_NP, selector);
}

/* --- call gates --- */

static void read_gate(struct delivery *delivery, const struct descriptor *gate)
{
	bool wide = delivery->type == TYPE_CALL_GATE;

	delivery->selector = gate->low >> 16;
	delivery->offset = gate->low & UINT16_MAX;
	if (wide)
		delivery->offset |= gate->low >> 48 << 16 | gate->high << 32;
	delivery->dpl = rights_dpl(descriptor_rights(gate));
	delivery->item = in_long_mode(&delivery->guest) ? 8 : wide ? 4 : 2;
	if (!in_long_mode(&delivery->guest))
		delivery->parameter_count = gate->low >> 32 & PARAMETERS_MAX;
}

/* The last one pushed is the first to be pushed again. */
static int read_parameters(struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	const struct vee_vcpu_page *page = guest->vcpu->page;
	uint64_t mask = page->segments.ss.access_rights & VEE_AR_DB ? UINT32_MAX : UINT16_MAX;
	int err = 0;

	for (unsigned int i = 0; !err && i < delivery->parameter_count; i++) {
		unsigned int place = delivery->parameter_count - 1 - i;
		uint64_t offset = (page->regs.rsp + place * delivery->item) & mask;
		struct guest_span span;

		err = guest_find_in(guest, SEG_SS, offset, delivery->item, VEE_READ,
				    delivery->item, &span);
		if (!err)
			err = guest_read(guest, &span, &delivery->parameters[i],
					 delivery->item);
	}
	return err;
}

static int push_call(struct delivery *delivery)
{
	int err = frame_find(delivery);

	if (!err && delivery->inner)
		err = read_parameters(delivery);
	if (!err)
		err = handler_check_entry(delivery);
	if (!err)
		err = frame_push(delivery);
	return err ? err : descriptor_loaded(&delivery->guest, &delivery->ss);
}

static int pass_gate(struct delivery *delivery)
{
	struct vee_vcpu_page *page = delivery->guest.vcpu->page;
	int err = handler_find(delivery);

	if (!err)
		err = delivery->jumps ? handler_check_entry(delivery) : push_call(delivery);
	if (!err)
		err = descriptor_loaded(&delivery->guest, &delivery->cs);
	if (err)
		return err;
	page->segments.cs = delivery->cs;
	if (!delivery->jumps) {
		page->segments.ss = delivery->ss;
		page->regs.rsp = delivery->rsp;
	}
	page->dirty |= VEE_STATE_SEGMENTS | VEE_STATE_REGS;
	return complete_branch(&delivery->guest, delivery->offset);
}

static int call_gate(const struct guest *guest, const struct descriptor *gate,
		     uint16_t selector, bool jumps)
{
	struct delivery delivery = {
		.guest = *guest,
		.jumps = jumps,
		.type = type_of(guest, gate),
		.next = guest->vcpu->page->regs.rip + guest->insn->length,
	};
	int err = check_gate(guest, gate, selector);

	if (err)
		return err;
	/* What is pushed goes to a stack of 64-bit code. */
	if (in_long_mode(guest))
		delivery.guest.mode = 8;
	read_gate(&delivery, gate);
	return pass_gate(&delivery);
}

/* --- tasks --- */

static int switch_to(const struct guest *guest, enum task_source source, uint16_t selector)
{
	int err = task_switch(guest, source, selector, guest->insn->length);

	return err ? err : INSN_RESUMED;
}

static int task_gate(const struct guest *guest, const struct descriptor *gate,
		     uint16_t selector, enum task_source source)
{
	int err = check_gate(guest, gate, selector);

	return err ? err : switch_to(guest, source, gate->low >> 16);
}

static int task(const struct guest *guest, const struct descriptor *tss, uint16_t selector,
		enum task_source source)
{
	int err = check_level(guest, tss, selector);

	return err ? err : switch_to(guest, source, selector);
}

int far_to_system(const struct guest *guest, uint16_t selector, bool jumps)
{
	enum task_source source = jumps ? TASK_BY_JMP : TASK_BY_CALL;
	struct descriptor descriptor;
	int err = descriptor_read(guest, selector, VECTOR_GP, &descriptor);

	if (err)
		return err;
	switch (type_of(guest, &descriptor)) {
	case TYPE_CALL_GATE:
	case TYPE_CALL_GATE_16:
		return call_gate(guest, &descriptor, selector, jumps);
	case TYPE_TASK_GATE:
		return task_gate(guest, &descriptor, selector, source);
	case TYPE_TSS:
	case TYPE_TSS_16:
		return task(guest, &descriptor, selector, source);
	default:
		return selector_fault(guest, VECTOR_GP, selector);
	}
}

int return_to_task(const struct guest *guest)
{
	const struct vee_segment *tr = &guest->vcpu->page->segments.tr;
	uint16_t link;
	int err = guest_read_at(guest, tr->base, &link, sizeof(link));

	return err ? err : switch_to(guest, TASK_BY_IRET, link);
}
