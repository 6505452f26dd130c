// SPDX-License-Identifier: GPL-2.0-only
/*
 * More than one CPU: vCPUs that move, several at once, requests from another
 * thread, CPUs that go and come, translations that must be forgotten elsewhere.
 */
#include <linux/membarrier.h>

#include "vee_util.h"

#define STOP		GPA_DATA	/* not 0: the guest is to halt */
#define COUNT		(GPA_DATA + 0x10)
#define VALUES		(GPA_DATA + 0x100)	/* what registers should hold */
#define MSRS		(GPA_DATA + 0x200)
#define MSRS_MAX	16
#define GPA_EXTRA	0x400000ULL
#define LONG_NS		(20 * DEADLINE_NS)

#define CPU0_ONLINE	"/sys/devices/system/cpu/cpu0/online"
#define CPU1_ONLINE	"/sys/devices/system/cpu/cpu1/online"

#define VMCS_GUEST_RIP	0x681e

FIXTURE(smp) {
	struct guest g;
	cpu_set_t cpus;
};

FIXTURE_SETUP(smp)
{
	if (cpus_online() < 2)
		VEE_SKIP("only one CPU here");
	sched_getaffinity(0, sizeof(self->cpus), &self->cpus);
	if (!CPU_ISSET(0, &self->cpus) || !CPU_ISSET(1, &self->cpus))
		VEE_SKIP("CPUs 0 and 1 are not this program's");
	guest_open(_metadata, &self->g);
	self->g.page->deadline_ns = LONG_NS;
}

FIXTURE_TEARDOWN(smp)
{
	if (!CPU_COUNT(&self->cpus))
		return;
	write_file(CPU0_ONLINE, "1");
	write_file(CPU1_ONLINE, "1");
	guest_close(&self->g);
}

static bool counts_on(const struct guest *g)
{
	__u64 count = guest_read64(g, COUNT);

	return WAIT_FOR(guest_read64(g, COUNT) > count + 2);
}

/* --- a guest that watches over its own state -------------------------------- */

/*
 * Compares registers, MSRs and a vector register with what memory says that they
 * should be, and stops with a VMCALL, RCX telling where, if one is not.
 */
#define CHECK(offset, reg, number) \
	"mov $" #number ", %ecx; cmp 0x20100+" #offset ", " reg "; jne 9f;"

GUEST_CODE(watch, 64,
	   "cli; incq 0x20010;"
	   CHECK(0x00, "%rsp", 1) CHECK(0x08, "%rbp", 2) CHECK(0x10, "%rsi", 3)
	   CHECK(0x18, "%rdi", 4) CHECK(0x20, "%r8", 5) CHECK(0x28, "%r9", 6)
	   CHECK(0x30, "%r10", 7) CHECK(0x38, "%r11", 8) CHECK(0x40, "%r12", 9)
	   CHECK(0x48, "%r13", 10) CHECK(0x50, "%r14", 11) CHECK(0x58, "%r15", 12)
	   "mov %cr2, %rax;" CHECK(0x60, "%rax", 13)
	   "mov %dr1, %rax;" CHECK(0x68, "%rax", 14)
	   "movq %xmm5, %rax;" CHECK(0x70, "%rax", 15)
	   "movhlps %xmm5, %xmm6; movq %xmm6, %rax;" CHECK(0x78, "%rax", 16)
	   "mov $0x20200, %ebx;"
	   "2: mov (%rbx), %ecx; test %ecx, %ecx; jz 3f; rdmsr;"
	   "cmp 8(%rbx), %eax; jne 9f; cmp 12(%rbx), %edx; jne 9f;"
	   "add $16, %rbx; jmp 2b;"
	   "3: cmpl $0, 0x20000; je watch; hlt;"
	   "9: vmcall");

struct msr_value {
	__u64 index;
	__u64 value;
};

static __u64 pattern(unsigned int seed, unsigned int i)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ULL * (i + 1);
}

/* Canonical, for what holds addresses. */
static __u64 address(unsigned int seed, unsigned int i)
{
	return pattern(seed, i) & 0x00007fffffffffffULL;
}

