// SPDX-License-Identifier: GPL-2.0-only
/* /proc/PID/fdinfo of VMs and vCPUs: what it says, who may read it, and that nobody waits. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/utsname.h>

#include "vee_util.h"

#define NOBODY		65534
#define READERS		4
#define READS		50
#define GPA_EXTRA	0x400000ULL
#define EXTRA_PAGES	4

#define REASON_CPUID	"vee-exit-10"
#define REASON_HLT	"vee-exit-12"
#define REASON_IO	"vee-exit-30"

GUEST_CODE(does, 64,
	   "mov $5, %edi; 1: xor %eax, %eax; cpuid; dec %edi; jnz 1b\n"
	   "mov $3, %edi; 1: out %al, $0x42; dec %edi; jnz 1b; hlt");
/* The bytes at RSI on, RCX pages of them. */
GUEST_CODE(touches, 64, "1: movb $1, (%rsi); add $4096, %rsi; loop 1b; hlt");
GUEST_CODE(counts, 64, "sti; 1: xor %eax, %eax; cpuid; incl 0x20000; jmp 1b");

static bool info_text(const char *proc, pid_t pid, int fd, char *text, size_t bytes)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%d/fdinfo/%d", proc, pid, fd);
	return read_text(path, text, bytes);
}

/* The line's number; -1: there is no such line. */
static long long number_in(const char *text, const char *key)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "\n%s:\t", key);
	at = strstr(text, line);
	return at ? atoll(at + strlen(line)) : -1;
}

static long long number_of(int fd, const char *key)
{
	char text[8192];

	return info_text("/proc", getpid(), fd, text, sizeof(text)) ? number_in(text, key) : -2;
}

FIXTURE(fdinfo) {
	struct guest g;
};

FIXTURE_SETUP(fdinfo)
{
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(fdinfo)
{
	guest_close(&self->g);
}

TEST_F(fdinfo, links_tell_them_apart)
{
	char link[64] = "", path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->g.vm);
	EXPECT_LT(0, readlink(path, link, sizeof(link) - 1));
	EXPECT_STREQ("anon_inode:vee-vm", link);
	memset(link, 0, sizeof(link));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->g.vcpu);
	EXPECT_LT(0, readlink(path, link, sizeof(link) - 1));
	EXPECT_STREQ("anon_inode:vee-vcpu", link);
}

/* No more and no less than the guest did, and as VEE_VCPU_STATS has it. */
TEST_F(fdinfo, exits)
{
	struct vee_stats stats = { .size = sizeof(stats) };
	struct guest *g = &self->g;
	char text[8192];

	GUEST_LONG(g, does);
	EXPECT_EQ(-1, number_of(g->vcpu, REASON_CPUID));
	EXPECT_EQ(0, number_of(g->vcpu, "vee-entries"));
	for (int i = 0; i < 3; i++) {
		ASSERT_RUN(g, VEE_EXIT_PIO);
		guest_resume_next(g);
	}
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_STATS, &stats));
	ASSERT_TRUE(info_text("/proc", getpid(), g->vcpu, text, sizeof(text)));
	EXPECT_EQ(VEE_STATS_VERSION, number_in(text, "vee-stats-version"));
	EXPECT_EQ(5, number_in(text, REASON_CPUID));
	EXPECT_EQ(3, number_in(text, REASON_IO));
	EXPECT_EQ(1, number_in(text, REASON_HLT));
	EXPECT_NE(NULL, strstr(text, REASON_IO ":\t3 I/O instruction\n"));
	EXPECT_EQ(0, number_in(text, "vee-vcpu"));
	EXPECT_EQ(stats.user_exits, number_in(text, "vee-runs"));
	EXPECT_EQ(stats.entries, number_in(text, "vee-entries"));
	EXPECT_EQ(stats.faults, number_in(text, "vee-faults"));
	EXPECT_EQ(stats.flushes, number_in(text, "vee-flushes"));
}

