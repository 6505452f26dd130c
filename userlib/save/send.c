// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Moving a VM to another process while it runs: all of its memory, then again and again what
 * it has written meanwhile, until that is so little that it may stand still for the rest.
 */
#include <stdlib.h>

#include "stream.h"

#define NS_PER_MS	1000000ULL
/* Beyond the downtime that was asked for, before the VM goes on after all. */
#define PATIENCE_NS	5000000000ULL
/* Rounds, one after another, that leave no less to be sent than one before them did. */
#define IDLE_ROUNDS	8
#define WORD_BITS	64

/* Pages on their way into a record. */
struct batch {
	uint64_t count;
	uint64_t gpa[STREAM_BATCH];
	uint64_t contents;	/* pages in @data; those of zeros aren't */
	uint8_t data[STREAM_BATCH][PAGE_BYTES];
};

/**
 * struct sender - a VM being sent
 * @how: the caller's
 * @vm: which
 * @stream: where to
 * @why: what went wrong
 * @slots: its memory
 * @bitmaps: of each slot: pages to be sent
 * @slot_count: how many
 * @started: of how many it is recorded what is written
 * @first: all is zero over there
 * @sent: pages of this round
 * @page_ns: what a page of the last one took
 * @fewest: pages that were left to be sent, at least
 * @idle: rounds since it were that few
 * @stopped_ns: when the VM was stopped; 0: it wasn't
 * @gone: it will not run here any more
 */
struct sender {
	struct vee_sending *how;
	struct vee_vm *vm;
	struct stream *stream;
	struct why why;
	struct vm_slot *slots;
	uint64_t **bitmaps;
	unsigned int slot_count;
	unsigned int started;
	bool first;
	uint64_t sent;
	uint64_t page_ns;
	uint64_t fewest;
	unsigned int idle;
	uint64_t stopped_ns;
	bool gone;
	struct batch batch;
};

/*
 * Who refuses has said so before it closed the connection; who can't be written to has
 * perhaps refused.
 */
static int put(struct sender *sender, enum stream_kind kind, const struct part *parts,
	       unsigned int count)
{
	int err = stream_put(sender->stream, kind, parts, count, &sender->why);
	struct stream_record record;
	char text[600];
	const struct why other = { text, sizeof(text) };

	if (err != -ECONNRESET)
		return err;
	sender->stream->deadline_ns = stream_now();
	if (stream_get(sender->stream, &record, &other) != -ECONNABORTED)
		return err;
	return why_say(&sender->why, -ECONNABORTED, "%s", text);
}

/* --- pages --- */

static int flush(struct sender *sender)
{
	struct batch *batch = &sender->batch;
	const struct part parts[] = {
		{ &batch->count, sizeof(batch->count) },
		{ batch->gpa, batch->count * sizeof(*batch->gpa) },
		{ batch->data, batch->contents * PAGE_BYTES },
	};
	int err = batch->count ? put(sender, STREAM_PAGES, parts, 3) : 0;

	batch->count = 0;
	batch->contents = 0;
	return err;
}

/* A copy, since the VM may write there: then the page is told again, and sent again. */
static int add_page(struct sender *sender, uint64_t gpa, const uint8_t *page)
{
	struct batch *batch = &sender->batch;
	bool zero = page_is_zero(page);

	if (zero && sender->first)
		return 0;
	batch->gpa[batch->count++] = gpa | (zero ? STREAM_ZERO : 0);
	if (!zero)
		memcpy(batch->data[batch->contents++], page, PAGE_BYTES);
	sender->sent++;
	return batch->count < STREAM_BATCH ? 0 : flush(sender);
}

static int send_word(struct sender *sender, const struct vm_slot *slot, uint64_t first,
		     uint64_t word)
{
	int err = 0;

	for (; word && !err; word &= word - 1) {
		uint64_t at = (first + __builtin_ctzll(word)) * PAGE_BYTES;

		err = at < slot->bytes ? add_page(sender, slot->gpa + at, slot->hva + at) : 0;
	}
	return err;
}

static uint64_t words_of(const struct vm_slot *slot)
{
	return (slot->bytes / PAGE_BYTES + WORD_BITS - 1) / WORD_BITS;
}

/* All that the bitmaps have. */
static int send_round(struct sender *sender)
{
	uint64_t before = stream_now();
	int err = 0;

	sender->sent = 0;
	for (unsigned int i = 0; i < sender->slot_count && !err; i++) {
		const struct vm_slot *slot = &sender->slots[i];

		for (uint64_t at = 0; at < words_of(slot) && !err; at++)
			err = send_word(sender, slot, at * WORD_BITS, sender->bitmaps[i][at]);
	}
	if (!err)
		err = flush(sender);
	if (sender->sent)
		sender->page_ns = (stream_now() - before) / sender->sent;
	sender->how->pages += sender->sent;
	sender->how->rounds++;
	return err;
}