static void watch_registers(struct guest *g, unsigned int seed)
{
	struct vee_vcpu_page *page = g->page;
	__u64 *values = (__u64 *)(g->mem + VALUES);
	struct vee_regs *regs = &page->regs;
	unsigned int i;

	for (i = 0; i < 16; i++)
		values[i] = pattern(seed, i);
	regs->rsp = values[0];
	regs->rbp = values[1];
	regs->rsi = values[2];
	regs->rdi = values[3];
	for (i = 0; i < 8; i++)
		regs->gpr[8 + i] = values[4 + i];
	page->control.cr2 = values[12];
	values[13] = address(seed, 13);
	page->debug.dr[1] = values[13];
	page->debug.dr6 = 0xffff0ff0;
	page->debug.dr7 = 0x400;
	page->dirty |= VEE_STATE_CONTROL | VEE_STATE_DEBUG;
}

static void watch_msrs(struct guest *g, unsigned int seed, bool rdtscp)
{
	struct vee_msrs *msrs = &g->page->msrs;
	const struct msr_value values[] = {
		{ 0x175, msrs->sysenter_esp = address(seed, 20) },
		{ 0x176, msrs->sysenter_eip = address(seed, 21) },
		{ 0xc0000081, msrs->star = pattern(seed, 22) },
		{ 0xc0000082, msrs->lstar = address(seed, 23) },
		{ 0xc0000083, msrs->cstar = address(seed, 24) },
		{ 0xc0000084, msrs->sfmask = pattern(seed, 25) & 0xffffffff },
		{ 0xc0000102, msrs->kernel_gs_base = address(seed, 26) },
		{ 0xc0000100, g->page->segments.fs.base = address(seed, 27) },
		{ 0xc0000101, g->page->segments.gs.base = address(seed, 28) },
		{ 0x277, msrs->pat = seed & 1 ? 0x0007040600070406 : 0x0606060606060606 },
		{ rdtscp ? 0xc0000103 : 0,
		  msrs->tsc_aux = pattern(seed, 29) & 0xffffffff },
		{ 0, 0 },
	};

	memcpy(g->mem + MSRS, values, sizeof(values));
	g->page->dirty |= VEE_STATE_MSRS | VEE_STATE_SEGMENTS;
}

static void watch_xmm5(struct __test_metadata *_metadata, struct guest *g)
{
	struct vee_info info = vee_info(g->dev);
	struct vee_xsave xsave = { .size = sizeof(xsave), .bytes = info.xsave_bytes };
	unsigned char *area = anon_memory(0x4000);

	ASSERT_NE(MAP_FAILED, area);
	xsave.area = (unsigned long)area;
	memcpy(area + 160 + 5 * 16, g->mem + VALUES + 14 * 8, 16);
	area[24] = 0x80;	/* MXCSR, 1F80H */
	area[25] = 0x1f;
	area[512] = 2;		/* XSTATE_BV: SSE */
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_SET_XSAVE, &xsave));
	munmap(area, 0x4000);
}

/* Leaves @g about to watch over a state that no other @seed has. */
static void set_watch(struct __test_metadata *_metadata, struct guest *g,
		      unsigned int seed)
{
	bool rdtscp = vee_info(g->dev).features & VEE_FEATURE_RDTSCP;

	GUEST_LONG(g, watch);
	guest_write32(g, STOP, 0);
	watch_registers(g, seed);
	watch_msrs(g, seed, rdtscp);
	watch_xmm5(_metadata, g);
	g->page->deadline_ns = LONG_NS;
}

static void end_watch(struct __test_metadata *_metadata, struct runner *r)
{
	struct guest *g = r->g;

	guest_write32(g, STOP, 1);
	ASSERT_EQ(0, runner_join(r));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason)
		TH_LOG("%s; at %#llx", guest_describe(g),
		       (unsigned long long)g->page->regs.rcx);
}

/* --- moved ----------------------------------------------------------------- */

