// SPDX-License-Identifier: GPL-2.0-only
/*
 * x87, SSE, AVX and AVX-512 state: kept apart between guests and the host, and
 * read and written through VEE_VCPU_GET_XSAVE and VEE_VCPU_SET_XSAVE.
 *
 * States are compared as XSAVE areas in the standard format. Guests and the
 * host fill their registers with XRSTOR and look at them with XSAVE; the host
 * does so right before and after the system call that runs a guest.
 */
#include <stddef.h>

#include "vee_util.h"

#define AREA_BYTES	0x4000ULL
#define GPA_IN		GPA_DATA
#define GPA_OUT		(GPA_DATA + AREA_BYTES)

#define VECTOR_MF	16
#define VECTOR_XM	19

#define FCW_INIT	0x037f
#define FCW_RESET	0x0040	/* SDM 3A, "Processor State After Reset" */
#define MXCSR_INIT	0x1f80

#define XCR0_X87	BIT_ULL(0)
#define XCR0_SSE	BIT_ULL(1)
#define XCR0_AVX	BIT_ULL(2)

/* SDM 1, "XSAVE Area": the part that is the same on every CPU. */
struct area {
	__u16 fcw, fsw;
	__u8 ftw, reserved;
	__u16 fop;
	__u64 fip, fdp;
	__u32 mxcsr, mxcsr_mask;
	__u8 st[8][16];
	__u8 xmm[16][16];
	__u8 unused[96];
	__u64 xstate_bv;
	__u64 xcomp_bv;
	__u8 header_reserved[48];
	__u8 extended[AREA_BYTES - 576];
};

/* What a thread of the host holds in its registers around a run. */
struct host_state {
	struct area in;
	struct area out;
	struct area saved;
	__u64 mask;
};

FIXTURE(fpu) {
	struct guest g;
	struct vee_info info;
	struct host_state *host;
	struct area *pattern;
};

static void need_avx(struct __test_metadata *_metadata, const struct vee_info *info)
{
	if (!(info->xcr0 & XCR0_AVX))
		VEE_SKIP("no AVX here");
}

FIXTURE_SETUP(fpu)
{
	guest_open(_metadata, &self->g);
	self->info = vee_info(self->g.dev);
	ASSERT_GE(AREA_BYTES, self->info.xsave_bytes);
	self->host = anon_memory(sizeof(*self->host));
	self->pattern = anon_memory(sizeof(*self->pattern));
	ASSERT_NE(MAP_FAILED, self->host);
	ASSERT_NE(MAP_FAILED, self->pattern);
	self->host->mask = self->info.xcr0;
}

FIXTURE_TEARDOWN(fpu)
{
	guest_close(&self->g);
	munmap(self->host, sizeof(*self->host));
	munmap(self->pattern, sizeof(*self->pattern));
}

/* --- patterns -------------------------------------------------------------- */

/* Where component @bit is in the area. */
static void component(unsigned int bit, __u32 *offset, __u32 *bytes)
{
	__u32 r[4];

	host_cpuid(0xd, bit, r);
	*bytes = r[0];
	*offset = r[1];
}

static void fill_bytes(void *to, __u32 bytes, unsigned int seed)
{
	__u8 *p = to;

	while (bytes--) {
		seed = seed * 1103515245 + 12345;
		*p++ = seed >> 16;
	}
}

/* A state in which no component is what it is initially. */
static void make_pattern(struct area *area, __u64 xcr0, unsigned int seed)
{
	__u32 offset, bytes;
	unsigned int i;

	memset(area, 0, sizeof(*area));
	area->fcw = FCW_INIT ^ (1 + seed % 3) << 10;
	area->ftw = 0xff;
	area->mxcsr = MXCSR_INIT ^ (1 + seed % 3) << 13;
	for (i = 0; i < 8; i++)
		fill_bytes(area->st[i], 10, seed + i);
	fill_bytes(area->xmm, sizeof(area->xmm), seed + 8);
	for (i = 2; i < 63; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		component(i, &offset, &bytes);
		fill_bytes((__u8 *)area + offset, bytes, seed + 8 + i);
	}
	area->xstate_bv = xcr0;
}

static bool same_x87(const struct area *a, const struct area *b)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		if (memcmp(a->st[i], b->st[i], 10))
			return false;
	return a->fcw == b->fcw && a->fsw == b->fsw && a->ftw == b->ftw;
}

