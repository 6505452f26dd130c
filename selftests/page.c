// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vCPU page: what a new one holds, what a run takes of it and gives back,
 * its masks, and what vee refuses to load.
 */
#include <stddef.h>

#include "vee_util.h"

#define NONCANONICAL	0x0000800000000000ULL
#define ROM_GPA		0xfffff000ULL
#define RESET_GPA	0xfffffff0ULL

GUEST_CODE(halt, 64,
	   "hlt; hlt; hlt; hlt");

/* To memory with all that the caller set, then back with all of it changed. */
GUEST_CODE(swap_registers, 64,
	   "mov %rax, 0x20000; mov %rcx, 0x20008; mov %rdx, 0x20010;"
	   "mov %rbx, 0x20018; mov %rsp, 0x20020; mov %rbp, 0x20028;"
	   "mov %rsi, 0x20030; mov %rdi, 0x20038; mov %r8, 0x20040;"
	   "mov %r9, 0x20048; mov %r10, 0x20050; mov %r11, 0x20058;"
	   "mov %r12, 0x20060; mov %r13, 0x20068; mov %r14, 0x20070;"
	   "mov %r15, 0x20078;"
	   "not %rax; not %rcx; not %rdx; not %rbx; not %rsp; not %rbp;"
	   "not %rsi; not %rdi; not %r8; not %r9; not %r10; not %r11;"
	   "not %r12; not %r13; not %r14; not %r15;"
	   "hlt;"
	   "jmp swap_registers");

FIXTURE(page) {
	struct guest g;
};

