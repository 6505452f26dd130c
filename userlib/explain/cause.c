// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which exception the instruction at RIP raises. The CPU doesn't say: a triple fault's
 * VM exit has no IDT-vectoring information (SDM 3C, "Information for VM Exits That Occur
 * During Event Delivery"). But its state is that of before the instruction, and so the
 * instruction can be tried again, on a copy.
 */
#include "../mmio/decoded.h"
#include "explain.h"

#define VECTOR_BP	3
#define VECTOR_OF	4
#define VECTOR_NM	7

#define CR0_EM		0x4ULL
#define CR4_OSXSAVE	0x40000ULL

static bool found(struct cause *cause, unsigned int vector, const char *words)
{
	cause->event = (struct vee_event) {
		.vector = vector, .type = VEE_EVENT_EXCEPTION, .flags = VEE_EVENT_VALID,
	};
	snprintf(cause->words, sizeof(cause->words), "%s", words);
	return true;
}

/* With the error code 0, where the mode has one. */
static bool found_gp(const struct scratch *scratch, struct cause *cause, const char *words)
{
	found(cause, VECTOR_GP, words);
	if (scratch->page.control.cr0 & CR0_PE)
		cause->event.flags |= VEE_EVENT_ERROR_CODE;
	return true;
}

/* --- what it raises by itself --- */

static bool find_software(const struct scratch *scratch, const struct decoded *decoded,
			  struct cause *cause)
{
	switch (decoded->insn.mnemonic) {
	case ZYDIS_MNEMONIC_INT3:
		found(cause, VECTOR_BP, "INT3");
		cause->event.type = VEE_EVENT_SOFT_EXCEPTION;
		break;
	case ZYDIS_MNEMONIC_INTO:
		if (!(scratch->page.regs.rflags & RFLAGS_OF))
			return false;
		found(cause, VECTOR_OF, "INTO, with RFLAGS.OF 1");
		cause->event.type = VEE_EVENT_SOFT_EXCEPTION;
		break;
	case ZYDIS_MNEMONIC_INT1:
		found(cause, VECTOR_DB, "INT1");
		cause->event.type = VEE_EVENT_PRIV_SOFT_EXCEPTION;
		break;
	case ZYDIS_MNEMONIC_INT:
		found(cause, decoded->operands[0].imm.value.u, "the instruction asks for it");
		cause->event.type = VEE_EVENT_SOFT_INTERRUPT;
		break;
	default:
		return false;
	}
	cause->event.instruction_length = decoded->insn.length;
	return true;
}

static bool find_undefined(const struct scratch *scratch, const struct decoded *decoded,
			   struct cause *cause)
{
	bool protected = guest_is_protected(&scratch->guest);

	switch (decoded->insn.mnemonic) {
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
		return found(cause, VECTOR_UD, "the instruction is there to raise it");
	case ZYDIS_MNEMONIC_SYSCALL:
		if (scratch->page.control.efer & EFER_SCE)
			return false;
		return found(cause, VECTOR_UD,
			     "SYSCALL asks a kernel, and this guest has set up none (EFER.SCE is 0): a C library needs one");
	case ZYDIS_MNEMONIC_SYSRET:
		return !(scratch->page.control.efer & EFER_SCE) &&
		       found(cause, VECTOR_UD, "EFER.SCE is 0");
	case ZYDIS_MNEMONIC_RSM:
		return found(cause, VECTOR_UD, "system-management mode alone has it");
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
	case ZYDIS_MNEMONIC_XSAVEOPT:
	case ZYDIS_MNEMONIC_XSAVEC:
	case ZYDIS_MNEMONIC_XGETBV:
	case ZYDIS_MNEMONIC_XSETBV:
		return !(scratch->page.control.cr4 & CR4_OSXSAVE) &&
		       found(cause, VECTOR_UD, "CR4.OSXSAVE is 0");
	case ZYDIS_MNEMONIC_LTR:
	case ZYDIS_MNEMONIC_LLDT:
	case ZYDIS_MNEMONIC_STR:
	case ZYDIS_MNEMONIC_SLDT:
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
	case ZYDIS_MNEMONIC_VERR:
	case ZYDIS_MNEMONIC_VERW:
		return !protected && found(cause, VECTOR_UD, "protected mode alone has it");
	default:
		return false;
	}
}

/* SDM 3A, "Control Registers": EM and TS of CR0, OSFXSR and OSXSAVE of CR4. */
static bool find_disabled(const struct scratch *scratch, const struct decoded *decoded,
			  ZydisRegisterClass class, struct cause *cause)
{
	const struct vee_control *control = &scratch->page.control;
	bool legacy = decoded->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;

	switch (class) {
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		if (legacy && control->cr0 & CR0_EM)
			return found(cause, VECTOR_UD, "CR0.EM is 1: no SSE");
		if (legacy && !(control->cr4 & CR4_OSFXSR))
			return found(cause, VECTOR_UD, "CR4.OSFXSR is 0: no SSE");
		if (!legacy && !(control->cr4 & CR4_OSXSAVE))
			return found(cause, VECTOR_UD, "CR4.OSXSAVE is 0: no AVX");
		break;
	case ZYDIS_REGCLASS_MMX:
		if (control->cr0 & CR0_EM)
			return found(cause, VECTOR_UD, "CR0.EM is 1: no MMX");
		break;
	case ZYDIS_REGCLASS_X87:
		/* FWAIT has its own rule (SDM 3A, "Device Not Available Exception"). */
		if (decoded->insn.mnemonic == ZYDIS_MNEMONIC_FWAIT)
			return control->cr0 & CR0_TS && control->cr0 & CR0_MP &&
			       found(cause, VECTOR_NM, "CR0.TS and CR0.MP are 1");
		if (control->cr0 & CR0_EM)
			return found(cause, VECTOR_NM, "CR0.EM is 1: no x87");
		break;
	default:
		return false;
	}
	return control->cr0 & CR0_TS && found(cause, VECTOR_NM, "CR0.TS is 1");
}

static bool find_registers(const struct scratch *scratch, const struct decoded *decoded,
			   struct cause *cause)
{
	if (decoded->insn.meta.isa_ext == ZYDIS_ISA_EXT_X87)
		return find_disabled(scratch, decoded, ZYDIS_REGCLASS_X87, cause);
	if (decoded->insn.meta.isa_ext == ZYDIS_ISA_EXT_MMX)
		return find_disabled(scratch, decoded, ZYDIS_REGCLASS_MMX, cause);
	for (unsigned int i = 0; i < decoded->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &decoded->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    find_disabled(scratch, decoded, ZydisRegisterGetClass(operand->reg.value),
				  cause))
			return true;
	}
	return false;
}

