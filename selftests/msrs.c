// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model-specific registers that vee keeps for a guest: the guest's own,
 * never the host's, and the time-stamp counter. And of the host's what lies
 * beside them: its selectors, LDT and I/O permissions.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <stddef.h>
#include <sys/io.h>

#include "vee_util.h"

#define MSR_TSC			0x10
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_PAT			0x277
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_FMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103

#define NONCANONICAL		0x0000800000000000ULL

struct kept {
	const char *name;
	__u32 index;
	size_t offset;	/* of its 64 bits in the vCPU page */
	__u64 good[2];
	__u64 bad;	/* #GP; 0: no value is */
};

#define KEPT(name, member, first, second, bad) \
	{ #name, MSR_##name, offsetof(struct vee_vcpu_page, member), \
	  { first, second }, bad }

static const struct kept kept[] = {
	KEPT(SYSENTER_CS, msrs.sysenter_cs, 0x10, 0x1234, 0),
	KEPT(SYSENTER_ESP, msrs.sysenter_esp, 0xfffffe0000003000, 0x5000,
	     NONCANONICAL),
	KEPT(SYSENTER_EIP, msrs.sysenter_eip, 0xffffffff81000000, 0x6000,
	     NONCANONICAL),
	KEPT(PAT, msrs.pat, 0x0007040600070406, 0x0100050401000504,
	     0x0207040600070406),
	KEPT(STAR, msrs.star, 0x001b001800000000, 0xffffffffffffffff, 0),
	KEPT(LSTAR, msrs.lstar, 0xffffffff81800000, 0x7000, NONCANONICAL),
	KEPT(CSTAR, msrs.cstar, 0xffffffff81900000, 0x8000, NONCANONICAL),
	KEPT(FMASK, msrs.sfmask, 0x47700, 0x200, 0),
	KEPT(KERNEL_GS_BASE, msrs.kernel_gs_base, 0xffff888012345000, 0x9000,
	     NONCANONICAL),
	KEPT(TSC_AUX, msrs.tsc_aux, 0xfedcba98, 0x1001, BIT_ULL(32)),
	KEPT(FS_BASE, segments.fs.base, 0x7fffdeadb000, 0xffff800000001000,
	     NONCANONICAL),
	KEPT(GS_BASE, segments.gs.base, 0xffff888000002000, 0xa000,
	     NONCANONICAL),
};

GUEST_CODE(read_msr, 64, "rdmsr; hlt");
GUEST_CODE(write_msr, 64, "wrmsr; mov %rax, %rsi; rdmsr; hlt");

FIXTURE(msrs) {
	struct guest g;
};

FIXTURE_SETUP(msrs)
{
	guest_open(_metadata, &self->g);
	self->g.page->prefetch = VEE_STATE_ALL;
}

FIXTURE_TEARDOWN(msrs)
{
	guest_close(&self->g);
}

static __u64 in_page(const struct guest *g, const struct kept *k)
{
	return *(const __u64 *)((const char *)g->page + k->offset);
}

static void put_in_page(struct guest *g, const struct kept *k, __u64 value)
{
	*(__u64 *)((char *)g->page + k->offset) = value;
	g->page->dirty |= VEE_STATE_MSRS | VEE_STATE_SEGMENTS;
}

static __u64 edx_eax(const struct guest *g)
{
	return g->page->regs.rdx << 32 | g->page->regs.rax;
}

static void set_msr_operands(struct guest *g, __u32 index, __u64 value)
{
	g->page->regs.rcx = index;
	g->page->regs.rax = (__u32)value;
	g->page->regs.rdx = value >> 32;
}

#define kept_end (kept + ARRAY_SIZE(kept))

/* The first read is of what the page says, and no value of the host's. */
TEST_F(msrs, initial_values)
{
	struct guest *g = &self->g;
	const struct kept *k;

	for (k = kept; k < kept_end; k++) {
		__u64 value;

		GUEST_LONG(g, read_msr);
		value = in_page(g, k);
		EXPECT_EQ(k->index == MSR_PAT ? 0x0007040600070406 : 0, value)
			TH_LOG("%s", k->name);
		g->page->regs.rcx = k->index;
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(value, edx_eax(g)) TH_LOG("%s", k->name);
	}
}

