// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's state between the vCPU page, which the caller may scribble on at
 * any time, and the VMCS.
 *
 * On the way in, state_take() copies what the caller marked dirty, once, checks
 * the copy, and only then takes it over as vee_vcpu.staged; state_load() puts
 * that into the VMCS. What the CPU checks itself at VM entry is left to it: its
 * verdict reaches the caller by name. Checked here is what would fault in the
 * host, or reach it. On the way out, state_fill() fills whole groups.
 */
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "compat_cpu.h"
#include "vcpu/cr.h"
#include "vcpu/event.h"
#include "vcpu/local.h"
#include "vcpu/state.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

/* --- which field is where ---------------------------------------------------- */

struct place {
	u32 field;
	u16 offset;
	u16 bytes;
};

#define PLACE(field, group, member) \
	{ VMCS_##field, offsetof(struct group, member), \
	  sizeof_field(struct group, member) }

static const struct place tables_places[] = {
	PLACE(GUEST_GDTR_BASE, vee_segments, gdtr.base),
	PLACE(GUEST_GDTR_LIMIT, vee_segments, gdtr.limit),
	PLACE(GUEST_IDTR_BASE, vee_segments, idtr.base),
	PLACE(GUEST_IDTR_LIMIT, vee_segments, idtr.limit),
};

static const struct place debug_places[] = {
	PLACE(GUEST_DR7, vee_debug, dr7),
};

static const struct place msrs_places[] = {
	PLACE(GUEST_SYSENTER_CS, vee_msrs, sysenter_cs),
	PLACE(GUEST_SYSENTER_ESP, vee_msrs, sysenter_esp),
	PLACE(GUEST_SYSENTER_EIP, vee_msrs, sysenter_eip),
	PLACE(GUEST_PAT, vee_msrs, pat),
};

static const struct place events_places[] = {
	PLACE(GUEST_INTERRUPTIBILITY, vee_events, interruptibility),
	PLACE(GUEST_ACTIVITY, vee_events, activity),
	PLACE(GUEST_PENDING_DEBUG, vee_events, pending_debug),
};

/* In line and unrolled: what is in a table then takes no time to look up. */
static __always_inline void load_places(const struct place *places, size_t count,
					const void *group)
{
#pragma GCC unroll 4
	for (size_t i = 0; i < count; i++) {
		u64 value = 0;

		memcpy(&value, group + places[i].offset, places[i].bytes);
		vmcs_write(places[i].field, value);
	}
}

static __always_inline void fill_places(const struct place *places, size_t count, void *group)
{
#pragma GCC unroll 4
	for (size_t i = 0; i < count; i++) {
		u64 value = vmcs_read(places[i].field);

		memcpy(group + places[i].offset, &value, places[i].bytes);
	}
}

