/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Zydis makes of an instruction's bytes. */
#ifndef VEE_DECODED_H
#define VEE_DECODED_H

#include <stdint.h>
#include <Zydis/Zydis.h>

struct decoded {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/* @mode: bytes of an address in the code segment: 2, 4 or 8 */
ZyanStatus insn_decode_bytes(const uint8_t *bytes, unsigned int count, unsigned int mode,
			     struct decoded *decoded);

#endif /* VEE_DECODED_H */
