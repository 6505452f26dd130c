// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages of guest memory were written: each told once, none forgotten, none made up,
 * whatever the host does to the memory meanwhile, and by each way to find out.
 *
 * The model is a copy of the memory to which only pages that were told are copied: it is to
 * be the same in the end, to the byte.
 */
#include "module_util.h"
#include "script_util.h"

#define PAGES		1024
#define BYTES		(PAGES * PAGE_BYTES)

/* The basic exit reason of a log that is full. */
#define EXIT_LOG_FULL	62

#define SCRIPT_MAX	4096

FIXTURE(dirty) {
	struct guest g;
	unsigned char *extra;
	unsigned char *model;
	bool exits;	/* at the first write to a page */
};

FIXTURE_VARIANT(dirty) {
	const char *parameters;
	__u64 needs;
};

FIXTURE_VARIANT_ADD(dirty, log) {
	.parameters = "pml=Y ept_ad=Y",
	.needs = VEE_FEATURE_PML,
};

FIXTURE_VARIANT_ADD(dirty, flags) {
	.parameters = "pml=N ept_ad=Y",
	.needs = VEE_FEATURE_EPT_AD,
};

FIXTURE_VARIANT_ADD(dirty, protection) {
	.parameters = "pml=Y ept_ad=N",
};

FIXTURE_SETUP(dirty)
{
	module_want(_metadata, variant->parameters);
	pin_to_cpu(0);
	guest_open(_metadata, &self->g);
	if (variant->needs & ~vee_info(self->g.dev).features)
		VEE_SKIP("this CPU can't");
	self->exits = !variant->needs;
	self->g.page->deadline_ns = LONG_NS;
	self->extra = anon_memory(BYTES);
	self->model = anon_memory(BYTES);
	ASSERT_NE(MAP_FAILED, self->extra);
	ASSERT_NE(MAP_FAILED, self->model);
	madvise(self->extra, BYTES, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_map(self->g.vm, GPA_EXTRA, self->extra, BYTES, VEE_RWX));
}

FIXTURE_TEARDOWN(dirty)
{
	guest_close(&self->g);
	munmap(self->extra, BYTES);
	munmap(self->model, BYTES);
}

/* --- requests ------------------------------------------------------------------ */

static int dirty_call(int vm, __u32 operation, __u64 gpa, __u64 bytes)
{
	struct vee_dirty dirty = {
		.size = sizeof(dirty),
		.operation = operation,
		.gpa = gpa,
		.bytes = bytes,
	};

	return vee_call(vm, VEE_VM_DIRTY, &dirty);
}

static int dirty_start(int vm, __u64 gpa, __u64 bytes)
{
	return dirty_call(vm, VEE_DIRTY_START, gpa, bytes);
}

static int dirty_stop(int vm, __u64 gpa, __u64 bytes)
{
	return dirty_call(vm, VEE_DIRTY_STOP, gpa, bytes);
}

static int dirty_mark(int vm, __u64 gpa, __u64 bytes)
{
	return dirty_call(vm, VEE_DIRTY_MARK, gpa, bytes);
}

static int fetch(int vm, __u32 flags, __u64 gpa, __u64 bytes, void *pages, __u64 room)
{
	struct vee_dirty dirty = {
		.size = sizeof(dirty),
		.flags = flags,
		.operation = VEE_DIRTY_FETCH,
		.gpa = gpa,
		.bytes = bytes,
		.pages = (unsigned long)pages,
		.room = room,
	};

	return vee_call(vm, VEE_VM_DIRTY, &dirty);
}

/* All of the extra memory; as a list. */
static int fetch_all(struct guest *g, __u64 *pages)
{
	return fetch(g->vm, 0, GPA_EXTRA, BYTES, pages, PAGES);
}

/* --- what the guest does ------------------------------------------------------- */

/* A script of @count writes to pages of the extra memory; which they are is in @written. */
static void random_script(struct guest *g, unsigned int count, bool *written)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		__u64 page = any(PAGES);

		script(g)[i] = GPA_EXTRA + page * PAGE_BYTES + any(PAGE_BYTES / 8) * 8;
		if (written)
			written[page] = true;
	}
}

static void every_page(struct guest *g, unsigned int first, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		script(g)[i] = GPA_EXTRA + (first + i) * PAGE_BYTES;
}

/* --- what is told -------------------------------------------------------------- */

static bool lists(const bool *written, const __u64 *pages, int count)
{
	int i, at = 0;

	for (i = 0; i < PAGES; i++)
		if (written[i] && (at == count || pages[at++] != GPA_EXTRA + i * PAGE_BYTES))
			return false;
	return at == count;
}

TEST_F(dirty, told_once)
{
	bool written[PAGES] = { };
	__u64 pages[PAGES];
	struct guest *g = &self->g;
	int i;

	/* What was written before is of no interest. */
	every_page(g, 0, PAGES / 2);
	ASSERT_WRITES(g, PAGES / 2, 1);
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	EXPECT_EQ(0, fetch_all(g, pages));
	for (i = 0; i < 3; i++) {
		memset(written, 0, sizeof(written));
		random_script(g, 200, written);
		ASSERT_WRITES(g, 200, 1000 * i);
		EXPECT_TRUE(lists(written, pages, fetch_all(g, pages)));
		EXPECT_EQ(0, fetch_all(g, pages));
	}
	/* Reading is not writing. */
	every_page(g, 0, PAGES);
	ASSERT_READS(g, PAGES);
	EXPECT_EQ(0, fetch_all(g, pages));
	ASSERT_EQ(0, dirty_stop(g->vm, GPA_EXTRA, BYTES));
	EXPECT_EQ(-ENOENT, fetch_all(g, pages));
	ASSERT_WRITES(g, PAGES, 1);
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	EXPECT_EQ(0, fetch_all(g, pages));
}

