// SPDX-License-Identifier: LGPL-2.1-or-later
/* What "vee list" and "vee stat" make of /proc: of one with VMs in it, and of nonsense. */
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cmd/cmd.h"
#include "../cmd/watch.h"
#include "command.h"
#include "test.h"

/* main.c's, whose main() the tests have another one for. */
int end_failure(void)
{
	fputc('\n', stderr);
	return STATUS_FAILED;
}

/* --- texts --- */

#define OWN	"pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1057\n"
#define OF_VM	"vee-stats-version:\t1\nvee-vm:\t3\nvee-process:\t100\nvee-vcpus:\t2\n" \
		"vee-slots:\t1\nvee-lent-kib:\t65536\nvee-mapped-kib:\t2048\nvee-tables-kib:\t16\n"
#define OF_VCPU(id, thread, cpuids) \
	"vee-vcpu:\t" id "\nvee-thread:\t" thread "\nvee-exit-10:\t" cpuids " CPUID\n" \
	"vee-exit-30:\t20 I/O instruction\nvee-runs:\t20\nvee-entries:\t50\nvee-faults:\t7\n" \
	"vee-flushes:\t1\n"

static const char vm_text[] = OWN OF_VM;
static const char vcpu_text[] = OWN OF_VM OF_VCPU("1", "102", "30");

static void parses(void)
{
	struct fdinfo info;

	CHECK_EQUAL(fdinfo_parse(vm_text, false, &info), 0);
	CHECK_EQUAL(info.vm, 3);
	CHECK_EQUAL(info.process, 100);
	CHECK_EQUAL(info.lent_kib, 65536);
	CHECK_EQUAL(info.tables_kib, 16);
	CHECK_EQUAL(fdinfo_parse(vcpu_text, true, &info), 0);
	CHECK_EQUAL(info.vcpu.id, 1);
	CHECK_EQUAL(info.vcpu.thread, 102);
	CHECK_EQUAL(info.vcpu.exits[10], 30);
	CHECK_EQUAL(info.vcpu.exits[30], 20);
	CHECK_EQUAL(info.vcpu.flushes, 1);
}

/* Wherever it is cut, but before the first of the module's lines. */
static void parses_nothing_that_is_cut(void)
{
	char text[sizeof(vcpu_text)];
	struct fdinfo info;

	for (size_t bytes = 0; bytes < sizeof(vcpu_text) - 1; bytes++) {
		memcpy(text, vcpu_text, bytes);
		text[bytes] = 0;
		test_case("%zu bytes", bytes);
		if (strstr(text, "vee-stats-version:\t"))
			CHECK_EQUAL(fdinfo_parse(text, true, &info), -EBADMSG);
		else
			CHECK_EQUAL(fdinfo_parse(text, true, &info), -ENODATA);
	}
}

static void parses_other_versions(void)
{
	struct fdinfo info;

	/* What a later module says besides, in the same version. */
	CHECK_EQUAL(fdinfo_parse(OWN OF_VM "vee-new:\tmany words: 1 2 3\n", false, &info), 0);
	CHECK_EQUAL(fdinfo_parse(OWN OF_VM OF_VCPU("1", "1", "1") "vee-exit-4000:\t1 x\n", true,
				 &info), 0);
	CHECK_EQUAL(fdinfo_parse(OWN "vee-stats-version:\t2\nvee-vm:\tx\n", false, &info),
		    -EPROTONOSUPPORT);
	CHECK_EQUAL(fdinfo_parse(OWN, false, &info), -ENODATA);
}

static void parses_no_nonsense(void)
{
	static const char *const texts[] = {
		"vee-stats-version:\t\n",
		"vee-stats-version:\tone\n",
		"vee-stats-version:\t-1\n",
		"vee-stats-version:\t99999999999999999999\n",
		OF_VM "vee-vm:\t3\n",				/* twice */
		OF_VM "vee-vcpus\n",
		OF_VM OF_VCPU("64", "1", "1"),
		OF_VM OF_VCPU("1", "4294967296", "1"),
		OF_VM OF_VCPU("1", "1", "18446744073709551616"),
		OF_VM OF_VCPU("1", "1", "-1"),
		OF_VM OF_VCPU("1", "1 ", "1"),
		OF_VM OF_VCPU("1", "1", "1") "vee-exit-x:\t1 x\n",
		OF_VM OF_VCPU("1", "1", "1") "vee-exit-1:\t1\n",
		OF_VM OF_VCPU("1", "1", "1") "\n",
	};
	struct fdinfo info;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		test_case("%.190s", texts[i]);
		CHECK_EQUAL(fdinfo_parse(texts[i], true, &info), -EBADMSG);
	}
	/* A VM's that says it was a vCPU's. */
	CHECK_EQUAL(fdinfo_parse(vcpu_text, false, &info), -EBADMSG);
}

