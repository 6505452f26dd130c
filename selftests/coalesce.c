// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that end no run: posted to the VM's ring, or signalled by an eventfd.
 */
#include <sys/eventfd.h>

#include "uring_util.h"

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

#define COALESCE FIXTURE_DATA(coalesce)

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

static int coalesce_in(const struct guest *g, __u32 space, __u64 first, __u64 bytes,
		       __u32 remove)
{
	struct vee_coalesce arg = {
		.size = sizeof(arg),
		.first = first,
		.bytes = bytes,
		.space = space,
		.remove = remove,
	};

	return vee_call(g->vm, VEE_VM_COALESCE, &arg);
}

static int coalesce(const struct guest *g, __u64 first, __u64 bytes, __u32 remove)
{
	return coalesce_in(g, VEE_SPACE_PORT, first, bytes, remove);
}

static int coalesce_memory(const struct guest *g, __u64 first, __u64 bytes, __u32 remove)
{
	return coalesce_in(g, VEE_SPACE_MEMORY, first, bytes, remove);
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

/*
 * DR0 is 0, where nothing is executed; but a breakpoint may be on any port or address,
 * and who does the access has to look.
 */
GUEST_CODE(armed, 64,
	   "out %al, $0x10; mov $0x401, %eax; mov %rax, %dr7; out %al, $0x10;"
	   "mov $0x400, %eax; mov %rax, %dr7; out %al, $0x10; hlt");

TEST_F(coalesce, not_with_breakpoints)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	GUEST_LONG(g, armed);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(VEE_EXIT_BREAKPOINTS, g->page->exit.flags & VEE_EXIT_BREAKPOINTS);
	EXPECT_EQ(1, posted(self->ring));
	guest_resume_next(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, g->page->exit.flags & VEE_EXIT_BREAKPOINTS);
	EXPECT_EQ(2, posted(self->ring));
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

static bool enough;	/* was written */

/* A write that finds the ring full is made again, as often as it takes. */
static void *write_on(void *arg)
{
	struct runner *r = arg;

	do {
		r->ret = guest_run(r->g);
	} while (!r->ret && r->g->page->exit.reason == VEE_EXIT_PIO &&
		 !__atomic_load_n(&enough, __ATOMIC_ACQUIRE));
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Two vCPUs on two CPUs, one reader: each one's writes in their order, and all of them. */
TEST_F(coalesce, two_writers)
{
	struct guest writers[2] = { self->g };
	struct runner runners[2] = { };
	__u64 next[2] = { 0, 0 };
	unsigned int i, bad = 0;

	guest_open_sibling(_metadata, &self->g, &writers[1], 1);
	EXPECT_EQ(0, coalesce(&self->g, PORT, 4, false));
	GUEST_LONG(&writers[0], many);
	guest_set_long(&writers[1]);
	for (i = 0; i < 2; i++) {
		runners[i].g = &writers[i];
		ASSERT_EQ(0, pthread_create(&runners[i].thread, NULL, write_on, &runners[i]));
	}
	while (next[0] < WRITES || next[1] < WRITES) {
		bool over = runner_done(&runners[0]) || runner_done(&runners[1]);
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
	__atomic_store_n(&enough, true, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++) {
		EXPECT_LE(WRITES, next[i]);
		/* It meets the end of the ring otherwise. */
		vcpu_kick(writers[i].vcpu, generation(&writers[i]));
		EXPECT_EQ(0, runner_join(&runners[i]));
	}
	guest_close(&writers[1]);
}

static void expect_full(struct __test_metadata *_metadata, struct vee_post_ring *ring,
			const struct guest *writers, __u64 next[2])
{
	unsigned int i;

	ASSERT_EQ(VEE_POSTS, posted(ring));
	while (posted(ring)) {
		struct vee_post post = take(ring);

		ASSERT_GT(2, post.vcpu);
		ASSERT_EQ(next[post.vcpu]++, post.data);
	}
	for (i = 0; i < 2; i++)
		EXPECT_EQ(next[i]++, writers[i].page->exit.pio.data);
}

/* Nobody reads until both have met the end: no two had the same place, and none is left. */
TEST_F(coalesce, two_writers_fill_the_ring)
{
	struct guest writers[2] = { self->g };
	__u64 next[2] = { 0, 0 };
	unsigned int round, i;

	guest_open_sibling(_metadata, &self->g, &writers[1], 1);
	EXPECT_EQ(0, coalesce(&self->g, PORT, 4, false));
	GUEST_LONG(&writers[0], many);
	guest_set_long(&writers[1]);
	for (round = 0; round < 40; round++) {
		struct runner runners[2];

		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, runner_insist(&runners[i], &writers[i]));
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, runner_join(&runners[i]));
		expect_full(_metadata, self->ring, writers, next);
		for (i = 0; i < 2; i++)
			guest_resume_next(&writers[i]);
	}
	guest_close(&writers[1]);
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
	for (i = 2; i; i <<= 1) {
		EXPECT_EQ(-EINVAL, coalesce(g, PORT, 4, i))
			TH_LOG("remove %#x", i);
	}
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
	bell.width = 8;
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	bell = doorbell(fd);
	bell.space = 2;
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	bell = doorbell(g->vm);
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	bell = doorbell(-1);
	EXPECT_EQ(-EBADF, set_doorbell(g, &bell));
	for (i = 2; i < 256; i <<= 1) {
		bell = doorbell(fd);
		bell.match = i;
		EXPECT_EQ(-EINVAL, set_doorbell(g, &bell)) TH_LOG("match %#x", i);
		bell = doorbell(fd);
		bell.remove = i;
		EXPECT_EQ(-EINVAL, set_doorbell(g, &bell)) TH_LOG("remove %#x", i);
	}
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

/* --- writes to memory --------------------------------------------------------------- */

#define GPA_DEVICE	(GPA_MMIO + 0x100)
#define DEVICE_PAGES	3		/* from DEVICE_FIRST on: writes before and after */
#define DEVICE_FIRST	(GPA_MMIO - PAGE_BYTES)
#define DEVICE_BYTES	(DEVICE_PAGES * PAGE_BYTES)

/* Code in pieces of 32 bytes, with HLT behind what each does. */
#define PIECE		32
#define PIECES(code)	((code##_end - (code)) / PIECE)
#define NEXT_PIECE(code)	"; .skip 32 - (. - " #code ") % 32, 0xf4;"

/*
 * RBX and RBP are GPA_DEVICE, which "device" is when RIP-relative; RCX is 3; R12, R13
 * and R14 are addresses, too: set_piece().
 */
#define S	NEXT_PIECE(stores)
GUEST_CODE(stores, 64,
	   ".set device, stores + 0x30000100 - 0x8000;"
	   /* Opcodes and registers; bytes that are SPL or AH by a REX. */
	   "mov %al, (%rbx)" S
	   "mov %ah, (%rbx); mov %ch, 1(%rbx)" S
	   "mov %dh, (%rbx); mov %bh, 1(%rbx)" S
	   "mov %spl, (%rbx); mov %dil, 1(%rbx)" S
	   "mov %r9b, (%rbx); mov %r12b, 1(%rbx)" S
	   "mov %ax, (%rbx); mov %r9w, 2(%rbx)" S
	   "mov %eax, (%rbx); mov %r15d, 4(%rbx)" S
	   "mov %rax, (%rbx); mov %rsp, 8(%rbx)" S
	   ".byte 0x66, 0x48, 0x89, 0x03" S
	   ".byte 0x66, 0x88, 0x03" S
	   "movb $0x85, (%rbx)" S
	   "movw $0x8765, (%rbx)" S
	   "movl $0x87654321, (%rbx)" S
	   "movq $-2, (%rbx); movq $2, 8(%rbx)" S
	   /* Addresses. */
	   "mov %eax, 0x7f(%rbx); mov %eax, -0x80(%rbx)" S
	   "mov %eax, 0x800(%rbx); mov %eax, -0x800(%rbx)" S
	   "mov %eax, (%rbp)" S
	   "mov %eax, (%r12)" S
	   "mov %eax, (%r13)" S
	   "lea (%rbx), %rsp; mov %eax, (%rsp); mov %eax, 8(%rsp)" S
	   "mov %eax, (%rbx,%rcx); mov %al, 9(%rbx,%rcx,8)" S
	   "mov $4, %r12d; mov %eax, 0x80(%rbx,%r12,2)" S
	   "mov %eax, 0x30000100(,%rcx,4)" S
	   "mov %eax, 0x30000100" S
	   ".byte 0x41, 0x89, 0x04, 0x25; .long 0x30000100" S
	   "movw $0x8765, 0x200(%rbx,%rcx,2)" S
	   "movq $-0x12345678, 0x12345678(%r14,%rcx,8)" S
	   "mov %eax, device(%rip)" S
	   "nop; mov %eax, device(%rip)" S
	   ".byte 0x41, 0x89, 0x05; .long device - . - 4" S
	   "movb $0x85, device(%rip)" S
	   "movw $0x8765, device(%rip)" S
	   "movl $0x87654321, device(%rip)" S
	   "movq $-0x12345678, device(%rip)" S);

/* ... and each of these ends with an exit, at the device. */
#define O	NEXT_PIECE(others)
GUEST_CODE(others, 64,
	   "addl $1, (%rbx)" O
	   "mov (%rbx), %eax" O
	   "xchg %eax, (%rbx)" O
	   "lock orl $1, (%rbx)" O
	   "mov %rbx, %rdi; stosb" O
	   "mov %rbx, %rdi; rep stosb" O
	   "mov %rbx, %rdi; mov $0x20000, %esi; movsl" O
	   "lea 8(%rbx), %rsp; push %rax" O
	   "lea 8(%rbx), %rsp; call 1f; 1:" O
	   "movnti %eax, (%rbx)" O
	   "movups %xmm0, (%rbx)" O
	   "mov %ds, (%rbx)" O
	   "movabs %eax, 0x30000100" O
	   "mov %eax, (%ebx)" O
	   "mov %eax, %fs:(%rbx)" O
	   ".byte 0x3e; mov %eax, (%rbx)" O
	   ".byte 0xf3; mov %eax, (%rbx)" O
	   /* Across a page's end; across the range's, too. */
	   "mov %eax, 0xefe(%rbx)" O
	   "mov %eax, -0x1102(%rbx)" O
	   "mov %eax, 0x1efe(%rbx)" O);

static void set_piece(struct guest *g, unsigned int piece)
{
	struct vee_regs *regs = &g->page->regs;
	unsigned int i;

	guest_set_long(g);
	regs->rip = GPA_CODE + piece * PIECE;
	for (i = 0; i < 16; i++)
		regs->gpr[i] = 0x8182838485868788ULL + 0x1111111111111111ULL * i;
	regs->rsp = GPA_STACK;
	regs->rcx = 3;
	regs->rbx = GPA_DEVICE;
	regs->rbp = GPA_DEVICE;
	regs->r12 = GPA_DEVICE + 0x20;
	regs->r13 = GPA_DEVICE + 0x40;
	regs->r14 = GPA_DEVICE - 0x12345678;
}

/* Runs a piece with memory at @device, so that the CPU does it all. */
static void run_piece_on_cpu(struct __test_metadata *_metadata, struct guest *g,
			     unsigned int piece, unsigned char *device)
{
	memset(device, 0xcc, DEVICE_BYTES);
	ASSERT_EQ(0, vm_map(g->vm, DEVICE_FIRST, device, DEVICE_BYTES, VEE_RWX));
	set_piece(g, piece);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ASSERT_EQ(0, vm_unmap(g->vm, DEVICE_FIRST, DEVICE_BYTES));
}

/* ... and has at @device what would be there if posts were written to memory. */
static void write_posts(struct __test_metadata *_metadata, struct vee_post_ring *ring,
			unsigned char *device)
{
	memset(device, 0xcc, DEVICE_BYTES);
	EXPECT_LT(0, posted(ring));
	while (posted(ring)) {
		struct vee_post post = take(ring);

		EXPECT_EQ(VEE_SPACE_MEMORY, post.space);
		EXPECT_EQ(0, post.vcpu);
		ASSERT_LE(DEVICE_FIRST, post.address);
		ASSERT_GE(DEVICE_FIRST + DEVICE_BYTES, post.address + 8);
		ASSERT_GE(8, post.width);
		EXPECT_EQ(0, post.width < 8 ? post.data >> 8 * post.width : 0);
		memcpy(device + (post.address - DEVICE_FIRST), &post.data, post.width);
	}
}

/* As the CPU itself does them; and however little the caller wants to know. */
TEST_F(coalesce, stores)
{
	static const __u32 prefetch[] = { VEE_STATE_REGS | VEE_PREFETCH_INSN, 0 };
	unsigned char *cpus = anon_memory(DEVICE_BYTES), *ours = anon_memory(DEVICE_BYTES);
	struct guest *g = &self->g;
	unsigned int i;

	ASSERT_GE(CODE_BYTES, stores_end - stores);
	EXPECT_EQ(0, coalesce_memory(g, DEVICE_FIRST, DEVICE_BYTES, false));
	GUEST_LOAD(g, stores);
	for (i = 0; i < 2 * PIECES(stores); i++) {
		run_piece_on_cpu(_metadata, g, i / 2, cpus);
		EXPECT_EQ(0, posted(self->ring));
		g->page->prefetch = prefetch[i % 2];
		set_piece(g, i / 2);
		ASSERT_EQ(0, guest_run(g));
		EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason) TH_LOG("store %u", i / 2);
		g->page->prefetch = prefetch[0];
		write_posts(_metadata, self->ring, ours);
		EXPECT_EQ(0, memcmp(cpus, ours, DEVICE_BYTES)) TH_LOG("store %u", i / 2);
	}
	munmap(cpus, DEVICE_BYTES);
	munmap(ours, DEVICE_BYTES);
}

/* Nothing of them is done, and the caller is told as if there were no range. */
TEST_F(coalesce, other_stores_are_exits)
{
	struct guest *g = &self->g;
	unsigned int i;

	EXPECT_EQ(0, coalesce_memory(g, DEVICE_FIRST, DEVICE_BYTES, false));
	GUEST_LOAD(g, others);
	for (i = 0; i < PIECES(others); i++) {
		set_piece(g, i);
		ASSERT_EQ(0, guest_run(g));
		ASSERT_EQ(VEE_EXIT_MMIO, g->page->exit.reason) TH_LOG("piece %u", i);
		EXPECT_LT(0, g->page->exit.memory.insn_bytes);
		EXPECT_EQ(8, g->page->exit.memory.code_width);
		EXPECT_EQ(0, posted(self->ring)) TH_LOG("piece %u", i);
	}
	g->page->prefetch = VEE_STATE_REGS;
	set_piece(g, 0);
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(0, g->page->exit.memory.insn_bytes);
	EXPECT_EQ(0, g->page->exit.memory.insn[0]);
	EXPECT_EQ(0, g->page->exit.memory.code_width);
}

GUEST_CODE(armed_store, 64, "mov $0x401, %eax; mov %rax, %dr7; mov %eax, (%rbx); hlt");

TEST_F(coalesce, no_store_with_breakpoints)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_LONG(g, armed_store);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(VEE_EXIT_BREAKPOINTS, g->page->exit.flags & VEE_EXIT_BREAKPOINTS);
	EXPECT_EQ(0, posted(self->ring));
}

