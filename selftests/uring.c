// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs through io_uring: the same requests as by ioctl, runs that begin in the
 * thread that submits them and go on in a worker, and all that ends one.
 */

#include "uring_util.h"

GUEST_CODE(spin, 64, SPIN);
GUEST_CODE(idle, 64, "sti; hlt; hlt");
GUEST_CODE(out, 64, "1: out %al, $0x10; inc %eax; jmp 1b");
GUEST_CODE(touch, 64, "mov %al, 0x100000; out %al, $0x10");
#define TOUCHED		0x100000
GUEST_CODE(hlt, 64, "hlt");
GUEST_CODE(count, 64, "1: cli; incl (%rdi); jmp 1b");

#define AFTER_HLT	(GPA_CODE + 2)	/* in idle */
#define VECTOR		0x40
#define LONG_US		1000000U	/* a budget that nothing here uses up */
#define SHORT_US	500U
#define NAP_NS		(50 * MS_NS)

FIXTURE(uring) {
	struct guest g;
	struct ring ring;
};

static void open_ring(struct __test_metadata *_metadata, struct ring *ring, __u32 flags)
{
	int ret = ring_open(ring, flags);

	if (ring->fd < 0)
		VEE_SKIP("no io_uring: %s", strerror(-ret));
	ASSERT_EQ(0, ret);
}

FIXTURE_SETUP(uring)
{
	guest_open(_metadata, &self->g);
	open_ring(_metadata, &self->ring, 0);
}

FIXTURE_TEARDOWN(uring)
{
	ring_close(&self->ring);
	guest_close(&self->g);
}

/* The run ends with @result, and the guest can run again. */
static void expect_end(struct __test_metadata *_metadata, struct guest *g,
		       struct ring *ring, __u64 run, int result)
{
	EXPECT_EQ(result, ring_result_of(ring, run));
	g->page->deadline_ns = MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	g->page->deadline_ns = DEADLINE_NS;
}

/* --- requests ---------------------------------------------------------------- */

/* In the thread itself, in a worker after that was asked, in a worker at once. */
TEST_F(uring, run)
{
	static const struct {
		__u32 budget_us;
		__u8 flags;
	} ways[] = { { LONG_US, 0 }, { 0, 0 }, { LONG_US, IOSQE_ASYNC } };
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, out);
	for (i = 0; i < 9; i++) {
		__u64 number = g->page->generation;

		ring_run_flags(&self->ring, g->vcpu, ways[i % 3].budget_us,
			       ways[i % 3].flags, i);
		ASSERT_EQ(VEE_EXIT_PIO, ring_result(&self->ring));
		EXPECT_EQ(VEE_EXIT_PIO, g->page->exit.reason);
		EXPECT_EQ(0x10, g->page->exit.pio.port);
		EXPECT_EQ(i, g->page->exit.pio.data);
		EXPECT_EQ(number + 1, g->page->generation);
		guest_resume_next(g);
	}
}

static int request(struct ring *ring, int fd, __u32 nr, void *arg)
{
	ring_request(ring, fd, nr, arg, 1);
	return ring_result(ring);
}

TEST_F(uring, requests)
{
	struct guest *g = &self->g;
	struct vee_kick kick = { .size = sizeof(kick), .generation = g->page->generation };
	struct vee_sync sync = { .size = sizeof(sync), .groups = VEE_STATE_ALL };
	struct vee_stats stats = { .size = sizeof(stats) };
	struct vee_vmcs_field field = { .size = sizeof(field), .encoding = 0x681e };
	struct vee_inject inject = { .size = sizeof(inject), .event = {
		.vector = VECTOR, .flags = VEE_EVENT_VALID } };

	GUEST_LONG(g, out);
	EXPECT_EQ(0, request(&self->ring, g->vcpu, VEE_VCPU_KICK, &kick));
	EXPECT_EQ(VEE_EXIT_KICKED, request(&self->ring, g->vcpu, VEE_VCPU_RUN, NULL));
	EXPECT_EQ(-ESTALE, request(&self->ring, g->vcpu, VEE_VCPU_KICK, &kick));
	EXPECT_EQ(VEE_EXIT_PIO, request(&self->ring, g->vcpu, VEE_VCPU_RUN, NULL));
	EXPECT_EQ(0, request(&self->ring, g->vcpu, VEE_VCPU_SYNC, &sync));
	EXPECT_EQ(VEE_STATE_ALL, g->page->valid);
	EXPECT_EQ(0, request(&self->ring, g->vcpu, VEE_VCPU_VMCS_READ, &field));
	EXPECT_EQ(GPA_CODE, field.value);
	EXPECT_EQ(0, request(&self->ring, g->vcpu, VEE_VCPU_STATS, &stats));
	EXPECT_EQ(2, stats.runs);
	EXPECT_EQ(2, stats.user_exits);
	EXPECT_EQ(0, request(&self->ring, g->vcpu, VEE_VCPU_INJECT, &inject));
	EXPECT_EQ(-EBUSY, request(&self->ring, g->vcpu, VEE_VCPU_INJECT, &inject));
}

