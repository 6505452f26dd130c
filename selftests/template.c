// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots whose memory is a template: what the guest writes is its own, what it has not
 * written is the template's, and a reset makes all of it the template's again, whatever the
 * host does to either meanwhile.
 *
 * The model is what the guest should see. It is compared, to the byte, with what the guest
 * itself copies to where it can be looked at.
 */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "script_util.h"

#define GPA_SEEN	0xc00000ULL
#define PAGES		512
#define BYTES		(PAGES * PAGE_BYTES)
#define POOL_PAGES	128
#define POOL_BYTES	(POOL_PAGES * PAGE_BYTES)
GUEST_CODE(copy, 64, "cld; rep movsq; hlt");

FIXTURE(template) {
	struct guest g;
	unsigned char *mem;	/* the template */
	unsigned char *pool;
	unsigned char *seen;	/* where the guest copies its memory to */
	unsigned char *model;
	__u64 at[POOL_PAGES];	/* which page is in which of the pool */
	int count;
};

static int map_template(int vm, const void *mem, __u64 bytes, const void *pool,
			__u64 pool_bytes)
{
	struct vee_map map = {
		.size = sizeof(map),
		.gpa = GPA_EXTRA,
		.hva = (unsigned long)mem,
		.bytes = bytes,
		.access = VEE_RWX,
		.pool = (unsigned long)pool,
		.pool_bytes = pool_bytes,
	};

	return vee_call(vm, VEE_VM_MAP, &map);
}

FIXTURE_SETUP(template)
{
	unsigned int i;

	pin_to_cpu(0);
	guest_open(_metadata, &self->g);
	self->g.page->deadline_ns = LONG_NS;
	self->mem = anon_memory(BYTES);
	self->pool = anon_memory(POOL_BYTES);
	self->seen = anon_memory(BYTES);
	self->model = anon_memory(BYTES);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_NE(MAP_FAILED, self->pool);
	ASSERT_NE(MAP_FAILED, self->seen);
	ASSERT_NE(MAP_FAILED, self->model);
	madvise(self->mem, BYTES, MADV_NOHUGEPAGE);
	for (i = 0; i < BYTES / 8; i++)
		((__u64 *)self->mem)[i] = i * 0x9e3779b97f4a7c15ULL;
	memcpy(self->model, self->mem, BYTES);
	ASSERT_EQ(0, map_template(self->g.vm, self->mem, BYTES, self->pool, POOL_BYTES));
	ASSERT_EQ(0, vm_map(self->g.vm, GPA_SEEN, self->seen, BYTES, VEE_RWX));
}

FIXTURE_TEARDOWN(template)
{
	guest_close(&self->g);
	munmap(self->mem, BYTES);
	munmap(self->pool, POOL_BYTES);
	munmap(self->seen, BYTES);
	munmap(self->model, BYTES);
}

/* --- requests ------------------------------------------------------------------ */

static int template_call(int vm, struct vee_template *template)
{
	template->size = sizeof(*template);
	return vee_call(vm, VEE_VM_TEMPLATE, template);
}

static int reset(int vm)
{
	struct vee_template template = {
		.operation = VEE_TEMPLATE_RESET, .gpa = GPA_EXTRA,
	};

	return template_call(vm, &template);
}

static int fetch_from(int vm, __u32 first, __u64 *pages, __u64 room)
{
	struct vee_template template = {
		.operation = VEE_TEMPLATE_FETCH,
		.first = first,
		.gpa = GPA_EXTRA + BYTES - 1,
		.pages = (unsigned long)pages,
		.room = room,
	};

	return template_call(vm, &template);
}

static int fetch(int vm, __u64 *pages, __u64 room)
{
	return fetch_from(vm, 0, pages, room);
}

/* NULL: errno says why. */
static unsigned char *locate(int vm, __u64 gpa, __u32 flags)
{
	struct vee_template template = {
		.operation = VEE_TEMPLATE_LOCATE, .flags = flags, .gpa = gpa,
	};
	int ret = template_call(vm, &template);

	errno = -ret;
	return ret ? NULL : (unsigned char *)(unsigned long)template.hva;
}

/* --- the guest, and the model of it ----------------------------------------------- */

#define TEMPLATE FIXTURE_DATA(template)

/* @bytes of the guest's extra memory are what @model says. */
#define EXPECT_SEES(g, bytes, seen, model)				\
	do {								\
		struct guest *see_g = (g);				\
									\
		GUEST_LONG(see_g, copy);				\
		see_g->page->regs.rsi = GPA_EXTRA;			\
		see_g->page->regs.rdi = GPA_SEEN;			\
		see_g->page->regs.rcx = (bytes) / 8;			\
		ASSERT_RUN(see_g, VEE_EXIT_HLT);			\
		EXPECT_EQ(0, memcmp(seen, model, bytes));		\
	} while (0)

/* A page is written for the first time: it is to be the next of the pool. */
static void note(TEMPLATE *self, __u64 gpa)
{
	int i;

	gpa &= -PAGE_BYTES;
	for (i = 0; i < self->count; i++)
		if (self->at[i] == gpa)
			return;
	self->at[self->count++] = gpa;
}

static void random_script(TEMPLATE *self, unsigned int count, __u64 value)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		__u64 offset = any(PAGES) * PAGE_BYTES + any(PAGE_BYTES / 8) * 8;

		script(&self->g)[i] = GPA_EXTRA + offset;
		*(__u64 *)(self->model + offset) = value + i;
		note(self, GPA_EXTRA + offset);
	}
}

