// SPDX-License-Identifier: LGPL-2.1-or-later
/* Moving a VM: what goes over the connection, and what becomes of one that breaks. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "save/stream.h"
#include "test.h"

#define PAGES		70ULL
#define MEMORY		(PAGES * PAGE_BYTES)
#define HIGH		0x100000ULL
#define NAME		"clock"
#define CLOCK		"half past nine"
#define STREAM_BYTES	(1U << 20)
#define ALWAYS		(~0U)

static char why[700];
static struct rig rig;

static const struct vee_section sections[] = {
	{ NAME, CLOCK, sizeof(CLOCK) },
	{ "nothing", "", 0 },
};

/* --- a VM that writes while it is sent --- */

static uint8_t *memory;
static unsigned int writes;	/* so often; ALWAYS: it never ends */
static unsigned int looks, stops, starts, ends;
static int look_error;		/* what looking at the writes gives */

static int answer_dirty(struct vee_dirty *dirty)
{
	uint64_t *bitmap = (void *)(uintptr_t)dirty->pages;

	starts += dirty->operation == VEE_DIRTY_START;
	ends += dirty->operation == VEE_DIRTY_STOP;
	if (dirty->operation != VEE_DIRTY_FETCH)
		return 0;
	if (look_error)
		return look_error;
	memset(bitmap, 0, (PAGES + 63) / 64 * sizeof(*bitmap));
	if (dirty->gpa || (writes != ALWAYS && looks++ >= writes))
		return 0;
	/* One page anew, and one is zeros again. */
	memory[3 * PAGE_BYTES] = looks;
	memset(memory + 2 * PAGE_BYTES, 0, PAGE_BYTES);
	bitmap[0] = 1U << 2 | 1U << 3;
	return writes == ALWAYS ? 1000000000 : 2;
}

static void (*at_stop)(void);	/* NULL, or what happens while it is stopped */
static const struct vee_section *stop_sections = sections;

static int stop(void *arg, const struct vee_section **to, unsigned int *count)
{
	stops++;
	rig.vcpu->page->regs.rbx = 0x1234;
	if (at_stop)
		at_stop();
	*to = stop_sections;
	*count = arg ? 0 : 2;
	return arg ? *(int *)arg : 0;
}

static void begin(void)
{
	rig_begin(&rig);
	if (vee_vm_alloc(rig.vm, 0, MEMORY, (void **)&memory) ||
	    vee_vm_alloc(rig.vm, HIGH, MEMORY, NULL))
		abort();
	memory[5] = 1;
	memory[2 * PAGE_BYTES + 7] = 2;
	memory[MEMORY - 1] = 3;
	rig.vcpu->page->msrs.tsc_offset = 500;
	fake.tsc_khz = 2000000;
	fake.tsc = 1000;
	fake.cpuid_count = 1;
	fake.cpuid[0] = (struct vee_cpuid_entry) { .leaf = 1, .ecx = 1U << 28, .edx = 1 };
	fake.answer_dirty = answer_dirty;
	writes = 2;	/* once before it stops, and once just then */
	looks = 0;
	stops = 0;
	starts = 0;
	ends = 0;
}

static void end(void)
{
	rig_end(&rig);
	fake.answer_dirty = NULL;
}

/* --- the other side --- */

/**
 * struct peer - keeps what it is sent, and answers
 * @fd: its end
 * @bytes: what it has been sent
 * @count: how much
 * @records: where each begins
 * @record_count: how many
 * @most: records that it takes before it closes
 * @refuses: what it says in place of STREAM_READY
 * @refuses_first: or already after the first record, and closes
 * @closed: it has closed
 * @silent: it doesn't say STREAM_DONE
 */
struct peer {
	int fd;
	uint8_t bytes[STREAM_BYTES];
	size_t count;
	size_t records[64];
	unsigned int record_count;
	unsigned int most;
	const char *refuses;
	bool refuses_first;
	bool silent;
	volatile bool closed;
	pthread_t thread;
};

static struct peer peer;

static bool take(void *to, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t n = recv(peer.fd, (uint8_t *)to + at, bytes - at, 0);

		if (n <= 0)
			return false;
		at += n;
	}
	return true;
}

static enum stream_kind take_record(void)
{
	struct stream_record *record = (void *)(peer.bytes + peer.count);
	struct stream_record head;

