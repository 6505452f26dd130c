// SPDX-License-Identifier: GPL-2.0-only
/*
 * How what a VM costs grows: with the VMs that are alive, a VM's slots, its vCPUs, the size of
 * a memory of which little is used; and, on a machine with two CPUs, with the threads that are
 * at it. A line "what: how many" for each figure.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "bench_growth.h"
#include "bench_ticks.h"

#define ROUNDS		9
#define MOST_VMS	1000
#define MOST_SLOTS	512
#define MOST_GIB	64
#define MOST_THREADS	2
#define GIB		(1ULL << 30)
#define PAGE		4096ULL

/* What the guest is told, and a page that it reads. */
#define GPA_COUNT	0x80000
#define GPA_READ	0x90000

static const struct growth_engine *growing;
static struct guest guests[MOST_VMS];

static void tell_of(const char *what, unsigned int many, uint32_t *ticks, unsigned int count)
{
	char name[120];

	snprintf(name, sizeof(name), "%s: %u", what, many);
	tell(name, ticks, count);
}

static void run(struct guest *g)
{
	if (engine->run(g) != STOP_DONE)
		die("%s: the guest has not come to its end", engine->name);
}

static void set_count(uint64_t count)
{
	memcpy(memory + GPA_COUNT, &count, sizeof(count));
}

#define SET_CODE(at, name)	memcpy(memory + (at), name, name##_end - name)

/* Reads a page each time. */
GUEST_CODE(read_again, "1: mov " VALUE(GPA_READ) ", %al; out %al, $" VALUE(PORT_DONE) "; jmp 1b");

/* --- VMs -------------------------------------------------------------------------- */

static void time_lives(unsigned int alive)
{
	uint32_t ticks[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		struct guest g = { .memory = memory };
		uint64_t before = __rdtsc();

		engine->create(&g);
		run(&g);
		engine->destroy(&g);
		ticks[i] = __rdtsc() - before;
	}
	tell_of("a VM made, run and torn down; VMs alive", alive, ticks, ROUNDS);
}

/* A figure is a turn's mean. */
static void time_turns(const char *what, struct guest *g, unsigned int count)
{
	uint32_t ticks[ROUNDS];

	for (int turn = -1; turn < ROUNDS; turn++) {
		uint64_t before = __rdtsc();

		for (unsigned int i = 0; i < count; i++)
			run(&g[i]);
		if (turn >= 0)
			ticks[turn] = (__rdtsc() - before) / count;
	}
	tell_of(what, count, ticks, ROUNDS);
}

/* Of a page that all of them have read. */
static void time_taking(unsigned int alive)
{
	uint32_t ticks[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t before;

		memory[GPA_READ] = round;
		for (unsigned int i = 0; i < alive; i++)
			run(&guests[i]);
		before = __rdtsc();
		need(madvise(memory + GPA_READ, PAGE, MADV_DONTNEED) ? -errno : 0, "page");
		ticks[round] = (__rdtsc() - before) / alive;
	}
	tell_of("a page that VMs have taken by the host, each; VMs alive", alive, ticks,
		ROUNDS);
}

static void time_vms(unsigned int alive)
{
	time_turns("a call, of each in turn; VMs alive", guests, alive);
	time_taking(alive);
	time_lives(alive);
}

static void measure_vms(void)
{
	for (unsigned int i = 0; i < MOST_VMS; i++) {
		if (i == 1 || i == 10 || i == 100)
			time_vms(i);
		guests[i] = (struct guest) { .memory = memory };
		engine->create(&guests[i]);
		run(&guests[i]);
	}
	time_vms(MOST_VMS);
	for (unsigned int i = 0; i < MOST_VMS; i++)
		engine->destroy(&guests[i]);
}

/* --- slots ------------------------------------------------------------------------- */

/* RBX is read: the page of the last slot. */
GUEST_CODE(read_there, "1: mov " VALUE(GPA_COUNT) ", %ebx; mov (%rbx), %al\n"
	   "out %al, $" VALUE(PORT_DONE) "; jmp 1b");

/* Each of a page, with room between them, so that each is one for itself. */
static uint64_t slot_offset(unsigned int number)
{
	return 2 * PAGE * number;
}

static void add_slot(struct guest *g, uint8_t *lent, unsigned int number)
{
	growing->add_memory(g, number, GPA_TOUCH + slot_offset(number),
			    lent + slot_offset(number), PAGE);
}

static void time_slots(struct guest *g, uint8_t *lent, unsigned int there)
{
	uint32_t added[ROUNDS], read[ROUNDS], removed[ROUNDS];
	const unsigned int number = there + 1;

	lent[slot_offset(number)] = 1;
	set_count(GPA_TOUCH + slot_offset(number));
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t begin = __rdtsc(), middle, end;

		add_slot(g, lent, number);
		middle = __rdtsc();
		run(g);
		end = __rdtsc();
		growing->remove_memory(g, number, GPA_TOUCH + slot_offset(number), PAGE);
		removed[i] = __rdtsc() - end;
		read[i] = end - middle;
		added[i] = middle - begin;
	}
	tell_of("a slot added; slots there", there, added, ROUNDS);
	tell_of("a page of it read first; slots there", there, read, ROUNDS);
	tell_of("a slot taken back; slots there", there, removed, ROUNDS);
}

