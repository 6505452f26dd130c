// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's own state after each way out of a run: what an exit spoils, and what the guest
 * has another of, is the host's again, for the thread and on each CPU that it was on.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include "breakpoint_util.h"
#include "vee_util.h"

#define CPUS		2
#define CPU1_ONLINE	"/sys/devices/system/cpu/cpu1/online"
#define COUNT		GPA_DATA
#define STOP		(GPA_DATA + 4)

GUEST_CODE(spoil, 64, "swapgs; mov %rax, %cr2; 1: incl 0x20000; cmpl $0, 0x20004; je 1b; hlt");

/* --- what of a CPU is seen by way of /dev/cpu/N/msr ------------------------------- */

static const struct {
	const char *name;
	__u32 index;
} msrs[] = {
	{ "IA32_SYSENTER_CS", 0x174 }, { "IA32_SYSENTER_ESP", 0x175 },
	{ "IA32_SYSENTER_EIP", 0x176 }, { "IA32_DEBUGCTL", 0x1d9 }, { "IA32_PAT", 0x277 },
	{ "IA32_EFER", 0xc0000080 }, { "IA32_STAR", 0xc0000081 }, { "IA32_LSTAR", 0xc0000082 },
	{ "IA32_CSTAR", 0xc0000083 }, { "IA32_FMASK", 0xc0000084 },
	{ "IA32_TSC_AUX", 0xc0000103 },
};

#define MSR_KERNEL_GS_BASE	0xc0000102

/* 0 where there is none: then it is so both times. */
static __u64 msr_of(int cpu, __u32 index)
{
	char path[32];
	__u64 value = 0;
	int fd;

	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &value, sizeof(value), index) != sizeof(value))
		value = 0;
	close(fd);
	return value;
}

struct cpu_state {
	__u64 msr[ARRAY_SIZE(msrs)];
};

static void look_at_cpu(int cpu, struct cpu_state *state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		state->msr[i] = msr_of(cpu, msrs[i].index);
}

/* --- what the thread sees ----------------------------------------------------------- */

enum { GDT_LIMIT, IDT_HOLDS, LDT, TASK, DS, ES, FS, GS, FS_BASE, GS_BASE, KERNEL_GS_BASE, XCR0,
	PKRU, SEEN };

static const char * const seen_names[SEEN] = {
	"the GDT's limit", "an IDT of 256", "LDTR", "TR", "DS", "ES", "FS", "GS",
	"the FS base", "the GS base", "IA32_KERNEL_GS_BASE", "XCR0", "PKRU",
};

#define HOST_GS_BASE	0x12345000
#define HOST_PKRU	0x55555550
#define IDT_BYTES	(256 * 16)

static bool has_leaf7_ecx(unsigned int bit)
{
	unsigned int a, b, c = 0, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & bit;
}

#define CPUID_7_ECX_OSPKE	BIT_ULL(4)

static __u32 pkru(void)
{
	__u32 value = 0;

	if (has_leaf7_ecx(CPUID_7_ECX_OSPKE))
		asm volatile(".byte 0x0f, 0x01, 0xee" : "=a" (value) : "c" (0) : "edx");
	return value;
}

static void set_pkru(__u32 value)
{
	if (has_leaf7_ecx(CPUID_7_ECX_OSPKE))
		asm volatile(".byte 0x0f, 0x01, 0xef" : : "a" (value), "c" (0), "d" (0));
}