TEST_F(fdinfo, of_a_vm)
{
	struct guest sibling, *g = &self->g;
	struct guest other;
	long long vm = number_of(g->vm, "vee-vm");

	EXPECT_EQ(VEE_STATS_VERSION, number_of(g->vm, "vee-stats-version"));
	EXPECT_EQ(vm, number_of(g->vcpu, "vee-vm"));
	EXPECT_EQ(-1, number_of(g->vm, "vee-vcpu"));
	EXPECT_EQ(1, number_of(g->vm, "vee-vcpus"));
	guest_open_sibling(_metadata, g, &sibling, 7);
	EXPECT_EQ(2, number_of(g->vm, "vee-vcpus"));
	EXPECT_EQ(7, number_of(sibling.vcpu, "vee-vcpu"));
	EXPECT_EQ(vm, number_of(sibling.vcpu, "vee-vm"));
	guest_close(&sibling);
	EXPECT_EQ(1, number_of(g->vm, "vee-vcpus"));
	guest_open(_metadata, &other);
	EXPECT_LT(vm, number_of(other.vm, "vee-vm"));
	guest_close(&other);
}

TEST_F(fdinfo, memory)
{
	const __u64 bytes = EXTRA_PAGES * PAGE_BYTES;
	struct guest *g = &self->g;
	long long mapped, tables;
	void *extra = anon_memory(bytes);

	EXPECT_EQ(1, number_of(g->vm, "vee-slots"));
	EXPECT_EQ(GUEST_BYTES / 1024, number_of(g->vm, "vee-lent-kib"));
	EXPECT_EQ(0, number_of(g->vm, "vee-mapped-kib"));
	EXPECT_EQ(4, number_of(g->vm, "vee-tables-kib"));
	memset(extra, 1, bytes);
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, extra, bytes, VEE_RWX));
	EXPECT_EQ(2, number_of(g->vm, "vee-slots"));
	EXPECT_EQ((GUEST_BYTES + bytes) / 1024, number_of(g->vm, "vee-lent-kib"));

	GUEST_LONG(g, touches);
	g->page->regs.rsi = GPA_DATA;
	g->page->regs.rcx = 1;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	mapped = number_of(g->vm, "vee-mapped-kib");
	tables = number_of(g->vm, "vee-tables-kib");
	EXPECT_LE(4, mapped);
	EXPECT_LE(3 * 4, tables);

	GUEST_LONG(g, touches);
	g->page->regs.rsi = GPA_EXTRA;
	g->page->regs.rcx = EXTRA_PAGES;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(mapped + bytes / 1024, number_of(g->vm, "vee-mapped-kib"));
	EXPECT_EQ(tables + 4, number_of(g->vm, "vee-tables-kib"));
	/* The host takes one back; then the slot goes. */
	ASSERT_EQ(0, madvise(extra, PAGE_BYTES, MADV_DONTNEED));
	EXPECT_EQ(mapped + (bytes - PAGE_BYTES) / 1024, number_of(g->vm, "vee-mapped-kib"));
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, bytes));
	EXPECT_EQ(mapped, number_of(g->vm, "vee-mapped-kib"));
	EXPECT_EQ(tables, number_of(g->vm, "vee-tables-kib"));
	EXPECT_EQ(GUEST_BYTES / 1024, number_of(g->vm, "vee-lent-kib"));
	ASSERT_EQ(0, vm_unmap(g->vm, 0, GUEST_BYTES));
	EXPECT_EQ(0, number_of(g->vm, "vee-slots"));
	EXPECT_EQ(0, number_of(g->vm, "vee-lent-kib"));
	EXPECT_EQ(0, number_of(g->vm, "vee-mapped-kib"));
	EXPECT_EQ(4, number_of(g->vm, "vee-tables-kib"));
	munmap(extra, bytes);
}

#define SPARSE_PAGES	65536U

struct sparse_page {
	unsigned int number;
	bool gone;
};

/* How many are gone besides, from number @first to before @end. */
static unsigned int take_pages(struct sparse_page *pages, size_t count, unsigned int first,
			       unsigned int end)
{
	unsigned int taken = 0;

	for (size_t i = 0; i < count; i++) {
		if (pages[i].gone || pages[i].number < first || pages[i].number >= end)
			continue;
		pages[i].gone = true;
		taken++;
	}
	return taken;
}

/*
 * Single pages, each far from the next, the first and the last of a table among them: what
 * is taken away is just what the host takes, and at the end no table is left.
 */
