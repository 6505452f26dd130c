// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host's memory management does of its own accord to the memory behind
 * a guest: swap it out, split and collapse huge pages, move pages, merge them,
 * write them back. Each test makes sure that it really happened; the guest must
 * see the same as before, and no write of its may be lost.
 */
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "vee_util.h"

#define GPA_EXTRA	0x400000ULL
#define PAGES		64
#define BYTES		(PAGES * PAGE_BYTES)
#define HUGE_PAGES	512
#define STOP		GPA_DATA	/* not 0: the sweeping guest is to halt */
#define LONG_NS		(30 * DEADLINE_NS)

#define MEMORY_RW	(PROT_READ | PROT_WRITE)

#define THP_ENABLED	"/sys/kernel/mm/transparent_hugepage/enabled"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* On a small machine the kernel begins with huge pages off altogether. */
static void allow_huge_pages(bool allow)
{
	static bool changed;
	char text[64] = "";
	int fd = open(THP_ENABLED, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (allow && read(fd, text, sizeof(text) - 1) > 0 && strstr(text, "[never]"))
		changed = !write_file(THP_ENABLED, "madvise");
	else if (!allow && changed)
		write_file(THP_ENABLED, "never");
	close(fd);
}

FIXTURE(reclaim) {
	struct guest g;
	unsigned char *extra;
};

FIXTURE_SETUP(reclaim)
{
	/* New pages wait in a list of their CPU: reclaim looks in its own alone. */
	pin_to_cpu(0);
	guest_open(_metadata, &self->g);
	self->g.page->deadline_ns = LONG_NS;
	self->extra = anon_memory(BYTES);
	ASSERT_NE(MAP_FAILED, self->extra);
	madvise(self->extra, BYTES, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_map(self->g.vm, GPA_EXTRA, self->extra, BYTES, VEE_RWX));
}

FIXTURE_TEARDOWN(reclaim)
{
	guest_close(&self->g);
	munmap(self->extra, BYTES);
	allow_huge_pages(false);
}

/* --- what the guest does --------------------------------------------------- */

/* To and from both ends of each page: RAX, then RAX + 1, and so on. */
GUEST_LABEL(pages_check);
GUEST_CODE(pages, 64,
	   "1: mov %rax, (%rbx); mov %rax, 4088(%rbx);"
	   "inc %rax; add $4096, %rbx; dec %rcx; jnz 1b; hlt;"
	   "pages_check: cmp %rax, (%rbx); jne 2f; cmp %rax, 4088(%rbx); jne 2f;"
	   "inc %rax; add $4096, %rbx; dec %rcx; jnz pages_check; hlt;"
	   "2: vmcall");

static void set_pages(struct guest *g, const unsigned char *how, unsigned int count,
		      __u64 value)
{
	GUEST_LONG(g, pages);
	guest_set_rip(g, AT(pages, how));
	g->page->regs.rax = value;
	g->page->regs.rbx = GPA_EXTRA;
	g->page->regs.rcx = count;
}

/* The guest writes its pages. */
#define ASSERT_FILL(g, count, value)					\
	do {								\
		struct guest *fill_g = (g);				\
									\
		set_pages(fill_g, pages, count, value);			\
		ASSERT_RUN(fill_g, VEE_EXIT_HLT);			\
	} while (0)

/* The guest finds in its pages what it wrote. */
#define ASSERT_CHECK(g, count, value)					\
	do {								\
		struct guest *check_g = (g);				\
									\
		set_pages(check_g, pages_check, count, value);		\
		ASSERT_RUN(check_g, VEE_EXIT_HLT);			\
	} while (0)

/* Adds one to each page, again and again; RDX counts the rounds. */
GUEST_CODE(sweep, 64,
	   "mov %rdi, %rbx; mov %rcx, %rsi; cli;"
	   "1: incq (%rbx); add $4096, %rbx; dec %rsi; jnz 1b;"
	   "inc %rdx; cmpl $0, 0x20000; je sweep; hlt");

static void start_sweep(struct __test_metadata *_metadata, struct guest *g,
			struct runner *r, unsigned int count)
{
	GUEST_LONG(g, sweep);
	g->page->regs.rdi = GPA_EXTRA;
	g->page->regs.rcx = count;
	ASSERT_EQ(0, runner_insist(r, g));
}

static __u64 host_read64(const void *hva)
{
	return __atomic_load_n((const __u64 *)hva, __ATOMIC_ACQUIRE);
}

/* Every page has been counted up once a round, or something got lost. */
static void end_sweep(struct __test_metadata *_metadata, struct runner *r,
		      const unsigned char *mem)
{
	struct vee_regs *regs = &r->g->page->regs;
	unsigned int i;

	guest_write32(r->g, STOP, 1);
	ASSERT_EQ(0, runner_join(r));
	ASSERT_EQ(VEE_EXIT_HLT, r->g->page->exit.reason);
	EXPECT_LT(0, regs->rdx);
	for (i = 0; i < regs->rcx; i++) {
		EXPECT_EQ(regs->rdx, host_read64(mem + i * PAGE_BYTES))
			TH_LOG("page %u", i);
	}
}

/* Until the guest has been over all of its memory again. */
static bool swept_on(const unsigned char *mem)
{
	__u64 count = host_read64(mem);

	return WAIT_FOR(host_read64(mem) > count + 1);
}

/* --- what the host does ---------------------------------------------------- */

#define PAGEMAP_PFN	(BIT_ULL(55) - 1)
#define PAGEMAP_SWAPPED	BIT_ULL(62)
#define PAGEMAP_PRESENT	BIT_ULL(63)

/* An entry for each page; Documentation/admin-guide/mm/pagemap.rst. */
static bool read_pagemap(const unsigned char *mem, unsigned int count, __u64 *entries)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t bytes = count * sizeof(*entries), got = -1;

	if (fd >= 0) {
		got = pread(fd, entries, bytes,
			    (unsigned long)mem / PAGE_BYTES * sizeof(*entries));
		close(fd);
	}
	return got == bytes;
}

