// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bench.h"

/* Remembers the pieces that accesses come in. */
static struct {
	uint64_t offset;
	unsigned int bytes;
	bool write;
	uint32_t data;
} pieces[8];

static unsigned int piece_count;

static void remember(struct bus_device *device, uint64_t offset, void *data,
		     unsigned int bytes, bool write)
{
	(void)device;
	if (piece_count == 8)
		return;
	pieces[piece_count].offset = offset;
	pieces[piece_count].bytes = bytes;
	pieces[piece_count].write = write;
	pieces[piece_count].data = 0;
	memcpy(&pieces[piece_count++].data, data, bytes);
	if (!write)
		memset(data, 0x11, bytes);
}

static struct bus_device bytes_device, words_device;

static void begin(void)
{
	bench_begin();
	piece_count = 0;
	bytes_device = (struct bus_device) {
		.name = "bytes", .first = 0x100, .count = 4, .width = 1,
		.access = remember,
	};
	words_device = (struct bus_device) {
		.name = "words", .first = 0x104, .count = 3, .width = 2,
		.access = remember,
	};
	CHECK_EQUAL(bus_add(&bench.ports, &bytes_device), 0);
	CHECK_EQUAL(bus_add(&bench.ports, &words_device), 0);
}

static void nobody_is_all_ones(void)
{
	begin();
	CHECK_EQUAL(in(0x1234, 1), 0xff);
	CHECK_EQUAL(in(0x1234, 4), 0xffffffff);
	CHECK_EQUAL(in(0xffff, 4), 0xffffffff);
	out(0xffff, 0, 4);
	CHECK_EQUAL(piece_count, 0);
}

static void devices_do_not_overlap(void)
{
	struct bus_device other = { .first = 0xf8, .count = 9 };

	begin();
	CHECK_EQUAL(bus_add(&bench.ports, &other), -EEXIST);
	other.first = 0x106;
	CHECK_EQUAL(bus_add(&bench.ports, &other), -EEXIST);
	other.first = UINT64_MAX;
	other.count = 1;
	CHECK_EQUAL(bus_add(&bench.ports, &other), 0);
	CHECK(bus_find(&bench.ports, UINT64_MAX) == &other);
	CHECK(bus_find(&bench.ports, 0x106) == &words_device);
	CHECK(!bus_find(&bench.ports, 0x107));
	CHECK(!bus_find(&bench.ports, 0xff));
}

static void wide_accesses_are_split(void)
{
	begin();
	out(0x103, 0x44332211, 4);
	CHECK_EQUAL(piece_count, 3);
	CHECK(pieces[0].offset == 3 && pieces[0].bytes == 1);
	CHECK_EQUAL(pieces[0].data, 0x11);
	CHECK(pieces[1].offset == 0 && pieces[1].bytes == 2);
	CHECK_EQUAL(pieces[1].data, 0x3322);
	CHECK(pieces[2].offset == 2 && pieces[2].bytes == 1);
	CHECK_EQUAL(pieces[2].data, 0x44);
	CHECK(pieces[0].write && pieces[2].write);
}

static void reads_cross_ends(void)
{
	begin();
	CHECK_EQUAL(in(0x105, 4), 0xffff1111);
	CHECK_EQUAL(in(0xfe, 4), 0x1111ffff);
	CHECK_EQUAL(piece_count, 3);
	CHECK_EQUAL(pieces[0].data, 0xffff);
	CHECK(!pieces[0].write);
}

static const struct bus_miss *miss(unsigned int i)
{
	return &bench.ports.misses[i];
}

static void misses_are_counted(void)
{
	begin();
	in(0x200, 2);
	in(0x200, 2);
	out(0x200, 0, 2);
	in(0x200, 1);
	in(0x105, 4);
	CHECK_EQUAL(bench.ports.miss_count, 4);
	CHECK(miss(0)->address == 0x200 && miss(0)->bytes == 2 &&
	      !miss(0)->write && miss(0)->count == 2);
	CHECK(miss(1)->write && miss(1)->count == 1);
	CHECK(miss(2)->bytes == 1 && miss(2)->count == 1);
	CHECK(miss(3)->address == 0x107 && miss(3)->bytes == 2);
	CHECK_EQUAL(bench.ports.other_misses, 0);
}

static void misses_are_bounded(void)
{
	begin();
	for (unsigned int i = 0; i < BUS_MISSES + 10; i++)
		in(0x1000 + i, 1);
	in(0x1000, 1);
	CHECK_EQUAL(bench.ports.miss_count, BUS_MISSES);
	CHECK_EQUAL(bench.ports.other_misses, 10);
	CHECK_EQUAL(miss(0)->count, 2);
}

static struct bus_event events[4];
static uint32_t event_data[4];
static unsigned int event_count;

static void trace(void *arg, const struct bus_event *event)
{
	CHECK(arg == &bench);
	if (event_count == 4)
		return;
	memcpy(&event_data[event_count], event->data, event->bytes);
	events[event_count++] = *event;
}

static void accesses_are_traced(void)
{
	begin();
	event_count = 0;
	memset(event_data, 0, sizeof(event_data));
	bench.ports.trace = trace;
	bench.ports.trace_arg = &bench;
	in(0x106, 4);
	out(0x107, 0x1234, 2);
	in(0x107, 3);
	CHECK_EQUAL(event_count, 4);
	CHECK(events[0].device == &words_device && !events[0].misses);
	CHECK(events[0].address == 0x106 && events[0].bytes == 1);
	CHECK_EQUAL(event_data[0], 0x11);
	CHECK(!events[1].device && events[1].misses == 1);
	CHECK(events[1].address == 0x107 && events[1].bytes == 3);
	CHECK_EQUAL(event_data[1], 0xffffff);
	CHECK(events[2].write && events[2].misses == 1);
	CHECK_EQUAL(event_data[2], 0x1234);
	CHECK_EQUAL(events[3].misses, 2);
}

const struct test tests[] = {
	{ "where nobody answers", nobody_is_all_ones },
	{ "devices do not overlap", devices_do_not_overlap },
	{ "wide accesses are split", wide_accesses_are_split },
	{ "reads across the ends of a device", reads_cross_ends },
	{ "what nobody answers is counted", misses_are_counted },
	{ "the table of misses is bounded", misses_are_bounded },
	{ "accesses are traced", accesses_are_traced },
	{ 0 }
};