TEST_F(smp, moved_between_runs)
{
	struct guest *g = &self->g;
	int i;

	set_watch(_metadata, g, 1);
	guest_write32(g, STOP, 1);
	for (i = 0; i < 40; i++) {
		__u64 rip;

		ASSERT_EQ(0, pin_to_cpu(i & 1));
		ASSERT_RUN(g, VEE_EXIT_HLT);
		guest_set_rip(g, GPA_CODE);
		/* A request from where it did not run. */
		ASSERT_EQ(0, pin_to_cpu(i >> 1 & 1));
		ASSERT_EQ(0, vmcs_read(g->vcpu, VMCS_GUEST_RIP, &rip));
		EXPECT_LT(GPA_CODE, rip);
		ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_ALL));
		EXPECT_EQ(address(1, 23), g->page->msrs.lstar);
		EXPECT_EQ(address(1, 13), g->page->debug.dr[1]);
		EXPECT_EQ(pattern(1, 12), g->page->control.cr2);
	}
	EXPECT_EQ(40, guest_read64(g, COUNT));
}

TEST_F(smp, moved_while_running)
{
	struct guest *g = &self->g;
	struct runner r;
	int i;

	set_watch(_metadata, g, 2);
	ASSERT_EQ(0, runner_insist(&r, g));
	for (i = 0; i < 60; i++) {
		ASSERT_EQ(0, pin_runner(&r, i & 1));
		/* Sometimes so soon that it has hardly arrived. */
		if (i % 3)
			ASSERT_TRUE(counts_on(g));
	}
	end_watch(_metadata, &r);
}

/* Two vCPUs of one VM and one of another pass each other. */
TEST_F(smp, moved_past_each_other)
{
	struct guest other, third, *guests[] = { &self->g, &other, &third };
	struct runner runners[3];
	int i, j;

	guest_open(_metadata, &other);
	guest_open(_metadata, &third);
	for (j = 0; j < 3; j++) {
		set_watch(_metadata, guests[j], 10 + j);
		ASSERT_EQ(0, runner_insist(&runners[j], guests[j]));
	}
	for (i = 0; i < 30; i++) {
		for (j = 0; j < 3; j++)
			ASSERT_EQ(0, pin_runner(&runners[j], (i + j) & 1));
		ASSERT_TRUE(counts_on(guests[i % 3]));
	}
	for (j = 0; j < 3; j++)
		end_watch(_metadata, &runners[j]);
	guest_close(&third);
	guest_close(&other);
}

/*
 * The guest changes its page tables where it is, and invalidates there: the CPU
 * that it was on before must not remember the old translation when it is back.
 */
GUEST_LABEL(remap_change);
GUEST_CODE(remap, 64,
	   "mov 0x30000, %rax; hlt;"
	   "remap_change: mov %rbx, 0x7180; invlpg 0x30000; mov 0x30000, %rax; hlt");

TEST_F(smp, translations_follow)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, remap);
	guest_split_page(g);
	for (i = 0; i < 16; i++)
		guest_write64(g, 0x30000 + i * PAGE_BYTES, i);
	for (i = 0; i < 15; i++) {
		ASSERT_EQ(0, pin_to_cpu(0));
		guest_set_rip(g, GPA_CODE);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		ASSERT_EQ(i, g->page->regs.rax);
		ASSERT_EQ(0, pin_to_cpu(1));
		guest_set_rip(g, AT(remap, remap_change));
		/* The entry at 7180H in the table at GPA_PT is that of 30000H. */
		g->page->regs.rbx = (0x31000 + i * PAGE_BYTES) | PTE_ALL;
		ASSERT_RUN(g, VEE_EXIT_HLT);
		ASSERT_EQ(i + 1, g->page->regs.rax);
	}
}

/* --- together -------------------------------------------------------------- */

/* RDI: whose turn it is when the word at 20020H is even or odd. */
GUEST_CODE(ping_pong, 64,
	   "1: cli; pause; mov 0x20020, %rax; cmp $2000, %rax; jae 2f;"
	   "mov %rax, %rcx; and $1, %ecx; cmp %rdi, %rcx; jne 1b;"
	   "inc %rax; mov %rax, 0x20020; incq (%rbx); jmp 1b;"
	   "2: hlt");

