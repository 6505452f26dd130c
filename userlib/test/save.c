// SPDX-License-Identifier: LGPL-2.1-or-later
/* Saving a VM to a file, and what a loader makes of files that are not as they should be. */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "save/save.h"
#include "test.h"

#define MEMORY		(4 * PAGE_BYTES)
#define HIGH		0x100000ULL
#define NAME		"clock"
#define CLOCK		"half past nine"

static char path[] = "/tmp/vee-save-XXXXXX";
static char why[200];

static const struct vee_section sections[] = {
	{ NAME, CLOCK, sizeof(CLOCK) },
	{ "nothing", "", 0 },
};

static void make_path(void)
{
	strcpy(path, "/tmp/vee-save-XXXXXX");
	close(mkstemp(path));
	fake.tsc_khz = 2000000;
	fake.tsc = 1000;
	fake.cpuid_count = 2;
	fake.cpuid[0] = (struct vee_cpuid_entry) { .leaf = 1, .ecx = 1U << 28, .edx = 1 };
	fake.cpuid[1] = (struct vee_cpuid_entry) { .leaf = 7, .ebx = 1U << 5 | 1U << 16 };
	memset(fake.xsave, 0x5a, sizeof(fake.xsave));
}

static void fill(struct rig *rig)
{
	uint8_t *memory = vee_vm_at(rig->vm, 0, MEMORY);

	memory[5] = 1;
	memory[2 * PAGE_BYTES + 7] = 2;
	memory[MEMORY - 1] = 3;
	rig->vcpu->page->regs.rbx = 0x1234;
	rig->vcpu->page->msrs.tsc_offset = 500;
}

/* One with two slots, saved. */
static void save_one(void)
{
	struct rig rig;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, MEMORY, NULL), 0);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, HIGH, MEMORY, NULL), 0);
	fill(&rig);
	CHECK_EQUAL(vee_save_file(&rig.vcpu, 1, sections, 2, path, why, sizeof(why)), 0);
	rig_end(&rig);
}

static int open_saved(struct vee_saved **saved, unsigned int flags)
{
	*why = 0;
	return vee_saved_open(path, flags, saved, why, sizeof(why));
}

static void test_round(void)
{
	struct vee_saved *saved;
	struct rig rig;
	uint8_t *memory;
	size_t bytes;

	make_path();
	save_one();
	memset(fake.xsave, 0, sizeof(fake.xsave));
	fake.tsc = 5000;
	CHECK_EQUAL(open_saved(&saved, 0), 0);
	CHECK_EQUAL(vee_saved_vcpus(saved), 1);
	CHECK_EQUAL(vee_saved_flags(saved), 0);
	CHECK_EQUAL(vee_saved_memory(saved), 2 * MEMORY);
	CHECK(!strcmp(vee_saved_section(saved, NAME, &bytes), CLOCK));
	CHECK_EQUAL(bytes, sizeof(CLOCK));
	CHECK(vee_saved_section(saved, "nothing", &bytes));
	CHECK_EQUAL(bytes, 0);
	CHECK(!vee_saved_section(saved, "no", &bytes));
	rig_begin(&rig);
	CHECK_EQUAL(vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why)), 0);
	vee_saved_close(saved);
	memory = vee_vm_at(rig.vm, 0, MEMORY);
	CHECK(memory && memory[5] == 1 && memory[2 * PAGE_BYTES + 7] == 2);
	CHECK(memory && memory[MEMORY - 1] == 3 && !memory[PAGE_BYTES]);
	CHECK(vee_vm_at(rig.vm, HIGH, MEMORY));
	CHECK_EQUAL(rig.vcpu->page->regs.rbx, 0x1234);
	/* 1001 it was, and it is 5001: the guest's TSC has stood still. */
	CHECK_EQUAL(rig.vcpu->page->msrs.tsc_offset, 500 - 4000);
	CHECK_EQUAL(fake.xsave[100], 0x5a);
	/* Private: the file is as it was. */
	memory[5] = 9;
	rig_end(&rig);
	CHECK_EQUAL(open_saved(&saved, 0), 0);
	vee_saved_close(saved);
	unlink(path);
}