/* The first write takes an exit where the CPU keeps no log, and none where it does. */
TEST_F(dirty, by_which_way)
{
	struct guest *g = &self->g;
	__u64 pages[PAGES], before;

	every_page(g, 0, PAGES);
	ASSERT_WRITES(g, PAGES, 1);
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	before = guest_faults(g);
	ASSERT_WRITES(g, PAGES, 1);
	EXPECT_EQ(self->exits ? PAGES : 0, guest_faults(g) - before);
	ASSERT_WRITES(g, PAGES, 1);
	EXPECT_EQ(self->exits ? PAGES : 0, guest_faults(g) - before);
	EXPECT_EQ(PAGES, fetch_all(g, pages));
}

TEST_F(dirty, bitmap)
{
	const __u64 part = 3 * PAGE_BYTES;
	struct guest *g = &self->g;
	bool written[PAGES] = { };
	__u64 bits[PAGES / 64 + 1];
	unsigned int i;

	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	random_script(g, 300, written);
	ASSERT_WRITES(g, 300, 1);
	EXPECT_EQ(-EINVAL, fetch(g->vm, VEE_DIRTY_BITMAP, GPA_EXTRA, BYTES, bits, PAGES - 1));
	/* What is in part of the range stays in the rest; words are whole. */
	memset(bits, 0xff, sizeof(bits));
	EXPECT_LT(0, fetch(g->vm, VEE_DIRTY_BITMAP, GPA_EXTRA + part, 129 * PAGE_BYTES, bits,
			   129));
	EXPECT_EQ(~0ULL, bits[3]);
	for (i = 0; i < 192; i++)
		EXPECT_EQ(i < 129 && written[i + 3], bits[i / 64] >> i % 64 & 1);
	EXPECT_LT(0, fetch(g->vm, VEE_DIRTY_BITMAP, GPA_EXTRA, BYTES, bits, PAGES));
	EXPECT_EQ(~0ULL, bits[PAGES / 64]);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(written[i] && (i < 3 || i >= 132), bits[i / 64] >> i % 64 & 1);
	EXPECT_EQ(0, fetch(g->vm, VEE_DIRTY_BITMAP, GPA_EXTRA, BYTES, bits, PAGES));
}

TEST_F(dirty, room)
{
	__u64 pages[PAGES], gpa = GPA_EXTRA;
	struct guest *g = &self->g;
	bool written[PAGES] = { };
	int count, told = 0;

	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	random_script(g, 500, written);
	ASSERT_WRITES(g, 500, 1);
	do {
		count = fetch(g->vm, 0, gpa, GPA_EXTRA + BYTES - gpa, pages + told, 7);
		ASSERT_LE(0, count);
		ASSERT_GE(7, count);
		told += count;
		gpa = pages[told - 1] + PAGE_BYTES;
	} while (count == 7 && gpa < GPA_EXTRA + BYTES);
	EXPECT_TRUE(lists(written, pages, told));
	EXPECT_EQ(0, fetch_all(g, pages));
}

/* Ranges that don't begin where anything else does, and what is between them. */
TEST_F(dirty, ranges)
{
	static const struct {
		unsigned int first, count;
	} ranges[] = { { 3, 5 }, { 8, 1 }, { 70, 130 }, { 1000, 24 } };
	bool written[PAGES], all[PAGES];
	struct guest *g = &self->g;
	__u64 pages[PAGES];
	unsigned int i, j;
	int round;

	every_page(g, 0, PAGES / 2);
	ASSERT_WRITES(g, PAGES / 2, 1);
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA + ranges[i].first * PAGE_BYTES,
					 ranges[i].count * PAGE_BYTES));
	for (round = 0; round < 3; round++) {
		memset(all, 0, sizeof(all));
		random_script(g, 700, all);
		ASSERT_WRITES(g, 700, 1);
		for (i = 0; i < ARRAY_SIZE(ranges); i++) {
			__u64 gpa = GPA_EXTRA + ranges[i].first * PAGE_BYTES;

			for (j = 0; j < PAGES; j++)
				written[j] = all[j] && j >= ranges[i].first &&
					     j < ranges[i].first + ranges[i].count;
			EXPECT_TRUE(lists(written, pages,
					  fetch(g->vm, 0, gpa, ranges[i].count * PAGE_BYTES,
						pages, PAGES))) TH_LOG("range %u", i);
		}
		/* The host takes all of it away, and the guest finds it again. */
		if (round == 1)
			ASSERT_EQ(0, madvise(self->extra, BYTES, MADV_DONTNEED));
	}
}

/* What a first touch beside a range brings with it is not written yet. */
TEST_F(dirty, beside_a_range)
{
	struct guest *g = &self->g;
	__u64 page;
	int i;

	for (i = 0; i < 4; i++) {
		__u64 gpa = GPA_EXTRA + (16 * i + 5) * PAGE_BYTES;

		ASSERT_EQ(0, dirty_start(g->vm, gpa, PAGE_BYTES));
		/* The memory is there, and the guest hasn't been. */
		memset(self->extra + 16 * i * PAGE_BYTES, 1, 16 * PAGE_BYTES);
		script(g)[0] = gpa + (i % 2 ? 1 : -1) * (__s64)PAGE_BYTES;
		ASSERT_WRITES(g, 1, 1);
		EXPECT_EQ(0, fetch(g->vm, 0, gpa, PAGE_BYTES, &page, 1));
		script(g)[0] = gpa;
		ASSERT_WRITES(g, 1, 1);
		EXPECT_EQ(1, fetch(g->vm, 0, gpa, PAGE_BYTES, &page, 1));
	}
}

