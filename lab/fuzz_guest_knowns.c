// SPDX-License-Identifier: GPL-2.0-only
/* Differences of the fuzzer's guests that have a reason: the table is at the end. */
#include <cpuid.h>

#include "fuzz_guest_compare.h"

/*
 * KVM's vmx_set_segment() and vmx_segment_access_rights() have a segment that isn't present
 * be unusable, and all but LDTR accessed.
 */
static bool mend(struct vee_segment *s, bool is_ldtr)
{
	uint32_t before = s->access_rights;

	if (!(before & VEE_AR_PRESENT))
		s->access_rights |= VEE_AR_UNUSABLE;
	if (!is_ldtr)
		s->access_rights |= 1;
	return s->access_rights != before;
}

#define SEGMENTS	8	/* ES, CS, SS, DS, FS, GS, LDTR, TR */
#define LDTR		6

/* So it enters where vee is refused, as SDM 3C, "Checks on Guest Segment Registers", has it. */
static bool is_mended_segment(const struct difference *d)
{
	static struct guest mended;
	bool any = false;

	if (last_step(d->vee)->stop != END_REFUSED_ENTRY)
		return false;
	mended = *d->g;
	for (int i = 0; i < SEGMENTS; i++)
		any |= mend(&mended.start.state.segments.es + i, i == LDTR);
	return any && is_as_if(d->g, &mended);
}

/*
 * A CS whose bits say that it is unusable: an entry takes it, and the CPU runs it (SDM 3C,
 * "Checks on Guest Segment Registers"); KVM's emulator has #GP for each instruction there.
 */
static bool is_unusable_code(const struct difference *d)
{
	static struct guest mended;

	mended = *d->g;
	mended.start.state.segments.cs.access_rights &= ~VEE_AR_UNUSABLE;
	return d->g->start.state.segments.cs.access_rights & VEE_AR_UNUSABLE &&
	       does_as_if(d, &mended);
}

/*
 * An interrupt while the guest isn't ready for it: KVM's entry fails (SDM 3C, "Checks on Guest
 * RIP, RFLAGS, and SSP"); vee holds it back, by design, and the guest goes on as without.
 */
static bool is_held_back(const struct difference *d)
{
	static struct guest mended;

	mended = *d->g;
	mended.start.inject.flags = 0;
	return d->g->start.inject.flags && d->g->start.inject.type == VEE_EVENT_INTERRUPT &&
	       last_step(d->kvm)->stop == END_REFUSED_ENTRY && does_as_if(d, &mended);
}

/* Is breakpoint @i at the first instruction, of which RFLAGS.RF keeps it? */
static bool is_resumed_at(const struct state *s, int i)
{
	return s->regs.rflags & RFLAGS_RF && s->debug.dr[i] == s->segments.cs.base + s->regs.rip &&
	       s->debug.dr7 >> (2 * i) & 3 && !(s->debug.dr7 >> (16 + 4 * i) & 3);
}

/*
 * Of an instruction that exits RF is saved as 0 (SDM 3C, "Saving RIP, RSP, RFLAGS, and SSP"),
 * so that KVM's emulator finds its breakpoint again. Without that breakpoint nothing differs.
 */
static bool is_breakpoint_again(const struct difference *d)
{
	static struct guest mended;
	bool any = false;

	mended = *d->g;
	for (int i = 0; i < 4; i++)
		if (is_resumed_at(&d->g->start.state, i)) {
			mended.start.state.debug.dr[i] = 0x7ffff000;
			any = true;
		}
	return any && is_at(d->kvm, 1) && does_as_if(d, &mended);
}

static uint64_t beyond_physical(void)
{
	unsigned int eax = 36, ebx, ecx, edx;

	__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx);
	return ~0ULL << (eax & 0xff);
}

/*
 * PDPTEs that are present with a reserved bit set: KVM has no PDPTE at all then, and all
 * faults; vee is refused, as SDM 3C, "Checks on Guest Page-Directory-Pointer-Table Entries",
 * has it.
 */
static bool is_pdpte(const struct difference *d)
{
	const struct vee_control *c = &d->g->start.state.control;
	const uint64_t reserved = 0x1e6 | beyond_physical();
	uint64_t gpa = c->cr3 & ~0x1fULL & UINT32_MAX, entries[4];
	bool any = false;

	if (last_step(d->vee)->stop != END_REFUSED_ENTRY || d->vee->step_count > 1 ||
	    last_step(d->kvm)->stop != END_SHUTDOWN || d->kvm->step_count > 1 ||
	    !(c->cr0 & CR0_PG) || !(c->cr4 & CR4_PAE) || c->efer & EFER_LMA ||
	    gpa > RAM_BYTES - sizeof(entries))
		return false;
	memcpy(entries, pristine + gpa, sizeof(entries));
	for (int i = 0; i < 4; i++)
		any |= entries[i] & 1 && entries[i] & reserved;
	return any;
}