/* Pages of zeros are holes. */
static void test_sparse(void)
{
	struct stat stat_of;
	struct rig rig;

	make_path();
	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 64 << 20, NULL), 0);
	CHECK_EQUAL(vee_save_file(&rig.vcpu, 1, NULL, 0, path, why, sizeof(why)), 0);
	rig_end(&rig);
	CHECK_EQUAL(stat(path, &stat_of), 0);
	CHECK(stat_of.st_size > 64 << 20);
	CHECK(stat_of.st_blocks * 512 < 1 << 20);
	unlink(path);
}

/* --- files that are not as they should be --- */

static uint8_t *map_file(size_t *bytes)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat stat_of;
	uint8_t *file;

	fstat(fd, &stat_of);
	*bytes = stat_of.st_size;
	file = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return file;
}

/* Whole and unharmed all the same: what was flipped is between sections. */
static bool says_the_same(const struct vee_saved *saved)
{
	size_t bytes;
	const char *clock = vee_saved_section(saved, NAME, &bytes);

	return clock && !strcmp(clock, CLOCK) && vee_saved_memory(saved) == 2 * MEMORY;
}

static void check_flipped(uint8_t *byte, uint8_t mask)
{
	struct vee_saved *saved = NULL;
	int err;

	*byte ^= mask;
	err = open_saved(&saved, 0);
	CHECK(err ? *why && !strchr(why, '\n') : says_the_same(saved));
	if (!err)
		vee_saved_close(saved);
	*byte ^= mask;
}

/* Each byte of header, table and sections, some bit of it. */
static void test_flipped(void)
{
	struct vee_saved *saved;
	size_t bytes;
	uint8_t *file;

	make_path();
	save_one();
	file = map_file(&bytes);
	for (size_t at = 0; at < bytes; at += at < 1024 ? 1 : 37)
		check_flipped(file + at, 1U << at % 8);
	CHECK_EQUAL(open_saved(&saved, 0), 0);
	vee_saved_close(saved);
	munmap(file, bytes);
	unlink(path);
}

/* Hashed anew, so that all that is left are the checks of what it says. */
static void sign(uint8_t *file)
{
	struct save_header *header = (void *)file;

	header->crc = 0;
	header->crc = crc32c(crc32c(0, header, sizeof(*header)), header + 1,
			     header->sections < SECTIONS_MAX ?
			     header->sections * sizeof(struct save_entry) : 0);
}

static void check_hostile(uint8_t *file, size_t at)
{
	static const uint8_t masks[] = { 0xff, 0x80, 1 };
	struct vee_saved *saved;
	uint8_t was = file[at];
	struct rig rig;
	int err;

	for (unsigned int i = 0; i < sizeof(masks); i++) {
		file[at] = was ^ masks[i];
		sign(file);
		err = open_saved(&saved, VEE_SAVED_LAZY);
		if (err)
			continue;
		rig_begin(&rig);
		err = vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why));
		CHECK(!err || *why);
		rig_end(&rig);
		vee_saved_close(saved);
	}
	file[at] = was;
	sign(file);
}

static void test_hostile(void)
{
	size_t bytes;
	uint8_t *file;

	make_path();
	save_one();
	file = map_file(&bytes);
	for (size_t at = 0; at < sizeof(struct save_header) + 5 * sizeof(struct save_entry); at++)
		if (at < offsetof(struct save_header, crc) ||
		    at >= offsetof(struct save_header, sections))
			check_hostile(file, at);
	munmap(file, bytes);
	unlink(path);
}

