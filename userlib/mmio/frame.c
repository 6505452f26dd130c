// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the delivery of an event, or a call through a gate, leaves on which stack. */
#include "delivery.h"

/* SDM 3A, "Task-State Segment": where the stacks of the inner levels are. */
#define TSS_RSP0	4
#define TSS_IST1	36
#define TSS_32_ESP0	4
#define TSS_32_STEP	8
#define TSS_16_SP0	2
#define TSS_16_STEP	4
#define TSS_WIDE_BIT	8	/* of the type */

#define FRAME_ALIGN	15ULL

/* A call's parameters, IP, CS, SP and SS: more than an event has. */
#define ITEMS_MAX	(PARAMETERS_MAX + 4)

bool event_is_software(const struct vee_event *event)
{
	return event->type == VEE_EVENT_SOFT_INTERRUPT ||
	       event->type == VEE_EVENT_PRIV_SOFT_EXCEPTION ||
	       event->type == VEE_EVENT_SOFT_EXCEPTION;
}

/* --- the task-state segment --- */

bool tss_has(const struct delivery *delivery, unsigned int at, unsigned int bytes)
{
	return at + bytes - 1 <= delivery->guest.vcpu->page->segments.tr.limit;
}

int tss_read(const struct delivery *delivery, unsigned int at, void *data,
	     unsigned int bytes)
{
	const struct vee_segment *tr = &delivery->guest.vcpu->page->segments.tr;

	if (!tss_has(delivery, at, bytes))
		return guest_fault(&delivery->guest, VECTOR_TS,
				   (tr->selector & ~SELECTOR_RPL) | delivery->ext);
	return guest_read_at(&delivery->guest, tr->base + at, data, bytes);
}

/* --- the stack --- */

static int find_long_stack(struct delivery *delivery)
{
	unsigned int level = delivery->cs.selector & SELECTOR_RPL;
	unsigned int at = TSS_RSP0 + level * sizeof(uint64_t);
	int err = 0;

	if (delivery->ist)
		at = TSS_IST1 + (delivery->ist - 1) * sizeof(uint64_t);
	if (delivery->ist || delivery->inner)
		err = tss_read(delivery, at, &delivery->rsp, sizeof(delivery->rsp));
	if (err)
		return err;
	if (delivery->inner)
		delivery->ss = null_segment(level, level);
	if (delivery->event)
		delivery->rsp &= ~FRAME_ALIGN;
	delivery->stack_mask = UINT64_MAX;
	return 0;
}