GUEST_CODE(store_32, 32, "mov %eax, (%ebx); hlt");
GUEST_CODE(store_64, 64, "mov %eax, (%rbx); hlt");

TEST_F(coalesce, store_in_32_bit_code)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_PROTECTED(g, store_32);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE);
	EXPECT_EQ(0, posted(self->ring));
	/* In IA-32e mode, too. */
	GUEST_LONG(g, store_64);
	g->page->segments.cs = segment(SEL_CODE32, AR_CODE32);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE);
	EXPECT_EQ(4, g->page->exit.memory.code_width);
	EXPECT_EQ(0, posted(self->ring));
}

/* The instruction is the last thing in memory. */
TEST_F(coalesce, store_at_the_end_of_memory)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_LONG(g, store_64);
	memcpy(g->mem + GUEST_BYTES - 3, g->mem + GPA_CODE, 3);
	guest_set_rip(g, GUEST_BYTES - 3);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_HLT(g, GUEST_BYTES - 1);
	EXPECT_EQ(1, posted(self->ring));
}

GUEST_LABEL(store_stale_at);
GUEST_CODE(store_stale, 64,
	   "movq $0x9007, 0x7040; store_stale_at: mov %eax, (%rbx); hlt");

/*
 * The guest has changed its tables under its feet: what is found at CS:RIP is a store
 * to another address, and not the one that the CPU has come from.
 */
