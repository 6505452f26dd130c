// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer of the interface. A round is a process of its own, with two to four threads that
 * make requests of fuzz_api_table.h on the same few descriptors, by ioctl(2) and io_uring, and
 * meanwhile scribble on vCPU pages and guest memory, unmap both, fork, close, kick, move
 * between CPUs; some rounds are killed in mid-flight. KCOV, where the kernel has it, tells
 * which of them come to new places in vee: those are done again, with something changed.
 * What must hold: the process ends when it is killed, a guest beside it runs as ever, and the
 * kernel, which has the last word, reports nothing. Runs in the lab.
 *
 * A round is its seed; with --one it is made again, without what others have found by KCOV, and
 * as far as threads come alike.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <liburing.h>
#include <linux/kcov.h>
#include <vee.h>

#include "fuzz.h"
#include "fuzz_api_table.h"
#include "live.h"

#define PAGE_BYTES	4096UL
#define THREADS_MAX	4
#define STEPS_OF_ROUND	1500
#define PAGES_OF_STEP	4	/* of memory that a step takes away at most */
#define ROUND_MS	2000	/* at most, and it is killed */
#define KILL_MS		60	/* of those that are killed early, at most */
#define START_MS	5000	/* within which a round has begun */
#define NUDGE_US	3000
#define LONG_NS		1000000000	/* a guest that runs until somebody ends it */
#define END_MS		20000	/* within which who is killed has to end */
#define FDS		6	/* of each kind */
#define MEMORY_BYTES	(64 * PAGE_BYTES)
#define BUFFER_BYTES	(4 * PAGE_BYTES)
#define COVER_WORDS	16384
#define PLACES		(1U << 20)	/* of code: bits. The module is smaller than that */
#define CORPUS		4096
#define TWEAKS		4

/* --- numbers that are the same each time ------------------------------------------------ */

/**
 * struct source - where a step takes its numbers from
 * @at: how many it has taken
 * @tweaks: which of them are others, and what
 */