FIXTURE_SETUP(page)
{
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(page)
{
	guest_close(&self->g);
}

/* --- a new vCPU ------------------------------------------------------------ */

TEST_F(page, new_vcpu)
{
	struct vee_vcpu_page *page;
	int vcpu = vcpu_create(self->g.vm, 1);

	ASSERT_LE(0, vcpu);
	page = vcpu_page(vcpu);
	ASSERT_NE(MAP_FAILED, page);
	EXPECT_EQ(sizeof(*page), page->size);
	EXPECT_EQ(0, page->tpr_threshold);
	EXPECT_EQ(0, page->deadline_ns);
	EXPECT_EQ(VEE_STATE_REGS | VEE_PREFETCH_INSN, page->prefetch);
	EXPECT_EQ(VEE_STATE_ALL, page->valid);
	EXPECT_EQ(0, page->dirty);
	EXPECT_EQ(0, page->intercept);
	EXPECT_EQ(VEE_RESUME_HERE, page->resume);
	EXPECT_EQ(0, page->options);
	EXPECT_EQ(0, page->inject.flags);
	EXPECT_EQ(VEE_EXIT_NONE, page->exit.reason);
	munmap(page, PAGE_BYTES);
	close(vcpu);
}

/* What is left of the page is no window on the kernel's memory. */
TEST_F(page, rest_is_zero)
{
	const unsigned char *bytes = (const unsigned char *)self->g.page;
	unsigned int i, set = 0;

	for (i = sizeof(struct vee_vcpu_page); i < PAGE_BYTES; i++)
		set += bytes[i] != 0;
	EXPECT_EQ(0, set);
}

/* SDM 3A, "Processor State After Reset". */
TEST_F(page, reset_registers)
{
	const struct vee_regs *regs = &self->g.page->regs;
	unsigned int i;

	EXPECT_EQ(0xfff0, regs->rip);
	EXPECT_EQ(X86_EFLAGS_FIXED, regs->rflags);
	for (i = 0; i < 16; i++) {
		/* EDX is the model. */
		if (i == 2)
			continue;
		EXPECT_EQ(0, regs->gpr[i]) TH_LOG("register %u", i);
	}
}

TEST_F(page, reset_segments)
{
	const struct vee_segments *s = &self->g.page->segments;
	const struct vee_segment * const data[] = {
		&s->es, &s->ss, &s->ds, &s->fs, &s->gs,
	};
	unsigned int i;

	EXPECT_EQ(0xf000, s->cs.selector);
	EXPECT_EQ(0xffff0000, s->cs.base);
	EXPECT_EQ(0xffff, s->cs.limit);
	EXPECT_EQ(AR_CODE16, s->cs.access_rights);
	for (i = 0; i < ARRAY_SIZE(data); i++) {
		EXPECT_EQ(0, data[i]->selector);
		EXPECT_EQ(0, data[i]->base);
		EXPECT_EQ(0xffff, data[i]->limit);
		EXPECT_EQ(AR_DATA16, data[i]->access_rights);
	}
	EXPECT_EQ(0, s->gdtr.base);
	EXPECT_EQ(0xffff, s->gdtr.limit);
	EXPECT_EQ(0, s->idtr.base);
	EXPECT_EQ(0xffff, s->idtr.limit);
	EXPECT_EQ(0, s->ldtr.selector);
	EXPECT_EQ(0, s->tr.selector);
}

TEST_F(page, reset_control_and_debug)
{
	const struct vee_control *control = &self->g.page->control;
	const struct vee_debug *debug = &self->g.page->debug;
	const struct vee_events *events = &self->g.page->events;

	EXPECT_EQ(X86_CR0_CD | X86_CR0_NW | X86_CR0_ET, control->cr0);
	EXPECT_EQ(0, control->cr2);
	EXPECT_EQ(0, control->cr3);
	EXPECT_EQ(0, control->cr4);
	EXPECT_EQ(0, control->cr8);
	EXPECT_EQ(0, control->efer);
	EXPECT_EQ(1, control->xcr0);
	EXPECT_EQ(0, debug->dr[0]);
	EXPECT_EQ(0xffff0ff0, debug->dr6);
	EXPECT_EQ(0x400, debug->dr7);
	EXPECT_EQ(0x0007040600070406, self->g.page->msrs.pat);
	EXPECT_EQ(0, self->g.page->msrs.lstar);
	EXPECT_EQ(0, events->interruptibility);
	EXPECT_EQ(VEE_ACTIVITY_ACTIVE, events->activity);
	EXPECT_EQ(0, events->delivering.flags);
	EXPECT_EQ(0, events->interrupt.flags);
	EXPECT_EQ(0, events->nmi.flags);
}

/* With no memory at the reset vector the first fetch is what exits. */
TEST_F(page, reset_fetch)
{
	struct vee_exit *exit = &self->g.page->exit;

	ASSERT_RUN(&self->g, VEE_EXIT_MMIO);
	EXPECT_EQ(RESET_GPA, exit->memory.gpa);
	EXPECT_EQ(VEE_EXECUTE, exit->memory.access);
	EXPECT_EQ(0, exit->memory.error);
	EXPECT_EQ(0, exit->memory.insn_bytes);
	EXPECT_EQ(0xfff0, self->g.page->regs.rip);
}

TEST_F(page, reset_vector)
{
	unsigned char *rom = anon_memory(PAGE_BYTES);

	ASSERT_NE(MAP_FAILED, rom);
	rom[0xff0] = 0xf4;	/* HLT */
	ASSERT_EQ(0, vm_map(self->g.vm, ROM_GPA, rom, PAGE_BYTES,
			    VEE_READ | VEE_EXECUTE));
	ASSERT_HLT(&self->g, 0xfff0);
	munmap(rom, PAGE_BYTES);
}

/* A run needs no mapping of the page; one made later shows how it ended. */
TEST_F(page, run_unmapped)
{
	struct vee_vcpu_page *page;
	int vcpu = vcpu_create(self->g.vm, 1);

	ASSERT_LE(0, vcpu);
	EXPECT_EQ(0, vee_call(vcpu, VEE_VCPU_RUN, NULL));
	page = vcpu_page(vcpu);
	ASSERT_NE(MAP_FAILED, page);
	EXPECT_EQ(VEE_EXIT_MMIO, page->exit.reason);
	EXPECT_EQ(RESET_GPA, page->exit.memory.gpa);
	munmap(page, PAGE_BYTES);
	close(vcpu);
}

/* --- what a run refuses ---------------------------------------------------- */

struct bad_word {
	const char *what;
	size_t offset;
	__u32 value;
};

#define BAD(member, value) \
	{ #member, offsetof(struct vee_vcpu_page, member), value }

static const struct bad_word bad_words[] = {
	BAD(tpr_threshold, 16),
	BAD(options, VEE_OPTION_HLT_MASKED_SLEEPS),
	BAD(options, 1U << 2),
	BAD(options, 1U << 31),
	BAD(prefetch, 1U << 6),
	BAD(prefetch, 1U << 30),
	BAD(dirty, 1U << 6),
	BAD(dirty, VEE_PREFETCH_INSN),
	BAD(intercept, 1U << 7),
	BAD(intercept, 1U << 31),
	BAD(resume, VEE_RESUME_DONE + 1),
	BAD(resume, VEE_RESUME_NEXT),	/* there was no exit yet */
	BAD(resume, -1U),
};

/* With -EINVAL comes where in the page the reason is. */
#define EXPECT_REFUSED(member) \
	EXPECT_EQ(offsetof(struct vee_vcpu_page, member), page->refused)

TEST_F(page, bad_words)
{
	struct vee_vcpu_page *page = self->g.page;
	const struct bad_word *bad;
	__u64 generation;

	GUEST_LONG(&self->g, halt);
	generation = page->generation;
	for (bad = bad_words; bad < bad_words + ARRAY_SIZE(bad_words); bad++) {
		__u32 *word = (__u32 *)((char *)page + bad->offset);
		__u32 good = *word;

		*word = bad->value;
		EXPECT_EQ(-EINVAL, guest_run(&self->g)) TH_LOG("%s", bad->what);
		EXPECT_EQ(bad->offset, page->refused) TH_LOG("%s", bad->what);
		EXPECT_EQ(bad->value, *word) TH_LOG("%s", bad->what);
		*word = good;
	}
	EXPECT_EQ(generation, page->generation);
	EXPECT_EQ(VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_CONTROL,
		  page->dirty);
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* But for that of a paused run: see each.c. */
TEST_F(page, run_takes_no_argument)
{
	GUEST_LONG(&self->g, halt);
	EXPECT_EQ(-ESTALE, vee_call(self->g.vcpu, VEE_VCPU_RUN, (void *)1));
	EXPECT_EQ(-EINVAL, vee_call(self->g.vcpu, VEE_VCPU_RUN, (void *)2));
	EXPECT_EQ(-EINVAL, vee_call(self->g.vcpu, VEE_VCPU_RUN, self->g.page));
	EXPECT_NE(0, self->g.page->dirty);
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* By fsync(): what VEE_VCPU_RUN does, and its errors. */
static int run_by_fsync(struct guest *g)
{
	int ret, tries = 100;

	do {
		ret = fsync(g->vcpu) ? -errno : 0;
	} while (ret == -EINTR && --tries);
	return ret;
}

TEST_F(page, run_by_fsync)
{
	struct vee_vcpu_page *page = self->g.page;
	__u64 generation;

	GUEST_LONG(&self->g, halt);
	ASSERT_EQ(0, run_by_fsync(&self->g));
	EXPECT_EQ(VEE_EXIT_HLT, page->exit.reason);
	EXPECT_EQ(GPA_CODE, page->regs.rip);
	generation = page->generation;
	page->resume = VEE_RESUME_NEXT;
	ASSERT_EQ(0, run_by_fsync(&self->g));
	EXPECT_EQ(GPA_CODE + 1, page->regs.rip);
	EXPECT_EQ(generation + 1, page->generation);

	page->intercept = 1U << 31;
	EXPECT_EQ(-EINVAL, run_by_fsync(&self->g));
	EXPECT_EQ(offsetof(struct vee_vcpu_page, intercept), page->refused);
	page->intercept = 0;
	ASSERT_EQ(0, run_by_fsync(&self->g));
	EXPECT_EQ(GPA_CODE + 1, page->regs.rip);
}

/* It would be a second name for the same. */
TEST_F(page, no_run_by_fdatasync)
{
	GUEST_LONG(&self->g, halt);
	EXPECT_NE(0, fdatasync(self->g.vcpu));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_NE(0, self->g.page->dirty);
	EXPECT_NE(0, fsync(self->g.vm));
	EXPECT_EQ(EINVAL, errno);
}

/* A failed run takes nothing: what was asked of it still holds after it. */
TEST_F(page, failed_run_takes_nothing)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	ASSERT_HLT(&self->g, GPA_CODE);
	page->resume = VEE_RESUME_NEXT;
	page->regs.rbx = 77;
	page->intercept = 1U << 31;
	EXPECT_EQ(-EINVAL, guest_run(&self->g));
	EXPECT_EQ(VEE_RESUME_NEXT, page->resume);
	EXPECT_EQ(77, page->regs.rbx);
	page->intercept = 0;
	ASSERT_HLT(&self->g, GPA_CODE + 1);
	EXPECT_EQ(77, page->regs.rbx);
}

/* One group is good, another is not: neither is loaded. */
TEST_F(page, all_groups_or_none)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	ASSERT_HLT(&self->g, GPA_CODE);
	page->regs.rip = GPA_CODE + 2;
	page->control.cr8 = 16;
	page->dirty = VEE_STATE_REGS | VEE_STATE_CONTROL;
	EXPECT_EQ(-EINVAL, guest_run(&self->g));
	EXPECT_EQ(VEE_STATE_REGS | VEE_STATE_CONTROL, page->dirty);
	page->control.cr8 = 0;
	page->dirty = 0;
	ASSERT_HLT(&self->g, GPA_CODE);
}

struct bad_state {
	const char *what;
	__u32 group;
	size_t offset;
	__u64 value;
	size_t refused;
};

#define BAD_STATE_IN(group, member, value, refused) \
	{ #member " = " #value, VEE_STATE_##group, \
	  offsetof(struct vee_vcpu_page, member), value, \
	  offsetof(struct vee_vcpu_page, refused) }
#define BAD_STATE(group, member, value) BAD_STATE_IN(group, member, value, member)

/* Each against a guest in long mode. All members are 64 bits wide. */
static const struct bad_state bad_states[] = {
	BAD_STATE(CONTROL, control.cr0, X86_CR0_PG),
	BAD_STATE(CONTROL, control.cr0, X86_CR0_PE | X86_CR0_PG | X86_CR0_NW),
	BAD_STATE(CONTROL, control.cr4, X86_CR4_PAE | X86_CR4_VMXE),
	BAD_STATE(CONTROL, control.cr8, 16),
	BAD_STATE(CONTROL, control.cr8, BIT_ULL(63)),
	BAD_STATE(CONTROL, control.efer, EFER_LME),
	BAD_STATE(CONTROL, control.efer, EFER_LMA),
	BAD_STATE(CONTROL, control.efer, EFER_LME | EFER_LMA | BIT_ULL(1)),
	BAD_STATE(CONTROL, control.efer, EFER_LME | EFER_LMA | BIT_ULL(63)),
	BAD_STATE(CONTROL, control.xcr0, 0),
	BAD_STATE(CONTROL, control.xcr0, 2),
	BAD_STATE(CONTROL, control.xcr0, 5),
	BAD_STATE(CONTROL, control.xcr0, BIT_ULL(63) | 1),
	BAD_STATE(MSRS, msrs.lstar, NONCANONICAL),
	BAD_STATE(MSRS, msrs.cstar, NONCANONICAL),
	BAD_STATE(MSRS, msrs.kernel_gs_base, NONCANONICAL),
	BAD_STATE(MSRS, msrs.sfmask, BIT_ULL(32)),
	BAD_STATE(MSRS, msrs.sysenter_cs, BIT_ULL(32)),
	BAD_STATE(MSRS, msrs.tsc_aux, BIT_ULL(32)),
	BAD_STATE(DEBUG, debug.dr6, BIT_ULL(32)),
	BAD_STATE(DEBUG, debug.dr7, BIT_ULL(32)),
	BAD_STATE(EVENTS, events.pending_debug, BIT_ULL(16)),
	BAD_STATE(EVENTS, events.interruptibility, 1U << 2),
	BAD_STATE(EVENTS, events.interruptibility, 1U << 4),
	BAD_STATE(EVENTS, events.interruptibility, 1U << 31),
	BAD_STATE_IN(EVENTS, events.interruptibility, 2ULL << 32, events.activity),
	BAD_STATE_IN(EVENTS, events.interruptibility, 3ULL << 32, events.activity),
	BAD_STATE_IN(EVENTS, events.interruptibility, -1ULL << 32, events.activity),
};

TEST_F(page, bad_states)
{
	struct vee_vcpu_page *page = self->g.page;
	const struct bad_state *bad;

	GUEST_LONG(&self->g, halt);
	for (bad = bad_states; bad < bad_states + ARRAY_SIZE(bad_states); bad++) {
		__u64 *word = (__u64 *)((char *)page + bad->offset);
		__u64 good = *word;
		__u32 dirty = page->dirty;

		*word = bad->value;
		page->dirty |= bad->group;
		EXPECT_EQ(-EINVAL, guest_run(&self->g)) TH_LOG("%s", bad->what);
		EXPECT_EQ(bad->refused, page->refused) TH_LOG("%s", bad->what);
		EXPECT_EQ(dirty | bad->group, page->dirty);
		*word = good;
		page->dirty = dirty;
	}
	ASSERT_HLT(&self->g, GPA_CODE);
}

TEST_F(page, bad_table_limits)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	page->segments.gdtr.limit = 65536;
	EXPECT_EQ(-EINVAL, guest_run(&self->g));
	EXPECT_REFUSED(segments.gdtr.limit);
	page->segments.gdtr.limit = 65535;
	page->segments.idtr.limit = -1U;
	EXPECT_EQ(-EINVAL, guest_run(&self->g));
	EXPECT_REFUSED(segments.idtr.limit);
	page->segments.idtr.limit = 65535;
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* Events that wait are checked like those that are injected. */
TEST_F(page, bad_waiting_events)
{
	static const struct vee_event bad[] = {
		{ .vector = 64, .type = 1, .flags = VEE_EVENT_VALID },
		{ .vector = 64, .type = 7, .flags = VEE_EVENT_VALID },
		{ .vector = 64, .type = VEE_EVENT_EXCEPTION,
		  .flags = VEE_EVENT_VALID },
		{ .vector = 3, .type = VEE_EVENT_NMI, .flags = VEE_EVENT_VALID },
		{ .vector = 64, .flags = VEE_EVENT_VALID | 0x80 },
	};
	struct vee_vcpu_page *page = self->g.page;
	unsigned int i;

	GUEST_LONG(&self->g, halt);
	page->dirty |= VEE_STATE_EVENTS;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		page->events.delivering = bad[i];
		EXPECT_EQ(-EINVAL, guest_run(&self->g)) TH_LOG("event %u", i);
		EXPECT_REFUSED(events.delivering);
	}
	memset(&page->events.delivering, 0, sizeof(page->events.delivering));
	page->events.interrupt = (struct vee_event) {
		.vector = 2, .type = VEE_EVENT_NMI, .flags = VEE_EVENT_VALID,
	};
	EXPECT_EQ(-EINVAL, guest_run(&self->g));
	EXPECT_REFUSED(events.interrupt);
	page->events.interrupt.flags = 0;
	page->events.nmi = (struct vee_event) {
		.vector = 64, .flags = VEE_EVENT_VALID,
	};
	EXPECT_EQ(-EINVAL, guest_run(&self->g));
	EXPECT_REFUSED(events.nmi);
	memset(&page->events, 0, sizeof(page->events));
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* --- what a run gives back ------------------------------------------------- */

TEST_F(page, run_clears)
{
	struct vee_vcpu_page *page = self->g.page;
	__u64 generation = page->generation;

	GUEST_LONG(&self->g, halt);
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(0, page->dirty);
	EXPECT_EQ(generation + 1, page->generation);
	page->resume = VEE_RESUME_NEXT;
	ASSERT_HLT(&self->g, GPA_CODE + 1);
	EXPECT_EQ(VEE_RESUME_HERE, page->resume);
	EXPECT_EQ(generation + 2, page->generation);
}

TEST_F(page, run_keeps)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	page->intercept = VEE_INTERCEPT_CPUID | VEE_INTERCEPT_BREAKPOINT;
	page->prefetch = VEE_STATE_REGS | VEE_STATE_EVENTS;
	page->deadline_ns = DEADLINE_NS - 1;
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(VEE_INTERCEPT_CPUID | VEE_INTERCEPT_BREAKPOINT, page->intercept);
	EXPECT_EQ(VEE_STATE_REGS | VEE_STATE_EVENTS, page->prefetch);
	EXPECT_EQ(DEADLINE_NS - 1, page->deadline_ns);
}

TEST_F(page, general_registers)
{
	struct vee_regs *regs = &self->g.page->regs;
	unsigned int i;

	GUEST_LONG(&self->g, swap_registers);
	for (i = 0; i < 16; i++)
		regs->gpr[i] = 0x0123456789abcdefULL * (i + 1);
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	for (i = 0; i < 16; i++) {
		__u64 value = 0x0123456789abcdefULL * (i + 1);

		EXPECT_EQ(value, guest_read64(&self->g, GPA_DATA + 8 * i))
			TH_LOG("register %u to the guest", i);
		EXPECT_EQ(~value, regs->gpr[i])
			TH_LOG("register %u from the guest", i);
	}
}

/* The general registers but RSP go in and out whatever the masks say. */
TEST_F(page, registers_without_masks)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, swap_registers);
	page->prefetch = 0;
	page->regs.rbx = 5;
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(0, page->dirty);
	EXPECT_EQ(~5ULL, page->regs.rbx);
	page->regs.rbx = 6;
	page->regs.rsp = 0xbad;
	page->resume = VEE_RESUME_NEXT;
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(6, guest_read64(&self->g, GPA_DATA + 24));
	EXPECT_EQ(~GPA_STACK, guest_read64(&self->g, GPA_DATA + 32));
	EXPECT_EQ(~6ULL, page->regs.rbx);
}

