// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT violations: first touches, memory that can't be had, and MMIO, of which
 * some writes are posted.
 *
 * What the caller may have to know is noted at once, while the VMCS is at hand. Whether
 * the exit is the caller's at all is found out then, with interrupts on: most are of pages
 * that are there, and the sleeping half does the rest.
 *
 * Where the last ones were pages it is noted only if this is none: what is noted stays in
 * the VMCS until the next entry, and to read it then takes another bracket.
 */
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "compat.h"
#include "trace.h"
#include "memory/absent.h"
#include "memory/dirty.h"
#include "memory/fault.h"
#include "memory/vm.h"
#include "vcpu/code.h"
#include "vcpu/event.h"
#include "vcpu/exit_user.h"
#include "vcpu/fetch.h"
#include "vcpu/local.h"
#include "vcpu/mmio.h"
#include "vcpu/page.h"
#include "vcpu/repeat.h"
#include "vcpu/store.h"
#include "vcpu/vcpu.h"
#include "vmx/vmcs.h"

/* SDM 3C, "Exit Qualification for EPT Violations". */
#define VIOLATION_READ		BIT(0)
#define VIOLATION_WRITE		BIT(1)
#define VIOLATION_FETCH		BIT(2)
#define VIOLATION_GVA_VALID	BIT(7)
#define VIOLATION_TRANSLATED	BIT(8)
#define VIOLATION_PLAIN_WRITE	(VIOLATION_WRITE | VIOLATION_GVA_VALID | VIOLATION_TRANSLATED)
#define VIOLATION_KIND		(VIOLATION_PLAIN_WRITE | VIOLATION_READ | VIOLATION_FETCH)

static u32 access_of(u64 q)
{
	u32 access = 0;

	if (q & VIOLATION_READ)
		access |= VEE_READ;
	if (q & VIOLATION_WRITE)
		access |= VEE_WRITE;
	if (q & VIOLATION_FETCH)
		access |= VEE_EXECUTE;
	return access;
}

/*
 * It may be all that there is to an instruction, and somebody wants it posted.
 * While an event is delivered the write is no instruction's.
 */
static bool may_be_posted(struct vee_vcpu *vcpu)
{
	return (vcpu->exit.qualification & VIOLATION_KIND) == VIOLATION_PLAIN_WRITE &&
	       !(vcpu->events.delivering.flags & VEE_EVENT_VALID) &&
	       post_watches(&vcpu->vm->office, VEE_SPACE_MEMORY) &&
	       post_is_watched(&vcpu->vm->office, VEE_SPACE_MEMORY, vcpu->violation.gpa) &&
	       !breakpoints_armed(&vcpu->debug);
}

/* A guess: it costs a bracket if it's wrong. */
static bool is_in_memory(const struct vee_vcpu *vcpu)
{
	return mem_range_has(&vcpu->violation.memory, vcpu->violation.gpa);
}

static void note_insn(struct vee_vcpu *vcpu)
{
	code_note(vcpu);
	vcpu->violation.may_post = vcpu->violation.may_post && vcpu->code.width == 8;
	/* For store_decode(). */
	if (vcpu->violation.may_post)
		vcpu->violation.rsp = vmcs_read(VMCS_GUEST_RSP);
}

static __always_inline void note(struct vee_vcpu *vcpu)
{
	if (vcpu->violation.may_post || vcpu->wishes.prefetch & VEE_PREFETCH_INSN)
		note_insn(vcpu);
	exit_user(vcpu, VEE_EXIT_MMIO);
	vcpu->violation.noted = true;
}

void exit_fault_note(struct vee_vcpu *vcpu, void *unused)
{
	note(vcpu);
}

/* Is @store what the CPU was at, and the whole of it? */
static bool is_fault(struct vee_vcpu *vcpu, const struct store *store,
		     const struct vee_regs *regs)
{
	u64 gva = vcpu->violation.gva;

	return store_gva(store, regs) == gva && offset_in_page(gva) + store->width <= PAGE_SIZE;
}

static bool post_data(struct vee_vcpu *vcpu, const struct store *store, u64 data)
{
	struct post_office *office = &vcpu->vm->office;
	u64 gpa = vcpu->violation.gpa;
	enum post posted;

	/* As in the bracket: other vCPUs may wait for this post with theirs off. */
	local_irq_disable();
	posted = post_write(office, vcpu->id, VEE_SPACE_MEMORY, gpa, data, store->width);
	local_irq_enable();
	return posted == POST_DONE ||
	       (posted == POST_BELL &&
		post_ring_bell(office, VEE_SPACE_MEMORY, gpa, data, store->width));
}