TEST_F(uring, errors)
{
	struct guest *g = &self->g;
	struct vee_sync sync = { .size = sizeof(sync), .groups = 0x40 };
	struct io_uring_sqe *sqe;

	GUEST_LONG(g, out);
	EXPECT_EQ(-ENOTTY, request(&self->ring, g->vcpu, VEE_VM_MAP, &sync));
	EXPECT_EQ(-EINVAL, request(&self->ring, g->vcpu, VEE_VCPU_SYNC, &sync));
	EXPECT_EQ(-EFAULT, request(&self->ring, g->vcpu, VEE_VCPU_SYNC, NULL));
	EXPECT_EQ(-EINVAL, request(&self->ring, g->vcpu, VEE_VCPU_RUN, &sync));
	EXPECT_EQ(-ENOTTY, request(&self->ring, g->vm, VEE_VCPU_SYNC, &sync));
	sqe = ring_request(&self->ring, g->vcpu, VEE_VCPU_RUN, NULL, 1);
	ring_payload(sqe)->flags = 1;
	EXPECT_EQ(-EINVAL, ring_result(&self->ring));
	sqe = ring_request(&self->ring, g->vcpu, VEE_VCPU_SYNC, &sync, 1);
	ring_payload(sqe)->budget_us = 1;
	EXPECT_EQ(-EINVAL, ring_result(&self->ring));
	g->page->options = ~0U;
	ring_run(&self->ring, g->vcpu, LONG_US, 1);
	EXPECT_EQ(-EINVAL, ring_result(&self->ring));
	EXPECT_NE(0, g->page->dirty);
	g->page->options = 0;
	ring_run(&self->ring, g->vcpu, LONG_US, 1);
	EXPECT_EQ(VEE_EXIT_PIO, ring_result(&self->ring));
}

TEST_F(uring, fixed_file)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, out);
	ASSERT_EQ(0, syscall(SYS_io_uring_register, self->ring.fd,
			     IORING_REGISTER_FILES, &g->vcpu, 1));
	ring_run_flags(&self->ring, 0, LONG_US, IOSQE_FIXED_FILE, 1);
	EXPECT_EQ(VEE_EXIT_PIO, ring_result(&self->ring));
	ring_run_flags(&self->ring, 0, 0, IOSQE_FIXED_FILE, 1);
	EXPECT_EQ(VEE_EXIT_PIO, ring_result(&self->ring));
}

/* A run that succeeds lets the next link go on, wherever it was done. */
TEST_F(uring, links)
{
	static const __u32 budgets[] = { LONG_US, 0 };
	struct guest *g = &self->g;
	unsigned int i, step;
	__u64 id;

	GUEST_LONG(g, out);
	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		for (step = 0; step < 3; step++)
			ring_run_flags(&self->ring, g->vcpu, budgets[i],
				       step < 2 ? IOSQE_IO_LINK : 0, step);
		ASSERT_EQ(3, ring_submit(&self->ring));
		for (step = 0; step < 3; step++) {
			EXPECT_EQ(VEE_EXIT_PIO, ring_next(&self->ring, &id));
			EXPECT_EQ(step, id);
		}
	}
	g->page->options = ~0U;
	ring_run_flags(&self->ring, g->vcpu, LONG_US, IOSQE_IO_LINK, 0);
	ring_run_flags(&self->ring, g->vcpu, LONG_US, 0, 1);
	ASSERT_LE(1, ring_submit(&self->ring));
	EXPECT_EQ(-EINVAL, ring_next(&self->ring, &id));
	EXPECT_EQ(0, id);
	EXPECT_EQ(-ECANCELED, ring_next(&self->ring, &id));
}

/* --- inline, and on in a worker ------------------------------------------------ */

#define MANY	16

/* Short steps of many vCPUs: one system call, and no other thread. */
TEST_F(uring, short_steps_stay_inline)
{
	struct guest many[MANY];
	struct io_uring_cqe cqe;
	unsigned int i, seen = 0;

	GUEST_LONG(&self->g, out);
	many[0] = self->g;
	for (i = 1; i < MANY; i++) {
		guest_open_sibling(_metadata, &self->g, &many[i], i);
		guest_set_long(&many[i]);
	}
	/* First touches of memory that the host has are no reason to leave, either. */
	memset(self->g.mem + GPA_DATA, 1, PAGE_BYTES);
	for (i = 0; i < MANY; i++)
		ring_run(&self->ring, many[i].vcpu, LONG_US, i);
	ASSERT_EQ(MANY, ring_submit(&self->ring));
	while (ring_peek(&self->ring, &cqe)) {
		EXPECT_EQ(VEE_EXIT_PIO, cqe.res);
		seen++;
	}
	EXPECT_EQ(MANY, seen);
	EXPECT_EQ(1, threads());
	for (i = 1; i < MANY; i++)
		guest_close(&many[i]);
}