/* What is not marked dirty is not loaded. */
TEST_F(page, clean_groups)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	ASSERT_HLT(&self->g, GPA_CODE);
	page->regs.rip = 0xdead0000;
	page->regs.rflags = -1ULL;
	page->segments.cs.access_rights = 0;
	page->control.cr3 = 0xdead0000;
	page->control.efer = 0;
	page->resume = VEE_RESUME_NEXT;
	ASSERT_HLT(&self->g, GPA_CODE + 1);
}

TEST_F(page, prefetch_and_valid)
{
	struct vee_vcpu_page *page = self->g.page;
	__u32 group;

	GUEST_LONG(&self->g, halt);
	for (group = 1; group <= VEE_STATE_EVENTS; group <<= 1) {
		page->prefetch = group;
		ASSERT_RUN(&self->g, VEE_EXIT_HLT);
		EXPECT_EQ(group, page->valid & group);
	}
	page->prefetch = VEE_STATE_ALL;
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(VEE_STATE_ALL, page->valid);
	page->prefetch = 0;
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(0, page->valid & VEE_STATE_REGS);
}

/* A group is fetched when it is asked for, and once. */
TEST_F(page, sync_fills)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	page->prefetch = 0;
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	page->regs.rip = 1;
	page->control.cr4 = 1;
	page->segments.cs.selector = 1;
	EXPECT_EQ(0, vcpu_sync(self->g.vcpu, VEE_STATE_REGS | VEE_STATE_CONTROL |
			       VEE_STATE_SEGMENTS));
	EXPECT_EQ(GPA_CODE, page->regs.rip);
	EXPECT_EQ(GPA_STACK, page->regs.rsp);
	EXPECT_EQ(X86_CR4_PAE, page->control.cr4 & X86_CR4_PAE);
	EXPECT_EQ(SEL_CODE64, page->segments.cs.selector);
	EXPECT_EQ(VEE_STATE_REGS | VEE_STATE_CONTROL | VEE_STATE_SEGMENTS,
		  page->valid & (VEE_STATE_REGS | VEE_STATE_CONTROL |
				 VEE_STATE_SEGMENTS));
}

