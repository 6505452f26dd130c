// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the command says of what can't be done, and what to do about it. */
#include <elf.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cmd/cmd.h"
#include "command.h"
#include "test.h"

/* main.c's, whose main() the tests have another one for. */
int end_failure(void)
{
	fputc('\n', stderr);
	return STATUS_FAILED;
}

static char path[] = "/tmp/vee-test-XXXXXX";

static void make_file(const void *data, size_t bytes)
{
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
		abort();
	close(fd);
}

/* --- vee run --- */

/* It fails with one line, which has @words. */
static void check_says(const char *words, int argc, char **argv)
{
	CHECK_EQUAL(run_command(cmd_run, argc, argv), STATUS_FAILED);
	CHECK(*said && strchr(said, '\n') == said + strlen(said) - 1);
	said[strcspn(said, "\n")] = 0;
	test_case("%.190s", said);
	CHECK(strstr(said, words));
}

#define CHECK_SAYS(words, ...) do {						\
	char *argv_[] = { "run", __VA_ARGS__, NULL };				\
										\
	check_says(words, sizeof(argv_) / sizeof(*argv_) - 1, argv_);		\
} while (0)

/* Without a module, too. */
static void files_come_first(void)
{
	fake.open_error = ENOENT;
	CHECK_SAYS("/nowhere: No such file", "/nowhere");
	CHECK_SAYS("/tmp: Is a directory", "/tmp");
	make_file("", 0);
	CHECK_SAYS("is empty", path);
	unlink(path);
	make_file("\x1f\x8b\x08", 3);
	CHECK_SAYS("gunzip it first", path);
	CHECK_SAYS("not a ROM image", "--bios", path);
	unlink(path);
	make_file("\xf4", 1);
	CHECK_SAYS("/nowhere: No such file", "--initrd", "/nowhere", path);
	CHECK_SAYS("no initramfs", "--initrd", path, path);
	CHECK_SAYS("/nowhere: No such file", path, "--and", "-c", "/dev/null", "/nowhere");
	CHECK_SAYS("--cpus 0: not a number from 1 to 64", "--cpus", "0", path);
	CHECK_SAYS("not a number from 1 to 64", "--cpus", "65", path);
	CHECK_SAYS("not a number from 1 to 64", "-p", "2x", path);
	CHECK_SAYS("see \"vee check\"", "-p", "1", "-S", path);
	CHECK_SAYS("see \"vee check\"", path);
	fake.open_error = EACCES;
	CHECK_SAYS("be root", path);
	fake.open_error = 0;
	fake.api_version = VEE_API_VERSION + 1;
	CHECK_SAYS("make unload", path);
	unlink(path);
}

static void programs_that_move(void)
{
	const struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdr;
	} elf = {
		.ehdr = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			.e_type = ET_DYN,
			.e_machine = EM_X86_64,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.phdr.p_type = PT_DYNAMIC,
	};

	make_file(&elf, sizeof(elf));
	CHECK_SAYS("-static -no-pie", path);
	unlink(path);
	make_file(&elf, sizeof(elf) - 1);
	CHECK_SAYS("cut short: get it anew", path);
	unlink(path);
}

/* --- vee check: a machine for it --- */

static struct {
	const char *flags;	/* of /proc/cpuinfo; NULL: that is not to be read */
	const char *vmx_flags;
	bool loaded;
	bool no_msrs;
	const char *bug;	/* a name in vulnerabilities/ */
	const char *smt;
	uint64_t feature_control;
	uint64_t basic;
	uint32_t ecx;		/* CPUID.01H */
} host;

#define FEATURE_CONTROL	0x3a
#define LOCKED		0x1
#define VMX_OUTSIDE_SMX	0x4

#define BASIC		0x480
#define ONE_PAGE	(4096ULL << 32)
#define WRITE_BACK	(6ULL << 50)
#define TRUE_CONTROLS	(1ULL << 55)
#define EPT_VPID	0x48c

#define HAS_VMX		0x00000020U
#define HAS_XSAVE	0x04000000U
#define USES_XSAVE	0x08000000U

