// SPDX-License-Identifier: GPL-2.0-only
/* What waits for a thread's return to user space, or for its CPU, while it is in a guest. */
#include <sys/rseq.h>
#include <sys/socket.h>

#include "vee_util.h"

GUEST_CODE(spin, 64, SPIN);

FIXTURE(work) {
	struct guest g;
};

FIXTURE_SETUP(work)
{
	guest_open(_metadata, &self->g);
	GUEST_LONG(&self->g, spin);
}

FIXTURE_TEARDOWN(work)
{
	guest_close(&self->g);
}

/* --- work of the thread's own ------------------------------------------------------ */

/*
 * A timer on the thread's CPU time, which tells another thread: it expires in work
 * that the kernel leaves for the thread itself (CONFIG_POSIX_CPU_TIMERS_TASK_WORK).
 */
#define TIMER_NS	(5 * MS_NS)

struct migrant {
	struct guest *g;
	pid_t tid;
	bool rseq_is_right;
	int ret;
	int reason;
};

static volatile sig_atomic_t expired;

static void note_expired(int sig)
{
	(void)sig;
	expired++;
}

static int start_timer(pthread_t thread, timer_t *timer)
{
	const struct itimerspec every = {
		.it_value.tv_nsec = TIMER_NS, .it_interval.tv_nsec = TIMER_NS,
	};
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = gettid(),
	};
	clockid_t clock;

	signal(SIGUSR1, note_expired);
	if (pthread_getcpuclockid(thread, &clock) || timer_create(clock, &event, timer))
		return -1;
	return timer_settime(*timer, 0, &every, NULL);
}

/* On which CPU thread @tid is: field 39 of its stat, the 37th after its name. */
static int cpu_of(pid_t tid)
{
	char path[64], text[1024] = "", *field;
	FILE *file;
	int i;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	field = strrchr(fgets(text, sizeof(text), file) ?: text, ')');
	fclose(file);
	for (i = 0; field && i < 37; i++)
		field = strchr(field + 1, ' ');
	return field ? atoi(field) : -1;
}

static __u32 *rseq_cpu(void)
{
	return &((struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset))->cpu_id;
}

static void *migrate(void *arg)
{
	struct migrant *m = arg;

	__atomic_store_n(&m->tid, gettid(), __ATOMIC_RELEASE);
	m->ret = guest_run_once(m->g);
	m->reason = m->g->page->exit.reason;
	m->rseq_is_right = !__rseq_size || *rseq_cpu() == (__u32)cpu_of(m->tid);
	return NULL;
}

/* It learns of it while it is in the guest, and the run goes on. */
TEST_F(work, is_done)
{
	struct guest *g = &self->g;
	struct migrant m = { .g = g };
	__u64 number = g->page->generation;
	pthread_t thread;
	timer_t timer;
	cpu_set_t set;
	int i, before;

	if (cpus_online() < 2)
		VEE_SKIP("one CPU");
	g->page->deadline_ns = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, migrate, &m));
	EXPECT_TRUE(guest_counts(g));
	ASSERT_EQ(0, start_timer(thread, &timer));
	for (i = 0; i < 6; i++) {
		before = expired;
		CPU_ZERO(&set);
		CPU_SET(i % 2, &set);
		ASSERT_EQ(0, sched_setaffinity(m.tid, sizeof(set), &set));
		EXPECT_TRUE(WAIT_FOR(cpu_of(m.tid) == i % 2));
		EXPECT_TRUE(WAIT_FOR(expired != before));
		EXPECT_TRUE(guest_counts(g));
		EXPECT_EQ(number, generation(g));
	}
	EXPECT_EQ(0, timer_delete(timer));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, number));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, m.ret);
	EXPECT_TRUE(m.rseq_is_right);
	EXPECT_EQ(VEE_EXIT_KICKED, m.reason);
}

/* --- soft interrupts -------------------------------------------------------------------- */

#define NAPS		8
#define NAP_NS		(20 * MS_NS)
#define LATE_NS		(60 * MS_NS)	/* several ticks, and a task switch */

/* How long recv(2) takes that is to give up after NAP_NS: a timer of the wheel's. */
static __u64 time_nap(int sock)
{
	__u64 before = now_ns();
	char byte;

	recv(sock, &byte, 1, 0);
	return now_ns() - before;
}

