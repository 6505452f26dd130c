// SPDX-License-Identifier: LGPL-2.1-or-later
/* Functions in machines of their own: the tests are the guest, exit by exit. */
#include <elf.h>
#include <fn_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "test.h"

#define MEMORY		(2 * MIB)
#define CODE_GPA	0x100000
#define IN		0x110000ULL
#define OUT		0x120000ULL
#define ROOM		100

/* --- a guest that does as it is told --- */

struct step {
	uint32_t exit;
	uint64_t rax, rdi, rsi, rdx, rcx;
	uint64_t expected;	/* what it has got: RAX before the step */
};

#define READY	{ VEE_EXIT_HYPERCALL, FN_READY, IN, ROOM, OUT, ROOM, 0 }
#define DONE(bytes, got) { VEE_EXIT_HYPERCALL, FN_DONE, bytes, 0, 0, 0, got }

static const struct step *next;
static uint64_t got_memory_end;

static void guest(struct vee_vcpu_page *page)
{
	if (next->rax == FN_READY)
		got_memory_end = page->regs.rdi;
	if (next->expected)
		CHECK_EQUAL(page->regs.rax, next->expected);
	page->exit.reason = next->exit;
	page->exit.instruction_length = 3;
	page->regs.rax = next->rax;
	page->regs.rdi = next->rdi;
	page->regs.rsi = next->rsi;
	page->regs.rdx = next->rdx;
	page->regs.rcx = next->rcx;
	next++;
}

struct image {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;
	uint8_t code[16];
};

static struct image good_image(void)
{
	return (struct image) {
		.ehdr = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
				     ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			.e_entry = CODE_GPA, .e_phoff = offsetof(struct image, phdr),
			.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.phdr = {
			.p_type = PT_LOAD, .p_offset = offsetof(struct image, code),
			.p_vaddr = CODE_GPA, .p_paddr = CODE_GPA, .p_filesz = 16,
			.p_memsz = 0x30000,
		},
	};
}

static const struct vee_fn_options small = { .memory = MEMORY };

static char said[4000];

/* All memory is compared then. */
static int know_nothing(struct vee_dirty *dirty)
{
	(void)dirty;
	return -ENOTTY;
}

/* What is said goes to @said. */
static int load_image(struct vee_fn **fn, const struct image *image,
		      const struct vee_fn_options *options, const struct step *steps)
{
	FILE *why = fmemopen(said, sizeof(said), "w");
	int ret;

	*said = 0;
	next = steps;
	fake.run = guest;
	fake.answer_dirty = know_nothing;
	ret = vee_fn_load(fn, image, sizeof(*image), options, why);
	fclose(why);
	return ret;
}

static int load(struct vee_fn **fn, const struct vee_fn_options *options,
		const struct step *steps)
{
	struct image image = good_image();

	return load_image(fn, &image, options, steps);
}

static int call(struct vee_fn *fn, size_t in_bytes, char *out, size_t out_room,
		const struct step *steps)
{
	FILE *why = fmemopen(said, sizeof(said), "w");
	char in[ROOM + 1] = "question";
	int ret;

	*said = 0;
	next = steps;
	ret = vee_fn_call(fn, in, in_bytes, out, out_room, why);
	fclose(why);
	return ret;
}

static const struct step ready[] = { READY };

/* --- the tests --- */

static void bytes_in_bytes_out(void)
{
	static const struct step answers[] = { DONE(5, 8) };
	static const struct step nothing[] = { DONE(0, 0) };
	struct vee_fn *fn;
	char out[ROOM] = "";

	CHECK_EQUAL(load(&fn, &small, ready), 0);
	CHECK(got_memory_end > CODE_GPA && got_memory_end < MEMORY - 16 * 1024);
	CHECK_EQUAL(call(fn, 8, out, sizeof(out), answers), 5);
	CHECK(!memcmp(out, "\0\0\0\0\0", 5));
	CHECK_EQUAL(call(fn, 0, NULL, 0, nothing), 0);
	CHECK(!*said);
	vee_fn_free(fn);
	vee_fn_free(NULL);
}