TEST_F(coalesce, store_from_stale_code)
{
	__u64 at = AT(store_stale, store_stale_at) + PAGE_BYTES;
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_LONG(g, store_stale);
	guest_split_page(g);
	memcpy(g->mem + at, "\x89\x43\x10\xf4", 4);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, at - PAGE_BYTES);
	EXPECT_EQ(GPA_DEVICE, g->page->exit.memory.gva);
	EXPECT_EQ(0x43, g->page->exit.memory.insn[1]);
	EXPECT_EQ(0, posted(self->ring));
}

/* A slot that refuses answers for itself. */
TEST_F(coalesce, store_to_read_only_slot)
{
	struct guest *g = &self->g;
	void *page = anon_memory(PAGE_BYTES);

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, page, PAGE_BYTES, VEE_READ));
	GUEST_LONG(g, store_64);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN_AT(g, VEE_EXIT_MEMORY, GPA_CODE);
	EXPECT_EQ(-EACCES, g->page->exit.memory.error);
	EXPECT_EQ(0, posted(self->ring));
	munmap(page, PAGE_BYTES);
}

/* The address is that in guest-physical memory, whatever the guest calls it. */
TEST_F(coalesce, store_through_an_alias)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_LONG(g, store_64);
	guest_write64(g, GPA_PDPT + 8, GPA_PD | PTE_ALL);
	g->page->regs.rbx = PAGES_1G + GPA_DEVICE;
	ASSERT_HLT(g, GPA_CODE + 2);
	ASSERT_EQ(1, posted(self->ring));
	EXPECT_EQ(GPA_DEVICE, take(self->ring).address);
}