struct source {
	uint64_t seed;
	unsigned int at;
	unsigned int tweak_count;
	struct {
		unsigned int at;
		uint64_t value;
	} tweaks[TWEAKS];
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t random64(struct source *s)
{
	unsigned int at = s->at++;

	for (unsigned int i = 0; i < s->tweak_count; i++)
		if (s->tweaks[i].at == at)
			return s->tweaks[i].value;
	return mix(s->seed + at * 0x9e3779b97f4a7c15);
}

static unsigned int pick(struct source *s, unsigned int count)
{
	return (random64(s) >> 32) % count;
}

/* --- what all rounds share -------------------------------------------------------------- */

/**
 * struct shared - between processes
 * @corpus: steps that came to new places
 */
static struct shared {
	unsigned long uring, others, killed;
	unsigned int ready;
	unsigned long made[REQUESTS], done[REQUESTS];
	unsigned int corpus_count;
	unsigned int place_count;
	uint8_t places[PLACES / 8];
	struct source corpus[CORPUS];
} *shared;

static bool guided = true, once, tells_corpus;
static struct range range = { .first = 1, .most = 10000 };
static unsigned int xsave_bytes;
static const char *corpus_file;

/* --- a round ---------------------------------------------------------------------------- */

static struct {
	int fds[TARGETS][FDS];
	int eventfds[FDS];
	struct vee_vcpu_page *pages[FDS];
	uint8_t *memory, *pool;
	uint8_t *buffer;
	long steps_left;
	bool is_child;
} round;

/**
 * struct worker - a thread of it
 * @escape: where it goes from memory that is away
 */
struct worker {
	pthread_t thread;
	struct source source;
	struct source step;
	uint64_t *cover;
	bool has_ring;
	struct io_uring ring;
	struct vee_vcpu_state state;
	uint8_t argument[2 * sizeof(struct vee_vcpu_state)];
	sigjmp_buf escape;
};

static struct worker workers[THREADS_MAX];
static __thread struct worker *self;

static void on_fault(int sig)
{
	(void)sig;
	if (self && !round.is_child)
		siglongjmp(self->escape, 1);
	_exit(3);
}

static void on_nudge(int sig)
{
	(void)sig;
}

static int some_fd(struct source *s, enum target on)
{
	if (!pick(s, 40))
		on = pick(s, TARGETS);
	return round.fds[on][pick(s, FDS)];
}

/* A descriptor takes another's place, which is closed, now and then one in use. */
static void put_fd(enum target on, unsigned int at, int fd)
{
	int old = __atomic_exchange_n(&round.fds[on][at], fd, __ATOMIC_RELAXED);

	if (old >= 0)
		close(old);
}

static void keep_fd(struct source *s, enum target on, int fd)
{
	put_fd(on, pick(s, FDS), fd);
}

static struct vee_vcpu_page *map_page(int vcpu)
{
	void *page = mmap(NULL, VEE_VCPU_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	return page == MAP_FAILED ? NULL : page;
}

static void keep_page(struct source *s, int vcpu)
{
	struct vee_vcpu_page *page = map_page(vcpu);

	if (page)
		round.pages[pick(s, FDS)] = page;
}

/* --- arguments -------------------------------------------------------------------------- */

static uint64_t some_bits(struct source *s)
{
	switch (pick(s, 4)) {
	case 0:
		return 1ULL << pick(s, 64);
	case 1:
		return -(uint64_t)pick(s, 5000);
	case 2:
		return pick(s, 300);
	default:
		return random64(s);
	}
}

static uint64_t some_gpa(struct source *s)
{
	static const uint64_t special[] = {
		0xfee00000, 0xfee00300, 0x10, 0x3f8, 0xffff, 1ULL << 36, 1ULL << 39, 0xfffff000,
	};

	if (!pick(s, 6))
		return special[pick(s, 8)];
	return pick(s, 80) * PAGE_BYTES + (pick(s, 8) ? 0 : pick(s, PAGE_BYTES));
}

static uint64_t some_address(struct source *s)
{
	switch (pick(s, 12)) {
	case 0:
		return some_bits(s);
	case 1:
		return (uintptr_t)round.pages[pick(s, FDS)];
	case 2:
		return (uintptr_t)round.buffer + BUFFER_BYTES - pick(s, 64);
	case 3:
		return (uintptr_t)round.memory + pick(s, MEMORY_BYTES);
	default:
		return (uintptr_t)round.buffer + pick(s, 2) * PAGE_BYTES;
	}
}

static uint64_t some_hva(struct source *s)
{
	uint8_t *base = pick(s, 3) ? round.memory : round.pool;

	if (!pick(s, 16))
		return some_address(s) & (pick(s, 2) ? -PAGE_BYTES : -1UL);
	return (uintptr_t)base + pick(s, 48) * PAGE_BYTES;
}

static uint32_t some_field(struct source *s)
{
	static const uint16_t kinds[] = { 0x0800, 0x2800, 0x4800, 0x6800, 0x0000, 0x2000, 0x4000,
		0x6000, 0x4400, 0x6400, 0x0c00, 0x6c00 };

	return pick(s, 8) ? kinds[pick(s, 12)] + 2 * pick(s, 26) : (uint32_t)random64(s);
}

static struct vee_event some_event(struct source *s)
{
	return (struct vee_event) {
		.vector = pick(s, 3) ? 32 + pick(s, 224) : pick(s, 32),
		.type = pick(s, 2) ? 0 : pick(s, 8), .flags = pick(s, 8) ? 1 : pick(s, 256),
		.instruction_length = pick(s, 8) ? 0 : pick(s, 256),
		.error_code = pick(s, 8) ? 0 : random64(s),
	};
}

static uint64_t some_generation(struct source *s)
{
	const struct vee_vcpu_page *page = round.pages[pick(s, FDS)];

	return page ? __atomic_load_n(&page->generation, __ATOMIC_RELAXED) + pick(s, 3) - 1 :
		      some_bits(s);
}

static uint64_t some_value(struct source *s, enum kind is, const struct request *request)
{
	static const unsigned int counts[] = { 0, 1, 2, 16, 64, 127, 128, 512, 1024, 1025 };

#define COUNTS	(sizeof(counts) / sizeof(*counts))

	switch (is) {
	case IS_SIZE:
		return pick(s, 40) ? request->bytes : pick(s, 5000);
	case IS_FLAGS:
		return pick(s, 8) ? 0 : pick(s, 8) ? pick(s, 4) : some_bits(s);
	case IS_ZERO:
		return pick(s, 64) ? 0 : some_bits(s);
	case IS_GPA:
		return some_gpa(s);
	case IS_HVA:
		return some_hva(s);
	case IS_BYTES:
		return pick(s, 8) ? (1 + pick(s, 20)) * PAGE_BYTES : some_bits(s);
	case IS_ACCESS:
		return pick(s, 8) ? 7 : pick(s, 16);
	case IS_BUFFER:
		return some_address(s);
	case IS_COUNT:
		return pick(s, 8) ? counts[pick(s, COUNTS)] : some_bits(s);
	case IS_SMALL:
		return pick(s, 3) ? pick(s, 2) : pick(s, 16) ? pick(s, 9) : some_bits(s);
	case IS_XSAVE:
		return pick(s, 16) ? xsave_bytes : pick(s, 5000);
	case IS_SKIP:
		return pick(s, 3) ? pick(s, 4) * VEE_STATE_XSAVE : random64(s) & 0x77f;
	case IS_EVENTFD:
		return pick(s, 16) ? round.eventfds[pick(s, FDS)] : some_fd(s, ON_VM);
	case IS_ID:
		return pick(s, 16) ? pick(s, 8) : some_bits(s);
	case IS_GENERATION:
		return some_generation(s);
	case IS_GROUPS:
		return pick(s, 8) ? random64(s) & 0x77f : some_bits(s);
	case IS_GVA:
		return pick(s, 2) ? some_gpa(s) : some_bits(s);
	case IS_MESSAGE:
		return pick(s, 16) ? 0xfee00000 | pick(s, 0x100000) : some_bits(s);
	case IS_DATA:
		return pick(s, 4) ? 32 + pick(s, 224) : pick(s, 0x10000);
	case IS_FIELD:
		return some_field(s);
	case IS_OFFSET:
		return pick(s, 8) ? pick(s, 64) * 16 : some_bits(s);
	case IS_PAGE:
		return pick(s, 4) ? 0 : some_hva(s);
	default:
		return some_bits(s);
	}
}

static void fill_member(struct source *s, const struct request *request,
			const struct member *member, uint8_t *argument)
{
	struct vee_event event;
	uint64_t value;

	if (member->kind == IS_EVENT) {
		event = some_event(s);
		memcpy(argument + member->offset, &event, sizeof(event));
		return;
	}
	if (member->bytes <= sizeof(value)) {
		value = some_value(s, member->kind, request);
		memcpy(argument + member->offset, &value, member->bytes);
		return;
	}
	memset(argument + member->offset, 0, member->bytes);
	for (unsigned int i = pick(s, 4); i; i--)
		argument[member->offset + pick(s, member->bytes)] = random64(s);
}

static void scribble(struct source *s, uint8_t *what, unsigned int bytes)
{
	for (unsigned int i = 1 + pick(s, 3); i; i--) {
		unsigned int at = pick(s, bytes / 8) * 8;
		uint64_t value = some_bits(s);

		if (pick(s, 2))
			memcpy(what + at, &value, 8);
		else
			what[at + pick(s, 8)] ^= 1 << pick(s, 8);
	}
}

/* Saved before, so that most of it is sound. */
static void fill_load(struct source *s, int vcpu, struct vee_vcpu_state *argument)
{
	struct vee_vcpu_state *state = &self->state;

	memset(state, 0, sizeof(*state));
	state->size = sizeof(*state);
	state->skip = VEE_STATE_CPUID | VEE_STATE_XSAVE;
	ioctl(vcpu, VEE_VCPU_SAVE, state);
	*argument = *state;
	if (pick(s, 4))
		scribble(s, (uint8_t *)argument, sizeof(*argument));
}

#define RING		32	/* entries */
#define SLOTS		8	/* that are remembered */

static struct {
	uint64_t gpa, bytes;
} slots[SLOTS];

/* Most often short: a guest that loops is soon seen enough of. */
static unsigned int some_time_us(struct source *s)
{
	return pick(s, pick(s, 8) ? 40 : 300);
}

/* Steps of vCPUs that there are. */
static void fix_steps(struct source *s, struct vee_run_each *each)
{
	struct vee_step *steps = (struct vee_step *)round.buffer;

	for (unsigned int i = 0; i < 4; i++)
		steps[i] = (struct vee_step) {
			.vcpu = some_fd(s, ON_VCPU), .budget_us = some_time_us(s),
		};
	each->steps = (uintptr_t)steps;
	each->count = 1 + pick(s, 4);
}

/* What has to fit together, most often does. */
static void fix_up(struct source *s, const struct request *request, int fd, void *argument)
{
	struct vee_template *template = argument;
	struct vee_doorbell *doorbell = argument;
	struct vee_unmap *unmap = argument;
	struct vee_dirty *dirty = argument;
	struct vee_bind *bind = argument;
	unsigned int slot = pick(s, SLOTS);

	switch (request->number) {
	case VEE_VCPU_LOAD:
		fill_load(s, fd, argument);
		break;
	case VEE_RUN_EACH:
		fix_steps(s, argument);
		break;
	case VEE_VM_UNMAP:
		unmap->gpa = slots[slot].gpa;
		unmap->bytes = slots[slot].bytes;
		break;
	case VEE_VM_DIRTY:
		dirty->gpa = slots[slot].gpa;
		dirty->bytes = slots[slot].bytes;
		dirty->operation = pick(s, 4);
		if (dirty->operation != VEE_DIRTY_FETCH)
			memset(&dirty->pages, 0, 2 * sizeof(dirty->pages));
		break;
	case VEE_VM_TEMPLATE:
		template->gpa = slots[slot].gpa + pick(s, 4) * PAGE_BYTES;
		template->operation = pick(s, 3);
		if (template->operation != VEE_TEMPLATE_FETCH)
			template->first = 0;
		if (template->operation != VEE_TEMPLATE_FETCH)
			memset(&template->pages, 0, 2 * sizeof(template->pages));
		break;
	case VEE_VM_DOORBELL:
		doorbell->width = 1 << pick(s, 4);
		if (!doorbell->match)
			doorbell->data = 0;
		break;
	case VEE_VM_BIND:
		bind->eoi = bind->flags & VEE_BIND_EOI ? bind->eoi : 0;
		if (bind->remove)
			*bind = (struct vee_bind) {
				.size = bind->size, .eventfd = bind->eventfd, .remove = 1,
			};
		break;
	}
}

/* The argument: the address of a struct, most often; of one that may be away. */
static void *make_argument(struct source *s, const struct request *request, int fd)
{
	uint8_t *argument = self->argument;

	if (!request->bytes)
		return (void *)(pick(s, 4) ? 0 : some_generation(s));
	memset(argument, 0, sizeof(self->argument));
	for (const struct member *m = request->members; m->bytes; m++)
		fill_member(s, request, m, argument);
	if (pick(s, 8))
		fix_up(s, request, fd, argument);
	if (pick(s, 40))
		return argument;
	return (void *)some_address(s);
}

/* --- steps ------------------------------------------------------------------------------ */

static const struct request *some_request(struct source *s)
{
	/* A third of them are runs. */
	return &requests[pick(s, 3) ? pick(s, REQUESTS) : 0];
}

/* With a local APIC that is a sleep which has no end but a signal, a kick or an event. */
static void prepare_sleep(struct vee_vcpu_page *page)
{
	/* hlt; jmp to it */
	memcpy(round.memory + page->regs.rip % MEMORY_BYTES, "\xf4\xeb\xfd", 3);
	page->deadline_ns = 0;
}

/* What a run is to do: sound code and state, so that it does anything at all. */
static void prepare_run(struct source *s)
{
	struct vee_vcpu_page *page = round.pages[pick(s, FDS)];

	if (!page)
		return;
	page->deadline_ns = pick(s, 100) ? 1000 + 1000 * some_time_us(s) : LONG_NS;
	if (!pick(s, 4))
		page->resume = pick(s, 4);
	if (!pick(s, 4))
		page->intercept = random64(s) & VEE_INTERCEPT_ALL;
	if (!pick(s, 4))
		page->options = random64(s) & VEE_OPTION_ALL;
	if (!pick(s, 4))
		page->inject = some_event(s);
	if (!pick(s, 3)) {
		struct vee_segment code = { .limit = -1, .access_rights = 0xc09b };
		struct vee_segment data = { .limit = -1, .access_rights = 0xc093 };

		page->segments = (struct vee_segments) {
			data, code, data, data, data, data,
			{ .access_rights = 0x10000 }, { .limit = 0x67, .access_rights = 0x8b },
			{ 0 }, { 0 },
		};
		page->control.cr0 = 0x11;
		page->control.cr4 = 0;
		page->control.efer = 0;
		page->regs.rflags = pick(s, 2) ? 2 : 0x202;
		page->regs.rip = pick(s, 16) * 64;
		page->dirty = VEE_STATE_REGS | VEE_STATE_SEGMENTS | VEE_STATE_CONTROL;
		if (!pick(s, 12))
			prepare_sleep(page);
	}
}

static void note_result(const struct request *request, long ret)
{
	__atomic_fetch_add(&shared->made[request - requests], 1, __ATOMIC_RELAXED);
	if (ret >= 0)
		__atomic_fetch_add(&shared->done[request - requests], 1, __ATOMIC_RELAXED);
}

/* What a request has made goes where others find it. */
static void take_result(struct source *s, const struct request *request, int ret)
{
	note_result(request, ret);
	if (ret < 0)
		return;
	if (request->number == VEE_VM_MAP) {
		const struct vee_map *map = (const struct vee_map *)self->argument;
		unsigned int slot = pick(s, SLOTS);

		slots[slot].gpa = map->gpa;
		slots[slot].bytes = map->bytes;
	} else if (request->number == VEE_VM_CREATE) {
		keep_fd(s, ON_VM, ret);
	} else if (request->number == VEE_VM_CREATE_VCPU) {
		keep_page(s, ret);
		keep_fd(s, ON_VCPU, ret);
	}
}

static void step_ioctl(struct source *s)
{
	const struct request *request = some_request(s);
	int fd = some_fd(s, request->target);
	void *argument;

	if (request->number == VEE_VCPU_RUN)
		prepare_run(s);
	argument = make_argument(s, request, fd);
	take_result(s, request, ioctl(fd, request->number, argument));
}

static void reap(void)
{
	struct io_uring_cqe *cqe;

	for (int i = 0; i < RING && !io_uring_peek_cqe(&self->ring, &cqe); i++) {
		if (cqe->user_data - 1 < REQUESTS)
			note_result(&requests[cqe->user_data - 1], cqe->res);
		io_uring_cqe_seen(&self->ring, cqe);
	}
}

static void queue(struct source *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	const struct request *request = some_request(s);
	struct vee_uring_cmd cmd = { .budget_us = pick(s, 2) ? 0 : some_time_us(s) };
	int fd = some_fd(s, request->target);

	if (!sqe)
		return;
	if (!pick(s, 8)) {
		io_uring_prep_cancel64(sqe, 1 + pick(s, REQUESTS), 0);
		return;
	}
	io_uring_prep_nop(sqe);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = pick(s, 32) ? request->number : (uint32_t)random64(s);
	sqe->flags = pick(s, 4) ? 0 : pick(s, 2) ? IOSQE_ASYNC : IOSQE_IO_LINK;
	sqe->user_data = 1 + (request - requests);
	if (request->number == VEE_VCPU_RUN)
		prepare_run(s);
	cmd.arg = (uintptr_t)make_argument(s, request, fd);
	if (request->number == VEE_VM_SIGNAL)
		cmd.arg = some_value(s, IS_MESSAGE, request);
	if (!pick(s, 32))
		cmd.flags = some_bits(s);
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
}

static void step_uring(struct source *s)
{
	if (!self->has_ring) {
		if (io_uring_queue_init(RING, &self->ring, pick(s, 16) ? 0 : IORING_SETUP_IOPOLL))
			return;
		self->has_ring = true;
	}
	for (unsigned int i = 1 + pick(s, 4); i; i--)
		queue(s);
	io_uring_submit(&self->ring);
	__atomic_fetch_add(&shared->uring, 1, __ATOMIC_RELAXED);
	reap();
	if (!pick(s, 40)) {
		self->has_ring = false;
		io_uring_queue_exit(&self->ring);
	}
}

static void step_scribble(struct source *s)
{
	static const char *const code[] = {
		"\xf4", "\xe6\x10\xf4", "\xeb\xfe", "\x0f\xa2\xeb\xfc", "\xf3\xab\xf4",
		"\xa3\x00\x00\x00\x30\xf4", "\x0f\x30\x0f\x32", "\x0f\x22\xc0", "\xfb\xf4\xeb\xfc",
		"\x40\xa3\x00\x10\x00\x00\xeb\xf8", "\x0f\x20\xe0\x0f\x22\xe0", "\xe4\x60\xeb\xfc",
	};
	struct vee_vcpu_page *page = round.pages[pick(s, FDS)];

	if (pick(s, 2) && page)
		scribble(s, (uint8_t *)page, sizeof(*page));
	else if (pick(s, 2))
		scribble(s, round.memory, 32 * PAGE_BYTES);
	else
		strcpy((char *)round.memory + pick(s, 16) * 64, code[pick(s, 12)]);
}

static void *some_memory(struct source *s, unsigned long *bytes)
{
	*bytes = (1 + pick(s, PAGES_OF_STEP)) * PAGE_BYTES;
	switch (pick(s, 8)) {
	case 0:
		*bytes = VEE_VCPU_PAGE_BYTES;
		return round.pages[pick(s, FDS)];
	case 1:
		return round.buffer + pick(s, 4) * PAGE_BYTES;
	case 2:
		return round.pool + pick(s, 64) * PAGE_BYTES;
	default:
		return round.memory + pick(s, 64) * PAGE_BYTES;
	}
}

/* Memory comes back by a later step at the same place. */
static void step_memory(struct source *s)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_FREE,
		MADV_DONTFORK, MADV_DOFORK, MADV_COLD,
	};
	unsigned long bytes;
	void *at = some_memory(s, &bytes);

