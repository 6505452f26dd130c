// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Starting modes: states that pass SDM 3C, "Checks on the Guest State Area", and
 * that a program can begin in.
 */
#include "internal.h"

/* Access rights: present, DPL 0, accessed. */
#define AR_CODE		(0xb | VEE_AR_S | VEE_AR_PRESENT)
#define AR_DATA		(0x3 | VEE_AR_S | VEE_AR_PRESENT)
#define AR_BUSY_TSS	(0xb | VEE_AR_PRESENT)

#define TSS_LIMIT	0x67

static struct vee_segment segment(uint16_t selector, uint64_t base,
				  uint32_t limit, uint32_t access_rights)
{
	return (struct vee_segment) {
		.base = base,
		.limit = limit,
		.access_rights = access_rights,
		.selector = selector,
	};
}

static void set_data_segments(struct vee_segments *segments,
			      struct vee_segment data)
{
	segments->es = data;
	segments->ss = data;
	segments->ds = data;
	segments->fs = data;
	segments->gs = data;
}

/*
 * TR must always be usable and, outside IA-32e mode too, may be a busy 32-bit
 * TSS, which type 11 says in either mode.
 */
static void set_system_segments(struct vee_segments *segments)
{
	segments->ldtr = segment(0, 0, 0, VEE_AR_UNUSABLE);
	segments->tr = segment(0, 0, TSS_LIMIT, AR_BUSY_TSS);
}

static void set_regs(struct vee_vcpu *vcpu, uint64_t rip)
{
	struct vee_regs *regs = &vcpu->page->regs;

	memset(regs, 0, sizeof(*regs));
	regs->rip = rip;
	regs->rflags = RFLAGS_1;
}

/* XCR0 and the task priority have no part in a mode: they stay. */
static void set_control(struct vee_vcpu *vcpu, uint64_t cr0, uint64_t cr3,
			uint64_t cr4, uint64_t efer)
{
	struct vee_control *control = &vcpu->page->control;

	if (vee_vcpu_sync(vcpu, VEE_STATE_CONTROL))
		memset(control, 0, sizeof(*control));
	control->cr0 = cr0;
	control->cr2 = 0;
	control->cr3 = cr3;
	control->cr4 = cr4;
	control->efer = efer;
	control->xcr0 |= 1;	/* x87, the one that can't be off */
}

static void mark_dirty(struct vee_vcpu *vcpu)
{
	vcpu->page->dirty |= VEE_STATE_REGS | VEE_STATE_SEGMENTS |
			     VEE_STATE_CONTROL;
	vcpu->page->resume = VEE_RESUME_HERE;
}

void vee_vcpu_set_real_mode(struct vee_vcpu *vcpu, uint16_t selector, uint16_t ip)
{
	struct vee_segments *segments = &vcpu->page->segments;
	uint64_t base = (uint64_t)selector << 4;

	memset(segments, 0, sizeof(*segments));
	segments->cs = segment(selector, base, 0xffff, AR_CODE);
	set_data_segments(segments, segment(selector, base, 0xffff, AR_DATA));
	set_system_segments(segments);
	segments->gdtr.limit = 0xffff;
	segments->idtr.limit = 0x3ff;	/* 256 vectors of 4 bytes */
	set_regs(vcpu, ip);
	set_control(vcpu, CR0_ET, 0, 0, 0);
	mark_dirty(vcpu);
}

void set_flat_segments(struct vee_vcpu *vcpu, uint16_t cs, uint16_t ds,
		       unsigned int code_bits)
{
	struct vee_segments *segments = &vcpu->page->segments;
	uint32_t code = AR_CODE | VEE_AR_G;

	code |= code_bits == 64 ? VEE_AR_L : VEE_AR_DB;
	memset(segments, 0, sizeof(*segments));
	segments->cs = segment(cs, 0, UINT32_MAX, code);
	set_data_segments(segments, segment(ds, 0, UINT32_MAX,
					    AR_DATA | VEE_AR_DB | VEE_AR_G));
	set_system_segments(segments);
	vcpu->page->dirty |= VEE_STATE_SEGMENTS;
}

void vee_vcpu_set_protected_mode(struct vee_vcpu *vcpu, uint32_t eip)
{
	set_flat_segments(vcpu, 8, 16, 32);
	set_regs(vcpu, eip);
	set_control(vcpu, CR0_PE | CR0_ET | CR0_NE, 0, 0, 0);
	mark_dirty(vcpu);
}

void vee_vcpu_set_long_mode(struct vee_vcpu *vcpu, uint64_t cr3, uint64_t rip)
{
	set_flat_segments(vcpu, 8, 16, 64);
	set_regs(vcpu, rip);
	set_control(vcpu, CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG, cr3,
		    CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, EFER_LME | EFER_LMA);
	mark_dirty(vcpu);
}
