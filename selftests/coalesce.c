// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that end no run: posted to the VM's ring, or signalled by an eventfd.
 */
#include <poll.h>
#include <sys/eventfd.h>

#include "vee_util.h"

/* Ports: 0x10 and up are for posting, 0x20 for an exit. */
GUEST_CODE(three, 64,
	   "mov $0x11223344, %eax; out %al, $0x10; out %ax, $0x10;"
	   "out %eax, $0x10; out %al, $0x20; hlt");
GUEST_CODE(many, 64, "1: out %eax, $0x10; inc %eax; jmp 1b");
GUEST_CODE(mixed, 64, "1: out %eax, $0x10; inc %eax; out %eax, $0x20; inc %eax; jmp 1b");
GUEST_CODE(other_ways, 64,
	   "out %ax, $0x13; in $0x10, %al; mov $0x10, %dx; mov $0x20000, %esi; outsb; hlt");

#define PORT		0x10
#define PORT_EXIT	0x20

FIXTURE(coalesce) {
	struct guest g;
	struct vee_post_ring *ring;
};

FIXTURE_SETUP(coalesce)
{
	guest_open(_metadata, &self->g);
	self->ring = mmap(NULL, VEE_POST_RING_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED, self->g.vm, 0);
	ASSERT_NE(MAP_FAILED, self->ring);
}

FIXTURE_TEARDOWN(coalesce)
{
	munmap(self->ring, VEE_POST_RING_BYTES);
	guest_close(&self->g);
}

static int coalesce(const struct guest *g, __u64 first, __u64 bytes, bool remove)
{
	struct vee_coalesce arg = {
		.size = sizeof(arg),
		.first = first,
		.bytes = bytes,
		.space = VEE_SPACE_PORT,
		.remove = remove,
	};

	return vee_call(g->vm, VEE_VM_COALESCE, &arg);
}

static struct vee_doorbell doorbell(int fd)
{
	return (struct vee_doorbell) {
		.size = sizeof(struct vee_doorbell),
		.address = PORT,
		.space = VEE_SPACE_PORT,
		.eventfd = fd,
	};
}

static int set_doorbell(const struct guest *g, struct vee_doorbell *arg)
{
	return vee_call(g->vm, VEE_VM_DOORBELL, arg);
}

/* How often it was signalled since it was last looked at. */
static __u64 rung(int fd)
{
	__u64 count = 0;

	return read(fd, &count, sizeof(count)) < 0 ? 0 : count;
}

static __u32 posted(const struct vee_post_ring *ring)
{
	return __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) - ring->head;
}

/* The oldest, which there must be. */
static struct vee_post take(struct vee_post_ring *ring)
{
	struct vee_post post = ring->posts[ring->head % VEE_POSTS];

	__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
	return post;
}

/* --- posting ------------------------------------------------------------------ */

TEST_F(coalesce, posts)
{
	static const __u64 data[] = { 0x44, 0x3344, 0x11223344 };
	struct guest *g = &self->g;
	unsigned int i;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	GUEST_LONG(g, three);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(PORT_EXIT, g->page->exit.pio.port);
	ASSERT_EQ(3, posted(self->ring));
	for (i = 0; i < 3; i++) {
		struct vee_post post = take(self->ring);

		EXPECT_EQ(PORT, post.address);
		EXPECT_EQ(data[i], post.data);
		EXPECT_EQ(1 << i, post.width);
		EXPECT_EQ(VEE_SPACE_PORT, post.space);
		EXPECT_EQ(0, post.vcpu);
	}
	guest_resume_next(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, posted(self->ring));
}

/* What isn't wholly in the range, is read, or is a string, is an exit. */
TEST_F(coalesce, other_accesses_are_exits)
{
	struct guest *g = &self->g;
	unsigned int i;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	GUEST_LONG(g, other_ways);
	for (i = 0; i < 3; i++) {
		ASSERT_RUN(g, VEE_EXIT_PIO);
		guest_resume_next(g);
	}
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, posted(self->ring));
}

/* None is lost: the one that finds no room is an exit, and goes after the others. */
TEST_F(coalesce, full_ring)
{
	struct guest *g = &self->g;
	unsigned int round;
	__u64 next = 0;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	GUEST_LONG(g, many);
	for (round = 0; round < 3; round++) {
		ASSERT_RUN(g, VEE_EXIT_PIO);
		EXPECT_EQ(VEE_POSTS, posted(self->ring));
		while (posted(self->ring))
			ASSERT_EQ(next++, take(self->ring).data);
		EXPECT_EQ(next++, g->page->exit.pio.data);
		guest_resume_next(g);
	}
}

TEST_F(coalesce, order)
{
	struct guest *g = &self->g;
	unsigned int round;
	__u64 next = 0;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	GUEST_LONG(g, mixed);
	for (round = 0; round < 50; round++) {
		ASSERT_RUN(g, VEE_EXIT_PIO);
		ASSERT_EQ(1, posted(self->ring));
		EXPECT_EQ(next++, take(self->ring).data);
		EXPECT_EQ(next++, g->page->exit.pio.data);
		guest_resume_next(g);
	}
}

#define WRITES	2000	/* each */

