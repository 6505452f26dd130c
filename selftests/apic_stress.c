// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local APICs under stress: interrupts from all sides to vCPUs that run, halt, are kicked,
 * have deadlines and are reset, as CPUs go and come, and VMs go. Each interrupt is counted,
 * and none comes that wasn't sent. $VEE_STRESS says how many times as long (1).
 */
#include <sys/eventfd.h>

#include "apic_util.h"

#define CPU1_ONLINE	"/sys/devices/system/cpu/cpu1/online"

#define MAX_VCPUS	4
#define STRESS_NS	(10 * DEADLINE_NS)
#define SHORT_NS	(MS_NS / 5)
#define COUNT_OF(n)	(GPA_DATA + 64 * (n))
#define STACK_OF(n)	(0x40000 + PAGE_BYTES * ((n) + 1))

FIXTURE(stress) {
	struct guest g[MAX_VCPUS];
	unsigned int vcpus;
	cpu_set_t cpus;
};

FIXTURE_VARIANT(stress) {
	APIC_VARIANT;
};

FIXTURE_VARIANT_ADD(stress, all) {
	APIC_ALL,
};

FIXTURE_VARIANT_ADD(stress, registers) {
	APIC_REGISTERS,
};

FIXTURE_VARIANT_ADD(stress, shadow) {
	APIC_SHADOW,
};

FIXTURE_VARIANT_ADD(stress, nothing) {
	APIC_NOTHING,
};

static unsigned int times(unsigned int n)
{
	const char *longer = getenv("VEE_STRESS");

	return n * (longer && atoi(longer) > 0 ? atoi(longer) : 1);
}

FIXTURE_SETUP(stress)
{
	apic_want(_metadata, variant->parameters, variant->needs);
	sched_getaffinity(0, sizeof(self->cpus), &self->cpus);
	open_guest(_metadata, &self->g[0]);
	self->vcpus = 1;
}

FIXTURE_TEARDOWN(stress)
{
	if (!self->vcpus)
		return;
	write_file(CPU1_ONLINE, "1");
	while (self->vcpus--)
		guest_close(&self->g[self->vcpus]);
}

/* --- threads ---------------------------------------------------------------------- */

/**
 * struct vcpu - a thread that runs a vCPU, whatever ends its runs, until its guest has done
 * @g: the vCPU
 * @thread: the thread
 * @ret: an error that ended it
 * @nexts: VMCALLs of the guest's that are just passed; the one after these is its last
 * @runs: how many runs there were
 * @hurries: runs have deadlines of 200 us and more: each eighth is long enough on any machine
 * @done: the thread is at its end
 */
struct vcpu {
	struct guest *g;
	pthread_t thread;
	int ret;
	unsigned long nexts;
	unsigned long runs;
	bool hurries;
	bool done;
};

static bool ended(struct vcpu *v)
{
	__u32 reason = v->g->page->exit.reason;

	if (reason == VEE_EXIT_KICKED || reason == VEE_EXIT_DEADLINE)
		return false;
	if (reason != VEE_EXIT_HYPERCALL || !v->nexts)
		return true;
	v->nexts--;
	guest_resume_next(v->g);
	return false;
}

