// SPDX-License-Identifier: GPL-2.0-only
/*
 * LGDT, SGDT and their like, for a caller that asks to see them, and the part of UMIP
 * that can be had by that on a CPU without it.
 *
 * Who asks does them all: they have operands in memory, and nothing here decodes those.
 */
#include <linux/bits.h>
#include <linux/string.h>
#include <asm/processor-flags.h>

#include "vcpu/code.h"
#include "vcpu/cr.h"
#include "vcpu/descriptor.h"
#include "vcpu/event.h"
#include "vcpu/exit_user.h"
#include "vcpu/vcpu.h"
#include "vmx/vmcs.h"

/*
 * SDM 3C, "Format of the VM-Exit Instruction-Information Field as Used for LIDT, LGDT,
 * SIDT, or SGDT", and "... for LLDT, LTR, SLDT, and STR": bit 29 is set for a load.
 */
#define INFO_IS_LOAD	BIT(29)

/*
 * SDM 2, "SGDT", "SIDT", "SLDT", "STR": #GP(0) with CR4.UMIP above CPL 0. A CPU that has
 * UMIP looks at that first, as all do at what else they fault for.
 */
static bool umip_forbids(void)
{
	return cr4_read() & X86_CR4_UMIP && vmcs_cpl() &&
	       !(vmcs_read(VMCS_EXIT_INSTRUCTION_INFO) & INFO_IS_LOAD);
}

static enum next tell_code(struct vee_vcpu *vcpu)
{
	struct vee_exit_memory *exit = &vcpu->page->exit.memory;

	switch (code_read(vcpu)) {
	case -EBUSY:
		return budget_end(&vcpu->limits);
	case -EINTR:
		/* The guest does it again. */
		return NEXT_HOST;
	}
	exit->insn_bytes = vcpu->code.bytes;
	memcpy(exit->insn, vcpu->code.insn, sizeof(exit->insn));
	return NEXT_USER;
}

enum next exit_descriptor(struct vee_vcpu *vcpu)
{
	if (umip_forbids())
		return event_gp(vcpu);
	code_note(vcpu);
	vcpu->page->exit.memory = (struct vee_exit_memory) { .code_width = vcpu->code.width };
	exit_user(vcpu, VEE_EXIT_DESCRIPTOR);
	if (!(vcpu->wishes.prefetch & VEE_PREFETCH_INSN))
		return NEXT_USER;
	vcpu->exit.sleeper = tell_code;
	return NEXT_SLEEP;
}