static void test_cut(void)
{
	struct vee_saved *saved;
	struct stat stat_of;

	make_path();
	save_one();
	stat(path, &stat_of);
	for (off_t bytes = stat_of.st_size - 1; bytes > 0; bytes -= 1009) {
		CHECK_EQUAL(truncate(path, bytes), 0);
		CHECK(open_saved(&saved, 0) < 0);
		CHECK(*why);
	}
	CHECK_EQUAL(truncate(path, stat_of.st_size - 1), 0);
	CHECK_EQUAL(open_saved(&saved, 0), -EBADMSG);
	CHECK_EQUAL(truncate(path, 0), 0);
	CHECK_EQUAL(open_saved(&saved, 0), -ENOEXEC);
	unlink(path);
	CHECK_EQUAL(open_saved(&saved, 0), -ENOENT);
	CHECK_EQUAL(vee_saved_open("/dev/null", 0, &saved, why, sizeof(why)), -ENOEXEC);
	CHECK_EQUAL(vee_saved_open("/dev/null", 2, &saved, NULL, 0), -EINVAL);
}

static void test_version(void)
{
	struct vee_saved *saved;
	size_t bytes;
	uint8_t *file;

	make_path();
	save_one();
	file = map_file(&bytes);
	((struct save_header *)file)->version++;
	CHECK_EQUAL(open_saved(&saved, 0), -EPROTONOSUPPORT);
	CHECK(strstr(why, "version 2"));
	munmap(file, bytes);
	unlink(path);
}

/* --- machines that are not as that was --- */

static int restore(void)
{
	struct vee_saved *saved;
	struct rig rig;
	int err;

	CHECK_EQUAL(open_saved(&saved, 0), 0);
	rig_begin(&rig);
	err = vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why));
	rig_end(&rig);
	vee_saved_close(saved);
	return err;
}

static void test_other_cpu(void)
{
	make_path();
	save_one();
	fake.cpuid[0].ecx = 0;
	fake.cpuid[1].ebx = 0;
	CHECK_EQUAL(restore(), -EOPNOTSUPP);
	CHECK(!strcmp(why, "it needs what this CPU lacks: avx, avx2, avx512f"));
	unlink(path);
}

static void test_other_tsc(void)
{
	make_path();
	save_one();
	fake.tsc_khz += 2001;
	CHECK_EQUAL(restore(), -EOPNOTSUPP);
	CHECK(strstr(why, "2002001 kHz"));
	fake.tsc_khz -= 1;
	CHECK_EQUAL(restore(), 0);
	unlink(path);
}

static void test_refused(void)
{
	struct rig rig;

	make_path();
	rig_begin(&rig);
	rig.vcpu->page->control.cr8 = 99;
	CHECK_EQUAL(vee_save_file(&rig.vcpu, 1, NULL, 0, path, why, sizeof(why)), 0);
	rig_end(&rig);
	CHECK_EQUAL(restore(), -EINVAL);
	CHECK(!strcmp(why, "CPU 0 can't be so here: control.cr8"));
	unlink(path);
}

static void test_other_vm(void)
{
	struct vee_saved *saved;
	struct rig rig;

	make_path();
	save_one();
	CHECK_EQUAL(open_saved(&saved, 0), 0);
	rig_begin(&rig);
	CHECK_EQUAL(vee_saved_restore(saved, &rig.vcpu, 2, why, sizeof(why)), -EINVAL);
	CHECK_EQUAL(vee_saved_restore(saved, &rig.vcpu, 0, why, sizeof(why)), -EINVAL);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, HIGH, PAGE_BYTES, NULL), 0);
	CHECK_EQUAL(vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why)), -EEXIST);
	rig_end(&rig);
	vee_saved_close(saved);
	unlink(path);
}

/* --- more memory than there is --- */

#define LARGE		(1ULL << 38)

/* Its second slot has that many zeros. */
static void make_large(void)
{
	struct save_header *header;
	struct save_entry *entry;
	size_t bytes;
	uint8_t *file;

	save_one();
	file = map_file(&bytes);
	header = (void *)file;
	entry = (void *)(header + 1);
	while (entry->kind != SECTION_MEMORY || entry->gpa != HIGH)
		entry++;
	entry->offset = bytes;
	entry->bytes = LARGE;
	entry->crc = 0;
	header->bytes = bytes + LARGE;
	sign(file);
	munmap(file, bytes);
	CHECK_EQUAL(truncate(path, bytes + LARGE), 0);
}

