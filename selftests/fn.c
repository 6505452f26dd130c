// SPDX-License-Identifier: GPL-2.0-only
/*
 * libvee's functions in machines of their own: one that does everything badly
 * (fn_guest.c). Whatever it has done, the error says so, and the next call has a machine
 * that is as it was.
 */
#include <vee.h>

#include "fn_deeds.h"
#include "vee_util.h"

/* The function, as it is beside this program. */
GUEST_CODE(image, 64, ".incbin \"fn_guest.elf\"");

static long reverse(void *arg, const void *in, size_t in_bytes, void *out, size_t out_room)
{
	const char *from = in;
	char *to = out;

	__atomic_add_fetch((unsigned int *)arg, 1, __ATOMIC_RELAXED);
	if (in_bytes > out_room)
		return -1;
	for (size_t i = 0; i < in_bytes; i++)
		to[i] = from[in_bytes - 1 - i];
	return in_bytes;
}

FIXTURE(fn) {
	struct vee_fn *fn;
	unsigned int host_calls;
};

static const vee_fn_host hosts[] = { reverse };

/* Without @deadline_ns, but for the test of it: how long a call takes is the machine's affair. */
static int load(struct vee_fn **fn, unsigned int machines, __u64 deadline_ns,
		unsigned int *host_calls)
{
	const struct vee_fn_options options = {
		.memory = FN_TEST_MEMORY,
		.machines = machines,
		.deadline_ns = deadline_ns,
		.hosts = hosts,
		.host_count = 1,
		.arg = host_calls,
	};

	return vee_fn_load(fn, image, image_end - image, &options, stdout);
}

FIXTURE_SETUP(fn)
{
	ASSERT_EQ(0, load(&self->fn, 1, 0, &self->host_calls));
}

FIXTURE_TEARDOWN(fn)
{
	vee_fn_free(self->fn);
}

static int do_deed(struct vee_fn *fn, enum deed deed, char *out, size_t room, char *said,
		   size_t said_room)
{
	FILE *why = said ? fmemopen(said, said_room, "w") : NULL;
	char in = deed;
	int ret = vee_fn_call(fn, &in, 1, out, room, why);

	if (why)
		fclose(why);
	return ret;
}

static bool is_clean(struct vee_fn *fn)
{
	char out[10] = { 0 };

	return do_deed(fn, DEED_LOOK, out, sizeof(out), NULL, 0) == 1 && out[0] == 1;
}

TEST_F(fn, call)
{
	char out[8192], in[8193] = { DEED_REVERSE, 'a', 'b', 'c' };

	ASSERT_TRUE(is_clean(self->fn));
	ASSERT_EQ(3, vee_fn_call(self->fn, in, 4, out, sizeof(out), stdout));
	EXPECT_EQ(0, memcmp(out, "cba", 3));
	ASSERT_TRUE(is_clean(self->fn));
	EXPECT_EQ(0, vee_fn_call(self->fn, in, 0, NULL, 0, stdout));
	ASSERT_EQ(8191, vee_fn_call(self->fn, in, 8192, out, sizeof(out), stdout));
	EXPECT_EQ('a', out[8190]);
	ASSERT_TRUE(is_clean(self->fn));
	EXPECT_EQ(-E2BIG, vee_fn_call(self->fn, in, 8193, out, sizeof(out), NULL));
	EXPECT_EQ(-ENOBUFS, vee_fn_call(self->fn, in, 4, out, 2, NULL));
	in[0] = DEED_HOST;
	ASSERT_EQ(3, vee_fn_call(self->fn, in, 4, out, sizeof(out), stdout));
	EXPECT_EQ(0, memcmp(out, "cba", 3));
	/* Request and answer of two pages each. */
	ASSERT_EQ(8191, vee_fn_call(self->fn, in, 8192, out, sizeof(out), stdout));
	EXPECT_EQ(0, memcmp(out + 8188, "cba", 3));
	EXPECT_EQ(2, self->host_calls);
	ASSERT_TRUE(is_clean(self->fn));
}

static const struct end {
	enum deed deed;
	int ret;
	const char *word;
} ends[] = {
	{ DEED_EAT, -EDQUOT, "vee_fn_options.memory" },
	{ DEED_TABLES, -ENOTRECOVERABLE, "#PF" },
	{ DEED_SCRIBBLE, -ENOTRECOVERABLE, "crashed" },
	{ DEED_FAULT, -ENOTRECOVERABLE, "#UD" },
	{ DEED_HLT, -ENOTRECOVERABLE, "HLT" },
	{ DEED_PORT, -ENOTRECOVERABLE, "0x80" },
	{ DEED_IN, -ENOTRECOVERABLE, "0x60" },
	{ DEED_MSR, -ENOTRECOVERABLE, "MSR" },
	{ DEED_DEVICE, -ENOTRECOVERABLE, "0xb0000000" },
	{ DEED_READY, -ENOTRECOVERABLE, "crashed" },
	{ DEED_NO_CALL, -ENOTRECOVERABLE, "crashed" },
	{ DEED_TOO_LONG, -ENOTRECOVERABLE, "8193" },
	{ DEED_FAIL, -EBADMSG, "-77" },
	{ DEED_STACK, -ENOTRECOVERABLE, "crashed" },
};

static void end_badly(struct __test_metadata *_metadata, struct vee_fn *fn,
		      const struct end *end)
{
	char out[100], said[4000] = "";

	EXPECT_EQ(end->ret, do_deed(fn, end->deed, out, sizeof(out), said, sizeof(said)))
		TH_LOG("deed %u: %s", end->deed, said);
	EXPECT_NE(NULL, strstr(said, end->word))
		TH_LOG("deed %u: %s", end->deed, said);
	ASSERT_TRUE(is_clean(fn)) TH_LOG("after deed %u", end->deed);
}

