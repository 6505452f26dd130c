// SPDX-License-Identifier: LGPL-2.1-or-later
/* Decoding, on Zydis. Nothing here looks at guest state. */
#include <cpuid.h>

#include "decoded.h"
#include "mmio.h"

/* Where the CPU has not got them they are BSR and BSF. */
static void set_modes(ZydisDecoder *decoder)
{
	unsigned int eax, ebx = 0, ecx = 0, edx;

	if (!__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) || !(ecx & bit_LZCNT))
		ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_LZCNT, ZYAN_FALSE);
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & bit_BMI))
		ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_TZCNT, ZYAN_FALSE);
}

ZyanStatus insn_decode_bytes(const uint8_t *bytes, unsigned int count, unsigned int mode,
			     struct decoded *decoded)
{
	ZydisMachineMode machine = ZYDIS_MACHINE_MODE_LEGACY_16;
	ZydisStackWidth stack = ZYDIS_STACK_WIDTH_16;
	ZydisDecoder decoder;
	ZyanStatus status;

	if (mode == 8) {
		machine = ZYDIS_MACHINE_MODE_LONG_64;
		stack = ZYDIS_STACK_WIDTH_64;
	} else if (mode == 4) {
		machine = ZYDIS_MACHINE_MODE_LEGACY_32;
		stack = ZYDIS_STACK_WIDTH_32;
	}
	status = ZydisDecoderInit(&decoder, machine, stack);
	if (!ZYAN_SUCCESS(status))
		return status;
	set_modes(&decoder);
	return ZydisDecoderDecodeFull(&decoder, bytes, count, &decoded->insn,
				      decoded->operands);
}