/* Not where is_right() has memory: then nobody but vee has done it. */
static bool is_elsewhere(const struct beat *beat)
{
	return beat->address - GPA_MMIO >= MMIO_BYTES;
}

/* Is all that differs that KVM has read a port, or memory, once more, and for nothing? */
static bool reads_more(const struct difference *d, bool is_port)
{
	struct trail *kvm = copy_of(d->kvm);
	unsigned int first = first_beat(d->vee, kvm), count = kvm->bus_count - d->vee->bus_count;

	if (kvm->bus_count <= d->vee->bus_count)
		return false;
	for (unsigned int i = first; i < first + count; i++)
		if (kvm->bus[i].is_port != is_port || kvm->bus[i].is_write)
			return false;
	drop_beats(kvm, first, count);
	return !find_difference(d->vee, kvm);
}

/* Is it an INS that the fault is of, be it one that the guest has written itself? */
static bool is_ins_there(const struct difference *d)
{
	uint32_t gpa = fault_at(d->vee, memory_vee, d->g->mode != REAL);

	return (is_at(d->vee, 12) || is_at(d->vee, 13) || is_at(d->vee, 14)) && gpa < RAM_BYTES &&
	       (memory_vee[gpa] == 0x6c || memory_vee[gpa] == 0x6d);
}

/* KVM reads the port before it finds that memory can't be written: SDM 2A, "INS". */
static bool is_ins(const struct difference *d)
{
	return reads_more(d, true) && (part_at(d, 0x6c, NO_MORE) || part_at(d, 0x6d, NO_MORE) ||
				       is_ins_there(d));
}

/* Beats to ports, or those to memory. */
static unsigned int beats_of(const struct trail *trail, bool is_port, struct beat *beats)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < trail->bus_count; i++)
		if (trail->bus[i].is_port == is_port) {
			beats[count] = trail->bus[i];
			beats[count++].rip = 0;
		}
	return count;
}

/* KVM does the INs of a REP INS in advance: then all is as it was, but for the order. */
static bool is_rep_ins(const struct difference *d)
{
	static struct beat vee[BUS_MAX], kvm[BUS_MAX];
	struct trail *mended = copy_of(d->kvm);

	for (int is_port = 0; is_port < 2; is_port++) {
		unsigned int count = beats_of(d->vee, is_port, vee);

		memset(vee + count, 0, sizeof(vee) - count * sizeof(*vee));
		memset(kvm, 0, sizeof(kvm));
		if (beats_of(d->kvm, is_port, kvm) != count || memcmp(vee, kvm, sizeof(vee)))
			return false;
	}
	memcpy(mended->bus, d->vee->bus, sizeof(mended->bus));
	return !find_difference(d->vee, mended) &&
	       (part_at(d, 0x6c, NO_MORE) || part_at(d, 0x6d, NO_MORE));
}

/*
 * LGDT and LIDT with a 16-bit operand leave the sixth byte out. Whether it is read is nowhere
 * said: SDM 2A, "LGDT/LIDT". KVM does not.
 */
static bool is_sixth_byte(const struct difference *d)
{
	unsigned int first = first_beat(d->vee, d->kvm);
	static struct trail vee;

	vee = *d->vee;
	if (vee.bus_count != d->kvm->bus_count + 1)
		return false;
	if (vee.bus[first].is_port || vee.bus[first].is_write)
		return false;
	drop_beats(&vee, first, 1);
	return !find_difference(&vee, d->kvm) && part_at(d, 0x0f, 0x01);
}

/* KVM's emulator reads what SLDT and STR then write over. */
static bool is_sldt(const struct difference *d)
{
	return d->vee->bus_count && reads_more(d, false) && part_at(d, 0x0f, 0x00) &&
	       is_right_or_beyond(d);
}

/* ... and what CLFLUSH flushes: SDM 2A, "CLFLUSH", does not read. */
static bool is_clflush(const struct difference *d)
{
	struct went went;

	return reads_more(d, false) && part_at(d, 0x0f, 0xae) && is_as_plain(d->g, &went) &&
	       !went.beyond;
}

/*
 * ... and one operand of CMPS where the other faults: of the order the SDM has nothing. HLT in
 * its place has the same fault at CPL 3.
 */