/* One run: its number, its deadline from the beginning, its event once. */
TEST_F(uring, goes_on_as_the_same_run)
{
	struct guest *g = &self->g;
	__u64 number, before;

	GUEST_LONG(g, spin);
	/* A page that the host had to bring would end the budget. */
	g->page->deadline_ns = NAP_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	ASSERT_LT(0, guest_read32(g, GPA_DATA));
	number = g->page->generation;
	g->page->deadline_ns = NAP_NS;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	before = now_ns();
	ring_run(&self->ring, g->vcpu, 20000, 1);
	ASSERT_EQ(1, ring_submit(&self->ring));
	/* The budget was used, and no more. */
	EXPECT_LE(19 * MS_NS, now_ns() - before);
	EXPECT_EQ(number, g->page->generation);
	/* A second taking of it would be -EBUSY, or an event too many. */
	EXPECT_EQ(0, g->page->inject.flags);
	EXPECT_EQ(VEE_EXIT_DEADLINE, ring_result(&self->ring));
	EXPECT_LE(NAP_NS - NAP_NS / 50, now_ns() - before);
	EXPECT_GE(NAP_NS + 500 * MS_NS, now_ns() - before);
	EXPECT_EQ(number + 1, g->page->generation);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
	EXPECT_EQ(VECTOR, g->page->events.interrupt.vector);
}

#define NUDGE	1000

static bool all_count(struct ring *ring, struct guest *g, unsigned int vcpus)
{
	ring_queue_nudge(ring, NUDGE);
	ring_submit(ring);
	for (unsigned int i = 0; i < vcpus; i++)
		if (!guest_read32(g, GPA_DATA + 8 * i))
			return false;
	return true;
}

/* Guests that may wait for each other: none is queued behind another. */
TEST_F(uring, each_has_a_worker)
{
	static const __u32 budgets[] = { SHORT_US, 0 };
	struct guest many[MANY];
	unsigned int i, j;

	GUEST_LONG(&self->g, count);
	many[0] = self->g;
	for (j = 1; j < MANY; j++)
		guest_open_sibling(_metadata, &self->g, &many[j], j);
	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		memset(self->g.mem + GPA_DATA, 0, PAGE_BYTES);
		for (j = 0; j < MANY; j++) {
			guest_set_long(&many[j]);
			many[j].page->regs.rdi = GPA_DATA + 8 * j;
			many[j].page->deadline_ns = 0;
			ring_run(&self->ring, many[j].vcpu, budgets[i], j);
		}
		ASSERT_EQ(MANY, ring_submit(&self->ring));
		EXPECT_TRUE(WAIT_FOR(all_count(&self->ring, &self->g, MANY)))
			TH_LOG("budget %u, %d threads", budgets[i], threads());
		for (j = 0; j < MANY; j++)
			EXPECT_EQ(0, vcpu_kick(many[j].vcpu, many[j].page->generation));
		for (j = 0; j < MANY;) {
			__u64 id;
			int res = ring_next(&self->ring, &id);

			EXPECT_EQ(id == NUDGE ? 0 : VEE_EXIT_KICKED, res);
			ASSERT_NE(RING_NOTHING, res);
			j += id != NUDGE;
		}
	}
	for (j = 1; j < MANY; j++)
		guest_close(&many[j]);
}

TEST_F(uring, can_be_kicked)
{
	static const __u32 budgets[] = { SHORT_US, 0 };
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, spin);
	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		ring_run(&self->ring, g->vcpu, budgets[i], 1);
		ASSERT_EQ(1, ring_submit(&self->ring));
		EXPECT_TRUE(guest_counts(g));
		EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
		EXPECT_EQ(VEE_EXIT_KICKED, ring_result(&self->ring));
	}
}

/* However much it asks for, it does not keep the ring from others for long. */
TEST_F(uring, budget_has_an_end)
{
	struct guest *g = &self->g;
	__u64 before;

	GUEST_LONG(g, spin);
	g->page->deadline_ns = 0;
	memset(g->mem + GPA_DATA, 0, PAGE_BYTES);
	ring_run(&self->ring, g->vcpu, ~0U, 1);
	before = now_ns();
	ASSERT_EQ(1, ring_submit(&self->ring));
	EXPECT_GE(VEE_MAX_BUDGET_US * 1000ULL + 500 * MS_NS, now_ns() - before);
	EXPECT_TRUE(guest_counts(g));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_EQ(VEE_EXIT_KICKED, ring_result(&self->ring));
}

/* HLT sleeps, but not in the thread that submits. */
TEST_F(uring, halt_sleeps_in_a_worker)
{
	static const __u32 budgets[] = { LONG_US, 0 };
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		__u64 before = now_ns();

		GUEST_LONG(g, idle);
		g->page->options = VEE_OPTION_HLT_SLEEPS;
		ring_run(&self->ring, g->vcpu, budgets[i], 1);
		ASSERT_EQ(1, ring_submit(&self->ring));
		EXPECT_GE(LONG_US * 1000ULL, now_ns() - before);
		usleep(20000);
		EXPECT_EQ(0, vcpu_inject(g->vcpu, VEE_EVENT_INTERRUPT, VECTOR));
		EXPECT_EQ(VEE_EXIT_HYPERCALL, ring_result(&self->ring));
		EXPECT_EQ(STUB(VECTOR), g->page->regs.rip);
	}
}