/* Not one of an encoding that is done by nobody here. */
static bool decode_known(const uint8_t *bytes, unsigned int count, unsigned int mode,
			 struct decoded *decoded)
{
	return ZYAN_SUCCESS(insn_decode_bytes(bytes, count, mode, decoded)) &&
	       (decoded->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
		decoded->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX);
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
	{ ZYDIS_MNEMONIC_MOVDIRI, INSN_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_PUSH, INSN_PUSH, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_POP, INSN_POP, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_CALL, INSN_CALL, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_JMP, INSN_JUMP, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_CRC32, INSN_NONE, INSN_CRC32, 0 },
	{ ZYDIS_MNEMONIC_BOUND, INSN_NONE, INSN_BOUND, 0 },
	{ ZYDIS_MNEMONIC_CLFLUSH, INSN_PROBE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_CLFLUSHOPT, INSN_PROBE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_CLWB, INSN_PROBE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_CLDEMOTE, INSN_PROBE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_LDS, INSN_NONE, INSN_LOAD_POINTER, 0 },
	{ ZYDIS_MNEMONIC_LES, INSN_NONE, INSN_LOAD_POINTER, 0 },
	{ ZYDIS_MNEMONIC_LFS, INSN_NONE, INSN_LOAD_POINTER, 0 },
	{ ZYDIS_MNEMONIC_LGS, INSN_NONE, INSN_LOAD_POINTER, 0 },
	{ ZYDIS_MNEMONIC_LSS, INSN_NONE, INSN_LOAD_POINTER, 0 },
	{ ZYDIS_MNEMONIC_LGDT, INSN_LOAD_TABLE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_LIDT, INSN_LOAD_TABLE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_SGDT, INSN_STORE_TABLE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_SIDT, INSN_STORE_TABLE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_LLDT, INSN_LOAD_SYSTEM, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_LTR, INSN_LOAD_SYSTEM, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_SLDT, INSN_STORE_SYSTEM, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_STR, INSN_STORE_SYSTEM, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_LMSW, INSN_LOAD_MSW, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_SMSW, INSN_STORE_MSW, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_VERR, INSN_VERIFY, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_VERW, INSN_VERIFY, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_LAR, INSN_NONE, INSN_LAR, 0 },
	{ ZYDIS_MNEMONIC_LSL, INSN_NONE, INSN_LSL, 0 },
	{ ZYDIS_MNEMONIC_ARPL, INSN_ARPL, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_LDMXCSR, INSN_MXCSR_LOAD, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_STMXCSR, INSN_MXCSR_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_FLDCW, INSN_X87_CONTROL_LOAD, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_FNSTCW, INSN_X87_CONTROL_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_FNSTSW, INSN_X87_STATUS_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_FXSAVE, INSN_FXSAVE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_FXSAVE64, INSN_FXSAVE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_FXRSTOR, INSN_FXRSTOR, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_FXRSTOR64, INSN_FXRSTOR, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_MOVLPS, INSN_HALF_STORE, INSN_HALF_LOAD, 0 },
	{ ZYDIS_MNEMONIC_MOVLPD, INSN_HALF_STORE, INSN_HALF_LOAD, 0 },
	{ ZYDIS_MNEMONIC_MOVHPS, INSN_HALF_STORE, INSN_HALF_LOAD, 0 },
	{ ZYDIS_MNEMONIC_MOVHPD, INSN_HALF_STORE, INSN_HALF_LOAD, 0 },
	{ ZYDIS_MNEMONIC_MOVNTQ, INSN_MMX_STORE, INSN_NONE, 0 },
	ALU(ADD), ALU(OR), ALU(ADC), ALU(SBB), ALU(AND), ALU(SUB), ALU(XOR),
	ALU(CMP), ALU(TEST), ALU(INC), ALU(DEC), ALU(NEG), ALU(NOT),
	ALU(ROL), ALU(ROR), ALU(RCL), ALU(RCR), ALU(SHL), ALU(SHR), ALU(SAR),
	ALU(BT), ALU(BTS), ALU(BTR), ALU(BTC),
	{ ZYDIS_MNEMONIC_POPCNT, INSN_NONE, INSN_ALU_TO_REGISTER, ALU_POPCNT },
	{ ZYDIS_MNEMONIC_LZCNT, INSN_NONE, INSN_ALU_TO_REGISTER, ALU_LZCNT },
	{ ZYDIS_MNEMONIC_TZCNT, INSN_NONE, INSN_ALU_TO_REGISTER, ALU_TZCNT },
	{ ZYDIS_MNEMONIC_BSF, INSN_NONE, INSN_ALU_TO_REGISTER, ALU_BSF },
	{ ZYDIS_MNEMONIC_BSR, INSN_NONE, INSN_ALU_TO_REGISTER, ALU_BSR },
	{ ZYDIS_MNEMONIC_ADCX, INSN_NONE, INSN_ALU_TO_REGISTER, ALU_ADCX },
	{ ZYDIS_MNEMONIC_ADOX, INSN_NONE, INSN_ALU_TO_REGISTER, ALU_ADOX },
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
	/* AVX; not those with a second source. */
	VECTOR(VMOVUPS), VECTOR(VMOVAPS), VECTOR(VMOVUPD), VECTOR(VMOVAPD),
	VECTOR(VMOVDQU), VECTOR(VMOVDQA), VECTOR(VMOVD), VECTOR(VMOVQ),
	VECTOR(VMOVSS), VECTOR(VMOVSD),
	VECTOR_STORE(VMOVNTPS), VECTOR_STORE(VMOVNTPD), VECTOR_STORE(VMOVNTDQ),
	VECTOR_LOAD(VMOVNTDQA), VECTOR_LOAD(VLDDQU),
	{ ZYDIS_MNEMONIC_VMOVLPS, INSN_HALF_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_VMOVLPD, INSN_HALF_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_VMOVHPS, INSN_HALF_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_VMOVHPD, INSN_HALF_STORE, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_VLDMXCSR, INSN_MXCSR_LOAD, INSN_NONE, 0 },
	{ ZYDIS_MNEMONIC_VSTMXCSR, INSN_MXCSR_STORE, INSN_NONE, 0 },
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
	case ZYDIS_REGCLASS_YMM:
		insn->reg = reg - ZYDIS_REGISTER_YMM0;
		insn->reg_width = 32;
		return true;
	case ZYDIS_REGCLASS_MMX:
		insn->reg = reg - ZYDIS_REGISTER_MM0;
		insn->reg_width = 8;
		return true;
	case ZYDIS_REGCLASS_SEGMENT:
		insn->reg = reg - ZYDIS_REGISTER_ES;
		insn->reg_width = 2;
		insn->is_segment = true;
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
	if (insn->opcode_map != ZYDIS_OPCODE_MAP_0F ||
	    insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
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

static bool is_memory(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       operand->mem.type == ZYDIS_MEMOP_TYPE_MEM;
}

/* What the table of meanings doesn't tell: the kind depends on the operands. */
static enum insn_kind refine(const struct decoded *decoded, const struct insn *insn,
			     bool is_mmx)
{
	bool is_far = decoded->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;

	switch (insn->kind) {
	case INSN_STORE:
		return insn->is_segment ? INSN_STORE_SEGMENT : insn->kind;
	case INSN_LOAD:
		return insn->is_segment ? INSN_LOAD_SEGMENT : insn->kind;
	case INSN_JUMP:
		return is_far ? INSN_FAR_JUMP : insn->kind;
	case INSN_CALL:
		return is_far ? INSN_FAR_CALL : insn->kind;
	case INSN_VECTOR_LOAD:
		return is_mmx ? INSN_MMX_LOAD : insn->kind;
	case INSN_VECTOR_STORE:
		return is_mmx ? INSN_MMX_STORE : insn->kind;
	default:
		return insn->kind;
	}
}

static bool is_mmx(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_MMX;
}

/* Tables and system segments by number, and other things that a mnemonic says. */
static void take_mnemonic(ZydisMnemonic mnemonic, struct insn *insn)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_LIDT:
	case ZYDIS_MNEMONIC_SIDT:
		insn->reg = SYSTEM_IDT;
		break;
	case ZYDIS_MNEMONIC_LGDT:
	case ZYDIS_MNEMONIC_SGDT:
		insn->reg = SYSTEM_GDT;
		break;
	case ZYDIS_MNEMONIC_LLDT:
	case ZYDIS_MNEMONIC_SLDT:
		insn->reg = SYSTEM_LDT;
		break;
	case ZYDIS_MNEMONIC_LTR:
	case ZYDIS_MNEMONIC_STR:
		insn->reg = SYSTEM_TSS;
		break;
	case ZYDIS_MNEMONIC_VERW:
		insn->write = true;
		break;
	case ZYDIS_MNEMONIC_MOVHPS:
	case ZYDIS_MNEMONIC_MOVHPD:
	case ZYDIS_MNEMONIC_VMOVHPS:
	case ZYDIS_MNEMONIC_VMOVHPD:
		insn->high_half = true;
		break;
	default:
		break;
	}
}

