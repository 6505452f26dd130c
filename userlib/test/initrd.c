// SPDX-License-Identifier: LGPL-2.1-or-later
/* The command's look at an initramfs. */
#include <zlib.h>

#include "../cmd/cmd.h"
#include "test.h"

#define HEADER	110
#define SECOND	(HEADER + 6 + 12)	/* where the second entry is */

static uint8_t image[0x10000];
static size_t bytes;

static void put(const void *data, size_t count)
{
	memcpy(image + bytes, data, count);
	bytes += count;
}

static void align(void)
{
	while (bytes % 4)
		put("", 1);
}

static void put_entry(const char *name, const char *content)
{
	char header[HEADER + 1];

	align();
	snprintf(header, sizeof(header),
		 "070701%048x%08x%032x%08x%08x", 0, (unsigned int)strlen(content), 0,
		 (unsigned int)strlen(name) + 1, 0);
	put(header, HEADER);
	put(name, strlen(name) + 1);
	if (!*content)
		return;
	align();
	put(content, strlen(content));
}

static void put_cpio(void)
{
	put_entry("init", "#!/bin/sh\n");	/* 5 bytes and 10 */
	put_entry("a.long.name", "x");
	put_entry("TRAILER!!!", "");
}

/* In place of what is there from @from on. */
static void compress_from(size_t from)
{
	static uint8_t packed[sizeof(image)];
	z_stream stream = {
		.next_in = image + from, .avail_in = bytes - from,
		.next_out = packed, .avail_out = sizeof(packed),
	};

	if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) ||
	    deflate(&stream, Z_FINISH) != Z_STREAM_END)
		abort();
	bytes = from;
	put(packed, stream.total_out);
	deflateEnd(&stream);
}

static bool is_whole(size_t count)
{
	uint8_t *copy = exact_copy(image, count);
	bool whole = initrd_is_whole(copy, count);

	free(copy);
	return whole;
}

static void check_each_length(size_t from)
{
	for (size_t i = from; i < bytes; i++) {
		test_case("%zu of %zu bytes", i, bytes);
		CHECK(!is_whole(i));
	}
	CHECK(is_whole(bytes));
}

static void plain(void)
{
	bytes = 0;
	put_cpio();
	check_each_length(1);
	image[SECOND] ^= 0x40;
	CHECK(!is_whole(bytes));
}

static void compressed(void)
{
	bytes = 0;
	put_cpio();
	compress_from(0);
	check_each_length(1);
	for (size_t i = bytes - 8; i < bytes; i++) {	/* checksum and size */
		image[i] ^= 0x10;
		test_case("byte %zu", i);
		CHECK(!is_whole(bytes));
		image[i] ^= 0x10;
	}
}

/* Microcode first, then the rest, as distributions do it. */
static void several(void)
{
	size_t first;

	bytes = 0;
	put_cpio();
	memset(image + bytes, 0, 512);
	bytes += 512;
	first = bytes;
	CHECK(is_whole(bytes));
	put_cpio();
	compress_from(first);
	check_each_length(first + 1);
}

static void other_formats(void)
{
	bytes = 0;
	put_cpio();
	align();
	put("\x28\xb5\x2f\xfd....", 8);
	CHECK(is_whole(bytes));
	bytes = 0;
	put("\177ELF....", 8);
	CHECK(!is_whole(bytes));
}

/* Sizes that lead far beyond the end. */
static void sizes(void)
{
	bytes = 0;
	put_cpio();
	memcpy(image + 54, "ffffffff", 8);
	CHECK(!is_whole(bytes));
	bytes = 0;
	put_cpio();
	memcpy(image + 94, "fffffffe", 8);
	CHECK(!is_whole(bytes));
	memcpy(image + 94, "    +005", 8);
	CHECK(is_whole(bytes) || !is_whole(bytes));
}

const struct test tests[] = {
	{ "cpio", plain },
	{ "gzip", compressed },
	{ "several archives", several },
	{ "other formats", other_formats },
	{ "sizes", sizes },
	{ 0 }
};
