// SPDX-License-Identifier: GPL-2.0-only
/*
 * All state of a vCPU at once: the groups of its page, and what is in none of them.
 *
 * Saving goes by way of the page, where what is valid need not be read again. Loading
 * stages the groups, as a run does what is dirty, so the VMCS is not touched before the
 * next run; it is a request of a few copies.
 */
#include <linux/stddef.h>
#include <linux/uaccess.h>
#include <asm/msr.h>

#include "vcpu/cpuid.h"
#include "vcpu/event.h"
#include "vcpu/fpu.h"
#include "vcpu/local.h"
#include "vcpu/run.h"
#include "vcpu/save.h"
#include "vcpu/state.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

#define GROUPS		(VEE_STATE_ALL | VEE_STATE_APIC)
#define OTHERS		(VEE_STATE_XSAVE | VEE_STATE_CPUID | VEE_STATE_WISHES)

static u32 all_parts(const struct vee_vcpu *vcpu)
{
	return state_groups(vcpu) | OTHERS;
}

#define REFUSE(vcpu, member) \
	state_refuse(vcpu, VEE_REFUSED_STATE + offsetof(struct vee_vcpu_state, member))

static int check_sizes(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state, u32 parts)
{
	if (parts & VEE_STATE_XSAVE && state->xsave_bytes != vee_caps.xsave_bytes)
		return REFUSE(vcpu, xsave_bytes);
	return 0;
}

/* --- saving ------------------------------------------------------------------ */

/* The instruction that exited is done by then, and can't be once more. */
static void forget_exit(struct vee_vcpu *vcpu)
{
	vcpu->exit.insn_length = 0;
	vcpu->exit.of_memory = false;
}

/* What the page asks for is the guest's from here on. @done: an instruction was */
static int settle(struct vee_vcpu *vcpu, bool *done)
{
	struct vee_vcpu_page *page = vcpu->page;
	bool resumes = READ_ONCE(page->resume) != VEE_RESUME_HERE;
	bool asks = resumes || READ_ONCE(page->dirty) ||
		    READ_ONCE(page->inject.flags) & VEE_EVENT_VALID;
	int err = vcpu_take(vcpu);

	*done = !err && resumes;
	if (!err && asks)
		page->valid = 0;
	return err;
}

static void read_pdptes(u64 pdpte[4])
{
	pdpte[0] = vmcs_read(VMCS_GUEST_PDPTE0);
	pdpte[1] = vmcs_read(VMCS_GUEST_PDPTE1);
	pdpte[2] = vmcs_read(VMCS_GUEST_PDPTE2);
	pdpte[3] = vmcs_read(VMCS_GUEST_PDPTE3);
}

/* What the mailbox of a local APIC has changes events, too. */
static u32 to_be_read(const struct vee_vcpu *vcpu, u32 parts)
{
	u32 valid = READ_ONCE(vcpu->page->valid);

	if (vcpu->apic.regs)
		valid &= ~(VEE_STATE_APIC | VEE_STATE_EVENTS);
	return parts & GROUPS & ~valid;
}

static void save_in_bracket(struct vee_vcpu *vcpu, void *arg)
{
	struct vee_vcpu_state *state = arg;
	u32 wanted = to_be_read(vcpu, state->parts);

	state_fill(vcpu, wanted);
	vcpu->page->valid |= wanted;
	state->tsc = rdtsc() + vmcs_read(VMCS_TSC_OFFSET);
	if (state->parts & VEE_STATE_DEBUG)
		state->debugctl = vmcs_read(VMCS_GUEST_DEBUGCTL);
	if (state->parts & VEE_STATE_CONTROL)
		read_pdptes(state->pdpte);
}

static struct vee_event sent(const u64 *place)
{
	const union event_word word = { .whole = READ_ONCE(*place) };

	return word.event;
}

/* A second one of the local APIC's is handed on like one that was sent, if there is none. */
static struct vee_event next_nmi(const struct events *events)
{
	struct vee_event nmi = sent(&events->sent_nmi);

	return events->nmi_again && !(nmi.flags & VEE_EVENT_VALID) ? events->nmi : nmi;
}

