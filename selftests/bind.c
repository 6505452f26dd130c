// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eventfds that send interrupts to local APICs (VEE_VM_BIND): from other threads, other
 * processes and the kernel, to guests that run and that sleep, and all that ends them.
 */
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "uring_util.h"

#define LOW		0x31
#define HIGH		0x52
#define PORT		0x10
#define NAP_US		2000

#define DO_EOI		"mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr;"

GUEST_CODE(wait_for_one, 64, "1: sti; hlt; cli; jmp 1b");
GUEST_CODE(count_on, 64, "1: sti; nop; incl 0x20000; cli; jmp 1b");
GUEST_CODE(open_for_one, 64, "sti; nop; cli; hlt");
GUEST_CODE(eoi, 64, DO_EOI "hlt");
GUEST_CODE(out, 64, "sti; out %al, $0x10; nop; cli; hlt");
GUEST_CODE(store, 64, "sti; mov %al, 0x30000000; nop; cli; hlt");
GUEST_LABEL(serve_one);
GUEST_CODE(serve, 64, "1: sti; hlt; jmp 1b; serve_one: incl 0x20000;" DO_EOI "iretq");

#define AFTER_OUT	(GPA_CODE + 3)
#define AFTER_STORE	(GPA_CODE + 8)

FIXTURE(bind) {
	struct guest g;
	int fd;
};

static int new_eventfd(struct __test_metadata *_metadata)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	ASSERT_LE(0, fd);
	return fd;
}

FIXTURE_SETUP(bind)
{
	guest_open_apic(_metadata, &self->g);
	self->fd = new_eventfd(_metadata);
}

FIXTURE_TEARDOWN(bind)
{
	close(self->fd);
	guest_close(&self->g);
}

static int change(int vm, struct vee_bind arg)
{
	arg.size = sizeof(arg);
	return vee_call(vm, VEE_VM_BIND, &arg);
}

static int bind_to(const struct guest *g, int fd, __u8 vector)
{
	return change(g->vm, (struct vee_bind) {
		.address = MSI(0),
		.data = vector,
		.eventfd = fd,
	});
}

static int unbind(const struct guest *g, int fd)
{
	return change(g->vm, (struct vee_bind) { .eventfd = fd, .remove = 1 });
}

static bool add(int fd, __u64 value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value);
}

static __u64 count_of(int fd)
{
	__u64 count = 0;

	return read(fd, &count, sizeof(count)) < 0 ? 0 : count;
}

/* Opens interrupts for one instruction, and ends what comes: which vector, -1: none. */
static int taken(struct __test_metadata *_metadata, struct guest *g)
{
	__u64 rip;

	GUEST_LONG(g, open_for_one);
	ASSERT_EQ(0, guest_run(g));
	if (g->page->exit.reason == VEE_EXIT_HLT)
		return -1;
	EXPECT_EQ(VEE_EXIT_HYPERCALL, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
	rip = g->page->regs.rip;
	GUEST_LONG(g, eoi);
	ASSERT_EQ(0, guest_run(g));
	EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
	return (rip - GPA_STUBS) / 16;
}

#define TAKEN()	taken(_metadata, &self->g)

/* It sleeps until the interrupt comes, and leaves its run by it. */
static void begin_to_wait(struct __test_metadata *_metadata, struct guest *g,
			  struct runner *r)
{
	GUEST_LONG(g, wait_for_one);
	ASSERT_EQ(0, runner_start(r, g));
	usleep(NAP_US);
	EXPECT_FALSE(runner_done(r));
}

static void expect_woken(struct __test_metadata *_metadata, struct runner *r, __u8 vector)
{
	ASSERT_EQ(0, runner_join(r));
	EXPECT_EQ(VEE_EXIT_HYPERCALL, r->g->page->exit.reason)
		TH_LOG("%s", guest_describe(r->g));
	EXPECT_EQ(STUB(vector), r->g->page->regs.rip);
}

/* It counts each, and goes back to sleep. */
static void begin_to_serve(struct __test_metadata *_metadata, struct guest *g,
			   struct runner *r)
{
	g->page->deadline_ns = 0;
	GUEST_LONG(g, serve);
	guest_write64(g, GPA_IDT + 16 * HIGH,
		      AT(serve, serve_one) | SEL_CODE64 << 16 | 0x8eULL << 40);
	ASSERT_EQ(0, runner_insist(r, g));
}

static void end_serving(struct __test_metadata *_metadata, struct guest *g, struct runner *r)
{
	/* Its run may end and begin once more, by a signal or such. */
	EXPECT_TRUE(WAIT_FOR((vcpu_kick(g->vcpu, g->page->generation), runner_done(r))));
	EXPECT_EQ(0, runner_join(r));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason) TH_LOG("%s", guest_describe(g));
}