/* --- a large range of which little is written ---------------------------------------- */

/* Over the border of a GiB, and beginning where no word of bits does. */
#define SPARSE_PAGES	24000
#define SPARSE_BYTES	(SPARSE_PAGES * PAGE_BYTES)
#define SPARSE_GPA	((1ULL << 30) - SPARSE_BYTES / 2 + 5 * PAGE_BYTES)

static bool sparse_written[SPARSE_PAGES];

static void map_sparse(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned char *mem = mmap(NULL, SPARSE_BYTES, MEMORY_RW,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, mem);
	madvise(mem, SPARSE_BYTES, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_map(g->vm, SPARSE_GPA, mem, SPARSE_BYTES, VEE_RWX));
	ASSERT_EQ(0, dirty_start(g->vm, SPARSE_GPA, SPARSE_BYTES));
	memset(sparse_written, 0, sizeof(sparse_written));
	/* The second GiB of the guest's. */
	guest_write64(g, GPA_PDPT + 8, GPA_PT | PTE_ALL);
	for (i = 0; i < 512; i++)
		guest_write64(g, GPA_PT + 8 * i, (512 + i) * PAGES_2M | PTE_ALL | PTE_PS);
}

/* Some alone, some one after the other. */
static void sparse_script(struct guest *g, unsigned int count)
{
	unsigned int i, page = 0;

	for (i = 0; i < count; i++) {
		page = any(3) && page + 1 < SPARSE_PAGES ? page + 1 : any(SPARSE_PAGES);
		sparse_written[page] = true;
		script(g)[i] = SPARSE_GPA + page * PAGE_BYTES;
	}
}

/* Some of it: what is told, in the same order, is what was written. */
static bool sparse_fetched(struct guest *g, __u64 first, __u64 count, __u64 room)
{
	static __u64 pages[SCRIPT_MAX];
	int told = fetch(g->vm, 0, SPARSE_GPA + first * PAGE_BYTES, count * PAGE_BYTES, pages,
			 room);
	__u64 page;
	int i = 0;

	for (page = first; page < first + count && i < room; page++) {
		if (!sparse_written[page])
			continue;
		if (i >= told || pages[i] != SPARSE_GPA + page * PAGE_BYTES)
			return false;
		sparse_written[page] = false;
		i++;
	}
	return i == told;
}

TEST_F(dirty, sparse)
{
	struct guest *g = &self->g;
	int round, part;

	map_sparse(_metadata, g);
	for (round = 0; round < 20; round++) {
		sparse_script(g, 300);
		ASSERT_WRITES(g, 300, 1);
		for (part = 0; part < 8; part++) {
			__u64 first = any(SPARSE_PAGES), count = 1 + any(SPARSE_PAGES - first);

			ASSERT_TRUE(sparse_fetched(g, first, count, 1 + any(200)));
		}
		if (round % 4 == 3)
			ASSERT_TRUE(sparse_fetched(g, 0, SPARSE_PAGES, SCRIPT_MAX));
	}
}

TEST_F(dirty, marked)
{
	struct guest *g = &self->g;
	__u64 pages[PAGES];

	EXPECT_EQ(0, dirty_mark(g->vm, GPA_EXTRA, BYTES));
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA + PAGE_BYTES, 2 * PAGE_BYTES));
	EXPECT_EQ(0, dirty_mark(g->vm, 0, GPA_EXTRA + BYTES));
	EXPECT_EQ(2, fetch(g->vm, 0, GPA_EXTRA + PAGE_BYTES, 2 * PAGE_BYTES, pages, 2));
	EXPECT_EQ(0, dirty_mark(g->vm, GPA_EXTRA + 2 * PAGE_BYTES, PAGE_BYTES));
	EXPECT_EQ(1, fetch(g->vm, 0, GPA_EXTRA + PAGE_BYTES, 2 * PAGE_BYTES, pages, 2));
	EXPECT_EQ(GPA_EXTRA + 2 * PAGE_BYTES, pages[0]);
	EXPECT_EQ(0, fetch(g->vm, 0, GPA_EXTRA + PAGE_BYTES, 2 * PAGE_BYTES, pages, 2));
	/* It is written all the same. */
	EXPECT_EQ(0, dirty_mark(g->vm, GPA_EXTRA + PAGE_BYTES, PAGE_BYTES));
	every_page(g, 1, 1);
	ASSERT_WRITES(g, 1, 1);
	EXPECT_EQ(1, fetch(g->vm, 0, GPA_EXTRA + PAGE_BYTES, 2 * PAGE_BYTES, pages, 2));
	ASSERT_WRITES(g, 1, 2);
	EXPECT_EQ(1, fetch(g->vm, 0, GPA_EXTRA + PAGE_BYTES, 2 * PAGE_BYTES, pages, 2));
}

