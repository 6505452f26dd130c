// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody else uses VMX where vee keeps it on, and doesn't put back what was there, as
 * VirtualBox may: no guest is entered with what they leave. They are lab/owner/owner.c,
 * another module, whose file the environment names as VEE_OWNER_KO.
 */
#include "module_util.h"

#define OWNER		"/sys/module/owner"
#define MODE		MODULE "/vmx_mode"
#define GUEST_RIP	0x681e

GUEST_CODE(halts, 64, "1: hlt; jmp 1b");

FIXTURE(taken) {
	struct module as_it_was;
	struct module owner;
	struct guest g;
	struct guest never_there;
	int cpu;
	int log;
};

/**
 * struct _fixture_variant_taken_data
 * @leaves: what they leave behind, by owner.c's names
 * @error: of a run there after that
 */
FIXTURE_VARIANT(taken) {
	const char *leaves;
	int error;
};

FIXTURE_VARIANT_ADD(taken, put_back) { .leaves = "all" };
FIXTURE_VARIANT_ADD(taken, no_vmcs) { .leaves = "none", .error = -ENODEV };
FIXTURE_VARIANT_ADD(taken, their_vmcs) { .leaves = "vmcs", .error = -ENODEV };
FIXTURE_VARIANT_ADD(taken, vmx_off) { .leaves = "off", .error = -ENODEV };
FIXTURE_VARIANT_ADD(taken, vmxe_off) { .leaves = "clear", .error = -ENODEV };
FIXTURE_VARIANT_ADD(taken, vmx_anew) { .leaves = "anew", .error = -ENODEV };

/* The file, where the lab has it unless it is named. */
static const char *owner_path(void)
{
	return getenv("VEE_OWNER_KO") ?: "/lab/owner.ko";
}

__attribute__((constructor)) static void need_owner(void)
{
	if (access(owner_path(), R_OK))
		skip_all("no owner.ko here: name it by VEE_OWNER_KO (lab/module --owner)");
	if (!file_has(MODE, "resident"))
		skip_all("vee does not keep VMX on here");
}

static void open_log(struct __test_metadata *_metadata, int *log)
{
	*log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, *log);
	lseek(*log, 0, SEEK_END);
}

/*
 * How much vee has said since the log was opened; -1: something else than that CPU @cpu
 * was taken, and what to do.
 */
static int said(int log, int cpu)
{
	char line[1024], where[64];
	int lines = 0;
	ssize_t n;

	snprintf(where, sizeof(where), "used VMX on CPU %d and not put it back", cpu);
	while ((n = read(log, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		if (!strstr(line, ";vee: "))
			continue;
		if (!strstr(line, where) || !strstr(line, "load vee again"))
			return -1;
		lines++;
	}
	return lines;
}

static int owner_unload(void)
{
	return syscall(SYS_delete_module, "owner", O_NONBLOCK) ? -errno : 0;
}

/* Two guests, the first of which has been on the last CPU when it is taken. */
FIXTURE_SETUP(taken)
{
	char parameters[64];

	module_take(_metadata, &self->as_it_was);
	snprintf(self->owner.path, sizeof(self->owner.path), "%s", owner_path());
	open_log(_metadata, &self->log);
	self->cpu = cpus_online() - 1;
	ASSERT_EQ(0, pin_to_cpu(self->cpu));
	guest_open(_metadata, &self->g);
	guest_open(_metadata, &self->never_there);
	GUEST_LONG(&self->g, halts);
	GUEST_LONG(&self->never_there, halts);
	ASSERT_HLT(&self->g, GPA_CODE);
	snprintf(parameters, sizeof(parameters), "cpu=%d leaves=%s", self->cpu,
		 variant->leaves);
	ASSERT_EQ(0, module_load_with(&self->owner, parameters));
}

/* A test that ends as it should has left nothing to do. */
FIXTURE_TEARDOWN(taken)
{
	close(self->log);
	if (!access(OWNER, F_OK)) {
		module_change(_metadata, &self->as_it_was, "");
		EXPECT_EQ(0, owner_unload());
	}
	module_give_back(_metadata, &self->as_it_was);
}

/* As good as ever. */
static void run_everywhere(struct __test_metadata *_metadata)
{
	struct guest g;
	int i;

	ASSERT_TRUE(WAIT_FOR(!access("/dev/vee", F_OK)));
	EXPECT_TRUE(file_has(MODE, "resident"));
	guest_open(_metadata, &g);
	GUEST_LONG(&g, halts);
	for (i = 0; i < cpus_online(); i++) {
		ASSERT_EQ(0, pin_to_cpu(i));
		ASSERT_RUN(&g, VEE_EXIT_HLT);
	}
	guest_close(&g);
}

/*
 * There no guest runs. Elsewhere those do whose data has not been in that CPU. And when
 * vee goes it leaves nothing that keeps others from VMX, itself included.
 */
TEST_F(taken, refused)
{
	__u64 rip;
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(variant->error, guest_run(&self->g));
		EXPECT_EQ(variant->error, guest_run(&self->never_there));
		EXPECT_EQ(variant->error, vmcs_read(self->g.vcpu, GUEST_RIP, &rip));
	}
	if (self->cpu) {
		ASSERT_EQ(0, pin_to_cpu(0));
		EXPECT_EQ(variant->error, guest_run(&self->g));
		EXPECT_EQ(variant->error, vmcs_read(self->g.vcpu, GUEST_RIP, &rip));
		ASSERT_HLT(&self->never_there, GPA_CODE);
	}
	guest_close(&self->g);
	guest_close(&self->never_there);
	EXPECT_EQ(variant->error ? 1 : 0, said(self->log, self->cpu));
	ASSERT_TRUE(WAIT_FOR(!module_users()));
	ASSERT_EQ(0, module_unload());
	EXPECT_TRUE(file_has(OWNER "/parameters/vmxe", "0"));
	EXPECT_EQ(0, owner_unload());
	ASSERT_EQ(0, module_load(&self->as_it_was));
	run_everywhere(_metadata);
}

TEST_HARNESS_MAIN