/* --- to whom, and from whom ---------------------------------------------------------- */

TEST_F(bind, to_a_halted_guest)
{
	struct runner r;

	ASSERT_EQ(0, bind_to(&self->g, self->fd, HIGH));
	begin_to_wait(_metadata, &self->g, &r);
	EXPECT_TRUE(add(self->fd, 1));
	expect_woken(_metadata, &r, HIGH);
	EXPECT_EQ(0, count_of(self->fd));
}

TEST_F(bind, to_a_running_guest)
{
	struct guest *g = &self->g;
	struct runner r;

	ASSERT_EQ(0, bind_to(g, self->fd, HIGH));
	GUEST_LONG(g, count_on);
	ASSERT_EQ(0, runner_start(&r, g));
	ASSERT_TRUE(guest_counts(g));
	EXPECT_TRUE(add(self->fd, 5));
	expect_woken(_metadata, &r, HIGH);
	EXPECT_EQ(0, count_of(self->fd));
}

TEST_F(bind, to_one_that_does_not_run)
{
	ASSERT_EQ(0, bind_to(&self->g, self->fd, HIGH));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(HIGH, TAKEN());
	EXPECT_EQ(-1, TAKEN());
	/* 0 is no signal. */
	EXPECT_TRUE(add(self->fd, 0));
	EXPECT_EQ(-1, TAKEN());
}

TEST_F(bind, to_another)
{
	struct guest *g = &self->g, other;
	struct runner r;

	guest_open_sibling(_metadata, g, &other, 17);
	guest_turn_apic_on(_metadata, &other);
	ASSERT_EQ(0, change(g->vm, (struct vee_bind) {
		.address = MSI(17),
		.data = LOW,
		.eventfd = self->fd,
	}));
	begin_to_wait(_metadata, &other, &r);
	EXPECT_TRUE(add(self->fd, 1));
	expect_woken(_metadata, &r, LOW);
	guest_close(&other);
	/* Nobody hears it. */
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(0, count_of(self->fd));
	EXPECT_EQ(-1, TAKEN());
}

TEST_F(bind, from_another_process)
{
	struct runner r;
	int status;
	pid_t child;

	ASSERT_EQ(0, bind_to(&self->g, self->fd, HIGH));
	begin_to_wait(_metadata, &self->g, &r);
	child = fork();
	if (!child)
		_exit(!add(self->fd, 1));
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	expect_woken(_metadata, &r, HIGH);
}

/* As vhost and VFIO do. */
TEST_F(bind, from_the_kernel)
{
	struct ring ring;
	struct runner r;

	if (ring_open(&ring, 0))
		VEE_SKIP("no io_uring");
	ASSERT_EQ(0, syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD,
			     &self->fd, 1));
	ASSERT_EQ(0, bind_to(&self->g, self->fd, HIGH));
	begin_to_wait(_metadata, &self->g, &r);
	ring_queue(&ring, IORING_OP_NOP, -1, 1);
	ring_publish(&ring);
	EXPECT_EQ(0, ring_result(&ring));
	expect_woken(_metadata, &r, HIGH);
	ring_close(&ring);
}

static int set_doorbell(const struct guest *g, int fd, __u32 space, __u64 address)
{
	struct vee_doorbell bell = {
		.size = sizeof(bell),
		.address = address,
		.space = space,
		.eventfd = fd,
	};

	return vee_call(g->vm, VEE_VM_DOORBELL, &bell);
}