static unsigned int count_swapped(const unsigned char *mem, unsigned int count)
{
	__u64 entries[HUGE_PAGES];
	unsigned int i, swapped = 0;

	if (!read_pagemap(mem, count, entries))
		return 0;
	for (i = 0; i < count; i++)
		swapped += !!(entries[i] & PAGEMAP_SWAPPED);
	return swapped;
}

/* Returns how many of the pages are swapped out then. */
static unsigned int page_out(unsigned char *mem, unsigned int count)
{
	unsigned int swapped = 0;
	int tries;

	for (tries = 0; tries < 20 && swapped < count; tries++) {
		if (madvise(mem, count * PAGE_BYTES, MADV_PAGEOUT))
			break;
		swapped = count_swapped(mem, count);
	}
	return swapped;
}

static bool have_swap(void)
{
	char line[256];
	int lines = 0;
	FILE *f = fopen("/proc/swaps", "r");

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		lines++;
	fclose(f);
	return lines > 1;
}

static void need_swap(struct __test_metadata *_metadata)
{
	/* In the lab, run alone: the suite comes with swap space. */
	if (!have_swap() && getenv("VEE_LAB"))
		system("lab-swap 64");
	if (!have_swap())
		VEE_SKIP("no swap space is on");
}

/* --- swap ------------------------------------------------------------------ */

TEST_F(reclaim, swapped_out)
{
	struct guest *g = &self->g;
	unsigned int i;

	need_swap(_metadata);
	ASSERT_FILL(g, PAGES, 1000);
	ASSERT_EQ(PAGES, page_out(self->extra, PAGES));
	ASSERT_CHECK(g, PAGES, 1000);
	EXPECT_EQ(0, count_swapped(self->extra, PAGES));
	ASSERT_EQ(PAGES, page_out(self->extra, PAGES));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(1000 + i, host_read64(self->extra + i * PAGE_BYTES));
	ASSERT_CHECK(g, PAGES, 1000);
}

