// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Breakpoints and watchpoints. Software ones are INT3 in the guest's memory, the others
 * debug registers. While those are gdb's the guest has registers of its own all the
 * same: DR7.GD makes its accesses to them exits (SDM 3B, "Debug Control Register (DR7)").
 */
#include "gdb.h"

#define INT3		0xcc

#define DR6_CLEAR	0xffff0ff0ULL	/* no condition met */
#define DR6_BD		0x2000ULL
#define DR7_FIXED	0x400ULL	/* always 1 */
#define DR7_GD		0x2000ULL
#define DR7_GLOBAL(n)	(2ULL << (2 * (n)))
#define DR7_RW_SHIFT(n)	(16 + 4 * (n))
#define DR7_LEN_SHIFT(n) (18 + 4 * (n))
#define RW_WRITE	1ULL
#define RW_ACCESS	3ULL

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

static int insert_software(struct vee_gdb *gdb, uint64_t gva, unsigned int length, uint64_t gpa)
{
	struct breakpoint *new = find_free(gdb->software, SOFTWARE_BREAKS);
	const uint8_t int3 = INT3;
	struct vee_vm *vm = gdb->vcpu->vm;

	if (!new)
		return -ENOSPC;
	if (vee_vm_read(vm, gpa, &new->old, 1) || vee_vm_write(vm, gpa, &int3, 1))
		return -EFAULT;
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
	/* Where there is no memory yet, a kernel's code before it has made its tables. */
	if (type == BREAK_SOFTWARE && !memory_find(gdb, gva, &gpa) &&
	    vee_vm_at(gdb->vcpu->vm, gpa, 1))
		return insert_software(gdb, gva, length, gpa);
	return insert_hardware(gdb, type, gva, length);
}

