// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU page of the caller's own: that all works as with the kernel's, what can't be one,
 * and what the caller may do to its memory meanwhile.
 */
#include "vee_util.h"

#define RESET_GPA	0xfffffff0ULL
#define ID		1
#define ROUNDS		200

/* All of the page at GPA_MMIO. */
GUEST_CODE(scribbles, 64,
	   "mov $0x30000000, %edi; mov $512, %ecx; mov $-1, %rax; rep stosq; 1: out %al, $0x42; jmp 1b");
GUEST_CODE(counts, 64, "1: incl 0x20000; out %al, $0x42; jmp 1b");

static int vcpu_create_at(int vm, __u32 id, const void *page)
{
	struct vee_vcpu_create create = {
		.size = sizeof(create), .id = id, .page = (unsigned long)page,
	};

	return vee_call(vm, VEE_VM_CREATE_VCPU, &create);
}

FIXTURE(own_page) {
	struct guest first;	/* a vCPU that has the kernel's */
	struct guest g;		/* vCPU ID of the same VM */
};

FIXTURE_SETUP(own_page)
{
	struct guest *g = &self->g;

	guest_open(_metadata, &self->first);
	*g = self->first;
	g->page = anon_memory(PAGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)g->page);
	memset(g->page, 0xff, PAGE_BYTES);
	g->vcpu = vcpu_create_at(g->vm, ID, g->page);
	ASSERT_LE(0, g->vcpu) TH_LOG("vCPU: %s", strerror(-g->vcpu));
}

FIXTURE_TEARDOWN(own_page)
{
	close(self->g.vcpu);
	munmap(self->g.page, PAGE_BYTES);
	guest_close(&self->first);
}

/* As the kernel's own, to the byte. */
TEST_F(own_page, new_vcpu)
{
	int other = vcpu_create(self->g.vm, ID + 1);
	struct vee_vcpu_page *of_kernel = vcpu_page(other);

	ASSERT_LE(0, other);
	ASSERT_NE(MAP_FAILED, (void *)of_kernel);
	EXPECT_EQ(sizeof(*of_kernel), self->g.page->size);
	EXPECT_EQ(0, memcmp(of_kernel, self->g.page, PAGE_BYTES));
	munmap(of_kernel, PAGE_BYTES);
	close(other);
}

TEST_F(own_page, runs)
{
	struct guest *g = &self->g;

	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(RESET_GPA, g->page->exit.memory.gpa);
	GUEST_LONG(g, counts);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		g->page->regs.rax = i;
		ASSERT_RUN(g, VEE_EXIT_PIO);
		ASSERT_EQ(i, *(__u32 *)(g->mem + GPA_DATA));
		ASSERT_EQ((__u8)i, (__u8)g->page->exit.pio.data);
		guest_resume_next(g);
	}
}

/* There is none of the kernel's to be mapped. */
TEST_F(own_page, not_mapped)
{
	EXPECT_EQ(MAP_FAILED, (void *)vcpu_page(self->g.vcpu));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, guest_run(&self->g));
}

/* --- what can't be one -------------------------------------------------------------- */

#define EXPECT_NONE(error, page)					\
	do {								\
		int none_vcpu = vcpu_create_at(self->g.vm, ID + 1, page); \
									\
		EXPECT_EQ((error), none_vcpu);				\
		if (none_vcpu >= 0)					\
			close(none_vcpu);				\
	} while (0)

TEST_F(own_page, refused)
{
	char *memory = anon_memory(2 * PAGE_BYTES);
	void *shared = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int vcpu;

	ASSERT_NE(MAP_FAILED, (void *)memory);
	ASSERT_NE(MAP_FAILED, shared);
	EXPECT_NONE(-EINVAL, memory + 1);
	EXPECT_NONE(-EINVAL, memory + PAGE_BYTES / 2);
	EXPECT_NONE(-EINVAL, shared);
	/* Memory of vee's own. */
	EXPECT_NONE(-EINVAL, self->first.page);
	EXPECT_NONE(-EFAULT, (void *)~0xfffUL);
	EXPECT_NONE(-EFAULT, (void *)0xffff888000000000UL);
	ASSERT_EQ(0, mprotect(memory, PAGE_BYTES, PROT_READ));
	EXPECT_NONE(-EFAULT, memory);
	ASSERT_EQ(0, munmap(memory, PAGE_BYTES));
	EXPECT_NONE(-EFAULT, memory);
	/* The id was not used up. */
	vcpu = vcpu_create_at(self->g.vm, ID + 1, memory + PAGE_BYTES);
	EXPECT_LE(0, vcpu);
	close(vcpu);
	munmap(memory + PAGE_BYTES, PAGE_BYTES);
	munmap(shared, PAGE_BYTES);
}

TEST_F(own_page, file_refused)
{
	int fd = memfd_create("page", MFD_CLOEXEC);
	char *page;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE_BYTES));
	page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)page);
	EXPECT_NONE(-EINVAL, page);
	munmap(page, PAGE_BYTES);
	close(fd);
}

/* --- what the caller does to it ------------------------------------------------------- */