static void start_pair(struct __test_metadata *_metadata, struct guest *guests[2],
		       struct runner runners[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		guests[i]->page->regs.rdi = i;
		guests[i]->page->regs.rbx = GPA_DATA + 0x30 + 8 * i;
		guests[i]->page->deadline_ns = LONG_NS;
		ASSERT_EQ(0, runner_insist(&runners[i], guests[i]));
		ASSERT_EQ(0, pin_runner(&runners[i], i));
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, runner_join(&runners[i]));
		EXPECT_EQ(VEE_EXIT_HLT, guests[i]->page->exit.reason);
	}
}

TEST_F(smp, ping_pong)
{
	struct guest sibling, *guests[] = { &self->g, &sibling };
	struct runner runners[2];

	guest_open_sibling(_metadata, &self->g, &sibling, 1);
	GUEST_LONG(&self->g, ping_pong);
	GUEST_LONG(&sibling, ping_pong);
	start_pair(_metadata, guests, runners);
	EXPECT_EQ(2000, guest_read64(&self->g, GPA_DATA + 0x20));
	EXPECT_EQ(1000, guest_read64(&self->g, GPA_DATA + 0x30));
	EXPECT_EQ(1000, guest_read64(&self->g, GPA_DATA + 0x38));
	guest_close(&sibling);
}

/* A spin lock around a counter that is none of the CPU's atomic ones. */
GUEST_CODE(locked, 64,
	   "mov $5000, %ecx;"
	   "1: mov $1, %eax;"
	   "2: cli; xchg %eax, 0x20040; test %eax, %eax; jz 3f; pause; jmp 2b;"
	   "3: mov 0x20048, %rax; inc %rax; mov %rax, 0x20048;"
	   "movl $0, 0x20040; lock incq 0x20050; dec %ecx; jnz 1b; hlt");

TEST_F(smp, locks)
{
	struct guest sibling, *guests[] = { &self->g, &sibling };
	struct runner runners[2];

	guest_open_sibling(_metadata, &self->g, &sibling, 1);
	GUEST_LONG(&self->g, locked);
	GUEST_LONG(&sibling, locked);
	start_pair(_metadata, guests, runners);
	EXPECT_EQ(10000, guest_read64(&self->g, GPA_DATA + 0x48));
	EXPECT_EQ(10000, guest_read64(&self->g, GPA_DATA + 0x50));
	guest_close(&sibling);
}

/*
 * What waits for RCU, as membarrier(2) does, and half of the kernel, waits no longer for a guest
 * that computes than for a program: some ticks. RCU asks a CPU to schedule after 100 ms.
 */
#define GRACE_TRIES	8
#define GRACE_NS	(60 * MS_NS)

GUEST_CODE(computes, 64, "sti; 1: incl 0x20010; jmp 1b");

TEST_F(smp, grace_periods)
{
	struct guest *g = &self->g;
	unsigned int quick = 0;
	struct runner r;
	__u64 kicked;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		VEE_SKIP("no membarrier(2) for all: %s", strerror(errno));
	GUEST_LONG(g, computes);
	kicked = generation(g);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_EQ(0, pin_runner(&r, 1));
	ASSERT_EQ(0, pin_to_cpu(0));
	ASSERT_TRUE(counts_on(g));
	for (int i = 0; i < GRACE_TRIES; i++) {
		__u64 begun = now_ns();

		ASSERT_EQ(0, syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
		quick += now_ns() - begun < GRACE_NS;
	}
	EXPECT_LT(GRACE_TRIES / 2, quick);
	ASSERT_EQ(0, vcpu_kick(g->vcpu, kicked));
	EXPECT_EQ(0, runner_join(&r));
}

/* VMs come and go on one CPU; that on the other one must not notice. */
TEST_F(smp, others_come_and_go)
{
	struct guest *g = &self->g;
	struct guest other;
	struct runner r;
	unsigned int i;

	set_watch(_metadata, g, 20);
	ASSERT_EQ(0, runner_insist(&r, g));
	ASSERT_EQ(0, pin_runner(&r, 1));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, pin_to_cpu(i & 1));
		guest_open(_metadata, &other);
		set_watch(_metadata, &other, 30 + i);
		guest_write32(&other, STOP, 1);
		ASSERT_EQ(0, guest_insist(&other));
		/* What a VM before it, perhaps at the same place, has left in the TLB. */
		EXPECT_EQ(VEE_EXIT_HLT, other.page->exit.reason);
		EXPECT_EQ(1, guest_read64(&other, COUNT));
		guest_close(&other);
	}
	ASSERT_TRUE(counts_on(g));
	end_watch(_metadata, &r);
}

