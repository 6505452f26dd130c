// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that locks the bus for all CPUs, where the host holds programs back from it:
 * split_lock_detect= on the kernel's command line, on a CPU that detects it.
 */
#include <sys/mman.h>

#include "vee_util.h"

#define SPLIT		0x2003e		/* across a border of cache lines */
#define LOCKS		50
#define LOCKS_PER_S	100		/* what a guest has of them; each pauses for 10 ms */

GUEST_CODE(whole, 64, "mov $50, %ecx; 1: lock incl 0x20040; loop 1b; hlt");
GUEST_CODE(split, 64, "mov $50, %ecx; 1: lock incl 0x2003e; loop 1b; hlt");

FIXTURE(lock) {
	struct guest g;
};

FIXTURE_SETUP(lock)
{
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(lock)
{
	guest_close(&self->g);
}

/* One that is within a line of the cache is nobody's business. */
TEST_F(lock, whole)
{
	struct guest *g = &self->g;
	__u64 began;

	GUEST_LONG(g, whole);
	began = now_ns();
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_GT(LOCKS * 1000 * MS_NS / LOCKS_PER_S, now_ns() - began);
	EXPECT_EQ(LOCKS, guest_read32(g, 0x20040));
}

/* It comes to its end, but not at its own pace. */
TEST_F(lock, split)
{
	struct vee_stats stats = { .size = sizeof(stats) };
	struct guest *g = &self->g;
	__u64 began, ns;

	if (!file_has("/proc/cpuinfo", "bus_lock_detect") ||
	    !file_has("/proc/cmdline", "split_lock_detect=ratelimit"))
		VEE_SKIP("no bus locks are detected: boot with split_lock_detect=ratelimit:10");
	GUEST_LONG(g, split);
	g->page->deadline_ns = 0;
	began = now_ns();
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ns = now_ns() - began;
	ASSERT_EQ(0, vee_call(g->vcpu, VEE_VCPU_STATS, &stats));
	if (!stats.exits[74])
		VEE_SKIP("this CPU has no exit for a bus lock");
	EXPECT_LE(LOCKS * 1000 * MS_NS / LOCKS_PER_S, ns);
	EXPECT_EQ(LOCKS, *(__u32 *)(g->mem + SPLIT));
}

TEST_HARNESS_MAIN