static void measure_slots(void)
{
	uint8_t *lent = map(slot_offset(MOST_SLOTS + 1), MADV_NOHUGEPAGE);
	struct guest g = { .memory = memory };

	SET_CODE(GPA_CODE, read_there);
	set_count(GPA_READ);
	engine->create(&g);
	run(&g);
	/* One is the guest's memory. */
	for (unsigned int there = 1; there < MOST_SLOTS; there++) {
		if (there == 1 || there == 8 || there == 64)
			time_slots(&g, lent, there);
		add_slot(&g, lent, there);
	}
	/* With the next there are as many as there can be. */
	growing->remove_memory(&g, MOST_SLOTS - 1, GPA_TOUCH + slot_offset(MOST_SLOTS - 1), PAGE);
	time_slots(&g, lent, MOST_SLOTS - 1);
	engine->destroy(&g);
}

/* --- vCPUs --------------------------------------------------------------------------- */

static void time_vcpus(unsigned int count)
{
	uint32_t ticks[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t before = __rdtsc();

		growing->create_vcpus(guests, count);
		growing->destroy_vcpus(guests, count);
		ticks[i] = (__rdtsc() - before) / count;
	}
	tell_of("a VM made and torn down, each vCPU; vCPUs", count, ticks, ROUNDS);
	growing->create_vcpus(guests, count);
	time_turns("a call, of each in turn; vCPUs", guests, count);
	growing->destroy_vcpus(guests, count);
}

static void measure_vcpus(void)
{
	guests[0] = (struct guest) { .memory = memory };
	for (unsigned int i = 0; i < MOST_VCPUS; i++)
		SET_CODE(GPA_CODE_OF(i), read_again);
	for (unsigned int count = 1; count <= MOST_VCPUS; count *= 4)
		time_vcpus(count);
}

/* --- memory ------------------------------------------------------------------------------ */

/* A page of each GiB. */
GUEST_CODE(write_far,
	   "mov " VALUE(GPA_COUNT) ", %ecx; mov $0x40000000, %esi\n"
	   "1: incl (%rsi); add $0x40000000, %rsi; loop 1b; out %al, $" VALUE(PORT_DONE));

static void map_far(void)
{
	uint64_t *pdpt = (uint64_t *)(memory + GPA_PDPT);

	for (uint64_t i = 1; i <= MOST_GIB; i++)
		pdpt[i] = i * GIB | 0xe3;	/* 1 GiB, accessed, dirty */
}

static void time_memory(uint8_t *far, unsigned int gib)
{
	uint32_t made[ROUNDS], ended[ROUNDS];

	set_count(gib);
	for (int i = -1; i < ROUNDS; i++) {
		struct guest g = { .memory = memory };
		uint64_t begin, middle;

		engine->create(&g);
		begin = __rdtsc();
		growing->add_memory(&g, 1, GIB, far, gib * GIB);
		run(&g);
		middle = __rdtsc();
		engine->destroy(&g);
		if (i < 0)
			continue;
		made[i] = middle - begin;
		ended[i] = __rdtsc() - middle;
	}
	tell_of("memory added, a page a GiB written; GiB", gib, made, ROUNDS);
	tell_of("a VM with such memory torn down; GiB", gib, ended, ROUNDS);
}