/* --- a /proc --- */

static char proc[] = "/tmp/vee-proc-XXXXXX";

__attribute__((format(printf, 2, 3)))
static void put(const char *path, const char *format, ...)
{
	char whole[200];
	va_list arguments;
	FILE *file;

	snprintf(whole, sizeof(whole), "%s/%s", proc, path);
	for (char *slash = whole + strlen(proc); (slash = strchr(slash + 1, '/'));) {
		*slash = 0;
		mkdir(whole, 0700);
		*slash = '/';
	}
	file = fopen(whole, "w");
	if (!file)
		abort();
	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
	fclose(file);
}

/* Process @pid has @text in its descriptor @fd, which leads to @link. */
static void put_fd(int pid, int fd, const char *link, const char *text)
{
	char path[64], whole[200];

	snprintf(path, sizeof(path), "%d/fdinfo/%d", pid, fd);
	put(path, "%s", text);
	snprintf(path, sizeof(path), "%d/fd/0", pid);
	put(path, "%s", "");
	snprintf(whole, sizeof(whole), "%s/%d/fd/%d", proc, pid, fd);
	if (symlink(link, whole))
		abort();
}

static void put_thread(int pid, int tid, unsigned int utime, unsigned int stime,
		       unsigned int guest)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/task/%d/stat", pid, tid);
	put(path, "%d (a) 1 (b)) S 1 1 1 0 -1 64 5 0 0 0 %u %u 0 0 20 0 3 0 500 9 9 %s %u 0 0\n",
	    tid, utime, stime, "1 1 1 1 1 1 0 0 0 0 0 0 0 17 1 0 0 0", guest);
}

static int remove_one(const char *path, const struct stat *status, int what, struct FTW *where)
{
	(void)status;
	(void)what;
	(void)where;
	return remove(path);
}