/* Two vCPUs on two CPUs, one reader: each one's writes in their order. */
TEST_F(coalesce, two_writers)
{
	struct guest *g = &self->g, sibling;
	__u64 next[2] = { 0, 0 };
	struct runner r, s;
	unsigned int bad = 0;

	guest_open_sibling(_metadata, g, &sibling, 1);
	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	GUEST_LONG(g, many);
	guest_set_long(&sibling);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_EQ(0, runner_start(&s, &sibling));
	/* A writer that finds the ring full comes back: both may. */
	while (next[0] < WRITES || next[1] < WRITES) {
		bool over = runner_done(&r) && runner_done(&s);
		struct vee_post post;

		if (!posted(self->ring) && over)
			break;
		if (!posted(self->ring))
			continue;
		post = take(self->ring);
		if (post.vcpu > 1 || post.data != next[post.vcpu]++)
			bad++;
	}
	EXPECT_EQ(0, bad);
	EXPECT_LT(0, next[0]);
	EXPECT_LT(0, next[1]);
	vcpu_kick(g->vcpu, g->page->generation);
	vcpu_kick(sibling.vcpu, sibling.page->generation);
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(0, runner_join(&s));
	guest_close(&sibling);
}

/* It is the caller's memory: nonsense in it harms nobody else. */
TEST_F(coalesce, scribbled_ring)
{
	struct guest *g = &self->g;
	unsigned int i;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	GUEST_LONG(g, many);
	for (i = 0; i < 20; i++) {
		self->ring->head = i * 0x9e3779b9U;
		self->ring->tail = ~self->ring->head;
		g->page->deadline_ns = MS_NS;
		ASSERT_EQ(0, guest_run(g));
		if (g->page->exit.reason == VEE_EXIT_PIO)
			guest_resume_next(g);
	}
}

/* --- doorbells -------------------------------------------------------------------- */

TEST_F(coalesce, doorbell)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct vee_doorbell bell = doorbell(fd);
	struct guest *g = &self->g;

	EXPECT_EQ(0, set_doorbell(g, &bell));
	EXPECT_EQ(-EEXIST, set_doorbell(g, &bell));
	GUEST_LONG(g, three);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(PORT_EXIT, g->page->exit.pio.port);
	EXPECT_EQ(3, rung(fd));
	bell.remove = 1;
	EXPECT_EQ(0, set_doorbell(g, &bell));
	EXPECT_EQ(-ENOENT, set_doorbell(g, &bell));
	guest_set_rip(g, GPA_CODE);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(PORT, g->page->exit.pio.port);
	EXPECT_EQ(0, rung(fd));
	close(fd);
}

/* By width, by value, and before a range that is posted. */
TEST_F(coalesce, doorbells_choose)
{
	int wide = eventfd(0, EFD_NONBLOCK), exact = eventfd(0, EFD_NONBLOCK);
	struct vee_doorbell bell = doorbell(wide);
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	bell.width = 4;
	EXPECT_EQ(0, set_doorbell(g, &bell));
	bell = doorbell(exact);
	bell.match = 1;
	bell.data = 0x3344;
	EXPECT_EQ(0, set_doorbell(g, &bell));
	GUEST_LONG(g, three);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(1, rung(wide));
	EXPECT_EQ(1, rung(exact));
	EXPECT_EQ(1, posted(self->ring));
	EXPECT_EQ(0x44, take(self->ring).data);
	close(wide);
	close(exact);
}

/* --- what is refused ---------------------------------------------------------------- */

TEST_F(coalesce, errors)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct vee_doorbell bell = doorbell(fd);
	struct guest *g = &self->g;
	unsigned int i;

	EXPECT_EQ(-EINVAL, coalesce(g, PORT, 0, false));
	EXPECT_EQ(-EINVAL, coalesce(g, 0xffff, 2, false));
	EXPECT_EQ(-EINVAL, coalesce(g, 1, -1ULL, false));
	EXPECT_EQ(-ENOENT, coalesce(g, PORT, 4, true));
	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	EXPECT_EQ(-EEXIST, coalesce(g, PORT, 4, false));
	EXPECT_EQ(-ENOENT, coalesce(g, PORT, 3, true));
	for (i = 1; i < VEE_MAX_WATCHES; i++)
		EXPECT_EQ(0, coalesce(g, 0x1000 + i, 1, false));
	EXPECT_EQ(-ENOSPC, coalesce(g, 0x1000, 1, false));
	EXPECT_EQ(-ENOSPC, set_doorbell(g, &bell));
	for (i = 1; i < VEE_MAX_WATCHES; i++)
		EXPECT_EQ(0, coalesce(g, 0x1000 + i, 1, true));
	EXPECT_EQ(0, coalesce(g, PORT, 4, true));
	bell.width = 3;
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	bell = doorbell(fd);
	bell.data = 1;
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	bell = doorbell(fd);
	bell.space = 2;
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	bell = doorbell(g->vm);
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	bell = doorbell(-1);
	EXPECT_EQ(-EBADF, set_doorbell(g, &bell));
	bell = doorbell(fd);
	bell.reserved[4] = 1;
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, VEE_POST_RING_BYTES, PROT_READ, MAP_PRIVATE,
				   g->vm, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, g->vm, 0));
	GUEST_LONG(g, three);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(PORT, g->page->exit.pio.port);
	close(fd);
}

/* The ring outlives the descriptor that it was mapped from. */
TEST_F(coalesce, descriptor_is_closed)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	close(g->vm);
	GUEST_LONG(g, three);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(3, posted(self->ring));
	g->vm = -1;
}

/* The table changes while a guest writes. */
TEST_F(coalesce, changes_under_way)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct vee_doorbell bell = doorbell(fd);
	struct guest *g = &self->g;
	struct runner r;
	unsigned int i;

	EXPECT_EQ(0, coalesce(g, PORT, 8, false));
	EXPECT_EQ(0, set_doorbell(g, &bell));
	GUEST_LONG(g, many);
	g->page->deadline_ns = 50 * MS_NS;
	ASSERT_EQ(0, runner_start(&r, g));
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(0, coalesce(g, 0x100, 1, i % 2));
		usleep(500);
	}
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	EXPECT_LT(0, rung(fd));
	close(fd);
}

TEST_HARNESS_MAIN
