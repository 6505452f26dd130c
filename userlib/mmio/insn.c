// SPDX-License-Identifier: LGPL-2.1-or-later
/* Decoding, on Zydis. Nothing here looks at guest state. */
#include <Zydis/Zydis.h>

#include "mmio.h"

/* What Zydis makes of the bytes. */
struct decoded {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode_bytes(const uint8_t *bytes, unsigned int count,
			 unsigned int mode, struct decoded *decoded)
{
	ZydisMachineMode machine = ZYDIS_MACHINE_MODE_LEGACY_16;
	ZydisStackWidth stack = ZYDIS_STACK_WIDTH_16;
	ZydisDecoder decoder;

	if (mode == 8) {
		machine = ZYDIS_MACHINE_MODE_LONG_64;
		stack = ZYDIS_STACK_WIDTH_64;
	} else if (mode == 4) {
		machine = ZYDIS_MACHINE_MODE_LEGACY_32;
		stack = ZYDIS_STACK_WIDTH_32;
	}
	return ZYAN_SUCCESS(ZydisDecoderInit(&decoder, machine, stack)) &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, count,
						   &decoded->insn,
						   decoded->operands)) &&
	       decoded->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
}

struct meaning {
	ZydisMnemonic mnemonic;
	enum insn_kind kind;	/* if the memory operand comes first... */
	enum insn_kind reverse;	/* ...and if it comes second */
	enum alu_op alu;
};

#define VECTOR(mnemonic) { ZYDIS_MNEMONIC_##mnemonic, INSN_VECTOR_STORE, \
			   INSN_VECTOR_LOAD, 0 }
#define VECTOR_STORE(mnemonic) { ZYDIS_MNEMONIC_##mnemonic, INSN_VECTOR_STORE, \
				 INSN_NONE, 0 }
#define VECTOR_LOAD(mnemonic) { ZYDIS_MNEMONIC_##mnemonic, INSN_NONE, \
				INSN_VECTOR_LOAD, 0 }
#define ALU(op) { ZYDIS_MNEMONIC_##op, INSN_ALU_TO_MEMORY, \
		  INSN_ALU_TO_REGISTER, ALU_##op }

static const struct meaning meanings[] = {
	{ ZYDIS_MNEMONIC_MOV, INSN_STORE, INSN_LOAD, 0 },
	{ ZYDIS_MNEMONIC_MOVNTI, INSN_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_MOVBE, INSN_STORE, INSN_LOAD, 0 },
	{ ZYDIS_MNEMONIC_MOVZX, INSN_NONE, INSN_LOAD, 0 },
	{ ZYDIS_MNEMONIC_MOVSX, INSN_NONE, INSN_LOAD, 0 },
	{ ZYDIS_MNEMONIC_MOVSXD, INSN_NONE, INSN_LOAD, 0 },
	{ ZYDIS_MNEMONIC_XCHG, INSN_XCHG, INSN_XCHG, 0 },
	{ ZYDIS_MNEMONIC_XADD, INSN_XADD, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_CMPXCHG, INSN_CMPXCHG, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_PUSH, INSN_PUSH, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_POP, INSN_POP, INSN_NONE, 0 },
	ALU(ADD), ALU(OR), ALU(ADC), ALU(SBB), ALU(AND), ALU(SUB), ALU(XOR),
	ALU(CMP), ALU(TEST), ALU(INC), ALU(DEC), ALU(NEG), ALU(NOT),
	ALU(ROL), ALU(ROR), ALU(RCL), ALU(RCR), ALU(SHL), ALU(SHR), ALU(SAR),
	ALU(BT), ALU(BTS), ALU(BTR), ALU(BTC),
	{ ZYDIS_MNEMONIC_POPCNT, INSN_NONE, INSN_ALU_TO_REGISTER, ALU_POPCNT },
	{ ZYDIS_MNEMONIC_IMUL, INSN_MULTIPLY, INSN_ALU_TO_REGISTER, ALU_IMUL },
	{ ZYDIS_MNEMONIC_MUL, INSN_MULTIPLY, INSN_NONE, ALU_MUL },
	{ ZYDIS_MNEMONIC_DIV, INSN_DIVIDE, INSN_NONE, ALU_DIV },
	{ ZYDIS_MNEMONIC_IDIV, INSN_DIVIDE, INSN_NONE, ALU_IDIV },
	{ ZYDIS_MNEMONIC_SHLD, INSN_SHIFT_DOUBLE, INSN_NONE, ALU_SHL },
	{ ZYDIS_MNEMONIC_SHRD, INSN_SHIFT_DOUBLE, INSN_NONE, ALU_SHR },
	{ ZYDIS_MNEMONIC_CMPXCHG8B, INSN_EXCHANGE_PAIR, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_CMPXCHG16B, INSN_EXCHANGE_PAIR, INSN_NONE, 0 },
	VECTOR(MOVUPS), VECTOR(MOVAPS), VECTOR(MOVUPD), VECTOR(MOVAPD),
	VECTOR(MOVDQU), VECTOR(MOVDQA), VECTOR(MOVD), VECTOR(MOVQ),
	VECTOR(MOVSS), VECTOR(MOVSD),
	VECTOR_STORE(MOVNTPS), VECTOR_STORE(MOVNTPD), VECTOR_STORE(MOVNTDQ),
	VECTOR_LOAD(MOVNTDQA), VECTOR_LOAD(LDDQU),
};

