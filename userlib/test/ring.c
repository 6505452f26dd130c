// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * vee_ring_*, on the io_uring of the machine at hand. The stand-in's vCPU is a file
 * that takes no commands, so each run of it ends with -EOPNOTSUPP.
 */
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* NULL: this machine has no io_uring, or no such one. */
static struct vee_ring *new_ring(unsigned int vcpus)
{
	struct vee_ring *ring = NULL;
	int err = vee_ring_create(&ring, vcpus);

	if (err)
		printf("# no ring: %s\n", strerror(-err));
	return ring;
}

/* Likewise, and a vCPU. */
static struct vee_ring *ring_begin(unsigned int vcpus, struct rig *rig)
{
	struct vee_ring *ring = new_ring(vcpus);

	if (ring)
		rig_begin(rig);
	return ring;
}

static void ring_end(struct vee_ring *ring, struct rig *rig)
{
	rig_end(rig);
	vee_ring_destroy(ring);
}

/* What ends next is a run of @vcpu. */
static void check_result(struct vee_ring *ring, const struct vee_vcpu *vcpu, int result)
{
	struct vee_ring_event event = { 0 };

	CHECK(!vee_ring_wait(ring, &event));
	CHECK(event.vcpu == vcpu);
	CHECK_EQUAL(event.result, result);
	CHECK_EQUAL(event.data, 0);
}

static void runs(void)
{
	struct rig rig;
	struct vee_ring *ring = ring_begin(3, &rig);

	if (!ring)
		return;
	for (int i = 0; i < 100; i++)
		CHECK(!vee_ring_run(ring, rig.vcpu, i % 2));
	for (int i = 0; i < 100; i++)
		check_result(ring, rig.vcpu, -EOPNOTSUPP);
	ring_end(ring, &rig);
}

/* Short runs that are queued begin together, however many there are. */
static void short_runs(void)
{
	struct rig rig;
	struct vee_ring *ring = ring_begin(8, &rig);

	if (!ring)
		return;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 8; i++)
			CHECK(!vee_ring_run(ring, rig.vcpu, 1 + i));
		CHECK_EQUAL(io_uring_sq_ready(vee_ring_uring(ring)), 0);
		for (int i = 0; i < 8; i++)
			check_result(ring, rig.vcpu, -EOPNOTSUPP);
	}
	ring_end(ring, &rig);
}

/* Before it has begun; one that was not cancelled is not disturbed. */
static void cancelled_at_once(void)
{
	struct rig rig;
	struct vee_ring *ring = ring_begin(2, &rig);

	if (!ring)
		return;
	CHECK(!vee_ring_run(ring, rig.vcpu, 1));
	CHECK(!vee_ring_cancel(ring, rig.vcpu));
	CHECK(!vee_ring_run(ring, rig.vcpu, 1));
	check_result(ring, rig.vcpu, -ECANCELED);
	check_result(ring, rig.vcpu, -EOPNOTSUPP);
	ring_end(ring, &rig);
}

/*
 * Runs that a batch has not ended go on before the first result is given: the stand-in
 * has nothing for them but -EOPNOTSUPP. What was interrupted begins again.
 */
static void unended_runs(void)
{
	static const int results[] = {
		VEE_EXIT_HLT, -EINPROGRESS, -EAGAIN, -EINTR, -EBUSY,	/* then: */
		VEE_EXIT_PIO,
	};
	static const int events[] = {
		VEE_EXIT_HLT, -EBUSY, -EOPNOTSUPP, -EOPNOTSUPP, VEE_EXIT_PIO,
	};
	struct rig rig;
	struct vee_ring *ring = ring_begin(5, &rig);

	if (!ring)
		return;
	fake.results = results;
	for (int i = 0; i < 5; i++)
		CHECK(!vee_ring_run(ring, rig.vcpu, 1));
	for (int i = 0; i < 5; i++) {
		check_result(ring, rig.vcpu, events[i]);
		/* At the first: what goes on is the kernel's already. */
		CHECK(i || io_uring_cq_ready(vee_ring_uring(ring)) == 2);
		CHECK_EQUAL(io_uring_sq_ready(vee_ring_uring(ring)), 0);
	}
	CHECK(fake.results == results + 6);
	ring_end(ring, &rig);
}