TEST_F(dirty, unmapped)
{
	struct guest *g = &self->g;
	__u64 pages[PAGES];

	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, PAGE_BYTES));
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA + PAGE_BYTES, PAGE_BYTES));
	ASSERT_EQ(0, dirty_start(g->vm, 0, GUEST_BYTES));
	every_page(g, 0, 2);
	script(g)[2] = GPA_DATA;
	ASSERT_WRITES(g, 3, 1);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	EXPECT_EQ(-ENOENT, fetch(g->vm, 0, GPA_EXTRA, PAGE_BYTES, pages, 1));
	EXPECT_EQ(-ENOENT, dirty_stop(g->vm, GPA_EXTRA, PAGE_BYTES));
	EXPECT_EQ(-ENOENT, dirty_start(g->vm, GPA_EXTRA, PAGE_BYTES));
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, self->extra, BYTES, VEE_RWX));
	EXPECT_EQ(-ENOENT, fetch(g->vm, 0, GPA_EXTRA, PAGE_BYTES, pages, 1));
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	EXPECT_EQ(0, fetch_all(g, pages));
	ASSERT_WRITES(g, 2, 1);
	EXPECT_EQ(2, fetch_all(g, pages));
	/* The other range has been there all the time. */
	EXPECT_LT(0, fetch(g->vm, 0, 0, GUEST_BYTES, pages, PAGES));
}

/* Where nothing can be told nothing is lost; of a list that ends in nowhere, the rest. */
TEST_F(dirty, bad_pointers)
{
	unsigned char *edge = anon_memory(4 * PAGE_BYTES);
	__u64 *pages = (__u64 *)(edge + 2 * PAGE_BYTES - 600 * 8);
	struct guest *g = &self->g;
	bool written[PAGES] = { };
	int count;

	ASSERT_NE(MAP_FAILED, edge);
	ASSERT_EQ(0, mprotect(edge + 2 * PAGE_BYTES, 2 * PAGE_BYTES, PROT_NONE));
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	memset(written, 1, sizeof(written));
	every_page(g, 0, PAGES);
	ASSERT_WRITES(g, PAGES, 1);
	EXPECT_EQ(-EFAULT, fetch(g->vm, 0, GPA_EXTRA, BYTES, NULL, PAGES));
	EXPECT_EQ(-EFAULT, fetch(g->vm, 0, GPA_EXTRA, BYTES, (void *)~0xfffULL, PAGES));
	EXPECT_EQ(-EFAULT, fetch(g->vm, 0, GPA_EXTRA, BYTES, edge + 2 * PAGE_BYTES, 1));
	EXPECT_EQ(-EFAULT, fetch(g->vm, VEE_DIRTY_BITMAP, GPA_EXTRA, BYTES,
				 edge + 2 * PAGE_BYTES - 64, PAGES));
	count = fetch(g->vm, 0, GPA_EXTRA, BYTES, pages, PAGES);
	ASSERT_LT(0, count);
	ASSERT_GE(600, count);
	EXPECT_EQ(-EFAULT, fetch(g->vm, 0, GPA_EXTRA, BYTES, pages + 600, PAGES));
	ASSERT_EQ(0, mprotect(edge + 2 * PAGE_BYTES, 2 * PAGE_BYTES, MEMORY_RW));
	EXPECT_EQ(PAGES - count, fetch_all(g, pages + count));
	EXPECT_TRUE(lists(written, pages, PAGES));
	munmap(edge, 4 * PAGE_BYTES);
}

TEST_F(dirty, hostile)
{
	static const struct vee_dirty bad[] = {
		{ .operation = 4 },
		{ .operation = ~0U },
		{ .bytes = ~0ULL },
		{ .gpa = 1 },
		{ .bytes = 1 },
		{ .reserved = 1 },
		{ .gpa = -PAGE_BYTES },
		{ .gpa = 1ULL << 52 },
		{ .flags = 2 },
		{ .flags = VEE_DIRTY_BITMAP },
		{ .pages = 8 },
		{ .room = 8 },
		{ .operation = VEE_DIRTY_STOP, .flags = VEE_DIRTY_BITMAP },
		{ .operation = VEE_DIRTY_MARK, .room = 1 },
	};
	struct guest *g = &self->g;
	struct vee_dirty dirty;
	__u64 pages[PAGES];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		dirty = bad[i];
		dirty.size = sizeof(dirty);
		if (!dirty.gpa)
			dirty.gpa = GPA_EXTRA;
		if (!dirty.bytes)
			dirty.bytes = PAGE_BYTES;
		EXPECT_EQ(-EINVAL, vee_call(g->vm, VEE_VM_DIRTY, &dirty)) TH_LOG("%u", i);
	}
	EXPECT_EQ(-EINVAL, dirty_start(g->vm, GPA_EXTRA, 0));
	EXPECT_EQ(-EINVAL, fetch(g->vm, 0, GPA_EXTRA, BYTES, pages, 0));
	EXPECT_EQ(-ENOENT, dirty_start(g->vm, GPA_EXTRA, BYTES + PAGE_BYTES));
	EXPECT_EQ(-ENOENT, dirty_start(g->vm, GPA_EXTRA - PAGE_BYTES, BYTES));
	EXPECT_EQ(-ENOENT, dirty_start(g->vm, 0, GPA_EXTRA + BYTES));
	EXPECT_EQ(-ENOENT, fetch_all(g, pages));
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA + PAGE_BYTES, 4 * PAGE_BYTES));
	EXPECT_EQ(-EEXIST, dirty_start(g->vm, GPA_EXTRA, BYTES));
	EXPECT_EQ(-EEXIST, dirty_start(g->vm, GPA_EXTRA + 4 * PAGE_BYTES, 4 * PAGE_BYTES));
	EXPECT_EQ(-EEXIST, dirty_start(g->vm, GPA_EXTRA, 2 * PAGE_BYTES));
	EXPECT_EQ(-ENOENT, dirty_stop(g->vm, GPA_EXTRA + PAGE_BYTES, 3 * PAGE_BYTES));
	EXPECT_EQ(-ENOENT, dirty_stop(g->vm, GPA_EXTRA, 5 * PAGE_BYTES));
	EXPECT_EQ(-ENOENT, fetch_all(g, pages));
	EXPECT_EQ(-ENOENT, fetch(g->vm, VEE_DIRTY_BITMAP, GPA_EXTRA, BYTES, pages, PAGES));
	EXPECT_EQ(0, fetch(g->vm, 0, GPA_EXTRA + 2 * PAGE_BYTES, PAGE_BYTES, pages, ~0ULL));
	EXPECT_EQ(0, dirty_stop(g->vm, GPA_EXTRA + PAGE_BYTES, 4 * PAGE_BYTES));
}