TEST_F(msrs, guest_writes)
{
	struct guest *g = &self->g;
	const struct kept *k;
	unsigned int i;

	for (k = kept; k < kept_end; k++) {
		for (i = 0; i < 2; i++) {
			GUEST_LONG(g, write_msr);
			set_msr_operands(g, k->index, k->good[i]);
			ASSERT_RUN(g, VEE_EXIT_HLT);
			EXPECT_EQ(k->good[i], edx_eax(g)) TH_LOG("%s", k->name);
			EXPECT_EQ(k->good[i], in_page(g, k))
				TH_LOG("%s", k->name);
		}
	}
}

TEST_F(msrs, caller_writes)
{
	struct guest *g = &self->g;
	const struct kept *k;
	unsigned int i;

	for (k = kept; k < kept_end; k++) {
		for (i = 0; i < 2; i++) {
			GUEST_LONG(g, read_msr);
			put_in_page(g, k, k->good[i]);
			g->page->regs.rcx = k->index;
			ASSERT_RUN(g, VEE_EXIT_HLT);
			EXPECT_EQ(k->good[i], edx_eax(g)) TH_LOG("%s", k->name);
		}
	}
}

TEST_F(msrs, guest_writes_nonsense)
{
	struct guest *g = &self->g;
	const struct kept *k;
	__u64 before;

	for (k = kept; k < kept_end; k++) {
		if (!k->bad)
			continue;
		GUEST_LONG(g, write_msr);
		before = in_page(g, k);
		set_msr_operands(g, k->index, k->bad);
		ASSERT_EQ(0, guest_run(g));
		EXPECT_EQ(STUB(VECTOR_GP), g->page->regs.rip)
			TH_LOG("%s: %s", k->name, guest_describe(g));
		EXPECT_EQ(before, in_page(g, k)) TH_LOG("%s", k->name);
	}
}

/* Refused at once, or else by the VM entry; and nothing of it is in force. */
TEST_F(msrs, caller_writes_nonsense)
{
	struct guest *g = &self->g;
	const struct kept *k;
	int ret;

	for (k = kept; k < kept_end; k++) {
		if (!k->bad)
			continue;
		GUEST_LONG(g, read_msr);
		put_in_page(g, k, k->bad);
		ret = guest_run(g);
		if (!ret) {
			EXPECT_EQ(VEE_EXIT_ENTRY_FAILED, g->page->exit.reason)
				TH_LOG("%s: %s", k->name, guest_describe(g));
		} else {
			EXPECT_EQ(-EINVAL, ret) TH_LOG("%s", k->name);
		}
		put_in_page(g, k, k->good[0]);
	}
	GUEST_LONG(g, read_msr);
	g->page->regs.rcx = MSR_LSTAR;
	ASSERT_RUN(g, VEE_EXIT_HLT);
}

/* Each vCPU has its own, and keeps them while others run. */
TEST_F(msrs, kept_apart)
{
	struct guest *g = &self->g, other;
	const struct kept *k;

	guest_open_sibling(_metadata, g, &other, 1);
	GUEST_LONG(g, write_msr);
	GUEST_LONG(&other, write_msr);
	for (k = kept; k < kept_end; k++) {
		set_msr_operands(g, k->index, k->good[0]);
		guest_set_rip(g, GPA_CODE);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		set_msr_operands(&other, k->index, k->good[1]);
		guest_set_rip(&other, GPA_CODE);
		ASSERT_RUN(&other, VEE_EXIT_HLT);
	}
	GUEST_LOAD(g, read_msr);
	for (k = kept; k < kept_end; k++) {
		g->page->regs.rcx = k->index;
		guest_set_rip(g, GPA_CODE);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(k->good[0], edx_eax(g)) TH_LOG("%s", k->name);
		other.page->regs.rcx = k->index;
		guest_set_rip(&other, GPA_CODE);
		ASSERT_RUN(&other, VEE_EXIT_HLT);
		EXPECT_EQ(k->good[1], edx_eax(&other)) TH_LOG("%s", k->name);
	}
	guest_close(&other);
}

