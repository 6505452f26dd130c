// SPDX-License-Identifier: GPL-2.0-only
/*
 * All state of a vCPU at once (VEE_VCPU_SAVE, VEE_VCPU_LOAD): each bit comes back, in the
 * middle of whatever the guest is about; a load is all or nothing; and no state of a
 * hostile caller's does harm.
 */
#include <stddef.h>

#include "vee_util.h"

#define AREA_BYTES	0x4000ULL
#define XCR0_AVX	BIT_ULL(2)
#define XSTATE_BV	512	/* in an XSAVE area: SDM 1, "XSAVE Header" */
#define EXTENDED	576

#define VECTOR		0x41
#define OTHER_VECTOR	0x52
#define PORT		0x80

#define OTHERS		(VEE_STATE_XSAVE | VEE_STATE_CPUID | VEE_STATE_WISHES)
#define ALL		(VEE_STATE_ALL | OTHERS)

#define REFUSED(member) \
	(VEE_REFUSED_STATE + offsetof(struct vee_vcpu_state, member))
#define IN_PAGE(member)	offsetof(struct vee_vcpu_page, member)
#define IN_STATE(member) offsetof(struct vee_vcpu_state, member)

#define VMCS_DEBUGCTL	0x2802
#define VMCS_PDPTE0	0x280a
#define DEBUGCTL_BTF	0x2

GUEST_CODE(halt, 64, "nop; hlt; nop; hlt");
GUEST_CODE(spin, 64, SPIN);

static __u32 xsave_bytes;	/* vee_info.xsave_bytes */

/* All of it: what the struct says, and what it points to. */
struct saved {
	struct vee_vcpu_state state;
	struct vee_cpuid_entry cpuid[VEE_MAX_CPUID];
	__u8 area[AREA_BYTES];
};

FIXTURE(save) {
	struct guest g;
	struct guest other;
	struct vee_info info;
	struct saved *one;
	struct saved *two;
};

FIXTURE_VARIANT(save) {
	__u32 flags;
	__u32 all;
};

FIXTURE_VARIANT_ADD(save, plain) {
	.all = ALL,
};

FIXTURE_VARIANT_ADD(save, apic) {
	.flags = VEE_VM_LOCAL_APIC,
	.all = ALL | VEE_STATE_APIC,
};

FIXTURE_SETUP(save)
{
	guest_open_with(_metadata, &self->g, variant->flags);
	guest_open_with(_metadata, &self->other, variant->flags);
	self->info = vee_info(self->g.dev);
	ASSERT_GE(AREA_BYTES, self->info.xsave_bytes);
	xsave_bytes = self->info.xsave_bytes;
	self->one = anon_memory(sizeof(*self->one));
	self->two = anon_memory(sizeof(*self->two));
	ASSERT_NE(MAP_FAILED, self->one);
	ASSERT_NE(MAP_FAILED, self->two);
	GUEST_LONG(&self->g, halt);
	GUEST_LONG(&self->other, halt);
}

FIXTURE_TEARDOWN(save)
{
	guest_close(&self->g);
	guest_close(&self->other);
	munmap(self->one, sizeof(*self->one));
	munmap(self->two, sizeof(*self->two));
	guest_unblock_nmis(_metadata);
}

static void point(struct saved *saved)
{
	saved->state.size = sizeof(saved->state);
	saved->state.xsave = (unsigned long)saved->area;
	saved->state.xsave_bytes = xsave_bytes;
	saved->state.cpuid = (unsigned long)saved->cpuid;
}

static int save_but(struct guest *g, struct saved *saved, __u32 skip)
{
	memset(&saved->state, 0, sizeof(saved->state));
	if (!(skip & VEE_STATE_CPUID))
		memset(saved->cpuid, 0, sizeof(saved->cpuid));
	point(saved);
	saved->state.cpuid_count = VEE_MAX_CPUID;
	saved->state.skip = skip;
	return vee_call(g->vcpu, VEE_VCPU_SAVE, &saved->state);
}

static int save(struct guest *g, struct saved *saved)
{
	return save_but(g, saved, 0);
}

static int load(struct guest *g, struct saved *saved)
{
	point(saved);
	return vee_call(g->vcpu, VEE_VCPU_LOAD, &saved->state);
}

/* The other guest goes on with this one's memory. */
static void copy_memory(struct guest *to, const struct guest *from)
{
	memcpy(to->mem, from->mem, GUEST_BYTES);
}

