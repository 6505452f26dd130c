// SPDX-License-Identifier: GPL-2.0-only
/* Short runs of many vCPUs by one request: VEE_RUN_EACH, by ioctl and io_uring. */
#include <sys/time.h>

#include "uring_util.h"

GUEST_CODE(spin, 64, SPIN);
GUEST_CODE(idle, 64, "sti; hlt; hlt");
GUEST_CODE(out, 64, "1: out %al, $0x10; inc %eax; jmp 1b");
GUEST_CODE(touch, 64, "mov %al, 0x100000; out %al, $0x10");
#define TOUCHED		0x100000

#define VECTOR		0x40
#define LONG_US		1000000U	/* a budget that nothing here uses up */
#define SHORT_US	500U
#define UNTOUCHED	(-777)		/* a result that no step has */

FIXTURE(each) {
	struct guest g;
	struct ring ring;
	bool by_ring;
	__u64 took_ns;	/* the last VEE_RUN_EACH */
	bool paused;	/* a step, for the host's sake */
};

FIXTURE_VARIANT(each) {
	bool by_ring;
};

FIXTURE_VARIANT_ADD(each, ioctl) {
};

FIXTURE_VARIANT_ADD(each, uring) {
	.by_ring = true,
};

FIXTURE_SETUP(each)
{
	int ret;

	guest_open(_metadata, &self->g);
	self->by_ring = variant->by_ring;
	if (!self->by_ring)
		return;
	ret = ring_open(&self->ring, 0);
	if (self->ring.fd < 0)
		VEE_SKIP("no io_uring: %s", strerror(-ret));
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(each)
{
	if (self->by_ring)
		ring_close(&self->ring);
	guest_close(&self->g);
}

static int request(struct _test_data_each *self, unsigned long nr, void *arg)
{
	if (!self->by_ring)
		return vee_call(self->g.dev, nr, arg);
	ring_request(&self->ring, self->g.dev, nr, arg, 1);
	return ring_result(&self->ring);
}

static int run_each(struct _test_data_each *self, struct vee_step *steps, __u32 count)
{
	struct vee_run_each each = {
		.size = sizeof(each), .count = count, .steps = (unsigned long)steps,
	};
	__u64 before = now_ns();
	int ret = request(self, VEE_RUN_EACH, &each);

	self->took_ns = now_ns() - before;
	return ret;
}

/*
 * The host has had the thread, or what it gave back, for as long as any budget lasts: a
 * kernel with all its debugging does so now and then. Then a step may be paused.
 */
static bool host_was_slow(const struct _test_data_each *self)
{
	return self->took_ns >= VEE_MAX_BUDGET_US * 1000ULL;
}

static struct vee_step step_of(const struct guest *g, __u32 budget_us)
{
	return (struct vee_step) {
		.vcpu = g->vcpu, .budget_us = budget_us, .result = UNTOUCHED,
	};
}

/* The result of one step, or of all of it if that failed. */
static int step(struct _test_data_each *self, struct guest *g, __u32 budget_us)
{
	struct vee_step one = step_of(g, budget_us);

	return run_each(self, &one, 1) ?: one.result;
}

/* VEE_VCPU_RUN: the exit's reason, or an error. */
static int run_on(struct guest *g, __u64 number)
{
	int ret = vee_call(g->vcpu, VEE_VCPU_RUN, (void *)number);

	return ret ?: (int)g->page->exit.reason;
}

/* ... by either door. */
static int go_on(struct _test_data_each *self, struct guest *g, __u64 number)
{
	if (!self->by_ring)
		return run_on(g, number);
	ring_request(&self->ring, g->vcpu, VEE_VCPU_RUN, (void *)number, 1);
	return ring_result(&self->ring);
}

/*
 * What a step came to that nothing of the guest's pauses. The host's may: its page is taken
 * away just then (to be moved, say), and to get it back would be to sleep.
 * That happens once in thousands of tests, so in one test not twice.
 */
static int answer(struct _test_data_each *self, struct guest *g, int result)
{
	if (result != -EINPROGRESS || (self->paused && !host_was_slow(self)))
		return result;
	self->paused = true;
	return run_on(g, g->page->generation);
}

/* --- steps ----------------------------------------------------------------------- */

#define MANY	8

/* Of two VMs, several rounds, and no other thread. */
TEST_F(each, steps)
{
	struct vee_step steps[MANY] = { };
	struct guest many[MANY];
	unsigned int i, round;

	guest_open(_metadata, &many[0]);
	GUEST_LONG(&many[0], out);
	many[1] = self->g;
	GUEST_LONG(&many[1], out);
	for (i = 2; i < MANY; i++) {
		guest_open_sibling(_metadata, &many[i % 2], &many[i], i);
		guest_set_long(&many[i]);
	}
	for (round = 0; round < 3; round++) {
		for (i = 0; i < MANY; i++)
			steps[i] = step_of(&many[i], LONG_US);
		ASSERT_EQ(0, run_each(self, steps, MANY));
		for (i = 0; i < MANY; i++) {
			EXPECT_EQ(VEE_EXIT_PIO, answer(self, &many[i], steps[i].result));
			EXPECT_EQ(VEE_EXIT_PIO, many[i].page->exit.reason);
			EXPECT_EQ(round, many[i].page->exit.pio.data);
			EXPECT_EQ(round + 2, many[i].page->generation);
			guest_resume_next(&many[i]);
		}
	}
	EXPECT_EQ(1, threads());
	for (i = MANY - 1; i > 1; i--)
		guest_close(&many[i]);
	guest_close(&many[0]);
}

/* A step is a run like any other: it takes the page, and one vCPU can have several. */
TEST_F(each, one_vcpu_several_times)
{
	struct guest *g = &self->g;
	struct vee_step steps[3] = { };
	unsigned int i;

	GUEST_LONG(g, out);
	for (i = 0; i < 3; i++)
		steps[i] = step_of(g, LONG_US);
	guest_resume_next(g);
	g->page->exit.instruction_length = 0;
	ASSERT_EQ(0, run_each(self, steps, 3));
	/* No exit was there to resume from: that step took nothing. */
	EXPECT_EQ(-EINVAL, steps[0].result);
	EXPECT_EQ(-EINVAL, steps[2].result);
	g->page->resume = VEE_RESUME_HERE;
	ASSERT_EQ(0, run_each(self, steps, 3));
	for (i = 0; i < 3 && !host_was_slow(self); i++)
		EXPECT_EQ(VEE_EXIT_PIO, steps[i].result);
	EXPECT_EQ(VEE_EXIT_PIO, answer(self, g, steps[2].result));
	EXPECT_EQ(4, g->page->generation);
	EXPECT_EQ(0, g->page->exit.pio.data);
}

/* Single steps, which may have to look at the instruction first. */
GUEST_CODE(flags, 64, "pushf; pop %rax; nop; hlt");

TEST_F(each, single_steps)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, flags);
	/* All there is to it is at hand. */
	ASSERT_RUN(g, VEE_EXIT_HLT);
	guest_set_rip(g, GPA_CODE);
	g->page->intercept = VEE_INTERCEPT_STEP;
	for (i = 1; i < 4; i++) {
		struct vee_step step = step_of(g, LONG_US);

		ASSERT_EQ(0, run_each(self, &step, 1));
		EXPECT_EQ(VEE_EXIT_DEBUG, answer(self, g, step.result));
		EXPECT_EQ(GPA_CODE + i, g->page->regs.rip);
	}
	EXPECT_EQ(X86_EFLAGS_FIXED, g->page->regs.rax);
}

