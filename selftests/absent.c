// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is not at hand and may never be: what ends a run ends it while the run
 * waits for such memory, too, and nobody else waits for it.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "uring_util.h"

#define GPA_ABSENT	0x400000ULL
#define GPA_ELSEWHERE	0x800000ULL
#define PAGES		16
#define BYTES		(PAGES * PAGE_BYTES)
#define SOON_NS		3000000000ULL	/* of a wait that would have no end */

FIXTURE(absent) {
	struct guest g;
	unsigned char *mem;
	int fd;
};

FIXTURE_SETUP(absent)
{
	guest_open(_metadata, &self->g);
	self->mem = anon_memory(BYTES);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->fd = watch_missing(_metadata, self->mem, BYTES);
	ASSERT_EQ(0, vm_map(self->g.vm, GPA_ABSENT, self->mem, BYTES, VEE_RWX));
	catch_sigusr1();
}

FIXTURE_TEARDOWN(absent)
{
	close(self->fd);
	guest_close(&self->g);
	munmap(self->mem, BYTES);
}

GUEST_CODE(load, 64, "mov (%rbx), %rax; hlt");
GUEST_CODE(store, 64, "mov %rax, (%rbx); hlt");

static void set_load(struct guest *g, __u64 gpa)
{
	GUEST_LONG(g, load);
	g->page->regs.rbx = gpa;
}

/* In a wait for the first page; returns when it has begun. */
#define ASSERT_WAITS(r, g, fd)						\
	do {								\
		set_load((g), GPA_ABSENT);				\
		ASSERT_EQ(0, runner_start((r), (g)));			\
		ASSERT_TRUE(wait_missing(fd));				\
		ASSERT_FALSE(runner_done(r));				\
	} while (0)

/* A thread says so. */
static bool done_soon(const bool *done)
{
	__u64 end = now_ns() + SOON_NS;

	while (!__atomic_load_n(done, __ATOMIC_ACQUIRE) && now_ns() < end)
		usleep(1000);
	return *done;
}

static bool runner_done_soon(struct runner *r)
{
	__u64 end = now_ns() + SOON_NS;

	while (!runner_done(r) && now_ns() < end)
		usleep(1000);
	return runner_done(r);
}

/* Whatever comes of a test: its thread does not wait for ever. */
static int end_wait(struct runner *r, int fd, void *page)
{
	static unsigned char zeros[PAGE_BYTES];

	if (!runner_done_soon(r))
		supply_missing(fd, page, zeros);
	return runner_join(r);
}

static void supply_one(int fd, unsigned char *page, unsigned char byte)
{
	unsigned char source[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

	memset(source, byte, sizeof(source));
	supply_missing(fd, page, source);
}

/* It is as if nothing had been: the page comes, and the guest with it. */
static void expect_goes_on(struct __test_metadata *_metadata, struct guest *g, int fd,
			   unsigned char *mem)
{
	supply_one(fd, mem, 0x5a);
	g->page->deadline_ns = 0;
	EXPECT_EQ(0, guest_run(g));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, g->page->regs.rax);
}

TEST_F(absent, kick)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_TRUE(runner_done_soon(&r));
	EXPECT_EQ(0, end_wait(&r, self->fd, self->mem));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

TEST_F(absent, deadline)
{
	struct guest *g = &self->g;
	struct runner r;

	g->page->deadline_ns = 50000000;
	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_TRUE(runner_done_soon(&r));
	EXPECT_EQ(0, end_wait(&r, self->fd, self->mem));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

TEST_F(absent, signal)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, pthread_kill(r.thread, SIGUSR1));
	EXPECT_TRUE(runner_done_soon(&r));
	EXPECT_EQ(-EINTR, end_wait(&r, self->fd, self->mem));
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

/* Each run asks anew, and is ended anew. */
TEST_F(absent, over_and_over)
{
	struct guest *g = &self->g;
	struct runner r;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		set_load(g, GPA_ABSENT);
		g->page->deadline_ns = i & 1 ? 3000000 : 0;
		ASSERT_EQ(0, runner_start(&r, g));
		usleep(2000);
		if (!(i & 1))
			vcpu_kick(g->vcpu, generation(g));
		ASSERT_TRUE(runner_done_soon(&r)) TH_LOG("round %u", i);
		ASSERT_EQ(0, end_wait(&r, self->fd, self->mem));
	}
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

