// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory: slots, what they allow, and what the caller does to the memory
 * behind them, before the guest runs and while it does.
 */
#include <sys/wait.h>

#include "vee_util.h"

#define GPA_EXTRA	0x400000ULL
#define EXTRA_PAGES	16
#define EXTRA_BYTES	(EXTRA_PAGES * PAGE_BYTES)
#define STOP		GPA_DATA	/* not 0: the sweeping guest is to halt */
#define LONG_NS		(20 * DEADLINE_NS)

#define MEMORY_RW	(PROT_READ | PROT_WRITE)

FIXTURE(memory) {
	struct guest g;
	unsigned char *extra;
};

FIXTURE_SETUP(memory)
{
	guest_open(_metadata, &self->g);
	self->extra = anon_memory(EXTRA_BYTES);
	ASSERT_NE(MAP_FAILED, self->extra);
	/* Huge pages are another file's subject. */
	madvise(self->extra, EXTRA_BYTES, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_map(self->g.vm, GPA_EXTRA, self->extra, EXTRA_BYTES, VEE_RWX));
}

FIXTURE_TEARDOWN(memory)
{
	guest_close(&self->g);
	munmap(self->extra, EXTRA_BYTES);
}

/* --- one access ------------------------------------------------------------ */

GUEST_LABEL(accesses_store);
GUEST_LABEL(accesses_fetch);
GUEST_CODE(accesses, 64,
	   "mov (%rbx), %rax; hlt;"
	   "accesses_store: mov %rax, (%rbx); hlt;"
	   "accesses_fetch: call *%rbx; hlt");

/* Returns why the guest stopped, or what the run returned if that isn't 0. */
static int guest_access(struct guest *g, const unsigned char *how, __u64 gpa)
{
	int ret;

	g->page->regs.rbx = gpa;
	g->page->regs.rsp = GPA_STACK;
	guest_set_rip(g, AT(accesses, how));
	ret = guest_run(g);
	return ret ? ret : (int)g->page->exit.reason;
}

static int guest_load64(struct guest *g, __u64 gpa)
{
	return guest_access(g, accesses, gpa);
}

static int guest_store64(struct guest *g, __u64 gpa, __u64 value)
{
	g->page->regs.rax = value;
	return guest_access(g, accesses_store, gpa);
}

static int guest_call(struct guest *g, __u64 gpa)
{
	return guest_access(g, accesses_fetch, gpa);
}

#define ASSERT_LOADS(g, value, gpa)					\
	do {								\
		struct guest *load_g = (g);				\
									\
		ASSERT_EQ(VEE_EXIT_HLT, guest_load64(load_g, gpa))	\
			TH_LOG("%s", guest_describe(load_g));		\
		ASSERT_EQ((value), load_g->page->regs.rax);		\
	} while (0)

#define ASSERT_STORES(g, value, gpa)					\
	do {								\
		struct guest *store_g = (g);				\
									\
		ASSERT_EQ(VEE_EXIT_HLT, guest_store64(store_g, gpa, value)) \
			TH_LOG("%s", guest_describe(store_g));		\
	} while (0)

/* The last exit was for a slot's memory that the guest can't have. */
#define ASSERT_REFUSED(g, why, how, where)				\
	do {								\
		struct vee_exit *why_exit = &(g)->page->exit;		\
		__u32 why_how = (how);					\
									\
		ASSERT_EQ(VEE_EXIT_MEMORY, why_exit->reason);		\
		ASSERT_EQ((why), why_exit->memory.error);		\
		ASSERT_EQ(why_how, why_exit->memory.access & why_how);	\
		ASSERT_EQ((where), why_exit->memory.gpa);		\
	} while (0)

static __u64 host_read64(const void *hva)
{
	return __atomic_load_n((const __u64 *)hva, __ATOMIC_ACQUIRE);
}

static void host_write64(void *hva, __u64 value)
{
	__atomic_store_n((__u64 *)hva, value, __ATOMIC_RELEASE);
}

/* --- slots ----------------------------------------------------------------- */

/* As many as there may be, all of one page: each is the same memory. */
TEST_F(memory, most_slots)
{
	struct guest *g = &self->g;
	__u64 gpa = GPA_MMIO;
	unsigned int slots;

	for (slots = 2; slots < VEE_MAX_SLOTS; slots++, gpa += 2 * PAGE_BYTES)
		ASSERT_EQ(0, vm_map(g->vm, gpa, self->extra, PAGE_BYTES, VEE_RWX));
	EXPECT_EQ(-ENOSPC, vm_map(g->vm, gpa, self->extra, PAGE_BYTES, VEE_RWX));
	gpa -= 2 * PAGE_BYTES;
	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 77, gpa + 8);
	ASSERT_LOADS(g, 77, GPA_MMIO + 8);
	ASSERT_LOADS(g, 77, GPA_EXTRA + 8);
	ASSERT_EQ(VEE_EXIT_MMIO, guest_load64(g, gpa - PAGE_BYTES));
	EXPECT_EQ(0, vm_unmap(g->vm, GPA_MMIO, PAGE_BYTES));
	EXPECT_EQ(0, vm_map(g->vm, GPA_MMIO + PAGE_BYTES, self->extra, PAGE_BYTES,
			    VEE_RWX));
	EXPECT_EQ(-ENOSPC, vm_map(g->vm, GPA_MMIO, self->extra, PAGE_BYTES, VEE_RWX));
	ASSERT_EQ(VEE_EXIT_MMIO, guest_load64(g, GPA_MMIO));
	ASSERT_LOADS(g, 77, GPA_MMIO + PAGE_BYTES + 8);
}

