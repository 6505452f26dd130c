// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * vee_ring_*, on the io_uring of the machine at hand. The stand-in's vCPU is a file
 * that takes no commands, so each run of it ends with -EOPNOTSUPP.
 */
#include <liburing.h>

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

static void runs(void)
{
	struct vee_ring *ring = new_ring(3);
	struct vee_ring_event event;
	struct rig rig;

	if (!ring)
		return;
	rig_begin(&rig);
	for (int i = 0; i < 100; i++)
		CHECK(!vee_ring_run(ring, rig.vcpu, i % 2));
	for (int i = 0; i < 100; i++) {
		CHECK(!vee_ring_wait(ring, &event));
		CHECK(event.vcpu == rig.vcpu);
		CHECK_EQUAL(event.result, -EOPNOTSUPP);
		CHECK_EQUAL(event.data, 0);
	}
	rig_end(&rig);
	vee_ring_destroy(ring);
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
	struct vee_ring *ring = new_ring(1);
	struct vee_ring_event event;
	struct rig rig;

	if (!ring)
		return;
	rig_begin(&rig);
	nop(ring, 2);
	CHECK(!vee_ring_cancel(ring, rig.vcpu));
	nop(ring, 0xfffffffffffffffeULL);
	CHECK(!vee_ring_wait(ring, &event));
	CHECK(!event.vcpu && !event.result);
	CHECK_EQUAL(event.data, 2);
	CHECK(!vee_ring_wait(ring, &event));
	CHECK_EQUAL(event.data, 0xfffffffffffffffeULL);
	rig_end(&rig);
	vee_ring_destroy(ring);
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

const struct test tests[] = {
	{ "runs", runs },
	{ "requests of one's own", own_requests },
	{ "a worker for each vCPU", workers },
	{ "errors", errors },
	{ 0 }
};
