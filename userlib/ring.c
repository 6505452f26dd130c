// SPDX-License-Identifier: LGPL-2.1-or-later
/* vCPUs through io_uring: one thread that runs many. */
#include <liburing.h>
#include <stdlib.h>

#include "internal.h"

/**
 * struct vee_ring - a ring
 * @uring: what is behind it
 * @runs: how many were queued, ever
 * @nudged: @runs when the last nudge was queued
 * @served: @runs when it was last known that each has had a thread
 */
struct vee_ring {
	struct io_uring uring;
	uint64_t runs;
	uint64_t nudged;
	uint64_t served;
};

/* In user_data: bit 0 says that it is the library's, the rest is the vCPU, or 0. */
#define OURS	1ULL
#define NUDGE	(2ULL | OURS)

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

int vee_ring_create(struct vee_ring **ring, unsigned int vcpus)
{
	struct vee_ring *new;
	int err;

	if (!vcpus)
		return -EINVAL;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	err = queue_init(new, vcpus);
	if (err) {
		free(new);
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
	free(ring);
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

int vee_ring_run(struct vee_ring *ring, struct vee_vcpu *vcpu, unsigned int budget_us)
{
	struct vee_uring_cmd cmd = { .budget_us = budget_us };
	int err;
	struct io_uring_sqe *sqe = get_sqe(ring, &err);

	if (!sqe)
		return err;
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, vcpu->fd, NULL, 0, 0);
	sqe->cmd_op = VEE_VCPU_RUN;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
	sqe->user_data = tag(vcpu);
	ring->runs++;
	return 0;
}

int vee_ring_cancel(struct vee_ring *ring, struct vee_vcpu *vcpu)
{
	int err;
	struct io_uring_sqe *sqe = get_sqe(ring, &err);

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

/* False: it is of no interest to the caller. */
static bool take(struct vee_ring *ring, const struct io_uring_cqe *cqe,
		 struct vee_ring_event *event)
{
	bool ours = cqe->user_data & OURS;

	if (cqe->user_data == NUDGE) {
		ring->served = ring->nudged;
		return false;
	}
	event->vcpu = ours ? (struct vee_vcpu *)(uintptr_t)(cqe->user_data & ~OURS) : NULL;
	event->data = ours ? 0 : cqe->user_data;
	event->result = cqe->res;
	event->flags = cqe->flags;
	return cqe->user_data != tag(NULL);
}

int vee_ring_wait(struct vee_ring *ring, struct vee_ring_event *event)
{
	struct io_uring_cqe *cqe;
	bool wanted = false;

	while (!wanted) {
		while (io_uring_peek_cqe(&ring->uring, &cqe)) {
			int ret = submit_and_wait(ring);

			if (ret < 0)
				return ret;
		}
		wanted = take(ring, cqe, event);
		io_uring_cqe_seen(&ring->uring, cqe);
	}
	return 0;
}