/* The pool has what the model says, in its order, and the template is as ever. */
static bool is_noted(TEMPLATE *self)
{
	__u64 pages[POOL_PAGES];
	int i;

	if (fetch(self->g.vm, pages, POOL_PAGES) != self->count ||
	    memcmp(pages, self->at, self->count * sizeof(*pages)))
		return false;
	for (i = 0; i < self->count; i++)
		if (memcmp(self->pool + i * PAGE_BYTES, self->model + (pages[i] - GPA_EXTRA),
			   PAGE_BYTES))
			return false;
	for (i = 0; i < BYTES / 8; i++)
		if (((__u64 *)self->mem)[i] != i * 0x9e3779b97f4a7c15ULL)
			return false;
	return true;
}

/* All is as at first; with @keep each page stays where it is, copied anew. */
static int put_back(TEMPLATE *self, bool keep)
{
	int i, ret = keep ? 0 : reset(self->g.vm);

	for (i = 0; keep && i < self->count; i++)
		memcpy(self->pool + i * PAGE_BYTES, self->mem + (self->at[i] - GPA_EXTRA),
		       PAGE_BYTES);
	memcpy(self->model, self->mem, BYTES);
	if (!keep)
		self->count = 0;
	return ret;
}

/* --- what is written, and what is not ----------------------------------------------- */

TEST_F(template, copies)
{
	struct guest *g = &self->g;

	EXPECT_SEES(g, BYTES, self->seen, self->model);
	EXPECT_TRUE(is_noted(self));
	random_script(self, 50, 1000);
	ASSERT_WRITES(g, 50, 1000);
	EXPECT_TRUE(is_noted(self));
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	/* What was not read before; and again. */
	random_script(self, 50, 2000);
	ASSERT_WRITES(g, 50, 2000);
	EXPECT_TRUE(is_noted(self));
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	EXPECT_SEES(g, BYTES, self->seen, self->model);
}

TEST_F(template, resets)
{
	struct guest *g = &self->g;
	int i;

	for (i = 0; i < 8; i++) {
		random_script(self, 12, i << 8);
		ASSERT_WRITES(g, 12, i << 8);
		EXPECT_TRUE(is_noted(self)) TH_LOG("round %d", i);
		if (i & 1)
			EXPECT_SEES(g, BYTES, self->seen, self->model);
		EXPECT_EQ(0, put_back(self, i % 3));
		EXPECT_TRUE(is_noted(self)) TH_LOG("round %d", i);
		if (i & 2)
			EXPECT_SEES(g, BYTES, self->seen, self->model);
	}
	EXPECT_EQ(0, reset(g->vm));
	EXPECT_EQ(0, reset(g->vm));
}

/* In each vCPU's page, when its guest had the last one copied. */
TEST_F(template, told)
{
	struct guest *g = &self->g, second;

	EXPECT_EQ(1, g->page->copies);
	random_script(self, 20, 1);
	ASSERT_WRITES(g, 20, 1);
	EXPECT_EQ(1 + self->count, g->page->copies);
	ASSERT_WRITES(g, 20, 1);
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	EXPECT_EQ(1 + self->count, g->page->copies);
	ASSERT_EQ(0, reset(g->vm));
	ASSERT_NE(NULL, locate(g->vm, GPA_EXTRA, VEE_TEMPLATE_WRITE));
	EXPECT_EQ(1 + self->count, g->page->copies);
	script(g)[0] = GPA_EXTRA + PAGE_BYTES;
	ASSERT_WRITES(g, 1, 1);
	EXPECT_EQ(3 + self->count, g->page->copies);
	guest_open_sibling(_metadata, g, &second, 1);
	EXPECT_EQ(3 + self->count, second.page->copies);
	/* With one that could not be: the pool is used up. */
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	ASSERT_EQ(0, map_template(g->vm, self->mem, BYTES, self->pool, PAGE_BYTES));
	script(g)[1] = GPA_EXTRA;
	GUEST_LONG(g, write_script);
	set_script(g, 2, 1);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(4 + self->count, g->page->copies);
	EXPECT_EQ(3 + self->count, second.page->copies);
	guest_close(&second);
}

/* The exits that they cost, where no huge page and nothing else is in the way. */
TEST_F(template, faults)
{
	struct guest *g = &self->g;
	__u64 before;
	int i;

	for (i = 0; i < 20; i++)
		script(g)[i] = GPA_EXTRA + (i + 16) * PAGE_BYTES;
	ASSERT_WRITES(g, 20, 1);
	before = guest_faults(g);
	ASSERT_WRITES(g, 20, 1);
	EXPECT_EQ(0, guest_faults(g) - before);
	ASSERT_EQ(0, reset(g->vm));
	before = guest_faults(g);
	ASSERT_WRITES(g, 20, 1);
	EXPECT_EQ(20, guest_faults(g) - before);
}

