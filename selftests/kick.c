// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ends a run from outside: kicks by generation, signals, and deadlines in
 * their way; and a vCPU page that changes under the kernel's feet.
 */
#include "vee_util.h"

GUEST_CODE(spin, 64, SPIN);
GUEST_CODE(halt, 64, "hlt; hlt");
GUEST_CODE(count_down, 64, "1: cli; dec %rcx; jnz 1b; hlt");
GUEST_CODE(cpuid_loop, 64, "1: xor %eax, %eax; cpuid; jmp 1b");

FIXTURE(kick) {
	struct guest g;
};

FIXTURE_SETUP(kick)
{
	guest_open(_metadata, &self->g);
	catch_sigusr1();
}

FIXTURE_TEARDOWN(kick)
{
	guest_close(&self->g);
}

/* --- kicks ----------------------------------------------------------------- */

/* In advance: the run ends before its first instruction; the next does not. */
TEST_F(kick, before)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halt);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	ASSERT_RUN_AT(g, VEE_EXIT_KICKED, GPA_CODE);
	EXPECT_EQ(0, g->page->dirty);
	EXPECT_EQ(0, g->page->exit.instruction_length);
	ASSERT_HLT(g, GPA_CODE);
}

TEST_F(kick, before_twice)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halt);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	ASSERT_RUN(g, VEE_EXIT_KICKED);
	ASSERT_HLT(g, GPA_CODE);
}

TEST_F(kick, during)
{
	struct guest *g = &self->g;
	struct runner r;
	__u64 number;

	GUEST_LONG(g, spin);
	number = generation(g);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	/* The number of the run under way. */
	EXPECT_EQ(number, generation(g));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, number));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	EXPECT_EQ(number + 1, generation(g));
}

TEST_F(kick, after)
{
	struct guest *g = &self->g;
	__u64 number = generation(g);

	GUEST_LONG(g, halt);
	ASSERT_HLT(g, GPA_CODE);
	EXPECT_EQ(-ESTALE, vcpu_kick(g->vcpu, number));
	EXPECT_EQ(-ESTALE, vcpu_kick(g->vcpu, 0));
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

TEST_F(kick, future)
{
	struct guest *g = &self->g;
	__u64 number = generation(g);

	GUEST_LONG(g, halt);
	EXPECT_EQ(-EINVAL, vcpu_kick(g->vcpu, number + 1));
	EXPECT_EQ(-EINVAL, vcpu_kick(g->vcpu, -1ULL));
	EXPECT_EQ(-EINVAL, vcpu_kick(g->vcpu, BIT_ULL(63)));
	ASSERT_HLT(g, GPA_CODE);
	guest_resume_next(g);
	ASSERT_HLT(g, GPA_CODE + 1);
}

/* Kicks for other runs do not disturb the one under way. */
TEST_F(kick, other_runs)
{
	struct guest *g = &self->g;
	struct runner r;
	__u64 number;

	GUEST_LONG(g, halt);
	ASSERT_HLT(g, GPA_CODE);
	GUEST_LONG(g, spin);
	number = generation(g);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_EQ(-ESTALE, vcpu_kick(g->vcpu, number - 1));
	EXPECT_EQ(-EINVAL, vcpu_kick(g->vcpu, number + 1));
	usleep(2000);
	EXPECT_FALSE(runner_done(&r));
	EXPECT_TRUE(guest_counts(g));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, number));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
}

/* A kick is one vCPU's. */
TEST_F(kick, sibling)
{
	struct guest *g = &self->g, sibling;
	struct runner r;

	guest_open_sibling(_metadata, g, &sibling, 1);
	GUEST_LONG(g, spin);
	guest_set_long(&sibling);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_EQ(0, vcpu_kick(sibling.vcpu, generation(&sibling)));
	usleep(2000);
	EXPECT_FALSE(runner_done(&r));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_EQ(0, runner_join(&r));
	ASSERT_RUN_AT(&sibling, VEE_EXIT_KICKED, GPA_CODE);
	guest_close(&sibling);
}

