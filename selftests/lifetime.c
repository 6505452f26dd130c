// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lifetimes: descriptors closed in any order, owners that die, are replaced or
 * give descriptors away, and a machine that sleeps meanwhile.
 */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "vee_util.h"

#define EXEC_VARIABLE	"VEE_LIFETIME_EXEC"

GUEST_CODE(halt, 64, "hlt");
GUEST_CODE(spin, 64, "cli; incq 0x20010; jmp spin");
#define COUNT		(GPA_DATA + 0x10)

FIXTURE(lifetime) {
	long users;
};

FIXTURE_SETUP(lifetime)
{
	int dev = vee_open(_metadata);

	close(dev);
	self->users = module_users();
}

/* Whatever a test did, nobody is left who holds the module. */
FIXTURE_TEARDOWN(lifetime)
{
	EXPECT_TRUE(WAIT_FOR(module_users() == self->users));
}

/* --- descriptors ----------------------------------------------------------- */

enum part { DEV, VM, VCPU, PAGE, VCPU2, PAGE2, RING, BELL, MEM, PARTS };

/**
 * struct parts - a VM with all that there can be of it, and what is closed
 * @g: it, with a vCPU
 * @second: a further vCPU
 * @ring: its posted writes
 * @bell: an eventfd that it signals
 * @closed: bits of enum part
 */
struct parts {
	struct guest g;
	struct guest second;
	struct vee_post_ring *ring;
	int bell;
	unsigned int closed;
};

#define PORT		0x10	/* posted */
#define PORT_BELL	0x20
GUEST_CODE(report, 64, "out %al, $0x10; out %al, $0x20; hlt");

static void open_parts(struct __test_metadata *_metadata, struct parts *p)
{
	struct vee_coalesce coalesce = {
		.size = sizeof(coalesce),
		.first = PORT,
		.bytes = 1,
	};
	struct vee_doorbell bell = {
		.size = sizeof(bell),
		.address = PORT_BELL,
	};

	p->closed = 0;
	guest_open(_metadata, &p->g);
	guest_open_sibling(_metadata, &p->g, &p->second, 1);
	p->ring = mmap(NULL, VEE_POST_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		       p->g.vm, 0);
	ASSERT_NE(MAP_FAILED, p->ring);
	ASSERT_EQ(0, vee_call(p->g.vm, VEE_VM_COALESCE, &coalesce));
	p->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bell.eventfd = p->bell;
	ASSERT_EQ(0, vee_call(p->g.vm, VEE_VM_DOORBELL, &bell));
}

static void close_part(struct parts *p, enum part part)
{
	p->closed |= 1U << part;
	switch (part) {
	case DEV:
		close(p->g.dev);
		break;
	case VM:
		close(p->g.vm);
		break;
	case VCPU:
		close(p->g.vcpu);
		break;
	case PAGE:
		munmap(p->g.page, VEE_VCPU_PAGE_BYTES);
		break;
	case VCPU2:
		close(p->second.vcpu);
		break;
	case PAGE2:
		munmap(p->second.page, VEE_VCPU_PAGE_BYTES);
		break;
	case RING:
		munmap(p->ring, VEE_POST_RING_BYTES);
		break;
	case BELL:
		close(p->bell);
		break;
	default:
		munmap(p->g.mem, GUEST_BYTES);
	}
}

static bool is_open(const struct parts *p, enum part part)
{
	return !(p->closed & 1U << part);
}