static bool is_cmps(const struct difference *d)
{
	return reads_more(d, false) &&
	       (memchr(pristine + GPA_CODE, 0xa6, d->g->bytes) ||
		memchr(pristine + GPA_CODE, 0xa7, d->g->bytes)) &&
	       (is_at(d->vee, 12) || is_at(d->vee, 13) || is_at(d->vee, 14));
}

/*
 * ... and what MOVS or POP moves, before its destination faults, and what POPF pops, before it
 * finds IOPL wanting in virtual-8086 mode: of that there is nothing, too.
 */
static bool is_movs(const struct difference *d)
{
	return reads_more(d, false) &&
	       (is_at(d->vee, 12) || is_at(d->vee, 13) || is_at(d->vee, 14)) &&
	       (part_at(d, 0xa4, NO_MORE) || part_at(d, 0xa5, NO_MORE) ||
		part_at(d, 0x8f, REG(0)) ||
		(d->g->mode == VIRTUAL && part_at(d, 0x9d, NO_MORE)));
}

/* Of what KVM emulates it checks no alignment: SDM 3A, "Alignment Check Exception (#AC)". */
static bool is_alignment(const struct difference *d)
{
	return is_at(d->vee, 17) && is_right_without(d->g);
}

/*
 * An operand that goes beyond 4 GiB: whether it faults is the CPU's to choose (SDM 3A, "Limit
 * Checking"). KVM's emulator has it go on at 0.
 */
static bool is_wrap(const struct difference *d)
{
	const struct trail *kvm = d->kvm;
	unsigned int next = d->vee->bus_count;

	while (next < kvm->bus_count && kvm->bus[next].address != UINT32_MAX)
		next++;
	return next < kvm->bus_count && same_bus(d->vee, kvm, d->vee->bus_count) &&
	       (is_at(d->vee, 13) || is_at(d->vee, 12) || is_right_without(d->g));
}

/* CPUID does not offer it: by design. KVM takes it all the same. */
static bool is_mce(const struct difference *d)
{
	return is_at(d->vee, 13) && !(last_step(d->vee)->control.cr4 & CR4_MCE) &&
	       last_step(d->kvm)->control.cr4 & CR4_MCE && part_at(d, 0x0f, 0x22);
}

/* KVM's handle_cr() looks at the lower byte: SDM 2B, "MOV-Move to/from Control Registers". */
static bool is_cr8(const struct difference *d)
{
	const uint8_t *code = pristine + GPA_CODE;

	if (!is_at(d->vee, 13))
		return false;
	for (unsigned int i = 1; i + 2 < d->g->bytes; i++) {
		unsigned int reg = (code[i - 1] & 1) << 3 | (code[i + 2] & 7);
		uint64_t value = last_step(d->vee)->regs.gpr[reg];

		if ((code[i - 1] & 0xf4) == 0x44 && code[i] == 0x0f && code[i + 1] == 0x22 &&
		    !(code[i + 2] & 0x38) && value > 0xff && !(value & 0xf0) &&
		    is_same_until(d, GPA_CODE + i))
			return true;
	}
	return false;
}

/*
 * At CPL 3 a selector with RPL 0 of a segment with DPL 0: KVM's emulator refuses it if both
 * CPL and RPL are above DPL, not if either is (SDM 3A, "Privilege Level Checking when Accessing
 * Data Segments").
 */
static bool is_privilege(const struct difference *d)
{
	static const struct {
		uint8_t first;
		int second;
	} loads[] = {
		{ 0x07, NO_MORE }, { 0x1f, NO_MORE }, { 0x8e, NO_MORE }, { 0xc4, NO_MORE },
		{ 0xc5, NO_MORE }, { 0x0f, 0xa1 }, { 0x0f, 0xa9 }, { 0x0f, 0xb4 }, { 0x0f, 0xb5 },
	};

	if (!is_at(d->vee, 13) || !d->g->kind.level)
		return false;
	for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++)
		if (part_at(d, loads[i].first, loads[i].second))
			return is_right(d->g);
	return false;
}

/*
 * The emulator has a MOV to DR8 exit before it finds that there is no such register: SDM 3C,
 * "Relative Priority of Faults and VM Exits". KVM then finds the privilege level wanting; vee
 * lets the guest do it again, with no exit, and the CPU finds the register wanting.
 */
static bool is_dr8(const struct difference *d)
{
	const uint8_t *code = pristine + GPA_CODE;

	/* Or the IDT ends before #GP. */
	if (!is_at(d->vee, 6) || (!is_at(d->kvm, 13) && last_step(d->kvm)->stop != END_SHUTDOWN))
		return false;
	for (unsigned int i = 1; i + 1 < d->g->bytes; i++)
		if ((code[i - 1] & 0xf4) == 0x44 && code[i] == 0x0f &&
		    (code[i + 1] == 0x21 || code[i + 1] == 0x23) &&
		    is_same_until(d, GPA_CODE + i))
			return true;
	return false;
}