/* What the guest has put in INT3's place meanwhile stays. */
static void take_out(struct vee_gdb *gdb, struct breakpoint *old)
{
	uint8_t byte;

	old->length = 0;
	if (!vee_vm_read(gdb->vcpu->vm, old->gpa, &byte, 1) && byte == INT3)
		vee_vm_write(gdb->vcpu->vm, old->gpa, &old->old, 1);
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

static uint64_t dr7_of(const struct breakpoint *at, unsigned int n)
{
	/* SDM 3B, "Debug Control Register (DR7)": 1, 2, 8, 4 bytes. */
	static const uint64_t lengths[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
	uint64_t dr7 = DR7_GLOBAL(n);

	if (at->type >= WATCH_WRITE)
		dr7 |= (at->type == WATCH_WRITE ? RW_WRITE : RW_ACCESS) << DR7_RW_SHIFT(n) |
		       lengths[at->length] << DR7_LEN_SHIFT(n);
	return dr7;
}

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

static void load(struct vee_gdb *gdb)
{
	struct vee_debug *debug = &gdb->vcpu->page->debug;

	if (!gdb->armed)
		gdb->own = *debug;
	debug->dr7 = DR7_FIXED | DR7_GD;
	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++) {
		debug->dr[i] = gdb->hardware[i].gva;
		if (gdb->hardware[i].length)
			debug->dr7 |= dr7_of(&gdb->hardware[i], i);
	}
}

/* The guest's own are again in force; DR6 it had all along. */
static void unload(struct vee_gdb *gdb)
{
	struct vee_debug *debug = &gdb->vcpu->page->debug;
	uint64_t dr6 = debug->dr6;

	*debug = gdb->own;
	debug->dr6 = dr6;
}

/* A breakpoint where it stands is not met again. */
static void step_off(struct vee_gdb *gdb, uint64_t rip)
{
	struct vee_vcpu_page *page = gdb->vcpu->page;

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
	struct vee_vcpu_page *page = gdb->vcpu->page;
	bool wanted = has_hardware(gdb);
	uint64_t rip;
	int err = memory_rip(gdb, &rip);

	page->intercept &= ~(VEE_INTERCEPT_BREAKPOINT | VEE_INTERCEPT_DEBUG);
	if (has_software(gdb))
		page->intercept |= VEE_INTERCEPT_BREAKPOINT;
	if (wanted)
		page->intercept |= VEE_INTERCEPT_DEBUG;
	if (!err && (wanted || gdb->armed))
		err = vee_vcpu_sync(gdb->vcpu, VEE_STATE_DEBUG);
	if (err || (!wanted && !gdb->armed))
		return err;
	if (wanted)
		load(gdb);
	else
		unload(gdb);
	gdb->armed = wanted;
	page->dirty |= VEE_STATE_DEBUG;
	step_off(gdb, rip);
	return 0;
}

/* --- the guest's accesses to its own --- */

#define MOVE_MAX	4	/* LOCK apart, REX and three bytes */

struct dr_move {
	bool is_load;
	unsigned int dr;
	unsigned int gpr;
	unsigned int length;
};

/* 0FH 21H and 0FH 23H, with or without REX. */
static bool decode_move(struct vee_gdb *gdb, uint64_t rip, struct dr_move *move)
{
	uint8_t bytes[MOVE_MAX] = { 0 };
	bool has_rex = false;
	const uint8_t *at = bytes;
	unsigned int rex = 0;

	if (memory_read(gdb, rip, bytes, sizeof(bytes)) < MOVE_MAX - 1)
		return false;
	if (gdb->vcpu->page->segments.cs.access_rights & VEE_AR_L && *at >> 4 == 4) {
		has_rex = true;
		rex = *at++;
	}
	if (at[0] != 0x0f || (at[1] != 0x21 && at[1] != 0x23))
		return false;
	move->is_load = at[1] == 0x23;
	move->dr = at[2] >> 3 & 7;
	move->gpr = (at[2] & 7) | (rex & 1) << 3;
	move->length = MOVE_MAX - 1 + has_rex;
	return true;
}

static __u64 *own_register(struct vee_gdb *gdb, unsigned int dr)
{
	if (dr < HARDWARE_BREAKS)
		return &gdb->own.dr[dr];
	return dr & 1 ? &gdb->own.dr7 : &gdb->vcpu->page->debug.dr6;
}

static enum break_verdict do_move(struct vee_gdb *gdb)
{
	struct vee_vcpu_page *page = gdb->vcpu->page;
	struct dr_move move;
	uint64_t rip;
	__u64 *own;

	if (memory_rip(gdb, &rip) || vee_vcpu_sync(gdb->vcpu, VEE_STATE_DEBUG) ||
	    !decode_move(gdb, rip, &move))
		return BREAK_STOP;
	own = own_register(gdb, move.dr);
	if (move.is_load)
		*own = page->regs.gpr[move.gpr];
	else
		page->regs.gpr[move.gpr] = *own;
	page->regs.rip += move.length;
	page->regs.rflags &= ~RFLAGS_RF;
	page->resume = VEE_RESUME_DONE;
	page->dirty |= VEE_STATE_REGS | VEE_STATE_DEBUG;
	return BREAK_GO_ON;
}

/* --- what an exit is about --- */

static enum break_verdict judge_int3(struct vee_gdb *gdb)
{
	struct vee_vcpu_page *page = gdb->vcpu->page;
	uint64_t rip;

	if (memory_rip(gdb, &rip))
		return BREAK_STOP;
	for (unsigned int i = 0; i < SOFTWARE_BREAKS; i++)
		if (gdb->software[i].length && gdb->software[i].gva == rip) {
			strcpy(gdb->why, gdb->tells_breaks ? "swbreak:;" : "");
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

/* As the CPU would have delivered it, but for breakpoints: those are gdb's. */
static enum break_verdict hand_on(struct vee_gdb *gdb)
{
	struct vee_vcpu_page *page = gdb->vcpu->page;
	bool is_int1 = page->exit.instruction_length;

	if (vee_vcpu_sync(gdb->vcpu, VEE_STATE_DEBUG))
		return BREAK_STOP;
	page->debug.dr6 |= page->exit.debug.dr6 & ~(DR6_CLEAR | ((1 << HARDWARE_BREAKS) - 1));
	page->dirty |= VEE_STATE_DEBUG;
	page->inject = (struct vee_event) {
		.vector = VECTOR_DB,
		.type = is_int1 ? VEE_EVENT_PRIV_SOFT_EXCEPTION : VEE_EVENT_EXCEPTION,
		.flags = VEE_EVENT_VALID,
		.instruction_length = page->exit.instruction_length,
	};
	return BREAK_GO_ON;
}

static bool is_met(struct vee_gdb *gdb, uint64_t dr6)
{
	static const char *const words[] = {
		[WATCH_WRITE] = "watch", [WATCH_ACCESS] = "awatch",
	};

	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++) {
		const struct breakpoint *at = &gdb->hardware[i];

		if (!at->length || !(dr6 >> i & 1))
			continue;
		if (at->type >= WATCH_WRITE)
			snprintf(gdb->why, sizeof(gdb->why), "%s:%llx;", words[at->type],
				 (unsigned long long)at->gva);
		else if (gdb->tells_breaks)
			strcpy(gdb->why, at->type == BREAK_SOFTWARE ? "swbreak:;" : "hwbreak:;");
		return true;
	}
	return false;
}

enum break_verdict break_judge(struct vee_gdb *gdb)
{
	const struct vee_exit_debug *debug = &gdb->vcpu->page->exit.debug;

	*gdb->why = 0;
	if (debug->vector != VECTOR_DB)
		return gdb->vcpu->page->intercept & VEE_INTERCEPT_BREAKPOINT ?
		       judge_int3(gdb) : BREAK_NONE;
	if (debug->step)
		return gdb->stepping ? BREAK_STOP : BREAK_NONE;
	if (!gdb->armed)
		return BREAK_NONE;
	if (is_met(gdb, debug->dr6))
		return BREAK_STOP;
	return debug->dr6 & DR6_BD ? do_move(gdb) : hand_on(gdb);
}