/* Neighbours, each with its memory somewhere else. */
TEST_F(memory, neighbours)
{
	struct guest *g = &self->g;
	__u64 gpa = GPA_MMIO;
	unsigned int i;

	for (i = 0; i < EXTRA_PAGES; i += 2)
		ASSERT_EQ(0, vm_map(g->vm, gpa + i * PAGE_BYTES,
				    self->extra + EXTRA_BYTES - (i + 2) * PAGE_BYTES,
				    2 * PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	for (i = 0; i < EXTRA_PAGES; i++)
		ASSERT_STORES(g, i + 1, gpa + i * PAGE_BYTES);
	for (i = 0; i < EXTRA_PAGES; i++) {
		unsigned int page = EXTRA_PAGES - 2 - (i & ~1) + (i & 1);

		EXPECT_EQ(i + 1, host_read64(self->extra + page * PAGE_BYTES));
		ASSERT_LOADS(g, i + 1, GPA_EXTRA + page * PAGE_BYTES);
	}
}

/* Whatever overlaps is refused, and leaves the slot that was there alone. */
TEST_F(memory, overlaps_change_nothing)
{
	static const struct {
		__u64 gpa, bytes;
	} cases[] = {
		{ GPA_EXTRA, EXTRA_BYTES },
		{ GPA_EXTRA + PAGE_BYTES, PAGE_BYTES },
		{ GPA_EXTRA - PAGE_BYTES, 2 * PAGE_BYTES },
		{ GPA_EXTRA - PAGE_BYTES, EXTRA_BYTES + 2 * PAGE_BYTES },
		{ GPA_EXTRA + EXTRA_BYTES - PAGE_BYTES, 2 * PAGE_BYTES },
	};
	unsigned char *other = anon_memory(EXTRA_BYTES + 2 * PAGE_BYTES);
	struct guest *g = &self->g;
	unsigned int i;

	ASSERT_NE(MAP_FAILED, other);
	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 5, GPA_EXTRA + PAGE_BYTES);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(-EEXIST, vm_map(g->vm, cases[i].gpa, other, cases[i].bytes,
					  VEE_RWX))
			TH_LOG("case %u", i);
	}
	ASSERT_LOADS(g, 5, GPA_EXTRA + PAGE_BYTES);
	ASSERT_EQ(VEE_EXIT_MMIO, guest_load64(g, GPA_EXTRA - PAGE_BYTES));
	ASSERT_EQ(VEE_EXIT_MMIO, guest_load64(g, GPA_EXTRA + EXTRA_BYTES));
	munmap(other, EXTRA_BYTES + 2 * PAGE_BYTES);
}

/* The guest's page tables reach it; the slot is what decides. */
TEST_F(memory, add_and_remove)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, accesses);
	for (i = 1; i <= 3; i++) {
		ASSERT_EQ(VEE_EXIT_MMIO, guest_load64(g, GPA_MMIO));
		EXPECT_EQ(0, g->page->exit.memory.error);
		ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, self->extra, PAGE_BYTES, VEE_RWX));
		/* The same access, tried again, now finds memory. */
		ASSERT_RUN(g, VEE_EXIT_HLT);
		ASSERT_STORES(g, i, GPA_MMIO);
		EXPECT_EQ(i, host_read64(self->extra));
		ASSERT_EQ(0, vm_unmap(g->vm, GPA_MMIO, PAGE_BYTES));
	}
	ASSERT_EQ(VEE_EXIT_MMIO, guest_store64(g, GPA_MMIO, 99));
	EXPECT_EQ(3, host_read64(self->extra));
}

/* Another slot in the place of one that was removed. */
TEST_F(memory, replaced)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 1, GPA_EXTRA);
	ASSERT_STORES(g, 2, GPA_EXTRA + PAGE_BYTES);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, EXTRA_BYTES));
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, self->extra + PAGE_BYTES, PAGE_BYTES,
			    VEE_READ));
	ASSERT_LOADS(g, 2, GPA_EXTRA);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_store64(g, GPA_EXTRA, 3));
	EXPECT_EQ(-EACCES, g->page->exit.memory.error);
}

GUEST_LABEL(both_store);
GUEST_LABEL(both_out);
GUEST_CODE(both, 64,
	   "mov (%rbx), %rax; push %rax; both_out: out %al, $16;"
	   "pop %rax; mov (%rdx), %rax; push %rax; both_store: mov %rax, (%rcx); hlt");

/* All that an exit tells is of this access, not of the one before. */
#define ASSERT_STORE_TOLD(g)						\
	do {								\
		struct vee_vcpu_page *told = (g)->page;			\
									\
		ASSERT_EQ(AT(both, both_store), told->regs.rip);	\
		ASSERT_EQ(GPA_STACK - 8, told->regs.rsp);		\
		ASSERT_EQ(48, told->exit.hardware_reason);		\
		ASSERT_EQ(8, told->exit.memory.code_width);		\
		ASSERT_EQ(0, memcmp(told->exit.memory.insn, both_store, 3)); \
		ASSERT_EQ(0, told->exit.instruction_length);		\
	} while (0)

/* Loads from @first, where it gets memory, and stops; then from @second, and stores to @third. */
static void both_begin(struct guest *g, __u64 first, __u64 second, __u64 third)
{
	GUEST_LONG(g, both);
	g->page->regs.rsp = GPA_STACK;
	g->page->regs.rbx = first;
	g->page->regs.rdx = second;
	g->page->regs.rcx = third;
}

/*
 * The second page of a slot that is touched, and is there, takes no sleep: that such a one
 * comes next is what the kernel then guesses.
 */
#define ASSERT_BOTH_LOAD(g, extra, first)				\
	do {								\
		host_write64((extra) + (first) * PAGE_BYTES, 1);		\
		ASSERT_RUN_AT(g, VEE_EXIT_PIO, AT(both, both_out));	\
		host_write64((extra) + ((first) + 1) * PAGE_BYTES, 1);	\
		(g)->page->resume = VEE_RESUME_NEXT;			\
		ASSERT_EQ(0, guest_run(g));				\
	} while (0)

/* The guest is refused something right after it got memory of the same slot, each time. */
TEST_F(memory, refused_after_memory)
{
	struct guest *g = &self->g;
	unsigned int i;
	__u64 gpa;

	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, EXTRA_BYTES));
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, self->extra, EXTRA_BYTES, VEE_READ));
	for (i = 0; i < 6; i += 2) {
		gpa = GPA_EXTRA + i * PAGE_BYTES;
		both_begin(g, gpa, gpa + PAGE_BYTES, gpa + 2 * PAGE_BYTES);
		ASSERT_BOTH_LOAD(g, self->extra, i);
		ASSERT_REFUSED(g, -EACCES, VEE_WRITE, gpa + 2 * PAGE_BYTES);
		ASSERT_STORE_TOLD(g);
	}
}