TEST_F(each, kicked)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, spin);
	memset(g->mem + GPA_DATA, 0, PAGE_BYTES);
	ASSERT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(VEE_EXIT_KICKED, step(self, g, LONG_US));
	g->page->deadline_ns = MS_NS;
	EXPECT_EQ(VEE_EXIT_DEADLINE, step(self, g, LONG_US));
}

/* --- what a step leaves to others --------------------------------------------------- */

/* The same run: its number, its deadline from the beginning, its event once. */
TEST_F(each, goes_on)
{
	struct vee_stats stats = { .size = sizeof(stats) };
	struct guest *g = &self->g;
	__u64 number, before;

	GUEST_LONG(g, spin);
	/* A page that the host had to bring would end the budget. */
	memset(g->mem + GPA_DATA, 0, PAGE_BYTES);
	g->page->deadline_ns = 200 * MS_NS;
	number = g->page->generation;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	before = now_ns();
	EXPECT_EQ(-EINPROGRESS, step(self, g, 20000));
	EXPECT_LE(19 * MS_NS, now_ns() - before);
	EXPECT_EQ(number, g->page->generation);
	EXPECT_EQ(0, g->page->inject.flags);
	EXPECT_EQ(VEE_EXIT_DEADLINE, go_on(self, g, number));
	EXPECT_LE(199 * MS_NS, now_ns() - before);
	EXPECT_GE(700 * MS_NS, now_ns() - before);
	EXPECT_EQ(number + 1, g->page->generation);
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_STATS, &stats));
	EXPECT_EQ(1, stats.runs);
	EXPECT_EQ(1, stats.user_exits);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
	EXPECT_EQ(VECTOR, g->page->events.interrupt.vector);
}