struct mapper {
	pthread_t thread;
	const struct guest *g;
	void *mem;
	int map, unmap;
	bool done;
};

static void *mapper_main(void *arg)
{
	struct mapper *m = arg;

	m->map = vm_map(m->g->vm, GPA_ELSEWHERE, m->mem, PAGE_BYTES, VEE_RWX);
	m->unmap = vm_unmap(m->g->vm, GPA_ELSEWHERE, PAGE_BYTES);
	__atomic_store_n(&m->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool map_elsewhere(struct mapper *m)
{
	return !pthread_create(&m->thread, NULL, mapper_main, m) && done_soon(&m->done);
}

/* Slots come and go meanwhile. */
TEST_F(absent, map_meanwhile)
{
	struct mapper m = { .g = &self->g, .mem = anon_memory(PAGE_BYTES) };
	struct runner r;

	ASSERT_WAITS(&r, &self->g, self->fd);
	EXPECT_TRUE(map_elsewhere(&m));
	EXPECT_FALSE(runner_done(&r));
	supply_one(self->fd, self->mem, 0x5a);
	pthread_join(m.thread, NULL);
	EXPECT_EQ(0, m.map);
	EXPECT_EQ(0, m.unmap);
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

/* ... the very one that is waited for among them. */
TEST_F(absent, unmapped_meanwhile)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, vm_unmap(g->vm, GPA_ABSENT, BYTES));
	supply_one(self->fd, self->mem, 0x5a);
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_MMIO, g->page->exit.reason);
	EXPECT_EQ(GPA_ABSENT, g->page->exit.memory.gpa);
}

TEST_F(absent, other_vcpus)
{
	struct guest *g = &self->g, other;
	struct runner r;

	guest_open_sibling(_metadata, g, &other, 1);
	ASSERT_WAITS(&r, g, self->fd);
	GUEST_LONG(&other, load);
	other.page->regs.rbx = GPA_DATA;
	EXPECT_EQ(0, guest_run(&other));
	EXPECT_EQ(VEE_EXIT_HLT, other.page->exit.reason);
	supply_one(self->fd, self->mem, 0x5a);
	EXPECT_EQ(0, runner_join(&r));
	guest_close(&other);
}

#define WAITERS		8

/* As many as there are vCPUs may wait, each for its own page. */
TEST_F(absent, many)
{
	struct guest others[WAITERS];
	struct runner runners[WAITERS];
	unsigned int i;

	for (i = 0; i < WAITERS; i++) {
		guest_open_sibling(_metadata, &self->g, &others[i], i + 1);
		set_load(&others[i], GPA_ABSENT + i * PAGE_BYTES);
		ASSERT_EQ(0, runner_start(&runners[i], &others[i]));
	}
	ASSERT_TRUE(wait_missing(self->fd));
	for (i = WAITERS; i--;) {
		supply_one(self->fd, self->mem + i * PAGE_BYTES, i);
		EXPECT_EQ(0, runner_join(&runners[i]));
		EXPECT_EQ(VEE_EXIT_HLT, others[i].page->exit.reason);
		EXPECT_EQ(i * 0x0101010101010101ULL, others[i].page->regs.rax);
	}
	for (i = 0; i < WAITERS; i++)
		guest_close(&others[i]);
}

/* An inline run is paused, and can be ended once it goes on. */
TEST_F(absent, step)
{
	struct guest *g = &self->g;
	struct vee_step step = { .vcpu = g->vcpu, .budget_us = 1000000 };
	struct vee_run_each each = {
		.size = sizeof(each),
		.count = 1,
		.steps = (unsigned long)&step,
	};

	set_load(g, GPA_ABSENT);
	g->page->deadline_ns = 100000000;
	EXPECT_EQ(0, vee_call(g->dev, VEE_RUN_EACH, &each));
	EXPECT_EQ(-EINPROGRESS, step.result);
	EXPECT_EQ(0, vee_call(g->vcpu, VEE_VCPU_RUN, (void *)generation(g)));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	expect_goes_on(_metadata, g, self->fd, self->mem);
}

