// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that sleeps in HLT, and events that other threads send to it.
 */
#include <sys/resource.h>

#include "apic_util.h"

GUEST_CODE(idle, 64, "sti; hlt; hlt");
GUEST_CODE(idle_for_ever, 64, "1: sti; hlt; jmp 1b");
GUEST_CODE(halt, 64, "hlt");
GUEST_CODE(halt_masked, 64, "cli; hlt; sti; nop; cli; hlt; hlt");
GUEST_CODE(busy, 64, "sti; 1: incl 0x20000; jmp 1b");
GUEST_CODE(masked, 64, "incl 0x20000; 1: cmpl $0, 0x20004; je 1b; sti; nop; hlt");

#define AFTER_HLT	(GPA_CODE + 2)	/* in idle and idle_for_ever */
#define AFTER_MASKED	(GPA_CODE + 2)	/* in halt_masked */
#define FLAG		(GPA_DATA + 4)
#define VECTOR		0x40
#define NAP_NS		(50 * MS_NS)	/* enough for any kernel to get to HLT */

FIXTURE(halt) {
	struct guest g;
};

FIXTURE_SETUP(halt)
{
	guest_open(_metadata, &self->g);
	catch_sigusr1();
	self->g.page->options = VEE_OPTION_HLT_SLEEPS;
}

FIXTURE_TEARDOWN(halt)
{
	guest_close(&self->g);
	guest_unblock_nmis(_metadata);
}

static int send(struct guest *g, __u8 vector)
{
	return vcpu_inject(g->vcpu, VEE_EVENT_INTERRUPT, vector);
}

/* Has the guest got to its HLT? Its thread takes no more time: on a slow kernel it is long. */
static bool asleep(struct runner *r)
{
	__u64 spent;

	return WAIT_FOR((spent = thread_cpu_ns(r->thread), usleep(20000),
			 spent == thread_cpu_ns(r->thread))) && !runner_done(r);
}

/* --- the sleep ------------------------------------------------------------- */

TEST_F(halt, is_an_exit_unless_asked)
{
	struct guest *g = &self->g;

	g->page->options = 0;
	GUEST_LONG(g, idle);
	ASSERT_HLT(g, GPA_CODE + 1);
	EXPECT_TRUE(g->page->regs.rflags & X86_EFLAGS_IF);
}

/* With interrupts off little could wake it. */
TEST_F(halt, is_an_exit_with_interrupts_off)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, halt);
	ASSERT_HLT(g, GPA_CODE);
}

TEST_F(halt, ends_at_the_deadline)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, idle);
	g->page->deadline_ns = NAP_NS;
	for (i = 0; i < 3; i++) {
		ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_HLT);
		EXPECT_EQ(0, g->page->exit.instruction_length);
		ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
		EXPECT_EQ(VEE_ACTIVITY_HLT, g->page->events.activity);
		EXPECT_EQ(0, g->page->events.interruptibility);
	}
}

TEST_F(halt, ends_by_a_kick)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, idle);
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(asleep(&r));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	EXPECT_EQ(AFTER_HLT, g->page->regs.rip);
	/* And goes on in the next run. */
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_HLT);
}

TEST_F(halt, ends_by_a_signal)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, idle);
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(asleep(&r));
	EXPECT_EQ(0, pthread_kill(r.thread, SIGUSR1));
	EXPECT_EQ(-EINTR, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_INTERRUPTED, g->page->exit.reason);
	EXPECT_EQ(AFTER_HLT, g->page->regs.rip);
}

/* What the caller stops asking for, the next run no longer does. */
TEST_F(halt, option_withdrawn)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_HLT);
	g->page->options = 0;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	g->page->deadline_ns = DEADLINE_NS;
	ASSERT_VECTOR(g, VECTOR);
	guest_resume_next(g);
	ASSERT_HLT(g, AFTER_HLT);
}

TEST_F(halt, costs_no_time)
{
	struct guest *g = &self->g;
	__u64 before, spent;
	struct runner r;

	GUEST_LONG(g, idle);
	g->page->deadline_ns = 0;
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(asleep(&r));
	before = thread_cpu_ns(r.thread);
	usleep(100000);
	spent = thread_cpu_ns(r.thread) - before;
	EXPECT_GE(MS_NS, spent) TH_LOG("%llu ns of 100 ms", spent);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, runner_join(&r));
}