/* NULL if the states are the same in the components of @xcr0. */
static const char *differ(const struct area *a, const struct area *b, __u64 xcr0)
{
	static char text[32];
	__u32 offset, bytes;
	unsigned int i;

	if (xcr0 & XCR0_X87 && !same_x87(a, b))
		return "x87";
	if (xcr0 & XCR0_SSE && memcmp(a->xmm, b->xmm, sizeof(a->xmm)))
		return "XMM";
	if (xcr0 & XCR0_SSE && a->mxcsr != b->mxcsr)
		return "MXCSR";
	for (i = 2; i < 63; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		component(i, &offset, &bytes);
		if (!memcmp((__u8 *)a + offset, (__u8 *)b + offset, bytes))
			continue;
		snprintf(text, sizeof(text), "component %u", i);
		return text;
	}
	return NULL;
}

#define EXPECT_SAME(a, b, xcr0)						\
	do {								\
		const char *same_part = differ(a, b, xcr0);		\
									\
		EXPECT_EQ(NULL, same_part) TH_LOG("%s differs", same_part); \
	} while (0)

/* --- the guest's side ------------------------------------------------------ */

GUEST_LABEL(registers_save);
GUEST_CODE(registers, 64,
	   "mov $-1, %eax; mov $-1, %edx; xrstor64 (%rbx);"
	   "1: dec %rcx; jns 1b; hlt;"
	   "registers_save: mov $-1, %eax; mov $-1, %edx; xsave64 (%rbx); hlt");

static void start_guest(struct guest *g, __u64 xcr0)
{
	GUEST_LONG(g, registers);
	g->page->control.cr4 |= X86_CR4_OSXSAVE;
	g->page->control.xcr0 = xcr0;
}

static struct area *guest_area(struct guest *g, __u64 gpa)
{
	return (struct area *)(g->mem + gpa);
}

/* The next run has the guest load @area, and then spin @spins times. */
static void guest_will_load(struct guest *g, const struct area *area, __u64 spins)
{
	memcpy(guest_area(g, GPA_IN), area, sizeof(*area));
	g->page->regs.rbx = GPA_IN;
	g->page->regs.rcx = spins;
	guest_set_rip(g, AT(registers, registers));
}

/* The next run has the guest save its registers. */
static void guest_will_save(struct guest *g)
{
	memset(guest_area(g, GPA_OUT), 0, AREA_BYTES);
	g->page->regs.rbx = GPA_OUT;
	guest_set_rip(g, AT(registers, registers_save));
}

/* --- the host's side ------------------------------------------------------- */

/*
 * Makes @request of @vcpu with the registers as @host->in has them, and sees to
 * it that nothing else of this program comes in between.
 */
static long run_with(struct host_state *host, int vcpu, unsigned long request)
{
	long ret;

	memset(&host->out, 0, sizeof(host->out));
	memset(&host->saved, 0, sizeof(host->saved));
	asm volatile("mov %[mask], %%r12; mov %[in], %%r8;"
		     "mov %[out], %%r9; mov %[saved], %%r10;"
		     "mov %%r12, %%rax; mov %%r12, %%rdx; shr $32, %%rdx;"
		     "xsave64 (%%r10); xrstor64 (%%r8);"
		     "xor %%edx, %%edx; mov %[nr], %%eax; syscall; mov %%rax, %%r13;"
		     "mov %%r12, %%rax; mov %%r12, %%rdx; shr $32, %%rdx;"
		     "xsave64 (%%r9); xrstor64 (%%r10); mov %%r13, %%rax"
		     : "=&a" (ret)
		     : "D" (vcpu), "S" (request), [nr] "i" (SYS_ioctl),
		       [mask] "m" (host->mask), [in] "r" (&host->in),
		       [out] "r" (&host->out), [saved] "r" (&host->saved)
		     : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "memory");
	return ret;
}

/* The same, with a run that ends well and leaves the host's registers alone. */
#define ASSERT_RUN_WITH(host, g, seed)					\
	do {								\
		struct host_state *with_host = (host);			\
		struct guest *with_g = (g);				\
									\
		make_pattern(&with_host->in, with_host->mask, seed);	\
		ASSERT_EQ(0, run_with(with_host, with_g->vcpu, VEE_VCPU_RUN)); \
		ASSERT_EQ(VEE_EXIT_HLT, with_g->page->exit.reason)	\
			TH_LOG("%s", guest_describe(with_g));		\
		EXPECT_SAME(&with_host->in, &with_host->out, with_host->mask); \
	} while (0)