/* NULL: the same, but for what time changes. */
static const char *differ(const struct saved *a, const struct saved *b)
{
	static char text[64];
	struct vee_vcpu_state x = a->state, y = b->state;
	const __u8 *p = (void *)&x, *q = (void *)&y;
	unsigned int i;

	x.tsc = y.tsc;
	x.xsave = y.xsave;
	x.cpuid = y.cpuid;
	x.apic.current_count = y.apic.current_count;
	for (i = 0; i < sizeof(x) && memcmp(&x, &y, sizeof(x)); i++) {
		if (p[i] == q[i])
			continue;
		snprintf(text, sizeof(text), "at %u: %#x, %#x", i, p[i], q[i]);
		return text;
	}
	if (!(x.skip & VEE_STATE_CPUID) && memcmp(a->cpuid, b->cpuid, sizeof(a->cpuid)))
		return "CPUID";
	if (!(x.skip & VEE_STATE_XSAVE) && memcmp(a->area, b->area, xsave_bytes))
		return "XSAVE area";
	return NULL;
}

#define ASSERT_SAVE(g, saved)	ASSERT_EQ(0, save(g, saved))
#define ASSERT_LOAD(g, saved)						\
	do {								\
		struct guest *load_g = (g);				\
									\
		ASSERT_EQ(0, load(load_g, saved))			\
			TH_LOG("refused %u", load_g->page->refused);	\
	} while (0)

/* The guest's state is in the other VM, and its memory. */
#define ASSERT_MOVED(self)						\
	do {								\
		ASSERT_SAVE(&(self)->g, (self)->one);			\
		copy_memory(&(self)->other, &(self)->g);		\
		ASSERT_LOAD(&(self)->other, (self)->one);		\
	} while (0)

/* --- each bit ---------------------------------------------------------------- */

/* Bits that are not what they were set to, by the CPU's own rules or by vee's. */
static const struct {
	size_t offset;
	size_t bytes;
	__u64 fixed;
} fixed[] = {
	{ IN_STATE(regs.rflags), 8, X86_EFLAGS_FIXED },
	{ IN_STATE(control.cr0), 8, X86_CR0_ET },
	{ IN_STATE(debug.dr6), 8, 0xffff0ff0 },
	{ IN_STATE(debug.dr7), 8, 0x400 },
	/* CR8, and the other way; the mode, from which LDR follows. */
	{ IN_STATE(apic.tpr), 1, 0xf0 },
	{ IN_STATE(apic.base), 8, APIC_X2APIC },
};

/* Not the guest's: what the request is about. What time changes; PDPTEs have a test. */
static bool is_frame(size_t offset)
{
	return offset < IN_STATE(debugctl) ||
	       (offset >= IN_STATE(pdpte) && offset < IN_STATE(sent_interrupt)) ||
	       (offset >= IN_STATE(apic.current_count) && offset < IN_STATE(apic.divide)) ||
	       (offset >= IN_STATE(apic.tsc_deadline) && offset < IN_STATE(apic.icr));
}

static bool is_padding(size_t offset)
{
	size_t i;

	for (i = IN_STATE(segments); i < IN_STATE(segments.gdtr); i += sizeof(struct vee_segment))
		if (offset >= i + offsetof(struct vee_segment, reserved) &&
		    offset < i + sizeof(struct vee_segment))
			return true;
	return (offset >= IN_STATE(segments.gdtr.reserved) &&
		offset < IN_STATE(segments.idtr)) ||
	       (offset >= IN_STATE(segments.idtr.reserved) && offset < IN_STATE(control));
}

/* A segment's access rights: bits that a CPU need not keep (SDM 3C, "Guest Register State"). */
static bool is_reserved(size_t offset, __u8 mask)
{
	size_t in = (offset - IN_STATE(segments)) % sizeof(struct vee_segment);

	if (offset < IN_STATE(segments) || offset >= IN_STATE(segments.gdtr))
		return false;
	in -= offsetof(struct vee_segment, access_rights);
	return (in == 1 && mask & 0x0f) || (in == 2 && mask & 0xfe) || in == 3;
}

static bool is_fixed(size_t offset, __u8 mask)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fixed); i++)
		if (offset >= fixed[i].offset && offset < fixed[i].offset + fixed[i].bytes &&
		    fixed[i].fixed >> 8 * (offset - fixed[i].offset) & mask)
			return true;
	return is_padding(offset) || is_reserved(offset, mask);
}

/*
 * Either the bit comes back, and nothing else has changed; or it was refused, and all
 * is as it was.
 */
static bool bit_comes_back(struct guest *g, struct saved *state, struct saved *found,
			   size_t offset, __u8 mask)
{
	__u8 *byte = (__u8 *)&state->state + offset;
	const char *difference;
	int ret;

	*byte ^= mask;
	ret = load(g, state);
	if (ret)
		*byte ^= mask;
	if (save_but(g, found, state->state.skip))
		return false;
	difference = differ(state, found);
	if (!ret) {
		*byte ^= mask;
		ret = load(g, state);
	}
	if (ret && ret != -EINVAL)
		return false;
	return !difference || is_fixed(offset, mask);
}