/* The page's own event ends the sleep of the run before. */
TEST_F(halt, ends_by_the_pages_event)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_HLT);
	g->page->deadline_ns = DEADLINE_NS;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	guest_resume_next(g);
	/* IRETQ has brought IF back: the second HLT sleeps as well. */
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_HLT + 1);
}

TEST_F(halt, window_is_open)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_HLT);
	g->page->deadline_ns = DEADLINE_NS;
	g->page->intercept = VEE_INTERCEPT_INTERRUPT_WINDOW;
	ASSERT_RUN_AT(g, VEE_EXIT_INTERRUPT_WINDOW, AFTER_HLT);
	EXPECT_TRUE(g->page->exit.flags & VEE_EXIT_INTERRUPT_READY);
}

TEST_F(halt, single_step)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	g->page->intercept = VEE_INTERCEPT_STEP;
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + 1);
	ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, AFTER_HLT);
	EXPECT_EQ(1, g->page->exit.debug.step);
}

/* The trap after HLT is no event from outside, and ends it. */
TEST_F(halt, guests_own_trap)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	/* Touched first: Bochs 2.7 takes the EPT violation for the trap's turn. */
	g->page->options = 0;
	ASSERT_HLT(g, GPA_CODE + 1);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	g->page->regs.rflags |= X86_EFLAGS_TF | X86_EFLAGS_IF;
	guest_set_rip(g, GPA_CODE + 1);
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(AFTER_HLT, guest_read64(g, g->page->regs.rsp));
}

/* --- with interrupts off --------------------------------------------------- */

#define MASKED		(VEE_OPTION_HLT_SLEEPS | VEE_OPTION_HLT_MASKED_SLEEPS)

static void sleep_masked(struct __test_metadata *_metadata, struct guest *g)
{
	g->page->options = MASKED;
	GUEST_LONG(g, halt_masked);
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_MASKED);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
	EXPECT_EQ(VEE_ACTIVITY_HLT, g->page->events.activity);
}

TEST_F(halt, masked_sleeps)
{
	struct guest *g = &self->g;

	sleep_masked(_metadata, g);
	/* Neither the page's interrupt nor another thread's ends it. */
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	EXPECT_EQ(0, send(g, VECTOR + 1));
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_MASKED);
	/* Those with interrupts on sleep as ever, too. */
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_MASKED);
	g->page->options = MASKED;
	EXPECT_EQ(0, vcpu_inject(g->vcpu, VEE_EVENT_NMI, VECTOR_NMI));
	g->page->deadline_ns = DEADLINE_NS;
	ASSERT_VECTOR(g, VECTOR_NMI);
	EXPECT_EQ(AFTER_MASKED, guest_read64(g, g->page->regs.rsp));
	/* They have waited, both. */
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR + 1);
	guest_resume_next(g);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	ASSERT_HLT(g, GPA_CODE + 5);
}

TEST_F(halt, masked_wakes_up_by_nmi)
{
	struct guest *g = &self->g;
	struct runner r;

	g->page->options = MASKED;
	GUEST_LONG(g, halt_masked);
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(asleep(&r));
	EXPECT_EQ(0, send(g, VECTOR));
	EXPECT_TRUE(asleep(&r));
	EXPECT_EQ(0, vcpu_inject(g->vcpu, VEE_EVENT_NMI, VECTOR_NMI));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(STUB(VECTOR_NMI), g->page->regs.rip);
}

/* Not with a window asked for, either, which can't open. */
TEST_F(halt, masked_costs_no_time)
{
	struct guest *g = &self->g;
	__u64 before, spent;
	struct runner r;

	sleep_masked(_metadata, g);
	g->page->deadline_ns = 0;
	g->page->intercept = VEE_INTERCEPT_INTERRUPT_WINDOW;
	EXPECT_EQ(0, send(g, VECTOR));
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(asleep(&r));
	before = thread_cpu_ns(r.thread);
	usleep(100000);
	spent = thread_cpu_ns(r.thread) - before;
	EXPECT_GE(MS_NS, spent) TH_LOG("%llu ns of 100 ms", spent);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	EXPECT_EQ(AFTER_MASKED, g->page->regs.rip);
}