/* To half of that more than are in use. */
static struct rlimit limit_addresses(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	struct rlimit old, new;

	CHECK(file && fscanf(file, "%lu", &pages) == 1);
	if (file)
		fclose(file);
	getrlimit(RLIMIT_AS, &old);
	new = (struct rlimit) { pages * PAGE_BYTES + LARGE / 2, old.rlim_max };
	setrlimit(RLIMIT_AS, &new);
	return old;
}

/* What the guest doesn't touch nobody has to have; and addresses that there are not are told. */
static void test_large(void)
{
	struct vee_saved *saved;
	struct rlimit old;
	struct rig rig;

	make_path();
	make_large();
	CHECK_EQUAL(open_saved(&saved, VEE_SAVED_LAZY), 0);
	CHECK_EQUAL(vee_saved_memory(saved), MEMORY + LARGE);
	rig_begin(&rig);
	old = limit_addresses();
	CHECK_EQUAL(vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why)), -ENOMEM);
	CHECK(!strcmp(why, "no room for 262144 MiB of memory"));
	rig_end(&rig);
	setrlimit(RLIMIT_AS, &old);
	rig_begin(&rig);
	CHECK_EQUAL(vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why)), 0);
	CHECK(vee_vm_at(rig.vm, HIGH, LARGE));
	rig_end(&rig);
	vee_saved_close(saved);
	old = limit_addresses();
	CHECK_EQUAL(open_saved(&saved, VEE_SAVED_LAZY), -ENOMEM);
	CHECK(!strncmp(why, "no room for its ", 16));
	setrlimit(RLIMIT_AS, &old);
	unlink(path);
}

/* --- a disk that is full, and what was there before --- */

static void test_full(void)
{
	struct rlimit old, small = { 20 * PAGE_BYTES, RLIM_INFINITY };
	struct vee_saved *saved;
	struct rig rig;

	make_path();
	save_one();
	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 64 * PAGE_BYTES, NULL), 0);
	memset(vee_vm_at(rig.vm, 0, 64 * PAGE_BYTES), 7, 64 * PAGE_BYTES);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	*why = 0;
	CHECK_EQUAL(vee_save_file(&rig.vcpu, 1, NULL, 0, path, why, sizeof(why)), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	CHECK(!strcmp(why, "can't write it: File too large"));
	rig_end(&rig);
	CHECK_EQUAL(open_saved(&saved, 0), 0);
	CHECK(says_the_same(saved));
	vee_saved_close(saved);
	unlink(path);
}

/* --- what the kernel refuses, and memory that runs out --- */

static struct rig failing;

/* Of a fork, so that its memory is settled first. */
static int save_fork(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vcpu *vcpu;
	struct vee_vm *fork;
	int err;

	failures_hold();
	if (vee_vm_snapshot(failing.vm, &snapshot) || vee_vm_fork(snapshot, &fork))
		abort();
	vcpu = vee_vm_vcpu(fork, 0);
	failures_go_on();
	*why = 0;
	err = vee_save_file(&vcpu, 1, sections, 2, path, why, sizeof(why));
	CHECK(!err == !*why);
	vee_vm_snapshot_free(snapshot);
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(fork);
	return err;
}

static int open_and_restore(void)
{
	struct vee_saved *saved = NULL;
	struct rig rig;
	int err;

	failures_hold();
	rig_begin(&rig);
	failures_go_on();
	err = open_saved(&saved, 0);
	if (!err)
		err = vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why));
	CHECK(!err == !*why);
	rig_end(&rig);
	vee_saved_close(saved);
	return err;
}

static void begin_failing(void)
{
	make_path();
	rig_begin(&failing);
	CHECK_EQUAL(vee_vm_alloc(failing.vm, 0, MEMORY, NULL), 0);
	fill(&failing);
}

static void end_failing(void)
{
	rig_end(&failing);
	unlink(path);
}

