// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The delivery of an event that an access of its own stopped: a stack in a device, an
 * accessed flag in a ROM (SDM 3A, "Exception or Interrupt Handling Procedures" and
 * "Exception and Interrupt Handling in 64-bit Mode"; SDM 3B, "Real-Address Mode
 * Operation" and "Interrupt and Exception Handling in Virtual-8086 Mode").
 */
#include "delivery.h"

#define GATE_WIDE_BIT		8
#define GATE_TRAP_BIT		1
#define GATE_IST		7

/* SDM 3A, "Task-State Segment (TSS)": the bit map ends where the one of I/O begins. */
#define TSS_IO_MAP		102
#define REDIRECTION_BYTES	32

/* --- the gate --- */

static int gate_fault(const struct delivery *delivery, unsigned int vector)
{
	return guest_fault(&delivery->guest, vector,
			   delivery->event->vector * 8U | ERROR_IDT | delivery->ext);
}

static bool is_task_gate(const struct delivery *delivery)
{
	return delivery->type == TYPE_TASK_GATE && !in_long_mode(&delivery->guest);
}

static int check_gate(const struct delivery *delivery, uint64_t low)
{
	bool wide = delivery->type == GATE_INTERRUPT || delivery->type == GATE_TRAP;
	bool narrow = delivery->type == GATE_INTERRUPT_16 || delivery->type == GATE_TRAP_16;

	if (!wide && !is_task_gate(delivery) && !(narrow && !in_long_mode(&delivery->guest)))
		return gate_fault(delivery, VECTOR_GP);
	if (event_is_software(delivery->event) &&
	    delivery->event->type != VEE_EVENT_PRIV_SOFT_EXCEPTION &&
	    delivery->dpl < guest_cpl(&delivery->guest))
		return gate_fault(delivery, VECTOR_GP);
	return low >> 47 & 1 ? 0 : gate_fault(delivery, VECTOR_NP);
}

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
	/* With S, which no gate has. */
	delivery->type = gate[0] >> 40 & (VEE_AR_TYPE | VEE_AR_S);
	delivery->dpl = gate[0] >> 45 & 3;
	delivery->ist = in_long_mode(guest) ? gate[0] >> 32 & GATE_IST : 0;
	if (!(delivery->type & GATE_WIDE_BIT))
		delivery->offset &= UINT16_MAX;
	delivery->item = in_long_mode(guest) ? 8 : delivery->type & GATE_WIDE_BIT ? 4 : 2;
	return check_gate(delivery, gate[0]);
}

/* --- without one --- */

/* SDM 3B, "Interrupt and Exception Handling": what is in the table in real mode. */
struct vector {
	uint16_t offset;
	uint16_t selector;
};

static int read_vector(struct delivery *delivery, uint64_t gva)
{
	const struct guest *guest = &delivery->guest;
	struct vector vector = { 0 };
	int err = guest_read_at(guest, gva, &vector, sizeof(vector));

	delivery->offset = vector.offset;
	delivery->type = GATE_INTERRUPT_16;
	delivery->item = sizeof(uint16_t);
	delivery->cs = guest->vcpu->page->segments.cs;
	delivery->cs.selector = vector.selector;
	delivery->cs.base = vector.selector * 16U;
	return err;
}

static int find_real_handler(struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	const struct vee_table *idtr = &guest->vcpu->page->segments.idtr;
	unsigned int at = delivery->event->vector * sizeof(struct vector);

	if (at + sizeof(struct vector) - 1 > idtr->limit)
		return guest_fault(guest, VECTOR_GP, 0);
	return read_vector(delivery, idtr->base + at);
}

/* One that is set has the handler in protected mode; so has all without CR4.VME. */
static int read_redirection(const struct delivery *delivery, bool *is_set)
{
	const struct guest *guest = &delivery->guest;
	uint8_t vector = delivery->event->vector, byte = 0;
	unsigned int at = vector / 8;
	uint16_t map = 0;
	int err;

	*is_set = true;
	if (!(guest->vcpu->page->control.cr4 & CR4_VME))
		return 0;
	if (!tss_has(delivery, TSS_IO_MAP, sizeof(map)))
		return guest_fault(guest, VECTOR_GP, 0);
	err = tss_read(delivery, TSS_IO_MAP, &map, sizeof(map));
	if (err)
		return err;
	if (map < REDIRECTION_BYTES || !tss_has(delivery, map - REDIRECTION_BYTES + at, 1))
		return guest_fault(guest, VECTOR_GP, 0);
	err = tss_read(delivery, map - REDIRECTION_BYTES + at, &byte, 1);
	*is_set = byte >> vector % 8 & 1;
	return err;
}