	if (!take(&head, sizeof(head)))
		return 0;
	memcpy(record, &head, sizeof(head));
	if (!take(record + 1, head.bytes))
		return 0;
	peer.records[peer.record_count++] = peer.count;
	peer.count += sizeof(head) + head.bytes;
	return head.kind;
}

static void *answer(void *arg)
{
	struct stream stream = { .fd = peer.fd };
	const struct why nobody = { NULL, 0 };

	(void)arg;
	while (peer.record_count < peer.most) {
		enum stream_kind kind = take_record();

		if (!kind)
			break;
		/* Who is about to close isn't ready: or else the next word may be sent, or not. */
		if ((kind == STREAM_END || peer.refuses_first) && peer.refuses)
			stream_refuse(&stream, peer.refuses);
		else if (kind == STREAM_END && peer.record_count < peer.most)
			stream_put(&stream, STREAM_READY, NULL, 0, &nobody);
		if (kind == STREAM_GO && !peer.silent)
			stream_put(&stream, STREAM_DONE, NULL, 0, &nobody);
		if (peer.refuses_first)
			break;
	}
	close(peer.fd);
	peer.closed = true;
	return NULL;
}

static int send_vm(void *stop_arg)
{
	struct vee_sending sending = {
		.vcpus = &rig.vcpu, .count = 1, .downtime_ms = 1000, .stop = stop,
		.arg = stop_arg,
	};
	int fds[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		abort();
	peer.fd = fds[1];
	peer.count = 0;
	peer.record_count = 0;
	peer.closed = false;
	pthread_create(&peer.thread, NULL, answer, NULL);
	*why = 0;
	err = vee_send(&sending, fds[0], why, sizeof(why));
	close(fds[0]);
	pthread_join(peer.thread, NULL);
	return err;
}

/* A stream with all there can be in it: peer.bytes. */
static void keep_one(void)
{
	begin();
	peer.most = ALWAYS;
	CHECK_EQUAL(send_vm(NULL), 0);
	CHECK_EQUAL(stops, 1);
	CHECK_EQUAL(ends, 2);
	end();
}

/* --- receiving what was kept --- */

/* @count bytes of it, and no more; the socket is in *@fd. */
static int receive(const uint8_t *bytes, size_t count, struct vee_saved **saved, int *fd)
{
	int fds[2], room = 2 * STREAM_BYTES;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		abort();
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (send(fds[0], bytes, count, MSG_DONTWAIT) != (ssize_t)count)
		abort();
	shutdown(fds[0], SHUT_WR);
	*fd = fds[1];
	*why = 0;
	return vee_receive(fds[1], saved, why, sizeof(why));
}

/* As far as it goes: 0: it would run. */
static int receive_all(const uint8_t *bytes, size_t count)
{
	struct vee_saved *saved;
	int fd, err = receive(bytes, count, &saved, &fd);

	if (!err) {
		rig_begin(&rig);
		err = vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why));
		if (!err)
			err = vee_take_over(saved, why, sizeof(why));
		rig_end(&rig);
		vee_saved_close(saved);
	}
	close(fd);
	CHECK(err ? *why && !strchr(why, '\n') : !*why);
	return err;
}

static void test_round(void)
{
	struct vee_saved *saved;
	uint8_t *there;
	size_t bytes;
	int fd;

	keep_one();
	fake.tsc = 5000;
	CHECK_EQUAL(receive(peer.bytes, peer.count, &saved, &fd), 0);
	CHECK_EQUAL(vee_saved_vcpus(saved), 1);
	CHECK_EQUAL(vee_saved_memory(saved), 2 * MEMORY);
	CHECK(!strcmp(vee_saved_section(saved, NAME, &bytes), CLOCK));
	CHECK(vee_saved_section(saved, "nothing", &bytes) && !bytes);
	rig_begin(&rig);
	CHECK_EQUAL(vee_saved_restore(saved, &rig.vcpu, 1, why, sizeof(why)), 0);
	there = vee_vm_at(rig.vm, 0, MEMORY);
	CHECK(there && there[5] == 1 && there[MEMORY - 1] == 3);
	CHECK(there && there[3 * PAGE_BYTES] == 2 && !there[2 * PAGE_BYTES + 7]);
	CHECK_EQUAL(rig.vcpu->page->regs.rbx, 0x1234);
	CHECK_EQUAL(rig.vcpu->page->msrs.tsc_offset, 500 - 4000);
	CHECK_EQUAL(vee_take_over(saved, why, sizeof(why)), 0);
	vee_saved_close(saved);
	/* What it runs in is its own. */
	CHECK_EQUAL(there[5], 1);
	rig_end(&rig);
	close(fd);
}