TEST_F(fdinfo, sparse_memory)
{
	struct sparse_page pages[] = {
		{ .number = 0 }, { .number = 1 }, { .number = 200 }, { .number = 511 },
		{ .number = 512 }, { .number = 700 }, { .number = 1023 }, { .number = 40000 },
		{ .number = SPARSE_PAGES - 1 },
	};
	static const struct {
		unsigned int first, end;
	} taken[] = {
		{ 512, 513 }, { 1, 511 }, { 511, 600 }, { 701, 40000 }, { 40000, SPARSE_PAGES },
		{ 0, 1024 },
	};
	const __u64 bytes = SPARSE_PAGES * PAGE_BYTES;
	unsigned int left = ARRAY_SIZE(pages);
	unsigned char *sparse = anon_memory(bytes);
	struct guest *g = &self->g;
	long long before;

	ASSERT_NE(MAP_FAILED, sparse);
	madvise(sparse, bytes, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, sparse, bytes, VEE_RWX));
	GUEST_LONG(g, touches);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		g->page->regs.rsi = GPA_EXTRA + pages[i].number * PAGE_BYTES;
		g->page->regs.rcx = 1;
		guest_set_rip(g, GPA_CODE);
		ASSERT_RUN(g, VEE_EXIT_HLT);
	}
	before = number_of(g->vm, "vee-mapped-kib") - 4 * left;
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		left -= take_pages(pages, ARRAY_SIZE(pages), taken[i].first, taken[i].end);
		ASSERT_EQ(0, madvise(sparse + taken[i].first * PAGE_BYTES,
				     (taken[i].end - taken[i].first) * PAGE_BYTES,
				     MADV_DONTNEED));
		EXPECT_EQ(before + 4 * left, number_of(g->vm, "vee-mapped-kib"))
			TH_LOG("range %zu", i);
	}
	EXPECT_EQ(0, left);
	ASSERT_EQ(0, vm_unmap(g->vm, 0, GUEST_BYTES));
	EXPECT_EQ(0, number_of(g->vm, "vee-mapped-kib"));
	EXPECT_EQ(4, number_of(g->vm, "vee-tables-kib"));
	munmap(sparse, bytes);
}

/* A leaf of 2 MiB, and smaller ones in its place once the host has split it. */
TEST_F(fdinfo, large_pages)
{
	struct guest *g = &self->g;
	char *two = anon_memory(2 * PAGES_2M), *huge;

	huge = (char *)(((uintptr_t)two + PAGES_2M - 1) & ~(PAGES_2M - 1));
	if (madvise(huge, PAGES_2M, MADV_HUGEPAGE))
		VEE_SKIP("no huge pages here");
	memset(huge, 1, PAGES_2M);
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, huge, PAGES_2M, VEE_RWX));
	GUEST_LONG(g, touches);
	g->page->regs.rsi = GPA_EXTRA;
	g->page->regs.rcx = PAGES_2M / PAGE_BYTES;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_LE(PAGES_2M / 1024, number_of(g->vm, "vee-mapped-kib"));
	ASSERT_EQ(0, mprotect(huge, PAGE_BYTES, PROT_READ));
	g->page->regs.rsi = GPA_EXTRA + PAGE_BYTES;
	g->page->regs.rcx = PAGES_2M / PAGE_BYTES - 1;
	guest_set_rip(g, GPA_CODE);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_LE((PAGES_2M - PAGE_BYTES) / 1024, number_of(g->vm, "vee-mapped-kib"));
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, PAGES_2M));
	ASSERT_EQ(0, vm_unmap(g->vm, 0, GUEST_BYTES));
	EXPECT_EQ(0, number_of(g->vm, "vee-mapped-kib"));
	EXPECT_EQ(4, number_of(g->vm, "vee-tables-kib"));
	munmap(two, 2 * PAGES_2M);
}

/* --- who ran it, and who looks ---------------------------------------------------- */

struct hlt_thread {
	struct guest *g;
	pid_t tid;
	long long seen;
};

static void *run_hlt(void *arg)
{
	struct hlt_thread *h = arg;

	h->tid = gettid();
	guest_run(h->g);
	h->seen = number_of(h->g->vcpu, "vee-thread");
	return NULL;
}