/* ... and after it got memory where there is none any more. */
TEST_F(memory, nothing_after_memory)
{
	const __u64 there = GPA_STACK - 64;
	struct guest *g = &self->g;

	both_begin(g, GPA_EXTRA, GPA_EXTRA + PAGE_BYTES, there);
	ASSERT_BOTH_LOAD(g, self->extra, 0);
	ASSERT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, EXTRA_BYTES));
	both_begin(g, there, there, GPA_EXTRA + PAGE_BYTES);
	ASSERT_RUN_AT(g, VEE_EXIT_PIO, AT(both, both_out));
	g->page->resume = VEE_RESUME_NEXT;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	ASSERT_EQ(GPA_EXTRA + PAGE_BYTES, g->page->exit.memory.gpa);
	ASSERT_STORE_TOLD(g);
}

/* An access that begins in a slot and ends behind it. */
TEST_F(memory, across_the_end)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, accesses);
	ASSERT_LOADS(g, 0, GPA_EXTRA + EXTRA_BYTES - 8);
	ASSERT_EQ(VEE_EXIT_MMIO, guest_load64(g, GPA_EXTRA + EXTRA_BYTES - 4));
	EXPECT_EQ(GPA_EXTRA + EXTRA_BYTES, g->page->exit.memory.gpa);
	ASSERT_EQ(VEE_EXIT_MMIO, guest_load64(g, GPA_EXTRA - 4));
	ASSERT_EQ(VEE_EXIT_MMIO, guest_store64(g, GPA_EXTRA + EXTRA_BYTES - 4, -1ULL));
	/* Nothing of it is done. */
	EXPECT_EQ(0, host_read64(self->extra + EXTRA_BYTES - 8));
}

/* --- what a slot allows ---------------------------------------------------- */

TEST_F(memory, read_only_slot)
{
	struct guest *g = &self->g;

	self->extra[8] = 0xc3;	/* RET */
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, self->extra, PAGE_BYTES,
			    VEE_READ | VEE_EXECUTE));
	GUEST_LONG(g, accesses);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_store64(g, GPA_MMIO, 1));
	ASSERT_REFUSED(g, -EACCES, VEE_WRITE, GPA_MMIO);
	EXPECT_EQ(1, g->page->exit.memory.gva_valid);
	EXPECT_EQ(GPA_MMIO, g->page->exit.memory.gva);
	EXPECT_EQ(0, g->page->exit.memory.walk);
	EXPECT_EQ(AT(accesses, accesses_store), g->page->regs.rip);
	/* Likewise when the page is there already. */
	ASSERT_LOADS(g, 0, GPA_MMIO);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_store64(g, GPA_MMIO, 1));
	ASSERT_REFUSED(g, -EACCES, VEE_WRITE, GPA_MMIO);
	ASSERT_EQ(VEE_EXIT_HLT, guest_call(g, GPA_MMIO + 8));
	EXPECT_EQ(0, host_read64(self->extra));
	/* The same memory in another slot that does allow it. */
	ASSERT_STORES(g, 6, GPA_EXTRA);
	ASSERT_LOADS(g, 6, GPA_MMIO);
}

TEST_F(memory, no_execute_slot)
{
	struct guest *g = &self->g;

	self->extra[8] = 0xc3;
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, self->extra, PAGE_BYTES,
			    VEE_READ | VEE_WRITE));
	GUEST_LONG(g, accesses);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_call(g, GPA_MMIO + 8));
	ASSERT_REFUSED(g, -EACCES, VEE_EXECUTE, GPA_MMIO + 8);
	EXPECT_EQ(GPA_MMIO + 8, g->page->regs.rip);
	ASSERT_STORES(g, 1, GPA_MMIO);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_call(g, GPA_MMIO + 8));
	ASSERT_REFUSED(g, -EACCES, VEE_EXECUTE, GPA_MMIO + 8);
	ASSERT_EQ(VEE_EXIT_HLT, guest_call(g, GPA_EXTRA + 8));
}

/* A guest page table in memory that the guest's CPU may not mark accessed. */
TEST_F(memory, page_table_read_only)
{
	struct guest *g = &self->g;
	__u64 *pd = (__u64 *)self->extra;
	int reason;

	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, self->extra, PAGE_BYTES, VEE_READ));
	GUEST_LONG(g, accesses);
	pd[0] = 0 | PTE_ALL | PTE_PS | PTE_A;
	/* The second GiB, through a page directory in the read-only slot. */
	guest_write64(g, GPA_PDPT + 8, GPA_MMIO | PTE_ALL | PTE_A);
	ASSERT_LOADS(g, guest_read64(g, GPA_CODE), PAGES_1G + GPA_CODE);
	reason = guest_store64(g, PAGES_1G + GPA_DATA, 1);
	if (reason == VEE_EXIT_HLT && pd[0] & PTE_D && getenv("VEE_LAB"))
		VEE_SKIP("the emulated CPU sets dirty flags past a read-only EPT entry");
	ASSERT_EQ(VEE_EXIT_MEMORY, reason);
	ASSERT_REFUSED(g, -EACCES, VEE_WRITE, GPA_MMIO);
	EXPECT_EQ(1, g->page->exit.memory.walk);
	EXPECT_EQ(PAGES_1G + GPA_DATA, g->page->exit.memory.gva);
	EXPECT_EQ(0, pd[0] & PTE_D);
}