TEST_F(template, pool_used_up)
{
	struct guest *g = &self->g;
	int i;

	for (i = 0; i < POOL_PAGES; i++) {
		script(g)[i] = GPA_EXTRA + 3 * i * PAGE_BYTES;
		*(__u64 *)(self->model + 3 * i * PAGE_BYTES) = i;
		note(self, script(g)[i]);
	}
	ASSERT_WRITES(g, POOL_PAGES, 0);
	/* What it has is its own to write, and all of it can be read. */
	ASSERT_WRITES(g, POOL_PAGES, 0);
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	EXPECT_TRUE(is_noted(self));
	for (i = 0; i < 2; i++) {
		script(g)[0] = GPA_EXTRA + 8 + PAGE_BYTES;
		GUEST_LONG(g, write_script);
		set_script(g, 1, 77);
		ASSERT_RUN(g, VEE_EXIT_MEMORY);
		EXPECT_EQ(-ENOSPC, g->page->exit.memory.error);
		EXPECT_EQ(script(g)[0], g->page->exit.memory.gpa);
		EXPECT_TRUE(is_noted(self));
	}
	EXPECT_EQ(NULL, locate(g->vm, script(g)[0], VEE_TEMPLATE_WRITE));
	EXPECT_EQ(ENOSPC, errno);
	/* It goes on where it stopped. */
	ASSERT_EQ(0, put_back(self, false));
	ASSERT_RUN(g, VEE_EXIT_HLT);
	*(__u64 *)(self->model + 8 + PAGE_BYTES) = 77;
	note(self, script(g)[0]);
	EXPECT_TRUE(is_noted(self));
	EXPECT_SEES(g, BYTES, self->seen, self->model);
}

TEST_F(template, located)
{
	struct guest *g = &self->g;
	__u64 page[2];

	EXPECT_EQ(self->mem + 5, locate(g->vm, GPA_EXTRA + 5, 0));
	EXPECT_EQ(0, fetch(g->vm, NULL, 0));
	EXPECT_EQ(self->pool + 7, locate(g->vm, GPA_EXTRA + 3 * PAGE_BYTES + 7,
					 VEE_TEMPLATE_WRITE));
	EXPECT_EQ(1, fetch(g->vm, NULL, 0));
	note(self, GPA_EXTRA + 3 * PAGE_BYTES);
	EXPECT_TRUE(is_noted(self));
	self->pool[0] = 0x55;
	self->model[3 * PAGE_BYTES] = 0x55;
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	script(g)[0] = GPA_EXTRA + BYTES - 8;
	*(__u64 *)(self->model + BYTES - 8) = 9;
	note(self, GPA_EXTRA + BYTES - 8);
	ASSERT_WRITES(g, 1, 9);
	EXPECT_EQ(self->pool + 2 * PAGE_BYTES - 8, locate(g->vm, GPA_EXTRA + BYTES - 8, 0));
	EXPECT_EQ(self->pool + PAGE_BYTES, locate(g->vm, GPA_EXTRA + BYTES - PAGE_BYTES,
						  VEE_TEMPLATE_WRITE));
	EXPECT_TRUE(is_noted(self));
	/* How many there are, whatever there is room for. */
	page[1] = 1;
	EXPECT_EQ(2, fetch(g->vm, page, 1));
	EXPECT_EQ(1, page[1]);
	EXPECT_EQ(GPA_EXTRA + 3 * PAGE_BYTES, page[0]);
	EXPECT_EQ(2, fetch_from(g->vm, 1, page, 2));
	EXPECT_EQ(GPA_EXTRA + BYTES - PAGE_BYTES, page[0]);
	EXPECT_EQ(1, page[1]);
	EXPECT_EQ(2, fetch_from(g->vm, 2, NULL, 1));
	EXPECT_EQ(2, fetch_from(g->vm, ~0U, NULL, 1));
	EXPECT_EQ(0, reset(g->vm));
	EXPECT_EQ(self->mem, locate(g->vm, GPA_EXTRA, 0));
}

/* Another linear address of the page has the template's in its caches. */
GUEST_CODE(alias, 64, "mov (%rbx), %rax; mov %rcx, (%rdi); mov (%rbx), %rax; hlt");

TEST_F(template, alias)
{
	struct guest *g = &self->g;
	int i;

	GUEST_LONG(g, alias);
	guest_write64(g, GPA_PD + 8 * 100, GPA_EXTRA | PTE_ALL | PTE_PS);
	for (i = 0; i < 40; i++) {
		guest_set_rip(g, GPA_CODE);
		g->page->regs.rbx = 100 * PAGES_2M + i * PAGE_BYTES;
		g->page->regs.rdi = GPA_EXTRA + i * PAGE_BYTES;
		g->page->regs.rcx = 0xabc + i;
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(0xabc + i, g->page->regs.rax);
	}
	/* ... and the pool's. */
	GUEST_LONG(g, read_script);
	guest_write64(g, GPA_PD + 8 * 100, GPA_EXTRA | PTE_ALL | PTE_PS);
	ASSERT_EQ(0, reset(g->vm));
	script(g)[0] = 100 * PAGES_2M;
	set_script(g, 1, 0);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(*(__u64 *)self->mem, g->page->regs.rdx);
}

/* What the kernel reads of the guest's is what the guest has written. */
GUEST_CODE(change_code, 64, "movb $0x2a, 4(%rbx); movl $0, (%rdi)");