/* SDM 3B, "Software Interrupt Handling Methods While in Virtual-8086 Mode", table. */
static int redirect(struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	bool is_set;
	int err;

	if (!guest_is_virtual_8086(guest) || delivery->event->type != VEE_EVENT_SOFT_INTERRUPT)
		return 0;
	err = read_redirection(delivery, &is_set);
	if (err)
		return err;
	delivery->redirected = !is_set;
	return is_set && guest_iopl(guest) < 3 ? guest_fault(guest, VECTOR_GP, 0) : 0;
}

/* --- all of it --- */

/* What the handler finds cleared. */
static uint64_t cleared_flags(const struct delivery *delivery)
{
	const struct guest *guest = &delivery->guest;
	uint64_t cleared = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM;

	if (delivery->redirected)
		return RFLAGS_TF | RFLAGS_RF |
		       (guest_iopl(guest) == 3 ? RFLAGS_IF : RFLAGS_VIF);
	if (!(guest->vcpu->page->control.cr0 & CR0_PE))
		return RFLAGS_TF | RFLAGS_IF | RFLAGS_AC | RFLAGS_RF;
	return delivery->type & GATE_TRAP_BIT ? cleared : cleared | RFLAGS_IF;
}

static void leave_virtual_8086(struct vee_segments *segments)
{
	const struct vee_segment none = null_segment(0, 0);

	segments->ds = none;
	segments->es = none;
	segments->fs = none;
	segments->gs = none;
}

static void enter(const struct delivery *delivery)
{
	struct vee_vcpu_page *page = delivery->guest.vcpu->page;
	uint64_t cleared = cleared_flags(delivery);

	if (delivery->inner && guest_is_virtual_8086(&delivery->guest))
		leave_virtual_8086(&page->segments);
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

bool event_doubles(const struct vee_event *first, unsigned int second)
{
	if (first->type != VEE_EVENT_EXCEPTION)
		return false;
	return (is_contributory(first->vector) && is_contributory(second)) ||
	       (first->vector == VECTOR_PF && (second == VECTOR_PF || is_contributory(second)));
}

/*
 * The fault comes instead of the event, or both are one. -EOPNOTSUPP: nobody can take
 * it, and the CPU shall say so.
 */
static int fault_instead(const struct delivery *delivery)
{
	struct vee_vcpu_page *page = delivery->guest.vcpu->page;

	if (delivery->event->type == VEE_EVENT_EXCEPTION &&
	    delivery->event->vector == VECTOR_DF) {
		page->inject = (struct vee_event) { 0 };
		return -EOPNOTSUPP;
	}
	if (event_doubles(delivery->event, page->inject.vector))
		guest_fault(&delivery->guest, VECTOR_DF, 0);
	event_put_back(&page->events, delivery->event);
	page->events.delivering = (struct vee_event) { 0 };
	page->dirty |= VEE_STATE_EVENTS;
	return 0;
}

static int deliver(struct delivery *delivery)
{
	bool protected = delivery->guest.vcpu->page->control.cr0 & CR0_PE;
	int err = redirect(delivery);

	if (err)
		return err;
	if (delivery->redirected)
		err = read_vector(delivery, delivery->event->vector * sizeof(struct vector));
	else
		err = protected ? read_gate(delivery) : find_real_handler(delivery);
	if (err || (protected && is_task_gate(delivery)))
		return err;
	if (protected && !delivery->redirected)
		err = handler_find(delivery);
	if (!err)
		err = frame_find(delivery);
	if (!err && protected && !delivery->redirected)
		err = handler_check_entry(delivery);
	if (!err)
		err = frame_push(delivery);
	if (!err)
		err = descriptor_loaded(&delivery->guest, &delivery->cs);
	if (!err)
		err = descriptor_loaded(&delivery->guest, &delivery->ss);
	if (!err)
		enter(delivery);
	return err;
}

static struct delivery delivery_of(const struct guest *guest, const struct vee_event *event)
{
	struct delivery delivery = {
		.guest = *guest, .event = event,
		.ext = !event_is_software(event) ||
		       event->type == VEE_EVENT_PRIV_SOFT_EXCEPTION,
	};

	/* The stack of 64-bit code, whatever was interrupted. */
	delivery.guest.mode = in_long_mode(guest) ? 8 : 4;
	return delivery;
}

int event_try(const struct guest *guest, const struct vee_event *event)
{
	struct delivery delivery = delivery_of(guest, event);

	return deliver(&delivery);
}

/* The events must be valid. */
int deliver_event(const struct guest *guest)
{
	const struct vee_event event = guest->vcpu->page->events.delivering;
	struct delivery delivery;
	int err = guest_sync(guest);

	if (err)
		return err;
	delivery = delivery_of(guest, &event);
	err = deliver(&delivery);
	if (!err && guest->hits)
		err = trap_note(guest);
	if (!err && is_task_gate(&delivery))
		return task_switch(guest, TASK_BY_GATE, delivery.selector,
				   event.instruction_length);
	return err == GUEST_FAULTED ? fault_instead(&delivery) : err;
}