TEST_F(page, sync_leaves_valid)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	ASSERT_HLT(&self->g, GPA_CODE);
	page->regs.rip = 1;
	EXPECT_EQ(0, vcpu_sync(self->g.vcpu, VEE_STATE_ALL));
	EXPECT_EQ(1, page->regs.rip);
	EXPECT_EQ(VEE_STATE_ALL, page->valid);
}

TEST_F(page, sync_leaves_dirty)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	page->prefetch = 0;
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	page->control.cr2 = 0x1234;
	page->dirty = VEE_STATE_CONTROL;
	EXPECT_EQ(0, vcpu_sync(self->g.vcpu, VEE_STATE_ALL));
	EXPECT_EQ(0x1234, page->control.cr2);
	EXPECT_EQ(VEE_STATE_CONTROL, page->dirty);
}

/* --- round trips ----------------------------------------------------------- */

TEST_F(page, segments_round_trip)
{
	struct vee_segments want, *is = &self->g.page->segments;
	struct vee_segment *s = &want.es;
	unsigned int i;

	GUEST_PROTECTED(&self->g, halt);
	want = *is;
	for (i = 0; i < 6; i++) {
		if (&s[i] == &want.cs)
			continue;
		s[i].base = 0x1000 * (i + 1);
		s[i].limit = 0x100000 * i + 0xfff;
		s[i].selector = 8 * i;
	}
	want.gs.access_rights = VEE_AR_UNUSABLE;
	want.ldtr = (struct vee_segment) {
		.base = 0x3456, .limit = 0x27, .access_rights = 0x82,
		.selector = 0x28,
	};
	want.gdtr = (struct vee_table) { .base = 0x123456, .limit = 0x17 };
	want.idtr = (struct vee_table) { .base = 0x654321, .limit = 0xffff };
	*is = want;
	self->g.page->prefetch = VEE_STATE_ALL;
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(VEE_AR_UNUSABLE, is->gs.access_rights & VEE_AR_UNUSABLE);
	is->gs = want.gs;
	EXPECT_EQ(0, memcmp(&want, is, sizeof(want)));
}

