// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of the host a caller can take: ceilings of the module's parameters, and what is
 * charged to the memory cgroup of who asks for it.
 */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "module_util.h"

#define PARAMETERS	MODULE "/parameters/"
#define FIRST_GPA	0x40000000ULL
#define REGIONS		64	/* each takes a table of leaves */

/* Touches ECX regions of 2 MiB, from EBX on. */
GUEST_CODE(touch, 32, "1: mov (%ebx), %eax; add $0x200000, %ebx; dec %ecx; jnz 1b; hlt");

/* Each page. */
GUEST_CODE(dense, 32, "1: mov (%ebx), %eax; add $0x1000, %ebx; dec %ecx; jnz 1b; hlt");

static int set_ceiling(const char *name, unsigned int most)
{
	char path[256], text[16];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%u", most);
	return write_file(path, text);
}

/* The same page everywhere: the caller's own tables don't grow with the guest's. */
static int map_regions(int vm, const void *page)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < REGIONS; i++)
		ret = vm_map(vm, FIRST_GPA + i * PAGES_2M, page, PAGE_BYTES, VEE_READ);
	return ret;
}

static void set_touch(struct guest *g)
{
	GUEST_PROTECTED(g, touch);
	g->page->regs.rbx = FIRST_GPA;
	g->page->regs.rcx = REGIONS;
}

/* --- ceilings ---------------------------------------------------------------- */

FIXTURE(ceiling) {
	struct module as_it_was;
	struct guest g;
};

/* Nobody else has VMs: they would count. */
FIXTURE_SETUP(ceiling)
{
	module_take(_metadata, &self->as_it_was);
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(ceiling)
{
	guest_close(&self->g);
	EXPECT_EQ(0, set_ceiling("max_vms", 0));
	EXPECT_EQ(0, set_ceiling("max_vcpus", 0));
	EXPECT_EQ(0, set_ceiling("max_tables", 0));
}

TEST_F(ceiling, vms)
{
	int vm[2], dev = self->g.dev;

	ASSERT_EQ(0, set_ceiling("max_vms", 3));
	vm[0] = vm_create(dev);
	vm[1] = vm_create(dev);
	ASSERT_LE(0, vm[0]);
	ASSERT_LE(0, vm[1]);
	EXPECT_EQ(-EDQUOT, vm_create(dev));
	close(vm[1]);
	vm[1] = vm_create(dev);
	EXPECT_LE(0, vm[1]);
	/* Fewer than there are: none goes, and none comes. */
	EXPECT_EQ(0, set_ceiling("max_vms", 1));
	EXPECT_EQ(-EDQUOT, vm_create(dev));
	close(vm[0]);
	EXPECT_EQ(-EDQUOT, vm_create(dev));
	EXPECT_EQ(0, set_ceiling("max_vms", 0));
	vm[0] = vm_create(dev);
	EXPECT_LE(0, vm[0]);
	close(vm[0]);
	close(vm[1]);
}

/* Of all VMs; and one that can't be made for another reason counts for nothing. */
TEST_F(ceiling, vcpus)
{
	int vcpu, vm = vm_create(self->g.dev);
	unsigned int i;

	ASSERT_LE(0, vm);
	ASSERT_EQ(0, set_ceiling("max_vcpus", 2));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-EEXIST, vcpu_create(self->g.vm, 0));
	vcpu = vcpu_create(vm, 7);
	ASSERT_LE(0, vcpu);
	EXPECT_EQ(-EDQUOT, vcpu_create(vm, 8));
	EXPECT_EQ(-EDQUOT, vcpu_create(self->g.vm, 1));
	close(vcpu);
	vcpu = vcpu_create(self->g.vm, 1);
	EXPECT_LE(0, vcpu);
	close(vcpu);
	close(vm);
}

/* The guest waits at the instruction that takes one too many, and goes on when it may. */
TEST_F(ceiling, tables)
{
	struct guest *g = &self->g;
	const struct vee_exit_memory *memory = &g->page->exit.memory;
	__u64 first;

	ASSERT_EQ(0, map_regions(g->vm, g->mem + GPA_DATA));
	ASSERT_EQ(0, set_ceiling("max_tables", REGIONS / 2));
	set_touch(g);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(-EDQUOT, memory->error);
	first = memory->gpa;
	EXPECT_LT(FIRST_GPA, first);
	EXPECT_GT(FIRST_GPA + REGIONS / 2 * PAGES_2M, first);
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(first, memory->gpa);
	ASSERT_EQ(0, set_ceiling("max_tables", 0));
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, g->page->regs.rcx);
}

/* --- for how long ---------------------------------------------------------------- */

#define TRACING		"/sys/kernel/tracing/"
#define EVENTS		TRACING "events/vee_hold/"
#define DENSE_BYTES	(32 * PAGES_2M)
#define PIECE_BYTES	(16 * PAGES_2M)	/* EPT_PIECE_TABLES */
#define LONGEST_US	20000		/* a few thousand in the lab, but on a debug kernel */

FIXTURE(hold) {
	struct guest g;
};

