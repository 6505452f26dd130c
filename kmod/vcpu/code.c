// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bytes of the guest's next instruction, which the CPU doesn't tell. They are read
 * where the run may sleep, so where they are is noted before.
 */
#include <linux/string.h>

#include "memory/absent.h"
#include "memory/vm.h"
#include "vcpu/code.h"
#include "vcpu/cr.h"
#include "vcpu/fetch.h"
#include "vcpu/vcpu.h"
#include "vmx/vmcs.h"

static u8 code_width(struct vee_vcpu *vcpu)
{
	if (vmcs_64bit_code(&vcpu->controls))
		return 8;
	return vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & VEE_AR_DB ? 4 : 2;
}

void code_note(struct vee_vcpu *vcpu)
{
	struct code *code = &vcpu->code;
	u64 rip = vmcs_read(VMCS_GUEST_RIP);

	cr_read_paging(vcpu, &code->paging);
	code->width = code_width(vcpu);
	code->gva = code->width == 8 ? rip : (u32)(vmcs_read(VMCS_GUEST_CS_BASE) + rip);
}

static void read_now(struct vee_vcpu *vcpu)
{
	struct code *code = &vcpu->code;

	memset(code->insn, 0, sizeof(code->insn));
	code->bytes = walk_read(&vcpu->vm->memory, &code->paging, code->gva, code->insn,
				sizeof(code->insn), !vcpu->runner.is_inline, &vcpu->absent);
}

int code_read(struct vee_vcpu *vcpu)
{
	int err = 0;

	read_now(vcpu);
	if (vcpu->runner.is_inline)
		return vcpu->code.bytes == sizeof(vcpu->code.insn) ? 0 : -EBUSY;
	while (vcpu->absent.hva && !err) {
		err = fetch_missing(vcpu, true);
		if (!err)
			read_now(vcpu);
	}
	return err == -EINTR ? err : 0;
}
