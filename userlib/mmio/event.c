// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The delivery of an event that an access of its own stopped: a stack in a device, an
 * accessed flag in a ROM (SDM 3A, "Exception or Interrupt Handling Procedures" and
 * "Exception and Interrupt Handling in 64-bit Mode"; SDM 3B, "Real-Address Mode
 * Operation"). Task gates and virtual-8086 mode are not for here.
 */
#include "mmio.h"

#define VECTOR_DB	1
#define VECTOR_DF	8
#define VECTOR_TS	10
#define VECTOR_MC	18

/* Error codes: the event is from outside the program; a number in the IDT. */
#define ERROR_EXT	0x1U
#define ERROR_IDT	0x2U

/* SDM 3A, "IDT Descriptors": types, 32 bits in bit 3. */
#define GATE_INTERRUPT_16	6
#define GATE_TRAP_16		7
#define GATE_INTERRUPT		14
#define GATE_TRAP		15
#define GATE_WIDE_BIT		8
#define GATE_TRAP_BIT		1
#define GATE_IST		7

#define TYPE_ACCESSED		0x1U
#define TYPE_CONFORMING		0x4U
#define TYPE_CODE		0x8U

/* SDM 3A, "Task-State Segment": where the stacks of the inner levels are. */
#define TSS_RSP0	4
#define TSS_IST1	36
#define TSS_32_ESP0	4
#define TSS_32_STEP	8
#define TSS_16_SP0	2
#define TSS_16_STEP	4
#define TSS_WIDE_BIT	8	/* of the type */

#define FRAME_ALIGN	15ULL

struct delivery {
	struct guest guest;
	const struct vee_event *event;
	uint32_t ext;
	uint64_t offset;	/* of the gate */
	uint16_t selector;
	unsigned int type;
	unsigned int ist;
	struct vee_segment cs;
	struct vee_segment ss;
	uint64_t rsp;
	uint64_t stack_mask;
	unsigned int item;	/* bytes of what is pushed */
	bool inner;
};

static bool is_software(const struct vee_event *event)
{
	return event->type == VEE_EVENT_SOFT_INTERRUPT ||
	       event->type == VEE_EVENT_PRIV_SOFT_EXCEPTION ||
	       event->type == VEE_EVENT_SOFT_EXCEPTION;
}

/* --- the gate --- */

static int gate_fault(const struct delivery *delivery, unsigned int vector)
{
	return guest_fault(&delivery->guest, vector,
			   delivery->event->vector * 8U | ERROR_IDT | delivery->ext);
}

static int check_gate(const struct delivery *delivery, uint64_t low)
{
	unsigned int dpl = low >> 45 & 3;
	bool wide = delivery->type == GATE_INTERRUPT || delivery->type == GATE_TRAP;
	bool narrow = delivery->type == GATE_INTERRUPT_16 || delivery->type == GATE_TRAP_16;

	if (low >> 44 & 1 || !(wide || (narrow && !in_long_mode(&delivery->guest))))
		return gate_fault(delivery, VECTOR_GP);
	if (is_software(delivery->event) &&
	    delivery->event->type != VEE_EVENT_PRIV_SOFT_EXCEPTION &&
	    dpl < guest_cpl(&delivery->guest))
		return gate_fault(delivery, VECTOR_GP);
	return low >> 47 & 1 ? 0 : gate_fault(delivery, VECTOR_NP);
}

#define GATE_TASK	5

static int read_gate(struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	const struct vee_table *idtr = &guest->vcpu->page->segments.idtr;
	unsigned int bytes = in_long_mode(guest) ? 16 : 8;
	unsigned int at = delivery->event->vector * bytes;
	uint64_t gate[2] = { 0 };
	int err;

	if (at + bytes - 1 > idtr->limit)
		return gate_fault(delivery, VECTOR_GP);
	err = guest_read_at(guest, idtr->base + at, gate, bytes);
	if (err)
		return err;
	delivery->offset = (gate[0] & 0xffff) | (gate[0] >> 48 & 0xffff) << 16 | gate[1] << 32;
	delivery->selector = gate[0] >> 16;
	delivery->type = gate[0] >> 40 & VEE_AR_TYPE;
	delivery->ist = in_long_mode(guest) ? gate[0] >> 32 & GATE_IST : 0;
	if (!(delivery->type & GATE_WIDE_BIT))
		delivery->offset &= UINT16_MAX;
	delivery->item = in_long_mode(guest) ? 8 : delivery->type & GATE_WIDE_BIT ? 4 : 2;
	if (delivery->type == GATE_TASK && !in_long_mode(guest))
		return -EOPNOTSUPP;
	return check_gate(delivery, gate[0]);
}

/* SDM 3B, "Interrupt and Exception Handling": what is in the table in real mode. */
struct vector {
	uint16_t offset;
	uint16_t selector;
};

static int read_vector(struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	const struct vee_segments *segments = &guest->vcpu->page->segments;
	struct vector vector = { 0 };
	unsigned int at = delivery->event->vector * sizeof(vector);
	int err;

	if (at + sizeof(vector) - 1 > segments->idtr.limit)
		return guest_fault(guest, VECTOR_GP, 0);
	err = guest_read_at(guest, segments->idtr.base + at, &vector, sizeof(vector));
	delivery->offset = vector.offset;
	delivery->type = GATE_INTERRUPT_16;
	delivery->item = sizeof(uint16_t);
	delivery->cs = segments->cs;
	delivery->cs.selector = vector.selector;
	delivery->cs.base = vector.selector * 16U;
	return err;
}

static int code_fault(const struct delivery *delivery, unsigned int vector)
{
	return guest_fault(&delivery->guest, vector,
			   (delivery->selector & ~SELECTOR_RPL) | delivery->ext);
}

static int find_handler(struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	unsigned int level = guest_cpl(guest), dpl;
	struct descriptor descriptor;
	uint32_t rights;
	bool found, good;
	int err;

	if (selector_is_null(delivery->selector))
		return guest_fault(guest, VECTOR_GP, delivery->ext);
	err = descriptor_look(guest, delivery->selector, &descriptor, &found);
	if (err || !found)
		return err ? err : code_fault(delivery, VECTOR_GP);
	rights = descriptor_rights(&descriptor);
	dpl = (rights & VEE_AR_DPL) / (VEE_AR_DPL / 3);
	good = rights & VEE_AR_S && rights & TYPE_CODE && dpl <= level;
	if (in_long_mode(guest))
		good = good && (rights & (VEE_AR_L | VEE_AR_DB)) == VEE_AR_L;
	if (!good)
		return code_fault(delivery, VECTOR_GP);
	if (!(rights & VEE_AR_PRESENT))
		return code_fault(delivery, VECTOR_NP);
	if (!(rights & TYPE_CONFORMING) && dpl < level) {
		delivery->inner = true;
		level = dpl;
	}
	err = descriptor_set_type(guest, &descriptor, TYPE_ACCESSED);
	delivery->cs = descriptor_segment(&descriptor, delivery->selector, false);
	delivery->cs.selector = (delivery->selector & ~SELECTOR_RPL) | level;
	return err;
}

/* --- the stack --- */

static int read_tss(const struct delivery *delivery, unsigned int at, void *data,
		    unsigned int bytes)
{
	const struct vee_segment *tr = &delivery->guest.vcpu->page->segments.tr;

	if (at + bytes - 1 > tr->limit)
		return guest_fault(&delivery->guest, VECTOR_TS,
				   (tr->selector & ~SELECTOR_RPL) | delivery->ext);
	return guest_read_at(&delivery->guest, tr->base + at, data, bytes);
}

static int find_long_stack(struct delivery *delivery)
{
	unsigned int level = delivery->cs.selector & SELECTOR_RPL;
	unsigned int at = TSS_RSP0 + level * sizeof(uint64_t);
	int err = 0;

	if (delivery->ist)
		at = TSS_IST1 + (delivery->ist - 1) * sizeof(uint64_t);
	if (delivery->ist || delivery->inner)
		err = read_tss(delivery, at, &delivery->rsp, sizeof(delivery->rsp));
	if (err)
		return err;
	if (delivery->inner)
		delivery->ss = (struct vee_segment) {
			.selector = level,
			.access_rights = VEE_AR_UNUSABLE | level * (VEE_AR_DPL / 3),
		};
	delivery->rsp &= ~FRAME_ALIGN;
	delivery->stack_mask = UINT64_MAX;
	return 0;
}

static int find_inner_stack(struct delivery *delivery)
{
	uint32_t type = delivery->guest.vcpu->page->segments.tr.access_rights & VEE_AR_TYPE;
	unsigned int level = delivery->cs.selector & SELECTOR_RPL;
	bool wide = type & TSS_WIDE_BIT;
	unsigned int bytes = wide ? sizeof(uint32_t) : sizeof(uint16_t);
	unsigned int at = wide ? TSS_32_ESP0 + level * TSS_32_STEP :
				 TSS_16_SP0 + level * TSS_16_STEP;
	uint16_t selector = 0;
	int err;

	delivery->rsp = 0;
	err = read_tss(delivery, at, &delivery->rsp, bytes);
	if (!err)
		err = read_tss(delivery, at + bytes, &selector, sizeof(selector));
	if (!err)
		err = check_stack_segment(&delivery->guest, selector, level, false,
					  &delivery->ss);
	return err;
}

static int find_stack(struct delivery *delivery)
{
	int err = 0;

	delivery->ss = delivery->guest.vcpu->page->segments.ss;
	delivery->rsp = delivery->guest.vcpu->page->regs.rsp;
	if (in_long_mode(&delivery->guest))
		return find_long_stack(delivery);
	if (delivery->inner)
		err = find_inner_stack(delivery);
	delivery->stack_mask = delivery->ss.access_rights & VEE_AR_DB ? UINT32_MAX : UINT16_MAX;
	return err;
}

static int push(struct delivery *delivery, uint64_t value)
{
	uint64_t rsp = (delivery->rsp - delivery->item) & delivery->stack_mask;
	uint64_t gva = rsp;
	int err;

	if (in_long_mode(&delivery->guest)) {
		if (!guest_is_canonical(&delivery->guest, gva, delivery->item))
			return guest_fault(&delivery->guest, VECTOR_SS, delivery->ext);
	} else {
		gva = (uint32_t)(delivery->ss.base + rsp);
	}
	err = guest_write_at(&delivery->guest, gva, &value, delivery->item);
	if (!err)
		delivery->rsp = (delivery->rsp & ~delivery->stack_mask) | rsp;
	return err;
}

/* SDM 3B, "Instruction-Breakpoint Exception Condition": faults have RF in their frame. */
static uint64_t frame_flags(const struct delivery *delivery)
{
	const struct vee_event *event = delivery->event;
	uint64_t rflags = delivery->guest.vcpu->page->regs.rflags;

	if (event->type == VEE_EVENT_EXCEPTION && event->vector != VECTOR_DB &&
	    event->vector != VECTOR_DF && event->vector != VECTOR_MC)
		rflags |= RFLAGS_RF;
	return rflags;
}

static int push_frame(struct delivery *delivery)
{
	const struct vee_vcpu_page *page = delivery->guest.vcpu->page;
	uint64_t rip = page->regs.rip;
	int err = 0;

	if (is_software(delivery->event))
		rip += delivery->event->instruction_length;
	if (delivery->inner || in_long_mode(&delivery->guest)) {
		err = push(delivery, page->segments.ss.selector);
		if (!err)
			err = push(delivery, page->regs.rsp);
	}
	if (!err)
		err = push(delivery, frame_flags(delivery));
	if (!err)
		err = push(delivery, page->segments.cs.selector);
	if (!err)
		err = push(delivery, rip);
	if (!err && delivery->event->flags & VEE_EVENT_ERROR_CODE)
		err = push(delivery, delivery->event->error_code);
	return err;
}

/* --- all of it --- */

static void enter(const struct delivery *delivery)
{
	struct vee_vcpu_page *page = delivery->guest.vcpu->page;
	uint64_t cleared = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM;

	if (!(delivery->type & GATE_TRAP_BIT))
		cleared |= RFLAGS_IF;
	if (!guest_is_protected(&delivery->guest))
		cleared = RFLAGS_TF | RFLAGS_IF | RFLAGS_AC | RFLAGS_RF;
	page->regs.rip = delivery->offset;
	page->regs.rsp = delivery->rsp;
	page->regs.rflags &= ~cleared;
	page->segments.cs = delivery->cs;
	page->segments.ss = delivery->ss;
	page->events.interruptibility &= VEE_BLOCKING_BY_NMI;
	if (delivery->event->type == VEE_EVENT_NMI)
		page->events.interruptibility |= VEE_BLOCKING_BY_NMI;
	page->events.activity = VEE_ACTIVITY_ACTIVE;
	page->events.delivering = (struct vee_event) { 0 };
	page->dirty |= VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_EVENTS;
	page->resume = VEE_RESUME_DONE;
}

static bool is_contributory(unsigned int vector)
{
	return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

/*
 * SDM 3A, "Double Fault Exception", table: the fault comes instead of the event, or
 * both are one. -EOPNOTSUPP: nobody can take it, and the CPU shall say so.
 */
static int fault_instead(const struct delivery *delivery)
{
	struct vee_vcpu_page *page = delivery->guest.vcpu->page;
	unsigned int first = delivery->event->vector, second = page->inject.vector;

	if (delivery->event->type == VEE_EVENT_EXCEPTION) {
		if (first == VECTOR_DF) {
			page->inject = (struct vee_event) { 0 };
			return -EOPNOTSUPP;
		}
		if ((is_contributory(first) && is_contributory(second)) ||
		    (first == VECTOR_PF && (second == VECTOR_PF || is_contributory(second))))
			guest_fault(&delivery->guest, VECTOR_DF, 0);
	}
	page->events.delivering = (struct vee_event) { 0 };
	page->dirty |= VEE_STATE_EVENTS;
	return 0;
}

static int find_gate(struct delivery *delivery)
{
	int err;

	if (!guest_is_protected(&delivery->guest))
		return read_vector(delivery);
	err = read_gate(delivery);
	return err ? err : find_handler(delivery);
}

/* The events must be valid. */
int deliver_event(const struct guest *guest)
{
	const struct vee_event event = guest->vcpu->page->events.delivering;
	struct delivery delivery = { .guest = *guest, .event = &event };
	int err = guest_sync(guest);

	if (err)
		return err;
	if (guest->vcpu->page->regs.rflags & RFLAGS_VM)
		return -EOPNOTSUPP;
	/* The stack of 64-bit code, whatever was interrupted. */
	if (in_long_mode(guest))
		delivery.guest.mode = 8;
	else
		delivery.guest.mode = 4;
	delivery.ext = !is_software(&event) || event.type == VEE_EVENT_PRIV_SOFT_EXCEPTION;
	err = find_gate(&delivery);
	if (!err)
		err = find_stack(&delivery);
	if (!err)
		err = push_frame(&delivery);
	if (!err)
		enter(&delivery);
	return err == GUEST_FAULTED ? fault_instead(&delivery) : err;
}