TEST_F(template, kernel_reads)
{
	struct vee_translate translate = { .size = sizeof(translate), .gva = 50 * PAGES_2M };
	const unsigned int bytes = change_code_end - change_code;
	unsigned char *mem = anon_memory(GUEST_BYTES), *pool = anon_memory(8 * PAGE_BYTES);
	struct guest *g = &self->g;
	unsigned int i;
	struct vee_map map = {
		.size = sizeof(map),
		.hva = (unsigned long)mem,
		.bytes = GUEST_BYTES,
		.access = VEE_RWX,
		.pool = (unsigned long)pool,
		.pool_bytes = 8 * PAGE_BYTES,
	};
	unsigned char *tables;

	GUEST_LONG(g, change_code);
	/* So that the CPU has nothing to note in its tables. */
	guest_write64(g, GPA_PML4, GPA_PDPT | PTE_ALL | PTE_A);
	guest_write64(g, GPA_PDPT, GPA_PD | PTE_ALL | PTE_A);
	for (i = 0; i < 512; i++)
		guest_write64(g, GPA_PD + 8 * i, i * PAGES_2M | PTE_ALL | PTE_PS | PTE_A | PTE_D);
	memcpy(mem, g->mem, GUEST_BYTES);
	ASSERT_EQ(0, vm_unmap(g->vm, 0, GUEST_BYTES));
	ASSERT_EQ(0, vee_call(g->vm, VEE_VM_MAP, &map));
	g->page->prefetch |= VEE_PREFETCH_INSN;
	/* Its own code, ahead of it: the byte is that of the MOVL's immediate. */
	g->page->regs.rbx = GPA_CODE + 2;
	g->page->regs.rdi = GPA_MMIO;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	ASSERT_LT(6, g->page->exit.memory.insn_bytes);
	EXPECT_EQ(0, memcmp(pool + (GPA_CODE % PAGE_BYTES) + 4, g->page->exit.memory.insn, 6));
	EXPECT_EQ(0x2a, pool[(GPA_CODE % PAGE_BYTES) + 6]);
	EXPECT_NE(0x2a, mem[GPA_CODE + 6]);
	EXPECT_LE(6, bytes);
	/* Tables that are changed. */
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_TRANSLATE, &translate));
	EXPECT_EQ(50 * PAGES_2M, translate.gpa);
	tables = locate(g->vm, GPA_PD, VEE_TEMPLATE_WRITE);
	ASSERT_NE(NULL, tables);
	((__u64 *)tables)[50] = 51 * PAGES_2M | PTE_ALL | PTE_PS;
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_TRANSLATE, &translate));
	EXPECT_EQ(51 * PAGES_2M, translate.gpa);
	munmap(mem, GUEST_BYTES);
	munmap(pool, 8 * PAGE_BYTES);
}

/* Of two VMs that share a template neither sees what the other does. */
TEST_F(template, shared)
{
	unsigned char *pool = anon_memory(POOL_BYTES), *seen = anon_memory(BYTES);
	struct guest *g = &self->g, other;

	/* Nobody can write it, and nobody has to. */
	ASSERT_EQ(0, mprotect(self->mem, BYTES, PROT_READ));
	guest_open(_metadata, &other);
	ASSERT_EQ(0, map_template(other.vm, self->mem, BYTES, pool, POOL_BYTES));
	ASSERT_EQ(0, vm_map(other.vm, GPA_SEEN, seen, BYTES, VEE_RWX));
	random_script(self, 60, 5);
	ASSERT_WRITES(g, 60, 5);
	EXPECT_SEES(&other, BYTES, seen, self->mem);
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	EXPECT_EQ(0, fetch(other.vm, NULL, 0));
	EXPECT_TRUE(is_noted(self));
	script(&other)[0] = GPA_EXTRA;
	ASSERT_WRITES(&other, 1, 1);
	EXPECT_EQ(1, fetch(other.vm, NULL, 0));
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	guest_close(&other);
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	munmap(pool, POOL_BYTES);
	munmap(seen, BYTES);
}

/* The slot and its pool are taken back, and are there anew. */
TEST_F(template, unmapped)
{
	struct guest *g = &self->g;

	random_script(self, 30, 5);
	ASSERT_WRITES(g, 30, 5);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	EXPECT_EQ(-ENOENT, reset(g->vm));
	EXPECT_EQ(-ENOENT, fetch(g->vm, NULL, 0));
	EXPECT_EQ(NULL, locate(g->vm, GPA_EXTRA, 0));
	EXPECT_EQ(ENOENT, errno);
	ASSERT_EQ(0, map_template(g->vm, self->mem, BYTES, self->pool, PAGE_BYTES));
	memcpy(self->model, self->mem, BYTES);
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	script(g)[0] = GPA_EXTRA;
	script(g)[1] = GPA_EXTRA + PAGE_BYTES;
	GUEST_LONG(g, write_script);
	set_script(g, 2, 1);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(-ENOSPC, g->page->exit.memory.error);
	/* The VM ends with it. */
}