TEST_F_TIMEOUT(fn, bad_ends, 300)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		end_badly(_metadata, self->fn, &ends[i]);
}

/* How long here, to be called and once more, a function takes that does next to nothing. */
static __u64 ordinary_ns(struct __test_metadata *_metadata)
{
	unsigned int host_calls;
	__u64 began = now_ns();
	struct vee_fn *fn;

	ASSERT_EQ(0, load(&fn, 1, 0, &host_calls));
	ASSERT_TRUE(is_clean(fn));
	ASSERT_TRUE(is_clean(fn));
	vee_fn_free(fn);
	return now_ns() - began;
}

static const struct end endless[] = {
	{ DEED_LOOP, -ETIME, "still at it" },
	{ DEED_LOOP_IN_HOST, -ETIME, "still at it" },
};

/* What is not endless has far more time than it takes. */
TEST_F_TIMEOUT(fn, time_over, 300)
{
	__u64 limit = 200 * MS_NS + 20 * ordinary_ns(_metadata);
	unsigned int host_calls;
	struct vee_fn *fn;

	ASSERT_EQ(0, load(&fn, 1, limit, &host_calls));
	for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
		__u64 began = now_ns();

		end_badly(_metadata, fn, &endless[i]);
		EXPECT_LE(limit, now_ns() - began);
	}
	vee_fn_free(fn);
}

TEST_F(fn, bad_pointers)
{
	char out[10] = { 0 };

	ASSERT_EQ(1, do_deed(self->fn, DEED_BAD_POINTERS, out, sizeof(out), NULL, 0));
	EXPECT_EQ(8 * 4 + 5, out[0]);
	EXPECT_EQ(1, self->host_calls);
	ASSERT_TRUE(is_clean(self->fn));
}

/* --- several at a time --- */

#define CALLS	60

struct caller {
	struct vee_fn *fn;
	unsigned int seed;
	const char *wrong;
};

static void *call_often(void *arg)
{
	struct caller *c = arg;

	for (unsigned int i = 0; i < CALLS; i++) {
		char in[] = { DEED_REVERSE, 'a' + i % 26, 'A' + c->seed, '0' + i % 10 };
		char out[10] = { 0 };

		if (i % 8 == c->seed % 8) {
			if (do_deed(c->fn, ends[i % 12].deed, out, 10, NULL, 0) !=
			    ends[i % 12].ret)
				c->wrong = "a bad end";
		} else if (vee_fn_call(c->fn, in, 4, out, 10, NULL) != 3 ||
			   out[0] != in[3] || out[1] != in[2] || out[2] != in[1]) {
			c->wrong = "another's result";
		} else if (!is_clean(c->fn)) {
			c->wrong = "not clean";
		}
	}
	return NULL;
}

static void call_by(struct __test_metadata *_metadata, unsigned int threads,
		    unsigned int machines)
{
	struct caller callers[8] = { 0 };
	unsigned int host_calls = 0;
	pthread_t ids[8];
	struct vee_fn *fn;

	ASSERT_EQ(0, load(&fn, machines, 0, &host_calls));
	for (unsigned int i = 0; i < threads; i++) {
		callers[i] = (struct caller) { .fn = fn, .seed = i };
		ASSERT_EQ(0, pthread_create(&ids[i], NULL, call_often, &callers[i]));
	}
	for (unsigned int i = 0; i < threads; i++) {
		ASSERT_EQ(0, pthread_join(ids[i], NULL));
		EXPECT_EQ(NULL, callers[i].wrong)
			TH_LOG("%u threads, %u machines: %s", threads, machines, callers[i].wrong);
	}
	vee_fn_free(fn);
}

TEST_F_TIMEOUT(fn, threads, 300)
{
	call_by(_metadata, 2, 2);
	call_by(_metadata, 4, 2);
	call_by(_metadata, 3, 8);
}

/* --- what can't be loaded --- */

TEST_F(fn, bad_images)
{
	struct vee_fn_options options = { .memory = 0x101000 };
	char *copy = malloc(image_end - image);
	struct vee_fn *fn;

	EXPECT_EQ(-EDQUOT, vee_fn_load(&fn, image, image_end - image, &options, NULL));
	EXPECT_EQ(-ENOEXEC, vee_fn_load(&fn, image, 100, NULL, NULL));
	memcpy(copy, image, image_end - image);
	/* It can't say that it is ready. */
	for (char *at = copy; at < copy + (image_end - image) - 4; at++)
		if (!memcmp(at, "\x0f\x01\xc1", 3))	/* VMCALL */
			memcpy(at, "\x0f\x0b\x90", 3);	/* UD2 */
	EXPECT_EQ(-ENOEXEC, vee_fn_load(&fn, copy, image_end - image, NULL, NULL));
	options = (struct vee_fn_options) { .deadline_ns = 1 };
	EXPECT_EQ(-ETIME, vee_fn_load(&fn, image, image_end - image, &options, NULL));
	free(copy);
}

/* The lowest free descriptor is the one that it was. */
TEST_F(fn, leaves_nothing)
{
	int before = dup(0), after;
	char out[10];

	close(before);
	for (int i = 0; i < 5; i++) {
		unsigned int host_calls;
		struct vee_fn *fn;

		ASSERT_EQ(0, load(&fn, 2, 0, &host_calls));
		EXPECT_EQ(-ENOTRECOVERABLE, do_deed(fn, DEED_SCRIBBLE, out, 10, NULL, 0));
		vee_fn_free(fn);
	}
	after = dup(0);
	close(after);
	EXPECT_EQ(before, after);
}

TEST_HARNESS_MAIN
