// SPDX-License-Identifier: LGPL-2.1-or-later
/* A run that failed: of what can't be so, which member of the vCPU page it is, and why. */
#include <stddef.h>

#include "explain.h"

#define LIMIT_MAX	0xffffU

struct member {
	unsigned int offset;
	unsigned int bytes;
	const char *name;
	const char *group;
	const char *words;
};

#define MEMBER(path, group, words)				\
	{ offsetof(struct vee_vcpu_page, path),			\
	  sizeof(((struct vee_vcpu_page *)0)->path), #path, group, words }

/* What is wrong with a member that the module has refused. */
static const struct member members[] = {
	MEMBER(tpr_threshold, NULL, "at most 15, and 0 with a local APIC"),
	MEMBER(prefetch, NULL, "VEE_STATE_ bits and VEE_PREFETCH_INSN alone"),
	MEMBER(dirty, NULL, "VEE_STATE_ bits alone"),
	MEMBER(intercept, NULL, "VEE_INTERCEPT_ bits alone, and such as this CPU can"),
	MEMBER(resume, NULL, "VEE_RESUME_NEXT takes an exit of an instruction, and RIP as it was"),
	MEMBER(options, NULL, "VEE_OPTION_ bits alone, HLT_MASKED_SLEEPS not without HLT_SLEEPS"),
	MEMBER(inject, NULL, "no such event: vector, type, error code or instruction length"),
	MEMBER(segments.gdtr.limit, "SEGMENTS", "a limit is below 65536"),
	MEMBER(segments.idtr.limit, "SEGMENTS", "a limit is below 65536"),
	MEMBER(control.cr0, "CONTROL", "a reserved bit is set"),
	MEMBER(control.cr3, "CONTROL", "of PAE's PDPTEs there one has reserved bits, or no memory"),
	MEMBER(control.cr4, "CONTROL", "VMXE, or a bit that the vCPU's CPUID doesn't offer"),
	MEMBER(control.cr8, "CONTROL", "at most 15"),
	MEMBER(control.efer, "CONTROL", "a bit but SCE, LME, LMA, NXE, or not in the vCPU's CPUID"),
	MEMBER(control.xcr0, "CONTROL", "not of vee_info.xcr0 or of CPUID, or no valid set"),
	MEMBER(debug.dr6, "DEBUG", "bits 63:32 must be 0"),
	MEMBER(debug.dr7, "DEBUG", "bits 63:32 must be 0"),
	MEMBER(msrs.lstar, "MSRS", "not canonical"),
	MEMBER(msrs.cstar, "MSRS", "not canonical"),
	MEMBER(msrs.sfmask, "MSRS", "bits 63:32 must be 0"),
	MEMBER(msrs.kernel_gs_base, "MSRS", "not canonical"),
	MEMBER(msrs.sysenter_cs, "MSRS", "bits 63:32 must be 0"),
	MEMBER(msrs.tsc_aux, "MSRS", "bits 63:32 must be 0"),
	MEMBER(events.interruptibility, "EVENTS", "VEE_BLOCKING_ bits alone"),
	MEMBER(events.activity, "EVENTS", "VEE_ACTIVITY_ACTIVE or VEE_ACTIVITY_HLT"),
	MEMBER(events.pending_debug, "EVENTS", "bit 16 (RTM) can't be set"),
	MEMBER(events.delivering, "EVENTS", "no such event: vector, type, error code or length"),
	MEMBER(events.interrupt, "EVENTS", "an external interrupt alone"),
	MEMBER(events.nmi, "EVENTS", "an NMI alone"),
	MEMBER(apic.base, "APIC", "bits 7:0, or a mode that there is not: CPUID may lack x2APIC"),
	MEMBER(apic.tpr, "APIC", "bits 31:8 must be 0"),
	MEMBER(apic.start, "APIC", "VEE_APIC_WAITS_FOR_SIPI, _INIT, _SIPI alone"),
	MEMBER(apic.sipi_vector, "APIC", "bits 31:8 must be 0"),
	MEMBER(apic.eoi, "APIC", "VEE_APIC_EOI and a vector alone"),
};

static const struct member *find(unsigned int offset)
{
	for (unsigned int i = 0; i < sizeof(members) / sizeof(*members); i++)
		if (members[i].offset == offset)
			return &members[i];
	return NULL;
}

#define OF_STATE(member) \
	{ VEE_REFUSED_STATE + offsetof(struct vee_vcpu_state, member), 0, #member, NULL, NULL }

/* Of VEE_VCPU_LOAD and _SAVE alone. */
static const struct member of_state[] = {
	OF_STATE(parts), OF_STATE(skip), OF_STATE(xsave), OF_STATE(cpuid), OF_STATE(xsave_bytes),
	OF_STATE(debugctl), OF_STATE(sent_interrupt), OF_STATE(sent_nmi),
};

const char *refusal_name(unsigned int refused)
{
	const struct member *member = find(refused);

	for (unsigned int i = 0; !member && i < sizeof(of_state) / sizeof(*of_state); i++)
		if (of_state[i].offset == refused)
			member = &of_state[i];
	return member ? member->name : NULL;
}

/* For those that more can be said of. */
static const char *reason_of(const struct member *member, const struct vee_control *control)
{
	bool active = control->cr0 & CR0_PG && control->efer & EFER_LME;

	if (member->offset == offsetof(struct vee_vcpu_page, control.cr0)) {
		if (control->cr0 & CR0_PG && !(control->cr0 & CR0_PE))
			return "PG is set without PE";
		if (control->cr0 & CR0_NW && !(control->cr0 & CR0_CD))
			return "NW is set without CD";
	}
	if (member->offset == offsetof(struct vee_vcpu_page, control.efer) &&
	    active != !!(control->efer & EFER_LMA))
		return active ? "LMA must be 1, for LME and CR0.PG are" :
				"LMA must be 0, for LME and CR0.PG are not both 1";
	return member->words;
}

static void say_member(struct text *text, const struct vee_vcpu_page *page,
		       const struct member *member)
{
	uint64_t value = 0;

	memcpy(&value, (const uint8_t *)page + member->offset, member->bytes);
	say(text, "  %s (%s%s) is %#llx: %s", member->name,
	    member->group ? "group VEE_STATE_" : "of the vCPU page",
	    member->group ? member->group : "", U(value), reason_of(member, &page->control));
}

void refusal_say(struct text *text, const struct vee_vcpu *vcpu)
{
	const struct member *member = find(vcpu->page->refused);

	say(text, "the run failed: %s", strerror(-vcpu->error));
	if (vcpu->error == -EINVAL && member)
		say_member(text, vcpu->page, member);
	else if (vcpu->error == -EBUSY)
		say(text, "  another thread runs it, or an event like that of inject waits");
}
