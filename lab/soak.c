// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs made, run, killed and torn down in an order that a seed decides, while the host does all
 * that it does to memory and to CPUs: swap, KSM, huge pages, CPUs that go and come, and the
 * module itself. Runs in the lab, on two CPUs:
 *
 *	soak SECONDS SEED VMS
 *
 * Each VM is a process of its own. Its guest counts in each of its pages, round for round: so
 * what got lost or mixed up of its memory shows. What the kernel says is for lab/run to see.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vee.h>

#define PAGE_BYTES	4096UL
#define PAGES		64		/* of each vCPU's data; the code is in the page before */
#define HUGE_BYTES	(2UL << 20)
#define MAX_VMS		200
#define VCPUS		2
#define CPUS		2
#define STOP_TRIES	2000
#define IDLE		0x5a		/* what a vCPU's pages are full of that there isn't */

#define CPU1		"/sys/devices/system/cpu/cpu1/online"
#define KSM		"/sys/kernel/mm/ksm/"
#define THP		"/sys/kernel/mm/transparent_hugepage/"

/* --- what all share, the processes of the VMs too ------------------------------------ */

enum count { MADE, ORDERLY, KILLED, LEFT, RUNS, ROUNDS, KICKS, FORKS, COUNTS };

static const char * const count_names[COUNTS] = {
	"VMs made", "ended in order, memory as it must be", "killed in the midst",
	"left by their process as they were", "runs", "rounds of guests", "kicks", "forks",
};

static unsigned long *counts;

static void count(enum count what)
{
	__atomic_add_fetch(&counts[what], 1, __ATOMIC_RELAXED);
}

static unsigned long counted(enum count what)
{
	return __atomic_load_n(&counts[what], __ATOMIC_RELAXED);
}

/* "splitmix64": each VM has a state of its own. */
static unsigned int dice(unsigned long *state, unsigned int sides)
{
	unsigned long z = *state += 0x9e3779b97f4a7c15UL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return (z ^ z >> 31) % sides;
}

static unsigned long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000UL + t.tv_nsec / 1000;
}

static void sleep_us(unsigned long us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

static bool write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/**
 * struct watch - a thread that wants its CPU every PERIOD_US, before all others
 * @cpu: which
 * @longest: how many microseconds it came late at most
 * @in_change: likewise, while a CPU went or came
 */
struct watch {
	int cpu;
	unsigned long longest;
	unsigned long in_change;
};

/**
 * struct watched - shared with the process of those threads
 * @cpus_change: a CPU goes or comes
 * @watches: they
 */
static struct watched {
	bool cpus_change;
	struct watch watches[CPUS];
} *watched;

static void *share(void)
{
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);

	if (page == MAP_FAILED)
		err(1, "memory");
	return page;
}

/* --- a VM ------------------------------------------------------------------------------ */

/*
 *	1: incl (%ebx); cli; add $4096, %ebx; dec %ecx; jnz 1b; out %al, $0x10
 *
 * The CLI is for Bochs, which leaves a guest without interrupts only then.
 */
static const unsigned char code[] = {
	0xff, 0x03, 0xfa, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00, 0x49, 0x75, 0xf4, 0xe6, 0x10,
};

/**
 * struct half - a vCPU of a VM, and the thread that runs it
 * @vcpu: it
 * @thread: the thread
 * @data: the pages that it counts in
 * @gpa: where the guest has them
 * @rounds: how often it has been through
 * @stop: the thread is to end with the round
 */
struct half {
	struct vee_vcpu *vcpu;
	pthread_t thread;
	unsigned char *data;
	unsigned int gpa;
	unsigned int rounds;
	bool stop;
	bool ended;
	unsigned long random;
};

static void begin_round(struct half *h)
{
	struct vee_vcpu_page *page = h->vcpu->page;

	page->regs.rip = PAGE_BYTES;
	page->regs.rbx = h->gpa;
	page->regs.rcx = PAGES;
	page->dirty |= VEE_STATE_REGS;
}