static void *run_on(void *arg)
{
	struct vcpu *v = arg;

	do {
		if (v->hurries)
			v->g->page->deadline_ns = SHORT_NS << v->runs % 8;
		v->ret = guest_run_once(v->g);
		v->runs++;
	} while (v->ret == -EINTR || (!v->ret && !ended(v)));
	__atomic_store_n(&v->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static int begin(struct vcpu *v, struct guest *g)
{
	v->g = g;
	return pthread_create(&v->thread, NULL, run_on, v);
}

static bool is_done(const struct vcpu *v)
{
	return __atomic_load_n(&v->done, __ATOMIC_ACQUIRE);
}

/* Its guest has come to its VMCALL. */
static void expect_done(struct __test_metadata *_metadata, struct vcpu *v)
{
	/* Runs whose deadlines end them would never tell. */
	EXPECT_TRUE(WAIT_FOR(is_done(v)))
		TH_LOG("vCPU after %lu runs: %s", v->runs, guest_describe(v->g));
	if (!is_done(v))
		v->g->page->options = ~0U;
	pthread_join(v->thread, NULL);
	EXPECT_EQ(0, v->ret);
	EXPECT_EQ(VEE_EXIT_HYPERCALL, v->g->page->exit.reason)
		TH_LOG("after %lu runs: %s", v->runs, guest_describe(v->g));
}

/**
 * struct noise - a thread that does something over and over
 * @thread: the thread
 * @make: what it does
 * @arg: to what
 * @made: how often it has
 * @stop: it is to end
 */
struct noise {
	pthread_t thread;
	void (*make)(void *arg);
	void *arg;
	unsigned long made;
	bool stop;
};

static void *make_on(void *arg)
{
	struct noise *n = arg;

	while (!__atomic_load_n(&n->stop, __ATOMIC_RELAXED)) {
		n->make(n->arg);
		n->made++;
	}
	return NULL;
}

static int noise_begin(struct noise *n, void (*make)(void *arg), void *arg)
{
	*n = (struct noise) { .make = make, .arg = arg };
	return pthread_create(&n->thread, NULL, make_on, n);
}

static void noise_end(struct noise *n)
{
	__atomic_store_n(&n->stop, true, __ATOMIC_RELAXED);
	pthread_join(n->thread, NULL);
}

/* After 0.1 ms and more, up to what is long enough for a run to get on, on any machine. */
static void kick(void *arg)
{
	static __thread unsigned int kicks;
	struct guest *g = arg;

	vcpu_kick(g->vcpu, generation(g));
	usleep(100U << kicks++ % 8);
}

/* CPU 1 goes, and comes back. */
static void hotplug(void *arg)
{
	write_file(CPU1_ONLINE, "0");
	usleep(2000);
	write_file(CPU1_ONLINE, "1");
	usleep(2000);
}

static bool has_hotplug(const cpu_set_t *cpus)
{
	return cpus_online() > 1 && CPU_ISSET(1, cpus) && !access(CPU1_ONLINE, W_OK);
}

/* --- vCPUs ------------------------------------------------------------------------ */

static void add_vcpus(struct __test_metadata *_metadata, struct guest *g, unsigned int *vcpus,
		      unsigned int count)
{
	for (; *vcpus < count; ++*vcpus)
		guest_open_sibling(_metadata, g, &g[*vcpus], *vcpus);
}

/*
 * At the code that is in place, with a stack of its own, its APIC on and interrupts off. What
 * is sent from here on it hears.
 */
static void set_up(struct __test_metadata *_metadata, struct guest *g, unsigned int n)
{
	guest_set_long(g);
	ASSERT_EQ(0, guest_set_apic_on(g));
	g->page->options = VEE_OPTION_HLT_SLEEPS | VEE_OPTION_HLT_MASKED_SLEEPS;
	g->page->deadline_ns = 1;
	/* A kick may be left over. */
	do {
		ASSERT_EQ(0, guest_run(g));
	} while (g->page->exit.reason == VEE_EXIT_KICKED);
	ASSERT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	g->page->deadline_ns = STRESS_NS;
	g->page->regs.rsp = STACK_OF(n);
	g->page->dirty |= VEE_STATE_REGS;
	guest_write64(g, COUNT_OF(n), 0);
}

static void set_gate(struct guest *g, __u8 vector, __u64 handler)
{
	guest_write64(g, GPA_IDT + 16 * vector,
		      handler | SEL_CODE64 << 16 | 0x8eULL << 40);
}

#define DO_EOI	"mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr;"

/* --- IPI against HLT -------------------------------------------------------------- */

GUEST_LABEL(ring_handler);
GUEST_LABEL(ring_running);
/*
 * Halts, or runs. An interrupt is counted at RDI and goes on to APIC ESI, until there were R8; the
 * last one's last, R9, goes nowhere.
 */
GUEST_CODE(ring, 64,
	   "1: sti; hlt; jmp 1b;"
	   "ring_running: sti; pause; cli; jmp ring_running;"
	   "ring_handler: incq (%rdi); mov (%rdi), %rbx;" DO_EOI
	   "cmp %r8, %rbx; jne 2f; test %r9, %r9; jnz 3f;"
	   "2: mov $0x830, %ecx; mov %esi, %edx; mov $0x52, %eax; wrmsr;"
	   "cmp %r8, %rbx; je 3f; iretq; 3: vmcall; jmp 3b");

/* @running: bits of those that don't halt */
static void begin_ring(struct __test_metadata *_metadata, struct guest *g, struct vcpu *v,
		       unsigned int count, __u64 rounds, unsigned int running)
{
	unsigned int n;

	GUEST_LONG(g, ring);
	for (n = 0; n < count; n++) {
		struct vee_regs *regs = &g[n].page->regs;

		set_up(_metadata, &g[n], n);
		regs->rdi = COUNT_OF(n);
		regs->rsi = (n + 1) % count;
		regs->r8 = rounds;
		regs->r9 = n + 1 == count;
		if (running & 1U << n)
			regs->rip = AT(ring, ring_running);
	}
	set_gate(g, HIGH, AT(ring, ring_handler));
	for (n = 0; n < count; n++)
		ASSERT_EQ(0, begin(&v[n], &g[n]));
	EXPECT_EQ(0, signal_vector(g, 0, HIGH, 0));
}

static void end_ring(struct __test_metadata *_metadata, struct guest *g, struct vcpu *v,
		     unsigned int count, __u64 rounds)
{
	unsigned int n;

	for (n = 0; n < count; n++) {
		expect_done(_metadata, &v[n]);
		EXPECT_EQ(rounds, guest_read64(g, COUNT_OF(n))) TH_LOG("vCPU %u", n);
	}
}

TEST_F_TIMEOUT(stress, ring, 600)
{
	static const unsigned int counts[] = { 2, 3, MAX_VCPUS };
	unsigned int i, rounds = times(100);
	struct guest *g = self->g;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct vcpu v[MAX_VCPUS] = { };

		add_vcpus(_metadata, g, &self->vcpus, counts[i]);
		begin_ring(_metadata, g, v, counts[i], rounds, 0);
		end_ring(_metadata, g, v, counts[i], rounds);
	}
}

/* One of them runs all the time: with one CPU of the host's it has turns of some ms. */
TEST_F_TIMEOUT(stress, ring_with_one_running, 600)
{
	unsigned int rounds = times(cpus_online() > 1 ? 100 : 5);
	struct vcpu v[MAX_VCPUS] = { };
	struct guest *g = self->g;

	add_vcpus(_metadata, g, &self->vcpus, 3);
	begin_ring(_metadata, g, v, 3, rounds, 2);
	end_ring(_metadata, g, v, 3, rounds);
}

/* Meanwhile runs end, by kicks and deadlines, and CPU 1 goes and comes. */
TEST_F_TIMEOUT(stress, ring_disturbed, 600)
{
	unsigned int n, rounds = times(100);
	struct noise kicks[2], plugging;
	struct vcpu v[MAX_VCPUS] = { [2].hurries = true };
	struct guest *g = self->g;
	bool plugs = has_hotplug(&self->cpus);

	add_vcpus(_metadata, g, &self->vcpus, 3);
	begin_ring(_metadata, g, v, 3, rounds, 0);
	for (n = 0; n < 2; n++)
		ASSERT_EQ(0, noise_begin(&kicks[n], kick, &g[n]));
	if (plugs)
		ASSERT_EQ(0, noise_begin(&plugging, hotplug, NULL));
	end_ring(_metadata, g, v, 3, rounds);
	for (n = 0; n < 2; n++)
		noise_end(&kicks[n]);
	if (plugs)
		noise_end(&plugging);
}

/* --- messages and eventfds -------------------------------------------------------- */

GUEST_LABEL(serve_low);
GUEST_LABEL(serve_high);
/* Counts each, and between two of them halts, raises its TPR for a while or just runs. */
GUEST_CODE(serve, 64,
	   "1: sti; hlt; mov $15, %eax; mov %rax, %cr8; nop; xor %eax, %eax; mov %rax, %cr8;"
	   "mov $50, %ebx; 2: dec %ebx; jnz 2b; cmpl $0, 0x20100; je 1b; cli; 3: vmcall; jmp 3b;"
	   "serve_low: incq 0x20000; jmp 4f;"
	   "serve_high: incq 0x20040; 4: push %rax; push %rcx; push %rdx;" DO_EOI
	   "pop %rdx; pop %rcx; pop %rax; iretq");

#define SERVE_STOP	(GPA_DATA + 0x100)

/**
 * struct sender - a thread that sends interrupts, the next once the one before was counted
 * @thread: the thread
 * @g: to whom
 * @fd: the eventfd that does so; -1: a message
 * @count: where they are counted
 * @total: how many
 * @sent: how many it has sent
 */
struct sender {
	pthread_t thread;
	struct guest *g;
	int fd;
	__u64 count;
	unsigned long total;
	unsigned long sent;
};

static bool send_one(struct sender *s)
{
	__u64 one = 1;

	if (s->fd < 0)
		return !signal_vector(s->g, 0, LOW, 0);
	return write(s->fd, &one, sizeof(one)) == sizeof(one);
}

static void *send_on(void *arg)
{
	struct sender *s = arg;

	while (s->sent < s->total && send_one(s)) {
		__u64 until = now_ns() + DEADLINE_NS;

		s->sent++;
		while (guest_read64(s->g, s->count) != s->sent) {
			if (now_ns() > until)
				return NULL;
			sched_yield();
		}
	}
	return NULL;
}

static int bind_high(struct guest *g, int fd)
{
	struct vee_bind bind = {
		.size = sizeof(bind),
		.address = MSI(0),
		.data = HIGH,
		.eventfd = fd,
	};

	return vee_call(g->vm, VEE_VM_BIND, &bind);
}

static void serve_two(struct __test_metadata *_metadata, struct guest *g,
		      struct sender senders[2], bool disturbed)
{
	struct vcpu v = { .hurries = disturbed };
	struct noise kicks;
	int i;

	GUEST_LONG(g, serve);
	set_up(_metadata, g, 0);
	guest_write64(g, COUNT_OF(1), 0);
	guest_write32(g, SERVE_STOP, 0);
	set_gate(g, LOW, AT(serve, serve_low));
	set_gate(g, HIGH, AT(serve, serve_high));
	ASSERT_EQ(0, begin(&v, g));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&senders[i].thread, NULL, send_on, &senders[i]));
	if (disturbed)
		ASSERT_EQ(0, noise_begin(&kicks, kick, g));
	for (i = 0; i < 2; i++) {
		pthread_join(senders[i].thread, NULL);
		EXPECT_EQ(senders[i].total, senders[i].sent);
		EXPECT_EQ(senders[i].total, guest_read64(g, senders[i].count));
	}
	if (disturbed)
		noise_end(&kicks);
	/* Of all that were sent none comes once more. */
	usleep(2000);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(senders[i].total, guest_read64(g, senders[i].count));
	guest_write32(g, SERVE_STOP, 1);
	EXPECT_EQ(0, signal_vector(g, 0, LOW, 0));
	expect_done(_metadata, &v);
}