GUEST_CODE(store_many, 64, "1: mov %eax, (%rbx); inc %eax; jmp 1b");
GUEST_CODE(store_mixed, 64,
	   "1: mov %eax, (%rbx); inc %eax; out %eax, $0x10; inc %eax;"
	   "mov %rax, 8(%rbx); inc %eax; out %eax, $0x20; inc %eax; jmp 1b");

TEST_F(coalesce, full_ring_of_stores)
{
	struct guest *g = &self->g;
	unsigned int round;
	__u64 next = 0;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_LONG(g, store_many);
	g->page->regs.rbx = GPA_DEVICE;
	for (round = 0; round < 2; round++) {
		ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE);
		EXPECT_EQ(VEE_POSTS, posted(self->ring));
		while (posted(self->ring))
			ASSERT_EQ(next++, take(self->ring).data);
		EXPECT_EQ(next++, g->page->regs.rax);
		g->page->exit.instruction_length = 2;
		guest_resume_next(g);
	}
}

TEST_F(coalesce, order_of_both_spaces)
{
	static const __u32 space[] = { VEE_SPACE_MEMORY, VEE_SPACE_PORT, VEE_SPACE_MEMORY };
	struct guest *g = &self->g;
	unsigned int round, i;
	__u64 next = 0;

	EXPECT_EQ(0, coalesce(g, PORT, 4, false));
	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 16, false));
	GUEST_LONG(g, store_mixed);
	g->page->regs.rbx = GPA_DEVICE;
	for (round = 0; round < 20; round++) {
		ASSERT_RUN(g, VEE_EXIT_PIO);
		ASSERT_EQ(3, posted(self->ring));
		for (i = 0; i < 3; i++) {
			struct vee_post post = take(self->ring);

			EXPECT_EQ(space[i], post.space);
			EXPECT_EQ(next++, post.data);
		}
		EXPECT_EQ(next++, g->page->exit.pio.data);
		guest_resume_next(g);
	}
}

