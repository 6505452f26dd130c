// SPDX-License-Identifier: LGPL-2.1-or-later
/* Starting modes against SDM 3C, "Checks on the Guest State Area". */
#include "test.h"

static bool limit_fits(const struct vee_segment *segment)
{
	bool granular = segment->access_rights & VEE_AR_G;

	if ((segment->limit & 0xfff) != 0xfff && granular)
		return false;
	return !(segment->limit >> 20) || granular;
}

static void check_data(const struct vee_segment *segment)
{
	unsigned int ar = segment->access_rights;

	CHECK_EQUAL(ar & VEE_AR_TYPE, 3);
	CHECK(ar & VEE_AR_S);
	CHECK(ar & VEE_AR_PRESENT);
	CHECK_EQUAL(ar & VEE_AR_DPL, 0);
	CHECK(!(ar & ~0xf0ffU));
	CHECK(limit_fits(segment));
}

/* "Checks on Guest Segment Registers", for guests outside virtual-8086 mode. */
static void check_segments(const struct vee_segments *segments)
{
	unsigned int cs = segments->cs.access_rights;

	CHECK_EQUAL(cs & VEE_AR_TYPE, 0xb);
	CHECK(cs & VEE_AR_S && cs & VEE_AR_PRESENT);
	CHECK(!(cs & VEE_AR_L && cs & VEE_AR_DB));
	CHECK(!(cs & 0xfffe0f00U));
	CHECK(limit_fits(&segments->cs));
	check_data(&segments->es);
	check_data(&segments->ss);
	check_data(&segments->ds);
	check_data(&segments->fs);
	check_data(&segments->gs);
	CHECK_EQUAL(segments->tr.access_rights, 0x8b);
	CHECK(!(segments->tr.selector & 4));
	CHECK(limit_fits(&segments->tr));
	CHECK_EQUAL(segments->ldtr.access_rights, VEE_AR_UNUSABLE);
	CHECK(segments->gdtr.limit <= 0xffff && segments->idtr.limit <= 0xffff);
}

static void check_common(const struct vee_vcpu_page *page)
{
	CHECK_EQUAL(page->regs.rflags, RFLAGS_1);
	CHECK_EQUAL(page->control.xcr0 & 1, 1);
	CHECK_EQUAL(page->dirty, VEE_STATE_REGS | VEE_STATE_SEGMENTS |
				 VEE_STATE_CONTROL);
	check_segments(&page->segments);
}

static void real_mode(void)
{
	struct vee_vcpu_page *page;
	struct rig rig;

	rig_begin(&rig);
	page = rig.vcpu->page;
	page->regs.rbx = 1;
	vee_vcpu_set_real_mode(rig.vcpu, 0x1234, 0x5678);
	check_common(page);
	CHECK_EQUAL(page->regs.rip, 0x5678);
	CHECK_EQUAL(page->regs.rbx, 0);
	CHECK_EQUAL(page->segments.cs.base, 0x12340);
	CHECK_EQUAL(page->segments.gs.base, 0x12340);
	CHECK_EQUAL(page->segments.ss.limit, 0xffff);
	CHECK_EQUAL(page->control.cr0 & (CR0_PE | CR0_PG), 0);
	CHECK_EQUAL(page->control.efer, 0);
	rig_end(&rig);
}

/* Where the kernel can't say what they are XCR0 and CR8 are as after power-on. */
static void without_control(void)
{
	struct vee_control *control;
	struct rig rig;

	rig_begin(&rig);
	control = &rig.vcpu->page->control;
	control->xcr0 = 7;
	control->cr8 = 9;
	vee_vcpu_set_real_mode(rig.vcpu, 0, 0x100);
	CHECK_EQUAL(control->xcr0, 7);
	CHECK_EQUAL(control->cr8, 9);
	rig.vcpu->page->valid = 0;
	rig.vcpu->page->dirty = 0;
	fake.request_error = -EIO;
	fake.fail_request = 1;
	vee_vcpu_set_real_mode(rig.vcpu, 0, 0x100);
	CHECK_EQUAL(fake.fail_request, 0);
	CHECK_EQUAL(control->xcr0, 1);
	CHECK_EQUAL(control->cr8, 0);
	rig_end(&rig);
}