static int get_xsave(int vcpu, void *area, __u32 bytes)
{
	struct vee_xsave xsave = {
		.size = sizeof(xsave),
		.bytes = bytes,
		.area = (unsigned long)area,
	};

	return vee_call(vcpu, VEE_VCPU_GET_XSAVE, &xsave);
}

static int set_xsave(int vcpu, const void *area, __u32 bytes)
{
	struct vee_xsave xsave = {
		.size = sizeof(xsave),
		.bytes = bytes,
		.area = (unsigned long)area,
	};

	return vee_call(vcpu, VEE_VCPU_SET_XSAVE, &xsave);
}

/* --- kept apart ------------------------------------------------------------ */

/* The test's own tool: a system call that fails leaves the registers alone. */
TEST_F(fpu, host_keeps_pattern)
{
	struct host_state *host = self->host;

	make_pattern(&host->in, host->mask, 1);
	EXPECT_EQ(-ENOTTY, run_with(host, self->g.vcpu, 0));
	EXPECT_SAME(&host->in, &host->out, host->mask);
	EXPECT_EQ(host->mask, host->out.xstate_bv);
}

TEST_F(fpu, guest_and_host)
{
	struct guest *g = &self->g;
	unsigned int i;

	start_guest(g, self->info.xcr0);
	for (i = 0; i < 5; i++) {
		make_pattern(self->pattern, self->info.xcr0, 100 + i);
		guest_will_load(g, self->pattern, 0);
		ASSERT_RUN_WITH(self->host, g, 200 + i);
		guest_will_save(g);
		ASSERT_RUN_WITH(self->host, g, 300 + i);
		EXPECT_SAME(self->pattern, guest_area(g, GPA_OUT), self->info.xcr0);
	}
}

/* Two guests take turns, of one VM and of another; the host has its own. */
static void take_turns(struct __test_metadata *_metadata, struct host_state *host,
		       struct guest *guests[3], __u64 xcr0)
{
	struct area *pattern = anon_memory(sizeof(*pattern));
	unsigned int i;

	for (i = 0; i < 30; i++) {
		struct guest *g = guests[i % 3];

		if (i >= 3) {
			guest_will_save(g);
			ASSERT_RUN_WITH(host, g, 500 + i);
			make_pattern(pattern, xcr0, 1000 + i - 3);
			EXPECT_SAME(pattern, guest_area(g, GPA_OUT), xcr0);
		}
		make_pattern(pattern, xcr0, 1000 + i);
		guest_will_load(g, pattern, 0);
		ASSERT_RUN_WITH(host, g, 600 + i);
	}
	munmap(pattern, sizeof(*pattern));
}

TEST_F(fpu, guests_take_turns)
{
	struct guest sibling, other, *guests[] = { &self->g, &sibling, &other };
	__u64 xcr0 = self->info.xcr0;

	guest_open_sibling(_metadata, &self->g, &sibling, 1);
	guest_open(_metadata, &other);
	start_guest(&self->g, xcr0);
	start_guest(&sibling, xcr0);
	start_guest(&other, xcr0);
	take_turns(_metadata, self->host, guests, xcr0);
	guest_close(&other);
	guest_close(&sibling);
}

/* --- under pressure -------------------------------------------------------- */

#define SPINS	300000

/**
 * struct user - a thread that uses the registers
 * @thread: the thread
 * @g: what it runs; NULL: nothing, it waits in the kernel instead
 * @host: its registers
 * @seed: of its patterns
 * @differs: what was not as it should be, NULL: all was
 */
struct user {
	pthread_t thread;
	struct guest *g;
	struct host_state *host;
	unsigned int seed;
	const char *differs;
};