#define SPIN_RUNS	50

static void *run_many_times(void *arg)
{
	struct runner *r = arg;
	unsigned int i;

	for (i = 0; i < SPIN_RUNS && !r->ret; i++) {
		r->ret = guest_run(r->g);
		if (!r->ret && r->g->page->exit.reason != VEE_EXIT_KICKED)
			r->ret = -r->g->page->exit.reason;
	}
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* None is lost, wherever between two runs it comes: each run ends by its kick. */
TEST_F(kick, none_is_lost)
{
	struct guest *g = &self->g;
	struct runner r = { .g = g };
	unsigned int kicks = 0;

	GUEST_LONG(g, spin);
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, run_many_times, &r));
	while (!runner_done(&r)) {
		__u64 number = generation(g);
		int ret = vcpu_kick(g->vcpu, number);

		ASSERT_TRUE(!ret || ret == -ESTALE);
		kicks++;
		if (kicks % 3 == 0)
			usleep(kicks % 200);
		else
			sched_yield();
	}
	EXPECT_EQ(0, runner_join(&r))
		TH_LOG("a run ended otherwise: %d", r.ret);
	EXPECT_LE(SPIN_RUNS, kicks);
}

#define SHORT_RUNS	400

/**
 * struct short_runs - a thread of short runs, and which of them were kicked
 * @thread: the thread
 * @g: what it runs
 * @allowed: bits of the reasons that a run may end for
 * @prepare: what is done before run number n, or NULL
 * @first: number of the first run
 * @done: it has ended
 * @bad: a run ended otherwise, or did not move the number on by one
 * @ends: how many ended for each reason
 * @ended: runs that ended by a kick
 */
struct short_runs {
	pthread_t thread;
	struct guest *g;
	__u32 allowed;
	void (*prepare)(struct guest *g, unsigned int n);
	__u64 first;
	bool done;
	int bad;
	unsigned int ends[32];
	bool ended[SHORT_RUNS];
};