/* The interrupt is there at the instruction behind. */
TEST_F(bind, from_its_own_guest)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, bind_to(g, self->fd, HIGH));
	ASSERT_EQ(0, set_doorbell(g, self->fd, VEE_SPACE_PORT, PORT));
	ASSERT_EQ(0, set_doorbell(g, self->fd, VEE_SPACE_MEMORY, GPA_MMIO));
	GUEST_LONG(g, out);
	ASSERT_VECTOR(g, HIGH);
	EXPECT_EQ(AFTER_OUT, guest_read64(g, g->page->regs.rsp));
	GUEST_LONG(g, eoi);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	GUEST_LONG(g, store);
	ASSERT_VECTOR(g, HIGH);
	EXPECT_EQ(AFTER_STORE, guest_read64(g, g->page->regs.rsp));
}

TEST_F(bind, signalled_before)
{
	EXPECT_TRUE(add(self->fd, 3));
	ASSERT_EQ(0, bind_to(&self->g, self->fd, HIGH));
	EXPECT_EQ(0, count_of(self->fd));
	EXPECT_EQ(HIGH, TAKEN());
	EXPECT_EQ(-1, TAKEN());
}

static void end_seen(struct __test_metadata *_metadata, struct guest *g, __u8 vector)
{
	GUEST_LONG(g, eoi);
	ASSERT_RUN(g, VEE_EXIT_EOI);
	EXPECT_EQ(vector, g->page->exit.eoi.vector);
}

TEST_F(bind, level)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, change(g->vm, (struct vee_bind) {
		.flags = VEE_SIGNAL_LEVEL,
		.address = MSI(0),
		.data = LOW,
		.eventfd = self->fd,
	}));
	EXPECT_TRUE(add(self->fd, 1));
	GUEST_LONG(g, wait_for_one);
	ASSERT_VECTOR(g, LOW);
	end_seen(_metadata, g, LOW);
}

/* Each is taken once, while the guest serves them. */
TEST_F(bind, one_by_one)
{
	struct guest *g = &self->g;
	struct runner r;
	unsigned int i;

	ASSERT_EQ(0, bind_to(g, self->fd, HIGH));
	begin_to_serve(_metadata, g, &r);
	for (i = 1; i <= 200; i++) {
		ASSERT_TRUE(add(self->fd, 1));
		ASSERT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA) == i)) TH_LOG("%u", i);
	}
	end_serving(_metadata, g, &r);
	EXPECT_EQ(200, guest_read32(g, GPA_DATA));
}

/* --- which ------------------------------------------------------------------------------ */

TEST_F(bind, removed)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, bind_to(g, self->fd, HIGH));
	EXPECT_EQ(0, unbind(g, self->fd));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(-1, TAKEN());
	/* What came meanwhile goes to its next message. */
	ASSERT_EQ(0, bind_to(g, self->fd, LOW));
	EXPECT_EQ(LOW, TAKEN());
	EXPECT_EQ(0, unbind(g, self->fd));
	EXPECT_TRUE(add(self->fd, 2));
	EXPECT_EQ(2, count_of(self->fd));
}

TEST_F(bind, in_two_vms)
{
	struct guest other;

	guest_open_apic(_metadata, &other);
	ASSERT_EQ(0, bind_to(&self->g, self->fd, HIGH));
	ASSERT_EQ(0, bind_to(&other, self->fd, HIGH));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(HIGH - 1, TAKEN() + taken(_metadata, &other));
	guest_close(&other);
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(HIGH, TAKEN());
}