static bool post_store(struct vee_vcpu *vcpu)
{
	const struct code *code = &vcpu->code;
	struct vee_regs regs = *guest_regs(vcpu);
	struct store store;

	regs.rsp = vcpu->violation.rsp;
	if (!store_decode(code->insn, code->bytes, code->gva, &store) ||
	    !is_fault(vcpu, &store, &regs) ||
	    !post_data(vcpu, &store, store_data(&store, &regs)))
		return false;
	repeat_note(vcpu, &store);
	vcpu->exit.insn_length = store.length;
	vcpu->staged.next = true;
	return true;
}

/* In the bracket. False: it is not done, or can't be done here. */
static noinline bool post_again(struct vee_vcpu *vcpu)
{
	const struct store *store = repeat_find(vcpu);
	const struct vee_regs *regs = guest_regs(vcpu);

	if (!store || !is_fault(vcpu, store, regs) ||
	    post_write(&vcpu->vm->office, vcpu->id, VEE_SPACE_MEMORY, vcpu->violation.gpa,
		       store_data(store, regs), store->width) != POST_DONE)
		return false;
	vcpu->exit.insn_length = store->length;
	event_skip(vcpu);
	return true;
}

static enum next ask_caller(struct vee_vcpu *vcpu, int err)
{
	const struct code *code = &vcpu->code;
	struct vee_exit *exit = &vcpu->page->exit;
	bool is_mmio = err == -ENOENT;
	u64 q = vcpu->exit.qualification;

	exit->reason = is_mmio ? VEE_EXIT_MMIO : VEE_EXIT_MEMORY;
	exit->memory = (struct vee_exit_memory) {
		.gpa = vcpu->violation.gpa,
		.gva = vcpu->violation.gva,
		.access = access_of(q),
		.gva_valid = !!(q & VIOLATION_GVA_VALID),
		.walk = q & VIOLATION_GVA_VALID && !(q & VIOLATION_TRANSLATED),
		.error = is_mmio ? 0 : err,
	};
	trace_vee_mmio(vcpu, &exit->memory);
	if (vcpu->wishes.prefetch & VEE_PREFETCH_INSN) {
		exit->memory.code_width = code->width;
		exit->memory.insn_bytes = code->bytes;
		memcpy(exit->memory.insn, code->insn, sizeof(code->insn));
	}
	vcpu->exit.of_memory = true;
	return NEXT_USER;
}

/* @err: why the guest can't have it */
static enum next refuse(struct vee_vcpu *vcpu, int err)
{
	bool may_post = vcpu->violation.may_post && err == -ENOENT;

	if (may_post || vcpu->wishes.prefetch & VEE_PREFETCH_INSN) {
		switch (code_read(vcpu)) {
		case -EBUSY:
			return budget_end(&vcpu->limits);
		case -EINTR:
			/* The guest does it again. */
			return NEXT_HOST;
		}
	}
	if (may_post && post_store(vcpu))
		return NEXT_HOST;
	return ask_caller(vcpu, err);
}

/* However the violation ended: a page may have been copied, and another wanted besides. */
static __always_inline void tell_copies(struct vee_vcpu *vcpu)
{
	if (static_branch_unlikely(&templates_used))
		vcpu_page_tell_copies(vcpu);
}

static int fault(struct vee_vcpu *vcpu, u32 access, struct absent *absent)
{
	int err = mem_fault(&vcpu->vm->memory, &vcpu->ept_cache, vcpu->violation.gpa, access,
			    !vcpu->runner.is_inline, absent);

	tell_copies(vcpu);
	return err;
}

/* -EBUSY: the run is inline. */
static int fault_and_fetch(struct vee_vcpu *vcpu, u32 access)
{
	struct absent absent = { };
	int err = fault(vcpu, access, &absent);

	if (err != -EBUSY || vcpu->runner.is_inline)
		return err;
	err = fetch_wait(vcpu, &absent, true);
	if (err)
		return err;
	absent.fetched = true;
	err = fault(vcpu, access, &absent);
	/* Gone again: the guest comes back for it. */
	return err == -EBUSY ? -EINTR : err;
}

/* Of a vCPU with a local APIC: an access to its registers, or MMIO like any other. */
static noinline enum next refuse_local(struct vee_vcpu *vcpu)
{
	enum next next = refuse(vcpu, -ENOENT);

	if (next == NEXT_USER)
		vcpu->page->exit.memory.apic = local_is_at(&vcpu->apic, vcpu->violation.gpa);
	return next;
}

static noinline bool fault_own(struct vee_vcpu *vcpu)
{
	struct memory *memory = &vcpu->vm->memory;

	return own_fault(&memory->own, &memory->ept, &memory->lock, &vcpu->ept_cache,
			 vcpu->violation.gpa);
}

