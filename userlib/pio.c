// SPDX-License-Identifier: LGPL-2.1-or-later
/* IN, OUT, INS and OUTS. */
#include "internal.h"

struct pio {
	struct vee_vcpu *vcpu;
	struct vee_exit_pio exit;
	vee_pio_fn fn;
	void *arg;
	bool write;
};

static int access_port(const struct pio *pio, void *data)
{
	return pio->fn(pio->arg, pio->exit.port, data, pio->exit.width,
		       pio->write);
}

static int do_plain(const struct pio *pio)
{
	uint32_t value = pio->exit.data;
	int err = access_port(pio, &value);

	if (err)
		return err;
	if (pio->write)
		vee_done(pio->vcpu);
	else
		vee_done_in(pio->vcpu, value);
	return 0;
}

/*
 * One access after the other, between the port and @count elements at @data,
 * which with DF set are done from the last to the first. Returns how many were
 * done before *@err.
 */
static uint64_t transfer(const struct pio *pio, uint8_t *data, uint64_t count,
			 bool down, int *err)
{
	unsigned int width = pio->exit.width;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = down ? count - 1 - i : i;

		*err = access_port(pio, data + at * width);
		if (*err)
			return i;
	}
	return count;
}

/* Registers as after @done accesses; the instruction is over after the last. */
static void advance(const struct pio *pio, uint64_t done)
{
	const struct vee_exit_pio *exit = &pio->exit;

	string_advance(pio->vcpu, pio->write ? RSI : RDI, exit->address_width,
		       exit->width, done);
	if (exit->rep)
		string_count_down(pio->vcpu, exit->address_width, done);
	if (done == exit->count)
		vee_done(pio->vcpu);
}

static int do_batch(const struct pio *pio, uint64_t gva, uint64_t count,
		    bool down)
{
	uint8_t data[PAGE_BYTES];
	struct guest_span span;
	uint64_t done, bytes = count * pio->exit.width;
	int err;

	if (!guest_is_canonical(gva, bytes))
		return guest_fault(pio->vcpu, VECTOR_GP);
	err = guest_find(pio->vcpu, gva, bytes, pio->write ? VEE_READ : VEE_WRITE, &span);
	if (err)
		return err;
	if (!guest_is_memory(&span))
		return -EFAULT;
	/* What a failing IN leaves undone must stay as it is. */
	guest_copy_out(&span, data);
	done = transfer(pio, data, count, down, &err);
	if (!pio->write)
		guest_copy_in(&span, data);
	if (done)
		advance(pio, done);
	return err;
}

static int do_string(const struct pio *pio)
{
	const struct vee_exit_pio *exit = &pio->exit;
	const struct vee_regs *regs = &pio->vcpu->page->regs;
	bool down = regs->rflags & RFLAGS_DF;
	uint64_t offset = pio->write ? regs->rsi : regs->rdi;
	uint64_t count, lowest = exit->gva;
	int ret;

	if (!exit->count) {
		vee_done(pio->vcpu);
		return 0;
	}
	count = min_u64(exit->count, string_batch(exit->gva, offset,
						  exit->address_width,
						  exit->width, down));
	if (down)
		lowest -= (count - 1) * exit->width;
	ret = do_batch(pio, lowest, count, down);
	return ret == GUEST_FAULTED ? 0 : ret;
}

static bool sane(const struct vee_exit_pio *exit)
{
	unsigned int width = exit->width, address = exit->address_width;

	if (width != 1 && width != 2 && width != 4)
		return false;
	return !exit->string || address == 2 || address == 4 || address == 8;
}

int vee_pio_assist(struct vee_vcpu *vcpu, vee_pio_fn fn, void *arg)
{
	struct pio pio = {
		.vcpu = vcpu,
		.exit = vcpu->page->exit.pio,
		.fn = fn,
		.arg = arg,
	};
	int err;

	if (vcpu->page->exit.reason != VEE_EXIT_PIO || !sane(&pio.exit))
		return -EINVAL;
	pio.write = pio.exit.direction == VEE_PIO_OUT;
	vcpu->page->resume = VEE_RESUME_HERE;
	if (!pio.exit.string)
		return do_plain(&pio);
	err = vee_vcpu_sync(vcpu, VEE_STATE_REGS);
	return err ? err : do_string(&pio);
}