static void *run_short(void *arg)
{
	struct short_runs *s = arg;
	unsigned int i;

	for (i = 0; i < SHORT_RUNS; i++) {
		__u32 reason;
		int ret;

		if (s->prepare)
			s->prepare(s->g, i);
		ret = guest_run_once(s->g);
		reason = s->g->page->exit.reason;
		if (!(s->allowed & 1U << reason) || generation(s->g) != s->first + i + 1 ||
		    ret != (reason == VEE_EXIT_INTERRUPTED ? -EINTR : 0))
			s->bad++;
		s->ends[reason % ARRAY_SIZE(s->ends)]++;
		s->ended[i] = reason == VEE_EXIT_KICKED;
	}
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * Kicks whatever run is under way, at intervals below @most_us; if @signals, of three times
 * one with a signal too, and one with a signal alone: on one CPU a run that gets both ends
 * by the kick. No run ends by a kick that did not name it, and each ends once.
 */
static void kick_short_runs(struct __test_metadata *_metadata, struct short_runs *s,
			    unsigned int most_us, bool signals)
{
	bool kicked[SHORT_RUNS] = { false };
	unsigned int i, turn = 0;

	s->first = generation(s->g);
	ASSERT_EQ(0, pthread_create(&s->thread, NULL, run_short, s));
	while (!__atomic_load_n(&s->done, __ATOMIC_ACQUIRE)) {
		__u64 number = generation(s->g);
		int ret = -ESTALE;

		if (!signals || turn % 3)
			ret = vcpu_kick(s->g->vcpu, number);
		ASSERT_TRUE(!ret || ret == -ESTALE);
		if (!ret && number - s->first < SHORT_RUNS)
			kicked[number - s->first] = true;
		if (signals && turn % 3 < 2)
			pthread_kill(s->thread, SIGUSR1);
		usleep(turn++ * 37 % most_us);
	}
	pthread_join(s->thread, NULL);
	EXPECT_EQ(0, s->bad);
	EXPECT_EQ(s->first + SHORT_RUNS, generation(s->g));
	for (i = 0; i < SHORT_RUNS; i++) {
		EXPECT_FALSE(s->ended[i] && !kicked[i])
			TH_LOG("run %u", i);
	}
}

#define EVER_ALLOWED	(1U << VEE_EXIT_KICKED | 1U << VEE_EXIT_INTERRUPTED)

TEST_F(kick, none_goes_astray)
{
	struct short_runs s = {
		.g = &self->g,
		.allowed = EVER_ALLOWED | 1U << VEE_EXIT_HLT,
	};

	GUEST_LONG(s.g, halt);
	kick_short_runs(_metadata, &s, 50, false);
}

#define SWEEP_US	2000	/* longer than it takes to begin a run, anywhere */

/* Deadlines from 1 ns on, in steps that are no multiple of the kicks'. */
static void sweep_deadline(struct guest *g, unsigned int n)
{
	g->page->deadline_ns = 1 + n * 70 % SWEEP_US * 1000ULL;
}

TEST_F(kick, deadline_meets_kick)
{
	struct short_runs s = {
		.g = &self->g,
		.allowed = EVER_ALLOWED | 1U << VEE_EXIT_DEADLINE,
		.prepare = sweep_deadline,
	};

	GUEST_LONG(s.g, spin);
	kick_short_runs(_metadata, &s, SWEEP_US, false);
	EXPECT_LT(0, s.ends[VEE_EXIT_DEADLINE]);
	EXPECT_LT(0, s.ends[VEE_EXIT_KICKED]);
}

/* Both, and a guest that halts after as many rounds as its run has a number. */
static void sweep_all(struct guest *g, unsigned int n)
{
	sweep_deadline(g, n);
	g->page->regs.rcx = 1 + n * 130 % (SWEEP_US * 20);
	guest_set_rip(g, GPA_CODE);
}

TEST_F(kick, all_ends_meet)
{
	struct short_runs s = {
		.g = &self->g,
		.allowed = EVER_ALLOWED | 1U << VEE_EXIT_DEADLINE | 1U << VEE_EXIT_HLT,
		.prepare = sweep_all,
	};

	GUEST_LONG(s.g, count_down);
	kick_short_runs(_metadata, &s, SWEEP_US, true);
	EXPECT_LT(0, s.ends[VEE_EXIT_DEADLINE]);
	EXPECT_LT(0, s.ends[VEE_EXIT_KICKED]);
	EXPECT_LT(0, s.ends[VEE_EXIT_HLT]);
	EXPECT_LT(0, s.ends[VEE_EXIT_INTERRUPTED]);
}

/* --- signals --------------------------------------------------------------- */

TEST_F(kick, signal)
{
	struct guest *g = &self->g;
	struct runner r;
	__u64 number;

	GUEST_LONG(g, spin);
	guest_inject(g, VEE_EVENT_INTERRUPT, 0x40);
	number = generation(g);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_EQ(0, pthread_kill(r.thread, SIGUSR1));
	EXPECT_EQ(-EINTR, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_INTERRUPTED, g->page->exit.reason);
	/* The page was taken over, so that running again is all there is to do. */
	EXPECT_EQ(0, g->page->dirty);
	EXPECT_EQ(0, g->page->inject.flags);
	EXPECT_EQ(number + 1, generation(g));
	EXPECT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
	EXPECT_EQ(0x40, g->page->events.interrupt.vector);
	g->page->deadline_ns = MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
}

TEST_F(kick, signal_blocked)
{
	struct guest *g = &self->g;
	struct runner r;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, NULL));
	GUEST_LONG(g, spin);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_EQ(0, pthread_kill(r.thread, SIGUSR1));
	usleep(3000);
	EXPECT_FALSE(runner_done(&r));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
}

static void *burn(void *arg)
{
	bool *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE))
		;
	return NULL;
}

/*
 * Preemption is no reason to come back. Other work that the kernel has for the
 * thread may be one, now and then.
 */
