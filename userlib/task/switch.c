// SPDX-License-Identifier: LGPL-2.1-or-later
/* The switch itself, by the steps of SDM 3A, "Task Switching". */
#include "task.h"

/* SDM 3C, "Exit Qualification for Task Switches", and the exit reason. */
#define REASON_TASK_SWITCH	9
#define QUALIFICATION_SOURCE(q)	((q) >> 30 & 3)

/* SDM 3A, "Task-State Segment (TSS)": what is in the registers, and the rest. */
struct tss32 {
	uint32_t link, stacks[6], cr3;
	uint32_t eip, eflags, gpr[8];
	struct {
		uint16_t selector, reserved;
	} segment[6];
	uint32_t ldt;
	uint16_t flags, io_map;
};

/* SDM 3A, "16-Bit Task-State Segment (TSS)" */
struct tss16 {
	uint16_t link, stacks[6];
	uint16_t ip, flags, gpr[8];
	uint16_t segment[4];
	uint16_t ldt;
};

_Static_assert(sizeof(struct tss32) == 104, "32-bit TSS");
_Static_assert(sizeof(struct tss16) == 44, "16-bit TSS");

#define UPPER_HALF	0xffff0000U
#define TSS_TRAP	0x1	/* struct tss32, @flags: T */
#define TSS_RIGHTS	5	/* of its descriptor, the byte with the type */
#define TSS_TYPE	(VEE_AR_S | VEE_AR_TYPE)
#define TSS16		0x1

#define RFLAGS_ALL	0x3f7fd7ULL	/* those that are not always 0 */
#define DR6_BT		0x8000ULL
#define DR7_LOCAL	0x155ULL	/* L0 to L3, LE */
#define DR7_GD		0x2000ULL

#define NEEDED	(VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_CONTROL | \
		 VEE_STATE_DEBUG | VEE_STATE_EVENTS)
#define READY	(VEE_EXIT_INTERRUPT_READY | VEE_EXIT_NMI_READY | \
		 VEE_EXIT_EVENT_PENDING)

static bool is_32bit(const struct vee_segment *tss)
{
	return tss->access_rights & TYPE_TSS32;
}

static unsigned int tss_bytes(const struct vee_segment *tss)
{
	return is_32bit(tss) ? sizeof(struct tss32) : sizeof(struct tss16);
}

/* The one before is a task to come back to. */
static bool nests(const struct task *task)
{
	return task->source == TASK_BY_CALL || task->source == TASK_BY_GATE;
}

static bool is_valid(const struct vee_event *event)
{
	return event->flags & VEE_EVENT_VALID;
}

/* --- the state before it --- */

/* Of an interrupt or exception RIP is where to go on; else it's the instruction. */
static uint32_t next_ip(const struct task *task)
{
	bool instruction = task->source != TASK_BY_GATE || !is_valid(&task->event) ||
			   task->event.type >= VEE_EVENT_SOFT_INTERRUPT;
	unsigned int length = task->page.exit.instruction_length;

	return task->page.regs.rip + (instruction ? length : 0);
}

static int begin(struct task *task, struct vee_vcpu *vcpu)
{
	int err = vee_vcpu_sync(vcpu, NEEDED);

	if (err)
		return err;
	task->vcpu = *vcpu;
	task->page = *vcpu->page;
	task->vcpu.page = &task->page;
	task->guest = (struct guest) { .vcpu = &task->vcpu, .mode = 4 };
	return 0;
}

/* --- may it be? --- */

/* The CPU has looked at this before the exit, but the guest has other CPUs. */
static int check_tss(struct task *task, struct vee_segment *tss)
{
	uint8_t wrong = task->source == TASK_BY_IRET ? VECTOR_TS : VECTOR_GP;
	uint32_t wanted = TSS16 | (task->source == TASK_BY_IRET ? TYPE_BUSY : 0);
	bool found;
	int err = task_read_tss(task, task->selector, &found, tss);

	if (err)
		return err;
	if (!found || (tss->access_rights & TSS_TYPE & ~TYPE_TSS32) != wanted)
		return task_fault_of(task, wrong, task->selector);
	if (!(tss->access_rights & VEE_AR_PRESENT))
		return task_fault_of(task, VECTOR_NP, task->selector);
	if (tss->limit < tss_bytes(tss) - 1)
		return task_fault_of(task, VECTOR_TS, task->selector);
	return 0;
}