/* Only a run that is paused can go on, and only as long as no other takes its place. */
TEST_F(each, nothing_to_go_on_with)
{
	struct guest *g = &self->g;
	__u64 number;

	GUEST_LONG(g, spin);
	number = g->page->generation;
	EXPECT_EQ(-ESTALE, go_on(self, g, number));
	EXPECT_EQ(-EINVAL, go_on(self, g, number + 1));
	EXPECT_EQ(-EINVAL, go_on(self, g, ~0ULL));
	EXPECT_NE(0, g->page->dirty);
	EXPECT_EQ(-EINPROGRESS, step(self, g, SHORT_US));
	EXPECT_EQ(-EINVAL, go_on(self, g, number + 1));
	g->page->deadline_ns = MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	EXPECT_EQ(number + 2, g->page->generation);
	EXPECT_EQ(-ESTALE, go_on(self, g, number));
	EXPECT_EQ(-ESTALE, go_on(self, g, number + 1));
	EXPECT_EQ(-ESTALE, go_on(self, g, number + 2));
	g->page->deadline_ns = DEADLINE_NS;
	EXPECT_EQ(-EINPROGRESS, step(self, g, SHORT_US));
	EXPECT_EQ(-EINPROGRESS, step(self, g, SHORT_US));
	EXPECT_EQ(-ESTALE, go_on(self, g, number + 2));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, number + 3));
	EXPECT_EQ(VEE_EXIT_KICKED, go_on(self, g, number + 3));
}

TEST_F(each, halt_sleeps_elsewhere)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	EXPECT_EQ(-EINPROGRESS, step(self, g, LONG_US));
	EXPECT_EQ(0, vcpu_inject(g->vcpu, VEE_EVENT_INTERRUPT, VECTOR));
	EXPECT_EQ(VEE_EXIT_HYPERCALL, go_on(self, g, g->page->generation));
	EXPECT_EQ(STUB(VECTOR), g->page->regs.rip);
}

TEST_F(each, page_fault_elsewhere)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, touch);
	/* Also where all of the guest's memory is one huge page. */
	ASSERT_EQ(0, madvise(g->mem + TOUCHED, PAGE_BYTES, MADV_DONTNEED));
	EXPECT_EQ(-EINPROGRESS, step(self, g, LONG_US));
	EXPECT_EQ(VEE_EXIT_PIO, go_on(self, g, g->page->generation));
}

/* However much a step asks for, the thread has not to wait for long. */
TEST_F(each, budget_has_an_end)
{
	struct guest *g = &self->g;
	__u64 before;

	GUEST_LONG(g, spin);
	g->page->deadline_ns = MS_NS;
	EXPECT_EQ(VEE_EXIT_DEADLINE, go_on(self, g, 0));
	g->page->deadline_ns = 0;
	before = now_ns();
	EXPECT_EQ(-EINPROGRESS, step(self, g, ~0U));
	EXPECT_GE(VEE_MAX_BUDGET_US * 1000ULL + 500 * MS_NS, now_ns() - before);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(VEE_EXIT_KICKED, go_on(self, g, g->page->generation));
}

/* Without a budget nothing begins, and nothing is taken of the page. */
TEST_F(each, no_budget)
{
	struct guest *g = &self->g;
	__u64 number = g->page->generation;

	GUEST_LONG(g, out);
	EXPECT_EQ(-EAGAIN, step(self, g, 0));
	EXPECT_NE(0, g->page->dirty);
	EXPECT_EQ(number, g->page->generation);
	EXPECT_EQ(VEE_EXIT_PIO, go_on(self, g, 0));
}