TEST_F(bind, refused)
{
	const struct vee_bind good = { .address = MSI(0), .data = HIGH, .eventfd = self->fd };
	struct guest *g = &self->g, plain;
	struct vee_bind arg = good;

	EXPECT_EQ(-ENOENT, unbind(g, self->fd));
	arg.address = 0xfed00000;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg.address = 0x1fee00000;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg = good;
	arg.data = 0x700 | HIGH;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg = good;
	arg.flags = 4;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg = good;
	arg.remove = 2;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg = good;
	arg.eoi = 1;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	EXPECT_EQ(-EINVAL, bind_to(g, g->vm, HIGH));
	EXPECT_EQ(-EINVAL, unbind(g, g->vm));
	EXPECT_EQ(-EBADF, bind_to(g, -1, HIGH));
	EXPECT_EQ(-EBADF, unbind(g, -1));
	guest_open(_metadata, &plain);
	EXPECT_EQ(-ENODEV, bind_to(&plain, self->fd, HIGH));
	guest_close(&plain);
	/* None of these has taken anything. */
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(1, count_of(self->fd));
}

TEST_F(bind, refused_when_bound)
{
	struct vee_bind arg = { .eventfd = self->fd, .remove = 1, .data = HIGH };
	struct guest *g = &self->g;

	ASSERT_EQ(0, bind_to(g, self->fd, HIGH));
	EXPECT_EQ(-EEXIST, bind_to(g, self->fd, HIGH));
	EXPECT_EQ(-EEXIST, bind_to(g, self->fd, LOW));
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg.data = 0;
	arg.address = MSI(0);
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg.address = 0;
	arg.flags = VEE_SIGNAL_LEVEL;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(HIGH, TAKEN());
	arg.flags = 0;
	EXPECT_EQ(0, change(g->vm, arg));
	EXPECT_EQ(-ENOENT, change(g->vm, arg));
}

TEST_F(bind, from_another_mm)
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(bind_to(&self->g, self->fd, HIGH) != -EIO);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

static int raise_limit(void)
{
	struct rlimit limit = { .rlim_cur = 4096, .rlim_max = 4096 };

	return setrlimit(RLIMIT_NOFILE, &limit);
}

TEST_F(bind, many)
{
	static int fds[VEE_MAX_BINDS];
	struct guest *g = &self->g;
	unsigned int i;

	if (raise_limit())
		VEE_SKIP("no more than %ld descriptors", sysconf(_SC_OPEN_MAX));
	for (i = 0; i < VEE_MAX_BINDS; i++) {
		fds[i] = new_eventfd(_metadata);
		ASSERT_EQ(0, bind_to(g, fds[i], 0x20 + i % 0xd0)) TH_LOG("%u", i);
	}
	EXPECT_EQ(-ENOSPC, bind_to(g, self->fd, HIGH));
	for (i = 0; i < VEE_MAX_BINDS; i += 93) {
		EXPECT_TRUE(add(fds[i], 1));
		EXPECT_EQ(0x20 + i % 0xd0, TAKEN());
	}
	/* There is room once one is removed, or closed. */
	EXPECT_EQ(0, unbind(g, fds[500]));
	EXPECT_EQ(0, bind_to(g, self->fd, HIGH));
	EXPECT_EQ(0, unbind(g, self->fd));
	EXPECT_EQ(0, bind_to(g, fds[500], LOW));
	for (i = 0; i < VEE_MAX_BINDS; i++)
		close(fds[i]);
	EXPECT_EQ(0, bind_to(g, self->fd, HIGH));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(HIGH, TAKEN());
}

/* --- the end ------------------------------------------------------------------------------ */

/* An eventfd lives as long as any descriptor of it, and a bind no longer. */
TEST_F(bind, eventfd_closed)
{
	struct guest *g = &self->g;
	int fd = new_eventfd(_metadata), copy = dup(fd);

	ASSERT_EQ(0, bind_to(g, fd, HIGH));
	EXPECT_EQ(0, set_doorbell(g, fd, VEE_SPACE_PORT, PORT));
	close(fd);
	EXPECT_TRUE(add(copy, 1));
	EXPECT_EQ(HIGH, TAKEN());
	close(copy);
	/* The doorbell has it still. */
	GUEST_LONG(g, out);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(-1, TAKEN());
}