static int probe_type(struct task *task, uint16_t selector)
{
	return task_probe_byte(task, task_gdt_gva(task, selector) + TSS_RIGHTS);
}

/* Everything that the first part of the switch touches. */
static int probe(struct task *task, const struct vee_segment *tss)
{
	const struct vee_segment *old = &task->page.segments.tr;
	int err = task_probe(task, old->base, tss_bytes(old), VEE_WRITE);

	if (!err)
		err = task_probe(task, tss->base, tss_bytes(tss), VEE_READ);
	if (!err && nests(task))
		err = task_probe(task, tss->base, sizeof(uint16_t), VEE_WRITE);
	if (!err && !nests(task))
		err = probe_type(task, old->selector);
	if (!err && task->source != TASK_BY_IRET)
		err = probe_type(task, task->selector);
	return err;
}

/* --- the old task --- */

static uint16_t selector_of(const struct task *task, unsigned int n)
{
	const struct vee_segments *segments = &task->page.segments;
	const struct vee_segment *const order[] = {
		&segments->es, &segments->cs, &segments->ss,
		&segments->ds, &segments->fs, &segments->gs,
	};

	return order[n]->selector;
}

static int save32(struct task *task, uint32_t eflags)
{
	uint32_t base = task->page.segments.tr.base, plain[10] = { next_ip(task), eflags };
	int err;

	for (unsigned int i = 0; i < 8; i++)
		plain[2 + i] = task->page.regs.gpr[i];
	err = task_write(task, base + offsetof(struct tss32, eip), plain,
			 sizeof(plain), GUEST_IMPLICIT);
	for (unsigned int i = 0; i < 6 && !err; i++) {
		uint16_t selector = selector_of(task, i);

		err = task_write(task, base + offsetof(struct tss32, segment[i]),
				 &selector, sizeof(selector), GUEST_IMPLICIT);
	}
	return err;
}

static int save16(struct task *task, uint16_t flags)
{
	uint32_t base = task->page.segments.tr.base;
	uint16_t plain[14] = { next_ip(task), flags };

	for (unsigned int i = 0; i < 8; i++)
		plain[2 + i] = task->page.regs.gpr[i];
	for (unsigned int i = 0; i < 4; i++)
		plain[10 + i] = selector_of(task, i);
	return task_write(task, base + offsetof(struct tss16, ip), plain,
			  sizeof(plain), GUEST_IMPLICIT);
}

static int save(struct task *task)
{
	uint32_t eflags = task->page.regs.rflags;

	if (task->source == TASK_BY_IRET)
		eflags &= ~RFLAGS_NT;
	return is_32bit(&task->page.segments.tr) ? save32(task, eflags) :
					      save16(task, eflags);
}

/* --- from one to the other --- */

static int set_busy(struct task *task, uint16_t selector, bool busy)
{
	return task_set_byte(task, task_gdt_gva(task, selector) + TSS_RIGHTS,
			     busy ? 0 : TYPE_BUSY, busy ? TYPE_BUSY : 0);
}

static int link_tasks(struct task *task, const struct vee_segment *tss)
{
	uint16_t old = task->page.segments.tr.selector;
	int err = 0;

	if (!nests(task))
		err = set_busy(task, old, false);
	if (!err)
		err = save(task);
	if (!err && nests(task))
		err = task_write(task, tss->base, &old, sizeof(old), GUEST_IMPLICIT);
	if (!err && task->source != TASK_BY_IRET)
		err = set_busy(task, task->selector, true);
	return err;
}

/* --- the new task --- */

static void set_selectors(struct task *task, const struct tss32 *tss)
{
	struct vee_segments *segments = &task->page.segments;
	struct vee_segment *const order[] = {
		&segments->es, &segments->cs, &segments->ss,
		&segments->ds, &segments->fs, &segments->gs,
	};

	for (unsigned int i = 0; i < 6; i++)
		order[i]->selector = tss->segment[i].selector;
}

static void set_flags(struct task *task, uint32_t eflags)
{
	task->page.regs.rflags = (eflags & RFLAGS_ALL) | RFLAGS_1;
	if (nests(task))
		task->page.regs.rflags |= RFLAGS_NT;
}