/* Into another vCPU, which sleeps on. */
TEST_F(halt, masked_is_saved_and_loaded)
{
	struct guest *g = &self->g, other;

	sleep_masked(_metadata, g);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_ALL));
	guest_open_sibling(_metadata, g, &other, 1);
	other.page->regs = g->page->regs;
	other.page->segments = g->page->segments;
	other.page->control = g->page->control;
	other.page->events = g->page->events;
	other.page->dirty = VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_CONTROL |
			    VEE_STATE_EVENTS;
	other.page->options = MASKED;
	other.page->deadline_ns = NAP_NS;
	EXPECT_EQ(0, send(&other, VECTOR));
	ASSERT_RUN_AT(&other, VEE_EXIT_DEADLINE, AFTER_MASKED);
	other.page->deadline_ns = DEADLINE_NS;
	guest_inject(&other, VEE_EVENT_NMI, VECTOR_NMI);
	ASSERT_VECTOR(&other, VECTOR_NMI);
	guest_resume_next(&other);
	ASSERT_VECTOR(&other, VECTOR);
	guest_close(&other);
}

/* --- events from other threads ---------------------------------------------- */

TEST_F(halt, wakes_up)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, idle);
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(asleep(&r));
	EXPECT_EQ(0, send(g, VECTOR));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HYPERCALL, g->page->exit.reason);
	EXPECT_EQ(STUB(VECTOR), g->page->regs.rip);
	EXPECT_EQ(AFTER_HLT, guest_read64(g, g->page->regs.rsp));
}

TEST_F(halt, wakes_up_by_nmi)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, idle);
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(asleep(&r));
	EXPECT_EQ(0, vcpu_inject(g->vcpu, VEE_EVENT_NMI, VECTOR_NMI));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(STUB(VECTOR_NMI), g->page->regs.rip);
}

TEST_F(halt, sent_before_the_run)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	EXPECT_EQ(0, send(g, VECTOR));
	EXPECT_EQ(-EBUSY, send(g, VECTOR + 1));
	EXPECT_EQ(0, vcpu_inject(g->vcpu, VEE_EVENT_NMI, VECTOR_NMI));
	EXPECT_EQ(-EBUSY, vcpu_inject(g->vcpu, VEE_EVENT_NMI, VECTOR_NMI));
	ASSERT_VECTOR(g, VECTOR_NMI);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR);
}

/* One of each kind waits besides the page's. */
TEST_F(halt, sent_besides_the_pages)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	EXPECT_EQ(0, send(g, VECTOR + 1));
	ASSERT_VECTOR(g, VECTOR);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR + 1);
	guest_resume_next(g);
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
}

TEST_F(halt, reaches_a_running_guest)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, busy);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA)));
	EXPECT_EQ(0, send(g, VECTOR));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HYPERCALL, g->page->exit.reason);
	EXPECT_EQ(STUB(VECTOR), g->page->regs.rip);
}

/* A guest that is not ready gets it when it is. */
TEST_F(halt, waits_for_the_guest)
{
	struct guest *g = &self->g;
	struct runner r;

	GUEST_LONG(g, masked);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA)));
	EXPECT_EQ(0, send(g, VECTOR));
	usleep(3000);
	EXPECT_FALSE(runner_done(&r));
	guest_write32(g, FLAG, 1);
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(STUB(VECTOR), g->page->regs.rip);
}

#define SENT	300

static void *take_all(void *arg)
{
	struct runner *r = arg;
	unsigned int taken;

	for (taken = 0; taken < SENT && !r->ret; taken++) {
		r->ret = guest_run(r->g);
		if (!r->ret && (r->g->page->exit.reason != VEE_EXIT_HYPERCALL ||
				r->g->page->regs.rip != STUB(VECTOR)))
			r->ret = -1000 - (int)r->g->page->exit.reason;
		guest_resume_next(r->g);
	}
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* None is lost, whether it meets the guest awake, asleep, or about to sleep. */
TEST_F(halt, none_is_lost)
{
	struct guest *g = &self->g;
	struct runner r = { .g = g };
	unsigned int sent = 0, tries = 0;

	GUEST_LONG(g, idle_for_ever);
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, take_all, &r));
	while (sent < SENT && !runner_done(&r)) {
		int ret = send(g, VECTOR);

		ASSERT_TRUE(!ret || ret == -EBUSY);
		sent += !ret;
		if (++tries % 3 == 0)
			usleep(tries % 100);
		else
			sched_yield();
	}
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(SENT, sent);
}

/* --- bad input -------------------------------------------------------------- */