/* What a run of @g is to be seen by: as much as is there to see it. */
static void try_vcpu(struct __test_metadata *_metadata, const struct parts *p,
		     const struct guest *g, enum part page)
{
	bool has_memory = is_open(p, MEM);
	__u32 tail = is_open(p, RING) ? p->ring->tail : 0;
	__u64 rung = 0;

	if (is_open(p, page)) {
		g->page->regs.rip = GPA_CODE;
		g->page->dirty |= VEE_STATE_REGS;
	}
	EXPECT_EQ(0, vee_call(g->vcpu, VEE_VCPU_RUN, NULL));
	if (is_open(p, page))
		EXPECT_EQ(has_memory ? VEE_EXIT_HLT : VEE_EXIT_MEMORY,
			  g->page->exit.reason);
	/* A vCPU without its page can't be sent back to where it writes. */
	if (!is_open(p, page) || !has_memory)
		return;
	if (is_open(p, RING))
		EXPECT_EQ(tail + 1, p->ring->tail);
	if (is_open(p, BELL)) {
		EXPECT_EQ(sizeof(rung), read(p->bell, &rung, sizeof(rung)));
		EXPECT_LE(1, rung);
	}
}

/* What is left works as if all were there, as far as it doesn't need the rest. */
static void try_rest(struct __test_metadata *_metadata, const struct parts *p)
{
	if (is_open(p, DEV))
		EXPECT_EQ(VEE_API_VERSION, vee_info(p->g.dev).api_version);
	if (is_open(p, VCPU))
		try_vcpu(_metadata, p, &p->g, PAGE);
	if (is_open(p, VCPU2))
		try_vcpu(_metadata, p, &p->second, PAGE2);
	if (is_open(p, PAGE))
		EXPECT_EQ(sizeof(*p->g.page), p->g.page->size);
	if (is_open(p, PAGE2))
		EXPECT_EQ(sizeof(*p->g.page), p->second.page->size);
	if (is_open(p, VM)) {
		/* The vCPU is there as long as its descriptor or its mapping. */
		bool gone = !is_open(p, VCPU) && !is_open(p, PAGE);
		int again = vcpu_create(p->g.vm, 0);

		EXPECT_EQ(gone, again >= 0) TH_LOG("vCPU again: %d", again);
		close(again);
		EXPECT_EQ(-ENOENT, vm_unmap(p->g.vm, PAGES_1G, PAGE_BYTES));
	}
}

static void close_in_order(struct __test_metadata *_metadata, const enum part *order)
{
	struct parts p;
	int i;

	open_parts(_metadata, &p);
	GUEST_LONG(&p.g, report);
	guest_set_long(&p.second);
	try_rest(_metadata, &p);
	for (i = 0; i < PARTS; i++) {
		close_part(&p, order[i]);
		try_rest(_metadata, &p);
	}
}

/* Any of the orders, each as likely: Fisher and Yates's shuffle. */
static void shuffle(enum part *order, unsigned int *seed)
{
	unsigned int i, j;

	for (i = 0; i < PARTS; i++)
		order[i] = i;
	for (i = PARTS; i > 1; i--) {
		enum part last = order[i - 1];

		j = rand_r(seed) % i;
		order[i - 1] = order[j];
		order[j] = last;
	}
}

static bool has_passed(struct __test_metadata *_metadata)
{
#ifdef VEE_HAVE_TEST_PASSED
	return __test_passed(_metadata);
#else
	return _metadata->passed;
#endif
}

#define ORDERS	150	/* of 362880, the same each time */

TEST_F_TIMEOUT(lifetime, close_in_any_order, 120)
{
	enum part order[PARTS];
	unsigned int n, seed = 1;

	for (n = 0; n < ORDERS; n++) {
		shuffle(order, &seed);
		close_in_order(_metadata, order);
		EXPECT_TRUE(has_passed(_metadata))
			TH_LOG("order %d %d %d %d %d %d %d %d %d", order[0], order[1],
			       order[2], order[3], order[4], order[5], order[6],
			       order[7], order[8]);
		if (!has_passed(_metadata))
			break;
	}
}

