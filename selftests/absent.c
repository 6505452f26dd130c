// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is not at hand and may never be: what ends a run ends it while the run
 * waits for such memory, too, and nobody else waits for it.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "vee_util.h"

#define GPA_ABSENT	0x400000ULL
#define GPA_ELSEWHERE	0x800000ULL
#define PAGES		16
#define BYTES		(PAGES * PAGE_BYTES)
#define SOON_NS		3000000000ULL	/* of a wait that would have no end */

FIXTURE(absent) {
	struct guest g;
	unsigned char *mem;
	int fd;
};

FIXTURE_SETUP(absent)
{
	guest_open(_metadata, &self->g);
	self->mem = anon_memory(BYTES);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->fd = watch_missing(_metadata, self->mem, BYTES);
	ASSERT_EQ(0, vm_map(self->g.vm, GPA_ABSENT, self->mem, BYTES, VEE_RWX));
	catch_sigusr1();
}

FIXTURE_TEARDOWN(absent)
{
	close(self->fd);
	guest_close(&self->g);
	munmap(self->mem, BYTES);
}

GUEST_CODE(load, 64, "mov (%rbx), %rax; hlt");
GUEST_CODE(store, 64, "mov %rax, (%rbx); hlt");

static void set_load(struct guest *g, __u64 gpa)
{
	GUEST_LONG(g, load);
	g->page->regs.rbx = gpa;
}

/* In a wait for the first page; returns when it has begun. */
#define ASSERT_WAITS(r, g, fd)						\
	do {								\
		set_load((g), GPA_ABSENT);				\
		ASSERT_EQ(0, runner_start((r), (g)));			\
		ASSERT_TRUE(wait_missing(fd));				\
		ASSERT_FALSE(runner_done(r));				\
	} while (0)

static bool runner_done_soon(struct runner *r)
{
	__u64 end = now_ns() + SOON_NS;

	while (!runner_done(r) && now_ns() < end)
		usleep(1000);
	return runner_done(r);
}

/* Whatever comes of a test: its thread does not wait for ever. */
static int end_wait(struct runner *r, int fd, void *page)
{
	static unsigned char zeros[PAGE_BYTES];

	if (!runner_done_soon(r))
		supply_missing(fd, page, zeros);
	return runner_join(r);
}

static void supply_one(int fd, unsigned char *page, unsigned char byte)
{
	unsigned char source[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

	memset(source, byte, sizeof(source));
	supply_missing(fd, page, source);
}

/* It is as if nothing had been: the page comes, and the guest with it. */
static void expect_goes_on(struct __test_metadata *_metadata, struct guest *g, int fd,
			   unsigned char *mem)
{
	supply_one(fd, mem, 0x5a);
	g->page->deadline_ns = 0;
	EXPECT_EQ(0, guest_run(g));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, g->page->regs.rax);
}

TEST_F(absent, kick)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_TRUE(runner_done_soon(&r));
	EXPECT_EQ(0, end_wait(&r, self->fd, self->mem));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

TEST_F(absent, deadline)
{
	struct guest *g = &self->g;
	struct runner r;

	g->page->deadline_ns = 50000000;
	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_TRUE(runner_done_soon(&r));
	EXPECT_EQ(0, end_wait(&r, self->fd, self->mem));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

TEST_F(absent, signal)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, pthread_kill(r.thread, SIGUSR1));
	EXPECT_TRUE(runner_done_soon(&r));
	EXPECT_EQ(-EINTR, end_wait(&r, self->fd, self->mem));
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

/* Each run asks anew, and is ended anew. */
TEST_F(absent, over_and_over)
{
	struct guest *g = &self->g;
	struct runner r;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		set_load(g, GPA_ABSENT);
		g->page->deadline_ns = i & 1 ? 3000000 : 0;
		ASSERT_EQ(0, runner_start(&r, g));
		usleep(2000);
		if (!(i & 1))
			vcpu_kick(g->vcpu, generation(g));
		ASSERT_TRUE(runner_done_soon(&r)) TH_LOG("round %u", i);
		ASSERT_EQ(0, end_wait(&r, self->fd, self->mem));
	}
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

struct mapper {
	pthread_t thread;
	const struct guest *g;
	void *mem;
	int map, unmap;
	bool done;
};

static void *mapper_main(void *arg)
{
	struct mapper *m = arg;

	m->map = vm_map(m->g->vm, GPA_ELSEWHERE, m->mem, PAGE_BYTES, VEE_RWX);
	m->unmap = vm_unmap(m->g->vm, GPA_ELSEWHERE, PAGE_BYTES);
	__atomic_store_n(&m->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Slots come and go meanwhile. */
TEST_F(absent, map_meanwhile)
{
	struct mapper m = { .g = &self->g, .mem = anon_memory(PAGE_BYTES) };
	__u64 end = now_ns() + SOON_NS;
	struct runner r;

	ASSERT_WAITS(&r, &self->g, self->fd);
	ASSERT_EQ(0, pthread_create(&m.thread, NULL, mapper_main, &m));
	while (!__atomic_load_n(&m.done, __ATOMIC_ACQUIRE) && now_ns() < end)
		usleep(1000);
	EXPECT_TRUE(m.done);
	EXPECT_FALSE(runner_done(&r));
	supply_one(self->fd, self->mem, 0x5a);
	pthread_join(m.thread, NULL);
	EXPECT_EQ(0, m.map);
	EXPECT_EQ(0, m.unmap);
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

/* ... the very one that is waited for among them. */
TEST_F(absent, unmapped_meanwhile)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, vm_unmap(g->vm, GPA_ABSENT, BYTES));
	supply_one(self->fd, self->mem, 0x5a);
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_MMIO, g->page->exit.reason);
	EXPECT_EQ(GPA_ABSENT, g->page->exit.memory.gpa);
}