static void proc_end(void)
{
	nftw(proc, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	watch_proc = "/proc";
}

static void proc_begin(void)
{
	strcpy(proc + sizeof(proc) - 7, "XXXXXX");
	if (!mkdtemp(proc))
		abort();
	watch_proc = proc;
	put("1/fd/0", "%s", "");
	put("uptime", "%s", "1 1\n");
}

/* One VM: of process 100, whose child 200 has its descriptors too. */
static void proc_with_vm(void)
{
	proc_begin();
	put("100/cmdline", "vee%crun%cna\033me%c", 0, 0, 0);
	put_fd(100, 3, "/dev/vee", OWN);
	put_fd(100, 4, "anon_inode:vee-vm", vm_text);
	put_fd(100, 5, "anon_inode:vee-vcpu", OWN OF_VM OF_VCPU("1", "102", "30"));
	put_fd(100, 6, "anon_inode:vee-vcpu", OWN OF_VM OF_VCPU("0", "101", "9"));
	put_fd(200, 4, "anon_inode:vee-vm", vm_text);
	put_fd(200, 5, "anon_inode:vee-vcpu", OWN OF_VM OF_VCPU("1", "102", "30"));
	put_thread(100, 101, 300, 50, 250);
	put_thread(100, 102, 100, 10, 100);
}

static void finds_vms(void)
{
	const struct watched_vm *vm;
	struct watch watch;

	proc_with_vm();
	CHECK_EQUAL(watch_take(&watch), 0);
	CHECK_EQUAL(watch.count, 1);
	CHECK_EQUAL(watch.error, 0);
	vm = watch.vms;
	CHECK_EQUAL(vm->pid, 100);
	CHECK_EQUAL(vm->vcpu_count, 2);
	CHECK_EQUAL(vm->vcpus[0].id, 0);
	CHECK_EQUAL(vm->vcpus[0].times.guest, 250);
	CHECK_EQUAL(vm->vcpus[0].times.kernel, 50);
	CHECK_EQUAL(vm->vcpus[0].times.user, 50);
	CHECK_EQUAL(vm->vcpus[1].id, 1);
	CHECK_EQUAL(vm->all.runs, 40);
	CHECK_EQUAL(vm->all.exits[10], 39);
	CHECK_EQUAL(vm->all.times.guest, 350);
	watch_free(&watch);
	proc_end();
}

/* One thread for both vCPUs: its times are counted once. */
static void counts_a_thread_once(void)
{
	struct watch watch;

	proc_with_vm();
	put("100/fdinfo/6", "%s", OWN OF_VM OF_VCPU("0", "102", "9"));
	CHECK_EQUAL(watch_take(&watch), 0);
	CHECK_EQUAL(watch.vms[0].vcpus[0].times.guest, 100);
	CHECK_EQUAL(watch.vms[0].vcpus[1].times.guest, 100);
	CHECK_EQUAL(watch.vms[0].all.times.guest, 100);
	watch_free(&watch);
	/* And none that is gone. */
	put("100/fdinfo/6", "%s", OWN OF_VM OF_VCPU("0", "0", "9"));
	CHECK_EQUAL(watch_take(&watch), 0);
	CHECK(!watch.vms[0].vcpus[0].has_times);
	CHECK(watch.vms[0].vcpus[1].has_times);
	watch_free(&watch);
	proc_end();
}

/* --- the commands --- */

#define RUN(command, ...) ({							\
	char *argv_[] = { #command, ##__VA_ARGS__, NULL };			\
										\
	run_command(cmd_##command, sizeof(argv_) / sizeof(*argv_) - 1, argv_);	\
})

static void lists(void)
{
	proc_with_vm();
	CHECK_EQUAL(RUN(list), STATUS_OK);
	CHECK(strstr(said, "VM     PID OWNER"));
	CHECK(strstr(said, "     3     100 "));
	CHECK(strstr(said, "     2       64        2           40 vee run na?me\n"));
	CHECK_EQUAL(RUN(list, "--json"), STATUS_OK);
	CHECK(strstr(said, "{\"vms\":[{\"vm\":3,\"pid\":100,\"owner\":\""));
	CHECK(strstr(said, ",\"command\":\"vee run na\\u001bme\",\"slots\":1,\"lent_kib\":65536,"));
	CHECK(strstr(said, ",\"vcpus\":2,\"runs\":40}]}\n"));
	proc_end();
}

static void shows_once(void)
{
	proc_with_vm();
	CHECK_EQUAL(RUN(stat), STATUS_OK);
	CHECK(strstr(said, "VM 3: process 100 of "));
	CHECK(strstr(said, ": vee run na?me\n"));
	CHECK(strstr(said, "memory: 65536 KiB lent, 2048 KiB mapped, EPT 16 KiB\n"));
	CHECK(strstr(said, "\n   0     101     2.50     0.50     0.50         20         50 "));
	CHECK(strstr(said, "         7  20 I/O instruction, 9 CPUID\n"));
	CHECK(strstr(said, "\n all             3.50     0.60     0.50         40        100 "));
	CHECK(strstr(said, "        14  40 I/O instruction, 39 CPUID\n"));
	CHECK(!strchr(said, '\033'));
	CHECK_EQUAL(RUN(stat, "--json", "3"), STATUS_OK);
	CHECK(strstr(said, "{\"id\":0,\"thread\":101,\"runs\":20,\"entries\":50,\"faults\":7,"));
	CHECK(strstr(said, ",\"flushes\":1,\"guest_seconds\":2.50,\"kernel_seconds\":0.50,"));
	CHECK(strstr(said, ",\"user_seconds\":0.50,\"exits\":{\"CPUID\":9,"));
	CHECK(strstr(said, ",\"I/O instruction\":20}},{\"id\":1,"));
	proc_end();
}

/* By the number of the VM, or its process's. */
static void shows_some(void)
{
	proc_with_vm();
	CHECK_EQUAL(RUN(stat, "77", "100"), STATUS_OK);
	CHECK(strstr(said, "VM 3: "));
	CHECK_EQUAL(RUN(stat, "77"), STATUS_FAILED);
	CHECK(!strcmp(said, "vee: no VM 77, nor a process 77 that has one: see \"vee list\"\n"));
	CHECK_EQUAL(RUN(stat, "77", "78"), STATUS_FAILED);
	CHECK_EQUAL(RUN(stat, "x"), STATUS_FAILED);
	CHECK(strstr(said, "x: no number"));
	CHECK_EQUAL(RUN(stat, "--interval", "0"), STATUS_FAILED);
	CHECK(strstr(said, "0.1 to 3600"));
	CHECK_EQUAL(RUN(stat, "--interval", "nan"), STATUS_FAILED);
	CHECK_EQUAL(RUN(list, "3"), STATUS_FAILED);
	proc_end();
}

/* What has come in two seconds. */
static void shows_what_has_come(void)
{
	struct watch before, now;
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	proc_with_vm();
	CHECK_EQUAL(watch_take(&before), 0);
	put("100/fdinfo/6", "%s", OWN OF_VM OF_VCPU("0", "101", "19"));
	put_thread(100, 101, 400, 70, 330);
	CHECK_EQUAL(watch_take(&now), 0);
	now.seconds = before.seconds + 2;
	put_stat(out, &before, &now);
	fclose(out);
	test_case("%.190s", text);
	CHECK(strstr(text, "\n   0     101    40.0%    10.0%    10.0%          0 "));
	CHECK(strstr(text, "         0  5 CPUID\n"
			   "   1     102     0.0%     0.0%     0.0%          0 "));
	free(text);
	watch_free(&before);
	watch_free(&now);
	proc_end();
}

static void fits_a_screen(void)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	put_screen(out, "abcdef\nghi\njkl\n", 3, 4);
	fclose(out);
	CHECK(!strcmp(text, "\033[Habcd\033[K\nghi\033[K\n\033[J"));
	free(text);
}

