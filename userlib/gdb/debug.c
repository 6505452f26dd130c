// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The debug registers, of which there are four for gdb and for the guest. While gdb has any,
 * the guest's own are copies. DR7.GD makes its accesses to them exits, which are done here
 * (SDM 3B, "Debug Control Register (DR7)"); its breakpoints have what gdb leaves.
 */
#include "gdb.h"

#define BREAKPOINT_BITS	((1ULL << HARDWARE_BREAKS) - 1)	/* B0 to B3 of DR6 */
#define DR6_SETTABLE	(BREAKPOINT_BITS | DR6_BD | DR6_BS)
#define DR6_BS		0x4000ULL

#define DR7_ONE		0x400ULL	/* always 1 */
#define DR7_ZERO	0xd000ULL	/* always 0 */
#define DR7_GD		0x2000ULL
#define DR7_GLOBAL	2ULL
#define ENABLE_SHIFT(n)	(2 * (n))	/* two bits each */
#define ENABLE_BITS	3ULL
#define KIND_SHIFT(n)	(16 + 4 * (n))	/* R/W, and LEN above it */
#define KIND_BITS	0xfULL
#define LEN_SHIFT	2
#define RW_WRITE	1ULL
#define RW_ACCESS	3ULL

/* SDM 3D, appendix "Field Encoding in VMCS". */
#define GUEST_DEBUGCTL	0x2802U

/* --- who has which --- */

static uint64_t kind_of(const struct breakpoint *at)
{
	/* SDM 3B, "Debug Control Register (DR7)": 1, 2, 8, 4 bytes. */
	static const uint64_t lengths[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };

	if (at->type < WATCH_WRITE)
		return 0;
	return (at->type == WATCH_WRITE ? RW_WRITE : RW_ACCESS) | lengths[at->length] << LEN_SHIFT;
}

static void set(struct vee_debug *debug, unsigned int n, uint64_t gva, uint64_t enable,
		uint64_t kind)
{
	debug->dr[n] = gva;
	debug->dr7 |= enable << ENABLE_SHIFT(n) | kind << KIND_SHIFT(n);
}

/* To the guest's breakpoint @own the next one from *@n on that is not gdb's. */
static void lend(struct vee_gdb *gdb, unsigned int own, unsigned int *n)
{
	uint64_t enable = gdb->cpu->own.dr7 >> ENABLE_SHIFT(own) & ENABLE_BITS;

	while (*n < HARDWARE_BREAKS && gdb->hardware[*n].length)
		++*n;
	if (!enable || *n == HARDWARE_BREAKS)
		return;
	set(&gdb->cpu->vcpu->page->debug, *n, gdb->cpu->own.dr[own], enable,
	    gdb->cpu->own.dr7 >> KIND_SHIFT(own) & KIND_BITS);
	gdb->cpu->lent[(*n)++] = 1U << own;
}

void debug_load(struct vee_gdb *gdb)
{
	struct vee_debug *debug = &gdb->cpu->vcpu->page->debug;
	unsigned int next = 0;

	if (!gdb->cpu->armed)
		gdb->cpu->own = *debug;
	memset(debug->dr, 0, sizeof(debug->dr));
	memset(gdb->cpu->lent, 0, sizeof(gdb->cpu->lent));
	debug->dr7 = DR7_ONE | DR7_GD;
	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++)
		if (gdb->hardware[i].length)
			set(debug, i, gdb->hardware[i].gva, DR7_GLOBAL,
			    kind_of(&gdb->hardware[i]));
	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++)
		lend(gdb, i, &next);
	gdb->cpu->armed = true;
	gdb->cpu->vcpu->page->dirty |= VEE_STATE_DEBUG;
}

/* The guest's own are again in force; DR6 it had all along. */
void debug_unload(struct vee_gdb *gdb)
{
	struct vee_debug *debug = &gdb->cpu->vcpu->page->debug;
	uint64_t dr6 = debug->dr6;

	*debug = gdb->cpu->own;
	debug->dr6 = dr6;
	gdb->cpu->armed = false;
	gdb->cpu->vcpu->page->dirty |= VEE_STATE_DEBUG;
}

/* --- what the guest gets to know --- */

uint64_t debug_guest_dr6(const struct vee_gdb *gdb, uint64_t dr6)
{
	uint64_t own = dr6 & DR6_SETTABLE & ~(BREAKPOINT_BITS | DR6_BD);

	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++)
		if (dr6 >> i & 1)
			own |= gdb->cpu->lent[i];
	return own;
}

/* As kmod/vcpu/exit.c delivers it. */
int debug_raise(struct vee_gdb *gdb, uint64_t dr6)
{
	struct vee_vcpu_page *page = gdb->cpu->vcpu->page;
	unsigned int int1 = page->exit.instruction_length;
	int err = vee_vcpu_sync(gdb->cpu->vcpu, VEE_STATE_DEBUG);

	if (!err)
		err = vee_vcpu_vmcs_write(gdb->cpu->vcpu, GUEST_DEBUGCTL, 0);
	if (err)
		return err;
	page->debug.dr6 = (page->debug.dr6 & ~BREAKPOINT_BITS) | dr6;
	page->dirty |= VEE_STATE_DEBUG;
	gdb->cpu->own.dr7 &= ~DR7_GD;
	page->inject = (struct vee_event) {
		.vector = VECTOR_DB,
		.type = int1 ? VEE_EVENT_PRIV_SOFT_EXCEPTION : VEE_EVENT_EXCEPTION,
		.flags = VEE_EVENT_VALID,
		.instruction_length = int1,
	};
	return 0;
}