/* FS and GS bases have 64 bits; members that are reserved are ignored. */
TEST_F(page, segments_64)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	page->segments.fs.base = 0xffff812345678000;
	page->segments.gs.base = 0x00007fffffffffff;
	page->segments.gdtr.base = 0xffffffffffff0000;
	page->segments.idtr.base = 0xffff800000000000;
	page->segments.cs.reserved[1] = 0xffff;
	page->segments.idtr.reserved = -1U;
	page->prefetch = VEE_STATE_ALL;
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(0xffff812345678000, page->segments.fs.base);
	EXPECT_EQ(0x00007fffffffffff, page->segments.gs.base);
	EXPECT_EQ(0xffffffffffff0000, page->segments.gdtr.base);
	EXPECT_EQ(0xffff800000000000, page->segments.idtr.base);
	EXPECT_EQ(0, page->segments.cs.reserved[1]);
	EXPECT_EQ(0, page->segments.idtr.reserved);
}

TEST_F(page, control_round_trip)
{
	struct vee_control want, *is = &self->g.page->control;

	GUEST_LONG(&self->g, halt);
	is->cr0 |= X86_CR0_TS | X86_CR0_AM | X86_CR0_MP;
	is->cr2 = 0xfedcba9876543210;
	is->cr4 |= X86_CR4_DE | X86_CR4_PGE;
	is->cr8 = 9;
	is->xcr0 = 3;
	want = *is;
	self->g.page->prefetch = VEE_STATE_ALL;
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(want.cr0, is->cr0);
	EXPECT_EQ(want.cr2, is->cr2);
	EXPECT_EQ(want.cr3, is->cr3);
	EXPECT_EQ(want.cr4, is->cr4);
	EXPECT_EQ(want.cr8, is->cr8);
	EXPECT_EQ(want.efer, is->efer);
	EXPECT_EQ(want.xcr0, is->xcr0);
}