static void end_round(struct half *h)
{
	h->rounds++;
	count(ROUNDS);
	begin_round(h);
}

/* Until the round that it is to stop with is over. */
static void *run_half(void *arg)
{
	struct half *h = arg;
	struct vee_vcpu_page *page = h->vcpu->page;

	for (;;) {
		int ret;

		page->deadline_ns = 1000000UL * (1 + dice(&h->random, 20));
		ret = vee_vcpu_run(h->vcpu);
		count(RUNS);
		if (ret && ret != -EINTR)
			errx(3, "a run: %s", strerror(-ret));
		if (!ret && page->exit.reason == VEE_EXIT_PIO) {
			end_round(h);
			if (__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE))
				break;
		} else if (!ret && page->exit.reason != VEE_EXIT_DEADLINE &&
			   page->exit.reason != VEE_EXIT_KICKED) {
			errx(3, "exit %u, hardware reason %#x, RIP %#llx", page->exit.reason,
			     page->exit.hardware_reason, (unsigned long long)page->regs.rip);
		}
	}
	__atomic_store_n(&h->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static void check_half(const struct half *h)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		unsigned int found = *(volatile unsigned int *)(h->data + i * PAGE_BYTES);

		if (found != h->rounds)
			errx(3, "page %u was counted to %u in %u rounds", i, found, h->rounds);
	}
}

/* What a process does to its own memory, or the kernel for it. */
static void disturb(unsigned long *random, unsigned char *mem, size_t bytes, struct half *h)
{
	cpu_set_t set;

	switch (dice(random, 8)) {
	case 0:
	case 1:
		madvise(mem, bytes, MADV_PAGEOUT);
		break;
	case 2:
		madvise(mem, bytes, MADV_COLD);
		break;
	case 3:
		madvise(mem, bytes, MADV_MERGEABLE);
		break;
	case 4:
		madvise(mem, bytes, MADV_HUGEPAGE);
		break;
	case 5:
		/* From here on each of its pages is copied when the guest writes it. */
		count(FORKS);
		if (!fork())
			_exit(0);
		break;
	case 6:
		CPU_ZERO(&set);
		CPU_SET(dice(random, CPUS), &set);
		pthread_setaffinity_np(h->thread, sizeof(set), &set);
		break;
	default:
		vee_vcpu_kick(h->vcpu, __atomic_load_n(&h->vcpu->page->generation,
						       __ATOMIC_RELAXED));
		count(KICKS);
	}
}

static void open_half(struct vee_vm *vm, unsigned int id, unsigned char *mem, struct half *h)
{
	int ret = vee_vcpu_create(vm, id, &h->vcpu);

	if (ret)
		errx(3, "a vCPU: %s", strerror(-ret));
	h->gpa = (2 + id * PAGES) * PAGE_BYTES;
	h->data = mem + h->gpa;
	vee_vcpu_set_protected_mode(h->vcpu, PAGE_BYTES);
	begin_round(h);
	if (pthread_create(&h->thread, NULL, run_half, h))
		err(3, "a thread");
}

/* The pages of those that there are not: the same in all VMs, for KSM to merge. */
static void check_idle(const unsigned char *mem, unsigned int n)
{
	for (unsigned long at = (2 + n * PAGES) * PAGE_BYTES;
	     at < (2 + VCPUS * PAGES) * PAGE_BYTES; at++)
		if (mem[at] != IDLE)
			errx(3, "at %#lx nobody writes, and there is %#x", at, mem[at]);
}

static void end_in_order(struct vee_vm *vm, const unsigned char *mem, struct half *halves,
			 unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		__atomic_store_n(&halves[i].stop, true, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(halves[i].thread, NULL);
		check_half(&halves[i]);
		vee_vcpu_destroy(halves[i].vcpu);
	}
	vee_vm_destroy(vm);
	check_idle(mem, n);
	count(ORDERLY);
}

