/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vee_mmio_assist(): an instruction decoded, its operands, what it does. Each file
 * calls those to the right of it alone:
 *
 *	assist.c -> plain.c, wide.c, vector.c, string.c -> operand.c -> alu.c, insn.c
 */
#ifndef VEE_MMIO_H
#define VEE_MMIO_H

#include "internal.h"

/* What an instruction does with its operands, for alu(). */
enum alu_op {
	ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR,
	ALU_CMP, ALU_TEST,		/* no result */
	ALU_INC, ALU_DEC, ALU_NEG, ALU_NOT,
	ALU_IMUL, ALU_POPCNT,
	ALU_MUL, ALU_DIV, ALU_IDIV,	/* of RDX:RAX: not for alu() */
	ALU_ROL, ALU_ROR, ALU_RCL, ALU_RCR, ALU_SHL, ALU_SHR, ALU_SAR,
	ALU_BT, ALU_BTS, ALU_BTR, ALU_BTC,
};

enum insn_kind {
	INSN_NONE,
	INSN_LOAD,		/* register <- memory, @sign: sign-extended */
	INSN_LOAD_IF,		/* CMOVcc */
	INSN_STORE,		/* memory <- register or immediate */
	INSN_STORE_IF,		/* SETcc */
	INSN_STORE_SEGMENT,	/* memory <- selector */
	INSN_ALU_TO_MEMORY,	/* memory <- memory op (register or immediate) */
	INSN_ALU_TO_REGISTER,	/* register <- register op (memory or immediate) */
	INSN_SHIFT_DOUBLE,	/* SHLD, SHRD */
	INSN_MULTIPLY,		/* RDX:RAX <- RAX op memory */
	INSN_DIVIDE,		/* RAX, RDX <- RDX:RAX op memory */
	INSN_EXCHANGE_PAIR,	/* CMPXCHG8B, CMPXCHG16B */
	INSN_XCHG,
	INSN_XADD,
	INSN_CMPXCHG,
	INSN_VECTOR_LOAD,	/* XMM register <- memory, the rest of it 0 */
	INSN_VECTOR_STORE,
	INSN_PUSH,
	INSN_POP,
	INSN_MOVS,
	INSN_STOS,
	INSN_LODS,
	INSN_CMPS,
	INSN_SCAS,
	INSN_KINDS
};

enum insn_rep { NO_REP, REP_WHILE_EQUAL, REP_WHILE_NOT_EQUAL };

/* Segment registers by number, as instructions encode them. */
enum insn_segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

#define NO_REGISTER	0xff
#define REGISTER_RIP	0xfe

/**
 * struct insn - an instruction with one operand in memory, or a string one
 * @bytes: what it was decoded from; with @mode the key in the cache
 * @length: of it
 * @mode: 2, 4 or 8: bytes of a default address in the code segment
 * @kind: INSN_LOAD and so on
 * @alu: operation of the two ALU kinds
 * @condition: of the two IF kinds, as encoded in the opcode
 * @width: bytes of the memory operand, or of an element
 * @reg: the register operand (general, XMM or segment), or NO_REGISTER: @imm it is
 * @reg_width: bytes of it
 * @has_imm: @imm is there besides @reg
 * @pair_width: bytes of each half of a number in two registers
 * @high_byte: it is bits 15 to 8 of @reg
 * @sign: extend with the sign
 * @swap: reverse the bytes (MOVBE)
 * @bit_offset: @reg selects a bit beyond the operand (BT and kin)
 * @rep: of string instructions
 * @address_width: bytes of an address: 2, 4 or 8
 * @segment: of the memory operand, or of the source of a string
 * @base: register, NO_REGISTER or REGISTER_RIP
 * @index: register or NO_REGISTER
 * @scale: of the index
 * @disp: displacement
 * @imm: immediate operand, cut to @width
 */