/* Wherever it ends, it is not run. */
static void test_cut(void)
{
	keep_one();
	CHECK_EQUAL(receive_all(peer.bytes, peer.count), 0);
	for (size_t count = 0; count < peer.count; count += count < 300 ? 1 : 491)
		CHECK_EQUAL(receive_all(peer.bytes, count), -ECONNRESET);
	CHECK_EQUAL(receive_all(peer.bytes, peer.count - 1), -ECONNRESET);
}

static void check_flipped(size_t at)
{
	peer.bytes[at] ^= 1U << at % 8;
	CHECK(receive_all(peer.bytes, peer.count) < 0);
	peer.bytes[at] ^= 1U << at % 8;
}

static void test_flipped(void)
{
	keep_one();
	for (size_t at = 0; at < peer.count; at += at < 300 ? 1 : 487)
		check_flipped(at);
	for (unsigned int i = 0; i < peer.record_count; i++)
		for (size_t at = 0; at < sizeof(struct stream_record); at++)
			check_flipped(peer.records[i] + at);
}

/* Hashed anew, so that all that is left are the checks of what it says. */
static void sign(unsigned int i)
{
	struct stream_record record;
	uint8_t *at = peer.bytes + peer.records[i];

	memcpy(&record, at, sizeof(record));
	record.crc = 0;
	record.crc = crc32c(crc32c(0, &record, sizeof(record)), at + sizeof(record), record.bytes);
	memcpy(at, &record, sizeof(record));
}

static void check_hostile(unsigned int i, size_t at)
{
	static const uint8_t masks[] = { 0xff, 0x80, 1 };
	uint8_t *byte = peer.bytes + peer.records[i] + sizeof(struct stream_record) + at;

	for (unsigned int mask = 0; mask < sizeof(masks); mask++) {
		*byte ^= masks[mask];
		sign(i);
		receive_all(peer.bytes, peer.count);
		*byte ^= masks[mask];
	}
	sign(i);
}

static void test_hostile(void)
{
	struct stream_record record;

	keep_one();
	for (unsigned int i = 0; i < peer.record_count; i++) {
		memcpy(&record, peer.bytes + peer.records[i], sizeof(record));
		for (size_t at = 0; at < record.bytes && at < 300; at++)
			check_hostile(i, at);
	}
	CHECK_EQUAL(receive_all(peer.bytes, peer.count), 0);
}

static void test_version(void)
{
	struct stream_hello *hello;

	keep_one();
	hello = (void *)(peer.bytes + sizeof(struct stream_record));
	hello->version++;
	sign(0);
	CHECK_EQUAL(receive_all(peer.bytes, peer.count), -EPROTONOSUPPORT);
	CHECK(strstr(why, "version 3"));
	CHECK_EQUAL(receive_all((const uint8_t *)"GET / HTTP/1.0\r\nHost: here\r\n\r\n", 30),
		    -ENOEXEC);
}

/* By the first record, before the pages come; and the sender learns of it. */
static void check_refused(const char *words)
{
	struct vee_saved *saved;
	struct stream *stream;
	struct stream_record record;
	const struct why told = { why, sizeof(why) };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		abort();
	if (send(fds[0], peer.bytes, peer.records[1], MSG_DONTWAIT) != (ssize_t)peer.records[1])
		abort();
	CHECK_EQUAL(vee_receive(fds[1], &saved, why, sizeof(why)), -EOPNOTSUPP);
	CHECK(!strcmp(why, words));
	stream = stream_new(fds[0]);
	CHECK_EQUAL(stream_get(stream, &record, &told), -ECONNABORTED);
	CHECK(!strncmp(why, "refused there: ", 15) && !strcmp(why + 15, words));
	stream_free(stream);
	close(fds[0]);
	close(fds[1]);
}