/* What was written since the last time, into the bitmaps: how many pages, or -errno. */
static int64_t look(struct sender *sender)
{
	int64_t count = 0;

	for (unsigned int i = 0; i < sender->slot_count; i++) {
		const struct vm_slot *slot = &sender->slots[i];
		int n = vee_vm_dirty_bitmap(sender->vm, slot->gpa, slot->bytes,
					    sender->bitmaps[i]);

		if (n < 0)
			return why_say(&sender->why, n, "can't tell what it writes: %s",
				       strerror(-n));
		count += n;
	}
	return count;
}

/* --- while it runs --- */

static uint64_t downtime_ns(const struct sender *sender)
{
	return sender->how->downtime_ms * NS_PER_MS;
}

/* The other half is for its CPUs, its devices, and the other side. */
static bool fits(const struct sender *sender, uint64_t pages)
{
	return pages * sender->page_ns <= downtime_ns(sender) / 2;
}

/* It writes no faster than can be sent, or it has been lucky. */
static bool gets_on(struct sender *sender, uint64_t pages)
{
	if (pages < sender->fewest) {
		sender->fewest = pages;
		sender->idle = 0;
	}
	return sender->idle++ < IDLE_ROUNDS;
}

static int give_up(const struct sender *sender, uint64_t pages)
{
	return why_say(&sender->why, -ETIME,
		       "it writes faster than can be sent: after %u rounds %llu pages are left, which take %llu ms: allow a longer downtime",
		       sender->how->rounds, (unsigned long long)pages,
		       (unsigned long long)(pages * sender->page_ns * 2 / NS_PER_MS + 1));
}

static int send_while_running(struct sender *sender)
{
	int err = send_round(sender);

	sender->first = false;
	while (!err) {
		int64_t pages = look(sender);

		if (pages < 0)
			return pages;
		if (fits(sender, pages))
			return 0;
		if (!gets_on(sender, pages))
			return give_up(sender, pages);
		err = send_round(sender);
	}
	return err;
}

/* --- the rest --- */

static int send_section(struct sender *sender, const struct save_entry *entry,
			const struct part *parts, unsigned int count)
{
	struct part all[1 + VCPU_PARTS] = { { entry, sizeof(*entry) } };

	memcpy(all + 1, parts, count * sizeof(*parts));
	return put(sender, STREAM_SECTION, all, 1 + count);
}

static int send_vcpu(struct sender *sender, struct vee_vcpu *vcpu)
{
	struct save_entry entry = { .kind = SECTION_VCPU, .id = vcpu->id };
	struct part parts[VCPU_PARTS];
	struct vcpu_blob *blob;
	struct vee_info info;
	int err = vee_get_info(&info);

	if (err)
		return why_say(&sender->why, err, "%s", strerror(-err));
	blob = vcpu_blob_read(vcpu, info.xsave_bytes, &sender->why, &err);
	if (!blob)
		return err;
	entry.bytes = vcpu_blob_parts(blob, parts);
	err = send_section(sender, &entry, parts, VCPU_PARTS);
	free(blob);
	return err;
}

static int send_program(struct sender *sender, const struct vee_section *section)
{
	struct save_entry entry = { .kind = SECTION_PROGRAM, .bytes = section->bytes };
	const struct part part = { section->data, section->bytes };

	if (!*section->name || strlen(section->name) >= SECTION_NAME)
		return why_say(&sender->why, -EINVAL, "a section's name has 1 to %u bytes",
			       SECTION_NAME - 1);
	strcpy(entry.name, section->name);
	return send_section(sender, &entry, &part, 1);
}

static int send_state(struct sender *sender)
{
	const struct vee_sending *how = sender->how;
	const struct vee_section *sections = NULL;
	unsigned int count = 0;
	int err = how->stop(how->arg, &sections, &count);

	if (err)
		return why_say(&sender->why, err, "can't stop it: %s", strerror(-err));
	for (unsigned int i = 0; i < how->count && !err; i++)
		err = send_vcpu(sender, how->vcpus[i]);
	for (unsigned int i = 0; i < count && !err; i++)
		err = send_program(sender, &sections[i]);
	return err;
}

/* What was found before it stopped, and what came after that. */
static int send_last_pages(struct sender *sender)
{
	int err = send_round(sender);
	int64_t pages;

	if (err)
		return err;
	if (!vm_slots_are(sender->vm, sender->slots, sender->slot_count))
		return why_say(&sender->why, -EBUSY, "its memory is not what it was at first");
	pages = look(sender);
	return pages < 0 ? pages : send_round(sender);
}

/* See stream.h. */
static int hand_over(struct sender *sender)
{
	int err = put(sender, STREAM_END, NULL, 0);

	if (!err)
		err = stream_expect(sender->stream, STREAM_READY, &sender->why);
	if (!err)
		err = put(sender, STREAM_GO, NULL, 0);
	if (err)
		return err;
	sender->gone = true;
	sender->stream->deadline_ns = stream_now() + PATIENCE_NS;
	return stream_expect(sender->stream, STREAM_DONE, &sender->why);
}