TEST_F(save, each_bit)
{
	__u32 skip = VEE_STATE_XSAVE | VEE_STATE_CPUID;
	size_t offset = variant->flags ? IN_STATE(apic) : 0;
	size_t end = variant->flags ? sizeof(struct vee_vcpu_state) : IN_STATE(apic);
	unsigned int bit, came = 0;

	ASSERT_EQ(0, save_but(&self->g, self->one, skip));
	for (; offset < end; offset++) {
		for (bit = 0; bit < 8 && !is_frame(offset); bit++) {
			EXPECT_TRUE(bit_comes_back(&self->other, self->one, self->two, offset,
						   1U << bit))
				TH_LOG("byte %zu, bit %u: %s", offset, bit,
				       differ(self->one, self->two));
			came++;
		}
	}
	EXPECT_EQ(variant->flags ? 1440 : 5184, came);
	ASSERT_LOAD(&self->other, self->one);
	ASSERT_RUN(&self->other, VEE_EXIT_HLT);
}

/* All of the answers and all of the area, of which nothing is as it is at first. */
TEST_F(save, buffers)
{
	__u64 *bv = (void *)self->one->area + XSTATE_BV;
	unsigned int i;

	ASSERT_SAVE(&self->g, self->one);
	for (i = 0; i < self->one->state.cpuid_count; i++)
		self->one->cpuid[i].ebx ^= 0x01000000;
	for (i = 32; i < 416; i++)
		self->one->area[i] = (i & 15) < 10 || i >= 160 ? i * 7 : 0;
	for (i = EXTENDED; i < self->info.xsave_bytes; i++)
		self->one->area[i] = i * 11 + (i >> 8);
	*bv = self->info.xcr0;
	ASSERT_LOAD(&self->other, self->one);
	ASSERT_SAVE(&self->other, self->two);
	EXPECT_EQ(NULL, differ(self->one, self->two)) TH_LOG("%s", differ(self->one, self->two));
}

GUEST_CODE(vectors, 64,
	   "mov %cr4, %rax; or $0x40000, %eax; mov %rax, %cr4;"
	   "xor %ecx, %ecx; xor %edx, %edx; mov %ebx, %eax; xsetbv;"
	   "mov $0x5555555555555555, %rax; vmovq %rax, %xmm9; vinsertf128 $1, %xmm9, %ymm9, %ymm9;"
	   "fninit; fldpi; fldl2e; hlt;"
	   "vextractf128 $1, %ymm9, %xmm8; vmovq %xmm8, %rbx; fsubrp; fstpl 0x20000; hlt");

/* As a guest has it in its registers. */
TEST_F(save, registers_in_use)
{
	__u64 there;

	if (!(self->info.xcr0 & XCR0_AVX))
		VEE_SKIP("no AVX here");
	GUEST_LONG(&self->g, vectors);
	self->g.page->regs.rbx = 7;
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	guest_resume_next(&self->g);
	ASSERT_MOVED(self);
	ASSERT_RUN(&self->other, VEE_EXIT_HLT);
	EXPECT_EQ(0x5555555555555555ULL, self->other.page->regs.rbx);
	there = guest_read64(&self->other, GPA_DATA);
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(0x5555555555555555ULL, self->g.page->regs.rbx);
	EXPECT_EQ(guest_read64(&self->g, GPA_DATA), there);
	EXPECT_NE(0, there);
}

/* --- in the middle of something ---------------------------------------------- */

GUEST_LABEL(out_done);
GUEST_CODE(out, 64, "out %al, $0x80; out_done: hlt");

/* What the page asks the next run for is in it, and can't be asked for twice. */
TEST_F(save, instruction_done)
{
	GUEST_LONG(&self->g, out);
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	self->g.page->regs.rdi = 5;
	guest_resume_next(&self->g);
	ASSERT_MOVED(self);
	EXPECT_EQ(VEE_RESUME_HERE, self->g.page->resume);
	guest_resume_next(&self->g);
	EXPECT_EQ(-EINVAL, guest_run(&self->g));
	self->g.page->resume = VEE_RESUME_HERE;
	ASSERT_HLT(&self->g, AT(out, out_done));
	ASSERT_HLT(&self->other, AT(out, out_done));
	EXPECT_EQ(5, self->other.page->regs.rdi);
}