static void test_other_cpu(void)
{
	keep_one();
	fake.cpuid[0].ecx = 0;
	check_refused("it needs what this CPU lacks: avx");
	fake.cpuid[0].edx = 0;
	check_refused("it needs what this CPU lacks: avx, fpu");
	fake.cpuid[0].ecx = 1U << 28;
	fake.cpuid[0].edx = 1;
	/* What the guest was not told of nobody needs. */
	begin();
	CHECK_EQUAL(vee_vcpu_set_cpuid(rig.vcpu, &(struct vee_cpuid_entry) {
		.leaf = 1, .ecx = 1U << 28 }, 1), 0);
	fake.cpuid[0].ecx = 1U << 28 | 1;
	CHECK_EQUAL(send_vm(NULL), 0);
	end();
	fake.cpuid[0].ecx = 0;
	check_refused("it needs what this CPU lacks: avx");
	fake.cpuid[0].ecx = 1U << 28;
	fake.cpuid[0].edx = 1;
	fake.tsc_khz = 1000000;
	check_refused("its TSC counts 2000000 kHz, and this machine's 1000000 kHz");
}

/* --- the sender, when the other side goes --- */

/* After each record: it goes on here up to the last word, and is in doubt from there on. */
static void test_broken(void)
{
	unsigned int records;

	keep_one();
	records = peer.record_count;
	for (unsigned int i = 0; i < records; i++) {
		begin();
		peer.most = i;
		CHECK_EQUAL(send_vm(NULL), -ECONNRESET);
		CHECK(*why);
		CHECK_EQUAL(ends, i ? 2 : ends);
		end();
	}
	begin();
	peer.most = records;
	peer.silent = true;
	CHECK_EQUAL(send_vm(NULL), -EINPROGRESS);
	peer.silent = false;
	end();
}

static void test_refused(void)
{
	begin();
	peer.most = ALWAYS;
	peer.refuses = "no\033[room";
	CHECK_EQUAL(send_vm(NULL), -ECONNABORTED);
	CHECK(!strcmp(why, "refused there: no?[room"));
	CHECK_EQUAL(stops, 1);
	peer.refuses = NULL;
	end();
}

static void test_never_stops_writing(void)
{
	begin();
	peer.most = ALWAYS;
	writes = ALWAYS;
	CHECK_EQUAL(send_vm(NULL), -ETIME);
	CHECK(strstr(why, "it writes faster than can be sent"));
	CHECK_EQUAL(stops, 0);
	CHECK_EQUAL(ends, 2);
	end();
}

/* --- what the kernel refuses, and memory that runs out --- */

static int send_anew(void)
{
	int err;

	failures_hold();
	begin();
	peer.most = ALWAYS;
	failures_go_on();
	err = send_vm(NULL);
	CHECK(!err == !*why && !strchr(why, '\n'));
	CHECK(!err || stops <= 1);
	failures_hold();
	end();
	failures_go_on();
	return err;
}

static int receive_kept(void)
{
	int err, fds[2], room = 2 * STREAM_BYTES;
	struct vee_saved *saved;

	failures_hold();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		abort();
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (send(fds[0], peer.bytes, peer.count, MSG_DONTWAIT) != (ssize_t)peer.count)
		abort();
	failures_go_on();
	*why = 0;
	err = vee_receive(fds[1], &saved, why, sizeof(why));
	CHECK(!err == !*why && !strchr(why, '\n'));
	if (!err)
		vee_saved_close(saved);
	close(fds[0]);
	close(fds[1]);
	return err;
}

/* But that to be told no more of what it writes can't be done. */
static void check_requests(void)
{
	unsigned int number = 0;
	bool failed;
	int err;

	fake.request_error = -EIO;
	do {
		fake.fail_request = ++number;
		err = send_anew();
		failed = !fake.fail_request;
		fake.fail_request = 0;
		test_case("request %u", number);
		CHECK_EQUAL(err, failed && ends == starts ? -EIO : 0);
	} while (failed);
	CHECK(number > 8);
}

/* Whatever fails, it runs on here, and nobody is told of its writes any more. */
static void test_sender_fails(void)
{
	check_requests();
	CHECK(fail_each_allocation(send_anew) >= 6);
	begin();
	peer.most = ALWAYS;
	look_error = -EIO;
	CHECK_EQUAL(send_vm(NULL), -EIO);
	CHECK(!strcmp(why, "can't tell what it writes: Input/output error"));
	CHECK_EQUAL(ends, 2);
	CHECK_EQUAL(stops, 0);
	look_error = 0;
	end();
}

static int told_already(struct vee_dirty *dirty)
{
	return dirty->operation == VEE_DIRTY_START ? -EEXIST : 0;
}