/* What the caller can't do there, the guest can't do either. */
TEST_F(memory, host_permissions)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, accesses);
	host_write64(self->extra, 7);
	ASSERT_EQ(0, mprotect(self->extra, PAGE_BYTES, PROT_READ));
	ASSERT_LOADS(g, 7, GPA_EXTRA);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_store64(g, GPA_EXTRA, 8));
	ASSERT_REFUSED(g, -EFAULT, VEE_WRITE, GPA_EXTRA);
	ASSERT_EQ(0, mprotect(self->extra, PAGE_BYTES, PROT_NONE));
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_load64(g, GPA_EXTRA));
	ASSERT_REFUSED(g, -EFAULT, VEE_READ, GPA_EXTRA);
	ASSERT_LOADS(g, 0, GPA_EXTRA + PAGE_BYTES);
	ASSERT_EQ(0, mprotect(self->extra, PAGE_BYTES, MEMORY_RW));
	ASSERT_STORES(g, 9, GPA_EXTRA);
	EXPECT_EQ(9, host_read64(self->extra));
}

/* --- the same memory on both sides ----------------------------------------- */

GUEST_CODE(echo, 64,
	   "cli; mov (%rbx), %rax; mov %rax, 8(%rbx); cmp $100, %rax; jne echo; hlt");

TEST_F(memory, host_and_guest_see_each_other)
{
	struct guest *g = &self->g;
	struct runner r;
	__u64 i;

	GUEST_LONG(g, echo);
	g->page->regs.rbx = GPA_EXTRA;
	g->page->deadline_ns = LONG_NS;
	ASSERT_EQ(0, runner_insist(&r, g));
	for (i = 1; i <= 100; i++) {
		host_write64(self->extra, i);
		ASSERT_TRUE(WAIT_FOR(host_read64(self->extra + 8) == i));
	}
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
}

/* The guest reads the shared page of zeros; then the host writes its own. */
TEST_F(memory, zero_page_replaced)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, accesses);
	for (i = 0; i < EXTRA_PAGES; i++)
		ASSERT_LOADS(g, 0, GPA_EXTRA + i * PAGE_BYTES);
	host_write64(self->extra, 1);
	ASSERT_LOADS(g, 1, GPA_EXTRA);
	ASSERT_STORES(g, 2, GPA_EXTRA + PAGE_BYTES);
	EXPECT_EQ(2, host_read64(self->extra + PAGE_BYTES));
	for (i = 2; i < EXTRA_PAGES; i++) {
		ASSERT_LOADS(g, 0, GPA_EXTRA + i * PAGE_BYTES);
		EXPECT_EQ(0, host_read64(self->extra + i * PAGE_BYTES));
	}
}

TEST_F(memory, dontneed)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 1, GPA_EXTRA);
	ASSERT_STORES(g, 2, GPA_EXTRA + PAGE_BYTES);
	ASSERT_EQ(0, madvise(self->extra, PAGE_BYTES, MADV_DONTNEED));
	ASSERT_LOADS(g, 0, GPA_EXTRA);
	ASSERT_LOADS(g, 2, GPA_EXTRA + PAGE_BYTES);
	ASSERT_STORES(g, 3, GPA_EXTRA);
	EXPECT_EQ(3, host_read64(self->extra));
}

/* --- memory that goes while the guest runs --------------------------------- */

GUEST_CODE(counter, 64, "incq (%rbx); cli; jmp counter");

/* Counts in the first word of @extra until that is refused. */
static void start_counter(struct __test_metadata *_metadata, struct guest *g,
			  const unsigned char *extra, struct runner *r)
{
	GUEST_LONG(g, counter);
	g->page->regs.rbx = GPA_EXTRA;
	ASSERT_EQ(0, runner_start(r, g));
	ASSERT_TRUE(WAIT_FOR(host_read64(extra) > 1000));
}

static void expect_refused(struct __test_metadata *_metadata, struct runner *r)
{
	ASSERT_EQ(0, runner_join(r));
	ASSERT_REFUSED(r->g, -EFAULT, VEE_WRITE, GPA_EXTRA);
	EXPECT_EQ(GPA_CODE, r->g->page->regs.rip);
}

/* What the guest can't reach it doesn't change. */
static bool is_still(const unsigned char *hva)
{
	__u64 before = host_read64(hva);

	usleep(3000);
	return before == host_read64(hva);
}

TEST_F(memory, munmap_running)
{
	struct guest *g = &self->g;
	struct runner r;

	start_counter(_metadata, &self->g, self->extra, &r);
	ASSERT_EQ(0, munmap(self->extra, PAGE_BYTES));
	expect_refused(_metadata, &r);
	/* What comes to the same address is the slot's again. */
	ASSERT_EQ(self->extra, mmap(self->extra, PAGE_BYTES, MEMORY_RW,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(WAIT_FOR(host_read64(self->extra) > 1000));
	ASSERT_EQ(0, munmap(self->extra, EXTRA_BYTES));
	expect_refused(_metadata, &r);
}

TEST_F(memory, mprotect_running)
{
	struct guest *g = &self->g;
	struct runner r;
	__u64 count;
	int i;

	start_counter(_metadata, &self->g, self->extra, &r);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, mprotect(self->extra, PAGE_BYTES, PROT_READ));
		EXPECT_TRUE(is_still(self->extra));
		expect_refused(_metadata, &r);
		count = host_read64(self->extra);
		ASSERT_EQ(0, mprotect(self->extra, PAGE_BYTES, MEMORY_RW));
		ASSERT_EQ(0, runner_start(&r, g));
		ASSERT_TRUE(WAIT_FOR(host_read64(self->extra) > count));
	}
	ASSERT_EQ(0, mprotect(self->extra, PAGE_BYTES, PROT_NONE));
	expect_refused(_metadata, &r);
}

/* The memory moves away, with what the guest has written; other comes. */
TEST_F(memory, mremap_running)
{
	struct guest *g = &self->g;
	unsigned char *other, *moved;
	struct runner r;
	__u64 count;

	other = anon_memory(PAGE_BYTES);
	ASSERT_NE(MAP_FAILED, other);
	host_write64(other, 50000000);
	start_counter(_metadata, &self->g, self->extra, &r);
	moved = mremap(self->extra, PAGE_BYTES, PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		       self->extra + EXTRA_BYTES + 64 * PAGE_BYTES);
	ASSERT_NE(MAP_FAILED, moved);
	EXPECT_TRUE(is_still(moved));
	expect_refused(_metadata, &r);
	count = host_read64(moved);
	EXPECT_LT(1000, count);
	ASSERT_EQ(self->extra, mremap(other, PAGE_BYTES, PAGE_BYTES,
				      MREMAP_MAYMOVE | MREMAP_FIXED, self->extra));
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(WAIT_FOR(host_read64(self->extra) > 50000000));
	EXPECT_EQ(count, host_read64(moved));
	munmap(self->extra, PAGE_BYTES);
	expect_refused(_metadata, &r);
	munmap(moved, PAGE_BYTES);
}