bool host_has(const char *path)
{
	return host.loaded && !strcmp(path, "/sys/module/vee");
}

bool host_text(const char *path, char *text, size_t room)
{
	const char *bug = strstr(path, "/vulnerabilities/");
	const char *says = NULL;

	if (bug)
		says = host.bug && !strcmp(strrchr(path, '/') + 1, host.bug) ?
		       "Mitigation: something; SMT vulnerable\n" : "Not affected\n";
	else if (strstr(path, "/smt/active"))
		says = host.smt;
	if (says)
		snprintf(text, room, "%s", says);
	return says;
}

/* There are three bugs, one of which the command has not heard of. */
size_t host_names(const char *path, char names[][HOST_NAME], size_t room)
{
	static const char *const bugs[] = { "l1tf", "mds", "of_tomorrow" };

	CHECK(strstr(path, "/vulnerabilities") && room >= 3);
	for (int i = 0; i < 3; i++)
		strcpy(names[i], bugs[i]);
	return 3;
}

bool host_line(const char *path, const char *start, char *text, size_t room)
{
	const char *line = !strcmp(start, "flags") ? host.flags : host.vmx_flags;

	if (strcmp(path, "/proc/cpuinfo") || !line)
		return false;
	snprintf(text, room, "\t: %s\n", line);
	return true;
}

bool host_msr(uint32_t index, uint64_t *value)
{
	if (host.no_msrs)
		return false;
	switch (index) {
	case FEATURE_CONTROL:
		*value = host.feature_control;
		break;
	case BASIC:
		*value = host.basic;
		break;
	case EPT_VPID:
		*value = ~0ULL;
		break;
	default:
		*value = ~0ULL << 32;	/* each control may be 0 and may be 1 */
	}
	return true;
}

void host_cpuid(uint32_t leaf, struct host_cpuid *regs)
{
	*regs = (struct host_cpuid) { .ecx = host.ecx };
	if (leaf)
		return;
	memcpy(&regs->ebx, "Genu", 4);
	memcpy(&regs->edx, "ineI", 4);
	memcpy(&regs->ecx, "ntel", 4);
}

/* Nothing is missing but the module. */
static void good_host(void)
{
	memset(&host, 0, sizeof(host));
	host.flags = "fpu vmx xsave";
	host.vmx_flags = "ept unrestricted_guest vnmi tsc_offset";
	host.feature_control = LOCKED | VMX_OUTSIDE_SMX;
	host.basic = ONE_PAGE | WRITE_BACK | TRUE_CONTROLS;
	host.ecx = HAS_VMX | HAS_XSAVE | USES_XSAVE;
	fake.open_error = ENOENT;
	fake.api_version = 0;
}

/* Its status, and what it says; then the host is good again. */
static void check_judges(int status, const char *words)
{
	char *argv[] = { "check", NULL };

	test_case("%s", words);
	CHECK_EQUAL(run_command(cmd_check, 1, argv), status);
	CHECK(strstr(said, words));
	good_host();
}

static void judges_the_cpu(void)
{
	good_host();
	check_judges(0, "\nvee can run here");
	host.ecx &= ~HAS_VMX;
	check_judges(1, "the CPU has none");
	host.ecx &= ~USES_XSAVE;
	check_judges(1, "without noxsave");
	host.ecx &= ~(USES_XSAVE | HAS_XSAVE);
	check_judges(1, "too old");
	host.basic = 4097ULL << 32 | WRITE_BACK;
	check_judges(1, "wants it otherwise");
	host.basic = ONE_PAGE;
	check_judges(1, "wants it otherwise");
	host.flags = "fpu vmx fred";
	check_judges(1, "fred=off");
	host.flags = "fpu vmx fred_of_another_kind";
	check_judges(0, "\nvee can run here");
}