/* CR0.CD and NW are the guest's to see, though never set in hardware. */
TEST_F(page, cr0_cache_bits)
{
	struct vee_control *control = &self->g.page->control;

	GUEST_LONG(&self->g, halt);
	control->cr0 |= X86_CR0_CD | X86_CR0_NW;
	self->g.page->prefetch = VEE_STATE_ALL;
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(X86_CR0_CD | X86_CR0_NW,
		  control->cr0 & (X86_CR0_CD | X86_CR0_NW));
	EXPECT_EQ(0, control->cr0 & X86_CR0_NE);
}

TEST_F(page, debug_round_trip)
{
	struct vee_debug want, *is = &self->g.page->debug;
	unsigned int i;

	GUEST_LONG(&self->g, halt);
	want = (struct vee_debug) {
		.dr = { 0x1111, 0xffff800000002222, 0x3333, 0x7fffffffffff },
		.dr6 = 0xffff0ff5,
		.dr7 = 0x400,
	};
	*is = want;
	self->g.page->dirty |= VEE_STATE_DEBUG;
	self->g.page->prefetch = VEE_STATE_ALL;
	ASSERT_HLT(&self->g, GPA_CODE);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(want.dr[i], is->dr[i])
			TH_LOG("DR%u", i);
	}
	EXPECT_EQ(want.dr6, is->dr6);
	EXPECT_EQ(want.dr7, is->dr7);
}