static const char *use_guest(struct user *u, struct area *pattern)
{
	struct host_state *host = u->host;
	const char *differs;
	int i;

	make_pattern(pattern, host->mask, u->seed);
	guest_will_load(u->g, pattern, SPINS);
	for (i = 0; i < 2; i++) {
		make_pattern(&host->in, host->mask, u->seed + 10 + i);
		while (run_with(host, u->g->vcpu, VEE_VCPU_RUN) == -EINTR)
			;
		differs = differ(&host->in, &host->out, host->mask);
		if (differs)
			return differs;
		guest_will_save(u->g);
	}
	while (guest_run(u->g) == -EINTR)
		;
	if (u->g->page->exit.reason != VEE_EXIT_HLT)
		return "exit reason";
	return differ(pattern, guest_area(u->g, GPA_OUT), host->mask);
}

/* Spins in user mode with its registers full, to be preempted there. */
static const char *use_host(struct user *u)
{
	struct host_state *host = u->host;
	const char *differs = NULL;
	int i;

	for (i = 0; i < 300 && !differs; i++) {
		make_pattern(&host->in, host->mask, u->seed + i);
		run_with(host, -1, 0);
		differs = differ(&host->in, &host->out, host->mask);
	}
	return differs;
}

static void *user_main(void *arg)
{
	struct area *pattern = anon_memory(sizeof(*pattern));
	struct user *u = arg;
	int i;

	pin_to_cpu(0);
	for (i = 0; i < 4 && !u->differs; i++, u->seed += 1000)
		u->differs = u->g ? use_guest(u, pattern) : use_host(u);
	munmap(pattern, sizeof(*pattern));
	return NULL;
}

/* All on one CPU, so that they interrupt each other, in the guests as well. */
TEST_F_TIMEOUT(fpu, preempted, 60)
{
	struct user users[4] = { { .g = &self->g } };
	struct guest other;
	unsigned int i;

	guest_open(_metadata, &other);
	users[1].g = &other;
	start_guest(&self->g, self->info.xcr0);
	start_guest(&other, self->info.xcr0);
	for (i = 0; i < ARRAY_SIZE(users); i++) {
		users[i].host = anon_memory(sizeof(*users[i].host));
		ASSERT_NE(MAP_FAILED, users[i].host);
		users[i].host->mask = self->info.xcr0;
		users[i].seed = 100000 * (i + 1);
		ASSERT_EQ(0, pthread_create(&users[i].thread, NULL, user_main, &users[i]));
	}
	for (i = 0; i < ARRAY_SIZE(users); i++) {
		pthread_join(users[i].thread, NULL);
		EXPECT_EQ(NULL, users[i].differs)
			TH_LOG("thread %u: %s differs", i, users[i].differs);
	}
	guest_close(&other);
}

/* --- a new vCPU ------------------------------------------------------------ */

static bool all_zero(const void *from, size_t bytes)
{
	const __u8 *p = from;

	while (bytes--)
		if (*p++)
			return false;
	return true;
}

static bool registers_zero(const struct area *area)
{
	return all_zero(area->st, sizeof(area->st) + sizeof(area->xmm)) &&
	       all_zero(area->extended, sizeof(area->extended));
}

/* In the area and in the guest: none of what the host has in its registers. */
TEST_F(fpu, new_vcpu)
{
	struct area *area = self->pattern;
	struct guest *g = &self->g;

	ASSERT_EQ(0, get_xsave(g->vcpu, area, self->info.xsave_bytes));
	EXPECT_TRUE(registers_zero(area));
	EXPECT_EQ(0, area->fsw);
	EXPECT_EQ(MXCSR_INIT, area->mxcsr);
	EXPECT_EQ(0, area->xcomp_bv);
	EXPECT_EQ(0, area->xstate_bv & ~self->info.xcr0);
	start_guest(g, self->info.xcr0);
	guest_will_save(g);
	ASSERT_RUN_WITH(self->host, g, 1);
	EXPECT_TRUE(registers_zero(guest_area(g, GPA_OUT)));
	EXPECT_EQ(MXCSR_INIT, guest_area(g, GPA_OUT)->mxcsr);
}

GUEST_CODE(x87_control, 64, "fnstcw 0x20000; hlt");

/* RESET is not FNINIT: all exceptions are unmasked, all registers hold 0. */
TEST_F(fpu, x87_after_reset)
{
	GUEST_LONG(&self->g, x87_control);
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	EXPECT_EQ(FCW_RESET, guest_read32(&self->g, GPA_DATA) & 0xffff);
}