/* Pages that the caller has taken away. */
TEST_F(template, taken_away)
{
	struct guest *g = &self->g;

	script(g)[0] = GPA_EXTRA;
	ASSERT_WRITES(g, 1, 1);
	ASSERT_EQ(0, munmap(self->pool, 2 * PAGE_BYTES));
	ASSERT_EQ(0, munmap(self->mem + 2 * PAGE_BYTES, PAGE_BYTES));
	GUEST_LONG(g, read_script);
	set_script(g, 1, 0);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
	EXPECT_EQ(GPA_EXTRA, g->page->exit.memory.gpa);
	/* The next of the pool, and one of the template. */
	script(g)[0] = GPA_EXTRA + PAGE_BYTES;
	GUEST_LONG(g, write_script);
	set_script(g, 1, 0);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
	EXPECT_EQ(1, fetch(g->vm, NULL, 0));
	EXPECT_EQ(NULL, locate(g->vm, GPA_EXTRA + PAGE_BYTES, VEE_TEMPLATE_WRITE));
	EXPECT_EQ(EFAULT, errno);
	script(g)[0] = GPA_EXTRA + 2 * PAGE_BYTES;
	set_script(g, 1, 0);
	guest_set_rip(g, GPA_CODE);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(-EFAULT, g->page->exit.memory.error);
	/* All of it is back. */
	ASSERT_NE(MAP_FAILED, mmap(self->pool, 2 * PAGE_BYTES, MEMORY_RW,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	script(g)[0] = GPA_EXTRA + PAGE_BYTES;
	ASSERT_WRITES(g, 1, 1);
	EXPECT_EQ(2, fetch(g->vm, NULL, 0));
	EXPECT_EQ(1, *(__u64 *)(self->pool + PAGE_BYTES));
	EXPECT_EQ(0, reset(g->vm));
}

/* --- arguments ------------------------------------------------------------------------ */

TEST_F(template, hostile_requests)
{
	static const struct vee_template bad[] = {
		{ .operation = 3 },
		{ .operation = ~0U },
		{ .first = 1 },
		{ .hva = 1 },
		{ .pages = 8 },
		{ .room = 8 },
		{ .flags = VEE_TEMPLATE_WRITE },
		{ .flags = 2 },
		{ .operation = VEE_TEMPLATE_FETCH, .flags = VEE_TEMPLATE_WRITE },
		{ .operation = VEE_TEMPLATE_LOCATE, .flags = 2 },
		{ .operation = VEE_TEMPLATE_LOCATE, .first = 1 },
		{ .operation = VEE_TEMPLATE_LOCATE, .room = 1 },
	};
	struct guest *g = &self->g;
	struct vee_dirty dirty = {
		.size = sizeof(dirty), .operation = VEE_DIRTY_START, .gpa = GPA_EXTRA,
		.bytes = PAGE_BYTES,
	};
	struct vee_template template;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		template = bad[i];
		template.gpa = GPA_EXTRA;
		EXPECT_EQ(-EINVAL, template_call(g->vm, &template)) TH_LOG("%u", i);
	}
	for (i = 0; i < 3; i++) {
		template = (struct vee_template) { .operation = i, .gpa = GPA_DATA };
		EXPECT_EQ(-ENOENT, template_call(g->vm, &template)) TH_LOG("%u", i);
		template = (struct vee_template) { .operation = i, .gpa = ~0ULL };
		EXPECT_EQ(-ENOENT, template_call(g->vm, &template)) TH_LOG("%u", i);
	}
	script(g)[0] = GPA_EXTRA;
	ASSERT_WRITES(g, 1, 1);
	EXPECT_EQ(-EFAULT, fetch(g->vm, NULL, 1));
	EXPECT_EQ(-EFAULT, fetch(g->vm, (__u64 *)~0xfffUL, ~0ULL));
	EXPECT_EQ(1, fetch(g->vm, &template.gpa, ~0ULL));
	EXPECT_EQ(-EOPNOTSUPP, vee_call(g->vm, VEE_VM_DIRTY, &dirty));
}

TEST_F(template, hostile_slots)
{
	const __u64 mem = (unsigned long)self->mem, pool = (unsigned long)self->pool;
	const struct vee_map bad[] = {
		{ .pool = pool },
		{ .pool = pool + 1, .pool_bytes = PAGE_BYTES },
		{ .pool = pool, .pool_bytes = 1 },
		{ .pool = pool, .pool_bytes = BYTES + PAGE_BYTES },
		{ .pool = pool, .pool_bytes = PAGE_BYTES, .access = VEE_READ | VEE_EXECUTE },
		{ .pool = -PAGE_BYTES, .pool_bytes = 2 * PAGE_BYTES },
		{ .pool = mem, .pool_bytes = PAGE_BYTES },
		{ .pool = mem + BYTES - PAGE_BYTES, .pool_bytes = PAGE_BYTES },
		{ .pool = mem - PAGE_BYTES, .pool_bytes = 2 * PAGE_BYTES },
		{ .pool = pool, .pool_bytes = PAGE_BYTES, .bytes = 1ULL << 44 },
	};
	struct guest *g = &self->g;
	unsigned int i;

	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vee_map map = bad[i];

		map.size = sizeof(map);
		map.gpa = GPA_EXTRA;
		map.hva = mem;
		map.access = map.access ?: VEE_RWX;
		map.bytes = map.bytes ?: BYTES;
		EXPECT_EQ(-EINVAL, vee_call(g->vm, VEE_VM_MAP, &map)) TH_LOG("%u", i);
	}
	EXPECT_EQ(-EFAULT, map_template(g->vm, self->mem, BYTES, (void *)0x10000, PAGE_BYTES));
	EXPECT_EQ(-EFAULT, map_template(g->vm, self->mem, BYTES, (void *)(-1UL << 47), PAGE_BYTES));
	/* Nothing of this is left. */
	ASSERT_EQ(0, map_template(g->vm, self->mem, BYTES, self->pool, BYTES / 4));
}