/* --- the host's ------------------------------------------------------------ */

static __thread int thread_local = 0x1234;

static __u32 host_tsc_aux(void)
{
	__u32 aux;

	asm volatile("rdtscp" : "=c" (aux) : : "eax", "edx");
	return aux;
}

static __u64 host_gs_base(void)
{
	unsigned long base = 0;

	syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	return base;
}

/* The guest fills them with what would end the host at its next system call. */
TEST_F(msrs, host_unaffected)
{
	struct guest *g = &self->g;
	const struct kept *k;
	pid_t pid = getpid();
	unsigned int i, round, same = 0;
	__u32 aux;

	ASSERT_EQ(0, pin_to_cpu(0));
	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_SET_GS, 0x12345000));
	aux = host_tsc_aux();
	GUEST_LONG(g, write_msr);
	for (round = 0; round < 4; round++) {
		for (k = kept; k < kept_end; k++) {
			set_msr_operands(g, k->index, k->good[1]);
			guest_set_rip(g, GPA_CODE);
			ASSERT_RUN(g, VEE_EXIT_HLT);
			for (i = 0; i < 100; i++)
				same += syscall(SYS_getpid) == pid;
		}
		EXPECT_EQ(0x1234, thread_local);
		EXPECT_EQ(0x12345000, host_gs_base());
		EXPECT_EQ(aux, host_tsc_aux());
		sched_yield();
	}
	EXPECT_EQ(4 * ARRAY_SIZE(kept) * 100, same);
}

/* --- the caller's segments ---------------------------------------------------- */

#define LDT_SELECTOR	0x7	/* its first entry, at CPL 3 */
#define FS_WORD		0x12345678
#define GS_WORD		0x9abcdef0
#define FREE_PORT	0x80

/* What a caller finds after a run that it made with LDT_SELECTOR in all of these. */
struct selectors {
	__u16 ds, es, fs, gs;
	__u32 fs_word;	/* at the beginning of FS */
	__u32 gs_word;	/* at 4 in GS */
	long ret;
};

/* In one piece: as long as FS is another's, there are no variables of the thread's. */
static void run_with_selectors(int vcpu, struct selectors *found)
{
	register struct selectors *to asm("r8");
	register unsigned long fs_base asm("r9");
	long ret = SYS_ioctl, fd = vcpu, request = VEE_VCPU_RUN, arg = 0;
	unsigned long base;

	syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
	/* A call would take the registers. */
	to = found;
	fs_base = base;
	asm volatile("mov %%ebx, %%ds; mov %%ebx, %%es; mov %%ebx, %%fs; mov %%ebx, %%gs\n\t"
		     "syscall\n\t"
		     "mov %%ds, (%%r8); mov %%es, 2(%%r8); mov %%fs, 4(%%r8); mov %%gs, 6(%%r8)\n\t"
		     "mov %%fs:0, %%edx; mov %%edx, 8(%%r8)\n\t"
		     "mov %%gs:4, %%edx; mov %%edx, 12(%%r8)\n\t"
		     "mov %%rax, 16(%%r8)\n\t"
		     "xor %%edx, %%edx; mov %%edx, %%ds; mov %%edx, %%es; mov %%edx, %%gs\n\t"
		     "mov %[arch_prctl], %%eax; mov %[set_fs], %%edi; mov %%r9, %%rsi; syscall"
		     : "+a" (ret), "+D" (fd), "+S" (request), "+d" (arg)
		     : "b" (LDT_SELECTOR), "r" (to), "r" (fs_base),
		       [arch_prctl] "i" (SYS_arch_prctl), [set_fs] "i" (ARCH_SET_FS)
		     : "rcx", "r11", "memory");
}