/* 0: no longer */
static void interrupt_every(long us)
{
	const struct itimerval timer = {
		.it_value.tv_usec = us, .it_interval.tv_usec = us,
	};
	struct sigaction action = { .sa_handler = signal_ignored };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* The run under way is paused, those after it don't begin. */
TEST_F(each, signal)
{
	struct guest *g = &self->g, sibling;
	struct vee_step steps[2] = { };
	__u64 before = now_ns();

	GUEST_LONG(g, spin);
	memset(g->mem + GPA_DATA, 0, PAGE_BYTES);
	guest_open_sibling(_metadata, g, &sibling, 1);
	guest_set_long(&sibling);
	steps[0] = step_of(g, VEE_MAX_BUDGET_US);
	steps[1] = step_of(&sibling, VEE_MAX_BUDGET_US);
	interrupt_every(VEE_MAX_BUDGET_US / 4);
	/* Or the signal comes before the step does. */
	do {
		EXPECT_EQ(0, run_each(self, steps, 2));
	} while (steps[0].result == -EINTR && now_ns() - before < 5000 * MS_NS);
	interrupt_every(0);
	EXPECT_GE(5000 * MS_NS, now_ns() - before);
	EXPECT_EQ(-EINPROGRESS, steps[0].result);
	EXPECT_EQ(-EINTR, steps[1].result);
	EXPECT_NE(0, sibling.page->dirty);
	EXPECT_EQ(1, sibling.page->generation);
	sibling.page->deadline_ns = MS_NS;
	EXPECT_EQ(VEE_EXIT_DEADLINE, step(self, &sibling, LONG_US));
	guest_close(&sibling);
}

/* What goes on may be interrupted, too, and is over then. */
TEST_F(each, signal_as_it_goes_on)
{
	struct guest *g = &self->g;
	__u64 number;

	GUEST_LONG(g, spin);
	memset(g->mem + GPA_DATA, 0, PAGE_BYTES);
	number = g->page->generation;
	EXPECT_EQ(-EINPROGRESS, step(self, g, SHORT_US));
	interrupt_every(200000);
	/* By ioctl: workers see no signal. */
	EXPECT_EQ(-EINTR, vee_call(g->vcpu, VEE_VCPU_RUN, (void *)number));
	interrupt_every(0);
	EXPECT_EQ(-ESTALE, go_on(self, g, number));
	g->page->deadline_ns = MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
}

/* --- who may, and what may be asked ------------------------------------------------- */

/* What is wrong with one step is no matter of the others. */
TEST_F(each, bad_steps)
{
	struct guest *g = &self->g;
	struct vee_step steps[] = {
		{ .vcpu = -1, .budget_us = LONG_US },
		{ .vcpu = 1 << 20, .budget_us = LONG_US },
		{ .vcpu = g->vm, .budget_us = LONG_US },
		{ .vcpu = g->dev, .budget_us = LONG_US },
		{ .vcpu = 1, .budget_us = LONG_US },
		{ .vcpu = g->vcpu, .budget_us = LONG_US, .reserved = 1 },
		{ .vcpu = g->vcpu, .budget_us = LONG_US },
	};
	static const int results[] = {
		-EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EINVAL, VEE_EXIT_PIO,
	};
	unsigned int i;

	GUEST_LONG(g, out);
	EXPECT_EQ(0, run_each(self, steps, ARRAY_SIZE(steps)));
	for (i = 0; i < ARRAY_SIZE(steps); i++)
		EXPECT_EQ(results[i], answer(self, g, steps[i].result)) TH_LOG("step %u", i);
	EXPECT_EQ(2, g->page->generation);
}

TEST_F(each, how_many)
{
	struct vee_step *steps = calloc(VEE_MAX_STEPS + 1, sizeof(*steps));
	struct guest *g = &self->g;
	unsigned int i;

	ASSERT_NE(NULL, steps);
	GUEST_LONG(g, out);
	for (i = 0; i <= VEE_MAX_STEPS; i++)
		steps[i] = step_of(g, LONG_US);
	EXPECT_EQ(-EINVAL, run_each(self, steps, 0));
	EXPECT_EQ(-EINVAL, run_each(self, steps, VEE_MAX_STEPS + 1));
	EXPECT_EQ(-EINVAL, run_each(self, steps, ~0U));
	EXPECT_EQ(1, g->page->generation);
	EXPECT_EQ(0, run_each(self, steps, VEE_MAX_STEPS));
	EXPECT_EQ(1 + VEE_MAX_STEPS, g->page->generation);
	EXPECT_EQ(VEE_EXIT_PIO, answer(self, g, steps[VEE_MAX_STEPS - 1].result));
	free(steps);
}

/* What was done before the steps can't be reached is done, and says so. */
TEST_F(each, bad_pointers)
{
	struct vee_step *end, *pages = anon_memory(2 * PAGE_BYTES);
	struct guest *g = &self->g;

	ASSERT_NE(MAP_FAILED, pages);
	GUEST_LONG(g, out);
	EXPECT_EQ(-EFAULT, run_each(self, NULL, 1));
	EXPECT_EQ(-EFAULT, run_each(self, (void *)(1UL << 63), 1));
	end = (void *)((char *)pages + PAGE_BYTES);
	end[-1] = step_of(g, LONG_US);
	end[0] = end[-1];
	ASSERT_EQ(0, mprotect(end, PAGE_BYTES, PROT_NONE));
	EXPECT_EQ(-EFAULT, run_each(self, end - 1, 2));
	EXPECT_EQ(VEE_EXIT_PIO, answer(self, g, end[-1].result));
	EXPECT_EQ(2, g->page->generation);
	ASSERT_EQ(0, mprotect(end, PAGE_BYTES, PROT_READ));
	EXPECT_EQ(-EFAULT, run_each(self, end, 1));
	ASSERT_EQ(0, munmap(pages, 2 * PAGE_BYTES));
	EXPECT_EQ(VEE_EXIT_PIO, answer(self, g, step(self, g, LONG_US)));
}

TEST_F(each, busy)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, spin);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_EQ(-EBUSY, step(self, g, LONG_US));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
}

