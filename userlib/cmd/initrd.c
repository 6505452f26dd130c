// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whether an initramfs is all there: with a part of one Linux boots all the same, and
 * fails later, for want of some file.
 *
 * It is cpio archives one behind the other, compressed or not, with zeros between
 * them (Linux, "initramfs buffer format").
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cmd.h"

#define CPIO_MAGIC	"07070"		/* then 1, or 2 with checksums */
#define MAGIC_BYTES	6
#define HEADER_BYTES	110
#define FIELD_DIGITS	8
#define FILE_SIZE	6		/* fields after the magic */
#define NAME_SIZE	11
#define TRAILER		"TRAILER!!!"

#define GZIP_WINDOW	(15 + 16)	/* of any size; with gzip's own frame */
#define CHUNK		65536

struct input {
	const uint8_t *data;
	size_t bytes;
};

static bool begins(const struct input *input, const void *magic, size_t bytes)
{
	return input->bytes >= bytes && !memcmp(input->data, magic, bytes);
}

static bool skip(struct input *input, uint64_t bytes)
{
	if (bytes > input->bytes)
		return false;
	input->data += bytes;
	input->bytes -= bytes;
	return true;
}

static void skip_zeros(struct input *input)
{
	while (input->bytes && !*input->data)
		skip(input, 1);
}

/* --- cpio --- */

static bool is_cpio(const struct input *input)
{
	return begins(input, CPIO_MAGIC, sizeof(CPIO_MAGIC) - 1);
}

static bool get_field(const struct input *input, unsigned int n, uint64_t *value)
{
	char digits[FIELD_DIGITS + 1] = "", *end;

	memcpy(digits, input->data + MAGIC_BYTES + n * FIELD_DIGITS, FIELD_DIGITS);
	*value = strtoul(digits, &end, 16);
	return end == digits + FIELD_DIGITS;
}

/* Names and contents end at multiples of 4, but the last name: nothing follows. */
static bool skip_entry(struct input *input, bool *last)
{
	uint64_t file, name, padding;

	if (!is_cpio(input) || input->bytes < HEADER_BYTES ||
	    !get_field(input, FILE_SIZE, &file) ||
	    !get_field(input, NAME_SIZE, &name) ||
	    !skip(input, HEADER_BYTES) || name > input->bytes)
		return false;
	*last = name == sizeof(TRAILER) && begins(input, TRAILER, name);
	if (*last)
		return skip(input, name);
	padding = -(HEADER_BYTES + name) % 4;
	return skip(input, name + padding) && skip(input, (file + 3) & ~3ULL);
}

static bool skip_cpio(struct input *input)
{
	bool last = false;

	while (!last)
		if (!skip_entry(input, &last))
			return false;
	return true;
}

/* --- gzip, which has a checksum --- */

static int inflate_all(z_stream *stream)
{
	static uint8_t nowhere[CHUNK];
	int ret = Z_OK;

	while (ret == Z_OK) {
		stream->next_out = nowhere;
		stream->avail_out = sizeof(nowhere);
		ret = inflate(stream, Z_NO_FLUSH);
	}
	return ret;
}

static bool skip_gzip(struct input *input)
{
	size_t most = input->bytes < UINT_MAX ? input->bytes : UINT_MAX;
	z_stream stream = { .next_in = (uint8_t *)input->data, .avail_in = most };
	bool whole;

	if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
		return false;
	whole = inflate_all(&stream) == Z_STREAM_END;
	inflateEnd(&stream);
	return whole && skip(input, most - stream.avail_in);
}

/* --- others: the kernel has to find out --- */

static bool is_compressed_otherwise(const struct input *input)
{
	return begins(input, "BZh", 3) ||
	       begins(input, "\x5d\0\0", 3) ||			/* lzma */
	       begins(input, "\3757zXZ", 5) ||
	       begins(input, "\x89LZO", 4) ||
	       begins(input, "\x02\x21\x4c\x18", 4) ||		/* lz4 */
	       begins(input, "\x28\xb5\x2f\xfd", 4);		/* zstd */
}

bool initrd_is_whole(const void *data, size_t bytes)
{
	struct input input = { .data = data, .bytes = bytes };
	bool whole = true;

	skip_zeros(&input);
	while (whole && input.bytes && !is_compressed_otherwise(&input)) {
		whole = is_cpio(&input) ? skip_cpio(&input) : skip_gzip(&input);
		skip_zeros(&input);
	}
	return whole;
}
