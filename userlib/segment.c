// SPDX-License-Identifier: LGPL-2.1-or-later
/* Segments: what the CPU checks before it looks for a page. */
#include "internal.h"

/* SDM 3A, "Code- and Data-Segment Descriptor Types". */
#define AR_WRITE	0x2U	/* of data */
#define AR_READ		0x2U	/* of code */
#define AR_DOWN		0x4U
#define AR_CODE		0x8U

struct vee_segment *guest_segment(const struct guest *guest, unsigned int segment)
{
	struct vee_segments *segments = &guest->vcpu->page->segments;
	struct vee_segment *by_number[SEG_COUNT] = {
		[SEG_ES] = &segments->es, [SEG_CS] = &segments->cs,
		[SEG_SS] = &segments->ss, [SEG_DS] = &segments->ds,
		[SEG_FS] = &segments->fs, [SEG_GS] = &segments->gs,
	};

	return by_number[segment];
}

uint64_t guest_base(const struct guest *guest, unsigned int segment)
{
	return guest_needs_base(guest, segment) ? guest_segment(guest, segment)->base : 0;
}

uint64_t guest_linear(const struct guest *guest, unsigned int segment, uint64_t offset)
{
	uint64_t gva = guest_base(guest, segment) + offset;

	return guest->mode == 8 ? gva : (uint32_t)gva;
}

/* SDM 3A, "Limit Checking": an expand-down segment has what is above its limit. */
static bool is_in_limit(const struct vee_segment *segment, uint64_t offset, uint64_t bytes)
{
	uint64_t last = offset + bytes - 1;

	if ((segment->access_rights & (AR_CODE | AR_DOWN)) != AR_DOWN)
		return last <= segment->limit;
	return offset > segment->limit &&
	       last <= (segment->access_rights & VEE_AR_DB ? UINT32_MAX : UINT16_MAX);
}

/* SDM 3A, "Type Checking". In real mode what a segment was loaded as doesn't matter. */
static bool type_allows(const struct guest *guest, const struct vee_segment *segment,
			unsigned int access)
{
	uint32_t type = segment->access_rights;

	if (!guest_is_protected(guest))
		return true;
	if (type & AR_CODE)
		return !(access & VEE_WRITE) && type & AR_READ;
	return !(access & VEE_WRITE) || type & AR_WRITE;
}

bool segment_reaches(const struct vee_segment *segment, uint64_t offset, uint64_t bytes)
{
	return !(segment->access_rights & VEE_AR_UNUSABLE) &&
	       is_in_limit(segment, offset, bytes);
}

bool guest_reaches(const struct guest *guest, unsigned int number, uint64_t offset,
		   uint64_t bytes)
{
	const struct vee_segment *segment = guest_segment(guest, number);

	if (guest->mode == 8)
		return guest_is_canonical(guest, guest_linear(guest, number, offset), bytes);
	return segment_reaches(segment, offset, bytes);
}

int guest_check_segment(const struct guest *guest, unsigned int number, uint64_t offset,
			uint64_t bytes, unsigned int access)
{
	if (guest_reaches(guest, number, offset, bytes) &&
	    (guest->mode == 8 || type_allows(guest, guest_segment(guest, number), access)))
		return 0;
	return guest_fault(guest, number == SEG_SS ? VECTOR_SS : VECTOR_GP, 0);
}