/* Memory that the host has to bring first. */
TEST_F(uring, page_fault_in_a_worker)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, touch);
	/* Also where all of the guest's memory is one huge page. */
	ASSERT_EQ(0, madvise(g->mem + TOUCHED, PAGE_BYTES, MADV_DONTNEED));
	ring_run(&self->ring, g->vcpu, LONG_US, 1);
	EXPECT_EQ(VEE_EXIT_PIO, ring_result(&self->ring));
	EXPECT_LT(1, threads());
}

#define GPA_PDPT_APART	0x400000ULL

GUEST_CODE(halt_32, 32, "hlt");

/* ... that another thread has to supply: PDPTEs, in the state that the caller loads. */
TEST_F(uring, tables_are_waited_for_in_a_worker)
{
	__u64 *source = anon_memory(PAGE_BYTES), *pdpt = anon_memory(PAGE_BYTES);
	int fd = watch_missing(_metadata, pdpt, PAGE_BYTES);
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, halt_32);
	guest_write_page_tables(g);
	source[0] = GPA_PD | PTE_P;
	ASSERT_EQ(0, vm_map(g->vm, GPA_PDPT_APART, pdpt, PAGE_BYTES,
			    VEE_READ | VEE_WRITE));
	guest_set_control(g, X86_CR0_PG | X86_CR0_PE | X86_CR0_ET, GPA_PDPT_APART,
			  X86_CR4_PAE, 0);
	ring_run(&self->ring, g->vcpu, LONG_US, 1);
	/* It comes back, or nobody could supply them. */
	ASSERT_EQ(1, ring_submit(&self->ring));
	ASSERT_TRUE(wait_missing(fd));
	ASSERT_EQ(0, supply_missing(fd, pdpt, source));
	EXPECT_EQ(VEE_EXIT_HLT, ring_result_of(&self->ring, 1));
	close(fd);
}

TEST_F(uring, sqpoll)
{
	struct guest *g = &self->g;
	struct ring ring;
	unsigned int i;

	open_ring(_metadata, &ring, IORING_SETUP_SQPOLL);
	GUEST_LONG(g, out);
	for (i = 0; i < 20; i++) {
		ring_run(&ring, g->vcpu, i % 2 ? 0 : LONG_US, i);
		ASSERT_EQ(VEE_EXIT_PIO, ring_result(&ring));
		EXPECT_EQ(i, g->page->exit.pio.data);
		guest_resume_next(g);
	}
	ring_close(&ring);
}

TEST_F(uring, iopoll_is_refused)
{
	struct guest *g = &self->g;
	struct ring ring;

	open_ring(_metadata, &ring, IORING_SETUP_IOPOLL);
	GUEST_LONG(g, out);
	ring_run(&ring, g->vcpu, LONG_US, 1);
	EXPECT_EQ(-EOPNOTSUPP, ring_result(&ring));
	ring_close(&ring);
}

/* --- interrupts by message ------------------------------------------------------- */

GUEST_CODE(wait_for_one, 64, "1: sti; hlt; cli; jmp 1b");

/* All of it is in the SQE: the caller may forget it at once. */
static void ring_signal(struct ring *ring, int vm, struct vee_uring_signal signal, __u8 flags)
{
	struct io_uring_sqe *sqe = ring_queue(ring, IORING_OP_URING_CMD, vm, 1);

	sqe->cmd_op = VEE_VM_SIGNAL;
	sqe->flags = flags;
	memcpy(sqe->cmd, &signal, sizeof(signal));
	ring_publish(ring);
}

static int signal_result(struct ring *ring, int vm, __u64 address, __u32 data, __u32 flags)
{
	ring_signal(ring, vm, (struct vee_uring_signal) {
		.address = address, .data = data, .flags = flags,
	}, 0);
	return ring_result(ring);
}

/* To one that sleeps: by the thread that submits it, or a worker. */
TEST_F(uring, signal)
{
	static const __u8 ways[] = { 0, IOSQE_ASYNC };
	struct guest g;
	struct runner r;
	unsigned int i;

	guest_open_apic(_metadata, &g);
	for (i = 0; i < 2; i++) {
		GUEST_LONG(&g, wait_for_one);
		ASSERT_EQ(0, runner_start(&r, &g));
		usleep(2000);
		EXPECT_FALSE(runner_done(&r));
		ring_signal(&self->ring, g.vm, (struct vee_uring_signal) {
			.address = MSI(0), .data = VECTOR + 0x10 * i,
		}, ways[i]);
		EXPECT_EQ(0, ring_result(&self->ring));
		ASSERT_EQ(0, runner_join(&r));
		EXPECT_EQ(VEE_EXIT_HYPERCALL, g.page->exit.reason)
			TH_LOG("%s", guest_describe(&g));
		EXPECT_EQ(STUB(VECTOR + 0x10 * i), g.page->regs.rip);
	}
	guest_close(&g);
}

