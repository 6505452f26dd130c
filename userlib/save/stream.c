// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records to and from the other side of a connection. */
#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "stream.h"

#define NS		1000000000ULL
#define NS_PER_MS	1000000ULL
#define TEXT_BYTES	500

uint64_t stream_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

struct stream *stream_new(int fd)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (stream)
		stream->fd = fd;
	return stream;
}

void stream_free(struct stream *stream)
{
	if (stream)
		free(stream->data);
	free(stream);
}

/* --- bytes --- */

static int broken(const struct why *why, int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return why_say(why, err, "the other side has not answered in time");
	case -ENOTSOCK:
		return why_say(why, err, "only a socket can carry it");
	case -EPIPE:
	case -ECONNRESET:
		return why_say(why, -ECONNRESET, "the connection broke");
	default:
		return why_say(why, err, "the connection broke: %s", strerror(-err));
	}
}

/* Until there is something to do, or the deadline. */
static int wait_for(const struct stream *stream, short events)
{
	struct pollfd fd = { .fd = stream->fd, .events = events };
	uint64_t now = stream_now();
	int ms = -1, n;

	if (stream->deadline_ns) {
		if (now >= stream->deadline_ns)
			return -ETIMEDOUT;
		ms = (stream->deadline_ns - now) / NS_PER_MS + 1;
	}
	n = poll(&fd, 1, ms);
	return n < 0 && errno != EINTR ? -errno : 0;
}

/* After a transfer of @n bytes: 0, or why there is no next one. */
static int go_on(const struct stream *stream, ssize_t n, short events)
{
	if (n >= 0 || errno == EINTR)
		return 0;
	return errno == EAGAIN ? wait_for(stream, events) : -errno;
}

static int put_bytes(const struct stream *stream, const void *data, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = send(stream->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		int err = go_on(stream, n, POLLOUT);

		if (err)
			return err;
		n = n < 0 ? 0 : n;
		data = (const uint8_t *)data + n;
		bytes -= n;
	}
	return 0;
}

static int get_bytes(const struct stream *stream, void *data, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = recv(stream->fd, data, bytes, MSG_DONTWAIT);
		int err = n ? go_on(stream, n, POLLIN) : -ECONNRESET;

		if (err)
			return err;
		n = n < 0 ? 0 : n;
		data = (uint8_t *)data + n;
		bytes -= n;
	}
	return 0;
}

/* --- records --- */

int stream_put(struct stream *stream, enum stream_kind kind, const struct part *parts,
	       unsigned int count, const struct why *why)
{
	struct stream_record record = { .kind = kind, .number = stream->sent };
	uint32_t crc;
	int err;

	for (unsigned int i = 0; i < count; i++)
		record.bytes += parts[i].bytes;
	if (record.bytes > STREAM_MOST)
		return why_say(why, -E2BIG, "a section of more than %llu MiB",
			       STREAM_MOST >> 20);
	crc = crc32c(0, &record, sizeof(record));
	for (unsigned int i = 0; i < count; i++)
		crc = crc32c(crc, parts[i].data, parts[i].bytes);
	record.crc = crc;
	err = put_bytes(stream, &record, sizeof(record));
	for (unsigned int i = 0; i < count && !err; i++)
		err = put_bytes(stream, parts[i].data, parts[i].bytes);
	if (err)
		return broken(why, err);
	stream->sent++;
	return 0;
}

static int make_room(struct stream *stream, uint64_t bytes)
{
	uint8_t *data;

	if (bytes <= stream->room)
		return 0;
	data = realloc(stream->data, bytes);
	if (!data)
		return -ENOMEM;
	stream->data = data;
	stream->room = bytes;
	return 0;
}

/* The other side's words are not let do anything to a terminal. */
static int refused(const struct stream *stream, uint64_t bytes, const struct why *why)
{
	char text[TEXT_BYTES];
	size_t count = bytes < sizeof(text) ? bytes : sizeof(text) - 1;

	if (count)
		memcpy(text, stream->data, count);
	text[count] = 0;
	for (char *at = text; *at; at++)
		if (!isprint((unsigned char)*at))
			*at = '?';
	return why_say(why, -ECONNABORTED, "refused there: %s", text);
}

static bool is_whole(const struct stream *stream, const struct stream_record *record)
{
	struct stream_record head = *record;
	uint32_t crc;

	head.crc = 0;
	crc = crc32c(crc32c(0, &head, sizeof(head)), stream->data, record->bytes);
	return crc == record->crc && record->number == stream->received;
}

static int damaged(const struct why *why)
{
	return why_say(why, -EBADMSG, "damaged on its way");
}

int stream_get(struct stream *stream, struct stream_record *record, const struct why *why)
{
	int err = get_bytes(stream, record, sizeof(*record));

	if (err)
		return broken(why, err);
	if (record->bytes > STREAM_MOST || record->kind < STREAM_HELLO ||
	    record->kind > STREAM_REFUSE || record->number != stream->received)
		return damaged(why);
	err = make_room(stream, record->bytes);
	if (err)
		return why_say(why, err, "no memory");
	err = get_bytes(stream, stream->data, record->bytes);
	if (err)
		return broken(why, err);
	if (!is_whole(stream, record))
		return damaged(why);
	stream->received++;
	return record->kind == STREAM_REFUSE ? refused(stream, record->bytes, why) : 0;
}

int stream_expect(struct stream *stream, enum stream_kind kind, const struct why *why)
{
	struct stream_record record;
	int err = stream_get(stream, &record, why);

	return !err && (record.kind != kind || record.bytes) ? damaged(why) : err;
}

void stream_refuse(struct stream *stream, const char *text)
{
	const struct part part = { text, strlen(text) };
	const struct why nobody = { NULL, 0 };

	stream->deadline_ns = stream_now() + NS;
	stream_put(stream, STREAM_REFUSE, &part, 1, &nobody);
}