/* As long as a vCPU is there the VM is, and hears. */
TEST_F(bind, vm_closed)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, bind_to(g, self->fd, HIGH));
	close(g->vm);
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(HIGH, TAKEN());
	munmap(g->page, VEE_VCPU_PAGE_BYTES);
	close(g->vcpu);
	EXPECT_TRUE(add(self->fd, 3));
	EXPECT_EQ(3, count_of(self->fd));
	g->vm = -1;
	g->vcpu = -1;
}

/* Three things, in each order. */
TEST_F(bind, closed_in_each_order)
{
	static const char orders[][4] = { "vce", "vec", "cve", "cev", "evc", "ecv" };
	long users = module_users_at_rest();
	struct guest other;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		int fd = new_eventfd(_metadata), copy = dup(fd);

		guest_open_apic(_metadata, &other);
		ASSERT_EQ(0, bind_to(&other, fd, HIGH));
		close(fd);
		for (j = 0; j < 3; j++) {
			EXPECT_TRUE(orders[i][j] == 'e' || copy < 0 || add(copy, 1));
			close(orders[i][j] == 'v' ? other.vm :
			      orders[i][j] == 'c' ? other.vcpu : copy);
			if (orders[i][j] == 'e')
				copy = -1;
		}
		munmap(other.page, VEE_VCPU_PAGE_BYTES);
		munmap(other.mem, GUEST_BYTES);
		close(other.dev);
		EXPECT_TRUE(WAIT_FOR(module_users() == users)) TH_LOG("%s", orders[i]);
	}
}

TEST_F(bind, owner_killed)
{
	long users = module_users_at_rest();
	int status, up[2];
	char ready;
	pid_t child;

	ASSERT_EQ(0, pipe2(up, O_CLOEXEC));
	child = fork();
	if (!child) {
		struct guest g;

		guest_open_apic(_metadata, &g);
		ready = !bind_to(&g, self->fd, HIGH);
		GUEST_LONG(&g, count_on);
		write(up[1], &ready, 1);
		guest_run(&g);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(up[0], &ready, 1));
	EXPECT_EQ(1, ready);
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_EQ(0, count_of(self->fd));
	EXPECT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WAIT_FOR(module_users() == users));
	EXPECT_TRUE(add(self->fd, 7));
	EXPECT_EQ(7, count_of(self->fd));
}

/* --- while signals come in --------------------------------------------------------------- */

static bool stop;

static void *signal_on(void *arg)
{
	int fd = *(int *)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		add(fd, 1);
		sched_yield();
	}
	return NULL;
}

/* Once it is removed nothing more comes, however many do at that moment. */
TEST_F(bind, removed_meanwhile)
{
	struct guest *g = &self->g;
	pthread_t thread;
	unsigned int i, came = 0;

	ASSERT_EQ(0, pthread_create(&thread, NULL, signal_on, &self->fd));
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, bind_to(g, self->fd, HIGH));
		usleep(i % 4 * 100);
		ASSERT_EQ(0, unbind(g, self->fd));
		came += TAKEN() == HIGH;
		EXPECT_EQ(-1, TAKEN()) TH_LOG("round %u", i);
	}
	EXPECT_LT(0, came);
	stop = true;
	pthread_join(thread, NULL);
}

/**
 * struct changer - a thread that binds and removes, as another does
 * @g: whose VM
 * @fd: which eventfd
 * @eoi: which hears of EOIs
 * @done: how often it could
 * @failed: an error that can't be
 */
struct changer {
	const struct guest *g;
	int fd;
	int eoi;
	unsigned int done;
	int failed;
};

static void *change_on(void *arg)
{
	struct changer *c = arg;
	unsigned int i;

	for (i = 0; i < 300; i++) {
		int ret = i % 2 ? unbind(c->g, c->fd) : bind_to(c->g, c->fd, HIGH);

		c->done += !ret;
		if (ret && ret != (i % 2 ? -ENOENT : -EEXIST))
			c->failed = ret;
		sched_yield();
	}
	return NULL;
}