TEST_F(uring, signal_is_sent_at_once)
{
	int before = threads();
	struct io_uring_cqe cqe;
	struct guest g;

	guest_open_apic(_metadata, &g);
	ring_signal(&self->ring, g.vm, (struct vee_uring_signal) {
		.address = MSI(0), .data = VECTOR, .flags = VEE_SIGNAL_LEVEL,
	}, 0);
	EXPECT_EQ(1, ring_submit(&self->ring));
	ASSERT_TRUE(ring_peek(&self->ring, &cqe));
	EXPECT_EQ(0, cqe.res);
	EXPECT_EQ(before, threads());
	GUEST_LONG(&g, wait_for_one);
	ASSERT_VECTOR(&g, VECTOR);
	ASSERT_EQ(0, vcpu_sync(g.vcpu, VEE_STATE_APIC));
	EXPECT_EQ(1U << VECTOR % 32, g.page->apic.tmr[VECTOR / 32]);
	guest_close(&g);
}

/* Behind a device's read: when that has ended, and only then. */
TEST_F(uring, signal_linked)
{
	struct io_uring_sqe *sqe;
	struct guest g;
	int ends[2];
	char byte = 0;
	__u64 id;

	guest_open_apic(_metadata, &g);
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	sqe = ring_queue(&self->ring, IORING_OP_READ, ends[0], 2);
	sqe->addr = (unsigned long)&byte;
	sqe->len = 1;
	sqe->flags = IOSQE_IO_LINK;
	ring_publish(&self->ring);
	ring_signal(&self->ring, g.vm, (struct vee_uring_signal) {
		.address = MSI(0), .data = VECTOR,
	}, 0);
	EXPECT_EQ(2, ring_submit(&self->ring));
	GUEST_LONG(&g, wait_for_one);
	g.page->deadline_ns = NAP_NS;
	ASSERT_RUN(&g, VEE_EXIT_DEADLINE);
	EXPECT_EQ(1, write(ends[1], "x", 1));
	EXPECT_EQ(1, ring_next(&self->ring, &id));
	EXPECT_EQ(0, ring_next(&self->ring, &id));
	EXPECT_EQ(1, id);
	g.page->deadline_ns = DEADLINE_NS;
	ASSERT_VECTOR(&g, VECTOR);
	EXPECT_EQ('x', byte);
	close(ends[0]);
	close(ends[1]);
	guest_close(&g);
}

TEST_F(uring, signal_refused)
{
	int plain = self->g.vm, vm = vm_create_with(self->g.dev, VEE_VM_LOCAL_APIC);
	struct vee_unmap unmap = { .size = sizeof(unmap) };
	struct ring *ring = &self->ring, polled;

	ASSERT_LE(0, vm);
	EXPECT_EQ(0, signal_result(ring, vm, MSI(9), VECTOR, 0));
	EXPECT_EQ(-EINVAL, signal_result(ring, vm, 0, VECTOR, 0));
	EXPECT_EQ(-EINVAL, signal_result(ring, vm, MSI(0x100), VECTOR, 0));
	EXPECT_EQ(-EINVAL, signal_result(ring, vm, MSI(0), 0x700 | VECTOR, 0));
	EXPECT_EQ(-EINVAL, signal_result(ring, vm, MSI(0), VECTOR, 2));
	EXPECT_EQ(-EINVAL, signal_result(ring, vm, MSI(0), VECTOR, 1U << 31));
	EXPECT_EQ(-ENODEV, signal_result(ring, plain, MSI(0), VECTOR, 0));
	EXPECT_EQ(-EBADF, signal_result(ring, -1, MSI(0), VECTOR, 0));
	EXPECT_EQ(-ENOTTY, request(ring, vm, VEE_VM_UNMAP, &unmap));
	EXPECT_EQ(-ENOTTY, request(ring, vm, VEE_VCPU_RUN, NULL));
	open_ring(_metadata, &polled, IORING_SETUP_IOPOLL);
	EXPECT_EQ(-EOPNOTSUPP, signal_result(&polled, vm, MSI(0), VECTOR, 0));
	ring_close(&polled);
	close(vm);
}