/* What leaks from one thread of a core to the other is no reason not to run. */
static void warns_of_smt(void)
{
	static const char words[] = "/smt/control\"";
	static const char *const bugs[] = { "l1tf", "mds" };

	good_host();
	for (int i = 0; i < 2; i++) {
		host.bug = bugs[i];
		host.smt = "1\n";
		check_judges(0, words);
		host.bug = bugs[i];
		host.smt = "0\n";
		check_judges(0, "\nvee can run here");
		CHECK(!strstr(said, words));
	}
	host.bug = "itlb_multihit";
	host.smt = "1\n";
	check_judges(0, "\nvee can run here");
	CHECK(!strstr(said, words));
}

/* The kernel's word, and vee's. */
static void answers_bugs(void)
{
	static const char mitigated[] = "Mitigation: something; SMT vulnerable\n      vee: ";
	char words[200];

	good_host();
	check_judges(0, "Not affected by l1tf, mds, of_tomorrow\n");
	host.bug = "l1tf";
	snprintf(words, sizeof(words), "  l1tf: %sempties", mitigated);
	check_judges(0, words);
	CHECK(strstr(said, "Not affected by mds, of_tomorrow\n"));
	host.bug = "of_tomorrow";
	snprintf(words, sizeof(words), "  of_tomorrow: %sthis command knows no such", mitigated);
	check_judges(0, words);
}

static void judges_the_firmware(void)
{
	good_host();
	host.feature_control = 0;
	check_judges(0, "\nvee can run here");
	host.feature_control = LOCKED;
	check_judges(1, "VT-x");
	host.no_msrs = true;
	host.flags = "fpu";
	check_judges(1, "VT-x");
}

/* Without MSRs the kernel tells some of it. */
static void admits_what_it_does_not_know(void)
{
	good_host();
	host.no_msrs = true;
	check_judges(0, "\nvee can probably run here");
	host.no_msrs = true;
	host.vmx_flags = NULL;
	check_judges(0, "\nvee can probably run here");
	host.no_msrs = true;
	host.vmx_flags = "ept vnmi tsc_offset";
	check_judges(1, "\nvee can't run here: 1 ");
	host.flags = NULL;
	check_judges(0, "\nvee can probably run here");
}

static void judges_the_module(void)
{
	good_host();
	host.loaded = true;
	fake.open_error = 0;
	check_judges(0, "\nvee runs here");
	host.loaded = true;
	fake.open_error = 0;
	fake.api_version = VEE_API_VERSION + 1;
	check_judges(1, "make unload load");
	host.loaded = true;
	fake.open_error = EIO;
	check_judges(1, "it says: Input/output error");
	host.loaded = true;
	fake.open_error = ENODEV;
	check_judges(1, "it says: No such device");
	host.loaded = true;
	check_judges(1, "devtmpfs");
	host.loaded = true;
	fake.open_error = EACCES;
	check_judges(1, "be root");
	fake.open_error = ENXIO;
	check_judges(0, "\nvee can run here");
}

static void helps(void)
{
	char *help[] = { "check", "--help", NULL };
	char *wrong[] = { "check", "this", NULL };

	CHECK_EQUAL(run_command(cmd_check, 2, help), 0);
	CHECK(!strncmp(said, "usage: vee check\n", 17));
	CHECK_EQUAL(run_command(cmd_check, 2, wrong), STATUS_FAILED);
	CHECK(strstr(said, "vee check --help"));
}

/* --- vee dump --- */

static int dump_file(const char *file)
{
	char *argv[] = { "dump", path, NULL };
	int status;

	make_file(file, strlen(file));
	status = run_command(cmd_dump, 2, argv);
	unlink(path);
	test_case("%.190s", said);
	return status;
}

#define SNAPSHOT \
	"vee-vmcs 1\ninfo api_version 1\ninfo features 0\ninfo vmx_basic 0\ninfo vmx_misc 0\n" \
	"info vmx_pin 0\ninfo vmx_proc 0\ninfo vmx_proc2 0\ninfo vmx_exit 0\n" \
	"info vmx_entry 0\ninfo vmx_ept_vpid 0\ninfo vmx_cr0_fixed0 0\n" \
	"info vmx_cr0_fixed1 0\ninfo vmx_cr4_fixed0 0\ninfo vmx_cr4_fixed1 0\n" \
	"info vmx_vmfunc 0\ninfo vmx_proc3 0\ninfo vmx_exit2 0\ninfo perf_global_ctrl 0\n" \
	"info cpuid_7_ebx 0\ninfo cpuid_7_ecx 0\ninfo phys_bits 40\ninfo linear_bits 48\n" \
	"field 0x6820 0\nend 1\n"