/* Nothing of it is done: the copy does it again. */
TEST_F(save, instruction_not_done)
{
	GUEST_LONG(&self->g, out);
	ASSERT_RUN(&self->g, VEE_EXIT_PIO);
	ASSERT_MOVED(self);
	ASSERT_RUN(&self->other, VEE_EXIT_PIO);
	EXPECT_EQ(PORT, self->other.page->exit.pio.port);
	/* Saving is not in the way of doing it. */
	guest_resume_next(&self->g);
	ASSERT_HLT(&self->g, AT(out, out_done));
}

TEST_F(save, dirty_groups)
{
	self->g.page->msrs.star = 0x1234;
	self->g.page->dirty |= VEE_STATE_MSRS;
	ASSERT_MOVED(self);
	EXPECT_EQ(0, self->g.page->dirty);
	EXPECT_EQ(0x1234, self->one->state.msrs.star);
	ASSERT_EQ(0, vcpu_sync(self->other.vcpu, VEE_STATE_MSRS));
	EXPECT_EQ(0x1234, self->other.page->msrs.star);
	ASSERT_RUN_AT(&self->other, VEE_EXIT_HLT, GPA_CODE + 1);
}

/* ... and what it asks for that can't be is refused as by a run. */
TEST_F(save, dirty_refused)
{
	self->g.page->control.cr8 = 16;
	self->g.page->dirty |= VEE_STATE_CONTROL;
	EXPECT_EQ(-EINVAL, save(&self->g, self->one));
	EXPECT_EQ(IN_PAGE(control.cr8), self->g.page->refused);
	self->g.page->control.cr8 = 0;
	EXPECT_EQ(0, save(&self->g, self->one));
}

/* An exception that has been injected and not delivered; once, in each of them. */
TEST_F(save, exception)
{
	guest_inject_error(&self->g, VECTOR_GP, 0x58);
	ASSERT_MOVED(self);
	EXPECT_EQ(0, self->g.page->inject.flags);
	ASSERT_VECTOR(&self->other, VECTOR_GP);
	EXPECT_EQ(0x58, guest_read64(&self->other, self->other.page->regs.rsp));
	ASSERT_VECTOR(&self->g, VECTOR_GP);
}

GUEST_LABEL(opened);
GUEST_CODE(open_later, 64, "hlt; sti; nop; opened: nop; hlt");

