// SPDX-License-Identifier: LGPL-2.1-or-later
/* Registers, for people. */
#include "explain.h"

#define APIC_VECTORS	256
/* All of them listed. */
#define VECTORS_BYTES	(APIC_VECTORS * 3 + 1)

static void say_segment(struct text *text, const char *name,
			const struct vee_segment *segment)
{
	say(text, "  %-4s %04x  base %016llx  limit %08x  access rights %05x%s", name,
	    segment->selector, U(segment->base), segment->limit, segment->access_rights,
	    segment->access_rights & VEE_AR_UNUSABLE ? " (unusable)" : "");
}

static void say_general(struct text *text, const struct vee_regs *regs)
{
	static const char *const names[] = {
		"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
		"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
	};

	say(text, "  RIP %016llx  RFLAGS %08llx", U(regs->rip), U(regs->rflags));
	for (int i = 0; i < 16; i += 4)
		say(text, "  %-3s %016llx  %-3s %016llx  %-3s %016llx  %-3s %016llx",
		    names[i], U(regs->gpr[i]), names[i + 1], U(regs->gpr[i + 1]),
		    names[i + 2], U(regs->gpr[i + 2]), names[i + 3], U(regs->gpr[i + 3]));
}

static void say_control(struct text *text, const struct vee_control *control)
{
	say(text, "  CR0 %08llx  CR2 %016llx  CR3 %016llx  CR4 %08llx  EFER %04llx",
	    U(control->cr0), U(control->cr2), U(control->cr3), U(control->cr4),
	    U(control->efer));
}

void registers_say(struct text *text, const struct vee_vcpu_page *page)
{
	say_general(text, &page->regs);
	say_segment(text, "CS", &page->segments.cs);
	say_segment(text, "SS", &page->segments.ss);
	say_control(text, &page->control);
}

static void say_all(struct text *text, const struct vee_vcpu_page *page)
{
	const struct vee_segments *segments = &page->segments;
	const struct vee_debug *debug = &page->debug;

	say_general(text, &page->regs);
	say_segment(text, "ES", &segments->es);
	say_segment(text, "CS", &segments->cs);
	say_segment(text, "SS", &segments->ss);
	say_segment(text, "DS", &segments->ds);
	say_segment(text, "FS", &segments->fs);
	say_segment(text, "GS", &segments->gs);
	say_segment(text, "LDTR", &segments->ldtr);
	say_segment(text, "TR", &segments->tr);
	say(text, "  GDTR base %016llx  limit %04x  IDTR base %016llx  limit %04x",
	    U(segments->gdtr.base), segments->gdtr.limit, U(segments->idtr.base),
	    segments->idtr.limit);
	say_control(text, &page->control);
	say(text, "  CR8 %llx  XCR0 %llx  DR6 %llx  DR7 %llx", U(page->control.cr8),
	    U(page->control.xcr0), U(debug->dr6), U(debug->dr7));
	say(text, "  DR0 %016llx  DR1 %016llx  DR2 %016llx  DR3 %016llx", U(debug->dr[0]),
	    U(debug->dr[1]), U(debug->dr[2]), U(debug->dr[3]));
}

/* Of 256 bits: those that are set, by number. */
static void list_vectors(char *list, size_t room, const uint32_t *words)
{
	size_t used = 0;

	snprintf(list, room, " none");
	for (unsigned int i = 0; i < APIC_VECTORS && used < room; i++)
		if (words[i / 32] >> i % 32 & 1)
			used += snprintf(list + used, room - used, " %02x", i);
}

static void say_apic(struct text *text, const struct vee_apic *apic)
{
	char requested[VECTORS_BYTES], in_service[VECTORS_BYTES];

	list_vectors(requested, sizeof(requested), apic->irr);
	list_vectors(in_service, sizeof(in_service), apic->isr);
	say(text, "  APIC base %08llx  SVR %03x  TPR %02x  ICR %016llx%s", U(apic->base),
	    apic->svr, apic->tpr, U(apic->icr),
	    apic->start & VEE_APIC_WAITS_FOR_SIPI ? "  waits for SIPI" : "");
	say(text, "  APIC requested:%s; in service:%s", requested, in_service);
}

int vee_dump_registers(struct vee_vcpu *vcpu, FILE *out)
{
	struct text text = { .out = out, .left = UINT32_MAX };
	bool has_apic = vm_has_apics(vcpu->vm);
	int err = vee_vcpu_sync(vcpu, VEE_STATE_REGS | VEE_STATE_SEGMENTS |
				VEE_STATE_CONTROL | VEE_STATE_DEBUG |
				(has_apic ? VEE_STATE_APIC : 0));

	if (!err)
		say_all(&text, vcpu->page);
	if (!err && has_apic)
		say_apic(&text, &vcpu->page->apic);
	return err;
}