/*
 * A page that came in from swap and was not written since is dropped, when
 * memory is wanted, in favour of its copy there. That the guest wrote it is in
 * no page table of the host's: if it were forgotten, the old copy would be back.
 */
TEST_F(reclaim, swapped_in_and_written)
{
	struct guest *g = &self->g;
	__u64 value = 1000;
	int i;

	need_swap(_metadata);
	ASSERT_FILL(g, PAGES, value);
	for (i = 0; i < 3; i++) {
		/* In by a read of the guest's, then written. */
		ASSERT_EQ(PAGES, page_out(self->extra, PAGES));
		ASSERT_CHECK(g, PAGES, value);
		value += 1000;
		ASSERT_FILL(g, PAGES, value);
		/* In by a write of the guest's. */
		ASSERT_EQ(PAGES, page_out(self->extra, PAGES));
		value += 1000;
		ASSERT_FILL(g, PAGES, value);
		ASSERT_EQ(PAGES, page_out(self->extra, PAGES));
		/* In by a read of the host's, then written. */
		EXPECT_EQ(value, host_read64(self->extra));
		ASSERT_CHECK(g, PAGES, value);
		value += 1000;
		ASSERT_FILL(g, PAGES, value);
	}
	ASSERT_EQ(PAGES, page_out(self->extra, PAGES));
	ASSERT_CHECK(g, PAGES, value);
}

TEST_F(reclaim, swapped_out_running)
{
	struct guest *g = &self->g;
	unsigned int swapped = 0;
	struct runner r;
	int i;

	need_swap(_metadata);
	start_sweep(_metadata, g, &r, PAGES);
	for (i = 0; i < 20; i++) {
		ASSERT_TRUE(swept_on(self->extra));
		ASSERT_EQ(0, madvise(self->extra, BYTES, MADV_PAGEOUT));
		swapped += count_swapped(self->extra, PAGES);
	}
	EXPECT_LT(0, swapped);
	end_sweep(_metadata, &r, self->extra);
}

/* The caller may give pages up, and the guest may want them after all. */
TEST_F(reclaim, freed_and_written)
{
	struct guest *g = &self->g;
	unsigned int i, gone = 0;

	need_swap(_metadata);
	ASSERT_FILL(g, PAGES, 1000);
	ASSERT_EQ(0, madvise(self->extra, BYTES, MADV_FREE));
	ASSERT_FILL(g, PAGES / 2, 2000);
	ASSERT_EQ(0, madvise(self->extra, BYTES, MADV_PAGEOUT));
	ASSERT_CHECK(g, PAGES / 2, 2000);
	for (i = PAGES / 2; i < PAGES; i++)
		gone += !host_read64(self->extra + i * PAGE_BYTES);
	/* Those that it did not want: proof that the others could have gone. */
	EXPECT_LT(0, gone);
}

/* --- huge pages ------------------------------------------------------------ */

/* Bytes of huge pages in the mapping that begins at @mem. */
static unsigned long huge_bytes(const unsigned char *mem)
{
	unsigned long start, end, kib = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	bool inside = false;
	char line[512];

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (unsigned long)mem && (unsigned long)mem < end;
		else if (inside && sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			break;
	}
	fclose(f);
	return kib * 1024;
}

/* 2 MiB, aligned to as much, in the place of the fixture's memory. */
static unsigned char *map_large(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned char *mem = anon_memory(2 * PAGES_2M);

	ASSERT_NE(MAP_FAILED, mem);
	mem = (unsigned char *)(((unsigned long)mem + PAGES_2M - 1) & -PAGES_2M);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, mem, PAGES_2M, VEE_RWX));
	return mem;
}

static unsigned char *map_huge(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned char *mem = map_large(_metadata, g);

	allow_huge_pages(true);
	if (madvise(mem, PAGES_2M, MADV_HUGEPAGE))
		VEE_SKIP("no transparent huge pages: %s", strerror(errno));
	ASSERT_FILL(g, HUGE_PAGES, 1000);
	if (huge_bytes(mem) != PAGES_2M) {
		allow_huge_pages(false);
		VEE_SKIP("the memory is not a huge page");
	}
	return mem;
}