/*
 * With accessed and dirty flags on the CPU reads the guest's page tables as if it wrote
 * them (SDM 3C, "Accessed and Dirty Flags for EPT"), and @err is that it may not.
 */
static bool is_walk_taken_for_write(struct vee_vcpu *vcpu, int err)
{
	/* VIOLATION_READ as well, but for Bochs (2.7). */
	const u64 walk = VIOLATION_WRITE | VIOLATION_GVA_VALID;

	return static_branch_unlikely(&writes_recorded) && vcpu->pml.eptp & EPTP_FLAGS &&
	       (err == -EACCES || err == -EFAULT || err == -ENOSPC) &&
	       (vcpu->exit.qualification & (walk | VIOLATION_TRANSLATED)) == walk;
}

/* The guest can't have it. If it was taken for memory the next one there isn't. */
static enum next decline(struct vee_vcpu *vcpu)
{
	if (!vcpu->violation.noted) {
		vcpu->violation.memory.bytes = 0;
		vcpu->exit.sleeper = decline;
		return NEXT_NOTE;
	}
	if (local_is_there(&vcpu->apic) && vcpu->violation.error == -ENOENT)
		return refuse_local(vcpu);
	return refuse(vcpu, vcpu->violation.error);
}

static enum next resolve(struct vee_vcpu *vcpu)
{
	u32 access = access_of(vcpu->exit.qualification);
	int err = vcpu->violation.error;

	if (err == -EBUSY || err == -EAGAIN)
		err = fault_and_fetch(vcpu, access);
	trace_vee_fault(vcpu, vcpu->violation.gpa, access, err);
	if (is_walk_taken_for_write(vcpu, err)) {
		dirty_give_up_flags(&vcpu->vm->memory);
		return NEXT_HOST;
	}
	if (local_is_there(&vcpu->apic) && err == -ENOENT && fault_own(vcpu))
		return NEXT_ENTER;
	switch (err) {
	case 0:
		vcpu->stats.faults++;
		return NEXT_ENTER;
	case -EINTR:
		return NEXT_HOST;
	case -EBUSY:
		return budget_end(&vcpu->limits);
	default:
		vcpu->violation.error = err;
		return decline(vcpu);
	}
}

enum next exit_ept_violation(struct vee_vcpu *vcpu)
{
	u64 q = vcpu->exit.qualification;

	event_collect(vcpu);
	vcpu->violation.gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	vcpu->violation.gva = q & VIOLATION_GVA_VALID ? vmcs_read(VMCS_GUEST_LINEAR_ADDRESS) : 0;
	vcpu->violation.may_post = may_be_posted(vcpu);
	if (vcpu->violation.may_post && post_again(vcpu))
		return local_after_post(&vcpu->apic);
	vcpu->violation.noted = false;
	if (vcpu->violation.may_post || !is_in_memory(vcpu))
		note(vcpu);
	vcpu->exit.sleeper = resolve;
	return NEXT_FAULT;
}

/* --- the page of a local APIC ------------------------------------------------------ */

/* SDM 3C, "Exit Qualification for APIC-Access VM Exits from Linear Accesses ..." */
#define APIC_OFFSET(q)	((q) & 0xfff)
#define APIC_KIND(q)	((q) >> 12 & 0xf)

enum { APIC_READ, APIC_WRITE, APIC_FETCH, APIC_DELIVERY };

static u64 as_violation(u64 q)
{
	switch (APIC_KIND(q)) {
	case APIC_WRITE:
	case APIC_DELIVERY:
		return VIOLATION_WRITE;
	case APIC_FETCH:
		return VIOLATION_FETCH;
	default:
		return VIOLATION_READ;
	}
}

/* What the CPU can't see to is MMIO. It doesn't say at which linear address. */
enum next exit_apic_access(struct vee_vcpu *vcpu)
{
	u64 q = vcpu->exit.qualification;

	event_collect(vcpu);
	vcpu->violation = (struct violation) { .gpa = APIC_BASE_DEFAULT | APIC_OFFSET(q) };
	note(vcpu);
	vcpu->exit.sleeper = refuse_local;
	vcpu->exit.qualification = as_violation(q);
	return NEXT_SLEEP;
}

enum next exit_fault(struct vee_vcpu *vcpu)
{
	u32 access = access_of(vcpu->exit.qualification);

	vcpu->violation.error = VEE_LOCKS_SLEEP ? -EBUSY :
				mem_fault_now(&vcpu->vm->memory, &vcpu->ept_cache,
					      vcpu->violation.gpa, access,
					      &vcpu->violation.memory);
	tell_copies(vcpu);
	if (vcpu->violation.error)
		return NEXT_SLEEP;
	vcpu->stats.faults++;
	trace_vee_fault(vcpu, vcpu->violation.gpa, access, 0);
	return NEXT_HOST;
}