TEST_F(fdinfo, who_ran_it)
{
	struct guest *g = &self->g;
	struct hlt_thread h = { .g = g };
	pthread_t thread;

	EXPECT_EQ(getpid(), number_of(g->vm, "vee-process"));
	EXPECT_EQ(getpid(), number_of(g->vcpu, "vee-process"));
	EXPECT_EQ(0, number_of(g->vcpu, "vee-thread"));
	GUEST_LONG(g, does);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(gettid(), number_of(g->vcpu, "vee-thread"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_hlt, &h));
	pthread_join(thread, NULL);
	EXPECT_NE(gettid(), h.tid);
	EXPECT_EQ(h.tid, h.seen);
	EXPECT_TRUE(WAIT_FOR(!number_of(g->vcpu, "vee-thread")));
}

static void expect_exit(struct __test_metadata *_metadata, pid_t child, int status)
{
	int how;

	ASSERT_EQ(child, waitpid(child, &how, 0));
	ASSERT_TRUE(WIFEXITED(how));
	EXPECT_EQ(status, WEXITSTATUS(how));
}

/* What open(2) says to somebody else. */
TEST_F(fdinfo, another_user)
{
	char path[64];
	pid_t child;

	if (geteuid())
		VEE_SKIP("it takes root to be somebody else");
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", getpid(), self->g.vcpu);
	child = fork();
	if (!child) {
		if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		_exit(open(path, O_RDONLY) < 0 ? errno : 0);
	}
	expect_exit(_metadata, child, EACCES);
}

/* The first process of a new PID namespace, with a /proc of its own. */
static int look_from_within(int fd, long long vm)
{
	char text[8192];

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) && errno != EINVAL)
		return 1;
	if (mount("proc", "/proc", "proc", 0, NULL))
		return 2;
	if (!info_text("/proc", 1, fd, text, sizeof(text)))
		return 3;
	if (number_in(text, "vee-vm") != vm)
		return 4;
	return number_in(text, "vee-process") || number_in(text, "vee-thread") ? 5 : 0;
}

TEST_F(fdinfo, another_pid_namespace)
{
	struct guest *g = &self->g;
	long long vm = number_of(g->vm, "vee-vm");
	pid_t child;
	int how;

	if (geteuid() || access("/proc/self/ns/pid", F_OK))
		VEE_SKIP("namespaces take root, and a kernel that has them");
	GUEST_LONG(g, does);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	child = fork();
	if (!child) {
		if (unshare(CLONE_NEWPID | CLONE_NEWNS))
			_exit(6);
		child = fork();
		if (!child)
			_exit(look_from_within(g->vcpu, vm));
		_exit(waitpid(child, &how, 0) == child ? WEXITSTATUS(how) : 7);
	}
	expect_exit(_metadata, child, 0);
}

/* --- whose time it is -------------------------------------------------------------- */

#define COMPUTE_MS	200
#define WORK		8	/* the program's own, in times of a run's */
#define TICKS_LEAST	10	/* of USER_HZ, 100 a second: half of it */

struct times {
	unsigned long user;	/* with the guest's */
	unsigned long kernel;
	unsigned long guest;
};

/* Fields 14, 15 and 43 of proc(5)'s stat: this program's name has no space in it. */
static struct times times_of_thread(void)
{
	struct times times = { };
	char path[64], text[1024], *at = text;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", gettid());
	read_text(path, text, sizeof(text));
	for (int field = 1; at && field <= 43; field++) {
		if (field == 14)
			times.user = atol(at);
		else if (field == 15)
			times.kernel = atol(at);
		else if (field == 43)
			times.guest = atol(at);
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	return times;
}

static struct times times_since(const struct times *before)
{
	struct times now = times_of_thread();

	return (struct times) {
		.user = now.user - before->user,
		.kernel = now.kernel - before->kernel,
		.guest = now.guest - before->guest,
	};
}

GUEST_CODE(computes, 64, "sti; 1: jmp 1b");
GUEST_CODE(writes, 64, "sti; 1: out %al, $0x42; jmp 1b");

/*
 * From 6.15 on kernel_fpu_begin() holds bottom halves off. vee has a guest's FPU loaded
 * when its tick comes, and what a tick strikes then is the kernel's time.
 */
static bool guest_passes_for_kernel(void)
{
	struct utsname name;
	int major, minor;

	return !uname(&name) && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 15));
}

