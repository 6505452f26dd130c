// SPDX-License-Identifier: GPL-2.0-only
/* Differences of the fuzzer's guests in what the SDM leaves undefined of an instruction. */
#include "fuzz_guest_compare.h"

#define OF_IMUL	0x0d4ULL	/* SF, ZF, AF, PF: SDM 2A, "IMUL" */
#define OF_BSF	0x895ULL	/* all but ZF: SDM 2A, "BSF", "BSR" */
#define OF_DIV	0x8d5ULL	/* all: SDM 2A, "DIV", "IDIV" */

static const struct {
	uint8_t first;
	int second;
	uint64_t flags;
} undefined[] = {
	{ 0x69, NO_MORE, OF_IMUL }, { 0x6b, NO_MORE, OF_IMUL }, { 0x0f, 0xaf, OF_IMUL },
	{ 0x0f, 0xbc, OF_BSF }, { 0x0f, 0xbd, OF_BSF },
	{ 0xf6, REG(4), OF_IMUL }, { 0xf6, REG(5), OF_IMUL }, { 0xf7, REG(4), OF_IMUL },
	{ 0xf7, REG(5), OF_IMUL }, { 0xf6, REG(6), OF_DIV }, { 0xf6, REG(7), OF_DIV },
	{ 0xf7, REG(6), OF_DIV }, { 0xf7, REG(7), OF_DIV },
};

/* Where @flags have got to KVM's memory, in the frame of a fault, there are vee's. */
static void mend_memory(uint16_t flags)
{
	for (uint32_t at = 0; at < RAM_BYTES - 1; at++) {
		uint16_t of_vee, of_kvm;

		memcpy(&of_vee, memory_vee + at, 2);
		memcpy(&of_kvm, memory_kvm + at, 2);
		if (!((of_vee ^ of_kvm) & ~flags))
			memcpy(memory_kvm + at, &of_vee, 2);
	}
}

/* With vee's @flags in it, does @kvm differ no more? */
static bool is_same_but(const struct difference *d, struct trail *kvm, uint64_t flags)
{
	static struct kept kept;
	bool same;

	for (unsigned int i = 0; i < kvm->step_count && i < d->vee->step_count; i++) {
		kvm->steps[i].regs.rflags &= ~flags;
		kvm->steps[i].regs.rflags |= d->vee->steps[i].regs.rflags & flags;
	}
	keep(&kept);
	mend_memory(flags);
	same = !find_difference(d->vee, kvm);
	give_back(&kept);
	return same;
}

static bool differ_in(const struct difference *d, uint64_t flags)
{
	return is_same_but(d, copy_of(d->kvm), flags);
}

/* Do they differ in @flags alone with HLT behind the instruction? Then a jump went by them. */
static bool differ_behind(const struct difference *d, uint8_t first, int second, uint64_t flags)
{
	static struct trail vee, kvm;
	static struct kept kept;
	struct difference behind = { d->g, NULL, &vee, &kvm };
	bool same = false;

	for (unsigned int i = 0; !same && i < d->g->bytes; i++) {
		uint8_t *code = pristine + GPA_CODE + i, before;

		if (*code != first || !is_second(code[1], second))
			continue;
		code += length_at(d->g, GPA_CODE + i);
		before = *code;
		keep(&kept);
		*code = HLT;
		engine_kvm.renew();
		run_both(d->g, &vee, &kvm);
		behind.what = find_difference(&vee, &kvm);
		same = behind.what && vee.bus_count && differ_in(&behind, flags);
		*code = before;
		give_back(&kept);
	}
	return same;
}

/* Flags of a product and of a bit that is looked for, of an operand in a device. */
bool is_undefined_flag(const struct difference *d)
{
	if (!d->vee->bus_count)
		return false;
	for (size_t i = 0; i < sizeof(undefined) / sizeof(*undefined); i++)
		if ((differ_in(d, undefined[i].flags) &&
		     part_at(d, undefined[i].first, undefined[i].second)) ||
		    differ_behind(d, undefined[i].first, undefined[i].second,
				  undefined[i].flags))
			return true;
	return false;
}

/*
 * SHLD and SHRD of 16 bits by more than 16: what comes of it, and the flags, are undefined
 * (SDM 2B, "SHLD", "SHRD").
 */
bool is_undefined_shift(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);
	static const uint8_t opcodes[] = { 0xa4, 0xa5, 0xac, 0xad };

	for (unsigned int i = 0; i < kvm->bus_count && i < d->vee->bus_count; i++)
		if (kvm->bus[i].is_write && !kvm->bus[i].is_port)
			kvm->bus[i].byte = d->vee->bus[i].byte;
	if (!is_same_but(d, kvm, STATUS_FLAGS))
		return false;
	for (unsigned int i = 0; i < sizeof(opcodes); i++)
		if (part_at(d, 0x0f, opcodes[i]))
			return true;
	return false;
}