/* Two interrupts and an NMI that wait, one place behind the other. */
TEST_F(save, interrupts)
{
	struct guest *other = &self->other;

	GUEST_LONG(&self->g, open_later);
	guest_inject(&self->g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(0, vcpu_inject(self->g.vcpu, VEE_EVENT_INTERRUPT, OTHER_VECTOR));
	guest_resume_next(&self->g);
	ASSERT_MOVED(self);
	EXPECT_EQ(VECTOR, self->one->state.events.interrupt.vector);
	EXPECT_EQ(OTHER_VECTOR, self->one->state.sent_interrupt.vector);
	ASSERT_VECTOR(other, VECTOR);
	EXPECT_EQ(AT(open_later, opened), guest_read64(other, other->page->regs.rsp));
	guest_resume_next(other);
	ASSERT_VECTOR(other, OTHER_VECTOR);
	guest_resume_next(other);
	ASSERT_RUN(other, VEE_EXIT_HLT);
	/* What was on its way before a load is gone. */
	EXPECT_EQ(0, vcpu_inject(other->vcpu, VEE_EVENT_NMI, VECTOR_NMI));
	ASSERT_SAVE(other, self->two);
	EXPECT_EQ(VEE_EVENT_VALID, self->two->state.sent_nmi.flags);
	ASSERT_LOAD(other, self->one);
	ASSERT_VECTOR(other, VECTOR);
}

/* In the shadow of STI the interrupt waits for one more instruction. */
TEST_F(save, shadow)
{
	struct guest *g = &self->g;

	guest_set_rip(g, GPA_CODE);
	g->page->regs.rflags |= X86_EFLAGS_IF;
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
	g->page->events.interruptibility = VEE_BLOCKING_BY_STI;
	g->page->dirty |= VEE_STATE_EVENTS;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_MOVED(self);
	EXPECT_EQ(VEE_BLOCKING_BY_STI, self->one->state.events.interruptibility);
	ASSERT_VECTOR(&self->other, VECTOR);
	EXPECT_EQ(GPA_CODE + 1, guest_read64(&self->other, self->other.page->regs.rsp));
}

/* In HLT: it sleeps on, and an interrupt wakes it. */
TEST_F(save, halted)
{
	struct guest *other = &self->other;

	self->g.page->options = VEE_OPTION_HLT_SLEEPS;
	self->g.page->regs.rflags |= X86_EFLAGS_IF;
	self->g.page->deadline_ns = 3 * MS_NS;
	/* However long its first instruction takes. */
	do {
		ASSERT_RUN(&self->g, VEE_EXIT_DEADLINE);
	} while (self->g.page->regs.rip != GPA_CODE + 2);
	ASSERT_MOVED(self);
	EXPECT_EQ(VEE_ACTIVITY_HLT, self->one->state.events.activity);
	EXPECT_EQ(VEE_OPTION_HLT_SLEEPS, other->page->options);
	ASSERT_RUN_AT(other, VEE_EXIT_DEADLINE, GPA_CODE + 2);
	EXPECT_EQ(0, vcpu_inject(other->vcpu, VEE_EVENT_INTERRUPT, VECTOR));
	other->page->deadline_ns = DEADLINE_NS;
	ASSERT_VECTOR(other, VECTOR);
}

/* PDPTEs are registers: whatever is in memory by now. */
TEST_F(save, pdptes)
{
	__u64 value;

	guest_set_protected(&self->g);
	guest_write64(&self->g, GPA_PDPT, GPA_PD | PTE_P);
	guest_write64(&self->g, GPA_PDPT + 8, 0);
	guest_write64(&self->g, GPA_PDPT + 16, 0);
	guest_write64(&self->g, GPA_PDPT + 24, 0);
	guest_set_control(&self->g, X86_CR0_PG | X86_CR0_PE | X86_CR0_ET, GPA_PDPT, X86_CR4_PAE, 0);
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	guest_write64(&self->g, GPA_PDPT, ~0ULL);
	ASSERT_MOVED(self);
	EXPECT_EQ(GPA_PD | PTE_P, self->one->state.pdpte[0]);
	ASSERT_EQ(0, vmcs_read(self->other.vcpu, VMCS_PDPTE0, &value));
	EXPECT_EQ(GPA_PD | PTE_P, value);
	ASSERT_RUN(&self->other, VEE_EXIT_HLT);
}

TEST_F(save, debugctl)
{
	__u64 value;

	ASSERT_EQ(0, vmcs_write(self->g.vcpu, VMCS_DEBUGCTL, DEBUGCTL_BTF));
	ASSERT_MOVED(self);
	ASSERT_EQ(0, vmcs_read(self->other.vcpu, VMCS_DEBUGCTL, &value));
	EXPECT_EQ(DEBUGCTL_BTF, value);
	self->one->state.debugctl = 1;
	EXPECT_EQ(-EINVAL, load(&self->other, self->one));
	EXPECT_EQ(REFUSED(debugctl), self->other.page->refused);
}

GUEST_CODE(read_tsc, 64, "rdtsc; hlt");

static __u64 tsc_of(struct __test_metadata *_metadata, struct guest *g)
{
	ASSERT_RUN(g, VEE_EXIT_HLT);
	return (__u32)g->page->regs.rax | g->page->regs.rdx << 32;
}

/* With the host's, or as if no time had gone by. */
TEST_F(save, tsc)
{
	__u64 host, before, after;

	GUEST_LONG(&self->g, read_tsc);
	ASSERT_EQ(0, vcpu_sync(self->g.vcpu, VEE_STATE_MSRS));
	self->g.page->msrs.tsc_offset = 1000000000000ULL;
	self->g.page->dirty |= VEE_STATE_MSRS;
	before = host_tsc();
	ASSERT_MOVED(self);
	EXPECT_LT(before + 1000000000000ULL, self->one->state.tsc);
	after = host_tsc();
	EXPECT_LE(after, tsc_of(_metadata, &self->other) - 1000000000000ULL);
	usleep(20000);
	host = self->one->state.tsc - self->one->state.msrs.tsc_offset;
	before = host_tsc();
	self->one->state.msrs.tsc_offset += host - before;
	ASSERT_LOAD(&self->other, self->one);
	after = tsc_of(_metadata, &self->other);
	EXPECT_LE(self->one->state.tsc, after);
	EXPECT_GE(host_tsc() - before, after - self->one->state.tsc);
}

TEST_F(save, while_running)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_SAVE(g, self->one);
	GUEST_LONG(g, spin);
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA)));
	EXPECT_EQ(-EBUSY, load(g, self->one));
	EXPECT_EQ(-EBUSY, save(g, self->two));
	vcpu_kick(g->vcpu, generation(g));
	runner_join(&r);
}

/* --- parts ------------------------------------------------------------------- */

