// SPDX-License-Identifier: LGPL-2.1-or-later
/* The memory side of instructions: guest-linear addresses, faults, strings. */
#include "internal.h"

/* SDM 3A, "Page-Fault Exceptions", table of error-code bits. */
#define PF_PRESENT	0x1U
#define PF_WRITE	0x2U
#define PF_USER		0x4U

static bool in_user_mode(const struct vee_vcpu *vcpu)
{
	return (vcpu->page->segments.ss.access_rights & VEE_AR_DPL) == VEE_AR_DPL;
}

static int inject_page_fault(struct vee_vcpu *vcpu, uint64_t gva,
			     unsigned int access, bool present)
{
	uint32_t error = present ? PF_PRESENT : 0;

	if (access & VEE_WRITE)
		error |= PF_WRITE;
	if (in_user_mode(vcpu))
		error |= PF_USER;
	vcpu->page->control.cr2 = gva;
	vcpu->page->dirty |= VEE_STATE_CONTROL;
	vee_inject_exception_error(vcpu, VECTOR_PF, error);
	return GUEST_FAULTED;
}

/* SDM 3A, "Access Rights": of data, by the privilege level at hand. */
static bool allowed(const struct vee_vcpu *vcpu, const struct vee_translate *at,
		    unsigned int access)
{
	const struct vee_control *control = &vcpu->page->control;

	if (in_user_mode(vcpu))
		return at->user && at->access & access;
	if (at->user && control->cr4 & CR4_SMAP &&
	    !(vcpu->page->regs.rflags & RFLAGS_AC))
		return false;
	return at->access & access || !(control->cr0 & CR0_WP);
}

static bool paging_is_off(const struct vee_vcpu *vcpu)
{
	unsigned int known = vcpu->page->valid | vcpu->page->dirty;

	return known & VEE_STATE_CONTROL && !(vcpu->page->control.cr0 & CR0_PG);
}

/* To a guest-physical address: 0, GUEST_FAULTED, -errno. */
static int walk(struct vee_vcpu *vcpu, uint64_t gva, unsigned int access,
		uint64_t *gpa)
{
	struct vee_translate at;
	int err;

	if (paging_is_off(vcpu)) {
		*gpa = (uint32_t)gva;
		return 0;
	}
	err = vee_vcpu_sync(vcpu, VEE_STATE_REGS | VEE_STATE_SEGMENTS |
				  VEE_STATE_CONTROL);
	if (err)
		return err;
	err = vee_vcpu_translate(vcpu, gva, &at);
	if (err == -ENOENT)
		return inject_page_fault(vcpu, gva, access, false);
	if (err)
		return err;
	if (!allowed(vcpu, &at, access))
		return inject_page_fault(vcpu, gva, access, true);
	*gpa = at.gpa;
	return 0;
}

int guest_find(struct vee_vcpu *vcpu, uint64_t gva, unsigned int bytes,
	       unsigned int access, struct guest_span *span)
{
	span->count = 0;
	while (bytes) {
		struct guest_part *part = &span->part[span->count++];
		int err = walk(vcpu, gva, access, &part->gpa);

		if (err)
			return err;
		part->bytes = min_u64(bytes, PAGE_BYTES - (gva & PAGE_OFFSET));
		part->hva = vm_at_for(vcpu->vm, part->gpa, part->bytes, access);
		/* There is memory, but not for this. */
		if (!part->hva && vee_vm_at(vcpu->vm, part->gpa, 1))
			return -EFAULT;
		gva += part->bytes;
		bytes -= part->bytes;
	}
	return 0;
}

int guest_fault(struct vee_vcpu *vcpu, unsigned int vector)
{
	vee_inject_exception_error(vcpu, vector, 0);
	return GUEST_FAULTED;
}

static bool is_canonical(uint64_t gva)
{
	return (int64_t)(gva << 16) >> 16 == (int64_t)gva;
}

bool guest_is_canonical(uint64_t gva, uint64_t bytes)
{
	return is_canonical(gva) && is_canonical(gva + bytes - 1);
}

bool guest_is_memory(const struct guest_span *span)
{
	return span->part[0].hva && (span->count == 1 || span->part[1].hva);
}

void guest_copy_out(const struct guest_span *span, void *buf)
{
	memcpy(buf, span->part[0].hva, span->part[0].bytes);
	if (span->count == 2)
		memcpy((uint8_t *)buf + span->part[0].bytes, span->part[1].hva,
		       span->part[1].bytes);
}

void guest_copy_in(const struct guest_span *span, const void *buf)
{
	memcpy(span->part[0].hva, buf, span->part[0].bytes);
	if (span->count == 2)
		memcpy(span->part[1].hva,
		       (const uint8_t *)buf + span->part[0].bytes,
		       span->part[1].bytes);
}

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