static void measure_memory(void)
{
	uint8_t *far = mmap(NULL, MOST_GIB * GIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (far == MAP_FAILED)
		die("no room for %d GiB", MOST_GIB);
	madvise(far, MOST_GIB * GIB, MADV_NOHUGEPAGE);
	map_far();
	SET_CODE(GPA_CODE, write_far);
	for (unsigned int gib = 1; gib <= MOST_GIB; gib *= 4)
		time_memory(far, gib);
}

/* --- threads, each on a CPU of its own ----------------------------------------------------- */

#define CALLS		200
#define LIVES		3
#define TOUCHES		200
#define TOUCH_STEP	0x10000

/* TOUCHES pages, of vCPU 0 those before vCPU 1's. */
GUEST_CODE(touch_0, "mov $" VALUE(GPA_TOUCH) ", %ebx; mov $" VALUE(TOUCHES) ", %ecx\n"
	   "1: incl (%rbx); add $" VALUE(TOUCH_STEP) ", %rbx; loop 1b\n"
	   "out %al, $" VALUE(PORT_DONE));
GUEST_CODE(touch_1, "mov $" VALUE(GPA_TOUCH) " + " VALUE(TOUCHES) " * " VALUE(TOUCH_STEP) ", %ebx\n"
	   "mov $" VALUE(TOUCHES) ", %ecx\n"
	   "1: incl (%rbx); add $" VALUE(TOUCH_STEP) ", %rbx; loop 1b\n"
	   "out %al, $" VALUE(PORT_DONE));

/* What @times of something take, of those of which thread @number does one. */
struct work {
	unsigned int number;
	unsigned int times;
	void (*once)(struct guest *g);
	struct guest *guest;
	uint32_t ticks;
	pthread_barrier_t *begin;
};

static void *take_part(void *arg)
{
	struct work *work = arg;
	uint64_t before;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(work->number, &cpus);
	need(sched_setaffinity(0, sizeof(cpus), &cpus) ? -errno : 0, "CPU");
	if (work->guest && work->times > 1)
		work->once(work->guest);
	pthread_barrier_wait(work->begin);
	before = __rdtsc();
	for (unsigned int i = 0; i < work->times; i++)
		work->once(work->guest);
	work->ticks = (__rdtsc() - before) / work->times;
	return NULL;
}

/* Ticks of each thread to @ticks. */
static void work_at_once(struct work *work, unsigned int threads, uint32_t *ticks)
{
	pthread_barrier_t begin;
	pthread_t ids[MOST_THREADS];

	pthread_barrier_init(&begin, NULL, threads);
	for (unsigned int i = 0; i < threads; i++) {
		work[i].number = i;
		work[i].begin = &begin;
		need(-pthread_create(&ids[i], NULL, take_part, &work[i]), "thread");
	}
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		ticks[i] = work[i].ticks;
	}
	pthread_barrier_destroy(&begin);
}

static void live(struct guest *g)
{
	(void)g;
	struct guest one = { .memory = memory };

	engine->create(&one);
	run(&one);
	engine->destroy(&one);
}

static void time_calls(unsigned int threads)
{
	uint32_t ticks[ROUNDS * MOST_THREADS];
	struct work work[MOST_THREADS];

	for (unsigned int i = 0; i < threads; i++) {
		guests[i] = (struct guest) { .memory = memory };
		engine->create(&guests[i]);
		work[i] = (struct work) { .times = CALLS, .once = run, .guest = &guests[i] };
	}
	for (unsigned int round = 0; round < ROUNDS; round++)
		work_at_once(work, threads, &ticks[round * threads]);
	for (unsigned int i = 0; i < threads; i++)
		engine->destroy(&guests[i]);
	tell_of("a call, of a VM of its own; threads", threads, ticks, ROUNDS * threads);
}

static void time_threads_lives(unsigned int threads)
{
	uint32_t ticks[ROUNDS * MOST_THREADS];
	struct work work[MOST_THREADS];

	for (unsigned int i = 0; i < threads; i++)
		work[i] = (struct work) { .times = LIVES, .once = live };
	for (unsigned int round = 0; round < ROUNDS; round++)
		work_at_once(work, threads, &ticks[round * threads]);
	tell_of("a VM made, run and torn down; threads", threads, ticks, ROUNDS * threads);
}

/* Of the same VM: by a vCPU each. */
static void time_touches(uint8_t *touch, unsigned int threads)
{
	uint32_t ticks[ROUNDS * MOST_THREADS];
	struct work work[MOST_THREADS];

	for (unsigned int round = 0; round < ROUNDS; round++) {
		guests[0] = (struct guest) { .memory = memory, .touch = touch };
		growing->create_vcpus(guests, threads);
		for (unsigned int i = 0; i < threads; i++)
			work[i] = (struct work) { .times = 1, .once = run, .guest = &guests[i] };
		work_at_once(work, threads, &ticks[round * threads]);
		growing->destroy_vcpus(guests, threads);
	}
	for (unsigned int i = 0; i < ROUNDS * threads; i++)
		ticks[i] /= TOUCHES;
	tell_of("a page first touched, of one VM; threads", threads, ticks, ROUNDS * threads);
}

static void measure_threads(void)
{
	uint8_t *touch = map(TOUCH_BYTES, MADV_NOHUGEPAGE);

	for (uint64_t i = 0; i < MOST_THREADS * TOUCHES; i++)
		touch[i * TOUCH_STEP] = 1;
	for (unsigned int threads = 1; threads <= MOST_THREADS; threads++) {
		SET_CODE(GPA_CODE, read_again);
		time_calls(threads);
		time_threads_lives(threads);
		SET_CODE(GPA_CODE_OF(0), touch_0);
		SET_CODE(GPA_CODE_OF(1), touch_1);
		time_touches(touch, threads);
	}
}

/* --- all of it ------------------------------------------------------------------------ */

void measure(void)
{
	const struct rlimit files = { 4 * MOST_VMS, 4 * MOST_VMS };

	growing = engine == &engine_kvm ? &growth_kvm : &growth_vee;
	need(setrlimit(RLIMIT_NOFILE, &files) ? -errno : 0, "descriptors");
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
		measure_threads();
		return;
	}
	SET_CODE(GPA_CODE, read_again);
	measure_vms();
	measure_slots();
	measure_vcpus();
	measure_memory();
}