TEST_F(kick, preemption_is_no_eintr)
{
	struct guest *g = &self->g;
	unsigned int i, interrupted = 0;
	bool stop = false;
	pthread_t rival;

	ASSERT_EQ(0, pin_to_cpu(0));
	ASSERT_EQ(0, pthread_create(&rival, NULL, burn, &stop));
	GUEST_LONG(g, spin);
	g->page->deadline_ns = 20 * MS_NS;
	for (i = 0; i < 4; i++)
		interrupted += guest_run_once(g) == -EINTR;
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(rival, NULL);
	EXPECT_GE(1, interrupted);
}

/* A child that runs a guest which counts in memory shared with its parent. */
static void run_for_parent(struct __test_metadata *_metadata, __u32 *shared)
{
	struct guest g;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, spin);
	if (guest_counts_in(&g, shared))
		_exit(1);
	g.page->deadline_ns = 0;
	for (;;)
		guest_run_once(&g);
}

/* SIGSTOP stops a process in its guest, SIGCONT has it go on. */
TEST_F(kick, stop_and_continue)
{
	__u32 *shared = shared_page();
	int status;
	pid_t child;

	ASSERT_NE(MAP_FAILED, shared);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		run_for_parent(_metadata, shared);
	EXPECT_TRUE(shared_counts(shared));
	EXPECT_EQ(0, kill(child, SIGSTOP));
	EXPECT_EQ(child, waitpid(child, &status, WUNTRACED));
	EXPECT_TRUE(WIFSTOPPED(status));
	expect_still(_metadata, shared);
	EXPECT_EQ(0, kill(child, SIGCONT));
	expect_killed(_metadata, child, shared);
	munmap(shared, PAGE_BYTES);
}

/* --- a page that changes while it is looked at ------------------------------ */

/**
 * struct scribbler - a thread that writes all over a vCPU page
 * @page: the page
 * @stop: tells it to end
 */
struct scribbler {
	__u32 *page;
	bool stop;
};

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	__u64 state = 88172645463325252ULL;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		/* Marsaglia's xorshift: any sequence will do, the same each time. */
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		__atomic_store_n(&s->page[state % 200], (__u32)(state >> 32),
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

/* All of the page as a caller would set it up for the first time. */
static void clean_page(struct guest *g)
{
	memset(g->page, 0, sizeof(*g->page));
	g->page->deadline_ns = DEADLINE_NS;
	g->page->prefetch = VEE_STATE_ALL;
	g->page->debug.dr6 = 0xffff0ff0;
	g->page->debug.dr7 = 0x400;
	g->page->msrs.pat = 0x0007040600070406;
	g->page->dirty = VEE_STATE_ALL;
	GUEST_LONG(g, halt);
}

#define SCRIBBLED_RUNS	300

static void *run_scribbled(void *arg)
{
	struct runner *r = arg;
	unsigned int i;

	for (i = 0; i < SCRIBBLED_RUNS; i++) {
		int ret = guest_run_once(r->g);

		if (ret && ret != -EINVAL && ret != -EBUSY && ret != -EINTR)
			r->ret = ret;
		if (i % 4 == 0)
			clean_page(r->g);
	}
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Every value is checked after it is read, once: nothing worse than -EINVAL. */
TEST_F(kick, scribbled_page)
{
	struct guest *g = &self->g;
	struct scribbler s = { .page = (__u32 *)g->page };
	struct runner r = { .g = g };
	pthread_t thread;

	clean_page(g);
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &s));
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, run_scribbled, &r));
	/* A guest that a scribbled deadline lets run for ever. */
	while (!runner_done(&r)) {
		pthread_kill(r.thread, SIGUSR1);
		usleep(2000);
	}
	EXPECT_EQ(0, runner_join(&r)) TH_LOG("%s", strerror(-r.ret));
	__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	/* And the vCPU can still be put in order. */
	clean_page(g);
	ASSERT_HLT(g, GPA_CODE);
}

TEST_HARNESS_MAIN