/* --- privilege and control registers --- */

static bool find_privilege(const struct scratch *scratch, const struct decoded *decoded,
			   struct cause *cause)
{
	unsigned int level = guest_cpl(&scratch->guest);

	if (!(scratch->page.control.cr0 & CR0_PE) || !level)
		return false;
	if (decoded->insn.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
		return found_gp(scratch, cause, "the instruction is for CPL 0 alone");
	return (decoded->insn.mnemonic == ZYDIS_MNEMONIC_CLI ||
		decoded->insn.mnemonic == ZYDIS_MNEMONIC_STI) &&
	       level > guest_iopl(&scratch->guest) &&
	       found_gp(scratch, cause, "CPL is above RFLAGS.IOPL");
}

/* The general register that a MOV to a control register takes. */
static uint64_t source_of(const struct scratch *scratch, const struct decoded *decoded)
{
	ZyanI8 number = ZydisRegisterGetId(decoded->operands[1].reg.value);

	return number < 0 ? 0 : scratch->page.regs.gpr[number];
}

/* SDM 2B, "MOV-Move to/from Control Registers", #GP(0). */
static const char *cr0_refusal(const struct scratch *scratch, uint64_t cr0)
{
	const struct vee_control *control = &scratch->page.control;

	if (cr0 >> 32 && scratch->guest.mode == 8)
		return "bits 63:32 of CR0 must be 0";
	if (cr0 & CR0_PG && !(cr0 & CR0_PE))
		return "CR0.PG is set without CR0.PE";
	if (cr0 & CR0_NW && !(cr0 & CR0_CD))
		return "CR0.NW is set without CR0.CD";
	if (cr0 & CR0_PG && !(control->cr0 & CR0_PG) && control->efer & EFER_LME) {
		if (!(control->cr4 & CR4_PAE))
			return "CR0.PG is set with EFER.LME, and CR4.PAE is 0: long mode needs PAE";
		if (scratch->page.segments.cs.access_rights & VEE_AR_L)
			return "CR0.PG is set with EFER.LME, from a CS with L set";
	}
	if (!(cr0 & CR0_PG) && scratch->guest.mode == 8)
		return "CR0.PG is cleared in 64-bit mode";
	return NULL;
}

/* SDM 2B, "MOV-Move to/from Debug Registers". */
static bool find_debug(const struct scratch *scratch, const struct decoded *decoded,
		       struct cause *cause)
{
	bool writes = ZydisRegisterGetClass(decoded->operands[0].reg.value) ==
		      ZYDIS_REGCLASS_DEBUG;
	const ZydisDecodedOperand *debug = &decoded->operands[writes ? 0 : 1];
	ZyanI8 number = ZydisRegisterGetId(debug->reg.value);