/*
 * Timers of the CPU that a guest computes on: they expire in a soft interrupt, which
 * the kernel holds off while somebody has the FPU (kernel_fpu_begin(), from 6.15 on). A guest
 * that held them off would do so each time, what else the host has to do comes now and then.
 */
TEST_F(work, timers_are_on_time)
{
	const struct timeval nap = { .tv_usec = NAP_NS / 1000 };
	struct guest *g = &self->g;
	struct runner r;
	int sock[2], i, late = 0;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sock));
	ASSERT_EQ(0, setsockopt(sock[0], SOL_SOCKET, SO_RCVTIMEO, &nap, sizeof(nap)));
	/* Of this thread's CPUs the other takes over. */
	ASSERT_EQ(0, pin_to_cpu(0));
	g->page->deadline_ns = 0;
	ASSERT_EQ(0, runner_start(&r, g));
	EXPECT_TRUE(guest_counts(g));
	for (i = 0; i < NAPS; i++) {
		__u64 spent = time_nap(sock[0]);

		if (spent < NAP_NS + LATE_NS)
			continue;
		TH_LOG("%llu ns", spent);
		late++;
	}
	EXPECT_GT(NAPS / 2, late);
	EXPECT_EQ(0, vcpu_kick(g->vcpu, generation(g)));
	EXPECT_EQ(0, runner_join(&r));
	close(sock[0]);
	close(sock[1]);
}

/* --- a machine check --------------------------------------------------------------------- */

#define EINJ		"/sys/kernel/debug/apei/einj/"
#define EINJ_MEMORY_UC	"0x10"		/* ACPI: memory, uncorrectable, non-fatal */
#define PFN_MASK	((1ULL << 55) - 1)

GUEST_CODE(read_data, 64, "mov 0x20000, %rax; hlt");

static __u64 hpa_of(const void *hva)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	__u64 entry = 0;

	if (fd >= 0 && pread(fd, &entry, 8, (unsigned long)hva / PAGE_BYTES * 8) != 8)
		entry = 0;
	close(fd);
	return (entry & PFN_MASK) * PAGE_BYTES;
}

static int break_memory(const void *hva)
{
	char text[32];

	snprintf(text, sizeof(text), "%#llx", (unsigned long long)hpa_of(hva));
	return write_file(EINJ "error_type", EINJ_MEMORY_UC) ?:
	       write_file(EINJ "param1", text) ?:
	       write_file(EINJ "param2", "0xfffffffffffff000") ?:
	       write_file(EINJ "notrigger", "1") ?: write_file(EINJ "error_inject", "1");
}

static volatile sig_atomic_t broken_at_page;
static unsigned char *broken_page;

static void note_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	broken_at_page = (unsigned long)info->si_addr / PAGE_BYTES ==
			 (unsigned long)broken_page / PAGE_BYTES;
}

/*
 * An error in memory that the guest reads: SIGBUS for the process that lent it. The
 * page is lost until the next boot, so this wants to be asked for.
 */
TEST_F(work, memory_error)
{
	struct sigaction action = { .sa_sigaction = note_bus, .sa_flags = SA_SIGINFO };
	struct guest *g = &self->g;

	if (!getenv("VEE_EINJ") || access(EINJ "error_inject", W_OK))
		VEE_SKIP("needs VEE_EINJ=1 and " EINJ " (the module einj, and firmware with it)");
	broken_page = g->mem + GPA_DATA;
	*broken_page = 1;
	GUEST_LONG(g, read_data);
	ASSERT_HLT(g, GPA_CODE + 8);
	sigaction(SIGBUS, &action, NULL);
	ASSERT_EQ(0, break_memory(broken_page));
	GUEST_LONG(g, read_data);
	EXPECT_EQ(-EINTR, guest_run_once(g));
	EXPECT_TRUE(broken_at_page);
	/* The memory is gone, and the guest goes no further. */
	ASSERT_RUN(g, VEE_EXIT_MEMORY);
	EXPECT_EQ(-EHWPOISON, g->page->exit.memory.error);
}

TEST_HARNESS_MAIN
