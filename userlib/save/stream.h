/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM on its way to another process: records, each with a number and a checksum.
 *
 * The sender says STREAM_HELLO, by which who can't run it refuses at once; then pages, some
 * more than once, while the VM runs; then, with the VM stopped, the rest of the pages, the
 * sections, STREAM_END. From here on it is about who runs it:
 *
 *	receiver: STREAM_READY		all is there, and it could run here
 *	sender:   STREAM_GO		it will not run here any more
 *	receiver: STREAM_DONE		it runs
 *
 * The receiver runs it once it has read STREAM_GO, the sender until it has handed that to
 * the system whole. So there are never two. If the connection breaks before that, the
 * sender goes on, and the receiver never will. If it breaks after that and before
 * STREAM_DONE comes, the sender can't know whether STREAM_GO has arrived, and no further
 * message would change that: it does not run the VM, and keeps it.
 */
#ifndef VEE_STREAM_H
#define VEE_STREAM_H

#include "save.h"

#define STREAM_MAGIC	"vee move"
#define STREAM_VERSION	2

/* Of a record's contents, at most. */
#define STREAM_MOST	(64ULL << 20)
#define STREAM_BATCH	64	/* pages in a record */
#define STREAM_ZERO	1ULL	/* in a page's address: it is all zeros, and not here */

enum stream_kind {
	STREAM_HELLO = 1,	/* struct stream_hello, and an entry for each slot */
	STREAM_PAGES,		/* how many, their addresses, their contents */
	STREAM_SECTION,		/* an entry, and its contents */
	STREAM_END,
	STREAM_READY,
	STREAM_GO,
	STREAM_DONE,
	STREAM_REFUSE,		/* the receiver's: why */
};

/**
 * struct stream_record - the beginning of a record
 * @kind: enum stream_kind
 * @crc: of this, with 0 here, and the contents
 * @number: how many the same side has sent before
 * @bytes: of the contents, which follow
 */
struct stream_record {
	uint32_t kind;
	uint32_t crc;
	uint64_t number;
	uint64_t bytes;
};

/**
 * struct stream_hello - what all that follows is about
 * @magic: STREAM_MAGIC
 * @version: STREAM_VERSION
 * @flags: VEE_VM_ flags of the VM
 * @tsc_khz: vee_info.tsc_khz of the machine
 * @xsave_bytes: vee_info.xsave_bytes
 * @slots: how many struct save_entry follow
 * @reserved: 0
 * @features: what the first vCPU was told that its CPU has, and which it has of that CPU, not
 *	of the program
 */
struct stream_hello {
	char magic[8];
	uint32_t version;
	uint32_t flags;
	uint32_t tsc_khz;
	uint32_t xsave_bytes;
	uint32_t slots;
	uint32_t reserved;
	uint32_t features[FEATURE_WORDS];
};

/**
 * struct stream - a connection
 * @fd: a socket, its owner's
 * @deadline_ns: when it is given up, by stream_now(); 0: never
 * @sent: records
 * @received: likewise
 * @data: the contents of the last one
 * @room: how many bytes @data has room for
 */
struct stream {
	int fd;
	uint64_t deadline_ns;
	uint64_t sent;
	uint64_t received;
	uint8_t *data;
	uint64_t room;
};

uint64_t stream_now(void);
/* NULL: no memory. */
struct stream *stream_new(int fd);
void stream_free(struct stream *stream);
/* What is wrong it says. -ETIMEDOUT: the deadline; else as of send(2). */
int stream_put(struct stream *stream, enum stream_kind kind, const struct part *parts,
	       unsigned int count, const struct why *why);
/*
 * The next record, with its contents in @data. Likewise; -ECONNRESET: there comes no more,
 * -EBADMSG: not as it was sent, -ECONNABORTED: the other side refuses, and has said why.
 */
int stream_get(struct stream *stream, struct stream_record *record, const struct why *why);
/* The same, of one that can only be of this kind. */
int stream_expect(struct stream *stream, enum stream_kind kind, const struct why *why);
/* For the other side to know; whether it arrives is all the same. */
void stream_refuse(struct stream *stream, const char *text);

#endif /* VEE_STREAM_H */