/* Two slots with one pool: what they write there is anybody's, and nobody else's. */
TEST_F(template, one_pool_for_two)
{
	struct guest *g = &self->g;
	struct vee_map map = {
		.size = sizeof(map),
		.gpa = GPA_EXTRA + BYTES,
		.hva = (unsigned long)self->mem,
		.bytes = BYTES,
		.access = VEE_RWX,
		.pool = (unsigned long)self->pool,
		.pool_bytes = POOL_BYTES,
	};
	int i;

	ASSERT_EQ(0, vee_call(g->vm, VEE_VM_MAP, &map));
	for (i = 0; i < 40; i++)
		script(g)[i] = GPA_EXTRA + (i & 1 ? BYTES : 0) + i * PAGE_BYTES;
	for (i = 0; i < 3; i++) {
		ASSERT_WRITES(g, 40, 1);
		madvise(self->pool, POOL_BYTES, i ? MADV_PAGEOUT : MADV_DONTNEED);
		ASSERT_READS(g, 40);
	}
	EXPECT_EQ(20, fetch(g->vm, NULL, 0));
	self->count = 0;
	for (i = 0; i < BYTES / 8; i++)
		ASSERT_EQ(i * 0x9e3779b97f4a7c15ULL, ((__u64 *)self->mem)[i]);
}

/* --- memory that has to be waited for ------------------------------------------------- */

struct supplier {
	int fd;
	bool stop;
	int supplied;
};

static void *supply(void *arg)
{
	static unsigned char page[PAGE_BYTES] __attribute__((aligned(4096)));
	struct supplier *s = arg;
	struct uffd_msg msg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		if (read(s->fd, &msg, sizeof(msg)) != sizeof(msg)) {
			usleep(200);
			continue;
		}
		memset(page, 0x66, sizeof(page));
		/* Before whoever waits for it can look. */
		__atomic_add_fetch(&s->supplied, 1, __ATOMIC_RELEASE);
		supply_missing(s->fd, (void *)(unsigned long)(msg.arg.pagefault.address &
							      -PAGE_BYTES), page);
	}
	return NULL;
}

TEST_F(template, waited_for)
{
	unsigned char *mem = anon_memory(BYTES), *pool = anon_memory(POOL_BYTES);
	struct supplier mem_s = { 0 }, pool_s = { 0 };
	struct guest *g = &self->g;
	pthread_t threads[2];
	int i;

	mem_s.fd = watch_missing(_metadata, mem, BYTES);
	pool_s.fd = watch_missing(_metadata, pool, POOL_BYTES);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	ASSERT_EQ(0, map_template(g->vm, mem, BYTES, pool, POOL_BYTES));
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, supply, &mem_s));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, supply, &pool_s));
	for (i = 0; i < 10; i++)
		script(g)[i] = GPA_EXTRA + 5 * i * PAGE_BYTES;
	ASSERT_WRITES(g, 10, 1);
	EXPECT_EQ(10, __atomic_load_n(&mem_s.supplied, __ATOMIC_ACQUIRE));
	EXPECT_EQ(10, __atomic_load_n(&pool_s.supplied, __ATOMIC_ACQUIRE));
	EXPECT_EQ(10, fetch(g->vm, NULL, 0));
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(1 + i, *(__u64 *)(pool + i * PAGE_BYTES));
		EXPECT_EQ(0x66, pool[i * PAGE_BYTES + 8]);
	}
	EXPECT_EQ(pool + 10 * PAGE_BYTES, locate(g->vm, GPA_EXTRA + PAGE_BYTES,
						 VEE_TEMPLATE_WRITE));
	mem_s.stop = true;
	pool_s.stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	close(mem_s.fd);
	close(pool_s.fd);
	munmap(mem, BYTES);
	munmap(pool, POOL_BYTES);
}

/* --- what the host does meanwhile ----------------------------------------------------- */

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

/* To a part of @bytes at @mem, which has the same contents afterwards. */
static void host_moves(unsigned char *mem, __u64 pages)
{
	size_t offset = any(pages) * PAGE_BYTES;
	size_t bytes = (1 + any(pages - offset / PAGE_BYTES)) * PAGE_BYTES;

	switch (any(5)) {
	case 0:
		mprotect(mem + offset, bytes, PROT_READ);
		mprotect(mem + offset, bytes, MEMORY_RW | PROT_EXEC);
		break;
	case 1:
		madvise(mem + offset, bytes, MADV_PAGEOUT);
		break;
	case 2:
		if (!fork())
			_exit(0);
		wait(NULL);
		break;
	case 3:
		madvise(mem + offset, bytes, any(2) ? MADV_MERGEABLE : MADV_UNMERGEABLE);
		break;
	}
}

TEST_F_TIMEOUT(template, model, 120)
{
	struct guest *g = &self->g;
	unsigned int i, value;

	swap_on();
	merge_pages(true);
	for (i = 0; i < 30; i++) {
		unsigned char *page;
		__u64 gpa;

		if (self->count > POOL_PAGES - 30 || !any(4)) {
			ASSERT_EQ(0, put_back(self, any(2)));
			if (self->count > POOL_PAGES - 30)
				ASSERT_EQ(0, put_back(self, false));
		}
		host_moves(self->mem, PAGES);
		value = any(~0U);
		random_script(self, 20, value);
		ASSERT_WRITES(g, 20, value);
		host_moves(self->pool, POOL_PAGES);
		host_moves(self->mem, PAGES);
		/* Somebody writes on the guest's behalf. */
		gpa = GPA_EXTRA + any(BYTES);
		page = locate(g->vm, gpa, VEE_TEMPLATE_WRITE);
		ASSERT_NE(NULL, page);
		*page = any(256);
		self->model[gpa - GPA_EXTRA] = *page;
		note(self, gpa);
		/* What the host has dropped of the pool is zeros. */
		if (self->count && !any(4)) {
			int at = any(self->count);

			madvise(self->pool + at * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED);
			memset(self->model + (self->at[at] - GPA_EXTRA), 0, PAGE_BYTES);
		}
		EXPECT_TRUE(is_noted(self)) TH_LOG("round %u", i);
		EXPECT_SEES(g, BYTES, self->seen, self->model);
	}
	merge_pages(false);
}