/* The guest turns components on itself; they hold nothing of the host's. */
GUEST_CODE(xsetbv_then_save, 64,
	   "xor %ecx, %ecx; xsetbv;"
	   "mov $-1, %eax; mov $-1, %edx; xsave64 (%rbx); hlt");

TEST_F(fpu, xsetbv_shows_nothing)
{
	struct guest *g = &self->g;

	start_guest(g, XCR0_X87);
	GUEST_LOAD(g, xsetbv_then_save);
	guest_will_save(g);
	guest_set_rip(g, GPA_CODE);
	g->page->regs.rax = (__u32)self->info.xcr0;
	g->page->regs.rdx = self->info.xcr0 >> 32;
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_RUN_WITH(self->host, g, 1);
	EXPECT_EQ(self->info.xcr0, g->page->control.xcr0);
	EXPECT_TRUE(registers_zero(guest_area(g, GPA_OUT)));
}

/* --- XCR0 ------------------------------------------------------------------ */

/* What a guest has not turned on it still has when it turns it on again. */
TEST_F(fpu, narrow_xcr0)
{
	struct guest *g = &self->g;
	struct vee_control *control = &g->page->control;
	__u64 xcr0 = self->info.xcr0;

	start_guest(g, xcr0);
	make_pattern(self->pattern, xcr0, 1);
	guest_will_load(g, self->pattern, 0);
	g->page->prefetch = VEE_STATE_ALL;
	ASSERT_RUN_WITH(self->host, g, 2);
	control->xcr0 = XCR0_X87;
	g->page->dirty |= VEE_STATE_CONTROL;
	guest_will_save(g);
	ASSERT_RUN_WITH(self->host, g, 3);
	EXPECT_EQ(XCR0_X87, guest_area(g, GPA_OUT)->xstate_bv);
	EXPECT_SAME(self->pattern, guest_area(g, GPA_OUT), XCR0_X87);
	EXPECT_TRUE(all_zero(guest_area(g, GPA_OUT)->xmm, 256));
	control->xcr0 = xcr0;
	g->page->dirty |= VEE_STATE_CONTROL;
	guest_will_save(g);
	ASSERT_RUN_WITH(self->host, g, 4);
	EXPECT_SAME(self->pattern, guest_area(g, GPA_OUT), xcr0);
}

/* SSE is governed by CR4 alone; its registers are kept whatever XCR0 says. */
GUEST_LABEL(sse_next);
GUEST_CODE(sse, 64,
	   "movups 0x20000, %xmm3; hlt; sse_next: movups %xmm3, 0x20010; hlt");

TEST_F(fpu, sse_without_xcr0)
{
	struct guest *g = &self->g;

	start_guest(g, XCR0_X87);
	GUEST_LOAD(g, sse);
	fill_bytes(g->mem + GPA_DATA, 16, 5);
	ASSERT_RUN_WITH(self->host, g, 1);
	guest_set_rip(g, AT(sse, sse_next));
	ASSERT_RUN_WITH(self->host, g, 2);
	EXPECT_EQ(0, memcmp(g->mem + GPA_DATA, g->mem + GPA_DATA + 16, 16));
}

GUEST_CODE(avx, 64, "vpxor %ymm0, %ymm0, %ymm0; hlt");
GUEST_CODE(avx512, 64, "vpxord %zmm16, %zmm16, %zmm16; hlt");

/* An instruction whose component is off is undefined, in the guest. */
TEST_F(fpu, avx_needs_xcr0)
{
	struct guest *g = &self->g;

	need_avx(_metadata, &self->info);
	start_guest(g, XCR0_X87 | XCR0_SSE);
	GUEST_LOAD(g, avx);
	ASSERT_VECTOR(g, VECTOR_UD);
	start_guest(g, XCR0_X87 | XCR0_SSE | XCR0_AVX);
	GUEST_LOAD(g, avx);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	GUEST_LOAD(g, avx512);
	guest_set_rip(g, GPA_CODE);
	ASSERT_VECTOR(g, VECTOR_UD);
}

TEST_F(fpu, avx512_works)
{
	struct guest *g = &self->g;

	if (!(self->info.xcr0 & 0xe0))
		VEE_SKIP("no AVX-512 here");
	start_guest(g, self->info.xcr0);
	GUEST_LOAD(g, avx512);
	ASSERT_RUN_WITH(self->host, g, 1);
}

/* --- exceptions and CR0.TS -------------------------------------------------- */