static __u64 xcr0(void)
{
	unsigned int a, b, c = 0, d;
	__u32 low, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	asm volatile("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	return (__u64)high << 32 | low;
}

struct table {
	__u16 limit;
	__u64 base;
} __attribute__((packed));

/* What instruction @insn stores of a selector. */
#define SELECTOR_BY(insn)							\
	({									\
		__u16 selector;							\
										\
		asm volatile(insn " %0" : "=m" (selector));			\
		selector;							\
	})

/* In the kernel that is this thread's GS base, on the CPU that it is on: it may be moved. */
static __u64 kernel_gs_base(void)
{
	__u64 base;
	int cpu;

	do {
		cpu = sched_getcpu();
		base = msr_of(cpu, MSR_KERNEL_GS_BASE);
	} while (sched_getcpu() != cpu);
	return base;
}

static void look(__u64 seen[SEEN])
{
	struct table gdt = { 0 }, idt = { 0 };

	asm volatile("sgdt %0" : "=m" (gdt));
	seen[GDT_LIMIT] = gdt.limit;
	/* More than it needs does no harm: see kmod/vcpu/host.c. */
	asm volatile("sidt %0" : "=m" (idt));
	seen[IDT_HOLDS] = idt.limit >= IDT_BYTES - 1;
	seen[LDT] = SELECTOR_BY("sldt");
	seen[TASK] = SELECTOR_BY("str");
	seen[DS] = SELECTOR_BY("mov %%ds,");
	seen[ES] = SELECTOR_BY("mov %%es,");
	seen[FS] = SELECTOR_BY("mov %%fs,");
	seen[GS] = SELECTOR_BY("mov %%gs,");
	syscall(SYS_arch_prctl, ARCH_GET_FS, &seen[FS_BASE]);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &seen[GS_BASE]);
	seen[KERNEL_GS_BASE] = kernel_gs_base();
	seen[XCR0] = xcr0();
	seen[PKRU] = pkru();
}

/* --- CR4: RDTSC is forbidden to this thread alone, in every other run ------------------ */

static __thread volatile sig_atomic_t refused;