/* What has no writer may be taken from under a guest that only reads. */
GUEST_CODE(until_zero, 64, "cli; cmpq $0, (%rbx); jne until_zero; hlt");

TEST_F(memory, dontneed_running)
{
	struct guest *g = &self->g;
	struct runner r;

	host_write64(self->extra, 1);
	GUEST_LONG(g, until_zero);
	g->page->regs.rbx = GPA_EXTRA;
	ASSERT_EQ(0, runner_start(&r, g));
	usleep(5000);
	EXPECT_FALSE(runner_done(&r));
	ASSERT_EQ(0, madvise(self->extra, PAGE_BYTES, MADV_DONTNEED));
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
}

/* --- fork ------------------------------------------------------------------ */

/* In the child: is what it sees at @hva @value, and still when told so? */
static void child_watch(const unsigned char *hva, __u64 value, int go)
{
	char byte;

	if (host_read64(hva) != value)
		_exit(1);
	if (read(go, &byte, 1) != 1)
		_exit(2);
	_exit(host_read64(hva) == value ? 0 : 3);
}

TEST_F(memory, fork_keeps_apart)
{
	struct guest *g = &self->g;
	int go[2], status;
	pid_t child;

	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 1, GPA_EXTRA);
	ASSERT_EQ(0, pipe(go));
	child = fork();
	if (!child)
		child_watch(self->extra, 1, go[0]);
	ASSERT_LT(0, child);
	ASSERT_STORES(g, 2, GPA_EXTRA);
	EXPECT_EQ(2, host_read64(self->extra));
	ASSERT_LOADS(g, 2, GPA_EXTRA);
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(go[0]);
	close(go[1]);
}

/* Nor does what the child writes reach the guest. */
TEST_F(memory, fork_child_writes)
{
	struct guest *g = &self->g;
	pid_t child;
	int status;

	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 1, GPA_EXTRA);
	child = fork();
	if (!child) {
		host_write64(self->extra, 3);
		_exit(host_read64(self->extra) != 3);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_LOADS(g, 1, GPA_EXTRA);
	ASSERT_STORES(g, 4, GPA_EXTRA);
	EXPECT_EQ(4, host_read64(self->extra));
}

/* The child's copy stands still from the moment of the fork on. */
TEST_F(memory, fork_running)
{
	struct runner r;
	int i, status;
	__u64 count;
	pid_t child;

	start_counter(_metadata, &self->g, self->extra, &r);
	for (i = 0; i < 5; i++) {
		child = fork();
		if (!child)
			_exit(!is_still(self->extra));
		ASSERT_LT(0, child);
		count = host_read64(self->extra);
		ASSERT_TRUE(WAIT_FOR(host_read64(self->extra) > count + 1000));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
	munmap(self->extra, PAGE_BYTES);
	expect_refused(_metadata, &r);
}

/* --- files and other mappings ---------------------------------------------- */

static int memfd(__u64 bytes)
{
	int fd = syscall(SYS_memfd_create, "vee", MFD_CLOEXEC);

	return fd < 0 || ftruncate(fd, bytes) ? -1 : fd;
}

TEST_F(memory, memfd_mapped_twice)
{
	struct guest *g = &self->g;
	unsigned char *a, *b;
	__u64 value;
	int fd = memfd(2 * PAGE_BYTES);

	ASSERT_LE(0, fd);
	a = mmap(NULL, 2 * PAGE_BYTES, MEMORY_RW, MAP_SHARED, fd, 0);
	b = mmap(NULL, PAGE_BYTES, MEMORY_RW, MAP_SHARED, fd, PAGE_BYTES);
	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, a, 2 * PAGE_BYTES, VEE_RWX));
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO + PAGES_2M, b, PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 1, GPA_MMIO + PAGE_BYTES);
	ASSERT_LOADS(g, 1, GPA_MMIO + PAGES_2M);
	ASSERT_STORES(g, 2, GPA_MMIO + PAGES_2M);
	ASSERT_LOADS(g, 2, GPA_MMIO + PAGE_BYTES);
	ASSERT_EQ(8, pread(fd, &value, 8, PAGE_BYTES));
	EXPECT_EQ(2, value);
	value = 3;
	ASSERT_EQ(8, pwrite(fd, &value, 8, PAGE_BYTES));
	ASSERT_LOADS(g, 3, GPA_MMIO + PAGE_BYTES);
	munmap(a, 2 * PAGE_BYTES);
	munmap(b, PAGE_BYTES);
	close(fd);
}

/* A file that shrinks takes its pages from the guest: SIGBUS, for a process. */
TEST_F(memory, file_truncated)
{
	struct guest *g = &self->g;
	int fd = memfd(2 * PAGE_BYTES);
	unsigned char *mem;

	ASSERT_LE(0, fd);
	mem = mmap(NULL, 2 * PAGE_BYTES, MEMORY_RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, mem, 2 * PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 1, GPA_MMIO);
	ASSERT_STORES(g, 2, GPA_MMIO + PAGE_BYTES);
	ASSERT_EQ(0, ftruncate(fd, PAGE_BYTES));
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_load64(g, GPA_MMIO + PAGE_BYTES));
	ASSERT_REFUSED(g, -EFAULT, VEE_READ, GPA_MMIO + PAGE_BYTES);
	ASSERT_LOADS(g, 1, GPA_MMIO);
	ASSERT_EQ(0, ftruncate(fd, 2 * PAGE_BYTES));
	ASSERT_LOADS(g, 0, GPA_MMIO + PAGE_BYTES);
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       PAGE_BYTES));
	ASSERT_LOADS(g, 0, GPA_MMIO);
	munmap(mem, 2 * PAGE_BYTES);
	close(fd);
}