static uint8_t pointer_segment(ZydisMnemonic mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_LES:
		return SEG_ES;
	case ZYDIS_MNEMONIC_LSS:
		return SEG_SS;
	case ZYDIS_MNEMONIC_LFS:
		return SEG_FS;
	case ZYDIS_MNEMONIC_LGS:
		return SEG_GS;
	default:
		return SEG_DS;
	}
}

/* Those that take their operand's size from elsewhere. */
static bool has_own_size(enum insn_kind kind)
{
	switch (kind) {
	case INSN_FAR_JUMP:
	case INSN_FAR_CALL:
	case INSN_LOAD_POINTER:
	case INSN_LOAD_TABLE:
	case INSN_STORE_TABLE:
	case INSN_PROBE:
	case INSN_BOUND:
	case INSN_FXSAVE:
	case INSN_FXRSTOR:
		return true;
	default:
		return false;
	}
}

static bool is_word(enum insn_kind kind)
{
	switch (kind) {
	case INSN_STORE_SEGMENT:
	case INSN_LOAD_SEGMENT:
	case INSN_STORE_SYSTEM:
	case INSN_STORE_MSW:
	case INSN_LAR:
	case INSN_LSL:
		return true;
	default:
		return false;
	}
}

static bool take_width(const ZydisDecodedOperand *operand, struct insn *insn)
{
	unsigned int width = operand->size / 8;

	if (is_word(insn->kind))
		width = sizeof(uint16_t);
	insn->width = has_own_size(insn->kind) ? insn->operand_width : width;
	insn->pair_width = insn->kind == INSN_EXCHANGE_PAIR ? insn->width / 2 : insn->width;
	return has_own_size(insn->kind) || (width && width <= 32 && !(width & (width - 1)));
}

