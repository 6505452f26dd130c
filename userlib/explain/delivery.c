// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Why an event's delivery fails: it is tried on a copy, and the fault on the way told by
 * what it leaves (SDM 3A, chapter "Interrupt and Exception Handling").
 */
#include "../mmio/delivery.h"
#include "explain.h"

#define ERROR_EXT	0x1U

#define GATE_TYPE_SHIFT		40
#define GATE_SELECTOR_SHIFT	16
#define REAL_VECTOR_BYTES	4

void event_name(const struct vee_event *event, char *words)
{
	static const char *const names[] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL, "#TS",
		"#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	};
	const unsigned int count = sizeof(names) / sizeof(*names);

	if (event->type == VEE_EVENT_INTERRUPT)
		snprintf(words, CLAUSE_BYTES, "interrupt %#x", event->vector);
	else if (event->type == VEE_EVENT_SOFT_INTERRUPT)
		snprintf(words, CLAUSE_BYTES, "INT %#x", event->vector);
	else if (event->vector >= count || !names[event->vector])
		snprintf(words, CLAUSE_BYTES, "exception %u", event->vector);
	else if (event->flags & VEE_EVENT_ERROR_CODE && event->vector != VECTOR_DF)
		snprintf(words, CLAUSE_BYTES, "%s(%#x)", names[event->vector],
			 event->error_code);
	else
		snprintf(words, CLAUSE_BYTES, "%s", names[event->vector]);
}

static unsigned int gate_bytes(const struct scratch *scratch)
{
	if (!(scratch->page.control.cr0 & CR0_PE))
		return REAL_VECTOR_BYTES;
	return in_long_mode(&scratch->guest) ? 16 : 8;
}

static uint64_t gate_gva(const struct scratch *scratch, const struct vee_event *event)
{
	return scratch->page.segments.idtr.base + event->vector * gate_bytes(scratch);
}

static bool is_beyond(const struct scratch *scratch, const struct vee_event *event)
{
	unsigned int bytes = gate_bytes(scratch);

	return event->vector * bytes + bytes - 1 > scratch->page.segments.idtr.limit;
}

static void say_beyond(const struct scratch *scratch, const struct vee_event *event,
		       char *words)
{
	const struct vee_table *idtr = &scratch->page.segments.idtr;

	snprintf(words, CLAUSE_BYTES, "IDT entry %u is beyond the IDT's limit %#x (base %#llx)",
		 event->vector, idtr->limit, U(idtr->base));
}

/* --- page faults --- */

static bool is_in(uint64_t gva, uint64_t base, uint64_t bytes)
{
	return gva - base < bytes;
}

static const char *place_of(const struct scratch *scratch, const struct vee_event *event,
			    uint64_t gva)
{
	const struct vee_segments *segments = &scratch->page.segments;

	if (is_in(gva, gate_gva(scratch, event), gate_bytes(scratch)))
		return "IDT entry";
	if (is_in(gva, segments->gdtr.base, segments->gdtr.limit + 1ULL))
		return "GDT entry";
	if (is_in(gva, segments->tr.base, segments->tr.limit + 1ULL))
		return "TSS";
	if (is_in(gva, segments->ldtr.base, segments->ldtr.limit + 1ULL))
		return "LDT entry";
	return "stack";
}

static void on_page_fault(const struct scratch *scratch, const struct vee_event *event,
			  char *words)
{
	const struct vee_event *fault = &scratch->page.inject;
	uint64_t gva = scratch->page.control.cr2;
	char reason[CLAUSE_BYTES];

	tables_reason(scratch, fault->error_code, reason);
	snprintf(words, CLAUSE_BYTES, "its %s is at gva %#llx: %.100s",
		 place_of(scratch, event, gva), U(gva), reason);
}

/* --- gates --- */

static uint64_t read_gate(struct scratch *scratch, const struct vee_event *event)
{
	uint64_t gate = 0;

	guest_read_at(&scratch->guest, gate_gva(scratch, event), &gate, sizeof(gate));
	return gate;
}

static const char *gate_reason(const struct scratch *scratch, uint64_t gate)
{
	bool wide = in_long_mode(&scratch->guest);

	if (!gate)
		return "is empty";
	if (scratch->page.inject.vector == VECTOR_NP)
		return "is not present";
	switch (gate >> GATE_TYPE_SHIFT & (VEE_AR_TYPE | VEE_AR_S)) {
	case GATE_INTERRUPT_16:
	case GATE_TRAP_16:
		return wide ? "is a gate of 16 bits, which long mode doesn't have" :
			      "has a DPL below the CPL of the instruction";
	case TYPE_TASK_GATE:
		return wide ? "is a task gate, which long mode doesn't have" :
			      "has a DPL below the CPL of the instruction";
	case GATE_INTERRUPT:
	case GATE_TRAP:
		return "has a DPL below the CPL of the instruction";
	default:
		return "is no interrupt, trap or task gate";
	}
}