static void expect_split(struct __test_metadata *_metadata, struct guest *g,
			 const unsigned char *mem, unsigned int changed)
{
	unsigned int i;

	for (i = 0; i < HUGE_PAGES; i++) {
		if (i == changed)
			continue;
		EXPECT_EQ(1000 + i, host_read64(mem + i * PAGE_BYTES));
	}
	ASSERT_CHECK(g, changed, 1000);
	EXPECT_EQ(0, huge_bytes(mem));
}

#define ODD_PAGE	100

/* A huge page of the caller's is one of the guest's, as long as it is one. */
TEST_F(reclaim, huge_page_is_one_fault)
{
	struct guest *g = &self->g;
	__u64 before, spent;
	unsigned char *mem;

	if (!(vee_info(g->dev).features & VEE_FEATURE_EPT_2M))
		VEE_SKIP("this CPU has no EPT entries for 2 MiB");
	before = guest_faults(g);
	mem = map_huge(_metadata, g);
	spent = guest_faults(g) - before;
	/* And a few for code, stack and tables. */
	EXPECT_GE(16, spent) TH_LOG("%llu faults", spent);
	ASSERT_EQ(0, mprotect(mem + ODD_PAGE * PAGE_BYTES, PAGE_BYTES, PROT_READ));
	ASSERT_EQ(0, mprotect(mem + ODD_PAGE * PAGE_BYTES, PAGE_BYTES, MEMORY_RW));
	before = guest_faults(g);
	ASSERT_FILL(g, HUGE_PAGES, 2000);
	spent = guest_faults(g) - before;
	EXPECT_LE(HUGE_PAGES / PIECE_PAGES, spent) TH_LOG("%llu faults", spent);
}

/* Code may have to be in small pages; then the rest of the page is as before. */
TEST_F(reclaim, huge_page_of_code)
{
	struct guest *g = &self->g;
	unsigned char *mem = map_huge(_metadata, g);
	unsigned char *code = mem + ODD_PAGE * PAGE_BYTES;

	memcpy(code, pages, pages_end - pages);
	set_pages(g, pages, ODD_PAGE, 3000);
	guest_set_rip(g, GPA_EXTRA + ODD_PAGE * PAGE_BYTES);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(3000, host_read64(mem));
	ASSERT_CHECK(g, ODD_PAGE, 3000);
	/* The guest writes its own code, and the host does. */
	ASSERT_FILL(g, HUGE_PAGES, 4000);
	memcpy(code, pages, pages_end - pages);
	set_pages(g, pages, ODD_PAGE, 5000);
	guest_set_rip(g, GPA_EXTRA + ODD_PAGE * PAGE_BYTES);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ASSERT_CHECK(g, ODD_PAGE, 5000);
}

TEST_F(reclaim, huge_page_dontneed)
{
	struct guest *g = &self->g;
	unsigned char *mem = map_huge(_metadata, g);

	ASSERT_EQ(0, madvise(mem + ODD_PAGE * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED));
	expect_split(_metadata, g, mem, ODD_PAGE);
	set_pages(g, pages_check, HUGE_PAGES, 1000);
	ASSERT_RUN(g, VEE_EXIT_HYPERCALL);
	EXPECT_EQ(GPA_EXTRA + ODD_PAGE * PAGE_BYTES, g->page->regs.rbx);
	EXPECT_EQ(0, host_read64(mem + ODD_PAGE * PAGE_BYTES));
	ASSERT_FILL(g, HUGE_PAGES, 2000);
	ASSERT_CHECK(g, HUGE_PAGES, 2000);
}