/* As many ranges as slots, each found. */
TEST_F(dirty, many_ranges)
{
	struct guest *g = &self->g;
	__u64 page;
	int i;

	for (i = 0; i < VEE_MAX_SLOTS; i++)
		ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA + (i * 2 * 37 % PAGES) * PAGE_BYTES,
					 PAGE_BYTES)) TH_LOG("%d", i);
	EXPECT_EQ(-ENOSPC, dirty_start(g->vm, GPA_EXTRA + PAGE_BYTES, PAGE_BYTES));
	every_page(g, 0, PAGES);
	ASSERT_WRITES(g, PAGES, 1);
	for (i = 0; i < PAGES; i += 2) {
		__u64 gpa = GPA_EXTRA + i * PAGE_BYTES;

		ASSERT_EQ(1, fetch(g->vm, 0, gpa, PAGE_BYTES, &page, 1)) TH_LOG("%d", i);
		EXPECT_EQ(gpa, page);
		ASSERT_EQ(0, dirty_stop(g->vm, gpa, PAGE_BYTES));
	}
	EXPECT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
}

/* --- the CPU's own writes -------------------------------------------------------- */

static __u64 exits_of(struct guest *g, unsigned int reason)
{
	struct vee_stats stats = { .size = sizeof(stats) };

	vee_call(g->vcpu, VEE_VCPU_STATS, &stats);
	return stats.exits[reason];
}

/* More than a log holds, in one run; and events that are delivered meanwhile. */
TEST_F(dirty, log_full)
{
	struct guest *g = &self->g;
	__u64 pages[PAGES];
	int i;

	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	every_page(g, 0, PAGES);
	for (i = 0; i < 2; i++) {
		ASSERT_WRITES(g, PAGES, 1);
		EXPECT_EQ(PAGES, fetch_all(g, pages));
	}
	EXPECT_EQ(variant->needs == VEE_FEATURE_PML, exits_of(g, EXIT_LOG_FULL) > 0);
}

/* Interrupts that go to a stack of its own each time, so that their delivery fills the log. */
GUEST_CODE(interrupt_all, 64,
	   "1: mov (%rsi), %rsp; add $4080, %rsp; int $0x40; add $8, %rsi; dec %rcx; jnz 1b; hlt");

TEST_F(dirty, log_full_in_delivery)
{
	struct guest *g = &self->g;
	__u64 pages[PAGES];
	int i;

	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	every_page(g, 0, PAGES);
	GUEST_LONG(g, interrupt_all);
	/* IRETQ, without the VMCALL. */
	memcpy(g->mem + STUB(0x40), "\x48\xcf", 2);
	set_script(g, PAGES, 0);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(PAGES, fetch_all(g, pages));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(SEL_CODE64, *(__u64 *)(self->extra + i * PAGE_BYTES + 4080 - 32));
}

/*
 * Does the CPU write flags of the guest's tables without asking the EPT? Bochs 2.7 does,
 * with the EPT's own flags off.
 */
static bool writes_flags_anyway(struct __test_metadata *_metadata)
{
	struct guest g;
	bool anyway;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, write_script);
	ASSERT_EQ(0, vm_unmap(g.vm, 0, GUEST_BYTES));
	ASSERT_EQ(0, vm_map(g.vm, 0, g.mem, GUEST_BYTES, VEE_READ | VEE_EXECUTE));
	guest_run(&g);
	anyway = guest_read64(&g, GPA_PML4) & PTE_A;
	guest_close(&g);
	return anyway;
}

/* The accessed and dirty flags of the guest's own tables are in memory that it writes. */
TEST_F(dirty, guest_tables)
{
	struct guest *g = &self->g;
	__u64 pages[GUEST_BYTES / PAGE_BYTES];
	int i, count, tables = 0;

	if (self->exits && writes_flags_anyway(_metadata))
		VEE_SKIP("this CPU writes flags past the EPT");
	ASSERT_EQ(0, dirty_start(g->vm, 0, GUEST_BYTES));
	every_page(g, 0, 1);
	ASSERT_WRITES(g, 1, 1);
	count = fetch(g->vm, 0, 0, GUEST_BYTES, pages, ARRAY_SIZE(pages));
	for (i = 0; i < count; i++)
		tables += pages[i] == GPA_PML4 || pages[i] == GPA_PDPT || pages[i] == GPA_PD;
	EXPECT_EQ(3, tables);
	EXPECT_TRUE(guest_read64(g, GPA_PD + 8 * (GPA_EXTRA / PAGES_2M)) & PTE_D);
}