static const struct meaning *find_meaning(ZydisMnemonic mnemonic)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++)
		if (meanings[i].mnemonic == mnemonic)
			return &meanings[i];
	return NULL;
}

/* Zydis has AL to BL, AH to BH, SPL to DIL, R8B to R15B in this order. */
static void take_byte_register(ZydisRegister reg, struct insn *insn)
{
	unsigned int id = reg - ZYDIS_REGISTER_AL;

	insn->high_byte = id >= 4 && id < 8;
	insn->reg = id < 4 ? id : id - 4;
}

static bool take_register(ZydisRegister reg, struct insn *insn)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
		take_byte_register(reg, insn);
		insn->reg_width = 1;
		return true;
	case ZYDIS_REGCLASS_GPR16:
		insn->reg = reg - ZYDIS_REGISTER_AX;
		insn->reg_width = 2;
		return true;
	case ZYDIS_REGCLASS_GPR32:
		insn->reg = reg - ZYDIS_REGISTER_EAX;
		insn->reg_width = 4;
		return true;
	case ZYDIS_REGCLASS_GPR64:
		insn->reg = reg - ZYDIS_REGISTER_RAX;
		insn->reg_width = 8;
		return true;
	case ZYDIS_REGCLASS_XMM:
		insn->reg = reg - ZYDIS_REGISTER_XMM0;
		insn->reg_width = 16;
		return true;
	case ZYDIS_REGCLASS_SEGMENT:
		insn->reg = reg - ZYDIS_REGISTER_ES;
		insn->reg_width = 2;
		return true;
	default:
		return false;
	}
}

static uint8_t address_register(ZydisRegister reg)
{
	struct insn number = { 0 };

	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return REGISTER_RIP;
	return take_register(reg, &number) ? number.reg : NO_REGISTER;
}

static void take_memory(const ZydisDecodedOperandMem *mem, struct insn *insn)
{
	insn->segment = mem->segment - ZYDIS_REGISTER_ES;
	insn->base = address_register(mem->base);
	insn->index = address_register(mem->index);
	insn->scale = mem->scale;
	insn->disp = mem->disp.has_displacement ? mem->disp.value : 0;
}

/* CMOVcc and SETcc have the condition in the opcode. */
static enum insn_kind conditional(const ZydisDecodedInstruction *insn)
{
	if (insn->opcode_map != ZYDIS_OPCODE_MAP_0F)
		return INSN_NONE;
	if (insn->opcode >> 4 == 0x4)
		return INSN_LOAD_IF;
	if (insn->opcode >> 4 == 0x9)
		return INSN_STORE_IF;
	return INSN_NONE;
}

static enum insn_kind take_meaning(const ZydisDecodedInstruction *zydis,
				   bool memory_first, struct insn *insn)
{
	const struct meaning *meaning = find_meaning(zydis->mnemonic);

	insn->condition = zydis->opcode & 0xf;
	insn->sign = zydis->mnemonic == ZYDIS_MNEMONIC_MOVSX ||
		     zydis->mnemonic == ZYDIS_MNEMONIC_MOVSXD;
	insn->swap = zydis->mnemonic == ZYDIS_MNEMONIC_MOVBE;
	if (!meaning)
		return conditional(zydis);
	insn->alu = meaning->alu;
	return memory_first ? meaning->kind : meaning->reverse;
}

/* The operand beside the one in memory, if there is one. */
static bool take_other(const ZydisDecodedOperand *operand, struct insn *insn)
{
	if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER)
		return take_register(operand->reg.value, insn);
	if (operand->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return false;
	insn->imm = operand->imm.value.u & low_bits(insn->width);
	return true;
}