static void skip_rdtsc(int sig, siginfo_t *info, void *context)
{
	refused = 1;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

static bool rdtsc_is_refused(void)
{
	refused = 0;
	asm volatile("rdtsc" : : : "eax", "edx", "memory");
	return refused;
}

/* --- DR7: a breakpoint of this thread's ------------------------------------------------- */

static __thread __u32 watched;

/* True also where a kernel has none. */
static bool breakpoint_works(int fd)
{
	__u64 before;

	if (fd < 0)
		return true;
	before = count_of(fd);
	__atomic_store_n(&watched, watched + 1, __ATOMIC_SEQ_CST);
	return before != (__u64)-1 && count_of(fd) == before + 1;
}

/* --- a thread that runs the guest, and looks before and after --------------------------- */

#define ROUNDS	4

struct walker {
	struct runner r;	/* first: its thread, and whether it is over */
	unsigned int rounds;
	bool moves;		/* to another CPU between two runs */
	int wrong;		/* of the thread's state, SEEN: nothing */
	__u64 before[SEEN], after[SEEN];
	bool rdtsc;		/* was allowed after a run, or forbidden */
	bool breakpoint;	/* was lost */
};

static void set_up_thread(void)
{
	struct user_desc desc = { .limit = 0xfff, .seg_32bit = 1 };

	syscall(SYS_modify_ldt, 1, &desc, sizeof(desc));
	syscall(SYS_arch_prctl, ARCH_SET_GS, HOST_GS_BASE);
	set_pkru(HOST_PKRU);
}

static void compare(struct walker *w)
{
	int i;

	look(w->after);
	for (i = 0; i < SEEN && w->wrong == SEEN; i++)
		if (w->after[i] != w->before[i])
			w->wrong = i;
}

static void *walk(void *arg)
{
	struct walker *w = arg;
	unsigned int i;
	bool forbidden;
	int fd;

	set_up_thread();
	fd = watch_writes(&watched);
	look(w->before);
	for (i = 0; i < w->rounds; i++) {
		if (w->moves)
			pin_to_cpu(i & 1);
		forbidden = !(i & 1);
		prctl(PR_SET_TSC, forbidden ? PR_TSC_SIGSEGV : PR_TSC_ENABLE);
		guest_set_rip(w->r.g, GPA_CODE);
		w->r.ret = guest_run_once(w->r.g);
		w->rdtsc |= rdtsc_is_refused() != forbidden;
		prctl(PR_SET_TSC, PR_TSC_ENABLE);
		compare(w);
		w->breakpoint |= !breakpoint_works(fd);
	}
	if (fd >= 0)
		close(fd);
	__atomic_store_n(&w->r.done, true, __ATOMIC_RELEASE);
	return NULL;
}

FIXTURE(host) {
	struct guest g;
	struct walker w;
	struct cpu_state before[CPUS];
};

/* A guest whose own are all others than a host's. */
static void spoil_all(struct guest *g)
{
	GUEST_LONG(g, spoil);
	g->page->control.efer |= EFER_SCE;
	g->page->control.cr4 |= X86_CR4_OSXSAVE;
	g->page->msrs.star = 0x0013000800000000;
	g->page->msrs.lstar = 0x7000;
	g->page->msrs.cstar = 0x8000;
	g->page->msrs.sfmask = 0x12345;
	g->page->msrs.kernel_gs_base = 0xffff888012345000;
	g->page->msrs.tsc_aux = 0xfedcba98;
	g->page->msrs.sysenter_esp = 0x5000;
	g->page->msrs.sysenter_eip = 0x6000;
	g->page->debug.dr[0] = 0x123456789000;
	g->page->debug.dr7 = 0x401;	/* where it never comes */
	g->page->regs.rax = 0xdead000;
	g->page->dirty |= VEE_STATE_CONTROL | VEE_STATE_MSRS | VEE_STATE_DEBUG;
}

FIXTURE_SETUP(host)
{
	struct sigaction on_segv = { .sa_sigaction = skip_rdtsc, .sa_flags = SA_SIGINFO };
	int cpu;

	if (access("/dev/cpu/0/msr", R_OK) && system("modprobe msr 2>/dev/null"))
		TH_LOG("no /dev/cpu/0/msr: MSRs are not looked at");
	guest_open(_metadata, &self->g);
	ASSERT_EQ(0, sigaction(SIGSEGV, &on_segv, NULL));
	for (cpu = 0; cpu < cpus_online() && cpu < CPUS; cpu++)
		look_at_cpu(cpu, &self->before[cpu]);
	spoil_all(&self->g);
	/* By another thread first, whose FS base is another. */
	guest_write32(&self->g, STOP, 1);
	ASSERT_RUN(&self->g, VEE_EXIT_HLT);
	guest_write32(&self->g, STOP, 0);
	self->w = (struct walker) { .r.g = &self->g, .rounds = 1, .wrong = SEEN };
}

FIXTURE_TEARDOWN(host)
{
	guest_close(&self->g);
}

#define BEGIN()									\
	ASSERT_EQ(0, pthread_create(&self->w.r.thread, NULL, walk, &self->w))

static bool counts_on(const struct guest *g)
{
	__u32 count = guest_read32(g, COUNT);

	return WAIT_FOR(guest_read32(g, COUNT) > count + 2);
}

static void expect_as_before(struct __test_metadata *_metadata, struct walker *w,
			     const struct cpu_state *before)
{
	struct cpu_state after;
	int cpu;
	size_t i;

	runner_join(&w->r);
	EXPECT_EQ(SEEN, w->wrong) {
		TH_LOG("%s was %#llx, is %#llx", seen_names[w->wrong], w->before[w->wrong],
		       w->after[w->wrong]);
	}
	EXPECT_FALSE(w->rdtsc);
	EXPECT_FALSE(w->breakpoint);
	for (cpu = 0; cpu < cpus_online() && cpu < CPUS; cpu++) {
		look_at_cpu(cpu, &after);
		for (i = 0; i < ARRAY_SIZE(msrs); i++) {
			EXPECT_EQ(before[cpu].msr[i], after.msr[i])
				TH_LOG("%s of CPU %d", msrs[i].name, cpu);
		}
	}
}

#define EXPECT_AS_BEFORE()	expect_as_before(_metadata, &self->w, self->before)

static void need_two_cpus(struct __test_metadata *_metadata)
{
	if (cpus_online() < 2)
		VEE_SKIP("one CPU");
}

/* --- the ways --------------------------------------------------------------------------- */

TEST_F(host, exit)
{
	guest_write32(&self->g, STOP, 1);
	self->w.rounds = ROUNDS;
	BEGIN();
	EXPECT_AS_BEFORE();
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

TEST_F(host, kick)
{
	BEGIN();
	ASSERT_TRUE(counts_on(&self->g));
	vcpu_kick(self->g.vcpu, generation(&self->g));
	EXPECT_AS_BEFORE();
	EXPECT_EQ(VEE_EXIT_KICKED, self->g.page->exit.reason);
}

static void on_usr1(int sig)
{
}

TEST_F(host, signal)
{
	struct sigaction action = { .sa_handler = on_usr1 };

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	BEGIN();
	ASSERT_TRUE(counts_on(&self->g));
	pthread_kill(self->w.r.thread, SIGUSR1);
	EXPECT_AS_BEFORE();
	EXPECT_EQ(-EINTR, self->w.r.ret);
}

/* The page that it counts in goes, again and again. */
TEST_F(host, fault)
{
	unsigned int i;

	BEGIN();
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_TRUE(counts_on(&self->g));
		ASSERT_EQ(0, madvise(self->g.mem + GPA_DATA, PAGE_BYTES, MADV_DONTNEED));
	}
	guest_write32(&self->g, STOP, 1);
	EXPECT_AS_BEFORE();
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

TEST_F(host, migration_between_runs)
{
	need_two_cpus(_metadata);
	guest_write32(&self->g, STOP, 1);
	self->w.rounds = 2 * ROUNDS;
	self->w.moves = true;
	BEGIN();
	EXPECT_AS_BEFORE();
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

TEST_F(host, migration_in_mid_run)
{
	unsigned int i;

	need_two_cpus(_metadata);
	BEGIN();
	for (i = 0; i < 2 * ROUNDS; i++) {
		ASSERT_EQ(0, pin_runner(&self->w.r, i & 1));
		ASSERT_TRUE(counts_on(&self->g));
	}
	guest_write32(&self->g, STOP, 1);
	EXPECT_AS_BEFORE();
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

TEST_F_TIMEOUT(host, hotplug, 60)
{
	need_two_cpus(_metadata);
	if (access(CPU1_ONLINE, W_OK))
		VEE_SKIP("CPU 1 can't be taken offline");
	BEGIN();
	ASSERT_EQ(0, pin_runner(&self->w.r, 1));
	ASSERT_TRUE(counts_on(&self->g));
	ASSERT_EQ(0, write_file(CPU1_ONLINE, "0"));
	EXPECT_TRUE(counts_on(&self->g));
	ASSERT_EQ(0, write_file(CPU1_ONLINE, "1"));
	guest_write32(&self->g, STOP, 1);
	EXPECT_AS_BEFORE();
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

/* The kernel asks each CPU where it is, and logs a call trace of each that is at work. */
TEST_F_TIMEOUT(host, nmi, 60)
{
	unsigned int i;

	need_two_cpus(_metadata);
	if (!getenv("VEE_NMI") || access("/proc/sysrq-trigger", W_OK))
		VEE_SKIP("needs VEE_NMI=1 and /proc/sysrq-trigger: the log will have call traces");
	ASSERT_EQ(0, pin_to_cpu(0));
	BEGIN();
	ASSERT_EQ(0, pin_runner(&self->w.r, 1));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_TRUE(counts_on(&self->g));
		ASSERT_EQ(0, write_file("/proc/sysrq-trigger", "l"));
	}
	guest_write32(&self->g, STOP, 1);
	EXPECT_AS_BEFORE();
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

TEST_HARNESS_MAIN
