// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one instruction that the kernel decodes: MOV to memory, in 64-bit code, by
 * which drivers write to the registers of a device (SDM 2A, "Instruction Format";
 * SDM 2B, "MOV"). What isn't just that is the caller's, who has a real decoder.
 *
 * The bytes are the guest's, to change after the CPU has seen them, too. Whatever
 * they are, no more of them is read than there are, and the address that they give
 * is believed only if it is the one that the CPU gave.
 */
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "linux/vee.h"
#include "vcpu/store.h"

#define PREFIX_OPERAND_SIZE	0x66
#define PREFIX_REX		0x40
#define REX_W			BIT(3)	/* 8 bytes */
#define REX_R			BIT(2)	/* above the register's number */
#define REX_X			BIT(1)	/* ... the index register's */
#define REX_B			BIT(0)	/* ... the base register's */

/* With OPCODE_WIDE 2, 4 or 8 bytes, else one. */
#define OPCODE_WIDE		BIT(0)
#define OPCODE_MOV_REGISTER	0x88
#define OPCODE_MOV_IMMEDIATE	0xc6	/* /0 */

#define MOD_DISP8		1
#define MOD_DISP32		2
#define MOD_REGISTER		3	/* no memory at all */
#define RM_SIB			4
#define RM_DISP32		5	/* with MOD 0: a number, no base register */
#define INDEX_NONE		4
#define FIRST_HIGH_BYTE		4	/* AH, among the byte registers */

/**
 * struct insn - an instruction, as far as it is read
 * @code: its bytes
 * @bytes: how many are known
 * @next: which is the next
 * @short_of: more were wanted than are known
 * @word: it has the operand-size prefix
 * @rex: REX, 0: none
 * @opcode: the opcode
 * @modrm: ModR/M
 */
struct insn {
	const u8 *code;
	unsigned int bytes;
	unsigned int next;
	bool short_of;
	bool word;
	u8 rex;
	u8 opcode;
	u8 modrm;
};

/* A number of 1, 2 or 4 bytes, sign-extended. */
static u64 take(struct insn *insn, unsigned int bytes)
{
	u64 value = 0;

	if (bytes > insn->bytes - insn->next) {
		insn->short_of = true;
		return 0;
	}
	memcpy(&value, insn->code + insn->next, bytes);
	insn->next += bytes;
	return sign_extend64(value, 8 * bytes - 1);
}

static void take_opcode(struct insn *insn)
{
	u8 byte = take(insn, 1);

	insn->word = byte == PREFIX_OPERAND_SIZE;
	if (insn->word)
		byte = take(insn, 1);
	if ((byte & 0xf0) == PREFIX_REX) {
		insn->rex = byte;
		byte = take(insn, 1);
	}
	insn->opcode = byte;
	insn->modrm = take(insn, 1);
}

static unsigned int mod(const struct insn *insn)
{
	return insn->modrm >> 6;
}

/* The number of a register: three bits, and one of REX. */
static unsigned int number(unsigned int bits, unsigned int high)
{
	return (bits & 7) | (high ? 8 : 0);
}

static bool has_immediate(const struct insn *insn)
{
	return (insn->opcode & ~OPCODE_WIDE) == OPCODE_MOV_IMMEDIATE;
}

static bool is_store(const struct insn *insn)
{
	if (mod(insn) == MOD_REGISTER)
		return false;
	if (has_immediate(insn))
		return !number(insn->modrm >> 3, 0);
	return (insn->opcode & ~OPCODE_WIDE) == OPCODE_MOV_REGISTER;
}

static unsigned int width(const struct insn *insn)
{
	if (!(insn->opcode & OPCODE_WIDE))
		return 1;
	if (insn->rex & REX_W)
		return 8;
	return insn->word ? 2 : 4;
}

/* Of an immediate: of 8 bytes it has the low 4. */
static unsigned int immediate_bytes(const struct insn *insn)
{
	return has_immediate(insn) ? min(width(insn), 4U) : 0;
}

/* --- where to --------------------------------------------------------------------- */

static void take_sib(struct insn *insn, struct store *store)
{
	u8 sib = take(insn, 1);
	unsigned int index = number(sib >> 3, insn->rex & REX_X);

	if (index != INDEX_NONE) {
		store->index = index;
		store->scale = sib >> 6;
	}
	if (number(sib, 0) == RM_DISP32 && !mod(insn))
		store->offset = take(insn, 4);
	else
		store->base = number(sib, insn->rex & REX_B);
}

/* RIP is that of the instruction behind, so the length must be known here. */
static void take_rip_relative(struct insn *insn, u64 rip, struct store *store)
{
	store->offset = take(insn, 4);
	store->offset += rip + insn->next + immediate_bytes(insn);
}

/* SDM 2A, "ModR/M and SIB Bytes" and "RIP-Relative Addressing". */
static void take_address(struct insn *insn, u64 rip, struct store *store)
{
	unsigned int rm = number(insn->modrm, 0);

	if (rm == RM_DISP32 && !mod(insn)) {
		take_rip_relative(insn, rip, store);
		return;
	}
	if (rm == RM_SIB)
		take_sib(insn, store);
	else
		store->base = number(rm, insn->rex & REX_B);
	if (mod(insn) == MOD_DISP8)
		store->offset = take(insn, 1);
	else if (mod(insn) == MOD_DISP32)
		store->offset = take(insn, 4);
}

/* --- what ------------------------------------------------------------------------- */

static void take_data(struct insn *insn, struct store *store)
{
	unsigned int reg = number(insn->modrm >> 3, insn->rex & REX_R);

	if (has_immediate(insn)) {
		store->data = take(insn, immediate_bytes(insn));
		return;
	}
	/* AH, CH, DH and BH; with any REX these are SPL, BPL, SIL and DIL. */
	store->from_high = store->width == 1 && !insn->rex && reg >= FIRST_HIGH_BYTE;
	store->from = store->from_high ? reg - FIRST_HIGH_BYTE : reg;
}

bool store_decode(const u8 *code, unsigned int bytes, u64 rip, struct store *store)
{
	struct insn insn = { .code = code, .bytes = bytes };

	take_opcode(&insn);
	if (!is_store(&insn))
		return false;
	*store = (struct store) {
		.base = STORE_NONE,
		.index = STORE_NONE,
		.from = STORE_NONE,
		.width = width(&insn),
	};
	take_address(&insn, rip, store);
	take_data(&insn, store);
	store->length = insn.next;
	return !insn.short_of;
}