/* --- what becomes of the range meanwhile ------------------------------------------------ */

static int wake_missing(int fd, void *page)
{
	struct uffdio_range range = { .start = (unsigned long)page, .len = PAGE_BYTES };

	return ioctl(fd, UFFDIO_WAKE, &range);
}

static void expect_end_of_wait(struct __test_metadata *_metadata, struct runner *r,
			       __u32 reason)
{
	const struct guest *g = r->g;

	EXPECT_TRUE(runner_done_soon(r));
	if (!runner_done(r))
		vcpu_kick(g->vcpu, generation(g));
	EXPECT_EQ(0, runner_join(r));
	EXPECT_EQ(reason, g->page->exit.reason);
	if (reason == VEE_EXIT_MEMORY) {
		EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
		EXPECT_EQ(GPA_ABSENT, g->page->exit.memory.gpa);
	}
}

/* Nobody withholds it any more: it is there, all zeros. */
TEST_F(absent, unregistered)
{
	struct uffdio_range range = { .start = (unsigned long)self->mem, .len = BYTES };
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, ioctl(self->fd, UFFDIO_UNREGISTER, &range));
	expect_end_of_wait(_metadata, &r, VEE_EXIT_HLT);
	EXPECT_EQ(0, g->page->regs.rax);
}

TEST_F(absent, closed)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	close(self->fd);
	self->fd = -1;
	expect_end_of_wait(_metadata, &r, VEE_EXIT_HLT);
	EXPECT_EQ(0, g->page->regs.rax);
}

/* Nothing is there: whoever wakes the waiters has the run say so. */
TEST_F(absent, munmap_and_wake)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, munmap(self->mem, BYTES));
	EXPECT_EQ(0, wake_missing(self->fd, self->mem));
	expect_end_of_wait(_metadata, &r, VEE_EXIT_MEMORY);
}

/* The kernel wakes nobody at munmap(2): what ends any wait ends this one, and it was the last. */
TEST_F(absent, munmap_and_kick)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, munmap(self->mem, BYTES));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	expect_end_of_wait(_metadata, &r, VEE_EXIT_KICKED);
	ASSERT_EQ(0, runner_start(&r, g));
	expect_end_of_wait(_metadata, &r, VEE_EXIT_MEMORY);
}

/* Other memory in its place is what the guest then has. */
TEST_F(absent, replaced)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	ASSERT_EQ(self->mem, mmap(self->mem, BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memset(self->mem, 0x77, BYTES);
	EXPECT_EQ(0, wake_missing(self->fd, self->mem));
	expect_end_of_wait(_metadata, &r, VEE_EXIT_HLT);
	EXPECT_EQ(0x7777777777777777ULL, g->page->regs.rax);
}

/* It comes, and is not the guest's; then it is. */
TEST_F(absent, mprotect_none)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, mprotect(self->mem, BYTES, PROT_NONE));
	EXPECT_FALSE(runner_done(&r));
	supply_one(self->fd, self->mem, 0x5a);
	expect_end_of_wait(_metadata, &r, VEE_EXIT_MEMORY);
	EXPECT_EQ(0, mprotect(self->mem, BYTES, PROT_READ));
	ASSERT_EQ(0, runner_start(&r, g));
	expect_end_of_wait(_metadata, &r, VEE_EXIT_HLT);
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, g->page->regs.rax);
}

/* Of memory that has become read-only a store is refused, a load is not. */
TEST_F(absent, mprotect_read)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_WAITS(&r, g, self->fd);
	EXPECT_EQ(0, mprotect(self->mem, BYTES, PROT_READ));
	supply_one(self->fd, self->mem, 0x5a);
	expect_end_of_wait(_metadata, &r, VEE_EXIT_HLT);
	EXPECT_EQ(0, mprotect(self->mem, BYTES, PROT_READ | PROT_WRITE));
	GUEST_LONG(g, store);
	g->page->regs.rbx = GPA_ABSENT + PAGE_BYTES;
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(wait_missing(self->fd));
	EXPECT_EQ(0, mprotect(self->mem, BYTES, PROT_READ));
	supply_one(self->fd, self->mem + PAGE_BYTES, 0x5a);
	EXPECT_TRUE(runner_done_soon(&r));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_MEMORY, g->page->exit.reason);
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
}