static int send_stopped(struct sender *sender)
{
	int err;

	sender->stopped_ns = stream_now();
	sender->stream->deadline_ns = sender->stopped_ns + downtime_ns(sender) + PATIENCE_NS;
	err = send_state(sender);
	if (!err)
		err = send_last_pages(sender);
	if (!err)
		err = hand_over(sender);
	sender->how->stopped_ns = stream_now() - sender->stopped_ns;
	return err;
}

/* --- all of it --- */

/*
 * What a program adds by itself it has over there as well. The vCPU may be running, and can't
 * be asked.
 */
static int get_features(const struct sender *sender, uint32_t features[FEATURE_WORDS])
{
	const struct vee_vcpu *vcpu = sender->how->vcpus[0];
	int err = features_of_host(vm_flags(sender->vm), features);

	for (unsigned int word = 0; vcpu->has_cpuid && word < FEATURE_WORDS; word++)
		features[word] &= vcpu->features[word];
	return err;
}

static int say_hello(struct sender *sender)
{
	struct stream_hello hello = {
		.version = STREAM_VERSION,
		.flags = vm_has_apics(sender->vm) ? VEE_VM_LOCAL_APIC : 0,
		.slots = sender->slot_count,
	};
	struct save_entry entries[VEE_MAX_SLOTS] = { };
	const struct part parts[] = {
		{ &hello, sizeof(hello) },
		{ entries, sender->slot_count * sizeof(*entries) },
	};
	struct vee_info info;
	int err = vee_get_info(&info);

	if (!err)
		err = get_features(sender, hello.features);
	if (err)
		return why_say(&sender->why, err, "%s", strerror(-err));
	memcpy(hello.magic, STREAM_MAGIC, sizeof(hello.magic));
	hello.tsc_khz = info.tsc_khz;
	hello.xsave_bytes = info.xsave_bytes;
	for (unsigned int i = 0; i < sender->slot_count; i++)
		entries[i] = (struct save_entry) {
			.kind = SECTION_MEMORY, .bytes = sender->slots[i].bytes,
			.gpa = sender->slots[i].gpa, .access = sender->slots[i].access,
		};
	return put(sender, STREAM_HELLO, parts, 2);
}

static int start(struct sender *sender)
{
	int err = 0;

	while (sender->started < sender->slot_count) {
		const struct vm_slot *slot = &sender->slots[sender->started];
		uint64_t *bitmap = malloc(words_of(slot) * sizeof(*bitmap));

		if (!bitmap)
			return why_say(&sender->why, -ENOMEM, "no memory");
		memset(bitmap, 0xff, words_of(slot) * sizeof(*bitmap));
		sender->bitmaps[sender->started] = bitmap;
		err = vee_vm_dirty_start(sender->vm, slot->gpa, slot->bytes);
		if (err)
			return why_say(&sender->why, err, "can't tell what it writes: %s",
				       err == -EEXIST ? "somebody else is told" : strerror(-err));
		sender->started++;
	}
	return 0;
}

static void stop(struct sender *sender)
{
	for (unsigned int i = 0; i < sender->started; i++)
		vee_vm_dirty_stop(sender->vm, sender->slots[i].gpa, sender->slots[i].bytes);
	for (unsigned int i = 0; i < sender->slot_count; i++)
		free(sender->bitmaps[i]);
	free(sender->bitmaps);
	free(sender->slots);
	stream_free(sender->stream);
}

static int prepare(struct sender *sender, int fd)
{
	int count = vm_slots(sender->vm, &sender->slots);

	if (count < 0)
		return why_say(&sender->why, count, count == -EOPNOTSUPP ?
			       "a slot with a template can't be sent" : "no memory");
	sender->slot_count = count;
	sender->bitmaps = calloc(count + 1, sizeof(*sender->bitmaps));
	sender->stream = stream_new(fd);
	if (!sender->bitmaps || !sender->stream) {
		sender->slot_count = 0;
		return why_say(&sender->why, -ENOMEM, "no memory");
	}
	return 0;
}

static int send_all(struct sender *sender, int fd)
{
	int err = prepare(sender, fd);

	if (!err)
		err = say_hello(sender);
	if (!err)
		err = start(sender);
	if (!err)
		err = send_while_running(sender);
	if (!err)
		err = send_stopped(sender);
	stop(sender);
	return err;
}

int vee_send(struct vee_sending *sending, int fd, char *why, size_t size)
{
	struct sender *sender = calloc(1, sizeof(*sender));
	const struct why told = { why, size };
	int err;

	if (!sender)
		return why_say(&told, -ENOMEM, "no memory");
	sending->rounds = 0;
	sending->pages = 0;
	sending->stopped_ns = 0;
	sender->how = sending;
	sender->why = told;
	sender->first = true;
	sender->fewest = UINT64_MAX;
	if (sending->count && sending->stop) {
		sender->vm = sending->vcpus[0]->vm;
		err = send_all(sender, fd);
		if (err && sender->gone)
			err = why_say(&told, -EINPROGRESS,
				      "whether it runs there can't be known");
	} else {
		err = why_say(&told, -EINVAL, "a VM without CPUs, or nothing to stop it");
	}
	free(sender);
	return err;
}