TEST_F(halt, bad_events)
{
	static const struct vee_event bad[] = {
		{ .vector = VECTOR, .type = VEE_EVENT_INTERRUPT },
		{ .vector = VECTOR, .type = VEE_EVENT_INTERRUPT, .flags = 0x81 },
		{ .vector = VECTOR, .type = 1, .flags = VEE_EVENT_VALID },
		{ .vector = VECTOR, .type = 7, .flags = VEE_EVENT_VALID },
		{ .vector = 3, .type = VEE_EVENT_NMI, .flags = VEE_EVENT_VALID },
		{ .vector = VECTOR_UD, .type = VEE_EVENT_EXCEPTION,
		  .flags = VEE_EVENT_VALID },
		{ .vector = VECTOR, .type = VEE_EVENT_SOFT_INTERRUPT,
		  .flags = VEE_EVENT_VALID, .instruction_length = 2 },
		{ .vector = VECTOR, .type = VEE_EVENT_INTERRUPT,
		  .flags = VEE_EVENT_VALID, .instruction_length = 1 },
		{ .vector = VECTOR, .type = VEE_EVENT_INTERRUPT,
		  .flags = VEE_EVENT_VALID, .error_code = 1 },
		{ .vector = VECTOR, .type = VEE_EVENT_INTERRUPT,
		  .flags = VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE },
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vee_inject inject = {
			.size = sizeof(inject),
			.event = bad[i],
		};

		EXPECT_EQ(-EINVAL, vee_call(g->vcpu, VEE_VCPU_INJECT, &inject))
			TH_LOG("event %u", i);
	}
	/* And nothing of it is kept. */
	GUEST_LONG(g, idle);
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN_AT(g, VEE_EXIT_DEADLINE, AFTER_HLT);
}

/* --- short waits ------------------------------------------------------------------ */

#define NAPS		100
#define BRIEF_US	100
#define LONG_US		5000

GUEST_LABEL(naps_handler);
/* Sets the timer to RDI ticks from now, and halts until it is up, R8 times. */
GUEST_CODE(naps, 64,
	   "1: rdtsc; shl $32, %rdx; or %rdx, %rax; add %rdi, %rax; mov %rax, %rdx;"
	   "shr $32, %rdx; mov $0x6e0, %ecx; wrmsr; sti; hlt; cli; dec %r8; jnz 1b; vmcall;"
	   "naps_handler: mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; iretq");

FIXTURE(naps) {
	struct guest g;
};

FIXTURE_SETUP(naps)
{
}

FIXTURE_TEARDOWN(naps)
{
}

/* How often the thread went to sleep, with the module loaded so. */
static long sleeps(struct __test_metadata *_metadata, struct guest *g, const char *parameters,
		   __u64 us)
{
	struct rusage before, after;

	module_want(_metadata, parameters);
	guest_open_apic(_metadata, g);
	set_x2apic(_metadata, g);
	wrmsr(_metadata, g, LVT_TIMER, HIGH | LVT_DEADLINE);
	SET_LONG(g, naps);
	guest_write64(g, GPA_IDT + 16 * HIGH,
		      AT(naps, naps_handler) | SEL_CODE64 << 16 | 0x8eULL << 40);
	g->page->regs.rdi = us * vee_info(g->dev).tsc_khz / 1000;
	g->page->regs.r8 = NAPS;
	getrusage(RUSAGE_THREAD, &before);
	EXPECT_EQ(0, guest_run(g));
	getrusage(RUSAGE_THREAD, &after);
	EXPECT_EQ(VEE_EXIT_HYPERCALL, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
	guest_close(g);
	return after.ru_nvcsw - before.ru_nvcsw;
}

/*
 * Not for short waits, once there was one; for longer ones always. The limit is not the
 * usual one: to sleep and to wake up takes a debug kernel in the lab as long as that.
 */
TEST_F(naps, by_their_length)
{
	static const char limit[] = "halt_stay_us=1000";

	EXPECT_GT(NAPS / 2, sleeps(_metadata, &self->g, limit, BRIEF_US));
	EXPECT_LE(NAPS * 3 / 4, sleeps(_metadata, &self->g, limit, LONG_US));
}

TEST_F(naps, by_the_parameter)
{
	EXPECT_LE(NAPS * 3 / 4, sleeps(_metadata, &self->g, "halt_stay_us=0", LONG_US));
	EXPECT_GT(NAPS / 2, sleeps(_metadata, &self->g, "halt_stay_us=20000", LONG_US));
}

TEST_HARNESS_MAIN