static void words_of_json(void)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	put_json_string(out,
			"\"\\\n\x7f \xc3\xa4 \xe4 \xc0\x80 \xed\xa0\x80 \xf0\x9f\x98\x80 \xe2");
	fclose(out);
	CHECK(strstr(text, "\"\\\"\\\\\\u000a\\u007f \xc3\xa4 \\u00e4 ") == text);
	CHECK(strstr(text, " \\u00c0\\u0080 "));
	CHECK(strstr(text, " \\u00ed\\u00a0\\u0080 \xf0\x9f\x98\x80 \\u00e2\""));
	free(text);
}

static void says_what_hinders(void)
{
	proc_begin();
	CHECK_EQUAL(RUN(list), STATUS_OK);
	CHECK(strstr(said, "vee: no VMs"));
	CHECK_EQUAL(RUN(list, "--json"), STATUS_OK);
	CHECK(strstr(said, "{\"vms\":[]}\n"));
	put_fd(100, 4, "anon_inode:vee-vm", OWN);
	CHECK_EQUAL(RUN(stat), STATUS_FAILED);
	CHECK(strstr(said, "module is too old to tell: \"make unload load\"\n"));
	put("100/fdinfo/4", "%s", OWN "vee-stats-version:\t2\n");
	CHECK_EQUAL(RUN(list), STATUS_FAILED);
	CHECK(strstr(said, "vee: process 100: its VM's module is another version: take its own"));
	put("100/fdinfo/4", "%s", OWN "vee-stats-version:\t1\nvee-vm:\t");
	CHECK_EQUAL(RUN(list), STATUS_FAILED);
	CHECK(strstr(said, "makes no sense\n"));
	proc_end();
	watch_proc = "/no/such/proc";
	CHECK_EQUAL(RUN(list), STATUS_FAILED);
	CHECK(strstr(said, "/no/such/proc can't be read: No such file or directory\n"));
	watch_proc = "/proc";
}

/* Nobody may look into a process: root may, and is somebody else for a while. */
static void says_what_is_hidden(void)
{
	struct watch watch;
	char path[64];

	proc_begin();
	snprintf(path, sizeof(path), "%s/1/fd", proc);
	chmod(proc, 0711 | 0444);
	chmod(path, 0);
	if (!geteuid() && seteuid(65534))
		abort();
	CHECK_EQUAL(watch_take(&watch), 0);
	CHECK(watch.hidden);
	CHECK_EQUAL(RUN(list), STATUS_OK);
	CHECK(!strcmp(said, "vee: no VM that you may see: root sees those of all users\n"));
	watch_free(&watch);
	snprintf(path, sizeof(path), "%d/mounts", (int)getpid());
	CHECK(!seteuid(getuid()));
	put(path, "%s", "proc /proc proc rw,nosuid,hidepid=invisible 0 0\n");
	snprintf(path, sizeof(path), "%s/%d", proc, (int)getpid());
	chmod(path, 0755);
	snprintf(path, sizeof(path), "%s/1/fd", proc);
	chmod(path, 0755);
	if (!geteuid() && seteuid(65534))
		abort();
	CHECK_EQUAL(watch_take(&watch), 0);
	CHECK(watch.hidden);
	watch_free(&watch);
	CHECK(!seteuid(getuid()));
	proc_end();
}

const struct test tests[] = {
	{ "fdinfo: parses", parses },
	{ "fdinfo: nothing that is cut", parses_nothing_that_is_cut },
	{ "fdinfo: other versions", parses_other_versions },
	{ "fdinfo: no nonsense", parses_no_nonsense },
	{ "watch: finds VMs", finds_vms },
	{ "watch: counts a thread once", counts_a_thread_once },
	{ "list: lists", lists },
	{ "stat: once", shows_once },
	{ "stat: some", shows_some },
	{ "stat: what has come", shows_what_has_come },
	{ "stat: fits a screen", fits_a_screen },
	{ "words of JSON", words_of_json },
	{ "says what hinders", says_what_hinders },
	{ "says what is hidden", says_what_is_hidden },
	{ 0 }
};