/* Where the CPU at hand has it (SDM 1, "Standard Format of XSAVE Area"). */
static void where_states_are(void)
{
	struct rig rig;

	CHECK_EQUAL(__real_xsave_offset(2), __builtin_cpu_supports("avx") ? XSAVE_YMM : 0);
	CHECK_EQUAL(__real_xsave_offset(62), 0);
	rig_begin(&rig);
	CHECK_EQUAL(vee_vcpu_get_xsave(rig.vcpu, NULL, 1ULL << 32), -EINVAL);
	CHECK_EQUAL(vee_vcpu_set_xsave(rig.vcpu, NULL, ~0ULL), -EINVAL);
	rig_end(&rig);
}

static void counters(void)
{
	struct vee_stats stats;
	struct rig rig;

	rig_begin(&rig);
	memset(&stats, 0xee, sizeof(stats));
	CHECK_EQUAL(vee_vcpu_run(rig.vcpu), 0);
	CHECK_EQUAL(vee_vcpu_stats(rig.vcpu, &stats), 0);
	CHECK_EQUAL(stats.entries, 1);
	CHECK_EQUAL(stats.exits[0], 0);
	fake.error = -ENOTTY;
	CHECK_EQUAL(vee_vcpu_stats(rig.vcpu, &stats), -ENOTTY);
	rig_end(&rig);
}

static void protected_mode(void)
{
	struct vee_vcpu_page *page;
	struct rig rig;

	rig_begin(&rig);
	page = rig.vcpu->page;
	page->control.cr8 = 3;
	vee_vcpu_set_protected_mode(rig.vcpu, 0x100000);
	check_common(page);
	CHECK_EQUAL(page->regs.rip, 0x100000);
	CHECK_EQUAL(page->segments.cs.limit, UINT32_MAX);
	CHECK(page->segments.cs.access_rights & VEE_AR_DB);
	CHECK_EQUAL(page->control.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	CHECK_EQUAL(page->control.cr8, 3);
	rig_end(&rig);
}

static void long_mode(void)
{
	struct vee_control *control;
	struct rig rig;

	rig_begin(&rig);
	control = &rig.vcpu->page->control;
	rig.vcpu->page->valid = 0;
	vee_vcpu_set_long_mode(rig.vcpu, 0x2000, 0xffffffff80000000);
	check_common(rig.vcpu->page);
	CHECK_EQUAL(fake.syncs, 1);
	CHECK(rig.vcpu->page->segments.cs.access_rights & VEE_AR_L);
	CHECK_EQUAL(control->cr3, 0x2000);
	CHECK((control->cr0 & (CR0_PE | CR0_PG)) == (CR0_PE | CR0_PG));
	CHECK(control->cr4 & CR4_PAE);
	CHECK_EQUAL(control->efer, EFER_LME | EFER_LMA);
	rig_end(&rig);
}

/* As the CPU walks: the physical address, or UINT64_MAX. */
static uint64_t walk(struct vee_vm *vm, uint64_t cr3, uint64_t gva)
{
	uint64_t table = cr3, entry = 0;

	for (int shift = 39; shift >= 21; shift -= 9) {
		uint64_t at = table + (gva >> shift & 511) * 8;

		if (vee_vm_read(vm, at, &entry, sizeof(entry)) || !(entry & 1))
			return UINT64_MAX;
		table = entry & 0xffffffffff000ULL;
	}
	if (!(entry & 0x80) || entry & 0x1fe000)
		return UINT64_MAX;
	return table + (gva & 0x1fffff);
}

static void identity_map(void)
{
	struct rig rig;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x10000, 0x10000, NULL), 0);
	CHECK_EQUAL(vee_vm_identity_map(rig.vm, 0x10000, 4 * GIB), 6 * PAGE_BYTES);
	for (uint64_t gva = 0; gva < 4 * GIB; gva += 0x1fffff)
		CHECK_EQUAL(walk(rig.vm, 0x10000, gva), gva);
	CHECK_EQUAL(walk(rig.vm, 0x10000, 4 * GIB), UINT64_MAX);
	CHECK_EQUAL(vee_vm_identity_map(rig.vm, 0x10000, 1), 3 * PAGE_BYTES);
	CHECK_EQUAL(walk(rig.vm, 0x10000, 0x1fffff), 0x1fffff);
	CHECK_EQUAL(walk(rig.vm, 0x10000, 0x200000), UINT64_MAX);
	CHECK_EQUAL(vee_vm_identity_map(rig.vm, 0x10001, GIB), -EINVAL);
	CHECK_EQUAL(vee_vm_identity_map(rig.vm, 0x10000, 0), -EINVAL);
	CHECK_EQUAL(vee_vm_identity_map(rig.vm, 0x10000, 513 * GIB), -EINVAL);
	CHECK_EQUAL(vee_vm_identity_map(rig.vm, 0x10000, UINT64_MAX), -EINVAL);
	CHECK_EQUAL(vee_vm_identity_map(rig.vm, 0x1f000, GIB), -EFAULT);
	rig_end(&rig);
}