TEST_F(each, other_address_space)
{
	struct guest *g = &self->g;
	int status;
	pid_t child;

	GUEST_LONG(g, out);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct vee_step one = step_of(g, LONG_US);
		struct vee_run_each each = {
			.size = sizeof(each), .count = 1, .steps = (unsigned long)&one,
		};

		_exit(vee_call(g->dev, VEE_RUN_EACH, &each) || one.result != -EIO);
	}
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(VEE_EXIT_PIO, answer(self, g, step(self, g, LONG_US)));
}

/* The other requests of /dev/vee. */
TEST_F(each, device_requests)
{
	struct vee_info info = { .size = sizeof(info) };
	struct vee_vm_create create = { .size = sizeof(create) };
	int vm;

	EXPECT_EQ(0, request(self, VEE_GET_INFO, &info));
	EXPECT_EQ(VEE_API_VERSION, info.api_version);
	vm = request(self, VEE_VM_CREATE, &create);
	EXPECT_LE(0, vm);
	EXPECT_EQ(0, vm_map(vm, 0, self->g.mem, PAGE_BYTES, VEE_READ));
	EXPECT_EQ(0, close(vm));
	EXPECT_EQ(-ENOTTY, request(self, VEE_VCPU_RUN, NULL));
	EXPECT_EQ(-EFAULT, request(self, VEE_RUN_EACH, NULL));
	if (!self->by_ring)
		return;
	ring_payload(ring_request(&self->ring, self->g.dev, VEE_GET_INFO, &info, 1))->flags = 1;
	EXPECT_EQ(-EINVAL, ring_result(&self->ring));
	ring_payload(ring_request(&self->ring, self->g.dev, VEE_GET_INFO, &info, 1))->budget_us = 1;
	EXPECT_EQ(-EINVAL, ring_result(&self->ring));
}

static void *wait_to_be_joined(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_ACQUIRE))
		usleep(1000);
	return NULL;
}

/* With another thread that could close it meanwhile a step holds its vCPU: no longer. */
TEST_F(each, descriptors_are_given_back)
{
	long users = module_users_at_rest();
	pthread_t thread;
	bool stop = false;
	struct guest g;

	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_to_be_joined, &stop));
	guest_open(_metadata, &g);
	GUEST_LONG(&g, out);
	EXPECT_EQ(VEE_EXIT_PIO, answer(self, &g, step(self, &g, LONG_US)));
	guest_close(&g);
	EXPECT_TRUE(WAIT_FOR(module_users() == users));
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/* --- the end of a process --------------------------------------------------------------- */

static void step_in_child(struct _test_data_each *self, struct __test_metadata *_metadata,
			  __u32 *shared)
{
	static struct vee_step steps[VEE_MAX_STEPS];
	struct guest g;
	unsigned int i;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, spin);
	if (guest_counts_in(&g, shared))
		_exit(1);
	g.page->deadline_ns = 0;
	/* No step waits for a page. */
	*shared = 1;
	for (i = 0; i < VEE_MAX_STEPS; i++)
		steps[i] = step_of(&g, 10 * LONG_US);
	self->g.dev = g.dev;
	if (self->by_ring)
		ring_open(&self->ring, 0);
	for (;;)
		run_each(self, steps, VEE_MAX_STEPS);
}

/* However long the list is: the guest stops at once, and nothing is held. */
TEST_F(each, process_is_killed)
{
	__u32 *shared = shared_page();
	long users = module_users_at_rest();
	pid_t child;

	ASSERT_NE(MAP_FAILED, shared);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		step_in_child(self, _metadata, shared);
	expect_killed(_metadata, child, shared);
	EXPECT_TRUE(WAIT_FOR(module_users() == users));
	munmap(shared, PAGE_BYTES);
}

TEST_HARNESS_MAIN