/* A run holds on to what it needs. */
TEST_F(lifetime, close_while_running)
{
	struct runner r;
	struct guest g;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, spin);
	g.page->deadline_ns = 300 * MS_NS;
	ASSERT_EQ(0, runner_start(&r, &g));
	ASSERT_TRUE(WAIT_FOR(guest_read64(&g, COUNT) > 1000));
	close(g.dev);
	close(g.vm);
	close(g.vcpu);
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g.page->exit.reason);
	munmap(g.page, VEE_VCPU_PAGE_BYTES);
	munmap(g.mem, GUEST_BYTES);
}

TEST_F(lifetime, page_unmapped_while_running)
{
	struct runner r;
	struct guest g;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, spin);
	g.page->deadline_ns = 300 * MS_NS;
	ASSERT_EQ(0, runner_start(&r, &g));
	ASSERT_TRUE(WAIT_FOR(guest_read64(&g, COUNT) > 1000));
	ASSERT_EQ(0, munmap(g.page, VEE_VCPU_PAGE_BYTES));
	EXPECT_EQ(0, runner_join(&r));
	g.page = vcpu_page(g.vcpu);
	ASSERT_NE(MAP_FAILED, g.page);
	EXPECT_EQ(VEE_EXIT_DEADLINE, g.page->exit.reason);
	guest_close(&g);
}

/* One after the other, more than there could be at once. */
TEST_F(lifetime, many_vcpus)
{
	struct guest g, sibling;
	int i;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, halt);
	for (i = 0; i < 200; i++) {
		guest_open_sibling(_metadata, &g, &sibling, 1 + i % 63);
		GUEST_LONG(&sibling, halt);
		ASSERT_HLT(&sibling, GPA_CODE);
		guest_close(&sibling);
	}
	ASSERT_HLT(&g, GPA_CODE);
	guest_close(&g);
}

/* No room for a descriptor: nothing is left of what it was for. */
TEST_F(lifetime, no_descriptor)
{
	struct rlimit old, few;
	struct guest g;

	guest_open(_metadata, &g);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few = old;
	few.rlim_cur = g.vcpu + 1;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	EXPECT_EQ(-EMFILE, vm_create(g.dev));
	EXPECT_EQ(-EMFILE, vcpu_create(g.vm, 1));
	EXPECT_EQ(-EEXIST, vcpu_create(g.vm, 0));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	g.borrowed = true;
	guest_close(&g);
	g.borrowed = false;
	guest_add_vcpu(_metadata, &g, 1);
	guest_close(&g);
}

/* --- other processes ------------------------------------------------------- */

static bool all_eio(int vm, int vcpu)
{
	static const unsigned long requests[] = {
		VEE_VCPU_KICK, VEE_VCPU_SYNC, VEE_VCPU_TRANSLATE, VEE_VCPU_GET_CPUID,
		VEE_VCPU_SET_CPUID, VEE_VCPU_GET_XSAVE, VEE_VCPU_SET_XSAVE,
		VEE_VCPU_VMCS_READ, VEE_VCPU_VMCS_WRITE, VEE_VCPU_VMCS_SNAPSHOT,
		VEE_VCPU_STATS,
	};
	struct vee_stats any = { .size = sizeof(any) };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		if (vee_call(vcpu, requests[i], &any) != -EIO)
			return false;
	if (!fsync(vcpu) || errno != EIO)
		return false;
	return vee_call(vcpu, VEE_VCPU_RUN, NULL) == -EIO &&
	       (vm < 0 || (vcpu_create(vm, 1) == -EIO &&
			   vm_map(vm, PAGES_1G, &any, PAGE_BYTES, VEE_READ) == -EIO &&
			   vm_unmap(vm, 0, GUEST_BYTES) == -EIO));
}

static int wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return status;
}

/* A child has the descriptors, and memory that looks the same, but isn't it. */
TEST_F(lifetime, forked)
{
	struct guest g;
	pid_t child;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, halt);
	child = fork();
	if (!child) {
		int vm = vm_create(g.dev);

		/* The device is nobody's in particular. */
		if (vm < 0 || vcpu_create(vm, 0) < 0)
			_exit(1);
		_exit(all_eio(g.vm, g.vcpu) ? 0 : 2);
	}
	EXPECT_EQ(0, wait_for(child));
	ASSERT_HLT(&g, GPA_CODE);
	guest_close(&g);
}

