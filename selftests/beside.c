// SPDX-License-Identifier: GPL-2.0-only
/*
 * vee beside KVM: each has guests, on the same CPUs, and neither notices the other. All
 * guests run the same program, which calls itself by SYSCALL and compares what comes of
 * that with what it has been told: the MSRs of SYSCALL and RDTSCP, of which no VMCS
 * keeps any, are another's for each guest.
 */
#include <sys/utsname.h>

#include "kvm_util.h"
#include "module_util.h"

#define CPU1_ONLINE	"/sys/devices/system/cpu/cpu1/online"
#define MODE		MODULE "/vmx_mode"

#define STOP		(GPA_DATA + 0x08)	/* not 0: an exit in each round */
#define COUNT		(GPA_DATA + 0x10)
#define PORT_ROUND	0x10
#define PORT_WRONG	0x11
#define STAR		((__u64)SEL_CODE64 << 32)
#define MSR_STAR	0xc0000081
#define MSR_LSTAR	0xc0000082
#define MSR_SFMASK	0xc0000084
#define MSR_TSC_AUX	0xc0000103

/* R12: which LSTAR it has; R13: TSC_AUX; R14: whether SYSCALL leaves RFLAGS.DF. */
GUEST_LABEL(calls_next);
GUEST_LABEL(calls_odd);
GUEST_LABEL(calls_even);
GUEST_CODE(calls, 64,
	   "calls_next: xor %r15d, %r15d; std; syscall; cld;"
	   "cmp %r12, %r15; jne 1f; cmp %r13, %r10; jne 1f; cmp %r14, %r9; jne 1f;"
	   "incq 0x20010; cmpl $0, 0x20008; je calls_next;"
	   "out %al, $0x10; jmp calls_next;"
	   "1: out %al, $0x11; jmp 1b;"
	   "calls_odd: mov $1, %r15d; jmp 2f;"
	   "calls_even: mov $2, %r15d;"
	   "2: mov %rcx, %r8; pushfq; pop %r9; and $0x400, %r9d;"
	   "rdtscp; mov %ecx, %r10d; jmp *%r8");

/**
 * struct side - a guest of vee's or KVM's, and the thread that runs it
 * @g: of vee's
 * @k: of KVM's
 * @is_kvm: which
 * @thread: the thread
 * @cpu: where it stays, -1: it may go anywhere
 * @ending: its next exit is its last
 * @ret: 0, an error, or 1: the guest has found something wrong
 * @exits: how many
 */
struct side {
	struct guest g;
	struct kvm k;
	bool is_kvm;
	pthread_t thread;
	int cpu;
	bool ending;
	int ret;
	unsigned int exits;
};

/* --- guests ---------------------------------------------------------------- */

/* What guest number @id is told, and has. */
static void set_calls(struct guest *g, unsigned int id)
{
	struct vee_vcpu_page *page = g->page;

	GUEST_LONG(g, calls);
	page->regs.rflags |= X86_EFLAGS_IF;
	page->regs.r12 = id & 1 ? 1 : 2;
	page->regs.r13 = 0x1000 + id;
	page->regs.r14 = id & 2 ? X86_EFLAGS_DF : 0;
	page->msrs.star = STAR;
	page->msrs.lstar = id & 1 ? AT(calls, calls_odd) : AT(calls, calls_even);
	page->msrs.sfmask = id & 2 ? 0 : X86_EFLAGS_DF;
	page->msrs.tsc_aux = 0x1000 + id;
	page->dirty |= VEE_STATE_MSRS | VEE_STATE_REGS;
	page->deadline_ns = 0;
}

static int set_kvm_msrs(struct kvm *k, const struct vee_vcpu_page *page)
{
	struct kvm_regs regs;
	int ret = kvm_call(k->vcpu, KVM_GET_REGS, &regs);

	regs.r12 = page->regs.r12;
	regs.r13 = page->regs.r13;
	regs.r14 = page->regs.r14;
	ret = ret ?: kvm_call(k->vcpu, KVM_SET_REGS, &regs);
	ret = ret ?: kvm_set_msr(k, MSR_STAR, page->msrs.star);
	ret = ret ?: kvm_set_msr(k, MSR_LSTAR, page->msrs.lstar);
	ret = ret ?: kvm_set_msr(k, MSR_SFMASK, page->msrs.sfmask);
	return ret ?: kvm_set_msr(k, MSR_TSC_AUX, page->msrs.tsc_aux);
}

static int next_exit_vee(struct side *s)
{
	int ret;

	do
		ret = guest_run_once(&s->g);
	while (ret == -EINTR);
	if (ret)
		return ret;
	guest_resume_next(&s->g);
	return s->g.page->exit.reason == VEE_EXIT_PIO &&
	       s->g.page->exit.pio.port == PORT_ROUND ? 0 : 1;
}