/* What vee_explain() tells of runs it tells of a ring's, too. */
static void runs_are_explained(void)
{
	static const int results[] = { VEE_EXIT_PIO, -EBUSY };
	struct rig rig;
	struct vee_ring *ring = ring_begin(2, &rig);
	char said[4096] = "";
	FILE *out = fmemopen(said, sizeof(said), "w");

	if (!ring) {
		fclose(out);
		return;
	}
	CHECK_EQUAL(vee_vcpu_keep_exits(rig.vcpu), 0);
	fake.results = results;
	rig.vcpu->page->exit.reason = VEE_EXIT_HLT;
	CHECK(!vee_ring_run(ring, rig.vcpu, 1));
	CHECK(!vee_ring_run(ring, rig.vcpu, 1));
	check_result(ring, rig.vcpu, VEE_EXIT_PIO);
	check_result(ring, rig.vcpu, -EBUSY);
	CHECK_EQUAL(vee_dump_exits(rig.vcpu, out), 0);
	CHECK_EQUAL(vee_explain(rig.vcpu, out), 0);
	fclose(out);
	CHECK(!strncmp(said, "  HLT at 0\nthe run failed: Device or resource busy\n", 50));
	ring_end(ring, &rig);
}

/* What the kernel has done before the request failed is done. */
static void failed_half_way(void)
{
	static const int results[] = { VEE_EXIT_PIO, 0 };
	struct rig rig;
	struct vee_ring *ring = ring_begin(2, &rig);

	if (!ring)
		return;
	fake.results = results;
	CHECK(!vee_ring_run(ring, rig.vcpu, 1));
	CHECK(!vee_ring_run(ring, rig.vcpu, 1));
	check_result(ring, rig.vcpu, VEE_EXIT_PIO);
	check_result(ring, rig.vcpu, -EOPNOTSUPP);
	ring_end(ring, &rig);
}

/* Not submitted; @after is there until it is. */
static void queue_timer(struct vee_ring *ring, struct __kernel_timespec *after, uint64_t data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(vee_ring_uring(ring));

	io_uring_prep_timeout(sqe, after, 0, 0);
	sqe->user_data = data;
}

/* Runs that end at once keep no timer from being heard. */
static void timer_beside_short_runs(void)
{
	struct __kernel_timespec after = { .tv_nsec = 1000000 };
	struct vee_ring_event event = { 0 };
	struct rig rig;
	struct vee_ring *ring = ring_begin(1, &rig);

	if (!ring)
		return;
	queue_timer(ring, &after, 2);
	for (int i = 0; i < 1000000 && event.data != 2; i++) {
		if (!i || event.vcpu)
			CHECK(!vee_ring_run(ring, rig.vcpu, 1));
		CHECK(!vee_ring_wait(ring, &event));
	}
	CHECK_EQUAL(event.data, 2);
	CHECK_EQUAL(event.result, -ETIME);
	ring_end(ring, &rig);
}

static void nop(struct vee_ring *ring, uint64_t data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(vee_ring_uring(ring));

	io_uring_prep_nop(sqe);
	sqe->user_data = data;
}

/* Requests of one's own come through; what the library asks for itself doesn't. */
static void own_requests(void)
{
	struct rig rig;
	struct vee_ring *ring = ring_begin(1, &rig);
	struct vee_ring_event event;

	if (!ring)
		return;
	nop(ring, 2);
	CHECK(!vee_ring_cancel(ring, rig.vcpu));
	nop(ring, 0xfffffffffffffffeULL);
	CHECK(!vee_ring_wait(ring, &event));
	CHECK(!event.vcpu && !event.result);
	CHECK_EQUAL(event.data, 2);
	CHECK(!vee_ring_wait(ring, &event));
	CHECK_EQUAL(event.data, 0xfffffffffffffffeULL);
	ring_end(ring, &rig);
}

static const struct io_uring_sqe *last_queued(struct vee_ring *ring)
{
	const struct io_uring_sq *sq = &vee_ring_uring(ring)->sq;

	return &sq->sqes[(sq->sqe_tail - 1) & sq->ring_mask];
}