/* Tables that can't be written are read as ever, and what is written is told as ever. */
TEST_F(dirty, tables_that_cannot_be_written)
{
	struct guest *g = &self->g;
	bool written[PAGES] = { };
	__u64 pages[PAGES];
	unsigned char *tables = anon_memory(4 * PAGE_BYTES);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, tables);
	GUEST_LONG(g, write_script);
	/* With all flags set the CPU has nothing to write there. */
	guest_write64(g, GPA_PML4, GPA_PDPT | PTE_ALL | PTE_A);
	guest_write64(g, GPA_PDPT, GPA_PD | PTE_ALL | PTE_A);
	for (i = 0; i < 512; i++)
		guest_write64(g, GPA_PD + 8 * i, i * PAGES_2M | PTE_ALL | PTE_PS | PTE_A | PTE_D);
	memcpy(tables, g->mem + GPA_PML4, 4 * PAGE_BYTES);
	ASSERT_EQ(0, vm_unmap(g->vm, 0, GUEST_BYTES));
	ASSERT_EQ(0, vm_map(g->vm, 0, g->mem, GPA_PML4, VEE_RWX));
	ASSERT_EQ(0, vm_map(g->vm, GPA_PML4, tables, 3 * PAGE_BYTES, VEE_READ));
	ASSERT_EQ(0, vm_map(g->vm, GPA_PT, g->mem + GPA_PT, GUEST_BYTES - GPA_PT, VEE_RWX));
	random_script(g, 200, written);
	set_script(g, 200, 1);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	for (i = 0; i < 3; i++) {
		set_script(g, 200, 1);
		guest_set_rip(g, GPA_CODE);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_TRUE(lists(written, pages, fetch_all(g, pages)));
		EXPECT_EQ(0, fetch_all(g, pages));
	}
	munmap(tables, 4 * PAGE_BYTES);
}

/* --- what the host does meanwhile -------------------------------------------------- */

static void copy_told(unsigned char *model, const unsigned char *mem, const __u64 *pages,
		      int count)
{
	int i;

	for (i = 0; i < count; i++)
		memcpy(model + (pages[i] - GPA_EXTRA), mem + (pages[i] - GPA_EXTRA), PAGE_BYTES);
}

/* In both, so that it is nothing that the guest has written. */
static void host_changes(unsigned char *mem, unsigned char *model)
{
	size_t offset = any(PAGES - 64) * PAGE_BYTES, bytes = (1 + any(64)) * PAGE_BYTES;

	switch (any(7)) {
	case 0:
		if (!madvise(mem + offset, bytes, MADV_DONTNEED))
			memset(model + offset, 0, bytes);
		break;
	case 1:
		mprotect(mem + offset, bytes, PROT_READ);
		mprotect(mem + offset, bytes, MEMORY_RW | PROT_EXEC);
		break;
	case 2:
		madvise(mem + offset, bytes, MADV_PAGEOUT);
		break;
	case 3:
		memset(mem + offset, 0x55, bytes);
		memset(model + offset, 0x55, bytes);
		break;
	case 4:
		if (!fork())
			_exit(0);
		wait(NULL);
		break;
	case 5:
		madvise(mem + offset, bytes, any(2) ? MADV_MERGEABLE : MADV_UNMERGEABLE);
		break;
	}
}

static void swap_on(void)
{
	char line[256];
	FILE *f = fopen("/proc/swaps", "re");
	int lines = 0;

	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		fclose(f);
	if (lines < 2 && getenv("VEE_LAB"))
		system("lab-swap 64 2>/dev/null");
}

static void merge_pages(bool on)
{
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "2000");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "2");
	write_file("/sys/kernel/mm/ksm/run", on ? "1" : "0");
}

TEST_F_TIMEOUT(dirty, model, 120)
{
	struct guest *g = &self->g;
	__u64 pages[PAGES];
	int round, count;

	swap_on();
	merge_pages(true);
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	for (round = 0; round < 30; round++) {
		bool written[PAGES] = { };

		random_script(g, 100, written);
		ASSERT_WRITES(g, 50, any(~0U));
		host_changes(self->extra, self->model);
		/* What the host has dropped or overwritten is no guest's any more. */
		count = fetch_all(g, pages);
		ASSERT_LE(0, count);
		copy_told(self->model, self->extra, pages, count);
		g->page->regs.rcx = 50;
		ASSERT_WRITES(g, 100, any(~0U));
		count = fetch_all(g, pages);
		EXPECT_TRUE(lists(written, pages, count)) TH_LOG("round %d", round);
		copy_told(self->model, self->extra, pages, count);
		EXPECT_EQ(0, fetch_all(g, pages));
	}
	merge_pages(false);
	EXPECT_EQ(0, memcmp(self->model, self->extra, BYTES));
}

/* --- while guests write ------------------------------------------------------------- */

/* Adds RAX to a word of each page, over and over, until told to stop. */
GUEST_CODE(write_on, 64,
	   "cli; mov %rdi, %rbx; mov $1024, %ecx;"
	   "1: add %rax, (%rbx); add $4096, %rbx; dec %ecx; jnz 1b;"
	   "inc %rdx; cmpl $0, 0x20000; je write_on; hlt");

static void start_writer(struct __test_metadata *_metadata, struct guest *g, struct runner *r,
			 __u64 offset, __u64 step)
{
	guest_set_long(g);
	guest_set_rip(g, GPA_CODE);
	g->page->regs.rdi = GPA_EXTRA + offset;
	g->page->regs.rax = step;
	g->page->regs.rsp = GPA_STACK - offset * 8;
	ASSERT_EQ(0, runner_insist(r, g));
}

/* Two vCPUs, on two CPUs if there are as many, and two who fetch at once. */
struct fetcher {
	struct guest *g;
	unsigned char *mem;
	unsigned char *model;
	__u32 flags;
	bool stop;
	__u64 told;
	int err;
};

static void *fetch_on(void *arg)
{
	static __thread __u64 pages[PAGES];
	struct fetcher *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE) && f->err >= 0) {
		f->err = fetch(f->g->vm, 0, GPA_EXTRA, BYTES, pages, PAGES / 3);
		if (f->err > 0) {
			f->told += f->err;
			copy_told(f->model, f->mem, pages, f->err);
		}
		usleep(500);
	}
	return NULL;
}