/* --- what the engine itself reads ------------------------------------------------------ */

#define PAE_CR0		(X86_CR0_PG | X86_CR0_PE | X86_CR0_ET)

/* One that ends where the next page's bytes could be its own. */
GUEST_CODE(device, 64, "mov %eax, (%rbx)");
GUEST_CODE(halt, 32, "hlt");
GUEST_CODE(set_cr0, 32, "mov %ecx, %cr0; hlt");
GUEST_CODE(set_cr4, 32, "hlt; mov %ecx, %cr4; hlt");

FIXTURE(reading) {
	struct guest g;
	unsigned char *mem;	/* the first page is lent as code, the rest as GPA_ABSENT */
	unsigned char *absent;
	int fd;
};

FIXTURE_VARIANT(reading) {
	void (*set)(struct guest *g, unsigned char *mem);
	__u64 first_word;	/* of the page that is supplied */
	__u32 reason;		/* of the exit that follows */
	__u32 bytes;		/* of the instruction that are known then */
};

static void set_device(struct guest *g, unsigned char *mem)
{
	size_t bytes = device_end - device;

	guest_set_long(g);
	memcpy(mem + PAGE_BYTES - bytes, device, bytes);
	g->page->regs.rip = GPA_ABSENT - bytes;
	g->page->regs.rbx = GPA_MMIO;
}

/* Its next page is another table's, and that table is not at hand. */
static void set_device_table(struct guest *g, unsigned char *mem)
{
	set_device(g, mem);
	guest_write64(g, GPA_PD + 8 * (GPA_ABSENT / PAGES_2M), GPA_ABSENT | PTE_ALL);
}

static void set_pae(struct guest *g, unsigned char *mem)
{
	(void)mem;
	GUEST_PROTECTED(g, halt);
	guest_write_page_tables(g);
	guest_set_control(g, PAE_CR0, GPA_ABSENT, X86_CR4_PAE, 0);
}

static void set_pae_by_guest(struct guest *g, unsigned char *mem)
{
	(void)mem;
	GUEST_PROTECTED(g, set_cr0);
	guest_write_page_tables(g);
	guest_set_control(g, X86_CR0_PE | X86_CR0_ET, GPA_ABSENT, X86_CR4_PAE, 0);
	g->page->regs.rcx = PAE_CR0;
}

/* It has PDPTEs, and reads them anew. */
static void set_pae_again(struct guest *g, unsigned char *mem)
{
	(void)mem;
	GUEST_PROTECTED(g, set_cr4);
	guest_write_page_tables(g);
	guest_set_control(g, PAE_CR0, GPA_PDPT + 0x800, X86_CR4_PAE, 0);
	guest_write64(g, GPA_PDPT + 0x800, GPA_PD | PTE_P);
	g->page->regs.rcx = X86_CR4_PAE | X86_CR4_PGE;
	guest_run(g);
	/* Without a word to the engine: as if those PDPTEs had been there. */
	vmcs_write(g->vcpu, 0x6802, GPA_ABSENT);
	guest_resume_next(g);
}

FIXTURE_VARIANT_ADD(reading, instruction) {
	.set = set_device,
	.first_word = 0x9090909090909090,
	.reason = VEE_EXIT_MMIO,
	.bytes = VEE_INSN_MAX,
};

FIXTURE_VARIANT_ADD(reading, page_table) {
	.set = set_device_table,
	.first_word = 0,
	.reason = VEE_EXIT_MMIO,
	.bytes = 2,
};

FIXTURE_VARIANT_ADD(reading, pdptes_of_state) {
	.set = set_pae,
	.first_word = GPA_PD | PTE_P,
	.reason = VEE_EXIT_HLT,
};