/* A range of one space is none of the other. */
TEST_F(coalesce, spaces_are_apart)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, 0, PAGE_BYTES, false));
	GUEST_LONG(g, three);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(PORT, g->page->exit.pio.port);
	EXPECT_EQ(0, coalesce(g, 0, 0x10000, false));
	GUEST_LONG(g, store_64);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(0, posted(self->ring));
}

TEST_F(coalesce, removed_range_of_memory)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	EXPECT_EQ(-EEXIST, coalesce_memory(g, GPA_DEVICE, 4, false));
	EXPECT_EQ(-ENOENT, coalesce(g, GPA_DEVICE & 0xffff, 4, true));
	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, true));
	EXPECT_EQ(-ENOENT, coalesce_memory(g, GPA_DEVICE, 4, true));
	GUEST_LONG(g, store_64);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE);
	EXPECT_EQ(0, posted(self->ring));
}

/* --- what comes after the instruction --------------------------------------------- */

GUEST_CODE(store_twice, 64, "mov %eax, (%rbx); mov %eax, (%rbx); hlt");
GUEST_CODE(store_after_sti, 64, "sti; mov %eax, (%rbx); 1: hlt; jmp 1b");

TEST_F(coalesce, steps)
{
	struct guest *g = &self->g;
	unsigned int i;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_LONG(g, store_twice);
	g->page->regs.rbx = GPA_DEVICE;
	g->page->intercept = VEE_INTERCEPT_STEP;
	for (i = 1; i <= 2; i++) {
		ASSERT_RUN_AT(g, VEE_EXIT_DEBUG, GPA_CODE + 2 * i);
		EXPECT_EQ(1, g->page->exit.debug.step);
		EXPECT_EQ(i, posted(self->ring));
	}
	g->page->intercept = 0;
	ASSERT_HLT(g, GPA_CODE + 4);
	EXPECT_EQ(2, posted(self->ring));
}

TEST_F(coalesce, guest_steps_itself)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_LONG(g, store_twice);
	g->page->regs.rbx = GPA_DEVICE;
	/* Bochs 2.7 traps before an instruction that was touched for the first time. */
	ASSERT_HLT(g, GPA_CODE + 4);
	take(self->ring);
	take(self->ring);
	guest_set_rip(g, GPA_CODE);
	g->page->regs.rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(1, posted(self->ring));
	EXPECT_EQ(GPA_CODE + 2, guest_read64(g, g->page->regs.rsp));
	EXPECT_EQ(0, guest_read64(g, g->page->regs.rsp + 16) & X86_EFLAGS_RF);
	guest_resume_next(g);
	ASSERT_VECTOR(g, VECTOR_DB);
	EXPECT_EQ(2, posted(self->ring));
}

#define VECTOR	0x40

/* The blocking by STI lasts for the store, and no longer. */
TEST_F(coalesce, interrupt_after_sti)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	GUEST_LONG(g, store_after_sti);
	g->page->regs.rbx = GPA_DEVICE;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_EQ(1, posted(self->ring));
	EXPECT_EQ(GPA_CODE + 3, guest_read64(g, g->page->regs.rsp));
}

GUEST_CODE(store_below_stack, 64, "mov %rax, -0x10(%rsp); hlt");

/*
 * What the CPU pushes for an event is no instruction's, though the one at RIP would
 * write to the same place.
 */