TEST_F(page, msrs_round_trip)
{
	struct vee_msrs want, *is = &self->g.page->msrs;

	GUEST_LONG(&self->g, halt);
	want = (struct vee_msrs) {
		.star = 0x0123456789abcdef,
		.lstar = 0xffffffff81000000,
		.cstar = 0x7fffffffffff,
		.sfmask = 0x47700,
		.kernel_gs_base = 0xffff888000001000,
		.sysenter_cs = 0x10,
		.sysenter_esp = 0xfffffe0000003000,
		.sysenter_eip = 0xffffffff81000080,
		.tsc_aux = 0xfedcba98,
		.pat = 0x0100050401000504,
		.tsc_offset = 0x123456789a,
	};
	*is = want;
	self->g.page->dirty |= VEE_STATE_MSRS;
	self->g.page->prefetch = VEE_STATE_ALL;
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(want.star, is->star);
	EXPECT_EQ(want.lstar, is->lstar);
	EXPECT_EQ(want.cstar, is->cstar);
	EXPECT_EQ(want.sfmask, is->sfmask);
	EXPECT_EQ(want.kernel_gs_base, is->kernel_gs_base);
	EXPECT_EQ(want.sysenter_cs, is->sysenter_cs);
	EXPECT_EQ(want.sysenter_esp, is->sysenter_esp);
	EXPECT_EQ(want.sysenter_eip, is->sysenter_eip);
	EXPECT_EQ(want.tsc_aux, is->tsc_aux);
	EXPECT_EQ(want.pat, is->pat);
	EXPECT_EQ(want.tsc_offset, is->tsc_offset);
}