static void test_told_already(void)
{
	begin();
	peer.most = ALWAYS;
	fake.answer_dirty = told_already;
	CHECK_EQUAL(send_vm(NULL), -EEXIST);
	CHECK(!strcmp(why, "can't tell what it writes: somebody else is told"));
	end();
}

static void test_receiver_fails(void)
{
	keep_one();
	CHECK(fail_each_request(-EIO, receive_kept) >= 4);
	fake.fail_request = 2;
	fake.request_error = -EMFILE;
	CHECK_EQUAL(receive_kept(), -EMFILE);
	CHECK(!strcmp(why, "can't make a VM like it: Too many open files"));
	CHECK(fail_each_allocation(receive_kept) >= 4);
	CHECK_EQUAL(fail_each_call("memfd_create", EMFILE, -ENOMEM, receive_kept), 1);
	CHECK(fail_each_call("ftruncate", ENOSPC, -ENOMEM, receive_kept) >= 3);
	CHECK(fail_each_call("mremap", ENOMEM, -ENOMEM, receive_kept) >= 2);
	fail_call("mmap", 1, ENOMEM);
	CHECK_EQUAL(receive_kept(), -ENOMEM);
	CHECK(call_failed());
	CHECK(!strncmp(why, "no room for its ", 16));
}

/* --- each word that can't be said --- */

static void test_send_fails(void)
{
	unsigned int number = 0;
	int err;

	do {
		fail_call("send", ++number, EIO);
		err = send_anew();
		test_case("send %u", number);
		CHECK(!err || err == -EIO);
		CHECK(!err || !strcmp(why, "the connection broke: Input/output error"));
		CHECK_EQUAL(ends, starts);
	} while (call_failed());
	CHECK(number > 10);
}

/* A batch of pages is sent where it is full, in whichever round. */
static void test_pages_fail(void)
{
	static const uint8_t page[PAGE_BYTES] = { 1 };

	begin();
	for (unsigned int i = 0; i < PAGES; i++)
		memcpy(memory + i * PAGE_BYTES, page, PAGE_BYTES);
	peer.most = 1;
	CHECK_EQUAL(send_vm(NULL), -ECONNRESET);
	CHECK_EQUAL(stops, 0);
	end();
}

static void wait_for_closing(void)
{
	while (!peer.closed)
		usleep(100);
}

/* The reason has come before the connection ended, and is found behind the error. */
static void test_refused_early(void)
{
	begin();
	peer.most = ALWAYS;
	peer.refuses = "no room";
	peer.refuses_first = true;
	at_stop = wait_for_closing;
	CHECK_EQUAL(send_vm(NULL), -ECONNABORTED);
	CHECK(!strcmp(why, "refused there: no room"));
	CHECK_EQUAL(ends, 2);
	at_stop = NULL;
	peer.refuses = NULL;
	peer.refuses_first = false;
	end();
}

static void add_memory(void)
{
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 2 * HIGH, PAGE_BYTES, NULL), 0);
}

/* What a program's stop() may have done wrong. */
static void test_stopped_wrongly(void)
{
	static const struct vee_section bad[2] = { { "", "", 0 }, { "", "", 0 } };
	static const struct vee_section long_name[2] = {
		{ "a name of thirty-two bytes, no less", "", 0 },
	};

	begin();
	peer.most = ALWAYS;
	at_stop = add_memory;
	CHECK_EQUAL(send_vm(NULL), -EBUSY);
	CHECK(!strcmp(why, "its memory is not what it was at first"));
	at_stop = NULL;
	end();
	begin();
	stop_sections = bad;
	CHECK_EQUAL(send_vm(NULL), -EINVAL);
	CHECK(!strcmp(why, "a section's name has 1 to 31 bytes"));
	stop_sections = long_name;
	CHECK_EQUAL(send_vm(NULL), -EINVAL);
	stop_sections = sections;
	end();
}

static void test_template(void)
{
	static uint8_t pool[PAGE_BYTES] __attribute__((aligned(4096)));
	static const uint8_t from[PAGE_BYTES] __attribute__((aligned(4096)));

	begin();
	CHECK_EQUAL(vee_vm_map_template(rig.vm, 2 * HIGH, from, PAGE_BYTES, pool, PAGE_BYTES,
					VEE_READ | VEE_WRITE), 0);
	CHECK_EQUAL(send_vm(NULL), -EOPNOTSUPP);
	CHECK(!strcmp(why, "a slot with a template can't be sent"));
	end();
}