TEST_F_TIMEOUT(stress, messages_and_eventfds, 600)
{
	int i, fd = eventfd(0, EFD_CLOEXEC);
	struct guest *g = self->g;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bind_high(g, fd));
	for (i = 0; i < 2; i++) {
		struct sender senders[2] = {
			{ .g = g, .fd = -1, .count = COUNT_OF(0), .total = times(100) },
			{ .g = g, .fd = fd, .count = COUNT_OF(1), .total = times(100) },
		};

		serve_two(_metadata, g, senders, i);
	}
	close(fd);
}

/* --- the timer -------------------------------------------------------------------- */

GUEST_LABEL(ticks_handler);
#define TSC	"rdtsc; shl $32, %rdx; or %rdx, %rax;"
#define SET_DEADLINE \
	"mov %rax, %r11; mov %rax, %rdx; shr $32, %rdx; mov $0x6e0, %ecx; wrmsr;"
/*
 * Set anew in each interrupt, to RDI ticks of the TSC on: R8 of them. One that comes before its
 * time, R11, or once more, is the last.
 */
GUEST_CODE(ticks, 64,
	   TSC SET_DEADLINE "1: sti; hlt; mov $20, %ebx; 2: dec %ebx; jnz 2b; jmp 1b;"
	   "ticks_handler:" TSC "cmp %r11, %rax; jb 3f; incq 0x20000;" DO_EOI "dec %r8; jz 3f;"
	   TSC "add %rdi, %rax;" SET_DEADLINE "iretq; 3: vmcall; jmp 3b");

