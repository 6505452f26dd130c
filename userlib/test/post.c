// SPDX-License-Identifier: LGPL-2.1-or-later
/* Posted writes and doorbells: the tests have the kernel's end of the ring. */
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

#define MANY		100000
#define A_LONG_TIME_S	600

static struct vee_post_ring *kernels_end(const struct rig *rig)
{
	void *ring = mmap(NULL, VEE_POST_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			  vee_vm_fd(rig->vm), 0);

	if (ring == MAP_FAILED)
		abort();
	return ring;
}

static bool put(struct vee_post_ring *ring, uint64_t data)
{
	if (ring->tail - __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == VEE_POSTS)
		return false;
	ring->posts[ring->tail % VEE_POSTS] = (struct vee_post) {
		.address = 0x80, .data = data, .width = 1,
	};
	__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
	return true;
}

static const struct vee_coalesce port_80h = {
	.first = 0x80, .bytes = 1, .space = VEE_SPACE_PORT,
};

/* Without the ring nothing is asked for, and the next try may go well. */
static void no_ring(void)
{
	struct vee_post post;
	struct rig rig;

	rig_begin(&rig);
	fail_call("mmap", 1, ENOMEM);
	CHECK_EQUAL(vee_vm_coalesce(rig.vm, &port_80h), -ENOMEM);
	CHECK(call_failed());
	CHECK_EQUAL(fake.coalesce.size, 0);
	CHECK(!vee_vm_take_post(rig.vm, &post));
	CHECK_EQUAL(vee_vm_coalesce(rig.vm, &port_80h), 0);
	CHECK_EQUAL(fake.coalesce.first, 0x80);
	rig_end(&rig);
}

static void what_is_asked_for(void)
{
	const struct vee_coalesce range = {
		.first = 0xfee00000, .bytes = 3, .space = VEE_SPACE_MEMORY, .remove = 1,
	};
	struct rig rig;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_coalesce(rig.vm, &range), 0);
	CHECK_EQUAL(fake.coalesce.size, sizeof(fake.coalesce));
	CHECK_EQUAL(fake.coalesce.first, 0xfee00000);
	CHECK_EQUAL(fake.coalesce.bytes, 3);
	CHECK_EQUAL(fake.coalesce.space, VEE_SPACE_MEMORY);
	CHECK_EQUAL(fake.coalesce.remove, 1);
	fake.error = -ENOSPC;
	CHECK_EQUAL(vee_vm_coalesce(rig.vm, &port_80h), -ENOSPC);
	fake.error = 0;
	rig_end(&rig);
}

static void posts_in_order(void)
{
	struct vee_post_ring *ring;
	struct vee_post post = { 0 };
	struct rig rig;

	rig_begin(&rig);
	ring = kernels_end(&rig);
	CHECK(!vee_vm_take_post(rig.vm, &post));
	vee_vm_coalesce(rig.vm, &port_80h);
	CHECK(!vee_vm_take_post(rig.vm, &post));
	ring->tail = UINT32_MAX - 1;	/* the counts wrap */
	ring->head = ring->tail;
	for (unsigned int i = 0; i < VEE_POSTS; i++)
		CHECK(put(ring, i));
	CHECK(!put(ring, 0));
	for (unsigned int i = 0; i < VEE_POSTS; i++) {
		CHECK(vee_vm_take_post(rig.vm, &post));
		CHECK_EQUAL(post.data, i);
		CHECK_EQUAL(post.address, 0x80);
		CHECK_EQUAL(post.width, 1);
	}
	CHECK(!vee_vm_take_post(rig.vm, &post));
	CHECK(put(ring, 0));
	munmap(ring, VEE_POST_RING_BYTES);
	rig_end(&rig);
}

static void *put_many(void *ring)
{
	for (uint64_t i = 0; i < MANY; )
		i += put(ring, i);
	return NULL;
}

static void a_writer_and_a_reader(void)
{
	struct vee_post_ring *ring;
	struct vee_post post;
	pthread_t thread;
	struct rig rig;

	rig_begin(&rig);
	ring = kernels_end(&rig);
	vee_vm_coalesce(rig.vm, &port_80h);
	alarm(A_LONG_TIME_S);			/* one that is lost ends the program */
	pthread_create(&thread, NULL, put_many, ring);
	for (uint64_t i = 0; i < MANY; )
		if (vee_vm_take_post(rig.vm, &post))
			CHECK_EQUAL(post.data, i++);
	pthread_join(thread, NULL);
	alarm(0);
	CHECK(!vee_vm_take_post(rig.vm, &post));
	munmap(ring, VEE_POST_RING_BYTES);
	rig_end(&rig);
}

static void doorbells(void)
{
	struct vee_doorbell bell = {
		.address = 0x510, .data = 7, .eventfd = 3, .width = 2, .match = 1,
		.remove = 1,
	};
	struct rig rig;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_doorbell(rig.vm, &bell), 0);
	CHECK_EQUAL(bell.size, 0);
	bell.size = sizeof(bell);
	CHECK(!memcmp(&bell, &fake.doorbell, sizeof(bell)));
	fake.error = -EBADF;
	CHECK_EQUAL(vee_vm_doorbell(rig.vm, &bell), -EBADF);
	fake.error = 0;
	rig_end(&rig);
}

const struct test tests[] = {
	{ "what is asked for", what_is_asked_for },
	{ "no ring", no_ring },
	{ "posts come in order", posts_in_order },
	{ "a writer and a reader", a_writer_and_a_reader },
	{ "doorbells", doorbells },
	{ 0 }
};