/* --- busy ------------------------------------------------------------------ */

static const unsigned long busy_requests[] = {
	VEE_VCPU_SYNC, VEE_VCPU_TRANSLATE, VEE_VCPU_GET_CPUID, VEE_VCPU_SET_CPUID,
	VEE_VCPU_GET_XSAVE, VEE_VCPU_SET_XSAVE, VEE_VCPU_VMCS_READ,
	VEE_VCPU_VMCS_WRITE, VEE_VCPU_VMCS_SNAPSHOT, VEE_VCPU_STATS,
};

TEST_F(smp, busy)
{
	/* The first struct that was published is at most this long. */
	struct vee_stats any = { .size = sizeof(any) };
	struct guest *g = &self->g;
	struct runner r;
	unsigned int i;

	set_watch(_metadata, g, 3);
	ASSERT_EQ(0, runner_insist(&r, g));
	ASSERT_TRUE(counts_on(g));
	for (i = 0; i < ARRAY_SIZE(busy_requests); i++) {
		int ret = -EBUSY;
		int tries;

		/* It is not busy for the moment between two runs. */
		for (tries = 0; tries < 100; tries++) {
			ret = vee_call(g->vcpu, busy_requests[i], &any);
			if (ret == -EBUSY)
				break;
		}
		EXPECT_EQ(-EBUSY, ret) TH_LOG("request %#lx", busy_requests[i]);
	}
	EXPECT_EQ(-EBUSY, guest_run(g));
	end_watch(_metadata, &r);
}

/* Many threads want one vCPU: one at a time has it, and none harms another. */
static void *grab(void *arg)
{
	struct guest *g = arg;
	long got = 0;

	while (!guest_read32(g, STOP)) {
		int ret = guest_run(g);

		if (!ret)
			got++;
		else if (ret != -EBUSY && ret != -EINTR)
			return (void *)-1L;
	}
	return (void *)got;
}

GUEST_CODE(count_once, 64, "incq 0x20010; out %al, $0x42");

TEST_F(smp, one_at_a_time)
{
	struct guest *g = &self->g;
	pthread_t threads[3];
	long total = 0;
	void *got;
	int i;

	/* The OUT is never skipped, so each run ends with one without counting. */
	GUEST_LONG(g, count_once);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, grab, g));
	usleep(100000);
	guest_write32(g, STOP, 1);
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &got);
		EXPECT_LE(0, (long)got);
		total += (long)got;
	}
	EXPECT_LT(0, total);
	EXPECT_EQ(1, guest_read64(g, COUNT));
}

/* --- memory taken away from another CPU ------------------------------------ */

GUEST_CODE(writer, 64, "cli; incq (%rbx); jmp writer");

static void start_writer(struct __test_metadata *_metadata, struct guest *g,
			 struct runner *r)
{
	GUEST_LONG(g, writer);
	g->page->regs.rbx = GPA_EXTRA;
	g->page->deadline_ns = LONG_NS;
	ASSERT_EQ(0, runner_start(r, g));
	ASSERT_EQ(0, pin_runner(r, 1));
}

static bool is_still(const __u64 *word)
{
	__u64 before = __atomic_load_n(word, __ATOMIC_ACQUIRE);

	usleep(1000);
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) == before;
}