/* The vCPU goes on as it last was told; what is there now is not written to. */
TEST_F(own_page, lost_sight_of)
{
	struct guest *g = &self->g;
	unsigned char *page = (unsigned char *)g->page;

	GUEST_LONG(g, counts);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	guest_resume_next(g);
	ASSERT_EQ(0, munmap(page, PAGE_BYTES));
	EXPECT_EQ(0, vee_call(g->vcpu, VEE_VCPU_RUN, NULL));
	ASSERT_EQ(page, mmap(page, PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, vee_call(g->vcpu, VEE_VCPU_RUN, NULL));
	for (unsigned int i = 0; i < PAGE_BYTES; i++)
		ASSERT_EQ(0, page[i]);
	EXPECT_EQ(2, *(__u32 *)(g->mem + GPA_DATA));
}

TEST_F(own_page, dontneed)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, counts);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	ASSERT_EQ(0, madvise(g->page, PAGE_BYTES, MADV_DONTNEED));
	EXPECT_EQ(0, vee_call(g->vcpu, VEE_VCPU_RUN, NULL));
	EXPECT_EQ(0, g->page->size);
}

/* What asks the kernel to take it away, or to move it, finds it again. */
TEST_F(own_page, paged_out)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, counts);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		madvise(g->page, PAGE_BYTES, MADV_PAGEOUT);
		write_file("/proc/sys/vm/compact_memory", "1");
		ASSERT_RUN(g, VEE_EXIT_PIO);
		ASSERT_EQ(i, *(__u32 *)(g->mem + GPA_DATA));
		guest_resume_next(g);
	}
}

static void child_scribbles(struct vee_vcpu_page *page)
{
	bool same = page->exit.reason == VEE_EXIT_PIO;

	memset(page, 0xa5, PAGE_BYTES);
	_exit(!same);
}

/* The child has a copy; the parent's stays the one that the kernel has. */
TEST_F(own_page, forked)
{
	struct guest *g = &self->g;
	int status = -1;
	pid_t child;

	GUEST_LONG(g, counts);
	for (unsigned int i = 1; i <= 5; i++) {
		ASSERT_RUN(g, VEE_EXIT_PIO);
		child = fork();
		if (!child)
			child_scribbles(g->page);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
		g->page->regs.rax = i;
		guest_resume_next(g);
		ASSERT_RUN(g, VEE_EXIT_PIO);
		ASSERT_EQ((__u8)i, (__u8)g->page->exit.pio.data);
		guest_resume_next(g);
	}
}

/* Nonsense, but the caller's alone. */
TEST_F(own_page, of_two)
{
	struct guest *g = &self->g, second = *g;

	second.vcpu = vcpu_create_at(g->vm, ID + 1, g->page);
	ASSERT_LE(0, second.vcpu);
	GUEST_LONG(g, counts);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		guest_run(g);
		guest_run(&second);
	}
	close(second.vcpu);
	GUEST_LONG(g, counts);
	g->page->dirty = VEE_STATE_ALL;
	g->page->exit.reason = VEE_EXIT_NONE;
	ASSERT_RUN(g, VEE_EXIT_PIO);
}

/* The guest's memory, too: it changes its own registers at will. */
TEST_F(own_page, lent)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, g->page, PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, scribbles);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(~0U, g->page->dirty);
	EXPECT_EQ(-EINVAL, guest_run(g));
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_MMIO, PAGE_BYTES));
	memset(g->page, 0, PAGE_BYTES);
	g->page->prefetch = VEE_STATE_REGS;
	GUEST_LONG(g, counts);
	ASSERT_RUN(g, VEE_EXIT_PIO);
}

/* --- pins ------------------------------------------------------------------------------- */

/* Of the system's: how many pages are pinned. -1: this kernel doesn't count. */
static long long pinned_pages(void)
{
	static char text[65536];
	const char *got, *released;

	/* Has each CPU's own count added up, if this user may. */
	read_text("/proc/sys/vm/stat_refresh", text, sizeof(text));
	if (!read_text("/proc/vmstat", text, sizeof(text)))
		return -1;
	got = strstr(text, "nr_foll_pin_acquired ");
	released = strstr(text, "nr_foll_pin_released ");
	if (!got || !released)
		return -1;
	return atoll(strchr(got, ' ')) - atoll(strchr(released, ' '));
}

TEST_F(own_page, no_pin_is_kept)
{
	long long before = pinned_pages();
	void *page = anon_memory(PAGE_BYTES);

	if (before < 0)
		VEE_SKIP("a kernel that doesn't count pins");
	for (unsigned int i = 0; i < ROUNDS; i++) {
		int vcpu = vcpu_create_at(self->g.vm, ID + 1, page);

		ASSERT_LE(0, vcpu);
		EXPECT_EQ(-EEXIST, vcpu_create_at(self->g.vm, ID, page));
		close(vcpu);
		EXPECT_NONE(-EINVAL, self->first.page);
	}
	munmap(page, PAGE_BYTES);
	EXPECT_EQ(before, pinned_pages());
}

/* A vCPU that outlives the process that made it has its page as long. */
TEST_F(own_page, outlived)
{
	int pipe_fds[2], status = -1;
	pid_t child;
	char byte;

	ASSERT_EQ(0, pipe(pipe_fds));
	child = fork();
	if (!child) {
		struct guest g;

		guest_open(_metadata, &g);
		g.page = anon_memory(PAGE_BYTES);
		g.vcpu = vcpu_create_at(g.vm, ID, g.page);
		GUEST_LONG(&g, counts);
		if (g.vcpu < 0 || guest_run(&g))
			_exit(1);
		/* A grandchild keeps the descriptors a little longer than the memory. */
		if (!fork()) {
			close(pipe_fds[0]);
			usleep(10000);
			_exit(write(pipe_fds[1], "", 1) != 1);
		}
		_exit(0);
	}
	close(pipe_fds[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, read(pipe_fds[0], &byte, 1));
	EXPECT_EQ(0, read(pipe_fds[0], &byte, 1));
	close(pipe_fds[0]);
}

TEST_HARNESS_MAIN