/* A kick in advance: the state goes in and comes out with nothing run. */
TEST_F(page, events_round_trip)
{
	struct vee_vcpu_page *page = self->g.page;
	struct vee_events want = {
		.interruptibility = VEE_BLOCKING_BY_NMI,
		.activity = VEE_ACTIVITY_ACTIVE,
		.delivering = {
			.vector = VECTOR_PF, .type = VEE_EVENT_EXCEPTION,
			.flags = VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE,
			.error_code = 2,
		},
		.interrupt = { .vector = 99, .flags = VEE_EVENT_VALID },
		.nmi = {
			.vector = 2, .type = VEE_EVENT_NMI,
			.flags = VEE_EVENT_VALID,
		},
	};

	GUEST_LONG(&self->g, halt);
	page->events = want;
	page->dirty |= VEE_STATE_EVENTS;
	page->prefetch = VEE_STATE_ALL;
	ASSERT_EQ(0, vcpu_kick(self->g.vcpu, page->generation));
	ASSERT_RUN(&self->g, VEE_EXIT_KICKED);
	EXPECT_EQ(0, page->dirty);
	EXPECT_EQ(VEE_STATE_ALL, page->valid);
	EXPECT_EQ(0, memcmp(&want, &page->events, sizeof(want)));
	EXPECT_EQ(VEE_EXIT_EVENT_PENDING,
		  page->exit.flags & VEE_EXIT_EVENT_PENDING);
	EXPECT_EQ(GPA_CODE, page->regs.rip);
}

TEST_F(page, rflags_bit_1)
{
	struct vee_vcpu_page *page = self->g.page;

	GUEST_LONG(&self->g, halt);
	page->regs.rflags = X86_EFLAGS_CF | X86_EFLAGS_OF;
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_CF | X86_EFLAGS_OF,
		  page->regs.rflags);
}

/* --- the page is not to be trusted ----------------------------------------- */

/* What the kernel writes there it does not read back. */
TEST_F(page, kernel_members_scribbled)
{
	struct vee_vcpu_page *page = self->g.page;
	__u64 generation;

	GUEST_LONG(&self->g, halt);
	ASSERT_HLT(&self->g, GPA_CODE);
	generation = page->generation;
	page->size = 0xffffffff;
	page->generation = 0xffffffffffffffff;
	page->valid = 0;
	memset(&page->exit, 0xff, sizeof(page->exit));
	page->resume = VEE_RESUME_NEXT;
	ASSERT_HLT(&self->g, GPA_CODE + 1);
	EXPECT_EQ(generation + 1, page->generation);
	EXPECT_EQ(-EINVAL, vcpu_kick(self->g.vcpu, generation + 2));
}

/* Of what is refused nothing is loaded, in this run or the next, though most of it is good. */
TEST_F(page, refused_whole)
{
	struct vee_vcpu_page *page = self->g.page, before;

	GUEST_LONG(&self->g, halt);
	ASSERT_HLT(&self->g, GPA_CODE);
	ASSERT_EQ(0, vcpu_sync(self->g.vcpu, VEE_STATE_ALL));
	before = *page;
	for (unsigned int i = 0; i < 2; i++) {
		page->regs.rip = GPA_DATA;
		page->segments.cs.access_rights = AR_CODE16;
		page->control.cr3 = GPA_DATA;
		page->msrs.pat = 0;
		page->events.activity = 5;
		page->dirty = VEE_STATE_ALL;
		EXPECT_EQ(-EINVAL, guest_run(&self->g));
	}
	page->regs = before.regs;
	page->dirty = 0;
	page->resume = VEE_RESUME_NEXT;
	page->prefetch = VEE_STATE_ALL;
	ASSERT_HLT(&self->g, GPA_CODE + 1);
	EXPECT_EQ(AR_CODE64, page->segments.cs.access_rights);
	EXPECT_EQ(before.control.cr3, page->control.cr3);
	EXPECT_EQ(before.msrs.pat, page->msrs.pat);
	EXPECT_EQ(VEE_ACTIVITY_ACTIVE, page->events.activity);
}

/* Nothing behind the struct's end is written or minded. */
TEST_F(page, tail_scribbled)
{
	unsigned char *tail = (unsigned char *)(self->g.page + 1);
	size_t bytes = PAGE_BYTES - sizeof(struct vee_vcpu_page);
	size_t i, changed = 0;

	GUEST_LONG(&self->g, halt);
	memset(tail, 0xa5, bytes);
	ASSERT_HLT(&self->g, GPA_CODE);
	for (i = 0; i < bytes; i++)
		changed += tail[i] != 0xa5;
	EXPECT_EQ(0, changed);
}

TEST_HARNESS_MAIN