FIXTURE_SETUP(hold)
{
	int dev = vee_open(_metadata);

	close(dev);
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	if (write_file(TRACING "kprobe_events",
		       "p:vee_hold/begin vee:ept_zap\nr:vee_hold/end vee:ept_zap\n"))
		VEE_SKIP("no kprobes as events: they take CONFIG_KPROBE_EVENTS, and root");
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(hold)
{
	write_file(EVENTS "enable", "0");
	write_file(TRACING "kprobe_events", "-:vee_hold/begin\n-:vee_hold/end\n");
	guest_close(&self->g);
}

/* How often there was an end, and how long after its begin at most. */
static unsigned int longest_us(double *longest)
{
	FILE *f = fopen(TRACING "trace", "re");
	unsigned int calls = 0;
	double began = 0;
	char line[256];

	*longest = 0;
	while (f && fgets(line, sizeof(line), f)) {
		const char *name = strstr(line, ": begin: ") ?: strstr(line, ": end: ");
		double at;

		if (!name)
			continue;
		while (name > line && strchr("0123456789.", name[-1]))
			name--;
		at = strtod(name, NULL) * 1000000;
		if (strstr(name, "begin")) {
			began = at;
			continue;
		}
		calls++;
		*longest = at - began > *longest ? at - began : *longest;
	}
	if (f)
		fclose(f);
	return calls;
}

/* What is taken away from a guest that has all of it in small pages. */
TEST_F_TIMEOUT(hold, in_pieces, 120)
{
	struct guest *g = &self->g;
	volatile char *mem = anon_memory(DENSE_BYTES);
	unsigned int calls;
	double longest;
	__u64 at;

	ASSERT_NE(MAP_FAILED, mem);
	madvise((void *)mem, DENSE_BYTES, MADV_NOHUGEPAGE);
	/* All of it is the page of zeroes. */
	for (at = 0; at < DENSE_BYTES; at += PAGE_BYTES)
		(void)mem[at];
	ASSERT_EQ(0, vm_map(g->vm, FIRST_GPA, (void *)mem, DENSE_BYTES, VEE_READ));
	GUEST_PROTECTED(g, dense);
	g->page->regs.rbx = FIRST_GPA;
	g->page->regs.rcx = DENSE_BYTES / PAGE_BYTES;
	g->page->deadline_ns = 0;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ASSERT_EQ(0, write_file(EVENTS "enable", "1"));
	ASSERT_EQ(0, vm_unmap(g->vm, FIRST_GPA, DENSE_BYTES));
	calls = longest_us(&longest);
	TH_LOG("%u pieces, %.0f us at most", calls, longest);
	EXPECT_LE(DENSE_BYTES / PIECE_BYTES, calls);
	EXPECT_GE(LONGEST_US, longest);
	munmap((void *)mem, DENSE_BYTES);
}

/* --- what is charged ----------------------------------------------------------- */

#define HIERARCHY	"/tmp/vee-limits"
#define OURS		HIERARCHY "/vee-limits"
#define VMS		64

FIXTURE(charge) {
	bool mounted;
};

FIXTURE_SETUP(charge)
{
	int dev = vee_open(_metadata);

	close(dev);
	if (geteuid())
		VEE_SKIP("a cgroup takes root");
	mkdir(HIERARCHY, 0755);
	if (mount("cgroup2", HIERARCHY, "cgroup2", 0, NULL) ||
	    write_file(HIERARCHY "/cgroup.subtree_control", "+memory"))
		VEE_SKIP("no memory controller of cgroup v2");
	if (mkdir(OURS, 0755) && errno != EEXIST)
		VEE_SKIP("no cgroup: %s", strerror(errno));
	ASSERT_EQ(0, write_file(OURS "/cgroup.procs", "0"));
}

FIXTURE_TEARDOWN(charge)
{
	write_file(HIERARCHY "/cgroup.procs", "0");
	rmdir(OURS);
	umount(HIERARCHY);
	rmdir(HIERARCHY);
}

/* The kernel charges in lots of 64 pages for each CPU. */
#define LOTS		(64 * 8 * PAGE_BYTES)

static long long charged(void)
{
	char text[32] = "";

	read_text(OURS "/memory.current", text, sizeof(text));
	return atoll(text);
}

/* Of a VM its root table, of its vCPU the page, the VMCS and the FPU's state, at least. */
TEST_F(charge, lives)
{
	int dev = open("/dev/vee", O_RDWR | O_CLOEXEC), vm[VMS], vcpu[VMS];
	long long before = charged(), meanwhile;
	int i;

	for (i = 0; i < VMS; i++) {
		vm[i] = vm_create(dev);
		vcpu[i] = vcpu_create(vm[i], 0);
		ASSERT_LE(0, vcpu[i]);
	}
	meanwhile = charged();
	EXPECT_LE(before + VMS * 4 * PAGE_BYTES - LOTS / 8, meanwhile);
	for (i = 0; i < VMS; i++) {
		close(vcpu[i]);
		close(vm[i]);
	}
	EXPECT_GE(meanwhile - VMS * 4 * PAGE_BYTES + LOTS, charged());
	close(dev);
}

/* A guest's touches, of memory that all is the same page, take its caller's memory. */
TEST_F(charge, tables)
{
	long long before, meanwhile;
	struct guest g[8];
	int i;

	for (i = 0; i < ARRAY_SIZE(g); i++) {
		guest_open(_metadata, &g[i]);
		ASSERT_EQ(0, map_regions(g[i].vm, g[i].mem + GPA_DATA));
		GUEST_PROTECTED(&g[i], touch);
		memset(g[i].mem, 0, GPA_DATA);
	}
	before = charged();
	for (i = 0; i < ARRAY_SIZE(g); i++) {
		set_touch(&g[i]);
		ASSERT_RUN(&g[i], VEE_EXIT_HLT);
	}
	meanwhile = charged();
	EXPECT_LE(before + ARRAY_SIZE(g) * REGIONS * PAGE_BYTES - LOTS / 8, meanwhile)
		TH_LOG("%lld, then %lld", before, meanwhile);
	for (i = 0; i < ARRAY_SIZE(g); i++)
		guest_close(&g[i]);
}

TEST_HARNESS_MAIN