/* The tests' VM is none: that is told, and that it has been sent is not. */
static void signals(void)
{
	const struct vee_uring_signal wanted = {
		.address = 0xfee00000 | 3 << 12, .data = 0x31, .flags = VEE_SIGNAL_LEVEL,
	};
	struct rig rig;
	struct vee_ring *ring = ring_begin(1, &rig);
	const struct io_uring_sqe *sqe;
	struct vee_ring_event event;

	if (!ring)
		return;
	CHECK(!vee_ring_signal(ring, rig.vm, wanted.address, wanted.data, wanted.flags));
	sqe = last_queued(ring);
	CHECK_EQUAL(sqe->opcode, IORING_OP_URING_CMD);
	CHECK_EQUAL(sqe->fd, vee_vm_fd(rig.vm));
	CHECK_EQUAL(sqe->cmd_op, VEE_VM_SIGNAL);
	CHECK_EQUAL(sqe->flags, IOSQE_CQE_SKIP_SUCCESS);
	CHECK(!memcmp(sqe->cmd, &wanted, sizeof(wanted)));
	CHECK(!vee_ring_wait(ring, &event));
	CHECK(!event.vcpu);
	CHECK_EQUAL(event.data, VEE_RING_SIGNAL);
	CHECK_EQUAL(event.result, -EOPNOTSUPP);
	ring_end(ring, &rig);
}

static void workers(void)
{
	unsigned int now[2] = { 0 };
	struct vee_ring *ring = new_ring(200);

	if (!ring)
		return;
	CHECK(!io_uring_register_iowq_max_workers(vee_ring_uring(ring), now));
	CHECK(now[0] >= 200);
	vee_ring_destroy(ring);
}

static void errors(void)
{
	struct vee_ring *ring = (void *)1;

	CHECK_EQUAL(vee_ring_create(&ring, 0), -EINVAL);
	CHECK(ring == (void *)1);
	vee_ring_destroy(NULL);
}

static int create_ring(void)
{
	struct vee_ring *ring = NULL;
	int err = vee_ring_create(&ring, 1);

	CHECK(!ring == !!err);
	vee_ring_destroy(ring);
	return err;
}