/* A private mapping: the guest reads the file, and writes to its own copy. */
TEST_F(memory, file_private)
{
	struct guest *g = &self->g;
	int fd = memfd(PAGE_BYTES);
	__u64 value = 1;
	unsigned char *mem;

	ASSERT_LE(0, fd);
	mem = mmap(NULL, PAGE_BYTES, MEMORY_RW, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(8, pwrite(fd, &value, 8, 0));
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, mem, PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	ASSERT_LOADS(g, 1, GPA_MMIO);
	value = 2;
	ASSERT_EQ(8, pwrite(fd, &value, 8, 0));
	ASSERT_LOADS(g, 2, GPA_MMIO);
	ASSERT_STORES(g, 3, GPA_MMIO);
	EXPECT_EQ(3, host_read64(mem));
	ASSERT_EQ(8, pread(fd, &value, 8, 0));
	EXPECT_EQ(2, value);
	munmap(mem, PAGE_BYTES);
	close(fd);
}

/* A file that the caller opened for reading is not the guest's to write. */
TEST_F(memory, file_read_only)
{
	struct guest *g = &self->g;
	int fd = memfd(PAGE_BYTES), read_only;
	__u64 value = 1;
	unsigned char *mem;
	char path[32];

	ASSERT_LE(0, fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, read_only);
	mem = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, read_only, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(8, pwrite(fd, &value, 8, 0));
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, mem, PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	ASSERT_LOADS(g, 1, GPA_MMIO);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_store64(g, GPA_MMIO, 2));
	ASSERT_REFUSED(g, -EFAULT, VEE_WRITE, GPA_MMIO);
	ASSERT_EQ(8, pread(fd, &value, 8, 0));
	EXPECT_EQ(1, value);
	munmap(mem, PAGE_BYTES);
	close(read_only);
	close(fd);
}

/* Private and not writable: that the kernel could force a copy is no licence. */
TEST_F(memory, file_private_read_only)
{
	struct guest *g = &self->g;
	int fd = memfd(PAGE_BYTES);
	unsigned char *mem;

	ASSERT_LE(0, fd);
	mem = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, mem, PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_store64(g, GPA_MMIO, 2));
	ASSERT_REFUSED(g, -EFAULT, VEE_WRITE, GPA_MMIO);
	ASSERT_LOADS(g, 0, GPA_MMIO);
	munmap(mem, PAGE_BYTES);
	close(fd);
}

/* Shared anonymous memory is another process's too. */
TEST_F(memory, shared_with_child)
{
	struct guest *g = &self->g;
	unsigned char *mem;
	pid_t child;
	int status;

	mem = mmap(NULL, PAGE_BYTES, MEMORY_RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, mem, PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 1, GPA_MMIO);
	child = fork();
	if (!child) {
		if (host_read64(mem) != 1)
			_exit(1);
		host_write64(mem, 2);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_LOADS(g, 2, GPA_MMIO);
	munmap(mem, PAGE_BYTES);
}

#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"

static void *huge_memory(struct __test_metadata *_metadata)
{
	void *mem;

	if (write_file(NR_HUGEPAGES, "4"))
		VEE_SKIP("cannot set " NR_HUGEPAGES);
	mem = mmap(NULL, PAGES_2M, MEMORY_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
		   -1, 0);
	if (mem == MAP_FAILED) {
		write_file(NR_HUGEPAGES, "0");
		VEE_SKIP("no huge page to be had: %s", strerror(errno));
	}
	return mem;
}

TEST_F(memory, hugetlb)
{
	unsigned char *mem = huge_memory(_metadata);
	struct guest *g = &self->g;
	unsigned int i;

	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, mem, PAGES_2M, VEE_RWX));
	/* A slot can be any part of it, at any place. */
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO + PAGES_2M + PAGE_BYTES,
			    mem + 7 * PAGE_BYTES, PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	for (i = 0; i < 512; i += 73)
		ASSERT_STORES(g, i + 1, GPA_MMIO + i * PAGE_BYTES);
	for (i = 0; i < 512; i += 73)
		EXPECT_EQ(i + 1, host_read64(mem + i * PAGE_BYTES));
	host_write64(mem + 7 * PAGE_BYTES, 4711);
	ASSERT_LOADS(g, 4711, GPA_MMIO + 7 * PAGE_BYTES);
	ASSERT_LOADS(g, 4711, GPA_MMIO + PAGES_2M + PAGE_BYTES);
	munmap(mem, PAGES_2M);
	EXPECT_EQ(VEE_EXIT_MEMORY, guest_load64(g, GPA_MMIO));
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
	write_file(NR_HUGEPAGES, "0");
}

/* --- memory without a struct page ------------------------------------------ */

#define ROM_HPA		0xf0000		/* the BIOS, on any PC */

/* What a driver maps, page by page as it is touched, until it is unmapped. */
TEST_F(memory, device)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	struct guest *g = &self->g;
	unsigned int i;
	__u64 *rom;

	if (fd < 0)
		VEE_SKIP("/dev/mem: %s", strerror(errno));
	rom = mmap(NULL, 16 * PAGE_BYTES, PROT_READ, MAP_SHARED, fd, ROM_HPA);
	close(fd);
	if (rom == MAP_FAILED)
		VEE_SKIP("the BIOS can't be had: %s", strerror(errno));
	ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, rom, 16 * PAGE_BYTES, VEE_RWX));
	GUEST_LONG(g, accesses);
	for (i = 0; i < 16; i++)
		ASSERT_LOADS(g, host_read64(rom + i * PAGE_BYTES / 8),
			     GPA_MMIO + i * PAGE_BYTES);
	/* The caller could not write it either. */
	EXPECT_EQ(VEE_EXIT_MEMORY, guest_store64(g, GPA_MMIO, 1));
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
	munmap(rom, 16 * PAGE_BYTES);
	EXPECT_EQ(VEE_EXIT_MEMORY, guest_load64(g, GPA_MMIO));
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
}

