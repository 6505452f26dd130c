// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The story of a triple fault: the first exception, as far as it can be found out, and
 * those after it, each with what kept it from its handler.
 */
#include "explain.h"

/* SDM 3D, appendix "Field Encoding in VMCS"; 3C, "VM-Entry Controls for Event Injection". */
#define ENTRY_INTERRUPTION_INFO	0x4016U
#define ENTRY_ERROR_CODE	0x4018U
#define INFO_VECTOR		0xffU
#define INFO_TYPE_SHIFT		8
#define INFO_TYPE		7U
#define INFO_ERROR_CODE		0x800U

/* No more than this: a benign one, two faults, #DF. */
#define STEPS_MAX	6

static const struct vee_event double_fault = {
	.vector = VECTOR_DF, .type = VEE_EVENT_EXCEPTION,
	.flags = VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE,
};

/* What comes of a delivery that failed. */
static struct vee_event next_of(const struct vee_event *event, const struct vee_event *fault)
{
	return event_doubles(event, fault->vector) ? double_fault : *fault;
}

static void say_failure(struct text *text, const struct vee_event *event, const char *reason)
{
	char name[CLAUSE_BYTES];

	event_name(event, name);
	say(text, "  %.40s is not delivered: %s", name, reason);
}

/* Where it can't go on, and so the story may be another. */
static void say_doubt(struct text *text, const struct vee_event *event, int err)
{
	char name[CLAUSE_BYTES];

	event_name(event, name);
	if (err)
		say(text, "  %.40s: its delivery goes by what the VM has no memory for", name);
	else
		say(text, "  %.40s would be delivered, as the guest's memory is now", name);
}

/* From @event on to the end; true: it is that of a triple fault. */
static bool say_deliveries(struct text *text, struct scratch *scratch, struct vee_event event)
{
	char reason[CLAUSE_BYTES];

	for (unsigned int i = 0; i < STEPS_MAX; i++) {
		int err = delivery_try(scratch, &event, reason);

		if (err != GUEST_FAULTED) {
			say_doubt(text, &event, err);
			return false;
		}
		say_failure(text, &event, reason);
		if (event.type == VEE_EVENT_EXCEPTION && event.vector == VECTOR_DF)
			return true;
		event = next_of(&event, &scratch->page.inject);
	}
	return false;
}

/* CR2 has the address of the last page fault, and no other. */
static void check_cr2(struct text *text, const struct scratch *scratch)
{
	if (scratch->page.control.cr2 != scratch->cr2)
		say(text, "  but CR2 is %#llx: the last page fault was another one",
		    U(scratch->cr2));
}

static void say_cause(struct text *text, const struct scratch *scratch,
		      const struct cause *cause)
{
	char name[CLAUSE_BYTES];

	event_name(&cause->event, name);
	say(text, "  first %.40s, by trying the instruction: %s", name, cause->words);
	if (cause->walked)
		tables_say(text, scratch);
}

/* What the last VM entry that injected something did; valid no longer after the exit. */
static bool last_injected(struct scratch *scratch, struct vee_event *event)
{
	uint64_t info, error = 0;

	if (vee_vcpu_vmcs_read(&scratch->vcpu, ENTRY_INTERRUPTION_INFO, &info) || !info)
		return false;
	if (info & INFO_ERROR_CODE &&
	    vee_vcpu_vmcs_read(&scratch->vcpu, ENTRY_ERROR_CODE, &error))
		return false;
	*event = (struct vee_event) {
		.vector = info & INFO_VECTOR, .type = info >> INFO_TYPE_SHIFT & INFO_TYPE,
		.flags = VEE_EVENT_VALID | (info & INFO_ERROR_CODE ? VEE_EVENT_ERROR_CODE : 0),
		.error_code = error,
	};
	return true;
}

static void say_injected(struct text *text, struct scratch *scratch)
{
	struct vee_event event;
	char name[CLAUSE_BYTES];

	if (!last_injected(scratch, &event)) {
		say(text, "  which exception came first isn't known: the instruction raises none");
		event = double_fault;
	} else {
		event_name(&event, name);
		say(text, "  the instruction raises none; last injected was %.40s",
		    name);
	}
	say_deliveries(text, scratch, event);
}

void fault_say(struct text *text, struct scratch *scratch)
{
	struct cause cause;

	if (!cause_find(scratch, &cause)) {
		say_injected(text, scratch);
		return;
	}
	say_cause(text, scratch, &cause);
	if (say_deliveries(text, scratch, cause.event))
		check_cr2(text, scratch);
}