GUEST_CODE(divide, 64,
	   "movl $0x1d80, 0x20000; ldmxcsr 0x20000;"
	   "mov $1, %eax; cvtsi2sd %eax, %xmm0; xorpd %xmm1, %xmm1;"
	   "divsd %xmm1, %xmm0; hlt");

/* Unmasked in the guest, masked in the host: each gets its own. */
TEST_F(fpu, mxcsr_exceptions)
{
	struct guest *g = &self->g;
	double zero = 0, quotient = 1;

	GUEST_LONG(g, divide);
	ASSERT_VECTOR(g, VECTOR_XM);
	asm volatile("divsd %1, %0" : "+x" (quotient) : "x" (zero));
	EXPECT_LT(1e300, quotient);
	ASSERT_EQ(0, get_xsave(g->vcpu, self->pattern, self->info.xsave_bytes));
	EXPECT_EQ(0x1d84, self->pattern->mxcsr);
}

GUEST_CODE(x87_pending, 64,
	   "fninit; movw $0x037b, 0x20000; fldcw 0x20000;"
	   "fld1; fldz; fdivrp; hlt; fwait; hlt");

/* An x87 exception that waits in the guest must not strike in the host. */
TEST_F(fpu, x87_exception_pending)
{
	struct guest *g = &self->g;
	__u16 status;

	GUEST_LONG(g, x87_pending);
	g->page->control.cr0 |= X86_CR0_NE;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	asm volatile("fld1; fstp %%st(0); fwait; fnstsw %0" : "=a" (status));
	EXPECT_EQ(0, status & 0x80);
	ASSERT_EQ(0, get_xsave(g->vcpu, self->pattern, self->info.xsave_bytes));
	EXPECT_EQ(0x80, self->pattern->fsw & 0x80);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR_MF);
}

/* CR0.TS is the guest's own way to be lazy. */
TEST_F(fpu, task_switched)
{
	struct guest *g = &self->g;

	start_guest(g, self->info.xcr0);
	GUEST_LOAD(g, sse);
	g->page->control.cr0 |= X86_CR0_TS;
	ASSERT_VECTOR(g, VECTOR_NM);
	g->page->control.cr0 &= ~X86_CR0_TS;
	start_guest(g, self->info.xcr0);
	GUEST_LOAD(g, sse);
	ASSERT_RUN_WITH(self->host, g, 1);
}

/* --- the requests ---------------------------------------------------------- */

