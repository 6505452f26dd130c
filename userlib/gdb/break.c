// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Breakpoints and watchpoints. Software ones are INT3 in the guest's memory, the others
 * debug registers.
 */
#include "gdb.h"

#define INT3		0xcc

/* --- which there are --- */

static struct breakpoint *find(struct breakpoint *list, unsigned int room,
			       enum break_type type, uint64_t gva, unsigned int length)
{
	for (unsigned int i = 0; i < room; i++)
		if (list[i].length == length && list[i].type == type && list[i].gva == gva)
			return &list[i];
	return NULL;
}

static struct breakpoint *find_free(struct breakpoint *list, unsigned int room)
{
	for (unsigned int i = 0; i < room; i++)
		if (!list[i].length)
			return &list[i];
	return NULL;
}

/* There is memory that can be written. */
static int insert_software(struct vee_gdb *gdb, uint64_t gva, unsigned int length, uint64_t gpa)
{
	struct breakpoint *new = find_free(gdb->software, SOFTWARE_BREAKS);
	const uint8_t int3 = INT3;
	struct vee_vm *vm = gdb->cpu->vcpu->vm;

	if (!new)
		return -ENOSPC;
	vee_vm_read(vm, gpa, &new->old, 1);
	vee_vm_write(vm, gpa, &int3, 1);
	new->type = BREAK_SOFTWARE;
	new->gva = gva;
	new->gpa = gpa;
	new->length = length;
	return 0;
}

static int insert_hardware(struct vee_gdb *gdb, enum break_type type, uint64_t gva,
			   unsigned int length)
{
	struct breakpoint *new = find_free(gdb->hardware, HARDWARE_BREAKS);

	if (!new)
		return -ENOSPC;
	new->type = type;
	new->gva = gva;
	new->length = length;
	return 0;
}

/* SDM 3B, "Debug Address Registers (DR0-DR3)": aligned, and of these lengths. */
static bool can_be_watched(uint64_t gva, unsigned int length)
{
	return (length == 1 || length == 2 || length == 4 || length == 8) &&
	       !(gva & (length - 1));
}

int break_insert(struct vee_gdb *gdb, enum break_type type, uint64_t gva, unsigned int length)
{
	uint64_t gpa;

	if (type > WATCH_ACCESS || type == WATCH_READ)
		return -EOPNOTSUPP;
	if (!length || (type > BREAK_HARDWARE && !can_be_watched(gva, length)))
		return -EINVAL;
	if (find(gdb->software, SOFTWARE_BREAKS, type, gva, length) ||
	    find(gdb->hardware, HARDWARE_BREAKS, type, gva, length))
		return 0;
	/*
	 * Where there is no memory yet, a kernel's code before it has made its tables; and in
	 * a ROM, which may be nobody's to write: that would be the end of this process.
	 */
	if (type == BREAK_SOFTWARE && !memory_find(gdb, gva, &gpa) &&
	    vm_at_for(gdb->cpu->vcpu->vm, gpa, 1, VEE_WRITE))
		return insert_software(gdb, gva, length, gpa);
	return insert_hardware(gdb, type, gva, length);
}

/* What the guest has put in INT3's place meanwhile stays. */
static void take_out(struct vee_gdb *gdb, struct breakpoint *old)
{
	uint8_t byte;

	old->length = 0;
	if (!vee_vm_read(gdb->cpu->vcpu->vm, old->gpa, &byte, 1) && byte == INT3)
		vee_vm_write(gdb->cpu->vcpu->vm, old->gpa, &old->old, 1);
}

int break_remove(struct vee_gdb *gdb, enum break_type type, uint64_t gva, unsigned int length)
{
	struct breakpoint *old = NULL;

	if (type > WATCH_ACCESS || type == WATCH_READ)
		return -EOPNOTSUPP;
	if (!length)
		return -EINVAL;
	old = find(gdb->software, SOFTWARE_BREAKS, type, gva, length);
	if (old) {
		take_out(gdb, old);
		return 0;
	}
	old = find(gdb->hardware, HARDWARE_BREAKS, type, gva, length);
	if (old)
		old->length = 0;
	return 0;
}

void break_remove_all(struct vee_gdb *gdb)
{
	for (unsigned int i = 0; i < SOFTWARE_BREAKS; i++)
		if (gdb->software[i].length)
			take_out(gdb, &gdb->software[i]);
	memset(gdb->hardware, 0, sizeof(gdb->hardware));
}

/* --- memory without them --- */

void break_hide(const struct vee_gdb *gdb, uint64_t gpa, uint8_t *bytes, size_t count)
{
	for (unsigned int i = 0; i < SOFTWARE_BREAKS; i++) {
		const struct breakpoint *at = &gdb->software[i];

		if (at->length && at->gpa - gpa < count && bytes[at->gpa - gpa] == INT3)
			bytes[at->gpa - gpa] = at->old;
	}
}

void break_keep(struct vee_gdb *gdb, uint64_t gpa, uint8_t *bytes, size_t count)
{
	for (unsigned int i = 0; i < SOFTWARE_BREAKS; i++) {
		struct breakpoint *at = &gdb->software[i];

		if (!at->length || at->gpa - gpa >= count)
			continue;
		at->old = bytes[at->gpa - gpa];
		bytes[at->gpa - gpa] = INT3;
	}
}