/* An exit leaves the LDT, these selectors and the TSS's limit otherwise than they were. */
TEST_F(msrs, host_segments)
{
	struct user_desc desc = { .limit = 0xfff, .seg_32bit = 1 };
	struct selectors found = { .ds = 0 };
	struct guest *g = &self->g;
	unsigned int round;
	__u32 *words;

	words = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, words);
	words[0] = FS_WORD;
	words[1] = GS_WORD;
	desc.base_addr = (unsigned long)words;
	ASSERT_EQ(0, syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)));
	ASSERT_EQ(0, ioperm(FREE_PORT, 1, 1));
	for (round = 0; round < 4; round++) {
		GUEST_LONG(g, write_msr);
		set_msr_operands(g, MSR_SYSENTER_CS, 0x10);
		run_with_selectors(g->vcpu, &found);
		EXPECT_EQ(0, found.ret);
		EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
		EXPECT_EQ(LDT_SELECTOR, found.ds);
		EXPECT_EQ(LDT_SELECTOR, found.es);
		EXPECT_EQ(LDT_SELECTOR, found.fs);
		EXPECT_EQ(LDT_SELECTOR, found.gs);
		EXPECT_EQ(FS_WORD, found.fs_word);
		EXPECT_EQ(GS_WORD, found.gs_word);
		/* Or it is a SIGSEGV. */
		outb(0, FREE_PORT);
		sched_yield();
	}
	munmap(words, PAGE_BYTES);
}

/* --- IA32_DEBUGCTL ----------------------------------------------------------- */

#define MSR_DEBUGCTL		0x1d9
#define DEBUGCTL_LBR		0x1
#define DEBUGCTL_BTF		0x2
#define GUEST_DEBUGCTL		0x2802	/* in the VMCS */

/* BTF is the guest's, LBR is ignored, and the others are not there. */
TEST_F(msrs, debugctl)
{
	static const struct {
		__u64 written, read;
	} good[] = {
		{ 0, 0 }, { DEBUGCTL_BTF, DEBUGCTL_BTF }, { DEBUGCTL_LBR, 0 },
		{ DEBUGCTL_BTF | DEBUGCTL_LBR, DEBUGCTL_BTF },
	};
	struct guest *g = &self->g;
	unsigned int i;
	__u64 value;

	GUEST_LONG(g, read_msr);
	set_msr_operands(g, MSR_DEBUGCTL, -1);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, edx_eax(g));
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		GUEST_LONG(g, write_msr);
		set_msr_operands(g, MSR_DEBUGCTL, good[i].written);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(good[i].read, edx_eax(g));
		EXPECT_EQ(0, vmcs_read(g->vcpu, GUEST_DEBUGCTL, &value));
		EXPECT_EQ(good[i].read, value);
	}
	for (i = 2; i < 64; i++) {
		GUEST_LONG(g, write_msr);
		set_msr_operands(g, MSR_DEBUGCTL, BIT_ULL(i));
		ASSERT_VECTOR(g, VECTOR_GP);
	}
}

TEST_F(msrs, debugctl_of_the_callers)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_DEBUGCTL, DEBUGCTL_BTF));
	EXPECT_EQ(-EINVAL, vmcs_write(g->vcpu, GUEST_DEBUGCTL, DEBUGCTL_LBR));
	EXPECT_EQ(-EINVAL, vmcs_write(g->vcpu, GUEST_DEBUGCTL, 1ULL << 32));
	GUEST_LONG(g, read_msr);
	set_msr_operands(g, MSR_DEBUGCTL, -1);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(DEBUGCTL_BTF, edx_eax(g));
}

/* A #DB ends it (SDM 3B, "Single-Stepping on Branches"), one that the caller takes doesn't. */
GUEST_CODE(int1, 64, "nop; .byte 0xf1; hlt");

TEST_F(msrs, debugctl_after_db)
{
	struct guest *g = &self->g;
	__u64 value;

	ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_DEBUGCTL, DEBUGCTL_BTF));
	GUEST_LONG(g, int1);
	g->page->intercept = VEE_INTERCEPT_DEBUG;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + 1);
	EXPECT_EQ(0, vmcs_read(g->vcpu, GUEST_DEBUGCTL, &value));
	EXPECT_EQ(DEBUGCTL_BTF, value);
	g->page->intercept = 0;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(0, vmcs_read(g->vcpu, GUEST_DEBUGCTL, &value));
	EXPECT_EQ(0, value);
}

/* With BTF an instruction that is no branch traps no more, also if another does it. */
GUEST_CODE(ask_port, 64, "nop; out %al, $0x42; hlt");

