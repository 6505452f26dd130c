// SPDX-License-Identifier: LGPL-2.1-or-later
/* A vCPU's last exits, if they are kept. */
#include <stdlib.h>

#include "explain.h"

/*
 * @what: the port, the guest-physical address, the MSR...
 * @again: its run began at the instruction of the exit before, which nobody had answered
 */
struct kept {
	uint64_t rip;
	uint64_t what;
	uint32_t reason;
	uint32_t hardware_reason;
	bool rip_known;
	bool is_write;
	bool again;
};

/* @again: of the run under way. */
struct exits {
	uint64_t count;
	bool again;
	struct kept kept[VEE_KEPT_EXITS];
};

/* --- keeping them --- */

int vee_vcpu_keep_exits(struct vee_vcpu *vcpu)
{
	if (!vcpu->exits)
		vcpu->exits = calloc(1, sizeof(struct exits));
	return vcpu->exits ? 0 : -ENOMEM;
}

/* Has its instruction to be done by somebody? */
static bool is_question(const struct vee_exit *exit)
{
	return exit->instruction_length || exit->reason == VEE_EXIT_MMIO ||
	       exit->reason == VEE_EXIT_MEMORY;
}

void exits_begin(struct vee_vcpu *vcpu)
{
	const struct vee_vcpu_page *page = vcpu->page;
	struct exits *exits = vcpu->exits;

	exits->again = exits->count && page->resume == VEE_RESUME_HERE &&
		       is_question(&page->exit) && !(page->dirty & VEE_STATE_REGS) &&
		       !(page->inject.flags & VEE_EVENT_VALID);
}

static uint64_t what_of(const struct vee_exit *exit)
{
	switch (exit->reason) {
	case VEE_EXIT_PIO:
		return exit->pio.port;
	case VEE_EXIT_MMIO:
	case VEE_EXIT_MEMORY:
		return exit->memory.gpa;
	case VEE_EXIT_RDMSR:
	case VEE_EXIT_WRMSR:
		return exit->msr.index;
	case VEE_EXIT_CPUID:
		return exit->cpuid.leaf;
	default:
		return 0;
	}
}

static bool is_write(const struct vee_exit *exit)
{
	if (exit->reason == VEE_EXIT_PIO)
		return exit->pio.direction == VEE_PIO_OUT;
	return (exit->reason == VEE_EXIT_MMIO || exit->reason == VEE_EXIT_MEMORY) &&
	       exit->memory.access & VEE_WRITE;
}

void exits_end(struct vee_vcpu *vcpu)
{
	const struct vee_vcpu_page *page = vcpu->page;
	struct exits *exits = vcpu->exits;

	exits->kept[exits->count++ % VEE_KEPT_EXITS] = (struct kept) {
		.rip = page->regs.rip,
		.what = what_of(&page->exit),
		.reason = page->exit.reason,
		.hardware_reason = page->exit.hardware_reason,
		.rip_known = vcpu_has(vcpu, VEE_STATE_REGS),
		.is_write = is_write(&page->exit),
		.again = exits->again,
	};
}

/* --- telling of them --- */

/* The one @ago before the last; NULL: it is not kept. */
static const struct kept *look(const struct exits *exits, unsigned int ago)
{
	if (ago >= VEE_KEPT_EXITS || ago >= exits->count)
		return NULL;
	return &exits->kept[(exits->count - 1 - ago) % VEE_KEPT_EXITS];
}

static bool is_same(const struct kept *a, const struct kept *b)
{
	return a->reason == b->reason && a->hardware_reason == b->hardware_reason &&
	       a->rip == b->rip && a->what == b->what && a->is_write == b->is_write;
}

/* How many in a row are the same as the one @ago before the last. */
static unsigned int count_same(const struct exits *exits, unsigned int ago)
{
	const struct kept *first = look(exits, ago), *next = first;
	unsigned int count = 0;

	while (next && is_same(first, next))
		next = look(exits, ago + ++count);
	return count;
}

static unsigned int count_again(const struct exits *exits)
{
	const struct kept *last = look(exits, 0), *next = last;
	unsigned int count = 0;

	while (next && next->again && is_same(last, next))
		next = look(exits, ++count);
	return count;
}

static int name_kept(const struct kept *kept, unsigned int times, char *words, size_t room)
{
	static const char *const units[] = {
		[VEE_EXIT_PIO] = " port", [VEE_EXIT_MMIO] = " gpa", [VEE_EXIT_MEMORY] = " gpa",
		[VEE_EXIT_RDMSR] = "", [VEE_EXIT_WRMSR] = "", [VEE_EXIT_CPUID] = " leaf",
	};
	bool known = kept->reason < sizeof(units) / sizeof(*units) && units[kept->reason];
	char what[40] = "", at[32] = "", count[24] = "";

	if (known)
		snprintf(what, sizeof(what), "%s%s %#llx", kept->is_write ? " write" : "",
			 units[kept->reason], U(kept->what));
	if (kept->rip_known)
		snprintf(at, sizeof(at), " at %#llx", U(kept->rip));
	if (times > 1)
		snprintf(count, sizeof(count), ", %u times", times);
	return snprintf(words, room, "%s%s%s%s", vee_exit_name(kept->reason), what, at, count);
}

/* What fits in one line. */
static void say_before(struct text *text, const struct exits *exits)
{
	char words[CLAUSE_BYTES] = "";
	unsigned int ago = 1, times;
	size_t used = 0;

	for (const struct kept *kept; (kept = look(exits, ago)); ago += times) {
		char one[CLAUSE_BYTES];
		size_t length;

		times = count_same(exits, ago);
		length = name_kept(kept, times, one, sizeof(one));
		if (used + length + 2 > BEFORE_COLUMNS)
			break;
		used += snprintf(words + used, sizeof(words) - used, "%s%s", used ? "; " : "", one);
	}
	if (used)
		say(text, "  before that: %s", words);
}

void exits_say(struct text *text, const struct vee_vcpu *vcpu)
{
	const struct exits *exits = vcpu->exits;
	unsigned int again;

	if (!exits)
		return;
	again = count_again(exits);
	if (again)
		say(text, "  run again %u time%s without an answer: is vee_done() missing?", again,
		    again == 1 ? "" : "s");
	say_before(text, exits);
}

int vee_dump_exits(struct vee_vcpu *vcpu, FILE *out)
{
	const struct exits *exits = vcpu->exits;
	unsigned int ago = 0, times;
	char words[CLAUSE_BYTES];

	if (!exits)
		return -ENOENT;
	for (const struct kept *kept; (kept = look(exits, ago)); ago += times) {
		times = count_same(exits, ago);
		name_kept(kept, times, words, sizeof(words));
		fprintf(out, "  %s\n", words);
	}
	return 0;
}