/* --- two vCPUs -------------------------------------------------------------------------- */

/* Adds RAX to a word of each of RCX pages, whoever else does so. */
GUEST_CODE(add_all, 64,
	   "cli; 1: lock add %rax, (%rdi); add $4096, %rdi; dec %rcx; jnz 1b; hlt");
/* The same for ever, until told to stop. */
GUEST_CODE(add_on, 64,
	   "cli; mov %rdi, %rbx; mov $100, %ecx;"
	   "1: lock add %rax, (%rbx); add $4096, %rbx; dec %ecx; jnz 1b;"
	   "inc %rdx; cmpl $0, 0x20000; je add_on; hlt");

static void start_adder(struct __test_metadata *_metadata, struct guest *g, struct runner *r,
			__u64 step)
{
	guest_set_long(g);
	guest_set_rip(g, GPA_CODE);
	g->page->regs.rdi = GPA_EXTRA;
	g->page->regs.rcx = 100;
	g->page->regs.rax = step;
	g->page->regs.rsp = GPA_STACK - step * 64;
	ASSERT_EQ(0, runner_insist(r, g));
}

static void use_all_cpus(void)
{
	cpu_set_t all;
	int i;

	CPU_ZERO(&all);
	for (i = 0; i < cpus_online(); i++)
		CPU_SET(i, &all);
	sched_setaffinity(0, sizeof(all), &all);
}

/* A page is copied once, and what both add to it is there. */
TEST_F_TIMEOUT(template, race, 60)
{
	struct guest *g = &self->g, second;
	struct runner r[2];
	__u64 pages[POOL_PAGES];
	int i, at;

	use_all_cpus();
	guest_open_sibling(_metadata, g, &second, 1);
	second.page->deadline_ns = LONG_NS;
	GUEST_LOAD(g, add_all);
	for (i = 0; i < 10; i++) {
		start_adder(_metadata, g, &r[0], 1);
		start_adder(_metadata, &second, &r[1], 3);
		EXPECT_EQ(0, runner_join(&r[0]));
		EXPECT_EQ(0, runner_join(&r[1]));
		ASSERT_EQ(100, fetch(g->vm, pages, POOL_PAGES));
		EXPECT_EQ(101 + i * 100, g->page->copies > second.page->copies ?
			  g->page->copies : second.page->copies);
		for (at = 0; at < 100; at++) {
			__u64 offset = pages[at] - GPA_EXTRA;

			EXPECT_EQ(*(__u64 *)(self->mem + offset) + 4,
				  *(__u64 *)(self->pool + at * PAGE_BYTES));
			EXPECT_EQ(0, memcmp(self->mem + offset + 8,
					    self->pool + at * PAGE_BYTES + 8, PAGE_BYTES - 8));
		}
		ASSERT_EQ(0, reset(g->vm));
	}
	guest_close(&second);
}

/* Both write while all of it is asked for, moved, and put back. */
TEST_F_TIMEOUT(template, running, 120)
{
	struct guest *g = &self->g, second;
	struct runner r[2];
	__u64 pages[POOL_PAGES];
	int i, at, count;

	use_all_cpus();
	guest_open_sibling(_metadata, g, &second, 1);
	second.page->deadline_ns = LONG_NS;
	GUEST_LOAD(g, add_on);
	guest_write32(g, GPA_DATA, 0);
	start_adder(_metadata, g, &r[0], 1);
	start_adder(_metadata, &second, &r[1], 3);
	for (i = 0; i < 60; i++) {
		count = fetch(g->vm, pages, POOL_PAGES);
		ASSERT_LE(0, count);
		ASSERT_GE(100, count);
		host_moves(i & 1 ? self->mem : self->pool, POOL_PAGES);
		if (i % 3)
			ASSERT_EQ(0, reset(g->vm));
		ASSERT_NE(NULL, locate(g->vm, GPA_EXTRA + any(100) * PAGE_BYTES, i % 2 ?
				       VEE_TEMPLATE_WRITE : 0));
		usleep(1000);
	}
	guest_write32(g, GPA_DATA, 1);
	EXPECT_EQ(0, runner_join(&r[0]));
	EXPECT_EQ(0, runner_join(&r[1]));
	/* All but the word is the template's, and what is not noted all of it. */
	count = fetch(g->vm, pages, POOL_PAGES);
	EXPECT_LT(0, count);
	EXPECT_GE(100, count);
	for (at = 0; at < count; at++) {
		__u64 offset = pages[at] - GPA_EXTRA;

		memcpy(self->model + offset, self->pool + at * PAGE_BYTES, 8);
		EXPECT_EQ(0, memcmp(self->model + offset, self->pool + at * PAGE_BYTES,
				    PAGE_BYTES)) TH_LOG("page %d", at);
	}
	EXPECT_SEES(g, BYTES, self->seen, self->model);
	guest_close(&second);
}

/* --- what a VM takes --------------------------------------------------------------------- */

#define CGROUPS		"/tmp/vee-cgroups"
#define CGROUP		CGROUPS "/vee"
#define MANY		64	/* VMs */
#define WRITTEN		16	/* pages, each */
#define MOST_KIB	96	/* beside these */