TEST_F(save, nothing_forgotten)
{
	__u32 part;

	ASSERT_SAVE(&self->g, self->one);
	EXPECT_EQ(variant->all, self->one->state.parts);
	for (part = 1; part; part <<= 1) {
		self->one->state.parts = variant->all ^ part;
		EXPECT_EQ(-EINVAL, load(&self->other, self->one)) TH_LOG("%#x", part);
		EXPECT_EQ(REFUSED(parts), self->other.page->refused);
		self->one->state.skip = variant->all & part;
		EXPECT_EQ(variant->all & part ? 0 : -EINVAL, load(&self->other, self->one))
			TH_LOG("%#x", part);
		self->one->state.skip = 0;
	}
	self->one->state.parts = variant->all;
	self->one->state.skip = 1U << 31;
	EXPECT_EQ(-EINVAL, load(&self->other, self->one));
	EXPECT_EQ(REFUSED(skip), self->other.page->refused);
	EXPECT_EQ(-EINVAL, save_but(&self->g, self->two, 1U << 31));
	EXPECT_EQ(REFUSED(skip), self->g.page->refused);
}

/* What is skipped stays, and what the caller changed of it. */
TEST_F(save, skipped)
{
	struct guest *other = &self->other;

	ASSERT_EQ(0, save_but(&self->g, self->one, VEE_STATE_MSRS | VEE_STATE_CPUID));
	EXPECT_EQ(variant->all & ~(VEE_STATE_MSRS | VEE_STATE_CPUID), self->one->state.parts);
	EXPECT_EQ(VEE_MAX_CPUID, self->one->state.cpuid_count);
	EXPECT_EQ(0, self->one->state.msrs.pat);
	other->page->msrs.cstar = 0x4321;
	other->page->dirty = VEE_STATE_MSRS | VEE_STATE_DEBUG;
	ASSERT_LOAD(other, self->one);
	EXPECT_EQ(VEE_STATE_MSRS, other->page->dirty);
	ASSERT_RUN(other, VEE_EXIT_HLT);
	ASSERT_EQ(0, vcpu_sync(other->vcpu, VEE_STATE_MSRS));
	EXPECT_EQ(0x4321, other->page->msrs.cstar);
}

TEST_F(save, room_for_cpuid)
{
	__u32 count;

	ASSERT_SAVE(&self->g, self->one);
	count = self->one->state.cpuid_count;
	self->one->state.cpuid_count = count - 1;
	EXPECT_EQ(-E2BIG, vee_call(self->g.vcpu, VEE_VCPU_SAVE, &self->one->state));
	EXPECT_EQ(count, self->one->state.cpuid_count);
	EXPECT_EQ(0, vee_call(self->g.vcpu, VEE_VCPU_SAVE, &self->one->state));
	self->one->state.xsave_bytes--;
	EXPECT_EQ(-EINVAL, vee_call(self->g.vcpu, VEE_VCPU_SAVE, &self->one->state));
	EXPECT_EQ(REFUSED(xsave_bytes), self->g.page->refused);
}

/* --- all or nothing ---------------------------------------------------------- */

static const struct {
	size_t offset;
	__u8 value;
	__u32 refused;
	bool needs_apic;
} bad[] = {
	{ IN_STATE(segments.gdtr.limit) + 2, 1, IN_PAGE(segments.gdtr.limit), false },
	{ IN_STATE(control.cr0) + 4, 1, IN_PAGE(control.cr0), false },
	{ IN_STATE(control.cr8), 16, IN_PAGE(control.cr8), false },
	{ IN_STATE(debug.dr7) + 4, 1, IN_PAGE(debug.dr7), false },
	{ IN_STATE(msrs.lstar) + 7, 0x70, IN_PAGE(msrs.lstar), false },
	{ IN_STATE(events.activity), 3, IN_PAGE(events.activity), false },
	{ IN_STATE(apic.tpr) + 1, 1, IN_PAGE(apic.tpr), true },
	{ IN_STATE(tpr_threshold), 16, IN_PAGE(tpr_threshold), false },
	{ IN_STATE(options) + 3, 1, IN_PAGE(options), false },
	{ IN_STATE(intercept) + 3, 1, IN_PAGE(intercept), false },
	{ IN_STATE(prefetch) + 2, 1, IN_PAGE(prefetch), false },
	{ IN_STATE(sent_nmi.vector), 3, REFUSED(sent_nmi), false },
	{ IN_STATE(sent_interrupt.type), 2, REFUSED(sent_interrupt), false },
	{ IN_STATE(cpuid_count), 255, REFUSED(cpuid), false },
	{ offsetof(struct saved, area) + XSTATE_BV + 7, 1, REFUSED(xsave), false },
	{ offsetof(struct saved, cpuid[0].reserved), 1, REFUSED(cpuid), false },
};

