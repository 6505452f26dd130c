// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's TSC on a host that does without its own: "tsc=unstable" on the kernel's
 * command line says so, to it and to these tests, which then may do as they like with it.
 */
#include <cpuid.h>

#include "vee_util.h"

#define CLOCKSOURCE	"/sys/devices/system/clocksource/clocksource0/"
#define MSR_TSC		0x10
#define POWER		0x80000007U
#define INVARIANT	BIT_ULL(8)

/* How far the second CPU's is behind; a move takes less. */
#define BEHIND		20000000ULL

GUEST_CODE(read_tsc, 64, "rdtsc; hlt");
GUEST_CODE(read_cpuid, 64, "mov $0x80000007, %eax; cpuid; hlt");

/* Nobody is told that it can go by what the host doesn't go by. */
TEST(invariant)
{
	bool uses = file_has(CLOCKSOURCE "current_clocksource", "tsc");
	bool has = file_has(CLOCKSOURCE "available_clocksource", "tsc");
	unsigned int eax, ebx, ecx, edx = 0;
	struct guest g;

	if (has && !uses)
		VEE_SKIP("the host may or may not take its TSC for stable");
	__get_cpuid(POWER, &eax, &ebx, &ecx, &edx);
	guest_open(_metadata, &g);
	GUEST_LONG(&g, read_cpuid);
	ASSERT_RUN(&g, VEE_EXIT_HLT);
	EXPECT_EQ(uses ? edx & INVARIANT : 0, g.page->regs.rdx);
	guest_close(&g);
}

static bool pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

/* On the CPU at hand. */
static bool change_tsc(int msr, __u64 by)
{
	__u64 tsc = __builtin_ia32_rdtsc() + by;

	return pwrite(msr, &tsc, sizeof(tsc), MSR_TSC) == sizeof(tsc);
}

static __u64 tsc_on(struct __test_metadata *_metadata, struct guest *g, unsigned int cpu)
{
	EXPECT_TRUE(pin(cpu));
	guest_set_rip(g, GPA_CODE);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	return (__u32)g->page->regs.rax | g->page->regs.rdx << 32;
}

static void move(struct __test_metadata *_metadata)
{
	__u64 before, there, back;
	struct guest g;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, read_tsc);
	before = tsc_on(_metadata, &g, 0);
	there = tsc_on(_metadata, &g, 1);
	back = tsc_on(_metadata, &g, 0);
	EXPECT_LT(before, there);
	EXPECT_LT(there, back);
	/* It is vee's own business: nothing that the caller has to keep up with. */
	EXPECT_EQ(0, vcpu_sync(g.vcpu, VEE_STATE_MSRS));
	EXPECT_EQ(0, g.page->msrs.tsc_offset);
	/* Nor is it lost when that is loaded. */
	g.page->dirty = VEE_STATE_MSRS;
	EXPECT_LT(back, tsc_on(_metadata, &g, 0));
	guest_close(&g);
}

/* To a CPU whose TSC is behind, and back. */
TEST(moved)
{
	int msr;

	if (!file_has("/proc/cmdline", "tsc=unstable"))
		VEE_SKIP("the host goes by its TSC: boot with tsc=unstable");
	system("modprobe msr 2>/dev/null");
	msr = open("/dev/cpu/1/msr", O_RDWR | O_CLOEXEC);
	if (msr < 0)
		VEE_SKIP("no second CPU, or no msr module");
	ASSERT_TRUE(pin(1));
	ASSERT_TRUE(change_tsc(msr, -BEHIND));
	move(_metadata);
	ASSERT_TRUE(pin(1));
	EXPECT_TRUE(change_tsc(msr, BEHIND));
	close(msr);
}

TEST_HARNESS_MAIN
