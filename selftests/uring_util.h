/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io_uring by its system calls: a ring, requests on vCPUs, completions. The tests
 * are linked statically and take no library for it.
 */
#ifndef SELFTESTS_URING_UTIL_H
#define SELFTESTS_URING_UTIL_H

#include <dirent.h>
#include <poll.h>

#include <linux/io_uring.h>

#include "vee_util.h"

/* In headers older than the tests. */
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL	(1U << 7)
#endif

#define RING_ENTRIES	256U
#define WORKERS		128U	/* bounded: more than any test has vCPUs */

/**
 * struct ring - an io_uring
 * @fd: its descriptor
 * @sq: the mapping of both rings
 * @sq_bytes: its size
 * @sqes: the array of requests
 * @params: what the kernel said
 * @queued: requests that have not been submitted
 */
struct ring {
	int fd;
	void *sq;
	size_t sq_bytes;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
	unsigned int queued;
};

static inline __u32 *ring_at(const struct ring *ring, __u32 offset)
{
	return (__u32 *)((char *)ring->sq + offset);
}

static inline size_t ring_sqes_bytes(void)
{
	return RING_ENTRIES * sizeof(struct io_uring_sqe);
}

/* 0, or -errno. */
static inline int ring_open(struct ring *ring, __u32 flags)
{
	__u32 workers[2] = { WORKERS, 0 };

	memset(ring, 0, sizeof(*ring));
	ring->params.flags = flags;
	ring->params.sq_thread_idle = 1000;
	ring->fd = syscall(SYS_io_uring_setup, RING_ENTRIES, &ring->params);
	if (ring->fd < 0)
		return -errno;
	ring->sq_bytes = ring->params.cq_off.cqes +
			 ring->params.cq_entries * sizeof(struct io_uring_cqe);
	ring->sq = mmap(NULL, ring->sq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, ring_sqes_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
			  ring->fd, IORING_OFF_SQES);
	if (ring->sq == MAP_FAILED || ring->sqes == MAP_FAILED)
		return -ENOMEM;
	if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_IOWQ_MAX_WORKERS,
		    workers, 2) && !(flags & IORING_SETUP_SQPOLL))
		return -errno;
	return 0;
}

static inline void ring_close(struct ring *ring)
{
	munmap(ring->sq, ring->sq_bytes);
	munmap(ring->sqes, ring_sqes_bytes());
	close(ring->fd);
}

/* An empty request; it goes to the kernel with the next ring_submit(). */
static inline struct io_uring_sqe *ring_queue(struct ring *ring, __u8 opcode,
					      int fd, __u64 id)
{
	__u32 *tail = ring_at(ring, ring->params.sq_off.tail);
	__u32 index = *tail & (RING_ENTRIES - 1);
	struct io_uring_sqe *sqe = &ring->sqes[index];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->user_data = id;
	ring_at(ring, ring->params.sq_off.array)[index] = index;
	ring->queued++;
	return sqe;
}

/* With SQPOLL the kernel may take it from here on: all of it must be in place. */
static inline void ring_publish(struct ring *ring)
{
	__u32 *tail = ring_at(ring, ring->params.sq_off.tail);

	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

static inline struct vee_uring_cmd *ring_payload(struct io_uring_sqe *sqe)
{
	return (struct vee_uring_cmd *)sqe->cmd;
}

static inline struct io_uring_sqe *ring_request(struct ring *ring, int vcpu,
						__u32 request, void *arg, __u64 id)
{
	struct io_uring_sqe *sqe = ring_queue(ring, IORING_OP_URING_CMD, vcpu, id);

	sqe->cmd_op = request;
	ring_payload(sqe)->arg = (unsigned long)arg;
	ring_publish(ring);
	return sqe;
}

/* A run, inline for @budget_us; flags of the SQE may be added to it by @flags. */
static inline void ring_run_flags(struct ring *ring, int vcpu, __u32 budget_us,
				  __u8 flags, __u64 id)
{
	struct io_uring_sqe *sqe = ring_queue(ring, IORING_OP_URING_CMD, vcpu, id);

	sqe->cmd_op = VEE_VCPU_RUN;
	sqe->flags = flags;
	ring_payload(sqe)->budget_us = budget_us;
	ring_publish(ring);
}

static inline void ring_run(struct ring *ring, int vcpu, __u32 budget_us, __u64 id)
{
	ring_run_flags(ring, vcpu, budget_us, 0, id);
}

static inline void ring_cancel(struct ring *ring, __u64 target, __u64 id)
{
	ring_queue(ring, IORING_OP_ASYNC_CANCEL, -1, id)->addr = target;
	ring_publish(ring);
}

/*
 * io_uring of 6.12 may queue a run behind others that it takes for short ones, and
 * looks again only when something more is queued.
 */
static inline void ring_queue_nudge(struct ring *ring, __u64 id)
{
	ring_queue(ring, IORING_OP_NOP, -1, id)->flags = IOSQE_ASYNC;
	ring_publish(ring);
}

/* Submits what is queued and waits for @wait completions: how many went, or -errno. */
static inline int ring_enter(struct ring *ring, unsigned int wait)
{
	unsigned int count = ring->queued;
	int ret;

	ring->queued = 0;
	do {
		ret = syscall(SYS_io_uring_enter, ring->fd, count, wait,
			      (wait ? IORING_ENTER_GETEVENTS : 0) |
			      (ring->params.flags & IORING_SETUP_SQPOLL ?
			       IORING_ENTER_SQ_WAKEUP : 0), NULL, 0);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

static inline int ring_submit(struct ring *ring)
{
	return ring_enter(ring, 0);
}

/* The next completion, if there is one. */
static inline bool ring_peek(struct ring *ring, struct io_uring_cqe *cqe)
{
	__u32 *head = ring_at(ring, ring->params.cq_off.head);
	__u32 tail = __atomic_load_n(ring_at(ring, ring->params.cq_off.tail),
				     __ATOMIC_ACQUIRE);
	struct io_uring_cqe *cqes;

	if (*head == tail)
		return false;
	cqes = (struct io_uring_cqe *)((char *)ring->sq + ring->params.cq_off.cqes);
	*cqe = cqes[*head & (ring->params.cq_entries - 1)];
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return true;
}

#define RING_NOTHING	(-1000)	/* no completion came: no result of a request's */

/* The result of the next completion; @id says whose. Waits, but not for ever. */
static inline int ring_next(struct ring *ring, __u64 *id)
{
	struct io_uring_cqe cqe;
	struct pollfd poller = { .fd = ring->fd, .events = POLLIN };

	*id = 0;
	while (!ring_peek(ring, &cqe)) {
		/* Runs what the kernel has for this thread, too. */
		if (!poll(&poller, 1, 5000))
			return RING_NOTHING;
	}
	*id = cqe.user_data;
	return cqe.res;
}

/* The result of request @wanted; completions before its own are dropped. */
static inline int ring_result_of(struct ring *ring, __u64 wanted)
{
	__u64 id;
	int res;

	do {
		res = ring_next(ring, &id);
	} while (res != RING_NOTHING && id != wanted);
	return res;
}

/* Submits and gives the result of the one request that is under way. */
static inline int ring_result(struct ring *ring)
{
	__u64 id;
	int ret = ring_submit(ring);

	return ret < 0 ? ret : ring_next(ring, &id);
}

/* Threads of this process: io_uring's workers are some, too. */
static inline int threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	int count = -2;	/* . and .. */

	while (dir && readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif /* SELFTESTS_URING_UTIL_H */