static bool take_others(const struct decoded *decoded, bool memory_first, struct insn *insn)
{
	const ZydisDecodedOperand *other = &decoded->operands[memory_first];
	unsigned int count = decoded->insn.operand_count_visible;

	if (count >= 2 && !take_other(other, insn))
		return false;
	return count < 3 || take_third(&decoded->operands[2], insn);
}

/*
 * RIP counts as that of the next instruction, and POP computes its address after it has
 * moved the stack pointer.
 */
static void settle_displacement(struct insn *insn)
{
	if (insn->base == REGISTER_RIP)
		insn->disp += insn->length;
	else if (insn->base == RSP && insn->kind == INSN_POP)
		insn->disp += insn->width;
}

static bool take_operands(const struct decoded *decoded, struct insn *insn)
{
	const ZydisDecodedOperand *first = &decoded->operands[0];
	const ZydisDecodedOperand *second = &decoded->operands[1];
	unsigned int count = decoded->insn.operand_count_visible;
	const ZydisDecodedOperand *operand;
	bool memory_first;

	if (count < 1 || count > 3)
		return false;
	memory_first = is_memory(first);
	if (!memory_first && (count == 1 || !is_memory(second)))
		return false;
	operand = memory_first ? first : second;
	insn->in_memory = true;
	take_memory(&operand->mem, insn);
	insn->width = operand->size / 8;
	if (!take_others(decoded, memory_first, insn))
		return false;
	insn->kind = take_meaning(&decoded->insn, memory_first, insn);
	insn->kind = refine(decoded, insn, count == 2 && is_mmx(memory_first ? second : first));
	take_mnemonic(decoded->insn.mnemonic, insn);
	if (insn->kind == INSN_LOAD_POINTER)
		insn->selector = pointer_segment(decoded->insn.mnemonic);
	insn->bit_offset = insn->reg != NO_REGISTER && insn->alu >= ALU_BT;
	if (insn->kind == INSN_NONE || !take_width(operand, insn))
		return false;
	settle_displacement(insn);
	return true;
}

/* --- those that reach memory by themselves --- */

/* The source is the one that a prefix can give another segment. */
static uint8_t source_segment(const struct decoded *decoded, enum gpr base)
{
	for (unsigned int i = 0; i < decoded->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &decoded->operands[i];

		if (is_memory(operand) &&
		    address_register(operand->mem.base) == base)
			return operand->mem.segment - ZYDIS_REGISTER_ES;
	}
	return SEG_DS;
}

static enum insn_kind hidden_kind(const ZydisDecodedInstruction *insn)
{
	bool is_far = insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		return INSN_PUSH;
	case ZYDIS_MNEMONIC_POP:
		return INSN_POP;
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
		return INSN_PUSH_FLAGS;
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		return INSN_POP_FLAGS;
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
		return INSN_PUSH_ALL;
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD:
		return INSN_POP_ALL;
	case ZYDIS_MNEMONIC_ENTER:
		return INSN_ENTER;
	case ZYDIS_MNEMONIC_LEAVE:
		return INSN_LEAVE;
	case ZYDIS_MNEMONIC_CALL:
		return is_far ? INSN_FAR_CALL : INSN_CALL;
	case ZYDIS_MNEMONIC_JMP:
		return is_far ? INSN_FAR_JUMP : INSN_NONE;
	case ZYDIS_MNEMONIC_RET:
		return is_far ? INSN_FAR_RETURN : INSN_RETURN;
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		return INSN_IRET;
	case ZYDIS_MNEMONIC_MOV:
		return INSN_LOAD_SEGMENT;
	case ZYDIS_MNEMONIC_LTR:
	case ZYDIS_MNEMONIC_LLDT:
		return INSN_LOAD_SYSTEM;
	case ZYDIS_MNEMONIC_SLDT:
	case ZYDIS_MNEMONIC_STR:
		return INSN_STORE_SYSTEM;
	case ZYDIS_MNEMONIC_VERR:
	case ZYDIS_MNEMONIC_VERW:
		return INSN_VERIFY;
	case ZYDIS_MNEMONIC_LAR:
		return INSN_LAR;
	case ZYDIS_MNEMONIC_LSL:
		return INSN_LSL;
	case ZYDIS_MNEMONIC_XLAT:
		return INSN_XLAT;
	default:
		return INSN_NONE;
	}
}