	if (!at || (uintptr_t)at % PAGE_BYTES)
		return;
	switch (pick(s, 6)) {
	case 0:
		munmap(at, bytes);
		break;
	case 1:
		mprotect(at, bytes, pick(s, 4) ? PROT_READ | PROT_WRITE : PROT_READ * pick(s, 2));
		break;
	case 2:
	case 3:
		mmap(at, bytes, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_ANONYMOUS | (pick(s, 4) ? MAP_PRIVATE : MAP_SHARED), -1, 0);
		break;
	default:
		madvise(at, bytes, advice[pick(s, 8)]);
		break;
	}
}

/* A child has another address space: all it asks of these VMs is refused. */
static void step_fork(struct source *s)
{
	pid_t child = fork();

	if (!child) {
		round.is_child = true;
		alarm(2);
		for (int i = 0; i < 4; i++)
			step_ioctl(s);
		_exit(0);
	}
	if (child > 0 && pick(s, 2))
		kill(child, SIGKILL);
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void step_descriptor(struct source *s)
{
	enum target target = pick(s, TARGETS);
	char text[512], path[64];
	uint64_t one = 1;
	int fd;

	switch (pick(s, 6)) {
	case 0:
		keep_fd(s, target, open("/dev/vee", O_RDWR | O_CLOEXEC));
		break;
	case 1:
		keep_fd(s, target, dup(some_fd(s, target)));
		break;
	case 2:
	case 3:
		if (write(round.eventfds[pick(s, FDS)], &one, sizeof(one)) < 0)
			return;
		break;
	case 4:
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", some_fd(s, target));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		while (fd >= 0 && read(fd, text, 1 + pick(s, sizeof(text))) > 0)
			;
		close(fd);
		break;
	default:
		mmap(NULL, PAGE_BYTES << pick(s, 4), PROT_READ, MAP_SHARED, some_fd(s, target),
		     pick(s, 3) * PAGE_BYTES);
		break;
	}
}

static void step_kick(struct source *s)
{
	struct vee_kick kick = { .size = sizeof(kick), .generation = some_generation(s) };

	ioctl(some_fd(s, ON_VCPU), VEE_VCPU_KICK, &kick);
}

static void step_cpu(struct source *s)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(pick(s, 2), &set);
	if (pick(s, 2))
		sched_setaffinity(0, sizeof(set), &set);
	else
		sched_yield();
}

