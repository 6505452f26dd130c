// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which writes are posted or ring a bell where there are many such ranges and doorbells,
 * and what holds while they come and go.
 */
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "vee_util.h"

/* One piece of 16 bytes for each width, at DX or RBX. */
GUEST_CODE(outs, 64,
	   "out %al, %dx; hlt; .skip 16 - (. - outs);"
	   "out %ax, %dx; hlt; .skip 32 - (. - outs); out %eax, %dx; hlt");
GUEST_CODE(movs, 64,
	   "mov %al, (%rbx); hlt; .skip 16 - (. - movs);"
	   "mov %ax, (%rbx); hlt; .skip 32 - (. - movs); mov %eax, (%rbx); hlt");
GUEST_CODE(many_outs, 64, "1: out %eax, %dx; jmp 1b");
GUEST_CODE(many_movs, 64, "1: mov %eax, (%rbx); jmp 1b");

#define PIECE		16
#define PLACES		0x60	/* where the watches are: dense, so that they overlap */

/* One of the watches, as it was asked for. */
struct want {
	bool bell;
	__u64 first;
	__u64 bytes;	/* of a range */
	__u8 width;
	__u8 match;
	__u32 data;
	int fd;
};

FIXTURE(watches) {
	struct guest g;
	struct vee_post_ring *ring;
	struct want wants[VEE_MAX_WATCHES];
	unsigned int count;
	__u32 seed;
};

FIXTURE_VARIANT(watches) {
	__u32 space;
	__u64 base;
	__u32 exit;
};

#define WATCHES FIXTURE_DATA(watches)
#define VARIANT FIXTURE_VARIANT(watches)

FIXTURE_VARIANT_ADD(watches, ports) {
	.space = VEE_SPACE_PORT,
	.base = 0x100,
	.exit = VEE_EXIT_PIO,
};

FIXTURE_VARIANT_ADD(watches, memory) {
	.space = VEE_SPACE_MEMORY,
	.base = GPA_MMIO + 0x100,
	.exit = VEE_EXIT_MMIO,
};

FIXTURE_SETUP(watches)
{
	guest_open(_metadata, &self->g);
	self->ring = mmap(NULL, VEE_POST_RING_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED, self->g.vm, 0);
	ASSERT_NE(MAP_FAILED, self->ring);
	for (unsigned int i = 0; i < VEE_MAX_WATCHES; i++) {
		self->wants[i].fd = eventfd(0, EFD_NONBLOCK);
		ASSERT_LE(0, self->wants[i].fd);
	}
	self->count = 0;
	self->seed = 1;
}

FIXTURE_TEARDOWN(watches)
{
	for (unsigned int i = 0; i < VEE_MAX_WATCHES; i++)
		close(self->wants[i].fd);
	munmap(self->ring, VEE_POST_RING_BYTES);
	guest_close(&self->g);
}