/*
 * Of an exit in the middle of an instruction the emulator notes a single-step trap as pending,
 * where SDM 3C, "Saving Non-Register State", has none. vee lets the guest do the MOV to or
 * from a debug register again, and KVM goes past it, or raises a fault. But where another
 * guest's breakpoints were before, the registers are loaded, and vee has no such exit.
 */
static bool is_dr_step(const struct difference *d)
{
	return (is_at(d->vee, 1) || is_at(d->kvm, 1)) &&
	       d->g->start.state.regs.rflags & RFLAGS_TF &&
	       (part_at(d, 0x0f, 0x21) || part_at(d, 0x0f, 0x23));
}

/*
 * Of an EPT violation likewise: the trap comes before the instruction again, under KVM, which
 * enters the guest once more, and not under vee, which has done it.
 */
static bool is_early_step(const struct difference *d)
{
	return d->g->start.state.regs.rflags & RFLAGS_TF && is_at(d->vee, 1) && is_at(d->kvm, 1) &&
	       d->vee->bus_count > d->kvm->bus_count &&
	       same_bus(d->vee, d->kvm, d->kvm->bus_count) &&
	       fault_at(d->kvm, memory_kvm, false) != fault_at(d->vee, memory_vee, false) &&
	       is_right(d->g);
}

/*
 * ... and in DR6 it is where the fault of such an instruction can't be delivered: of vee's,
 * when the registers are not loaded, so that it exits, and not when they are.
 */
bool is_dr_shutdown(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	uint64_t rip = last_step(d->vee)->regs.rip;
	const uint8_t *code = pristine + rip;

	if (last_step(kvm)->stop != END_SHUTDOWN || rip - GPA_CODE >= d->g->bytes ||
	    !(d->g->start.state.regs.rflags & RFLAGS_TF))
		return false;
	if ((*code & 0xf0) == 0x40)
		code++;
	kvm->end.debug.dr6 ^= (kvm->end.debug.dr6 ^ d->vee->end.debug.dr6) & DR6_BS;
	return code[0] == 0x0f && (code[1] == 0x21 || code[1] == 0x23) &&
	       !find_difference(d->vee, kvm);
}

static bool is_string(uint8_t opcode)
{
	return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
	       (opcode >= 0xaa && opcode <= 0xaf);
}

/*
 * REP of what is emulated: there is a trap after each iteration (SDM 2B,
 * "REP/REPE/REPZ/REPNE/REPNZ": an exception suspends it); KVM's emulator has one after many.
 * Without RFLAGS.TF nothing differs.
 */
static bool is_rep_step(const struct difference *d)
{
	uint32_t gpa = fault_at(d->vee, memory_vee, false), next;
	uint32_t of_kvm = fault_at(d->kvm, memory_kvm, false);
	static struct guest mended;

	if (!is_at(d->vee, 1) || !is_at(d->kvm, 1) || gpa >= RAM_BYTES - INSN_MOST ||
	    !(d->g->start.state.regs.rflags & RFLAGS_TF) ||
	    !same_bus(d->vee, d->kvm, d->vee->bus_count))
		return false;
	next = gpa + length_at(d->g, gpa);
	if (next == gpa || !is_string(pristine[next - 1]) || (of_kvm != gpa && of_kvm != next))
		return false;
	mended = *d->g;
	mended.start.state.regs.rflags &= ~RFLAGS_TF;
	return is_same_until(d, gpa) && is_alike_until(&mended, next);
}

#define CODE_TYPE	0xf
#define CODE_PLAIN	0xb	/* not conforming; whether it may be read is no matter */
#define RPL		3

/*
 * SS with another DPL than CS: SDM 3C, "Checks on Guest Segment Registers", has no CPU enter. The
 * emulated one does, and takes CS's for the privilege level, KVM SS's.
 */
static bool is_two_levels(const struct difference *d)
{
	const struct vee_segments *all = &d->g->start.state.segments;
	static struct guest mended;

	if ((all->cs.access_rights | 2) % (CODE_TYPE + 1) != CODE_PLAIN ||
	    !((all->cs.access_rights ^ all->ss.access_rights) & VEE_AR_DPL))
		return false;
	mended = *d->g;
	mended.start.state.segments.ss.access_rights ^=
		(all->cs.access_rights ^ all->ss.access_rights) & VEE_AR_DPL;
	return does_as_if(d, &mended);
}