TEST_F(msrs, debugctl_and_tf)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		GUEST_LONG(g, ask_port);
		g->page->events.pending_debug = 0;
		g->page->dirty |= VEE_STATE_EVENTS;
		ASSERT_RUN(g, VEE_EXIT_PIO);
		ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_DEBUGCTL, i ? DEBUGCTL_BTF : 0));
		ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_ALL));
		g->page->regs.rflags |= X86_EFLAGS_TF;
		g->page->dirty |= VEE_STATE_REGS;
		guest_resume_next(g);
		ASSERT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
		ASSERT_RUN(g, VEE_EXIT_KICKED);
		EXPECT_EQ(i ? 0 : 0x4000, g->page->events.pending_debug);
	}
}

/* --- SYSCALL, SYSENTER, SWAPGS --------------------------------------------- */

GUEST_LABEL(syscall_target);
GUEST_LABEL(syscall_return);
GUEST_CODE(syscall_code, 64,
	   "syscall; syscall_return: ud2;"
	   "syscall_target: vmcall; sysretq");

TEST_F(msrs, syscall)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, syscall_code);
	guest_set_user(g);
	g->page->regs.rflags |= X86_EFLAGS_IF | X86_EFLAGS_CF;
	g->page->msrs.star = 0x001b001800000000;
	g->page->msrs.lstar = AT(syscall_code, syscall_target);
	g->page->msrs.sfmask = X86_EFLAGS_IF;
	g->page->dirty |= VEE_STATE_MSRS;
	ASSERT_RUN_AT(g, VEE_EXIT_HYPERCALL, AT(syscall_code, syscall_target));
	EXPECT_EQ(0, g->page->exit.hypercall.cpl);
	EXPECT_EQ(AT(syscall_code, syscall_return), g->page->regs.rcx);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_CF,
		  g->page->regs.r11);
	EXPECT_EQ(X86_EFLAGS_FIXED | X86_EFLAGS_CF, g->page->regs.rflags);
	EXPECT_EQ(SEL_CODE64, g->page->segments.cs.selector);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR_UD);
	EXPECT_EQ(SEL_USER_CODE64 | 3,
		  guest_read64(g, g->page->regs.rsp + 8));
	EXPECT_EQ(AT(syscall_code, syscall_return),
		  guest_read64(g, g->page->regs.rsp));
}

GUEST_LABEL(sysenter_target);
GUEST_CODE(sysenter_code, 64, "sysenter; sysenter_target: vmcall");

TEST_F(msrs, sysenter)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, sysenter_code);
	guest_set_user(g);
	g->page->msrs.sysenter_cs = SEL_CODE64;
	g->page->msrs.sysenter_esp = 0x1230;
	g->page->msrs.sysenter_eip = AT(sysenter_code, sysenter_target);
	g->page->dirty |= VEE_STATE_MSRS;
	ASSERT_RUN_AT(g, VEE_EXIT_HYPERCALL,
		      AT(sysenter_code, sysenter_target));
	EXPECT_EQ(0, g->page->exit.hypercall.cpl);
	EXPECT_EQ(0x1230, g->page->regs.rsp);
	EXPECT_EQ(SEL_CODE64, g->page->segments.cs.selector);
}

GUEST_CODE(swapgs_code, 64, "swapgs; mov %gs:0, %rax; hlt");

TEST_F(msrs, swapgs)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, swapgs_code);
	g->page->segments.gs.base = GPA_DATA;
	g->page->msrs.kernel_gs_base = GPA_DATA + 0x100;
	g->page->dirty |= VEE_STATE_MSRS;
	guest_write64(g, GPA_DATA + 0x100, 0x6767);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0x6767, g->page->regs.rax);
	EXPECT_EQ(GPA_DATA + 0x100, g->page->segments.gs.base);
	EXPECT_EQ(GPA_DATA, g->page->msrs.kernel_gs_base);
}

/* --- the time-stamp counter ------------------------------------------------ */

GUEST_CODE(read_tsc, 64, "rdtsc; hlt");
GUEST_CODE(read_tscp, 64, "rdtscp; hlt");