TEST_F(save, refused)
{
	struct saved *before = anon_memory(sizeof(*before));
	unsigned int i;

	ASSERT_NE(MAP_FAILED, before);
	self->other.page->msrs.star = 0x99;
	self->other.page->dirty |= VEE_STATE_MSRS;
	ASSERT_SAVE(&self->other, before);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (bad[i].needs_apic && !variant->flags)
			continue;
		ASSERT_SAVE(&self->g, self->one);
		self->one->cpuid[0].ebx ^= 1;
		self->one->area[0] ^= 1;
		((__u8 *)self->one)[bad[i].offset] = bad[i].value;
		EXPECT_EQ(-EINVAL, load(&self->other, self->one)) TH_LOG("case %u", i);
		EXPECT_EQ(bad[i].refused, self->other.page->refused) TH_LOG("case %u", i);
		ASSERT_SAVE(&self->other, self->two);
		EXPECT_EQ(NULL, differ(before, self->two))
			TH_LOG("case %u: %s", i, differ(before, self->two));
	}
	munmap(before, sizeof(*before));
}

/* What the guest may have set goes by the answers that come along. */
TEST_F(save, other_cpuid)
{
	unsigned int i;

	ASSERT_SAVE(&self->g, self->one);
	for (i = 0; i < self->one->state.cpuid_count; i++)
		if (self->one->cpuid[i].leaf == 1)
			self->one->cpuid[i].edx &= ~(1U << 6);	/* PAE */
	EXPECT_EQ(-EINVAL, load(&self->other, self->one));
	EXPECT_EQ(IN_PAGE(control.cr4), self->other.page->refused);
	ASSERT_RUN(&self->other, VEE_EXIT_HLT);
	/* Those that it had it has again. */
	self->other.page->control.cr4 |= X86_CR4_PAE;
	self->other.page->dirty |= VEE_STATE_CONTROL;
	self->other.page->resume = VEE_RESUME_HERE;
	guest_start(&self->other, guest_set_long, halt, halt_end);
	ASSERT_RUN(&self->other, VEE_EXIT_HLT);
}

TEST_F(save, bad_pointers)
{
	ASSERT_SAVE(&self->g, self->one);
	self->one->state.cpuid = 8;
	EXPECT_EQ(-EFAULT, vee_call(self->g.vcpu, VEE_VCPU_SAVE, &self->one->state));
	EXPECT_EQ(-EFAULT, vee_call(self->g.vcpu, VEE_VCPU_LOAD, &self->one->state));
	point(self->one);
	self->one->state.xsave = 8;
	EXPECT_EQ(-EFAULT, vee_call(self->g.vcpu, VEE_VCPU_SAVE, &self->one->state));
	EXPECT_EQ(-EFAULT, vee_call(self->g.vcpu, VEE_VCPU_LOAD, &self->one->state));
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
}

/* Each byte turned over: refused, or the guest's own loss. */
TEST_F(save, hostile)
{
	struct guest *other = &self->other;
	size_t offset = variant->flags ? IN_STATE(events) : IN_STATE(debugctl);
	int ret;

	ASSERT_EQ(0, save_but(&self->g, self->one, VEE_STATE_XSAVE | VEE_STATE_CPUID));
	self->one->state.deadline_ns = MS_NS / 20;
	for (; offset < sizeof(struct vee_vcpu_state); offset++) {
		/* Time is the test's own. */
		if (offset >= IN_STATE(deadline_ns) && offset < IN_STATE(prefetch))
			continue;
		((__u8 *)&self->one->state)[offset] ^= 0xff;
		ret = load(other, self->one);
		EXPECT_TRUE(!ret || ret == -EINVAL) TH_LOG("byte %zu: %d", offset, ret);
		ret = guest_run(other);
		EXPECT_EQ(0, ret) TH_LOG("byte %zu", offset);
		((__u8 *)&self->one->state)[offset] ^= 0xff;
		ASSERT_LOAD(other, self->one);
	}
	other->page->deadline_ns = DEADLINE_NS;
	ASSERT_RUN(other, VEE_EXIT_HLT);
}

/* --- local APICs ------------------------------------------------------------- */

#define LVT_PERIODIC	0x20000
#define LVT_DEADLINE	0x40000

FIXTURE(apic) {
	struct guest g;
	struct guest other;
	struct saved *one;
};

FIXTURE_SETUP(apic)
{
	guest_unblock_nmis(_metadata);
	self->one = anon_memory(sizeof(*self->one));
	ASSERT_NE(MAP_FAILED, self->one);
	guest_open_apic(_metadata, &self->g);
	xsave_bytes = vee_info(self->g.dev).xsave_bytes;
	guest_open_with(_metadata, &self->other, VEE_VM_LOCAL_APIC);
}

FIXTURE_TEARDOWN(apic)
{
	guest_close(&self->g);
	guest_close(&self->other);
	munmap(self->one, sizeof(*self->one));
	guest_unblock_nmis(_metadata);
}

static int signal_vm(struct guest *g, __u32 data)
{
	struct vee_signal signal = {
		.size = sizeof(signal),
		.address = MSI(0),
		.data = data,
	};

	return vee_call(g->vm, VEE_VM_SIGNAL, &signal);
}