TEST_F(bind, changed_by_two)
{
	struct changer changers[2] = {
		{ .g = &self->g, .fd = self->fd }, { .g = &self->g, .fd = self->fd },
	};
	pthread_t signaller, threads[2];
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&signaller, NULL, signal_on, &self->fd));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, change_on, &changers[i]));
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	stop = true;
	pthread_join(signaller, NULL);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, changers[i].failed) TH_LOG("%s", strerror(-changers[i].failed));
	EXPECT_LT(0, changers[0].done + changers[1].done);
	unbind(&self->g, self->fd);
	TAKEN();
	EXPECT_EQ(-1, TAKEN());
}

/* The VM goes, its vCPU first or last, as signals come in. */
TEST_F(bind, vm_closed_meanwhile)
{
	long users = module_users_at_rest();
	struct guest other;
	pthread_t thread;
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, signal_on, &self->fd));
	for (i = 0; i < 20; i++) {
		guest_open_apic(_metadata, &other);
		ASSERT_EQ(0, bind_to(&other, self->fd, HIGH));
		usleep(i % 4 * 200);
		if (i % 2) {
			close(other.vm);
			other.vm = -1;
		}
		guest_close(&other);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_TRUE(WAIT_FOR(module_users() == users));
}

static void *signal_and_close(void *arg)
{
	int fd = *(int *)arg;

	add(fd, 1);
	close(fd);
	return NULL;
}

/* Two have a descriptor each. The guest is woken all the while. */
TEST_F(bind, eventfd_closed_meanwhile)
{
	struct guest *g = &self->g;
	struct runner r;
	unsigned int i;

	begin_to_serve(_metadata, g, &r);
	for (i = 0; i < 100; i++) {
		int fd = new_eventfd(_metadata), copy = dup(fd);
		pthread_t thread;

		ASSERT_EQ(0, bind_to(g, fd, HIGH));
		ASSERT_EQ(0, pthread_create(&thread, NULL, signal_and_close, &copy));
		EXPECT_TRUE(add(fd, 1));
		close(fd);
		pthread_join(thread, NULL);
	}
	EXPECT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA)));
	end_serving(_metadata, g, &r);
}

/* --- whose end an eventfd hears of ---------------------------------------------------- */

FIXTURE(bind_eoi) {
	struct guest g;
	int fd;
	int eoi;
};

FIXTURE_SETUP(bind_eoi)
{
	guest_open_apic(_metadata, &self->g);
	self->fd = new_eventfd(_metadata);
	self->eoi = new_eventfd(_metadata);
}

FIXTURE_TEARDOWN(bind_eoi)
{
	close(self->fd);
	close(self->eoi);
	guest_close(&self->g);
}

static int bind_with_eoi(const struct guest *g, int fd, int eoi, __u8 vector)
{
	return change(g->vm, (struct vee_bind) {
		.flags = VEE_SIGNAL_LEVEL | VEE_BIND_EOI,
		.address = MSI(0),
		.data = vector,
		.eventfd = fd,
		.eoi = eoi,
	});
}

static void expect_interrupt(struct __test_metadata *_metadata, struct guest *g, __u8 vector)
{
	GUEST_LONG(g, wait_for_one);
	ASSERT_VECTOR(g, vector);
}

/* The guest goes on to its HLT. */
static void end_unseen(struct __test_metadata *_metadata, struct guest *g)
{
	GUEST_LONG(g, eoi);
	ASSERT_RUN(g, VEE_EXIT_HLT);
}

TEST_F(bind_eoi, is_heard)
{
	struct guest *g = &self->g;
	unsigned int i;

	ASSERT_EQ(0, bind_with_eoi(g, self->fd, self->eoi, LOW));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(add(self->fd, 1));
		expect_interrupt(_metadata, g, LOW);
		EXPECT_EQ(0, count_of(self->eoi));
		end_unseen(_metadata, g);
		EXPECT_EQ(1, count_of(self->eoi));
	}
}