/* --- the debug registers --- */

static bool has_hardware(const struct vee_gdb *gdb)
{
	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++)
		if (gdb->hardware[i].length)
			return true;
	return false;
}

static bool has_software(const struct vee_gdb *gdb)
{
	for (unsigned int i = 0; i < SOFTWARE_BREAKS; i++)
		if (gdb->software[i].length)
			return true;
	return false;
}

/* A breakpoint where it stands is not met again, if gdb knows that it stands there. */
static void step_off(struct vee_gdb *gdb, uint64_t rip)
{
	struct vee_vcpu_page *page = gdb->cpu->vcpu->page;

	if (gdb->cpu != gdb->told || gdb->cpu->untold)
		return;
	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++) {
		const struct breakpoint *at = &gdb->hardware[i];

		if (!at->length || at->type > BREAK_HARDWARE || at->gva != rip)
			continue;
		page->regs.rflags |= RFLAGS_RF;
		page->dirty |= VEE_STATE_REGS;
	}
}

int break_arm(struct vee_gdb *gdb)
{
	struct vee_vcpu_page *page = gdb->cpu->vcpu->page;
	bool wanted = has_hardware(gdb);
	uint64_t rip;
	int err = memory_rip(gdb, &rip);

	page->intercept &= ~(VEE_INTERCEPT_BREAKPOINT | VEE_INTERCEPT_DEBUG);
	if (has_software(gdb))
		page->intercept |= VEE_INTERCEPT_BREAKPOINT;
	if (wanted)
		page->intercept |= VEE_INTERCEPT_DEBUG;
	if (!err && (wanted || gdb->cpu->armed))
		err = vee_vcpu_sync(gdb->cpu->vcpu, VEE_STATE_DEBUG);
	if (err || (!wanted && !gdb->cpu->armed))
		return err;
	if (wanted)
		debug_load(gdb);
	else
		debug_unload(gdb);
	step_off(gdb, rip);
	return 0;
}

/* --- what an exit is about --- */

static enum break_verdict judge_int3(struct vee_gdb *gdb)
{
	struct vee_vcpu_page *page = gdb->cpu->vcpu->page;
	uint64_t rip;

	if (memory_rip(gdb, &rip))
		return BREAK_STOP;
	for (unsigned int i = 0; i < SOFTWARE_BREAKS; i++)
		if (gdb->software[i].length && gdb->software[i].gva == rip) {
			strcpy(gdb->cpu->why, gdb->tells_breaks ? "swbreak:;" : "");
			return BREAK_STOP;
		}
	/* The guest's own. */
	page->inject = (struct vee_event) {
		.vector = page->exit.debug.vector,
		.type = VEE_EVENT_SOFT_EXCEPTION,
		.flags = VEE_EVENT_VALID,
		.instruction_length = page->exit.instruction_length,
	};
	return BREAK_GO_ON;
}

/* Of a breakpoint at RIP besides gdb finds out itself; and not of a watchpoint. */
static bool is_met(struct vee_gdb *gdb, uint64_t dr6)
{
	static const char *const words[] = {
		[WATCH_WRITE] = "watch", [WATCH_ACCESS] = "awatch",
	};
	bool met = false;

	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++) {
		const struct breakpoint *at = &gdb->hardware[i];

		if (!at->length || !(dr6 >> i & 1))
			continue;
		met = true;
		if (at->type >= WATCH_WRITE) {
			snprintf(gdb->cpu->why, sizeof(gdb->cpu->why), "%s:%llx;", words[at->type],
				 (unsigned long long)at->gva);
			break;
		}
		if (gdb->tells_breaks)
			strcpy(gdb->cpu->why,
			       at->type == BREAK_SOFTWARE ? "swbreak:;" : "hwbreak:;");
	}
	return met;
}

/* Both may have met one at once: the guest then gets its own when gdb lets it go on. */
static enum break_verdict judge_db(struct vee_gdb *gdb, uint64_t dr6)
{
	bool met = is_met(gdb, dr6);
	uint64_t own = debug_guest_dr6(gdb, dr6);
	int err = 0;

	if (dr6 & DR6_BD && !met)
		err = debug_move(gdb);
	else if (own || !met)
		err = debug_raise(gdb, own);
	return met || err ? BREAK_STOP : BREAK_GO_ON;
}

enum break_verdict break_judge(struct vee_gdb *gdb)
{
	const struct vee_exit_debug *debug = &gdb->cpu->vcpu->page->exit.debug;

	*gdb->cpu->why = 0;
	if (debug->vector != VECTOR_DB)
		return gdb->cpu->vcpu->page->intercept & VEE_INTERCEPT_BREAKPOINT ?
		       judge_int3(gdb) : BREAK_NONE;
	if (debug->step)
		return gdb->cpu->stepping ? BREAK_STOP : BREAK_NONE;
	return gdb->cpu->armed ? judge_db(gdb, debug->dr6) : BREAK_NONE;
}