static void live(unsigned long random)
{
	unsigned int n = 1 + dice(&random, VCPUS), steps = 5 + dice(&random, 40);
	size_t bytes = dice(&random, 8) ? (2 + VCPUS * PAGES) * PAGE_BYTES : HUGE_BYTES;
	unsigned char *mem = aligned_alloc(HUGE_BYTES, HUGE_BYTES);
	struct half halves[VCPUS] = { };
	struct vee_vm *vm;
	int ret = vee_vm_create(&vm);

	if (ret)
		errx(3, "a VM: %s", strerror(-ret));
	count(MADE);
	if (!mem)
		err(3, "memory");
	madvise(mem, bytes, bytes == HUGE_BYTES ? MADV_HUGEPAGE : MADV_MERGEABLE);
	memcpy(mem + PAGE_BYTES, code, sizeof(code));
	memset(mem + (2 + n * PAGES) * PAGE_BYTES, IDLE, (VCPUS - n) * PAGES * PAGE_BYTES);
	ret = vee_vm_map(vm, 0, mem, bytes, VEE_READ | VEE_WRITE | VEE_EXECUTE);
	if (ret)
		errx(3, "memory: %s", strerror(-ret));
	for (unsigned int i = 0; i < n; i++) {
		halves[i].random = random + i;
		open_half(vm, i, mem, &halves[i]);
	}
	while (steps--) {
		disturb(&random, mem, bytes, &halves[dice(&random, n)]);
		sleep_us(1000 * dice(&random, 60));
	}
	if (dice(&random, 3))
		end_in_order(vm, mem, halves, n);
	else
		count(LEFT);
	_exit(0);
}

/* --- the processes ---------------------------------------------------------------------- */

static pid_t children[MAX_VMS];
static unsigned int alive;

static void spawn(unsigned long random)
{
	pid_t pid = fork();

	if (pid < 0)
		return;
	if (!pid) {
		signal(SIGCHLD, SIG_IGN);
		live(random);
	}
	children[alive++] = pid;
}

/* Of one that has ended. */
static void forget(pid_t pid, int status)
{
	unsigned int i;

	for (i = 0; i < alive && children[i] != pid; i++)
		;
	if (i == alive)
		return;
	children[i] = children[--alive];
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		count(KILLED);
	else if (!WIFEXITED(status) || WEXITSTATUS(status))
		errx(1, "a VM's process ended with status %#x", status);
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		forget(pid, status);
}

static void end_all(void)
{
	for (unsigned int i = 0; i < alive; i++)
		kill(children[i], SIGKILL);
	while (alive) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);

		if (pid < 0)
			err(1, "waitpid");
		forget(pid, status);
	}
}

/* --- the machine --------------------------------------------------------------------------- */

static unsigned long reloads, hotplugs;

static void hotplug(void)
{
	__atomic_store_n(&watched->cpus_change, true, __ATOMIC_SEQ_CST);
	if (write_to(CPU1, hotplugs % 2 ? "1" : "0"))
		hotplugs++;
	sleep_us(10000);
	__atomic_store_n(&watched->cpus_change, false, __ATOMIC_SEQ_CST);
}

/* Every other time not resident. */
static void reload(void)
{
	const char *parameters = reloads++ % 2 ? "slice_us=1000" : "slice_us=1000 vmx=windowed";
	int tries = STOP_TRIES, fd;

	end_all();
	/* Whoever fetches memory in a VM's stead may be the last to leave. */
	while (syscall(SYS_delete_module, "vee", O_NONBLOCK)) {
		if (!--tries)
			err(1, "the module is in use, with no VM left");
		sleep_us(2000);
	}
	fd = open("/lab/vee.ko", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0))
		err(1, "/lab/vee.ko");
	close(fd);
	tries = STOP_TRIES;
	while (access("/dev/vee", F_OK) && --tries)
		sleep_us(2000);
}

