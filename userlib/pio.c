// SPDX-License-Identifier: LGPL-2.1-or-later
/* IN, OUT, INS and OUTS; the memory of the last two may be a device's. */
#include "internal.h"

struct pio {
	struct guest guest;	/* its memory side */
	struct vee_exit_pio exit;
	vee_pio_fn fn;
	void *arg;
	bool write;
	bool down;
	unsigned int segment;
	uint64_t offset;
};

static int access_port(const struct pio *pio, void *data)
{
	trap_port(&pio->guest, pio->exit.port, pio->exit.width);
	return pio->fn(pio->arg, pio->exit.port, data, pio->exit.width,
		       pio->write);
}

static int do_plain(const struct pio *pio)
{
	uint32_t value = pio->exit.data;
	int err = access_port(pio, &value);

	if (!err)
		err = trap_done(&pio->guest);
	if (err)
		return err;
	if (pio->write)
		vee_done(pio->guest.vcpu);
	else
		vee_done_in(pio->guest.vcpu, value);
	return 0;
}

/* Registers as after an access; true: it was the last. */
static bool advance(const struct pio *pio)
{
	const struct vee_exit_pio *exit = &pio->exit;
	struct vee_vcpu *vcpu = pio->guest.vcpu;

	string_advance(vcpu, pio->write ? RSI : RDI, exit->address_width, exit->width, 1);
	if (!exit->rep)
		return true;
	string_count_down(vcpu, exit->address_width, 1);
	return !(vcpu->page->regs.rcx & low_bits(exit->address_width));
}

static int transfer(const struct pio *pio, const struct guest_span *span)
{
	unsigned int width = pio->exit.width;
	uint32_t value = 0;
	int err = 0;

	if (pio->write)
		err = guest_read(&pio->guest, span, &value, width);
	if (!err)
		err = access_port(pio, &value);
	if (!err && !pio->write)
		err = guest_write(&pio->guest, span, &value, width);
	return err;
}

/* The first access finds what can fault; those after it are in the same page. */
static int do_string(const struct pio *pio, uint64_t count)
{
	unsigned int width = pio->exit.width;
	unsigned int access = pio->write ? VEE_READ : VEE_WRITE;
	struct guest_span span;
	int err = guest_find_in(&pio->guest, pio->segment, pio->offset, width, access, width,
				&span);

	if (!err && !pio->guest.fn && !span_is_memory(&span, access))
		err = -EFAULT;
	for (uint64_t i = 0; !err && i < count; i++) {
		err = transfer(pio, &span);
		if (!err && advance(pio)) {
			vee_done(pio->guest.vcpu);
			return trap_done(&pio->guest);
		}
		span_move(&span, pio->down ? -(int64_t)width : width);
	}
	return err ? err : trap_between(&pio->guest);
}

/* --- where its memory is --- */

/* Of the prefixes those for a segment alone matter here (SDM 2, "Instruction Prefixes"). */
static int segment_of_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26:
		return SEG_ES;
	case 0x2e:
		return SEG_CS;
	case 0x36:
		return SEG_SS;
	case 0x3e:
		return SEG_DS;
	case 0x64:
		return SEG_FS;
	case 0x65:
		return SEG_GS;
	default:
		return -1;
	}
}

/* The last one counts; in 64-bit mode FS and GS alone do. */
static int find_source(const struct pio *pio, unsigned int *segment)
{
	const struct vee_vcpu_page *page = pio->guest.vcpu->page;
	uint64_t gva = guest_linear(&pio->guest, SEG_CS, page->regs.rip);
	uint8_t insn[VEE_INSN_MAX];
	unsigned int length = min_u64(page->exit.instruction_length, sizeof(insn));
	struct guest_span span;
	int err = guest_find(&pio->guest, gva, length, VEE_EXECUTE, &span);

	if (!err)
		err = guest_read(&pio->guest, &span, insn, length);
	*segment = SEG_DS;
	for (unsigned int i = 0; !err && i < length; i++) {
		int number = segment_of_prefix(insn[i]);

		if (number >= 0 && (pio->guest.mode != 8 || number >= SEG_FS))
			*segment = number;
	}
	return err;
}