TEST_F(uring, signal_from_another_mm)
{
	int status, vm = vm_create_with(self->g.dev, VEE_VM_LOCAL_APIC);
	pid_t child = fork();

	if (!child) {
		struct ring ring;

		if (ring_open(&ring, 0))
			_exit(2);
		_exit(signal_result(&ring, vm, MSI(0), VECTOR, 0) != -EIO);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(vm);
}

/* --- who may -------------------------------------------------------------------- */

TEST_F(uring, busy)
{
	struct guest *g = &self->g;
	struct runner r;
	__u64 id;

	GUEST_LONG(g, spin);
	ring_run(&self->ring, g->vcpu, 0, 1);
	ASSERT_EQ(1, ring_submit(&self->ring));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_EQ(-EBUSY, guest_run_once(g));
	ring_run(&self->ring, g->vcpu, LONG_US, 2);
	EXPECT_EQ(-EBUSY, ring_result(&self->ring));
	ring_run(&self->ring, g->vcpu, 0, 2);
	EXPECT_EQ(-EBUSY, ring_result(&self->ring));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(VEE_EXIT_KICKED, ring_next(&self->ring, &id));
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	ring_run(&self->ring, g->vcpu, LONG_US, 3);
	EXPECT_EQ(-EBUSY, ring_result(&self->ring));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, runner_join(&r));
}

TEST_F(uring, other_address_space)
{
	struct guest *g = &self->g;
	int status;
	pid_t child;

	GUEST_LONG(g, out);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct vee_stats stats = { .size = sizeof(stats) };
		struct ring ring;
		int bad = ring_open(&ring, 0);

		ring_run(&ring, g->vcpu, LONG_US, 1);
		bad |= ring_result(&ring) != -EIO;
		ring_run(&ring, g->vcpu, 0, 1);
		bad |= ring_result(&ring) != -EIO;
		bad |= request(&ring, g->vcpu, VEE_VCPU_STATS, &stats) != -EIO;
		_exit(bad);
	}
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	ring_run(&self->ring, g->vcpu, LONG_US, 1);
	EXPECT_EQ(VEE_EXIT_PIO, ring_result(&self->ring));
}

/* --- what ends a run --------------------------------------------------------------- */

TEST_F(uring, cancel_in_the_guest)
{
	static const __u32 budgets[] = { SHORT_US, 0 };
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, spin);
	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		g->page->deadline_ns = 0;
		ring_run(&self->ring, g->vcpu, budgets[i], 1);
		ASSERT_EQ(1, ring_submit(&self->ring));
		ASSERT_TRUE(guest_counts(g));
		usleep(10000);
		ring_cancel(&self->ring, 1, 2);
		ASSERT_EQ(1, ring_submit(&self->ring));
		expect_end(_metadata, g, &self->ring, 1, -EINTR);
	}
}

TEST_F(uring, cancel_in_hlt)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, idle);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
	g->page->deadline_ns = 0;
	ring_run(&self->ring, g->vcpu, LONG_US, 1);
	ASSERT_EQ(1, ring_submit(&self->ring));
	usleep(20000);
	ring_cancel(&self->ring, 1, 2);
	ASSERT_EQ(1, ring_submit(&self->ring));
	expect_end(_metadata, g, &self->ring, 1, -EINTR);
	EXPECT_EQ(AFTER_HLT, g->page->regs.rip);
}

/* One worker, which the first guest keeps. */
static void one_worker(struct __test_metadata *_metadata, struct ring *ring)
{
	__u32 workers[2] = { 1, 0 };

	ASSERT_EQ(0, syscall(SYS_io_uring_register, ring->fd,
			     IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2));
}

/* Keeps the one worker, until it is let go. */
static void keep_worker(struct __test_metadata *_metadata, struct guest *g,
			struct ring *ring)
{
	ring_run(ring, g->vcpu, 0, 1);
	ASSERT_EQ(1, ring_submit(ring));
	ASSERT_TRUE(guest_counts(g));
}

static void let_worker_go(struct __test_metadata *_metadata, struct guest *g,
			  struct ring *ring)
{
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(VEE_EXIT_KICKED, ring_result_of(ring, 1));
}

/*
 * Cancelled between its two threads: io_uring doesn't tell, and nothing of the run
 * may stay behind. The next one is another run, and takes what the page asks for,
 * even if its request begins in a worker and has the same memory as the old one.
 */
TEST_F(uring, cancel_while_it_waits_for_a_worker)
{
	struct guest *g = &self->g, sibling;
	unsigned int i;

	guest_open_sibling(_metadata, g, &sibling, 1);
	one_worker(_metadata, &self->ring);
	GUEST_LONG(g, spin);
	guest_set_long(&sibling);
	g->page->deadline_ns = 0;
	for (i = 0; i < 6; i++) {
		__u64 number = sibling.page->generation;

		keep_worker(_metadata, g, &self->ring);
		sibling.page->deadline_ns = 0;
		ring_run(&self->ring, sibling.vcpu, SHORT_US, 2);
		ASSERT_EQ(1, ring_submit(&self->ring));
		EXPECT_EQ(number, sibling.page->generation);
		EXPECT_EQ(VEE_EXIT_INTERRUPTED, sibling.page->exit.reason);
		ring_cancel(&self->ring, 2, 3);
		ASSERT_EQ(1, ring_submit(&self->ring));
		EXPECT_EQ(-ECANCELED, ring_result_of(&self->ring, 2));
		let_worker_go(_metadata, g, &self->ring);
		guest_set_rip(&sibling, GPA_CODE);
		sibling.page->deadline_ns = MS_NS;
		if (i % 3 == 0) {
			ASSERT_RUN(&sibling, VEE_EXIT_DEADLINE);
		} else {
			ring_run_flags(&self->ring, sibling.vcpu, 0,
				       i % 3 == 1 ? IOSQE_ASYNC : 0, 4);
			ASSERT_EQ(1, ring_submit(&self->ring));
			EXPECT_EQ(VEE_EXIT_DEADLINE, ring_result_of(&self->ring, 4));
		}
		EXPECT_EQ(0, sibling.page->dirty);
		EXPECT_EQ(number + 2, sibling.page->generation);
	}
	guest_close(&sibling);
}