/* In 64-bit mode a near branch has always 64 bits (SDM 2, "CALL", "RET"). */
static unsigned int stack_item_width(const struct insn *insn)
{
	if (insn->kind == INSN_CALL || insn->kind == INSN_RETURN)
		return insn->mode == 8 ? 8 : insn->operand_width;
	if (insn->kind == INSN_FAR_CALL || insn->kind == INSN_FAR_RETURN ||
	    insn->kind == INSN_FAR_JUMP || insn->kind == INSN_IRET)
		return insn->operand_width;
	return insn->mode == 8 && insn->operand_width != 2 ? 8 : insn->operand_width;
}

static bool is_source_general(const ZydisDecodedOperand *operand)
{
	switch (ZydisRegisterGetClass(operand->reg.value)) {
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return true;
	default:
		return false;
	}
}

static void take_hidden_operand(const ZydisDecodedOperand *operand, bool first,
				struct insn *insn)
{
	struct insn number = { 0 };

	switch (operand->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		if (is_source_general(operand) && take_register(operand->reg.value, &number))
			insn->source = number.reg;
		if (first)
			take_register(operand->reg.value, insn);
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		if (first)
			insn->imm = operand->imm.value.u;
		else
			insn->level = operand->imm.value.u;
		insn->has_imm = true;
		break;
	case ZYDIS_OPERAND_TYPE_POINTER:
		insn->selector = operand->ptr.segment;
		insn->imm = operand->ptr.offset;
		insn->has_imm = true;
		break;
	default:
		break;
	}
}

/* No operand in memory, or one that is the instruction's own affair. */
static bool take_hidden(const struct decoded *decoded, struct insn *insn)
{
	insn->kind = hidden_kind(&decoded->insn);
	if (insn->kind == INSN_NONE)
		return false;
	for (unsigned int i = 0; i < decoded->insn.operand_count_visible; i++)
		take_hidden_operand(&decoded->operands[i], !i, insn);
	take_mnemonic(decoded->insn.mnemonic, insn);
	insn->width = stack_item_width(insn);
	switch (insn->kind) {
	case INSN_XLAT:
		insn->segment = source_segment(decoded, RBX);
		break;
	case INSN_POP:
		if (insn->is_segment)
			insn->kind = INSN_POP_SEGMENT;
		break;
	case INSN_LOAD_SEGMENT:
		insn->width = sizeof(uint16_t);
		return insn->is_segment;
	case INSN_LOAD_SYSTEM:
	case INSN_VERIFY:
	case INSN_LAR:
	case INSN_LSL:
		insn->width = sizeof(uint16_t);
		break;
	case INSN_STORE_SYSTEM:
		insn->width = insn->operand_width;
		break;
	default:
		break;
	}
	return true;
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

static bool take_string(const struct decoded *decoded, struct insn *insn)
{
	insn->kind = string_kind(&decoded->insn);
	if (insn->kind == INSN_NONE)
		return false;
	insn->width = decoded->insn.opcode & 1 ? decoded->insn.operand_width / 8 : 1;
	insn->rep = take_rep(&decoded->insn);
	insn->segment = source_segment(decoded, RSI);
	return true;
}

static bool has_memory(const struct decoded *decoded)
{
	for (unsigned int i = 0; i < decoded->insn.operand_count_visible; i++)
		if (is_memory(&decoded->operands[i]))
			return true;
	return false;
}

bool insn_decode(const uint8_t *bytes, unsigned int count, unsigned int mode,
		 struct insn *insn)
{
	struct decoded decoded;

	if (count > VEE_INSN_MAX || !decode_known(bytes, count, mode, &decoded))
		return false;
	*insn = (struct insn) {
		.length = decoded.insn.length,
		.mode = mode,
		.reg = NO_REGISTER,
		.source = NO_REGISTER,
		.operand_width = decoded.insn.operand_width / 8,
		.address_width = decoded.insn.address_width / 8,
		.clears_upper = decoded.insn.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX,
	};
	memcpy(insn->bytes, bytes, insn->length);
	if (take_string(&decoded, insn))
		return true;
	return has_memory(&decoded) ? take_operands(&decoded, insn) :
				      take_hidden(&decoded, insn);
}