/* --- records that are whole, and make no sense --- */

static void set_record(unsigned int i, uint32_t kind, uint64_t bytes)
{
	uint8_t *at = peer.bytes + peer.records[i];
	struct stream_record record;

	memcpy(&record, at, sizeof(record));
	record.kind = kind;
	record.bytes = bytes;
	memcpy(at, &record, sizeof(record));
	sign(i);
}

static void test_wrong_kinds(void)
{
	struct stream_record first;

	keep_one();
	for (unsigned int kind = STREAM_HELLO; kind <= STREAM_DONE; kind++) {
		memcpy(&first, peer.bytes + peer.records[1], sizeof(first));
		if (kind >= STREAM_PAGES && kind <= STREAM_END)
			continue;
		test_case("kind %u", kind);
		set_record(1, kind, first.bytes);
		CHECK_EQUAL(receive_all(peer.bytes, peer.count), -EBADMSG);
		CHECK(!strcmp(why, "damaged on its way"));
		set_record(1, STREAM_PAGES, first.bytes);
	}
	/* Too short for what it is said to be; and what is left is no record. */
	set_record(1, STREAM_SECTION, sizeof(struct save_entry) - 1);
	CHECK_EQUAL(receive_all(peer.bytes, peer.count), -EBADMSG);
	/* A refusal without a word, as the first thing that comes. */
	set_record(0, STREAM_REFUSE, 0);
	CHECK_EQUAL(receive_all(peer.bytes, sizeof(first)), -ECONNABORTED);
	CHECK(!strcmp(why, "refused there: "));
}

static void test_limits(void)
{
	const struct why told = { why, sizeof(why) };
	const struct part large = { why, STREAM_MOST + 1 };
	struct stream stream = { .deadline_ns = 1 };
	struct stream_record record;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		abort();
	stream.fd = fds[0];
	CHECK_EQUAL(stream_put(&stream, STREAM_SECTION, &large, 1, &told), -E2BIG);
	CHECK(!strcmp(why, "a section of more than 64 MiB"));
	CHECK_EQUAL(stream_get(&stream, &record, &told), -ETIMEDOUT);
	CHECK(!strcmp(why, "the other side has not answered in time"));
	/* Nobody was hurt: it goes on where it was. */
	stream.deadline_ns = 0;
	fail_call("poll", 1, ENOMEM);
	CHECK_EQUAL(stream_get(&stream, &record, &told), -ENOMEM);
	CHECK(!strcmp(why, "the connection broke: Cannot allocate memory"));
	CHECK_EQUAL(stream.sent, 0);
	close(fds[0]);
	close(fds[1]);
}

static void test_bad_arguments(void)
{
	struct vee_sending sending = { .vcpus = &rig.vcpu, .stop = stop };
	int err = -ECANCELED, fds[2];

	begin();
	CHECK_EQUAL(vee_send(&sending, 0, why, sizeof(why)), -EINVAL);
	sending.count = 1;
	if (pipe(fds))
		abort();
	CHECK_EQUAL(vee_send(&sending, fds[1], why, sizeof(why)), -ENOTSOCK);
	CHECK_EQUAL(vee_receive(fds[0], NULL, NULL, 0), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	peer.most = ALWAYS;
	CHECK_EQUAL(send_vm(&err), -ECANCELED);
	CHECK_EQUAL(ends, 2);
	end();
}

const struct test tests[] = {
	{ "sent and received", test_round },
	{ "cut short", test_cut },
	{ "a bit is flipped", test_flipped },
	{ "hostile records", test_hostile },
	{ "another version, or something else", test_version },
	{ "another CPU", test_other_cpu },
	{ "the receiver goes", test_broken },
	{ "the receiver refuses", test_refused },
	{ "it writes faster than can be sent", test_never_stops_writing },
	{ "the sender's errors", test_sender_fails },
	{ "somebody else is told of its writes", test_told_already },
	{ "the receiver's errors", test_receiver_fails },
	{ "each word that can't be said", test_send_fails },
	{ "more pages than a record has, and nobody takes them", test_pages_fail },
	{ "refused early", test_refused_early },
	{ "stopped wrongly", test_stopped_wrongly },
	{ "a slot with a template", test_template },
	{ "records out of place", test_wrong_kinds },
	{ "limits", test_limits },
	{ "bad arguments", test_bad_arguments },
	{ NULL, NULL },
};