/*
 * At an entry to virtual-8086 mode the emulator takes CS's RPL for the privilege level, and if
 * that is not 3 checks no alignment from then on, where SDM 3A, "Alignment Check Exception
 * (#AC)", has it be checked. Without RFLAGS.AC nothing differs.
 */
static bool is_unchecked(const struct difference *d)
{
	const struct state *s = &d->g->start.state;
	unsigned int at = d->vee->bus_count;
	static struct guest mended;

	if (!is_at(d->vee, 17) || !(s->regs.rflags & RFLAGS_VM) ||
	    (s->segments.cs.selector & RPL) == RPL || d->kvm->bus_count <= at ||
	    !(d->kvm->bus[at].address & 3))
		return false;
	mended = *d->g;
	mended.start.state.regs.rflags &= ~RFLAGS_AC;
	return is_alike(&mended);
}

#define FSW_UPPER	3	/* bytes of the XSAVE area */
#define FSW_B		0x80

/*
 * An FXRSTOR that faults by MXCSR has loaded the x87 status word before, with B as in memory. B is
 * as ES is (SDM 1, "x87 FPU Status Register") as soon as it has been saved and loaded again, and
 * whether it has been is the engine's to choose.
 */
static bool is_busy(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);

	kvm->end.xsave[FSW_UPPER] ^=
		(kvm->end.xsave[FSW_UPPER] ^ d->vee->end.xsave[FSW_UPPER]) & FSW_B;
	return !find_difference(d->vee, kvm) && is_at(d->vee, 13) && part_at(d, 0x0f, 0xae);
}

/* ENTER, ARPL, BOUND, LAR, LSL: where the device is elsewhere than is_right() has memory. */
static bool part_at_missing(const struct difference *d)
{
	return part_at(d, 0xc8, NO_MORE) || part_at(d, 0x63, NO_MORE) ||
	       part_at(d, 0x62, NO_MORE) || part_at(d, 0x0f, 0x02) || part_at(d, 0x0f, 0x03);
}

/*
 * Likewise in what a guest has jumped to; or any instruction that has gone to memory beyond
 * the device: there is no #UD of that.
 */
static bool is_missing_there(const struct difference *d)
{
	bool ended = last_step(d->kvm)->stop == END_SHUTDOWN;
	uint32_t gpa = ended ? last_step(d->kvm)->regs.rip : fault_at(d->kvm, memory_kvm, false);
	const uint8_t *m = pristine;
	uint32_t at;

	if (gpa > RAM_BYTES - 16 || memcmp(m + gpa, memory_kvm + gpa, 4))
		return false;
	at = skip_prefixes(gpa);
	return (m[at] == 0xc8 || m[at] == 0x63 || m[at] == 0x62 ||
		(m[at] == 0x0f && (m[at + 1] == 0x02 || m[at + 1] == 0x03)) ||
		is_elsewhere(&d->vee->bus[d->kvm->bus_count])) &&
	       is_same_until(d, gpa);
}

/* The CPU, too, whatever comes of what is behind it. */
static bool is_missing_alone(const struct difference *d)
{
	uint32_t gpa = fault_at(d->kvm, memory_kvm, false);

	return is_at(d->kvm, 6) && gpa < RAM_BYTES - INSN_MOST && is_same_until(d, gpa) &&
	       is_right_until(d->g, gpa + length_at(d->g, gpa));
}

/* KVM's emulator has not got the instruction, and makes #UD of it, or worse; libvee has. */
static bool is_beyond_kvm(const struct difference *d)
{
	return (is_at(d->kvm, 6) || last_step(d->kvm)->stop == END_SHUTDOWN) &&
	       d->vee->bus_count > d->kvm->bus_count &&
	       same_bus(d->vee, d->kvm, d->kvm->bus_count) &&
	       (is_right(d->g) || part_at_missing(d) || is_missing_there(d) ||
		is_missing_alone(d));
}

/*
 * KVM begins POPA again after each access to a device, with (E)SP where it was by then; of
 * PUSHA the last write alone gets there.
 */
static bool is_popa(const struct difference *d)
{
	return d->kvm->bus_count && (part_at(d, 0x60, NO_MORE) || part_at(d, 0x61, NO_MORE)) &&
	       is_right_or_beyond(d);
}

/*
 * Of what a far CALL pushes the last write alone gets to a device, too. Or a write gets there that
 * should not: KVM takes it for the access that the exit was about if it is as far into its page.
 */