static void renew_memory(void)
{
	uint8_t *const all[] = { round.memory, round.pool };

	for (int i = 0; i < 2; i++)
		mmap(all[i], MEMORY_BYTES, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mmap(round.buffer, BUFFER_BYTES, PROT_READ | PROT_WRITE,
	     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* In every second place, and its page. The old one's stays mapped until the round ends. */
static void renew_vcpu(int vm, int id)
{
	struct vee_vcpu_create create = { .size = sizeof(create), .id = id };
	int vcpu = ioctl(vm, VEE_VM_CREATE_VCPU, &create);
	struct vee_vcpu_page *page = map_page(vcpu);

	for (int i = id; i < FDS; i += 2) {
		put_fd(ON_VCPU, i, i == id ? vcpu : dup(vcpu));
		round.pages[i] = page;
	}
}

/*
 * A VM with two vCPUs in the place of what there was, and memory where some was taken away:
 * else most of what a long round asks for would be refused. Who is in a request keeps the old.
 */
static void renew(struct source *s)
{
	struct vee_vm_create create = {
		.size = sizeof(create), .flags = pick(s, 2) ? VEE_VM_LOCAL_APIC : 0,
	};
	struct vee_map map = { .size = sizeof(map), .bytes = 32 * PAGE_BYTES, .access = 7 };
	int device = open("/dev/vee", O_RDWR | O_CLOEXEC);
	int vm = ioctl(device, VEE_VM_CREATE, &create);

	renew_memory();
	map.hva = (uintptr_t)round.memory;
	ioctl(vm, VEE_VM_MAP, &map);
	for (int i = 0; i < SLOTS; i++) {
		slots[i].gpa = 0;
		slots[i].bytes = map.bytes;
	}
	for (int i = 0; i < FDS; i++) {
		put_fd(ON_DEVICE, i, i ? dup(device) : device);
		put_fd(ON_VM, i, i ? dup(vm) : vm);
	}
	for (int i = 0; i < 2; i++)
		renew_vcpu(vm, i);
}

static void do_step(struct source *s)
{
	unsigned int what = pick(s, 1000);

	if (what < 550)
		return step_ioctl(s);
	if (what < 800)
		step_uring(s);
	else if (what < 870)
		step_scribble(s);
	else if (what < 910)
		step_memory(s);
	else if (what < 913)
		step_fork(s);
	else if (what < 950)
		step_descriptor(s);
	else if (what < 990)
		step_kick(s);
	else if (what < 996)
		step_cpu(s);
	else
		renew(s);
	__atomic_fetch_add(&shared->others, 1, __ATOMIC_RELAXED);
}

/* --- KCOV ------------------------------------------------------------------------------- */

/* Once for all rounds: to set one up takes longer than many a step. */
static uint64_t *covers[THREADS_MAX];
static int cover_fds[THREADS_MAX];

static void open_cover(unsigned int i)
{
	void *cover;

	cover_fds[i] = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	if (cover_fds[i] < 0 || ioctl(cover_fds[i], KCOV_INIT_TRACE, COVER_WORDS))
		return;
	cover = mmap(NULL, COVER_WORDS * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
		     cover_fds[i], 0);
	covers[i] = cover == MAP_FAILED ? NULL : cover;
}

/* Until the thread ends. What a round forks does not see it. */
static void enable_cover(struct worker *w, unsigned int i)
{
	w->cover = NULL;
	if (!guided || !covers[i] || ioctl(cover_fds[i], KCOV_ENABLE, KCOV_TRACE_PC))
		return;
	madvise(covers[i], COVER_WORDS * sizeof(uint64_t), MADV_DONTFORK);
	w->cover = covers[i];
}

static bool is_new(unsigned int place)
{
	uint8_t *at = &shared->places[place / 8], bit = 1 << place % 8;

	if (__atomic_load_n(at, __ATOMIC_RELAXED) & bit)
		return false;
	if (__atomic_fetch_or(at, bit, __ATOMIC_RELAXED) & bit)
		return false;
	__atomic_fetch_add(&shared->place_count, 1, __ATOMIC_RELAXED);
	return true;
}

/* Has this step come to places where none has been? */
static bool has_new_places(const struct worker *w)
{
	uint64_t count = __atomic_load_n(&w->cover[0], __ATOMIC_RELAXED);
	bool any = false;

	for (uint64_t i = 1; i <= count && i < COVER_WORDS; i++)
		any |= is_new(w->cover[i] % PLACES);
	return any;
}

static void keep_step(const struct source *step)
{
	unsigned int at = __atomic_fetch_add(&shared->corpus_count, 1, __ATOMIC_RELAXED);

	shared->corpus[at % CORPUS] = *step;
	shared->corpus[at % CORPUS].at = 0;
}

/* A new one, or one that was of use, with one of its numbers another. */
static void next_step(struct worker *w)
{
	unsigned int count = __atomic_load_n(&shared->corpus_count, __ATOMIC_RELAXED);
	struct source *s = &w->step;
	unsigned int which;

	*s = (struct source) { .seed = random64(&w->source) };
	if (!guided || !count || pick(&w->source, 2))
		return;
	*s = shared->corpus[pick(&w->source, count < CORPUS ? count : CORPUS)];
	if (s->tweak_count > TWEAKS)
		s->tweak_count = 0;
	which = s->tweak_count < TWEAKS ? s->tweak_count++ : pick(&w->source, TWEAKS);
	s->tweaks[which].at = pick(&w->source, 40);
	s->tweaks[which].value = random64(&w->source);
}

/* --- rounds ----------------------------------------------------------------------------- */

static bool take_call(void)
{
	return __atomic_fetch_sub(&round.steps_left, 1, __ATOMIC_RELAXED) > 0;
}

static void *work(void *arg)
{
	self = arg;
	enable_cover(self, self - workers);
	/* Back here from memory that was away. */
	sigsetjmp(self->escape, 1);
	while (take_call()) {
		next_step(self);
		if (self->cover)
			__atomic_store_n(&self->cover[0], 0, __ATOMIC_RELAXED);
		do_step(&self->step);
		if (self->cover && has_new_places(self))
			keep_step(&self->step);
	}
	return NULL;
}

static void *anonymous(size_t bytes)
{
	/* Behind it there is nothing of others that a step might take away. */
	void *memory = mmap(NULL, bytes + PAGES_OF_STEP * PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "memory");
	return memory;
}

static void catch(int sig, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_NODEFER };

	sigaction(sig, &action, NULL);
}

/* One VM with two vCPUs, that all threads have; they make the others. */
static void set_round(struct source *s)
{
	memset(round.fds, -1, sizeof(round.fds));
	round.memory = anonymous(MEMORY_BYTES);
	round.pool = anonymous(MEMORY_BYTES);
	round.buffer = anonymous(BUFFER_BYTES);
	for (int i = 0; i < FDS; i++)
		round.eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	renew(s);
	round.steps_left = STEPS_OF_ROUND;
}

/* In its own process. Who is in a run without a deadline is nudged. */
static void run_round(uint64_t number)
{
	struct source s = { .seed = mix(number) };
	unsigned int threads = 2 + pick(&s, THREADS_MAX - 1);

	catch(SIGSEGV, on_fault);
	catch(SIGBUS, on_fault);
	catch(SIGUSR1, on_nudge);
	set_round(&s);
	__atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < threads; i++) {
		workers[i].source.seed = mix(number * THREADS_MAX + i + 1);
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			err(1, "a thread");
	}
	while (__atomic_load_n(&round.steps_left, __ATOMIC_RELAXED) > 0) {
		usleep(NUDGE_US);
		pthread_kill(workers[pick(&s, threads)].thread, SIGUSR1);
	}
	_exit(0);
}

static bool ends_within(pid_t child, unsigned int ms)
{
	struct pollfd poll_fd = { .fd = syscall(SYS_pidfd_open, child, 0), .events = POLLIN };

	if (poll_fd.fd < 0)
		err(1, "pidfd_open");
	poll(&poll_fd, 1, ms);
	close(poll_fd.fd);
	return waitpid(child, NULL, WNOHANG);
}

/* It is not to be killed before it has begun. */
static void await_ready(void)
{
	for (int i = 0; i < START_MS && !__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
}

/* A guest as ever. */
static bool host_is_whole(void)
{
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	bool whole;
	void *ram;

	check(vee_vm_create(&vm), "a VM");
	check(vee_vm_alloc(vm, 0, PAGE_BYTES, &ram), "memory");
	check(vee_vcpu_create(vm, 0, &vcpu), "a vCPU");
	memcpy(ram, "\x40\x40\xf4", 3);		/* inc eax; inc eax; hlt */
	vee_vcpu_set_protected_mode(vcpu, 0);
	vcpu->page->regs.rax = 40;
	vcpu->page->deadline_ns = 1000000000;
	check(run_vcpu(vcpu), "its run");
	whole = vcpu->page->exit.reason == VEE_EXIT_HLT && vcpu->page->regs.rax == 42;
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return whole;
}

/* NULL: all is as it should be. */
static const char *try_round(uint64_t number)
{
	struct source s = { .seed = mix(~number) };
	unsigned int ms = pick(&s, 2) ? ROUND_MS : pick(&s, KILL_MS);
	pid_t child;

	shared->ready = 0;
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (!child) {
		setpgid(0, 0);
		run_round(number);
	}
	await_ready();
	if (!ends_within(child, ms)) {
		shared->killed++;
		kill(child, SIGKILL);
		if (!ends_within(child, END_MS))
			return "a process that was killed does not end";
	}
	/* What it has forked, too. */
	kill(-child, SIGKILL);
	return host_is_whole() ? NULL : "another guest does not run as ever";
}

static void tell(unsigned long rounds, double took)
{
	unsigned long made = 0;

	for (unsigned int i = 0; i < REQUESTS; i++) {
		made += shared->made[i];
		printf("# %s: %lu, %lu of them done\n", requests[i].name, shared->made[i],
		       shared->done[i]);
	}
	printf("%lu rounds from seed %llu on, %lu of them killed, in %.1f s: %lu requests, ",
	       rounds, (unsigned long long)range.first, shared->killed, took, made);
	printf("%lu submissions to io_uring, %lu other steps; ", shared->uring, shared->others);
	printf("%u places in vee by KCOV%s\n", shared->place_count,
	       shared->place_count ? "" : ", which this kernel has not");
}

/* A line for each step, from which it comes again. */
static void tell_corpus(void)
{
	unsigned int count = shared->corpus_count < CORPUS ? shared->corpus_count : CORPUS;

	for (unsigned int i = 0; i < count; i++) {
		const struct source *s = &shared->corpus[i];

		printf("step %llx", (unsigned long long)s->seed);
		for (unsigned int t = 0; t < s->tweak_count && t < TWEAKS; t++)
			printf(" %u:%llx", s->tweaks[t].at,
			       (unsigned long long)s->tweaks[t].value);
		puts("");
	}
}

static void read_step(const char *line)
{
	struct source s = { 0 };
	unsigned long long value;
	unsigned int at;
	int n;

	if (sscanf(line, "step %llx%n", &value, &n) != 1)
		return;
	s.seed = value;
	for (line += n; s.tweak_count < TWEAKS && sscanf(line, " %u:%llx%n", &at, &value, &n) == 2;
	     line += n) {
		s.tweaks[s.tweak_count].at = at;
		s.tweaks[s.tweak_count++].value = value;
	}
	keep_step(&s);
}

/* What another run has told, on a kernel with KCOV. */
static void read_corpus(const char *path)
{
	FILE *in = fopen(path, "re");
	char line[256];

	if (!in)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), in))
		read_step(line);
	fclose(in);
	printf("%u steps from %s\n", shared->corpus_count, path);
}