static void save_rest(const struct vee_vcpu *vcpu, struct vee_vcpu_state *state)
{
	const struct vee_vcpu_page *page = vcpu->page;

	state_tell(vcpu, state);
	if (state->parts & VEE_STATE_EVENTS) {
		state->sent_interrupt = sent(&vcpu->events.sent_interrupt);
		state->sent_nmi = next_nmi(&vcpu->events);
	}
	if (state->parts & VEE_STATE_WISHES) {
		state->deadline_ns = READ_ONCE(page->deadline_ns);
		state->prefetch = vcpu->wishes.prefetch;
		state->intercept = vcpu->wishes.intercept;
		state->options = vcpu->wishes.options;
		state->tpr_threshold = vcpu->wishes.tpr_threshold;
	}
}

static int save_buffers(struct vee_vcpu *vcpu, struct vee_vcpu_state *state)
{
	int err = 0;

	if (state->parts & VEE_STATE_CPUID)
		err = cpuid_put(vcpu, u64_to_user_ptr(state->cpuid), &state->cpuid_count);
	if (!err && state->parts & VEE_STATE_XSAVE)
		err = fpu_get(&vcpu->fpu, u64_to_user_ptr(state->xsave));
	return err;
}

int vcpu_save(struct vee_vcpu *vcpu, struct vee_vcpu_state *state)
{
	bool done;
	int err;

	if (state->skip & ~all_parts(vcpu))
		return REFUSE(vcpu, skip);
	state->parts = all_parts(vcpu) & ~state->skip;
	err = check_sizes(vcpu, state, state->parts);
	if (!err)
		err = settle(vcpu, &done);
	if (!err)
		err = vcpu_with_vmcs(vcpu, save_in_bracket, state);
	if (err)
		return err;
	if (done)
		forget_exit(vcpu);
	save_rest(vcpu, state);
	return save_buffers(vcpu, state);
}

/* --- loading ----------------------------------------------------------------- */

/**
 * struct buffers - what is not in the struct itself
 * @cpuid: answers to CPUID; no @entries: they stay
 * @fpu: with VEE_STATE_XSAVE the XSAVE area
 */
struct buffers {
	struct guest_cpuid cpuid;
	struct fpu_copy fpu;
};

static void free_buffers(struct buffers *buffers)
{
	fpu_drop(&buffers->fpu);
	cpuid_free(&buffers->cpuid);
}

static int fetch_area(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state,
		      struct buffers *buffers)
{
	int err = fpu_fetch(&buffers->fpu, u64_to_user_ptr(state->xsave));

	return err == -EINVAL ? REFUSE(vcpu, xsave) : err;
}

static int fetch_cpuid(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state,
		       struct buffers *buffers)
{
	int err = cpuid_fetch(&buffers->cpuid, u64_to_user_ptr(state->cpuid),
			      state->cpuid_count);

	return err == -EINVAL ? REFUSE(vcpu, cpuid) : err;
}

static int fetch(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state, u32 parts,
		 struct buffers *buffers)
{
	int err = check_sizes(vcpu, state, parts);

	if (!err && parts & VEE_STATE_XSAVE)
		err = fetch_area(vcpu, state, buffers);
	if (!err && parts & VEE_STATE_CPUID)
		err = fetch_cpuid(vcpu, state, buffers);
	return err;
}

/* As event_send() has it, or none. */
static bool may_wait(const struct vee_event *event, u8 type)
{
	const union event_word word = { .event = *event };

	return !word.whole || (event->flags & VEE_EVENT_VALID && event->type == type &&
			       !event_check(event, 0));
}

static int check_events(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state)
{
	if (!may_wait(&state->sent_interrupt, VEE_EVENT_INTERRUPT))
		return REFUSE(vcpu, sent_interrupt);
	return may_wait(&state->sent_nmi, VEE_EVENT_NMI) ? 0 : REFUSE(vcpu, sent_nmi);
}

static int check_wishes(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state)
{
	const struct wishes wishes = {
		.prefetch = state->prefetch,
		.intercept = state->intercept,
		.options = state->options,
		.tpr_threshold = state->tpr_threshold,
	};
	u32 bad = state_bad_wish(vcpu, &wishes);

	return bad ? state_refuse(vcpu, bad) : 0;
}