	if (ZydisRegisterGetClass(debug->reg.value) != ZYDIS_REGCLASS_DEBUG)
		return false;
	if ((number == 4 || number == 5) && scratch->page.control.cr4 & CR4_DE)
		return found(cause, VECTOR_UD, "CR4.DE is 1: no DR4, no DR5");
	return writes && number > 3 && source_of(scratch, decoded) >> 32 &&
	       found_gp(scratch, cause, "bits 63:32 of DR6 and DR7 must be 0");
}

static bool is_beyond_cr3(const struct scratch *scratch, uint64_t cr3)
{
	return scratch->guest.mode == 8 && !(scratch->page.control.cr4 & CR4_PCIDE) &&
	       cr3 >> vm_gpa_bits(scratch->vcpu.vm);
}

static bool find_control(const struct scratch *scratch, const struct decoded *decoded,
			 struct cause *cause)
{
	const char *refusal = NULL;
	uint64_t value;

	if (decoded->insn.mnemonic != ZYDIS_MNEMONIC_MOV ||
	    decoded->operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    decoded->operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	if (find_debug(scratch, decoded, cause))
		return true;
	value = source_of(scratch, decoded);
	if (decoded->operands[0].reg.value == ZYDIS_REGISTER_CR0)
		refusal = cr0_refusal(scratch, value);
	else if (decoded->operands[0].reg.value == ZYDIS_REGISTER_CR3 &&
		 is_beyond_cr3(scratch, value))
		refusal = "CR3 has bits beyond the physical addresses";
	else if (decoded->operands[0].reg.value == ZYDIS_REGISTER_CR4 && !(value & CR4_PAE) &&
		 scratch->page.control.efer & EFER_LMA)
		refusal = "CR4.PAE is cleared in long mode";
	return refusal && found_gp(scratch, cause, refusal);
}

/* --- what it meets --- */

static bool take_fault(struct scratch *scratch, struct cause *cause, const char *words)
{
	uint32_t error = scratch->page.inject.error_code;
	unsigned int at;

	if (!(scratch->page.inject.flags & VEE_EVENT_VALID))
		return false;
	cause->event = scratch->page.inject;
	scratch->page.inject = (struct vee_event) { 0 };
	cause->walked = cause->event.vector == VECTOR_PF;
	at = snprintf(cause->words, sizeof(cause->words), "%s", words);
	if (cause->walked)
		snprintf(cause->words + at, sizeof(cause->words) - at, " gva %#llx",
			 U(scratch->page.control.cr2));
	else if (error & ~SELECTOR_RPL)
		snprintf(cause->words + at, sizeof(cause->words) - at, ", selector %#x", error);
	return true;
}

static const char *meets(const struct vee_event *fault)
{
	if (fault->vector != VECTOR_PF)
		return "what the instruction does is forbidden";
	return fault->error_code & 2 ? "the instruction writes" : "the instruction reads";
}

/* On registers that are put back: but CR2 is that of the fault. */
static bool find_fault(struct scratch *scratch, const struct code *code, struct cause *cause)
{
	struct vee_vcpu_page before = scratch->page;
	struct vee_event fault;
	uint64_t cr2;
	int err;

	scratch->page.inject = (struct vee_event) { 0 };
	err = insn_try(&scratch->guest, code->bytes, code->count);
	fault = scratch->page.inject;
	cr2 = scratch->page.control.cr2;
	scratch->page = before;
	scratch->page.inject = (struct vee_event) { 0 };
	if (err)
		return false;
	scratch->page.control.cr2 = cr2;
	scratch->page.inject = fault;
	return take_fault(scratch, cause, meets(&fault));
}

/* The value of a general register of that size; those of 8 bits may be the second byte. */
static uint64_t register_value(const struct scratch *scratch, const ZydisDecodedOperand *operand)
{
	ZydisRegister reg = operand->reg.value;
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	bool high = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
	unsigned int number = high ? reg - ZYDIS_REGISTER_AH : whole - ZYDIS_REGISTER_RAX;

	return (scratch->page.regs.gpr[number & 0xf] >> (high ? 8 : 0)) &
	       low_bits(operand->size / 8);
}

/* RDX:RAX, EDX:EAX, DX:AX or AX. */
static unsigned __int128 dividend(const struct vee_regs *regs, unsigned int bytes)
{
	if (bytes == 1)
		return regs->rax & 0xffff;
	return (unsigned __int128)(regs->rdx & low_bits(bytes)) << (bytes * 8) |
	       (regs->rax & low_bits(bytes));
}

static bool quotient_fits(unsigned __int128 of, uint64_t by, unsigned int bytes)
{
	return of / by <= low_bits(bytes);
}

static bool signed_quotient_fits(unsigned __int128 of, uint64_t by, unsigned int bytes)
{
	unsigned int bits = bytes * 8;
	bool of_negative = of >> (2 * bits - 1) & 1, by_negative = by >> (bits - 1) & 1;
	unsigned __int128 magnitude = of_negative ? -of : of;
	uint64_t divisor = by_negative ? -by & low_bits(bytes) : by;
	uint64_t most = (1ULL << (bits - 1)) - !(of_negative != by_negative);

	if (bits < 64)
		magnitude &= ((unsigned __int128)1 << 2 * bits) - 1;
	return magnitude / divisor <= most;
}

static bool find_divide(const struct scratch *scratch, const struct decoded *decoded,
			struct cause *cause)
{
	const ZydisDecodedOperand *divisor = &decoded->operands[0];
	bool is_signed = decoded->insn.mnemonic == ZYDIS_MNEMONIC_IDIV;
	unsigned int bytes = divisor->size / 8;
	unsigned __int128 of;
	uint64_t by;