/* IMUL has an immediate there, SHLD and SHRD that or CL. */
static bool take_third(const ZydisDecodedOperand *operand, struct insn *insn)
{
	if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER)
		return operand->reg.value == ZYDIS_REGISTER_CL;
	insn->has_imm = true;
	return operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && take_other(operand, insn);
}

static bool is_segment(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static bool is_memory(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       operand->mem.type == ZYDIS_MEMOP_TYPE_MEM;
}

static bool take_operands(const struct decoded *decoded, struct insn *insn)
{
	const ZydisDecodedOperand *first = &decoded->operands[0];
	const ZydisDecodedOperand *second = &decoded->operands[1];
	unsigned int count = decoded->insn.operand_count_visible;
	const ZydisDecodedOperand *other;
	bool memory_first;

	if (count < 1 || count > 3)
		return false;
	memory_first = is_memory(first);
	if (!memory_first && (count == 1 || !is_memory(second)))
		return false;
	take_memory(memory_first ? &first->mem : &second->mem, insn);
	insn->width = (memory_first ? first->size : second->size) / 8;
	if (!insn->width || insn->width > 16 || insn->width & (insn->width - 1))
		return false;
	other = memory_first ? second : first;
	if (count >= 2 && !take_other(other, insn))
		return false;
	if (count == 3 && !take_third(&decoded->operands[2], insn))
		return false;
	insn->kind = take_meaning(&decoded->insn, memory_first, insn);
	insn->pair_width = insn->kind == INSN_EXCHANGE_PAIR ? insn->width / 2 : insn->width;
	/* Loading a segment register takes more than reading memory. */
	if (count == 2 && is_segment(other))
		insn->kind = insn->kind == INSN_STORE ? INSN_STORE_SEGMENT : INSN_NONE;
	insn->bit_offset = insn->reg != NO_REGISTER && insn->alu >= ALU_BT;
	return insn->kind != INSN_NONE;
}

static enum insn_kind string_kind(const ZydisDecodedInstruction *insn)
{
	if (insn->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return INSN_NONE;
	switch (insn->opcode & ~1) {
	case 0xa4:
		return INSN_MOVS;
	case 0xa6:
		return INSN_CMPS;
	case 0xaa:
		return INSN_STOS;
	case 0xac:
		return INSN_LODS;
	case 0xae:
		return INSN_SCAS;
	default:
		return INSN_NONE;
	}
}

/* Of contradicting prefixes the last counts. MOVS, STOS, LODS take either. */
static enum insn_rep take_rep(const ZydisDecodedInstruction *insn)
{
	enum insn_rep rep = NO_REP;

	for (unsigned int i = 0; i < insn->raw.prefix_count; i++) {
		if (insn->raw.prefixes[i].value == 0xf3)
			rep = REP_WHILE_EQUAL;
		else if (insn->raw.prefixes[i].value == 0xf2)
			rep = REP_WHILE_NOT_EQUAL;
	}
	return rep;
}

/* The source is the one that a prefix can give another segment. */
static uint8_t source_segment(const struct decoded *decoded)
{
	for (unsigned int i = 0; i < decoded->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &decoded->operands[i];

		if (is_memory(operand) &&
		    address_register(operand->mem.base) == RSI)
			return operand->mem.segment - ZYDIS_REGISTER_ES;
	}
	return SEG_DS;
}

static bool take_string(const struct decoded *decoded, struct insn *insn)
{
	insn->kind = string_kind(&decoded->insn);
	if (insn->kind == INSN_NONE)
		return false;
	insn->width = decoded->insn.opcode & 1 ? decoded->insn.operand_width / 8 : 1;
	insn->rep = take_rep(&decoded->insn);
	insn->segment = source_segment(decoded);
	return true;
}

bool insn_decode(const uint8_t *bytes, unsigned int count, unsigned int mode,
		 struct insn *insn)
{
	struct decoded decoded;

	if (count > VEE_INSN_MAX || !decode_bytes(bytes, count, mode, &decoded))
		return false;
	*insn = (struct insn) {
		.length = decoded.insn.length,
		.mode = mode,
		.reg = NO_REGISTER,
		.address_width = decoded.insn.address_width / 8,
	};
	memcpy(insn->bytes, bytes, insn->length);
	return take_string(&decoded, insn) || take_operands(&decoded, insn);
}