static unsigned int code_width(const struct vee_vcpu_page *page)
{
	uint32_t rights = page->segments.cs.access_rights;

	if (page->control.efer & EFER_LMA && rights & VEE_AR_L)
		return 8;
	return rights & VEE_AR_DB ? 4 : 2;
}

/* With the prefixes that REP, and another width of operand or address, must have. */
static unsigned int shortest(const struct pio *pio)
{
	const struct vee_exit_pio *exit = &pio->exit;
	unsigned int usual = pio->guest.mode == 2 ? 2 : 4;

	return 1 + !!exit->rep + (exit->width != 1 && exit->width != usual) +
	       (exit->address_width != pio->guest.mode);
}

static int find_memory(struct pio *pio)
{
	const struct vee_vcpu_page *page = pio->guest.vcpu->page;
	int err = guest_sync(&pio->guest);

	if (err)
		return err;
	pio->guest.mode = code_width(page);
	pio->down = page->regs.rflags & RFLAGS_DF;
	pio->offset = (pio->write ? page->regs.rsi : page->regs.rdi) &
		      low_bits(pio->exit.address_width);
	pio->segment = pio->write ? SEG_DS : SEG_ES;
	/* Where there is no room for a prefix of a segment the instruction need not be read. */
	if (pio->write && page->exit.instruction_length > shortest(pio))
		err = find_source(pio, &pio->segment);
	return err;
}

static uint64_t batch(const struct pio *pio)
{
	const struct vee_exit_pio *exit = &pio->exit;
	uint64_t count = min_u64(exit->count, string_batch(exit->gva, pio->offset,
							   exit->address_width, exit->width,
							   pio->down));
	uint64_t below = pio->down ? (count - 1) * exit->width : 0;

	/* One by one where each is a trap, or near a limit. */
	if (count > 1 && (trap_watches(&pio->guest) ||
			  !guest_reaches(&pio->guest, pio->segment, pio->offset - below,
					 count * exit->width)))
		return 1;
	return count;
}

static int string_io(struct pio *pio)
{
	int err;

	if (!pio->exit.count) {
		vee_done(pio->guest.vcpu);
		return 0;
	}
	err = find_memory(pio);
	if (!err)
		err = do_string(pio, batch(pio));
	return err == GUEST_FAULTED ? 0 : err;
}

static bool sane(const struct vee_exit_pio *exit)
{
	unsigned int width = exit->width, address = exit->address_width;

	if (width != 1 && width != 2 && width != 4)
		return false;
	return !exit->string || address == 2 || address == 4 || address == 8;
}

static int assist(struct vee_vcpu *vcpu, const struct vee_bus *bus)
{
	struct pio pio = {
		.guest = { .vcpu = vcpu, .fn = bus->memory, .arg = bus->arg },
		.exit = vcpu->page->exit.pio,
		.fn = bus->port,
		.arg = bus->arg,
	};
	struct apic_front front = { .vcpu = vcpu, .fn = bus->memory, .arg = bus->arg };
	uint64_t hits;
	int err;

	if (vcpu->page->exit.reason != VEE_EXIT_PIO || !sane(&pio.exit))
		return -EINVAL;
	if (bus->memory && vm_has_apics(vcpu->vm)) {
		pio.guest.fn = apic_touch;
		pio.guest.arg = &front;
	}
	pio.write = pio.exit.direction == VEE_PIO_OUT;
	vcpu->page->resume = VEE_RESUME_HERE;
	err = pio.exit.string ? vee_vcpu_sync(vcpu, VEE_STATE_REGS) : 0;
	if (!err)
		err = trap_begin(&pio.guest, &hits);
	if (err)
		return err;
	return pio.exit.string ? string_io(&pio) : do_plain(&pio);
}

int vee_pio_assist(struct vee_vcpu *vcpu, vee_pio_fn fn, void *arg)
{
	const struct vee_bus bus = { .port = fn, .arg = arg };

	return assist(vcpu, &bus);
}

int vee_assist(struct vee_vcpu *vcpu, const struct vee_bus *bus)
{
	if (vcpu->page->exit.reason == VEE_EXIT_PIO)
		return assist(vcpu, bus);
	return vee_mmio_assist(vcpu, bus->memory, bus->arg);
}