struct insn {
	uint8_t bytes[VEE_INSN_MAX];
	uint8_t length;
	uint8_t mode;
	uint8_t kind;
	uint8_t alu;
	uint8_t condition;
	uint8_t width;
	uint8_t reg;
	uint8_t reg_width;
	bool has_imm;
	uint8_t pair_width;
	bool high_byte;
	bool sign;
	bool swap;
	bool bit_offset;
	uint8_t rep;
	uint8_t address_width;
	uint8_t segment;
	uint8_t base;
	uint8_t index;
	uint8_t scale;
	int64_t disp;
	uint64_t imm;
};

/* --- insn.c --- */

/* False: not an instruction that the assist does. */
bool insn_decode(const uint8_t *bytes, unsigned int count, unsigned int mode,
		 struct insn *insn);

/* --- alu.c --- */

/*
 * The result, cut to @bytes, and the flags in *@rflags as the CPU leaves
 * them; those that the SDM calls undefined are as Intel's CPUs leave them, but for
 * shifts by more than 1.
 */
uint64_t alu(enum alu_op op, unsigned int bytes, uint64_t a, uint64_t b,
	     uint64_t *rflags);
/* SHLD and SHRD (ALU_SHL, ALU_SHR): what comes in comes from @b. */
uint64_t alu_shift_double(enum alu_op op, unsigned int bytes, uint64_t a, uint64_t b,
			  uint64_t count, uint64_t *rflags);
bool alu_condition(unsigned int condition, uint64_t rflags);

/* One memory exit under way. */
struct mmio {
	struct vee_vcpu *vcpu;
	const struct insn *insn;
	const struct vee_exit_memory *exit;
	vee_mmio_fn fn;
	void *arg;
};

/* --- operand.c --- */

const struct vee_segment *find_segment(const struct mmio *mmio, unsigned int segment);
uint64_t segment_base(const struct mmio *mmio, unsigned int segment);
/* False: an access there is #GP, or #SS. The segments must be valid. */
bool segment_reaches(const struct mmio *mmio, unsigned int segment, uint64_t offset,
		     uint64_t bytes);
int64_t sign_extend(uint64_t value, unsigned int bytes);
/* The register operand; the other is that or the immediate. */
uint64_t get_register(const struct mmio *mmio);
void set_register(const struct mmio *mmio, uint64_t value);
uint64_t get_other(const struct mmio *mmio);
/* Is the access that the exit tells of the memory operand? */
int mmio_check_place(const struct mmio *mmio);
/* Reads or writes the operand in the device; of 16 bytes each half. */
int mmio_access(const struct mmio *mmio, void *data, bool write);
int read_memory(const struct mmio *mmio, uint64_t *value);
int write_memory(const struct mmio *mmio, uint64_t value);
void mmio_set_rflags(const struct mmio *mmio, uint64_t rflags);
void mmio_complete(const struct mmio *mmio);

/* --- plain.c, wide.c, vector.c, string.c: what the kinds do --- */

int mmio_load(const struct mmio *mmio);
int mmio_load_if(const struct mmio *mmio);
int mmio_store(const struct mmio *mmio);
int mmio_store_if(const struct mmio *mmio);
int mmio_store_segment(const struct mmio *mmio);
int mmio_alu_to_memory(const struct mmio *mmio);
int mmio_alu_to_register(const struct mmio *mmio);
int mmio_shift_double(const struct mmio *mmio);
int mmio_xchg(const struct mmio *mmio);
int mmio_xadd(const struct mmio *mmio);
int mmio_cmpxchg(const struct mmio *mmio);
int mmio_push(const struct mmio *mmio);
int mmio_pop(const struct mmio *mmio);
int mmio_multiply(const struct mmio *mmio);
int mmio_divide(const struct mmio *mmio);
int mmio_exchange_pair(const struct mmio *mmio);
int mmio_vector_load(const struct mmio *mmio);
int mmio_vector_store(const struct mmio *mmio);
int mmio_string(const struct mmio *mmio);

#endif /* VEE_MMIO_H */