static void test_errors(void)
{
	begin_failing();
	CHECK(fail_each_request(-EIO, save_fork) >= 4);
	CHECK_EQUAL(open_and_restore(), 0);
	CHECK(fail_each_request(-EIO, open_and_restore) >= 5);
	/* Which what does. */
	fake.fail_request = 1;
	CHECK_EQUAL(open_and_restore(), -EIO);
	CHECK(!strcmp(why, "Input/output error"));
	fake.fail_request = 2;
	CHECK_EQUAL(open_and_restore(), -EIO);
	CHECK(!strcmp(why, "can't ask for CPUID: Input/output error"));
	fake.fail_request = 4;
	CHECK_EQUAL(open_and_restore(), -EIO);
	CHECK(!strcmp(why, "can't tell the time: Input/output error"));
	fake.fail_request = 5;
	CHECK_EQUAL(open_and_restore(), -EIO);
	CHECK(!strcmp(why, "can't load CPU 0: Input/output error"));
	end_failing();
}

/* With the address sanitizer also: is nothing left behind? */
static void test_no_memory(void)
{
	begin_failing();
	CHECK(fail_each_allocation(save_fork) >= 4);
	CHECK(fail_each_allocation(open_and_restore) >= 2);
	end_failing();
}

/* --- the disk, and the place --- */

static bool nothing_is_beside(void)
{
	char pattern[sizeof(path) + 8];
	glob_t found;
	int ret;

	snprintf(pattern, sizeof(pattern), "%s.*", path);
	ret = glob(pattern, 0, NULL, &found);
	if (!ret)
		globfree(&found);
	return ret == GLOB_NOMATCH;
}

static void test_disk(void)
{
	struct vee_saved *saved;

	begin_failing();
	fail_call("pwrite", 1, EINTR);	/* which is none */
	CHECK_EQUAL(save_fork(), 0);
	CHECK(call_failed());
	CHECK_EQUAL(open_saved(&saved, 0), 0);
	vee_saved_close(saved);
	CHECK(fail_each_call("pwrite", EIO, -EIO, save_fork) >= 5);
	CHECK(fail_each_call("ftruncate", ENOSPC, -ENOSPC, save_fork) >= 2);
	CHECK_EQUAL(fail_each_call("fdatasync", EDQUOT, -EDQUOT, save_fork), 1);
	CHECK(nothing_is_beside());
	unlink(path);
	CHECK(!mkdir(path, 0700));
	CHECK_EQUAL(save_fork(), -EISDIR);
	CHECK(!strcmp(why, "can't write it: Is a directory"));
	CHECK(nothing_is_beside());
	rmdir(path);
	end_failing();
}

/* --- more than there is room for --- */

static void check_too_many(unsigned int cpus, unsigned int own, int error)
{
	static struct vee_vcpu *vcpus[SECTIONS_MAX + 1];
	static struct vee_section many[SECTIONS_MAX + 1];

	test_case("%u CPUs, %u sections", cpus, own);
	for (unsigned int i = 0; i <= SECTIONS_MAX; i++) {
		vcpus[i] = failing.vcpu;
		many[i] = sections[1];
	}
	*why = 0;
	CHECK_EQUAL(vee_save_file(vcpus, cpus, many, own, path, why, sizeof(why)), error);
	CHECK(!strcmp(why, error ? "more than 640 sections" : ""));
}

static void test_too_many(void)
{
	begin_failing();
	check_too_many(1, SECTIONS_MAX - 2, 0);
	check_too_many(1, SECTIONS_MAX - 1, -E2BIG);
	check_too_many(SECTIONS_MAX, 0, -E2BIG);
	check_too_many(SECTIONS_MAX + 1, 0, -E2BIG);
	end_failing();
}

/* Its slots with a template can't be saved; what was listed is freed. */
static void test_template(void)
{
	static uint8_t pool[PAGE_BYTES] __attribute__((aligned(4096)));
	static const uint8_t from[PAGE_BYTES] __attribute__((aligned(4096)));

	begin_failing();
	CHECK_EQUAL(vee_vm_map_template(failing.vm, HIGH, from, PAGE_BYTES, pool, PAGE_BYTES,
					VEE_READ | VEE_WRITE), 0);
	CHECK_EQUAL(vee_save_file(&failing.vcpu, 1, NULL, 0, path, why, sizeof(why)),
		    -EOPNOTSUPP);
	CHECK(!strcmp(why, "can't write it: Operation not supported"));
	end_failing();
}