/* As a thread would be, but for its memory: the address space is what counts. */
TEST_F(lifetime, vforked)
{
	struct guest g;
	pid_t child;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, halt);
	child = vfork();
	if (!child)
		_exit(vee_call(g.vcpu, VEE_VCPU_RUN, NULL) ? 1 : 0);
	EXPECT_EQ(0, wait_for(child));
	EXPECT_EQ(VEE_EXIT_HLT, g.page->exit.reason);
	guest_close(&g);
}

static bool send_fd(int to, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(to, &msg, 0) == 1;
}

static int receive_fd(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(from, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Makes a guest, sends its vCPU away, and goes on or not. */
static void send_vcpu(struct __test_metadata *_metadata, int to)
{
	struct guest g;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, halt);
	if (guest_insist(&g) || !send_fd(to, g.vcpu))
		_exit(1);
	_exit(0);
}

/* A vCPU outlives the process that made it, but nobody can run it any more. */
TEST_F(lifetime, owner_gone)
{
	struct vee_vcpu_page *page;
	int pair[2], vcpu;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	child = fork();
	if (!child)
		send_vcpu(_metadata, pair[1]);
	vcpu = receive_fd(pair[0]);
	ASSERT_LE(0, vcpu);
	EXPECT_TRUE(all_eio(-1, vcpu));
	EXPECT_EQ(0, wait_for(child));
	EXPECT_TRUE(all_eio(-1, vcpu));
	/* To look at its page is no request. */
	page = vcpu_page(vcpu);
	if (page != MAP_FAILED) {
		EXPECT_EQ(VEE_EXIT_HLT, page->exit.reason);
		munmap(page, VEE_VCPU_PAGE_BYTES);
	}
	EXPECT_LT(self->users, module_users());
	close(vcpu);
	close(pair[0]);
	close(pair[1]);
}

/* --- a sudden end ---------------------------------------------------------- */

/* With @threads vCPUs that spin and no deadline; tells @ready when all do. */
static void spin_for_ever(struct __test_metadata *_metadata, int threads, int ready)
{
	struct guest guests[4];
	struct runner runners[4];
	int i;

	guest_open(_metadata, &guests[0]);
	for (i = 0; i < threads; i++) {
		if (i)
			guest_open_sibling(_metadata, &guests[0], &guests[i], i);
		GUEST_LONG(&guests[i], spin);
		guests[i].page->deadline_ns = 0;
		if (runner_insist(&runners[i], &guests[i]))
			_exit(1);
	}
	if (!WAIT_FOR(guest_read64(&guests[0], COUNT) > 10000) ||
	    write(ready, "", 1) != 1)
		_exit(2);
	for (;;)
		pause();
}

TEST_F(lifetime, killed)
{
	struct guest g;
	int i, status;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, halt);
	for (i = 1; i <= 4; i++) {
		int ready[2];
		pid_t child;
		char byte;

		ASSERT_EQ(0, pipe(ready));
		child = fork();
		if (!child)
			spin_for_ever(_metadata, i, ready[1]);
		close(ready[1]);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		close(ready[0]);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		/* Whoever is still there goes on. */
		ASSERT_HLT(&g, GPA_CODE);
	}
	guest_close(&g);
}

/* Ends with the process, even if that is the vCPU's own thread's doing. */
TEST_F(lifetime, exit_while_running)
{
	pid_t child = fork();

	if (!child) {
		struct runner r;
		struct guest g;

		guest_open(_metadata, &g);
		GUEST_LONG(&g, spin);
		g.page->deadline_ns = 0;
		if (runner_insist(&r, &g))
			_exit(1);
		_exit(WAIT_FOR(guest_read64(&g, COUNT) > 10000) ? 0 : 2);
	}
	EXPECT_EQ(0, wait_for(child));
}