#define LOAD_PLACES(name, group) \
	load_places(name##_places, ARRAY_SIZE(name##_places), group)
#define FILL_PLACES(name, group) \
	fill_places(name##_places, ARRAY_SIZE(name##_places), group)

/* At every exit: worth more than a table. The other registers live in the page. */
static void fill_regs(struct vee_regs *regs)
{
	regs->rsp = vmcs_read(VMCS_GUEST_RSP);
	regs->rip = vmcs_read(VMCS_GUEST_RIP);
	regs->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
}

/* Encodings go up by two from one segment register to the next, ES to TR. */
#define SEGMENTS	8
#define SEGMENT_FIELD(field, index)	(VMCS_GUEST_ES_##field + 2 * (index))

static_assert(offsetof(struct vee_segments, tr) == 7 * sizeof(struct vee_segment));

static void load_segments(const struct vee_segments *segments)
{
	const struct vee_segment *segment = &segments->es;

#pragma GCC unroll 8
	for (int i = 0; i < SEGMENTS; i++, segment++) {
		vmcs_write(SEGMENT_FIELD(BASE, i), segment->base);
		vmcs_write(SEGMENT_FIELD(LIMIT, i), segment->limit);
		vmcs_write(SEGMENT_FIELD(ACCESS_RIGHTS, i), segment->access_rights);
		vmcs_write(SEGMENT_FIELD(SELECTOR, i), segment->selector);
	}
	LOAD_PLACES(tables, segments);
}

static void fill_segments(struct vee_segments *segments)
{
	struct vee_segment *segment = &segments->es;

	memset(segments, 0, sizeof(*segments));
	for (int i = 0; i < SEGMENTS; i++, segment++) {
		segment->base = vmcs_read(SEGMENT_FIELD(BASE, i));
		segment->limit = vmcs_read(SEGMENT_FIELD(LIMIT, i));
		segment->access_rights = vmcs_read(SEGMENT_FIELD(ACCESS_RIGHTS, i));
		segment->selector = vmcs_read(SEGMENT_FIELD(SELECTOR, i));
	}
	FILL_PLACES(tables, segments);
}

/* --- checks ------------------------------------------------------------------ */

/* Apart, so that the good way needs no room for it. */
__cold noinline void state_tell_refused(struct vee_vcpu *vcpu, u32 member)
{
	WRITE_ONCE(vcpu->page->refused, member);
}

/* Those below give the first MEMBER() that can't be so; 0: all is well. */

/* WRMSR of these would be #GP in the host: the linear address is not canonical. */
static bool canonical(u64 gva)
{
	return (s64)(gva << 16) >> 16 == gva;
}

/* MOV to DR6 and DR7 with a bit above 31 is #GP (SDM 2B, "MOV-Move to/from Debug Registers"). */
static u32 bad_debug(const struct vee_debug *debug)
{
	if (debug->dr6 >> 32)
		return MEMBER(debug.dr6);
	return debug->dr7 >> 32 ? MEMBER(debug.dr7) : 0;
}

static u32 bad_msr(const struct vee_msrs *msrs)
{
	if (!canonical(msrs->lstar))
		return MEMBER(msrs.lstar);
	if (!canonical(msrs->cstar))
		return MEMBER(msrs.cstar);
	if (!canonical(msrs->kernel_gs_base))
		return MEMBER(msrs.kernel_gs_base);
	if (msrs->sfmask >> 32)
		return MEMBER(msrs.sfmask);
	if (msrs->tsc_aux >> 32)
		return MEMBER(msrs.tsc_aux);
	return msrs->sysenter_cs >> 32 ? MEMBER(msrs.sysenter_cs) : 0;
}

#define INTERRUPTIBILITY	(INTERRUPT_SHADOW | VEE_BLOCKING_BY_NMI)
#define PENDING_DEBUG_RTM	BIT_ULL(16)

static bool slot_holds(const struct vee_event *event, u8 type, u64 cr0)
{
	return !(event->flags & VEE_EVENT_VALID) ||
	       (event->type == type && !event_check(event, cr0));
}

static u32 bad_event(const struct vee_events *events, u64 cr0)
{
	if (events->interruptibility & ~INTERRUPTIBILITY)
		return MEMBER(events.interruptibility);
	if (events->activity > VEE_ACTIVITY_HLT)
		return MEMBER(events.activity);
	if (events->pending_debug & PENDING_DEBUG_RTM)
		return MEMBER(events.pending_debug);
	if (events->delivering.flags & VEE_EVENT_VALID && event_check(&events->delivering, cr0))
		return MEMBER(events.delivering);
	if (!slot_holds(&events->interrupt, VEE_EVENT_INTERRUPT, cr0))
		return MEMBER(events.interrupt);
	return slot_holds(&events->nmi, VEE_EVENT_NMI, cr0) ? 0 : MEMBER(events.nmi);
}

static u32 bad_apic(struct vee_vcpu *vcpu, const struct vee_apic *apic)
{
	unsigned int bad = apic_bad_member(&vcpu->apic, apic);

	return bad ? MEMBER(apic) + bad - 1 : 0;
}

/* Those that this vCPU has. */
u32 state_groups(const struct vee_vcpu *vcpu)
{
	return vcpu->apic.regs ? VEE_STATE_ALL | VEE_STATE_APIC : VEE_STATE_ALL;
}

#define TABLE_LIMIT_MAX	0xffff

static u32 bad_segment(const struct vee_segments *segments)
{
	if (segments->gdtr.limit > TABLE_LIMIT_MAX)
		return MEMBER(segments.gdtr.limit);
	return segments->idtr.limit > TABLE_LIMIT_MAX ? MEMBER(segments.idtr.limit) : 0;
}

static u32 bad_member(struct vee_vcpu *vcpu, const struct staged_state *new, u64 cr0)
{
	u32 taken = new->groups, bad = 0;

	if (taken & VEE_STATE_SEGMENTS)
		bad = bad_segment(&new->segments);
	if (!bad && taken & VEE_STATE_CONTROL)
		bad = cr_bad_member(vcpu, &new->control);
	if (!bad && taken & VEE_STATE_DEBUG)
		bad = bad_debug(&new->debug);
	if (!bad && taken & VEE_STATE_MSRS)
		bad = bad_msr(&new->msrs);
	if (!bad && taken & VEE_STATE_EVENTS)
		bad = bad_event(&new->events, cr0);
	if (!bad && taken & VEE_STATE_APIC)
		bad = bad_apic(vcpu, &new->apic);
	return bad;
}

/* --- taking over ------------------------------------------------------------- */

/* Assigned, so that the compiler knows how long each is. */
#define COPY_GROUPS(to, from, wanted)					\
	do {								\
		if ((wanted) & VEE_STATE_REGS)				\
			(to)->regs = (from)->regs;			\
		if ((wanted) & VEE_STATE_SEGMENTS)			\
			(to)->segments = (from)->segments;		\
		if ((wanted) & VEE_STATE_CONTROL)			\
			(to)->control = (from)->control;		\
		if ((wanted) & VEE_STATE_DEBUG)				\
			(to)->debug = (from)->debug;			\
		if ((wanted) & VEE_STATE_MSRS)				\
			(to)->msrs = (from)->msrs;			\
		if ((wanted) & VEE_STATE_EVENTS)			\
			(to)->events = (from)->events;			\
		if ((wanted) & VEE_STATE_APIC)				\
			(to)->apic = (from)->apic;			\
	} while (0)

static void copy_dirty(struct staged_state *to, const struct vee_vcpu_page *from,
		       u32 wanted)
{
	COPY_GROUPS(to, from, wanted);
	to->groups = wanted;
	/* From here on the page may say what it likes. */
	barrier();
}

static void copy_staged(struct staged_state *to, const struct staged_state *from)
{
	COPY_GROUPS(to, from, from->groups);
	to->groups |= from->groups;
}

/* CR0 as it will be when what is staged, and then @new, if not NULL, is loaded. */
static u64 coming_cr0(struct vee_vcpu *vcpu, const struct staged_state *new)
{
	if (new && new->groups & VEE_STATE_CONTROL)
		return new->control.cr0;
	if (vcpu->staged.groups & VEE_STATE_CONTROL)
		return vcpu->staged.control.cr0;
	return vcpu->cr.cr0;
}

static int read_pdptes(struct vee_vcpu *vcpu, struct staged_state *new)
{
	const struct vee_control *control = &new->control;
	int err;

	new->loads_pdptes = false;
	if (!(new->groups & VEE_STATE_CONTROL) ||
	    !cr_uses_pdptes(control->cr0, control->cr4, control->efer))
		return 0;
	/* What is staged yet may well change them. */
	new->loads_pdptes = (new != &vcpu->staged &&
			     vcpu->staged.groups & VEE_STATE_CONTROL) ||
			    cr_loads_pdptes(vcpu, control);
	if (!new->loads_pdptes)
		return 0;
	err = cr_read_pdptes(vcpu, control->cr3, new->pdpte);
	if (err == -EINTR || err == -EAGAIN)
		return err;
	return err ? state_refuse(vcpu, MEMBER(control.cr3)) : 0;
}

/* The groups in @dirty, copied and checked. */
static int take_groups(struct vee_vcpu *vcpu, u32 dirty, struct staged_state *new)
{
	u32 bad;

	new->loads_debugctl = false;
	copy_dirty(new, vcpu->page, dirty);
	bad = bad_member(vcpu, new, coming_cr0(vcpu, new));
	return bad ? state_refuse(vcpu, bad) : read_pdptes(vcpu, new);
}

/* @rip: as the caller changed it, or vcpu->exit.rip */
static __always_inline int check_resume(struct vee_vcpu *vcpu, u32 resume, u64 rip)
{
	if (resume == VEE_RESUME_HERE || resume == VEE_RESUME_DONE)
		return 0;
	if (resume != VEE_RESUME_NEXT || vcpu->staged.next ||
	    !state_knows_length(vcpu->page, &vcpu->exit) || rip != vcpu->exit.rip)
		return state_refuse(vcpu, MEMBER(resume));
	return 0;
}

/* Where an event of this type is to wait, once @new, if not NULL, is staged. */
static struct vee_event *waiting_place(struct vee_vcpu *vcpu, struct staged_state *new, u8 type)
{
	struct vee_events *staged = NULL;

	if (vcpu->staged.groups & VEE_STATE_EVENTS)
		staged = &vcpu->staged.events;
	if (new && new->groups & VEE_STATE_EVENTS)
		staged = &new->events;
	switch (type) {
	case VEE_EVENT_INTERRUPT:
		return staged ? &staged->interrupt : &vcpu->events.interrupt;
	case VEE_EVENT_NMI:
		return staged ? &staged->nmi : &vcpu->events.nmi;
	default:
		return staged ? &staged->delivering : &vcpu->events.delivering;
	}
}

/* The last that can refuse: it is taken over here. */
static int take_event(struct vee_vcpu *vcpu, struct staged_state *new,
		      union event_word inject)
{
	struct vee_event *place;

	if (!event_is_interrupt(inject) &&
	    event_check(&inject.event, coming_cr0(vcpu, new)))
		return state_refuse(vcpu, MEMBER(inject));
	place = waiting_place(vcpu, new, inject.event.type);
	if (place->flags & VEE_EVENT_VALID)
		return -EBUSY;
	*place = inject.event;
	WRITE_ONCE(*(u64 *)&vcpu->page->inject, 0);
	return 0;
}

static int take_inject(struct vee_vcpu *vcpu, struct staged_state *new,
		       union event_word inject)
{
	return inject.event.flags & VEE_EVENT_VALID ? take_event(vcpu, new, inject) : 0;
}

static void stage(struct vee_vcpu *vcpu, const struct staged_state *new)
{
	struct staged_state *staged = &vcpu->staged;

	copy_staged(staged, new);
	if (new->groups & VEE_STATE_CONTROL) {
		staged->loads_pdptes = new->loads_pdptes;
		memcpy(staged->pdpte, new->pdpte, sizeof(staged->pdpte));
	}
	if (new->groups & VEE_STATE_DEBUG) {
		staged->loads_debugctl = new->loads_debugctl;
		staged->debugctl = new->debugctl;
	}
	/* The mask is the kernel's promise that the page is taken. */
	WRITE_ONCE(vcpu->page->dirty, 0);
}

static __always_inline int take_into(struct vee_vcpu *vcpu, u32 dirty, u32 resume,
				     union event_word inject, struct staged_state *new)
{
	int err = take_groups(vcpu, dirty, new);

	if (!err)
		err = check_resume(vcpu, resume, dirty & VEE_STATE_REGS ?
				   new->regs.rip : vcpu->exit.rip);
	return err ?: take_inject(vcpu, new, inject);
}

/* Seldom: what is staged was to be loaded by a run that has not come to it. */
static noinline int take_over_staged(struct vee_vcpu *vcpu, u32 dirty, u32 resume,
				     union event_word inject)
{
	struct staged_state new;
	int err = take_into(vcpu, dirty, resume, inject, &new);

	if (!err)
		stage(vcpu, &new);
	return err;
}

/* With nothing staged there is nothing to keep if it is refused: it is copied there at once. */
static noinline int take_dirty(struct vee_vcpu *vcpu, u32 dirty, u32 resume,
			       union event_word inject)
{
	struct staged_state *staged = &vcpu->staged;
	int err;

	if (unlikely(staged->groups))
		return take_over_staged(vcpu, dirty, resume, inject);
	err = take_into(vcpu, dirty, resume, inject, staged);
	if (err)
		staged->groups = 0;
	else
		WRITE_ONCE(vcpu->page->dirty, 0);
	return err;
}

static int take_clean(struct vee_vcpu *vcpu, u32 resume, union event_word inject)
{
	return check_resume(vcpu, resume, vcpu->exit.rip) ?: take_inject(vcpu, NULL, inject);
}

static void take_resume(struct vee_vcpu *vcpu, u32 resume)
{
	if (resume == VEE_RESUME_HERE)
		return;
	vcpu->staged.next = resume == VEE_RESUME_NEXT;
	vcpu->step.done = resume == VEE_RESUME_DONE;
	WRITE_ONCE(vcpu->page->resume, VEE_RESUME_HERE);
}

/* State, how to go on, and an event: all of it or nothing. */
int state_take_groups(struct vee_vcpu *vcpu)
{
	struct vee_vcpu_page *page = vcpu->page;
	u32 dirty = READ_ONCE(page->dirty);
	u32 resume = READ_ONCE(page->resume);
	union event_word inject = { .whole = READ_ONCE(*(u64 *)&page->inject) };
	int err;

	if (!dirty)
		err = take_clean(vcpu, resume, inject);
	else if (dirty & ~state_groups(vcpu))
		err = state_refuse(vcpu, MEMBER(dirty));
	else
		err = take_dirty(vcpu, dirty, resume, inject);
	if (!err)
		take_resume(vcpu, resume);
	return err;
}

static __always_inline struct wishes read_wishes(const struct vee_vcpu_page *page)
{
	return (struct wishes) {
		.prefetch = READ_ONCE(page->prefetch),
		.intercept = READ_ONCE(page->intercept),
		.options = READ_ONCE(page->options),
		.tpr_threshold = READ_ONCE(page->tpr_threshold),
	};
}

/* To sleep with interrupts off is a kind of sleeping. */
static bool options_fit(u32 options)
{
	return !(options & ~VEE_OPTION_ALL) &&
	       (!(options & VEE_OPTION_HLT_MASKED_SLEEPS) || options & VEE_OPTION_HLT_SLEEPS);
}

u32 state_bad_wish(const struct vee_vcpu *vcpu, const struct wishes *wishes)
{
	u32 no_intercept = ~VEE_INTERCEPT_ALL;

	if (!caps_has(VEE_FEATURE_DESCRIPTOR_EXITING))
		no_intercept |= VEE_INTERCEPT_DESCRIPTOR;
	if (wishes->tpr_threshold > (vcpu->apic.regs ? 0 : TPR_CLASS_MAX))
		return MEMBER(tpr_threshold);
	if (wishes->prefetch & ~(state_groups(vcpu) | VEE_PREFETCH_INSN))
		return MEMBER(prefetch);
	if (wishes->intercept & no_intercept)
		return MEMBER(intercept);
	return options_fit(wishes->options) ? 0 : MEMBER(options);
}

/* Seldom: from one run to the next a caller's wishes are the same. */
int state_take_wishes(struct vee_vcpu *vcpu)
{
	struct wishes wishes = read_wishes(vcpu->page);
	u32 bad = state_bad_wish(vcpu, &wishes);
	int err;

	if (bad)
		return state_refuse(vcpu, bad);
	err = wishes.tpr_threshold ? tpr_begin(&vcpu->tpr, !vcpu->runner.is_inline) : 0;
	if (!err)
		err = state_take_groups(vcpu);
	if (err)
		return err;
	vcpu->wishes = wishes;
	tpr_set_threshold(&vcpu->tpr, wishes.tpr_threshold);
	return 0;
}

int state_take_regs(struct vee_vcpu *vcpu, u32 resume)
{
	u64 rip = READ_ONCE(vcpu->page->regs.rip);
	int err = check_resume(vcpu, resume, rip);

	if (err)
		return err;
	state_stage_regs(&vcpu->staged, vcpu->page, rip);
	take_resume(vcpu, resume);
	return 0;
}

int state_take_resume(struct vee_vcpu *vcpu, u32 resume)
{
	int err = check_resume(vcpu, resume, vcpu->exit.rip);

	if (!err)
		take_resume(vcpu, resume);
	return err;
}

/* --- all of it ---------------------------------------------------------------- */

void state_tell(const struct vee_vcpu *vcpu, struct vee_vcpu_state *to)
{
	COPY_GROUPS(to, vcpu->page, to->parts);
}

static void copy_given(struct staged_state *to, const struct vee_vcpu_state *from, u32 wanted)
{
	COPY_GROUPS(to, from, wanted);
	to->groups = wanted;
	to->loads_debugctl = true;
	to->debugctl = from->debugctl;
	to->loads_pdptes = cr_uses_pdptes(from->control.cr0, from->control.cr4,
					  from->control.efer);
	memcpy(to->pdpte, from->pdpte, sizeof(to->pdpte));
}

static __always_inline int give_into(struct vee_vcpu *vcpu, const struct vee_vcpu_state *from,
				     u32 wanted, struct staged_state *new)
{
	u32 bad;

	copy_given(new, from, wanted);
	bad = bad_member(vcpu, new, coming_cr0(vcpu, new));
	return bad ? state_refuse(vcpu, bad) : 0;
}

/* As take_over_staged() */
static noinline int give_over_staged(struct vee_vcpu *vcpu, const struct vee_vcpu_state *from,
				     u32 wanted)
{
	struct staged_state new;
	int err = give_into(vcpu, from, wanted, &new);

	if (!err)
		stage(vcpu, &new);
	return err;
}

/* As take_dirty() */
int state_give(struct vee_vcpu *vcpu, const struct vee_vcpu_state *from, u32 wanted)
{
	u32 dirty = READ_ONCE(vcpu->page->dirty);
	int err;

	if (unlikely(vcpu->staged.groups)) {
		err = give_over_staged(vcpu, from, wanted);
	} else {
		err = give_into(vcpu, from, wanted, &vcpu->staged);
		if (err)
			vcpu->staged.groups = 0;
	}
	if (!err)
		WRITE_ONCE(vcpu->page->dirty, dirty & ~wanted);
	return err;
}

/* --- loading ----------------------------------------------------------------- */

static void load_debug(struct vee_vcpu *vcpu)
{
	struct vee_debug *debug = &vcpu->staged.debug;

	debug->dr7 |= DR7_ALWAYS_ONE;
	LOAD_PLACES(debug, debug);
	if (vcpu->staged.loads_debugctl)
		vmcs_write(VMCS_GUEST_DEBUGCTL, vcpu->staged.debugctl);
	memcpy(vcpu->debug.dr, debug->dr, sizeof(vcpu->debug.dr));
	vcpu->debug.dr6 = (debug->dr6 & ~(u64)DR6_RESERVED) | DR6_RESERVED;
	vcpu->debug.dr7 = debug->dr7;
	debug_reload(&vcpu->debug);
}

static void load_msrs(struct vee_vcpu *vcpu)
{
	LOAD_PLACES(msrs, &vcpu->staged.msrs);
	guest_tsc_set_offset(&vcpu->vmcs.tsc, vcpu->staged.msrs.tsc_offset);
	guest_msrs_set(&vcpu->msrs, &vcpu->staged.msrs);
}

static void load_events(struct vee_vcpu *vcpu)
{
	const struct vee_events *events = &vcpu->staged.events;

	LOAD_PLACES(events, events);
	vcpu->events.delivering = events->delivering;
	vcpu->events.interrupt = events->interrupt;
	vcpu->events.nmi = events->nmi;
	vcpu->events.nmi_again = false;
}

static noinline void load_others(struct vee_vcpu *vcpu, u32 wanted)
{
	struct staged_state *staged = &vcpu->staged;

	if (wanted & VEE_STATE_SEGMENTS)
		load_segments(&staged->segments);
	if (wanted & VEE_STATE_CONTROL)
		cr_load(vcpu, &staged->control,
			staged->loads_pdptes ? staged->pdpte : NULL);
	if (wanted & VEE_STATE_DEBUG)
		load_debug(vcpu);
	if (wanted & VEE_STATE_MSRS)
		load_msrs(vcpu);
	if (wanted & VEE_STATE_EVENTS)
		load_events(vcpu);
	if (wanted & VEE_STATE_APIC)
		local_load(vcpu);
}

static void load_groups(struct vee_vcpu *vcpu, u32 wanted)
{
	if (wanted & VEE_STATE_REGS)
		state_load_regs(&vcpu->staged.regs);
	if (unlikely(wanted & ~VEE_STATE_REGS))
		load_others(vcpu, wanted);
	vcpu->staged.groups = 0;
	vcpu->exit.plain = false;
}

void state_load_staged(struct vee_vcpu *vcpu)
{
	struct staged_state *staged = &vcpu->staged;

	if (staged->groups)
		load_groups(vcpu, staged->groups);
	if (staged->next) {
		staged->next = false;
		event_skip(vcpu);
	}
	if (unlikely(staged->fault)) {
		staged->fault = false;
		event_gp(vcpu);
	}
}

/* --- filling ----------------------------------------------------------------- */

static void fill_debug(struct vee_vcpu *vcpu, struct vee_debug *debug)
{
	debug_read(&vcpu->debug);
	memcpy(debug->dr, vcpu->debug.dr, sizeof(debug->dr));
	debug->dr6 = vcpu->debug.dr6;
	FILL_PLACES(debug, debug);
}

static void fill_msrs(struct vee_vcpu *vcpu, struct vee_msrs *msrs)
{
	guest_msrs_get(&vcpu->msrs, msrs);
	FILL_PLACES(msrs, msrs);
	msrs->tsc_offset = guest_tsc_offset(&vcpu->vmcs.tsc);
}

static void fill_events(struct vee_vcpu *vcpu, struct vee_events *events)
{
	FILL_PLACES(events, events);
	events->delivering = vcpu->events.delivering;
	events->interrupt = vcpu->events.interrupt;
	events->nmi = vcpu->events.nmi;
}

/* Events that are valid already are to tell of the same moment. */
static void fill_apic(struct vee_vcpu *vcpu, struct vee_vcpu_page *page)
{
	local_take_mail(vcpu);
	apic_save(&vcpu->apic, &page->apic);
	if (!(READ_ONCE(page->dirty) & VEE_STATE_EVENTS))
		page->events.nmi = vcpu->events.nmi;
}

void state_fill(struct vee_vcpu *vcpu, u32 wanted)
{
	struct vee_vcpu_page *page = vcpu->page;

	/* First: among what it takes from the mailbox may be an NMI, which is an event. */
	if (wanted & VEE_STATE_APIC)
		fill_apic(vcpu, page);
	if (wanted & VEE_STATE_REGS)
		fill_regs(&page->regs);
	if (wanted & VEE_STATE_SEGMENTS)
		fill_segments(&page->segments);
	if (wanted & VEE_STATE_CONTROL)
		cr_read(vcpu, &page->control);
	if (wanted & VEE_STATE_DEBUG)
		fill_debug(vcpu, &page->debug);
	if (wanted & VEE_STATE_MSRS)
		fill_msrs(vcpu, &page->msrs);
	if (wanted & VEE_STATE_EVENTS)
		fill_events(vcpu, &page->events);
}

/* --- reset ------------------------------------------------------------------- */

#define DATA_AFTER_RESET { .limit = 0xffff, .access_rights = 0x93 }

/* SDM 3A, "Processor State After Reset"; TR as VM entry wants it, busy. */
#define SEGMENTS_AFTER_RESET {							\
	.es = DATA_AFTER_RESET,							\
	.cs = { .base = 0xffff0000, .limit = 0xffff, .access_rights = 0x9b,	\
		.selector = 0xf000 },						\
	.ss = DATA_AFTER_RESET,							\
	.ds = DATA_AFTER_RESET,							\
	.fs = DATA_AFTER_RESET,							\
	.gs = DATA_AFTER_RESET,							\
	.ldtr = { .limit = 0xffff, .access_rights = 0x82 },			\
	.tr = { .limit = 0xffff, .access_rights = 0x8b },			\
	.gdtr = { .limit = 0xffff },						\
	.idtr = { .limit = 0xffff },						\
}

#define PAT_AFTER_RESET	0x0007040600070406ULL

/* What the caller would have to set, so that there is nothing to check. */
static const struct staged_state after_reset = {
	.groups = VEE_STATE_ALL,
	.regs = { .rip = 0xfff0, .rflags = X86_EFLAGS_FIXED },
	.segments = SEGMENTS_AFTER_RESET,
	.control = {
		.cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET,
		.xcr0 = XFEATURE_MASK_FP,
	},
	.debug = { .dr6 = DR6_RESERVED, .dr7 = DR7_ALWAYS_ONE },
	.msrs = { .pat = PAT_AFTER_RESET },
};

void state_reset(struct vee_vcpu *vcpu)
{
	struct vee_vcpu_page *page = vcpu->page;
	struct staged_state *staged = &vcpu->staged;

	*staged = after_reset;
	staged->regs.rdx = cpuid_signature();
	page->regs = staged->regs;
	page->segments = staged->segments;
	page->control = staged->control;
	page->debug = staged->debug;
	page->msrs = staged->msrs;
	page->prefetch = VEE_STATE_REGS | VEE_PREFETCH_INSN;
	page->valid = VEE_STATE_ALL;
	vcpu->wishes = read_wishes(page);
}

/*
 * SDM 3A, "Processor State After Reset", the column of INIT: MSRs, XCR0 and what FXSAVE
 * saves are as they were, and CD and NW of CR0.
 */
void state_init(struct vee_vcpu *vcpu)
{
	struct staged_state *staged = &vcpu->staged;
	u64 kept = vcpu->cr.cr0 & (X86_CR0_CD | X86_CR0_NW);

	*guest_regs(vcpu) = (struct vee_regs) { .rdx = cpuid_signature() };
	staged->regs = (struct vee_regs) { .rip = 0xfff0, .rflags = X86_EFLAGS_FIXED };
	staged->segments = after_reset.segments;
	staged->control = (struct vee_control) {
		.cr0 = kept | X86_CR0_ET,
		.xcr0 = vcpu->fpu.xcr0,
	};
	staged->loads_pdptes = false;
	staged->loads_debugctl = false;
	staged->debug = (struct vee_debug) { .dr6 = DR6_RESERVED, .dr7 = DR7_ALWAYS_ONE };
	staged->events = (struct vee_events) { };
	load_groups(vcpu, VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_CONTROL |
			  VEE_STATE_DEBUG | VEE_STATE_EVENTS);
}