static bool is_far_call(const struct difference *d)
{
	return d->vee->bus_count != d->kvm->bus_count &&
	       (part_at(d, 0x9a, NO_MORE) || part_at(d, 0xff, REG(3))) && is_right_or_beyond(d);
}

/*
 * A null selector that LSS or POP SS has loaded from a device, in 64-bit mode: SS is unusable
 * then (SDM 3C, "Guest Register State"), and KVM makes one of 4 KiB of it.
 */
static bool is_null_stack(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);

	for (unsigned int i = 0; i < kvm->step_count && i < d->vee->step_count; i++) {
		const struct vee_segment *right = &d->vee->steps[i].segments.ss;
		struct vee_segment *ss = &kvm->steps[i].segments.ss;

		if (right->access_rights & VEE_AR_UNUSABLE && right->selector < 4 &&
		    ss->selector == right->selector)
			*ss = *right;
	}
	return !find_difference(d->vee, kvm) && is_right(d->g);
}

/*
 * KVM's emulator has ENTER save (E)BP by the width of the stack: SDM 2A, "ENTER", by that of
 * the operand; with a nesting level it is #UD. It is emulated as the new (E)SP, which ENTER
 * looks at, is in a device.
 */
static bool is_enter(const struct difference *d)
{
	const struct vee_regs *vee = &last_step(d->vee)->regs, *kvm = &last_step(d->kvm)->regs;
	uint64_t more = (vee->rbp - kvm->rbp) & 0xff;

	return (more == 2 || more == 6 || more == 0xfe || is_at(d->kvm, 6)) &&
	       part_at(d, 0xc8, NO_MORE) && (is_right_without(d->g) || is_right_or_beyond(d));
}

/* SDM 2A, "LTR": #GP(selector) if that points to the LDT; KVM's emulator has 0 for it. */
static bool is_ltr(const struct difference *d)
{
	const unsigned int is_local = 4;
	uint16_t of_vee, of_kvm;
	uint32_t at = 0;

	if (strcmp(d->what, "memory") || !is_at(d->vee, 13) || !is_at(d->kvm, 13))
		return false;
	while (memory_vee[at] == memory_kvm[at])
		at++;
	memcpy(&of_vee, memory_vee + at, 2);
	memcpy(&of_kvm, memory_kvm + at, 2);
	at += 2;
	return of_vee & is_local && !of_kvm &&
	       !memcmp(memory_vee + at, memory_kvm + at, RAM_BYTES - at) &&
	       part_at(d, 0x0f, 0x00) &&
	       ((d->vee->bus_count && is_elsewhere(&d->vee->bus[d->vee->bus_count - 1])) ||
		is_right(d->g));
}

#define FRAME_BYTES	48U	/* of 64-bit mode, with an error code */

/* KVM's emulator does the instruction at RIP in place of a frame for a device's memory. */
static bool is_frame(const struct difference *d)
{
	const struct trail *vee = d->vee;
	const struct beat *last;

	if (!vee->bus_count || !has_end(vee) ||
	    last_step(vee)->regs.rip == last_step(d->kvm)->regs.rip)
		return false;
	last = &vee->bus[vee->bus_count - 1];
	return last->is_write && !last->is_port &&
	       (last->address - last_step(vee)->regs.rsp) % PAGE_BYTES < FRAME_BYTES &&
	       (is_elsewhere(last) || is_right(d->g));
}

/* Nor does it go on in a page table that is in a device: the event before it is lost, too. */
static bool is_walk(const struct difference *d)
{
	const struct trail *vee = d->vee;
	unsigned int at = d->kvm->bus_count;

	return vee->bus_count > at && same_bus(vee, d->kvm, at) && !vee->bus[at].is_port &&
	       !vee->bus[at].is_write && !(vee->bus[at].address % 4) &&
	       d->g->start.state.control.cr0 & CR0_PG && last_step(d->kvm)->stop == END_SHUTDOWN &&
	       (is_elsewhere(&vee->bus[at]) || is_right(d->g));
}

/*
 * INT1 whose delivery ends in a shutdown: RIP is at it (SDM 3C, "Information for VM Exits That
 * Occur During Event Delivery"). KVM has gone past it before.
 */
static bool is_int1(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	uint64_t rip = last_step(d->vee)->regs.rip, next = last_step(kvm)->regs.rip;

	if (last_step(d->vee)->stop != END_SHUTDOWN || last_step(d->kvm)->stop != END_SHUTDOWN ||
	    rip - GPA_CODE >= d->g->bytes || next - rip > 15 || pristine[next - 1] != 0xf1)
		return false;
	kvm->steps[kvm->step_count - 1].regs.rip = rip;
	return !find_difference(d->vee, kvm);
}