static void usage(FILE *out)
{
	fputs("usage: fuzz-api [--seed N] [--calls N] [--seconds N] [--one SEED] [--unguided]\n"
	      "                [--corpus FILE] [--tell-corpus]\n", out);
}

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' }, { "calls", required_argument, NULL, 'c' },
	{ "seconds", required_argument, NULL, 't' }, { "one", required_argument, NULL, '1' },
	{ "unguided", no_argument, NULL, 'u' }, { "corpus", required_argument, NULL, 'f' },
	{ "tell-corpus", no_argument, NULL, 'k' }, { "help", no_argument, NULL, 'h' }, { 0 },
};

static unsigned long all_made(void)
{
	unsigned long made = 0;

	for (unsigned int i = 0; i < REQUESTS; i++)
		made += __atomic_load_n(&shared->made[i], __ATOMIC_RELAXED);
	return made;
}

static int run_all(void)
{
	double began = now();
	const char *wrong = NULL;
	unsigned long i = 0;

	do {
		wrong = try_round(range.first + i);
		if (wrong)
			printf("round %llu: %s\n", (unsigned long long)(range.first + i), wrong);
		i++;
	} while (!wrong && !once && all_made() < range.most && !is_late(&range, began));
	tell(i, now() - began);
	if (tells_corpus && shared->place_count)
		tell_corpus();
	return wrong ? 1 : 0;
}

/* Each byte of each struct is some member's: one that has grown must be told here. */
static void check_table(void)
{
	for (const struct request *r = requests; r < requests + REQUESTS; r++) {
		unsigned int bytes = 0;

		for (const struct member *m = r->members; m->bytes; m++)
			bytes += m->bytes;
		if (bytes != r->bytes)
			errx(1, "%s: %u bytes of %u are in fuzz_api_table.h", r->name,
			     bytes, r->bytes);
	}
}

static void take_option(int option)
{
	if (option == '1') {
		once = true;
		guided = false;
	}
	if (take_range(&range, option))
		return;
	switch (option) {
	case 'u':
		guided = false;
		break;
	case 'f':
		corpus_file = optarg;
		break;
	case 'k':
		tells_corpus = true;
		break;
	case 'h':
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct vee_info info;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		take_option(option);
	check_table();
	check(vee_get_info(&info), "vee");
	xsave_bytes = info.xsave_bytes;
	setlinebuf(stdout);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		err(1, "memory");
	printf("seed %llu\n", (unsigned long long)range.first);
	if (corpus_file && guided)
		read_corpus(corpus_file);
	for (int i = 0; i < THREADS_MAX; i++)
		open_cover(i);
	return run_all();
}