TEST_F(absent, other_vcpus)
{
	struct guest *g = &self->g, other;
	struct runner r;

	guest_open_sibling(_metadata, g, &other, 1);
	ASSERT_WAITS(&r, g, self->fd);
	GUEST_LONG(&other, load);
	other.page->regs.rbx = GPA_DATA;
	EXPECT_EQ(0, guest_run(&other));
	EXPECT_EQ(VEE_EXIT_HLT, other.page->exit.reason);
	supply_one(self->fd, self->mem, 0x5a);
	EXPECT_EQ(0, runner_join(&r));
	guest_close(&other);
}

#define WAITERS		8

/* As many as there are vCPUs may wait, each for its own page. */
TEST_F(absent, many)
{
	struct guest others[WAITERS];
	struct runner runners[WAITERS];
	unsigned int i;

	for (i = 0; i < WAITERS; i++) {
		guest_open_sibling(_metadata, &self->g, &others[i], i + 1);
		set_load(&others[i], GPA_ABSENT + i * PAGE_BYTES);
		ASSERT_EQ(0, runner_start(&runners[i], &others[i]));
	}
	ASSERT_TRUE(wait_missing(self->fd));
	for (i = WAITERS; i--;) {
		supply_one(self->fd, self->mem + i * PAGE_BYTES, i);
		EXPECT_EQ(0, runner_join(&runners[i]));
		EXPECT_EQ(VEE_EXIT_HLT, others[i].page->exit.reason);
		EXPECT_EQ(i * 0x0101010101010101ULL, others[i].page->regs.rax);
	}
	for (i = 0; i < WAITERS; i++)
		guest_close(&others[i]);
}

/* An inline run is paused, and can be ended once it goes on. */
TEST_F(absent, step)
{
	struct guest *g = &self->g;
	struct vee_step step = { .vcpu = g->vcpu, .budget_us = 1000000 };
	struct vee_run_each each = {
		.size = sizeof(each),
		.count = 1,
		.steps = (unsigned long)&step,
	};

	set_load(g, GPA_ABSENT);
	g->page->deadline_ns = 100000000;
	EXPECT_EQ(0, vee_call(g->dev, VEE_RUN_EACH, &each));
	EXPECT_EQ(-EINPROGRESS, step.result);
	EXPECT_EQ(0, vee_call(g->vcpu, VEE_VCPU_RUN, (void *)generation(g)));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

/* A child's guest waits for what this process holds back. */
static int wait_in_child(struct __test_metadata *_metadata, int pipe_fd)
{
	void *mem = anon_memory(BYTES);
	int fd = watch_missing(_metadata, mem, BYTES);
	struct guest g;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	guest_open(_metadata, &g);
	if (vm_map(g.vm, GPA_ABSENT, mem, BYTES, VEE_RWX))
		return 1;
	set_load(&g, GPA_ABSENT);
	if (write(pipe_fd, &fd, sizeof(fd)) != sizeof(fd))
		return 1;
	guest_run_once(&g);
	return 1;
}

static bool module_users_are(long count)
{
	__u64 end = now_ns() + SOON_NS;

	while (module_users() != count && now_ns() < end)
		usleep(1000);
	return module_users() == count;
}

/* The death of the process ends all, though the one that supplies its memory lives. */
TEST_F(absent, killed)
{
	long users = module_users();
	int ends[2], fd, there, status = 0;
	__u64 end;
	pid_t child;

	ASSERT_EQ(0, pipe(ends));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(wait_in_child(_metadata, ends[1]));
	ASSERT_EQ(sizeof(there), read(ends[0], &there, sizeof(there)));
	fd = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, child, 0), there, 0);
	ASSERT_LE(0, fd) TH_LOG("%s", strerror(errno));
	ASSERT_TRUE(wait_missing(fd));
	EXPECT_EQ(0, kill(child, SIGKILL));
	for (end = now_ns() + SOON_NS; now_ns() < end; usleep(1000))
		if (waitpid(child, &status, WNOHANG) == child)
			break;
	EXPECT_TRUE(WIFSIGNALED(status));
	/* No thread of vee's is left behind with its memory. */
	EXPECT_TRUE(module_users_are(users)) TH_LOG("%ld, not %ld", module_users(), users);
	close(fd);
}

TEST_HARNESS_MAIN