static int cgroup_begin(void)
{
	int err;

	mkdir(CGROUPS, 0700);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL))
		return -errno;
	err = write_file(CGROUPS "/cgroup.subtree_control", "+memory");
	if (!err && mkdir(CGROUP, 0700))
		err = -errno;
	return err ?: write_file(CGROUP "/cgroup.procs", "0");
}

static void cgroup_end(void)
{
	write_file(CGROUPS "/cgroup.procs", "0");
	rmdir(CGROUP);
	umount(CGROUPS);
	rmdir(CGROUPS);
}

/* A VM with the template, and the code of @g's. */
static void add_vm(struct __test_metadata *_metadata, const struct guest *g, const void *mem,
		   void *pool, struct guest *vm)
{
	*vm = (struct guest) { .mem = g->mem, .borrowed = true };
	vm->vm = vm_create(g->dev);
	ASSERT_LE(0, vm->vm);
	ASSERT_EQ(0, vm_map(vm->vm, 0, vm->mem, GUEST_BYTES, VEE_RWX));
	ASSERT_EQ(0, map_template(vm->vm, mem, BYTES, pool, WRITTEN * PAGE_BYTES));
	guest_add_vcpu(_metadata, vm, 0);
	vm->page->deadline_ns = LONG_NS;
	ASSERT_WRITES(vm, WRITTEN, 1);
}

TEST_F(template, memory)
{
	unsigned char *pools = anon_memory(MANY * WRITTEN * PAGE_BYTES);
	struct guest *g = &self->g, vms[MANY];
	long before, kib;
	int i;

	ASSERT_NE(MAP_FAILED, pools);
	madvise(pools, MANY * WRITTEN * PAGE_BYTES, MADV_NOHUGEPAGE);
	for (i = 0; i < WRITTEN; i++)
		script(g)[i] = GPA_EXTRA + 3 * i * PAGE_BYTES;
	ASSERT_WRITES(g, WRITTEN, 1);
	if (cgroup_begin()) {
		cgroup_end();
		VEE_SKIP("no memory controller of cgroups");
	}
	before = read_number(CGROUP "/memory.current");
	for (i = 0; i < MANY; i++)
		add_vm(_metadata, g, self->mem, pools + i * WRITTEN * PAGE_BYTES, &vms[i]);
	kib = (read_number(CGROUP "/memory.current") - before) / 1024 / MANY;
	TH_LOG("%ld KiB a VM", kib - WRITTEN * 4);
	EXPECT_LT(WRITTEN * 4, kib);
	EXPECT_GE(WRITTEN * 4 + MOST_KIB, kib);
	for (i = 0; i < MANY; i++) {
		guest_close(&vms[i]);
		close(vms[i].vm);
	}
	cgroup_end();
	munmap(pools, MANY * WRITTEN * PAGE_BYTES);
}

/* --- huge pages --------------------------------------------------------------------------- */

#define THP_ENABLED	"/sys/kernel/mm/transparent_hugepage/enabled"

TEST_F(template, huge_page)
{
	unsigned char *room = anon_memory(2 * PAGES_2M), *mem;
	struct guest *g = &self->g;
	__u64 before;
	int i;

	if (!(vee_info(g->dev).features & VEE_FEATURE_EPT_2M))
		VEE_SKIP("this CPU has no EPT entries for 2 MiB");
	ASSERT_NE(MAP_FAILED, room);
	mem = (unsigned char *)(((unsigned long)room + PAGES_2M - 1) & -PAGES_2M);
	write_file(THP_ENABLED, "madvise");
	if (madvise(mem, PAGES_2M, MADV_HUGEPAGE))
		VEE_SKIP("no transparent huge pages: %s", strerror(errno));
	memcpy(mem, self->mem, PAGES_2M);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, BYTES));
	ASSERT_EQ(0, map_template(g->vm, mem, PAGES_2M, self->pool, POOL_BYTES));
	for (i = 0; i < PAGES; i++)
		script(g)[i] = GPA_EXTRA + i * PAGE_BYTES;
	before = guest_faults(g);
	ASSERT_READS(g, PAGES);
	/* The slot of the script has some, too. */
	EXPECT_GE(8, guest_faults(g) - before);
	/* It is split for what is written, and the rest is there yet. */
	random_script(self, 40, 3);
	ASSERT_WRITES(g, 40, 3);
	before = guest_faults(g);
	EXPECT_SEES(g, PAGES_2M, self->seen, self->model);
	EXPECT_TRUE(is_noted(self));
	EXPECT_EQ(0, memcmp(mem, self->mem, PAGES_2M));
	/* The host takes the template away: it comes back, but not over what is written. */
	ASSERT_EQ(0, mprotect(mem, PAGES_2M, PROT_NONE));
	ASSERT_EQ(0, mprotect(mem, PAGES_2M, PROT_READ));
	EXPECT_SEES(g, PAGES_2M, self->seen, self->model);
	EXPECT_TRUE(is_noted(self));
	ASSERT_EQ(0, put_back(self, false));
	EXPECT_SEES(g, PAGES_2M, self->seen, self->model);
	ASSERT_EQ(0, vm_unmap(g->vm, GPA_EXTRA, PAGES_2M));
	ASSERT_EQ(0, map_template(g->vm, self->mem, BYTES, self->pool, POOL_BYTES));
	munmap(room, 2 * PAGES_2M);
}

TEST_HARNESS_MAIN