/*
 * A 16-bit TSS has neither CR3 nor T; FS and GS become null. The upper halves of the
 * registers are all ones, as on CPUs, though the SDM doesn't say so.
 */
static int read_tss16(struct task *task, uint32_t gva, struct tss32 *tss)
{
	struct tss16 from;
	int err = task_read(task, gva, &from, sizeof(from));

	*tss = (struct tss32) {
		.cr3 = task->page.control.cr3, .eip = from.ip, .eflags = from.flags,
		.ldt = from.ldt,
	};
	for (unsigned int i = 0; i < 8; i++)
		tss->gpr[i] = UPPER_HALF | from.gpr[i];
	for (unsigned int i = 0; i < 4; i++)
		tss->segment[i].selector = from.segment[i];
	return err;
}

/* A fault in here is still the old task's. */
static int read_new(struct task *task, const struct vee_segment *at, struct tss32 *tss)
{
	int err = is_32bit(at) ? task_read(task, at->base, tss, sizeof(*tss)) :
				 read_tss16(task, at->base, tss);

	if (err || !(task->page.control.cr0 & CR0_PG) || !is_32bit(at))
		return err;
	task->page.control.cr3 = tss->cr3;
	task->page.dirty |= VEE_STATE_CONTROL;
	return guest_check_pdptes(&task->guest);
}

static void enter(struct task *task, const struct vee_segment *at,
		  const struct tss32 *tss)
{
	task->page.segments.tr = *at;
	task->page.segments.tr.access_rights |= TYPE_BUSY;
	task->page.control.cr0 |= CR0_TS;
	task->page.debug.dr7 &= ~DR7_LOCAL;
	set_selectors(task, tss);
	set_flags(task, tss->eflags);
	task->page.regs.rip = tss->eip;
	for (unsigned int i = 0; i < 8; i++)
		task->page.regs.gpr[i] = tss->gpr[i];
	task_forget_segments(task, tss->ldt, tss->eflags & RFLAGS_VM ? 3 :
			     task->page.segments.cs.selector & SELECTOR_RPL);
}

/* SDM 3A, "Error Code": as wide as the TSS, on the new task's stack. */
static int push_error(struct task *task)
{
	unsigned int bytes = is_32bit(&task->page.segments.tr) ? 4 : 2;
	const struct vee_segment *ss = &task->page.segments.ss;
	uint32_t mask = ss->access_rights & VEE_AR_DB ? UINT32_MAX : UINT16_MAX;
	uint32_t esp = (task->page.regs.rsp - bytes) & mask;
	int err;

	if (!segment_reaches(ss, esp, bytes))
		return task_fault_of(task, VECTOR_SS, 0);
	err = task_write(task, ss->base + esp, &task->event.error_code, bytes, 0);
	if (!err)
		task->page.regs.rsp = (task->page.regs.rsp & ~(uint64_t)mask) | esp;
	return err;
}

static int debug_trap(struct task *task)
{
	task->page.debug.dr6 |= DR6_BT;
	task->page.debug.dr7 &= ~DR7_GD;
	vee_inject_exception(&task->vcpu, VECTOR_DB);
	return GUEST_FAULTED;
}

/* A fault in here is the new task's. */
static int finish(struct task *task, const struct tss32 *tss)
{
	int err = task_load_segments(task);

	if (!err && task->event.flags & VEE_EVENT_ERROR_CODE)
		err = push_error(task);
	if (!err && tss->flags & TSS_TRAP)
		err = debug_trap(task);
	return err;
}

/* --- what comes of it --- */

#define CONTRIBUTORY	(1U << VECTOR_DE | 1U << VECTOR_TS | 1U << VECTOR_NP | \
			 1U << VECTOR_SS | 1U << VECTOR_GP)

static bool is_contributory(const struct vee_event *event)
{
	return event->type == VEE_EVENT_EXCEPTION && event->vector < 32 &&
	       CONTRIBUTORY >> event->vector & 1;
}

static bool is_exception(const struct vee_event *event, uint8_t vector)
{
	return event->type == VEE_EVENT_EXCEPTION && event->vector == vector;
}