static unsigned long value_of(const char *path, const char *name)
{
	char line[128];
	unsigned long value = 0;
	size_t n = strlen(name);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n))
			value = strtoul(line + n + strspn(line + n, ": "), NULL, 10);
	if (f)
		fclose(f);
	return value;
}

#define BALLAST_PIECES	256
#define BALLAST_BYTES	(1UL << 20)

/* Holds memory so that little is free: a mebibyte more or less at a time. */
static void press(void)
{
	static unsigned char *pieces[BALLAST_PIECES];
	static unsigned int held;
	unsigned long free_kib = value_of("/proc/meminfo", "MemFree");
	unsigned long swap_kib = value_of("/proc/meminfo", "SwapFree");

	if (free_kib > 40000 && swap_kib > 40000 && held < BALLAST_PIECES) {
		pieces[held] = mmap(NULL, BALLAST_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (pieces[held] == MAP_FAILED)
			return;
		madvise(pieces[held], BALLAST_BYTES, MADV_DONTFORK);
		for (unsigned long at = 0; at < BALLAST_BYTES; at += PAGE_BYTES)
			pieces[held][at] = held + 1;
		held++;
	} else if (held && (free_kib < 24000 || swap_kib < 30000)) {
		munmap(pieces[--held], BALLAST_BYTES);
	}
}

static void set_up_memory(void)
{
	if (system("lab-swap 192 >/dev/null"))
		errx(1, "no swap");
	/* The kernel begins to swap while there is much left yet: nobody is to be killed. */
	write_to("/proc/sys/vm/watermark_scale_factor", "800");
	write_to(KSM "pages_to_scan", "400");
	write_to(KSM "sleep_millisecs", "50");
	write_to(KSM "run", "1");
	write_to(THP "enabled", "always");
	write_to(THP "khugepaged/scan_sleep_millisecs", "200");
}

static void deed(unsigned long *random, unsigned int most)
{
	unsigned int what = dice(random, 100);

	if (what < 70) {
		/* In waves, up to all that there may be. */
		unsigned int n = dice(random, 1 + most / 4);

		while (n-- && alive < most)
			spawn(*random + n);
	} else if (what < 82) {
		if (alive)
			kill(children[dice(random, alive)], SIGKILL);
	} else if (what < 92) {
		hotplug();
	} else if (what < 94) {
		end_all();
	} else if (what < 95) {
		reload();
	} else {
		write_to("/proc/sys/vm/compact_memory", "1");
	}
}

/* --- how long somebody had to wait ------------------------------------------------------------ */

/*
 * With the kernel preemptible throughout (preempt=full, the debug kernel) that is for as long as
 * preemption or interrupts were off, whoever's doing it was. The kernels have no tracer that
 * would say whose: Debian's are built without.
 */

#define PERIOD_US	2000

static bool pinned(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static void *watch(void *arg)
{
	const struct sched_param first = { .sched_priority = 50 };
	struct watch *w = arg;

	sched_setscheduler(0, SCHED_FIFO, &first);
	for (;;) {
		unsigned long at = now_us() + PERIOD_US, late, *longest = &w->longest;
		struct timespec t = { .tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000 };

		if (sched_getcpu() != w->cpu && !pinned(w->cpu)) {
			sleep_us(10000);
			continue;
		}
		if (__atomic_load_n(&watched->cpus_change, __ATOMIC_SEQ_CST))
			longest = &w->in_change;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		late = now_us() - at;
		if (__atomic_load_n(&watched->cpus_change, __ATOMIC_SEQ_CST))
			longest = &w->in_change;
		if (late > *longest)
			*longest = late;
	}
	return NULL;
}

/* A process of their own: in one that forks and is swapped out they would wait for memory. */
static pid_t begin_to_watch(void)
{
	pid_t pid = fork();
	pthread_t thread;

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(1, "mlockall");
	for (int i = 0; i < CPUS; i++) {
		watched->watches[i].cpu = i;
		if (pthread_create(&thread, NULL, watch, &watched->watches[i]))
			err(1, "a thread");
	}
	for (;;)
		pause();
}

/* --- all of it ---------------------------------------------------------------------------- */

static unsigned int most_alive;
static unsigned long most_shared;

static void tell(unsigned long seconds)
{
	printf("%lu s: %lu VMs made, %u now; %lu runs, %lu rounds; ", seconds, counted(MADE),
	       alive, counted(RUNS), counted(ROUNDS));
	printf("CPU 1 %lu times, vee %lu times; %lu pages swapped out\n", hotplugs, reloads,
	       value_of("/proc/vmstat", "pswpout "));
}

static void tell_all(unsigned long seconds)
{
	printf("\nafter %lu seconds of this machine:\n", seconds);
	for (int i = 0; i < COUNTS; i++)
		printf("  %-40s %lu\n", count_names[i], counted(i));
	printf("  %-40s %u\n", "at once, at most", most_alive);
	printf("  %-40s %lu\n", "CPU 1 off or on", hotplugs);
	printf("  %-40s %lu\n", "vee.ko out and in", reloads);
	printf("  %-40s %lu out, %lu in\n", "pages swapped",
	       value_of("/proc/vmstat", "pswpout "), value_of("/proc/vmstat", "pswpin "));
	printf("  %-40s %lu\n", "pages merged by KSM, at most", most_shared);
	printf("  %-40s %lu made, %lu split\n", "huge pages",
	       value_of("/proc/vmstat", "thp_fault_alloc ") +
	       value_of("/proc/vmstat", "thp_collapse_alloc "),
	       value_of("/proc/vmstat", "thp_split_pmd "));
	printf("the most urgent thread waited for its CPU, at most, in microseconds:\n");
	for (int i = 0; i < CPUS; i++)
		printf("  CPU %d: %lu, while CPUs came or went %lu\n", i,
		       watched->watches[i].longest, watched->watches[i].in_change);
}

/* What it was for has happened, or it shows nothing. */
static void judge(unsigned long seconds)
{
	if (!counted(ORDERLY) || !counted(KILLED) || !counted(LEFT))
		errx(1, "no VM has ended in one of the ways");
	if (seconds >= 60 && (!hotplugs || !reloads || !value_of("/proc/vmstat", "pswpout ")))
		errx(1, "no CPU has gone, vee was not loaded anew, or nothing was swapped out");
	if (seconds >= 60 && !most_shared)
		errx(1, "KSM has merged nothing");
}

int main(int argc, char **argv)
{
	unsigned long random, begin = now_us(), seconds, told = 0;
	unsigned int most;
	pid_t watcher;

	if (argc != 4)
		errx(2, "usage: soak SECONDS SEED VMS");
	seconds = strtoul(argv[1], NULL, 10);
	random = strtoul(argv[2], NULL, 10);
	most = strtoul(argv[3], NULL, 10);
	if (!seconds || !most || most > MAX_VMS)
		errx(2, "VMS: 1 to %d", MAX_VMS);
	counts = share();
	watched = share();
	setlinebuf(stdout);
	printf("seed %lu\n", random);
	set_up_memory();
	watcher = begin_to_watch();
	while (now_us() - begin < seconds * 1000000) {
		unsigned long shared;

		deed(&random, most);
		press();
		reap();
		if (alive > most_alive)
			most_alive = alive;
		shared = value_of(KSM "pages_sharing", "");
		if (shared > most_shared)
			most_shared = shared;
		if (now_us() - begin > (told + 10) * 1000000)
			tell(told += 10);
		sleep_us(1000 * dice(&random, 100));
	}
	end_all();
	if (hotplugs % 2)
		hotplug();
	reload();
	kill(watcher, SIGKILL);
	tell_all((now_us() - begin) / 1000000);
	judge(seconds);
	return 0;
}