TEST_F_TIMEOUT(stress, timer_disturbed, 600)
{
	__u64 khz = vee_info(self->g[0].dev).tsc_khz, rounds = times(200);
	struct guest *g = self->g;
	struct vcpu v = { .hurries = true };
	struct noise kicks;

	GUEST_LONG(g, ticks);
	set_up(_metadata, g, 0);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC));
	g->page->apic.lvt[VEE_APIC_LVT_TIMER] = HIGH | LVT_DEADLINE;
	g->page->dirty |= VEE_STATE_APIC;
	g->page->regs.rdi = khz / 10;
	g->page->regs.r8 = rounds;
	set_gate(g, HIGH, AT(ticks, ticks_handler));
	ASSERT_EQ(0, begin(&v, g));
	ASSERT_EQ(0, noise_begin(&kicks, kick, g));
	expect_done(_metadata, &v);
	noise_end(&kicks);
	EXPECT_EQ(rounds, guest_read64(g, COUNT_OF(0)));
}

/* --- INIT and SIPI against a run -------------------------------------------------- */

#define GPA_AP		0x10000ULL

GUEST_LABEL(starter_handler);
/* Starts APIC 1 R8 times, by INIT and two SIPIs, and waits each time until it has counted. */
GUEST_CODE(starter, 64,
	   "mov $1, %ebx; 1: mov $0x830, %ecx; mov $1, %edx; mov $0x4500, %eax; wrmsr;"
	   "mov $0x4610, %eax; wrmsr; wrmsr;"
	   "2: cli; cmp %ebx, 0x20000; jae 3f; sti; hlt; jmp 2b;"
	   "3: inc %ebx; dec %r8; jnz 1b; cli; 4: vmcall; jmp 4b;"
	   "starter_handler: push %rax; push %rcx; push %rdx;" DO_EOI
	   "pop %rdx; pop %rcx; pop %rax; iretq");