FIXTURE_VARIANT_ADD(reading, pdptes_by_cr0) {
	.set = set_pae_by_guest,
	.first_word = GPA_PD | PTE_P,
	.reason = VEE_EXIT_HLT,
};

FIXTURE_VARIANT_ADD(reading, pdptes_by_cr4) {
	.set = set_pae_again,
	.first_word = GPA_PD | PTE_P,
	.reason = VEE_EXIT_HLT,
};

FIXTURE_SETUP(reading)
{
	struct guest *g = &self->g;

	guest_open(_metadata, g);
	self->mem = anon_memory(PAGE_BYTES + BYTES);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->absent = self->mem + PAGE_BYTES;
	self->fd = watch_missing(_metadata, self->absent, BYTES);
	ASSERT_EQ(0, vm_map(g->vm, GPA_ABSENT - PAGE_BYTES, self->mem, PAGE_BYTES + BYTES,
			    VEE_RWX));
	catch_sigusr1();
}

FIXTURE_TEARDOWN(reading)
{
	close(self->fd);
	guest_close(&self->g);
	munmap(self->mem, PAGE_BYTES + BYTES);
}

static void supply_word(int fd, unsigned char *page, __u64 word)
{
	__u64 source[PAGE_BYTES / 8] __attribute__((aligned(PAGE_BYTES))) = { word };

	if (word >> 32)
		memset(source, word & 0xff, sizeof(source));
	supply_missing(fd, page, source);
}

static void expect_end(struct __test_metadata *_metadata, const struct guest *g, __u32 reason,
		       __u32 bytes)
{
	EXPECT_EQ(reason, g->page->exit.reason);
	if (reason == VEE_EXIT_MMIO) {
		EXPECT_EQ(GPA_MMIO, g->page->exit.memory.gpa);
		EXPECT_EQ(bytes, g->page->exit.memory.insn_bytes);
	}
}

#define ASSERT_READS(r, g, fd)						\
	do {								\
		ASSERT_EQ(0, runner_start((r), (g)));			\
		ASSERT_TRUE(wait_missing(fd));				\
		ASSERT_FALSE(runner_done(r));				\
	} while (0)

/* Each ends it, and leaves all as it was: the next run comes to the same wait. */
TEST_F(reading, ended)
{
	struct guest *g = &self->g;
	struct runner r;

	variant->set(g, self->mem);
	g->page->deadline_ns = 0;
	ASSERT_READS(&r, g, self->fd);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_TRUE(runner_done_soon(&r)) TH_LOG("kick");
	EXPECT_EQ(0, end_wait(&r, self->fd, self->absent));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);

	ASSERT_READS(&r, g, self->fd);
	EXPECT_EQ(0, pthread_kill(r.thread, SIGUSR1));
	EXPECT_TRUE(runner_done_soon(&r)) TH_LOG("signal");
	EXPECT_EQ(-EINTR, end_wait(&r, self->fd, self->absent));
	EXPECT_EQ(VEE_EXIT_INTERRUPTED, g->page->exit.reason);

	g->page->deadline_ns = 50 * MS_NS;
	ASSERT_READS(&r, g, self->fd);
	EXPECT_TRUE(runner_done_soon(&r)) TH_LOG("deadline");
	EXPECT_EQ(0, end_wait(&r, self->fd, self->absent));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);

	supply_word(self->fd, self->absent, variant->first_word);
	g->page->deadline_ns = 0;
	ASSERT_EQ(0, guest_run(g));
	expect_end(_metadata, g, variant->reason, variant->bytes);
}

TEST_F(reading, map_meanwhile)
{
	struct mapper m = { .g = &self->g, .mem = anon_memory(PAGE_BYTES) };
	struct runner r;

	variant->set(&self->g, self->mem);
	self->g.page->deadline_ns = 0;
	ASSERT_READS(&r, &self->g, self->fd);
	EXPECT_TRUE(map_elsewhere(&m));
	EXPECT_FALSE(runner_done(&r));
	supply_word(self->fd, self->absent, variant->first_word);
	EXPECT_EQ(0, runner_join(&r));
	expect_end(_metadata, &self->g, variant->reason, variant->bytes);
	pthread_join(m.thread, NULL);
	EXPECT_EQ(0, m.map);
	EXPECT_EQ(0, m.unmap);
}