static int next_exit_kvm(struct side *s)
{
	int ret;

	do
		ret = kvm_call(s->k.vcpu, KVM_RUN, 0);
	while (ret == -EINTR);
	if (ret)
		return ret;
	return s->k.page->exit_reason == KVM_EXIT_IO &&
	       s->k.page->io.port == PORT_ROUND ? 0 : 1;
}

static void *side_main(void *arg)
{
	struct side *s = arg;

	if (s->cpu >= 0)
		pin_to_cpu(s->cpu);
	do {
		s->ret = s->is_kvm ? next_exit_kvm(s) : next_exit_vee(s);
		__atomic_store_n(&s->exits, s->exits + 1, __ATOMIC_RELAXED);
	} while (!s->ret && !__atomic_load_n(&s->ending, __ATOMIC_RELAXED));
	return NULL;
}

static unsigned char *side_mem(struct side *s)
{
	return s->is_kvm ? s->k.mem : s->g.mem;
}

static __u64 rounds(struct side *s)
{
	return __atomic_load_n((__u64 *)(side_mem(s) + COUNT), __ATOMIC_RELAXED);
}

static unsigned int exits(struct side *s)
{
	return __atomic_load_n(&s->exits, __ATOMIC_RELAXED);
}

static void set_stop(struct side *s, __u32 value)
{
	__atomic_store_n((__u32 *)(side_mem(s) + STOP), value, __ATOMIC_RELAXED);
}

/* Number @id; the odd ones are KVM's. @each: an exit in each round. */
static void side_open(struct __test_metadata *_metadata, struct side *s, unsigned int id,
		      bool each)
{
	memset(s, 0, sizeof(*s));
	s->is_kvm = id & 1;
	s->cpu = -1;
	guest_open(_metadata, &s->g);
	set_calls(&s->g, id);
	guest_write32(&s->g, STOP, each);
	if (!s->is_kvm)
		return;
	ASSERT_EQ(0, kvm_open(&s->k, &s->g));
	ASSERT_EQ(0, set_kvm_msrs(&s->k, s->g.page));
	guest_close(&s->g);
}

static void side_start(struct __test_metadata *_metadata, struct side *s, int cpu)
{
	s->cpu = cpu;
	ASSERT_EQ(0, pthread_create(&s->thread, NULL, side_main, s));
}

/* Ends it, and insists that its guest found nothing wrong. */
static void side_end(struct __test_metadata *_metadata, struct side *s)
{
	__atomic_store_n(&s->ending, true, __ATOMIC_RELAXED);
	set_stop(s, 1);
	pthread_join(s->thread, NULL);
	EXPECT_EQ(0, s->ret) TH_LOG("%s: %s after %llu rounds, %u exits",
				    s->is_kvm ? "KVM" : "vee",
				    s->ret > 0 ? "wrong" : strerror(-s->ret),
				    rounds(s), s->exits);
	if (s->is_kvm)
		kvm_close(&s->k);
	else
		guest_close(&s->g);
}

static bool goes_on(struct side *s)
{
	__u64 before = rounds(s);

	return WAIT_FOR(rounds(s) > before + 100 || s->ret) && !s->ret;
}

/* --- modes ----------------------------------------------------------------- */

static bool mode_is(const char *mode)
{
	char text[256];

	if (!read_text(MODE, text, sizeof(text)))
		return false;
	/* Of all CPUs: there is one line. */
	return !strncmp(text, mode, strlen(mode)) &&
	       strchr(text, '\n') == text + strlen(text) - 1;
}

/* From 6.19 on Linux lets none but KVM keep VMX on. Not if whoever built it says otherwise. */
static bool can_stay(void)
{
	struct utsname name;
	int major, minor;

	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		return true;
	return major < 6 || (major == 6 && minor < 19) || mode_is("resident");
}

FIXTURE(beside) {
	struct module as_it_was;
	const char *alone;
};

/* Without KVM's module, and with vee as it was loaded; @alone: which mode that is. */
FIXTURE_SETUP(beside)
{
	module_take(_metadata, &self->as_it_was);
	if (!kvm_is_at_hand())
		VEE_SKIP("no KVM here");
	ASSERT_TRUE(kvm_unload());
	self->alone = can_stay() ? "resident" : "windowed";
	ASSERT_TRUE(mode_is(self->alone));
}

FIXTURE_TEARDOWN(beside)
{
	char now[sizeof(self->as_it_was.parameters)] = "";

	kvm_unload();
	read_parameters(now, sizeof(now));
	if (module_users() >= 0 && strcmp(now, self->as_it_was.parameters))
		EXPECT_EQ(0, module_unload());
	module_give_back(_metadata, &self->as_it_was);
}

