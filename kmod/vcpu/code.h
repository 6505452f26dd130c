/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bytes of the guest's next instruction.
 */
#ifndef _VEE_CODE_H
#define _VEE_CODE_H

#include <linux/types.h>

#include "linux/vee.h"
#include "memory/walk.h"

struct vee_vcpu;

/**
 * struct code - what is at CS:RIP
 * @width: bytes of a default address in the code segment: 2, 4, 8
 * @gva: where it is
 * @paging: how the guest finds it there
 * @insn: an instruction's bytes
 * @bytes: how many of them are known
 */
struct code {
	u8 width;
	u64 gva;
	struct paging paging;
	u8 insn[VEE_INSN_MAX];
	u8 bytes;
};

/* Inside the bracket: what code_read() will need once the VMCS is out of reach. */
void code_note(struct vee_vcpu *vcpu);
/* -EBUSY: what is missing may be there for a thread that may sleep; -EINTR. */
int code_read(struct vee_vcpu *vcpu);

#endif /* _VEE_CODE_H */
