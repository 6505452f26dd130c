// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O ports: each access is the caller's, but for what is posted or rings a bell.
 */
#include <linux/limits.h>

#include "memory/vm.h"
#include "vcpu/event.h"
#include "vcpu/exit_user.h"
#include "vcpu/local.h"
#include "vcpu/pio.h"
#include "vcpu/vcpu.h"
#include "vmx/exits.h"
#include "vmx/vmcs.h"

/* SDM 3C, "Format of the VM-Exit Instruction-Information Field as Used for INS and OUTS" */
#define IO_ADDRESS_SIZE(info)	(((info) >> 7) & 7)

/* @bytes: 1, 2, 4 or 8 */
static u64 low_bytes(u64 value, unsigned int bytes)
{
	return value & (~0ULL >> (64 - 8 * bytes));
}

/* @pio is in the page: written, never read. */
static void fill_string(struct vee_vcpu *vcpu, struct vee_exit_pio *pio)
{
	u32 info = vmcs_read(VMCS_EXIT_INSTRUCTION_INFO);
	unsigned int address_width = 2 << IO_ADDRESS_SIZE(info);

	pio->string = 1;
	pio->address_width = address_width;
	pio->gva = vmcs_read(VMCS_GUEST_LINEAR_ADDRESS);
	if (!(vcpu->exit.qualification & IO_REP))
		return;
	pio->rep = 1;
	pio->count = low_bytes(READ_ONCE(guest_regs(vcpu)->rcx), address_width);
}

static bool is_out(u64 q)
{
	return !(q & (IO_STRING | IO_IN));
}

static u32 out_data(struct vee_vcpu *vcpu, u64 q)
{
	static const u32 masks[] = { [1] = U8_MAX, [2] = U16_MAX, [4] = U32_MAX, [8] = 0 };

	return READ_ONCE(guest_regs(vcpu)->rax) & masks[IO_WIDTH(q)];
}

static enum next io_user(struct vee_vcpu *vcpu)
{
	u64 q = vcpu->exit.qualification;
	struct vee_exit_pio *pio = &vcpu->page->exit.pio;

	*pio = (struct vee_exit_pio) {
		.port = IO_PORT(q),
		.width = IO_WIDTH(q),
		.direction = q & IO_IN ? VEE_PIO_IN : VEE_PIO_OUT,
		.count = 1,
		.data = is_out(q) ? out_data(vcpu, q) : 0,
	};
	if (unlikely(q & IO_STRING))
		fill_string(vcpu, pio);
	return exit_user(vcpu, VEE_EXIT_PIO);
}

/* For vm_exit.sleeper: the exit has been described to the caller. */
static enum next out_bell(struct vee_vcpu *vcpu)
{
	u64 q = vcpu->exit.qualification;

	if (!post_ring_bell(&vcpu->vm->office, VEE_SPACE_PORT, IO_PORT(q), out_data(vcpu, q),
			    IO_WIDTH(q)))
		return NEXT_USER;
	vcpu->staged.next = true;
	return NEXT_HOST;
}

static noinline enum next out_watched(struct vee_vcpu *vcpu)
{
	u64 q = vcpu->exit.qualification;

	switch (post_write(&vcpu->vm->office, vcpu->id, VEE_SPACE_PORT, IO_PORT(q),
			   out_data(vcpu, q), IO_WIDTH(q))) {
	case POST_DONE:
		event_skip(vcpu);
		return local_after_post(&vcpu->apic);
	case POST_BELL:
		io_user(vcpu);
		vcpu->exit.sleeper = out_bell;
		return NEXT_SLEEP;
	default:
		return io_user(vcpu);
	}
}

enum next exit_io(struct vee_vcpu *vcpu)
{
	if (post_watches(&vcpu->vm->office, VEE_SPACE_PORT) &&
	    is_out(vcpu->exit.qualification) && !breakpoints_armed(&vcpu->debug))
		return out_watched(vcpu);
	return io_user(vcpu);
}