/* --- scenes ---------------------------------------------------------------- */

static void run_beside(struct __test_metadata *_metadata, int pairs, bool each, int cpu)
{
	struct side sides[4];
	int i;

	for (i = 0; i < 2 * pairs; i++)
		side_open(_metadata, &sides[i], i, each);
	EXPECT_TRUE(mode_is("shared"));
	for (i = 0; i < 2 * pairs; i++)
		side_start(_metadata, &sides[i], cpu);
	usleep(50 * 1000);
	for (i = 0; each && i < 2 * pairs; i++)
		EXPECT_TRUE(WAIT_FOR(exits(&sides[i]) > 500));
	for (i = 0; i < 2 * pairs; i++)
		EXPECT_TRUE(goes_on(&sides[i]));
	for (i = 0; i < 2 * pairs; i++)
		side_end(_metadata, &sides[i]);
}

/* Each runs until the scheduler takes the CPU away, in the kernel. */
TEST_F_TIMEOUT(beside, on_one_cpu, 120)
{
	ASSERT_TRUE(kvm_load());
	run_beside(_metadata, 1, false, 0);
	run_beside(_metadata, 2, false, 0);
}

/* Each goes to user space and back all the time. */
TEST_F_TIMEOUT(beside, on_one_cpu_with_exits, 120)
{
	ASSERT_TRUE(kvm_load());
	run_beside(_metadata, 1, true, 0);
}

TEST_F_TIMEOUT(beside, on_all_cpus, 120)
{
	ASSERT_TRUE(kvm_load());
	run_beside(_metadata, 2, false, -1);
	run_beside(_metadata, 2, true, -1);
}

/* vee is loaded first, and has guests that run on. */
TEST_F_TIMEOUT(beside, kvm_comes_and_goes, 120)
{
	struct side vee[2], kvm;
	int i;

	for (i = 0; i < 2; i++) {
		side_open(_metadata, &vee[i], 2 * i, i);
		side_start(_metadata, &vee[i], -1);
	}
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(kvm_load());
		EXPECT_FALSE(mode_is("resident"));
		EXPECT_TRUE(goes_on(&vee[0]));
		side_open(_metadata, &kvm, 1 + 2 * i, i & 1);
		EXPECT_TRUE(mode_is("shared"));
		side_start(_metadata, &kvm, i % 3 - 1);
		EXPECT_TRUE(goes_on(&kvm));
		EXPECT_TRUE(goes_on(&vee[0]));
		EXPECT_TRUE(goes_on(&vee[1]));
		side_end(_metadata, &kvm);
		ASSERT_TRUE(WAIT_FOR(kvm_unload()));
		EXPECT_TRUE(mode_is(self->alone));
	}
	EXPECT_TRUE(WAIT_FOR(exits(&vee[1]) > 2000));
	for (i = 0; i < 2; i++)
		side_end(_metadata, &vee[i]);
}

/* VMs of KVM's come and go: on Linux 6.1 it has VMX on no longer than that. */
TEST_F_TIMEOUT(beside, virtual_machines_come_and_go, 120)
{
	struct side vee[2], kvm;
	int i;

	ASSERT_TRUE(kvm_load());
	for (i = 0; i < 2; i++) {
		side_open(_metadata, &vee[i], 2 * i, true);
		side_start(_metadata, &vee[i], -1);
	}
	for (i = 0; i < 6; i++) {
		side_open(_metadata, &kvm, 1 + 2 * (i & 1), i & 1);
		side_start(_metadata, &kvm, i % 3 - 1);
		EXPECT_TRUE(goes_on(&kvm));
		side_end(_metadata, &kvm);
	}
	EXPECT_TRUE(WAIT_FOR(exits(&vee[0]) + exits(&vee[1]) > 4000));
	for (i = 0; i < 2; i++)
		side_end(_metadata, &vee[i]);
}

/* vee comes while a VM of KVM's runs, and goes before that ends. */
TEST_F_TIMEOUT(beside, vee_comes_and_goes, 120)
{
	struct side vee, kvm;
	int i;

	ASSERT_TRUE(kvm_load());
	side_open(_metadata, &kvm, 1, false);
	side_start(_metadata, &kvm, -1);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(WAIT_FOR(!module_users()));
		ASSERT_EQ(0, module_unload());
		EXPECT_TRUE(goes_on(&kvm));
		ASSERT_EQ(0, module_load(&self->as_it_was));
		EXPECT_TRUE(mode_is("shared"));
		side_open(_metadata, &vee, 2, i & 1);
		side_start(_metadata, &vee, -1);
		EXPECT_TRUE(goes_on(&vee));
		EXPECT_TRUE(goes_on(&kvm));
		side_end(_metadata, &vee);
	}
	side_end(_metadata, &kvm);
}