TEST_F(coalesce, push_for_an_event)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, GPA_MMIO, PAGE_BYTES, false));
	GUEST_LONG(g, store_below_stack);
	g->page->regs.rsp = GPA_DEVICE + 8;
	g->page->regs.rflags |= X86_EFLAGS_IF;
	guest_inject(g, VEE_EVENT_INTERRUPT, VECTOR);
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE);
	EXPECT_EQ(GPA_DEVICE - 8, g->page->exit.memory.gva);
	EXPECT_NE(0, g->page->exit.flags & VEE_EXIT_EVENT_PENDING);
	EXPECT_EQ(0, posted(self->ring));
}

TEST_F(coalesce, endless_stores_can_be_ended)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct vee_doorbell bell = doorbell(fd);
	struct guest *g = &self->g;
	struct runner r;

	bell.space = VEE_SPACE_MEMORY;
	bell.address = GPA_DEVICE;
	EXPECT_EQ(0, set_doorbell(g, &bell));
	GUEST_LONG(g, store_many);
	g->page->regs.rbx = GPA_DEVICE;
	g->page->deadline_ns = 20 * MS_NS;
	ASSERT_RUN(g, VEE_EXIT_DEADLINE);
	EXPECT_LT(0, rung(fd));
	g->page->deadline_ns = DEADLINE_NS;
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(WAIT_FOR(rung(fd)));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	/* What was posted is done: there is none between two instructions. */
	EXPECT_LE(GPA_CODE, g->page->regs.rip);
	EXPECT_GE(GPA_CODE + 6, g->page->regs.rip);
	close(fd);
}

/* --- doorbells in memory -------------------------------------------------------------- */

GUEST_CODE(bells, 64,
	   "mov $0x1122334455667788, %rax; mov %al, (%rbx); mov %ax, (%rbx);"
	   "mov %eax, (%rbx); mov %rax, (%rbx); mov %rax, 1(%rbx); hlt");

TEST_F(coalesce, doorbells_in_memory)
{
	int any = eventfd(0, EFD_NONBLOCK), wide = eventfd(0, EFD_NONBLOCK);
	int exact = eventfd(0, EFD_NONBLOCK);
	struct vee_doorbell bell = doorbell(any);
	struct guest *g = &self->g;

	bell.space = VEE_SPACE_MEMORY;
	bell.address = GPA_DEVICE;
	EXPECT_EQ(0, set_doorbell(g, &bell));
	bell.width = 8;
	bell.eventfd = wide;
	EXPECT_EQ(0, set_doorbell(g, &bell));
	EXPECT_EQ(-EEXIST, set_doorbell(g, &bell));
	bell.width = 0;
	bell.match = 1;
	bell.data = 0x7788;
	bell.eventfd = exact;
	EXPECT_EQ(0, set_doorbell(g, &bell));
	GUEST_LONG(g, bells);
	g->page->regs.rbx = GPA_DEVICE;
	/* The last one is at another address. */
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(GPA_DEVICE + 1, g->page->exit.memory.gpa);
	EXPECT_EQ(2, rung(any));
	EXPECT_EQ(1, rung(wide));
	EXPECT_EQ(1, rung(exact));
	bell.remove = 1;
	EXPECT_EQ(0, set_doorbell(g, &bell));
	guest_set_rip(g, GPA_CODE);
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(3, rung(any));
	EXPECT_EQ(0, rung(exact));
	EXPECT_EQ(0, posted(self->ring));
	close(any);
	close(wide);
	close(exact);
}

TEST_F(coalesce, errors_in_memory)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct vee_doorbell bell = doorbell(fd);
	struct guest *g = &self->g;
	__u64 end = 1ULL << vee_info(g->dev).gpa_bits;

	EXPECT_EQ(-EINVAL, coalesce_memory(g, GPA_DEVICE, 0, false));
	EXPECT_EQ(-EINVAL, coalesce_memory(g, end - 1, 2, false));
	EXPECT_EQ(-EINVAL, coalesce_memory(g, end, 1, false));
	EXPECT_EQ(-EINVAL, coalesce_memory(g, 1, -1ULL, false));
	EXPECT_EQ(-EINVAL, coalesce_in(g, 2, GPA_DEVICE, 4, false));
	EXPECT_EQ(0, coalesce_memory(g, 0, end, false));
	EXPECT_EQ(0, coalesce_memory(g, 0, end, true));
	bell.space = VEE_SPACE_MEMORY;
	bell.address = end;
	EXPECT_EQ(-EINVAL, set_doorbell(g, &bell));
	bell.address = end - 1;
	for (bell.width = 1; bell.width < 17; bell.width++)
		EXPECT_EQ(bell.width == 1 || bell.width == 2 || bell.width == 4 ||
			  bell.width == 8 ? 0 : -EINVAL, set_doorbell(g, &bell));
	close(fd);
}

/* --- the same store again -------------------------------------------------------------- */

/* 89 03; between two of them the TLB is emptied. */
GUEST_CODE(store_rounds, 64, "1: mov %eax, (%rbx); out %al, $0x20; mov %rdx, %cr3; jmp 1b");
#define STORE_ECX	"\x89\x0b"
#define STORE_AL	"\x88\x03"

