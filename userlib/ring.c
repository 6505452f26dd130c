// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * vCPUs through io_uring: one thread that runs many.
 *
 * Runs that may begin in this thread are collected, and begin together, by one
 * VEE_RUN_EACH: a request a run would cost more than the run. Those that it could not
 * end go on in workers, by a VEE_VCPU_RUN each.
 */
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

/**
 * struct batch - runs that begin together
 * @each: the request for them
 * @steps: what it takes
 * @vcpus: whose they are; NULL: it goes on elsewhere
 */
struct batch {
	struct vee_run_each each;
	struct vee_step *steps;
	struct vee_vcpu **vcpus;
};

/**
 * struct vee_ring - a ring
 * @uring: what is behind it
 * @device: a descriptor of /dev/vee
 * @batches: see @queued
 * @queued: the one that collects
 * @begun: the other one, whose runs have begun
 * @under_way: its request has not been completed
 * @taken: how many results of it the caller has been given
 * @room: for how many runs a batch has room
 * @begins: how many batches have begun, ever
 * @runs: how many runs were queued that may have to have a worker, ever
 * @nudged: @runs when the last nudge was queued
 * @served: @runs when it was last known that each has had a thread
 * @notes: -1: of some vCPUs the last exits are kept; else 0
 */
struct vee_ring {
	struct io_uring uring;
	int device;
	struct batch batches[2];
	struct batch *queued;
	struct batch *begun;
	bool under_way;
	unsigned int taken;
	unsigned int room;
	uint64_t begins;
	uint64_t runs;
	uint64_t nudged;
	uint64_t served;
	int notes;
};

/*
 * In user_data: bit 0 says that it is the library's, the rest is the vCPU, or 0; or
 * VEE_RING_SIGNAL.
 */
#define OURS	1ULL
#define NUDGE	(2ULL | OURS)
#define BATCH	(4ULL | OURS)

/* In place of a descriptor, before the run has begun. */
#define CANCELLED	(-1)
/* A result that the kernel gives no run. */
#define NOT_BEGUN	0

/* The smallest submission queue: cancels and the caller's own need room, too. */
#define ENTRIES_MIN	16U
#define ENTRIES_MAX	4096U

static unsigned int entries_for(unsigned int vcpus)
{
	unsigned int entries = ENTRIES_MIN;

	while (entries / 2 < vcpus && entries < ENTRIES_MAX)
		entries *= 2;
	return entries;
}

/*
 * Completions wait until the thread asks for them: otherwise the end of one run
 * would be a signal to the thread while it has another guest in its hands.
 */
static int queue_init(struct vee_ring *ring, unsigned int vcpus)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
	};

	return io_uring_queue_init_params(entries_for(vcpus), &ring->uring, &params);
}

/* As many workers as vCPUs: those that wait for each other all get to run. */
static int size_workers(struct vee_ring *ring, unsigned int vcpus)
{
	unsigned int workers[2] = { 0 }, now[2] = { 0 };
	int err = io_uring_register_iowq_max_workers(&ring->uring, now);

	if (err || now[0] >= vcpus)
		return err;
	workers[0] = vcpus;
	return io_uring_register_iowq_max_workers(&ring->uring, workers);
}

static int batch_alloc(struct batch *batch, unsigned int room)
{
	batch->each.size = sizeof(batch->each);
	batch->steps = calloc(room, sizeof(*batch->steps));
	batch->each.steps = (uintptr_t)batch->steps;
	batch->vcpus = calloc(room, sizeof(*batch->vcpus));
	return batch->steps && batch->vcpus ? 0 : -ENOMEM;
}

static struct vee_ring *ring_alloc(unsigned int vcpus)
{
	struct vee_ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	ring->device = -1;
	ring->room = vcpus < VEE_MAX_STEPS ? vcpus : VEE_MAX_STEPS;
	ring->queued = &ring->batches[0];
	ring->begun = &ring->batches[1];
	return ring;
}

static void ring_free(struct vee_ring *ring)
{
	for (int i = 0; i < 2; i++) {
		free(ring->batches[i].steps);
		free(ring->batches[i].vcpus);
	}
	if (ring->device >= 0)
		close(ring->device);
	free(ring);
}