TEST_F(fpu, round_trip)
{
	struct area *area = &self->host->in;
	struct guest *g = &self->g;
	__u32 bytes = self->info.xsave_bytes;
	__u64 xcr0 = self->info.xcr0;

	make_pattern(self->pattern, xcr0, 1);
	ASSERT_EQ(0, set_xsave(g->vcpu, self->pattern, bytes));
	ASSERT_EQ(0, get_xsave(g->vcpu, area, bytes));
	EXPECT_SAME(self->pattern, area, xcr0);
	EXPECT_EQ(xcr0, area->xstate_bv);
	start_guest(g, xcr0);
	guest_will_save(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_SAME(self->pattern, guest_area(g, GPA_OUT), xcr0);
	make_pattern(self->pattern, xcr0, 2);
	guest_will_load(g, self->pattern, 0);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ASSERT_EQ(0, get_xsave(g->vcpu, area, bytes));
	EXPECT_SAME(self->pattern, area, xcr0);
}

/* Components that XSTATE_BV leaves out are to be as they are initially. */
TEST_F(fpu, partial_set)
{
	struct guest *g = &self->g;
	__u64 xcr0 = self->info.xcr0;
	struct area *out;

	make_pattern(self->pattern, xcr0, 1);
	self->pattern->xstate_bv = XCR0_SSE;
	ASSERT_EQ(0, set_xsave(g->vcpu, self->pattern, self->info.xsave_bytes));
	start_guest(g, xcr0);
	guest_will_save(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	out = guest_area(g, GPA_OUT);
	EXPECT_SAME(self->pattern, out, XCR0_SSE);
	EXPECT_EQ(FCW_INIT, out->fcw);
	EXPECT_EQ(0, out->ftw);
	EXPECT_TRUE(all_zero(out->st, sizeof(out->st)));
	EXPECT_TRUE(all_zero(out->extended, sizeof(out->extended)));
	/* MXCSR's mask is in the midst of x87's, and isn't. */
	ASSERT_EQ(0, get_xsave(g->vcpu, self->pattern, self->info.xsave_bytes));
	EXPECT_EQ(FCW_INIT, self->pattern->fcw);
	EXPECT_EQ(out->mxcsr_mask, self->pattern->mxcsr_mask);
	EXPECT_NE(0, out->mxcsr_mask);
}

TEST_F(fpu, wrong_bytes)
{
	__u32 bytes = self->info.xsave_bytes;
	const __u32 wrong[] = { 0, 1, 512, bytes - 1, bytes + 1, 2 * bytes, -1U };
	unsigned int i;

	make_pattern(self->pattern, self->info.xcr0, 1);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (wrong[i] == bytes)
			continue;
		EXPECT_EQ(-EINVAL, get_xsave(self->g.vcpu, self->pattern, wrong[i]));
		EXPECT_EQ(-EINVAL, set_xsave(self->g.vcpu, self->pattern, wrong[i]));
	}
}

struct bad_area {
	const char *what;
	size_t offset;
	__u32 value;
};

#define BAD(member, index, value) \
	{ #member, offsetof(struct area, member) + (index), value }

/* All but MXCSR is in the header. */
static const struct bad_area bad_areas[] = {
	BAD(xcomp_bv, 4, 1U << 31),		/* compacted */
	BAD(xcomp_bv, 0, 1),
	BAD(xstate_bv, 4, 1U << 31),
	BAD(xstate_bv, 4, 1U << 30),
	BAD(xstate_bv, 0, 1U << 9 | 7),		/* PKRU */
	BAD(xstate_bv, 0, 3U << 17 | 7),	/* AMX */
	BAD(header_reserved, 0, 1),
	BAD(header_reserved, 44, 1U << 31),
	BAD(mxcsr, 0, 1U << 16 | MXCSR_INIT),
	BAD(mxcsr, 0, 1U << 31 | MXCSR_INIT),
};

TEST_F(fpu, bad_areas)
{
	struct area *good = self->pattern, *area = &self->host->in;
	__u32 bytes = self->info.xsave_bytes;
	int vcpu = self->g.vcpu;
	unsigned int i;

	make_pattern(good, self->info.xcr0, 1);
	ASSERT_EQ(0, set_xsave(vcpu, good, bytes));
	for (i = 0; i < ARRAY_SIZE(bad_areas); i++) {
		make_pattern(area, self->info.xcr0, 2);
		memcpy((char *)area + bad_areas[i].offset, &bad_areas[i].value, 4);
		EXPECT_EQ(-EINVAL, set_xsave(vcpu, area, bytes))
			TH_LOG("%s = %#x", bad_areas[i].what, bad_areas[i].value);
		ASSERT_EQ(0, get_xsave(vcpu, area, bytes));
		EXPECT_SAME(good, area, self->info.xcr0);
	}
}

/* An area that runs into nothing: refused, and nothing of it taken. */
TEST_F(fpu, area_not_all_there)
{
	unsigned char *two = anon_memory(AREA_BYTES + PAGE_BYTES);
	struct area *area = &self->host->in;
	__u32 bytes = self->info.xsave_bytes;

	ASSERT_NE(MAP_FAILED, two);
	ASSERT_EQ(0, munmap(two + AREA_BYTES, PAGE_BYTES));
	make_pattern(self->pattern, self->info.xcr0, 1);
	ASSERT_EQ(0, set_xsave(self->g.vcpu, self->pattern, bytes));
	EXPECT_EQ(-EFAULT, set_xsave(self->g.vcpu, two + AREA_BYTES - 64, bytes));
	EXPECT_EQ(-EFAULT, get_xsave(self->g.vcpu, two + AREA_BYTES - 64, bytes));
	ASSERT_EQ(0, get_xsave(self->g.vcpu, area, bytes));
	EXPECT_SAME(self->pattern, area, self->info.xcr0);
	/* It needs no alignment. */
	memcpy(two + 1, self->pattern, bytes);
	EXPECT_EQ(0, set_xsave(self->g.vcpu, two + 1, bytes));
	EXPECT_EQ(0, get_xsave(self->g.vcpu, two + 3, bytes));
	munmap(two, AREA_BYTES);
}

TEST_HARNESS_MAIN