/* From one exit to the next the guest stores once: what is posted of it. */
#define STORE_ONCE(g)							\
	({								\
		guest_resume_next(g);					\
		ASSERT_RUN(g, VEE_EXIT_PIO);				\
		ASSERT_EQ(1, posted(self->ring));			\
		take(self->ring);					\
	})
#define EXPECT_STORE(g, value, bytes)					\
	({								\
		struct vee_post post = STORE_ONCE(g);			\
									\
		EXPECT_EQ((g)->page->regs.rbx, post.address);		\
		EXPECT_EQ(value, post.data);				\
		EXPECT_EQ(bytes, post.width);				\
	})

/* Twice, so that it is known by then. */
static void store_known(struct __test_metadata *_metadata, COALESCE *self)
{
	struct guest *g = &self->g;

	EXPECT_EQ(0, coalesce_memory(g, DEVICE_FIRST, DEVICE_BYTES, false));
	GUEST_LONG(g, store_rounds);
	guest_split_page(g);
	g->page->regs.rax = 0x11112222;
	g->page->regs.rcx = 0x33334444;
	g->page->regs.rbx = GPA_DEVICE;
	g->page->regs.rdx = GPA_PML4;
	ASSERT_RUN(g, VEE_EXIT_PIO);
	take(self->ring);
	EXPECT_STORE(g, 0x11112222, 4);
}

TEST_F(coalesce, again_with_other_registers)
{
	struct guest *g = &self->g;
	unsigned int i;

	store_known(_metadata, self);
	for (i = 0; i < 4; i++) {
		g->page->regs.rax = 0xabcd0000 + i;
		g->page->regs.rbx = GPA_DEVICE + 8 * i;
		EXPECT_STORE(g, 0xabcd0000 + i, 4);
	}
}

TEST_F(coalesce, again_with_other_code)
{
	struct guest *g = &self->g;

	store_known(_metadata, self);
	memcpy(g->mem + GPA_CODE, STORE_ECX, 2);
	EXPECT_STORE(g, 0x33334444, 4);
	EXPECT_STORE(g, 0x33334444, 4);
	memcpy(g->mem + GPA_CODE, STORE_AL, 2);
	EXPECT_STORE(g, 0x22, 1);
	EXPECT_STORE(g, 0x22, 1);
}

/* No 15 bytes are left there, which is as many as are looked at again. */
TEST_F(coalesce, again_at_the_end_of_a_page)
{
	unsigned char *end = self->g.mem + GPA_CODE + PAGE_BYTES - 2;
	struct guest *g = &self->g;

	store_known(_metadata, self);
	memcpy(end, g->mem + GPA_CODE, 16);
	g->page->regs.rip = GPA_CODE + PAGE_BYTES - 2;
	g->page->resume = VEE_RESUME_HERE;
	g->page->dirty |= VEE_STATE_REGS;
	ASSERT_RUN(g, VEE_EXIT_PIO);
	take(self->ring);
	EXPECT_STORE(g, 0x11112222, 4);
	memcpy(end, STORE_ECX, 2);
	EXPECT_STORE(g, 0x33334444, 4);
}

#define OTHER_CODE	(GPA_CODE + PAGE_BYTES)

static void write_other_code(struct guest *g)
{
	memcpy(g->mem + OTHER_CODE, g->mem + GPA_CODE, PAGE_BYTES);
	memcpy(g->mem + OTHER_CODE, STORE_ECX, 2);
}

/* At the same address there is another page. */
TEST_F(coalesce, again_by_other_entries)
{
	__u64 *pt = (__u64 *)(self->g.mem + GPA_PT);
	struct guest *g = &self->g;

	store_known(_metadata, self);
	write_other_code(g);
	pt[GPA_CODE / PAGE_BYTES] = OTHER_CODE | PTE_ALL;
	/* The CPU learns of it after the store. */
	EXPECT_EQ(GPA_DEVICE, STORE_ONCE(g).address);
	EXPECT_STORE(g, 0x33334444, 4);
	EXPECT_STORE(g, 0x33334444, 4);
}

/* ... by tables beside those that were looked at, which are as they were. */
TEST_F(coalesce, again_by_another_root)
{
	static const __u64 tables[] = { GPA_PML4, GPA_PDPT, GPA_PD, GPA_PT };
	struct guest *g = &self->g;
	__u64 room = GPA_DATA;
	unsigned int i;

	store_known(_metadata, self);
	write_other_code(g);
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		memcpy(g->mem + room + i * PAGE_BYTES, g->mem + tables[i], PAGE_BYTES);
		if (i < ARRAY_SIZE(tables) - 1)
			guest_write64(g, room + i * PAGE_BYTES,
				      (room + (i + 1) * PAGE_BYTES) | PTE_ALL);
	}
	guest_write64(g, room + 3 * PAGE_BYTES + 8 * (GPA_CODE / PAGE_BYTES), OTHER_CODE | PTE_ALL);
	g->page->regs.rdx = room;
	EXPECT_STORE(g, 0x33334444, 4);
	EXPECT_STORE(g, 0x33334444, 4);
	g->page->regs.rdx = GPA_PML4;
	EXPECT_STORE(g, 0x11112222, 4);
}