/* Of a leaf with subleaves that counts which it is. */
static void test_subleaves(void)
{
	const struct vee_cpuid_entry entries[] = {
		{ .leaf = 7, .subleaf = 1, .flags = VEE_CPUID_SUBLEAF, .ebx = 1 },
		{ .leaf = 7, .subleaf = 0, .flags = VEE_CPUID_SUBLEAF, .ebx = 2 },
		{ .leaf = 0xd, .subleaf = 1, .flags = VEE_CPUID_SUBLEAF, .eax = 4 },
	};
	uint32_t features[FEATURE_WORDS];

	features_of(entries, 3, features);
	CHECK_EQUAL(features[2], 2);
	CHECK_EQUAL(features[5], 0);
	CHECK_EQUAL(features[6], 4);
}

static void test_bad_arguments(void)
{
	struct vee_section bad = { "", "", 0 };
	struct vee_saved *saved;
	struct rig rig;

	make_path();
	rig_begin(&rig);
	CHECK_EQUAL(vee_save(&rig.vcpu, 0, NULL, 0, 1, why, sizeof(why)), -EINVAL);
	CHECK_EQUAL(vee_save_file(&rig.vcpu, 1, &bad, 1, path, NULL, 0), -EINVAL);
	bad.name = "a name of thirty-two bytes, no less";
	CHECK_EQUAL(vee_save_file(&rig.vcpu, 1, &bad, 1, path, NULL, 0), -EINVAL);
	CHECK_EQUAL(vee_save_file(&rig.vcpu, 1, NULL, 0, "/nowhere/at/all", why, sizeof(why)),
		    -ENOENT);
	save_one();
	CHECK_EQUAL(open_saved(&saved, 0), 0);
	CHECK_EQUAL(vee_take_over(saved, why, sizeof(why)), -EINVAL);
	CHECK(!strcmp(why, "it comes from a file"));
	vee_saved_close(saved);
	vee_saved_close(NULL);
	CHECK_EQUAL(vee_save(&rig.vcpu, 1, NULL, 0, open("/dev/null", O_RDWR), why, sizeof(why)),
		    -ESPIPE);
	rig_end(&rig);
	unlink(path);
}

/* RFC 3720, appendix B.4. */
static void test_crc(void)
{
	uint8_t bytes[32] = { 0 };

	CHECK_EQUAL(crc32c(0, bytes, 32), 0x8a9136aa);
	for (int i = 0; i < 32; i++)
		bytes[i] = i;
	CHECK_EQUAL(crc32c(0, bytes, 32), 0x46dd794e);
	CHECK_EQUAL(crc32c(crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794e);
	CHECK_EQUAL((uint32_t)~crc_by_bit(~0U, bytes, 32), 0x46dd794e);
}

const struct test tests[] = {
	{ "saved and restored", test_round },
	{ "pages of zeros are holes", test_sparse },
	{ "a bit is flipped", test_flipped },
	{ "hostile header and table", test_hostile },
	{ "cut short", test_cut },
	{ "another version", test_version },
	{ "another CPU", test_other_cpu },
	{ "another TSC", test_other_tsc },
	{ "a state that is refused", test_refused },
	{ "another VM", test_other_vm },
	{ "larger than memory", test_large },
	{ "the disk is full", test_full },
	{ "errors of the kernel's", test_errors },
	{ "memory that runs out", test_no_memory },
	{ "errors of the disk's", test_disk },
	{ "too many sections", test_too_many },
	{ "a slot with a template", test_template },
	{ "subleaves", test_subleaves },
	{ "bad arguments", test_bad_arguments },
	{ "the checksum", test_crc },
	{ NULL, NULL },
};