/* --- userfaultfd ----------------------------------------------------------- */

/* A page that another thread supplies when the guest asks for it. */
TEST_F(memory, userfaultfd)
{
	int fd = watch_missing(_metadata, self->extra, PAGE_BYTES);
	__u64 *source = anon_memory(PAGE_BYTES);
	struct guest *g = &self->g;
	struct uffd_msg msg;
	struct runner r;

	GUEST_LONG(g, accesses);
	g->page->regs.rbx = GPA_EXTRA + 8;
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(wait_missing(fd));
	ASSERT_EQ(sizeof(msg), read(fd, &msg, sizeof(msg)));
	EXPECT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	EXPECT_EQ((unsigned long)self->extra,
		  msg.arg.pagefault.address & ~(PAGE_BYTES - 1));
	source[1] = 1234567;
	ASSERT_EQ(0, supply_missing(fd, self->extra, source));
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	EXPECT_EQ(1234567, g->page->regs.rax);
	close(fd);
}

/**
 * struct mapper - a thread that makes a VM_MAP of which it must first fetch the argument
 * @thread: the thread
 * @vm: whose
 * @map: the argument, in a page that is missing
 * @ret: what it returned
 */
struct mapper {
	pthread_t thread;
	int vm;
	struct vee_map *map;
	int ret;
};

static void *mapper_main(void *arg)
{
	struct mapper *m = arg;

	m->ret = vee_call(m->vm, VEE_VM_MAP, m->map);
	return NULL;
}

/*
 * A process's first slot has the kernel stop at all locks of its memory, and a signal
 * interrupts that. It comes while the argument is being fetched, so none is early. No
 * fixture: that would have mapped a slot.
 */
TEST(map_interrupted)
{
	int dev = vee_open(_metadata), vm = vm_create(dev);
	void *mem = anon_memory(PAGE_BYTES), *where = anon_memory(PAGE_BYTES);
	struct vee_map *map = anon_memory(PAGE_BYTES);
	int fd = watch_missing(_metadata, where, PAGE_BYTES);
	struct mapper m = { .vm = vm, .map = where };

	*map = (struct vee_map) {
		.size = sizeof(*map),
		.hva = (unsigned long)mem,
		.bytes = PAGE_BYTES,
		.access = VEE_READ,
	};
	catch_sigusr1();
	ASSERT_EQ(0, pthread_create(&m.thread, NULL, mapper_main, &m));
	ASSERT_TRUE(wait_missing(fd));
	EXPECT_EQ(0, pthread_kill(m.thread, SIGUSR1));
	ASSERT_EQ(0, supply_missing(fd, where, map));
	pthread_join(m.thread, NULL);
	EXPECT_EQ(-EINTR, m.ret);
	EXPECT_EQ(-ENOENT, vm_unmap(vm, 0, PAGE_BYTES));
	EXPECT_EQ(0, vee_call(vm, VEE_VM_MAP, map));
	close(fd);
	close(vm);
	close(dev);
}

/* --- memory that is broken --------------------------------------------------- */

TEST_F(memory, hardware_poison)
{
	struct sigaction ignored = { .sa_handler = signal_ignored };
	struct guest *g = &self->g;
	int ret;

	if (!getenv("VEE_LAB"))
		VEE_SKIP("it costs the machine a page: for the lab alone");
	/* The kernel may tell whom it takes the page from. */
	sigaction(SIGBUS, &ignored, NULL);
	GUEST_LONG(g, accesses);
	ASSERT_STORES(g, 1, GPA_EXTRA);
	ASSERT_STORES(g, 2, GPA_EXTRA + PAGE_BYTES);
	ret = madvise(self->extra, PAGE_BYTES, MADV_HWPOISON) ? -errno : 0;
	if (ret == -EINVAL)
		VEE_SKIP("a kernel without memory failures");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_load64(g, GPA_EXTRA));
	ASSERT_REFUSED(g, -EHWPOISON, VEE_READ, GPA_EXTRA);
	ASSERT_EQ(VEE_EXIT_MEMORY, guest_store64(g, GPA_EXTRA, 3));
	ASSERT_REFUSED(g, -EHWPOISON, VEE_WRITE, GPA_EXTRA);
	ASSERT_LOADS(g, 2, GPA_EXTRA + PAGE_BYTES);
	/* The caller's to replace. */
	ASSERT_EQ(0, madvise(self->extra, PAGE_BYTES, MADV_DONTNEED));
	ASSERT_LOADS(g, 0, GPA_EXTRA);
}

/* --- races ----------------------------------------------------------------- */

/*
 * Adds one to each page, again and again; RDX counts the rounds. CLI: see the
 * module's parameter slice_us for a CPU that otherwise misses interrupts.
 */
GUEST_CODE(sweep, 64,
	   "mov %rdi, %rbx; mov %rcx, %rsi; cli;"
	   "1: incq (%rbx); add $4096, %rbx; dec %rsi; jnz 1b;"
	   "inc %rdx; cmpl $0, 0x20000; je sweep;"
	   "hlt");

static void sweep_extra(struct guest *g)
{
	g->page->regs.rdi = GPA_EXTRA;
	g->page->regs.rcx = EXTRA_PAGES;
	g->page->deadline_ns = LONG_NS;
}

static void start_sweep(struct __test_metadata *_metadata, struct guest *g,
			struct runner *r)
{
	GUEST_LONG(g, sweep);
	sweep_extra(g);
	ASSERT_EQ(0, runner_insist(r, g));
}

/* Every page has been counted up once a round, or something got lost. */
static void end_sweep(struct __test_metadata *_metadata, struct runner *r,
		      const unsigned char *extra)
{
	struct guest *g = r->g;
	unsigned int i;

	guest_write32(g, STOP, 1);
	ASSERT_EQ(0, runner_join(r));
	ASSERT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	EXPECT_LT(0, g->page->regs.rdx);
	for (i = 0; i < EXTRA_PAGES; i++) {
		EXPECT_EQ(g->page->regs.rdx, host_read64(extra + i * PAGE_BYTES))
			TH_LOG("page %u", i);
	}
}