static const struct bad_end {
	const char *what;
	struct step steps[1];
	int error;
	const char *word;
} bad_ends[] = {
	{ "time", { { .exit = VEE_EXIT_DEADLINE } }, -ETIME, "deadline_ns" },
	{ "memory", { { .exit = VEE_EXIT_HYPERCALL, .rax = FN_NO_MEMORY, .rdi = 77 } },
	  -EDQUOT, "77 bytes more" },
	{ "HLT", { { .exit = VEE_EXIT_HLT } }, -ENOTRECOVERABLE, "crashed" },
	{ "triple fault", { { .exit = VEE_EXIT_SHUTDOWN } }, -ENOTRECOVERABLE, "crashed" },
	{ "ready again", { READY }, -ENOTRECOVERABLE, "crashed" },
	{ "no such call", { { .exit = VEE_EXIT_HYPERCALL, .rax = FN_HOST - 1 } },
	  -ENOTRECOVERABLE, "crashed" },
	{ "its own", { DONE(-7ULL, 8) }, -EBADMSG, "-7" },
	{ "too long for it", { DONE(ROOM + 1, 8) }, -ENOTRECOVERABLE, "can't be" },
	{ "too long for the caller", { DONE(21, 8) }, -ENOBUFS, "room for 20" },
};

static void errors_are_values(void)
{
	struct vee_fn *fn;
	char out[ROOM];

	CHECK_EQUAL(load(&fn, &small, ready), 0);
	for (size_t i = 0; i < sizeof(bad_ends) / sizeof(bad_ends[0]); i++) {
		static const struct step answers[] = { DONE(20, 8) };

		test_case("%s", bad_ends[i].what);
		CHECK_EQUAL(call(fn, 8, out, 20, bad_ends[i].steps), bad_ends[i].error);
		CHECK(strstr(said, bad_ends[i].word));
		next = bad_ends[i].steps;
		CHECK_EQUAL(vee_fn_call(fn, "question", 8, out, 20, NULL), bad_ends[i].error);
		CHECK_EQUAL(call(fn, 8, out, 20, answers), 20);
	}
	CHECK_EQUAL(call(fn, ROOM + 1, out, 20, NULL), -E2BIG);
	CHECK(strstr(said, "room for 100"));
	fake.error = -EIO;
	CHECK_EQUAL(call(fn, 8, out, 20, NULL), -EIO);
	/* The machine could not be put back, and there is none in its place yet. */
	CHECK_EQUAL(call(fn, 8, out, 20, NULL), -EIO);
	CHECK(!strcmp(said, "there is no machine for it: Input/output error\n"));
	fake.error = 0;
	for (unsigned int i = 0; i < 2; i++) {
		static const struct step answers[] = { DONE(20, 8) };

		CHECK_EQUAL(call(fn, 8, out, 20, answers), 20);
	}
	vee_fn_free(fn);
}

/* --- host functions --- */

static unsigned int host_calls;

static long reverse(void *arg, const void *in, size_t in_bytes, void *out, size_t out_room)
{
	const uint8_t *from = in;
	uint8_t *to = out;

	host_calls++;
	CHECK(!strcmp(arg, "arg"));
	if (in_bytes == 13)
		return -13;
	if (in_bytes == 14)
		return out_room + 1;
	for (size_t i = 0; i < in_bytes && i < out_room; i++)
		to[i] = from[in_bytes - 1 - i];
	return in_bytes < out_room ? in_bytes : out_room;
}

#define HOST(n, in, in_bytes, out, room, got) \
	{ VEE_EXIT_HYPERCALL, FN_HOST + (n), in, in_bytes, out, room, got }
#define ERROR(number) ((uint64_t)-(number))

static void host_functions(void)
{
	static const vee_fn_host hosts[] = { reverse };
	static const struct vee_fn_options with = {
		.memory = MEMORY, .hosts = hosts, .host_count = 1, .arg = "arg",
	};
	static const struct step steps[] = {
		HOST(0, IN, 8, OUT, ROOM, 8),
		HOST(1, IN, 8, OUT, ROOM, 8),
		HOST(~0ULL - FN_HOST, IN, 8, OUT, ROOM, ERROR(FN_ENOSYS)),
		HOST(0, MEMORY - 7, 8, OUT, ROOM, ERROR(FN_ENOSYS)),
		HOST(0, ~0ULL, 2, OUT, ROOM, ERROR(FN_EFAULT)),
		HOST(0, IN, ~0ULL, OUT, ROOM, ERROR(FN_EFAULT)),
		HOST(0, 8, ~0ULL - 7, OUT, ROOM, ERROR(FN_EFAULT)),
		HOST(0, IN, 8, MEMORY, 1, ERROR(FN_EFAULT)),
		HOST(0, IN, 8, OUT, MEMORY, ERROR(FN_EFAULT)),
		HOST(0, IN, 8, IN + 7, 1, ERROR(FN_EFAULT)),
		HOST(0, IN, 8, IN - 1, 2, ERROR(FN_EINVAL)),
		HOST(0, IN, 13, OUT, ROOM, ERROR(FN_EINVAL)),
		HOST(0, IN, 14, OUT, ROOM, ERROR(13)),
		HOST(0, IN, 0, OUT, 0, ERROR(FN_EFAULT)),
		/* Across a page's end, and more than a page. */
		HOST(0, IN, 8, OUT - 3, ROOM, 0),
		HOST(0, OUT - 3, 8, IN - 4, 8, 8),
		HOST(0, IN - 4, 7, OUT, 2 * PAGE_BYTES, 8),
		HOST(0, MEMORY, 0, MEMORY, 0, 7),
		DONE(7, 0),
	};
	struct vee_fn *fn;
	char out[ROOM];

	host_calls = 0;
	CHECK_EQUAL(load(&fn, &with, ready), 0);
	CHECK_EQUAL(call(fn, 8, out, sizeof(out), steps), 7);
	CHECK(!memcmp(out, "oitseuq", 7));
	CHECK_EQUAL(host_calls, 8);
	vee_fn_free(fn);
}