static void set_tsc_offset(struct guest *g, __u64 offset)
{
	g->page->msrs.tsc_offset = offset;
	g->page->dirty |= VEE_STATE_MSRS;
}

TEST_F(msrs, tsc_offset)
{
	static const __u64 offsets[] = {
		0, 1000000000, BIT_ULL(62), -1000000ULL, -BIT_ULL(63),
	};
	struct guest *g = &self->g;
	__u64 before, after;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		GUEST_LONG(g, read_tsc);
		set_tsc_offset(g, offsets[i]);
		before = host_tsc();
		ASSERT_RUN(g, VEE_EXIT_HLT);
		after = host_tsc();
		/* Modulo 2^64, and so by the distance. */
		EXPECT_GE(after - before, edx_eax(g) - (before + offsets[i]))
			TH_LOG("offset %#llx", offsets[i]);
		EXPECT_EQ(offsets[i], g->page->msrs.tsc_offset);
	}
}

TEST_F(msrs, tsc_as_msr)
{
	struct guest *g = &self->g;
	__u64 before, after;

	GUEST_LONG(g, read_msr);
	set_tsc_offset(g, BIT_ULL(40));
	g->page->regs.rcx = MSR_TSC;
	before = host_tsc();
	ASSERT_RUN(g, VEE_EXIT_HLT);
	after = host_tsc();
	EXPECT_LE(before + BIT_ULL(40), edx_eax(g));
	EXPECT_GE(after + BIT_ULL(40), edx_eax(g));
}

TEST_F(msrs, tsc_written)
{
	const __u64 value = 0x7766554433;
	struct guest *g = &self->g;
	__u64 before, after;

	GUEST_LONG(g, write_msr);
	set_msr_operands(g, MSR_TSC, value);
	before = host_tsc();
	ASSERT_RUN(g, VEE_EXIT_HLT);
	after = host_tsc();
	EXPECT_LE(value, edx_eax(g));
	EXPECT_GE(value + (after - before), edx_eax(g));
	EXPECT_LE(value - after, g->page->msrs.tsc_offset);
	EXPECT_GE(value - before, g->page->msrs.tsc_offset);
}

/* RDTSCP reads the guest's IA32_TSC_AUX; without the control it is #UD. */
TEST_F(msrs, rdtscp)
{
	struct guest *g = &self->g;
	__u64 before, after;

	GUEST_LONG(g, read_tscp);
	g->page->msrs.tsc_aux = 0x8765;
	set_tsc_offset(g, BIT_ULL(50));
	if (!(vee_info(g->dev).features & VEE_FEATURE_RDTSCP)) {
		ASSERT_VECTOR(g, VECTOR_UD);
		return;
	}
	before = host_tsc();
	ASSERT_RUN(g, VEE_EXIT_HLT);
	after = host_tsc();
	EXPECT_EQ(0x8765, g->page->regs.rcx);
	EXPECT_LE(before + BIT_ULL(50), edx_eax(g));
	EXPECT_GE(after + BIT_ULL(50), edx_eax(g));
}

TEST_F(msrs, tsc_user)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, read_tsc);
	guest_set_user(g);
	g->page->control.cr4 |= X86_CR4_TSD;
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(GPA_CODE, guest_read64(g, g->page->regs.rsp + 8));
}

/* Two vCPUs of one VM, with different offsets. */
TEST_F(msrs, tsc_kept_apart)
{
	struct guest *g = &self->g, other;
	unsigned int i;

	guest_open_sibling(_metadata, g, &other, 1);
	GUEST_LONG(g, read_tsc);
	GUEST_LONG(&other, read_tsc);
	set_tsc_offset(g, BIT_ULL(60));
	set_tsc_offset(&other, 0);
	for (i = 0; i < 3; i++) {
		guest_set_rip(g, GPA_CODE);
		guest_set_rip(&other, GPA_CODE);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		ASSERT_RUN(&other, VEE_EXIT_HLT);
		EXPECT_LE(BIT_ULL(60), edx_eax(g));
		EXPECT_GT(BIT_ULL(60), edx_eax(&other));
	}
	guest_close(&other);
}

TEST_HARNESS_MAIN