#define CR0_RESERVED	0x1ffaffc0ULL

/* KVM's switch of tasks clears bits of CR0 that there are not; a VM entry leaves them out. */
static bool is_reserved_cr0(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	uint64_t begin = d->g->start.state.control.cr0;

	if (!(begin & CR0_RESERVED))
		return false;
	for (unsigned int i = 0; i < kvm->step_count && i < d->vee->step_count; i++)
		kvm->steps[i].control.cr0 |= d->vee->steps[i].control.cr0 & CR0_RESERVED;
	return !find_difference(d->vee, kvm);
}

/*
 * A switch to a task whose SS can't be loaded: it is done, and #TS is the new task's (SDM 3A,
 * "Task Switching"). KVM goes on in the old one, with the new one's selectors.
 */
static bool is_half_switch(const struct difference *d)
{
	const struct vee_segments *vee = &last_step(d->vee)->segments;
	const struct vee_segments *kvm = &last_step(d->kvm)->segments;

	return vee->tr.selector != d->g->start.state.segments.tr.selector &&
	       kvm->tr.selector == d->g->start.state.segments.tr.selector &&
	       vee->ss.access_rights & VEE_AR_UNUSABLE && vee->ss.selector == kvm->ss.selector;
}

/*
 * B0 to B3 of breakpoints that are not enabled "may or may not be set": SDM 3B, "Debug Status
 * Register (DR6)". The CPU sets them when it delivers a trap that was pending at the entry.
 */
static bool is_disabled_breakpoint(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	uint64_t disabled = 0;

	for (int i = 0; i < 4; i++)
		disabled |= !(d->vee->end.debug.dr7 >> (2 * i) & 3) << i;
	kvm->end.debug.dr6 ^= (kvm->end.debug.dr6 ^ d->vee->end.debug.dr6) & disabled;
	return !find_difference(d->vee, kvm);
}

#define TSS_SELECTORS	0x48	/* ES to GS, and LDTR: words in double words */
#define TSS_LDTR	0x60

/* What is beside the selectors in a TSS is reserved; KVM's switch writes zeros there. */
static bool is_beside_selectors(const struct difference *d)
{
	uint64_t tss = d->g->start.state.segments.tr.base;
	static struct kept kept;
	bool same;

	if (strcmp(d->what, "memory") || tss > RAM_BYTES - TSS_LDTR - 4)
		return false;
	keep(&kept);
	for (uint64_t at = tss + TSS_SELECTORS; at <= tss + TSS_LDTR; at += 4)
		memcpy(memory_kvm + at + 2, memory_vee + at + 2, 2);
	same = !find_difference(d->vee, d->kvm);
	give_back(&kept);
	return same;
}

#define MSR_TSC	0x10

/* The first one of @trail, or as many as it has: none. */
static unsigned int find_step(const struct trail *trail, enum stop stop, uint64_t what)
{
	unsigned int i = 0;

	while (i < trail->step_count &&
	       (trail->steps[i].stop != stop || trail->steps[i].what != what))
		i++;
	return i;
}

/* The engine's own under vee; KVM is told to ask for what isn't compared. */
static bool is_tsc(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	unsigned int i = find_step(kvm, GO_WRMSR, MSR_TSC);

	if (i == kvm->step_count)
		return false;
	kvm->step_count--;
	memmove(kvm->steps + i, kvm->steps + i + 1,
		(kvm->step_count - i) * sizeof(*kvm->steps));
	return !find_difference(d->vee, kvm);
}

/* Likewise its RDMSR, which is another each time: until then they must be the same. */
static bool is_rdtsc(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	unsigned int i = find_step(kvm, GO_RDMSR, MSR_TSC);

	if (i == kvm->step_count)
		return false;
	kvm->steps[i].stop = END_CANNOT;
	kvm->step_count = i + 1;
	return !find_difference(d->vee, kvm);
}

/* KVM asks nobody for registers of the local APIC, which neither guest has. */
static bool is_apic_register(const struct difference *d)
{
	static struct trail vee;
	unsigned int kept = 0;

	vee = *d->vee;
	for (unsigned int i = 0; i < d->vee->step_count; i++) {
		const struct step *step = &d->vee->steps[i];

		if ((step->stop != GO_RDMSR && step->stop != GO_WRMSR) || !is_x2apic(step->what))
			vee.steps[kept++] = *step;
	}
	vee.step_count = kept;
	return kept < d->vee->step_count && !find_difference(&vee, d->kvm);
}