/* There is memory by now; and on another page of the device. */
TEST_F(coalesce, again_where_memory_is)
{
	unsigned char *page = anon_memory(PAGE_BYTES);
	struct guest *g = &self->g;
	__u64 other = GPA_MMIO + PAGE_BYTES;

	store_known(_metadata, self);
	ASSERT_EQ(0, vm_map(g->vm, other, page, PAGE_BYTES, VEE_READ));
	EXPECT_STORE(g, 0x11112222, 4);
	guest_resume_next(g);
	g->page->regs.rbx = other;
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(0, posted(self->ring));
	ASSERT_EQ(0, vm_unmap(g->vm, other, PAGE_BYTES));
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN(g, VEE_EXIT_PIO);
	take(self->ring);
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, page, PAGE_BYTES, VEE_READ));
	guest_resume_next(g);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(0, posted(self->ring));
	munmap(page, PAGE_BYTES);
}

/* The same bytes at the same address, to be read as 32-bit code. */
TEST_F(coalesce, again_in_32_bit_code)
{
	struct guest *g = &self->g;

	store_known(_metadata, self);
	GUEST_LONG(g, store_rounds);
	guest_split_page(g);
	g->page->segments.cs = segment(SEL_CODE32, AR_CODE32);
	g->page->regs.rbx = GPA_DEVICE;
	ASSERT_RUN_AT(g, VEE_EXIT_MMIO, GPA_CODE);
	EXPECT_EQ(0, posted(self->ring));
}

/* --- in whatever thread, whatever the guest does ---------------------------------------- */

GUEST_CODE(store_out, 64, "mov %eax, (%rbx); out %al, $0x20");

static bool resident(const unsigned char *page)
{
	unsigned char in_memory = 0;

	return !mincore((void *)page, PAGE_BYTES, &in_memory) && in_memory & 1;
}

/* Inline; unless the host has to bring what comes after the instruction, too. */
TEST_F(coalesce, inline_run)
{
	static const __u64 where[] = { GPA_CODE, GPA_CODE + PAGE_BYTES - 4 };
	struct guest *g = &self->g;
	struct ring ring;
	unsigned int i;

	if (ring_open(&ring, 0))
		VEE_SKIP("no io_uring");
	EXPECT_EQ(0, coalesce_memory(g, GPA_DEVICE, 4, false));
	for (i = 0; i < 2; i++) {
		bool inline_is_enough;

		GUEST_LONG(g, store_out);
		memcpy(g->mem + where[i], store_out, 4);
		inline_is_enough = !i || resident(g->mem + GPA_CODE + PAGE_BYTES);
		guest_set_rip(g, where[i]);
		g->page->regs.rbx = GPA_DEVICE;
		ring_run(&ring, g->vcpu, 1000000, i);
		ASSERT_EQ(VEE_EXIT_PIO, ring_result(&ring));
		EXPECT_EQ(where[i] + 2, g->page->regs.rip);
		EXPECT_EQ(1, posted(self->ring));
		take(self->ring);
		EXPECT_EQ(inline_is_enough, threads() == 1)
			TH_LOG("at %#llx, resident afterwards: %d", where[i],
			       resident(g->mem + GPA_CODE + PAGE_BYTES));
	}
	ring_close(&ring);
}

/* Code that changes while it is looked at: nothing but the guest comes to harm. */
TEST_F(coalesce, code_changes)
{
	static const unsigned char bytes[] = { 0x66, 0x48, 0x89, 0xc7, 0x88, 0x03, 0xeb };
	struct guest *g = &self->g;
	unsigned int i, round;

	EXPECT_EQ(0, coalesce_memory(g, DEVICE_FIRST, DEVICE_BYTES, false));
	for (round = 0; round < 20; round++) {
		struct runner r;

		GUEST_LONG(g, store_many);
		g->page->regs.rbx = GPA_DEVICE;
		g->page->deadline_ns = 5 * MS_NS;
		ASSERT_EQ(0, runner_start(&r, g));
		for (i = 0; !runner_done(&r); i++) {
			g->mem[GPA_CODE + i % 2] = bytes[(i + round) % sizeof(bytes)];
			g->page->regs.rbx = GPA_DEVICE + i % 16;
			self->ring->head = self->ring->tail;
		}
		runner_join(&r);
	}
}

TEST_HARNESS_MAIN