TEST_F_TIMEOUT(beside, cpu_comes_and_goes, 120)
{
	struct side sides[4];
	int i, j;

	if (access(CPU1_ONLINE, W_OK))
		VEE_SKIP("CPU 1 can't be taken offline");
	ASSERT_TRUE(kvm_load());
	for (i = 0; i < 4; i++) {
		side_open(_metadata, &sides[i], i, i & 2);
		side_start(_metadata, &sides[i], -1);
	}
	for (j = 0; j < 4; j++) {
		ASSERT_EQ(0, write_file(CPU1_ONLINE, j & 1 ? "1" : "0"));
		for (i = 0; i < 4; i++)
			EXPECT_TRUE(goes_on(&sides[i]));
		EXPECT_TRUE(mode_is("shared"));
	}
	for (i = 0; i < 4; i++)
		side_end(_metadata, &sides[i]);
}

/* --- one way at a time ----------------------------------------------------- */

/* What a guest of vee's does, in any of the modes. */
static void try_vee(struct __test_metadata *_metadata)
{
	struct side vee;
	struct guest g;
	unsigned int i;

	guest_open(_metadata, &g);
	set_calls(&g, 4);
	for (i = 0; i < 30; i++)
		ASSERT_TRUE(guest_kicked(&g, i * 100)) TH_LOG("round %u", i);
	guest_close(&g);
	side_open(_metadata, &vee, 2, true);
	side_start(_metadata, &vee, -1);
	EXPECT_TRUE(WAIT_FOR(exits(&vee) > 500));
	side_end(_metadata, &vee);
}

TEST_F_TIMEOUT(beside, resident, 120)
{
	if (!can_stay())
		VEE_SKIP("no resident mode on this kernel");
	module_change(_metadata, &self->as_it_was, "vmx=resident");
	EXPECT_TRUE(mode_is("resident"));
	try_vee(_metadata);
}

TEST_F_TIMEOUT(beside, windowed, 120)
{
	module_change(_metadata, &self->as_it_was, "vmx=windowed");
	EXPECT_TRUE(mode_is("windowed"));
	try_vee(_metadata);
}

TEST_F_TIMEOUT(beside, shared, 120)
{
	struct side kvm;

	ASSERT_TRUE(kvm_load());
	side_open(_metadata, &kvm, 1, false);
	side_start(_metadata, &kvm, 0);
	module_change(_metadata, &self->as_it_was, "vmx=shared");
	EXPECT_TRUE(mode_is("shared"));
	try_vee(_metadata);
	side_end(_metadata, &kvm);
}

/* What can't be had is refused, and nothing of it stays. */
TEST_F_TIMEOUT(beside, refused, 120)
{
	struct side kvm;

	ASSERT_EQ(0, module_unload());
	EXPECT_EQ(-EINVAL, module_load_with(&self->as_it_was, "vmx=often"));
	EXPECT_EQ(-EBUSY, module_load_with(&self->as_it_was, "vmx=shared"));
	ASSERT_EQ(0, module_load(&self->as_it_was));
	ASSERT_TRUE(kvm_load());
	side_open(_metadata, &kvm, 1, false);
	side_start(_metadata, &kvm, -1);
	ASSERT_EQ(0, module_unload());
	EXPECT_EQ(strcmp(self->alone, "resident") ? -EOPNOTSUPP : -EBUSY,
		  module_load_with(&self->as_it_was, "vmx=resident"));
	EXPECT_EQ(-EBUSY, module_load_with(&self->as_it_was, "vmx=windowed"));
	EXPECT_TRUE(goes_on(&kvm));
	side_end(_metadata, &kvm);
}

/* A mode that ends while vee is loaded: its guests don't run, and do again. */
TEST_F_TIMEOUT(beside, refused_for_a_while, 120)
{
	struct guest g;
	struct side kvm;

	module_change(_metadata, &self->as_it_was, "vmx=windowed");
	ASSERT_TRUE(kvm_load());
	side_open(_metadata, &kvm, 1, false);
	side_start(_metadata, &kvm, -1);
	guest_open(_metadata, &g);
	set_calls(&g, 2);
	guest_write32(&g, STOP, 1);
	EXPECT_EQ(-ENODEV, guest_run_once(&g));
	side_end(_metadata, &kvm);
	ASSERT_TRUE(kvm_unload());
	ASSERT_RUN(&g, VEE_EXIT_PIO);
	EXPECT_EQ(PORT_ROUND, g.page->exit.pio.port);
	guest_close(&g);
}

TEST_HARNESS_MAIN