static int set_watch(const struct guest *g, __u32 space, const struct want *want, bool remove)
{
	struct vee_coalesce range = {
		.size = sizeof(range),
		.first = want->first,
		.bytes = want->bytes,
		.space = space,
		.remove = remove,
	};
	struct vee_doorbell bell = {
		.size = sizeof(bell),
		.address = want->first,
		.data = want->data,
		.space = space,
		.eventfd = want->fd,
		.width = want->width,
		.match = want->match,
		.remove = remove,
	};

	return want->bell ? vee_call(g->vm, VEE_VM_DOORBELL, &bell) :
			    vee_call(g->vm, VEE_VM_COALESCE, &range);
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

static void empty(struct vee_post_ring *ring)
{
	__atomic_store_n(&ring->head, __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
}

/* --- which is found --------------------------------------------------------------- */

/* Below @below: the same in each run. */
static unsigned int pick(__u32 *seed, unsigned int below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

static struct want any_want(__u32 *seed, __u64 base, int fd)
{
	static const __u8 widths[] = { 0, 1, 2, 4 };
	struct want want = {
		.bell = !pick(seed, 3),
		.first = base + pick(seed, PLACES),
		.fd = fd,
	};

	if (!want.bell) {
		want.bytes = 1 + pick(seed, 12);
		return want;
	}
	want.width = widths[pick(seed, 4)];
	want.match = pick(seed, 2);
	want.data = want.match ? pick(seed, 3) : 0;
	return want;
}

/* The doorbell, or the first range that has all of it; -1: neither. */
static int expected(const struct want *wants, unsigned int count, __u64 address, __u32 data,
		    unsigned int width)
{
	int range = -1;

	for (int i = count - 1; i >= 0; i--) {
		const struct want *want = &wants[i];

		if (!want->bell && address >= want->first &&
		    address + width <= want->first + want->bytes)
			range = i;
		if (want->bell && address == want->first &&
		    (!want->width || want->width == width) &&
		    (!want->match || want->data == data))
			return i;
	}
	return range;
}

static void set_address(struct guest *g, __u64 address)
{
	g->page->regs.rbx = address;
	g->page->regs.rdx = address & 0xffff;
}

/* All that a write does. */
static void write_somewhere(struct __test_metadata *_metadata,
			    WATCHES *self,
			    const VARIANT *variant)
{
	unsigned int log = pick(&self->seed, 3), width = 1U << log;
	__u64 address = variant->base - 8 + pick(&self->seed, PLACES + 16);
	__u32 data = pick(&self->seed, 3);
	int want = expected(self->wants, self->count, address, data, width);
	bool bell = want >= 0 && self->wants[want].bell;
	struct guest *g = &self->g;

	guest_set_rip(g, GPA_CODE + log * PIECE);
	g->page->regs.rax = data;
	set_address(g, address);
	ASSERT_RUN(g, want < 0 ? variant->exit : VEE_EXIT_HLT);
	ASSERT_EQ(want >= 0 && !bell, posted(self->ring))
		TH_LOG("%u bytes at %#llx, %u watches", width, address, self->count);
	empty(self->ring);
	for (int i = 0; i < (int)self->count; i++) {
		ASSERT_EQ(bell && want == i, rung(self->wants[i].fd))
			TH_LOG("%u bytes at %#llx, bell %d of %u", width, address, i,
			       self->count);
	}
}

static void add_some(struct __test_metadata *_metadata, WATCHES *self,
		     const VARIANT *variant, unsigned int count)
{
	while (self->count < count) {
		struct want *want = &self->wants[self->count];
		int err;

		*want = any_want(&self->seed, variant->base, want->fd);
		err = set_watch(&self->g, variant->space, want, false);
		ASSERT_TRUE(!err || (err == -EEXIST && !want->bell));
		if (!err)
			self->count++;
	}
}

static void remove_some(struct __test_metadata *_metadata, WATCHES *self,
			const VARIANT *variant, unsigned int count)
{
	while (self->count > count) {
		unsigned int i = pick(&self->seed, self->count);
		struct want gone = self->wants[i];

		ASSERT_EQ(0, set_watch(&self->g, variant->space, &gone, true));
		self->count--;
		memmove(&self->wants[i], &self->wants[i + 1],
			(self->count - i) * sizeof(gone));
		self->wants[self->count] = gone;
	}
}

/* As if each were looked at in turn, whatever the order in which they came and went. */
TEST_F(watches, are_found)
{
	static const unsigned int counts[] = { 1, 2, 3, 8, 9, 20, 63, 64, 40, 9, 8, 2, 1, 0 };

	if (variant->space == VEE_SPACE_PORT)
		GUEST_LONG(&self->g, outs);
	else
		GUEST_LONG(&self->g, movs);
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		add_some(_metadata, self, variant, counts[i]);
		remove_some(_metadata, self, variant, counts[i]);
		for (unsigned int j = 0; j < 60; j++)
			write_somewhere(_metadata, self, variant);
	}
}

/* --- while they come and go --------------------------------------------------------- */

static long waits(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* By the program's thread as it answers its guest, say. */
TEST_F(watches, are_added_without_a_wait)
{
	long before = waits();

	add_some(_metadata, self, variant, VEE_MAX_WATCHES);
	EXPECT_EQ(before, waits());
}

static bool enough;	/* was written */

/* A write that is an exit is made again. */
static void *write_on(void *arg)
{
	struct runner *r = arg;
	__u32 reason;

	do {
		r->ret = guest_run(r->g);
		reason = r->g->page->exit.reason;
	} while (!r->ret && (reason == VEE_EXIT_PIO || reason == VEE_EXIT_MMIO) &&
		 !__atomic_load_n(&enough, __ATOMIC_ACQUIRE));
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void set_writer(struct guest *g, const VARIANT *variant)
{
	if (variant->space == VEE_SPACE_PORT)
		GUEST_LONG(g, many_outs);
	else
		GUEST_LONG(g, many_movs);
	set_address(g, variant->base);
	/* Or Bochs 2.7 keeps a CPU alone with it: see docs/lab.md. */
	g->page->regs.rflags |= X86_EFLAGS_IF;
	/* It is kicked. */
	g->page->deadline_ns = 0;
}

static void end_writer(struct __test_metadata *_metadata, struct runner *r)
{
	__atomic_store_n(&enough, true, __ATOMIC_RELEASE);
	while (!runner_done(r)) {
		vcpu_kick(r->g->vcpu, generation(r->g));
		usleep(100);
	}
	EXPECT_EQ(0, runner_join(r));
}

/* Once it is removed nothing more comes of it, though the guest goes on writing. */
TEST_F(watches, are_gone_once_removed)
{
	struct want bell = { .bell = true, .first = variant->base, .fd = self->wants[0].fd };
	struct want range = { .first = variant->base, .bytes = 4 };
	struct guest *g = &self->g;
	struct runner r = { .g = g };
	unsigned int i;

	set_writer(g, variant);
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, write_on, &r));
	for (i = 0; i < 20 && !runner_done(&r); i++) {
		ASSERT_EQ(0, set_watch(g, variant->space, &bell, false));
		EXPECT_TRUE(WAIT_FOR(rung(bell.fd)));
		ASSERT_EQ(0, set_watch(g, variant->space, &bell, true));
		rung(bell.fd);
		ASSERT_EQ(0, set_watch(g, variant->space, &range, false));
		EXPECT_TRUE(WAIT_FOR(posted(self->ring)));
		EXPECT_EQ(0, rung(bell.fd));
		ASSERT_EQ(0, set_watch(g, variant->space, &range, true));
		empty(self->ring);
		usleep(100);
		EXPECT_EQ(0, posted(self->ring));
		EXPECT_EQ(0, rung(bell.fd));
	}
	EXPECT_EQ(20, i);
	end_writer(_metadata, &r);
}

/* The one that the guest is at is in every table: no write of the guest's is an exit. */
TEST_F(watches, stay_while_others_come_and_go)
{
	struct want bell = { .bell = true, .first = variant->base, .fd = self->wants[0].fd };
	struct want other = { .bytes = 1 };
	struct guest *g = &self->g;
	struct runner r = { .g = g };

	ASSERT_EQ(0, set_watch(g, variant->space, &bell, false));
	set_writer(g, variant);
	/* One such exit is one too many. */
	enough = true;
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, write_on, &r));
	for (unsigned int round = 0; round < 3; round++) {
		EXPECT_TRUE(WAIT_FOR(rung(bell.fd)));
		for (int i = -6; i < 6; i++) {
			other.first = variant->base + i;
			ASSERT_EQ(0, set_watch(g, variant->space, &other, false));
		}
		for (int i = -6; i < 6; i++) {
			other.first = variant->base + i;
			ASSERT_EQ(0, set_watch(g, variant->space, &other, true));
		}
		EXPECT_FALSE(runner_done(&r));
	}
	vcpu_kick(g->vcpu, generation(g));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
}

TEST_HARNESS_MAIN