/* After VEE_VM_UNMAP has returned, not one write more. */
TEST_F(smp, unmapped_elsewhere)
{
	__u64 *word = anon_memory(PAGE_BYTES);
	struct guest *g = &self->g;
	struct runner r;
	int i, ret;

	ASSERT_NE(MAP_FAILED, word);
	ASSERT_EQ(0, pin_to_cpu(0));
	for (i = 0; i < 15; i++) {
		*word = 0;
		ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, word, PAGE_BYTES, VEE_RWX));
		start_writer(_metadata, g, &r);
		ASSERT_TRUE(WAIT_FOR(__atomic_load_n(word, __ATOMIC_ACQUIRE) > 100));
		ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, PAGE_BYTES));
		EXPECT_TRUE(is_still(word));
		ret = runner_join(&r);
		if (ret == -EINTR)
			continue;
		ASSERT_EQ(0, ret);
		EXPECT_EQ(VEE_EXIT_MMIO, g->page->exit.reason);
		EXPECT_EQ(GPA_EXTRA, g->page->exit.memory.gpa);
	}
	munmap(word, PAGE_BYTES);
}

/* Other memory at the same place: the writes go there from then on. */
TEST_F(smp, replaced_elsewhere)
{
	unsigned char *mem = anon_memory(16 * PAGE_BYTES);
	struct guest *g = &self->g;
	struct runner r;
	int i;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, pin_to_cpu(0));
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, mem, PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, writer);
	g->page->regs.rbx = GPA_EXTRA;
	ASSERT_EQ(0, runner_insist(&r, g));
	ASSERT_EQ(0, pin_runner(&r, 1));
	for (i = 1; i < 16; i++) {
		const __u64 *old = (__u64 *)(mem + (i - 1) * PAGE_BYTES);
		const __u64 *new = (__u64 *)(mem + i * PAGE_BYTES);

		ASSERT_TRUE(WAIT_FOR(__atomic_load_n(old, __ATOMIC_ACQUIRE) > 0));
		ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, PAGE_BYTES));
		ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, new, PAGE_BYTES, VEE_RWX));
		ASSERT_TRUE(WAIT_FOR(__atomic_load_n(new, __ATOMIC_ACQUIRE) > 0));
		EXPECT_TRUE(is_still(old));
	}
	/* Not MMIO, which it would try for ever: code that it can't run. */
	guest_write32(g, GPA_CODE, 0xf4f4f4f4);
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	munmap(mem, 16 * PAGE_BYTES);
}

/* The host zaps for both vCPUs, each on a CPU of its own. */
TEST_F(smp, dontneed_for_both)
{
	__u64 *words = anon_memory(PAGE_BYTES);
	struct guest sibling, *guests[] = { &self->g, &sibling };
	struct runner runners[2];
	int i, j;

	ASSERT_NE(MAP_FAILED, words);
	guest_open_sibling(_metadata, &self->g, &sibling, 1);
	ASSERT_EQ(0, vm_map(self->g.vm, GPA_EXTRA, words, PAGE_BYTES, VEE_RWX));
	for (j = 0; j < 2; j++) {
		GUEST_LONG(guests[j], writer);
		guests[j]->page->regs.rbx = GPA_EXTRA + 8 * j;
		guests[j]->page->deadline_ns = LONG_NS;
		ASSERT_EQ(0, runner_insist(&runners[j], guests[j]));
		ASSERT_EQ(0, pin_runner(&runners[j], j));
	}
	for (i = 0; i < 20; i++) {
		for (j = 0; j < 2; j++)
			ASSERT_TRUE(WAIT_FOR(__atomic_load_n(&words[j],
							     __ATOMIC_ACQUIRE) > 10));
		ASSERT_EQ(0, madvise(words, PAGE_BYTES, MADV_DONTNEED));
	}
	guest_write32(&self->g, GPA_CODE, 0xf4f4f4f4);
	for (j = 0; j < 2; j++) {
		ASSERT_EQ(0, runner_join(&runners[j]));
		EXPECT_EQ(VEE_EXIT_HLT, guests[j]->page->exit.reason);
	}
	guest_close(&sibling);
	munmap(words, PAGE_BYTES);
}