GUEST_CODE(open_wait, 64, "1: sti; hlt; cli; jmp 1b");

static void wait_open(struct guest *g)
{
	__u64 cr8;

	vcpu_sync(g->vcpu, VEE_STATE_CONTROL);
	cr8 = g->page->control.cr8;
	GUEST_LONG(g, open_wait);
	g->page->control.cr8 = cr8;
	g->page->resume = VEE_RESUME_HERE;
}

/* What is in the mailbox yet, an NMI too, goes with it and comes once. */
TEST_F(apic, mail)
{
	wait_open(&self->g);
	EXPECT_EQ(0, signal_vm(&self->g, VECTOR));
	EXPECT_EQ(0, signal_vm(&self->g, 0x400));
	ASSERT_EQ(0, vcpu_sync(self->g.vcpu, VEE_STATE_EVENTS));
	ASSERT_MOVED(self);
	EXPECT_EQ(VEE_EVENT_VALID, self->one->state.events.nmi.flags);
	EXPECT_EQ(0, self->one->state.events.interruptibility);
	EXPECT_EQ(1U << VECTOR % 32, self->one->state.apic.irr[VECTOR / 32]);
	ASSERT_VECTORS(&self->other, VECTOR_NMI, GPA_CODE, VECTOR);
	/* Of the other's NMI nothing must be left in an emulated CPU. */
	guest_unblock_nmis(_metadata);
	ASSERT_VECTORS(&self->g, VECTOR_NMI, GPA_CODE, VECTOR);
	/* What came to the other one before is of another time. */
	EXPECT_EQ(0, signal_vm(&self->other, OTHER_VECTOR));
	ASSERT_LOAD(&self->other, self->one);
	ASSERT_EQ(0, vcpu_sync(self->other.vcpu, VEE_STATE_APIC));
	EXPECT_EQ(0, self->other.page->apic.irr[OTHER_VECTOR / 32] & 1U << OTHER_VECTOR % 32);
	EXPECT_EQ(1U << VECTOR % 32, self->other.page->apic.irr[VECTOR / 32]);
}

static void arm(struct guest *g, __u32 lvt, __u32 count, __u64 deadline)
{
	vcpu_sync(g->vcpu, VEE_STATE_APIC);
	g->page->apic.lvt[VEE_APIC_LVT_TIMER] = lvt | VECTOR;
	g->page->apic.initial_count = count;
	g->page->apic.current_count = count;
	g->page->apic.tsc_deadline = deadline;
	g->page->apic.divide = 0xb;
	g->page->dirty |= VEE_STATE_APIC;
}

/* Armed there it fires here; while it was saved it did not count. */
TEST_F(apic, timer)
{
	__u32 left;

	wait_open(&self->g);
	arm(&self->g, LVT_PERIODIC, 50000000, 0);
	ASSERT_SAVE(&self->g, self->one);
	left = self->one->state.apic.current_count;
	EXPECT_LT(0, left);
	usleep(60000);
	copy_memory(&self->other, &self->g);
	ASSERT_LOAD(&self->other, self->one);
	ASSERT_EQ(0, vcpu_sync(self->other.vcpu, VEE_STATE_APIC));
	EXPECT_LT(0, self->other.page->apic.current_count);
	EXPECT_GE(left, self->other.page->apic.current_count);
	EXPECT_EQ(0, self->other.page->apic.irr[VECTOR / 32]);
	ASSERT_VECTOR(&self->other, VECTOR);
}

TEST_F(apic, deadline)
{
	__u64 deadline;

	wait_open(&self->g);
	deadline = host_tsc() + 20000ULL * vee_info(self->g.dev).tsc_khz / 1000;
	arm(&self->g, LVT_DEADLINE, 0, deadline);
	ASSERT_MOVED(self);
	EXPECT_EQ(deadline, self->one->state.apic.tsc_deadline);
	ASSERT_VECTOR(&self->other, VECTOR);
	EXPECT_LE(deadline, host_tsc());
}

/* Who has none can't have one's state, and the other way. */
TEST_F(apic, of_others)
{
	struct guest plain;

	guest_open(_metadata, &plain);
	ASSERT_SAVE(&self->g, self->one);
	EXPECT_EQ(-EINVAL, load(&plain, self->one));
	EXPECT_EQ(REFUSED(parts), plain.page->refused);
	ASSERT_SAVE(&plain, self->one);
	EXPECT_EQ(-EINVAL, load(&self->g, self->one));
	EXPECT_EQ(REFUSED(parts), self->g.page->refused);
	guest_close(&plain);
}

TEST_HARNESS_MAIN