/* --- its accesses --- */

#define INSN_BYTES	15
#define MOVE_BYTES	3	/* without prefixes */
#define REX_B		1

struct dr_move {
	bool is_load;
	unsigned int dr;
	unsigned int gpr;
	unsigned int length;
};

/* Those that are allowed with it and change nothing. */
static bool is_prefix(uint8_t byte)
{
	static const uint8_t prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3,
	};

	return memchr(prefixes, byte, sizeof(prefixes));
}

/* It is at a linear address, whatever gdb has its own addresses taken for. */
static bool fetch(struct vee_gdb *gdb, uint64_t rip, uint8_t bytes[INSN_BYTES])
{
	bool physical = gdb->physical;
	ssize_t count;

	gdb->physical = false;
	count = memory_read(gdb, rip, bytes, INSN_BYTES);
	gdb->physical = physical;
	return count > 0;
}

/* 0FH 21H and 0FH 23H. */
static bool decode_move(struct vee_gdb *gdb, uint64_t rip, unsigned int mode,
			struct dr_move *move)
{
	uint8_t bytes[INSN_BYTES + MOVE_BYTES] = { 0 };
	unsigned int rex = 0, n = 0;

	if (!fetch(gdb, rip, bytes))
		return false;
	while (n < INSN_BYTES && is_prefix(bytes[n]))
		n++;
	if (mode == 8 && bytes[n] >> 4 == 4)
		rex = bytes[n++];
	if (bytes[n] != 0x0f || (bytes[n + 1] != 0x21 && bytes[n + 1] != 0x23))
		return false;
	move->is_load = bytes[n + 1] == 0x23;
	move->dr = bytes[n + 2] >> 3 & 7;
	move->gpr = (bytes[n + 2] & 7) | (rex & REX_B) << 3;
	move->length = n + MOVE_BYTES;
	return true;
}

/* DR4 and DR5 are DR6 and DR7 here: with CR4.DE they were #UD before. */
static uint64_t read_own(const struct vee_gdb *gdb, unsigned int dr)
{
	if (dr < HARDWARE_BREAKS)
		return gdb->cpu->own.dr[dr];
	return dr & 1 ? gdb->cpu->own.dr7 : gdb->cpu->vcpu->page->debug.dr6;
}

static void write_own(struct vee_gdb *gdb, unsigned int dr, uint64_t value)
{
	if (dr < HARDWARE_BREAKS)
		gdb->cpu->own.dr[dr] = value;
	else if (dr & 1)
		gdb->cpu->own.dr7 = (value & ~DR7_ZERO) | DR7_ONE;
	else
		gdb->cpu->vcpu->page->debug.dr6 = value;
}

static bool is_refused(const struct guest *guest, const struct dr_move *move)
{
	const struct vee_vcpu_page *page = guest->vcpu->page;

	return guest_cpl(guest) || (move->is_load && move->dr >= HARDWARE_BREAKS &&
				    guest->mode == 8 && page->regs.gpr[move->gpr] >> 32);
}

static int do_move(struct vee_gdb *gdb, const struct guest *guest, const struct dr_move *move)
{
	struct vee_vcpu_page *page = gdb->cpu->vcpu->page;
	unsigned int bytes = guest->mode == 8 ? 8 : 4;

	if (move->is_load) {
		write_own(gdb, move->dr, page->regs.gpr[move->gpr] & low_bits(bytes));
		debug_load(gdb);
	} else {
		set_gpr(gdb->cpu->vcpu, move->gpr, bytes, read_own(gdb, move->dr));
	}
	page->regs.rip += move->length;
	page->regs.rflags &= ~RFLAGS_RF;
	page->dirty |= VEE_STATE_REGS;
	return trap_step(guest, false);
}

int debug_move(struct vee_gdb *gdb)
{
	struct vee_vcpu_page *page = gdb->cpu->vcpu->page;
	struct guest guest = { .vcpu = gdb->cpu->vcpu };
	struct dr_move move;
	uint64_t rip;
	int err = memory_rip(gdb, &rip);

	if (!err)
		err = vee_vcpu_sync(gdb->cpu->vcpu, VEE_STATE_DEBUG);
	if (err)
		return err;
	guest.mode = page->segments.cs.access_rights & VEE_AR_L && page->control.efer & EFER_LMA ?
		     8 : 4;
	guest.traps = page->regs.rflags & RFLAGS_TF;
	if (!decode_move(gdb, rip, guest.mode, &move))
		return -EFAULT;
	if (gdb->cpu->own.dr7 & DR7_GD && !guest_cpl(&guest))
		return debug_raise(gdb, DR6_BD);
	if (!is_refused(&guest, &move))
		return do_move(gdb, &guest, &move);
	guest_fault(&guest, VECTOR_GP, 0);
	return 0;
}