/* --- what can't be loaded --- */

static const struct bad_load {
	const char *what;
	struct step steps[1];
	int error;
	const char *word;
} bad_loads[] = {
	{ "HLT", { { .exit = VEE_EXIT_HLT } }, -ENOEXEC, "FN_READY" },
	{ "time", { { .exit = VEE_EXIT_DEADLINE } }, -ETIME, "deadline_ns" },
	{ "memory", { { .exit = VEE_EXIT_HYPERCALL, .rax = FN_NO_MEMORY } }, -EDQUOT,
	  "vee_fn_options.memory" },
	{ "in", { { VEE_EXIT_HYPERCALL, FN_READY, MEMORY - 1, 2, OUT, ROOM, 0 } }, -ENOEXEC,
	  "buffers" },
	{ "out", { { VEE_EXIT_HYPERCALL, FN_READY, IN, ROOM, ~0ULL, 1, 0 } }, -ENOEXEC,
	  "buffers" },
};

/* A program that the loader takes, and no machine of 64 bits runs. */
static int load_32bit(void)
{
	union {
		struct image room;
		struct {
			Elf32_Ehdr ehdr;
			Elf32_Phdr phdr;
		} elf;
	} image = {
		.elf = {
			.ehdr = {
				.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32,
					     ELFDATA2LSB, EV_CURRENT },
				.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT,
				.e_entry = CODE_GPA, .e_phoff = sizeof(Elf32_Ehdr),
				.e_ehsize = sizeof(Elf32_Ehdr),
				.e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1,
			},
			.phdr = {
				.p_type = PT_LOAD, .p_vaddr = CODE_GPA, .p_paddr = CODE_GPA,
				.p_filesz = 16, .p_memsz = 16,
			},
		},
	};
	struct vee_fn *fn;

	return load_image(&fn, &image.room, &small, ready);
}

static void bad_images(void)
{
	struct vee_fn_options tiny = { .memory = PAGE_BYTES * 300 };
	struct image image = good_image();
	struct vee_fn *fn;

	for (size_t i = 0; i < sizeof(bad_loads) / sizeof(bad_loads[0]); i++) {
		test_case("%s", bad_loads[i].what);
		CHECK_EQUAL(load(&fn, &small, bad_loads[i].steps), bad_loads[i].error);
		CHECK(strstr(said, bad_loads[i].word));
	}
	test_case("images");
	image.ehdr.e_ident[0] = 'x';
	CHECK_EQUAL(load_image(&fn, &image, &small, ready), -ENOEXEC);
	CHECK(strstr(said, "no ELF file"));
	image = good_image();
	image.ehdr.e_phoff = 1 << 20;
	CHECK_EQUAL(load_image(&fn, &image, &small, ready), -ENOEXEC);
	CHECK(strstr(said, "damaged"));
	image = good_image();
	image.ehdr.e_machine = EM_AARCH64;
	CHECK_EQUAL(load_image(&fn, &image, &small, ready), -ENOEXEC);
	CHECK(strstr(said, "x86-64"));
	CHECK_EQUAL(load_32bit(), -ENOEXEC);
	CHECK(strstr(said, "no static program for x86-64"));
	image = good_image();
	CHECK_EQUAL(load_image(&fn, &image, &tiny, ready), -EDQUOT);
	CHECK(strstr(said, "vee_fn_options.memory"));
}

static void bad_options(void)
{
	static const vee_fn_host none[] = { NULL };
	static const struct vee_fn_options bad[] = {
		{ .memory = 4097 },
		{ .memory = 1024 * GIB },
		{ .machines = 65537 },
		{ .host_count = 1 },
		{ .host_count = 1, .hosts = none },
	};
	struct vee_fn *fn;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		test_case("%zu", i);
		CHECK_EQUAL(load(&fn, &bad[i], ready), -EINVAL);
		CHECK(strstr(said, "vee_fn_options."));
	}
	CHECK_EQUAL(load(&fn, NULL, ready), 0);
	vee_fn_free(fn);
}