	if (decoded->insn.mnemonic == ZYDIS_MNEMONIC_AAM)
		return !divisor->imm.value.u && found(cause, VECTOR_DE, "the divisor is 0");
	if ((!is_signed && decoded->insn.mnemonic != ZYDIS_MNEMONIC_DIV) ||
	    divisor->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	by = register_value(scratch, divisor);
	of = dividend(&scratch->page.regs, bytes);
	if (!by)
		return found(cause, VECTOR_DE, "the divisor is 0");
	return !(is_signed ? signed_quotient_fits : quotient_fits)(of, by, bytes) &&
	       found(cause, VECTOR_DE, "the quotient is too large");
}

/* SDM 2B, "SYSENTER-Fast System Call" and "SYSEXIT"; JMP and CALL by a register. */
static bool find_protection(const struct scratch *scratch, const struct decoded *decoded,
			    struct cause *cause)
{
	const ZydisDecodedOperand *target = &decoded->operands[0];

	switch (decoded->insn.mnemonic) {
	case ZYDIS_MNEMONIC_SYSENTER:
	case ZYDIS_MNEMONIC_SYSEXIT:
		return !(scratch->page.msrs.sysenter_cs & ~(uint64_t)SELECTOR_RPL) &&
		       found_gp(scratch, cause, "IA32_SYSENTER_CS is 0");
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		return scratch->guest.mode == 8 && target->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       !guest_is_canonical(&scratch->guest, register_value(scratch, target), 1) &&
		       found_gp(scratch, cause, "the address that it goes to is not canonical");
	default:
		return false;
	}
}

/* What of its operands must be aligned to 16 bytes, or it is #GP(0). */
static bool must_be_aligned(const struct decoded *decoded)
{
	switch (decoded->insn.mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_CMPXCHG16B:
	case ZYDIS_MNEMONIC_MOVAPS:
	case ZYDIS_MNEMONIC_MOVAPD:
	case ZYDIS_MNEMONIC_MOVDQA:
	case ZYDIS_MNEMONIC_MOVNTPS:
	case ZYDIS_MNEMONIC_MOVNTPD:
	case ZYDIS_MNEMONIC_MOVNTDQ:
		return true;
	default:
		return false;
	}
}

static uint64_t address_of(const struct scratch *scratch, const struct decoded *decoded,
			   const ZydisDecodedOperand *operand)
{
	ZydisRegisterContext context = { 0 };
	ZyanU64 offset = 0;

	for (unsigned int i = 0; i < 16; i++) {
		context.values[ZYDIS_REGISTER_RAX + i] = scratch->page.regs.gpr[i];
		context.values[ZYDIS_REGISTER_EAX + i] = (uint32_t)scratch->page.regs.gpr[i];
		context.values[ZYDIS_REGISTER_AX + i] = (uint16_t)scratch->page.regs.gpr[i];
	}
	ZydisCalcAbsoluteAddressEx(&decoded->insn, operand, scratch->page.regs.rip, &context,
				   &offset);
	return guest_linear(&scratch->guest, operand->mem.segment - ZYDIS_REGISTER_ES, offset);
}

static bool find_misaligned(const struct scratch *scratch, const struct decoded *decoded,
			    struct cause *cause)
{
	if (!must_be_aligned(decoded))
		return false;
	for (unsigned int i = 0; i < decoded->insn.operand_count_visible; i++)
		if (decoded->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    address_of(scratch, decoded, &decoded->operands[i]) & 0xf)
			return found_gp(scratch, cause, "its operand is not aligned to 16 bytes");
	return false;
}

static bool find_by_kind(struct scratch *scratch, const struct code *code,
			 const struct decoded *decoded, struct cause *cause)
{
	return find_undefined(scratch, decoded, cause) ||
	       find_software(scratch, decoded, cause) ||
	       find_registers(scratch, decoded, cause) ||
	       find_privilege(scratch, decoded, cause) ||
	       find_control(scratch, decoded, cause) ||
	       find_divide(scratch, decoded, cause) ||
	       find_protection(scratch, decoded, cause) ||
	       find_misaligned(scratch, decoded, cause) ||
	       find_fault(scratch, code, cause);
}

bool cause_find(struct scratch *scratch, struct cause *cause)
{
	struct decoded decoded;
	struct code code;
	int err = insn_fetch(scratch, &code);
	ZyanStatus status;

	*cause = (struct cause) { 0 };
	if (err)
		return take_fault(scratch, cause, "the fetch of the instruction at");
	status = insn_decode_bytes(code.bytes, code.count, scratch->guest.mode, &decoded);
	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return take_fault(scratch, cause, "the fetch of the instruction's end at");
	scratch_forget(scratch);
	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		return found_gp(scratch, cause, "the instruction is longer than 15 bytes");
	if (!ZYAN_SUCCESS(status))
		return found(cause, VECTOR_UD, "these bytes are no instruction");
	return find_by_kind(scratch, &code, &decoded, cause);
}