static int check(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state, u32 parts)
{
	int err = 0;

	if (parts & VEE_STATE_EVENTS)
		err = check_events(vcpu, state);
	if (!err && parts & VEE_STATE_WISHES)
		err = check_wishes(vcpu, state);
	if (!err && parts & VEE_STATE_DEBUG &&
	    !vmcs_debugctl_fits(state->debugctl))
		err = REFUSE(vcpu, debugctl);
	return err;
}

/* The table first: what the guest may have set goes by it. */
static int load_groups(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state, u32 parts,
		       struct buffers *buffers)
{
	int err;

	if (parts & VEE_STATE_CPUID)
		cpuid_exchange(vcpu, &buffers->cpuid);
	err = check(vcpu, state, parts);
	if (!err)
		err = state_give(vcpu, state, parts & GROUPS);
	if (err && parts & VEE_STATE_CPUID)
		cpuid_exchange(vcpu, &buffers->cpuid);
	return err;
}

static void load_wishes(struct vee_vcpu_page *page, const struct vee_vcpu_state *state)
{
	page->deadline_ns = state->deadline_ns;
	page->prefetch = state->prefetch;
	page->intercept = state->intercept;
	page->options = state->options;
	page->tpr_threshold = state->tpr_threshold;
}

static void load_sent(struct events *events, const struct vee_vcpu_state *state)
{
	const union event_word interrupt = { .event = state->sent_interrupt };
	const union event_word nmi = { .event = state->sent_nmi };

	WRITE_ONCE(events->sent_interrupt, interrupt.whole);
	WRITE_ONCE(events->sent_nmi, nmi.whole);
}

/* It goes where the next bracket loads the group over it. */
static void drop_mail(struct apic *apic)
{
	int highest;

	if (apic_has_mail(apic))
		apic_take_mail(apic, &highest);
}

static void load_page(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state, u32 parts)
{
	struct vee_vcpu_page *page = vcpu->page;

	page->valid = 0;
	if (parts & VEE_STATE_REGS) {
		page->regs = state->regs;
		page->regs.rflags |= X86_EFLAGS_FIXED;
		page->valid = VEE_STATE_REGS;
	}
	if (parts & VEE_STATE_WISHES)
		load_wishes(page, state);
	page->resume = VEE_RESUME_HERE;
	page->inject.flags = 0;
	page->exit.reason = VEE_EXIT_NONE;
	forget_exit(vcpu);
}

static void apply_cpuid(struct vee_vcpu *vcpu, void *unused)
{
	cpuid_apply(vcpu);
}

/* Nothing can fail any more. */
static void load_rest(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state, u32 parts,
		      struct buffers *buffers)
{
	if (parts & VEE_STATE_REGS) {
		vcpu->staged.next = false;
		vcpu->staged.fault = false;
	}
	if (parts & VEE_STATE_EVENTS)
		load_sent(&vcpu->events, state);
	if (parts & VEE_STATE_APIC)
		drop_mail(&vcpu->apic);
	if (parts & VEE_STATE_XSAVE)
		fpu_use(&vcpu->fpu, &buffers->fpu);
	load_page(vcpu, state, parts);
	/* Fails only where no guest will ever run again. */
	if (parts & VEE_STATE_CPUID)
		vcpu_with_vmcs(vcpu, apply_cpuid, NULL);
}

int vcpu_load(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state)
{
	u32 all = all_parts(vcpu), parts = state->parts & ~state->skip;
	struct buffers buffers __uninitialized;
	int err;

	if (state->skip & ~all)
		return REFUSE(vcpu, skip);
	if (state->parts & ~all || (state->parts | state->skip) != all)
		return REFUSE(vcpu, parts);
	buffers.cpuid = (struct guest_cpuid) { };
	buffers.fpu.all = NULL;
	err = fetch(vcpu, state, parts, &buffers);
	if (!err)
		err = load_groups(vcpu, state, parts, &buffers);
	if (!err)
		load_rest(vcpu, state, parts, &buffers);
	free_buffers(&buffers);
	return err;
}