TEST_F(reclaim, huge_page_munmap)
{
	struct guest *g = &self->g;
	unsigned char *mem = map_huge(_metadata, g);

	ASSERT_EQ(0, munmap(mem + ODD_PAGE * PAGE_BYTES, PAGE_BYTES));
	set_pages(g, pages_check, HUGE_PAGES, 1000);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
	EXPECT_EQ(GPA_EXTRA + ODD_PAGE * PAGE_BYTES, g->page->exit.memory.gpa);
	ASSERT_NE(MAP_FAILED, mmap(mem + ODD_PAGE * PAGE_BYTES, PAGE_BYTES, MEMORY_RW,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	expect_split(_metadata, g, mem, ODD_PAGE);
}

TEST_F(reclaim, huge_page_mprotect)
{
	struct guest *g = &self->g;
	unsigned char *mem = map_huge(_metadata, g);

	ASSERT_EQ(0, mprotect(mem + ODD_PAGE * PAGE_BYTES, PAGE_BYTES, PROT_READ));
	ASSERT_CHECK(g, HUGE_PAGES, 1000);
	set_pages(g, pages, HUGE_PAGES, 1000);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
	EXPECT_EQ(GPA_EXTRA + ODD_PAGE * PAGE_BYTES, g->page->exit.memory.gpa);
	expect_split(_metadata, g, mem, HUGE_PAGES);
}

TEST_F(reclaim, huge_page_swapped_out)
{
	struct guest *g = &self->g;
	unsigned char *mem = map_huge(_metadata, g);

	need_swap(_metadata);
	ASSERT_EQ(1, page_out(mem + ODD_PAGE * PAGE_BYTES, 1));
	ASSERT_CHECK(g, HUGE_PAGES, 1000);
	EXPECT_EQ(0, huge_bytes(mem));
	ASSERT_EQ(HUGE_PAGES, page_out(mem, HUGE_PAGES));
	ASSERT_CHECK(g, HUGE_PAGES, 1000);
}

TEST_F(reclaim, collapsed)
{
	struct guest *g = &self->g;
	unsigned char *mem = map_large(_metadata, g);

	madvise(mem, PAGES_2M, MADV_NOHUGEPAGE);
	ASSERT_FILL(g, HUGE_PAGES, 1000);
	ASSERT_EQ(0, huge_bytes(mem));
	madvise(mem, PAGES_2M, MADV_HUGEPAGE);
	if (madvise(mem, PAGES_2M, MADV_COLLAPSE))
		VEE_SKIP("MADV_COLLAPSE: %s", strerror(errno));
	ASSERT_EQ(PAGES_2M, huge_bytes(mem));
	ASSERT_CHECK(g, HUGE_PAGES, 1000);
	ASSERT_FILL(g, HUGE_PAGES, 2000);
	EXPECT_EQ(2000, host_read64(mem));
	ASSERT_CHECK(g, HUGE_PAGES, 2000);
}

/* Back and forth, while the guest counts. */
TEST_F_TIMEOUT(reclaim, split_and_collapsed_running, 90)
{
	struct guest *g = &self->g;
	unsigned char *mem = map_large(_metadata, g);
	unsigned int collapsed = 0;
	struct runner r;
	int i;

	if (madvise(mem, PAGES_2M, MADV_HUGEPAGE))
		VEE_SKIP("no transparent huge pages: %s", strerror(errno));
	start_sweep(_metadata, g, &r, HUGE_PAGES);
	for (i = 0; i < 8; i++) {
		unsigned char *page = mem + (i * 37 % HUGE_PAGES) * PAGE_BYTES;

		ASSERT_TRUE(swept_on(mem));
		ASSERT_EQ(0, mprotect(page, PAGE_BYTES, PROT_READ));
		ASSERT_EQ(0, mprotect(page, PAGE_BYTES, MEMORY_RW | PROT_EXEC));
		madvise(mem, PAGES_2M, MADV_COLLAPSE);
		collapsed += huge_bytes(mem) == PAGES_2M;
	}
	end_sweep(_metadata, &r, mem);
	if (!collapsed)
		VEE_SKIP("nothing was ever collapsed");
}

/* --- pages that move ------------------------------------------------------- */

#define COMPACT		"/proc/sys/vm/compact_memory"
#define HOLEY_BYTES	(16 * PAGES_2M)
#define HOLEY_PAGES	(HOLEY_BYTES / PAGE_BYTES)

/* Which of its pages are the guest's. */
static unsigned int scattered[PAGES];

/*
 * Memory in which every second page is free, so that compaction has something
 * to do, and the guest's in the midst of it.
 */
static void make_holes(unsigned char *mem)
{
	unsigned int i;

	for (i = 0; i < HOLEY_PAGES; i += 2)
		mem[i * PAGE_BYTES] = 1;
	for (i = 0; i < HOLEY_PAGES; i += 2)
		madvise(mem + i * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED);
}

/*
 * Compaction moves pages up from the low end of memory: those that are lowest
 * down, but for the holes.
 */
static void choose_scattered(const unsigned char *mem)
{
	static __u64 entries[HOLEY_PAGES];
	unsigned int i, j;

	read_pagemap(mem, HOLEY_PAGES, entries);
	for (i = 0; i < PAGES; i++) {
		unsigned int lowest = 1;

		for (j = 1; j < HOLEY_PAGES; j += 2)
			if ((entries[j] & PAGEMAP_PFN) < (entries[lowest] & PAGEMAP_PFN))
				lowest = j;
		scattered[i] = lowest;
		entries[lowest] = PAGEMAP_PFN;
	}
}

static unsigned char *scattered_memory(struct __test_metadata *_metadata,
				       struct guest *g)
{
	unsigned char *mem = anon_memory(HOLEY_BYTES);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, mem);
	madvise(mem, HOLEY_BYTES, MADV_NOHUGEPAGE);
	memset(mem, 0, HOLEY_BYTES);
	make_holes(mem);
	choose_scattered(mem);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA + i * PAGE_BYTES,
				    mem + scattered[i] * PAGE_BYTES, PAGE_BYTES,
				    VEE_RWX));
	return mem;
}