static int load_and_call(void)
{
	static const struct step steps[] = { READY, DONE(3, 0) };
	struct image image = good_image();
	struct vee_fn *fn;
	char out[ROOM];
	int ret;

	next = steps;
	fake.run = guest;
	fake.answer_dirty = know_nothing;
	ret = vee_fn_load(&fn, &image, sizeof(image), &small, NULL);
	if (ret)
		return ret;
	ret = vee_fn_call(fn, "", 0, out, sizeof(out), NULL);
	vee_fn_free(fn);
	return ret;
}

/* Its result is across a page's end, in a fork: there it is no one piece. */
static int call_host(void)
{
	static const vee_fn_host hosts[] = { reverse };
	static const struct vee_fn_options with = {
		.memory = MEMORY, .hosts = hosts, .host_count = 1, .arg = "arg",
	};
	static const struct step steps[] = { HOST(0, IN, 8, OUT - 3, ROOM, 8), DONE(0, 8) };
	struct vee_fn *fn;
	int ret;

	failures_hold();
	if (load(&fn, &with, ready))
		abort();
	failures_go_on();
	ret = call(fn, 8, NULL, 0, steps);
	CHECK(!ret || !strncmp(said, "what a host function is called with can't be had: ", 50));
	failures_hold();
	vee_fn_free(fn);
	failures_go_on();
	return ret;
}

static void memory_that_runs_out(void)
{
	CHECK(fail_each_allocation(load_and_call) >= 10);
	CHECK_EQUAL(fail_each_allocation(call_host), 1);
}

/* --- two callers of one machine --- */

static pthread_t other_caller;
static struct vee_fn *shared;
static atomic_bool other_calls;

static void *call_too(void *arg)
{
	char out[ROOM];

	other_calls = true;
	*(int *)arg = vee_fn_call(shared, "question", 8, out, sizeof(out), NULL);
	return NULL;
}

static int other_result;

/* While the first call is here; the other one has time to come to where it waits. */
static long let_another_call(void *arg, const void *in, size_t in_bytes, void *out,
			     size_t out_room)
{
	(void)arg;
	(void)in;
	(void)in_bytes;
	(void)out;
	(void)out_room;
	if (pthread_create(&other_caller, NULL, call_too, &other_result))
		abort();
	while (!other_calls)
		usleep(1000);
	usleep(50000);
	CHECK_EQUAL(other_result, -ECANCELED);
	return 0;
}

static void one_waits_for_the_other(void)
{
	static const vee_fn_host hosts[] = { let_another_call };
	static const struct vee_fn_options with = {
		.memory = MEMORY, .hosts = hosts, .host_count = 1, .machines = 1,
	};
	static const struct step steps[] = {
		HOST(0, IN, 8, OUT, ROOM, 8), DONE(5, 0), DONE(6, 8),
	};
	char out[ROOM];

	other_calls = false;
	other_result = -ECANCELED;
	CHECK_EQUAL(load(&shared, &with, ready), 0);
	CHECK_EQUAL(call(shared, 8, out, sizeof(out), steps), 5);
	pthread_join(other_caller, NULL);
	CHECK_EQUAL(other_result, 6);
	vee_fn_free(shared);
}

/* All of its runs together may take so long. */
static void deadlines(void)
{
	struct vee_fn_options options = { .memory = MEMORY, .deadline_ns = 1 };
	static const struct step answers[] = { DONE(5, 8) };
	char out[ROOM];
	struct vee_fn *fn;

	CHECK_EQUAL(load(&fn, &options, ready), -ETIME);
	CHECK(strstr(said, "vee_fn_options.deadline_ns, 1 ns, is over"));
	options.deadline_ns = 600000000000;
	CHECK_EQUAL(load(&fn, &options, ready), 0);
	CHECK_EQUAL(call(fn, 8, out, sizeof(out), answers), 5);
	vee_fn_free(fn);
}

const struct test tests[] = {
	{ "bytes in, bytes out", bytes_in_bytes_out },
	{ "errors are values, and the next call is as the first", errors_are_values },
	{ "host functions, and what a guest may give them", host_functions },
	{ "images that are none", bad_images },
	{ "options that can't be", bad_options },
	{ "memory that runs out", memory_that_runs_out },
	{ "deadlines", deadlines },
	{ "one waits for the other", one_waits_for_the_other },
	{ NULL, NULL },
};