/* What a guest computes is its own time, as KVM's is. */
TEST_F(fdinfo, guest_time)
{
	struct times before = times_of_thread(), times;
	struct guest *g = &self->g;

	if (guest_passes_for_kernel())
		VEE_SKIP("this kernel takes a guest's time for its own");
	GUEST_LONG(g, computes);
	g->page->deadline_ns = COMPUTE_MS * MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	times = times_since(&before);
	EXPECT_LE(TICKS_LEAST, times.guest) TH_LOG("of %lu, %lu in the kernel", times.user,
						   times.kernel);
	EXPECT_GT(TICKS_LEAST, times.kernel);
}

/* And what kernel and program do for it is not. */
TEST_F(fdinfo, time_for_a_guest)
{
	struct times before = times_of_thread(), times;
	__u64 end = now_ns() + COMPUTE_MS * MS_NS;
	struct guest *g = &self->g;

	GUEST_LONG(g, writes);
	while (now_ns() < end) {
		__u64 begun = host_tsc(), done;

		ASSERT_RUN(g, VEE_EXIT_PIO);
		guest_resume_next(g);
		done = host_tsc();
		while (host_tsc() - done < WORK * (done - begun))
			;
	}
	times = times_since(&before);
	EXPECT_LE(TICKS_LEAST, times.kernel + times.user - times.guest)
		TH_LOG("of %lu, %lu in the guest", times.kernel + times.user, times.guest);
	EXPECT_GT(TICKS_LEAST, times.guest);
}

/* --- while guests run ----------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	int fd;
	bool back;	/* a counter went back, or a text was none */
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	long long last = 0;

	for (int i = 0; i < READS; i++) {
		long long now = number_of(r->fd, "vee-entries");

		r->back |= now < last;
		last = now;
	}
	return NULL;
}

TEST_F(fdinfo, many_readers)
{
	struct reader readers[READERS] = { };
	struct guest *g = &self->g;
	struct runner runner;
	__u64 kicked;
	__u32 before;

	GUEST_LONG(g, counts);
	g->page->deadline_ns = 0;
	kicked = generation(g);
	ASSERT_EQ(0, runner_start(&runner, g));
	ASSERT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA)));
	before = guest_read32(g, GPA_DATA);
	for (int i = 0; i < READERS; i++) {
		readers[i].fd = g->vcpu;
		ASSERT_EQ(0, pthread_create(&readers[i].thread, NULL, read_on, &readers[i]));
	}
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		EXPECT_FALSE(readers[i].back);
	}
	EXPECT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA) != before));
	ASSERT_EQ(0, vcpu_kick(g->vcpu, kicked));
	EXPECT_EQ(0, runner_join(&runner));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	EXPECT_LE(guest_read32(g, GPA_DATA), number_of(g->vcpu, REASON_CPUID));
}

struct closing {
	int fd;
	bool over;
	unsigned int read;
};

static void *read_what_closes(void *arg)
{
	struct closing *c = arg;

	while (!__atomic_load_n(&c->over, __ATOMIC_ACQUIRE))
		c->read += number_of(__atomic_load_n(&c->fd, __ATOMIC_RELAXED), "vee-vm") > 0;
	return NULL;
}

/* The file lives on while it is read, and what it is of with it. */
TEST_F(fdinfo, closed_while_read)
{
	struct closing closing = { .fd = self->g.vm };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, read_what_closes, &closing));
	for (int i = 0; i < READS; i++) {
		struct guest g;

		guest_open(_metadata, &g);
		__atomic_store_n(&closing.fd, i & 1 ? g.vm : g.vcpu, __ATOMIC_RELAXED);
		GUEST_LONG(&g, does);
		ASSERT_RUN(&g, VEE_EXIT_PIO);
		guest_close(&g);
	}
	__atomic_store_n(&closing.over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_LT(0, closing.read);
}

TEST_HARNESS_MAIN
