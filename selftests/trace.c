// SPDX-License-Identifier: GPL-2.0-only
/* Tracepoints: what they say, and that they may come and go while guests run. */
#include <dirent.h>
#include <sys/stat.h>

#include "vee_util.h"

#define TRACING		"/sys/kernel/tracing"
#define INSTANCE	TRACING "/instances/vee-selftest"
#define EVENTS		INSTANCE "/events/vee"
#define TEXT_BYTES	(1 << 20)

#define VECTOR		0x20
#define STORE_BYTES	11	/* of the MOV to GPA_MMIO */

GUEST_LABEL(asks_wrong);
GUEST_CODE(asks, 64,
	   "mov $1, %eax; xor %ecx, %ecx; cpuid\n"
	   "mov $0xc0000082, %ecx; mov $0x56789000, %eax; mov $0x1234, %edx; wrmsr; rdmsr\n"
	   "mov $7, %eax; out %al, $0x42\n"
	   "movl $9, 0x30000008\n"
	   "asks_wrong: mov $0xc0000082, %ecx; mov $0x80000000, %edx; wrmsr; hlt");
GUEST_CODE(waits, 64, "sti; hlt");
/* With interrupts on: the emulated CPU sees none otherwise. */
GUEST_CODE(counts, 64, "sti; 1: xor %eax, %eax; cpuid; incl 0x20000; jmp 1b");

static char text[TEXT_BYTES];

/* All of it, up to what fits. */
static const char *get(const char *path)
{
	size_t bytes = 0;
	ssize_t more;
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && (more = read(fd, text + bytes, TEXT_BYTES - 1 - bytes)) > 0)
		bytes += more;
	if (fd >= 0)
		close(fd);
	text[bytes] = '\0';
	return text;
}

static const char *trace(void)
{
	return get(INSTANCE "/trace");
}

static void clear_trace(void)
{
	close(open(INSTANCE "/trace", O_WRONLY | O_TRUNC));
}

static unsigned int count_of(const char *what)
{
	unsigned int count = 0;

	for (const char *at = trace(); (at = strstr(at, what)); at++)
		count++;
	return count;
}

FIXTURE(trace) {
	struct guest g;
};

FIXTURE_SETUP(trace)
{
	if (access(TRACING "/instances", W_OK))
		VEE_SKIP("no tracefs at " TRACING);
	/*
	 * The first test makes it, for all: up to Linux 6.5 it takes some files for each of all
	 * the kernel's events. Or it was left by one that was killed.
	 */
	if (mkdir(INSTANCE, 0700))
		ASSERT_EQ(EEXIST, errno);
	ASSERT_EQ(0, write_file(INSTANCE "/buffer_size_kb", "64"));
	ASSERT_EQ(0, write_file(EVENTS "/enable", "1"));
	clear_trace();
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(trace)
{
	guest_close(&self->g);
	write_file(EVENTS "/enable", "0");
}

/* The program's end, not a test's: those end by _exit(). */
__attribute__((destructor)) static void remove_instance(void)
{
	rmdir(INSTANCE);
}

/* A line of event @name about this VM, which has @words in it. */
static bool says(const char *name, const char *words)
{
	char line[256], *end, *at = strstr((char *)trace(), "vee_entry: vm ");
	unsigned int vm;

	if (!at || sscanf(at, "vee_entry: vm %u", &vm) != 1)
		return false;
	snprintf(line, sizeof(line), "%s: vm %u vcpu 0 ", name, vm);
	for (at = strstr(text, line); at; at = strstr(end, line)) {
		end = strchrnul(at, '\n');
		if (memmem(at, end - at, words, strlen(words)))
			return true;
	}
	return false;
}

/* trace-cmd and perf put a record's words together by the format. */
TEST_F(trace, names_are_in_the_format)
{
	EXPECT_NE(NULL, strstr(get(EVENTS "/vee_exit/format"), "__print_symbolic("));
	EXPECT_NE(NULL, strstr(text, "30, \"I/O instruction\""));
	EXPECT_NE(NULL, strstr(text, "75, \"instruction timeout\""));
	EXPECT_NE(NULL, strstr(get(EVENTS "/vee_inject/format"), "\"NMI\""));
}

TEST_F(trace, exits)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, asks);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	g->page->resume = VEE_RESUME_NEXT;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_TRUE(says("vee_entry", "rip 0x8000"));
	EXPECT_TRUE(says("vee_exit", "reason CPUID rip 0x8007 "));
	EXPECT_TRUE(says("vee_cpuid", "leaf 0x1 subleaf 0x0 eax"));
	EXPECT_TRUE(says("vee_exit", "reason WRMSR"));
	EXPECT_TRUE(says("vee_msr", "write 0xc0000082 value 0x123456789000: done"));
	EXPECT_TRUE(says("vee_msr", "read 0xc0000082 value 0x123456789000: done"));
	EXPECT_TRUE(says("vee_exit", "reason I/O instruction"));
	EXPECT_TRUE(says("vee_pio", "out port 0x42 width 1 eax 0x7"));
	EXPECT_TRUE(says("vee_fault", "gpa 0x30000008 write: -2"));
	EXPECT_TRUE(says("vee_mmio", "gpa 0x30000008 gva 0x30000008 write: 0"));
	EXPECT_TRUE(says("vee_run", "exit 4: 0"));
	EXPECT_TRUE(says("vee_run", "exit 5: 0"));
}