/*
 * Its emulator again: the CPU, with memory in place of the device, has done what vee has. It
 * does not tell what it reads, so not where all that differs is what went over the bus.
 */
static bool is_otherwise(const struct difference *d)
{
	bool bus = !strcmp(d->what, "what went over the bus");
	const struct step *vee = last_step(d->vee), *kvm = last_step(d->kvm);

	return (!bus || vee->stop != kvm->stop ||
		memcmp(&vee->regs, &kvm->regs, sizeof(vee->regs))) && is_right(d->g);
}

struct known knowns[] = {
	{ "KVM mends a segment that an entry refuses", is_mended_segment, 0 },
	{ "an interrupt that vee holds back, by design", is_held_back, 0 },
	{ "KVM runs no code where CS is unusable", is_unusable_code, 0 },
	{ "KVM's emulator meets a breakpoint that RF keeps off", is_breakpoint_again, 0 },
	{ "KVM has no PDPTE where one has a reserved bit set", is_pdpte, 0 },
	{ "KVM does the IN of an INS whose memory faults", is_ins, 0 },
	{ "KVM does the INs of a REP INS in advance", is_rep_ins, 0 },
	{ "the sixth byte of a 16-bit LGDT or LIDT", is_sixth_byte, 0 },
	{ "KVM's #GP for an LTR of the LDT has no error code", is_ltr, 0 },
	{ "KVM's PUSHA and POPA go wrong in a device", is_popa, 0 },
	{ "KVM's far CALL goes wrong in a device", is_far_call, 0 },
	{ "KVM's SS is usable with a null selector", is_null_stack, 0 },
	{ "KVM reads what SLDT or STR then writes", is_sldt, 0 },
	{ "KVM reads what CLFLUSH flushes", is_clflush, 0 },
	{ "KVM reads one operand of CMPS, and the other faults", is_cmps, 0 },
	{ "KVM reads what MOVS or POP moves, or POPF, which faults", is_movs, 0 },
	{ "KVM checks no alignment where it emulates", is_alignment, 0 },
	{ "an operand beyond 4 GiB, which may fault or not", is_wrap, 0 },
	{ "KVM's ENTER saves by the width of the stack, or is #UD", is_enter, 0 },
	{ "KVM reads no page table in a device", is_walk, 0 },
	{ "KVM goes past INT1 before a shutdown in its delivery", is_int1, 0 },
	{ "bits of CR0 that there are not", is_reserved_cr0, 0 },
	{ "reserved words of a TSS", is_beside_selectors, 0 },
	{ "bits in DR6 of breakpoints that are not enabled", is_disabled_breakpoint, 0 },
	{ "KVM switches tasks by half, where SS can't be loaded", is_half_switch, 0 },
	{ "WRMSR of the TSC, which vee answers itself", is_tsc, 0 },
	{ "RDMSR of the TSC, likewise", is_rdtsc, 0 },
	{ "registers of an APIC, which KVM does not ask for", is_apic_register, 0 },
	{ "KVM can't emulate what reaches a device: #UD", is_beyond_kvm, 0 },
	{ "KVM has a step's trap after HLT in DR6 already", is_hlt_step, 0 },
	{ "KVM does not deliver an event whose frame goes to a device", is_frame, 0 },
	{ "KVM takes a segment of a lower DPL", is_privilege, 0 },
	{ "KVM takes CR4.MCE, which CPUID does not offer", is_mce, 0 },
	{ "KVM takes a CR8 whose upper bits are set", is_cr8, 0 },
	{ "flags that an instruction leaves undefined", is_undefined_flag, 0 },
	{ "SHLD or SHRD of 16 bits by more", is_undefined_shift, 0 },
	{ "KVM does more of a REP in one step", is_rep_step, 0 },
	{ "the emulator: it enters where SS has not CS's DPL", is_two_levels, 0 },
	{ "the emulator: no alignment checks in virtual-8086 mode", is_unchecked, 0 },
	{ "the emulator: B of an FXRSTOR that faults", is_busy, 0 },
	{ "the emulator: MOV to DR8 exits before #UD", is_dr8, 0 },
	{ "the emulator: a single-step trap pending at the exit of MOV DR", is_dr_step, 0 },
	{ "the emulator: likewise at an EPT violation", is_early_step, 0 },
	{ "the emulator: likewise, and its fault ends in a shutdown", is_dr_shutdown, 0 },
	{ "KVM does otherwise, and the CPU as vee", is_otherwise, 0 },
	{ 0 },
};

struct known *find_known(const struct difference *d)
{
	for (struct known *known = knowns; known->name; known++)
		if (known->is(d))
			return known;
	return NULL;
}