/* An edge-triggered one's is nobody's; another vector's the caller's. */
TEST_F(bind_eoi, of_its_vector_alone)
{
	int other = new_eventfd(_metadata), edge = new_eventfd(_metadata);
	struct guest *g = &self->g;

	ASSERT_EQ(0, bind_with_eoi(g, self->fd, self->eoi, LOW));
	ASSERT_EQ(0, bind_to(g, edge, LOW));
	ASSERT_EQ(0, change(g->vm, (struct vee_bind) {
		.flags = VEE_SIGNAL_LEVEL,
		.address = MSI(0),
		.data = LOW + 32,
		.eventfd = other,
	}));
	EXPECT_TRUE(add(edge, 1));
	EXPECT_EQ(LOW, TAKEN());
	EXPECT_EQ(0, count_of(self->eoi));
	EXPECT_TRUE(add(other, 1));
	expect_interrupt(_metadata, g, LOW + 32);
	end_seen(_metadata, g, LOW + 32);
	EXPECT_EQ(0, count_of(self->eoi));
	close(other);
	close(edge);
}

/* As an I/O APIC would: from whom the message came is not known at its end. */
TEST_F(bind_eoi, of_a_message)
{
	struct vee_signal signal = {
		.size = sizeof(signal),
		.flags = VEE_SIGNAL_LEVEL,
		.address = MSI(0),
		.data = LOW,
	};
	struct guest *g = &self->g;

	ASSERT_EQ(0, bind_with_eoi(g, self->fd, self->eoi, LOW));
	ASSERT_EQ(0, vee_call(g->vm, VEE_VM_SIGNAL, &signal));
	expect_interrupt(_metadata, g, LOW);
	end_unseen(_metadata, g);
	EXPECT_EQ(1, count_of(self->eoi));
}

/* Two devices on one line, and one that has both ends of two. */
TEST_F(bind_eoi, shared)
{
	int fds[2] = { new_eventfd(_metadata), new_eventfd(_metadata) };
	int other = new_eventfd(_metadata);
	struct guest *g = &self->g;

	ASSERT_EQ(0, bind_with_eoi(g, self->fd, self->eoi, LOW));
	ASSERT_EQ(0, bind_with_eoi(g, fds[0], self->eoi, LOW));
	ASSERT_EQ(0, bind_with_eoi(g, fds[1], other, LOW));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_TRUE(add(fds[1], 1));
	expect_interrupt(_metadata, g, LOW);
	end_unseen(_metadata, g);
	EXPECT_EQ(2, count_of(self->eoi));
	EXPECT_EQ(1, count_of(other));
	close(fds[0]);
	close(fds[1]);
	close(other);
}

/* What it has sent before is the caller's from then on. */
TEST_F(bind_eoi, removed)
{
	struct guest *g = &self->g;
	int fd = new_eventfd(_metadata);

	ASSERT_EQ(0, bind_with_eoi(g, self->fd, self->eoi, LOW));
	EXPECT_TRUE(add(self->fd, 1));
	expect_interrupt(_metadata, g, LOW);
	EXPECT_EQ(0, unbind(g, self->fd));
	end_seen(_metadata, g, LOW);
	EXPECT_EQ(0, count_of(self->eoi));
	/* Who is closed has ended with the next request. */
	ASSERT_EQ(0, bind_with_eoi(g, fd, self->eoi, LOW));
	EXPECT_TRUE(add(fd, 1));
	expect_interrupt(_metadata, g, LOW);
	close(fd);
	EXPECT_EQ(-ENOENT, unbind(g, self->fd));
	end_seen(_metadata, g, LOW);
	EXPECT_EQ(0, count_of(self->eoi));
}

/* The module keeps it: nobody hears it, and the guest does not care. */
TEST_F(bind_eoi, closed)
{
	struct guest *g = &self->g;
	int eoi = new_eventfd(_metadata);

	ASSERT_EQ(0, bind_with_eoi(g, self->fd, eoi, LOW));
	close(eoi);
	EXPECT_TRUE(add(self->fd, 1));
	expect_interrupt(_metadata, g, LOW);
	end_unseen(_metadata, g);
}