TEST_F(trace, faults_and_interrupts)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, asks);
	g->page->regs.rip = AT(asks, asks_wrong);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_TRUE(says("vee_msr", "write 0xc0000082 value 0x80000000"));
	EXPECT_TRUE(says("vee_msr", ": fault"));
	EXPECT_TRUE(says("vee_inject", "exception 13 error 0"));

	GUEST_LONG(g, waits);
	ASSERT_EQ(0, vcpu_inject(g->vcpu, VEE_EVENT_INTERRUPT, VECTOR));
	ASSERT_VECTOR(g, VECTOR);
	EXPECT_TRUE(says("vee_inject", "interrupt 32 error none"));
}

TEST_F(trace, requests)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, waits);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_EVENTS));
	EXPECT_EQ(-ESTALE, vcpu_kick(g->vcpu, 1));
	EXPECT_TRUE(says("vee_request", "VEE_VCPU_SYNC: 0"));
	EXPECT_TRUE(says("vee_request", "VEE_VCPU_KICK: -116"));
	EXPECT_NE(NULL, strstr(text, "vm 0 vcpu -1 VEE_VM_CREATE: "));
	EXPECT_NE(NULL, strstr(text, "vcpu -1 VEE_VM_CREATE_VCPU: "));
}

/* Of one alone: the others say nothing; and of none at all. */
TEST_F(trace, one_of_them)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, write_file(EVENTS "/enable", "0"));
	ASSERT_EQ(0, write_file(EVENTS "/vee_cpuid/enable", "1"));
	clear_trace();
	GUEST_LONG(g, asks);
	ASSERT_RUN(g, VEE_EXIT_PIO);
	EXPECT_EQ(1, count_of("vee_cpuid: "));
	EXPECT_EQ(1, count_of(" vee_"));
	ASSERT_EQ(0, write_file(EVENTS "/vee_cpuid/enable", "0"));
	ASSERT_EQ(0, write_file(EVENTS "/vee_entry/enable", "1"));
	clear_trace();
	g->page->resume = VEE_RESUME_NEXT;
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_LE(1, count_of("vee_entry: "));
	EXPECT_EQ(0, count_of("vee_exit: "));
	ASSERT_EQ(0, write_file(EVENTS "/enable", "0"));
	clear_trace();
	g->page->resume = VEE_RESUME_NEXT;
	g->page->exit.instruction_length = STORE_BYTES;
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(0, count_of(" vee_"));
}

/* For as long as it takes. */
static void *run_on(void *arg)
{
	struct guest *g = arg;

	vee_call(g->vcpu, VEE_VCPU_RUN, NULL);
	return NULL;
}

#define SWITCHES	8

TEST_F(trace, switched_while_a_guest_runs)
{
	struct guest *g = &self->g;
	__u64 generation;
	pthread_t thread;

	GUEST_LONG(g, counts);
	g->page->deadline_ns = 0;
	generation = g->page->generation;
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_on, g));
	for (int i = 0; i < SWITCHES; i++) {
		__u32 before = guest_read32(g, GPA_DATA);

		ASSERT_EQ(0, write_file(EVENTS "/enable", i & 1 ? "1" : "0"));
		ASSERT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA) != before));
	}
	ASSERT_EQ(0, vcpu_kick(g->vcpu, generation));
	pthread_join(thread, NULL);
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
	EXPECT_LT(0, count_of("vee_cpuid: "));
}

/* VMX stays on, on most machines, and then it is turned off with the CPU. */
TEST_F(trace, root_operation)
{
	const char *online = "/sys/devices/system/cpu/cpu1/online";

	if (strncmp(get("/sys/module/vee/vmx_mode"), "resident", 8) || access(online, W_OK))
		VEE_SKIP("one CPU, or VMX does not stay on");
	clear_trace();
	ASSERT_EQ(0, write_file(online, "0"));
	ASSERT_EQ(0, write_file(online, "1"));
	EXPECT_EQ(1, count_of("vee_root: VMX root operation off"));
	EXPECT_EQ(1, count_of("vee_root: VMX root operation on"));
}

TEST_HARNESS_MAIN