/* An inline run does not wait; what goes on with it can be ended. */
TEST_F(reading, step)
{
	struct guest *g = &self->g;
	struct vee_step step = { .vcpu = g->vcpu, .budget_us = 1000000 };
	struct vee_run_each each = {
		.size = sizeof(each),
		.count = 1,
		.steps = (unsigned long)&step,
	};
	bool before = variant->set == set_pae;
	struct runner r;

	variant->set(g, self->mem);
	g->page->deadline_ns = 0;
	EXPECT_EQ(0, vee_call(g->dev, VEE_RUN_EACH, &each));
	EXPECT_EQ(before ? -EAGAIN : -EINPROGRESS, step.result);
	ASSERT_READS(&r, g, self->fd);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_TRUE(runner_done_soon(&r));
	EXPECT_EQ(0, end_wait(&r, self->fd, self->absent));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
}

/* --- VEE_VCPU_TRANSLATE ------------------------------------------------------------------ */

struct translator {
	pthread_t thread;
	int vcpu;
	struct vee_translate arg;
	int ret;
	bool done;
};

static void *translator_main(void *arg)
{
	struct translator *t = arg;

	t->ret = vee_call(t->vcpu, VEE_VCPU_TRANSLATE, &t->arg);
	__atomic_store_n(&t->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* The table of what it looks for is not at hand. */
static bool translate_start(struct translator *t, struct guest *g)
{
	GUEST_LONG(g, load);
	guest_write64(g, GPA_PD + 8, GPA_ABSENT | PTE_ALL);
	g->page->regs.rbx = GPA_DATA;
	guest_run(g);
	*t = (struct translator) {
		.vcpu = g->vcpu,
		.arg = { .size = sizeof(t->arg), .gva = PAGES_2M },
	};
	return !pthread_create(&t->thread, NULL, translator_main, t);
}

TEST_F(absent, translate)
{
	struct mapper m = { .g = &self->g, .mem = anon_memory(PAGE_BYTES) };
	struct translator t;

	ASSERT_TRUE(translate_start(&t, &self->g));
	ASSERT_TRUE(wait_missing(self->fd));
	EXPECT_TRUE(map_elsewhere(&m));
	EXPECT_FALSE(t.done);
	/* It is no run: this is for the next. */
	EXPECT_EQ(0, vcpu_kick(self->g.vcpu, generation(&self->g)));
	EXPECT_EQ(0, pthread_kill(t.thread, SIGUSR1));
	EXPECT_TRUE(done_soon(&t.done));
	supply_word(self->fd, self->mem, GPA_DATA | PTE_ALL);
	pthread_join(t.thread, NULL);
	pthread_join(m.thread, NULL);
	EXPECT_EQ(-EINTR, t.ret);

	translator_main(&t);
	EXPECT_EQ(0, t.ret);
	EXPECT_EQ(GPA_DATA, t.arg.gpa);
	ASSERT_RUN(&self->g, VEE_EXIT_KICKED);
}

/* Kicked already, it waits all the same. */
TEST_F(absent, translate_supplied)
{
	struct translator t;

	ASSERT_TRUE(translate_start(&t, &self->g));
	ASSERT_TRUE(wait_missing(self->fd));
	EXPECT_EQ(0, vcpu_kick(self->g.vcpu, generation(&self->g)));
	usleep(10000);
	EXPECT_FALSE(t.done);
	supply_word(self->fd, self->mem, GPA_DATA | PTE_ALL);
	pthread_join(t.thread, NULL);
	EXPECT_EQ(0, t.ret);
	EXPECT_EQ(GPA_DATA, t.arg.gpa);
}

/* Through io_uring, which does other requests meanwhile. */
TEST_F(absent, translate_by_ring)
{
	struct vee_translate arg = { .size = sizeof(arg), .gva = PAGES_2M };
	struct vee_stats stats = { .size = sizeof(stats) };
	struct guest *g = &self->g;
	struct ring ring;

	if (ring_open(&ring, 0))
		VEE_SKIP("no io_uring");
	GUEST_LONG(g, load);
	guest_write64(g, GPA_PD + 8, GPA_ABSENT | PTE_ALL);
	g->page->regs.rbx = GPA_DATA;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	/* Until the supplier below: a thread that waited with the ring would never get there. */
	alarm(20);
	ring_request(&ring, g->vcpu, VEE_VCPU_TRANSLATE, &arg, 1);
	ASSERT_EQ(1, ring_submit(&ring));
	ASSERT_TRUE(wait_missing(self->fd));
	ring_request(&ring, g->vcpu, VEE_VCPU_STATS, &stats, 2);
	EXPECT_EQ(-EBUSY, ring_result(&ring));
	ring_cancel(&ring, 1, 3);
	ASSERT_EQ(1, ring_submit(&ring));
	EXPECT_EQ(-EINTR, ring_result_of(&ring, 1));
	supply_word(self->fd, self->mem, GPA_DATA | PTE_ALL);
	ring_request(&ring, g->vcpu, VEE_VCPU_TRANSLATE, &arg, 4);
	EXPECT_EQ(1, ring_submit(&ring));
	EXPECT_EQ(0, ring_result_of(&ring, 4));
	EXPECT_EQ(GPA_DATA, arg.gpa);
	alarm(0);
	ring_close(&ring);
}

/* --- the end of the process -------------------------------------------------------------- */

/* A child's guest waits for what this process holds back. */
static int wait_in_child(struct __test_metadata *_metadata, int pipe_fd,
			 void (*wait)(struct guest *g))
{
	void *mem = anon_memory(BYTES);
	int fd = watch_missing(_metadata, mem, BYTES);
	struct guest g;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	guest_open(_metadata, &g);
	if (vm_map(g.vm, GPA_ABSENT, mem, BYTES, VEE_RWX))
		return 1;
	if (write(pipe_fd, &fd, sizeof(fd)) != sizeof(fd))
		return 1;
	wait(&g);
	return 1;
}

static bool module_users_are(long count)
{
	__u64 end = now_ns() + SOON_NS;

	while (module_users() != count && now_ns() < end)
		usleep(1000);
	return module_users() == count;
}

static void wait_in_guest(struct guest *g)
{
	set_load(g, GPA_ABSENT);
	guest_run_once(g);
}

static void wait_for_state(struct guest *g)
{
	set_pae(g, NULL);
	guest_run_once(g);
}

static void wait_in_translate(struct guest *g)
{
	struct translator t;

	if (translate_start(&t, g))
		pthread_join(t.thread, NULL);
}

/* The death of the process ends all, though the one that supplies its memory lives. */
static void expect_death(struct __test_metadata *_metadata, void (*wait)(struct guest *g))
{
	long users = module_users_at_rest();
	int ends[2], fd, there, status = 0;
	__u64 end;
	pid_t child;

	ASSERT_EQ(0, pipe(ends));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(wait_in_child(_metadata, ends[1], wait));
	ASSERT_EQ(sizeof(there), read(ends[0], &there, sizeof(there)));
	fd = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, child, 0), there, 0);
	ASSERT_LE(0, fd) TH_LOG("%s", strerror(errno));
	ASSERT_TRUE(wait_missing(fd));
	EXPECT_EQ(0, kill(child, SIGKILL));
	for (end = now_ns() + SOON_NS; now_ns() < end; usleep(1000))
		if (waitpid(child, &status, WNOHANG) == child)
			break;
	EXPECT_TRUE(WIFSIGNALED(status));
	/* No thread of vee's is left behind with its memory. */
	EXPECT_TRUE(module_users_are(users)) TH_LOG("%ld, not %ld", module_users(), users);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

TEST_F(absent, killed)
{
	expect_death(_metadata, wait_in_guest);
	expect_death(_metadata, wait_for_state);
	expect_death(_metadata, wait_in_translate);
}

TEST_HARNESS_MAIN