static int find_inner_stack(struct delivery *delivery)
{
	const struct blame blame = { .vector = VECTOR_TS, .ext = delivery->ext };
	uint32_t type = delivery->guest.vcpu->page->segments.tr.access_rights & VEE_AR_TYPE;
	unsigned int level = delivery->cs.selector & SELECTOR_RPL;
	bool wide = type & TSS_WIDE_BIT;
	unsigned int bytes = wide ? sizeof(uint32_t) : sizeof(uint16_t);
	unsigned int at = wide ? TSS_32_ESP0 + level * TSS_32_STEP :
				 TSS_16_SP0 + level * TSS_16_STEP;
	uint16_t selector = 0;
	int err;

	delivery->rsp = 0;
	err = tss_read(delivery, at, &delivery->rsp, bytes);
	if (!err)
		err = tss_read(delivery, at + bytes, &selector, sizeof(selector));
	if (err)
		return err;
	if (selector_is_null(selector))
		return guest_fault(&delivery->guest, VECTOR_TS, delivery->ext);
	return check_stack_descriptor(&delivery->guest, selector, level, &blame, &delivery->ss);
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

/* --- what goes there --- */

/* SDM 3B, "Instruction-Breakpoint Exception Condition": faults have RF in their frame. */
static uint64_t frame_flags(const struct delivery *delivery)
{
	const struct vee_event *event = delivery->event;
	uint64_t rflags = delivery->guest.vcpu->page->regs.rflags;

	if (event->type == VEE_EVENT_EXCEPTION && event->vector != VECTOR_DB &&
	    event->vector != VECTOR_DF && event->vector != VECTOR_MC)
		rflags |= RFLAGS_RF;
	if (!delivery->redirected || guest_iopl(&delivery->guest) == 3)
		return rflags;
	/* The 8086 program's IF is VIF, and its IOPL seems to be 3. */
	rflags &= ~RFLAGS_IF;
	return rflags | RFLAGS_IOPL | (rflags & RFLAGS_VIF ? RFLAGS_IF : 0);
}

static unsigned int list_call(const struct delivery *delivery, uint64_t *items)
{
	const struct vee_vcpu_page *page = delivery->guest.vcpu->page;
	unsigned int count = 0;

	if (delivery->inner) {
		items[count++] = page->segments.ss.selector;
		items[count++] = page->regs.rsp;
	}
	for (unsigned int i = 0; delivery->inner && i < delivery->parameter_count; i++)
		items[count++] = delivery->parameters[i];
	items[count++] = page->segments.cs.selector;
	items[count++] = delivery->next;
	return count;
}

static unsigned int list_event(const struct delivery *delivery, uint64_t *items)
{
	const struct vee_vcpu_page *page = delivery->guest.vcpu->page;
	unsigned int count = 0;
	uint64_t rip = page->regs.rip;

	if (event_is_software(delivery->event))
		rip += delivery->event->instruction_length;
	if (delivery->inner && guest_is_virtual_8086(&delivery->guest)) {
		items[count++] = page->segments.gs.selector;
		items[count++] = page->segments.fs.selector;
		items[count++] = page->segments.ds.selector;
		items[count++] = page->segments.es.selector;
	}
	if (delivery->inner || in_long_mode(&delivery->guest)) {
		items[count++] = page->segments.ss.selector;
		items[count++] = page->regs.rsp;
	}
	items[count++] = frame_flags(delivery);
	items[count++] = page->segments.cs.selector;
	items[count++] = rip;
	if (delivery->event->flags & VEE_EVENT_ERROR_CODE)
		items[count++] = delivery->event->error_code;
	return count;
}

/* In the order of pushing; how many. */
static unsigned int list_items(const struct delivery *delivery, uint64_t *items)
{
	return delivery->event ? list_event(delivery, items) : list_call(delivery, items);
}

static uint64_t item_offset(const struct delivery *delivery, unsigned int number)
{
	return (delivery->rsp - (number + 1) * delivery->item) & delivery->stack_mask;
}

static bool has_item(const struct delivery *delivery, unsigned int number)
{
	uint64_t offset = item_offset(delivery, number);

	if (in_long_mode(&delivery->guest))
		return guest_is_canonical(&delivery->guest, offset, delivery->item);
	return segment_reaches(&delivery->ss, offset, delivery->item);
}

static bool is_misaligned(const struct delivery *delivery)
{
	return !delivery->inner && delivery->dpl == 3 && delivery->rsp & (delivery->item - 1) &&
	       guest_checks_alignment(&delivery->guest);
}

/* All of it, before any of it is pushed. */
static int check_room(const struct delivery *delivery)
{
	uint32_t selector = delivery->inner ? delivery->ss.selector & ~SELECTOR_RPL : 0;
	uint64_t items[ITEMS_MAX];
	unsigned int count = list_items(delivery, items);

	for (unsigned int i = 0; i < count; i++)
		if (!has_item(delivery, i))
			return guest_fault(&delivery->guest, VECTOR_SS, selector | delivery->ext);
	return is_misaligned(delivery) ?
	       guest_fault(&delivery->guest, VECTOR_AC, delivery->ext) : 0;
}

int frame_find(struct delivery *delivery)
{
	int err = find_stack(delivery);

	return err ? err : check_room(delivery);
}

static int push(const struct delivery *delivery, uint64_t offset, uint64_t value)
{
	unsigned int access = VEE_WRITE | (delivery->inner ? GUEST_INNER : 0);
	struct guest_span span;
	uint64_t gva = offset;
	int err;

	if (!in_long_mode(&delivery->guest))
		gva = (uint32_t)(delivery->ss.base + offset);
	trap_access(&delivery->guest, gva, delivery->item, VEE_WRITE);
	err = guest_find(&delivery->guest, gva, delivery->item, access, &span);
	return err ? err : guest_write(&delivery->guest, &span, &value, delivery->item);
}

int frame_push(struct delivery *delivery)
{
	uint64_t items[ITEMS_MAX];
	unsigned int count = list_items(delivery, items);
	int err = 0;

	for (unsigned int i = 0; !err && i < count; i++)
		err = push(delivery, item_offset(delivery, i), items[i]);
	if (!err)
		delivery->rsp = (delivery->rsp & ~delivery->stack_mask) |
				item_offset(delivery, count - 1);
	return err;
}
