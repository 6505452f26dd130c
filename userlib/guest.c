// SPDX-License-Identifier: LGPL-2.1-or-later
/* The memory side of instructions: checked, found in pieces, read and written. */
#include "internal.h"

/* Of an access to a device: what one call of its function takes. */
#define PIECE_MAX	8

int guest_sync(const struct guest *guest)
{
	return vee_vcpu_sync(guest->vcpu, VEE_STATE_REGS | VEE_STATE_SEGMENTS |
					  VEE_STATE_CONTROL);
}

bool guest_is_protected(const struct guest *guest)
{
	const struct vee_vcpu_page *page = guest->vcpu->page;

	return page->control.cr0 & CR0_PE && !(page->regs.rflags & RFLAGS_VM);
}

bool guest_is_virtual_8086(const struct guest *guest)
{
	const struct vee_vcpu_page *page = guest->vcpu->page;

	return page->control.cr0 & CR0_PE && page->regs.rflags & RFLAGS_VM;
}

#define IOPL_SHIFT	12

unsigned int guest_iopl(const struct guest *guest)
{
	return (guest->vcpu->page->regs.rflags & RFLAGS_IOPL) >> IOPL_SHIFT;
}

/* SDM 3C, "Guest Register State": it is the DPL of SS. */
unsigned int guest_cpl(const struct guest *guest)
{
	return rights_dpl(guest->vcpu->page->segments.ss.access_rights);
}

int guest_fault(const struct guest *guest, unsigned int vector, uint32_t error)
{
	vee_inject_exception_error(guest->vcpu, vector, error);
	return GUEST_FAULTED;
}

/* SDM 1, "Canonical Addressing"; 48 bits. */
static bool is_canonical(uint64_t gva)
{
	return (int64_t)(gva << 16) >> 16 == (int64_t)gva;
}

bool guest_is_canonical(const struct guest *guest, uint64_t gva, uint64_t bytes)
{
	(void)guest;
	return is_canonical(gva) && is_canonical(gva + bytes - 1);
}

/*
 * The page that the exit was about needs no walk: the CPU has done it, and what may
 * be written may be read.
 */
static bool is_walked(const struct guest *guest, uint64_t gva, unsigned int access)
{
	const struct vee_exit_memory *exit = guest->exit;

	if (!exit || !exit->gva_valid || exit->walk || (gva ^ exit->gva) & ~PAGE_OFFSET)
		return false;
	return exit->access & VEE_WRITE || !(access & ~exit->access & VEE_WRITE);
}

/*
 * Of a page of a template it is the copy that is written, and read if it will be written:
 * it is made only for who means to, and for nobody who only tries.
 */
static int find_memory(const struct guest *guest, const struct vee_vm *vm, bool write,
		       struct guest_part *part)
{
	int err = 0;

	if (write)
		err = vm_find(vm, part->gpa, part->bytes, VEE_WRITE, !guest->path, &part->write);
	return err ? err : vm_find(vm, part->gpa, part->bytes, VEE_READ, false, &part->read);
}

static int find_part(const struct guest *guest, uint64_t gva, unsigned int bytes,
		     unsigned int access, struct guest_part *part)
{
	const struct vee_vm *vm = guest->vcpu->vm;
	int err = 0;

	*part = (struct guest_part) { .bytes = bytes };
	if (is_walked(guest, gva, access)) {
		part->gpa = (guest->exit->gpa & ~PAGE_OFFSET) | (gva & PAGE_OFFSET);
		if (guest->vcpu->page->exit.reason == VEE_EXIT_MMIO)
			return 0;
	} else {
		err = guest_walk(guest, gva, access, &part->gpa);
	}
	if (err)
		return err;
	return find_memory(guest, vm, access & VEE_WRITE, part);
}

static bool in_one_page(uint64_t gva, unsigned int bytes)
{
	return (gva & PAGE_OFFSET) + bytes <= PAGE_BYTES;
}

int guest_find(const struct guest *guest, uint64_t gva, unsigned int bytes,
	       unsigned int access, struct guest_span *span)
{
	span->count = 0;
	while (bytes) {
		unsigned int n = min_u64(bytes, PAGE_BYTES - (gva & PAGE_OFFSET));
		int err = find_part(guest, gva, n, access, &span->part[span->count++]);

		if (err)
			return err;
		gva += n;
		if (guest->mode != 8)
			gva = (uint32_t)gva;
		bytes -= n;
	}
	return 0;
}

/* SDM 3A, "Alignment Check Exception": of user code that has asked for it. */
bool guest_checks_alignment(const struct guest *guest)
{
	const struct vee_vcpu_page *page = guest->vcpu->page;

	return page->regs.rflags & RFLAGS_AC && page->control.cr0 & CR0_AM &&
	       guest_cpl(guest) == 3;
}

/* What the exit was about, all of it: the CPU has checked that. */
static bool is_checked(const struct guest *guest, uint64_t gva, unsigned int bytes,
		       unsigned int access)
{
	return is_walked(guest, gva, access) && guest->exit->gva == gva &&
	       in_one_page(gva, bytes);
}

/* A page's faults come before that of alignment (SDM 3A, "Prioritization of Concurrent Events"). */
static bool may_be_misaligned(const struct guest *guest, uint64_t gva, unsigned int align)
{
	return align && gva & (align - 1) && guest->vcpu->page->regs.rflags & RFLAGS_AC;
}

int guest_find_in(const struct guest *guest, unsigned int segment, uint64_t offset,
		  unsigned int bytes, unsigned int access, unsigned int align,
		  struct guest_span *span)
{
	uint64_t gva;
	int err = 0;