/* A run that waits for a worker yields to another, and says so. */
TEST_F(uring, overtaken)
{
	struct guest *g = &self->g, sibling;
	unsigned int i;
	__u64 id;

	guest_open_sibling(_metadata, g, &sibling, 1);
	one_worker(_metadata, &self->ring);
	GUEST_LONG(g, spin);
	guest_set_long(&sibling);
	keep_worker(_metadata, g, &self->ring);
	ring_run(&self->ring, sibling.vcpu, SHORT_US, 2);
	ASSERT_EQ(1, ring_submit(&self->ring));
	sibling.page->deadline_ns = MS_NS;
	ASSERT_RUN(&sibling, VEE_EXIT_DEADLINE);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	for (i = 0; i < 2; i++) {
		int res = ring_next(&self->ring, &id);

		EXPECT_EQ(id == 1 ? VEE_EXIT_KICKED : -EINTR, res);
	}
	guest_close(&sibling);
}

TEST_F(uring, linked_timeout)
{
	struct __kernel_timespec after = { .tv_nsec = 20 * MS_NS };
	static const __u32 budgets[] = { SHORT_US, 0 };
	struct guest *g = &self->g;
	struct io_uring_sqe *sqe;
	unsigned int i;

	GUEST_LONG(g, spin);
	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		g->page->deadline_ns = 0;
		ring_run_flags(&self->ring, g->vcpu, budgets[i], IOSQE_IO_LINK, 1);
		sqe = ring_queue(&self->ring, IORING_OP_LINK_TIMEOUT, -1, 2);
		sqe->addr = (unsigned long)&after;
		sqe->len = 1;
		ring_publish(&self->ring);
		ASSERT_EQ(2, ring_submit(&self->ring));
		expect_end(_metadata, g, &self->ring, 1, -EINTR);
	}
}

TEST_F(uring, ring_is_closed)
{
	static const __u32 budgets[] = { SHORT_US, 0 };
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		struct ring ring;

		open_ring(_metadata, &ring, 0);
		GUEST_LONG(g, spin);
		g->page->deadline_ns = 0;
		ring_run(&ring, g->vcpu, budgets[i], 1);
		ASSERT_EQ(1, ring_submit(&ring));
		ASSERT_TRUE(guest_counts(g));
		ring_close(&ring);
		g->page->deadline_ns = MS_NS;
		EXPECT_TRUE(WAIT_FOR(guest_run_once(g) == 0));
		EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	}
}

#define GPA_IDLE	(GPA_CODE + 0x800)
#define SPINNING	3U

/* Counts in memory that outlives the process; vCPUs beyond the first few sleep. */
static void run_in_child(struct __test_metadata *_metadata, __u32 *shared,
			 unsigned int vcpus, __u32 budget_us)
{
	struct guest g, sibling;
	struct ring ring;
	unsigned int i;

	guest_open(_metadata, &g);
	open_ring(_metadata, &ring, 0);
	GUEST_LONG(&g, spin);
	memcpy(g.mem + GPA_IDLE, idle, idle_end - idle);
	g.page->deadline_ns = 0;
	for (i = 1; i < vcpus; i++) {
		guest_open_sibling(_metadata, &g, &sibling, i);
		guest_set_long(&sibling);
		if (i >= SPINNING)
			guest_set_rip(&sibling, GPA_IDLE);
		sibling.page->options = VEE_OPTION_HLT_SLEEPS;
		sibling.page->deadline_ns = 0;
		ring_run(&ring, sibling.vcpu, budget_us, i);
	}
	ring_run(&ring, g.vcpu, budget_us, 0);
	if (guest_counts_in(&g, shared) || ring_submit(&ring) != vcpus)
		_exit(1);
	for (;;)
		pause();
}

/* A process that dies takes its guests with it, at once. */
TEST_F(uring, process_is_killed)
{
	static const __u32 budgets[] = { SHORT_US, 0 };
	__u32 *shared = shared_page();
	unsigned int i;

	ASSERT_NE(MAP_FAILED, shared);
	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child)
			run_in_child(_metadata, shared, SPINNING, budgets[i]);
		expect_killed(_metadata, child, shared);
	}
	munmap(shared, PAGE_BYTES);
}

