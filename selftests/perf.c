// SPDX-License-Identifier: GPL-2.0-only
/*
 * perf's precise events (PEBS) beside a guest: the CPU writes their records by linear
 * address, and whose tables translate that is up to who runs.
 */
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include "vee_util.h"

#define PERIOD		20000
#define RING_PAGES	64
#define GPA_TRAP	0x100000ULL	/* three tables, then what all of them lead to */
#define GPA_RECORDS	(GPA_TRAP + 3 * PAGE_BYTES)
#define UPPER_HALF	256
#define ENTRIES		512

GUEST_CODE(spin, 64, SPIN);

/**
 * struct sampler - an event that samples the thread which made it
 * @fd: of perf_event_open(2)
 * @page: its page and ring
 */
struct sampler {
	int fd;
	struct perf_event_mmap_page *page;
};

static int sampler_open(struct sampler *s, bool exclude_guest)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.sample_period = PERIOD,
		.sample_type = PERF_SAMPLE_IP,
		.precise_ip = 2,
		.exclude_guest = exclude_guest,
	};

	s->fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	s->page = mmap(NULL, (1 + RING_PAGES) * PAGE_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED, s->fd, 0);
	return s->page == MAP_FAILED ? -errno : 0;
}

static void sampler_close(struct sampler *s)
{
	munmap(s->page, (1 + RING_PAGES) * PAGE_BYTES);
	close(s->fd);
}

/* Takes what is there; records are of multiples of 8 bytes, so of a header in one piece. */
static unsigned int take_samples(struct sampler *s, bool of_guest)
{
	const unsigned char *ring = (unsigned char *)s->page + PAGE_BYTES;
	__u64 head = __atomic_load_n(&s->page->data_head, __ATOMIC_ACQUIRE);
	__u64 tail = s->page->data_tail;
	unsigned int taken = 0;

	while (tail < head) {
		const __u64 bytes = RING_PAGES * PAGE_BYTES;
		const struct perf_event_header *header = (void *)(ring + tail % bytes);
		__u64 ip = *(__u64 *)(ring + (tail + sizeof(*header)) % bytes);

		if (header->type == PERF_RECORD_SAMPLE &&
		    of_guest == (ip >= GPA_CODE && ip < GPA_CODE + CODE_BYTES))
			taken++;
		tail += header->size;
	}
	__atomic_store_n(&s->page->data_tail, tail, __ATOMIC_RELEASE);
	return taken;
}

/* Wherever the kernel keeps its records: there the guest has one and the same page. */
static void map_upper_half(struct guest *g)
{
	unsigned int i, table;

	for (i = UPPER_HALF; i < ENTRIES; i++)
		guest_write64(g, GPA_PML4 + 8 * i, GPA_TRAP | PTE_ALL);
	for (table = 0; table < 3; table++)
		for (i = 0; i < ENTRIES; i++)
			guest_write64(g, GPA_TRAP + table * PAGE_BYTES + 8 * i,
				      (GPA_TRAP + (table + 1) * PAGE_BYTES) | PTE_ALL);
}

static bool is_clean(const struct guest *g, __u64 gpa)
{
	unsigned int i;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		if (guest_read64(g, gpa + 8 * i))
			return false;
	return true;
}

/* So that the guest's exits are in the midst of it, too. */
static void run_for_a_while(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		__u32 count = guest_read32(g, GPA_DATA);

		g->page->deadline_ns = 10 * MS_NS;
		ASSERT_RUN(g, VEE_EXIT_DEADLINE);
		ASSERT_LT(count, guest_read32(g, GPA_DATA));
	}
}

static void sample_beside(struct __test_metadata *_metadata, bool exclude_guest)
{
	struct sampler s;
	struct guest g;
	int err = sampler_open(&s, exclude_guest);

	if (err)
		VEE_SKIP("this machine has no precise events: %s", strerror(-err));
	guest_open(_metadata, &g);
	GUEST_LONG(&g, spin);
	map_upper_half(&g);
	run_for_a_while(_metadata, &g);
	EXPECT_TRUE(is_clean(&g, GPA_RECORDS));
	EXPECT_EQ(0, take_samples(&s, true));
	/* The host still has them. */
	EXPECT_TRUE(WAIT_FOR(take_samples(&s, false)));
	guest_close(&g);
	sampler_close(&s);
}

TEST(precise)
{
	sample_beside(_metadata, false);
}

TEST(precise_on_host)
{
	sample_beside(_metadata, true);
}

TEST_HARNESS_MAIN