static int ring_init(struct vee_ring *ring, unsigned int vcpus)
{
	int err = batch_alloc(ring->queued, ring->room);

	if (!err)
		err = batch_alloc(ring->begun, ring->room);
	if (err)
		return err;
	ring->device = open_device();
	return ring->device < 0 ? ring->device : queue_init(ring, vcpus);
}

int vee_ring_create(struct vee_ring **ring, unsigned int vcpus)
{
	struct vee_ring *new;
	int err;

	if (!vcpus)
		return -EINVAL;
	new = ring_alloc(vcpus);
	if (!new)
		return -ENOMEM;
	err = ring_init(new, vcpus);
	if (err) {
		ring_free(new);
		return err;
	}
	err = size_workers(new, vcpus);
	if (err)
		vee_ring_destroy(new);
	else
		*ring = new;
	return err;
}

void vee_ring_destroy(struct vee_ring *ring)
{
	if (!ring)
		return;
	io_uring_queue_exit(&ring->uring);
	ring_free(ring);
}

struct io_uring *vee_ring_uring(struct vee_ring *ring)
{
	return &ring->uring;
}

/* What is queued goes to the kernel to make room for more. */
static __attribute__((noinline)) struct io_uring_sqe *make_room(struct vee_ring *ring, int *err)
{
	struct io_uring_sqe *sqe = NULL;
	int ret = io_uring_submit(&ring->uring);

	if (ret >= 0) {
		sqe = io_uring_get_sqe(&ring->uring);
		ret = -EBUSY;
	}
	*err = ret;
	return sqe;
}

/* NULL: @err says why. */
static inline struct io_uring_sqe *get_sqe(struct vee_ring *ring, int *err)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	return sqe ? sqe : make_room(ring, err);
}

static uint64_t tag(const struct vee_vcpu *vcpu)
{
	return (uintptr_t)vcpu | OURS;
}

#define PAYLOAD_BYTES	16U

static void prep_request(struct io_uring_sqe *sqe, int fd, unsigned int request,
			 const void *payload)
{
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = request;
	memcpy(sqe->cmd, payload, PAYLOAD_BYTES);
}

static int queue_request(struct vee_ring *ring, int fd, unsigned int request,
			 struct vee_uring_cmd cmd, uint64_t user_data)
{
	int err;
	struct io_uring_sqe *sqe = get_sqe(ring, &err);

	if (!sqe)
		return err;
	prep_request(sqe, fd, request, &cmd);
	sqe->user_data = user_data;
	return 0;
}

/* @generation: of a paused run to go on with, or 0. */
static int queue_run(struct vee_ring *ring, struct vee_vcpu *vcpu,
		     unsigned int budget_us, uint64_t generation)
{
	struct vee_uring_cmd cmd = { .arg = generation, .budget_us = budget_us };
	int err = queue_request(ring, vcpu->fd, VEE_VCPU_RUN, cmd, tag(vcpu));

	if (!err)
		ring->runs++;
	return err;
}

static int begin_run(struct vee_ring *ring, struct vee_vcpu *vcpu, unsigned int budget_us)
{
	struct batch *batch = ring->queued;
	unsigned int i = batch->each.count;

	if (!budget_us || i == ring->room)
		return queue_run(ring, vcpu, budget_us, 0);
	batch->steps[i].vcpu = vcpu->fd;
	batch->steps[i].result = NOT_BEGUN;
	batch->steps[i].budget_us = budget_us;
	batch->vcpus[i] = vcpu;
	batch->each.count++;
	return 0;
}

static __attribute__((noinline)) int begin_noting(struct vee_ring *ring,
						  struct vee_vcpu *vcpu,
						  unsigned int budget_us)
{
	exits_begin(vcpu);
	ring->notes = -1;
	return begin_run(ring, vcpu, budget_us);
}

int vee_ring_run(struct vee_ring *ring, struct vee_vcpu *vcpu, unsigned int budget_us)
{
	return vcpu->exits ? begin_noting(ring, vcpu, budget_us) :
			     begin_run(ring, vcpu, budget_us);
}