/* --- CPUs that go and come ------------------------------------------------- */

static void need_hotplug(struct __test_metadata *_metadata)
{
	if (access(CPU1_ONLINE, W_OK))
		VEE_SKIP("CPU 1 can't be taken offline");
}

/* What is active on a CPU that goes is saved before. */
TEST_F(smp, offline_between_runs)
{
	struct guest *g = &self->g;
	int i;

	need_hotplug(_metadata);
	set_watch(_metadata, g, 4);
	guest_write32(g, STOP, 1);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pin_to_cpu(1));
		ASSERT_RUN(g, VEE_EXIT_HLT);
		guest_set_rip(g, GPA_CODE);
		ASSERT_EQ(0, pin_to_cpu(0));
		ASSERT_EQ(0, write_file(CPU1_ONLINE, "0"));
		ASSERT_RUN(g, VEE_EXIT_HLT);
		guest_set_rip(g, GPA_CODE);
		ASSERT_EQ(0, write_file(CPU1_ONLINE, "1"));
	}
	ASSERT_EQ(0, pin_to_cpu(1));
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(5, guest_read64(g, COUNT));
}

/* Destroyed while the CPU that it ran on last is away. */
TEST_F(smp, destroyed_while_offline)
{
	struct guest other;

	need_hotplug(_metadata);
	guest_open(_metadata, &other);
	set_watch(_metadata, &other, 5);
	guest_write32(&other, STOP, 1);
	ASSERT_EQ(0, pin_to_cpu(1));
	ASSERT_RUN(&other, VEE_EXIT_HLT);
	ASSERT_EQ(0, pin_to_cpu(0));
	ASSERT_EQ(0, write_file(CPU1_ONLINE, "0"));
	guest_close(&other);
	ASSERT_EQ(0, write_file(CPU1_ONLINE, "1"));
	guest_open(_metadata, &other);
	set_watch(_metadata, &other, 6);
	guest_write32(&other, STOP, 1);
	ASSERT_EQ(0, pin_to_cpu(1));
	ASSERT_RUN(&other, VEE_EXIT_HLT);
	guest_close(&other);
}

/* @online: the file of @cpu, of which one of the guests is there each time. */
static void offline_while_running(struct __test_metadata *_metadata, struct guest *g,
				  int cpu, const char *online)
{
	struct guest other, *guests[] = { g, &other };
	struct runner runners[2];
	int i, j;

	guest_open(_metadata, &other);
	for (j = 0; j < 2; j++) {
		set_watch(_metadata, guests[j], 40 + j);
		ASSERT_EQ(0, runner_insist(&runners[j], guests[j]));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pin_runner(&runners[i & 1], cpu));
		ASSERT_TRUE(counts_on(guests[i & 1]));
		ASSERT_EQ(0, write_file(online, "0"));
		EXPECT_TRUE(counts_on(g));
		EXPECT_TRUE(counts_on(&other));
		ASSERT_EQ(0, write_file(online, "1"));
		EXPECT_TRUE(counts_on(g));
		EXPECT_TRUE(counts_on(&other));
	}
	for (j = 0; j < 2; j++)
		end_watch(_metadata, &runners[j]);
	guest_close(&other);
}

TEST_F_TIMEOUT(smp, offline_while_running, 60)
{
	need_hotplug(_metadata);
	offline_while_running(_metadata, &self->g, 1, CPU1_ONLINE);
}

/* Few kernels let it go: until 6.4 those booted with cpu0_hotplug. */
TEST_F_TIMEOUT(smp, cpu_0_offline_while_running, 60)
{
	if (access(CPU0_ONLINE, W_OK))
		VEE_SKIP("CPU 0 can't be taken offline: up to Linux 6.4 with cpu0_hotplug");
	offline_while_running(_metadata, &self->g, 0, CPU0_ONLINE);
}

TEST_HARNESS_MAIN
