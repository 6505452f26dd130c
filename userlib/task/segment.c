// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Segment registers, loaded and checked as in a new task (SDM 3A, "Exception
 * Conditions Checked During a Task Switch", in that table's order).
 */
#include "task.h"

/* A descriptor, SDM 3A, "Segment Descriptors"; access rights as VEE_AR_ has them. */
#define DESCRIPTOR_BYTES	8
#define DESCRIPTOR_RIGHTS	5	/* offset of type, S, DPL, P */
#define DESCRIPTOR_AR(raw)	((raw) >> 40 & 0xf0ff & ~(uint64_t)VEE_AR_L)

#define TYPE_ACCESSED	0x1
#define TYPE_WRITABLE	0x2	/* data */
#define TYPE_READABLE	0x2	/* code */
#define TYPE_CONFORMING	0x4
#define TYPE_CODE	0x8
#define TYPE_LDT	0x2

/* What virtual-8086 mode has: SDM 3C, "Checks on Guest Segment Registers". */
#define AR_VM86		0xf3
#define LIMIT_VM86	0xffff
#define AR_CODE		(VEE_AR_PRESENT | VEE_AR_S | TYPE_CODE | TYPE_ACCESSED)

#define EXTERNAL	0x1	/* of an error code */

/* INT n, INT3 and INTO are the program's own doing; INT1 is not taken for it. */
static bool is_external(const struct vee_event *event)
{
	return event->flags & VEE_EVENT_VALID &&
	       event->type != VEE_EVENT_SOFT_INTERRUPT &&
	       event->type != VEE_EVENT_SOFT_EXCEPTION;
}

int task_fault_of(struct task *task, uint8_t vector, uint16_t selector)
{
	return guest_fault(&task->guest, vector, (selector & ~SELECTOR_RPL) |
			   (is_external(&task->event) ? EXTERNAL : 0));
}

/* --- descriptors --- */

static uint32_t limit_of(uint64_t raw)
{
	uint32_t limit = (raw & 0xffff) | (raw >> 32 & 0xf0000);

	return DESCRIPTOR_AR(raw) & VEE_AR_G ? limit << 12 | 0xfff : limit;
}

static void unpack(struct vee_segment *segment, uint64_t raw)
{
	segment->base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000);
	segment->limit = limit_of(raw);
	segment->access_rights = DESCRIPTOR_AR(raw);
}

static bool is_null(uint16_t selector)
{
	return !(selector & ~SELECTOR_RPL);
}

uint32_t task_gdt_gva(const struct task *task, uint16_t selector)
{
	return task->page.segments.gdtr.base + (selector & SELECTOR_INDEX);
}

/* Where a selector's descriptor is; false: beyond the table. */
static bool locate(const struct task *task, uint16_t selector, uint32_t *gva)
{
	const struct vee_segment *ldtr = &task->page.segments.ldtr;
	uint32_t last = (selector & SELECTOR_INDEX) + DESCRIPTOR_BYTES - 1;

	if (!(selector & SELECTOR_TI)) {
		*gva = task_gdt_gva(task, selector);
		return last <= task->page.segments.gdtr.limit;
	}
	*gva = ldtr->base + (selector & SELECTOR_INDEX);
	return !(ldtr->access_rights & VEE_AR_UNUSABLE) && last <= ldtr->limit;
}

int task_read_tss(struct task *task, uint16_t selector, bool *found,
		  struct vee_segment *segment)
{
	uint64_t raw;
	uint32_t gva;
	int err;

	*found = !is_null(selector) && !(selector & SELECTOR_TI) &&
		 locate(task, selector, &gva);
	if (!*found)
		return 0;
	err = task_read(task, gva, &raw, sizeof(raw));
	segment->selector = selector;
	if (!err)
		unpack(segment, raw);
	return err;
}

/* --- checks --- */

struct descriptor {
	uint16_t selector;
	uint32_t gva;
	uint64_t raw;
	uint32_t rights;
};

static unsigned int dpl(const struct descriptor *at)
{
	return rights_dpl(at->rights);
}

static unsigned int rpl(const struct descriptor *at)
{
	return at->selector & SELECTOR_RPL;
}

static bool is_code(const struct descriptor *at)
{
	return at->rights & VEE_AR_S && at->rights & TYPE_CODE;
}

static bool is_conforming(const struct descriptor *at)
{
	return is_code(at) && at->rights & TYPE_CONFORMING;
}

/* #TS if there is none. */
static int fetch(struct task *task, uint16_t selector, struct descriptor *at)
{
	int err;

	at->selector = selector;
	if (is_null(selector) || !locate(task, selector, &at->gva))
		return task_fault_of(task, VECTOR_TS, selector);
	err = task_read(task, at->gva, &at->raw, sizeof(at->raw));
	at->rights = DESCRIPTOR_AR(at->raw);
	return err;
}

/* The CPU notes in the table that it is in use. */
static int load(struct task *task, struct vee_segment *segment,
		const struct descriptor *at)
{
	unpack(segment, at->raw);
	segment->access_rights |= TYPE_ACCESSED;
	if (at->rights & TYPE_ACCESSED)
		return 0;
	return task_set_byte(task, at->gva + DESCRIPTOR_RIGHTS, 0, TYPE_ACCESSED);
}