/* False: no run of it has been queued to begin in this thread. */
static bool cancel_queued(struct batch *batch, const struct vee_vcpu *vcpu)
{
	bool found = false;

	for (unsigned int i = 0; i < batch->each.count; i++)
		if (batch->vcpus[i] == vcpu) {
			batch->steps[i].vcpu = CANCELLED;
			found = true;
		}
	return found;
}

int vee_ring_cancel(struct vee_ring *ring, struct vee_vcpu *vcpu)
{
	struct io_uring_sqe *sqe;
	int err;

	if (cancel_queued(ring->queued, vcpu))
		return 0;
	sqe = get_sqe(ring, &err);
	if (!sqe)
		return err;
	io_uring_prep_cancel64(sqe, tag(vcpu), 0);
	sqe->user_data = tag(NULL);
	return 0;
}

/*
 * The kernel (6.12) may queue a run behind others that it takes for short ones, and
 * looks again only when something more is queued. So something is, which ends once
 * all before it have threads.
 */
static int nudge(struct vee_ring *ring)
{
	int err;
	struct io_uring_sqe *sqe = get_sqe(ring, &err);

	if (!sqe)
		return err;
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	sqe->user_data = NUDGE;
	ring->nudged = ring->runs;
	return 0;
}

#define NUDGE_AFTER_NS	2000000

/* Short runs have ended when they are submitted: no timer for those. */
static int submit_and_wait(struct vee_ring *ring)
{
	struct __kernel_timespec after = { .tv_nsec = NUDGE_AFTER_NS };
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit(&ring->uring);

	if (ret < 0 || io_uring_cq_ready(&ring->uring))
		return ret;
	if (ring->served == ring->runs)
		return io_uring_submit_and_wait(&ring->uring, 1);
	ret = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &after, NULL);
	return ret == -ETIME ? nudge(ring) : ret;
}

/* Short runs may leave no time to wait, so: every so many batches. */
#define NUDGE_AFTER	64

static int nudge_now_and_then(struct vee_ring *ring)
{
	return ++ring->begins % NUDGE_AFTER || ring->served == ring->runs ? 0 : nudge(ring);
}

/*
 * All that was collected begins. On its own: not as the next link of a chain of the
 * caller's.
 */
static int begin_batch(struct vee_ring *ring)
{
	struct batch *batch = ring->queued;
	struct vee_uring_cmd cmd = { .arg = (uintptr_t)&batch->each };
	int err = nudge_now_and_then(ring);

	if (!err && io_uring_sq_ready(&ring->uring))
		err = io_uring_submit(&ring->uring);
	if (err >= 0)
		err = queue_request(ring, ring->device, VEE_RUN_EACH, cmd, BATCH);
	if (err < 0)
		return err;
	ring->queued = ring->begun;
	ring->queued->each.count = 0;
	ring->begun = batch;
	ring->under_way = true;
	/* What else has ended must not wait until there are no short runs left. */
	return io_uring_submit_and_get_events(&ring->uring);
}

/* What is left of a run that has not ended is queued. False: it has ended. */
static bool goes_on(struct vee_ring *ring, struct vee_vcpu *vcpu, struct vee_step *step)
{
	int err;

	switch (step->result) {
	case -EINTR:
		err = vee_ring_run(ring, vcpu, step->budget_us);
		break;
	case -EAGAIN:
		err = queue_run(ring, vcpu, 0, 0);
		break;
	case -EINPROGRESS:
		err = queue_run(ring, vcpu, 0, vcpu->page->generation);
		break;
	default:
		return false;
	}
	/* Too much is queued: it is as if it had been cancelled. */
	if (err)
		step->result = -EINTR;
	return !err;
}

/* @err: of the request: runs that have no result have not begun. */
static void end_step(struct vee_ring *ring, unsigned int i, int err)
{
	struct vee_step *step = &ring->begun->steps[i];

	if (step->result > 0)
		return;
	if (step->vcpu == CANCELLED)
		step->result = -ECANCELED;
	else if (step->result == NOT_BEGUN)
		step->result = err;
	else if (goes_on(ring, ring->begun->vcpus[i], step))
		ring->begun->vcpus[i] = NULL;
}