static bool read_scattered(const unsigned char *mem, __u64 *entries)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (!read_pagemap(mem + scattered[i] * PAGE_BYTES, 1, &entries[i]))
			return false;
	return true;
}

static unsigned int compact_once(const unsigned char *mem)
{
	__u64 before[PAGES], after[PAGES];
	unsigned int i, moved = 0;

	if (!read_scattered(mem, before) || write_file(COMPACT, "1") ||
	    !read_scattered(mem, after))
		return 0;
	for (i = 0; i < PAGES; i++)
		moved += before[i] & PAGEMAP_PRESENT && after[i] & PAGEMAP_PRESENT &&
			 (before[i] ^ after[i]) & PAGEMAP_PFN;
	return moved;
}

/* Returns how many of the guest's pages are elsewhere then. */
static unsigned int compact(unsigned char *mem)
{
	unsigned int moved = compact_once(mem);
	int tries;

	for (tries = 0; tries < 3 && !moved; tries++) {
		make_holes(mem);
		moved = compact_once(mem);
	}
	return moved;
}

TEST_F(reclaim, moved)
{
	struct guest *g = &self->g;
	unsigned char *mem = scattered_memory(_metadata, g);

	ASSERT_FILL(g, PAGES, 1000);
	if (!compact(mem))
		VEE_SKIP("compaction moved none of the pages");
	ASSERT_CHECK(g, PAGES, 1000);
	ASSERT_FILL(g, PAGES, 2000);
	EXPECT_EQ(2001, host_read64(mem + scattered[1] * PAGE_BYTES));
	ASSERT_CHECK(g, PAGES, 2000);
}

