// SPDX-License-Identifier: GPL-2.0-only
/*
 * First touches: a page that the guest touches beside one that it has touched brings along
 * those around it that are in memory, and no others.
 */
#include <sys/wait.h>

#include "vee_util.h"

#define GPA_EXTRA	0x400000ULL
#define PAGES		(4 * PIECE_PAGES)
#define BYTES		(PAGES * PAGE_BYTES)

FIXTURE(fault) {
	struct guest g;
	unsigned char *extra;
};

FIXTURE_SETUP(fault)
{
	guest_open(_metadata, &self->g);
	self->extra = anon_memory(BYTES);
	ASSERT_NE(MAP_FAILED, self->extra);
	madvise(self->extra, BYTES, MADV_NOHUGEPAGE);
}

FIXTURE_TEARDOWN(fault)
{
	guest_close(&self->g);
	munmap(self->extra, BYTES);
}

/* From RBX on: RCX pages, RDX apart. */
GUEST_CODE(fill, 64, "1: mov %rax, (%rbx); add %rdx, %rbx; dec %rcx; jnz 1b; hlt");

/* What the guest itself needs is there, too: the first round pays for it. */
static __u64 faults_of(struct __test_metadata *_metadata, struct guest *g, __u64 gpa,
		       unsigned int count, __u64 apart)
{
	__u64 before;

	GUEST_LONG(g, fill);
	g->page->regs.rbx = GPA_DATA;
	g->page->regs.rcx = 1;
	ASSERT_HLT(g, AT(fill, fill_end) - 1);
	before = guest_faults(g);
	GUEST_LONG(g, fill);
	g->page->regs.rax = 1;
	g->page->regs.rbx = gpa;
	g->page->regs.rcx = count;
	g->page->regs.rdx = apart;
	ASSERT_HLT(g, AT(fill, fill_end) - 1);
	return guest_faults(g) - before;
}

static int map_extra(const struct guest *g, unsigned char *extra, unsigned int first,
		     unsigned int count)
{
	return vm_map(g->vm, GPA_EXTRA + first * PAGE_BYTES, extra + first * PAGE_BYTES,
		      count * PAGE_BYTES, VEE_RWX);
}

static unsigned int resident(const unsigned char *mem)
{
	unsigned char in_memory[PAGES];
	unsigned int count = 0, i;

	if (mincore((void *)mem, BYTES, in_memory))
		return ~0U;
	for (i = 0; i < PAGES; i++)
		count += in_memory[i] & 1;
	return count;
}

TEST_F(fault, those_around_come_along)
{
	ASSERT_EQ(0, map_extra(&self->g, self->extra, 0, PAGES));
	memset(self->extra, 2, BYTES);
	EXPECT_EQ(1 + PAGES / PIECE_PAGES,
		  faults_of(_metadata, &self->g, GPA_EXTRA, PAGES, PAGE_BYTES));
}

/* Here and there: each pays for itself alone, until the guest goes on beside it. */
TEST_F(fault, the_first_comes_alone)
{
	ASSERT_EQ(0, map_extra(&self->g, self->extra, 0, PAGES));
	memset(self->extra, 2, BYTES);
	EXPECT_EQ(PAGES / PIECE_PAGES,
		  faults_of(_metadata, &self->g, GPA_EXTRA + 5 * PAGE_BYTES,
			    PAGES / PIECE_PAGES, PIECE_PAGES * PAGE_BYTES));
	EXPECT_EQ(PAGES / PIECE_PAGES,
		  faults_of(_metadata, &self->g, GPA_EXTRA, PAGES, PAGE_BYTES));
}

/* Downwards, as a stack grows. */
TEST_F(fault, downwards_too)
{
	ASSERT_EQ(0, map_extra(&self->g, self->extra, 0, PAGES));
	memset(self->extra, 2, BYTES);
	EXPECT_EQ(1 + PAGES / PIECE_PAGES,
		  faults_of(_metadata, &self->g, GPA_EXTRA + BYTES - PAGE_BYTES, PAGES,
			    -PAGE_BYTES));
}

TEST_F(fault, none_is_brought_in)
{
	ASSERT_EQ(0, map_extra(&self->g, self->extra, 0, PAGES));
	for (unsigned int i = 1; i <= 2; i++)
		EXPECT_EQ(PAGES / PIECE_PAGES,
			  faults_of(_metadata, &self->g, GPA_EXTRA + i * PAGE_BYTES,
				    PAGES / PIECE_PAGES, PIECE_PAGES * PAGE_BYTES));
	EXPECT_EQ(2 * PAGES / PIECE_PAGES, resident(self->extra));
}

/* What is not there ends it: each that is not brings along the one behind it. */
TEST_F(fault, holes)
{
	unsigned int i;

	ASSERT_EQ(0, map_extra(&self->g, self->extra, 0, PAGES));
	for (i = 0; i < PAGES; i += 2)
		self->extra[i * PAGE_BYTES] = 2;
	EXPECT_EQ(PAGES / 2 + PAGES / PIECE_PAGES,
		  faults_of(_metadata, &self->g, GPA_EXTRA, PAGES, PAGE_BYTES));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(1, self->extra[i * PAGE_BYTES]) TH_LOG("page %u", i);
}

/* Nothing outside of a slot that lies in the middle of a piece. */
TEST_F(fault, slot_within_a_piece)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, map_extra(&self->g, self->extra, 5, 3));
	memset(self->extra, 2, BYTES);
	EXPECT_EQ(2, faults_of(_metadata, g, GPA_EXTRA + 5 * PAGE_BYTES, 3, PAGE_BYTES));
	GUEST_LONG(g, fill);
	g->page->regs.rbx = GPA_EXTRA + 8 * PAGE_BYTES;
	g->page->regs.rcx = 1;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	GUEST_LONG(g, fill);
	g->page->regs.rbx = GPA_EXTRA + 4 * PAGE_BYTES;
	g->page->regs.rcx = 1;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
}

/* In a child: how many pages are not as they were, once the other end is closed. */
static int changed_pages(const unsigned char *mem, const int ends[2])
{
	unsigned int count = 0, i;
	char byte;

	close(ends[1]);
	if (read(ends[0], &byte, 1))
		return 255;
	for (i = 0; i < PAGES; i++)
		count += mem[i * PAGE_BYTES] != 2;
	return count;
}

/* Pages that are shared until they are written do not become writable by it. */
TEST_F(fault, copy_on_write)
{
	int status, ends[2];
	pid_t child;

	ASSERT_EQ(0, map_extra(&self->g, self->extra, 0, PAGES));
	memset(self->extra, 2, BYTES);
	ASSERT_EQ(0, pipe(ends));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(changed_pages(self->extra, ends));
	close(ends[0]);
	EXPECT_EQ(PAGES, faults_of(_metadata, &self->g, GPA_EXTRA, PAGES, PAGE_BYTES));
	close(ends[1]);
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