/*
 * What goes on does so before the caller is given the first result: guests may wait
 * for each other, and a cancel has to find it.
 */
static void end_batch(struct vee_ring *ring, int err)
{
	uint64_t runs = ring->runs;

	for (unsigned int i = 0; i < ring->begun->each.count; i++)
		end_step(ring, i, err);
	ring->under_way = false;
	ring->taken = 0;
	/* If that fails, the next submission will say so. */
	if (ring->runs != runs)
		io_uring_submit(&ring->uring);
}

static bool has_results(const struct vee_ring *ring)
{
	return !ring->under_way && ring->taken < ring->begun->each.count;
}

/* False: it goes on elsewhere. */
static bool take_step(struct vee_ring *ring, struct vee_ring_event *event)
{
	unsigned int i = ring->taken++;

	event->vcpu = ring->begun->vcpus[i];
	event->data = 0;
	event->result = ring->begun->steps[i].result;
	event->flags = 0;
	return event->vcpu;
}

int vee_ring_signal(struct vee_ring *ring, struct vee_vm *vm, uint64_t address, uint32_t data,
		    unsigned int flags)
{
	struct vee_uring_signal signal = { .address = address, .data = data, .flags = flags };
	int err;
	struct io_uring_sqe *sqe = get_sqe(ring, &err);

	if (!sqe)
		return err;
	prep_request(sqe, vee_vm_fd(vm), VEE_VM_SIGNAL, &signal);
	sqe->user_data = VEE_RING_SIGNAL;
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	return 0;
}

/* False: it is of no interest to the caller. */
static bool take(struct vee_ring *ring, const struct io_uring_cqe *cqe,
		 struct vee_ring_event *event)
{
	bool ours = cqe->user_data & OURS && cqe->user_data != VEE_RING_SIGNAL;

	if (cqe->user_data == NUDGE) {
		ring->served = ring->nudged;
		return false;
	}
	if (cqe->user_data == BATCH) {
		end_batch(ring, cqe->res);
		return false;
	}
	event->vcpu = ours ? (struct vee_vcpu *)(uintptr_t)(cqe->user_data & ~OURS) : NULL;
	event->data = ours ? 0 : cqe->user_data;
	/* Somebody else has run the vCPU since its run was paused. */
	event->result = ours && cqe->res == -ESTALE ? -EINTR : cqe->res;
	event->flags = cqe->flags;
	return cqe->user_data != tag(NULL);
}

static bool take_completion(struct vee_ring *ring, struct io_uring_cqe *cqe,
			    struct vee_ring_event *event)
{
	bool wanted = take(ring, cqe, event);

	io_uring_cqe_seen(&ring->uring, cqe);
	return wanted;
}

static __attribute__((noinline)) int note_end(const struct vee_ring_event *event)
{
	if (event->vcpu && event->result < 0)
		run_failed(event->vcpu, event->result);
	else if (event->vcpu && event->vcpu->exits)
		exits_end(event->vcpu);
	return 0;
}

/* What failed is noted, and what a vCPU keeps: by one comparison for all others. */
static int tell(const struct vee_ring *ring, const struct vee_ring_event *event)
{
	return (event->result | ring->notes) < 0 ? note_end(event) : 0;
}

static __attribute__((noinline)) int wait_for_one(struct vee_ring *ring,
						  struct vee_ring_event *event)
{
	struct io_uring_cqe *cqe;
	bool wanted = false;
	int ret = 0;

	while (!wanted && ret >= 0) {
		if (has_results(ring))
			wanted = take_step(ring, event);
		else if (!io_uring_peek_cqe(&ring->uring, &cqe))
			wanted = take_completion(ring, cqe, event);
		else if (ring->queued->each.count && !ring->under_way)
			ret = begin_batch(ring);
		else
			ret = submit_and_wait(ring);
	}
	return ret < 0 ? ret : tell(ring, event);
}

int vee_ring_wait(struct vee_ring *ring, struct vee_ring_event *event)
{
	if (has_results(ring) && take_step(ring, event))
		return tell(ring, event);
	return wait_for_one(ring, event);
}