static void *exit_with_run(void *arg)
{
	struct guest *g = arg;
	struct ring ring;

	if (ring_open(&ring, 0))
		return NULL;
	ring_run(&ring, g->vcpu, SHORT_US, 1);
	ring_submit(&ring);
	guest_counts(g);
	return NULL;
}

/* The thread that submitted it ends, its process doesn't. */
TEST_F(uring, thread_exits)
{
	struct guest *g = &self->g;
	pthread_t thread;

	GUEST_LONG(g, spin);
	g->page->deadline_ns = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, exit_with_run, g));
	pthread_join(thread, NULL);
	g->page->deadline_ns = MS_NS;
	EXPECT_TRUE(WAIT_FOR(guest_run_once(g) == 0));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
}

/* Many runs under way, and a process that is killed: nobody holds the module. */
TEST_F(uring, killed_with_64_runs)
{
	__u32 *shared = shared_page();
	long users = module_users_at_rest();
	pid_t child;

	ASSERT_NE(MAP_FAILED, shared);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		run_in_child(_metadata, shared, 64, SHORT_US);
	expect_killed(_metadata, child, shared);
	EXPECT_TRUE(WAIT_FOR(module_users() == users));
	munmap(shared, PAGE_BYTES);
}

/* --- races -------------------------------------------------------------------------- */

#define STRESS_VCPUS	6
#define STRESS_ROUNDS	100

/**
 * struct stress - what the other thread does to runs of io_uring's
 * @guests: whose
 * @stop: tells it to end
 */
struct stress {
	struct guest guests[STRESS_VCPUS];
	bool stop;
};

static void *kick_all(void *arg)
{
	struct stress *s = arg;
	unsigned int turn = 0;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		struct guest *g = &s->guests[turn++ % STRESS_VCPUS];

		if (turn % 3)
			vcpu_kick(g->vcpu, __atomic_load_n(&g->page->generation,
							   __ATOMIC_ACQUIRE));
		else
			vcpu_inject(g->vcpu, VEE_EVENT_INTERRUPT, VECTOR);
		usleep(turn % 400);
	}
	return NULL;
}

static bool stress_result_is_good(int res)
{
	return res > 0 || res == -EINTR || res == -ECANCELED;
}

/* Each ends, by one of the things that may end it. */
static unsigned int stress_round(struct ring *ring, struct stress *s, unsigned int round)
{
	static const __u32 budgets[] = { 0, 1, 100, 1000 };
	unsigned int i, ended = 0, bad = 0;
	__u64 id;

	for (i = 0; i < STRESS_VCPUS; i++) {
		s->guests[i].page->deadline_ns = (i + round) % 5 * MS_NS + MS_NS;
		ring_run_flags(ring, s->guests[i].vcpu, budgets[(i + round) % 4],
			       (i + round) % 7 ? 0 : IOSQE_ASYNC, i);
	}
	bad += ring_submit(ring) != STRESS_VCPUS;
	for (i = round % 3; i < STRESS_VCPUS; i += 3)
		ring_cancel(ring, i, 100);
	ring_submit(ring);
	while (ended < STRESS_VCPUS) {
		int res = ring_next(ring, &id);

		if (res == RING_NOTHING)
			return 1000;
		if (id >= STRESS_VCPUS)
			continue;
		ended++;
		bad += !stress_result_is_good(res);
	}
	return bad;
}

TEST_F(uring, cancel_and_kick_stress)
{
	struct stress s = { .stop = false };
	unsigned int i, bad = 0;
	pthread_t thread;

	s.guests[0] = self->g;
	GUEST_LONG(&s.guests[0], spin);
	for (i = 1; i < STRESS_VCPUS; i++) {
		guest_open_sibling(_metadata, &self->g, &s.guests[i], i);
		guest_set_long(&s.guests[i]);
	}
	for (i = 0; i < STRESS_VCPUS; i++)
		s.guests[i].page->options = VEE_OPTION_HLT_SLEEPS;
	ASSERT_EQ(0, pthread_create(&thread, NULL, kick_all, &s));
	for (i = 0; i < STRESS_ROUNDS && bad < 1000; i++)
		bad += stress_round(&self->ring, &s, i);
	EXPECT_EQ(0, bad) TH_LOG("round %u", i);
	__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	for (i = 1; i < STRESS_VCPUS; i++)
		guest_close(&s.guests[i]);
}

/* --- without io_uring ------------------------------------------------------------------ */

#define SYSCTL	"/proc/sys/kernel/io_uring_disabled"

TEST_F(uring, switched_off)
{
	struct guest *g = &self->g;
	struct ring ring;

	if (write_file(SYSCTL, "2"))
		VEE_SKIP("this kernel can't switch io_uring off");
	GUEST_LONG(g, hlt);
	EXPECT_EQ(-EPERM, ring_open(&ring, 0));
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, write_file(SYSCTL, "0"));
}

TEST_HARNESS_MAIN