/* Counts itself, tells APIC 0, and then computes, halts one way or the other, or exits. */
GUEST_CODE(started, 16,
	   "mov $0x2000, %ax; mov %ax, %ds; incl 0; mov 0, %bx;"
	   "mov $0x830, %ecx; xor %edx, %edx; mov $0x52, %eax; wrmsr; and $3, %bx; jz 1f;"
	   "dec %bx; jz 2f; dec %bx; jz 3f; 4: vmcall; jmp 4b;"
	   "1: jmp 1b; 2: sti; hlt; jmp 2b; 3: cli; hlt; jmp 3b");

static void init_sipi(struct __test_metadata *_metadata, struct guest *g, unsigned int rounds,
		      bool disturbed)
{
	struct vcpu v[2] = { { }, { .nexts = -1UL } };
	struct noise kicks[2];
	unsigned int n;

	GUEST_LONG(g, starter);
	memcpy(g->mem + GPA_AP, started, started_end - started);
	for (n = 0; n < 2; n++)
		set_up(_metadata, &g[n], n);
	g[0].page->regs.r8 = rounds;
	ASSERT_EQ(0, vcpu_sync(g[1].vcpu, VEE_STATE_APIC));
	g[1].page->apic.start = VEE_APIC_WAITS_FOR_SIPI;
	g[1].page->dirty |= VEE_STATE_APIC;
	set_gate(g, HIGH, AT(starter, starter_handler));
	for (n = 0; n < 2; n++) {
		ASSERT_EQ(0, begin(&v[n], &g[n]));
		if (disturbed)
			ASSERT_EQ(0, noise_begin(&kicks[n], kick, &g[n]));
	}
	expect_done(_metadata, &v[0]);
	EXPECT_EQ(rounds, guest_read32(g, COUNT_OF(0)));
	for (n = 0; disturbed && n < 2; n++)
		noise_end(&kicks[n]);
	/* By its page it can be ended wherever it is. */
	EXPECT_FALSE(is_done(&v[1]));
	g[1].page->options = ~0U;
	EXPECT_TRUE(WAIT_FOR((kick(&g[1]), is_done(&v[1]))));
	pthread_join(v[1].thread, NULL);
	EXPECT_EQ(-EINVAL, v[1].ret);
}

TEST_F_TIMEOUT(stress, init_sipi, 600)
{
	struct guest *g = self->g;

	add_vcpus(_metadata, g, &self->vcpus, 2);
	init_sipi(_metadata, g, times(100), false);
	init_sipi(_metadata, g, times(50), true);
}

/* --- ends ------------------------------------------------------------------------- */

GUEST_LABEL(flood_receiver);
GUEST_LABEL(flood_handler);
/* One that another sends to, by number and to all, goes and comes back. It sends nothing itself. */
GUEST_CODE(flood, 64,
	   "1: sti; nop; cli; mov $0x830, %ecx; mov $1, %edx; mov $0x52, %eax; wrmsr;"
	   "mov $0xc0052, %eax; wrmsr; incl 0x20000; jmp 1b;"
	   "flood_receiver: sti; 2: nop; jmp 2b; flood_handler: " DO_EOI "iretq");