/* SDM 3A, "Interrupt 8-Double Fault Exception (#DF)": conditions, and a shutdown. */
static int combine(struct task *task)
{
	const struct vee_event *first = &task->event, *second = &task->page.inject;
	bool severe = is_contributory(second) || is_exception(second, VECTOR_PF);

	if (!is_valid(first) || !severe)
		return 0;
	if (is_exception(first, VECTOR_DF))
		return -ENOTRECOVERABLE;
	if (is_exception(first, VECTOR_PF) ||
	    (is_contributory(first) && is_contributory(second)))
		guest_fault(&task->guest, VECTOR_DF, 0);
	return 0;
}

/* Events of a page whose task has been switched. */
static void enter_events(const struct task *task, struct vee_events *events)
{
	events->interruptibility &= VEE_BLOCKING_BY_NMI;
	events->pending_debug = 0;
	if (task->source == TASK_BY_IRET)
		events->interruptibility = 0;
	else if (is_valid(&task->event) && task->event.type == VEE_EVENT_NMI)
		events->interruptibility = VEE_BLOCKING_BY_NMI;
}

/* The guest is another one now: a window tells what it is ready for. */
static void take_event(struct vee_vcpu_page *page)
{
	memset(&page->events.delivering, 0, sizeof(page->events.delivering));
	page->dirty |= VEE_STATE_EVENTS;
	page->exit.flags &= ~READY;
}

/* A fault of the old task's: of what was prepared no more than that counts. */
static void stay(struct task *task, struct vee_vcpu_page *page)
{
	if (is_exception(&task->page.inject, VECTOR_PF)) {
		page->control.cr2 = task->page.control.cr2;
		page->dirty |= VEE_STATE_CONTROL;
	}
	event_put_back(&page->events, &task->event);
	page->inject = task->page.inject;
	take_event(page);
}

static void move(struct task *task, struct vee_vcpu_page *page)
{
	page->regs = task->page.regs;
	page->segments = task->page.segments;
	page->control = task->page.control;
	page->debug = task->page.debug;
	page->inject = task->page.inject;
	page->dirty |= NEEDED;
	page->resume = VEE_RESUME_DONE;
	enter_events(task, &page->events);
	take_event(page);
}

/* Up to where a fault is still the old task's. */
static int leave(struct task *task, struct vee_segment *at, struct tss32 *tss)
{
	int err = check_tss(task, at);

	if (!err)
		err = probe(task, at);
	if (!err)
		err = link_tasks(task, at);
	if (!err)
		err = read_new(task, at, tss);
	return err;
}

static int do_switch(struct task *task, struct vee_vcpu_page *page)
{
	struct vee_segment at = { 0 };
	struct tss32 tss;
	int err = leave(task, &at, &tss);
	bool stays = err;

	if (!stays) {
		enter(task, &at, &tss);
		err = finish(task, &tss);
	}
	if (err == GUEST_FAULTED)
		err = combine(task);
	if (err || stays)
		task_undo(task);
	if (err)
		return err;
	if (stays)
		stay(task, page);
	else
		move(task, page);
	return 0;
}

int vee_task_switch_assist(struct vee_vcpu *vcpu)
{
	const struct vee_exit *exit = &vcpu->page->exit;
	struct task task = {
		.source = QUALIFICATION_SOURCE(exit->qualification),
		.selector = exit->qualification,
	};
	int err;

	if (exit->reason != VEE_EXIT_OTHER || exit->hardware_reason != REASON_TASK_SWITCH)
		return -EINVAL;
	err = begin(&task, vcpu);
	if (err)
		return err;
	if (task.page.control.efer & EFER_LMA || !(task.page.control.cr0 & CR0_PE))
		return -EINVAL;
	if (task.source == TASK_BY_GATE)
		task.event = task.page.events.delivering;
	return do_switch(&task, vcpu->page);
}

/* The tables may be a device's, the tasks themselves are in memory. */
int task_switch(const struct guest *guest, enum task_source source, uint16_t selector,
		unsigned int instruction_length)
{
	struct vee_vcpu *vcpu = guest->vcpu;
	struct task task = { .source = source, .selector = selector };
	int err = guest->path ? -EOPNOTSUPP : begin(&task, vcpu);

	if (err)
		return err;
	task.guest.fn = guest->fn;
	task.guest.arg = guest->arg;
	if (source == TASK_BY_GATE)
		task.event = task.page.events.delivering;
	task.page.exit.instruction_length = instruction_length;
	err = do_switch(&task, vcpu->page);
	return err == -EFAULT || err == -ENOTRECOVERABLE ? -EOPNOTSUPP : err;
}