static void on_gate(struct scratch *scratch, const struct vee_event *event, char *words)
{
	struct vee_event fault = scratch->page.inject;
	uint64_t gate;

	if (is_beyond(scratch, event)) {
		say_beyond(scratch, event, words);
		return;
	}
	gate = read_gate(scratch, event);
	scratch->page.inject = fault;
	snprintf(words, CLAUSE_BYTES, "IDT entry %u at gva %#llx, %#llx, %s", event->vector,
		 U(gate_gva(scratch, event)), U(gate), gate_reason(scratch, gate));
}

/* --- what the gate leads to --- */

static const char *code_reason(const struct scratch *scratch, bool there, uint32_t rights)
{
	if (!there)
		return "is beyond its table's limit";
	if (!(rights & VEE_AR_S))
		return "is no code segment, but a system segment or empty";
	if (!is_code(rights))
		return "is no code segment, but data";
	if (in_long_mode(&scratch->guest) && !(rights & VEE_AR_L))
		return "is no 64-bit code (L is 0)";
	if (in_long_mode(&scratch->guest) && rights & VEE_AR_DB)
		return "has both L and D/B set";
	if (!(rights & VEE_AR_PRESENT))
		return "is not present";
	return "has a DPL that the interrupted code can't go to";
}

static void on_selector(struct scratch *scratch, char *words)
{
	struct vee_event fault = scratch->page.inject;
	uint16_t selector = fault.error_code & ~SELECTOR_RPL;
	struct descriptor descriptor;
	bool there = false;
	uint32_t rights;
	int err = descriptor_look(&scratch->guest, selector, &descriptor, &there);

	scratch->page.inject = fault;
	rights = descriptor_rights(&descriptor);
	snprintf(words, CLAUSE_BYTES, "the gate's CS, %#x (descriptor %#llx), %s", selector,
		 U(descriptor.low), err ? "can't be read" : code_reason(scratch, there, rights));
}

static void on_protection(struct scratch *scratch, const struct vee_event *event, char *words)
{
	uint32_t error = scratch->page.inject.error_code;

	if (error & ERROR_IDT) {
		on_gate(scratch, event, words);
	} else if (error & ~(ERROR_EXT | ERROR_IDT)) {
		on_selector(scratch, words);
	} else {
		uint64_t gate = read_gate(scratch, event);

		snprintf(words, CLAUSE_BYTES, "%s (IDT entry %u is %#llx)",
			 selector_is_null(gate >> GATE_SELECTOR_SHIFT) ?
			 "the gate's CS is null" : "the gate's offset is outside of its CS",
			 event->vector, U(gate));
	}
}

static void on_stack(const struct scratch *scratch, char *words)
{
	const struct vee_segments *segments = &scratch->page.segments;
	unsigned int vector = scratch->page.inject.vector;

	if (vector == VECTOR_TS)
		snprintf(words, CLAUSE_BYTES,
			 "the TSS at gva %#llx, limit %#x, has no valid stack for the handler",
			 U(segments->tr.base), segments->tr.limit);
	else if (vector == VECTOR_AC)
		snprintf(words, CLAUSE_BYTES, "its stack is not aligned");
	else
		snprintf(words, CLAUSE_BYTES,
			 "its stack is outside of SS or not canonical (RSP is %#llx)",
			 U(scratch->page.regs.rsp));
}

static void find_reason(struct scratch *scratch, const struct vee_event *event, char *words)
{
	struct vee_event fault = scratch->page.inject;

	if (fault.vector == VECTOR_PF)
		on_page_fault(scratch, event, words);
	else if (fault.vector != VECTOR_GP && fault.vector != VECTOR_NP)
		on_stack(scratch, words);
	else if (gate_bytes(scratch) == REAL_VECTOR_BYTES)
		say_beyond(scratch, event, words);
	else
		on_protection(scratch, event, words);
	scratch->page.inject = fault;
}

int delivery_try(struct scratch *scratch, const struct vee_event *event, char *words)
{
	struct vee_vcpu_page before = scratch->page;
	int err;

	scratch->page.inject = (struct vee_event) { 0 };
	err = event_try(&scratch->guest, event);
	if (err != GUEST_FAULTED) {
		scratch->page = before;
		return err;
	}
	find_reason(scratch, event, words);
	return GUEST_FAULTED;
}