TEST_F_TIMEOUT(stress, receiver_goes, 600)
{
	unsigned int i, rounds = times(10);
	struct guest *g = self->g;
	struct vcpu sender = { };

	GUEST_LONG(g, flood);
	set_gate(g, HIGH, AT(flood, flood_handler));
	set_up(_metadata, g, 0);
	ASSERT_EQ(0, begin(&sender, g));
	for (i = 0; i < rounds; i++) {
		struct guest other;
		struct runner r;

		guest_open_sibling(_metadata, g, &other, 1);
		set_up(_metadata, &other, 1);
		set_gate(g, HIGH, AT(flood, flood_handler));
		other.page->regs.rip = AT(flood, flood_receiver);
		ASSERT_EQ(0, runner_insist(&r, &other));
		usleep(i % 4 * 300);
		EXPECT_TRUE(WAIT_FOR((vcpu_kick(other.vcpu, generation(&other)),
				      runner_done(&r))));
		EXPECT_EQ(0, runner_join(&r));
		EXPECT_EQ(VEE_EXIT_KICKED, other.page->exit.reason)
			TH_LOG("%s", guest_describe(&other));
		guest_close(&other);
		EXPECT_TRUE(guest_counts(g));
	}
	g->page->options = ~0U;
	EXPECT_TRUE(WAIT_FOR((kick(g), is_done(&sender))));
	pthread_join(sender.thread, NULL);
	EXPECT_EQ(-EINVAL, sender.ret);
}

static void signal_low(void *arg)
{
	signal_vector(arg, 0, LOW, 0);
	sched_yield();
}

/* The VM's descriptors are closed while its vCPUs run, and others send to it. */
TEST_F_TIMEOUT(stress, vm_goes, 600)
{
	unsigned int i, n, rounds = times(5);
	long users = module_users();

	for (i = 0; i < rounds; i++) {
		struct noise signals, writes;
		struct vcpu v[3] = { };
		struct guest g[3];
		unsigned int vcpus = 1;

		open_guest(_metadata, g);
		add_vcpus(_metadata, g, &vcpus, 3);
		begin_ring(_metadata, g, v, 3, 1ULL << 40, 0);
		ASSERT_EQ(0, noise_begin(&signals, signal_low, g));
		ASSERT_EQ(0, noise_begin(&writes, kick, &g[1]));
		usleep(1000 + i * 300);
		close(g[0].vm);
		for (n = 0; n < 3; n++)
			g[n].page->options = ~0U;
		for (n = 0; n < 3; n++) {
			EXPECT_TRUE(WAIT_FOR((kick(&g[n]), is_done(&v[n]))));
			pthread_join(v[n].thread, NULL);
			close(g[n].vcpu);
		}
		noise_end(&writes);
		noise_end(&signals);
		for (n = 0; n < 3; n++)
			munmap(g[n].page, VEE_VCPU_PAGE_BYTES);
		munmap(g[0].mem, GUEST_BYTES);
		close(g[0].dev);
		EXPECT_TRUE(WAIT_FOR(module_users() == users)) TH_LOG("round %u", i);
	}
}

/* Of a process that is killed with all of it under way nothing is left. */
TEST_F_TIMEOUT(stress, owner_killed, 600)
{
	unsigned int i, rounds = times(5);
	long users = module_users();

	for (i = 0; i < rounds; i++) {
		__u32 *shared = shared_page();
		int status;
		pid_t child = fork();

		if (!child) {
			struct vcpu v[3] = { };
			struct guest g[3];
			unsigned int vcpus = 1;

			open_guest(_metadata, g);
			add_vcpus(_metadata, g, &vcpus, 3);
			begin_ring(_metadata, g, v, 3, 1ULL << 40, 0);
			for (;;)
				__atomic_store_n(shared, guest_read32(g, COUNT_OF(0)),
						 __ATOMIC_RELEASE);
		}
		ASSERT_TRUE(WAIT_FOR(__atomic_load_n(shared, __ATOMIC_ACQUIRE) > i));
		EXPECT_EQ(0, kill(child, SIGKILL));
		EXPECT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WAIT_FOR(module_users() == users)) TH_LOG("round %u", i);
		munmap(shared, PAGE_BYTES);
	}
}

TEST_HARNESS_MAIN