/* In the order of @seed; not random, so that a failure comes again. */
static unsigned int next_random(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

static bool fork_once(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(0);
	return child > 0 && waitpid(child, &status, 0) == child && !status;
}

/* Away, and back: the guest goes without it for a moment. */
static bool move_page(void *page)
{
	void *away = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	return away != MAP_FAILED &&
	       mremap(page, PAGE_BYTES, PAGE_BYTES, flags, away) == away &&
	       mremap(away, PAGE_BYTES, PAGE_BYTES, flags, page) == page;
}

/* What was changed in part may be several mappings by now: mremap() moves one. */
static bool move_once(unsigned char *mem, __u64 bytes)
{
	__u64 at = 0;

	while (at < bytes && move_page(mem + at))
		at += PAGE_BYTES;
	return at == bytes;
}

static bool disturb(unsigned int what, unsigned char *mem, __u64 bytes)
{
	switch (what % 8) {
	case 0:
		return fork_once();
	case 1:
	case 2:
		return move_once(mem, bytes);
	case 3:
		return !madvise(mem, bytes, MADV_COLD);
	case 4:
		return !mprotect(mem, bytes, PROT_NONE) && !mprotect(mem, bytes, MEMORY_RW);
	default:
		return !mprotect(mem, bytes, PROT_READ) && !mprotect(mem, bytes, MEMORY_RW);
	}
}

TEST_F(memory, no_write_is_lost)
{
	struct guest *g = &self->g;
	unsigned int seed = 1;
	struct runner r;
	int i;

	start_sweep(_metadata, g, &r);
	for (i = 0; i < 150; i++) {
		unsigned int first = next_random(&seed) % EXTRA_PAGES;
		unsigned int pages = 1 + next_random(&seed) % (EXTRA_PAGES - first);

		ASSERT_TRUE(disturb(next_random(&seed), self->extra + first * PAGE_BYTES,
				    pages * PAGE_BYTES))
			TH_LOG("disturbance %d: %s", i, strerror(errno));
	}
	end_sweep(_metadata, &r, self->extra);
}

/* Slots come and go while the guest runs; without one its memory stands still. */
TEST_F(memory, slots_while_running)
{
	struct guest *g = &self->g;
	struct runner r;
	int i;

	start_sweep(_metadata, g, &r);
	for (i = 0; i < 50; i++) {
		unsigned char *page = self->extra + i % EXTRA_PAGES * PAGE_BYTES;
		__u64 count = host_read64(page);

		ASSERT_TRUE(WAIT_FOR(host_read64(page) > count));
		ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, EXTRA_BYTES));
		count = host_read64(page);
		ASSERT_EQ(0, vm_map(g->vm, GPA_MMIO, self->extra, PAGE_BYTES, VEE_RWX));
		ASSERT_EQ(0, vm_unmap(g->vm, GPA_MMIO, PAGE_BYTES));
		ASSERT_EQ(count, host_read64(page));
		ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, self->extra, EXTRA_BYTES, VEE_RWX));
	}
	end_sweep(_metadata, &r, self->extra);
}

/*
 * Each page may hold 0 or its own address, which the guest writes: anything else
 * is another page's, and ends it with a VMCALL.
 */
GUEST_CODE(mark, 64,
	   "mov %rdi, %rbx; mov %rcx, %rsi; cli;"
	   "1: mov (%rbx), %rax; test %rax, %rax; jz 2f;"
	   "cmp %rax, %rbx; je 2f; vmcall;"
	   "2: mov %rbx, (%rbx); mov %rbx, 4088(%rbx); add $4096, %rbx;"
	   "dec %rsi; jnz 1b;"
	   "cmpl $0, 0x20000; je mark;"
	   "hlt");

#define CANARIES	64
#define CANARY		0x5ca1ab1e0ddba11ULL

/* Memory just freed is likely what comes back here: nobody else may write it. */
static bool canary_sings(unsigned char *page)
{
	__u64 *words = (__u64 *)page;

	if (words[0] && (words[0] != CANARY || words[511] != CANARY))
		return false;
	if (madvise(page, PAGE_BYTES, MADV_DONTNEED))
		return false;
	words[0] = CANARY;
	words[511] = CANARY;
	return true;
}

static bool take_away(unsigned int what, unsigned char *mem, __u64 bytes)
{
	switch (what % 4) {
	case 0:
		return !munmap(mem, bytes) &&
		       mmap(mem, bytes, MEMORY_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			    -1, 0) == mem;
	case 1:
		return mmap(mem, bytes, MEMORY_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			    -1, 0) == mem;
	case 2:
		return !mprotect(mem, bytes, PROT_READ) && !mprotect(mem, bytes, MEMORY_RW);
	default:
		return !madvise(mem, bytes, MADV_DONTNEED);
	}
}

TEST_F(memory, no_page_is_kept)
{
	unsigned char *canaries = anon_memory(CANARIES * PAGE_BYTES);
	struct guest *g = &self->g;
	unsigned int seed = 2;
	struct runner r;
	int i;

	ASSERT_NE(MAP_FAILED, canaries);
	madvise(canaries, CANARIES * PAGE_BYTES, MADV_NOHUGEPAGE);
	GUEST_LONG(g, mark);
	sweep_extra(g);
	ASSERT_EQ(0, runner_insist(&r, g));
	for (i = 0; i < 600; i++) {
		unsigned int first = next_random(&seed) % EXTRA_PAGES;
		unsigned int pages = 1 + next_random(&seed) % (EXTRA_PAGES - first);

		ASSERT_TRUE(take_away(next_random(&seed), self->extra + first * PAGE_BYTES,
				      pages * PAGE_BYTES));
		ASSERT_TRUE(canary_sings(canaries + i % CANARIES * PAGE_BYTES));
	}
	guest_write32(g, STOP, 1);
	ASSERT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason)
		TH_LOG("%#llx at %#llx", (unsigned long long)g->page->regs.rax,
		       (unsigned long long)g->page->regs.rbx);
	munmap(canaries, CANARIES * PAGE_BYTES);
}

TEST_HARNESS_MAIN