TEST_F_TIMEOUT(reclaim, moved_running, 90)
{
	struct guest *g = &self->g;
	unsigned char *mem = scattered_memory(_metadata, g);
	unsigned int i, moved = 0;
	struct runner r;

	start_sweep(_metadata, g, &r, PAGES);
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(swept_on(mem + scattered[0] * PAGE_BYTES));
		moved += compact(mem);
	}
	guest_write32(g, STOP, 1);
	ASSERT_EQ(0, runner_join(&r));
	ASSERT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
	for (i = 0; i < PAGES; i++) {
		EXPECT_EQ(g->page->regs.rdx, host_read64(mem + scattered[i] * PAGE_BYTES))
			TH_LOG("page %u", i);
	}
	if (!moved)
		VEE_SKIP("compaction moved none of the pages");
}

/* --- pages that are merged ------------------------------------------------- */

#define KSM	"/sys/kernel/mm/ksm/"

static bool all_one_page(const unsigned char *mem)
{
	__u64 entries[PAGES];
	unsigned int i;

	if (!read_pagemap(mem, PAGES, entries) || !(entries[0] & PAGEMAP_PFN))
		return false;
	for (i = 1; i < PAGES; i++)
		if ((entries[i] ^ entries[0]) & PAGEMAP_PFN)
			return false;
	return true;
}

static void merge_all(struct __test_metadata *_metadata, unsigned char *mem)
{
	bool merged;

	if (madvise(mem, BYTES, MADV_MERGEABLE))
		VEE_SKIP("no page merging: %s", strerror(errno));
	write_file(KSM "pages_to_scan", "1000");
	write_file(KSM "sleep_millisecs", "5");
	ASSERT_EQ(0, write_file(KSM "run", "1"));
	merged = WAIT_FOR(all_one_page(mem));
	write_file(KSM "run", "0");
	if (!merged)
		VEE_SKIP("the pages were not merged");
}

TEST_F(reclaim, merged)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		memset(self->extra + i * PAGE_BYTES, 0x42, PAGE_BYTES);
	merge_all(_metadata, self->extra);
	set_pages(g, pages_check, PAGES, 0x4242424242424242);
	/* The second page isn't one more, but the same. */
	ASSERT_RUN(g, VEE_EXIT_HYPERCALL);
	EXPECT_EQ(GPA_EXTRA + PAGE_BYTES, g->page->regs.rbx);
	ASSERT_FILL(g, 1, 1000);
	EXPECT_EQ(1000, host_read64(self->extra));
	for (i = 1; i < PAGES; i++)
		EXPECT_EQ(0x4242424242424242, host_read64(self->extra + i * PAGE_BYTES));
	ASSERT_FILL(g, PAGES, 1000);
	ASSERT_CHECK(g, PAGES, 1000);
}

/* The guest writes while its pages are being merged. */
TEST_F(reclaim, merged_running)
{
	struct guest *g = &self->g;
	struct runner r;
	int i;

	if (madvise(self->extra, BYTES, MADV_MERGEABLE))
		VEE_SKIP("no page merging: %s", strerror(errno));
	write_file(KSM "pages_to_scan", "1000");
	write_file(KSM "sleep_millisecs", "2");
	start_sweep(_metadata, g, &r, PAGES);
	ASSERT_EQ(0, write_file(KSM "run", "1"));
	for (i = 0; i < 20; i++) {
		usleep(5000);
		EXPECT_TRUE(swept_on(self->extra));
	}
	write_file(KSM "run", "0");
	end_sweep(_metadata, &r, self->extra);
}

/* --- files ----------------------------------------------------------------- */

#define ZRAM_ADD	"/sys/class/zram-control/hot_add"
#define MOUNT_POINT	"/tmp/vee-reclaim"

/* A file system on compressed memory, for machines that have no disk. */
static bool make_file_system(void)
{
	char command[256], device[32];
	long n = read_number(ZRAM_ADD);

	if (n < 0)
		return false;
	snprintf(device, sizeof(device), "/dev/zram%ld", n);
	snprintf(command, sizeof(command),
		 "echo 16M >/sys/block/zram%ld/disksize && mke2fs -b 4096 %s >/dev/null", n,
		 device);
	mkdir(MOUNT_POINT, 0700);
	return !system(command) && (!mount(device, MOUNT_POINT, "ext4", 0, NULL) ||
				    !mount(device, MOUNT_POINT, "ext2", 0, NULL));
}