static struct rig allocating;

static int map_identity(void)
{
	return vee_vm_identity_map(allocating.vm, 0, GIB);
}

static void identity_map_can_fail(void)
{
	uint64_t *tables;

	rig_begin(&allocating);
	CHECK_EQUAL(vee_vm_alloc(allocating.vm, 0, 0x3000, (void **)&tables), 0);
	fake.fail_allocation = 1;
	CHECK_EQUAL(map_identity(), -ENOMEM);
	CHECK_EQUAL(tables[0], 0);
	CHECK_EQUAL(fail_each_allocation(map_identity), 1);
	rig_end(&allocating);
}

static void answers(void)
{
	struct vee_regs *regs;
	struct rig rig;

	rig_begin(&rig);
	regs = &rig.vcpu->page->regs;
	regs->rax = 0x1122334455667788;
	rig.vcpu->page->exit.pio.width = 1;
	vee_done_in(rig.vcpu, 0xffffffaa);
	CHECK_EQUAL(regs->rax, 0x11223344556677aa);
	rig.vcpu->page->exit.pio.width = 2;
	vee_done_in(rig.vcpu, 0xffffbbcc);
	CHECK_EQUAL(regs->rax, 0x112233445566bbcc);
	rig.vcpu->page->exit.pio.width = 4;
	vee_done_in(rig.vcpu, 0xddeeff00);
	CHECK_EQUAL(regs->rax, 0xddeeff00);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_NEXT);
	vee_done_rdmsr(rig.vcpu, 0x1234567890abcdef);
	CHECK(regs->rax == 0x90abcdef && regs->rdx == 0x12345678);
	vee_done_cpuid(rig.vcpu, 1, 2, 3, 4);
	CHECK(regs->rax == 1 && regs->rbx == 2 && regs->rcx == 3 && regs->rdx == 4);
	rig_end(&rig);
}

static void events(void)
{
	struct vee_vcpu_page *page;
	struct rig rig;

	rig_begin(&rig);
	page = rig.vcpu->page;
	vee_inject_interrupt(rig.vcpu, 0x30);
	CHECK(page->inject.vector == 0x30 && page->inject.type == 0);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	vee_inject_nmi(rig.vcpu);
	CHECK(page->inject.vector == 2 && page->inject.type == VEE_EVENT_NMI);
	vee_vcpu_set_protected_mode(rig.vcpu, 0);
	vee_inject_exception_error(rig.vcpu, 13, 0x18);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE);
	CHECK_EQUAL(page->inject.error_code, 0x18);
	vee_inject_exception(rig.vcpu, 6);
	CHECK_EQUAL(page->inject.error_code, 0);
	vee_vcpu_set_real_mode(rig.vcpu, 0, 0);
	vee_inject_exception_error(rig.vcpu, 13, 0x18);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	CHECK_EQUAL(page->inject.error_code, 0);
	vee_vcpu_kick(rig.vcpu, 42);
	CHECK(fake.kick.generation == 42 && fake.kick.size == sizeof(fake.kick));
	CHECK_EQUAL(vee_vcpu_inject(rig.vcpu, VEE_EVENT_INTERRUPT, 0x31), 0);
	CHECK_EQUAL(fake.inject.size, sizeof(fake.inject));
	CHECK_EQUAL(fake.inject.event.vector, 0x31);
	CHECK_EQUAL(fake.inject.event.flags, VEE_EVENT_VALID);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "real mode", real_mode },
	{ "what can't be asked for", without_control },
	{ "where states are in an XSAVE area", where_states_are },
	{ "counters", counters },
	{ "protected mode", protected_mode },
	{ "long mode", long_mode },
	{ "identity map", identity_map },
	{ "identity map without memory", identity_map_can_fail },
	{ "answers to exits", answers },
	{ "events and kicks", events },
	{ 0 }
};