static int load_ldtr(struct task *task)
{
	struct vee_segment *ldtr = &task->page.segments.ldtr;
	struct descriptor at;
	int err;

	if (is_null(ldtr->selector))
		return 0;
	if (ldtr->selector & SELECTOR_TI)
		return task_fault_of(task, VECTOR_TS, ldtr->selector);
	err = fetch(task, ldtr->selector, &at);
	if (err)
		return err;
	if ((at.rights & (VEE_AR_S | VEE_AR_TYPE)) != TYPE_LDT ||
	    !(at.rights & VEE_AR_PRESENT))
		return task_fault_of(task, VECTOR_TS, ldtr->selector);
	unpack(ldtr, at.raw);
	return 0;
}

static int check_cs(struct task *task, struct descriptor *at)
{
	int err = fetch(task, task->page.segments.cs.selector, at);

	if (err)
		return err;
	if (!is_code(at) || (is_conforming(at) ? dpl(at) > rpl(at) : dpl(at) != rpl(at)))
		return task_fault_of(task, VECTOR_TS, at->selector);
	return 0;
}

static int check_ss(struct task *task, struct descriptor *at)
{
	int err = fetch(task, task->page.segments.ss.selector, at);

	if (err)
		return err;
	if (!(at->rights & VEE_AR_S) || is_code(at) || !(at->rights & TYPE_WRITABLE))
		return task_fault_of(task, VECTOR_TS, at->selector);
	if (!(at->rights & VEE_AR_PRESENT))
		return task_fault_of(task, VECTOR_SS, at->selector);
	if (dpl(at) != guest_cpl(&task->guest))
		return task_fault_of(task, VECTOR_TS, at->selector);
	return 0;
}

static int load_code_and_stack(struct task *task)
{
	struct descriptor cs, ss;
	int err = check_cs(task, &cs);

	if (!err)
		err = check_ss(task, &ss);
	if (err)
		return err;
	if (!(cs.rights & VEE_AR_PRESENT))
		return task_fault_of(task, VECTOR_NP, cs.selector);
	if (rpl(&ss) != guest_cpl(&task->guest))
		return task_fault_of(task, VECTOR_TS, ss.selector);
	err = load(task, &task->page.segments.cs, &cs);
	return err ? err : load(task, &task->page.segments.ss, &ss);
}

static bool is_readable(const struct descriptor *at)
{
	return at->rights & VEE_AR_S && (!is_code(at) || at->rights & TYPE_READABLE);
}

static int load_data(struct task *task, struct vee_segment *segment)
{
	struct descriptor at;
	int err;

	if (is_null(segment->selector))
		return 0;
	err = fetch(task, segment->selector, &at);
	if (err)
		return err;
	if (!is_readable(&at))
		return task_fault_of(task, VECTOR_TS, at.selector);
	if (!is_conforming(&at) && (dpl(&at) < guest_cpl(&task->guest) || dpl(&at) < rpl(&at)))
		return task_fault_of(task, VECTOR_TS, at.selector);
	if (!(at.rights & VEE_AR_PRESENT))
		return task_fault_of(task, VECTOR_NP, at.selector);
	return load(task, segment, &at);
}

/* --- all of them --- */

static void set(struct vee_segment *segment, uint64_t base, uint32_t limit,
		uint32_t access_rights)
{
	segment->base = base;
	segment->limit = limit;
	segment->access_rights = access_rights;
}

/* The privilege level is SS's DPL, and a VM entry wants CS to be one. */
void task_forget_segments(struct task *task, uint16_t ldt, unsigned int cpl)
{
	struct vee_segments *segments = &task->page.segments;
	uint32_t level = cpl << DPL_SHIFT;

	set(&segments->ldtr, 0, 0, VEE_AR_UNUSABLE);
	segments->ldtr.selector = ldt;
	set(&segments->cs, 0, LIMIT_VM86, AR_CODE | level);
	set(&segments->ss, 0, 0, VEE_AR_UNUSABLE | level);
	set(&segments->ds, 0, 0, VEE_AR_UNUSABLE);
	set(&segments->es, 0, 0, VEE_AR_UNUSABLE);
	set(&segments->fs, 0, 0, VEE_AR_UNUSABLE);
	set(&segments->gs, 0, 0, VEE_AR_UNUSABLE);
}

static void set_vm86(struct vee_segment *segment)
{
	set(segment, (uint32_t)segment->selector << 4, LIMIT_VM86, AR_VM86);
}

static void set_all_vm86(struct vee_segments *segments)
{
	set_vm86(&segments->es);
	set_vm86(&segments->cs);
	set_vm86(&segments->ss);
	set_vm86(&segments->ds);
	set_vm86(&segments->fs);
	set_vm86(&segments->gs);
}

int task_load_segments(struct task *task)
{
	struct vee_segments *segments = &task->page.segments;
	int err;

	if (task->page.regs.rflags & RFLAGS_VM) {
		set_all_vm86(segments);
		return load_ldtr(task);
	}
	err = load_ldtr(task);
	if (!err)
		err = load_code_and_stack(task);
	if (!err)
		err = load_data(task, &segments->ds);
	if (!err)
		err = load_data(task, &segments->es);
	if (!err)
		err = load_data(task, &segments->fs);
	if (!err)
		err = load_data(task, &segments->gs);
	return err;
}