/* A ring takes a descriptor: there is none left. */
static void no_descriptors(void)
{
	struct rlimit old, none;
	int fd = dup(1);

	close(fd);
	CHECK(!getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = fd;
	CHECK(!setrlimit(RLIMIT_NOFILE, &none));
	CHECK_EQUAL(create_ring(), -EMFILE);
	CHECK(!setrlimit(RLIMIT_NOFILE, &old));
	CHECK(!create_ring());
	fake.open_error = ENOENT;
	CHECK_EQUAL(create_ring(), -ENOENT);
	fake.open_error = 0;
}

/* io_uring_setup(2) as where io_uring is switched off, or was never built. */
static bool refuse_setup(int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(*filter), .filter = filter,
	};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void check_refused(int error)
{
	pid_t child = fork();
	int status = -1;

	if (!child)
		_exit(refuse_setup(error) && create_ring() == -error ? 0 : 1);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQUAL(status, 0);
}

static void not_to_be_had(void)
{
	check_refused(EPERM);
	/* As of any call that the kernel has not got. */
	CHECK(syscall(-1) == -1);
	check_refused(errno);
}

/* Queues runs until there is no room for another. */
static void fill(struct vee_ring *ring, struct vee_vcpu *vcpu)
{
	while (io_uring_sq_space_left(vee_ring_uring(ring)))
		CHECK(!vee_ring_run(ring, vcpu, 0));
}

static void too_much_is_queued(void)
{
	struct vee_ring_event event;
	struct rig rig;
	struct vee_ring *ring = ring_begin(1, &rig);

	if (!ring)
		return;
	fill(ring, rig.vcpu);
	fake.submits_nothing = true;
	CHECK_EQUAL(vee_ring_run(ring, rig.vcpu, 0), -EBUSY);
	CHECK_EQUAL(vee_ring_cancel(ring, rig.vcpu), -EBUSY);
	CHECK_EQUAL(vee_ring_signal(ring, rig.vm, 0xfee00000, 0x31, 0), -EBUSY);
	/* Nor for the batch of a short one, which is queued on. */
	CHECK_EQUAL(vee_ring_run(ring, rig.vcpu, 1), 0);
	CHECK_EQUAL(vee_ring_wait(ring, &event), -EBUSY);
	fake.submits_nothing = false;
	check_result(ring, rig.vcpu, -EOPNOTSUPP);
	CHECK_EQUAL(vee_ring_run(ring, rig.vcpu, 0), 0);
	ring_end(ring, &rig);
}

#define OWN	7

static void fill_with_others(struct io_uring *uring)
{
	struct io_uring_sqe *sqe;

	fake.submits_nothing = true;
	while ((sqe = io_uring_get_sqe(uring))) {
		io_uring_prep_nop(sqe);
		sqe->user_data = OWN;
	}
}

/* A run that is to go on elsewhere, and can't be queued for that: it has been cancelled. */
static void no_room_to_go_on(void)
{
	static const int results[] = { -EAGAIN };
	struct vee_ring_event event;
	struct rig rig;
	struct vee_ring *ring = ring_begin(1, &rig);

	if (!ring)
		return;
	fake.results = results;
	fake.batch_begun = fill_with_others;
	CHECK(!vee_ring_run(ring, rig.vcpu, 1));
	check_result(ring, rig.vcpu, -EINTR);
	fake.submits_nothing = false;
	fake.batch_begun = NULL;
	CHECK(!vee_ring_wait(ring, &event));
	CHECK_EQUAL(event.data, OWN);
	ring_end(ring, &rig);
}

/* Who waits long while a run may be stuck queues something behind it, which nobody is told. */
static void a_nudge(void)
{
	struct __kernel_timespec after = { .tv_nsec = 20000000 };
	struct vee_ring_event event = { 0 };
	struct rig rig;
	struct vee_ring *ring = ring_begin(1, &rig);

	if (!ring)
		return;
	CHECK(!vee_ring_run(ring, rig.vcpu, 0));
	check_result(ring, rig.vcpu, -EOPNOTSUPP);
	queue_timer(ring, &after, OWN);
	CHECK(!vee_ring_wait(ring, &event));
	CHECK_EQUAL(event.data, OWN);
	CHECK_EQUAL(last_queued(ring)->opcode, IORING_OP_NOP);
	CHECK_EQUAL(last_queued(ring)->flags, IOSQE_ASYNC);
	CHECK(!io_uring_cq_ready(vee_ring_uring(ring)));
	ring_end(ring, &rig);
}

struct shared {
	struct vee_ring *ring;
	struct vee_vcpu *vcpu;
};

static void *use_from_another_thread(void *arg)
{
	struct vee_ring_event event;
	struct shared *shared = arg;

	CHECK_EQUAL(vee_ring_wait(shared->ring, &event), -EEXIST);
	fill(shared->ring, shared->vcpu);
	CHECK_EQUAL(vee_ring_run(shared->ring, shared->vcpu, 0), -EEXIST);
	CHECK_EQUAL(vee_ring_cancel(shared->ring, shared->vcpu), -EEXIST);
	CHECK_EQUAL(vee_ring_wait(shared->ring, &event), -EEXIST);
	return NULL;
}

static void one_thread_alone(void)
{
	struct shared shared = { .ring = new_ring(1) };
	pthread_t thread;
	struct rig rig;

	if (!shared.ring)
		return;
	rig_begin(&rig);
	shared.vcpu = rig.vcpu;
	CHECK(!pthread_create(&thread, NULL, use_from_another_thread, &shared));
	CHECK(!pthread_join(thread, NULL));
	rig_end(&rig);
	vee_ring_destroy(shared.ring);
}

static void allocations_can_fail(void)
{
	struct vee_ring *ring = new_ring(1);

	if (!ring)
		return;
	vee_ring_destroy(ring);
	CHECK_EQUAL(fail_each_allocation(create_ring), 5);
}

/* More than a kernel counts are refused, and as many as it counts make no small ring. */
static void very_many(void)
{
	struct vee_ring *ring = NULL;

	CHECK_EQUAL(vee_ring_create(&ring, UINT32_MAX), -EINVAL);
	CHECK_EQUAL(vee_ring_create(&ring, 1U << 31), -EINVAL);
	CHECK(!ring);
	ring = new_ring(INT32_MAX);
	if (!ring)
		return;
	CHECK(io_uring_sq_space_left(vee_ring_uring(ring)) >= 4096);
	vee_ring_destroy(ring);
}

const struct test tests[] = {
	{ "runs", runs },
	{ "short runs", short_runs },
	{ "cancelled at once", cancelled_at_once },
	{ "runs that a batch has not ended", unended_runs },
	{ "runs are explained", runs_are_explained },
	{ "a batch that failed half way", failed_half_way },
	{ "a timer beside short runs", timer_beside_short_runs },
	{ "requests of one's own", own_requests },
	{ "signals", signals },
	{ "a worker for each vCPU", workers },
	{ "errors", errors },
	{ "no descriptors left", no_descriptors },
	{ "no io_uring to be had", not_to_be_had },
	{ "too much is queued", too_much_is_queued },
	{ "no room to go on", no_room_to_go_on },
	{ "a nudge", a_nudge },
	{ "a ring is one thread's", one_thread_alone },
	{ "allocations can fail", allocations_can_fail },
	{ "very many vCPUs", very_many },
	{ 0 }
};