/* --- exec ------------------------------------------------------------------ */

/* This program again, in its next life; see exec_self(). */
__attribute__((constructor)) static void after_exec(void)
{
	const char *text = getenv(EXEC_VARIABLE);

	if (text)
		_exit(all_eio(-1, atoi(text)) ? 42 : 43);
}

/* @vcpu: what goes along; otherwise nothing does, by O_CLOEXEC. */
static void exec_self(int vcpu)
{
	char text[16];

	if (fcntl(vcpu, F_SETFD, 0))
		_exit(1);
	snprintf(text, sizeof(text), "%d", vcpu);
	setenv(EXEC_VARIABLE, text, 1);
	execl("/proc/self/exe", "lifetime", NULL);
	_exit(2);
}

/* The address space goes, and the threads with it; one descriptor stays. */
TEST_F(lifetime, exec)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct guest g, sibling;
		struct runner r;

		guest_open(_metadata, &g);
		guest_open_sibling(_metadata, &g, &sibling, 1);
		GUEST_LONG(&g, spin);
		g.page->deadline_ns = 0;
		if (runner_insist(&r, &g) ||
		    !WAIT_FOR(guest_read64(&g, COUNT) > 10000))
			_exit(3);
		exec_self(sibling.vcpu);
	}
	status = wait_for(child);
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(42, WEXITSTATUS(status));
}

/* --- suspend --------------------------------------------------------------- */

/* As far down as this machine can be tested and come back; NULL: it can't. */
static const char *choose_sleep(const char **level)
{
	*level = "core";
	if (file_has("/sys/power/mem_sleep", "deep")) {
		write_file("/sys/power/mem_sleep", "deep");
		return "mem";
	}
	if (file_has("/sys/power/state", "disk"))
		return "disk";
	*level = "platform";
	return file_has("/sys/power/state", "freeze") ? "freeze" : NULL;
}

static int sleep_once(const char *state, const char *level)
{
	int ret;

	/* Seconds that the kernel stays down there: 5, if not told. */
	write_file("/sys/module/suspend/parameters/pm_test_delay", "0");
	write_file("/sys/module/hibernate/parameters/pm_test_delay", "0");
	if (write_file("/sys/power/pm_test", level))
		return -ENOENT;
	ret = write_file("/sys/power/state", state);
	write_file("/sys/power/pm_test", "none");
	return ret;
}

/* A guest runs, and another one has run; both go on after. */
TEST_F_TIMEOUT(lifetime, suspended, 90)
{
	const char *level, *state = choose_sleep(&level);
	struct guest running, idle;
	struct runner r;
	__u64 count;
	int ret;

	if (!state || !file_has("/sys/power/pm_test", level))
		VEE_SKIP("suspend can't be tested on this kernel");
	guest_open(_metadata, &running);
	guest_open(_metadata, &idle);
	GUEST_LONG(&idle, halt);
	ASSERT_HLT(&idle, GPA_CODE);
	GUEST_LONG(&running, spin);
	running.page->deadline_ns = 0;
	ASSERT_EQ(0, runner_insist(&r, &running));
	ASSERT_TRUE(WAIT_FOR(guest_read64(&running, COUNT) > 1000));
	ret = sleep_once(state, level);
	EXPECT_EQ(0, ret) TH_LOG("%s to %s: %s", state, level, strerror(-ret));
	count = guest_read64(&running, COUNT);
	EXPECT_TRUE(WAIT_FOR(guest_read64(&running, COUNT) > count));
	ASSERT_HLT(&idle, GPA_CODE);
	guest_write32(&running, GPA_CODE, 0xf4f4f4f4);
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, running.page->exit.reason);
	guest_close(&idle);
	guest_close(&running);
}

TEST_HARNESS_MAIN