TEST_F(bind_eoi, refused)
{
	const struct vee_bind good = {
		.flags = VEE_SIGNAL_LEVEL | VEE_BIND_EOI,
		.address = MSI(0),
		.data = LOW,
		.eventfd = self->fd,
		.eoi = self->eoi,
	};
	struct guest *g = &self->g;
	int copy = dup(self->fd);
	struct vee_bind arg = good;

	arg.flags = VEE_BIND_EOI;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg.flags = VEE_SIGNAL_LEVEL;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg = good;
	arg.eoi = -1;
	EXPECT_EQ(-EBADF, change(g->vm, arg));
	arg.eoi = g->vm;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg.eoi = self->fd;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg.eoi = copy;
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	arg = (struct vee_bind) { .eventfd = self->fd, .remove = 1, .eoi = self->eoi };
	EXPECT_EQ(-EINVAL, change(g->vm, arg));
	EXPECT_EQ(-ENOENT, unbind(g, self->fd));
	EXPECT_EQ(0, change(g->vm, good));
	EXPECT_EQ(-EEXIST, change(g->vm, good));
	close(copy);
}

static void *hear_and_signal(void *arg)
{
	const int *fds = arg;
	struct pollfd poll_fd = { .fd = fds[1], .events = POLLIN };

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		if (poll(&poll_fd, 1, 100) > 0 && count_of(fds[1]))
			add(fds[0], 1);
	return NULL;
}

/* A device whose line stays asserted, in another thread: each EOI brings the next one. */
TEST_F(bind_eoi, asserted_still)
{
	int fds[2] = { self->fd, self->eoi };
	struct guest *g = &self->g;
	struct runner r;
	pthread_t thread;

	ASSERT_EQ(0, bind_with_eoi(g, self->fd, self->eoi, HIGH));
	begin_to_serve(_metadata, g, &r);
	ASSERT_EQ(0, pthread_create(&thread, NULL, hear_and_signal, fds));
	EXPECT_TRUE(add(self->fd, 1));
	EXPECT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA) >= 100));
	end_serving(_metadata, g, &r);
	stop = true;
	pthread_join(thread, NULL);
}

static void *bind_again(void *arg)
{
	const struct changer *c = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		unbind(c->g, c->fd);
		bind_with_eoi(c->g, c->fd, c->eoi, HIGH);
	}
	return NULL;
}

/* Removed and bound again all the while: an EOI is its eventfd's, or the caller's. */
TEST_F(bind_eoi, changed_meanwhile)
{
	struct guest *g = &self->g;
	struct changer changer = { .g = g, .fd = self->fd, .eoi = self->eoi };
	unsigned int i, heard = 0, seen = 0;
	pthread_t thread;

	ASSERT_EQ(0, bind_with_eoi(g, self->fd, self->eoi, HIGH));
	ASSERT_EQ(0, pthread_create(&thread, NULL, bind_again, &changer));
	for (i = 0; i < 200; i++) {
		EXPECT_TRUE(add(self->fd, 1));
		expect_interrupt(_metadata, g, HIGH);
		GUEST_LONG(g, eoi);
		ASSERT_EQ(0, guest_run(g));
		if (g->page->exit.reason == VEE_EXIT_EOI)
			seen++;
		else
			EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason);
		heard += count_of(self->eoi);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(200, heard + seen);
}

/* The VM goes, with one in service, as its eventfd's last descriptor does. */
TEST_F(bind_eoi, vm_closed_meanwhile)
{
	long users = module_users_at_rest();
	struct guest other;
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		int fd = new_eventfd(_metadata), copy = dup(fd);

		guest_open_apic(_metadata, &other);
		ASSERT_EQ(0, bind_with_eoi(&other, fd, self->eoi, LOW));
		ASSERT_EQ(0, pthread_create(&thread, NULL, signal_and_close, &copy));
		EXPECT_TRUE(add(fd, 1));
		expect_interrupt(_metadata, &other, LOW);
		close(fd);
		guest_close(&other);
		pthread_join(thread, NULL);
	}
	EXPECT_TRUE(WAIT_FOR(module_users() == users));
	EXPECT_EQ(0, count_of(self->eoi));
}

TEST_HARNESS_MAIN