static int open_direct(const char *path)
{
	struct statfs fs;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);

	if (fd < 0)
		return -1;
	/* Memory file systems have nothing to write back to. */
	if (!fstatfs(fd, &fs) && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
		return fd;
	close(fd);
	unlink(path);
	return -1;
}

/* A file whose O_DIRECT reads see what is on the disk, not in memory. */
static int direct_file(struct __test_metadata *_metadata, char *path, size_t bytes)
{
	int fd;

	snprintf(path, bytes, "vee-reclaim.tmp");
	fd = open_direct(path);
	if (fd < 0 && getenv("VEE_LAB")) {
		system("modprobe zram 2>/dev/null");
		snprintf(path, bytes, MOUNT_POINT "/file");
		if (make_file_system())
			fd = open_direct(path);
	}
	if (fd < 0)
		VEE_SKIP("no file system on a disk here");
	return fd;
}

static void drop_file(int fd, const char *path)
{
	close(fd);
	unlink(path);
	umount(MOUNT_POINT);
	rmdir(MOUNT_POINT);
}

/* Do the file's pages begin, on the disk, with @value, @value + @step and so on? */
static bool disk_has(int fd, __u64 value, unsigned int step)
{
	unsigned char *buffer = anon_memory(BYTES);
	bool has = pread(fd, buffer, BYTES, 0) == BYTES;
	unsigned int i;

	for (i = 0; i < PAGES && has; i++)
		has = host_read64(buffer + i * PAGE_BYTES) == value + i * step;
	munmap(buffer, BYTES);
	return has;
}

/*
 * After a page was written back it counts as clean, until the file system is
 * told otherwise: what the guest writes then must reach the disk as well.
 */
TEST_F(reclaim, written_back)
{
	struct guest *g = &self->g;
	unsigned char *mem;
	char path[64];
	int fd = direct_file(_metadata, path, sizeof(path));
	int i;

	ASSERT_EQ(0, ftruncate(fd, BYTES));
	mem = mmap(NULL, BYTES, MEMORY_RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, mem, BYTES, VEE_RWX));
	for (i = 1; i <= 3; i++) {
		ASSERT_FILL(g, PAGES, 1000 * i);
		ASSERT_EQ(0, msync(mem, BYTES, MS_SYNC));
		EXPECT_TRUE(disk_has(fd, 1000 * i, 1));
		/* A read maps the clean page again; the write comes after. */
		ASSERT_CHECK(g, PAGES, 1000 * i);
	}
	ASSERT_FILL(g, PAGES, 9000);
	ASSERT_EQ(0, sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE |
				     SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	ASSERT_CHECK(g, PAGES, 9000);
	munmap(mem, BYTES);
	EXPECT_TRUE(disk_has(fd, 9000, 1));
	drop_file(fd, path);
}

/* Written back again and again while the guest writes: the last word counts. */
TEST_F(reclaim, written_back_running)
{
	struct guest *g = &self->g;
	unsigned char *mem;
	struct runner r;
	char path[64];
	int fd = direct_file(_metadata, path, sizeof(path));
	int i;

	ASSERT_EQ(0, ftruncate(fd, BYTES));
	mem = mmap(NULL, BYTES, MEMORY_RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, mem, BYTES, VEE_RWX));
	start_sweep(_metadata, g, &r, PAGES);
	for (i = 0; i < 10; i++) {
		ASSERT_TRUE(swept_on(mem));
		ASSERT_EQ(0, msync(mem, BYTES, MS_SYNC));
	}
	end_sweep(_metadata, &r, mem);
	ASSERT_EQ(0, msync(mem, BYTES, MS_SYNC));
	EXPECT_TRUE(disk_has(fd, g->page->regs.rdx, 0));
	munmap(mem, BYTES);
	drop_file(fd, path);
}

TEST_HARNESS_MAIN