/* Needs no module. */
static void a_vmcs_in_a_file(void)
{
	fake.open_error = ENOENT;
	CHECK_EQUAL(dump_file(SNAPSHOT), STATUS_OK);
	CHECK(strstr(said, "6820  guest RFLAGS "));
	CHECK(strstr(said, "Rules of a VM entry that it breaks: 1\n  GUEST_RFLAGS_1: "));
	CHECK(strstr(said, "Rules that can't be judged, for fields are withheld or not there: "));
	CHECK_EQUAL(dump_file("vee-vmcs 1\nend 0\n"), STATUS_OK);
	CHECK(strstr(said, "Not audited: the module was too old"));
}

static void no_vmcs_in_a_file(void)
{
	char *none[] = { "dump", "/no/such/file", NULL }, *folder[] = { "dump", "/tmp", NULL };

	CHECK_EQUAL(dump_file("#!/bin/sh\n"), STATUS_FAILED);
	CHECK(strstr(said, ": no snapshot of a VMCS; \"vee dump --save\" writes one\n"));
	CHECK_EQUAL(dump_file("vee-vmcs 2\n"), STATUS_FAILED);
	CHECK(strstr(said, ": in another version of the format: the vee that wrote it reads it\n"));
	CHECK_EQUAL(dump_file("vee-vmcs 1\nfield 0 1\nfield 2"), STATUS_FAILED);
	CHECK(strstr(said, ": cut short after line 2: copy it again\n"));
	CHECK_EQUAL(dump_file("vee-vmcs 1\nfield 0\nend 1\n"), STATUS_FAILED);
	CHECK(strstr(said, ": line 2 makes no sense: somebody changed it\n"));
	CHECK_EQUAL(run_command(cmd_dump, 2, none), STATUS_FAILED);
	CHECK(strstr(said, "/no/such/file: No such file or directory\n"));
	CHECK_EQUAL(run_command(cmd_dump, 2, folder), STATUS_FAILED);
	CHECK(strstr(said, "/tmp: Is a directory\n"));
}

/* As "vee run --dump" does. */
static void a_vmcs_that_is_saved(void)
{
	char *argv[] = { "dump", path, NULL };
	struct rig rig;

	rig_begin(&rig);
	make_file("", 0);
	CHECK_EQUAL(dump_save(rig.vcpu, path), STATUS_OK);
	CHECK_EQUAL(run_command(cmd_dump, 2, argv), STATUS_OK);
	CHECK(strstr(said, "  HOST_CS_NULL: host CS selector 0: it must not be 0"));
	unlink(path);
	CHECK_EQUAL(dump_save(rig.vcpu, "/no/such/file"), STATUS_FAILED);
	fake.error = -ESHUTDOWN;
	CHECK_EQUAL(dump_save(rig.vcpu, path), STATUS_FAILED);
	fake.error = 0;
	rig_end(&rig);
}

static void no_vcpu_to_dump(void)
{
	char *argv[] = { "dump", NULL };

	fake.open_error = ENOENT;
	CHECK_EQUAL(run_command(cmd_dump, 1, argv), STATUS_FAILED);
	CHECK(strstr(said, "no /dev/vee: the module isn't loaded; see \"vee check\"\n"));
	fake.open_error = EACCES;
	CHECK_EQUAL(run_command(cmd_dump, 1, argv), STATUS_FAILED);
	CHECK(strstr(said, "no permission for /dev/vee: be root"));
}

/* --- vee new --- */

static int new_project(const char *tree, const char *folder)
{
	char *argv[] = { "new", "--tree", (char *)tree, (char *)folder, NULL };

	return run_command(cmd_new, 4, argv);
}