TEST_F_TIMEOUT(dirty, running, 120)
{
	struct guest *g = &self->g, second;
	unsigned char *seen = anon_memory(BYTES);
	struct fetcher f = { .g = g, .mem = self->extra, .model = seen };
	struct runner r[2];
	pthread_t thread;
	__u64 pages[PAGES];
	cpu_set_t all;
	int i, count;

	ASSERT_NE(MAP_FAILED, seen);
	CPU_ZERO(&all);
	for (i = 0; i < cpus_online(); i++)
		CPU_SET(i, &all);
	sched_setaffinity(0, sizeof(all), &all);
	guest_open_sibling(_metadata, g, &second, 1);
	second.page->deadline_ns = LONG_NS;
	GUEST_LOAD(g, write_on);
	guest_write32(g, GPA_DATA, 0);
	start_writer(_metadata, g, &r[0], 0, 1);
	/* Writers are there before anybody asks. */
	start_writer(_metadata, &second, &r[1], 8, 3);
	usleep(2000);
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
	memcpy(self->model, self->extra, BYTES);
	memcpy(seen, self->extra, BYTES);
	ASSERT_EQ(0, pthread_create(&thread, NULL, fetch_on, &f));
	for (i = 0; i < 4; i++) {
		count = fetch_all(g, pages);
		ASSERT_LE(0, count);
		copy_told(self->model, self->extra, pages, count);
		if (i == 1)
			madvise(self->extra, BYTES, MADV_PAGEOUT);
		if (i == 3)
			mprotect(self->extra, BYTES, PROT_READ);
		mprotect(self->extra, BYTES, MEMORY_RW | PROT_EXEC);
		usleep(1000);
	}
	guest_write32(g, GPA_DATA, 1);
	EXPECT_EQ(0, runner_join(&r[0]));
	EXPECT_EQ(0, runner_join(&r[1]));
	__atomic_store_n(&f.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_LE(0, f.err);
	EXPECT_LT(0, f.told);
	count = fetch_all(g, pages);
	ASSERT_LE(0, count);
	copy_told(self->model, self->extra, pages, count);
	/* Each page was last told to one of the two, after its last write. */
	for (i = 0; i < PAGES; i++) {
		size_t at = i * PAGE_BYTES;

		EXPECT_TRUE(!memcmp(self->extra + at, self->model + at, PAGE_BYTES) ||
			    !memcmp(self->extra + at, seen + at, PAGE_BYTES))
			TH_LOG("page %d", i);
	}
	EXPECT_EQ(0, fetch_all(g, pages));
	guest_close(&second);
	munmap(seen, BYTES);
}

/* It is begun and ended, and its slot taken away, while it is fetched. */
TEST_F_TIMEOUT(dirty, torn_down, 60)
{
	struct guest *g = &self->g;
	struct fetcher f = { .g = g, .mem = self->extra, .model = self->model };
	pthread_t thread;
	__u64 pages[PAGES];
	int i;

	every_page(g, 0, PAGES);
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
		f.stop = false;
		f.err = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL, fetch_on, &f));
		ASSERT_WRITES(g, PAGES, i);
		if (i % 2) {
			ASSERT_EQ(0, dirty_stop(g->vm, GPA_EXTRA, BYTES));
		} else {
			ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
			ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, self->extra, BYTES, VEE_RWX));
		}
		EXPECT_TRUE(WAIT_FOR(__atomic_load_n(&f.err, __ATOMIC_ACQUIRE) < 0));
		f.stop = true;
		pthread_join(thread, NULL);
		EXPECT_EQ(-ENOENT, f.err);
	}
	EXPECT_EQ(-ENOENT, fetch_all(g, pages));
	/* The VM ends with its range. */
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, BYTES));
}

/* --- huge pages ------------------------------------------------------------------------ */

#define THP_ENABLED	"/sys/kernel/mm/transparent_hugepage/enabled"
#define HUGE_PAGES	512

static unsigned char *map_huge(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned char *mem = anon_memory(2 * PAGES_2M);

	ASSERT_NE(MAP_FAILED, mem);
	mem = (unsigned char *)(((unsigned long)mem + PAGES_2M - 1) & -PAGES_2M);
	write_file(THP_ENABLED, "madvise");
	if (madvise(mem, PAGES_2M, MADV_HUGEPAGE))
		VEE_SKIP("no transparent huge pages: %s", strerror(errno));
	mem[0] = 1;
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	ASSERT_EQ(0, vm_map(g->vm, GPA_EXTRA, mem, PAGES_2M, VEE_RWX));
	return mem;
}

/* How many faults it takes to read all of it. */
#define FAULTS_OF(g, how)						\
	({								\
		__u64 faults_before = guest_faults(g);			\
									\
		every_page(g, 0, HUGE_PAGES);				\
		how(g, HUGE_PAGES);					\
		guest_faults(g) - faults_before;			\
	})
#define WRITES(g, count) ASSERT_WRITES(g, count, 7)