	if (guest_needs_base(guest, segment))
		err = vee_vcpu_sync(guest->vcpu, VEE_STATE_SEGMENTS);
	if (err)
		return err;
	gva = guest_linear(guest, segment, offset);
	trap_access(guest, gva, bytes, access);
	if (is_checked(guest, gva, bytes, access) && !may_be_misaligned(guest, gva, align))
		return guest_find(guest, gva, bytes, access, span);
	err = guest_sync(guest);
	if (!err)
		err = guest_check_segment(guest, segment, offset, bytes, access);
	if (err)
		return err;
	if (align && gva & (align - 1) && guest_checks_alignment(guest))
		return guest_fault(guest, VECTOR_AC, 0);
	return guest_find(guest, gva, bytes, access, span);
}

bool span_is_memory(const struct guest_span *span, unsigned int access)
{
	for (unsigned int i = 0; i < span->count; i++) {
		const struct guest_part *part = &span->part[i];

		if ((access & VEE_READ && !part->read) || (access & VEE_WRITE && !part->write))
			return false;
	}
	return true;
}

void span_move(struct guest_span *span, int64_t bytes)
{
	struct guest_part *part = &span->part[0];

	part->gpa += bytes;
	if (part->read)
		part->read += bytes;
	if (part->write)
		part->write += bytes;
}

/* --- data --- */

/* As much as one call takes: a power of two, and from a border on aligned. */
static unsigned int piece(const struct guest_part *part, unsigned int at, unsigned int bytes)
{
	unsigned int n = PIECE_MAX;

	while (n > bytes)
		n /= 2;
	if (bytes & (bytes - 1))
		while ((part->gpa + at) & (n - 1))
			n /= 2;
	return n;
}

static int touch_device(const struct guest *guest, const struct guest_part *part,
			uint8_t *data, unsigned int bytes, bool write)
{
	unsigned int at = 0;

	if (!guest->fn)
		return -EFAULT;
	while (bytes) {
		unsigned int n = piece(part, at, bytes);
		int err = guest->fn(guest->arg, part->gpa + at, data, n, write);

		if (err)
			return err;
		at += n;
		data += n;
		bytes -= n;
	}
	return 0;
}

static int touch_part(const struct guest *guest, const struct guest_part *part,
		      uint8_t *data, unsigned int bytes, bool write)
{
	if (write && part->write && guest->path)
		return 0;
	if (write && part->write) {
		memcpy(part->write, data, bytes);
		vm_mark(guest->vcpu->vm, part->gpa, bytes);
	} else if (!write && part->read) {
		memcpy(data, part->read, bytes);
	} else {
		return touch_device(guest, part, data, bytes, write);
	}
	return 0;
}

static int touch(const struct guest *guest, const struct guest_span *span, uint8_t *data,
		 unsigned int bytes, bool write)
{
	int err = 0;

	for (unsigned int i = 0; !err && bytes && i < span->count; i++) {
		const struct guest_part *part = &span->part[i];
		unsigned int n = min_u64(bytes, part->bytes);

		err = touch_part(guest, part, data, n, write);
		data += n;
		bytes -= n;
	}
	return err;
}

int guest_read(const struct guest *guest, const struct guest_span *span, void *data,
	       unsigned int bytes)
{
	return touch(guest, span, data, bytes, false);
}

int guest_write(const struct guest *guest, const struct guest_span *span, const void *data,
		unsigned int bytes)
{
	uint8_t copy[PAGE_BYTES];

	/* A device's function could write there. */
	memcpy(copy, data, bytes);
	return touch(guest, span, copy, bytes, true);
}

int guest_read_at(const struct guest *guest, uint64_t gva, void *data, unsigned int bytes)
{
	struct guest_span span;
	int err = guest_find(guest, gva, bytes, VEE_READ | GUEST_IMPLICIT, &span);

	return err ? err : guest_read(guest, &span, data, bytes);
}

int guest_write_at(const struct guest *guest, uint64_t gva, const void *data,
		   unsigned int bytes)
{
	struct guest_span span;
	int err = guest_find(guest, gva, bytes, VEE_WRITE | GUEST_IMPLICIT, &span);

	return err ? err : guest_write(guest, &span, data, bytes);
}

/* --- strings --- */

static uint64_t in_page(uint64_t gva, unsigned int width, bool down)
{
	uint64_t at = gva & PAGE_OFFSET;

	if (at + width > PAGE_BYTES)
		return 1;
	return down ? at / width + 1 : (PAGE_BYTES - at) / width;
}

/* RSI and RDI may wrap at 64 KiB or 4 GiB within a page of linear addresses. */
uint64_t string_batch(uint64_t gva, uint64_t offset, unsigned int address_width,
		      unsigned int width, bool down)
{
	uint64_t mask = low_bits(address_width);
	uint64_t left = down ? offset & mask : mask - (offset & mask);

	/* Those after the first; their number and 1 could be 2^64. */
	return min_u64(in_page(gva, width, down) - 1, left / width) + 1;
}

void string_advance(struct vee_vcpu *vcpu, unsigned int reg,
		    unsigned int address_width, unsigned int width,
		    uint64_t count)
{
	uint64_t value = vcpu->page->regs.gpr[reg];
	uint64_t bytes = count * width;

	if (vcpu->page->regs.rflags & RFLAGS_DF)
		value -= bytes;
	else
		value += bytes;
	set_gpr(vcpu, reg, address_width, value);
}

void string_count_down(struct vee_vcpu *vcpu, unsigned int address_width,
		       uint64_t count)
{
	set_gpr(vcpu, RCX, address_width, vcpu->page->regs.rcx - count);
}