static void make_empty(const char *name, mode_t mode)
{
	FILE *file = fopen(name, "we");

	if (!file || fclose(file) || chmod(name, mode))
		abort();
}

/* What "vee new" takes for vee's sources, in folder @tree of the current one. */
static void make_tree(const char *tree)
{
	if (mkdir(tree, 0700) || chdir(tree) || mkdir("guest", 0700) || mkdir("lab", 0700))
		abort();
	make_empty("guest/guest.mk", 0600);
	make_empty("lab/live", 0700);
	if (chdir(".."))
		abort();
}

static bool file_has(const char *name, const char *words)
{
	static char text[8192];
	FILE *file = fopen(name, "re");

	if (!file)
		return false;
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	return strstr(text, words);
}

static void a_new_project(void)
{
	char folder[] = "/tmp/vee-test-XXXXXX", line[128];

	if (!mkdtemp(folder) || chdir(folder))
		abort();
	make_tree("tree");
	make_tree("a tree");
	CHECK_EQUAL(new_project("tree", "mine"), 0);
	CHECK(strstr(said, "make -C mine run\n"));
	snprintf(line, sizeof(line), "\nVEE ?= %s/tree\n", folder);
	CHECK(file_has("mine/Makefile", line));
	CHECK(file_has("mine/guest.c", "Hello from %d bits"));
	CHECK(file_has("mine/host.c", "err(1, \"%s\", what);"));
	CHECK(file_has("mine/.gitignore", "*.elf32"));
	make_empty("mine/guest.c", 0600);
	CHECK_EQUAL(new_project("tree", "mine"), STATUS_FAILED);
	CHECK(strstr(said, "mine is there already, and stays"));
	CHECK(!file_has("mine/guest.c", "Hello"));
	CHECK_EQUAL(new_project("tree", "none/mine"), STATUS_FAILED);
	CHECK(strstr(said, "none/mine: No such file"));
	CHECK_EQUAL(new_project("a tree", "other"), STATUS_FAILED);
	CHECK(strstr(said, "make can't work with a folder of this name"));
	CHECK(access("other", F_OK));
	CHECK_EQUAL(new_project("mine", "other"), STATUS_FAILED);
	CHECK(strstr(said, "is not vee's tree of sources"));
	CHECK_EQUAL(new_project("nowhere", "other"), STATUS_FAILED);
	CHECK(strstr(said, "nowhere: No such file"));
	snprintf(line, sizeof(line), "rm -r %s", folder);
	if (chdir("/") || system(line))
		abort();
}

/* This program is not in the folder that "vee" is in. */
static void a_new_project_without_sources(void)
{
	char *argv[] = { "new", "/tmp/vee-test-new", NULL }, *none[] = { "new", NULL };

	CHECK_EQUAL(run_command(cmd_new, 2, argv), STATUS_FAILED);
	CHECK(strstr(said, "vee new --tree FOLDER DIR"));
	CHECK(access("/tmp/vee-test-new", F_OK));
	CHECK_EQUAL(run_command(cmd_new, 1, none), STATUS_FAILED);
	CHECK(strstr(said, "vee new --help"));
}

const struct test tests[] = {
	{ "run: files come first", files_come_first },
	{ "run: programs that move", programs_that_move },
	{ "dump: a VMCS in a file", a_vmcs_in_a_file },
	{ "dump: a file without one", no_vmcs_in_a_file },
	{ "dump: a VMCS that is saved", a_vmcs_that_is_saved },
	{ "dump: no vCPU", no_vcpu_to_dump },
	{ "check: judges the CPU", judges_the_cpu },
	{ "check: warns of SMT", warns_of_smt },
	{ "check: answers bugs", answers_bugs },
	{ "check: judges the firmware", judges_the_firmware },
	{ "check: admits what it doesn't know", admits_what_it_does_not_know },
	{ "check: judges the module", judges_the_module },
	{ "check: helps", helps },
	{ "new: a project", a_new_project },
	{ "new: no sources", a_new_project_without_sources },
	{ 0 }
};