TEST_F(dirty, huge_page)
{
	struct guest *g = &self->g;
	bool written[PAGES] = { };
	__u64 pages[PAGES], whole;
	unsigned int i;

	if (!(vee_info(g->dev).features & VEE_FEATURE_EPT_2M))
		VEE_SKIP("this CPU has no EPT entries for 2 MiB");
	map_huge(_metadata, g);
	FAULTS_OF(g, ASSERT_READS);
	whole = FAULTS_OF(g, ASSERT_READS);
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA, PAGES_2M));
	/* As long as nothing is written it is one page. */
	EXPECT_GE(whole + 1, FAULTS_OF(g, ASSERT_READS));
	EXPECT_EQ(0, fetch(g->vm, 0, GPA_EXTRA, PAGES_2M, pages, PAGES));
	for (i = 0; i < 3; i++) {
		script(g)[i] = GPA_EXTRA + 100 * i * PAGE_BYTES;
		written[100 * i] = true;
	}
	ASSERT_WRITES(g, 3, 1);
	EXPECT_TRUE(lists(written, pages, fetch(g->vm, 0, GPA_EXTRA, PAGES_2M, pages, PAGES)));
	/* The rest came with the first, to be read. */
	EXPECT_GE(whole, FAULTS_OF(g, ASSERT_READS));
	EXPECT_EQ(self->exits ? HUGE_PAGES : 0, FAULTS_OF(g, WRITES));
	EXPECT_EQ(HUGE_PAGES, fetch(g->vm, 0, GPA_EXTRA, PAGES_2M, pages, PAGES));
	ASSERT_EQ(0, dirty_stop(g->vm, GPA_EXTRA, PAGES_2M));
	/* And it is one again. */
	EXPECT_GE(whole + 2, FAULTS_OF(g, WRITES));
}

/* A page of a stretch, and of the next, ... without paging. */
GUEST_CODE(write_far, 32, "1: mov %eax, (%ebx); add %edx, %ebx; dec %ecx; jnz 1b; hlt");
GUEST_CODE(read_far, 32, "1: mov (%ebx), %eax; add %edx, %ebx; dec %ecx; jnz 1b; hlt");

/* How many faults it takes, from @offset on, @count times. */
#define FAULTS_FAR(g, code, offset, stride, count)			\
	({								\
		__u64 far_before = guest_faults(g);			\
									\
		GUEST_PROTECTED(g, code);				\
		(g)->page->regs.rbx = PAGES_1G + (offset);		\
		(g)->page->regs.rdx = (stride);				\
		(g)->page->regs.rcx = (count);				\
		ASSERT_RUN(g, VEE_EXIT_HLT);				\
		guest_faults(g) - far_before;				\
	})

/* Only a machine whose kernel was told to has such: hugepagesz=1G hugepages=1. */
TEST_F(dirty, giant_page)
{
	const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT;
	struct guest *g = &self->g;
	__u64 pages[PAGES];
	void *mem;

	if (!(vee_info(g->dev).features & VEE_FEATURE_EPT_1G))
		VEE_SKIP("this CPU has no EPT entries for 1 GiB");
	mem = mmap(NULL, PAGES_1G, MEMORY_RW, how, -1, 0);
	if (mem == MAP_FAILED)
		VEE_SKIP("no huge page of 1 GiB: %s", strerror(errno));
	ASSERT_EQ(0, vm_map(g->vm, PAGES_1G, mem, PAGES_1G, VEE_RWX));
	FAULTS_FAR(g, write_far, 0, PAGES_2M, 1);
	EXPECT_EQ(0, FAULTS_FAR(g, write_far, 0, PAGES_2M, 512));
	ASSERT_EQ(0, dirty_start(g->vm, PAGES_1G, PAGES_1G));
	EXPECT_GE(1, FAULTS_FAR(g, read_far, 0, PAGES_2M, 512));
	EXPECT_EQ(0, fetch(g->vm, 0, PAGES_1G, PAGES_1G, pages, PAGES));
	/* Split where it is written, and nowhere else. */
	FAULTS_FAR(g, write_far, 100 * PAGES_2M, PAGE_BYTES, 3);
	EXPECT_EQ(0, FAULTS_FAR(g, read_far, 0, PAGES_2M, 512));
	ASSERT_EQ(3, fetch(g->vm, 0, PAGES_1G, PAGES_1G, pages, PAGES));
	EXPECT_EQ(PAGES_1G + 100 * PAGES_2M, pages[0]);
	EXPECT_EQ(PAGES_1G + 100 * PAGES_2M + 2 * PAGE_BYTES, pages[2]);
	FAULTS_FAR(g, write_far, 0, PAGES_2M, 512);
	ASSERT_EQ(512, fetch(g->vm, 0, PAGES_1G, PAGES_1G, pages, PAGES));
	EXPECT_EQ(PAGES_1G + 511 * PAGES_2M, pages[511]);
	ASSERT_EQ(0, dirty_stop(g->vm, PAGES_1G, PAGES_1G));
	/* And it is one again. */
	EXPECT_GE(1, FAULTS_FAR(g, write_far, 0, PAGES_2M, 512));
	ASSERT_EQ(0, vm_unmap(g->vm, PAGES_1G, PAGES_1G));
	munmap(mem, PAGES_1G);
}

/* Only a part of it is of interest. */
TEST_F(dirty, part_of_a_huge_page)
{
	struct guest *g = &self->g;
	bool written[PAGES] = { };
	__u64 pages[PAGES];
	unsigned int i, round;

	map_huge(_metadata, g);
	every_page(g, 0, HUGE_PAGES);
	ASSERT_WRITES(g, HUGE_PAGES, 1);
	for (i = 77; i < 77 + 13; i++)
		written[i] = true;
	ASSERT_EQ(0, dirty_start(g->vm, GPA_EXTRA + 77 * PAGE_BYTES, 13 * PAGE_BYTES));
	for (round = 0; round < 3; round++) {
		ASSERT_WRITES(g, HUGE_PAGES, 1);
		EXPECT_TRUE(lists(written, pages, fetch(g->vm, 0, GPA_EXTRA + 77 * PAGE_BYTES,
							13 * PAGE_BYTES, pages, PAGES)));
	}
}

TEST_HARNESS_MAIN
